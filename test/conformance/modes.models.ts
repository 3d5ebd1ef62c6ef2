// What the tests of the two notebooks share: their models, and short ways to make values.
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import * as nnx from "linum"

export type Tensor = nnx.Tensor.Tensor

/** A weakly typed int32 scalar, as `jnp.array(0)` is. */
export const weak = (n: number): Tensor => nnx.Tensor.lift(n)

/** The error of an Effect. */
export const failure = <A, E extends { readonly _tag: string; readonly message: string }, R>(
  effect: Effect.Effect<A, E, R>
) => Effect.flip(effect)

/** The first notebook's layer: without a bias. */
export class Linear extends nnx.Module("Linear")<{ readonly kernel: nnx.Variable<"Param", Tensor> }> {
  static readonly make = Effect.fnUntraced(function*(inFeatures: number, outFeatures: number) {
    const rngs = yield* nnx.Rngs
    return new Linear({ kernel: yield* nnx.Param.make(yield* rngs.normal([inFeatures, outFeatures])) })
  })
  apply(x: Tensor) {
    return Effect.map(Ref.get(this.kernel), (w) => x.matmul(w))
  }
}

/** A Variable and a layer, each under two names. */
export class Shared extends nnx.Pytree("Shared")<{
  readonly a: nnx.Variable<"Variable", Tensor>
  readonly b: nnx.Variable<"Variable", Tensor>
  readonly c: Linear
  readonly d: Linear
}> {
  static readonly make = Effect.gen(function*() {
    const a = yield* nnx.Variable.make(weak(0))
    const c = yield* Linear.make(1, 1)
    return new Shared({ a, b: a, c, d: c })
  })
}
