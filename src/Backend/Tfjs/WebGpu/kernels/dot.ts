/**
 * dot_general. Large products of floats go to TensorFlow.js's BatchMatMul, operands transposed first where their axes
 * are not in one of the orders that it takes; all else is a `product` of our own.
 */
import type { EquationOf } from "../../../../Program/Program.ts"
import * as DTypes from "../../../../Tensor/DType.ts"
import { freeAxes, type Params } from "../../../../Tensor/lax/dot.ts"
import * as Shape from "../../../../Tensor/Shape.ts"
import type { Allocation } from "../Gpu.ts"
import type { Bench, GpuKernels, Plan } from "../kernel.ts"
import { nameOf } from "../kernel.ts"
import { dot, type Source, unravel } from "../source.ts"
import { batchMatMul, rounding } from "../tensorflow.ts"
import { product } from "./product.ts"

/** Multiplications from which on TensorFlow.js's kernels pay. */
const large = 2 ** 20
/** It splits k from here on when there is little else to divide, and adds the parts in any order. */
const splitK = 2000

/** One operand: its axes by role, in the order in which the other operand and the result have them. */
interface Operand {
  readonly shape: Shape.Shape
  readonly batch: ReadonlyArray<number>
  readonly free: ReadonlyArray<number>
  readonly contracted: ReadonlyArray<number>
}

const sizes = (o: Operand, axes: ReadonlyArray<number>): Shape.Shape => axes.map((a) => o.shape[a])

/** Are these axes, but for those of size 1, in increasing order? */
const inOrder = (o: Operand, axes: ReadonlyArray<number>): boolean => {
  const moving = axes.filter((a) => o.shape[a] !== 1)
  return moving.every((a, i) => i === 0 || a > moving[i - 1])
}

/** Statements that return an operand's element at b, `free` and k. */
const element = (o: Operand, input: string, free: string): string => {
  const strides = Shape.strides(o.shape)
  const steps = (axes: ReadonlyArray<number>) => axes.map((a) => strides[a])
  return `${unravel("b", sizes(o, o.batch), "b")}
${unravel(free, sizes(o, o.free), "f")}
${unravel("k", sizes(o, o.contracted), "k")}
return ${input}[${dot("b", steps(o.batch))} + ${dot("f", steps(o.free))} + ${dot("k", steps(o.contracted))}];`
}

/** A shader that puts an operand's axes into an order. */
const transposed = (o: Operand, axes: ReadonlyArray<number>): Source => {
  const strides = Shape.strides(o.shape)
  const shape = axes.map((a) => o.shape[a])
  return {
    name: `transpose ${Shape.format(o.shape)} to ${Shape.format(shape)}`,
    inputs: ["u32"],
    outputs: ["u32"],
    threads: Shape.size(shape),
    body: `${unravel("i", shape, "c")}\ny0[i] = x0[${dot("c", axes.map((a) => strides[a]))}];`
  }
}

/** How to hand an operand to a matrix product: as it is, its last two axes swapped or not, or transposed first. */
const handed = (o: Operand, rows: ReadonlyArray<number>, columns: ReadonlyArray<number>) => {
  const straight = [...o.batch, ...rows, ...columns]
  if (inOrder(o, straight)) return { swap: false, as: (_: Bench, x: Allocation) => x }
  if (inOrder(o, [...o.batch, ...columns, ...rows])) return { swap: true, as: (_: Bench, x: Allocation) => x }
  const source = transposed(o, straight)
  return {
    swap: false,
    as: (bench: Bench, x: Allocation) => bench.run(source, [x], Shape.size(o.shape))[0]
  }
}

const dotGeneral = (equation: EquationOf<"dot_general">): Plan => {
  const { batch: [xb, yb], contracting: [xc, yc] } = equation.params.dimension_numbers
  const [x, y] = equation.inputs.map((a) => a.aval)
  const to = equation.outputs[0].aval.dtype
  const left: Operand = { shape: x.shape, batch: xb, free: freeAxes(x.shape.length, xc, xb), contracted: xc }
  const right: Operand = { shape: y.shape, batch: yb, free: freeAxes(y.shape.length, yc, yb), contracted: yc }
  const [batch, m, n, k] = [
    Shape.size(sizes(left, xb)),
    Shape.size(sizes(left, left.free)),
    Shape.size(sizes(right, right.free)),
    Shape.size(sizes(left, xc))
  ]
  const floats = DTypes.isFloat(x.dtype) && DTypes.isFloat(to)
  if (!floats || batch * m * n * k < large || (batch === 1 && k >= splitK)) {
    return product({
      name: nameOf(equation),
      batch,
      m,
      n,
      k,
      from: x.dtype,
      to,
      left: element(left, "x0", "m"),
      right: element(right, "x1", "n"),
      place: `let at = (b * ${m}u + m) * ${n}u + n;`
    })
  }
  const a = handed(left, left.free, left.contracted)
  const b = handed(right, right.contracted, right.free)
  const round = rounding(to)
  return (bench, [xs, ys]) => {
    const out = batchMatMul(
      bench,
      { batch, m, n, k, transposeA: a.swap, transposeB: b.swap },
      a.as(bench, xs),
      b.as(bench, ys)
    )
    return round(bench, out, batch * m * n)
  }
}

/** Kernels of the matrix product. */
export const dots: GpuKernels<keyof Params> = { dot_general: dotGeneral }
