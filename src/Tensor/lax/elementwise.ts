/**
 * Elementwise primitives, strict as in `jax.lax`: operands have one shape and one dtype; nothing broadcasts or promotes
 * here (`../numpy` does). A result is weak when all operands are.
 */
import * as DType from "../DType.ts"
import { DTypeError, ShapeError } from "../errors.ts"
import * as Shape from "../Shape.ts"
import * as ShapedArray from "../ShapedArray.ts"
import { bind, type Tensor } from "../Tensor.ts"

/** Parameters of the elementwise primitives, by `jax.lax` name. */
export interface Params {
  readonly neg: Empty
  readonly sign: Empty
  readonly abs: Empty
  readonly floor: Empty
  readonly ceil: Empty
  /** To the nearest integer, halves to even. */
  readonly round: Empty
  readonly square: Empty
  readonly exp: Empty
  readonly exp2: Empty
  readonly expm1: Empty
  readonly log: Empty
  readonly log1p: Empty
  readonly sqrt: Empty
  readonly rsqrt: Empty
  readonly cbrt: Empty
  readonly sin: Empty
  readonly cos: Empty
  readonly tan: Empty
  readonly asin: Empty
  readonly acos: Empty
  readonly atan: Empty
  readonly sinh: Empty
  readonly cosh: Empty
  readonly tanh: Empty
  readonly asinh: Empty
  readonly acosh: Empty
  readonly atanh: Empty
  readonly logistic: Empty
  readonly erf: Empty
  readonly erfc: Empty
  readonly erf_inv: Empty
  readonly lgamma: Empty
  readonly digamma: Empty
  readonly integer_pow: { readonly y: number }
  readonly is_finite: Empty
  readonly not: Empty
  readonly population_count: Empty
  readonly clz: Empty
  readonly stop_gradient: Empty
  readonly copy: Empty
  readonly convert_element_type: { readonly new_dtype: DType.DType; readonly weak_type: boolean }
  readonly bitcast_convert_type: { readonly new_dtype: DType.DType }
  readonly add: Empty
  readonly sub: Empty
  readonly mul: Empty
  /** Floats divide; integers divide towards zero, as C does. */
  readonly div: Empty
  /** The remainder with the sign of the dividend, as C's fmod and %. */
  readonly rem: Empty
  readonly pow: Empty
  readonly max: Empty
  readonly min: Empty
  readonly atan2: Empty
  readonly nextafter: Empty
  readonly and: Empty
  readonly or: Empty
  readonly xor: Empty
  readonly shift_left: Empty
  readonly shift_right_arithmetic: Empty
  readonly shift_right_logical: Empty
  readonly eq: Empty
  readonly ne: Empty
  readonly lt: Empty
  readonly le: Empty
  readonly gt: Empty
  readonly ge: Empty
  /** `select_n(which, ...cases)`: element i of case `which[i]`. `which` is bool (two cases) or int32. */
  readonly select_n: Empty
  /** `clamp(min, x, max)`, all of one shape. */
  readonly clamp: Empty
}

/** No parameters. */
export type Empty = Readonly<Record<never, never>>

const none: Empty = {}

const label = (xs: ReadonlyArray<Tensor>): string => xs.map((x) => ShapedArray.format(x.aval)).join(", ")

const sameShapes = (operation: string, xs: ReadonlyArray<Tensor>): void => {
  if (!xs.every((x) => Shape.equals(x.shape, xs[0].shape))) {
    throw new ShapeError({
      operation,
      expected: "operands of one shape",
      found: label(xs),
      hint: "lax functions do not broadcast; use broadcastTo, or the numpy function of the same name"
    })
  }
}

const sameDTypes = (operation: string, xs: ReadonlyArray<Tensor>): void => {
  if (!xs.every((x) => x.dtype === xs[0].dtype)) {
    throw new DTypeError({
      operation,
      expected: "operands of one dtype",
      found: label(xs),
      hint: "lax functions do not promote; use astype, or the numpy function of the same name"
    })
  }
}

type Accepts = "float" | "number" | "integer" | "bits" | "any"

const acceptors: Readonly<Record<Accepts, (dtype: DType.DType) => boolean>> = {
  float: DType.isFloat,
  number: (d) => d !== "bool",
  integer: DType.isInteger,
  bits: (d) => !DType.isFloat(d),
  any: () => true
}

const expectations: Readonly<Record<Accepts, string>> = {
  float: "a floating dtype",
  number: "a numeric dtype, not bool",
  integer: "an integer dtype",
  bits: "an integer dtype or bool",
  any: "any dtype"
}

