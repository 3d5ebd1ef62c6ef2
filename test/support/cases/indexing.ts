// Slices at computed starts, gather and scatter.
import type { GatherParams, ScatterParams } from "../../../src/Tensor/lax/index.ts"
import * as lax from "../../../src/Tensor/lax/index.ts"
import * as Shape from "../../../src/Tensor/Shape.ts"
import { between, fromValues, type Random, tensor } from "../arbitrary.ts"
import type { Case } from "./case.ts"

const start = (rng: Random, low: number, high: number) => between(rng, low, high, [], "int32")

const sliced: ReadonlyArray<Case> = [
  {
    name: "dynamic_slice, starts within and past the ends",
    f: ([x, i, j]) => [lax.dynamicSlice(x, [i, j], [2, 3])],
    make: (rng, dtype) => [tensor(rng, [4, 5], dtype), start(rng, -2, 6), start(rng, -2, 6)]
  },
  {
    name: "dynamic_slice of a scalar",
    f: ([x]) => [lax.dynamicSlice(x, [], [])],
    make: (rng, dtype) => [tensor(rng, [], dtype)]
  },
  {
    name: "dynamic_slice with starts of two dtypes",
    f: ([x, i, j]) => [lax.dynamicSlice(x, [i, j], [1, 2])],
    make: (rng, dtype) => [tensor(rng, [3, 4], dtype), start(rng, 0, 3), between(rng, 0, 4, [], "uint32")]
  },
  {
    name: "dynamic_update_slice",
    f: ([x, update, i, j]) => [lax.dynamicUpdateSlice(x, update, [i, j])],
    make: (rng, dtype) => [tensor(rng, [3, 4], dtype), tensor(rng, [2, 2], dtype), start(rng, -2, 5), start(rng, -2, 5)]
  },
  {
    name: "dynamic_update_slice of a scalar",
    f: ([x, update]) => [lax.dynamicUpdateSlice(x, update, [])],
    make: (rng, dtype) => [tensor(rng, [], dtype), tensor(rng, [], dtype)]
  },
  {
    name: "dynamic_update_slice with an empty update",
    f: ([x, update, i]) => [lax.dynamicUpdateSlice(x, update, [i])],
    make: (rng, dtype) => [tensor(rng, [3], dtype), tensor(rng, [0], dtype), start(rng, 0, 3)]
  }
]

const modes = ["clip", "fill_or_drop", "promise_in_bounds"] as const

/** Where a gather reads and a scatter writes: the operand, the index vectors, and the shape of the slices' array. */
export interface Layout {
  readonly name: string
  readonly operand: Shape.Shape
  readonly indices: Shape.Shape
  readonly updates: Shape.Shape
  readonly sizes: Shape.Shape
  readonly dimensions: GatherParams["dimension_numbers"]
}
/** Dimension numbers of a gather. */
export const dims = (
  offset_dims: ReadonlyArray<number>,
  collapsed_slice_dims: ReadonlyArray<number>,
  start_index_map: ReadonlyArray<number>,
  operand_batching_dims: ReadonlyArray<number> = [],
  start_indices_batching_dims: ReadonlyArray<number> = []
) => ({ offset_dims, collapsed_slice_dims, start_index_map, operand_batching_dims, start_indices_batching_dims })
/** Several layouts; the first is that of whole rows. */
export const layouts: ReadonlyArray<Layout> = [
  {
    name: "rows",
    operand: [4, 3],
    indices: [5, 1],
    updates: [5, 3],
    sizes: [1, 3],
    dimensions: dims([1], [0], [0])
  },
  {
    name: "columns, two batch axes, offset first",
    operand: [3, 4],
    indices: [2, 2, 1],
    updates: [3, 2, 2],
    sizes: [3, 1],
    dimensions: dims([0], [1], [1])
  },
  {
    name: "elements by crossed index vectors",
    operand: [3, 4],
    indices: [6, 2],
    updates: [6],
    sizes: [1, 1],
    dimensions: dims([], [0, 1], [1, 0])
  },
  {
    name: "overlapping windows",
    operand: [6, 2],
    indices: [3, 1],
    updates: [3, 3, 1],
    sizes: [3, 1],
    dimensions: dims([1, 2], [], [0])
  },
  {
    name: "one slice",
    operand: [3, 4],
    indices: [2],
    updates: [2, 3],
    sizes: [2, 3],
    dimensions: dims([0, 1], [], [0, 1])
  },
  {
    name: "a batching pair",
    operand: [4, 2, 3],
    indices: [3, 2, 1],
    updates: [3, 2, 3],
    sizes: [1, 1, 3],
    dimensions: dims([2], [0], [0], [1], [1])
  },
  {
    name: "no index vector",
    operand: [3],
    indices: [0, 1],
    updates: [0],
    sizes: [1],
    dimensions: dims([], [0], [0])
  }
]

