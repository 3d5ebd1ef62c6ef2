/**
 * The index space of a loop kernel: the axes of the values that it computes, without those of size 1, each of them
 * independent (outer) or reduced (inner). An axis is one dimension of the kernel, or several where `Refine` split it.
 */
import type { Shape } from "../../../Tensor/Shape.ts"
import type { Affine } from "../ir.ts"
import { type Access, constant, plus, type Refine, scaled, unit } from "./access.ts"

/** An index space. */
export interface Space {
  /** Sizes of the axes, none of which is 1. */
  readonly axes: Shape
  /** The numbers of the axes that are reduced. */
  readonly reduced: ReadonlyArray<number>
}

const equalLists = (a: ReadonlyArray<number>, b: ReadonlyArray<number>): boolean =>
  a.length === b.length && a.every((n, i) => n === b[i])

/** The space of all elements of a shape. */
export const spaceOf = (shape: Shape): Space => ({ axes: shape.filter((n) => n !== 1), reduced: [] })

/** The space of a reduction of `shape` along `axes`. */
export const reductionSpace = (shape: Shape, axes: ReadonlyArray<number>): Space => {
  const numbers = shape.flatMap((n, i) => n === 1 ? [] : [i])
  return {
    axes: numbers.map((i) => shape[i]),
    reduced: numbers.flatMap((i, axis) => axes.includes(i) ? [axis] : [])
  }
}

/** The sizes of the axes that are not reduced. */
export const keptAxes = (space: Space): Shape => space.axes.filter((_, i) => !space.reduced.includes(i))

/** The sizes of those that are. */
export const innerAxes = (space: Space): Shape => space.axes.filter((_, i) => space.reduced.includes(i))

/** Are the reduced axes the last ones, so that a row is contiguous? */
export const isTrailing = (space: Space): boolean =>
  space.reduced.every((axis, i) => axis === space.axes.length - space.reduced.length + i)

export const equals = (a: Space, b: Space): boolean => equalLists(a.axes, b.axes) && equalLists(a.reduced, b.reduced)

/** How values of a space stand in another: at every point, or at every row; undefined if they do not. */
export const within = (a: Space, b: Space): "full" | "rows" | undefined =>
  a.reduced.length > 0
    ? (equals(a, b) ? "full" : undefined)
    : equalLists(a.axes, b.axes)
    ? "full"
    : equalLists(a.axes, keptAxes(b))
    ? "rows"
    : undefined

/** The dimensions of a kernel over a space. */
export class Dimensions {
  readonly #space: Space
  /** For each axis the extents of its dimensions, the innermost last. */
  readonly #parts: ReadonlyArray<Shape>
  readonly #outerAxes: ReadonlyArray<number>
  readonly #innerAxes: ReadonlyArray<number>
  readonly #accesses: { full?: Access; rows?: Access } = {}
  readonly outer: Shape
  readonly inner: Shape
  /** Outer dimensions, then inner ones. */
  readonly extents: Shape

  constructor(space: Space, parts: ReadonlyArray<Shape> = space.axes.map((n) => [n])) {
    this.#space = space
    this.#parts = parts
    this.#outerAxes = this.#axes(false)
    this.#innerAxes = this.#axes(true)
    this.outer = this.#outerAxes.flatMap((axis) => parts[axis])
    this.inner = this.#innerAxes.flatMap((axis) => parts[axis])
    this.extents = [...this.outer, ...this.inner]
  }

  #axes(reduced: boolean): ReadonlyArray<number> {
    return this.#parts.flatMap((_, axis) => this.#space.reduced.includes(axis) === reduced ? [axis] : [])
  }

  /** The access of a value with these axes: all of the space, or the kept ones. The same one each time. */
  access(where: "full" | "rows"): Access {
    return this.#accesses[where] ??= this.#access(where)
  }

  #access(where: "full" | "rows"): Access {
    const count = this.extents.length
    const order = [...this.#outerAxes, ...this.#innerAxes]
    const first = new Map<number, number>()
    let next = 0
    for (const axis of order) {
      first.set(axis, next)
      next += this.#parts[axis].length
    }
    const axes = this.#parts.flatMap((_, axis) => where === "full" || !this.#space.reduced.includes(axis) ? [axis] : [])
    return axes.map((axis) => {
      const parts = this.#parts[axis]
      const at = parts.reduce<Affine>(
        (sum, extent, i) => plus(scaled(sum, extent), unit((first.get(axis) ?? 0) + i, count)),
        constant(0, count)
      )
      return { sizes: [this.#space.axes[axis]], at }
    })
  }

  /** With one dimension split into two. */
  refined({ dimension, factor }: Refine): Dimensions {
    const order = [...this.#outerAxes, ...this.#innerAxes]
    let next = 0
    const parts = [...this.#parts]
    for (const axis of order) {
      const own = this.#parts[axis]
      const at = dimension - next
      if (at >= 0 && at < own.length) {
        parts[axis] = [...own.slice(0, at), own[at] / factor, factor, ...own.slice(at + 1)]
      }
      next += own.length
    }
    return new Dimensions(this.#space, parts)
  }
}
