/**
 * The random streams of whole models: split into stacks for `vmap`, forked, restored, seeded anew. Each finds the
 * `RngStream`s in its argument (a model, streams, or a tree of them) and writes their keys and counts in place, so they
 * work on arguments of a traced function as they do outside.
 *
 * Splitting and forking take one key from each stream: its count grows by one, and that stays when the stream is
 * restored.
 */
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import { iterGraph, recursiveMap } from "../GraphDef/traverse.ts"
import { type Copies, Rngs, RngStream, type Seed } from "../Ref/Rngs.ts"
import * as Filter from "../State/Filter.ts"
import type { Path } from "../State/Path.ts"
import { ShapeError } from "../Tensor/errors.ts"
import { broadcastTo, reshape } from "../Tensor/lax/index.ts"
import * as Random from "../Tensor/random/index.ts"
import { literal, type Tensor } from "../Tensor/Tensor.ts"
import { throwing, type TransformError } from "./attempt.ts"

/** Which streams are meant: by their Variables, or by the name of the stream. */
export type StreamFilter = Filter.Filter | string

/** What streams were. `restoreRngs` makes them so again. */
export type RngBackups = ReadonlyArray<{
  readonly stream: RngStream
  readonly key: Tensor
  /** Undefined: the count stays. */
  readonly count: Tensor | undefined
}>

/** Options of `splitRngs`. */
export interface SplitRngsOptions {
  /** How many streams each becomes: a number, or a shape. */
  readonly splits: Copies
  /** Which streams. By default all. */
  readonly only?: StreamFilter
  /** With `splits: 1`: a new key, and no stack. */
  readonly squeeze?: boolean
}

/** Numbers of streams: for all, by name (`"..."` for all others), or by filter. The first that fits counts. */
export type StreamRules =
  | Copies
  | Readonly<Record<string, Copies | null>>
  | ReadonlyArray<readonly [StreamFilter, Copies | null]>

/** Options of `forkRngs`. */
export interface ForkRngsOptions {
  /** Which streams are forked, and into how many; null: into one. By default every stream into one. */
  readonly split?: StreamRules
}

const streamsIn = (node: unknown): ReadonlyArray<readonly [Path, RngStream]> =>
  [...iterGraph(node)].flatMap(([path, part]) => part instanceof RngStream ? [[path, part] as const] : [])

const filterOf = (filter: StreamFilter): Filter.Filter =>
  typeof filter !== "string" ? filter : filter === "..." ? Filter.rest : Filter.withTag(filter)

/** Does a filter cover both Variables of a stream? */
const covers = (filter: StreamFilter, path: Path, stream: RngStream): boolean =>
  [stream.key, stream.count].every((variable, i) =>
    Filter.matches(filterOf(filter), [...path, i === 0 ? "key" : "count"], {
      kind: variable.kind,
      metadata: variable.metadata,
      value: Ref.getUnsafe<Tensor>(variable)
    })
  )

const shapeOf = (n: Copies): ReadonlyArray<number> => typeof n === "number" ? [n] : n

const zeros = (shape: ReadonlyArray<number>): Tensor => broadcastTo(literal(0, "uint32"), shape)

const write = (stream: RngStream, key: Tensor, count: Tensor | undefined): void => {
  stream.key.ref.current = key
  if (count !== undefined) stream.count.ref.current = count
}

/** A stream as it is, after it has given a key. */
const backup = (stream: RngStream, count = true): RngBackups[number] => ({
  stream,
  key: Ref.getUnsafe(stream.key),
  count: count ? Ref.getUnsafe(stream.count) : undefined
})

/** Runs a function on arguments whose streams were changed, and restores them whatever happens. */
const during = <Args extends ReadonlyArray<unknown>, A, E, R>(
  change: (args: Args) => Effect.Effect<RngBackups, TransformError>,
  f: (...args: Args) => Effect.Effect<A, E, R>
) =>
(...args: Args): Effect.Effect<A, E | TransformError, R> =>
  Effect.acquireUseRelease(change(args), () => f(...args), restoreRngs)

/** What `splitRngs` and `forkRngs` make of a function. */
export type WithRngs = <Args extends ReadonlyArray<unknown>, A, E, R>(
  f: (...args: Args) => Effect.Effect<A, E, R>
) => (...args: Args) => Effect.Effect<A, E | TransformError, R>

