import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { item, toTypedArray } from "../../src/Backend/read.ts"
import * as Cpu from "../../src/Backend/Tfjs/Cpu/index.ts"
import { clone } from "../../src/GraphDef/index.ts"
import { initializers } from "../../src/Layer/index.ts"
import { Rngs, type RngStream, type RngStreams, type Seed } from "../../src/Ref/Rngs.ts"
import "../../src/Tensor/install.ts"
import { bernoulli } from "../../src/Tensor/random/index.ts"
import type { Tensor } from "../../src/Tensor/Tensor.ts"
import { jit } from "../../src/Transform/jit.ts"
import { assertClose } from "../support/close.ts"
import { cases, numbers, type Value } from "../support/golden.ts"
import { snapshot } from "./golden.ts"

interface Step {
  readonly call: string
  readonly out?: Value
  readonly streams: Readonly<Record<string, Value>>
}

interface RngsCase {
  readonly name: string
  readonly steps?: ReadonlyArray<Step>
  readonly before: Readonly<Record<string, Value>>
  readonly after: Readonly<Record<string, Value>>
  readonly made: Readonly<Record<string, Value>>
  readonly draws: ReadonlyArray<Step>
  readonly made_after: Readonly<Record<string, Value>>
}

const golden = new Map((cases("random.json")["rngs"] as unknown as ReadonlyArray<RngsCase>).map((c) => [c.name, c]))
const find = (name: string): RngsCase => golden.get(`rngs/${name}`) as RngsCase

const assertStreams = Effect.fnUntraced(
  function*(rngs: unknown, want: Readonly<Record<string, Value>>, what: string) {
    const got = yield* snapshot(rngs)
    assert.strictEqual(got.size, Object.keys(want).length, what)
    for (const [path, value] of Object.entries(want)) {
      const x = got.get(path) ?? got.get(`streams/${path}`)
      assert.isDefined(x, `${what}: ${path}`)
      assert.deepStrictEqual([...yield* toTypedArray(x as Tensor)], numbers(value), `${what}: ${path}`)
    }
  }
)

/** A call such as `params.normal((2,))`, `dropout()` or `uniform((4,5))`. */
const draw = (rngs: RngStreams, call: string): Effect.Effect<Tensor, unknown> => {
  const [, name, , args] = /^\W*(\w*)\W*?(?:\.(\w+))?\((.*)\)$/.exec(call) ?? []
  const shape = args.replaceAll(/[()]/g, "").split(",").filter((x) => x !== "").map(Number)
  if (name === "uniform" || name === "normal") return rngs[name](shape)
  return rngs.key(name === "" ? undefined : name)
}

const seeds: Readonly<Record<string, Seed | Readonly<Record<string, Seed>>>> = {
  "seed-0": 0,
  "params-0-dropout-1": { params: 0, dropout: 1 },
  "default-7-params-0": { default: 7, params: 0 },
  "seed-above-32-bits": 2 ** 32 + 5
}

