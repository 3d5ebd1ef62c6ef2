/**
 * Values as expressions over a kernel's indices. Elementwise operations become applications; broadcasts, transposes,
 * slices and reshapes only move the access; what is in memory is loaded. A value that is used twice at one access is
 * one expression.
 */
import type { EquationOf } from "../../../Program/Program.ts"
import { elementwise } from "../../../Program/rules/elementwise.ts"
import { type DType, iinfo, isFloat } from "../../../Tensor/DType.ts"
import type { Shape } from "../../../Tensor/Shape.ts"
import { type Affine, type Buffer, type Expression, keyOf, type Op, type Reduction } from "../ir.ts"
import {
  type Access,
  alongAxis,
  constant,
  linear,
  Opaque,
  plus,
  scaled,
  throughBroadcast,
  throughReshape,
  throughReverse,
  throughSlice,
  throughTranspose,
  volume
} from "./access.ts"
import { gatherPick, type Pick, scatterPick } from "./pick.ts"
import type { Node, Operand, Value } from "./region.ts"

/** What stands for a value inside one kernel. */
export type Resolved =
  /** Its elements, in row-major order. */
  | { readonly _tag: "Buffer"; readonly buffer: Buffer }
  /** What the kernel itself stored of it. It can be read in its own place only, which `place` names. */
  | { readonly _tag: "Stored"; readonly buffer: Buffer; readonly at: Affine; readonly place: string }
  /** A reduction of the current row. */
  | { readonly _tag: "Reduced"; readonly reduction: Reduction; readonly place: string }
  /** The product that an epilogue belongs to. */
  | { readonly _tag: "Product"; readonly place: string }
  /** It is computed here. */
  | { readonly _tag: "Inline" }

const elementwiseNames: ReadonlySet<string> = new Set(Object.keys(elementwise))

const reductionNames: ReadonlySet<string> = new Set([
  "reduce_sum",
  "reduce_prod",
  "reduce_max",
  "reduce_min",
  "reduce_and",
  "reduce_or"
])

const viewNames: ReadonlySet<string> = new Set([
  "broadcast_in_dim",
  "reshape",
  "squeeze",
  "transpose",
  "slice",
  "rev"
])

/** Does the node combine elements along axes? Along axes of size 1 it gives what it gets. */
export const isReduction = ({ equation }: Node): boolean =>
  reductionNames.has(equation.primitive) &&
  volume(equation.inputs[0].aval.shape) !== volume(equation.outputs[0].aval.shape)

/** Does the node only give its operand's elements other places? */
export const isView = (node: Node): boolean =>
  viewNames.has(node.equation.primitive) || (reductionNames.has(node.equation.primitive) && !isReduction(node))

/** Are the elements of the node's result those of its operand, in the same order? */
export const isSameElements = (node: Node): boolean =>
  isView(node) && !["broadcast_in_dim", "transpose", "slice", "rev"].includes(node.equation.primitive)

/** Can the node's outputs be expressions? */
export const isInlinable = (node: Node): boolean => {
  const { primitive } = node.equation
  if (primitive === "bitcast_convert_type") {
    const [x] = node.equation.inputs
    return x.aval.shape.length === node.equation.outputs[0].aval.shape.length
  }
  return elementwiseNames.has(primitive) || isView(node) || primitive === "iota" || primitive === "threefry2x32" ||
    isPick(node)
}

/** Does the node read or change one element a row, at a computed index? */
export const isPick = ({ outputs: [value] }: Node): boolean =>
  value !== undefined && (gatherPick(value) ?? scatterPick(value)) !== undefined

const costly: ReadonlySet<string> = new Set(
  ("exp exp2 expm1 log log1p cbrt sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh logistic erf erfc erf_inv " +
    "lgamma digamma pow atan2 threefry2x32 rem div sqrt rsqrt nextafter").split(" ")
)

/** What computing one element costs, in additions. */
export const costOf = (node: Node): number =>
  isView(node) ? 0 : costly.has(node.equation.primitive) ? 10 : node.equation.primitive === "iota" ? 0 : 1

/** Narrow types are accumulated in wide ones. */
export const accumulated = (dtype: DType): DType =>
  dtype === "float16" || dtype === "bfloat16"
    ? "float32"
    : dtype === "int8"
    ? "int32"
    : dtype === "uint8"
    ? "uint32"
    : dtype

const product = (dtype: DType): Expression => {
  const wide = accumulated(dtype)
  const own: Expression = { _tag: "Product", dtype: wide }
  return wide === dtype ? own : { _tag: "Convert", x: own, dtype }
}

/** A value that is computed at more places for one element of the result is better computed before. */
const placesPerValue = 3

/** Makes the expressions of one kernel. */
export class Expressions {
  readonly #extents: Shape
  readonly #resolve: (value: Value) => Resolved
  readonly #known = new Map<Value, Map<string, Expression>>()
  /** Elementwise operations hand their access on as it is. */
  readonly #places = new Map<Access, { readonly place: Affine; readonly key: string }>()
  readonly #constants = new Map<string, Expression>()
  /** After `Opaque` was thrown: the value that would have to be in memory. */
  opaque: Value | undefined

