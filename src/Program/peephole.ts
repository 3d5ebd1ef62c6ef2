/**
 * Equations that can be had for less, seen one at a time with the equations that made their inputs: an operation and
 * its inverse, an operation that does nothing, a constant converted. Every rewriting is exact, also for -0, nan and
 * integers that wrap: so `x + 0` stays (it turns -0 into 0) while `x + -0` and `x - 0` go.
 */
import * as DType from "../Tensor/DType.ts"
import * as Shape from "../Tensor/Shape.ts"
import type { ShapedArray } from "../Tensor/ShapedArray.ts"
import { type Atom, type Equation, type Literal, literal, type Var } from "./Program.ts"

/** What made a variable; undefined for inputs. */
export type Definition = (v: Atom) => Equation | undefined

/** The same value, or an equation that gives it (with the same output variables), or undefined to keep the equation. */
export type Rewritten = { readonly atom: Atom } | { readonly equation: Equation } | undefined

/** The scalar constant that fills an array, looking through broadcasts and reshapes. */
const splat = (a: Atom, definition: Definition): Literal | undefined => {
  if (a._tag === "Literal") return a
  const made = definition(a)
  return made !== undefined && (made.primitive === "broadcast_in_dim" || made.primitive === "reshape")
    ? splat(made.inputs[0], definition)
    : undefined
}

/** Is the operand everywhere this number? The sign of zero counts for floats. */
const isFilledWith = (a: Atom, value: number, definition: Definition): boolean => {
  const constant = splat(a, definition)
  if (constant === undefined) return false
  return DType.isFloat(a.aval.dtype) ? Object.is(constant.value, value) : constant.value === value
}

const sameType = (a: ShapedArray, b: ShapedArray): boolean =>
  a.dtype === b.dtype && a.weakType === b.weakType && Shape.equals(a.shape, b.shape)

/** The operand, if it has the type of the result. */
const passing = (x: Atom, equation: Equation): Rewritten =>
  sameType(x.aval, equation.outputs[0].aval) ? { atom: x } : undefined

/**
 * A constant as it reads after conversion; undefined where that would need rounding to a type that JavaScript lacks.
 */
const convert = (x: Literal, to: DType.DType): number | undefined => {
  if (x.aval.dtype === "float16" || x.aval.dtype === "bfloat16") return undefined
  if (to === "float32") return Math.fround(x.value)
  if (to === "bool") return x.value === 0 ? 0 : 1
  const whole = Number.isInteger(x.value) && !Object.is(x.value, -0)
  if (DType.isFloat(to)) return whole && Math.abs(x.value) <= 256 ? x.value : undefined
  const { max, min } = DType.iinfo(to)
  return whole && x.value >= min && x.value <= max ? x.value : undefined
}

/** Two constants, where JavaScript rounds as float32 does: once, to the nearest. */
const folded = (equation: Equation): number | undefined => {
  const [x, y] = equation.inputs
  if (x._tag !== "Literal" || y._tag !== "Literal" || x.aval.dtype !== "float32") return undefined
  switch (equation.primitive) {
    case "add":
      return Math.fround(x.value + y.value)
    case "sub":
      return Math.fround(x.value - y.value)
    case "mul":
      return Math.fround(x.value * y.value)
    case "div":
      return Math.fround(x.value / y.value)
    default:
      return undefined
  }
}

const ofBinary = (equation: Equation, definition: Definition): Rewritten => {
  const [x, y] = equation.inputs
  const constant = folded(equation)
  if (constant !== undefined) return { atom: literal(constant, equation.outputs[0].aval) }
  const float = DType.isFloat(x.aval.dtype)
  switch (equation.primitive) {
    case "add": {
      const zero = float ? -0 : 0
      if (isFilledWith(y, zero, definition)) return passing(x, equation)
      return isFilledWith(x, zero, definition) ? passing(y, equation) : undefined
    }
    case "sub":
      return isFilledWith(y, 0, definition) ? passing(x, equation) : undefined
    case "mul":
      if (isFilledWith(y, 1, definition)) return passing(x, equation)
      return isFilledWith(x, 1, definition) ? passing(y, equation) : undefined
    case "div":
      return isFilledWith(y, 1, definition) ? passing(x, equation) : undefined
    case "max":
    case "min": {
      // Of integers too: what none is below, or above.
      const { dtype } = x.aval
      const extreme = equation.primitive === "max" ? DType.lowest(dtype) : DType.highest(dtype)
      if (isFilledWith(y, extreme, definition)) return passing(x, equation)
      return isFilledWith(x, extreme, definition) ? passing(y, equation) : undefined
    }
    default:
      return undefined
  }
}

