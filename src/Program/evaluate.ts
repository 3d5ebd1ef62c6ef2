/**
 * From a Program back to Tensors: applies every equation again, to other inputs of the same shapes. With a handler, an
 * equation can be given another meaning; that is all that an interpreter is.
 */
import { bindNode, literal as literalTensor, type Node, type Tensor } from "../Tensor/Tensor.ts"
import type { Emit } from "./Primitive.ts"
import { type Atom, type Equation, isEffectful, type Program, type Var } from "./Program.ts"

/** Values of the variables seen so far. */
export class Environment<A> {
  readonly #values = new Map<Var, A>()
  readonly #constant: (x: Tensor) => A
  constructor(constant: (x: Tensor) => A) {
    this.#constant = constant
  }
  read(atom: Atom): A {
    if (atom._tag === "Literal") return this.#constant(literalTensor(atom.value, atom.aval.dtype, atom.aval.weakType))
    const value = this.#values.get(atom)
    if (value === undefined) throw new Error("a Program uses a variable before it is defined")
    return value
  }
  write(v: Var, value: A): void {
    this.#values.set(v, value)
  }
  writeAll(vs: ReadonlyArray<Var>, values: ReadonlyArray<A>): void {
    for (let i = 0; i < vs.length; i++) this.#values.set(vs[i], values[i])
  }
}

/**
 * Runs an interpreter over a Program: `apply` gives the meaning of one equation, `constant` that of a literal.
 */
export const interpret = <A>(
  program: Program,
  inputs: ReadonlyArray<A>,
  constant: (x: Tensor) => A,
  apply: (equation: Equation, inputs: ReadonlyArray<A>) => ReadonlyArray<A>
): ReadonlyArray<A> => {
  const env = new Environment(constant)
  env.writeAll(program.inputs, inputs)
  for (const equation of program.equations) {
    env.writeAll(equation.outputs, apply(equation, equation.inputs.map((a) => env.read(a))))
  }
  return program.outputs.map((a) => env.read(a))
}

/** Applies one equation again, with the abstract values it had. Effectful nodes are handed to `emit`. */
export const rebind = (equation: Equation, inputs: ReadonlyArray<Tensor>, emit: Emit): ReadonlyArray<Tensor> => {
  const node: Node = bindNode(equation.primitive, equation.params, inputs, equation.outputs.map((v) => v.aval))
  if (isEffectful(equation)) emit(node)
  return node.outputs
}

/** Applies a Program to Tensors: its equations become pending arrays. */
export const evaluate = (program: Program, inputs: ReadonlyArray<Tensor>, emit: Emit): ReadonlyArray<Tensor> =>
  interpret(program, inputs, (x) => x, (equation, xs) => rebind(equation, xs, emit))
