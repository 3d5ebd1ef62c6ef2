// Reductions over windows.
import * as lax from "../../../src/Tensor/lax/index.ts"
import * as Shape from "../../../src/Tensor/Shape.ts"
import { literal, type Tensor } from "../../../src/Tensor/Tensor.ts"
import { distinct, tensor } from "../arbitrary.ts"
import { type Case, normal } from "./case.ts"

const params = (rank: number, p: Partial<lax.WindowParams>): lax.WindowParams => ({
  window_dimensions: Shape.range(rank).map(() => 1),
  window_strides: Shape.range(rank).map(() => 1),
  padding: Shape.range(rank).map(() => [0, 0]),
  base_dilation: Shape.range(rank).map(() => 1),
  window_dilation: Shape.range(rank).map(() => 1),
  ...p
})
const pooled: ReadonlyArray<readonly [string, Shape.Shape, Partial<lax.WindowParams>]> = [
  ["pooling", [2, 4, 4, 1], { window_dimensions: [1, 2, 2, 1], window_strides: [1, 2, 2, 1] }],
  ["overlapping, padded", [5, 4], { window_dimensions: [3, 2], padding: [[1, 1], [1, 0]] }],
  ["stride that leaves a remainder", [6], { window_dimensions: [2], window_strides: [4] }],
  ["gaps between windows", [7], { window_dimensions: [2], window_strides: [3] }],
  ["windows only in the padding", [2], { window_dimensions: [2], window_strides: [2], padding: [[4, 2]] }],
  ["cropping", [6], { window_dimensions: [2], padding: [[-1, -2]] }],
  ["cropping more than there is", [2], { window_dimensions: [2], padding: [[-3, 4]] }],
  ["dilated windows", [7, 2], { window_dimensions: [3, 1], window_dilation: [2, 1], window_strides: [2, 1] }],
  ["dilated operand", [4], { window_dimensions: [2], base_dilation: [3], padding: [[1, 2]] }],
  ["both dilated", [5], { window_dimensions: [3], base_dilation: [2], window_dilation: [3], padding: [[2, 1]] }],
  ["a window larger than the operand", [3, 2], { window_dimensions: [4, 1] }],
  ["a scalar", [], {}],
  ["an empty operand", [0, 2], { window_dimensions: [2, 1], padding: [[2, 1], [0, 0]] }]
]

/** Windows of nothing but padding give an infinity, which finite differences cannot see. */
const finite = (y: Tensor): Tensor => lax.selectN(lax.isFinite(y), lax.broadcastTo(literal(0, y.dtype), y.shape), y)

const select: lax.SelectParams = {
  select_prim: "ge",
  window_dimensions: [2, 3],
  window_strides: [1, 2],
  padding: [[0, 1], [1, 1]]
}

/** reduce_window_* and select_and_*. */
export const windows: ReadonlyArray<Case> = [
  ...pooled.flatMap(([name, shape, p]): ReadonlyArray<Case> => {
    const all = params(shape.length, p)
    const choosing = (primitive: string, pool: typeof lax.reduceWindowMax): Case => ({
      name: `${primitive}: ${name}`,
      f: ([x]) => [pool(x, all)],
      make: (rng, dtype) => [distinct(rng, shape, dtype)],
      smooth: ([x]) => [finite(pool(x, all))]
    })
    return [
      { name: `reduce_window_sum: ${name}`, f: ([x]) => [lax.reduceWindowSum(x, all)], make: normal(shape) },
      choosing("reduce_window_max", lax.reduceWindowMax),
      choosing("reduce_window_min", lax.reduceWindowMin)
    ]
  }),
  {
    name: "select_and_gather_add",
    f: ([t, x]) => [lax.selectAndGatherAdd(t, x, select)],
    make: (rng, dtype) => [tensor(rng, [3, 5], dtype), distinct(rng, [3, 5], dtype)]
  },
  {
    name: "select_and_scatter_add",
    f: ([t, x]) => [lax.selectAndScatterAdd(t, x, { ...select, select_prim: "le" })],
    make: (rng, dtype) => [tensor(rng, [3, 3], dtype), distinct(rng, [3, 5], dtype)]
  }
]
