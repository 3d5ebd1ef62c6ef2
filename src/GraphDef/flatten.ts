/**
 * The traversal: from a value to its GraphDef, its leaves and its objects. Depth first, attributes in sorted order;
 * everything else in this room is built on this order.
 */
import { type Hidden, hiddenOf, isModule, settleFields } from "../Ref/Module.ts"
import {
  type Any as Variable,
  arrayRefOf,
  cellOf,
  isVariable,
  type Metadata,
  type VariableCell
} from "../Ref/Variable.ts"
import type { Path } from "../State/Path.ts"
import { isTensor, type Tensor } from "../Tensor/Tensor.ts"
import { AliasError, StructureError } from "./errors.ts"
import { type Any as GraphDef, type Entry, fromEntries } from "./GraphDef.ts"
import { type GraphSort, isStatic, type Sort, sortOf } from "./Node.ts"

/** Where arrays are: in a Variable, or by themselves. */
export type Leaf =
  | { readonly _tag: "Variable"; readonly variable: Variable; readonly path: Path }
  | { readonly _tag: "Array"; readonly tensor: Tensor; readonly path: Path }

/** What must still hold for a traversal to be right: no node has changed its fields, no Variable its metadata. */
export interface Guards {
  readonly modules: Array<Hidden>
  readonly versions: Array<number>
  /** Nodes that are not Modules, but count their changes. */
  readonly others: Array<{ readonly node: object; readonly sort: GraphSort; readonly version: number }>
  readonly variables: Array<VariableCell>
  readonly metadata: Array<Metadata>
}

/** An array ref that is at two places, by itself or as the storage of a Variable. */
export interface SharedRef {
  readonly ref: Variable
  readonly paths: readonly [Path, Path]
  /** Is it one object (the array ref itself) at both? Then it stays one when the value is split and merged. */
  readonly same: boolean
}

/** A value taken apart. */
export interface Flat {
  readonly graphdef: GraphDef
  readonly leaves: ReadonlyArray<Leaf>
  /** Nodes with identity, and Variables, by index. */
  readonly objects: ReadonlyArray<object>
  /** The leaves that are arrays outside of all graph nodes. */
  readonly surface: ReadonlyArray<number>
  /** Undefined if something in the value does not tell when it changes. */
  readonly guards: Guards | undefined
  readonly shared: ReadonlyArray<SharedRef>
}

/** @internal The state of one traversal. */
export interface Walk {
  readonly entries: Array<Entry>
  readonly leaves: Array<Leaf>
  readonly surface: Array<number>
  readonly objects: Array<object>
  readonly indices: Map<object, number>
  readonly outer: ReadonlyMap<object, number> | undefined
  readonly guards: Guards
  guarded: boolean
  /** Where array refs are, and those that are at two places. */
  readonly refs: Map<Variable, Path>
  readonly shared: Array<SharedRef>
  /** The tree nodes around the current place, up to the next graph node, to find one that holds itself. */
  around: Set<object>
}

/** Where things are that earlier traversals have met. */
const earlier: Path = ["(an earlier value)"]

/** @internal A traversal that begins; `objects` have been numbered by earlier ones. */
export const walk = (outer?: ReadonlyArray<object>, objects: ReadonlyArray<object> = []): Walk => ({
  entries: [],
  leaves: [],
  surface: [],
  objects: [...objects],
  indices: new Map(objects.map((o, i) => [o, i])),
  outer: outer === undefined ? undefined : new Map(outer.map((o, i) => [o, i])),
  guards: { modules: [], versions: [], others: [], variables: [], metadata: [] },
  guarded: true,
  refs: new Map(objects.flatMap((o) => {
    const ref = isVariable(o) ? arrayRefOf(o) : undefined
    return ref === undefined ? [] : [[ref, earlier] as const]
  })),
  shared: [],
  around: new Set()
})

/** @internal Goes through a value. `within`: are we inside of a graph node? */
export const visit = (w: Walk, value: unknown, path: Path, within: boolean): void => {
  if (typeof value !== "object" || value === null) {
    w.entries.push({ _tag: "Static", value })
  } else if (isTensor(value)) {
    w.entries.push({ _tag: "Array" })
    if (!within) w.surface.push(w.leaves.length)
    w.leaves.push({ _tag: "Array", tensor: value, path })
  } else if (isVariable(value)) {
    visitVariable(w, value, path)
  } else {
    const sort = sortOf(value)
    if (sort === undefined) visitStatic(w, value, path)
    else if (sort._tag === "Graph") visitGraphNode(w, value, sort, path)
    else visitTree(w, value, sort, path, within)
  }
}

/** What an object that is no node holds: its own fields, or its elements. */
const heldBy = (value: object): Iterable<unknown> =>
  value instanceof Map ? [...value.keys(), ...value.values()] : value instanceof Set ? value : Object.values(value)

/**
 * A static value must not hide what would be a leaf: it would be a constant of compiled code, and never trained or
 * saved.
 */
