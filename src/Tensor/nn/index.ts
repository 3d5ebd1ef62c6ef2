/**
 * Functions of neural networks, `jax.nn` and the functional layers of Flax in camelCase: activations, softmax and its
 * relatives, attention, convolution, pooling.
 */
export {
  celu,
  elu,
  gelu,
  type GeluOptions,
  glu,
  hardSigmoid,
  hardSilu,
  hardSwish,
  hardTanh,
  identity,
  leakyRelu,
  logSigmoid,
  mish,
  relu,
  relu6,
  selu,
  sigmoid,
  silu,
  softplus,
  softSign,
  sparsePlus,
  sparseSigmoid,
  squareplus,
  swish,
  tanh
} from "./activations.ts"
export { type AttentionOptions, dotProductAttention, dotProductAttentionWeights } from "./attention.ts"
export {
  convGeneralDilated,
  type ConvOptions,
  convTranspose,
  type ConvTransposeOptions,
  type Layouts
} from "./convolution.ts"
export {
  logmeanexp,
  logSoftmax,
  logsumexp,
  oneHot,
  type OneHotOptions,
  softmax,
  type SoftmaxOptions,
  standardize,
  type StandardizeOptions
} from "./normalizing.ts"
export {
  avgPool,
  type AvgPoolOptions,
  maxPool,
  minPool,
  type PoolOptions,
  reduceWindow,
  type ReduceWindowOptions,
  type WindowReduction
} from "./pooling.ts"
export type { Pad, Padding } from "./windows.ts"
