/**
 * Distributions over truth values, counts and categories. Methods and constants are those of `jax/_src/random/core.py`.
 */
import * as DType from "../DType.ts"
import { ShapeError } from "../errors.ts"
import * as lax from "../lax/index.ts"
import * as Shape from "../Shape.ts"
import type { Tensor, TensorLike } from "../Tensor.ts"
import { constant } from "./key.ts"
import { checkFloat, type FloatOptions, parameter, sampleShape, uniform } from "./uniform.ts"

/**
 * How finely samplers made from logarithms and comparisons resolve small probabilities: `high` draws two numbers for
 * one.
 */
export type SampleMode = "low" | "high"

const like = (x: Tensor, value: number): Tensor => constant(value, x.dtype, x.shape)

/** The two halves of a draw along a new leading axis of size 2. */
const twice = (key: Tensor, shape: Shape.Shape, dtype: DType.DType): readonly [Tensor, Tensor] => {
  const both = uniform(key, [2, ...shape], { dtype })
  const at = (i: number) => lax.squeeze(lax.slice(both, [i, ...shape.map(() => 0)], [i + 1, ...shape]), [0])
  return [at(0), at(1)]
}

/**
 * true with probability `p` (½ by default), u < p: `jax.random.bernoulli`. A bool array, by default of p's shape.
 *
 * Fails with a `DTypeError` when `p` is an array of integers.
 *
 * @category samplers
 * @since 0.1.0
 */
export const bernoulli = (
  key: Tensor,
  p: number | Tensor = 0.5,
  shape?: Shape.Shape,
  options: { readonly mode?: SampleMode | undefined } = {}
): Tensor => {
  const dtype = checkFloat("random.bernoulli", typeof p === "number" ? "float32" : p.dtype)
  const probability = parameter(p, dtype)
  const out = sampleShape("random.bernoulli", shape, probability.shape)
  const limit = lax.broadcastTo(probability, out)
  if (options.mode !== "high") return lax.lt(uniform(key, out, { dtype }), limit)
  const [coarse, fine] = twice(key, out, dtype)
  return lax.lt(lax.mul(fine, like(fine, DType.finfo(dtype).eps)), lax.sub(limit, coarse))
}

/**
 * -1 or 1, equally likely: `jax.random.rademacher`. int32 by default.
 *
 * @category samplers
 * @since 0.1.0
 */
export const rademacher = (
  key: Tensor,
  shape: Shape.Shape = [],
  options: { readonly dtype?: DType.DType | undefined } = {}
): Tensor => {
  const coin = lax.convertElementType(bernoulli(key, 0.5, shape), options.dtype ?? "int32")
  return lax.sub(lax.mul(like(coin, 2), coin), like(coin, 1))
}

/** Options of samplers that are made from Gumbel numbers. */
export interface GumbelOptions extends FloatOptions {
  readonly mode?: SampleMode | undefined
}

/**
 * Gumbel distributed floats, -log(-log u): `jax.random.gumbel`.
 *
 * @category samplers
 * @since 0.1.0
 */
export const gumbel = (key: Tensor, shape: Shape.Shape = [], options: GumbelOptions = {}): Tensor => {
  const dtype = checkFloat("random.gumbel", options.dtype)
  const { eps, tiny } = DType.finfo(dtype)
  const negLog = (x: Tensor) => lax.neg(lax.log(x))
  if (options.mode !== "high") return negLog(negLog(uniform(key, shape, { dtype, minval: tiny, maxval: 1 })))
  const [high, low] = twice(key, shape, dtype)
  const least = Math.max(eps * eps / 2, tiny)
  const precise = lax.add(lax.add(high, lax.mul(like(low, eps), low)), like(low, least))
  const x = lax.selectN(lax.ge(high, like(high, 0.5)), precise, high)
  return negLog(lax.neg(lax.log1p(lax.neg(x))))
}

/**
 * The number of tries until the first success of probability `p`, ⌊log u / log(1 - p)⌋ + 1: `jax.random.geometric`.
 * int32 by default.
 *
 * @category samplers
 * @since 0.1.0
 */
export const geometric = (
  key: Tensor,
  p: TensorLike,
  shape?: Shape.Shape,
  options: { readonly dtype?: DType.DType | undefined } = {}
): Tensor => {
  const dtype = checkFloat("random.geometric", typeof p === "object" ? p.dtype : "float32")
  const probability = parameter(p, dtype)
  const out = sampleShape("random.geometric", shape, probability.shape)
  const drawn = uniform(key, out, { dtype })
  const u = lax.selectN(lax.eq(drawn, like(drawn, 0)), drawn, like(drawn, 1))
  const tries = lax.floor(lax.div(lax.log(u), lax.broadcastTo(lax.log1p(lax.neg(probability)), out)))
  return lax.convertElementType(lax.add(tries, like(tries, 1)), options.dtype ?? "int32")
}

/** Options of `categorical`. */
export interface CategoricalOptions {
  /** The axis of `logits` that runs over the categories: the last by default. */
  readonly axis?: number | undefined
  /** The shape of the result: sample axes, then the batch axes of `logits`, which are the default. */
  readonly shape?: Shape.Shape | undefined
  /** May a category come twice? false draws the sample axes without replacement. */
  readonly replace?: boolean | undefined
  readonly mode?: SampleMode | undefined
}

const withoutReplacement = (
  key: Tensor,
  logits: Tensor,
  axis: number,
  shape: Shape.Shape,
  mode: SampleMode
): Tensor => {
  const others = Shape.range(logits.ndim).filter((a) => a !== axis)
  const k = Shape.size(shape.slice(0, shape.length - others.length))
  if (k > logits.shape[axis]) {
    throw new ShapeError({
      operation: "random.categorical",
      expected: `at most ${logits.shape[axis]} samples, the number of categories`,
      found: `${k}`,
      hint: "draw with replacement"
    })
  }
  const scores = lax.add(logits, gumbel(key, logits.shape, { dtype: logits.dtype, mode }))
  const [, indices] = lax.topK(lax.transpose(scores, [...others, axis]), k)
  return lax.reshape(lax.transpose(indices, [indices.ndim - 1, ...Shape.range(indices.ndim - 1)]), shape)
}

/**
 * Indices of categories whose unnormalized log probabilities are `logits`, the argmax of logits plus Gumbel noise:
 * `jax.random.categorical`. int32.
 *
 * Fails with a `DTypeError` when the logits are not floats, and a `ShapeError` when `shape` does not end in their batch
 * axes.
 *
 * @category samplers
 * @since 0.1.0
 */
export const categorical = (key: Tensor, logits: Tensor, options: CategoricalOptions = {}): Tensor => {
  const dtype = checkFloat("random.categorical", logits.dtype)
  const { mode = "low" } = options
  const axis = Shape.axis("random.categorical", options.axis ?? -1, logits.ndim)
  const batch = Shape.without(logits.shape, [axis])
  const shape = sampleShape("random.categorical", options.shape, batch)
  if (options.replace === false) return withoutReplacement(key, logits, axis, shape, mode)
  const prefix = shape.slice(0, shape.length - batch.length)
  const own = shape.slice(prefix.length)
  const full = [...prefix, ...own.slice(0, axis), logits.shape[axis], ...own.slice(axis)]
  const noise = gumbel(key, full, { dtype, mode })
  return lax.argmax(lax.add(noise, lax.broadcastTo(logits, full)), axis + prefix.length)
}
