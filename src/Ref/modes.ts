/**
 * Modes: how a Variable stores its value, how it prints and what it refuses. In Linum a write to a Variable crosses
 * every transform whatever its mode, so a mode is no choice between ways to train; it keeps the words of Flax.
 *
 * - `isMutable`: can it be written? Not after `immutable`.
 * - `hasRef`: is its value in an array ref of its own, which `getRawValue` gives?
 * - `isHijax`: the name by which Flax marks Variables whose writes cross transforms.
 * - `hadRef`, `wasHijax`: what `immutable` took away, for `mutable` to give back.
 *
 * What new Variables are is a scoped service, a `Context.Reference`: no switch for a whole process.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"

/** The mode of a Variable. There is one object for each combination, so modes compare by identity. */
export interface Mode {
  readonly hasRef: boolean
  readonly isHijax: boolean
  readonly isMutable: boolean
  readonly hadRef: boolean
  readonly wasHijax: boolean
}

const all: ReadonlyArray<Mode> = Array.from({ length: 32 }, (_, bits) =>
  Object.freeze({
    hasRef: (bits & 1) !== 0,
    isHijax: (bits & 2) !== 0,
    isMutable: (bits & 4) === 0,
    hadRef: (bits & 8) !== 0,
    wasHijax: (bits & 16) !== 0
  }))

/** @internal The one object for a combination. */
export const modeOf = (m: Partial<Mode>): Mode =>
  all[
    (m.hasRef === true ? 1 : 0) + (m.isHijax === true ? 2 : 0) + (m.isMutable === false ? 4 : 0) +
    (m.hadRef === true ? 8 : 0) + (m.wasHijax === true ? 16 : 0)
  ]

/** A Variable that can be written, without any mark. */
export const defaultMode: Mode = all[0]

/** The flags that differ from the default, in the order in which they print. */
export const flags = (self: Mode): ReadonlyArray<readonly [keyof Mode, boolean]> =>
  (Object.keys(defaultMode) as ReadonlyArray<keyof Mode>).flatMap((key) =>
    self[key] === defaultMode[key] ? [] : [[key, self[key]] as const]
  )

/** Read-only, remembering what it was. */
export const toImmutable = (self: Mode): Mode =>
  self.isMutable ? modeOf({ isMutable: false, hadRef: self.hasRef, wasHijax: self.isHijax }) : self

/** Writable, and again what it was. */
export const toMutable = (self: Mode): Mode =>
  self.isMutable ? self : modeOf({ hasRef: self.hadRef, isHijax: self.wasHijax })

/** With the value in an array ref; one that is read-only remembers it. */
export const toRef = (self: Mode): Mode =>
  modeOf(self.isMutable ? { ...self, hasRef: true } : { ...self, hadRef: true })

/** Without an array ref. */
export const toArray = (self: Mode): Mode => modeOf({ ...self, hasRef: false, hadRef: false })

/** What new Variables are. */
export interface NewVariables {
  readonly isHijax: boolean
  readonly hasRef: boolean
}

/**
 * What new Variables are where they are made: `{ isHijax, hasRef }`, both false by default. Options at a Variable's
 * creation count before it.
 *
 * @category references
 * @since 0.1.0
 */
export const VariableMode = Context.Reference<NewVariables>("linum/VariableMode", {
  defaultValue: () => ({ isHijax: false, hasRef: false })
})

/** @internal The mode of a Variable that is made now, in the current fiber. */
export const newMode = (options: Partial<NewVariables> | undefined): Mode => {
  const current = Fiber.getCurrent()?.getRef(VariableMode)
  return modeOf({
    isHijax: options?.isHijax ?? current?.isHijax ?? false,
    hasRef: options?.hasRef ?? current?.hasRef ?? false
  })
}

const withMode = <A, E, R>(self: Effect.Effect<A, E, R>, mode: Partial<NewVariables>): Effect.Effect<A, E, R> =>
  Effect.flatMap(VariableMode, (current) => Effect.provideService(self, VariableMode, { ...current, ...mode }))

/**
 * Are new Variables marked `isHijax` here?
 *
 * @category getters
 * @since 0.1.0
 */
export const usingHijax: Effect.Effect<boolean> = Effect.map(VariableMode, (mode) => mode.isHijax)

/**
 * Do new Variables keep their value in an array ref here?
 *
 * @category getters
 * @since 0.1.0
 */
export const usingRefs: Effect.Effect<boolean> = Effect.map(VariableMode, (mode) => mode.hasRef)

/**
 * Runs an Effect in which new Variables are marked `isHijax`, or not. It holds for that Effect alone, also when others
 * run beside it.
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 *
 * const make = nnx.Param.make(nnx.Tensor.array([1, 2, 3]))
 * console.log(Effect.runSync(make.pipe(nnx.useHijax(true))).isHijax) // => true
 * console.log(Effect.runSync(make).isHijax) // => false
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const useHijax: {
  (isHijax: boolean): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, isHijax: boolean): Effect.Effect<A, E, R>
} = dual(
  2,
  <A, E, R>(self: Effect.Effect<A, E, R>, isHijax: boolean): Effect.Effect<A, E, R> => withMode(self, { isHijax })
)

/**
 * Runs an Effect in which new Variables keep their value in an array ref, or not.
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 *
 * const variable = Effect.runSync(nnx.Param.make(nnx.Tensor.array([1, 2, 3])).pipe(nnx.useRefs(true)))
 * console.log(variable.hasRef) // => true
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const useRefs: {
  (hasRef: boolean): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, hasRef: boolean): Effect.Effect<A, E, R>
} = dual(
  2,
  <A, E, R>(self: Effect.Effect<A, E, R>, hasRef: boolean): Effect.Effect<A, E, R> => withMode(self, { hasRef })
)

/**
 * What new Variables are, as a Layer for a whole application: `Effect.provide(variableMode({ isHijax: true }))`. What is
 * left out is false.
 *
 * @category layers
 * @since 0.1.0
 */
export const variableMode = (mode: Partial<NewVariables>): Layer.Layer<never> =>
  Layer.succeed(VariableMode, { isHijax: mode.isHijax ?? false, hasRef: mode.hasRef ?? false })
