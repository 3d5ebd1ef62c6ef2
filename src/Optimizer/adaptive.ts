/**
 * The cores of the adaptive optimizers: transformations that scale updates by moments of past gradients. Formulas
 * follow Optax's `transform.py`; the papers are named where a formula comes from.
 */
import { fullLike } from "../Tensor/construct.ts"
import type { DType } from "../Tensor/DType.ts"
import { abs, add, div, maximum, mul, pow, rsqrt, sign, sqrt, square, sub, tanh } from "../Tensor/numpy/elementwise.ts"
import { ge, gt, lt, where } from "../Tensor/numpy/logic.ts"
import type { Tensor, TensorLike } from "../Tensor/Tensor.ts"
import type { GradientTransformation } from "./GradientTransformation.ts"
import {
  biasCorrection,
  oneMinus,
  plus,
  safeIncrement,
  scalarLike,
  updateInfinityMoment,
  updateMoment,
  zeroCount
} from "./numeric.ts"
import { type ArrayTree, castLike, mapTrees, zerosLike } from "./tree.ts"

// --- moments ---

/** State of transformations with two moments: the count of updates, and moments that mirror the parameters. */
export interface MomentsState {
  readonly count: Tensor
  readonly mu: ArrayTree
  readonly nu: ArrayTree
}

/** m / (√(v + epsRoot) + eps). */
const scaledMoment = (m: Tensor, v: Tensor, eps: TensorLike, epsRoot: TensorLike): Tensor =>
  div(m, plus(sqrt(plus(v, epsRoot)), eps))

/** The first moment without bias, looking one step ahead if `nesterov` (Dozat 2016). */
const firstMoment = <T>(mu: T, updates: T, b1: TensorLike, count: Tensor, nesterov: boolean): T =>
  nesterov
    ? mapTrees(
      (m, u) => add(mul(b1, m), mul(oneMinus(b1), u)),
      biasCorrection(mu, b1, safeIncrement(count)),
      biasCorrection(updates, b1, count)
    )
    : biasCorrection(mu, b1, count)

/** Options of `scaleByAdam` and of the optimizers that are built on it. */
export interface AdamOptions {
  /** Decay rate of the average of gradients: 0.9. */
  readonly b1?: TensorLike | undefined
  /** Decay rate of the average of squared gradients: 0.999. */
  readonly b2?: TensorLike | undefined
  /** Added to the denominator outside of the root: 1e-8. */
  readonly eps?: TensorLike | undefined
  /** Added inside of the root: 0. Not zero if derivatives go through the update. */
  readonly epsRoot?: TensorLike | undefined
  /** The dtype of the first moment: that of the parameter. */
  readonly muDtype?: DType | undefined
  /** Nesterov's momentum: false. */
  readonly nesterov?: boolean | undefined
}

const momentsOf = (params: ArrayTree, muDtype?: DType): MomentsState => ({
  count: zeroCount(),
  mu: zerosLike(params, muDtype),
  nu: zerosLike(params)
})

/**
 * Divides the average of gradients by the root of the average of their squares, both corrected for starting at zero.
 *
 * Kingma and Ba 2014, arXiv 1412.6980; with `nesterov` Dozat 2016.
 *
 * @category scaling
 * @since 0.1.0
 */
export const scaleByAdam = (options: AdamOptions = {}): GradientTransformation<MomentsState> => {
  const { b1 = 0.9, b2 = 0.999, eps = 1e-8, epsRoot = 0, muDtype, nesterov = false } = options
  return {
    init: (params) => momentsOf(params, muDtype),
    update: (updates, state) => {
      const mu = updateMoment(updates, state.mu, b1, 1)
      const nu = updateMoment(updates, state.nu, b2, 2)
      const count = safeIncrement(state.count)
      const m = firstMoment(mu, updates, b1, count, nesterov)
      const v = biasCorrection(nu, b2, count)
      return {
        updates: mapTrees((a, b) => scaledMoment(a, b, eps, epsRoot), m, v),
        state: { count, mu: castLike(mu, state.mu), nu: castLike(nu, state.nu) }
      }
    }
  }
}

