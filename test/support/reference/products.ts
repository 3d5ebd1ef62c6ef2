// The part of the reference evaluator where an element depends on many: products, windows, indexing.
import * as DType from "../../../src/Tensor/DType.ts"
import { defaultFill, type GatherScatterMode, type ScatterParams } from "../../../src/Tensor/lax/indexing.ts"
import type { SelectParams, WindowParams } from "../../../src/Tensor/lax/window.ts"
import * as Shape from "../../../src/Tensor/Shape.ts"
import { generate, type Index, indices, inside, type Meanings, offset, read, type Value } from "./values.ts"

const dotsAndConvolutions: Meanings<"dot_general" | "conv_general_dilated"> = {
  dot_general: ({ dimension_numbers: { batch: [xb, yb], contracting: [xc, yc] } }, [x, y], [out]) => {
    const free = (value: Value, ...used: ReadonlyArray<Index>) =>
      Shape.range(value.shape.length).filter((axis) => !used.flat().includes(axis))
    const xFree = free(x, xb, xc)
    const yFree = free(y, yb, yc)
    const inner = indices(xc.map((axis) => x.shape[axis]))
    const index = (value: Value, parts: ReadonlyArray<readonly [Index, Index]>): Index => {
      const at = value.shape.map(() => 0)
      for (const [axes, positions] of parts) axes.forEach((axis, i) => at[axis] = positions[i])
      return at
    }
    return [generate(out.shape, (at) => {
      const b = at.slice(0, xb.length)
      const f = at.slice(xb.length, xb.length + xFree.length)
      const g = at.slice(xb.length + xFree.length)
      return inner.reduce(
        (sum, c) =>
          sum + read(x, index(x, [[xb, b], [xFree, f], [xc, c]])) * read(y, index(y, [[yb, b], [yFree, g], [yc, c]])),
        0
      )
    })]
  },
  conv_general_dilated: (p, [x, y], [out]) => {
    const { lhs_spec, out_spec, rhs_spec } = p.dimension_numbers
    const outBatch = out.shape[out_spec[0]]
    const features = y.shape[rhs_spec[1]]
    const taps = indices([features, ...rhs_spec.slice(2).map((axis) => y.shape[axis])])
    const place = (shape: Shape.Shape, spec: Index, values: Index): Index => {
      const at = shape.map(() => 0)
      spec.forEach((axis, i) => at[axis] = values[i])
      return at
    }
    return [generate(out.shape, (at) => {
      const [n, o, ...position] = out_spec.map((axis) => at[axis])
      const featureGroup = Math.floor(o / (y.shape[rhs_spec[0]] / p.feature_group_count))
      const batchGroup = Math.floor(o / (y.shape[rhs_spec[0]] / p.batch_group_count))
      return taps.reduce((sum, [feature, ...tap]) => {
        const from = position.map((i, d) =>
          (i * p.window_strides[d] + tap[d] * p.rhs_dilation[d] - p.padding[d][0]) / p.lhs_dilation[d]
        )
        const source = place(x.shape, lhs_spec, [batchGroup * outBatch + n, featureGroup * features + feature, ...from])
        if (!from.every(Number.isInteger) || !inside(x.shape, source)) return sum
        return sum + read(x, source) * read(y, place(y.shape, rhs_spec, [o, feature, ...tap]))
      }, 0)
    })]
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Windows
// ---------------------------------------------------------------------------------------------------------------------

/** The positions of the operand that are in the window at `at`, in order; padding and holes are none. */
const members = (shape: Shape.Shape, p: WindowParams | SelectParams, at: Index): ReadonlyArray<Index> => {
  const base = "base_dilation" in p ? p.base_dilation : shape.map(() => 1)
  const spread = "window_dilation" in p ? p.window_dilation : shape.map(() => 1)
  return indices(p.window_dimensions)
    .map((tap) => tap.map((t, i) => (at[i] * p.window_strides[i] + t * spread[i] - p.padding[i][0]) / base[i]))
    .filter((position) => position.every(Number.isInteger) && inside(shape, position))
}

const reduceWindow =
  (f: (a: number, b: number) => number, initial: (dtype: DType.DType) => number) =>
  (p: WindowParams, [x]: ReadonlyArray<Value>, [out]: ReadonlyArray<{ shape: Shape.Shape; dtype: DType.DType }>) => [
    generate(out.shape, (at) => members(x.shape, p, at).reduce((best, i) => f(best, read(x, i)), initial(out.dtype)))
  ]

/** The first of the best positions in a window, if it has any. */
const selected = (x: Value, p: SelectParams, at: Index): Index | undefined => {
  const [first, ...rest] = members(x.shape, p, at)
  if (first === undefined) return undefined
  const better = (a: Index, b: Index) => p.select_prim === "ge" ? read(x, a) > read(x, b) : read(x, a) < read(x, b)
  return rest.reduce((best, i) => better(i, best) ? i : best, first)
}

type Windows = `reduce_window_${"sum" | "max" | "min"}` | `select_and_${"scatter" | "gather"}_add`

const windows: Meanings<Windows> = {
  reduce_window_sum: reduceWindow((a, b) => a + b, () => 0),
  reduce_window_max: reduceWindow(Math.max, DType.lowest),
  reduce_window_min: reduceWindow(Math.min, DType.highest),
  select_and_gather_add: (p, [x, operand], [out]) => [
    generate(out.shape, (at) => {
      const from = selected(operand, p, at)
      return from === undefined ? 0 : read(x, from)
    })
  ],
  select_and_scatter_add: (p, [x, operand]) => {
    const data = operand.data.map(() => 0)
    for (const at of indices(x.shape)) {
      const to = selected(operand, p, at)
      if (to !== undefined) data[offset(operand.shape, to)] += read(x, at)
    }
    return [{ shape: operand.shape, data }]
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Indexing
// ---------------------------------------------------------------------------------------------------------------------

const clamp = (x: number, low: number, high: number): number => Math.max(low, Math.min(x, high))

/** Starts moved so that a slice of these sizes fits. */
const fitted = (shape: Shape.Shape, sizes: Shape.Shape, start: Index): Index =>
  start.map((s, axis) => clamp(s, 0, shape[axis] - sizes[axis]))

interface Addressing {
  readonly windowDims: Index
  readonly dropped: Index
  readonly indexMap: Index
  readonly operandBatching: Index
  readonly indicesBatching: Index
  readonly mode: GatherScatterMode
}

/**
 * Where the slice starts that position `at` (of a gather's result, or a scatter's updates) belongs to, and the position
 * in it. Undefined where the slice is out of range and the mode says that it does not count.
 */
const address = (
  a: Addressing,
  shape: Shape.Shape,
  sizes: Shape.Shape,
  starts: Value,
  at: Index
): Index | undefined => {
  const batch = at.filter((_, axis) => !a.windowDims.includes(axis))
  const inWindow = a.windowDims.map((axis) => at[axis])
  const raw = shape.map((_, axis) => {
    const component = a.indexMap.indexOf(axis)
    const pair = a.operandBatching.indexOf(axis)
    return component >= 0 ? read(starts, [...batch, component]) : pair >= 0 ? batch[a.indicesBatching[pair]] : 0
  })
  const start = fitted(shape, sizes, raw)
  if (a.mode === "fill_or_drop" && start.some((s, axis) => s !== raw[axis])) return undefined
  const kept = Shape.range(shape.length).filter((axis) => !a.dropped.includes(axis))
  return start.map((s, axis) => kept.includes(axis) ? s + inWindow[kept.indexOf(axis)] : s)
}

const scatterWith =
  (f: (old: number, update: number) => number) =>
  (p: ScatterParams, [x, starts, updates]: ReadonlyArray<Value>): ReadonlyArray<Value> => {
    const d = p.dimension_numbers
    const data = [...x.data]
    const dropped = [...d.inserted_window_dims, ...d.operand_batching_dims]
    const kept = Shape.range(x.shape.length).filter((axis) => !dropped.includes(axis))
    const sizes = x.shape.map((_, axis) =>
      kept.includes(axis) ? updates.shape[d.update_window_dims[kept.indexOf(axis)]] : 1
    )
    const addressing: Addressing = {
      windowDims: d.update_window_dims,
      dropped,
      indexMap: d.scatter_dims_to_operand_dims,
      operandBatching: d.operand_batching_dims,
      indicesBatching: d.scatter_indices_batching_dims,
      mode: p.mode
    }
    for (const at of indices(updates.shape)) {
      const to = address(addressing, x.shape, sizes, starts, at)
      if (to === undefined) continue
      const i = offset(x.shape, to)
      data[i] = f(data[i], read(updates, at))
    }
    return [{ shape: x.shape, data }]
  }

type Indexing =
  | "dynamic_slice"
  | "dynamic_update_slice"
  | "gather"
  | "scatter"
  | `scatter_${"add" | "mul" | "min" | "max"}`

const indexing: Meanings<Indexing> = {
  dynamic_slice: ({ slice_sizes }, [x, ...starts]) => {
    const start = fitted(x.shape, slice_sizes, starts.map((s) => s.data[0]))
    return [generate(slice_sizes, (at) => read(x, at.map((i, axis) => i + start[axis])))]
  },
  dynamic_update_slice: (_, [x, update, ...starts]) => {
    const start = fitted(x.shape, update.shape, starts.map((s) => s.data[0]))
    return [generate(x.shape, (at) => {
      const from = at.map((i, axis) => i - start[axis])
      return inside(update.shape, from) ? read(update, from) : read(x, at)
    })]
  },
  gather: (p, [x, starts], [out]) => {
    const d = p.dimension_numbers
    const addressing: Addressing = {
      windowDims: d.offset_dims,
      dropped: [...d.collapsed_slice_dims, ...d.operand_batching_dims],
      indexMap: d.start_index_map,
      operandBatching: d.operand_batching_dims,
      indicesBatching: d.start_indices_batching_dims,
      mode: p.mode
    }
    return [generate(out.shape, (at) => {
      const from = address(addressing, x.shape, p.slice_sizes, starts, at)
      return from === undefined ? p.fill_value ?? defaultFill(out.dtype) : read(x, from)
    })]
  },
  scatter: scatterWith((_, update) => update),
  scatter_add: scatterWith((old, update) => old + update),
  scatter_mul: scatterWith((old, update) => old * update),
  scatter_min: scatterWith(Math.min),
  scatter_max: scatterWith(Math.max)
}

/** The meanings of products, window operations and indexing. */
export const products = { ...dotsAndConvolutions, ...windows, ...indexing }
