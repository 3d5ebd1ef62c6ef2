/**
 * GraphDefs as JSON and back: an Effect `Schema` codec. What JSON cannot hold comes from a registry that both sides
 * have: the classes of nodes, and values such as activation functions and hooks, each under a name.
 *
 * Decoding trusts nothing: it checks that the entries are one whole tree, that indices are in the order of a traversal,
 * and that references go to what was met before.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaTransformation from "effect/SchemaTransformation"
import { flags, type Mode, modeOf } from "../Ref/modes.ts"
import * as Path from "../State/Path.ts"
import { type LeafDef, Table } from "../State/Table.ts"
import * as Tree from "../Tensor/Tree.ts"
import { type Any, type Entry, fromEntries, type GraphDef, isGraphDef, type NodeEntry } from "./GraphDef.ts"
import { pathsOf } from "./layout.ts"
import { builtIn, getNodeImplForType, isStatic, type NodeImpl, Static, type Step } from "./Node.ts"

/** What the JSON of a GraphDef refers to by name. */
export interface Registry {
  /** Classes of Modules, and of nodes that `registerNode` knows. */
  readonly classes?: Readonly<Record<string, abstract new(...args: never) => object>>
  /** Functions and objects that are static values, metadata or hooks, told by identity. */
  readonly values?: Readonly<Record<string, unknown>>
}

/** A node in JSON: of a class of the registry (`type`), or one that is built in. */
export interface StoredNode {
  readonly _tag: "Node"
  readonly type?: string
  readonly builtIn?: string
  readonly index: number
  readonly keys: ReadonlyArray<string | ReadonlyArray<string>>
  readonly metadata?: Schema.Json
  readonly outerIndex?: number
}

/** A Variable in JSON. */
export interface StoredVariable {
  readonly _tag: "Variable"
  readonly index: number
  readonly kind: string
  readonly metadata: { readonly [key: string]: Schema.Json }
  readonly hooks?: Schema.Json
  readonly mode?: { readonly [flag: string]: boolean }
  readonly outerIndex?: number
}

/** What a traversal meets, in JSON. */
export type StoredEntry =
  | StoredNode
  | StoredVariable
  | { readonly _tag: "Ref"; readonly index: number }
  | { readonly _tag: "Array" }
  | { readonly _tag: "Static"; readonly value: Schema.Json }

/** A GraphDef in JSON. */
export interface StoredGraphDef {
  readonly format: "linum/GraphDef"
  readonly version: 1
  readonly entries: ReadonlyArray<StoredEntry>
}

const index = Schema.Natural
const stored: Schema.Codec<StoredGraphDef> = Schema.Struct({
  format: Schema.tag("linum/GraphDef"),
  version: Schema.tag(1),
  entries: Schema.Array(Schema.Union([
    Schema.Struct({
      _tag: Schema.tag("Node"),
      type: Schema.optionalKey(Schema.String),
      builtIn: Schema.optionalKey(Schema.String),
      index: Schema.Int,
      keys: Schema.Array(Schema.Union([Schema.String, Schema.Array(Schema.String)])),
      metadata: Schema.optionalKey(Schema.Json),
      outerIndex: Schema.optionalKey(index)
    }),
    Schema.Struct({
      _tag: Schema.tag("Variable"),
      index,
      kind: Schema.String,
      metadata: Schema.Record(Schema.String, Schema.Json),
      hooks: Schema.optionalKey(Schema.Json),
      mode: Schema.optionalKey(Schema.Record(Schema.String, Schema.Boolean)),
      outerIndex: Schema.optionalKey(index)
    }),
    Schema.Struct({ _tag: Schema.tag("Ref"), index }),
    Schema.Struct({ _tag: Schema.tag("Array") }),
    Schema.Struct({ _tag: Schema.tag("Static"), value: Schema.Json })
  ]))
})

/** What is wrong, and where in the model. */
interface Problem {
  readonly path: Path.Path
  readonly message: string
}

/** One direction of the codec: names and things, and what was wrong. */
interface Job {
  readonly registry: Registry
  readonly names: ReadonlyMap<unknown, string>
  readonly types: ReadonlyMap<object, string>
  readonly problems: Array<Problem>
}

const problem = (job: Job, path: Path.Path, message: string): void => {
  job.problems.push({ path, message: `${Path.format(path)}: ${message}` })
}

// What JSON has no word for is an object with this key.
const mark = "$"

const special = (value: unknown): string | undefined => {
  if (value === undefined) return "undefined"
  if (typeof value === "number") {
    return Object.is(value, -0) ? "-0" : Number.isFinite(value) ? undefined : String(value)
  }
  return typeof value === "bigint" ? `${value}n` : undefined
}

