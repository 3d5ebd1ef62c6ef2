/**
 * What is measured. A workload has inputs, a name for what is computed of them (each file in `peers/` says how its
 * library expresses that), and the number of floating-point operations of its matrix products and convolutions.
 *
 * A *function* is called again and again with the same inputs. *Training* makes steps of Adam, each from where the last
 * one ended. A *first call* is the first step of a training in a new process: tracing, compiling and running.
 */
import * as data from "./data.ts"
import type { Arrays } from "./data.ts"

/** Functions: what each computes of its inputs. */
export const functions = {
  matmul: "a @ b, of matrices or batches of matrices",
  matmulTN: "aᵀ @ b",
  matmulNT: "a @ bᵀ",
  gate: "gelu(1.5 x + 0.25) sigmoid(x), with gelu by tanh",
  softmax: "softmax over the last axis",
  sumAxis0: "sum over axis 0",
  sumAxis1: "sum over axis 1",
  sumAll: "sum of all elements",
  chain: "x, 100 times multiplied by w from the right",
  tiny: "2 x + 1",
  rnn: "mean(h²) of h = tanh(x[t] @ w + h @ u) after all t, h = 0 at first, and its gradients by w and u",
  cnnForward: "the scores of the model `cnn`"
} as const

/** The name of a function. */
export type FunctionName = keyof typeof functions

/** Models and losses: what each is made of. All are trained with Adam, learning rate 0.001. */
export const models = {
  mlp: "dense layers with relu between them; mean cross-entropy",
  cnn: "3x3 convolutions (zeros around) with relu and 2x2 max pooling, then as `mlp`",
  block: "x + attention(norm(x)), causal, heads of 32, no biases; then + down(gelu(up(norm(…)))); mean square error"
} as const

/** The name of a model. */
export type ModelName = keyof typeof models

export const learningRate = 1e-3

interface Common {
  /** As `--only` and JSON name it. */
  readonly name: string
  /** As tables name it. */
  readonly title: string
  /** What `--only` also chooses it by. */
  readonly group: string
}

/** What a library can be asked to run repeatedly. */
interface Repeated extends Common {
  /** Operations of products and convolutions, a multiplication and an addition counted as two. */
  readonly flops?: number
  /** How far results may be apart: the norm of the difference relative to the norm. */
  readonly tolerance: number
}

/** A function of arrays. */
export interface FunctionWorkload extends Repeated {
  readonly _tag: "Function"
  readonly function: FunctionName
  readonly inputs: () => Arrays
}

/** Training steps. */
export interface TrainingWorkload extends Repeated {
  readonly _tag: "Training"
  readonly model: ModelName
  readonly parameters: () => Arrays
  readonly batch: () => Arrays
  /** After how many steps losses and parameters are compared. */
  readonly checkedSteps: number
}

/** The first call of a training step. */
export interface FirstCallWorkload extends Common {
  readonly _tag: "FirstCall"
  readonly of: TrainingWorkload
}

export type RepeatedWorkload = FunctionWorkload | TrainingWorkload
export type Workload = RepeatedWorkload | FirstCallWorkload

// --- matrix products ---

const product = (
  name: string,
  title: string,
  a: ReadonlyArray<number>,
  b: ReadonlyArray<number>,
  flops: number,
  f: FunctionName = "matmul"
): FunctionWorkload => ({
  _tag: "Function",
  name,
  title,
  group: "matmul",
  function: f,
  inputs: () => ({ a: data.normal(1, a), b: data.normal(2, b) }),
  flops,
  tolerance: 1e-5
})

const square = (n: number): FunctionWorkload => product(`matmul-${n}`, `matmul ${n}`, [n, n], [n, n], 2 * n ** 3)

