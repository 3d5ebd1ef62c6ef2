/**
 * The table of control primitives: calls, loops, branches, marks and effects. A primitive without a rule does not
 * compile.
 */
import type { ControlPrimitive, ControlTable } from "../../Primitive.ts"
import type { Equation, EquationOf } from "../../Program.ts"
import * as calls from "./calls.ts"
import { cond } from "./cond.ts"
import * as marks from "./marks.ts"
import { scan } from "./scan.ts"
import { whileRule } from "./while.ts"

/** Rules by primitive. */
export const controls: ControlTable<ControlPrimitive> = {
  jit: calls.jit,
  checkpoint: calls.checkpoint,
  custom_jvp_call: calls.customJvp,
  custom_vjp_call: calls.customVjp,
  custom_lin: calls.customLin,
  scan,
  while: whileRule,
  cond,
  name: marks.name,
  optimization_barrier: marks.optimizationBarrier,
  psum: marks.psum,
  pmax: marks.pmax,
  pmin: marks.pmin,
  all_gather: marks.allGather,
  axis_index: marks.axisIndex,
  debug_callback: marks.debugCallback,
  get_variable: marks.getVariable,
  set_variable: marks.setVariable
}

/** An equation of a control primitive. */
export type ControlEquation = { readonly [P in ControlPrimitive]: EquationOf<P> }[ControlPrimitive]

/** Is it an equation of a control primitive? */
export const isControl = (equation: Equation): equation is ControlEquation =>
  Object.hasOwn(controls, equation.primitive)
