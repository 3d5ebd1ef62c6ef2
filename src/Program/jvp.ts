/**
 * Forward-mode differentiation: evaluates a Program on pairs of primals and tangents. A tangent that is null is a
 * symbolic zero, and nothing is computed for it.
 */
import * as DType from "../Tensor/DType.ts"
import type * as Tensor from "../Tensor/Tensor.ts"
import { interpret, rebind } from "./evaluate.ts"
import type {
  ArrayPrimitive,
  ControlPrimitive,
  ControlRule,
  Emit,
  Interpreters,
  Jvp,
  JvpMode,
  Rule,
  Tangent
} from "./Primitive.ts"
import type { Equation, Program } from "./Program.ts"
import { controls, isControl } from "./rules/control/index.ts"
import { rules } from "./rules/index.ts"

interface Dual {
  readonly primal: Tensor.Tensor
  readonly tangent: Tangent
}

/**
 * Outputs of a Program and their tangents. In mode `linearize`, the equations that compute tangents are linear in the
 * tangents and contain nothing else, also across loops and branches.
 */
export const jvp = (
  self: Interpreters,
  program: Program,
  primals: ReadonlyArray<Tensor.Tensor>,
  tangents: ReadonlyArray<Tangent>,
  mode: JvpMode,
  emit: Emit
): Jvp => {
  const duals = primals.map((primal, i): Dual => ({ primal, tangent: tangents[i] }))
  const outputs = interpret<Dual>(
    program,
    duals,
    (x) => ({ primal: x, tangent: null }),
    (equation, inputs) => applyJvp(self, equation, inputs, mode, emit)
  )
  return { outputs: outputs.map((d) => d.primal), tangents: outputs.map((d) => d.tangent) }
}

/** The meaning of one equation on duals. */
const applyJvp = (
  self: Interpreters,
  equation: Equation,
  inputs: ReadonlyArray<Dual>,
  mode: JvpMode,
  emit: Emit
): ReadonlyArray<Dual> => {
  const primals = inputs.map((d) => d.primal)
  const tangents = inputs.map((d) => d.tangent)
  const pair = (outputs: ReadonlyArray<Tensor.Tensor>, ts: ReadonlyArray<Tangent>): ReadonlyArray<Dual> =>
    outputs.map((primal, i) => ({ primal, tangent: DType.isFloat(primal.dtype) ? ts[i] ?? null : null }))
  if (tangents.every((t) => t === null)) return pair(rebind(equation, primals, emit), [])
  if (isControl(equation)) {
    const control = controls[equation.primitive] as ControlRule<ControlPrimitive>
    const result = control.jvp(equation.params as never, primals, tangents, { mode, emit, self })
    return pair(result.outputs, result.tangents)
  }
  const outputs = rebind(equation, primals, emit)
  // The rule of the equation's own primitive, applied to its own parameters: TypeScript cannot follow the pairing.
  const rule = rules[equation.primitive] as Rule<ArrayPrimitive>
  return pair(outputs, rule.jvp === null ? [] : rule.jvp(equation.params as never, primals, tangents, outputs))
}
