/**
 * Models as text, as Flax prints them: a class name, in a comment how many elements and bytes are below, and the fields
 * in their order.
 *
 * ```text
 * Linear( # Param: 6 (24 B)
 *   bias=Param( # 3 (12 B)
 *     value=Array(shape=(3,), dtype=float32)
 *   ),
 * ```
 *
 * Inside of Modules, arrays of more than one element show shape and dtype only. A Module that was printed before shows
 * as `Linear(...)`, so cycles end. This file knows Variables and Modules by their marks alone, since they print by it.
 */
import * as Predicate from "effect/Predicate"
import * as ShapedArray from "../Tensor/ShapedArray.ts"
import { isTensor, type Tensor } from "../Tensor/Tensor.ts"
import * as Tree from "../Tensor/Tree.ts"
import { defaultMode, flags, type Mode } from "./modes.ts"

/** What is printed of a Variable, or of a snapshot of one. */
export interface PrintableVariable {
  readonly kind: string
  readonly metadata: Readonly<Record<string, unknown>>
  readonly raw: unknown
  readonly mode: Mode | undefined
}

interface Size {
  readonly size: number
  readonly bytes: number
}

/** One printing: Modules that were printed, and whether arrays are shortened. */
interface Context {
  readonly seen: Set<object>
  readonly stats: Map<object, ReadonlyMap<string, Size>>
  readonly short: boolean
  /** Arrays to show in the places of others: their copies in host memory. */
  readonly copies: ReadonlyMap<Tensor, Tensor>
}

/** @internal */
export const isVariable = (u: unknown): u is PrintableVariable => Predicate.hasProperty(u, "~linum/Variable")

/** @internal */
export const isSnapshot = (u: unknown): u is Omit<PrintableVariable, "raw"> & { readonly value: unknown } =>
  Predicate.hasProperty(u, "~linum/VariableState")

/** @internal */
export const isModule = (u: unknown): u is { readonly "~linum/Module": { readonly name: string } } =>
  Predicate.hasProperty(u, "~linum/Module")

// --- sizes ---

/** Elements and bytes of the arrays in a value. */
export const sizeOf = (value: unknown): Size =>
  Tree.leaves(value).reduce(
    (sum, x) => ({ size: sum.size + x.size, bytes: sum.bytes + ShapedArray.byteSize(x.aval) }),
    { size: 0, bytes: 0 }
  )

const grouped = (n: number, places: number): string =>
  n.toLocaleString("en-US", { minimumFractionDigits: places, maximumFractionDigits: places })

/** Bytes in decimal units: `12 B`, `1.5 KB`. */
export const formatBytes = (bytes: number): string =>
  bytes > 1e9
    ? `${grouped(bytes / 1e9, 1)} GB`
    : bytes > 1e6
    ? `${grouped(bytes / 1e6, 1)} MB`
    : bytes > 1e3
    ? `${grouped(bytes / 1e3, 1)} KB`
    : `${grouped(bytes, 0)} B`

/** Elements and bytes: `6 (24 B)`. */
export const formatSize = ({ bytes, size }: Size): string => `${grouped(size, 0)} (${formatBytes(bytes)})`

/** The name of a kind without those above it. */
export const shortKind = (kind: string): string => kind.slice(kind.lastIndexOf("/") + 1)

/** Kinds are counted by their own names; all that belongs to random streams is one. */
const countedAs = (kind: string): string => kind.startsWith("RngState/") ? "RngState" : shortKind(kind)

/** Elements and bytes below an object by kind. What is shared counts once. */
const collect = (value: object, context: Context): ReadonlyMap<string, Size> => {
  const known = context.stats.get(value)
  if (known !== undefined) return known
  const stats = new Map<string, Size>()
  context.stats.set(value, stats)
  const add = (kind: string, { bytes, size }: Size) => {
    const before = stats.get(kind) ?? { size: 0, bytes: 0 }
    stats.set(kind, { size: before.size + size, bytes: before.bytes + bytes })
  }
  if (isVariable(value)) {
    const size = sizeOf(value.raw)
    // Array refs by themselves count as little as arrays by themselves.
    if (size.size > 0 && value.kind !== "ArrayRef") add(countedAs(value.kind), size)
    return stats
  }
  for (const child of childrenOf(value)) {
    if (!context.stats.has(child)) { for (const [kind, size] of collect(child, context)) add(kind, size) }
  }
  return stats
}

/** Is it a State? This room is below that of States and knows them by their mark alone. */
export const isStateLike = (u: unknown): u is object & { readonly "~linum/State": unknown } =>
  Predicate.hasProperty(u, "~linum/State")

/** What below an object may hold Variables, in sorted order. A State gives its children by getters of its prototype. */
const childrenOf = (value: object): ReadonlyArray<object> => {
  const names: Array<string> = []
  if (isStateLike(value)) { for (const name in value) names.push(name) }
  else names.push(...Object.keys(value))
  return names.toSorted().flatMap((name): ReadonlyArray<object> => {
    const child = (value as Readonly<Record<string, unknown>>)[name]
    const goes = Array.isArray(child) || Tree.isPlainObject(child) || isModule(child) || isVariable(child) ||
      isStateLike(child)
    return goes ? [child as object] : []
  })
}

// --- text ---

const indented = (text: string): string => text.replaceAll("\n", "\n  ")

