/**
 * Programs made smaller without changing what they compute: nested calls are inlined, equal equations merged, trivial
 * ones removed (`peephole.ts`), what a scan computes in every step alike is computed once (`invariants.ts`), and what
 * nobody needs is dropped (`deadCode.ts`); the same inside loops and branches. Of Programs that are only run, many small
 * products in a scan become a large one (`fission.ts`), whose sums come in another order; and the last bit of a mean may
 * differ, to be that of XLA (`reciprocal`).
 *
 * Effectful equations stay, in order. Nothing is merged with the contents of a `checkpoint`, and barriers stay apart.
 */
import * as Shape from "../Tensor/Shape.ts"
import { deadCode } from "./deadCode.ts"
import { hashString, hashValue, sameParams } from "./equality.ts"
import { fission } from "./fission.ts"
import { hoist } from "./invariants.ts"
import { definitions, passedOn, peephole, reciprocal } from "./peephole.ts"
import {
  type Atom,
  type Equation,
  isEffectful,
  make,
  mapSubPrograms,
  type Program,
  type Var,
  variable
} from "./Program.ts"

/** How far to go. */
export interface Options {
  /**
   * The Program will only be run, never differentiated or shown: custom derivatives, names and parts that are not to be
   * rematerialized any more are inlined as well.
   */
  readonly final?: boolean
}

/** Equations that are never merged with equal ones. */
const standsAlone = (equation: Equation): boolean =>
  isEffectful(equation) || equation.primitive === "checkpoint" || equation.primitive === "optimization_barrier"

/** The Program that an equation merely calls. */
const called = (equation: Equation, final: boolean): Program | undefined => {
  switch (equation.primitive) {
    case "jit":
      return equation.params.program
    case "checkpoint":
      return final && !equation.params.differentiated ? equation.params.program : undefined
    case "custom_jvp_call":
    case "custom_vjp_call":
      return final ? equation.params.program : undefined
    default:
      return undefined
  }
}

/** Finds equal equations: same primitive, parameters and inputs. */
class Merger {
  readonly #numbers = new Map<Var, number>()
  readonly #buckets = new Map<number, Array<Equation>>()

  #number(v: Var): number {
    const n = this.#numbers.get(v) ?? this.#numbers.size
    this.#numbers.set(v, n)
    return n
  }

  #hash(equation: Equation): number {
    let h = hashString(equation.primitive)
    for (const a of equation.inputs) {
      h = Math.imul(h, 31) + (a._tag === "Var" ? this.#number(a) : hashValue(a.value, () => 0)) | 0
    }
    return Math.imul(h, 31) + hashValue(equation.params, (p) => p.equations.length) | 0
  }

  /** An equation made before that computes the same; otherwise this one is remembered. */
  find(equation: Equation): Equation | undefined {
    const h = this.#hash(equation)
    const bucket = this.#buckets.get(h)
    if (bucket === undefined) {
      this.#buckets.set(h, [equation])
      return undefined
    }
    const equal = bucket.find((e) =>
      e.primitive === equation.primitive && e.inputs.length === equation.inputs.length &&
      e.inputs.every((a, i) => sameAtom(a, equation.inputs[i])) && sameParams(e, equation, (a, b) => a === b)
    )
    if (equal === undefined) bucket.push(equation)
    return equal
  }
}

const sameAtom = (a: Atom, b: Atom): boolean =>
  a === b ||
  (a._tag === "Literal" && b._tag === "Literal" && Object.is(a.value, b.value) && a.aval.dtype === b.aval.dtype &&
    a.aval.weakType === b.aval.weakType && Shape.equals(a.aval.shape, b.aval.shape))

/** One walk over a Program, from the first equation to the last, writing the simpler one. */
class Simplifier {
  readonly #final: boolean
  readonly #inner: Map<Program, Program>
  readonly #out: Array<Equation> = []
  readonly #merger = new Merger()
  readonly #definitions = definitions()

