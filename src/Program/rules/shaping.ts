/**
 * Rules of the primitives that move elements. All of them are linear; what moves an element forward, moved back, is the
 * transpose.
 */
import * as lax from "../../Tensor/lax/index.ts"
import type { PaddingConfig, Params } from "../../Tensor/lax/shaping.ts"
import * as Shape from "../../Tensor/Shape.ts"
import { literal, type Tensor } from "../../Tensor/Tensor.ts"
import { type Batched, isLinear, type Linear, type MappedAxis, type RuleTable, type Tangent } from "../Primitive.ts"
import {
  batchedAt,
  batchFronted,
  batchInPlace,
  costOfMoving,
  full,
  insertAxis,
  linearJvp,
  past,
  placeAxis,
  transposeFirst,
  where,
  zerosLike
} from "./support.ts"

type PadParams = Params["pad"]

/** Where a padded array holds padding: a bool array of the result's shape. */
const paddingMask = (shape: Shape.Shape, config: ReadonlyArray<PaddingConfig>): Tensor =>
  lax.pad(full(shape, "bool", 0), literal(1, "bool"), config)

/** Takes padding away again: the padding is cropped, the holes between elements skipped. */
const unpad = (x: Tensor, config: ReadonlyArray<PaddingConfig>): Tensor => {
  const cropped = lax.pad(x, literal(0, x.dtype, true), config.map(([low, high]) => [-low, -high, 0]))
  return lax.slice(cropped, cropped.shape.map(() => 0), cropped.shape, config.map((c) => c[2] + 1))
}

const transposePad = (
  { padding_config }: PadParams,
  [ct]: ReadonlyArray<Tangent>,
  [x, value]: ReadonlyArray<Tensor | Linear>
): ReadonlyArray<Tangent> => {
  if (ct === null) return [null, null]
  return [
    isLinear(x) ? unpad(ct, padding_config) : null,
    isLinear(value) ? lax.reduceSum(where(paddingMask(x.aval.shape, padding_config), ct, zerosLike(ct))) : null
  ]
}

/** A mapped padding value fills the padding afterwards, through a mask: the primitive pads with one scalar. */
const batchPad = (
  { padding_config }: PadParams,
  [x, value]: ReadonlyArray<Tensor>,
  [xAxis, valueAxis]: ReadonlyArray<number | null>,
  { size }: MappedAxis
): Batched => {
  const config: ReadonlyArray<PaddingConfig> = [[0, 0, 0], ...padding_config]
  const operand = placeAxis(x, xAxis, size, 0)
  if (valueAxis === null) return batchedAt([lax.pad(operand, value, config)], 0)
  const padded = lax.pad(operand, literal(0, x.dtype, true), config)
  const values = lax.broadcastInDim(value, padded.shape, [0])
  return batchedAt([where(paddingMask(operand.shape, config), values, padded)], 0)
}

const transposeConcatenate = (
  { dimension }: Params["concatenate"],
  [ct]: ReadonlyArray<Tangent>,
  inputs: ReadonlyArray<Tensor | Linear>
): ReadonlyArray<Tangent> => {
  const sizes = inputs.map((x) => x.aval.shape[dimension])
  return inputs.map((x, i) => {
    if (ct === null || !isLinear(x)) return null
    const start = sizes.slice(0, i).reduce((a, b) => a + b, 0)
    const bound = (at: number, rest: Shape.Shape): Shape.Shape => rest.map((d, axis) => axis === dimension ? at : d)
    return lax.slice(ct, bound(start, ct.shape.map(() => 0)), bound(start + sizes[i], ct.shape))
  })
}

/** Sums an array back to the shape that it was broadcast from. */
const unbroadcast = (ct: Tensor, shape: Shape.Shape, dimensions: ReadonlyArray<number>): Tensor => {
  const summed = Shape.range(ct.ndim).filter((i) => {
    const from = dimensions.indexOf(i)
    return from < 0 || (shape[from] === 1 && ct.shape[i] !== 1)
  })
  return lax.reshape(lax.reduceSum(ct, summed), shape)
}