const products: ReadonlyArray<FunctionWorkload> = [
  square(256),
  square(512),
  square(1024),
  square(255),
  product("matmul-n250", "matmul 256x256x250", [256, 256], [256, 250], 2 * 256 * 256 * 250),
  product("matmul-tn", "matmul 256, AᵀB", [256, 256], [256, 256], 2 * 256 ** 3, "matmulTN"),
  product("matmul-nt", "matmul 256, ABᵀ", [256, 256], [256, 256], 2 * 256 ** 3, "matmulNT"),
  product("matmul-batched", "matmul, 8 of 64", [8, 64, 64], [8, 64, 64], 8 * 2 * 64 ** 3),
  product("matmul-n10", "matmul 256x256x10", [256, 256], [256, 10], 2 * 256 * 256 * 10)
]

// --- functions of one array ---

const matrix = (
  name: FunctionName,
  title: string,
  group: string,
  tolerance: number,
  input = () => data.normal(3, [1024, 1024])
): FunctionWorkload => ({
  _tag: "Function",
  name,
  title,
  group,
  function: name,
  inputs: () => ({ x: input() }),
  tolerance
})

const positive = () => data.uniform(3, [1024, 1024])

const arrays: ReadonlyArray<FunctionWorkload> = [
  { ...matrix("gate", "gelu(x*a+b)*sigmoid(x), 1M", "elementwise", 1e-5), name: "elementwise" },
  matrix("softmax", "softmax 1024x1024", "softmax", 1e-5),
  { ...matrix("sumAxis0", "sum 1024x1024, axis 0", "sum", 1e-4, positive), name: "sum-axis-0" },
  { ...matrix("sumAxis1", "sum 1024x1024, axis 1", "sum", 1e-4, positive), name: "sum-axis-1" },
  // A million float32 numbers added one after the other are off by about 1e-4.
  { ...matrix("sumAll", "sum 1024x1024, all", "sum", 1e-3, positive), name: "sum-all" }
]

// --- training ---

/** A matrix from `inputs` to `outputs` features, and a bias. */
const dense = (name: string, seed: number, inputs: number, outputs: number): Arrays => ({
  [`${name}.kernel`]: data.normal(seed, [inputs, outputs], Math.sqrt(1 / inputs)),
  [`${name}.bias`]: data.constant([outputs], 0)
})

const convolution = (name: string, seed: number, inputs: number, outputs: number): Arrays => ({
  [`${name}.kernel`]: data.normal(seed, [3, 3, inputs, outputs], Math.sqrt(1 / (9 * inputs))),
  [`${name}.bias`]: data.constant([outputs], 0)
})

const mlp: TrainingWorkload = {
  _tag: "Training",
  name: "mlp",
  title: "MLP training step",
  group: "training",
  model: "mlp",
  parameters: () => ({
    ...dense("first", 11, 784, 512),
    ...dense("second", 12, 512, 512),
    ...dense("third", 13, 512, 10)
  }),
  batch: () => ({ x: data.uniform(21, [128, 784]), labels: data.integers(22, [128], 10) }),
  // Forwards, by the kernels, and by the inputs of all layers but the first.
  flops: 2 * 128 * (3 * (784 * 512 + 512 * 512 + 512 * 10) - 784 * 512),
  checkedSteps: 3,
  tolerance: 1e-3
}

const cnnParameters = (): Arrays => ({
  ...convolution("first", 31, 1, 32),
  ...convolution("second", 32, 32, 64),
  ...dense("third", 33, 7 * 7 * 64, 128),
  ...dense("fourth", 34, 128, 10)
})

const cnnInputs = () => ({ x: data.uniform(35, [64, 28, 28, 1]) })

const cnnProducts = { first: 28 * 28 * 9 * 32, others: 14 * 14 * 9 * 32 * 64 + 7 * 7 * 64 * 128 + 128 * 10 }

const cnn: TrainingWorkload = {
  _tag: "Training",
  name: "cnn",
  title: "CNN training step",
  group: "training",
  model: "cnn",
  parameters: cnnParameters,
  batch: () => ({ ...cnnInputs(), labels: data.integers(36, [64], 10) }),
  flops: 2 * 64 * (2 * cnnProducts.first + 3 * cnnProducts.others),
  // A step takes jax-js 8 seconds.
  checkedSteps: 1,
  tolerance: 1e-3
}

