/**
 * The effectful half of the lenses: `split` and `state` read a model, `merge` makes one, `update` writes back. Each is
 * one synchronous block, so no fiber ever sees half of a step.
 */
import * as Effect from "effect/Effect"
import { currentUnsafe } from "../Program/Trace.ts"
import { defaultMode, type Mode, toArray, toImmutable, toMutable, toRef } from "../Ref/modes.ts"
import { ArrayRef } from "../Ref/Variable.ts"
import { FilterError } from "../State/errors.ts"
import type { Filter } from "../State/Filter.ts"
import { assign, checkCovered, type Group, takeGroup } from "../State/partition.ts"
import * as State from "../State/State.ts"
import { mapModes, Table } from "../State/Table.ts"
import type { Check, KindsOf, LiveStates, SelectedStates, SplitStates, StateOf } from "../State/types.ts"
import { attemptWith } from "../Tensor/attempt.ts"
import { build, type BuildOptions } from "./build.ts"
import { AliasError, StructureError } from "./errors.ts"
import type { Flat } from "./flatten.ts"
import { checkMisfits, gather, type Gathered, requireAll, type StateLike } from "./gather.ts"
import { type Any, type Entry, fromEntries, type GraphDef } from "./GraphDef.ts"
import type { LeafMetadata } from "./Node.ts"
import { snapshot, traverse } from "./read.ts"

/** @internal */
export const isFilterError = (u: unknown): u is FilterError => u instanceof FilterError

/** The State; or its leaf, if it is one leaf at the root. */
const rootOr = (state: State.Any): unknown => {
  const { paths } = State.inside(state).table
  return paths.length === 1 && paths[0].length === 0 ? State.rootLeaf(state) : state
}

const part = (values: ReadonlyArray<unknown>, group: Group): unknown => rootOr(takeGroup(values, group))

const whole = (flat: Flat, values: ReadonlyArray<unknown>): unknown => {
  const { table } = flat.graphdef.layout
  return rootOr(State.fromTable(table, values))
}

/** @internal What `split` gives, of a traversal. */
export const splitFlat = (flat: Flat, filters: ReadonlyArray<Filter>): ReadonlyArray<unknown> => {
  const values = snapshot(flat)
  if (filters.length === 0) return [flat.graphdef, whole(flat, values)]
  const { table } = flat.graphdef.layout
  const assignment = assign(table, filters, (i) => values[i])
  checkCovered(table, filters, assignment)
  return [flat.graphdef, ...assignment.groups.map((group) => part(values, group))]
}

/** The type of `split`, and of what may fail with `E` too. */
export interface Split<E = never> {
  <A, const Fs extends ReadonlyArray<Filter>>(
    self: A & Check<KindsOf<NoInfer<A>>, NoInfer<Fs>>,
    ...filters: Fs
  ): Effect.Effect<[GraphDef<A>, ...SplitStates<A, KindsOf<A>, Fs>], FilterError | E>
}

/** The type of `splitWith`. */
export interface SplitWith {
  <const Fs extends ReadonlyArray<Filter>>(...filters: Fs): <A>(
    self: A & Check<KindsOf<NoInfer<A>>, NoInfer<Fs>>
  ) => Effect.Effect<[GraphDef<A>, ...SplitStates<A, KindsOf<A>, Fs>], FilterError>
}

/**
 * @internal The signature is the contract: that a body keeps it, TypeScript could only check by computing the types of
 * all models.
 */
export const bySignature = <F>(body: (...args: ReadonlyArray<never>) => unknown): F => body as F

/**
 * A model as its structure and one State for each filter; one State of everything without filters. The first filter
 * that covers a Variable gets it, and every Variable must be covered: the compiler names a kind that is not. Fails with
 * a `FilterError` where the compiler cannot tell.
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
 * const program = Effect.gen(function*() {
 *   const [graphdef, params, stats] = yield* nnx.split(model, nnx.Param, nnx.BatchStat)
 *   console.log(params.kernel.value.shape) // => [ 2, 3 ]
 *   const copy = yield* nnx.merge(graphdef, params, stats)
 *   console.log(copy.kernel.kind, copy === model) // => Param false
 * })
 * Effect.runSync(program)
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const split = bySignature<Split>((self: unknown, ...filters: ReadonlyArray<Filter>) =>
  attemptWith(isFilterError, () => splitFlat(traverse(self), filters))
)

/**
 * `split` for pipes: `model.pipe(splitWith(Param, rest))`.
 *
 * @category combinators
 * @since 0.1.0
 */
