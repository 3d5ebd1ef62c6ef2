/**
 * What the compiler knows of models: the kinds of their Variables, the type of their State, and whether a list of
 * filters covers all of it. A list that leaves out a kind is rejected with a message that names the kind.
 *
 * Two rules keep this cheap and the messages whole. Nothing here constrains a kind to `string`: resolving that
 * constraint of a recursive type would go through the whole model. And the check sits on the type of the *model*
 * argument of `split`, not on the filters.
 */
import type { Any as AnyVariable } from "../Ref/Variable.ts"
import type { AllOf, AnyOf, Everything, Filter, Not, Nothing, Opaque, Rest } from "./Filter.ts"
import type { State, VariableState } from "./State.ts"

/** Names of a node's own attributes, without those that libraries use for themselves. */
type Attributes<M> = Exclude<keyof M, symbol | `~${string}`>

/** Counts down: `Below[7]` is 6. What is deeper than this is not seen; types that hold themselves end here. */
type Below = [
  never,
  0,
  1,
  2,
  3,
  4,
  5,
  6,
  7,
  8,
  9,
  10,
  11,
  12,
  13,
  14,
  15,
  16,
  17,
  18,
  19,
  20,
  21,
  22,
  23,
  24,
  25,
  26,
  27
]

/**
 * The kinds of all Variables below a value, 28 levels deep. Arrays that stand in a field by themselves count as
 * `"Array"`.
 *
 * @category type-level
 * @since 0.1.0
 */
export type KindsOf<M> = KindsIn<M, 28>

type KindsIn<M, Depth> = M extends (...args: never) => unknown ? never
  : M extends { readonly "~linum/Variable": unknown; readonly kind: infer K } ? K
  : M extends { readonly "~linum/VariableState": unknown; readonly kind: infer K } ? K
  : M extends { readonly "~linum/Tensor": unknown } ? "Array"
  : Depth extends keyof Below & number ? KindsBelow<M, Below[Depth]>
  : never

type KindsBelow<M, Depth> = M extends ReadonlyArray<infer Item> ? KindsIn<Item, Depth>
  : M extends { readonly "~linum/Static": unknown } ? never
  : M extends object ? { readonly [P in Attributes<M>]: KindsIn<M[P], Depth> }[Attributes<M>]
  : never

/** The name of a field if it has Variables of kinds `K` in it. */
type Kept<Field, K, P> = [Extract<KindsOf<Field>, K>] extends [never] ? never : P

/** What a State has where a model has a `Field`. */
type StateAt<Field, K> = Field extends
  { readonly "~linum/Variable": unknown; readonly kind: infer Own; readonly ref: { readonly current: infer A } }
  ? VariableState<Own, A>
  : Field extends { readonly "~linum/VariableState": unknown } ? Field
  : Field extends { readonly "~linum/Tensor": unknown } ? Field
  : StateOf<Field, K>

/**
 * The State of a model, with its Variables of kinds `K`.
 *
 * @category type-level
 * @since 0.1.0
 */
export type StateOf<M, K = KindsOf<M>> = M extends ReadonlyArray<infer Item>
  ? number extends M["length"] ? State<unknown> & { readonly [position: number]: StateAt<Item, K> }
  : State<unknown> & { readonly [P in Extract<keyof M, `${number}`>]: StateAt<M[P], K> }
  : M extends object ? State<unknown> & { readonly [P in Attributes<M> as Kept<M[P], K, P>]: StateAt<M[P], K> }
  : M

/** What a State of live Variables has where a model has a `Field`. */
type LiveAt<Field, K> = Field extends { readonly "~linum/Variable": unknown } ? Field
  : Field extends { readonly "~linum/VariableState": unknown } ? Field
  : Field extends { readonly "~linum/Tensor": unknown } ? Field
  : VariablesOf<Field, K>

/**
 * A State with the live Variables of kinds `K` of a model.
 *
 * @category type-level
 * @since 0.1.0
 */
export type VariablesOf<M, K = KindsOf<M>> = M extends ReadonlyArray<infer Item>
  ? State<AnyVariable> & { readonly [position: number]: LiveAt<Item, K> }
  : M extends object ? State<AnyVariable> & { readonly [P in Attributes<M> as Kept<M[P], K, P>]: LiveAt<M[P], K> }
  : State<AnyVariable>

/** What a State may have where a model has a `Field`. */
type PartialAt<Field, K> = Field extends
  { readonly "~linum/Variable": unknown; readonly kind: infer Own; readonly ref: { readonly current: infer A } }
  ? VariableState<Own, A>
  : Field extends { readonly "~linum/VariableState": unknown } ? Field
  : Field extends { readonly "~linum/Tensor": unknown } ? Field
  : PartialStateOf<Field, K>

/**
 * The State of a model when a filter that the compiler cannot judge took or left some of it: everything may be missing.
 *
 * @category type-level
 * @since 0.1.0
 */
export type PartialStateOf<M, K = KindsOf<M>> = M extends ReadonlyArray<infer Item>
  ? State<unknown> & { readonly [position: number]: PartialAt<Item, K> | undefined }
  : M extends object ? State<unknown> & { readonly [P in Attributes<M> as Kept<M[P], K, P>]?: PartialAt<M[P], K> }
  : M

