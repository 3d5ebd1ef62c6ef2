/**
 * Looking at what a function would do, without running it: `evalShape` gives the shapes of its result, `makeProgram`
 * its Program.
 */
import * as Effect from "effect/Effect"
import * as Inspectable from "effect/Inspectable"
import { innerMerge } from "../GraphDef/updateContext.ts"
import { format } from "../Program/print.ts"
import type { Program } from "../Program/Program.ts"
import { CurrentTrace } from "../Program/Trace.ts"
import type { ShapedArray } from "../Tensor/ShapedArray.ts"
import { argument, traceScope } from "../Tensor/Tensor.ts"
import * as Tree from "../Tensor/Tree.ts"
import { attempt, type TransformError } from "./attempt.ts"
import { call, splitArguments } from "./lift.ts"
import type { Traced } from "./types.ts"

/**
 * The result of a function with the right structure, shapes and dtypes, but no elements: nothing is computed, and
 * nothing is written.
 *
 * Use it to make an abstract model as the target of `Checkpoint.restore`, or to know shapes. Using an array of the
 * result in a computation is a `TracerLeakError`.
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 *
 * const product = (x: nnx.Tensor.Tensor, y: nnx.Tensor.Tensor) => Effect.succeed(x.matmul(y))
 * const result = nnx.evalShape(product)(nnx.Tensor.ones([2, 3]), nnx.Tensor.ones([3, 5]))
 * console.log((await Effect.runPromise(result)).shape) // => [ 2, 5 ]
 * ```
 *
 * @category transforms
 * @since 0.1.0
 */
export const evalShape = <Args extends ReadonlyArray<unknown>, A, E, R>(
  f: Traced<Args, A, E, R>
) =>
(...args: Args): Effect.Effect<A, E | TransformError, R> =>
  Effect.gen(function*() {
    const parent = yield* CurrentTrace
    const split = splitArguments(args, parent)
    const c = yield* call<Args, A, E, R>(f, split, parent, { transform: `evalShape(${f.name || "anonymous"})` })
    const scope = traceScope("evalShape")
    scope.finished = true
    const abstract = (aval: ShapedArray) => argument(aval, scope)
    const values = c.results.map((r) => Tree.unflatten(r.structure, r.arrays.map((x) => abstract(x.aval))))
    return yield* attempt(() => (innerMerge(c.graphdef, values, parent).value as ReadonlyArray<unknown>)[1] as A)
  })

/** A Program that prints itself. */
export type ShownProgram = Program & Inspectable.Inspectable

const Shown = {
  ...Inspectable.BaseProto,
  toString(this: Program): string {
    return format(this)
  },
  toJSON(this: Program) {
    return { _id: "Program", text: format(this) }
  },
  [Inspectable.NodeInspectSymbol](this: Program): string {
    return format(this)
  }
}

/**
 * The Program of a function for arguments of these shapes (JAX's `make_jaxpr`). It prints like a jaxpr.
 *
 * Inputs are captured arrays, Variables that the function reads through its closure, then the arrays of the arguments;
 * outputs are those of changed arguments, of the result, then of Variables written through the closure.
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 *
 * const sum = (x: nnx.Tensor.Tensor) => Effect.succeed(x.sum({ axis: 0 }))
 * const program = nnx.makeProgram(sum)(nnx.Tensor.ones([2, 3]))
 * console.log(String(await Effect.runPromise(program)))
 * // => { lambda ; a:f32[2,3] . let b:f32[3] = reduce_sum[axes=(0,)] a in (b) }
 * ```
 *
 * @category transforms
 * @since 0.1.0
 */
export const makeProgram = <Args extends ReadonlyArray<unknown>, A, E, R>(
  f: Traced<Args, A, E, R>
) =>
(...args: Args): Effect.Effect<ShownProgram, E | TransformError, R> =>
  Effect.gen(function*() {
    const parent = yield* CurrentTrace
    const split = splitArguments(args, parent)
    const c = yield* call<Args, A, E, R>(f, split, parent, { transform: `makeProgram(${f.name || "anonymous"})` })
    return Object.assign(Object.create(Shown), c.discharged.program) as ShownProgram
  })
