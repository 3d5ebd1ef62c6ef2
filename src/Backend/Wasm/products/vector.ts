/**
 * A vector times a matrix: every element of the matrix is used once, so nothing is packed and what counts is to read the
 * matrix in the order of memory. There are two *directions*:
 *
 * - `rows`: the matrix is row-major; the result is a sum of its rows, several added at a time;
 * - `columns`: the matrix is column-major; every element of the result is a sum along a column, in two vectors of
 *   partial sums, four columns side by side.
 *
 * The last columns of a product of row-major rows, when they are too few to fill a vector, are such vectors too.
 */
import { type Callable, Code, type Local, type Module } from "../assembler/index.ts"
import type { Features } from "../emission.ts"
import type { Matrix } from "../ir.ts"
import type { Kind } from "./elements.ts"
import { transpose } from "./pack.ts"
import { multiplyAdd } from "./tile.ts"
import { increase, temporary, times } from "./writing.ts"

/** How the matrix is read. */
export type Direction = "rows" | "columns"

/** The direction in which a product of one row is computed, if it is one of these. `x` and `y` are words. */
export const directionOf = (x: Matrix, y: Matrix, k: number): Direction | undefined => {
  if (y.column === 1) return "rows"
  return y.row === 1 && (x.column === 1 || k <= 1) ? "columns" : undefined
}

/** Rows that are added at a time. */
const together = 8

/** `(x, xStep, y, yStep, c, k, n)`: steps in bytes along k. */
const rowsParams = ["x", "xStep", "y", "yStep", "c", "k", "n"].map((name) => [name, "i32"] as const)

/** Adds `count` rows of `y`, each times its element of `x`, to `c`; goes on to the next rows. */
const addRows = (c: Code, kind: Kind, features: Features, count: number): void => {
  const [x, xStep, y, yStep, out, , n] = c.params
  const [at, left] = temporary(c, "at", "left")
  const rows = Array.from({ length: count }, (_, i) => c.local("i32", `y${i}`))
  const factors = rows.map((_, i) => c.local("v128", `x${i}`))
  const [s, value] = [c.local("v128", "s"), c.local("v128", "value")]
  rows.forEach((row, i) => {
    c.get(x).load("v128.load32_splat").set(factors[i]).get(y).set(row)
    increase(c, x, xStep)
    increase(c, y, yStep)
  })
  c.get(out).set(at)
  const add = (bytes: number): void => {
    c.get(at).load(bytes === 16 ? "v128.load" : "v128.load32_zero").set(s)
    rows.forEach((row, i) => {
      c.get(row).load(bytes === 16 ? "v128.load" : "v128.load32_zero").set(value)
      multiplyAdd(c, kind, features, factors[i], value, s)
      c.set(s)
      increase(c, row, bytes)
    })
    c.get(at).get(s)
    if (bytes === 16) c.store("v128.store")
    else c.memoryLane("v128.store32_lane", 0)
    increase(c, at, bytes)
  }
  c.get(n).i32(2).op("i32.shr_u").tee(left).if(() => times(c, left, () => add(16)))
  c.get(n).i32(3).op("i32.and").tee(left).if(() => times(c, left, () => add(4)))
}

const rowsKernel = (kind: Kind, features: Features): Code => {
  const c = new Code(rowsParams)
  const [, , , , out, k, n] = c.params
  const [left] = temporary(c, "turns")
  c.get(out).i32(0).get(n).i32(2).op("i32.shl").fill()
  c.get(k).i32(Math.log2(together)).op("i32.shr_u").tee(left).if(() =>
    times(c, left, () => addRows(c, kind, features, together))
  )
  c.get(k).i32(together - 1).op("i32.and").tee(left).if(() => times(c, left, () => addRows(c, kind, features, 1)))
  return c
}

/** `(x, y, column, c, cStep, k, n)`: bytes from one column to the next, and from one result to the next. */
const columnsParams = ["x", "y", "column", "c", "cStep", "k", "n"].map((name) => [name, "i32"] as const)

