/** The error for an equation that no backend runs. */
import type { Equation } from "../Program/Program.ts"
import { UnsupportedOperation } from "./Backend.ts"

/** Says what resolves a named axis that no vmap has resolved, and that Variables are only shown. */
export const unsupported = (backend: string, equation: Equation): UnsupportedOperation => {
  const { inputs, params, primitive } = equation
  const axis = "axis_name" in params ? JSON.stringify(params.axis_name) : undefined
  return new UnsupportedOperation({
    backend,
    operation: axis === undefined ? primitive : `${primitive} over the axis ${axis}`,
    dtype: inputs[0]?.aval.dtype ?? "any",
    hint: axis === undefined
      ? "a Program with Variables is shown, not run"
      : "name that axis in an enclosing vmap (axisName)"
  })
}