/** Options of `scaleByAmsgrad`. */
export interface AmsgradOptions extends Omit<AdamOptions, "nesterov"> {
  /** Correct the first moment for starting at zero: true. */
  readonly biasCorrectionMu?: boolean | undefined
  /** Correct the second moment before its maximum is taken: true. */
  readonly biasCorrectionNu?: boolean | undefined
}

/**
 * As `scaleByAdam`, dividing by the largest second moment that there has been.
 *
 * Reddi et al. 2018, openreview ryQu7f-RZ.
 *
 * @category scaling
 * @since 0.1.0
 */
export const scaleByAmsgrad = (
  options: AmsgradOptions = {}
): GradientTransformation<MomentsState & { readonly nuMax: ArrayTree }> => {
  const { b1 = 0.9, b2 = 0.999, eps = 1e-8, epsRoot = 0, muDtype } = options
  const { biasCorrectionMu = true, biasCorrectionNu = true } = options
  return {
    init: (params) => ({ ...momentsOf(params, muDtype), nuMax: zerosLike(params) }),
    update: (updates, state) => {
      const mu = updateMoment(updates, state.mu, b1, 1)
      const nu = updateMoment(updates, state.nu, b2, 2)
      const count = safeIncrement(state.count)
      const m = biasCorrectionMu ? biasCorrection(mu, b1, count) : mu
      const v = biasCorrectionNu ? biasCorrection(nu, b2, count) : nu
      const nuMax = mapTrees((b, top) => maximum(top, b), v, state.nuMax)
      return {
        updates: mapTrees((a, b) => scaledMoment(a, b, eps, epsRoot), m, nuMax),
        state: {
          count,
          mu: castLike(mu, state.mu),
          nu: castLike(nu, state.nu),
          nuMax: castLike(nuMax, state.nuMax)
        }
      }
    }
  }
}

/** Options of `scaleByAdamax`. */
export type AdamaxOptions = Pick<AdamOptions, "b1" | "b2" | "eps">

/**
 * Divides the average of gradients by a decaying maximum of their absolute values.
 *
 * Kingma and Ba 2014, section 7.1.
 *
 * @category scaling
 * @since 0.1.0
 */
export const scaleByAdamax = (options: AdamaxOptions = {}): GradientTransformation<MomentsState> => {
  const { b1 = 0.9, b2 = 0.999, eps = 1e-8 } = options
  return {
    init: (params) => momentsOf(params),
    update: (updates, state) => {
      const count = safeIncrement(state.count)
      const mu = updateMoment(updates, state.mu, b1, 1)
      const nu = updateInfinityMoment(updates, state.nu, b2, eps)
      return {
        updates: mapTrees((a, b) => div(a, b), biasCorrection(mu, b1, count), nu),
        state: { count, mu: castLike(mu, state.mu), nu: castLike(nu, state.nu) }
      }
    }
  }
}

/** Options of `scaleByBelief`: `eps` and `epsRoot` are 1e-16. */
export type BeliefOptions = Omit<AdamOptions, "muDtype">

/**
 * As `scaleByAdam`, with the average of squared differences of gradients from their average as second moment.
 *
 * Zhuang et al. 2020, arXiv 2010.07468.
 *
 * @category scaling
 * @since 0.1.0
 */
export const scaleByBelief = (options: BeliefOptions = {}): GradientTransformation<MomentsState> => {
  const { b1 = 0.9, b2 = 0.999, eps = 1e-16, epsRoot = 1e-16, nesterov = false } = options
  return {
    init: (params) => momentsOf(params),
    update: (updates, state) => {
      const mu = updateMoment(updates, state.mu, b1, 1)
      const errors = mapTrees((u, m) => sub(u, m), updates, mu)
      const nu = mapTrees((v) => plus(v, epsRoot), updateMoment(errors, state.nu, b2, 2))
      const count = safeIncrement(state.count)
      const m = firstMoment(mu, updates, b1, count, nesterov)
      return {
        updates: mapTrees((a, b) => scaledMoment(a, b, eps, 0), m, biasCorrection(nu, b2, count)),
        state: { count, mu: castLike(mu, state.mu), nu: castLike(nu, state.nu) }
      }
    }
  }
}