/** Shape operations that undo or continue one before. */
const ofShape = (equation: Equation, definition: Definition): Rewritten => {
  const before = definition(equation.inputs[0])
  if (equation.primitive === "transpose" && before?.primitive === "transpose") {
    const permutation = equation.params.permutation.map((i) => before.params.permutation[i])
    return permutation.every((a, i) => a === i)
      ? passing(before.inputs[0], equation)
      : { equation: { ...equation, params: { permutation }, inputs: before.inputs } }
  }
  if (equation.primitive === "reshape" && (before?.primitive === "reshape" || before?.primitive === "squeeze")) {
    return Shape.equals(before.inputs[0].aval.shape, equation.params.new_sizes)
      ? passing(before.inputs[0], equation)
      : { equation: { ...equation, inputs: before.inputs } }
  }
  if (equation.primitive === "broadcast_in_dim" && before?.primitive === "broadcast_in_dim") {
    const dimensions = before.params.broadcast_dimensions.map((d) => equation.params.broadcast_dimensions[d])
    return {
      equation: { ...equation, params: { ...equation.params, broadcast_dimensions: dimensions }, inputs: before.inputs }
    }
  }
  if (equation.primitive === "rev" && before?.primitive === "rev") {
    return Shape.equals(equation.params.dimensions, before.params.dimensions)
      ? passing(before.inputs[0], equation)
      : undefined
  }
  return undefined
}

/** A cheaper way to the outputs of an equation, if one is known. */
export const peephole = (equation: Equation, definition: Definition): Rewritten => {
  switch (equation.primitive) {
    case "add":
    case "sub":
    case "mul":
    case "div":
    case "max":
    case "min":
      return ofBinary(equation, definition)
    case "transpose":
    case "reshape":
    case "broadcast_in_dim":
    case "rev":
      return ofShape(equation, definition)
    case "neg": {
      const before = definition(equation.inputs[0])
      return before?.primitive === "neg" ? passing(before.inputs[0], equation) : undefined
    }
    case "convert_element_type": {
      const x = equation.inputs[0]
      const value = x._tag === "Literal" ? convert(x, equation.params.new_dtype) : undefined
      return value === undefined ? passing(x, equation) : { atom: literal(value, equation.outputs[0].aval) }
    }
    default:
      return undefined
  }
}

/**
 * In Programs that only run: names, marks and calls that matter to transforms alone, as the value that they pass on.
 */
export const passedOn = (equation: Equation): Atom | undefined => {
  switch (equation.primitive) {
    case "name":
    case "stop_gradient":
      return equation.inputs[0]
    case "convert_element_type":
      return equation.inputs[0].aval.dtype === equation.params.new_dtype ? equation.inputs[0] : undefined
    default:
      return undefined
  }
}

/** Is it a sum, or one with axes of size 1 put back? */
const isSum = (a: Atom, definition: Definition): boolean => {
  const made = definition(a)
  return made?.primitive === "reduce_sum" ||
    ((made?.primitive === "reshape" || made?.primitive === "broadcast_in_dim") && isSum(made.inputs[0], definition))
}

/**
 * In Programs that only run: what a float32 sum is multiplied by instead of being divided by a constant, and the equation
 * that fills an array with it, if it takes one. A mean is then, to the last bit, what XLA makes of one.
 */
export const reciprocal = (
  equation: Equation,
  definition: Definition
): { readonly factor: Literal; readonly filling: Equation | undefined } | undefined => {
  if (equation.primitive !== "div") return undefined
  const [x, y] = equation.inputs
  if (y.aval.dtype !== "float32" || !isSum(x, definition)) return undefined
  const filling = definition(y)
  const constant = y._tag === "Literal" ? y : filling?.primitive === "broadcast_in_dim" ? filling.inputs[0] : undefined
  if (constant?._tag !== "Literal") return undefined
  const value = Math.fround(1 / constant.value)
  // Where it would overflow or lose bits, dividing is better.
  return Math.abs(value) >= 2 ** -126 && Math.abs(value) <= 2 ** 126
    ? { factor: literal(value, constant.aval), filling }
    : undefined
}

/** Variables with the equations that made them. */
export const definitions = (): { readonly add: (equation: Equation) => void; readonly of: Definition } => {
  const made = new Map<Var, Equation>()
  return {
    add: (equation) => equation.outputs.forEach((v) => made.set(v, equation)),
    of: (a) => a._tag === "Var" ? made.get(a) : undefined
  }
}
