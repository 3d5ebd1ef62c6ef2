/**
 * Integers in a range, orders, and choices. Methods are those of `jax/_src/random/core.py`.
 */
import * as DType from "../DType.ts"
import { DTypeError, ShapeError } from "../errors.ts"
import * as lax from "../lax/index.ts"
import { take } from "../numpy/indexing.ts"
import * as Shape from "../Shape.ts"
import * as ShapedArray from "../ShapedArray.ts"
import { lift, type Tensor, type TensorLike } from "../Tensor.ts"
import { gumbel, type SampleMode } from "./discrete.ts"
import { bits, constant, split } from "./key.ts"
import { sampleShape, uniform } from "./uniform.ts"

const like = (x: Tensor, value: number): Tensor => constant(value, x.dtype, x.shape)

const keyAt = (keys: Tensor, i: number): Tensor => lax.squeeze(lax.slice(keys, [i, 0], [i + 1, 2]), [0])

/** A bound of `randint` in the dtype that is drawn, and where an upper bound is one above it. */
interface Bound {
  readonly value: Tensor
  readonly above: Tensor | null
}

const numberBound = (operation: string, value: number, dtype: DType.DType): Bound => {
  if (Number.isNaN(value)) {
    throw new DTypeError({ operation, expected: "integer bounds", found: `${value}`, hint: "check the range" })
  }
  const { max, min } = DType.iinfo(dtype)
  const whole = Math.trunc(value)
  return {
    value: constant(Math.min(Math.max(whole, min), max), dtype, []),
    above: whole > max ? constant(1, "bool", []) : null
  }
}

/** JAX's `_convert_and_clip_integer`, and whether there was something to clip at the upper end. */
const bound = (operation: string, x: TensorLike, dtype: DType.DType): Bound => {
  if (typeof x !== "object") return numberBound(operation, Number(x), dtype)
  const integer = DType.isInteger(x.dtype) ? x : lax.convertElementType(x, "int32")
  const [own, target] = [DType.iinfo(integer.dtype), DType.iinfo(dtype)]
  const low = lax.max(integer, like(integer, Math.max(own.min, target.min)))
  const clipped = lax.min(low, like(integer, Math.min(own.max, target.max)))
  return {
    value: lax.convertElementType(clipped, dtype),
    above: own.max > target.max ? lax.gt(integer, like(integer, target.max)) : null
  }
}

/** A 64-bit random number, of words hi and lo, mod span: ((hi mod s) · (2³² mod s) + lo mod s) mod s. */
const drawBelow = (key: Tensor, shape: Shape.Shape, span: Tensor): Tensor => {
  const keys = split(key)
  const half = lax.rem(like(span, 65536), span)
  const multiplier = lax.broadcastTo(lax.rem(lax.mul(half, half), span), shape)
  const s = lax.broadcastTo(span, shape)
  const [higher, lower] = [0, 1].map((i) => lax.rem(bits(keyAt(keys, i), shape), s))
  return lax.rem(lax.add(lax.mul(higher, multiplier), lower), s)
}

const randint32 = (key: Tensor, shape: Shape.Shape, minval: Bound, maxval: Bound): Tensor => {
  const bounds = Shape.broadcast("random.randint", minval.value.shape, maxval.value.shape)
  const low = lax.broadcastTo(minval.value, bounds)
  const high = lax.broadcastTo(maxval.value, bounds)
  const difference = lax.convertElementType(lax.sub(high, low), "uint32")
  const span = lax.selectN(lax.le(high, low), difference, like(difference, 1))
  // An upper bound of 2³² with lower bound 0 wraps the span to 0, and x rem 0 is x: all values are drawn.
  const grown = maxval.above === null ? span : lax.selectN(
    lax.and(lax.broadcastTo(maxval.above, bounds), lax.gt(high, low)),
    span,
    lax.add(span, like(span, 1))
  )
  const offset = drawBelow(key, shape, grown)
  return lax.add(lax.broadcastTo(low, shape), lax.convertElementType(offset, low.dtype))
}

/**
 * Integers in [minval, maxval), equally likely up to a bias of about range² / 2⁶⁴; minval where the range is empty:
 * `jax.random.randint`. A number `maxval` may be one above the largest of the dtype.
 *
 * Fails with a `DTypeError` for a dtype that is not an integer one, and a `ShapeError` when bounds do not broadcast to
 * `shape`.
 *
 * @category samplers
 * @since 0.1.0
 */
export const randint = (
  key: Tensor,
  shape: Shape.Shape,
  minval: TensorLike,
  maxval: TensorLike,
  dtype: DType.DType = "int32"
): Tensor => {
  const operation = "random.randint"
  if (!DType.isInteger(dtype)) {
    throw new DTypeError({ operation, expected: "an integer dtype", found: dtype, hint: "use uniform for floats" })
  }
  const drawn = DType.bits(dtype) < 32 ? "int32" : dtype
  const shapeOf = (x: TensorLike) => lift(x).shape
  const out = sampleShape(operation, shape, shapeOf(minval), shapeOf(maxval))
  const clip = (x: Bound, most: number): Bound => {
    if (drawn === dtype) return x
    const { value } = x
    return { value: lax.min(lax.max(value, like(value, DType.iinfo(dtype).min)), like(value, most)), above: null }
  }
  const { max } = DType.iinfo(dtype)
  const low = clip(bound(operation, minval, drawn), max)
  const high = clip(bound(operation, maxval, drawn), max + 1)
  return lax.convertElementType(randint32(key, out, low, high), dtype)
}

