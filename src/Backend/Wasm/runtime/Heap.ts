/**
 * The memory of one backend instance: one `WebAssembly.Memory`, which grows, views of it, and its blocks. It begins with
 * words that threads use to meet (`control.ts`), then come blocks: resident arrays, constants, frames, scratch memory,
 * and the *arena*, one block that all executables compute in, one after the other; it moves when a larger plan comes.
 */
import type { DType, TypedArray } from "../../../Tensor/DType.ts"
import { Allocator, rounded } from "./Allocator.ts"
import { controlBytes } from "./control.ts"

const page = 65536

/** An allocation that did not fit. */
export class AllocationFailed extends Error {
  readonly bytes: number
  constructor(bytes: number) {
    super(`could not allocate ${bytes} bytes`)
    this.bytes = bytes
  }
}

/** How a memory is made. */
export interface HeapOptions {
  readonly shared: boolean
  /** The most bytes that it may have; at most 4 GiB. */
  readonly maximumMemory: number
}

/** Views of the whole memory, one for each class of host storage. */
interface Views {
  readonly f32: Float32Array
  readonly i32: Int32Array
  readonly u32: Uint32Array
  readonly i8: Int8Array
  readonly u8: Uint8Array
  readonly u16: Uint16Array
  readonly f64: Float64Array
}

const viewsOf = (buffer: ArrayBufferLike): Views => ({
  f32: new Float32Array(buffer),
  i32: new Int32Array(buffer),
  u32: new Uint32Array(buffer),
  i8: new Int8Array(buffer),
  u8: new Uint8Array(buffer),
  u16: new Uint16Array(buffer),
  f64: new Float64Array(buffer)
})

/** One memory. */
export class Heap {
  readonly memory: WebAssembly.Memory
  readonly maximumPages: number
  readonly shared: boolean
  readonly #allocator: Allocator
  #views: Views
  #arena = { address: 0, bytes: 0 }
  /** Gives some memory back, if it can: is asked, until it cannot, for what does not fit. */
  onFull: () => boolean = () => false

  constructor({ maximumMemory, shared }: HeapOptions) {
    this.maximumPages = Math.max(1, Math.min(65536, Math.floor(maximumMemory / page)))
    this.shared = shared
    this.memory = new WebAssembly.Memory({ initial: 1, maximum: this.maximumPages, shared })
    this.#views = viewsOf(this.memory.buffer)
    this.#allocator = new Allocator(controlBytes, this.maximumPages * page)
  }

  /** The most bytes that it may have. */
  get limit(): number {
    return this.maximumPages * page
  }

  /** The address of a new block. Throws `AllocationFailed`, and is then as it was. */
  allocate(bytes: number): number {
    for (;;) {
      const address = this.#allocate(bytes)
      if (address !== undefined) return address
      if (bytes > this.limit || !this.onFull()) throw new AllocationFailed(bytes)
    }
  }

  #allocate(bytes: number): number | undefined {
    const address = this.#allocator.allocate(bytes)
    if (address === undefined) return undefined
    const missing = this.#allocator.top - this.#views.u8.byteLength
    if (missing <= 0 || this.#grow(Math.ceil(missing / page))) return address
    this.#allocator.free(address)
    return undefined
  }

  free(address: number): void {
    this.#allocator.free(address)
  }

  /** The arena, with room for this many bytes. What was in it is lost when it must move. */
  arena(bytes: number): number {
    if (bytes <= this.#arena.bytes) return this.#arena.address
    const old = this.#arena
    this.#arena = { address: 0, bytes: 0 }
    if (old.bytes > 0) this.free(old.address)
    const size = rounded(bytes)
    const address = this.allocate(size)
    this.#arena = { address, bytes: size }
    return address
  }

  /** Views of all memory, as large as it is now: nobody else lets it grow. */
  get views(): Views {
    return this.#views
  }

  /** The view in which elements of a dtype are one number each. */
  view(dtype: DType): TypedArray {
    const { f32, f64, i32, i8, u16, u32, u8 } = this.views
    switch (dtype) {
      case "float32":
        return f32
      case "int32":
        return i32
      case "uint32":
        return u32
      case "int8":
        return i8
      case "uint8":
      case "bool":
        return u8
      case "float16":
      case "bfloat16":
        return u16
      case "float64":
        return f64
    }
  }

  /** Copies elements into memory. */
  write(address: number, dtype: DType, data: TypedArray): void {
    const view = this.view(dtype)
    view.set(data, address / view.BYTES_PER_ELEMENT)
  }

  /** Copies elements out of memory. */
  read(address: number, dtype: DType, size: number): TypedArray {
    const view = this.view(dtype)
    const start = address / view.BYTES_PER_ELEMENT
    return view.slice(start, start + size)
  }

  /** Copies bytes within memory. */
  copy(target: number, source: number, bytes: number): void {
    this.views.u8.copyWithin(target, source, source + bytes)
  }

  #grow(pages: number): boolean {
    try {
      // A little more than is needed, since growing may copy.
      const have = this.memory.buffer.byteLength / page
      const spare = Math.min(Math.max(pages, Math.ceil(have / 8)), this.maximumPages - have)
      this.memory.grow(Math.max(spare, pages))
      this.#views = viewsOf(this.memory.buffer)
      return true
    } catch (thrown) {
      if (thrown instanceof RangeError) return false
      throw thrown
    }
  }
}
