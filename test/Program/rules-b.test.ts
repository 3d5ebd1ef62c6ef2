// Rules of products, windows and indexing: derivatives to second order against finite differences, batching against loops.
import { assert, describe, it } from "@effect/vitest"
import { rules } from "../../src/Program/rules/index.ts"
import type { ConvParams, GatherParams, ScatterParams } from "../../src/Tensor/lax/index.ts"
import * as lax from "../../src/Tensor/lax/index.ts"
import * as Shape from "../../src/Tensor/Shape.ts"
import { literal, type Tensor } from "../../src/Tensor/Tensor.ts"
import { between, distinct, fromValues, type Random, random, tensor } from "../support/arbitrary.ts"
import { assertClose } from "../support/close.ts"
import { type Check, checkBatching, checkDerivatives, type Fn, pullbackOf } from "../support/derivatives.ts"
import { evaluate } from "../support/reference/index.ts"

/** Everything that can be checked of a function of float64 arrays. */
const check = (seed: number, f: Fn, make: (rng: Random) => ReadonlyArray<Tensor>, options: Check = { order: 2 }) => {
  const rng = random(seed)
  checkDerivatives(rng, f, make(rng), options)
  checkBatching(rng, f, () => make(rng))
}

const normal = (...shapes: ReadonlyArray<Shape.Shape>) => (rng: Random) => shapes.map((s) => tensor(rng, s, "float64"))

describe("dot_general", () => {
  const cases: ReadonlyArray<readonly [string, Shape.Shape, Shape.Shape, lax.DotDimensionNumbers]> = [
    ["matrix product", [2, 3], [3, 4], { contracting: [[1], [0]], batch: [[], []] }],
    ["vectors", [3], [3], { contracting: [[0], [0]], batch: [[], []] }],
    ["outer product", [2], [3], { contracting: [[], []], batch: [[], []] }],
    ["scalars", [], [], { contracting: [[], []], batch: [[], []] }],
    ["two contracted axes, crossed", [2, 3, 4], [5, 4, 2], { contracting: [[0, 2], [2, 1]], batch: [[], []] }],
    ["batch axes in different places", [3, 2, 4], [4, 5, 3], { contracting: [[2], [0]], batch: [[0], [2]] }],
    ["two batch axes, crossed", [2, 4, 3], [3, 5, 4, 2], { contracting: [[1], [2]], batch: [[2, 0], [0, 3]] }],
    ["nothing to sum", [2, 0], [0, 3], { contracting: [[1], [0]], batch: [[], []] }]
  ]
  for (const [name, x, y, dimensions] of cases) {
    it(name, () => check(1, ([x, y]) => [lax.dotGeneral(x, y, dimensions)], normal(x, y)))
  }

  it("with a preferred dtype: cotangents have the operands' dtype", () => {
    const rng = random(2)
    const x = tensor(rng, [2, 3], "bfloat16")
    const y = tensor(rng, [3, 2], "bfloat16")
    const dimensions = { contracting: [[1], [0]], batch: [[], []] } as const
    const f: Fn = ([x, y]) => [lax.dotGeneral(x, y, dimensions, "float32")]
    const ct = tensor(rng, [2, 2], "float32")
    const [dx, dy] = pullbackOf(f, 2)([x, y, ct])
    assert.deepStrictEqual([dx.dtype, dy.dtype], ["bfloat16", "bfloat16"])
    const expected = lax.dotGeneral(ct, lax.convertElementType(y, "float32"), {
      contracting: [[1], [1]],
      batch: [[], []]
    })
    const [actual, wanted] = evaluate([dx, expected])
    assertClose(actual.data, wanted.data, { rtol: 1e-6 })
  })

  it("counts a multiply-add as two operations", () => {
    const x = tensor(random(3), [5, 2, 3])
    const y = tensor(random(3), [5, 3, 4])
    const dimensions = { contracting: [[2], [1]], batch: [[0], [0]] } as const
    const { source } = lax.dotGeneral(x, y, dimensions)
    assert(source._tag === "Pending")
    const inputs = source.node.inputs.map(({ aval }) => ({ _tag: "Var" as const, aval }))
    const outputs = source.node.outputs.map(({ aval }) => ({ _tag: "Var" as const, aval }))
    const params = { dimension_numbers: dimensions, preferred_element_type: null }
    assert.deepStrictEqual(rules.dot_general.cost({ primitive: "dot_general", params, inputs, outputs }), {
      flops: 2 * 5 * 2 * 3 * 4,
      bytes: 4 * (5 * 2 * 3 + 5 * 3 * 4 + 5 * 2 * 4)
    })
  })
})