const encodeValue = (job: Job, path: Path.Path, value: unknown): Schema.Json => {
  const word = special(value)
  if (word !== undefined) return { [mark]: "word", word }
  if (value === null || typeof value === "boolean" || typeof value === "string" || typeof value === "number") {
    return value
  }
  const name = job.names.get(value)
  if (name !== undefined) return { [mark]: "value", name }
  if (Array.isArray(value)) return value.map((item) => encodeValue(job, path, item))
  if (typeof value === "object" && value !== null && isStatic(value)) {
    return { [mark]: "Static", value: encodeValue(job, path, (value as Static<unknown>).value) }
  }
  if (Tree.isPlainObject(value)) {
    const entries = Object.keys(value).map((key) => [key, encodeValue(job, path, value[key])] as const)
    return Object.hasOwn(value, mark) ? { [mark]: "object", entries } : Object.fromEntries(entries)
  }
  const what = typeof value === "function"
    ? `the function ${value.name || "(anonymous)"}`
    : typeof value === "symbol"
    ? String(value)
    : `a ${Object.getPrototypeOf(value)?.constructor?.name ?? "thing"}`
  problem(job, path, `${what} is not JSON; name it in the codec's \`values\``)
  return null
}

const encodeRecord = (job: Job, path: Path.Path, record: Readonly<Record<string, unknown>>) =>
  Object.fromEntries(Object.keys(record).map((key) => [key, encodeValue(job, path, record[key])]))

const words: ReadonlyMap<Schema.Json | undefined, unknown> = new Map<Schema.Json | undefined, unknown>([
  ["undefined", undefined],
  ["NaN", Number.NaN],
  ["Infinity", Infinity],
  ["-Infinity", -Infinity],
  ["-0", -0]
])

const isPair = (json: Schema.Json): json is readonly [string, Schema.Json] =>
  Array.isArray(json) && json.length === 2 && typeof json[0] === "string"

/** Objects with the mark. */
const decodeMarked = (job: Job, path: Path.Path, object: { readonly [key: string]: Schema.Json }): unknown => {
  const { entries, name, value = null, word } = object
  const { values = {} } = job.registry
  switch (object[mark]) {
    case "word":
      if (words.has(word)) return words.get(word)
      if (typeof word === "string" && /^-?[0-9]{1,1000}n$/.test(word)) return BigInt(word.slice(0, -1))
      break
    case "Static":
      return Static(decodeValue(job, path, value))
    case "object":
      if (!Array.isArray(entries) || !entries.every(isPair)) break
      return Object.fromEntries(entries.map(([key, item]) => [key, decodeValue(job, path, item)]))
    case "value":
      if (typeof name === "string" && Object.hasOwn(values, name)) return values[name]
      problem(job, path, `the codec's \`values\` have no '${String(name)}'`)
      return undefined
  }
  problem(job, path, `${JSON.stringify(object)} is no value that this version knows`)
  return undefined
}

const decodeValue = (job: Job, path: Path.Path, json: Schema.Json): unknown => {
  if (Array.isArray(json)) return json.map((item: Schema.Json) => decodeValue(job, path, item))
  if (typeof json !== "object" || json === null) return json
  const object = json as { readonly [key: string]: Schema.Json }
  return Object.hasOwn(object, mark) ? decodeMarked(job, path, object) : decodeRecord(job, path, object)
}

const decodeRecord = (job: Job, path: Path.Path, record: { readonly [key: string]: Schema.Json }) =>
  Object.fromEntries(Object.keys(record).map((key) => [key, decodeValue(job, path, record[key])]))

const encodeMode = (mode: Mode) => Object.fromEntries(flags(mode))

const encodeDef = (job: Job, path: Path.Path, { kind, metadata, mode }: Omit<LeafDef, "bare">) => ({
  kind,
  metadata: encodeRecord(job, path, metadata),
  mode: mode === undefined ? null : encodeMode(mode)
})

/** The static part of a node: that of a State is its table, that of a snapshot its kind and metadata. */
const encodeMetadata = (job: Job, path: Path.Path, entry: NodeEntry): Schema.Json => {
  const { metadata } = entry
  if (metadata instanceof Table) return metadata.defs.map((def) => ({ ...encodeDef(job, path, def), bare: def.bare }))
  if (entry.sort === builtIn.VariableState) return encodeDef(job, path, metadata as LeafDef)
  return encodeValue(job, path, metadata)
}

const record = (json: Schema.Json | undefined): { readonly [key: string]: Schema.Json } =>
  Tree.isPlainObject(json) ? json as { readonly [key: string]: Schema.Json } : {}

