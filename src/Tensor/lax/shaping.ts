/**
 * Primitives that move elements without computing: broadcasting, reshaping, permuting, slicing with static bounds,
 * joining, padding, reversing, counting.
 */
import type * as DType from "../DType.ts"
import { DTypeError, ShapeError } from "../errors.ts"
import * as Shape from "../Shape.ts"
import * as ShapedArray from "../ShapedArray.ts"
import { bind, type Tensor } from "../Tensor.ts"

/** Padding of one axis: elements before, after, and between every two. Negative `low` and `high` crop. */
export type PaddingConfig = readonly [low: number, high: number, interior: number]

/** Parameters of the shape primitives, by `jax.lax` name. */
export interface Params {
  /** Axis i of the operand becomes axis `broadcast_dimensions[i]` of the result; size 1 stretches. */
  readonly broadcast_in_dim: {
    readonly shape: Shape.Shape
    readonly broadcast_dimensions: ReadonlyArray<number>
  }
  readonly reshape: { readonly new_sizes: Shape.Shape }
  readonly squeeze: { readonly dimensions: ReadonlyArray<number> }
  readonly transpose: { readonly permutation: ReadonlyArray<number> }
  readonly slice: {
    readonly start_indices: ReadonlyArray<number>
    readonly limit_indices: ReadonlyArray<number>
    readonly strides: ReadonlyArray<number>
  }
  readonly concatenate: { readonly dimension: number }
  readonly pad: { readonly padding_config: ReadonlyArray<PaddingConfig> }
  readonly rev: { readonly dimensions: ReadonlyArray<number> }
  readonly iota: { readonly dtype: DType.DType; readonly shape: Shape.Shape; readonly dimension: number }
}

const fail = (operation: string, expected: string, found: string, hint: string): never => {
  throw new ShapeError({ operation, expected, found, hint })
}

/** The operand with its axes placed at `dimensions` of `shape`, repeated along the others. */
export const broadcastInDim = (x: Tensor, shape: Shape.Shape, dimensions: ReadonlyArray<number>): Tensor => {
  const ok = dimensions.length === x.ndim &&
    dimensions.every((d, i) =>
      d >= 0 && d < shape.length && (i === 0 || d > dimensions[i - 1]) && (x.shape[i] === 1 || x.shape[i] === shape[d])
    )
  if (!ok) {
    fail(
      "broadcast_in_dim",
      `increasing axes of ${Shape.format(shape)} with matching sizes`,
      `${ShapedArray.format(x.aval)} at axes ${Shape.format(dimensions)}`,
      "sizes must be equal or 1"
    )
  }
  if (Shape.equals(x.shape, shape)) return x
  return bind("broadcast_in_dim", { shape: Shape.check("broadcast_in_dim", shape), broadcast_dimensions: dimensions }, [
    x
  ], [ShapedArray.withShape(x.aval, shape)])[0]
}

/** The operand repeated to `shape` by NumPy's rule: aligned at the last axis. */
export const broadcastTo = (x: Tensor, shape: Shape.Shape): Tensor =>
  x.ndim > shape.length
    ? fail("broadcastTo", `at most rank ${shape.length}`, ShapedArray.format(x.aval), "the result has fewer axes")
    : broadcastInDim(x, shape, Shape.range(x.ndim).map((i) => i + shape.length - x.ndim))

/** The same elements, row-major, in another shape of the same size. */
export const reshape = (x: Tensor, shape: Shape.Shape): Tensor => {
  if (Shape.size(Shape.check("reshape", shape)) !== x.size) {
    fail(
      "reshape",
      `a shape of ${x.size} elements`,
      `${ShapedArray.format(x.aval)} to ${Shape.format(shape)}`,
      "sizes must multiply to the same number"
    )
  }
  if (Shape.equals(x.shape, shape)) return x
  return bind("reshape", { new_sizes: shape }, [x], [ShapedArray.withShape(x.aval, shape)])[0]
}

/** The operand without the named axes, which have size 1. */
export const squeeze = (x: Tensor, dimensions: ReadonlyArray<number>): Tensor => {
  const at = Shape.axes("squeeze", dimensions, x.ndim)
  if (!at.every((a) => x.shape[a] === 1)) {
    fail("squeeze", "axes of size 1", `axes ${Shape.format(at)} of ${ShapedArray.format(x.aval)}`, "use reshape or sum")
  }
  if (at.length === 0) return x
  return bind("squeeze", { dimensions: at }, [x], [ShapedArray.withShape(x.aval, Shape.without(x.shape, at))])[0]
}

/** The operand with axis `permutation[i]` as its axis i. */
export const transpose = (x: Tensor, permutation: ReadonlyArray<number>): Tensor => {
  const p = permutation.map((a) => Shape.axis("transpose", a, x.ndim))
  if (p.length !== x.ndim || new Set(p).size !== p.length) {
    fail("transpose", `a permutation of ${x.ndim} axes`, Shape.format(permutation), "name every axis once")
  }
  if (p.every((a, i) => a === i)) return x
  return bind("transpose", { permutation: p }, [x], [ShapedArray.withShape(x.aval, p.map((a) => x.shape[a]))])[0]
}

