// Whole training steps with Variables, that are lowered to StableHLO and run by XLA: the state is donated, and what one
// run leaves in it the next one finds.
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import type { Backend } from "../../src/Backend/Backend.ts"
import * as nnx from "../../src/index.ts"
import { lift, type Tensor } from "../../src/Tensor/Tensor.ts"
import { random, tensor } from "../support/arbitrary.ts"

/** A step that returns arrays and writes Variables: of `models`, or of its closure. */
export interface Step {
  readonly models: ReadonlyArray<unknown>
  /** Every Variable that it may write. */
  readonly state: ReadonlyArray<unknown>
  readonly inputs: ReadonlyArray<Tensor>
  readonly f: (
    ...args: ReadonlyArray<unknown>
  ) => Effect.Effect<unknown, nnx.TransformError | nnx.RngStreamError, Backend>
}

/** A step by its name; made anew every time. */
export interface NamedStep {
  readonly name: string
  readonly make: Effect.Effect<Step, unknown, nnx.Rngs | Backend>
}

const rng = random(11)
const [x, y] = [tensor(rng, [8, 4]), tensor(rng, [8, 2])]

/** No bias before BatchNorm: its gradient is 0 but for rounding, which adam makes as large as any other. */
class Block extends nnx.Module("Block")<{
  readonly linear: nnx.Linear<false>
  readonly bn: nnx.BatchNorm
  readonly dropout: nnx.Dropout
  readonly linearOut: nnx.Linear
}> {
  static readonly make = Effect.fnUntraced(function*(from: number, hidden: number, to: number) {
    return new Block({
      linear: yield* nnx.Linear.make(from, hidden, { useBias: false }),
      bn: yield* nnx.BatchNorm.make(hidden),
      dropout: yield* nnx.Dropout.make(0.1),
      linearOut: yield* nnx.Linear.make(hidden, to)
    })
  })
  apply(input: Tensor) {
    return this.linear.apply(input).pipe(
      Effect.flatMap((h) => this.bn.apply(h)),
      Effect.flatMap((h) => this.dropout.apply(h)),
      Effect.map(nnx.gelu),
      Effect.flatMap((h) => this.linearOut.apply(h))
    )
  }
}

type Failure = nnx.Tensor.TensorError | nnx.RngStreamError
interface Model {
  readonly apply: (input: Tensor) => Effect.Effect<Tensor, Failure>
}
const squared = <M extends Model>(model: M, input: Tensor, target: Tensor) =>
  Effect.map(model.apply(input), (out) => out.sub(target).square().mean())

/** A step that trains a model with an optimizer. */
const training = <M extends Model & object, E, R>(
  name: string,
  make: Effect.Effect<M, E, R>,
  transformation: nnx.GradientTransformation<never>
): { readonly name: string; readonly make: Effect.Effect<Step, E | unknown, R> } => ({
  name,
  make: Effect.gen(function*() {
    const model = yield* make
    const optimizer = yield* nnx.Optimizer.make(model, transformation, { wrt: nnx.Param })
    const models = [model, optimizer] as const
    const f = (m: M, o: typeof optimizer, input: Tensor, target: Tensor) =>
      Effect.gen(function*() {
        const [value, grads] = yield* nnx.valueAndGrad(squared<M>)(m, input, target)
        yield* o.update(m, grads as never)
        return value
      })
    return { models, state: models, inputs: [x, y], f: f as Step["f"] }
  })
})

const counting: NamedStep = {
  name: "a counter in the closure, written twice",
  make: Effect.sync(() => {
    const seen = nnx.Param.makeUnsafe(lift(0))
    const twice = (input: Tensor) =>
      Effect.gen(function*() {
        yield* Ref.update(seen, (n) => n.add(1))
        const n = yield* Ref.get(seen)
        yield* Ref.update(seen, (n) => n.mul(2))
        return input.mul(n)
      })
    return { models: [], state: [seen], inputs: [x], f: twice as Step["f"] }
  })
}

const stacked: NamedStep = {
  name: "scan over a stack of blocks, each with its state",
  make: Effect.gen(function*() {
    const stack = yield* nnx.vmap((streams: nnx.RngStreams) =>
      Effect.provideService(Block.make(4, 8, 4), nnx.Rngs, streams)
    )(yield* (yield* nnx.Rngs).split(3))
    const f = (blocks: Block, input: Tensor) =>
      nnx.scan((h: Tensor, block: Block) => Effect.map(block.apply(h), (out) => [out, null] as const))(input, blocks)
    return { models: [stack], state: [stack], inputs: [x], f: f as Step["f"] }
  })
}

const decoding: NamedStep = {
  name: "attention with a cache",
  make: Effect.gen(function*() {
    const layer = yield* nnx.MultiHeadAttention.make(2, 4, { decode: true })
    yield* layer.initCache([1, 5, 4])
    const f = (m: typeof layer, token: Tensor) => m.apply(token)
    return { models: [layer], state: [layer], inputs: [tensor(rng, [1, 1, 4])], f: f as Step["f"] }
  })
}

/** All steps. */
export const steps: ReadonlyArray<NamedStep> = [
  counting,
  training("linear regression with momentum", nnx.Linear.make(4, 2), nnx.sgd(0.1, { momentum: 0.9 }) as never),
  training("a block with BatchNorm and Dropout, by adam", Block.make(4, 16, 2), nnx.adam(1e-2) as never),
  stacked,
  decoding
] as ReadonlyArray<NamedStep>
