/**
 * Update contexts: the four steps of `updateContext.ts` for one's own transforms, with the book-keeping in a value that
 * code finds by its tag.
 *
 * ```text
 *                          indexRef
 *   (2) merge  ─────────────────────────────▶  split (3)
 *       ▲                                        │
 *       │                 inside                 │
 *       │. . . . . . . . . . . . . . . . . . . . │  outer indices, in the GraphDef
 *       │                 outside                │
 *       │                                        ▼
 *   (1) split  ─────────────────────────────▶  merge (4)
 *                          refIndex
 * ```
 *
 * Step 1 notes the index of each object outside (*refIndex*), step 2 the object inside of each index (*indexRef*). Step
 * 3 writes into the GraphDef which objects came in, and lets go of indexRef; step 4 changes the objects outside, and
 * lets go of refIndex. The end of the context lets go of both.
 *
 * The contexts around a place are a `Context.Reference`: they belong to the Effect that runs in them, and to the fibers
 * that it forks, and to nobody else.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Hash from "effect/Hash"
import { type Any as Variable, ImmutableVariableError, writeAll } from "../Ref/Variable.ts"
import { FilterError } from "../State/errors.ts"
import { attemptWith } from "../Tensor/attempt.ts"
import { TraceError } from "../Tensor/errors.ts"
import { type AliasError, type StructureError, UpdateContextError } from "./errors.ts"
import { finish, visit, walk } from "./flatten.ts"
import { type StateLike, unwrap } from "./gather.ts"
import { type Any, type GraphDef, isGraphDef, outerIndex } from "./GraphDef.ts"
import { checkNode } from "./owner.ts"
import { checked } from "./read.ts"
import { bySignature, isMergeError, mergeWith, type Split, splitFlat } from "./split.ts"

/** What merging in a context may fail with. */
export type ContextMergeError =
  | StructureError
  | AliasError
  | ImmutableVariableError
  | TraceError
  | UpdateContextError

/** @internal */
export const isContextMergeError = (u: unknown): u is ContextMergeError =>
  isMergeError(u) || u instanceof ImmutableVariableError || u instanceof TraceError || u instanceof UpdateContextError

/** @internal */
export const isContextSplitError = (u: unknown): u is FilterError | UpdateContextError =>
  u instanceof FilterError || u instanceof UpdateContextError

/**
 * The book-keeping of one round trip. All contexts are `Equal`: one that a compiled function is given never makes it
 * trace again.
 *
 * @category models
 * @since 0.1.0
 */
export interface UpdateContext extends Equal.Equal {
  readonly "~linum/Opaque": "~linum/Opaque"
  readonly tag: string
  /** From step 1 to step 4: the objects outside, with their indices. */
  readonly refIndex: ReadonlyMap<object, number> | undefined
  /** From step 2 to step 3: the indices, with their objects inside. */
  readonly indexRef: ReadonlyMap<number, object> | undefined
  /** Steps 1 and 3: `split`, with the book-keeping. */
  readonly split: Split<UpdateContextError>
  /** Steps 2 and 4: `merge`, with the book-keeping. What came from outside is changed in place by step 4. */
  readonly merge: <A>(
    self: GraphDef<A>,
    ...states: ReadonlyArray<StateLike>
  ) => Effect.Effect<A, ContextMergeError>
}

/** @internal The objects of a GraphDef that came from outside, changed: what step 4 adds to a merge. */
export const mergeOutside = (
  self: Any,
  states: ReadonlyArray<StateLike>,
  outer: ReadonlyArray<object>,
  objects: ReadonlyArray<object> = [],
  operation = "merge"
) => {
  const variables: Array<Variable> = []
  const values: Array<unknown> = []
  const made = mergeWith(self, states, {
    outer,
    objects,
    operation,
    guard: (node) => checkNode(operation, node),
    write: (variable, value) => {
      variables.push(variable)
      values.push(unwrap(value))
    }
  })
  writeAll(variables, values)
  return made
}

