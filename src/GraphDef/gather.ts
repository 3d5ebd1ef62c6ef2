/**
 * States against a structure: which value each leaf gets, and everything that does not fit. Paths may go through a
 * shared node by any of its names, and Variables may be given as snapshots, as live Variables or as bare values.
 */
import { readCell } from "../Program/Trace.ts"
import type { Mode } from "../Ref/modes.ts"
import { type Any as Variable, cellOf, isVariable, type Metadata } from "../Ref/Variable.ts"
import type { Path } from "../State/Path.ts"
import * as PathModule from "../State/Path.ts"
import * as State from "../State/State.ts"
import type { LeafDef, Table } from "../State/Table.ts"
import * as Shape from "../Tensor/Shape.ts"
import * as ShapedArray from "../Tensor/ShapedArray.ts"
import { isTensor, type Tensor } from "../Tensor/Tensor.ts"
import * as Tree from "../Tensor/Tree.ts"
import { AliasError, type Misfit, StructureError } from "./errors.ts"
import type { Any as GraphDef, NodeEntry } from "./GraphDef.ts"
import type { Place } from "./layout.ts"

/** What `merge` and `update` take: States, snapshots, or nested plain objects of arrays. */
export type StateLike = State.Any | State.VariableState<string, unknown> | object

/** Values for leaves. */
export interface Gathered {
  /** A value for each leaf, or `missing`. */
  readonly values: Array<unknown>
  /** Metadata that came with a leaf and is not what the structure has. */
  readonly metadata: Map<number, Metadata>
  /** The same of modes. */
  readonly modes: Map<number, Mode>
  readonly misfits: Array<Misfit>
  /** Variables for keys that a node with identity does not have. */
  readonly additions: Array<Addition>
}

/** A Variable, or the snapshot of one, for a key that a node does not have. */
export interface Addition {
  readonly path: Path
  /** The index of the node. */
  readonly node: number
  readonly key: string
  readonly given: Variable | State.VariableState<string, unknown>
}

/** No value was given. */
export const missing: unique symbol = Symbol.for("~linum/GraphDef/missing")

interface Gathering extends Gathered {
  readonly operation: string
  readonly graphdef: GraphDef
  readonly table: Table
  /** The path by which a leaf was given. */
  readonly givenAt: Array<Path | undefined>
}

/** Sorts the leaves of States to the leaves of a structure. Later States count over earlier ones. */
export const gather = (operation: string, graphdef: GraphDef, states: ReadonlyArray<StateLike>): Gathered => {
  const { table } = graphdef.layout
  const size = table.paths.length
  const direct = states.length === 1 && State.isState(states[0]) ? State.inside(states[0]) : undefined
  if (direct?.table === table) {
    return { values: direct.values.slice(), metadata: new Map(), modes: new Map(), misfits: [], additions: [] }
  }
  const g: Gathering = {
    operation,
    graphdef,
    table,
    values: Array.from({ length: size }, () => missing),
    metadata: new Map(),
    modes: new Map(),
    misfits: [],
    additions: [],
    givenAt: []
  }
  for (const state of states) {
    g.givenAt.length = 0
    if (State.isState(state)) gatherState(g, state)
    else gatherTree(g, state, [])
  }
  return g
}

const gatherState = (g: Gathering, state: State.Any): void => {
  const { table, values } = State.inside(state)
  if (table.source?.table === g.table) {
    table.source.positions.forEach((leaf, i) => {
      g.values[leaf] = values[i]
    })
    return
  }
  table.paths.forEach((path, i) => {
    const def = table.defs[i]
    if (def.bare) {
      gatherTree(g, values[i], path)
    } else {
      const place = g.graphdef.layout.resolve(path)
      if (place._tag === "Leaf") give(g, place.leaf, path, values[i], def)
      else unknown(g, path, isVariable(values[i]) ? values[i] : leafOf(def, values[i]), place)
    }
  })
}

