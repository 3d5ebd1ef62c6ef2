/**
 * Reading and writing parts of an array, with NumPy's index expressions and JAX's semantics.
 *
 * `at(x, ...index)` names places: `get` reads them, and `set`, `add`, … give a copy of `x` changed there. Expressions
 * of numbers and slices become `slice`, `rev`, `reshape` and `dynamic_update_slice`; a scalar array reads by
 * `dynamic_slice`; everything else is one gather or scatter.
 *
 * Out of range, a number is an `IndexError`. Positions in arrays follow JAX: reading moves them to the nearest place,
 * and what would be written out of range is dropped, unless `mode` says otherwise; `take` and `takeAlongAxis` read
 * `fillValue` instead. Negative positions count from the end first.
 */
import * as DType from "../DType.ts"
import { DTypeError, IndexError, ShapeError } from "../errors.ts"
import * as lax from "../lax/index.ts"
import type { At as AtOf, GetOptions, IndexMode, SetOptions } from "../Methods.ts"
import * as Shape from "../Shape.ts"
import * as ShapedArray from "../ShapedArray.ts"
import { fromHost, isTensor, lift, literal, type Tensor, type TensorLike } from "../Tensor.ts"
import { div, power } from "./elementwise.ts"
import { plan } from "./gatherPlan.ts"
import { type Expression, type Index, newAxis, type RangeEntry, read, slice } from "./indexExpression.ts"
import { constant, filled, promote } from "./promotion.ts"

export { type Index, newAxis, slice }

/** Places of a Tensor; see `at`. */
export type At = AtOf<Tensor>

type Scatter = "set" | "add" | "mul" | "min" | "max"

const int = (value: number): Tensor => literal(value, "int32")

const modeOf = (mode: IndexMode = "fill"): lax.GatherScatterMode =>
  mode === "fill" || mode === "drop" ? "fill_or_drop" : mode

const isStatic = (expression: Expression): boolean => expression.entries.every((e) => e._tag !== "Array")

/** Where an increasing range begins that has the same elements. */
const lowest = (entry: RangeEntry): number =>
  entry.length === 0 ? 0 : entry.step > 0 ? entry.start : entry.start + (entry.length - 1) * entry.step

/** The axes of a result, by how each came to be: kept ones with those to reverse, then the shape with new axes. */
const basicResult = (x: Tensor, { entries }: Expression): Tensor => {
  const kept = entries.filter((e) => e._tag === "Range")
  const reversed = kept.flatMap((e) => e.step < 0 ? [e.axis] : [])
  const shape = entries.flatMap((e) => e._tag === "Range" ? [e.length] : e._tag === "New" ? [1] : [])
  return lax.reshape(lax.rev(x, reversed), shape)
}

/** Numbers, slices and scalar arrays: a dynamic slice if there is a scalar array, then a static one. */
const getBasic = (x: Tensor, expression: Expression): Tensor => {
  const starts: Array<Tensor> = []
  const sizes: Array<number> = []
  const from: Array<number> = []
  const to: Array<number> = []
  const strides: Array<number> = []
  for (const entry of expression.entries) {
    if (entry._tag === "New") continue
    const [low, count, step] = entry._tag === "Range"
      ? [lowest(entry), entry.length, Math.abs(entry.step)]
      : [entry._tag === "Integer" ? entry.index : 0, 1, 1]
    starts.push(entry._tag === "Array" ? entry.positions : int(0))
    sizes.push(entry._tag === "Array" ? 1 : x.shape[entry.axis])
    from.push(low)
    to.push(count === 0 ? low : low + (count - 1) * step + 1)
    strides.push(step)
  }
  const moved = isStatic(expression) ? x : lax.dynamicSlice(x, starts, sizes)
  return basicResult(lax.slice(moved, from, to, strides), expression)
}

const getGather = (x: Tensor, expression: Expression, options: GetOptions): Tensor => {
  const { collapsedSliceDims, indices, newAxes, offsetDims, shape, sliceSizes, startIndexMap } = plan(
    expression,
    x.shape
  )
  if (Shape.size(shape) === 0) return lax.broadcastTo(constant(0, x.dtype, x.weakType), shape)
  if (indices === null) return lax.reshape(x, shape)
  const gathered = lax.gather(x, indices, {
    dimension_numbers: {
      offset_dims: offsetDims,
      collapsed_slice_dims: collapsedSliceDims,
      start_index_map: startIndexMap,
      operand_batching_dims: [],
      start_indices_batching_dims: []
    },
    slice_sizes: sliceSizes,
    mode: modeOf(options.mode ?? "clip"),
    fill_value: options.fillValue ?? null
  })
  return newAxes.length === 0 ? gathered : lax.reshape(gathered, shape)
}