const split = (node: unknown, options: SplitRngsOptions): Effect.Effect<RngBackups, TransformError> =>
  throwing(Effect.gen(function*() {
    const { only = Filter.everything, splits, squeeze = false } = options
    if (squeeze && splits !== 1) {
      return yield* new ShapeError({
        operation: "splitRngs",
        expected: "splits: 1 with squeeze (squeeze=true is only supported for splits=1)",
        found: `splits: ${JSON.stringify(splits)}`,
        hint: "leave out squeeze to get a stack of streams"
      })
    }
    const backups: Array<RngBackups[number]> = []
    for (const [path, stream] of streamsIn(node)) {
      if (!covers(only, path, stream)) continue
      const keys = Random.split(yield* stream.next, splits)
      backups.push(backup(stream))
      const shape = Ref.getUnsafe(stream.count).shape
      write(stream, squeeze ? reshape(keys, [2]) : keys, zeros(squeeze ? shape : [...shapeOf(splits), ...shape]))
    }
    return backups
  }))

/**
 * Splits the random streams in a model, in place: each becomes a stack of streams with different keys, to be mapped by
 * `vmap` or stepped through by `scan`. Gives what `restoreRngs` needs to put them back.
 *
 * Without a model it makes, of a function, one that runs with the streams of its arguments split and restores them when
 * it is done, however it ends. Its count is then one more, and the key is the old one.
 *
 * Fails with a `ShapeError` if `squeeze` is given and `splits` is not 1.
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 *
 * const create = (rngs: nnx.RngStreams) => Effect.provideService(nnx.Linear.make(2, 3), nnx.Rngs, rngs)
 * const createStack = nnx.splitRngs({ splits: 5 })(nnx.vmap(create))
 * const program = Effect.gen(function*() {
 *   const stack = yield* createStack(yield* nnx.Rngs.fromSeeds(0))
 *   return (yield* nnx.state(stack, nnx.Param)).kernel.value.shape
 * })
 * console.log(Effect.runSync(program)) // => [ 5, 2, 3 ]
 * ```
 *
 * @category random
 * @since 0.1.0
 */
export const splitRngs: {
  (options: SplitRngsOptions): WithRngs
  (node: unknown, options: SplitRngsOptions): Effect.Effect<RngBackups, TransformError>
} = ((...given: readonly [SplitRngsOptions] | readonly [unknown, SplitRngsOptions]) => {
  if (given.length === 2) return split(given[0], given[1])
  const [options] = given
  return (f: (...args: ReadonlyArray<unknown>) => Effect.Effect<unknown, unknown, unknown>) =>
    during((args) => split(args, options), f)
}) as never

const isEntries = (rules: StreamRules): rules is ReadonlyArray<readonly [StreamFilter, Copies | null]> =>
  Array.isArray(rules) && Array.isArray(rules[0])

/** Rules as a list; streams that none fits are left alone. `"..."` comes last. */
const rulesOf = (rules: StreamRules | undefined): ReadonlyArray<readonly [StreamFilter, Copies | null]> => {
  if (rules === undefined) return []
  if (isEntries(rules)) return rules
  if (typeof rules === "number" || Array.isArray(rules)) return [["...", rules as Copies]]
  const named = Object.entries(rules as Readonly<Record<string, Copies | null>>)
  return [...named.filter(([name]) => name !== "..."), ...named.filter(([name]) => name === "...")]
}

const fork = (node: unknown, options: ForkRngsOptions): Effect.Effect<RngBackups, TransformError> =>
  throwing(Effect.gen(function*() {
    const rules = options.split === undefined ? [["...", null] as const] : rulesOf(options.split)
    const backups: Array<RngBackups[number]> = []
    for (const [path, stream] of streamsIn(node)) {
      const rule = rules.find(([filter]) => covers(filter, path, stream))
      if (rule === undefined) continue
      const made = yield* (rule[1] === null ? stream.fork : stream.split(rule[1]))
      backups.push(backup(stream))
      write(stream, Ref.getUnsafe(made.key), Ref.getUnsafe(made.count))
    }
    return backups
  }))

