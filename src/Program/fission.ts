/**
 * Loop fission: products in a scan's body that no step needs of the step before are made for all steps at once, by one
 * large product instead of many small ones.
 *
 * - A product of a slice and a constant, `x[t] @ w`, goes before the scan: `x @ w`, which the scan slices.
 * - A product that is only added up, `total + h[t]ᵀ @ d[t]`, goes after the scan: one product over steps and contracted
 *   axes together, of what the scan stacks. So do sums over axes.
 *
 * These are what recurrent layers, and the gradients of their parameters, consist of. Sums come in another order. It is
 * not done where a step's product is large itself, nor where more than `most` times as much would have to be stacked as
 * is: who accumulates gradients in a scan does not want all activations in memory.
 */
import { freeAxes } from "../Tensor/lax/dot.ts"
import * as Shape from "../Tensor/Shape.ts"
import * as ShapedArray from "../Tensor/ShapedArray.ts"
import { type Atom, type Equation, type EquationOf, make, type Program, type Var, variable } from "./Program.ts"
import { past } from "./rules/support.ts"

/** Rows, or terms of a sum, of a step's product from which on it is large enough. */
const enough = 256

/** How many times as large what is stacked anew may be as what a scan slices and stacks already. */
const most = 2

/** An array of all steps, and what a step has of it. */
interface Stacked {
  readonly slice: Var
  readonly whole: Var
}

/** What a product or a sum over axes computes in a step. */
type Terms = EquationOf<"dot_general"> | EquationOf<"reduce_sum">

/** A carry that only adds up terms: with `add`, after some operations on their shape. */
interface Total {
  readonly terms: Terms
  readonly shaping: ReadonlyArray<Equation>
  readonly add: EquationOf<"add">
}

const sizeOf = (v: Var, axes: ReadonlyArray<number>): number => Shape.size(axes.map((axis) => v.aval.shape[axis]))

/** The places of a step's axes in an array of all steps: the steps come first. */
const later = (axes: ReadonlyArray<number>): ReadonlyArray<number> => axes.map(past(0))

/** How many terms each sum of a step has. */
const termsOf = (e: Terms, [x]: ReadonlyArray<Var>): number =>
  sizeOf(x, e.primitive === "reduce_sum" ? e.params.axes : e.params.dimension_numbers.contracting[0])

/** A step's terms added up, and those of all steps. */
const sumOfAll = (e: Terms, inputs: ReadonlyArray<Var>): Equation => {
  const outputs = [variable(e.outputs[0].aval)]
  if (e.primitive === "reduce_sum") return { ...e, params: { axes: [0, ...later(e.params.axes)] }, inputs, outputs }
  const { batch: [xb, yb], contracting: [xc, yc] } = e.params.dimension_numbers
  const numbers = { batch: [later(xb), later(yb)], contracting: [[0, ...later(xc)], [0, ...later(yc)]] } as const
  return { ...e, params: { ...e.params, dimension_numbers: numbers }, inputs, outputs }
}

/** One scan that is taken apart. */
class Fission {
  readonly #scan: EquationOf<"scan">
  readonly #body: Program
  readonly #definitions = new Map<Var, Equation>()
  readonly #readers = new Map<Atom, number>()
  /** The scan's operands and results, as the inputs and outputs of the Program that is made. */
  readonly #operands: ReadonlyArray<Var>
  readonly #results: ReadonlyArray<Var>
  readonly #consts: ReadonlyMap<Atom, Var>
  readonly #xs: Array<Stacked>
  readonly #ys: Array<Stacked>
  /** Bytes that may still be stacked. */
  #left: number

