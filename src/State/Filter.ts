/**
 * Filters: which leaves of a model or State are meant. A kind (`Param`) is a filter itself and covers its sub-kinds;
 * the others are made here. Filters are plain values: they print, and compare and hash structurally (predicates by
 * identity), since they are parts of cache keys.
 *
 * A list of filters sorts every leaf to the first filter that covers it. The types of filters (`AnyOf<…>`, `Not<…>`)
 * say which kinds they cover, so that the compiler can tell that a list leaves a kind out; a filter that looks at
 * paths, tags or values is *opaque* to the compiler and never counts as covering.
 */
import * as Equal from "effect/Equal"
import * as Hash from "effect/Hash"
import * as Inspectable from "effect/Inspectable"
import * as Predicate from "effect/Predicate"
import { covers, isKind, type Kind, type Metadata } from "../Ref/Variable.ts"
import * as Path from "./Path.ts"

const TypeId = "~linum/Filter"

/** What filters see of a leaf. */
export interface Subject {
  readonly kind: string
  readonly metadata: Metadata
  readonly value: unknown
}

/** A function of a leaf and the path to it. */
export type LeafPredicate = (path: Path.Path, leaf: Subject) => boolean

interface Base extends Inspectable.Inspectable, Equal.Equal {
  readonly [TypeId]: typeof TypeId
}

/** Everything that no filter before covers. Only at the end. */
export interface Rest extends Base {
  readonly _tag: "Rest"
}
/** Every leaf. */
export interface Everything extends Base {
  readonly _tag: "Everything"
}
/** No leaf. */
export interface Nothing extends Base {
  readonly _tag: "Nothing"
}
/** What at least one of the filters covers. */
export interface AnyOf<out Fs extends ReadonlyArray<unknown>> extends Base {
  readonly _tag: "AnyOf"
  readonly filters: Fs
}
/** What all of the filters cover. */
export interface AllOf<out Fs extends ReadonlyArray<unknown>> extends Base {
  readonly _tag: "AllOf"
  readonly filters: Fs
}
/** What the filter does not cover. */
export interface Not<out F> extends Base {
  readonly _tag: "Not"
  readonly filter: F
}
/** Leaves below an attribute or position of this name. */
export interface PathContains extends Base {
  readonly _tag: "PathContains"
  readonly key: string
  readonly exact: boolean
}
/** Leaves at these paths. */
export interface PathIn extends Base {
  readonly _tag: "PathIn"
  readonly paths: ReadonlyArray<Path.Path>
}
/** Leaves whose metadata has this `tag`. */
export interface WithTag extends Base {
  readonly _tag: "WithTag"
  readonly tagged: string
}
/** Leaves of which a function holds. */
export interface Where extends Base {
  readonly _tag: "Where"
  readonly predicate: LeafPredicate
}
/** Bare arrays: those that stand in a field by themselves. */
export interface Arrays extends Base {
  readonly _tag: "Arrays"
  readonly tag: "Array"
}

/** Filters that only the running program can judge. */
export type Opaque = PathContains | PathIn | WithTag | Where

/**
 * Which leaves are meant.
 *
 * @category models
 * @since 0.1.0
 */
export type Filter =
  | Kind<string>
  | Rest
  | Everything
  | Nothing
  | Arrays
  | AnyOf<ReadonlyArray<Filter>>
  | AllOf<ReadonlyArray<Filter>>
  | Not<Filter>
  | Opaque

const Proto = {
  ...Inspectable.BaseProto,
  [TypeId]: TypeId,
  [Equal.symbol](this: Filter, that: unknown): boolean {
    return isFilter(that) && equals(this, that)
  },
  [Hash.symbol](this: Filter): number {
    return hash(this)
  },
  toString(this: Filter): string {
    return format(this)
  },
  toJSON(this: Filter) {
    return { _id: "Filter", filter: format(this) }
  },
  [Inspectable.NodeInspectSymbol](this: Filter): string {
    return format(this)
  }
}

const make = <F extends Base>(fields: Omit<F, keyof Base>): F => Object.assign(Object.create(Proto), fields)

/** Is it a filter? */
export const isFilter = (u: unknown): u is Filter => isKind(u) || Predicate.hasProperty(u, TypeId)

/** Everything that no filter before covers; `...` in Flax. It can only come last. */
export const rest: Rest = make<Rest>({ _tag: "Rest" })

/** Every leaf. */
export const everything: Everything = make<Everything>({ _tag: "Everything" })

/** No leaf. */
export const nothing: Nothing = make<Nothing>({ _tag: "Nothing" })

/** Bare arrays: those that stand in a field by themselves, without a Variable. */
export const arrays: Arrays = make<Arrays>({ _tag: "Arrays", tag: "Array" })

/** What at least one of the filters covers. */
export const anyOf = <const Fs extends ReadonlyArray<Filter>>(...filters: Fs): AnyOf<Fs> =>
  make<AnyOf<Fs>>({ _tag: "AnyOf", filters })

