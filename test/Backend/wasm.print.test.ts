// State that stays in the memory of the Wasm backend prints with its elements.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import * as nnx from "linum"
import * as Wasm from "linum/backend/wasm"

const grow = nnx.jit((v: nnx.Variable<"Variable", nnx.Tensor.Tensor>) => Ref.update(v, (x) => x.add(1)))

/** A variable whose value stays in the backend's memory. */
const resident = Effect.gen(function*() {
  const v = yield* nnx.Variable.make(nnx.Tensor.array([1, 2, 3]))
  yield* grow(v)
  const { liveBuffers } = yield* Effect.flatMap(nnx.Backend, ({ memory }) => memory)
  assert.strictEqual(liveBuffers, 1)
  return v
})

describe("printing arrays in the Wasm backend's memory", () => {
  it.effect("shows elements", () =>
    Effect.gen(function*() {
      const v = yield* resident
      assert.strictEqual(String(yield* Ref.get(v)), "Array([2., 3., 4.], dtype=float32)")
      yield* grow(v)
      assert.include(String(v), "Array([3., 4., 5.], dtype=float32)")
    }).pipe(Effect.provide(Wasm.layer)))

  it.effect("shows elements when the backend is closed, too", () =>
    Effect.gen(function*() {
      const v = yield* Effect.provide(resident, Wasm.layer)
      assert.strictEqual(String(yield* Ref.get(v)), "Array([2., 3., 4.], dtype=float32)")
    }))
})