const cnnForward: FunctionWorkload = {
  _tag: "Function",
  name: "cnn-forward",
  title: "CNN forward",
  group: "forward",
  function: "cnnForward",
  inputs: () => ({ ...cnnParameters(), ...cnnInputs() }),
  flops: 2 * 64 * (cnnProducts.first + cnnProducts.others),
  tolerance: 1e-4
}

const features = 128
const tokens = 16 * 64

const square128 = (seed: number) => data.normal(seed, [features, features], Math.sqrt(1 / features))

const block: TrainingWorkload = {
  _tag: "Training",
  name: "block",
  title: "transformer block training step",
  group: "training",
  model: "block",
  parameters: () => ({
    "norm1.scale": data.constant([features], 1),
    "norm1.bias": data.constant([features], 0),
    // Without biases: that of keys has a gradient of 0, of which Adam makes steps of chance.
    "attention.query.kernel": square128(41),
    "attention.key.kernel": square128(42),
    "attention.value.kernel": square128(43),
    "attention.out.kernel": square128(44),
    "norm2.scale": data.constant([features], 1),
    "norm2.bias": data.constant([features], 0),
    ...dense("up", 45, features, 4 * features),
    ...dense("down", 46, 4 * features, features)
  }),
  batch: () => ({ x: data.normal(47, [16, 64, features]), y: data.normal(48, [16, 64, features]) }),
  // Projections, scores and averages (as if it were not causal), the two layers: forwards and twice backwards.
  flops: 3 * 2 * tokens * (4 * features ** 2 + 2 * 64 * features + 2 * 4 * features ** 2),
  checkedSteps: 3,
  tolerance: 1e-3
}

// --- loops and calls ---

const rnn: FunctionWorkload = {
  _tag: "Function",
  name: "rnn",
  title: "RNN, 128 steps, forward + backward",
  group: "rnn",
  function: "rnn",
  inputs: () => ({
    x: data.normal(51, [128, 32, 128]),
    w: data.normal(52, [128, 128], 0.05),
    u: data.normal(53, [128, 128], 0.08)
  }),
  // Forwards, by both kernels, and by h.
  flops: 5 * 128 * 2 * 32 * 128 * 128,
  tolerance: 1e-3
}

const chain: FunctionWorkload = {
  _tag: "Function",
  name: "chain",
  title: "100 dependent 16x16 matmuls, one jit",
  group: "chain",
  function: "chain",
  inputs: () => ({ x: data.normal(61, [16, 16]), w: data.almostIdentity(62, 16) }),
  flops: 100 * 2 * 16 ** 3,
  tolerance: 1e-4
}

const tiny: FunctionWorkload = {
  _tag: "Function",
  name: "call",
  title: "calling a tiny jitted function",
  group: "call",
  function: "tiny",
  inputs: () => ({ x: data.normal(63, [4]) }),
  tolerance: 1e-6
}

const firstCall = (of: TrainingWorkload, title: string): FirstCallWorkload => ({
  _tag: "FirstCall",
  name: `${of.name}-first-call`,
  title,
  group: "first-call",
  of
})

/** All workloads, in the order in which they are measured and shown. */
export const workloads: ReadonlyArray<Workload> = [
  ...products,
  ...arrays,
  mlp,
  cnn,
  cnnForward,
  block,
  rnn,
  chain,
  tiny,
  firstCall(mlp, "first call of the MLP step"),
  firstCall(block, "first call of the block step")
]

/** The workload with this name, which must be one that is repeated. */
export const repeated = (name: string): RepeatedWorkload | undefined =>
  workloads.find((w): w is RepeatedWorkload => w.name === name && w._tag !== "FirstCall")
