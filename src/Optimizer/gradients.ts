/**
 * Transformations that look at gradients of the step before, or at whole arrays of them: Rprop, NovoGrad, optimistic
 * gradients.
 */
import { fullLike } from "../Tensor/construct.ts"
import type { DType } from "../Tensor/DType.ts"
import * as lax from "../Tensor/lax/index.ts"
import { add, clip, div, mul, sign, sqrt, square, sub } from "../Tensor/numpy/elementwise.ts"
import { gt, lt, where } from "../Tensor/numpy/logic.ts"
import { sum } from "../Tensor/numpy/reductions.ts"
import { literal, type Tensor, type TensorLike } from "../Tensor/Tensor.ts"
import type { MomentsState } from "./adaptive.ts"
import type { GradientTransformation } from "./GradientTransformation.ts"
import { movingAverage, plus, safeIncrement, zeroCount } from "./numeric.ts"
import { type ArrayTree, castLike, mapTrees, zerosLike } from "./tree.ts"

/** Options of `scaleByRprop`. */
export interface RpropOptions {
  /** What a step size is multiplied by when the gradient changes its sign: 0.5. */
  readonly etaMinus?: number | undefined
  /** What it is multiplied by when the sign stays: 1.2. */
  readonly etaPlus?: number | undefined
  /** 1e-6. */
  readonly minStepSize?: number | undefined
  /** 50. */
  readonly maxStepSize?: number | undefined
}

/** State of `scaleByRprop`. */
export interface RpropState {
  readonly stepSizes: ArrayTree
  readonly prevUpdates: ArrayTree
}

/**
 * Signs of gradients times step sizes of their own, which grow while the sign stays (Riedmiller and Braun 1993).
 *
 * @category scaling
 * @since 0.1.0
 */
export const scaleByRprop = (learningRate: number, options: RpropOptions = {}): GradientTransformation<RpropState> => {
  const { etaMinus = 0.5, etaPlus = 1.2, maxStepSize = 50, minStepSize = 1e-6 } = options
  return {
    init: (params) => ({
      stepSizes: mapTrees((x) => fullLike(x, learningRate), params),
      prevUpdates: zerosLike(params)
    }),
    update: (updates, state) => {
      const signs = mapTrees((u, before) => mul(u, before), updates, state.prevUpdates)
      const stepSizes = mapTrees(
        (s, size) => {
          const moved = clip(mul(size, where(gt(s, 0), etaPlus, etaMinus)), minStepSize, maxStepSize)
          return where(lax.eq(s, fullLike(s, 0)), size, moved)
        },
        signs,
        state.stepSizes
      )
      const next = mapTrees((u, s, size) => where(lt(s, 0), 0, mul(size, sign(u))), updates, signs, stepSizes)
      return {
        // As Optax: what is applied is the step of the update before.
        updates: mapTrees((u, s) => where(lt(s, 0), 0, u), state.prevUpdates as typeof next, signs),
        state: { stepSizes: castLike(stepSizes, state.stepSizes), prevUpdates: castLike(next, state.prevUpdates) }
      }
    }
  }
}

/** Options of `scaleByNovograd`. */
export interface NovogradOptions {
  /** Decay rate of the momentum: 0.9. */
  readonly b1?: TensorLike | undefined
  /** Decay rate of the squared norms: 0.25. */
  readonly b2?: TensorLike | undefined
  /** Added to the norm: 1e-8 (of the optimizer `novograd`: 1e-6). */
  readonly eps?: TensorLike | undefined
  /** Added inside of the root: 0. */
  readonly epsRoot?: TensorLike | undefined
  /** 0. */
  readonly weightDecay?: TensorLike | undefined
  /** The dtype of the momentum: that of the parameter. */
  readonly muDtype?: DType | undefined
}

/**
 * Momentum of gradients divided by the average of their norms, one for each array (Ginsburg et al. 2019, arXiv
 * 1905.11286).
 *
 * @category scaling
 * @since 0.1.0
 */
export const scaleByNovograd = (options: NovogradOptions = {}): GradientTransformation<MomentsState> => {
  const { b1 = 0.9, b2 = 0.25, eps = 1e-8, epsRoot = 0, muDtype, weightDecay = 0 } = options
  return {
    init: (params) => ({
      count: zeroCount(),
      mu: zerosLike(params, muDtype),
      nu: mapTrees((p) => literal(0, p.dtype), params)
    }),
    update: (updates, state, params) => {
      const count = safeIncrement(state.count)
      const first = lax.eq(count, literal(1, "int32"))
      const nu = mapTrees(
        (u, n) => {
          const squares = sum(square(u))
          return lax.convertElementType(where(first, squares, movingAverage(squares, n, b2)), n.dtype)
        },
        updates,
        state.nu
      )
      const mu = mapTrees(
        (u, m, n, p) => {
          const own = add(div(u, plus(sqrt(plus(n, epsRoot)), eps)), mul(weightDecay, p))
          return lax.convertElementType(where(first, own, add(mul(b1, m), own)), m.dtype)
        },
        updates,
        state.mu,
        nu,
        params
      )
      return { updates: mu, state: { count, mu, nu } }
    }
  }
}

/** State of `scaleByOptimisticGradient`. */
export interface OptimisticState {
  readonly isInitialStep: Tensor
  readonly previousGradient: ArrayTree
}

/**
 * (alpha + beta)·u minus beta times the update before (Mokhtari et al. 2019, arXiv 1901.08511). Both are 1.
 *
 * @category scaling
 * @since 0.1.0
 */
export const scaleByOptimisticGradient = (
  options: { readonly alpha?: number | undefined; readonly beta?: number | undefined } = {}
): GradientTransformation<OptimisticState> => {
  const { alpha = 1, beta = 1 } = options
  return {
    init: (params) => ({ isInitialStep: literal(1, "bool"), previousGradient: zerosLike(params) }),
    update: (updates, state) => ({
      updates: mapTrees(
        (u, before) => sub(mul(alpha + beta, u), mul(beta, where(state.isInitialStep, u, before))),
        updates,
        state.previousGradient
      ),
      state: { isInitialStep: literal(0, "bool"), previousGradient: castLike(updates, state.previousGradient) }
    })
  }
}