const visitStatic = (w: Walk, value: object, path: Path): void => {
  w.entries.push({ _tag: "Static", value })
  if (isStatic(value)) return
  if (ArrayBuffer.isView(value)) {
    throw new StructureError({
      operation: "flatten",
      misfits: [{
        path,
        expected: "a Tensor",
        found: `a ${nameOf(value)}`,
        reason: `Arrays leaves are not supported, at '${path.join("/")}': ${nameOf(value)}(${value.byteLength} bytes)`
      }],
      hint: "make it an array with Tensor.array: numbers that change are no part of a structure"
    })
  }
  for (const inner of heldBy(value)) {
    const what = isTensor(inner)
      ? "an array"
      : isVariable(inner)
      ? "a Variable"
      : isModule(inner)
      ? "a Module"
      : undefined
    if (what === undefined) continue
    throw new StructureError({
      operation: "flatten",
      misfits: [{
        path,
        expected: "a Module, an array or a plain object",
        found: `${nameOf(value)} that holds ${what}`
      }],
      hint: "make its class a node with GraphDef.registerNode, or wrap it in GraphDef.Static to take it as one constant"
    })
  }
}

const nameOf = (value: object): string =>
  "_tag" in value && typeof value._tag === "string" ? value._tag : value.constructor?.name ?? "an object"

const number = (w: Walk, object: object): number => {
  const index = w.objects.length
  w.indices.set(object, index)
  w.objects.push(object)
  return index
}

const noteRef = (w: Walk, ref: Variable, path: Path, same: boolean): void => {
  const before = w.refs.get(ref)
  if (before === undefined) w.refs.set(ref, path)
  else w.shared.push({ ref, paths: [before, path], same })
}

const visitVariable = (w: Walk, variable: Variable, path: Path): void => {
  const known = w.indices.get(variable)
  const ref = arrayRefOf(variable)
  if (known !== undefined) {
    w.entries.push({ _tag: "Ref", index: known })
    if (ref === variable) noteRef(w, ref, path, true)
    return
  }
  if (ref !== undefined) noteRef(w, ref, variable === ref ? path : path.concat("value"), false)
  const { hooks, kind, metadata, mode } = cellOf(variable)
  const index = number(w, variable)
  const outerIndex = w.outer?.get(variable)
  w.entries.push({ _tag: "Variable", index, kind, metadata, hooks, mode, outerIndex })
  w.leaves.push({ _tag: "Variable", variable, path })
  w.guards.variables.push(cellOf(variable))
  w.guards.metadata.push(metadata)
}

const visitGraphNode = (w: Walk, node: object, sort: GraphSort, path: Path): void => {
  const known = w.indices.get(node)
  if (known !== undefined) {
    w.entries.push({ _tag: "Ref", index: known })
    return
  }
  const index = number(w, node)
  if (isModule(node)) {
    const hidden = hiddenOf(node)
    settleFields(node, hidden)
    w.guards.modules.push(hidden)
    w.guards.versions.push(hidden.version)
  } else if (sort.version !== undefined) {
    w.guards.others.push({ node, sort, version: sort.version(node) })
  } else {
    w.guarded = false
  }
  const around = w.around
  w.around = new Set()
  children(w, node, sort, path, index, true)
  w.around = around
}

const visitTree = (w: Walk, node: object, sort: Sort, path: Path, within: boolean): void => {
  if (w.around.has(node)) {
    throw new AliasError({
      operation: "flatten",
      what: `${sort.name} that holds itself`,
      paths: [path],
      hint: "cycles go through Modules; plain arrays and objects are values and cannot hold themselves"
    })
  }
  // A class may have put a container into a field behind its constructor's back; it must not change from now on.
  if (within && !Object.isFrozen(node) && (Array.isArray(node) || sort.name === "Dict")) Object.freeze(node)
  w.around.add(node)
  children(w, node, sort, path, -1, within)
  w.around.delete(node)
}

const children = (w: Walk, node: object, sort: Sort, path: Path, index: number, within: boolean): void => {
  const { keys, metadata, values } = sort.flatten(node)
  const outerIndex = index < 0 ? undefined : w.outer?.get(node)
  w.entries.push({ _tag: "Node", sort, index, keys, metadata, outerIndex })
  for (let i = 0; i < keys.length; i++) visit(w, values[i], path.concat(keys[i]), within)
}

/** @internal Ends a traversal. */
export const finish = (w: Walk): Flat => ({
  graphdef: fromEntries(w.entries),
  leaves: w.leaves,
  surface: w.surface,
  objects: w.objects,
  guards: w.guarded ? w.guards : undefined,
  shared: w.shared
})

/**
 * Takes a value apart. Objects of `outer` are marked with their position there.
 *
 * @internal
 */
export const flatten = (value: unknown, outer?: ReadonlyArray<object>): Flat => {
  const w = walk(outer)
  visit(w, value, [], false)
  return finish(w)
}

/** @internal Does a traversal still hold? */
export const stillHolds = ({ metadata, modules, others, variables, versions }: Guards): boolean => {
  for (let i = 0; i < modules.length; i++) if (modules[i].version !== versions[i]) return false
  for (let i = 0; i < variables.length; i++) if (variables[i].metadata !== metadata[i]) return false
  for (const { node, sort, version } of others) if (sort.version?.(node) !== version) return false
  return true
}
