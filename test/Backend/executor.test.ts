// Control flow on the cpu backend and on a copy of it that must wait for every read; liveness, failure, caching and
// closing.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { Backend } from "../../src/Backend/Backend.ts"
import { compute, item, toTypedArray } from "../../src/Backend/read.ts"
import { make } from "../../src/Backend/Tfjs/Cpu/device.ts"
import { layer as cpu } from "../../src/Backend/Tfjs/Cpu/index.ts"
import { layer as layerOf } from "../../src/Backend/Tfjs/service.ts"
import * as control from "../../src/Program/control.ts"
import * as lax from "../../src/Tensor/lax/index.ts"
import * as Tensor from "../../src/Tensor/Tensor.ts"
import * as arbitrary from "../support/arbitrary.ts"
import { nothingLivesBut } from "../support/results.ts"
import { array, doubleUntil, executorSuite, f32, trace } from "./executor.suite.ts"

const waiting = layerOf(Effect.sync(() => {
  const device = make()
  return {
    ...device,
    read: (d: Parameters<typeof device.read>[0]) =>
      Effect.delay(
        Effect.suspend(() => {
          const elements = device.read(d)
          return Effect.isEffect(elements) ? elements : Effect.succeed(elements)
        }),
        0
      )
  }
}))

executorSuite("cpu", cpu)
executorSuite("cpu that must wait", waiting)

describe("the cpu backend", () => {
  it.live("frees everything when a run that waits is interrupted", () =>
    Effect.gen(function*() {
      const endless = doubleUntil(array([0]), array([100]))
      const fiber = yield* Effect.forkChild(item(endless))
      yield* Effect.sleep(20)
      yield* Fiber.interrupt(fiber)
      yield* nothingLivesBut()
    }).pipe(Effect.provide(waiting)))

  it.live("runs long loops in constant stack", () =>
    Effect.gen(function*() {
      const counted = control.whileLoop({
        cond: trace([f32()], (x) => [lax.lt(x, Tensor.literal(20000, "float32"))]),
        body: trace([f32()], (x) => [lax.add(x, Tensor.literal(1, "float32"))]),
        cond_consts: 0,
        body_consts: 0
      }, [array([0])]).outputs[0]
      assert.strictEqual(yield* item(counted), 20000)
      yield* nothingLivesBut()
    }).pipe(Effect.provide(cpu)))

  it.effect("fails with OutOfMemory and holds nothing", () =>
    Effect.gen(function*() {
      const x = array([1, 2], 2)
      const big = lax.broadcastInDim(lax.exp(x), [2, 2 ** 20, 2 ** 20, 2 ** 10], [0])
      const error = yield* Effect.flip(compute(big))
      assert.strictEqual(error._tag, "OutOfMemory")
      yield* nothingLivesBut()
    }).pipe(Effect.provide(cpu)))

  it.effect("refuses what it cannot run, by name", () =>
    Effect.gen(function*() {
      const double = lax.convertElementType(array([1, 2], 2), "float64")
      const error = yield* Effect.flip(compute(double))
      assert.include(error.message, "convert_element_type for float64")
      const unresolved = yield* Effect.flip(compute(control.psum(array([1, 2], 2), "batch")))
      assert.include(unresolved.message, "psum over the axis \"batch\" for float32")
    }).pipe(Effect.provide(cpu)))

  it.effect("compiles equal Programs once, and keeps 256", () =>
    Effect.gen(function*() {
      const backend = yield* Backend
      const x = array([1, 2], 2)
      for (let i = 0; i < 3; i++) yield* compute(lax.exp(lax.add(x, x)))
      const stats = yield* backend.stats
      assert.deepInclude(stats, { compiled: 1, cacheHits: 2, cached: 1, runs: 3, kernels: 6 })
      for (let n = 1; n <= 300; n++) yield* compute(lax.exp(arbitrary.fromValues([], [0, n])))
      assert.strictEqual((yield* backend.stats).cached, 256)
      // The oldest is gone, the latest is not.
      yield* compute(lax.exp(arbitrary.fromValues([], [0, 300])))
      assert.strictEqual((yield* backend.stats).compiled, 301)
      yield* compute(lax.exp(lax.add(x, x)))
      assert.strictEqual((yield* backend.stats).compiled, 302)
    }).pipe(Effect.provide(cpu)))

  it.effect("counts the most that it held", () =>
    Effect.gen(function*() {
      yield* compute(lax.exp(lax.add(array([1, 2], 2), array([3, 4], 2))))
      // The sum, and the exponential of it.
      assert.strictEqual((yield* (yield* Backend).memory).peakBytes, 16)
    }).pipe(Effect.provide(cpu)))

  it.effect("is lost when its Scope closes", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(Layer.fresh(cpu), scope)
      const x = lax.exp(array([1, 2], 2))
      yield* Scope.close(scope, Exit.void)
      const error = yield* Effect.flip(Effect.provideContext(compute(x), context))
      assert.strictEqual(error._tag, "DeviceLost")
    }))

  it.effect("does not share memory that a user's view would keep alive", () =>
    Effect.gen(function*() {
      const x = arbitrary.tensor(arbitrary.random(1), [100, 3])
      const row = yield* toTypedArray(lax.slice(x, [5, 0], [6, 3]))
      assert.strictEqual(row.buffer.byteLength, 12)
      yield* nothingLivesBut()
    }).pipe(Effect.provide(cpu)))
})
