/**
 * Which state a compiled function writes over: a Variable's new arrays may take the place of the old ones, if nobody else
 * holds those. Found once, when the function is traced; before every run it is asked again who holds what.
 */
import type { Alias } from "../Backend/Backend.ts"
import type { Split } from "../GraphDef/updateContext.ts"
import type { Cell } from "../Program/Trace.ts"
import { cellOf } from "../Ref/Variable.ts"
import * as Shape from "../Tensor/Shape.ts"
import { type Call, layout } from "./lift.ts"

/** An input that an output replaces: state, of the Variable among the arguments or of the one that is closed over. */
export interface Replaced {
  readonly alias: Alias
  readonly holder: { readonly argument: number } | { readonly cell: Cell }
}

/** Where each of several groups begins, the first one at `at`. */
const starts = (counts: ReadonlyArray<number>, at: number): ReadonlyArray<number> => {
  const out: Array<number> = []
  let next = at
  for (const count of counts) {
    out.push(next)
    next += count
  }
  return out
}

/**
 * The inputs that are overwritten by an output of the same shape and dtype: state that a stable function reads and
 * writes.
 */
export const replacedState = (c: Call, used: ReadonlyArray<number>): ReadonlyArray<Replaced> => {
  const { captures, program, reads, writes } = c.discharged
  const inputs = new Map(used.map((position, i) => [position, i]))
  const out: Array<Replaced> = []
  const replace = (output: number, position: number, holder: Replaced["holder"]): void => {
    const input = inputs.get(position)
    const [to, from] = [program.outputs[output].aval, program.inputs[position].aval]
    if (input === undefined || to.dtype !== from.dtype || !Shape.equals(to.shape, from.shape)) return
    inputs.delete(position)
    out.push({ alias: [output, input], holder })
  }
  const readStarts = starts(reads.map((slot) => slot.initial.leaves.length), captures.length)
  const leafStarts = starts(c.arguments.leaves.map((l) => l.arrays.length), layout(c).argumentsAt)
  let next = 0
  for (const r of c.results) {
    if (r.unchanged) continue
    if (
      r.argument !== undefined && r.leaf._tag === "Variable" &&
      c.arguments.leaves[r.argument].arrays.length === r.arrays.length
    ) {
      for (let k = 0; k < r.arrays.length; k++) replace(next + k, leafStarts[r.argument] + k, { argument: r.argument })
    }
    next += r.arrays.length
  }
  for (const { leaves, slot } of writes) {
    const read = reads.indexOf(slot)
    if (read >= 0 && slot.initial.leaves.length === leaves) {
      for (let k = 0; k < leaves; k++) replace(next + k, readStarts[read] + k, { cell: slot.cell })
    }
    next += leaves
  }
  return out
}

/** Which inputs a run may overwrite: those of Variables whose arrays nobody else holds. */
export const donations = (
  replaced: ReadonlyArray<Replaced>,
  flat: Split,
  count: number
): ReadonlyArray<boolean> => {
  const out: Array<boolean> = []
  for (let i = 0; i < count; i++) out.push(false)
  for (let i = 0; i < replaced.length; i++) {
    const { alias, holder } = replaced[i]
    const cell = "cell" in holder ? holder.cell : cellOfLeaf(flat, holder.argument)
    out[alias[1]] = cell !== undefined && cell.shared === false
  }
  return out
}

const cellOfLeaf = (flat: Split, at: number): Cell | undefined => {
  const leaf = flat.leaves[at]
  return leaf._tag === "Variable" ? cellOf(leaf.variable) : undefined
}
