/**
 * Convolutions with paddings by name and layouts as strings: `lax.conv_general_dilated` and `lax.conv_transpose`.
 *
 * A layout has a letter for every axis: `N` batch and `C` channels of input and output, `I` and `O` the input and
 * output channels of the kernel, any other letters the spatial axes: `["NHWC", "HWIO", "NHWC"]` is Flax's for images.
 */
import type * as DType from "../DType.ts"
import { ShapeError } from "../errors.ts"
import { dilated } from "../lax/convolution.ts"
import * as lax from "../lax/index.ts"
import * as Shape from "../Shape.ts"
import * as ShapedArray from "../ShapedArray.ts"
import type { Tensor } from "../Tensor.ts"
import { each, type Pad, type Padding, pads } from "./windows.ts"

/** Layouts of the input, the kernel and the output. */
export type Layouts = readonly [input: string, kernel: string, output: string]

/** Options of `convGeneralDilated`. */
export interface ConvOptions {
  /** Distances between windows along the spatial axes; 1 by default. */
  readonly windowStrides?: number | ReadonlyArray<number> | undefined
  /** `VALID` by default. */
  readonly padding?: Padding | undefined
  /** Holes between the elements of the input (fractional strides); 1, none, by default. */
  readonly lhsDilation?: number | ReadonlyArray<number> | undefined
  /** Holes between the elements of the kernel (atrous convolution); 1, none, by default. */
  readonly rhsDilation?: number | ReadonlyArray<number> | undefined
  /** By default batch, channels, spatial axes; and output channels, input channels, spatial axes for the kernel. */
  readonly dimensionNumbers?: Layouts | lax.ConvDimensionNumbers | undefined
  /** Groups of channels that are convolved apart; as many as channels is a depthwise convolution. */
  readonly featureGroupCount?: number | undefined
  readonly batchGroupCount?: number | undefined
  /** Accumulate in, and give, this element type. */
  readonly preferredElementType?: DType.DType | undefined
}

const fail = (operation: string, layouts: Layouts, x: Tensor, y: Tensor): never => {
  throw new ShapeError({
    operation,
    expected: "layouts with a letter for every axis, N and C (kernel: I and O) once each, and the same spatial letters",
    found: `${JSON.stringify(layouts)} for input ${ShapedArray.format(x.aval)} and kernel ${
      ShapedArray.format(y.aval)
    }`,
    hint: "for images, write [\"NHWC\", \"HWIO\", \"NHWC\"]"
  })
}

/** Dimension numbers from layouts: `lax.conv_dimension_numbers`. The kernel has the order of the spatial axes. */
const dimensions = (
  operation: string,
  x: Tensor,
  y: Tensor,
  layouts: Layouts | lax.ConvDimensionNumbers | undefined
): lax.ConvDimensionNumbers => {
  if (layouts === undefined) {
    const order = Shape.range(x.ndim)
    return { lhs_spec: order, rhs_spec: order, out_spec: order }
  }
  if ("lhs_spec" in layouts) return layouts
  const channels = ["NC", "OI", "NC"] as const
  const spatial = [...layouts[1]].filter((c) => !channels[1].includes(c))
  const spec = (layout: string, [first, second]: string) => {
    const axes = [first, second, ...spatial].map((c) => layout.indexOf(c))
    const ok = layout.length === x.ndim && new Set(layout).size === layout.length && axes.length === layout.length &&
      !axes.includes(-1)
    return ok && x.ndim === y.ndim ? axes : fail(operation, layouts, x, y)
  }
  return {
    lhs_spec: spec(layouts[0], channels[0]),
    rhs_spec: spec(layouts[1], channels[1]),
    out_spec: spec(layouts[2], channels[2])
  }
}

const spatialSizes = (x: Tensor, spec: ReadonlyArray<number>): Shape.Shape => spec.slice(2).map((axis) => x.shape[axis])

/**
 * The convolution (in truth correlation) of an input with a kernel: `lax.conv_general_dilated`. Both have one dtype.
 *
 * Fails with a `ShapeError` when shapes, layouts or groups do not fit, and a `DTypeError` for different dtypes.
 *
 * ```ts import.meta.vitest
 * import { Tensor } from "linum"
 *
 * const [images, kernel] = [Tensor.zeros([1, 28, 28, 3]), Tensor.zeros([3, 3, 3, 8])]
 * const options = { windowStrides: 2, padding: "SAME", dimensionNumbers: ["NHWC", "HWIO", "NHWC"] } as const
 * console.log(Tensor.nn.convGeneralDilated(images, kernel, options).shape) // => [ 1, 14, 14, 8 ]
 * ```
 *
 * @category convolution
 * @since 0.1.0
 */
