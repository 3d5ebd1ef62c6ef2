/**
 * Elementwise arithmetic as in `jax.numpy`: operands broadcast and promote, and an operand may be a bare number or
 * boolean.
 *
 * Functions of one array that are defined on the reals (`exp`, `sqrt`, …) compute integers and bool in float32.
 * Functions of two arrays are also pipeable: `add(x, y)` is `pipe(x, add(y))`.
 */
import { dual } from "effect/Function"
import * as DType from "../DType.ts"
import { DTypeError } from "../errors.ts"
import * as lax from "../lax/index.ts"
import { isTensor, lift, type Tensor, type TensorLike } from "../Tensor.ts"
import { type Binary, filled, inexact, inexactPair, numericOf, numericPair, pair } from "./promotion.ts"

const unaryInexact = (operation: string, f: (x: Tensor) => Tensor) => (x: TensorLike): Tensor =>
  f(inexact(operation, x))

/** Functions to whole numbers leave integers and bool as they are. */
const unaryWhole = (f: (x: Tensor) => Tensor) => (x: TensorLike): Tensor => {
  const a = lift(x)
  return DType.isFloat(a.dtype) ? f(a) : a
}

const binary = (f: (x: TensorLike, y: TensorLike) => Tensor): Binary => dual(2, f)

/** `onTrue` where `condition`, else `onFalse`: all of one shape, the last two of one dtype. */
const where = (condition: Tensor, onTrue: Tensor, onFalse: Tensor): Tensor => lax.selectN(condition, onFalse, onTrue)

// --- arithmetic ---

/**
 * x + y. Integers wrap; of bool: or.
 *
 * ```ts import.meta.vitest
 * import { Tensor } from "linum"
 *
 * const x = Tensor.ones([2, 3], { dtype: "bfloat16" })
 * const y = Tensor.add(x, 1) // a bare number takes the dtype of the array
 * console.log(y.dtype, y.shape) // => bfloat16 [ 2, 3 ]
 * ```
 *
 * @category arithmetic
 * @since 0.1.0
 */
export const add: Binary = binary((x, y) => {
  const [a, b] = pair("add", x, y)
  return a.dtype === "bool" ? lax.or(a, b) : lax.add(a, b)
})

/** x - y. Integers wrap. Fails with a `DTypeError` on two bools. */
export const subtract: Binary = binary((x, y) => lax.sub(...pair("subtract", x, y)))

/** x · y, elementwise. Integers wrap; of bool: and. */
export const multiply: Binary = binary((x, y) => {
  const [a, b] = pair("multiply", x, y)
  return a.dtype === "bool" ? lax.and(a, b) : lax.mul(a, b)
})

/** x / y, in floating point: integers and bool divide in float32. */
export const divide: Binary = binary((x, y) => lax.div(...inexactPair("divide", x, y)))

/** x / y, in floating point: `divide` by its other name. */
export const trueDivide: Binary = divide

/** The quotient ⌊x / y⌋ and the remainder with y's sign, of floats, as CPython's `float_divmod`. */
const floatDivmod = (x: Tensor, y: Tensor): readonly [Tensor, Tensor] => {
  const zero = filled(x, 0)
  const truncated = lax.rem(x, y)
  const exact = lax.div(where(lax.eq(y, zero), x, lax.sub(x, truncated)), y)
  const off = lax.and(lax.ne(truncated, zero), lax.ne(lax.sign(y), lax.sign(truncated)))
  return [
    lax.round(where(off, lax.sub(exact, filled(x, 1)), exact)),
    where(off, lax.add(truncated, y), truncated)
  ]
}

/** ⌊x / y⌋, with Python's rule for signs: `floorDivide(-7, 2)` is -4. bool computes in int32. */
export const floorDivide: Binary = binary((x, y) => {
  const [a, b] = numericPair("floorDivide", x, y)
  if (DType.isFloat(a.dtype)) return floatDivmod(a, b)[0]
  const quotient = lax.div(a, b)
  if (DType.isUnsigned(a.dtype)) return quotient
  const off = lax.and(lax.ne(lax.sign(a), lax.sign(b)), lax.ne(lax.rem(a, b), filled(a, 0)))
  return where(off, lax.sub(quotient, filled(quotient, 1)), quotient)
})

/** An integer divisor with 0 replaced by 1, so that the remainder by 0 is 0, as in NumPy. */
const safeDivisor = (y: Tensor): Tensor =>
  DType.isInteger(y.dtype) ? where(lax.eq(y, filled(y, 0)), filled(y, 1), y) : y

