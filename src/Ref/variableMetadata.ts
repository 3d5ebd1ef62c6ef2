/**
 * Values with what a Variable is to know of them. An initializer wrapped by `withMetadata` gives the first value of a
 * parameter together with metadata and hooks; the kind that makes the Variable takes it apart.
 */
import * as Predicate from "effect/Predicate"
import type { VariableOptions } from "./Variable.ts"

const TypeId = "~linum/VariableMetadata"

/**
 * The first value of a Variable, with options of that Variable: metadata, hooks, mode.
 *
 * @category models
 * @since 0.1.0
 */
export interface VariableMetadata<out A> {
  readonly [TypeId]: typeof TypeId
  readonly rawValue: A
  readonly options: VariableOptions
}

/**
 * A value with options for the Variable that is made from it.
 *
 * ```ts import.meta.vitest
 * import * as nnx from "linum"
 *
 * const value = nnx.variableMetadata(nnx.Tensor.ones([2, 3]), { metadata: { outSharding: ["in", "out"] } })
 * console.log(nnx.Param.makeUnsafe(value).metadata) // => { outSharding: [ 'in', 'out' ] }
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const variableMetadata = <A>(rawValue: A, options: VariableOptions = {}): VariableMetadata<A> => ({
  [TypeId]: TypeId,
  rawValue,
  options
})

/** Is it a value with options? */
export const isVariableMetadata = (u: unknown): u is VariableMetadata<unknown> => Predicate.hasProperty(u, TypeId)

/** The value replaced by `f(value)`; options stay. */
export const mapRawValue = <A, B>(value: A | VariableMetadata<A>, f: (value: A) => B): B | VariableMetadata<B> =>
  isVariableMetadata(value) ? variableMetadata(f(value.rawValue as A), value.options) : f(value)

/**
 * Options of a constructor with those that came with the value: its metadata replaces the constructor's, its hooks stand
 * where the constructor gives none, as in Flax.
 */
export const combined = (own: VariableOptions | undefined, given: VariableOptions): VariableOptions => ({
  ...given,
  ...own,
  metadata: { ...own?.metadata, ...given.metadata },
  hooks: { ...given.hooks, ...own?.hooks }
})

/**
 * An initializer whose parameters get metadata and hooks: `flax.nnx.with_metadata`. It goes where initializers go, such
 * as the `kernelInit` of a layer.
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 *
 * const kernelInit = nnx.withMetadata(nnx.initializers.lecunNormal(), { metadata: { outSharding: ["in", "out"] } })
 * const layer = nnx.Linear.make(2, 3, { kernelInit }).pipe(Effect.provide(nnx.Rngs.layer(0)))
 * console.log(Effect.runSync(layer).kernel.metadata) // => { outSharding: [ 'in', 'out' ] }
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const withMetadata = <Args extends ReadonlyArray<unknown>, A>(
  initializer: (...args: Args) => A | VariableMetadata<A>,
  options: VariableOptions
): (...args: Args) => VariableMetadata<A> =>
(...args) => {
  const made = initializer(...args)
  return isVariableMetadata(made)
    ? variableMetadata(made.rawValue as A, combined(made.options, options))
    : variableMetadata(made, options)
}
