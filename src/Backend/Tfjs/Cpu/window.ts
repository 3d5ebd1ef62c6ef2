/**
 * Sliding windows over all axes: every window is visited with the operand positions that it covers.
 */
import type { EquationOf } from "../../../Program/Program.ts"
import type { TypedArray } from "../../../Tensor/DType.ts"
import * as DTypes from "../../../Tensor/DType.ts"
import type { Params, SelectParams, WindowParams } from "../../../Tensor/lax/window.ts"
import * as Shape from "../../../Tensor/Shape.ts"
import { type CpuKernel, type CpuKernels, outputOf } from "./arrays.ts"

/** Calls `visit(window, position)` for every element of every window, `position` being -1 in padding and holes. */
const forEachElement = (
  shape: Shape.Shape,
  output: Shape.Shape,
  p: WindowParams,
  visit: (window: number, position: number) => void
): void => {
  const strides = Shape.strides(shape)
  const rank = shape.length
  const taps = Shape.size(p.window_dimensions)
  const windows = Shape.size(output)
  const at = output.map(() => 0)
  const tap = output.map(() => 0)
  for (let window = 0; window < windows; window++) {
    tap.fill(0)
    for (let t = 0; t < taps; t++) {
      let position = 0
      for (let i = 0; i < rank && position >= 0; i++) {
        const dilated = at[i] * p.window_strides[i] + tap[i] * p.window_dilation[i] - p.padding[i][0]
        const source = dilated / p.base_dilation[i]
        const inside = Number.isInteger(source) && source >= 0 && source < shape[i]
        position = inside ? position + source * strides[i] : -1
      }
      visit(window, position)
      advance(tap, p.window_dimensions)
    }
    advance(at, output)
  }
}

/** The next index in row-major order. */
const advance = (index: Array<number>, shape: Shape.Shape): void => {
  for (let i = index.length - 1; i >= 0; i--) {
    if (++index[i] < shape[i]) return
    index[i] = 0
  }
}

const reduceWindow = (
  initOf: (dtype: DTypes.DType) => number,
  combine: (a: number, b: number) => number
): CpuKernel<"reduce_window_sum" | "reduce_window_max" | "reduce_window_min"> =>
(equation) => {
  const { dtype, shape } = equation.inputs[0].aval
  const output = equation.outputs[0].aval.shape
  return ([x]) => {
    const out = outputOf(equation)
    const running = new Float64Array(out.length).fill(initOf(dtype))
    forEachElement(shape, output, equation.params, (window, position) => {
      if (position >= 0) running[window] = combine(running[window], x[position])
    })
    out.set(running)
    return [out]
  }
}

const undilated = (p: SelectParams): WindowParams => ({
  ...p,
  base_dilation: p.window_dimensions.map(() => 1),
  window_dilation: p.window_dimensions.map(() => 1)
})

/** The position of the selected element of every window of the operand: the first best, as XLA; -1 for a window of padding only. */
const selected = (
  equation: EquationOf<"select_and_scatter_add" | "select_and_gather_add">,
  x: TypedArray
): Int32Array => {
  const { params: p } = equation
  const shape = equation.inputs[1].aval.shape
  const output = equation.primitive === "select_and_scatter_add"
    ? equation.inputs[0].aval.shape
    : equation.outputs[0].aval.shape
  const best = new Int32Array(Shape.size(output)).fill(-1)
  const better = p.select_prim === "ge" ? (a: number, b: number) => a > b : (a: number, b: number) => a < b
  forEachElement(shape, output, undilated(p), (window, position) => {
    if (position < 0) return
    const old = best[window]
    if (old < 0 || better(x[position], x[old]) || (Number.isNaN(x[position]) && !Number.isNaN(x[old]))) {
      best[window] = position
    }
  })
  return best
}

/** Kernels of the windows. */
export const windows: CpuKernels<keyof Params> = {
  reduce_window_sum: reduceWindow(() => 0, (a, b) => a + b),
  reduce_window_max: reduceWindow(DTypes.lowest, Math.max),
  reduce_window_min: reduceWindow(DTypes.highest, Math.min),
  select_and_scatter_add: (equation) => ([source, x]) => {
    const best = selected(equation, x)
    const out = outputOf(equation)
    for (let i = 0; i < best.length; i++) if (best[i] >= 0) out[best[i]] += source[i]
    return [out]
  },
  select_and_gather_add: (equation) => ([tangents, x]) => {
    const best = selected(equation, x)
    const out = outputOf(equation)
    for (let i = 0; i < best.length; i++) out[i] = best[i] < 0 ? 0 : tangents[best[i]]
    return [out]
  }
}