/** The remainder with the sign of y, Python's `%`: `remainder(-7, 3)` is 2. bool computes in int32. */
export const remainder: Binary = binary((x, y) => {
  const [a, b0] = numericPair("remainder", x, y)
  const b = safeDivisor(b0)
  const zero = filled(a, 0)
  const truncated = lax.rem(a, b)
  const off = lax.and(lax.ne(lax.lt(truncated, zero), lax.lt(b, zero)), lax.ne(truncated, zero))
  return where(off, lax.add(truncated, b), truncated)
})

/** The remainder with the sign of y: `remainder` by its other name. */
export const mod: Binary = remainder

/** The remainder with the sign of x, C's `fmod`. */
export const fmod: Binary = binary((x, y) => {
  const [a, b] = numericPair("fmod", x, y)
  const bools = DType.resultType(lift(x), lift(y)).dtype === "bool"
  return lax.rem(a, bools ? b : safeDivisor(b))
})

/** `[floorDivide(x, y), remainder(x, y)]`. */
export const divmod = (x: TensorLike, y: TensorLike): readonly [quotient: Tensor, remainder: Tensor] => {
  const [a, b] = numericPair("divmod", x, y)
  return DType.isFloat(a.dtype) ? floatDivmod(a, b) : [floorDivide(a, b), remainder(a, b)]
}

/** The value of an exponent that is known now and whole: those multiply out, and have a derivative at 0. */
const wholeExponent = (y: TensorLike): number | undefined => {
  if (typeof y === "number") return Number.isInteger(y) ? y : undefined
  if (!isTensor(y) || DType.isFloat(y.dtype) || y.source._tag !== "Literal") return undefined
  return y.source.value
}

/** xʸ of integers by binary exponentiation: six squarings, since larger exponents overflow anyway. */
const integerPower = (weakX: Tensor, weakY: Tensor): Tensor => {
  const x = lax.convertElementType(weakX, weakX.dtype)
  const y = lax.convertElementType(weakY, weakY.dtype)
  const zero = filled(x, 0)
  const one = filled(x, 1)
  let power = where(lax.and(lax.eq(x, zero), lax.ne(y, zero)), zero, one)
  let base = x
  let exponent = y
  for (let bit = 0; bit < 6; bit++) {
    power = where(lax.ne(lax.and(exponent, one), zero), lax.mul(power, base), power)
    base = lax.mul(base, base)
    exponent = lax.shiftRightLogical(exponent, one)
  }
  return power
}

/**
 * xʸ. A whole JavaScript number as exponent multiplies out (`integer_pow`) and leaves x's dtype; otherwise operands
 * promote, and two integers give an integer.
 *
 * Fails with a `DTypeError` when an integer array is raised to a negative whole number.
 */
export const power: Binary = binary((x, y) => {
  const exponent = wholeExponent(y)
  if (exponent !== undefined) return lax.integerPow(numericOf("power", x), exponent)
  const [a, b] = numericPair("power", x, y)
  if (!DType.isFloat(a.dtype)) return integerPower(a, b)
  // An integer array is never weak as an exponent, whatever it was promoted to.
  const strong = a.weakType && isTensor(y) && !y.weakType && DType.isInteger(y.dtype)
  return lax.pow(strong ? lax.convertElementType(a, a.dtype) : a, b)
})

/** The larger; nan if either is. */
export const maximum: Binary = binary((x, y) => lax.max(...pair("maximum", x, y)))

/** The smaller; nan if either is. */
export const minimum: Binary = binary((x, y) => lax.min(...pair("minimum", x, y)))

/** The larger; nan only if both are. */
export const fmax: Binary = binary((x, y) => {
  const [a, b] = pair("fmax", x, y)
  return where(lax.or(lax.gt(a, b), lax.ne(b, b)), a, b)
})

/** The smaller; nan only if both are. */
export const fmin: Binary = binary((x, y) => {
  const [a, b] = pair("fmin", x, y)
  return where(lax.or(lax.lt(a, b), lax.ne(b, b)), a, b)
})

/** The angle of the point (x: y's value, y: x's value), in radians: `arctan2(y, x)`. */
export const arctan2: Binary = binary((x, y) => lax.atan2(...inexactPair("arctan2", x, y)))

/** The next representable float from x towards y. */
export const nextafter: Binary = binary((x, y) => lax.nextafter(...inexactPair("nextafter", x, y)))

