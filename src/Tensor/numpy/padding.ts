/**
 * Padding as in `numpy.pad`: more elements before and after along every axis, all of one value (`constant`) or taken
 * from the array (`edge`, `reflect`, `symmetric`, `wrap`). Modes that read the array treat one axis after the other.
 */
import { dual } from "effect/Function"
import { ShapeError } from "../errors.ts"
import * as lax from "../lax/index.ts"
import * as Shape from "../Shape.ts"
import * as ShapedArray from "../ShapedArray.ts"
import { isTensor, lift, type Tensor, type TensorLike } from "../Tensor.ts"
import { cast } from "./promotion.ts"

/** Elements before and after: one number for all, `[before, after]` for every axis, or a pair an axis. */
export type PadWidth = number | readonly [number, number] | ReadonlyArray<readonly [number, number]>

/** Where padding comes from. */
export type PadMode = "constant" | "edge" | "reflect" | "symmetric" | "wrap"

/** Options of `pad`. */
export interface PadOptions {
  /** `constant` by default. */
  readonly mode?: PadMode | undefined
  /** What mode `constant` writes; 0 by default. */
  readonly constantValues?: TensorLike | undefined
}

type Widths = ReadonlyArray<readonly [number, number]>

const isPair = (
  w: readonly [number, number] | ReadonlyArray<readonly [number, number]>
): w is readonly [number, number] => w.length === 2 && typeof w[0] === "number"

const widthsOf = (x: Tensor, width: PadWidth): Widths => {
  const pairs: Widths = typeof width === "number"
    ? x.shape.map(() => [width, width] as const)
    : isPair(width)
    ? x.shape.map(() => width)
    : width.length === 1
    ? x.shape.map(() => width[0])
    : width
  if (pairs.length !== x.ndim || pairs.some((p) => p.length !== 2 || p.some((n) => !Number.isInteger(n) || n < 0))) {
    throw new ShapeError({
      operation: "pad",
      expected: `widths of at least 0: a number, a pair, or ${x.ndim} pairs`,
      found: `${JSON.stringify(width)} for ${ShapedArray.format(x.aval)}`,
      hint: "lax.pad crops with negative widths"
    })
  }
  return pairs
}

const sliceAxis = (x: Tensor, axis: number, start: number, stop: number): Tensor =>
  lax.slice(x, x.shape.map(() => 0).with(axis, start), x.shape.with(axis, stop))

/** One more stretch of padding on one side, no longer than the mode can take from the array as it is now. */
interface Stretch {
  /** How many of `n` elements can be had at once. */
  readonly limit: (size: number) => number
  readonly before: (x: Tensor, axis: number, n: number) => Tensor
  readonly after: (x: Tensor, axis: number, n: number) => Tensor
}

const repeated = (x: Tensor, axis: number, n: number): Tensor => lax.broadcastTo(x, x.shape.with(axis, n))

const mirrored = (skip: (size: number) => number): Stretch => ({
  limit: (size) => size - skip(size),
  before: (x, axis, n) => lax.rev(sliceAxis(x, axis, skip(x.shape[axis]), skip(x.shape[axis]) + n), [axis]),
  after: (x, axis, n) => {
    const end = x.shape[axis] - skip(x.shape[axis])
    return lax.rev(sliceAxis(x, axis, end - n, end), [axis])
  }
})

const stretches: Readonly<Record<Exclude<PadMode, "constant" | "wrap">, Stretch>> = {
  edge: {
    limit: () => Infinity,
    before: (x, axis, n) => repeated(sliceAxis(x, axis, 0, 1), axis, n),
    after: (x, axis, n) => repeated(sliceAxis(x, axis, x.shape[axis] - 1, x.shape[axis]), axis, n)
  },
  // The edge itself is not repeated, unless there is nothing else.
  reflect: mirrored((size) => size > 1 ? 1 : 0),
  symmetric: mirrored(() => 0)
}

/** Grows one side until it has `n` more. Each stretch may be as long as the original axis allows. */
const grow = (x: Tensor, axis: number, n: number, size: number, stretch: Stretch, side: "before" | "after"): Tensor => {
  let out = x
  for (let left = n; left > 0;) {
    const step = Math.min(left, stretch.limit(size))
    const part = stretch[side](out, axis, step)
    out = lax.concatenate(side === "before" ? [part, out] : [out, part], axis)
    left -= step
  }
  return out
}

const wrap = (x: Tensor, axis: number, before: number, after: number): Tensor => {
  const size = x.shape[axis]
  const head = before % size
  const tail = after % size
  const whole = Math.floor(before / size) + Math.floor(after / size) + 1
  return lax.concatenate([
    ...(head > 0 ? [sliceAxis(x, axis, size - head, size)] : []),
    ...Shape.range(whole).map(() => x),
    ...(tail > 0 ? [sliceAxis(x, axis, 0, tail)] : [])
  ], axis)
}

const padAxis = (
  x: Tensor,
  axis: number,
  [before, after]: readonly [number, number],
  mode: Exclude<PadMode, "constant">
): Tensor => {
  const size = x.shape[axis]
  if (before === 0 && after === 0) return x
  if (size === 0) {
    throw new ShapeError({
      operation: "pad",
      expected: `an axis that is not empty, for mode ${mode}`,
      found: `axis ${axis} of ${ShapedArray.format(x.aval)}`,
      hint: "use mode constant"
    })
  }
  if (mode === "wrap") return wrap(x, axis, before, after)
  const started = grow(x, axis, before, size, stretches[mode], "before")
  return grow(started, axis, after, size, stretches[mode], "after")
}

/**
 * The array with padding along its axes. Widths are one number, `[before, after]`, or one such pair an axis.
 *
 * ```ts import.meta.vitest
 * import { Tensor } from "linum"
 *
 * const x = Tensor.arange(6).reshape([2, 3])
 * console.log(Tensor.pad(x, [[1, 0], [2, 2]]).shape) // => [ 3, 7 ]
 * console.log(Tensor.pad(x, 1, { mode: "edge" }).shape) // => [ 4, 5 ]
 * ```
 *
 * @category shaping
 * @since 0.1.0
 */
export const pad: {
  (width: PadWidth, options?: PadOptions): (x: Tensor) => Tensor
  (x: Tensor, width: PadWidth, options?: PadOptions): Tensor
} = dual((args) => isTensor(args[0]), (x: Tensor, width: PadWidth, options: PadOptions = {}): Tensor => {
  const { constantValues = 0, mode = "constant" } = options
  const widths = widthsOf(x, width)
  if (mode !== "constant") return widths.reduce((y, w, axis) => padAxis(y, axis, w, mode), x)
  const value = cast(lift(constantValues), x.dtype, x.weakType)
  return lax.pad(x, value, widths.map(([low, high]) => [low, high, 0]))
})
