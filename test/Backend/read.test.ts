// Reading arrays back as JavaScript values.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { compute, item, toNested, toTypedArray } from "../../src/Backend/read.ts"
import { layer } from "../../src/Backend/Tfjs/Cpu/index.ts"
import * as lax from "../../src/Tensor/lax/index.ts"
import * as ShapedArray from "../../src/Tensor/ShapedArray.ts"
import * as Tensor from "../../src/Tensor/Tensor.ts"
import * as arbitrary from "../support/arbitrary.ts"

describe("reading", () => {
  it.effect("nests by shape; bool as booleans", () =>
    Effect.gen(function*() {
      const x = arbitrary.fromValues([1, 2, 3, 4, 5, 6], [1, 3, 2], "int32")
      assert.deepStrictEqual(yield* toNested(x), [[[1, 2], [3, 4], [5, 6]]])
      assert.deepStrictEqual(yield* toNested(arbitrary.fromValues([], [2, 0, 3])), [[], []])
      assert.deepStrictEqual(yield* toNested(lax.gt(x, lax.neg(x))), [[[true, true], [true, true], [true, true]]])
      assert.strictEqual(yield* toNested(Tensor.literal(3, "float32")), 3)
      assert.strictEqual(yield* toNested(Tensor.literal(1, "bool")), true)
    }).pipe(Effect.provide(layer)))

  it.effect("decodes 16-bit floats, or gives their bits", () =>
    Effect.gen(function*() {
      const x = arbitrary.fromValues([1, -2.5], [2], "bfloat16")
      assert.deepStrictEqual(yield* toTypedArray(x), new Float32Array([1, -2.5]))
      assert.deepStrictEqual(yield* toTypedArray(x, { raw: true }), new Uint16Array([0x3f80, 0xc020]))
      assert.deepStrictEqual(yield* toTypedArray(Tensor.literal(0.1, "float16")), new Float32Array([0.0999755859375]))
      assert.deepStrictEqual(yield* toTypedArray(lax.add(x, x), { raw: true }), new Uint16Array([0x4000, 0xc0a0]))
    }).pipe(Effect.provide(layer)))

  it.effect("gives the one element of an array", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* item(arbitrary.fromValues([7], [1, 1])), 7)
      const error = yield* Effect.flip(item(arbitrary.fromValues([1, 2], [2])))
      assert.strictEqual(error._tag, "ShapeError")
    }).pipe(Effect.provide(layer)))

  it.effect("computes once, and keeps what it computed", () =>
    Effect.gen(function*() {
      const x = lax.exp(arbitrary.fromValues([0, 1], [2]))
      assert.strictEqual(x.source._tag, "Pending")
      yield* compute(x, x)
      assert.strictEqual(x.source._tag, "Concrete")
      const first = yield* toTypedArray(x)
      assert.strictEqual(yield* toTypedArray(x), first)
    }).pipe(Effect.provide(layer)))

  it.effect("has no value inside a trace", () =>
    Effect.gen(function*() {
      const scope = Tensor.traceScope("jit(f)")
      const x = Tensor.argument(ShapedArray.make([2], "float32"), scope)
      const direct = yield* Effect.flip(toTypedArray(x))
      const derived = yield* Effect.flip(item(lax.reduceSum(lax.exp(x))))
      assert.strictEqual(direct._tag, "ConcretizationError")
      assert.strictEqual(derived._tag, "ConcretizationError")
      assert.include(derived.message, "jit(f)")
      scope.finished = true
      assert.strictEqual((yield* Effect.flip(toNested(x)))._tag, "TracerLeakError")
    }).pipe(Effect.provide(layer)))
})
