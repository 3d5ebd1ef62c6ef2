/**
 * Shapes: sizes along the axes of an array, and the arithmetic on them (broadcasting, strides, axis names).
 *
 * Everything here is pure and knows nothing of tensors. A shape is a readonly array of non-negative integers.
 */
import { ShapeError } from "./errors.ts"

/** Sizes along the axes. `[]` is a scalar. */
export type Shape = ReadonlyArray<number>

/** The number of elements: the product of the sizes, 1 for a scalar. */
export const size = (shape: Shape): number => {
  let n = 1
  for (const d of shape) n *= d
  return n
}

/** Same rank and same sizes? */
export const equals = (a: Shape, b: Shape): boolean => {
  if (a === b) return true
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

/** As printed in messages: `[2,3]`. */
export const format = (shape: Shape): string => `[${shape.join(",")}]`

/** Row-major strides in elements. */
export const strides = (shape: Shape): ReadonlyArray<number> => {
  const out = Array.from<number>({ length: shape.length })
  let step = 1
  for (let i = shape.length - 1; i >= 0; i--) {
    out[i] = step
    step *= shape[i]
  }
  return out
}

/** `[0, 1, …, n-1]`. */
export const range = (n: number): ReadonlyArray<number> => Array.from({ length: n }, (_, i) => i)

/** A non-negative axis from one that may count from the end. Fails with a `ShapeError` when it is out of range. */
export const axis = (operation: string, at: number, rank: number): number => {
  if (!Number.isInteger(at) || at < -rank || at >= rank) {
    throw new ShapeError({
      operation,
      expected: rank === 0 ? "no axis: the operand is a scalar" : `an axis from ${-rank} to ${rank - 1}`,
      found: `axis ${at}`,
      hint: "axes count from 0, or from -1 at the end"
    })
  }
  return at < 0 ? at + rank : at
}

/** Several axes, sorted, checked to be distinct. `undefined` means all of them. */
export const axes = (
  operation: string,
  at: number | ReadonlyArray<number> | null | undefined,
  rank: number
): ReadonlyArray<number> => {
  if (at === undefined || at === null) return range(rank)
  const out = (typeof at === "number" ? [at] : at).map((a) => axis(operation, a, rank)).toSorted((a, b) => a - b)
  if (new Set(out).size !== out.length) {
    throw new ShapeError({ operation, expected: "distinct axes", found: format(out), hint: "name every axis once" })
  }
  return out
}

/**
 * NumPy broadcasting: align at the right, sizes agree or one of them is 1. Fails with a `ShapeError` naming all shapes.
 */
export const broadcast = (operation: string, ...shapes: ReadonlyArray<Shape>): Shape => {
  if (shapes.every((s) => equals(s, shapes[0]))) return shapes[0]
  const rank = Math.max(...shapes.map((s) => s.length))
  return range(rank).map((i) => {
    let out = 1
    for (const shape of shapes) {
      const d = shape[i - rank + shape.length]
      if (d === undefined || d === 1 || d === out) continue
      if (out !== 1) {
        throw new ShapeError({
          operation,
          expected: "shapes that broadcast (aligned at the last axis, sizes are equal or 1)",
          found: shapes.map(format).join(" and "),
          hint: "insert axes with expandDims or reshape"
        })
      }
      out = d
    }
    return out
  })
}

/** `shape` without the axes `drop` (which are canonical). */
export const without = (shape: Shape, drop: ReadonlyArray<number>): Shape => shape.filter((_, i) => !drop.includes(i))

/** Is every size a non-negative integer? Fails with a `ShapeError` otherwise. */
export const check = (operation: string, shape: Shape): Shape => {
  for (const d of shape) {
    if (!Number.isSafeInteger(d) || d < 0) {
      throw new ShapeError({
        operation,
        expected: "sizes that are non-negative integers",
        found: format(shape),
        hint: "shapes are known before anything runs; a size cannot come from an array's values"
      })
    }
  }
  return shape
}
