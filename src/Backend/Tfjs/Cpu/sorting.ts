/**
 * Sorting: the order of every line is found first, as positions, and then all operands are brought into it.
 */
import type { TypedArray } from "../../../Tensor/DType.ts"
import type { Params } from "../../../Tensor/lax/sorting.ts"
import * as Shape from "../../../Tensor/Shape.ts"
import { type CpuKernels, outputOf } from "./arrays.ts"

/** Ascending; nan after everything; -0 and 0 are equal. */
const compare = (a: number, b: number): number => {
  if (a < b) return -1
  if (a > b) return 1
  if (a === b) return 0
  return (Number.isNaN(a) ? 1 : 0) - (Number.isNaN(b) ? 1 : 0)
}

/** Kernels of sorting. */
export const sorting: CpuKernels<keyof Params> = {
  sort: (equation) => {
    const { dimension, num_keys: numKeys } = equation.params
    const shape = equation.inputs[0].aval.shape
    const n = shape[dimension]
    const inner = Shape.size(shape.slice(dimension + 1))
    const outer = Shape.size(shape.slice(0, dimension))
    return (inputs) => {
      const outs = inputs.map((_, i) => outputOf(equation, i))
      const keys = inputs.slice(0, numKeys)
      const order = Array.from<number>({ length: n })
      for (let line = 0; line < outer * inner; line++) {
        const start = Math.floor(line / inner) * n * inner + line % inner
        for (let i = 0; i < n; i++) order[i] = start + i * inner
        order.sort((a, b) => {
          for (const key of keys) {
            const c = compare(key[a], key[b])
            if (c !== 0) return c
          }
          return a - b
        })
        inputs.forEach((x, k) => gather(x, outs[k], order, start, inner))
      }
      return outs
    }
  },
  top_k: (equation) => {
    const shape = equation.inputs[0].aval.shape
    const n = shape[shape.length - 1]
    const { k } = equation.params
    return ([x]) => {
      const values = outputOf(equation, 0)
      const indices = outputOf(equation, 1)
      const order = Array.from<number>({ length: n })
      for (let line = 0; line * n < x.length; line++) {
        for (let i = 0; i < n; i++) order[i] = line * n + i
        order.sort((a, b) => compare(x[b], x[a]) || a - b)
        for (let i = 0; i < k; i++) {
          values[line * k + i] = x[order[i]]
          indices[line * k + i] = order[i] - line * n
        }
      }
      return [values, indices]
    }
  }
}

const gather = (x: TypedArray, out: TypedArray, order: ReadonlyArray<number>, start: number, inner: number): void => {
  for (let i = 0; i < order.length; i++) out[start + i * inner] = x[order[i]]
}