const decodeDef = (job: Job, path: Path.Path, json: Schema.Json): Omit<LeafDef, "bare"> => {
  const { kind, metadata, mode } = record(json)
  return {
    kind: String(kind),
    metadata: decodeRecord(job, path, record(metadata)),
    mode: mode === null ? undefined : modeOf(record(mode))
  }
}

const decodeMetadata = (job: Job, path: Path.Path, entry: StoredNode, sort: NodeImpl): unknown => {
  const json = entry.metadata
  if (sort === builtIn.State) {
    const defs = Array.isArray(json)
      ? json.map((item: Schema.Json) => ({ ...decodeDef(job, path, item), bare: record(item)["bare"] === true }))
      : []
    if (defs.length !== entry.keys.length) problem(job, path, "a State needs a definition for each of its leaves")
    return new Table(entry.keys.map((key) => typeof key === "string" ? [key] : key), defs)
  }
  if (sort === builtIn.VariableState) return decodeDef(job, path, json ?? null)
  return json === undefined ? undefined : decodeValue(job, path, json)
}

const outer = (outerIndex: number | undefined) => outerIndex === undefined ? {} : { outerIndex }

const encodeEntry = (job: Job, path: Path.Path, e: Entry): StoredEntry => {
  switch (e._tag) {
    case "Ref":
      return { _tag: "Ref", index: e.index }
    case "Array":
      return { _tag: "Array" }
    case "Static":
      return { _tag: "Static", value: encodeValue(job, path, e.value) }
    case "Variable": {
      const mode = encodeMode(e.mode)
      return {
        _tag: "Variable",
        index: e.index,
        kind: e.kind,
        metadata: encodeRecord(job, path, e.metadata),
        ...Object.keys(e.hooks).length === 0 ? {} : { hooks: encodeRecord(job, path, { ...e.hooks }) },
        ...Object.keys(mode).length === 0 ? {} : { mode },
        ...outer(e.outerIndex)
      }
    }
    case "Node": {
      const own = Object.hasOwn(builtIn, e.sort.name) && builtIn[e.sort.name] === e.sort
      const type = own ? undefined : job.types.get(e.sort.type)
      if (!own && type === undefined) problem(job, path, `the codec's \`classes\` have no ${e.sort.name}`)
      return {
        _tag: "Node",
        ...own ? { builtIn: e.sort.name } : { type: type ?? e.sort.name },
        index: e.index,
        keys: e.keys,
        ...e.metadata === undefined ? {} : { metadata: encodeMetadata(job, path, e) },
        ...outer(e.outerIndex)
      }
    }
  }
}

const sortFor = (job: Job, path: Path.Path, e: StoredNode): NodeImpl | undefined => {
  if (e.type === undefined) {
    if (e.builtIn !== undefined && Object.hasOwn(builtIn, e.builtIn)) return builtIn[e.builtIn]
    problem(job, path, `'${e.builtIn}' is no node that this version knows`)
    return undefined
  }
  const { classes = {} } = job.registry
  if (Object.hasOwn(classes, e.type)) return getNodeImplForType(classes[e.type])
  problem(job, path, `the codec's \`classes\` have no ${e.type}`)
  return undefined
}

/** Reads entries from the front: how many there are follows from the keys of the nodes. */
interface Reading {
  readonly job: Job
  readonly entries: ReadonlyArray<StoredEntry>
  readonly out: Array<Entry>
  at: number
  /** The index of the next object; undefined before the first. */
  next: number | undefined
}

const numbered = (r: Reading, path: Path.Path, index: number): void => {
  if (r.next !== undefined && index !== r.next) {
    problem(r.job, path, `index ${index} is out of order: ${r.next} was expected`)
  }
  r.next = index + 1
}

const readEntry = (r: Reading, path: Path.Path): void => {
  const { job } = r
  const e = r.entries[r.at++]
  if (e === undefined) return problem(job, path, "there is no entry for it")
  switch (e._tag) {
    case "Array":
      r.out.push({ _tag: "Array" })
      return
    case "Static":
      r.out.push({ _tag: "Static", value: decodeValue(job, path, e.value) })
      return
    case "Ref":
      if (r.next !== undefined && e.index >= r.next) problem(job, path, `nothing before it has the index ${e.index}`)
      r.out.push({ _tag: "Ref", index: e.index })
      return
    case "Variable":
      numbered(r, path, e.index)
      r.out.push({
        _tag: "Variable",
        index: e.index,
        kind: e.kind,
        metadata: decodeRecord(job, path, e.metadata),
        hooks: decodeRecord(job, path, record(e.hooks)),
        mode: modeOf(e.mode ?? {}),
        outerIndex: e.outerIndex
      })
      return
    case "Node":
      return readNode(r, path, e)
  }
}

