/**
 * Combinators that rules are made of, so that a primitive's derivatives, batching and cost take a line or two each.
 *
 * Words: a *tangent* or *cotangent* is null where it is a symbolic zero; a *mapped* axis is the extra axis that a
 * batching rule carries through; *fronting* puts it first.
 */
import type { DType } from "../../Tensor/DType.ts"
import * as lax from "../../Tensor/lax/index.ts"
import * as Shape from "../../Tensor/Shape.ts"
import * as ShapedArray from "../../Tensor/ShapedArray.ts"
import { literal, type Tensor } from "../../Tensor/Tensor.ts"
import { type Batched, type Cost, isLinear, type Linear, type MappedAxis, type Tangent } from "../Primitive.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Values
// ---------------------------------------------------------------------------------------------------------------------

type Tensors = ReadonlyArray<Tensor>
type Axes = ReadonlyArray<number | null>

/** `value` in every element. Weakly typed, so that it never changes the weakness of what it meets. */
export const full = (shape: Shape.Shape, dtype: DType, value: number): Tensor =>
  lax.broadcastTo(literal(value, dtype, true), shape)

/** `value` in every element of an array like `x`, as weakly typed as `x` is. */
export const fullLike = (x: { readonly aval: ShapedArray.ShapedArray }, value: number): Tensor =>
  lax.broadcastTo(literal(value, x.aval.dtype, x.aval.weakType), x.aval.shape)

/** Zeros like `x`. */
export const zerosLike = (x: { readonly aval: ShapedArray.ShapedArray }): Tensor => fullLike(x, 0)

/** x · value. */
export const scale = (x: Tensor, value: number): Tensor => lax.mul(x, fullLike(x, value))

/** x + value. */
export const shift = (x: Tensor, value: number): Tensor => lax.add(x, fullLike(x, value))

/** `yes` where the bool `mask` is true, `no` elsewhere. */
export const where = (mask: Tensor, yes: Tensor, no: Tensor): Tensor => lax.selectN(mask, no, yes)

/**
 * Elements of `x` at `indices` (int32) along one axis: `out[..., i, ...] = x[..., indices[..., i, ...], ...]`. Both
 * have the same sizes along all other axes, and no index is out of range.
 */
export const takeAlongAxis = (x: Tensor, indices: Tensor, axis: number): Tensor => {
  const others = Shape.range(x.ndim).filter((i) => i !== axis)
  return lax.gather(x, lax.reshape(indices, [...indices.shape, 1]), {
    dimension_numbers: {
      offset_dims: [],
      collapsed_slice_dims: [axis],
      start_index_map: [axis],
      operand_batching_dims: others,
      start_indices_batching_dims: others
    },
    slice_sizes: x.shape.map(() => 1),
    mode: "promise_in_bounds",
    fill_value: null
  })
}

// ---------------------------------------------------------------------------------------------------------------------
// Tangents
// ---------------------------------------------------------------------------------------------------------------------

/** The tangent as an array: zeros like `x` where it is a symbolic zero. */
export const instantiate = (t: Tangent, x: { readonly aval: ShapedArray.ShapedArray }): Tensor => t ?? zerosLike(x)

/** The sum of tangents. */
export const addTangents = (...ts: ReadonlyArray<Tangent>): Tangent =>
  ts.reduce((a, b) => a === null ? b : b === null ? a : lax.add(a, b), null)

/** One partial derivative: the output tangent that the tangent `g` of one input gives. */
export type Partial<P> = (g: Tensor, primals: Tensors, out: Tensor, params: P) => Tangent

/** A jvp rule from one partial derivative an input (null: zero), of a primitive with one output. */
export const partials =
  <P = unknown>(...each: ReadonlyArray<Partial<P> | null>) =>
  (params: P, primals: Tensors, tangents: ReadonlyArray<Tangent>, outputs: Tensors): ReadonlyArray<Tangent> => [
    addTangents(...tangents.map((g, i) => {
      const partial = each[i] ?? null
      return g === null || partial === null ? null : partial(g, primals, outputs[0], params)
    }))
  ]

/** The jvp rule of a primitive that is linear in all its inputs together: it is applied to the tangents. */
export const linearJvp =
  <P = unknown>(apply: (xs: Tensors, params: P) => Tensor) =>
  (params: P, primals: Tensors, tangents: ReadonlyArray<Tangent>): ReadonlyArray<Tangent> => [
    tangents.every((t) => t === null) ? null : apply(tangents.map((t, i) => instantiate(t, primals[i])), params)
  ]

/**
 * The transpose rule of a primitive with one linear operand, the first, and one output: `back` gives its cotangent. All
 * other operands are ordinary arrays.
 */
