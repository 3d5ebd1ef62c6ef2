/**
 * TensorFlow.js with its WebAssembly backend. It has no compiler: functions run operation by operation. In Node it has
 * one thread.
 */
import { Effect, type Scope } from "effect"
import { registerHooks } from "node:module"
import type { Arrays, Data } from "../data.ts"
import {
  type FunctionName,
  type FunctionWorkload,
  learningRate,
  type ModelName,
  type TrainingWorkload
} from "../workloads.ts"
import type { Output, Peer, Prepared } from "./Peer.ts"

// What the package gives Node has no gradients. They are in files for bundlers, which import each other without
// extensions.
registerHooks({
  resolve: (specifier, context, next) => {
    const bundled = specifier.startsWith(".") && context.parentURL?.includes("/@tensorflow/tfjs-core/dist/") === true
    return next(bundled && !specifier.endsWith(".js") ? `${specifier}.js` : specifier, context)
  }
})
const tf = await import("@tensorflow/tfjs-core")
await import("@tensorflow/tfjs-core/dist/register_all_gradients.js")
await import("@tensorflow/tfjs-backend-wasm")
await tf.setBackend("wasm")

type Tensor = ReturnType<typeof tf.tensor>
type Tensors = Readonly<Record<string, Tensor>>

const tensor = ({ shape, values }: Data): Tensor =>
  tf.tensor(values, [...shape], values instanceof Float32Array ? "float32" : "int32")

const tensors = (arrays: Arrays): Tensors =>
  Object.fromEntries(Object.entries(arrays).map(([name, x]) => [name, tensor(x)]))

const output = (name: string, x: Tensor): Output => ({ name, shape: x.shape, values: Float32Array.from(x.dataSync()) })

// --- models ---

const linear = (p: Tensors, name: string, x: Tensor): Tensor =>
  tf.add(tf.matMul(x, p[`${name}.kernel`]), p[`${name}.bias`])

const crossEntropy = (labels: Tensor, logits: Tensor): Tensor =>
  tf.losses.softmaxCrossEntropy(tf.oneHot(labels, 10), logits)

const gelu = (x: Tensor): Tensor => {
  const cubic = tf.add(x, tf.mul(0.044715, tf.mul(x, tf.mul(x, x))))
  return tf.mul(tf.mul(0.5, x), tf.add(1, tf.tanh(tf.mul(Math.sqrt(2 / Math.PI), cubic))))
}

const norm = (p: Tensors, name: string, x: Tensor): Tensor => {
  const { mean, variance } = tf.moments(x, -1, true)
  const normal = tf.mul(tf.sub(x, mean), tf.rsqrt(tf.add(variance, 1e-6)))
  return tf.add(tf.mul(normal, p[`${name}.scale`]), p[`${name}.bias`])
}

/** Causal attention of tokens [1024,128], which are 16 sequences, with 4 heads. */
const attention = (p: Tensors, name: string, x: Tensor): Tensor => {
  const project = (what: string) => tf.matMul(x, p[`${name}.${what}.kernel`])
  const heads = (y: Tensor) => tf.transpose(tf.reshape(y, [16, 64, 4, 32]), [0, 2, 1, 3])
  const [query, key, value] = ["query", "key", "value"].map((what) => heads(project(what)))
  const scores = tf.mul(tf.matMul(query, key, false, true), 1 / Math.sqrt(32))
  const seen = tf.linalg.bandPart(tf.ones([64, 64]), -1, 0)
  const weights = tf.softmax(tf.add(scores, tf.mul(tf.sub(seen, 1), 1e9)))
  const mixed = tf.transpose(tf.matMul(weights, value), [0, 2, 1, 3])
  return tf.matMul(tf.reshape(mixed, [1024, 128]), p[`${name}.out.kernel`])
}

const cnn = (p: Tensors): Tensor => {
  const layer = (name: string, x: Tensor): Tensor => {
    const y = tf.conv2d(x as Tensor4, p[`${name}.kernel`] as Tensor4, 1, "same")
    return tf.maxPool(tf.relu(tf.add(y, p[`${name}.bias`])) as Tensor4, 2, 2, "valid")
  }
  const features = tf.reshape(layer("second", layer("first", p["x"])), [64, 7 * 7 * 64])
  return linear(p, "fourth", tf.relu(linear(p, "third", features)))
}
type Tensor4 = ReturnType<typeof tf.tensor4d>

