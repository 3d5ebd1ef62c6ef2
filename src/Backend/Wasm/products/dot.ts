/** Matrix products: the driver that walks through the blocks. `blocking.ts` explains the walk and decides about it. */
import { type Callable, Code, type Local } from "../assembler/index.ts"
import { type Emission, type Emitted, loadSlot, slots } from "../emission.ts"
import type { Dot, Matrix } from "../ir.ts"
import { blockColumns, type Blocking, blockingOf, blockRows, edges, read } from "./blocking.ts"
import type { Elements } from "./elements.ts"
import { pack, type Packing } from "./pack.ts"
import { columnKernel, panelRows } from "./tile.ts"
import { type Direction, writeColumn, writeVector } from "./vector.ts"
import { atMost, each, increase, sum, temporary } from "./writing.ts"

/** So many rows, or columns, that meet what was packed for them, make packing cheap. */
const enough = 128

/** What the parts of a driver share: the function that is written, what was decided, and where it stands. */
interface Driver {
  readonly e: Emission
  readonly code: Code
  readonly plan: Blocking
  /** Where the first elements of this batch are. */
  readonly x: Local
  readonly y: Local
  readonly out: Local
  /** Where panels of rows and of columns are packed. */
  readonly rowArea: Local
  readonly columnArea: Local
  /** Where columns are packed that are computed one by one. */
  readonly singleArea: Local
  /** The block: rows `i` to `i + ih`, columns `j` to `j + jw`, steps `k` to `k + kc`; `column` counts within it. */
  readonly i: Local
  readonly ih: Local
  readonly j: Local
  readonly jw: Local
  readonly k: Local
  readonly kc: Local
  readonly column: Local
}

/** The panels of columns of this block. All columns of the product have the same edges, so only a last block has any. */
const eachPanel = ({ code, column, jw, plan }: Driver, visit: (width: number) => void): void => {
  code.i32(0).set(column)
  if (plan.n >= plan.tile) code.while(column, jw, plan.tile, () => visit(plan.tile))
  const widths = edges(plan.n, plan.tile)
  if (widths.length === 0) return
  code.get(column).get(jw).op("i32.lt_s").if(() => {
    for (const width of widths) {
      visit(width)
      increase(code, column, width)
    }
  })
}

/** Must these columns be packed? A part of a vector must, since the micro-kernel loads whole ones. */
const packed = (plan: Blocking, width: number): boolean => plan.packsColumns || width % 4 !== 0

const packColumns = (d: Driver): void => {
  const { code, column, e, j, k, kc, plan, y } = d
  const elements = read(plan.y, plan.kind)
  if (!plan.packsColumns && plan.n % 4 === 0) return
  const [source, target] = temporary(code, "source", "target")
  const packing: Packing = { elements, lane: plan.y.column, step: plan.y.row }
  eachPanel(d, (width) => {
    const { bytes } = elements
    if (width === plan.single) {
      code.get(k).op("i32.eqz").if(() => packSingle(d, elements))
      return
    }
    if (!packed(plan, width)) return
    sum(code, y, [k, plan.y.row * bytes], [j, plan.y.column * bytes], [column, plan.y.column * bytes]).set(source)
    panelAddress(d).set(target)
    pack(code, e.module, packing, width, source, target, kc)
  })
}

/** Bytes from one packed single column to the next. */
const singleBytes = ({ k }: Blocking): number => 16 * Math.ceil(k / 4)

/** Packs the last columns, each by itself and for all of k: as panels of 4 neighbours along k. */
const packSingle = ({ code, column, e, j, plan, singleArea, y }: Driver, elements: Elements): void => {
  const { k, single, y: { column: lane, row } } = plan
  const { bytes } = elements
  const [source, target, blocks] = temporary(code, "source", "target", "blocks")
  for (let i = 0; i < single; i++) {
    sum(code, y, [j, lane * bytes], [column, lane * bytes], i * lane * bytes).set(source)
    sum(code, singleArea, i * singleBytes(plan)).set(target)
    code.i32(Math.floor(k / 4)).set(blocks)
    pack(code, e.module, { elements, lane: row, step: 4 * row }, 4, source, target, blocks)
    if (k % 4 === 0) continue
    increase(code, source, (k - k % 4) * row * bytes)
    increase(code, target, 4 * (k - k % 4))
    code.i32(1).set(blocks)
    pack(code, e.module, { elements, lane: row, step: 4 * row }, k % 4, source, target, blocks)
  }
}

