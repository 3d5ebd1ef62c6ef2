/**
 * Random streams as state: a stream is a key that never changes and a count of the keys it has given. The n-th key of a
 * stream is `foldIn(key, n)`, as in Flax, so draws agree with Flax's bit for bit.
 *
 * `Rngs` is the service that layers draw from when they are built; nobody threads an rng argument. A layer that needs
 * randomness later (Dropout) holds a stream of its own, *forked* from the service's.
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import { add, broadcastTo } from "../Tensor/lax/index.ts"
import * as Random from "../Tensor/random/index.ts"
import { make } from "../Tensor/ShapedArray.ts"
import * as Storage from "../Tensor/Storage.ts"
import { fromHost, isTensor, literal, type Tensor } from "../Tensor/Tensor.ts"
import { Module } from "./Module.ts"
import { RngCount, RngKey, type Variable } from "./Variable.ts"

/**
 * A named stream does not exist, and there is no default stream either.
 *
 * @category errors
 * @since 0.1.0
 */
export class RngStreamError extends Data.TaggedError("RngStreamError")<{
  readonly stream: string
  readonly found: ReadonlyArray<string>
}> {
  override get message(): string {
    return `No RngStream named '${this.stream}' found in Rngs (streams: ${this.found.join(", ")}); ` +
      `add it, or a stream named 'default'`
  }
}

/** How many streams: a number, or a shape of them. */
export type Copies = number | ReadonlyArray<number>

/**
 * How many streams of each name; `"..."` stands for all other names. A stream with null, or without a number, stays as
 * it is: the new one has its key, and count 0, so (as in Flax) it gives the keys that the old one gave.
 */
export type CopiesByName = Readonly<Record<string, Copies | null>>

const isByName = (n: Copies | CopiesByName): n is CopiesByName => typeof n === "object" && !Array.isArray(n)

const copiesOf = (n: Copies | CopiesByName, name: string): Copies | null =>
  isByName(n) ? Object.hasOwn(n, name) ? n[name] : n["..."] ?? null : n

/**
 * A stream of keys.
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import { Rngs, Tensor } from "linum"
 * import * as Cpu from "linum/backend/tfjs-cpu"
 *
 * const program = Effect.gen(function*() {
 *   const rngs = yield* Rngs.fromSeeds(0)
 *   const stream = yield* rngs.stream("dropout")
 *   const key = yield* stream.next
 *   return yield* Tensor.toNested(Tensor.random.bernoulli(key, 0.5, [3]))
 * })
 * console.log(await Effect.runPromise(program.pipe(Effect.provide(Cpu.layer)))) // => [ false, true, true ]
 * ```
 *
 * @category models
 * @since 0.1.0
 */
export class RngStream extends Module("RngStream")<{
  readonly tag: string
  readonly key: Variable<"RngState/RngKey", Tensor>
  readonly count: Variable<"RngState/RngCount", Tensor>
}> {
  /** The next key (uint32[2]): `foldIn(key, count)`; the count grows by one. */
  get next(): Effect.Effect<Tensor> {
    return Effect.sync(() => {
      const count = Ref.getUnsafe(this.count)
      this.count.ref.current = successor(count)
      return Random.foldIn(Ref.getUnsafe(this.key), count)
    })
  }

  /**
   * Draws with the next key: any function of a key, such as the samplers of `Tensor.random` and initializers, with the
   * rest of its arguments. `stream.draw(random.bernoulli, 0.5, [3])`.
   */
  draw<Args extends ReadonlyArray<unknown>, A>(
    sampler: (key: Tensor, ...args: Args) => A,
    ...args: Args
  ): Effect.Effect<A> {
    return Effect.map(this.next, (key) => sampler(key, ...args))
  }

  /** A new stream whose key is the next one of this stream, and whose count is 0. */
  get fork(): Effect.Effect<RngStream> {
    return Effect.map(this.next, (key) => streamUnsafe(this.tag, key, []))
  }

  /**
   * A stack of new streams with different keys: keys uint32[n,2], counts uint32[n]. For `vmap` over whatever draws from
   * them.
   */
  split(n: Copies): Effect.Effect<RngStream> {
    return Effect.map(this.next, (key) => streamUnsafe(this.tag, Random.split(key, n), shapeOf(n)))
  }

  /** A stack of new streams with one key, so that all draw the same. */
  broadcast(n: Copies): Effect.Effect<RngStream> {
    return Effect.map(this.next, (key) => streamUnsafe(this.tag, broadcastTo(key, [...shapeOf(n), 2]), shapeOf(n)))
  }
}

const shapeOf = (n: Copies): ReadonlyArray<number> => typeof n === "number" ? [n] : n

/**
 * The count after this one. One that is at hand is counted on in host memory, so that building a model starts no
 * computation for it.
 */
const successor = (count: Tensor): Tensor => {
  const { source } = count
  const data = count.ndim === 0 && source._tag === "Concrete" ? Storage.elements(source.storage) : undefined
  return data !== undefined
    ? fromHost(count.aval, Uint32Array.of(data[0] + 1))
    : add(count, broadcastTo(literal(1, "uint32"), count.shape))
}

const streamUnsafe = (tag: string, key: Tensor, shape: ReadonlyArray<number>): RngStream => {
  const zeros = new Uint32Array(shape.reduce((a, b) => a * b, 1))
  return new RngStream({
    tag,
    key: RngKey.makeUnsafe(key, { metadata: { tag } }),
    count: RngCount.makeUnsafe(fromHost(make(shape, "uint32"), zeros), { metadata: { tag } })
  })
}

