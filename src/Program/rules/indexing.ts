/**
 * What the interpreters know of slices at computed starts, gather and scatter. Reading and adding are each other's
 * transposes: a gather becomes a scatter_add into zeros, a scatter_add a gather, and a dynamic_slice a
 * dynamic_update_slice of zeros.
 *
 * A mapped axis becomes an offset axis (only the operand is mapped), another axis of the indices (only they are), or a
 * batching pair, along which operand and indices go in step (both). After JAX's `lax/slicing.py`.
 */
import { TraceError } from "../../Tensor/errors.ts"
import {
  add,
  broadcastInDim,
  concatenate,
  convertElementType,
  div,
  dynamicSlice,
  dynamicUpdateSlice,
  eq,
  gather,
  type GatherParams,
  iota,
  mul,
  reshape,
  scatter,
  scatterAdd,
  scatterMax,
  scatterMin,
  scatterMul,
  type ScatterParams
} from "../../Tensor/lax/index.ts"
import type { Params } from "../../Tensor/lax/indexing.ts"
import * as Shape from "../../Tensor/Shape.ts"
import type * as ShapedArray from "../../Tensor/ShapedArray.ts"
import { literal, type Tensor } from "../../Tensor/Tensor.ts"
import {
  type Batched,
  type BatchRule,
  type Cost,
  isLinear,
  type JvpRule,
  type Linear,
  type MappedAxis,
  type RuleTable,
  type Tangent
} from "../Primitive.ts"
import {
  addTangents,
  batchedAt,
  costOfMoving,
  costs,
  count,
  front,
  full,
  instantiate,
  moveAxis,
  type Operands,
  partials,
  placeAxis,
  traffic,
  transposeFirst,
  where,
  zerosLike
} from "./support.ts"

type Tensors = ReadonlyArray<Tensor>
type Axes = ReadonlyArray<number | null>
type Scatter = (x: Tensor, indices: Tensor, updates: Tensor, params: ScatterParams) => Tensor

const next = (axes: ReadonlyArray<number>): ReadonlyArray<number> => axes.map((axis) => axis + 1)

/** The inputs that have values: all but the linear ones. */
const known = (inputs: ReadonlyArray<Tensor | Linear>): Tensors => inputs.flatMap((x) => isLinear(x) ? [] : [x])

// ---------------------------------------------------------------------------------------------------------------------
// A gather and the scatter of the same places
// ---------------------------------------------------------------------------------------------------------------------

/** The scatter to the places that a gather reads. */
const toScatter = ({ dimension_numbers: d, mode }: GatherParams): ScatterParams => ({
  dimension_numbers: {
    update_window_dims: d.offset_dims,
    inserted_window_dims: d.collapsed_slice_dims,
    scatter_dims_to_operand_dims: d.start_index_map,
    operand_batching_dims: d.operand_batching_dims,
    scatter_indices_batching_dims: d.start_indices_batching_dims
  },
  mode,
  unique_indices: false
})

/** The gather from the places that a scatter of updates of this shape writes. Out of range it reads zeros. */
const toGather = (operand: Shape.Shape, updates: Shape.Shape, p: ScatterParams): GatherParams => {
  const { dimension_numbers: d, mode } = p
  const windows = d.update_window_dims.values()
  return {
    dimension_numbers: {
      offset_dims: d.update_window_dims,
      collapsed_slice_dims: d.inserted_window_dims,
      start_index_map: d.scatter_dims_to_operand_dims,
      operand_batching_dims: d.operand_batching_dims,
      start_indices_batching_dims: d.scatter_indices_batching_dims
    },
    slice_sizes: operand.map((size, axis) =>
      d.inserted_window_dims.includes(axis) || d.operand_batching_dims.includes(axis)
        ? Math.min(1, size)
        : updates[windows.next().value ?? 0]
    ),
    mode,
    fill_value: 0
  }
}

