/**
 * How functions take their arguments: an array first or last, bare axes for options, a bare size for a shape. Not part
 * of the public interface, but for the types.
 */
import { dual } from "effect/Function"
import type { Axes } from "../Methods.ts"
import type * as Shape from "../Shape.ts"
import { isTensor, type Tensor } from "../Tensor.ts"

/** A shape, or the size of a single axis. */
export type ShapeLike = number | Shape.Shape

/** The shape that is meant. */
export const toShape = (shape: ShapeLike): Shape.Shape => typeof shape === "number" ? [shape] : shape

/** What keeps an array from being taken for its own options, since it has a dtype as they do. */
export interface NoArray {
  readonly aval?: never
}

/** A function of an array with options O, for which bare axes may stand in. */
export interface Reduction<O> {
  (options?: (O & NoArray) | Axes): (x: Tensor) => Tensor
  (x: Tensor, options?: O | Axes): Tensor
}

const isAxes = (u: object | Axes): u is Axes => u === null || typeof u === "number" || Array.isArray(u)

/** Makes a function data-first and data-last, and bare axes into options. */
export const reduction = <O extends object>(
  f: (x: Tensor, options: O | { readonly axis: Axes }) => Tensor
): Reduction<O> =>
  dual(
    (args) => isTensor(args[0]),
    (x: Tensor, options?: O | Axes): Tensor =>
      f(x, options === undefined ? { axis: null } : isAxes(options) ? { axis: options } : options)
  )
