/**
 * Vector formulas as data: a `Value` is what a WebAssembly instruction computes from other Values, nothing more. The
 * functions of this folder build Values from Values, so they read like their formulas; `writer.ts` turns them into
 * instructions, each written once for all its users, in the outermost loop in which it does not change.
 *
 * A number among the operands is a constant: a float for `f`, a 32-bit word for `i`, `u` and `b`, a double for `d`.
 */
import type { Code, Local, Plain } from "../assembler/index.ts"
import type { Emission } from "../emission.ts"

/** Where the lanes that do not count begin, in the last vector of a line. */
export interface Partial {
  /** How many lanes count, 1 to 4. */
  readonly count: Local
  /** All bits in the lanes that count. */
  readonly mask: Local
}

/** What a Value is written with. */
export interface Writing {
  readonly code: Code
  readonly emission: Emission
  /** The address of the constants. */
  readonly constants: Local
  /** Which of the vectors that are computed side by side. */
  readonly copy: number
  readonly partial: Partial | undefined
  /** Pushes a Value that is an argument. */
  readonly get: (value: Value) => void
}

/** What the writer knows of a Value at the moment: kept with it, since looking it up would take most of the time. */
export interface Notes {
  /** The traversal that saw it last, and what it counted. */
  traversal: number
  isSeen: boolean
  uses: number
  pinned: boolean
  /** How many Values it holds on the stack while it is written. */
  depth: number
  kept: Kept | undefined
}

/** A Value in locals: one for every copy, and how many uses are left before they are free again. */
export interface Kept {
  readonly locals: Array<Local>
  readonly left: Array<number>
  readonly pinned: boolean
}

/** Something computed: four lanes of 32 bits (or two of 64), or an address. */
export interface Value {
  readonly type: "v128" | "i32"
  readonly args: ReadonlyArray<Value>
  /** The loop, counted from the outside, in which it changes; 0 where it never does. */
  readonly level: number
  /** Does it differ between the vectors that are computed side by side? */
  readonly varying: boolean
  /** About how many cycles it takes. */
  readonly cost: number
  /** Is it so cheap that every use writes it anew? */
  readonly again: boolean
  /** Does it fetch its arguments itself? Otherwise they are on the stack. */
  readonly structured: boolean
  /** The word that a constant has in every lane. */
  readonly word: number | undefined
  readonly write: (to: Writing) => void
  readonly notes: Notes
}

/** A Value from its arguments. */
export const node = (
  args: ReadonlyArray<Value>,
  write: (to: Writing) => void,
  rest: { readonly [K in "type" | "level" | "varying" | "cost" | "again" | "structured" | "word"]?: Value[K] } = {}
): Value => {
  let level = rest.level ?? 0
  let varying = rest.varying ?? false
  for (const arg of args) {
    if (arg.level > level) level = arg.level
    if (arg.varying) varying = true
  }
  return {
    type: rest.type ?? "v128",
    args,
    level,
    varying,
    cost: rest.cost ?? 1,
    again: rest.again ?? false,
    structured: rest.structured ?? false,
    word: rest.word,
    write,
    notes: { traversal: 0, isSeen: false, uses: 0, pinned: false, depth: 0, kept: undefined }
  }
}

/** An operand of a formula. */
export type Operand = Value | number

const numbers = new DataView(new ArrayBuffer(8))

/** The bits of the float32 nearest to a number. */
export const floatBits = (x: number): number => {
  numbers.setFloat32(0, x)
  return numbers.getInt32(0)
}

/**
 * The same word in every lane: loaded from memory before the loops, which is faster in V8 than a constant in the code,
 * and than loading it in the loops.
 */
export const word = (bits: number): Value =>
  node([], ({ code, constants, emission }) => {
    code.get(constants).load("v128.load32_splat", emission.constants.word(bits))
  }, { cost: 0.5, word: bits | 0 })

/** Four words. */
export const words = (bits: ReadonlyArray<number>): Value =>
  node([], ({ code, constants, emission }) => {
    code.get(constants).load("v128.load", emission.constants.words(bits))
  }, { cost: 0.5 })

