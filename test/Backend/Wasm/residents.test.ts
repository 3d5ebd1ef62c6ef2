// Arrays stay where they were computed: in the backend's memory, up to a budget, beyond which they are moved out; whatever
// a program drops or keeps, it runs on.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as Scope from "effect/Scope"
import * as nnx from "linum"
import * as Cpu from "linum/backend/tfjs-cpu"
import { Backend } from "../../../src/Backend/Backend.ts"
import { compute, toTypedArray } from "../../../src/Backend/read.ts"
import { Code } from "../../../src/Backend/Wasm/assembler/index.ts"
import { compile } from "../../../src/Backend/Wasm/compile/index.ts"
import type { Plan } from "../../../src/Backend/Wasm/emission.ts"
import { emitKernel } from "../../../src/Backend/Wasm/emitKernel.ts"
import { features } from "../../../src/Backend/Wasm/features.ts"
import { layerWith } from "../../../src/Backend/Wasm/index.ts"
import { plan } from "../../../src/Backend/Wasm/plan.ts"
import type { EmitKernel } from "../../../src/Backend/Wasm/runtime/assemble.ts"
import { type Crew, noCrew } from "../../../src/Backend/Wasm/runtime/crew.ts"
import { Engine } from "../../../src/Backend/Wasm/runtime/Engine.ts"
import { Heap } from "../../../src/Backend/Wasm/runtime/Heap.ts"
import { Residents, type ResidentsOptions } from "../../../src/Backend/Wasm/runtime/Residents.ts"
import { Workers } from "../../../src/Backend/Wasm/runtime/Workers.ts"
import { make } from "../../../src/Backend/Wasm/service.ts"
import * as lax from "../../../src/Tensor/lax/index.ts"
import type { Storage } from "../../../src/Tensor/Storage.ts"
import * as Tensor from "../../../src/Tensor/Tensor.ts"
import { nothingLivesBut } from "../../support/results.ts"
import { f32, trace } from "../executor.suite.ts"

const T = nnx.Tensor

/** 256 KiB. */
const size = 2 ** 16
const bytes = 4 * size

const host = (value: number): Storage => ({ _tag: "Host", data: new Float32Array(size).fill(value) })

const plusOne = trace([f32(size)], (x) => [lax.add(x, lax.broadcastInDim(Tensor.literal(1, "float32"), [size], []))])

/** x + 1 by one run. */
const next = (x: Storage) =>
  Effect.gen(function*() {
    const executable = yield* (yield* Backend).compile(plusOne)
    const [y] = yield* executable.run([x])
    return y
  })

/** The one number that all elements are. */
const value = (storage: Storage) =>
  Effect.gen(function*() {
    const data = storage._tag === "Host" ? storage.data : yield* (yield* Backend).download(storage, f32(size))
    assert.strictEqual(data.length, size)
    assert.isTrue(data.every((x) => x === data[0]))
    return data[0]
  })

/** Collects garbage until the backend holds no more than this. */
const collected = Effect.fnUntraced(function*(most: number) {
  const backend = yield* Backend
  for (let i = 0; i < 40 && (yield* backend.memory).liveBytes > most; i++) {
    globalThis.gc?.()
    yield* Effect.sleep(5)
  }
  assert.isAtMost((yield* backend.memory).liveBytes, most)
})

interface Own {
  readonly crew?: (heap: Heap) => Crew
  readonly residents?: ResidentsOptions
  readonly emit?: EmitKernel
}

/** A backend whose parts can be looked at. */
const own = Effect.fnUntraced(function*({ crew, emit = emitKernel, residents }: Own) {
  const heap = new Heap({ shared: crew !== undefined, maximumMemory: 2 ** 28 })
  const engine = new Engine(heap, new Residents(heap, residents), crew?.(heap) ?? noCrew)
  const plans: Array<Plan> = []
  const backend = yield* make(engine, {
    compile,
    plan: (compiled, aliases, staying) => {
      const made = plan(compiled, aliases, staying)
      plans.push(made)
      return made
    },
    emitKernel: emit,
    features: features(),
    sharedFrom: 0
  })
  return { heap, engine, plans, run: Effect.provideService(Backend, backend) }
})

