/** The error function, its complement and its inverse. */
import { erfInvCentral, erfInvTails } from "../../coefficients.ts"
import { expInDoubles, inDoubles, log1pInDoubles } from "./double.ts"
import { expModerate } from "./exponential.ts"
import { call, type Helper } from "./helper.ts"
import { b, d, f, fma, polynomial, polynomialInDoubles, type Value, withSign } from "./value.ts"

// N. Juffa's erff (2018, freely usable): an odd polynomial near 0, and 1 - e^p(|x|) beyond 475/512; highest power first.
const erfCentral = [
  -5.96761703e-4,
  4.99119423e-3,
  -2.67681349e-2,
  1.12819925e-1,
  -3.76125336e-1,
  1.28379166e-1
]
const erfExponent = [
  -1.72853470e-5,
  3.83197126e-4,
  -3.88396438e-3,
  2.42546219e-2,
  -1.06777877e-1,
  -6.34846687e-1,
  -1.28717512e-1
]

/** The error function. */
export const erf = (x: Value): Value => {
  const a = f.pmin(f.abs(x), 4)
  const near = f.madd(polynomial(f.mul(a, a), erfCentral), a, a)
  const far = f.sub(1, expModerate(f.sub(f.mul(polynomial(a, erfExponent), a), a)))
  return withSign(b.select(f.gt(a, 0.927734375), far, near), x)
}

// Rational approximations of erf and erfc by intervals of |x|: Sun Microsystems' fdlibm, s_erf.c (freely usable); highest
// power first.
const erx = 0.8450629115104675
const pp = [
  -2.3763016656650163e-05,
  -0.005770270296489442,
  -0.02848174957559851,
  -0.3250421072470015,
  0.12837916709551256
]
const qq = [
  -3.960228278775368e-06,
  0.00013249473800432164,
  0.005081306281875766,
  0.0650222499887673,
  0.39791722395915535,
  1
]
const pa = [
  -0.002166375594868791,
  0.035478304325618236,
  -0.11089469428239668,
  0.31834661990116175,
  -0.3722078760357013,
  0.41485611868374833,
  -0.0023621185607526594
]
const qa = [
  0.011984499846799107,
  0.01363708391202905,
  0.12617121980876164,
  0.07182865441419627,
  0.540397917702171,
  0.10642088040084423,
  1
]
const ra = [
  -9.814329344169145,
  -81.2874355063066,
  -184.60509290671104,
  -162.39666946257347,
  -62.375332450326006,
  -10.558626225323291,
  -0.6938585727071818,
  -0.009864944034847148
]
const sa = [
  -0.0604244152148581,
  6.570249770319282,
  108.63500554177944,
  429.00814002756783,
  645.3872717332679,
  434.56587747522923,
  137.65775414351904,
  19.651271667439257,
  1
]
const rb = [
  -483.5191916086514,
  -1025.0951316110772,
  -637.5664433683896,
  -160.63638485582192,
  -17.757954917754752,
  -0.799283237680523,
  -0.0098649429247001
]
const sb = [
  -22.44095244658582,
  474.52854120695537,
  2553.050406643316,
  3199.8582195085955,
  1536.729586084437,
  325.7925129965739,
  30.33806074348246,
  1
]

const ratio = (p: ReadonlyArray<number>, q: ReadonlyArray<number>, x: Value): Value =>
  d.div(polynomialInDoubles(x, p), polynomialInDoubles(x, q))

const erfcDouble = (x: Value): Value => {
  const a = d.abs(x)
  const near = d.sub(1, d.add(x, d.mul(x, ratio(pp, qq, d.mul(x, x)))))
  const middle = d.sub(1 - erx, ratio(pa, qa, d.sub(a, 1)))
  const w = d.mul(a, a)
  const s = d.div(1, w)
  const r = d.select(d.lt(a, 1 / 0.35), ratio(ra, sa, s), ratio(rb, sb, s))
  const far = d.div(expInDoubles(d.sub(d.sub(r, 0.5625), w)), a)
  const tail = d.select(d.lt(a, 1.25), middle, d.select(d.lt(a, 12), far, 0))
  return d.select(d.lt(a, 0.84375), near, d.select(d.lt(x, 0), d.sub(2, tail), tail))
}

const erfcHelper: Helper = {
  name: "erfc",
  arity: 1,
  cost: 150,
  formula: (x) => b.or(inDoubles(erfcDouble)(x), f.ne(x, x))
}

/** 1 - erf x, without cancellation. */
export const erfc = (x: Value): Value => call(erfcHelper, x)

/**
 * The inverse error function, every step rounded to float: random normals are made with it, and are to be those of JAX
 * to the bit. The logarithm is rounded correctly, and XLA's CPU fuses multiplication and addition.
 */
const erfInvHelper: Helper = {
  name: "erf_inv",
  arity: 1,
  cost: 100,
  formula: (x) => {
    const w = f.neg(inDoubles(log1pInDoubles)(f.mul(f.neg(x), x)))
    const isCentral = f.lt(w, 5)
    const v = b.select(isCentral, f.sub(w, 2.5), f.sub(f.sqrt(w), 3))
    let p = b.select(isCentral, erfInvCentral[0], erfInvTails[0])
    for (let k = 1; k < erfInvCentral.length; k++) p = fma(p, v, b.select(isCentral, erfInvCentral[k], erfInvTails[k]))
    const a = f.abs(x)
    const infinite = withSign(b.select(f.eq(a, 1), Infinity, Number.NaN), x)
    return b.select(f.lt(a, 1), f.mul(p, x), infinite)
  }
}

/** The inverse of erf: infinite at ±1, nan beyond. */
export const erfInv = (x: Value): Value => call(erfInvHelper, x)
