// Arrays of which every element is known to lie in an interval. An element that is known exactly has an interval of one
// number (perhaps nan); one of which nothing is known, not even whether it is nan, has all numbers.
import type { DType } from "../../../src/Tensor/DType.ts"
import * as DTypes from "../../../src/Tensor/DType.ts"
import { decode, encode } from "../../../src/Tensor/float16.ts"
import type { Shape } from "../../../src/Tensor/Shape.ts"

/** An array of intervals. */
export interface Enclosure {
  readonly shape: Shape
  readonly dtype: DType
  readonly lo: ReadonlyArray<number>
  /** The very array `lo` if all elements are exact. */
  readonly hi: ReadonlyArray<number>
}

/** An interval. */
export type Interval = readonly [lo: number, hi: number]

/** Nothing is known. */
export const anything: Interval = [-Infinity, Infinity]

export const isAnything = (lo: number, hi: number): boolean => lo === -Infinity && hi === Infinity

export const isExact = (lo: number, hi: number): boolean => lo === hi || (Number.isNaN(lo) && Number.isNaN(hi))

/** The number of the dtype nearest to this one; whole numbers wrap. */
export const hold = (x: number, dtype: DType): number => {
  switch (dtype) {
    case "float32":
      return Math.fround(x)
    case "int32":
      return x | 0
    case "uint32":
      return x >>> 0
    case "int8":
      return (x << 24) >> 24
    case "uint8":
      return x & 255
    case "bool":
      return x === 0 ? 0 : 1
    default:
      return decode(encode(x, dtype), dtype)
  }
}

/** From all interval ends that an element may have: their hull, if they agree whether it is a number. */
export const hull = (points: ReadonlyArray<number>): Interval => {
  let lo = Infinity
  let hi = -Infinity
  let nans = 0
  for (const p of points) {
    if (Number.isNaN(p)) nans++
    if (p < lo) lo = p
    if (p > hi) hi = p
  }
  if (nans === 0) return [lo, hi]
  return nans === points.length ? [Number.NaN, Number.NaN] : anything
}

export const exact = (shape: Shape, dtype: DType, data: ReadonlyArray<number>): Enclosure => ({
  shape,
  dtype,
  lo: data,
  hi: data
})

/** Collects intervals of elements in order. */
export class Builder {
  readonly #lo: Array<number> = []
  readonly #hi: Array<number> = []
  #exact = true

  push([lo, hi]: Interval): void {
    this.#lo.push(lo)
    this.#hi.push(hi)
    this.#exact &&= isExact(lo, hi)
  }

  done(shape: Shape, dtype: DType): Enclosure {
    return { shape, dtype, lo: this.#lo, hi: this.#exact ? this.#lo : this.#hi }
  }
}

/** An array of which nothing is known. */
export const unknown = (shape: Shape, dtype: DType): Enclosure => {
  const n = shape.reduce((a, b) => a * b, 1)
  return {
    shape,
    dtype,
    lo: Array.from({ length: n }, () => -Infinity),
    hi: Array.from({ length: n }, () => Infinity)
  }
}

/** Around an exact sum of products whose terms' magnitudes sum up to `magnitude`: whatever order they are added in. */
export const aroundSum = (lo: number, hi: number, magnitude: number, terms: number, dtype: DType): Interval => {
  if (Number.isNaN(lo) && Number.isNaN(hi)) return [lo, hi]
  if (magnitude > 1e38 || Number.isNaN(lo) || Number.isNaN(hi)) return anything
  const slack = (terms + 1) * (2 ** -24 * magnitude + 2 ** -149)
  return [hold(lo - slack, dtype), hold(hi + slack, dtype)]
}

/** Distance of neighbouring float32 numbers here. */
export const ulp = (x: number): number => {
  const a = Math.abs(x)
  return Number.isFinite(a) ? Math.max(a * 2 ** -23, 2 ** -149) : 0
}

export const isFloat = DTypes.isFloat
