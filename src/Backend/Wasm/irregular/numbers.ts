/**
 * Elements as numbers: how an element of a dtype is loaded into a scalar (float32, or 32-bit integer), stored from one,
 * and combined with another. 16-bit floats are converted by functions that a module gets once.
 */
import * as DTypes from "../../../Tensor/DType.ts"
import { Code } from "../assembler/index.ts"
import type { Emission } from "../emission.ts"

/** How elements of a dtype are handled. */
export interface Numbers {
  readonly dtype: DTypes.DType
  readonly type: "f32" | "i32"
  readonly bytes: number
  readonly signed: boolean
  /** From the address on the stack. */
  readonly load: (c: Code, offset?: number) => Code
  /** To the address on the stack, below the number. */
  readonly store: (c: Code, offset?: number) => Code
}

/** float16 to float32, of the bits: https://fgiesen.wordpress.com/2012/03/28/half-to-float-done-quic/ */
const decodeFloat16 = (): Code => {
  const c = new Code([["bits", "i32"]], ["f32"])
  const [bits] = c.params
  const shifted = c.local("i32", "shifted")
  c.get(bits).i32(0x7fff).op("i32.and").i32(13).op("i32.shl").set(shifted)
  c.get(shifted).op("f32.reinterpret_i32").f32(2 ** 112).op("f32.mul").op("i32.reinterpret_f32")
  // inf and nan
  c.get(shifted).i32(0x7f800000).op("i32.or").get(shifted).i32(0x0f800000).op("i32.lt_u").op("select")
  return c.get(bits).i32(0x8000).op("i32.and").i32(16).op("i32.shl").op("i32.or").op("f32.reinterpret_i32")
}

/** float32 to the nearest float16, halves to even; the same source. */
const encodeFloat16 = (): Code => {
  const c = new Code([["x", "f32"]], ["i32"])
  const [x] = c.params
  const bits = c.local("i32", "bits")
  const sign = c.local("i32", "sign")
  c.get(x).op("i32.reinterpret_f32").tee(bits).i32(-2147483648).op("i32.and").set(sign)
  c.get(bits).get(sign).op("i32.xor").set(bits)
  const tooLarge = () => c.i32(0x7e00).i32(0x7c00).get(bits).i32(0x7f800000).op("i32.gt_u").op("select")
  const subnormal = () =>
    c.get(bits).op("f32.reinterpret_i32").f32(0.5).op("f32.add").op("i32.reinterpret_f32").i32(0x3f000000).op("i32.sub")
  const normal = () =>
    c.get(bits).i32(((15 - 127) << 23) + 0xfff).op("i32.add")
      .get(bits).i32(13).op("i32.shr_u").i32(1).op("i32.and").op("i32.add").i32(13).op("i32.shr_u")
  c.get(bits).i32(0x47800000).op("i32.ge_u").if(
    tooLarge,
    () => c.get(bits).i32(0x38800000).op("i32.lt_u").if(subnormal, normal, "i32"),
    "i32"
  )
  return c.get(sign).i32(16).op("i32.shr_u").op("i32.or")
}

const decodeBfloat16 = (): Code => {
  const c = new Code([["bits", "i32"]], ["f32"])
  return c.get(c.params[0]).i32(16).op("i32.shl").op("f32.reinterpret_i32")
}

const encodeBfloat16 = (): Code => {
  const c = new Code([["x", "f32"]], ["i32"])
  const [x] = c.params
  const bits = c.local("i32", "bits")
  c.get(x).op("i32.reinterpret_f32").set(bits)
  const rounded = () =>
    c.get(bits).i32(0x7fff).op("i32.add").get(bits).i32(16).op("i32.shr_u").i32(1).op("i32.and").op("i32.add")
      .i32(16).op("i32.shr_u")
  const quiet = () => c.get(bits).i32(16).op("i32.shr_u").i32(0x40).op("i32.or")
  return c.get(x).get(x).op("f32.eq").if(rounded, quiet, "i32")
}

const converters = {
  float16: { decode: decodeFloat16, encode: encodeFloat16 },
  bfloat16: { decode: decodeBfloat16, encode: encodeBfloat16 }
} as const

const half = (e: Emission, dtype: "float16" | "bfloat16"): Numbers => {
  const { decode, encode } = converters[dtype]
  return {
    dtype,
    type: "f32",
    bytes: 2,
    signed: true,
    load: (c, offset = 0) => c.load("i32.load16_u", offset).call(e.module.once(`element_of_${dtype}`, decode)),
    store: (c, offset = 0) => c.call(e.module.once(`element_to_${dtype}`, encode)).store("i32.store16", offset)
  }
}

const plain = (
  dtype: DTypes.DType,
  type: "f32" | "i32",
  load: "f32.load" | "i32.load" | "i32.load8_s" | "i32.load8_u",
  store: "f32.store" | "i32.store" | "i32.store8"
): Numbers => ({
  dtype,
  type,
  bytes: DTypes.byteSize(dtype),
  signed: dtype === "int32" || dtype === "int8",
  load: (c, offset = 0) => c.load(load, offset),
  store: (c, offset = 0) => c.store(store, offset)
})

/** How elements of a dtype are handled. */
export const numbersOf = (e: Emission, dtype: DTypes.DType): Numbers => {
  switch (dtype) {
    case "float16":
    case "bfloat16":
      return half(e, dtype)
    case "float32":
      return plain(dtype, "f32", "f32.load", "f32.store")
    case "int32":
    case "uint32":
      return plain(dtype, "i32", "i32.load", "i32.store")
    case "int8":
      return plain(dtype, "i32", "i32.load8_s", "i32.store8")
    case "uint8":
    case "bool":
      return plain(dtype, "i32", "i32.load8_u", "i32.store8")
    case "float64":
      throw new Error("the Wasm backend has no float64")
  }
}

/** Pushes a constant. */
export const constant = (c: Code, { type }: Numbers, value: number): Code =>
  type === "f32" ? c.f32(value) : c.i32(value)

/** How two numbers become one. */
export type Combine = "add" | "mul" | "max" | "min"

/** Combines the two numbers on the stack. nan wins every `max` and `min`. */
export const combine = (c: Code, { signed, type }: Numbers, how: Combine): Code => {
  if (type === "f32") return c.op(`f32.${how}`)
  if (how === "add" || how === "mul") return c.op(`i32.${how}`)
  const a = c.local("i32", "a")
  const b = c.local("i32", "b")
  const greater = signed ? "i32.gt_s" : "i32.gt_u"
  c.set(b).set(a)
  const [first, second] = how === "max" ? [a, b] : [b, a]
  return c.get(first).get(second).get(a).get(b).op(greater).op("select")
}

/** The vector form of `combine`, for dtypes of four bytes. */
export const combineVectors = (c: Code, { signed, type }: Numbers, how: Combine): Code => {
  if (type === "f32") return c.op(`f32x4.${how}`)
  if (how === "add" || how === "mul") return c.op(`i32x4.${how}`)
  return c.op(signed ? `i32x4.${how}_s` : `i32x4.${how}_u`)
}

/** The number that changes nothing when it is combined. */
export const identity = (dtype: DTypes.DType, how: Combine): number => {
  switch (how) {
    case "add":
      return 0
    case "mul":
      return 1
    case "max":
      return DTypes.lowest(dtype)
    case "min":
      return DTypes.highest(dtype)
  }
}
