/**
 * Reductions, arg-reductions and running reductions. Every operand is seen as [outer, n, inner], n being what is
 * reduced: when the reduced axes are not neighbours, the operand is permuted first. Sums and products of floats
 * accumulate in double.
 */
import type { EquationOf } from "../../../Program/Program.ts"
import type { TypedArray } from "../../../Tensor/DType.ts"
import * as DTypes from "../../../Tensor/DType.ts"
import type { Params } from "../../../Tensor/lax/reduction.ts"
import * as Shape from "../../../Tensor/Shape.ts"
import { allocate, type CpuKernel, type CpuKernels, outputOf, permute } from "./arrays.ts"
import type { TensorFlow, TensorFlowKernel } from "./tensorflow.ts"

/** An operand seen as three axes, the middle one reduced. */
interface Folded {
  readonly outer: number
  readonly n: number
  readonly inner: number
}

/** Sizes before, along and after the neighbouring axes `from` to `to`. */
const fold = (shape: Shape.Shape, from: number, to: number): Folded => ({
  outer: Shape.size(shape.slice(0, from)),
  n: Shape.size(shape.slice(from, to + 1)),
  inner: Shape.size(shape.slice(to + 1))
})

type Combine = (a: number, b: number) => number

/** Reduces with a running value an output element: in double for floats, as `combine` leaves it for integers. */
const reduceWith = (x: TypedArray, out: TypedArray, { inner, n, outer }: Folded, init: number, combine: Combine) => {
  if (inner === 1) {
    for (let o = 0; o < outer; o++) {
      let acc = init
      for (let i = o * n; i < (o + 1) * n; i++) acc = combine(acc, x[i])
      out[o] = acc
    }
    return
  }
  const row = new Float64Array(inner)
  for (let o = 0; o < outer; o++) {
    row.fill(init)
    for (let r = 0; r < n; r++) {
      const start = (o * n + r) * inner
      for (let i = 0; i < inner; i++) row[i] = combine(row[i], x[start + i])
    }
    out.set(row, o * inner)
  }
}

/** As `reduceWith` with addition, which is worth a loop of its own. */
const sumFloats = (x: TypedArray, out: TypedArray, { inner, n, outer }: Folded): void => {
  if (inner === 1) {
    for (let o = 0; o < outer; o++) {
      let acc = 0
      for (let i = o * n; i < (o + 1) * n; i++) acc += x[i]
      out[o] = acc
    }
    return
  }
  const row = new Float64Array(inner)
  for (let o = 0; o < outer; o++) {
    row.fill(0)
    for (let r = 0; r < n; r++) {
      const start = (o * n + r) * inner
      for (let i = 0; i < inner; i++) row[i] += x[start + i]
    }
    out.set(row, o * inner)
  }
}

type Reduction = "reduce_sum" | "reduce_prod" | "reduce_max" | "reduce_min" | "reduce_and" | "reduce_or"

type Reducer = (x: TypedArray, out: TypedArray, folded: Folded) => void

/** A reduction over any axes, given how three folded axes are reduced. */
const reduction = (equation: EquationOf<Reduction>, reducer: Reducer) => {
  const { axes } = equation.params
  const { dtype, shape } = equation.inputs[0].aval
  const neighbours = axes.every((a, i) => i === 0 || a === axes[i - 1] + 1)
  const permutation = [...Shape.range(shape.length).filter((a) => !axes.includes(a)), ...axes]
  const moved = permutation.map((a) => shape[a])
  const folded = neighbours
    ? fold(shape, axes[0], axes[axes.length - 1])
    : fold(moved, shape.length - axes.length, shape.length - 1)
  return ([data]: ReadonlyArray<TypedArray>): ReadonlyArray<TypedArray> => {
    const out = outputOf(equation)
    reducer(neighbours ? data : permute(data, dtype, shape, permutation), out, folded)
    return [out]
  }
}

const addIntegers: Combine = (a, b) => (a + b) | 0
const multiply: Combine = (a, b) => a * b
const or: Combine = (a, b) => a | b
const and: Combine = (a, b) => a & b

const combining = (init: number, combine: Combine): Reducer => (x, out, folded) =>
  reduceWith(x, out, folded, init, combine)

type Better = (a: number, b: number) => boolean

