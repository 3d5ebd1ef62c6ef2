/**
 * Writes a loop kernel as one function over a range of its units. Two forms, by where the lanes of vectors lie:
 *
 * ```text
 * rows                                     columns
 *   for each row                             for each row of the other outer dimensions
 *     for each pass                            for each vector of lanes, every lane a row of its own
 *       for each line                            for each pass
 *         for each vector: compute                 for each line: compute
 *       add the lanes up                         close
 *     close
 * ```
 *
 * The loop over vectors is written twice: for several of them side by side, and for those that are left, of which the
 * last may be partial.
 */
import * as Shape from "../../../Tensor/Shape.ts"
import { Code, type Local } from "../assembler/index.ts"
import { type Emission, type Emitted, slots } from "../emission.ts"
import type { Affine, Buffer, Loop, Reduction } from "../ir.ts"
import { narrow } from "../math/dtype.ts"
import { held, node, type Partial, type Value } from "../math/value.ts"
import { Writer } from "../math/writer.ts"
import { Lowering } from "./lower.ts"
import { Addresses, inFrame } from "./memory.ts"
import { forEachLine, forEachRow, forEachVector, type Units } from "./nest.ts"
import { copiesOf, type Lowered, lowerPass, passesOf, writeStores } from "./passes.ts"
import { Accumulator } from "./reduction.ts"
import { Saved } from "./saved.ts"
import { type Dimension, sizeOf, type Space, spaceOf, strideOf, visit } from "./space.ts"

/** Everything about a loop that is being written. */
interface Writing {
  readonly writer: Writer
  readonly space: Space
  readonly passes: ReadonlyArray<Lowered>
  readonly roots: ReadonlyArray<Value>
  /** The locals with the results of reductions, once they are there. */
  readonly results: Map<Reduction, ReadonlyArray<Local>>
  readonly indices: ReadonlyMap<Dimension, Local>
  readonly saved: Saved
  readonly copies: number
}

/** Elements that a sum adds up before they are a block. */
const blockSize = 4096
/** Elements of a unit of work. */
const unitSize = 8192
/**
 * What is reduced and costs no more is computed for one vector after the other: side by side, eight vectors and eight sums
 * would not fit into the registers.
 */
const cheap = 6
/** Nanoseconds of a cycle of `Value.cost`, of which several run at once. */
const cycle = 0.14

/** Loops by their levels: the row's own Values are at `row`. */
const levelsOf = (isColumns: boolean) => isColumns ? { lanes: 2, lines: 3, row: 2 } : { lanes: 3, lines: 2, row: 1 }

const storedBy = (loop: Loop): ReadonlySet<Buffer> =>
  new Set(loop.stages.flatMap((stage) => stage._tag === "Reduce" ? [] : stage.stores.map(({ buffer }) => buffer)))

/** Values that stand for the results of reductions. */
const resultValues = (
  loop: Loop,
  results: ReadonlyMap<Reduction, ReadonlyArray<Local>>,
  isColumns: boolean
): ReadonlyMap<Reduction, Value> =>
  new Map(
    loop.stages.filter((stage) => stage._tag === "Reduce").map((reduction) => {
      const value = node([], ({ code, copy }) => {
        const locals = results.get(reduction)
        if (locals === undefined) throw new Error("a reduction is used before its stage")
        code.get(locals[isColumns ? copy : 0])
      }, { again: true, cost: 0, level: levelsOf(isColumns).row, varying: isColumns })
      return [reduction, narrow(value, reduction.dtype)]
    })
  )

/** Computes and stores a pass for the vectors at hand. */
const writeVectors = (
  { saved, writer }: Writing,
  lowered: Lowered,
  accumulators: ReadonlyArray<Accumulator>,
  copies: number,
  partial: Partial | undefined
): void => {
  writer.scope(() => {
    const once = lowered.cost <= cheap ? lowered.reduced.map(([, value]) => value) : []
    saved.provide(writer, lowered, copies)
    writer.evaluate([...lowered.roots, ...saved.kept(lowered)], { copies, partial, once })
    saved.keep(writer, lowered, copies)
    lowered.reduced.forEach(([, value], k) => {
      for (let copy = 0; copy < copies; copy++) accumulators[k].add(value, copy)
    })
    writeStores(writer, lowered.stores, copies)
  })
}

