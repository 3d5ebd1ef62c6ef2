/**
 * Linum. Models are Modules, as its users write them. What a function takes and gives is in Variables, so that it stays
 * in the backend's memory, as the arrays of the other libraries stay in theirs.
 */
import { Effect, Layer, Ref } from "effect"
import * as nnx from "linum"
import type { Arrays, Data } from "../data.ts"
import {
  type FunctionName,
  type FunctionWorkload,
  learningRate,
  type ModelName,
  type RepeatedWorkload,
  type TrainingWorkload
} from "../workloads.ts"
import type { Output, Peer } from "./Peer.ts"

type Tensor = nnx.Tensor.Tensor
type Tensors = Readonly<Record<string, Tensor>>

const { nn } = nnx.Tensor

const tensor = ({ shape, values }: Data): Tensor => nnx.Tensor.array(values, { shape })

const tensors = (arrays: Arrays): Tensors =>
  Object.fromEntries(Object.entries(arrays).map(([name, x]) => [name, tensor(x)]))

const output = (name: string, x: Tensor) =>
  Effect.map(
    nnx.Tensor.toTypedArray(x),
    (values): Output => ({ name, shape: x.shape, values: Float32Array.from(values) })
  )

// --- models ---

class Mlp extends nnx.Module("Mlp")<{
  readonly first: nnx.Linear
  readonly second: nnx.Linear
  readonly third: nnx.Linear
}> {
  static readonly make = Effect.gen(function*() {
    const first = yield* nnx.Linear.make(784, 512)
    const second = yield* nnx.Linear.make(512, 512)
    return new Mlp({ first, second, third: yield* nnx.Linear.make(512, 10) })
  })

  apply(x: Tensor) {
    return this.first.apply(x).pipe(
      Effect.flatMap((h) => this.second.apply(nn.relu(h))),
      Effect.flatMap((h) => this.third.apply(nn.relu(h)))
    )
  }
}

class Cnn extends nnx.Module("Cnn")<{
  readonly first: nnx.Conv
  readonly second: nnx.Conv
  readonly third: nnx.Linear
  readonly fourth: nnx.Linear
}> {
  static readonly make = Effect.gen(function*() {
    const first = yield* nnx.Conv.make(1, 32, [3, 3])
    const second = yield* nnx.Conv.make(32, 64, [3, 3])
    const third = yield* nnx.Linear.make(7 * 7 * 64, 128)
    return new Cnn({ first, second, third, fourth: yield* nnx.Linear.make(128, 10) })
  })

  apply(x: Tensor) {
    const pool = (x: Tensor) => nn.maxPool(nn.relu(x), [2, 2], { strides: 2 })
    return this.first.apply(x).pipe(
      Effect.flatMap((h) => this.second.apply(pool(h))),
      Effect.flatMap((h) => this.third.apply(pool(h).reshape([64, 7 * 7 * 64]))),
      Effect.flatMap((h) => this.fourth.apply(nn.relu(h)))
    )
  }
}

class Block extends nnx.Module("Block")<{
  readonly norm1: nnx.LayerNorm
  readonly attention: nnx.MultiHeadAttention<false>
  readonly norm2: nnx.LayerNorm
  readonly up: nnx.Linear
  readonly down: nnx.Linear
}> {
  static readonly make = Effect.gen(function*() {
    return new Block({
      norm1: yield* nnx.LayerNorm.make(128),
      attention: yield* nnx.MultiHeadAttention.make(4, 128, { useBias: false }),
      norm2: yield* nnx.LayerNorm.make(128),
      up: yield* nnx.Linear.make(128, 512),
      down: yield* nnx.Linear.make(512, 128)
    })
  })

  apply(x: Tensor) {
    const { attention, down, norm1, norm2, up } = this
    return Effect.gen(function*() {
      const h = x.add(yield* attention.apply(yield* norm1.apply(x), { isCausal: true }))
      return h.add(yield* down.apply(nn.gelu(yield* up.apply(yield* norm2.apply(h)))))
    })
  }
}

type Model = Mlp | Cnn | Block

const makers: Readonly<Record<ModelName, Effect.Effect<Model, unknown, nnx.Rngs>>> = {
  mlp: Mlp.make,
  cnn: Cnn.make,
  block: Block.make
}

const crossEntropy = (model: Model, { labels, x }: Tensors) =>
  Effect.map(model.apply(x), (logits) => nnx.softmaxCrossEntropyWithIntegerLabels(logits, labels).mean())

