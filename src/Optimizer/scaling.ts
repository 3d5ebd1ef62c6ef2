/**
 * Transformations that scale updates by constants, schedules, signs and norms.
 */
import * as lax from "../Tensor/lax/index.ts"
import { add, div, maximum, mul, sign, sqrt, square, sub } from "../Tensor/numpy/elementwise.ts"
import { logicalOr, where } from "../Tensor/numpy/logic.ts"
import { mean } from "../Tensor/numpy/reductions.ts"
import { literal, type Tensor, type TensorLike } from "../Tensor/Tensor.ts"
import {
  eachUpdate,
  type EmptyState,
  type GradientTransformation,
  type ScalarOrSchedule,
  type Schedule,
  stateless,
  statelessWithLeaves
} from "./GradientTransformation.ts"
import { isSchedule, negated, plus, safeIncrement, safeNorm, scalarLike, zeroCount } from "./numeric.ts"
import { mapTrees, squaredNorm } from "./tree.ts"

// --- constants and schedules ---

/**
 * Multiplies by a constant.
 *
 * @category scaling
 * @since 0.1.0
 */
export const scale = (stepSize: TensorLike): GradientTransformation<EmptyState> => eachUpdate((u) => mul(stepSize, u))

/** State that is only a count of updates (int32). */
export interface CountState {
  readonly count: Tensor
}

/**
 * Multiplies by a schedule's value at the number of updates before this one (0 at the first).
 *
 * @category scaling
 * @since 0.1.0
 */
export const scaleBySchedule = (schedule: Schedule): GradientTransformation<CountState> => ({
  init: () => ({ count: zeroCount() }),
  update: (updates, state) => {
    const size = schedule(state.count)
    return {
      updates: mapTrees((u) => mul(scalarLike(size, u), u), updates),
      state: { count: safeIncrement(state.count) }
    }
  }
})

/**
 * Multiplies by minus a learning rate, or a schedule of it; by plus with `flipSign: false`. The minus is what makes
 * updates go downhill when they are added.
 *
 * @category scaling
 * @since 0.1.0
 */
export const scaleByLearningRate = (
  learningRate: ScalarOrSchedule,
  options: { readonly flipSign?: boolean } = {}
): GradientTransformation<EmptyState | CountState> => {
  const flip = options.flipSign ?? true
  if (!isSchedule(learningRate)) return scale(flip ? negated(learningRate) : learningRate)
  return scaleBySchedule(flip ? (count) => mul(-1, learningRate(count)) : learningRate)
}

// --- signs and norms ---

/**
 * The sign of every update.
 *
 * @category scaling
 * @since 0.1.0
 */
export const scaleBySign: GradientTransformation<EmptyState> = eachUpdate((u) => sign(u))

/** Options of `scaleByTrustRatio`. */
export interface TrustRatioOptions {
  /** The least that norms count as: 0. */
  readonly minNorm?: TensorLike | undefined
  /** What the ratio is multiplied by: 1. */
  readonly trustCoefficient?: TensorLike | undefined
  /** Added to the norm of the update: 0. */
  readonly eps?: TensorLike | undefined
}

/**
 * Multiplies each update by the norm of its parameter over its own; by 1 where either is 0.
 *
 * You et al. 2017, arXiv 1708.03888 (LARS); 2020, arXiv 1904.00962 (LAMB).
 *
 * @category scaling
 * @since 0.1.0
 */
export const scaleByTrustRatio = (options: TrustRatioOptions = {}): GradientTransformation<EmptyState> => {
  const { eps = 0, minNorm = 0, trustCoefficient = 1 } = options
  return statelessWithLeaves((u, p) => {
    const [param, update] = [safeNorm(p, minNorm), safeNorm(u, minNorm)]
    const zero = logicalOr(lax.eq(param, literal(0, param.dtype)), lax.eq(update, literal(0, update.dtype)))
    const ratio = div(mul(trustCoefficient, param), plus(update, eps))
    return mul(u, where(zero, literal(1, p.dtype), ratio))
  })
}

/**
 * Multiplies each update by the root of the mean square of its parameter, at least `minScale` (1e-3).
 *
 * @category scaling
 * @since 0.1.0
 */
export const scaleByParamBlockRms = (
  options: { readonly minScale?: number | undefined } = {}
): GradientTransformation<EmptyState> => {
  const { minScale = 1e-3 } = options
  return statelessWithLeaves((u, p) => mul(u, maximum(sqrt(mean(square(p))), minScale)))
}

/**
 * Multiplies each update by the norm of its parameter, at least `minScale` (1e-3).
 *
 * @category scaling
 * @since 0.1.0
 */
export const scaleByParamBlockNorm = (
  options: { readonly minScale?: number | undefined } = {}
): GradientTransformation<EmptyState> => {
  const { minScale = 1e-3 } = options
  return statelessWithLeaves((u, p) => mul(u, safeNorm(p, minScale)))
}

/**
 * Divides by the norm of all updates together plus `eps` (1e-6), and multiplies by `scaleFactor` (1).
 *
 * @category scaling
 * @since 0.1.0
 */
export const normalizeByUpdateNorm = (
  options: { readonly scaleFactor?: number | undefined; readonly eps?: number | undefined } = {}
): GradientTransformation<EmptyState> => {
  const { eps = 1e-6, scaleFactor = 1 } = options
  return stateless((updates) => {
    const length = div(add(sqrt(squaredNorm(updates)), eps), scaleFactor)
    return mapTrees((u) => div(u, scalarLike(length, u)), updates)
  })
}

/**
 * Subtracts from each update its mean over all axes but the first (Yong et al. 2020, arXiv 2004.01461). Vectors stay.
 *
 * @category scaling
 * @since 0.1.0
 */
export const centralize: GradientTransformation<EmptyState> = eachUpdate((u) =>
  u.ndim < 2 ? u : sub(u, mean(u, { axis: u.shape.slice(1).map((_, i) => i + 1), keepdims: true }))
)
