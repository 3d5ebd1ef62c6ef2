/**
 * Rules of the elementwise primitives. A derivative is stated as the factor by which the tangent is multiplied, so that
 * what is kept for a backward pass is the factor alone. At kinks and ties the values are JAX's: `abs` has 1 at 0, `max`
 * gives half to each of two equals, `clamp` nothing at its bounds.
 */
import * as DType from "../../Tensor/DType.ts"
import type { Params } from "../../Tensor/lax/elementwise.ts"
import * as lax from "../../Tensor/lax/index.ts"
import type { Tensor } from "../../Tensor/Tensor.ts"
import { type Cost, isLinear, type Linear, type RuleTable, type Tangent } from "../Primitive.ts"
import {
  batchElementwise,
  costOfMoving,
  costPerOutput,
  fullLike,
  instantiate,
  linearJvp,
  type Operands,
  type Partial,
  partials,
  scale,
  shift,
  transposeFirst,
  where,
  zerosLike
} from "./support.ts"
import { trigamma } from "./trigamma.ts"

type Unary = (x: Tensor) => Tensor
type Binary = (x: Tensor, y: Tensor) => Tensor

const batchUnary = (apply: Unary) => batchElementwise(([x]) => [apply(x)])
const batchBinary = (apply: Binary) => batchElementwise(([x, y]) => [apply(x, y)])

/** A unary primitive, with its derivative as a function of the input and the output; null where that is zero. */
const unary = (apply: Unary, derivative: ((x: Tensor, out: Tensor) => Tensor) | null) => ({
  jvp: derivative === null ? null : partials((g, [x], out) => lax.mul(g, derivative(x, out))),
  transpose: null,
  batch: batchUnary(apply),
  cost: costPerOutput
})

/** A binary primitive, with the tangent of the output from that of each input. */
const binary = (apply: Binary, left: Partial<unknown> | null, right: Partial<unknown> | null) => ({
  jvp: left === null && right === null ? null : partials(left, right),
  transpose: null,
  batch: batchBinary(apply),
  cost: costPerOutput
})

/** A primitive without derivatives, of two operands. */
const discrete = (apply: Binary) => binary(apply, null, null)

/** A unary primitive that is its own derivative, and the way back through it. */
const linear = (apply: Unary, back: Unary, cost: (e: Operands) => Cost = costPerOutput) => ({
  jvp: linearJvp(([t]) => apply(t)),
  transpose: transposeFirst((ct) => back(ct)),
  batch: batchUnary(apply),
  cost
})

/** The cotangents of two operands, of which either or both may be linear. */
const transposeBinary = (
  left: (ct: Tensor, y: Tensor | Linear) => Tangent,
  right: (ct: Tensor, x: Tensor | Linear) => Tangent
) =>
(_: unknown, [ct]: ReadonlyArray<Tangent>, [x, y]: ReadonlyArray<Tensor | Linear>): ReadonlyArray<Tangent> =>
  ct === null ? [null, null] : [isLinear(x) ? left(ct, y) : null, isLinear(y) ? right(ct, x) : null]

/** The cotangent of one factor of a bilinear operation; where the other is linear too, there is none. */
const throughFactor = (apply: Binary) => (ct: Tensor, factor: Tensor | Linear): Tangent =>
  isLinear(factor) ? null : apply(ct, factor)

/**
 * The share of one operand in max or min: 1 where it `wins`, a half where both are equal. The result is not asked: it may
 * have been computed elsewhere, from operands that were rounded in another way.
 */
const share = (wins: Binary, mine: Tensor, other: Tensor): Tensor =>
  where(wins(mine, other), fullLike(mine, 1), where(lax.eq(mine, other), fullLike(mine, 0.5), zerosLike(mine)))

const extremum = (apply: Binary, wins: Binary) =>
  binary(apply, (g, [x, y]) => lax.mul(g, share(wins, x, y)), (g, [x, y]) => lax.mul(g, share(wins, y, x)))

/** `x`, with 1 in place of 0: where log(x) is only ever multiplied by 0ʸ. */
const withoutZero = (x: Tensor): Tensor => where(lax.eq(x, zerosLike(x)), fullLike(x, 1), x)

/** d(xʸ)/dx = y·xʸ⁻¹; at x = y = 0 it is 0, and the exponent is replaced so that 0·∞ never arises. */
const powLeft: Partial<unknown> = (g, [x, y]) => {
  const origin = lax.and(lax.eq(x, zerosLike(x)), lax.eq(y, zerosLike(y)))
  return lax.mul(g, lax.mul(y, lax.pow(x, where(origin, fullLike(y, 1), shift(y, -1)))))
}

