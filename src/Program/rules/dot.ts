/**
 * What the interpreters know of `dot_general`. Both of its transposes are dot products again: the cotangent is
 * contracted with the other operand over that operand's free axes, and the axes are put back in order.
 */
import { freeAxes, type Params } from "../../Tensor/lax/dot.ts"
import { type DotDimensionNumbers, dotGeneral, transpose } from "../../Tensor/lax/index.ts"
import * as Shape from "../../Tensor/Shape.ts"
import type { Tensor } from "../../Tensor/Tensor.ts"
import type { BatchRule, RuleTable } from "../Primitive.ts"
import { bilinear } from "./bilinear.ts"
import { batchedAt, costs, count, past } from "./support.ts"

type Dot = Params["dot_general"]

const apply = (x: Tensor, y: Tensor, p: Dot): Tensor => dotGeneral(x, y, p.dimension_numbers, p.preferred_element_type)

/**
 * The cotangent, of rank `rank`, of the operand whose axes `batch` and `contracting` are named first, the other operand
 * being `y`. In the cotangent of the product y's free axes begin at `free`.
 */
const transposed = (
  cotangent: Tensor,
  rank: number,
  y: Tensor,
  [xb, yb]: DotDimensionNumbers["batch"],
  [xc, yc]: DotDimensionNumbers["contracting"],
  free: number
): Tensor => {
  const yFree = freeAxes(y.ndim, yc, yb)
  const product = dotGeneral(cotangent, y, {
    contracting: [yFree.map((_, i) => free + i), yFree],
    batch: [Shape.range(xb.length), yb]
  })
  // The product's axes are the batch, x's free axes, and y's contracted axes in the order they have in y.
  const contracted = Shape.range(yc.length).toSorted((i, j) => yc[i] - yc[j]).map((i) => xc[i])
  const axes = [...xb, ...freeAxes(rank, xc, xb), ...contracted]
  return transpose(product, Shape.range(rank).map((axis) => axes.indexOf(axis)))
}

/** One mapped operand: its mapped axis becomes one more free axis. Both: one more batch axis, the first. */
const batch: BatchRule<"dot_general"> = (params, [x, y], [xAt, yAt]) => {
  const { batch: [xb, yb], contracting: [xc, yc] } = params.dimension_numbers
  const shifted = (axes: ReadonlyArray<number>, at: number | null) => at === null ? axes : axes.map(past(at))
  const [xBatch, yBatch] = [shifted(xb, xAt), shifted(yb, yAt)]
  const [xContracting, yContracting] = [shifted(xc, xAt), shifted(yc, yAt)]
  const both = xAt !== null && yAt !== null
  const out = apply(x, y, {
    ...params,
    dimension_numbers: {
      batch: both ? [[xAt, ...xBatch], [yAt, ...yBatch]] : [xBatch, yBatch],
      contracting: [xContracting, yContracting]
    }
  })
  if (both) return batchedAt([out], 0)
  const xFree = freeAxes(x.ndim, xContracting, xBatch)
  const at = xAt === null
    ? xFree.length + freeAxes(y.ndim, yContracting, yBatch).findIndex((axis) => axis === yAt)
    : xFree.indexOf(xAt)
  return batchedAt([out], xb.length + at)
}

/** Rules of the dot product. */
export const dot: RuleTable<keyof Params> = {
  dot_general: {
    ...bilinear<Dot>(
      apply,
      (cotangent, x, y, { dimension_numbers: { batch, contracting } }) =>
        transposed(cotangent, x.shape.length, y, batch, contracting, x.shape.length - contracting[0].length),
      (cotangent, y, x, { dimension_numbers: { batch: [xb, yb], contracting: [xc, yc] } }) =>
        transposed(cotangent, y.shape.length, x, [yb, xb], [yc, xc], xb.length)
    ),
    batch,
    cost: (e) => {
      const x = e.inputs[0].aval.shape
      const contracted = e.params.dimension_numbers.contracting[0].map((axis) => x[axis])
      return costs(() => 2 * count(e.outputs[0]) * Shape.size(contracted))(e)
    }
  }
}
