// Programs on which the Wasm backend once was wrong: what fuzzing found (`wasm.fuzz.test.ts`), made small.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { type Alias, Backend } from "../../src/Backend/Backend.ts"
import { layer } from "../../src/Backend/Wasm/index.ts"
import * as lax from "../../src/Tensor/lax/index.ts"
import * as ShapedArray from "../../src/Tensor/ShapedArray.ts"
import { literal, type Tensor } from "../../src/Tensor/Tensor.ts"
import { random } from "../support/arbitrary.ts"
import { checkSample } from "../support/programs/check.ts"
import { traced } from "../support/programs/generator.ts"
import { elements } from "../support/programs/index.ts"

const f32 = (...shape: ReadonlyArray<number>) => ShapedArray.make(shape, "float32")

/** Every element of every result is where it may be, with some outputs in the place of inputs. */
const agrees = (
  name: string,
  avals: ReadonlyArray<ShapedArray.ShapedArray>,
  f: (...args: ReadonlyArray<Tensor>) => ReadonlyArray<Tensor>,
  aliases: ReadonlyArray<Alias> = []
): void => {
  it.live(name, () =>
    Effect.gen(function*() {
      const { program } = traced(avals, (args) => f(...args))
      const rng = random(1)
      const inputs = avals.map((aval) => elements(rng, aval, false))
      assert.isUndefined(yield* checkSample({ seed: 0, program, inputs, aliases }, yield* Backend))
    }).pipe(Effect.provide(layer)))
}

const spread = (x: Tensor, like: Tensor) => lax.broadcastInDim(x, like.shape, [0])

describe("found by fuzzing", () => {
  agrees("many rows of few elements keep what is dear", [f32(16, 2)], (x) => {
    const e = lax.exp(lax.sub(x, spread(lax.reduceMax(x, [1]), x)))
    return [lax.div(e, spread(lax.reduceSum(e, [1]), x))]
  })

  agrees("an element is picked from an array that is shown in another shape", [f32(3, 4)], (x) => {
    const shown = lax.reshape(lax.max(x, lax.exp(x)), [2, 6])
    const indices = lax.broadcastTo(literal(1, "int32"), [1, 6, 1])
    const dimensions = {
      offset_dims: [],
      collapsed_slice_dims: [0],
      start_index_map: [0],
      operand_batching_dims: [1],
      start_indices_batching_dims: [1]
    }
    const params = { dimension_numbers: dimensions, slice_sizes: [1, 1], mode: "clip", fill_value: null } as const
    return [shown, lax.gather(shown, indices, params)]
  })

  agrees("an input is not written over before a later store of the same stage has read it", [f32(33)], (x) => {
    const d = lax.expm1(x)
    const m = lax.sub(x, lax.div(d, lax.add(lax.square(d), lax.broadcastTo(literal(1, "float32"), d.shape))))
    return [lax.reduceSum(lax.abs(m), [0]), d, m]
  }, [[1, 0]])

  agrees("an array is not written over before a row's later pass has read it", [f32(4, 8)], (x) => {
    const y = lax.cumsum(x, 1)
    const sum = (v: Tensor) => spread(lax.reduceSum(v, [1]), x)
    const scale = sum(lax.square(lax.sub(x, sum(x))))
    return [lax.mul(y, lax.exp(x)), lax.add(y, scale)]
  })
})