/** Bare values: as deep as plain objects go, until a path is that of a leaf. */
const gatherTree = (g: Gathering, value: unknown, path: Path): void => {
  const place = g.graphdef.layout.resolve(path)
  if (place._tag === "Leaf") {
    if (State.isVariableState(value)) give(g, place.leaf, path, value.value, value)
    else if (isVariable(value)) give(g, place.leaf, path, value, cellOf(value))
    else give(g, place.leaf, path, value, undefined)
  } else if (Array.isArray(value)) {
    value.forEach((item, i) => gatherTree(g, item, [...path, String(i)]))
  } else if (Tree.isPlainObject(value)) {
    for (const key of Object.keys(value)) gatherTree(g, value[key], [...path, key])
  } else if (State.isState(value)) {
    for (const [below, leaf] of State.toEntries(value)) gatherTree(g, leaf, [...path, ...below])
  } else {
    unknown(g, path, value, place)
  }
}

const leafOf = (def: LeafDef, value: unknown): State.VariableState<string, unknown> =>
  State.variableState(def.kind, value, def.metadata, def.mode)

const give = (
  g: Gathering,
  leaf: number,
  path: Path,
  value: unknown,
  given: Omit<LeafDef, "bare"> | undefined
): void => {
  const [def, before] = [g.table.defs[leaf], g.givenAt[leaf]]
  if (before !== undefined && !PathModule.equals(before, path) && g.values[leaf] !== value) {
    throw new AliasError({
      operation: g.operation,
      what: `Variable (${def.kind})`,
      paths: [before, path],
      hint: "the model shares it between these paths, so it can have one value only; give it at one of them"
    })
  }
  if (given !== undefined && !def.bare && given.kind !== def.kind) {
    g.misfits.push({ path, expected: `a ${def.kind}`, found: `a ${given.kind}` })
    return
  }
  g.givenAt[leaf] = path
  g.values[leaf] = value
  if (given !== undefined && given.metadata !== def.metadata && !def.bare) g.metadata.set(leaf, given.metadata)
  else g.metadata.delete(leaf)
  if (given?.mode !== undefined && given.mode !== def.mode && !def.bare) g.modes.set(leaf, given.mode)
  else g.modes.delete(leaf)
}

/** A value where the structure has no leaf: a new Variable for a node, if it is one and `update` runs, or a misfit. */
const unknown = (g: Gathering, path: Path, value: unknown, place: Place): void => {
  const nowhere = place._tag === "Nowhere" && path.length > 0
  const parent = nowhere ? nodeAt(g.graphdef, path.slice(0, -1)) : undefined
  const key = path[path.length - 1]
  if (g.operation === "update" && parent !== undefined && parent.index >= 0) {
    if (State.isVariableState(value) || isVariable(value)) {
      const before = g.additions.findIndex((a) => a.node === parent.index && a.key === key)
      if (before >= 0) g.additions.splice(before, 1)
      g.additions.push({ path, node: parent.index, key, given: value })
      return
    }
  }
  g.misfits.push({ path, found: describe(value), ...problem(g, path, value, place, parent) })
}

const problem = (
  g: Gathering,
  path: Path,
  value: unknown,
  place: Place,
  parent: NodeEntry | undefined
): Omit<Misfit, "path" | "found"> => {
  const key = path[path.length - 1]
  const updates = g.operation === "update"
  const found = describe(value)
  if (place._tag === "Static") {
    const reason = updates
      ? `Trying to update a non-Variable attribute '${key}' with a Variable: ${found}`
      : `Got state for static field '${key}', this is not supported.`
    return { expected: "no value: the field is static", reason }
  }
  if (place._tag === "Inner") {
    const entry = g.graphdef.entries[place.entry]
    const name = entry._tag === "Node" ? entry.sort.name : "a node"
    const reason = updates
      ? `Expected a subgraph for '${key}', but got: ${found}`
      : `Expected value of type ${name} for '${key}', but got ${found}`
    return { expected: `the values of a ${name}`, reason }
  }
  const expected = "no value: the model has nothing at this path"
  if (updates && parent !== undefined) {
    return {
      expected,
      reason: parent.index < 0
        ? `Cannot set key '${key}' on immutable node of type ${parent.sort.name}`
        : `A new key needs a Variable or a snapshot of one, which say its kind.`
    }
  }
  return { expected, reason: `Unknown keys: {'${firstUnknown(g.graphdef, path)}'}` }
}

