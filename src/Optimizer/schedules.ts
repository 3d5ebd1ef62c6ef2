/**
 * Schedules: plain functions from the number of updates so far to a value, mostly of the learning rate. Formulas and
 * defaults are Optax's; values are weakly typed float32 scalars, so they do not widen what they multiply. A count is an
 * int32 array in an optimizer; a number does as well.
 */
import { array } from "../Tensor/construct.ts"
import { ShapeError } from "../Tensor/errors.ts"
import * as lax from "../Tensor/lax/index.ts"
import { add, clip, cos, div, floor, maximum, minimum, mul, pow, sign, sub } from "../Tensor/numpy/elementwise.ts"
import { le, logicalAnd, lt, where } from "../Tensor/numpy/logic.ts"
import { sum } from "../Tensor/numpy/reductions.ts"
import { lift, literal, type Tensor, type TensorLike } from "../Tensor/Tensor.ts"
import type { Schedule } from "./GradientTransformation.ts"

export type { Schedule } from "./GradientTransformation.ts"

const real = (value: number): Tensor => literal(value, "float32", true)

const asReal = (x: TensorLike): Tensor => lax.convertElementType(lift(x), "float32", true)

/**
 * The same value always.
 *
 * @category schedules
 * @since 0.1.0
 */
export const constantSchedule = (value: number): Schedule => () => real(value)

/** Options of `polynomialSchedule`. */
export interface PolynomialOptions {
  readonly initValue: number
  readonly endValue: number
  readonly power: number
  /** From `initValue` to `endValue` in this many steps; not above 0: always `initValue`. */
  readonly transitionSteps: number
  /** After this many steps: 0. */
  readonly transitionBegin?: number | undefined
}

/**
 * (init - end)·(1 - t/transitionSteps)^power + end, with t from 0 to transitionSteps.
 *
 * @category schedules
 * @since 0.1.0
 */
export const polynomialSchedule = (options: PolynomialOptions): Schedule => {
  const { endValue, initValue, power, transitionBegin = 0, transitionSteps } = options
  if (transitionSteps <= 0) return constantSchedule(initValue)
  const begin = Math.max(0, transitionBegin)
  return (count) => {
    const t = clip(sub(count, begin), 0, transitionSteps)
    const left = sub(1, div(t, transitionSteps))
    return add(mul(real(initValue - endValue), pow(left, power)), real(endValue))
  }
}

/**
 * In a straight line from `initValue` to `endValue`.
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as Cpu from "linum/backend/tfjs-cpu"
 * import { item } from "linum/Backend"
 * import { linearSchedule } from "linum/Optimizer"
 *
 * const rate = linearSchedule({ initValue: 1, endValue: 0, transitionSteps: 4 })
 * console.log(await Effect.runPromise(item(rate(1)).pipe(Effect.provide(Cpu.layer)))) // => 0.75
 * ```
 *
 * @category schedules
 * @since 0.1.0
 */
export const linearSchedule = (options: Omit<PolynomialOptions, "power">): Schedule =>
  polynomialSchedule({ ...options, power: 1 })

/** Boundaries and what a value is multiplied by from there on. */
export type BoundariesAndScales = Readonly<Record<number, number>>

const boundariesOf = (operation: string, scales: BoundariesAndScales): ReadonlyArray<readonly [number, number]> => {
  const entries = Object.entries(scales).map(([step, scale]) => [Number(step), scale] as const)
  const bad = entries.find(([, scale]) => !(scale >= 0))
  if (bad !== undefined) {
    throw new ShapeError({
      operation,
      expected: "scales of at least 0",
      found: `${bad[1]} at step ${bad[0]}`,
      hint: "a schedule that changes its sign is no learning rate"
    })
  }
  return entries.toSorted(([a], [b]) => a - b)
}

/**
 * `initValue` times the scales of all boundaries that the count has reached.
 *
 * @category schedules
 * @since 0.1.0
 */
export const piecewiseConstantSchedule = (
  initValue: number,
  boundariesAndScales: BoundariesAndScales = {}
): Schedule => {
  const steps = boundariesOf("piecewiseConstantSchedule", boundariesAndScales)
  return (count) =>
    steps.reduce<Tensor>((value, [boundary, scale]) => {
      const before = maximum(real(0), sign(sub(boundary, count)))
      return add(mul(value, before), mul(mul(sub(1, before), real(scale)), value))
    }, real(initValue))
}

/** Options of `exponentialDecay`. */
export interface ExponentialDecayOptions {
  readonly initValue: number
  /** In this many steps the value is multiplied once by `decayRate`; not above 0: always `initValue`. */
  readonly transitionSteps: number
  /** 0: always `initValue`. */
  readonly decayRate: number
  /** After this many steps: 0. */
  readonly transitionBegin?: number | undefined
  /** All at once, every `transitionSteps` steps: false. */
  readonly staircase?: boolean | undefined
  /** Where decay (or growth) ends. */
  readonly endValue?: number | undefined
}

