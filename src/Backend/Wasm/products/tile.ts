/**
 * The micro-kernels: a few rows times a few columns of the result, kept in registers while the kernel runs along k.
 *
 * One step of k loads the columns' elements as vectors, and each row's element into all lanes of one, and adds their
 * products. V8 has 15 registers of 128-bit SIMD: 6 rows of 8 columns are 12 sums, 2 vectors of columns and one of a row.
 * That takes a fused multiply-add; 4 rows leave room for a product. Where V8 joins pairs of vectors, twice the columns fill
 * the 256-bit registers likewise.
 *
 * What is not a multiply-add is to be little: a processor does two of those per cycle, but a core that shares its front
 * end with another thread begins only about three instructions per cycle. So turns of the loop do 8 steps of k, and
 * addresses are constants where they can be.
 *
 * The columns are vectors in memory: *packed*, those of one k after those of the last, or `bStep` bytes from one k to the
 * next. The rows are read in one of three *forms*:
 *
 * - `packed`: the rows' elements of one k lie side by side, those of the next k behind them;
 * - `panel`: the same, but `aStep` bytes from one k to the next: a transposed matrix as it is;
 * - `rows`: the elements of a row lie side by side, `aStep` bytes from one row to the next: a row-major matrix as it is.
 */
import { type Callable, Code, type Local, type Module } from "../assembler/index.ts"
import type { Features } from "../emission.ts"
import type { Kind } from "./elements.ts"
import { increase, sum, times } from "./writing.ts"

/** How a kernel finds the elements of its rows. */
export type Form = "packed" | "panel" | "rows"

/** Rows of a packed panel. */
export const panelRows = 4

/** What a kernel is made for. */
export interface Tile {
  readonly kind: Kind
  readonly form: Form
  readonly rows: number
  /** Columns: any number, of which the last vector may be a part. */
  readonly columns: number
  /** Are the columns packed? */
  readonly packed: boolean
}

/** The rows of the largest tile: with a product beside the sums there would be too few registers for 6. */
export const mostRows = (kind: Kind, features: Features): number => kind === "f32" && features.relaxed ? 6 : 4

/** Steps of k that one turn of the loop does. Small tiles are called for little work: they are to be short. */
const unrolled = (rows: number): number => rows >= 4 ? 8 : 4

/** `(a, aStep, b, bStep, c, cRow, k, tiles, add)`: so many tiles, at least one. */
const params = [
  ["a", "i32"],
  ["aStep", "i32"],
  ["b", "i32"],
  ["bStep", "i32"],
  ["c", "i32"],
  ["cRow", "i32"],
  ["k", "i32"],
  ["tiles", "i32"],
  ["add", "i32"]
] as const

/** Pushes x * y + z. */
export const multiplyAdd = (c: Code, kind: Kind, features: Features, x: Local, y: Local, z: Local): void => {
  c.get(x).get(y)
  if (kind === "i32") c.op("i32x4.mul").get(z).op("i32x4.add")
  else if (features.relaxed) c.get(z).op("f32x4.relaxed_madd")
  else c.op("f32x4.mul").get(z).op("f32x4.add")
}

/** With an address on the stack, the first `lanes` elements there, and zeros. */
export const loadPart = (c: Code, lanes: number, offset: number): void => {
  if (lanes === 1) {
    c.load("v128.load32_zero", offset)
    return
  }
  if (lanes === 4) {
    c.load("v128.load", offset)
    return
  }
  const address = c.local("i32")
  c.tee(address).load("v128.load64_zero", offset)
  if (lanes === 3) {
    const low = c.local("v128")
    c.set(low).get(address).get(low).memoryLane("v128.load32_lane", 2, offset + 8)
  }
}

/** Writes the first `lanes` lanes of `x` to an address. */
export const storePart = (c: Code, address: Local, x: Local, lanes: number, offset: number): void => {
  if (lanes === 4) c.get(address).get(x).store("v128.store", offset)
  if (lanes === 2 || lanes === 3) c.get(address).get(x).memoryLane("v128.store64_lane", 0, offset)
  if (lanes === 1 || lanes === 3) {
    c.get(address).get(x).memoryLane("v128.store32_lane", lanes - 1, offset + 4 * (lanes - 1))
  }
}

