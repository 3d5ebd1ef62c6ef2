/**
 * The inverse of the traversal: from a GraphDef and values to nodes and Variables. Either all of them are new, or those
 * that came from outside of a transform are the outer objects themselves, changed in place.
 */
import * as Equal from "effect/Equal"
import type { Trace } from "../Program/Trace.ts"
import { type Any as Variable, cellOf, fromDefinition, isVariable } from "../Ref/Variable.ts"
import { StructureError } from "./errors.ts"
import type { Any as GraphDef, NodeEntry, VariableEntry } from "./GraphDef.ts"
import { pathsOf } from "./layout.ts"
import { type GraphSort, isNode, sortOf, type Step } from "./Node.ts"

/** How to build. */
export interface BuildOptions {
  /** The trace that owns what is made. */
  readonly owner: Trace | undefined
  /** The objects that outer indices mean; undefined: everything is made new. */
  readonly outer?: ReadonlyArray<object>
  /** Writes an outer Variable. */
  readonly write?: (variable: Variable, value: unknown) => void
  /** Called with each outer node that is about to change, before anything does. It may throw. */
  readonly guard?: (node: object) => void
  /** For messages. */
  readonly operation?: string
  /** Objects that earlier GraphDefs of one index space have made. */
  readonly objects?: ReadonlyArray<object>
}

/** A change of an outer object. All of them are made together, at the end. */
type Change = () => void

interface Builder {
  readonly graphdef: GraphDef
  readonly values: ReadonlyArray<unknown>
  readonly options: BuildOptions
  readonly objects: Array<object>
  readonly changes: Array<Change>
  entry: number
  leaf: number
}

const nothing: unique symbol = Symbol.for("~linum/GraphDef/nothing")

/** Builds a value. `values[i]` belongs to leaf i: the value of a Variable, or an array. */
export const build = (
  graphdef: GraphDef,
  values: ReadonlyArray<unknown>,
  options: BuildOptions
): { readonly value: unknown; readonly objects: ReadonlyArray<object> } => {
  const b: Builder = { graphdef, values, options, objects: [...options.objects ?? []], changes: [], entry: 0, leaf: 0 }
  const value = next(b, nothing)
  for (const change of b.changes) change()
  return { value, objects: b.objects }
}

/** Builds what the next entry says. `before` is what an outer node has in this place, or `nothing`. */
const next = (b: Builder, before: unknown): unknown => {
  const entry = b.graphdef.entries[b.entry++]
  switch (entry._tag) {
    case "Node":
      return entry.sort._tag === "Tree"
        ? tree(b, entry, before)
        : entry.outerIndex !== undefined && b.options.outer !== undefined
        ? outerNode(b, entry, entry.sort, b.options.outer[entry.outerIndex])
        : newNode(b, entry, entry.sort)
    case "Variable":
      return variable(b, entry)
    case "Ref":
      return b.objects[entry.index] ??
        broken(b, "an object that was made before", "none", `Nothing has the GraphDef index ${entry.index}.`)
    case "Array": {
      const value = b.values[b.leaf++]
      return value === undefined && before !== nothing ? before : value
    }
    case "Static":
      return before !== nothing && Equal.equals(before, entry.value) ? before : entry.value
  }
}

/** Throws: the entry that was just read cannot be built. */
const broken = (b: Builder, expected: string, found: string, reason: string): never => {
  throw new StructureError({
    operation: b.options.operation ?? "merge",
    misfits: [{ path: pathsOf(b.graphdef.entries)[b.entry - 1], expected, found, reason }],
    hint: "GraphDefs that share an index space are merged together, each once, in the order in which they were split"
  })
}

/** An index is used once. */
const checkUnused = (b: Builder, index: number): void => {
  if (b.objects[index] !== undefined) broken(b, "a new index", `${index}`, `GraphDef index ${index} already used.`)
}

const variable = (b: Builder, entry: VariableEntry): Variable => {
  checkUnused(b, entry.index)
  const value = b.values[b.leaf++]
  const { outer, owner, write } = b.options
  if (entry.outerIndex === undefined || outer === undefined) {
    // A live Variable given as the value is the Variable itself.
    const made = isVariable(value)
      ? value
      : fromDefinition(entry, value, owner)
    b.objects[entry.index] = made
    return made
  }
  const known = outer[entry.outerIndex]
  if (!isVariable(known)) {
    const found = typeName(known)
    return broken(b, `a ${entry.kind}`, found, `Expected a Variable type for index ${entry.index}, but got ${found}.`)
  }
  b.objects[entry.index] = known
  if (value !== undefined && write !== undefined) b.changes.push(() => write(known, value))
  const cell = cellOf(known)
  if (cell.metadata !== entry.metadata && !Equal.equals(cell.metadata, entry.metadata)) {
    b.changes.push(() => {
      cell.metadata = entry.metadata
    })
  }
  return known
}

const typeName = (u: unknown): string => isVariable(u) ? u.kind : sortOf(u)?.name ?? typeof u

const newNode = (b: Builder, entry: NodeEntry, sort: GraphSort): object => {
  checkUnused(b, entry.index)
  const node = sort.create(entry.metadata, b.options.owner)
  b.objects[entry.index] = node
  for (const key of entry.keys) sort.set(node, String(key), next(b, nothing))
  return node
}

const outerNode = (b: Builder, entry: NodeEntry, sort: GraphSort, node: object | undefined): object => {
  checkUnused(b, entry.index)
  if (node === undefined || sortOf(node)?.type !== sort.type) {
    const found = typeName(node)
    return broken(
      b,
      `a ${sort.name}`,
      `a ${found}`,
      `Expected a node of type ${sort.name} for index ${entry.index}, but got a node of type ${found}.`
    )
  }
  b.objects[entry.index] = node
  const { keys, values } = sort.flatten(node)
  const before = new Map<Step, unknown>(keys.map((key, i) => [key, values[i]]))
  let changed = false
  for (const key of entry.keys) {
    const old = before.has(key) ? before.get(key) : nothing
    const now = next(b, old)
    before.delete(key)
    if (Object.is(old, now)) continue
    changed = true
    b.changes.push(() => sort.set(node, String(key), now))
  }
  for (const key of before.keys()) {
    changed = true
    b.changes.push(() => sort.remove(node, String(key)))
  }
  if (changed) {
    b.options.guard?.(node)
    b.changes.push(() => sort.touch(node))
  }
  return node
}

/** A tree node; the one that was there before, if it has the very same children. */
const tree = (b: Builder, entry: NodeEntry, before: unknown): object => {
  if (entry.sort._tag !== "Tree") throw new TypeError("a tree node was expected")
  const container = isNode(before) && sortOf(before)?.type === entry.sort.type ? before : undefined
  const previous = container === undefined ? undefined : entry.sort.flatten(container)
  const same = previous !== undefined && previous.keys.length === entry.keys.length &&
    Equal.equals(previous.keys, entry.keys) && Equal.equals(previous.metadata, entry.metadata)
  let unchanged = same
  const values = entry.keys.map((_, i) => {
    const old = same ? previous.values[i] : nothing
    const now = next(b, old)
    if (!Object.is(old, now)) unchanged = false
    return now
  })
  return unchanged && container !== undefined
    ? container
    : entry.sort.unflatten({ keys: entry.keys, values, metadata: entry.metadata })
}
