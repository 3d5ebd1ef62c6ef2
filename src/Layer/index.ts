/**
 * Layers, `flax.nnx` in camelCase: the same parameters under the same names, the same defaults, and from the same seed
 * the same first values.
 *
 * A layer is a Module of readonly fields. `Linear.make(2, 3)` is an Effect that makes one with keys from the service
 * `Rngs`, and `layer.apply(x)` is an Effect that runs it.
 *
 * @since 0.1.0
 */
export {
  avgPool,
  type AvgPoolOptions,
  celu,
  elu,
  gelu,
  glu,
  hardSigmoid,
  hardSilu,
  hardSwish,
  hardTanh,
  leakyRelu,
  logSigmoid,
  logSoftmax,
  logsumexp,
  maxPool,
  minPool,
  oneHot,
  type PoolOptions,
  relu,
  relu6,
  selu,
  sigmoid,
  silu,
  softmax,
  softplus,
  softSign,
  standardize,
  swish,
  tanh
} from "../Tensor/nn/index.ts"
export {
  type AttentionFn,
  type AttentionMaskOptions,
  type AttentionOptions,
  combineMasks,
  dotProductAttention,
  dotProductAttentionWeights,
  makeAttentionMask,
  makeCausalMask,
  type MaskOptions
} from "./attention.ts"
export { BatchNorm, type BatchNormCall, type BatchNormFields, type BatchNormOptions } from "./BatchNorm.ts"
export { Conv, type ConvFields, type ConvLayerOptions, type ConvPadding } from "./Conv.ts"
export { Dropout, type DropoutCall, type DropoutOptions } from "./Dropout.ts"
export { Embed, type EmbedOptions } from "./Embed.ts"
export { GroupNorm, type GroupNormFields, type GroupNormOptions } from "./GroupNorm.ts"
export * as initializers from "./initializers.ts"
export type { Initializer, ParameterInitializer } from "./initializers.ts"
export {
  LayerNorm,
  type LayerNormFields,
  type LayerNormOptions,
  type MaskedCall,
  RMSNorm,
  type RMSNormOptions
} from "./LayerNorm.ts"
export { type KernelFields, type KernelOptions, Linear, type LinearFields } from "./Linear.ts"
export { LinearGeneral, type LinearGeneralFields, type LinearGeneralOptions } from "./LinearGeneral.ts"
export {
  LoRA,
  type LoRAFields,
  LoRALinear,
  type LoRALinearOptions,
  type LoRAMatrices,
  type LoRAOptions,
  LoRAParam
} from "./LoRA.ts"
export {
  MultiHeadAttention,
  type MultiHeadAttentionCall,
  type MultiHeadAttentionFields,
  type MultiHeadAttentionOptions
} from "./MultiHeadAttention.ts"
export type { NormFields, NormOptions } from "./normalizing.ts"
export { type Activation, type Applicable, type Part, Sequential, type Step } from "./Sequential.ts"
export type { MakeError, ParamIf, ParamOf } from "./support.ts"
export { type Attributes, evalMode, trainMode, view } from "./view.ts"
