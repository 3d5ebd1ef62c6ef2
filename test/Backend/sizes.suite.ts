// What depends on size: kernels for many elements are others than those for few (tiles, several passes, networks, two
// dispatch dimensions). Compared with the cpu backend, which has one way for all sizes, on odd sizes.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type { Backend } from "../../src/Backend/Backend.ts"
import { compute, toTypedArray } from "../../src/Backend/read.ts"
import { layer as cpu } from "../../src/Backend/Tfjs/Cpu/index.ts"
import * as DType from "../../src/Tensor/DType.ts"
import * as lax from "../../src/Tensor/lax/index.ts"
import * as Shape from "../../src/Tensor/Shape.ts"
import type { Tensor } from "../../src/Tensor/Tensor.ts"
import { between, type Random, random, tensor } from "../support/arbitrary.ts"
import { assertClose } from "../support/close.ts"
import { nothingLivesBut } from "../support/results.ts"

/**
 * One case: given random numbers, arrays to compute. `scale` is how large the sums in them are. `terms`, if it is in the
 * thousands, is how many terms they have: added up one after the other in float32, their rounding errors are a random
 * walk of that many steps of at most half a unit.
 */
interface Case {
  readonly make: (rng: Random) => ReadonlyArray<Tensor>
  readonly scale?: number
  readonly terms?: number
}

const batchless = (i: number, j: number): lax.DotDimensionNumbers => ({ contracting: [[i], [j]], batch: [[], []] })

const channelsLast = { lhs_spec: [0, 3, 1, 2], rhs_spec: [3, 2, 0, 1], out_spec: [0, 3, 1, 2] }

const conv = (
  rng: Random,
  x: Shape.Shape,
  y: Shape.Shape,
  params: Partial<lax.ConvParams>,
  dtype: DType.DType = "float32"
) =>
  lax.convGeneralDilated(tensor(rng, x, dtype), tensor(rng, y, dtype), {
    window_strides: [1, 1],
    padding: [[0, 0], [0, 0]],
    lhs_dilation: [1, 1],
    rhs_dilation: [1, 1],
    dimension_numbers: channelsLast,
    feature_group_count: 1,
    batch_group_count: 1,
    preferred_element_type: null,
    ...params
  })

const rows = (size: number) => ({
  gather: {
    dimension_numbers: {
      offset_dims: [1],
      collapsed_slice_dims: [0],
      start_index_map: [0],
      operand_batching_dims: [],
      start_indices_batching_dims: []
    },
    slice_sizes: [1, size],
    mode: "fill_or_drop" as const,
    fill_value: null
  },
  scatter: {
    dimension_numbers: {
      update_window_dims: [1],
      inserted_window_dims: [0],
      scatter_dims_to_operand_dims: [0],
      operand_batching_dims: [],
      scatter_indices_batching_dims: []
    },
    mode: "fill_or_drop" as const,
    unique_indices: false
  }
})

const points: lax.ScatterParams = {
  dimension_numbers: {
    update_window_dims: [],
    inserted_window_dims: [0],
    scatter_dims_to_operand_dims: [0],
    operand_batching_dims: [],
    scatter_indices_batching_dims: []
  },
  mode: "clip",
  unique_indices: false
}

