/**
 * A GraphDef as a tree of definitions, for those who look at structure: the names of the documents, over the flat list.
 */
import * as Data from "effect/Data"
import type { Metadata } from "../Ref/Variable.ts"
import { type Any, type Entry, fromEntries, outerIndex } from "./GraphDef.ts"
import { entryText, stepText } from "./print.ts"

/** A node with its attributes. */
export class NodeDef extends Data.TaggedClass("NodeDef")<{
  /** The name of the class. */
  readonly type: string
  /** -1 for nodes without identity. */
  readonly index: number
  readonly attributes: ReadonlyArray<Attribute>
  readonly metadata: unknown
  /** From outer to inner indices, below and including this node; undefined outside of a transform. */
  readonly indexMapping: ReadonlyMap<number, number> | undefined
  readonly graphdef: Any
}> {
  override toString(): string {
    return String(this.graphdef).replace(/^GraphDef/, "NodeDef")
  }
}

/** A node or a Variable that stands elsewhere in the GraphDef: its type, if the GraphDef has it, and its index. */
export class NodeRef extends Data.TaggedClass("NodeRef")<{
  readonly type: string | undefined
  readonly index: number
}> {
  override toString(): string {
    return `NodeRef(type=${this.type}, index=${this.index})`
  }
}

/** A Variable. */
export class VariableDef extends Data.TaggedClass("VariableDef")<{
  /** The kind. */
  readonly type: string
  readonly index: number
  readonly metadata: Metadata
}> {
  override toString(): string {
    const metadata = Object.entries(this.metadata).map(([key, value]) => `${key}: ${String(value)}`).join(", ")
    return `VariableDef(type=${this.type}, index=${this.index}, metadata={${metadata}})`
  }
}

/** An attribute that leads to a node. */
export class SubGraphAttribute extends Data.TaggedClass("SubGraphAttribute")<{
  readonly key: string
  readonly value: NodeDef | NodeRef
}> {
  override toString(): string {
    return `SubGraphAttribute(key='${this.key}', value=${this.value})`
  }
}

/** An attribute with a static value. */
export class StaticAttribute extends Data.TaggedClass("StaticAttribute")<{
  readonly key: string
  readonly value: unknown
}> {
  override toString(): string {
    return `StaticAttribute(key='${this.key}', value=${entryText({ _tag: "Static", value: this.value })})`
  }
}

/** An attribute with a Variable, or with an array by itself. */
export class LeafAttribute extends Data.TaggedClass("LeafAttribute")<{
  readonly key: string
  readonly value: VariableDef | NodeRef | "Array"
}> {
  override toString(): string {
    return `LeafAttribute(key='${this.key}', value=${this.value})`
  }
}

/** What a node has at a key. */
export type Attribute = SubGraphAttribute | StaticAttribute | LeafAttribute

/** A position in a list of entries. */
interface Cursor {
  readonly entries: ReadonlyArray<Entry>
  at: number
}

/** Goes past the entry at the cursor and all below it. */
const skip = (c: Cursor): void => {
  const e = c.entries[c.at++]
  if (e._tag === "Node") { for (const _ of e.keys) skip(c) }
}

const indexMapping = (entries: ReadonlyArray<Entry>): ReadonlyMap<number, number> | undefined => {
  const pairs = entries.flatMap((e) => {
    const outer = outerIndex(e)
    return outer === undefined || !("index" in e) ? [] : [[outer, e.index] as const]
  })
  return pairs.length === 0 ? undefined : new Map(pairs)
}

const refOf = (entries: ReadonlyArray<Entry>, index: number): { readonly ref: NodeRef; readonly variable: boolean } => {
  const home = entries.find((e) => (e._tag === "Node" || e._tag === "Variable") && e.index === index)
  const type = home?._tag === "Node" ? home.sort.name : home?._tag === "Variable" ? home.kind : undefined
  return { ref: new NodeRef({ type, index }), variable: home?._tag === "Variable" }
}

const nodeAt = (c: Cursor): NodeDef => {
  const from = c.at
  const e = c.entries[from]
  if (e._tag !== "Node") throw new TypeError("a node was expected")
  const end: Cursor = { entries: c.entries, at: from }
  skip(end)
  const own = c.entries.slice(from, end.at)
  c.at++
  const attributes = e.keys.map((key) => attributeAt(c, stepText(key)))
  return new NodeDef({
    type: e.sort.name,
    index: e.index,
    attributes,
    metadata: e.metadata,
    indexMapping: indexMapping(own),
    graphdef: fromEntries(own)
  })
}

const attributeAt = (c: Cursor, key: string): Attribute => {
  const e = c.entries[c.at]
  if (e._tag === "Node") return new SubGraphAttribute({ key, value: nodeAt(c) })
  c.at++
  switch (e._tag) {
    case "Variable":
      return new LeafAttribute({ key, value: variableDef(e.kind, e.index, e.metadata) })
    case "Array":
      return new LeafAttribute({ key, value: "Array" })
    case "Static":
      return new StaticAttribute({ key, value: e.value })
    case "Ref": {
      const { ref, variable } = refOf(c.entries, e.index)
      return variable ? new LeafAttribute({ key, value: ref }) : new SubGraphAttribute({ key, value: ref })
    }
  }
}

const variableDef = (type: string, index: number, metadata: Metadata): VariableDef =>
  new VariableDef({ type, index, metadata })

/**
 * A GraphDef as a tree: a `NodeDef` with its attributes, or a `VariableDef` or `NodeRef` if that is all there is;
 * undefined for an array or a static value by itself.
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 *
 * const model = Effect.runSync(nnx.Linear.make(2, 3).pipe(Effect.provide(nnx.Rngs.layer(0))))
 * const node = nnx.GraphDef.definition(Effect.runSync(nnx.graphdef(model)))
 * if (node?._tag === "NodeDef") console.log(node.type, node.index, String(node.attributes[0]))
 * // => Linear 0 LeafAttribute(key='bias', value=VariableDef(type=Param, index=1, metadata={}))
 * ```
 *
 * @category conversions
 * @since 0.1.0
 */
export const definition = (self: Any): NodeDef | NodeRef | VariableDef | undefined => {
  const e = self.entries[0]
  switch (e._tag) {
    case "Node":
      return nodeAt({ entries: self.entries, at: 0 })
    case "Variable":
      return variableDef(e.kind, e.index, e.metadata)
    case "Ref":
      return new NodeRef({ type: undefined, index: e.index })
    case "Array":
    case "Static":
      return undefined
  }
}
