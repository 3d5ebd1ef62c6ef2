// Arrays from JavaScript values and from rules.
import { assert, describe, it, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { item, toNested, toTypedArray } from "../../src/Backend/read.ts"
import * as Cpu from "../../src/Backend/Tfjs/Cpu/index.ts"
import { DTypeError, ShapeError } from "../../src/Tensor/errors.ts"
import * as Tensor from "../../src/Tensor/index.ts"

const thrown = (f: () => unknown): unknown => {
  try {
    f()
  } catch (error) {
    return error
  }
  return undefined
}

describe("array", () => {
  it("reads dtypes from values", () => {
    assert.strictEqual(Tensor.array([1, 2]).dtype, "float32")
    assert.strictEqual(Tensor.array([true, false]).dtype, "bool")
    assert.strictEqual(Tensor.array([true, 2]).dtype, "float32")
    assert.strictEqual(Tensor.array([]).dtype, "float32")
    assert.strictEqual(Tensor.array(3).dtype, "float32")
    assert.strictEqual(Tensor.array(3).weakType, false)
    assert.strictEqual(Tensor.array(3, "int32").dtype, "int32")
    assert.strictEqual(Tensor.array(true).dtype, "bool")
    assert.strictEqual(Tensor.array(new Int8Array(3)).dtype, "int8")
    assert.strictEqual(Tensor.array(new Float64Array(3)).dtype, "float32")
    assert.strictEqual(Tensor.array(new Float64Array(3), { dtype: "float64" }).dtype, "float64")
  })

  it("reads shapes from nesting", () => {
    assert.deepStrictEqual(Tensor.array([[[1], [2], [3]]]).shape, [1, 3, 1])
    assert.deepStrictEqual(Tensor.array([[], []]).shape, [2, 0])
    assert.deepStrictEqual(Tensor.array([1, 2, 3, 4], { shape: [2, 2] }).shape, [2, 2])
    assert.deepStrictEqual(Tensor.array(new Float32Array(6), { shape: [2, 3] }).shape, [2, 3])
    assert.deepStrictEqual(Tensor.array(new Float32Array(6)).shape, [6])
  })

  it("names the row that is ragged", () => {
    const error = thrown(() => Tensor.array([[1, 2], [3]]))
    assert(error instanceof ShapeError)
    assert.match(error.message, /values\[1\]/)
    const deep = thrown(() => Tensor.array([[[1], [2]], [[3], [[4]]]]))
    assert(deep instanceof ShapeError)
    assert.match(deep.message, /values\[1\]\[1\]\[0\]/)
    assert.instanceOf(thrown(() => Tensor.array([1, [2]])), ShapeError)
    assert.instanceOf(thrown(() => Tensor.array([[1], 2])), ShapeError)
  })

  it("refuses data that does not fill the shape, and bits without a dtype", () => {
    assert.instanceOf(thrown(() => Tensor.array(new Float32Array(5), { shape: [2, 3] })), ShapeError)
    assert.instanceOf(thrown(() => Tensor.array(new Uint16Array(2))), DTypeError)
    assert.instanceOf(thrown(() => Tensor.array(new Uint16Array(2), { dtype: "int32" })), DTypeError)
  })
})

describe("rules", () => {
  it("have JAX's dtypes", () => {
    assert.strictEqual(Tensor.zeros([2]).dtype, "float32")
    assert.strictEqual(Tensor.ones([2], "int8").dtype, "int8")
    assert.strictEqual(Tensor.full([2], true).dtype, "bool")
    assert.strictEqual(Tensor.full([2], 1).dtype, "float32")
    assert.strictEqual(Tensor.full([2], Tensor.arange(2)).dtype, "int32")
    assert.strictEqual(Tensor.arange(3).dtype, "int32")
    assert.strictEqual(Tensor.arange(0, 1, 0.25).dtype, "float32")
    assert.strictEqual(Tensor.eye(2).dtype, "float32")
    assert.strictEqual(Tensor.zerosLike(Tensor.lift(1)).weakType, true)
    assert.strictEqual(Tensor.onesLike({ shape: [2], dtype: "bfloat16" }).dtype, "bfloat16")
  })

  it("compute nothing", () => {
    assert.strictEqual(Tensor.zeros([1000, 1000]).source._tag, "Pending")
  })

  it("refuse bad shapes", () => {
    assert.instanceOf(thrown(() => Tensor.zeros([-1])), ShapeError)
    assert.instanceOf(thrown(() => Tensor.ones([1.5])), ShapeError)
    assert.instanceOf(thrown(() => Tensor.arange(0, 1, 0)), ShapeError)
  })
})

layer(Cpu.layer)("values", (it) => {
  it.effect("are copied", () =>
    Effect.gen(function*() {
      const data = Float32Array.of(1, 2)
      const x = Tensor.array(data)
      data[0] = 9
      assert.deepStrictEqual(Array.from(yield* toTypedArray(x)), [1, 2])
    }))

  it.effect("convert as casts do", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* toNested(Tensor.array([1.7, -1.7], "int32")), [1, -1])
      assert.deepStrictEqual(yield* toNested(Tensor.array([0, 0.5], "bool")), [false, true])
      assert.deepStrictEqual(yield* toNested(Tensor.array(Float32Array.of(0.1, 3), "bfloat16")), [0.10009765625, 3])
      assert.deepStrictEqual(yield* toNested(Tensor.array(Uint16Array.of(0x3c00), "float16")), [1])
      assert.deepStrictEqual(yield* toNested(Tensor.full([2], 3.7, "int32")), [3, 3])
      assert.strictEqual(yield* item(Tensor.full([], 300, "uint8")), 44)
    }))

  it.effect("of repeat and bincount", () =>
    Effect.gen(function*() {
      const x = Tensor.arange(6).reshape([2, 3])
      assert.deepStrictEqual(yield* toNested(x.repeat(2)), [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5])
      assert.deepStrictEqual(yield* toNested(x.repeat(2, { axis: 0 })), [[0, 1, 2], [0, 1, 2], [3, 4, 5], [3, 4, 5]])
      assert.deepStrictEqual(yield* toNested(x.repeat([1, 0, 2], { axis: 1 })), [[0, 2, 2], [3, 5, 5]])
      const counts = Tensor.bincount(Tensor.array([3, 1, 2, 1, 3, 2, 1, 0], "int32"), { length: 3 })
      assert.deepStrictEqual(yield* toNested(counts), [1, 3, 2])
      const weighted = Tensor.bincount(Tensor.array([0, 1, 1], "int32"), {
        length: 3,
        weights: Tensor.array([1, 2, 3])
      })
      assert.deepStrictEqual(yield* toNested(weighted), [1, 5, 0])
    }))
})
