/**
 * Vectorization: evaluates a Program on arrays that have one more axis, somewhere. Values that do not depend on the
 * mapped axis stay as they are and are computed once.
 */
import type { Tensor } from "../Tensor/Tensor.ts"
import { interpret, rebind } from "./evaluate.ts"
import type {
  ArrayPrimitive,
  Batched,
  ControlPrimitive,
  ControlRule,
  Emit,
  Interpreters,
  MappedAxis,
  Rule
} from "./Primitive.ts"
import type { Equation, Program } from "./Program.ts"
import { controls, isControl } from "./rules/control/index.ts"
import { rules } from "./rules/index.ts"

interface Mapped {
  readonly tensor: Tensor
  readonly axis: number | null
}

/** Evaluates a Program with inputs mapped at `axes` (null: not mapped). */
export const batch = (
  self: Interpreters,
  program: Program,
  inputs: ReadonlyArray<Tensor>,
  axes: ReadonlyArray<number | null>,
  axis: MappedAxis,
  emit: Emit
): Batched => {
  const outputs = interpret<Mapped>(
    program,
    inputs.map((tensor, i) => ({ tensor, axis: axes[i] })),
    (tensor) => ({ tensor, axis: null }),
    (equation, xs) => applyBatch(self, equation, xs, axis, emit)
  )
  return { outputs: outputs.map((m) => m.tensor), axes: outputs.map((m) => m.axis) }
}

const applyBatch = (
  self: Interpreters,
  equation: Equation,
  xs: ReadonlyArray<Mapped>,
  axis: MappedAxis,
  emit: Emit
): ReadonlyArray<Mapped> => {
  const tensors = xs.map((m) => m.tensor)
  const axes = xs.map((m) => m.axis)
  const pair = (b: Batched): ReadonlyArray<Mapped> => b.outputs.map((tensor, i) => ({ tensor, axis: b.axes[i] }))
  if (isControl(equation)) {
    const control = controls[equation.primitive] as ControlRule<ControlPrimitive>
    return pair(control.batch(equation.params as never, tensors, axes, axis, { emit, self }))
  }
  if (axes.every((a) => a === null)) {
    return rebind(equation, tensors, emit).map((tensor) => ({ tensor, axis: null }))
  }
  const rule = rules[equation.primitive] as Rule<ArrayPrimitive>
  return pair(rule.batch(equation.params as never, tensors, axes, axis))
}