export const convGeneralDilated = (lhs: Tensor, rhs: Tensor, options: ConvOptions = {}): Tensor => {
  const operation = "convGeneralDilated"
  const numbers = dimensions(operation, lhs, rhs, options.dimensionNumbers)
  const n = Math.max(0, lhs.ndim - 2)
  const strides = each(operation, "window strides", options.windowStrides, n)
  const rhsDilation = each(operation, "kernel dilations", options.rhsDilation, n)
  const lhsDilation = each(operation, "input dilations", options.lhsDilation, n)
  const windows = spatialSizes(rhs, numbers.rhs_spec).map((size, i) => dilated(size, rhsDilation[i]))
  if (typeof options.padding === "string" && lhsDilation.some((d) => d !== 1)) {
    throw new ShapeError({
      operation,
      expected: "padding in numbers, where the input is dilated",
      found: `padding ${options.padding} and input dilation ${Shape.format(lhsDilation)}`,
      hint: "use convTranspose, which takes names"
    })
  }
  return lax.convGeneralDilated(lhs, rhs, {
    window_strides: strides,
    padding: pads(operation, options.padding ?? "VALID", spatialSizes(lhs, numbers.lhs_spec), windows, strides),
    lhs_dilation: lhsDilation,
    rhs_dilation: rhsDilation,
    dimension_numbers: numbers,
    feature_group_count: options.featureGroupCount ?? 1,
    batch_group_count: options.batchGroupCount ?? 1,
    preferred_element_type: options.preferredElementType ?? null
  })
}

/** Options of `convTranspose`. */
export interface ConvTransposeOptions {
  /** By how much the output is larger than the input; 1 by default. */
  readonly strides?: number | ReadonlyArray<number> | undefined
  /** `SAME` (the default) or `VALID`, as the forward convolution would pad, or pairs of this convolution's own. */
  readonly padding?: Padding | undefined
  readonly rhsDilation?: number | ReadonlyArray<number> | undefined
  /** By default `["NHC", "HIO", "NHC"]`, `["NHWC", "HWIO", "NHWC"]` or `["NHWDC", "HWDIO", "NHWDC"]`. */
  readonly dimensionNumbers?: Layouts | undefined
  /** Flip the kernel's spatial axes and exchange its channels: the gradient of the convolution with this kernel. */
  readonly transposeKernel?: boolean | undefined
  readonly preferredElementType?: DType.DType | undefined
}

const defaultLayouts: Readonly<Record<number, Layouts>> = {
  2: ["NC", "IO", "NC"],
  3: ["NHC", "HIO", "NHC"],
  4: ["NHWC", "HWIO", "NHWC"],
  5: ["NHWDC", "HWDIO", "NHWDC"]
}

/** The padding of the transposed convolution, for that of a forward one with (dilated) kernel size k and stride s. */
const transposedPad = (k: number, s: number, padding: "SAME" | "VALID"): Pad => {
  if (padding === "SAME") {
    const total = k + s - 2
    const low = s > k - 1 ? k - 1 : Math.ceil(total / 2)
    return [low, total - low]
  }
  return [k - 1, s - 1 + Math.max(k - s, 0)]
}

/**
 * The transposed (fractionally strided) convolution: `lax.conv_transpose`. Without `transposeKernel` the kernel is not
 * flipped.
 *
 * @category convolution
 * @since 0.1.0
 */
export const convTranspose = (lhs: Tensor, rhs: Tensor, options: ConvTransposeOptions = {}): Tensor => {
  const operation = "convTranspose"
  const numbers = dimensions(operation, lhs, rhs, options.dimensionNumbers ?? defaultLayouts[lhs.ndim])
  const n = Math.max(0, lhs.ndim - 2)
  const strides = each(operation, "strides", options.strides, n)
  const rhsDilation = each(operation, "kernel dilations", options.rhsDilation, n)
  const { padding = "SAME" } = options
  const windows = spatialSizes(rhs, numbers.rhs_spec).map((size, i) => dilated(size, rhsDilation[i]))
  const [out, input, ...spatial] = numbers.rhs_spec
  const swapped = Shape.range(rhs.ndim).map((i) => i === out ? input : i === input ? out : i)
  const kernel = options.transposeKernel === true ? lax.transpose(lax.rev(rhs, spatial), swapped) : rhs
  return convGeneralDilated(lhs, kernel, {
    padding: padding === "SAME" || padding === "VALID"
      ? windows.map((k, i) => transposedPad(k, strides[i], padding))
      : padding,
    lhsDilation: strides,
    rhsDilation,
    dimensionNumbers: numbers,
    preferredElementType: options.preferredElementType
  })
}