/** What a stream can be made from: a seed, or a key (uint32[2]). */
export type Seed = number | bigint | Tensor

const keyOf = (seed: Seed): Tensor => isTensor(seed) && seed.ndim > 0 ? seed : Random.key(seed)

/**
 * Named streams. An unknown name falls back to the stream `default`.
 *
 * @category models
 * @since 0.1.0
 */
export class RngStreams extends Module("Rngs")<{ readonly streams: Readonly<Record<string, RngStream>> }> {
  /** The stream of this name, or the default stream. */
  stream(name = "default"): Effect.Effect<RngStream, RngStreamError> {
    return Effect.suspend(() => {
      const streams = this.streams
      if (Object.hasOwn(streams, name)) return Effect.succeed(streams[name])
      if (Object.hasOwn(streams, "default")) return Effect.succeed(streams["default"])
      return Effect.fail(new RngStreamError({ stream: name, found: Object.keys(streams) }))
    })
  }

  /** The next key of a stream (uint32[2]). */
  key(name = "default"): Effect.Effect<Tensor, RngStreamError> {
    return Effect.flatMap(this.stream(name), (stream) => stream.next)
  }

  /**
   * Draws from the default stream: any function of a key, such as the samplers of `Tensor.random` and initializers, with
   * the rest of its arguments. `rngs.draw(random.bernoulli, 0.5, [3])`.
   */
  draw<Args extends ReadonlyArray<unknown>, A>(
    sampler: (key: Tensor, ...args: Args) => A,
    ...args: Args
  ): Effect.Effect<A, RngStreamError> {
    return Effect.map(this.key(), (key) => sampler(key, ...args))
  }

  /** Draws from the default stream: uniform on [0, 1), float32. */
  uniform(shape: ReadonlyArray<number> = [], options?: Random.UniformOptions): Effect.Effect<Tensor, RngStreamError> {
    return Effect.map(this.key(), (key) => Random.uniform(key, shape, options))
  }

  /** Draws from the default stream: standard normal, float32. */
  normal(shape: ReadonlyArray<number> = [], options?: Random.FloatOptions): Effect.Effect<Tensor, RngStreamError> {
    return Effect.map(this.key(), (key) => Random.normal(key, shape, options))
  }

  /** New streams of the same names, forked from these. */
  get fork(): Effect.Effect<RngStreams> {
    return forEach(this, (stream) => stream.fork)
  }

  /**
   * New streams of the same names, each a stack with different keys: `rngs.split(5)`, or by name
   * `rngs.split({ params: 5, dropout: null, "...": [2, 5] })`.
   */
  split(n: Copies | CopiesByName): Effect.Effect<RngStreams> {
    return forEach(this, (stream, name) => {
      const copies = copiesOf(n, name)
      return copies === null ? again(stream) : stream.split(copies)
    })
  }

  /** New streams of the same names, each a stack with one key; by name as for `split`. */
  broadcast(n: Copies | CopiesByName): Effect.Effect<RngStreams> {
    return forEach(this, (stream, name) => {
      const copies = copiesOf(n, name)
      return copies === null ? again(stream) : stream.broadcast(copies)
    })
  }
}

const again = (stream: RngStream): Effect.Effect<RngStream> =>
  Effect.sync(() => {
    const key = Ref.getUnsafe(stream.key)
    return streamUnsafe(stream.tag, key, key.shape.slice(0, -1))
  })

const forEach = (
  self: RngStreams,
  f: (stream: RngStream, name: string) => Effect.Effect<RngStream>
): Effect.Effect<RngStreams> =>
  Effect.map(
    Effect.forEach(
      Object.entries(self.streams),
      ([name, stream]) => Effect.map(f(stream, name), (made) => [name, made] as const)
    ),
    (entries) => new RngStreams({ streams: Object.fromEntries(entries) })
  )

/**
 * The service that layers draw from when they are built.
 *
 * `jit` and the other transforms interpret it: draws inside are reads and writes of the streams' state.
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 *
 * const layer = nnx.Linear.make(2, 3)
 * const one = Effect.runSync(layer.pipe(Effect.provide(nnx.Rngs.layer(0))))
 * const two = Effect.runSync(layer.pipe(Effect.provide(nnx.Rngs.layer({ params: 1, dropout: 2 }))))
 * console.log(one.outFeatures === two.outFeatures) // => true
 * ```
 *
 * @category services
 * @since 0.1.0
 */
export class Rngs extends Context.Service<Rngs, RngStreams>()("linum/Rngs") {
  /** Streams from one seed (the stream `default`), or from a seed for each name. */
  static readonly fromSeeds = (seeds: Seed | Readonly<Record<string, Seed>>): Effect.Effect<RngStreams> =>
    Effect.sync(() => {
      const named = typeof seeds === "object" && !isTensor(seeds) ? seeds : { default: seeds }
      return new RngStreams({
        streams: Object.fromEntries(
          Object.entries(named).map(([name, seed]) => [name, streamUnsafe(name, keyOf(seed), [])])
        )
      })
    })

  /** The service as a Layer: `Effect.provide(Rngs.layer(0))`. */
  static readonly layer = (seeds: Seed | Readonly<Record<string, Seed>>): Layer.Layer<Rngs> =>
    Layer.effect(Rngs, Rngs.fromSeeds(seeds))

  /** The next key of a stream of the service. */
  static readonly nextKey = (name?: string): Effect.Effect<Tensor, RngStreamError, Rngs> =>
    Effect.flatMap(Rngs, (rngs) => rngs.key(name))
}
