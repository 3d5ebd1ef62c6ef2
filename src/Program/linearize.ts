/**
 * Reverse mode in two steps. *Linearize*: run the Program forward and keep, as a Program of its own, the part that maps
 * input tangents to output tangents; it is linear, and captures residuals. *Transpose*: run that linear Program
 * backwards, from cotangents of its outputs to cotangents of its inputs.
 */
import { TraceError } from "../Tensor/errors.ts"
import * as Lax from "../Tensor/lax/index.ts"
import { argument, type Tensor, traceScope } from "../Tensor/Tensor.ts"
import { build, type Closed } from "./build.ts"
import { Environment, rebind } from "./evaluate.ts"
import {
  type ArrayPrimitive,
  type ControlPrimitive,
  type ControlRule,
  type Emit,
  type Interpreters,
  isLinear,
  type Linear,
  type Rule,
  type Tangent
} from "./Primitive.ts"
import { type Equation, isEffectful, type Program, subPrograms, type Var } from "./Program.ts"
import { dependentOutputs } from "./rules/control/dependence.ts"
import { controls, isControl } from "./rules/control/index.ts"
import { rules } from "./rules/index.ts"
import { zerosLike } from "./rules/support.ts"

/** A Program run forward, with its derivative at that point. */
export interface Linearized {
  readonly outputs: ReadonlyArray<Tensor>
  /**
   * From the residuals (captures) and the tangents of the inputs in `active`, to the tangents of outputs that have any.
   */
  readonly linear: Closed
  /** Positions of the inputs whose tangents the linear Program takes. */
  readonly active: ReadonlyArray<number>
  /** Positions of the outputs whose tangents it gives; all others are zero. */
  readonly moving: ReadonlyArray<number>
}

/** Runs a Program forward and splits off its derivative with respect to the inputs named by `active`. */
export const linearize = (
  self: Interpreters,
  program: Program,
  primals: ReadonlyArray<Tensor>,
  active: ReadonlyArray<number>,
  emit: Emit
): Linearized => {
  const scope = traceScope("linearize")
  const tangents: Array<Tangent> = primals.map(() => null)
  const args = active.map((i) => {
    const t = argument({ ...primals[i].aval, weakType: false }, scope)
    tangents[i] = t
    return t
  })
  const result = self.jvp(program, primals, tangents, "linearize", emit)
  const moving = result.tangents.flatMap((t, i) => t === null ? [] : [i])
  const outputs = result.tangents.filter((t): t is Tensor => t !== null)
  const linear = build({ outputs, arguments: args, scope, residuals: true })
  scope.finished = true
  return { outputs: result.outputs, linear, active, moving }
}

/**
 * Cotangents of the linear inputs of a linear Program, given the known inputs and the cotangents of the outputs. Null
 * where an input is known, or its cotangent zero.
 */
export const transpose = (
  self: Interpreters,
  program: Program,
  inputs: ReadonlyArray<Tensor | Linear>,
  cotangents: ReadonlyArray<Tangent>
): ReadonlyArray<Tangent> => {
  const env = new Environment<Tensor | Linear>((x) => x)
  env.writeAll(program.inputs, inputs)
  const pending: Array<Equation> = []
  const sums = new Map<Var, Tensor>()
  const accumulate = (v: Equation["inputs"][number], ct: Tangent): void => {
    if (ct === null || v._tag === "Literal") return
    const before = sums.get(v)
    sums.set(v, before === undefined ? ct : Lax.add(before, ct))
  }
  for (const equation of program.equations) {
    const values = equation.inputs.map((a) => env.read(a))
    const known = values.filter((x): x is Tensor => !isLinear(x))
    if (known.length === values.length && !isEffectful(equation)) {
      // A constant, such as zeros or a mask: a factor of what is linear, and a value.
      env.writeAll(equation.outputs, rebind(equation, known, () => {}))
    } else {
      pending.push(equation)
      env.writeAll(equation.outputs, partlyKnown(equation, values))
    }
  }
  program.outputs.forEach((v, i) => accumulate(v, cotangents[i]))
  for (const equation of pending.toReversed()) {
    const cts = equation.outputs.map((v) => sums.get(v) ?? null)
    for (const v of equation.outputs) sums.delete(v)
    if (cts.every((ct) => ct === null)) continue
    const values = equation.inputs.map((a) => env.read(a))
    const results = transposeEquation(self, equation, cts, values)
    equation.inputs.forEach((a, i) => {
      if (isLinear(values[i])) accumulate(a, results[i] ?? null)
    })
  }
  return program.inputs.map((v, i) => isLinear(inputs[i]) ? sums.get(v) ?? null : null)
}

/**
 * Outputs of an equation with linear inputs. A loop or branch may have some that depend on known inputs alone: they are
 * computed, with zeros in place of the linear ones.
 */
const partlyKnown = (
  equation: Equation,
  inputs: ReadonlyArray<Tensor | Linear>
): ReadonlyArray<Tensor | Linear> => {
  const linear = equation.outputs.map((v): Linear => ({ _tag: "Linear", aval: v.aval }))
  if (subPrograms(equation).length === 0 || isEffectful(equation)) return linear
  const flags = dependentOutputs(equation, inputs.map(isLinear))
  if (flags.every((f) => f)) return linear
  const values = rebind(equation, inputs.map((x) => isLinear(x) ? zerosLike(x) : x), () => {})
  return linear.map((x, i) => flags[i] ? x : values[i])
}

/** A product of two linear inputs, or a quotient by one, is not linear; its rule would take one of them for known. */
const isProductOfLinear = ({ primitive }: Equation, [x, y]: ReadonlyArray<Tensor | Linear>): boolean =>
  primitive === "div" ? isLinear(y) : y !== undefined && isLinear(x) && isLinear(y) &&
    (primitive === "mul" || primitive === "dot_general" || primitive === "conv_general_dilated")

const transposeEquation = (
  self: Interpreters,
  equation: Equation,
  cotangents: ReadonlyArray<Tangent>,
  inputs: ReadonlyArray<Tensor | Linear>
): ReadonlyArray<Tangent> => {
  if (isControl(equation)) {
    const control = controls[equation.primitive] as ControlRule<ControlPrimitive>
    return control.transpose(equation.params as never, cotangents, inputs, self)
  }
  const rule = rules[equation.primitive] as Rule<ArrayPrimitive>
  if (rule.transpose === null || isProductOfLinear(equation, inputs)) {
    throw new TraceError({
      transform: "transpose",
      reason: `${equation.primitive} is not linear and cannot be transposed`,
      hint: "the derivative rule that produced this equation is wrong: please report it"
    })
  }
  return rule.transpose(equation.params as never, cotangents, inputs)
}

/** Cotangents of the active inputs from cotangents of all outputs; zero ones are null. */
export const pullback = (
  self: Interpreters,
  linearized: Linearized,
  cotangents: ReadonlyArray<Tangent>
): ReadonlyArray<Tangent> => {
  const { linear, moving } = linearized
  const inputs = linear.program.inputs.map((v, i): Tensor | Linear =>
    i < linear.captures.length ? linear.captures[i] : { _tag: "Linear", aval: v.aval }
  )
  return transpose(self, linear.program, inputs, moving.map((i) => cotangents[i])).slice(linear.captures.length)
}
