/**
 * Nodes: what a traversal of a model goes into. Two sorts:
 *
 * - *graph nodes* have identity (Modules, and classes that say so): one that is met twice is one object, also after a
 *   merge; cycles are fine, since a graph node is made empty first and filled afterwards;
 * - *tree nodes* are values (arrays, plain objects, States): what is met twice is copied, and they are made from their
 *   finished children.
 *
 * Leaves are Variables and arrays; everything else is static. A class becomes a sort of nodes by its *protocol*, which
 * is a property of its prototype under the symbol `Node`: no registry, nothing global.
 */
import * as Data from "effect/Data"
import * as Predicate from "effect/Predicate"
import type { Trace } from "../Program/Trace.ts"
import * as Module from "../Ref/Module.ts"
import * as Path from "../State/Path.ts"
import * as State from "../State/State.ts"
import { Table } from "../State/Table.ts"
import { isPlainObject } from "../Tensor/Tree.ts"

/** The symbol under which a prototype holds the protocol of its class. */
export const Node: unique symbol = Symbol.for("~linum/GraphDef/Node")

/** From a node to a child: one key, or several for children of a State. */
export type Step = Path.Key | Path.Path

/** A node taken apart. `metadata` is static: compared by `Equal`. */
export interface Parts {
  readonly keys: ReadonlyArray<Step>
  readonly values: ReadonlyArray<unknown>
  readonly metadata?: unknown
}

/**
 * How to take apart and make nodes with identity.
 *
 * @category models
 * @since 0.1.0
 */
export interface GraphProtocol<N extends object> {
  readonly _tag: "Graph"
  readonly name: string
  /** Keys should come in an order that depends on their names only. */
  readonly flatten: (node: N) => Parts
  /** A node without children. */
  readonly create: (metadata: unknown) => N
  readonly set: (node: N, key: Path.Key, value: unknown) => void
  readonly remove: (node: N, key: Path.Key) => void
  /** Counts the changes of a node's children. Without it traversals that meet the node are not cached. */
  readonly version?: (node: N) => number
}

/**
 * How to take apart and make nodes that are values.
 *
 * @category models
 * @since 0.1.0
 */
export interface TreeProtocol<N extends object> {
  readonly _tag: "Tree"
  readonly name: string
  readonly flatten: (node: N) => Parts
  readonly unflatten: (parts: Parts) => N
}

/**
 * A class that cannot become a sort of nodes.
 *
 * @category errors
 * @since 0.1.0
 */
export class NodeTypeError
  extends Data.TaggedError("NodeTypeError")<{ readonly type: string; readonly reason: string }>
{
  override get message(): string {
    return `Node type ${this.type} ${this.reason}`
  }
}

/**
 * Makes a class a sort of nodes: puts the protocol on its prototype. Throws a `NodeTypeError` if it has one.
 *
 * @category constructors
 * @since 0.1.0
 */
export const registerNode = <N extends object>(
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  type: abstract new(...args: never) => N,
  protocol: GraphProtocol<N> | TreeProtocol<N>
): void => {
  const prototype: object = type.prototype
  if (Object.hasOwn(prototype, Node)) {
    throw new NodeTypeError({ type: protocol.name, reason: "is already registered." })
  }
  Object.defineProperty(prototype, Node, { value: protocol })
}

/**
 * A value that traversals take as one static value, whatever is in it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Static<out A> {
  readonly "~linum/Static": "~linum/Static"
  readonly value: A
}

class StaticImpl extends Data.Class<{ readonly value: unknown }> {
  get "~linum/Static"(): "~linum/Static" {
    return "~linum/Static"
  }
}

/**
 * Wraps a value, so that traversals take it as one static value: an array of numbers stays one part of the structure
 * instead of a node with as many. Compared by `Equal`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const Static = <A>(value: A): Static<A> => new StaticImpl({ value }) as unknown as Static<A>

/** @internal Is it wrapped by `Static`? */
export const isStatic = (u: object): boolean => u instanceof StaticImpl

/** What traversals need of a graph node. `type` tells apart classes of one protocol. */
export interface GraphSort {
  readonly _tag: "Graph"
  readonly name: string
  readonly type: object
  readonly flatten: (node: object) => Parts
  readonly create: (metadata: unknown, owner: Trace | undefined) => object
  readonly set: (node: object, key: Path.Key, value: unknown) => void
  readonly remove: (node: object, key: Path.Key) => void
  readonly touch: (node: object) => void
  readonly version: ((node: object) => number) | undefined
}

