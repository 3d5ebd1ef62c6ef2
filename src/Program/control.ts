/**
 * Primitives with Programs inside: calls, loops, branches, custom derivatives; and the few that name an axis, mark a
 * value or call the host. Their operands are the captured arrays first, then the arguments.
 */
import type { TypedArray } from "../Tensor/DType.ts"
import { TraceError } from "../Tensor/errors.ts"
import * as Shape from "../Tensor/Shape.ts"
import * as ShapedArray from "../Tensor/ShapedArray.ts"
import { bind, bindNode, type Node, type Tensor } from "../Tensor/Tensor.ts"
import type { Structure } from "../Tensor/Tree.ts"
import type { Program } from "./Program.ts"
import type { Description } from "./references.ts"

/** Which intermediate values a `remat` may keep: a name of JAX's policies, or the names given by `checkpointName`. */
export type RematPolicy =
  | "nothing_saveable"
  | "everything_saveable"
  | "dots_saveable"
  | "dots_with_no_batch_dims_saveable"
  | { readonly saveOnlyTheseNames: ReadonlyArray<string> }
  | { readonly saveAnythingExceptTheseNames: ReadonlyArray<string> }

/** A value as a callback receives it. */
export interface HostArray {
  readonly aval: ShapedArray.ShapedArray
  readonly data: TypedArray
}

/** The forward rule of a custom jvp: Program from (primals…, tangents…) to (outputs…, output tangents…). */
export interface CustomJvp {
  readonly jvp: () => Program
}

/**
 * The rules of a custom vjp as functions of Tensors, traced where they are needed.
 * `fwd(primals)` gives the outputs and the residuals; `bwd(residuals, cotangents)` one cotangent a primal (null: zero).
 */
export interface CustomVjp {
  readonly fwd: (
    primals: ReadonlyArray<Tensor>,
    emit: (node: Node) => void
  ) => { readonly outputs: ReadonlyArray<Tensor>; readonly residuals: ReadonlyArray<Tensor> }
  readonly bwd: (
    residuals: ReadonlyArray<Tensor>,
    cotangents: ReadonlyArray<Tensor>
  ) => ReadonlyArray<Tensor | null>
}

/** Parameters of the control-flow primitives. */
export interface Params {
  readonly jit: { readonly name: string; readonly program: Program }
  readonly checkpoint: { readonly program: Program; readonly policy: RematPolicy; readonly differentiated: boolean }
  /**
   * Operands: `num_consts` loop-invariant arrays, `num_carry` carries, then arrays sliced along axis 0. Outputs:
   * carries, stacked ys.
   */
  readonly scan: {
    readonly program: Program
    readonly length: number
    readonly reverse: boolean
    readonly num_consts: number
    readonly num_carry: number
    readonly unroll: number
  }
  /** Operands: `cond_consts`, `body_consts`, then the carries. */
  readonly while: {
    readonly cond: Program
    readonly body: Program
    readonly cond_consts: number
    readonly body_consts: number
  }
  /** Operands: a scalar int32 index, clamped into range, then the operands of every branch. */
  readonly cond: { readonly branches: ReadonlyArray<Program> }
  /** The first `num_consts` operands are what function and rule captured: they must not be differentiated. */
  readonly custom_jvp_call: {
    readonly program: Program
    readonly name: string
    readonly rule: CustomJvp
    readonly num_consts: number
  }
  readonly custom_vjp_call: {
    readonly program: Program
    readonly name: string
    readonly rule: CustomVjp
    readonly num_consts: number
  }
  /**
   * The tangents of a custom vjp call, which only its `bwd` can transpose. Operands: `num_residuals` residuals, then
   * the tangents of the primals. Never runs.
   */
  readonly custom_lin: {
    readonly name: string
    readonly rule: CustomVjp
    readonly num_residuals: number
    /** Abstract values of the outputs. */
    readonly avals: ReadonlyArray<ShapedArray.ShapedArray>
  }
  /** No output: the callback gets the operands' values, at run time, in order. */
  readonly debug_callback: { readonly callback: (values: ReadonlyArray<HostArray>) => void; readonly name: string }
  /** The operand, named for remat policies. */
  readonly name: { readonly name: string }
  /** The operands, between which and their uses no common subexpressions are merged. */
  readonly optimization_barrier: Readonly<Record<never, never>>
  readonly psum: { readonly axis_name: string }
  readonly pmax: { readonly axis_name: string }
  readonly pmin: { readonly axis_name: string }
  /** Gathers along a named axis into a new leading axis of size `axis_size`. */
  readonly all_gather: { readonly axis_name: string; readonly axis_size: number }
  /** The index along a named axis, int32. */
  readonly axis_index: { readonly axis_name: string }
  /** A Variable is read: the operand is a reference, the outputs the arrays of its value. Shown, never run. */
  readonly get_variable: Readonly<Record<never, never>>
  /** A Variable is written: the operands are a reference and the arrays of the new value. Shown, never run. */
  readonly set_variable: Description & { readonly structure: Structure }
}

