/**
 * The traversal and its inverse with index maps of one's own: several values split and merged in one index space, or
 * merged into objects that are there. `split`, `merge` and the contexts stand on the same; this is for those who write
 * transforms.
 *
 * An index map is a plain `Map`: JavaScript's Maps compare objects by identity.
 */
import * as Effect from "effect/Effect"
import type { StateOf } from "../State/types.ts"
import { attemptWith } from "../Tensor/attempt.ts"
import { type ContextMergeError, isContextMergeError, mergeOutside } from "./context.ts"
import { finish, visit, walk } from "./flatten.ts"
import type { StateLike } from "./gather.ts"
import { type Any, fromEntries, type GraphDef } from "./GraphDef.ts"
import { checked } from "./read.ts"
import { mergeWith, splitFlat } from "./split.ts"

/** Objects by index. */
const inOrder = (indices: Iterable<readonly [object, number]>): ReadonlyArray<object> => {
  const objects: Array<object> = []
  for (const [object, index] of indices) objects[index] = object
  return objects
}

const fromIndices = (objects: ReadonlyMap<number, object>): ReadonlyArray<object> =>
  inOrder(Array.from(objects, ([index, object]) => [object, index]))

/**
 * A value as its structure and its State. Graph nodes and Variables are numbered in the order in which a depth-first
 * walk along sorted attributes meets them; nodes without identity get no number (-1). What `refIndex` has is a reference
 * to it, without State, and what is new is added to `refIndex`.
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 *
 * class Node extends nnx.Module("Node")<Readonly<Record<string, unknown>>> {}
 * const v = nnx.Param.makeUnsafe(nnx.Tensor.array(1))
 *
 * const program = Effect.gen(function*() {
 *   const refIndex = new Map<object, number>()
 *   yield* nnx.GraphDef.flatten(new Node({ v }), refIndex)
 *   const [graphdef, state] = yield* nnx.GraphDef.flatten(new Node({ v }), refIndex)
 *   console.log(String(graphdef), nnx.State.length(state))
 *   // => GraphDef Node(index=2)
 *   //   v: Ref(index=1) 0
 * })
 * Effect.runSync(program)
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const flatten = <A>(
  self: A,
  refIndex: Map<object, number> = new Map()
): Effect.Effect<[graphdef: GraphDef<A>, state: StateOf<A>]> =>
  Effect.sync(() => {
    const w = walk(undefined, inOrder(refIndex))
    visit(w, self, [], false)
    w.indices.forEach((index, object) => refIndex.set(object, index))
    return splitFlat(checked(finish(w)), []) as unknown as [GraphDef<A>, StateOf<A>]
  })

/** Index maps of `unflatten`. */
export interface UnflattenOptions {
  /** What references mean that are not in the GraphDef itself. What is made is added. */
  readonly indexRef?: Map<number, object>
  /**
   * Objects that are there: each is changed in place, to have what the GraphDef and the State say, instead of made
   * anew.
   */
  readonly indexRefCache?: ReadonlyMap<number, object>
}

/**
 * The value of a structure and a State: the inverse of `flatten`. Fails with a `StructureError` if the State does not
 * fit, an index is used twice, or an object of the cache is of another type.
 *
 * @category combinators
 * @since 0.1.0
 */
export const unflatten = <A>(
  self: GraphDef<A>,
  state: StateLike,
  options: UnflattenOptions = {}
): Effect.Effect<A, ContextMergeError> =>
  attemptWith(isContextMergeError, () => {
    const { indexRef, indexRefCache } = options
    const objects = indexRef === undefined ? [] : fromIndices(indexRef)
    const made = indexRefCache === undefined
      ? mergeWith(self, [state], { objects, operation: "unflatten" })
      : mergeOutside(reusing(self, indexRefCache), [state], fromIndices(indexRefCache), objects, "unflatten")
    made.objects.forEach((object, i) => indexRef?.set(i, object))
    return made.value as A
  })

/** The structure, with the objects of a cache as those that came from outside. */
const reusing = (self: Any, cache: ReadonlyMap<number, object>): Any =>
  fromEntries(
    self.entries.map((e) =>
      (e._tag === "Node" || e._tag === "Variable") && cache.has(e.index) ? { ...e, outerIndex: e.index } : e
    )
  )

/**
 * The relation from `A` to `C` by way of `B`. From the objects inside and their indices in a split, with the objects
 * inside by their outer indices, it is the mapping from outer indices to inner ones.
 *
 * @category combinators
 * @since 0.1.0
 */
export const composeMapping = <A, B, C>(ab: ReadonlyMap<A, B>, bc: ReadonlyMap<B, C>): Map<A, C> => {
  const out = new Map<A, C>()
  for (const [a, b] of ab) if (bc.has(b)) out.set(a, bc.get(b) as C)
  return out
}

/**
 * The relation from `C` to `A` by way of `B`. From the objects outside and their indices, with the mapping from outer to
 * inner indices, it is the objects outside by their inner indices: the cache of `unflatten`.
 *
 * @category combinators
 * @since 0.1.0
 */
export const composeMappingReversed = <A, B, C>(ab: ReadonlyMap<A, B>, bc: ReadonlyMap<B, C>): Map<C, A> => {
  const out = new Map<C, A>()
  for (const [a, b] of ab) if (bc.has(b)) out.set(bc.get(b) as C, a)
  return out
}