const checkNotEmpty = (x: Tensor, expression: Expression): void => {
  for (const entry of expression.entries) {
    if (entry._tag === "Array" && entry.positions.size > 0 && x.shape[entry.axis] === 0) {
      throw new IndexError({
        operation: "at",
        expected: `nothing: axis ${entry.axis} is empty`,
        found: `indices ${ShapedArray.format(entry.positions.aval)}`,
        hint: "an empty axis has no positions"
      })
    }
  }
}

const getAt = (x: Tensor, expression: Expression, options: GetOptions): Tensor => {
  checkNotEmpty(x, expression)
  const { entries } = expression
  const scalars = entries.every((e) => e._tag !== "Array" || e.positions.ndim === 0)
  const fills = options.mode === "fill" || options.mode === "drop"
  return scalars && (isStatic(expression) || !fills)
    ? getBasic(x, expression)
    : getGather(x, expression, options)
}

const combine: Readonly<Record<Scatter, (old: Tensor, value: Tensor) => Tensor>> = {
  set: (_, value) => value,
  add: lax.add,
  mul: lax.mul,
  min: lax.min,
  max: lax.max
}

const scatters = {
  set: lax.scatter,
  add: lax.scatterAdd,
  mul: lax.scatterMul,
  min: lax.scatterMin,
  max: lax.scatterMax
}

const broadcastValues = (values: Tensor, shape: Shape.Shape): Tensor => {
  const ok = values.ndim <= shape.length &&
    values.shape.every((d, i) => d === 1 || d === shape[shape.length - values.ndim + i])
  if (!ok) {
    throw new ShapeError({
      operation: "at.set",
      expected: `values that broadcast to the selection ${Shape.format(shape)}`,
      found: ShapedArray.format(values.aval),
      hint: "the values are aligned with the selection's last axis"
    })
  }
  return lax.broadcastTo(values, shape)
}

/** Numbers and slices without gaps: a window, replaced by one `dynamic_update_slice` at constant starts. */
const setWindow = (x: Tensor, { entries }: Expression, values: Tensor, how: Scatter): Tensor => {
  const shape = entries.flatMap((e) => e._tag === "Range" ? [e.length] : e._tag === "New" ? [1] : [])
  const window: Array<number> = []
  const starts: Array<number> = []
  const reversed: Array<number> = []
  for (const entry of entries) {
    if (entry._tag === "Range") {
      if (entry.step < 0) reversed.push(window.length)
      window.push(entry.length)
      starts.push(lowest(entry))
    } else if (entry._tag === "Integer") {
      window.push(1)
      starts.push(entry.index)
    }
  }
  if (Shape.size(window) === 0) return x
  const update = lax.rev(lax.reshape(broadcastValues(values, shape), window), reversed)
  const old = () => lax.slice(x, starts, starts.map((s, i) => s + window[i]))
  const combined = how === "set" ? update : combine[how](old(), update)
  return Shape.equals(window, x.shape) ? combined : lax.dynamicUpdateSlice(x, combined, starts.map(int))
}

const setScatter = (x: Tensor, expression: Expression, values: Tensor, how: Scatter, options: SetOptions): Tensor => {
  const p = plan(expression, x.shape)
  if (Shape.size(p.shape) === 0) return x
  const update = broadcastValues(values, p.shape)
  if (p.indices === null) return combine[how](x, lax.reshape(update, x.shape))
  return scatters[how](x, p.indices, lax.reshape(update, Shape.without(p.shape, p.newAxes)), {
    dimension_numbers: {
      update_window_dims: p.offsetDims,
      inserted_window_dims: p.collapsedSliceDims,
      scatter_dims_to_operand_dims: p.startIndexMap,
      operand_batching_dims: [],
      scatter_indices_batching_dims: []
    },
    mode: modeOf(options.mode),
    unique_indices: p.unique || options.uniqueIndices === true
  })
}

/** JAX computes in the common dtype, and gives the array's own back. */
const inCommonType = (x: Tensor, values: TensorLike, f: (x: Tensor, values: Tensor) => Tensor): Tensor => {
  const [a, b] = promote("at", x, values)
  return lax.convertElementType(f(a, b), x.dtype, x.weakType)
}

const setAt = (x: Tensor, expression: Expression, values: Tensor, how: Scatter, options: SetOptions): Tensor => {
  checkNotEmpty(x, expression)
  const isWindow = expression.entries.every((e) => e._tag !== "Array" && (e._tag !== "Range" || Math.abs(e.step) === 1))
  return isWindow ? setWindow(x, expression, values, how) : setScatter(x, expression, values, how, options)
}