/** d(xʸ)/dy = xʸ·log(x), 0 at x = 0. */
const powRight: Partial<unknown> = (g, [x], out) => lax.mul(g, lax.mul(lax.log(withoutZero(x)), out))

const integerPow = (x: Tensor, y: number): Tensor | null =>
  y === 0 ? null : y === 1 ? fullLike(x, 1) : scale(y === 2 ? x : lax.integerPow(x, y - 1), y)

/** Truncated towards zero. */
const truncate = (x: Tensor): Tensor => lax.mul(lax.sign(x), lax.floor(lax.abs(x)))

const hypotSquared: Binary = (x, y) => lax.add(lax.square(x), lax.square(y))

const twoOverRootPi = 2 / Math.sqrt(Math.PI)

const gaussian = (x: Tensor, factor: number): Tensor => scale(lax.exp(lax.neg(lax.square(x))), factor)

const oneMinusSquare = (x: Tensor): Tensor => lax.sub(fullLike(x, 1), lax.square(x))

const kept = (x: Tensor | Linear): Tensor => {
  if (isLinear(x)) throw new Error("a selector is never linear")
  return x
}

/** Cotangents of the cases of a select: each receives where it was chosen. */
const transposeSelect = (
  _: unknown,
  [ct]: ReadonlyArray<Tangent>,
  inputs: ReadonlyArray<Tensor | Linear>
): ReadonlyArray<Tangent> => {
  const cases = inputs.slice(1)
  return [
    null,
    ...cases.map((x, i) =>
      ct === null || !isLinear(x)
        ? null
        : lax.selectN(kept(inputs[0]), ...cases.map((_, j) => i === j ? ct : zerosLike(ct)))
    )
  ]
}

