// The part of the reference evaluator for functions that JavaScript's Math lacks, sorting, and the random generator.
import * as Shape from "../../../src/Tensor/Shape.ts"
import { generate, type Meanings, read, type Value } from "./values.ts"

/** Abramowitz & Stegun 7.1.6: no cancellation, so good to all digits for moderate x. */
const erf = (x: number): number => {
  if (Math.abs(x) > 6) return Math.sign(x)
  let term = x
  let sum = x
  for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) {
    term *= 2 * x * x / (2 * n + 1)
    sum += term
  }
  return 2 / Math.sqrt(Math.PI) * Math.exp(-x * x) * sum
}

/** By Newton's method on erf. */
const erfInv = (y: number): number => {
  if (Math.abs(y) >= 1) return Math.abs(y) === 1 ? y * Infinity : Number.NaN
  let x = 0
  for (let i = 0; i < 60; i++) x -= (erf(x) - y) / (2 / Math.sqrt(Math.PI) * Math.exp(-x * x))
  return x
}

const lanczos = [
  0.99999999999980993,
  676.5203681218851,
  -1259.1392167224028,
  771.32342877765313,
  -176.61502916214059,
  12.507343278686905,
  -0.13857109526572012,
  9.9843695780195716e-6,
  1.5056327351493116e-7
]

/** Lanczos' approximation with g = 7; reflected below one half. */
const lgamma = (x: number): number => {
  if (x < 0.5) return Math.log(Math.PI / Math.abs(Math.sin(Math.PI * x))) - lgamma(1 - x)
  const z = x - 1
  const t = z + 7.5
  const sum = lanczos.reduce((s, c, i) => i === 0 ? c : s + c / (z + i), 0)
  return 0.5 * Math.log(2 * Math.PI) + (z + 0.5) * Math.log(t) - t + Math.log(sum)
}

/** Recurrence up to 10, and the asymptotic series there. */
const digamma = (x: number): number => {
  if (x < 0.5) return digamma(1 - x) - Math.PI / Math.tan(Math.PI * x)
  if (x < 10) return digamma(x + 1) - 1 / x
  const s = 1 / (x * x)
  const series = [1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760, 1 / 12]
  return Math.log(x) - 0.5 / x - series.reduceRight((sum, c) => (sum + c) * s, 0)
}

/** Functions of numbers. */
export const specialScalars: Readonly<Record<string, (...xs: ReadonlyArray<number>) => number>> = {
  erf,
  erfc: (x) => 1 - erf(x),
  erf_inv: erfInv,
  lgamma,
  digamma
}

/** nan is larger than all else. */
const order = (a: number, b: number): number =>
  Number.isNaN(a) || Number.isNaN(b) ? Number(Number.isNaN(a)) - Number(Number.isNaN(b)) : a - b

/** Positions along an axis, sorted at every place of the others. */
const sortedPositions = (keys: ReadonlyArray<Value>, axis: number, at: ReadonlyArray<number>): ReadonlyArray<number> =>
  [...Shape.range(keys[0].shape[axis])].sort((i, j) =>
    keys.reduce((c, key) => c === 0 ? order(read(key, at.with(axis, i)), read(key, at.with(axis, j))) : c, 0)
  )

const rotations = [[13, 15, 26, 6], [17, 29, 16, 24]]

/** Salmon et al. (2011): threefry2x32 with 20 rounds. */
const threefry = (key0: number, key1: number, count0: number, count1: number): readonly [number, number] => {
  const keys = [key0, key1, key0 ^ key1 ^ 0x1bd11bda]
  let x = (count0 + key0) | 0
  let y = (count1 + key1) | 0
  for (let round = 0; round < 20; round++) {
    const by = rotations[Math.floor(round / 4) % 2][round % 4]
    x = (x + y) | 0
    y = ((y << by) | (y >>> (32 - by))) ^ x
    if (round % 4 === 3) {
      const injection = (round + 1) / 4
      x = (x + keys[injection % 3]) | 0
      y = (y + keys[(injection + 1) % 3] + injection) | 0
    }
  }
  return [x >>> 0, y >>> 0]
}

/** The meanings of the sorts and of the generator. */
export const special: Meanings<"sort" | "top_k" | "threefry2x32"> = {
  sort: ({ dimension, num_keys }, xs) =>
    xs.map((x) =>
      generate(x.shape, (at) => {
        const positions = sortedPositions(xs.slice(0, num_keys), dimension, at)
        return read(x, at.with(dimension, positions[at[dimension]]))
      })
    ),
  top_k: (_, [x], [out]) => {
    const axis = x.shape.length - 1
    const place = (at: ReadonlyArray<number>): number => {
      const negated = { shape: x.shape, data: x.data.map((v) => -v) }
      return sortedPositions([negated], axis, at)[at[axis]]
    }
    return [generate(out.shape, (at) => read(x, at.with(axis, place(at)))), generate(out.shape, place)]
  },
  threefry2x32: (_, [key0, key1, x0, x1]) =>
    [0, 1].map((word) => ({
      shape: x0.shape,
      data: x0.data.map((_, i) => threefry(key0.data[i], key1.data[i], x0.data[i], x1.data[i])[word])
    }))
}