/** A mask over leading axes whose values are not known: scalars can be written under it all the same. */
const unknownMask = (indices: ReadonlyArray<Index>, x: Tensor): Tensor | undefined => {
  const [mask] = indices
  if (indices.length !== 1 || !isTensor(mask) || mask.dtype !== "bool" || mask.ndim === 0) return undefined
  const { source } = mask
  const known = source._tag === "Concrete" && (source.storage._tag === "Host" || source.storage.read !== undefined)
  return !known && mask.shape.every((d, i) => d === x.shape[i]) ? mask : undefined
}

const setMasked = (x: Tensor, mask: Tensor, value: Tensor, how: Scatter): Tensor => {
  const where = lax.broadcastInDim(mask, x.shape, Shape.range(mask.ndim))
  return lax.selectN(where, x, combine[how](x, lax.broadcastTo(value, x.shape)))
}

/**
 * The places of `x` that an index expression names: numbers, `slice(...)` or `"1:5:2"`, `"..."`, null (a new axis),
 * integer arrays, and masks whose values are known. `get` reads them; `set`, `add`, `multiply`, `min`, `max`, `apply`
 * and the others give a copy of `x` changed there, in the dtype of `x` (`divide` and `power` promote). Also a method:
 * `x.at(...)`.
 *
 * Under a mask that is being traced, scalars can be written, but nothing can be read; use `where`.
 *
 * Fails with an `IndexError` when the expression does not fit the array, a `ConcretizationError` for a mask that is
 * being traced, and a `ShapeError` when values do not broadcast to the selection.
 *
 * ```ts import.meta.vitest
 * import { Tensor } from "linum"
 *
 * const x = Tensor.zeros([5, 4])
 * console.log(x.get(0).shape, x.get("1:4:2", -1).shape, x.get([0, 2, 2]).shape) // => [ 4 ] [ 2 ] [ 3, 4 ]
 * console.log(x.at(":", 1).add(Tensor.arange(5)).shape) // => [ 5, 4 ]
 * ```
 *
 * @category indexing
 * @since 0.1.0
 */
export const at = (x: Tensor, ...indices: ReadonlyArray<Index>): At => {
  const scatter = (how: Scatter) => (values: TensorLike, options: SetOptions = {}): Tensor =>
    inCommonType(x, values, (x, values) => {
      const mask = values.ndim === 0 ? unknownMask(indices, x) : undefined
      return mask === undefined
        ? setAt(x, read(indices, x.shape), values, how, options)
        : setMasked(x, mask, values, how)
    })
  const factors = (values: TensorLike, options: SetOptions | undefined): Tensor =>
    at(filled(x, 1), ...indices).multiply(values, options)
  const negative = (values: TensorLike): TensorLike => typeof values === "object" ? lax.neg(values) : -Number(values)
  return {
    get: (options = {}) => getAt(x, read(indices, x.shape), options),
    set: scatter("set"),
    add: scatter("add"),
    subtract: (values, options) => scatter("add")(negative(values), options),
    multiply: scatter("mul"),
    divide: (values, options) => div(x, factors(values, options)),
    power: (values, options) => power(x, factors(values, options)),
    min: scatter("min"),
    max: scatter("max"),
    apply: (f, options = {}) => {
      const expression = read(indices, x.shape)
      const mode = options.mode === "drop" || options.mode === "fill" ? undefined : options.mode
      return at(x, ...indices).set(f(getAt(x, expression, { mode })), options)
    }
  }
}

const checkInteger = (operation: string, indices: Tensor): Tensor => {
  if (!DType.isInteger(indices.dtype)) {
    throw new DTypeError({
      operation,
      expected: "integer indices",
      found: ShapedArray.format(indices.aval),
      hint: "convert with astype"
    })
  }
  return indices
}

const liftIndices = (indices: Tensor | number | ReadonlyArray<number>): Tensor =>
  typeof indices === "object" && !isTensor(indices)
    ? fromHost(ShapedArray.make([indices.length], "int32"), Int32Array.from(indices))
    : lift(indices)

/** Positions counted from the end made positive; unsigned ones are none. */
const wrapNegative = (indices: Tensor, size: number): Tensor => {
  if (DType.isUnsigned(indices.dtype)) return lax.convertElementType(indices, "int32")
  const i = lax.convertElementType(indices, "int32")
  return lax.selectN(lax.lt(i, filled(i, 0)), i, lax.add(i, filled(i, size)))
}

