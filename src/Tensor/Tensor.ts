/**
 * The array: pure, immutable and lazy. A Tensor is its abstract value (shape, dtype, weakness) and a *source*, which
 * says how the elements can be had:
 *
 * - `Literal`: a scalar constant;
 * - `Concrete`: computed elements, in host memory or in a device buffer;
 * - `Pending`: one output of a primitive applied to other Tensors; nothing has been computed;
 * - `Argument`: an input of a trace; only its abstract value is known.
 *
 * `bind` is the only way to make a Pending Tensor, so every operation of the library goes through it. Tensors carry a
 * *serial* that grows with creation. It is what orders equations as the user wrote them, and what tells a trace whether
 * an array was made inside it (an equation of its Program) or before it (a captured input). Nothing else depends on it.
 */
import * as Pipeable from "effect/Pipeable"
import * as Predicate from "effect/Predicate"
import type { TypedArray } from "./DType.ts"
import type { Methods } from "./Methods.ts"
import * as ShapedArray from "./ShapedArray.ts"
import type { Storage } from "./Storage.ts"

const TypeId = "~linum/Tensor"

/**
 * What the arguments of one trace have in common. The trace marks it finished; its arrays are useless from then on.
 *
 * @category models
 * @since 0.1.0
 */
export interface TraceScope {
  /** The transform that traces, as users know it: `jit(trainStep)`, `grad`. */
  readonly transform: string
  /** Arrays with a smaller serial were made before the trace began. */
  readonly start: number
  /** Set once, when the traced function has returned. */
  finished: boolean
}

/** One application of a primitive. */
export interface Node {
  readonly primitive: string
  readonly params: object
  readonly inputs: ReadonlyArray<Tensor>
  readonly outputs: ReadonlyArray<Tensor>
  readonly serial: number
  /** @internal Was it run on the way to other arrays? Who needs it again then keeps it. */
  ran: boolean
}

/** How the elements of a Tensor can be had. */
export type Source =
  | { readonly _tag: "Literal"; readonly value: number }
  | { readonly _tag: "Concrete"; readonly storage: Storage }
  | { readonly _tag: "Pending"; readonly node: Node; readonly index: number }
  | { readonly _tag: "Argument"; readonly scope: TraceScope }

/**
 * A pure, lazy n-dimensional array. Operations on it compute nothing; see the file header.
 *
 * @category models
 * @since 0.1.0
 */
export interface Tensor extends Methods<Tensor>, Pipeable.Pipeable {
  readonly [TypeId]: typeof TypeId
  readonly aval: ShapedArray.ShapedArray
  readonly shape: ReadonlyArray<number>
  readonly dtype: ShapedArray.ShapedArray["dtype"]
  readonly weakType: boolean
  /** The number of axes. */
  readonly ndim: number
  /** The number of elements. */
  readonly size: number
  /** @internal Replaced once, by `settle`, when a pending array is computed. */
  readonly source: Source
  /** @internal */
  readonly serial: number
}

/** What operations take where an array is wanted: bare numbers and booleans become weakly typed scalars. */
export type TensorLike = Tensor | number | boolean

/** Creation order. The one counter of the library: it identifies, and decides nothing but order. */
let serial = 0

/** @internal The next serial: what is made from now on has this one or a larger one. */
export const nextSerial = (): number => serial

class TensorImpl {
  readonly [TypeId]: typeof TypeId = TypeId
  readonly aval: ShapedArray.ShapedArray
  source: Source
  readonly serial: number
  constructor(aval: ShapedArray.ShapedArray, source: Source) {
    this.aval = aval
    this.source = source
    this.serial = serial++
  }
  get shape(): ReadonlyArray<number> {
    return this.aval.shape
  }
  get dtype(): ShapedArray.ShapedArray["dtype"] {
    return this.aval.dtype
  }
  get weakType(): boolean {
    return this.aval.weakType
  }
  get ndim(): number {
    return this.aval.shape.length
  }
  get size(): number {
    let n = 1
    for (const d of this.aval.shape) n *= d
    return n
  }
}

/**
 * The prototype of every Tensor. `install.ts` puts the methods on it when the package is loaded (as JAX does with its
 * array methods), so that this file need not import the operations that are built on it.
 *
 * @internal
 */
export const Proto: object = TensorImpl.prototype
Object.assign(Proto, Pipeable.Prototype)

const construct = (aval: ShapedArray.ShapedArray, source: Source): Tensor =>
  new TensorImpl(aval, source) as unknown as Tensor

/** Is it a Tensor? */
export const isTensor = (u: unknown): u is Tensor => Predicate.hasProperty(u, TypeId)

/** A scalar constant. bool is 0 or 1. */
export const literal = (value: number, dtype: ShapedArray.ShapedArray["dtype"], weakType = false): Tensor =>
  construct(ShapedArray.make([], dtype, weakType), { _tag: "Literal", value })

/** An array of computed elements. */
export const concrete = (aval: ShapedArray.ShapedArray, storage: Storage): Tensor =>
  construct(aval, { _tag: "Concrete", storage })

/** An array over host memory, which the caller must not change afterwards. */
export const fromHost = (aval: ShapedArray.ShapedArray, data: TypedArray): Tensor =>
  concrete(aval, { _tag: "Host", data })

/** An input of a trace. */
export const argument = (aval: ShapedArray.ShapedArray, scope: TraceScope): Tensor =>
  construct(aval, { _tag: "Argument", scope })

/** A scope for the arguments of one trace, starting now. */
export const traceScope = (transform: string): TraceScope => ({ transform, start: serial, finished: false })

/**
 * Applies a primitive: makes its outputs, with the given abstract values, and computes nothing. Callers have checked
 * the inputs; the functions of `lax/` are those callers.
 *
 * @internal
 */
export const bind = (
  primitive: string,
  params: object,
  inputs: ReadonlyArray<Tensor>,
  avals: ReadonlyArray<ShapedArray.ShapedArray>
): ReadonlyArray<Tensor> => bindNode(primitive, params, inputs, avals).outputs

/** @internal As `bind`, for primitives that may have no output and are kept for their effect. */
export const bindNode = (
  primitive: string,
  params: object,
  inputs: ReadonlyArray<Tensor>,
  avals: ReadonlyArray<ShapedArray.ShapedArray>
): Node => {
  const outputs: Array<Tensor> = []
  const node: Node = { primitive, params, inputs, outputs, serial: serial++, ran: false }
  for (let index = 0; index < avals.length; index++) {
    outputs.push(construct(avals[index], { _tag: "Pending", node, index }))
  }
  return node
}

/** @internal Gives a pending array its computed elements; the pending graph behind it can then be collected. */
export const settle = (self: Tensor, storage: Storage): void => {
  const mutable = self as unknown as { source: Source }
  mutable.source = { _tag: "Concrete", storage }
}

/** An array of what an operation was given; numbers and booleans are weakly typed scalars. */
export const lift = (x: TensorLike): Tensor =>
  typeof x === "number"
    ? literal(x, Number.isInteger(x) && Math.abs(x) <= 2147483647 ? "int32" : "float32", true)
    : typeof x === "boolean"
    ? literal(x ? 1 : 0, "bool", false)
    : x
