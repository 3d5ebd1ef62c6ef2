// The streams of whole models against what Flax makes of them: keys and counts after every call.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { toTypedArray } from "../../src/Backend/read.ts"
import * as Cpu from "../../src/Backend/Tfjs/Cpu/index.ts"
import { Dropout } from "../../src/Layer/index.ts"
import { Module } from "../../src/Ref/Module.ts"
import { Rngs, type RngStreams } from "../../src/Ref/Rngs.ts"
import { Filter } from "../../src/State/index.ts"
import type { Tensor } from "../../src/Tensor/Tensor.ts"
import {
  backupKeys,
  forkRngs,
  jit,
  reseed,
  restoreRngs,
  type RngBackups,
  splitRngs,
  withRngs
} from "../../src/Transform/index.ts"
import { snapshot } from "../Layer/golden.ts"
import { cases, numbers, type Value } from "../support/golden.ts"
import { failsWith } from "./common.ts"

interface Step {
  readonly call: string
  readonly streams?: Readonly<Record<string, Value>>
  readonly made?: Readonly<Record<string, Value>>
  readonly message?: string
}

const golden = cases("rngs.json")["streams"] as unknown as ReadonlyArray<{
  readonly name: string
  readonly steps: ReadonlyArray<Step>
}>

class Two extends Module("Two")<{ readonly a: Dropout; readonly b: Dropout }> {}

const warm = Effect.gen(function*() {
  const rngs = yield* Rngs.fromSeeds({ params: 0, dropout: 1 })
  yield* rngs.key("params")
  yield* rngs.key("dropout")
  yield* rngs.key("dropout")
  return rngs
})

const two = Effect.gen(function*() {
  return new Two({ a: yield* Dropout.make(0.5), b: yield* Dropout.make(0.5) })
}).pipe(Effect.provide(Rngs.layer(0)))

const assertStreams = Effect.fnUntraced(
  function*(node: unknown, want: Readonly<Record<string, Value>>, what: string) {
    const got = yield* snapshot(node)
    assert.strictEqual(got.size, Object.keys(want).length, what)
    for (const [path, value] of Object.entries(want)) {
      const x = (got.get(path) ?? got.get(`streams/${path}`)) as Tensor
      assert.deepStrictEqual(x.shape.slice(0, value.shape.length), value.shape, `${what}: ${path}`)
      assert.deepStrictEqual([...yield* toTypedArray(x)], numbers(value), `${what}: ${path}`)
    }
  }
)

/** What each case does after its start; what it gives is restored later, or is a copy. */
type Call = (node: RngStreams) => Effect.Effect<unknown, unknown>

const only = Filter.withTag("dropout")
const plans: Readonly<Record<string, ReadonlyArray<Call>>> = {
  "splitRngs/3": [(r) => splitRngs(r, { splits: 3 })],
  "splitRngs/2x2": [(r) => splitRngs(r, { splits: [2, 2] })],
  "splitRngs/only": [(r) => splitRngs(r, { splits: 3, only })],
  "splitRngs/squeeze": [(r) => splitRngs(r, { splits: 1, squeeze: true })],
  "splitRngs/squeeze-2": [(r) => splitRngs(r, { splits: 2, squeeze: true })],
  "forkRngs/all": [(r) => forkRngs(r, {}), (r) => r.key("params")],
  "forkRngs/params-4": [(r) => forkRngs(r, { split: { params: 4, dropout: null } })],
  "forkRngs/3": [(r) => forkRngs(r, { split: 3 })],
  "backupKeys": [(r) => backupKeys(r), (r) => Effect.asVoid(forkRngs(r, { split: [[Filter.everything, null]] }))],
  "reseed/dropout": [(r) => reseed(r, { dropout: 42 })],
  "reseed/all": [(r) => reseed(r, { params: 5, dropout: 42 })],
  "reseed/stack": [
    (r) => splitRngs(r, { splits: 3, only: "dropout" }),
    (r) => reseed(r, { dropout: 42 }),
    (r) => reseed(r, { dropout: 42 }, { policy: "matchShape" })
  ],
  "reseed/model": [(m) => reseed(m, { default: 7 })],
  "splitRngs/model": [(m) => splitRngs(m, { splits: 2 })],
  "withRngs/split": [(r) => withRngs(r, { split: 4 })],
  "withRngs/split-fork": [(r) => withRngs(r, { split: { params: 4 }, fork: "..." })],
  "withRngs/broadcast": [(r) => withRngs(r, { broadcast: [["dropout", 2]] })],
  "withRngs/only": [(r) => withRngs(r, { split: 2, only: "params" })],
  "withRngs/conflict": [(r) => withRngs(r, { split: { params: 4 }, fork: "params" })]
}

describe("streams of a model agree with Flax", () => {
  for (const { name, steps } of golden) {
    it.effect(name, () =>
      Effect.gen(function*() {
        const node = (name.endsWith("model") ? yield* two : yield* warm) as RngStreams
        let backups: unknown = []
        let next = 0
        for (const step of steps) {
          const what = `${name}: ${step.call}`
          if (step.call === "restore") {
            yield* restoreRngs(backups as RngBackups)
          } else if (step.call !== "start") {
            const call = plans[name][next++](node)
            if (step.message !== undefined) {
              const error = yield* failsWith(call, "ShapeError")
              assert.match(error.message, /squeeze=true is only supported|non-scalar key|matches multiple rules/, what)
              continue
            }
            const made = yield* call
            if (Array.isArray(made)) backups = made
            if (step.made !== undefined) yield* assertStreams(made, step.made, what)
          }
          if (step.streams !== undefined) yield* assertStreams(node, step.streams, what)
        }
        assert.strictEqual(next, plans[name].length)
      }).pipe(Effect.provide(Cpu.layer)))
  }

  it.effect("around a function they are restored, when it fails and inside jit too", () =>
    Effect.gen(function*() {
      const split3 = splitRngs({ splits: 3 })
      const [start, , after] = golden[0].steps
      const rngs = yield* warm
      yield* assertStreams(rngs, start.streams ?? {}, "start")
      const seen = yield* split3((r: RngStreams, name: string) => Effect.succeed(r.streams[name].key))(rngs, "params")
      assert.strictEqual(seen, rngs.streams["params"].key)
      yield* assertStreams(rngs, after.streams ?? {}, "after")
      const failing = yield* warm
      assert.strictEqual(
        yield* Effect.flip(split3((r: RngStreams) => Effect.fail(`no ${r.streams["params"].tag}`))(failing)),
        "no params"
      )
      yield* assertStreams(failing, after.streams ?? {}, "after a failure")
      const compiled = yield* warm
      const f = jit(split3((r: RngStreams) => Effect.map(r.broadcast(1), () => r.streams["params"].tag)))
      const shaped = jit((r: RngStreams) => split3((s: RngStreams) => snapshot(s))(r).pipe(Effect.map((m) => [...m])))
      assert.deepStrictEqual((yield* shaped(compiled)).map(([, x]) => x.shape[0]), [3, 3, 3, 3])
      yield* assertStreams(compiled, after.streams ?? {}, "after jit")
      assert.strictEqual((yield* Effect.flip(f(compiled)))._tag, "ShapeError")
    }).pipe(Effect.provide(Cpu.layer)))
})
