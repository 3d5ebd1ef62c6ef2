/**
 * What all derivative transforms have in common: a traced call, linearized or pushed forward at the point of its
 * operands, and its results landed in the outer world.
 */
import * as Effect from "effect/Effect"
import type { BackendError } from "../Backend/Backend.ts"
import { evaluate } from "../Program/evaluate.ts"
import { interpreters } from "../Program/interpreters.ts"
import { linearize, type Linearized, pullback } from "../Program/linearize.ts"
import type { Tangent } from "../Program/Primitive.ts"
import { type Program, subPrograms } from "../Program/Program.ts"
import type { Trace } from "../Program/Trace.ts"
import * as DType from "../Tensor/DType.ts"
import { DTypeError, ShapeError, type TensorError, TraceError } from "../Tensor/errors.ts"
import * as Lax from "../Tensor/lax/index.ts"
import * as ShapedArray from "../Tensor/ShapedArray.ts"
import { literal, type Tensor } from "../Tensor/Tensor.ts"
import { type Call, conclude, type Emitter, emitter, layout, operands } from "./lift.ts"

/** Zeros of a shape and dtype. */
export const zeros = (aval: ShapedArray.ShapedArray): Tensor => Lax.broadcastTo(literal(0, aval.dtype), aval.shape)

/** Ones of a shape and dtype. */
export const ones = (aval: ShapedArray.ShapedArray): Tensor => Lax.broadcastTo(literal(1, aval.dtype), aval.shape)

/** The results of a call that was differentiated: its own value (landed), and the arrays of that value. */
export interface Differentiated {
  readonly value: unknown
  /** The arrays of the function's result, in order. */
  readonly arrays: ReadonlyArray<Tensor>
  /** For each of them, its position among the Program's outputs. */
  readonly positions: ReadonlyArray<number>
}

/** Runs what is left to run, writes state, and gives the value. */
const landOutputs = (
  c: Call,
  outputs: ReadonlyArray<Tensor>,
  kept: Emitter
): Effect.Effect<Differentiated, TensorError | BackendError> => {
  const positions: Array<number> = []
  let next = 0
  for (const r of c.results) {
    if (r.unchanged) continue
    for (let i = 0; i < r.arrays.length; i++, next++) if (r.leaf.path[0] !== "0") positions.push(next)
  }
  return Effect.map(
    conclude(c, outputs, kept),
    (value) => ({ value, arrays: positions.map((i) => outputs[i]), positions })
  )
}

/** A call in reverse mode. */
export interface Reverse extends Differentiated {
  /** Cotangents of the active slots from cotangents of the result's arrays. */
  readonly pull: (cotangents: ReadonlyArray<Tangent>) => ReadonlyArray<Tensor>
  /** Tangents of the result's arrays from tangents of the active slots. */
  readonly push: (tangents: ReadonlyArray<Tensor>) => ReadonlyArray<Tensor>
}

/** Linearizes a call with respect to some slots of its arguments. */
export const reverse = (
  c: Call,
  active: ReadonlyArray<number>,
  parent: Trace | undefined
): Effect.Effect<Reverse, TensorError | BackendError> =>
  Effect.suspend(() => {
    const kept = emitter(parent)
    const at = layout(c).argumentsAt
    const primals = operands(c, parent)
    const linearized = linearize(interpreters, c.discharged.program, primals, active.map((i) => at + i), kept.emit)
    return Effect.map(landOutputs(c, linearized.outputs, kept), (differentiated): Reverse => ({
      ...differentiated,
      pull: (cts) => pull(linearized, differentiated, primals, at, active, cts),
      push: (ts) => push(linearized, differentiated, ts)
    }))
  })

/** The name of a function in a linear Program that can only be transposed. */
const reverseOnly = (program: Program): string | undefined => {
  for (const e of program.equations) {
    if (e.primitive === "custom_lin") return e.params.name
    const inner = subPrograms(e).map(reverseOnly).find((name) => name !== undefined)
    if (inner !== undefined) return inner
  }
  return undefined
}

