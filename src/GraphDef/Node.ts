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
import { isVariable } from "../Ref/Variable.ts"
import * as Path from "../State/Path.ts"
import * as State from "../State/State.ts"
import { type LeafDef, Table } from "../State/Table.ts"
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
 * A class that cannot become a sort of nodes, a value that is none, or a node whose keys cannot be part of a path.
 *
 * @category errors
 * @since 0.1.0
 */
export class NodeTypeError
  extends Data.TaggedError("NodeTypeError")<{ readonly type: string; readonly reason: string }>
{
  override get message(): string {
    return this.reason
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
    throw new NodeTypeError({ type: protocol.name, reason: `Node type ${protocol.name} is already registered.` })
  }
  Object.defineProperty(prototype, Node, { value: protocol })
}

/**
 * `registerNode` for nodes with identity, under Flax's name. The name is by default that of the class.
 *
 * @category constructors
 * @since 0.1.0
 */
export const registerGraphNodeType = <N extends object>(
  type: abstract new(...args: never) => N,
  protocol: Omit<GraphProtocol<N>, "_tag" | "name"> & { readonly name?: string }
): void => registerNode(type, { name: type.name, ...protocol, _tag: "Graph" })

/**
 * `registerNode` for nodes that are values, under Flax's name. The name is by default that of the class.
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 *
 * class Range {
 *   readonly bounds: readonly [low: unknown, high: unknown]
 *   constructor(low: unknown, high: unknown) {
 *     this.bounds = [low, high]
 *   }
 * }
 * nnx.GraphDef.registerPytreeNodeType(Range, {
 *   flatten: ({ bounds }) => ({ keys: ["low", "high"], values: bounds }),
 *   unflatten: ({ values }) => new Range(values[0], values[1])
 * })
 * const graphdef = Effect.runSync(nnx.graphdef(new Range(nnx.Tensor.ones([2]), 3)))
 * console.log(String(graphdef))
 * // => GraphDef Range
 * //   low: Array
 * //   high: Static(3)
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const registerPytreeNodeType = <N extends object>(
  type: abstract new(...args: never) => N,
  protocol: Omit<TreeProtocol<N>, "_tag" | "name"> & { readonly name?: string }
): void => registerNode(type, { name: type.name, ...protocol, _tag: "Tree" })

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

const moduleSort = (node: Module.Module, prototype: object = Object.getPrototypeOf(node)): GraphSort =>
  new ModuleSort(Module.moduleName(node), prototype)

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

/** @internal The sorts of nodes that are there without being registered, by their names. */
export const builtIn: Readonly<Record<string, TreeSort>> = {
  List: listSort,
  Dict: dictSort,
  State: stateSort,
  VariableState: variableStateSort
}

/** Keys of users' nodes: numbers count as positions, everything else but strings is refused. */
const asStep = (name: string, key: unknown): Step => {
  if (typeof key === "string") return key
  if (typeof key === "number") return String(key)
  if (Array.isArray(key) && key.length > 0 && key.every((k) => typeof k === "string")) return key
  throw new NodeTypeError({
    type: name,
    reason:
      `Invalid key: ${String(key)} of a ${name}. May be due to its type not being comparable: keys are strings, ` +
      `or numbers for positions.`
  })
}

const ownSort = (protocol: GraphProtocol<object> | TreeProtocol<object>): Sort => {
  const flatten = (node: object): Parts => {
    const parts = protocol.flatten(node)
    return parts.keys.every((key) => typeof key === "string")
      ? parts
      : { ...parts, keys: parts.keys.map((key) => asStep(protocol.name, key)) }
  }
  return protocol._tag === "Tree"
    ? { ...protocol, flatten, type: protocol }
    : { ...protocol, flatten, type: protocol, touch: () => {}, version: protocol.version }
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

/** What traversals know of a class of nodes: how to take one apart, and how to make one. */
export type NodeImpl = Sort

/** The protocol of a node. Throws a `NodeTypeError` for what is none: Variables and static values. */
export const getNodeImpl = (u: unknown): NodeImpl => {
  const sort = isVariable(u) ? undefined : sortOf(u)
  if (sort !== undefined) return sort
  throw isVariable(u)
    ? new NodeTypeError({ type: u.kind, reason: `Variable is not a node: ${String(u)}` })
    : new NodeTypeError({ type: typeof u, reason: `Unknown node type: ${String(u)}` })
}

/** A class, whatever its constructor takes. */
type Class = abstract new(...args: never) => object

const implForType = (type: Class): NodeImpl | undefined => {
  if (type === Array) return listSort
  if (type === Object) return dictSort
  const prototype: unknown = type.prototype
  if (Module.isModule(prototype)) return moduleSort(prototype, prototype)
  return Predicate.hasProperty(prototype, Node)
    ? ownSort(prototype[Node] as GraphProtocol<object> | TreeProtocol<object>)
    : undefined
}

/**
 * Are the instances of a class nodes? `Array` stands for lists, `Object` for plain objects, and Modules are nodes by
 * being Modules.
 */
export const isNodeType = (type: Class): boolean => implForType(type) !== undefined

/** The protocol of the instances of a class. Throws a `NodeTypeError` if they are no nodes. */
export const getNodeImplForType = (type: Class): NodeImpl => {
  const sort = implForType(type)
  if (sort !== undefined) return sort
  throw new NodeTypeError({ type: type.name, reason: `Unknown node type: ${type.name}` })
}

/** The children of a node by their keys; those of a State by their paths, with `/` between the keys. */
export const nodeDict = (node: object): Readonly<Record<string, unknown>> => {
  const { keys, values } = getNodeImpl(node).flatten(node)
  return Object.fromEntries(keys.map((key, i) => [typeof key === "string" ? key : key.join("/"), values[i]]))
}
