/**
 * Circular functions: Cephes' sinf.c, tanf.c, asinf.c and atanf.c. Angles are reduced to x = n·π/2 + z, |z| ≤ π/4,
 * with π/2 in three parts; large ones are multiplied by 2/π in fixed point (Payne and Hanek, 1983).
 */
import type { Code, Local } from "../assembler/index.ts"
import type { Emission } from "../emission.ts"
import { type Helper, rarely } from "./helper.ts"
import { b, f, i, polynomial, signOf, type Value, withSign } from "./value.ts"

const magic = 12582912
/** Up to here three parts of π/2 are enough. */
const large = 512

/** The digits of 2/π in words, after one of zeros. */
const digits = [0, 0xa2f9836e, 0x4e441529, 0xfc2757d1, 0xf534ddc0, 0xdb629599, 0x3c439041, 0xfe5163ab]

/**
 * Leaves the fraction of x·2/π in an i64 local, in units of 2⁻⁶² quadrants with the quadrant above: only digits around
 * the exponent matter, since whole multiples of 4 quadrants drop out.
 */
const quadrants = (code: Code, emission: Emission, constants: Local, bits: Local, product: Local): void => {
  const table = emission.constants.words(digits)
  const exponent = code.local("i32", "exponent")
  const at = code.local("i32", "at")
  const shift = code.local("i64", "shift")
  const digit = (k: number) => code.get(at).load("i32.load", table + 4 * k).op("i64.extend_i32_u")
  const pair = (k: number) => {
    digit(k)
    code.i64(32n).op("i64.shl")
    digit(k + 1)
    code.op("i64.or")
  }
  const significand = () => code.get(bits).i32(0x7fffff).op("i32.and").i32(0x800000).op("i32.or").op("i64.extend_i32_u")
  code.get(bits).i32(23).op("i32.shr_u").i32(255).op("i32.and").i32(120).op("i32.sub").set(exponent)
  // Small angles are not asked for, but their lanes come along.
  code.get(exponent).i32(0).get(exponent).i32(0).op("i32.gt_s").op("select").set(exponent)
  code.get(exponent).i32(5).op("i32.shr_u").i32(2).op("i32.shl").get(constants).op("i32.add").set(at)
  code.get(exponent).i32(31).op("i32.and").op("i64.extend_i32_u").set(shift)
  // m · (digits 0 to 63) + (m · (digits 64 to 95)) / 2³²
  significand()
  pair(0)
  code.get(shift).op("i64.shl")
  digit(2)
  code.get(shift).op("i64.shl").i64(32n).op("i64.shr_u").op("i64.or").op("i64.mul")
  significand()
  pair(2)
  code.get(shift).op("i64.shl").i64(32n).op("i64.shr_u").op("i64.mul").i64(32n).op("i64.shr_u").op("i64.add")
  code.set(product)
}

/** A helper that does this with the product of every lane, leaving an i32. */
const perLane = (name: string, finish: (code: Code, bits: Local, product: Local) => void): Helper => ({
  name,
  arity: 1,
  cost: 60,
  code: (code, [x], constants, emission) => {
    const bits = code.local("i32", "bits")
    const product = code.local("i64", "product")
    const result = code.local("v128", "result")
    for (let lane = 0; lane < 4; lane++) {
      code.get(x).lane("i32x4.extract_lane", lane).set(bits)
      quadrants(code, emission, constants, bits, product)
      code.get(result)
      finish(code, bits, product)
      code.lane("i32x4.replace_lane", lane).set(result)
    }
    code.get(result)
  }
})

/** The nearest quadrant, negative for negative angles. */
const quadrantOfLarge = perLane("quadrant", (code, bits, product) => {
  const quadrant = code.local("i32", "quadrant")
  code.get(product).i64(1n << 61n).op("i64.add").i64(62n).op("i64.shr_u").op("i32.wrap_i64").set(quadrant)
  code.i32(0).get(quadrant).op("i32.sub").get(quadrant).get(bits).i32(0).op("i32.lt_s").op("select")
})

/** What is left of the angle. */
const restOfLarge = perLane("angle", (code, bits, product) => {
  // The two bits above are dropped, and the sign spread, by shifting up and down again.
  code.get(product).i64(2n).op("i64.shl").i64(2n).op("i64.shr_s").op("f64.convert_i64_s")
  code.f64(Math.PI / 2 / 2 ** 62).op("f64.mul").op("f32.demote_f64").op("i32.reinterpret_f32")
  code.get(bits).i32(-0x80000000).op("i32.and").op("i32.xor")
})

/** x = n·π/2 + z: z, and n in the low bits of an integer. */
const reduce = (x: Value): { readonly z: Value; readonly n: Value } => {
  const shifted = f.madd(x, 2 / Math.PI, magic)
  const n = f.sub(shifted, magic)
  const z = f.nmadd(n, 7.549789948768648e-8, f.nmadd(n, 4.837512969970703125e-4, f.nmadd(n, 1.5703125, x)))
  const far = f.ge(f.abs(x), large)
  return { z: rarely(far, z, restOfLarge, x), n: rarely(far, shifted, quadrantOfLarge, x) }
}

