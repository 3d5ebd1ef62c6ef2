// What the WebGPU backend holds, and for how long: buffers die with their arrays, nobody disposes of anything by hand.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { Backend } from "../../src/Backend/Backend.ts"
import { compute, item, toNested } from "../../src/Backend/read.ts"
import { layer as cpu } from "../../src/Backend/Tfjs/Cpu/index.ts"
import { layer } from "../../src/Backend/Tfjs/WebGpu/index.ts"
import * as lax from "../../src/Tensor/lax/index.ts"
import type { Storage } from "../../src/Tensor/Storage.ts"
import * as Tensor from "../../src/Tensor/Tensor.ts"
import { random, tensor } from "../support/arbitrary.ts"
import { nothingLivesBut } from "../support/results.ts"
import { sharedLayer } from "../support/sharedLayer.ts"
import { array, f32, trace } from "./executor.suite.ts"

const shared = sharedLayer(layer)

/** Collects garbage until the backend holds nothing, and fails if it never does. */
const collected = Effect.gen(function*() {
  const backend = yield* Backend
  for (let i = 0; i < 20; i++) {
    globalThis.gc?.()
    yield* Effect.sleep(5)
    if ((yield* backend.memory).liveBuffers === 0) return
  }
  assert.deepInclude(yield* backend.memory, { liveBytes: 0, liveBuffers: 0 })
})

/** Runs a function whose arrays are garbage when it returns. */
const forgotten = <A>(effect: () => Effect.Effect<A, unknown, Backend>): Effect.Effect<void, unknown, Backend> =>
  Effect.asVoid(Effect.suspend(effect))

const host = (...values: ReadonlyArray<number>): Storage => ({ _tag: "Host", data: Float32Array.from(values) })

const x2 = f32(2)

describe("memory of tfjs-webgpu", () => {
  it.live("is freed when arrays are collected", () =>
    Effect.gen(function*() {
      yield* forgotten(() => {
        const x = tensor(random(1), [33, 5])
        const [y, z] = [lax.exp(x), lax.sin(x)]
        return Effect.gen(function*() {
          yield* compute(y, z)
          assert.strictEqual((yield* (yield* Backend).memory).liveBytes, 2 * 33 * 5 * 4)
          return yield* item(lax.reduceSum(lax.add(y, z)))
        })
      })
      yield* collected
    }).pipe(Effect.provide(shared)))

  it.live("counts 4 bytes an element, at its highest too", () =>
    Effect.gen(function*() {
      const backend = yield* Backend
      const x = array([1, 2], 2)
      yield* compute(lax.convertElementType(lax.exp(lax.add(x, x)), "uint8"))
      yield* collected
      const { peakBytes } = yield* backend.memory
      assert.isAtLeast(peakBytes, 16)
    }).pipe(Effect.provide(shared)))

  it.live("of one value that is two outputs is freed with the second", () =>
    Effect.gen(function*() {
      const backend = yield* Backend
      const executable = yield* backend.compile(trace([x2], (x) => {
        const y = lax.exp(x)
        return [y, y, x]
      }))
      const [a, b, c] = yield* executable.run([host(0, 1)])
      assert.notStrictEqual(a, b)
      backend.release(a)
      backend.release(a)
      for (const [storage, values] of [[b, [1, Math.fround(Math.E)]], [c, [0, 1]]] as const) {
        if (storage._tag !== "Device") return assert.fail("results are on the device")
        assert.deepStrictEqual(Array.from(yield* backend.download(storage, x2)), [...values])
        backend.release(storage)
      }
      yield* nothingLivesBut()
    }).pipe(Effect.provide(shared)))

  it.live("of an input that is an output outlives the input", () =>
    Effect.gen(function*() {
      const backend = yield* Backend
      const double = yield* backend.compile(trace([x2], (x) => [lax.add(x, x)]))
      const same = yield* backend.compile(trace([x2], (x) => [x]))
      const [first] = yield* double.run([host(1, 2)])
      const [second] = yield* same.run([first])
      backend.release(first)
      if (second._tag !== "Device") return assert.fail("results are on the device")
      assert.deepStrictEqual(Array.from(yield* backend.download(second, x2)), [2, 4])
      backend.release(second)
      yield* nothingLivesBut()
    }).pipe(Effect.provide(shared)))

  it.live("of donated state is flat over many steps", () =>
    Effect.gen(function*() {
      const backend = yield* Backend
      const step = yield* backend.compile(trace([f32(1000), f32(1000)], (w, x) => [lax.sub(w, lax.mul(x, x))]))
      let [w] = yield* step.run([{ _tag: "Host", data: new Float32Array(1000) }, {
        _tag: "Host",
        data: new Float32Array(1000)
      }])
      for (let i = 0; i < 300; i++) {
        ;[w] = yield* step.run([w, { _tag: "Host", data: new Float32Array(1000) }], [true, false])
        assert.deepInclude(yield* backend.memory, { liveBytes: 4000, liveBuffers: 1 })
      }
      backend.release(w)
      yield* nothingLivesBut()
    }).pipe(Effect.provide(shared)))

  it.live("is not asked for more than the adapter has", () =>
    Effect.gen(function*() {
      const backend = yield* Backend
      const big = lax.reduceSum(lax.sort([lax.broadcastInDim(array([1, 2], 2), [2, 2 ** 20, 2 ** 12], [0])])[0])
      const error = yield* Effect.flip(compute(big))
      assert.deepInclude(error, { _tag: "OutOfMemory", backend: "tfjs-webgpu", bytes: 2 ** 35 })
      // Everything goes on.
      assert.strictEqual(yield* item(lax.reduceSum(array([1, 2], 2))), 3)
      assert.isAtMost((yield* backend.memory).liveBytes, 8)
      yield* collected
    }).pipe(Effect.provide(shared)))

  it.live("of a spread scalar is made when someone reads it", () =>
    Effect.gen(function*() {
      const spread = lax.broadcastInDim(array([3]), [2, 3], [])
      const y = lax.mul(spread, spread)
      const [sum, moved] = [lax.reduceSum(lax.add(y, spread)), lax.transpose(lax.reshape(y, [3, 2]), [1, 0])]
      assert.deepStrictEqual(yield* toNested(y), [[9, 9, 9], [9, 9, 9]])
      assert.deepStrictEqual(yield* toNested(sum), 72)
      assert.deepStrictEqual(yield* toNested(moved), [[9, 9, 9], [9, 9, 9]])
      yield* nothingLivesBut(y, sum, moved)
    }).pipe(Effect.provide(shared)))

  it.live("of another backend is refused", () =>
    Effect.gen(function*() {
      const x = lax.exp(array([1, 2], 2))
      yield* compute(x)
      const elsewhere = yield* Layer.build(Layer.fresh(layer))
      for (const context of [elsewhere, yield* Layer.build(cpu)]) {
        const error = yield* Effect.flip(Effect.provideContext(compute(lax.add(x, x)), context))
        assert.strictEqual(error._tag, "BackendUnavailable")
      }
      yield* nothingLivesBut(x)
    }).pipe(Effect.provide(shared)))
})

