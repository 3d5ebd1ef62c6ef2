/**
 * Primitives whose positions are computed: dynamic slices, gather and scatter, with `jax.lax`'s dimension numbers.
 */
import type * as DType from "../DType.ts"
import { DTypeError, IndexError, ShapeError } from "../errors.ts"
import * as Shape from "../Shape.ts"
import * as ShapedArray from "../ShapedArray.ts"
import { bind, type Tensor } from "../Tensor.ts"

/**
 * What an index out of range does. `clip` moves it to the nearest legal place; `fill_or_drop` reads `fill_value`, and
 * drops writes.
 */
export type GatherScatterMode = "clip" | "fill_or_drop" | "promise_in_bounds"

/**
 * How indices address the operand of a gather. The last axis of `indices` is an index vector; its component i is a
 * position along operand axis `start_index_map[i]`. `offset_dims` are the result's axes that run over the slice;
 * `collapsed_slice_dims` are operand axes of slice size 1 left out of the result.
 */
export interface GatherDimensionNumbers {
  readonly offset_dims: ReadonlyArray<number>
  readonly collapsed_slice_dims: ReadonlyArray<number>
  readonly start_index_map: ReadonlyArray<number>
  readonly operand_batching_dims: ReadonlyArray<number>
  readonly start_indices_batching_dims: ReadonlyArray<number>
}

/** The same for a scatter, where `updates` plays the role of a gather's result. */
export interface ScatterDimensionNumbers {
  readonly update_window_dims: ReadonlyArray<number>
  readonly inserted_window_dims: ReadonlyArray<number>
  readonly scatter_dims_to_operand_dims: ReadonlyArray<number>
  readonly operand_batching_dims: ReadonlyArray<number>
  readonly scatter_indices_batching_dims: ReadonlyArray<number>
}

/** Parameters of gather. */
export interface GatherParams {
  readonly dimension_numbers: GatherDimensionNumbers
  readonly slice_sizes: Shape.Shape
  readonly mode: GatherScatterMode
  /**
   * What is read out of range in mode `fill_or_drop`; null is nan for floats, the lowest (unsigned: highest) integer,
   * true.
   */
  readonly fill_value: number | null
}

/** Parameters of the scatters. */
export interface ScatterParams {
  readonly dimension_numbers: ScatterDimensionNumbers
  readonly mode: GatherScatterMode
  /** Are all index vectors distinct? Only then is the derivative of a plain scatter or scatter_mul defined. */
  readonly unique_indices: boolean
}

/** Parameters of the indexing primitives, by `jax.lax` name. */
export interface Params {
  /** Inputs: the operand, then one scalar int32 start an axis (clamped so that the slice fits). */
  readonly dynamic_slice: { readonly slice_sizes: Shape.Shape }
  /** Inputs: the operand, the update, then one scalar int32 start an axis (clamped). */
  readonly dynamic_update_slice: Readonly<Record<never, never>>
  readonly gather: GatherParams
  readonly scatter: ScatterParams
  readonly scatter_add: ScatterParams
  readonly scatter_mul: ScatterParams
  readonly scatter_min: ScatterParams
  readonly scatter_max: ScatterParams
}

const checkStarts = (operation: string, x: Tensor, starts: ReadonlyArray<Tensor>): void => {
  if (starts.length !== x.ndim || starts.some((s) => s.ndim !== 0 || (s.dtype !== "int32" && s.dtype !== "uint32"))) {
    throw new IndexError({
      operation,
      expected: `${x.ndim} scalar integer starts`,
      found: starts.map((s) => ShapedArray.format(s.aval)).join(", "),
      hint: "one start an axis"
    })
  }
}

/** A slice of static sizes at computed starts, which are clamped so that it fits. */
export const dynamicSlice = (x: Tensor, starts: ReadonlyArray<Tensor>, sizes: Shape.Shape): Tensor => {
  checkStarts("dynamic_slice", x, starts)
  if (sizes.length !== x.ndim || sizes.some((s, i) => s < 0 || s > x.shape[i])) {
    throw new ShapeError({
      operation: "dynamic_slice",
      expected: `slice sizes within ${Shape.format(x.shape)}`,
      found: Shape.format(sizes),
      hint: "sizes are static; only the starts are computed"
    })
  }
  return bind("dynamic_slice", { slice_sizes: sizes }, [x, ...starts], [ShapedArray.withShape(x.aval, sizes)])[0]
}