/** The same double in both lanes. */
const double = (x: number): Value =>
  node([], ({ code, constants, emission }) => {
    numbers.setFloat64(0, x)
    const offset = emission.constants.words([numbers.getInt32(4), numbers.getInt32(0)])
    code.get(constants).load("v128.load64_splat", offset)
  }, { again: true, cost: 0.5 })

const asFloat = (x: Operand): Value => typeof x === "number" ? word(floatBits(x)) : x
const asWord = (x: Operand): Value => typeof x === "number" ? word(x) : x
const asDouble = (x: Operand): Value => typeof x === "number" ? double(x) : x

/** Cycles of instructions that take more than one. */
const costs: ReadonlyMap<Plain, number> = new Map<Plain, number>([
  ["f32x4.div", 5],
  ["f32x4.sqrt", 6],
  ["f32x4.max", 5],
  ["f32x4.min", 5],
  ["f64x2.div", 5],
  ["f64x2.sqrt", 8],
  ["i32x4.mul", 2],
  ["i64x2.mul", 5]
])

/** One instruction without immediates. */
export const plain = (op: Plain, ...args: ReadonlyArray<Value>): Value =>
  node(args, ({ code }) => code.op(op), { cost: costs.get(op) ?? 1 })

type Unary = (x: Operand) => Value
type Binary = (x: Operand, y: Operand) => Value
type As = (x: Operand) => Value

const unary = (as: As, op: Plain): Unary => (x) => plain(op, as(x))
const binary = (as: As, op: Plain): Binary => (x, y) => plain(op, as(x), as(y))

type Shift = "i32x4.shl" | "i32x4.shr_s" | "i32x4.shr_u" | "i64x2.shl" | "i64x2.shr_s"
const shift = (op: Shift) => (x: Operand, by: number): Value => node([asWord(x)], ({ code }) => code.i32(by).op(op))

/**
 * a * b + c, rounded once where the engine can, else twice. Only for approximations that are within their bounds either
 * way, never where a result is exact.
 */
const madd = (as: As, fused: Plain, times: Plain, plus: Plain) => (x: Operand, y: Operand, z: Operand): Value => {
  const [a, b, c] = [as(x), as(y), as(z)]
  return node([a, b, c], ({ code, emission, get }) => {
    get(a)
    get(b)
    if (!emission.features.relaxed) code.op(times)
    get(c)
    code.op(emission.features.relaxed ? fused : plus)
  }, { structured: true, cost: 1.5 })
}

/** c - a * b, as `madd`. */
const nmadd = (as: As, fused: Plain, times: Plain, minus: Plain) => (x: Operand, y: Operand, z: Operand): Value => {
  const [a, b, c] = [as(x), as(y), as(z)]
  return node([a, b, c], ({ code, emission, get }) => {
    if (!emission.features.relaxed) get(c)
    get(a)
    get(b)
    if (emission.features.relaxed) get(c)
    else code.op(times)
    code.op(emission.features.relaxed ? fused : minus)
  }, { structured: true, cost: 1.5 })
}

/** Four floats. */
export const f = {
  add: binary(asFloat, "f32x4.add"),
  sub: binary(asFloat, "f32x4.sub"),
  mul: binary(asFloat, "f32x4.mul"),
  div: binary(asFloat, "f32x4.div"),
  madd: madd(asFloat, "f32x4.relaxed_madd", "f32x4.mul", "f32x4.add"),
  nmadd: nmadd(asFloat, "f32x4.relaxed_nmadd", "f32x4.mul", "f32x4.sub"),
  sqrt: unary(asFloat, "f32x4.sqrt"),
  abs: unary(asFloat, "f32x4.abs"),
  neg: unary(asFloat, "f32x4.neg"),
  floor: unary(asFloat, "f32x4.floor"),
  ceil: unary(asFloat, "f32x4.ceil"),
  trunc: unary(asFloat, "f32x4.trunc"),
  nearest: unary(asFloat, "f32x4.nearest"),
  /** The larger, nan if one of them is; slow. */
  max: binary(asFloat, "f32x4.max"),
  min: binary(asFloat, "f32x4.min"),
  /** `x < y ? y : x`: the first if one is nan. */
  pmax: binary(asFloat, "f32x4.pmax"),
  /** `y < x ? y : x`: the first if one is nan. */
  pmin: binary(asFloat, "f32x4.pmin"),
  eq: binary(asFloat, "f32x4.eq"),
  ne: binary(asFloat, "f32x4.ne"),
  lt: binary(asFloat, "f32x4.lt"),
  gt: binary(asFloat, "f32x4.gt"),
  le: binary(asFloat, "f32x4.le"),
  ge: binary(asFloat, "f32x4.ge"),
  /** From signed and from unsigned integers. */
  signed: unary(asWord, "f32x4.convert_i32x4_s"),
  unsigned: unary(asWord, "f32x4.convert_i32x4_u")
} as const

