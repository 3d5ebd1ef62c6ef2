/**
 * Transforms inside of plain functions: runs an Effect at once, where the current fiber is. For Effects that build
 * equations and never wait.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"

/** The result of the Effect; its failure is thrown. */
export const runInline = <A, E>(effect: Effect.Effect<A, E>): A => {
  const context: Context.Context<never> = Fiber.getCurrent()?.context ?? Context.empty()
  const exit = Effect.runSyncExitWith(context)(effect)
  if (Exit.isSuccess(exit)) return exit.value
  throw Cause.squash(exit.cause)
}
