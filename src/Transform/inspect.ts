/**
 * Looking at what a function would do, without running it: `evalShape` gives the shapes of its result, `makeProgram`
 * its Program.
 */
import * as Effect from "effect/Effect"
import * as Inspectable from "effect/Inspectable"
import { innerMerge } from "../GraphDef/updateContext.ts"
import { format } from "../Program/print.ts"
import type { Program, Var } from "../Program/Program.ts"
import { type Description, References } from "../Program/references.ts"
import { CurrentTrace } from "../Program/Trace.ts"
import { cellOf } from "../Ref/Variable.ts"
import type { ShapedArray } from "../Tensor/ShapedArray.ts"
import { argument, traceScope } from "../Tensor/Tensor.ts"
import * as Tree from "../Tensor/Tree.ts"
import { attempt, type TransformError } from "./attempt.ts"
import { call, type LeafArrays, type SplitArguments, splitArguments } from "./lift.ts"
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
export interface ShownProgram extends Program, Inspectable.Inspectable {
  /** The inputs that are Variables. Such a Program is to be read: it cannot be run or transformed. */
  readonly variables: ReadonlyMap<Var, Description>
}

const Shown = {
  ...Inspectable.BaseProto,
  toString(this: ShownProgram): string {
    return format(this, { variables: this.variables })
  },
  toJSON(this: ShownProgram) {
    return { _id: "Program", text: this.toString() }
  },
  [Inspectable.NodeInspectSymbol](this: ShownProgram): string {
    return this.toString()
  }
}

/** Arguments with a reference in place of the value of every Variable. */
const referenced = (args: SplitArguments, references: References): SplitArguments => {
  const leaves = args.leaves.map(({ arrays, leaf, structure }): LeafArrays => {
    const description = leaf._tag === "Variable" ? cellOf(leaf.variable).description : undefined
    if (description === undefined) return { arrays, leaf, structure }
    return {
      arrays: [references.make(description, Tree.unflatten(structure, arrays))],
      leaf,
      structure: { _tag: "Leaf" }
    }
  })
  return { ...args, leaves, arrays: leaves.flatMap((l) => l.arrays) }
}

/**
 * The Program of a function for arguments of these shapes (JAX's `make_jaxpr`). It prints like a jaxpr.
 *
 * Inputs are captured arrays, Variables that the function uses through its closure, then arrays and Variables of the
 * arguments; outputs are the arrays of the result. A Variable is one input, `a:Param()`; what the function does with it
 * are equations, `get_variable` and `set_variable`, in effect order, also inside `jit`, `remat`, loops and branches. The
 * other transforms read the Variables that their function uses before it, and write them after it. What `jit` compiles
 * has arrays in and out instead: `lower` shows those.
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 *
 * const sum = (x: nnx.Tensor.Tensor) => Effect.succeed(x.sum({ axis: 0 }))
 * const program = nnx.makeProgram(sum)(nnx.Tensor.ones([2, 3]))
 * console.log(String(await Effect.runPromise(program)))
 * // => { lambda ; a:f32[2,3]. let b:f32[3] = reduce_sum[axes=(0,)] a in (b,) }
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
    const references = new References()
    const split = referenced(splitArguments(args, parent), references)
    const c = yield* call<Args, A, E, R>(f, split, parent, {
      transform: `makeProgram(${f.name || "anonymous"})`,
      references
    })
    const { program, variables } = c.discharged
    return Object.assign(Object.create(Shown), { ...program, variables }) as ShownProgram
  })
