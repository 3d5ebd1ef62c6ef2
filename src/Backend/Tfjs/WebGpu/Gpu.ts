/**
 * The machine under the kernels: one GPUDevice with its buffers, pipelines and queue.
 *
 * *Buffers* are counted while someone holds them, and kept for reuse (up to a limit) when nobody does; reuse is safe
 * because commands run in the order in which they were recorded. *Commands* are recorded into one encoder and submitted
 * when a run ends, when many have gathered, or when TensorFlow.js, which records its own, is to go next. *Pipelines*
 * are kept by the text of their shader.
 *
 * WebGPU reports failures later, and not to whoever caused them: the first one is kept and thrown by the next
 * operation.
 */
import * as Effect from "effect/Effect"
import { type BackendError, DeviceLost, type Memory, OutOfMemory, UnsupportedOperation } from "../../Backend.ts"
import { groupsOf, render, type Source } from "./source.ts"

/** The backend's name. */
export const name = "tfjs-webgpu"

/** Device memory that several handles may share. It is free when the count is 0. */
export interface Allocation {
  readonly buffer: GPUBuffer
  /** Bytes asked for; the buffer may be larger. */
  readonly bytes: number
  handles: number
  /** Gives the buffer back to whoever made it. */
  readonly free: () => void
}

/** An array as someone else's kernels take it: float32, in memory of ours. */
export interface Argument {
  readonly allocation: Allocation
  readonly shape: ReadonlyArray<number>
}

/** Someone else who has kernels for this device: TensorFlow.js. It records commands of its own for the same queue. */
export interface Neighbour {
  /** Records a kernel's run. The result is in memory of its own, which `free` gives back. */
  readonly call: (
    kernel: string,
    inputs: Readonly<Record<string, Argument>>,
    attributes: Readonly<Record<string, unknown>>
  ) => { readonly buffer: GPUBuffer; readonly free: () => void }
  /** Submits what it has recorded. */
  readonly submit: () => void
  readonly dispose: () => void
}

/** Bytes of free buffers kept for reuse. */
const poolLimit = 256 * 2 ** 20
/** Pipelines kept. */
const pipelineLimit = 2048
/** Words kept as constants. */
const constantLimit = 4096
/** Commands after which the encoder is submitted without being asked. */
const batchLimit = 256
/** From this size on, an allocation is watched for running out of memory. */
const watchedBytes = 8 * 2 ** 20

/**
 * Sizes of pooled buffers: few enough that buffers fit each other's place, never more than an eighth larger than asked
 * for.
 */
const roundUp = (bytes: number): number => {
  if (bytes <= 256) return 256
  const step = 2 ** Math.max(8, Math.floor(Math.log2(bytes)) - 3)
  return Math.ceil(bytes / step) * step
}

/** A device with its buffers, pipelines and queue. */
export class Gpu {
  readonly device: GPUDevice
  readonly #free = new Map<number, Array<GPUBuffer>>()
  #freeBytes = 0
  readonly #used = new Set<GPUBuffer>()
  readonly #constants = new Map<number, Allocation>()
  /** Buffers to destroy once the commands that may use them are submitted. */
  #doomed: Array<GPUBuffer> = []
  readonly #pipelines = new Map<string, GPUComputePipeline>()
  readonly #prepared = new WeakMap<Source, GPUComputePipeline>()
  readonly #layouts = new Map<string, GPUBindGroupLayout>()
  #encoder: GPUCommandEncoder | undefined
  #pass: GPUComputePassEncoder | undefined
  #recorded = 0
  #neighbour: Neighbour | undefined
  #neighbourRecords = false
  #failure: unknown
  #closed = false
  #liveBytes = 0
  #liveBuffers = 0
  #peakBytes = 0

