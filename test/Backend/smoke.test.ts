import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { Backend } from "../../src/Backend/Backend.ts"
import { compute, item, toNested, toTypedArray } from "../../src/Backend/read.ts"
import { layer } from "../../src/Backend/Tfjs/Cpu/index.ts"
import * as lax from "../../src/Tensor/lax/index.ts"
import * as Tensor from "../../src/Tensor/Tensor.ts"
import * as ShapedArray from "../../src/Tensor/ShapedArray.ts"

const array = (data: Array<number>, shape: Array<number>) =>
  Tensor.fromHost(ShapedArray.make(shape, "float32"), Float32Array.from(data))

describe("the cpu backend", () => {
  it.effect("computes", () =>
    Effect.gen(function*() {
      const x = array([1, 2, 3, 4, 5, 6], [2, 3])
      const y = lax.transpose(x, [1, 0])
      const z = lax.dotGeneral(x, y, { contracting: [[1], [0]], batch: [[], []] })
      assert.deepStrictEqual(yield* toNested(z), [[14, 32], [32, 77]])
      assert.deepStrictEqual(yield* toNested(lax.reduceSum(x, [0])), [5, 7, 9])
      assert.deepStrictEqual(yield* toNested(lax.gt(x, lax.mul(x, x))), [[false, false, false], [false, false, false]])
      assert.strictEqual(yield* item(lax.reduceMax(lax.exp(x))), Math.fround(Math.exp(6)))
      const h = lax.convertElementType(x, "bfloat16")
      assert.deepStrictEqual([...yield* toTypedArray(lax.add(h, h))], [2, 4, 6, 8, 10, 12])
      const backend = yield* Backend
      assert.strictEqual((yield* backend.memory).liveBytes, 0)
      yield* compute(lax.sin(x))
    }).pipe(Effect.provide(layer)))
})
