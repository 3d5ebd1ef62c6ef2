// A Layer that is built once for a whole file of tests, and closed after the last of them: for backends whose device
// takes long to get.
import { afterAll } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"

/** The same services at every use. Call it at the top level of a test file. */
export const sharedLayer = <A, E>(layer: Layer.Layer<A, E>): Layer.Layer<A, E> => {
  const scope = Scope.makeUnsafe()
  const built = Effect.runPromiseExit(Layer.buildWithScope(layer, scope))
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))
  return Layer.effectContext(Effect.flatMap(Effect.promise(() => built), (exit) => exit))
}
