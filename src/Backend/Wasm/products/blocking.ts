/**
 * The blocking of matrix products, after Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication"
 * (2008).
 *
 * ```text
 * for each batch, and each block of NC columns
 *   for each block of KC steps of k                 C is read again and written again
 *     pack KC x NC of B into panels of 8 columns    in the cache's second and third level
 *     for each block of MC rows
 *       (pack MC x KC of A into panels of 4 rows)   in the second level
 *       for each panel of B                         8 KiB in the first level
 *         for each 6 (4) rows: the micro-kernel     6 x 8 of C in registers
 *       if that was the last block of k: the epilogue, over what was just finished
 * ```
 *
 * Not all of it is always worth while. A row-major A is read as it is: the micro-kernel follows 4 rows at once. A
 * transposed A is packed unless the product is small, or so narrow that packing costs more than it saves. B is packed unless its rows are vectors
 * already and it is small, or few rows meet it. One column (matrix times vector) is computed as the transposed product,
 * with one row, which `vector.ts` does without blocks; so does it the last columns that do not fill a vector, for all of
 * k at once.
 *
 * Every element of C is the sum in the same order, whatever the blocks are, so any division of the work gives the same
 * bits. Work is divided into *units*: columns (every thread packs its own part of B) or rows (every thread packs all of
 * B), whichever makes less be packed twice.
 */
import type { Features } from "../emission.ts"
import type { Dot, Matrix } from "../ir.ts"
import { type Elements, elementsOf, type Kind } from "./elements.ts"
import { type Form, mostRows, panelRows } from "./tile.ts"
import { type Direction, directionOf } from "./vector.ts"

/** Most steps of k in a block. */
const longestK = 256
/** Rows in a block. */
export const blockRows = 96
/** Most columns in a block. */
export const blockColumns = 512
/** Bytes of an operand that is read as it is although its rows are far apart: half the first-level cache. */
const small = 16 * 1024
/** Bytes of an operand that leaves the second-level cache. */
const large = 512 * 1024
/** Most steps of k for which columns are computed one by one: such a column is packed whole. */
const longestColumn = 4096
/** Pieces into which all batches of a product are divided, and how long one takes at least, in nanoseconds. */
const pieces = { most: 16, nanoseconds: 4000 }

/** Columns of the widest tile. */
export const tileColumns = (features: Features): number => features.wide ? 16 : 8

/** Steps of k in a block: even blocks, and multiples of 4. */
export const evenBlock = (k: number, longest = longestK): number => {
  const blocks = Math.max(1, Math.ceil(k / longest))
  return Math.max(1, Math.ceil(k / blocks / 4) * 4)
}

/** `columns` columns as tiles: whole ones, then of half the width and so on, then the rest below 8 at once. */
export const edges = (columns: number, tile: number): ReadonlyArray<number> => {
  const out: Array<number> = []
  let left = columns % tile
  for (let width = tile / 2; width >= 8; width /= 2) {
    if (left >= width) {
      out.push(width)
      left -= width
    }
  }
  return left > 0 ? [...out, left] : out
}

/** What is decided about a product. It prints as it is. */
export interface Blocking {
  readonly kind: Kind
  readonly m: number
  readonly n: number
  readonly k: number
  readonly x: Matrix
  readonly y: Matrix
  /** Is it the transposed product that is computed? Only where it has one row. */
  readonly transposed: boolean
  /** How a vector is multiplied with a matrix, where that is done without blocks. */
  readonly direction: Direction | undefined
  /** Columns of a tile. */
  readonly tile: number
  /** Rows of a tile. */
  readonly rows: number
  /** Columns up to which a tile has 8 rows. */
  readonly narrow: number
  /** How the micro-kernel reads the rows. */
  readonly form: Form
  readonly packsColumns: boolean
  /** How many of the last columns are computed one by one, as vectors (`vector.ts`): 0 to 3. */
  readonly single: number
  readonly blockK: number
  readonly split: "rows" | "columns"
  /** Rows or columns of a unit, which are a multiple of `step`. */
  readonly unit: number
  readonly step: number
  /** Units of one batch, and an estimate of its time on one thread. */
  readonly units: number
  readonly nanoseconds: number
}

const transpose = ({ batch, buffer, column, offset, row }: Matrix): Matrix => ({
  buffer,
  offset,
  batch,
  row: column,
  column: row
})

/** What a product of `kind` reads of a matrix. */
export const read = (matrix: Matrix, kind: Kind): Elements => elementsOf(matrix.buffer.dtype, kind)

/** The form in which rows can be read as they are, if they can. */
const formOf = ({ column, row }: Matrix, m: number, k: number): Form | undefined => {
  if (row === 1 || m === 1) return "panel"
  return column === 1 || k <= 1 ? "rows" : undefined
}

/** Decides how a product is computed. */
export const blockingOf = (dot: Dot, features: Features): Blocking => {
  const transposed = dot.n === 1 && dot.m > 1
  const [m, n] = transposed ? [1, dot.m] : [dot.m, dot.n]
  const [x, y] = transposed ? [transpose(dot.y), transpose(dot.x)] : [dot.x, dot.y]
  const { k } = dot
  const kind: Kind = dot.out.dtype === "float32" ? "f32" : "i32"
  const isPlain = read(x, kind).plain && read(y, kind).plain
  const direction = m === 1 && n > 0 && isPlain ? directionOf(x, y, k) : undefined
  const usual = tileColumns(features)
  const tile = m === 1 ? 32 : m <= 3 ? 16 : usual
  const form = read(x, kind).plain ? formOf(x, m, k) : undefined
  // Rows that are neighbours (a transposed matrix) are far apart along k.
  const packsRows = form === undefined || (form === "panel" && m > 1 && n > 2 * usual && m * k * 4 > small)
  // What few rows meet is packed only if reading it over and over, with its rows far apart, costs more.
  const packsColumns = !read(y, kind).plain || (y.column !== 1 && n > 1) || (m > 16 && n * k * 4 > small) ||
    (m > 8 && n * k * 4 > large)
  const batches = dot.batch.reduce((a, b) => a * b, 1)
  const nanoseconds = (features.wide ? 0.027 : 0.045) * m * n * Math.max(k, 4) + 50
  const most = Math.min(pieces.most, batches * nanoseconds / pieces.nanoseconds)
  const wanted = Math.max(1, Math.ceil(most / Math.max(1, batches)))
  // What every piece does again, for each k: to pack costs about four times as much as to read.
  const again = { rows: packsColumns ? n : n / 4, columns: packsRows ? m : m / 4 }
  const split = again.rows < again.columns || (n < 64 && !packsRows) ? "rows" : "columns"
  const last = edges(n, tile).at(-1) ?? 0
  const tileRows = packsRows ? panelRows : mostRows(kind, features)
  const whole = 4 * tileRows
  const rowStep = m >= wanted * whole ? whole : 8
  const [length, step] = split === "columns" ? [n, tile] : [m, rowStep]
  const unit = Math.max(1, Math.ceil(length / wanted / step)) * step
  const units = Math.ceil(length / unit)
  return {
    kind,
    m,
    n,
    k,
    x,
    y,
    transposed,
    direction,
    tile,
    // Pieces of 8 rows are best divided by 4.
    rows: split === "rows" && units > 1 && rowStep === 8 ? 4 : tileRows,
    narrow: packsRows ? 0 : usual / 2,
    form: packsRows || form === undefined ? "packed" : form,
    packsColumns,
    single: form === "rows" && k >= 4 && k <= longestColumn && last < 4 ? last : 0,
    blockK: evenBlock(k),
    split,
    unit,
    step,
    units,
    nanoseconds
  }
}