/** Sums along `count` columns, which end in the lanes of one vector; goes on to the next columns. */
const sumColumns = (c: Code, kind: Kind, features: Features, count: number): void => {
  const [x, y, column, out, outStep, k] = c.params
  const [at, left] = temporary(c, "at", "left")
  const columns = Array.from({ length: count }, (_, i) => c.local("i32", `y${i}`))
  const sums = columns.map((_, i) => [0, 1].map((j) => c.local("v128", `s${i}_${j}`)))
  const factors = [0, 1].map((j) => c.local("v128", `x${j}`))
  const value = c.local("v128", "value")
  const plus = kind === "f32" ? "f32x4.add" : "i32x4.add"
  c.get(x).set(at)
  columns.forEach((pointer, i) => {
    c.get(y).set(pointer)
    increase(c, y, column)
    for (const s of sums[i]) c.v128(0).set(s)
  })
  /** One element, or one or two vectors, of x and of every column. */
  const turn = (bytes: number): void => {
    const parts = bytes === 32 ? [0, 1] : [0]
    const load = bytes === 4 ? "v128.load32_zero" : "v128.load"
    for (const j of parts) c.get(at).load(load, 16 * j).set(factors[j])
    columns.forEach((pointer, i) => {
      for (const j of parts) {
        c.get(pointer).load(load, 16 * j).set(value)
        multiplyAdd(c, kind, features, factors[j], value, sums[i][j])
        c.set(sums[i][j])
      }
      increase(c, pointer, bytes)
    })
    increase(c, at, bytes)
  }
  c.get(k).i32(3).op("i32.shr_u").tee(left).if(() => times(c, left, () => turn(32)))
  c.get(k).i32(4).op("i32.and").if(() => turn(16))
  c.get(k).i32(3).op("i32.and").tee(left).if(() => times(c, left, () => turn(4)))
  // Four vectors of partial sums become, by transposing, four vectors to be added.
  const partial = sums.map(([s, t]) => {
    c.get(s).get(t).op(plus).set(s)
    return s
  })
  const [total] = partial
  if (count === 4) {
    const turned = [0, 1, 2, 3].map((i) => c.local("v128", `t${i}`))
    transpose(c, partial, () => {}, (i) => void c.set(turned[i]))
    const [a, b, d, e] = turned
    c.get(a).get(b).op(plus).get(d).op(plus).get(e).op(plus).set(total)
  } else {
    c.get(total)
    for (const lanes of [[1, 1, 1, 1], [2, 2, 2, 2], [3, 3, 3, 3]]) {
      c.get(total).get(total).shuffle(lanes.flatMap((w) => [0, 1, 2, 3].map((b) => 4 * w + b))).op(plus)
    }
    c.set(total)
  }
  for (let lane = 0; lane < count; lane++) {
    c.get(out).get(total).memoryLane("v128.store32_lane", lane)
    increase(c, out, outStep)
  }
}

const columnsKernel = (kind: Kind, features: Features): Code => {
  const c = new Code(columnsParams)
  const n = c.params[6]
  const [left] = temporary(c, "turns")
  c.get(n).i32(2).op("i32.shr_u").tee(left).if(() => times(c, left, () => sumColumns(c, kind, features, 4)))
  c.get(n).i32(3).op("i32.and").tee(left).if(() => times(c, left, () => sumColumns(c, kind, features, 1)))
  return c
}

/** The kernel of a direction. */
const vectorKernel = (module: Module, features: Features, kind: Kind, direction: Direction): Callable =>
  module.once(
    `vector_${kind}_${direction}`,
    () => direction === "rows" ? rowsKernel(kind, features) : columnsKernel(kind, features)
  )

/** Writes the product of the row at `x` with columns at `y`, as many as `n` says, to `out`. All are words. */
export const writeVector = (
  code: Code,
  module: Module,
  features: Features,
  { direction, k, kind, xStep, yColumn, yRow }: {
    readonly kind: Kind
    readonly direction: Direction
    readonly k: number
    readonly xStep: number
    readonly yRow: number
    readonly yColumn: number
  },
  [x, y, out, n]: readonly [x: Local, y: Local, out: Local, n: Local]
): void => {
  const kernel = vectorKernel(module, features, kind, direction)
  if (direction === "rows") {
    code.get(x).i32(4 * xStep).get(y).i32(4 * yRow).get(out).i32(k).get(n).call(kernel)
  } else code.get(x).get(y).i32(4 * yColumn).get(out).i32(4).i32(k).get(n).call(kernel)
}

/**
 * Writes one column of a product: of the rows at `x`, `row` words apart, as many as `m` says, with the column at `y`,
 * whose `k` words lie side by side, as theirs do. Results are `step` words apart.
 */
export const writeColumn = (
  code: Code,
  module: Module,
  features: Features,
  { k, kind, row, step }: {
    readonly kind: Kind
    readonly k: number
    readonly row: number
    readonly step: number
  },
  [x, y, out, m]: readonly [x: Local, y: Local, out: Local, m: Local]
): void => {
  const kernel = vectorKernel(module, features, kind, "columns")
  code.get(y).get(x).i32(4 * row).get(out).i32(4 * step).i32(k).get(m).call(kernel)
}
