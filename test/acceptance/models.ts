// What the acceptance tests train: a model with every kind of state, as a user would write it.
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as nnx from "linum"
import * as Cpu from "linum/backend/tfjs-cpu"

export type Tensor = nnx.Tensor.Tensor

/** The services of an application: a backend and random streams. */
export const Live = Layer.mergeAll(Cpu.layer, nnx.Rngs.layer(0))

export class Net extends nnx.Module("Net")<{
  readonly first: nnx.Linear
  readonly norm: nnx.BatchNorm
  readonly dropout: nnx.Dropout
  readonly last: nnx.Linear
}> {
  static readonly make = Effect.fnUntraced(function*(features: number, hidden: number) {
    return new Net({
      first: yield* nnx.Linear.make(features, hidden),
      norm: yield* nnx.BatchNorm.make(hidden),
      dropout: yield* nnx.Dropout.make(0.1),
      last: yield* nnx.Linear.make(hidden, 1)
    })
  })
  apply(x: Tensor) {
    return this.first.apply(x).pipe(
      Effect.flatMap((h) => this.norm.apply(h)),
      Effect.map(nnx.relu),
      Effect.flatMap((h) => this.dropout.apply(h)),
      Effect.flatMap((h) => this.last.apply(h))
    )
  }
}

/** The squared error of a model: `regression<Net>()` is the loss function of a Net. */
export const regression =
  <M extends { apply(x: Tensor): Effect.Effect<Tensor, E> }, E = Failure>() => (model: M, x: Tensor, y: Tensor) =>
    Effect.map(model.apply(x), (prediction) => prediction.sub(y).square().mean())

/** What applying a layer may fail with. */
type Failure = nnx.Tensor.TensorError | nnx.RngStreamError

/** A linear relation with some noise. */
export const data = (n: number, features: number, seed = 7): readonly [x: Tensor, y: Tensor] => {
  const x = nnx.Tensor.random.normal(nnx.Tensor.random.key(seed), [n, features])
  return [x, x.sum({ axis: 1, keepdims: true }).mul(0.5).add(1)]
}

/** Everything that the Variables of a value hold, as comparable text. */
export const contents = Effect.fnUntraced(function*(value: object) {
  const state = yield* nnx.state(value)
  const parts: Array<string> = []
  for (const [path, leaf] of nnx.State.toEntries(state)) {
    const held: unknown = nnx.State.isVariableState(leaf) ? leaf.value : leaf
    for (const x of nnx.Tensor.Tree.leaves(held)) {
      parts.push(`${path.join("/")} ${x.dtype} ${JSON.stringify(yield* nnx.Tensor.toNested(x))}`)
    }
  }
  return parts
})
