/**
 * The abstract value of an array: what is known of it before anything runs. Shape, dtype, and whether the dtype is
 * weak.
 */
import * as DType from "./DType.ts"
import * as Shape from "./Shape.ts"

/**
 * Shape and dtype of an array that may not have been computed yet (JAX's `ShapedArray`, NNX's `ShapeDtypeStruct`).
 *
 * @category models
 * @since 0.1.0
 */
export interface ShapedArray {
  readonly shape: Shape.Shape
  readonly dtype: DType.DType
  readonly weakType: boolean
}

/** An abstract value. */
export const make = (shape: Shape.Shape, dtype: DType.DType, weakType = false): ShapedArray => ({
  shape,
  dtype,
  weakType
})

/** Same shape, dtype and weakness? */
export const equals = (a: ShapedArray, b: ShapedArray): boolean =>
  a === b || (a.dtype === b.dtype && a.weakType === b.weakType && Shape.equals(a.shape, b.shape))

/** As Programs print it: `f32[2,3]`. */
export const format = (a: ShapedArray): string => `${DType.short(a.dtype)}${Shape.format(a.shape)}`

/** Bytes that the elements take. */
export const byteSize = (a: ShapedArray): number => Shape.size(a.shape) * DType.byteSize(a.dtype)

/** The abstract value with another shape. */
export const withShape = (a: ShapedArray, shape: Shape.Shape): ShapedArray => make(shape, a.dtype, a.weakType)
