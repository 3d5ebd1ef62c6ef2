/**
 * State: the values of a model without the model. An immutable mapping from attribute names to snapshots of Variables,
 * or to nested States; what `split` takes out of a model and `merge` and `update` put back.
 *
 * A State reads like the model it came from: `state.linear.kernel.value`. Inside, it is flat: a table of paths and
 * kinds (shared by all States of one model) and a list of values.
 *
 * Arrays are immutable, so a leaf is a plain snapshot: writing a Variable later does not change it. (States that
 * `variables` makes hold the live Variables instead.) A Variable that is shared inside a model stands in its State
 * once, at its first path; the GraphDef knows the other paths.
 */
import * as Equal from "effect/Equal"
import { dual } from "effect/Function"
import * as Hash from "effect/Hash"
import * as Inspectable from "effect/Inspectable"
import * as Option from "effect/Option"
import * as Pipeable from "effect/Pipeable"
import * as Predicate from "effect/Predicate"
import { defaultMode, type Mode } from "../Ref/modes.ts"
import { print, printState } from "../Ref/print.ts"
import { cellOf, isVariable, type Metadata } from "../Ref/Variable.ts"
import * as ShapedArray from "../Tensor/ShapedArray.ts"
import { isTensor, type Tensor } from "../Tensor/Tensor.ts"
import * as Tree from "../Tensor/Tree.ts"
import { duplicatePath, unknownPath } from "./errors.ts"
import * as Path from "./Path.ts"
import * as Table from "./Table.ts"

const TypeId = "~linum/State"
const LeafTypeId = "~linum/VariableState"
const Inside: unique symbol = Symbol.for("~linum/State/inside")

/**
 * An immutable mapping from paths to leaves whose values are of type `A`.
 *
 * @category models
 * @since 0.1.0
 */
export interface State<out A> extends Pipeable.Pipeable, Inspectable.Inspectable, Equal.Equal {
  readonly [TypeId]: { readonly _A: (_: never) => A }
}

/** Any State. */
export type Any = State<unknown>

/**
 * A snapshot of a Variable: its kind, its metadata, its mode, and the value that it had.
 *
 * @category models
 * @since 0.1.0
 */
export interface VariableState<out K, out A> extends Inspectable.Inspectable, Equal.Equal {
  readonly [LeafTypeId]: typeof LeafTypeId
  readonly kind: K
  readonly metadata: Metadata
  /** The Variable's mode; undefined if nobody said so. */
  readonly mode: Mode | undefined
  readonly value: A
}

/** What a State holds at a path: a snapshot, or a bare array (or, from `variables`, a live Variable). */
export type Leaf<A> = VariableState<string, A> | A

const LeafProto = {
  ...Inspectable.BaseProto,
  [LeafTypeId]: LeafTypeId,
  [Equal.symbol](this: VariableState<string, unknown>, that: unknown): boolean {
    return isVariableState(that) && this.kind === that.kind &&
      (this.mode ?? defaultMode) === (that.mode ?? defaultMode) &&
      Equal.equals(this.metadata, that.metadata) && sameValue(this.value, that.value)
  },
  [Hash.symbol](this: VariableState<string, unknown>): number {
    return Hash.string(this.kind)
  },
  toString(this: VariableState<string, unknown>): string {
    return print(this)
  },
  toJSON(this: VariableState<string, unknown>) {
    return { _id: "VariableState", kind: this.kind, metadata: this.metadata }
  },
  [Inspectable.NodeInspectSymbol](this: VariableState<string, unknown>): string {
    return print(this)
  }
}

/** A snapshot of a Variable. */
export const variableState = <K extends string, A>(
  kind: K,
  value: A,
  metadata: Metadata = {},
  mode?: Mode
): VariableState<K, A> => Object.assign(Object.create(LeafProto), { kind, metadata, mode, value })

/** Is it a snapshot of a Variable? */
export const isVariableState = (u: unknown): u is VariableState<string, unknown> => Predicate.hasProperty(u, LeafTypeId)

/** Is it a State? */
export const isState = (u: unknown): u is Any => Predicate.hasProperty(u, TypeId)

interface Inside {
  readonly table: Table.Table
  readonly values: ReadonlyArray<unknown>
}

/** Trees of the very same arrays, or equal values of another type. */
const sameValue = (a: unknown, b: unknown): boolean => {
  if (Object.is(a, b)) return true
  if (isTensor(a) || isTensor(b)) return false
  const [x, y] = [Tree.flatten(a), Tree.flatten(b)]
  return Tree.sameStructure(x.structure, y.structure) && x.leaves.length === y.leaves.length &&
    x.leaves.every((t, i) => t === y.leaves[i])
}

