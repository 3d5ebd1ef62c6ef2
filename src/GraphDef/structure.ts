/**
 * Changes of structure: fields set and removed, Variables popped. They keep the identity of nodes and count their
 * versions.
 */
import type * as Effect from "effect/Effect"
import { FilterError } from "../State/errors.ts"
import type { Filter } from "../State/Filter.ts"
import { assign, takeGroup } from "../State/partition.ts"
import type { Path } from "../State/Path.ts"
import * as State from "../State/State.ts"
import type { KindsOf, SelectedStates } from "../State/types.ts"
import { attemptWith } from "../Tensor/attempt.ts"
import { TraceError } from "../Tensor/errors.ts"
import { isPlainObject } from "../Tensor/Tree.ts"
import { StructureError } from "./errors.ts"
import { type GraphSort, sortOf } from "./Node.ts"
import { checkNode } from "./owner.ts"
import { snapshot, traverse } from "./read.ts"

const isStructural = (u: unknown): u is StructureError | TraceError =>
  u instanceof StructureError || u instanceof TraceError

const graphSort = (operation: string, node: object, path: Path): GraphSort => {
  const sort = sortOf(node)
  if (sort?._tag === "Graph") return sort
  throw new StructureError({
    operation,
    misfits: [{
      path,
      expected: "a Module",
      found: sort === undefined ? "something that is no node" : `a ${sort.name}`
    }],
    hint: "only nodes with identity have fields that can change"
  })
}

/**
 * Sets a field of a node, whether it was there or not. Fails with a `TraceError` inside a trace that did not make the
 * node.
 *
 * @category combinators
 * @since 0.1.0
 */
export const setAttribute = (
  node: object,
  key: string,
  value: unknown
): Effect.Effect<void, StructureError | TraceError> =>
  attemptWith(isStructural, () => {
    const sort = graphSort("setAttribute", node, [])
    checkNode("setAttribute", node)
    sort.set(node, key, value)
    sort.touch(node)
  })

/**
 * Removes a field of a node. Fails with a `StructureError` if there is none, and with a `TraceError` inside a trace
 * that did not make the node.
 *
 * @category combinators
 * @since 0.1.0
 */
export const deleteAttribute = (node: object, key: string): Effect.Effect<void, StructureError | TraceError> =>
  attemptWith(isStructural, () => {
    const sort = graphSort("deleteAttribute", node, [])
    checkNode("deleteAttribute", node)
    if (!sort.flatten(node).keys.includes(key)) {
      throw new StructureError({
        operation: "deleteAttribute",
        misfits: [{ path: [key], expected: "a field", found: "nothing" }],
        hint: "only what is there can be removed"
      })
    }
    sort.remove(node, key)
    sort.touch(node)
  })

/** A Variable's place: the last node with identity on the way, the field there, and the rest of the way. */
interface Place {
  readonly node: object
  readonly sort: GraphSort
  readonly field: string
  readonly rest: Path
  readonly path: Path
}

const placeOf = (root: unknown, path: Path): Place => {
  let place: Place | undefined
  let at: unknown = root
  path.forEach((key, i) => {
    const sort = sortOf(at)
    if (sort?._tag === "Graph") place = { node: at as object, sort, field: key, rest: path.slice(i + 1), path }
    at = (at as Readonly<Record<string, unknown>>)[key]
  })
  if (place !== undefined) return place
  throw new StructureError({
    operation: "pop",
    misfits: [{ path, expected: "a Variable below a Module", found: "one in a plain array or object" }],
    hint: "plain arrays and objects are values; pop from the Modules in them"
  })
}

/** A plain object without what is at a path, emptied objects included. Positions of arrays cannot be removed. */
const without = (value: unknown, rest: Path, path: Path): unknown => {
  if (rest.length === 0) return undefined
  if (!isPlainObject(value)) {
    throw new StructureError({
      operation: "pop",
      misfits: [{
        path,
        expected: "a Variable in a field or a plain object",
        found: "one in an array",
        reason: `Cannot pop key '${rest[0]}' from node of type ${sortOf(value)?.name ?? "Array"}`
      }],
      hint: "the other elements would move; nothing was removed"
    })
  }
  const [key, ...below] = rest
  const { [key]: removed, ...others } = value
  const left = without(removed, below, path)
  return left === undefined ? Object.keys(others).length === 0 ? undefined : others : { ...others, [key]: left }
}

const popAll = (self: unknown, filters: ReadonlyArray<Filter>): unknown => {
  if (filters.length === 0) {
    throw new FilterError({
      reason: "Expected at least one filter",
      filters: [],
      uncovered: [],
      hint: "pop(model, Intermediate) removes what is of that kind"
    })
  }
  const flat = traverse(self)
  const values = snapshot(flat)
  const { table } = flat.graphdef.layout
  // Arrays by themselves are not popped.
  const chosen = assign(table, filters, (i) => values[i]).groups.map((group) =>
    group.positions.filter((i) => !table.defs[i].bare)
  )
  const places = chosen.flat().map((i) => placeOf(self, table.paths[i]))
  for (const { field, node, path, rest, sort } of places) {
    checkNode("pop", node)
    without(fieldOf(sort, node, field), rest, path)
  }
  for (const { field, node, path, rest, sort } of places) {
    const left = without(fieldOf(sort, node, field), rest, path)
    if (left === undefined) sort.remove(node, field)
    else sort.set(node, field, left)
    sort.touch(node)
  }
  const states: ReadonlyArray<State.Any> = chosen.map((positions) =>
    takeGroup(values, { positions, table: table.pick(positions) })
  )
  return states.length === 1 ? states[0] : states
}

const fieldOf = (sort: GraphSort, node: object, field: string): unknown => {
  const { keys, values } = sort.flatten(node)
  return values[keys.indexOf(field)]
}

/** What `pop` may fail with. */
export type PopError = FilterError | StructureError | TraceError

const isPopError = (u: unknown): u is PopError => u instanceof FilterError || isStructural(u)

/**
 * Removes the Variables that the filters cover from a model, and gives them as a State (one for each filter, if there
 * are several). A Variable that is shared is removed at its first path only. Fails with a `StructureError` if one
 * stands in an array, and then nothing is removed.
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 *
 * class Linear extends nnx.Module("Linear")<{
 *   readonly kernel: nnx.Variable<"Param", nnx.Tensor.Tensor>
 *   readonly mean: nnx.Variable<"BatchStat", nnx.Tensor.Tensor>
 * }> {}
 * const model = new Linear({
 *   kernel: nnx.Param.makeUnsafe(nnx.Tensor.ones([2, 3])),
 *   mean: nnx.BatchStat.makeUnsafe(nnx.Tensor.zeros([3]))
 * })
 *
 * const stats = Effect.runSync(nnx.pop(model, nnx.BatchStat))
 * console.log(nnx.State.paths(stats), Object.keys(model)) // => [ [ 'mean' ] ] [ 'kernel' ]
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const pop: <A, const Fs extends readonly [Filter, ...ReadonlyArray<Filter>]>(
  self: A,
  ...filters: Fs
) => Effect.Effect<SelectedStates<A, KindsOf<A>, Fs>, PopError> = (
  self: unknown,
  ...filters: ReadonlyArray<Filter>
): Effect.Effect<never, PopError> => attemptWith(isPopError, () => popAll(self, filters) as never)
