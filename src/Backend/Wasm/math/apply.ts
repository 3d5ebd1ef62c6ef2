/**
 * What every operation of the kernel language means for vectors, by dtype.
 *
 * Largest errors of functions of float32, in units in the last place of the correctly rounded result, over all
 * magnitudes and with or without fused multiplication (test/Backend/Wasm/math.test.ts holds them to it):
 *
 * ```text
 * 0   + - * / sqrt rem floor ceil round nextafter erf_inv (XLA's own polynomial, to the bit)
 * 1   exp exp2 expm1 log log1p cosh sin cos acos rsqrt cbrt pow erf lgamma digamma
 * 2   tanh logistic sinh asinh acosh atanh asin
 * 3   tan atan atan2
 * 4   erfc
 * ```
 *
 * Subnormal arguments and results are as exact as the others; nan, infinities and the signs of zeros are C's.
 */
import type { DType } from "../../../Tensor/DType.ts"
import * as DTypes from "../../../Tensor/DType.ts"
import { type Lane, laneOf, type Op } from "../ir.ts"
import { narrow } from "./dtype.ts"
import * as error from "./error.ts"
import * as exponential from "./exponential.ts"
import * as gamma from "./gamma.ts"
import * as integer from "./integer.ts"
import * as logarithm from "./logarithm.ts"
import * as powers from "./power.ts"
import { threefry } from "./random.ts"
import * as rounding from "./rounding.ts"
import * as trigonometric from "./trigonometric.ts"
import { b, f, f32, i, i32, type Operand, u, type Value } from "./value.ts"

type Meaning = (args: ReadonlyArray<Value>, dtype: DType) => Value

/** A function of one float. */
const float = (function_: (x: Value) => Value): Meaning => ([x]) => function_(x)
const float2 = (function_: (x: Value, y: Value) => Value): Meaning => ([x, y]) => function_(x, y)

type Pair = (x: Operand, y: Operand) => Value

/** An operation by lanes: of floats, signed and unsigned integers; masks go as unsigned ones. */
const lanes = (floats: Pair, signed: Pair, unsigned: Pair = signed): Meaning => ([x, y], dtype) => {
  const lane: Lane = laneOf(dtype)
  return (lane === "f32" ? floats : lane === "i32" ? signed : unsigned)(x, y)
}

const isPlainConstant = (x: Value): boolean => x.word !== undefined && x.word !== -0x80000000 && !isNanWord(x.word)
const isNanWord = (word: number): boolean => (word & 0x7fffffff) > 0x7f800000

/** The larger of two floats, nan if one of them is. Against a constant one instruction does, or two for the sign of 0. */
const maxFloat: Pair = (x, y) => {
  if (typeof x === "number" || typeof y === "number") return f.max(x, y)
  const [a, c] = isPlainConstant(y) ? [x, y] : [y, x]
  if (!isPlainConstant(c)) return f.max(x, y)
  return c.word === 0 ? f.add(f.pmax(a, c), 0) : f.pmax(a, c)
}

const minFloat: Pair = (x, y) => {
  if (typeof x === "number" || typeof y === "number") return f.min(x, y)
  const [a, c] = isPlainConstant(y) ? [x, y] : [y, x]
  return isPlainConstant(c) ? f.pmin(a, c) : f.min(x, y)
}

const max = lanes(maxFloat, i.max, u.max)
const min = lanes(minFloat, i.min, u.min)

/** Bits of a narrow signed integer without its sign extension. */
const unsignedBits = (x: Value, dtype: DType): Value => dtype === "int8" ? b.and(x, 0xff) : x
const signedBits = (x: Value, dtype: DType): Value => dtype === "uint8" ? i.shr(i.shl(x, 24), 24) : x