/** `Name( # comment`, a line for each field, `)`. */
const block = (name: string, comment: string, fields: ReadonlyArray<string>): string =>
  fields.length === 0 ? `${name}()` : `${name}(${comment}\n  ${fields.map(indented).join(",\n  ")}\n)`

const arrayText = (given: Tensor, context: Context): string => {
  const x = context.copies.get(given) ?? given
  if (!context.short || x.size <= 1) return String(x)
  const shape = x.shape.length === 1 ? `(${x.shape[0]},)` : `(${x.shape.join(", ")})`
  return `Array(shape=${shape}, dtype=${x.dtype})`
}

const items = (open: string, texts: ReadonlyArray<string>, close: string): string =>
  texts.some((text) => text.includes("\n"))
    ? `${open}\n  ${texts.map(indented).join(",\n  ")}\n${close}`
    : open + texts.join(", ") + close

const text = (value: unknown, context: Context): string => {
  if (isTensor(value)) return arrayText(value, context)
  if (typeof value === "string") return `'${value}'`
  if (typeof value === "function") return value.name === "" ? "(function)" : value.name
  if (typeof value !== "object" || value === null) return String(value)
  if (isVariable(value)) return variableText(value, context)
  if (isSnapshot(value)) return variableText({ ...value, raw: value.value }, context)
  if (isModule(value)) return moduleText(value, context)
  if (isStateLike(value)) return stateText(value, context)
  if (Array.isArray(value)) return items("[", value.map((item) => text(item, context)), "]")
  if (Tree.isPlainObject(value)) {
    return items("{", Object.entries(value).map(([key, item]) => `'${key}': ${text(item, context)}`), "}")
  }
  const own = String(value)
  return own.startsWith("[object ") ? `${value.constructor?.name ?? "object"} {…}` : own
}

/** What is printed of a Variable: its value, its metadata and its mode. */
export const variableFields = (self: PrintableVariable): ReadonlyArray<readonly [string, unknown]> => [
  ["value", self.raw],
  ...Object.entries(self.metadata),
  ...flags(self.mode ?? defaultMode)
]

const variableText = (self: PrintableVariable, context: Context): string => {
  if (self.kind === "ArrayRef") return refText(self.raw, context)
  const size = sizeOf(self.raw)
  const fields = variableFields(self).map(([key, value]) => `${key}=${text(value, context)}`)
  return block(shortKind(self.kind), size.size === 0 ? "" : ` # ${formatSize(size)}`, fields)
}

/** `Ref([1, 2, 3], dtype=int32)`, as the array but for its name. */
const refText = (value: unknown, context: Context): string => {
  const own = text(value, context)
  return isTensor(value) && own.startsWith("Array(") ? `Ref(${own.slice("Array(".length)}` : `Ref(${own})`
}

const moduleText = (
  self: object & { readonly "~linum/Module": { readonly name: string } },
  context: Context
): string => {
  const { name } = self["~linum/Module"]
  if (context.seen.has(self)) return `${name}(...)`
  context.seen.add(self)
  const comment = totalsText(self, context)
  const short: Context = { ...context, short: true }
  const fields = Object.entries(self).map(([key, value]) => `${key}=${text(value, short)}`)
  return block(name, comment === "" ? "" : ` # ${comment}`, fields)
}

const totalsText = (self: object, context: Context): string => {
  const stats = [...collect(self, context)]
  const total = stats.reduce((sum, [, s]) => ({ size: sum.size + s.size, bytes: sum.bytes + s.bytes }), {
    size: 0,
    bytes: 0
  })
  const parts = stats.map(([kind, size]) => `${kind}: ${formatSize(size)}`)
  if (stats.length > 1) parts.push(`Total: ${formatSize(total)}`)
  return parts.join(", ")
}

const fresh = (copies: ReadonlyMap<Tensor, Tensor> = new Map()): Context => ({
  seen: new Set(),
  stats: new Map(),
  short: false,
  copies
})

/** What is below a Module by kinds: `Param: 6 (24 B), BatchStat: 6 (24 B), Total: 12 (48 B)`. */
export const totals = (self: object): string => totalsText(self, fresh())

/** A Module, a Variable or anything that holds some, as text. `copies` are shown in the places of their arrays. */
export const print = (value: unknown, copies?: ReadonlyMap<Tensor, Tensor>): string => text(value, fresh(copies))

/** The children of a State by name. */
export const stateFields = (self: object): ReadonlyArray<readonly [string, unknown]> => {
  const fields: Array<readonly [string, unknown]> = []
  for (const name in self) fields.push([name, (self as Readonly<Record<string, unknown>>)[name]])
  return fields
}

/** A State that is one leaf has no fields, and its own text. */
const stateText = (self: object, context: Context): string => {
  const nested = (state: object): unknown =>
    Object.fromEntries(stateFields(state).map(([key, value]) => [key, isStateLike(value) ? nested(value) : value]))
  return stateFields(self).length === 0 ? String(self) : `State(${states(nested(self), context)})`
}

/** A State as text, from its nested form. */
export const printState = (nested: unknown): string => `State(${states(nested, fresh())})`

const states = (nested: unknown, context: Context): string => {
  if (!Tree.isPlainObject(nested)) return text(nested, context)
  const fields = Object.entries(nested).map(([key, value]) => `'${key}': ${states(value, context)}`)
  return fields.length === 0 ? "{}" : `{\n  ${fields.map(indented).join(",\n  ")}\n}`
}
