// Random numbers on the cpu backend.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { toNested } from "../../src/Backend/read.ts"
import * as Cpu from "../../src/Backend/Tfjs/Cpu/index.ts"
import * as T from "../../src/Tensor/index.ts"
import * as random from "../../src/Tensor/random/index.ts"
import { assertClose, type Numbers } from "../support/close.ts"
import { randomSuite } from "./random.suite.ts"

randomSuite("tfjs-cpu", Cpu.layer)

describe("random", () => {
  it("says what a key is", () => {
    const key = random.key(0)
    assert.throws(() => random.normal(T.zeros([2]), [3]), T.DTypeError, "uint32[2]")
    assert.throws(() => random.normal(random.split(key), [3]), T.ShapeError, "vmap")
    assert.throws(() => random.key(0.5), T.DTypeError, "integer")
    assert.throws(() => random.uniform(key, [2], { dtype: "int32" }), T.DTypeError, "float32")
    assert.throws(() => random.uniform(key, [2], { minval: T.zeros([3]) }), T.ShapeError, "broadcast")
    assert.throws(() => random.choice(key, 3, [4], { replace: false }), T.ShapeError, "without replacement")
  })

  it.effect("samplers have the moments of their distributions", () =>
    Effect.gen(function*() {
      const n = 20_000
      const key = random.key(7)
      const moments: ReadonlyArray<readonly [T.Tensor, mean: number, variance: number]> = [
        [random.uniform(key, [n], { minval: -1, maxval: 3 }), 1, 16 / 12],
        [random.normal(key, [n]), 0, 1],
        [random.exponential(key, [n]), 1, 1],
        [random.laplace(key, [n]), 0, 2],
        [random.logistic(key, [n]), 0, Math.PI ** 2 / 3],
        [random.gumbel(key, [n]), 0.5772, Math.PI ** 2 / 6],
        [random.randint(key, [n], 0, 10).astype("float32"), 4.5, 8.25],
        [random.bernoulli(key, 0.3, [n]).astype("float32"), 0.3, 0.21]
      ]
      for (const [x, mean, variance] of moments) {
        assertClose((yield* toNested(x.mean())) as Numbers, mean, { atol: 5 * Math.sqrt(variance / n), rtol: 0 })
        assertClose((yield* toNested(x.var())) as Numbers, variance, { rtol: 0.08, atol: 0 })
      }
    }).pipe(Effect.provide(Cpu.layer)))
})
