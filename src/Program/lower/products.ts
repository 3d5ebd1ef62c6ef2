/**
 * Dot products and convolutions.
 */
import type { Params as ConvolutionParams } from "../../Tensor/lax/convolution.ts"
import type { Params as DotParams } from "../../Tensor/lax/dot.ts"
import * as Shape from "../../Tensor/Shape.ts"
import { list, type LoweringTable, signature } from "./Block.ts"
import { formatList } from "./text.ts"

/** Where the axes of a spec are: `[b, 0, 1, f]`. The spec begins with the axes that `first` and `second` name. */
const layout = (spec: ReadonlyArray<number>, first: string, second: string): string =>
  `[${
    Shape.range(spec.length).map((axis) => {
      const at = spec.indexOf(axis)
      return at === 0 ? first : at === 1 ? second : String(at - 2)
    }).join(", ")
  }]`

/** Lowerings of the products. */
export const products: LoweringTable<keyof DotParams | keyof ConvolutionParams> = {
  dot_general: (block, inputs, { outputs: [out], params: { dimension_numbers: { batch, contracting } } }) => {
    const batching = batch[0].length === 0
      ? ""
      : `batching_dims = ${formatList(batch[0])} x ${formatList(batch[1])}, `
    const contracted = `contracting_dims = ${formatList(contracting[0])} x ${formatList(contracting[1])}`
    const rest = `, ${batching}${contracted}, precision = [DEFAULT, DEFAULT]`
    return [block.apply("dot_general", inputs, out.aval, rest)]
  },
  conv_general_dilated: (block, inputs, { outputs: [out], params: p }) => {
    const { lhs_spec, out_spec, rhs_spec } = p.dimension_numbers
    const dims = `${layout(lhs_spec, "b", "f")}x${layout(rhs_spec, "o", "i")}->${layout(out_spec, "b", "f")}`
    const window = [
      `stride = ${formatList(p.window_strides)}`,
      `pad = [${p.padding.map(formatList).join(", ")}]`,
      `lhs_dilate = ${formatList(p.lhs_dilation)}`,
      `rhs_dilate = ${formatList(p.rhs_dilation)}`,
      `reverse = [${p.padding.map(() => "false").join(", ")}]`
    ].join(", ")
    const attributes = [
      `batch_group_count = ${p.batch_group_count} : i64`,
      `feature_group_count = ${p.feature_group_count} : i64`,
      "precision_config = [#stablehlo<precision DEFAULT>, #stablehlo<precision DEFAULT>]"
    ].join(", ")
    return [block.one(
      out.aval,
      "stablehlo.convolution(",
      ...list(inputs),
      `) dim_numbers = ${dims}, window = {${window}} {${attributes}} : ${signature(inputs, [out.aval])}`
    )]
  }
}