const batchGather = (p: GatherParams, [x, indices]: Tensors, [xAt, indicesAt]: Axes): Batched => {
  const { dimension_numbers: d } = p
  const offset_dims = next(d.offset_dims)
  if (xAt === null) {
    const moved = moveAxis(indices, indicesAt ?? 0, 0)
    const start_indices_batching_dims = next(d.start_indices_batching_dims)
    return batchedAt(
      [gather(x, moved, { ...p, dimension_numbers: { ...d, offset_dims, start_indices_batching_dims } })],
      0
    )
  }
  const operand = moveAxis(x, xAt, 0)
  const size = operand.shape[0]
  const shifted = {
    collapsed_slice_dims: next(d.collapsed_slice_dims),
    start_index_map: next(d.start_index_map),
    operand_batching_dims: next(d.operand_batching_dims)
  }
  if (indicesAt === null) {
    const dimension_numbers = { ...d, ...shifted, offset_dims: [0, ...offset_dims] }
    return batchedAt([gather(operand, indices, { ...p, dimension_numbers, slice_sizes: [size, ...p.slice_sizes] })], 0)
  }
  const dimension_numbers = {
    ...shifted,
    offset_dims,
    operand_batching_dims: [0, ...shifted.operand_batching_dims],
    start_indices_batching_dims: [0, ...next(d.start_indices_batching_dims)]
  }
  const slice_sizes = [Math.min(1, size), ...p.slice_sizes]
  return batchedAt([gather(operand, moveAxis(indices, indicesAt, 0), { ...p, dimension_numbers, slice_sizes })], 0)
}

/**
 * There is one result for every element of the mapped axis, so operand and updates are repeated where they are not
 * mapped.
 */
const batchScatter =
  (apply: Scatter) => (p: ScatterParams, inputs: Tensors, axes: Axes, { size }: MappedAxis): Batched => {
    const { dimension_numbers: d } = p
    const [x, updates] = front([inputs[0], inputs[2]], [axes[0], axes[2]], size)
    const shifted = {
      inserted_window_dims: next(d.inserted_window_dims),
      scatter_dims_to_operand_dims: next(d.scatter_dims_to_operand_dims),
      operand_batching_dims: next(d.operand_batching_dims)
    }
    const update_window_dims = next(d.update_window_dims)
    if (axes[1] === null) {
      const dimension_numbers = { ...d, ...shifted, update_window_dims: [0, ...update_window_dims] }
      return batchedAt([apply(x, inputs[1], updates, { ...p, dimension_numbers })], 0)
    }
    const dimension_numbers = {
      ...shifted,
      update_window_dims,
      operand_batching_dims: [0, ...shifted.operand_batching_dims],
      scatter_indices_batching_dims: [0, ...next(d.scatter_indices_batching_dims)]
    }
    return batchedAt([apply(x, moveAxis(inputs[1], axes[1], 0), updates, { ...p, dimension_numbers })], 0)
  }

// ---------------------------------------------------------------------------------------------------------------------
// Scatters
// ---------------------------------------------------------------------------------------------------------------------

/**
 * The transpose rule of a scatter that is linear in operand and updates together. `operand` gives the cotangent of the
 * operand; that of the updates is read where they went.
 */
const transposeScatter =
  (operand: (ct: Tensor, indices: Tensor, updates: ShapedArray.ShapedArray, p: ScatterParams) => Tensor) =>
  (
    p: ScatterParams,
    [ct]: ReadonlyArray<Tangent>,
    [x, indices, updates]: ReadonlyArray<Tensor | Linear>
  ): ReadonlyArray<Tangent> => {
    if (ct === null || isLinear(indices)) return [null, null, null]
    return [
      isLinear(x) ? operand(ct, indices, updates.aval, p) : null,
      null,
      isLinear(updates) ? gather(ct, indices, toGather(ct.shape, updates.aval.shape, p)) : null
    ]
  }

/**
 * Where index vectors repeat, the tangent is that of the update that won. To find it every update gets a number, the
 * numbers are scattered as the updates were, and each update looks whether it finds its own again.
 */
