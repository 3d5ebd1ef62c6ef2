/**
 * Resident arrays: arrays that stay in the backend's memory between runs, where they were computed. Their handles are
 * device storage; a handle that was dropped is freed when it is collected, one that is released at once. Host arrays that
 * come again and again have a copy here too, which is dropped with them.
 *
 * The garbage collector does not see this memory, and may let dropped handles lie for long. So there is a *budget*: the
 * arrays that were used longest ago are *spilled*, which means moved to ordinary JavaScript memory, before more is taken.
 * State, which is written in place, is outside of the budget, but is spilled too rather than that anything fails.
 */
import type { DType, TypedArray } from "../../../Tensor/DType.ts"
import type { DeviceStorage, Storage } from "../../../Tensor/Storage.ts"
import * as Storages from "../../../Tensor/Storage.ts"
import type { Heap } from "./Heap.ts"

/** A block of memory that is taken. It does not hold what it belongs to, which may be collected. */
interface Block {
  readonly address: number
  readonly bytes: number
  /** The handle of an array; undefined for a copy of a host array. */
  readonly owner: WeakRef<Resident> | undefined
  /** Is it within the budget? */
  budgeted: boolean
  /** The last run that it took part in. */
  run: number
  freed: boolean
}

/** The handle of an array. */
export class Resident {
  readonly dtype: DType
  readonly size: number
  readonly bytes: number
  readonly #heap: Heap
  /** Where its elements are: a block of memory, JavaScript memory, or, when it was released, nowhere. */
  at: { readonly _tag: "Block"; readonly block: Block } | { readonly _tag: "Host"; readonly data: TypedArray } | {
    readonly _tag: "Released"
  } = { _tag: "Released" }

  constructor(heap: Heap, dtype: DType, size: number, bytes: number) {
    this.#heap = heap
    this.dtype = dtype
    this.size = size
    this.bytes = bytes
  }

  /** Its elements: a copy, or those that were spilled; undefined if it was released. */
  read(): TypedArray | undefined {
    switch (this.at._tag) {
      case "Block":
        return this.#heap.read(this.size === 0 ? 0 : this.at.block.address, this.dtype, this.size)
      case "Host":
        return this.at.data
      case "Released":
        return undefined
    }
  }
}

/** How much is kept. */
export interface ResidentsOptions {
  /** Arrays of at least this many bytes stay where they were computed. Smaller ones are sooner copied. */
  readonly from?: number
  /** Host arrays of at least this many bytes have a copy in memory when they come again. */
  readonly copiesFrom?: number
  /** The most bytes of arrays that are not state: 256 MiB. */
  readonly budget?: number
}

/** From how many bytes on arrays stay in memory. */
export const residentFrom = 65536

/** The resident arrays of one memory. */
export class Residents {
  readonly from: number
  readonly copiesFrom: number
  readonly #budget: number
  readonly #owner: object = {}
  readonly #heap: Heap
  readonly #dropped: FinalizationRegistry<Block>
  /** Blocks in the budget, and all others; the ones used longest ago first. */
  readonly #arrays = new Set<Block>()
  readonly #states = new Set<Block>()
  /** Host arrays that came before, and their copies. */
  readonly #copies = new WeakMap<TypedArray, Block | "seen">()
  #budgeted = 0
  /**
   * Bytes that were spilled since the event loop went on last: until it does, nothing is collected that a WeakRef points
   * to. When these become too many, new arrays are not made resident instead.
   */
  #spilled = 0
  #run = 0
  #closed = false
  liveBytes = 0
  liveBuffers = 0
  peakBytes = 0

  constructor(heap: Heap, { budget = 2 ** 28, from = residentFrom, copiesFrom = from }: ResidentsOptions = {}) {
    this.#heap = heap
    this.from = from
    this.copiesFrom = copiesFrom
    this.#budget = budget
    this.#dropped = new FinalizationRegistry((block) => this.#free(block))
    heap.onFull = () => this.#spillOldest(this.#arrays) || this.#spillOldest(this.#states)
  }

  /** Counts memory that a run needs beside the resident arrays. */
  peak(bytes: number): void {
    this.peakBytes = Math.max(this.peakBytes, this.liveBytes + bytes)
  }

  /** From now on the arrays that are used stay where they are: until `end`. */
  begin(): void {
    this.#run++
  }

  /** The run is over. */
  end(): void {
    this.#run++
  }

  /** A new array, its elements undefined, outside of the budget. Throws `AllocationFailed`. */
  allocate(dtype: DType, size: number, bytes: number): DeviceStorage {
    return this.#allocate(dtype, size, bytes, false)
  }

  /** A new array within the budget; undefined if there is no room for it there. Throws `AllocationFailed`. */
  allocateWithin(dtype: DType, size: number, bytes: number): DeviceStorage | undefined {
    return this.#admit(bytes) ? this.#allocate(dtype, size, bytes, true) : undefined
  }

