/**
 * What the interpreters know of `conv_general_dilated`. Its transposes are convolutions again: strides of one are
 * dilations of the other, and the padding follows from sizes. Batching merges the mapped axis into the batch or feature
 * axes, with groups where both operands are mapped.
 *
 * The spec lists of the dimension numbers begin with the batch and feature axes (kernel: out feature, in feature);
 * "group" means a block of features, or of the batch, that meets only its own block of the kernel's output features.
 * Blocks are outermost within their axis. After JAX's `lax/convolution.py`.
 */
import { dilated, type Params } from "../../Tensor/lax/convolution.ts"
import { convGeneralDilated, type ConvParams, reshape, rev } from "../../Tensor/lax/index.ts"
import * as Shape from "../../Tensor/Shape.ts"
import type * as ShapedArray from "../../Tensor/ShapedArray.ts"
import type { Tensor } from "../../Tensor/Tensor.ts"
import type { Batched, BatchRule, RuleTable } from "../Primitive.ts"
import { bilinear } from "./bilinear.ts"
import { batchedAt, costs, count, full, moveAxis } from "./support.ts"

/** `x` with axis `axis` split into `outer` and the rest, at `axis` and `axis + 1`. */
const splitAxis = (x: Tensor, axis: number, outer: number): Tensor =>
  reshape(x, [...x.shape.slice(0, axis), outer, x.shape[axis] / outer, ...x.shape.slice(axis + 1)])

/** `x` with axis `from` merged, as the outer one, into axis `to`, which is counted without axis `from`. */
const mergeAxis = (x: Tensor, from: number, to: number): Tensor => {
  const moved = moveAxis(x, from, to)
  const { shape } = moved
  return reshape(moved, [...shape.slice(0, to), shape[to] * shape[to + 1], ...shape.slice(to + 2)])
}

/** Sizes along the spatial axes, with the holes of a dilation. */
const spatialSizes = (
  shape: Shape.Shape,
  spec: ReadonlyArray<number>,
  dilation: ReadonlyArray<number>
): ReadonlyArray<number> => spec.slice(2).map((axis, i) => dilated(shape[axis], dilation[i]))

/** Exchanges the first two axes of a spec. */
const exchanged = ([first, second, ...spatial]: ReadonlyArray<number>): ReadonlyArray<number> => [
  second,
  first,
  ...spatial
]

/** The cotangent is spread by the strides and convolved with the reversed kernel, in and out features exchanged. */
const transposeLhs = (cotangent: Tensor, lhs: ShapedArray.ShapedArray, rhs: Tensor, p: ConvParams): Tensor => {
  const { lhs_spec, out_spec, rhs_spec } = p.dimension_numbers
  const groups = Math.max(p.feature_group_count, p.batch_group_count)
  const kernel = groups === 1 ? rhs : mergeAxis(splitAxis(rhs, rhs_spec[0], groups), rhs_spec[0], rhs_spec[1])
  const sizes = spatialSizes(lhs.shape, lhs_spec, p.lhs_dilation)
  const windows = spatialSizes(rhs.shape, rhs_spec, p.rhs_dilation)
  const outs = spatialSizes(cotangent.shape, out_spec, p.window_strides)
  const out = convGeneralDilated(cotangent, rev(kernel, rhs_spec.slice(2)), {
    window_strides: p.lhs_dilation,
    padding: p.padding.map(([low], i) => [windows[i] - low - 1, sizes[i] - outs[i] + low]),
    lhs_dilation: p.window_strides,
    rhs_dilation: p.rhs_dilation,
    dimension_numbers: { lhs_spec: out_spec, rhs_spec: exchanged(rhs_spec), out_spec: lhs_spec },
    feature_group_count: groups,
    batch_group_count: 1,
    preferred_element_type: null
  })
  return p.batch_group_count === 1
    ? out
    : mergeAxis(splitAxis(out, lhs_spec[1], groups), lhs_spec[1], lhs_spec[0])
}

/** The input is convolved with the cotangent as kernel, the batch being what is summed over. */
const transposeRhs = (cotangent: Tensor, rhs: ShapedArray.ShapedArray, lhs: Tensor, p: ConvParams): Tensor | null => {
  if (cotangent.size === 0) return null
  const { lhs_spec, out_spec, rhs_spec } = p.dimension_numbers
  const windows = spatialSizes(rhs.shape, rhs_spec, p.rhs_dilation)
  const sizes = spatialSizes(lhs.shape, lhs_spec, p.lhs_dilation)
  const outs = spatialSizes(cotangent.shape, out_spec, p.window_strides)
  return convGeneralDilated(lhs, cotangent, {
    window_strides: p.rhs_dilation,
    padding: p.padding.map(([low], i) => [low, outs[i] - sizes[i] + windows[i] - low - 1]),
    lhs_dilation: p.lhs_dilation,
    rhs_dilation: p.window_strides,
    dimension_numbers: {
      lhs_spec: exchanged(lhs_spec),
      rhs_spec: exchanged(out_spec),
      out_spec: exchanged(rhs_spec)
    },
    feature_group_count: p.batch_group_count,
    batch_group_count: p.feature_group_count,
    preferred_element_type: null
  })
}

