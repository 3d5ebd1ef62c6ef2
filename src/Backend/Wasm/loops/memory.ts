/**
 * Elements of buffers as Values: addresses, loads of four elements that lie side by side, apart, or are one, their
 * decoding, and stores.
 */
import * as DTypes from "../../../Tensor/DType.ts"
import type { DType } from "../../../Tensor/DType.ts"
import type { Code, LaneMemory, Local, Memory } from "../assembler/index.ts"
import type { Emission } from "../emission.ts"
import type { Affine, Buffer } from "../ir.ts"
import { decodeBfloat16, decodeFloat16, encodeBfloat16, encodeFloat16 } from "../math/rounding.ts"
import { b, i, node, plain, type Value, words, type Writing } from "../math/value.ts"
import type { Writer } from "../math/writer.ts"
import { type Dimension, type Space, strideOf } from "./space.ts"

/** Where the loops are: the index of every dimension. */
export type Position = ReadonlyMap<Dimension, Value>

/** The address of an element: what is added for each loop is added in that loop. */
export interface Address {
  readonly base: Value
  /** Constant bytes, for the access itself. */
  readonly offset: number
  /** From one lane to the next, in bytes. */
  readonly step: number
}

const scaled = (x: Value, factor: number): Value => {
  const shift = Math.log2(factor)
  return node([x], ({ code }) => {
    if (factor === 1) return
    if (Number.isInteger(shift)) code.i32(shift).op("i32.shl")
    else code.i32(factor).op("i32.mul")
  }, { type: "i32" })
}

const plus = (x: Value, y: Value): Value => node([x, y], ({ code }) => code.op("i32.add"), { type: "i32" })

/** The address in a slot of a frame. */
export const inFrame = (frame: Local) => (slot: number): Value =>
  node([], ({ code }) => code.get(frame).load("i32.load", 4 * slot), { type: "i32" })

/** Makes addresses; equal ones are one Value. */
export class Addresses {
  readonly #emission: Emission
  readonly #space: Space
  readonly #position: Position
  readonly #addressOf: (slot: number) => Value
  readonly #slots = new Map<number, Value>()
  readonly #starts = new Map<Value, Map<number, Value>>()
  readonly #terms = new Map<Dimension, Map<number, Value>>()
  readonly #sums = new Map<Value, Map<string, Value>>()

  constructor(emission: Emission, space: Space, position: Position, addressOf: (slot: number) => Value) {
    this.#emission = emission
    this.#space = space
    this.#position = position
    this.#addressOf = addressOf
  }

  /** The address that a slot stands for. */
  slot(slot: number): Value {
    const known = this.#slots.get(slot)
    if (known !== undefined) return known
    const value = this.#addressOf(slot)
    this.#slots.set(slot, value)
    return value
  }