/** What all of the filters cover. */
export const allOf = <const Fs extends ReadonlyArray<Filter>>(...filters: Fs): AllOf<Fs> =>
  make<AllOf<Fs>>({ _tag: "AllOf", filters })

/** What the filter does not cover. */
export const not = <const F extends Filter>(filter: F): Not<F> => make<Not<F>>({ _tag: "Not", filter })

/**
 * Leaves below an attribute of this name; with `exact: false` below any whose name has the text in it.
 *
 * @category constructors
 * @since 0.1.0
 */
export const pathContains = (key: string | number, options?: { readonly exact?: boolean }): PathContains =>
  make<PathContains>({ _tag: "PathContains", key: String(key), exact: options?.exact ?? true })

/** Leaves at exactly these paths. */
export const pathIn = (...paths: ReadonlyArray<ReadonlyArray<string | number>>): PathIn =>
  make<PathIn>({ _tag: "PathIn", paths: paths.map((path) => path.map(String)) })

/** Leaves whose metadata has this `tag`; random streams have their name as tag. */
export const withTag = (tag: string): WithTag => make<WithTag>({ _tag: "WithTag", tagged: tag })

/** Leaves of which a function of path and leaf holds. */
export const where = (predicate: LeafPredicate): Where => make<Where>({ _tag: "Where", predicate })

/** Does a filter cover a leaf? */
export const matches = (self: Filter, path: Path.Path, leaf: Subject): boolean => {
  switch (self._tag) {
    case "Kind":
    case "Arrays":
      return covers(self.tag, leaf.kind)
    case "Rest":
    case "Everything":
      return true
    case "Nothing":
      return false
    case "AnyOf":
      return self.filters.some((f) => matches(f, path, leaf))
    case "AllOf":
      return self.filters.every((f) => matches(f, path, leaf))
    case "Not":
      return !matches(self.filter, path, leaf)
    case "PathContains":
      return self.exact ? path.includes(self.key) : path.some((key) => key.includes(self.key))
    case "PathIn":
      return self.paths.some((p) => Path.equals(p, path))
    case "WithTag":
      return leaf.metadata["tag"] === self.tagged
    case "Where":
      return self.predicate(path, leaf)
  }
}

/** The filter as a function of path and leaf. */
export const toPredicate = (self: Filter): LeafPredicate => (path, leaf) => matches(self, path, leaf)

/** Does the answer depend on nothing but path, kind and metadata? */
export const isStatic = (self: Filter): boolean => {
  switch (self._tag) {
    case "Where":
      return false
    case "Not":
      return isStatic(self.filter)
    case "AnyOf":
    case "AllOf":
      return self.filters.every(isStatic)
    default:
      return true
  }
}

const sameFilters = (a: ReadonlyArray<Filter>, b: ReadonlyArray<Filter>): boolean =>
  a.length === b.length && a.every((f, i) => equals(f, b[i]))

/** Structurally the same filter? Predicates are compared by identity. */
export const equals = (a: Filter, b: Filter): boolean => {
  if (a === b) return true
  switch (a._tag) {
    case "Kind":
      return b._tag === "Kind" && a.tag === b.tag
    case "AnyOf":
    case "AllOf":
      return b._tag === a._tag && sameFilters(a.filters, b.filters)
    case "Not":
      return b._tag === "Not" && equals(a.filter, b.filter)
    case "PathContains":
      return b._tag === "PathContains" && a.key === b.key && a.exact === b.exact
    case "PathIn":
      return b._tag === "PathIn" && a.paths.length === b.paths.length &&
        a.paths.every((p, i) => Path.equals(p, b.paths[i]))
    case "WithTag":
      return b._tag === "WithTag" && a.tagged === b.tagged
    case "Where":
      return b._tag === "Where" && a.predicate === b.predicate
    default:
      return a._tag === b._tag
  }
}

/** Agrees with `equals`. */
export const hash = (self: Filter): number => {
  switch (self._tag) {
    case "Where":
      return Hash.string(self._tag)
    default:
      return Hash.string(format(self))
  }
}

/** As written: `anyOf(Param, not(pathContains("bias")))`. */
export const format = (self: Filter): string => {
  switch (self._tag) {
    case "Kind":
      return self.tag
    case "Rest":
      return "rest"
    case "Everything":
      return "everything"
    case "Nothing":
      return "nothing"
    case "Arrays":
      return "arrays"
    case "AnyOf":
      return `anyOf(${self.filters.map(format).join(", ")})`
    case "AllOf":
      return `allOf(${self.filters.map(format).join(", ")})`
    case "Not":
      return `not(${format(self.filter)})`
    case "PathContains":
      return `pathContains(${JSON.stringify(self.key)}${self.exact ? "" : ", { exact: false }"})`
    case "PathIn":
      return `pathIn(${self.paths.map((p) => JSON.stringify(p)).join(", ")})`
    case "WithTag":
      return `withTag(${JSON.stringify(self.tagged)})`
    case "Where":
      return `where(${self.predicate.name})`
  }
}
