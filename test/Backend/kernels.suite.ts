// What every backend must compute: each primitive on odd shapes and all dtypes, compared with the naive evaluator of
// test/support/reference. The backend is given; nothing here knows which.
import { describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type { Backend } from "../../src/Backend/Backend.ts"
import { compute, toTypedArray } from "../../src/Backend/read.ts"
import * as DType from "../../src/Tensor/DType.ts"
import * as lax from "../../src/Tensor/lax/index.ts"
import * as Shape from "../../src/Tensor/Shape.ts"
import type { Tensor } from "../../src/Tensor/Tensor.ts"
import * as arbitrary from "../support/arbitrary.ts"
import { assertClose } from "../support/close.ts"
import { evaluate } from "../support/reference/index.ts"
import { nothingLivesBut } from "../support/results.ts"

/** The functions by name. */
const functions = { ...lax }

/** One case: arrays to compute. */
interface Case {
  readonly name: string
  readonly make: () => ReadonlyArray<Tensor>
}

const shapes: ReadonlyArray<Shape.Shape> = [[], [0], [1], [7], [33], [2, 0, 3], [3, 1, 5], [257], [2, 3, 4, 5]]

const rng = arbitrary.random(1)

const floats: ReadonlyArray<DType.DType> = ["float32", "float16", "bfloat16"]
const integers: ReadonlyArray<DType.DType> = ["int32", "uint32", "int8", "uint8"]
const numbers = [...floats, ...integers]
const everything: ReadonlyArray<DType.DType> = [...numbers, "bool"]

/** Relative precision of a dtype, with room for a library's own exp. */
const tolerance = (dtype: DType.DType) => {
  if (!DType.isFloat(dtype)) return { rtol: 0, atol: 0 }
  const { eps } = DType.finfo(dtype)
  return { rtol: 4 * eps, atol: 4 * eps }
}

const each = <A>(xs: ReadonlyArray<A>, f: (x: A) => ReadonlyArray<Case>): ReadonlyArray<Case> => xs.flatMap(f)

const unary = (
  names: ReadonlyArray<string>,
  dtypes: ReadonlyArray<DType.DType>,
  low: number,
  high: number
): ReadonlyArray<Case> =>
  each(names, (name) =>
    each(dtypes, (dtype) => [{
      name: `${name} ${dtype}`,
      make: () =>
        shapes.map((shape) =>
          (lax as unknown as Record<string, (x: Tensor) => Tensor>)[name](
            arbitrary.between(rng, low, high, shape, dtype)
          )
        )
    }]))

const binary = (
  names: ReadonlyArray<string>,
  dtypes: ReadonlyArray<DType.DType>,
  draw: (shape: Shape.Shape, dtype: DType.DType) => Tensor = (shape, dtype) => arbitrary.tensor(rng, shape, dtype),
  second = draw
): ReadonlyArray<Case> =>
  each(names, (name) =>
    each(dtypes, (dtype) => [{
      name: `${name} ${dtype}`,
      make: () =>
        shapes.map((shape) =>
          (lax as unknown as Record<string, (x: Tensor, y: Tensor) => Tensor>)[name](
            draw(shape, dtype),
            second(shape, dtype)
          )
        )
    }]))

const elementwise: ReadonlyArray<Case> = [
  ...unary(["neg", "abs", "sign", "square"], ["float32", "float16", "bfloat16", "int32", "int8"], -9, 9),
  ...unary(["floor", "ceil", "round", "exp", "exp2", "expm1", "sin", "cos", "tan", "atan"], floats, -3, 3),
  ...unary(["sinh", "cosh", "tanh", "asinh", "cbrt", "logistic", "erf", "erfc", "isFinite"], floats, -3, 3),
  ...unary(["log", "sqrt", "rsqrt", "lgamma", "digamma"], ["float32"], 0.1, 9),
  ...unary(["log1p", "asin", "acos", "atanh", "erfInv"], ["float32"], -0.9, 0.9),
  ...unary(["acosh"], ["float32"], 1.1, 9),
  ...unary(["not"], ["int32", "uint8", "bool"], 0, 2),
  ...binary(["add", "sub", "mul"], numbers),
  ...binary(["max", "min", "eq", "ne", "lt", "le", "gt", "ge"], everything),
  ...binary(["and", "or", "xor"], [...integers, "bool"]),
  ...binary(["div", "rem"], numbers, undefined, (shape, dtype) => arbitrary.between(rng, 1, 9, shape, dtype)),
  ...binary(["atan2"], floats),
  ...binary(["pow"], floats, (shape, dtype) => arbitrary.between(rng, 0.1, 2, shape, dtype)),
  ...each([-3, -1, 0, 1, 2, 3, 5], (y) => [{
    name: `integerPow ${y}`,
    make: () => [lax.integerPow(arbitrary.tensor(rng, [7]), y)]
  }]),
  ...each([0, 1, 2, 3, 7], (y) => [{
    name: `integerPow ${y} int32`,
    make: () => [lax.integerPow(arbitrary.tensor(rng, [7], "int32"), y)]
  }]),
  // Numbers that the target has not are left to the golden numbers.
  ...each(
    everything,
    (from) =>
      each(everything.filter((to) => !(DType.isFloat(from) && DType.isUnsigned(to))), (to) => [{
        name: `convert ${from} to ${to}`,
        make: () => [lax.convertElementType(arbitrary.tensor(rng, [33], from), to)]
      }])
  ),
  {
    name: "selectN",
    make: () => [
      lax.selectN(arbitrary.tensor(rng, [3, 5], "bool"), arbitrary.tensor(rng, [3, 5]), arbitrary.tensor(rng, [3, 5])),
      lax.selectN(
        arbitrary.between(rng, 0, 3, [33], "int32"),
        ...Shape.range(3).map(() => arbitrary.tensor(rng, [33], "bfloat16"))
      )
    ]
  },
  {
    name: "clamp",
    make: () => [lax.clamp(
      arbitrary.between(rng, -1, 0, [33]),
      arbitrary.tensor(rng, [33]),
      arbitrary.between(rng, 0, 1, [33])
    )]
  }
]

const shaping: ReadonlyArray<Case> = each(everything, (dtype) => {
  const x = (...shape: ReadonlyArray<number>) => arbitrary.tensor(rng, shape, dtype)
  return [{
    name: `shaping ${dtype}`,
    make: () => [
      lax.broadcastInDim(x(3), [2, 3, 4], [1]),
      lax.broadcastInDim(x(1, 3), [5, 4, 3], [1, 2]),
      lax.broadcastInDim(x(), [2, 0], []),
      lax.reshape(x(4, 3), [2, 6]),
      lax.squeeze(x(1, 3, 1), [0, 2]),
      lax.transpose(x(2, 3, 4), [2, 0, 1]),
      lax.transpose(x(2, 1, 33), [1, 2, 0]),
      lax.slice(x(7, 5), [1, 0], [6, 5], [2, 3]),
      lax.slice(x(7, 5), [2, 0], [5, 5]),
      lax.slice(x(7, 5), [2, 1], [2, 3]),
      lax.concatenate([x(2, 3), x(2, 0), x(2, 4)], 1),
      lax.concatenate([x(1, 3), x(4, 3)], 0),
      lax.pad(x(3, 4), x(), [[1, 2, 1], [-1, 0, 2]]),
      lax.pad(x(5), x(), [[-2, -1, 0]]),
      lax.pad(x(4), x(), [[-2, 1, 2]]),
      lax.pad(x(0, 2), x(), [[1, 1, 0], [0, 0, 0]]),
      lax.rev(x(3, 4), [0, 1]),
      lax.rev(x(3, 4, 2), [1]),
      ...(dtype === "bool" ? [] : [lax.iota(dtype, [3, 4, 2], 1), lax.iota(dtype, [0], 0), lax.iota(dtype, [7], 0)])
    ]
  }]
})

const reductions: ReadonlyArray<Case> = [
  ...each(["reduceSum", "cumsum"] as const, (name) => each(numbers, (dtype) => [reduceCase(name, dtype)])),
  // Products of integers soon leave what the reference's doubles hold.
  ...each(["reduceProd", "cumprod"] as const, (name) => each(floats, (dtype) => [reduceCase(name, dtype)])),
  ...each(["reduceMax", "reduceMin"] as const, (name) => each(everything, (dtype) => [reduceCase(name, dtype)])),
  ...each(["cummax", "cummin"] as const, (name) => each(numbers, (dtype) => [reduceCase(name, dtype)])),
  ...each(["reduceAnd", "reduceOr"] as const, (name) => [reduceCase(name, "bool"), reduceCase(name, "int32")]),
  reduceCase("cumlogsumexp", "float32"),
  ...each(["argmax", "argmin"] as const, (name) =>
    each(everything, (dtype) => [{
      name: `${name} ${dtype}`,
      make: () => [0, 1, 2].map((axis) => functions[name](arbitrary.tensor(rng, [3, 7, 2], dtype), axis))
    }]))
]

function reduceCase(
  name:
    | "reduceSum"
    | "reduceProd"
    | "reduceMax"
    | "reduceMin"
    | "reduceAnd"
    | "reduceOr"
    | "cumsum"
    | "cumprod"
    | "cummax"
    | "cummin"
    | "cumlogsumexp",
  dtype: DType.DType
): Case {
  const x = (...shape: ReadonlyArray<number>) => arbitrary.tensor(rng, shape, dtype)
  return {
    name: `${name} ${dtype}`,
    make: () => {
      switch (name) {
        case "cumsum":
        case "cumprod":
        case "cummax":
        case "cummin":
        case "cumlogsumexp":
          return [
            functions[name](x(5, 3), 0),
            functions[name](x(5, 3), 1, true),
            functions[name](x(0, 3), 0),
            functions[name](x(3, 1, 2), 1)
          ]
        default:
          return [[], [0], [1], [2], [0, 1], [0, 2], [1, 2], [0, 1, 2]].map((axes) => functions[name](x(3, 2, 7), axes))
            .concat([
              functions[name](x(0, 3), [0]),
              functions[name](x(3, 0), [1]),
              functions[name](x(3, 0), [0]),
              functions[name](x(257))
            ])
      }
    }
  }
}

const dots: ReadonlyArray<Case> = each([...floats, "int32", "uint32"] as const, (dtype) => {
  const x = (...shape: ReadonlyArray<number>) => arbitrary.tensor(rng, shape, dtype)
  const none = [[], []] as const
  return [{
    name: `dotGeneral ${dtype}`,
    make: () => [
      lax.dotGeneral(x(3, 5), x(5, 2), { contracting: [[1], [0]], batch: none }),
      lax.dotGeneral(x(5, 9), x(5, 6), { contracting: [[0], [0]], batch: none }),
      lax.dotGeneral(x(9, 7), x(10, 7), { contracting: [[1], [1]], batch: none }),
      lax.dotGeneral(x(2, 3, 5), x(2, 5, 4), { contracting: [[2], [1]], batch: [[0], [0]] }),
      lax.dotGeneral(x(3, 2, 5), x(5, 4, 2), { contracting: [[2], [0]], batch: [[1], [2]] }),
      lax.dotGeneral(x(3, 5, 2), x(2, 5, 3), { contracting: [[0, 1], [2, 1]], batch: none }),
      lax.dotGeneral(x(3), x(4), { contracting: none, batch: none }),
      lax.dotGeneral(x(7), x(7), { contracting: [[0], [0]], batch: none }),
      lax.dotGeneral(x(3, 0), x(0, 2), { contracting: [[1], [0]], batch: none }),
      lax.dotGeneral(x(0, 3), x(3, 2), { contracting: [[1], [0]], batch: none }),
      lax.dotGeneral(x(33, 31), x(31, 17), { contracting: [[1], [0]], batch: none }, "float32")
    ]
  }]
})

const conv = (
  x: Shape.Shape,
  y: Shape.Shape,
  options: Partial<lax.ConvParams>,
  dtype: DType.DType = "float32"
): Tensor => {
  const spatial = x.length - 2
  const ones = Shape.range(spatial).map(() => 1)
  const order = Shape.range(x.length)
  return lax.convGeneralDilated(arbitrary.tensor(rng, x, dtype), arbitrary.tensor(rng, y, dtype), {
    window_strides: ones,
    padding: ones.map(() => [0, 0] as const),
    lhs_dilation: ones,
    rhs_dilation: ones,
    dimension_numbers: { lhs_spec: order, rhs_spec: order, out_spec: order },
    feature_group_count: 1,
    batch_group_count: 1,
    preferred_element_type: null,
    ...options
  })
}

const channelsLast = { lhs_spec: [0, 3, 1, 2], rhs_spec: [3, 2, 0, 1], out_spec: [0, 3, 1, 2] }

const convolutions: ReadonlyArray<Case> = [{
  name: "convGeneralDilated",
  make: () => [
    conv([2, 3, 7, 5], [4, 3, 3, 2], {}),
    conv([2, 7, 5, 3], [3, 2, 3, 4], { dimension_numbers: channelsLast, padding: [[1, 1], [0, 2]] }),
    conv([2, 3, 9, 8], [4, 3, 3, 2], { window_strides: [2, 3], rhs_dilation: [2, 1] }),
    conv([2, 3, 4, 3], [4, 3, 3, 3], { lhs_dilation: [2, 3], padding: [[2, 1], [1, 2]] }),
    conv([2, 4, 5, 5], [6, 2, 3, 3], { feature_group_count: 2 }),
    conv([4, 3, 5, 5], [6, 3, 3, 3], { batch_group_count: 2 }),
    conv([1, 2, 9], [3, 2, 4], { padding: [[3, 3]] }),
    conv([1, 2, 9], [3, 2, 4], { padding: [[-1, 2]] }),
    conv([1, 2, 3, 4, 5], [2, 2, 2, 2, 2], {}),
    conv([0, 2, 3], [2, 2, 2], {}),
    conv([1, 2, 1], [2, 2, 3], {}),
    conv([3, 2], [4, 2], {}),
    conv([2, 3, 7], [4, 3, 3], {}, "int32"),
    conv([2, 3, 7], [4, 3, 3], {}, "bfloat16")
  ]
}]

const pooled = { window_dimensions: [2, 3], window_strides: [2, 1], padding: [[0, 1], [1, 1]] as const }
const undilated = { base_dilation: [1, 1], window_dilation: [1, 1] }

const windows: ReadonlyArray<Case> = [
  ...each(
    ["reduceWindowSum", "reduceWindowMax", "reduceWindowMin"] as const,
    (name) =>
      each(["float32", "int32", "bfloat16"] as const, (dtype) => [{
        name: `${name} ${dtype}`,
        make: () => {
          const x = arbitrary.tensor(rng, [5, 6], dtype)
          return [
            functions[name](x, { ...pooled, ...undilated }),
            functions[name](x, { ...pooled, base_dilation: [2, 1], window_dilation: [1, 2] }),
            functions[name](arbitrary.tensor(rng, [0, 6], dtype), { ...pooled, ...undilated }),
            functions[name](arbitrary.tensor(rng, [2, 5, 5, 3], dtype), {
              window_dimensions: [1, 2, 2, 1],
              window_strides: [1, 2, 2, 1],
              padding: [[0, 0], [0, 0], [1, 0], [0, 0]],
              base_dilation: [1, 1, 1, 1],
              window_dilation: [1, 1, 1, 1]
            })
          ]
        }
      }])
  ),
  ...each(["ge", "le"] as const, (select_prim) => [{
    name: `select and scatter, gather: ${select_prim}`,
    make: () => {
      const p = { select_prim, ...pooled }
      const x = arbitrary.distinct(rng, [5, 6])
      const source = arbitrary.tensor(rng, [3, 6])
      return [lax.selectAndScatterAdd(source, x, p), lax.selectAndGatherAdd(arbitrary.tensor(rng, [5, 6]), x, p)]
    }
  }])
]

const start = (n: number) => arbitrary.fromValues([n], [], "int32")
const index = (values: ReadonlyArray<number>, ...shape: ReadonlyArray<number>) =>
  arbitrary.fromValues(values, shape, "int32")

const gathers = (mode: lax.GatherScatterMode, dtype: DType.DType): ReadonlyArray<Tensor> => [
  // Rows of a matrix.
  lax.gather(arbitrary.tensor(rng, [5, 3], dtype), index([4, 0, 7, -1], 2, 2, 1), {
    dimension_numbers: {
      offset_dims: [2],
      collapsed_slice_dims: [0],
      start_index_map: [0],
      operand_batching_dims: [],
      start_indices_batching_dims: []
    },
    slice_sizes: [1, 3],
    mode,
    fill_value: null
  }),
  // Windows, the result's window axes first.
  lax.gather(arbitrary.tensor(rng, [5, 4], dtype), index([1, 2, 4, 3, 0, 0], 3, 2), {
    dimension_numbers: {
      offset_dims: [0, 1],
      collapsed_slice_dims: [],
      start_index_map: [1, 0],
      operand_batching_dims: [],
      start_indices_batching_dims: []
    },
    slice_sizes: [2, 3],
    mode,
    fill_value: 1
  }),
  // Along with a batch axis.
  lax.gather(arbitrary.tensor(rng, [2, 5, 3], dtype), index([0, 4, 9, 2], 2, 2, 1), {
    dimension_numbers: {
      offset_dims: [2],
      collapsed_slice_dims: [1],
      start_index_map: [1],
      operand_batching_dims: [0],
      start_indices_batching_dims: [0]
    },
    slice_sizes: [1, 1, 3],
    mode,
    fill_value: null
  })
]

const scatterNames = ["scatter", "scatterAdd", "scatterMul", "scatterMin", "scatterMax"] as const

const scatters = (mode: lax.GatherScatterMode, dtype: DType.DType, name: typeof scatterNames[number]) => [
  functions[name](
    arbitrary.tensor(rng, [5, 3], dtype),
    index([4, 0, 4, 8], 2, 2, 1),
    arbitrary.tensor(rng, [2, 2, 3], dtype),
    {
      dimension_numbers: {
        update_window_dims: [2],
        inserted_window_dims: [0],
        scatter_dims_to_operand_dims: [0],
        operand_batching_dims: [],
        scatter_indices_batching_dims: []
      },
      mode,
      unique_indices: false
    }
  ),
  functions[name](
    arbitrary.tensor(rng, [2, 5, 4], dtype),
    index([0, 1, 2, 9], 2, 2, 1),
    arbitrary.tensor(rng, [2, 2, 2], dtype),
    {
      dimension_numbers: {
        update_window_dims: [1],
        inserted_window_dims: [1],
        scatter_dims_to_operand_dims: [1],
        operand_batching_dims: [0],
        scatter_indices_batching_dims: [0]
      },
      mode,
      unique_indices: false
    }
  )
]

const indexing: ReadonlyArray<Case> = [
  ...each(everything, (dtype) => [{
    name: `dynamic slices ${dtype}`,
    make: () => [
      lax.dynamicSlice(arbitrary.tensor(rng, [5, 4], dtype), [start(2), start(3)], [2, 3]),
      lax.dynamicSlice(arbitrary.tensor(rng, [5], dtype), [start(-3)], [2]),
      lax.dynamicSlice(arbitrary.tensor(rng, [5], dtype), [start(1)], [0]),
      lax.dynamicUpdateSlice(arbitrary.tensor(rng, [5, 4], dtype), arbitrary.tensor(rng, [2, 3], dtype), [
        start(9),
        start(1)
      ])
    ]
  }]),
  ...each(["clip", "fill_or_drop"] as const, (mode) => [
    ...each(["float32", "int32", "bool", "uint8"] as const, (dtype) => [{
      name: `gather ${mode} ${dtype}`,
      make: () => gathers(mode, dtype)
    }]),
    ...each(scatterNames, (name) =>
      each(["float32", "int32", "bfloat16"] as const, (dtype) => [{
        name: `${name} ${mode} ${dtype}`,
        make: () => scatters(mode, dtype, name)
      }]))
  ])
]

const sorting: ReadonlyArray<Case> = each(everything, (dtype) => [{
  name: `sort, topK ${dtype}`,
  make: () => {
    const x = arbitrary.tensor(rng, [3, 7, 2], dtype)
    return [
      ...lax.sort([x], 1),
      ...lax.sort([x, arbitrary.tensor(rng, [3, 7, 2])], 0),
      ...lax.sort([arbitrary.tensor(rng, [33], "bool"), arbitrary.tensor(rng, [33], dtype)], 0, 2),
      ...lax.sort([arbitrary.tensor(rng, [0, 2], dtype)], 0),
      ...lax.topK(arbitrary.tensor(rng, [3, 7], dtype), 3),
      ...lax.topK(arbitrary.tensor(rng, [7], dtype), 0)
    ]
  }
}])

const random: ReadonlyArray<Case> = [{
  name: "threefry2x32",
  make: () => {
    const [k0, k1, a, b] = Shape.range(4).map(() => arbitrary.between(rng, 0, 2 ** 32, [33], "uint32"))
    return lax.threefry2x32(k0, k1, a, b)
  }
}]

const families = { elementwise, shaping, reductions, dots, convolutions, windows, indexing, sorting, random }

/** What a 16-bit float's result may be off by: products of many numbers round at each step. */
const slack: Readonly<Record<string, number>> = {
  reduceProd: 8,
  cumprod: 8,
  dotGeneral: 8,
  convGeneralDilated: 8,
  cumsum: 4,
  reduceSum: 4
}

/** Registers the tests for one backend. */
export const kernelSuite = (name: string, layer: Layer.Layer<Backend, unknown>): void => {
  describe(`kernels of ${name}`, () => {
    for (const [family, cases] of Object.entries(families)) {
      describe(family, () => {
        for (const { make, name } of cases) {
          it.effect(name, () =>
            Effect.gen(function*() {
              const xs = make()
              const expected = evaluate(xs)
              yield* compute(...xs)
              for (let i = 0; i < xs.length; i++) {
                const { atol, rtol } = tolerance(xs[i].dtype)
                const factor = slack[name.split(" ")[0]] ?? 1
                assertClose(
                  yield* toTypedArray(xs[i]),
                  expected[i].data,
                  { atol: atol * factor, rtol: rtol * factor },
                  `${name}, number ${i}`
                )
              }
              yield* nothingLivesBut(...xs)
            }).pipe(Effect.provide(layer)))
        }
      })
    }
  })
}
