/**
 * Other shapes and orders of the same elements, as in `numpy`: reshaping, axes, broadcasting, reversing, rolling,
 * repeating, and conversion to another dtype. All of them are pipeable: `reshape(x, [2, -1])`, `pipe(x, reshape([2,
 * -1]))`.
 */
import { dual } from "effect/Function"
import type * as DType from "../DType.ts"
import { ShapeError } from "../errors.ts"
import * as lax from "../lax/index.ts"
import type { Axes } from "../Methods.ts"
import * as Shape from "../Shape.ts"
import * as ShapedArray from "../ShapedArray.ts"
import { isTensor, lift, type Tensor, type TensorLike } from "../Tensor.ts"
import { type ShapeLike, toShape } from "./arguments.ts"
import { broadcast } from "./promotion.ts"

export type { ShapeLike } from "./arguments.ts"

const first = (args: IArguments): boolean => isTensor(args[0])

const fail = (operation: string, expected: string, found: string, hint: string): never => {
  throw new ShapeError({ operation, expected, found, hint })
}

/** The shape with its one -1 replaced by what is left over. */
const inferred = (x: Tensor, shape: Shape.Shape): Shape.Shape => {
  const holes = shape.filter((d) => d === -1).length
  if (holes === 0) return shape
  const known = shape.reduce((n, d) => d === -1 ? n : n * d, 1)
  if (holes > 1 || known === 0 || x.size % known !== 0) {
    fail(
      "reshape",
      holes > 1 ? "at most one -1" : `sizes that divide ${x.size}`,
      `${ShapedArray.format(x.aval)} to ${Shape.format(shape)}`,
      "-1 stands for the one size that the others leave over"
    )
  }
  return shape.map((d) => d === -1 ? x.size / known : d)
}

/**
 * The same elements, row-major, in another shape. One size may be -1: what the others leave over.
 *
 * Fails with a `ShapeError` when the sizes do not multiply to the number of elements.
 *
 * ```ts import.meta.vitest
 * import { Tensor } from "linum"
 *
 * const x = Tensor.arange(6)
 * console.log(x.reshape([2, -1]).shape) // => [ 2, 3 ]
 * ```
 *
 * @category shaping
 * @since 0.1.0
 */
export const reshape: {
  (shape: ShapeLike): (x: Tensor) => Tensor
  (x: Tensor, shape: ShapeLike): Tensor
} = dual(2, (x: Tensor, shape: ShapeLike): Tensor => lax.reshape(x, inferred(x, toShape(shape))))

/** The elements along one axis, row-major. */
export const ravel = (x: Tensor): Tensor => lax.reshape(x, [x.size])

/** The elements along one axis, row-major: `ravel` by its other name. */
export const flatten = ravel

/** The array with axis `axes[i]` as its axis i; the axes in reverse order when left out. */
export const transpose: {
  (axes?: ReadonlyArray<number>): (x: Tensor) => Tensor
  (x: Tensor, axes?: ReadonlyArray<number>): Tensor
} = dual(
  first,
  (x: Tensor, axes?: ReadonlyArray<number>): Tensor => lax.transpose(x, axes ?? Shape.range(x.ndim).toReversed())
)

/** The last two axes exchanged. */
export const matrixTranspose = (x: Tensor): Tensor =>
  x.ndim < 2
    ? fail("matrixTranspose", "at least two axes", ShapedArray.format(x.aval), "add an axis with expandDims")
    : swapaxes(x, -1, -2)

const list = (axis: number | ReadonlyArray<number>): ReadonlyArray<number> => typeof axis === "number" ? [axis] : axis

/** The axes `source` moved to the places `destination`; the others stay in order. */
export const moveaxis: {
  (source: number | ReadonlyArray<number>, destination: number | ReadonlyArray<number>): (x: Tensor) => Tensor
  (x: Tensor, source: number | ReadonlyArray<number>, destination: number | ReadonlyArray<number>): Tensor
} = dual(
  3,
  (x: Tensor, source: number | ReadonlyArray<number>, destination: number | ReadonlyArray<number>): Tensor => {
    const from = list(source).map((a) => Shape.axis("moveaxis", a, x.ndim))
    const to = list(destination).map((a) => Shape.axis("moveaxis", a, x.ndim))
    if (from.length !== to.length || new Set(from).size !== from.length || new Set(to).size !== to.length) {
      fail(
        "moveaxis",
        "as many distinct sources as destinations",
        `${Shape.format(from)} to ${Shape.format(to)}`,
        "name every axis once"
      )
    }
    const order = Shape.range(x.ndim).filter((a) => !from.includes(a))
    for (const i of Shape.range(to.length).toSorted((a, b) => to[a] - to[b])) order.splice(to[i], 0, from[i])
    return lax.transpose(x, order)
  }
)

