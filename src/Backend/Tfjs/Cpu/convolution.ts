/**
 * The general convolution as matrix products: for every group, the windows of the input are laid out as rows
 * (*patches*; holes and padding are zeros) and multiplied with the kernel, whose rows are its output features. Patches
 * are made for a bounded number of windows at a time.
 */
import type { EquationOf } from "../../../Program/Program.ts"
import type { TypedArray } from "../../../Tensor/DType.ts"
import * as DTypes from "../../../Tensor/DType.ts"
import type { Params } from "../../../Tensor/lax/convolution.ts"
import * as Shape from "../../../Tensor/Shape.ts"
import { allocate, copyStrided, type CpuKernels, outputOf, permute } from "./arrays.ts"
import { multiplyFloats, multiplyIntegers } from "./dot.ts"

/** Elements of patches held at a time. */
const patchLimit = 1 << 20

type Convolution = EquationOf<"conv_general_dilated">

/**
 * A convolution in canonical axes: input [batch, feature, ...spatial], kernel [out, in, ...spatial], result [batch,
 * out, ...spatial].
 */
interface Plan {
  readonly batch: number
  readonly features: number
  readonly outFeatures: number
  readonly groups: number
  readonly batchGroups: number
  readonly input: Shape.Shape
  readonly window: Shape.Shape
  readonly output: Shape.Shape
  /**
   * For each spatial axis, for each (output position, window position): the input position, or -1 in a hole or padding.
   */
  readonly positions: ReadonlyArray<Int32Array>
}

const plan = (equation: Convolution): Plan => {
  const { params: p } = equation
  const d = p.dimension_numbers
  const [x, y] = equation.inputs.map((a) => a.aval.shape)
  const out = equation.outputs[0].aval.shape
  const spatial = (spec: ReadonlyArray<number>, shape: Shape.Shape): Shape.Shape => spec.slice(2).map((a) => shape[a])
  const input = spatial(d.lhs_spec, x)
  const window = spatial(d.rhs_spec, y)
  const output = spatial(d.out_spec, out)
  const positions = output.map((size, axis) => {
    const table = new Int32Array(size * window[axis])
    for (let o = 0; o < size; o++) {
      for (let w = 0; w < window[axis]; w++) {
        const at = o * p.window_strides[axis] + w * p.rhs_dilation[axis] - p.padding[axis][0]
        const source = at / p.lhs_dilation[axis]
        table[o * window[axis] + w] = Number.isInteger(source) && source >= 0 && source < input[axis] ? source : -1
      }
    }
    return table
  })
  return {
    batch: x[d.lhs_spec[0]],
    features: x[d.lhs_spec[1]],
    outFeatures: y[d.rhs_spec[0]],
    groups: p.feature_group_count,
    batchGroups: p.batch_group_count,
    input,
    window,
    output,
    positions
  }
}

/** For every output position: the offsets of its window's elements in one input plane, -1 in holes. */
const windowOffsets = (p: Plan): Int32Array => {
  const count = Shape.size(p.window)
  const offsets = new Int32Array(Shape.size(p.output) * count)
  const strides = Shape.strides(p.input)
  let at = 0
  const visit = (axis: number, output: ReadonlyArray<number>, window: ReadonlyArray<number>): void => {
    if (axis < p.output.length) {
      for (let o = 0; o < p.output[axis]; o++) visit(axis + 1, [...output, o], window)
      return
    }
    if (window.length < p.window.length) {
      for (let w = 0; w < p.window[window.length]; w++) visit(axis, output, [...window, w])
      return
    }
    let offset = 0
    for (let i = 0; i < window.length; i++) {
      const position = p.positions[i][output[i] * p.window[i] + window[i]]
      offset = position < 0 || offset < 0 ? -1 : offset + position * strides[i]
    }
    offsets[at++] = offset
  }
  visit(0, [], [])
  return offsets
}

/** Kernels of the convolution. */
export const convolutions: CpuKernels<keyof Params> = {
  conv_general_dilated: (equation) => {
    const p = plan(equation)
    const d = equation.params.dimension_numbers
    const [lhs, rhs] = equation.inputs.map((a) => a.aval)
    const out = equation.outputs[0].aval
    const offsets = windowOffsets(p)
    const canonical = [out.shape[d.out_spec[0]], p.outFeatures, ...p.output]
    const strides = Shape.strides(out.shape)
    return ([x, y]) => {
      const result = allocate(out.dtype, Shape.size(out.shape))
      const images = permute(x, lhs.dtype, lhs.shape, d.lhs_spec)
      const kernel = permute(y, rhs.dtype, rhs.shape, d.rhs_spec)
      const planes = convolve(equation, p, offsets, images, kernel)
      copyStrided(
        canonical,
        { data: result, offset: 0, strides: d.out_spec.map((a) => strides[a]) },
        { data: planes, offset: 0, strides: Shape.strides(canonical) }
      )
      return [result]
    }
  }
}

/** The result in canonical axes. */
const convolve = (equation: Convolution, p: Plan, offsets: Int32Array, x: TypedArray, y: TypedArray): TypedArray => {
  const { dtype } = equation.inputs[0].aval
  const multiply = DTypes.isFloat(dtype) ? multiplyFloats : multiplyIntegers
  const plane = Shape.size(p.input)
  const taps = Shape.size(p.window)
  const windows = Shape.size(p.output)
  const outer = Math.max(p.groups, p.batchGroups)
  const batch = p.batch / p.batchGroups
  const channels = p.features / p.groups
  const rowsOut = p.outFeatures / outer
  const k = channels * taps
  const out = outputOf(equation)
  const step = Math.max(1, Math.min(windows, Math.floor(patchLimit / Math.max(1, k))))
  const patches = allocate(dtype, step * k)
  const product = allocate(equation.outputs[0].aval.dtype, step * rowsOut)
  for (let group = 0; group < outer; group++) {
    for (let image = 0; image < batch; image++) {
      const source = p.batchGroups > 1 ? group * batch + image : image
      const first = source * p.features + (p.groups > 1 ? group * channels : 0)
      const target = (image * p.outFeatures + group * rowsOut) * windows
      for (let from = 0; from < windows; from += step) {
        const n = Math.min(step, windows - from)
        fillPatches(patches, x, offsets, { from, n, taps, channels, first: first * plane, plane })
        multiply(y, patches, product, { m: rowsOut, n, k, a: group * rowsOut * k, b: 0, out: 0 })
        for (let r = 0; r < rowsOut; r++) {
          out.set(product.subarray(r * n, (r + 1) * n), target + r * windows + from)
        }
      }
    }
  }
  return out
}

interface Patches {
  readonly from: number
  readonly n: number
  readonly taps: number
  readonly channels: number
  readonly first: number
  readonly plane: number
}

const fillPatches = (patches: TypedArray, x: TypedArray, offsets: Int32Array, p: Patches): void => {
  let at = 0
  for (let w = 0; w < p.n; w++) {
    const start = (p.from + w) * p.taps
    for (let c = 0; c < p.channels; c++) {
      const base = p.first + c * p.plane
      for (let t = 0; t < p.taps; t++) {
        const offset = offsets[start + t]
        patches[at++] = offset < 0 ? 0 : x[base + offset]
      }
    }
  }
}