const sinReduced = (z: Value, w: Value): Value =>
  f.madd(f.mul(polynomial(w, [-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1]), w), z, z)

const cosReduced = (w: Value): Value => {
  const p = polynomial(w, [2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2])
  return f.add(f.madd(f.mul(w, w), p, f.mul(w, -0.5)), 1)
}

/** nan where x is infinite. */
const finite = (x: Value, y: Value): Value => b.or(y, b.not(f.lt(f.abs(x), Infinity)))

/** All bits where bit 0 of n is set. */
const isOdd = (n: Value): Value => i.shr(i.shl(n, 31), 31)

/** The sine. */
export const sin = (x: Value): Value => {
  const { n, z } = reduce(x)
  const w = f.mul(z, z)
  const r = b.select(isOdd(n), cosReduced(w), sinReduced(z, w))
  const signed = b.xor(r, signOf(i.shl(n, 30)))
  return finite(x, b.select(f.eq(x, 0), x, signed))
}

/** The cosine. */
export const cos = (x: Value): Value => {
  const { n, z } = reduce(x)
  const w = f.mul(z, z)
  const r = b.select(isOdd(n), sinReduced(z, w), cosReduced(w))
  return finite(x, b.xor(r, signOf(i.shl(i.add(n, 1), 30))))
}

/** The tangent. */
export const tan = (x: Value): Value => {
  const { n, z } = reduce(x)
  const w = f.mul(z, z)
  const p = polynomial(w, [
    9.38540185543e-3,
    3.11992232697e-3,
    2.44301354525e-2,
    5.34112807005e-2,
    1.33387994085e-1,
    3.33331568548e-1
  ])
  const t = f.madd(f.mul(z, w), p, z)
  return finite(x, b.select(isOdd(n), f.div(-1, t), t))
}

/** asin a for 0 ≤ a ≤ 1: of √((1 - a)/2) beyond ½, of which it gives half the complement. */
const asinParts = (a: Value): { readonly isLarge: Value; readonly r: Value } => {
  const isLarge = f.gt(a, 0.5)
  const w = b.select(isLarge, f.mul(f.sub(1, a), 0.5), f.mul(a, a))
  const s = b.select(isLarge, f.sqrt(w), a)
  const p = polynomial(w, [
    4.2163199048e-2,
    2.4181311049e-2,
    4.5470025998e-2,
    7.4953002686e-2,
    1.6666752422e-1
  ])
  return { isLarge, r: f.madd(f.mul(p, w), s, s) }
}

/** The inverse sine; nan beyond ±1. */
export const asin = (x: Value): Value => {
  const { isLarge, r } = asinParts(f.abs(x))
  // π/2 in two parts.
  const complement = f.sub(Math.PI / 2, f.add(f.add(r, r), 4.371139e-8))
  return withSign(b.select(isLarge, complement, r), x)
}

/** The inverse cosine; nan beyond ±1. */
export const acos = (x: Value): Value => {
  const { isLarge, r } = asinParts(f.abs(x))
  const twice = f.add(r, r)
  const beyond = b.select(f.lt(x, 0), f.sub(Math.PI, f.add(twice, 8.742278e-8)), twice)
  const near = f.sub(Math.PI / 2, f.add(withSign(r, x), 4.371139e-8))
  return b.select(isLarge, beyond, near)
}

/** atan q for 0 ≤ q ≤ 1: π/4 + atan((q - 1)/(q + 1)) beyond tan π/8. */
const atanUnit = (q: Value): Value => {
  const isLarge = f.gt(q, 0.4142135623730950)
  const z = b.select(isLarge, f.div(f.sub(q, 1), f.add(q, 1)), q)
  const w = f.mul(z, z)
  const p = polynomial(w, [8.05374449538e-2, -1.38776856032e-1, 1.99777106478e-1, -3.33329491539e-1])
  const r = f.madd(f.mul(p, w), z, z)
  return b.select(isLarge, f.add(r, Math.PI / 4), r)
}

/** The inverse tangent. */
export const atan = (x: Value): Value => {
  const a = f.abs(x)
  const isLarge = f.gt(a, 1)
  const r = atanUnit(b.select(isLarge, f.div(1, a), a))
  return withSign(b.select(isLarge, f.sub(Math.PI / 2, f.add(r, 4.371139e-8)), r), x)
}

/** The angle of the point (x, y), as C's atan2(y, x). */
export const atan2 = (y: Value, x: Value): Value => {
  const [a, c] = [f.abs(x), f.abs(y)]
  const isSteep = f.gt(c, a)
  const [low, high] = [f.pmin(a, c), f.pmax(a, c)]
  // 0/0 is 0, ∞/∞ is 1.
  const same = f.eq(low, high)
  const r = atanUnit(b.select(same, b.select(f.eq(high, 0), 0, 1), f.div(low, high)))
  const quadrant = b.select(isSteep, f.sub(Math.PI / 2, f.add(r, 4.371139e-8)), r)
  const half = b.select(i.lt(x, 0), f.sub(Math.PI, f.add(quadrant, 8.742278e-8)), quadrant)
  return b.or(withSign(half, y), b.or(f.ne(x, x), f.ne(y, y)))
}
