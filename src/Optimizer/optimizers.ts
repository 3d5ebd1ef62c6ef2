/**
 * The optimizers by name, each a chain of transformations, with Optax's defaults. The learning rate is a number, a
 * scalar array or a schedule.
 */
import type { DType } from "../Tensor/DType.ts"
import { add, mul, pow, sub } from "../Tensor/numpy/elementwise.ts"
import type { Tensor, TensorLike } from "../Tensor/Tensor.ts"
import { ema, trace } from "./accumulating.ts"
import {
  type AdamaxOptions,
  type AdamOptions,
  type AmsgradOptions,
  type BeliefOptions,
  type LionOptions,
  type RadamOptions,
  type RmsOptions,
  type RssOptions,
  scaleByAdadelta,
  scaleByAdam,
  scaleByAdamax,
  scaleByAmsgrad,
  scaleByBelief,
  scaleByLion,
  scaleByRadam,
  scaleByRms,
  scaleByRss,
  scaleByStddev,
  scaleByYogi,
  type YogiOptions
} from "./adaptive.ts"
import { addDecayedWeights, addNoise } from "./adding.ts"
import { clipByBlockRms } from "./clipping.ts"
import { scaleByFactoredRms } from "./factored.ts"
import {
  type NovogradOptions,
  type RpropOptions,
  scaleByNovograd,
  scaleByOptimisticGradient,
  scaleByRprop
} from "./gradients.ts"
import { chain, type GradientTransformation, identity, type ScalarOrSchedule } from "./GradientTransformation.ts"
import { type Mask, masked } from "./masking.ts"
import { isSchedule } from "./numeric.ts"
import { scale, scaleByLearningRate, scaleByParamBlockRms, scaleBySign, scaleByTrustRatio } from "./scaling.ts"

/** Options of `sgd`. */
export interface SgdOptions {
  /** Decay rate of the momentum; without it there is none. */
  readonly momentum?: TensorLike | undefined
  /** Nesterov's momentum: false. */
  readonly nesterov?: boolean | undefined
  /** The dtype of the momentum: that of the parameter. */
  readonly accumulatorDtype?: DType | undefined
}

/**
 * Stochastic gradient descent, with momentum if one is given (Sutskever et al. 2013).
 *
 * @category optimizers
 * @since 0.1.0
 */
export const sgd = (learningRate: ScalarOrSchedule, options: SgdOptions = {}) =>
  chain(
    options.momentum === undefined ? identity : trace(options.momentum, options),
    scaleByLearningRate(learningRate)
  )

/**
 * Adam: `b1` 0.9, `b2` 0.999, `eps` 1e-8 (Kingma and Ba 2014, arXiv 1412.6980).
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as Cpu from "linum/backend/tfjs-cpu"
 * import { toNested } from "linum/Backend"
 * import { adam, applyUpdates } from "linum/Optimizer"
 * import * as T from "linum/Tensor"
 *
 * const tx = adam(0.5)
 * const params = T.array([1, -2])
 * const { updates } = tx.update(params.mul(2), tx.init(params), params)
 * const next = toNested(applyUpdates(params, updates).round(3))
 * console.log(await Effect.runPromise(next.pipe(Effect.provide(Cpu.layer)))) // => [ 0.5, -1.5 ]
 * ```
 *
 * @category optimizers
 * @since 0.1.0
 */
export const adam = (learningRate: ScalarOrSchedule, options: AdamOptions = {}) =>
  chain(scaleByAdam(options), scaleByLearningRate(learningRate))

/** Adam with Nesterov's momentum (Dozat 2016). */
export const nadam = (learningRate: ScalarOrSchedule, options: Omit<AdamOptions, "nesterov"> = {}) =>
  adam(learningRate, { ...options, nesterov: true })

/** Weight decay of an optimizer. */
export interface DecayOptions {
  /** How much of a parameter is taken off, times the learning rate. */
  readonly weightDecay?: ScalarOrSchedule | undefined
  /** The parameters that decay: all. */
  readonly mask?: Mask | undefined
}

/**
 * Adam with decoupled weight decay: `weightDecay` 1e-4 (Loshchilov and Hutter 2019, arXiv 1711.05101).
 *
 * @category optimizers
 * @since 0.1.0
 */
