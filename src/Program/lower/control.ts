/**
 * Calls, loops and branches. A called function is a private function; a loop is a `while` over all that its bodies use,
 * invariants included; functions with derivatives of their own are their bodies. A callback is a custom call
 * `@linum_callback`, which whoever runs the module registers. What never stands in a finished Program has no lowering,
 * and says so.
 */
import { TraceError } from "../../Tensor/errors.ts"
import * as lax from "../../Tensor/lax/index.ts"
import { literal } from "../../Tensor/Tensor.ts"
import type { ControlPrimitive } from "../Primitive.ts"
import type { Program } from "../Program.ts"
import { type Block, list, type Lowering, type LoweringTable } from "./Block.ts"
import { type Part, type Value, value } from "./operation.ts"
import { formatList, formatResults, formatType, formatTypes, type Type, typeOf } from "./text.ts"

const unsupported = (primitive: string, why: string, hint: string): TraceError =>
  new TraceError({ transform: "lower", reason: `${primitive} has no StableHLO: ${why}`, hint })

const collective = (primitive: ControlPrimitive) => (): never => {
  throw unsupported(
    primitive,
    "its named axis belongs to no vmap of the function",
    "lower the function that maps the axis"
  )
}

const unfinished = (primitive: ControlPrimitive, what: string) => (): never => {
  throw unsupported(primitive, what, "lower the function itself, not a Program of your own making")
}

/** `while` over `state`: the same values, carried by the loop, are the arguments of both regions. */
const loop = (
  block: Block,
  state: ReadonlyArray<Value>,
  cond: (inner: Block, args: ReadonlyArray<Value>) => Value,
  body: (inner: Block, args: ReadonlyArray<Value>) => ReadonlyArray<Value>
): ReadonlyArray<Value> => {
  const types = state.map((x) => x.type)
  const args = types.map(value)
  const options = { hint: "iterArg", header: false }
  const carried = args.flatMap((arg, i): ReadonlyArray<Part> => [i === 0 ? "" : ", ", arg, " = ", state[i]])
  return block.emit(types, [
    "stablehlo.while(",
    ...carried,
    `) : ${formatTypes(types)}\ncond {`,
    block.regionOf(args, (inner) => [cond(inner, args)], options),
    "} do {",
    block.regionOf(args, (inner) => body(inner, args), options),
    "}"
  ])
}

const whileLoop: Lowering<"while"> = (block, inputs, { params: { body, body_consts, cond, cond_consts } }) => {
  const consts = cond_consts + body_consts
  const outputs = loop(
    block,
    inputs,
    (inner, args) => inner.program(cond, [...args.slice(0, cond_consts), ...args.slice(consts)])[0],
    (inner, args) => [...args.slice(0, consts), ...inner.program(body, args.slice(cond_consts))]
  )
  return outputs.slice(consts)
}

const counter = typeOf([], "int32")

/** Element `at` of an array along axis 0. */
const element = (block: Block, x: Value, at: Value): Value => {
  const [, ...rest] = x.type.shape
  const starts = [at, ...rest.map(() => block.scalar(0, "int32"))]
  const sliced = block.apply(
    "dynamic_slice",
    [x, ...starts],
    typeOf([1, ...rest], x.type.dtype),
    `, sizes = ${formatList([1, ...rest])}`
  )
  return block.apply("reshape", [sliced], typeOf(rest, x.type.dtype))
}

/** The array with element `at` along axis 0 replaced. */
const withElement = (block: Block, x: Value, y: Value, at: Value): Value => {
  const starts = [at, ...y.type.shape.map(() => block.scalar(0, "int32"))]
  const update = block.apply("reshape", [y], typeOf([1, ...y.type.shape], y.type.dtype))
  return block.apply("dynamic_update_slice", [x, update, ...starts], x.type)
}