  /** The array behind a storage; undefined if it is another backend's. */
  of(storage: DeviceStorage): Resident | undefined {
    return storage.owner === this.#owner ? storage.handle as Resident : undefined
  }

  /** Does the run use it already? */
  isUsed({ at }: Resident): boolean {
    return at._tag === "Block" && at.block.run === this.#run
  }

  /** The address of an array that the run uses, where it stays for so long; undefined if it was spilled. */
  use({ at }: Resident): number | undefined {
    return at._tag === "Block" ? this.#use(at.block) : undefined
  }

  /** An array that is overwritten from now on is state. */
  keep(resident: Resident): void {
    if (resident.at._tag === "Block") this.#setBudgeted(resident.at.block, false)
  }

  /** The copy of a host array, if there is one. */
  copyOf(data: TypedArray): number | undefined {
    const copy = this.#copies.get(data)
    return copy === undefined || copy === "seen" || copy.freed ? undefined : this.#use(copy)
  }

  /** A new copy of a host array that came before; the first time, and where there is no room for it, undefined. */
  addCopy(data: TypedArray, dtype: DType): number | undefined {
    if (!this.#copies.has(data)) {
      this.#copies.set(data, "seen")
      return undefined
    }
    const known = this.copyOf(data)
    if (known !== undefined) return known
    const bytes = data.byteLength
    if (!this.#admit(bytes)) return undefined
    const block = this.#take(bytes, undefined, true)
    this.#copies.set(data, block)
    this.#dropped.register(data, block, block)
    this.#heap.write(block.address, dtype, data)
    return block.address
  }

  /** Frees an array now. What is not ours, or was freed before, is ignored. */
  release(storage: Storage): void {
    const resident = storage._tag === "Device" ? this.of(storage) : undefined
    if (resident === undefined) return
    if (resident.at._tag === "Block") {
      this.#dropped.unregister(resident.at.block)
      this.#free(resident.at.block)
    }
    resident.at = { _tag: "Released" }
  }

  /** The backend is gone: nothing is freed any more. What handles there are can still be read. */
  close(): void {
    this.#closed = true
    this.#arrays.clear()
    this.#states.clear()
    this.liveBytes = 0
    this.liveBuffers = 0
    this.end()
  }

  #allocate(dtype: DType, size: number, bytes: number, budgeted: boolean): DeviceStorage {
    const handle = new Resident(this.#heap, dtype, size, bytes)
    const block = this.#take(bytes, new WeakRef(handle), budgeted)
    handle.at = { _tag: "Block", block }
    this.#dropped.register(handle, block, block)
    // While a run uses it, it may be half written.
    return Storages.device(this.#owner, handle, () => this.isUsed(handle) ? undefined : handle.read())
  }

  #take(bytes: number, owner: Block["owner"], budgeted: boolean): Block {
    const block: Block = {
      address: this.#heap.allocate(bytes),
      bytes,
      owner,
      budgeted: false,
      run: this.#run,
      freed: false
    }
    this.#states.add(block)
    if (budgeted) this.#setBudgeted(block, true)
    this.liveBytes += bytes
    this.liveBuffers++
    this.peak(0)
    return block
  }

  #setBudgeted(block: Block, budgeted: boolean): void {
    if (block.budgeted === budgeted) return
    block.budgeted = budgeted
    this.#budgeted += budgeted ? block.bytes : -block.bytes
    const [from, to] = budgeted ? [this.#states, this.#arrays] : [this.#arrays, this.#states]
    from.delete(block)
    to.add(block)
  }

  #use(block: Block): number {
    block.run = this.#run
    if (block.budgeted) {
      this.#arrays.delete(block)
      this.#arrays.add(block)
    }
    return block.address
  }

  /** Makes room in the budget. */
  #admit(bytes: number): boolean {
    if (bytes > this.#budget) return false
    while (this.#budgeted + bytes > this.#budget) {
      if (this.#spilled > this.#budget / 4 || !this.#spillOldest(this.#arrays)) return false
    }
    return true
  }

  /** Moves the array that was used longest ago out of memory; false if all take part in the run. */
  #spillOldest(blocks: ReadonlySet<Block>): boolean {
    for (const block of blocks) {
      if (block.run === this.#run || block.bytes === 0) continue
      const resident = block.owner?.deref()
      const data = resident?.read()
      if (resident !== undefined && data !== undefined) {
        resident.at = { _tag: "Host", data }
        this.#count(block.bytes)
      }
      this.#dropped.unregister(block)
      this.#free(block)
      return true
    }
    return false
  }

  #count(bytes: number): void {
    if (this.#spilled === 0) {
      setTimeout(() => {
        this.#spilled = 0
      }, 0)
    }
    this.#spilled += bytes
  }

  #free(block: Block): void {
    if (this.#closed || block.freed) return
    this.#setBudgeted(block, false)
    this.#states.delete(block)
    block.freed = true
    this.#heap.free(block.address)
    this.liveBytes -= block.bytes
    this.liveBuffers--
  }
}
