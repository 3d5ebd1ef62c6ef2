// Irregular kernels against the cpu backend: every primitive, with sizes that fill vectors and that do not, all dtypes.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { compute, toTypedArray } from "../../../src/Backend/read.ts"
import { layer as cpu } from "../../../src/Backend/Tfjs/Cpu/index.ts"
import * as DType from "../../../src/Tensor/DType.ts"
import * as lax from "../../../src/Tensor/lax/index.ts"
import { windowShape } from "../../../src/Tensor/lax/window.ts"
import type { Tensor } from "../../../src/Tensor/Tensor.ts"
import * as Tensors from "../../../src/Tensor/Tensor.ts"
import { between, fromValues, type Random, random, tensor } from "../../support/arbitrary.ts"
import { assertClose } from "../../support/close.ts"
import { nothingLivesBut } from "../../support/results.ts"
import { naive } from "./naive.ts"

const { NaN: nan, POSITIVE_INFINITY: inf } = Number

const numeric = DType.all.filter((d) => d !== "float64" && d !== "bool")

const rows = (size: number, mode: lax.GatherScatterMode, fill: number | null = null): lax.GatherParams => ({
  dimension_numbers: {
    offset_dims: [1],
    collapsed_slice_dims: [0],
    start_index_map: [0],
    operand_batching_dims: [],
    start_indices_batching_dims: []
  },
  slice_sizes: [1, size],
  mode,
  fill_value: fill
})

const intoRows = (mode: lax.GatherScatterMode): lax.ScatterParams => ({
  dimension_numbers: {
    update_window_dims: [1],
    inserted_window_dims: [0],
    scatter_dims_to_operand_dims: [0],
    operand_batching_dims: [],
    scatter_indices_batching_dims: []
  },
  mode,
  unique_indices: false
})

const window = (dims: ReadonlyArray<number>, p: Partial<lax.WindowParams> = {}): lax.WindowParams => ({
  window_dimensions: dims,
  window_strides: dims.map(() => 1),
  padding: dims.map(() => [0, 0]),
  base_dilation: dims.map(() => 1),
  window_dilation: dims.map(() => 1),
  ...p
})

const counting = (n: number) => fromValues(Array.from({ length: n }, (_, i) => i), [n], "int32")

const specials = [1, nan, -inf, 0, -0, inf, 2, nan, -1, 2, 0, -0, 5, 5]

