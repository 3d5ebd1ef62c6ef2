/**
 * Sliding windows. Sums, maxima and minima over boxes are taken one axis after the other, each over windows of one
 * axis; so is the choice of the selected element, which carries the position of the best along. Axes on which nothing
 * slides are skipped.
 */
import type { EquationOf } from "../../../Program/Program.ts"
import type { TypedArray } from "../../../Tensor/DType.ts"
import * as DTypes from "../../../Tensor/DType.ts"
import type { Params, SelectParams, WindowParams } from "../../../Tensor/lax/window.ts"
import * as Shape from "../../../Tensor/Shape.ts"
import { allocate, type CpuKernel, type CpuKernels, outputOf } from "./arrays.ts"

/** Windows along one axis of an array seen as [outer, n, inner]. */
interface Slide {
  readonly outer: number
  readonly n: number
  readonly inner: number
  readonly windows: number
  readonly taps: number
  /** For each (window, tap) the position along the axis, -1 in padding and holes. */
  readonly positions: Int32Array
}

/** The slides of all axes on which a window is more than the element itself, the last axis first. */
const slides = (shape: Shape.Shape, output: Shape.Shape, p: WindowParams): ReadonlyArray<Slide> => {
  const out: Array<Slide> = []
  const sizes = [...shape]
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const taps = p.window_dimensions[axis]
    const windows = output[axis]
    const positions = new Int32Array(windows * taps)
    for (let w = 0; w < windows; w++) {
      for (let t = 0; t < taps; t++) {
        const at = w * p.window_strides[axis] + t * p.window_dilation[axis] - p.padding[axis][0]
        const source = at / p.base_dilation[axis]
        positions[w * taps + t] = Number.isInteger(source) && source >= 0 && source < shape[axis] ? source : -1
      }
    }
    const trivial = taps === 1 && windows === shape[axis] && positions.every((at, w) => at === w)
    if (trivial) continue
    const outer = Shape.size(sizes.slice(0, axis))
    const inner = Shape.size(sizes.slice(axis + 1))
    out.push({ outer, n: shape[axis], inner, windows, taps, positions })
    sizes[axis] = windows
  }
  return out
}

/**
 * Calls `row(to, from)` with the offsets of rows of `inner` elements, for every tap of every window that is not in
 * padding.
 */
const forEachRow = (s: Slide, row: (to: number, from: number) => void): void => {
  for (let o = 0; o < s.outer; o++) {
    for (let w = 0; w < s.windows; w++) {
      const to = (o * s.windows + w) * s.inner
      for (let t = 0; t < s.taps; t++) {
        const at = s.positions[w * s.taps + t]
        if (at >= 0) row(to, (o * s.n + at) * s.inner)
      }
    }
  }
}

type Combine = (a: number, b: number) => number

const reduceWindow = (
  initOf: (dtype: DTypes.DType) => number,
  combine: Combine
): CpuKernel<"reduce_window_sum" | "reduce_window_max" | "reduce_window_min"> =>
(equation) => {
  const { dtype, shape } = equation.inputs[0].aval
  const steps = slides(shape, equation.outputs[0].aval.shape, equation.params)
  // Sums of floats are kept in double from axis to axis.
  const between = DTypes.isFloat(dtype) && initOf(dtype) === 0 ? "float64" : dtype
  return ([x]) => {
    let from = x
    steps.forEach((s, i) => {
      const last = i === steps.length - 1
      const out = allocate(last ? dtype : between, s.outer * s.windows * s.inner)
      slide(s, from, out, initOf(dtype), combine)
      from = out
    })
    return [from]
  }
}

const slide = (s: Slide, x: TypedArray, out: TypedArray, init: number, combine: Combine): void => {
  const running = allocate("float64", s.inner)
  for (let o = 0; o < s.outer; o++) {
    for (let w = 0; w < s.windows; w++) {
      running.fill(init)
      for (let t = 0; t < s.taps; t++) {
        const at = s.positions[w * s.taps + t]
        if (at < 0) continue
        const from = (o * s.n + at) * s.inner
        for (let i = 0; i < s.inner; i++) running[i] = combine(running[i], x[from + i])
      }
      out.set(running, (o * s.windows + w) * s.inner)
    }
  }
}

const undilated = (p: SelectParams): WindowParams => ({
  ...p,
  base_dilation: p.window_dimensions.map(() => 1),
  window_dilation: p.window_dimensions.map(() => 1)
})

type Selecting = EquationOf<"select_and_scatter_add" | "select_and_gather_add">

/**
 * The position of the selected element of every window: the first best, as XLA; nan is better than all; -1 for a window
 * of padding only.
 */
const selected = (equation: Selecting): (x: TypedArray) => TypedArray => {
  const shape = equation.inputs[1].aval.shape
  const output = equation.primitive === "select_and_scatter_add"
    ? equation.inputs[0].aval.shape
    : equation.outputs[0].aval.shape
  const steps = slides(shape, output, undilated(equation.params))
  const sign = equation.params.select_prim === "ge" ? 1 : -1
  return (x) => {
    let best = allocate("int32", x.length)
    for (let i = 0; i < best.length; i++) best[i] = i
    for (const s of steps) {
      const next = allocate("int32", s.outer * s.windows * s.inner).fill(-1)
      const from = best
      forEachRow(s, (to, start) => {
        for (let i = 0; i < s.inner; i++) {
          const candidate = from[start + i]
          const old = next[to + i]
          if (old < 0 || (candidate >= 0 && isBetter(sign * x[candidate], sign * x[old]))) next[to + i] = candidate
        }
      })
      best = next
    }
    return best
  }
}

const isBetter = (a: number, b: number): boolean => a > b || (Number.isNaN(a) && !Number.isNaN(b))

/** Kernels of the windows. */
export const windows: CpuKernels<keyof Params> = {
  reduce_window_sum: reduceWindow(() => 0, (a, b) => a + b),
  reduce_window_max: reduceWindow(DTypes.lowest, Math.max),
  reduce_window_min: reduceWindow(DTypes.highest, Math.min),
  select_and_scatter_add: (equation) => {
    const choose = selected(equation)
    return ([source, x]) => {
      const best = choose(x)
      const sums = allocate("float64", x.length)
      for (let i = 0; i < best.length; i++) if (best[i] >= 0) sums[best[i]] += source[i]
      const out = outputOf(equation)
      out.set(sums)
      return [out]
    }
  },
  select_and_gather_add: (equation) => {
    const choose = selected(equation)
    return ([tangents, x]) => {
      const best = choose(x)
      const out = outputOf(equation)
      for (let i = 0; i < best.length; i++) out[i] = best[i] < 0 ? 0 : tangents[best[i]]
      return [out]
    }
  }
}