/** The kinds of `K` that are `T` or its sub-kinds. A tag that is only known to be a string says nothing. */
type Tagged<K, T> = T extends string ? string extends T ? never : K extends T | `${T}/${string}` ? K : never : never

/**
 * The kinds of `K` that a filter covers for certain.
 *
 * @category type-level
 * @since 0.1.0
 */
export type Covered<K, F> = F extends Rest | Everything ? K
  : F extends Nothing | Opaque ? never
  : F extends { readonly tag: infer T } ? Tagged<K, T>
  : F extends AnyOf<infer Fs> ? number extends Fs["length"] ? never : Covered<K, Fs[number]>
  : F extends AllOf<infer Fs> ? CoveredByAll<K, Fs>
  : F extends Not<infer G> ? [Filter] extends [G] ? never : Exclude<K, Possible<K, G>>
  : never

type CoveredByAll<K, Fs> = Fs extends readonly [infer F, ...infer Others] ? CoveredByAll<Covered<K, F>, Others>
  : Fs extends readonly [] ? K
  : never

/**
 * The kinds of `K` of which a filter may take some.
 *
 * @category type-level
 * @since 0.1.0
 */
export type Possible<K, F> = F extends Rest | Everything | Opaque ? K
  : F extends Nothing ? never
  : F extends { readonly tag: infer T } ? string extends T ? K : Tagged<K, T>
  : F extends AnyOf<infer Fs> ? number extends Fs["length"] ? K : Possible<K, Fs[number]>
  : F extends AllOf<infer Fs> ? PossibleByAll<K, Fs>
  : F extends Not<infer G> ? [Filter] extends [G] ? K : Exclude<K, Covered<K, G>>
  : never

type PossibleByAll<K, Fs> = Fs extends readonly [infer F, ...infer Others] ? PossibleByAll<Possible<K, F>, Others> : K

/**
 * No filter covers the Variables of a kind. The name and the argument of this type are the compiler's message.
 *
 * @category type-level
 * @since 0.1.0
 */
export interface NoFilterCovers<out Kind> {
  readonly "~linum/error": "no filter covers this kind of Variable; add one, or end with Filter.rest"
  readonly kind: Kind
}

/**
 * `unknown` if the filters cover all kinds `K`, else what no model is.
 *
 * @category type-level
 * @since 0.1.0
 */
export type Check<K, Fs extends ReadonlyArray<Filter>> = Fs extends readonly [] ? unknown
  // A list whose length is not known is checked when it runs.
  : number extends Fs["length"] ? unknown
  // Generic code, of whose model no kind is known, must end so.
  : Fs extends readonly [...ReadonlyArray<unknown>, Rest | Everything] ? unknown
  : [Exclude<K, Covered<K, Fs[number]>>] extends [never] ? unknown
  : NoFilterCovers<Exclude<K, Covered<K, Fs[number]>>>

/** One State; partial if the filter, or one before it, is a matter of the running program. */
type StateFor<M, K, F, Vague> = Vague extends true ? PartialStateOf<M, Possible<K, F>>
  : [Possible<K, F>] extends [Covered<K, F>] ? StateOf<M, Covered<K, F>>
  : PartialStateOf<M, Possible<K, F>>

type VagueAfter<K, F, Vague> = Vague extends true ? true : [Possible<K, F>] extends [Covered<K, F>] ? false : true

/**
 * The States of `split(model, ...filters)`; one State of everything if there is no filter.
 *
 * @category type-level
 * @since 0.1.0
 */
export type SplitStates<M, K, Fs> = Fs extends readonly [] ? [StateOf<M, K>] : EachState<M, K, Fs, false>

type EachState<M, K, Fs, Vague> = Fs extends readonly [infer F, ...infer Others]
  ? [StateFor<M, K, F, Vague>, ...EachState<M, Exclude<K, Covered<K, F>>, Others, VagueAfter<K, F, Vague>>]
  : Fs extends readonly [] ? []
  : Array<PartialStateOf<M, K>>

/**
 * What `state(model, ...filters)` gives: one State for no or one filter, a tuple for more. Filters need not cover
 * everything.
 *
 * @category type-level
 * @since 0.1.0
 */
export type SelectedStates<M, K, Fs> = Fs extends readonly [] ? StateOf<M, K>
  : Fs extends readonly [infer F] ? StateFor<M, K, F, false>
  : EachState<M, K, Fs, false>

/**
 * What `variables(model, ...filters)` gives: one State for no or one filter, a tuple for more.
 *
 * @category type-level
 * @since 0.1.0
 */
export type LiveStates<M, K, Fs> = Fs extends readonly [] ? VariablesOf<M, K>
  : Fs extends readonly [infer F] ? LiveFor<M, K, F, false>
  : EachLive<M, K, Fs, false>

/** One State; its fields are known unless a filter, this or one before it, is a matter of the running program. */
type LiveFor<M, K, F, Vague> = Vague extends true ? State<AnyVariable>
  : [Possible<K, F>] extends [Covered<K, F>] ? VariablesOf<M, Covered<K, F>>
  : State<AnyVariable>

type EachLive<M, K, Fs, Vague> = Fs extends readonly [infer F, ...infer Others]
  ? [LiveFor<M, K, F, Vague>, ...EachLive<M, Exclude<K, Covered<K, F>>, Others, VagueAfter<K, F, Vague>>]
  : Fs extends readonly [] ? []
  : Array<State<AnyVariable>>
