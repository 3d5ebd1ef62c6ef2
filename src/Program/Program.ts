/**
 * The Program: a typed, immutable list of equations in A-normal form, JAX's jaxpr. It is data and knows none of its
 * interpreters: `build.ts` makes Programs from Tensors, `evaluate.ts` turns them back into Tensors, and the transforms
 * rewrite them on the way.
 *
 * A *Var* is a variable of one Program, identified by reference; a *Literal* is a scalar constant; an *Atom* is either.
 * Programs are closed: all arrays that a traced function captured are inputs, and come first.
 */
import type { ShapedArray } from "../Tensor/ShapedArray.ts"
import type { Params, Primitive } from "./Primitive.ts"

/** A variable of a Program. Two Vars are the same only if they are the same object. */
export interface Var {
  readonly _tag: "Var"
  readonly aval: ShapedArray
}

/** A scalar constant. bool is 0 or 1. */
export interface Literal {
  readonly _tag: "Literal"
  readonly aval: ShapedArray
  readonly value: number
}

/** An input of an equation, or an output of a Program. */
export type Atom = Var | Literal

/** One application of the primitive P. */
export interface EquationOf<P extends Primitive> {
  readonly primitive: P
  readonly params: Params[P]
  readonly inputs: ReadonlyArray<Atom>
  readonly outputs: ReadonlyArray<Var>
}

/** One application of some primitive: a union over all of them, told apart by `primitive`. */
export type Equation = { readonly [P in Primitive]: EquationOf<P> }[Primitive]

/** Inputs, equations in order, outputs. */
export interface Program {
  readonly inputs: ReadonlyArray<Var>
  readonly equations: ReadonlyArray<Equation>
  readonly outputs: ReadonlyArray<Atom>
}

/** A new variable. */
export const variable = (aval: ShapedArray): Var => ({ _tag: "Var", aval })

/** A constant. */
export const literal = (value: number, aval: ShapedArray): Literal => ({ _tag: "Literal", value, aval })

/** A Program. */
export const make = (
  inputs: ReadonlyArray<Var>,
  equations: ReadonlyArray<Equation>,
  outputs: ReadonlyArray<Atom>
): Program => ({ inputs, equations, outputs })

/** The Programs inside an equation's parameters: bodies of loops, branches, called functions. */
export const subPrograms = (equation: Equation): ReadonlyArray<Program> => {
  switch (equation.primitive) {
    case "jit":
    case "checkpoint":
    case "scan":
      return [equation.params.program]
    case "while":
      return [equation.params.cond, equation.params.body]
    case "cond":
      return equation.params.branches
    case "custom_jvp_call":
    case "custom_vjp_call":
      return [equation.params.program]
    default:
      return []
  }
}

/** An equation that holds one Program, with what `f` makes of it. */
const mapProgram = <P extends "jit" | "checkpoint" | "scan" | "custom_jvp_call" | "custom_vjp_call">(
  equation: EquationOf<P>,
  f: (program: Program) => Program
): EquationOf<P> => ({ ...equation, params: { ...equation.params, program: f(equation.params.program) } })

/** The equation with what `f` makes of each of the Programs inside its parameters. */
export const mapSubPrograms = (equation: Equation, f: (program: Program) => Program): Equation => {
  switch (equation.primitive) {
    case "jit":
      return mapProgram(equation, f)
    case "checkpoint":
      return mapProgram(equation, f)
    case "scan":
      return mapProgram(equation, f)
    case "while": {
      const { body, cond } = equation.params
      return { ...equation, params: { ...equation.params, cond: f(cond), body: f(body) } }
    }
    case "cond":
      return { ...equation, params: { branches: equation.params.branches.map((branch) => f(branch)) } }
    case "custom_jvp_call":
      return mapProgram(equation, f)
    case "custom_vjp_call":
      return mapProgram(equation, f)
    default:
      return equation
  }
}

/** Does it do more than compute its outputs (print, call back, read and write)? Such equations are kept, in order. */
export const isEffectful = (equation: Equation): boolean =>
  equation.primitive === "debug_callback" || equation.primitive === "get_variable" ||
  equation.primitive === "set_variable" || subPrograms(equation).some(hasEffects)

/** Does any equation, at any depth, have an effect? */
export const hasEffects = (program: Program): boolean => program.equations.some(isEffectful)
