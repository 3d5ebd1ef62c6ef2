/**
 * Array operations throw their errors, since they are plain functions. Here what is thrown becomes typed failures: only
 * the errors that `refine` knows; anything else stays a defect.
 */
import * as Effect from "effect/Effect"
import { isTensorError, type TensorError } from "./errors.ts"

/** @internal Runs `f` once. What it throws is a failure if `refine` knows it. */
export const attemptWith = <A, E>(refine: (thrown: unknown) => thrown is E, f: () => A): Effect.Effect<A, E> =>
  Effect.suspend(() => {
    try {
      return Effect.succeed(f())
    } catch (thrown) {
      return refine(thrown) ? Effect.fail(thrown) : Effect.die(thrown)
    }
  })

/** @internal An Effect whose code may throw anywhere. What it throws is a failure if `refine` knows it. */
export const throwingWith =
  <E2>(refine: (thrown: unknown) => thrown is E2) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E | E2, R> =>
    Effect.catchDefect(self, (defect) => refine(defect) ? Effect.fail(defect) : Effect.die(defect))

/**
 * The result of a function of arrays as an Effect that fails with the errors that array operations throw. Anything else
 * that is thrown is a defect.
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import { Tensor } from "linum"
 *
 * const shape = Tensor.attempt(() => Tensor.ones([2, 3]).matmul(Tensor.ones([2, 3]))).pipe(
 *   Effect.map((y) => `${y.shape}`),
 *   Effect.catchTag("ShapeError", (error) => Effect.succeed(error.operation))
 * )
 * console.log(Effect.runSync(shape)) // => matmul
 * ```
 *
 * @category errors
 * @since 0.1.0
 */
export const attempt = <A>(f: () => A): Effect.Effect<A, TensorError> => attemptWith(isTensorError, f)
