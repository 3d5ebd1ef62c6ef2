/**
 * JSON to and from what it is not quite the same as: JavaScript values that a program made, and text that anyone made.
 */
import type * as Schema from "effect/Schema"
import { isPlainObject } from "../Tensor/Tree.ts"
import type { StoredStatic } from "./Manifest.ts"

/** How deep JSON may be nested. Nothing that the library writes comes near, and deeper text could exhaust the stack. */
const deepest = 200

/** The value, if it is JSON and comes back from its text as it is; undefined if not. */
export const asJson = (value: unknown, depth = 0): Schema.Json | undefined => {
  if (value === null || typeof value === "boolean" || typeof value === "string") return value
  if (typeof value === "number") return Number.isFinite(value) ? value : undefined
  if (depth > deepest) return undefined
  if (Array.isArray(value)) return all(value.map((item) => asJson(item, depth + 1)))
  if (!isPlainObject(value)) return undefined
  const keys = Object.keys(value)
  const items = all(keys.map((key) => asJson(value[key], depth + 1)))
  return items === undefined ? undefined : Object.fromEntries(keys.map((key, i) => [key, items[i]]))
}

const all = (items: ReadonlyArray<Schema.Json | undefined>): ReadonlyArray<Schema.Json> | undefined => {
  const known = items.filter((item) => item !== undefined)
  return known.length === items.length ? known : undefined
}

/** A primitive value, also those that JSON has no word for; undefined for an object or function. */
export const toStatic = (value: unknown): StoredStatic | undefined => {
  if (value === undefined) return { _tag: "Static", value: "undefined", as: "undefined" }
  if (value === null || typeof value === "boolean" || typeof value === "string") return { _tag: "Static", value }
  if (typeof value === "bigint") return { _tag: "Static", value: String(value), as: "bigint" }
  if (typeof value !== "number") return undefined
  if (Number.isFinite(value) && !Object.is(value, -0)) return { _tag: "Static", value }
  return { _tag: "Static", value: Object.is(value, -0) ? "-0" : String(value), as: "number" }
}

/** The inverse of `toStatic`. */
export const fromStatic = ({ as, value }: StoredStatic): unknown => {
  switch (as) {
    case undefined:
      return value
    case "undefined":
      return undefined
    case "number":
      return Number(value)
    case "bigint":
      return /^-?[0-9]{1,1000}$/.test(String(value)) ? BigInt(String(value)) : 0n
  }
}

/** The value of a text, or a message about what is wrong with it. */
export const parse = (
  text: string
): { readonly _tag: "Value"; readonly value: unknown } | { readonly _tag: "Problem"; readonly problem: string } => {
  if (tooDeep(text)) return { _tag: "Problem", problem: `JSON nested deeper than ${deepest}` }
  try {
    return { _tag: "Value", value: JSON.parse(text) }
  } catch (thrown) {
    return { _tag: "Problem", problem: thrown instanceof Error ? thrown.message : String(thrown) }
  }
}

/** Is JSON nested deeper than `parse` takes? */
export const tooDeep = (text: string): boolean => depthOf(text) > deepest

/** The most brackets that are open at once outside of strings. */
const depthOf = (text: string): number => {
  let [depth, most, quoted] = [0, 0, false]
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i)
    if (quoted) {
      if (c === 92) i++
      else if (c === 34) quoted = false
    } else if (c === 34) {
      quoted = true
    } else if (c === 91 || c === 123) {
      most = Math.max(most, ++depth)
    } else if (c === 93 || c === 125) {
      depth--
    }
  }
  return most
}