/** Multiplies the block's rows with the last columns. */
const multiplySingle = ({ code, column, e, i, ih, j, out, plan, singleArea, x }: Driver): void => {
  const { k, kind, n, single } = plan
  const [rows, vector, target] = temporary(code, "rows", "vector", "target")
  sum(code, x, [i, 4 * plan.x.row]).set(rows)
  for (let s = 0; s < single; s++) {
    sum(code, singleArea, s * singleBytes(plan)).set(vector)
    sum(code, out, [i, 4 * n], [j, 4], [column, 4], 4 * s).set(target)
    writeColumn(code, e.module, e.features, { kind, k, row: plan.x.row, step: n }, [rows, vector, target, ih])
  }
}

/** Pushes where the panel of columns is packed. Only one is, where most are read as they are. */
const panelAddress = ({ code, column, columnArea, kc, plan }: Driver): Code =>
  plan.packsColumns
    ? code.get(columnArea).get(column).get(kc).op("i32.mul").i32(2).op("i32.shl").op("i32.add")
    : code.get(columnArea)

const packRows = ({ code, e, i, ih, k, kc, plan, rowArea, x }: Driver): void => {
  const elements = read(plan.x, plan.kind)
  const { bytes } = elements
  const packing: Packing = { elements, lane: plan.x.row, step: plan.x.column }
  const [row, source, target] = ["row", "source", "target"].map((name) => code.local("i32", name))
  code.i32(0).set(row)
  sum(code, x, [i, plan.x.row * bytes], [k, plan.x.column * bytes]).set(source)
  code.get(rowArea).set(target)
  code.while(row, ih, panelRows, () => {
    pack(code, e.module, packing, panelRows, source, target, kc)
    increase(code, source, panelRows * plan.x.row * bytes)
    increase(code, target, [kc, 4 * panelRows])
  })
  const rest = plan.m % panelRows
  if (rest === 0) return
  code.get(row).get(ih).op("i32.lt_s").if(() => pack(code, e.module, packing, rest, source, target, kc))
}

/** Multiplies the block's rows with every panel of columns. */
const multiply = (d: Driver): void => {
  const { code, column, e, i, ih, j, k, kc, out, plan, rowArea, x } = d
  const a = code.local("i32", "a")
  // A range of units and its last block have whole steps, and what remains of all rows.
  const { m, split, step, units } = plan
  const isDivided = split === "rows" && units > 1
  const counts = isDivided ? [step, m % step, step + m % step] : [Math.min(m, blockRows), m % blockRows]
  if (plan.form === "packed") code.get(rowArea).set(a)
  else sum(code, x, [i, 4 * plan.x.row], [k, 4 * plan.x.column]).set(a)
  eachPanel(d, (width) => {
    if (width === plan.single) {
      code.get(k).op("i32.eqz").if(() => multiplySingle(d))
      return
    }
    const kernel = columnKernel(e.module, e.features, {
      kind: plan.kind,
      form: plan.form,
      // Narrow tiles are higher, to have as many sums under way.
      rows: width <= plan.narrow ? 8 : plan.rows,
      columns: width,
      packed: packed(plan, width),
      counts
    })
    code.get(a).i32(4 * (plan.form === "rows" ? plan.x.row : plan.x.column))
    if (packed(plan, width)) panelAddress(d).i32(16 * Math.ceil(width / 4))
    else sum(code, d.y, [k, 4 * plan.y.row], [j, 4], [column, 4]).i32(4 * plan.y.row)
    sum(code, out, [i, 4 * plan.n], [j, 4], [column, 4]).i32(4 * plan.n)
    code.get(kc).get(ih).get(k).call(kernel)
  })
}

