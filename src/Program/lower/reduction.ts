/**
 * Reductions. A running one is a reduction over windows that begin before the array, as JAX has it.
 */
import * as DType from "../../Tensor/DType.ts"
import * as lax from "../../Tensor/lax/index.ts"
import type { Cumulative, Params } from "../../Tensor/lax/reduction.ts"
import * as Shape from "../../Tensor/Shape.ts"
import type { Tensor } from "../../Tensor/Tensor.ts"
import type { Block, Lowering, LoweringTable, Meaning } from "./Block.ts"
import { type Value, value } from "./operation.ts"
import { formatArray, formatList, formatPairs, formatResults, formatType, formatTypes, typeOf } from "./text.ts"

const allOnes = (dtype: DType.DType): number => dtype === "bool" || DType.isUnsigned(dtype) ? DType.highest(dtype) : -1

type Reduction = "reduce_sum" | "reduce_prod" | "reduce_max" | "reduce_min" | "reduce_and" | "reduce_or"

const reduce =
  (operation: string, identity: (dtype: DType.DType) => number): Lowering<Reduction> =>
  (block, [x], { outputs: [out], params }) => {
    const start = block.scalar(identity(x.type.dtype), x.type.dtype)
    return [block.one(
      out.aval,
      "stablehlo.reduce(",
      x,
      " init: ",
      start,
      `) applies stablehlo.${operation} across dimensions = ${formatList(params.axes)} : (${
        formatTypes([x.type, start.type])
      }) -> ${formatType(out.aval)}`
    )]
  }

/** Which of two elements is kept: the better one, nan before all, the lower index among equals. */
const better = (beats: (x: Tensor, y: Tensor) => Tensor): Meaning => ([x, i, y, j]) => {
  const first = lax.or(beats(x, y), lax.ne(x, x))
  const keeps = lax.or(first, lax.and(lax.eq(x, y), lax.lt(i, j)))
  return [lax.selectN(first, y, x), lax.selectN(keeps, j, i)]
}

const arg = (
  beats: (x: Tensor, y: Tensor) => Tensor,
  identity: (dtype: DType.DType) => number
): Lowering<"argmax" | "argmin"> =>
(block, [x], { outputs: [out], params: { axes, index_dtype } }) => {
  const counts = typeOf(x.type.shape, index_dtype)
  const index = block.one(counts, `stablehlo.iota dim = ${axes[0]} : ${formatType(counts)}`)
  const starts = [block.scalar(identity(x.type.dtype), x.type.dtype), block.scalar(0, index_dtype)]
  const types = starts.map((s) => s.type)
  // MLIR shows the arguments of such a reducer in pairs, one for each operand.
  const [a, i, b, j] = [...types, ...types].map(value)
  const region = block.regionOf([a, i, b, j], (inner) => inner.inline(better(beats), [a, i, b, j]), { header: false })
  const results = [typeOf(out.aval.shape, x.type.dtype), out.aval]
  const [element, position] = types.map(formatType)
  const outputs = block.emit(results, [
    "stablehlo.reduce(",
    x,
    " init: ",
    starts[0],
    "), (",
    index,
    " init: ",
    starts[1],
    `) across dimensions = ${formatList(axes)} : (${formatTypes([x.type, counts, ...types])}) -> ${
      formatResults(results)
    }\n reducer(`,
    a,
    `: ${element}, `,
    b,
    `: ${element}) (`,
    i,
    `: ${position}, `,
    j,
    `: ${position})  {`,
    region,
    "}"
  ])
  return [outputs[1]]
}

/** A window over all axes. */
export interface Window {
  readonly dimensions: Shape.Shape
  readonly strides: ReadonlyArray<number>
  readonly padding: ReadonlyArray<readonly [number, number]>
  readonly baseDilation: ReadonlyArray<number>
  readonly windowDilation: ReadonlyArray<number>
}

/** `stablehlo.reduce_window` of several arrays with the values that each starts from. */
export const reduceWindow = (
  block: Block,
  xs: ReadonlyArray<Value>,
  starts: ReadonlyArray<Value>,
  shape: Shape.Shape,
  window: Window,
  body: Meaning
): ReadonlyArray<Value> => {
  const attributes = [
    `base_dilations = ${formatArray(window.baseDilation)}`,
    `padding = ${formatPairs(window.padding)}`,
    `window_dilations = ${formatArray(window.windowDilation)}`,
    `window_dimensions = ${formatArray(window.dimensions)}`,
    `window_strides = ${formatArray(window.strides)}`
  ].join(", ")
  const inputs = [...xs, ...starts]
  const scalars = starts.map((s) => s.type)
  const results = xs.map((x) => typeOf(shape, x.type.dtype))
  return block.emit(results, [
    "\"stablehlo.reduce_window\"(",
    ...inputs.flatMap((x, i) => i === 0 ? [x] : [", ", x]),
    `) <{${attributes}}> ({`,
    block.region([...scalars, ...scalars], body),
    `}) : (${formatTypes(inputs.map((x) => x.type))}) -> ${formatResults(results)}`
  ])
}

type Running = "cumsum" | "cumprod" | "cummax" | "cummin" | "cumlogsumexp"

const running =
  (body: Meaning, identity: (dtype: DType.DType) => number): Lowering<Running> => (block, [x], { params }) => {
    const { shape } = x.type
    if (Shape.size(shape) === 0) return [x]
    return reduceWindow(
      block,
      [x],
      [block.scalar(identity(x.type.dtype), x.type.dtype)],
      shape,
      past(params, shape),
      body
    )
  }

/** At every place, the window of all elements up to it (from it on, when reversed). */
const past = ({ axis, reverse }: Cumulative, shape: Shape.Shape): Window => {
  const ones = shape.map(() => 1)
  const before = shape[axis] - 1
  return {
    dimensions: shape.map((d, i) => i === axis ? d : 1),
    strides: ones,
    padding: shape.map((_, i) => i !== axis ? [0, 0] : reverse ? [0, before] : [before, 0]),
    baseDilation: ones,
    windowDilation: ones
  }
}

/** log(eˣ + eʸ) without overflow; equal infinities, whose difference is nan, are added. */
const logAddExp: Meaning = ([x, y]) => {
  const difference = lax.sub(x, y)
  const sum = lax.add(lax.max(x, y), lax.log1p(lax.exp(lax.neg(lax.abs(difference)))))
  return [lax.selectN(lax.ne(difference, difference), sum, lax.add(x, y))]
}

/** Lowerings of the reductions. */
export const reduction: LoweringTable<keyof Params> = {
  reduce_sum: reduce("add", () => 0),
  reduce_prod: reduce("multiply", () => 1),
  reduce_max: reduce("maximum", DType.lowest),
  reduce_min: reduce("minimum", DType.highest),
  reduce_and: reduce("and", allOnes),
  reduce_or: reduce("or", () => 0),
  argmax: arg(lax.gt, DType.lowest),
  argmin: arg(lax.lt, DType.highest),
  cumsum: running(([x, y]) => [lax.add(x, y)], () => 0),
  cumprod: running(([x, y]) => [lax.mul(x, y)], () => 1),
  cummax: running(([x, y]) => [lax.max(x, y)], DType.lowest),
  cummin: running(([x, y]) => [lax.min(x, y)], DType.highest),
  cumlogsumexp: running(logAddExp, DType.lowest)
}
