/**
 * Irregular operations: those that are no loop over an index space. Each is one function over all that its equation
 * says; results never share memory with operands, except that a scatter or an updated slice may be made in place.
 */
import type { Emission, Emitted } from "../emission.ts"
import type { Irregular } from "../ir.ts"
import { argument } from "./argument.ts"
import { concatenate, pad } from "./copying.ts"
import { cumulative } from "./cumulative.ts"
import { dynamicSlice, dynamicUpdateSlice, gather, scatter } from "./indexing.ts"
import { selectAndGatherAdd, selectAndScatterAdd } from "./selection.ts"
import { sort, topK } from "./sorting.ts"
import { reduceWindow } from "./windows.ts"

/** Writes the function of an irregular operation. */
export const emitIrregular = (e: Emission, irregular: Irregular): Emitted => {
  const { equation } = irregular
  switch (equation.primitive) {
    case "gather":
      return gather(e, irregular, equation)
    case "scatter":
    case "scatter_add":
    case "scatter_mul":
    case "scatter_min":
    case "scatter_max":
      return scatter(e, irregular, equation)
    case "dynamic_slice":
      return dynamicSlice(e, irregular, equation)
    case "dynamic_update_slice":
      return dynamicUpdateSlice(e, irregular, equation)
    case "sort":
      return sort(e, irregular, equation)
    case "top_k":
      return topK(e, irregular, equation)
    case "cumsum":
    case "cumprod":
    case "cummax":
    case "cummin":
    case "cumlogsumexp":
      return cumulative(e, irregular, equation)
    case "argmax":
    case "argmin":
      return argument(e, irregular, equation)
    case "reduce_window_sum":
    case "reduce_window_max":
    case "reduce_window_min":
      return reduceWindow(e, irregular, equation)
    case "select_and_scatter_add":
      return selectAndScatterAdd(e, irregular, equation)
    case "select_and_gather_add":
      return selectAndGatherAdd(e, irregular, equation)
    case "concatenate":
      return concatenate(e, irregular, equation)
    case "pad":
      return pad(e, irregular, equation)
    default:
      throw new Error(`${equation.primitive} is no irregular operation`)
  }
}
