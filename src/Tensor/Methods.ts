/**
 * The methods of a Tensor, as a type: `x.matmul(w).add(b)`, `x.sum({ axis: 0 })`. They are the functions of `numpy/`
 * with the array before the dot, so each is documented in full there; here stands the list.
 *
 * The interface is generic in the array type T, so that this file imports no Tensor and `Tensor.ts` can extend it;
 * `install.ts` has the implementation. `Like<T>` is what an operand may be: bare numbers and booleans are weakly typed.
 */
import type { DType } from "./DType.ts"

/** An operand: an array, or a JavaScript number or boolean. */
export type Like<T> = T | number | boolean

/**
 * Axes that an operation goes over: one, several, or (null, or left out) all of them. Negative ones count from the end.
 */
export type Axes = number | ReadonlyArray<number> | null

/** Options of a reduction. A bare number or list of axes may stand in for them: `x.sum(0)`. */
export interface ReduceOptions<T> {
  /** The axes to reduce; all when left out. */
  readonly axis?: Axes | undefined
  /** Keep reduced axes, with size 1. */
  readonly keepdims?: boolean | undefined
  /** bool, broadcast against the array: which elements count. */
  readonly where?: Like<T> | undefined
}

/** Options of `sum`, `prod` and `mean`. */
export interface SumOptions<T> extends ReduceOptions<T> {
  /** The element type to add up in, and of the result. */
  readonly dtype?: DType | undefined
  /** What the sum or product starts with (not for `mean`). */
  readonly initial?: Like<T> | undefined
}

/** Options of `max`, `min` and `ptp`. */
export interface ExtremeOptions<T> extends ReduceOptions<T> {
  /** Competes with the elements; needed with `where`, and over no elements. */
  readonly initial?: Like<T> | undefined
}

/** Options of `var` and `std`. */
export interface VarianceOptions<T> extends ReduceOptions<T> {
  /** Computes in this element type. */
  readonly dtype?: DType | undefined
  /** The divisor is the number of elements minus `ddof`. 0 by default. */
  readonly ddof?: number | undefined
}

/** Options of `argmax` and `argmin`. */
export interface ArgOptions {
  /** The axis to search; the flattened array when left out. */
  readonly axis?: number | null | undefined
  /** Keep the axis, with size 1. */
  readonly keepdims?: boolean | undefined
}

/** Options of `cumsum` and `cumprod`. */
export interface CumulativeOptions {
  /** The axis to run along; the flattened array when left out. */
  readonly axis?: number | null | undefined
  /** The element type of the result. */
  readonly dtype?: DType | undefined
}

/** Options of `sort` and `argsort`. */
export interface SortOptions {
  /** The axis to sort along: the last by default; null sorts the flattened array. */
  readonly axis?: number | null | undefined
  /** Largest first. */
  readonly descending?: boolean | undefined
}

/** Options of products. */
export interface ProductOptions {
  /** Accumulate in, and give, this element type. */
  readonly preferredElementType?: DType | undefined
}

/** Tolerances of `isclose` and `allclose`: |x - y| ≤ atol + rtol·|y|. */
export interface CloseOptions {
  /** 1e-5 by default. */
  readonly rtol?: number | undefined
  /** 1e-8 by default. */
  readonly atol?: number | undefined
  /** Are two nans close? */
  readonly equalNan?: boolean | undefined
}

/**
 * A range along an axis, as Python's `start:stop:step`; made by `slice`. null is the end that the step's sign implies.
 */
export interface Slice {
  readonly _tag: "Slice"
  readonly start: number | null
  readonly stop: number | null
  readonly step: number | null
}

/** Positions, or booleans, in nested lists of equal lengths. */
export type IndexList = ReadonlyArray<number | boolean | IndexList>

/**
 * One entry of an index expression, with NumPy's meaning: a position, a range (`slice(1, 5, 2)` or `"1:5:2"`, `":"` for
 * all of the axis), all axes not named (`"..."`), a new axis (null), or an array of positions or of booleans.
 */
export type Index<T> = number | Slice | `${string}:${string}` | "..." | null | T | IndexList

/**
 * What indices out of range do: reads fill and writes drop (`fill`, `drop`), or they move to the nearest place
 * (`clip`).
 */
export type IndexMode = "fill" | "drop" | "clip" | "promise_in_bounds"

/** Options of reading at an index. */
export interface GetOptions {
  readonly mode?: IndexMode | undefined
  /** What mode `fill` reads out of range: nan, the lowest integer (unsigned: highest), true by default. */
  readonly fillValue?: number | undefined
}

/** Options of writing at an index. */
export interface SetOptions {
  readonly mode?: IndexMode | undefined
  /** Promises that no place is written twice. */
  readonly uniqueIndices?: boolean | undefined
}

/**
 * `x.at(...)`: the places of `x` that an index expression names. Reading gives them; writing gives a changed copy of
 * `x`.
 */
