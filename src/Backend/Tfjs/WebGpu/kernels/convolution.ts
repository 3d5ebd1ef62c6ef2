/**
 * The general convolution as a matrix product: rows are output positions, columns the output features of a group, and
 * what is summed over are the taps of the window and the input features. Nothing is copied: the product's left operand
 * reads each tap from where it is, 0 in padding and holes.
 *
 * A convolution of two spatial axes in TensorFlow's layout, not dilated on the left and without groups, goes to
 * TensorFlow.js.
 */
import type { EquationOf } from "../../../../Program/Program.ts"
import * as DTypes from "../../../../Tensor/DType.ts"
import type { Params } from "../../../../Tensor/lax/convolution.ts"
import * as Shape from "../../../../Tensor/Shape.ts"
import { type GpuKernels, nameOf, type Plan, sizeOf } from "../kernel.ts"
import { unravel } from "../source.ts"
import { conv2d, rounding } from "../tensorflow.ts"
import { literal } from "../words.ts"
import { product } from "./product.ts"

type Convolution = EquationOf<"conv_general_dilated">

/** Multiplications from which on TensorFlow.js's kernels pay. */
const large = 2 ** 20

/** Sizes by role. */
const plan = (equation: Convolution) => {
  const { params: p } = equation
  const d = p.dimension_numbers
  const [x, y] = equation.inputs.map((a) => a.aval.shape)
  const out = equation.outputs[0].aval.shape
  const spatial = (spec: ReadonlyArray<number>, shape: Shape.Shape): Shape.Shape => spec.slice(2).map((a) => shape[a])
  const outer = Math.max(p.feature_group_count, p.batch_group_count)
  return {
    outer,
    images: out[d.out_spec[0]],
    channels: y[d.rhs_spec[1]],
    features: y[d.rhs_spec[0]] / outer,
    input: spatial(d.lhs_spec, x),
    window: spatial(d.rhs_spec, y),
    output: spatial(d.out_spec, out)
  }
}

/** Σ over the axes of a spec of expression · stride. */
const address = (shape: Shape.Shape, spec: ReadonlyArray<number>, expressions: ReadonlyArray<string>): string => {
  const strides = Shape.strides(shape)
  return expressions.map((e, i) => `(${e}) * ${strides[spec[i]]}u`).join(" + ")
}

const named = (name: string, count: number): ReadonlyArray<string> => Shape.range(count).map((i) => `${name}${i}`)

const general = (equation: Convolution): Plan => {
  const { params: p } = equation
  const d = p.dimension_numbers
  const [lhs, rhs] = equation.inputs.map((a) => a.aval)
  const out = equation.outputs[0].aval
  const { channels, features, images, input, outer, output, window } = plan(equation)
  const rank = input.length
  const grouped = p.batch_group_count > 1
  // Rows count image and output position, k counts feature and tap.
  const positions = input.map((size, a) => {
    const at = `let d${a} = o${a} * ${p.window_strides[a]}u + t${a} * ${p.rhs_dilation[a]}u - ${
      p.padding[a][0] >>> 0
    }u;`
    const step = p.lhs_dilation[a]
    return step === 1
      ? `${at}\nlet p${a} = d${a};\nif (p${a} >= ${size}u) { return zero; }`
      : `${at}\nlet p${a} = d${a} / ${step}u;\nif (d${a} >= 0x80000000u || d${a} % ${step}u != 0u || p${a} >= ${size}u) { return zero; }`
  }).join("\n")
  const rows = unravel("m", [images, ...output], "m") +
    output.map((_, a) => `\nlet o${a} = m${a + 1};`).join("")
  const taps = unravel("k", [channels, ...window], "k") + window.map((_, a) => `\nlet t${a} = k${a + 1};`).join("")
  return product({
    name: nameOf(equation),
    batch: outer,
    m: images * Shape.size(output),
    n: features,
    k: channels * Shape.size(window),
    from: lhs.dtype,
    to: out.dtype,
    left: `
${rows}
${taps}
let zero = ${literal(0, lhs.dtype)};
${positions}
return x0[${
      address(lhs.shape, d.lhs_spec, [
        grouped ? `b * ${images}u + m0` : "m0",
        grouped ? "k0" : `b * ${channels}u + k0`,
        ...named("p", rank)
      ])
    }];`,
    right: `${taps}\nreturn x1[${
      address(rhs.shape, d.rhs_spec, [`b * ${features}u + n`, "k0", ...named("t", rank)])
    }];`,
    place: `${rows}\nlet at = ${address(out.shape, d.out_spec, ["m0", `b * ${features}u + n`, ...named("o", rank)])};`
  })
}

const layout = (spec: ReadonlyArray<number>, ...axes: ReadonlyArray<number>): boolean => Shape.equals(spec, axes)

/** Does TensorFlow.js have it, and is it worth the call? */
const fits = (equation: Convolution): boolean => {
  const { params: p } = equation
  const { channels, features, images, outer, output, window } = plan(equation)
  const d = p.dimension_numbers
  return window.length === 2 && outer === 1 && DTypes.isFloat(equation.inputs[0].aval.dtype) &&
    DTypes.isFloat(equation.outputs[0].aval.dtype) && p.lhs_dilation.every((n) => n === 1) &&
    (p.window_strides.every((n) => n === 1) || p.rhs_dilation.every((n) => n === 1)) &&
    p.padding.every(([low, high]) => low >= 0 && high >= 0) &&
    layout(d.lhs_spec, 0, 3, 1, 2) && layout(d.rhs_spec, 3, 2, 0, 1) && layout(d.out_spec, 0, 3, 1, 2) &&
    images * Shape.size(output) * features * channels * Shape.size(window) >= large
}

const convolution = (equation: Convolution): Plan => {
  if (!fits(equation)) return general(equation)
  const { params: p } = equation
  const [x, y] = equation.inputs.map((a) => a.aval.shape)
  const round = rounding(equation.outputs[0].aval.dtype)
  const elements = sizeOf(equation)
  return (bench, [xs, ys]) =>
    round(
      bench,
      conv2d(
        bench,
        { x, y, strides: p.window_strides, dilations: p.rhs_dilation, padding: p.padding, elements },
        xs,
        ys
      ),
      elements
    )
}

/** Kernels of the convolution. */
export const convolutions: GpuKernels<keyof Params> = { conv_general_dilated: convolution }
