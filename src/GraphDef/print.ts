/**
 * GraphDefs as text: a tree of attributes, and a diagram.
 */
import { flags, type Mode } from "../Ref/modes.ts"
import type { Any, Entry } from "./GraphDef.ts"
import type { Step } from "./Node.ts"

/** @internal A step as one word. */
export const stepText = (step: Step): string => typeof step === "string" ? step : step.join("/")

const staticText = (value: unknown): string => {
  if (typeof value === "string") return JSON.stringify(value)
  if (typeof value === "function") return value.name === "" ? "(function)" : value.name
  const text = String(value)
  return text.startsWith("[object ") ? "(object)" : text
}

const metadataText = (metadata: Readonly<Record<string, unknown>>): string =>
  Object.entries(metadata).map(([key, value]) => `, ${key}=${staticText(value)}`).join("")

const modeText = (mode: Mode): string => flags(mode).map(([flag, value]) => `, ${flag}=${String(value)}`).join("")

const outerText = (outerIndex: number | undefined): string => outerIndex === undefined ? "" : `, outer=${outerIndex}`

/** Goes through the entries with their attribute and depth. */
const visitEntries = (
  self: Any,
  f: (entry: Entry, step: string, depth: number, parent: number, at: number) => void
): void => {
  let next = 0
  const go = (step: string, depth: number, parent: number): void => {
    const at = next++
    const entry = self.entries[at]
    f(entry, step, depth, parent, at)
    if (entry._tag === "Node") { for (const key of entry.keys) go(stepText(key), depth + 1, at) }
  }
  go("", 0, -1)
}

/** @internal An entry as a line. */
export const entryText = (e: Entry): string => {
  switch (e._tag) {
    case "Node":
      return e.index < 0 ? e.sort.name : `${e.sort.name}(index=${e.index}${outerText(e.outerIndex)})`
    case "Variable":
      return `${e.kind}(index=${e.index}${metadataText(e.metadata)}${modeText(e.mode)}${outerText(e.outerIndex)})`
    case "Ref":
      return `Ref(index=${e.index})`
    case "Array":
      return "Array"
    case "Static":
      return `Static(${staticText(e.value)})`
  }
}

/**
 * The structure as a tree, a line for each attribute:
 *
 * ```text
 * GraphDef Net(index=0)
 *   a: Linear(index=1)
 *     kernel: Param(index=2)
 *   b: Ref(index=1)
 * ```
 */
export const printGraphDef = (self: Any): string => {
  const lines: Array<string> = []
  visitEntries(self, (entry, step, depth) => {
    lines.push(depth === 0 ? `GraphDef ${entryText(entry)}` : `${"  ".repeat(depth)}${step}: ${entryText(entry)}`)
  })
  return lines.join("\n")
}

const quoted = (text: string): string => `"${text.replaceAll("\"", "#quot;")}"`

/**
 * The structure as a Mermaid flowchart: boxes for nodes, rounded ones for Variables and arrays, an arrow for each
 * attribute, so that sharing and cycles show. Static values are left out.
 *
 * @category conversions
 * @since 0.1.0
 */
export const toMermaid = (self: Any): string => {
  const homes = new Map<number, number>()
  self.entries.forEach((e, at) => {
    if ((e._tag === "Node" || e._tag === "Variable") && e.index >= 0) homes.set(e.index, at)
  })
  const lines: Array<string> = []
  visitEntries(self, (e, step, _, parent, at) => {
    if (e._tag === "Static") return
    const target = e._tag === "Ref" ? homes.get(e.index) ?? at : at
    if (e._tag === "Node") lines.push(`  n${at}[${quoted(e.sort.name)}]`)
    else if (e._tag !== "Ref") lines.push(`  n${at}(${quoted(e._tag === "Array" ? "Array" : e.kind)})`)
    if (parent >= 0) lines.push(`  n${parent} -->|${quoted(step)}| n${target}`)
  })
  return ["flowchart TD", ...lines].join("\n")
}