/** Options of `scaleByYogi`: `eps` is 1e-3. */
export interface YogiOptions extends Pick<AdamOptions, "b1" | "b2" | "eps" | "epsRoot"> {
  /** What both moments start from: 1e-6. */
  readonly initialAccumulatorValue?: number | undefined
}

/**
 * As `scaleByAdam`, with a second moment that moves by at most the squared gradient.
 *
 * Zaheer et al. 2018, "Adaptive Methods for Nonconvex Optimization".
 *
 * @category scaling
 * @since 0.1.0
 */
export const scaleByYogi = (options: YogiOptions = {}): GradientTransformation<MomentsState> => {
  const { b1 = 0.9, b2 = 0.999, eps = 1e-3, epsRoot = 0, initialAccumulatorValue = 1e-6 } = options
  return {
    init: (params) => {
      const start = mapTrees((x) => fullLike(x, initialAccumulatorValue), params)
      return { count: zeroCount(), mu: start, nu: start }
    },
    update: (updates, state) => {
      const mu = updateMoment(updates, state.mu, b1, 1)
      const nu = mapTrees(
        (u, v) => {
          const u2 = square(u)
          return sub(v, mul(mul(oneMinus(b2), sign(sub(v, u2))), u2))
        },
        updates,
        state.nu
      )
      const count = safeIncrement(state.count)
      return {
        updates: mapTrees(
          (a, b) => scaledMoment(a, b, eps, epsRoot),
          biasCorrection(mu, b1, count),
          biasCorrection(nu, b2, count)
        ),
        state: { count, mu: castLike(mu, state.mu), nu: castLike(nu, state.nu) }
      }
    }
  }
}

/** Options of `scaleByRadam`. */
export interface RadamOptions extends Omit<AdamOptions, "muDtype"> {
  /** From which length of the approximated average on the variance counts as tractable: 5. */
  readonly threshold?: TensorLike | undefined
}

/**
 * As `scaleByAdam`, with the adaptive denominator only once its variance is tractable.
 *
 * Liu et al. 2020, arXiv 1908.03265.
 *
 * @category scaling
 * @since 0.1.0
 */
export const scaleByRadam = (options: RadamOptions = {}): GradientTransformation<MomentsState> => {
  const { b1 = 0.9, b2 = 0.999, eps = 1e-8, epsRoot = 0, nesterov = false, threshold = 5 } = options
  const longest = typeof b2 === "number" ? 2 / (1 - b2) - 1 : sub(div(2, sub(1, b2)), 1)
  const rectified = (length: Tensor): Tensor =>
    sqrt(div(
      mul(mul(sub(length, 4), sub(length, 2)), longest),
      mul(mul(sub(longest, 4), sub(longest, 2)), length)
    ))
  return {
    init: (params) => momentsOf(params),
    update: (updates, state) => {
      const mu = updateMoment(updates, state.mu, b1, 1)
      const nu = updateMoment(updates, state.nu, b2, 2)
      const count = safeIncrement(state.count)
      const power = pow(b2, count)
      const length = sub(longest, div(mul(mul(2, count), power), sub(1, power)))
      const m = firstMoment(mu, updates, b1, count, nesterov)
      const v = biasCorrection(nu, b2, count)
      const tractable = ge(length, threshold)
      const factor = rectified(length)
      return {
        updates: mapTrees(
          (a, b) => where(tractable, scaledMoment(mul(scalarLike(factor, a), a), b, eps, epsRoot), a),
          m,
          v
        ),
        state: { count, mu: castLike(mu, state.mu), nu: castLike(nu, state.nu) }
      }
    }
  }
}

