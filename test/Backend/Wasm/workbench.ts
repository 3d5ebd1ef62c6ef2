/**
 * A place to try single kernels: buffers in one memory, a kernel written into a module of its own, and calls of its
 * units in any division. Also what the tests of all products share.
 */
import { assert } from "@effect/vitest"
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

/** Where tests take their random numbers from. */
export type Random = ReturnType<typeof random>

/** The dtype that products of two such numbers are added in. */
export const accumulator = (dtype: DType): DType => dtype.includes("float") ? "float32" : "int32"

/** Any number of an integer dtype, or a float around 0. */
export const valueOf = (dtype: DType, { integer, next }: Random): number => {
  switch (dtype) {
    case "int32":
      return integer(-(2 ** 31), 2 ** 31 - 1)
    case "uint32":
      return integer(0, 2 ** 32 - 1)
    case "int8":
      return integer(-128, 127)
    case "uint8":
      return integer(0, 255)
    default:
      return next() - 0.5
  }
}

/**
 * Runs a kernel, and gives what it writes into a buffer: the same bits for any division of the units, done in any
 * order. Nothing beyond the buffers is written.
 */
export const runDivided = (
  { intact, raw, run, units }: ReturnType<Workbench["build"]>,
  out: Buffer,
  { integer }: Random,
  label: string
): ReadonlyArray<number> => {
  const clear = () => raw(out).fill(77)
  clear()
  run(0, units)
  const whole = Array.from(raw(out))
  assert.isTrue(intact(), `nothing beyond the buffers is written: ${label}`)
  for (let round = 0; round < 2; round++) {
    const cuts = [0, ...Array.from({ length: 3 }, () => integer(0, units)), units].sort((a, b) => a - b)
    clear()
    for (let i = cuts.length - 2; i >= 0; i--) run(cuts[i], cuts[i + 1])
    const parts = raw(out)
    assert.isTrue(whole.every((v, i) => Object.is(v, parts[i])), `units ${cuts.join()} of ${label}`)
  }
  return whole
}

/** An epilogue of matrices of m rows and n columns that adds 1 to the mark of every element, and 1000 to the element. */
export const marking = (w: Workbench, out: Buffer, m: number, n: number) => {
  const marks = w.buffer("int32", out.size)
  const code = new Code(["frame", "b", "i0", "i1", "j0", "j1"].map((p) => [p, "i32"] as const))
  const [, b, i0, i1, j0, j1] = code.params
  const [j, at] = [code.local("i32"), code.local("i32")]
  code.while(i0, i1, 1, () => {
    code.get(j0).set(j)
    code.while(j, j1, 1, () => {
      code.get(b).i32(m).op("i32.mul").get(i0).op("i32.add").i32(n).op("i32.mul").get(j).op("i32.add")
      code.i32(4).op("i32.mul").set(at)
      const [mark, element] = [w.emission.place(marks).offset, w.emission.place(out).offset]
      code.get(at).get(at).load("i32.load", mark).i32(1).op("i32.add").store("i32.store", mark)
      code.get(at).get(at).load("f32.load", element).f32(1000).op("f32.add").store("f32.store", element)
    })
  })
  return { marks, epilogue: w.module.add("epilogue", code) }
}

export type { Callable }
