/**
 * The rules of `cond`. Operands: the branch index, then the operands of every branch.
 *
 * Linearized, the branches leave different residuals; they share slots by shape and dtype, which a branch that has none
 * fills with zeros. A mapped index becomes a selection among all branches.
 */
import * as Lax from "../../../Tensor/lax/index.ts"
import * as ShapedArray from "../../../Tensor/ShapedArray.ts"
import { literal, type Tensor } from "../../../Tensor/Tensor.ts"
import { closedProgram } from "../../build.ts"
import * as control from "../../control.ts"
import { evaluate } from "../../evaluate.ts"
import { type ControlRule, isLinear, type Linear, type Tangent } from "../../Primitive.ts"
import { instantiate, placeAxis, zerosLike } from "../support.ts"
import { batchBody, dualBody, fronted, splitBody, transposeMixed } from "./bodies.ts"

/** Slots for residuals: every branch's residuals assigned to slots of their shape and dtype. */
const shareSlots = (branches: ReadonlyArray<ReadonlyArray<Tensor>>) => {
  const slots: Array<ShapedArray.ShapedArray> = []
  const assigned = branches.map((residuals) => {
    const used = new Set<number>()
    return residuals.map((x) => {
      let at = slots.findIndex((s, i) => !used.has(i) && s.dtype === x.dtype && ShapedArray.equals(s, x.aval))
      if (at < 0) at = slots.push(x.aval) - 1
      used.add(at)
      return at
    })
  })
  return { slots, assigned }
}

/** The rules of cond. */
export const cond: ControlRule<"cond"> = {
  jvp: (params, primals, tangents, { emit, mode, self }) => {
    const [index, ...operands] = primals
    const active = tangents.slice(1).map((t) => t !== null)
    const ts = tangents.slice(1).filter((t): t is Tensor => t !== null)
    const outs = params.branches[0].outputs.length
    if (mode === "forward") {
      const first = params.branches.map((b) => dualBody(self, b, active, () => false))
      const moving = Array.from({ length: outs }, (_, o) => first.some((b) => b.moving[o]))
      const branches = params.branches.map((b) => dualBody(self, b, active, (o) => moving[o]).program)
      const node = control.cond(index, branches, [...operands, ...ts])
      emit(node)
      let next = outs
      return {
        outputs: node.outputs.slice(0, outs),
        tangents: moving.map((m): Tangent => m ? node.outputs[next++] : null)
      }
    }
    const first = params.branches.map((b) => splitBody(self, b, active, () => false))
    const moving = Array.from({ length: outs }, (_, o) => first.some((b) => b.moving[o]))
    const split = params.branches.map((b) => splitBody(self, b, active, (o) => moving[o]))
    const { assigned, slots } = shareSlots(split.map((s) => s.residuals))
    const forward = control.cond(
      index,
      split.map((s, b) =>
        s.forward(slots.map((aval, slot) => s.residuals[assigned[b].indexOf(slot)] ?? zerosLike({ aval })))
      ),
      operands
    )
    emit(forward)
    const linearAvals = [...slots, ...ts.map((t) => t.aval)]
    const linear = control.cond(
      index,
      split.map((s, b) =>
        closedProgram(
          "linearize",
          linearAvals,
          (args) =>
            evaluate(s.linear, [...assigned[b].map((slot) => args[slot]), ...args.slice(slots.length)], () => {})
        )
      ),
      [...forward.outputs.slice(outs), ...ts]
    )
    let next = 0
    return {
      outputs: forward.outputs.slice(0, outs),
      tangents: moving.map((m): Tangent => m ? linear.outputs[next++] : null)
    }
  },
  transpose: (params, cotangents, inputs, self) => {
    const [index, ...operands] = inputs
    const known = operands.flatMap((x) => isLinear(x) ? [] : [x])
    const linear = operands.filter(isLinear)
    const given = cotangents.flatMap((ct, o) => ct === null ? [] : [{ ct, o }])
    const avals = [...known.map((x) => x.aval), ...given.map((g) => g.ct.aval)]
    const branches = params.branches.map((branch) =>
      closedProgram("transpose", avals, (args) => {
        let next = 0
        const values = operands.map((x): Tensor | Linear => isLinear(x) ? x : args[next++])
        const cts: Array<Tangent> = cotangents.map(() => null)
        given.forEach((g, i) => {
          cts[g.o] = args[known.length + i]
        })
        const results = transposeMixed(self, branch, values, cts)
        return operands.flatMap((x, i) => isLinear(x) ? [instantiate(results[i], x)] : [])
      })
    )
    const node = control.cond(index as Tensor, branches, [...known, ...given.map((g) => g.ct)])
    let next = 0
    const results: ReadonlyArray<Tangent> = operands.map((x) => isLinear(x) ? node.outputs[next++] : null)
    return linear.length === 0 ? inputs.map(() => null) : [null, ...results]
  },
  batch: (params, inputs, axes, axis, { emit, self }) => {
    const mapped = axes.slice(1).map((a) => a !== null)
    const operands = fronted(inputs.slice(1), axes.slice(1), axis.size)
    const force = axes[0] !== null
    const first = params.branches.map((b) => batchBody(self, b, mapped, axis, () => force))
    const outMapped = first[0].mapped.map((_, o) => first.some((b) => b.mapped[o]))
    const branches = params.branches.map((b) => batchBody(self, b, mapped, axis, (o) => outMapped[o]).program)
    if (!force) {
      const node = control.cond(inputs[0], branches, operands)
      emit(node)
      return { outputs: node.outputs, axes: outMapped.map((m) => m ? 0 : null) }
    }
    const last = literal(params.branches.length - 1, "int32")
    const index = placeAxis(inputs[0], axes[0], axis.size, 0)
    const full = (x: Tensor) => Lax.broadcastTo(x, index.shape)
    const clamped = Lax.clamp(full(literal(0, "int32")), index, full(last))
    const results = branches.map((b) => evaluate(b, operands, emit))
    return {
      outputs: results[0].map((x, o) =>
        Lax.selectN(Lax.broadcastInDim(clamped, x.shape, [0]), ...results.map((r) => r[o]))
      ),
      axes: outMapped.map(() => 0)
    }
  }
}
