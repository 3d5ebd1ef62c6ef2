// The Wasm backend as jitted functions use it: state stays in its memory and is overwritten only if nobody else holds it,
// long steps leave the event loop free, and all memory comes back.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as Scope from "effect/Scope"
import * as nnx from "linum"
import { Backend } from "../../../src/Backend/Backend.ts"
import { compute, toTypedArray } from "../../../src/Backend/read.ts"
import { layer as wasm, layerWith } from "../../../src/Backend/Wasm/index.ts"
import * as control from "../../../src/Program/control.ts"
import * as lax from "../../../src/Tensor/lax/index.ts"
import type { Storage } from "../../../src/Tensor/Storage.ts"
import * as Tensor from "../../../src/Tensor/Tensor.ts"
import { nothingLivesBut } from "../../support/results.ts"
import { array, f32, trace } from "../executor.suite.ts"

const T = nnx.Tensor

const host = (...values: ReadonlyArray<number>): Storage => ({ _tag: "Host", data: Float32Array.from(values) })

/** The elements of a storage of the backend. */
const read = (storage: Storage, size: number) =>
  Effect.gen(function*() {
    const data = storage._tag === "Host" ? storage.data : yield* (yield* Backend).download(storage, f32(size))
    return Array.from(data)
  })

/** y = x + d, which takes the place of x, and its sum. */
const step = trace([f32(4), f32(4)], (x, d) => [lax.add(x, d), lax.reduceSum(x)])

const aliases = [[0, 0]] as const

describe("donation on the Wasm backend", () => {
  it.effect("writes an output over a donated input, in the same storage", () =>
    Effect.gen(function*() {
      const backend = yield* Backend
      const executable = yield* backend.compile(step, { aliases })
      assert.deepStrictEqual(executable.aliases, aliases)
      const [first, sum] = yield* executable.run([host(1, 2, 3, 4), host(1, 1, 1, 1)], [true, false])
      assert.strictEqual(first._tag, "Device")
      assert.deepStrictEqual(yield* read(first, 4), [2, 3, 4, 5])
      assert.deepStrictEqual(yield* read(sum, 1), [10])
      const [second, more] = yield* executable.run([first, host(1, 1, 1, 1)], [true, false])
      assert.strictEqual(second, first)
      assert.deepStrictEqual(yield* read(second, 4), [3, 4, 5, 6])
      assert.deepStrictEqual(yield* read(more, 1), [14])
      assert.deepInclude(yield* backend.memory, { liveBytes: 16, liveBuffers: 1 })
      backend.release(second)
      backend.release(second)
      assert.deepInclude(yield* backend.memory, { liveBytes: 0, liveBuffers: 0 })
    }).pipe(Effect.provide(wasm)))

  it.effect("copies what was not donated, and what comes twice", () =>
    Effect.gen(function*() {
      const backend = yield* Backend
      const executable = yield* backend.compile(step, { aliases })
      const [x] = yield* executable.run([host(1, 2, 3, 4), host(0, 0, 0, 0)], [true, false])
      const [y] = yield* executable.run([x, host(1, 1, 1, 1)], [false, false])
      assert.notStrictEqual(y, x)
      const [z] = yield* executable.run([x, x], [true, false])
      assert.notStrictEqual(z, x)
      assert.deepStrictEqual(yield* read(x, 4), [1, 2, 3, 4])
      assert.deepStrictEqual(yield* read(y, 4), [2, 3, 4, 5])
      assert.deepStrictEqual(yield* read(z, 4), [2, 4, 6, 8])
      for (const storage of [x, y, z]) backend.release(storage)
      assert.deepInclude(yield* backend.memory, { liveBytes: 0, liveBuffers: 0 })
    }).pipe(Effect.provide(wasm)))

  it.effect("exchanges, hands through and overwrites with constants", () =>
    Effect.gen(function*() {
      const backend = yield* Backend
      const program = trace([f32(2), f32(2), f32(2)], (a, b, c) => [b, a, c, c, lax.add(a, b)])
      const executable = yield* backend.compile(program, { aliases: [[0, 0], [1, 1], [2, 2]] })
      const first = yield* executable.run([host(1, 2), host(3, 4), host(5, 6)], [true, true, true])
      const expected = [[3, 4], [1, 2], [5, 6], [5, 6], [4, 6]]
      for (const [i, storage] of first.entries()) assert.deepStrictEqual(yield* read(storage, 2), expected[i])
      const [a, b, c] = first
      const second = yield* executable.run([a, b, c], [true, true, true])
      assert.deepStrictEqual(second.slice(0, 3), [a, b, c])
      assert.deepStrictEqual(yield* read(a, 2), [1, 2])
      assert.deepStrictEqual(yield* read(b, 2), [3, 4])
      assert.strictEqual(second[3]._tag, "Host")
      for (const storage of [a, b, c]) backend.release(storage)
      assert.deepInclude(yield* backend.memory, { liveBytes: 0 })
    }).pipe(Effect.provide(wasm)))

  it.effect("overwrites no input that another output still needs", () =>
    Effect.gen(function*() {
      const backend = yield* Backend
      const program = trace([f32(2)], (a) => [lax.mul(a, a), a])
      const executable = yield* backend.compile(program, { aliases: [[0, 0]] })
      const [first] = yield* executable.run([host(2, 3)], [true])
      const [squared, before] = yield* executable.run([first], [true])
      assert.deepStrictEqual(yield* read(squared, 2), [16, 81])
      assert.deepStrictEqual(yield* read(before, 2), [4, 9])
      backend.release(squared)
    }).pipe(Effect.provide(wasm)))
})

