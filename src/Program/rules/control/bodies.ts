/**
 * What the rules of all primitives with Programs inside have in common: their bodies batched, differentiated, or
 * transposed, as Programs again.
 */
import type { ShapedArray } from "../../../Tensor/ShapedArray.ts"
import { argument, type Tensor, traceScope } from "../../../Tensor/Tensor.ts"
import { build, closedProgram } from "../../build.ts"
import { evaluate } from "../../evaluate.ts"
import { type Interpreters, isLinear, type Linear, type MappedAxis, type Tangent } from "../../Primitive.ts"
import type { Program } from "../../Program.ts"
import { instantiate, placeAxis } from "../support.ts"

/** A batched body: mapped inputs and outputs have the mapped axis first. */
export interface BatchedBody {
  readonly program: Program
  /** Which outputs are mapped. */
  readonly mapped: ReadonlyArray<boolean>
}

const withAxis = (aval: ShapedArray, size: number): ShapedArray => ({ ...aval, shape: [size, ...aval.shape] })

/** The body over one more axis; outputs that `force` names are mapped even when they don't depend on it. */
export const batchBody = (
  self: Interpreters,
  program: Program,
  mapped: ReadonlyArray<boolean>,
  axis: MappedAxis,
  force: (output: number) => boolean
): BatchedBody => {
  const flags: Array<boolean> = []
  const avals = program.inputs.map((v, i) => mapped[i] ? withAxis(v.aval, axis.size) : v.aval)
  const batched = closedProgram("vmap", avals, (args, emit) => {
    const result = self.batch(program, args, mapped.map((m) => m ? 0 : null), axis, emit)
    return result.outputs.map((x, i) => {
      flags[i] = result.axes[i] !== null || force(i)
      return flags[i] ? placeAxis(x, result.axes[i], axis.size, 0) : x
    })
  })
  return { program: batched, mapped: flags }
}

/** Mapped inputs with the mapped axis moved to the front (at `to`, for stacked arrays). */
export const fronted = (
  inputs: ReadonlyArray<Tensor>,
  axes: ReadonlyArray<number | null>,
  size: number,
  to: (input: number) => number = () => 0
): ReadonlyArray<Tensor> => inputs.map((x, i) => axes[i] === null ? x : placeAxis(x, axes[i], size, to(i)))

/** A body on duals: the primal inputs, then the tangents of those inputs that `active` names. */
export interface DualBody {
  /** Outputs: those of the body, then the tangents that `moving` names. */
  readonly program: Program
  /** Which outputs have a tangent. */
  readonly moving: ReadonlyArray<boolean>
}

/** The body with tangents, in step; outputs that `force` names get a tangent even if it is zero. */
export const dualBody = (
  self: Interpreters,
  program: Program,
  active: ReadonlyArray<boolean>,
  force: (output: number) => boolean
): DualBody => {
  const moving: Array<boolean> = []
  const avals = program.inputs.map((v) => v.aval)
  const dual = closedProgram("jvp", [...avals, ...avals.filter((_, i) => active[i])], (args, emit) => {
    const primals = args.slice(0, avals.length)
    const rest = args.slice(avals.length)
    let next = 0
    const tangents = avals.map((_, i) => active[i] ? rest[next++] : null)
    const result = self.jvp(program, primals, tangents, "forward", emit)
    const outputs: Array<Tensor> = [...result.outputs]
    result.tangents.forEach((t, i) => {
      moving[i] = t !== null || force(i)
      if (moving[i]) outputs.push(instantiate(t, result.outputs[i]))
    })
    return outputs
  })
  return { program: dual, moving }
}

/** A body run forward, and its derivative apart from it. Residuals are arrays of the forward body. */
export interface SplitBody {
  /** The arguments that stand for the body's inputs; `residuals` refers to them. */
  readonly args: ReadonlyArray<Tensor>
  readonly residuals: ReadonlyArray<Tensor>
  /** The forward Program with further outputs. */
  readonly forward: (extra: ReadonlyArray<Tensor>) => Program
  /** Inputs: the residuals, then the tangents of active inputs. Outputs: the tangents that `moving` names. */
  readonly linear: Program
  readonly moving: ReadonlyArray<boolean>
}

/** Linearizes a body: what `linearize` does at one point, for a Program that will run at many. */
export const splitBody = (
  self: Interpreters,
  program: Program,
  active: ReadonlyArray<boolean>,
  force: (output: number) => boolean
): SplitBody => {
  const scope = traceScope("linearize")
  const args = program.inputs.map((v) => argument(v.aval, scope))
  const tangentScope = traceScope("linearize")
  const tangents = program.inputs.map((v, i) =>
    active[i] ? argument({ ...v.aval, weakType: false }, tangentScope) : null
  )
  const effects: Array<Parameters<Parameters<Interpreters["jvp"]>[4]>[0]> = []
  const result = self.jvp(program, args, tangents, "linearize", (node) => effects.push(node))
  const moving = result.tangents.map((t, i) => t !== null || force(i))
  const outputs = result.tangents.flatMap((t, i) => moving[i] ? [instantiate(t, result.outputs[i])] : [])
  const linear = build({
    outputs,
    arguments: tangents.filter((t): t is Tensor => t !== null),
    scope: tangentScope,
    residuals: true
  })
  return {
    args,
    residuals: linear.captures,
    forward: (extra) => build({ outputs: [...result.outputs, ...extra], arguments: args, effects, scope }).program,
    linear: linear.program,
    moving
  }
}

/**
 * Transposes a Program in which known and linear inputs are mixed: evaluates what is known, and transposes the rest.
 */
export const transposeMixed = (
  self: Interpreters,
  program: Program,
  inputs: ReadonlyArray<Tensor | Linear>,
  cotangents: ReadonlyArray<Tangent>
): ReadonlyArray<Tangent> => {
  const scope = traceScope("transpose")
  const args: Array<Tensor> = []
  const values = inputs.map((x) => {
    if (!isLinear(x)) return x
    const arg = argument(x.aval, scope)
    args.push(arg)
    return arg
  })
  const outputs = evaluate(program, values, () => {})
  const wanted = outputs.flatMap((x, i) => cotangents[i] === null ? [] : [{ x, ct: cotangents[i] }])
  const linear = build({ outputs: wanted.map((w) => w.x), arguments: args, scope, residuals: true })
  const results = self.transpose(
    linear.program,
    linear.program.inputs.map((v, i): Tensor | Linear =>
      i < linear.captures.length ? linear.captures[i] : { _tag: "Linear", aval: v.aval }
    ),
    wanted.map((w) => w.ct)
  ).slice(linear.captures.length)
  let next = 0
  return inputs.map((x) => isLinear(x) ? results[next++] : null)
}
