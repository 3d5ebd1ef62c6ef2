/**
 * Uniform and normal numbers, from which the other distributions are made.
 *
 * A uniform number in [0, 1) is made of as many random bits as the dtype has in its mantissa: the float 1.b₁b₂… less 1.
 * Between bounds it is u · (maxval - minval) + minval, rounded once, since XLA fuses the multiplication and the
 * addition.
 *
 * A normal number is √2 · erf⁻¹(u) of a uniform one. XLA computes erf⁻¹ of float32 in float32 arithmetic by Giles'
 * polynomials ("Approximating the erfinv function", 2010), and normals agree with JAX's to the bit only where a backend
 * does so too: with w = -log1p(-x²), p(w - 2.5) if w < 5 and q(√w - 3) else, times x, where p and q are
 *
 * ```text
 * p: 2.81022636e-08 3.43273939e-07 -3.5233877e-06 -4.39150654e-06 0.00021858087 -0.00125372503 -0.00417768164
 *    0.246640727 1.50140941
 * q: -0.000200214257 0.000100950558 0.00134934322 -0.00367342844 0.00573950773 -0.0076224613 0.00943887047
 *    1.00167406 2.83297682
 * ```
 *
 * (highest power first, by Horner's rule with p · w + c rounded once, as XLA fuses it), and x · ∞ where |x| = 1.
 * Narrower floats are computed in float32 and rounded.
 *
 * Source: `jax/_src/random/core.py`.
 */
import * as DType from "../DType.ts"
import { DTypeError, ShapeError } from "../errors.ts"
import * as lax from "../lax/index.ts"
import * as Shape from "../Shape.ts"
import { lift, literal, type Tensor, type TensorLike } from "../Tensor.ts"
import { bits, constant } from "./key.ts"

/** Options of the samplers of floats. */
export interface FloatOptions {
  /** float32 by default; float16 and bfloat16 are drawn with the precision that they have. */
  readonly dtype?: DType.DType | undefined
}

/** Options of `uniform`. */
export interface UniformOptions extends FloatOptions {
  /** The lower bound, included. 0 by default. */
  readonly minval?: TensorLike | undefined
  /** The upper bound, not included. 1 by default. */
  readonly maxval?: TensorLike | undefined
}

/** @internal A floating dtype that samplers draw, or a `DTypeError`. */
export const checkFloat = (operation: string, dtype: DType.DType = "float32"): DType.DType => {
  if (dtype !== "float32" && dtype !== "float16" && dtype !== "bfloat16") {
    throw new DTypeError({
      operation,
      expected: "float32, float16 or bfloat16",
      found: dtype,
      hint: "draw floats of 32 bits or fewer and convert them with astype"
    })
  }
  return dtype
}

/** @internal A sampler's parameter in the sampler's dtype. */
export const parameter = (x: TensorLike, dtype: DType.DType): Tensor =>
  typeof x === "number" ? literal(x, dtype) : lax.convertElementType(lift(x), dtype)

/**
 * @internal The shape asked for, or the one that the parameters have together; parameters must not broadcast it
 * further.
 */
export const sampleShape = (
  operation: string,
  shape: Shape.Shape | undefined,
  ...parameters: ReadonlyArray<Shape.Shape>
): Shape.Shape => {
  const own = Shape.broadcast(operation, ...parameters, ...(shape === undefined ? [] : [Shape.check(operation, shape)]))
  if (shape !== undefined && !Shape.equals(own, shape)) {
    throw new ShapeError({
      operation,
      expected: `parameters that broadcast to the shape asked for, ${Shape.format(shape)}`,
      found: parameters.map(Shape.format).join(" and "),
      hint: "ask for a larger shape"
    })
  }
  return own
}

const mantissas: Readonly<Record<string, { readonly drop: number; readonly mask: number; readonly unit: number }>> = {
  float16: { drop: 6, mask: 0x3ff, unit: 2 ** -10 },
  bfloat16: { drop: 1, mask: 0x7f, unit: 2 ** -7 }
}

/** Uniform in [0, 1). JAX draws 16 bits for a float16 and 8 for a bfloat16, and keeps the high ones of these. */
const unitInterval = (key: Tensor, shape: Shape.Shape, dtype: DType.DType): Tensor => {
  const random = bits(key, shape)
  const like = (value: number, dtype: DType.DType) => constant(value, dtype, shape)
  const half = mantissas[dtype]
  if (half !== undefined) {
    const mantissa = lax.and(lax.shiftRightLogical(random, like(half.drop, "uint32")), like(half.mask, "uint32"))
    const number = lax.mul(lax.convertElementType(mantissa, "float32"), like(half.unit, "float32"))
    return lax.convertElementType(number, dtype)
  }
  const mantissa = lax.shiftRightLogical(random, like(9, "uint32"))
  const number = lax.bitcastConvertType(lax.or(mantissa, like(0x3f800000, "uint32")), "float32")
  return lax.sub(number, like(1, "float32"))
}

