/**
 * Reductions as in `jax.numpy`. Every one works on the array, in a pipe, and as a method:
 * `sum(x, { axis: 0 })`, `pipe(x, sum({ axis: 0 }))`, `x.sum({ axis: 0 })`; a bare axis or list of axes may stand in
 * for the options. Left out, all axes are reduced.
 *
 * float16 and bfloat16 are summed in float32 and rounded once, at the end.
 */
import { dual } from "effect/Function"
import * as DType from "../DType.ts"
import { DTypeError, ShapeError } from "../errors.ts"
import * as lax from "../lax/index.ts"
import type {
  ArgOptions,
  Axes,
  CumulativeOptions,
  ExtremeOptions,
  ReduceOptions,
  SumOptions,
  VarianceOptions
} from "../Methods.ts"
import * as Shape from "../Shape.ts"
import * as ShapedArray from "../ShapedArray.ts"
import { isTensor, lift, type Tensor, type TensorLike } from "../Tensor.ts"
import { type NoArray, type Reduction, reduction } from "./arguments.ts"
import { absolute } from "./elementwise.ts"
import { logicalAnd, where as whereOf } from "./logic.ts"
import { cast, constant, filled, inexact, toBool } from "./promotion.ts"

export type { Reduction } from "./arguments.ts"

type Options = SumOptions<Tensor> & VarianceOptions<Tensor> & ExtremeOptions<Tensor>

/** bool and narrow integers sum in 32 bits. */
const summable = (dtype: DType.DType): DType.DType =>
  dtype === "bool" || dtype === "int8" ? "int32" : dtype === "uint8" ? "uint32" : dtype

/** 16-bit floats compute in float32. */
const wide = (dtype: DType.DType): DType.DType => dtype === "float16" || dtype === "bfloat16" ? "float32" : dtype

const strong = (x: Tensor, dtype: DType.DType = x.dtype): Tensor => lax.convertElementType(x, dtype)

/** `x` where the mask is true, `identity` elsewhere; the mask must be bool. */
const masked = (operation: string, x: Tensor, where: TensorLike | undefined, identity: number): Tensor => {
  if (where === undefined) return x
  const mask = lift(where)
  if (mask.dtype !== "bool") {
    throw new DTypeError({
      operation,
      expected: "a mask of dtype bool as `where`",
      found: ShapedArray.format(mask.aval),
      hint: "compare first, as in x.gt(0)"
    })
  }
  return whereOf(mask, x, constant(identity, x.dtype))
}

const keep = (x: Tensor, reduced: Tensor, axes: Axes | undefined, keepdims: boolean | undefined): Tensor => {
  if (keepdims !== true) return reduced
  const at = Shape.axes("keepdims", axes, x.ndim)
  return lax.reshape(reduced, x.shape.map((d, i) => at.includes(i) ? 1 : d))
}

/** The initial value as a scalar of a dtype. */
const initialOf = (operation: string, initial: TensorLike, dtype: DType.DType): Tensor => {
  const value = lift(initial)
  if (value.ndim !== 0) {
    throw new ShapeError({
      operation,
      expected: "a scalar initial value",
      found: ShapedArray.format(value.aval),
      hint: "combine with an array after the reduction"
    })
  }
  return cast(value, dtype, false)
}

interface Monoid {
  readonly operation: string
  readonly identity: (dtype: DType.DType) => number
  readonly reduce: (x: Tensor, axes: Axes | undefined) => Tensor
  readonly combine: (x: Tensor, y: Tensor) => Tensor
}

const reduceWith = (monoid: Monoid, x: Tensor, options: Options): Tensor => {
  const used = masked(monoid.operation, x, options.where, monoid.identity(x.dtype))
  const reduced = monoid.reduce(used, options.axis)
  const combined = options.initial === undefined
    ? reduced
    : monoid.combine(
      lax.broadcastTo(initialOf(monoid.operation, options.initial, x.dtype), reduced.shape),
      reduced
    )
  return keep(x, combined, options.axis, options.keepdims)
}

// --- sums ---

const sumLike = (monoid: Monoid) => (x: Tensor, options: Options): Tensor => {
  const dtype = options.dtype ?? summable(x.dtype)
  const computing = options.dtype === undefined ? wide(dtype) : dtype
  // A sum in bool is "any", a product in bool is "all"; adding up in int32 says the same.
  const operand = computing === "bool" ? strong(toBool(x), "int32") : strong(x, computing)
  const out = reduceWith(monoid, operand, options)
  return computing === "bool" ? toBool(out) : strong(out, dtype)
}