export interface At<T> {
  /** The elements there. */
  readonly get: (options?: GetOptions) => T
  /** `x` with `values` there. */
  readonly set: (values: Like<T>, options?: SetOptions) => T
  /** `x` with `values` added there; places that occur twice add twice. */
  readonly add: (values: Like<T>, options?: SetOptions) => T
  /** `x` with `values` subtracted there. */
  readonly subtract: (values: Like<T>, options?: SetOptions) => T
  /** `x` multiplied by `values` there. */
  readonly multiply: (values: Like<T>, options?: SetOptions) => T
  /** `x` divided by `values` there. */
  readonly divide: (values: Like<T>, options?: SetOptions) => T
  /** `x` raised to `values` there. */
  readonly power: (values: Like<T>, options?: SetOptions) => T
  /** `x` with the smaller of its elements and `values` there. */
  readonly min: (values: Like<T>, options?: SetOptions) => T
  /** `x` with the larger of its elements and `values` there. */
  readonly max: (values: Like<T>, options?: SetOptions) => T
  /** `x` with its elements there replaced by `f` of them. */
  readonly apply: (f: (elements: T) => T, options?: SetOptions) => T
}

/** Arithmetic, with broadcasting and promotion. */
export interface ArithmeticMethods<T> {
  /** x + y. */
  add(y: Like<T>): T
  /** x - y. */
  sub(y: Like<T>): T
  /** x · y, elementwise. */
  mul(y: Like<T>): T
  /** x / y in floating point. */
  div(y: Like<T>): T
  /** ⌊x / y⌋. */
  floorDivide(y: Like<T>): T
  /** The remainder, with the sign of y. */
  mod(y: Like<T>): T
  /** xʸ. */
  pow(y: Like<T>): T
  /** The larger; nan if either is. */
  maximum(y: Like<T>): T
  /** The smaller; nan if either is. */
  minimum(y: Like<T>): T
  /** -x. */
  neg(): T
  /** |x|. */
  abs(): T
  /** -1, 0 or 1. */
  sign(): T
  /** 1/x. */
  reciprocal(): T
  /** x². */
  square(): T
  /** √x. */
  sqrt(): T
  /** 1/√x. */
  rsqrt(): T
  /** eˣ. */
  exp(): T
  /** 2ˣ. */
  exp2(): T
  /** eˣ - 1. */
  expm1(): T
  /** ln x. */
  log(): T
  /** log₂ x. */
  log2(): T
  /** log₁₀ x. */
  log10(): T
  /** ln (1 + x). */
  log1p(): T
  /** sin x. */
  sin(): T
  /** cos x. */
  cos(): T
  /** tan x. */
  tan(): T
  /** sinh x. */
  sinh(): T
  /** cosh x. */
  cosh(): T
  /** tanh x. */
  tanh(): T
  /** The error function. */
  erf(): T
  /** Down to a whole number. */
  floor(): T
  /** Up to a whole number. */
  ceil(): T
  /** To `decimals` decimals, halves to even. */
  round(decimals?: number): T
  /** No lower than `low`, no higher than `high`; null is no bound. */
  clip(low?: Like<T> | null, high?: Like<T> | null): T
}

/** Comparisons and logic. */
export interface LogicMethods<T> {
  /** x = y. */
  eq(y: Like<T>): T
  /** x ≠ y. */
  ne(y: Like<T>): T
  /** x < y. */
  lt(y: Like<T>): T
  /** x ≤ y. */
  le(y: Like<T>): T
  /** x > y. */
  gt(y: Like<T>): T
  /** x ≥ y. */
  ge(y: Like<T>): T
  /** Both not zero. */
  logicalAnd(y: Like<T>): T
  /** Either not zero. */
  logicalOr(y: Like<T>): T
  /** Exactly one not zero. */
  logicalXor(y: Like<T>): T
  /** Is it zero? */
  logicalNot(): T
  /** Bits of both; of bool: and. */
  bitwiseAnd(y: Like<T>): T
  /** Bits of either; of bool: or. */
  bitwiseOr(y: Like<T>): T
  /** Bits of exactly one. */
  bitwiseXor(y: Like<T>): T
  /** Complement of the bits; of bool: not. */
  bitwiseNot(): T
  /** Is it nan? */
  isnan(): T
  /** Is it infinite? */
  isinf(): T
  /** Is it neither infinite nor nan? */
  isfinite(): T
  /** Is it near y? */
  isclose(y: Like<T>, options?: CloseOptions): T
  /** Are all elements near y's? A bool scalar. */
  allclose(y: Like<T>, options?: CloseOptions): T
  /** Same shape and same elements? A bool scalar. */
  arrayEqual(y: Like<T>, options?: { readonly equalNan?: boolean | undefined }): T
  /** As a condition: `x` where true, `y` elsewhere. */
  where(x: Like<T>, y: Like<T>): T
}

