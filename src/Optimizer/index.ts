/**
 * Training: gradient transformations and optimizers, schedules, losses, the `Optimizer` and `EMA` Modules, metrics.
 * Names, formulas and defaults are those of Optax and flax.nnx.
 *
 * @since 0.1.0
 */
export {
  applyEvery,
  type ApplyEveryState,
  ema,
  type EmaOptions,
  type EmaState,
  multiSteps,
  type MultiStepsOptions,
  type MultiStepsState,
  type ShouldSkip,
  type Skip,
  skipLargeUpdates,
  skipNotFinite,
  trace,
  type TraceOptions,
  type TraceState
} from "./accumulating.ts"
export * from "./adaptive.ts"
export { addDecayedWeights, addNoise, type DecayState, type NoiseState } from "./adding.ts"
export {
  adaptiveGradClip,
  type AdaptiveGradClipOptions,
  clip,
  clipByBlockRms,
  clipByGlobalNorm,
  globalNorm,
  keepParamsNonnegative,
  zeroNans,
  type ZeroNansState
} from "./clipping.ts"
export {
  applyIfFinite,
  type ApplyIfFiniteState,
  conditionallyMask,
  conditionallyTransform,
  type ConditionalState
} from "./conditional.ts"
export { ctcLoss, type CtcOptions } from "./ctc.ts"
export { EMA, type EmaError, type EmaModuleOptions } from "./Ema.ts"
export { type FactoredRmsOptions, type FactoredState, scaleByFactoredRms } from "./factored.ts"
export * from "./gradients.ts"
export {
  applyUpdates,
  chain,
  type ChainState,
  type EmptyState,
  type GradientTransformation,
  identity,
  incrementalUpdate,
  namedChain,
  ReducerChain,
  type ScalarOrSchedule,
  type Schedule,
  setToZero,
  stateless,
  statelessWithLeaves,
  type StateOfTransformation,
  type Updated
} from "./GradientTransformation.ts"
export { type HyperparamsState, injectHyperparams } from "./hyperparams.ts"
export { lbfgs, type LbfgsOptions, type LbfgsState, scaleByLbfgs } from "./lbfgs.ts"
export * from "./losses.ts"
export {
  freeze,
  type Labels,
  labelsByFilter,
  type Mask,
  masked,
  type MaskedState,
  multiTransform,
  partition,
  type PartitionState
} from "./masking.ts"
export { Accuracy, Average, type Metric, MultiMetric, type Statistics, Welford } from "./metrics.ts"
export * as metrics from "./metrics.ts"
export { safeIncrement } from "./numeric.ts"
export { OptArray, Optimizer, type OptimizerError, OptVariable, type OptVariables } from "./Optimizer.ts"
export * from "./optimizers.ts"
export * from "./scaling.ts"
export * from "./schedules.ts"
export { type ArrayTree, mapTrees, MaskedNode, squaredNorm } from "./tree.ts"
