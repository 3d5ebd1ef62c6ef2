/**
 * Panels from tables of addresses. Where an element of an image is, is the sum of an address that its row gives and an
 * offset that its k gives; both stand in tables, and a panel is gathered from four rows at a time, whatever padding,
 * dilation, stride or layout made the tables. Three ways, by what lies side by side in memory:
 *
 * - `along`: *runs* of ks; the table has the offsets of runs, which are copied as transposed blocks of 4 by 4;
 * - `across`: the four rows; the table has an offset a k;
 * - `single`: nothing; the table has an offset a k.
 */
import { type Callable, Code, type Local, type Module } from "../assembler/index.ts"
import type { Elements } from "./elements.ts"
import { gatherLanes, type Way, writeTransposed } from "./pack.ts"
import { each, increase, sum, temporary, times } from "./writing.ts"

/** A dimension that a table runs through: how often, and how many bytes each step adds. */
export interface Dimension {
  readonly count: number | Local
  readonly bytes: number
}

/**
 * Writes the sums of the dimensions' steps to a table at `target`, the last dimension fastest, starting from the
 * address or offset in `start`; leaves in `target` where the table ends.
 */
const writeTable = (c: Code, target: Local, start: Local, dimensions: ReadonlyArray<Dimension>): void => {
  const visit = (at: Local, rest: ReadonlyArray<Dimension>): void => {
    if (rest.length === 0) {
      c.get(target).get(at).store("i32.store")
      increase(c, target, 4)
      return
    }
    const [{ bytes, count }, ...inner] = rest
    if (count === 1) {
      visit(at, inner)
      return
    }
    const [here, left] = [c.local("i32"), c.local("i32")]
    c.get(at).set(here)
    if (typeof count === "number") c.i32(count).set(left)
    else c.get(count).set(left)
    c.get(left).i32(0).op("i32.gt_s").if(() =>
      times(c, left, () => {
        visit(here, inner)
        increase(c, here, bytes)
      })
    )
  }
  visit(start, dimensions)
}

/** Writes a table `area` bytes into scratch memory; gives the number of its entries. */
export const table = (
  code: Code,
  scratch: Local,
  area: number,
  start: Local,
  dimensions: ReadonlyArray<Dimension>
): Local => {
  const [at, count] = temporary(code, "at", "count")
  sum(code, scratch, area).set(at)
  writeTable(code, at, start, dimensions)
  sum(code, at, -area).get(scratch).op("i32.sub").i32(2).op("i32.shr_u").set(count)
  return count
}

/** Makes a table's last four rows whole: three more entries, which may be read. */
export const padTable = (code: Code, scratch: Local, area: number, count: Local, address: Local): void => {
  const [at] = temporary(code, "at")
  sum(code, scratch, [count, 4], area).set(at)
  for (let i = 0; i < 3; i++) code.get(at).get(address).store("i32.store", 4 * i)
}

/** `(rows, count, table, entries, run, target, step, next)`: see `gatherKernel`. */
const params = [
  ["rows", "i32"],
  ["count", "i32"],
  ["table", "i32"],
  ["entries", "i32"],
  ["run", "i32"],
  ["target", "i32"],
  ["step", "i32"],
  ["next", "i32"]
] as const

/** The body of one panel: what it does with one entry of the table, whose offset is in `offset`. */
type Entry = (c: Code, rows: ReadonlyArray<Local>, offset: Local, target: Local, step: Local, run: Local) => void

const entryAlong = (elements: Elements): Entry => (c, rows, offset, target, step, run) => {
  const [blocks, at] = [c.local("i32", "blocks"), c.local("i32", "at")]
  const values = rows.map((_, i) => c.local("v128", `x${i}`))
  c.get(offset).set(at)
  c.get(run).i32(3).op("i32.add").i32(2).op("i32.shr_u").tee(blocks)
  c.if(() => {
    times(c, blocks, () => {
      rows.forEach((row, i) => {
        elements.four(c.get(row).get(at).op("i32.add"))
        c.set(values[i])
      })
      writeTransposed(c, values, target, step)
      increase(c, at, 4 * elements.bytes)
    })
    // A run that is no multiple of 4 was passed by up to 3 ks, which the next run writes over.
    c.get(target).i32(0).get(run).op("i32.sub").i32(3).op("i32.and").get(step).op("i32.mul").op("i32.sub").set(target)
  })
}

const entryAcross = (elements: Elements): Entry => (c, [row], offset, target, step) => {
  c.get(target)
  elements.four(c.get(row).get(offset).op("i32.add"))
  c.store("v128.store")
  increase(c, target, step)
}

const entrySingle = (elements: Elements): Entry => (c, rows, offset, target, step) => {
  c.get(target)
  gatherLanes(c, elements, 4, (i) => void c.get(rows[i]).get(offset).op("i32.add"))
  c.store("v128.store")
  increase(c, target, step)
}

const entries = { along: entryAlong, across: entryAcross, single: entrySingle } as const

/**
 * `(rows, count, table, entries, run, target, step, next)` gathers `count` panels of four rows. `rows` is a table of
 * addresses, `table` one of offsets with `entries` entries, each of which stands for `run` ks. A panel's ks are `step`
 * bytes apart, panels `next`. Up to 3 elements behind a run may be read, and up to 3 ks behind a panel written.
 */
export const gatherKernel = (module: Module, elements: Elements, way: Way): Callable =>
  module.once(`gather_${elements.dtype}_${elements.kind}_${way}`, () => {
    const c = new Code(params)
    const [rows, count, table, size, run, target, step, next] = c.params
    const addresses = [0, 1, 2, 3].map((i) => c.local("i32", `row${i}`))
    const [at, end, offset, to] = ["at", "end", "offset", "to"].map((name) => c.local("i32", name))
    c.get(size).i32(2).op("i32.shl").get(table).op("i32.add").set(end)
    c.get(count).if(() =>
      times(c, count, () => {
        addresses.forEach((address, i) => c.get(rows).load("i32.load", 4 * i).set(address))
        c.get(target).set(to).get(table).set(at)
        each(c, at, end, 4, () => {
          c.get(at).load("i32.load").set(offset)
          entries[way](elements)(c, addresses, offset, to, step, run)
        })
        sum(c, target, next).set(target)
        increase(c, rows, 16)
      })
    )
    return c
  })
