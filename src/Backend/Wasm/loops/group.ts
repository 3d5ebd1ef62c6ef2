/** Loops that depend on nothing of each other as one kernel: their units stand one after the other. */
import { Code } from "../assembler/index.ts"
import type { Emission, Emitted } from "../emission.ts"
import type { Group } from "../ir.ts"
import { emitFlat } from "./flat.ts"
import { emitLoop } from "./loop.ts"

/** Writes a group: a function for each loop (one for those that compute the same), and one that calls them. */
export const emitGroup = (e: Emission, group: Group): Emitted => {
  const parts = group.loops.map((loop) => emitFlat(e, loop) ?? emitLoop(e, loop))
  const code = new Code([["frame", "i32"], ["begin", "i32"], ["end", "i32"]])
  const [frame, begin, end] = code.params
  const [from, to] = [code.local("i32", "from"), code.local("i32", "to")]
  let units = 0
  for (const part of parts) {
    // from = max(begin - units, 0), to = min(end - units, part.units)
    code.get(begin).i32(units).op("i32.sub").tee(from).i32(0).get(from).i32(0).op("i32.gt_s").op("select").set(from)
    code.get(end).i32(units).op("i32.sub").tee(to).i32(part.units).get(to).i32(part.units)
    code.op("i32.lt_s").op("select").set(to)
    code.get(from).get(to).op("i32.lt_s").if(() => {
      code.get(frame).get(from).get(to).call(part.run)
    })
    units += part.units
  }
  return {
    run: e.module.add(group.name, code),
    units,
    nanoseconds: parts.reduce((sum, part) => sum + part.nanoseconds, 0)
  }
}
