/**
 * Splitting by filters: every leaf goes to the first filter that covers it. The pure half of the lenses: a list of
 * filters that covers everything is an isomorphism between a State and a tuple of States, one filter is a lens.
 */
import { cellOf, isVariable } from "../Ref/Variable.ts"
import { FilterError } from "./errors.ts"
import * as Filter from "./Filter.ts"
import * as Path from "./Path.ts"
import * as State from "./State.ts"
import type { LeafDef, Table } from "./Table.ts"

/** Positions for each filter, then those that no filter covers. */
export interface Assignment {
  readonly groups: ReadonlyArray<Group>
  readonly uncovered: ReadonlyArray<number>
}

/** The leaves of one filter: their positions and, since every State of one table shares it, their table. */
export interface Group {
  readonly positions: ReadonlyArray<number>
  readonly table: Table
}

interface Kept extends Assignment {
  readonly filters: ReadonlyArray<Filter.Filter>
}

/** How many lists of filters are kept for one table. */
const most = 8

/** Fails with a `FilterError` unless they are filters and `rest` and `everything` come last. Throws. */
export const checkFilters = (filters: ReadonlyArray<Filter.Filter>): void => {
  filters.forEach((filter, i) => {
    if (!Filter.isFilter(filter)) {
      throw new FilterError({
        reason: `Invalid filter: ${String(filter)}`,
        filters: [],
        uncovered: [],
        hint: "a filter is a kind such as Param, or made by Filter.anyOf, Filter.pathContains, Filter.where, …"
      })
    }
    const final = filters.slice(i).every(isLast)
    if (isLast(filter) && !final) {
      throw new FilterError({
        reason: `\`${Filter.format(filter)}\` can only be used as the last filter, got it at index ${i}`,
        filters: filters.map(Filter.format),
        uncovered: [],
        hint: "move it to the end: it takes everything that is left"
      })
    }
  })
}

const isLast = (filter: Filter.Filter): boolean => filter._tag === "Rest" || filter._tag === "Everything"

const subject = (def: LeafDef, value: unknown): Filter.Subject => ({
  kind: def.kind,
  metadata: def.metadata,
  value: isVariable(value) ? cellOf(value).raw : value
})

/** Sorts the leaves of a table. `valueAt` is asked only by predicates; without them the answer is kept. */
export const assign = (
  table: Table,
  filters: ReadonlyArray<Filter.Filter>,
  valueAt: (position: number) => unknown
): Assignment => {
  const known = (table.partitions as ReadonlyArray<Kept>).find((kept) => sameFilters(kept.filters, filters))
  if (known !== undefined) return known
  checkFilters(filters)
  const positions = filters.map((): Array<number> => [])
  const uncovered: Array<number> = []
  const asks = !filters.every(Filter.isStatic)
  table.paths.forEach((path, i) => {
    const leaf = subject(table.defs[i], asks ? valueAt(i) : undefined)
    const at = filters.findIndex((filter) => Filter.matches(filter, path, leaf))
    if (at < 0) uncovered.push(i)
    else positions[at].push(i)
  })
  const groups = positions.map((group) => ({
    positions: group,
    table: group.length === table.paths.length ? table : table.pick(group)
  }))
  const kept: Kept = { filters, groups, uncovered }
  if (!asks) table.partitions = [kept, ...table.partitions.slice(0, most - 1)]
  return kept
}

const sameFilters = (a: ReadonlyArray<Filter.Filter>, b: ReadonlyArray<Filter.Filter>): boolean =>
  a.length === b.length &&
  a.every((filter, i) => filter === b[i] || (Filter.isFilter(b[i]) && Filter.equals(filter, b[i])))

/** Throws a `FilterError` that names every leaf that no filter covers. */
export const checkCovered = (table: Table, filters: ReadonlyArray<Filter.Filter>, assignment: Assignment): void => {
  if (assignment.uncovered.length === 0) return
  throw new FilterError({
    reason: "Non-exhaustive filters: no filter covers some Variables",
    filters: filters.map(Filter.format),
    uncovered: assignment.uncovered.map((i) => ({ path: table.paths[i], kind: table.defs[i].kind })),
    hint: "add a filter for each kind, or end with Filter.rest to take everything that is left"
  })
}

/** The leaves of a group. */
export const takeGroup = (values: ReadonlyArray<unknown>, { positions, table }: Group): State.Any =>
  State.fromTable(table, positions.length === values.length ? values : positions.map((i) => values[i]))

/**
 * One State for each filter. Throws a `FilterError` that lists every leaf that no filter covers.
 *
 * ```ts import.meta.vitest
 * import { State } from "linum"
 *
 * const state = State.fromPureDict({ dense: { kernel: 1, bias: 2 } })
 * const [biases, others] = State.split(state, State.Filter.pathContains("bias"), State.Filter.rest)
 * console.log(State.paths(biases), State.paths(others)) // => [ [ 'dense', 'bias' ] ] [ [ 'dense', 'kernel' ] ]
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const split = (self: State.Any, ...filters: ReadonlyArray<Filter.Filter>): ReadonlyArray<State.Any> => {
  const { table, values } = State.inside(self)
  const assignment = assign(table, filters, (i) => values[i])
  checkCovered(table, filters, assignment)
  return assignment.groups.map((group) => takeGroup(values, group))
}

/**
 * One State for each filter; leaves that no filter covers are left out.
 *
 * @category combinators
 * @since 0.1.0
 */
export const filterAll = (self: State.Any, ...filters: ReadonlyArray<Filter.Filter>): ReadonlyArray<State.Any> => {
  const { table, values } = State.inside(self)
  return assign(table, filters, (i) => values[i]).groups.map((group) => takeGroup(values, group))
}

/**
 * The leaves that the filter covers.
 *
 * @category combinators
 * @since 0.1.0
 */
export const filter = (self: State.Any, by: Filter.Filter): State.Any => filterAll(self, by)[0]

/** The State with the leaves that the filter covers replaced by others. */
export const replaceIn = (self: State.Any, by: Filter.Filter, part: State.Any): State.Any => {
  const { table, values } = State.inside(self)
  const { uncovered } = assign(table, [by], (i) => values[i])
  const others = State.fromTable(table.pick(uncovered), uncovered.map((i) => values[i]))
  return State.merge(others, part)
}

/** For each distinct value, a filter of the paths that have it: a State of axes as a list of filters. */
export const pathFilters = (self: State.Any): ReadonlyArray<readonly [Filter.PathIn, unknown]> => {
  const groups = new Map<unknown, Array<Path.Path>>()
  const values = State.values(self)
  State.paths(self).forEach((path, i) => {
    const group = groups.get(values[i])
    if (group === undefined) groups.set(values[i], [path])
    else group.push(path)
  })
  return Array.from(groups, ([value, paths]) => [Filter.pathIn(...paths), value] as const)
}