/** Four 32-bit integers; signed where it matters. */
export const i = {
  add: binary(asWord, "i32x4.add"),
  sub: binary(asWord, "i32x4.sub"),
  mul: binary(asWord, "i32x4.mul"),
  neg: unary(asWord, "i32x4.neg"),
  abs: unary(asWord, "i32x4.abs"),
  min: binary(asWord, "i32x4.min_s"),
  max: binary(asWord, "i32x4.max_s"),
  eq: binary(asWord, "i32x4.eq"),
  ne: binary(asWord, "i32x4.ne"),
  lt: binary(asWord, "i32x4.lt_s"),
  gt: binary(asWord, "i32x4.gt_s"),
  le: binary(asWord, "i32x4.le_s"),
  ge: binary(asWord, "i32x4.ge_s"),
  shl: shift("i32x4.shl"),
  shr: shift("i32x4.shr_s"),
  /** From floats: towards zero, as near as possible, nan to 0. */
  saturated: unary(asFloat, "i32x4.trunc_sat_f32x4_s")
} as const

/** Four unsigned 32-bit integers. */
export const u = {
  min: binary(asWord, "i32x4.min_u"),
  max: binary(asWord, "i32x4.max_u"),
  lt: binary(asWord, "i32x4.lt_u"),
  gt: binary(asWord, "i32x4.gt_u"),
  le: binary(asWord, "i32x4.le_u"),
  ge: binary(asWord, "i32x4.ge_u"),
  shr: shift("i32x4.shr_u"),
  /** From floats, as `i.saturated`. */
  saturated: unary(asFloat, "i32x4.trunc_sat_f32x4_u")
} as const

/** 128 bits. */
export const b = {
  and: binary(asWord, "v128.and"),
  or: binary(asWord, "v128.or"),
  xor: binary(asWord, "v128.xor"),
  /** x and not y. */
  andnot: binary(asWord, "v128.andnot"),
  not: unary(asWord, "v128.not"),
  /** By whole lanes: the mask has all their bits or none. */
  select: (mask: Value, yes: Operand, no: Operand): Value =>
    node([asFloat(yes), asFloat(no), mask], ({ code, emission: { features } }) => {
      // One instruction instead of three; V8 does not widen it.
      code.op(features.relaxed && !features.wide ? "i32x4.relaxed_laneselect" : "v128.bitselect")
    }, { cost: 1.5 }),
  shuffle: (x: Value, y: Value, lanes: ReadonlyArray<number>): Value =>
    node([x, y], ({ code }) => code.shuffle(bytesOf(lanes)))
} as const

