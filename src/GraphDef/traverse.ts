/**
 * Walks over a model: everything in it, what is in it twice, and models made from it part by part. They look at
 * structure and hand out Variables, never values, so the first two are plain functions.
 */
import * as Effect from "effect/Effect"
import { currentUnsafe } from "../Program/Trace.ts"
import { isVariable } from "../Ref/Variable.ts"
import type { Path } from "../State/Path.ts"
import { attemptWith } from "../Tensor/attempt.ts"
import { build } from "./build.ts"
import { AliasError } from "./errors.ts"
import { sortOf } from "./Node.ts"
import { snapshot, traverse } from "./read.ts"

/**
 * Everything in a value with its path, depth first: containers after their children, the value itself last. What has
 * identity comes once, at its first path.
 *
 * @category traversing
 * @since 0.1.0
 */
export function* iterGraph(self: unknown): Generator<readonly [Path, unknown], void, undefined> {
  yield* iterate(self, [], new Set())
}

function* iterate(
  value: unknown,
  path: Path,
  seen: Set<unknown>
): Generator<readonly [Path, unknown], void, undefined> {
  const sort = isVariable(value) ? undefined : sortOf(value)
  if (isVariable(value) || sort?._tag === "Graph") {
    if (seen.has(value)) return
    seen.add(value)
  }
  if (sort !== undefined) {
    const { keys, values } = sort.flatten(value as object)
    for (let i = 0; i < keys.length; i++) yield* iterate(values[i], path.concat(keys[i]), seen)
  }
  yield [path, value]
}

/**
 * All paths of each node and Variable that is in a value more than once. What is below a node that was met before is
 * not reported again.
 *
 * @category traversing
 * @since 0.1.0
 */
export const findDuplicates = (self: unknown): ReadonlyArray<ReadonlyArray<Path>> => {
  const met = new Map<unknown, Array<Path>>()
  const go = (value: unknown, path: Path): void => {
    const sort = isVariable(value) ? undefined : sortOf(value)
    if (isVariable(value) || sort?._tag === "Graph") {
      const paths = met.get(value)
      if (paths !== undefined) {
        paths.push(path)
        return
      }
      met.set(value, [path])
    }
    if (sort === undefined) return
    const { keys, values } = sort.flatten(value as object)
    keys.forEach((key, i) => go(values[i], path.concat(key)))
  }
  go(self, [])
  return [...met.values()].filter((paths) => paths.length > 1)
}

/**
 * A copy of a model with the value of each leaf (of Variables, and bare arrays) replaced by `f(path, value)`.
 *
 * @category traversing
 * @since 0.1.0
 */
export const map = <A>(self: A, f: (path: Path, value: unknown) => unknown): Effect.Effect<A> =>
  Effect.sync(() => {
    const flat = traverse(self)
    const values = snapshot(flat).map((value, i) => f(flat.leaves[i].path, value))
    return build(flat.graphdef, values, { owner: currentUnsafe() }).value as A
  })

/**
 * A copy of a value with everything in it replaced by `f(path, part)`, children before the nodes that hold them. `f`
 * sees copies of nodes with their new children. What is shared is visited once and stays shared. Fails with an
 * `AliasError` on a cycle.
 *
 * @category traversing
 * @since 0.1.0
 */
export const recursiveMap = (
  self: unknown,
  f: (path: Path, part: unknown) => unknown
): Effect.Effect<unknown, AliasError> =>
  attemptWith((u): u is AliasError => u instanceof AliasError, () => {
    const done = new Map<unknown, unknown>()
    const open = new Map<unknown, Path>()
    const go = (value: unknown, path: Path): unknown => {
      if (done.has(value)) return done.get(value)
      const sort = isVariable(value) ? undefined : sortOf(value)
      if (sort === undefined) {
        const leaf = f(path, value)
        if (isVariable(value)) done.set(value, leaf)
        return leaf
      }
      const before = open.get(value)
      if (before !== undefined) throw cycle(sort.name, before, path)
      open.set(value, path)
      const { keys, metadata, values } = sort.flatten(value as object)
      const mapped = keys.map((key, i) => go(values[i], path.concat(key)))
      open.delete(value)
      if (sort._tag === "Tree") return f(path, sort.unflatten({ keys, values: mapped, metadata }))
      const node = sort.create(metadata, currentUnsafe())
      keys.forEach((key, i) => sort.set(node, String(key), mapped[i]))
      const made = f(path, node)
      done.set(value, made)
      return made
    }
    return go(self, [])
  })

const cycle = (name: string, first: Path, second: Path): AliasError =>
  new AliasError({
    operation: "recursiveMap",
    what: name,
    paths: [first, second],
    hint: "a node that holds itself has no order of children first; use map"
  })
