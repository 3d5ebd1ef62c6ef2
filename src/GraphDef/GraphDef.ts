/**
 * GraphDef: the structure of a value (a model, or the arguments of a function) without its arrays. It is flat: the list
 * of what a depth-first traversal meets, in order, with attributes sorted.
 *
 * Nodes with identity and Variables are numbered as they are met (their *index*); met again they are a `Ref` to the
 * number. So sharing and cycles are part of the structure, and a GraphDef is a plain immutable value: it prints, hashes
 * and compares, and is the key of compilation caches.
 *
 * In a GraphDef made inside of a transform, an object that came in from outside also has an *outer index*: its number
 * in the traversal at the entry. See `updateContext.ts`.
 */
import * as Equal from "effect/Equal"
import * as Hash from "effect/Hash"
import * as Inspectable from "effect/Inspectable"
import * as Pipeable from "effect/Pipeable"
import * as Predicate from "effect/Predicate"
import type { Mode } from "../Ref/modes.ts"
import type { Hooks, Metadata } from "../Ref/Variable.ts"
import type { Caller } from "./call.ts"
import type { StateLike } from "./gather.ts"
import { Layout } from "./layout.ts"
import type { Sort, Step } from "./Node.ts"
import { printGraphDef } from "./print.ts"

const TypeId = "~linum/GraphDef"

/** A node; its children follow, one for each key. Nodes without identity have the index -1. */
export interface NodeEntry {
  readonly _tag: "Node"
  readonly sort: Sort
  readonly index: number
  readonly keys: ReadonlyArray<Step>
  readonly metadata: unknown
  readonly outerIndex: number | undefined
}

/** A Variable: one leaf. */
export interface VariableEntry {
  readonly _tag: "Variable"
  readonly index: number
  readonly kind: string
  readonly metadata: Metadata
  readonly hooks: Hooks
  readonly mode: Mode
  readonly outerIndex: number | undefined
}

/** A node or a Variable that was met before. */
export interface RefEntry {
  readonly _tag: "Ref"
  readonly index: number
}

/** An array by itself: one leaf. */
export interface ArrayEntry {
  readonly _tag: "Array"
}

/** A static value. */
export interface StaticEntry {
  readonly _tag: "Static"
  readonly value: unknown
}

/** What a traversal meets. */
export type Entry = NodeEntry | VariableEntry | RefEntry | ArrayEntry | StaticEntry

/**
 * The structure of an `A`.
 *
 * @category models
 * @since 0.1.0
 */
export interface GraphDef<out A> extends Pipeable.Pipeable, Inspectable.Inspectable, Equal.Equal {
  readonly [TypeId]: { readonly _A: (_: never) => A }
  readonly entries: ReadonlyArray<Entry>
  /** How many Variables and arrays there are. */
  readonly leaves: number
  /** The methods of the model that this GraphDef and States describe, as `call` gives them. */
  readonly apply: <M>(this: GraphDef<M>, ...states: ReadonlyArray<StateLike>) => Caller<M>
  /** @internal */
  readonly layout: Layout
}

/** Any GraphDef. */
export type Any = GraphDef<unknown>

class GraphDefImpl {
  readonly [TypeId]: { readonly _A: (_: never) => never } = { _A: (_: never) => _ }
  readonly entries: ReadonlyArray<Entry>
  readonly leaves: number
  hash: number | undefined
  #layout: Layout | undefined
  constructor(entries: ReadonlyArray<Entry>) {
    this.entries = entries
    this.leaves = entries.reduce((n, e) => e._tag === "Variable" || e._tag === "Array" ? n + 1 : n, 0)
  }
  get layout(): Layout {
    this.#layout ??= new Layout(this.entries)
    return this.#layout
  }
}

Object.assign(GraphDefImpl.prototype, Inspectable.BaseProto, Pipeable.Prototype, {
  [Equal.symbol](this: Any, that: unknown): boolean {
    return isGraphDef(that) && equals(this, that)
  },
  [Hash.symbol](this: GraphDefImpl): number {
    this.hash ??= Hash.array(this.entries.map(hashEntry))
    return this.hash
  },
  toString(this: Any): string {
    return printGraphDef(this)
  },
  toJSON(this: Any) {
    return { _id: "GraphDef", structure: printGraphDef(this) }
  },
  [Inspectable.NodeInspectSymbol](this: Any): string {
    return printGraphDef(this)
  }
})

