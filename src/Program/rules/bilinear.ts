/**
 * Derivatives of the two products, `dot_general` and `conv_general_dilated`: linear in each operand, so the tangents
 * are products, and (a fact of each, given as `left` and `right`) so are both cotangents.
 */
import type { DType } from "../../Tensor/DType.ts"
import { promoteTypes } from "../../Tensor/DType.ts"
import { convertElementType } from "../../Tensor/lax/index.ts"
import type * as ShapedArray from "../../Tensor/ShapedArray.ts"
import type { Tensor } from "../../Tensor/Tensor.ts"
import { isLinear, type Linear, type Tangent } from "../Primitive.ts"
import { partials } from "./support.ts"

/**
 * The cotangent of the operand of abstract value `target`, from that of the product and the other operand; null is
 * zero.
 */
export type Transposed<P> = (
  cotangent: Tensor,
  target: ShapedArray.ShapedArray,
  other: Tensor,
  params: P
) => Tangent

const convert = (x: Tensor, dtype: DType): Tensor => x.dtype === dtype ? x : convertElementType(x, dtype)

/**
 * With a preferred element type the cotangent has another dtype than the operands: both are multiplied in the wider
 * dtype, and the result is rounded once to the operand's.
 */
const inWiderDType = <P>(side: Transposed<P>): Transposed<P> => (cotangent, target, other, params) => {
  const wide = promoteTypes(cotangent.dtype, other.dtype)
  const out = side(convert(cotangent, wide), target, convert(other, wide), params)
  return out && convert(out, target.dtype)
}

/** The jvp and transpose rules of a product. `left` and `right` get operands of one dtype, and compute in it. */
export const bilinear = <P>(
  apply: (x: Tensor, y: Tensor, params: P) => Tensor,
  left: Transposed<P>,
  right: Transposed<P>
) => ({
  jvp: partials<P>((g, [, y], _, params) => apply(g, y, params), (g, [x], _, params) => apply(x, g, params)),
  transpose: (
    params: P,
    [cotangent]: ReadonlyArray<Tangent>,
    [x, y]: ReadonlyArray<Tensor | Linear>
  ): ReadonlyArray<Tangent> => {
    if (cotangent === null) return [null, null]
    if (isLinear(x)) return [isLinear(y) ? null : inWiderDType(left)(cotangent, x.aval, y, params), null]
    return [null, isLinear(y) ? inWiderDType(right)(cotangent, y.aval, x, params) : null]
  }
})
