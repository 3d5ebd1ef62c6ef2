/**
 * Attention as layers use it: with dropout of its weights, and the masks that go with it.
 *
 * Without dropout the formula is that of `jax.nn.dot_product_attention`; with it, Flax's own, which computes in the
 * operands' dtype. They differ in roundings only.
 */
import type { DType } from "../Tensor/DType.ts"
import { ShapeError, TraceError } from "../Tensor/errors.ts"
import * as lax from "../Tensor/lax/index.ts"
import {
  type AttentionOptions as PlainOptions,
  dotProductAttention as plain,
  dotProductAttentionWeights as plainWeights
} from "../Tensor/nn/attention.ts"
import { einsum } from "../Tensor/numpy/einsum.ts"
import { div, mul } from "../Tensor/numpy/elementwise.ts"
import { greaterEqual, logicalAnd } from "../Tensor/numpy/logic.ts"
import { expandDims, repeat } from "../Tensor/numpy/shaping.ts"
import { bernoulli } from "../Tensor/random/index.ts"
import * as Shape from "../Tensor/Shape.ts"
import { literal, type Tensor, type TensorLike } from "../Tensor/Tensor.ts"
import { promoteDType } from "./support.ts"

/** Options of attention with dropout. */
export interface AttentionOptions extends PlainOptions {
  /** Which part of the weights is dropped; 0 by default. */
  readonly dropoutRate?: number | undefined
  /** The key that dropout draws with. */
  readonly dropoutRng?: Tensor | undefined
  /** Drop the same weights for all examples and heads; true by default. */
  readonly broadcastDropout?: boolean | undefined
  /** Drop nothing; false by default. */
  readonly deterministic?: boolean | undefined
  /** Compute in this dtype; by default in what the operands promote to. */
  readonly dtype?: DType | undefined
}

/** What attends: from query, key and value [batch…, length, heads, depth] to [batch…, length, heads, depth]. */
export type AttentionFn = (query: Tensor, key: Tensor, value: Tensor, options: AttentionOptions) => Tensor

const dropped = (weights: Tensor, options: AttentionOptions): Tensor => {
  const { broadcastDropout = true, dropoutRate = 0, dropoutRng } = options
  if (dropoutRate === 0 || options.deterministic === true) return weights
  if (dropoutRng === undefined) {
    throw new TraceError({
      transform: "dotProductAttention",
      reason: "dropout needs a key",
      hint: "pass dropoutRng, or deterministic: true"
    })
  }
  const { ndim, shape } = weights
  const drawn = broadcastDropout ? shape.map((size, i) => i < ndim - 2 ? 1 : size) : shape
  const keep = lax.convertElementType(bernoulli(dropoutRng, 1 - dropoutRate, drawn), weights.dtype)
  return mul(weights, div(keep, 1 - dropoutRate))
}

/**
 * Attention weights, softmax(q kᵀ / √d) with dropout: [batch…, heads, T, S]. `flax.nnx.dot_product_attention_weights`.
 *
 * @category attention
 * @since 0.1.0
 */
export const dotProductAttentionWeights = (query: Tensor, key: Tensor, options: AttentionOptions = {}): Tensor => {
  const [q, k] = promoteDType("dotProductAttentionWeights", options.dtype, [query, key])
  return dropped(plainWeights(q, k, options), options)
}

/**
 * Attention, softmax(q kᵀ / √d) v with dropout of the weights: [batch…, T, heads, depth].
 * `flax.nnx.dot_product_attention`.
 *
 * Fails with a `ShapeError` when the operands do not fit together, and a `TraceError` for dropout without a key.
 *
 * @category attention
 * @since 0.1.0
 */
export const dotProductAttention: AttentionFn = (query, key, value, options) => {
  const [q, k, v] = promoteDType("dotProductAttention", options.dtype, [query, key, value])
  if ((options.dropoutRate ?? 0) === 0) return plain(q, k, v, options)
  const weights = dotProductAttentionWeights(q, k, options)
  const shared = q.shape[q.ndim - 2] / v.shape[v.ndim - 2]
  return einsum("...hqk,...khd->...qhd", weights, shared === 1 ? v : repeat(v, shared, { axis: -2 }))
}

