/**
 * Transformations that accumulate updates over steps: momentum, moving averages, and several small batches as one large
 * one.
 */
import { fullLike } from "../Tensor/construct.ts"
import type { DType } from "../Tensor/DType.ts"
import * as lax from "../Tensor/lax/index.ts"
import { add, div, mod, mul, sub } from "../Tensor/numpy/elementwise.ts"
import { where } from "../Tensor/numpy/logic.ts"
import { sum } from "../Tensor/numpy/reductions.ts"
import { lift, literal, type Tensor, type TensorLike } from "../Tensor/Tensor.ts"
import type { GradientTransformation } from "./GradientTransformation.ts"
import { biasCorrection, isSchedule, safeIncrement, updateMoment, zeroCount } from "./numeric.ts"
import { type ArrayTree, castLike, leaves, mapTrees, squaredNorm, zerosLike } from "./tree.ts"

/** Options of `trace`. */
export interface TraceOptions {
  /** Nesterov's momentum: false. */
  readonly nesterov?: boolean | undefined
  /** The dtype of the trace: that of the parameter. */
  readonly accumulatorDtype?: DType | undefined
}

/** State of `trace`: the sum that mirrors the parameters. */
export interface TraceState {
  readonly trace: ArrayTree
}

/**
 * Momentum: the decaying sum t ← u + decay·t of updates; with `nesterov` u + decay·t of the new t.
 *
 * @category accumulation
 * @since 0.1.0
 */
export const trace = (decay: TensorLike, options: TraceOptions = {}): GradientTransformation<TraceState> => {
  const { accumulatorDtype, nesterov = false } = options
  const next = (u: Tensor, t: Tensor): Tensor => add(u, mul(decay, t))
  return {
    init: (params) => ({ trace: zerosLike(params, accumulatorDtype) }),
    update: (updates, state) => {
      const sums = mapTrees(next, updates, state.trace)
      return {
        updates: nesterov ? mapTrees(next, updates, sums) : sums,
        state: { trace: castLike(sums, state.trace) }
      }
    }
  }
}

/** Options of `ema`. */
export interface EmaOptions {
  /** Correct for starting at zero: true. */
  readonly debias?: boolean | undefined
  /** The dtype of the average: that of the parameter. */
  readonly accumulatorDtype?: DType | undefined
}

/** State of `ema`. */
export interface EmaState {
  readonly count: Tensor
  readonly ema: ArrayTree
}

/**
 * The exponential moving average of updates. (For one of parameters, see `EMA`.)
 *
 * @category accumulation
 * @since 0.1.0
 */
export const ema = (decay: TensorLike, options: EmaOptions = {}): GradientTransformation<EmaState> => {
  const { accumulatorDtype, debias = true } = options
  return {
    init: (params) => ({ count: zeroCount(), ema: zerosLike(params, accumulatorDtype) }),
    update: (updates, state) => {
      const average = updateMoment(updates, state.ema, decay, 1)
      const count = safeIncrement(state.count)
      return {
        updates: debias ? biasCorrection(average, decay, count) : average,
        state: { count, ema: castLike(average, state.ema) }
      }
    }
  }
}

/** Should these updates be left out? A scalar bool, and what is worth remembering about it. */
export type ShouldSkip = (updates: ArrayTree, gradientStep: Tensor, params: ArrayTree) => Skip

/** What a `ShouldSkip` says. */
export interface Skip {
  readonly shouldSkip: Tensor
  /** Other scalars for looking at; they are kept in the state. */
  readonly [name: string]: Tensor
}

/**
 * Skips updates with an element that is not finite.
 *
 * @category accumulation
 * @since 0.1.0
 */
export const skipNotFinite: ShouldSkip = (updates) => {
  const bad = leaves(updates).map((x) => sum(lax.not(lax.isFinite(x))))
  const numNotFinite = bad.reduce((a, b) => lax.add(a, b), literal(0, "int32"))
  return { shouldSkip: lax.gt(numNotFinite, literal(0, "int32")), numNotFinite }
}

/**
 * Skips updates with a squared norm that is not less than a bound.
 *
 * @category accumulation
 * @since 0.1.0
 */
export const skipLargeUpdates = (maxSquaredNorm: number): ShouldSkip => (updates) => {
  const normSquared = squaredNorm(updates)
  return {
    shouldSkip: lax.not(lax.lt(normSquared, lax.convertElementType(lift(maxSquaredNorm), normSquared.dtype))),
    normSquared
  }
}