/** i mod size, in [0, size). */
const wrapAround = (indices: Tensor, size: number): Tensor => {
  const i = lax.convertElementType(indices, "int32")
  const n = filled(i, size)
  const rest = lax.rem(i, n)
  return lax.selectN(lax.lt(rest, filled(i, 0)), rest, lax.add(rest, n))
}

/** Options of `take`. */
export interface TakeOptions {
  /** Out of range: `fill` (the default), `clip` (negative ones too), or `wrap` (modulo the size). */
  readonly mode?: IndexMode | "wrap" | undefined
  /** What `fill` reads; nan, the lowest integer (unsigned: highest), true when left out. */
  readonly fillValue?: number | undefined
}

/**
 * Slices of `x` at positions along an axis (of the flattened array when it is null or left out): `jnp.take`. The result
 * has the axes of `indices` in place of the axis.
 *
 * Fails with a `DTypeError` when the indices are not integers, and an `IndexError` when the axis is empty and they are
 * not.
 *
 * @category indexing
 * @since 0.1.0
 */
export const take = (
  x: Tensor,
  indices: Tensor | number | ReadonlyArray<number>,
  axis?: number | null,
  options: TakeOptions = {}
): Tensor => {
  if (axis === undefined || axis === null) return take(lax.reshape(x, [x.size]), indices, 0, options)
  const at = Shape.axis("take", axis, x.ndim)
  const given = checkInteger("take", liftIndices(indices))
  const size = x.shape[at]
  const shape = [...x.shape.slice(0, at), ...given.shape, ...x.shape.slice(at + 1)]
  if (size === 0 && given.size > 0) {
    throw new IndexError({
      operation: "take",
      expected: "no indices, since the axis is empty",
      found: ShapedArray.format(given.aval),
      hint: "check the axis"
    })
  }
  if (Shape.size(shape) === 0) return lax.broadcastTo(constant(0, x.dtype, x.weakType), shape)
  const { mode } = options
  const positions = mode === "clip" || mode === "promise_in_bounds"
    ? lax.convertElementType(given, "int32")
    : mode === "wrap"
    ? wrapAround(given, size)
    : wrapNegative(given, size)
  return lax.gather(x, lax.reshape(positions, [...given.shape, 1]), {
    dimension_numbers: {
      offset_dims: [...Shape.range(at), ...Shape.range(x.ndim - at - 1).map((i) => i + at + given.ndim)],
      collapsed_slice_dims: [at],
      start_index_map: [at],
      operand_batching_dims: [],
      start_indices_batching_dims: []
    },
    slice_sizes: x.shape.map((d, i) => i === at ? 1 : d),
    mode: mode === "wrap" ? "promise_in_bounds" : modeOf(mode),
    fill_value: options.fillValue ?? null
  })
}

const checkSameRank = (operation: string, x: Tensor, indices: Tensor): void => {
  if (x.ndim !== indices.ndim) {
    throw new ShapeError({
      operation,
      expected: `indices of rank ${x.ndim}, as the array`,
      found: ShapedArray.format(indices.aval),
      hint: "insert axes with expandDims, or use take"
    })
  }
}

/**
 * Elements of `x` at positions along an axis, each index for its own place along the other axes, which broadcast:
 * `jnp.take_along_axis`. With axis null, `x` is flattened.
 *
 * Fails with a `ShapeError` when ranks differ or other axes do not broadcast, and a `DTypeError` when the indices are
 * not integers.
 *
 * @category indexing
 * @since 0.1.0
 */
export const takeAlongAxis = (x: Tensor, indices: Tensor, axis: number | null, options: GetOptions = {}): Tensor => {
  if (axis === null) return takeAlongAxis(lax.reshape(x, [x.size]), indices, 0, options)
  checkSameRank("takeAlongAxis", x, checkInteger("takeAlongAxis", indices))
  const at = Shape.axis("takeAlongAxis", axis, x.ndim)
  const others = x.shape.map((d, i) => i === at ? 1 : d)
  const out = Shape.broadcast("takeAlongAxis", indices.shape, others)
  if (x.shape[at] === 0) return lax.broadcastTo(constant(0, x.dtype, x.weakType), out)
  const positions = options.mode === "promise_in_bounds"
    ? lax.convertElementType(indices, "int32")
    : wrapNegative(indices, x.shape[at])
  const along = Shape.range(x.ndim).filter((i) => i === at || indices.shape[i] !== 1)
  // An axis of the array of size 1 that the indices stretch is dropped; one that the indices do not have is a window.
  const dropped = along.filter((i) => i !== at && x.shape[i] === 1)
  const kept = Shape.range(x.ndim).filter((i) => !dropped.includes(i))
  const batching = kept.filter((i) => i !== at && indices.shape[i] !== 1)
  const place = (i: number) => kept.indexOf(i)
  return lax.gather(
    lax.squeeze(x, dropped),
    lax.reshape(positions, [...along.map((i) => out[i]), 1]),
    {
      dimension_numbers: {
        offset_dims: Shape.range(x.ndim).filter((i) => !along.includes(i)),
        collapsed_slice_dims: [place(at)],
        start_index_map: [place(at)],
        operand_batching_dims: batching.map(place),
        start_indices_batching_dims: batching.map((i) => along.indexOf(i))
      },
      slice_sizes: kept.map((i) => i === at || batching.includes(i) ? Math.min(1, x.shape[i]) : x.shape[i]),
      mode: modeOf(options.mode),
      fill_value: options.fillValue ?? null
    }
  )
}

