// Runs a Program, control flow and all, with the reference evaluator.
import type * as Control from "../../src/Program/control.ts"
import { interpret, rebind } from "../../src/Program/evaluate.ts"
import type { Equation, Program } from "../../src/Program/Program.ts"
import * as lax from "../../src/Tensor/lax/index.ts"
import type { Tensor } from "../../src/Tensor/Tensor.ts"
import { fromValues } from "./arbitrary.ts"
import { evaluate } from "./reference/index.ts"

type Tensors = ReadonlyArray<Tensor>

/** Computed now, so that graphs stay small and counts can be read. */
const settled = (x: Tensor): Tensor => fromValues(evaluate([x])[0].data, x.shape, x.dtype)

const number = (x: Tensor): number => evaluate([x])[0].data[0]

const row = (x: Tensor, i: number): Tensor =>
  lax.reshape(lax.slice(x, x.shape.map((_, a) => a === 0 ? i : 0), x.shape.with(0, i + 1)), x.shape.slice(1))

const runScan = (p: Control.Params["scan"], inputs: Tensors): Tensors => {
  const consts = inputs.slice(0, p.num_consts)
  let carry: Tensors = inputs.slice(p.num_consts, p.num_consts + p.num_carry)
  const xs = inputs.slice(p.num_consts + p.num_carry)
  const rows: Array<Tensors> = []
  for (let step = 0; step < p.length; step++) {
    const i = p.reverse ? p.length - 1 - step : step
    const out = run(p.program, [...consts, ...carry, ...xs.map((x) => row(x, i))])
    carry = out.slice(0, p.num_carry)
    rows[i] = out.slice(p.num_carry)
  }
  const stacked = p.program.outputs.slice(p.num_carry).map((_, k) =>
    lax.concatenate(rows.map((r) => lax.reshape(r[k], [1, ...r[k].shape])), 0)
  )
  return [...carry, ...stacked]
}

const runWhile = (p: Control.Params["while"], inputs: Tensors): Tensors => {
  const forCond = inputs.slice(0, p.cond_consts)
  const forBody = inputs.slice(p.cond_consts, p.cond_consts + p.body_consts)
  let carry: Tensors = inputs.slice(p.cond_consts + p.body_consts)
  while (number(run(p.cond, [...forCond, ...carry])[0]) !== 0) carry = run(p.body, [...forBody, ...carry])
  return carry
}

const apply = (equation: Equation, inputs: Tensors): Tensors => {
  switch (equation.primitive) {
    case "jit":
    case "checkpoint":
      return run(equation.params.program, inputs)
    case "scan":
      return runScan(equation.params, inputs)
    case "while":
      return runWhile(equation.params, inputs)
    case "cond":
      return run(equation.params.branches[number(inputs[0])], inputs.slice(1))
    case "optimization_barrier":
      return inputs
    case "name":
      return inputs
    default:
      return rebind(equation, inputs, () => {})
  }
}

/** The outputs, computed: effects do nothing. */
export const run = (program: Program, inputs: Tensors): Tensors =>
  interpret(program, inputs, (x) => x, apply).map(settled)
