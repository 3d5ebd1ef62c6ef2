// The blocks of the two notebooks, which differ in the bias of their Linear, and what their tests share.
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import * as nnx from "linum"
import { Linear } from "./modes.models.ts"

export type Tensor = nnx.Tensor.Tensor
type Failure = nnx.Tensor.TensorError | nnx.RngStreamError

/** The second notebook's layer: with a bias. */
export class BiasLinear extends nnx.Module("Linear")<{
  readonly kernel: nnx.Variable<"Param", Tensor>
  readonly bias: nnx.Variable<"Param", Tensor>
}> {
  static readonly make = Effect.fnUntraced(function*(inFeatures: number, outFeatures: number) {
    const key = yield* nnx.Rngs.nextKey()
    return new BiasLinear({
      kernel: yield* nnx.Param.make(nnx.Tensor.random.normal(key, [inFeatures, outFeatures])),
      bias: yield* nnx.Param.make(nnx.Tensor.zeros([outFeatures]))
    })
  })
  apply(x: Tensor) {
    return Effect.map(
      Effect.all([Ref.get(this.kernel), Ref.get(this.bias)]),
      ([kernel, bias]) => x.matmul(kernel).add(bias)
    )
  }
}

/** Linear, BatchNorm, Dropout, gelu, Linear; of either notebook. */
export class Block<L extends Linear | BiasLinear = Linear> extends nnx.Module("Block")<{
  readonly linear: Linear | BiasLinear
  readonly bn: nnx.BatchNorm
  readonly dropout: nnx.Dropout
  readonly linearOut: Linear | BiasLinear
}> {
  declare readonly linear: L
  declare readonly linearOut: L

  apply(x: Tensor): Effect.Effect<Tensor, Failure> {
    return applyBlock(this, x)
  }
}

const applyBlock = Effect.fnUntraced(function*(self: Block<Linear | BiasLinear>, x: Tensor) {
  const normal = yield* self.bn.apply(yield* self.linear.apply(x))
  return yield* self.linearOut.apply(nnx.gelu(yield* self.dropout.apply(normal)))
})

/** A block of the first notebook. */
export const makeBlock = Effect.fnUntraced(function*(din: number, dmid: number, dout: number) {
  return new Block<Linear>({
    linear: yield* Linear.make(din, dmid),
    bn: yield* nnx.BatchNorm.make(dmid),
    dropout: yield* nnx.Dropout.make(0.1),
    linearOut: yield* Linear.make(dmid, dout)
  })
})

/** A block of the second notebook. */
export const makeBiasBlock = Effect.fnUntraced(function*(din: number, dmid: number, dout: number) {
  return new Block<BiasLinear>({
    linear: yield* BiasLinear.make(din, dmid),
    bn: yield* nnx.BatchNorm.make(dmid),
    dropout: yield* nnx.Dropout.make(0.1),
    linearOut: yield* BiasLinear.make(dmid, dout)
  })
})

/** Blocks made side by side by `vmap`, from streams that have been split. */
export const stacked = <M, E>(make: Effect.Effect<M, E, nnx.Rngs>) =>
  nnx.vmap((rngs: nnx.RngStreams) => Effect.provideService(make, nnx.Rngs, rngs))

/** The losses of the notebooks: 1 but for rounding, then less by about 0.03 at each step. */
export const assertNotebookLosses = (losses: ReadonlyArray<number>): void => {
  assert.isBelow(Math.abs(losses[0] - 1), 1e-3)
  for (let i = 1; i < losses.length; i++) {
    const less = losses[i - 1] - losses[i]
    assert.isTrue(less > 0.02 && less < 0.04, `losses ${losses.join(", ")}`)
  }
}
