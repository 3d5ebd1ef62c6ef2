// The part of the reference evaluator for elementwise functions, shapes and reductions.
import * as DType from "../../../src/Tensor/DType.ts"
import * as Shape from "../../../src/Tensor/Shape.ts"
import type * as ShapedArray from "../../../src/Tensor/ShapedArray.ts"
import { generate, type Index, indices, inside, type Meanings, read, type Value, wrap } from "./values.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Elementwise
// ---------------------------------------------------------------------------------------------------------------------

const extreme = (better: (a: number, b: number) => boolean) => (a: number, b: number): number =>
  Number.isNaN(a) || better(a, b) ? a : Number.isNaN(b) ? b : b
const larger = extreme((a, b) => a >= b)
const smaller = extreme((a, b) => a <= b)

const roundEven = (x: number): number => {
  const low = Math.floor(x)
  return x - low < 0.5 || (x - low === 0.5 && low % 2 === 0) ? low : low + 1
}

/** Functions of numbers; results are wrapped into the output's dtype. */
export const scalars: Readonly<Record<string, (...xs: ReadonlyArray<number>) => number>> = {
  neg: (x) => -x,
  sign: Math.sign,
  abs: Math.abs,
  floor: Math.floor,
  ceil: Math.ceil,
  round: roundEven,
  square: (x) => x * x,
  exp: Math.exp,
  exp2: (x) => 2 ** x,
  expm1: Math.expm1,
  log: Math.log,
  log1p: Math.log1p,
  sqrt: Math.sqrt,
  rsqrt: (x) => 1 / Math.sqrt(x),
  cbrt: Math.cbrt,
  sin: Math.sin,
  cos: Math.cos,
  tan: Math.tan,
  asin: Math.asin,
  acos: Math.acos,
  atan: Math.atan,
  sinh: Math.sinh,
  cosh: Math.cosh,
  tanh: Math.tanh,
  asinh: Math.asinh,
  acosh: Math.acosh,
  atanh: Math.atanh,
  logistic: (x) => 1 / (1 + Math.exp(-x)),
  is_finite: (x) => Number.isFinite(x) ? 1 : 0,
  stop_gradient: (x) => x,
  copy: (x) => x,
  add: (x, y) => x + y,
  sub: (x, y) => x - y,
  div: (x, y) => x / y,
  rem: (x, y) => x % y,
  pow: (x, y) => x ** y,
  max: larger,
  min: smaller,
  atan2: Math.atan2,
  eq: (x, y) => x === y ? 1 : 0,
  ne: (x, y) => x !== y ? 1 : 0,
  lt: (x, y) => x < y ? 1 : 0,
  le: (x, y) => x <= y ? 1 : 0,
  gt: (x, y) => x > y ? 1 : 0,
  ge: (x, y) => x >= y ? 1 : 0,
  select_n: (which, ...cases) => cases[which],
  clamp: (low, x, high) => smaller(larger(x, low), high)
}

export const elementwise = (
  f: (...xs: ReadonlyArray<number>) => number,
  inputs: ReadonlyArray<Value>,
  out: ShapedArray.ShapedArray
): ReadonlyArray<Value> => [{
  shape: out.shape,
  data: inputs[0].data.map((_, i) => wrap(f(...inputs.map((x) => x.data[i])), out.dtype))
}]

const converting: Meanings<"mul" | "and" | "or" | "xor" | "not" | "integer_pow" | "convert_element_type"> = {
  mul: (_, xs, [out]) => elementwise((x, y) => DType.isFloat(out.dtype) ? x * y : Math.imul(x, y), xs, out),
  and: (_, xs, [out]) => elementwise((x, y) => x & y, xs, out),
  or: (_, xs, [out]) => elementwise((x, y) => x | y, xs, out),
  xor: (_, xs, [out]) => elementwise((x, y) => x ^ y, xs, out),
  not: (_, xs, [out]) => elementwise((x) => out.dtype === "bool" ? 1 - x : ~x, xs, out),
  integer_pow: ({ y }, xs, [out]) => elementwise((x) => x ** y, xs, out),
  convert_element_type: (_, xs, [out]) => elementwise((x) => DType.isInteger(out.dtype) ? Math.trunc(x) : x, xs, out)
}

// ---------------------------------------------------------------------------------------------------------------------
// Shapes and reductions
// ---------------------------------------------------------------------------------------------------------------------

type Shaping =
  | "broadcast_in_dim"
  | "reshape"
  | "squeeze"
  | "transpose"
  | "slice"
  | "concatenate"
  | "pad"
  | "rev"
  | "iota"

