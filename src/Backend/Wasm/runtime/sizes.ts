/** How large buffers are, and where. */
import * as DTypes from "../../../Tensor/DType.ts"
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