const meanSquare = (model: Model, { x, y }: Tensors) => Effect.map(model.apply(x), (out) => out.sub(y).square().mean())

const losses = { mlp: crossEntropy, cnn: crossEntropy, block: meanSquare } satisfies Record<ModelName, unknown>

/** A model with these parameters. */
const make = Effect.fnUntraced(function*(name: ModelName, parameters: Arrays) {
  const model: Model = yield* makers[name].pipe(Effect.provide(nnx.Rngs.layer(0)))
  const state = yield* nnx.state(model, nnx.Param)
  const given = nnx.State.mapWithPath(
    state as nnx.State.State<Tensor>,
    (path, { shape }) => tensor({ values: parameters[path.join(".")].values, shape })
  )
  yield* nnx.update(model, given)
  return model
})

// --- functions ---

/** Those of arrays alone. */
const functions: {
  readonly [F in Exclude<FunctionName, "cnnForward">]: (
    inputs: Tensors
  ) => Effect.Effect<ReadonlyArray<Tensor>, unknown>
} = {
  matmul: ({ a, b }) => Effect.succeed([a.matmul(b)]),
  matmulTN: ({ a, b }) => Effect.succeed([a.transpose().matmul(b)]),
  matmulNT: ({ a, b }) => Effect.succeed([a.matmul(b.transpose())]),
  gate: ({ x }) => Effect.succeed([nn.gelu(x.mul(1.5).add(0.25)).mul(nn.sigmoid(x))]),
  softmax: ({ x }) => Effect.succeed([nn.softmax(x)]),
  sumAxis0: ({ x }) => Effect.succeed([x.sum(0)]),
  sumAxis1: ({ x }) => Effect.succeed([x.sum(1)]),
  sumAll: ({ x }) => Effect.succeed([x.sum()]),
  chain: ({ w, x }) => {
    let product = x
    for (let i = 0; i < 100; i++) product = product.matmul(w)
    return Effect.succeed([product])
  },
  tiny: ({ x }) => Effect.succeed([x.mul(2).add(1)]),
  rnn: ({ u, w, x }) => {
    const loss = ({ u, w }: Tensors, x: Tensor) => {
      const step = (h: Tensor, now: Tensor) => Effect.succeed(now.matmul(w).add(h.matmul(u)).tanh())
      const all = nnx.scan(step, { inAxes: [nnx.Carry, 0], outAxes: nnx.Carry })
      return Effect.map(all(nnx.Tensor.zeros([32, 128]), x), (h) => h.square().mean())
    }
    return Effect.map(
      nnx.valueAndGrad(loss)({ u, w }, x),
      ([value, gradients]) => [value, gradients["w"], gradients["u"]]
    )
  }
}

// --- running ---

const Held = nnx.kind("Held")

type Held = nnx.Variable<"Held", Tensor>
type AllHeld = Readonly<Record<string, Held>>

/** Makes the elements of Variables the backend's own: a step that writes them leaves them there. */
const settle = Effect.fnUntraced(function*(held: AllHeld) {
  for (const factor of [2, 0.5]) {
    yield* nnx.jit((held: AllHeld) =>
      Effect.forEach(Object.values(held), (variable) => Ref.update(variable, (x) => x.mul(factor)), { discard: true })
    )(held)
  }
})

const hold = Effect.fnUntraced(function*(arrays: Tensors) {
  const held: AllHeld = Object.fromEntries(
    yield* Effect.forEach(Object.entries(arrays), ([name, x]) => Effect.map(Held.make(x), (v) => [name, v] as const))
  )
  yield* settle(held)
  return held
})

const readAll = Effect.fnUntraced(function*(held: AllHeld) {
  const values: Record<string, Tensor> = {}
  for (const [name, variable] of Object.entries(held)) values[name] = yield* Ref.get(variable)
  return values
})

/** The function of a workload: of its inputs, and for `cnnForward` of a model too. */
const functionOf = (name: FunctionName) =>
  name === "cnnForward"
    ? (inputs: Tensors, model: Model | undefined) =>
      model === undefined ? Effect.succeed([]) : Effect.map(model.apply(inputs["x"]), (scores) => [scores])
    : (inputs: Tensors) => functions[name](inputs)

type Run<A> = Effect.Effect<A, unknown, nnx.Backend>

