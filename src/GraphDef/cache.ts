/**
 * Traversals that are kept. A compiled function is called again and again on the same model; walking it each time would
 * cost more than small models take to run. A kept traversal is right as long as no Module in it has changed its fields
 * (their versions say so) and no Variable its metadata: a comparison of two fields for each.
 *
 * A call's arguments are a *surface* (the tuple, plain objects, States, arrays, numbers), which is walked on every
 * call, over *roots* (Modules and Variables), below which the kept traversal counts. Arrays of the surface change with
 * each call and are never kept, so a cache keeps no batch of data alive; and it is keyed weakly by its first root, so
 * it keeps no model alive.
 */
import * as Equal from "effect/Equal"
import { isVariable } from "../Ref/Variable.ts"
import { isTensor, literal, type Tensor } from "../Tensor/Tensor.ts"
import { type Flat, flatten, type Leaf, stillHolds } from "./flatten.ts"
import { sortOf } from "./Node.ts"

/** The surface of a value in one list, and its roots and arrays in order. */
interface Surface {
  readonly shape: ReadonlyArray<unknown>
  readonly roots: ReadonlyArray<object>
  readonly tensors: ReadonlyArray<Tensor>
}

const rootMark = Symbol("root")
const tensorMark = Symbol("tensor")

const surfaceOf = (value: unknown): Surface => {
  const shape: Array<unknown> = []
  const roots: Array<object> = []
  const tensors: Array<Tensor> = []
  const go = (u: unknown): void => {
    if (typeof u !== "object" || u === null) {
      shape.push(u)
    } else if (isTensor(u)) {
      shape.push(tensorMark)
      tensors.push(u)
    } else if (isVariable(u)) {
      shape.push(rootMark)
      roots.push(u)
    } else {
      const sort = sortOf(u)
      if (sort === undefined) {
        shape.push(u)
      } else if (sort._tag === "Graph") {
        shape.push(rootMark)
        roots.push(u)
      } else {
        const { keys, metadata, values } = sort.flatten(u)
        shape.push(sort.type, keys.length, metadata)
        // The keys of a list follow from their number, those of a State from its table.
        if (sort.name === "Dict") shape.push(...keys)
        for (const child of values) go(child)
      }
    }
  }
  go(value)
  return { shape, roots, tensors }
}

const sameList = (a: ReadonlyArray<unknown>, b: ReadonlyArray<unknown>): boolean => {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

const sameShape = (a: ReadonlyArray<unknown>, b: ReadonlyArray<unknown>): boolean => {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i] && !Equal.equals(a[i], b[i])) return false
  return true
}

/** One kept traversal. `holes` are the leaves that are arrays of the surface. */
interface Kept {
  readonly shape: ReadonlyArray<unknown>
  readonly roots: ReadonlyArray<object>
  readonly flat: Flat
  readonly holes: ReadonlyArray<{ readonly leaf: number; readonly path: Leaf["path"] }>
}

/** Equal to others of its sort, and yet not the same: an update context of an earlier call must not come back. */
const isOpaque = (u: unknown): boolean => typeof u === "object" && u !== null && "~linum/Opaque" in u

/** How many traversals are kept for one first root. */
const most = 8

/** Takes values apart, and remembers how. */
export type Flattener = (value: unknown) => Flat

/** A memory of traversals: each compiled function has one. */
export const flattener = (): Flattener => {
  const byRoot = new WeakMap<object, Array<Kept>>()
  return (value) => {
    const surface = surfaceOf(value)
    // What holds arrays alone is kept by the memory itself.
    const root = surface.roots[0] ?? byRoot
    const kept = byRoot.get(root) ?? []
    const at = kept.findIndex((k) => sameList(k.roots, surface.roots) && sameShape(k.shape, surface.shape))
    if (at >= 0) {
      const found = kept[at]
      if (found.flat.guards !== undefined && stillHolds(found.flat.guards)) return fill(found, surface.tensors)
      kept.splice(at, 1)
    }
    const flat = flatten(value)
    if (flat.guards !== undefined && !surface.shape.some(isOpaque)) {
      if (kept.length === most) kept.shift()
      kept.push(keep(surface, flat))
      byRoot.set(root, kept)
    }
    return flat
  }
}

const keep = (surface: Surface, flat: Flat): Kept => {
  const nobody = literal(0, "bool")
  const leaves = flat.leaves.slice()
  const holes = flat.surface.map((leaf) => {
    const { path } = leaves[leaf]
    leaves[leaf] = { _tag: "Array", tensor: nobody, path }
    return { leaf, path }
  })
  return { shape: surface.shape, roots: surface.roots, flat: { ...flat, leaves }, holes }
}

const fill = (kept: Kept, tensors: ReadonlyArray<Tensor>): Flat => {
  if (kept.holes.length === 0) return kept.flat
  const leaves = kept.flat.leaves.slice()
  kept.holes.forEach(({ leaf, path }, i) => {
    leaves[leaf] = { _tag: "Array", tensor: tensors[i], path }
  })
  return { ...kept.flat, leaves }
}
