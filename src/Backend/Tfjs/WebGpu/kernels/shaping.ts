/**
 * Kernels that move elements: a thread finds its coordinates in the result, and from them the word to fetch.
 */
import type { Params } from "../../../../Tensor/lax/shaping.ts"
import * as Shape from "../../../../Tensor/Shape.ts"
import { type GpuKernels, moving, nameOf, outputWords, type Plain, type Plan } from "../kernel.ts"
import { dot, type Source, unravel } from "../source.ts"
import { literal, narrow, wordBytes, wordOf } from "../words.ts"

const outShape = (equation: Plain): Shape.Shape => equation.outputs[0].aval.shape

/** A result whose element at a coordinate is the operand's at offset + Σ coordinate · stride. */
const strided = (equation: Plain, strides: ReadonlyArray<number>, offset = 0): Plan =>
  moving(equation, `${unravel("i", outShape(equation), "c")}\ny0[i] = x0[${dot("c", strides, offset)}];`)

/** Kernels of the shape primitives. */
export const shaping: GpuKernels<Exclude<keyof Params, "reshape" | "squeeze">> = {
  broadcast_in_dim: (equation) => {
    const { broadcast_dimensions: dimensions, shape } = equation.params
    const from = equation.inputs[0].aval.shape
    const own = Shape.strides(from)
    return strided(
      equation,
      shape.map((_, axis) => {
        const i = dimensions.indexOf(axis)
        return i < 0 || from[i] === 1 ? 0 : own[i]
      })
    )
  },
  transpose: (equation) => {
    const own = Shape.strides(equation.inputs[0].aval.shape)
    return strided(equation, equation.params.permutation.map((a) => own[a]))
  },
  slice: (equation) => {
    const { start_indices: starts, strides: steps } = equation.params
    const own = Shape.strides(equation.inputs[0].aval.shape)
    return strided(equation, own.map((s, i) => s * steps[i]), starts.reduce((n, s, i) => n + s * own[i], 0))
  },
  rev: (equation) => {
    const { shape } = equation.inputs[0].aval
    const own = Shape.strides(shape)
    const reversed = (axis: number): boolean => equation.params.dimensions.includes(axis)
    return strided(
      equation,
      own.map((s, i) => reversed(i) ? -s : s),
      own.reduce((n, s, i) => reversed(i) ? n + s * (shape[i] - 1) : n, 0)
    )
  },
  concatenate: (equation) => {
    const { dimension } = equation.params
    const shape = outShape(equation)
    const strides = Shape.strides(shape)
    const outer = Shape.size(shape.slice(0, dimension))
    const starts: Array<number> = []
    let start = 0
    for (const { aval } of equation.inputs) {
      starts.push(start)
      start += aval.shape[dimension] * strides[dimension]
    }
    // One operand after the other is written into its place.
    const parts = equation.inputs.map(({ aval }, k): Source => ({
      name: `concatenate part ${k} of ${nameOf(equation)}`,
      inputs: ["u32"],
      outputs: ["u32"],
      threads: Shape.size(aval.shape),
      body: `${unravel("i", aval.shape, "c")}\ny0[${dot("c", strides, starts[k])}] = x0[i];`
    }))
    return (bench, inputs) => {
      const out = bench.make(Shape.size(shape))
      inputs.forEach((x, k) => {
        if (outer === 1) bench.gpu.copy(x, 0, out, starts[k] * wordBytes, x.bytes)
        else bench.gpu.dispatch(parts[k], [x], [out], Shape.size(shape))
      })
      return [out]
    }
  },
  pad: (equation) => {
    const config = equation.params.padding_config
    const shape = equation.inputs[0].aval.shape
    if (Shape.size(shape) === 0) return moving(equation, "y0[i] = x1[0];")
    const axes = config.map(([low, , interior], axis) => {
      const step = interior + 1
      const at = `let p${axis} = bitcast<i32>(c${axis}) - (${low});`
      const q = step === 1
        ? `let q${axis} = bitcast<u32>(p${axis});`
        : `let q${axis} = bitcast<u32>(p${axis}) / ${step}u;`
      const holes = step === 1 ? "" : ` && bitcast<u32>(p${axis}) % ${step}u == 0u`
      return { text: `${at}\n${q}`, inside: `p${axis} >= 0 && q${axis} < ${shape[axis]}u${holes}` }
    })
    return moving(
      equation,
      [
        unravel("i", outShape(equation), "c"),
        ...axes.map((a) => a.text),
        "var word = x1[0];",
        `if (${["true", ...axes.map((a) => a.inside)].join(" && ")}) { word = x0[${dot("q", Shape.strides(shape))}]; }`,
        "y0[i] = word;"
      ].join("\n")
    )
  },
  iota: (equation) => {
    const { dimension, dtype, shape } = equation.params
    const inner = Shape.size(shape.slice(dimension + 1))
    const position = `(i / ${Math.max(1, inner)}u) % ${Math.max(1, shape[dimension])}u`
    const value = wordOf(dtype) === "u32" ? position : `${wordOf(dtype)}(${position})`
    return {
      name: nameOf(equation),
      inputs: [],
      outputs: outputWords(equation),
      threads: Shape.size(shape),
      body: `y0[i] = ${narrow(value, dtype)};`
    }
  }
}

/** A Source that fills its output with a constant. */
export const filled = (elements: number, value: number, dtype: "float32" | "int32" | "uint32"): Source => ({
  name: `fill ${value}`,
  inputs: [],
  outputs: [wordOf(dtype)],
  threads: elements,
  body: `y0[i] = ${literal(value, dtype)};`
})