/** √(x² + y²), without overflow on the way. */
export const hypot: Binary = binary((x, y) => {
  const [a, b] = inexactPair("hypot", x, y).map(lax.abs)
  const zero = filled(a, 0)
  const infinity = filled(a, Infinity)
  const large = lax.max(a, b)
  const scale = where(lax.or(lax.eq(large, zero), lax.eq(large, infinity)), filled(a, 1), large)
  const [p, q] = [lax.div(a, scale), lax.div(b, scale)]
  const length = lax.mul(scale, lax.sqrt(lax.add(lax.mul(p, p), lax.mul(q, q))))
  return where(lax.or(lax.eq(a, infinity), lax.eq(b, infinity)), infinity, length)
})

/**
 * The larger of two, and what it is larger by, negated: max(a, b) and -|a - b|. Written as choices, so that where both
 * are equal all derivatives of a function of the two are those of one formula; the derivative of |x| at 0 is 0 and
 * would not do.
 */
const largerAndGap = (
  a: Tensor,
  b: Tensor
): { readonly larger: Tensor; readonly gap: Tensor; readonly difference: Tensor } => {
  const difference = lax.sub(a, b)
  const isFirst = lax.ge(difference, filled(difference, 0))
  return {
    larger: lax.selectN(isFirst, b, a),
    gap: lax.selectN(isFirst, difference, lax.neg(difference)),
    difference
  }
}

/** log(eˣ + eʸ), without overflow. */
export const logaddexp: Binary = binary((x, y) => {
  const [a, b] = inexactPair("logaddexp", x, y)
  const { difference, gap, larger } = largerAndGap(a, b)
  // Equal infinities have no difference: their sum is the answer then.
  return where(lax.ne(difference, difference), lax.add(a, b), lax.add(larger, lax.log1p(lax.exp(gap))))
})

/** log₂(2ˣ + 2ʸ), without overflow. */
export const logaddexp2: Binary = binary((x, y) => {
  const [a, b] = inexactPair("logaddexp2", x, y)
  const { difference, gap, larger } = largerAndGap(a, b)
  const more = lax.div(lax.log1p(lax.exp2(gap)), filled(a, Math.LN2))
  return where(lax.ne(difference, difference), lax.add(a, b), lax.add(larger, more))
})

/** |x| with the sign of y. */
export const copysign: Binary = binary((x, y) => {
  const [a, b] = inexactPair("copysign", x, y)
  return where(signbit(b), lax.neg(lax.abs(a)), lax.abs(a))
})

/** 0 where x < 0, 1 where x > 0, y where x = 0. */
export const heaviside: Binary = binary((x, y) => {
  const [a, b] = inexactPair("heaviside", x, y)
  const zero = filled(a, 0)
  const other = where(lax.ne(a, a), a, b)
  return where(lax.lt(a, zero), zero, where(lax.gt(a, zero), filled(a, 1), other))
})

// --- sign and magnitude ---

/** -x. Unsigned integers wrap. Fails with a `DTypeError` on bool. */
export const negative = (x: TensorLike): Tensor => lax.neg(lift(x))

/** x. */
export const positive = (x: TensorLike): Tensor => lift(x)

/** |x|. */
export const absolute = (x: TensorLike): Tensor => {
  const a = lift(x)
  return a.dtype === "bool" || DType.isUnsigned(a.dtype) ? a : lax.abs(a)
}

/** |x| as a float. */
export const fabs = unaryInexact("fabs", lax.abs)

/** -1, 0 or 1; nan stays nan, and -0 stays -0. Fails with a `DTypeError` on bool. */
export const sign = (x: TensorLike): Tensor => lax.sign(lift(x))

/** bool: is the sign bit set? True of -0, too. */
export const signbit = (x: TensorLike): Tensor => {
  const a = lift(x)
  if (a.dtype === "bool") return lax.ne(a, a)
  if (!DType.isFloat(a.dtype)) return lax.lt(a, filled(a, 0))
  const bits = lax.bitcastConvertType(lax.convertElementType(a, "float32"), "int32")
  return lax.lt(bits, filled(bits, 0))
}

/** 1/x; integers and bool in float32. */
export const reciprocal = unaryInexact("reciprocal", (x) => lax.integerPow(x, -1))

/** x². */
export const square = (x: TensorLike): Tensor => lax.square(numericOf("square", x))

/** √x; nan below 0. */
export const sqrt = unaryInexact("sqrt", lax.sqrt)

/** 1/√x. */
export const rsqrt = unaryInexact("rsqrt", lax.rsqrt)