/**
 * `x` with `values` at positions along an axis, each for its own place along the other axes: `jnp.put_along_axis`.
 *
 * @category indexing
 * @since 0.1.0
 */
export const putAlongAxis = (
  x: Tensor,
  indices: Tensor,
  values: TensorLike,
  axis: number | null,
  options: SetOptions = {}
): Tensor => {
  if (axis === null) {
    return lax.reshape(putAlongAxis(lax.reshape(x, [x.size]), indices, values, 0, options), x.shape)
  }
  checkSameRank("putAlongAxis", x, checkInteger("putAlongAxis", indices))
  const along = Shape.axis("putAlongAxis", axis, x.ndim)
  const index = x.shape.map((d, i) =>
    i === along ? indices : lax.reshape(lax.iota("int32", [d], 0), x.shape.map((_, j) => j === i ? d : 1))
  )
  return at(x, ...index).set(lax.broadcastTo(lift(values), indices.shape), options)
}

/** A start along one axis, as `dynamic_slice` takes it: negative ones count from the end. */
const startsAlong = (x: Tensor, start: TensorLike, axis: number): ReadonlyArray<Tensor> => {
  const index = checkInteger("dynamicSliceInDim", lift(start))
  const size = x.shape[axis]
  const { source } = index
  const first = source._tag === "Literal"
    ? int(source.value < 0 ? source.value + size : source.value)
    : wrapNegative(index, size)
  return x.shape.map((_, i) => i === axis ? first : int(0))
}

/**
 * `size` elements along an axis from a computed start, which is moved so that they fit: `lax.dynamic_slice_in_dim`.
 *
 * @category indexing
 * @since 0.1.0
 */
export const dynamicSliceInDim = (x: Tensor, start: TensorLike, size: number, axis = 0): Tensor => {
  const at = Shape.axis("dynamicSliceInDim", axis, x.ndim)
  return lax.dynamicSlice(x, startsAlong(x, start, at), x.shape.map((d, i) => i === at ? size : d))
}

/**
 * The element at a computed position along an axis, which stays with size 1 unless `keepdims` is false:
 * `lax.dynamic_index_in_dim`.
 *
 * @category indexing
 * @since 0.1.0
 */
export const dynamicIndexInDim = (
  x: Tensor,
  index: TensorLike,
  axis = 0,
  options: { readonly keepdims?: boolean | undefined } = {}
): Tensor => {
  const slice = dynamicSliceInDim(x, index, 1, axis)
  return options.keepdims === false ? lax.squeeze(slice, [axis]) : slice
}

/**
 * `x` with `update` (of x's rank) written from a computed start along an axis, which is moved so that it fits:
 * `lax.dynamic_update_slice_in_dim`.
 *
 * @category indexing
 * @since 0.1.0
 */
export const dynamicUpdateSliceInDim = (x: Tensor, update: TensorLike, start: TensorLike, axis = 0): Tensor => {
  const at = Shape.axis("dynamicUpdateSliceInDim", axis, x.ndim)
  const slice = lift(update)
  const same = lax.convertElementType(slice, x.dtype, x.weakType)
  return lax.dynamicUpdateSlice(x, same, startsAlong(x, start, at))
}

/**
 * `x` with `update` written at a computed position along an axis, which the update may lack:
 * `lax.dynamic_update_index_in_dim`.
 *
 * @category indexing
 * @since 0.1.0
 */
export const dynamicUpdateIndexInDim = (x: Tensor, update: TensorLike, index: TensorLike, axis = 0): Tensor => {
  const at = Shape.axis("dynamicUpdateIndexInDim", axis, x.ndim)
  const slice = lift(update)
  const wide = slice.ndim === x.ndim
    ? slice
    : lax.reshape(slice, [...slice.shape.slice(0, at), 1, ...slice.shape.slice(at)])
  return dynamicUpdateSliceInDim(x, wide, index, at)
}
