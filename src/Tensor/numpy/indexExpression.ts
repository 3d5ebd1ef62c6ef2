/**
 * Index expressions: what `x.at(...)` was given, read, checked against the shape, and brought into one form.
 *
 * An expression becomes one *entry* for every axis of the array, in order, and one for every new axis. Positions and
 * ranges known from the start (numbers, slices) are *basic*; arrays of positions are *advanced*. Boolean masks become
 * the arrays of the positions where they are true, so they must be known too.
 */
import * as DType from "../DType.ts"
import { ConcretizationError, IndexError } from "../errors.ts"
import * as lax from "../lax/index.ts"
import type { Index as IndexOf, Slice } from "../Methods.ts"
import * as Shape from "../Shape.ts"
import * as ShapedArray from "../ShapedArray.ts"
import * as Storage from "../Storage.ts"
import { fromHost, isTensor, type Tensor } from "../Tensor.ts"
import { filled } from "./promotion.ts"

/** One element of an index expression. */
export type Index = IndexOf<Tensor>

/** A new axis of size 1. */
export interface NewEntry {
  readonly _tag: "New"
}

/** One position of an axis, 0 ≤ index < size. */
export interface IntegerEntry {
  readonly _tag: "Integer"
  readonly axis: number
  readonly index: number
}

/** `length` positions `start, start + step, …` of an axis, all of them in range. */
export interface RangeEntry {
  readonly _tag: "Range"
  readonly axis: number
  readonly start: number
  readonly step: number
  readonly length: number
}

/** Computed positions of an axis: int32 of any shape, negative ones counted from the end already. */
export interface ArrayEntry {
  readonly _tag: "Array"
  readonly axis: number
  readonly positions: Tensor
}

/** What is done along one axis. */
export type Entry = NewEntry | IntegerEntry | RangeEntry | ArrayEntry

/** A read index expression. */
export interface Expression {
  readonly entries: ReadonlyArray<Entry>
  /**
   * Do the advanced indices (integers among them) stand side by side? Their axes then stay in place, else they go
   * first.
   */
  readonly contiguous: boolean
}

const fail = (expected: string, found: string, hint: string): never => {
  throw new IndexError({ operation: "at", expected, found, hint })
}

/**
 * The range `start:stop:step` for an index expression; null, or nothing, is the end that the sign of the step implies.
 *
 * @category indexing
 * @since 0.1.0
 */
export const slice = (start: number | null = null, stop: number | null = null, step: number | null = null): Slice => ({
  _tag: "Slice",
  start,
  stop,
  step
})

/**
 * A new axis of size 1, in an index expression.
 *
 * @category indexing
 * @since 0.1.0
 */
export const newAxis = null

/** `slice.indices(size)` of Python, and the number of positions. */
const range = (axis: number, { start, step: given, stop }: Slice, size: number): RangeEntry => {
  const step = given ?? 1
  if (step === 0 || [start ?? 0, stop ?? 0, step].some((n) => !Number.isInteger(n))) {
    fail(
      "whole bounds and a step that is not 0",
      `slice(${start}, ${stop}, ${given})`,
      "use dynamicSliceInDim for a computed start"
    )
  }
  const [lowest, highest] = step > 0 ? [0, size] : [-1, size - 1]
  const bound = (at: number | null, open: number) =>
    at === null ? open : Math.min(Math.max(at < 0 ? at + size : at, lowest), highest)
  const from = bound(start, step > 0 ? lowest : highest)
  const to = bound(stop, step > 0 ? highest : lowest)
  return { _tag: "Range", axis, start: from, step, length: Math.max(0, Math.ceil((to - from) / step)) }
}

const text = /^\s*(-?\d+)?\s*:\s*(-?\d+)?\s*(?::\s*(-?\d+)?\s*)?$/

/** A slice written as in Python, or `"..."`. */
const readText = (index: string): Slice | "..." => {
  if (index === "...") return index
  const match = text.exec(index)
  if (match === null) {
    return fail("a slice such as \"1:5:2\", \"::-1\" or \":\", or \"...\"", JSON.stringify(index), "see slice")
  }
  const [, start, stop, step] = match.map((part) => part === undefined ? null : Number(part))
  return slice(start, stop, step)
}

/** A nested list of numbers or of booleans, as an array. */
const readList = (list: ReadonlyArray<unknown>): Tensor => {
  const shape: Array<number> = []
  for (let level: unknown = list; Array.isArray(level); level = level[0]) shape.push(level.length)
  const flat = list.flat(Infinity)
  const isMask = flat.length > 0 && flat.every((e) => typeof e === "boolean")
  const rectangular = (level: unknown, depth: number): boolean =>
    depth === shape.length
      ? !Array.isArray(level)
      : Array.isArray(level) && level.length === shape[depth] && level.every((e) => rectangular(e, depth + 1))
  if (!rectangular(list, 0) || !(isMask || flat.every((e) => Number.isInteger(e)))) {
    fail(
      "whole numbers, or booleans, nested in lists of equal lengths",
      JSON.stringify(list),
      "pass several indices as several arguments"
    )
  }
  const numbers = flat.map(Number)
  return isMask
    ? fromHost(ShapedArray.make(shape, "bool"), Uint8Array.from(numbers))
    : fromHost(ShapedArray.make(shape, "int32"), Int32Array.from(numbers))
}

const positionsOf = (x: Tensor, size: number): Tensor => {
  const positions = lax.convertElementType(x, "int32")
  if (DType.isUnsigned(x.dtype)) return positions
  const { source } = positions
  if (source._tag === "Concrete" && source.storage._tag === "Host") {
    const data = Int32Array.from(source.storage.data, (i) => i < 0 ? i + size : i)
    return fromHost(ShapedArray.make(x.shape, "int32"), data)
  }
  return lax.selectN(
    lax.lt(positions, filled(positions, 0)),
    positions,
    lax.add(positions, filled(positions, size))
  )
}

