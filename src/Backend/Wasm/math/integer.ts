/**
 * What WebAssembly's vectors lack for integers: division (in doubles, which hold all quotients), shifts by lanes, bit
 * counts. Results for 0 and overflow are XLA's.
 */
import { call, type Helper, lanewise } from "./helper.ts"
import { b, d, i, i32, plain, u, type Value } from "./value.ts"

const quotient = (name: string, widen: "s" | "u"): Helper => ({
  name,
  arity: 2,
  cost: 25,
  formula: (x, y) => {
    const half = (a: Value, c: Value) => {
      const convert = (v: Value) => plain(`f64x2.convert_low_i32x4_${widen}`, v)
      return plain(`i32x4.trunc_sat_f64x2_${widen}_zero`, d.div(convert(a), convert(c)))
    }
    const upper = (v: Value) => b.shuffle(v, v, [2, 3, 2, 3])
    const q = b.shuffle(half(x, y), half(upper(x), upper(y)), [0, 1, 4, 5])
    // The lowest number by -1 is itself.
    const wrapped = widen === "s" ? b.select(i.eq(y, -1), i.neg(x), q) : q
    return b.or(wrapped, i.eq(y, 0))
  }
})
const signedQuotient = quotient("div_s", "s")
const unsignedQuotient = quotient("div_u", "u")

/** Towards zero; by zero all bits are 1. */
export const divSigned = (x: Value, y: Value): Value => call(signedQuotient, x, y)
export const divUnsigned = (x: Value, y: Value): Value => call(unsignedQuotient, x, y)
/** By zero the dividend. */
export const remSigned = (x: Value, y: Value): Value => i.sub(x, i.mul(divSigned(x, y), y))
export const remUnsigned = (x: Value, y: Value): Value => i.sub(x, i.mul(divUnsigned(x, y), y))

const left = lanewise("shl", 2, (code, [x, y]) => code.get(x).get(y).op("i32.shl"))
const right = lanewise("shr_s", 2, (code, [x, y]) => code.get(x).get(y).op("i32.shr_s"))
const rightLogical = lanewise("shr_u", 2, (code, [x, y]) => code.get(x).get(y).op("i32.shr_u"))
const popcnt = lanewise("popcnt", 1, (code, [x]) => code.get(x).op("i32.popcnt"))
const clz = lanewise("clz", 1, (code, [x]) => code.get(x).op("i32.clz"))

/** All bits where it is no shift within the width. Negative ones are not. */
const isFar = (by: Value, bits: number): Value => u.ge(by, bits)
const isNear = (by: number, bits: number): boolean => by >= 0 && by < bits

/** Shifts of values of so many bits; beyond the width they give 0, or the sign. */
export const shiftLeft = (x: Value, by: Value, bits: number): Value => {
  if (by.word === undefined) return b.andnot(call(left, x, by), isFar(by, bits))
  return isNear(by.word, bits) ? i.shl(x, by.word) : i32(0)
}
/** Narrow signed values are sign-extended. */
export const shiftRight = (x: Value, by: Value, bits: number): Value => {
  if (by.word === undefined) return call(right, x, b.select(isFar(by, bits), i32(31), by))
  return i.shr(x, isNear(by.word, bits) ? by.word : 31)
}
/** x is without bits beyond the width. */
export const shiftRightLogical = (x: Value, by: Value, bits: number): Value => {
  if (by.word === undefined) return b.andnot(call(rightLogical, x, by), isFar(by, bits))
  return isNear(by.word, bits) ? u.shr(x, by.word) : i32(0)
}

/** How many bits are set. */
export const populationCount = (x: Value): Value => call(popcnt, x)
/** How many zeros stand before the first bit that is set, in so many bits. */
export const leadingZeros = (x: Value, bits: number): Value => i.sub(call(clz, x), 32 - bits)