describe("conv_general_dilated", () => {
  const spec = (spatial: number) => Shape.range(spatial + 2)
  const plain = (spatial: number): ConvParams => ({
    window_strides: Shape.range(spatial).map(() => 1),
    padding: Shape.range(spatial).map(() => [0, 0]),
    lhs_dilation: Shape.range(spatial).map(() => 1),
    rhs_dilation: Shape.range(spatial).map(() => 1),
    dimension_numbers: { lhs_spec: spec(spatial), rhs_spec: spec(spatial), out_spec: spec(spatial) },
    feature_group_count: 1,
    batch_group_count: 1,
    preferred_element_type: null
  })
  const conv = (spatial: number, params: Partial<ConvParams> = {}): Fn => ([x, y]) => [
    lax.convGeneralDilated(x, y, { ...plain(spatial), ...params })
  ]
  // Flax's layout: [batch, ...spatial, features], kernels [...spatial, in, out].
  const channelsLast = { lhs_spec: [0, 3, 1, 2], rhs_spec: [3, 2, 0, 1], out_spec: [0, 3, 1, 2] }

  const cases: ReadonlyArray<readonly [string, Shape.Shape, Shape.Shape, Partial<ConvParams>]> = [
    ["one spatial axis", [2, 2, 5], [3, 2, 2], {}],
    ["no spatial axis", [2, 3], [4, 3], {}],
    ["no spatial axis, feature groups", [2, 4], [6, 2], { feature_group_count: 2 }],
    ["channels last, two spatial axes", [2, 4, 3, 2], [2, 2, 2, 3], { dimension_numbers: channelsLast }],
    ["stride that leaves a remainder", [1, 2, 6], [2, 2, 2], { window_strides: [3] }],
    ["padding, one side more", [1, 1, 4], [1, 1, 3], { padding: [[2, 1]] }],
    ["cropping", [1, 1, 7], [1, 1, 2], { padding: [[-2, -1]], window_strides: [2] }],
    ["cropping more than there is", [1, 1, 2], [1, 1, 2], { padding: [[-3, 1]] }],
    ["dilated kernel", [1, 2, 7], [2, 2, 3], { rhs_dilation: [2], padding: [[1, 2]], window_strides: [2] }],
    ["dilated input", [1, 2, 4], [2, 2, 3], { lhs_dilation: [3], padding: [[2, 0]] }],
    ["all at once", [2, 2, 5, 4], [2, 2, 2, 3], {
      window_strides: [2, 3],
      padding: [[1, 2], [3, -1]],
      lhs_dilation: [2, 1],
      rhs_dilation: [1, 2]
    }],
    ["feature groups", [2, 4, 4], [6, 2, 2], { feature_group_count: 2, window_strides: [2], padding: [[1, 1]] }],
    ["depthwise", [1, 3, 4], [6, 1, 2], { feature_group_count: 3 }],
    ["feature groups, channels last", [1, 3, 2, 4], [2, 2, 2, 4], {
      feature_group_count: 2,
      dimension_numbers: channelsLast
    }],
    ["batch groups", [4, 2, 4], [6, 2, 2], { batch_group_count: 2, window_strides: [2], padding: [[1, 0]] }],
    ["batch groups, channels last", [4, 3, 2, 2], [2, 2, 2, 4], {
      batch_group_count: 2,
      dimension_numbers: channelsLast
    }],
    ["a window larger than the input", [2, 2, 2], [3, 2, 4], {}],
    ["an empty batch", [0, 2, 4], [3, 2, 2], {}],
    ["an empty spatial axis", [2, 2, 0], [3, 2, 2], { padding: [[2, 1]] }],
    ["no input features", [2, 0, 4], [3, 0, 2], {}]
  ]
  for (const [name, x, y, params] of cases) {
    it(name, () => check(4, conv(x.length - 2, params), normal(x, y)))
  }

  it("cotangents have the operands' dtype, whatever the preferred one", () => {
    const rng = random(5)
    const f = conv(1, { preferred_element_type: "float32", feature_group_count: 2 })
    const xs = [tensor(rng, [1, 2, 4], "float16"), tensor(rng, [2, 1, 2], "float16")]
    const back = pullbackOf(f, 2)([...xs, tensor(rng, [1, 2, 3], "float32")])
    assert.deepStrictEqual(back.map((x) => x.dtype), ["float16", "float16"])
  })
})

