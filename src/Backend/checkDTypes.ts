/** A Program's dtypes against those that a backend computes with. */
import { type Atom, type Program, subPrograms } from "../Program/Program.ts"
import type { DType } from "../Tensor/DType.ts"
import type { ShapedArray } from "../Tensor/ShapedArray.ts"
import { UnsupportedOperation } from "./Backend.ts"

/** Throws `UnsupportedOperation` when a Program has an array of a dtype that the backend does not know. */
export const checkDTypes = (
  backend: { readonly name: string; readonly dtypes: ReadonlySet<DType> },
  program: Program
): void => {
  const check = (aval: ShapedArray, operation: string): void => {
    if (backend.dtypes.has(aval.dtype)) return
    throw new UnsupportedOperation({
      backend: backend.name,
      operation,
      dtype: aval.dtype,
      hint: `it computes with ${[...backend.dtypes].join(", ")}; convert with astype`
    })
  }
  const atoms = (xs: ReadonlyArray<Atom>, operation: string): void => xs.forEach((x) => check(x.aval, operation))
  atoms(program.inputs, "input")
  for (const equation of program.equations) {
    atoms(equation.inputs, equation.primitive)
    atoms(equation.outputs, equation.primitive)
    for (const sub of subPrograms(equation)) checkDTypes(backend, sub)
  }
  atoms(program.outputs, "output")
}
