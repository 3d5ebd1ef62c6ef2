// Comparing arrays of numbers, with a message that shows the worst of them.
import { assert } from "@effect/vitest"

/** Numbers (booleans count as 0 and 1), nested or flat. */
export type Numbers = number | boolean | ArrayLike<number> | ReadonlyArray<Numbers>

/** How far apart two numbers may be: |actual - expected| ≤ atol + rtol · |expected|. */
export interface Tolerance {
  readonly rtol?: number
  readonly atol?: number
}

/** All numbers in order, whatever the nesting. */
export const flat = (x: Numbers): ReadonlyArray<number> =>
  typeof x === "number" ? [x] : typeof x === "boolean" ? [x ? 1 : 0] : Array.from<Numbers>(x).flatMap(flat)

/** 0 where both are the same (nan too), else how many times the tolerance they are apart. */
const distance = (a: number, b: number, rtol: number, atol: number): number => {
  if (Object.is(a, b) || a === b) return 0
  const apart = Math.abs(a - b)
  const allowed = atol + rtol * Math.abs(b)
  return Number.isFinite(apart) ? (allowed === 0 ? Infinity : apart / allowed) : Infinity
}

/**
 * Fails unless all elements are close, with the worst element, its place, and how many others are off. `what` says
 * which case it was. nan is close to nan only, an infinity to itself only.
 */
export const assertClose = (actual: Numbers, expected: Numbers, tolerance: Tolerance = {}, what = "arrays"): void => {
  const { atol = 1e-6, rtol = 1e-5 } = tolerance
  const a = flat(actual)
  const b = flat(expected)
  assert.strictEqual(a.length, b.length, `${what}: number of elements`)
  const distances = a.map((x, i) => distance(x, b[i], rtol, atol))
  const worst = distances.reduce((at, d, i) => d > distances[at] ? i : at, 0)
  if (a.length === 0 || distances[worst] <= 1) return
  const off = distances.filter((d) => d > 1).length
  const show = (xs: ReadonlyArray<number>) => `[${xs.slice(0, 8).join(", ")}${xs.length > 8 ? ", …" : ""}]`
  assert.fail(
    `${what}: ${off} of ${a.length} elements are off; the worst, number ${worst}, is ${a[worst]} and should be ${
      b[worst]
    } (rtol ${rtol}, atol ${atol})\n  actual:   ${show(a)}\n  expected: ${show(b)}`
  )
}
