/**
 * Variables in synchronous code: read and written where the current fiber is, in a trace or outside.
 */
import { currentUnsafe, readCell } from "../Program/Trace.ts"
import { type Any, cellOf, type Variable, writeAll } from "../Ref/Variable.ts"
import * as lax from "../Tensor/lax/index.ts"
import type { Tensor } from "../Tensor/Tensor.ts"

/** A Variable of arrays, as one of whatever. */
export const anyVariable = (self: Variable<string, Tensor>): Any => self as unknown as Any

/** The value of a Variable. Outside of traces its arrays are handed out, so no later step may overwrite them. */
export const valueOf = (self: Any): unknown => {
  const cell = cellOf(self)
  if (currentUnsafe() === undefined) cell.shared = true
  return readCell(cell)
}

/** The array in a Variable. */
export const tensorOf = (self: Variable<string, Tensor>): Tensor => valueOf(anyVariable(self)) as Tensor

/** Writes arrays all at once, each in the dtype that its Variable has. */
export const writeTensors = (
  ...entries: ReadonlyArray<readonly [variable: Variable<string, Tensor>, value: Tensor]>
): void =>
  writeAll(
    entries.map(([variable]) => anyVariable(variable)),
    entries.map(([variable, value]) => lax.convertElementType(value, tensorOf(variable).dtype))
  )
