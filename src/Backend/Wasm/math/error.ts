/** The error function, its complement and its inverse. */
import { erfInvCentral, erfInvTails } from "../../coefficients.ts"
import { inDoubles, log1pInDoubles } from "./double.ts"
import { expModerate, timesExp } from "./exponential.ts"
import { call, type Helper } from "./helper.ts"
import { b, f, fma, polynomial, type Value, withSign } from "./value.ts"

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

/**
 * (a + 3/2) erfc a e^(a²) as a polynomial of q = (a - 3/2) / (a + 3/2), for 0 ≤ a ≤ 10.2, highest power first: the one whose
 * largest relative error is least, rounded to float32 from the lowest power on and fitted again each time. It is 0.3·2⁻²⁴
 * off.
 */
const erfcTail = [
  -1.41155062e-4,
  -1.70405264e-4,
  7.40227464e-4,
  1.82598724e-3,
  -7.4338133e-4,
  -9.4731133e-3,
  -8.1324875e-3,
  4.77695912e-2,
  7.56225511e-2,
  -5.07850051e-1,
  9.6475625e-1
]

/** 1 - erf x, without cancellation. */
export const erfc = (x: Value): Value => {
  // Beyond 10.1 it is 0.
  const a = f.pmin(f.abs(x), 10.1)
  const reciprocal = f.div(1, f.add(a, 1.5))
  const tail = polynomial(f.mul(f.sub(a, 1.5), reciprocal), erfcTail)
  // a² in two parts: the square of what has 12 bits is exact.
  const short = b.and(a, -4096)
  const rest = f.mul(f.sub(a, short), f.add(a, short))
  const positive = timesExp(f.mul(tail, reciprocal), f.neg(f.mul(short, short)), rest)
  return b.select(f.lt(x, 0), f.sub(2, positive), positive)
}

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