/** What traversals need of a tree node. */
export interface TreeSort {
  readonly _tag: "Tree"
  readonly name: string
  readonly type: object
  readonly flatten: (node: object) => Parts
  readonly unflatten: (parts: Parts) => object
}

/** A sort of nodes. */
export type Sort = GraphSort | TreeSort

const sortedKeys = (node: object): ReadonlyArray<string> => Object.keys(node).toSorted(Path.compareKeys)

const record = (node: object): Parts => {
  const keys = sortedKeys(node)
  const fields = node as Readonly<Record<string, unknown>>
  return { keys, values: keys.map((key) => fields[key]) }
}

const asModule = (node: object): Module.Module => node as Module.Module

/** The sort of the Modules of one class. */
class ModuleSort implements GraphSort {
  readonly _tag = "Graph"
  readonly name: string
  readonly type: object
  constructor(name: string, prototype: object) {
    this.name = name
    this.type = prototype
  }
  flatten(node: object): Parts {
    return record(node)
  }
  create(_: unknown, owner: Trace | undefined): object {
    return Module.empty(this.type, owner)
  }
  set(node: object, key: Path.Key, value: unknown): void {
    Module.defineField(node, key, value)
  }
  remove(node: object, key: Path.Key): void {
    Module.deleteField(node, key)
  }
  touch(node: object): void {
    Module.touch(asModule(node))
  }
  version(node: object): number {
    return Module.version(asModule(node))
  }
}

const moduleSort = (node: Module.Module): GraphSort =>
  new ModuleSort(Module.moduleName(node), Object.getPrototypeOf(node))

const listType = {}
const listSort: TreeSort = {
  _tag: "Tree",
  name: "List",
  type: listType,
  flatten: (node) => {
    const values = node as ReadonlyArray<unknown>
    return { keys: values.map((_, i) => String(i)), values }
  },
  unflatten: ({ values }) => [...values]
}

const dictType = {}
const dictSort: TreeSort = {
  _tag: "Tree",
  name: "Dict",
  type: dictType,
  flatten: record,
  unflatten: ({ keys, values }) => Object.fromEntries(keys.map((key, i) => [key, values[i]]))
}

const stateType = {}
const stateSort: TreeSort = {
  _tag: "Tree",
  name: "State",
  type: stateType,
  flatten: (node) => {
    const { table, values } = State.inside(node as State.Any)
    return { keys: table.paths, values, metadata: table }
  },
  unflatten: ({ metadata, values }) => State.fromTable(metadata as Table, values)
}

/** @internal What is static of a snapshot. */
export type LeafMetadata = Omit<LeafDef, "bare">

const variableStateType = {}
const variableStateSort: TreeSort = {
  _tag: "Tree",
  name: "VariableState",
  type: variableStateType,
  flatten: (node) => {
    const { kind, metadata, mode, value } = node as State.VariableState<string, unknown>
    return { keys: ["value"], values: [value], metadata: { kind, metadata, mode } satisfies LeafMetadata }
  },
  unflatten: ({ metadata, values }) => {
    const own = metadata as LeafMetadata
    return State.variableState(own.kind, values[0], own.metadata, own.mode)
  }
}

const ownSort = (protocol: GraphProtocol<object> | TreeProtocol<object>): Sort =>
  protocol._tag === "Tree" ? { ...protocol, type: protocol } : {
    ...protocol,
    type: protocol,
    touch: () => {},
    version: protocol.version
  }

/** @internal The sort of a node; undefined for everything that is not a node. */
export const sortOf = (u: unknown): Sort | undefined => {
  if (typeof u !== "object" || u === null) return undefined
  if (Array.isArray(u)) return listSort
  if (isPlainObject(u)) return dictSort
  if (Module.isModule(u)) return moduleSort(u)
  if (State.isState(u)) return stateSort
  if (State.isVariableState(u)) return variableStateSort
  if (!Predicate.hasProperty(u, Node)) return undefined
  return ownSort(u[Node] as GraphProtocol<object> | TreeProtocol<object>)
}

/** Is it a node: something that traversals go into? */
export const isNode = (u: unknown): u is object => sortOf(u) !== undefined

/** Is it a node with identity? */
export const isGraphNode = (u: unknown): u is object => sortOf(u)?._tag === "Graph"
