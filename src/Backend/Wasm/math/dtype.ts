/** Values as elements of a dtype: rounded or wrapped to it, and converted from one to another. */
import type { DType } from "../../../Tensor/DType.ts"
import * as DTypes from "../../../Tensor/DType.ts"
import { laneOf } from "../ir.ts"
import * as rounding from "./rounding.ts"
import { b, f, f32, i, i32, u, type Value } from "./value.ts"

/** A number as elements of a dtype have it in their lanes: bools are masks. */
export const constant = (value: number, dtype: DType): Value => {
  if (laneOf(dtype) === "f32") return narrow(f32(value), dtype)
  return i32(dtype === "bool" ? -Number(value !== 0) : value)
}

/** The result of an operation on lanes, as the dtype holds it. */
export const narrow = (x: Value, dtype: DType): Value => {
  switch (dtype) {
    case "float16":
      return rounding.roundFloat16(x)
    case "bfloat16":
      return rounding.roundBfloat16(x)
    case "int8":
      return i.shr(i.shl(x, 24), 24)
    case "uint8":
      return b.and(x, 0xff)
    default:
      return x
  }
}

/** Floats go towards zero, saturate, and nan becomes 0; integers wrap; what is not 0 is true. */
export const convert = (x: Value, from: DType, to: DType): Value => {
  if (from === to) return x
  const [source, target] = [laneOf(from), laneOf(to)]
  if (to === "bool") return source === "f32" ? f.ne(x, 0) : i.ne(x, 0)
  if (from === "bool") return b.and(x, target === "f32" ? f32(1) : i32(1))
  if (target === "f32") {
    return narrow(source === "f32" ? x : source === "i32" ? f.signed(x) : f.unsigned(x), to)
  }
  if (source !== "f32") return narrow(x, to)
  const { max, min } = DTypes.iinfo(to)
  if (target === "u32") return to === "uint8" ? u.min(u.saturated(x), max) : u.saturated(x)
  return to === "int8" ? i.max(i.min(i.saturated(x), max), min) : i.saturated(x)
}

/** The same bits as another dtype of the same width. */
export const bitcast = (x: Value, from: DType, to: DType): Value => fromBits(toBits(x, from), to)

const toBits = (x: Value, dtype: DType): Value => {
  switch (dtype) {
    case "float16":
      return rounding.encodeFloat16(x)
    case "bfloat16":
      return rounding.encodeBfloat16(x)
    case "bool":
      return b.and(x, 1)
    case "int8":
      return b.and(x, 0xff)
    default:
      return x
  }
}

const fromBits = (x: Value, dtype: DType): Value => {
  switch (dtype) {
    case "float16":
      return rounding.decodeFloat16(x)
    case "bfloat16":
      return rounding.decodeBfloat16(x)
    case "bool":
      return i.ne(x, 0)
    case "int8":
      return narrow(x, dtype)
    default:
      return x
  }
}
