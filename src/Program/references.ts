/**
 * References: how a Program that is *shown* has its Variables. A compiled Program knows only arrays: what a function
 * does with Variables has become inputs and outputs of it (state discharge). Where the Program is to be read by people,
 * a Variable is one input, a *reference*, and every read and write of it an equation, `get_variable` and
 * `set_variable`, in the order in which they happened.
 *
 * A trace for a shown Program has references where others have the arrays of a Variable's value. A reference is a
 * Tensor without a value, so that it is passed to calls, loops and branches like any other operand. Which Tensors are
 * references, and what they stand for, only the table below knows.
 */
import * as ShapedArray from "../Tensor/ShapedArray.ts"
import { bindNode, literal, type Node, type Tensor } from "../Tensor/Tensor.ts"
import * as Tree from "../Tensor/Tree.ts"
import { type Atom, type Equation, type Program, subPrograms, type Var } from "./Program.ts"

/** What is shown of a Variable. */
export interface Description {
  /** The full kind, such as `Param/LoraParam`. */
  readonly kind: string
  /** Its metadata and modes. */
  readonly metadata: Readonly<Record<string, unknown>>
}

/** The form of a value: all but the elements. */
export interface Form {
  readonly structure: Tree.Structure
  readonly avals: ReadonlyArray<ShapedArray.ShapedArray>
}

/** What a reference stands for: one Variable, and the form of its value at this point of the run. */
interface Referent {
  readonly description: Description
  form: Form
}

/** A write that changed the form of a Variable. */
export interface Reform {
  readonly description: Description
  readonly before: Form
  readonly after: Form
}

const formOf = (value: unknown): { readonly leaves: ReadonlyArray<Tensor>; readonly form: Form } => {
  const { leaves, structure } = Tree.flatten(value)
  return { leaves, form: { structure, avals: leaves.map((x) => x.aval) } }
}

const sameForm = (a: Form, b: Form): boolean =>
  Tree.sameStructure(a.structure, b.structure) &&
  a.avals.every((x, i) => ShapedArray.equals({ ...x, weakType: false }, { ...b.avals[i], weakType: false }))

/** The references of one shown Program, at all its levels. */
export class References {
  readonly #referents = new Map<unknown, Referent>()

  /** A reference to a Variable that has this value. */
  make(description: Description, value: unknown): Tensor {
    const reference = literal(0, "int32")
    this.#referents.set(reference, { description, form: formOf(value).form })
    return reference
  }

  /** From now on `inner` stands for what `outer` stands for, if that is a reference. */
  pass(outer: Tensor, inner: Tensor): void {
    const referent = this.#referents.get(outer)
    if (referent !== undefined) this.#referents.set(inner, referent)
  }

  /** The Variable that a Tensor stands for, if it is a reference. */
  describe(x: unknown): Description | undefined {
    return this.#referents.get(x)?.description
  }

  /** Reads: an equation, and the value with its outputs as leaves. Undefined for what is no reference. */
  get(x: unknown): { readonly node: Node; readonly value: unknown } | undefined {
    const referent = this.#referents.get(x)
    if (referent === undefined) return undefined
    const { avals, structure } = referent.form
    const node = bindNode("get_variable", {}, [x as Tensor], avals)
    return { node, value: Tree.unflatten(structure, node.outputs) }
  }

  /** Writes: an equation. Undefined for what is no reference. */
  set(x: unknown, value: unknown): Node | undefined {
    const referent = this.#referents.get(x)
    if (referent === undefined) return undefined
    const { form, leaves } = formOf(value)
    referent.form = form
    return bindNode(
      "set_variable",
      { ...referent.description, structure: form.structure },
      [x as Tensor, ...leaves],
      []
    )
  }

  /** The form that every Variable has now. */
  forms(): ReadonlyMap<object, Form> {
    return new Map([...this.#referents.values()].map((r) => [r, r.form]))
  }

  /** Says which Variables have another form than `before`, and gives them that back. */
  restore(before: ReadonlyMap<object, Form>): ReadonlyArray<Reform> {
    return [...new Set(this.#referents.values())].flatMap((referent): ReadonlyArray<Reform> => {
      const { description, form: after } = referent
      const old = before.get(referent)
      if (old === undefined || sameForm(old, after)) return []
      referent.form = old
      return [{ description, before: old, after }]
    })
  }
}

/** The Programs inside an equation, each with what its inputs are bound to. */
export const operandsOf = (
  equation: Equation
): ReadonlyArray<{ readonly program: Program; readonly operands: ReadonlyArray<Atom> }> => {
  const { inputs } = equation
  switch (equation.primitive) {
    case "while": {
      const { body, body_consts: bodyConsts, cond, cond_consts: condConsts } = equation.params
      const carries = inputs.slice(condConsts + bodyConsts)
      return [
        { program: cond, operands: [...inputs.slice(0, condConsts), ...carries] },
        { program: body, operands: [...inputs.slice(condConsts, condConsts + bodyConsts), ...carries] }
      ]
    }
    case "cond":
      return equation.params.branches.map((program) => ({ program, operands: inputs.slice(1) }))
    default:
      return subPrograms(equation).map((program) => ({ program, operands: inputs }))
  }
}

/** All Vars of a Program that are references, also in the Programs inside it, given those among its inputs. */
export const referencesIn = (
  program: Program,
  inputs: ReadonlyMap<Var, Description>
): ReadonlyMap<Var, Description> => {
  const all = new Map(inputs)
  const visit = (equations: ReadonlyArray<Equation>): void => {
    for (const equation of equations) {
      for (const inner of operandsOf(equation)) {
        inner.program.inputs.forEach((v, i) => {
          const operand = inner.operands[i]
          const known = operand._tag === "Var" ? all.get(operand) : undefined
          if (known !== undefined) all.set(v, known)
        })
        visit(inner.program.equations)
      }
    }
  }
  visit(program.equations)
  return all
}
