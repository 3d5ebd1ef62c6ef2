/**
 * Sliding windows over all axes. The reductions have a thread a window. The scatter has a thread an element of the
 * operand, which asks every window over it which element it selects: no two threads write one place.
 */
import type { EquationOf } from "../../../../Program/Program.ts"
import type { DType } from "../../../../Tensor/DType.ts"
import type { Params, SelectParams, WindowParams } from "../../../../Tensor/lax/window.ts"
import * as Shape from "../../../../Tensor/Shape.ts"
import { type GpuKernels, inputWords, nameOf, outputWords, type Plan } from "../kernel.ts"
import { dot, loop, unravel } from "../source.ts"
import { literal, narrow, wordOf } from "../words.ts"
import { monoidOf } from "./reduction.ts"

/**
 * Statements that define, for window coordinates `o…` and coordinates within the window `t…`, the operand's coordinates
 * `p…` and `inside`, whether they are in it and not in padding or a hole.
 */
export const positions = (shape: Shape.Shape, p: WindowParams): string => {
  const tests = ["true"]
  const lines = shape.map((d, a) => {
    const at = `let d${a} = o${a} * ${p.window_strides[a]}u + t${a} * ${p.window_dilation[a]}u - ${
      p.padding[a][0] >>> 0
    }u;`
    const step = p.base_dilation[a]
    // Below 0 it has wrapped around, to far more than any size.
    tests.push(step === 1 ? `p${a} < ${d}u` : `d${a} < 0x80000000u && d${a} % ${step}u == 0u && p${a} < ${d}u`)
    return `${at}\nlet p${a} = ${step === 1 ? `d${a}` : `d${a} / ${step}u`};`
  })
  return `${lines.join("\n")}\nlet inside = ${tests.join(" && ")};`
}

type Reduce = "reduce_window_sum" | "reduce_window_max" | "reduce_window_min"

const reduceWindow = (operation: string) => (equation: EquationOf<Reduce>): Plan => {
  const { dtype, shape } = equation.inputs[0].aval
  const { params } = equation
  const output = equation.outputs[0].aval.shape
  const m = monoidOf(operation, dtype)
  return {
    name: nameOf(equation),
    inputs: [m.word],
    outputs: [m.word],
    threads: Shape.size(output),
    body: `
${unravel("i", output, "o")}
var total = ${m.identity};
${
      loop(
        "t",
        Shape.size(params.window_dimensions),
        `${unravel("t", params.window_dimensions, "t")}
${positions(shape, params)}
if (inside) { total = ${m.combine("total", `x0[${dot("p", Shape.strides(shape))}]`)}; }`
      )
    }
y0[i] = ${narrow("total", dtype)};`
  }
}

const undilated = (p: SelectParams): WindowParams => ({
  ...p,
  base_dilation: p.window_dimensions.map(() => 1),
  window_dilation: p.window_dimensions.map(() => 1)
})

type Select = EquationOf<"select_and_scatter_add" | "select_and_gather_add">

/**
 * WGSL: the place of the selected element of window number `o` in `x1`: the first best, nan being best; -1 for none.
 */
const selected = (equation: Select, output: Shape.Shape): string => {
  const { dtype, shape } = equation.inputs[1].aval
  const { params } = equation
  const word = wordOf(dtype)
  const less = (a: string, b: string): string =>
    word === "f32" ? `((isnan_(${b}) && !isnan_(${a})) || lt_(${a}, ${b}))` : `(${a} < ${b})`
  const greater = (a: string, b: string): string =>
    word === "f32" ? `((isnan_(${b}) && !isnan_(${a})) || lt_(${b}, ${a}))` : `(${a} > ${b})`
  const beaten = params.select_prim === "ge" ? less("best", "value") : greater("best", "value")
  return `fn selected(o: u32) -> i32 {
  ${unravel("o", output, "o")}
  var place = -1;
  var best = ${literal(0, dtype)};
  ${
    loop(
      "t",
      Shape.size(params.window_dimensions),
      `${unravel("t", params.window_dimensions, "t")}
${positions(shape, undilated(params))}
if (inside) {
  let at = ${dot("p", Shape.strides(shape))};
  let value = x1[at];
  if (place < 0 || ${beaten}) { best = value; place = i32(at); }
}`
    )
  }
  return place;
}`
}

const gatherSelected = (equation: EquationOf<"select_and_gather_add">): Plan => {
  const output = equation.outputs[0].aval
  return {
    name: nameOf(equation),
    inputs: inputWords(equation),
    outputs: outputWords(equation),
    threads: Shape.size(output.shape),
    declarations: selected(equation, output.shape),
    body: `
let place = selected(i);
var value = ${literal(0, output.dtype)};
if (place >= 0) { value = x0[place]; }
y0[i] = value;`
  }
}

/** Windows over coordinate p along an axis: those with stride · o ≤ p + low < stride · o + size. */
const windowsOver = (p: SelectParams, output: Shape.Shape, shape: Shape.Shape) =>
  shape.map((_, a) => {
    const [low] = p.padding[a]
    const [size, stride] = [p.window_dimensions[a], p.window_strides[a]]
    const at = `(bitcast<i32>(c${a}) + ${low})`
    return `let last${a} = min(${at} / ${stride}, ${output[a] - 1});
let first${a} = max(0, (${at} - ${size} + ${stride}) / ${stride});`
  }).join("\n")

const scatterSelected = (equation: EquationOf<"select_and_scatter_add">): Plan => {
  const { params } = equation
  const dtype: DType = equation.outputs[0].aval.dtype
  const shape = equation.inputs[1].aval.shape
  const output = equation.inputs[0].aval.shape
  const add = `let w = ${["0", ...output.map((_, a) => `w${a} * ${Shape.strides(output)[a]}`)].join(" + ")};
if (selected(u32(w)) == i32(i)) { total = total + x0[w]; }`
  const loops = shape.reduceRight(
    (body, _, a) => `for (var w${a} = first${a}; w${a} <= last${a}; w${a}++) {\n${body}\n}`,
    add
  )
  return {
    name: nameOf(equation),
    inputs: inputWords(equation),
    outputs: outputWords(equation),
    threads: Shape.size(shape),
    declarations: selected(equation, output),
    body: `
${unravel("i", shape, "c")}
${windowsOver(params, output, shape)}
var total = ${literal(0, dtype)};
${Shape.size(output) === 0 ? "" : loops}
y0[i] = ${narrow("total", dtype)};`
  }
}

/** Kernels of the windows. */
export const windows: GpuKernels<keyof Params> = {
  reduce_window_sum: reduceWindow("sum"),
  reduce_window_max: reduceWindow("max"),
  reduce_window_min: reduceWindow("min"),
  select_and_scatter_add: scatterSelected,
  select_and_gather_add: gatherSelected
}