  /** `extents` are the kernel's dimensions: outer, then inner. */
  constructor(extents: Shape, resolve: (value: Value) => Resolved) {
    this.#extents = extents
    this.#resolve = resolve
  }

  /** The operand's element at an access. Throws `Refine` or `Opaque`. */
  at(x: Operand, access: Access): Expression {
    if (x._tag === "Literal") {
      const key = `${x.aval.dtype} ${Object.is(x.value, -0) ? "-0" : x.value}`
      const known = this.#constants.get(key)
      if (known !== undefined) return known
      const made: Expression = { _tag: "Constant", value: x.value, dtype: x.aval.dtype }
      this.#constants.set(key, made)
      return made
    }
    const { key, place } = this.#placeOf(access)
    const found = this.#known.get(x)
    const known = found?.get(key)
    if (known !== undefined) return known
    const all = found ?? new Map<string, Expression>()
    if (
      all.size >= placesPerValue && x.node !== undefined && costOf(x.node) > 0 && this.#resolve(x)._tag === "Inline"
    ) {
      this.opaque ??= x
      throw new Opaque()
    }
    const made = this.#value(x, access, place, key)
    all.set(key, made)
    this.#known.set(x, all)
    return made
  }

  #placeOf(access: Access): { readonly place: Affine; readonly key: string } {
    const known = this.#places.get(access)
    if (known !== undefined) return known
    const place = linear(access, this.#extents.length)
    const made = { place, key: keyOf(place) }
    this.#places.set(access, made)
    return made
  }

  /** From now on the value is what was stored (or reduced), not what its expression says. */
  forget(x: Value): void {
    this.#known.delete(x)
  }

