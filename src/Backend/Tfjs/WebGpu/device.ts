/**
 * The WebGPU device as the executor sees it: handles on device memory, and every kernel made ready to run on them.
 *
 * A handle's elements are freed when the executor disposes of its last handle. Elements that leave a run are owned by
 * their Storage: they are freed by `release`, or when the Storage object is collected. Two outputs that are one value
 * get a Storage each, with a count of its own on the shared memory.
 */
import * as Effect from "effect/Effect"
import type { EquationOf } from "../../../Program/Program.ts"
import type { DType, TypedArray } from "../../../Tensor/DType.ts"
import * as DTypes from "../../../Tensor/DType.ts"
import * as Shape from "../../../Tensor/Shape.ts"
import * as ShapedArray from "../../../Tensor/ShapedArray.ts"
import * as Storage from "../../../Tensor/Storage.ts"
import { type BackendError, BackendUnavailable, DeviceLost, OutOfMemory, UnsupportedOperation } from "../../Backend.ts"
import type { ComputedPrimitive, Data, Device, Kernel, KernelTable, Run } from "../Device.ts"
import { type Allocation, type Gpu, name } from "./Gpu.ts"
import { Bench, type Elementwise, elementwiseSource, type GpuKernel, type Plan } from "./kernel.ts"
import { kernels } from "./kernels/index.ts"
import type { Source } from "./source.ts"
import { bitsOf, decode, encode, wordBytes } from "./words.ts"

const dtypes: ReadonlySet<DType> = new Set(DTypes.all.filter((d) => d !== "float64"))

/** A handle on device memory. When it is `spread`, the memory is one word that stands for all elements. */
export interface GpuData extends Data {
  readonly allocation: Allocation
  readonly spread: boolean
}

const sizeOf = (aval: ShapedArray.ShapedArray): number => Shape.size(aval.shape)
const bytesOf = (aval: ShapedArray.ShapedArray): number => sizeOf(aval) * wordBytes

const notOurs = new BackendUnavailable({
  backend: name,
  reason: "an array is in a buffer of another backend",
  hint: "read it with that backend and make a new array of its elements"
})

const spreading: Source = {
  name: "spread",
  inputs: ["u32"],
  outputs: ["u32"],
  threads: "elements",
  body: "y0[i] = x0[0];"
}

/** Makes equations ready to run on handles. */
class Kernels {
  readonly #gpu: Gpu
  constructor(gpu: Gpu) {
    this.#gpu = gpu
  }

  /** A handle without spread elements; the same one if it has none. */
  plain(d: GpuData): GpuData {
    const size = sizeOf(d.aval)
    if (!d.spread || size === 1) return d.spread ? { ...d, spread: false } : d
    const allocation = this.#gpu.allocate(bytesOf(d.aval))
    this.#gpu.dispatch(spreading, [d.allocation], [allocation], size)
    return { aval: d.aval, allocation, spread: false }
  }

  /** Runs something on memory without spread elements. */
  withPlain<A>(inputs: ReadonlyArray<GpuData>, use: (memory: ReadonlyArray<Allocation>) => A): A {
    if (!inputs.some((d) => d.spread)) return use(inputs.map((d) => d.allocation))
    const made: Array<Allocation> = []
    try {
      return use(inputs.map((d) => {
        const { allocation } = this.plain(d)
        if (allocation !== d.allocation) made.push(allocation)
        return allocation
      }))
    } finally {
      for (const allocation of made) this.#gpu.drop(allocation)
    }
  }

  /** Memory for outputs; none is left behind when one cannot be had. */
  #outputs(sizes: ReadonlyArray<number>): ReadonlyArray<Allocation> {
    const made: Array<Allocation> = []
    try {
      for (const bytes of sizes) made.push(this.#gpu.allocate(bytes))
      return made
    } catch (thrown) {
      for (const allocation of made) this.#gpu.drop(allocation)
      throw thrown
    }
  }

