/** How large buffers are, and where. */
import { type Program, subPrograms } from "../../../Program/Program.ts"
import * as DTypes from "../../../Tensor/DType.ts"
import * as Shape from "../../../Tensor/Shape.ts"
import type { ShapedArray } from "../../../Tensor/ShapedArray.ts"
import { type Place, type Plan, slots } from "../emission.ts"
import type { Buffer } from "../ir.ts"

/** Bytes of a buffer's elements. */
export const bytesOf = (buffer: Buffer): number => buffer.size * DTypes.byteSize(buffer.dtype)

/** Where a buffer is. One without elements needs no place. */
export const placeOf = (plan: Plan, buffer: Buffer): Place => {
  const place = plan.places.get(buffer)
  if (place !== undefined) return place
  if (buffer.size > 0) throw new Error(`the plan has no place for ${buffer.name}`)
  return { slot: slots.arena, offset: 0 }
}

/** What 32-bit addresses reach, in bytes, and what loops count, in elements. */
const addressable = 2 ** 32
const countable = 2 ** 31 - 1

/**
 * The bytes of the first array of a Program, at any depth, that is larger than any memory; undefined if there is none.
 * Also one that fusion would never write has too many elements for the loops that compute it.
 */
export const beyondMemory = (program: Program): number | undefined => {
  const tooLarge = ({ dtype, shape }: ShapedArray): number | undefined => {
    const size = Shape.size(shape)
    const bytes = size * DTypes.byteSize(dtype)
    return bytes > addressable || size > countable ? bytes : undefined
  }
  for (const { aval } of program.inputs) {
    const bytes = tooLarge(aval)
    if (bytes !== undefined) return bytes
  }
  for (const equation of program.equations) {
    for (const { aval } of equation.outputs) {
      const bytes = tooLarge(aval)
      if (bytes !== undefined) return bytes
    }
    for (const sub of subPrograms(equation)) {
      const bytes = beyondMemory(sub)
      if (bytes !== undefined) return bytes
    }
  }
  return undefined
}
