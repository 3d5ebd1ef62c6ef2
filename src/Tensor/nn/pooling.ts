/**
 * Pooling: reductions over sliding windows, with Flax's formulas. Inputs are [batch…, spatial…, features].
 */
import { ShapeError } from "../errors.ts"
import { dilated } from "../lax/convolution.ts"
import * as lax from "../lax/index.ts"
import { div } from "../numpy/elementwise.ts"
import { constant } from "../numpy/promotion.ts"
import * as Shape from "../Shape.ts"
import * as ShapedArray from "../ShapedArray.ts"
import type { Tensor } from "../Tensor.ts"
import { each, type Padding, pads } from "./windows.ts"

/** What is made of the elements of a window. */
export type WindowReduction = "sum" | "max" | "min"

/** Options of `reduceWindow`. */
export interface ReduceWindowOptions {
  /** Distances between windows; 1 by default. */
  readonly windowStrides?: number | ReadonlyArray<number> | undefined
  /** `VALID` by default. */
  readonly padding?: Padding | undefined
  /** Holes between the elements of the array; 1, none, by default. */
  readonly baseDilation?: number | ReadonlyArray<number> | undefined
  /** Holes between the elements of a window; 1, none, by default. */
  readonly windowDilation?: number | ReadonlyArray<number> | undefined
}

const reducers = { sum: lax.reduceWindowSum, max: lax.reduceWindowMax, min: lax.reduceWindowMin }

/**
 * The sum, largest or smallest of every window over all axes: `lax.reduce_window`. Padding counts as nothing: 0 for
 * sums, the lowest and highest value for the others.
 *
 * @category pooling
 * @since 0.1.0
 */
export const reduceWindow = (
  kind: WindowReduction,
  x: Tensor,
  windowDimensions: Shape.Shape,
  options: ReduceWindowOptions = {}
): Tensor => {
  const operation = "reduceWindow"
  const window = each(operation, "window sizes", windowDimensions, x.ndim)
  const strides = each(operation, "window strides", options.windowStrides, x.ndim)
  const baseDilation = each(operation, "base dilations", options.baseDilation, x.ndim)
  const windowDilation = each(operation, "window dilations", options.windowDilation, x.ndim)
  const sizes = x.shape.map((d, i) => dilated(d, baseDilation[i]))
  const windows = window.map((d, i) => dilated(d, windowDilation[i]))
  return reducers[kind](x, {
    window_dimensions: window,
    window_strides: strides,
    padding: pads(operation, options.padding ?? "VALID", sizes, windows, strides),
    base_dilation: baseDilation,
    window_dilation: windowDilation
  })
}

/** Options of the pooling functions. */
export interface PoolOptions {
  /** Distances between windows along the spatial axes; 1 by default. */
  readonly strides?: number | ReadonlyArray<number> | undefined
  /** `VALID` by default; pairs are those of the spatial axes. */
  readonly padding?: Padding | undefined
}

const pool = (kind: WindowReduction, x: Tensor, windowShape: Shape.Shape, options: PoolOptions): Tensor => {
  const spatial = windowShape.length
  const batch = x.ndim - spatial - 1
  if (batch < 0) {
    throw new ShapeError({
      operation: `${kind === "sum" ? "avg" : kind}Pool`,
      expected: `an input [batch…, ${spatial} spatial axes, features]`,
      found: ShapedArray.format(x.aval),
      hint: "add axes, or use a window with fewer sizes"
    })
  }
  const around = <A>(inner: ReadonlyArray<A>, outer: A): ReadonlyArray<A> => [
    ...Array.from<A>({ length: batch }).fill(outer),
    ...inner,
    outer
  ]
  const { padding = "VALID" } = options
  return reduceWindow(kind, x, around(windowShape, 1), {
    windowStrides: around(each("pool", "strides", options.strides, spatial), 1),
    padding: typeof padding === "string" ? padding : around(padding, [0, 0])
  })
}

/** Options of `avgPool`. */
export interface AvgPoolOptions extends PoolOptions {
  /** Divide by the window's size everywhere (the default), or by the number of its elements that are not padding. */
  readonly countIncludePad?: boolean | undefined
}

/**
 * The mean of every window: `nnx.avg_pool`.
 *
 * @category pooling
 * @since 0.1.0
 */
export const avgPool = (x: Tensor, windowShape: Shape.Shape, options: AvgPoolOptions = {}): Tensor => {
  const sums = pool("sum", x, windowShape, options)
  if (options.countIncludePad !== false) return div(sums, Shape.size(windowShape))
  const ones = lax.broadcastTo(constant(1, "float32"), [
    ...x.shape.slice(0, -1).map((d, i) => i < x.ndim - 1 - windowShape.length ? 1 : d),
    1
  ])
  return div(sums, lax.convertElementType(pool("sum", ones, windowShape, options), sums.dtype))
}

/**
 * The largest of every window: `nnx.max_pool`.
 *
 * @category pooling
 * @since 0.1.0
 */
export const maxPool = (x: Tensor, windowShape: Shape.Shape, options: PoolOptions = {}): Tensor =>
  pool("max", x, windowShape, options)

/**
 * The smallest of every window: `nnx.min_pool`.
 *
 * @category pooling
 * @since 0.1.0
 */
export const minPool = (x: Tensor, windowShape: Shape.Shape, options: PoolOptions = {}): Tensor =>
  pool("min", x, windowShape, options)
