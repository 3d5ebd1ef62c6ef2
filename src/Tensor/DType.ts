/**
 * Element types: their names, their storage in JavaScript, and JAX's promotion lattice.
 *
 * A *dtype* is a plain string. A *weak* type is what a bare JavaScript number or boolean has: it takes the dtype of the
 * array that it meets (`x.mul(2)` stays bfloat16). The lattice is the one of JAX's type promotion page, without 64
 * bits.
 */
import { DTypeError } from "./errors.ts"

/**
 * The element types. `float64` exists so that backends which have it may offer it; with the default (JAX's x64 off)
 * no operation produces it by promotion.
 *
 * @category models
 * @since 0.1.0
 */
export type DType = "float32" | "float16" | "bfloat16" | "int32" | "uint32" | "int8" | "uint8" | "bool" | "float64"

/**
 * What a lattice point may be: a dtype, or one of the weak kinds of JavaScript scalars.
 *
 * @category models
 * @since 0.1.0
 */
export type WeakKind = "weak_int" | "weak_float"

type Point = DType | WeakKind

/** Host storage of a dtype. bool is one byte an element; float16 and bfloat16 are stored as their 16 raw bits. */
export type TypedArray = Float32Array | Float64Array | Int32Array | Uint32Array | Int8Array | Uint8Array | Uint16Array

/** Every dtype, in promotion order. */
export const all: ReadonlyArray<DType> = [
  "bool",
  "uint8",
  "int8",
  "uint32",
  "int32",
  "bfloat16",
  "float16",
  "float32",
  "float64"
]

interface Facts {
  readonly short: string
  readonly bytes: number
  readonly kind: "bool" | "unsigned" | "signed" | "float"
  readonly array: new(length: number) => TypedArray
}

const facts: Readonly<Record<DType, Facts>> = {
  bool: { short: "bool", bytes: 1, kind: "bool", array: Uint8Array },
  uint8: { short: "u8", bytes: 1, kind: "unsigned", array: Uint8Array },
  int8: { short: "i8", bytes: 1, kind: "signed", array: Int8Array },
  uint32: { short: "u32", bytes: 4, kind: "unsigned", array: Uint32Array },
  int32: { short: "i32", bytes: 4, kind: "signed", array: Int32Array },
  bfloat16: { short: "bf16", bytes: 2, kind: "float", array: Uint16Array },
  float16: { short: "f16", bytes: 2, kind: "float", array: Uint16Array },
  float32: { short: "f32", bytes: 4, kind: "float", array: Float32Array },
  float64: { short: "f64", bytes: 8, kind: "float", array: Float64Array }
}

/** Is this string a dtype? */
export const isDType = (u: unknown): u is DType => typeof u === "string" && Object.hasOwn(facts, u)

/** The dtype itself. What is no dtype, from callers without types, is a `DTypeError` that lists them all. */
export const check = (operation: string, dtype: DType): DType => {
  if (isDType(dtype)) return dtype
  throw new DTypeError({
    operation,
    expected: `one of ${all.join(", ")}`,
    found: String(dtype),
    hint: "dtypes are named in full, by strings"
  })
}

/** The short name that Programs print: `f32`, `i32`, `bf16`. */
export const short = (dtype: DType): string => facts[dtype].short

/** Bytes an element. */
export const byteSize = (dtype: DType): number => facts[dtype].bytes

/** Is it a floating point type (JAX's `inexact`)? */
export const isFloat = (dtype: DType): boolean => facts[dtype].kind === "float"

/** Is it an integer type, signed or not? bool is not. */
export const isInteger = (dtype: DType): boolean => facts[dtype].kind === "signed" || facts[dtype].kind === "unsigned"

/** Is it an unsigned integer type? */
export const isUnsigned = (dtype: DType): boolean => facts[dtype].kind === "unsigned"

/** Bits an element. */
export const bits = (dtype: DType): number => facts[dtype].bytes * 8

/** Fresh zeroed host storage for `length` elements. */
export const allocate = (dtype: DType, length: number): TypedArray => new facts[dtype].array(length)

/** Is `data` of the class that stores `dtype`? */
export const fits = (dtype: DType, data: TypedArray): boolean => data instanceof facts[dtype].array

/** The dtype whose storage a TypedArray is. Raw 16-bit storage is ambiguous, and must be named by the caller. */
export const ofTypedArray = (data: TypedArray): DType | undefined => {
  if (data instanceof Float32Array) return "float32"
  if (data instanceof Int32Array) return "int32"
  if (data instanceof Uint32Array) return "uint32"
  if (data instanceof Int8Array) return "int8"
  if (data instanceof Uint8Array) return "uint8"
  if (data instanceof Float64Array) return "float64"
  return undefined
}

interface Limits {
  readonly eps: number
  readonly max: number
  readonly min: number
  readonly tiny: number
}

const floatLimits: Readonly<Record<string, Limits>> = {
  bfloat16: { eps: 2 ** -7, max: 3.3895313892515355e38, min: -3.3895313892515355e38, tiny: 2 ** -126 },
  float16: { eps: 2 ** -10, max: 65504, min: -65504, tiny: 2 ** -14 },
  float32: { eps: 2 ** -23, max: 3.4028234663852886e38, min: -3.4028234663852886e38, tiny: 2 ** -126 },
  float64: { eps: Number.EPSILON, max: Number.MAX_VALUE, min: -Number.MAX_VALUE, tiny: 2 ** -1022 }
}

