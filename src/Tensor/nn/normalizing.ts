/**
 * Functions over an axis: softmax and its relatives, standardization, and one-hot encoding; formulas of `jax.nn`.
 */
import * as DType from "../DType.ts"
import { DTypeError } from "../errors.ts"
import * as lax from "../lax/index.ts"
import type { Axes, ReduceOptions } from "../Methods.ts"
import { add, clip, div, exp, log, mul, square, sub } from "../numpy/elementwise.ts"
import { where } from "../numpy/logic.ts"
import { inexact } from "../numpy/promotion.ts"
import { countNonzero, logsumexp, max, mean, sum } from "../numpy/reductions.ts"
import * as Shape from "../Shape.ts"
import * as ShapedArray from "../ShapedArray.ts"
import { lift, type Tensor, type TensorLike } from "../Tensor.ts"

export { logsumexp }

/** Options of `softmax` and `logSoftmax`. Bare axes may stand in for them. */
export interface SoftmaxOptions {
  /** The axes that are normalized over: the last by default. */
  readonly axis?: Axes | undefined
  /** bool, broadcast against the array: which elements take part. The others become 0 (log: -Infinity). */
  readonly where?: TensorLike | undefined
}

interface Settings {
  readonly axis: Axes
  readonly where: Tensor | undefined
}

const isAxes = (u: SoftmaxOptions | Axes): u is Axes => u === null || typeof u === "number" || Array.isArray(u)

const settings = (options: SoftmaxOptions | Axes = {}): Settings => {
  const { axis = -1, where } = isAxes(options) ? { axis: options } : options
  return { axis, where: where === undefined ? undefined : lift(where) }
}

/** x minus its largest element, which has no derivative: the result does not depend on it. */
const shifted = (x: Tensor, { axis, where: mask }: Settings): Tensor => {
  const top = max(x, { axis, where: mask, initial: -Infinity, keepdims: true })
  return sub(mask === undefined ? x : where(mask, x, -Infinity), lax.stopGradient(top))
}

/**
 * exp(x) / Σ exp(x) along axes: positive, and adding up to 1. `softmax(x)`, `softmax(x, 0)`, `softmax(x, { where })`.
 *
 * ```ts import.meta.vitest
 * import { Tensor } from "linum"
 *
 * const logits = Tensor.array([[1, 2, 3], [1, 1, 1]])
 * console.log(Tensor.nn.softmax(logits).shape, Tensor.nn.softmax(logits, 0).shape) // => [ 2, 3 ] [ 2, 3 ]
 * ```
 *
 * @category normalization
 * @since 0.1.0
 */
export const softmax = (x: TensorLike, options?: SoftmaxOptions | Axes): Tensor => {
  const set = settings(options)
  const unnormalized = exp(shifted(inexact("softmax", x), set))
  const result = div(unnormalized, sum(unnormalized, { axis: set.axis, where: set.where, keepdims: true }))
  return set.where === undefined ? result : where(set.where, result, 0)
}

/**
 * log(softmax(x)), without overflow.
 *
 * @category normalization
 * @since 0.1.0
 */
export const logSoftmax = (x: TensorLike, options?: SoftmaxOptions | Axes): Tensor => {
  const set = settings(options)
  const low = shifted(inexact("logSoftmax", x), set)
  const result = sub(low, log(sum(exp(low), { axis: set.axis, where: set.where, keepdims: true })))
  return set.where === undefined ? result : where(set.where, result, -Infinity)
}

/**
 * log of the mean of exp(x) over axes (all by default), without overflow.
 *
 * @category normalization
 * @since 0.1.0
 */
export const logmeanexp = (x: Tensor, options: ReduceOptions<Tensor> = {}): Tensor => {
  const total = logsumexp(x, options)
  const ones = lax.broadcastTo(lift(true), x.shape)
  const taking = options.where === undefined ? ones : where(options.where, ones, false)
  const n = countNonzero(taking, { axis: options.axis, keepdims: options.keepdims })
  return sub(total, log(lax.convertElementType(n, total.dtype)))
}

/** Options of `standardize`. */
export interface StandardizeOptions {
  /** The axes that are normalized over: the last by default. */
  readonly axis?: Axes | undefined
  /** Used in place of the array's own mean. */
  readonly mean?: TensorLike | undefined
  /** Used in place of the array's own variance. */
  readonly variance?: TensorLike | undefined
  /** Added to the variance, 1e-5 by default. */
  readonly epsilon?: TensorLike | undefined
  /** bool: which elements count for mean and variance. */
  readonly where?: TensorLike | undefined
}

/**
 * (x - mean) / √(variance + ε) along axes. The variance is mean(x²) - mean(x)², at least 0.
 *
 * @category normalization
 * @since 0.1.0
 */
export const standardize = (x: Tensor, options: StandardizeOptions = {}): Tensor => {
  const { axis = -1, epsilon = 1e-5 } = options
  const average = (y: Tensor) => mean(y, { axis, where: options.where, keepdims: true })
  const center = options.mean ?? average(x)
  const variance = options.variance ?? clip(sub(average(square(x)), square(center)), 0, null)
  return mul(sub(x, center), lax.rsqrt(inexact("standardize", add(variance, epsilon))))
}

/** Options of `oneHot`. */
export interface OneHotOptions {
  /** The element type, float32 by default. */
  readonly dtype?: DType.DType | undefined
  /** Where the new axis goes: last by default. */
  readonly axis?: number | undefined
}

/**
 * A new axis of size `numClasses` with 1 at position x and 0 elsewhere; all 0 where x is out of range.
 *
 * Fails with a `DTypeError` when x is not of an integer dtype.
 *
 * @category encoding
 * @since 0.1.0
 */
export const oneHot = (x: TensorLike, numClasses: number, options: OneHotOptions = {}): Tensor => {
  const classes = lift(x)
  if (!DType.isInteger(classes.dtype)) {
    throw new DTypeError({
      operation: "oneHot",
      expected: "class numbers of an integer dtype",
      found: ShapedArray.format(classes.aval),
      hint: "convert with astype"
    })
  }
  const axis = Shape.axis("oneHot", options.axis ?? -1, classes.ndim + 1)
  const shape = [...classes.shape.slice(0, axis), numClasses, ...classes.shape.slice(axis)]
  const places = Shape.range(classes.ndim).map((i) => i < axis ? i : i + 1)
  const wide = lax.broadcastInDim(lax.convertElementType(classes, "int32"), shape, places)
  const hot = lax.eq(wide, lax.iota("int32", Shape.check("oneHot", shape), axis))
  return lax.convertElementType(hot, options.dtype ?? "float32")
}
