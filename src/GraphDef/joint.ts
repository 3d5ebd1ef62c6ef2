/**
 * Several models split, and merged again, that share nodes or Variables: what stands in the first is a reference in the
 * others. The splits of one context number their objects together, and so must the merges, in the same order.
 */
import * as Effect from "effect/Effect"
import { attemptWith } from "../Tensor/attempt.ts"
import {
  comesFromInside,
  type ContextMergeError,
  currentContext,
  ended,
  isContextMergeError,
  isContextSplitError,
  mergeOutside,
  type UpdateContextImpl
} from "./context.ts"
import type { UpdateContextError } from "./errors.ts"
import { finish, visit, walk } from "./flatten.ts"
import type { StateLike } from "./gather.ts"
import type { GraphDef } from "./GraphDef.ts"
import { checked } from "./read.ts"
import { bySignature, mergeWith, type Split, splitFlat } from "./split.ts"

/** Splits that number their objects together. */
export interface SplitContext {
  readonly split: Split<UpdateContextError>
}

/** Merges that number their objects together. */
export interface MergeContext {
  readonly merge: <A>(
    self: GraphDef<A>,
    ...states: ReadonlyArray<StateLike>
  ) => Effect.Effect<A, ContextMergeError>
}

/** The objects of a context, as long as it is open. */
class Objects {
  readonly #what: string
  readonly #tag: string | undefined
  #objects: ReadonlyArray<object> | undefined = []
  /** Have objects outside been changed: is it step 4? */
  outside = false
  constructor(what: string, tag: string | undefined) {
    this.#what = what
    this.#tag = tag
  }
  get all(): ReadonlyArray<object> {
    if (this.#objects === undefined) throw ended(this.#tag, this.#what)
    return this.#objects
  }
  set all(objects: ReadonlyArray<object>) {
    this.#objects = objects
  }
  close(): void {
    this.#objects = undefined
  }
}

/** Runs a function with a context over the update context of a tag, if there is one, and closes it afterwards. */
const during = <C, A, E, R>(
  what: string,
  tag: string | undefined,
  f: (context: C) => Effect.Effect<A, E, R>,
  make: (objects: Objects, outer: UpdateContextImpl | undefined) => C,
  end: (objects: Objects, outer: UpdateContextImpl) => void
): Effect.Effect<A, E | UpdateContextError, R> =>
  Effect.flatMap(tag === undefined ? Effect.undefined : currentContext(tag), (outer) => {
    const objects = new Objects(what, tag)
    return Effect.ensuring(
      Effect.suspend(() => f(make(objects, outer))),
      Effect.sync(() => {
        if (outer !== undefined) end(objects, outer)
        objects.close()
      })
    )
  })

const splitting = (objects: Objects, outer: UpdateContextImpl | undefined): SplitContext => ({
  split: bySignature<Split<UpdateContextError>>((self: unknown, ...filters: ReadonlyArray<never>) =>
    attemptWith(isContextSplitError, () => {
      const w = walk(outer?.inner, objects.all)
      visit(w, self, [], false)
      const parts = splitFlat(checked(finish(w)), filters)
      objects.all = w.objects
      return parts
    })
  )
})

const merging = (objects: Objects, outer: UpdateContextImpl | undefined): MergeContext => ({
  merge: <M>(self: GraphDef<M>, ...states: ReadonlyArray<StateLike>) =>
    attemptWith(isContextMergeError, () => {
      const before = objects.all
      const outside = outer === undefined || !comesFromInside(self) ? undefined : outer.checkMerge()
      const made = outside === undefined
        ? mergeWith(self, states, { objects: before })
        : mergeOutside(self, states, outside, before)
      objects.all = made.objects
      objects.outside ||= outside !== undefined
      return made.value as M
    })
})

/** A context given to a function, by itself or over the update context of a tag. */
export interface WithContext<C> {
  <A, E, R>(f: (context: C) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R>
  <A, E, R>(tag: string, f: (context: C) => Effect.Effect<A, E, R>): Effect.Effect<A, E | UpdateContextError, R>
}

/**
 * Splits of several models that share objects. With a tag they are steps 1 and 3 of the update context of that tag.
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
export const splitContext: WithContext<SplitContext> = bySignature((...args: ReadonlyArray<never>) => {
  const [tag, f] = argumentsOf<SplitContext>(args)
  return during("A splitContext", tag, f, splitting, (objects, outer) => outer.splitEnd(objects.all))
})

/**
 * Merges of what one `splitContext` split, in the same order. With a tag they are steps 2 and 4 of its update context.
 *
 * @category combinators
 * @since 0.1.0
 */
export const mergeContext: WithContext<MergeContext> = bySignature((...args: ReadonlyArray<never>) => {
  const [tag, f] = argumentsOf<MergeContext>(args)
  return during(
    "A mergeContext",
    tag,
    f,
    merging,
    (objects, outer) => objects.outside ? outer.clear() : outer.mergeEnd(objects.all)
  )
})

type Use<C> = (context: C) => Effect.Effect<unknown, unknown, unknown>

const argumentsOf = <C>(args: ReadonlyArray<unknown>): readonly [tag: string | undefined, f: Use<C>] => {
  const [first, second] = args
  return typeof first === "string" ? [first, second as Use<C>] : [undefined, first as Use<C>]
}