const repeating = (step: Run<unknown>) =>
  Effect.fnUntraced(function*(times: number) {
    for (let i = 0; i < times; i++) yield* step
  })

/** With inputs and results in Variables. */
const prepareHeld = Effect.fnUntraced(function*(workload: FunctionWorkload) {
  const arrays = workload.inputs()
  const model = workload.function === "cnnForward" ? yield* make("cnn", arrays) : undefined
  const inputs = yield* hold(tensors(model === undefined ? arrays : { x: arrays["x"] }))
  const f = functionOf(workload.function)
  const shapes = yield* nnx.jit((inputs: AllHeld, model: Model | undefined) =>
    Effect.flatMap(readAll(inputs), (values) => f(values, model))
  )(inputs, model)
  const results = yield* hold(Object.fromEntries(shapes.map((x, i) => [`result ${i}`, nnx.Tensor.zeros(x.shape)])))
  const step = nnx.jit((inputs: AllHeld, model: Model | undefined, results: AllHeld) =>
    Effect.gen(function*() {
      const values = yield* f(yield* readAll(inputs), model)
      for (const [i, result] of Object.values(results).entries()) yield* Ref.set(result, values[i])
    })
  )
  const run: Run<void> = Effect.suspend(() => step(inputs, model, results))
  const outputs = Effect.andThen(
    run,
    Effect.flatMap(readAll(results), (values) => Effect.forEach(Object.entries(values), ([name, x]) => output(name, x)))
  )
  return { outputs, repeat: repeating(run) }
})

/** With arrays as arguments and results. */
const prepareCall = (workload: FunctionWorkload) => {
  const inputs = tensors(workload.inputs())
  const f = functionOf(workload.function)
  const call = nnx.jit((inputs: Tensors) => f(inputs, undefined))
  const run = Effect.suspend(() => call(inputs))
  const outputs = Effect.flatMap(run, Effect.forEach((x, i) => output(`result ${i}`, x)))
  return Effect.succeed({ outputs, repeat: repeating(run) })
}

const prepareTraining = Effect.fnUntraced(function*(workload: TrainingWorkload) {
  const model = yield* make(workload.model, workload.parameters())
  const optimizer = yield* nnx.Optimizer.make(model, nnx.adam(learningRate), { wrt: nnx.Param })
  const batch = tensors(workload.batch())
  const loss = losses[workload.model]
  const learn = nnx.jit((m: Model, o: typeof optimizer, batch: Tensors) =>
    Effect.gen(function*() {
      const [value, gradients] = yield* nnx.valueAndGrad(loss)(m, batch)
      yield* o.update(m, gradients)
      return value
    })
  )
  const step = Effect.suspend(() => learn(model, optimizer, batch))
  const outputs = Effect.gen(function*() {
    const values = new Float32Array(workload.checkedSteps)
    for (let i = 0; i < values.length; i++) values[i] = yield* nnx.Tensor.item(yield* step)
    const outputs: Array<Output> = [{ name: "losses", shape: [values.length], values }]
    const parameters = workload.parameters()
    const state = (yield* nnx.state(model, nnx.Param)) as nnx.State.State<Tensor>
    const named = new Map(nnx.State.paths(state).map((path, i) => [path.join("."), nnx.State.values(state)[i]]))
    for (const [name, { shape }] of Object.entries(parameters)) {
      const x = named.get(name)
      if (x !== undefined) outputs.push({ ...yield* output(name, x), shape })
    }
    return outputs
  })
  return { outputs, repeat: repeating(step) }
})

/** Linum on a backend, which is made anew for every workload. */
export const peer = (backend: Layer.Layer<nnx.Backend>): Peer => ({
  prepare: Effect.fnUntraced(function*(workload) {
    const services = yield* Layer.build(backend)
    const { outputs, repeat } = yield* prepareOn(workload).pipe(Effect.provide(services))
    return {
      outputs: Effect.provide(outputs, services),
      repeat: (times) => Effect.provide(repeat(times), services)
    }
  })
})

const prepareOn = (workload: RepeatedWorkload): Run<Unbound> =>
  workload._tag === "Training"
    ? prepareTraining(workload)
    : workload.function === "tiny"
    ? prepareCall(workload)
    : prepareHeld(workload)

/** As `Prepared`, the backend not given yet. */
interface Unbound {
  readonly outputs: Run<ReadonlyArray<Output>>
  readonly repeat: (times: number) => Run<void>
}