  ready<P extends ComputedPrimitive>(kernel: GpuKernel<P>): Kernel<P, GpuData> {
    return (equation: EquationOf<P>) => {
      const avals = equation.outputs.map((v) => v.aval)
      if (isScalarBroadcast(equation)) return ([x]) => [{ ...share(x, avals[0]), spread: true }]
      return this.#run(kernel(equation), avals)
    }
  }

  #run(plan: Plan, avals: ReadonlyArray<ShapedArray.ShapedArray>): Run<GpuData> {
    const data = (allocations: ReadonlyArray<Allocation>): ReadonlyArray<GpuData> =>
      allocations.map((allocation, i) => ({ aval: avals[i], allocation, spread: false }))
    if (typeof plan === "function") {
      return (inputs) => this.withPlain(inputs, (memory) => data(Bench.run(this.#gpu, plan, memory)))
    }
    if ("_tag" in plan) return this.#elementwise(plan, avals)
    const sizes = avals.map(bytesOf)
    const elements = sizeOf(avals[0])
    // What does not fit will fail when it runs; its sizes may not even fit a shader's numbers.
    if (elements > 0 && sizes.every((bytes) => bytes <= this.#gpu.largest)) this.#gpu.prepare(plan)
    return (inputs) =>
      this.withPlain(inputs, (memory) => {
        const outputs = this.#outputs(sizes)
        this.#gpu.dispatch(plan, memory, outputs, elements)
        return data(outputs)
      })
  }

  /** One shader for every combination of inputs that are spread; if all are, so is the result. */
  #elementwise(plan: Elementwise, avals: ReadonlyArray<ShapedArray.ShapedArray>): Run<GpuData> {
    const sources = new Map<string, Source>()
    const elements = sizeOf(avals[0])
    return (inputs) => {
      const spread = inputs.map((d) => d.spread)
      const all = elements > 1 && spread.every((s) => s)
      const key = all ? "" : spread.map((s) => s ? "1" : "0").join("")
      let source = sources.get(key)
      if (source === undefined) {
        source = elementwiseSource(plan, all ? [] : spread)
        sources.set(key, source)
      }
      const size = all ? 1 : elements
      const outputs = this.#outputs(avals.map(() => size * wordBytes))
      this.#gpu.dispatch(source, inputs.map((d) => d.allocation), outputs, size)
      return avals.map((aval, i) => ({ aval, allocation: outputs[i], spread: all }))
    }
  }

  /**
   * The table of all kernels over handles. The mapped type is `kernels`' own, key by key; `Object.entries` loses that.
   */
  table(): KernelTable<GpuData> {
    return Object.fromEntries(
      Object.entries(kernels).map((
        [primitive, kernel]
      ) => [primitive, this.ready(kernel as GpuKernel<ComputedPrimitive>)])
    ) as unknown as KernelTable<GpuData>
  }
}

const isScalarBroadcast = (equation: EquationOf<ComputedPrimitive>): boolean =>
  equation.primitive === "broadcast_in_dim" && sizeOf(equation.inputs[0].aval) === 1 &&
  sizeOf(equation.outputs[0].aval) > 1

/** Another handle on the same memory. */
const share = (d: GpuData, aval: ShapedArray.ShapedArray): GpuData => {
  d.allocation.handles++
  return { aval, allocation: d.allocation, spread: d.spread }
}

/** Storages of one device: who owns which memory. */
class Storages {
  readonly #gpu: Gpu
  readonly #owner = {}
  readonly #owned = new WeakMap<object, { allocation: Allocation | undefined }>()
  readonly #collected: FinalizationRegistry<{ allocation: Allocation | undefined }>
  constructor(gpu: Gpu) {
    this.#gpu = gpu
    this.#collected = new FinalizationRegistry((handle) => this.#free(handle))
  }

  #free(handle: { allocation: Allocation | undefined }): void {
    const { allocation } = handle
    handle.allocation = undefined
    if (allocation !== undefined) this.#gpu.drop(allocation)
  }

  /** A Storage that owns one count of some memory. */
  give(allocation: Allocation): Storage.DeviceStorage {
    const handle = { allocation }
    const storage = Storage.device(this.#owner, handle)
    this.#owned.set(storage.handle, handle)
    this.#collected.register(storage, handle, handle)
    return storage
  }

  /** The memory of a Storage of this device. */
  memory(storage: Storage.DeviceStorage): Allocation {
    const allocation = this.#owned.get(storage.handle)?.allocation
    if (storage.owner !== this.#owner) throw notOurs
    if (allocation === undefined) throw new Error("an array was read after its memory was released")
    return allocation
  }

  release(storage: Storage.Storage): void {
    if (storage._tag !== "Device") return
    const handle = this.#owned.get(storage.handle)
    if (handle === undefined) return
    this.#collected.unregister(handle)
    this.#free(handle)
  }
}

/** What a thrown value means to the user. */
const toError = (thrown: unknown): BackendError | undefined =>
  thrown instanceof BackendUnavailable || thrown instanceof UnsupportedOperation || thrown instanceof DeviceLost ||
    thrown instanceof OutOfMemory
    ? thrown
    : undefined

/** The device over a machine. */
export const make = (gpu: Gpu): Device<GpuData> => {
  const ready = new Kernels(gpu)
  const storages = new Storages(gpu)

  const read = (allocation: Allocation, aval: ShapedArray.ShapedArray): Effect.Effect<TypedArray, BackendError> =>
    Effect.map(gpu.read(allocation, bytesOf(aval)), (bytes) => decode(bytes, aval.dtype))

  return {
    name,
    dtypes,
    kernels: ready.table(),
    fromStorage: (storage, aval) => {
      const upload = (data: TypedArray): GpuData => ({
        aval,
        allocation: gpu.upload(encode(data, aval.dtype)),
        spread: false
      })
      if (storage._tag === "Host") return upload(storage.data)
      const elsewhere = storage.read?.()
      if (elsewhere !== undefined) return upload(elsewhere)
      return share({ aval, allocation: storages.memory(storage), spread: false }, aval)
    },
    toStorage: (d) => {
      const whole = ready.plain(d)
      if (whole.allocation !== d.allocation) gpu.drop(d.allocation)
      return storages.give(whole.allocation)
    },
    constant: (value, aval) => ({ aval, allocation: gpu.constant(bitsOf(value, aval.dtype)), spread: false }),
    alias: share,
    allocate: (aval) => ({ aval, allocation: gpu.allocate(bytesOf(aval)), spread: false }),
    row: (d, index, aval) => {
      if (d.spread) return share(d, aval)
      const allocation = gpu.allocate(bytesOf(aval))
      gpu.copy(d.allocation, index * bytesOf(aval), allocation, 0, bytesOf(aval))
      return { aval, allocation, spread: false }
    },
    setRow: (target, index, value) =>
      ready.withPlain(
        [value],
        ([memory]) => gpu.copy(memory, 0, target.allocation, index * bytesOf(value.aval), bytesOf(value.aval))
      ),
    read: (d) => {
      if (sizeOf(d.aval) === 0) return DTypes.allocate(d.aval.dtype, 0)
      if (!d.spread) return read(d.allocation, d.aval)
      const one = read(d.allocation, ShapedArray.withShape(d.aval, []))
      return Effect.map(one, ([value]) => DTypes.allocate(d.aval.dtype, sizeOf(d.aval)).fill(value))
    },
    dispose: (d) => gpu.drop(d.allocation),
    flush: () => {
      gpu.submit()
      gpu.check()
    },
    download: (storage, aval) =>
      Effect.suspend(() => {
        if (sizeOf(aval) === 0) return Effect.succeed(DTypes.allocate(aval.dtype, 0))
        try {
          return read(storages.memory(storage), aval)
        } catch (thrown) {
          const error = toError(thrown)
          return error === undefined ? Effect.die(thrown) : Effect.fail(error)
        }
      }),
    release: (storage) => storages.release(storage),
    memory: () => gpu.memory(),
    toError,
    close: () => gpu.close()
  }
}