const push = (
  { linear, moving, outputs }: Linearized,
  d: Differentiated,
  tangents: ReadonlyArray<Tensor>
): ReadonlyArray<Tensor> => {
  const backward = reverseOnly(linear.program)
  if (backward !== undefined) {
    throw new TraceError({
      transform: "linearize",
      reason: `${backward} has a custom vjp, which gives no forward-mode derivative`,
      hint: "use reverse mode (grad, vjp, jacrev), or give the function a customJvp"
    })
  }
  const moved = evaluate(linear.program, [...linear.captures, ...tangents], () => {})
  return d.positions.map((p) => moved[moving.indexOf(p)] ?? zeros(tangentAval(outputs[p].aval)))
}

const pull = (
  linearized: Linearized,
  d: Differentiated,
  primals: ReadonlyArray<Tensor>,
  at: number,
  active: ReadonlyArray<number>,
  cotangents: ReadonlyArray<Tangent>
): ReadonlyArray<Tensor> => {
  const all: Array<Tangent> = linearized.outputs.map(() => null)
  d.positions.forEach((p, i) => {
    all[p] = cotangents[i] ?? null
  })
  return pullback(interpreters, linearized, all).map((ct, i) => ct ?? zeros(primals[at + active[i]].aval))
}

/** Applies a Program's forward derivative to tangents of slots; gives result arrays and their tangents. */
export const forward = (
  c: Call,
  tangents: ReadonlyArray<Tangent>,
  parent: Trace | undefined
): Effect.Effect<Differentiated & { readonly tangents: ReadonlyArray<Tensor> }, TensorError | BackendError> =>
  Effect.suspend(() => {
    const kept = emitter(parent)
    const at = layout(c).argumentsAt
    const primals = operands(c, parent)
    const all: ReadonlyArray<Tangent> = primals.map((_, i) => i < at ? null : tangents[i - at] ?? null)
    const { outputs, tangents: out } = interpreters.jvp(c.discharged.program, primals, all, "forward", kept.emit)
    return Effect.map(landOutputs(c, outputs, kept), (differentiated) => ({
      ...differentiated,
      tangents: differentiated.positions.map((p) => out[p] ?? zeros(tangentAval(outputs[p].aval)))
    }))
  })

/** The abstract value of the tangent of an array: float0 has no counterpart here, integers have float32 zeros. */
const tangentAval = (aval: ShapedArray.ShapedArray): ShapedArray.ShapedArray =>
  DType.isFloat(aval.dtype) ? { ...aval, weakType: false } : ShapedArray.make(aval.shape, "float32")

/** Fails unless the arrays are floats. `paths` say where they are. */
export const checkFloats = (
  transform: string,
  arrays: ReadonlyArray<{ readonly path: string; readonly aval: ShapedArray.ShapedArray }>
): Effect.Effect<void, DTypeError> => {
  const bad = arrays.filter((x) => !DType.isFloat(x.aval.dtype))
  return bad.length === 0 ? Effect.void : Effect.fail(
    new DTypeError({
      operation: transform,
      expected: "floating arrays to differentiate",
      found: bad.map((x) => `${ShapedArray.format(x.aval)} at ${x.path}`).join(", "),
      hint: "choose other arguments with argnums or wrt, or convert with astype"
    })
  )
}

/** Fails unless the result of a function to be differentiated is one real number. */
export const checkScalar = (
  transform: string,
  arrays: ReadonlyArray<Tensor>
): Effect.Effect<void, ShapeError | DTypeError> => {
  const found = arrays.length === 0 ? "no array" : arrays.map((x) => ShapedArray.format(x.aval)).join(", ")
  if (arrays.length !== 1 || arrays[0].ndim !== 0) {
    return Effect.fail(
      new ShapeError({
        operation: transform,
        expected: "a function whose value is one scalar",
        found,
        hint: "reduce it with sum or mean; return further values with hasAux; or use vjp or jacrev"
      })
    )
  }
  return DType.isFloat(arrays[0].dtype) ? Effect.void : Effect.fail(
    new DTypeError({ operation: transform, expected: "a floating value", found, hint: "convert it with astype" })
  )
}
