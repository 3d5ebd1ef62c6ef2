/**
 * Array operations throw their errors, since they are plain functions; `attempt` turns what they throw into typed
 * failures.
 */
import * as Effect from "effect/Effect"
import { isTensorError, type TensorError } from "./errors.ts"

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
export const attempt = <A>(f: () => A): Effect.Effect<A, TensorError> =>
  Effect.suspend(() => {
    try {
      return Effect.succeed(f())
    } catch (error) {
      return isTensorError(error) ? Effect.fail(error) : Effect.die(error)
    }
  })