/** The rules of the elementwise primitives. */
export const elementwise: RuleTable<keyof Params> = {
  neg: linear(lax.neg, lax.neg),
  sign: unary(lax.sign, null),
  abs: unary(lax.abs, (x) => lax.selectN(lax.ge(x, zerosLike(x)), fullLike(x, -1), fullLike(x, 1))),
  floor: unary(lax.floor, null),
  ceil: unary(lax.ceil, null),
  round: unary(lax.round, null),
  square: unary(lax.square, (x) => scale(x, 2)),
  exp: unary(lax.exp, (_, out) => out),
  exp2: unary(lax.exp2, (_, out) => scale(out, Math.LN2)),
  expm1: unary(lax.expm1, (_, out) => shift(out, 1)),
  log: { ...unary(lax.log, null), jvp: partials((g, [x]) => lax.div(g, x)) },
  log1p: { ...unary(lax.log1p, null), jvp: partials((g, [x]) => lax.div(g, shift(x, 1))) },
  sqrt: unary(lax.sqrt, (_, out) => lax.div(fullLike(out, 0.5), out)),
  rsqrt: unary(lax.rsqrt, (x, out) => scale(lax.div(out, x), -0.5)),
  cbrt: unary(lax.cbrt, (_, out) => scale(lax.integerPow(out, -2), 1 / 3)),
  sin: unary(lax.sin, (x) => lax.cos(x)),
  cos: unary(lax.cos, (x) => lax.neg(lax.sin(x))),
  tan: unary(lax.tan, (_, out) => shift(lax.square(out), 1)),
  asin: unary(lax.asin, (x) => lax.rsqrt(oneMinusSquare(x))),
  acos: unary(lax.acos, (x) => lax.neg(lax.rsqrt(oneMinusSquare(x)))),
  atan: { ...unary(lax.atan, null), jvp: partials((g, [x]) => lax.div(g, shift(lax.square(x), 1))) },
  sinh: unary(lax.sinh, (x) => lax.cosh(x)),
  cosh: unary(lax.cosh, (x) => lax.sinh(x)),
  tanh: unary(lax.tanh, (_, out) => oneMinusSquare(out)),
  asinh: unary(lax.asinh, (x) => lax.rsqrt(shift(lax.square(x), 1))),
  acosh: unary(lax.acosh, (x) => lax.rsqrt(lax.mul(shift(x, -1), shift(x, 1)))),
  atanh: {
    ...unary(lax.atanh, null),
    jvp: partials((g, [x]) => lax.div(g, lax.mul(shift(x, 1), lax.sub(fullLike(x, 1), x))))
  },
  logistic: unary(lax.logistic, (_, out) => lax.mul(out, lax.sub(fullLike(out, 1), out))),
  erf: unary(lax.erf, (x) => gaussian(x, twoOverRootPi)),
  erfc: unary(lax.erfc, (x) => gaussian(x, -twoOverRootPi)),
  erf_inv: unary(lax.erfInv, (_, out) => scale(lax.exp(lax.square(out)), 1 / twoOverRootPi)),
  lgamma: unary(lax.lgamma, (x) => lax.digamma(x)),
  digamma: unary(lax.digamma, (x) => trigamma(x)),
  integer_pow: {
    jvp: partials((g, [x], _, { y }) => {
      const factor = integerPow(x, y)
      return factor === null ? null : y === 1 ? g : lax.mul(g, factor)
    }),
    transpose: transposeFirst((ct, _, { y }) => y === 1 ? ct : null),
    batch: batchElementwise(([x], { y }) => [lax.integerPow(x, y)]),
    cost: costPerOutput
  },
  is_finite: unary(lax.isFinite, null),
  not: unary(lax.not, null),
  population_count: unary(lax.populationCount, null),
  clz: unary(lax.clz, null),
  stop_gradient: { ...unary(lax.stopGradient, null), cost: costOfMoving },
  copy: linear(lax.copy, (ct) => ct, costOfMoving),
  convert_element_type: {
    jvp: partials((g, _, __, { new_dtype }) =>
      DType.isFloat(new_dtype) ? lax.convertElementType(g, new_dtype, g.weakType) : null
    ),
    transpose: transposeFirst((ct, x) => lax.convertElementType(ct, x.dtype, ct.weakType)),
    batch: batchElementwise(([x], p) => [lax.convertElementType(x, p.new_dtype, p.weak_type)]),
    cost: costPerOutput
  },
  bitcast_convert_type: {
    jvp: null,
    transpose: null,
    batch: batchElementwise(([x], { new_dtype }) => [lax.bitcastConvertType(x, new_dtype)]),
    cost: costOfMoving
  },
  add: {
    ...binary(lax.add, (g) => g, (g) => g),
    transpose: transposeBinary((ct) => ct, (ct) => ct)
  },
  sub: {
    ...binary(lax.sub, (g) => g, (g) => lax.neg(g)),
    transpose: transposeBinary((ct) => ct, (ct) => lax.neg(ct))
  },
  mul: {
    ...binary(lax.mul, (g, [, y]) => lax.mul(g, y), (g, [x]) => lax.mul(x, g)),
    transpose: transposeBinary(throughFactor(lax.mul), throughFactor(lax.mul))
  },
  div: {
    ...binary(lax.div, (g, [, y]) => lax.div(g, y), (g, [, y], out) => lax.mul(g, lax.neg(lax.div(out, y)))),
    transpose: transposeBinary(throughFactor(lax.div), () => null)
  },
  rem: binary(lax.rem, (g) => g, (g, [x, y]) => lax.mul(g, lax.neg(truncate(lax.div(x, y))))),
  pow: binary(lax.pow, powLeft, powRight),
  max: extremum(lax.max, lax.gt),
  min: extremum(lax.min, lax.lt),
  atan2: binary(
    lax.atan2,
    (g, [y, x]) => lax.mul(g, lax.div(x, hypotSquared(x, y))),
    (g, [y, x]) => lax.mul(g, lax.neg(lax.div(y, hypotSquared(x, y))))
  ),
  nextafter: discrete(lax.nextafter),
  and: discrete(lax.and),
  or: discrete(lax.or),
  xor: discrete(lax.xor),
  shift_left: discrete(lax.shiftLeft),
  shift_right_arithmetic: discrete(lax.shiftRightArithmetic),
  shift_right_logical: discrete(lax.shiftRightLogical),
  eq: discrete(lax.eq),
  ne: discrete(lax.ne),
  lt: discrete(lax.lt),
  le: discrete(lax.le),
  gt: discrete(lax.gt),
  ge: discrete(lax.ge),
  select_n: {
    jvp: (_, [which, ...cases], [, ...tangents]) => [
      tangents.every((t) => t === null)
        ? null
        : lax.selectN(which, ...tangents.map((t, i) => instantiate(t, cases[i])))
    ],
    transpose: transposeSelect,
    batch: batchElementwise(([which, ...cases]) => [lax.selectN(which, ...cases)]),
    cost: costPerOutput
  },
  clamp: {
    jvp: partials(
      (g, [low, x]) => where(lax.gt(low, x), g, zerosLike(g)),
      (g, [low, x, high]) => where(lax.and(lax.gt(x, low), lax.lt(x, high)), g, zerosLike(g)),
      (g, [, x, high]) => where(lax.lt(high, x), g, zerosLike(g))
    ),
    transpose: null,
    batch: batchElementwise(([low, x, high]) => [lax.clamp(low, x, high)]),
    cost: costPerOutput
  }
}
