/**
 * Kernels that move elements: each is one strided copy.
 */
import type { Params } from "../../../Tensor/lax/shaping.ts"
import * as Shape from "../../../Tensor/Shape.ts"
import { contiguous, copyStrided, type CpuKernels, outputOf, permute } from "./arrays.ts"

/** Kernels of the shape primitives. */
export const shaping: CpuKernels<Exclude<keyof Params, "reshape" | "squeeze">> = {
  broadcast_in_dim: (equation) => {
    const { broadcast_dimensions: dimensions, shape } = equation.params
    const { dtype, shape: from } = equation.inputs[0].aval
    const own = Shape.strides(from)
    const strides = shape.map((_, axis) => {
      const i = dimensions.indexOf(axis)
      return i < 0 || from[i] === 1 ? 0 : own[i]
    })
    return ([data]) => [contiguous(dtype, shape, { data, offset: 0, strides })]
  },
  transpose: (equation) => {
    const { dtype, shape } = equation.inputs[0].aval
    return ([data]) => [permute(data, dtype, shape, equation.params.permutation)]
  },
  slice: (equation) => {
    const { start_indices: starts, strides: steps } = equation.params
    const { dtype, shape } = equation.inputs[0].aval
    const own = Shape.strides(shape)
    const offset = starts.reduce((n, s, i) => n + s * own[i], 0)
    const strides = own.map((s, i) => s * steps[i])
    const out = equation.outputs[0].aval.shape
    // Whole rows at the front are a view.
    const whole = steps.every((s) => s === 1) && out.every((d, i) => i === 0 || d === shape[i])
    const size = Shape.size(out)
    return ([data]) =>
      whole && size > 0
        ? [data.subarray(offset, offset + size)]
        : [contiguous(dtype, out, { data, offset, strides })]
  },
  rev: (equation) => {
    const { dtype, shape } = equation.inputs[0].aval
    const own = Shape.strides(shape)
    const reversed = (axis: number): boolean => equation.params.dimensions.includes(axis)
    const offset = own.reduce((n, s, i) => reversed(i) ? n + s * (shape[i] - 1) : n, 0)
    const strides = own.map((s, i) => reversed(i) ? -s : s)
    return ([data]) => [contiguous(dtype, shape, { data, offset, strides })]
  },
  concatenate: (equation) => {
    const { dimension } = equation.params
    const strides = Shape.strides(equation.outputs[0].aval.shape)
    const shapes = equation.inputs.map((a) => a.aval.shape)
    return (inputs) => {
      const out = outputOf(equation)
      let position = 0
      inputs.forEach((data, i) => {
        copyStrided(
          shapes[i],
          { data: out, offset: position * strides[dimension], strides },
          { data, offset: 0, strides: Shape.strides(shapes[i]) }
        )
        position += shapes[i][dimension]
      })
      return [out]
    }
  },
  pad: (equation) => {
    const config = equation.params.padding_config
    const shape = equation.inputs[0].aval.shape
    const outShape = equation.outputs[0].aval.shape
    const own = Shape.strides(shape)
    const strides = Shape.strides(outShape)
    // The operand's elements that land inside: negative padding crops.
    const first = config.map(([low, , interior]) => low >= 0 ? 0 : Math.ceil(-low / (interior + 1)))
    const sizes = config.map(([low, , interior], i) => {
      const last = Math.floor((outShape[i] - 1 - low) / (interior + 1))
      return Math.max(0, Math.min(shape[i] - 1, last) - first[i] + 1)
    })
    const offset = config.reduce((n, [low, , interior], i) => n + (low + first[i] * (interior + 1)) * strides[i], 0)
    const start = first.reduce((n, f, i) => n + f * own[i], 0)
    const steps = config.map(([, , interior], i) => (interior + 1) * strides[i])
    return ([data, value]) => {
      const out = outputOf(equation)
      out.fill(value[0])
      copyStrided(sizes, { data: out, offset, strides: steps }, { data, offset: start, strides: own })
      return [out]
    }
  },
  iota: (equation) => {
    const { dimension, shape } = equation.params
    const inner = Shape.size(shape.slice(dimension + 1))
    const n = shape[dimension]
    return () => {
      const out = outputOf(equation)
      for (let i = 0; i < out.length; i++) out[i] = Math.floor(i / inner) % n
      return [out]
    }
  }
}
