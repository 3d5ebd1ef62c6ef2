/**
 * Text that breaks its lines where it must: P. Wadler, "A prettier printer" (2003). A *group* stands on one line if it
 * fits, else every `line` of it, outside inner groups, is a line break.
 */

/** A text with places where it may break. */
export type Document =
  | { readonly _tag: "Text"; readonly text: string }
  | { readonly _tag: "Line"; readonly flat: string }
  | { readonly _tag: "Concat"; readonly parts: ReadonlyArray<Document> }
  | { readonly _tag: "Nest"; readonly by: number; readonly body: Document }
  | { readonly _tag: "Group"; readonly body: Document }

/** Text without breaks. */
export const text = (s: string): Document => ({ _tag: "Text", text: s })

/** A break; `flat` where its group stands on one line. */
export const line = (flat = " "): Document => ({ _tag: "Line", flat })

/** One after the other. */
export const concat = (...parts: ReadonlyArray<Document | string>): Document => ({
  _tag: "Concat",
  parts: parts.map((p) => typeof p === "string" ? text(p) : p)
})

/** Breaks inside are indented by so many further columns. */
export const nest = (by: number, body: Document): Document => ({ _tag: "Nest", by, body })

/** On one line if it fits. */
export const group = (body: Document): Document => ({ _tag: "Group", body })

/** Documents with a separator between every two. */
export const join = (separator: Document, parts: ReadonlyArray<Document>): Document =>
  concat(...parts.flatMap((p, i) => i === 0 ? [p] : [separator, p]))

interface Item {
  readonly indent: number
  readonly flat: boolean
  readonly doc: Document
}

const children = (item: Item): ReadonlyArray<Item> => {
  const { doc, flat, indent } = item
  switch (doc._tag) {
    case "Concat":
      return doc.parts.map((part) => ({ indent, flat, doc: part }))
    case "Nest":
      return [{ indent: indent + doc.by, flat, doc: doc.body }]
    case "Group":
      return [{ indent, flat, doc: doc.body }]
    default:
      return []
  }
}

const pushAll = (stack: Array<Item>, items: ReadonlyArray<Item>): void => {
  for (let i = items.length - 1; i >= 0; i--) stack.push(items[i])
}

/** Does `first`, on one line, with what follows up to the next break, fit into `room` columns? */
const fits = (room: number, first: Item, rest: ReadonlyArray<Item>): boolean => {
  const stack: Array<Item> = [first]
  let left = room
  let next = rest.length - 1
  while (left >= 0) {
    const item = stack.pop() ?? rest[next--]
    if (item === undefined) return true
    if (item.doc._tag === "Text") left -= item.doc.text.length
    else if (item.doc._tag === "Line") {
      if (!item.flat) return true
      left -= item.doc.flat.length
    } else pushAll(stack, children(item))
  }
  return false
}

/** The text, with lines of at most `width` columns where its groups allow that. */
export const render = (doc: Document, width: number): string => {
  const stack: Array<Item> = [{ indent: 0, flat: false, doc: group(doc) }]
  const out: Array<string> = []
  let column = 0
  const put = (s: string): void => {
    out.push(s)
    column += s.length
  }
  for (let item = stack.pop(); item !== undefined; item = stack.pop()) {
    if (item.doc._tag === "Text") put(item.doc.text)
    else if (item.doc._tag === "Line" && item.flat) put(item.doc.flat)
    else if (item.doc._tag === "Line") {
      out.push("\n", " ".repeat(item.indent))
      column = item.indent
    } else if (item.doc._tag === "Group" && !item.flat) {
      const onOneLine: Item = { indent: item.indent, flat: true, doc: item.doc.body }
      stack.push(fits(width - column, onOneLine, stack) ? onOneLine : { ...onOneLine, flat: false })
    } else pushAll(stack, children(item))
  }
  return out.join("").replaceAll(/ +\n/g, "\n").trimEnd()
}