/** @internal Does it know of objects outside: is it of step 3? */
export const comesFromInside = (self: Any): boolean => self.entries.some((e) => outerIndex(e) !== undefined)

/** @internal */
export class UpdateContextImpl implements UpdateContext {
  readonly "~linum/Opaque" = "~linum/Opaque" as const
  readonly tag: string
  #outer: ReadonlyArray<object> | undefined
  #inner: ReadonlyArray<object> | undefined
  #open = true
  constructor(tag: string) {
    this.tag = tag
  }
  get refIndex(): ReadonlyMap<object, number> | undefined {
    return this.#outer === undefined ? undefined : new Map(this.#outer.map((object, i) => [object, i]))
  }
  get indexRef(): ReadonlyMap<number, object> | undefined {
    return this.#inner === undefined ? undefined : new Map(this.#inner.map((object, i) => [i, object]))
  }
  get outer(): ReadonlyArray<object> | undefined {
    return this.#outer
  }
  get inner(): ReadonlyArray<object> | undefined {
    return this.#inner
  }
  /** Throws after the end. */
  check(): void {
    if (!this.#open) throw ended(this.tag, "An update context")
  }
  /** Throws if a GraphDef is only a reference. */
  checkRoot(self: unknown): void {
    const root = isGraphDef(self) ? self.entries[0] : undefined
    if (root !== undefined && root._tag !== "Ref") return
    const found = root === undefined ? String(self) : `NodeRef(index=${root.index})`
    throw new UpdateContextError({
      tag: this.tag,
      reason: `Expected a NodeDef instance, but got ${found}.`,
      hint: "Values that share objects are split and merged in a splitContext and a mergeContext."
    })
  }
  /** Ends step 1, or step 3. */
  splitEnd(objects: ReadonlyArray<object>): void {
    if (this.#outer === undefined) this.#outer = objects
    else this.#inner = undefined
  }
  /** Ends step 2. */
  mergeEnd(objects: ReadonlyArray<object>): void {
    this.#inner = objects
  }
  /** Ends step 4, after which another round may begin. */
  clear(): void {
    this.#outer = undefined
    this.#inner = undefined
  }
  close(): void {
    this.clear()
    this.#open = false
  }
  readonly split: Split<UpdateContextError> = bySignature<Split<UpdateContextError>>(
    (self: unknown, ...filters: ReadonlyArray<never>) =>
      attemptWith(isContextSplitError, () => {
        this.check()
        const w = walk(this.#inner)
        visit(w, self, [], false)
        const flat = checked(finish(w))
        const parts = splitFlat(flat, filters)
        this.splitEnd(flat.objects)
        return parts
      })
  )
  readonly merge = <A>(
    self: GraphDef<A>,
    ...states: ReadonlyArray<StateLike>
  ): Effect.Effect<A, ContextMergeError> =>
    attemptWith(isContextMergeError, () => {
      this.check()
      this.checkRoot(self)
      const outer = this.checkMerge()
      if (comesFromInside(self)) {
        const { value } = mergeOutside(self, states, outer)
        this.clear()
        return value as A
      }
      const made = mergeWith(self, states)
      this.mergeEnd(made.objects)
      return made.value as A
    })
  /** The objects of step 1. Throws if there was none. */
  checkMerge(): ReadonlyArray<object> {
    if (this.#outer !== undefined) return this.#outer
    throw new UpdateContextError({
      tag: this.tag,
      reason: "Cannot merge without refIndex.",
      hint: "The first step is a split outside."
    })
  }
  [Equal.symbol](that: unknown): boolean {
    return that instanceof UpdateContextImpl
  }
  [Hash.symbol](): number {
    return 0
  }
}

/** @internal For a context that was used after its end. */
export const ended = (tag: string | undefined, what: string): UpdateContextError =>
  new UpdateContextError({
    tag,
    reason: `${what} was used after its end.`,
    hint: "Split and merge inside of the Effect that it was made for."
  })

/** The innermost context of each tag. The ones around it come back when its Effect has ended. */
const CurrentContexts = Context.Reference<ReadonlyMap<string, UpdateContextImpl>>("linum/UpdateContexts", {
  defaultValue: () => new Map()
})

/** @internal The innermost context of a tag. */
export const currentContext = (tag: string): Effect.Effect<UpdateContextImpl, UpdateContextError> =>
  Effect.flatMap(CurrentContexts, (contexts) => {
    const context = contexts.get(tag)
    return context === undefined
      ? Effect.fail(
        new UpdateContextError({
          tag,
          reason: `No update context found for tag '${tag}'.`,
          hint: "Run this inside of updateContext of that tag."
        })
      )
      : Effect.succeed(context)
  })

/**
 * The innermost update context of a tag. Fails with an `UpdateContextError` outside of any.
 *
 * @category getters
 * @since 0.1.0
 */
export const currentUpdateContext: (tag: string) => Effect.Effect<UpdateContext, UpdateContextError> = currentContext

/** An Effect, or a function that gives one. */
type Target =
  | Effect.Effect<unknown, unknown, unknown>
  | ((...args: ReadonlyArray<never>) => Effect.Effect<unknown, unknown, unknown>)

/** Gives an Effect, or every call of a function, an update context of its own. */
export type WithUpdateContext = <T extends Target>(
  self: T
) => T extends Effect.Effect<infer A, infer E, infer R> ? Effect.Effect<A, E, R> : T

const within = <A, E, R>(
  tag: string,
  use: (context: UpdateContext) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.flatMap(CurrentContexts, (contexts) => {
    const context = new UpdateContextImpl(tag)
    return Effect.suspend(() => use(context)).pipe(
      Effect.provideService(CurrentContexts, new Map([...contexts, [tag, context]])),
      Effect.ensuring(Effect.sync(() => context.close()))
    )
  })

const wrap = (tag: string): WithUpdateContext =>
  bySignature((target: Target) =>
    Effect.isEffect(target)
      ? within(tag, () => target)
      : (...args: ReadonlyArray<never>) => within(tag, () => target(...args))
  )

/**
 * An update context for a transform of one's own: what changes inside, structure included, is made to the objects
 * outside. `split` and `merge` of the context are called four times, as the picture above shows: outside, inside,
 * inside, outside. (`transact` does all four.)
 *
 * With a tag alone it wraps an Effect (`effect.pipe(updateContext("tag"))`) or a function, of which every call gets a
 * context; `currentUpdateContext("tag")` finds the innermost one. With a function as well it runs the function on a new
 * context.
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 * import * as Cpu from "linum/backend/tfjs-cpu"
 *
 * class Dict extends nnx.Module("Dict")<Readonly<Record<string, unknown>>> {}
 *
 * const f = nnx.jit((graphdef: nnx.GraphDef.GraphDef<Dict>, state: nnx.State.Any) =>
 *   Effect.gen(function*() {
 *     const context = yield* nnx.currentUpdateContext("example")
 *     const m2 = yield* context.merge(graphdef, state)
 *     yield* nnx.setAttribute(m2, "a", 1)
 *     yield* nnx.setAttribute(m2, "ref", m2) // a cycle
 *     return yield* context.split(m2, nnx.Filter.rest)
 *   }))
 *
 * const g = nnx.updateContext("example")((m1: Dict) =>
 *   Effect.gen(function*() {
 *     const context = yield* nnx.currentUpdateContext("example")
 *     const [graphdef, state] = yield* context.split(m1, nnx.Filter.rest)
 *     return yield* context.merge(...yield* f(graphdef, state))
 *   }))
 *
 * const m1 = new Dict({})
 * const m3 = await Effect.runPromise(g(m1).pipe(Effect.provide(Cpu.layer)))
 * console.log(m3 === m1, m1.a, m1.ref === m1) // => true 1 true
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const updateContext: {
  (tag: string): WithUpdateContext
  <A, E, R>(tag: string, f: (context: UpdateContext) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R>
} = bySignature((tag: string, f?: (context: UpdateContext) => Effect.Effect<unknown>) =>
  f === undefined ? wrap(tag) : within(tag, f)
)