const Proto = {
  ...Inspectable.BaseProto,
  ...Pipeable.Prototype,
  [TypeId]: { _A: (_: never) => _ },
  [Equal.symbol](this: Any, that: unknown): boolean {
    if (!isState(that)) return false
    const [a, b] = [inside(this), inside(that)]
    return Table.equals(a.table, b.table) && a.values.every((value, i) => sameValue(value, b.values[i]))
  },
  [Hash.symbol](this: Any): number {
    return inside(this).table.hash
  },
  toString(this: Any): string {
    return printState(nested(this))
  },
  toJSON(this: Any) {
    return { _id: "State", leaves: inside(this).table.paths.map(Path.format) }
  },
  [Inspectable.NodeInspectSymbol](this: Any): string {
    return printState(nested(this))
  }
}

/** @internal The flat insides of a State. */
export const inside = (self: Any): Inside => (self as unknown as { readonly [Inside]: Inside })[Inside]

const leafAt = ({ table, values }: Inside, i: number): unknown => {
  const [def, value] = [table.defs[i], values[i]]
  return def.bare || isVariable(value) ? value : variableState(def.kind, value, def.metadata, def.mode)
}

/** @internal The leaf of a State whose only path is the root. */
export const rootLeaf = (self: Any): unknown => leafAt(inside(self), 0)

const childAt = (self: Inside, child: Table.Child): unknown =>
  child._tag === "Leaf"
    ? leafAt(self, child.at)
    : fromTable(self.table.branch(child), self.values.slice(child.from, child.to))

/** A getter for every name below the root, so that `state.linear.kernel` reads the table without copying it. */
const prototypeOf = (table: Table.Table): object => {
  const prototype: object = Object.create(Proto)
  for (const child of table.children) {
    Object.defineProperty(prototype, child.key, {
      get(this: Any) {
        return childAt(inside(this), child)
      },
      enumerable: true
    })
  }
  return prototype
}

/** @internal A State of a table and the values at its paths. */
export const fromTable = <A>(table: Table.Table, values: ReadonlyArray<unknown>): State<A> => {
  table.prototype ??= prototypeOf(table)
  const self = Object.create(table.prototype)
  const own: Inside = { table, values }
  self[Inside] = own
  return self
}

/**
 * A State of paths and leaves: snapshots (`variableState`), live Variables, or anything else as a bare value. Paths may
 * come in any order. Throws a `StatePathError` if one comes twice, or goes on from another.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromEntries = <A>(entries: Iterable<readonly [Path.Path, unknown]>): State<A> =>
  fromFlat(Array.from(entries, ([path, leaf]) => {
    if (isVariableState(leaf)) {
      const { kind, metadata, mode, value } = leaf
      return { path, def: { kind, metadata, mode, bare: false }, value }
    }
    if (!isVariable(leaf)) return { path, def: Table.bareDef, value: leaf }
    const { kind, metadata, mode } = cellOf(leaf)
    return { path, def: { kind, metadata, mode, bare: false }, value: leaf }
  }))

interface Flat {
  readonly path: Path.Path
  readonly def: Table.LeafDef
  readonly value: unknown
}

const fromFlat = <A>(entries: ReadonlyArray<Flat>): State<A> => {
  const sorted = entries.toSorted((a, b) => Path.compare(a.path, b.path))
  for (let i = 1; i < sorted.length; i++) {
    const [before, path] = [sorted[i - 1].path, sorted[i].path]
    if (before.every((key, k) => key === path[k])) throw duplicatePath(before, path)
  }
  return fromTable(new Table.Table(sorted.map((e) => e.path), sorted.map((e) => e.def)), sorted.map((e) => e.value))
}

const toFlat = (self: Any): ReadonlyArray<Flat> => {
  const { table, values } = inside(self)
  return table.paths.map((path, i) => ({ path, def: table.defs[i], value: values[i] }))
}

/** The State without leaves. */
export const empty: State<never> = fromTable(new Table.Table([], []), [])

/** Does it have no leaf? */
export const isEmpty = (self: Any): boolean => inside(self).values.length === 0

/** The paths of the leaves, in order. */
export const paths = (self: Any): ReadonlyArray<Path.Path> => inside(self).table.paths