  #term(dimension: Dimension, factor: number): Value | undefined {
    const index = this.#position.get(dimension)
    if (index === undefined || factor === 0) return undefined
    const known = this.#terms.get(dimension)?.get(factor)
    if (known !== undefined) return known
    const value = scaled(index, factor)
    const terms = this.#terms.get(dimension) ?? new Map<number, Value>()
    this.#terms.set(dimension, terms.set(factor, value))
    return value
  }

  /** `start` plus strides times indices, times a factor, without the constant. */
  sum(start: Value, at: Affine, factor: number): Value {
    const { lanes, lines, rows } = this.#space
    const dimensions = [...rows, ...lines, lanes]
    const key = `${factor}:${dimensions.map((dimension) => strideOf(at, dimension)).join()}`
    const known = this.#sums.get(start)?.get(key)
    if (known !== undefined) return known
    const terms = dimensions
      .map((dimension) => this.#term(dimension, strideOf(at, dimension) * factor))
      .filter((term) => term !== undefined)
      .sort((x, y) => x.level - y.level)
    const value = terms.reduce(plus, start)
    const sums = this.#sums.get(start) ?? new Map<string, Value>()
    this.#sums.set(start, sums.set(key, value))
    return value
  }

  /** The address of an element of a buffer. */
  of(buffer: Buffer, at: Affine): Address {
    const place = this.#emission.place(buffer)
    const bytes = DTypes.byteSize(buffer.dtype)
    const offset = place.offset + at.offset * bytes
    const step = strideOf(at, this.#space.lanes) * bytes
    const start = this.slot(place.slot)
    // The offset of an access is added without wrapping: what it is added to must not be below 0.
    return at.strides.some((stride) => stride < 0)
      ? { base: this.sum(this.#moved(start, offset), at, bytes), offset: 0, step }
      : { base: this.sum(start, at, bytes), offset, step }
  }

  #moved(start: Value, offset: number): Value {
    const known = this.#starts.get(start)?.get(offset)
    if (known !== undefined) return known
    const value = node([start], ({ code }) => code.i32(offset).op("i32.add"), { type: "i32" })
    const starts = this.#starts.get(start) ?? new Map<number, Value>()
    this.#starts.set(start, starts.set(offset, value))
    return value
  }
}

/** How elements of a width are read and written. */
interface Width {
  readonly splat: (code: Code, offset: number) => void
  readonly four: (code: Code, offset: number) => void
  readonly scalar: Memory
  readonly storeFour: (code: Code, offset: number) => void
  readonly storeLane: LaneMemory
}

const widthOf = (dtype: DType): Width => {
  switch (DTypes.byteSize(dtype)) {
    case 1: {
      const sign = dtype === "int8" ? "s" : "u"
      const scalar = `i32.load8_${sign}` as const
      return {
        scalar,
        splat: (code, offset) => code.load(scalar, offset).op("i32x4.splat"),
        four: (code, offset) =>
          code.load("v128.load32_zero", offset).op(`i16x8.extend_low_i8x16_${sign}`).op(
            `i32x4.extend_low_i16x8_${sign}`
          ),
        storeFour: (code, offset) => code.memoryLane("v128.store32_lane", 0, offset),
        storeLane: "v128.store8_lane"
      }
    }
    case 2:
      return {
        scalar: "i32.load16_u",
        splat: (code, offset) => code.load("i32.load16_u", offset).op("i32x4.splat"),
        four: (code, offset) => code.load("v128.load16x4_u", offset),
        storeFour: (code, offset) => code.memoryLane("v128.store64_lane", 0, offset),
        storeLane: "v128.store16_lane"
      }
    default:
      return {
        scalar: "i32.load",
        splat: (code, offset) => code.load("v128.load32_splat", offset),
        four: (code, offset) => code.load("v128.load", offset),
        storeFour: (code, offset) => code.store("v128.store", offset),
        storeLane: "v128.store32_lane"
      }
  }
}

/** Elements of memory as lanes: bools are masks, 16-bit floats are floats. */
const decode = (raw: Value, dtype: DType): Value => {
  switch (dtype) {
    case "float16":
      return decodeFloat16(raw)
    case "bfloat16":
      return decodeBfloat16(raw)
    case "bool":
      return i.neg(raw)
    default:
      return raw
  }
}

/** Lanes as elements of memory, at the front of the vector. */
export const encode = (x: Value, dtype: DType): Value => {
  const shorts = (v: Value) => plain("i16x8.narrow_i32x4_u", v, v)
  const bytes = (v: Value) => {
    const narrowed = shorts(v)
    return plain("i8x16.narrow_i16x8_u", narrowed, narrowed)
  }
  switch (dtype) {
    case "float16":
      return shorts(encodeFloat16(x))
    case "bfloat16":
      return shorts(encodeBfloat16(x))
    case "bool":
      return bytes(b.and(x, 1))
    case "int8":
      return bytes(b.and(x, 0xff))
    case "uint8":
      return bytes(x)
    default:
      return x
  }
}

/** Adds what of an access' offset is negative; the rest is for the access. */
const toOffset = (code: Code, offset: number): number => {
  if (offset >= 0) return offset
  code.i32(offset).op("i32.add")
  return 0
}

/** Pushes what the lanes after the first are away from it, 0 for lanes that do not count. */
const laneOffset = ({ code, partial }: Writing, lane: number, step: number): void => {
  code.i32(lane * step)
  if (partial !== undefined) code.i32(0).get(partial.count).i32(lane).op("i32.gt_s").op("select")
}

/** Four elements apart from each other. */
const gathered = ({ base, offset, step }: Address, width: Width, level: number): Value =>
  node([base, base], (to) => {
    const { code, copy, get } = to
    const result = code.local("v128")
    get(base)
    width.splat(code, toOffset(code, offset + 4 * copy * step))
    code.set(result)
    for (let lane = 1; lane < 4; lane++) {
      code.get(result)
      get(base)
      if (to.partial === undefined) code.load(width.scalar, toOffset(code, offset + (4 * copy + lane) * step))
      else {
        laneOffset(to, lane, step)
        code.op("i32.add").load(width.scalar, offset + 4 * copy * step)
      }
      code.lane("i32x4.replace_lane", lane).set(result)
    }
    code.get(result)
  }, { structured: true, varying: true, cost: 8, level })

/** The element at an address, in the lanes of a vector. `level`: not hoisted beyond it. */
export const load = (address: Address, dtype: DType, level: number): Value => {
  const { base, offset, step } = address
  const width = widthOf(dtype)
  const bytes = DTypes.byteSize(dtype)
  if (step === 0) return decode(node([base], ({ code }) => width.splat(code, offset), { level }), dtype)
  if (step !== bytes) return decode(gathered(address, width, level), dtype)
  const four = node([base], ({ code, copy }) => width.four(code, offset + 16 / 4 * bytes * copy), {
    level,
    varying: true
  })
  return decode(four, dtype)
}

/** The elements whose numbers are given. */
export const loadAt = (slot: Value, offset: number, index: Value, dtype: DType, level: number): Value => {
  const width = widthOf(dtype)
  const bytes = DTypes.byteSize(dtype)
  const address = (code: Code, indices: Local, lane: number) => {
    code.get(indices).lane("i32x4.extract_lane", lane)
    if (bytes > 1) code.i32(Math.log2(bytes)).op("i32.shl")
  }
  const raw = node([slot, index, slot], ({ code, get, partial }) => {
    const [indices, result] = [code.local("v128"), code.local("v128")]
    get(index)
    // Lanes that do not count might hold any number.
    if (partial !== undefined && index.varying) code.get(partial.mask).op("v128.and")
    code.set(indices)
    get(slot)
    address(code, indices, 0)
    code.op("i32.add")
    width.splat(code, offset)
    if (!index.varying) return
    code.set(result)
    for (let lane = 1; lane < 4; lane++) {
      code.get(result)
      get(slot)
      address(code, indices, lane)
      code.op("i32.add").load(width.scalar, offset).lane("i32x4.replace_lane", lane).set(result)
    }
    code.get(result)
  }, { structured: true, cost: 12, level })
  return decode(raw, dtype)
}

/** `offset + strides · indices` as an integer in every lane. */
export const indexValue = (addresses: Addresses, at: Affine, space: Space): Value => {
  const zero = node([], ({ code }) => code.i32(0), { type: "i32", again: true })
  const sum = addresses.sum(zero, at, 1)
  const step = strideOf(at, space.lanes)
  const splat = node([sum], ({ code, copy }) => {
    const more = at.offset + 4 * copy * step
    if (more !== 0) code.i32(more).op("i32.add")
    code.op("i32x4.splat")
  }, { varying: step !== 0 })
  return step === 0 ? splat : i.add(splat, words([0, step, 2 * step, 3 * step]))
}

/** Writes the store of an encoded Value that `writer` has in locals, for one copy. */
export const store = (writer: Writer, address: Address, dtype: DType, value: Value, copy: number): void => {
  const { base, offset, step } = address
  const { code } = writer
  const width = widthOf(dtype)
  const bytes = DTypes.byteSize(dtype)
  const at = offset + 4 * copy * step
  const partial = writer.partial
  const lane = (k: number) => {
    writer.get(base, copy)
    const away = toOffset(code, at + k * step)
    writer.get(value, copy)
    code.memoryLane(width.storeLane, k, away)
  }
  const all = () => {
    if (step === bytes) {
      writer.get(base, copy).get(value, copy)
      width.storeFour(code, at)
    } else for (let k = 0; k < 4; k++) lane(k)
  }
  if (step === 0) return lane(0)
  if (partial === undefined) return all()
  code.get(partial.count).i32(4).op("i32.eq").if(all, () => {
    code.block((exit) => {
      lane(0)
      for (let k = 1; k < 3; k++) {
        code.get(partial.count).i32(k).op("i32.le_s").brIf(exit)
        lane(k)
      }
    })
  })
}