const batchBoth = (lhs: Tensor, lhsAt: number, rhs: Tensor, rhsAt: number, p: ConvParams): Batched => {
  const { lhs_spec, out_spec, rhs_spec } = p.dimension_numbers
  const size = lhs.shape[lhsAt]
  const byBatch = p.batch_group_count > 1
  const out = convGeneralDilated(mergeAxis(lhs, lhsAt, lhs_spec[byBatch ? 0 : 1]), mergeAxis(rhs, rhsAt, rhs_spec[0]), {
    ...p,
    feature_group_count: byBatch ? 1 : p.feature_group_count * size,
    batch_group_count: byBatch ? p.batch_group_count * size : 1
  })
  return batchedAt([splitAxis(out, out_spec[1], size)], out_spec[1])
}

/**
 * The mapped axis `at` of `x` merged into axis `to` (counted without it), between the groups and what a group holds.
 */
const mergeInsideGroups = (x: Tensor, at: number, to: number, groups: number): Tensor => {
  if (groups === 1) return mergeAxis(x, at, to)
  const split = splitAxis(x, at <= to ? to + 1 : to, groups)
  return mergeAxis(mergeAxis(split, at <= to ? at : at + 1, to + 1), to, to)
}

const batchLhs = (lhs: Tensor, at: number, rhs: Tensor, p: ConvParams): Batched => {
  const { lhs_spec, out_spec } = p.dimension_numbers
  const out = convGeneralDilated(mergeInsideGroups(lhs, at, lhs_spec[0], p.batch_group_count), rhs, p)
  return batchedAt([splitAxis(out, out_spec[0], lhs.shape[at])], out_spec[0])
}

const batchRhs = (lhs: Tensor, rhs: Tensor, at: number, p: ConvParams): Batched => {
  const { out_spec, rhs_spec } = p.dimension_numbers
  const groups = Math.max(p.feature_group_count, p.batch_group_count)
  const out = convGeneralDilated(lhs, mergeInsideGroups(rhs, at, rhs_spec[0], groups), p)
  if (groups === 1) return batchedAt([splitAxis(out, out_spec[1], rhs.shape[at])], out_spec[1])
  // The features of the result are [groups, mapped, rest]: the groups go back to their place around the rest.
  const split = splitAxis(splitAxis(out, out_spec[1], groups), out_spec[1] + 1, rhs.shape[at])
  return batchedAt([mergeAxis(split, out_spec[1], out_spec[1] + 1)], out_spec[1])
}

/** No element to convolve. Merged axes of size 0 could not be told apart again. */
const batchNone = (inputs: ReadonlyArray<Tensor>, axes: ReadonlyArray<number | null>, p: ConvParams): Batched => {
  const [lhs, rhs] = inputs.map((x, i) => {
    const at = axes[i]
    return full(at === null ? x.shape : Shape.without(x.shape, [at]), x.dtype, 0)
  })
  const { dtype, shape } = convGeneralDilated(lhs, rhs, p)
  return batchedAt([full([0, ...shape], dtype, 0)], 0)
}

const batch: BatchRule<"conv_general_dilated"> = (params, inputs, axes, axis) => {
  const [lhs, rhs] = inputs
  const [lhsAt, rhsAt] = axes
  if (axis.size === 0) return batchNone(inputs, axes, params)
  if (lhsAt === null) return batchRhs(lhs, rhs, rhsAt ?? 0, params)
  return rhsAt === null ? batchLhs(lhs, lhsAt, rhs, params) : batchBoth(lhs, lhsAt, rhs, rhsAt, params)
}

/** Rules of the convolution. */
export const convolution: RuleTable<keyof Params> = {
  conv_general_dilated: {
    ...bilinear<ConvParams>(convGeneralDilated, transposeLhs, transposeRhs),
    batch,
    cost: (e) => {
      const features = e.inputs[1].aval.shape[e.params.dimension_numbers.rhs_spec[0]]
      // Every element of the result meets the part of the kernel that belongs to its feature.
      return costs(() => features === 0 ? 0 : 2 * count(e.outputs[0]) * (count(e.inputs[1]) / features))(e)
    }
  }
}