export const adamw = (learningRate: ScalarOrSchedule, options: AdamOptions & DecayOptions = {}) =>
  chain(
    scaleByAdam(options),
    addDecayedWeights(options.weightDecay ?? 1e-4, options.mask),
    scaleByLearningRate(learningRate)
  )

/** AdamW with Nesterov's momentum. */
export const nadamw = (learningRate: ScalarOrSchedule, options: Omit<AdamOptions, "nesterov"> & DecayOptions = {}) =>
  adamw(learningRate, { ...options, nesterov: true })

/** Adam with the infinity norm (Kingma and Ba 2014, section 7). */
export const adamax = (learningRate: ScalarOrSchedule, options: AdamaxOptions = {}) =>
  chain(scaleByAdamax(options), scaleByLearningRate(learningRate))

/** Adamax with decoupled weight decay: `weightDecay` 1e-4. */
export const adamaxw = (learningRate: ScalarOrSchedule, options: AdamaxOptions & DecayOptions = {}) =>
  chain(
    scaleByAdamax(options),
    addDecayedWeights(options.weightDecay ?? 1e-4, options.mask),
    scaleByLearningRate(learningRate)
  )

/** AMSGrad: Adam with the largest second moment so far (Reddi et al. 2018). */
export const amsgrad = (learningRate: ScalarOrSchedule, options: AmsgradOptions = {}) =>
  chain(scaleByAmsgrad(options), scaleByLearningRate(learningRate))

/** RAdam: Adam whose adaptive rate begins when its variance is tractable (Liu et al. 2020, arXiv 1908.03265). */
export const radam = (learningRate: ScalarOrSchedule, options: RadamOptions = {}) =>
  chain(scaleByRadam(options), scaleByLearningRate(learningRate))

/** Options of `adabelief`. */
export interface AdabeliefOptions extends BeliefOptions {
  /** Decoupled weight decay; none when left out. */
  readonly weightDecay?: ScalarOrSchedule | undefined
  readonly weightDecayMask?: Mask | undefined
}

/** AdaBelief: `eps` and `epsRoot` 1e-16 (Zhuang et al. 2020, arXiv 2010.07468). */
export const adabelief = (learningRate: ScalarOrSchedule, options: AdabeliefOptions = {}) =>
  chain(
    scaleByBelief(options),
    options.weightDecay === undefined ? identity : addDecayedWeights(options.weightDecay, options.weightDecayMask),
    scaleByLearningRate(learningRate)
  )

/** Yogi: `eps` 1e-3 (Zaheer et al. 2018). */
export const yogi = (learningRate: ScalarOrSchedule, options: Pick<YogiOptions, "b1" | "b2" | "eps"> = {}) =>
  chain(scaleByYogi(options), scaleByLearningRate(learningRate))

/** AdaGrad: `initialAccumulatorValue` 0.1, `eps` 1e-7 (Duchi et al. 2011). */
export const adagrad = (learningRate: ScalarOrSchedule, options: RssOptions = {}) =>
  chain(scaleByRss(options), scaleByLearningRate(learningRate))

/** Options of `adadelta`. */
export interface AdadeltaOptions {
  /** Decay rate of the averages: 0.9. */
  readonly rho?: TensorLike | undefined
  /** 1e-6. */
  readonly eps?: TensorLike | undefined
  /** Weight decay, before scaling: 0. */
  readonly weightDecay?: ScalarOrSchedule | undefined
  readonly weightDecayMask?: Mask | undefined
}

/**
 * AdaDelta: `rho` 0.9, `eps` 1e-6 (Zeiler 2012, arXiv 1212.5701). Without a learning rate updates are as they come,
 * uphill.
 */
export const adadelta = (learningRate?: ScalarOrSchedule, options: AdadeltaOptions = {}) =>
  chain(
    addDecayedWeights(options.weightDecay ?? 0, options.weightDecayMask),
    scaleByAdadelta(options),
    learningRate === undefined ? identity : scaleByLearningRate(learningRate)
  )

/** Options of `rmsprop`. */
export interface RmspropOptions extends RmsOptions {
  /** Divide by the standard deviation of gradients: false. */
  readonly centered?: boolean | undefined
  /** Decay rate of the momentum, after the learning rate; without it there is none. */
  readonly momentum?: TensorLike | undefined
  /** Nesterov's momentum: false. */
  readonly nesterov?: boolean | undefined
}