const nodeAt = (graphdef: GraphDef, path: Path): NodeEntry | undefined => {
  const place = graphdef.layout.resolve(path)
  const entry = place._tag === "Inner" ? graphdef.entries[place.entry] : undefined
  return entry?._tag === "Node" ? entry : undefined
}

/** The first key on a path that the structure does not have. */
const firstUnknown = (graphdef: GraphDef, path: Path): string => {
  const at = path.findIndex((_, i) => graphdef.layout.resolve(path.slice(0, i + 1))._tag === "Nowhere")
  return path[Math.max(at, 0)] ?? ""
}

/** Throws a `StructureError` of all misfits, if there are any. */
export const checkMisfits = (operation: string, gathered: Gathered, hint: string): void => {
  if (gathered.misfits.length > 0) throw new StructureError({ operation, misfits: gathered.misfits, hint })
}

/** Adds a misfit for each leaf that got no value. */
export const requireAll = (g: Gathered, graphdef: GraphDef): void => {
  const { table } = graphdef.layout
  g.values.forEach((value, i) => {
    if (value !== missing) return
    const path = table.paths[i]
    const parent = graphdef.layout.parent(path)
    const node = parent === undefined ? undefined : graphdef.entries[parent.entry]
    const reason = node?._tag === "Node"
      ? { reason: `Expected key '${parent?.key}' in state while building node of type ${node.sort.name}.` }
      : {}
    g.misfits.push({ path, expected: expectation(table, i), found: "nothing", ...reason })
  })
}

const expectation = (table: Table, leaf: number): string =>
  table.defs[leaf].bare ? "an array" : `a ${table.defs[leaf].kind}`

/** For messages: `f32[2,3]`, `{a: f32[]}`. */
export const describe = (value: unknown): string => {
  if (isTensor(value)) return ShapedArray.format(value.aval)
  if (isVariable(value)) return describe(cellOf(value).raw)
  if (State.isVariableState(value)) return describe(value.value)
  if (Array.isArray(value)) return `[${value.map(describe).join(", ")}]`
  if (Tree.isPlainObject(value)) return `{${Object.keys(value).map((k) => `${k}: ${describe(value[k])}`).join(", ")}}`
  return typeof value === "function" ? "a function" : String(value)
}

// A thousand values are looked at in a step, and nearly all are single arrays: a plain load of their mark tells it
// fastest.
const isArray = (u: unknown): u is Tensor =>
  typeof u === "object" && u !== null && (u as Partial<Tensor>)["~linum/Tensor"] !== undefined

/** The value of a live Variable; other values as they are. */
export const unwrap = (given: unknown): unknown =>
  isArray(given) || !isVariable(given) ? given : readCell(cellOf(given))

/**
 * Does a new value fit where an old one is? Arrays must have its shape and dtype. Trees of arrays may change their
 * structure, but an array does not become a tree, nor a tree an array.
 */
export const fits = (before: unknown, after: unknown): boolean => {
  if (isArray(before)) return isArray(after) && sameAval(before.aval, after.aval)
  if (isArray(after)) return false
  const x = Tree.flatten(before)
  const y = Tree.flatten(after)
  return !Tree.sameStructure(x.structure, y.structure) || x.leaves.every((t, i) => sameAval(t.aval, y.leaves[i].aval))
}

const sameAval = (a: ShapedArray.ShapedArray, b: ShapedArray.ShapedArray): boolean =>
  a === b || (a.dtype === b.dtype && Shape.equals(a.shape, b.shape))
