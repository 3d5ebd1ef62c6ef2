/**
 * How windows are laid over an array: paddings by name, which convolutions and pooling share.
 */
import { ShapeError } from "../errors.ts"
import type * as Shape from "../Shape.ts"

/** Elements before and after along one axis. */
export type Pad = readonly [low: number, high: number]

/**
 * Padding: a pair for each axis, or a name. `VALID` pads nothing. `SAME` pads so that there are ⌈size / stride⌉
 * windows, the odd element at the end (`SAME_LOWER`: at the start).
 */
export type Padding = "SAME" | "SAME_LOWER" | "VALID" | ReadonlyArray<Pad>

/** What callers without types may call a padding. */
export const unknownPadding = (operation: string, padding: never): ShapeError =>
  new ShapeError({
    operation,
    expected: "a padding that is known by name, or numbers",
    found: JSON.stringify(padding),
    hint: "SAME and VALID are known everywhere, others by some functions"
  })

/** The padding in numbers, for windows of the given (dilated) sizes: `lax.padtype_to_pads`. */
export const pads = (
  operation: string,
  padding: Padding,
  sizes: Shape.Shape,
  windows: Shape.Shape,
  strides: ReadonlyArray<number>
): ReadonlyArray<Pad> => {
  if (typeof padding !== "string") {
    if (padding.length !== sizes.length) {
      throw new ShapeError({
        operation,
        expected: `${sizes.length} pairs [low, high]`,
        found: JSON.stringify(padding),
        hint: "one pair an axis, or a name such as \"SAME\""
      })
    }
    return padding
  }
  if (padding === "VALID") return sizes.map((): Pad => [0, 0])
  if (padding !== "SAME" && padding !== "SAME_LOWER") throw unknownPadding(operation, padding)
  return sizes.map((size, i): Pad => {
    const total = Math.max(0, (Math.ceil(size / strides[i]) - 1) * strides[i] + windows[i] - size)
    const half = Math.floor(total / 2)
    return padding === "SAME" ? [half, total - half] : [total - half, half]
  })
}

/** One number for each of `n` axes, from a list of them or one for all. */
export const each = (
  operation: string,
  what: string,
  given: number | ReadonlyArray<number> | undefined,
  n: number
): ReadonlyArray<number> => {
  const list = typeof given === "object" ? given : Array.from<number>({ length: n }).fill(given ?? 1)
  if (list.length !== n) {
    throw new ShapeError({
      operation,
      expected: `${n} ${what}`,
      found: JSON.stringify(given),
      hint: "one number an axis, or one for all"
    })
  }
  return list
}
