/**
 * What a Program costs: floating point operations, and bytes read and written if nothing were fused. Estimates from the
 * abstract values alone: a scan counts its body `length` times, a while loop once (its trips are not known), a branch
 * as the dearest of the alternatives.
 */
import type { ArrayPrimitive, Cost, Rule } from "./Primitive.ts"
import { type Equation, type Program, subPrograms } from "./Program.ts"
import { rules } from "./rules/index.ts"
import { costOfMoving } from "./rules/support.ts"

const nothing: Cost = { flops: 0, bytes: 0 }

const plus = (a: Cost, b: Cost): Cost => ({ flops: a.flops + b.flops, bytes: a.bytes + b.bytes })

const times = (n: number, a: Cost): Cost => ({ flops: n * a.flops, bytes: n * a.bytes })

const dearer = (a: Cost, b: Cost): Cost => ({
  flops: Math.max(a.flops, b.flops),
  bytes: Math.max(a.bytes, b.bytes)
})

const hasRule = (primitive: string): primitive is ArrayPrimitive => Object.hasOwn(rules, primitive)

/** What one equation costs. */
export const costOfEquation = (equation: Equation): Cost => {
  const inner = subPrograms(equation).map(cost)
  if (equation.primitive === "scan") return times(equation.params.length, inner[0])
  if (equation.primitive === "cond") return inner.reduce(dearer, nothing)
  if (inner.length > 0) return inner.reduce(plus)
  // The rule of the equation's own primitive: TypeScript cannot follow the pairing.
  return hasRule(equation.primitive)
    ? (rules[equation.primitive] as Rule<ArrayPrimitive>).cost(equation as never)
    : costOfMoving(equation)
}

/**
 * Floating point operations of a Program (a multiply-add counts as two), and bytes that its equations read and write.
 *
 * @category cost
 * @since 0.1.0
 */
export const cost = (program: Program): Cost => program.equations.map(costOfEquation).reduce(plus, nothing)