const cases: Readonly<Record<string, Case>> = {
  "matrix products, transposed or not": {
    scale: 100,
    make: (rng) => [
      lax.dotGeneral(tensor(rng, [101, 131]), tensor(rng, [131, 67]), batchless(1, 0)),
      lax.dotGeneral(tensor(rng, [131, 101]), tensor(rng, [131, 67]), batchless(0, 0)),
      lax.dotGeneral(tensor(rng, [101, 131]), tensor(rng, [67, 131]), batchless(1, 1)),
      lax.dotGeneral(tensor(rng, [131, 101]), tensor(rng, [67, 131]), batchless(0, 1)),
      lax.dotGeneral(tensor(rng, [128, 128]), tensor(rng, [128, 128]), batchless(1, 0)),
      lax.dotGeneral(tensor(rng, [1, 700]), tensor(rng, [700, 501]), batchless(1, 0)),
      lax.dotGeneral(tensor(rng, [33, 31]), tensor(rng, [31, 35]), batchless(1, 0))
    ]
  },
  "matrix products with batches, as attention has them": {
    scale: 100,
    make: (rng) => {
      const [q, k] = [tensor(rng, [2, 65, 4, 32]), tensor(rng, [2, 61, 4, 32])]
      return [
        lax.dotGeneral(q, k, { contracting: [[3], [3]], batch: [[0, 2], [0, 2]] }),
        lax.dotGeneral(tensor(rng, [2, 4, 65, 61]), k, { contracting: [[3], [1]], batch: [[0, 1], [0, 2]] })
      ]
    }
  },
  "matrix products over long axes": {
    scale: 1000,
    make: (rng) => [
      lax.dotGeneral(tensor(rng, [8, 5003]), tensor(rng, [5003, 12]), batchless(1, 0)),
      lax.dotGeneral(tensor(rng, [5003, 8]), tensor(rng, [5003, 12]), batchless(0, 0)),
      lax.dotGeneral(tensor(rng, [70001]), tensor(rng, [70001]), batchless(0, 0)),
      lax.dotGeneral(tensor(rng, [3, 9, 2000]), tensor(rng, [3, 2000, 9]), {
        contracting: [[2], [1]],
        batch: [[0], [0]]
      })
    ]
  },
  "matrix products of other dtypes": {
    scale: 20,
    make: (rng) => [
      ...(["int32", "uint32", "int8", "bfloat16", "float16"] as const).map((dtype) =>
        lax.dotGeneral(tensor(rng, [65, 129], dtype), tensor(rng, [129, 70], dtype), batchless(1, 0))
      ),
      lax.dotGeneral(
        tensor(rng, [65, 129], "bfloat16"),
        tensor(rng, [129, 70], "bfloat16"),
        batchless(1, 0),
        "float32"
      ),
      lax.dotGeneral(tensor(rng, [65, 9], "int8"), tensor(rng, [9, 70], "int8"), batchless(1, 0), "int32")
    ]
  },
  "convolutions of images": {
    scale: 200,
    make: (rng) => [
      conv(rng, [2, 28, 28, 8], [3, 3, 8, 32], { padding: [[1, 1], [1, 1]] }),
      conv(rng, [2, 29, 27, 8], [3, 3, 8, 32], { padding: [[0, 1], [1, 0]], window_strides: [2, 2] }),
      conv(rng, [1, 28, 28, 8], [3, 3, 8, 33], { rhs_dilation: [2, 3] }),
      conv(rng, [2, 28, 28, 17], [1, 1, 17, 65], {}),
      conv(rng, [33, 5, 5, 16], [5, 5, 16, 81], {}),
      conv(rng, [1, 14, 14, 8], [3, 3, 8, 32], { padding: [[2, 3], [2, 3]], lhs_dilation: [2, 2] }),
      conv(rng, [1, 28, 28, 8], [3, 3, 8, 32], { padding: [[1, 1], [1, 1]] }, "bfloat16"),
      conv(rng, [1, 28, 28, 8], [3, 3, 1, 32], { feature_group_count: 8 })
    ]
  },
  "the gradient of a convolution's kernel": {
    scale: 100,
    terms: 8 * 26 * 26,
    make: (rng) => [
      conv(rng, [8, 28, 28, 3], [26, 26, 8, 16], {
        dimension_numbers: { lhs_spec: [3, 0, 1, 2], rhs_spec: [3, 2, 0, 1], out_spec: [2, 3, 0, 1] }
      })
    ]
  },
  "reductions of many elements": {
    scale: 300,
    make: (rng) => {
      const [long, wide, ints] = [tensor(rng, [100003]), tensor(rng, [301, 703]), tensor(rng, [3, 20011], "int32")]
      const tall = tensor(rng, [129, 1031])
      return [
        ...[long, tensor(rng, [100003], "bfloat16")].flatMap((
          x
        ) => [lax.reduceSum(x), lax.reduceMax(x), lax.reduceMin(x)]),
        ...[wide, tall].flatMap((x) => [0, 1].flatMap((axis) => [lax.reduceSum(x, axis), lax.reduceMax(x, axis)])),
        lax.reduceSum(tensor(rng, [31, 33, 35]), [0, 2]),
        lax.reduceSum(ints, 1),
        lax.reduceSum(ints),
        lax.reduceOr(ints, 1),
        lax.reduceProd(between(rng, 0.99, 1.01, [5, 301]), 1)
      ]
    }
  },
  "the places of the largest and smallest of many": {
    make: (rng) => {
      const xs = [tensor(rng, [10007]), tensor(rng, [10007], "int8"), tensor(rng, [3, 701, 5]), tensor(rng, [70, 2053])]
      return xs.flatMap((x) => Shape.range(x.ndim).flatMap((axis) => [lax.argmax(x, axis), lax.argmin(x, axis)]))
    }
  },
  "running sums of long lines": {
    scale: 100,
    make: (rng) => [lax.cumsum(tensor(rng, [5003]), 0), lax.cumsum(tensor(rng, [3, 701, 5]), 1, true)]
  },
  "sorts of long lines": {
    make: (rng) => [
      lax.sort([tensor(rng, [1009])])[0],
      ...lax.sort([tensor(rng, [1009], "int8"), lax.iota("int32", [1009], 0)]),
      ...lax.sort(
        [tensor(rng, [3, 701, 2], "uint8"), tensor(rng, [3, 701, 2]), lax.iota("int32", [3, 701, 2], 1)],
        1,
        2
      ),
      ...lax.topK(tensor(rng, [3, 701]), 50),
      ...lax.topK(tensor(rng, [3, 701], "int8"), 50),
      ...lax.sort(Shape.range(9).map((k) => tensor(rng, [300], k === 0 ? "int8" : "float32")))
    ]
  },
  "rows of a table, fetched and added to": {
    scale: 4,
    make: (rng) => {
      const table = tensor(rng, [1000, 64])
      const at = between(rng, -20, 1020, [513, 1], "int32")
      const few = between(rng, 0, 7, [513, 1], "int32")
      const { gather, scatter } = rows(64)
      return [
        lax.gather(table, at, gather),
        lax.scatterAdd(table, at, tensor(rng, [513, 64]), scatter),
        lax.scatterAdd(table, few, tensor(rng, [513, 64]), scatter),
        lax.scatter(table, few, tensor(rng, [513, 64]), scatter),
        lax.scatterAdd(
          tensor(rng, [999], "int32"),
          between(rng, 0, 999, [5003, 1], "int32"),
          tensor(rng, [5003], "int32"),
          points
        ),
        lax.scatterMax(tensor(rng, [9]), between(rng, 0, 9, [5003, 1], "int32"), tensor(rng, [5003]), points)
      ]
    }
  },
  "more operands than a shader has buffers": {
    make: (rng) => [
      lax.concatenate(Shape.range(20).map((k) => tensor(rng, [3, k, 2])), 1),
      lax.concatenate(Shape.range(20).map((k) => tensor(rng, [k, 2], "uint8")), 0),
      lax.selectN(between(rng, -2, 20, [77], "int32"), ...Shape.range(17).map(() => tensor(rng, [77]))),
      lax.selectN(between(rng, 0, 1, [77], "int32"), tensor(rng, [77])),
      lax.dynamicSlice(
        tensor(rng, [2, 2, 2, 2, 2, 2]),
        Shape.range(6).map((k) => between(rng, 0, 2, [], k % 2 ? "int32" : "uint32")),
        [
          1,
          2,
          1,
          2,
          1,
          2
        ]
      )
    ]
  },
  "more elements than one dimension of workgroups": {
    make: (rng) => {
      const x = lax.iota("int32", [65536 * 64 + 77], 0)
      const many = lax.add(x, lax.rev(x, [0]))
      return [
        lax.reduceMax(many),
        lax.reduceMin(many),
        lax.reduceMax(x),
        lax.slice(lax.mul(x, x), [x.size - 5], [x.size]),
        tensor(rng, [])
      ]
    }
  }
}

