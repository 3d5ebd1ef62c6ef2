/**
 * Kernels whose positions are computed: dynamic slices, gather and scatter in full generality. Gather and scatter share
 * one addressing: for every index vector a start in the operand, and for every element of the slice an offset from it.
 */
import type { TypedArray } from "../../../Tensor/DType.ts"
import * as DTypes from "../../../Tensor/DType.ts"
import { defaultFill, type GatherScatterMode, type Params } from "../../../Tensor/lax/indexing.ts"
import * as Shape from "../../../Tensor/Shape.ts"
import { contiguous, copyStrided, type CpuKernel, type CpuKernels, outputOf } from "./arrays.ts"

const clamp = (x: number, low: number, high: number): number => Math.min(Math.max(x, low), high)

/** The offset of a slice at computed starts, clamped so that it fits. */
const sliceOffset = (
  shape: Shape.Shape,
  sizes: Shape.Shape,
  starts: ReadonlyArray<TypedArray>
): number => {
  const strides = Shape.strides(shape)
  return shape.reduce((n, d, i) => n + clamp(starts[i][0], 0, d - sizes[i]) * strides[i], 0)
}

/**
 * How index vectors and slices address an operand. All axes are those of the operand but `batch`, which has those of
 * the windows.
 */
interface Addressing {
  readonly operand: Shape.Shape
  readonly sliceSizes: Shape.Shape
  /** Operand axes that the components of an index vector count along. */
  readonly indexed: ReadonlyArray<number>
  /** Operand axes that follow axes of the batch: [operand axis, batch axis]. */
  readonly batched: ReadonlyArray<readonly [number, number]>
  /** Sizes of the axes over index vectors. */
  readonly batch: Shape.Shape
  readonly mode: GatherScatterMode
}

/** The start in the operand of every slice, -1 where the slice is out of range (and not clipped). */
const starts = (a: Addressing, indices: TypedArray): Int32Array => {
  const out = new Int32Array(Shape.size(a.batch))
  const strides = Shape.strides(a.operand)
  const batchStrides = Shape.strides(a.batch)
  const components = a.indexed.length
  for (let b = 0; b < out.length; b++) {
    let start = 0
    for (let c = 0; c < components && start >= 0; c++) {
      const axis = a.indexed[c]
      const limit = a.operand[axis] - a.sliceSizes[axis]
      const raw = indices[b * components + c]
      const inside = raw >= 0 && raw <= limit
      if (!inside && a.mode === "fill_or_drop") start = -1
      else start += clamp(raw, 0, limit) * strides[axis]
    }
    for (const [axis, along] of a.batched) {
      if (start >= 0) start += Math.floor(b / batchStrides[along]) % a.batch[along] * strides[axis]
    }
    out[b] = start
  }
  return out
}

/** The offset from its slice's start of every element of a slice, row-major. */
const offsets = (a: Addressing): Int32Array => {
  const out = new Int32Array(Shape.size(a.sliceSizes))
  const strides = Shape.strides(a.operand)
  const sizes = Shape.strides(a.sliceSizes)
  for (let i = 0; i < out.length; i++) {
    let offset = 0
    for (let axis = 0; axis < sizes.length; axis++) {
      offset += Math.floor(i / sizes[axis]) % a.sliceSizes[axis] * strides[axis]
    }
    out[i] = offset
  }
  return out
}

/** Steps in the windows' array (a gather's result, a scatter's updates): along the batch, and along the slice. */
const windowSteps = (
  shape: Shape.Shape,
  windowAxes: ReadonlyArray<number>,
  batch: Shape.Shape,
  window: Shape.Shape
) => {
  const strides = Shape.strides(shape)
  const along = (sizes: Shape.Shape, axes: ReadonlyArray<number>): Int32Array => {
    const own = Shape.strides(sizes)
    return Int32Array.from(
      { length: Shape.size(sizes) },
      (_, i) => sizes.reduce((n, d, k) => n + Math.floor(i / own[k]) % d * strides[axes[k]], 0)
    )
  }
  const batchAxes = Shape.range(shape.length).filter((i) => !windowAxes.includes(i))
  return { batch: along(batch, batchAxes), window: along(window, windowAxes) }
}

