/**
 * The arithmetic that transformations share: counts, decay rates, moments and their correction. Decay rates may be
 * numbers or scalar arrays (as `injectHyperparams` makes them); numbers are computed with in double precision as long
 * as they are alone.
 */
import * as DType from "../Tensor/DType.ts"
import * as lax from "../Tensor/lax/index.ts"
import { abs, add, div, maximum, mul, neg, pow, square, sub } from "../Tensor/numpy/elementwise.ts"
import { where } from "../Tensor/numpy/logic.ts"
import { norm } from "../Tensor/numpy/reductions.ts"
import { lift, literal, type Tensor, type TensorLike } from "../Tensor/Tensor.ts"
import type { Schedule } from "./GradientTransformation.ts"
import { type ArrayTree, mapTrees } from "./tree.ts"

/** A count at its start: int32 0. */
export const zeroCount = (): Tensor => literal(0, "int32")

/**
 * A count plus one; at the largest number that its dtype has it stays there, and does not wrap.
 *
 * @category counts
 * @since 0.1.0
 */
export const safeIncrement = (count: Tensor): Tensor => {
  const top = literal(count.dtype === "uint32" ? 4294967295 : 2147483647, count.dtype)
  return where(lax.lt(count, top), lax.add(count, literal(1, count.dtype)), top)
}

/** 1 - x. */
export const oneMinus = (x: TensorLike): TensorLike => typeof x === "number" ? 1 - x : sub(1, x)

/** -x. */
export const negated = (x: TensorLike): TensorLike => typeof x === "number" ? -x : neg(x)

/** Is it a number that is known to be zero? Then its term can be left out. */
export const isZero = (x: TensorLike): boolean => x === 0

/** x + y, and x itself where y is the number 0. */
export const plus = (x: Tensor, y: TensorLike): Tensor => isZero(y) ? x : add(x, y)

/** A function of the count, or something constant. */
export const isSchedule = (u: unknown): u is Schedule => typeof u === "function"

/** The value at a count. */
export const valueAt = (x: TensorLike | Schedule, count: Tensor): TensorLike => isSchedule(x) ? x(count) : x

/** A scalar in the dtype of an array. */
export const scalarLike = (x: TensorLike, like: Tensor): TensorLike =>
  typeof x === "number" || !DType.isFloat(like.dtype) ? x : lax.convertElementType(lift(x), like.dtype)

/** (1 - decay)·u + decay·m: one step of an exponential moving average. */
export const movingAverage = (u: Tensor, m: Tensor, decay: TensorLike): Tensor =>
  add(mul(oneMinus(decay), u), mul(decay, m))

/** Moving averages of updates, or of their squares, in the dtypes of the updates. */
export const updateMoment = <T>(updates: T, moments: ArrayTree, decay: TensorLike, order: 1 | 2): T =>
  mapTrees((u, m) => movingAverage(order === 1 ? u : square(u), m, decay), updates, moments)

/** max(|u| + eps, decay·m): the moving maximum of Adamax. */
export const updateInfinityMoment = <T>(updates: T, moments: ArrayTree, decay: TensorLike, eps: TensorLike): T =>
  mapTrees((u, m) => maximum(plus(abs(u), eps), mul(decay, m)), updates, moments)

/** What a moving average that began at zero is too small by after `count` steps: 1 - decay^count, a float scalar. */
export const correction = (decay: TensorLike, count: Tensor): Tensor => sub(1, pow(decay, count))

/** Moments divided by their `correction`, each in its own precision. */
export const biasCorrection = <T>(moments: T, decay: TensorLike, count: Tensor): T => {
  const by = correction(decay, count)
  return mapTrees((m) => div(m, scalarLike(by, m)), moments)
}

/** The norm of an array, at least `least`. Its derivative is 0 where the bound holds. */
export const safeNorm = (x: Tensor, least: TensorLike): Tensor => {
  const length = norm(x)
  const small = lax.le(length, lax.convertElementType(lift(least), length.dtype))
  return where(small, least, norm(where(small, 1, x)))
}