/**
 * RMSProp: `decay` 0.9, `eps` 1e-8 (Hinton; centered: Graves 2013, arXiv 1308.0850).
 *
 * @category optimizers
 * @since 0.1.0
 */
export const rmsprop = (learningRate: ScalarOrSchedule, options: RmspropOptions = {}) =>
  chain(
    options.centered === true ? scaleByStddev(options) : scaleByRms(options),
    scaleByLearningRate(learningRate),
    options.momentum === undefined ? identity : trace(options.momentum, { nesterov: options.nesterov })
  )

/**
 * Lion: `b1` 0.9, `b2` 0.99, `weightDecay` 1e-3 (Chen et al. 2023, arXiv 2302.06675).
 *
 * @category optimizers
 * @since 0.1.0
 */
export const lion = (
  learningRate: ScalarOrSchedule,
  options: Pick<LionOptions, "b1" | "b2" | "muDtype"> & DecayOptions = {}
) =>
  chain(
    scaleByLion(options),
    addDecayedWeights(options.weightDecay ?? 1e-3, options.mask),
    scaleByLearningRate(learningRate)
  )

/** LAMB: Adam with a trust ratio for every array; `eps` 1e-6, `weightDecay` 0 (You et al. 2020, arXiv 1904.00962). */
export const lamb = (
  learningRate: ScalarOrSchedule,
  options: Omit<AdamOptions, "muDtype" | "nesterov"> & DecayOptions = {}
) =>
  chain(
    scaleByAdam({ ...options, eps: options.eps ?? 1e-6 }),
    addDecayedWeights(options.weightDecay ?? 0, options.mask),
    scaleByTrustRatio(),
    scaleByLearningRate(learningRate)
  )

/** Options of `lars`. */
export interface LarsOptions {
  /** 0. */
  readonly weightDecay?: ScalarOrSchedule | undefined
  readonly weightDecayMask?: Mask | undefined
  /** 0.001. */
  readonly trustCoefficient?: TensorLike | undefined
  /** 0. */
  readonly eps?: TensorLike | undefined
  readonly trustRatioMask?: Mask | undefined
  /** 0.9. */
  readonly momentum?: TensorLike | undefined
  /** Nesterov's momentum: false. */
  readonly nesterov?: boolean | undefined
}

/** LARS: momentum with a trust ratio for every array (You et al. 2017, arXiv 1708.03888). */
export const lars = (learningRate: ScalarOrSchedule, options: LarsOptions = {}) =>
  chain(
    addDecayedWeights(options.weightDecay ?? 0, options.weightDecayMask ?? true),
    masked(
      scaleByTrustRatio({ trustCoefficient: options.trustCoefficient ?? 0.001, eps: options.eps }),
      options.trustRatioMask ?? true
    ),
    scaleByLearningRate(learningRate),
    trace(options.momentum ?? 0.9, { nesterov: options.nesterov })
  )

/** 1/√(1 + rate²). */
const shrinkage = (rate: TensorLike): TensorLike =>
  typeof rate === "number" ? 1 / Math.sqrt(1 + rate * rate) : pow(add(1, pow(rate, 2)), -0.5)

const minusOne = (x: TensorLike): Tensor => sub(x, 1)

/**
 * Fromage: updates as long as parameters, which stay on a sphere (Bernstein et al. 2020, arXiv 2002.03432). `minNorm`
 * 1e-6.
 */
export const fromage = (learningRate: ScalarOrSchedule, options: { readonly minNorm?: number | undefined } = {}) => {
  const first = scaleByTrustRatio({ minNorm: options.minNorm ?? 1e-6 })
  if (!isSchedule(learningRate)) {
    const factor = shrinkage(learningRate)
    const rate = typeof factor === "number" && typeof learningRate === "number"
      ? factor * learningRate
      : mul(factor, learningRate)
    const decay = typeof factor === "number" ? factor - 1 : minusOne(factor)
    return chain(first, scaleByLearningRate(rate), addDecayedWeights(decay))
  }
  return chain(
    first,
    scaleByLearningRate((count) => mul(shrinkage(learningRate(count)), learningRate(count))),
    addDecayedWeights((count) => minusOne(shrinkage(learningRate(count))))
  )
}