const accumulatorsOf = ({ space, writer }: Writing, lowered: Lowered, copies: number): ReadonlyArray<Accumulator> => {
  const length = sizeOf(space.lines) * (space.isColumns ? 1 : space.lanes.size)
  const hasTotals = length > (space.isColumns ? 384 : 1.5 * blockSize)
  return lowered.reduced.map(([reduction]) =>
    new Accumulator(writer, reduction, { copies, isColumns: space.isColumns, hasTotals })
  )
}

const finish = ({ results }: Writing, accumulators: ReadonlyArray<Accumulator>): void => {
  for (const accumulator of accumulators) results.set(accumulator.reduction, accumulator.end())
}

/** One row, along its vectors. */
const writeRow = (writing: Writing): void => {
  const { copies, indices, passes, space, writer } = writing
  const { code } = writer
  const v = indices.get(space.lanes) ?? code.local("i32")
  for (const lowered of passes) {
    writer.evaluate(lowered.roots, { level: 1 })
    if (lowered.pass.isClose) {
      writeStores(writer, lowered.stores, 1)
      continue
    }
    const accumulators = accumulatorsOf(writing, lowered, copies)
    const flush = () => accumulators.forEach((accumulator) => accumulator.flush())
    for (const accumulator of accumulators) accumulator.begin()
    const vectors = (count: number, partial: Partial | undefined) =>
      writeVectors(writing, lowered, accumulators, count, partial)
    const line = () => {
      writer.scope(() => {
        writer.evaluate(lowered.roots, { level: 2 })
        const size = space.lanes.size
        code.i32(0).set(v)
        const end = code.local("i32", "end")
        if (size <= 1.5 * blockSize || accumulators.length === 0) {
          code.i32(size).set(end)
          forEachVector(code, v, end, size, copies, vectors)
          return
        }
        const all = code.local("i32", "all")
        code.i32(size).set(all)
        code.loop((again) => {
          code.get(v).i32(blockSize).op("i32.add").set(end)
          code.get(end).get(all).get(end).get(all).op("i32.lt_s").op("select").set(end)
          forEachVector(code, v, end, size, copies, vectors)
          flush()
          code.get(v).get(all).op("i32.lt_s").brIf(again)
        })
      })
    }
    forEachLine(code, space.lines, indices, Math.max(1, Math.floor(blockSize / space.lanes.size)), line, flush)
    finish(writing, accumulators)
  }
}

/** The rows that are the lanes of some vectors. */
const writeColumns = (writing: Writing, copies: number, partial: Partial | undefined): void => {
  const { indices, passes, space, writer } = writing
  writer.scope(() => {
    for (const lowered of passes) {
      if (lowered.pass.isClose || space.lines.length > 0) {
        writer.evaluate(lowered.roots, { level: 2, copies, partial })
      }
      if (lowered.pass.isClose) {
        writeStores(writer, lowered.stores, copies)
        continue
      }
      const accumulators = accumulatorsOf(writing, lowered, copies)
      for (const accumulator of accumulators) accumulator.begin()
      forEachLine(
        writer.code,
        space.lines,
        indices,
        256,
        () => writeVectors(writing, lowered, accumulators, copies, partial),
        () => accumulators.forEach((accumulator) => accumulator.flush())
      )
      finish(writing, accumulators)
    }
  })
}

/** Does a vector take its elements from far apart, as in a transposition? */
const gathers = ({ passes, space }: Writing): boolean =>
  space.isColumns && space.lines.length === 0 && space.rows.length > 0 &&
  passes.some(({ pass }) => {
    const found: Array<Affine> = pass.stores.map(({ at }) => at)
    visit(pass.stores.map(({ value }) => value), new Set(), (e) => {
      if (e._tag === "Load") found.push(e.at)
    })
    return found.some((at) => Math.abs(strideOf(at, space.lanes)) > 4)
  })

