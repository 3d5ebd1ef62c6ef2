// Memory stays flat, whatever the loop: nobody disposes of anything, and nothing is kept.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import * as nnx from "linum"
import { Live, regression, type Tensor } from "./models.ts"

/** Bytes that JavaScript holds after a collection: objects, and the memory of typed arrays. */
const heldBytes = Effect.sync(() => {
  globalThis.gc?.()
  globalThis.gc?.()
  const { external, heapUsed } = process.memoryUsage()
  return heapUsed + external
})

const kilobyte = 1024

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
      const batch = (i: number) => nnx.Tensor.array(new Float32Array(256).fill(Math.sin(i)))
      const run = Effect.fnUntraced(function*(from: number, to: number) {
        for (let i = from; i < to; i++) {
          yield* step(model, optimizer, batch(i).reshape([64, 4]), nnx.Tensor.ones([64, 1]))
        }
      })
      yield* run(0, 1000)
      const before = yield* heldBytes
      yield* run(1000, 11_000)
      const grown = (yield* heldBytes) - before
      // One batch a step would be 10 MB, one small object a step some hundred kilobytes.
      assert.isBelow(grown, 300 * kilobyte)
      assert.strictEqual(step.traces(), 1)
      assert.strictEqual((yield* backend.memory).liveBytes, 0)
      assert.strictEqual((yield* backend.memory).liveBuffers, 0)
      assert.strictEqual(yield* nnx.Tensor.item(yield* Ref.get(optimizer.step)), 11_000)
    }).pipe(Effect.provide(Live)), 60_000)

  it.effect("is flat over 10,000 writes of a Variable outside of jit: chains do not grow", () =>
    Effect.gen(function*() {
      const backend = yield* nnx.Backend
      const v = yield* nnx.Param.make(nnx.Tensor.zeros([16]))
      const add = Ref.update(v, (x) => x.add(1))
      for (let i = 0; i < 500; i++) yield* add
      const before = yield* heldBytes
      const { compiled } = yield* backend.stats
      for (let i = 0; i < 10_000; i++) yield* add
      assert.isBelow((yield* heldBytes) - before, 300 * kilobyte)
      assert.strictEqual((yield* backend.stats).compiled, compiled)
      assert.strictEqual(yield* nnx.Tensor.item((yield* Ref.get(v)).get(3)), 10_500)
    }).pipe(Effect.provide(Live)))

  it.effect("is flat over eager draws from random streams and metrics", () =>
    Effect.gen(function*() {
      const rngs = yield* nnx.Rngs
      const average = yield* nnx.Average.make()
      const round = Effect.gen(function*() {
        yield* average.update({ values: yield* rngs.uniform([4]) })
      })
      for (let i = 0; i < 2000; i++) yield* round
      const before = yield* heldBytes
      for (let i = 0; i < 2000; i++) yield* round
      assert.isBelow((yield* heldBytes) - before, 300 * kilobyte)
      assert.closeTo(yield* nnx.Tensor.item(yield* average.compute), 0.5, 0.02)
    }).pipe(Effect.provide(Live)))

  it.effect("a function compiled for many shapes holds a bounded number of Executables", () =>
    Effect.gen(function*() {
      const backend = yield* nnx.Backend
      const double = nnx.jit((x: Tensor) => Effect.succeed(x.mul(2)))
      for (let n = 1; n <= 300; n++) yield* double(nnx.Tensor.ones([n]))
      assert.strictEqual(double.traces(), 300)
      assert.isAtMost((yield* backend.stats).cached, 256)
    }).pipe(Effect.provide(Live)))
})