export const splitWith = bySignature<SplitWith>((...filters: ReadonlyArray<Filter>) => (self: unknown) =>
  attemptWith(isFilterError, () => splitFlat(traverse(self), filters))
)

/**
 * The State of a model, or one for each of several filters. Filters need not cover everything; what they leave out is
 * left out.
 *
 * @category getters
 * @since 0.1.0
 */
export const state: <A, const Fs extends ReadonlyArray<Filter>>(
  self: A,
  ...filters: Fs
) => Effect.Effect<SelectedStates<A, KindsOf<A>, Fs>, FilterError> = (
  self: unknown,
  ...filters: ReadonlyArray<Filter>
): Effect.Effect<never, FilterError> =>
  attemptWith(isFilterError, () => {
    const flat = traverse(self)
    return select(flat, snapshot(flat), filters) as never
  })

const select = (flat: Flat, values: ReadonlyArray<unknown>, filters: ReadonlyArray<Filter>): unknown => {
  if (filters.length === 0) return whole(flat, values)
  const { groups } = assign(flat.graphdef.layout.table, filters, (i) => values[i])
  return groups.length === 1 ? part(values, groups[0]) : groups.map((group) => part(values, group))
}

/**
 * As `state`, with the live Variables themselves as leaves: writing one writes the model's.
 *
 * @category getters
 * @since 0.1.0
 */
export const variables: <A, const Fs extends ReadonlyArray<Filter>>(
  self: A,
  ...filters: Fs
) => Effect.Effect<LiveStates<A, KindsOf<A>, Fs>, FilterError> = (
  self: unknown,
  ...filters: ReadonlyArray<Filter>
): Effect.Effect<never, FilterError> =>
  attemptWith(isFilterError, () => {
    const flat = traverse(self)
    const values = flat.leaves.map((leaf) => leaf._tag === "Variable" ? leaf.variable : leaf.tensor)
    const { table } = flat.graphdef.layout
    if (filters.length === 0) return State.fromTable(table, values) as never
    const live = assign(table, filters, (i) => values[i]).groups.map((group) => takeGroup(values, group))
    return (live.length === 1 ? live[0] : live) as never
  })

/** The structure of a model. */
export const graphdef = <A>(self: A): Effect.Effect<GraphDef<A>> =>
  Effect.sync(() => traverse(self).graphdef as GraphDef<A>)

/** @internal */
export const isMergeError = (u: unknown): u is StructureError | AliasError =>
  u instanceof StructureError || u instanceof AliasError

/**
 * A new model of a structure and States that together have all its leaves: the inverse of `split`. Takes States, and
 * nested plain objects of arrays. Live Variables (`variables`) become part of the new model, everything else gets new
 * ones, which belong to the current trace. Fails with a `StructureError` that lists every missing and every unknown
 * path.
 *
 * @category constructors
 * @since 0.1.0
 */
export const merge = <A>(
  self: GraphDef<A>,
  ...states: ReadonlyArray<StateLike>
): Effect.Effect<A, StructureError | AliasError> => attemptWith(isMergeError, () => mergeWith(self, states).value as A)

/**
 * @internal What `merge` makes, and all objects by index: those that earlier merges of one index space made, and its
 * own.
 */
export const mergeWith = (
  self: Any,
  states: ReadonlyArray<StateLike>,
  options: Omit<BuildOptions, "owner" | "define"> = {}
): { readonly value: unknown; readonly objects: ReadonlyArray<object> } => {
  const operation = options.operation ?? "merge"
  const gathered = gather(operation, self, states)
  requireAll(gathered, self)
  checkMisfits(operation, gathered, "give exactly the leaves of the GraphDef, in one or several States")
  const definition = gathered.metadata.size + gathered.modes.size === 0 ? self : withOwn(self, gathered)
  return build(definition, gathered.values, { owner: currentUnsafe(), ...options })
}