const writeTile = (tile: Tile, features: Features): Code => {
  const code = new Code(params, ["i32"])
  const [a, aStep, b, bStep, out, cRow, k, tiles, add] = code.params
  const vectors = Math.ceil(tile.columns / 4)
  const lanes = (j: number) => Math.min(4, tile.columns - 4 * j)
  const range = (n: number) => Array.from({ length: n }, (_, i) => i)
  const sums = range(tile.rows).map((i) => range(vectors).map((j) => code.local("v128", `s${i}_${j}`)))
  const columns = range(vectors).map((j) => code.local("v128", `y${j}`))
  const x = code.local("v128", "x")
  const [pa, pb, pc, left] = ["pa", "pb", "pc", "left"].map((name) => code.local("i32", name))
  const pointers = tile.form === "rows" ? range(tile.rows).map((i) => i === 0 ? pa : code.local("i32", `pa${i}`)) : [pa]

  const eachRow = (visit: (row: ReadonlyArray<Local>) => void): void => {
    code.get(out).set(pc)
    sums.forEach((row, i) => {
      if (i > 0) increase(code, pc, cRow)
      visit(row)
    })
  }
  /** Bytes from one k to the next, if they are known. */
  const bBytes = tile.packed ? 16 * vectors : 0
  const aBytes = tile.form === "rows" ? 4 : tile.form === "packed" ? 4 * panelRows : 0
  /** One k, the `u`th of a turn of the loop. */
  const step = (u: number): void => {
    columns.forEach((y, j) => code.get(pb).load("v128.load", 16 * j + u * bBytes).set(y))
    sums.forEach((row, i) => {
      const [pointer, offset] = tile.form === "rows" ? [pointers[i], 0] : [pa, 4 * i]
      code.get(pointer).load("v128.load32_splat", offset + u * aBytes).set(x)
      row.forEach((s, j) => {
        multiplyAdd(code, tile.kind, features, x, columns[j], s)
        code.set(s)
      })
    })
    if (!tile.packed) increase(code, pb, bStep)
    if (tile.form === "panel") increase(code, pa, aStep)
  }
  const steps = (count: number): void => {
    for (let u = 0; u < count; u++) step(u)
    if (tile.packed) increase(code, pb, count * bBytes)
    if (tile.form !== "panel") { for (const pointer of pointers) increase(code, pointer, count * aBytes) }
  }
  const unroll = unrolled(tile.rows)

  times(code, tiles, () => {
    code.get(add).if(
      () =>
        eachRow((row) =>
          row.forEach((s, j) => {
            code.get(pc)
            loadPart(code, lanes(j), 16 * j)
            code.set(s)
          })
        ),
      () => {
        for (const s of sums.flat()) code.v128(0).set(s)
      }
    )
    code.get(a).set(pa).get(b).set(pb)
    pointers.slice(1).forEach((pointer, i) => sum(code, pointers[i], aStep).set(pointer))
    code.get(k).i32(Math.log2(unroll)).op("i32.shr_u").tee(left).if(() => times(code, left, () => steps(unroll)))
    code.get(k).i32(unroll - 1).op("i32.and").tee(left).if(() => times(code, left, () => steps(1)))
    eachRow((row) => row.forEach((s, j) => storePart(code, pc, s, lanes(j), 16 * j)))
    sum(code, pc, cRow).set(out)
    nextRows(code, tile, a, aStep, k)
  })
  return code.get(a)
}

/** Moves `a` to the rows after a tile. */
const nextRows = (code: Code, { form, rows }: Tile, a: Local, aStep: Local, k: Local): void => {
  if (form === "rows") increase(code, a, [aStep, rows])
  else if (form === "packed" && rows === panelRows) increase(code, a, [k, 4 * panelRows])
  else increase(code, a, 4 * rows)
}

/** The micro-kernel for a tile. It gives the address of the rows after the tiles. */
const tileKernel = (module: Module, features: Features, tile: Tile): Callable =>
  module.once(
    `tile_${tile.kind}_${tile.form}_${tile.rows}x${tile.columns}${tile.packed ? "_packed" : ""}`,
    () => writeTile(tile, features)
  )

/** What a column kernel is made for. */
export interface ColumnKernel extends Tile {
  /** The numbers of rows that it is called with, or some that are divided into tiles of the same sizes. */
  readonly counts: ReadonlyArray<number>
}

/**
 * The sizes of tiles that so many rows are divided into, none above `most`: as many of the largest as there can be,
 * unless 2 or 3 rows would be left. Such tiles are slow, and so two tiles of 4 rows take the place of one of 6.
 */
export const tileRows = (count: number, most: number): ReadonlyArray<number> => {
  const whole = Math.floor(count / most)
  const left = count % most
  if (most === 6 && whole > 0 && (left === 2 || left === 3)) {
    return [...whole > 1 ? [6] : [], 4, ...left === 3 ? [1] : []]
  }
  return [...whole > 0 ? [most] : [], ...[4, 2, 1].filter((size) => size < most && (left & size) !== 0)]
}

/**
 * A column of tiles: `(a, aStep, b, bStep, c, cRow, k, count, add)` with any number of rows, which are divided as
 * `tileRows` says.
 */
export const columnKernel = (module: Module, features: Features, { counts, ...tile }: ColumnKernel): Callable => {
  const { columns, form, kind, packed, rows } = tile
  const used = new Set(counts.flatMap((count) => tileRows(count, rows)))
  const sizes = [rows, 4, 2, 1].filter((size, i) => used.has(size) && (i === 0 || size < rows))
  const key = `column_${kind}_${form}_${sizes.join("_")}x${columns}${packed ? "_packed" : ""}`
  return module.once(key, () => {
    const code = new Code(params)
    const [a, aStep, b, bStep, out, cRow, k, count, add] = code.params
    const tiles = code.local("i32", "tiles")
    for (const size of sizes) {
      const target = tileKernel(module, features, { ...tile, rows: size })
      code.get(count).i32(size).op("i32.div_u").set(tiles)
      // What tiles of 4 take from one of 6: bit 1 of the rows that are left is set, and bit 2 is not.
      if (size === 6 && sizes.includes(4)) {
        code.get(tiles).get(count).i32(6).op("i32.rem_u").i32(6).op("i32.and").i32(2).op("i32.eq")
        code.get(tiles).i32(0).op("i32.ne").op("i32.and").op("i32.sub").set(tiles)
      }
      code.get(tiles).if(() => {
        code.get(a).get(aStep).get(b).get(bStep).get(out).get(cRow).get(k).get(tiles).get(add).call(target).set(a)
        increase(code, count, [tiles, -size])
        code.get(tiles).i32(size).op("i32.mul").get(cRow).op("i32.mul").get(out).op("i32.add").set(out)
      })
    }
    return code
  })
}