  #value(x: Value, access: Access, place: Affine, key: string): Expression {
    const { dtype } = x.aval
    const resolved = this.#resolve(x)
    switch (resolved._tag) {
      case "Buffer":
        return { _tag: "Load", buffer: resolved.buffer, at: place, dtype }
      case "Stored":
        if (resolved.place !== key) throw new Opaque()
        return { _tag: "Load", buffer: resolved.buffer, at: resolved.at, dtype }
      case "Reduced":
        if (resolved.place !== key) throw new Opaque()
        return { _tag: "Reduced", reduction: resolved.reduction, dtype }
      case "Product":
        if (resolved.place !== key) throw new Opaque()
        return product(dtype)
      case "Inline":
        if (x.node === undefined) throw new Error("the input of a region has no buffer")
        return this.#view(x.node, x, access)
    }
  }

  /** Notes the innermost value that must be in memory if the access cannot be followed. */
  #view(node: Node, x: Value, access: Access): Expression {
    try {
      return this.#inline(node, x, access)
    } catch (thrown) {
      if (thrown instanceof Opaque) this.opaque ??= x
      throw thrown
    }
  }

  #inline(node: Node, x: Value, access: Access): Expression {
    const { equation, inputs } = node
    const { dtype, shape } = x.aval
    const extents = this.#extents
    switch (equation.primitive) {
      case "broadcast_in_dim":
        return this.at(
          inputs[0],
          throughBroadcast(access, shape, inputs[0].aval.shape, equation.params.broadcast_dimensions, extents)
        )
      case "reshape":
      case "squeeze":
      case "reduce_sum":
      case "reduce_prod":
      case "reduce_max":
      case "reduce_min":
      case "reduce_and":
      case "reduce_or":
        return this.at(inputs[0], throughReshape(access, inputs[0].aval.shape, extents.length))
      case "transpose":
        return this.at(inputs[0], throughTranspose(access, shape, equation.params.permutation, extents))
      case "slice": {
        const { start_indices: starts, strides } = equation.params
        return this.at(inputs[0], throughSlice(access, shape, inputs[0].aval.shape, starts, strides, extents))
      }
      case "rev":
        return this.at(inputs[0], throughReverse(access, shape, equation.params.dimensions, extents))
      case "iota": {
        const at = alongAxis(access, shape, equation.params.dimension, extents)
        const index: Expression = { _tag: "Index", at, dtype: "int32" }
        return dtype === "int32" ? index : { _tag: "Convert", x: index, dtype }
      }
      case "convert_element_type": {
        const from = this.at(inputs[0], access)
        return from.dtype === dtype ? from : { _tag: "Convert", x: from, dtype }
      }
      case "bitcast_convert_type":
        return { _tag: "Bitcast", x: this.at(inputs[0], access), dtype }
      case "integer_pow":
        return { _tag: "Power", x: this.at(inputs[0], access), y: equation.params.y, dtype }
      case "select_n":
        return this.#select(inputs, access, dtype)
      case "gather":
        return this.#gather(x, node, access)
      case "scatter_add":
        return this.#scatter(x, node, access)
      case "threefry2x32":
        return this.#apply(x.output === 0 ? "threefry_0" : "threefry_1", inputs, access, dtype)
      default:
        return this.#apply(equation.primitive as Op, inputs, access, dtype)
    }
  }

  #apply(op: Op, inputs: ReadonlyArray<Operand>, access: Access, dtype: Expression["dtype"]): Expression {
    return { _tag: "Apply", op, args: inputs.map((x) => this.at(x, access)), dtype }
  }

  /** `select_n(which, ...cases)`; a number chooses the nearest case. */
  #select([which, ...cases]: ReadonlyArray<Operand>, access: Access, dtype: Expression["dtype"]): Expression {
    const chosen = this.at(which, access)
    const values = cases.map((x) => this.at(x, access))
    const select = (condition: Expression, yes: Expression, no: Expression): Expression => ({
      _tag: "Apply",
      op: "select",
      args: [condition, yes, no],
      dtype
    })
    if (chosen.dtype === "bool") return values.length === 1 ? values[0] : select(chosen, values[1], values[0])
    return values.slice(0, -1).reduceRight<Expression>(
      (rest, value, i) =>
        select(
          {
            _tag: "Apply",
            op: "le",
            args: [chosen, { _tag: "Constant", value: i, dtype: chosen.dtype }],
            dtype: "bool"
          },
          value,
          rest
        ),
      values[values.length - 1]
    )
  }

  /** The index of a pick, and the access of what goes with its rows: the axes of the indices but the last. */
  #index(indices: Operand, access: Access, axis: Pick, size: number): Expression {
    const found = this.at(indices, access)
    const index: Expression = found.dtype === "int32" ? found : { _tag: "Convert", x: found, dtype: "int32" }
    return axis.clips ? clamped(index, size) : index
  }

  /** The elements of a value, or of what it shows in the same order, if they are in memory. */
  #inMemory(x: Value): Extract<Resolved, { readonly _tag: "Buffer" }> | undefined {
    const resolved = this.#resolve(x)
    if (resolved._tag === "Buffer") return resolved
    const { node } = x
    if (resolved._tag !== "Inline" || node === undefined || !isSameElements(node)) return undefined
    const [source] = node.inputs
    return source._tag === "Literal" ? undefined : this.#inMemory(source)
  }

  #gather(x: Value, node: Node, access: Access): Expression {
    const pick = gatherPick(x)
    const [operand, indices] = node.inputs
    const { shape } = operand.aval
    if (pick === undefined || operand._tag === "Literal") throw new Opaque()
    const resolved = this.#inMemory(operand)
    if (resolved === undefined) throw new Opaque()
    const index = this.#index(indices, access, pick, shape[pick.axis])
    const stride = (axis: number) => volume(shape.slice(axis + 1))
    const row = pick.batch.reduce<Affine>(
      (sum, [own, other]) => plus(sum, scaled(alongAxis(access, x.aval.shape, other, this.#extents), stride(own))),
      constant(0, this.#extents.length)
    )
    const inRange = clamped(index, shape[pick.axis])
    const place = whole(
      "add",
      { _tag: "Index", at: row, dtype: "int32" },
      whole("mul", inRange, number(stride(pick.axis)))
    )
    const { dtype } = x.aval
    const loaded: Expression = { _tag: "LoadAt", buffer: resolved.buffer, index: place, dtype }
    if (pick.clips) return loaded
    const isInside: Expression = { _tag: "Apply", op: "eq", args: [index, inRange], dtype: "bool" }
    const { fill_value: fill } = (node.equation as EquationOf<"gather">).params
    const missing: Expression = { _tag: "Constant", value: fill ?? missingValue(dtype), dtype }
    return { _tag: "Apply", op: "select", args: [isInside, loaded, missing], dtype }
  }

  #scatter(x: Value, node: Node, access: Access): Expression {
    const pick = scatterPick(x)
    if (pick === undefined) throw new Opaque()
    const [operand, indices, updates] = node.inputs
    const { dtype, shape } = x.aval
    // The rows of indices and updates, in the order of the indices' axes; all others have size 1.
    const rows = pick.batch.toSorted(([, a], [, b]) => a - b).flatMap(([own]): Access =>
      shape[own] === 1 ? [] : [{ sizes: [shape[own]], at: alongAxis(access, shape, own, this.#extents) }]
    )
    const index = this.#index(indices, rows, pick, shape[pick.axis])
    const here: Expression = { _tag: "Index", at: alongAxis(access, shape, pick.axis, this.#extents), dtype: "int32" }
    const isHere: Expression = { _tag: "Apply", op: "eq", args: [here, index], dtype: "bool" }
    const before = this.at(operand, access)
    const after: Expression = { _tag: "Apply", op: "add", args: [before, this.at(updates, rows)], dtype }
    return { _tag: "Apply", op: "select", args: [isHere, after, before], dtype }
  }
}

const number = (value: number): Expression => ({ _tag: "Constant", value, dtype: "int32" })

const whole = (op: Op, ...args: ReadonlyArray<Expression>): Expression => ({ _tag: "Apply", op, args, dtype: "int32" })

/** An index as the nearest one in range. */
const clamped = (index: Expression, size: number): Expression =>
  whole("min", whole("max", index, number(0)), number(size - 1))

/** What is read out of range where nothing is said. */
const missingValue = (dtype: DType): number => {
  if (isFloat(dtype)) return NaN
  if (dtype === "bool") return 1
  const { max, min } = iinfo(dtype)
  return min < 0 ? min : max
}
