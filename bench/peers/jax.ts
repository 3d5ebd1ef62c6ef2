/**
 * jax-js with its WebAssembly backend. It has threads where there is a global `Worker`, which Node has not: one thread.
 *
 * It counts references: an array that is used again is passed as `x.ref`.
 */
import { blockUntilReady, defaultDevice, init, jit, lax, nn, numpy as np, tree, valueAndGrad } from "@jax-js/jax"
import { Effect, type Scope } from "effect"
import { type Arrays, type Data, reshape, transpose } from "../data.ts"
import {
  type FunctionName,
  type FunctionWorkload,
  learningRate,
  type ModelName,
  type RepeatedWorkload,
  type TrainingWorkload
} from "../workloads.ts"
import type { Output, Peer, Prepared } from "./Peer.ts"

await init("wasm")
defaultDevice("wasm")

type Tree = { [name: string]: np.Array }

const array = ({ shape, values }: Data): np.Array =>
  np.array(
    values instanceof Float32Array ? Float32Array.from(values) : Int32Array.from(values),
    { shape: [...shape], dtype: values instanceof Float32Array ? np.float32 : np.int32 }
  )

const arrays = (named: Arrays): Tree => Object.fromEntries(Object.entries(named).map(([name, x]) => [name, array(x)]))

// --- images: features come before height and width ---

/** [3,3,inputs,outputs] to [outputs,inputs,3,3], and the kernel after the convolutions in their order. */
const toFeaturesFirst = (named: Arrays): Arrays =>
  Object.fromEntries(
    Object.entries(named).map(([name, x]) => {
      if (name === "x") return [name, transpose(x, [0, 3, 1, 2])]
      if (name === "third.kernel") {
        return [name, reshape(transpose(reshape(x, [7, 7, 64, 128]), [2, 0, 1, 3]), x.shape)]
      }
      return [name, x.shape.length === 4 ? transpose(x, [3, 2, 0, 1]) : x]
    })
  )

const fromFeaturesFirst = (name: string, x: Data): Data => {
  if (name === "third.kernel") {
    return reshape(transpose(reshape(x, [64, 7, 7, 128]), [1, 2, 0, 3]), x.shape)
  }
  return x.shape.length === 4 ? transpose(x, [2, 3, 1, 0]) : x
}

/** Arrays as the workload has them to arrays as its model here has them, and back. */
const layout = (workload: RepeatedWorkload) => {
  const images = workload._tag === "Training" ? workload.model === "cnn" : workload.function === "cnnForward"
  return images
    ? { to: toFeaturesFirst, from: fromFeaturesFirst }
    : { to: (named: Arrays) => named, from: (_: string, x: Data) => x }
}

// --- models. They consume their arguments ---

const linear = (p: Tree, name: string, x: np.Array): np.Array =>
  np.matmul(x, p[`${name}.kernel`]).add(p[`${name}.bias`])

const crossEntropy = (labels: np.Array, logits: np.Array): np.Array =>
  nn.logSoftmax(logits).mul(nn.oneHot(labels, 10)).sum().mul(-1 / labels.shape[0])

const norm = (p: Tree, name: string, x: np.Array): np.Array =>
  nn.standardize(x, -1, { epsilon: 1e-6 }).mul(p[`${name}.scale`]).add(p[`${name}.bias`])

/** Causal attention of tokens [1024,128], which are 16 sequences, with 4 heads. */
const attention = (p: Tree, name: string, x: np.Array): np.Array => {
  const project = (what: string) => np.matmul(x.ref, p[`${name}.${what}.kernel`]).reshape([16, 64, 4, 32])
  const [query, key, value] = ["query", "key", "value"].map(project)
  x.dispose()
  const mixed = nn.dotProductAttention(query, key, value, { isCausal: true })
  return np.matmul(mixed.reshape([1024, 128]), p[`${name}.out.kernel`])
}

const cnn = (p: Tree): np.Array => {
  const layer = (name: string, size: number, features: number, x: np.Array): np.Array => {
    const y = lax.conv(x, p[`${name}.kernel`], [1, 1], "SAME").add(p[`${name}.bias`].reshape([features, 1, 1]))
    return np.max(nn.relu(y).reshape([64, features, size / 2, 2, size / 2, 2]), [3, 5])
  }
  const images = layer("second", 14, 64, layer("first", 28, 32, p["x"]))
  return linear(p, "fourth", nn.relu(linear(p, "third", images.reshape([64, 64 * 7 * 7]))))
}

/** Losses, of parameters and batch. */
const losses: Readonly<Record<ModelName, (p: Tree) => np.Array>> = {
  mlp: (p) => {
    const first = nn.relu(linear(p, "first", p["x"]))
    return crossEntropy(p["labels"], linear(p, "third", nn.relu(linear(p, "second", first))))
  },
  cnn: (p) => crossEntropy(p["labels"], cnn(p)),
  block: (p) => {
    const x = p["x"].reshape([1024, 128])
    const h = attention(p, "attention", norm(p, "norm1", x.ref)).add(x)
    const y = linear(p, "down", nn.gelu(linear(p, "up", norm(p, "norm2", h.ref)))).add(h)
    return np.square(y.sub(p["y"].reshape([1024, 128]))).mean()
  }
}

// --- functions ---

const rnn = ({ w, u }: Tree, x: np.Array): np.Array => {
  let h = np.zeros([32, 128])
  for (let t = 0; t < 128; t++) h = np.tanh(np.matmul(x.ref.slice(t), w.ref).add(np.matmul(h, u.ref)))
  for (const used of [x, w, u]) used.dispose()
  return np.square(h).mean()
}

