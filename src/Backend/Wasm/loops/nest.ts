/** The loops themselves: over rows of a range of units, over lines, and over vectors. */
import type { Code, Local } from "../assembler/index.ts"
import type { Partial } from "../math/value.ts"
import { type Dimension, sizeOf, type Space } from "./space.ts"

/** Sets `target` to the lesser of itself and a number. */
const atMost = (code: Code, target: Local, limit: number): void => {
  code.get(target).i32(limit).get(target).i32(limit).op("i32.lt_s").op("select").set(target)
}

/** The indices of a row from its number. */
const decode = (code: Code, dimensions: ReadonlyArray<Dimension>, indices: ReadonlyMap<Dimension, Local>, n: Local) => {
  const rest = code.local("i32", "rest")
  code.get(n).set(rest)
  for (let k = dimensions.length - 1; k >= 0; k--) {
    const index = indices.get(dimensions[k])
    if (index === undefined) continue
    code.get(rest)
    if (k > 0) code.i32(dimensions[k].size).op("i32.rem_u")
    code.set(index)
    if (k > 0) code.get(rest).i32(dimensions[k].size).op("i32.div_u").set(rest)
  }
}

/** The indices of the next row. */
const increment = (code: Code, dimensions: ReadonlyArray<Dimension>, indices: ReadonlyMap<Dimension, Local>): void => {
  const step = (k: number): void => {
    const index = indices.get(dimensions[k])
    if (index === undefined) return
    code.get(index).i32(1).op("i32.add").set(index)
    if (k === 0) return
    code.get(index).i32(dimensions[k].size).op("i32.eq").if(() => {
      code.i32(0).set(index)
      step(k - 1)
    })
  }
  if (dimensions.length > 0) step(dimensions.length - 1)
}

/** How the work is cut into units: so many rows each, and of these rows one of so many pieces of their lanes. */
export interface Units {
  readonly count: number
  readonly rows: number
  readonly pieces: number
  /** Of a piece. */
  readonly lanes: number
}

/** Every row of the units `begin` to `end`, with its indices; `body` is given the lanes of the row that are in the unit. */
export const forEachRow = (
  code: Code,
  { lanes, rows }: Space,
  indices: ReadonlyMap<Dimension, Local>,
  units: Units,
  body: (from: Local, to: Local) => void
): void => {
  const [, begin, end] = code.params
  const [from, to] = [code.local("i32", "from"), code.local("i32", "to")]
  if (rows.length === 0) {
    code.get(begin).i32(units.lanes).op("i32.mul").set(from)
    code.get(end).i32(units.lanes).op("i32.mul").set(to)
    atMost(code, to, lanes.size)
    code.get(begin).get(end).op("i32.lt_s").if(() => body(from, to))
    return
  }
  const [unit, row, last] = [code.local("i32", "unit"), code.local("i32", "row"), code.local("i32", "last")]
  code.get(begin).set(unit).while(unit, end, 1, () => {
    code.get(unit).i32(units.pieces).op("i32.div_u").i32(units.rows).op("i32.mul").tee(row)
    code.i32(units.rows).op("i32.add").set(last)
    atMost(code, last, sizeOf(rows))
    code.get(unit).i32(units.pieces).op("i32.rem_u").i32(units.lanes).op("i32.mul").tee(from)
    code.i32(units.lanes).op("i32.add").set(to)
    atMost(code, to, lanes.size)
    decode(code, rows, indices, row)
    code.while(row, last, 1, () => {
      body(from, to)
      increment(code, rows, indices)
    })
  })
}

/** Every line of a row; `between` after every so many. */
export const forEachLine = (
  code: Code,
  lines: ReadonlyArray<Dimension>,
  indices: ReadonlyMap<Dimension, Local>,
  every: number,
  body: () => void,
  between: () => void
): void => {
  if (lines.length === 0) return body()
  const count = code.local("i32", "count")
  code.i32(0).set(count)
  const nest = (k: number): void => {
    if (k === lines.length) {
      body()
      if (every >= sizeOf(lines)) return
      code.get(count).i32(1).op("i32.add").tee(count).i32(every).op("i32.ge_s").if(() => {
        between()
        code.i32(0).set(count)
      })
      return
    }
    const index = indices.get(lines[k])
    if (index === undefined) return
    const end = code.local("i32", "lineEnd")
    code.i32(0).set(index).i32(lines[k].size).set(end)
    code.while(index, end, 1, () => nest(k + 1))
  }
  nest(0)
}

/**
 * Vectors from the index `v` as it is to `end`: several at a time, and then one at a time. The range's length is a multiple
 * of `divisor`, as far as it is known, or of 4 times `copies`.
 */
export const forEachVector = (
  code: Code,
  v: Local,
  end: Local,
  divisor: number,
  copies: number,
  body: (copies: number, partial: Partial | undefined) => void
): void => {
  if (copies > 1) code.while(v, end, 4 * copies, () => body(copies, undefined))
  if (copies > 1 && divisor % (4 * copies) === 0) return
  if (divisor % 4 === 0) {
    code.while(v, end, 4, () => body(1, undefined))
    return
  }
  const partial = { count: code.local("i32", "lanes"), mask: code.local("v128", "mask") }
  code.block((exit) => {
    code.loop((again) => {
      code.get(v).get(end).op("i32.ge_s").brIf(exit)
      code.get(end).get(v).op("i32.sub").set(partial.count)
      code.get(partial.count).op("i32x4.splat").set(partial.mask)
      code.i32(0).op("i32x4.splat")
      for (let lane = 1; lane < 4; lane++) code.i32(lane).lane("i32x4.replace_lane", lane)
      code.get(partial.mask).op("i32x4.lt_s").set(partial.mask)
      atMost(code, partial.count, 4)
      body(1, partial)
      code.get(v).i32(4).op("i32.add").set(v).br(again)
    })
  })
}