/** Options of `scaleByLion`. */
export interface LionOptions {
  /** How much of the momentum goes into the direction: 0.9. */
  readonly b1?: TensorLike | undefined
  /** Decay rate of the momentum: 0.99. */
  readonly b2?: TensorLike | undefined
  /** The dtype of the momentum: that of the parameter. */
  readonly muDtype?: DType | undefined
  /**
   * The direction: its sign (`hard`, the default), its tanh (`smooth`), or itself within ±1 and its sign beyond
   * (`refined`).
   */
  readonly mode?: "hard" | "smooth" | "refined" | undefined
  /** What the direction is multiplied by before tanh: 1. */
  readonly smoothBeta?: number | undefined
}

/**
 * The sign of a mixture of gradient and momentum.
 *
 * Chen et al. 2023, arXiv 2302.06675.
 *
 * @category scaling
 * @since 0.1.0
 */
export const scaleByLion = (
  options: LionOptions = {}
): GradientTransformation<{ readonly count: Tensor; readonly mu: ArrayTree }> => {
  const { b1 = 0.9, b2 = 0.99, mode = "hard", muDtype, smoothBeta = 1 } = options
  const direction = (x: Tensor): Tensor =>
    mode === "hard"
      ? sign(x)
      : mode === "smooth"
      ? tanh(mul(smoothBeta, x))
      : where(lt(abs(x), 1), x, sign(x))
  return {
    init: (params) => ({ count: zeroCount(), mu: zerosLike(params, muDtype) }),
    update: (updates, state) => ({
      updates: mapTrees((u, m) => direction(add(mul(oneMinus(b1), u), mul(b1, m))), updates, state.mu),
      state: {
        count: safeIncrement(state.count),
        mu: castLike(updateMoment(updates, state.mu, b2, 1), state.mu)
      }
    })
  }
}

// --- roots of squares ---

/** Options of `scaleByRss`. */
export interface RssOptions {
  /** What the sums of squares start from: 0.1. */
  readonly initialAccumulatorValue?: number | undefined
  /** Added to the denominator inside of the root: 1e-7. */
  readonly eps?: TensorLike | undefined
}

/**
 * Divides by the root of the sum of all squared gradients so far; 0 where that is 0.
 *
 * Duchi et al. 2011, "Adaptive Subgradient Methods".
 *
 * @category scaling
 * @since 0.1.0
 */
export const scaleByRss = (
  options: RssOptions = {}
): GradientTransformation<{ readonly sumOfSquares: ArrayTree }> => {
  const { eps = 1e-7, initialAccumulatorValue = 0.1 } = options
  return {
    init: (params) => ({ sumOfSquares: mapTrees((x) => fullLike(x, initialAccumulatorValue), params) }),
    update: (updates, state) => {
      const sums = mapTrees((u, s) => add(square(u), s), updates, state.sumOfSquares)
      return {
        updates: mapTrees((u, s) => mul(where(gt(s, 0), rsqrt(plus(s, eps)), 0), u), updates, sums),
        state: { sumOfSquares: castLike(sums, state.sumOfSquares) }
      }
    }
  }
}

/** Options of `scaleByRms` and `scaleByStddev`. */
export interface RmsOptions {
  /** Decay rate of the average of squared gradients: 0.9. */
  readonly decay?: TensorLike | undefined
  /** Added to the denominator: 1e-8. */
  readonly eps?: TensorLike | undefined
  /** What the average starts from: 0. */
  readonly initialScale?: number | undefined
  /** Add `eps` inside of the root (true) or outside. */
  readonly epsInSqrt?: boolean | undefined
  /** Correct for starting at zero: false. */
  readonly biasCorrection?: boolean | undefined
}

/** 1/√(v + eps), or 1/(√v + eps). */
const inverseRoot = (v: Tensor, eps: TensorLike, inside: boolean): Tensor =>
  inside ? rsqrt(plus(v, eps)) : div(1, plus(sqrt(v), eps))