const check = (operation: string, accepts: Accepts, xs: ReadonlyArray<Tensor>): void => {
  sameShapes(operation, xs)
  sameDTypes(operation, xs)
  if (!acceptors[accepts](xs[0].dtype)) {
    throw new DTypeError({
      operation,
      expected: expectations[accepts],
      found: label(xs),
      hint: "convert with astype"
    })
  }
}

const weak = (xs: ReadonlyArray<Tensor>): boolean => xs.every((x) => x.weakType)

const unary = (primitive: keyof Params, accepts: Accepts) => (x: Tensor): Tensor => {
  check(primitive, accepts, [x])
  return bind(primitive, none, [x], [x.aval])[0]
}

const binary = (primitive: keyof Params, accepts: Accepts) => (x: Tensor, y: Tensor): Tensor => {
  check(primitive, accepts, [x, y])
  return bind(primitive, none, [x, y], [ShapedArray.make(x.shape, x.dtype, weak([x, y]))])[0]
}

const compare = (primitive: keyof Params) => (x: Tensor, y: Tensor): Tensor => {
  check(primitive, "any", [x, y])
  return bind(primitive, none, [x, y], [ShapedArray.make(x.shape, "bool")])[0]
}

/** -x. Unsigned integers wrap. */
export const neg = unary("neg", "number")
/** -1, 0 or 1 by sign; nan stays nan. */
export const sign = unary("sign", "number")
/** |x|. */
export const abs = unary("abs", "number")
/** The largest integer not above x. */
export const floor = unary("floor", "float")
/** The smallest integer not below x. */
export const ceil = unary("ceil", "float")
/** The nearest integer, halves to even. */
export const round = unary("round", "float")
/** x². */
export const square = unary("square", "number")
/** eˣ. */
export const exp = unary("exp", "float")
/** 2ˣ. */
export const exp2 = unary("exp2", "float")
/** eˣ - 1, accurate near 0. */
export const expm1 = unary("expm1", "float")
/** The natural logarithm: -Infinity at 0, nan below. */
export const log = unary("log", "float")
/** log(1 + x), accurate near 0. */
export const log1p = unary("log1p", "float")
/** The square root. */
export const sqrt = unary("sqrt", "float")
/** 1/√x. */
export const rsqrt = unary("rsqrt", "float")
/** The real cube root. */
export const cbrt = unary("cbrt", "float")
/** The sine of an angle in radians. */
export const sin = unary("sin", "float")
/** The cosine of an angle in radians. */
export const cos = unary("cos", "float")
/** The tangent of an angle in radians. */
export const tan = unary("tan", "float")
/** The inverse sine, in radians. */
export const asin = unary("asin", "float")
/** The inverse cosine, in radians. */
export const acos = unary("acos", "float")
/** The inverse tangent, in radians. */
export const atan = unary("atan", "float")
/** The hyperbolic sine. */
export const sinh = unary("sinh", "float")
/** The hyperbolic cosine. */
export const cosh = unary("cosh", "float")
/** The hyperbolic tangent. */
export const tanh = unary("tanh", "float")
/** The inverse hyperbolic sine. */
export const asinh = unary("asinh", "float")
/** The inverse hyperbolic cosine. */
export const acosh = unary("acosh", "float")
/** The inverse hyperbolic tangent. */
export const atanh = unary("atanh", "float")
/** 1/(1 + e⁻ˣ), the sigmoid. */
export const logistic = unary("logistic", "float")
/** The error function. */
export const erf = unary("erf", "float")
/** 1 - erf(x), accurate for large x. */
export const erfc = unary("erfc", "float")
/** The inverse of erf on (-1, 1). */
export const erfInv = unary("erf_inv", "float")
/** log |Γ(x)|. */
export const lgamma = unary("lgamma", "float")
/** The derivative of lgamma. */
export const digamma = unary("digamma", "float")
/** Bitwise complement; logical not of bool. */
export const not = unary("not", "bits")
/** The number of bits that are 1. */
export const populationCount = unary("population_count", "integer")
/** The number of leading zero bits. */
export const clz = unary("clz", "integer")
/** x, with derivative zero. */
export const stopGradient = unary("stop_gradient", "any")
/** x, in a buffer of its own. */
export const copy = unary("copy", "any")

/** xʸ for a whole number y, which may be negative for floats. */
export const integerPow = (x: Tensor, y: number): Tensor => {
  check("integer_pow", "number", [x])
  if (!Number.isInteger(y) || (y < 0 && !DType.isFloat(x.dtype))) {
    throw new DTypeError({
      operation: "integer_pow",
      expected: DType.isFloat(x.dtype) ? "a whole exponent" : "a whole exponent that is not negative",
      found: `exponent ${y} of ${ShapedArray.format(x.aval)}`,
      hint: "use pow, on floats"
    })
  }
  return bind("integer_pow", { y }, [x], [x.aval])[0]
}