describe("windows", () => {
  const params = (rank: number, p: Partial<lax.WindowParams>): lax.WindowParams => ({
    window_dimensions: Shape.range(rank).map(() => 1),
    window_strides: Shape.range(rank).map(() => 1),
    padding: Shape.range(rank).map(() => [0, 0]),
    base_dilation: Shape.range(rank).map(() => 1),
    window_dilation: Shape.range(rank).map(() => 1),
    ...p
  })
  const cases: ReadonlyArray<readonly [string, Shape.Shape, Partial<lax.WindowParams>]> = [
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
  for (const [name, shape, p] of cases) {
    const all = params(shape.length, p)
    it(`reduce_window_sum: ${name}`, () => check(6, ([x]) => [lax.reduceWindowSum(x, all)], normal(shape)))
    for (const [primitive, pool] of [["max", lax.reduceWindowMax], ["min", lax.reduceWindowMin]] as const) {
      it(`reduce_window_${primitive}: ${name}`, () => {
        const rng = random(7)
        const f: Fn = ([x]) => [pool(x, all)]
        // Windows of nothing but padding give an infinity, which finite differences cannot see.
        const finite: Fn = ([x]) => {
          const y = pool(x, all)
          return [lax.selectN(lax.isFinite(y), lax.broadcastTo(literal(0, y.dtype), y.shape), y)]
        }
        checkBatching(rng, f, () => [distinct(rng, shape, "float64")])
        checkDerivatives(rng, finite, [distinct(rng, shape, "float64")], { order: 2 })
      })
    }
  }
  const select: lax.SelectParams = {
    select_prim: "ge",
    window_dimensions: [2, 3],
    window_strides: [1, 2],
    padding: [[0, 1], [1, 1]]
  }
  it("select_and_gather_add", () =>
    check(8, ([t, x]) => [lax.selectAndGatherAdd(t, x, select)], (rng) => [
      tensor(rng, [3, 5], "float64"),
      distinct(rng, [3, 5], "float64")
    ]))
  it("select_and_scatter_add", () =>
    check(9, ([t, x]) => [lax.selectAndScatterAdd(t, x, { ...select, select_prim: "le" })], (rng) => [
      tensor(rng, [3, 3], "float64"),
      distinct(rng, [3, 5], "float64")
    ]))
})

describe("indexing", () => {
  const f64 = (rng: Random, ...shape: Shape.Shape) => tensor(rng, shape, "float64")
  const at = (rng: Random, low: number, high: number) => between(rng, low, high, [], "int32")

  describe("dynamic slices", () => {
    it("dynamic_slice, starts within and past the ends", () =>
      check(10, ([x, i, j]) => [lax.dynamicSlice(x, [i, j], [2, 3])], (rng) => [
        f64(rng, 4, 5),
        at(rng, -2, 6),
        at(rng, -2, 6)
      ]))
    it("dynamic_slice of a scalar", () => check(10, ([x]) => [lax.dynamicSlice(x, [], [])], (rng) => [f64(rng)]))
    it("dynamic_slice with starts of two dtypes", () =>
      check(10, ([x, i, j]) => [lax.dynamicSlice(x, [i, j], [1, 2])], (rng) => [
        f64(rng, 3, 4),
        at(rng, 0, 3),
        between(rng, 0, 4, [], "uint32")
      ]))
    it("dynamic_update_slice", () =>
      check(11, ([x, update, i, j]) => [lax.dynamicUpdateSlice(x, update, [i, j])], (rng) => [
        f64(rng, 3, 4),
        f64(rng, 2, 2),
        at(rng, -2, 5),
        at(rng, -2, 5)
      ]))
    it("dynamic_update_slice of a scalar", () =>
      check(11, ([x, update]) => [lax.dynamicUpdateSlice(x, update, [])], (rng) => [f64(rng), f64(rng)]))
    it("an empty update", () =>
      check(11, ([x, update, i]) => [lax.dynamicUpdateSlice(x, update, [i])], (rng) => [
        f64(rng, 3),
        f64(rng, 0),
        at(rng, 0, 3)
      ]))
  })

  const modes = ["clip", "fill_or_drop", "promise_in_bounds"] as const

  /** Where a gather reads and a scatter writes: the operand, the index vectors, and the shape of the slices' array. */
  interface Layout {
    readonly name: string
    readonly operand: Shape.Shape
    readonly indices: Shape.Shape
    readonly updates: Shape.Shape
    readonly sizes: Shape.Shape
    readonly dimensions: GatherParams["dimension_numbers"]
  }
  const dims = (
    offset_dims: ReadonlyArray<number>,
    collapsed_slice_dims: ReadonlyArray<number>,
    start_index_map: ReadonlyArray<number>,
    operand_batching_dims: ReadonlyArray<number> = [],
    start_indices_batching_dims: ReadonlyArray<number> = []
  ) => ({ offset_dims, collapsed_slice_dims, start_index_map, operand_batching_dims, start_indices_batching_dims })
  const layouts: ReadonlyArray<Layout> = [
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
  const vectors = (rng: Random, l: Layout, mode: GatherParams["mode"]) => {
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
  const toScatter = ({ dimensions: d }: Layout): ScatterParams["dimension_numbers"] => ({
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

  for (const layout of layouts) {
    for (const mode of modes) {
      it(`gather: ${layout.name}, ${mode}`, () => {
        const params: GatherParams = {
          dimension_numbers: layout.dimensions,
          slice_sizes: layout.sizes,
          mode,
          fill_value: 7
        }
        check(12, ([x, i]) => [lax.gather(x, i, params)], (rng) => [
          f64(rng, ...layout.operand),
          vectors(rng, layout, mode)
        ])
      })
      for (const [name, apply] of Object.entries(scatters)) {
        it(`${name}: ${layout.name}, ${mode}`, () => {
          const params: ScatterParams = { dimension_numbers: toScatter(layout), mode, unique_indices: false }
          check(13, ([x, i, updates]) => [apply(x, i, updates, params)], (rng) => [
            f64(rng, ...layout.operand),
            vectors(rng, layout, mode),
            f64(rng, ...layout.updates)
          ])
        })
      }
    }
  }

  describe("distinct index vectors", () => {
    const [rows] = layouts
    const params: ScatterParams = { dimension_numbers: toScatter(rows), mode: "fill_or_drop", unique_indices: true }
    const make = (rng: Random) => [
      f64(rng, 5, 3),
      fromValues(rng.permutation(8).slice(0, 4), [4, 1], "int32"),
      f64(rng, 4, 3)
    ]
    it("scatter", () => check(14, ([x, i, u]) => [lax.scatter(x, i, u, params)], make))
    it("scatter_mul", () => check(15, ([x, i, u]) => [lax.scatterMul(x, i, u, params)], make))
  })

  it("scatter_mul by repeated index vectors has a derivative by its operand, and none by its updates", () => {
    const [rows] = layouts
    const rng = random(16)
    const params: ScatterParams = { dimension_numbers: toScatter(rows), mode: "clip", unique_indices: false }
    const indices = vectors(rng, rows, "clip")
    const updates = f64(rng, ...rows.updates)
    check(16, ([x]) => [lax.scatterMul(x, indices, updates, params)], (rng) => [f64(rng, ...rows.operand)])
    const x = f64(rng, ...rows.operand)
    const f: Fn = ([u]) => [lax.scatterMul(x, indices, u, params)]
    assert.throws(() => pullbackOf(f, 1)([updates, x]), /scatter_mul has no derivative by its updates/)
  })

  it("equal updates share the tangent of scatter_max", () => {
    const params: ScatterParams = {
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
    const x = fromValues([5, 1, 2], [3], "float64")
    const updates = fromValues([5, 4, 4, 0], [4], "float64")
    const indices = fromValues([0, 1, 1, 2], [4, 1], "int32")
    const f: Fn = ([x, u]) => [lax.scatterMax(x, indices, u, params)]
    const [dx, du] = evaluate(pullbackOf(f, 2)([x, updates, fromValues([1, 1, 1], [3], "float64")]))
    assertClose(dx.data, [0.5, 0, 1])
    assertClose(du.data, [0.5, 0.5, 0.5, 0])
  })

  it("reading out of range has derivative zero, though it reads nan", () => {
    const params: GatherParams = {
      dimension_numbers: dims([], [0], [0]),
      slice_sizes: [1],
      mode: "fill_or_drop",
      fill_value: null
    }
    const indices = fromValues([1, 9], [2, 1], "int32")
    const f: Fn = ([x]) => [lax.gather(x, indices, params)]
    const x = fromValues([1, 2, 3], [3], "float64")
    assertClose(evaluate(f([x]))[0].data, [2, Number.NaN])
    assertClose(evaluate(pullbackOf(f, 1)([x, fromValues([10, 20], [2], "float64")]))[0].data, [0, 10, 0])
  })
})
