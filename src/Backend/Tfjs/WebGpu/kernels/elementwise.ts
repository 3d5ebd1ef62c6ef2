/**
 * Elementwise kernels, as expressions. Every primitive has an expression for each kind of word; results are brought
 * back into the range of their dtype by `narrow`.
 */
import type { EquationOf } from "../../../../Program/Program.ts"
import type { DType } from "../../../../Tensor/DType.ts"
import * as DTypes from "../../../../Tensor/DType.ts"
import type { Params } from "../../../../Tensor/lax/elementwise.ts"
import {
  type Elementwise,
  elementwiseSource,
  type GpuKernels,
  inputWords,
  outputWords,
  type Plain,
  type Plan,
  sizeOf
} from "../kernel.ts"
import { as, converted, literal, narrow, type Word, wordOf } from "../words.ts"

type Expression = (...inputs: ReadonlyArray<string>) => string

const dtypeOf = (equation: Plain): DType => equation.inputs[0].aval.dtype

/** A kernel of one output from its expression, which need not be narrowed. */
const expression = (equation: Plain, of: Expression): Elementwise => ({
  _tag: "Elementwise",
  name: `${equation.primitive} ${dtypeOf(equation)}`,
  inputs: inputWords(equation),
  outputs: outputWords(equation),
  expressions: (...inputs) => [narrow(of(...inputs), equation.outputs[0].aval.dtype)]
})

/** A kernel of floats, by a function of the library or WGSL's own. */
const call = (f: string) => (equation: Plain): Plan => expression(equation, (...xs) => `${f}(${xs.join(", ")})`)

/** A kernel with an expression for every kind of word. */
const byWord = (of: Readonly<Record<Word, Expression>>) => (equation: Plain): Plan =>
  expression(equation, of[wordOf(dtypeOf(equation))])

/** A kernel with one expression for all kinds of words. */
const any = (of: Expression) => (equation: Plain): Plan => expression(equation, of)

/** A kernel of bool results from a condition for floats and one for others. */
const compare = (float: Expression, other: Expression) => (equation: Plain): Plan => {
  const of = DTypes.isFloat(dtypeOf(equation)) ? float : other
  return expression(equation, (...xs) => `select(0u, 1u, ${of(...xs)})`)
}

const infix = (operator: string): Expression => (x, y) => `${x} ${operator} ${y}`

/** The bits of an integer of its own width, zeros above them, as a u32. */
const unsignedBits = (dtype: DType, x: string): string => {
  const bits = as("u32", wordOf(dtype), x)
  return DTypes.bits(dtype) === 32 ? bits : `(${bits} & 0xffu)`
}

/** The bits of an integer of its own width, its sign above them, as an i32. */
const signedBits = (dtype: DType, x: string): string => {
  const bits = as("i32", wordOf(dtype), x)
  return DTypes.bits(dtype) === 32 ? bits : `extractBits(${bits}, 0u, 8u)`
}

/** A shift: `far` is what shifting by the width or more gives, `near` the shift by an amount that is less. */
const shift =
  (of: (dtype: DType, x: string, by: string) => readonly [word: Word, far: string, near: string]) =>
  (equation: Plain): Plan => {
    const dtype = dtypeOf(equation)
    const word = wordOf(dtype)
    return expression(equation, (x, y) => {
      const by = as("u32", word, y)
      const [result, far, near] = of(dtype, x, `(${by} & 31u)`)
      return as(word, result, `select(${near}, ${far}, ${by} >= ${DTypes.bits(dtype)}u)`)
    })
  }

/** xⁿ by squaring, as statements of a function of its own. */
const integerPow = (equation: EquationOf<"integer_pow">): Plan => {
  const { y: n } = equation.params
  const word = wordOf(dtypeOf(equation))
  const lines = [`var base = x;`, `var result = ${literal(1, dtypeOf(equation))};`]
  for (let e = Math.abs(n); e > 0; e = Math.floor(e / 2)) {
    if (e % 2 === 1) lines.push("result = result * base;")
    if (e > 1) lines.push("base = base * base;")
  }
  lines.push(n < 0 ? "return div_(1.0, result);" : "return result;")
  return {
    ...expression(equation, (x) => `integerpow(${x})`),
    name: `integer_pow ${n}`,
    declarations: `fn integerpow(x: ${word}) -> ${word} {\n  ${lines.join("\n  ")}\n}`
  }
}

/** The same bits as another dtype of the same width. */
const recast = (from: DType, to: DType, x: string): string => {
  if (from === to) return x
  // 16 bits: the two float types, each held as an f32.
  if (from === "float16") return `bitcast<f32>(half_(${x}) << 16u)`
  if (from === "bfloat16") return `unhalf_(bitcast<u32>(${x}) >> 16u)`
  return as(wordOf(to), wordOf(from), x)
}

const clampOf = (dtype: DType): Expression => {
  const [max, min] = wordOf(dtype) === "f32" ? ["max_", "min_"] : ["max", "min"]
  return (low, x, high) => `${min}(${max}(${x}, ${low}), ${high})`
}

const nextafter: Readonly<Record<string, string>> = { float16: "nextafter16_", bfloat16: "nextafterb16_" }

