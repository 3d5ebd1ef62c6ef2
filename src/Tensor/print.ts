/**
 * Arrays as text, as JAX prints them, which is NumPy's `array2string`.
 *
 * All elements are written alike: the fewest digits that read back as the same value, and one number of places for all
 * (or one form with exponents, when magnitudes differ much). Rows wrap at 75 columns; above 1000 elements only the
 * first and last three along each axis are shown, with `...` between.
 */
import * as DType from "./DType.ts"
import { decode, nearest } from "./float16.ts"
import * as Shape from "./Shape.ts"
import * as ShapedArray from "./ShapedArray.ts"
import * as Storage from "./Storage.ts"
import type { Tensor } from "./Tensor.ts"

const lineWidth = 75
const threshold = 1000
const edge = 3
/** Digits after the point, at most. */
const precision = 8
/** Above this many bytes only the shape is printed, as in JAX. */
const largest = 1 << 20
const prefix = "Array("

type Format = (value: number) => string

// --- one element ---

/**
 * The fewest significant digits that read back as `value` in its dtype, as [digits, exponent]: 0.dddd · 10^exponent.
 */
const shortest = (value: number, dtype: DType.DType): readonly [digits: string, exponent: number] => {
  for (let p = 1; p <= 17; p++) {
    const text = value.toExponential(p - 1)
    if (nearest(Number(text), dtype) === value) return parse(text)
  }
  return parse(value.toExponential(16))
}

const parse = (text: string): readonly [string, number] => {
  const [mantissa, exponent] = text.split("e")
  return [mantissa.replace("-", "").replace(".", ""), Number(exponent) + 1]
}

const sign = (value: number): string => value < 0 || Object.is(value, -0) ? "-" : ""

const trimmed = (fraction: string): string => fraction.replace(/0+$/, "")

/** [whole, fraction] digits of a finite value, without an exponent, the fraction cut to the precision. */
const positional = (value: number, dtype: DType.DType): readonly [whole: string, fraction: string] => {
  if (value === 0) return [`${sign(value)}0`, ""]
  const [digits, exponent] = shortest(Math.abs(value), dtype)
  if (digits.length - exponent > precision) {
    const [whole, fraction] = Math.abs(value).toFixed(precision).split(".")
    return [sign(value) + whole, trimmed(fraction)]
  }
  const padded = digits.padStart(digits.length - Math.min(0, exponent), "0").padEnd(exponent, "0")
  const at = Math.max(0, exponent)
  return [sign(value) + (padded.slice(0, at) || "0"), trimmed(padded.slice(at))]
}

/** [whole, fraction, exponent] of a finite value in scientific notation. */
const scientific = (
  value: number,
  dtype: DType.DType
): readonly [whole: string, fraction: string, exponent: string] => {
  if (value === 0) return [`${sign(value)}0`, "", "+00"]
  const [digits, exponent] = shortest(Math.abs(value), dtype)
  const power = exponent - 1
  return [
    sign(value) + digits[0],
    trimmed(digits.slice(1)),
    `${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`
  ]
}

const longest = (texts: ReadonlyArray<string>): number => texts.reduce((n, t) => Math.max(n, t.length), 0)

const special = (value: number): string => Number.isNaN(value) ? "nan" : value < 0 ? "-inf" : "inf"

/** Numbers from here on have more digits before the point than the dtype has: they take exponents. */
const cutoff = (dtype: DType.DType): number => dtype === "float16" ? 1e3 : dtype === "float64" ? 1e8 : 1e6

/** Do magnitudes call for exponents? */
const needsExponent = (finite: ReadonlyArray<number>, dtype: DType.DType): boolean => {
  const magnitudes = finite.filter((v) => v !== 0).map(Math.abs)
  if (magnitudes.length === 0) return false
  const high = magnitudes.reduce((a, b) => Math.max(a, b))
  const low = magnitudes.reduce((a, b) => Math.min(a, b))
  return high >= cutoff(dtype) || low < nearest(1e-4, dtype) || nearest(high / low, dtype) > 1000
}

/** Room left of the point so that the words `nan` and `-inf` fit. */
const roomFor = (values: ReadonlyArray<number>, left: number, right: number): number => {
  const words = values.filter((v) => !Number.isFinite(v)).map(special)
  // NumPy leaves room for all of `nan`, `inf` and, if it occurs, the sign.
  return words.length === 0 ? left : Math.max(left, longest(["nan", ...words]) - (right + 1))
}

const floatFormat = (values: ReadonlyArray<number>, dtype: DType.DType): Format => {
  const finite = values.filter(Number.isFinite)
  if (needsExponent(finite, dtype)) {
    const parts = finite.map((v) => scientific(v, dtype))
    const places = longest(parts.map((p) => p[1]))
    const digits = longest(parts.map((p) => p[2]))
    const right = digits + 1 + places
    const left = roomFor(values, longest(parts.map((p) => p[0])), right)
    return (v) => {
      if (!Number.isFinite(v)) return special(v).padStart(left + right + 1)
      const [whole, fraction, exponent] = scientific(v, dtype)
      return `${whole.padStart(left)}.${fraction.padEnd(places, "0")}e${exponent[0]}${
        exponent.slice(1).padStart(digits - 1, "0")
      }`
    }
  }
  const parts = finite.map((v) => positional(v, dtype))
  const right = longest(parts.map((p) => p[1]))
  const left = roomFor(values, longest(parts.map((p) => p[0])), right)
  return (v) => {
    if (!Number.isFinite(v)) return special(v).padStart(left + right + 1)
    const [whole, fraction] = positional(v, dtype)
    return `${whole.padStart(left)}.${fraction.padEnd(right)}`
  }
}