/** The real cube root. */
export const cbrt = unaryInexact("cbrt", lax.cbrt)

// --- to whole numbers ---

/** Down to a whole number. Integers and bool stay as they are. */
export const floor = unaryWhole(lax.floor)

/** Up to a whole number. Integers and bool stay as they are. */
export const ceil = unaryWhole(lax.ceil)

/** Towards zero to a whole number. Integers and bool stay as they are. */
export const trunc = unaryWhole((x) => where(lax.lt(x, filled(x, 0)), lax.ceil(x), lax.floor(x)))

/** To the nearest whole number, halves to even, as a float. */
export const rint = (x: TensorLike): Tensor => {
  const a = lift(x)
  return DType.isFloat(a.dtype) ? lax.round(a) : lax.convertElementType(a, "float32")
}

const roundTo = (x: TensorLike, decimals = 0): Tensor => {
  const a = lift(x)
  if (!DType.isFloat(a.dtype)) {
    if (decimals >= 0 && a.dtype !== "bool") return a
    throw new DTypeError({
      operation: "round",
      expected: a.dtype === "bool" ? "a numeric dtype" : "decimals of at least 0 for integers",
      found: `${a.dtype}, decimals ${decimals}`,
      hint: "convert with astype(\"float32\")"
    })
  }
  if (decimals === 0) return lax.round(a)
  if (decimals > Math.log10(DType.finfo(a.dtype).max)) return a
  const wide = a.dtype === "float16" ? lax.convertElementType(a, "float32") : a
  const factor = filled(wide, 10 ** decimals)
  return lax.convertElementType(lax.div(lax.round(lax.mul(wide, factor)), factor), a.dtype, a.weakType)
}

/**
 * To `decimals` decimals (0 by default; negative ones round tens, hundreds, …), halves to even. `round(x, 2)`, `pipe(x,
 * round(2))`.
 */
export const round: {
  (decimals?: number): (x: Tensor) => Tensor
  (x: TensorLike, decimals?: number): Tensor
} = dual((args) => isTensor(args[0]) || args.length > 1, roundTo)

const clipTo = (x: TensorLike, low: TensorLike | null = null, high: TensorLike | null = null): Tensor => {
  const raised = low === null ? lift(x) : maximum(low, x)
  return high === null ? raised : minimum(high, raised)
}

/** No lower than `low` and no higher than `high`; null is no bound. `clip(x, 0, 1)`, `pipe(x, clip(0, 1))`. */
export const clip: {
  (low: TensorLike | null, high: TensorLike | null): (x: TensorLike) => Tensor
  (x: TensorLike, low: TensorLike | null, high: TensorLike | null): Tensor
} = dual(3, clipTo)

// --- exponentials and logarithms ---

/** eˣ. */
export const exp = unaryInexact("exp", lax.exp)
/** 2ˣ. */
export const exp2 = unaryInexact("exp2", lax.exp2)
/** eˣ - 1, accurate near 0. */
export const expm1 = unaryInexact("expm1", lax.expm1)
/** The natural logarithm: -Infinity at 0, nan below. */
export const log = unaryInexact("log", lax.log)
/** log(1 + x), accurate near 0. */
export const log1p = unaryInexact("log1p", lax.log1p)
/** The logarithm to base 2. */
export const log2 = unaryInexact("log2", (x) => lax.div(lax.log(x), filled(x, Math.LN2)))
/** The logarithm to base 10. */
export const log10 = unaryInexact("log10", (x) => lax.mul(lax.log(x), filled(x, Math.LOG10E)))

// --- trigonometry ---

/** The sine of an angle in radians. */
export const sin = unaryInexact("sin", lax.sin)
/** The cosine of an angle in radians. */
export const cos = unaryInexact("cos", lax.cos)
/** The tangent of an angle in radians. */
export const tan = unaryInexact("tan", lax.tan)
/** The inverse sine, in radians. */
export const arcsin = unaryInexact("arcsin", lax.asin)
/** The inverse cosine, in radians. */
export const arccos = unaryInexact("arccos", lax.acos)
/** The inverse tangent, in radians. */
export const arctan = unaryInexact("arctan", lax.atan)
/** The hyperbolic sine. */
export const sinh = unaryInexact("sinh", lax.sinh)
/** The hyperbolic cosine. */
export const cosh = unaryInexact("cosh", lax.cosh)
/** The hyperbolic tangent. */
export const tanh = unaryInexact("tanh", lax.tanh)
/** The inverse hyperbolic sine. */
export const arcsinh = unaryInexact("arcsinh", lax.asinh)
/** The inverse hyperbolic cosine. */
export const arccosh = unaryInexact("arccosh", lax.acosh)
/** The inverse hyperbolic tangent. */
export const arctanh = unaryInexact("arctanh", lax.atanh)
/** Degrees to radians. */
export const deg2rad = unaryInexact("deg2rad", (x) => lax.mul(x, filled(x, Math.PI / 180)))
/** Radians to degrees. */
export const rad2deg = unaryInexact("rad2deg", (x) => lax.mul(x, filled(x, 180 / Math.PI)))

