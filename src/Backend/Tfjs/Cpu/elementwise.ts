/**
 * Elementwise kernels. The four operations and comparisons have loops of their own, which JavaScript engines compile to
 * straight code; the rest goes through `map1` and `map2`. Integers wrap because that is what storing into their arrays
 * does.
 */
import type { EquationOf } from "../../../Program/Program.ts"
import type { DType } from "../../../Tensor/DType.ts"
import * as DTypes from "../../../Tensor/DType.ts"
import * as float16 from "../../../Tensor/float16.ts"
import type { Params } from "../../../Tensor/lax/elementwise.ts"
import { arithmetic } from "./arithmetic.ts"
import { allocate, type CpuKernels, type CpuRun, isHalf, outputOf } from "./arrays.ts"
import * as special from "./special.ts"
import type { functions } from "./tensorflow.ts"

type Elementwise = Exclude<keyof Params, "copy" | "stop_gradient" | keyof ReturnType<typeof functions>>

/** What an elementwise equation is to a kernel that does not look at its parameters. */
type Plain = Pick<EquationOf<"neg">, "inputs" | "outputs">

const dtypeOf = (equation: Plain): DType => equation.inputs[0].aval.dtype

type Unary = (x: number) => number
type Binary = (x: number, y: number) => number

/** A kernel that applies a function to every element. */
const map1 = (f: Unary) => (equation: Plain): CpuRun => ([x]) => {
  const out = outputOf(equation)
  for (let i = 0; i < out.length; i++) out[i] = f(x[i])
  return [out]
}

/** A kernel that applies a function to every pair of elements. */
const map2 = (f: Binary) => (equation: Plain): CpuRun => ([x, y]) => {
  const out = outputOf(equation)
  for (let i = 0; i < out.length; i++) out[i] = f(x[i], y[i])
  return [out]
}

/** A function that is made for the width of the dtype in bits. */
const byWidth = (make: (bits: number) => Binary) => (equation: Plain) =>
  map2(make(DTypes.bits(dtypeOf(equation))))(equation)

/** Whole numbers: halves go to the even neighbour. */
const roundEven: Unary = (x) => {
  const r = Math.round(x)
  return r - x === 0.5 && r % 2 !== 0 ? r - 1 : x < 0 && r === 0 ? -0 : r
}

/** C's pow, which JavaScript's differs from where the base is 1 or -1. */
const pow: Binary = (x, y) => x === 1 || (x === -1 && Math.abs(y) === Infinity) ? 1 : x ** y

/** xⁿ by squaring. */
const integerPow = (n: number, times: Binary): Unary => (x) => {
  let result = 1
  let base = x
  for (let e = Math.abs(n); e > 0; e = Math.floor(e / 2)) {
    if (e % 2 === 1) result = times(result, base)
    base = times(base, base)
  }
  return n < 0 ? 1 / result : result
}

/** Bits of an integer of a width, as an unsigned number. */
const unsigned = (x: number, bits: number): number => bits === 32 ? x >>> 0 : x & (2 ** bits - 1)
/** The same as a signed number. */
const signed = (x: number, bits: number): number => (x << (32 - bits)) >> (32 - bits)
/** Is it no shift within a width? */
const isFar = (by: number, bits: number): boolean => by < 0 || by >= bits

const population: Unary = (x) => {
  let n = 0
  for (let rest = x >>> 0; rest !== 0; rest >>>= 1) n += rest & 1
  return n
}

/** Bits ↔ number of a floating dtype, for `nextafter`. */
const stepper = (dtype: DType): Binary => {
  const float = new Float32Array(1)
  const word = new Int32Array(float.buffer)
  const toBits = (x: number): number => {
    if (isHalf(dtype)) return float16.encode(x, dtype)
    float[0] = x
    return word[0] >>> 0
  }
  const fromBits = (bits: number): number => {
    if (isHalf(dtype)) return float16.decode(bits, dtype)
    word[0] = bits
    return float[0]
  }
  return (x, y) => {
    if (Number.isNaN(x) || Number.isNaN(y)) return Number.NaN
    if (x === y) return y
    if (x === 0) return fromBits(1) * Math.sign(y)
    return fromBits(toBits(x) + (x < y === x > 0 ? 1 : -1))
  }
}