/**
 * initValue·decayRate^(t/transitionSteps).
 *
 * @category schedules
 * @since 0.1.0
 */
export const exponentialDecay = (options: ExponentialDecayOptions): Schedule => {
  const { decayRate, endValue, initValue, staircase = false, transitionBegin = 0, transitionSteps } = options
  if (transitionSteps <= 0 || decayRate === 0) return constantSchedule(initValue)
  const begin = Math.max(0, transitionBegin)
  return (count) => {
    const t = sub(count, begin)
    const exact = div(t, transitionSteps)
    const decayed = mul(real(initValue), pow(real(decayRate), staircase ? floor(exact) : exact))
    const value = where(le(t, 0), real(initValue), decayed)
    if (endValue === undefined) return value
    return decayRate < 1 ? maximum(value, real(endValue)) : minimum(value, real(endValue))
  }
}

/** Options of `cosineDecaySchedule`. */
export interface CosineDecayOptions {
  readonly initValue: number
  /** Above 0. */
  readonly decaySteps: number
  /** The value at the end, as a part of `initValue`: 0. */
  readonly alpha?: number | undefined
  /** What the cosine is raised to: 1. */
  readonly exponent?: number | undefined
}

/** Throws unless a number of steps is above 0. */
const checkSteps = (operation: string, name: string, steps: number): void => {
  if (steps > 0) return
  throw new ShapeError({
    operation,
    expected: `${name} above 0`,
    found: String(steps),
    hint: "with a warmup, decaySteps counts its steps too and must be larger"
  })
}

/**
 * Half a cosine from `initValue` to alpha·initValue: initValue·((1 - alpha)·(½(1 + cos πt/T))^exponent + alpha)
 * (Loshchilov and Hutter 2017, arXiv 1608.03983). Throws a `ShapeError` unless `decaySteps` is above 0.
 *
 * @category schedules
 * @since 0.1.0
 */
export const cosineDecaySchedule = (options: CosineDecayOptions): Schedule => {
  const { alpha = 0, decaySteps, exponent = 1, initValue } = options
  checkSteps("cosineDecaySchedule", "decaySteps", decaySteps)
  return (count) => {
    const t = minimum(asReal(count), real(decaySteps))
    const cosine = mul(0.5, add(1, cos(div(mul(real(Math.PI), t), real(decaySteps)))))
    return mul(real(initValue), add(mul(real(1 - alpha), pow(cosine, exponent)), real(alpha)))
  }
}

/**
 * One schedule after another: the next begins, counting from 0, when the count reaches a boundary. There is one
 * boundary less than schedules.
 *
 * @category schedules
 * @since 0.1.0
 */
export const joinSchedules = (schedules: ReadonlyArray<Schedule>, boundaries: ReadonlyArray<number>): Schedule => {
  if (schedules.length !== boundaries.length + 1) {
    throw new ShapeError({
      operation: "joinSchedules",
      expected: "one boundary less than schedules",
      found: `${boundaries.length} boundaries, ${schedules.length} schedules`,
      hint: "a boundary is the count at which the next schedule begins"
    })
  }
  return (count) =>
    boundaries.reduce<Tensor>(
      (value, boundary, i) => where(lt(count, boundary), value, schedules[i + 1](sub(count, boundary))),
      schedules[0](count)
    )
}

/** Options of `warmupConstantSchedule`. */
export interface WarmupOptions {
  readonly initValue: number
  readonly peakValue: number
  readonly warmupSteps: number
}

/**
 * In a straight line to `peakValue`, which stays.
 *
 * @category schedules
 * @since 0.1.0
 */
export const warmupConstantSchedule = (options: WarmupOptions): Schedule =>
  linearSchedule({
    initValue: options.initValue,
    endValue: options.peakValue,
    transitionSteps: options.warmupSteps
  })

/** Options of `warmupCosineDecaySchedule`. */
export interface WarmupCosineDecayOptions extends WarmupOptions {
  /** All steps, those of the warmup too. */
  readonly decaySteps: number
  /** 0. */
  readonly endValue?: number | undefined
  /** What the cosine is raised to: 1. */
  readonly exponent?: number | undefined
}

/**
 * In a straight line to `peakValue`, then down half a cosine to `endValue`. Throws a `ShapeError` unless `decaySteps`
 * is above `warmupSteps`.
 *
 * @category schedules
 * @since 0.1.0
 */
export const warmupCosineDecaySchedule = (options: WarmupCosineDecayOptions): Schedule => {
  const { decaySteps, endValue = 0, exponent, peakValue, warmupSteps } = options
  return joinSchedules([
    warmupConstantSchedule(options),
    cosineDecaySchedule({
      initValue: peakValue,
      decaySteps: decaySteps - warmupSteps,
      alpha: peakValue === 0 ? 0 : endValue / peakValue,
      exponent
    })
  ], [warmupSteps])
}

