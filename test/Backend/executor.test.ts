// Control flow, liveness, failure, caching and closing, on the cpu backend and on a copy of it that must wait for every read.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { Backend } from "../../src/Backend/Backend.ts"
import { compute, item, toNested, toTypedArray } from "../../src/Backend/read.ts"
import { make } from "../../src/Backend/Tfjs/Cpu/device.ts"
import { layer as cpu } from "../../src/Backend/Tfjs/Cpu/index.ts"
import { layer as layerOf } from "../../src/Backend/Tfjs/service.ts"
import { build } from "../../src/Program/build.ts"
import * as control from "../../src/Program/control.ts"
import type { Program } from "../../src/Program/Program.ts"
import * as lax from "../../src/Tensor/lax/index.ts"
import * as ShapedArray from "../../src/Tensor/ShapedArray.ts"
import * as Tensor from "../../src/Tensor/Tensor.ts"
import * as arbitrary from "../support/arbitrary.ts"

const f32 = (...shape: ReadonlyArray<number>) => ShapedArray.make(shape, "float32")

/** A Program traced from a function of arrays. */
const trace = (
  avals: ReadonlyArray<ShapedArray.ShapedArray>,
  f: (...xs: ReadonlyArray<Tensor.Tensor>) => ReadonlyArray<Tensor.Tensor>
): Program => {
  const scope = Tensor.traceScope("test")
  const args = avals.map((aval) => Tensor.argument(aval, scope))
  return build({ outputs: f(...args), arguments: args, scope }).program
}

const array = (values: ReadonlyArray<number>, ...shape: ReadonlyArray<number>) => arbitrary.fromValues(values, shape)

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

const nothingLives = Effect.gen(function*() {
  const memory = yield* (yield* Backend).memory
  assert.strictEqual(memory.liveBytes, 0)
  assert.strictEqual(memory.liveBuffers, 0)
})

const scanOf = (x: Tensor.Tensor, reverse: boolean) => {
  const program = trace([f32(2), f32(), f32(2)], (a, c, row) => {
    const next = lax.add(c, lax.reduceSum(lax.mul(a, row)))
    return [next, lax.mul(row, lax.broadcastTo(next, [2])), c]
  })
  return control.scan({ program, length: x.shape[0], reverse, num_consts: 1, num_carry: 1, unroll: 1 }, [
    array([1, 10], 2),
    array([0]),
    x
  ]).outputs
}

const doubleUntil = (x: Tensor.Tensor, limit: Tensor.Tensor) =>
  control.whileLoop({
    cond: trace([f32(), f32()], (limit, x) => [lax.lt(x, limit)]),
    body: trace([f32()], (x) => [lax.add(x, x)]),
    cond_consts: 1,
    body_consts: 0
  }, [limit, x]).outputs[0]

const branchOf = (index: number, x: Tensor.Tensor) =>
  control.cond(Tensor.literal(index, "int32"), [
    trace([f32(2)], (x) => [lax.neg(x), x]),
    trace([f32(2)], (x) => [x, lax.exp(x)])
  ], [x]).outputs

for (const [name, layer] of [["cpu", cpu], ["cpu that must wait", waiting]] as const) {
  describe(`the executor on ${name}`, () => {
    it.live("scans, forwards and backwards", () =>
      Effect.gen(function*() {
        const xs = array([1, 2, 3, 4, 5, 6], 3, 2)
        const [carry, ys, before] = scanOf(xs, false)
        assert.strictEqual(yield* item(carry), 129)
        assert.deepStrictEqual(yield* toNested(ys), [[21, 42], [192, 256], [645, 774]])
        assert.deepStrictEqual(yield* toNested(before), [0, 21, 64])
        const [, backwards] = scanOf(xs, true)
        assert.deepStrictEqual(yield* toNested(backwards), [[129, 258], [324, 432], [325, 390]])
        const [same, none] = scanOf(array([], 0, 2), false)
        assert.strictEqual(yield* item(same), 0)
        assert.deepStrictEqual(none.shape, [0, 2])
        yield* compute(none)
        yield* nothingLives
      }).pipe(Effect.provide(layer)))

    it.live("loops while a condition holds", () =>
      Effect.gen(function*() {
        assert.strictEqual(yield* item(doubleUntil(array([3]), array([100]))), 192)
        assert.strictEqual(yield* item(doubleUntil(array([3]), array([1]))), 3)
        yield* nothingLives
      }).pipe(Effect.provide(layer)))

    it.live("runs one branch, the index clamped", () =>
      Effect.gen(function*() {
        const x = array([1, 2], 2)
        const results: Array<unknown> = []
        for (const index of [-1, 0, 1, 7]) results.push(yield* toNested(branchOf(index, x)[0]))
        assert.deepStrictEqual(results, [[-1, -2], [-1, -2], [1, 2], [1, 2]])
        yield* nothingLives
      }).pipe(Effect.provide(layer)))

    it.live("calls back in order, with values", () =>
      Effect.gen(function*() {
        const seen: Array<ReadonlyArray<number>> = []
        const callback = (values: ReadonlyArray<control.HostArray>) => seen.push(Array.from(values[0].data))
        const program = (() => {
          const scope = Tensor.traceScope("test")
          const x = Tensor.argument(f32(2), scope)
          const first = control.debugCallback({ callback: (v) => void callback(v), name: "first" }, [x])
          const y = lax.exp(x)
          const second = control.debugCallback({ callback: (v) => void callback(v), name: "second" }, [lax.add(x, x)])
          return build({ outputs: [y], arguments: [x], effects: [first, second], scope }).program
        })()
        const executable = yield* (yield* Backend).compile(program)
        yield* executable.run([{ _tag: "Host", data: new Float32Array([1, 2]) }])
        assert.deepStrictEqual(seen, [[1, 2], [2, 4]])
        yield* nothingLives
      }).pipe(Effect.provide(layer)))

    it.live("frees everything when a callback throws", () =>
      Effect.gen(function*() {
        const scope = Tensor.traceScope("test")
        const x = Tensor.argument(f32(2), scope)
        const boom = control.debugCallback({
          callback: () => {
            throw new Error("boom")
          },
          name: "boom"
        }, [lax.add(x, x)])
        const program = build({ outputs: [lax.exp(x)], arguments: [x], effects: [boom], scope }).program
        const executable = yield* (yield* Backend).compile(program)
        const exit = yield* Effect.exit(executable.run([{ _tag: "Host", data: new Float32Array([1, 2]) }]))
        assert.isTrue(Exit.isFailure(exit))
        yield* nothingLives
      }).pipe(Effect.provide(layer)))
  })
}

describe("the cpu backend", () => {
  it.live("frees everything when a run that waits is interrupted", () =>
    Effect.gen(function*() {
      const endless = doubleUntil(array([0]), array([100]))
      const fiber = yield* Effect.forkChild(item(endless))
      yield* Effect.sleep(20)
      yield* Fiber.interrupt(fiber)
      yield* nothingLives
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
      yield* nothingLives
    }).pipe(Effect.provide(cpu)))

  it.effect("fails with OutOfMemory and holds nothing", () =>
    Effect.gen(function*() {
      const x = array([1, 2], 2)
      const big = lax.broadcastInDim(lax.exp(x), [2, 2 ** 20, 2 ** 20, 2 ** 10], [0])
      const error = yield* Effect.flip(compute(big))
      assert.strictEqual(error._tag, "OutOfMemory")
      yield* nothingLives
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
      yield* nothingLives
    }).pipe(Effect.provide(cpu)))
})