/** Reductions and running reductions. */
export interface ReductionMethods<T> {
  /** The sum. */
  sum(options?: SumOptions<T> | Axes): T
  /** The product. */
  prod(options?: SumOptions<T> | Axes): T
  /** The arithmetic mean. */
  mean(options?: SumOptions<T> | Axes): T
  /** The variance. */
  var(options?: VarianceOptions<T> | Axes): T
  /** The standard deviation. */
  std(options?: VarianceOptions<T> | Axes): T
  /** The largest. */
  max(options?: ExtremeOptions<T> | Axes): T
  /** The smallest. */
  min(options?: ExtremeOptions<T> | Axes): T
  /** The largest minus the smallest. */
  ptp(options?: ExtremeOptions<T> | Axes): T
  /** Are all elements not zero? */
  all(options?: ReduceOptions<T> | Axes): T
  /** Is any element not zero? */
  any(options?: ReduceOptions<T> | Axes): T
  /** How many elements are not zero. */
  countNonzero(options?: ReduceOptions<T> | Axes): T
  /** log Σ exp, without overflow. */
  logsumexp(options?: ReduceOptions<T> | Axes): T
  /** The index of the first largest element. */
  argmax(options?: ArgOptions | number | null): T
  /** The index of the first smallest element. */
  argmin(options?: ArgOptions | number | null): T
  /** Running sums. */
  cumsum(options?: CumulativeOptions | number | null): T
  /** Running products. */
  cumprod(options?: CumulativeOptions | number | null): T
  /** Sorted along an axis. */
  sort(options?: SortOptions | number | null): T
  /** The indices that sort. */
  argsort(options?: SortOptions | number | null): T
  /** Values and indices of the k largest along the last axis. */
  topK(k: number): readonly [values: T, indices: T]
}

/** Products. */
export interface ProductMethods<T> {
  /** The matrix product. */
  matmul(y: T, options?: ProductOptions): T
  /** `numpy.dot`. */
  dot(y: Like<T>, options?: ProductOptions): T
  /** Pairwise products. */
  outer(y: T): T
  /** The sum along a diagonal. */
  trace(options?: DiagonalOptions): T
  /** A diagonal. */
  diagonal(options?: DiagonalOptions): T
}

/** Which diagonal: `offset` above the main one, of the matrices spanned by two axes (0 and 1 by default). */
export interface DiagonalOptions {
  readonly offset?: number | undefined
  readonly axis1?: number | undefined
  readonly axis2?: number | undefined
}

/** Other shapes of the same elements, and parts of them. */
export interface ShapingMethods<T> {
  /** The axes in reverse order. */
  readonly T: T
  /** The last two axes exchanged. */
  readonly mT: T
  /** Another shape; one size may be -1. */
  reshape(shape: number | ReadonlyArray<number>): T
  /** One axis. */
  ravel(): T
  /** One axis. */
  flatten(): T
  /** Axes permuted; reversed when left out. */
  transpose(axes?: ReadonlyArray<number>): T
  /** Axes moved, the others in order. */
  moveaxis(source: number | ReadonlyArray<number>, destination: number | ReadonlyArray<number>): T
  /** Two axes exchanged. */
  swapaxes(axis1: number, axis2: number): T
  /** Axes of size 1 inserted. */
  expandDims(axis: number | ReadonlyArray<number>): T
  /** Axes of size 1 removed; all of them when left out. */
  squeeze(axis?: Axes): T
  /** Repeated to a shape. */
  broadcastTo(shape: number | ReadonlyArray<number>): T
  /** Elements repeated. */
  repeat(repeats: number | ReadonlyArray<number>, options?: { readonly axis?: number | null | undefined }): T
  /** Order reversed along axes. */
  flip(axis?: Axes): T
  /** Elements moved along axes, those that fall off come back. */
  roll(shift: number | ReadonlyArray<number>, axis?: Axes): T
  /** Cut into equal parts, or at positions. */
  split(indicesOrSections: number | ReadonlyArray<number>, axis?: number): ReadonlyArray<T>
  /** The lower triangle. */
  tril(k?: number): T
  /** The upper triangle. */
  triu(k?: number): T
  /** Elements converted. */
  astype(dtype: DType): T
  /** Bits read as another dtype. */
  view(dtype: DType): T
  /** The places that an index expression names. */
  at(...index: ReadonlyArray<Index<T>>): At<T>
  /** The elements at the places that an index expression names: `x.at(...index).get()`. */
  get(...index: ReadonlyArray<Index<T>>): T
  /** Slices at positions along an axis (of the flattened array when it is left out). */
  take(indices: T | number | ReadonlyArray<number>, axis?: number | null, options?: GetOptions): T
  /** Elements at positions along an axis, position by position. */
  takeAlongAxis(indices: T, axis: number | null, options?: GetOptions): T
}

/** How a Tensor prints. */
export interface PrintMethods {
  /** As JAX prints: the elements when they are in host memory, else shape and dtype. */
  toString(): string
  /** Shape and dtype. */
  toJSON(): { readonly _id: "Tensor"; readonly shape: ReadonlyArray<number>; readonly dtype: DType }
}

/**
 * All methods of an array of type T.
 *
 * @category models
 * @since 0.1.0
 */
export interface Methods<T>
  extends ArithmeticMethods<T>, LogicMethods<T>, ReductionMethods<T>, ProductMethods<T>, ShapingMethods<T>, PrintMethods
{}
