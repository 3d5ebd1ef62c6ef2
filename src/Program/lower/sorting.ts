/**
 * Sorting, and the largest elements.
 */
import * as DType from "../../Tensor/DType.ts"
import * as lax from "../../Tensor/lax/index.ts"
import type { Params } from "../../Tensor/lax/sorting.ts"
import type { Tensor } from "../../Tensor/Tensor.ts"
import { list, type Lowering, type LoweringTable, type Meaning, signature } from "./Block.ts"
import { formatResults, formatType, typeOf } from "./text.ts"

const isNaN = (x: Tensor): Tensor => lax.ne(x, x)

/** Comes x before y? nan is last; -0 and 0 are equal. */
const before = (x: Tensor, y: Tensor): Tensor =>
  DType.isFloat(x.dtype) ? lax.or(lax.lt(x, y), lax.and(lax.eq(x, x), isNaN(y))) : lax.lt(x, y)

const tied = (x: Tensor, y: Tensor): Tensor =>
  DType.isFloat(x.dtype) ? lax.or(lax.eq(x, y), lax.and(isNaN(x), isNaN(y))) : lax.eq(x, y)

/** The comparator of the first `keys` operands; its arguments are two elements of each operand. */
const comparator = (keys: number): Meaning => (args) => {
  const from = (key: number): Tensor => {
    const [x, y] = [args[2 * key], args[2 * key + 1]]
    return key === keys - 1 ? before(x, y) : lax.or(before(x, y), lax.and(tied(x, y), from(key + 1)))
  }
  return [from(0)]
}

const sort: Lowering<"sort"> = (block, inputs, { params: { dimension, is_stable, num_keys } }) => {
  const types = inputs.map((x) => x.type)
  const scalars = types.flatMap((t) => [typeOf([], t.dtype), typeOf([], t.dtype)])
  return block.emit(types, [
    "\"stablehlo.sort\"(",
    ...list(inputs),
    `) <{dimension = ${dimension} : i64, is_stable = ${is_stable}}> ({`,
    block.region(scalars, comparator(num_keys)),
    `}) : ${signature(inputs, types)}`
  ])
}

/** Lowerings of the sorting primitives. */
export const sorting: LoweringTable<keyof Params> = {
  sort,
  top_k: (block, [x], { outputs, params: { k } }) => {
    const types = outputs.map((o) => o.aval)
    const rest = `, k = ${k}) : ${formatType(x.type)} -> ${formatResults(types)}`
    return block.emit(types, ["chlo.top_k(", x, rest], ["values", "indices"])
  }
}
