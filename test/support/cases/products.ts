// Dot products and convolutions.
import type { ConvParams } from "../../../src/Tensor/lax/index.ts"
import * as lax from "../../../src/Tensor/lax/index.ts"
import * as Shape from "../../../src/Tensor/Shape.ts"
import type { Fn } from "../derivatives.ts"
import { type Case, normal } from "./case.ts"

const multiplied: ReadonlyArray<readonly [string, Shape.Shape, Shape.Shape, lax.DotDimensionNumbers]> = [
  ["matrix product", [2, 3], [3, 4], { contracting: [[1], [0]], batch: [[], []] }],
  ["vectors", [3], [3], { contracting: [[0], [0]], batch: [[], []] }],
  ["outer product", [2], [3], { contracting: [[], []], batch: [[], []] }],
  ["scalars", [], [], { contracting: [[], []], batch: [[], []] }],
  ["two contracted axes, crossed", [2, 3, 4], [5, 4, 2], { contracting: [[0, 2], [2, 1]], batch: [[], []] }],
  ["batch axes in different places", [3, 2, 4], [4, 5, 3], { contracting: [[2], [0]], batch: [[0], [2]] }],
  ["two batch axes, crossed", [2, 4, 3], [3, 5, 4, 2], { contracting: [[1], [2]], batch: [[2, 0], [0, 3]] }],
  ["nothing to sum", [2, 0], [0, 3], { contracting: [[1], [0]], batch: [[], []] }]
]

/** dot_general. */
export const dots: ReadonlyArray<Case> = multiplied.map(([name, x, y, dimensions]) => ({
  name: `dot_general: ${name}`,
  f: ([x, y]) => [lax.dotGeneral(x, y, dimensions)],
  make: normal(x, y)
}))

const spec = (spatial: number) => Shape.range(spatial + 2)
const plain = (spatial: number): ConvParams => ({
  window_strides: Shape.range(spatial).map(() => 1),
  padding: Shape.range(spatial).map(() => [0, 0]),
  lhs_dilation: Shape.range(spatial).map(() => 1),
  rhs_dilation: Shape.range(spatial).map(() => 1),
  dimension_numbers: { lhs_spec: spec(spatial), rhs_spec: spec(spatial), out_spec: spec(spatial) },
  feature_group_count: 1,
  batch_group_count: 1,
  preferred_element_type: null
})
/** A convolution with these parameters, the others plain. */
export const conv = (spatial: number, params: Partial<ConvParams> = {}): Fn => ([x, y]) => [
  lax.convGeneralDilated(x, y, { ...plain(spatial), ...params })
]
// Flax's layout: [batch, ...spatial, features], kernels [...spatial, in, out].
const channelsLast = { lhs_spec: [0, 3, 1, 2], rhs_spec: [3, 2, 0, 1], out_spec: [0, 3, 1, 2] }

const convolved: ReadonlyArray<readonly [string, Shape.Shape, Shape.Shape, Partial<ConvParams>]> = [
  ["one spatial axis", [2, 2, 5], [3, 2, 2], {}],
  ["no spatial axis", [2, 3], [4, 3], {}],
  ["no spatial axis, feature groups", [2, 4], [6, 2], { feature_group_count: 2 }],
  ["channels last, two spatial axes", [2, 4, 3, 2], [2, 2, 2, 3], { dimension_numbers: channelsLast }],
  ["stride that leaves a remainder", [1, 2, 6], [2, 2, 2], { window_strides: [3] }],
  ["padding, one side more", [1, 1, 4], [1, 1, 3], { padding: [[2, 1]] }],
  ["cropping", [1, 1, 7], [1, 1, 2], { padding: [[-2, -1]], window_strides: [2] }],
  ["cropping more than there is", [1, 1, 2], [1, 1, 2], { padding: [[-3, 1]] }],
  ["dilated kernel", [1, 2, 7], [2, 2, 3], { rhs_dilation: [2], padding: [[1, 2]], window_strides: [2] }],
  ["dilated input", [1, 2, 4], [2, 2, 3], { lhs_dilation: [3], padding: [[2, 0]] }],
  ["all at once", [2, 2, 5, 4], [2, 2, 2, 3], {
    window_strides: [2, 3],
    padding: [[1, 2], [3, -1]],
    lhs_dilation: [2, 1],
    rhs_dilation: [1, 2]
  }],
  ["feature groups", [2, 4, 4], [6, 2, 2], { feature_group_count: 2, window_strides: [2], padding: [[1, 1]] }],
  ["depthwise", [1, 3, 4], [6, 1, 2], { feature_group_count: 3 }],
  ["feature groups, channels last", [1, 3, 2, 4], [2, 2, 2, 4], {
    feature_group_count: 2,
    dimension_numbers: channelsLast
  }],
  ["batch groups", [4, 2, 4], [6, 2, 2], { batch_group_count: 2, window_strides: [2], padding: [[1, 0]] }],
  ["batch groups, channels last", [4, 3, 2, 2], [2, 2, 2, 4], {
    batch_group_count: 2,
    dimension_numbers: channelsLast
  }],
  ["a window larger than the input", [2, 2, 2], [3, 2, 4], {}],
  ["an empty batch", [0, 2, 4], [3, 2, 2], {}],
  ["an empty spatial axis", [2, 2, 0], [3, 2, 2], { padding: [[2, 1]] }],
  ["no input features", [2, 0, 4], [3, 0, 2], {}]
]

/** conv_general_dilated. */
export const convolutions: ReadonlyArray<Case> = convolved.map(([name, x, y, params]) => ({
  name: `conv_general_dilated: ${name}`,
  f: conv(x.length - 2, params),
  make: normal(x, y)
}))
