/**
 * Activation functions, with the formulas, constants and derivatives of `jax.nn`, which Flax re-exports.
 *
 * Each keeps the dtype and weakness of floats. Integers become float32 wherever the formula leaves the integers. Where
 * a function has a corner, its derivative is the one that JAX takes: that of `relu` at 0, and of `relu6` at 0 and 6, is
 * 0.
 */
import { ShapeError } from "../errors.ts"
import * as lax from "../lax/index.ts"
import {
  abs,
  add,
  clip,
  div,
  expm1,
  logaddexp,
  maximum,
  minimum,
  mul,
  sqrt,
  square,
  tanh
} from "../numpy/elementwise.ts"
import { split } from "../numpy/joining.ts"
import { ge, gt, le, lt, where } from "../numpy/logic.ts"
import { constant, inexact, numericOf } from "../numpy/promotion.ts"
import * as Shape from "../Shape.ts"
import * as ShapedArray from "../ShapedArray.ts"
import { lift, type Tensor, type TensorLike } from "../Tensor.ts"

export { tanh }

/** x itself: no activation. */
export const identity = (x: TensorLike): Tensor => lift(x)

/**
 * The rectifier, max(x, 0), with derivative 0 at 0 (Bertoin et al., "Numerical influence of ReLU'(0) on
 * backpropagation", 2021).
 *
 * @category activations
 * @since 0.1.0
 */
export const relu = (x: TensorLike): Tensor => {
  const a = numericOf("relu", x)
  return where(le(a, 0), 0, a)
}

/**
 * min(max(x, 0), 6), with derivative 0 at both corners. Integers become float32, as in JAX.
 *
 * @category activations
 * @since 0.1.0
 */
export const relu6 = (x: TensorLike): Tensor => {
  const a = inexact("relu6", x)
  return where(le(a, 0), 0, where(ge(a, 6), 6, a))
}

/**
 * 1/(1 + e⁻ˣ).
 *
 * @category activations
 * @since 0.1.0
 */
export const sigmoid = (x: TensorLike): Tensor => lax.logistic(inexact("sigmoid", x))

/**
 * log(1 + eˣ), a smooth rectifier.
 *
 * @category activations
 * @since 0.1.0
 */
export const softplus = (x: TensorLike): Tensor => logaddexp(x, 0)

/**
 * x / (|x| + 1).
 *
 * @category activations
 * @since 0.1.0
 */
export const softSign = (x: TensorLike): Tensor => div(x, add(abs(x), 1))

/**
 * x · sigmoid(x) (Elfwing et al., "Sigmoid-weighted linear units", 2017).
 *
 * @category activations
 * @since 0.1.0
 */
export const silu = (x: TensorLike): Tensor => mul(x, sigmoid(x))

/** Another name of `silu`. */
export const swish = silu

/**
 * x · tanh(softplus(x)) (Misra, "Mish", 2019).
 *
 * @category activations
 * @since 0.1.0
 */
export const mish = (x: TensorLike): Tensor => mul(x, tanh(softplus(x)))

/**
 * log(sigmoid(x)) = -softplus(-x), without overflow.
 *
 * @category activations
 * @since 0.1.0
 */
export const logSigmoid = (x: TensorLike): Tensor => lax.neg(softplus(lax.neg(numericOf("logSigmoid", x))))

/**
 * x above 0, α (eˣ - 1) elsewhere (Clevert et al., "Exponential linear units", 2015). α is 1 by default.
 *
 * @category activations
 * @since 0.1.0
 */
export const elu = (x: TensorLike, alpha: TensorLike = 1): Tensor => {
  const positive = gt(x, 0)
  return where(positive, x, mul(alpha, expm1(where(positive, 0, x))))
}

/**
 * max(x, 0) + α (exp(min(x, 0)/α) - 1) (Barron, "Continuously differentiable exponential linear units", 2017). α is 1
 * by default.
 *
 * @category activations
 * @since 0.1.0
 */
export const celu = (x: TensorLike, alpha: TensorLike = 1): Tensor => {
  const a = inexact("celu", x)
  return add(maximum(a, 0), mul(alpha, expm1(div(minimum(a, 0), alpha))))
}

