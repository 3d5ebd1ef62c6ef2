/** What happens to a part of a convolution's results when it is finished: it goes to its place, and through the epilogue. */
import type { Callable, Code, Local, Module } from "../assembler/index.ts"
import type { Convolution } from "../ir.ts"
import type { Elements } from "./elements.ts"
import type { Dimension } from "./gather.ts"
import { copyLines } from "./image.ts"
import { each, increase, sum, temporary, times } from "./writing.ts"

/** Rows in scratch memory, `rowBytes` apart, and where they go: positions along `axes`, columns along `columns`. */
interface Scattered {
  readonly from: Local
  readonly rowBytes: number
  readonly to: Local
  readonly axes: ReadonlyArray<Dimension>
  readonly columns: { readonly count: Local; readonly bytes: number }
}

/** Writes rows to their places; leaves `from` behind them. */
export const scatter = (
  code: Code,
  module: Module,
  words: Elements,
  { axes, columns, from, rowBytes, to }: Scattered
): void => {
  // Where the result's last axis is a spatial one, its positions are lines, and what is written lies side by side.
  const isLine = columns.bytes !== 4
  const visit = ([axis, ...inner]: ReadonlyArray<Dimension>, at: Local): void => {
    if (inner.length === 0) {
      const [size] = temporary(code, "size")
      sum(code, axis.count).set(size)
      const along = [rowBytes, axis.bytes, size] as const
      const across = [4, columns.bytes, columns.count] as const
      const [line, lines] = isLine ? [along, across] : [across, along]
      code.get(from).i32(line[0]).get(at).i32(line[1]).get(line[2]).get(lines[2]).i32(lines[0]).i32(lines[1])
      code.call(copyLines(module, words, !isLine))
      increase(code, from, [size, rowBytes])
      return
    }
    const [left, here] = temporary(code, "left", "here")
    sum(code, axis.count).set(left).get(at).set(here)
    code.get(left).if(() =>
      times(code, left, () => {
        visit(inner, here)
        increase(code, here, axis.bytes)
      })
    )
  }
  visit(axes, to)
}

type Range = readonly [start: Local, count: Local]

/**
 * Calls the epilogue over a part of the results: a range of the batch, of the features, and of the first spatial axis,
 * and all of the others; as rectangles of the last two axes of the result.
 */
export const writeEpilogue = (
  code: Code,
  { equation }: Convolution,
  epilogue: Callable,
  frame: Local,
  part: readonly [batch: Range, features: Range, outputs: Range]
): void => {
  const { shape } = equation.outputs[0].aval
  const ranges = shape.map((size, axis) => {
    const [start, end] = temporary(code, `start${axis}`, `end${axis}`)
    const at = equation.params.dimension_numbers.out_spec.indexOf(axis)
    if (at > 2) code.i32(0).set(start).i32(size).set(end)
    else code.get(part[at][0]).tee(start).get(part[at][1]).op("i32.add").set(end)
    return [start, end] as const
  })
  const visit = (axis: number, b: Local): void => {
    const [start, end] = ranges[axis]
    if (axis === shape.length - 2) {
      const [last, lastEnd] = ranges[axis + 1]
      code.get(frame).get(b).get(start).get(end).get(last).get(lastEnd).call(epilogue)
      return
    }
    const [i, inner] = temporary(code, "i", "b")
    code.get(start).set(i)
    each(code, i, end, 1, () => {
      code.get(b).i32(shape[axis]).op("i32.mul").get(i).op("i32.add").set(inner)
      visit(axis + 1, inner)
    })
  }
  const [b] = temporary(code, "b")
  code.i32(0).set(b)
  visit(0, b)
}
