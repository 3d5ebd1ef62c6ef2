/**
 * Joining arrays and cutting them apart, as in `numpy`. Joined arrays promote to one dtype.
 */
import { dual } from "effect/Function"
import { ShapeError } from "../errors.ts"
import * as lax from "../lax/index.ts"
import * as Shape from "../Shape.ts"
import * as ShapedArray from "../ShapedArray.ts"
import { isTensor, lift, type Tensor, type TensorLike } from "../Tensor.ts"
import { promote } from "./promotion.ts"
import { atleast1d, atleast2d, expandDims, ravel } from "./shaping.ts"

const isList = (args: IArguments): boolean => Array.isArray(args[0])

/**
 * The arrays joined along an axis that they have (0 by default); null flattens them first. Other sizes agree.
 *
 * Fails with a `ShapeError` when sizes differ, when there is no array, and on scalars.
 */
export const concatenate: {
  (axis?: number | null): (xs: ReadonlyArray<Tensor>) => Tensor
  (xs: ReadonlyArray<Tensor>, axis?: number | null): Tensor
} = dual(isList, (xs: ReadonlyArray<Tensor>, axis: number | null = 0): Tensor => {
  if (xs.length === 0) return lax.concatenate([], 0)
  const promoted = promote("concatenate", ...xs)
  return axis === null ? lax.concatenate(promoted.map(ravel), 0) : lax.concatenate(promoted, axis)
})

/** The arrays, all of one shape, joined along a new axis (0 by default). Numbers are scalars. */
export const stack: {
  (axis?: number): (xs: ReadonlyArray<TensorLike>) => Tensor
  (xs: ReadonlyArray<TensorLike>, axis?: number): Tensor
} = dual(isList, (xs: ReadonlyArray<TensorLike>, axis = 0): Tensor => {
  if (xs.length === 0) return lax.concatenate([], 0)
  const promoted = promote("stack", ...xs)
  const [head] = promoted
  if (!promoted.every((x) => Shape.equals(x.shape, head.shape))) {
    throw new ShapeError({
      operation: "stack",
      expected: "arrays of one shape",
      found: promoted.map((x) => ShapedArray.format(x.aval)).join(", "),
      hint: "use concatenate, or broadcastTo first"
    })
  }
  const at = Shape.axis("stack", axis, head.ndim + 1)
  return lax.concatenate(promoted.map((x) => expandDims(x, at)), at)
})

/** The arrays as rows, one below the other: along axis 0, vectors being rows. */
export const vstack = (xs: ReadonlyArray<TensorLike>): Tensor => concatenate(xs.map(atleast2d), 0)

/** The arrays side by side: along axis 1, of vectors along axis 0. */
export const hstack = (xs: ReadonlyArray<TensorLike>): Tensor => {
  const arrays = xs.map(atleast1d)
  return concatenate(arrays, arrays.length > 0 && arrays[0].ndim === 1 ? 0 : 1)
}

/** Vectors as the columns of a matrix; matrices side by side. */
export const columnStack = (xs: ReadonlyArray<TensorLike>): Tensor =>
  concatenate(
    xs.map(lift).map((x) => x.ndim < 2 ? lax.reshape(x, [x.size, 1]) : x),
    1
  )

/** `values` after `x`, along an axis; both flattened when it is left out. */
export const append = (x: TensorLike, values: TensorLike, axis: number | null = null): Tensor =>
  concatenate([atleast1d(x), atleast1d(values)], axis)

/** Where to cut: so many parts, or before these positions. */
export type Cuts = number | ReadonlyArray<number>

const cut = (x: Tensor, positions: ReadonlyArray<number>, axis: number): ReadonlyArray<Tensor> => {
  const size = x.shape[axis]
  const bounds = positions.map((p) => Math.min(Math.max(p < 0 ? p + size : p, 0), size))
  const starts = [0, ...bounds]
  const ends = [...bounds, size]
  return starts.map((start, i) =>
    lax.slice(x, x.shape.map(() => 0).with(axis, start), x.shape.with(axis, Math.max(start, ends[i])))
  )
}

const sections = (operation: string, x: Tensor, n: number, axis: number, equal: boolean): ReadonlyArray<number> => {
  const size = x.shape[axis]
  if (!Number.isInteger(n) || n < 1 || (equal && size % n !== 0)) {
    throw new ShapeError({
      operation,
      expected: equal ? `a number of parts that divides ${size}` : "at least one part",
      found: `${n} parts of axis ${axis} of ${ShapedArray.format(x.aval)}`,
      hint: equal ? "arraySplit makes parts of unequal size" : "use a positive whole number"
    })
  }
  const longer = size % n
  const part = Math.floor(size / n)
  return Shape.range(n).slice(1).map((i) => i * part + Math.min(i, longer))
}

const first = (args: IArguments): boolean => isTensor(args[0])

/** A function that cuts an array along an axis (0 by default). */
export interface Split {
  (cuts: Cuts, axis?: number): (x: Tensor) => ReadonlyArray<Tensor>
  (x: Tensor, cuts: Cuts, axis?: number): ReadonlyArray<Tensor>
}

const splitting = (operation: string, equal: boolean): Split =>
  dual(first, (x: Tensor, cuts: Cuts, axis = 0): ReadonlyArray<Tensor> => {
    const at = Shape.axis(operation, axis, x.ndim)
    return cut(x, typeof cuts === "number" ? sections(operation, x, cuts, at, equal) : cuts, at)
  })

/**
 * The array cut into so many equal parts, or before the given positions. Fails with a `ShapeError` when parts would not
 * be equal.
 */
export const split: Split = splitting("split", true)

/** As `split`, but the first parts may be one longer. */
export const arraySplit: Split = splitting("arraySplit", false)

/** The slices along an axis (0 by default), without that axis. */
export const unstack: {
  (axis?: number): (x: Tensor) => ReadonlyArray<Tensor>
  (x: Tensor, axis?: number): ReadonlyArray<Tensor>
} = dual(first, (x: Tensor, axis = 0): ReadonlyArray<Tensor> => {
  const at = Shape.axis("unstack", axis, x.ndim)
  return cut(x, Shape.range(x.shape[at]).slice(1), at).slice(0, x.shape[at]).map((part) => lax.squeeze(part, [at]))
})
