// Layers and initializers from the golden files: what Flax calls snake_case is camelCase here, and options that JSON
// cannot hold are text.
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import { iterGraph } from "../../src/GraphDef/traverse.ts"
import { type Initializer, initializers } from "../../src/Layer/index.ts"
import { isVariable, type Variable } from "../../src/Ref/Variable.ts"
import { isTensor, type Tensor } from "../../src/Tensor/Tensor.ts"
import { type Argument, input, isValue, type Value } from "../support/golden.ts"

/** A call of a layer. */
export interface Call {
  readonly inputs: ReadonlyArray<Argument>
  readonly options: Readonly<Record<string, Argument>>
  readonly out?: Value
  readonly error?: string
  readonly changed: Readonly<Record<string, Value>>
  readonly dx?: ReadonlyArray<Value>
  readonly dparams?: Readonly<Record<string, Value>>
}

/** A layer and what became of it. */
export interface LayerCase {
  readonly name: string
  readonly layer: string
  readonly args: ReadonlyArray<Argument>
  readonly options: Readonly<Record<string, Argument>>
  readonly note?: string
  readonly rngs: Readonly<Record<string, Value>>
  readonly kinds: Readonly<Record<string, string>>
  readonly variables: Readonly<Record<string, Value>>
  readonly calls: ReadonlyArray<Call>
}

export const camel = (name: string): string => name.replaceAll(/_+([a-z])/g, (_, c: string) => c.toUpperCase())

const literal = (text: string): unknown => {
  if (text.startsWith("'")) return text.slice(1, -1)
  if (text.startsWith("(")) return text.slice(1, -1).split(",").filter((x) => x !== "").map(Number)
  return Number(text)
}

/** The initializer of a text such as `variance_scaling(1.0,'fan_in','normal',out_axis=0)`. */
export const initializer = (text: string): Initializer => {
  const [, name, args] = /^(\w+)(?:\((.*)\))?$/.exec(text) ?? []
  const made = (initializers as unknown as Readonly<Record<string, unknown>>)[camel(name)]
  if (args === undefined) return made as Initializer
  const parts = args.match(/[^,(]*\([^)]*\)|[^,]+/g) ?? []
  const named = parts.filter((part) => part.includes("=")).map((part) => part.split("="))
  const options = Object.fromEntries(named.map(([key, value]) => [camel(key), literal(value)]))
  const positional = parts.filter((part) => !part.includes("=")).map(literal)
  return (made as (...args: ReadonlyArray<unknown>) => Initializer)(
    ...positional,
    ...Object.keys(options).length === 0 ? [] : [options]
  )
}

/** Options in our names. Sizes by axis (`batch_axis`) and lists keep their form. */
export const options = (given: Readonly<Record<string, Argument>>): Readonly<Record<string, unknown>> =>
  Object.fromEntries(
    Object.entries(given).flatMap(([key, value]) =>
      value === null
        ? []
        : [[
          camel(key),
          typeof value === "string" && /_init(ializer)?$/.test(key)
            ? initializer(value)
            : typeof value === "object" && !Array.isArray(value) && !isValue(value)
            ? value
            : input(value)
        ]]
    )
  )

/** The Variables and the bare arrays of a model by path. */
export const leavesOf = (model: unknown): ReadonlyArray<readonly [string, Variable<string, Tensor> | Tensor]> =>
  [...iterGraph(model)].flatMap(([path, part]) =>
    isVariable(part) || isTensor(part) ? [[path.join("/"), part as Variable<string, Tensor> | Tensor] as const] : []
  )

/** What a leaf is: the last part of a Variable's kind. */
export const kindOf = (leaf: Variable<string, Tensor> | Tensor): string =>
  isTensor(leaf) ? "Array" : leaf.kind.replace(/.*\//, "")

/** What the Variables of a model hold now, and its arrays. */
export const snapshot = (model: unknown): Effect.Effect<ReadonlyMap<string, Tensor>> =>
  Effect.map(
    Effect.forEach(
      leavesOf(model),
      ([path, leaf]) => Effect.map(isTensor(leaf) ? Effect.succeed(leaf) : Ref.get(leaf), (x) => [path, x] as const)
    ),
    (entries) => new Map(entries)
  )
