/**
 * Modules: nodes of the model graph. A Module is an instance of a class made by `Module(name)`; its fields are Variables,
 * other Modules, arrays and plain objects of these, and static values (numbers, strings, functions).
 *
 * Fields are readonly. Structure changes only through the Effects of `GraphDef` (`setAttribute`, `update`, …), which count
 * the node's *version*, so that traversals of a model can be cached and checked in a few comparisons a node.
 */
import * as Predicate from "effect/Predicate"

const TypeId = "~linum/Module"
const Version: unique symbol = Symbol.for("~linum/Module/version")

/**
 * A node of the model graph.
 *
 * @category models
 * @since 0.1.0
 */
export interface Module {
  readonly [TypeId]: { readonly name: string }
}

/** @internal What every Module hides: how often its fields were changed. */
interface Versioned {
  [Version]: number
}

/** A class of Modules with the fields `Fields`. */
export interface ModuleClass {
  new<Fields extends object>(fields: Fields): Module & Readonly<Fields>
}

class Base implements Module {
  declare readonly [TypeId]: { readonly name: string }
  constructor(fields: object) {
    Object.assign(this, fields)
    Object.defineProperty(this, Version, { value: 0, writable: true, enumerable: false })
  }
}

/**
 * A base class of Modules: `class MLP extends Module("MLP")<{ readonly linear: Linear }> {}`, made by `new MLP({ linear })`.
 *
 * `name` is what printing and GraphDefs show, and what registers the class of nodes: two classes with one name are two
 * node types, told apart by identity.
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

/** @internal How often the fields of this node were changed by an Effect. */
export const version = (self: Module): number => (self as unknown as Versioned)[Version]

/** @internal Counts a change of the fields. */
export const touch = (self: Module): void => {
  ;(self as unknown as Versioned)[Version]++
}

/** @internal An instance of the class of `like`, without fields: `unflatten` fills it. */
export const empty = (prototype: object): Module => {
  const node: object = Object.create(prototype)
  Object.defineProperty(node, Version, { value: 0, writable: true, enumerable: false })
  return node as Module
}
