/**
 * Triangles and diagonals of matrices, as in `numpy`. A matrix here is the last two axes; axes before them are a batch.
 */
import { dual } from "effect/Function"
import { tri } from "../construct.ts"
import { ShapeError } from "../errors.ts"
import * as lax from "../lax/index.ts"
import type { DiagonalOptions } from "../Methods.ts"
import * as ShapedArray from "../ShapedArray.ts"
import { isTensor, type Tensor } from "../Tensor.ts"
import { constantLike, filled } from "./promotion.ts"
import { sum } from "./reductions.ts"
import { moveaxis } from "./shaping.ts"

const first = (args: IArguments): boolean => isTensor(args[0])

const matrix = (operation: string, x: Tensor): readonly [number, number] => {
  if (x.ndim < 2) {
    throw new ShapeError({
      operation,
      expected: "an array of at least two axes",
      found: ShapedArray.format(x.aval),
      hint: "add an axis with expandDims"
    })
  }
  return [x.shape[x.ndim - 2], x.shape[x.ndim - 1]]
}

/** Chooses by a triangle of the last two axes. */
const triangle = (operation: string, x: Tensor, k: number, inside: Tensor, outside: Tensor): Tensor => {
  const mask = lax.broadcastTo(tri(...matrix(operation, x), { k, dtype: "bool" }), x.shape)
  return lax.selectN(mask, outside, inside)
}

/** A function of an array and a diagonal, 0 by default. */
export interface OnDiagonal {
  (k?: number): (x: Tensor) => Tensor
  (x: Tensor, k?: number): Tensor
}

/** The lower triangle, elements above diagonal k zeroed. */
export const tril: OnDiagonal = dual(first, (x: Tensor, k = 0): Tensor => triangle("tril", x, k, x, filled(x, 0)))

/** The upper triangle, elements below diagonal k zeroed. */
export const triu: OnDiagonal = dual(first, (x: Tensor, k = 0): Tensor => triangle("triu", x, k - 1, filled(x, 0), x))

/** The elements of a diagonal of the matrices spanned by two axes, along a new last axis. */
export const diagonal: {
  (options?: DiagonalOptions): (x: Tensor) => Tensor
  (x: Tensor, options?: DiagonalOptions): Tensor
} = dual(first, (x: Tensor, options: DiagonalOptions = {}): Tensor => {
  const { axis1 = 0, axis2 = 1, offset = 0 } = options
  matrix("diagonal", x)
  const a = moveaxis(x, [axis1, axis2], [-2, -1])
  const [rows, columns] = matrix("diagonal", a)
  const length = Math.max(0, Math.min(rows + Math.min(offset, 0), columns - Math.max(offset, 0)))
  const batch = a.shape.slice(0, -2)
  const start = offset >= 0 ? offset : -offset * columns
  // Row-major, the next element of a diagonal is columns + 1 places on. After the crop a row of columns + 1 begins at
  // each.
  const flat = lax.reshape(a, [...batch, rows * columns])
  const from = Math.min(start, rows * columns)
  const last = flat.ndim - 1
  const zero = flat.shape.map(() => 0)
  const end = length === 0 ? from : from + (length - 1) * (columns + 1) + 1
  return lax.slice(flat, zero.with(last, from), flat.shape.with(last, end), zero.map(() => 1).with(last, columns + 1))
})

/** Of a vector the matrix with it on diagonal k; of a matrix its diagonal k. */
export const diag: OnDiagonal = dual(first, (x: Tensor, k = 0): Tensor => {
  if (x.ndim === 2) return diagonal(x, { offset: k })
  if (x.ndim !== 1) {
    throw new ShapeError({
      operation: "diag",
      expected: "a vector or a matrix",
      found: ShapedArray.format(x.aval),
      hint: "diagonal takes arrays of any rank"
    })
  }
  const n = x.size + Math.abs(k)
  const rows = lax.iota("int32", [n, n], 0)
  const columns = lax.iota("int32", [n, n], 1)
  const on = lax.eq(lax.add(rows, filled(rows, k)), columns)
  const padded = lax.pad(x, constantLike(x, 0), [[Math.max(0, -k), Math.max(0, k), 0]])
  const values = lax.broadcastInDim(padded, [n, n], [0])
  return lax.selectN(on, filled(values, 0), values)
})

/** The sum along a diagonal of the matrices spanned by two axes. */
export const trace: {
  (options?: DiagonalOptions): (x: Tensor) => Tensor
  (x: Tensor, options?: DiagonalOptions): Tensor
} = dual(first, (x: Tensor, options: DiagonalOptions = {}): Tensor => sum(diagonal(x, options), -1))
