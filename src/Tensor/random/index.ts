/**
 * Random numbers, `jax.random` in camelCase: keys, and functions from a key to an array of samples. Pure: the same key
 * gives the same numbers, the ones that JAX draws from it.
 */
export {
  cauchy,
  doubleSidedMaxwell,
  exponential,
  laplace,
  logistic,
  lognormal,
  maxwell,
  pareto,
  rayleigh,
  triangular,
  wald,
  weibullMin
} from "./continuous.ts"
export {
  bernoulli,
  categorical,
  type CategoricalOptions,
  geometric,
  gumbel,
  type GumbelOptions,
  rademacher,
  type SampleMode
} from "./discrete.ts"
export { choice, type ChoiceOptions, permutation, type PermutationOptions, randint } from "./integers.ts"
export { bits, foldIn, key, split } from "./key.ts"
export { type FloatOptions, normal, truncatedNormal, uniform, type UniformOptions } from "./uniform.ts"