const gather: CpuKernel<"gather"> = (equation) => {
  const { dimension_numbers: d, fill_value: fill, mode, slice_sizes: sliceSizes } = equation.params
  const [operand, indices] = equation.inputs.map((x) => x.aval)
  const batch = indices.shape.slice(0, -1)
  const addressing: Addressing = {
    operand: operand.shape,
    sliceSizes,
    indexed: d.start_index_map,
    batched: d.operand_batching_dims.map((axis, i) => [axis, d.start_indices_batching_dims[i]]),
    batch,
    mode
  }
  const window = sliceSizes.filter((_, i) =>
    !d.collapsed_slice_dims.includes(i) && !d.operand_batching_dims.includes(i)
  )
  const filler = fill ?? defaultFill(operand.dtype)
  return ([x, at]) => {
    const out = outputOf(equation)
    if (out.length === 0) return [out]
    const steps = windowSteps(equation.outputs[0].aval.shape, d.offset_dims, batch, window)
    const from = starts(addressing, at)
    const within = offsets(addressing)
    for (let b = 0; b < from.length; b++) {
      for (let w = 0; w < within.length; w++) {
        out[steps.batch[b] + steps.window[w]] = from[b] < 0 ? filler : x[from[b] + within[w]]
      }
    }
    return [out]
  }
}

type Scatter = "scatter" | "scatter_add" | "scatter_mul" | "scatter_min" | "scatter_max"

/** Writes every element of the updates into a copy of the operand. */
const scatterWith = (
  combineOf: (isFloat: boolean) => (old: number, update: number) => number
): CpuKernel<Scatter> =>
(equation) => {
  const { dimension_numbers: d, mode } = equation.params
  const [operand, indices, updates] = equation.inputs.map((x) => x.aval)
  const batch = indices.shape.slice(0, -1)
  const window = d.update_window_dims.map((axis) => updates.shape[axis])
  const inserted = new Set([...d.inserted_window_dims, ...d.operand_batching_dims])
  const kept = Shape.range(operand.shape.length).filter((axis) => !inserted.has(axis))
  const addressing: Addressing = {
    operand: operand.shape,
    sliceSizes: operand.shape.map((_, axis) => inserted.has(axis) ? 1 : window[kept.indexOf(axis)]),
    indexed: d.scatter_dims_to_operand_dims,
    batched: d.operand_batching_dims.map((axis, i) => [axis, d.scatter_indices_batching_dims[i]]),
    batch,
    // A scatter that is not clipped drops what does not fit.
    mode: mode === "clip" ? "clip" : "fill_or_drop"
  }
  const combine = combineOf(DTypes.isFloat(operand.dtype))
  return ([x, at, values]) => {
    const out = outputOf(equation)
    out.set(x)
    if (values.length === 0) return [out]
    const steps = windowSteps(updates.shape, d.update_window_dims, batch, window)
    const to = starts(addressing, at)
    const within = offsets(addressing)
    for (let b = 0; b < to.length; b++) {
      if (to[b] < 0) continue
      for (let w = 0; w < within.length; w++) {
        const place = to[b] + within[w]
        out[place] = combine(out[place], values[steps.batch[b] + steps.window[w]])
      }
    }
    return [out]
  }
}

/** Kernels of the indexing primitives. */
export const indexing: CpuKernels<keyof Params> = {
  dynamic_slice: (equation) => {
    const sizes = equation.params.slice_sizes
    const { dtype, shape } = equation.inputs[0].aval
    const strides = Shape.strides(shape)
    return ([data, ...at]) => [contiguous(dtype, sizes, { data, offset: sliceOffset(shape, sizes, at), strides })]
  },
  dynamic_update_slice: (equation) => {
    const [shape, sizes] = equation.inputs.map((x) => x.aval.shape)
    const strides = Shape.strides(shape)
    return ([x, update, ...at]) => {
      const out = outputOf(equation)
      out.set(x)
      if (update.length > 0) {
        copyStrided(
          sizes,
          { data: out, offset: sliceOffset(shape, sizes, at), strides },
          { data: update, offset: 0, strides: Shape.strides(sizes) }
        )
      }
      return [out]
    }
  },
  gather,
  scatter: scatterWith(() => (_, update) => update),
  scatter_add: scatterWith(() => (old, update) => old + update),
  scatter_mul: scatterWith((isFloat) => isFloat ? (old, update) => old * update : Math.imul),
  scatter_min: scatterWith(() => Math.min),
  scatter_max: scatterWith(() => Math.max)
}