/** A `while` that counts: element i of the stacked operands goes in, element i of the stacked results comes out. */
const scan: Lowering<"scan"> = (block, inputs, { outputs, params: p }) => {
  const consts = inputs.slice(0, p.num_consts)
  const carries = inputs.slice(p.num_consts, p.num_consts + p.num_carry)
  const stacked = inputs.slice(p.num_consts + p.num_carry)
  const ys = outputs.slice(p.num_carry).map((o) => block.splat(0, o.aval))
  // Nothing is run over no elements; a slice of nothing could not even be typed.
  if (p.length === 0) return [...carries, ...ys]
  const state = [...stacked, ...consts, block.scalar(0, "int32"), ...carries, ...ys]
  const at = stacked.length + consts.length
  const results = loop(
    block,
    state,
    (inner, args) => inner.inline(([i, n]) => [lax.lt(i, n)], [args[at], inner.scalar(p.length, "int32")])[0],
    (inner, args) => {
      const i = args[at]
      const place = p.reverse
        ? inner.inline(([i]) => [lax.sub(literal(p.length - 1, "int32"), i)], [i])[0]
        : i
      const xs = args.slice(0, stacked.length).map((x) => element(inner, x, place))
      const carried = args.slice(at + 1, at + 1 + p.num_carry)
      const out = inner.program(p.program, [...args.slice(stacked.length, at), ...carried, ...xs])
      const news = args.slice(at + 1 + p.num_carry).map((y, k) => withElement(inner, y, out[p.num_carry + k], place))
      const [next] = inner.inline(([i]) => [lax.add(i, literal(1, "int32"))], [i])
      return [...args.slice(0, at), next, ...out.slice(0, p.num_carry), ...news]
    }
  )
  return results.slice(at + 1)
}

/** A `case`; its branches use what is around them. */
const cond: Lowering<"cond"> = (block, [index, ...operands], { outputs, params: { branches } }) => {
  if (branches.length === 1) return block.program(branches[0], operands)
  const types: ReadonlyArray<Type> = outputs.map((o) => o.aval)
  const [place] = block.inline(
    ([i]) => [lax.clamp(literal(0, "int32"), i, literal(branches.length - 1, "int32"))],
    [index]
  )
  const regions = branches.flatMap((branch: Program, i): ReadonlyArray<Part> => [
    i === 0 ? "" : "}, {",
    block.regionOf([], (inner) => inner.program(branch, operands))
  ])
  return block.emit(types, [
    "\"stablehlo.case\"(",
    place,
    ") ({",
    ...regions,
    `}) : (${formatType(counter)}) -> ${formatResults(types)}`
  ])
}

const barrier = (block: Block, inputs: ReadonlyArray<Value>): ReadonlyArray<Value> => {
  const types = inputs.map((x) => x.type)
  return inputs.length === 0
    ? []
    : block.emit(types, ["stablehlo.optimization_barrier ", ...list(inputs), ` : ${formatTypes(types)}`])
}

const body: Lowering<"custom_jvp_call" | "custom_vjp_call"> = (block, inputs, { params }) =>
  block.program(params.program, inputs)

/** Lowerings of the primitives with Programs inside, and of marks. */
export const control: LoweringTable<ControlPrimitive> = {
  jit: (block, inputs, { params }) => block.call(params.name, params.program, inputs),
  // What a derivative recomputes is kept apart from what was computed before, or XLA would merge them.
  checkpoint: (block, inputs, { params }) =>
    block.program(params.program, params.differentiated ? barrier(block, inputs) : inputs),
  scan,
  while: whileLoop,
  cond,
  custom_jvp_call: body,
  custom_vjp_call: body,
  custom_lin: unfinished("custom_lin", "it is the tangent of a custom vjp, which only bwd can transpose"),
  debug_callback: (block, inputs, { params }) => {
    const name = params.name.replace(/[^\w .:-]/g, "_")
    return block.emit([], [
      "stablehlo.custom_call @linum_callback(",
      ...list(inputs),
      `) {backend_config = "${name}", has_side_effect = true} : (${formatTypes(inputs.map((x) => x.type))}) -> ()`
    ])
  },
  name: (_, inputs) => inputs,
  optimization_barrier: barrier,
  psum: collective("psum"),
  pmax: collective("pmax"),
  pmin: collective("pmin"),
  all_gather: collective("all_gather"),
  axis_index: collective("axis_index"),
  get_variable: unfinished("get_variable", "it stands only in Programs that are shown"),
  set_variable: unfinished("set_variable", "it stands only in Programs that are shown")
}