/** The operand with `update` written at computed starts, which are clamped so that it fits. */
export const dynamicUpdateSlice = (x: Tensor, update: Tensor, starts: ReadonlyArray<Tensor>): Tensor => {
  checkStarts("dynamic_update_slice", x, starts)
  if (update.ndim !== x.ndim || update.shape.some((s, i) => s > x.shape[i]) || update.dtype !== x.dtype) {
    throw new ShapeError({
      operation: "dynamic_update_slice",
      expected: `an update of dtype ${x.dtype} within ${Shape.format(x.shape)}`,
      found: ShapedArray.format(update.aval),
      hint: "the update has the operand's rank"
    })
  }
  return bind("dynamic_update_slice", {}, [x, update, ...starts], [x.aval])[0]
}

const checkIndices = (operation: string, indices: Tensor, components: number): void => {
  if (indices.ndim < 1 || indices.shape[indices.ndim - 1] !== components) {
    throw new IndexError({
      operation,
      expected: `indices whose last axis has size ${components}, one component an indexed axis`,
      found: ShapedArray.format(indices.aval),
      hint: "use take or x.at(...) for NumPy's rules"
    })
  }
  if (indices.dtype !== "int32" && indices.dtype !== "uint32") {
    throw new DTypeError({
      operation,
      expected: "int32 or uint32 indices",
      found: indices.dtype,
      hint: "convert with astype"
    })
  }
}

/** The shape of a gather's result. */
export const gatherShape = (indices: Shape.Shape, params: GatherParams): Shape.Shape => {
  const { collapsed_slice_dims: collapsed, offset_dims: offset, operand_batching_dims: batching } =
    params.dimension_numbers
  const batch = indices.slice(0, -1)
  const window = params.slice_sizes.filter((_, i) => !collapsed.includes(i) && !batching.includes(i))
  const rank = batch.length + window.length
  let b = 0
  let w = 0
  return Shape.range(rank).map((i) => offset.includes(i) ? window[w++] : batch[b++])
}

/** `lax.gather`: slices of the operand at computed index vectors. */
export const gather = (x: Tensor, indices: Tensor, params: GatherParams): Tensor => {
  checkIndices("gather", indices, params.dimension_numbers.start_index_map.length)
  if (params.slice_sizes.length !== x.ndim || params.slice_sizes.some((s, i) => s < 0 || s > x.shape[i])) {
    throw new ShapeError({
      operation: "gather",
      expected: `slice sizes within ${Shape.format(x.shape)}`,
      found: Shape.format(params.slice_sizes),
      hint: "an indexed axis has slice size 1"
    })
  }
  return bind("gather", params, [x, indices], [ShapedArray.withShape(x.aval, gatherShape(indices.shape, params))])[0]
}

const scatterOf =
  (primitive: "scatter" | "scatter_add" | "scatter_mul" | "scatter_min" | "scatter_max") =>
  (x: Tensor, indices: Tensor, updates: Tensor, params: ScatterParams): Tensor => {
    const d = params.dimension_numbers
    checkIndices(primitive, indices, d.scatter_dims_to_operand_dims.length)
    if (updates.dtype !== x.dtype) {
      throw new DTypeError({
        operation: primitive,
        expected: `updates of dtype ${x.dtype}`,
        found: updates.dtype,
        hint: "convert with astype"
      })
    }
    const batch = updates.shape.filter((_, i) => !d.update_window_dims.includes(i))
    if (!Shape.equals(batch, indices.shape.slice(0, -1))) {
      throw new ShapeError({
        operation: primitive,
        expected: `updates with batch sizes ${Shape.format(indices.shape.slice(0, -1))}`,
        found: ShapedArray.format(updates.aval),
        hint: "updates have one slice for every index vector"
      })
    }
    return bind(primitive, params, [x, indices, updates], [x.aval])[0]
  }

/** The operand with slices replaced at index vectors. With equal index vectors the last one wins. */
export const scatter = scatterOf("scatter")
/** The operand with slices added at index vectors; equal ones add up. */
export const scatterAdd = scatterOf("scatter_add")
/** The operand with slices multiplied in. */
export const scatterMul = scatterOf("scatter_mul")
/** The operand with the smaller of both. */
export const scatterMin = scatterOf("scatter_min")
/** The operand with the larger of both. */
export const scatterMax = scatterOf("scatter_max")

/** What mode `fill_or_drop` reads out of range when no fill value is given. */
export const defaultFill = (dtype: DType.DType): number => {
  switch (dtype) {
    case "bool":
      return 1
    case "int32":
      return -2147483648
    case "int8":
      return -128
    case "uint32":
      return 4294967295
    case "uint8":
      return 255
    default:
      return Number.NaN
  }
}