/** Two cases at a time: a shader has few buffers, and there may be any number of cases. */
const select = (equation: EquationOf<"select_n">): Plan => {
  const [which, ...cases] = equation.inputs
  const word = wordOf(which.aval.dtype)
  const chosen = (bound: number): string => `a0 > ${literal(bound, which.aval.dtype)}`
  const step = (bound: number): Elementwise => ({
    _tag: "Elementwise",
    name: `select_n above ${bound}`,
    inputs: [word, "u32", "u32"],
    outputs: ["u32"],
    expressions: (_, low, high) => [`select(${low}, ${high}, ${chosen(bound)})`]
  })
  if (cases.length === 2) return step(0)
  const sources = cases.slice(1).map((_, k) => elementwiseSource(step(k), [false, false, false]))
  return (bench, [w, first, ...rest]) =>
    rest.length === 0
      ? [bench.copy(first)]
      : [rest.reduce((low, high, k) => bench.run(sources[k], [w, low, high], sizeOf(equation))[0], first)]
}

/** Kernels of the elementwise primitives. */
export const elementwise: GpuKernels<Exclude<keyof Params, "copy" | "stop_gradient">> = {
  neg: byWord({ f32: (x) => `neg_(${x})`, i32: (x) => `-${x}`, u32: (x) => `(0u - ${x})` }),
  sign: byWord({ f32: (x) => `sign_(${x})`, i32: (x) => `sign(${x})`, u32: (x) => `min(${x}, 1u)` }),
  abs: byWord({ f32: (x) => `abs_(${x})`, i32: (x) => `abs(${x})`, u32: (x) => x }),
  floor: call("floor_"),
  ceil: call("ceil_"),
  round: call("round_"),
  square: any((x) => `${x} * ${x}`),
  exp: call("exp_"),
  exp2: call("exp2_"),
  expm1: call("expm1_"),
  log: call("log_"),
  log1p: call("log1p_"),
  sqrt: call("sqrt_"),
  rsqrt: call("rsqrt_"),
  cbrt: call("cbrt_"),
  sin: call("sin_"),
  cos: call("cos_"),
  tan: call("tan_"),
  asin: call("asin_"),
  acos: call("acos_"),
  atan: call("atan_"),
  sinh: call("sinh_"),
  cosh: call("cosh_"),
  tanh: call("tanh_"),
  asinh: call("asinh_"),
  acosh: call("acosh_"),
  atanh: call("atanh_"),
  logistic: call("logistic_"),
  erf: call("erf_"),
  erfc: call("erfc_"),
  erf_inv: call("erfinv_"),
  lgamma: call("lgamma_"),
  digamma: call("digamma_"),
  integer_pow: integerPow,
  is_finite: (equation) => expression(equation, (x) => `select(0u, 1u, isfinite_(${x}))`),
  not: (equation) => expression(equation, (x) => dtypeOf(equation) === "bool" ? `1u - ${x}` : `~${x}`),
  population_count: (equation) => {
    const dtype = dtypeOf(equation)
    return expression(equation, (x) => as(wordOf(dtype), "u32", `countOneBits(${unsignedBits(dtype, x)})`))
  },
  clz: (equation) => {
    const dtype = dtypeOf(equation)
    const above = 32 - DTypes.bits(dtype)
    return expression(
      equation,
      (x) => as(wordOf(dtype), "u32", `(countLeadingZeros(${unsignedBits(dtype, x)}) - ${above}u)`)
    )
  },
  convert_element_type: (equation) =>
    expression(equation, (x) => converted(dtypeOf(equation), equation.params.new_dtype, x)),
  bitcast_convert_type: (equation) => ({
    ...expression(equation, (x) => x),
    expressions: (x) => [recast(dtypeOf(equation), equation.params.new_dtype, x)]
  }),
  add: any(infix("+")),
  sub: any(infix("-")),
  mul: any(infix("*")),
  div: byWord({
    f32: (x, y) => `div_(${x}, ${y})`,
    i32: (x, y) => `divi32_(${x}, ${y})`,
    u32: (x, y) => `divu32_(${x}, ${y})`
  }),
  rem: byWord({
    f32: (x, y) => `fmod_(${x}, ${y})`,
    i32: (x, y) => `remi32_(${x}, ${y})`,
    u32: (x, y) => `remu32_(${x}, ${y})`
  }),
  pow: call("pow_"),
  max: byWord({
    f32: (x, y) => `max_(${x}, ${y})`,
    i32: (x, y) => `max(${x}, ${y})`,
    u32: (x, y) => `max(${x}, ${y})`
  }),
  min: byWord({
    f32: (x, y) => `min_(${x}, ${y})`,
    i32: (x, y) => `min(${x}, ${y})`,
    u32: (x, y) => `min(${x}, ${y})`
  }),
  atan2: call("atan2_"),
  nextafter: (equation) => call(nextafter[dtypeOf(equation)] ?? "nextafter_")(equation),
  and: any(infix("&")),
  or: any(infix("|")),
  xor: any(infix("^")),
  shift_left: shift((dtype, x, by) => ["u32", "0u", `${unsignedBits(dtype, x)} << ${by}`]),
  shift_right_arithmetic: shift((dtype, x, by) => {
    const bits = signedBits(dtype, x)
    return ["i32", `${bits} >> 31u`, `${bits} >> ${by}`]
  }),
  shift_right_logical: shift((dtype, x, by) => ["u32", "0u", `${unsignedBits(dtype, x)} >> ${by}`]),
  eq: compare((x, y) => `eq_(${x}, ${y})`, infix("==")),
  ne: compare((x, y) => `!eq_(${x}, ${y})`, infix("!=")),
  lt: compare((x, y) => `lt_(${x}, ${y})`, infix("<")),
  le: compare((x, y) => `le_(${x}, ${y})`, infix("<=")),
  gt: compare((x, y) => `lt_(${y}, ${x})`, infix(">")),
  ge: compare((x, y) => `le_(${y}, ${x})`, infix(">=")),
  select_n: select,
  clamp: (equation) => expression(equation, clampOf(dtypeOf(equation)))
}
