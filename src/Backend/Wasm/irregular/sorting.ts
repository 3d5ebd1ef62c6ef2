/**
 * Sorting: every line becomes a list of entries, a key and a position, which a radix sort by bytes (an insertion sort, if
 * they are few) brings into order; then all operands are. Both sorts are stable, so that several keys are sorted by one
 * after the other, the first key last.
 *
 * A *key* is an unsigned number that is ordered as the elements are: nan last, -0 and 0 alike.
 */
import type { EquationOf } from "../../../Program/Program.ts"
import type { DType } from "../../../Tensor/DType.ts"
import * as DTypes from "../../../Tensor/DType.ts"
import * as Shape from "../../../Tensor/Shape.ts"
import type { Local } from "../assembler/index.ts"
import type { Emission, Emitted } from "../emission.ts"
import type { Irregular, Operand } from "../ir.ts"
import { Builder, isConstant } from "./Builder.ts"
import { numbersOf } from "./numbers.ts"
import { loadBits, storeBits } from "./walk.ts"

/** Lines of fewer entries are sorted by insertion. */
const few = 32

/** The bytes of a key in which elements of a dtype differ, as shifts. */
const digits = (dtype: DType): ReadonlyArray<number> => {
  switch (dtype) {
    case "bool":
    case "int8":
    case "uint8":
      return [0]
    case "bfloat16":
      return [16, 24]
    case "float16":
      return [8, 16, 24]
    default:
      return [0, 8, 16, 24]
  }
}

/** Pushes the key of the element whose address is on the stack. */
const pushKey = (b: Builder, dtype: DType): void => {
  const c = b.code
  numbersOf(b.emission, dtype).load(c)
  if (dtype === "int32") c.i32(-2147483648).op("i32.xor")
  else if (dtype === "int8") c.i32(0x80).op("i32.xor").i32(0xff).op("i32.and")
  else if (DTypes.isFloat(dtype)) {
    const x = c.local("f32", "x")
    const bits = c.local("i32", "bits")
    // -0 + 0 = 0. The bits of negative numbers are in the opposite order.
    c.f32(0).op("f32.add").tee(x).op("i32.reinterpret_f32").tee(bits)
    c.get(bits).i32(31).op("i32.shr_s").i32(-2147483648).op("i32.or").op("i32.xor")
    c.i32(-1).get(x).get(x).op("f32.eq").op("select")
  }
}

/** One line of elements: the address of its first, and the step between two. */
interface Line {
  readonly address: Local
  readonly step: number
}

/** Lists of entries of a line of `n`: a position at 0, a key at 4. */
class Entries {
  readonly #b: Builder
  readonly #n: number
  /** The entries, room for as many, and counts of digits. */
  #list: Local
  #room: Local
  readonly #counts: Local

