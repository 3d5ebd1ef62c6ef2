/**
 * What only this backend wants of a Program before it is flattened: a matrix product that is only read transposed is
 * computed the other way around.
 */
import {
  type Atom,
  type Equation,
  type EquationOf,
  mapSubPrograms,
  type Program,
  type Var,
  variable
} from "../../../Program/Program.ts"
import { freeAxes } from "../../../Tensor/lax/dot.ts"
import * as ShapedArray from "../../../Tensor/ShapedArray.ts"

const isProduct = (equation: Equation): equation is EquationOf<"dot_general"> => equation.primitive === "dot_general"

/** The permutation that exchanges the free axes of the two operands of a product. */
const exchange = ({ inputs: [x, y], params }: EquationOf<"dot_general">): ReadonlyArray<number> => {
  const { batch: [xb, yb], contracting: [xc, yc] } = params.dimension_numbers
  const batch = xb.length
  const ours = freeAxes(x.aval.shape.length, xc, xb).length
  const theirs = freeAxes(y.aval.shape.length, yc, yb).length
  const range = (from: number, count: number) => Array.from({ length: count }, (_, i) => from + i)
  return [...range(0, batch), ...range(batch + ours, theirs), ...range(batch, ours)]
}

/** Products all of whose readers exchange their axes. */
const backwards = (program: Program): ReadonlySet<Var> => {
  const products = new Map<Atom, ReadonlyArray<number>>()
  for (const equation of program.equations) {
    if (isProduct(equation)) products.set(equation.outputs[0], exchange(equation))
  }
  const read = new Set<Atom>()
  const found = new Set<Var>()
  const kept = new Set<Atom>(program.outputs)
  for (const equation of program.equations) {
    for (const x of equation.inputs) {
      const permutation = products.get(x)
      if (permutation === undefined || x._tag !== "Var") continue
      read.add(x)
      const fits = equation.primitive === "transpose" &&
        equation.params.permutation.every((a, i) => a === permutation[i])
      if (fits) found.add(x)
      else kept.add(x)
    }
  }
  return new Set([...found].filter((v) => !kept.has(v)))
}

/** Exchanges the operands of products that are only read transposed, also inside of loops and branches. */
export const prepare = (program: Program): Program => {
  const turned = backwards(program)
  const names = new Map<Atom, Var>()
  const equations = program.equations.flatMap((equation): ReadonlyArray<Equation> => {
    if (isProduct(equation) && turned.has(equation.outputs[0])) {
      const { batch, contracting } = equation.params.dimension_numbers
      const shape = exchange(equation).map((axis) => equation.outputs[0].aval.shape[axis])
      const output = variable(ShapedArray.withShape(equation.outputs[0].aval, shape))
      names.set(equation.outputs[0], output)
      return [{
        ...equation,
        inputs: [
          names.get(equation.inputs[1]) ?? equation.inputs[1],
          names.get(equation.inputs[0]) ?? equation.inputs[0]
        ],
        params: {
          ...equation.params,
          dimension_numbers: { batch: [batch[1], batch[0]], contracting: [contracting[1], contracting[0]] }
        },
        outputs: [output]
      }]
    }
    const inputs = equation.inputs.map((x) => names.get(x) ?? x)
    const [source] = equation.inputs
    if (equation.primitive === "transpose" && source._tag === "Var" && turned.has(source)) {
      const made = names.get(source)
      if (made !== undefined) names.set(equation.outputs[0], made)
      return []
    }
    return [{ ...mapSubPrograms(equation, prepare), inputs }]
  })
  return { inputs: program.inputs, equations, outputs: program.outputs.map((x) => names.get(x) ?? x) }
}