/**
 * Forks the random streams in a model, in place: each goes on from a key of its own, with count 0; with `split`, as a
 * stack. Gives what `restoreRngs` needs to put them back.
 *
 * Without a model it makes, of a function, one that runs with the streams of its arguments forked and restores them when
 * it is done, however it ends.
 *
 * ```ts import.meta.vitest
 * import { Effect, Ref } from "effect"
 * import * as nnx from "linum"
 * import * as Cpu from "linum/backend/tfjs-cpu"
 *
 * const program = Effect.gen(function*() {
 *   const rngs = yield* nnx.Rngs.fromSeeds(0)
 *   const twice = nnx.forkRngs({})((r: nnx.RngStreams) => Effect.andThen(r.key(), r.key()))
 *   yield* twice(rngs)
 *   return yield* nnx.Tensor.item(yield* Ref.get(rngs.streams.default.count))
 * })
 * console.log(await Effect.runPromise(program.pipe(Effect.provide(Cpu.layer)))) // => 1
 * ```
 *
 * @category random
 * @since 0.1.0
 */
export const forkRngs: {
  (options: ForkRngsOptions): WithRngs
  (node: unknown, options: ForkRngsOptions): Effect.Effect<RngBackups, TransformError>
} = ((...given: readonly [ForkRngsOptions] | readonly [unknown, ForkRngsOptions]) => {
  if (given.length === 2) return fork(given[0], given[1])
  const [options] = given
  return (f: (...args: ReadonlyArray<unknown>) => Effect.Effect<unknown, unknown, unknown>) =>
    during((args) => fork(args, options), f)
}) as never

/**
 * Puts back streams that `splitRngs` or `forkRngs` changed, or whose keys `backupKeys` kept.
 *
 * @category random
 * @since 0.1.0
 */
export const restoreRngs = (backups: RngBackups): Effect.Effect<void> =>
  Effect.sync(() => {
    for (const { count, key, stream } of backups) write(stream, key, count)
  })

/**
 * The keys of all streams in a model, to be put back by `restoreRngs`. Counts are not kept: they go on.
 *
 * @category random
 * @since 0.1.0
 */
export const backupKeys = (node: unknown): Effect.Effect<RngBackups> =>
  Effect.sync(() => streamsIn(node).map(([, stream]) => backup(stream, false)))

/** What becomes of a new key where a stream has a stack of them; `shape` is that of the stack. */
export type ReseedPolicy = "scalarsOnly" | "matchShape" | ((path: Path, key: Tensor, shape: Tensor["shape"]) => Tensor)

const fitted = (policy: ReseedPolicy, path: Path, key: Tensor, shape: Tensor["shape"]): Tensor => {
  if (typeof policy === "function") return policy(path, key, shape)
  if (shape.length === 0) return key
  if (policy === "matchShape") return Random.split(key, shape)
  throw new ShapeError({
    operation: "reseed",
    expected: `a scalar key at ${path.join("/")}`,
    found: `Cannot reseed stream at path ${path.join("/")} because it has a non-scalar key, found key with shape ` +
      `[${shape.join(",")}]`,
    hint: `if all of its keys are different, give policy: "matchShape"; else give a function`
  })
}

/**
 * Seeds streams of a model anew, by name, in place; their counts begin at 0. Streams of one name get keys of their own,
 * one after another, from the seed (or the key).
 *
 * A stack of streams fails with a `ShapeError`, unless `policy` says what to do: `"matchShape"` splits the new key. Then
 * nothing is written.
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 * import * as Cpu from "linum/backend/tfjs-cpu"
 *
 * const program = Effect.gen(function*() {
 *   const dropout = yield* nnx.Dropout.make(0.5)
 *   const draw = Effect.flatMap(dropout.apply(nnx.Tensor.ones([6])), nnx.Tensor.toNested)
 *   yield* nnx.reseed(dropout, { dropout: 42 })
 *   const one = yield* draw
 *   yield* nnx.reseed(dropout, { dropout: 42 })
 *   return [one, yield* draw]
 * })
 * const [one, two] = await Effect.runPromise(program.pipe(Effect.provide([nnx.Rngs.layer({ dropout: 0 }), Cpu.layer])))
 * console.log(String(one) === String(two)) // => true
 * ```
 *
 * @category random
 * @since 0.1.0
 */
