/**
 * Sorting several arrays by the first of them, and the k largest elements.
 */
import { ShapeError } from "../errors.ts"
import * as Shape from "../Shape.ts"
import * as ShapedArray from "../ShapedArray.ts"
import { bind, type Tensor } from "../Tensor.ts"

/** Parameters of the sorting primitives, by `jax.lax` name. */
export interface Params {
  /** Sorts all operands along `dimension` by the first `num_keys` of them, ascending; nan last; -0 and 0 are equal. */
  readonly sort: { readonly dimension: number; readonly is_stable: boolean; readonly num_keys: number }
  /** Values and int32 indices of the k largest along the last axis, descending, the lower index first among equals. */
  readonly top_k: { readonly k: number }
}

/**
 * The operands, all of one shape, ordered along an axis by the first `numKeys` of them. Ascending, stable, nan last.
 */
export const sort = (xs: ReadonlyArray<Tensor>, dimension = -1, numKeys = 1): ReadonlyArray<Tensor> => {
  if (xs.length === 0 || !xs.every((x) => Shape.equals(x.shape, xs[0].shape)) || numKeys < 1 || numKeys > xs.length) {
    throw new ShapeError({
      operation: "sort",
      expected: "operands of one shape and between 1 and as many keys",
      found: `${xs.map((x) => ShapedArray.format(x.aval)).join(", ")}; ${numKeys} keys`,
      hint: "broadcast first"
    })
  }
  const at = Shape.axis("sort", dimension, xs[0].ndim)
  return bind("sort", { dimension: at, is_stable: true, num_keys: numKeys }, xs, xs.map((x) => x.aval))
}

/** Values and int32 indices of the `k` largest elements along the last axis. */
export const topK = (x: Tensor, k: number): readonly [values: Tensor, indices: Tensor] => {
  if (x.ndim === 0 || !Number.isInteger(k) || k < 0 || k > x.shape[x.ndim - 1]) {
    throw new ShapeError({
      operation: "top_k",
      expected: x.ndim === 0 ? "an array with at least one axis" : `0 ≤ k ≤ ${x.shape[x.ndim - 1]}`,
      found: `k = ${k} of ${ShapedArray.format(x.aval)}`,
      hint: "k counts along the last axis"
    })
  }
  const shape = [...x.shape.slice(0, -1), k]
  const [values, indices] = bind("top_k", { k }, [x], [
    ShapedArray.withShape(x.aval, shape),
    ShapedArray.make(shape, "int32")
  ])
  return [values, indices]
}
