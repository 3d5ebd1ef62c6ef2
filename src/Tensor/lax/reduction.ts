/**
 * Primitives that combine elements along axes: reductions, arg-reductions, and running (cumulative) ones.
 */
import * as DType from "../DType.ts"
import { DTypeError, ShapeError } from "../errors.ts"
import * as Shape from "../Shape.ts"
import * as ShapedArray from "../ShapedArray.ts"
import { bind, type Tensor } from "../Tensor.ts"

/** Reduced axes, canonical and increasing. */
export interface Axes {
  readonly axes: ReadonlyArray<number>
}

/** A running reduction along one axis, from its end when `reverse`. */
export interface Cumulative {
  readonly axis: number
  readonly reverse: boolean
}

/** Parameters of the reductions, by `jax.lax` name. */
export interface Params {
  readonly reduce_sum: Axes
  readonly reduce_prod: Axes
  readonly reduce_max: Axes
  readonly reduce_min: Axes
  readonly reduce_and: Axes
  readonly reduce_or: Axes
  /** The index of the first largest element (nan counts as largest), along one axis. */
  readonly argmax: Axes & { readonly index_dtype: DType.DType }
  readonly argmin: Axes & { readonly index_dtype: DType.DType }
  readonly cumsum: Cumulative
  readonly cumprod: Cumulative
  readonly cummax: Cumulative
  readonly cummin: Cumulative
  readonly cumlogsumexp: Cumulative
}

const reduce =
  (primitive: keyof Params, accepts: "number" | "any" | "bits") =>
  (x: Tensor, axes?: number | ReadonlyArray<number> | null): Tensor => {
    if ((accepts === "number" && x.dtype === "bool") || (accepts === "bits" && DType.isFloat(x.dtype))) {
      throw new DTypeError({
        operation: primitive,
        expected: accepts === "number" ? "a numeric dtype, not bool" : "an integer dtype or bool",
        found: ShapedArray.format(x.aval),
        hint: "convert with astype, or use the numpy function of this name"
      })
    }
    const at = Shape.axes(primitive, axes, x.ndim)
    if (at.length === 0) return x
    return bind(primitive, { axes: at }, [x], [ShapedArray.withShape(x.aval, Shape.without(x.shape, at))])[0]
  }

/** The sum over `axes` (all when left out). Zero over no elements. */
export const reduceSum = reduce("reduce_sum", "number")
/** The product over `axes`. One over no elements. */
export const reduceProd = reduce("reduce_prod", "number")
/** The largest over `axes`; nan if any is. The lowest value over no elements. */
export const reduceMax = reduce("reduce_max", "any")
/** The smallest over `axes`; nan if any is. The highest value over no elements. */
export const reduceMin = reduce("reduce_min", "any")
/** Bitwise (bool: logical) and over `axes`. */
export const reduceAnd = reduce("reduce_and", "bits")
/** Bitwise (bool: logical) or over `axes`. */
export const reduceOr = reduce("reduce_or", "bits")

const arg =
  (primitive: "argmax" | "argmin") => (x: Tensor, axis: number, indexDType: DType.DType = "int32"): Tensor => {
    const at = Shape.axis(primitive, axis, x.ndim)
    if (x.shape[at] === 0) {
      throw new ShapeError({
        operation: primitive,
        expected: "an axis that is not empty",
        found: `axis ${at} of ${ShapedArray.format(x.aval)}`,
        hint: "no element, no index"
      })
    }
    return bind(primitive, { axes: [at], index_dtype: indexDType }, [x], [
      ShapedArray.make(Shape.without(x.shape, [at]), indexDType)
    ])[0]
  }

/** The index of the first largest element along an axis; the first nan if there is one. */
export const argmax = arg("argmax")
/** The index of the first smallest element along an axis; the first nan if there is one. */
export const argmin = arg("argmin")

const cumulative =
  (primitive: "cumsum" | "cumprod" | "cummax" | "cummin" | "cumlogsumexp") =>
  (x: Tensor, axis: number, reverse = false): Tensor => {
    if (x.dtype === "bool" || (primitive === "cumlogsumexp" && !DType.isFloat(x.dtype))) {
      throw new DTypeError({
        operation: primitive,
        expected: primitive === "cumlogsumexp" ? "a floating dtype" : "a numeric dtype",
        found: ShapedArray.format(x.aval),
        hint: "convert with astype"
      })
    }
    return bind(primitive, { axis: Shape.axis(primitive, axis, x.ndim), reverse }, [x], [x.aval])[0]
  }

/** Running sums along an axis. */
export const cumsum = cumulative("cumsum")
/** Running products along an axis. */
export const cumprod = cumulative("cumprod")
/** Running maxima along an axis. */
export const cummax = cumulative("cummax")
/** Running minima along an axis. */
export const cummin = cumulative("cummin")
/** Running log of sums of exponentials along an axis. */
export const cumlogsumexp = cumulative("cumlogsumexp")
