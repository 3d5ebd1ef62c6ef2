/** Kernels that put arrays together: concatenation and padding, as copies of blocks. */
import type { EquationOf } from "../../../Program/Program.ts"
import * as DTypes from "../../../Tensor/DType.ts"
import * as Shape from "../../../Tensor/Shape.ts"
import type { Local } from "../assembler/index.ts"
import type { Emission, Emitted } from "../emission.ts"
import type { Irregular } from "../ir.ts"
import { bitsOf, Builder, isConstant, stepsOf } from "./Builder.ts"
import { type Axis, copyBlock, fillRun } from "./walk.ts"

const moved = (b: Builder, address: Local, bytes: number): Local => {
  const local = b.code.local("i32", "moved")
  b.code.get(address).i32(bytes).op("i32.add").set(local)
  return local
}

const axesOf = (sizes: Shape.Shape, to: ReadonlyArray<number>, from: ReadonlyArray<number>): ReadonlyArray<Axis> =>
  sizes.map((size, i) => ({ size, steps: [to[i], from[i]] }))

/** Arrays side by side along an axis. */
export const concatenate = (
  e: Emission,
  { inputs, name, outputs: [out] }: Irregular,
  equation: EquationOf<"concatenate">
): Emitted => {
  const b = new Builder(e, name)
  const { dimension } = equation.params
  const width = DTypes.byteSize(out.dtype)
  const steps = stepsOf(out, equation.outputs[0].aval.shape)
  const target = b.address(out, "out")
  let position = 0
  inputs.forEach((x, i) => {
    const { shape } = equation.inputs[i].aval
    const to = moved(b, target, position * steps[dimension])
    copyBlock(b.code, axesOf(shape, steps, stepsOf(x, shape)), [to, b.address(x, "x")], width)
    position += shape[dimension]
  })
  return b.emitted(out.size === 0 ? 0 : 1, out.size * width / 8)
}

/** An array in a larger one, its elements apart. Negative padding crops. */
export const pad = (
  e: Emission,
  { inputs: [x, value], name, outputs: [out] }: Irregular,
  equation: EquationOf<"pad">
): Emitted => {
  const b = new Builder(e, name)
  const c = b.code
  const config = equation.params.padding_config
  const { shape } = equation.inputs[0].aval
  const outShape = equation.outputs[0].aval.shape
  const width = DTypes.byteSize(out.dtype)
  const own = stepsOf(x, shape)
  const steps = stepsOf(out, outShape)
  // The operand's elements that land inside.
  const first = config.map(([low, , interior]) => low >= 0 ? 0 : Math.ceil(-low / (interior + 1)))
  const sizes = config.map(([low, , interior], i) => {
    const last = Math.floor((outShape[i] - 1 - low) / (interior + 1))
    return Math.max(0, Math.min(shape[i] - 1, last) - first[i] + 1)
  })
  const offset = config.reduce((n, [low, , interior], i) => n + (low + first[i] * (interior + 1)) * steps[i], 0)
  const start = first.reduce((n, f, i) => n + f * own[i], 0)
  const target = b.address(out, "out")
  const filler = c.local("i32", "filler")
  if (isConstant(value)) c.i32(bitsOf(value.value, value.dtype)).set(filler)
  else {
    c.get(b.address(value, "value"))
    c.load(width === 1 ? "i32.load8_u" : width === 2 ? "i32.load16_u" : "i32.load").set(filler)
  }
  fillRun(c, target, out.size, width, () => c.get(filler))
  if (Shape.size(sizes) > 0) {
    const axes = axesOf(sizes, config.map(([, , interior], i) => (interior + 1) * steps[i]), own)
    copyBlock(c, axes, [moved(b, target, offset), moved(b, b.address(x, "x"), start)], width)
  }
  return b.emitted(out.size === 0 ? 0 : 1, out.size * width / 4)
}