const cases: Readonly<Record<string, (rng: Random) => ReadonlyArray<Tensor>>> = {
  "gather of rows": (rng) =>
    (["fill_or_drop", "clip", "promise_in_bounds"] as const).flatMap((mode) =>
      [1, 3, 16, 37, 64, 700].flatMap((n) => {
        const at = between(rng, -3, 12, [23, 1], "int32")
        const unsigned = between(rng, 0, 4e9, [23, 1], "uint32")
        return [
          lax.gather(tensor(rng, [9, n]), at, rows(n, mode)),
          lax.gather(tensor(rng, [9, n], "int8"), at, rows(n, mode)),
          lax.gather(tensor(rng, [9, n], "bfloat16"), unsigned, rows(n, mode, 7))
        ]
      })
    ),
  "gather of points, of blocks and with batches": (rng) => [
    lax.gather(tensor(rng, [40, 10]), between(rng, -2, 12, [40, 1, 1], "int32"), {
      dimension_numbers: {
        offset_dims: [],
        collapsed_slice_dims: [1],
        start_index_map: [1],
        operand_batching_dims: [0],
        start_indices_batching_dims: [0]
      },
      slice_sizes: [1, 1],
      mode: "fill_or_drop",
      fill_value: null
    }),
    lax.gather(tensor(rng, [7, 8, 9]), between(rng, -1, 9, [5, 2, 2], "int32"), {
      dimension_numbers: {
        offset_dims: [0, 3],
        collapsed_slice_dims: [1],
        start_index_map: [2, 1],
        operand_batching_dims: [],
        start_indices_batching_dims: []
      },
      slice_sizes: [3, 1, 4],
      mode: "clip",
      fill_value: null
    })
  ],
  "the scatters": (rng) =>
    ([lax.scatter, lax.scatterAdd, lax.scatterMul, lax.scatterMin, lax.scatterMax] as const).flatMap((scatter) =>
      (["float32", "int32", "uint32", "int8", "uint8", "float16", "bfloat16"] as const).flatMap((dtype) =>
        [1, 5, 16, 37].flatMap((n) =>
          (["clip", "fill_or_drop"] as const).map((mode) =>
            scatter(
              tensor(rng, [9, n], dtype),
              between(rng, -3, 12, [23, 1], "int32"),
              tensor(rng, [23, n], dtype),
              intoRows(mode)
            )
          )
        )
      )
    ),
  "scatters of one number, and of nothing": (rng) => [
    lax.scatterAdd(Tensors.literal(1, "float32"), between(rng, 0, 0, [4, 0], "int32"), tensor(rng, [4]), {
      ...intoRows("clip"),
      dimension_numbers: {
        update_window_dims: [],
        inserted_window_dims: [],
        scatter_dims_to_operand_dims: [],
        operand_batching_dims: [],
        scatter_indices_batching_dims: []
      }
    }),
    lax.scatter(tensor(rng, [3, 4]), between(rng, 0, 2, [0, 1], "int32"), tensor(rng, [0, 4]), intoRows("clip"))
  ],
  "slices at computed places": (rng) =>
    ([-4, 0, 2, 9] as const).flatMap((at) => [
      lax.dynamicSlice(tensor(rng, [7, 5, 9]), [
        between(rng, at, at, [], "int32"),
        Tensors.literal(1, "int32"),
        between(rng, at, at, [], "int32")
      ], [3, 5, 6]),
      lax.dynamicSlice(tensor(rng, [70, 33], "uint8"), [
        between(rng, at, at, [], "int32"),
        Tensors.literal(0, "int32")
      ], [30, 33]),
      lax.dynamicUpdateSlice(tensor(rng, [7, 5, 9], "int8"), tensor(rng, [2, 5, 3], "int8"), [
        between(rng, at, at, [], "int32"),
        Tensors.literal(-7, "int32"),
        between(rng, at, at, [], "int32")
      ]),
      lax.dynamicUpdateSlice(tensor(rng, [7]), tensor(rng, [7]), [between(rng, at, at, [], "int32")])
    ]),
  "sorts": (rng) =>
    numeric.flatMap((dtype) =>
      [1, 2, 31, 32, 300].flatMap((n) => [
        ...lax.sort([tensor(rng, [n], dtype), counting(n)]),
        ...lax.sort([between(rng, 0, 4, [3, n, 2], dtype), tensor(rng, [3, n, 2], dtype)], 1, 2),
        ...lax.topK(between(rng, 0, 9, [3, n], dtype), Math.ceil(n / 3))
      ])
    ),
  "sorts of special numbers": () =>
    [specials, [...specials, ...specials, ...specials]].flatMap((values) => [
      ...lax.sort([fromValues(values, [values.length]), fromValues(values.map((_, i) => i), [values.length], "int32")]),
      ...lax.topK(fromValues(values, [values.length]), values.length),
      ...lax.sort([
        fromValues(values.map((x) => x > 0 ? 1 : 0), [values.length], "bool"),
        fromValues(values, [values.length], "float16")
      ])
    ]),
  "running operations": (rng) =>
    numeric.flatMap((dtype) =>
      [0, 1, 2].flatMap((axis) =>
        [[3, 17, 5], [2, 9, 8]].flatMap((shape) => {
          const x = between(rng, -2, 2, shape, dtype)
          return [true, false].flatMap((reverse) => [
            lax.cumsum(x, axis, reverse),
            lax.cumprod(x, axis, reverse),
            lax.cummax(x, axis, reverse),
            lax.cummin(x, axis, reverse),
            ...(DType.isFloat(dtype) ? [lax.cumlogsumexp(x, axis, reverse)] : [])
          ])
        })
      )
    ),
  "running operations on special numbers": () => {
    const x = fromValues(specials, [14])
    const y = fromValues([-inf, -inf, 3, 800, -800, inf, 2], [7])
    return [lax.cummax(x, 0), lax.cummin(x, 0, true), lax.cumsum(x, 0), lax.cumlogsumexp(x, 0), lax.cumlogsumexp(y, 0)]
  },
  "the places of the largest and smallest": (rng) =>
    [...numeric, "bool" as const].flatMap((dtype) =>
      [[3, 17, 5], [2, 9, 8], [4, 7, 33]].flatMap((shape) => {
        const x = between(rng, 0, 3, shape, dtype)
        return [0, 1, 2].flatMap((axis) => [lax.argmax(x, axis), lax.argmin(x, axis), lax.argmax(x, axis, "uint8")])
      })
    ),
  "the places of special numbers": () =>
    [14, 7].flatMap((n) => {
      const x = fromValues(specials, [14 / n, n])
      const y = fromValues(specials.map((v) => Number.isNaN(v) ? 9 : v), [14 / n, n])
      return [x, y].flatMap((v) => [0, 1].flatMap((axis) => [lax.argmax(v, axis), lax.argmin(v, axis)]))
    }),
  "windows": (rng) =>
    (["float32", "int32", "uint8", "bfloat16"] as const).flatMap((dtype) =>
      [
        lax.reduceWindowSum,
        lax.reduceWindowMax,
        lax.reduceWindowMin
      ].flatMap((reduce) =>
        [1, 4, 7].flatMap((channels) => {
          const x = tensor(rng, [2, 8, 10, channels], dtype)
          return [
            reduce(x, window([1, 2, 2, 1], { window_strides: [1, 2, 2, 1] })),
            reduce(
              x,
              window([1, 3, 3, 1], { padding: [[0, 0], [1, 1], [2, 0], [0, 0]], window_strides: [1, 2, 1, 1] })
            ),
            reduce(
              x,
              window([1, 2, 3, 1], { window_dilation: [1, 3, 2, 1], padding: [[0, 0], [0, 2], [0, 0], [0, 0]] })
            ),
            reduce(
              x,
              window([1, 3, 2, 1], { base_dilation: [1, 2, 3, 1], padding: [[0, 0], [1, 0], [-1, 2], [0, 0]] })
            ),
            reduce(x, window([2, 1, 1, channels])),
            reduce(x, window([1, 8, 10, 1])),
            reduce(x, window([1, 1, 1, 1], { padding: [[1, 0], [0, 0], [0, 0], [0, 0]] }))
          ]
        })
      )
    ),
  "the best of windows": (rng) =>
    (["float32", "int32", "uint8", "float16"] as const).flatMap((dtype) =>
      (["ge", "le"] as const).flatMap((select_prim) =>
        [1, 4, 7].flatMap((channels) => {
          const x = between(rng, 0, 4, [2, 8, 6, channels], dtype)
          const pools = [
            window([1, 2, 2, 1], { window_strides: [1, 2, 2, 1] }),
            window([1, 3, 3, 1], { window_strides: [1, 2, 2, 1] }),
            window([1, 3, 3, 1], { padding: [[0, 0], [1, 1], [2, 2], [0, 0]], window_strides: [1, 2, 3, 1] }),
            window([1, 1, 1, 1], { padding: [[0, 0], [1, 1], [0, 0], [0, 0]] }),
            window([2, 2, 2, 1])
          ]
          return pools.flatMap((params) => {
            const { base_dilation: _, window_dilation: __, ...p } = params
            const source = tensor(rng, windowShape(x.shape, params), dtype)
            return [
              lax.selectAndScatterAdd(source, x, { ...p, select_prim }),
              lax.selectAndGatherAdd(tensor(rng, x.shape, dtype), x, { ...p, select_prim })
            ]
          })
        })
      )
    ),
  "the best of windows with special numbers": (rng) => {
    const x = fromValues([...specials, 0, 1], [1, 4, 4])
    const p = { window_dimensions: [1, 2, 2], window_strides: [1, 1, 1], padding: [[0, 0], [0, 0], [0, 0]] as const }
    return (["ge", "le"] as const).map((select_prim) =>
      lax.selectAndScatterAdd(tensor(rng, [1, 3, 3]), x, { ...p, select_prim })
    )
  },
  "joined and padded": (rng) =>
    [...numeric, "bool" as const].flatMap((dtype) => [
      lax.concatenate([tensor(rng, [2, 3, 5], dtype), tensor(rng, [2, 1, 5], dtype), tensor(rng, [2, 0, 5], dtype)], 1),
      lax.concatenate([tensor(rng, [300], dtype), tensor(rng, [7], dtype)], 0),
      lax.pad(tensor(rng, [4, 6], dtype), tensor(rng, [], dtype), [[1, 2, 1], [-1, 3, 0]]),
      lax.pad(tensor(rng, [9], dtype), Tensors.literal(1, dtype), [[-2, -2, 2]])
    ])
}

describe("irregular kernels", () => {
  for (const [what, make] of Object.entries(cases)) {
    it.effect(what, () =>
      Effect.gen(function*() {
        const expected = yield* Effect.forEach(make(random(3)), (x) => toTypedArray(x)).pipe(Effect.provide(cpu))
        const xs = make(random(3))
        yield* compute(...xs)
        const found = yield* Effect.forEach(xs, (x) => toTypedArray(x))
        yield* nothingLivesBut(...xs)
        for (const [i, x] of xs.entries()) {
          const eps = DType.isFloat(x.dtype) ? DType.finfo(x.dtype).eps : 0
          assert.strictEqual(found[i].length, expected[i].length)
          const name = `${what}, number ${i}: ${x.source._tag} ${x.dtype}[${x.shape.join()}]`
          assertClose(found[i], expected[i], { rtol: 4 * eps, atol: 8 * eps }, name)
        }
      }).pipe(Effect.provide(naive)))
  }
})
