/**
 * How types, constants and lists are written in MLIR's text form.
 */
import * as DType from "../../Tensor/DType.ts"
import { encode } from "../../Tensor/float16.ts"
import type * as Shape from "../../Tensor/Shape.ts"

/** A tensor type: what a value of StableHLO has. */
export interface Type {
  readonly shape: Shape.Shape
  readonly dtype: DType.DType
}

/** A type. */
export const typeOf = (shape: Shape.Shape, dtype: DType.DType): Type => ({ shape, dtype })

const elements: Readonly<Record<DType.DType, string>> = {
  bool: "i1",
  uint8: "ui8",
  int8: "i8",
  uint32: "ui32",
  int32: "i32",
  bfloat16: "bf16",
  float16: "f16",
  float32: "f32",
  float64: "f64"
}

/** `tensor<2x3xf32>`. */
export const formatType = ({ dtype, shape }: Type): string => `tensor<${[...shape, elements[dtype]].join("x")}>`

/** `tensor<2xf32>, tensor<i32>`. */
export const formatTypes = (types: ReadonlyArray<Type>): string => types.map(formatType).join(", ")

/** What a list of results has after an arrow: one type bare, several in parentheses. */
export const formatResults = (types: ReadonlyArray<Type>): string =>
  types.length === 1 ? formatType(types[0]) : `(${formatTypes(types)})`

/** `[1, 2]`. */
export const formatList = (xs: ReadonlyArray<number>): string => `[${xs.join(", ")}]`

/** `array<i64: 1, 2>`. */
export const formatArray = (xs: ReadonlyArray<number>): string =>
  xs.length === 0 ? "array<i64>" : `array<i64: ${xs.join(", ")}>`

/** Pairs as an attribute: `dense<[[0, 1], [0, 0]]> : tensor<2x2xi64>`. */
export const formatPairs = (pairs: ReadonlyArray<readonly [number, number]>): string => {
  const all = pairs.flat()
  const same = all.every((x) => x === all[0])
  return `dense<${same ? all[0] : `[${pairs.map(formatList).join(", ")}]`}> : tensor<${pairs.length}x2xi64>`
}

/** The bits of a float, as MLIR writes infinities and nan. */
const hexadecimal = (value: number, dtype: DType.DType): string => {
  const digits = (n: number, width: number) => n.toString(16).toUpperCase().padStart(width, "0")
  const view = new DataView(new ArrayBuffer(8))
  if (dtype === "float64") {
    view.setFloat64(0, value)
    return `0x${digits(view.getUint32(0), 8)}${digits(view.getUint32(4), 8)}`
  }
  if (dtype === "float32") {
    view.setFloat32(0, value)
    return `0x${digits(view.getUint32(0), 8)}`
  }
  return `0x${digits(encode(value, dtype), 4)}`
}

/** Significant digits that tell every float of a dtype from its neighbours. */
const significant: Partial<Record<DType.DType, number>> = { bfloat16: 4, float16: 5, float32: 9, float64: 17 }

const scientific = (text: string): string => text.replace(/e([+-])(\d)$/, "e$10$2")

/** Six decimals if that is exact, else as many digits as are needed. */
const formatFloat = (value: number, dtype: DType.DType): string => {
  if (!Number.isFinite(value)) return hexadecimal(value, dtype)
  const short = value.toExponential(6)
  if (Object.is(encode(Number(short), dtype), encode(value, dtype))) return scientific(short)
  const [digits, exponent] = value.toPrecision(significant[dtype]).split("e")
  const trimmed = digits.includes(".") ? digits.replace(/0+$/, "") : `${digits}.`
  const padded = trimmed.endsWith(".") ? `${trimmed}0` : trimmed
  return exponent === undefined ? padded : `${padded}E${exponent}`
}

/** One element, as `dense<…>` holds it. */
export const formatElement = (value: number, dtype: DType.DType): string =>
  dtype === "bool" ? String(value !== 0) : DType.isFloat(dtype) ? formatFloat(value, dtype) : String(value)