export const reseed = (
  node: unknown,
  seeds: Readonly<Record<string, Seed>>,
  options: { readonly policy?: ReseedPolicy } = {}
): Effect.Effect<void, TransformError> =>
  throwing(Effect.gen(function*() {
    const { streams } = yield* Rngs.fromSeeds(seeds)
    const found = streamsIn(node).filter(([, stream]) => Object.hasOwn(seeds, stream.tag))
    const keys: Array<Tensor> = []
    for (const [path, stream] of found) {
      const shape = Ref.getUnsafe(stream.key).shape.slice(0, -1)
      keys.push(fitted(options.policy ?? "scalarsOnly", path, yield* streams[stream.tag].next, shape))
    }
    found.forEach(([, stream], i) => write(stream, keys[i], zeros(keys[i].shape.slice(0, -1))))
  }))

/** Options of `withRngs`. */
export interface WithRngsOptions {
  /** Which streams become stacks with different keys. */
  readonly split?: StreamRules
  /** Which streams become stacks with one key. */
  readonly broadcast?: StreamRules
  /** Which streams are forked. */
  readonly fork?: StreamFilter | ReadonlyArray<StreamFilter>
  /** Which streams are looked at. By default all. */
  readonly only?: StreamFilter
}

const isRest = (filter: StreamFilter): boolean =>
  filter === "..." || (typeof filter !== "string" && (filter._tag === "Rest" || filter._tag === "Everything"))

/** The one rule for a stream. A rule for all others gives way to a particular one; two particular ones are an error. */
const ruleFor = (path: Path, stream: RngStream, options: WithRngsOptions) => {
  const forks = options.fork === undefined ? [] : Array.isArray(options.fork) ? options.fork : [options.fork]
  const lists = {
    split: rulesOf(options.split),
    broadcast: rulesOf(options.broadcast),
    fork: forks.map((filter: StreamFilter) => [filter, null] as const)
  }
  const found = (["split", "broadcast", "fork"] as const).flatMap((what) => {
    const rule = lists[what].find(([filter]) => covers(filter, path, stream))
    return rule === undefined ? [] : [{ what, filter: rule[0], copies: rule[1] }]
  })
  if (found.filter((r) => !isRest(r.filter)).length <= 1) return found[0]
  throw new ShapeError({
    operation: "withRngs",
    expected: "one rule for each stream",
    found: `RngStream at path ${path.join("/")} matches multiple rules: ` +
      found.map((r) => `${r.what} matches filter ${String(r.filter)}`).join(", "),
    hint: "name a stream in one of split, broadcast and fork"
  })
}

/**
 * A copy of a model with some of its streams split, broadcast or forked; all others, and all other Variables, are the
 * very same. The streams of the original have given one key each.
 *
 * Fails with a `ShapeError` if particular rules of two kinds fit one stream.
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 *
 * const program = Effect.gen(function*() {
 *   const rngs = yield* nnx.Rngs.fromSeeds({ params: 0, dropout: 1 })
 *   const made = yield* nnx.withRngs(rngs, { split: { params: 4 }, fork: "..." })
 *   const state = yield* nnx.state(made, nnx.RngKey)
 *   return [state.streams.params.key.value.shape, state.streams.dropout.key.value.shape]
 * })
 * console.log(Effect.runSync(program)) // => [ [ 4, 2 ], [ 2 ] ]
 * ```
 *
 * @category random
 * @since 0.1.0
 */
export const withRngs = <A>(node: A, options: WithRngsOptions): Effect.Effect<A, TransformError> =>
  throwing(Effect.gen(function*() {
    const only = options.only ?? Filter.everything
    const made = new Map<unknown, RngStream>()
    for (const [path, stream] of streamsIn(node)) {
      if (!covers(only, path, stream)) continue
      const rule = ruleFor(path, stream, options)
      if (rule === undefined) continue
      const { copies, what } = rule
      made.set(
        stream.key,
        yield* (what === "fork" || copies === null
          ? stream.fork
          : what === "split"
          ? stream.split(copies)
          : stream.broadcast(copies))
      )
    }
    const copy = (_: Path, part: unknown): unknown => part instanceof RngStream ? made.get(part.key) ?? part : part
    return (yield* recursiveMap(node, copy)) as A
  }))
