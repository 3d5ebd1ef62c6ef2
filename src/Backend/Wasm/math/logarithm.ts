/**
 * log x and what is made of it: Cephes' logf.c: x = m·2ᵉ with √½ ≤ m < √2, and a polynomial for log m.
 */
import { b, f, f32, i, polynomial, signOf, type Value, withSign } from "./value.ts"

const log2High = 0.693359375
const log2Low = -2.12194440e-4

/** log(1 + v) = v - v²/2 + v³·p(v), highest power first. */
const tail = [
  7.0376836292e-2,
  -1.1514610310e-1,
  1.1676998740e-1,
  -1.2420140846e-1,
  1.4249322787e-1,
  -1.6668057665e-1,
  2.0000714765e-1,
  -2.4999993993e-1,
  3.3333331174e-1
]

/** log(2ᵉ·(1 + v)). */
const assemble = (e: Value, v: Value): Value => {
  const w = f.mul(v, v)
  const high = f.madd(e, log2Low, f.mul(f.mul(v, w), polynomial(v, tail)))
  return f.madd(e, log2High, f.add(f.nmadd(w, 0.5, high), v))
}

/** The bits of m and the exponent e of a positive normal number. */
const split = (x: Value): { readonly m: Value; readonly e: Value } => {
  // √½ is 0x3f3504f3.
  const e = i.shr(i.sub(x, 0x3f3504f3), 23)
  return { m: i.sub(x, i.shl(e, 23)), e }
}

/** What log x is where x is 0, negative, infinite or nan, and `usual` elsewhere. */
const edges = (x: Value, usual: Value): Value => {
  const finite = b.select(f.lt(x, Infinity), usual, x)
  const positive = b.select(f.eq(x, 0), -Infinity, finite)
  return b.or(positive, f.lt(x, 0))
}

/** The natural logarithm. */
export const log = (x: Value): Value => {
  // Numbers below the normal ones are multiplied by 2²³ first.
  const small = f.lt(x, 2 ** -126)
  const { e, m } = split(b.select(small, f.mul(x, 2 ** 23), x))
  const exponent = f.add(f.signed(e), b.and(small, f32(-23)))
  return edges(x, assemble(exponent, f.sub(m, 1)))
}

/** log(1 + x): what 1 + x has lost is added to the argument of the polynomial, in its scale. */
export const log1p = (x: Value): Value => {
  const sum = f.add(x, 1)
  const lost = b.select(f.lt(x, 1), f.sub(x, f.sub(sum, 1)), f.sub(1, f.sub(sum, x)))
  const { e, m } = split(sum)
  // Of large sums nothing is lost that matters.
  const scale = i.sub(127 << 23, i.shl(i.min(e, 64), 23))
  const v = f.madd(lost, scale, f.sub(m, 1))
  return b.or(edges(sum, assemble(f.signed(e), v)), signOf(x))
}

/** log(x + √(x² + 1)) = log1p(x + x² / (1 + √(x² + 1))); log(2x) where x² would be too large. */
export const asinh = (x: Value): Value => {
  const a = f.abs(x)
  const w = f.mul(a, a)
  const large = f.gt(a, 1e4)
  const usual = f.add(a, f.div(w, f.add(f.sqrt(f.add(w, 1)), 1)))
  const l = log1p(b.select(large, f.sub(a, 1), usual))
  return withSign(f.add(l, b.and(large, f32(Math.LN2))), x)
}

/** log(x + √(x² - 1)) = log1p(d + √(d(d + 2))), d = x - 1; nan below 1. */
export const acosh = (x: Value): Value => {
  const large = f.gt(x, 1e4)
  const below = f.sub(x, 1)
  const usual = f.add(below, f.sqrt(f.mul(below, f.add(below, 2))))
  const l = log1p(b.select(large, below, usual))
  return b.or(f.add(l, b.and(large, f32(Math.LN2))), f.lt(x, 1))
}

/** log((1 + x) / (1 - x)) / 2. */
export const atanh = (x: Value): Value => {
  const a = f.abs(x)
  const l = f.mul(log1p(f.div(f.add(a, a), f.sub(1, a))), 0.5)
  return b.or(withSign(l, x), f.gt(a, 1))
}