/** Two doubles, or two 64-bit integers. */
export const d = {
  add: binary(asDouble, "f64x2.add"),
  sub: binary(asDouble, "f64x2.sub"),
  mul: binary(asDouble, "f64x2.mul"),
  div: binary(asDouble, "f64x2.div"),
  sqrt: unary(asDouble, "f64x2.sqrt"),
  abs: unary(asDouble, "f64x2.abs"),
  neg: unary(asDouble, "f64x2.neg"),
  floor: unary(asDouble, "f64x2.floor"),
  trunc: unary(asDouble, "f64x2.trunc"),
  nearest: unary(asDouble, "f64x2.nearest"),
  pmax: binary(asDouble, "f64x2.pmax"),
  pmin: binary(asDouble, "f64x2.pmin"),
  eq: binary(asDouble, "f64x2.eq"),
  ne: binary(asDouble, "f64x2.ne"),
  lt: binary(asDouble, "f64x2.lt"),
  gt: binary(asDouble, "f64x2.gt"),
  le: binary(asDouble, "f64x2.le"),
  ge: binary(asDouble, "f64x2.ge"),
  select: (mask: Value, yes: Operand, no: Operand): Value =>
    node([asDouble(yes), asDouble(no), mask], ({ code }) => code.op("v128.bitselect"), { cost: 1.5 }),
  or: binary(asDouble, "v128.or"),
  and: binary(asDouble, "v128.and"),
  shl: shift("i64x2.shl"),
  shr: shift("i64x2.shr_s"),
  addBits: binary(asDouble, "i64x2.add"),
  subBits: binary(asDouble, "i64x2.sub"),
  /** The bits of a double as a constant. */
  bits: (high: number, low: number): Value =>
    node([], ({ code, constants, emission }) => {
      code.get(constants).load("v128.load64_splat", emission.constants.words([low, high]))
    }, { again: true, cost: 0.5 })
} as const

/** a * b + c in doubles, of the lower two floats of each. */
const inDouble = (code: Code, push: ReadonlyArray<() => void>): void => {
  push[0]()
  code.op("f64x2.promote_low_f32x4")
  push[1]()
  code.op("f64x2.promote_low_f32x4").op("f64x2.mul")
  push[2]()
  code.op("f64x2.promote_low_f32x4").op("f64x2.add").op("f32x4.demote_f64x2_zero")
}

const bytesOf = (lanes: ReadonlyArray<number>): ReadonlyArray<number> =>
  lanes.flatMap((lane) => [0, 1, 2, 3].map((k) => 4 * lane + k))

/** a * b + c, rounded once (where the engine has no such instruction, nearly always: it is rounded to a double first). */
export const fma = (x: Operand, y: Operand, z: Operand): Value => {
  const args = [asFloat(x), asFloat(y), asFloat(z)]
  // Both twice: so they are in locals.
  return node([...args, ...args], ({ code, emission, get }) => {
    if (emission.features.fused === true) {
      for (const arg of args) get(arg)
      code.op("f32x4.relaxed_madd")
      return
    }
    inDouble(code, args.map((arg) => () => get(arg)))
    inDouble(
      code,
      args.map((arg) => () => {
        get(arg)
        get(arg)
        code.shuffle(bytesOf([2, 3, 2, 3]))
      })
    )
    code.shuffle(bytesOf([0, 1, 4, 5]))
  }, { structured: true, cost: 8 })
}

/** Σ coefficients[k] · x^(n-k): highest power first, by Horner's rule. */
export const polynomial = (x: Value, coefficients: ReadonlyArray<number>): Value => {
  let sum: Operand = coefficients[0]
  for (let k = 1; k < coefficients.length; k++) sum = f.madd(sum, x, coefficients[k])
  return asFloat(sum)
}

/**
 * The same in doubles, even and odd powers apart: their sums need not wait for each other, and the doubles of a helper
 * have little else to do.
 */
export const polynomialInDoubles = (x: Value, coefficients: ReadonlyArray<number>): Value => {
  const square = d.mul(x, x)
  const horner = (from: number): Value => {
    let sum: Operand = coefficients[from]
    for (let k = from + 2; k < coefficients.length; k += 2) sum = d.add(d.mul(sum, square), coefficients[k])
    return asDouble(sum)
  }
  const isOdd = coefficients.length % 2 === 0
  const [even, odd] = isOdd ? [horner(1), horner(0)] : [horner(0), horner(1)]
  return d.add(even, d.mul(odd, x))
}

/** The sign bit of every float. */
export const signOf = (x: Value): Value => b.and(x, -0x80000000)

/** x, which is not negative, with the sign of y. */
export const withSign = (x: Value, y: Value): Value => b.or(x, signOf(y))

/** What a local variable holds. */
export const held = (local: Local, level = 0): Value =>
  node([], ({ code }) => code.get(local), { type: local.type === "i32" ? "i32" : "v128", again: true, cost: 0, level })

/** The same float in every lane. */
export const f32 = (x: number): Value => word(floatBits(x))

/** The same integer in every lane. */
export const i32 = (x: number): Value => word(x)