const outputs = (program: Program): ReadonlyArray<ShapedArray.ShapedArray> => program.outputs.map((o) => o.aval)

const checkOperands = (operation: string, program: Program, operands: ReadonlyArray<Tensor>): void => {
  const ok = program.inputs.length === operands.length &&
    program.inputs.every((v, i) => Shape.equals(v.aval.shape, operands[i].shape) && v.aval.dtype === operands[i].dtype)
  if (!ok) {
    throw new TraceError({
      transform: operation,
      reason: `operands ${operands.map((o) => ShapedArray.format(o.aval)).join(", ")} do not fit a Program of ${
        program.inputs.map((v) => ShapedArray.format(v.aval)).join(", ")
      }`,
      hint: "this is a defect in a transform: please report it"
    })
  }
}

/** Calls a Program as one equation. */
export const call = (name: string, program: Program, operands: ReadonlyArray<Tensor>): Node => {
  checkOperands("jit", program, operands)
  return bindNode("jit", { name, program }, operands, outputs(program))
}

/** Calls a Program whose intermediate values are recomputed, not kept, when it is differentiated. */
export const checkpoint = (
  program: Program,
  policy: RematPolicy,
  operands: ReadonlyArray<Tensor>,
  differentiated = false
): Node => {
  checkOperands("remat", program, operands)
  return bindNode("checkpoint", { program, policy, differentiated }, operands, outputs(program))
}

/** Applies a body `length` times: (consts, carry, x) to (carry, y). */
export const scan = (params: Params["scan"], operands: ReadonlyArray<Tensor>): Node => {
  const { length, num_carry: carries, num_consts: consts, program } = params
  const sliced = operands.slice(consts + carries)
  const bad = sliced.find((x) => x.ndim === 0 || x.shape[0] !== length)
  if (bad !== undefined) {
    throw new TraceError({
      transform: "scan",
      reason: `an array ${ShapedArray.format(bad.aval)} cannot be sliced ${length} times along axis 0`,
      hint: "scanned arrays have the scan's length along their scan axis"
    })
  }
  return bindNode("scan", params, operands, [
    ...program.outputs.slice(0, carries).map((o) => o.aval),
    ...program.outputs.slice(carries).map((o) => ShapedArray.withShape(o.aval, [length, ...o.aval.shape]))
  ])
}

/** Applies a body while a condition holds. */
export const whileLoop = (params: Params["while"], operands: ReadonlyArray<Tensor>): Node =>
  bindNode("while", params, operands, outputs(params.body))

/** Applies the branch that a scalar int32 names. */
export const cond = (index: Tensor, branches: ReadonlyArray<Program>, operands: ReadonlyArray<Tensor>): Node => {
  for (const branch of branches) checkOperands("cond", branch, operands)
  return bindNode("cond", { branches }, [index, ...operands], outputs(branches[0]))
}

/** A call with a jvp rule of its own. */
export const customJvpCall = (params: Params["custom_jvp_call"], operands: ReadonlyArray<Tensor>): Node =>
  bindNode("custom_jvp_call", params, operands, outputs(params.program))

/** A call with a vjp rule of its own. */
export const customVjpCall = (params: Params["custom_vjp_call"], operands: ReadonlyArray<Tensor>): Node =>
  bindNode("custom_vjp_call", params, operands, outputs(params.program))

/** The linear part of a custom vjp call. */
export const customLin = (
  params: Params["custom_lin"],
  operands: ReadonlyArray<Tensor>
): ReadonlyArray<Tensor> => bind("custom_lin", params, operands, params.avals)

/** A host callback. The caller registers the node with the trace, or it will never run. */
export const debugCallback = (params: Params["debug_callback"], operands: ReadonlyArray<Tensor>): Node =>
  bindNode("debug_callback", params, operands, [])

/** Names a value for remat policies. */
export const checkpointName = (x: Tensor, name: string): Tensor => bind("name", { name }, [x], [x.aval])[0]

/** Keeps computations on both sides apart. */
export const optimizationBarrier = (xs: ReadonlyArray<Tensor>): ReadonlyArray<Tensor> =>
  xs.length === 0 ? xs : bind("optimization_barrier", {}, xs, xs.map((x) => x.aval))

const named = (primitive: "psum" | "pmax" | "pmin") => (x: Tensor, axisName: string): Tensor =>
  bind(primitive, { axis_name: axisName }, [x], [x.aval])[0]

/** The sum along a named axis of an enclosing vmap. */
export const psum = named("psum")
/** The largest along a named axis. */
export const pmax = named("pmax")
/** The smallest along a named axis. */
export const pmin = named("pmin")
/** Every value along a named axis, stacked along a new leading axis. */
export const allGather = (x: Tensor, axisName: string, axisSize: number): Tensor =>
  bind("all_gather", { axis_name: axisName, axis_size: axisSize }, [x], [
    ShapedArray.withShape(x.aval, [axisSize, ...x.shape])
  ])[0]
/** The position along a named axis. */
export const axisIndex = (axisName: string): Tensor =>
  bind("axis_index", { axis_name: axisName }, [], [ShapedArray.make([], "int32")])[0]