/** The index of the first best element, the first nan being best of all. */
const argReduce = (better: Better): CpuKernel<"argmax" | "argmin"> => (equation) => {
  const { inner, n, outer } = fold(equation.inputs[0].aval.shape, equation.params.axes[0], equation.params.axes[0])
  return ([x]) => {
    const out = outputOf(equation)
    for (let o = 0; o < outer; o++) {
      for (let i = 0; i < inner; i++) {
        const start = o * n * inner + i
        let best = 0
        let value = x[start]
        for (let r = 1; r < n && !Number.isNaN(value); r++) {
          const candidate = x[start + r * inner]
          if (better(candidate, value) || Number.isNaN(candidate)) {
            best = r
            value = candidate
          }
        }
        out[o * inner + i] = best
      }
    }
    return [out]
  }
}

type Running = "cumsum" | "cumprod" | "cummax" | "cummin" | "cumlogsumexp"

/** A running reduction; the running value is a double, or what `combine` makes of integers. */
const cumulative = (combineOf: (isFloat: boolean) => Combine): CpuKernel<Running> => (equation) => {
  const { axis, reverse } = equation.params
  const { dtype, shape } = equation.inputs[0].aval
  const { inner, n, outer } = fold(shape, axis, axis)
  const combine = combineOf(DTypes.isFloat(dtype))
  return ([x]) => {
    const out = allocate(dtype, x.length)
    for (let o = 0; o < outer; o++) {
      for (let i = 0; i < inner; i++) {
        const start = o * n * inner + i
        let acc = 0
        for (let k = 0; k < n; k++) {
          const at = start + (reverse ? n - 1 - k : k) * inner
          acc = k === 0 ? x[at] : combine(acc, x[at])
          out[at] = acc
        }
      }
    }
    return [out]
  }
}

/** log(eᵃ + eᵇ). */
const logAddExp: Combine = (a, b) => {
  const top = Math.max(a, b)
  return top === -Infinity || top === Infinity ? top : top + Math.log1p(Math.exp(Math.min(a, b) - top))
}

/** TensorFlow.js reduces rows of floats as fast as we do; columns it would transpose first. */
const rows = (tf: TensorFlowKernel, own: Reducer): Reducer => (x, out, folded) => {
  if (folded.inner !== 1 || out.length === 0 || folded.n === 0) own(x, out, folded)
  else out.set(tf(x, [folded.outer, folded.n], { axis: [1], reductionIndices: [1], keepDims: false }))
}

/** Kernels of the reductions. */
export const reductions = (tf: TensorFlow): CpuKernels<keyof Params> => ({
  reduce_sum: (equation) => {
    const float = DTypes.isFloat(equation.inputs[0].aval.dtype)
    return reduction(equation, float ? rows(tf("Sum"), sumFloats) : combining(0, addIntegers))
  },
  reduce_prod: (equation) => {
    const float = DTypes.isFloat(equation.inputs[0].aval.dtype)
    return reduction(equation, float ? rows(tf("Prod"), combining(1, multiply)) : combining(1, Math.imul))
  },
  reduce_max: (equation) => {
    const { dtype } = equation.inputs[0].aval
    const own = combining(DTypes.lowest(dtype), Math.max)
    return reduction(equation, DTypes.isFloat(dtype) ? rows(tf("Max"), own) : own)
  },
  reduce_min: (equation) => {
    const { dtype } = equation.inputs[0].aval
    const own = combining(DTypes.highest(dtype), Math.min)
    return reduction(equation, DTypes.isFloat(dtype) ? rows(tf("Min"), own) : own)
  },
  reduce_and: (equation) => reduction(equation, combining(equation.inputs[0].aval.dtype === "bool" ? 1 : -1, and)),
  reduce_or: (equation) => reduction(equation, combining(0, or)),
  argmax: argReduce((a, b) => a > b),
  argmin: argReduce((a, b) => a < b),
  cumsum: cumulative((isFloat) => isFloat ? (a, b) => a + b : addIntegers),
  cumprod: cumulative((isFloat) => isFloat ? multiply : Math.imul),
  cummax: cumulative(() => Math.max),
  cummin: cumulative(() => Math.min),
  cumlogsumexp: cumulative(() => logAddExp)
})