/** Options of `warmupExponentialDecaySchedule`. */
export interface WarmupExponentialDecayOptions extends WarmupOptions, Omit<ExponentialDecayOptions, "initValue"> {}

/**
 * In a straight line to `peakValue`, then `exponentialDecay` from there.
 *
 * @category schedules
 * @since 0.1.0
 */
export const warmupExponentialDecaySchedule = (options: WarmupExponentialDecayOptions): Schedule =>
  joinSchedules(
    [warmupConstantSchedule(options), exponentialDecay({ ...options, initValue: options.peakValue })],
    [options.warmupSteps]
  )

/**
 * Warm restarts: one `warmupCosineDecaySchedule` after the other, each for its `decaySteps` (Loshchilov and Hutter
 * 2017).
 *
 * @category schedules
 * @since 0.1.0
 */
export const sgdrSchedule = (cycles: ReadonlyArray<WarmupCosineDecayOptions>): Schedule => {
  let end = 0
  const boundaries = cycles.map((cycle) => (end += cycle.decaySteps))
  return joinSchedules(cycles.map(warmupCosineDecaySchedule), boundaries.slice(0, -1))
}

const interpolations = {
  linear: (start: Tensor, end: Tensor, part: Tensor): Tensor => add(mul(sub(end, start), part), start),
  cosine: (start: Tensor, end: Tensor, part: Tensor): Tensor =>
    add(end, mul(div(sub(start, end), 2), add(cos(mul(Math.PI, part)), 1)))
}

/**
 * Between boundaries, along lines or half cosines, through the values that `piecewiseConstantSchedule` has from each
 * boundary on.
 *
 * @category schedules
 * @since 0.1.0
 */
export const piecewiseInterpolateSchedule = (
  interpolation: "linear" | "cosine",
  initValue: number,
  boundariesAndScales: BoundariesAndScales = {}
): Schedule => {
  const steps = boundariesOf("piecewiseInterpolateSchedule", boundariesAndScales)
  const bounds = [0, ...steps.map(([boundary]) => boundary)]
  let value = initValue
  const values = [initValue, ...steps.map(([, scale]) => (value *= scale))]
  const sizes = bounds.slice(1).map((bound, i) => Math.max(bound - bounds[i], 1))
  return (count) => {
    const after = where(le(bounds[bounds.length - 1], count), real(values[values.length - 1]), real(0))
    if (sizes.length === 0) return after
    const [from, to] = [array(bounds.slice(0, -1)), array(bounds.slice(1))]
    const t = asReal(count)
    const within = logicalAnd(le(from, t), lt(t, to))
    const part = div(sub(t, from), array(sizes))
    const between = interpolations[interpolation](array(values.slice(0, -1)), array(values.slice(1)), part)
    return asReal(add(sum(where(within, between, 0)), after))
  }
}

/** Options of `cosineOnecycleSchedule`. */
export interface OnecycleOptions {
  /** Above 0. */
  readonly transitionSteps: number
  readonly peakValue: number
  /** The part of all steps that goes up: 0.3. */
  readonly pctStart?: number | undefined
  /** The first value is the peak divided by this: 25. */
  readonly divFactor?: number | undefined
  /** The last value is the first divided by this: 1e4. */
  readonly finalDivFactor?: number | undefined
}

/**
 * Up half a cosine to the peak, and down another (Smith and Topin 2017, arXiv 1708.07120).
 *
 * @category schedules
 * @since 0.1.0
 */
export const cosineOnecycleSchedule = (options: OnecycleOptions): Schedule => {
  const { divFactor = 25, finalDivFactor = 1e4, pctStart = 0.3, peakValue, transitionSteps } = options
  checkSteps("cosineOnecycleSchedule", "transitionSteps", transitionSteps)
  return piecewiseInterpolateSchedule("cosine", peakValue / divFactor, {
    [Math.trunc(pctStart * transitionSteps)]: divFactor,
    [Math.trunc(transitionSteps)]: 1 / (divFactor * finalDivFactor)
  })
}

/** Options of `linearOnecycleSchedule`. */
export interface LinearOnecycleOptions extends OnecycleOptions {
  /** The part of all steps after which the value is back at the first: 0.85. */
  readonly pctFinal?: number | undefined
}

/**
 * Up to the peak, back, and on to a small end, in straight lines.
 *
 * @category schedules
 * @since 0.1.0
 */
export const linearOnecycleSchedule = (options: LinearOnecycleOptions): Schedule => {
  const { divFactor = 25, finalDivFactor = 1e4, pctFinal = 0.85, pctStart = 0.3, peakValue, transitionSteps } = options
  checkSteps("linearOnecycleSchedule", "transitionSteps", transitionSteps)
  return piecewiseInterpolateSchedule("linear", peakValue / divFactor, {
    [Math.trunc(pctStart * transitionSteps)]: divFactor,
    [Math.trunc(pctFinal * transitionSteps)]: 1 / divFactor,
    [transitionSteps]: 1 / finalDivFactor
  })
}
