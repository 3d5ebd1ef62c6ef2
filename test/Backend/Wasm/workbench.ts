/**
 * A place to try single kernels: buffers in one memory, a kernel written into a module of its own, and calls of its
 * units in any division.
 */
import { type Callable, Code, Module } from "../../../src/Backend/Wasm/assembler/index.ts"
import { Constants, type Emission, type Emitted, type Features, slots } from "../../../src/Backend/Wasm/emission.ts"
import type { Buffer } from "../../../src/Backend/Wasm/ir.ts"
import type { DType } from "../../../src/Tensor/DType.ts"
import { decode, encode } from "../../../src/Tensor/float16.ts"

const bytesOf = (dtype: DType): number =>
  dtype === "float16" || dtype === "bfloat16" ? 2 : dtype === "int8" || dtype === "uint8" || dtype === "bool" ? 1 : 4

const view = (dtype: DType, memory: ArrayBufferLike, at: number, size: number) => {
  switch (dtype) {
    case "float16":
    case "bfloat16":
      return new Uint16Array(memory, at, size)
    case "int8":
      return new Int8Array(memory, at, size)
    case "uint8":
    case "bool":
      return new Uint8Array(memory, at, size)
    case "int32":
      return new Int32Array(memory, at, size)
    case "uint32":
      return new Uint32Array(memory, at, size)
    default:
      return new Float32Array(memory, at, size)
  }
}

/** Buffers and a module. The frame is at address 0. */
export class Workbench {
  readonly #buffers = new Map<Buffer, number>()
  readonly #module = new Module({ shared: false, initial: 1, maximum: 16384 })
  readonly #constants = new Constants()
  readonly emission: Emission
  readonly #memory = new WebAssembly.Memory({ initial: 1, maximum: 16384 })
  #end = 1024
  #scratch = 0

  constructor(features: Features = { relaxed: true, wide: false }) {
    this.emission = {
      module: this.#module,
      features,
      constants: this.#constants,
      place: (buffer) => ({ slot: slots.arena, offset: this.#buffers.get(buffer) ?? 0 }),
      scratch: (bytes) => {
        this.#scratch = Math.max(this.#scratch, bytes)
      }
    }
  }

  /** A buffer of this size, 64 bytes from the next one, which hold a pattern that nobody may write over. */
  buffer(dtype: DType, size: number): Buffer {
    const buffer = { dtype, size, name: `b${this.#buffers.size}` }
    this.#buffers.set(buffer, this.#end)
    this.#end += Math.ceil((size * bytesOf(dtype) + 64) / 16) * 16
    return buffer
  }

  get module(): Module {
    return this.#module
  }

  /** Compiles; gives the kernel, and the contents of buffers. */
  build(emitted: Emitted) {
    const code = new Code([["begin", "i32"], ["end", "i32"]])
    code.i32(0).get(code.params[0]).get(code.params[1]).call(emitted.run)
    this.#module.add("main", code, { exported: true })
    const memory = this.#memory
    const constants = this.#constants.data()
    const constantsAt = this.#end
    const scratchAt = Math.ceil((constantsAt + constants.byteLength) / 64) * 64
    memory.grow(Math.ceil((scratchAt + this.#scratch + 64) / 65536))
    new Int32Array(memory.buffer, constantsAt, constants.length).set(constants)
    new Int32Array(memory.buffer, 0, 3).set([0, constantsAt, scratchAt])
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(this.#module.bytes()), { env: { memory } })
    const main = exports["main"] as (begin: number, end: number) => void
    const raw = (buffer: Buffer) => view(buffer.dtype, memory.buffer, this.#buffers.get(buffer) ?? 0, buffer.size)
    const guards = (): ReadonlyArray<Uint8Array> =>
      [...this.#buffers].map(([buffer, at]) =>
        new Uint8Array(memory.buffer, at + buffer.size * bytesOf(buffer.dtype), 64 - 16)
      )
    for (const guard of guards()) guard.fill(0xa5)
    return {
      run: main,
      exports,
      units: emitted.units,
      raw,
      /** Did anything write between the buffers? */
      intact: () => guards().every((guard) => guard.every((byte) => byte === 0xa5)),
      /** Puts numbers into a buffer, rounded to its dtype; gives what they became. */
      set: (buffer: Buffer, values: ReadonlyArray<number>): ReadonlyArray<number> => {
        const array = raw(buffer)
        const narrow = array instanceof Uint16Array
        values.forEach((x, i) => void (array[i] = narrow ? encode(x, buffer.dtype) : x))
        return Array.from(array, (x) => narrow ? decode(x, buffer.dtype) : x)
      }
    }
  }
}

/** Random numbers from a seed (mulberry32). */
export const random = (seed: number) => {
  let state = seed
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
  const integer = (low: number, high: number): number => low + Math.floor(next() * (high - low + 1))
  const pick = <A>(...items: ReadonlyArray<A>): A => items[integer(0, items.length - 1)]
  return { next, integer, pick }
}

export type { Callable }
