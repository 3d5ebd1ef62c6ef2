/**
 * The set of primitives: every name with the type of its parameters, and what the interpreters must know of each.
 *
 * The operations themselves (shape rule, checks) are the functions of `Tensor/lax` and `control.ts`. Everything else
 * that is known of a primitive family stands in one file of `rules/`; `rules/index.ts` joins them into tables typed by
 * `RuleTable`, so that a primitive without a rule does not compile.
 */
import type * as Convolution from "../Tensor/lax/convolution.ts"
import type * as Dot from "../Tensor/lax/dot.ts"
import type * as Elementwise from "../Tensor/lax/elementwise.ts"
import type * as Indexing from "../Tensor/lax/indexing.ts"
import type * as Random from "../Tensor/lax/random.ts"
import type * as Reduction from "../Tensor/lax/reduction.ts"
import type * as Shaping from "../Tensor/lax/shaping.ts"
import type * as Sorting from "../Tensor/lax/sorting.ts"
import type * as Window from "../Tensor/lax/window.ts"
import type { Node, Tensor } from "../Tensor/Tensor.ts"
import type * as Control from "./control.ts"
import type { EquationOf, Program } from "./Program.ts"

/** Parameters by primitive. */
export interface Params
  extends
    Elementwise.Params,
    Shaping.Params,
    Reduction.Params,
    Dot.Params,
    Convolution.Params,
    Window.Params,
    Indexing.Params,
    Sorting.Params,
    Random.Params,
    Control.Params
{}

/** The name of a primitive, as in `jax.lax`. */
export type Primitive = keyof Params

/** A tangent or cotangent; null is a symbolic zero. */
export type Tangent = Tensor | null

/**
 * In a transpose rule, an input that the output depends on linearly: its value does not exist, only its shape and
 * dtype.
 */
export interface Linear {
  readonly _tag: "Linear"
  readonly aval: Tensor["aval"]
}

/** Is it a linear input? */
export const isLinear = (x: Tensor | Linear): x is Linear => "_tag" in x && x._tag === "Linear"

/** What an interpreter's caller takes note of: effectful nodes, which are no one's input and would be lost. */
export type Emit = (node: Node) => void

/**
 * `jvp`: output tangents from input tangents, given the primal inputs and outputs. Linear in the tangents. All inputs
 * with a non-zero tangent are floats; integer outputs have tangent null.
 */
export type JvpRule<P extends Primitive> = (
  params: Params[P],
  primals: ReadonlyArray<Tensor>,
  tangents: ReadonlyArray<Tangent>,
  outputs: ReadonlyArray<Tensor>
) => ReadonlyArray<Tangent>

/**
 * `transpose`: for each linear input its cotangent (null for zero, and for inputs that are not linear), given the
 * cotangents of the outputs. At least one cotangent is not null.
 */
export type TransposeRule<P extends Primitive> = (
  params: Params[P],
  cotangents: ReadonlyArray<Tangent>,
  inputs: ReadonlyArray<Tensor | Linear>
) => ReadonlyArray<Tangent>

/** One mapped axis: its size, and its name if it has one. */
export interface MappedAxis {
  readonly size: number
  readonly name: string | undefined
}

/** Results of a batching rule: each output with its mapped axis, null where it has none. */
export interface Batched {
  readonly outputs: ReadonlyArray<Tensor>
  readonly axes: ReadonlyArray<number | null>
}

/**
 * `batch`: applies the primitive to inputs that have an extra axis at `axes[i]` (null: not mapped). At least one is
 * mapped.
 */
export type BatchRule<P extends Primitive> = (
  params: Params[P],
  inputs: ReadonlyArray<Tensor>,
  axes: ReadonlyArray<number | null>,
  axis: MappedAxis
) => Batched

/** Floating point operations and bytes of one application, for estimates: a multiply-add counts as two operations. */
export interface Cost {
  readonly flops: number
  readonly bytes: number
}

/** `cost`: what one application costs. */
export type CostRule<P extends Primitive> = (equation: EquationOf<P>) => Cost

/**
 * Everything an interpreter asks of an ordinary primitive. `transpose` is null where the primitive is never linear in
 * an input; `jvp` is null where every derivative is zero.
 */
export interface Rule<P extends Primitive> {
  readonly jvp: JvpRule<P> | null
  readonly transpose: TransposeRule<P> | null
  readonly batch: BatchRule<P>
  readonly cost: CostRule<P>
}

/** Primitives that hold Programs or have effects: the interpreters treat them one by one. */
export type ControlPrimitive = keyof Control.Params

/**
 * How tangents are wanted: in step with the primals, or apart from them, so that their part is linear and can be
 * transposed.
 */
export type JvpMode = "forward" | "linearize"

/** Outputs of a Program and their tangents. */
export interface Jvp {
  readonly outputs: ReadonlyArray<Tensor>
  readonly tangents: ReadonlyArray<Tangent>
}

/** The interpreters, for rules of primitives with Programs inside: they apply them to their bodies. */
export interface Interpreters {
  readonly jvp: (
    program: Program,
    primals: ReadonlyArray<Tensor>,
    tangents: ReadonlyArray<Tangent>,
    mode: JvpMode,
    emit: Emit
  ) => Jvp
  /** Cotangents of the linear inputs, given Tensors for the known ones and cotangents of the outputs. */
  readonly transpose: (
    program: Program,
    inputs: ReadonlyArray<Tensor | Linear>,
    cotangents: ReadonlyArray<Tangent>
  ) => ReadonlyArray<Tangent>
  readonly batch: (
    program: Program,
    inputs: ReadonlyArray<Tensor>,
    axes: ReadonlyArray<number | null>,
    axis: MappedAxis,
    emit: Emit
  ) => Batched
}

/** Everything an interpreter asks of a primitive with Programs inside, or with an effect. Rules as in `Rule`. */
export interface ControlRule<P extends Primitive> {
  readonly jvp: (
    params: Params[P],
    primals: ReadonlyArray<Tensor>,
    tangents: ReadonlyArray<Tangent>,
    context: { readonly mode: JvpMode; readonly emit: Emit; readonly self: Interpreters }
  ) => Jvp
  readonly transpose: (
    params: Params[P],
    cotangents: ReadonlyArray<Tangent>,
    inputs: ReadonlyArray<Tensor | Linear>,
    self: Interpreters
  ) => ReadonlyArray<Tangent>
  readonly batch: (
    params: Params[P],
    inputs: ReadonlyArray<Tensor>,
    axes: ReadonlyArray<number | null>,
    axis: MappedAxis,
    context: { readonly emit: Emit; readonly self: Interpreters }
  ) => Batched
}

/** A rule for every one of the control primitives P. */
export type ControlTable<P extends Primitive> = { readonly [K in P]: ControlRule<K> }

/** All other primitives. */
export type ArrayPrimitive = Exclude<Primitive, ControlPrimitive>

/** A rule for every one of the primitives P. */
export type RuleTable<P extends Primitive> = { readonly [K in P]: Rule<K> }
