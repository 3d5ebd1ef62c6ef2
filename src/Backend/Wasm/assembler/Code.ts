/**
 * The body of one function: instructions in a list, written through methods that read like the text format. It encodes
 * to bytes and prints as text.
 *
 * ```text
 * const c = new Code([i32, i32], [])           // two parameters
 * const i = c.local("i32", "i")
 * c.for(i, begin, end, 4, () => {
 *   c.get(out).get(i).op("i32.add")
 *   c.get(x).load("v128.load", 16).get(y).op("f32x4.mul")
 *   c.store("v128.store")
 * })
 * ```
 */
import type { Bytes } from "./Bytes.ts"
import { type Lane, type LaneMemory, type Memory, opcodes, type Plain } from "./opcodes.ts"

/** The type of a value on the stack. */
export type ValueType = "i32" | "i64" | "f32" | "f64" | "v128"

const typeCodes: Readonly<Record<ValueType, number>> = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c, v128: 0x7b }

/** The byte of a value type. */
export const typeCode = (type: ValueType): number => typeCodes[type]

/** A local variable or parameter of a function. */
export interface Local {
  readonly index: number
  readonly type: ValueType
  readonly name: string
}

/** A function that can be called: its place is known when the module is written. */
export interface Callable {
  readonly name: string
  readonly params: ReadonlyArray<ValueType>
  readonly results: ReadonlyArray<ValueType>
}

/** One instruction. */
type Instruction =
  | { readonly op: Plain }
  | { readonly op: Memory; readonly offset: number }
  | { readonly op: LaneMemory; readonly offset: number; readonly lane: number }
  | { readonly op: Lane; readonly lane: number }
  | { readonly op: "local.get" | "local.set" | "local.tee"; readonly local: Local }
  | { readonly op: "call"; readonly target: Callable }
  | { readonly op: "i32.const" | "f32.const" | "f64.const"; readonly value: number }
  | { readonly op: "i64.const"; readonly value: bigint }
  | { readonly op: "v128.const"; readonly bytes: Uint8Array }
  | { readonly op: "i8x16.shuffle"; readonly lanes: ReadonlyArray<number> }
  | { readonly op: "block" | "loop" | "if"; readonly type: ValueType | undefined }
  | { readonly op: "else" | "end" | "memory.fill" | "memory.copy" }
  | { readonly op: "br" | "br_if"; readonly depth: number }

/** A function body that grows. */
export class Code {
  readonly params: ReadonlyArray<Local>
  readonly results: ReadonlyArray<ValueType>
  readonly #locals: Array<Local> = []
  readonly #instructions: Array<Instruction> = []
  /** How many blocks are open here. */
  #depth = 0

  constructor(
    params: ReadonlyArray<readonly [name: string, type: ValueType]>,
    results: ReadonlyArray<ValueType> = []
  ) {
    this.params = params.map(([name, type], index) => ({ index, type, name }))
    this.results = results
  }

  /** A new local variable; it is zero at the start of the function. */
  local(type: ValueType, name = `${type}_${this.#locals.length}`): Local {
    const local = { index: this.params.length + this.#locals.length, type, name }
    this.#locals.push(local)
    return local
  }

  #push(instruction: Instruction): this {
    this.#instructions.push(instruction)
    return this
  }

  op(op: Plain): this {
    return this.#push({ op })
  }
  get(local: Local): this {
    return this.#push({ op: "local.get", local })
  }
  set(local: Local): this {
    return this.#push({ op: "local.set", local })
  }
  tee(local: Local): this {
    return this.#push({ op: "local.tee", local })
  }
  call(target: Callable): this {
    return this.#push({ op: "call", target })
  }
  i32(value: number): this {
    return this.#push({ op: "i32.const", value })
  }
  i64(value: bigint): this {
    return this.#push({ op: "i64.const", value })
  }
  f32(value: number): this {
    return this.#push({ op: "f32.const", value })
  }
  f64(value: number): this {
    return this.#push({ op: "f64.const", value })
  }
  /** A vector of four equal 32-bit words, given by their bits. */
  v128(word: number): this {
    return this.#push({ op: "v128.const", bytes: new Uint8Array(Uint32Array.of(word, word, word, word).buffer) })
  }
  /** A load or store at the address below on the stack, plus `offset` bytes. */
  load(op: Memory, offset = 0): this {
    return this.#push({ op, offset })
  }
  store(op: Memory, offset = 0): this {
    return this.#push({ op, offset })
  }
  memoryLane(op: LaneMemory, lane: number, offset = 0): this {
    return this.#push({ op, offset, lane })
  }
  lane(op: Lane, lane: number): this {
    return this.#push({ op, lane })
  }
  /** Sixteen byte indices into two vectors. */
  shuffle(lanes: ReadonlyArray<number>): this {
    return this.#push({ op: "i8x16.shuffle", lanes })
  }
  /** Fills memory: address, byte value, count on the stack. */
  fill(): this {
    return this.#push({ op: "memory.fill" })
  }
  /** Copies memory: target, source, count on the stack. */
  copy(): this {
    return this.#push({ op: "memory.copy" })
  }

