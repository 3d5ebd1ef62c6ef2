/**
 * The general convolution: any number of spatial axes, strides, padding, dilation of both operands, feature and batch
 * groups. With these parameters its two gradients are convolutions again.
 */
import * as DType from "../DType.ts"
import { DTypeError, ShapeError } from "../errors.ts"
import * as ShapedArray from "../ShapedArray.ts"
import { bind, type Tensor } from "../Tensor.ts"

/**
 * Where the axes are. Each list: [batch, feature, ...spatial] for `lhs` and `out`, [out feature, in feature,
 * ...spatial] for `rhs`.
 */
export interface ConvDimensionNumbers {
  readonly lhs_spec: ReadonlyArray<number>
  readonly rhs_spec: ReadonlyArray<number>
  readonly out_spec: ReadonlyArray<number>
}

/** Parameters of `conv_general_dilated`. */
export interface ConvParams {
  readonly window_strides: ReadonlyArray<number>
  readonly padding: ReadonlyArray<readonly [number, number]>
  readonly lhs_dilation: ReadonlyArray<number>
  readonly rhs_dilation: ReadonlyArray<number>
  readonly dimension_numbers: ConvDimensionNumbers
  readonly feature_group_count: number
  readonly batch_group_count: number
  readonly preferred_element_type: DType.DType | null
}

/** Parameters of the convolution primitive. */
export interface Params {
  readonly conv_general_dilated: ConvParams
}

/** A size with `dilation - 1` holes between every two elements. */
export const dilated = (size: number, dilation: number): number => size === 0 ? 0 : (size - 1) * dilation + 1

/** The number of windows of size `window` (dilated already) that fit, `stride` apart. */
export const windows = (size: number, window: number, stride: number): number =>
  size < window ? 0 : Math.floor((size - window) / stride) + 1

/** `lax.conv_general_dilated`, strict: every parameter given. `y` is the kernel. */
export const convGeneralDilated = (x: Tensor, y: Tensor, params: ConvParams): Tensor => {
  const { batch_group_count: batchGroups, dimension_numbers: d, feature_group_count: groups } = params
  const fail = (expected: string, hint: string): never => {
    throw new ShapeError({
      operation: "conv_general_dilated",
      expected,
      found: `input ${ShapedArray.format(x.aval)}, kernel ${
        ShapedArray.format(y.aval)
      }, groups ${groups}, batch groups ${batchGroups}`,
      hint
    })
  }
  const spatial = x.ndim - 2
  if (spatial < 0 || y.ndim !== x.ndim) {
    fail("input and kernel of the same rank, at least 2", "add a batch axis to the input")
  }
  if (
    [params.window_strides, params.padding, params.lhs_dilation, params.rhs_dilation].some((v) => v.length !== spatial)
  ) fail(`${spatial} strides, paddings and dilations, one a spatial axis`, "one number an axis")
  if ([...params.window_strides, ...params.lhs_dilation, ...params.rhs_dilation].some((n) => !(n >= 1))) {
    fail("strides and dilations of at least 1", "use stride 1 for none")
  }
  if (x.dtype !== y.dtype || x.dtype === "bool") {
    throw new DTypeError({
      operation: "conv_general_dilated",
      expected: "input and kernel of one numeric dtype",
      found: `${ShapedArray.format(x.aval)} and ${ShapedArray.format(y.aval)}`,
      hint: "convert with astype"
    })
  }
  const batch = x.shape[d.lhs_spec[0]]
  const features = x.shape[d.lhs_spec[1]]
  const outFeatures = y.shape[d.rhs_spec[0]]
  const kernelFeatures = y.shape[d.rhs_spec[1]]
  if (groups < 1 || batchGroups < 1 || (groups > 1 && batchGroups > 1)) {
    fail("group counts of at least 1, at most one of them above 1", "use one kind of groups")
  }
  if (features !== kernelFeatures * groups) {
    fail(
      `a kernel whose input features (${kernelFeatures}) times groups (${groups}) are the input's features (${features})`,
      "the kernel's shape is [...spatial, inFeatures / groups, outFeatures] in Flax's layout"
    )
  }
  if (outFeatures % groups !== 0 || outFeatures % batchGroups !== 0 || batch % batchGroups !== 0) {
    fail("output features divisible by the group counts, and the batch by batch groups", "change the group count")
  }
  const shape = Array.from<number>({ length: x.ndim })
  shape[d.out_spec[0]] = batch / batchGroups
  shape[d.out_spec[1]] = outFeatures
  for (let i = 0; i < spatial; i++) {
    const [low, high] = params.padding[i]
    const size = dilated(x.shape[d.lhs_spec[i + 2]], params.lhs_dilation[i]) + low + high
    const window = dilated(y.shape[d.rhs_spec[i + 2]], params.rhs_dilation[i])
    shape[d.out_spec[i + 2]] = windows(Math.max(0, size), window, params.window_strides[i])
  }
  return bind("conv_general_dilated", params, [x, y], [
    ShapedArray.make(shape, params.preferred_element_type ?? x.dtype, x.weakType && y.weakType)
  ])[0]
}