class Counter extends nnx.Module("Counter")<{ readonly w: nnx.Variable<"Param", nnx.Tensor.Tensor> }> {}

describe("jitted state on the Wasm backend", () => {
  it.effect("is written in place, step after step, in constant memory", () =>
    Effect.gen(function*() {
      const backend = yield* Backend
      const model = new Counter({ w: yield* nnx.Param.make(T.zeros([100])) })
      const add = nnx.jit((m: Counter, x: nnx.Tensor.Tensor) => Ref.update(m.w, (w) => w.add(x)))
      for (let i = 0; i < 50; i++) yield* add(model, T.ones([100]))
      assert.deepInclude(yield* backend.memory, { liveBytes: 400, liveBuffers: 1 })
      assert.isBelow((yield* backend.memory).peakBytes, 400 + 2 * 512)
      assert.strictEqual((yield* T.toTypedArray(yield* Ref.get(model.w)))[7], 50)
      assert.strictEqual(add.traces(), 1)
    }).pipe(Effect.provide(wasm)))

  it.effect("that was handed out keeps its elements", () =>
    Effect.gen(function*() {
      const model = new Counter({ w: yield* nnx.Param.make(T.zeros([3])) })
      const add = nnx.jit((m: Counter) => Ref.update(m.w, (w) => w.add(1)))
      yield* add(model)
      const one = yield* Ref.get(model.w)
      const [graphdef, state] = yield* nnx.split(model)
      yield* add(model)
      const two = yield* Ref.get(model.w)
      yield* add(model)
      yield* add(model)
      assert.deepStrictEqual(yield* T.toNested(one), [1, 1, 1])
      assert.deepStrictEqual(yield* T.toNested(two), [2, 2, 2])
      assert.deepStrictEqual(yield* T.toNested(yield* Ref.get(model.w)), [4, 4, 4])
      const copy = yield* nnx.merge(graphdef, state)
      assert.deepStrictEqual(yield* T.toNested(yield* Ref.get(copy.w)), [1, 1, 1])
    }).pipe(Effect.provide(wasm)))

  it.effect("that two Variables begin with is not overwritten for both", () =>
    Effect.gen(function*() {
      const zeros = T.zeros([3])
      yield* compute(zeros)
      const [a, b] = [yield* nnx.Param.make(zeros), yield* nnx.Param.make(zeros)]
      const add = nnx.jit((x: typeof a, y: typeof b) =>
        Effect.gen(function*() {
          yield* Ref.update(x, (v) => v.add(1))
          yield* Ref.update(y, (v) => v.add(2))
        })
      )
      yield* add(a, b)
      yield* add(a, b)
      assert.deepStrictEqual(yield* T.toNested(yield* Ref.get(a)), [2, 2, 2])
      assert.deepStrictEqual(yield* T.toNested(yield* Ref.get(b)), [4, 4, 4])
      assert.deepStrictEqual(yield* T.toNested(zeros), [0, 0, 0])
    }).pipe(Effect.provide(wasm)))

  it.effect("survives a check that fails", () =>
    Effect.gen(function*() {
      const model = new Counter({ w: yield* nnx.Param.make(T.ones([2])) })
      const grow = nnx.jit((m: Counter) =>
        Effect.gen(function*() {
          yield* Ref.update(m.w, (w) => w.mul(10))
          yield* nnx.Check.that((yield* Ref.get(m.w)).sum().lt(1000), "too large" as const)
        })
      )
      yield* grow(model)
      yield* grow(model)
      assert.strictEqual(yield* Effect.flip(grow(model)), "too large")
      assert.deepStrictEqual(yield* T.toNested(yield* Ref.get(model.w)), [100, 100])
    }).pipe(Effect.provide(wasm)))

  it.live("is freed when a model is collected", () =>
    Effect.gen(function*() {
      const backend = yield* Backend
      yield* Effect.suspend(() =>
        Effect.gen(function*() {
          const model = new Counter({ w: yield* nnx.Param.make(T.zeros([100])) })
          const add = nnx.jit((m: Counter) => Ref.update(m.w, (w) => w.add(1)))
          yield* add(model)
          assert.strictEqual((yield* backend.memory).liveBytes, 400)
        })
      )
      for (let i = 0; i < 40 && (yield* backend.memory).liveBuffers > 0; i++) {
        globalThis.gc?.()
        yield* Effect.sleep(5)
      }
      assert.deepInclude(yield* backend.memory, { liveBytes: 0, liveBuffers: 0 })
    }).pipe(Effect.provide(wasm)))
})

