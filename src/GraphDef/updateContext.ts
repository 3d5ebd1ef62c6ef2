/**
 * The four steps by which a transform takes a graph of objects through a pure function and gives the changes back,
 * keeping the identity of the objects outside:
 *
 * ```text
 *            outside                          inside
 *   (1) outerSplit(args)   ──  GraphDef,  ──▶  (2) innerMerge          objects numbered as in (1)
 *            objects                 values           │
 *                                                     ▼  f changes its own copies
 *   (4) outerMerge         ◀──  GraphDef, ──  (3) innerSplit(out)      those known from (2) carry their
 *       fills the objects           values                             number of (1) as outer index
 * ```
 *
 * All arguments of a call are one value (a tuple), so that what is shared between them is one object inside as well.
 */
import * as Effect from "effect/Effect"
import { currentUnsafe, type Trace } from "../Program/Trace.ts"
import { type Any as Variable, cellOf, writeAll } from "../Ref/Variable.ts"
import { build } from "./build.ts"
import { type Flat, flatten, type Leaf } from "./flatten.ts"
import type { Any as GraphDef } from "./GraphDef.ts"
import { snapshot } from "./read.ts"

export { type Flattener, flattener } from "./cache.ts"
export type { Leaf } from "./flatten.ts"

/** What `outerSplit` gives: the GraphDef, the leaves, and the objects by index. */
export type Split = Flat

/**
 * Step 1: takes apart what goes in. `objects` are its graph nodes and Variables by index.
 *
 * @internal
 */
export const outerSplit = (value: unknown): Flat => flatten(value)

/**
 * Step 2: makes fresh nodes and Variables, owned by a trace. `values[i]` is the value of leaf i: the value tree of a
 * Variable, or an array. `objects` have the numbers of step 1.
 *
 * @internal
 */
export const innerMerge = (
  graphdef: GraphDef,
  values: ReadonlyArray<unknown>,
  owner: Trace | undefined
): { readonly value: unknown; readonly objects: ReadonlyArray<object> } => build(graphdef, values, { owner })

/**
 * Step 3: takes apart what comes out. Objects of step 2 are marked with their number there.
 *
 * @internal
 */
export const innerSplit = (
  value: unknown,
  inner: ReadonlyArray<object>
): { readonly graphdef: GraphDef; readonly leaves: ReadonlyArray<Leaf> } => flatten(value, inner)

/** How step 4 writes. */
export interface OuterMergeOptions {
  /** The trace that owns new objects: the one in which the transform was applied. */
  readonly owner: Trace | undefined
  /** Writes a Variable of step 1; called only where there is a value. */
  readonly write: Write
}

/** Writes a Variable outside. */
export type Write = (variable: Variable, value: unknown) => void

/**
 * Step 4: the value outside. Objects with an outer index are the objects of step 1 themselves: attributes that differ
 * are replaced, removed or added (and the node's version counted if there are any), Variables are written where
 * `values[i]` is not undefined. All others are made new. Nothing is changed before everything is built.
 *
 * @internal
 */
export const outerMerge = (
  graphdef: GraphDef,
  values: ReadonlyArray<unknown>,
  outer: ReadonlyArray<object>,
  options: OuterMergeOptions
): unknown => build(graphdef, values, { owner: options.owner, outer, write: options.write }).value

/**
 * Runs a function on a copy of a model (or of several, in an array or object) and brings what it changed back: all four
 * steps in one Effect. Values of Variables, fields set, removed or swapped inside reach the objects outside, which stay
 * the same objects; where the result of the function has objects of the copy, it has the outer ones in their place.
 * When the function fails, nothing is changed. (Flax has the four steps only one by one: `updateContext`.)
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 *
 * class Linear extends nnx.Module("Linear")<{
 *   readonly kernel: nnx.Variable<"Param", nnx.Tensor.Tensor>
 *   readonly mean: nnx.Variable<"BatchStat", nnx.Tensor.Tensor>
 * }> {}
 * const model = new Linear({
 *   kernel: nnx.Param.makeUnsafe(nnx.Tensor.ones([2, 3])),
 *   mean: nnx.BatchStat.makeUnsafe(nnx.Tensor.zeros([3]))
 * })
 *
 * const program = nnx.transact(model, (inner) =>
 *   Effect.andThen(nnx.setAttribute(inner, "trained", true), Effect.succeed(inner)))
 * console.log(Effect.runSync(program) === model, Object.keys(model)) // => true [ 'kernel', 'mean', 'trained' ]
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const transact = <A, B, E, R>(
  value: A,
  f: (inner: A) => Effect.Effect<B, E, R>
): Effect.Effect<B, E, R> =>
  Effect.suspend(() => {
    const outer = outerSplit([value])
    const before = snapshot(outer)
    const owner = currentUnsafe()
    const inner = innerMerge(outer.graphdef, before, owner)
    const original = new Map(outer.leaves.flatMap((leaf, i) =>
      leaf._tag === "Variable" ? [[inner.objects[outer.objects.indexOf(leaf.variable)], before[i]] as const] : []
    ))
    return Effect.map(f((inner.value as readonly [A])[0]), (out) => {
      const after = innerSplit([inner.value, out], inner.objects)
      const now = after.leaves.map((leaf) => {
        if (leaf._tag === "Array") {
          return leaf.tensor
        }
        const { raw } = cellOf(leaf.variable)
        return original.has(leaf.variable) && original.get(leaf.variable) === raw ? undefined : raw
      })
      const variables: Array<Variable> = []
      const values: Array<unknown> = []
      const write: Write = (variable, x) => {
        variables.push(variable)
        values.push(x)
      }
      const merged = outerMerge(after.graphdef, now, outer.objects, { owner, write }) as readonly [unknown, B]
      writeAll(variables, values)
      return merged[1]
    })
  })