describe("Rngs", () => {
  for (const [name, seed] of Object.entries(seeds)) {
    it.effect(`${name}: draws and state agree with Flax`, () =>
      Effect.gen(function*() {
        const rngs = yield* Rngs.fromSeeds(seed)
        for (const step of find(name).steps ?? []) {
          const what = `${name}: ${step.call}`
          if (step.call.includes(".")) break
          if (step.call !== "start") {
            const result = yield* Effect.result(draw(rngs, step.call))
            if (step.out === undefined) assert.strictEqual(result._tag, "Failure", what)
            else if (result._tag === "Success") {
              const got = [...yield* toTypedArray(result.success)]
              if (step.call.startsWith("normal")) assert.strictEqual(got.length, numbers(step.out).length, what)
              else {assert.deepStrictEqual(
                  got,
                  numbers(step.out).map(result.success.dtype === "uint32" ? Number : Math.fround),
                  what
                )}
            } else assert.fail(what)
          }
          if (step.streams !== undefined) yield* assertStreams(rngs, step.streams, what)
        }
      }).pipe(Effect.provide(Cpu.layer)))
  }

  const derive: Readonly<Record<string, (rngs: RngStreams) => Effect.Effect<RngStreams | RngStream, unknown>>> = {
    "fork": (rngs) => rngs.fork,
    "split-3": (rngs) => rngs.split(3),
    "split-2x2": (rngs) => rngs.split([2, 2]),
    "split-params-2": (rngs) => rngs.split({ params: 2 }),
    "split-params-2-rest-3": (rngs) => rngs.split({ "...": 3, params: 2 }),
    "broadcast-3": (rngs) => rngs.broadcast(3),
    "broadcast-params": (rngs) => rngs.broadcast({ params: 2, dropout: null }),
    "broadcast-2x2": (rngs) => rngs.broadcast([2, 2]),
    "stream-fork": (rngs) => Effect.flatMap(rngs.stream("dropout"), (s) => s.fork),
    "stream-split-2": (rngs) => Effect.flatMap(rngs.stream("dropout"), (s) => s.split(2)),
    "stream-broadcast-2": (rngs) => Effect.flatMap(rngs.stream("dropout"), (s) => s.broadcast(2))
  }
  for (const [name, f] of Object.entries(derive)) {
    it.effect(`${name}: new streams agree with Flax`, () =>
      Effect.gen(function*() {
        const c = find(name)
        const rngs = yield* Rngs.fromSeeds({ params: 0, dropout: 1 })
        yield* rngs.key("params")
        yield* rngs.key("dropout")
        yield* rngs.key("dropout")
        yield* assertStreams(rngs, c.before, "before")
        yield* assertStreams(yield* f(rngs), c.made, "made")
        yield* assertStreams(rngs, c.after, "after")
      }).pipe(Effect.provide(Cpu.layer)))
  }

  it.effect("the mean of a product of its first draws is the one that Flax prints", () =>
    Effect.gen(function*() {
      const rngs = yield* Rngs.fromSeeds(0)
      const x = yield* rngs.uniform([4, 5])
      const w = yield* rngs.normal([5, 3])
      assert.closeTo(yield* item(x.matmul(w).mean()), -1.1782329, 3e-7)
    }).pipe(Effect.provide(Cpu.layer)))

  it.effect("draw takes any sampler or initializer, and gives what Flax's methods of that name give", () =>
    Effect.gen(function*() {
      const rngs = yield* Rngs.fromSeeds(0)
      const made = new Map(cases("layers.json")["initializers"].map((c) => [c.name, c.out]))
      const params = yield* rngs.stream("params")
      const drawn = {
        "rngs.lecun_normal()((2,3))": yield* rngs.draw(initializers.lecunNormal(), [2, 3]),
        "rngs.glorot_uniform()((2,3))": yield* rngs.draw(initializers.glorotUniform(), [2, 3]),
        "rngs.params.he_normal()((2,3))": yield* params.draw(initializers.heNormal(), [2, 3], "float32")
      }
      for (const [text, x] of Object.entries(drawn)) {
        assertClose([...yield* toTypedArray(x)], numbers(made.get(`initializers/${text}`) as Value))
      }
      const again = yield* Rngs.fromSeeds(0)
      for (let i = 0; i < 3; i++) yield* again.key()
      const coins = yield* rngs.draw(bernoulli, 0.5, [9])
      const same = bernoulli(yield* again.key(), 0.5, [9])
      assert.deepStrictEqual([...yield* toTypedArray(coins)], [...yield* toTypedArray(same)])
    }).pipe(Effect.provide(Cpu.layer)))

  it.effect("draws inside jit go on where draws outside stopped, in clones too", () =>
    Effect.gen(function*() {
      const [one, two] = [yield* Rngs.fromSeeds(3), yield* Effect.flatMap(Rngs.fromSeeds(3), clone)]
      const inside = jit((rngs: RngStreams) => rngs.key("params"))
      for (let i = 0; i < 3; i++) {
        yield* one.key()
        yield* two.key()
        const [a, b] = [yield* one.key(), yield* inside(two)]
        assert.deepStrictEqual([...yield* toTypedArray(a)], [...yield* toTypedArray(b)])
      }
      const forked = yield* two.fork
      assert.deepStrictEqual(Object.keys(forked.streams), ["default"])
    }).pipe(Effect.provide(Cpu.layer)))

  it.effect("a missing stream is named", () =>
    Effect.gen(function*() {
      const rngs = yield* Rngs.fromSeeds({ params: 0 })
      const error = yield* Effect.flip(rngs.key("dropout"))
      assert.strictEqual(error._tag, "RngStreamError")
      assert.match(error.message, /No RngStream named 'dropout' found in Rngs \(streams: params\)/)
    }))
})
