/**
 * The index space of a loop, as the written loop goes through it: *rows* (outer dimensions), *lines* (inner ones), and
 * the one dimension along which vectors lie, *lanes*. It may be an inner dimension, so that a row is reduced along its
 * vectors, or an outer one, so that every lane is a row of its own (columns of a matrix, and loops without inner
 * dimensions).
 */
import * as Shape from "../../../Tensor/Shape.ts"
import type { Affine, Expression, Loop, Store } from "../ir.ts"

/** A dimension of the kernel, or several that every access steps over evenly; `at` is the last of them. */
export interface Dimension {
  readonly at: number
  readonly size: number
}

/** How a loop is gone through. */
export interface Space {
  readonly rows: ReadonlyArray<Dimension>
  readonly lines: ReadonlyArray<Dimension>
  readonly lanes: Dimension
  /** Is every lane a row of its own? Otherwise lanes lie within the row. */
  readonly isColumns: boolean
  /** About how many cycles an element takes. */
  readonly price: number
}

/** The stride of an access along a dimension. Dimensions that are not there, and those that it does not know, count 0. */
export const strideOf = (at: Affine, dimension: Dimension): number =>
  dimension.at < 0 ? 0 : at.strides[dimension.at] ?? 0

export const sizeOf = (dimensions: ReadonlyArray<Dimension>): number => dimensions.reduce((n, { size }) => n * size, 1)

/** What stages read and write, and how much they compute. */
interface Traffic {
  readonly accesses: Array<Affine>
  readonly loads: Array<Affine>
  readonly stores: Array<Affine>
  operations: number
  reductions: number
  /** Is something kept in a row's own memory, of which there is one for all lanes? */
  hasLocals: boolean
}

/** The expressions that one is made of. */
export const partsOf = (e: Expression): ReadonlyArray<Expression> => {
  switch (e._tag) {
    case "Apply":
      return e.args
    case "LoadAt":
      return [e.index]
    case "Convert":
    case "Bitcast":
    case "Power":
      return [e.x]
    default:
      return []
  }
}

/** Visits every expression of a graph once. */
export const visit = (
  roots: ReadonlyArray<Expression>,
  seen: Set<Expression>,
  see: (expression: Expression) => void
): void => {
  const stack = [...roots]
  for (let e = stack.pop(); e !== undefined; e = stack.pop()) {
    if (seen.has(e)) continue
    seen.add(e)
    see(e)
    stack.push(...partsOf(e))
  }
}

const light: ReadonlySet<string> = new Set([
  "add",
  "sub",
  "mul",
  "max",
  "min",
  "neg",
  "select",
  "and",
  "or",
  "eq",
  "lt"
])

const traffic = (loop: Loop): Traffic => {
  const found: Traffic = { accesses: [], loads: [], stores: [], operations: 0, reductions: 0, hasLocals: false }
  const seen = new Set<Expression>()
  const see = (e: Expression) => {
    if (e._tag === "Load") found.loads.push(e.at)
    if (e._tag === "Index") found.accesses.push(e.at)
    if (e._tag === "Apply") found.operations += light.has(e.op) ? 1 : 12
  }
  const seeStores = (stores: ReadonlyArray<Store>) => {
    for (const { at, buffer, value } of stores) {
      found.stores.push(at)
      if (buffer.local === true) found.hasLocals = true
      visit([value], seen, see)
    }
  }
  for (const stage of loop.stages) {
    if (stage._tag === "Reduce") {
      found.reductions++
      visit([stage.value], seen, see)
    } else seeStores(stage.stores)
  }
  found.accesses.push(...found.loads, ...found.stores)
  return found
}

/** Joins neighbours over which every access steps as over one dimension, and drops those of one element. */
const collapse = (
  shape: Shape.Shape,
  from: number,
  to: number,
  accesses: ReadonlyArray<Affine>
): ReadonlyArray<Dimension> => {
  const joined: Array<Dimension> = []
  for (let at = from; at < to; at++) {
    const size = shape[at]
    if (size === 1) continue
    const last = joined.at(-1)
    const isOne = last !== undefined &&
      accesses.every((a) => (a.strides[last.at] ?? 0) === (a.strides[at] ?? 0) * size)
    if (isOne) joined[joined.length - 1] = { at, size: last.size * size }
    else joined.push({ at, size })
  }
  return joined
}

/** About how long an element takes when vectors lie along this dimension. */
const price = (lanes: Dimension, isColumns: boolean, innerSize: number, found: Traffic): number => {
  const load = (a: Affine) => {
    const stride = strideOf(a, lanes)
    return stride === 1 ? 1 : stride === 0 ? 0.5 : 6
  }
  // A row's result is stored once.
  const perRow = isColumns ? 6 : 0
  const store = (a: Affine) => {
    const stride = strideOf(a, lanes)
    return stride === 1 || a.strides.length <= lanes.at ? 1 : stride === 0 ? perRow : 6
  }
  const sum = (xs: ReadonlyArray<Affine>, of: (a: Affine) => number) => xs.reduce((n, a) => n + of(a), 0)
  const vector = found.operations + sum(found.loads, load) + sum(found.stores, store)
  const waste = Math.ceil(lanes.size / 4) / lanes.size
  // Adding up the lanes of a row, and starting it.
  return vector * waste + (isColumns ? 0 : (8 + 12 * found.reductions) / innerSize)
}

/** Decides how a loop is gone through. Nothing in it is empty, except perhaps its inner dimensions. */
export const spaceOf = (loop: Loop): Space => {
  const found = traffic(loop)
  const shape = [...loop.outer, ...loop.inner]
  const rank = loop.outer.length
  const isFlat = loop.stages.every((stage) => stage._tag === "Map")
  const outer = collapse(shape, 0, isFlat ? shape.length : rank, found.accesses)
  const inner = isFlat ? [] : collapse(shape, rank, shape.length, found.accesses)
  const innerSize = sizeOf(inner)
  const candidates = [
    ...(found.hasLocals ? [] : outer).map((lanes) => ({
      lanes,
      isColumns: true,
      price: price(lanes, true, innerSize, found)
    })),
    ...(innerSize === 0 ? [] : inner).map((lanes) => ({
      lanes,
      isColumns: false,
      price: price(lanes, false, innerSize, found)
    }))
  ]
  const best = candidates.reduce<typeof candidates[number] | undefined>(
    (a, c) => a === undefined || c.price <= a.price ? c : a,
    undefined
  )
  const lanes = best?.lanes ?? { at: -1, size: 1 }
  return {
    rows: outer.filter((dimension) => dimension !== lanes),
    lines: inner.filter((dimension) => dimension !== lanes),
    lanes,
    isColumns: best?.isColumns ?? !found.hasLocals,
    price: best?.price ?? 0
  }
}