/** The positions where a mask is true, an array for each of its axes. */
const maskPositions = (mask: Tensor): ReadonlyArray<Int32Array> => {
  const { source } = mask
  if (source._tag === "Argument") {
    throw new ConcretizationError({ transform: source.scope.transform, array: ShapedArray.format(mask.aval) })
  }
  const data = source._tag === "Concrete" ? Storage.elements(source.storage) : undefined
  if (data === undefined) {
    return fail(
      "a mask whose values are known, since the result's shape depends on them",
      `${ShapedArray.format(mask.aval)}, not computed yet or on a device`,
      "use where(mask, x, y), or compute the mask before this line"
    )
  }
  const strides = Shape.strides(mask.shape)
  const flat = Shape.range(mask.size).filter((i) => data[i] !== 0)
  return mask.shape.map((d, axis) => Int32Array.from(flat, (i) => Math.floor(i / strides[axis]) % d))
}

/** One element of an expression with the axes that it is about; `"..."` is not yet expanded. */
type Item = Entry | { readonly _tag: "Ellipsis" }

const readArray = (x: Tensor, axis: number, shape: Shape.Shape): ReadonlyArray<Item> => {
  if (DType.isInteger(x.dtype)) return [{ _tag: "Array", axis, positions: positionsOf(x, shape[axis]) }]
  if (x.dtype !== "bool") {
    return fail("indices of an integer dtype, or a mask", ShapedArray.format(x.aval), "convert with astype")
  }
  if (x.ndim === 0 || !x.shape.every((d, i) => d === shape[axis + i])) {
    fail(
      `a mask over axes from ${axis} on of ${Shape.format(shape)}`,
      ShapedArray.format(x.aval),
      "a mask has the sizes of the axes that it stands for"
    )
  }
  return maskPositions(x).map((at, i) => ({
    _tag: "Array",
    axis: axis + i,
    positions: fromHost(ShapedArray.make([at.length], "int32"), at)
  }))
}

const readInteger = (index: number, axis: number, size: number): IntegerEntry => {
  if (!Number.isInteger(index) || index < -size || index >= size) {
    fail(
      size === 0 ? `nothing: axis ${axis} is empty` : `a whole number from ${-size} to ${size - 1} along axis ${axis}`,
      `${index}`,
      "use slice(...) for a range, which may end beyond the axis"
    )
  }
  return { _tag: "Integer", axis, index: index < 0 ? index + size : index }
}

type Prepared = number | Slice | "..." | null | Tensor

const prepare = (index: unknown): Prepared => {
  if (index === null || typeof index === "number" || isTensor(index)) return index
  if (typeof index === "string") return readText(index)
  if (Array.isArray(index)) return readList(index)
  if (typeof index === "object" && "_tag" in index && index._tag === "Slice") return index as Slice
  return fail(
    "whole numbers, slices, \"...\", null, or arrays",
    String(index),
    "pass several indices as several arguments"
  )
}

const consumed = (index: Prepared): number =>
  index === null || index === "..." ? 0 : isTensor(index) && index.dtype === "bool" ? index.ndim : 1

/**
 * Reads an index expression for an array of a shape.
 *
 * Fails with an `IndexError` for too many indices, a number out of range, or what is no index; with a
 * `ConcretizationError` for a mask that is being traced.
 */
export const read = (indices: ReadonlyArray<unknown>, shape: Shape.Shape): Expression => {
  const prepared = indices.map(prepare)
  const total = prepared.reduce<number>((n, index) => n + consumed(index), 0)
  const dots = prepared.filter((index) => index === "...").length
  if (total > shape.length || dots > 1) {
    fail(
      dots > 1 ? "at most one \"...\"" : `at most ${shape.length} indices, one an axis of ${Shape.format(shape)}`,
      dots > 1 ? `${dots}` : `${total}`,
      dots > 1 ? "write ':' for the others" : "write null for a new axis"
    )
  }
  let axis = 0
  const items: Array<Item> = []
  for (const index of prepared) {
    if (index === null) items.push({ _tag: "New" })
    else if (index === "...") items.push({ _tag: "Ellipsis" })
    else if (typeof index === "number") items.push(readInteger(index, axis, shape[axis]))
    else if (isTensor(index)) items.push(...readArray(index, axis, shape))
    else items.push(range(axis, index, shape[axis]))
    axis += index === "..." ? shape.length - total : consumed(index)
  }
  return { entries: expand(items, shape, shape.length - total), contiguous: contiguous(items) }
}

const contiguous = (items: ReadonlyArray<Item>): boolean => {
  const at = items.flatMap((item, i) => item._tag === "Integer" || item._tag === "Array" ? [i] : [])
  return at.every((position, i) => i === 0 || position === at[i - 1] + 1)
}

/** All of every axis in place of `"..."`, and at the end where there is none. */
const expand = (items: ReadonlyArray<Item>, shape: Shape.Shape, missing: number): ReadonlyArray<Entry> => {
  const out: Array<Entry> = []
  const whole = (from: number) => {
    for (let axis = from; axis < from + missing; axis++) {
      out.push({ _tag: "Range", axis, start: 0, step: 1, length: shape[axis] })
    }
  }
  let next = 0
  for (const item of items) {
    if (item._tag === "Ellipsis") whole(next)
    else {
      out.push(item)
      if (item._tag !== "New") next = item.axis + 1
    }
  }
  if (!items.some((item) => item._tag === "Ellipsis")) whole(shape.length - missing)
  return out
}
