/**
 * Special functions in double precision, accurate well beyond float32, except `erfInv`, which is the float32 polynomial
 * of XLA step by step, since random normals are made with it.
 */
import { erfInvCentral, erfInvTails, lanczos } from "../../coefficients.ts"

/** Σ coefficients[i] · xⁱ. */
const polynomial = (coefficients: ReadonlyArray<number>, x: number): number => {
  let sum = 0
  for (let i = coefficients.length - 1; i >= 0; i--) sum = sum * x + coefficients[i]
  return sum
}

// Rational approximations of erf and erfc by intervals of |x|: Sun Microsystems' fdlibm, s_erf.c (freely usable).
const erx = 0.8450629115104675
const pp = [
  0.12837916709551256,
  -0.3250421072470015,
  -0.02848174957559851,
  -0.005770270296489442,
  -2.3763016656650163e-05
]
const qq = [
  1,
  0.39791722395915535,
  0.0650222499887673,
  0.005081306281875766,
  0.00013249473800432164,
  -3.960228278775368e-06
]
const pa = [
  -0.0023621185607526594,
  0.41485611868374833,
  -0.3722078760357013,
  0.31834661990116175,
  -0.11089469428239668,
  0.035478304325618236,
  -0.002166375594868791
]
const qa = [
  1,
  0.10642088040084423,
  0.540397917702171,
  0.07182865441419627,
  0.12617121980876164,
  0.01363708391202905,
  0.011984499846799107
]
const ra = [
  -0.009864944034847148,
  -0.6938585727071818,
  -10.558626225323291,
  -62.375332450326006,
  -162.39666946257347,
  -184.60509290671104,
  -81.2874355063066,
  -9.814329344169145
]
const sa = [
  1,
  19.651271667439257,
  137.65775414351904,
  434.56587747522923,
  645.3872717332679,
  429.00814002756783,
  108.63500554177944,
  6.570249770319282,
  -0.0604244152148581
]
const rb = [
  -0.0098649429247001,
  -0.799283237680523,
  -17.757954917754752,
  -160.63638485582192,
  -637.5664433683896,
  -1025.0951316110772,
  -483.5191916086514
]
const sb = [
  1,
  30.33806074348246,
  325.7925129965739,
  1536.729586084437,
  3199.8582195085955,
  2553.0504064331644,
  474.52854120695537,
  -22.44095244658582
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

/** The inverse error function of a float32, every step rounded to float32. */
export const erfInv = (x: number): number => {
  const f = Math.fround
  if (Math.abs(x) === 1) return x * Infinity
  let w = f(-Math.log1p(f(f(-x) * x)))
  const isCentral = w < 5
  const coefficients = isCentral ? erfInvCentral : erfInvTails
  w = isCentral ? f(w - 2.5) : f(f(Math.sqrt(w)) - 3)
  let p = coefficients[0]
  // XLA's CPU fuses the multiplication and the addition: one rounding.
  for (let i = 1; i < coefficients.length; i++) p = f(p * w + coefficients[i])
  return f(p * x)
}

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

const eulerGamma = 0.5772156649015329

/** Taylor's series at the zeros 1 and 2, where the general formula cancels. */
const lgammaNear = (x: number): number => {
  const d = Math.abs(x - 1) < 0.5 ? x - 1 : x - 2
  const [z2, z3, z4, z5] = [
    1.6449340668482264,
    1.2020569031595942,
    1.0823232337111381,
    1.03692775514337
  ]
  const atOne = d * (-eulerGamma + d * (z2 / 2 + d * (-z3 / 3 + d * (z4 / 4 - d * z5 / 5))))
  return x < 1.5 ? atOne : atOne + Math.log1p(d)
}

/** sin(πx), with the argument reduced first. */
const sinPi = (x: number): number => Math.sin(Math.PI * (x - 2 * Math.round(x / 2)))

/** The derivative of lgamma; -Infinity at 0 and nan at the negative whole numbers, as XLA has it. */
export const digamma = (x: number): number => {
  if (x <= 0 && Number.isInteger(x)) return x === 0 ? -Infinity : Number.NaN
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