  constructor(b: Builder, n: number) {
    this.#b = b
    this.#n = n
    const c = b.code
    this.#list = b.scratch(n * 16 + 1024, "list")
    this.#room = c.local("i32", "room")
    this.#counts = c.local("i32", "counts")
    c.get(this.#list).i32(n * 8).op("i32.add").set(this.#room)
    c.get(this.#list).i32(n * 16).op("i32.add").set(this.#counts)
  }

  /** The list, in which entry i is at `8 * i`. */
  get list(): Local {
    return this.#list
  }

  /** Runs `body` for every entry of the list, in order; `at` is its address. */
  each(body: (at: Local, index: Local) => void, count = this.#n): void {
    const c = this.#b.code
    const at = this.#b.copyOf(this.#list, "at")
    const index = c.local("i32", "index")
    c.i32(0).set(index)
    if (count === 0) return
    c.loop((again) => {
      body(at, index)
      c.get(at).i32(8).op("i32.add").set(at)
      c.get(index).i32(1).op("i32.add").tee(index).i32(count).op("i32.lt_u").brIf(again)
    })
  }

  /** Gives the entries their positions: as they are. */
  enumerate(): void {
    const c = this.#b.code
    this.each((at, index) => c.get(at).get(index).store("i32.store"))
  }

  /** Sorts by one key; `descending` turns its order round, but not that of equal ones. */
  sortBy({ address, step }: Line, dtype: DType, descending: boolean): void {
    const c = this.#b.code
    this.each((at) => {
      c.get(at).get(address).get(at).load("i32.load").i32(step).op("i32.mul").op("i32.add")
      pushKey(this.#b, dtype)
      if (descending) c.i32(-1).op("i32.xor")
      c.store("i32.store", 4)
    })
    if (this.#n < few) this.#insert()
    else for (const shift of digits(dtype)) this.#distribute(shift)
  }

  #insert(): void {
    const c = this.#b.code
    const entry = c.local("i64", "entry")
    const key = c.local("i32", "key")
    const hole = c.local("i32", "hole")
    this.each((at) => {
      c.get(at).tee(hole).load("i32.load", 4).set(key).get(at).load("i64.load").set(entry)
      c.block((found) => {
        c.loop((again) => {
          c.get(hole).get(this.#list).op("i32.le_u").brIf(found)
          c.get(hole).i32(8).op("i32.sub").load("i32.load", 4).get(key).op("i32.le_u").brIf(found)
          c.get(hole).get(hole).i32(8).op("i32.sub").load("i64.load").store("i64.store")
          c.get(hole).i32(8).op("i32.sub").set(hole).br(again)
        })
      })
      c.get(hole).get(entry).store("i64.store")
    })
  }

  /** One pass of the radix sort: entries go where the counts of smaller digits say. */
  #distribute(shift: number): void {
    const c = this.#b.code
    const counts = this.#counts
    const slot = c.local("i32", "slot")
    const count = c.local("i32", "count")
    const sum = c.local("i32", "sum")
    const pushSlot = (at: Local) => {
      c.get(counts).get(at).load("i32.load", 4).i32(shift).op("i32.shr_u").i32(255).op("i32.and").i32(2).op("i32.shl")
      c.op("i32.add")
    }
    c.get(counts).i32(0).i32(1024).fill()
    this.each((at) => {
      pushSlot(at)
      c.tee(slot).get(slot).load("i32.load").i32(1).op("i32.add").store("i32.store")
    })
    c.get(counts).set(slot).i32(0).set(sum)
    c.loop((again) => {
      c.get(slot).load("i32.load").set(count).get(slot).get(sum).store("i32.store")
      c.get(sum).get(count).op("i32.add").set(sum)
      c.get(slot).i32(4).op("i32.add").tee(slot).get(counts).i32(1024).op("i32.add").op("i32.ne").brIf(again)
    })
    this.each((at) => {
      pushSlot(at)
      c.tee(slot).load("i32.load").set(count)
      c.get(slot).get(count).i32(1).op("i32.add").store("i32.store")
      c.get(this.#room).get(count).i32(8).op("i32.mul").op("i32.add").get(at).load("i64.load").store("i64.store")
    })
    const list = this.#list
    this.#list = this.#room
    this.#room = list
  }
}

/** How long sorting a line takes, in nanoseconds. */
const timeOf = (n: number, dtype: DType): number =>
  n < few ? n * n / 2 : 300 * digits(dtype).length + n * 4 * digits(dtype).length

/** Sorts operands along an axis. A unit is a line. */
export const sort = (e: Emission, { inputs, name, outputs }: Irregular, equation: EquationOf<"sort">): Emitted => {
  const b = new Builder(e, name)
  const c = b.code
  const { dimension, num_keys: numKeys } = equation.params
  const shape = equation.inputs[0].aval.shape
  const n = shape[dimension]
  const inner = Shape.size(shape.slice(dimension + 1))
  const lines = n === 0 ? 0 : Shape.size(shape.slice(0, dimension)) * inner
  const first = c.local("i32", "first")
  const arrays = inputs.map((x, i) => ({ x, from: b.address(x, `x${i}`), to: b.address(outputs[i], `out${i}`) }))
  const lineOf = (operand: Operand, address: Local): Line => {
    const width = isConstant(operand) ? 0 : DTypes.byteSize(operand.dtype)
    const line = c.local("i32", "line")
    c.get(address).get(first).i32(width).op("i32.mul").op("i32.add").set(line)
    return { address: line, step: inner * width }
  }
  const entries = new Entries(b, n)
  b.units((unit) => {
    // (line / inner) * n * inner + line % inner
    c.get(unit).i32(inner).op("i32.div_u").i32(n * inner).op("i32.mul")
    c.get(unit).i32(inner).op("i32.rem_u").op("i32.add").set(first)
    entries.enumerate()
    for (const { from, x } of arrays.slice(0, numKeys).toReversed()) entries.sortBy(lineOf(x, from), x.dtype, false)
    arrays.forEach(({ from, to, x }, k) => {
      const width = DTypes.byteSize(x.dtype)
      const source = lineOf(x, from)
      const target = lineOf(outputs[k], to)
      entries.each((at) => {
        c.get(target.address).get(source.address).get(at).load("i32.load").i32(source.step).op("i32.mul").op("i32.add")
        storeBits(loadBits(c, width), width)
        c.get(target.address).i32(target.step).op("i32.add").set(target.address)
      })
    })
  })
  const line = inputs.slice(0, numKeys).reduce((t, x) => t + timeOf(n, x.dtype), 0) + n * inputs.length * 2
  return b.emitted(lines, lines * line)
}

/** The largest elements along the last axis, and where they are. A unit is a line. */
export const topK = (
  e: Emission,
  { inputs: [x], name, outputs: [values, indices] }: Irregular,
  equation: EquationOf<"top_k">
): Emitted => {
  const b = new Builder(e, name)
  const c = b.code
  const shape = equation.inputs[0].aval.shape
  const n = shape[shape.length - 1]
  const { k } = equation.params
  const lines = n === 0 || k === 0 ? 0 : Shape.size(shape.slice(0, -1))
  const width = DTypes.byteSize(x.dtype)
  const step = isConstant(x) ? 0 : width
  const source = b.address(x, "x")
  const [toValues, toIndices] = [b.address(values, "values"), b.address(indices, "indices")]
  const address = c.local("i32", "line")
  const value = c.local("i32", "value")
  const place = c.local("i32", "place")
  const entries = new Entries(b, n)
  b.units((unit) => {
    c.get(source).get(unit).i32(n * step).op("i32.mul").op("i32.add").set(address)
    entries.enumerate()
    entries.sortBy({ address, step }, x.dtype, true)
    c.get(toValues).get(unit).i32(k * width).op("i32.mul").op("i32.add").set(value)
    c.get(toIndices).get(unit).i32(k * 4).op("i32.mul").op("i32.add").set(place)
    entries.each((at) => {
      c.get(value).get(address).get(at).load("i32.load").i32(step).op("i32.mul").op("i32.add")
      storeBits(loadBits(c, width), width)
      c.get(place).get(at).load("i32.load").store("i32.store")
      c.get(value).i32(width).op("i32.add").set(value).get(place).i32(4).op("i32.add").set(place)
    }, k)
  })
  return b.emitted(lines, lines * (timeOf(n, x.dtype) + n * 2 + k * 2))
}