/** Elements from `start` (inclusive) to `limit` (exclusive) along every axis, `strides` apart. */
export const slice = (
  x: Tensor,
  start: ReadonlyArray<number>,
  limit: ReadonlyArray<number>,
  strides: ReadonlyArray<number> = x.shape.map(() => 1)
): Tensor => {
  const ok = [start, limit, strides].every((v) => v.length === x.ndim) &&
    x.shape.every((d, i) => start[i] >= 0 && start[i] <= limit[i] && limit[i] <= d && strides[i] >= 1)
  if (!ok) {
    fail(
      "slice",
      `0 ≤ start ≤ limit ≤ size and strides of at least 1, for ${ShapedArray.format(x.aval)}`,
      `start ${Shape.format(start)}, limit ${Shape.format(limit)}, strides ${Shape.format(strides)}`,
      "x.at(...) takes negative bounds and steps"
    )
  }
  const shape = x.shape.map((_, i) => Math.ceil((limit[i] - start[i]) / strides[i]))
  if (Shape.equals(shape, x.shape)) return x
  return bind("slice", { start_indices: start, limit_indices: limit, strides }, [x], [
    ShapedArray.withShape(x.aval, shape)
  ])[0]
}

/** The operands joined along an axis; they agree in dtype and in all other sizes. */
export const concatenate = (xs: ReadonlyArray<Tensor>, dimension: number): Tensor => {
  if (xs.length === 0) fail("concatenate", "at least one operand", "none", "pass an array of Tensors")
  const at = Shape.axis("concatenate", dimension, xs[0].ndim)
  const rest = (x: Tensor) => Shape.without(x.shape, [at])
  if (!xs.every((x) => x.ndim === xs[0].ndim && Shape.equals(rest(x), rest(xs[0])))) {
    fail(
      "concatenate",
      `equal sizes but along axis ${at}`,
      xs.map((x) => ShapedArray.format(x.aval)).join(", "),
      "pad or reshape first"
    )
  }
  if (!xs.every((x) => x.dtype === xs[0].dtype)) {
    throw new DTypeError({
      operation: "concatenate",
      expected: "operands of one dtype",
      found: xs.map((x) => ShapedArray.format(x.aval)).join(", "),
      hint: "convert with astype"
    })
  }
  if (xs.length === 1) return xs[0]
  const total = xs.reduce((n, x) => n + x.shape[at], 0)
  return bind("concatenate", { dimension: at }, xs, [
    ShapedArray.make(xs[0].shape.map((d, i) => i === at ? total : d), xs[0].dtype, xs.every((x) => x.weakType))
  ])[0]
}

/** The operand with `value` (a scalar of its dtype) before, after and between its elements. */
export const pad = (x: Tensor, value: Tensor, config: ReadonlyArray<PaddingConfig>): Tensor => {
  if (config.length !== x.ndim || value.ndim !== 0 || value.dtype !== x.dtype || config.some((c) => c[2] < 0)) {
    fail(
      "pad",
      `a scalar ${x.dtype} and ${x.ndim} triples [low, high, interior ≥ 0]`,
      `${ShapedArray.format(value.aval)} and ${JSON.stringify(config)}`,
      "one triple an axis"
    )
  }
  const shape = x.shape.map((d, i) => d + Math.max(0, d - 1) * config[i][2] + config[i][0] + config[i][1])
  if (shape.some((d) => d < 0)) {
    fail(
      "pad",
      "crops no larger than the axis",
      `${ShapedArray.format(x.aval)} and ${JSON.stringify(config)}`,
      "negative padding crops"
    )
  }
  if (config.every(([low, high, interior]) => low === 0 && high === 0 && interior === 0)) return x
  return bind("pad", { padding_config: config }, [x, value], [ShapedArray.withShape(x.aval, shape)])[0]
}

/** The operand with the order along the named axes reversed. */
export const rev = (x: Tensor, dimensions: ReadonlyArray<number>): Tensor => {
  const at = Shape.axes("rev", dimensions, x.ndim)
  return at.length === 0 ? x : bind("rev", { dimensions: at }, [x], [x.aval])[0]
}

/** 0, 1, 2, … along `dimension`, constant along the others. */
export const iota = (dtype: DType.DType, shape: Shape.Shape, dimension: number): Tensor => {
  if (dtype === "bool") {
    throw new DTypeError({
      operation: "iota",
      expected: "a numeric dtype",
      found: dtype,
      hint: "compare an iota instead"
    })
  }
  const at = Shape.axis("iota", dimension, Shape.check("iota", shape).length)
  return bind("iota", { dtype, shape, dimension: at }, [], [ShapedArray.make(shape, dtype)])[0]
}