const shaping: Meanings<Shaping> = {
  broadcast_in_dim: ({ broadcast_dimensions, shape }, [x]) => [
    generate(shape, (at) => read(x, x.shape.map((d, i) => d === 1 ? 0 : at[broadcast_dimensions[i]])))
  ],
  reshape: ({ new_sizes }, [x]) => [{ shape: new_sizes, data: x.data }],
  squeeze: (_, [x], [out]) => [{ shape: out.shape, data: x.data }],
  transpose: ({ permutation }, [x], [out]) => [
    generate(out.shape, (at) => read(x, x.shape.map((_, axis) => at[permutation.indexOf(axis)])))
  ],
  slice: ({ start_indices, strides }, [x], [out]) => [
    generate(out.shape, (at) => read(x, at.map((i, axis) => start_indices[axis] + i * strides[axis])))
  ],
  concatenate: ({ dimension }, xs, [out]) => [
    generate(out.shape, (at) => {
      const index = [...at]
      for (const x of xs) {
        if (index[dimension] < x.shape[dimension]) return read(x, index)
        index[dimension] -= x.shape[dimension]
      }
      throw new Error("past the end of the operands")
    })
  ],
  pad: ({ padding_config }, [x, value], [out]) => [
    generate(out.shape, (at) => {
      const from = at.map((i, axis) => (i - padding_config[axis][0]) / (padding_config[axis][2] + 1))
      return from.every(Number.isInteger) && inside(x.shape, from) ? read(x, from) : value.data[0]
    })
  ],
  rev: ({ dimensions }, [x]) => [
    generate(x.shape, (at) => read(x, at.map((i, axis) => dimensions.includes(axis) ? x.shape[axis] - 1 - i : i)))
  ],
  iota: ({ dimension, shape }) => [generate(shape, (at) => at[dimension])]
}

/** The elements along `axes` at every position of the other axes. */
const along = (x: Value, axes: Index, f: (elements: ReadonlyArray<number>) => number): ReadonlyArray<Value> => {
  const kept = Shape.range(x.shape.length).filter((axis) => !axes.includes(axis))
  const positions = indices(axes.map((axis) => x.shape[axis]))
  return [
    generate(
      kept.map((axis) => x.shape[axis]),
      (at) =>
        f(positions.map((position) =>
          read(x, x.shape.map((_, axis) => axes.includes(axis) ? position[axes.indexOf(axis)] : at[kept.indexOf(axis)]))
        ))
    )
  ]
}

const sum = (xs: ReadonlyArray<number>): number => xs.reduce((a, b) => a + b, 0)

/** The place of the first element that is better than all others; the first nan if there is one. */
const place = (xs: ReadonlyArray<number>, better: (a: number, b: number) => boolean): number =>
  xs.reduce((best, x, i) => !Number.isNaN(xs[best]) && (Number.isNaN(x) || better(x, xs[best])) ? i : best, 0)

const running = (x: Value, axis: number, reverse: boolean, f: (elements: ReadonlyArray<number>) => number) => [
  generate(x.shape, (at) => {
    const line = Shape.range(x.shape[axis]).map((i) => read(x, at.with(axis, i)))
    return f(reverse ? line.slice(at[axis]) : line.slice(0, at[axis] + 1))
  })
]

const product = (xs: ReadonlyArray<number>): number => xs.reduce((a, b) => a * b, 1)
const logSumExp = (xs: ReadonlyArray<number>): number => {
  const top = xs.reduce(larger, -Infinity)
  return Number.isFinite(top) ? top + Math.log(sum(xs.map((x) => Math.exp(x - top)))) : top
}

type Reducing =
  | `reduce_${"sum" | "prod" | "max" | "min" | "and" | "or"}`
  | `arg${"max" | "min"}`
  | `cum${"sum" | "prod" | "max" | "min" | "logsumexp"}`

const reducing: Meanings<Reducing> = {
  reduce_sum: ({ axes }, [x], [out]) => along(x, axes, (xs) => wrap(sum(xs), out.dtype)),
  reduce_prod: ({ axes }, [x], [out]) => along(x, axes, (xs) => wrap(product(xs), out.dtype)),
  reduce_max: ({ axes }, [x], [out]) => along(x, axes, (xs) => xs.reduce(larger, DType.lowest(out.dtype))),
  reduce_min: ({ axes }, [x], [out]) => along(x, axes, (xs) => xs.reduce(smaller, DType.highest(out.dtype))),
  reduce_and: ({ axes }, [x], [out]) => along(x, axes, (xs) => wrap(xs.reduce((a, b) => a & b, -1), out.dtype)),
  reduce_or: ({ axes }, [x], [out]) => along(x, axes, (xs) => wrap(xs.reduce((a, b) => a | b, 0), out.dtype)),
  argmax: ({ axes }, [x]) => along(x, axes, (xs) => place(xs, (a, b) => a > b)),
  argmin: ({ axes }, [x]) => along(x, axes, (xs) => place(xs, (a, b) => a < b)),
  cumsum: ({ axis, reverse }, [x]) => running(x, axis, reverse, sum),
  cumprod: ({ axis, reverse }, [x]) => running(x, axis, reverse, product),
  cummax: ({ axis, reverse }, [x]) => running(x, axis, reverse, (xs) => xs.reduce(larger)),
  cummin: ({ axis, reverse }, [x]) => running(x, axis, reverse, (xs) => xs.reduce(smaller)),
  cumlogsumexp: ({ axis, reverse }, [x]) => running(x, axis, reverse, logSumExp)
}

/** The meanings of the elementwise primitives with parameters, and of those that move or reduce. */
export const elements = { ...converting, ...shaping, ...reducing }
