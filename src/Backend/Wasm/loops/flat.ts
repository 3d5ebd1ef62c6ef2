/**
 * Loops without reductions over one dimension, as a function of the addresses of their buffers: those that compute the
 * same are one function, as the updates of an optimizer for parameters of many shapes. That is less to write and to
 * compile, and V8 finds it hot sooner.
 */
import { type Callable, Code } from "../assembler/index.ts"
import { type Emission, type Emitted, slots } from "../emission.ts"
import type { Buffer, Expression, Loop, Store } from "../ir.ts"
import { held } from "../math/value.ts"
import { Writer } from "../math/writer.ts"
import { Lowering } from "./lower.ts"
import { Addresses } from "./memory.ts"
import { forEachVector } from "./nest.ts"
import { copiesOf, lowerPass, passesOf, writeStores } from "./passes.ts"
import { type Dimension, partsOf, spaceOf, strideOf } from "./space.ts"

/** Elements of a unit. */
const unitSize = 8192

/** A loop as text without the names of its buffers, and these, in order. Equal texts compute the same. */
const describe = (stages: ReadonlyArray<ReadonlyArray<Store>>, lanes: Dimension) => {
  const numbers = new Map<Expression, number>()
  const buffers = new Map<Buffer, number>()
  const queue: Array<Expression> = []
  const number = (e: Expression): number => {
    const known = numbers.get(e)
    if (known !== undefined) return known
    numbers.set(e, queue.length)
    return queue.push(e) - 1
  }
  const buffer = (b: Buffer): string => {
    if (!buffers.has(b)) buffers.set(b, buffers.size)
    return `${buffers.get(b)}:${b.dtype}`
  }
  const place = (at: Store["at"]): string => `${at.offset}+${strideOf(at, lanes)}`
  const lines = stages.map((stores) =>
    stores.map(({ at, buffer: to, value }) => `${buffer(to)} ${place(at)} ${number(value)}`).join()
  )
  // The queue grows while it is gone through.
  for (const e of queue) {
    const own = "at" in e
      ? place(e.at)
      : e._tag === "Constant"
      ? e.value
      : e._tag === "Power"
      ? e.y
      : e._tag === "Apply"
      ? e.op
      : ""
    const from = "buffer" in e ? buffer(e.buffer) : ""
    lines.push(`${e._tag} ${e.dtype} ${Object.is(own, -0) ? "-0" : own} ${from} ${partsOf(e).map(number).join()}`)
  }
  return { key: lines.join("\n"), buffers: [...buffers.keys()] }
}

/** The function `(constants, addresses…, from, to)` of a loop. */
const body = (e: Emission, loop: Loop, lanes: Dimension, buffers: ReadonlyArray<Buffer>): Code => {
  const code = new Code(["constants", ...buffers.map((_, k) => `p${k}`), "v", "to"].map((name) => [name, "i32"]))
  const addresses = code.params.slice(1, -2)
  const [constants, v, to] = [code.params[0], ...code.params.slice(-2)]
  const emission = { ...e, place: (buffer: Buffer) => ({ slot: buffers.indexOf(buffer), offset: 0 }) }
  const space = { rows: [], lines: [], lanes, isColumns: true, price: 0 }
  const places = new Addresses(emission, space, new Map([[lanes, held(v, 2)]]), (slot) => held(addresses[slot]))
  const stored = new Set(loop.stages.flatMap((s) => s._tag === "Reduce" ? [] : s.stores.map((store) => store.buffer)))
  const lowering = new Lowering({ emission, space, addresses: places, stored, rowLevel: 2, reduced: new Map() })
  const passes = passesOf(loop).map((pass) => lowerPass(pass, lowering, places, 2))
  const copies = copiesOf(passes, lanes.size, e.features)
  const writer = new Writer(code, emission, constants)
  writer.evaluate(passes.flatMap((pass) => pass.roots), { level: 0 })
  forEachVector(code, v, to, 1, copies, (count, partial) => {
    for (const pass of passes) {
      writer.scope(() => {
        writer.evaluate(pass.roots, { copies: count, partial })
        writeStores(writer, pass.stores, count)
      })
    }
  })
  return code
}

/** Writes a loop that is flat, with a function that others may share; undefined if it is not. */
export const emitFlat = (e: Emission, loop: Loop): Emitted | undefined => {
  if (loop.stages.some((stage) => stage._tag !== "Map") || [...loop.outer, ...loop.inner].includes(0)) return undefined
  const { lanes, price, rows } = spaceOf(loop)
  if (rows.length > 0 || lanes.size < 32) return undefined
  const { buffers, key } = describe(loop.stages.map((stage) => stage._tag === "Map" ? stage.stores : []), lanes)
  const shared: Callable = e.module.once(key, () => body(e, loop, lanes, buffers), `${loop.name}_flat`)
  const code = new Code([["frame", "i32"], ["begin", "i32"], ["end", "i32"]])
  const [frame, begin, end] = code.params
  const to = code.local("i32", "to")
  code.get(end).i32(unitSize).op("i32.mul").set(to)
  code.get(frame).load("i32.load", 4 * slots.constants)
  for (const buffer of buffers) {
    const { offset, slot } = e.place(buffer)
    code.get(frame).load("i32.load", 4 * slot).i32(offset).op("i32.add")
  }
  code.get(begin).i32(unitSize).op("i32.mul")
  code.get(to).i32(lanes.size).get(to).i32(lanes.size).op("i32.lt_s").op("select").call(shared)
  return {
    run: e.module.add(loop.name, code),
    units: Math.ceil(lanes.size / unitSize),
    nanoseconds: lanes.size * price * 0.2
  }
}