describe("arrays that stay in memory", () => {
  it.effect("are used in place, counted, and freed when they are released", () =>
    Effect.gen(function*() {
      const backend = yield* Backend
      const first = yield* next(host(1))
      assert.strictEqual(first._tag, "Device")
      assert.deepInclude(yield* backend.memory, { liveBytes: bytes, liveBuffers: 1 })
      const second = yield* next(first)
      assert.deepInclude(yield* backend.memory, { liveBytes: 2 * bytes, liveBuffers: 2 })
      // No input is copied beside the arena.
      assert.isAtMost((yield* backend.memory).peakBytes, 2 * bytes)
      assert.deepStrictEqual([yield* value(first), yield* value(second)], [2, 3])
      backend.release(first)
      backend.release(first)
      assert.strictEqual((yield* Effect.exit(next(first)))._tag, "Failure")
      assert.deepInclude(yield* backend.memory, { liveBytes: bytes, liveBuffers: 1 })
      backend.release(second)
      assert.deepInclude(yield* backend.memory, { liveBytes: 0, liveBuffers: 0 })
    }).pipe(Effect.provide(layerWith({}))))

  it.effect("are large; small results are host storage", () =>
    Effect.gen(function*() {
      const backend = yield* Backend
      const x = T.ones([100, 1000]).mul(2)
      const sum = x.sum()
      yield* compute(x, sum)
      assert.deepInclude(yield* backend.memory, { liveBytes: 400_000, liveBuffers: 1 })
      assert.strictEqual(yield* T.item(sum), 200_000)
      yield* nothingLivesBut(x)
    }).pipe(Effect.provide(layerWith({}))))

  it.effect("are copied out when they are read", () =>
    Effect.gen(function*() {
      const x = T.ones([size]).mul(3)
      const first = yield* toTypedArray(x)
      assert.instanceOf(first.buffer, ArrayBuffer)
      first.fill(7)
      assert.strictEqual((yield* toTypedArray(x))[5], 3)
    }).pipe(Effect.provide(layerWith({ threads: 2 }))))

  it.effect("are handed through as copies, and state they begin with is written in place from then on", () =>
    Effect.gen(function*() {
      const backend = yield* Backend
      const program = trace([f32(size)], (x) => [lax.add(x, x), x])
      const executable = yield* backend.compile(program, { aliases: [[0, 0]] })
      const x = yield* next(host(0))
      const [twice, same] = yield* executable.run([x], [true])
      assert.deepStrictEqual([yield* value(twice), yield* value(same)], [2, 1])
      assert.notStrictEqual(same, x)
      const [again, before] = yield* executable.run([twice], [true])
      assert.strictEqual(again, twice)
      assert.deepStrictEqual([yield* value(again), yield* value(before)], [4, 2])
      for (const storage of [again, before, same]) backend.release(storage)
      assert.deepInclude(yield* backend.memory, { liveBytes: 0, liveBuffers: 0 })
    }).pipe(Effect.provide(layerWith({}))))

  it.effect("outlive their backend: they can still be read, and other backends take them", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(Layer.fresh(layerWith({})), scope)
      const x = T.ones([size]).mul(3)
      yield* Effect.provideContext(compute(x), context)
      const elsewhere = x.add(1)
      yield* compute(elsewhere)
      yield* Scope.close(scope, Exit.void)
      const error = yield* Effect.flip(Effect.provideContext(compute(x.add(1)), context))
      assert.strictEqual(error._tag, "DeviceLost")
      assert.strictEqual((yield* Effect.provideContext(toTypedArray(x), context))[9], 3)
      assert.strictEqual((yield* toTypedArray(elsewhere.add(x)))[9], 7)
      assert.strictEqual((yield* Effect.provide(toTypedArray(x.mul(2)), Cpu.layer))[9], 6)
    }).pipe(Effect.provide(layerWith({}))))
})