// --- special functions (jax.lax and jax.scipy.special) ---

/** The error function. */
export const erf = unaryInexact("erf", lax.erf)
/** 1 - erf(x), accurate for large x. */
export const erfc = unaryInexact("erfc", lax.erfc)
/** The inverse of erf on (-1, 1). */
export const erfInv = unaryInexact("erfInv", lax.erfInv)
/** log |Γ(x)|. */
export const lgamma = unaryInexact("lgamma", lax.lgamma)
/** The derivative of lgamma. */
export const digamma = unaryInexact("digamma", lax.digamma)

/** x, with derivative zero. */
export const stopGradient = (x: TensorLike): Tensor => lax.stopGradient(lift(x))

// --- nan ---

/**
 * What `nanToNum` writes: `nan` (0) for nan, `posinf` and `neginf` (the largest and lowest finite value) for
 * infinities.
 */
export interface NanToNumOptions {
  readonly nan?: number | undefined
  readonly posinf?: number | undefined
  readonly neginf?: number | undefined
}

/** nan and infinities replaced by numbers. Integers and bool stay as they are. */
export const nanToNum: {
  (options?: NanToNumOptions): (x: Tensor) => Tensor
  (x: Tensor, options?: NanToNumOptions): Tensor
} = dual((args) => isTensor(args[0]), (x: Tensor, options: NanToNumOptions = {}): Tensor => {
  if (!DType.isFloat(x.dtype)) return x
  const limits = DType.finfo(x.dtype)
  const replace = (a: Tensor, at: Tensor, value: number) => where(at, filled(a, value), a)
  const finite = replace(x, lax.ne(x, x), options.nan ?? 0)
  const low = replace(finite, lax.eq(finite, filled(x, Infinity)), options.posinf ?? limits.max)
  return replace(low, lax.eq(low, filled(x, -Infinity)), options.neginf ?? limits.min)
})

/** Of sin(πr)/(πr) in powers of r²: (-1)ᵏ π²ᵏ / (2k + 1)!. */
const sincCoefficients: ReadonlyArray<number> = Array.from({ length: 8 }, (_, k) => {
  let c = 1
  for (let i = 1; i <= k; i++) c *= -(Math.PI ** 2) / ((2 * i) * (2 * i + 1))
  return c
})

/**
 * The normalized sinc, sin(πx)/(πx); 1 at 0, and 0 exactly at all other whole numbers.
 *
 * With x = n + r, n whole and |r| ≤ 1/2, it is (-1)ⁿ · sin(πr)/(πr) · r/x, which needs no sine of large arguments.
 */
export const sinc = unaryInexact("sinc", (x) => {
  const zero = filled(x, 0)
  const one = filled(x, 1)
  const n = lax.stopGradient(lax.round(x))
  const infinite = lax.eq(lax.abs(x), filled(x, Infinity))
  const r = where(infinite, zero, lax.sub(x, n))
  const t = lax.mul(r, r)
  const series = sincCoefficients.reduceRight((sum, c) => lax.add(filled(x, c), lax.mul(sum, t)), zero)
  const near = lax.eq(n, zero)
  const odd = lax.ne(lax.mul(filled(x, 2), lax.round(lax.mul(filled(x, 0.5), n))), n)
  const denominator = where(odd, lax.neg(x), where(near, one, x))
  const far = lax.div(lax.mul(r, series), denominator)
  return where(near, series, where(lax.eq(r, zero), lax.sub(far, lax.stopGradient(far)), far))
})

// --- the operators' short names ---

/** `subtract`. */
export const sub: Binary = subtract
/** `multiply`. */
export const mul: Binary = multiply
/** `divide`. */
export const div: Binary = divide
/** `power`. */
export const pow: Binary = power
/** `negative`. */
export const neg = negative
/** `absolute`. */
export const abs = absolute