describe("arrays in the memory of the Wasm backend", () => {
  it.effect("are shown, and can be masks, without asking", () =>
    Effect.gen(function*() {
      const state = yield* nnx.Param.make(T.array([1, 2, 3]))
      const mask = yield* nnx.Param.make(T.array([true, true, true]))
      const write = nnx.jit((v: typeof state, m: typeof mask) =>
        Effect.gen(function*() {
          const x = yield* Ref.get(v)
          yield* Ref.set(v, x.mul(2))
          yield* Ref.set(m, x.ne(2))
        })
      )
      yield* write(state, mask)
      const x = yield* Ref.get(state)
      assert.strictEqual(x.source._tag === "Concrete" ? x.source.storage._tag : "", "Device")
      assert.strictEqual(String(x), "Array([2., 4., 6.], dtype=float32)")
      assert.deepStrictEqual(yield* T.toNested(x.get(yield* Ref.get(mask))), [2, 6])
    }).pipe(Effect.provide(wasm)))
})

describe("failures of the Wasm backend", () => {
  it.effect("OutOfMemory names the bytes of the plan, and changes nothing", () =>
    Effect.gen(function*() {
      const backend = yield* Backend
      const x = array([1, 2], 2)
      const big = lax.exp(lax.broadcastInDim(lax.exp(x), [2, 2 ** 20, 2 ** 20, 2 ** 10], [0]))
      const error = yield* Effect.flip(compute(big))
      assert.strictEqual(error._tag, "OutOfMemory")
      const executable = yield* backend.compile(step, { aliases })
      const large = trace([f32(2 ** 18), f32(2 ** 18)], (a, b) => [lax.add(a, b)])
      const tooLarge = yield* backend.compile(large, { aliases: [[0, 0]] })
      const data = new Float32Array(2 ** 18)
      const failed = yield* Effect.flip(tooLarge.run([{ _tag: "Host", data }, { _tag: "Host", data }], [true, false]))
      assert.strictEqual(failed._tag, "OutOfMemory")
      yield* nothingLivesBut()
      const [y] = yield* executable.run([host(1, 2, 3, 4), host(1, 1, 1, 1)])
      assert.deepStrictEqual(yield* read(y, 4), [2, 3, 4, 5])
      backend.release(y)
      yield* nothingLivesBut()
    }).pipe(Effect.provide(layerWith({ maximumMemory: 2 ** 20 }))))

  it.effect("an array that no memory holds is refused also where it would not be written", () =>
    Effect.gen(function*() {
      const backend = yield* Backend
      const fused = (shape: ReadonlyArray<number>) =>
        trace([f32(2)], (x) => [lax.reduceSum(lax.exp(lax.broadcastInDim(x, [2, ...shape], [0])))])
      for (const shape of [[2 ** 16, 2 ** 16], [2 ** 20, 2 ** 20, 2 ** 10], [2 ** 15, 2 ** 15]]) {
        const error = yield* Effect.flip(Effect.flatMap(backend.compile(fused(shape)), (e) => e.run([host(1, 2)])))
        const bytes = shape.reduce((n, size) => n * size, 8)
        assert.deepInclude(error, { _tag: "OutOfMemory", bytes })
      }
      // One byte an element: memory could hold them, but loops cannot count them.
      const counted = trace([f32(2)], (x) => [lax.reduceOr(lax.broadcastInDim(lax.lt(x, x), [2, 2 ** 30], [0]))])
      const error = yield* Effect.flip(Effect.flatMap(backend.compile(counted), (e) => e.run([host(1, 2)])))
      assert.strictEqual(error._tag, "OutOfMemory")
      yield* nothingLivesBut()
    }).pipe(Effect.provide(wasm)))

  it.effect("an array of another backend is refused", () =>
    Effect.gen(function*() {
      const backend = yield* Backend
      const executable = yield* backend.compile(step, { aliases })
      const foreign: Storage = { _tag: "Device", owner: {}, handle: {} }
      const error = yield* Effect.flip(executable.run([foreign, host(1, 1, 1, 1)]))
      assert.strictEqual(error._tag, "BackendUnavailable")
      yield* nothingLivesBut()
    }).pipe(Effect.provide(wasm)))

  it.effect("is lost when its Scope closes", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(Layer.fresh(wasm), scope)
      const x = lax.exp(array([1, 2], 2))
      yield* Scope.close(scope, Exit.void)
      const error = yield* Effect.flip(Effect.provideContext(compute(x), context))
      assert.strictEqual(error._tag, "DeviceLost")
    }))

  it.effect("compiles equal Programs once, and keeps 256", () =>
    Effect.gen(function*() {
      const backend = yield* Backend
      const x = array([1, 2], 2)
      for (let i = 0; i < 3; i++) yield* compute(lax.exp(lax.add(x, x)))
      assert.deepInclude(yield* backend.stats, { compiled: 1, cacheHits: 2, cached: 1, runs: 3, kernels: 3 })
      for (let n = 1; n <= 300; n++) yield* compute(lax.exp(Tensor.concrete(f32(n), host(...new Float32Array(n)))))
      assert.strictEqual((yield* backend.stats).cached, 256)
    }).pipe(Effect.provide(wasm)))
})