/** bfloat16 prints as C's `%g`, unaligned. */
const bfloatFormat: Format = (v) => {
  if (!Number.isFinite(v)) return special(v)
  if (v === 0) return `${sign(v)}0`
  const [mantissa, exponent] = v.toExponential(5).split("e")
  const power = Number(exponent)
  if (power >= -4 && power < 6) return String(Number(v.toPrecision(6)))
  return `${String(Number(mantissa))}e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`
}

const formatOf = (values: ReadonlyArray<number>, dtype: DType.DType, scalar: boolean): Format => {
  if (dtype === "bool") return (v) => v === 0 ? "False" : scalar ? "True" : " True"
  if (dtype === "bfloat16") return bfloatFormat
  if (DType.isFloat(dtype)) return floatFormat(values, dtype)
  const width = longest(values.map(String))
  return (v) => String(v).padStart(width)
}

// --- all elements ---

/** The indices to show along an axis; -1 stands for `...`. */
const shown = (size: number, summarise: boolean): ReadonlyArray<number> =>
  summarise && size > 2 * edge
    ? [...Shape.range(edge), -1, ...Shape.range(edge).map((i) => size - edge + i)]
    : Shape.range(size)

interface Layout {
  readonly shape: Shape.Shape
  readonly strides: ReadonlyArray<number>
  readonly at: (offset: number) => number
  readonly summarise: boolean
  readonly format: Format
}

/** A row: words separated by commas, wrapped. */
const row = (words: ReadonlyArray<string>, indent: string, width: number): string => {
  let text = ""
  let line = indent
  words.forEach((word, i) => {
    if (line.length + word.length > width - 1 && line.length > indent.length) {
      text += `${line.trimEnd()}\n`
      line = indent
    }
    line += i === words.length - 1 ? word : `${word}, `
  })
  return text + line
}

const block = (layout: Layout, axis: number, offset: number, indent: string, width: number): string => {
  const { shape, strides } = layout
  const left = shape.length - axis
  if (left === 0) return layout.format(layout.at(offset))
  const items = shown(shape[axis], layout.summarise)
    .map((i) => i < 0 ? "..." : block(layout, axis + 1, offset + i * strides[axis], `${indent} `, width - 1))
  const inner = left === 1
    ? row(items, indent, width)
    : items.map((item) => indent + item).join(`,${"\n".repeat(left - 1)}`)
  return `[${inner.slice(indent.length)}]`
}

/** The values that will be shown. */
const visible = (layout: Omit<Layout, "format">): ReadonlyArray<number> => {
  const { at, shape, strides, summarise } = layout
  const go = (axis: number, offset: number): ReadonlyArray<number> =>
    axis === shape.length
      ? [at(offset)]
      : shown(shape[axis], summarise).filter((i) => i >= 0).flatMap((i) => go(axis + 1, offset + i * strides[axis]))
  return go(0, 0)
}

const elements = (shape: Shape.Shape, dtype: DType.DType, at: (offset: number) => number): string => {
  const size = Shape.size(shape)
  const layout = { shape, strides: Shape.strides(shape), at, summarise: size > threshold }
  const format = formatOf(visible(layout), dtype, shape.length === 0)
  return block({ ...layout, format }, 0, 0, " ".repeat(prefix.length + 1), lineWidth - 1)
}

const tuple = (shape: Shape.Shape): string => shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(", ")})`

/** The elements alone, as `Debug.print` shows them; the shape where they are not at hand. */
export const formatElements = (x: Tensor): string => {
  const { shape, source } = x
  const unknown = `shape=${tuple(shape)}`
  if (x.size === 0) return `[], ${unknown}`
  if (source._tag === "Literal") return elements(shape, x.dtype, () => source.value)
  if (source._tag !== "Concrete" || ShapedArray.byteSize(x.aval) >= largest) return unknown
  const data = Storage.elements(source.storage)
  return data === undefined ? unknown : elements(shape, x.dtype, (i) => decode(data[i], x.dtype))
}

/**
 * An array as text. Elements are shown when they are at hand and the array is smaller than a mebibyte; an array
 * that has not been computed, or is on a device that must be asked for them, shows its shape; the argument of a traced function shows as
 * `Traced<f32[2,3]>`.
 */
export const format = (x: Tensor): string => {
  if (x.source._tag === "Argument") return `Traced<${ShapedArray.format(x.aval)}>`
  const text = formatElements(x)
  const dtype = `dtype=${x.dtype}${x.weakType ? ", weakType=true" : ""})`
  const start = prefix + text
  const last = text.length - text.lastIndexOf("\n") + 1
  return last + dtype.length + 1 > lineWidth ? `${start},\n${" ".repeat(prefix.length)}${dtype}` : `${start}, ${dtype}`
}
