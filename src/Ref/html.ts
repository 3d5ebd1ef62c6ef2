/**
 * Models as one piece of HTML that stands by itself: a tree of `<details>` that opens and closes, with sizes, and for
 * every array whose elements are known their statistics and a small picture. No script, no link, nothing but ASCII and
 * well-formed as XML, so that it can be put into a page or a notebook as it is, or saved as a file.
 *
 * As the text of `print.ts`, it knows Variables, Modules and States by their marks.
 */
import type { TypedArray } from "../Tensor/DType.ts"
import * as ShapedArray from "../Tensor/ShapedArray.ts"
import { isTensor, type Tensor } from "../Tensor/Tensor.ts"
import * as Tree from "../Tensor/Tree.ts"
import { picture } from "./picture.ts"
import {
  formatSize,
  isModule,
  isSnapshot,
  isStateLike,
  isVariable,
  print,
  type PrintableVariable,
  shortKind,
  sizeOf,
  stateFields,
  totals,
  variableFields
} from "./print.ts"

/** Elements that were read, by array; 16-bit floats decoded. */
export type Elements = ReadonlyMap<Tensor, TypedArray>

interface Context {
  readonly elements: Elements
  /** Where each Module and Variable was shown first. */
  readonly seen: Map<object, string>
}

/** One thing on its way into the tree: the name of its field, and the path to it. */
interface Place {
  readonly key: string
  readonly path: string
}

type Fields = ReadonlyArray<readonly [string, unknown]>