/** bool: is it neither infinite nor nan? */
export const isFinite = (x: Tensor): Tensor => {
  check("is_finite", "float", [x])
  return bind("is_finite", none, [x], [ShapedArray.make(x.shape, "bool")])[0]
}

/**
 * The elements converted to another dtype, as `lax.convert_element_type`: floats to integers truncate towards zero, to
 * bool by `x != 0`, to narrower floats round to nearest even. Returns `x` itself when nothing would change.
 */
export const convertElementType = (x: Tensor, dtype: DType.DType, weakType = false): Tensor =>
  x.dtype === dtype && x.weakType === weakType
    ? x
    : bind("convert_element_type", { new_dtype: dtype, weak_type: weakType }, [x], [
      ShapedArray.make(x.shape, DType.check("convert_element_type", dtype), weakType)
    ])[0]

/** The same bits read as another dtype of the same width. */
export const bitcastConvertType = (x: Tensor, dtype: DType.DType): Tensor => {
  if (DType.bits(x.dtype) !== DType.bits(dtype) || x.dtype === "bool" || dtype === "bool") {
    throw new DTypeError({
      operation: "bitcast_convert_type",
      expected: `a dtype of ${DType.bits(x.dtype)} bits`,
      found: dtype,
      hint: "use astype to convert values"
    })
  }
  return bind("bitcast_convert_type", { new_dtype: dtype }, [x], [ShapedArray.make(x.shape, dtype)])[0]
}

/** x + y. Integers wrap. */
export const add = binary("add", "number")
/** x - y. Integers wrap. */
export const sub = binary("sub", "number")
/** x · y. Integers wrap. */
export const mul = binary("mul", "number")
/** x / y; integers divide towards zero (x / 0 is -1 for signed, all ones for unsigned, as XLA). */
export const div = binary("div", "number")
/** The remainder, with the sign of x (x rem 0 is x for integers, as XLA). */
export const rem = binary("rem", "number")
/** xʸ for floats. */
export const pow = binary("pow", "float")
/** The larger; nan if either is. For bool: or. */
export const max = binary("max", "any")
/** The smaller; nan if either is. For bool: and. */
export const min = binary("min", "any")
/** The angle of (y: x, x: y), in radians: `atan2(y, x)`. */
export const atan2 = binary("atan2", "float")
/** The next representable value from x towards y. */
export const nextafter = binary("nextafter", "float")
/** Bitwise and. */
export const and = binary("and", "bits")
/** Bitwise or. */
export const or = binary("or", "bits")
/** Bitwise exclusive or. */
export const xor = binary("xor", "bits")
/** x shifted left by y bits; 0 when y is the width or more. */
export const shiftLeft = binary("shift_left", "integer")
/** x shifted right by y bits, the sign copied in. */
export const shiftRightArithmetic = binary("shift_right_arithmetic", "integer")
/** x shifted right by y bits, zeros shifted in. */
export const shiftRightLogical = binary("shift_right_logical", "integer")
/** bool: x = y. */
export const eq = compare("eq")
/** bool: x ≠ y. */
export const ne = compare("ne")
/** bool: x < y. */
export const lt = compare("lt")
/** bool: x ≤ y. */
export const le = compare("le")
/** bool: x > y. */
export const gt = compare("gt")
/** bool: x ≥ y. */
export const ge = compare("ge")

/** Element i of `cases[which[i]]`. With a bool `which`, the first case is chosen where it is false. */
export const selectN = (which: Tensor, ...cases: ReadonlyArray<Tensor>): Tensor => {
  sameShapes("select_n", [which, ...cases])
  sameDTypes("select_n", cases)
  if (which.dtype !== "bool" && which.dtype !== "int32") {
    throw new DTypeError({
      operation: "select_n",
      expected: "a selector of dtype bool or int32",
      found: label([which]),
      hint: "compare first, or convert with astype"
    })
  }
  return bind("select_n", none, [which, ...cases], [ShapedArray.make(which.shape, cases[0].dtype, weak(cases))])[0]
}

/** x, no lower than `low` and no higher than `high`. */
export const clamp = (low: Tensor, x: Tensor, high: Tensor): Tensor => {
  check("clamp", "any", [low, x, high])
  return bind("clamp", none, [low, x, high], [x.aval])[0]
}
