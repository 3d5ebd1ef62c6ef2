/**
 * How products read what they multiply: elements of any dtype become lanes of a vector of one *kind*, float32 or 32-bit
 * integers. Reading is done while packing, so the kernels themselves know the two kinds only.
 */
import type { DType } from "../../../Tensor/DType.ts"
import type { Code, Memory } from "../assembler/index.ts"

/** The kind of number in which a product is computed and accumulated. */
export type Kind = "f32" | "i32"

/** Elements of one dtype, read as one kind. */
export interface Elements {
  readonly dtype: DType
  readonly kind: Kind
  /** Bytes that an element takes. */
  readonly bytes: number
  /** Is memory what the kernels compute with, so that nothing need be converted? */
  readonly plain: boolean
  /** With an address on the stack: the four elements there. */
  readonly four: (c: Code, offset?: number) => void
  /** With an address on the stack: the element there, as a word; four of them in a vector still need `widen`. */
  readonly word: (c: Code, offset?: number) => void
  readonly widen: (c: Code) => void
}

const nothing = (): void => {}

/**
 * Halves in the low 16 bits of each word to floats: the exponent and mantissa bits, moved to where float32 has them and
 * multiplied by 2^112, which makes subnormals right too; infinities and nans need the largest exponent.
 */
const halves = (c: Code): void => {
  const [half, magnitude] = [c.local("v128"), c.local("v128")]
  c.tee(half).v128(0x7fff).op("v128.and").i32(13).op("i32x4.shl").tee(magnitude)
  c.v128(0x7780_0000).op("f32x4.mul")
  c.get(magnitude).v128(0x0f80_0000).op("i32x4.ge_s").v128(0x7f80_0000).op("v128.and").op("v128.or")
  c.get(half).v128(0x8000).op("v128.and").i32(16).op("i32x4.shl").op("v128.or")
}

interface Format {
  readonly bytes: number
  readonly load: Memory
  readonly vector: Memory
  readonly word: Memory
  /** From what `vector` loads to words. */
  readonly spread: (c: Code) => void
  /** From words to lanes. */
  readonly widen: (c: Code) => void
  readonly convert: "f32x4.convert_i32x4_s" | "f32x4.convert_i32x4_u" | undefined
}

const word32 = {
  bytes: 4,
  load: "i32.load",
  vector: "v128.load",
  word: "i32.load",
  spread: nothing,
  widen: nothing
} as const
const word16 = {
  bytes: 2,
  load: "i32.load16_u",
  vector: "v128.load16x4_u",
  word: "i32.load16_u",
  spread: nothing
} as const
const byte = (sign: "s" | "u"): Omit<Format, "convert"> => ({
  bytes: 1,
  load: `i32.load8_${sign}`,
  vector: "v128.load32_zero",
  word: `i32.load8_${sign}`,
  spread: (c) => c.op(`i16x8.extend_low_i8x16_${sign}`).op(`i32x4.extend_low_i16x8_${sign}`),
  widen: nothing
})

const formatOf = (dtype: DType): Format => {
  switch (dtype) {
    case "float32":
    case "float64":
      return { ...word32, convert: undefined }
    case "int32":
      return { ...word32, convert: "f32x4.convert_i32x4_s" }
    case "uint32":
      return { ...word32, convert: "f32x4.convert_i32x4_u" }
    case "float16":
      return { ...word16, widen: halves, convert: undefined }
    case "bfloat16":
      return { ...word16, widen: (c) => c.i32(16).op("i32x4.shl"), convert: undefined }
    case "int8":
      return { ...byte("s"), convert: "f32x4.convert_i32x4_s" }
    case "uint8":
    case "bool":
      return { ...byte("u"), convert: "f32x4.convert_i32x4_u" }
  }
}

/** How elements of a dtype are read for a product that is computed in `kind`. */
export const elementsOf = (dtype: DType, kind: Kind): Elements => {
  const format = formatOf(dtype)
  const convert = kind === "f32" ? format.convert : undefined
  const widen = (c: Code): void => {
    format.widen(c)
    if (convert !== undefined) c.op(convert)
  }
  return {
    dtype,
    kind,
    bytes: format.bytes,
    plain: format.bytes === 4 && convert === undefined,
    four: (c, offset = 0) => {
      c.load(format.vector, offset)
      format.spread(c)
      widen(c)
    },
    word: (c, offset = 0) => void c.load(format.word, offset),
    widen
  }
}