const meanings: { readonly [K in Op]: Meaning } = {
  neg: ([x], dtype) => laneOf(dtype) === "f32" ? f.neg(x) : i.neg(x),
  sign: ([x], dtype) => {
    switch (laneOf(dtype)) {
      case "f32":
        return rounding.sign(x)
      case "i32":
        return i.max(i.min(x, 1), -1)
      default:
        return u.min(x, 1)
    }
  },
  abs: ([x], dtype) => laneOf(dtype) === "f32" ? f.abs(x) : laneOf(dtype) === "i32" ? i.abs(x) : x,
  floor: float(f.floor),
  ceil: float(f.ceil),
  round: float(f.nearest),
  square: ([x], dtype) => laneOf(dtype) === "f32" ? f.mul(x, x) : i.mul(x, x),
  exp: float(exponential.exp),
  exp2: float(exponential.exp2),
  expm1: float(exponential.expm1),
  log: float(logarithm.log),
  log1p: float(logarithm.log1p),
  sqrt: float(powers.sqrt),
  rsqrt: float(powers.rsqrt),
  cbrt: float(powers.cbrt),
  sin: float(trigonometric.sin),
  cos: float(trigonometric.cos),
  tan: float(trigonometric.tan),
  asin: float(trigonometric.asin),
  acos: float(trigonometric.acos),
  atan: float(trigonometric.atan),
  sinh: float(exponential.sinh),
  cosh: float(exponential.cosh),
  tanh: float(exponential.tanh),
  asinh: float(logarithm.asinh),
  acosh: float(logarithm.acosh),
  atanh: float(logarithm.atanh),
  logistic: float(exponential.logistic),
  erf: float(error.erf),
  erfc: float(error.erfc),
  erf_inv: float(error.erfInv),
  lgamma: float(gamma.lgamma),
  digamma: float(gamma.digamma),
  is_finite: float((x) => f.lt(f.abs(x), Infinity)),
  not: ([x]) => b.not(x),
  population_count: ([x], dtype) => integer.populationCount(unsignedBits(x, dtype)),
  clz: ([x], dtype) => integer.leadingZeros(unsignedBits(x, dtype), DTypes.bits(dtype)),
  add: lanes(f.add, i.add),
  sub: lanes(f.sub, i.sub),
  mul: lanes(f.mul, i.mul),
  div: ([x, y], dtype) => {
    const lane = laneOf(dtype)
    return lane === "f32" ? f.div(x, y) : lane === "i32" ? integer.divSigned(x, y) : integer.divUnsigned(x, y)
  },
  rem: ([x, y], dtype) => {
    const lane = laneOf(dtype)
    return lane === "f32" ? rounding.rem(x, y) : lane === "i32" ? integer.remSigned(x, y) : integer.remUnsigned(x, y)
  },
  pow: float2(powers.pow),
  max,
  min,
  atan2: float2(trigonometric.atan2),
  nextafter: ([x, y], dtype) => {
    switch (dtype) {
      case "float16":
        return rounding.nextafterFloat16(x, y)
      case "bfloat16":
        return rounding.nextafterBfloat16(x, y)
      default:
        return rounding.nextafter(x, y)
    }
  },
  and: ([x, y]) => b.and(x, y),
  or: ([x, y]) => b.or(x, y),
  xor: ([x, y]) => b.xor(x, y),
  shift_left: ([x, y], dtype) => integer.shiftLeft(x, y, DTypes.bits(dtype)),
  shift_right_arithmetic: ([x, y], dtype) => integer.shiftRight(signedBits(x, dtype), y, DTypes.bits(dtype)),
  shift_right_logical: ([x, y], dtype) => integer.shiftRightLogical(unsignedBits(x, dtype), y, DTypes.bits(dtype)),
  eq: lanes(f.eq, i.eq),
  ne: lanes(f.ne, i.ne),
  lt: lanes(f.lt, i.lt, u.lt),
  le: lanes(f.le, i.le, u.le),
  gt: lanes(f.gt, i.gt, u.gt),
  ge: lanes(f.ge, i.ge, u.ge),
  clamp: ([low, x, high], dtype) => min([max([x, low], dtype), high], dtype),
  select: ([condition, yes, no]) => b.select(condition, yes, no),
  threefry_0: ([key0, key1, x0, x1]) => threefry(key0, key1, x0, x1)[0],
  threefry_1: ([key0, key1, x0, x1]) => threefry(key0, key1, x0, x1)[1]
}

/** Operations whose results are values of the dtype when their arguments are. */
const closed: ReadonlySet<Op> = new Set<Op>([
  "abs",
  "sign",
  "floor",
  "ceil",
  "round",
  "max",
  "min",
  "clamp",
  "select",
  "nextafter",
  "and",
  "or",
  "xor",
  "eq",
  "ne",
  "lt",
  "le",
  "gt",
  "ge",
  "is_finite"
])

/**
 * An operation on values in their lanes. `dtype` is that of the arguments (of `select`: of the cases); the result is
 * rounded or wrapped to it.
 */
export const apply = (op: Op, args: ReadonlyArray<Value>, dtype: DType): Value => {
  const result = meanings[op](args, dtype)
  if (closed.has(op) && !(op === "abs" && dtype === "int8")) return result
  return narrow(result, dtype)
}

/** xⁿ, of floats or integers. */
export const integerPower = (x: Value, n: number, dtype: DType): Value => {
  const isFloat = laneOf(dtype) === "f32"
  const over: Pair = (a, c) => {
    const [one, whole] = [typeof a === "number" ? i32(a) : a, typeof c === "number" ? i32(c) : c]
    return isFloat ? f.div(one, whole) : b.select(i.eq(whole, 0), i32(0), integer.divSigned(one, whole))
  }
  const one = isFloat ? f32(1) : i32(1)
  return narrow(powers.power(x, n, isFloat ? f.mul : i.mul, one, over), dtype)
}
