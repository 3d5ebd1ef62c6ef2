/** The logarithm of the gamma function and its derivative, in doubles. */
import { lanczos } from "../../coefficients.ts"
import { cosPi, inDoubles, logInDoubles, sinPi } from "./double.ts"
import { call, type Helper } from "./helper.ts"
import { b, d, f, polynomialInDoubles, type Value } from "./value.ts"

/** log Γ(x) for ½ ≤ x. */
const lgammaRight = (x: Value): Value => {
  const z = d.sub(x, 1)
  const sum = lanczos.slice(1).reduce((s, c, k) => d.add(s, d.div(c, d.add(z, k + 1))), d.add(lanczos[0], 0))
  const t = d.add(z, 7.5)
  const main = d.sub(d.mul(d.add(z, 0.5), logInDoubles(t)), t)
  return d.add(d.add(main, 0.5 * Math.log(2 * Math.PI)), logInDoubles(sum))
}

/** x less the nearest whole number. */
const fraction = (x: Value): Value => d.sub(x, d.nearest(x))

const lgammaDouble = (x: Value): Value => {
  const isLeft = d.lt(x, 0.5)
  const right = lgammaRight(d.select(isLeft, d.sub(1, x), x))
  const reflected = d.sub(logInDoubles(d.div(Math.PI, d.abs(sinPi(fraction(x))))), right)
  return d.select(isLeft, reflected, right)
}

const isPole = (x: Value): Value => b.and(f.le(x, 0), f.eq(f.floor(x), x))

const lgammaHelper: Helper = {
  name: "lgamma",
  arity: 1,
  cost: 400,
  formula: (x) => {
    const infinite = b.or(isPole(x), f.eq(f.abs(x), Infinity))
    const isRoot = b.or(f.eq(x, 1), f.eq(x, 2))
    return b.or(b.select(infinite, Infinity, b.andnot(inDoubles(lgammaDouble)(x), isRoot)), f.ne(x, x))
  }
}

/** log |Γ(x)|; infinite at 0, -1, -2, … */
export const lgamma = (x: Value): Value => call(lgammaHelper, x)

// B₂ₖ / 2k: highest first.
const bernoulli = [1 / 12, -691 / 32760, 1 / 132, -1 / 240, 1 / 252, -1 / 120, 1 / 12]

const digammaDouble = (x: Value): Value => {
  const isLeft = d.lt(x, 0.5)
  // ψ(z) = ψ(z + 1) - 1/z, until z is 10 or more.
  let z = d.select(isLeft, d.sub(1, x), x)
  let shift = d.mul(z, 0)
  for (let step = 0; step < 10; step++) {
    const isSmall = d.lt(z, 10)
    shift = d.add(shift, d.select(isSmall, d.div(1, z), 0))
    z = d.add(z, d.select(isSmall, 1, 0))
  }
  const s = d.div(1, d.mul(z, z))
  const series = d.mul(s, polynomialInDoubles(s, bernoulli))
  const right = d.sub(d.sub(d.sub(logInDoubles(z), d.div(0.5, z)), series), shift)
  const r = fraction(x)
  const reflected = d.sub(right, d.div(d.mul(Math.PI, cosPi(r)), sinPi(r)))
  return d.select(isLeft, reflected, right)
}

const digammaHelper: Helper = {
  name: "digamma",
  arity: 1,
  cost: 400,
  formula: (x) => {
    const usual = b.select(f.eq(x, Infinity), x, inDoubles(digammaDouble)(x))
    return b.select(f.eq(x, 0), -Infinity, b.or(usual, b.or(isPole(x), f.ne(x, x))))
  }
}

/** The derivative of lgamma; -Infinity at 0 and nan at the negative whole numbers, as XLA has it. */
export const digamma = (x: Value): Value => call(digammaHelper, x)
