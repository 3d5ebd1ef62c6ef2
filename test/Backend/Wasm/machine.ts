// Runs written kernels: a module over a memory in which buffers lie one after the other, with guards between them that
// show writes out of bounds.
import { Code, Module } from "../../../src/Backend/Wasm/assembler/index.ts"
import type { Callable } from "../../../src/Backend/Wasm/assembler/index.ts"
import { Constants, type Emission, type Emitted, type Features, slots } from "../../../src/Backend/Wasm/emission.ts"
import type { Buffer } from "../../../src/Backend/Wasm/ir.ts"
import * as DType from "../../../src/Tensor/DType.ts"
import { decode, encode } from "../../../src/Tensor/float16.ts"

const pattern = 0xa5
const guard = 32
const align = (x: number): number => Math.ceil(x / 16) * 16

/** Where a buffer is. Several may share one place. */
export type Layout = ReadonlyMap<Buffer, number>

/** Lays buffers out, each after the one before; `shared` ones lie where another does. */
export const layOut = (buffers: ReadonlyArray<Buffer>, shared: ReadonlyMap<Buffer, Buffer> = new Map()) => {
  const layout = new Map<Buffer, number>()
  let end = guard
  for (const buffer of buffers) {
    if (shared.has(buffer)) continue
    layout.set(buffer, end)
    end = align(end + buffer.size * DType.byteSize(buffer.dtype)) + guard
  }
  for (const [buffer, other] of shared) layout.set(buffer, layout.get(other) ?? 0)
  return { layout, bytes: end }
}

/** A compiled kernel with its memory. */
export interface Machine {
  readonly units: number
  readonly nanoseconds: number
  readonly run: (begin: number, end: number) => void
  readonly call: (...args: ReadonlyArray<number>) => void
  readonly write: (buffer: Buffer, values: ReadonlyArray<number>) => void
  readonly read: (buffer: Buffer) => Array<number>
  /** Bytes that are no buffer's and were changed. */
  readonly damage: () => number
  readonly text: string
  readonly bytes: Uint8Array<ArrayBuffer>
}

const frameAt = 64
const constantsAt = 1024
const arenaAt = 131072

/** Compiles what `emit` writes. */
export const machine = (
  emit: (e: Emission) => Emitted | Callable,
  buffers: ReadonlyArray<Buffer>,
  options: { readonly features?: Features; readonly shared?: ReadonlyMap<Buffer, Buffer> } = {}
): Machine => {
  const { features = { relaxed: false, wide: false }, shared } = options
  const { bytes: size, layout } = layOut(buffers, shared)
  const module = new Module({ shared: false, initial: 1, maximum: 65536 })
  const constants = new Constants()
  const need = { scratch: 0 }
  const emission: Emission = {
    module,
    features,
    constants,
    place: (buffer) => {
      const offset = layout.get(buffer)
      if (offset === undefined) throw new Error(`no place for ${buffer.name}`)
      return { slot: slots.arena, offset }
    },
    scratch: (bytes) => {
      need.scratch = Math.max(need.scratch, bytes)
    }
  }
  const emitted = emit(emission)
  const kernel = "run" in emitted ? emitted.run : emitted
  const names = kernel.params.map((_, k) => `p${k}`)
  const code = new Code(names.map((name) => [name, "i32"]))
  for (const parameter of code.params) code.get(parameter)
  module.add("entry", code.call(kernel), { exported: true })
  const scratchAt = align(arenaAt + size)
  const pages = Math.ceil((scratchAt + need.scratch + 64) / 65536)
  const memory = new WebAssembly.Memory({ initial: pages, maximum: 65536 })
  const instance = new WebAssembly.Instance(new WebAssembly.Module(module.bytes()), { env: { memory } })
  const entry = instance.exports.entry as (...args: ReadonlyArray<number>) => void
  const words = new Int32Array(memory.buffer)
  words[frameAt / 4 + slots.arena] = arenaAt
  words[frameAt / 4 + slots.constants] = constantsAt
  words[frameAt / 4 + slots.scratch] = scratchAt
  words.set(constants.data(), constantsAt / 4)
  const bytes = new Uint8Array(memory.buffer)
  bytes.fill(pattern, arenaAt, arenaAt + size)
  const view = (buffer: Buffer) => {
    const sample = DType.allocate(buffer.dtype, 0)
    const Elements = sample.constructor as new(
      buffer: ArrayBuffer,
      offset: number,
      length: number
    ) => DType.TypedArray
    return new Elements(memory.buffer, arenaAt + (layout.get(buffer) ?? 0), buffer.size)
  }
  return {
    units: "units" in emitted ? emitted.units : 0,
    nanoseconds: "units" in emitted ? emitted.nanoseconds : 0,
    run: (begin, end) => entry(frameAt, begin, end),
    call: (...args) => entry(frameAt, ...args),
    write: (buffer, values) => view(buffer).set(values.map((x) => encode(x, buffer.dtype))),
    read: (buffer) => Array.from(view(buffer), (x) => decode(x, buffer.dtype)),
    damage: () => {
      const owned = new Uint8Array(size)
      for (const [buffer, at] of layout) owned.fill(1, at, at + buffer.size * DType.byteSize(buffer.dtype))
      let count = 0
      for (let k = 0; k < size; k++) if (owned[k] === 0 && bytes[arenaAt + k] !== pattern) count++
      return count
    },
    text: module.toString(),
    bytes: module.bytes()
  }
}