  constructor(final: boolean, inner: Map<Program, Program>) {
    this.#final = final
    this.#inner = inner
  }

  run(program: Program): Program {
    const env = new Map<Var, Atom>(program.inputs.map((v) => [v, v]))
    const outputs = this.#walk(program, env)
    return deadCode(make(program.inputs, this.#out, outputs))
  }

  /** Writes the equations of a Program, whose inputs `env` gives; the outputs. */
  #walk(program: Program, env: Map<Var, Atom>): ReadonlyArray<Atom> {
    const read = (a: Atom): Atom => a._tag === "Literal" ? a : env.get(a) ?? a
    for (const equation of program.equations) {
      const results = this.#equation(equation, equation.inputs.map(read))
      equation.outputs.forEach((v, i) => env.set(v, results[i]))
    }
    return program.outputs.map(read)
  }

  #equation(equation: Equation, inputs: ReadonlyArray<Atom>): ReadonlyArray<Atom> {
    const program = called(equation, this.#final)
    if (program !== undefined) return this.#call(program, inputs)
    return this.#write({ ...this.#body(equation), inputs, outputs: equation.outputs.map((v) => variable(v.aval)) })
  }

  #call(program: Program, inputs: ReadonlyArray<Atom>): ReadonlyArray<Atom> {
    return this.#walk(program, new Map(program.inputs.map((v, i) => [v, inputs[i]])))
  }

  /** Writes an equation, or finds that its outputs can be had otherwise. */
  #write(equation: Equation): ReadonlyArray<Atom> {
    const passed = this.#final ? passedOn(equation) : undefined
    if (passed !== undefined) return [passed]
    const mean = this.#final ? reciprocal(equation, this.#definitions.of) : undefined
    if (mean !== undefined) return this.#mean(equation, mean)
    const rewritten = peephole(equation, this.#definitions.of)
    if (rewritten !== undefined) {
      return "atom" in rewritten ? [rewritten.atom] : this.#write(rewritten.equation)
    }
    if (equation.primitive === "scan") {
      const hoisted = hoist(equation)
      if (hoisted !== undefined) {
        const consts = equation.inputs.slice(0, equation.params.num_consts)
        const more = this.#call(hoisted.before, consts)
        const inputs = [...consts, ...more, ...equation.inputs.slice(consts.length)]
        return this.#write({ ...hoisted.scan, inputs })
      }
      const parts = this.#final ? fission(equation) : undefined
      if (parts !== undefined) return this.#call(parts, equation.inputs)
    }
    if (!standsAlone(equation)) {
      const equal = this.#merger.find(equation)
      if (equal !== undefined) return equal.outputs
    }
    this.#out.push(equation)
    this.#definitions.add(equation)
    return equation.outputs
  }

  /** A sum times the reciprocal of a constant. */
  #mean(equation: Equation, { factor, filling }: NonNullable<ReturnType<typeof reciprocal>>): ReadonlyArray<Atom> {
    const [by] = filling === undefined
      ? [factor]
      : this.#write({ ...filling, inputs: [factor], outputs: filling.outputs.map((v) => variable(v.aval)) })
    const { inputs, outputs } = equation
    return this.#write({ primitive: "mul", params: {}, inputs: [inputs[0], by], outputs })
  }

  /** The equation with the Programs in its parameters simplified, each Program once. */
  #body(equation: Equation): Equation {
    const inner = (program: Program): Program => {
      const known = this.#inner.get(program)
      if (known !== undefined) return known
      const simpler = new Simplifier(this.#final, this.#inner).run(program)
      this.#inner.set(program, simpler)
      return simpler
    }
    return mapSubPrograms(equation, inner)
  }
}

/**
 * A smaller Program with the same inputs, outputs and effects. See the header of this file.
 *
 * @category simplification
 * @since 0.1.0
 */
export const simplify = (program: Program, options: Options = {}): Program =>
  new Simplifier(options.final === true, new Map()).run(program)
