import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { toTypedArray } from "../../src/Backend/read.ts"
import * as Cpu from "../../src/Backend/Tfjs/Cpu/index.ts"
import { initializers } from "../../src/Layer/index.ts"
import type { DType } from "../../src/Tensor/DType.ts"
import * as T from "../../src/Tensor/index.ts"
import { assertClose } from "../support/close.ts"
import { cases, numbers, tensor, type Value } from "../support/golden.ts"
import { initializer } from "./golden.ts"

interface InitializerCase {
  readonly name: string
  readonly init?: string
  readonly key: Value
  readonly shape: ReadonlyArray<number>
  readonly dtype?: DType
  readonly out?: Value
}

const golden = cases("layers.json")["initializers"] as unknown as ReadonlyArray<InitializerCase>

// Orthogonal matrices depend on the order of sums. Truncated normals that are scaled differ from JAX's in the last
// place here and there, since XLA compiles draw and scaling into one loop. All others agree to the bit.
const inexact = /truncated|_normal\(|orthogonal/

describe("initializers", () => {
  it.effect("agree with JAX's", () =>
    Effect.gen(function*() {
      for (const { dtype, init, key, name, out, shape } of golden) {
        if (init === undefined) continue
        const make = () => initializer(init)(tensor(key), shape, dtype)
        if (out === undefined) {
          assert.throws(make, /expected/, name)
          continue
        }
        const x = make()
        assert.deepStrictEqual(x.shape, out.shape, name)
        assert.strictEqual(x.dtype, out.dtype, name)
        const [got, want] = [yield* toTypedArray(x), numbers(out)]
        if (inexact.test(init) && out.dtype === "float32") assertClose(got, want, { rtol: 1e-6, atol: 1e-7 }, name)
        else assert.deepStrictEqual([...got], want.map(Math.fround), name)
      }
    }).pipe(Effect.provide(Cpu.layer)))

  it.effect("orthogonal gives orthonormal columns, or rows if they are fewer", () =>
    Effect.gen(function*() {
      const key = T.random.key(3)
      for (const [rows, columns] of [[33, 7], [7, 33], [31, 31], [1, 5], [257, 2]]) {
        const q = initializers.orthogonal()(key, [rows, columns])
        const gram = rows < columns ? q.matmul(q.T) : q.T.matmul(q)
        const identity = yield* toTypedArray(T.eye(Math.min(rows, columns)))
        assertClose(yield* toTypedArray(gram), identity, { atol: 1e-6 }, `${rows}x${columns}`)
      }
    }).pipe(Effect.provide(Cpu.layer)))

  it("says what is wrong with a shape", () => {
    const key = T.random.key(0)
    assert.throws(
      () => initializers.lecunNormal()(key, [3]),
      /a shape with an axis of inputs and one of outputs, found \[3\]/
    )
    assert.throws(() => initializers.deltaOrthogonal()(key, [3, 3, 4, 2]), /no fewer outputs than inputs/)
  })
})
