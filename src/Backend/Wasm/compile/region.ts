/**
 * A Program flattened: calls inlined, every value an object with the node that makes it. Bodies of loops and branches
 * are regions inside; they read values of the outside directly.
 */
import type { Atom, Equation, Program, Var } from "../../../Program/Program.ts"
import type { ShapedArray } from "../../../Tensor/ShapedArray.ts"

/** A number, or a value. */
export type Operand = Value | Literal

/** A scalar constant. */
export interface Literal {
  readonly _tag: "Literal"
  readonly value: number
  readonly aval: ShapedArray
}

/** A value; `node` makes it, unless it is an input of its region. */
export interface Value {
  readonly _tag: "Value"
  readonly aval: ShapedArray
  readonly node: Node | undefined
  /** Which output of its node it is. */
  readonly output: number
}

/** An equation over values. `position` orders the nodes of a region. */
export interface Node {
  readonly equation: Equation
  readonly inputs: ReadonlyArray<Operand>
  readonly outputs: ReadonlyArray<Value>
  readonly position: number
  readonly bodies: ReadonlyArray<Region>
}

/** Nodes in order. */
export interface Region {
  readonly inputs: ReadonlyArray<Value>
  readonly nodes: ReadonlyArray<Node>
  readonly outputs: ReadonlyArray<Operand>
}

type Env = Map<Var, Operand>

const isTransparent = (equation: Equation): boolean =>
  equation.primitive === "name" || equation.primitive === "optimization_barrier" || equation.primitive === "copy" ||
  equation.primitive === "stop_gradient"

const read = (env: Env, atom: Atom): Operand => {
  if (atom._tag === "Literal") return { _tag: "Literal", value: atom.value, aval: atom.aval }
  const value = env.get(atom)
  if (value === undefined) throw new Error("a Program uses a variable before it is defined")
  return value
}

/** An input of a region. */
export const inputOf = (aval: ShapedArray): Value => ({ _tag: "Value", aval, node: undefined, output: 0 })

class Flattener {
  readonly nodes: Array<Node> = []

  program(program: Program, inputs: ReadonlyArray<Operand>): ReadonlyArray<Operand> {
    const env: Env = new Map(program.inputs.map((v, i) => [v, inputs[i]]))
    for (const equation of program.equations) {
      const given = equation.inputs.map((a) => read(env, a))
      const made = this.#equation(equation, given)
      equation.outputs.forEach((v, i) => env.set(v, made[i]))
    }
    return program.outputs.map((a) => read(env, a))
  }

  #equation(equation: Equation, inputs: ReadonlyArray<Operand>): ReadonlyArray<Operand> {
    switch (equation.primitive) {
      case "jit":
      case "checkpoint":
      case "custom_jvp_call":
      case "custom_vjp_call":
        return this.program(equation.params.program, inputs)
      case "scan": {
        const { num_consts: consts, program } = equation.params
        return this.#push(equation, inputs, [region(program, inputs.slice(0, consts))])
      }
      case "while": {
        const { body, body_consts: bodyConsts, cond, cond_consts: condConsts } = equation.params
        return this.#push(equation, inputs, [
          region(cond, inputs.slice(0, condConsts)),
          region(body, inputs.slice(condConsts, condConsts + bodyConsts))
        ])
      }
      case "cond":
        return this.#push(equation, inputs, equation.params.branches.map((b) => region(b, inputs.slice(1))))
      default:
        return isTransparent(equation) ? inputs : this.#push(equation, inputs, [])
    }
  }

  #push(equation: Equation, inputs: ReadonlyArray<Operand>, bodies: ReadonlyArray<Region>): ReadonlyArray<Value> {
    const outputs: Array<Value> = []
    const node: Node = { equation, inputs, outputs, position: this.nodes.length, bodies }
    equation.outputs.forEach(({ aval }, output) => outputs.push({ _tag: "Value", aval, node, output }))
    this.nodes.push(node)
    return outputs
  }
}

/** A Program as a region. Its first inputs are `known` from outside; the others become inputs of the region. */
export const region = (program: Program, known: ReadonlyArray<Operand> = []): Region => {
  const inputs = program.inputs.slice(known.length).map((v) => inputOf(v.aval))
  const flattener = new Flattener()
  const outputs = flattener.program(program, [...known, ...inputs])
  return { inputs, nodes: flattener.nodes, outputs }
}

/** All values of the outside that a region reads, at any depth. */
export const captured = (self: Region): ReadonlySet<Value> => {
  const own = new Set<Value>(self.inputs)
  const found = new Set<Value>()
  const see = (x: Operand): void => {
    if (x._tag === "Value" && !own.has(x)) found.add(x)
  }
  for (const node of self.nodes) {
    for (const x of node.inputs) see(x)
    for (const body of node.bodies) for (const x of captured(body)) see(x)
    for (const x of node.outputs) own.add(x)
  }
  self.outputs.forEach(see)
  return found
}