/** State of `scaleByRms`. */
export interface RmsState {
  readonly count?: Tensor
  readonly nu: ArrayTree
}

/**
 * Divides by the root of the average of squared gradients.
 *
 * Hinton, lecture 6 of "Neural Networks for Machine Learning".
 *
 * @category scaling
 * @since 0.1.0
 */
export const scaleByRms = (options: RmsOptions = {}): GradientTransformation<RmsState> => {
  const { biasCorrection: corrects = false, decay = 0.9, eps = 1e-8, epsInSqrt = true, initialScale = 0 } = options
  return {
    init: (params) => {
      const nu = mapTrees((x) => fullLike(x, initialScale), params)
      return corrects ? { count: zeroCount(), nu } : { nu }
    },
    update: (updates, state) => {
      const nu = updateMoment(updates, state.nu, decay, 2)
      const count = state.count === undefined ? undefined : safeIncrement(state.count)
      const v = count === undefined ? nu : biasCorrection(nu, decay, count)
      const kept = castLike(nu, state.nu)
      return {
        updates: mapTrees((u, b) => mul(inverseRoot(b, eps, epsInSqrt), u), updates, v),
        state: count === undefined ? { nu: kept } : { count, nu: kept }
      }
    }
  }
}

/** State of `scaleByStddev`. */
export interface StddevState extends RmsState {
  readonly mu: ArrayTree
}

/**
 * Divides by the standard deviation of gradients: the root of the average of squares minus the squared average (Graves
 * 2013).
 *
 * @category scaling
 * @since 0.1.0
 */
export const scaleByStddev = (options: RmsOptions = {}): GradientTransformation<StddevState> => {
  const { biasCorrection: corrects = false, decay = 0.9, eps = 1e-8, epsInSqrt = true, initialScale = 0 } = options
  return {
    init: (params) => {
      const moments = { mu: zerosLike(params), nu: mapTrees((x) => fullLike(x, initialScale), params) }
      return corrects ? { count: zeroCount(), ...moments } : moments
    },
    update: (updates, state) => {
      const mu = updateMoment(updates, state.mu, decay, 1)
      const nu = updateMoment(updates, state.nu, decay, 2)
      const count = state.count === undefined ? undefined : safeIncrement(state.count)
      const m = count === undefined ? mu : biasCorrection(mu, decay, count)
      const v = count === undefined ? nu : biasCorrection(nu, decay, count)
      const kept = { mu: castLike(mu, state.mu), nu: castLike(nu, state.nu) }
      return {
        updates: mapTrees((u, a, b) => mul(inverseRoot(sub(b, square(a)), eps, epsInSqrt), u), updates, m, v),
        state: count === undefined ? kept : { count, ...kept }
      }
    }
  }
}

/** State of `scaleByAdadelta`: averages of squared gradients and of squared updates. */
export interface AdadeltaState {
  readonly eG: ArrayTree
  readonly eX: ArrayTree
}

/**
 * Multiplies by the root of the average of squared updates over that of squared gradients.
 *
 * Zeiler 2012, arXiv 1212.5701. `rho` is 0.9, `eps` 1e-6.
 *
 * @category scaling
 * @since 0.1.0
 */
export const scaleByAdadelta = (
  options: { readonly rho?: TensorLike | undefined; readonly eps?: TensorLike | undefined } = {}
): GradientTransformation<AdadeltaState> => {
  const { eps = 1e-6, rho = 0.9 } = options
  return {
    init: (params) => ({ eG: zerosLike(params), eX: zerosLike(params) }),
    update: (updates, state) => {
      const eG = updateMoment(updates, state.eG, rho, 2)
      const scaled = mapTrees(
        (u, g, x) => mul(div(sqrt(plus(x, eps)), sqrt(plus(g, eps))), u),
        updates,
        eG,
        state.eX
      )
      const eX = updateMoment(scaled, state.eX, rho, 2)
      return { updates: scaled, state: { eG: castLike(eG, state.eG), eX: castLike(eX, state.eX) } }
    }
  }
}