/** Options of `multiSteps`. */
export interface MultiStepsOptions {
  /** Average the gradients of the small steps (true), or add them up. */
  readonly useGradMean?: boolean | undefined
  /** Which small steps not to count; none by default. */
  readonly shouldSkipUpdate?: ShouldSkip | undefined
  /** The dtype in which gradients are accumulated: float32. */
  readonly accumulatorDtype?: DType | undefined
}

/** State of `multiSteps`. */
export interface MultiStepsState<S> {
  /** Small steps since the last update. */
  readonly miniStep: Tensor
  /** Updates so far. */
  readonly gradientStep: Tensor
  readonly innerOptState: S
  readonly accGrads: ArrayTree
  readonly skipState: Readonly<Record<string, Tensor>>
}

/**
 * Gathers the gradients of `everyK` steps and updates once, with zeros for updates in between: a large batch in small
 * ones. `everyK` is a number or a function of the count of updates.
 *
 * @category accumulation
 * @since 0.1.0
 */
export const multiSteps = <S>(
  inner: GradientTransformation<S>,
  everyK: number | ((gradientStep: Tensor) => TensorLike),
  options: MultiStepsOptions = {}
): GradientTransformation<MultiStepsState<S>> => {
  const { accumulatorDtype = "float32", shouldSkipUpdate, useGradMean = true } = options
  const skipOf = (updates: ArrayTree, step: Tensor, params: ArrayTree): Readonly<Record<string, Tensor>> =>
    shouldSkipUpdate === undefined ? {} : { ...shouldSkipUpdate(updates, step, params) }
  return {
    init: (params) => ({
      miniStep: zeroCount(),
      gradientStep: zeroCount(),
      innerOptState: inner.init(params),
      accGrads: zerosLike(params, accumulatorDtype),
      skipState: skipOf(zerosLike(params), zeroCount(), params)
    }),
    update: <T>(updates: T, state: MultiStepsState<S>, params: T) => {
      const k = isSchedule(everyK) ? everyK(state.gradientStep) : lift(everyK as number)
      const skipState = skipOf(updates, state.gradientStep, params)
      const counts = lax.not(skipState["shouldSkip"] ?? literal(0, "bool"))
      const last = lax.eq(state.miniStep, lax.convertElementType(sub(k, 1), "int32"))
      const emit = lax.and(counts, last)
      const accumulated = mapTrees(
        (u, a) => useGradMean ? add(a, div(sub(u, a), add(state.miniStep, 1))) : add(u, a),
        updates,
        state.accGrads
      )
      const step = inner.update(castLike(accumulated, updates), state.innerOptState, params)
      const next = mod(safeIncrement(state.miniStep), k)
      return {
        updates: mapTrees((u) => where(emit, u, 0), step.updates),
        state: {
          miniStep: where(counts, lax.convertElementType(next, "int32"), state.miniStep),
          gradientStep: where(emit, safeIncrement(state.gradientStep), state.gradientStep),
          innerOptState: selectTree(emit, step.state, state.innerOptState),
          accGrads: castLike(
            mapTrees((a, before) => where(counts, where(last, 0, a), before), accumulated, state.accGrads),
            state.accGrads
          ),
          skipState
        }
      }
    }
  }
}

/** A tree where a scalar bool holds, another of its structure elsewhere; dtypes are the second's. */
export const selectTree = <T>(condition: Tensor, onTrue: T, onFalse: T): T =>
  mapTrees((a, b) => where(condition, lax.convertElementType(a, b.dtype), b), onTrue, onFalse)

/** State of `applyEvery`. */
export interface ApplyEveryState {
  readonly count: Tensor
  readonly gradAcc: ArrayTree
}

/**
 * Adds up updates, and gives the sum every `k` steps and zeros in between. Other parts of a chain are not held up by
 * it: see `multiSteps`.
 *
 * @category accumulation
 * @since 0.1.0
 */
export const applyEvery = (k = 1): GradientTransformation<ApplyEveryState> => ({
  init: (params) => ({ count: zeroCount(), gradAcc: zerosLike(params) }),
  update: (updates, state) => {
    const at = mod(state.count, k)
    const first = lax.eq(at, literal(0, "int32"))
    const last = lax.eq(at, literal(k - 1, "int32"))
    const sums = mapTrees((u, a) => add(where(first, fullLike(a, 0), a), u), updates, state.gradAcc)
    return {
      updates: mapTrees((a) => where(last, a, 0), sums),
      state: { count: mod(safeIncrement(state.count), k), gradAcc: castLike(sums, state.gradAcc) }
    }
  }
})