const difference = (high: TensorLike, low: TensorLike, dtype: DType.DType): Tensor => {
  if (typeof high === "number" && typeof low === "number" && dtype === "float32") {
    return literal(Math.fround(Math.fround(high) - Math.fround(low)), dtype)
  }
  const [x, y] = [parameter(high, dtype), parameter(low, dtype)]
  const shape = Shape.broadcast("random.uniform", x.shape, y.shape)
  return lax.sub(lax.broadcastTo(x, shape), lax.broadcastTo(y, shape))
}

/**
 * x · y + z of float32, rounded once, as a fused multiply-add does: XLA compiles the scaling of a draw to one, and
 * draws must be JAX's to the bit. The rounding errors of the product (Dekker, with Veltkamp's splitting) and of the sum
 * (Knuth) are floats themselves, and are added at the end. T. J. Dekker, "A floating-point technique for extending the
 * available precision" (1971). Where a product overflows, the plain one is taken.
 */
const multiplyAdd = (x: Tensor, y: Tensor, z: Tensor): Tensor => {
  const split = (a: Tensor): readonly [high: Tensor, low: Tensor] => {
    const c = lax.mul(a, constant(4097, "float32", a.shape))
    const high = lax.sub(c, lax.sub(c, a))
    return [high, lax.sub(a, high)]
  }
  const [xh, xl] = split(x)
  const [yh, yl] = split(y)
  const product = lax.mul(x, y)
  const cross = lax.add(lax.add(lax.sub(lax.mul(xh, yh), product), lax.mul(xh, yl)), lax.mul(xl, yh))
  const productError = lax.add(cross, lax.mul(xl, yl))
  const sum = lax.add(product, z)
  const second = lax.sub(sum, product)
  const sumError = lax.add(lax.sub(product, lax.sub(sum, second)), lax.sub(z, second))
  const fused = lax.add(sum, lax.add(sumError, productError))
  return lax.selectN(lax.isFinite(fused), sum, fused)
}

/**
 * Uniformly distributed floats in [minval, maxval): `jax.random.uniform`.
 *
 * Fails with a `ShapeError` when the bounds do not broadcast to `shape`, and a `DTypeError` for a dtype that is not
 * floating.
 *
 * @category samplers
 * @since 0.1.0
 */
export const uniform = (key: Tensor, shape: Shape.Shape = [], options: UniformOptions = {}): Tensor => {
  const dtype = checkFloat("random.uniform", options.dtype)
  const { maxval = 1, minval = 0 } = options
  const [low, high] = [parameter(minval, dtype), parameter(maxval, dtype)]
  const unit = unitInterval(key, sampleShape("random.uniform", shape, low.shape, high.shape), dtype)
  if (minval === 0 && maxval === 1) return unit
  const least = lax.broadcastTo(low, shape)
  const range = lax.broadcastTo(difference(maxval, minval, dtype), shape)
  const drawn = dtype === "float32" ? multiplyAdd(unit, range, least) : lax.add(lax.mul(unit, range), least)
  return lax.max(least, drawn)
}

/** The largest float below 1, and √2, in each dtype. */
const belowOne: Readonly<Record<string, number>> = {
  float32: 1 - 2 ** -24,
  float16: 1 - 2 ** -11,
  bfloat16: 1 - 2 ** -8
}
const root2: Readonly<Record<string, number>> = {
  float32: Math.fround(Math.SQRT2),
  float16: 1.4140625,
  bfloat16: 1.4140625
}

/**
 * Standard normal floats, √2 · erf⁻¹ of a uniform number in (-1, 1): `jax.random.normal`.
 *
 * @category samplers
 * @since 0.1.0
 */
export const normal = (key: Tensor, shape: Shape.Shape = [], options: FloatOptions = {}): Tensor => {
  const dtype = checkFloat("random.normal", options.dtype)
  const u = uniform(key, shape, { dtype, minval: -belowOne[dtype], maxval: 1 })
  return lax.mul(constant(root2[dtype], dtype, shape), lax.erfInv(u))
}

/**
 * Standard normal floats within [lower, upper], as if others had been drawn again: `jax.random.truncated_normal`. √2 ·
 * erf⁻¹ of a uniform number between erf(lower/√2) and erf(upper/√2). The shape is by default that of the bounds.
 *
 * @category samplers
 * @since 0.1.0
 */
export const truncatedNormal = (
  key: Tensor,
  lower: TensorLike,
  upper: TensorLike,
  shape?: Shape.Shape,
  options: FloatOptions = {}
): Tensor => {
  const dtype = checkFloat("random.truncatedNormal", options.dtype)
  const [low, high] = [parameter(lower, dtype), parameter(upper, dtype)]
  const out = sampleShape("random.truncatedNormal", shape, low.shape, high.shape)
  const cdf = (x: Tensor) => lax.erf(lax.div(x, constant(root2[dtype], dtype, x.shape)))
  const u = uniform(key, out, { dtype, minval: cdf(low), maxval: cdf(high) })
  const drawn = lax.mul(constant(root2[dtype], dtype, out), lax.erfInv(u))
  const inside = (x: Tensor, towards: number) =>
    lax.broadcastTo(lax.nextafter(lax.stopGradient(x), constant(towards, dtype, x.shape)), out)
  return lax.min(lax.max(drawn, inside(low, Infinity)), inside(high, -Infinity))
}
