/**
 * How elements stand in device memory: every dtype takes one 32-bit *word* an element, so that any adapter has all of
 * them. float32 is an f32; float16 and bfloat16 are f32s that have been rounded to their type; int8 and int32 are an
 * i32; uint8, uint32 and bool (0 or 1) a u32. Host storage is converted at upload and download.
 */
import type { DType, TypedArray } from "../../../Tensor/DType.ts"
import * as DTypes from "../../../Tensor/DType.ts"
import * as float16 from "../../../Tensor/float16.ts"

/** The type of a word in a shader. */
export type Word = "f32" | "i32" | "u32"

/** Bytes an element. */
export const wordBytes = 4

/** The word that holds a dtype. */
export const wordOf = (dtype: DType): Word =>
  DTypes.isFloat(dtype) ? "f32" : dtype === "int8" || dtype === "int32" ? "i32" : "u32"

/** Host storage as words. */
export const encode = (data: TypedArray, dtype: DType): Float32Array | Int32Array | Uint32Array => {
  switch (dtype) {
    case "float16":
      return float16.decodeFloat16Array(data)
    case "bfloat16":
      return float16.decodeBfloat16Array(data)
    default: {
      const word = wordOf(dtype)
      if (word === "f32") return data instanceof Float32Array ? data : new Float32Array(data)
      if (word === "i32") return data instanceof Int32Array ? data : new Int32Array(data)
      return data instanceof Uint32Array ? data : new Uint32Array(data)
    }
  }
}

const asWords = (buffer: ArrayBuffer, word: Word): TypedArray =>
  word === "f32" ? new Float32Array(buffer) : word === "i32" ? new Int32Array(buffer) : new Uint32Array(buffer)

/** Words as host storage. */
export const decode = (buffer: ArrayBuffer, dtype: DType): TypedArray => {
  const words = asWords(buffer, wordOf(dtype))
  switch (dtype) {
    case "float16":
    case "bfloat16":
      return Uint16Array.from(words, (x) => float16.encode(x, dtype))
    case "int8":
      return Int8Array.from(words)
    case "uint8":
    case "bool":
      return Uint8Array.from(words)
    default:
      return words
  }
}

/** The bits of the word that holds a number. */
export const bitsOf = (value: number, dtype: DType): number => {
  const host = DTypes.allocate(dtype, 1)
  host[0] = float16.encode(value, dtype)
  const words = encode(host, dtype)
  return new Uint32Array(words.buffer, words.byteOffset, 1)[0]
}

/** A constant in a shader, by its bits, so that nan and infinities are allowed and nothing is rounded. */
export const literal = (value: number, dtype: DType): string => {
  const bits = `0x${bitsOf(value, dtype).toString(16)}u`
  switch (wordOf(dtype)) {
    case "f32":
      return Number.isFinite(value) ? `bitcast<f32>(${bits})` : `float_(${bits})`
    case "i32":
      return `bitcast<i32>(${bits})`
    case "u32":
      return bits
  }
}

/** An expression brought back into the range of a dtype: 16-bit floats are rounded, narrow integers wrap. */
export const narrow = (expression: string, dtype: DType): string => {
  switch (dtype) {
    case "float16":
      return `round16_(${expression})`
    case "bfloat16":
      return `roundb16_(${expression})`
    case "int8":
      return `extractBits(${expression}, 0u, 8u)`
    case "uint8":
      return `((${expression}) & 0xffu)`
    default:
      return expression
  }
}

/** An expression as another kind of word with the same bits. */
export const as = (word: Word, from: Word, x: string): string => word === from ? x : `bitcast<${word}>(${x})`

/** Number to number of another dtype: floats saturate to integers, nan gives 0, integers wrap. */
export const converted = (from: DType, to: DType, x: string): string => {
  const word = wordOf(from)
  if (to === "bool") {
    return word === "f32"
      ? `select(0u, 1u, (bitcast<u32>(${x}) << 1u) != 0u)`
      : `select(0u, 1u, ${x} != ${literal(0, from)})`
  }
  if (word !== "f32") return DTypes.isFloat(to) ? `f32(${x})` : as(wordOf(to), word, x)
  switch (to) {
    case "int32":
      return `toi32_(${x})`
    case "int8":
      return `clamp(toi32_(${x}), -128, 127)`
    case "uint32":
      return `tou32_(${x})`
    case "uint8":
      return `min(tou32_(${x}), 255u)`
    default:
      return x
  }
}