/** The device that the backend's Layer gets, for tests that take it away. */
const withDevice = Effect.gen(function*() {
  const requestDevice = GPUAdapter.prototype.requestDevice
  const devices: Array<GPUDevice> = []
  yield* Effect.acquireRelease(
    Effect.sync(() => {
      GPUAdapter.prototype.requestDevice = async function(descriptor) {
        const device = await requestDevice.call(this, descriptor)
        devices.push(device)
        return device
      }
    }),
    () =>
      Effect.sync(() => {
        GPUAdapter.prototype.requestDevice = requestDevice
      })
  )
  const context = yield* Layer.build(Layer.fresh(layer))
  return { device: devices[0], context }
})

/** `navigator.gpu` replaced. */
const withGpu = (gpu: unknown) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const before = Object.getOwnPropertyDescriptor(globalThis.navigator, "gpu") ?? {}
      Object.defineProperty(globalThis.navigator, "gpu", { value: gpu, configurable: true })
      return before
    }),
    (before) => Effect.sync(() => Object.defineProperty(globalThis.navigator, "gpu", before))
  )

describe("the device of tfjs-webgpu", () => {
  it.live("is destroyed with the Scope, and everything on it freed", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(Layer.fresh(layer), scope)
      const x = lax.exp(array([1, 2], 2))
      yield* Effect.provideContext(compute(x), context)
      yield* Scope.close(scope, Exit.void)
      const lost = (effect: Effect.Effect<unknown, { readonly _tag: string }, Backend>) =>
        Effect.map(Effect.flip(Effect.provideContext(effect, context)), (e) => assert.strictEqual(e._tag, "DeviceLost"))
      yield* lost(compute(lax.sin(x)))
      yield* lost(toNested(x))
      yield* Effect.provideContext(nothingLivesBut(x), context)
    }))

  it.live("that is lost fails what comes after it", () =>
    Effect.gen(function*() {
      const { context, device } = yield* withDevice
      const x = lax.exp(array([1, 2], 2))
      yield* Effect.provideContext(compute(x), context)
      device.destroy()
      yield* Effect.promise(() => device.lost)
      for (const effect of [compute(lax.sin(x)), toNested(x)]) {
        const error = yield* Effect.flip(Effect.provideContext(effect, context))
        assert.strictEqual(error._tag, "DeviceLost")
      }
    }).pipe(Effect.scoped))

  it.live("cannot be had without WebGPU, or without an adapter", () =>
    Effect.gen(function*() {
      for (const gpu of [undefined, { requestAdapter: () => Promise.resolve(null) }]) {
        const error = yield* Effect.scoped(
          Effect.andThen(withGpu(gpu), Effect.flip(Layer.build(Layer.fresh(layer))))
        )
        assert.strictEqual(error._tag, "BackendUnavailable")
        assert.include(error.message, "linum/backend/wasm")
      }
    }))
})

describe("arrays on tfjs-webgpu", () => {
  it.live("stay there between programs", () =>
    Effect.gen(function*() {
      const x = lax.exp(array([0, 1], 2))
      yield* compute(x)
      const y = lax.add(x, x)
      assert.deepStrictEqual(yield* toNested(y), [2, Math.fround(2 * Math.fround(Math.E))])
      assert.isTrue(Tensor.isTensor(x) && x.source._tag === "Concrete" && x.source.storage._tag === "Device")
    }).pipe(Effect.provide(shared)))
})
