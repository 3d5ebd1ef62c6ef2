/**
 * Order: sorting, ranks, the largest few, and positions in sorted arrays, as in `numpy` and `jax.lax`. nan sorts last;
 * sorts are stable.
 */
import { dual } from "effect/Function"
import * as DType from "../DType.ts"
import { DTypeError, ShapeError } from "../errors.ts"
import * as lax from "../lax/index.ts"
import type { SortOptions } from "../Methods.ts"
import * as Shape from "../Shape.ts"
import * as ShapedArray from "../ShapedArray.ts"
import { isTensor, type Tensor, type TensorLike } from "../Tensor.ts"
import { constant, filled, promote } from "./promotion.ts"
import { type AlongAxis, sum } from "./reductions.ts"
import { atleast1d, ravel } from "./shaping.ts"

const along = (operation: string, x: Tensor, options: SortOptions | number | null | undefined) => {
  const { axis = -1, descending = false }: SortOptions = options === undefined
    ? {}
    : options === null || typeof options === "number"
    ? { axis: options }
    : options
  const a = axis === null ? ravel(x) : x
  return { a, at: Shape.axis(operation, axis ?? 0, a.ndim), descending }
}

const first = (args: IArguments): boolean => isTensor(args[0])

/**
 * The elements in ascending order along an axis (the last by default; null sorts the flattened array), nan last; or
 * descending, nan first.
 */
export const sort: AlongAxis<SortOptions> = dual(first, (x: Tensor, options?: SortOptions | number | null): Tensor => {
  const { a, at, descending } = along("sort", x, options)
  const sorted = lax.sort([a], at)[0]
  return descending ? lax.rev(sorted, [at]) : sorted
})

/** int32: the positions along an axis from which `sort` takes its elements; equal ones in their old order. */
export const argsort: AlongAxis<SortOptions> = dual(
  first,
  (x: Tensor, options?: SortOptions | number | null): Tensor => {
    const { a, at, descending } = along("argsort", x, options)
    const places = lax.iota("int32", a.shape, at)
    if (!descending) return lax.sort([a, places], at)[1]
    // Sorted from the other end and turned round, so that equal elements keep their order.
    return lax.rev(lax.sort([lax.rev(a, [at]), lax.rev(places, [at])], at)[1], [at])
  }
)

/** Values and int32 positions of the k largest elements along the last axis, descending; of equal ones the first. */
export const topK: {
  (k: number): (x: Tensor) => readonly [values: Tensor, indices: Tensor]
  (x: Tensor, k: number): readonly [values: Tensor, indices: Tensor]
} = dual(2, (x: Tensor, k: number): readonly [values: Tensor, indices: Tensor] => lax.topK(x, k))

/** Options of `searchsorted`. */
export interface SearchOptions {
  /** Among equal elements, before the first (`left`, the default) or after the last (`right`). */
  readonly side?: "left" | "right" | undefined
}

/** x < y, where nan is above everything. */
const below = (x: Tensor, y: Tensor): Tensor =>
  DType.isFloat(x.dtype) ? lax.or(lax.lt(x, y), lax.and(lax.eq(x, x), lax.ne(y, y))) : lax.lt(x, y)

/** int32: where to insert values into a sorted vector so that it stays sorted: the number of elements below each. */
export const searchsorted = (sorted: Tensor, values: TensorLike, options: SearchOptions = {}): Tensor => {
  const [a, v] = promote("searchsorted", sorted, values)
  if (a.ndim !== 1) {
    throw new ShapeError({
      operation: "searchsorted",
      expected: "a sorted vector",
      found: ShapedArray.format(a.aval),
      hint: "search one row at a time, with vmap"
    })
  }
  const shape = [...v.shape, a.size]
  const elements = lax.broadcastTo(a, shape)
  const wanted = lax.broadcastInDim(v, shape, Shape.range(v.ndim))
  const before = options.side === "right" ? lax.not(below(wanted, elements)) : below(elements, wanted)
  return sum(before, { axis: -1, dtype: "int32" })
}

/** Options of `bincount`. */
export interface BincountOptions {
  /** The number of bins: positions from `length` on are left out. */
  readonly length: number
  /** What every position counts; 1 by default. */
  readonly weights?: Tensor | undefined
}

/**
 * How often every number from 0 to `length` - 1 occurs (int32), or the sum of the weights where it does. Negative ones
 * count as 0.
 */
export const bincount = (x: Tensor, options: BincountOptions): Tensor => {
  if (DType.isFloat(x.dtype)) {
    throw new DTypeError({
      operation: "bincount",
      expected: "an integer array",
      found: ShapedArray.format(x.aval),
      hint: "convert with astype(\"int32\")"
    })
  }
  const places = ravel(lax.convertElementType(atleast1d(x), "int32"))
  const clipped = lax.max(places, filled(places, 0))
  const weights = options.weights === undefined
    ? lax.broadcastTo(constant(1, "int32"), [places.size])
    : ravel(options.weights)
  const zeros = lax.broadcastTo(constant(0, weights.dtype), Shape.check("bincount", [options.length]))
  return lax.scatterAdd(zeros, lax.reshape(clipped, [places.size, 1]), lax.convertElementType(weights, weights.dtype), {
    dimension_numbers: {
      update_window_dims: [],
      inserted_window_dims: [0],
      scatter_dims_to_operand_dims: [0],
      operand_batching_dims: [],
      scatter_indices_batching_dims: []
    },
    mode: "fill_or_drop",
    unique_indices: false
  })
}
