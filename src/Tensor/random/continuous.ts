/**
 * Distributions over the reals that have an inverse cumulative distribution function, or a formula in normal numbers:
 * each sampler is that formula applied to `uniform` or `normal`. Formulas and constants are those of
 * `jax/_src/random/core.py`.
 *
 * Parameters broadcast to the shape asked for, which is by default the parameters' own.
 */
import * as DType from "../DType.ts"
import * as lax from "../lax/index.ts"
import type * as Shape from "../Shape.ts"
import type { Tensor, TensorLike } from "../Tensor.ts"
import { rademacher } from "./discrete.ts"
import { constant, split } from "./key.ts"
import { checkFloat, type FloatOptions, normal, parameter, sampleShape, uniform } from "./uniform.ts"

const keys = (key: Tensor): readonly [Tensor, Tensor] => {
  const both = split(key)
  const at = (i: number) => lax.squeeze(lax.slice(both, [i, 0], [i + 1, 2]), [0])
  return [at(0), at(1)]
}

/** What a sampler with parameters computes with: the dtype, the shape, and the parameters of that dtype and shape. */
const prepare = (
  operation: string,
  shape: Shape.Shape | undefined,
  options: FloatOptions,
  ...values: ReadonlyArray<TensorLike>
): { readonly dtype: DType.DType; readonly shape: Shape.Shape; readonly parameters: ReadonlyArray<Tensor> } => {
  const dtype = checkFloat(operation, options.dtype)
  const own = values.map((x) => parameter(x, dtype))
  const out = sampleShape(operation, shape, ...own.map((x) => x.shape))
  return { dtype, shape: out, parameters: own.map((x) => lax.broadcastTo(x, out)) }
}

const like = (x: Tensor, value: number): Tensor => constant(value, x.dtype, x.shape)

/**
 * Exponentially distributed floats of rate 1, -log(1 - u): `jax.random.exponential`.
 *
 * @category samplers
 * @since 0.1.0
 */
export const exponential = (key: Tensor, shape: Shape.Shape = [], options: FloatOptions = {}): Tensor =>
  lax.neg(lax.log1p(lax.neg(uniform(key, shape, options))))

/**
 * Laplace distributed floats of location 0 and scale 1, sign(u) · log(1 - |u|): `jax.random.laplace`.
 *
 * @category samplers
 * @since 0.1.0
 */
export const laplace = (key: Tensor, shape: Shape.Shape = [], options: FloatOptions = {}): Tensor => {
  const dtype = checkFloat("random.laplace", options.dtype)
  const u = uniform(key, shape, { dtype, minval: -1 + DType.finfo(dtype).eps / 2, maxval: 1 })
  return lax.mul(lax.sign(u), lax.log1p(lax.neg(lax.abs(u))))
}

/**
 * Logistically distributed floats of location 0 and scale 1, log(u) - log(1 - u): `jax.random.logistic`.
 *
 * @category samplers
 * @since 0.1.0
 */
export const logistic = (key: Tensor, shape: Shape.Shape = [], options: FloatOptions = {}): Tensor => {
  const dtype = checkFloat("random.logistic", options.dtype)
  const u = uniform(key, shape, { dtype, minval: DType.finfo(dtype).tiny, maxval: 1 })
  return lax.sub(lax.log(u), lax.log1p(lax.neg(u)))
}

/**
 * Cauchy distributed floats, tan(π (u - ½)): `jax.random.cauchy`.
 *
 * @category samplers
 * @since 0.1.0
 */
export const cauchy = (key: Tensor, shape: Shape.Shape = [], options: FloatOptions = {}): Tensor => {
  const dtype = checkFloat("random.cauchy", options.dtype)
  const u = uniform(key, shape, { dtype, minval: DType.finfo(dtype).eps, maxval: 1 })
  return lax.tan(lax.mul(like(u, Math.PI), lax.sub(u, like(u, 0.5))))
}

/**
 * Maxwell distributed floats, the length of a normal vector in three dimensions: `jax.random.maxwell`.
 *
 * @category samplers
 * @since 0.1.0
 */
export const maxwell = (key: Tensor, shape: Shape.Shape = [], options: FloatOptions = {}): Tensor => {
  const x = normal(key, [...shape, 3], options)
  return lax.sqrt(lax.reduceSum(lax.mul(x, x), shape.length))
}

/**
 * A Maxwell number with a random sign, times `scale`, plus `loc`: `jax.random.double_sided_maxwell`. As there, the
 * result has the axes of `shape`, then those of the parameters.
 *
 * @category samplers
 * @since 0.1.0
 */