/** Two axes exchanged. */
export const swapaxes: {
  (axis1: number, axis2: number): (x: Tensor) => Tensor
  (x: Tensor, axis1: number, axis2: number): Tensor
} = dual(3, (x: Tensor, axis1: number, axis2: number): Tensor => {
  const a = Shape.axis("swapaxes", axis1, x.ndim)
  const b = Shape.axis("swapaxes", axis2, x.ndim)
  return lax.transpose(x, Shape.range(x.ndim).map((i) => i === a ? b : i === b ? a : i))
})

/** Axes of size 1 inserted, at these places of the result. */
export const expandDims: {
  (axis: number | ReadonlyArray<number>): (x: TensorLike) => Tensor
  (x: TensorLike, axis: number | ReadonlyArray<number>): Tensor
} = dual(2, (x: TensorLike, axis: number | ReadonlyArray<number>): Tensor => {
  const a = lift(x)
  const at = Shape.axes("expandDims", axis, a.ndim + list(axis).length)
  const shape = [...a.shape]
  for (const i of at) shape.splice(i, 0, 1)
  return lax.reshape(a, shape)
})

/**
 * Axes of size 1 removed: the named ones, or all of them. Fails with a `ShapeError` when a named one has another size.
 */
export const squeeze: {
  (axis?: Axes): (x: Tensor) => Tensor
  (x: Tensor, axis?: Axes): Tensor
} = dual(
  first,
  (x: Tensor, axis: Axes = null): Tensor =>
    lax.squeeze(x, axis === null ? Shape.range(x.ndim).filter((i) => x.shape[i] === 1) : list(axis))
)

/** The array repeated to a shape: aligned at the last axis, sizes of 1 stretch. */
export const broadcastTo: {
  (shape: ShapeLike): (x: TensorLike) => Tensor
  (x: TensorLike, shape: ShapeLike): Tensor
} = dual(2, (x: TensorLike, shape: ShapeLike): Tensor => {
  const a = lift(x)
  const to = toShape(shape)
  const fits = a.ndim <= to.length &&
    a.shape.every((d, i) => d === 1 || d === to[i + to.length - a.ndim])
  if (!fits) {
    fail(
      "broadcastTo",
      `a shape that stretches to ${Shape.format(to)}`,
      ShapedArray.format(a.aval),
      "sizes are equal or 1, aligned at the last axis"
    )
  }
  return lax.broadcastTo(a, to)
})

/** All arrays in the shape that they broadcast to together; dtypes stay. */
export const broadcastArrays = (...xs: ReadonlyArray<TensorLike>): ReadonlyArray<Tensor> =>
  broadcast("broadcastArrays", xs.map(lift))

/** At least one axis: scalars get one. */
export const atleast1d = (x: TensorLike): Tensor => lift(x).ndim >= 1 ? lift(x) : lax.reshape(lift(x), [1])

/** At least two axes: missing ones are added in front. */
export const atleast2d = (x: TensorLike): Tensor => {
  const a = atleast1d(x)
  return a.ndim >= 2 ? a : lax.reshape(a, [1, a.shape[0]])
}

// --- order ---

/** The order along axes reversed; along all when left out. */
export const flip: {
  (axis?: Axes): (x: Tensor) => Tensor
  (x: Tensor, axis?: Axes): Tensor
} = dual(first, (x: Tensor, axis: Axes = null): Tensor => lax.rev(x, Shape.axes("flip", axis, x.ndim)))

const rollOne = (x: Tensor, shift: number, axis: number): Tensor => {
  const size = x.shape[axis]
  const start = size === 0 ? 0 : ((-shift % size) + size) % size
  if (start === 0) return x
  const zero = x.shape.map(() => 0)
  return lax.concatenate([
    lax.slice(x, zero.with(axis, start), x.shape),
    lax.slice(x, zero, x.shape.with(axis, start))
  ], axis)
}

/**
 * Elements moved by `shift` places along axes (of the flattened array when they are left out); what falls off comes
 * back in front.
 */
export const roll: {
  (shift: number | ReadonlyArray<number>, axis?: Axes): (x: Tensor) => Tensor
  (x: Tensor, shift: number | ReadonlyArray<number>, axis?: Axes): Tensor
} = dual(first, (x: Tensor, shift: number | ReadonlyArray<number>, axis: Axes = null): Tensor => {
  if (axis === null) return lax.reshape(list(shift).reduce((y, s) => rollOne(y, s, 0), ravel(x)), x.shape)
  const axes = list(axis).map((a) => Shape.axis("roll", a, x.ndim))
  const shifts = list(shift)
  const n = Shape.broadcast("roll", [axes.length], [shifts.length])[0]
  return Shape.range(n).reduce(
    (y, i) => rollOne(y, shifts[shifts.length === 1 ? 0 : i], axes[axes.length === 1 ? 0 : i]),
    x
  )
})