/** Paths with their leaves, in order (Flax's flat state). */
export const toEntries = (self: Any): ReadonlyArray<readonly [Path.Path, unknown]> => {
  const own = inside(self)
  return own.table.paths.map((path, i) => [path, leafAt(own, i)] as const)
}

/** The values at the leaves, in order: arrays or trees of them, without kinds. */
export const values = <A>(self: State<A>): ReadonlyArray<A> => inside(self).values as ReadonlyArray<A>

/**
 * The leaf or the nested State at a path.
 *
 * @category getters
 * @since 0.1.0
 */
export const get: {
  (path: Path.Path): (self: Any) => Option.Option<unknown>
  (self: Any, path: Path.Path): Option.Option<unknown>
} = dual(2, (self: Any, path: Path.Path): Option.Option<unknown> => {
  let own = inside(self)
  if (path.length === 0) return Option.some(own.table.position([]) === 0 ? leafAt(own, 0) : self)
  for (let i = 0; i < path.length; i++) {
    const child = own.table.children.find((c) => c.key === path[i])
    if (child === undefined) return Option.none()
    if (i === path.length - 1) return Option.some(childAt(own, child))
    if (child._tag === "Leaf") return Option.none()
    own = { table: own.table.branch(child), values: own.values.slice(child.from, child.to) }
  }
  return Option.none()
})

/** Every value replaced by `f(value)`; kinds and paths stay. */
export const map: {
  <A, B>(f: (value: A) => B): (self: State<A>) => State<B>
  <A, B>(self: State<A>, f: (value: A) => B): State<B>
} = dual(
  2,
  <A, B>(self: State<A>, f: (value: A) => B): State<B> =>
    fromTable(inside(self).table, values(self).map((value) => f(value)))
)

/** Every value replaced by `f(path, value)`; kinds and paths stay. */
export const mapWithPath: {
  <A, B>(f: (path: Path.Path, value: A) => B): (self: State<A>) => State<B>
  <A, B>(self: State<A>, f: (path: Path.Path, value: A) => B): State<B>
} = dual(2, <A, B>(self: State<A>, f: (path: Path.Path, value: A) => B): State<B> => {
  const { table } = inside(self)
  return fromTable(table, values(self).map((value, i) => f(table.paths[i], value)))
})

/** Every array replaced by `f(array)`, also those inside of tree values. The result has the type of the State. */
export const mapTensors: {
  (f: (x: Tensor) => Tensor): <S extends Any>(self: S) => S
  <S extends Any>(self: S, f: (x: Tensor) => Tensor): S
} = dual(
  2,
  <S extends Any>(self: S, f: (x: Tensor) => Tensor): S =>
    map(self, (value: unknown) => Tree.map(value, f)) as unknown as S
)

/**
 * Every array replaced by `f(array)`, which may be anything, also those inside of tree values: `jax.tree.map`. The
 * result is to be looked at; `mapTensors` gives a State of the same type.
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 *
 * const program = Effect.gen(function*() {
 *   const state = yield* nnx.state(yield* nnx.Linear.make(2, 3))
 *   return String(nnx.State.treeMap(state, (x) => x.shape))
 * })
 * console.log(Effect.runSync(program.pipe(Effect.provide(nnx.Rngs.layer(0)))))
 * // => State({
 * //   'bias': Param(
 * //     value=[3]
 * //   ),
 * //   'kernel': Param(
 * //     value=[2, 3]
 * //   )
 * // })
 * ```
 */
export const treeMap: {
  (f: (x: Tensor) => unknown): (self: Any) => Any
  (self: Any, f: (x: Tensor) => unknown): Any
} = dual(
  2,
  (self: Any, f: (x: Tensor) => unknown): Any =>
    map(self, (value: unknown) => {
      const { leaves, structure } = Tree.flatten(value)
      return Tree.unflatten(structure, leaves.map(f))
    })
)

/**
 * All leaves of all States. Where two have a leaf at one path, the later one counts. Throws a `StatePathError` if a
 * path of one goes on from a leaf of another.
 *
 * @category combinators
 * @since 0.1.0
 */
export const merge = <Ss extends ReadonlyArray<Any>>(...states: Ss): Merged<Ss> => {
  const all = new Map<string, Flat>()
  for (const state of states) for (const entry of toFlat(state)) all.set(Path.toKey(entry.path), entry)
  return fromFlat([...all.values()]) as unknown as Merged<Ss>
}