const sums: Monoid = {
  operation: "sum",
  identity: () => 0,
  reduce: lax.reduceSum,
  combine: lax.add
}

const products: Monoid = {
  operation: "prod",
  identity: () => 1,
  reduce: lax.reduceProd,
  combine: lax.mul
}

/**
 * The sum over axes. bool and int8 sum in int32, uint8 in uint32; `dtype` overrides. 0 over no elements.
 *
 * ```ts import.meta.vitest
 * import { Tensor } from "linum"
 *
 * const x = Tensor.ones([2, 3, 4])
 * console.log(x.sum().shape) // => []
 * console.log(Tensor.sum(x, { axis: [0, -1], keepdims: true }).shape) // => [ 1, 3, 1 ]
 * console.log(x.pipe(Tensor.sum(1)).shape) // => [ 2, 4 ]
 * ```
 *
 * @category reductions
 * @since 0.1.0
 */
export const sum: Reduction<SumOptions<Tensor>> = reduction(sumLike(sums))

/** The product over axes, with the dtypes of `sum`. 1 over no elements. */
export const prod: Reduction<SumOptions<Tensor>> = reduction(sumLike(products))

/** How many elements are reduced: a constant, or with a mask a sum. */
const count = (x: Tensor, options: ReduceOptions<Tensor>, dtype: DType.DType, like: Tensor): Tensor => {
  if (options.where === undefined) {
    const n = Shape.axes("mean", options.axis, x.ndim).reduce((product, i) => product * x.shape[i], 1)
    return lax.broadcastTo(constant(n, dtype), like.shape)
  }
  const mask = lax.broadcastTo(lift(options.where), x.shape)
  return sum(mask, { axis: options.axis, keepdims: options.keepdims, dtype })
}

const meanOf = (x: Tensor, options: Options): Tensor => {
  const dtype = options.dtype ?? DType.toInexact(x).dtype
  const computing = options.dtype === undefined ? wide(dtype) : dtype
  const total = sum(x, { axis: options.axis, keepdims: options.keepdims, where: options.where, dtype: computing })
  return strong(lax.div(total, count(x, options, computing, total)), dtype)
}

/** The arithmetic mean over axes; integers and bool in float32. nan over no elements. */
export const mean: Reduction<SumOptions<Tensor>> = reduction(meanOf)

const varianceOf = (x: Tensor, options: Options): Tensor => {
  const dtype = DType.toInexact({ dtype: options.dtype ?? x.dtype, weakType: false }).dtype
  const computing = wide(dtype)
  const a = strong(x, computing)
  const { axis, ddof = 0, keepdims, where } = options
  const center = mean(a, { axis, where, keepdims: true, dtype: computing })
  const squares = lax.square(lax.sub(a, lax.broadcastTo(center, a.shape)))
  const total = sum(squares, { axis, keepdims, where, dtype: computing })
  const n = lax.sub(count(a, options, computing, total), filled(total, ddof))
  const out = strong(lax.div(total, n), dtype)
  return lax.selectN(lax.gt(n, filled(n, 0)), filled(out, Number.NaN), out)
}

/**
 * The variance over axes: mean (x - mean x)², the divisor lessened by `ddof`. nan where the divisor is not positive. As
 * a method and in `import * as Tensor`, its name is NumPy's, `var`.
 */
export const variance: Reduction<VarianceOptions<Tensor>> = reduction(varianceOf)

/** The standard deviation over axes: the square root of the variance. */
export const std: Reduction<VarianceOptions<Tensor>> = reduction((x, options: Options) =>
  lax.sqrt(varianceOf(x, options))
)

export { variance as var }

// --- extremes ---

const extreme = (monoid: Monoid) => (x: Tensor, options: Options): Tensor => {
  if (options.initial === undefined) {
    const at = Shape.axes(monoid.operation, options.axis, x.ndim)
    if (options.where !== undefined || at.some((i) => x.shape[i] === 0)) {
      throw new ShapeError({
        operation: monoid.operation,
        expected: options.where === undefined ? "elements along the reduced axes" : "an `initial` beside `where`",
        found: ShapedArray.format(x.aval),
        hint: `there is no ${monoid.operation} of no elements: give \`initial\``
      })
    }
  }
  return reduceWith(monoid, strong(x), options)
}

/** The largest over axes; nan if any element is. Fails with a `ShapeError` over no elements without `initial`. */
export const max: Reduction<ExtremeOptions<Tensor>> = reduction(
  extreme({ operation: "max", identity: DType.lowest, reduce: lax.reduceMax, combine: lax.max })
)

