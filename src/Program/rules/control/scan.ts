/**
 * The rules of `scan`. Operands: loop-invariant constants, carries, and arrays sliced along axis 0; outputs: carries,
 * then the stacked results of every step.
 *
 * The derivative of a scan is a scan of the body's derivative. In mode `linearize` it is two: the forward loop also
 * stacks what the derivative needs (residuals), and a loop over tangents alone reads it. The transpose of that second
 * loop runs from the last step to the first; cotangents of constants add up along the way.
 */
import * as Lax from "../../../Tensor/lax/index.ts"
import type { Tensor } from "../../../Tensor/Tensor.ts"
import { closedProgram } from "../../build.ts"
import * as control from "../../control.ts"
import { evaluate } from "../../evaluate.ts"
import { type ControlRule, type Interpreters, isLinear, type Linear, type Tangent } from "../../Primitive.ts"
import { make, type Program } from "../../Program.ts"
import { instantiate, zerosLike } from "../support.ts"
import { batchBody, dualBody, fronted, splitBody } from "./bodies.ts"
import { dependent } from "./dependence.ts"

type Params = control.Params["scan"]

/** Which group an operand is in. */
const groups = (params: Params) => {
  const { num_carry: carries, num_consts: consts } = params
  return {
    isConst: (i: number) => i < consts,
    isCarry: (i: number) => i >= consts && i < consts + carries,
    isSliced: (i: number) => i >= consts + carries
  }
}

/**
 * The flags of all operands when those of the carries follow from the body: a carry has a flag when it has one at the
 * start or the body gives it one.
 */
const settleCarries = (
  params: Params,
  start: ReadonlyArray<boolean>,
  step: (flags: ReadonlyArray<boolean>) => ReadonlyArray<boolean>
): ReadonlyArray<boolean> => {
  const { num_carry: carries, num_consts: consts } = params
  let flags = start
  for (let round = 0; round <= carries; round++) {
    const out = step(flags)
    const next = flags.map((f, i) => f || (i >= consts && i < consts + carries && out[i - consts]))
    if (next.every((f, i) => f === flags[i])) return flags
    flags = next
  }
  return flags
}

/** Tangents of the active operands, zeros where a carry starts with none. */
const activeTangents = (
  active: ReadonlyArray<boolean>,
  tangents: ReadonlyArray<Tangent>,
  primals: ReadonlyArray<Tensor>
): ReadonlyArray<Tensor | null> => active.map((a, i) => a ? instantiate(tangents[i], primals[i]) : null)

/** A Program with its inputs in another order: input i of the result is input `order[i]` of the Program. */
const reorderInputs = (program: Program, order: ReadonlyArray<number>): Program =>
  make(order.map((i) => program.inputs[i]), program.equations, program.outputs)

const reorderOutputs = (program: Program, order: ReadonlyArray<number>): Program =>
  make(program.inputs, program.equations, order.map((i) => program.outputs[i]))

const indices = (n: number, keep: (i: number) => boolean = () => true): ReadonlyArray<number> =>
  Array.from({ length: n }, (_, i) => i).filter(keep)

const jvpForward: ControlRule<"scan">["jvp"] = (params, primals, tangents, { emit, self }) => {
  const { num_carry: carries, program } = params
  const g = groups(params)
  const n = program.inputs.length
  const outs = program.outputs.length
  const body = (flags: ReadonlyArray<boolean>) =>
    dualBody(self, program, flags, (o) => o < carries && flags[params.num_consts + o])
  const active = settleCarries(params, tangents.map((t) => t !== null), (flags) => body(flags).moving)
  const dual = body(active)
  const ts = activeTangents(active, tangents, primals)
  // The body takes all primals, then all tangents; a scan wants constants, carries and slices together.
  const tangentIndex = new Map(indices(n, (i) => active[i]).map((i, k) => [i, n + k]))
  const grouped = (member: (i: number) => boolean) => [
    ...indices(n, member),
    ...indices(n, (i) => member(i) && active[i]).map((i) => tangentIndex.get(i) ?? i)
  ]
  const order = [g.isConst, g.isCarry, g.isSliced].map(grouped)
  const operands = [...primals, ...ts.filter((t): t is Tensor => t !== null)]
  const moving = indices(outs, (o) => dual.moving[o])
  const outputOrder = [
    ...indices(carries),
    ...moving.flatMap((o, k) => o < carries ? [outs + k] : []),
    ...indices(outs, (o) => o >= carries),
    ...moving.flatMap((o, k) => o >= carries ? [outs + k] : [])
  ]
  const node = control.scan({
    ...params,
    num_consts: order[0].length,
    num_carry: order[1].length,
    program: reorderOutputs(reorderInputs(dual.program, order.flat()), outputOrder)
  }, order.flat().map((i) => operands[i]))
  emit(node)
  const result: Array<Tensor> = []
  outputOrder.forEach((o, k) => {
    result[o] = node.outputs[k]
  })
  const outTangents: Array<Tangent> = indices(outs).map(() => null)
  moving.forEach((o, k) => {
    outTangents[o] = result[outs + k]
  })
  return { outputs: result.slice(0, outs), tangents: outTangents }
}

