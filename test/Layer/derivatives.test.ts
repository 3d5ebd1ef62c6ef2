// Derivatives of layers with respect to input and parameters agree with differences, in doubles. Those of dropout are
// compared with Flax's in layers.test.ts.
import { describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import { variables } from "../../src/GraphDef/index.ts"
import * as L from "../../src/Layer/index.ts"
import { Rngs } from "../../src/Ref/Rngs.ts"
import { Param, type Variable } from "../../src/Ref/Variable.ts"
import * as State from "../../src/State/State.ts"
import "../../src/Tensor/install.ts"
import type { Tensor } from "../../src/Tensor/Tensor.ts"
import { random, tensor } from "../support/arbitrary.ts"
import { checkDerivatives } from "../support/derivatives.ts"

interface Layer {
  apply(x: Tensor): Effect.Effect<Tensor, unknown>
}

const layers: ReadonlyArray<
  readonly [name: string, make: Effect.Effect<Layer, unknown, Rngs>, shape: ReadonlyArray<number>]
> = [
  ["Linear", L.Linear.make(3, 2), [2, 3]],
  ["LinearGeneral", L.LinearGeneral.make([2, 3], [2], { axis: [-2, -1] }), [1, 2, 3]],
  ["Conv", L.Conv.make(2, 3, [2, 2], { padding: "REFLECT", featureGroupCount: 1 }), [1, 3, 3, 2]],
  ["depthwise Conv", L.Conv.make(2, 2, 3, { padding: "CAUSAL", kernelDilation: 2, featureGroupCount: 2 }), [2, 5, 2]],
  ["BatchNorm", L.BatchNorm.make(2), [4, 2]],
  ["BatchNorm, slow variance", L.BatchNorm.make(2, { useFastVariance: false }), [4, 2]],
  ["LayerNorm", L.LayerNorm.make(3), [2, 3]],
  ["RMSNorm", L.RMSNorm.make(3), [2, 3]],
  ["GroupNorm", L.GroupNorm.make(4, { numGroups: 2 }), [2, 3, 4]],
  ["MultiHeadAttention", L.MultiHeadAttention.make(2, 4, { normalizeQk: true, numKvHeads: 1, useBias: false }), [
    2,
    3,
    4
  ]]
]

describe("derivatives of layers agree with differences", () => {
  for (const [name, make, shape] of layers) {
    it.effect(name, () =>
      Effect.gen(function*() {
        const layer = yield* make
        const all = yield* variables(layer)
        const every = State.values(all) as ReadonlyArray<Variable<string, Tensor>>
        const params = every.filter((v) => v.kind === Param.tag)
        const before = yield* Effect.forEach(every, (v) => Ref.get(v))
        const rng = random(7)
        const values = yield* Effect.forEach(params, (v) =>
          Effect.map(Ref.get(v), (x) => tensor(rng, x.shape, "float64")))
        // The same draws and statistics at every call.
        const f = ([x, ...given]: ReadonlyArray<Tensor>): ReadonlyArray<Tensor> => {
          const run = Effect.gen(function*() {
            for (const [i, v] of every.entries()) {
              yield* Ref.set(v, before[i])
            }
            for (const [i, v] of params.entries()) {
              yield* Ref.set(v, given[i])
            }
            return yield* layer.apply(x)
          })
          return [Effect.runSync(run)]
        }
        checkDerivatives(rng, f, [tensor(rng, shape, "float64"), ...values], { order: 1, rtol: 1e-5, atol: 1e-5 })
      }).pipe(Effect.provide(Rngs.layer(0))))
  }
})
