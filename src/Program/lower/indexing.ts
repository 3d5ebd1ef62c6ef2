/**
 * Slices at computed places, gather and scatter. StableHLO clamps the starts of slices and gathers, and drops what a
 * scatter would write outside; the other modes are said by clamping indices (a scatter that clips) or by a mask (a
 * gather that fills), as in JAX.
 */
import type * as DType from "../../Tensor/DType.ts"
import * as lax from "../../Tensor/lax/index.ts"
import { defaultFill, type Params, type ScatterDimensionNumbers } from "../../Tensor/lax/indexing.ts"
import * as Shape from "../../Tensor/Shape.ts"
import { literal, type Tensor } from "../../Tensor/Tensor.ts"
import { type Block, list, type Lowering, type LoweringTable, type Meaning, signature } from "./Block.ts"
import type { Value } from "./operation.ts"
import { formatArray, formatList } from "./text.ts"

/** The starts of one slice have one dtype in StableHLO. */
const alike = (block: Block, starts: ReadonlyArray<Value>): ReadonlyArray<Value> =>
  starts.every((s) => s.type.dtype === starts[0].type.dtype) ? starts : starts.map((s) =>
    s.type.dtype === "int32"
      ? s
      : block.inline(([x]) => [lax.convertElementType(lax.min(x, literal(2 ** 31 - 1, x.dtype)), "int32")], [s])[0]
  )

/** `name = [1, 2]` for lists that are not empty. */
const fields = (lists: Readonly<Record<string, ReadonlyArray<number>>>): ReadonlyArray<string> =>
  Object.entries(lists).flatMap(([name, xs]) => xs.length === 0 ? [] : [`${name} = ${formatList(xs)}`])

/** A row of constants, one for each component of an index vector, repeated in an array of `shape`. */
const row = (xs: ReadonlyArray<number>, shape: Shape.Shape, dtype: DType.DType): Tensor => {
  if (xs.length === 0) return lax.broadcastTo(literal(0, dtype), shape)
  const each = xs.map((x) => lax.broadcastTo(literal(x, dtype), [1]))
  return lax.broadcastInDim(each.length === 1 ? each[0] : lax.concatenate(each, 0), shape, [shape.length - 1])
}

const gather: Lowering<"gather"> = (block, [x, indices], { outputs: [out], params }) => {
  const d = params.dimension_numbers
  const dimensions = [
    ...fields({
      offset_dims: d.offset_dims,
      collapsed_slice_dims: d.collapsed_slice_dims,
      operand_batching_dims: d.operand_batching_dims,
      start_indices_batching_dims: d.start_indices_batching_dims,
      start_index_map: d.start_index_map
    }),
    `index_vector_dim = ${indices.type.shape.length - 1}`
  ].join(", ")
  const found = block.one(
    out.aval,
    "\"stablehlo.gather\"(",
    ...list([x, indices]),
    `) <{dimension_numbers = #stablehlo.gather<${dimensions}>, indices_are_sorted = false, slice_sizes = ${
      formatArray(params.slice_sizes)
    }}> : ${signature([x, indices], [out.aval])}`
  )
  if (params.mode !== "fill_or_drop") return [found]
  const fill = params.fill_value ?? defaultFill(x.type.dtype)
  const last = d.start_index_map.map((axis) => x.type.shape[axis] - params.slice_sizes[axis])
  const batch = Shape.range(out.aval.shape.length).filter((i) => !d.offset_dims.includes(i))
  const masked: Meaning = ([found, indices]) => {
    const { dtype, shape } = indices
    const inside = lax.and(
      lax.ge(indices, lax.broadcastTo(literal(0, dtype), shape)),
      lax.le(indices, row(last, shape, dtype))
    )
    const whole = lax.reduceAnd(inside, shape.length - 1)
    return [lax.selectN(
      lax.broadcastInDim(whole, found.shape, batch),
      lax.broadcastTo(literal(fill, found.dtype), found.shape),
      found
    )]
  }
  return block.inline(masked, [found, indices])
}

/** The largest start along each indexed axis with which the whole slice is inside. */
const lastStarts = (
  operand: Shape.Shape,
  updates: Shape.Shape,
  d: ScatterDimensionNumbers
): ReadonlyArray<number> => {
  const windowed = Shape.range(operand.length).filter((axis) =>
    !d.inserted_window_dims.includes(axis) && !d.operand_batching_dims.includes(axis)
  )
  return d.scatter_dims_to_operand_dims.map((axis) => {
    const at = windowed.indexOf(axis)
    return operand[axis] - (at < 0 ? 1 : updates[d.update_window_dims[at]])
  })
}

type Scatter = "scatter" | "scatter_add" | "scatter_mul" | "scatter_min" | "scatter_max"

const scatter = (body: Meaning): Lowering<Scatter> => (block, [x, indices, updates], { params }) => {
  const d = params.dimension_numbers
  const last = lastStarts(x.type.shape, updates.type.shape, d)
  const clamped: Meaning = ([at]) => [
    lax.clamp(lax.broadcastTo(literal(0, at.dtype), at.shape), at, row(last, at.shape, at.dtype))
  ]
  const [places] = params.mode === "clip" ? block.inline(clamped, [indices]) : [indices]
  const dimensions = [
    ...fields({
      update_window_dims: d.update_window_dims,
      inserted_window_dims: d.inserted_window_dims,
      input_batching_dims: d.operand_batching_dims,
      scatter_indices_batching_dims: d.scatter_indices_batching_dims,
      scatter_dims_to_operand_dims: d.scatter_dims_to_operand_dims
    }),
    `index_vector_dim = ${indices.type.shape.length - 1}`
  ].join(", ")
  const scalar = { shape: [], dtype: x.type.dtype }
  const inputs = [x, places, updates]
  return [block.one(
    x.type,
    "\"stablehlo.scatter\"(",
    ...list(inputs),
    `) <{indices_are_sorted = false, scatter_dimension_numbers = #stablehlo.scatter<${dimensions}>, unique_indices = ${params.unique_indices}}> ({`,
    block.region([scalar, scalar], body),
    `}) : ${signature(inputs, [x.type])}`
  )]
}

/** Lowerings of the indexing primitives. */
export const indexing: LoweringTable<keyof Params> = {
  dynamic_slice: (block, [x, ...starts], { outputs: [out], params }) =>
    starts.length === 0
      ? [x]
      : [block.apply(
        "dynamic_slice",
        [x, ...alike(block, starts)],
        out.aval,
        `, sizes = ${formatList(params.slice_sizes)}`
      )],
  dynamic_update_slice: (block, [x, update, ...starts]) =>
    starts.length === 0
      ? [update]
      : [block.apply("dynamic_update_slice", [x, update, ...alike(block, starts)], x.type)],
  gather,
  scatter: scatter((xs) => [xs[1]]),
  scatter_add: scatter(([x, y]) => [lax.add(x, y)]),
  scatter_mul: scatter(([x, y]) => [lax.mul(x, y)]),
  scatter_min: scatter(([x, y]) => [lax.min(x, y)]),
  scatter_max: scatter(([x, y]) => [lax.max(x, y)])
}
