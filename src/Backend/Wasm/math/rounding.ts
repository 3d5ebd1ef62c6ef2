/** Whole numbers, remainders and neighbours of floats, signs, and 16-bit floats. */
import { inDoubles } from "./double.ts"
import { call, type Helper } from "./helper.ts"
import { b, d, f, f32, i, i32, signOf, u, type Value, withSign } from "./value.ts"

/** -1, 0 or 1; zeros and nan are themselves. */
export const sign = (x: Value): Value => b.select(f.gt(f.abs(x), 0), b.or(signOf(x), f32(1)), x)

/**
 * Taking away multiples of y·2^(28k), k from 9 to 0: each time the quotient has less than 53 bits in all, so that every
 * step is exact.
 */
const remainder = (x: Value, y: Value): Value => {
  let rest = x
  for (let k = 9; k >= 0; k--) {
    const part = d.mul(y, 2 ** (28 * k))
    const less = d.sub(rest, d.mul(part, d.trunc(d.div(rest, part))))
    // The quotient may have been rounded up to a whole number.
    rest = d.add(less, d.select(d.lt(less, 0), part, 0))
  }
  return rest
}

const remHelper: Helper = {
  name: "rem",
  arity: 2,
  cost: 250,
  formula: (x, y) => {
    const [a, c] = [f.abs(x), f.abs(y)]
    const rest = b.select(f.eq(c, Infinity), a, inDoubles(remainder)(a, c))
    const defined = b.and(f.lt(a, Infinity), f.gt(c, 0))
    return b.or(withSign(rest, x), b.not(defined))
  }
}

/** C's fmod, exact: the sign of the dividend; nan for infinite dividends and zero divisors. */
export const rem = (x: Value, y: Value): Value => call(remHelper, x, y)

/** The nearest bfloat16, ties to even: adding just less than half a unit of the 16 bits kept. */
export const roundBfloat16 = (x: Value): Value => {
  const odd = b.and(u.shr(x, 16), 1)
  const nearest = b.and(i.add(i.add(x, odd), 0x7fff), -0x10000)
  return b.select(f.eq(x, x), nearest, Number.NaN)
}

/**
 * The nearest float16, ties to even: adding and taking away 2¹³ times its power of two leaves 10 bits of fraction.
 * Below 2⁻¹⁴ the power stays, above 65504 all is infinite.
 */
export const roundFloat16 = (x: Value): Value => {
  const a = f.pmin(f.abs(x), 65536)
  const large = f.mul(b.and(f.pmax(a, 2 ** -14), 0x7f800000), 2 ** 13)
  const nearest = f.sub(f.add(a, large), large)
  return withSign(b.select(f.gt(nearest, 65504), Infinity, nearest), x)
}

/** A float16 from its 16 bits: as part of a float's bits it is 2⁻¹¹² times too small. */
export const decodeFloat16 = (bits: Value): Value => {
  const a = f.mul(i.shl(b.and(bits, 0x7fff), 13), 2 ** 112)
  const magnitude = b.or(a, b.and(f.ge(a, 65536), 0x7f800000))
  return b.or(magnitude, i.shl(b.and(bits, 0x8000), 16))
}

/** The 16 bits of a float16. */
export const encodeFloat16 = (x: Value): Value => {
  const a = f.abs(x)
  const usual = u.shr(f.mul(a, 2 ** -112), 13)
  const edge = b.select(f.eq(a, a), i32(0x7c00), i32(0x7e00))
  return b.or(b.select(f.lt(a, Infinity), usual, edge), u.shr(signOf(x), 16))
}

export const decodeBfloat16 = (bits: Value): Value => i.shl(bits, 16)
export const encodeBfloat16 = (x: Value): Value => u.shr(x, 16)

/** The next number towards y of a format, given numbers as the bits of the format and back. */
const stepping = (toBits: (x: Value) => Value, fromBits: (bits: Value) => Value) => (x: Value, y: Value): Value => {
  const away = b.not(b.xor(f.lt(x, y), f.gt(x, 0)))
  const stepped = fromBits(i.sub(i.add(toBits(x), 1), b.and(b.not(away), 2)))
  const least = withSign(fromBits(i32(1)), y)
  const moved = b.select(f.eq(x, 0), least, stepped)
  return b.or(b.select(f.eq(x, y), y, moved), b.or(f.ne(x, x), f.ne(y, y)))
}

export const nextafter = stepping((x) => x, (bits) => bits)
export const nextafterFloat16 = stepping(encodeFloat16, decodeFloat16)
export const nextafterBfloat16 = stepping(encodeBfloat16, decodeBfloat16)
