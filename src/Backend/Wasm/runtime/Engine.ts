/**
 * Runs modules: puts inputs into memory, writes every thread's frame, enters the main function, takes outputs out. One
 * run at a time has the arena. What a run needs is allocated before it begins, so that a run which does not fit changes
 * nothing.
 *
 * Inputs that an output replaces (*aliases*) are resident arrays: one that may be overwritten is, and stays the same
 * storage; of others the run makes a copy first. All other inputs are only read: resident ones where they are, host
 * storage from a copy. A copy of a small array is beside the arena, for one run; one of a large array that comes again stays.
 * Of the other outputs, large ones are computed where they stay, as resident arrays; small ones leave as host storage.
 */
import type { DType, TypedArray } from "../../../Tensor/DType.ts"
import * as DTypes from "../../../Tensor/DType.ts"
import * as float16 from "../../../Tensor/float16.ts"
import * as Shape from "../../../Tensor/Shape.ts"
import type { ShapedArray } from "../../../Tensor/ShapedArray.ts"
import type { DeviceStorage, Storage } from "../../../Tensor/Storage.ts"
import * as Storages from "../../../Tensor/Storage.ts"
import type { Alias } from "../../Backend.ts"
import { type Place, type Plan, slots } from "../emission.ts"
import type { Compiled, Operand } from "../ir.ts"
import { rounded } from "./Allocator.ts"
import type { Assembled } from "./assemble.ts"
import { type Crew, noCrew } from "./crew.ts"
import { AllocationFailed, type Heap } from "./Heap.ts"
import type { Residents } from "./Residents.ts"
import { placeOf } from "./sizes.ts"

const outputFrom = (output: Compiled["outputs"][number], plan: Plan): Output["from"] => {
  if (output._tag !== "Buffer") return output
  return { _tag: "Place", place: placeOf(plan, output.buffer), own: plan.own?.has(output.buffer) ?? false }
}

/** A storage of another backend was given. */
export class ForeignStorage extends Error {}

/** A run did not come to its end: what it was writing is half written, and threads may be gone. */
export class Trapped extends Error {
  constructor(cause: unknown) {
    super(String(cause))
  }
}

/** How an input comes into memory. */
interface Input {
  readonly dtype: DType
  readonly size: number
  readonly bytes: number
  /** Undefined when nothing reads it. */
  readonly slot: number | undefined
  /** The output that replaces it. */
  readonly output: number | undefined
}

/** How an output leaves memory. */
interface Output {
  readonly dtype: DType
  readonly size: number
  readonly bytes: number
  readonly from:
    /** `own`: it has a slot to itself. */
    | { readonly _tag: "Place"; readonly place: Place; readonly own: boolean }
    | { readonly _tag: "Input"; readonly index: number }
    | { readonly _tag: "Constant"; readonly value: number }
  /** The input that it replaces. */
  readonly input: number | undefined
}

type Main = (frame: number, thread: number, threads: number, maySleep: number) => void

/** A module that is ready to run. */
export interface Loaded {
  readonly assembled: Assembled
  readonly plan: Plan
  readonly inputs: ReadonlyArray<Input>
  readonly outputs: ReadonlyArray<Output>
  readonly main: Main
  /** For the workers: they know modules by number. */
  readonly number: number
  readonly module: WebAssembly.Module
  /** The address of its constants. */
  readonly constants: number
  /** How long the last run took, or the estimate, in milliseconds. */
  milliseconds: number
}

/** What is to be done after the main function. */
interface Prepared {
  readonly program: Loaded
  readonly inputs: ReadonlyArray<Storage>
  /** For every input that an output replaces, the storage that the output is then in. */
  readonly replaced: ReadonlyArray<Storage | undefined>
  /** The storages of the outputs that stay in memory and replace no input. */
  readonly own: ReadonlyArray<DeviceStorage | undefined>
  /** Where the inputs are in memory; undefined if they are not, and nothing reads them. */
  readonly addresses: ReadonlyArray<number | undefined>
}

/** What loading a module takes beside it. */
export interface Loading {
  readonly compiled: Compiled
  readonly plan: Plan
  readonly assembled: Assembled
  readonly inputs: ReadonlyArray<ShapedArray>
  readonly outputs: ReadonlyArray<ShapedArray>
  readonly aliases: ReadonlyArray<Alias>
}

const layoutOf = ({ dtype, shape }: ShapedArray) => {
  const size = Shape.size(shape)
  return { dtype, size, bytes: size * DTypes.byteSize(dtype) }
}

/** Runs modules in one memory. */
export class Engine {
  readonly heap: Heap
  readonly residents: Residents
  readonly #crew: Crew
  readonly #collected: FinalizationRegistry<{ readonly number: number; readonly constants: number }>
  #frames = { address: 0, stride: 0 }
  #scratch = { address: 0, stride: 0 }
  #loaded = 0
  /** What a callback threw in the run that goes on. */
  #thrown: { readonly error: unknown } | undefined

