/**
 * Pytrees: nested arrays and plain objects with Tensors at the leaves.
 *
 * A tree is a Tensor, an array of trees, or a plain object of trees (keys in sorted order, as JAX's dicts). Everything
 * else (numbers, strings, functions, null, class instances) is *static*: part of the structure, not a leaf.
 */
import * as Equal from "effect/Equal"
import * as Predicate from "effect/Predicate"
import { isTensor, type Tensor } from "./Tensor.ts"

/** The shape of a tree without its leaves. */
export type Structure =
  | { readonly _tag: "Leaf" }
  | { readonly _tag: "List"; readonly items: ReadonlyArray<Structure> }
  | { readonly _tag: "Dict"; readonly keys: ReadonlyArray<string>; readonly items: ReadonlyArray<Structure> }
  | { readonly _tag: "Static"; readonly value: unknown }

/** A tree taken apart. */
export interface Flat {
  readonly leaves: ReadonlyArray<Tensor>
  readonly structure: Structure
}

const leaf: Structure = { _tag: "Leaf" }

/** Is it an object made by a literal (and not an instance of some class)? */
export const isPlainObject = (u: unknown): u is Readonly<Record<string, unknown>> => {
  if (!Predicate.isObject(u) || Array.isArray(u)) return false
  const prototype: unknown = Object.getPrototypeOf(u)
  return prototype === Object.prototype || prototype === null
}

/** Leaves in order, and the structure that puts them back. */
export const flatten = (tree: unknown): Flat => {
  if (isTensor(tree)) return { leaves: [tree], structure: leaf }
  const leaves: Array<Tensor> = []
  const go = (node: unknown): Structure => {
    if (isTensor(node)) {
      leaves.push(node)
      return leaf
    }
    if (Array.isArray(node)) return { _tag: "List", items: node.map(go) }
    if (isPlainObject(node)) {
      const keys = Object.keys(node).toSorted()
      return { _tag: "Dict", keys, items: keys.map((key) => go(node[key])) }
    }
    return { _tag: "Static", value: node }
  }
  const structure = go(tree)
  return { leaves, structure }
}

/** The inverse of `flatten`; `leaves` may be of any type. */
export const unflatten = (structure: Structure, leaves: ReadonlyArray<unknown>): unknown => {
  let next = 0
  const go = (s: Structure): unknown => {
    switch (s._tag) {
      case "Leaf":
        return leaves[next++]
      case "List":
        return s.items.map(go)
      case "Dict":
        return Object.fromEntries(s.keys.map((key, i) => [key, go(s.items[i])]))
      case "Static":
        return s.value
    }
  }
  return go(structure)
}

/** Same structure? Static parts are compared structurally, functions by identity. */
export const sameStructure = (a: Structure, b: Structure): boolean => {
  if (a === b) return true
  switch (a._tag) {
    case "Leaf":
      return b._tag === "Leaf"
    case "List":
      return b._tag === "List" && sameItems(a.items, b.items)
    case "Dict":
      return b._tag === "Dict" && a.keys.length === b.keys.length && a.keys.every((k, i) => k === b.keys[i]) &&
        sameItems(a.items, b.items)
    case "Static":
      return b._tag === "Static" && (Object.is(a.value, b.value) || Equal.equals(a.value, b.value))
  }
}

const sameItems = (a: ReadonlyArray<Structure>, b: ReadonlyArray<Structure>): boolean =>
  a.length === b.length && a.every((s, i) => sameStructure(s, b[i]))

/** The leaves in order. */
export const leaves = (tree: unknown): ReadonlyArray<Tensor> => flatten(tree).leaves

/** The tree with every leaf replaced by `f(leaf, path)`; paths are like `["layers", "0", "w"]`. */
export const mapWithPath = (tree: unknown, f: (leaf: Tensor, path: ReadonlyArray<string>) => unknown): unknown => {
  const go = (node: unknown, path: ReadonlyArray<string>): unknown => {
    if (isTensor(node)) return f(node, path)
    if (Array.isArray(node)) return node.map((item, i) => go(item, [...path, String(i)]))
    if (isPlainObject(node)) {
      return Object.fromEntries(Object.keys(node).toSorted().map((key) => [key, go(node[key], [...path, key])]))
    }
    return node
  }
  return go(tree, [])
}

/** The tree with every leaf replaced. The result has the type of the tree: `f` keeps Tensors Tensors. */
export const map = <T>(tree: T, f: (leaf: Tensor) => Tensor): T => {
  const { leaves: xs, structure } = flatten(tree)
  return unflatten(structure, xs.map(f)) as T
}
