/**
 * The three interpreters tied together: each is handed itself and the others, since rules of loops and branches apply
 * them to bodies.
 */
import { batch } from "./batch.ts"
import { jvp } from "./jvp.ts"
import { transpose } from "./linearize.ts"
import type { Interpreters } from "./Primitive.ts"

/** Forward derivatives, transposes and batching of Programs. */
export const interpreters: Interpreters = {
  jvp: (program, primals, tangents, mode, emit) => jvp(interpreters, program, primals, tangents, mode, emit),
  transpose: (program, inputs, cotangents) => transpose(interpreters, program, inputs, cotangents),
  batch: (program, inputs, axes, axis, emit) => batch(interpreters, program, inputs, axes, axis, emit)
}