/** Index vectors, some past the ends unless that is promised not to be. */
export const vectors = (rng: Random, l: Layout, mode: GatherParams["mode"]) => {
  const components = l.indices[l.indices.length - 1]
  const reach = mode === "promise_in_bounds" ? 0 : 2
  const count = Shape.size(l.indices.slice(0, -1))
  const values = Array.from({ length: count }, () =>
    Shape.range(components).map((c) => {
      const axis = l.dimensions.start_index_map[c]
      return rng.integer(-reach, l.operand[axis] - l.sizes[axis] + 1 + reach)
    })).flat()
  return fromValues(values, l.indices, "int32")
}
/** The dimension numbers of a scatter to the places that a gather reads. */
export const toScatter = ({ dimensions: d }: Layout): ScatterParams["dimension_numbers"] => ({
  update_window_dims: d.offset_dims,
  inserted_window_dims: d.collapsed_slice_dims,
  scatter_dims_to_operand_dims: d.start_index_map,
  operand_batching_dims: d.operand_batching_dims,
  scatter_indices_batching_dims: d.start_indices_batching_dims
})
const scatters = {
  scatter: lax.scatter,
  scatter_add: lax.scatterAdd,
  scatter_min: lax.scatterMin,
  scatter_max: lax.scatterMax
}

const scattersOf = (layout: Layout, mode: GatherParams["mode"]): ReadonlyArray<Case> => {
  const params: ScatterParams = { dimension_numbers: toScatter(layout), mode, unique_indices: false }
  return Object.entries(scatters).map(([name, apply]) => ({
    name: `${name}: ${layout.name}, ${mode}`,
    f: ([x, i, updates]) => [apply(x, i, updates, params)],
    make: (rng, dtype) => [
      tensor(rng, layout.operand, dtype),
      vectors(rng, layout, mode),
      tensor(rng, layout.updates, dtype)
    ]
  }))
}

const gatherOf = (layout: Layout, mode: GatherParams["mode"]): Case => ({
  name: `gather: ${layout.name}, ${mode}`,
  f: ([x, i]) => [
    lax.gather(x, i, { dimension_numbers: layout.dimensions, slice_sizes: layout.sizes, mode, fill_value: 7 })
  ],
  make: (rng, dtype) => [tensor(rng, layout.operand, dtype), vectors(rng, layout, mode)]
})

const uniquely: ScatterParams = {
  dimension_numbers: toScatter(layouts[0]),
  mode: "fill_or_drop",
  unique_indices: true
}
const unique = (name: string, apply: typeof lax.scatter): Case => ({
  name: `${name}: distinct index vectors`,
  f: ([x, i, u]) => [apply(x, i, u, uniquely)],
  make: (rng, dtype) => [
    tensor(rng, [5, 3], dtype),
    fromValues(rng.permutation(8).slice(0, 4), [4, 1], "int32"),
    tensor(rng, [4, 3], dtype)
  ]
})

/** dynamic_slice, dynamic_update_slice, gather, and all scatters. */
export const indexing: ReadonlyArray<Case> = [
  ...sliced,
  ...layouts.flatMap((layout) => modes.flatMap((mode) => [gatherOf(layout, mode), ...scattersOf(layout, mode)])),
  unique("scatter", lax.scatter),
  unique("scatter_mul", lax.scatterMul)
]
