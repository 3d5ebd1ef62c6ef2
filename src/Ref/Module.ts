/**
 * Modules: nodes of the model graph. A Module is an instance of a class made by `Module(name)`; its fields are
 * Variables, other Modules, arrays and plain objects of these, and static values (numbers, strings, functions).
 *
 * Fields do not change under a traversal's feet, so that traversals of a model can be cached and checked in a few
 * comparisons a node:
 *
 * - a field cannot be assigned; structure changes only through the Effects of `GraphDef` (`setAttribute`, `update`, …),
 *   which count the node's *version*;
 * - arrays and plain objects in fields are values, not nodes: the constructor keeps frozen copies of them.
 */
import { NodeInspectSymbol } from "effect/Inspectable"
import * as Pipeable from "effect/Pipeable"
import * as Predicate from "effect/Predicate"
import { currentUnsafe, type Trace } from "../Program/Trace.ts"
import { isPlainObject } from "../Tensor/Tree.ts"
import { print } from "./print.ts"

const TypeId = "~linum/Module"
const Hidden: unique symbol = Symbol.for("~linum/Module/hidden")

/**
 * A node of the model graph.
 *
 * @category models
 * @since 0.1.0
 */
export interface Module extends Pipeable.Pipeable {
  readonly [TypeId]: { readonly name: string }
}

/** What every Module hides. */
export interface Hidden {
  /** How often its fields were changed. */
  version: number
  /** The trace in which it was made; undefined: outside of any. Structure may change only there. */
  readonly owner: Trace | undefined
  /** Are all of its fields read-only? */
  settled: boolean
  /** The last traversal that began here, kept by `GraphDef`. It dies with the node. */
  traversal: unknown
}

/** A class of Modules with the fields `Fields`. */
export interface ModuleClass {
  new<Fields extends object>(fields: Fields): Module & Readonly<Fields>
}

const hide = (self: object, owner: Trace | undefined, settled: boolean): void => {
  const hidden: Hidden = { version: 0, owner, settled, traversal: undefined }
  Object.defineProperty(self, Hidden, { value: hidden, enumerable: false })
}

class Base extends Pipeable.Class implements Module {
  declare readonly [TypeId]: { readonly name: string }
  constructor(fields: object) {
    super()
    for (const [key, value] of Object.entries(fields)) defineField(this, key, value)
    hide(this, currentUnsafe(), false)
  }
  override toString(): string {
    return print(this)
  }
  toJSON(): unknown {
    return { _id: "Module", name: this[TypeId].name }
  }
  [NodeInspectSymbol](): string {
    return print(this)
  }
}

/**
 * A base class of Modules: `class MLP extends Module("MLP")<{ readonly linear: Linear }> {}`, made by `new MLP({ linear
 * })`.
 *
 * `name` is what printing and GraphDefs show, and what registers the class of nodes: two classes with one name are two
 * node types, told apart by identity.
 *
 * ```ts import.meta.vitest
 * import * as nnx from "linum"
 *
 * class Scale extends nnx.Module("Scale")<{ readonly by: nnx.Variable<"Param", nnx.Tensor.Tensor> }> {}
 * console.log(String(new Scale({ by: nnx.Param.makeUnsafe(nnx.Tensor.ones([2, 3])) })))
 * // => Scale( # Param: 6 (24 B)
 * //   by=Param( # 6 (24 B)
 * //     value=Array(shape=(2, 3), dtype=float32)
 * //   )
 * // )
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const Module = (name: string): ModuleClass => {
  class Named extends Base {}
  Object.defineProperty(Named.prototype, TypeId, { value: { name }, enumerable: false })
  return Named as unknown as ModuleClass
}

/** Is it a Module? */
export const isModule = (u: unknown): u is Module => Predicate.hasProperty(u, TypeId)

/** The name given to `Module(name)`. */
export const moduleName = (self: Module): string => self[TypeId].name

/** @internal The hidden part of a Module. */
export const hiddenOf = (self: Module): Hidden => (self as unknown as { readonly [Hidden]: Hidden })[Hidden]

/** @internal How often the fields of this node were changed by an Effect. */
export const version = (self: Module): number => hiddenOf(self).version

/** @internal Counts a change of the fields. */
export const touch = (self: Module): void => {
  hiddenOf(self).version++
}

/** @internal An instance of a class by its prototype, without fields: `merge` fills it. */
export const empty = (prototype: object, owner: Trace | undefined): Module => {
  const node: object = Object.create(prototype)
  hide(node, owner, true)
  return node as Module
}

/** @internal Sets a field, whether it was there or not. It does not count the change. */
export const defineField = (self: object, key: string, value: unknown): void => {
  Object.defineProperty(self, key, { value: frozen(value), enumerable: true, configurable: true, writable: false })
}

/**
 * @internal Makes fields read-only that a class declares beside those of its constructor (`count = 0`): from the first
 * traversal on they are part of the structure.
 */
export const settleFields = (self: Module, hidden: Hidden): void => {
  if (hidden.settled) return
  hidden.settled = true
  for (const key of Object.keys(self)) {
    const field = Object.getOwnPropertyDescriptor(self, key)
    if (field?.writable === true) defineField(self, key, field.value)
  }
}

/** @internal Removes a field. It does not count the change. */
export const deleteField = (self: object, key: string): void => {
  Reflect.deleteProperty(self, key)
}

/**
 * @internal The value with its arrays and plain objects frozen: copies, unless they are frozen already. Modules,
 * Variables, Tensors and instances of other classes are left alone.
 */
export const frozen = (value: unknown): unknown => {
  if (Array.isArray(value)) {
    const items: ReadonlyArray<unknown> = value
    const copies = items.map(frozen)
    return Object.isFrozen(value) && copies.every((item, i) => item === items[i]) ? value : Object.freeze(copies)
  }
  if (!isPlainObject(value)) return value
  const entries = Object.entries(value).map(([key, item]) => [key, frozen(item)] as const)
  return Object.isFrozen(value) && entries.every(([key, item]) => item === value[key])
    ? value
    : Object.freeze(Object.fromEntries(entries))
}
