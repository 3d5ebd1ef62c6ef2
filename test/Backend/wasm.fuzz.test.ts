// Random Programs on the Wasm backend: every element of every result lies where the interval evaluator says that it may
// lie, two threads give the very bits of one, donated inputs are replaced, and nothing stays in memory.
//
//   LINUM_FUZZ_SEED=17 npx vitest run --project node test/Backend/wasm.fuzz.test.ts     one Program, made shorter if it fails
//   LINUM_FUZZ_FROM=5000 LINUM_FUZZ_COUNT=20000 npx vitest …                            many others
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { Backend } from "../../src/Backend/Backend.ts"
import { layer } from "../../src/Backend/Wasm/index.ts"
import { check, shortened, threaded } from "../support/programs/check.ts"
import { sharedLayer } from "../support/sharedLayer.ts"

const number = (name: string): number | undefined => {
  const text = process.env[name]
  return text === undefined ? undefined : Number(text)
}

const only = number("LINUM_FUZZ_SEED")
const from = only ?? number("LINUM_FUZZ_FROM") ?? 0
const count = only === undefined ? number("LINUM_FUZZ_COUNT") ?? 1000 : 1

/** Programs of one test. */
const batch = 50

const alone = sharedLayer(layer)
const together = sharedLayer(threaded)

describe("random Programs", () => {
  for (let first = from; first < from + count; first += batch) {
    const last = Math.min(first + batch, from + count) - 1
    it.live(`seeds ${first} to ${last}`, () =>
      Effect.gen(function*() {
        const one = yield* Effect.provide(Backend, alone)
        const two = yield* Effect.provide(Backend, together)
        for (let seed = first; seed <= last; seed++) {
          const others = seed % 10 === 0 || only !== undefined ? [two] : []
          const problem = yield* check(seed, one, others)
          if (problem !== undefined) assert.fail(yield* shortened(seed, one, others))
        }
      }), 600_000)
  }
})
