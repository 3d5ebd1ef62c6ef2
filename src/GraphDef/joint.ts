/**
 * Several models split, and merged again, that share nodes or Variables: what stands in the first is a reference in the
 * others. The splits of one context number their objects together, and so must the merges, in the same order.
 */
import * as Effect from "effect/Effect"
import { attemptWith } from "../Tensor/attempt.ts"
import { TraceError } from "../Tensor/errors.ts"
import { AliasError, StructureError } from "./errors.ts"
import { finish, visit, walk } from "./flatten.ts"
import type { StateLike } from "./gather.ts"
import type { GraphDef } from "./GraphDef.ts"
import { bySignature, isFilterError, isMergeError, mergeWith, type Split, splitFlat } from "./split.ts"

/** Splits that number their objects together. */
export interface SplitContext {
  readonly split: Split
}

/** Merges that number their objects together. */
export interface MergeContext {
  readonly merge: <A>(
    self: GraphDef<A>,
    ...states: ReadonlyArray<StateLike>
  ) => Effect.Effect<A, StructureError | AliasError>
}

/** The objects of a context, as long as it is open. */
class Objects {
  #objects: ReadonlyArray<object> | undefined = []
  get all(): ReadonlyArray<object> {
    if (this.#objects !== undefined) return this.#objects
    throw new TraceError({
      transform: "splitContext",
      reason: "a context was used after its end",
      hint: "split and merge inside of the function that was given the context"
    })
  }
  set all(objects: ReadonlyArray<object>) {
    this.#objects = objects
  }
  close(): void {
    this.#objects = undefined
  }
}

/** Runs a function with a context, and closes it afterwards. */
const during = <C, A, E, R>(
  make: (objects: Objects) => C,
  f: (context: C) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    const objects = new Objects()
    return Effect.ensuring(f(make(objects)), Effect.sync(() => objects.close()))
  })

/**
 * Splits of several models that share objects:
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 *
 * class Scale extends nnx.Module("Scale")<{ readonly by: nnx.Variable<"Param", number> }> {}
 * const by = nnx.Param.makeUnsafe(3)
 * const [one, two] = [new Scale({ by }), new Scale({ by })]
 *
 * const program = Effect.gen(function*() {
 *   const [[def1, state1], [def2, state2]] = yield* nnx.GraphDef.splitContext(({ split }) =>
 *     Effect.all([split(one), split(two)]))
 *   console.log(nnx.State.length(state1), nnx.State.length(state2)) // => 1 0
 *   const [a, b] = yield* nnx.GraphDef.mergeContext(({ merge }) =>
 *     Effect.all([merge(def1, state1), merge(def2, state2)]))
 *   console.log(a.by === b.by) // => true
 * })
 * Effect.runSync(program)
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const splitContext = <A, E, R>(f: (context: SplitContext) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  during((objects) => ({
    split: bySignature<Split>((self: unknown, ...filters: ReadonlyArray<never>) =>
      attemptWith(isFilterError, () => {
        const w = walk(undefined, objects.all)
        visit(w, self, [], false)
        objects.all = w.objects
        return splitFlat(finish(w), filters)
      })
    )
  }), f)

/**
 * Merges of what one `splitContext` split, in the same order.
 *
 * @category combinators
 * @since 0.1.0
 */
export const mergeContext = <A, E, R>(f: (context: MergeContext) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  during((objects): MergeContext => ({
    merge: <M>(self: GraphDef<M>, ...states: ReadonlyArray<StateLike>) =>
      attemptWith(isMergeError, () => {
        const made = mergeWith(self, states, objects.all)
        objects.all = made.objects
        return made.value as M
      })
  }), f)
