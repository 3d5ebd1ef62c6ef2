/**
 * The rules of `while`. Its trip count is only known at run time, so there is no reverse mode: residuals would need a
 * stack of unknown size. Forward mode carries tangents along; batching runs until every element of the batch is done.
 */
import { TraceError } from "../../../Tensor/errors.ts"
import * as Lax from "../../../Tensor/lax/index.ts"
import type { Tensor } from "../../../Tensor/Tensor.ts"
import { closedProgram } from "../../build.ts"
import * as control from "../../control.ts"
import { evaluate } from "../../evaluate.ts"
import type { ControlRule, Tangent } from "../../Primitive.ts"
import type { Program } from "../../Program.ts"
import { instantiate, where } from "../support.ts"
import { batchBody, dualBody, fronted } from "./bodies.ts"
import { settle } from "./dependence.ts"

const noReverse = (): TraceError =>
  new TraceError({
    transform: "grad",
    reason: "a whileLoop, whose number of steps is only known at run time, cannot be differentiated in reverse",
    hint: "use scan or foriLoop with static bounds, or forward mode (jvp, jacfwd)"
  })

/**
 * A Program that ignores further inputs beside its own: `keep[i]` is the input of the result that is input i of
 * `program`.
 */
const widen = (program: Program, avals: ReadonlyArray<Tensor["aval"]>, keep: ReadonlyArray<number>): Program =>
  closedProgram("while", avals, (args, emit) => evaluate(program, keep.map((i) => args[i]), emit))

/** The rules of while. */
export const whileRule: ControlRule<"while"> = {
  jvp: (params, primals, tangents, { emit, mode, self }) => {
    if (mode === "linearize") throw noReverse()
    const { body_consts: bodyConsts, cond_consts: condConsts } = params
    const bodyPrimals = primals.slice(condConsts)
    const bodyTangents = tangents.slice(condConsts)
    const constActive = bodyTangents.slice(0, bodyConsts).map((t) => t !== null)
    const dual = (carry: ReadonlyArray<boolean>) =>
      dualBody(self, params.body, [...constActive, ...carry], (o) => carry[o])
    const active = settle(bodyTangents.slice(bodyConsts).map((t) => t !== null), (flags) => dual(flags).moving)
    const body = dual(active)
    // The dual body takes (consts, carry, const tangents, carry tangents); a while wants constants together.
    const carries = active.length
    const constTangents = bodyTangents.slice(0, bodyConsts).filter((t): t is Tensor => t !== null)
    const carryTangents = active.flatMap((a, i) =>
      a ? [instantiate(bodyTangents[bodyConsts + i], bodyPrimals[bodyConsts + i])] : []
    )
    const k = constTangents.length
    const carryAvals = [...bodyPrimals.slice(bodyConsts), ...carryTangents].map((x) => x.aval)
    const bodyAvals = [...bodyPrimals.slice(0, bodyConsts), ...constTangents].map((x) => x.aval)
    const at = (i: number) => i
    const count = (n: number, from: number) => Array.from({ length: n }, (_, i) => at(from + i))
    const newBody = widen(body.program, [...bodyAvals, ...carryAvals], [
      ...count(bodyConsts, 0),
      ...count(carries, bodyConsts + k),
      ...count(k, bodyConsts),
      ...count(carryTangents.length, bodyConsts + k + carries)
    ])
    const condAvals = primals.slice(0, condConsts).map((x) => x.aval)
    const newCond = widen(params.cond, [...condAvals, ...carryAvals], count(condConsts + carries, 0))
    const node = control.whileLoop({
      cond: newCond,
      body: newBody,
      cond_consts: condConsts,
      body_consts: bodyConsts + k
    }, [
      ...primals.slice(0, condConsts + bodyConsts),
      ...constTangents,
      ...bodyPrimals.slice(bodyConsts),
      ...carryTangents
    ])
    emit(node)
    let next = carries
    return {
      outputs: node.outputs.slice(0, carries),
      tangents: active.map((a): Tangent => a ? node.outputs[next++] : null)
    }
  },
  transpose: () => {
    throw noReverse()
  },
  batch: (params, inputs, axes, axis, { emit, self }) => {
    const { body_consts: bodyConsts, cond_consts: condConsts } = params
    const mapped = axes.map((a) => a !== null)
    const condFlags = mapped.slice(0, condConsts)
    const bodyFlags = mapped.slice(condConsts, condConsts + bodyConsts)
    const bodyOf = (carry: ReadonlyArray<boolean>) =>
      batchBody(self, params.body, [...bodyFlags, ...carry], axis, (o) => carry[o])
    const condOf = (carry: ReadonlyArray<boolean>) =>
      batchBody(self, params.cond, [...condFlags, ...carry], axis, () => false)
    let carry = settle(mapped.slice(condConsts + bodyConsts), (flags) => bodyOf(flags).mapped)
    const perElement = condOf(carry).mapped[0]
    // Elements end at different times: all carries become mapped, and those of finished elements stay.
    if (perElement) carry = carry.map(() => true)
    const body = bodyOf(carry)
    const cond = condOf(carry)
    const operands = fronted(inputs, axes, axis.size).map((x, i) => {
      const c = i - condConsts - bodyConsts
      return c >= 0 && carry[c] && axes[i] === null
        ? Lax.broadcastInDim(x, [axis.size, ...x.shape], x.shape.map((_, d) => d + 1))
        : x
    })
    const outputAxes = carry.map((m) => m ? 0 : null)
    if (!perElement) {
      const node = control.whileLoop({ ...params, cond: cond.program, body: body.program }, operands)
      emit(node)
      return { outputs: node.outputs, axes: outputAxes }
    }
    const avals = operands.map((x) => x.aval)
    const carryAvals = avals.slice(condConsts + bodyConsts)
    const anyLeft = closedProgram(
      "while",
      [...avals.slice(0, condConsts), ...carryAvals],
      (args, emitInner) => [Lax.reduceOr(evaluate(cond.program, args, emitInner)[0])]
    )
    const guarded = closedProgram("while", avals, (args, emitInner) => {
      const state = args.slice(condConsts + bodyConsts)
      const [left] = evaluate(cond.program, [...args.slice(0, condConsts), ...state], emitInner)
      const next = evaluate(body.program, [...args.slice(condConsts, condConsts + bodyConsts), ...state], emitInner)
      return next.map((x, i) => where(Lax.broadcastInDim(left, x.shape, [0]), x, state[i]))
    })
    const node = control.whileLoop(
      { cond: anyLeft, body: guarded, cond_consts: condConsts, body_consts: condConsts + bodyConsts },
      [
        ...operands.slice(0, condConsts),
        ...operands.slice(0, condConsts + bodyConsts),
        ...operands.slice(condConsts + bodyConsts)
      ]
    )
    emit(node)
    return { outputs: node.outputs, axes: outputAxes }
  }
}
