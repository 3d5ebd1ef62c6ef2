// Where backends go wrong: nan, infinities, signed zeros, overflow, ties. The expected values are what JAX gives on a
// CPU (integers wrap, nan wins every max and min, sorts last, and is the first index).
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type { Backend } from "../../src/Backend/Backend.ts"
import { toTypedArray } from "../../src/Backend/read.ts"
import type * as DType from "../../src/Tensor/DType.ts"
import * as lax from "../../src/Tensor/lax/index.ts"
import type { Tensor } from "../../src/Tensor/Tensor.ts"
import { fromValues } from "../support/arbitrary.ts"
import { nothingLivesBut } from "../support/results.ts"

const { NaN: nan, POSITIVE_INFINITY: inf } = Number

const vector = (values: ReadonlyArray<number>, dtype: DType.DType = "float32") =>
  fromValues(values, [values.length], dtype)

const cases: Readonly<Record<string, readonly [Tensor, ReadonlyArray<number>]>> = {
  "max keeps nan": [lax.max(vector([nan, 1, -inf]), vector([1, nan, inf])), [nan, nan, inf]],
  "min keeps nan": [lax.min(vector([nan, 1, -inf]), vector([1, nan, inf])), [nan, nan, -inf]],
  "reduceMax of a row keeps nan": [lax.reduceMax(fromValues([1, nan, 5, 2, -inf, 3], [2, 3]), [1]), [nan, 3]],
  "reduceMin of a row keeps nan": [lax.reduceMin(fromValues([1, nan, 5, 2, -inf, 3], [2, 3]), [1]), [nan, -inf]],
  "reduceMax of columns keeps nan": [lax.reduceMax(fromValues([1, nan, 5, 2, -inf, 3], [2, 3]), [0]), [2, nan, 5]],
  "reduceMin of columns keeps nan": [lax.reduceMin(fromValues([1, nan, 5, 2, -inf, 3], [2, 3]), [0]), [1, nan, 3]],
  "reduceMax of nothing": [lax.reduceMax(fromValues([], [2, 0]), [1]), [-inf, -inf]],
  "reduceMin of nothing, int32": [lax.reduceMin(fromValues([], [0, 1], "int32"), [0]), [2147483647]],
  "reduceMax of nothing, uint8": [lax.reduceMax(fromValues([], [0, 1], "uint8"), [0]), [0]],
  "reduceProd of nothing": [lax.reduceProd(fromValues([], [1, 0]), [1]), [1]],
  "reduceAnd of nothing": [lax.reduceAnd(fromValues([], [1, 0], "bool"), [1]), [1]],
  "reduceSum of infinities": [lax.reduceSum(fromValues([inf, -inf, inf, 1], [2, 2]), [1]), [nan, inf]],
  "reduceSum wraps": [lax.reduceSum(vector([2147483647, 1], "int32")), [-2147483648]],
  "reduceSum wraps, uint8": [lax.reduceSum(vector([255, 2], "uint8")), [1]],
  "reduceProd wraps": [lax.reduceProd(vector([123456789, 987654321], "int32")), [-67153019]],
  "cummax keeps nan": [lax.cummax(vector([1, nan, 2]), 0), [1, nan, nan]],
  "argmax finds the first nan": [lax.argmax(vector([1, nan, 5, nan]), 0), [1]],
  "argmin finds the first nan": [lax.argmin(vector([1, nan, 5, nan]), 0), [1]],
  "argmax takes the first of equals": [lax.argmax(vector([1, 3, 3]), 0), [1]],
  "sort puts nan last": [lax.sort([vector([nan, 2, -inf, inf, -1])])[0], [-inf, -1, 2, inf, nan]],
  "sort is stable": [lax.sort([vector([2, 1, 2, 1]), vector([0, 1, 2, 3], "int32")])[1], [1, 3, 0, 2]],
  "sort is stable between zeros": [lax.sort([vector([0, -0, 0]), vector([0, 1, 2], "int32")])[1], [0, 1, 2]],
  "topK takes nan first": [lax.topK(vector([1, nan, 5]), 2)[0], [nan, 5]],
  "topK takes the lower index among equals": [lax.topK(vector([3, 5, 5, 1]), 3)[1], [1, 2, 0]],
  "reduceWindowMax keeps nan": [
    lax.reduceWindowMax(vector([1, nan, 2, 3]), {
      window_dimensions: [2],
      window_strides: [2],
      padding: [[0, 0]],
      base_dilation: [1],
      window_dilation: [1]
    }),
    [nan, 3]
  ],
  "the first of equals is selected": [
    lax.selectAndScatterAdd(fromValues([1], [1, 1]), fromValues([2, 2, 2, 2], [2, 2]), {
      select_prim: "ge",
      window_dimensions: [2, 2],
      window_strides: [1, 1],
      padding: [[0, 0], [0, 0]]
    }),
    [1, 0, 0, 0]
  ],
  "int32 wraps in sums": [lax.add(vector([2147483647], "int32"), vector([1], "int32")), [-2147483648]],
  "int32 wraps in products": [lax.mul(vector([2147483647], "int32"), vector([3], "int32")), [2147483645]],
  "uint32 wraps in products": [lax.mul(vector([4294967295], "uint32"), vector([4294967295], "uint32")), [1]],
  "int8 wraps": [lax.add(vector([127], "int8"), vector([1], "int8")), [-128]],
  "neg of the lowest": [lax.neg(vector([-2147483648], "int32")), [-2147483648]],
  "neg of unsigned wraps": [lax.neg(vector([1, 0], "uint8")), [255, 0]],
  "integers divide towards zero": [lax.div(vector([-7, 7], "int32"), vector([2, -2], "int32")), [-3, -3]],
  "rem has the dividend's sign": [lax.rem(vector([-7, 7], "int32"), vector([3, -3], "int32")), [-1, 1]],
  "integers by zero": [lax.div(vector([5, -5], "int32"), vector([0, 0], "int32")), [-1, -1]],
  "unsigned by zero": [lax.div(vector([5], "uint32"), vector([0], "uint32")), [4294967295]],
  "rem by zero": [lax.rem(vector([5, -5], "int32"), vector([0, 0], "int32")), [5, -5]],
  "round: halves to even": [lax.round(vector([0.5, 1.5, 2.5, -0.5, -1.5])), [0, 2, 2, -0, -2]],
  "pow of one and of minus one": [lax.pow(vector([1, -1, 0, nan]), vector([nan, inf, 0, 0])), [1, 1, 1, 1]],
  "sign of nan and zeros": [lax.sign(vector([nan, -0, 0, -inf])), [nan, -0, 0, -1]],
  "floats to int32 saturate": [
    lax.convertElementType(vector([1e10, -1e10, nan, -1.9, inf]), "int32"),
    [2147483647, -2147483648, 0, -1, 2147483647]
  ],
  "floats to uint8 saturate": [lax.convertElementType(vector([300, -3, 2.7]), "uint8"), [255, 0, 2]],
  "nan is true": [lax.convertElementType(vector([nan, 0, -0, 0.1]), "bool"), [1, 0, 0, 1]],
  "float16 overflows": [lax.mul(vector([300], "float16"), vector([300], "float16")), [inf]],
  "bfloat16 rounds to even": [lax.convertElementType(vector([1.00390625, 1.01171875]), "bfloat16"), [1, 1.015625]],
  "comparisons with nan": [lax.ne(vector([nan, 1]), vector([nan, 1])), [1, 0]],
  "gather fills with nan": [
    lax.gather(vector([1, 2]), fromValues([5, 1], [2, 1], "int32"), {
      dimension_numbers: {
        offset_dims: [],
        collapsed_slice_dims: [0],
        start_index_map: [0],
        operand_batching_dims: [],
        start_indices_batching_dims: []
      },
      slice_sizes: [1],
      mode: "fill_or_drop",
      fill_value: null
    }),
    [nan, 2]
  ]
}

/** Registers the tests for one backend. */
export const edgeSuite = (name: string, layer: Layer.Layer<Backend, unknown>): void => {
  describe(`edges on ${name}`, () => {
    for (const [what, [x, expected]] of Object.entries(cases)) {
      it.effect(what, () =>
        Effect.gen(function*() {
          assert.deepStrictEqual(Array.from(yield* toTypedArray(x)), [...expected])
          yield* nothingLivesBut(x)
        }).pipe(Effect.provide(layer)))
    }
  })
}
