/**
 * Where things are in a GraphDef: the paths of its leaves as a table, and from a path (also one that goes through a
 * shared node by its second name) to the leaf that it means.
 */
import type { Path } from "../State/Path.ts"
import { bareDef, type LeafDef, Table } from "../State/Table.ts"
import type { Entry } from "./GraphDef.ts"
import type { Step } from "./Node.ts"

/** What a path leads to: a leaf, something on the way to leaves, or nothing. */
export type Place =
  | { readonly _tag: "Leaf"; readonly leaf: number }
  | { readonly _tag: "Inner"; readonly entry: number }
  | { readonly _tag: "Static" }
  | { readonly _tag: "Nowhere" }

/** What a GraphDef's entries say about paths. */
export class Layout {
  /** Paths, kinds and metadata of the leaves. */
  readonly table: Table
  readonly #entries: ReadonlyArray<Entry>
  /** The positions of an entry's children. */
  readonly #children: ReadonlyArray<ReadonlyArray<number>>
  /** The position of the entry that an index belongs to. */
  readonly #home: ReadonlyMap<number, number>
  /** The number of the leaf that an entry is. */
  readonly #leaf: ReadonlyMap<number, number>
  /** For each leaf, is it below a node with identity? */
  readonly owned: ReadonlyArray<boolean>

  constructor(entries: ReadonlyArray<Entry>) {
    const paths: Array<Path> = []
    const defs: Array<LeafDef> = []
    const owned: Array<boolean> = []
    const children: Array<Array<number>> = entries.map(() => [])
    const home = new Map<number, number>()
    const leaf = new Map<number, number>()
    let next = 0
    const go = (path: Path, within: boolean): number => {
      const at = next++
      const e = entries[at]
      if (e._tag === "Node") {
        if (e.index >= 0) home.set(e.index, at)
        for (const key of e.keys) children[at].push(go(path.concat(key), within || e.index >= 0))
      } else if (e._tag === "Variable" || e._tag === "Array") {
        if (e._tag === "Variable") home.set(e.index, at)
        leaf.set(at, paths.length)
        paths.push(path)
        owned.push(within)
        defs.push(e._tag === "Array" ? bareDef : { kind: e.kind, metadata: e.metadata, mode: e.mode, bare: false })
      }
      return at
    }
    if (entries.length > 0) go([], false)
    this.table = new Table(paths, defs)
    this.owned = owned
    this.#entries = entries
    this.#children = children
    this.#home = home
    this.#leaf = leaf
  }

  /** Follows a path from the root. */
  resolve(path: Path): Place {
    let at = this.#follow(0)
    let used = 0
    while (at !== undefined) {
      const e: Entry = this.#entries[at]
      if (used === path.length) return this.#place(at, e)
      if (e._tag !== "Node") return { _tag: "Nowhere" }
      const i = e.keys.findIndex((key) => startsAt(path, used, key))
      if (i < 0) return { _tag: "Nowhere" }
      used += stepLength(e.keys[i])
      at = this.#follow(this.#children[at][i])
    }
    return { _tag: "Nowhere" }
  }

  /** The node that holds what is at a path, by the position of its entry, and the key there. */
  parent(path: Path): { readonly entry: number; readonly key: string } | undefined {
    for (let used = path.length - 1; used >= 0; used--) {
      const place = this.resolve(path.slice(0, used))
      if (place._tag === "Inner") return { entry: place.entry, key: path.slice(used).join("/") }
    }
    return undefined
  }

  #follow(at: number): number | undefined {
    const e = this.#entries[at]
    return e._tag === "Ref" ? this.#home.get(e.index) : at
  }

  #place(at: number, e: Entry): Place {
    if (e._tag === "Static") return { _tag: "Static" }
    const leaf = this.#leaf.get(at)
    return leaf === undefined ? { _tag: "Inner", entry: at } : { _tag: "Leaf", leaf }
  }
}

const stepLength = (step: Step): number => typeof step === "string" ? 1 : step.length

const startsAt = (path: Path, from: number, step: Step): boolean =>
  typeof step === "string" ? path[from] === step : step.every((key, i) => path[from + i] === key)

/** The path of each entry. */
export const pathsOf = (entries: ReadonlyArray<Entry>): ReadonlyArray<Path> => {
  const paths: Array<Path> = []
  const go = (path: Path): void => {
    const e = entries[paths.length]
    paths.push(path)
    if (e?._tag === "Node") { for (const key of e.keys) go(path.concat(key)) }
  }
  go([])
  return paths
}