/**
 * λ · elu(x, α) with the λ and α that keep mean 0 and variance 1 (Klambauer et al., "Self-normalizing neural networks",
 * 2017).
 *
 * @category activations
 * @since 0.1.0
 */
export const selu = (x: TensorLike): Tensor => mul(1.0507009873554805, elu(x, 1.6732632423543772))

/**
 * x where it is not negative, a small multiple of it elsewhere: 0.01 by default.
 *
 * @category activations
 * @since 0.1.0
 */
export const leakyRelu = (x: TensorLike, negativeSlope: TensorLike = 0.01): Tensor =>
  where(ge(x, 0), x, mul(negativeSlope, x))

/**
 * x, cut at -1 and 1.
 *
 * @category activations
 * @since 0.1.0
 */
export const hardTanh = (x: TensorLike): Tensor => where(gt(x, 1), 1, where(lt(x, -1), -1, x))

/**
 * relu6(x + 3) / 6.
 *
 * @category activations
 * @since 0.1.0
 */
export const hardSigmoid = (x: TensorLike): Tensor => div(relu6(add(x, 3)), 6)

/**
 * x · hardSigmoid(x) (Howard et al., "Searching for MobileNetV3", 2019).
 *
 * @category activations
 * @since 0.1.0
 */
export const hardSilu = (x: TensorLike): Tensor => mul(x, hardSigmoid(x))

/** Another name of `hardSilu`. */
export const hardSwish = hardSilu

/** Options of `gelu`. */
export interface GeluOptions {
  /** By tanh, as BERT and GPT-2 have it (the default, as in JAX), or exactly by erf. */
  readonly approximate?: boolean | undefined
}

/**
 * x · Φ(x), with Φ the normal distribution function (Hendrycks and Gimpel, "Gaussian error linear units", 2016).
 * Approximately, and by default, ½ x (1 + tanh(√(2/π) (x + 0.044715 x³))).
 *
 * @category activations
 * @since 0.1.0
 */
export const gelu = (x: TensorLike, options: GeluOptions = {}): Tensor => {
  const a = inexact("gelu", x)
  if (options.approximate === false) {
    return mul(mul(0.5, a), lax.erfc(mul(lax.neg(a), constant(Math.SQRT1_2, a.dtype, true))))
  }
  const inner = mul(constant(Math.sqrt(2 / Math.PI), a.dtype, true), add(a, mul(0.044715, lax.integerPow(a, 3))))
  return mul(a, mul(0.5, add(1, lax.tanh(inner))))
}

/**
 * The first half along an axis (the last by default), times the sigmoid of the second (Dauphin et al., 2016).
 *
 * Fails with a `ShapeError` when the axis has odd size.
 *
 * @category activations
 * @since 0.1.0
 */
export const glu = (x: Tensor, axis = -1): Tensor => {
  const at = Shape.axis("glu", axis, x.ndim)
  if (x.shape[at] % 2 !== 0) {
    throw new ShapeError({
      operation: "glu",
      expected: `an even size along axis ${at}`,
      found: ShapedArray.format(x.aval),
      hint: "one half is gated by the other"
    })
  }
  const [value, gate] = split(x, 2, at)
  return mul(value, sigmoid(gate))
}

/**
 * (x + √(x² + b)) / 2 (Barron, "Squareplus", 2021). b is 4 by default.
 *
 * @category activations
 * @since 0.1.0
 */
export const squareplus = (x: TensorLike, b: TensorLike = 4): Tensor => div(add(x, sqrt(add(square(x), b))), 2)

/**
 * 0 up to -1, (x + 1)²/4 up to 1, and x from there.
 *
 * @category activations
 * @since 0.1.0
 */
export const sparsePlus = (x: TensorLike): Tensor => where(le(x, -1), 0, where(ge(x, 1), x, div(square(add(x, 1)), 4)))

/**
 * ½ (x + 1), cut to [0, 1].
 *
 * @category activations
 * @since 0.1.0
 */
export const sparseSigmoid = (x: TensorLike): Tensor => mul(0.5, clip(add(x, 1), 0, 2))
