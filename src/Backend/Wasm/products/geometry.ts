/**
 * A convolution without its names: which strides its axes have in memory, whatever the layouts are. Every convolution,
 * a gradient too, is for each *group*
 *
 * ```text
 * out[position, column] = sum over k of image[position, k] * kernel[k, column]
 *   position   (batch, output axes)
 *   k          (feature, window axes)
 *   column     output feature
 * ```
 *
 * where `image[position, k]` is the element of the padded and dilated input at `output * stride + window * dilation`
 * along every spatial axis. So the place in the image is the sum of something that depends on the position and something
 * that depends on k.
 */
import type { Shape } from "../../../Tensor/Shape.ts"
import type { Convolution } from "../ir.ts"

/** A spatial axis: sizes, strides in elements, and the parameters of the convolution. */
export interface Axis {
  readonly input: number
  readonly inputStride: number
  readonly window: number
  readonly kernelStride: number
  readonly output: number
  readonly outputStride: number
  readonly stride: number
  /** Zeros before the first element; less than none are elements left out. */
  readonly low: number
  readonly inputDilation: number
  readonly kernelDilation: number
}

/** A convolution by sizes and strides, of one group; and from one group to the next. */
export interface Geometry {
  /** Where the first elements are that belong to it. */
  readonly first: { readonly kernel: number; readonly output: number }
  readonly groups: { readonly size: number; readonly input: number; readonly kernel: number; readonly output: number }
  readonly batch: { readonly size: number; readonly input: number; readonly output: number }
  readonly features: { readonly size: number; readonly input: number; readonly kernel: number }
  readonly columns: { readonly size: number; readonly kernel: number; readonly output: number }
  /** At least one; one of size 1 stands for none. */
  readonly axes: ReadonlyArray<Axis>
}

const strides = (shape: Shape): ReadonlyArray<number> =>
  shape.map((_, i) => shape.slice(i + 1).reduce((a, b) => a * b, 1))

const none: Axis = {
  input: 1,
  inputStride: 0,
  window: 1,
  kernelStride: 0,
  output: 1,
  outputStride: 0,
  stride: 1,
  low: 0,
  inputDilation: 1,
  kernelDilation: 1
}

/** The geometry of a convolution. */
export const geometryOf = ({ equation }: Convolution): Geometry => {
  const { params } = equation
  const { lhs_spec, out_spec, rhs_spec } = params.dimension_numbers
  const [lhs, rhs] = equation.inputs.map((input) => input.aval.shape)
  const out = equation.outputs[0].aval.shape
  const [lhsStrides, rhsStrides, outStrides] = [strides(lhs), strides(rhs), strides(out)]
  const groups = Math.max(params.feature_group_count, params.batch_group_count)
  const columns = rhs[rhs_spec[0]] / groups
  const features = rhs[rhs_spec[1]]
  const batch = lhs[lhs_spec[0]] / params.batch_group_count
  const axes = params.window_strides.map((stride, d): Axis => {
    const [l, r, o] = [lhs_spec[d + 2], rhs_spec[d + 2], out_spec[d + 2]]
    return {
      input: lhs[l],
      inputStride: lhsStrides[l],
      window: rhs[r],
      kernelStride: rhsStrides[r],
      output: out[o],
      outputStride: outStrides[o],
      stride,
      low: params.padding[d][0],
      inputDilation: params.lhs_dilation[d],
      kernelDilation: params.rhs_dilation[d]
    }
  })
  return {
    first: { kernel: 0, output: 0 },
    groups: {
      size: groups,
      input: params.batch_group_count > 1 ? batch * lhsStrides[lhs_spec[0]] : features * lhsStrides[lhs_spec[1]],
      kernel: columns * rhsStrides[rhs_spec[0]],
      output: columns * outStrides[out_spec[1]]
    },
    batch: { size: batch, input: lhsStrides[lhs_spec[0]], output: outStrides[out_spec[0]] },
    features: { size: features, input: lhsStrides[lhs_spec[1]], kernel: rhsStrides[rhs_spec[1]] },
    columns: { size: columns, kernel: rhsStrides[rhs_spec[0]], output: outStrides[out_spec[1]] },
    axes: axes.length === 0 ? [none] : axes
  }
}

/** Elements of the padded image that `outputs` windows, each of `window` elements, reach along an axis. */
export const extent = (axis: Axis, outputs: number, window: number): number =>
  Math.max(0, (outputs - 1) * axis.stride + (window - 1) * axis.kernelDilation + 1)