/** All of rows `i0` to `i1` and columns `j0` to `j1`, of the batch `b`. */
const writeBlocks = (
  d: Driver,
  frame: Local,
  b: Local,
  [i0, i1, j0, j1]: ReadonlyArray<Local>,
  epilogue: Callable | undefined
): void => {
  const { code, i, ih, j, jw, k, kc, plan } = d
  code.get(j0).set(j)
  each(code, j, j1, blockColumns, () => {
    code.get(j1).get(j).op("i32.sub").set(jw)
    atMost(code, jw, blockColumns)
    code.i32(0).set(k)
    code.loop((again) => {
      code.i32(plan.k).get(k).op("i32.sub").set(kc)
      atMost(code, kc, plan.blockK)
      packColumns(d)
      code.get(i0).set(i)
      each(code, i, i1, blockRows, () => {
        code.get(i1).get(i).op("i32.sub").set(ih)
        atMost(code, ih, blockRows)
        if (plan.form === "packed") packRows(d)
        multiply(d)
        if (epilogue === undefined) return
        const finish = (): void =>
          callEpilogue(
            d,
            frame,
            b,
            epilogue,
            [() => code.get(i), () => sum(code, i, ih)],
            [() => code.get(j), () => sum(code, j, jw)]
          )
        if (plan.k <= plan.blockK) finish()
        else sum(code, k, kc).i32(plan.k).op("i32.eq").if(finish)
      })
      increase(code, k, plan.blockK)
      code.get(k).i32(plan.k).op("i32.lt_s").brIf(again)
    })
  })
}

/** All of columns `j0` to `j1` of the only row. */
const writeRow = (d: Driver, direction: Direction, j0: Local, j1: Local): void => {
  const { code, e, j, jw, out, plan, x, y } = d
  const [source, target] = temporary(code, "source", "target")
  code.get(j0).set(j)
  each(code, j, j1, blockColumns, () => {
    code.get(j1).get(j).op("i32.sub").set(jw)
    atMost(code, jw, blockColumns)
    sum(code, y, [j, 4 * plan.y.column]).set(source)
    sum(code, out, [j, 4]).set(target)
    const { k, kind } = plan
    const shape = { kind, direction, k, xStep: plan.x.column, yRow: plan.y.row, yColumn: plan.y.column }
    writeVector(code, e.module, e.features, shape, [x, source, target, jw])
  })
}

/** Calls the epilogue for rows and columns of the product as it is computed. */
const callEpilogue = (
  { code, plan }: Driver,
  frame: Local,
  b: Local,
  epilogue: Callable,
  rows: readonly [() => void, () => void],
  columns: readonly [() => void, () => void]
): void => {
  code.get(frame).get(b)
  for (const push of plan.transposed ? [...columns, ...rows] : [...rows, ...columns]) push()
  code.call(epilogue)
}

/** Sets `target` to where a matrix of batch `b` begins. */
const writeStart = (
  { code, e }: Pick<Driver, "code" | "e">,
  frame: Local,
  { batch, buffer, offset }: Pick<Matrix, "batch" | "buffer" | "offset">,
  bytes: number,
  sizes: ReadonlyArray<number>,
  b: Local,
  target: Local
): void => {
  const place = e.place(buffer)
  loadSlot(code, frame, place.slot).i32(place.offset + offset * bytes).op("i32.add").set(target)
  const rest = code.local("i32", "rest")
  code.get(b).set(rest)
  for (let d = sizes.length - 1; d >= 0; d--) {
    if (batch[d] !== 0) {
      code.get(target).get(rest)
      if (d > 0) code.i32(sizes[d]).op("i32.rem_u")
      code.i32(batch[d] * bytes).op("i32.mul").op("i32.add").set(target)
    }
    if (d > 0) code.get(rest).i32(sizes[d]).op("i32.div_u").set(rest)
  }
}

/** Bytes of packed rows and columns. */
const areas = (plan: Blocking): readonly [rows: number, columns: number, single: number] => {
  if (plan.direction !== undefined) return [0, 0, 0]
  const columns = plan.packsColumns ? Math.min(blockColumns, Math.ceil(plan.n / 4) * 4) : plan.n % 4 === 0 ? 0 : 8
  const rows = plan.form === "packed" ? Math.min(blockRows, Math.ceil(plan.m / panelRows) * panelRows) : 0
  return [4 * rows * plan.blockK, 4 * columns * plan.blockK, plan.single * singleBytes(plan)]
}