/** Options of masks. */
export interface MaskOptions {
  /** Axes of size 1 that are put in front; 0 by default. */
  readonly extraBatchDims?: number | undefined
  /** The dtype of the mask, float32 by default. */
  readonly dtype?: DType | undefined
}

/** Options of `makeAttentionMask`. */
export interface AttentionMaskOptions extends MaskOptions {
  /** What a pair of a query's and a key's element gives; their product by default. */
  readonly pairwiseFn?: ((query: Tensor, key: Tensor) => Tensor) | undefined
}

/**
 * A mask from what holds for every query [batch…, T] and every key [batch…, S], such as "this is no padding":
 * [batch…, 1, T, S]. `flax.nnx.make_attention_mask`.
 *
 * @category masks
 * @since 0.1.0
 */
export const makeAttentionMask = (query: Tensor, key: Tensor, options: AttentionMaskOptions = {}): Tensor => {
  const { dtype = "float32", extraBatchDims = 0, pairwiseFn = mul } = options
  const pairs = pairwiseFn(expandDims(query, -1), expandDims(key, -2))
  const mask = expandDims(expandDims(pairs, -3), Shape.range(extraBatchDims))
  return lax.convertElementType(mask, dtype)
}

/**
 * The mask that lets every position see itself and those before it: [batch…, 1, T, T] for an array [batch…, T].
 * `flax.nnx.make_causal_mask`.
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 * import * as Cpu from "linum/backend/tfjs-cpu"
 *
 * const mask = nnx.makeCausalMask(nnx.Tensor.ones([3]))
 * console.log(await Effect.runPromise(nnx.Tensor.toNested(mask).pipe(Effect.provide(Cpu.layer))))
 * // => [ [ [ 1, 0, 0 ], [ 1, 1, 0 ], [ 1, 1, 1 ] ] ]
 * ```
 *
 * @category masks
 * @since 0.1.0
 */
export const makeCausalMask = (x: Tensor, options: MaskOptions = {}): Tensor => {
  if (x.ndim === 0) {
    throw new ShapeError({
      operation: "makeCausalMask",
      expected: "an array [batch…, length]",
      found: "a scalar",
      hint: "only the shape counts: use ones([length])"
    })
  }
  const positions = lax.iota("int32", x.shape, x.ndim - 1)
  const pairwiseFn = (a: TensorLike, b: TensorLike) => greaterEqual(a, b)
  return makeAttentionMask(positions, positions, { ...options, pairwiseFn })
}

/**
 * The mask that lets through what all masks let through; undefined ones count for nothing, and none at all give
 * undefined. `flax.nnx.combine_masks`.
 *
 * Fails with a `ShapeError` for masks of different ranks.
 *
 * @category masks
 * @since 0.1.0
 */
export const combineMasks = (
  masks: ReadonlyArray<Tensor | undefined>,
  options: Pick<MaskOptions, "dtype"> = {}
): Tensor | undefined => {
  const given = masks.filter((mask) => mask !== undefined)
  if (given.length === 0) return undefined
  if (given.some((mask) => mask.ndim !== given[0].ndim)) {
    throw new ShapeError({
      operation: "combineMasks",
      expected: "masks of one rank",
      found: given.map((mask) => Shape.format(mask.shape)).join(", "),
      hint: "add axes of size 1"
    })
  }
  const all = given.reduce((a, b) => logicalAnd(a, b))
  return lax.convertElementType(all, options.dtype ?? "float32")
}

/** For a single query at `index` among `length` cached keys: those up to it. bool, [batch…, 1, 1, length]. */
export const cachedMask = (index: Tensor, length: number, batch: Shape.Shape): Tensor => {
  const positions = lax.iota("int32", [...batch, 1, 1, length], batch.length + 2)
  return lax.le(positions, lax.broadcastTo(index, positions.shape))
}

/** A scalar int32. */
export const int = (value: number): Tensor => literal(value, "int32")
