/**
 * Picks: gathers that read one element a row, where a computed index names it along one axis (`takeAlongAxis` of one
 * index, a label's logit), and the scatters that are their derivatives. They are expressions: a load at a computed
 * place, and a choice between an element and its update, so no array of updates is ever written.
 */
import type { Value } from "./region.ts"

/** One axis is indexed; every other axis of the operand goes with an axis of the indices. */
export interface Pick {
  /** The operand's axis that the index counts along. */
  readonly axis: number
  /** For each other operand axis, the axis of the indices. */
  readonly batch: ReadonlyArray<readonly [operand: number, indices: number]>
  /** What an index out of range means: the nearest element, or none. */
  readonly clips: boolean
}

/** The pick that a gather is; undefined if it reads more than one element an index. */
export const gatherPick = ({ node }: Value): Pick | undefined => {
  if (node?.equation.primitive !== "gather") return undefined
  const { dimension_numbers: d, mode, slice_sizes: sizes } = node.equation.params
  const { shape } = node.inputs[0].aval
  const single = d.start_index_map.length === 1 && d.offset_dims.length === 0 && sizes.every((n) => n === 1) &&
    d.operand_batching_dims.length === shape.length - 1
  if (!single || node.inputs[0].aval.shape[d.start_index_map[0]] === 0) return undefined
  return {
    axis: d.start_index_map[0],
    batch: d.operand_batching_dims.map((axis, i) => [axis, d.start_indices_batching_dims[i]]),
    clips: mode !== "fill_or_drop"
  }
}

/** The pick that a scatter_add undoes; undefined if an element could be updated twice. */
export const scatterPick = ({ node }: Value): Pick | undefined => {
  if (node?.equation.primitive !== "scatter_add") return undefined
  const { dimension_numbers: d, mode } = node.equation.params
  const [operand, indices] = node.inputs
  const { shape } = operand.aval
  const batchShape = indices.aval.shape.slice(0, -1)
  const once = batchShape.every((n, i) => n === 1 || d.scatter_indices_batching_dims.includes(i))
  const single = d.scatter_dims_to_operand_dims.length === 1 && d.update_window_dims.length === 0 &&
    d.operand_batching_dims.length === shape.length - 1
  if (!single || !once) return undefined
  return {
    axis: d.scatter_dims_to_operand_dims[0],
    batch: d.operand_batching_dims.map((axis, i) => [axis, d.scatter_indices_batching_dims[i]]),
    clips: mode === "clip"
  }
}