const jvpLinearize: ControlRule<"scan">["jvp"] = (params, primals, tangents, { emit, self }) => {
  const { num_carry: carries, num_consts: consts, program } = params
  const g = groups(params)
  const body = (flags: ReadonlyArray<boolean>) =>
    splitBody(self, program, flags, (o) => o < carries && flags[consts + o])
  const active = settleCarries(params, tangents.map((t) => t !== null), (flags) => body(flags).moving)
  const split = body(active)
  // Residuals that are constants or slices of the loop are there already; all others are stacked by the forward loop.
  const position = new Map(split.args.map((x, i) => [x, i]))
  const known = split.residuals.map((r) => position.get(r))
  const stacked = split.residuals.filter((_, i) => {
    const at = known[i]
    return at === undefined || g.isCarry(at)
  })
  const outs = program.outputs.length
  const forward = control.scan({ ...params, program: split.forward(stacked) }, primals)
  emit(forward)
  const stacks = forward.outputs.slice(outs)
  let next = 0
  const residualOperands = known.map((at) =>
    at !== undefined && !g.isCarry(at)
      ? { x: primals[at], sliced: g.isSliced(at) }
      : { x: stacks[next++], sliced: true }
  )
  const ts = activeTangents(active, tangents, primals)
  const members = indices(primals.length, (i) => active[i])
  const r = split.residuals.length
  const tangentsOf = (member: (i: number) => boolean) =>
    members.flatMap((i, k) => member(i) ? [{ at: r + k, x: ts[i] as Tensor }] : [])
  const residualsOf = (sliced: boolean) =>
    residualOperands.flatMap((o, at) => o.sliced === sliced ? [{ at, x: o.x }] : [])
  const constants = [...residualsOf(false), ...tangentsOf(g.isConst)]
  const carried = tangentsOf(g.isCarry)
  const operands = [...constants, ...carried, ...residualsOf(true), ...tangentsOf(g.isSliced)]
  const linear = control.scan({
    ...params,
    num_consts: constants.length,
    num_carry: carried.length,
    program: reorderInputs(split.linear, operands.map((o) => o.at))
  }, operands.map((o) => o.x))
  const outTangents: Array<Tangent> = []
  next = 0
  for (let o = 0; o < outs; o++) outTangents[o] = split.moving[o] ? linear.outputs[next++] : null
  return { outputs: forward.outputs.slice(0, outs), tangents: outTangents }
}

/** A scan in which every carry is linear, with what its inputs and outputs were in the scan that it was made of. */
interface Split {
  readonly params: Params
  readonly inputs: ReadonlyArray<Tensor | Linear>
  /** For each input, the one that it was; undefined for a carry that is known at every step. */
  readonly from: ReadonlyArray<number | undefined>
  readonly outputs: ReadonlyArray<number>
}

/**
 * Partial evaluation: carries that follow from known inputs alone are computed by a loop of their own, which stacks
 * what they are at every step, and are slices of the linear loop. A loop over primals and tangents at once, as a rule
 * of a custom jvp may have, becomes two.
 */
const splitKnown = (params: Params, inputs: ReadonlyArray<Tensor | Linear>): Split => {
  const { num_carry: carries, num_consts: consts, program } = params
  const g = groups(params)
  const linear = settleCarries(params, inputs.map(isLinear), (flags) => dependent(program, flags))
  const known = indices(inputs.length, (i) => g.isCarry(i) && !linear[i])
  const outs = program.outputs.length
  if (known.length === 0) return { params, inputs, from: indices(inputs.length), outputs: indices(outs) }
  // Nothing that is known depends on what is not, so zeros will do for that.
  const given = indices(inputs.length, (i) => !linear[i])
  const body = closedProgram("transpose", given.map((i) => program.inputs[i].aval), (args) => {
    const all = program.inputs.map((v, i) => linear[i] ? zerosLike(v) : args[given.indexOf(i)])
    const outputs = evaluate(program, all, () => {})
    return [...known.map((i) => outputs[i - consts]), ...known.map((i) => all[i])]
  })
  const forward = control.scan({
    ...params,
    num_consts: given.filter(g.isConst).length,
    num_carry: known.length,
    program: body
  }, given.map((i) => inputs[i] as Tensor))
  const others = indices(inputs.length, (i) => !known.includes(i))
  const kept = indices(outs, (o) => o >= carries || linear[consts + o])
  return {
    params: {
      ...params,
      num_carry: carries - known.length,
      program: make(
        [...others, ...known].map((i) => program.inputs[i]),
        program.equations,
        kept.map((o) => program.outputs[o])
      )
    },
    inputs: [...others.map((i) => inputs[i]), ...forward.outputs.slice(known.length)],
    from: [...others, ...known.map(() => undefined)],
    outputs: kept
  }
}