/** x times 1.000001, so often that it takes a while. */
const slowly = (rounds: number) =>
  control.whileLoop({
    cond: trace([f32(), f32(4096)], (n) => [lax.lt(n, Tensor.literal(rounds, "float32"))]),
    body: trace([f32(), f32(4096)], (n, x) => [
      lax.add(n, Tensor.literal(1, "float32")),
      lax.sin(lax.exp(lax.sin(x)))
    ]),
    cond_consts: 0,
    body_consts: 0
  }, [array([0]), Tensor.concrete(f32(4096), host(...new Float32Array(4096).fill(0.5)))]).outputs[1]

describe("threads of the Wasm backend", () => {
  const background = layerWith({ threads: 2, background: true })

  it.live("a long step leaves the event loop free, and gives the same", () =>
    Effect.gen(function*() {
      // Nobody knows how long a while takes, until it was run.
      const ticks = { count: 0 }
      const timer = setInterval(() => ticks.count++, 1)
      const x = slowly(300)
      yield* compute(x)
      clearInterval(timer)
      assert.isAbove(ticks.count, 0)
      const alone = yield* Effect.provide(toTypedArray(slowly(300)), wasm)
      assert.deepStrictEqual(yield* toTypedArray(x), alone)
    }).pipe(Effect.provide(background)))

  it.live("many steps on one thread let the event loop have a turn now and then", () =>
    Effect.gen(function*() {
      const model = new Counter({ w: yield* nnx.Param.make(T.ones([300_000])) })
      const grow = nnx.jit((m: Counter) => Ref.update(m.w, (w) => w.mul(0.5).exp().log().add(0.5)))
      const started = performance.now()
      const turns = { count: 0, over: false }
      const count = (): void => {
        turns.count++
        if (!turns.over) setImmediate(count)
      }
      setImmediate(count)
      for (let i = 0; i < 100; i++) yield* grow(model)
      turns.over = true
      // One for 10 milliseconds of steps, and what surrounds those; 100 calls do not make Effect yield once.
      assert.isAbove(turns.count, Math.min(5, (performance.now() - started) / 100))
      assert.strictEqual((yield* T.toTypedArray(yield* Ref.get(model.w))).length, 300_000)
    }).pipe(Effect.provide(wasm)))

  it.live("runs wait for one another", () =>
    Effect.gen(function*() {
      const xs = [slowly(300), slowly(301), slowly(300), lax.exp(array([1, 2], 2))]
      yield* Effect.forEach(xs, (x) => compute(x), { concurrency: "unbounded" })
      assert.deepStrictEqual(yield* toTypedArray(xs[0]), yield* toTypedArray(xs[2]))
      yield* nothingLivesBut()
    }).pipe(Effect.provide(background)))

  it.live("a step that is interrupted is done first, and state is whole", () =>
    Effect.gen(function*() {
      const model = new Counter({ w: yield* nnx.Param.make(T.ones([1_000_000])) })
      const grow = nnx.jit((m: Counter) =>
        Effect.gen(function*() {
          const half = (_: nnx.Tensor.Tensor, c: nnx.Tensor.Tensor) => Effect.succeed(c.mul(0.5).exp().log().add(0.5))
          yield* Ref.set(m.w, yield* nnx.foriLoop(0, 20, half, yield* Ref.get(m.w)))
        })
      )
      yield* grow(model)
      yield* grow(model)
      const fiber = yield* Effect.forkChild(grow(model))
      yield* Effect.sleep(1)
      yield* Fiber.interrupt(fiber)
      const w = yield* T.toTypedArray(yield* Ref.get(model.w))
      assert.isTrue(w.every((x) => Math.abs(x - 1) < 1e-3))
    }).pipe(Effect.provide(background)))

  it.live("a Scope that closes ends a step in the background", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(Layer.fresh(background), scope)
      const run = Effect.provideContext(context)
      const fiber = yield* Effect.forkChild(Effect.flip(run(compute(slowly(1e6)))))
      yield* Effect.sleep(20)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "DeviceLost")
    }))
})
