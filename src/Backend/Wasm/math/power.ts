/** Roots and powers. */
import { expInDoubles, inDoubles, logInDoubles } from "./double.ts"
import { call, type Helper } from "./helper.ts"
import { b, d, f, i, type Operand, type Value, withSign } from "./value.ts"

/** √x: exact, as IEEE 754 has it. */
export const sqrt = (x: Value): Value => f.sqrt(x)

/** 1/√x. */
export const rsqrt = (x: Value): Value => f.div(1, f.sqrt(x))

/** A third of the exponent, then two steps of Halley's iteration. */
export const cbrt = (x: Value): Value => {
  const tiny = f.lt(f.abs(x), 1.2e-38)
  const a = b.select(tiny, f.mul(f.abs(x), 2 ** 24), f.abs(x))
  let r = i.add(i.saturated(f.mul(f.signed(a), 1 / 3)), 0x2a512400)
  for (let step = 0; step < 2; step++) {
    // r³ / a, which neither overflows nor underflows, less 1.
    const t = f.sub(f.div(f.mul(r, r), f.div(a, r)), 1)
    // r(t + 3) / (2t + 3), as a correction of r.
    r = f.sub(r, f.div(f.mul(r, t), f.add(f.add(t, t), 3)))
  }
  const root = withSign(b.select(tiny, f.mul(r, 2 ** -8), r), x)
  return b.select(b.and(f.gt(a, 0), f.lt(a, Infinity)), root, x)
}

/** |x|ʸ by e^(y log |x|) in doubles, and then C's rules for signs, zeros and infinities. */
const powHelper: Helper = {
  name: "pow",
  arity: 2,
  cost: 120,
  formula: (x, y) => {
    const a = f.abs(x)
    const magnitude = inDoubles((base, exponent) => {
      const l = logInDoubles(base)
      const edge = d.select(d.eq(base, 0), -Infinity, d.select(d.lt(base, Infinity), l, base))
      return expInDoubles(d.mul(exponent, edge))
    })(a, y)
    const positive = b.select(f.eq(a, 1), 1, magnitude)
    const whole = f.eq(f.floor(y), y)
    const odd = b.and(b.and(whole, f.lt(f.abs(y), 2 ** 24)), i.shl(i.saturated(y), 31))
    // The sign bit is left where the base is negative and the exponent odd.
    const signed = b.xor(positive, b.and(b.and(odd, x), -0x80000000))
    const undefined_ = b.andnot(b.and(f.lt(x, 0), f.lt(a, Infinity)), whole)
    const infinite = f.eq(f.abs(y), Infinity)
    const nan = b.or(b.andnot(undefined_, infinite), b.or(f.ne(x, x), f.ne(y, y)))
    return b.select(b.or(f.eq(y, 0), f.eq(x, 1)), 1, b.or(signed, nan))
  }
}

/** xʸ. */
export const pow = (x: Value, y: Value): Value => call(powHelper, x, y)

/** xⁿ by squaring. */
export const power = (
  x: Value,
  n: number,
  times: (a: Operand, b: Operand) => Value,
  one: Value,
  over: (a: Operand, b: Operand) => Value
): Value => {
  let result: Value | undefined
  let base = x
  for (let e = Math.abs(n); e > 0; e = Math.floor(e / 2)) {
    if (e % 2 === 1) result = result === undefined ? base : times(result, base)
    if (e > 1) base = times(base, base)
  }
  const whole = result ?? one
  return n < 0 ? over(one, whole) : whole
}