/**
 * Writes a matrix product. `epilogue` is a function `(frame, b, i0, i1, j0, j1)` over a rectangle of the result, called
 * as soon as its elements are in `dot.out`; `b` counts the batches.
 */
export const emitDot = (e: Emission, dot: Dot, epilogue?: Callable): Emitted => {
  const plan = blockingOf(dot, e.features)
  const code = new Code([["frame", "i32"], ["begin", "i32"], ["end", "i32"]])
  const [frame, begin, end] = code.params
  const local = (name: string) => code.local("i32", name)
  const d: Driver = {
    e,
    code,
    plan,
    x: local("x"),
    y: local("y"),
    out: local("out"),
    rowArea: local("rowArea"),
    columnArea: local("columnArea"),
    singleArea: local("singleArea"),
    i: local("i"),
    ih: local("ih"),
    j: local("j"),
    jw: local("jw"),
    k: local("k"),
    kc: local("kc"),
    column: local("column")
  }
  const [b, first, last] = [local("b"), local("first"), local("last")]
  const range = [local("i0"), local("i1"), local("j0"), local("j1")]
  const [rowBytes, columnBytes, lastBytes] = areas(plan)
  if (rowBytes + columnBytes + lastBytes > 0) e.scratch(rowBytes + columnBytes + lastBytes)
  loadSlot(code, frame, slots.scratch).set(d.rowArea)
  sum(code, d.rowArea, rowBytes).set(d.columnArea)
  sum(code, d.columnArea, columnBytes).set(d.singleArea)
  // One turn does the units that belong to one batch.
  code.block((exit) => {
    code.loop((again) => {
      code.get(begin).get(end).op("i32.ge_s").brIf(exit)
      code.get(begin).i32(plan.units).op("i32.div_u").set(b)
      code.get(begin).i32(plan.units).op("i32.rem_u").set(first)
      code.get(first).get(end).op("i32.add").get(begin).op("i32.sub").set(last)
      atMost(code, last, plan.units)
      const [from, to, other, otherEnd] = plan.split === "rows" ? range : [range[2], range[3], range[0], range[1]]
      code.get(first).i32(plan.unit).op("i32.mul").set(from)
      code.get(last).i32(plan.unit).op("i32.mul").set(to)
      atMost(code, to, plan.split === "rows" ? plan.m : plan.n)
      code.i32(0).set(other).i32(plan.split === "rows" ? plan.n : plan.m).set(otherEnd)
      writeStart(d, frame, plan.x, read(plan.x, plan.kind).bytes, dot.batch, b, d.x)
      writeStart(d, frame, plan.y, read(plan.y, plan.kind).bytes, dot.batch, b, d.y)
      const size = plan.m * plan.n
      const batch = dot.batch.map((_, i) => dot.batch.slice(i + 1).reduce((x, y) => x * y, size))
      writeStart(d, frame, { buffer: dot.out, offset: 0, batch }, 4, dot.batch, b, d.out)
      if (plan.direction === undefined) writeBlocks(d, frame, b, range, epilogue)
      else {
        const [i0, i1, j0, j1] = range
        writeRow(d, plan.direction, j0, j1)
        const ends = ([from, end]: readonly [Local, Local]) => [() => code.get(from), () => code.get(end)] as const
        if (epilogue !== undefined) callEpilogue(d, frame, b, epilogue, ends([i0, i1]), ends([j0, j1]))
      }
      code.get(begin).get(last).op("i32.add").get(first).op("i32.sub").set(begin).br(again)
    })
  })
  const batches = dot.batch.reduce((x, y) => x * y, 1)
  return {
    run: e.module.add(dot.name, code),
    units: batches * plan.units,
    whole: true,
    // What is packed again for every call should be little against its work.
    least: plan.split === "rows" || plan.form === "packed" ? Math.ceil(enough / plan.unit) : 1,
    nanoseconds: batches * plan.nanoseconds
  }
}
