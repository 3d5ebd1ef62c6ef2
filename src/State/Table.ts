/**
 * Tables: the static half of a State. A State is a table and a list of values; the table says at which paths the values
 * are and of which kinds. Tables are immutable and shared: every State that one model gives has the very same table, so
 * that writing it back needs no search.
 */
import * as Equal from "effect/Equal"
import * as Hash from "effect/Hash"
import { defaultMode, type Mode } from "../Ref/modes.ts"
import type { Metadata } from "../Ref/Variable.ts"
import * as Path from "./Path.ts"

/** What a State knows of a leaf besides its value. */
export interface LeafDef {
  /** The Variable's kind; `Array` for a bare array. */
  readonly kind: string
  readonly metadata: Metadata
  /** The Variable's mode, if it is known. */
  readonly mode?: Mode | undefined
  /** Is the leaf an array that stands in a field by itself, without a Variable around it? */
  readonly bare: boolean
}

/** The kind that bare arrays count as. */
export const bareKind = "Array"

/** The definition of a bare array. */
export const bareDef: LeafDef = { kind: bareKind, metadata: {}, bare: true }

/** The mode of a leaf. */
export const modeAt = (def: LeafDef): Mode => def.mode ?? defaultMode

/** What stands at one key: a leaf by its position, or leaves from a position to another (exclusive). */
export type Child =
  | { readonly _tag: "Leaf"; readonly key: Path.Key; readonly at: number }
  | { readonly _tag: "Branch"; readonly key: Path.Key; readonly from: number; readonly to: number }

/** Paths in order, and what stands there. No path goes on from another. */
export class Table implements Equal.Equal {
  readonly paths: ReadonlyArray<Path.Path>
  readonly defs: ReadonlyArray<LeafDef>
  #positions: Map<string, number> | undefined
  #children: ReadonlyArray<Child> | undefined
  readonly #branches = new Map<Path.Key, Table>()
  #hash: number | undefined
  /** The table that this one was picked from, and the positions there. */
  readonly source: { readonly table: Table; readonly positions: ReadonlyArray<number> } | undefined
  /** Kept by `partition`. */
  partitions: ReadonlyArray<unknown> = []
  /** The prototype of States with this table, made by `State`. */
  prototype: object | undefined

  constructor(paths: ReadonlyArray<Path.Path>, defs: ReadonlyArray<LeafDef>, source?: Table["source"]) {
    this.paths = paths
    this.defs = defs
    this.source = source
  }

  /** The position of a path, or undefined. */
  position(path: Path.Path): number | undefined {
    this.#positions ??= new Map(this.paths.map((p, i) => [Path.toKey(p), i]))
    return this.#positions.get(Path.toKey(path))
  }

  /** What stands directly below the root, in order. */
  get children(): ReadonlyArray<Child> {
    this.#children ??= childrenOf(this.paths)
    return this.#children
  }

  /** The table of the leaves below a key. */
  branch(child: Extract<Child, { _tag: "Branch" }>): Table {
    const known = this.#branches.get(child.key)
    if (known !== undefined) return known
    const paths = this.paths.slice(child.from, child.to).map((p) => p.slice(1))
    const table = new Table(paths, this.defs.slice(child.from, child.to))
    this.#branches.set(child.key, table)
    return table
  }

  /** The table with the leaves at some positions only. */
  pick(positions: ReadonlyArray<number>): Table {
    const source = this.source === undefined
      ? { table: this, positions }
      : { table: this.source.table, positions: positions.map((i) => this.source?.positions[i] ?? 0) }
    return new Table(positions.map((i) => this.paths[i]), positions.map((i) => this.defs[i]), source)
  }

  [Equal.symbol](that: unknown): boolean {
    return that instanceof Table && equals(this, that)
  }

  [Hash.symbol](): number {
    return this.hash
  }

  /** Of paths and kinds. */
  get hash(): number {
    this.#hash ??= Hash.array(
      this.paths.map((p, i) => Hash.combine(Hash.string(Path.toKey(p)), Hash.string(this.defs[i].kind)))
    )
    return this.#hash
  }
}

const childrenOf = (paths: ReadonlyArray<Path.Path>): ReadonlyArray<Child> => {
  const children: Array<Child> = []
  for (let from = 0; from < paths.length;) {
    const path = paths[from]
    if (path.length === 0) return []
    const key = path[0]
    if (path.length === 1) {
      children.push({ _tag: "Leaf", key, at: from++ })
      continue
    }
    let to = from + 1
    while (to < paths.length && paths[to][0] === key) to++
    children.push({ _tag: "Branch", key, from, to })
    from = to
  }
  return children
}

/** The table with other modes: `immutable`. */
export const mapModes = (self: Table, f: (mode: Mode) => Mode): Table =>
  new Table(self.paths, self.defs.map((def) => def.bare ? def : { ...def, mode: f(modeAt(def)) }))

/** Same kind, metadata and mode? */
export const sameDef = (a: LeafDef, b: LeafDef): boolean =>
  a === b ||
  (a.kind === b.kind && a.bare === b.bare && modeAt(a) === modeAt(b) &&
    (a.metadata === b.metadata || Equal.equals(a.metadata, b.metadata)))

/** Same paths, kinds, metadata and modes? */
export const equals = (a: Table, b: Table): boolean =>
  a === b || (a.paths.length === b.paths.length && a.hash === b.hash &&
    a.paths.every((p, i) => Path.equals(p, b.paths[i]) && sameDef(a.defs[i], b.defs[i])))
