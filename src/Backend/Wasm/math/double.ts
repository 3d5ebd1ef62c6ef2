/**
 * Formulas in doubles, two vectors of two for four floats: half as fast, but their results are nearly always the
 * correctly rounded ones, with no care. For what is called rarely, or must agree with others to the bit.
 */
import { b, d, plain, polynomialInDoubles, type Value } from "./value.ts"

const promote = (x: Value): Value => plain("f64x2.promote_low_f32x4", x)
const demote = (x: Value): Value => plain("f32x4.demote_f64x2_zero", x)

/** Applies a formula in doubles to floats. */
export const inDoubles = (formula: (...xs: ReadonlyArray<Value>) => Value) => (...xs: ReadonlyArray<Value>): Value => {
  const low = formula(...xs.map(promote))
  const high = formula(...xs.map((x) => promote(b.shuffle(x, x, [2, 3, 2, 3]))))
  return b.shuffle(demote(low), demote(high), [0, 1, 4, 5])
}

/** Adding it leaves a whole number in the low bits. */
const magic = 6755399441055744

/** 1/1!, 1/2!, …: highest first. */
const exponentials = Array.from({ length: 11 }, (_, k) => {
  let factorial = 1
  for (let j = 2; j <= 10 - k; j++) factorial *= j
  return 1 / factorial
})

/** eˣ; e^±700 beyond. */
export const expInDoubles = (x: Value): Value => {
  const clamped = d.pmin(d.pmax(x, -700), 700)
  const shifted = d.add(d.mul(clamped, Math.LOG2E), magic)
  const n = d.sub(shifted, magic)
  const r = d.sub(d.sub(clamped, d.mul(n, 0.6931471803691238)), d.mul(n, 1.9082149292705877e-10))
  return d.mul(polynomialInDoubles(r, exponentials), d.addBits(d.shl(shifted, 52), 1))
}

/** 2/(2k + 1): highest first. */
const atanhs = Array.from({ length: 9 }, (_, k) => 2 / (19 - 2 * k))

/** log((1 + s)/(1 - s)) = 2s + 2s³/3 + …, for |s| ≤ 0.172. */
const twiceAtanh = (s: Value): Value => {
  const w = d.mul(s, s)
  return d.add(d.mul(d.mul(s, w), polynomialInDoubles(w, atanhs)), d.add(s, s))
}

/** x = m·2ᵉ with √½ ≤ m < √2. */
const split = (x: Value): { readonly m: Value; readonly e: Value; readonly power: Value } => {
  const root = d.bits(0x3fe6a09e, 0x667f3bcd)
  const e = d.shr(d.subBits(x, root), 52)
  const power = d.shl(e, 52)
  return { m: d.subBits(x, power), e: d.sub(d.addBits(e, magic), magic), power }
}

/** log x of a positive finite number. */
export const logInDoubles = (x: Value): Value => {
  const { e, m } = split(x)
  return d.add(twiceAtanh(d.div(d.sub(m, 1), d.add(m, 1))), d.mul(e, Math.LN2))
}

/** log(1 + x) of a finite x > -1, accurate near 0. */
export const log1pInDoubles = (x: Value): Value => {
  const sum = d.add(x, 1)
  const { e, m, power } = split(sum)
  const lost = d.mul(d.sub(x, d.sub(sum, 1)), d.subBits(1, power))
  const v = d.add(d.sub(m, 1), d.select(d.lt(x, 1), lost, 0))
  return d.add(twiceAtanh(d.div(v, d.add(v, 2))), d.mul(e, Math.LN2))
}

const alternating = (first: number): ReadonlyArray<number> =>
  Array.from({ length: 10 }, (_, k) => {
    const power = first + 2 * (9 - k)
    let term = (9 - k) % 2 === 0 ? 1 : -1
    for (let j = 1; j <= power; j++) term *= Math.PI / j
    return term
  })
const sines = alternating(1)
const cosines = alternating(0)

/** sin πr and cos πr for |r| ≤ 1/2: Taylor's series. */
export const sinPi = (r: Value): Value => d.mul(r, polynomialInDoubles(d.mul(r, r), sines))
export const cosPi = (r: Value): Value => polynomialInDoubles(d.mul(r, r), cosines)
