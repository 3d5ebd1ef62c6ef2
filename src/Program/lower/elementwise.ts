/**
 * Elementwise primitives: most are one operation of StableHLO, some one of CHLO (which XLA expands), and a few are said
 * in terms of others, as JAX does.
 */
import * as DType from "../../Tensor/DType.ts"
import type { Params } from "../../Tensor/lax/elementwise.ts"
import * as lax from "../../Tensor/lax/index.ts"
import { literal, type Tensor } from "../../Tensor/Tensor.ts"
import type { Primitive } from "../Primitive.ts"
import { type Block, list, type Lowering, type LoweringTable, type Meaning, signature } from "./Block.ts"
import type { Value } from "./operation.ts"
import { formatType, formatTypes, type Type, typeOf } from "./text.ts"

type Elementwise = Extract<keyof Params, Primitive>

/** `stablehlo.name %a, %b : type`, for operations whose operands and result are of one type. */
const same = (name: string) => (block: Block, inputs: ReadonlyArray<Value>): ReadonlyArray<Value> => [
  block.one(inputs[0].type, `stablehlo.${name} `, ...list(inputs), ` : ${formatType(inputs[0].type)}`)
]

/** `chlo.name %a, %b : types -> type`. */
const chlo = (name: string) => (block: Block, inputs: ReadonlyArray<Value>): ReadonlyArray<Value> => {
  const { type } = inputs[0]
  const types = formatTypes(inputs.map((x) => x.type))
  return [block.one(type, `chlo.${name} `, ...list(inputs), ` : ${types} -> ${formatType(type)}`)]
}

/** What a primitive means in terms of others. */
const means = (f: Meaning) => (block: Block, inputs: ReadonlyArray<Value>): ReadonlyArray<Value> =>
  block.inline(f, inputs)

const nothing = (_: Block, inputs: ReadonlyArray<Value>): ReadonlyArray<Value> => inputs

const like = (x: Tensor, value: number): Tensor => lax.broadcastTo(literal(value, x.dtype), x.shape)

/** How the operands of a comparison are ordered. */
const order = (dtype: DType.DType): string =>
  DType.isFloat(dtype) ? "FLOAT" : dtype === "bool" || DType.isUnsigned(dtype) ? "UNSIGNED" : "SIGNED"

const compare = (direction: string) => (block: Block, inputs: ReadonlyArray<Value>): ReadonlyArray<Value> => {
  const { dtype, shape } = inputs[0].type
  const type = typeOf(shape, "bool")
  return [block.one(
    type,
    `stablehlo.compare ${direction}, `,
    ...list(inputs),
    `, ${order(dtype)} : ${signature(inputs, [type])}`
  )]
}

/** Integers of another kind than signed have no sign operation. */
const sign: Lowering<"sign"> = (block, inputs) =>
  DType.isUnsigned(inputs[0].type.dtype)
    ? block.inline(([x]) => [lax.convertElementType(lax.ne(x, like(x, 0)), x.dtype)], inputs)
    : same("sign")(block, inputs)

const abs: Lowering<"abs"> = (block, inputs) =>
  DType.isUnsigned(inputs[0].type.dtype) ? inputs : same("abs")(block, inputs)

const convert = (block: Block, x: Value, dtype: DType.DType): Value => {
  if (x.type.dtype === dtype) return x
  const type = typeOf(x.type.shape, dtype)
  return dtype === "bool" ? compare("NE")(block, [x, block.splat(0, x.type)])[0] : block.apply("convert", [x], type)
}

/** By repeated squaring; a negative power is the reciprocal. */
const integerPow: Lowering<"integer_pow"> = (block, inputs, { params: { y } }) =>
  block.inline(([x]) => {
    const power = (n: number): Tensor => {
      if (n === 1) return x
      const half = power(Math.floor(n / 2))
      const even = lax.mul(half, half)
      return n % 2 === 0 ? even : lax.mul(even, x)
    }
    if (y === 0) return [like(x, 1)]
    return [y > 0 ? power(y) : lax.div(like(x, 1), power(-y))]
  }, inputs)

/** `select` chooses among two; several cases are halved, as JAX does. */
const select: Lowering<"select_n"> = (block, [which, ...cases]) => {
  const { shape } = which.type
  const one = (condition: Value, yes: Value, no: Value): Value =>
    block.one(
      yes.type,
      "stablehlo.select ",
      ...list([condition, yes, no]),
      ` : ${formatTypes([condition.type, yes.type])}`
    )
  if (cases.length === 1) return cases
  if (which.type.dtype === "bool") return [one(which, cases[1], cases[0])]
  const type: Type = typeOf(shape, which.type.dtype)
  const among = (from: number, to: number): Value => {
    if (to - from === 1) return cases[from]
    const middle = Math.floor((from + to) / 2)
    const low = compare("LT")(block, [which, block.splat(middle, type)])[0]
    return one(low, among(from, middle), among(middle, to))
  }
  return [among(0, cases.length)]
}

/** Lowerings of the elementwise primitives. */
export const elementwise: LoweringTable<Elementwise> = {
  neg: same("negate"),
  sign,
  abs,
  floor: same("floor"),
  ceil: same("ceil"),
  round: same("round_nearest_even"),
  square: chlo("square"),
  exp: same("exponential"),
  exp2: means(([x]) => [lax.exp(lax.mul(like(x, Math.LN2), x))]),
  expm1: same("exponential_minus_one"),
  log: same("log"),
  log1p: same("log_plus_one"),
  sqrt: same("sqrt"),
  rsqrt: same("rsqrt"),
  cbrt: same("cbrt"),
  sin: same("sine"),
  cos: same("cosine"),
  tan: same("tan"),
  asin: chlo("asin"),
  acos: chlo("acos"),
  atan: chlo("atan"),
  sinh: chlo("sinh"),
  cosh: chlo("cosh"),
  tanh: same("tanh"),
  asinh: chlo("asinh"),
  acosh: chlo("acosh"),
  atanh: chlo("atanh"),
  logistic: means(([x]) => [lax.div(like(x, 1), lax.add(like(x, 1), lax.exp(lax.neg(x))))]),
  erf: chlo("erf"),
  erfc: chlo("erfc"),
  erf_inv: chlo("erf_inv"),
  lgamma: chlo("lgamma"),
  digamma: chlo("digamma"),
  integer_pow: integerPow,
  is_finite: (block, [x]) => [block.apply("is_finite", [x], typeOf(x.type.shape, "bool"))],
  not: same("not"),
  population_count: same("popcnt"),
  clz: same("count_leading_zeros"),
  stop_gradient: nothing,
  copy: nothing,
  convert_element_type: (block, [x], { params }) => [convert(block, x, params.new_dtype)],
  bitcast_convert_type: (block, [x], { params }) => [
    block.apply("bitcast_convert", [x], typeOf(x.type.shape, params.new_dtype))
  ],
  add: same("add"),
  sub: same("subtract"),
  mul: same("multiply"),
  div: same("divide"),
  rem: same("remainder"),
  pow: same("power"),
  max: same("maximum"),
  min: same("minimum"),
  atan2: same("atan2"),
  nextafter: chlo("next_after"),
  and: same("and"),
  or: same("or"),
  xor: same("xor"),
  shift_left: same("shift_left"),
  shift_right_arithmetic: same("shift_right_arithmetic"),
  shift_right_logical: same("shift_right_logical"),
  eq: compare("EQ"),
  ne: compare("NE"),
  lt: compare("LT"),
  le: compare("LE"),
  gt: compare("GT"),
  ge: compare("GE"),
  select_n: select,
  clamp: same("clamp")
}