/** The smallest over axes; nan if any element is. Fails with a `ShapeError` over no elements without `initial`. */
export const min: Reduction<ExtremeOptions<Tensor>> = reduction(
  extreme({ operation: "min", identity: DType.highest, reduce: lax.reduceMin, combine: lax.min })
)

/** The largest minus the smallest. */
export const ptp: Reduction<ExtremeOptions<Tensor>> = reduction((x, options) =>
  lax.sub(max(x, options), min(x, options))
)

/** A function of an array along one axis, for which a bare axis may stand in. */
export interface AlongAxis<O> {
  (options?: (O & NoArray) | number | null): (x: Tensor) => Tensor
  (x: Tensor, options?: O | number | null): Tensor
}

const alongAxis = <O extends object>(f: (x: Tensor, options: O | ArgOptions) => Tensor): AlongAxis<O> =>
  dual(
    (args) => isTensor(args[0]),
    (x: Tensor, options?: O | number | null): Tensor =>
      f(x, options === undefined ? {} : options === null || typeof options === "number" ? { axis: options } : options)
  )

const flatten = (x: Tensor): Tensor => lax.reshape(x, [x.size])

const arg = (search: typeof lax.argmax) => (x: Tensor, { axis = null, keepdims }: ArgOptions): Tensor => {
  const out = axis === null ? search(flatten(x), 0) : search(x, axis)
  return keep(x, out, axis, keepdims)
}

/**
 * int32: the index of the first largest element along an axis (of the flattened array when it is left out); of the
 * first nan if any.
 */
export const argmax: AlongAxis<ArgOptions> = alongAxis(arg(lax.argmax))

/**
 * int32: the index of the first smallest element along an axis (of the flattened array when it is left out); of the
 * first nan if any.
 */
export const argmin: AlongAxis<ArgOptions> = alongAxis(arg(lax.argmin))

// --- truth ---

/** bool: are all elements over axes not zero? True over no elements. */
export const all: Reduction<ReduceOptions<Tensor>> = reduction((x, options: Options) =>
  reduceWith({ operation: "all", identity: () => 1, reduce: lax.reduceAnd, combine: lax.and }, toBool(x), options)
)

/** bool: is any element over axes not zero? False over no elements. */
export const any: Reduction<ReduceOptions<Tensor>> = reduction((x, options: Options) =>
  reduceWith({ operation: "any", identity: () => 0, reduce: lax.reduceOr, combine: lax.or }, toBool(x), options)
)

/** int32: how many elements over axes are not zero. */
export const countNonzero: Reduction<ReduceOptions<Tensor>> = reduction((x, options: Options) =>
  sum(toBool(x), { ...options, dtype: "int32" })
)

// --- logarithms of sums ---

/**
 * log Σ exp x over axes, computed relative to the largest element, so that nothing overflows. Integers in float32.
 * -Infinity over no elements.
 */
export const logsumexp: Reduction<ReduceOptions<Tensor>> = reduction((x, options: Options) => {
  const a = inexact("logsumexp", x)
  const { axis, keepdims, where } = options
  const top = max(a, { axis, where, keepdims: true, initial: -Infinity })
  const shift = lax.stopGradient(lax.selectN(lax.isFinite(top), filled(top, 0), top))
  const exps = lax.exp(lax.sub(strong(a), lax.broadcastTo(shift, a.shape)))
  const log = lax.log(sum(exps, { axis, where, keepdims: true }))
  const out = lax.add(log, shift)
  return keepdims === true ? out : lax.squeeze(out, Shape.axes("logsumexp", axis, a.ndim))
})

// --- running reductions ---

const cumulative = (run: typeof lax.cumsum) => (x: Tensor, { axis = null, dtype }: CumulativeOptions): Tensor => {
  const operand = axis === null ? flatten(x) : x
  const at = axis ?? 0
  if (dtype === "bool") return toBool(run(strong(toBool(operand), "int32"), at))
  return run(strong(operand, dtype ?? (x.dtype === "bool" ? "int32" : x.dtype)), at)
}

/** Running sums along an axis (of the flattened array when it is left out), in the array's dtype; bool in int32. */
export const cumsum: AlongAxis<CumulativeOptions> = alongAxis(cumulative(lax.cumsum))

/** Running products along an axis (of the flattened array when it is left out), in the array's dtype; bool in int32. */
export const cumprod: AlongAxis<CumulativeOptions> = alongAxis(cumulative(lax.cumprod))

// --- averages and norms ---