/** Number → number of another dtype, as XLA: saturating to integers from floats, nan to 0. */
const converter = (from: DType, to: DType): Unary | undefined => {
  if (to === "bool") return (x) => x === 0 ? 0 : 1
  if (DTypes.isFloat(from) && !DTypes.isFloat(to)) {
    const { max, min } = DTypes.iinfo(to)
    return (x) => Number.isNaN(x) ? 0 : Math.min(Math.max(Math.trunc(x), min), max)
  }
  return undefined
}

const convert = (equation: EquationOf<"convert_element_type">): CpuRun => {
  const from = dtypeOf(equation)
  const to = equation.params.new_dtype
  if (from === to) return ([x]) => [x]
  const f = converter(from, to)
  if (f !== undefined) return map1(f)(equation)
  return ([x]) => {
    const out = outputOf(equation)
    out.set(x)
    return [out]
  }
}

/** The same bits as another dtype. The 16-bit floats are not held as bits, and go through them. */
const bitcast = (equation: EquationOf<"bitcast_convert_type">): CpuRun => {
  const from = dtypeOf(equation)
  const to = equation.params.new_dtype
  if (from === to) return ([x]) => [x]
  if (isHalf(from)) return map1((x) => float16.decode(float16.encode(x, from), to))(equation)
  return ([x]) => {
    const out = allocate(to, x.length)
    new Uint8Array(out.buffer).set(new Uint8Array(x.buffer, x.byteOffset, x.byteLength))
    return [out]
  }
}

const select = (equation: EquationOf<"select_n">): CpuRun => (inputs) => {
  const [which, ...cases] = inputs
  const out = outputOf(equation)
  if (cases.length === 2) {
    const [first, second] = cases
    for (let i = 0; i < out.length; i++) out[i] = which[i] > 0 ? second[i] : first[i]
  } else {
    const last = cases.length - 1
    for (let i = 0; i < out.length; i++) out[i] = cases[Math.min(Math.max(which[i], 0), last)][i]
  }
  return [out]
}

/** Kernels of the elementwise primitives that TensorFlow.js has not, or not as XLA. */
export const elementwise: CpuKernels<Elementwise> = {
  ...arithmetic,
  sign: map1(Math.sign),
  round: map1(roundEven),
  exp2: map1((x) => 2 ** x),
  cbrt: map1(Math.cbrt),
  erf: map1(special.erf),
  erfc: map1(special.erfc),
  erf_inv: map1(special.erfInv),
  lgamma: map1(special.lgamma),
  digamma: map1(special.digamma),
  integer_pow: (equation) =>
    map1(integerPow(equation.params.y, DTypes.isFloat(dtypeOf(equation)) ? (a, b) => a * b : Math.imul))(equation),
  not: (equation) => map1(dtypeOf(equation) === "bool" ? (x) => 1 - x : (x) => ~x)(equation),
  population_count: (equation) => map1((x) => population(unsigned(x, DTypes.bits(dtypeOf(equation)))))(equation),
  clz: (equation) => {
    const bits = DTypes.bits(dtypeOf(equation))
    return map1((x) => Math.clz32(unsigned(x, bits)) - (32 - bits))(equation)
  },
  convert_element_type: convert,
  bitcast_convert_type: bitcast,
  pow: map2(pow),
  atan2: map2(Math.atan2),
  nextafter: (equation) => map2(stepper(dtypeOf(equation)))(equation),
  and: map2((x, y) => x & y),
  or: map2((x, y) => x | y),
  xor: map2((x, y) => x ^ y),
  shift_left: byWidth((bits) => (x, by) => isFar(by, bits) ? 0 : x << by),
  shift_right_arithmetic: byWidth((bits) => (x, by) => signed(x, bits) >> (isFar(by, bits) ? 31 : by)),
  shift_right_logical: byWidth((bits) => (x, by) => isFar(by, bits) ? 0 : unsigned(x, bits) >>> by),
  select_n: select,
  clamp: (equation) => ([low, x, high]) => {
    const out = outputOf(equation)
    for (let i = 0; i < out.length; i++) out[i] = Math.min(Math.max(x[i], low[i]), high[i])
    return [out]
  },
  abs: map1(Math.abs)
}
