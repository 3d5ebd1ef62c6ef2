/**
 * Rules of the sorts. A tangent follows its element: positions are sorted along, and the tangents are gathered by them.
 */
import * as lax from "../../Tensor/lax/index.ts"
import type { Params } from "../../Tensor/lax/sorting.ts"
import type { Tensor } from "../../Tensor/Tensor.ts"
import type { RuleTable } from "../Primitive.ts"
import {
  batchedAt,
  costs,
  count,
  firstMapped,
  moveAxis,
  type Operands,
  past,
  placeAxis,
  takeAlongAxis
} from "./support.ts"

/** Comparisons of a sort along an axis. */
const comparisons = (axis: number) => (e: Operands): number =>
  count(e.inputs[0]) * Math.ceil(Math.log2(Math.max(2, e.inputs[0].aval.shape[axis])))

/** Where each element of the sorted arrays was before. */
const permutation = (xs: ReadonlyArray<Tensor>, { dimension, num_keys }: Params["sort"]): Tensor => {
  const positions = lax.iota("int32", xs[0].shape, dimension)
  return lax.sort([...xs, positions], dimension, num_keys)[xs.length]
}

/** The rules of the sorting primitives. */
export const sorting: RuleTable<keyof Params> = {
  sort: {
    jvp: (params, primals, tangents) => {
      if (tangents.every((t) => t === null) || primals[0].size === 0) return tangents.map(() => null)
      const from = permutation(primals, params)
      return tangents.map((t) => t === null ? null : takeAlongAxis(t, from, params.dimension))
    },
    transpose: null,
    batch: ({ dimension, num_keys }, inputs, axes, { size }) => {
      const at = firstMapped(axes)
      const xs = inputs.map((x, i) => placeAxis(x, axes[i], size, at))
      return batchedAt(lax.sort(xs, past(at)(dimension), num_keys), at)
    },
    cost: (e) => costs(comparisons(e.params.dimension))(e)
  },
  top_k: {
    jvp: (_, [x], [t], [values, indices]) => [
      t === null || values.size === 0 ? null : takeAlongAxis(t, indices, x.ndim - 1),
      null
    ],
    transpose: null,
    batch: ({ k }, [x], axes) => batchedAt(lax.topK(moveAxis(x, firstMapped(axes), 0), k), 0),
    cost: (e) => costs(comparisons(e.inputs[0].aval.shape.length - 1))(e)
  }
}
