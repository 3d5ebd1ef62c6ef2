/**
 * Convolutions, each in the way that suits it: many narrow groups as lanes of vectors (`channelwise.ts`), all others as
 * implicit matrix products (`implicit.ts`), one for each phase if the input is dilated (`phases.ts`).
 */
import { type Callable, Code } from "../assembler/index.ts"
import type { Emission, Emitted } from "../emission.ts"
import type { Convolution } from "../ir.ts"
import { emitChannelwise, isChannelwise } from "./channelwise.ts"
import { type Geometry, geometryOf } from "./geometry.ts"
import { emitImplicit } from "./implicit.ts"
import { phasesOf } from "./phases.ts"
import { writeEpilogue } from "./results.ts"
import { each, temporary } from "./writing.ts"

/** All phases of an image are done by one thread, and then its epilogue: a unit is an image of a group. */
const emitPhases = (
  e: Emission,
  convolution: Convolution,
  geometry: Geometry,
  phases: ReadonlyArray<Geometry>,
  epilogue: Callable | undefined
): Emitted => {
  const kernels = phases.map((phase, i) =>
    emitImplicit(e, convolution, {
      name: `${convolution.name}_phase${i}`,
      geometry: phase,
      byImage: true,
      epilogue: undefined
    })
  )
  const code = new Code([["frame", "i32"], ["begin", "i32"], ["end", "i32"]])
  const [frame, begin, end] = code.params
  for (const { bands, run } of kernels) {
    code.get(frame).get(begin).i32(bands).op("i32.mul").get(end).i32(bands).op("i32.mul").call(run)
  }
  if (epilogue !== undefined) {
    const { axes, batch, columns } = geometry
    const [image, feature, zero, one, features, outputs] = temporary(code, ..."nfzojk")
    code.i32(1).set(one).i32(columns.size).set(features).i32(axes[0].output).set(outputs)
    each(code, begin, end, 1, () => {
      code.get(begin).i32(batch.size).op("i32.rem_u").set(image)
      code.get(begin).i32(batch.size).op("i32.div_u").i32(columns.size).op("i32.mul").set(feature)
      writeEpilogue(code, convolution, epilogue, frame, [[image, one], [feature, features], [zero, outputs]])
    })
  }
  return {
    run: e.module.add(convolution.name, code),
    units: geometry.groups.size * geometry.batch.size,
    whole: true,
    nanoseconds: kernels.reduce((total, { nanoseconds }) => total + nanoseconds, 0)
  }
}

/**
 * Writes a convolution. `epilogue` is a function `(frame, b, i0, i1, j0, j1)` over rectangles of the last two axes of
 * the result, called as soon as their elements are in `convolution.out`; `b` counts all axes before those.
 */
export const emitConvolution = (e: Emission, convolution: Convolution, epilogue?: Callable): Emitted => {
  const geometry = geometryOf(convolution)
  const { axes, batch, columns } = geometry
  if (isChannelwise(geometry)) return emitChannelwise(e, convolution, geometry, epilogue)
  const isEmpty = batch.size * columns.size === 0 || axes.some(({ output }) => output === 0)
  const phases = isEmpty ? [geometry] : phasesOf(geometry)
  if (phases.length > 1) return emitPhases(e, convolution, geometry, phases, epilogue)
  return emitImplicit(e, convolution, { name: convolution.name, geometry: phases[0], byImage: false, epilogue })
}
