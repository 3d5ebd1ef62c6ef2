/**
 * Scaled dot-product attention (Vaswani et al., "Attention is all you need", 2017): softmax(q kᵀ / √d) v, for every
 * head.
 *
 * Queries are [batch…, T, heads, d], keys [batch…, S, heads, d] and values [batch…, S, heads, dv]. Keys and values may
 * have fewer heads than queries, by a whole factor: each is then shared by that many query heads (grouped queries).
 *
 * There are two formulas in Flax, which differ in roundings: `dotProductAttention` is that of `jax.nn`, which Flax runs
 * without dropout, and `dotProductAttentionWeights` is Flax's own, for use with dropout and where the weights are
 * wanted.
 */
import * as DType from "../DType.ts"
import { ShapeError } from "../errors.ts"
import * as lax from "../lax/index.ts"
import { einsum } from "../numpy/einsum.ts"
import { add, div, mul } from "../numpy/elementwise.ts"
import { logicalAnd, where } from "../numpy/logic.ts"
import { constant, promote, toBool } from "../numpy/promotion.ts"
import * as Shape from "../Shape.ts"
import * as ShapedArray from "../ShapedArray.ts"
import type { Tensor } from "../Tensor.ts"
import { softmax } from "./normalizing.ts"

/** Options of attention. */
export interface AttentionOptions {
  /** Added to the logits; broadcasts to [batch…, heads, T, S]. */
  readonly bias?: Tensor | undefined
  /** bool: which keys a query sees; broadcasts to [batch…, heads, T, S]. */
  readonly mask?: Tensor | undefined
  /** Let query t see keys 0 to t only. */
  readonly isCausal?: boolean | undefined
  /** What the logits are multiplied by: 1/√d by default. */
  readonly scale?: number | undefined
}

const fail = (expected: string, arrays: ReadonlyArray<Tensor>, hint: string): never => {
  throw new ShapeError({
    operation: "dotProductAttention",
    expected,
    found: arrays.map((x) => ShapedArray.format(x.aval)).join(", "),
    hint
  })
}

const check = (query: Tensor, key: Tensor, value: Tensor): void => {
  const arrays = [query, key, value]
  const same = (axis: number, ...xs: ReadonlyArray<Tensor>) =>
    xs.every((x) => x.shape.at(axis) === xs[0].shape.at(axis))
  const batch = (x: Tensor) => x.shape.slice(0, -3)
  if (query.ndim < 3 || arrays.some((x) => x.ndim !== query.ndim || !Shape.equals(batch(x), batch(query)))) {
    fail("query, key and value [batch…, length, heads, depth] with the same batch sizes", arrays, "split heads first")
  }
  if (!same(-1, query, key) || !same(-3, key, value) || !same(-2, key, value)) {
    fail("equal depths of query and key, and equal lengths and heads of key and value", arrays, "check the projections")
  }
  if (query.shape[query.ndim - 2] % key.shape[key.ndim - 2] !== 0) {
    fail("as many query heads as key heads, or a multiple", arrays, "grouped queries share whole heads")
  }
}

/** Every key or value head once for each query head that shares it. */
const shareHeads = (x: Tensor, heads: number): Tensor => {
  const own = x.shape[x.ndim - 2]
  if (own === heads) return x
  const [batch, depth] = [x.shape.slice(0, -2), x.shape[x.ndim - 1]]
  const shape = [...batch, own, heads / own, depth]
  const axes = Shape.range(shape.length).filter((i) => i !== shape.length - 2)
  return lax.reshape(lax.broadcastInDim(x, shape, axes), [...batch, heads, depth])
}

/** Row t of [T, S] is true up to column t. */
const causal = (length: number, keys: number): Tensor =>
  lax.ge(lax.iota("int32", [length, keys], 0), lax.iota("int32", [length, keys], 1))

/** The logits where they may be looked at, a large negative number elsewhere. */
const masked = (logits: Tensor, options: AttentionOptions, large: number): Tensor => {
  const masks = [
    ...options.mask === undefined ? [] : [toBool(options.mask)],
    ...options.isCausal === true ? [causal(logits.shape[logits.ndim - 2], logits.shape[logits.ndim - 1])] : []
  ]
  const [first, second] = masks
  if (first === undefined) return logits
  return where(second === undefined ? first : logicalAnd(first, second), logits, constant(large, logits.dtype))
}

/**
 * Attention weights, softmax(q kᵀ / √d): [batch…, heads, T, S], in the common dtype of query and key.
 * `flax.nnx.dot_product_attention_weights`.
 *
 * @category attention
 * @since 0.1.0
 */
export const dotProductAttentionWeights = (query: Tensor, key: Tensor, options: AttentionOptions = {}): Tensor => {
  check(query, key, key)
  const [q, k] = promote("dotProductAttentionWeights", query, key)
  const { dtype } = q
  const scaled = options.scale === undefined
    ? div(q, constant(Math.sqrt(q.shape[q.ndim - 1]), dtype))
    : mul(q, constant(options.scale, dtype))
  const logits = einsum("...qhd,...khd->...hqk", scaled, shareHeads(k, q.shape[q.ndim - 2]))
  const biased = options.bias === undefined ? logits : add(logits, options.bias)
  const weights = softmax(masked(biased, options, DType.finfo(dtype).min))
  return lax.convertElementType(weights, dtype)
}

/**
 * Attention, softmax(q kᵀ / √d) v: [batch…, T, heads, dv]. `jax.nn.dot_product_attention`: logits and softmax are
 * computed in float32, the weights rounded to the common dtype of the operands, which is the result's.
 *
 * Fails with a `ShapeError` when the operands do not fit together.
 *
 * ```ts import.meta.vitest
 * import { Tensor } from "linum"
 *
 * const x = Tensor.zeros([2, 7, 4, 16]) // batch, length, heads, depth
 * console.log(Tensor.nn.dotProductAttention(x, x, x, { isCausal: true }).shape) // => [ 2, 7, 4, 16 ]
 * ```
 *
 * @category attention
 * @since 0.1.0
 */
export const dotProductAttention = (
  query: Tensor,
  key: Tensor,
  value: Tensor,
  options: AttentionOptions = {}
): Tensor => {
  check(query, key, value)
  const [q, k, v] = promote("dotProductAttention", query, key, value)
  const heads = q.shape[q.ndim - 2]
  const logits = einsum("...qhd,...khd->...hqk", q, shareHeads(k, heads), { preferredElementType: "float32" })
  const scaled = mul(logits, constant(options.scale ?? 1 / Math.sqrt(q.shape[q.ndim - 1]), "float32"))
  const biased = options.bias === undefined ? scaled : lax.convertElementType(add(scaled, options.bias), "float32")
  const weights = softmax(masked(biased, options, -0.7 * DType.finfo("float32").max))
  return einsum("...hqk,...khd->...qhd", lax.convertElementType(weights, k.dtype), shareHeads(v, heads))
}
