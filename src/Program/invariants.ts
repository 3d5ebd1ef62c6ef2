/**
 * Loop-invariant code motion: equations of a scan's body that depend only on its constants are computed once, before
 * it, and become constants themselves. Broadcasts and iotas stay inside, where a backend makes them for nothing, unless
 * something that moves needs them.
 */
import { type Atom, type Equation, type EquationOf, isEffectful, make, type Program, type Var } from "./Program.ts"

/** A scan, and what is to be computed before it: equations of the former body, over the body's constants. */
export interface Hoisted {
  readonly scan: EquationOf<"scan">
  /** Computes the new constants from the old ones. */
  readonly before: Program
}

/** Equations that stay where they are: effects, and what must not be moved or is not worth it. */
const stays = (equation: Equation): boolean =>
  isEffectful(equation) || equation.primitive === "optimization_barrier" || equation.primitive === "checkpoint" ||
  equation.primitive === "axis_index"

const isFree = (equation: Equation): boolean =>
  equation.primitive === "broadcast_in_dim" || equation.primitive === "iota"

/** Moves what does not change from step to step out of a scan; undefined if there is nothing. */
export const hoist = (equation: EquationOf<"scan">): Hoisted | undefined => {
  const { num_consts: consts, program } = equation.params
  const known = new Set<Var>(program.inputs.slice(0, consts))
  const isKnown = (a: Atom): boolean => a._tag === "Literal" || known.has(a)
  const invariant = new Set<Equation>()
  for (const e of program.equations) {
    if (stays(e) || !e.inputs.every(isKnown)) continue
    invariant.add(e)
    e.outputs.forEach((v) => known.add(v))
  }
  if (invariant.size === 0) return undefined

  const needed = new Set<Var>()
  const need = (a: Atom): void => {
    if (a._tag === "Var") needed.add(a)
  }
  for (const e of program.equations) if (!invariant.has(e)) e.inputs.forEach(need)
  program.outputs.forEach(need)
  const inside = new Set<Equation>()
  const results: Array<Var> = []
  for (const e of [...invariant].toReversed()) {
    const used = e.outputs.filter((v) => needed.has(v))
    if (used.length === 0) continue
    if (isFree(e)) {
      inside.add(e)
      e.inputs.forEach(need)
    } else results.push(...used)
  }
  if (results.length === 0) return undefined
  const body = make(
    [...program.inputs.slice(0, consts), ...results, ...program.inputs.slice(consts)],
    program.equations.filter((e) => !invariant.has(e) || inside.has(e)),
    program.outputs
  )
  return {
    scan: { ...equation, params: { ...equation.params, program: body, num_consts: consts + results.length } },
    before: make(program.inputs.slice(0, consts), [...invariant], results)
  }
}
