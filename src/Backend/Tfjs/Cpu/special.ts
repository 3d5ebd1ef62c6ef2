/**
 * Special functions in double precision, accurate well beyond float32, except `erfInv`, which is the float32 polynomial
 * of XLA step by step, since random normals are made with it.
 */

/** Σ coefficients[i] · xⁱ. */
const polynomial = (coefficients: ReadonlyArray<number>, x: number): number => {
  let sum = 0
  for (let i = coefficients.length - 1; i >= 0; i--) sum = sum * x + coefficients[i]
  return sum
}

// Rational approximations of erf and erfc by intervals of |x|: Sun Microsystems' fdlibm, s_erf.c (freely usable).
const erx = 8.45062911510467529297e-01
const pp = [
  1.28379167095512558561e-01,
  -3.25042107247001499370e-01,
  -2.84817495755985104766e-02,
  -5.77027029648944159157e-03,
  -2.37630166566501626084e-05
]
const qq = [
  1,
  3.97917223959155352819e-01,
  6.50222499887672944485e-02,
  5.08130628187576562776e-03,
  1.32494738004321644526e-04,
  -3.96022827877536812320e-06
]
const pa = [
  -2.36211856075265944077e-03,
  4.14856118683748331666e-01,
  -3.72207876035701323847e-01,
  3.18346619901161753674e-01,
  -1.10894694282396677476e-01,
  3.54783043256182359371e-02,
  -2.16637559486879084300e-03
]
const qa = [
  1,
  1.06420880400844228286e-01,
  5.40397917702171048937e-01,
  7.18286544141962662868e-02,
  1.26171219808761642112e-01,
  1.36370839120290507362e-02,
  1.19844998467991074170e-02
]
const ra = [
  -9.86494403484714822705e-03,
  -6.93858572707181764372e-01,
  -1.05586262253232909814e+01,
  -6.23753324503260060396e+01,
  -1.62396669462573470355e+02,
  -1.84605092906711035994e+02,
  -8.12874355063065934246e+01,
  -9.81432934416914548592e+00
]
const sa = [
  1,
  1.96512716674392571292e+01,
  1.37657754143519042600e+02,
  4.34565877475229228821e+02,
  6.45387271733267880336e+02,
  4.29008140027567833386e+02,
  1.08635005541779435134e+02,
  6.57024977031928170135e+00,
  -6.04244152148580987438e-02
]
const rb = [
  -9.86494292470009928597e-03,
  -7.99283237680523006574e-01,
  -1.77579549177547519889e+01,
  -1.60636384855821916062e+02,
  -6.37566443368389627722e+02,
  -1.02509513161107724954e+03,
  -4.83519191608651397019e+02
]
const sb = [
  1,
  3.03380607434824582924e+01,
  3.25792512996573918826e+02,
  1.53672958608443695994e+03,
  3.19985821950859553908e+03,
  2.55305040643316442583e+03,
  4.74528541206955367215e+02,
  -2.24409524465858183362e+01
]

/** erfc of a ≥ 0.84375. */
const erfcTail = (a: number): number => {
  if (a < 1.25) return 1 - erx - polynomial(pa, a - 1) / polynomial(qa, a - 1)
  const s = 1 / (a * a)
  const ratio = a < 1 / 0.35 ? polynomial(ra, s) / polynomial(sa, s) : polynomial(rb, s) / polynomial(sb, s)
  return Math.exp(-a * a - 0.5625 + ratio) / a
}

/** The error function. */
export const erf = (x: number): number => {
  const a = Math.abs(x)
  if (Number.isNaN(x)) return x
  if (a < 0.84375) return x + x * (polynomial(pp, x * x) / polynomial(qq, x * x))
  return Math.sign(x) * (a > 6 ? 1 : 1 - erfcTail(a))
}

