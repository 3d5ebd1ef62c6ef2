/**
 * StableHLO as data: values, operations, regions and functions; and its text. Names are given when all is built, in the
 * order and by the rules of MLIR's own printer: `%0`, `%1`, … for results, `%cst` and `%c` for constants; a region goes
 * on counting where its surroundings ended.
 */
import { formatResults, formatType, formatTypes, type Type } from "./text.ts"

/** A result of an operation or an argument of a region. The same value is the same object. */
export interface Value {
  readonly _tag: "Value"
  readonly type: Type
}

/** A block of operations inside an operation. */
export interface Region {
  readonly _tag: "Region"
  readonly arguments: ReadonlyArray<Value>
  /** A name for the arguments; without it they are `%arg0`, … */
  readonly hint: string | undefined
  /** Do the arguments stand in a line of their own, `^bb0(…):`? */
  readonly header: boolean
  readonly operations: ReadonlyArray<Operation>
}

/** Text of an operation: values are written by name, regions and further lines indented. */
export type Part = string | Value | Region

/** One operation. */
export interface Operation {
  readonly results: ReadonlyArray<Value>
  /** Names for the results, if they are not to be numbered. */
  readonly hints: ReadonlyArray<string>
  readonly parts: ReadonlyArray<Part>
}

/** An argument or a result of a function, and attributes such as `tf.aliasing_output = 0 : i32`. */
export interface Port {
  readonly value: Value
  readonly attributes: ReadonlyArray<string>
}

/** A function. */
export interface Func {
  readonly name: string
  readonly public: boolean
  readonly inputs: ReadonlyArray<Port>
  readonly outputs: ReadonlyArray<Port>
  readonly operations: ReadonlyArray<Operation>
}

/** A fresh value. */
export const value = (type: Type): Value => ({ _tag: "Value", type })

/** What has been used up in the surroundings of a region. */
interface Scope {
  values: number
  arguments: number
  conflicts: number
  readonly used: Set<string>
}

type Names = Map<Value, string>

/** A name that is not taken: itself, or with the next number behind it. */
const unique = (hint: string, scope: Scope): string => {
  let name = hint
  while (scope.used.has(name)) name = `${hint}_${scope.conflicts++}`
  scope.used.add(name)
  return name
}

const nameOperation = ({ hints, results }: Operation, scope: Scope, names: Names): void => {
  if (hints.length > 0) results.forEach((x, i) => names.set(x, `%${unique(hints[i], scope)}`))
  else if (results.length === 1) names.set(results[0], `%${scope.values++}`)
  else if (results.length > 1) {
    const all = scope.values++
    results.forEach((x, i) => names.set(x, `%${all}#${i}`))
  }
}

const nameBlock = (operations: ReadonlyArray<Operation>, scope: Scope, names: Names): void => {
  for (const operation of operations) nameOperation(operation, scope, names)
  for (const { parts } of operations) {
    for (const part of parts) {
      if (typeof part === "string" || part._tag === "Value") continue
      const inner: Scope = { ...scope, used: new Set(scope.used) }
      const { hint } = part
      for (const x of part.arguments) {
        names.set(x, hint === undefined ? `%arg${inner.arguments++}` : `%${unique(hint, inner)}`)
      }
      nameBlock(part.operations, inner, names)
    }
  }
}

const printBlock = (operations: ReadonlyArray<Operation>, names: Names, indent: string): ReadonlyArray<string> =>
  operations.map((operation) => printOperation(operation, names, indent))

const named = (x: Value, names: Names): string => `${names.get(x) ?? "%?"}: ${formatType(x.type)}`

const printRegion = (region: Region, names: Names, indent: string): string => {
  const header = region.header && region.arguments.length > 0
    ? [`${indent}^bb0(${region.arguments.map((x) => named(x, names)).join(", ")}):`]
    : []
  return `\n${[...header, ...printBlock(region.operations, names, `${indent}  `), indent].join("\n")}`
}

const printOperation = ({ hints, parts, results }: Operation, names: Names, indent: string): string => {
  const nameOf = (x: Value): string => names.get(x) ?? "%?"
  const left = results.length === 0
    ? ""
    : results.length === 1 || hints.length > 0
    ? `${results.map(nameOf).join(", ")} = `
    : `${nameOf(results[0]).split("#")[0]}:${results.length} = `
  const right = parts.map((part) =>
    typeof part === "string"
      ? part.replace("\n", `\n${indent}`)
      : part._tag === "Value"
      ? nameOf(part)
      : printRegion(part, names, indent)
  )
  return `${indent}${left}${right.join("")}`
}

/** A symbol: quoted where it is no identifier. */
export const symbol = (name: string): string =>
  /^[A-Za-z_][\w$.]*$/.test(name) ? `@${name}` : `@"${name.replace(/["\\]/g, "_")}"`

const attributed = (text: string, attributes: ReadonlyArray<string>): string =>
  attributes.length === 0 ? text : `${text} {${attributes.join(", ")}}`

const printResults = (outputs: ReadonlyArray<Port>): string => {
  const types = outputs.map((o) => o.value.type)
  if (outputs.every((o) => o.attributes.length === 0)) return outputs.length === 0 ? "" : ` -> ${formatResults(types)}`
  return ` -> (${outputs.map((o) => attributed(formatType(o.value.type), o.attributes)).join(", ")})`
}

const printFunc = (f: Func): string => {
  const names: Names = new Map()
  f.inputs.forEach((x, i) => names.set(x.value, `%arg${i}`))
  nameBlock(f.operations, { values: 0, arguments: f.inputs.length, conflicts: 0, used: new Set() }, names)
  const inputs = f.inputs.map((x) => attributed(named(x.value, names), x.attributes)).join(", ")
  const returned = f.outputs.map((o) => names.get(o.value) ?? "%?").join(", ")
  const types = f.outputs.length === 0 ? "" : ` ${returned} : ${formatTypes(f.outputs.map((o) => o.value.type))}`
  return [
    `  func.func ${f.public ? "public" : "private"} ${symbol(f.name)}(${inputs})${printResults(f.outputs)} {`,
    ...printBlock(f.operations, names, "    "),
    `    return${types}`,
    "  }"
  ].join("\n")
}

/** The text of a module. */
export const printModule = (name: string, functions: ReadonlyArray<Func>): string =>
  [
    `module ${symbol(name)} attributes {mhlo.num_partitions = 1 : i32, mhlo.num_replicas = 1 : i32} {`,
    ...functions.map(printFunc),
    "}",
    ""
  ].join("\n")
