/**
 * Resident arrays: arrays that stay in the backend's memory between runs, as the elements of Variables do. Their handles
 * are device storage; a handle that was dropped is freed when it is collected, one that is released at once.
 */
import type { DType, TypedArray } from "../../../Tensor/DType.ts"
import type { DeviceStorage, Storage } from "../../../Tensor/Storage.ts"
import * as Storages from "../../../Tensor/Storage.ts"
import type { Heap } from "./Heap.ts"

/** A block of memory with elements. */
export interface Resident {
  readonly address: number
  readonly bytes: number
  readonly dtype: DType
  readonly size: number
  /** The number of the last run that it was given to: one that is given twice to a run is not overwritten. */
  run: number
  freed: boolean
}

/** What is left to do when a handle was collected. */
interface Debt {
  readonly address: number
  readonly bytes: number
}

/** The resident arrays of one memory. */
export class Residents {
  readonly #owner: { peek: Storages.Owner["peek"] } = { peek: (handle) => this.#peek(handle as Resident) }
  readonly #heap: Heap
  readonly #dropped: FinalizationRegistry<Debt>
  #closed = false
  /** Is there a run in the background, which may be writing arrays? */
  busy = false
  liveBytes = 0
  liveBuffers = 0
  peakBytes = 0

  constructor(heap: Heap) {
    this.#heap = heap
    this.#dropped = new FinalizationRegistry((debt) => this.#pay(debt))
  }

  /** Counts memory that a run needs beside the resident arrays. */
  peak(bytes: number): void {
    this.peakBytes = Math.max(this.peakBytes, this.liveBytes + bytes)
  }

  /** A new array, its elements undefined. Throws `AllocationFailed`. */
  allocate(dtype: DType, size: number, bytes: number): DeviceStorage {
    const address = this.#heap.allocate(bytes)
    const handle: Resident = { address, bytes, dtype, size, run: -1, freed: false }
    this.#dropped.register(handle, { address, bytes }, handle)
    this.liveBytes += bytes
    this.liveBuffers++
    this.peak(0)
    return Storages.device(this.#owner, handle)
  }

  /** The array behind a storage; undefined if it is another backend's. */
  of(storage: DeviceStorage): Resident | undefined {
    return storage.owner === this.#owner ? storage.handle as Resident : undefined
  }

  /** Frees an array now. What is not ours, or was freed before, is ignored. */
  release(storage: Storage): void {
    if (storage._tag !== "Device") return
    const resident = this.of(storage)
    if (resident === undefined || resident.freed) return
    resident.freed = true
    this.#dropped.unregister(resident)
    this.#pay(resident)
  }

  /** The memory is gone: nothing is freed any more. */
  close(): void {
    this.#closed = true
    // Arrays that outlive it do not keep it.
    this.#owner.peek = undefined
    this.liveBytes = 0
    this.liveBuffers = 0
  }

  #peek({ address, dtype, freed, size }: Resident): TypedArray | undefined {
    return this.busy || freed ? undefined : this.#heap.read(address, dtype, size)
  }

  #pay({ address, bytes }: Debt): void {
    if (this.#closed) return
    this.#heap.free(address)
    this.liveBytes -= bytes
    this.liveBuffers--
  }
}