/** 1 - erf(x), without cancellation. */
export const erfc = (x: number): number => {
  const a = Math.abs(x)
  if (Number.isNaN(x)) return x
  if (a < 0.84375) return 1 - erf(x)
  const tail = a > 28 ? 0 : erfcTail(a)
  return x > 0 ? tail : 2 - tail
}

// M. Giles, "Approximating the erfinv function" (2010), single precision, as in XLA; highest power first.
const central = [
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
const tails = [
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

/** The inverse error function of a float32, every step rounded to float32. */
export const erfInv = (x: number): number => {
  const f = Math.fround
  if (Math.abs(x) === 1) return x * Infinity
  let w = f(-Math.log1p(f(f(-x) * x)))
  const isCentral = w < 5
  const coefficients = isCentral ? central : tails
  w = isCentral ? f(w - 2.5) : f(f(Math.sqrt(w)) - 3)
  let p = coefficients[0]
  // XLA's CPU fuses the multiplication and the addition: one rounding.
  for (let i = 1; i < coefficients.length; i++) p = f(p * w + coefficients[i])
  return f(p * x)
}

// Lanczos' approximation with g = 7 and nine terms (P. Godfrey's coefficients).
const lanczos = [
  0.99999999999980993227684700473478,
  676.520368121885098567009190444019,
  -1259.13921672240287047156078755283,
  771.3234287776530788486528258894,
  -176.61502916214059906584551354,
  12.507343278686904814458936853,
  -0.13857109526572011689554707,
  9.984369578019570859563e-6,
  1.50563273514931155834e-7
]

/** log |Γ(x)|; infinite at 0, -1, -2, … */
export const lgamma = (x: number): number => {
  if (Number.isNaN(x)) return x
  if (!Number.isFinite(x)) return Infinity
  if (x <= 0 && Number.isInteger(x)) return Infinity
  if (x < 0.5) return Math.log(Math.PI / Math.abs(sinPi(x))) - lgamma(1 - x)
  if (Math.abs(x - 1) < 1e-3 || Math.abs(x - 2) < 1e-3) return lgammaNear(x)
  const z = x - 1
  let sum = lanczos[0]
  for (let i = 1; i < lanczos.length; i++) sum += lanczos[i] / (z + i)
  const t = z + 7.5
  return 0.5 * Math.log(2 * Math.PI) + (z + 0.5) * Math.log(t) - t + Math.log(sum)
}

const eulerGamma = 0.57721566490153286061

/** Taylor's series at the zeros 1 and 2, where the general formula cancels. */
const lgammaNear = (x: number): number => {
  const d = Math.abs(x - 1) < 0.5 ? x - 1 : x - 2
  const [z2, z3, z4, z5] = [
    1.64493406684822643647,
    1.20205690315959428540,
    1.08232323371113819152,
    1.03692775514336992633
  ]
  const atOne = d * (-eulerGamma + d * (z2 / 2 + d * (-z3 / 3 + d * (z4 / 4 - d * z5 / 5))))
  return x < 1.5 ? atOne : atOne + Math.log1p(d)
}

/** sin(πx), with the argument reduced first. */
const sinPi = (x: number): number => Math.sin(Math.PI * (x - 2 * Math.round(x / 2)))

/** The derivative of lgamma; nan at 0 (XLA) and the negative whole numbers. */
export const digamma = (x: number): number => {
  if (x <= 0 && Number.isInteger(x)) return Number.NaN
  if (x === Infinity) return x
  if (x === -Infinity) return Number.NaN
  if (x < 0.5) {
    const r = x - Math.round(x)
    return digamma(1 - x) - Math.PI / Math.tan(Math.PI * r)
  }
  let shift = 0
  let z = x
  for (; z < 10; z++) shift -= 1 / z
  const s = 1 / (z * z)
  // log z - 1/2z - Σ B₂ₖ / 2k z²ᵏ
  return shift + Math.log(z) - 0.5 / z -
    s * (1 / 12 - s * (1 / 120 - s * (1 / 252 - s * (1 / 240 - s * (1 / 132 - s * (691 / 32760 - s / 12))))))
}