/** Machine limits of a floating point type: spacing at 1, largest, most negative, and smallest normal value. */
export const finfo = (dtype: DType): Limits => floatLimits[dtype] ?? floatLimits.float32

/** The range of an integer type (bool: 0 and 1). */
export const iinfo = (dtype: DType): { readonly min: number; readonly max: number } => {
  switch (dtype) {
    case "bool":
      return { min: 0, max: 1 }
    case "uint8":
      return { min: 0, max: 255 }
    case "int8":
      return { min: -128, max: 127 }
    case "uint32":
      return { min: 0, max: 4294967295 }
    default:
      return { min: -2147483648, max: 2147483647 }
  }
}

/** The identity of `max`: the lowest value of a dtype (`-Infinity` for floats). */
export const lowest = (dtype: DType): number => isFloat(dtype) ? -Infinity : iinfo(dtype).min

/** The identity of `min`: the highest value of a dtype (`Infinity` for floats). */
export const highest = (dtype: DType): number => isFloat(dtype) ? Infinity : iinfo(dtype).max

/**
 * Edges of the lattice, smaller to larger: https://docs.jax.dev/en/latest/jep/9407-type-promotion.html, without 64
 * bits.
 */
const above: Readonly<Record<Point, ReadonlyArray<Point>>> = {
  bool: ["weak_int"],
  weak_int: ["uint8", "int8"],
  uint8: ["uint32"],
  int8: ["int32"],
  uint32: ["weak_float"],
  int32: ["weak_float"],
  weak_float: ["bfloat16", "float16"],
  bfloat16: ["float32"],
  float16: ["float32"],
  float32: ["float64"],
  float64: []
}

const upset = (point: Point): ReadonlySet<Point> => {
  const seen = new Set<Point>([point])
  for (const p of seen) for (const q of above[p]) seen.add(q)
  return seen
}

const upsets: Readonly<Record<Point, ReadonlySet<Point>>> = {
  bool: upset("bool"),
  weak_int: upset("weak_int"),
  uint8: upset("uint8"),
  int8: upset("int8"),
  uint32: upset("uint32"),
  int32: upset("int32"),
  weak_float: upset("weak_float"),
  bfloat16: upset("bfloat16"),
  float16: upset("float16"),
  float32: upset("float32"),
  float64: upset("float64")
}

/** Pairs whose join JAX takes through the 64-bit integers that we don't have (x64 off truncates int64 to int32). */
const join = (a: Point, b: Point): Point => {
  const common = [...upsets[a]].filter((p) => upsets[b].has(p))
  const integer = (p: Point) => p !== "weak_float" && p !== "weak_int" && isInteger(p)
  // uint8 with int8 or int32, uint32 with a signed type: JAX's int16/int64, which x64-off and our set of dtypes make
  // int32.
  if (integer(a) && integer(b) && a !== b) {
    if (upsets[a].has(b)) return b
    if (upsets[b].has(a)) return a
    return "int32"
  }
  return common.find((p) => common.every((q) => upsets[p].has(q))) ?? "float32"
}

/** An element type together with its weakness. */
export interface Promoted {
  readonly dtype: DType
  readonly weakType: boolean
}

const point = (t: Promoted): Point =>
  !t.weakType ? t.dtype : isFloat(t.dtype) ? "weak_float" : t.dtype === "bool" ? "bool" : "weak_int"

const settle = (p: Point): Promoted =>
  p === "weak_float"
    ? { dtype: "float32", weakType: true }
    : p === "weak_int"
    ? { dtype: "int32", weakType: true }
    : { dtype: p, weakType: false }

/**
 * The common type of several operands under JAX's rules, with weak types.
 *
 * @category promotion
 * @since 0.1.0
 */
export const resultType = (...types: ReadonlyArray<Promoted>): Promoted => {
  if (types.length === 0) return { dtype: "float32", weakType: true }
  const first = types[0]
  if (types.every((t) => t.dtype === first.dtype && t.weakType === first.weakType)) {
    return { dtype: first.dtype, weakType: first.weakType }
  }
  // Weak types meet each other first, as one scalar, and only then the strong ones.
  const strong = types.filter((t) => !t.weakType).map(point)
  const weak = types.filter((t) => t.weakType).map(point)
  return settle([...strong, ...weak].reduce(join))
}

/**
 * The common dtype of two strong dtypes (`jnp.promote_types`).
 *
 * @category promotion
 * @since 0.1.0
 */
export const promoteTypes = (a: DType, b: DType): DType =>
  resultType({ dtype: a, weakType: false }, { dtype: b, weakType: false }).dtype

/**
 * The floating type that an operation such as `mean`, `exp` or true division computes in: floats stay, all else becomes
 * float32.
 *
 * @category promotion
 * @since 0.1.0
 */
export const toInexact = (t: Promoted): Promoted => isFloat(t.dtype) ? t : { dtype: "float32", weakType: t.weakType }
