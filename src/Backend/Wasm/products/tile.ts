/**
 * The micro-kernels: a few rows times a few columns of the result, kept in registers while the kernel runs along k.
 *
 * One step of k loads the columns' elements as vectors, and each row's element into all lanes of one, and adds their
 * products. V8 keeps 4 rows of 8 columns in the 16 registers of 128-bit SIMD and does then, per cycle, what the machine
 * can; where V8 joins pairs of vectors, 4 rows of 16 columns fill the 256-bit registers likewise.
 *
 * The columns are vectors in memory, `bStep` bytes from one k to the next. The rows are read in one of two *forms*:
 *
 * - `panel`: the rows' elements of one k lie side by side, `aStep` bytes from one k to the next: packed, or a transposed
 *   matrix as it is;
 * - `rows`: the elements of a row lie side by side, `aStep` bytes from one row to the next: a row-major matrix as it is.
 */
import { type Callable, Code, type Local, type Module } from "../assembler/index.ts"
import type { Features } from "../emission.ts"
import type { Kind } from "./elements.ts"
import { increase, sum, times } from "./writing.ts"

/** How a kernel finds the elements of its rows. */
export type Form = "panel" | "rows"

/** What a kernel is made for. */
export interface Tile {
  readonly kind: Kind
  readonly form: Form
  readonly rows: number
  /** Columns: any number, of which the last vector may be a part. */
  readonly columns: number
}

/** Steps of k that one turn of the loop does: what a turn costs is then small against its work. */
const unroll = 2

/** `(a, aStep, aNext, b, bStep, c, cRow, k, tiles, add)`: `tiles` blocks of rows, `aNext` bytes apart, at least one. */
const params = [
  ["a", "i32"],
  ["aStep", "i32"],
  ["aNext", "i32"],
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
  const code = new Code(params)
  const [a, aStep, aNext, b, bStep, out, cRow, k, tiles, add] = code.params
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
  /** One k, the `u`th of a turn of the loop. */
  const step = (u: number): void => {
    columns.forEach((y, j) => code.get(pb).load("v128.load", 16 * j).set(y))
    sums.forEach((row, i) => {
      if (tile.form === "rows") code.get(pointers[i]).load("v128.load32_splat", 4 * u).set(x)
      else code.get(pa).load("v128.load32_splat", 4 * i).set(x)
      row.forEach((s, j) => {
        multiplyAdd(code, tile.kind, features, x, columns[j], s)
        code.set(s)
      })
    })
    increase(code, pb, bStep)
    if (tile.form === "panel") increase(code, pa, aStep)
  }
  const steps = (count: number): void => {
    for (let u = 0; u < count; u++) step(u)
    if (tile.form === "rows") { for (const pointer of pointers) increase(code, pointer, 4 * count) }
  }

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
    code.get(k).i32(1).op("i32.shr_u").tee(left).if(() => times(code, left, () => steps(unroll)))
    code.get(k).i32(1).op("i32.and").if(() => steps(1))
    eachRow((row) => row.forEach((s, j) => storePart(code, pc, s, lanes(j), 16 * j)))
    sum(code, pc, cRow).set(out)
    increase(code, a, aNext)
  })
  return code
}

/** The micro-kernel for a tile. */
export const tileKernel = (module: Module, features: Features, tile: Tile): Callable =>
  module.once(
    `tile_${tile.kind}_${tile.form}_${tile.rows}x${tile.columns}`,
    () => writeTile(tile, features)
  )

/** What a column kernel is made for. */
export interface ColumnKernel {
  readonly kind: Kind
  readonly form: Form
  /** Rows of the largest tile. */
  readonly rows: number
  readonly columns: number
  /** Which numbers of rows may remain below a whole tile: 1, 2 and 4 as bits. */
  readonly rest: number
  /** May there be whole tiles? */
  readonly whole: boolean
}

/**
 * A column of tiles: `(a, aStep, aNext, b, bStep, c, cRow, k, count, add)` with any number of rows. What remains below
 * whole tiles is done by tiles of 4, 2 and 1 rows.
 */
export const columnKernel = (module: Module, features: Features, kernel: ColumnKernel): Callable => {
  const { columns, form, kind, rest, rows, whole } = kernel
  return module.once(`column_${kind}_${form}_${rows}x${columns}_${rest}${whole ? "w" : ""}`, () => {
    const code = new Code(params)
    const [a, aStep, aNext, b, bStep, out, cRow, k, count, add] = code.params
    const tiles = code.local("i32", "tiles")
    const call = (tileRows: number): void => {
      const target = tileKernel(module, features, { kind, form, rows: tileRows, columns })
      code.get(a).get(aStep).get(aNext).get(b).get(bStep).get(out).get(cRow).get(k).get(tiles).get(add).call(target)
    }
    if (whole) {
      code.get(count).i32(Math.log2(rows)).op("i32.shr_u").tee(tiles).if(() => {
        call(rows)
        code.get(a).get(tiles).get(aNext).op("i32.mul").op("i32.add").set(a)
        code.get(out).get(tiles).i32(rows).op("i32.mul").get(cRow).op("i32.mul").op("i32.add").set(out)
      })
    }
    code.i32(1).set(tiles)
    for (let part = rows / 2; part >= 1; part /= 2) {
      if ((rest & part) === 0) continue
      code.get(count).i32(part).op("i32.and").if(() => {
        call(part)
        if (form === "rows") code.get(a).get(aStep).i32(part).op("i32.mul").op("i32.add").set(a)
        else increase(code, a, 4 * part)
        code.get(out).get(cRow).i32(part).op("i32.mul").op("i32.add").set(out)
      })
    }
    return code
  })
}
