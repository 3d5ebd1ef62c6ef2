/**
 * The arithmetic that most programs spend their time in, a loop for each: a shared loop over functions would be several
 * times slower.
 */
import type { EquationOf } from "../../../Program/Program.ts"
import * as DTypes from "../../../Tensor/DType.ts"
import type { CpuRun } from "./arrays.ts"
import { type CpuKernels, outputOf } from "./arrays.ts"

type Plain = Pick<EquationOf<"mul">, "inputs" | "outputs">

const isFloat = (equation: Plain): boolean => DTypes.isFloat(equation.inputs[0].aval.dtype)

const mulFloats = (equation: Plain): CpuRun => ([x, y]) => {
  const out = outputOf(equation)
  for (let i = 0; i < out.length; i++) out[i] = x[i] * y[i]
  return [out]
}

/** The low bits of the product: a double would lose them. */
const mulIntegers = (equation: Plain): CpuRun => ([x, y]) => {
  const out = outputOf(equation)
  for (let i = 0; i < out.length; i++) out[i] = Math.imul(x[i], y[i])
  return [out]
}

const divFloats = (equation: Plain): CpuRun => ([x, y]) => {
  const out = outputOf(equation)
  for (let i = 0; i < out.length; i++) out[i] = x[i] / y[i]
  return [out]
}

/** Towards zero; by zero all bits are 1, as XLA has it. */
const divIntegers = (equation: Plain): CpuRun => ([x, y]) => {
  const out = outputOf(equation)
  for (let i = 0; i < out.length; i++) out[i] = y[i] === 0 ? -1 : Math.trunc(x[i] / y[i])
  return [out]
}

const remFloats = (equation: Plain): CpuRun => ([x, y]) => {
  const out = outputOf(equation)
  for (let i = 0; i < out.length; i++) out[i] = x[i] % y[i]
  return [out]
}

/** By zero the dividend, as XLA has it. */
const remIntegers = (equation: Plain): CpuRun => ([x, y]) => {
  const out = outputOf(equation)
  for (let i = 0; i < out.length; i++) out[i] = y[i] === 0 ? x[i] : x[i] % y[i]
  return [out]
}

const squareFloats = (equation: Plain): CpuRun => ([x]) => mulFloats(equation)([x, x])
const squareIntegers = (equation: Plain): CpuRun => ([x]) => mulIntegers(equation)([x, x])

/** Kernels of arithmetic and comparisons. */
export const arithmetic: CpuKernels<
  "neg" | "square" | "add" | "sub" | "mul" | "div" | "rem" | "max" | "min" | "eq" | "ne" | "lt" | "le" | "gt" | "ge"
> = {
  mul: (equation) => isFloat(equation) ? mulFloats(equation) : mulIntegers(equation),
  div: (equation) => isFloat(equation) ? divFloats(equation) : divIntegers(equation),
  rem: (equation) => isFloat(equation) ? remFloats(equation) : remIntegers(equation),
  square: (equation) => isFloat(equation) ? squareFloats(equation) : squareIntegers(equation),
  neg: (equation) => ([x]) => {
    const out = outputOf(equation)
    for (let i = 0; i < out.length; i++) out[i] = -x[i]
    return [out]
  },
  add: (equation) => ([x, y]) => {
    const out = outputOf(equation)
    for (let i = 0; i < out.length; i++) out[i] = x[i] + y[i]
    return [out]
  },
  sub: (equation) => ([x, y]) => {
    const out = outputOf(equation)
    for (let i = 0; i < out.length; i++) out[i] = x[i] - y[i]
    return [out]
  },
  max: (equation) => ([x, y]) => {
    const out = outputOf(equation)
    for (let i = 0; i < out.length; i++) out[i] = Math.max(x[i], y[i])
    return [out]
  },
  min: (equation) => ([x, y]) => {
    const out = outputOf(equation)
    for (let i = 0; i < out.length; i++) out[i] = Math.min(x[i], y[i])
    return [out]
  },
  eq: (equation) => ([x, y]) => {
    const out = outputOf(equation)
    for (let i = 0; i < out.length; i++) out[i] = x[i] === y[i] ? 1 : 0
    return [out]
  },
  ne: (equation) => ([x, y]) => {
    const out = outputOf(equation)
    for (let i = 0; i < out.length; i++) out[i] = x[i] !== y[i] ? 1 : 0
    return [out]
  },
  lt: (equation) => ([x, y]) => {
    const out = outputOf(equation)
    for (let i = 0; i < out.length; i++) out[i] = x[i] < y[i] ? 1 : 0
    return [out]
  },
  le: (equation) => ([x, y]) => {
    const out = outputOf(equation)
    for (let i = 0; i < out.length; i++) out[i] = x[i] <= y[i] ? 1 : 0
    return [out]
  },
  gt: (equation) => ([x, y]) => {
    const out = outputOf(equation)
    for (let i = 0; i < out.length; i++) out[i] = x[i] > y[i] ? 1 : 0
    return [out]
  },
  ge: (equation) => ([x, y]) => {
    const out = outputOf(equation)
    for (let i = 0; i < out.length; i++) out[i] = x[i] >= y[i] ? 1 : 0
    return [out]
  }
}
