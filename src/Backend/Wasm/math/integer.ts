/**
 * What WebAssembly's vectors lack for integers: division (in doubles, which hold all quotients), shifts by lanes, bit
 * counts. Results for 0 and overflow are XLA's.
 */
import { call, type Helper, lanewise } from "./helper.ts"
import { b, d, i, type Operand, plain, type Value } from "./value.ts"

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
const clzHelper = lanewise("clz", 1, (code, [x]) => code.get(x).op("i32.clz"))

/** Is it no shift within so many bits? Negative ones are not. */
const isFar = (by: Value, bits: number): Value => plain("i32x4.ge_u", by, asConstant(bits))
const asConstant = (x: Operand): Value => i.add(x, 0)

/** Shifts of values of so many bits; beyond the width 0, or the sign. */
export const shiftLeft = (x: Value, by: Value, bits: number): Value =>
  by.word === undefined
    ? b.andnot(call(left, x, by), isFar(by, bits))
    : i.shl(x, by.word)