/** The type of `merge`: what each of them has. */
export type Merged<Ss> = Ss extends readonly [infer S, ...infer Rest] ? S & Merged<Rest> : Any

/** The leaves of `self` at paths that `that` does not have. */
export const diff: {
  (that: Any): <A>(self: State<A>) => State<A>
  <A>(self: State<A>, that: Any): State<A>
} = dual(2, <A>(self: State<A>, that: Any): State<A> => {
  const other = inside(that).table
  return pick(self, (path) => other.position(path) === undefined)
})

/** @internal The leaves that a test accepts. */
export const pick = <A>(self: State<A>, accept: (path: Path.Path, position: number) => boolean): State<A> => {
  const own = inside(self)
  const positions: Array<number> = []
  own.table.paths.forEach((path, i) => {
    if (accept(path, i)) positions.push(i)
  })
  if (positions.length === own.values.length) return self
  return fromTable(own.table.pick(positions), positions.map((i) => own.values[i]))
}

/** The number of leaves. */
export const length = (self: Any): number => inside(self).values.length

const tensorsOf = (self: Any): ReadonlyArray<Tensor> =>
  inside(self).values.flatMap((value) => Tree.leaves(isVariable(value) ? cellOf(value).raw : value))

/** The number of elements of all arrays. */
export const size = (self: Any): number => tensorsOf(self).reduce((n, x) => n + x.size, 0)

/** Bytes that the elements of all arrays take. */
export const bytes = (self: Any): number => tensorsOf(self).reduce((n, x) => n + ShapedArray.byteSize(x.aval), 0)

/** The State as plain objects with leaves (snapshots, bare arrays, live Variables). */
export const nested = (self: Any): unknown => unflattenDict(inside(self), (own, i) => leafAt(own, i))

/**
 * The State as plain objects of bare values: no kinds, no classes; for serialisation.
 *
 * @category conversions
 * @since 0.1.0
 */
export const toPureDict = (self: Any): unknown =>
  unflattenDict(inside(self), (own, i) => {
    const value = own.values[i]
    return isVariable(value) ? cellOf(value).raw : value
  })

/**
 * A State of bare values: nested plain objects and arrays, whose other values are the leaves. `merge` and `update` take
 * it where the values of Variables are meant; the model knows the kinds.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromPureDict = (dict: unknown): State<unknown> => {
  const entries: Array<readonly [Path.Path, unknown]> = []
  const go = (value: unknown, path: Path.Path): void => {
    if (Array.isArray(value)) value.forEach((item, i) => go(item, [...path, String(i)]))
    else if (!Tree.isPlainObject(value)) entries.push([path, value])
    else for (const key of Object.keys(value)) go(value[key], [...path, key])
  }
  go(dict, [])
  return fromEntries(entries)
}

/**
 * The State with the values of a pure dict, which may leave some out. Throws a `StatePathError` for what the State does
 * not have.
 *
 * ```ts import.meta.vitest
 * import { State } from "linum"
 *
 * const state = State.fromPureDict({ layers: [{ kernel: 1 }, { kernel: 2 }] })
 * const changed = State.replaceByPureDict(state, { layers: { 1: { kernel: 5 } } })
 * console.log(State.toPureDict(changed)) // => { layers: { '0': { kernel: 1 }, '1': { kernel: 5 } } }
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const replaceByPureDict: {
  (dict: unknown): <A>(self: State<A>) => State<A>
  <A>(self: State<A>, dict: unknown): State<A>
} = dual(2, <A>(self: State<A>, dict: unknown): State<A> => {
  const { table, values: old } = inside(self)
  const now = old.slice()
  const go = (value: unknown, path: Path.Path): void => {
    const at = table.position(path)
    if (at !== undefined) now[at] = value
    else if (Array.isArray(value)) value.forEach((item, i) => go(item, [...path, String(i)]))
    else if (!Tree.isPlainObject(value)) throw unknownPath(path)
    else for (const key of Object.keys(value)) go(value[key], [...path, key])
  }
  go(dict, [])
  return fromTable(table, now)
})

const unflattenDict = (own: Inside, leaf: (own: Inside, i: number) => unknown): unknown => {
  if (own.table.position([]) === 0) return leaf(own, 0)
  return Object.fromEntries(own.table.children.map((child) => [
    child.key,
    child._tag === "Leaf" ? leaf(own, child.at) : unflattenDict({
      table: own.table.branch(child),
      values: own.values.slice(child.from, child.to)
    }, leaf)
  ]))
}
