/**
 * Reductions over sliding windows (pooling), and the scatter that is their gradient.
 */
import type * as DType from "../DType.ts"
import { DTypeError, ShapeError } from "../errors.ts"
import type * as Shape from "../Shape.ts"
import * as ShapedArray from "../ShapedArray.ts"
import { bind, type Tensor } from "../Tensor.ts"
import { dilated, windows } from "./convolution.ts"

/** A sliding window over all axes. */
export interface WindowParams {
  readonly window_dimensions: Shape.Shape
  readonly window_strides: ReadonlyArray<number>
  readonly padding: ReadonlyArray<readonly [number, number]>
  readonly base_dilation: ReadonlyArray<number>
  readonly window_dilation: ReadonlyArray<number>
}

/** A window without dilation, and which element of it is selected: the largest (`ge`) or the smallest (`le`). */
export interface SelectParams {
  readonly select_prim: "ge" | "le"
  readonly window_dimensions: Shape.Shape
  readonly window_strides: ReadonlyArray<number>
  readonly padding: ReadonlyArray<readonly [number, number]>
}

/** Parameters of the window primitives, by `jax.lax` name. */
export interface Params {
  readonly reduce_window_sum: WindowParams
  readonly reduce_window_max: WindowParams
  readonly reduce_window_min: WindowParams
  /** (source, operand): adds every source element to the place in its window of the operand that is selected. */
  readonly select_and_scatter_add: SelectParams
  /** (tangents, operand): the tangent at the place of every window of the operand that is selected. */
  readonly select_and_gather_add: SelectParams
}

/** The shape of the array of windows. */
export const windowShape = (shape: Shape.Shape, p: WindowParams): Shape.Shape =>
  shape.map((d, i) =>
    windows(
      Math.max(0, dilated(d, p.base_dilation[i]) + p.padding[i][0] + p.padding[i][1]),
      dilated(p.window_dimensions[i], p.window_dilation[i]),
      p.window_strides[i]
    )
  )

const check = (operation: string, x: Tensor, p: WindowParams): void => {
  const lists = [p.window_dimensions, p.window_strides, p.padding, p.base_dilation, p.window_dilation]
  if (
    lists.some((l) => l.length !== x.ndim) ||
    [...p.window_dimensions, ...p.window_strides, ...p.base_dilation, ...p.window_dilation].some((n) => !(n >= 1))
  ) {
    throw new ShapeError({
      operation,
      expected: `${x.ndim} window sizes, strides, paddings and dilations, of at least 1`,
      found: `${ShapedArray.format(x.aval)} with window [${p.window_dimensions.join(",")}], strides [${
        p.window_strides.join(",")
      }]`,
      hint: "a window covers all axes: use size 1 along batch and features"
    })
  }
  if (x.dtype === "bool") {
    throw new DTypeError({ operation, expected: "a numeric dtype", found: "bool", hint: "convert with astype" })
  }
}

const reduceWindow =
  (primitive: "reduce_window_sum" | "reduce_window_max" | "reduce_window_min") =>
  (x: Tensor, params: WindowParams): Tensor => {
    check(primitive, x, params)
    return bind(primitive, params, [x], [ShapedArray.withShape(x.aval, windowShape(x.shape, params))])[0]
  }

/** The sum of every window; padding counts as 0. */
export const reduceWindowSum = reduceWindow("reduce_window_sum")
/** The largest of every window; padding counts as the lowest value. */
export const reduceWindowMax = reduceWindow("reduce_window_max")
/** The smallest of every window; padding counts as the highest value. */
export const reduceWindowMin = reduceWindow("reduce_window_min")

const undilated = (p: SelectParams): WindowParams => ({
  ...p,
  base_dilation: p.window_dimensions.map(() => 1),
  window_dilation: p.window_dimensions.map(() => 1)
})

const checkSelect = (operation: string, source: Tensor, operand: Tensor, p: SelectParams, dtype: DType.DType) => {
  check(operation, operand, undilated(p))
  const shape = windowShape(operand.shape, undilated(p))
  if (source.dtype !== dtype || source.shape.join() !== shape.join()) {
    throw new ShapeError({
      operation,
      expected: `an array ${ShapedArray.format(ShapedArray.make(shape, dtype))}, one element a window`,
      found: ShapedArray.format(source.aval),
      hint: "this primitive is the derivative of reduce_window_max and reduce_window_min"
    })
  }
}

/**
 * Adds `source` (one element a window) to the selected place of each window of `operand`; the first of equals is
 * selected.
 */
export const selectAndScatterAdd = (source: Tensor, operand: Tensor, params: SelectParams): Tensor => {
  checkSelect("select_and_scatter_add", source, operand, params, operand.dtype)
  return bind("select_and_scatter_add", params, [source, operand], [operand.aval])[0]
}

/** The elements of `tangents` (shaped as `operand`) at the selected place of each window of `operand`. */
export const selectAndGatherAdd = (tangents: Tensor, operand: Tensor, params: SelectParams): Tensor => {
  check("select_and_gather_add", operand, undilated(params))
  if (tangents.shape.join() !== operand.shape.join()) {
    throw new ShapeError({
      operation: "select_and_gather_add",
      expected: `tangents of shape ${operand.shape.join()}`,
      found: ShapedArray.format(tangents.aval),
      hint: "this primitive is the derivative of reduce_window_max and reduce_window_min"
    })
  }
  return bind("select_and_gather_add", params, [tangents, operand], [
    ShapedArray.make(windowShape(operand.shape, undilated(params)), tangents.dtype)
  ])[0]
}