/** Losses, of parameters and batch. */
const losses: Readonly<Record<ModelName, (p: Tensors) => Tensor>> = {
  mlp: (p) => {
    const first = tf.relu(linear(p, "first", p["x"]))
    return crossEntropy(p["labels"], linear(p, "third", tf.relu(linear(p, "second", first))))
  },
  cnn: (p) => crossEntropy(p["labels"], cnn(p)),
  block: (p) => {
    const x = tf.reshape(p["x"], [1024, 128])
    const h = tf.add(x, attention(p, "attention", norm(p, "norm1", x)))
    const y = tf.add(h, linear(p, "down", gelu(linear(p, "up", norm(p, "norm2", h)))))
    return tf.mean(tf.square(tf.sub(y, tf.reshape(p["y"], [1024, 128]))))
  }
}

// --- functions ---

const functions: Readonly<Record<FunctionName, (inputs: Tensors) => ReadonlyArray<Tensor>>> = {
  matmul: ({ a, b }) => [tf.matMul(a, b)],
  matmulTN: ({ a, b }) => [tf.matMul(a, b, true, false)],
  matmulNT: ({ a, b }) => [tf.matMul(a, b, false, true)],
  gate: ({ x }) => [tf.mul(gelu(tf.add(tf.mul(x, 1.5), 0.25)), tf.sigmoid(x))],
  softmax: ({ x }) => [tf.softmax(x)],
  sumAxis0: ({ x }) => [tf.sum(x, 0)],
  sumAxis1: ({ x }) => [tf.sum(x, 1)],
  sumAll: ({ x }) => [tf.sum(x)],
  chain: ({ w, x }) => {
    let product = x
    for (let i = 0; i < 100; i++) product = tf.matMul(product, w)
    return [product]
  },
  tiny: ({ x }) => [tf.add(tf.mul(x, 2), 1)],
  rnn: ({ u, w, x }) => {
    const loss = (w: Tensor, u: Tensor) => {
      let h: Tensor = tf.zeros([32, 128])
      for (const now of tf.unstack(x)) h = tf.tanh(tf.add(tf.matMul(now, w), tf.matMul(h, u)))
      return tf.mean(tf.square(h))
    }
    const { grads, value } = tf.valueAndGrads(loss)([w, u])
    return [value, ...grads]
  },
  cnnForward: (inputs) => [cnn(inputs)]
}

// --- running ---

/** Frees what it was given with the Scope. */
const freed = (x: Tensors) => Effect.addFinalizer(() => Effect.sync(() => tf.dispose(x)))

const prepareFunction = (workload: FunctionWorkload): Effect.Effect<Prepared, never, Scope.Scope> =>
  Effect.gen(function*() {
    const inputs = tensors(workload.inputs())
    yield* freed(inputs)
    const f = functions[workload.function]
    return {
      outputs: Effect.sync(() => {
        const results = tf.tidy(() => [...f(inputs)])
        const outputs = results.map((x, i) => output(`result ${i}`, x))
        tf.dispose(results)
        return outputs
      }),
      repeat: (times) =>
        Effect.sync(() => {
          for (let i = 0; i < times; i++) tf.tidy(() => void f(inputs))
        })
    }
  })

const prepareTraining = (workload: TrainingWorkload): Effect.Effect<Prepared, never, Scope.Scope> =>
  Effect.gen(function*() {
    const parameters = Object.entries(workload.parameters()).map(([name, x]) => [name, tf.variable(tensor(x))] as const)
    const all = { ...Object.fromEntries(parameters), ...tensors(workload.batch()) }
    yield* freed(all)
    const variables = parameters.map(([, variable]) => variable)
    const optimizer = tf.train.adam(learningRate, 0.9, 0.999, 1e-8)
    const step = (): number => {
      const cost = optimizer.minimize(() => losses[workload.model](all) as Scalar, true, variables)
      const [loss] = cost?.dataSync() ?? [Number.NaN]
      cost?.dispose()
      return loss
    }
    return {
      outputs: Effect.sync(() => {
        const values = Float32Array.from({ length: workload.checkedSteps }, step)
        return [{ name: "losses", shape: [values.length], values }, ...parameters.map(([name, x]) => output(name, x))]
      }),
      repeat: (times) =>
        Effect.sync(() => {
          for (let i = 0; i < times; i++) step()
        })
    }
  })
type Scalar = ReturnType<typeof tf.scalar>

export const peer: Peer = {
  prepare: (workload) => workload._tag === "Function" ? prepareFunction(workload) : prepareTraining(workload)
}
