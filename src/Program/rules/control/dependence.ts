/**
 * Which outputs of a Program depend on which of its inputs, seen through loops and branches. An equation that computes
 * primals and tangents together (a loop in a rule of a custom jvp) has outputs of both sorts; this tells them apart.
 */
import type { Equation, Program } from "../../Program.ts"

type Flags = ReadonlyArray<boolean>

/** The flags of the carries at the start, grown by what `step` gives for them until it adds none. */
export const settle = (start: Flags, step: (carry: Flags) => Flags): Flags => {
  const out = step(start)
  const next = start.map((f, i) => f || out[i])
  return next.every((f, i) => f === start[i]) ? start : settle(next, step)
}

/** For each output, does it depend on an input that is flagged? */
export const dependent = (program: Program, inputs: Flags): Flags => {
  const reached = new Set<unknown>(program.inputs.filter((_, i) => inputs[i]))
  for (const e of program.equations) {
    const flags = e.inputs.map((a) => reached.has(a))
    if (flags.includes(true)) dependentOutputs(e, flags).forEach((f, i) => f && reached.add(e.outputs[i]))
  }
  return program.outputs.map((o) => reached.has(o))
}

const union = (a: Flags, b: Flags): Flags => a.map((f, i) => f || b[i])

/** For each output of an equation, does it depend on an input that is flagged? At least one is. */
export const dependentOutputs = (equation: Equation, inputs: Flags): Flags => {
  switch (equation.primitive) {
    case "jit":
    case "checkpoint":
    case "custom_jvp_call":
    case "custom_vjp_call":
      return dependent(equation.params.program, inputs)
    case "cond": {
      const [index, ...operands] = inputs
      return index
        ? equation.outputs.map(() => true)
        : equation.params.branches.map((b) => dependent(b, operands)).reduce(union)
    }
    case "scan": {
      const { num_carry: carries, num_consts: consts, program } = equation.params
      const body = (carry: Flags) =>
        dependent(program, [...inputs.slice(0, consts), ...carry, ...inputs.slice(consts + carries)])
      const carry = settle(inputs.slice(consts, consts + carries), (flags) => body(flags).slice(0, carries))
      return [...carry, ...body(carry).slice(carries)]
    }
    case "while": {
      const { body, body_consts: bodyConsts, cond, cond_consts: condConsts } = equation.params
      const carry = settle(
        inputs.slice(condConsts + bodyConsts),
        (flags) => dependent(body, [...inputs.slice(condConsts, condConsts + bodyConsts), ...flags])
      )
      const [goesOn] = dependent(cond, [...inputs.slice(0, condConsts), ...carry])
      return goesOn ? carry.map(() => true) : carry
    }
    default:
      return equation.outputs.map(() => true)
  }
}
