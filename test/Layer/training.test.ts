// Whole models trained for some steps inside jit, against Flax and Optax: losses, first gradients, and all Variables
// after each step.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { toTypedArray } from "../../src/Backend/read.ts"
import * as Cpu from "../../src/Backend/Tfjs/Cpu/index.ts"
import { clone } from "../../src/GraphDef/index.ts"
import { evalMode, LoRAParam, type MakeError } from "../../src/Layer/index.ts"
import * as optim from "../../src/Optimizer/index.ts"
import type { Module } from "../../src/Ref/Module.ts"
import { Rngs, type Seed } from "../../src/Ref/Rngs.ts"
import { type Kind, Param } from "../../src/Ref/Variable.ts"
import * as State from "../../src/State/State.ts"
import * as DType from "../../src/Tensor/DType.ts"
import "../../src/Tensor/install.ts"
import type { Tensor } from "../../src/Tensor/Tensor.ts"
import { grad, valueAndGrad } from "../../src/Transform/autodiff.ts"
import { jit } from "../../src/Transform/jit.ts"
import { assertClose } from "../support/close.ts"
import { cases, numbers, tensor, type Value } from "../support/golden.ts"
import { camel, snapshot } from "./golden.ts"
import { adaptedMlp, Block, ConvNet, Stack, StatefulLinear, Transformer } from "./models.ts"

interface Run {
  readonly name: string
  readonly made: Readonly<Record<string, Value>>
  readonly batches: ReadonlyArray<readonly [Value, Value]>
  readonly gradients: Readonly<Record<string, Value>>
  readonly steps: ReadonlyArray<{ readonly loss: Value; readonly changed: Readonly<Record<string, Value>> }>
  readonly evaluated?: Value
}

interface Model extends Module {
  apply(x: Tensor): Effect.Effect<Tensor, unknown>
}

type Loss = (model: Model, x: Tensor, y: Tensor) => Effect.Effect<Tensor, unknown>

const meanSquares: Loss = (model, x, y) => Effect.map(model.apply(x), (p) => p.sub(y).square().mean())
const crossEntropy: Loss = (model, x, y) =>
  Effect.map(model.apply(x), (p) => optim.softmaxCrossEntropyWithIntegerLabels(p, y).mean())

interface Made {
  readonly make: Effect.Effect<Model, MakeError | unknown, Rngs>
  readonly seeds?: Seed | Readonly<Record<string, Seed>>
  readonly loss: Loss
  readonly wrt?: Kind<string>
}

const models: Readonly<Record<string, Made>> = {
  "block-with-bias": { make: Block.make([2, 8, 3], { useBias: true }), loss: meanSquares },
  "block": { make: Block.make([2, 8, 3]), loss: meanSquares },
  "block-params-0-dropout-1": {
    make: Block.make([2, 4, 3], { rate: 0.5 }),
    seeds: { params: 0, dropout: 1 },
    loss: meanSquares
  },
  "convnet": { make: ConvNet.make(), loss: crossEntropy },
  "transformer": { make: Transformer.make(), loss: crossEntropy },
  "stateful-linear": { make: StatefulLinear.make(2, 3), loss: meanSquares },
  "lora": { make: adaptedMlp(), loss: meanSquares, wrt: LoRAParam },
  "stack-of-4-by-vmap-and-scan": { make: Stack.make(4), loss: meanSquares }
}

const schedule = optim.warmupCosineDecaySchedule({
  initValue: 0,
  peakValue: 1e-2,
  warmupSteps: 2,
  decaySteps: 5,
  endValue: 1e-4
})

const transformations: Readonly<Record<string, () => optim.GradientTransformation>> = {
  "adam": () => optim.adam(1e-3),
  "adam-large": () => optim.adam(0.05),
  "sgd-momentum-nesterov": () => optim.sgd(0.05, { momentum: 0.9, nesterov: true }),
  "clip-adamw-warmup-cosine": () => optim.chain(optim.clipByGlobalNorm(1), optim.adamw(schedule, { weightDecay: 0.1 }))
}

const assertTensor = Effect.fnUntraced(function*(x: Tensor | undefined, value: Value, what: string, atol: number) {
  assert.isDefined(x, what)
  const got = yield* toTypedArray(x)
  if (DType.isFloat(x.dtype)) assertClose(got, numbers(value), { atol, rtol: 2e-5 }, what)
  else assert.deepStrictEqual([...got], numbers(value), what)
})

const run = Effect.fnUntraced(function*(c: Run) {
  const [, modelName, txName] = c.name.split("/")
  const { loss, make, seeds = 0, wrt = Param } = models[modelName]
  const model = yield* make.pipe(Effect.provide(Rngs.layer(seeds)))
  const made = yield* snapshot(model)
  assert.deepStrictEqual([...made.keys()].toSorted(), Object.keys(c.made).map(camel).toSorted())
  for (const [path, value] of Object.entries(c.made)) yield* assertTensor(made.get(camel(path)), value, path, 1e-6)

  const [x0, y0] = c.batches[0].map(tensor)
  const gradients = yield* grad(loss, { wrt })(yield* clone(model), x0, y0)
  const byPath = new Map(State.toEntries(gradients as State.Any).map(([path, leaf]) => [path.join("/"), leaf]))
  for (const [path, value] of Object.entries(c.gradients)) {
    const leaf = byPath.get(camel(path)) as State.VariableState<string, Tensor>
    yield* assertTensor(leaf.value, value, `gradient ${path}`, 1e-5)
  }

  const optimizer = yield* optim.Optimizer.make(model, transformations[txName](), { wrt })
  const step = jit((m: Model, o: typeof optimizer, x: Tensor, y: Tensor) =>
    Effect.gen(function*() {
      const [value, g] = yield* valueAndGrad(loss, { wrt })(m, x, y)
      yield* o.update(m, g)
      return value
    })
  )
  for (const [i, { changed, loss: value }] of c.steps.entries()) {
    const [x, y] = c.batches[i].map(tensor)
    yield* assertTensor(yield* step(model, optimizer, x, y), value, `loss ${i}`, 2e-5)
    const after = yield* snapshot(model)
    for (const [path, v] of Object.entries(changed)) {
      yield* assertTensor(after.get(camel(path)), v, `step ${i}: ${path}`, 5e-5)
    }
  }
  assert.strictEqual(step.traces(), 1)
  if (c.evaluated !== undefined) {
    yield* assertTensor(yield* evalMode(model).apply(x0), c.evaluated, "evaluated", 1e-4)
  }
})

const runs = (cases("training.json")["train"] as unknown as ReadonlyArray<Run>).filter((c) =>
  models[c.name.split("/")[1]] !== undefined
)

describe("training agrees with Flax and Optax", () => {
  for (const c of runs) it.effect(c.name, () => run(c).pipe(Effect.provide(Cpu.layer)))
})
