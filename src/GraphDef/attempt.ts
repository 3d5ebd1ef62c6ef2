/**
 * From code that throws to Effects: the library's own errors become failures, everything else stays a defect.
 */
import * as Effect from "effect/Effect"

/** Runs `f` once. What it throws is a failure if `refine` knows it. */
export const attempt = <A, E>(refine: (thrown: unknown) => thrown is E, f: () => A): Effect.Effect<A, E> =>
  Effect.suspend(() => {
    try {
      return Effect.succeed(f())
    } catch (thrown) {
      return refine(thrown) ? Effect.fail(thrown) : Effect.die(thrown)
    }
  })