export const doubleSidedMaxwell = (
  key: Tensor,
  loc: TensorLike,
  scale: TensorLike,
  shape: Shape.Shape = [],
  options: FloatOptions = {}
): Tensor => {
  const own = prepare("random.doubleSidedMaxwell", undefined, options, loc, scale)
  const out = [...(shape.length === 0 ? own.shape : shape), ...own.shape]
  const [location, factor] = own.parameters.map((x) => lax.broadcastTo(x, out))
  const [first, second] = keys(key)
  const sign = rademacher(second, out, { dtype: own.dtype })
  return lax.add(lax.mul(lax.mul(sign, maxwell(first, out, { dtype: own.dtype })), factor), location)
}

/**
 * Rayleigh distributed floats, scale · √(-2 log u): `jax.random.rayleigh`.
 *
 * @category samplers
 * @since 0.1.0
 */
export const rayleigh = (
  key: Tensor,
  scale: TensorLike,
  shape?: Shape.Shape,
  options: FloatOptions = {}
): Tensor => {
  const { dtype, parameters: [factor], shape: out } = prepare("random.rayleigh", shape, options, scale)
  const log = lax.log(uniform(key, out, { dtype }))
  return lax.mul(factor, lax.sqrt(lax.mul(log, like(log, -2))))
}

/**
 * Pareto distributed floats of shape parameter `b`, exp(e / b) with e exponential: `jax.random.pareto`.
 *
 * @category samplers
 * @since 0.1.0
 */
export const pareto = (key: Tensor, b: TensorLike, shape?: Shape.Shape, options: FloatOptions = {}): Tensor => {
  const { dtype, parameters: [exponent], shape: out } = prepare("random.pareto", shape, options, b)
  return lax.exp(lax.div(exponential(key, out, { dtype }), exponent))
}

/**
 * Weibull distributed floats, scale · (-log(1 - u))^(1/concentration): `jax.random.weibull_min`.
 *
 * @category samplers
 * @since 0.1.0
 */
export const weibullMin = (
  key: Tensor,
  scale: TensorLike,
  concentration: TensorLike,
  shape?: Shape.Shape,
  options: FloatOptions = {}
): Tensor => {
  const { dtype, parameters: [factor, k], shape: out } = prepare(
    "random.weibullMin",
    shape,
    options,
    scale,
    concentration
  )
  return lax.mul(lax.pow(exponential(key, out, { dtype }), lax.div(like(k, 1), k)), factor)
}

/**
 * Floats whose logarithm is normal with standard deviation `sigma` (1 by default): `jax.random.lognormal`.
 *
 * @category samplers
 * @since 0.1.0
 */
export const lognormal = (
  key: Tensor,
  sigma: TensorLike = 1,
  shape?: Shape.Shape,
  options: FloatOptions = {}
): Tensor => {
  const { dtype, parameters: [deviation], shape: out } = prepare("random.lognormal", shape, options, sigma)
  return lax.exp(lax.mul(normal(key, out, { dtype }), deviation))
}

/**
 * Triangularly distributed floats between `left` and `right`, most often near `mode`: `jax.random.triangular`.
 *
 * @category samplers
 * @since 0.1.0
 */
export const triangular = (
  key: Tensor,
  left: TensorLike,
  mode: TensorLike,
  right: TensorLike,
  shape?: Shape.Shape,
  options: FloatOptions = {}
): Tensor => {
  const all = prepare("random.triangular", shape, options, left, mode, right)
  const [l, m, r] = all.parameters
  const u = uniform(key, all.shape, { dtype: all.dtype })
  const width = lax.sub(r, l)
  const below = lax.add(l, lax.sqrt(lax.mul(lax.mul(u, width), lax.sub(m, l))))
  const above = lax.sub(r, lax.sqrt(lax.mul(lax.mul(lax.sub(like(u, 1), u), width), lax.sub(r, m))))
  return lax.selectN(lax.lt(u, lax.div(lax.sub(m, l), width)), above, below)
}

/**
 * Wald (inverse Gaussian) distributed floats of scale 1, by the method of Michael, Schucany and Haas (1976):
 * `jax.random.wald`.
 *
 * @category samplers
 * @since 0.1.0
 */
export const wald = (key: Tensor, mean: TensorLike, shape?: Shape.Shape, options: FloatOptions = {}): Tensor => {
  const { dtype, parameters: [mu], shape: out } = prepare("random.wald", shape, options, mean)
  const [first, second] = keys(key)
  const y = lax.integerPow(normal(first, out, { dtype }), 2)
  const z = uniform(second, out, { dtype })
  const squared = lax.integerPow(mu, 2)
  const two = like(mu, 2)
  const radicand = lax.add(lax.mul(lax.mul(like(mu, 4), mu), y), lax.mul(squared, lax.integerPow(y, 2)))
  const x = lax.sub(
    lax.add(mu, lax.div(lax.mul(squared, y), two)),
    lax.mul(lax.div(mu, two), lax.sqrt(radicand))
  )
  return lax.selectN(lax.le(z, lax.div(mu, lax.add(mu, x))), lax.div(squared, x), x)
}