export const transposeFirst = <P = unknown>(
  back: (ct: Tensor, x: ShapedArray.ShapedArray, params: P, inputs: ReadonlyArray<Tensor | Linear>) => Tangent
) =>
(
  params: P,
  cotangents: ReadonlyArray<Tangent>,
  inputs: ReadonlyArray<Tensor | Linear>
): ReadonlyArray<Tangent> => {
  const ct = cotangents[0]
  const x = inputs[0]
  return inputs.map((_, i) => i === 0 && ct !== null && isLinear(x) ? back(ct, x.aval, params, inputs) : null)
}

// ---------------------------------------------------------------------------------------------------------------------
// Batching
// ---------------------------------------------------------------------------------------------------------------------

/** `x` with its axis `from` moved to place `to`. */
export const moveAxis = (x: Tensor, from: number, to: number): Tensor => {
  if (from === to) return x
  const rest = Shape.range(x.ndim).filter((i) => i !== from)
  return lax.transpose(x, [...rest.slice(0, to), from, ...rest.slice(to)])
}

/** `x` repeated `size` times along a new axis at place `at`. */
export const insertAxis = (x: Tensor, size: number, at: number): Tensor =>
  lax.broadcastInDim(
    x,
    [...x.shape.slice(0, at), size, ...x.shape.slice(at)],
    Shape.range(x.ndim).map((i) => i < at ? i : i + 1)
  )

/** `x` with its mapped axis at place `to`: moved there, or made by repeating. */
export const placeAxis = (x: Tensor, from: number | null, size: number, to: number): Tensor =>
  from === null ? insertAxis(x, size, to) : moveAxis(x, from, to)

/** All inputs with their mapped axes first. Unmapped ones are repeated. */
export const front = (inputs: Tensors, axes: Axes, size: number): Tensors =>
  inputs.map((x, i) => placeAxis(x, axes[i], size, 0))

/** The place of an unbatched axis in an array with a mapped axis at `at`. */
export const past = (at: number) => (axis: number): number => axis < at ? axis : axis + 1

/** Results that all have their mapped axis at one place. */
export const batchedAt = (outputs: Tensors, at: number): Batched => ({ outputs, axes: outputs.map(() => at) })

/** The first mapped axis among inputs, of which at least one is mapped. */
export const firstMapped = (axes: Axes): number => axes.find((a) => a !== null) ?? 0

/** The batching rule of an elementwise primitive: mapped axes are brought to one place, unmapped inputs repeated. */
export const batchElementwise =
  <P = unknown>(apply: (xs: Tensors, params: P) => Tensors) =>
  (params: P, inputs: Tensors, axes: Axes, axis: MappedAxis): Batched => {
    const at = firstMapped(axes)
    return batchedAt(apply(inputs.map((x, i) => placeAxis(x, axes[i], axis.size, at)), params), at)
  }

/**
 * The batching rule of a primitive with one output that is applied to fronted inputs with rewritten parameters; its
 * output has the mapped axis first.
 */
export const batchFronted =
  <P = unknown>(apply: (xs: Tensors, params: P, size: number) => Tensor) =>
  (params: P, inputs: Tensors, axes: Axes, axis: MappedAxis): Batched =>
    batchedAt([apply(front(inputs, axes, axis.size), params, axis.size)], 0)

/** The batching rule of a primitive of one input and one output that keeps the mapped axis where it is. */
export const batchInPlace =
  <P = unknown>(apply: (x: Tensor, params: P, at: number) => Tensor) =>
  (params: P, inputs: Tensors, axes: Axes): Batched => {
    const at = firstMapped(axes)
    return batchedAt([apply(inputs[0], params, at)], at)
  }

// ---------------------------------------------------------------------------------------------------------------------
// Cost
// ---------------------------------------------------------------------------------------------------------------------

/** What cost rules look at. */
export interface Operands {
  readonly inputs: ReadonlyArray<{ readonly aval: ShapedArray.ShapedArray }>
  readonly outputs: ReadonlyArray<{ readonly aval: ShapedArray.ShapedArray }>
}

/** Elements of an operand. */
export const count = (x: { readonly aval: ShapedArray.ShapedArray }): number => Shape.size(x.aval.shape)

/** Bytes of all inputs and outputs. */
export const traffic = (e: Operands): number =>
  [...e.inputs, ...e.outputs].reduce((n, x) => n + ShapedArray.byteSize(x.aval), 0)

/** A cost rule: every input is read once, every output written once, and so many operations are done. */
export const costs = <E extends Operands>(flops: (e: E) => number) => (e: E): Cost => ({
  flops: flops(e),
  bytes: traffic(e)
})

/** One operation an element of the first output. */
export const costPerOutput = costs((e) => count(e.outputs[0]))

/** One operation an element of the first input. */
export const costPerInput = costs((e) => count(e.inputs[0]))

/** Only bytes move. */
export const costOfMoving = costs(() => 0)