const unitsOf = (writing: Writing): Units => {
  const { copies, space } = writing
  const rows = sizeOf(space.rows)
  const { size } = space.lanes
  const lines = Math.max(1, sizeOf(space.lines))
  const cut = (each: number, lanes: number): Units => {
    const pieces = Math.ceil(size / lanes)
    return { count: Math.ceil(rows / each) * pieces, rows: each, pieces, lanes }
  }
  // Small squares, so that what is read across is still in the cache when the next row needs it.
  if (gathers(writing)) return cut(32, 32)
  const perRow = size * lines
  if (!space.isColumns || (perRow <= 4 * unitSize && rows > 1)) {
    return cut(Math.max(1, Math.floor(unitSize / perRow)), size)
  }
  return cut(1, Math.max(1, Math.ceil(unitSize / lines / 4 / copies)) * 4 * copies)
}

/** Makes the Values of a loop. */
const prepare = (e: Emission, loop: Loop, code: Code): Writing => {
  const space = spaceOf(loop)
  const levels = levelsOf(space.isColumns)
  const [frame] = code.params
  const constants = code.local("i32", "constants")
  code.get(frame).load("i32.load", 4 * slots.constants).set(constants)
  const writer = new Writer(code, e, constants)
  const indices = new Map<Dimension, Local>()
  const position = new Map<Dimension, Value>()
  const add = (dimension: Dimension, level: number, name: string) => {
    const local = code.local("i32", name)
    indices.set(dimension, local)
    position.set(dimension, held(local, level))
  }
  space.rows.forEach((dimension, k) => add(dimension, 1, `row${k}`))
  space.lines.forEach((dimension, k) => add(dimension, levels.lines, `line${k}`))
  add(space.lanes, levels.lanes, "lane")
  const addresses = new Addresses(e, space, position, inFrame(frame))
  const results = new Map<Reduction, ReadonlyArray<Local>>()
  const reduced = resultValues(loop, results, space.isColumns)
  const lowering = new Lowering({
    emission: e,
    space,
    addresses,
    stored: storedBy(loop),
    rowLevel: levels.row,
    reduced
  })
  const passes = passesOf(loop).map((pass) => lowerPass(pass, lowering, addresses, space.isColumns ? 2 : 3))
  const copies = copiesOf(passes, space.lanes.size, e.features)
  const saved = new Saved(e, addresses, space, passes, copies)
  const roots = [...passes.flatMap((p) => p.roots), ...saved.roots]
  return { writer, space, passes, roots, results, indices, saved, copies }
}

const isEmpty = (loop: Loop): boolean =>
  Shape.size(loop.outer) === 0 ||
  (Shape.size(loop.inner) === 0 && loop.stages.every((stage) => stage._tag === "Map"))

/** Writes a loop. */
export const emitLoop = (e: Emission, loop: Loop): Emitted => {
  const code = new Code([["frame", "i32"], ["begin", "i32"], ["end", "i32"]])
  if (isEmpty(loop)) return { run: e.module.add(loop.name, code), units: 0, nanoseconds: 0 }
  const writing = prepare(e, loop, code)
  const { copies, indices, passes, roots, space, writer } = writing
  const units = unitsOf(writing)
  writer.evaluate(roots, { level: 0 })
  const v = indices.get(space.lanes)
  forEachRow(code, space, indices, units, (from, to) => {
    writer.scope(() => {
      if (!space.isColumns) return writeRow(writing)
      if (space.rows.length > 0) writer.evaluate(roots, { level: 1 })
      if (v === undefined) return
      code.get(from).set(v)
      forEachVector(code, v, to, space.lanes.size, copies, (count, partial) => writeColumns(writing, count, partial))
    })
  })
  const cost = passes.reduce((sum, pass) => sum + pass.cost, 0)
  const vectors = sizeOf(space.rows) * sizeOf(space.lines) * Math.ceil(space.lanes.size / 4)
  return {
    run: e.module.add(loop.name, code),
    units: units.count,
    nanoseconds: vectors * (cost + 2) * cycle + sizeOf(space.rows) * 10
  }
}
