/**
 * Epilogues of products: a function over a rectangle of the last two dimensions of a result that lies in memory, so
 * that it can be called for a tile while that is in the cache.
 */
import type { Shape } from "../../../Tensor/Shape.ts"
import * as Shapes from "../../../Tensor/Shape.ts"
import { type Callable, Code, type Local } from "../assembler/index.ts"
import { type Emission, slots } from "../emission.ts"
import type { Buffer, Store } from "../ir.ts"
import { held, type Value } from "../math/value.ts"
import { Writer } from "../math/writer.ts"
import { Lowering } from "./lower.ts"
import { Addresses, inFrame } from "./memory.ts"
import { forEachVector } from "./nest.ts"
import { copiesOf, lowerPass, writeStores } from "./passes.ts"
import type { Dimension } from "./space.ts"

/**
 * A function `(frame, b, i0, i1, j0, j1)`: does the stores for rows i0 to i1 and columns j0 to j1 of the matrix with
 * number b. `shape` is (batch…, m, n); a `Product` is the element of `out`, which has that shape and is dense.
 */
export const emitTile = (
  e: Emission,
  out: Buffer,
  stores: ReadonlyArray<Store>,
  shape: Shape,
  name: string
): Callable => {
  const code = new Code(["frame", "b", "i0", "i1", "j0", "j1"].map((parameter) => [parameter, "i32"]))
  const [frame, batch, i0, i1, j0, j1] = code.params
  const constants = code.local("i32", "constants")
  code.get(frame).load("i32.load", 4 * slots.constants).set(constants)
  const dimensions = shape.map((size, at): Dimension => ({ at, size }))
  const rows = dimensions.slice(0, -1)
  const lanes = dimensions[dimensions.length - 1]
  const [i, j] = [code.local("i32", "i"), code.local("i32", "j")]
  const position = new Map<Dimension, Value>([
    ...batchIndices(code, rows.slice(0, -1), batch),
    [rows[rows.length - 1], held(i, 1)],
    [lanes, held(j, 2)]
  ])
  const space = { rows, lines: [], lanes, isColumns: true, price: 0 }
  const addresses = new Addresses(e, space, position, inFrame(frame))
  const lowering = new Lowering({
    emission: e,
    space,
    addresses,
    stored: new Set(stores.map(({ buffer }) => buffer)),
    rowLevel: 2,
    reduced: new Map(),
    product: { buffer: out, at: { offset: 0, strides: Shapes.strides(shape) } }
  })
  const lowered = lowerPass({ isClose: false, reductions: [], stores }, lowering, addresses, 2)
  const copies = copiesOf([lowered], lanes.size, e.features)
  const writer = new Writer(code, e, constants)
  writer.evaluate(lowered.roots, { level: 0 })
  code.get(i0).set(i).while(i, i1, 1, () => {
    writer.scope(() => {
      writer.evaluate(lowered.roots, { level: 1 })
      code.get(j0).set(j)
      forEachVector(code, j, j1, 1, copies, (count, partial) =>
        writer.scope(() => {
          writer.evaluate(lowered.roots, { copies: count, partial })
          writeStores(writer, lowered.stores, count)
        }))
    })
  })
  return e.module.add(name, code)
}

/** The indices of the matrix with a number, computed at the start. */
const batchIndices = (
  code: Code,
  dimensions: ReadonlyArray<Dimension>,
  number: Local
): ReadonlyArray<readonly [Dimension, Value]> => {
  const rest = code.local("i32", "rest")
  code.get(number).set(rest)
  return dimensions.toReversed().map((dimension) => {
    const index = code.local("i32", `b${dimension.at}`)
    code.get(rest).i32(dimension.size).op("i32.rem_u").set(index)
    code.get(rest).i32(dimension.size).op("i32.div_u").set(rest)
    return [dimension, held(index)]
  })
}