/** Undoes `slice`: the elements at their places, zeros around and between them. */
const unslice = (ct: Tensor, shape: Shape.Shape, { start_indices, strides }: Params["slice"]): Tensor =>
  lax.pad(
    ct,
    literal(0, ct.dtype, true),
    shape.map((d, i) => {
      const n = ct.shape[i]
      const covered = n === 0 ? 0 : (n - 1) * strides[i] + 1
      const low = n === 0 ? d : start_indices[i]
      return [low, d - covered - low, strides[i] - 1]
    })
  )

const inverse = (permutation: ReadonlyArray<number>): ReadonlyArray<number> =>
  permutation.map((_, i) => permutation.indexOf(i))

const insert = (list: ReadonlyArray<number>, at: number, value: number): ReadonlyArray<number> => [
  ...list.slice(0, at),
  value,
  ...list.slice(at)
]

const permute = (x: Tensor, p: Params["transpose"]): Tensor => lax.transpose(x, p.permutation)
const broadcast = (x: Tensor, p: Params["broadcast_in_dim"]): Tensor =>
  lax.broadcastInDim(x, p.shape, p.broadcast_dimensions)
const cut = (x: Tensor, p: Params["slice"]): Tensor => lax.slice(x, p.start_indices, p.limit_indices, p.strides)

/** The rules of the primitives that move elements. */
export const shaping: RuleTable<keyof Params> = {
  broadcast_in_dim: {
    jvp: linearJvp(([t], p) => broadcast(t, p)),
    transpose: transposeFirst((ct, x, p) => unbroadcast(ct, x.shape, p.broadcast_dimensions)),
    batch: batchFronted(([x], p, size) =>
      lax.broadcastInDim(x, [size, ...p.shape], [0, ...p.broadcast_dimensions.map((d) => d + 1)])
    ),
    cost: costOfMoving
  },
  reshape: {
    jvp: linearJvp(([t], p) => lax.reshape(t, p.new_sizes)),
    transpose: transposeFirst((ct, x) => lax.reshape(ct, x.shape)),
    batch: batchFronted(([x], p, size) => lax.reshape(x, [size, ...p.new_sizes])),
    cost: costOfMoving
  },
  squeeze: {
    jvp: linearJvp(([t], p) => lax.squeeze(t, p.dimensions)),
    transpose: transposeFirst((ct, x) => lax.reshape(ct, x.shape)),
    batch: batchFronted(([x], p) => lax.squeeze(x, p.dimensions.map((d) => d + 1))),
    cost: costOfMoving
  },
  transpose: {
    jvp: linearJvp(([t], p) => permute(t, p)),
    transpose: transposeFirst((ct, _, p) => lax.transpose(ct, inverse(p.permutation))),
    batch: (p, [x], [axis]) => {
      const at = axis ?? 0
      return batchedAt([lax.transpose(x, [at, ...p.permutation.map(past(at))])], 0)
    },
    cost: costOfMoving
  },
  slice: {
    jvp: linearJvp(([t], p) => cut(t, p)),
    transpose: transposeFirst((ct, x, p) => unslice(ct, x.shape, p)),
    batch: batchInPlace((x, p, at) =>
      lax.slice(
        x,
        insert(p.start_indices, at, 0),
        insert(p.limit_indices, at, x.shape[at]),
        insert(p.strides, at, 1)
      )
    ),
    cost: costOfMoving
  },
  concatenate: {
    jvp: linearJvp((ts, p) => lax.concatenate(ts, p.dimension)),
    transpose: transposeConcatenate,
    batch: batchFronted((xs, p) => lax.concatenate(xs, p.dimension + 1)),
    cost: costOfMoving
  },
  pad: {
    jvp: linearJvp(([t, value], p) => lax.pad(t, value, p.padding_config)),
    transpose: transposePad,
    batch: batchPad,
    cost: costOfMoving
  },
  rev: {
    jvp: linearJvp(([t], p) => lax.rev(t, p.dimensions)),
    transpose: transposeFirst((ct, _, p) => lax.rev(ct, p.dimensions)),
    batch: batchInPlace((x, p, at) => lax.rev(x, p.dimensions.map(past(at)))),
    cost: costOfMoving
  },
  iota: {
    jvp: null,
    transpose: null,
    batch: (p, _, __, { size }) => batchedAt([insertAxis(lax.iota(p.dtype, p.shape, p.dimension), size, 0)], 0),
    cost: costOfMoving
  }
}
