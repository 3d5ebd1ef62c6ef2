// Every backend computes what the reference evaluator computes: all cases of test/support/cases in float32, their
// derivatives in both directions, and their batched forms, which reach parameters (dilations, groups, batching pairs)
// that no layer uses.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type { Backend } from "../../src/Backend/Backend.ts"
import { compute, toTypedArray } from "../../src/Backend/read.ts"
import * as DType from "../../src/Tensor/DType.ts"
import type { Tensor } from "../../src/Tensor/Tensor.ts"
import { random, tensor } from "../support/arbitrary.ts"
import type { Case } from "../support/cases/case.ts"
import { indexing } from "../support/cases/indexing.ts"
import { convolutions, dots } from "../support/cases/products.ts"
import { windows } from "../support/cases/windows.ts"
import { assertClose, type Tolerance } from "../support/close.ts"
import { pullbackOf, pushforward, stack, vmap } from "../support/derivatives.ts"
import { evaluate } from "../support/reference/index.ts"

/** The outputs of a case, of its derivatives, and of the case mapped over all inputs. */
const everything = ({ f, make }: Case): ReadonlyArray<Tensor> => {
  const rng = random(20)
  const xs = make(rng, "float32")
  const likeFloats = (xs: ReadonlyArray<Tensor>) =>
    xs.filter((x) => DType.isFloat(x.dtype)).map((x) => tensor(rng, x.shape, x.dtype))
  const outputs = f(xs)
  const axes = xs.map((x) => rng.integer(0, x.ndim + 1))
  const others = make(rng, "float32")
  const mapped = xs.map((x, i) => stack([x, others[i]], axes[i]))
  return [
    ...outputs,
    ...pushforward(f, xs.length)([...xs, ...likeFloats(xs)]),
    ...pullbackOf(f, xs.length)([...xs, ...likeFloats(outputs)]),
    ...vmap(f, xs, axes, 2)(mapped).outputs
  ]
}

const cases: ReadonlyArray<Case> = [...dots, ...convolutions, ...windows, ...indexing]

/** The suite, for the backend that a layer gives. */
export const agreement = (name: string, layer: Layer.Layer<Backend, unknown>, tolerance: Tolerance = {}): void => {
  describe(`${name} agrees with the reference`, () => {
    for (const each of cases) {
      it.effect(each.name, () =>
        Effect.gen(function*() {
          const outputs = everything(each)
          const expected = evaluate(outputs)
          yield* compute(...outputs)
          for (let i = 0; i < outputs.length; i++) {
            assert.deepStrictEqual(outputs[i].shape, expected[i].shape)
            assertClose(
              yield* toTypedArray(outputs[i]),
              expected[i].data,
              { rtol: 1e-5, atol: 1e-5, ...tolerance },
              `output ${i} of ${outputs.length}`
            )
          }
        }).pipe(Effect.provide(layer)))
    }
  })
}