const functions: Readonly<Record<FunctionName, (inputs: Tree) => ReadonlyArray<np.Array>>> = {
  matmul: ({ a, b }) => [np.matmul(a, b)],
  matmulTN: ({ a, b }) => [np.matmul(np.transpose(a), b)],
  matmulNT: ({ a, b }) => [np.matmul(a, np.transpose(b))],
  gate: ({ x }) => [nn.gelu(x.ref.mul(1.5).add(0.25)).mul(nn.sigmoid(x))],
  softmax: ({ x }) => [nn.softmax(x, -1)],
  sumAxis0: ({ x }) => [np.sum(x, 0)],
  sumAxis1: ({ x }) => [np.sum(x, 1)],
  sumAll: ({ x }) => [np.sum(x)],
  chain: ({ w, x }) => {
    let product = x
    for (let i = 0; i < 100; i++) product = np.matmul(product, w.ref)
    w.dispose()
    return [product]
  },
  tiny: ({ x }) => [x.mul(2).add(1)],
  rnn: ({ u, w, x }) => {
    const [loss, gradients] = valueAndGrad(rnn)({ w, u }, x)
    return [loss, gradients["w"], gradients["u"]]
  },
  cnnForward: (inputs) => [cnn(inputs)]
}

// --- running ---

const ready = (x: ReadonlyArray<np.Array> | Tree) => Effect.promise(() => blockUntilReady(x as Tree))

const output = Effect.fnUntraced(function*(name: string, x: np.Array) {
  const { shape } = x
  return { name, shape, values: Float32Array.from(yield* Effect.promise(() => x.data())) }
})

/** Frees what it was given with the Scope. */
const freed = (get: () => Tree) => Effect.addFinalizer(() => Effect.sync(() => tree.dispose(get())))

const prepareFunction = (workload: FunctionWorkload): Effect.Effect<Prepared, never, Scope.Scope> =>
  Effect.gen(function*() {
    const inputs = arrays(layout(workload).to(workload.inputs()))
    yield* freed(() => inputs)
    const f = jit((inputs: Tree) => [...functions[workload.function](inputs)])
    return {
      outputs: Effect.suspend(() => Effect.forEach(f(tree.ref(inputs)), (x, i) => output(`result ${i}`, x))),
      repeat: Effect.fnUntraced(function*(times: number) {
        for (let i = 0; i < times; i++) {
          const results = f(tree.ref(inputs))
          yield* ready(results)
          tree.dispose(results)
        }
      })
    }
  })

type State = { parameters: Tree; mean: Tree; square: Tree; count: np.Array }

/** Adam (Kingma and Ba 2014), as Optax computes it. */
const adam = ({ count, mean, parameters, square }: State, gradients: Tree): State => {
  const step = count.add(1)
  const [meanCorrection, squareCorrection] = [0.9, 0.999].map((decay) => np.subtract(1, np.power(decay, step.ref)))
  const next: State = { parameters: {}, mean: {}, square: {}, count: step }
  for (const [name, g] of Object.entries(gradients)) {
    next.mean[name] = mean[name].mul(0.9).add(g.ref.mul(0.1))
    next.square[name] = square[name].mul(0.999).add(np.square(g).mul(1 - 0.999))
    const root = np.sqrt(next.square[name].ref.div(squareCorrection.ref)).add(1e-8)
    const update = next.mean[name].ref.div(meanCorrection.ref).div(root)
    next.parameters[name] = parameters[name].sub(update.mul(learningRate))
  }
  tree.dispose([meanCorrection, squareCorrection])
  return next
}

const zeros = (like: Tree): Tree =>
  Object.fromEntries(Object.entries(like).map(([name, { shape }]) => [name, np.zeros(shape)]))

const prepareTraining = (workload: TrainingWorkload): Effect.Effect<Prepared, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { from, to } = layout(workload)
    const batch = arrays(to(workload.batch()))
    const parameters = arrays(to(workload.parameters()))
    const held = { state: { parameters, mean: zeros(parameters), square: zeros(parameters), count: np.array(0) } }
    yield* freed(() => ({ ...batch, ...held.state.parameters }))
    const loss = (p: Tree, batch: Tree) => losses[workload.model]({ ...p, ...batch })
    const compiled = jit((state: State, batch: Tree) => {
      const [value, gradients] = valueAndGrad(loss)(tree.ref(state.parameters), batch)
      return { loss: value, state: adam(state, gradients) }
    })
    const step = Effect.fnUntraced(function*() {
      const { loss, state } = compiled(held.state, tree.ref(batch))
      held.state = state
      yield* ready({ loss, ...state.parameters })
      return loss
    })
    return {
      outputs: Effect.gen(function*() {
        const values = new Float32Array(workload.checkedSteps)
        for (let i = 0; i < values.length; i++) values[i] = (yield* step()).item()
        const outputs: Array<Output> = [{ name: "losses", shape: [values.length], values }]
        for (const [name, x] of Object.entries(held.state.parameters)) {
          outputs.push({ name, ...from(name, yield* output(name, x.ref)) })
        }
        return outputs
      }),
      repeat: Effect.fnUntraced(function*(times: number) {
        for (let i = 0; i < times; i++) (yield* step()).dispose()
      })
    }
  })

export const peer: Peer = {
  prepare: (workload) => workload._tag === "Function" ? prepareFunction(workload) : prepareTraining(workload)
}