describe("the budget", () => {
  it.effect("is kept, and what was moved out reads and computes as before", () =>
    Effect.gen(function*() {
      const backend = yield* Backend
      const all: Array<Storage> = [yield* next(host(-1))]
      for (let i = 1; i < 40; i++) all.push(yield* next(all[i - 1]))
      assert.isAtMost((yield* backend.memory).liveBytes, 4 * bytes)
      for (const [i, x] of all.entries()) assert.strictEqual(yield* value(x), i)
      assert.strictEqual(yield* value(yield* next(all[3])), 4)
      for (const storage of all) backend.release(storage)
      assert.isAtMost((yield* backend.memory).liveBytes, bytes)
    }).pipe(Effect.provide(layerWith({ residentBytes: 4 * bytes }))))

  it.effect("lets a loop go on that drops arrays, without any collection", () =>
    Effect.gen(function*() {
      const { heap, run } = yield* own({ residents: { budget: 8 * bytes } })
      yield* run(Effect.gen(function*() {
        const { memory } = yield* Backend
        let x = T.zeros([size])
        for (let i = 0; i < 1000; i++) {
          x = x.add(1)
          yield* compute(x)
          assert.isAtMost((yield* memory).liveBytes, 8 * bytes)
        }
        assert.strictEqual((yield* toTypedArray(x))[size - 1], 1000)
      }))
      assert.isAtMost(heap.memory.buffer.byteLength, 16 * bytes)
    }))

  it.effect("is not the only limit: before memory is short, everything is moved out that can be", () =>
    Effect.gen(function*() {
      const backend = yield* Backend
      const all: Array<Storage> = [yield* next(host(0))]
      for (let i = 1; i < 20; i++) all.push(yield* next(all[i - 1]))
      for (const [i, x] of all.entries()) assert.strictEqual(yield* value(x), i + 1)
      // So is state.
      const executable = yield* backend.compile(plusOne, { aliases: [[0, 0]] })
      const states: Array<Storage> = []
      for (let i = 0; i < 20; i++) states.push((yield* executable.run([all[i]], [false]))[0])
      for (const [i, x] of states.entries()) assert.strictEqual(yield* value(x), i + 2)
      const [moved] = yield* executable.run([states[0]], [true])
      assert.strictEqual(yield* value(moved), 3)
    }).pipe(Effect.provide(layerWith({ maximumMemory: 8 * bytes, residentBytes: 2 ** 30 }))))

  it.effect("of nothing copies every result out", () =>
    Effect.gen(function*() {
      const backend = yield* Backend
      const y = yield* next(yield* next(host(1)))
      assert.strictEqual(y._tag, "Host")
      assert.strictEqual(yield* value(y), 3)
      assert.strictEqual((yield* backend.memory).liveBytes, 0)
    }).pipe(Effect.provide(layerWith({ residentBytes: 0 }))))

  it.live("gets back what was collected", () =>
    Effect.gen(function*() {
      const backend = yield* Backend
      yield* Effect.suspend(() => Effect.flatMap(next(host(1)), next))
      yield* collected(0)
      assert.deepInclude(yield* backend.memory, { liveBytes: 0, liveBuffers: 0 })
    }).pipe(Effect.provide(layerWith({}))))
})

describe("host arrays that come again", () => {
  it.effect("have one copy in memory, which is dropped when there is no room", () =>
    Effect.gen(function*() {
      const backend = yield* Backend
      const sum = yield* backend.compile(trace([f32(size)], (x) => [lax.reduceSum(x)]))
      const xs = [host(1), host(2), host(3), host(4), host(5)]
      const total = (x: Storage) =>
        Effect.flatMap(sum.run([x]), ([y]) => Effect.sync(() => y._tag === "Host" && y.data[0]))
      assert.strictEqual(yield* total(xs[0]), size)
      assert.strictEqual((yield* backend.memory).liveBytes, 0)
      for (let i = 0; i < 3; i++) assert.strictEqual(yield* total(xs[0]), size)
      assert.deepInclude(yield* backend.memory, { liveBytes: bytes, liveBuffers: 1 })
      for (let round = 0; round < 3; round++) {
        for (const [i, x] of xs.entries()) assert.strictEqual(yield* total(x), size * (i + 1))
      }
      assert.deepInclude(yield* backend.memory, { liveBytes: 3 * bytes, liveBuffers: 3 })
    }).pipe(Effect.provide(layerWith({ residentBytes: 3 * bytes }))))

  it.live("lose it when they are collected", () =>
    Effect.gen(function*() {
      const backend = yield* Backend
      yield* Effect.suspend(() => {
        const x = host(1)
        return Effect.gen(function*() {
          for (let i = 0; i < 3; i++) backend.release(yield* next(x))
          assert.strictEqual((yield* backend.memory).liveBytes, bytes)
        })
      })
      yield* collected(0)
      assert.deepInclude(yield* backend.memory, { liveBytes: 0, liveBuffers: 0 })
    }).pipe(Effect.provide(layerWith({}))))
})

/** Two layers and a step of Adam. */
const training = Effect.gen(function*() {
  class Net extends nnx.Module("Net")<{ readonly up: nnx.Linear; readonly down: nnx.Linear }> {
    apply(x: nnx.Tensor.Tensor) {
      return Effect.flatMap(this.up.apply(x), (h) => this.down.apply(nnx.gelu(h)))
    }
  }
  const up = yield* nnx.Linear.make(64, 256)
  const model = new Net({ up, down: yield* nnx.Linear.make(256, 64) })
  const optimizer = yield* nnx.Optimizer.make(model, nnx.adam(1e-3), { wrt: nnx.Param })
  const loss = (m: Net, x: nnx.Tensor.Tensor) => Effect.map(m.apply(x), (y) => y.sub(x).square().mean())
  const step = nnx.jit((m: Net, o: typeof optimizer, x: nnx.Tensor.Tensor) =>
    Effect.gen(function*() {
      const [value, grads] = yield* nnx.valueAndGrad(loss)(m, x)
      yield* o.update(m, grads)
      return value
    })
  )
  const parameters = 2 * 64 * 256 + 256 + 64
  return { model, optimizer, step, stateBytes: 3 * 4 * parameters }
})