/** Gradient descent with annealed Gaussian noise: `eta` 0.01, `gamma` 0.55. `key` is a key or a seed. */
export const noisySgd = (
  learningRate: ScalarOrSchedule,
  options: { readonly eta?: number | undefined; readonly gamma?: number | undefined; readonly key: Tensor | number }
) => chain(addNoise(options.eta ?? 0.01, options.gamma ?? 0.55, options.key), scaleByLearningRate(learningRate))

/** The signs of gradients times the learning rate (Bernstein et al. 2018, arXiv 1802.04434). */
export const signSgd = (learningRate: ScalarOrSchedule) => chain(scaleBySign, scaleByLearningRate(learningRate))

/** The signs of averaged gradients: `beta` 0.9. */
export const signum = (
  learningRate: ScalarOrSchedule,
  options: { readonly beta?: number | undefined; readonly accumulatorDtype?: DType | undefined } = {}
) =>
  chain(
    ema(options.beta ?? 0.9, { debias: false, accumulatorDtype: options.accumulatorDtype }),
    scaleBySign,
    scaleByLearningRate(learningRate)
  )

/** Rprop: step sizes from the signs of gradients alone (Riedmiller and Braun 1993). */
export const rprop = (learningRate: number, options: RpropOptions = {}) =>
  chain(scaleByRprop(learningRate, options), scale(-1))

/** NovoGrad: `b1` 0.9, `b2` 0.25, `eps` 1e-6 (Ginsburg et al. 2019, arXiv 1905.11286). */
export const novograd = (learningRate: ScalarOrSchedule, options: Omit<NovogradOptions, "muDtype"> = {}) =>
  chain(scaleByNovograd({ ...options, eps: options.eps ?? 1e-6 }), scaleByLearningRate(learningRate))

/** Gradient descent that expects the next gradient to change as the last one did: `alpha` and `beta` 1. */
export const optimisticGradientDescent = (
  learningRate: ScalarOrSchedule,
  options: { readonly alpha?: number | undefined; readonly beta?: number | undefined } = {}
) => chain(scaleByOptimisticGradient(options), scaleByLearningRate(learningRate))

/** Options of `adafactor`. */
export interface AdafactorOptions {
  /** 128. */
  readonly minDimSizeToFactor?: number | undefined
  /** 0.8. */
  readonly decayRate?: number | undefined
  /** 0. */
  readonly decayOffset?: number | undefined
  /** Scale by the root mean square of the parameter: true. */
  readonly multiplyByParameterScale?: boolean | undefined
  /** The largest root mean square of an update: 1; null for none. */
  readonly clippingThreshold?: number | null | undefined
  /** Decay rate of the momentum; without it there is none. */
  readonly momentum?: number | undefined
  /** float32. */
  readonly dtypeMomentum?: DType | undefined
  /** Decay of weights, not times the learning rate; none when left out. */
  readonly weightDecayRate?: ScalarOrSchedule | undefined
  /** 1e-30. */
  readonly eps?: number | undefined
  /** true. */
  readonly factored?: boolean | undefined
  readonly weightDecayMask?: Mask | undefined
}

/** Adafactor: second moments of rows and columns (Shazeer and Stern 2018, arXiv 1804.04235). */
export const adafactor = (
  learningRate?: ScalarOrSchedule,
  options: AdafactorOptions = {}
): GradientTransformation => {
  const { clippingThreshold = 1, momentum, multiplyByParameterScale = true, weightDecayRate } = options
  const parts: Array<GradientTransformation> = [
    scaleByFactoredRms({
      factored: options.factored,
      decayRate: options.decayRate,
      stepOffset: options.decayOffset,
      minDimSizeToFactor: options.minDimSizeToFactor,
      epsilon: options.eps
    })
  ]
  if (clippingThreshold !== null) parts.push(clipByBlockRms(clippingThreshold))
  if (learningRate !== undefined) parts.push(scaleByLearningRate(learningRate, { flipSign: false }))
  if (multiplyByParameterScale) parts.push(scaleByParamBlockRms())
  if (momentum !== undefined) {
    parts.push(ema(momentum, { debias: false, accumulatorDtype: options.dtypeMomentum ?? "float32" }))
  }
  if (weightDecayRate !== undefined) parts.push(addDecayedWeights(weightDecayRate, options.weightDecayMask))
  return chain(...parts, scale(-1))
}