/** Registers the tests for one backend. */
export const sizeSuite = (name: string, layer: Layer.Layer<Backend, unknown>): void => {
  describe(`sizes on ${name}`, () => {
    for (const [what, { make, scale = 1, terms = 0 }] of Object.entries<Case>(cases)) {
      it.effect(what, () =>
        Effect.gen(function*() {
          const expected = yield* Effect.forEach(make(random(7)), (x) => toTypedArray(x)).pipe(Effect.provide(cpu))
          const xs = make(random(7))
          // All in one run: what a second run would need again is kept, and freed only when it is collected.
          yield* compute(...xs)
          const found = yield* Effect.forEach(xs, (x) => toTypedArray(x))
          yield* nothingLivesBut(...xs)
          for (const [i, x] of xs.entries()) {
            const eps = DType.isFloat(x.dtype) ? DType.finfo(x.dtype).eps : 0
            // A 16-bit float is off by a whole unit where the wider sum is off by a little.
            const atol = x.dtype === "float32" ? eps * scale * Math.max(4, Math.sqrt(terms) / 2) : eps
            assert.deepStrictEqual(x.size, expected[i].length)
            assertClose(found[i], expected[i], { rtol: 8 * eps, atol }, `${what}, number ${i}`)
          }
        }).pipe(Effect.provide(layer)))
    }
  })
}
