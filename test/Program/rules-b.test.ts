// Rules of products, windows and indexing: derivatives to second order against finite differences, batching against
// loops.
import { assert, describe, it } from "@effect/vitest"
import { rules } from "../../src/Program/rules/index.ts"
import type { GatherParams, ScatterParams } from "../../src/Tensor/lax/index.ts"
import * as lax from "../../src/Tensor/lax/index.ts"
import { fromValues, random, tensor } from "../support/arbitrary.ts"
import type { Case } from "../support/cases/case.ts"
import { dims, indexing, layouts, toScatter, vectors } from "../support/cases/indexing.ts"
import { conv, convolutions, dots } from "../support/cases/products.ts"
import { windows } from "../support/cases/windows.ts"
import { assertClose } from "../support/close.ts"
import { checkBatching, checkDerivatives, type Fn, pullbackOf, stack, vmap } from "../support/derivatives.ts"
import { evaluate } from "../support/reference/index.ts"

/** Derivatives to second order, and batching. */
const check = ({ f, make, smooth = f }: Case) => {
  const rng = random(1)
  checkDerivatives(rng, smooth, make(rng, "float64"), { order: 2 })
  checkBatching(rng, f, () => make(rng, "float64"))
}

for (const each of [...dots, ...convolutions, ...windows, ...indexing]) it(each.name, () => check(each))

describe("transforms of transforms", () => {
  for (const { f, make, name, smooth = f } of [...dots, ...convolutions, ...windows, ...indexing]) {
    it(name, () => {
      const rng = random(2)
      const outputs = f(make(rng, "float64"))
      const cotangents = () => outputs.map((y) => tensor(rng, y.shape, y.dtype))
      const count = make(rng, "float64").length
      checkBatching(rng, pullbackOf(f, count), () => [...make(rng, "float64"), ...cotangents()], { sizes: [2] })
      const xs = make(rng, "float64")
      const axes = xs.map((x) => rng.integer(0, x.ndim + 1))
      const others = make(rng, "float64")
      const mapped: Fn = (all) => vmap(smooth, xs, axes, 2)(all).outputs
      checkDerivatives(rng, mapped, xs.map((x, i) => stack([x, others[i]], axes[i])))
    })
  }
})

describe("dot_general", () => {
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
  it("cotangents have the operands' dtype, whatever the preferred one", () => {
    const rng = random(5)
    const f = conv(1, { preferred_element_type: "float32", feature_group_count: 2 })
    const xs = [tensor(rng, [1, 2, 4], "float16"), tensor(rng, [2, 1, 2], "float16")]
    const back = pullbackOf(f, 2)([...xs, tensor(rng, [1, 2, 3], "float32")])
    assert.deepStrictEqual(back.map((x) => x.dtype), ["float16", "float16"])
  })
})

describe("indexing", () => {
  it("scatter_mul by repeated index vectors has a derivative by its operand, and none by its updates", () => {
    const [rows] = layouts
    const rng = random(16)
    const params: ScatterParams = { dimension_numbers: toScatter(rows), mode: "clip", unique_indices: false }
    const indices = vectors(rng, rows, "clip")
    const updates = tensor(rng, rows.updates, "float64")
    check({
      name: "scatter_mul",
      f: ([x]) => [lax.scatterMul(x, indices, updates, params)],
      make: (rng, dtype) => [tensor(rng, rows.operand, dtype)]
    })
    const x = tensor(rng, rows.operand, "float64")
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