const scatterJvp: JvpRule<"scatter"> = (p, [x, indices, updates], [dx, , dUpdates]) => {
  if (dx === null && dUpdates === null) return [null]
  if (p.unique_indices) return [scatter(instantiate(dx, x), indices, instantiate(dUpdates, updates), p)]
  const windows = p.dimension_numbers.update_window_dims
  const each = updates.shape.map((size, axis) => windows.includes(axis) ? 1 : size)
  const numbers = broadcastInDim(
    reshape(add(iota("int32", [Shape.size(each)], 0), full([Shape.size(each)], "int32", 1)), each),
    updates.shape,
    Shape.range(updates.ndim)
  )
  const winners = scatter(full(x.shape, "int32", 0), indices, numbers, p)
  const own = gather(winners, indices, toGather(x.shape, updates.shape, p))
  const kept = dx && where(eq(winners, zerosLike(winners)), dx, zerosLike(dx))
  const written = dUpdates && where(eq(own, numbers), dUpdates, zerosLike(dUpdates))
  return [written === null ? kept : scatterAdd(instantiate(kept, x), indices, written, p)]
}

/** Operand and updates that attain the result share its tangent in equal parts, as in other largest elements. */
const extremalJvp =
  (apply: Scatter): JvpRule<"scatter_min" | "scatter_max"> => (p, [x, indices, updates], [dx, , dUpdates]) => {
    if (dx === null && dUpdates === null) return [null]
    // Computed again, as in other largest elements.
    const out = apply(x, indices, updates, p)
    const attains = (a: Tensor, b: Tensor) => convertElementType(eq(a, b), x.dtype)
    const stays = attains(x, out)
    const enters = attains(updates, gather(out, indices, toGather(x.shape, updates.shape, p)))
    const sharing = scatterAdd(stays, indices, enters, p)
    const kept = dx && mul(dx, stays)
    const written = dUpdates && mul(dUpdates, enters)
    const sum = written === null ? kept : scatterAdd(instantiate(kept, x), indices, written, p)
    return [sum && div(sum, sharing)]
  }

const scatterMulJvp: JvpRule<"scatter_mul"> = (p, [x, indices, updates], [dx, , dUpdates]) => {
  if (dUpdates !== null && !p.unique_indices) {
    throw new TraceError({
      transform: "jvp",
      reason: "scatter_mul has no derivative by its updates unless its index vectors are known to be distinct",
      hint: "pass unique_indices: true if they are"
    })
  }
  return [addTangents(
    dx && scatterMul(dx, indices, updates, p),
    dUpdates && mul(x, scatterAdd(zerosLike(x), indices, dUpdates, p))
  )]
}

// ---------------------------------------------------------------------------------------------------------------------
// Dynamic slices
// ---------------------------------------------------------------------------------------------------------------------

/** Scalar starts, of which some are mapped, as one index vector for every element of the mapped axis. */
const startVectors = (starts: Tensors, axes: Axes, size: number): Tensor => {
  const same = starts.every((s) => s.dtype === starts[0].dtype)
  return concatenate(
    starts.map((s, i) => {
      const start = same ? s : convertElementType(s, "int32")
      return axes[i] === null ? broadcastInDim(start, [size, 1], []) : reshape(start, [size, 1])
    }),
    1
  )
}

const batchDynamicSlice: BatchRule<"dynamic_slice"> = (
  { slice_sizes },
  [x, ...starts],
  [xAt, ...startsAt],
  { size }
) => {
  if (xAt !== null && startsAt.every((at) => at === null)) {
    const zero = literal(0, "int32")
    return batchedAt([dynamicSlice(x, starts.toSpliced(xAt, 0, zero), slice_sizes.toSpliced(xAt, 0, size))], xAt)
  }
  const axes = Shape.range(slice_sizes.length)
  const whole: GatherParams = {
    dimension_numbers: {
      offset_dims: axes,
      collapsed_slice_dims: [],
      start_index_map: axes,
      operand_batching_dims: [],
      start_indices_batching_dims: []
    },
    slice_sizes,
    mode: "clip",
    fill_value: null
  }
  return batchGather(whole, [x, startVectors(starts, startsAt, size)], [xAt, 0])
}

