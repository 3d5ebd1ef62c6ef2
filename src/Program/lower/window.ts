/**
 * Reductions over windows, and the operations that choose one element of each. An array without axes is its only
 * window.
 */
import * as DType from "../../Tensor/DType.ts"
import * as lax from "../../Tensor/lax/index.ts"
import type { Params, SelectParams, WindowParams } from "../../Tensor/lax/window.ts"
import type * as Shape from "../../Tensor/Shape.ts"
import type { Block, Lowering, LoweringTable, Meaning } from "./Block.ts"
import type { Value } from "./operation.ts"
import { reduceWindow, type Window } from "./reduction.ts"
import { formatArray, formatList, formatPairs, formatType, formatTypes, typeOf } from "./text.ts"

const windowOf = (p: SelectParams | WindowParams): Window => {
  const ones = p.window_dimensions.map(() => 1)
  return {
    dimensions: p.window_dimensions,
    strides: p.window_strides,
    padding: p.padding,
    baseDilation: "base_dilation" in p ? p.base_dilation : ones,
    windowDilation: "window_dilation" in p ? p.window_dilation : ones
  }
}

type Pool = "reduce_window_sum" | "reduce_window_max" | "reduce_window_min"

const pool =
  (body: Meaning, identity: (dtype: DType.DType) => number): Lowering<Pool> =>
  (block, [x], { outputs: [out], params }) => {
    if (x.type.shape.length === 0) return [x]
    const start = block.scalar(identity(x.type.dtype), x.type.dtype)
    return reduceWindow(block, [x], [start], out.aval.shape, windowOf(params), body)
  }

/** What an element outside of the array is, so that it is not selected. */
const worst = (p: SelectParams, dtype: DType.DType): number =>
  p.select_prim === "ge" ? DType.lowest(dtype) : DType.highest(dtype)

const pad = (
  block: Block,
  x: Value,
  fill: Value,
  low: ReadonlyArray<number>,
  high: ReadonlyArray<number>
): Value => {
  const shape: Shape.Shape = x.type.shape.map((d, i) => d + low[i] + high[i])
  const interior = formatList(low.map(() => 0))
  const rest = `, low = ${formatList(low)}, high = ${formatList(high)}, interior = ${interior}`
  return block.apply("pad", [x, fill], typeOf(shape, x.type.dtype), rest)
}

/** The operand is padded, what is scattered cropped again: so does JAX, because XLA's own padding may be selected. */
const scatter: Lowering<"select_and_scatter_add"> = (block, [source, operand], { params }) => {
  const { dtype, shape } = operand.type
  if (shape.length === 0) return [source]
  const low = params.padding.map((p) => p[0])
  const padded = pad(block, operand, block.scalar(worst(params, dtype), dtype), low, params.padding.map((p) => p[1]))
  const zero = block.scalar(0, dtype)
  const inputs = [padded, source, zero]
  const scalars = [zero.type, zero.type]
  const attributes = [
    `padding = ${formatPairs(params.padding.map(() => [0, 0]))}`,
    `window_dimensions = ${formatArray(params.window_dimensions)}`,
    `window_strides = ${formatArray(params.window_strides)}`
  ].join(", ")
  const scattered = block.one(
    padded.type,
    "\"stablehlo.select_and_scatter\"(",
    padded,
    ", ",
    source,
    ", ",
    zero,
    `) <{${attributes}}> ({`,
    block.region(scalars, ([x, y]) => [params.select_prim === "ge" ? lax.ge(x, y) : lax.le(x, y)]),
    "}, {",
    block.region(scalars, ([x, y]) => [lax.add(x, y)]),
    `}) : (${formatTypes(inputs.map((x) => x.type))}) -> ${formatType(padded.type)}`
  )
  const bounds = shape.map((d, i) => `${low[i]}:${low[i] + d}`).join(", ")
  return [block.apply("slice", [scattered], operand.type, ` [${bounds}]`)]
}

/** A reduction over windows of pairs: the element, and the tangent that goes with it. */
const gather: Lowering<"select_and_gather_add"> = (block, [tangents, operand], { outputs: [out], params }) => {
  const { dtype, shape } = operand.type
  if (shape.length === 0) return [tangents]
  const starts = [block.scalar(worst(params, dtype), dtype), block.scalar(0, tangents.type.dtype)]
  const chosen: Meaning = ([x, t, y, u]) => {
    const first = params.select_prim === "ge" ? lax.ge(x, y) : lax.le(x, y)
    return [lax.selectN(first, y, x), lax.selectN(first, u, t)]
  }
  const outputs = reduceWindow(block, [operand, tangents], starts, out.aval.shape, windowOf(params), chosen)
  return [outputs[1]]
}

/** Lowerings of the window primitives. */
export const window: LoweringTable<keyof Params> = {
  reduce_window_sum: pool(([x, y]) => [lax.add(x, y)], () => 0),
  reduce_window_max: pool(([x, y]) => [lax.max(x, y)], DType.lowest),
  reduce_window_min: pool(([x, y]) => [lax.min(x, y)], DType.highest),
  select_and_scatter_add: scatter,
  select_and_gather_add: gather
}
