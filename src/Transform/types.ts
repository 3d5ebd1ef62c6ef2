/**
 * Types that all transforms share: what may be transformed, and what must not happen inside.
 */
import type * as Effect from "effect/Effect"
import type { Backend } from "../Backend/Backend.ts"
import type { Rngs } from "../Ref/Rngs.ts"

/** A function whose arguments and results are trees of arrays, Modules, Variables and static values. */
export type Traceable<Args extends ReadonlyArray<unknown>, A, E, R> = (...args: Args) => Effect.Effect<A, E, R>

/** The services that a traced function may use: all of their effects are interpreted. */
export type TracedServices = Backend | Rngs

/** The name and the argument of this type are the error message of a service call inside a traced function. */
export interface ServiceInsideTrace<out Service> {
  readonly "~linum/error":
    "a traced function runs once, not at every call: get the service outside and pass what it gives as an argument"
  readonly service: Service
}

/** Rejects other services. */
export type Check<R> = [Exclude<R, TracedServices>] extends [never] ? unknown
  : ServiceInsideTrace<Exclude<R, TracedServices>>

/**
 * A `Traceable` that needs no other services. The check stands at the result, since it would keep the compiler from
 * knowing the parameters of a function that is written in place.
 */
export type Traced<Args extends ReadonlyArray<unknown>, A, E, R> = (
  ...args: Args
) => Effect.Effect<A, E, R> & Check<R>
