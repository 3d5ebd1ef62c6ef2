/**
 * The two 16-bit floating types as raw bits, which is how host memory holds them: IEEE binary16 (*float16*: 5 bits of
 * exponent, 10 of fraction) and *bfloat16* (the upper half of a float32: 8 and 7). Encoding rounds to nearest, ties to
 * even.
 */
import type { DType } from "./DType.ts"

const word = new DataView(new ArrayBuffer(4))

const bitsOf = (value: number): number => {
  word.setFloat32(0, value)
  return word.getUint32(0)
}

const floatOf = (bits: number): number => {
  word.setUint32(0, bits)
  return word.getFloat32(0)
}

/** `value / 2 ** shift` of a whole number, to nearest, ties to even. */
const shiftRounded = (value: number, shift: number): number => {
  const low = value % 2 ** shift
  const high = (value - low) / 2 ** shift
  const half = 2 ** (shift - 1)
  return low > half || (low === half && high % 2 === 1) ? high + 1 : high
}

/** The float16 nearest to a number, as 16 bits. */
export const encodeFloat16 = (value: number): number => {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0
  if (Number.isNaN(value)) return 0x7e00
  const a = Math.abs(value)
  // Halfway between the largest float16 (65504) and the next power of two.
  if (a >= 65520) return sign | 0x7c00
  if (a < 2 ** -14) return sign | roundEven(a * 2 ** 24)
  let exponent = Math.floor(Math.log2(a))
  // log2 rounds: near powers of two it may be one off.
  if (2 ** exponent > a) exponent--
  else if (2 ** (exponent + 1) <= a) exponent++
  // A fraction that rounds up to 1024 carries into the exponent, as it should.
  return sign | (((exponent + 15) << 10) + roundEven((a / 2 ** exponent - 1) * 1024))
}

const roundEven = (x: number): number => {
  const low = Math.floor(x)
  const rest = x - low
  return rest > 0.5 || (rest === 0.5 && low % 2 === 1) ? low + 1 : low
}

/** The number that 16 bits are as a float16. */
export const decodeFloat16 = (bits: number): number => {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >> 10) & 31
  const fraction = bits & 1023
  if (exponent === 31) return fraction === 0 ? sign * Infinity : Number.NaN
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

/**
 * The bfloat16 nearest to a number, as 16 bits. Numbers go through float32 first, as all values that backends compute
 * do.
 */
export const encodeBfloat16 = (value: number): number => {
  if (Number.isNaN(value)) return 0x7fc0
  const bits = bitsOf(value)
  return shiftRounded(bits, 16)
}

/** The number that 16 bits are as a bfloat16. */
export const decodeBfloat16 = (bits: number): number => floatOf((bits & 0xffff) * 65536)

/** The value of a floating dtype nearest to a number. Other dtypes give the number itself. */
export const nearest = (value: number, dtype: DType): number => {
  switch (dtype) {
    case "float16":
      return decodeFloat16(encodeFloat16(value))
    case "bfloat16":
      return decodeBfloat16(encodeBfloat16(value))
    case "float32":
      return Math.fround(value)
    default:
      return value
  }
}

/**
 * What to store for a number in an array of a dtype: 16 bits for the 16-bit floats, 0 or 1 for bool, else the number.
 */
export const encode = (value: number, dtype: DType): number => {
  switch (dtype) {
    case "float16":
      return encodeFloat16(value)
    case "bfloat16":
      return encodeBfloat16(value)
    case "bool":
      return value === 0 ? 0 : 1
    default:
      return value
  }
}

/** The number that an element of host storage stands for. */
export const decode = (stored: number, dtype: DType): number => {
  switch (dtype) {
    case "float16":
      return decodeFloat16(stored)
    case "bfloat16":
      return decodeBfloat16(stored)
    default:
      return stored
  }
}

/** The numbers that raw bits are as float16. */
export const decodeFloat16Array = (bits: ArrayLike<number>): Float32Array => Float32Array.from(bits, decodeFloat16)

/** The numbers that raw bits are as bfloat16. */
export const decodeBfloat16Array = (bits: ArrayLike<number>): Float32Array => Float32Array.from(bits, decodeBfloat16)