describe("a training step", () => {
  it.effect("leaves memory flat over 10,000 steps", () =>
    Effect.gen(function*() {
      const { heap, run } = yield* own({})
      yield* run(Effect.gen(function*() {
        const backend = yield* Backend
        const model = yield* nnx.Linear.make(4, 1)
        const optimizer = yield* nnx.Optimizer.make(model, nnx.adam(1e-2), { wrt: nnx.Param })
        const loss = (m: nnx.Linear, x: nnx.Tensor.Tensor) => Effect.map(m.apply(x), (y) => y.square().mean())
        const step = nnx.jit((m: nnx.Linear, o: typeof optimizer, x: nnx.Tensor.Tensor) =>
          Effect.gen(function*() {
            const [value, grads] = yield* nnx.valueAndGrad(loss)(m, x)
            yield* o.update(m, grads)
            return value
          })
        )
        const steps = (n: number) =>
          Effect.gen(function*() {
            for (let i = 0; i < n; i++) {
              yield* step(model, optimizer, T.array(new Float32Array(64).fill(i % 7)).reshape([16, 4]))
            }
            const { liveBuffers, liveBytes, peakBytes } = yield* backend.memory
            return { liveBuffers, liveBytes, peakBytes, heap: heap.memory.buffer.byteLength }
          })
        const before = yield* steps(100)
        assert.deepStrictEqual(yield* steps(9900), before)
        assert.strictEqual(yield* T.item(yield* Ref.get(optimizer.step)), 10_000)
      })).pipe(Effect.provide(nnx.Rngs.layer(0)))
    }), 60_000)

  it.live("needs no more memory than what lives at once", () =>
    Effect.gen(function*() {
      const { engine, plans, run } = yield* own({})
      yield* run(Effect.gen(function*() {
        const { model, optimizer, stateBytes, step } = yield* training
        const x = yield* Effect.flatMap(toTypedArray(T.ones([128, 64])), (data) =>
          Effect.succeed(T.array(data, { shape: [128, 64] })))
        for (let i = 0; i < 3; i++) {
          yield* step(model, optimizer, x)
        }
        const liveBytes = Math.max(...plans.map((p) =>
          p.liveBytes
        ))
        // What the state began with is not held any more.
        yield* collected(stateBytes + 8)
        engine.residents.peakBytes = 0
        yield* step(model, optimizer, x)
        const inputBytes = 128 * 64 * 4
        const most = liveBytes + stateBytes + inputBytes
        assert.isAbove(liveBytes, 128 * 256 * 4)
        const { peakBytes } = yield* (yield* Backend).memory
        assert.isAtMost(peakBytes, 1.05 * most)
      })).pipe(Effect.provide(nnx.Rngs.layer(0)))
    }))
})

/** Kernels that fail for all units but the first. */
const failing: EmitKernel = (e, kernel) => {
  const emitted = emitKernel(e, kernel)
  const c = new Code([["frame", "i32"], ["begin", "i32"], ["end", "i32"]])
  const [, begin] = c.params
  c.get(begin).if(() => c.op("unreachable"))
  return { run: e.module.add("failing", c), units: Math.max(2, emitted.units), nanoseconds: 1e9 }
}

describe("a thread that traps", () => {
  const crews = {
    "alone": undefined,
    "beside the calling thread": (heap: Heap) =>
      new Workers(heap.memory, { threads: 3, background: false, patient: true }),
    "in the background": (heap: Heap) => new Workers(heap.memory, { threads: 3, background: true })
  }
  for (const [where, crew] of Object.entries(crews)) {
    it.live(`${where} ends the run with DeviceLost, and later ones`, () =>
      Effect.gen(function*() {
        const { run } = yield* own({ emit: failing, ...(crew === undefined ? {} : { crew }) })
        const error = yield* Effect.flip(run(next(host(1))))
        assert.strictEqual(error._tag, "DeviceLost")
        assert.include(error.message, "unreachable")
        assert.strictEqual((yield* Effect.flip(run(next(host(1))))).message, error.message)
      }))
  }
})