  constructor(scan: EquationOf<"scan">) {
    const { num_carry, num_consts, program } = scan.params
    this.#scan = scan
    this.#body = program
    const read = (a: Atom): void => void this.#readers.set(a, (this.#readers.get(a) ?? 0) + 1)
    for (const e of program.equations) {
      e.inputs.forEach(read)
      for (const v of e.outputs) this.#definitions.set(v, e)
    }
    program.outputs.forEach(read)
    this.#operands = scan.inputs.map(({ aval }) => variable(aval))
    this.#results = scan.outputs.map(({ aval }) => variable(aval))
    const first = num_consts + num_carry
    this.#consts = new Map(program.inputs.slice(0, num_consts).map((v, i) => [v, this.#operands[i]]))
    this.#xs = program.inputs.slice(first).map((slice, i) => ({ slice, whole: this.#operands[first + i] }))
    this.#ys = program.outputs.slice(num_carry).flatMap((slice, i) =>
      slice._tag === "Var" ? [{ slice, whole: this.#results[num_carry + i] }] : []
    )
    this.#left = most * [...this.#xs, ...this.#ys].reduce((sum, { whole }) => sum + ShapedArray.byteSize(whole.aval), 0)
  }

  split(): Program | undefined {
    const { num_carry, num_consts, program: { equations, inputs, outputs } } = this.#scan.params
    const before = new Map(equations.flatMap((e) => {
      const all = e.primitive === "dot_general" ? this.#productOfAll(e) : undefined
      return all === undefined ? [] : [[e, all]]
    }))
    const stacked = this.#ys.length
    const totals = Shape.range(num_carry).map((i) => this.#totalOf(i))
    if (before.size === 0 && totals.every((total) => total === undefined)) return undefined
    const carried = <A>(xs: ReadonlyArray<A>): ReadonlyArray<A> => xs.filter((_, i) => totals[i] === undefined)
    const split = <A>(xs: ReadonlyArray<A>): ReadonlyArray<A> => [
      ...xs.slice(0, num_consts),
      ...carried(xs.slice(num_consts, num_consts + num_carry))
    ]
    const more = this.#ys.slice(stacked)
    const program = make(
      [...split(inputs), ...this.#xs.map(({ slice }) => slice)],
      equations.filter((e) => !before.has(e)),
      [...carried(outputs.slice(0, num_carry)), ...outputs.slice(num_carry), ...more.map(({ slice }) => slice)]
    )
    const scan: EquationOf<"scan"> = {
      ...this.#scan,
      params: { ...this.#scan.params, program, num_carry: carried(totals).length },
      inputs: [...split(this.#operands), ...this.#xs.map(({ whole }) => whole)],
      outputs: [
        ...carried(this.#results.slice(0, num_carry)),
        ...this.#results.slice(num_carry),
        ...more.map(({ whole }) => whole)
      ]
    }
    const after = totals.flat().filter((e) => e !== undefined)
    return make(this.#operands, [...before.values(), scan, ...after], this.#results)
  }

  /** A new variable for a value of all steps. */
  #wholeOf({ aval }: Var): Var {
    return variable(ShapedArray.withShape(aval, [this.#scan.params.length, ...aval.shape]))
  }

  /** Is there room for so much more that is stacked? Then it is used. */
  #room(aval: ShapedArray.ShapedArray): boolean {
    const bytes = ShapedArray.byteSize(aval)
    if (bytes > this.#left) return false
    this.#left -= bytes
    return true
  }

  /** The equation that makes a product for all steps, which becomes one more array that the scan slices. */
  #productOfAll(e: EquationOf<"dot_general">): Equation | undefined {
    const { batch, contracting } = e.params.dimension_numbers
    const at = e.inputs.findIndex((a) => this.#xs.some(({ slice }) => slice === a))
    const x = this.#xs.find(({ slice }) => slice === e.inputs[at])
    const constant = this.#consts.get(e.inputs[1 - at])
    if (x === undefined || constant === undefined || batch[0].length > 0) return undefined
    const rows = freeAxes(x.slice.aval.shape.length, contracting[at], [])
    const columns = freeAxes(constant.aval.shape.length, contracting[1 - at], [])
    // The steps are the first of the rows, and the rows come first.
    if (at === 1 && rows.length > 0 && columns.length > 0) return undefined
    const whole = this.#wholeOf(e.outputs[0])
    if (sizeOf(x.slice, rows) >= enough || !this.#room(whole.aval)) return undefined
    this.#xs.push({ slice: e.outputs[0], whole })
    const numbers = { batch, contracting: [later(contracting[at]), contracting[1 - at]] } as const
    return { ...e, params: { ...e.params, dimension_numbers: numbers }, inputs: [x.whole, constant], outputs: [whole] }
  }

  /** The equations that make a carry of what was there and of the terms of all steps; undefined if steps need it. */
  #totalOf(carry: number): ReadonlyArray<Equation> | undefined {
    const total = this.#total(carry)
    if (total === undefined) return undefined
    const operands = total.terms.inputs.map((a) => a._tag === "Var" && !this.#consts.has(a) ? a : undefined)
    if (!operands.every((v) => v !== undefined) || termsOf(total.terms, operands) >= enough) return undefined
    const stacks = operands.map((v) => this.#stack(v))
    if (!stacks.every((v) => v !== undefined)) return undefined
    const sum = sumOfAll(total.terms, stacks)
    let last = sum
    const shaping = total.shaping.map((e) => {
      last = { ...e, inputs: last.outputs, outputs: [variable(e.outputs[0].aval)] }
      return last
    })
    const initial = this.#operands[this.#scan.params.num_consts + carry]
    const add = { ...total.add, inputs: [initial, ...last.outputs], outputs: [this.#results[carry]] }
    return [sum, ...shaping, add]
  }

  /** How a carry is added up, if it is nothing but a total. */
  #total(carry: number): Total | undefined {
    const { num_consts } = this.#scan.params
    const once = (a: Atom): Equation | undefined =>
      a._tag === "Var" && this.#readers.get(a) === 1 ? this.#definitions.get(a) : undefined
    const add = once(this.#body.outputs[carry])
    const before = this.#body.inputs[num_consts + carry]
    if (add?.primitive !== "add" || !add.inputs.includes(before) || this.#readers.get(before) !== 1) return undefined
    const shaping: Array<Equation> = []
    let terms = once(add.inputs[add.inputs[0] === before ? 1 : 0])
    while (terms?.primitive === "transpose" || terms?.primitive === "reshape") {
      shaping.unshift(terms)
      terms = once(terms.inputs[0])
    }
    return terms?.primitive === "dot_general" || terms?.primitive === "reduce_sum" ? { terms, shaping, add } : undefined
  }

  /** A value of all steps: as the scan slices it or stacks it already, or stacked anew, if there is room. */
  #stack(slice: Var): Var | undefined {
    const known = [...this.#xs, ...this.#ys].find((stacked) => stacked.slice === slice)
    if (known !== undefined) return known.whole
    const whole = this.#wholeOf(slice)
    if (!this.#room(whole.aval)) return undefined
    this.#ys.push({ slice, whole })
    return whole
  }
}

/**
 * A scan as a Program of its operands, in which products stand before and after a smaller scan; undefined if there are
 * none.
 */
export const fission = (scan: EquationOf<"scan">): Program | undefined =>
  scan.params.length < 2 ? undefined : new Fission(scan).split()
