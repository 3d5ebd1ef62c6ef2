/**
 * Order statistics and differences, as in `numpy`.
 */
import { dual } from "effect/Function"
import { ShapeError } from "../errors.ts"
import * as lax from "../lax/index.ts"
import type { Axes } from "../Methods.ts"
import * as Shape from "../Shape.ts"
import { isTensor, type Tensor, type TensorLike } from "../Tensor.ts"
import { type Reduction, reduction } from "./arguments.ts"
import { concatenate } from "./joining.ts"
import { isnan, logicalXor } from "./logic.ts"
import { filled, inexact } from "./promotion.ts"
import { any } from "./reductions.ts"
import { atleast1d, broadcastTo } from "./shaping.ts"

/** What a quantile between two elements is. */
export type QuantileMethod = "linear" | "lower" | "higher" | "midpoint" | "nearest"

/** Options of `quantile`. */
export interface QuantileOptions {
  readonly axis?: Axes | undefined
  readonly keepdims?: boolean | undefined
  /** `linear` (the default) interpolates. */
  readonly method?: QuantileMethod | undefined
}

const weightOfHigher = (method: QuantileMethod, fraction: number): number => {
  switch (method) {
    case "linear":
      return fraction
    case "lower":
      return 0
    case "higher":
      return fraction > 0 ? 1 : 0
    case "midpoint":
      return fraction > 0 ? 0.5 : 0
    case "nearest":
      return fraction > 0.5 ? 1 : 0
  }
}

/** `x` with the named axes joined into one, the last. */
const joined = (x: Tensor, at: ReadonlyArray<number>): Tensor => {
  const rest = Shape.range(x.ndim).filter((i) => !at.includes(i))
  return lax.reshape(lax.transpose(x, [...rest, ...at]), [
    ...rest.map((i) => x.shape[i]),
    at.reduce((n, i) => n * x.shape[i], 1)
  ])
}

const quantileOf = (x: Tensor, q: number, options: QuantileOptions): Tensor => {
  const { axis, keepdims = false, method = "linear" } = options
  const a = inexact("quantile", x)
  const at = Shape.axes("quantile", axis, a.ndim)
  const flat = joined(lax.convertElementType(a, a.dtype), at)
  const last = flat.ndim - 1
  const n = flat.shape[last]
  if (n === 0 || !(q >= 0 && q <= 1)) {
    throw new ShapeError({
      operation: "quantile",
      expected: "elements along the axes, and 0 ≤ q ≤ 1",
      found: `${n} elements, q = ${q}`,
      hint: "q is a fraction, not a percentage"
    })
  }
  const sorted = lax.sort([flat], last)[0]
  const place = q * (n - 1)
  const low = Math.floor(place)
  const element = (i: number): Tensor =>
    lax.squeeze(lax.slice(sorted, flat.shape.map(() => 0).with(last, i), flat.shape.with(last, i + 1)), [last])
  const weight = weightOfHigher(method, place - low)
  const lower = element(low)
  const value = weight === 0
    ? lower
    : weight === 1
    ? element(low + 1)
    : lax.add(lax.mul(lower, filled(lower, 1 - weight)), lax.mul(element(low + 1), filled(lower, weight)))
  const out = lax.selectN(any(isnan(flat), -1), value, filled(value, Number.NaN))
  return keepdims ? lax.reshape(out, x.shape.map((d, i) => at.includes(i) ? 1 : d)) : out
}

/**
 * The value below which a fraction q (static, from 0 to 1) of the elements over axes lies; nan if any element is.
 * Integers in float32.
 */
export const quantile: {
  (q: number, options?: QuantileOptions): (x: Tensor) => Tensor
  (x: Tensor, q: number, options?: QuantileOptions): Tensor
} = dual(
  (args) => isTensor(args[0]),
  (x: Tensor, q: number, options: QuantileOptions = {}): Tensor => quantileOf(x, q, options)
)

/** The middle element over axes, or the mean of the middle two; nan if any element is. Integers in float32. */
export const median: Reduction<Omit<QuantileOptions, "method">> = reduction((x, options) =>
  quantileOf(x, 0.5, { ...options, method: "midpoint" })
)

/** Options of `diff`. */
export interface DiffOptions {
  /** How many times to take differences; 1 by default. */
  readonly n?: number | undefined
  /** The last by default. */
  readonly axis?: number | undefined
  /** Put before the array first. */
  readonly prepend?: TensorLike | undefined
  /** Put after the array first. */
  readonly append?: TensorLike | undefined
}

/** Every element minus the one before it, along an axis; of bool: whether they differ. */
export const diff: {
  (options?: DiffOptions): (x: Tensor) => Tensor
  (x: Tensor, options?: DiffOptions): Tensor
} = dual((args) => isTensor(args[0]), (x: Tensor, options: DiffOptions = {}): Tensor => {
  const { append, axis = -1, n = 1, prepend } = options
  const at = Shape.axis("diff", axis, x.ndim)
  const edge = (value: TensorLike): Tensor => {
    const a = atleast1d(value)
    return a.size === 1 ? broadcastTo(a, x.shape.with(at, 1)) : a
  }
  const whole = concatenate([
    ...(prepend === undefined ? [] : [edge(prepend)]),
    x,
    ...(append === undefined ? [] : [edge(append)])
  ], at)
  const once = (a: Tensor): Tensor => {
    const zero = a.shape.map(() => 0)
    const length = Math.max(0, a.shape[at] - 1)
    const later = lax.slice(a, zero.with(at, Math.min(1, a.shape[at])), a.shape)
    const earlier = lax.slice(a, zero, a.shape.with(at, length))
    return a.dtype === "bool" ? logicalXor(later, earlier) : lax.sub(later, earlier)
  }
  return Shape.range(n).reduce(once, whole)
})