const readNode = (r: Reading, path: Path.Path, e: StoredNode): void => {
  const sort = sortFor(r.job, path, e)
  if (sort?._tag === "Graph") numbered(r, path, e.index)
  else if (sort !== undefined && e.index !== -1) {
    problem(r.job, path, `a ${sort.name} has no index, and this has ${e.index}`)
  }
  if (sort === undefined && e.index >= 0) r.next = e.index + 1
  const keys: ReadonlyArray<Step> = e.keys
  const distinct = new Set(keys.map((key) => Path.toKey(typeof key === "string" ? [key] : key)))
  if (distinct.size !== keys.length) problem(r.job, path, "two of its keys are the same")
  if (sort !== undefined) {
    const metadata = decodeMetadata(r.job, path, e, sort)
    r.out.push({ _tag: "Node", sort, index: e.index, keys, metadata, outerIndex: e.outerIndex })
  }
  for (const key of keys) {
    if (r.at > r.entries.length) return
    readEntry(r, path.concat(key))
  }
}

/** One issue for all problems, each with its path. */
const issueOf = (problems: ReadonlyArray<Problem>): SchemaIssue.Issue => {
  const issues = problems.map(({ message, path }) =>
    new SchemaIssue.Pointer(path, new SchemaIssue.InvalidValue({ message }))
  )
  const [first, ...others] = issues
  return others.length === 0 ? first : new SchemaIssue.Composite(stored.ast, [first, ...others])
}

const done = <A>({ problems }: Job, value: A): Effect.Effect<A, SchemaIssue.Issue> =>
  problems.length === 0 ? Effect.succeed(value) : Effect.fail(issueOf(problems))

/**
 * A codec of GraphDefs: to JSON, and back with everything verified. Classes of nodes and values that are not JSON stand
 * in the registry, by name. Both directions fail with a `SchemaError` that has the path in the model of each thing that
 * cannot be stored, or is not known. Throws a `NodeTypeError` if a class of the registry is no class of nodes.
 *
 * ```ts import.meta.vitest
 * import { Effect, Equal, Schema } from "effect"
 * import * as nnx from "linum"
 *
 * const GraphDefJson = Schema.fromJsonString(nnx.GraphDef.codec<nnx.Linear>({
 *   classes: { Linear: nnx.Linear },
 *   values: { ones: nnx.Tensor.ones }
 * }))
 *
 * const program = Effect.gen(function*() {
 *   const [graphdef, state] = yield* nnx.split(yield* nnx.Linear.make(2, 3))
 *   const text = yield* Schema.encodeEffect(GraphDefJson)(graphdef)
 *   const again = yield* Schema.decodeEffect(GraphDefJson)(text)
 *   const model = yield* nnx.merge(again, state)
 *   console.log(Equal.equals(graphdef, again), model instanceof nnx.Linear) // => true true
 * })
 * await Effect.runPromise(program.pipe(Effect.provide(nnx.Rngs.layer(0))))
 * ```
 *
 * @category schemas
 * @since 0.1.0
 */
export const codec = <A = unknown>(registry: Registry): Schema.Codec<GraphDef<A>, StoredGraphDef> => {
  const names = new Map(Object.entries(registry.values ?? {}).map(([name, value]) => [value, name]))
  const types = new Map(
    Object.entries(registry.classes ?? {}).map(([name, type]) => [getNodeImplForType(type).type, name])
  )
  const job = (): Job => ({ registry, names, types, problems: [] })
  const is = (u: unknown): u is GraphDef<A> => isGraphDef(u)
  return stored.pipe(Schema.decodeTo(
    Schema.declare<GraphDef<A>>(is, { title: "GraphDef" }),
    SchemaTransformation.transformEffect({
      decode: (from: StoredGraphDef) => {
        const r: Reading = { job: job(), entries: from.entries, out: [], at: 0, next: undefined }
        readEntry(r, [])
        if (r.at < r.entries.length) problem(r.job, [], `there are ${r.entries.length - r.at} entries too many`)
        return done(r.job, fromEntries<A>(r.out))
      },
      encode: (self: GraphDef<A>) => {
        const own = job()
        const any: Any = self
        const paths = pathsOf(any.entries)
        const entries = any.entries.map((e, i) => encodeEntry(own, paths[i], e))
        const out: StoredGraphDef = { format: "linum/GraphDef", version: 1, entries }
        return done(own, out)
      }
    })
  ))
}
