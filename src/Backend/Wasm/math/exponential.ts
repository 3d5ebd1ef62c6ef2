/**
 * eˣ and what is made of it, as in Cephes' expf.c (S. Moshier, netlib.org/cephes): x = n·log 2 + r with |r| ≤ log 2 / 2, a
 * polynomial for eʳ, and 2ⁿ made of bits. n is rounded by adding 1.5·2²³, which leaves n in the low bits of the sum.
 */
import { b, f, i, polynomial, type Value, withSign } from "./value.ts"

const log2e = Math.LOG2E
/** log 2 in two parts, the first with few bits, so that n times it is exact. */
const log2High = 0.693359375
const log2Low = -2.12194440e-4
/** Adding it rounds to whole numbers. */
const magic = 12582912

/**
 * eʳ = 1 + r + r²·p(r), highest power first: the polynomial whose largest relative error is least, rounded to float32 from
 * the lowest power on and fitted again each time. It is 0.03 units in the last place off.
 */
const tail = [1.3820468e-3, 8.36925e-3, 4.1668285e-2, 1.6666517e-1, 4.9999994e-1]

/** x = n·log 2 + r. `shifted` is n plus the magic number. */
const reduce = (x: Value): { readonly shifted: Value; readonly n: Value; readonly r: Value } => {
  const shifted = f.madd(x, log2e, magic)
  const n = f.sub(shifted, magic)
  return { shifted, n, r: f.nmadd(n, log2Low, f.nmadd(n, log2High, x)) }
}

/** eʳ - 1. */
const expm1Reduced = (r: Value): Value => f.madd(f.mul(r, r), polynomial(r, tail), r)

/** 2^(n + by) as a float, of n plus the magic number, where that is a normal number. */
const power = (shifted: Value, by: number): Value => i.add(i.shl(shifted, 23), (127 + by) << 23)

/** p·2ⁿ for any n from -150 to 128: in two factors, since 2ⁿ alone may be out of range. */
const scale = (p: Value, shifted: Value): Value => {
  // n and the larger of n and -125, in the place of the exponent.
  const n = i.shl(shifted, 23)
  const normal = i.max(n, -125 << 23)
  const first = i.add(normal, 126 << 23)
  const second = i.add(i.sub(n, normal), 128 << 23)
  return f.mul(f.mul(p, first), second)
}

/** eˣ. */
export const exp = (x: Value): Value => {
  const { r, shifted } = reduce(f.pmin(f.pmax(x, -104), 89))
  return scale(f.add(expm1Reduced(r), 1), shifted)
}

/** 2ˣ. */
export const exp2 = (x: Value): Value => {
  const clamped = f.pmin(f.pmax(x, -151), 129)
  const shifted = f.add(clamped, magic)
  const r = f.mul(f.sub(clamped, f.sub(shifted, magic)), Math.LN2)
  return scale(f.add(expm1Reduced(r), 1), shifted)
}

/** g·e^(x - rest), for -104 ≤ x ≤ 0 and |rest| ≤ 0.05. */
export const timesExp = (g: Value, x: Value, rest: Value): Value => {
  const { r, shifted } = reduce(x)
  return scale(f.madd(g, expm1Reduced(f.sub(r, rest)), g), shifted)
}

/** eˣ for |x| ≤ 87, where 2ⁿ is a normal number. */
export const expModerate = (x: Value): Value => {
  const { r, shifted } = reduce(x)
  return f.mul(f.add(expm1Reduced(r), 1), power(shifted, 0))
}

/** eˣ for x ≤ 0: 2²⁴ times it is a normal number wherever it is not 0. */
export const expNegative = (x: Value): Value => {
  const { r, shifted } = reduce(f.pmax(x, -104))
  return f.mul(f.mul(f.add(expm1Reduced(r), 1), power(shifted, 24)), 2 ** -24)
}

/** eˣ - 1 for 0 ≤ x ≤ 20: 2ⁿ(eʳ - 1) + (2ⁿ - 1). */
const expm1Positive = (x: Value): Value => {
  const { r, shifted } = reduce(x)
  const s = power(shifted, 0)
  return f.madd(expm1Reduced(r), s, f.sub(s, 1))
}

/** eˣ - 1, accurate near 0. */
export const expm1 = (x: Value): Value => {
  const { r, shifted } = reduce(f.pmin(f.pmax(x, -18), 89))
  // With half of 2ⁿ, which may be out of range.
  const half = power(shifted, -1)
  const result = f.mul(f.madd(expm1Reduced(r), half, f.sub(half, 0.5)), 2)
  return withSign(result, x)
}

/** 1 / (1 + e⁻ˣ), without overflow: eˣ / (1 + eˣ) for negative x. */
export const logistic = (x: Value): Value => {
  const e = expNegative(b.or(x, -0x80000000))
  return f.div(b.select(f.lt(x, 0), e, 1), f.add(e, 1))
}

/** (e²ˣ - 1) / (e²ˣ + 1); 1 from 9.02 on. */
export const tanh = (x: Value): Value => {
  const e = expm1Positive(f.mul(f.pmin(f.abs(x), 9.02), 2))
  return withSign(f.div(e, f.add(e, 2)), x)
}

/** (eˣ - e⁻ˣ) / 2. */
export const sinh = (x: Value): Value => {
  const a = f.abs(x)
  const e = expm1Positive(f.pmin(a, 20))
  const small = f.mul(f.add(e, f.div(e, f.add(e, 1))), 0.5)
  return withSign(b.select(f.gt(a, 20), halfExp(a), small), x)
}

/** (eˣ + e⁻ˣ) / 2. */
export const cosh = (x: Value): Value => {
  const h = halfExp(f.abs(x))
  return f.add(h, f.div(0.25, h))
}

/** eˣ / 2, which is finite a little longer than eˣ. */
const halfExp = (x: Value): Value => {
  const { r, shifted } = reduce(f.pmin(x, 90))
  const h = f.add(expm1Reduced(r), 1)
  return f.mul(f.mul(h, power(shifted, -2)), 2)
}