const batchDynamicUpdateSlice: BatchRule<"dynamic_update_slice"> = (_, [x, update, ...starts], axes, axis) => {
  const [xAt, updateAt, ...startsAt] = axes
  if (startsAt.every((at) => at === null)) {
    const at = xAt ?? updateAt ?? 0
    const operands = [placeAxis(x, xAt, axis.size, at), placeAxis(update, updateAt, axis.size, at)] as const
    return batchedAt([dynamicUpdateSlice(...operands, starts.toSpliced(at, 0, literal(0, "int32")))], at)
  }
  const dims = Shape.range(starts.length)
  const whole: ScatterParams = {
    dimension_numbers: {
      update_window_dims: dims,
      inserted_window_dims: [],
      scatter_dims_to_operand_dims: dims,
      operand_batching_dims: [],
      scatter_indices_batching_dims: []
    },
    mode: "clip",
    unique_indices: true
  }
  const indices = startVectors(starts, startsAt, axis.size)
  return batchScatter(scatter)(whole, [x, indices, update], [xAt, 0, updateAt], axis)
}

// ---------------------------------------------------------------------------------------------------------------------
// The rules
// ---------------------------------------------------------------------------------------------------------------------

/** Only the elements that are read count, not the rest of the operand. */
const costOfReading = (e: Operands): Cost => ({
  flops: 0,
  bytes: traffic({ inputs: [...e.inputs.slice(1), ...e.outputs], outputs: e.outputs })
})

const costOfScatter = costs((e) => count(e.inputs[2]))

/** Rules of the indexing primitives. */
export const indexing: RuleTable<keyof Params> = {
  dynamic_slice: {
    jvp: partials<Params["dynamic_slice"]>((g, [, ...starts], _, { slice_sizes }) =>
      dynamicSlice(g, starts, slice_sizes)
    ),
    transpose: transposeFirst((ct, x, _, [, ...starts]) =>
      dynamicUpdateSlice(zerosLike({ aval: x }), ct, known(starts))
    ),
    batch: batchDynamicSlice,
    cost: costOfReading
  },
  dynamic_update_slice: {
    jvp: (_, [x, update, ...starts], [dx, dUpdate]) => [
      dx === null && dUpdate === null
        ? null
        : dynamicUpdateSlice(instantiate(dx, x), instantiate(dUpdate, update), starts)
    ],
    transpose: (_, [ct], [x, update, ...rest]) => {
      const starts = known(rest)
      const toOperand = (ct: Tensor) => dynamicUpdateSlice(ct, zerosLike(update), starts)
      const toUpdate = (ct: Tensor) => dynamicSlice(ct, starts, update.aval.shape)
      return [
        ct && isLinear(x) ? toOperand(ct) : null,
        ct && isLinear(update) ? toUpdate(ct) : null,
        ...rest.map(() => null)
      ]
    },
    batch: batchDynamicUpdateSlice,
    cost: costOfMoving
  },
  gather: {
    jvp: partials<GatherParams>((g, [, indices], _, params) => gather(g, indices, { ...params, fill_value: 0 })),
    transpose: transposeFirst<GatherParams>((ct, x, params, [, indices]) =>
      isLinear(indices) ? null : scatterAdd(zerosLike({ aval: x }), indices, ct, toScatter(params))
    ),
    batch: batchGather,
    cost: costOfReading
  },
  scatter: {
    jvp: scatterJvp,
    transpose: transposeScatter((ct, indices, updates, p) => scatter(ct, indices, zerosLike({ aval: updates }), p)),
    batch: batchScatter(scatter),
    cost: costOfMoving
  },
  scatter_add: {
    jvp: (p, [x, indices], [dx, , dUpdates]) => [
      dUpdates === null ? dx : scatterAdd(instantiate(dx, x), indices, dUpdates, p)
    ],
    transpose: transposeScatter((ct) => ct),
    batch: batchScatter(scatterAdd),
    cost: costOfScatter
  },
  scatter_mul: {
    jvp: scatterMulJvp,
    transpose: transposeFirst<ScatterParams>((ct, _, p, [, ...rest]) => {
      const [indices, updates] = known(rest)
      return scatterMul(ct, indices, updates, p)
    }),
    batch: batchScatter(scatterMul),
    cost: costOfScatter
  },
  scatter_min: { jvp: extremalJvp(scatterMin), transpose: null, batch: batchScatter(scatterMin), cost: costOfScatter },
  scatter_max: { jvp: extremalJvp(scatterMax), transpose: null, batch: batchScatter(scatterMax), cost: costOfScatter }
}