/** @internal What all GraphDefs have. */
export const proto: object = GraphDefImpl.prototype

/** @internal A GraphDef of what a traversal met. */
export const fromEntries = <A>(entries: ReadonlyArray<Entry>): GraphDef<A> =>
  new GraphDefImpl(entries) as unknown as GraphDef<A>

/** Is it a GraphDef? */
export const isGraphDef = (u: unknown): u is Any => Predicate.hasProperty(u, TypeId)

/** Objects count little here, since equality tells them apart: it must not walk into whatever they hold. */
const hashStatic = (value: unknown): number =>
  typeof value === "object" && value !== null
    ? Equal.isEqual(value) ? Hash.hash(value) : 1
    : typeof value === "function"
    ? 2
    : Hash.hash(value)

const hashEntry = (e: Entry): number => {
  switch (e._tag) {
    case "Node":
      return Hash.combine(Hash.string(e.sort.name), Hash.number(e.index * 1009 + e.keys.length))
    case "Variable":
      return Hash.combine(Hash.string(e.kind), Hash.number(e.index))
    case "Ref":
      return Hash.combine(3, Hash.number(e.index))
    case "Array":
      return 4
    case "Static":
      return Hash.combine(5, hashStatic(e.value))
  }
}

const sameStatic = (a: unknown, b: unknown): boolean => Object.is(a, b) || Equal.equals(a, b)

const sameStep = (a: Step, b: Step): boolean => a === b || (Array.isArray(a) && Equal.equals(a, b))

const sameKeys = (a: ReadonlyArray<Step>, b: ReadonlyArray<Step>): boolean =>
  a === b || (a.length === b.length && a.every((key, i) => sameStep(key, b[i])))

/** The same, outer indices aside? */
const sameEntry = (a: Entry, b: Entry): boolean => {
  if (a === b) return true
  switch (a._tag) {
    case "Node":
      return b._tag === "Node" && a.sort.type === b.sort.type && a.index === b.index && sameKeys(a.keys, b.keys) &&
        sameStatic(a.metadata, b.metadata)
    case "Variable":
      return b._tag === "Variable" && a.kind === b.kind && a.index === b.index && a.mode === b.mode &&
        sameStatic(a.metadata, b.metadata) && sameStatic(a.hooks, b.hooks)
    case "Ref":
      return b._tag === "Ref" && a.index === b.index
    case "Array":
      return b._tag === "Array"
    case "Static":
      return b._tag === "Static" && sameStatic(a.value, b.value)
  }
}

/** @internal The number that an object had outside, if the entry is one of an object that came from there. */
export const outerIndex = (e: Entry): number | undefined =>
  e._tag === "Node" || e._tag === "Variable" ? e.outerIndex : undefined

const compare = (a: Any, b: Any, same: (x: Entry, y: Entry) => boolean): boolean =>
  a === b || (a.entries.length === b.entries.length && Hash.hash(a) === Hash.hash(b) &&
    a.entries.every((e, i) => same(e, b.entries[i])))

/** The same structure, with the same outer indices? */
export const equals = (a: Any, b: Any): boolean =>
  compare(a, b, (x, y) => sameEntry(x, y) && outerIndex(x) === outerIndex(y))

/** The same structure, whatever the outer indices? */
export const equalsIgnoringOuter = (a: Any, b: Any): boolean => compare(a, b, sameEntry)

/**
 * Did a function leave the structure of its arguments alone? `before` is the structure at the entry; `after`, from its
 * entry `from` on, is the structure of the same arguments when the function had returned. True if they are equal and
 * every object still stands in its own place; then only the Variables' values need to go back.
 */
export const sameStructure = (before: Any, after: Any, from = 0): boolean =>
  after.entries.length >= from + before.entries.length && before.entries.every((entry, i) => {
    const now = after.entries[from + i]
    return sameEntry(entry, now) && (entry._tag === "Variable" || (entry._tag === "Node" && entry.index >= 0)
      ? outerIndex(now) === entry.index
      : true)
  })

/** Structure without outer indices, as it would be outside of any transform. */
export const withoutOuterIndex = <A>(self: GraphDef<A>): GraphDef<A> =>
  fromEntries(self.entries.map((e) => e._tag === "Node" || e._tag === "Variable" ? { ...e, outerIndex: undefined } : e))