  #nested(op: "block" | "loop" | "if", type: ValueType | undefined, body: () => void): void {
    this.#push({ op, type })
    this.#depth++
    body()
    this.#depth--
  }

  /** A block; `br(exit)` inside, at any depth, leaves it. */
  block(body: (exit: Label) => void, type?: ValueType): this {
    const label = { depth: this.#depth }
    this.#nested("block", type, () => body(label))
    return this.#push({ op: "end" })
  }
  /** A loop; `br(again)` inside begins it again; falling out of its end leaves it. */
  loop(body: (again: Label) => void): this {
    const label = { depth: this.#depth }
    this.#nested("loop", undefined, () => body(label))
    return this.#push({ op: "end" })
  }
  /** If the i32 on the stack is not 0. */
  if(then: () => void, otherwise?: () => void, type?: ValueType): this {
    this.#nested("if", type, then)
    if (otherwise !== undefined) {
      this.#push({ op: "else" })
      this.#depth++
      otherwise()
      this.#depth--
    }
    return this.#push({ op: "end" })
  }
  br(label: Label): this {
    return this.#push({ op: "br", depth: this.#depth - label.depth - 1 })
  }
  brIf(label: Label): this {
    return this.#push({ op: "br_if", depth: this.#depth - label.depth - 1 })
  }

  /** `for (; i + step <= end; i += step) body()`, with `i` as it is now, and `end` a local. `step` is positive. */
  while(i: Local, end: Local, step: number, body: () => void): this {
    return this.block((exit) => {
      this.loop((again) => {
        this.get(i)
        if (step !== 1) this.i32(step).op("i32.add")
        this.get(end).op(step === 1 ? "i32.ge_s" : "i32.gt_s").brIf(exit)
        body()
        this.get(i).i32(step).op("i32.add").set(i).br(again)
      })
    })
  }

  /** Writes the body: locals and instructions. `indexOf` numbers the functions. */
  encode(body: Bytes, indexOf: (target: Callable) => number): void {
    const groups: Array<[count: number, type: ValueType]> = []
    for (const { type } of this.#locals) {
      const last = groups.at(-1)
      if (last !== undefined && last[1] === type) last[0]++
      else groups.push([1, type])
    }
    body.unsigned(groups.length)
    for (const [count, type] of groups) body.unsigned(count).byte(typeCode(type))
    for (const instruction of this.#instructions) encode(body, instruction, indexOf)
    body.byte(0x0b)
  }

  /** The body in the text format, an instruction a line. */
  toString(): string {
    const lines: Array<string> = []
    let depth = 1
    for (const instruction of this.#instructions) {
      const { op } = instruction
      if (op === "end" || op === "else") depth--
      lines.push("  ".repeat(depth) + text(instruction))
      if (op === "block" || op === "loop" || op === "if" || op === "else") depth++
    }
    return lines.join("\n")
  }
}

/** A place to branch to. */
export interface Label {
  readonly depth: number
}

const control: Readonly<Record<string, number>> = {
  "block": 0x02,
  "loop": 0x03,
  "if": 0x04,
  "else": 0x05,
  "end": 0x0b,
  "br": 0x0c,
  "br_if": 0x0d,
  "local.get": 0x20,
  "local.set": 0x21,
  "local.tee": 0x22
}

const encode = (out: Bytes, i: Instruction, indexOf: (target: Callable) => number): void => {
  // Most instructions are of these two sorts.
  if ("local" in i) {
    out.byte(control[i.op]).unsigned(i.local.index)
    return
  }
  const opcode = opcodes.get(i.op)
  if (opcode !== undefined) {
    if (opcode.prefix === undefined) out.byte(opcode.code)
    else out.byte(opcode.prefix).unsigned(opcode.code)
    if ("offset" in i) out.unsigned(opcode.alignment).unsigned(i.offset)
    if ("lane" in i) out.byte(i.lane)
    return
  }
  switch (i.op) {
    case "call":
      out.byte(0x10).unsigned(indexOf(i.target))
      return
    case "i32.const":
      out.byte(0x41).signed(i.value | 0)
      return
    case "i64.const":
      out.byte(0x42).signed64(i.value)
      return
    case "f32.const":
      out.byte(0x43).float32(i.value)
      return
    case "f64.const":
      out.byte(0x44).float64(i.value)
      return
    case "v128.const":
      out.byte(0xfd).unsigned(0x0c).raw(i.bytes)
      return
    case "i8x16.shuffle":
      out.byte(0xfd).unsigned(0x0d).raw(Uint8Array.from(i.lanes))
      return
    case "block":
    case "loop":
    case "if":
      out.byte(control[i.op]).byte(i.type === undefined ? 0x40 : typeCode(i.type))
      return
    case "else":
    case "end":
      out.byte(control[i.op])
      return
    case "br":
    case "br_if":
      out.byte(control[i.op]).unsigned(i.depth)
      return
    case "memory.copy":
      out.byte(0xfc).unsigned(10).byte(0).byte(0)
      return
    case "memory.fill":
      out.byte(0xfc).unsigned(11).byte(0)
      return
  }
  throw new Error(`the assembler does not know the instruction ${i.op}`)
}

const text = (i: Instruction): string => {
  switch (i.op) {
    case "local.get":
    case "local.set":
    case "local.tee":
      return `${i.op} $${i.local.name}`
    case "call":
      return `call $${i.target.name}`
    case "i32.const":
    case "i64.const":
    case "f32.const":
    case "f64.const":
      return `${i.op} ${i.value}`
    case "v128.const":
      return `v128.const i8x16 ${i.bytes.join(" ")}`
    case "i8x16.shuffle":
      return `i8x16.shuffle ${i.lanes.join(" ")}`
    case "block":
    case "loop":
    case "if":
      return i.type === undefined ? i.op : `${i.op} (result ${i.type})`
    case "br":
    case "br_if":
      return `${i.op} ${i.depth}`
  }
  const offset = "offset" in i && i.offset > 0 ? ` offset=${i.offset}` : ""
  const lane = "lane" in i ? ` ${i.lane}` : ""
  return i.op + offset + lane
}