/** Options of `average`. */
export interface AverageOptions {
  readonly axis?: Axes | undefined
  readonly keepdims?: boolean | undefined
  /** Of the shape of the array, or of its reduced axes. Equal weights by default. */
  readonly weights?: Tensor | undefined
}

/** The weighted mean over axes. */
export const average: Reduction<AverageOptions> = reduction((x, options: AverageOptions) => {
  const { axis, keepdims, weights } = options
  if (weights === undefined) return mean(x, { axis, keepdims })
  const at = Shape.axes("average", axis, x.ndim)
  const shape = Shape.equals(weights.shape, x.shape) ? x.shape : x.shape.map((d, i) => at.includes(i) ? d : 1)
  const a = inexact("average", x)
  const w = lax.broadcastTo(lax.reshape(cast(weights, a.dtype, false), shape), x.shape)
  return lax.div(sum(lax.mul(strong(a), w), { axis, keepdims }), sum(w, { axis, keepdims }))
})

/** Options of `norm`. */
export interface NormOptions {
  /** 2 by default; a number p, Infinity or -Infinity. */
  readonly ord?: number | undefined
  readonly axis?: Axes | undefined
  readonly keepdims?: boolean | undefined
}

/** The vector norm over axes (of the flattened array by default): (Σ |x|ᵖ)^(1/p). */
export const norm: Reduction<NormOptions> = reduction((x, options: NormOptions) => {
  const { axis, keepdims, ord = 2 } = options
  const a = inexact("norm", x)
  const magnitude = absolute(a)
  if (ord === Infinity) return max(magnitude, { axis, keepdims })
  if (ord === -Infinity) return min(magnitude, { axis, keepdims })
  if (ord === 0) return strong(countNonzero(a, { axis, keepdims }), a.dtype)
  if (ord === 1) return sum(magnitude, { axis, keepdims })
  if (ord === 2) return lax.sqrt(sum(lax.square(a), { axis, keepdims }))
  const powers = lax.pow(magnitude, filled(magnitude, ord))
  const total = sum(powers, { axis, keepdims })
  return lax.pow(total, filled(total, 1 / ord))
})

// --- leaving nan out ---

/** The options, with nan elements masked out as well. */
const withoutNan = (x: Tensor, options: Options): Options => {
  if (!DType.isFloat(x.dtype)) return options
  const present = lax.eq(x, x)
  return { ...options, where: options.where === undefined ? present : logicalAnd(present, options.where) }
}

/** The sum over axes of the elements that are not nan. */
export const nansum: Reduction<SumOptions<Tensor>> = reduction((x, options: Options) => sum(x, withoutNan(x, options)))

/** The product over axes of the elements that are not nan. */
export const nanprod: Reduction<SumOptions<Tensor>> = reduction((x, options: Options) =>
  prod(x, withoutNan(x, options))
)

/** The mean over axes of the elements that are not nan; nan where all are. */
export const nanmean: Reduction<SumOptions<Tensor>> = reduction((x, options: Options) =>
  mean(x, withoutNan(x, options))
)

/** The variance over axes of the elements that are not nan. */
export const nanvar: Reduction<VarianceOptions<Tensor>> = reduction((x, options: Options) =>
  varianceOf(x, withoutNan(x, options))
)

/** The standard deviation over axes of the elements that are not nan. */
export const nanstd: Reduction<VarianceOptions<Tensor>> = reduction((x, options: Options) =>
  lax.sqrt(nanvar(x, options))
)

/** An extreme of the elements that are not nan: a nan result is left where all of them are. */
const nanExtreme = (
  x: Tensor,
  options: Options,
  extremeOf: Reduction<ExtremeOptions<Tensor>>,
  identity: number
): Tensor => {
  if (!DType.isFloat(x.dtype)) return extremeOf(x, options)
  const found = extremeOf(x, { initial: identity, ...withoutNan(x, options) })
  const empty = lax.not(any(lax.eq(x, x), { axis: options.axis, keepdims: options.keepdims, where: options.where }))
  return options.initial === undefined ? lax.selectN(empty, found, filled(found, Number.NaN)) : found
}

/** The largest over axes of the elements that are not nan; nan where all are. */
export const nanmax: Reduction<ExtremeOptions<Tensor>> = reduction((x, options: Options) =>
  nanExtreme(x, options, max, -Infinity)
)

/** The smallest over axes of the elements that are not nan; nan where all are. */
export const nanmin: Reduction<ExtremeOptions<Tensor>> = reduction((x, options: Options) =>
  nanExtreme(x, options, min, Infinity)
)
