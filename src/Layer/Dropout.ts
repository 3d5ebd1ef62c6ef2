/**
 * Dropout (Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", 2014).
 */
import * as Effect from "effect/Effect"
import { Module } from "../Ref/Module.ts"
import { Rngs, type RngStream, type RngStreamError } from "../Ref/Rngs.ts"
import { ShapeError, type TensorError } from "../Tensor/errors.ts"
import * as lax from "../Tensor/lax/index.ts"
import { div } from "../Tensor/numpy/elementwise.ts"
import { where } from "../Tensor/numpy/logic.ts"
import { bernoulli } from "../Tensor/random/index.ts"
import * as Shape from "../Tensor/Shape.ts"
import { isTensor, literal, type Tensor } from "../Tensor/Tensor.ts"
import { typed } from "./support.ts"

/** Options of `Dropout`. */
export interface DropoutOptions {
  /** Axes along which all elements share one fate. */
  readonly broadcastDims?: ReadonlyArray<number> | undefined
  /** Leave the input as it is; false by default. */
  readonly deterministic?: boolean | undefined
  /** The stream of the service that the layer's own is forked from: `dropout` by default. */
  readonly rngCollection?: string | undefined
}

/** Options of a call of a `Dropout`. */
export interface DropoutCall {
  /** Instead of the layer's own. */
  readonly deterministic?: boolean | undefined
  /** A stream or a key to draw from, instead of the layer's stream. */
  readonly rngs?: RngStream | Tensor | undefined
}

/**
 * Sets elements to 0 with probability `rate`, and divides the others by 1 - rate, so that the mean stays.
 * `flax.nnx.Dropout`.
 *
 * The layer holds a stream of random keys of its own, forked from the stream `dropout` (or `default`) of the service
 * `Rngs`. `evalMode(model)` is a view of a model in which dropout does nothing.
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 * import * as Cpu from "linum/backend/tfjs-cpu"
 *
 * const program = Effect.gen(function*() {
 *   const dropout = yield* nnx.Dropout.make(0.5)
 *   const x = nnx.Tensor.ones([6])
 *   const kept = yield* dropout.apply(x, { deterministic: true })
 *   return [kept === x, yield* nnx.Tensor.toNested(yield* dropout.apply(x))]
 * })
 * console.log(await Effect.runPromise(program.pipe(Effect.provide([nnx.Rngs.layer(0), Cpu.layer]))))
 * // => [ true, [ 2, 0, 2, 0, 2, 2 ] ]
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export class Dropout extends Module("Dropout")<{
  readonly rate: number
  readonly broadcastDims: ReadonlyArray<number>
  readonly deterministic: boolean
  readonly rngCollection: string
  readonly rngs: RngStream
}> {
  /** A layer with a stream of its own. */
  static readonly make = (
    rate: number,
    options: DropoutOptions = {}
  ): Effect.Effect<Dropout, RngStreamError | TensorError, Rngs> => make(rate, options)

  /** The input with elements dropped, of its shape. */
  apply(x: Tensor, options: DropoutCall = {}): Effect.Effect<Tensor, TensorError> {
    return apply(this, x, options)
  }
}

/** A stream forked from one of the service. */
export const forkStream = (name: string): Effect.Effect<RngStream, RngStreamError, Rngs> =>
  Effect.flatMap(Effect.flatMap(Rngs, (rngs) => rngs.stream(name)), (stream) => stream.fork)

/** The next key of a stream, or the key itself. */
export const nextKey = (from: RngStream | Tensor): Effect.Effect<Tensor> =>
  isTensor(from) ? Effect.succeed(from) : from.next

const make = Effect.fnUntraced(function*(rate: number, options: DropoutOptions) {
  if (!(rate >= 0 && rate <= 1)) {
    return yield* new ShapeError({
      operation: `Dropout(${rate})`,
      expected: "a rate from 0 to 1",
      found: String(rate),
      hint: "it is the probability that an element is dropped"
    })
  }
  const { broadcastDims = [], deterministic = false, rngCollection = "dropout" } = options
  const rngs = yield* forkStream(rngCollection)
  return new Dropout({ rate, broadcastDims, deterministic, rngCollection, rngs })
})

const apply = Effect.fnUntraced(function*(self: Dropout, x: Tensor, options: DropoutCall) {
  if (self.rate === 0 || (options.deterministic ?? self.deterministic)) return x
  const nothing = lax.broadcastTo(literal(0, x.dtype), x.shape)
  // Everything is dropped; 0 / 0 would make the derivative NaN.
  if (self.rate === 1) return nothing
  const shared = Shape.axes(`Dropout(${self.rate})`, self.broadcastDims, x.ndim)
  const key = yield* nextKey(options.rngs ?? self.rngs)
  const keep = 1 - self.rate
  const mask = bernoulli(key, keep, x.shape.map((size, i) => shared.includes(i) ? 1 : size))
  return where(mask, div(x, keep), nothing)
}, typed)