/** A quarter turn of the plane of two axes (0 and 1 by default), `k` times, from the first towards the second. */
export const rot90: {
  (k?: number, axes?: readonly [number, number]): (x: Tensor) => Tensor
  (x: Tensor, k?: number, axes?: readonly [number, number]): Tensor
} = dual(first, (x: Tensor, k = 1, axes: readonly [number, number] = [0, 1]): Tensor => {
  switch (((k % 4) + 4) % 4) {
    case 1:
      return swapaxes(flip(x, axes[1]), axes[0], axes[1])
    case 2:
      return flip(x, axes)
    case 3:
      return flip(swapaxes(x, axes[0], axes[1]), axes[1])
    default:
      return x
  }
})

// --- repetition ---

/** The whole array repeated `reps[i]` times along axis i; axes are aligned at the last. */
export const tile: {
  (reps: number | ReadonlyArray<number>): (x: TensorLike) => Tensor
  (x: TensorLike, reps: number | ReadonlyArray<number>): Tensor
} = dual(2, (x: TensorLike, reps: number | ReadonlyArray<number>): Tensor => {
  const a = lift(x)
  const counts = list(reps)
  const rank = Math.max(a.ndim, counts.length)
  const shape = Shape.range(rank).map((i) => a.shape[i - rank + a.ndim] ?? 1)
  const times = Shape.range(rank).map((i) => counts[i - rank + counts.length] ?? 1)
  const spread = lax.reshape(a, shape.flatMap((d) => [1, d]))
  return lax.reshape(
    lax.broadcastTo(spread, shape.flatMap((d, i) => [times[i], d])),
    shape.map((d, i) => times[i] * d)
  )
})

/** Options of `repeat`. */
export interface RepeatOptions {
  /** The axis to repeat along; the flattened array when left out. */
  readonly axis?: number | null | undefined
}

const repeatEach = (x: Tensor, counts: ReadonlyArray<number>, axis: number): Tensor => {
  if (counts.length !== x.shape[axis]) {
    fail(
      "repeat",
      `one count for each of ${x.shape[axis]} places`,
      `${counts.length} counts`,
      "a single number repeats all alike"
    )
  }
  const zero = x.shape.map(() => 0)
  const parts = counts.flatMap((n, i) => {
    if (n === 0) return []
    const part = lax.slice(x, zero.with(axis, i), x.shape.with(axis, i + 1))
    return [lax.broadcastTo(part, x.shape.with(axis, n))]
  })
  return parts.length === 0 ? lax.slice(x, zero, x.shape.with(axis, 0)) : lax.concatenate(parts, axis)
}

/**
 * Every element repeated `repeats` times in place; or `repeats[i]` times the i-th along the axis. Counts are static.
 */
export const repeat: {
  (repeats: number | ReadonlyArray<number>, options?: RepeatOptions): (x: Tensor) => Tensor
  (x: Tensor, repeats: number | ReadonlyArray<number>, options?: RepeatOptions): Tensor
} = dual(first, (x: Tensor, repeats: number | ReadonlyArray<number>, options: RepeatOptions = {}): Tensor => {
  const { axis = null } = options
  const a = axis === null ? ravel(x) : x
  const at = Shape.axis("repeat", axis ?? 0, a.ndim)
  const counts = list(repeats)
  if (counts.length !== 1) return repeatEach(a, counts, at)
  const [n] = counts
  const spread = lax.broadcastInDim(
    a,
    [...a.shape.slice(0, at + 1), n, ...a.shape.slice(at + 1)],
    Shape.range(a.ndim).map((i) => i <= at ? i : i + 1)
  )
  return lax.reshape(spread, a.shape.with(at, a.shape[at] * n))
})

// --- dtypes ---

/**
 * The elements converted to another dtype. Floats to integers truncate towards zero; to bool by `x != 0`; to narrower
 * floats to nearest, ties to even. The result is not weakly typed.
 */
export const astype: {
  (dtype: DType.DType): (x: TensorLike) => Tensor
  (x: TensorLike, dtype: DType.DType): Tensor
} = dual(2, (x: TensorLike, dtype: DType.DType): Tensor => lax.convertElementType(lift(x), dtype))

/** The same bits read as another dtype of the same width. */
export const view: {
  (dtype: DType.DType): (x: Tensor) => Tensor
  (x: Tensor, dtype: DType.DType): Tensor
} = dual(2, (x: Tensor, dtype: DType.DType): Tensor => x.dtype === dtype ? x : lax.bitcastConvertType(x, dtype))