  constructor(device: GPUDevice) {
    this.device = device
    device.addEventListener("uncapturederror", ({ error }) => {
      this.#failure ??= error instanceof GPUOutOfMemoryError
        ? this.outOfMemory(0)
        : new Error(`WebGPU refuses a command: ${error.message}`)
    })
    void device.lost.then((info) => {
      if (this.#closed) return
      this.#failure = new DeviceLost({ backend: name, reason: info.message === "" ? info.reason : info.message })
    })
  }

  /** Throws what has failed since the last call. */
  check(): void {
    const failure = this.#failure
    if (failure === undefined) return
    // A lost device stays lost.
    if (!(failure instanceof DeviceLost)) this.#failure = undefined
    throw failure
  }

  memory(): Memory {
    return { liveBytes: this.#liveBytes, liveBuffers: this.#liveBuffers, peakBytes: this.#peakBytes }
  }

  outOfMemory(bytes: number): OutOfMemory {
    return new OutOfMemory({ backend: name, bytes, liveBytes: this.#liveBytes })
  }

  /** Counts memory as held. `free` gives its buffer back. */
  hold(buffer: GPUBuffer, bytes: number, free: () => void): Allocation {
    this.#liveBytes += bytes
    this.#liveBuffers++
    this.#peakBytes = Math.max(this.#peakBytes, this.#liveBytes)
    return { buffer, bytes, handles: 1, free }
  }

  /** Memory for `bytes`, its content undefined. Throws `OutOfMemory`, also for more than the adapter's buffers hold. */
  allocate(bytes: number): Allocation {
    this.check()
    const size = this.#sizeFor(bytes)
    const buffer = this.#reuse(size) ?? this.#create(size, false)
    this.#used.add(buffer)
    return this.hold(buffer, bytes, () => this.#recycle(buffer))
  }

  /** Memory with these words. A fresh buffer: one that is reused might still be read by commands not yet submitted. */
  upload(words: Float32Array | Int32Array | Uint32Array): Allocation {
    this.check()
    const size = this.#sizeFor(words.byteLength)
    const buffer = this.#create(size, true)
    new Uint8Array(buffer.getMappedRange(0, words.byteLength)).set(
      new Uint8Array(words.buffer, words.byteOffset, words.byteLength)
    )
    buffer.unmap()
    this.#used.add(buffer)
    return this.hold(buffer, words.byteLength, () => this.#recycle(buffer))
  }

  /** One word, kept and shared: it is never counted nor freed, but there is a bound on how many are kept. */
  constant(bits: number): Allocation {
    const known = this.#constants.get(bits)
    if (known !== undefined) return known
    if (this.#constants.size >= constantLimit) return this.upload(new Uint32Array([bits]))
    this.check()
    const buffer = this.#create(256, true)
    new Uint32Array(buffer.getMappedRange(0, 4))[0] = bits
    buffer.unmap()
    this.#used.add(buffer)
    const made: Allocation = { buffer, bytes: 4, handles: Infinity, free: () => {} }
    this.#constants.set(bits, made)
    return made
  }

  /** One handle less. */
  drop(allocation: Allocation): void {
    // When the device is closed, everything is free already.
    if (--allocation.handles !== 0 || this.#closed) return
    this.#liveBytes -= allocation.bytes
    this.#liveBuffers--
    allocation.free()
  }

  /** Bytes of the largest array. */
  get largest(): number {
    const { maxBufferSize, maxStorageBufferBindingSize } = this.device.limits
    return Math.min(maxBufferSize, maxStorageBufferBindingSize)
  }

  #sizeFor(bytes: number): number {
    if (bytes > this.largest) throw this.outOfMemory(bytes)
    return Math.min(roundUp(bytes), this.largest)
  }

  #create(size: number, mappedAtCreation: boolean): GPUBuffer {
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST
    if (size < watchedBytes) return this.device.createBuffer({ size, usage, mappedAtCreation })
    this.device.pushErrorScope("out-of-memory")
    try {
      return this.device.createBuffer({ size, usage, mappedAtCreation })
    } catch (thrown) {
      throw thrown instanceof RangeError ? this.outOfMemory(size) : thrown
    } finally {
      void this.device.popErrorScope().then((error) => {
        if (error !== null) this.#failure ??= this.outOfMemory(size)
      }, () => undefined)
    }
  }

  #reuse(size: number): GPUBuffer | undefined {
    const buffer = this.#free.get(size)?.pop()
    if (buffer !== undefined) this.#freeBytes -= size
    return buffer
  }

  #recycle(buffer: GPUBuffer): void {
    this.#used.delete(buffer)
    if (this.#freeBytes + buffer.size > poolLimit) {
      this.#doomed.push(buffer)
      return
    }
    const sizes = this.#free.get(buffer.size)
    if (sizes === undefined) this.#free.set(buffer.size, [buffer])
    else sizes.push(buffer)
    this.#freeBytes += buffer.size
  }

  /** Makes the pipeline of a Source, if there is none yet. */
  prepare(source: Source): GPUComputePipeline {
    const prepared = this.#prepared.get(source)
    if (prepared !== undefined) return prepared
    const made = this.#pipeline(source, render(source))
    this.#prepared.set(source, made)
    return made
  }

  #pipeline(source: Source, code: string): GPUComputePipeline {
    const known = this.#pipelines.get(code)
    if (known !== undefined) {
      this.#pipelines.delete(code)
      this.#pipelines.set(code, known)
      return known
    }
    const made = this.device.createComputePipeline({
      label: source.name,
      layout: this.device.createPipelineLayout({
        bindGroupLayouts: [this.#layout(source.inputs.length, source.outputs.length)]
      }),
      compute: { module: this.device.createShaderModule({ label: source.name, code }), entryPoint: "main" }
    })
    this.#pipelines.set(code, made)
    if (this.#pipelines.size > pipelineLimit) {
      for (const oldest of this.#pipelines.keys()) {
        this.#pipelines.delete(oldest)
        break
      }
    }
    return made
  }

  #layout(inputs: number, outputs: number): GPUBindGroupLayout {
    const key = `${inputs},${outputs}`
    const known = this.#layouts.get(key)
    if (known !== undefined) return known
    const limit = this.device.limits.maxStorageBuffersPerShaderStage
    if (inputs + outputs > limit) {
      throw new UnsupportedOperation({
        backend: name,
        operation: `operation on ${inputs + outputs} arrays at once`,
        dtype: "any",
        hint: `this adapter's shaders take ${limit}`
      })
    }
    const made = this.device.createBindGroupLayout({
      entries: Array.from({ length: inputs + outputs }, (_, binding) => ({
        binding,
        visibility: GPUShaderStage.COMPUTE,
        buffer: { type: binding < inputs ? "read-only-storage" : "storage" }
      }))
    })
    this.#layouts.set(key, made)
    return made
  }

  /** Records a shader's run. `elements` is the size of its first output. */
  dispatch(
    source: Source,
    inputs: ReadonlyArray<Allocation>,
    outputs: ReadonlyArray<Allocation>,
    elements: number
  ): void {
    const groups = groupsOf(source, elements)
    if (groups === 0) return
    const pipeline = this.prepare(source)
    const limit = this.device.limits.maxComputeWorkgroupsPerDimension
    const group = this.device.createBindGroup({
      layout: this.#layout(inputs.length, outputs.length),
      entries: [...inputs, ...outputs].map(({ buffer, bytes }, binding) => ({
        binding,
        resource: { buffer, size: Math.max(4, bytes) }
      }))
    })
    const pass = this.#computePass()
    pass.setPipeline(pipeline)
    pass.setBindGroup(0, group)
    // Whole rows of workgroups: the shader drops what is too many.
    const rows = Math.ceil(groups / limit)
    pass.dispatchWorkgroups(Math.ceil(groups / rows), rows)
    if (++this.#recorded >= batchLimit) this.submit()
  }

  /** Records a copy of bytes between buffers. */
  copy(from: Allocation, start: number, to: Allocation, at: number, bytes: number): void {
    if (bytes === 0) return
    this.#commands().copyBufferToBuffer(from.buffer, start, to.buffer, at, bytes)
    if (++this.#recorded >= batchLimit) this.submit()
  }

  #open(): GPUCommandEncoder {
    if (this.#neighbourRecords) {
      this.#neighbourRecords = false
      this.#neighbour?.submit()
    }
    this.#encoder ??= this.device.createCommandEncoder()
    return this.#encoder
  }

  #computePass(): GPUComputePassEncoder {
    const encoder = this.#open()
    this.#pass ??= encoder.beginComputePass()
    return this.#pass
  }

  #commands(): GPUCommandEncoder {
    const encoder = this.#open()
    this.#pass?.end()
    this.#pass = undefined
    return encoder
  }

  /** Someone else with kernels for this device, who is disposed of with it. */
  attach(neighbour: Neighbour): void {
    this.#neighbour = neighbour
  }

  /**
   * Has the neighbour record a kernel's run, after all that was recorded here. The result has `elements` float32
   * elements.
   */
  call(
    kernel: string,
    inputs: Readonly<Record<string, Argument>>,
    attributes: Readonly<Record<string, unknown>>,
    elements: number
  ): Allocation {
    this.check()
    if (this.#neighbour === undefined) throw new Error("there is no one to call a kernel of")
    this.#submitOwn()
    this.#neighbourRecords = true
    const { buffer, free } = this.#neighbour.call(kernel, inputs, attributes)
    return this.hold(buffer, elements * 4, free)
  }

  #submitOwn(): void {
    if (this.#encoder !== undefined) {
      this.#pass?.end()
      this.#pass = undefined
      this.device.queue.submit([this.#encoder.finish()])
      this.#encoder = undefined
      this.#recorded = 0
    }
  }

  /** Submits everything recorded. */
  submit(): void {
    this.#submitOwn()
    if (this.#neighbourRecords) {
      this.#neighbourRecords = false
      this.#neighbour?.submit()
    }
    for (const buffer of this.#doomed) buffer.destroy()
    this.#doomed = []
  }

  /** The bytes of an allocation, once all commands recorded so far are done. */
  read(allocation: Allocation, bytes: number): Effect.Effect<ArrayBuffer, BackendError> {
    return Effect.suspend(() => {
      const staging = this.device.createBuffer({
        size: roundUp(bytes),
        usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST
      })
      this.copy(allocation, 0, { ...allocation, buffer: staging }, 0, bytes)
      this.submit()
      return Effect.ensuring(
        Effect.flatMap(Effect.exit(Effect.promise(() => staging.mapAsync(GPUMapMode.READ, 0, bytes))), (exit) => {
          const failure = this.#failure
          if (exit._tag === "Success" && failure === undefined) {
            return Effect.succeed(staging.getMappedRange(0, bytes).slice(0))
          }
          try {
            this.check()
          } catch (thrown) {
            if (thrown instanceof DeviceLost || thrown instanceof OutOfMemory) return Effect.fail(thrown)
            return Effect.die(thrown)
          }
          return Effect.fail(new DeviceLost({ backend: name, reason: "reading from it failed" }))
        }),
        Effect.sync(() => staging.destroy())
      )
    })
  }

  /** Frees everything and destroys the device. */
  close(): void {
    this.#closed = true
    this.#failure = new DeviceLost({ backend: name, reason: "its Scope was closed" })
    this.#pass?.end()
    this.#pass = undefined
    this.#encoder = undefined
    this.#neighbour?.dispose()
    for (const buffers of this.#free.values()) for (const buffer of buffers) buffer.destroy()
    for (const buffer of [...this.#used, ...this.#doomed]) buffer.destroy()
    this.#free.clear()
    this.#used.clear()
    this.#pipelines.clear()
    this.#liveBytes = 0
    this.#liveBuffers = 0
    this.device.destroy()
  }
}