  constructor(heap: Heap, residents: Residents, crew: Crew = noCrew) {
    this.heap = heap
    this.residents = residents
    this.#crew = crew
    this.#collected = new FinalizationRegistry(({ constants, number }) => {
      this.heap.free(constants)
      this.#crew.forget(number)
    })
  }

  /** Makes a module ready. Throws `AllocationFailed`. */
  load({ aliases, assembled, compiled, inputs, outputs, plan }: Loading): Loaded {
    const module = new WebAssembly.Module(assembled.module.bytes())
    const data = assembled.constants
    const constants = this.heap.allocate(data.byteLength)
    this.heap.write(constants, "int32", data)
    const number = ++this.#loaded
    const replacedBy = new Map(aliases.map(([output, input]) => [input, output]))
    const replaces = new Map(aliases)
    const instance = new WebAssembly.Instance(module, {
      env: {
        memory: this.heap.memory,
        callback: (n: number, frame: number) => this.#callback(assembled, plan, n, frame)
      }
    })
    const loaded: Loaded = {
      assembled,
      plan,
      inputs: inputs.map((aval, i) => {
        const buffer = compiled.inputs[i]
        const place = buffer === undefined ? undefined : plan.places.get(buffer)
        return { ...layoutOf(aval), slot: place?.slot, output: replacedBy.get(i) }
      }),
      outputs: outputs.map((aval, i) => ({
        ...layoutOf(aval),
        from: outputFrom(compiled.outputs[i], plan),
        input: replaces.get(i)
      })),
      main: instance.exports.main as Main,
      number,
      module,
      constants,
      milliseconds: assembled.nanoseconds / 1e6
    }
    this.#collected.register(loaded, { number, constants })
    return loaded
  }

  /**
   * Runs it now. `donated[i]`: nobody else reads the storage of input i any more. Throws `AllocationFailed`,
   * `ForeignStorage`, and what a callback threw.
   */
  run(program: Loaded, inputs: ReadonlyArray<Storage>, donated: ReadonlyArray<boolean>): ReadonlyArray<Storage> {
    const prepared = this.#prepare(program, inputs, donated)
    this.#thrown = undefined
    const started = performance.now()
    try {
      this.#crew.run(program, this.#frames)
    } catch (thrown) {
      this.#abandon(prepared)
      throw new Trapped(thrown)
    }
    program.milliseconds = performance.now() - started
    return this.#conclude(prepared)
  }

  /** Runs it on workers alone; calls back when it is done, with what `run` gives, or throws at once. */
  start(
    program: Loaded,
    inputs: ReadonlyArray<Storage>,
    donated: ReadonlyArray<boolean>,
    done: (finish: () => ReadonlyArray<Storage>) => void
  ): void {
    const prepared = this.#prepare(program, inputs, donated)
    this.#thrown = undefined
    const started = performance.now()
    this.#crew.start(program, this.#frames, (failure) => {
      program.milliseconds = performance.now() - started
      done(() => {
        if (failure === undefined) return this.#conclude(prepared)
        this.#abandon(prepared)
        throw new Trapped(failure.reason)
      })
    })
  }

  /** Can it run something while the calling thread does other things? */
  get background(): boolean {
    return this.#crew.background
  }

  /** The elements of a storage of this backend, or of another that has them at hand. Throws `ForeignStorage`. */
  elements(storage: Storage): TypedArray {
    const own = storage._tag === "Device" ? this.residents.of(storage) : undefined
    const data = own === undefined ? Storages.elements(storage) : own.read()
    if (data !== undefined) return data
    if (own === undefined) throw new ForeignStorage()
    throw new Error("an array was freed and is used again")
  }

  /** Ends the workers. */
  close(): void {
    this.#crew.close()
    this.residents.close()
  }

  #prepare(program: Loaded, inputs: ReadonlyArray<Storage>, donated: ReadonlyArray<boolean>): Prepared {
    const { heap, residents } = this
    const { assembled, plan } = program
    const replaced: Array<Storage | undefined> = []
    const own: Array<DeviceStorage | undefined> = []
    residents.begin()
    let staged = rounded(plan.arenaBytes)
    try {
      const { addresses, elements, twice } = this.#find(program, inputs)
      // What is beside the arena: inputs and outputs by their slots.
      const beside: Array<readonly [slot: number, offset: number]> = []
      const stage = (slot: number, bytes: number): number => {
        beside.push([slot, staged])
        staged += rounded(bytes)
        return beside.length - 1
      }
      const stagedAt: Array<number | undefined> = []
      for (let i = 0; i < program.inputs.length; i++) {
        const { bytes, dtype, output, slot } = program.inputs[i]
        const data = elements[i]
        if (data === undefined || output !== undefined || slot === undefined) continue
        addresses[i] = bytes < residents.copiesFrom ? undefined : residents.addCopy(data, dtype)
        if (addresses[i] === undefined) stagedAt[i] = stage(slot, bytes)
      }
      for (let i = 0; i < program.outputs.length; i++) {
        const { bytes, dtype, from, input, size } = program.outputs[i]
        if (from._tag === "Place" && from.own) {
          own[i] = residents.allocateWithin(dtype, size, bytes)
          if (own[i] === undefined) stage(from.place.slot, bytes)
        } else if (from._tag === "Input" && input === undefined && bytes >= residents.from) {
          if (elements[from.index] === undefined) own[i] = residents.allocateWithin(dtype, size, bytes)
        }
      }
      residents.peak(staged)
      const arena = heap.arena(staged)
      this.#reserve(plan, assembled)
      for (let i = 0; i < program.inputs.length; i++) {
        const { bytes, dtype, output, size } = program.inputs[i]
        const data = elements[i]
        const at = stagedAt[i]
        if (output === undefined) {
          if (data !== undefined && at !== undefined && size > 0) heap.write(arena + beside[at][1], dtype, data)
          continue
        }
        const storage = inputs[i]
        const old = storage._tag === "Device" ? residents.of(storage) : undefined
        if (data === undefined && old !== undefined && donated[i] === true && !twice.has(old)) {
          replaced[i] = storage
          residents.keep(old)
        } else {
          replaced[i] = residents.allocate(dtype, size, bytes)
          const address = this.#use(replaced[i])
          if (data !== undefined) heap.write(address, dtype, data)
          else heap.copy(address, addresses[i] ?? 0, bytes)
          addresses[i] = address
        }
      }
      residents.peak(staged)
      const prepared = { program, inputs, replaced, own, addresses }
      // What is not worth sharing thread 0 does alone: nobody else looks at a frame.
      this.#writeFrames(prepared, arena, beside, assembled.heavy ? this.#crew.threads : 1)
      return prepared
    } catch (thrown) {
      this.#abandon({ inputs, replaced, own })
      // The whole of what the run needs is what did not fit.
      if (thrown instanceof AllocationFailed) throw new AllocationFailed(Math.max(staged, thrown.bytes))
      throw thrown
    }
  }

  /** Where the inputs are: in memory, where they stay until the run ends, or as elements to be copied there. */
  #find(program: Loaded, inputs: ReadonlyArray<Storage>) {
    const { residents } = this
    const addresses: Array<number | undefined> = []
    const elements: Array<TypedArray | undefined> = []
    // Storages that come twice, and so must not be overwritten.
    const twice = new Set<object>()
    for (let i = 0; i < inputs.length; i++) {
      const storage = inputs[i]
      const { bytes, output, slot } = program.inputs[i]
      if (storage._tag === "Device") {
        const own = residents.of(storage)
        const known = own !== undefined && residents.isUsed(own)
        addresses[i] = own === undefined ? undefined : residents.use(own)
        if (known) twice.add(storage.handle)
        if (addresses[i] !== undefined) continue
      }
      const data = this.elements(storage)
      if (output === undefined && slot !== undefined && bytes >= residents.copiesFrom) {
        addresses[i] = residents.copyOf(data)
      }
      if (addresses[i] === undefined) elements[i] = data
    }
    return { addresses, elements, twice }
  }

  /** The address of an array of our own. */
  #use(storage: Storage | undefined): number {
    const resident = storage?._tag === "Device" ? this.residents.of(storage) : undefined
    const address = resident === undefined ? undefined : this.residents.use(resident)
    if (address === undefined) throw new Error("an array has no memory")
    return address
  }

  /** Frames and scratch memory for all threads. */
  #reserve(plan: Plan, assembled: Assembled): void {
    const { threads } = this.#crew
    const frame = rounded(plan.slotCount * 4)
    if (this.#frames.stride < frame) {
      this.heap.free(this.#frames.address)
      this.#frames = { address: 0, stride: 0 }
      this.#frames = { address: this.heap.allocate(frame * threads), stride: frame }
    }
    const scratch = rounded(assembled.scratchBytes) + rounded(plan.localBytes)
    if (this.#scratch.stride < scratch) {
      this.heap.free(this.#scratch.address)
      this.#scratch = { address: 0, stride: 0 }
      this.#scratch = { address: this.heap.allocate(scratch * threads), stride: scratch }
    }
  }

  #writeFrames(
    { addresses, own, program }: Prepared,
    arena: number,
    beside: ReadonlyArray<readonly [slot: number, offset: number]>,
    threads: number
  ): void {
    const { i32 } = this.heap.views
    const { inputs, outputs } = program
    for (let thread = 0; thread < threads; thread++) {
      const frame = (this.#frames.address + thread * this.#frames.stride) >>> 2
      i32[frame + slots.arena] = arena
      i32[frame + slots.constants] = program.constants
      const scratch = this.#scratch.address + thread * this.#scratch.stride
      i32[frame + slots.scratch] = scratch
      i32[frame + slots.locals] = scratch + rounded(program.assembled.scratchBytes)
      for (let i = 0; i < inputs.length; i++) {
        const slot = inputs[i].slot
        if (slot !== undefined) i32[frame + slot] = addresses[i] ?? 0
      }
      for (let i = 0; i < outputs.length; i++) {
        const { from } = outputs[i]
        if (own[i] !== undefined && from._tag === "Place") i32[frame + from.place.slot] = this.#use(own[i])
      }
      for (const [slot, offset] of beside) i32[frame + slot] = arena + offset
    }
  }

  /** Where a place is, in the frame of thread 0. */
  #addressOf({ offset, slot }: Place): number {
    return (this.heap.views.i32[(this.#frames.address >>> 2) + slot] + offset) >>> 0
  }

  #conclude(prepared: Prepared): ReadonlyArray<Storage> {
    const thrown = this.#thrown
    if (thrown === undefined) {
      const outputs = this.#finish(prepared)
      this.residents.end()
      return outputs
    }
    this.#thrown = undefined
    this.#abandon(prepared)
    throw thrown.error
  }

  #finish(prepared: Prepared): ReadonlyArray<Storage> {
    const { program, replaced } = prepared
    const { outputs } = program
    const out: Array<Storage> = []
    // What leaves is copied out first, and so is what moves from one input to another: what takes an input's place
    // overwrites it.
    for (let i = 0; i < outputs.length; i++) {
      const { from, input } = outputs[i]
      const stays = input !== undefined && (from._tag === "Place" || (from._tag === "Input" && from.index === input))
      if (!stays) out[i] = this.#take(outputs[i], prepared, i)
    }
    for (let i = 0; i < outputs.length; i++) {
      const { bytes, dtype, from, input } = outputs[i]
      if (input === undefined) continue
      const own = replaced[input]
      if (own === undefined) throw new Error("an output has no memory to take the place of")
      const target = this.#use(own)
      const moved: Storage | undefined = out[i]
      if (moved === undefined) {
        const source = from._tag === "Place" ? this.#addressOf(from.place) : target
        if (source !== target && bytes > 0) this.heap.copy(target, source, bytes)
      } else if (moved._tag === "Host") {
        this.heap.write(target, dtype, moved.data)
      }
      out[i] = own
    }
    return out
  }

  /** A run that failed keeps nothing. */
  #abandon({ inputs, own, replaced }: Pick<Prepared, "inputs" | "own" | "replaced">): void {
    replaced.forEach((storage, i) => {
      if (storage !== undefined && storage !== inputs[i]) this.residents.release(storage)
    })
    for (const storage of own) if (storage !== undefined) this.residents.release(storage)
    this.residents.end()
  }

  #callback({ callbacks }: Assembled, plan: Plan, n: number, frame: number): void {
    if (this.#thrown !== undefined) return
    const { avals, callback, inputs } = callbacks[n]
    try {
      callback(inputs.map((operand, i) => ({ aval: avals[i], data: this.#operand(operand, plan, frame) })))
    } catch (error) {
      // It must not cross the main function: other threads would wait for ever.
      this.#thrown = { error }
    }
  }

  #operand(operand: Operand, plan: Plan, frame: number): TypedArray {
    if ("value" in operand) return DTypes.allocate(operand.dtype, 1).fill(float16.encode(operand.value, operand.dtype))
    const place = placeOf(plan, operand)
    const address = (this.heap.views.i32[(frame >>> 2) + place.slot] + place.offset) >>> 0
    return this.heap.read(operand.size === 0 ? 0 : address, operand.dtype, operand.size)
  }

  /** An output: where it stays, or its elements as host storage. */
  #take({ bytes, dtype, from, size }: Output, { addresses, inputs, own }: Prepared, at: number): Storage {
    const stays = own[at]
    switch (from._tag) {
      case "Place":
        return stays ?? Storages.host(this.heap.read(size === 0 ? 0 : this.#addressOf(from.place), dtype, size))
      case "Constant": {
        const data = DTypes.allocate(dtype, size)
        return Storages.host(data.fill(float16.encode(from.value, dtype)))
      }
      case "Input": {
        const storage = inputs[from.index]
        if (storage._tag === "Host") return storage
        if (stays === undefined) return Storages.host(this.elements(storage))
        this.heap.copy(this.#use(stays), addresses[from.index] ?? 0, bytes)
        return stays
      }
    }
  }
}
