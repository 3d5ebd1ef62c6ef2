// Memory stays flat, whatever the loop: nobody disposes of anything, and nothing is kept.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import * as nnx from "linum"
import { Live, regression, type Tensor } from "./models.ts"

const T = nnx.Tensor

/** Bytes that JavaScript holds after a collection: objects, and the memory of typed arrays. */
const heldBytes = Effect.sync(() => {
  globalThis.gc?.()
  globalThis.gc?.()
  const { external, heapUsed } = process.memoryUsage()
  return heapUsed + external
})

/**
 * By how much memory grows over each of four equal parts of a loop, at the least: a leak grows in every part, while the
 * first parts also pay for what the JavaScript engine learns.
 */
const leastGrowth = Effect.fnUntraced(
  function*<E, R>(step: (i: number) => Effect.Effect<unknown, E, R>, steps: number) {
    let least = Number.POSITIVE_INFINITY
    for (let part = 0; part < 4; part++) {
      const before = yield* heldBytes
      for (let i = part * steps / 4; i < (part + 1) * steps / 4; i++) yield* step(i)
      least = Math.min(least, (yield* heldBytes) - before)
    }
    return least
  }
)

/** One small object a step would be more. */
const perStep = 32

describe("memory", () => {
  it.effect("is flat over 10,000 jitted training steps", () =>
    Effect.gen(function*() {
      assert.isDefined(globalThis.gc, "the tests run under --expose-gc")
      const backend = yield* nnx.Backend
      const model = yield* nnx.Linear.make(4, 1)
      const optimizer = yield* nnx.Optimizer.make(model, nnx.adam(1e-2), { wrt: nnx.Param })
      const step = nnx.jit((m: nnx.Linear, o: typeof optimizer, x: Tensor, y: Tensor) =>
        Effect.gen(function*() {
          const [value, grads] = yield* nnx.valueAndGrad(regression<nnx.Linear>())(m, x, y)
          yield* o.update(m, grads)
          return value
        })
      )
      // A new array at every step, as from a data set.
      const batch = (i: number) => T.array(new Float32Array(256).fill(Math.sin(i)))
      const train = (i: number) => step(model, optimizer, batch(i).reshape([64, 4]), T.ones([64, 1]))
      yield* train(0)
      // A backend may keep the elements of Variables in its memory: what it keeps after one step, it keeps.
      const first = yield* backend.memory
      assert.isBelow(yield* leastGrowth(train, 10_000), perStep * 2500)
      assert.strictEqual(step.traces(), 1)
      const { liveBuffers, liveBytes } = yield* backend.memory
      assert.deepStrictEqual({ liveBuffers, liveBytes }, { liveBuffers: first.liveBuffers, liveBytes: first.liveBytes })
      assert.strictEqual(yield* T.item(yield* Ref.get(optimizer.step)), 10_001)
    }).pipe(Effect.provide(Live)), 60_000)

  it.effect("is flat over 10,000 writes of a Variable outside of jit: chains do not grow", () =>
    Effect.gen(function*() {
      const backend = yield* nnx.Backend
      const v = yield* nnx.Param.make(T.zeros([16]))
      const add = Ref.update(v, (x) => x.add(1))
      assert.isBelow(yield* leastGrowth(() => add, 10_000), perStep * 2500)
      // One Program serves all writes.
      assert.isAtMost((yield* backend.stats).compiled, 3)
      assert.strictEqual(yield* T.item((yield* Ref.get(v)).get(3)), 10_000)
    }).pipe(Effect.provide(Live)))

  it.effect("a loop that reads something of each of its arrays does not begin at the start every time", () =>
    Effect.gen(function*() {
      const backend = yield* nnx.Backend
      const read = Effect.fnUntraced(function*(steps: number, from: Tensor) {
        const { kernels } = yield* backend.stats
        let x = from
        for (let i = 0; i < steps; i++) {
          x = x.mul(0.99).sin()
          yield* T.item(x.mean())
        }
        return { x, kernels: (yield* backend.stats).kernels - kernels }
      })
      const short = yield* read(20, T.ones([16]))
      const long = yield* read(200, T.ones([16]))
      assert.isAtMost(long.kernels, short.kernels * 11)
      assert.isAtMost((yield* backend.stats).compiled, 4)
      const again = yield* read(180, short.x)
      assert.deepStrictEqual(yield* T.toNested(again.x), yield* T.toNested(long.x))
    }).pipe(Effect.provide(Live)))

  it.effect("is flat over eager draws from random streams and metrics", () =>
    Effect.gen(function*() {
      const rngs = yield* nnx.Rngs
      const average = yield* nnx.Average.make()
      const round = Effect.gen(function*() {
        yield* average.update({ values: yield* rngs.uniform([4]) })
      })
      assert.isBelow(yield* leastGrowth(() => round, 3000), perStep * 750)
      assert.closeTo(yield* T.item(yield* average.compute), 0.5, 0.02)
    }).pipe(Effect.provide(Live)))

  it.effect("a function compiled for many shapes holds a bounded number of Executables", () =>
    Effect.gen(function*() {
      const backend = yield* nnx.Backend
      const double = nnx.jit((x: Tensor) => Effect.succeed(x.mul(2)))
      for (let n = 1; n <= 300; n++) yield* double(T.ones([n]))
      assert.strictEqual(double.traces(), 300)
      assert.isAtMost((yield* backend.stats).cached, 256)
    }).pipe(Effect.provide(Live)))
})
