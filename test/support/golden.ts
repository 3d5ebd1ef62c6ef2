// The golden files of test/golden, and their values as Tensors. README.md there says what the fields mean.
import * as fs from "node:fs"
import * as DType from "../../src/Tensor/DType.ts"
import { encodeBfloat16, encodeFloat16, nearest } from "../../src/Tensor/float16.ts"
import * as ShapedArray from "../../src/Tensor/ShapedArray.ts"
import { fromHost, type Tensor } from "../../src/Tensor/Tensor.ts"

/** An array as the golden files write it. Keys have dtype `key<fry>` and two words each. */
export interface Value {
  readonly shape: ReadonlyArray<number>
  readonly dtype: DType.DType | "key<fry>"
  readonly data: ReadonlyArray<number | "NaN" | "Infinity" | "-Infinity">
  readonly weak_type?: boolean
}

/** A Python scalar as an argument. */
export interface Scalar {
  readonly scalar: "int" | "float" | "bool"
  readonly value: number | "NaN" | "Infinity" | "-Infinity"
}

export type Argument = Value | Scalar | number | string | boolean | null | ReadonlyArray<Argument>

/** What was called, and what came out of it. */
export interface Case {
  readonly name: string
  readonly op: string
  readonly args: ReadonlyArray<Argument>
  readonly params: Readonly<Record<string, Argument>>
  readonly out: Value
  readonly error?: string
}

/** The cases of a golden file, by group. */
export const cases = (file: string): Readonly<Record<string, ReadonlyArray<Case>>> =>
  JSON.parse(fs.readFileSync(new URL(`../golden/${file}`, import.meta.url), "utf8")).cases

/** The elements as numbers: written with few digits, so rounded to the dtype. */
export const numbers = (value: Value): ReadonlyArray<number> => {
  const { dtype } = value
  return value.data.map((x) => dtype === "key<fry>" || !DType.isFloat(dtype) ? Number(x) : nearest(Number(x), dtype))
}

/** Our dtype and shape of a value: a key is two uint32. */
export const aval = (value: Value): ShapedArray.ShapedArray =>
  value.dtype === "key<fry>"
    ? ShapedArray.make([...value.shape, 2], "uint32")
    : ShapedArray.make(value.shape, value.dtype, value.weak_type === true)

/** The value as a Tensor in host memory. */
export const tensor = (value: Value): Tensor => {
  const type = aval(value)
  const encode = type.dtype === "float16" ? encodeFloat16 : type.dtype === "bfloat16" ? encodeBfloat16 : Number
  const data = DType.allocate(type.dtype, value.data.length)
  data.set(numbers(value).map((x) => encode(x)))
  return fromHost(type, data)
}

export const isValue = (x: Argument | undefined): x is Value => typeof x === "object" && x !== null && "dtype" in x

export const isScalar = (x: Argument | undefined): x is Scalar => typeof x === "object" && x !== null && "scalar" in x

/** An argument as our functions take it: arrays as Tensors, scalars as numbers, lists as lists. */
export const input = (x: Argument): Tensor | number | string | boolean | null | ReadonlyArray<unknown> =>
  isValue(x)
    ? tensor(x)
    : isScalar(x)
    ? x.scalar === "bool" ? Boolean(x.value) : Number(x.value)
    : Array.isArray(x)
    ? x.map((y: Argument) => input(y))
    : x as number | string | boolean | null
