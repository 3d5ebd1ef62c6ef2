/**
 * Dead-code elimination: drops what no output and no effect needs, also inside loops, branches and rematerialized
 * parts, whose unused results, carries and operands are dropped too.
 */
import { type Atom, type Equation, type EquationOf, isEffectful, make, type Program, type Var } from "./Program.ts"

type Flags = ReadonlyArray<boolean>

const select = <A>(xs: ReadonlyArray<A>, keep: Flags): ReadonlyArray<A> => xs.filter((_, i) => keep[i])

/** A Program with only the named outputs, less what they do not need. Inputs stay. */
const keepOutputs = (program: Program, keep: Flags): Program =>
  deadCode(make(program.inputs, program.equations, select(program.outputs, keep)))

/** Which inputs does anything in the Program read? */
const usedInputs = (program: Program): Flags => {
  const used = variablesRead(program)
  return program.inputs.map((v) => used.has(v))
}

const variablesRead = (program: Program): ReadonlySet<Var> => {
  const used = new Set<Var>()
  const read = (a: Atom): void => {
    if (a._tag === "Var") used.add(a)
  }
  for (const equation of program.equations) equation.inputs.forEach(read)
  program.outputs.forEach(read)
  return used
}

const withInputs = (program: Program, keep: Flags): Program =>
  make(select(program.inputs, keep), program.equations, program.outputs)

const pruneCheckpoint = (equation: EquationOf<"checkpoint">, live: Flags): Equation => {
  const program = keepOutputs(equation.params.program, live)
  const used = usedInputs(program)
  return {
    ...equation,
    params: { ...equation.params, program: withInputs(program, used) },
    inputs: select(equation.inputs, used),
    outputs: select(equation.outputs, live)
  }
}

/** Branches lose the results that nobody wants and the operands that no branch reads. */
const pruneCond = (equation: EquationOf<"cond">, live: Flags): Equation => {
  const branches = equation.params.branches.map((b) => keepOutputs(b, live))
  const reads = branches.map(usedInputs)
  const used = branches[0].inputs.map((_, i) => reads.some((r) => r[i]))
  const [index, ...operands] = equation.inputs
  return {
    ...equation,
    params: { branches: branches.map((b) => withInputs(b, used)) },
    inputs: [index, ...select(operands, used)],
    outputs: select(equation.outputs, live)
  }
}

/**
 * Which carries of a loop matter: those whose results are wanted, and those that a carry that matters, or an effect,
 * reads. `reads(keep)` says which carries the body reads when it computes only those in `keep`.
 */
const liveCarries = (wanted: Flags, reads: (keep: Flags) => Flags): Flags => {
  let keep = wanted
  for (;;) {
    const read = reads(keep)
    const next = keep.map((k, i) => k || read[i])
    if (next.every((k, i) => k === keep[i])) return keep
    keep = next
  }
}

const pruneScan = (equation: EquationOf<"scan">, live: Flags): Equation => {
  const { num_carry: carries, num_consts: consts, program } = equation.params
  const ys = live.slice(carries)
  const bodyOf = (keep: Flags): Program => keepOutputs(program, [...keep, ...ys])
  const keep = liveCarries(
    live.slice(0, carries),
    (k) => usedInputs(bodyOf(k)).slice(consts, consts + carries)
  )
  const body = bodyOf(keep)
  const inputs = usedInputs(body).map((used, i) => i >= consts && i < consts + carries ? keep[i - consts] : used)
  return {
    ...equation,
    params: {
      ...equation.params,
      program: withInputs(body, inputs),
      num_consts: select(inputs.slice(0, consts), inputs).length,
      num_carry: keep.filter((k) => k).length
    },
    inputs: select(equation.inputs, inputs),
    outputs: select(equation.outputs, [...keep, ...ys])
  }
}

const pruneWhile = (equation: EquationOf<"while">, live: Flags): Equation => {
  const { body, body_consts: bodyConsts, cond, cond_consts: condConsts } = equation.params
  const condition = deadCode(cond)
  const condReads = usedInputs(condition)
  const bodyOf = (keep: Flags): Program => keepOutputs(body, keep)
  const keep = liveCarries(
    live.map((l, i) => l || condReads[condConsts + i]),
    (k) => usedInputs(bodyOf(k)).slice(bodyConsts)
  )
  const pruned = bodyOf(keep)
  const keptCond = condReads.slice(0, condConsts)
  const keptBody = usedInputs(pruned).slice(0, bodyConsts)
  return {
    ...equation,
    params: {
      cond: withInputs(condition, [...keptCond, ...keep]),
      body: withInputs(pruned, [...keptBody, ...keep]),
      cond_consts: keptCond.filter((k) => k).length,
      body_consts: keptBody.filter((k) => k).length
    },
    inputs: select(equation.inputs, [...keptCond, ...keptBody, ...keep]),
    outputs: select(equation.outputs, keep)
  }
}

/** An equation without the outputs that are not live, where it can do without. */
const prune = (equation: Equation, live: Flags): Equation => {
  switch (equation.primitive) {
    case "checkpoint":
      return pruneCheckpoint(equation, live)
    case "cond":
      return pruneCond(equation, live)
    case "scan":
      return pruneScan(equation, live)
    case "while":
      return pruneWhile(equation, live)
    case "optimization_barrier":
      return { ...equation, inputs: select(equation.inputs, live), outputs: select(equation.outputs, live) }
    default:
      return equation
  }
}

/** The Program without what neither its outputs nor its effects need. Its inputs and outputs stay. */
export const deadCode = (program: Program): Program => {
  const live = new Set<Var>()
  const read = (a: Atom): void => {
    if (a._tag === "Var") live.add(a)
  }
  program.outputs.forEach(read)
  const kept: Array<Equation> = []
  for (const equation of program.equations.toReversed()) {
    const flags = equation.outputs.map((v) => live.has(v))
    if (!flags.includes(true) && !isEffectful(equation)) continue
    const pruned = prune(equation, flags)
    pruned.inputs.forEach(read)
    kept.push(pruned)
  }
  return make(program.inputs, kept.toReversed(), program.outputs)
}