const transpose: ControlRule<"scan">["transpose"] = (params, cotangents, inputs, self) => {
  const split = splitKnown(params, inputs)
  const results = transposeLinear(split.params, split.outputs.map((o) => cotangents[o]), split.inputs, self)
  const all: Array<Tangent> = inputs.map(() => null)
  split.from.forEach((i, k) => {
    if (i !== undefined) all[i] = results[k]
  })
  return all
}

const transposeLinear = (
  params: Params,
  cotangents: ReadonlyArray<Tangent>,
  inputs: ReadonlyArray<Tensor | Linear>,
  self: Interpreters
): ReadonlyArray<Tangent> => {
  const { num_carry: carries, program } = params
  const g = groups(params)
  const all = indices(inputs.length)
  // Carries are tangents, also those that start with known zeros.
  const linearIn = (i: number) => g.isCarry(i) || isLinear(inputs[i])
  const pick = (member: (i: number) => boolean, linear: boolean) =>
    all.filter((i) => member(i) && linearIn(i) === linear)
  const constRes = pick(g.isConst, false)
  const constLin = pick(g.isConst, true)
  const carryLin = pick(g.isCarry, true)
  const slicedRes = pick(g.isSliced, false)
  const slicedLin = pick(g.isSliced, true)
  const outAvals = program.outputs.map((o) => o.aval)
  const movingYs = indices(outAvals.length, (o) => o >= carries && cotangents[o] !== null)
  const avalOf = (i: number) => program.inputs[i].aval
  const layout = [constRes, constLin, carryLin, slicedRes].map((group) => group.map(avalOf))
  const body = closedProgram("transpose", [...layout.flat(), ...movingYs.map((o) => outAvals[o])], (args) => {
    const take = cutter(args)
    const [res, sums, carryCts, slices, yCts] = [constRes, constLin, carryLin, slicedRes, movingYs].map((v) =>
      take(v.length)
    )
    const cts = outAvals.map((_, o): Tangent => o < carries ? carryCts[o] : yCts[movingYs.indexOf(o)] ?? null)
    const values = all.map((i): Tensor | Linear =>
      constRes.includes(i)
        ? res[constRes.indexOf(i)]
        : slicedRes.includes(i)
        ? slices[slicedRes.indexOf(i)]
        : { _tag: "Linear", aval: avalOf(i) }
    )
    const results = self.transpose(program, values, cts)
    return [
      ...constLin.map((i, k) => {
        const ct = results[i]
        return ct === null ? sums[k] : Lax.add(sums[k], ct)
      }),
      ...carryLin.map((i) => instantiate(results[i], { aval: avalOf(i) })),
      ...slicedLin.map((i) => instantiate(results[i], { aval: avalOf(i) }))
    ]
  })
  const node = control.scan({
    ...params,
    reverse: !params.reverse,
    num_consts: constRes.length,
    num_carry: constLin.length + carryLin.length,
    program: body
  }, [
    ...constRes.map((i) => inputs[i] as Tensor),
    ...constLin.map((i) => zerosLike({ aval: avalOf(i) })),
    ...carryLin.map((i) => instantiate(cotangents[i - params.num_consts], { aval: avalOf(i) })),
    ...slicedRes.map((i) => inputs[i] as Tensor),
    ...movingYs.map((o) => cotangents[o] as Tensor)
  ])
  const result: Array<Tangent> = inputs.map(() => null)
  ;[...constLin, ...carryLin, ...slicedLin].forEach((i, k) => {
    if (isLinear(inputs[i])) result[i] = node.outputs[k]
  })
  return result
}

/** Takes the first n of what is left, again and again. */
const cutter = <A>(items: ReadonlyArray<A>) => {
  let at = 0
  return (n: number): ReadonlyArray<A> => items.slice(at, at += n)
}

/** The rules of scan. */
export const scan: ControlRule<"scan"> = {
  jvp: (params, primals, tangents, context) =>
    (context.mode === "forward" ? jvpForward : jvpLinearize)(params, primals, tangents, context),
  transpose,
  batch: (params, inputs, axes, axis, { emit, self }) => {
    const { num_carry: carries, num_consts: consts, program } = params
    const g = groups(params)
    const body = (flags: ReadonlyArray<boolean>) =>
      batchBody(self, program, flags, axis, (o) => o < carries && flags[consts + o])
    const mapped = settleCarries(params, axes.map((a) => a !== null), (flags) => body(flags).mapped)
    const batched = body(mapped)
    const node = control.scan(
      { ...params, program: batched.program },
      fronted(inputs, axes, axis.size, (i) => g.isSliced(i) ? 1 : 0).map((x, i) =>
        g.isCarry(i) && mapped[i] && axes[i] === null
          ? Lax.broadcastInDim(x, [axis.size, ...x.shape], x.shape.map((_, d) => d + 1))
          : x
      )
    )
    emit(node)
    return {
      outputs: node.outputs,
      axes: batched.mapped.map((m, o) => m ? o < carries ? 0 : 1 : null)
    }
  }
}