/** Text as it may stand in HTML and XML: marks escaped, and everything that is no ASCII by its number. */
export const escape = (text: string): string => text.replaceAll(/[&<>"']|[^\t\n -~]/gu, (c) => `&#${c.codePointAt(0)};`)

const span = (kind: string, text: string): string => text === "" ? "" : ` <span class="${kind}">${escape(text)}</span>`

const heading = ({ key }: Place, title: string, note: string): string =>
  `${key === "" ? "" : `<i>${escape(key)}</i> `}<b>${escape(title)}</b>${span("note", note)}`

const leaf = (content: string): string => `<li>${content}</li>`

const branch = (head: string, content: string, open: boolean): string =>
  content === ""
    ? leaf(head)
    : `<li><details${open ? ` open="open"` : ""}><summary>${head}</summary>${content}</details></li>`

const list = (items: ReadonlyArray<string>): string => items.length === 0 ? "" : `<ul>${items.join("")}</ul>`

const fieldsOf = (fields: Fields, { path }: Place, context: Context): string =>
  list(fields.map(([key, value]) => node(value, { key, path: path === "" ? key : `${path}.${key}` }, context)))

// --- arrays ---

const short = (x: number): string => String(Number(x.toPrecision(4)))

/** `mean 0.1 ± 0.9, -2.1 … 2.3`, or `all 0`; and how many elements are no finite numbers. */
const statistics = (data: TypedArray): string => {
  let [n, sum, squares, low, high] = [0, 0, 0, Infinity, -Infinity]
  for (const x of data) {
    if (!Number.isFinite(x)) continue
    n++
    sum += x
    low = Math.min(low, x)
    high = Math.max(high, x)
  }
  const mean = sum / n
  for (const x of data) if (Number.isFinite(x)) squares += (x - mean) ** 2
  const spread = `mean ${short(mean)} ± ${short(Math.sqrt(squares / n))}, ${short(low)} … ${short(high)}`
  const numbers = n === 0 ? [] : [low === high ? `all ${short(low)}` : spread]
  return [...numbers, ...n < data.length ? [`${data.length - n} not finite`] : []].join(", ")
}

const arrayHead = (x: Tensor): string => ShapedArray.format(x.aval)

/** Statistics, and what unfolds: a picture. A scalar is its value. */
const arrayParts = (x: Tensor, context: Context): { readonly note: string; readonly content: string } => {
  const data = context.elements.get(x)
  if (data === undefined || data.length === 0) return { note: "", content: "" }
  if (data.length === 1) return { note: x.dtype === "bool" ? String(data[0] !== 0) : String(data[0]), content: "" }
  return { note: statistics(data), content: picture(data, x.shape) }
}

// --- nodes ---

/** An array ref by itself has no kind of its own. */
const titleOf = (kind: string): string => kind === "ArrayRef" ? "Ref" : shortKind(kind)

const variable = (self: PrintableVariable, place: Place, context: Context): string => {
  const { raw } = self
  const [, ...others] = variableFields(self)
  const size = sizeOf(raw).size === 0 ? "" : formatSize(sizeOf(raw))
  const rest = fieldsOf(others, place, context)
  if (!isTensor(raw)) {
    const inside = fieldsOf([["value", raw]], place, context)
    return branch(heading(place, titleOf(self.kind), size), inside + rest, false)
  }
  const { content, note } = arrayParts(raw, context)
  const head = heading(place, titleOf(self.kind), [arrayHead(raw), size, note].filter((s) => s !== "").join(" · "))
  return branch(head, content + rest, false)
}

/** What has identity is shown once; elsewhere it is named by its first place. */
const once = (self: object, title: string, place: Place, context: Context, show: () => string): string => {
  const first = context.seen.get(self)
  if (first !== undefined) return leaf(heading(place, title, `the same as ${first === "" ? "the whole" : first}`))
  context.seen.set(self, place.path)
  return show()
}

const text = (value: unknown, place: Place): string => {
  const shown = print(value)
  const key = place.key === "" ? "" : `<i>${escape(place.key)}</i> `
  return leaf(shown.includes("\n") ? `${key}<pre>${escape(shown)}</pre>` : `${key}<code>${escape(shown)}</code>`)
}

const node = (value: unknown, place: Place, context: Context): string => {
  if (isTensor(value)) {
    const { content, note } = arrayParts(value, context)
    return branch(heading(place, arrayHead(value), note), content, false)
  }
  if (typeof value !== "object" || value === null) return text(value, place)
  if (isVariable(value)) {
    return once(value, titleOf(value.kind), place, context, () => variable(value, place, context))
  }
  if (isSnapshot(value)) return variable({ ...value, raw: value.value }, place, context)
  if (isModule(value)) {
    const { name } = value["~linum/Module"]
    // Options that were not given say nothing.
    const given = Object.entries(value).filter(([, field]) => field !== undefined)
    const fields = () => fieldsOf(given, place, context)
    return once(value, name, place, context, () => branch(heading(place, name, totals(value)), fields(), true))
  }
  if (isStateLike(value) && stateFields(value).length > 0) {
    return branch(heading(place, "State", totals(value)), fieldsOf(stateFields(value), place, context), true)
  }
  if (Array.isArray(value) && value.length > 0) {
    return branch(heading(place, `[${value.length}]`, ""), fieldsOf(Object.entries(value), place, context), true)
  }
  if (Tree.isPlainObject(value) && Object.keys(value).length > 0) {
    return branch(heading(place, "{}", ""), fieldsOf(Object.entries(value), place, context), true)
  }
  return text(value, place)
}

const style = ".linum{font:13px/1.5 ui-monospace,monospace;color-scheme:light dark}" +
  ".linum ul{list-style:none;margin:0;padding:0 0 0 1.4em;border-left:1px solid #8884}" +
  ".linum>ul{padding:0;border:0}.linum summary{cursor:pointer}.linum b{color:#2a7ae2}" +
  ".linum .note{color:#888}.linum pre{margin:0 0 0 1.4em}" +
  ".linum img{image-rendering:pixelated;display:block;margin:.3em 0 .5em 1.4em;outline:1px solid #8884}"

/** Values as HTML, with the elements of their arrays that were read. */
export const html = (values: ReadonlyArray<unknown>, elements: Elements): string => {
  const items = values.map((value) => node(value, { key: "", path: "" }, { elements, seen: new Map() }))
  return `<div class="linum"><style>${style}</style>${list(items)}</div>`
}
