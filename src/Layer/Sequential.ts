/**
 * Layers and functions one after the other.
 */
import * as Effect from "effect/Effect"
import { Module } from "../Ref/Module.ts"
import type { TensorError } from "../Tensor/errors.ts"
import type { Tensor } from "../Tensor/Tensor.ts"
import { typed } from "./support.ts"

/** A Module that can be applied to an array. */
export interface Applicable<E = unknown, R = unknown> {
  apply(x: Tensor): Effect.Effect<Tensor, E, R>
}

/** A function of an array, which may be an Effect. */
export type Activation<E = unknown, R = unknown> = (x: Tensor) => Tensor | Effect.Effect<Tensor, E, R>

/** What a `Sequential` holds: Modules and functions. */
export type Step = Applicable | Activation

/** What a `Sequential` is made of: as a `Step`, or an Effect that makes one, such as `Linear.make(2, 3)`. */
export type Part = Step | Effect.Effect<Step, unknown, unknown>

/** The Step that a Part gives. */
export type Made<P> = P extends Effect.Effect<infer A, infer _E, infer _R> ? A : P

type MadeAll<Parts extends ReadonlyArray<Part>> = { readonly [I in keyof Parts]: Made<Parts[I]> }

type MakeErrorOf<P> = P extends Effect.Effect<infer _A, infer E, infer _R> ? E : never

type MakeServicesOf<P> = P extends Effect.Effect<infer _A, infer _E, infer R> ? R : never

/** What running a Step gives. Functions come first, since they have a method `apply` too. */
type Running<S> = S extends (x: Tensor) => infer F ? F : S extends { apply(x: Tensor): infer F } ? F : never

type ErrorOf<S> = Running<S> extends infer F ? F extends Effect.Effect<infer _A, infer E, infer _R> ? E : never : never

type ServicesOf<S> = Running<S> extends infer F ? F extends Effect.Effect<infer _A, infer _E, infer R> ? R : never
  : never

/**
 * Modules and functions, each applied to what the one before gave. `flax.nnx.Sequential`, for steps from one array to
 * one array.
 *
 * `make` takes Modules, functions, and Effects that make Modules, which run in order.
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 *
 * const program = Effect.gen(function*() {
 *   const model = yield* nnx.Sequential.make(nnx.Linear.make(4, 8), nnx.relu, nnx.Linear.make(8, 2))
 *   const y = yield* model.apply(nnx.Tensor.ones([3, 4]))
 *   return y.shape
 * })
 * console.log(Effect.runSync(program.pipe(Effect.provide(nnx.Rngs.layer(0))))) // => [ 3, 2 ]
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export class Sequential<const Steps extends ReadonlyArray<Step> = ReadonlyArray<Step>>
  extends Module("Sequential")<{ readonly layers: Steps }>
{
  /** Makes what is to be made, in order, and puts it together. */
  static readonly make = <const Parts extends ReadonlyArray<Part>>(
    ...parts: Parts
  ): Effect.Effect<Sequential<MadeAll<Parts>>, MakeErrorOf<Parts[number]>, MakeServicesOf<Parts[number]>> =>
    make(parts) as Effect.Effect<Sequential<MadeAll<Parts>>, MakeErrorOf<Parts[number]>, MakeServicesOf<Parts[number]>>

  /** Applies all steps in order. Without steps it gives x. */
  apply(x: Tensor): Effect.Effect<Tensor, ErrorOf<Steps[number]> | TensorError, ServicesOf<Steps[number]>> {
    return apply(this.layers, x) as Effect.Effect<Tensor, ErrorOf<Steps[number]>, ServicesOf<Steps[number]>>
  }
}

const make = (parts: ReadonlyArray<Part>) =>
  Effect.map(
    Effect.forEach(parts, (part) => Effect.isEffect(part) ? part : Effect.succeed(part)),
    (layers) => new Sequential({ layers })
  )

const apply = Effect.fnUntraced(function*(layers: ReadonlyArray<Step>, x: Tensor) {
  let y = x
  for (const layer of layers) {
    const result = typeof layer === "function" ? layer(y) : layer.apply(y)
    y = Effect.isEffect(result) ? yield* result : result
  }
  return y
}, typed)
