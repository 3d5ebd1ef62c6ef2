/** Coefficients of published approximations, for every backend that computes these functions itself. */

/**
 * M. Giles, "Approximating the erfinv function" (2010), single precision, as in XLA; highest power first. For
 * w = -log(1 - x²) the first is of w - 2.5 where w < 5, the second of √w - 3 elsewhere; each gives erfinv(x) / x.
 */
export const erfInvCentral: ReadonlyArray<number> = [
  2.81022636e-08,
  3.43273939e-07,
  -3.5233877e-06,
  -4.39150654e-06,
  0.00021858087,
  -0.00125372503,
  -0.00417768164,
  0.246640727,
  1.50140941
].map(Math.fround)

/** See `erfInvCentral`. */
export const erfInvTails: ReadonlyArray<number> = [
  -0.000200214257,
  0.000100950558,
  0.00134934322,
  -0.00367342844,
  0.00573950773,
  -0.0076224613,
  0.00943887047,
  1.00167406,
  2.83297682
].map(Math.fround)

/** Lanczos' approximation of the gamma function with g = 7 and nine terms (P. Godfrey's coefficients). */
export const lanczos: ReadonlyArray<number> = [
  0.9999999999998099,
  676.5203681218851,
  -1259.1392167224028,
  771.3234287776531,
  -176.6150291621406,
  12.507343278686905,
  -0.13857109526572012,
  9.984369578019572e-06,
  1.5056327351493116e-07
]