/** Sorts by random 32-bit words, so often that ties in all rounds are as good as impossible. */
const shuffle = (key: Tensor, x: Tensor, axis: number): Tensor => {
  const rounds = Math.ceil(3 * Math.log(Math.max(1, x.size)) / Math.log(4294967295))
  let current = key
  let out = x
  for (let i = 0; i < rounds; i++) {
    const keys = split(current)
    current = keyAt(keys, 0)
    out = lax.sort([bits(keyAt(keys, 1), x.shape), out], axis, 1)[1]
  }
  return out
}

/** Options of `permutation`. */
export interface PermutationOptions {
  /** The axis that is permuted, 0 by default. */
  readonly axis?: number | undefined
  /** Permute each vector along the axis by itself, instead of all alike? */
  readonly independent?: boolean | undefined
}

const count = (operation: string, n: number): number => {
  if (!Number.isInteger(n) || n < 0 || n > 2147483647) {
    throw new DTypeError({
      operation,
      expected: "a number of things, or an array",
      found: `${n}`,
      hint: "pass a whole number"
    })
  }
  return n
}

/**
 * `0 … n-1` in random order, or an array with its entries along an axis in random order: `jax.random.permutation`.
 *
 * @category samplers
 * @since 0.1.0
 */
export const permutation = (key: Tensor, x: number | Tensor, options: PermutationOptions = {}): Tensor => {
  if (typeof x === "number") return shuffle(key, lax.iota("int32", [count("random.permutation", x)], 0), 0)
  const axis = Shape.axis("random.permutation", options.axis ?? 0, x.ndim)
  if (options.independent === true || x.ndim === 1) return shuffle(key, x, axis)
  return take(x, shuffle(key, lax.iota("int32", [x.shape[axis]], 0), 0), axis)
}

/** Options of `choice`. */
export interface ChoiceOptions {
  /** May an entry come twice? true by default. */
  readonly replace?: boolean | undefined
  /** The probability of each entry, a float array of one axis that sums to 1. Equal by default. */
  readonly p?: Tensor | undefined
  /** The axis to choose along, 0 by default. */
  readonly axis?: number | undefined
  /** For draws without replacement with probabilities. */
  readonly mode?: SampleMode | undefined
}

/** How many of the increasing `sorted` are below each x: `searchsorted` from the left, by comparing with all. */
const rank = (sorted: Tensor, x: Tensor): Tensor => {
  const shape = [...x.shape, sorted.size]
  const below = lax.lt(lax.broadcastTo(sorted, shape), lax.broadcastInDim(x, shape, Shape.range(x.ndim)))
  return lax.reduceSum(lax.convertElementType(below, "int32"), x.ndim)
}

const weightedIndices = (key: Tensor, p: Tensor, n: number, shape: Shape.Shape, options: ChoiceOptions): Tensor => {
  if (!Shape.equals(p.shape, [n])) {
    throw new ShapeError({
      operation: "random.choice",
      expected: `probabilities of shape [${n}]`,
      found: ShapedArray.format(p.aval),
      hint: "one probability an entry"
    })
  }
  const weights = DType.isFloat(p.dtype) ? p : lax.convertElementType(p, "float32")
  const { dtype } = weights
  if (options.replace === false) {
    const scores = lax.add(gumbel(key, [n], { dtype, mode: options.mode }), lax.log(weights))
    return lax.reshape(lax.topK(scores, Shape.size(shape))[1], shape)
  }
  const cumulative = lax.cumsum(weights, 0)
  const total = lax.broadcastInDim(lax.squeeze(lax.slice(cumulative, [n - 1], [n]), [0]), shape, [])
  return rank(cumulative, lax.mul(total, lax.sub(constant(1, dtype, shape), uniform(key, shape, { dtype }))))
}

/**
 * Entries of an array along an axis, or of `0 … n-1`, chosen at random: `jax.random.choice`. The result has `shape` in
 * place of the axis.
 *
 * Fails with a `ShapeError` when there is nothing to choose from, or not enough without replacement.
 *
 * @category samplers
 * @since 0.1.0
 */
export const choice = (
  key: Tensor,
  a: number | Tensor,
  shape: Shape.Shape = [],
  options: ChoiceOptions = {}
): Tensor => {
  const axis = typeof a === "number" ? 0 : Shape.axis("random.choice", options.axis ?? 0, a.ndim)
  const n = typeof a === "number" ? count("random.choice", a) : a.shape[axis]
  const draws = Shape.size(Shape.check("random.choice", shape))
  const { p, replace = true } = options
  if (draws > 0 && (n === 0 || (!replace && draws > n))) {
    throw new ShapeError({
      operation: "random.choice",
      expected: n === 0 ? "something to choose from" : `at most ${n} draws without replacement`,
      found: n === 0 ? "an empty population" : `${draws}`,
      hint: n === 0 ? "check the axis" : "draw with replacement"
    })
  }
  if (p === undefined && !replace) {
    const all = permutation(key, a, { axis })
    const limit = all.shape.map((d, i) => i === axis ? draws : d)
    return lax.reshape(lax.slice(all, limit.map(() => 0), limit), [
      ...limit.slice(0, axis),
      ...shape,
      ...limit.slice(axis + 1)
    ])
  }
  const indices = p === undefined ? randint(key, shape, 0, n) : weightedIndices(key, p, n, shape, options)
  return typeof a === "number" ? indices : take(a, indices, axis)
}
