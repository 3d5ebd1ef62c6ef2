/**
 * States and Filters as instances of fp-ts's type classes, for programs written against them. Linum itself does not use
 * them.
 *
 * A State is a functor of the values at its leaves: paths and kinds stay. Folds and traversals go in the order of the
 * paths.
 */
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import type { HKT } from "fp-ts/HKT"
import type { Applicative, Applicative2 } from "fp-ts/lib/Applicative.js"
import type { Eq } from "fp-ts/lib/Eq.js"
import type { FoldableWithIndex1 } from "fp-ts/lib/FoldableWithIndex.js"
import type { FunctorWithIndex1 } from "fp-ts/lib/FunctorWithIndex.js"
import type { Monad2 } from "fp-ts/lib/Monad.js"
import type { Monoid } from "fp-ts/lib/Monoid.js"
import type { TraversableWithIndex1 } from "fp-ts/lib/TraversableWithIndex.js"
import * as Filters from "../Filter.ts"
import type { Path } from "../Path.ts"
import * as States from "../State.ts"
import * as Table from "../Table.ts"

/** The name of `State` in fp-ts's table of type constructors. */
export const StateURI = "linum/State"
/** The name of `Effect`, with its error and its value. */
export const EffectURI = "linum/Effect"

declare module "fp-ts/HKT" {
  interface URItoKind<A> {
    readonly "linum/State": States.State<A>
  }
  interface URItoKind2<E, A> {
    readonly "linum/Effect": Effect.Effect<A, E>
  }
}

const reduceWithIndex = <A, B>(fa: States.State<A>, initial: B, f: (path: Path, sum: B, value: A) => B): B => {
  const paths = States.paths(fa)
  return States.values(fa).reduce((sum, value, i) => f(paths[i], sum, value), initial)
}

const reduceRightWithIndex = <A, B>(fa: States.State<A>, initial: B, f: (path: Path, value: A, sum: B) => B): B => {
  const paths = States.paths(fa)
  return States.values(fa).reduceRight((sum, value, i) => f(paths[i], value, sum), initial)
}

/**
 * Every value replaced, with its path in hand.
 *
 * @category instances
 * @since 0.1.0
 */
export const FunctorWithIndex: FunctorWithIndex1<typeof StateURI, Path> = {
  URI: StateURI,
  map: (fa, f) => States.map(fa, f),
  mapWithIndex: (fa, f) => States.mapWithPath(fa, f)
}

/**
 * Folds over the values in the order of their paths: counts, norms.
 *
 * @category instances
 * @since 0.1.0
 */
export const FoldableWithIndex: FoldableWithIndex1<typeof StateURI, Path> = {
  URI: StateURI,
  reduce: (fa, b, f) => reduceWithIndex(fa, b, (_, sum, value) => f(sum, value)),
  reduceRight: (fa, b, f) => reduceRightWithIndex(fa, b, (_, value, sum) => f(value, sum)),
  foldMap: (M) => (fa, f) => reduceWithIndex(fa, M.empty, (_, sum, value) => M.concat(sum, f(value))),
  reduceWithIndex,
  reduceRightWithIndex,
  foldMapWithIndex: (M) => (fa, f) => reduceWithIndex(fa, M.empty, (path, sum, value) => M.concat(sum, f(path, value)))
}

/** Runs `f` on each value in the applicative and puts the results back. */
const traverseWithIndex =
  <F>(F: Applicative<F>) =>
  <A, B>(ta: States.State<A>, f: (path: Path, value: A) => HKT<F, B>): HKT<F, States.State<B>> => {
    const append = (all: ReadonlyArray<B>) => (value: B): ReadonlyArray<B> => [...all, value]
    const none: HKT<F, ReadonlyArray<B>> = F.of([])
    const all: HKT<F, ReadonlyArray<B>> = reduceWithIndex(
      ta,
      none,
      (path, before, value) => F.ap<B, ReadonlyArray<B>>(F.map(before, append), f(path, value))
    )
    const { table } = States.inside(ta)
    return F.map(all, (values) => States.fromTable<B>(table, values))
  }

/**
 * Effects (of any applicative functor) for every value, in the order of the paths.
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import { State } from "linum"
 * import { EffectMonad, TraversableWithIndex } from "linum/State/FpTs"
 *
 * const state = State.fromPureDict({ a: 1, b: 2 })
 * const doubled = TraversableWithIndex.traverse(EffectMonad)(state, (x) => Effect.succeed(Number(x) * 2))
 * console.log(State.values(Effect.runSync(doubled))) // => [ 2, 4 ]
 * ```
 *
 * @category instances
 * @since 0.1.0
 */
export const TraversableWithIndex: TraversableWithIndex1<typeof StateURI, Path> = {
  ...FunctorWithIndex,
  ...FoldableWithIndex,
  traverseWithIndex,
  traverse: <F>(F: Applicative<F>) => <A, B>(ta: States.State<A>, f: (value: A) => HKT<F, B>) =>
    traverseWithIndex(F)(ta, (_, value) => f(value)),
  sequence: <F>(F: Applicative<F>) => <A>(ta: States.State<HKT<F, A>>) => traverseWithIndex(F)(ta, (_, value) => value)
}

/**
 * States are equal if they have the same paths, kinds and metadata, and equal values.
 *
 * @category instances
 * @since 0.1.0
 */
export const getEq = <A>(E: Eq<A>): Eq<States.State<A>> => ({
  equals: (x, y) => {
    if (x === y) return true
    const others = States.values(y)
    return Table.equals(States.inside(x).table, States.inside(y).table) &&
      States.values(x).every((value, i) => E.equals(value, others[i]))
  }
})

/**
 * States under `State.merge`: of two leaves at one path the right one counts. On States whose paths do not go on from
 * each other's leaves.
 *
 * @category instances
 * @since 0.1.0
 */
export const getMonoid = <A>(): Monoid<States.State<A>> => ({
  empty: States.empty,
  concat: (x, y) => States.merge(x, y) as unknown as States.State<A>
})

/**
 * Filters under `anyOf`.
 *
 * @category instances
 * @since 0.1.0
 */
export const FilterMonoidAny: Monoid<Filters.Filter> = {
  empty: Filters.nothing,
  concat: (x, y) => Filters.anyOf(x, y)
}

/**
 * Filters under `allOf`.
 *
 * @category instances
 * @since 0.1.0
 */
export const FilterMonoidAll: Monoid<Filters.Filter> = {
  empty: Filters.everything,
  concat: (x, y) => Filters.allOf(x, y)
}

/**
 * Filters by structure; predicates by identity.
 *
 * @category instances
 * @since 0.1.0
 */
export const FilterEq: Eq<Filters.Filter> = { equals: (x, y) => Equal.equals(x, y) || Filters.equals(x, y) }

/**
 * Effects that need no service, as a monad: what `traverse` takes to run one for each leaf, one after the other.
 *
 * @category instances
 * @since 0.1.0
 */
export const EffectMonad: Monad2<typeof EffectURI> & Applicative2<typeof EffectURI> = {
  URI: EffectURI,
  map: (fa, f) => Effect.map(fa, f),
  of: Effect.succeed,
  ap: (fab, fa) => Effect.flatMap(fab, (f) => Effect.map(fa, f)),
  chain: (fa, f) => Effect.flatMap(fa, f)
}