/** The structure with the metadata and modes that came with the leaves. */
const withOwn = <A>(self: GraphDef<A>, { metadata, modes }: Gathered): GraphDef<A> => {
  let leaf = 0
  return fromEntries(self.entries.map((e) => {
    if (e._tag !== "Variable" && e._tag !== "Array") return e
    const at = leaf++
    return e._tag === "Array"
      ? e
      : { ...e, metadata: metadata.get(at) ?? e.metadata, mode: modes.get(at) ?? e.mode }
  }))
}

/**
 * A copy of a model: new nodes and new Variables of the same arrays, shared and cyclic as the original.
 *
 * @category combinators
 * @since 0.1.0
 */
export const clone = <A>(self: A): Effect.Effect<A> => copy(self, (graphdef) => graphdef)

const copy = <A>(self: A, change: (graphdef: Any) => Any): Effect.Effect<A> =>
  Effect.sync(() => {
    const flat = traverse(self)
    return build(change(flat.graphdef), snapshot(flat), { owner: currentUnsafe() }).value as A
  })

/** A copy whose Variables (and snapshots of some) have another mode. Array refs have none. */
const convert = (f: (mode: Mode) => Mode) => <A>(self: A): Effect.Effect<A> =>
  copy(self, ({ entries }) =>
    fromEntries(entries.map((e): Entry => {
      if (e._tag === "Variable") return e.kind === ArrayRef.tag ? e : { ...e, mode: f(e.mode) }
      return e._tag === "Node" ? { ...e, metadata: convertMetadata(e.metadata, e.sort.name, f) } : e
    })))

/** What is static of a State and of a snapshot has modes in it. */
const convertMetadata = (metadata: unknown, sort: string, f: (mode: Mode) => Mode): unknown => {
  if (metadata instanceof Table) return mapModes(metadata, f)
  if (sort !== "VariableState") return metadata
  const own = metadata as LeafMetadata
  return { ...own, mode: f(own.mode ?? defaultMode) }
}

/**
 * A copy of a value (a Variable, a Module, a State, or anything that holds some) whose Variables are read-only. They
 * remember their mode as `hadRef` and `wasHijax`, and `mutable` gives it back.
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 *
 * const program = Effect.gen(function*() {
 *   const v = yield* nnx.Variable.make(nnx.Tensor.array(0, { dtype: "int32" }), { hasRef: true })
 *   const frozen = yield* nnx.immutable(v)
 *   console.log(String(frozen))
 *   // => Variable( # 1 (4 B)
 *   //   value=Array(0, dtype=int32),
 *   //   isMutable=false,
 *   //   hadRef=true
 *   // )
 *   console.log((yield* nnx.mutable(frozen)).hasRef) // => true
 * })
 * Effect.runSync(program)
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const immutable: <A>(self: A) => Effect.Effect<A> = convert(toImmutable)

/**
 * A copy of a value whose Variables can be written, in the mode that they had before `immutable`.
 *
 * @category combinators
 * @since 0.1.0
 */
export const mutable: <A>(self: A) => Effect.Effect<A> = convert(toMutable)

/**
 * A copy of a value whose Variables keep their values in array refs (`hasRef`), which `getRawValue` gives. One that is
 * read-only stays so, and gets its array ref from `mutable`.
 *
 * @category combinators
 * @since 0.1.0
 */
export const asRefVars: <A>(self: A) => Effect.Effect<A> = convert(toRef)

/**
 * A copy of a value whose Variables have no array refs: the inverse of `asRefVars`.
 *
 * @category combinators
 * @since 0.1.0
 */
export const toArrays: <A>(self: A) => Effect.Effect<A> = convert(toArray)

/** The States of a model's type: what `state` gives without filters. */
export type { StateOf }
