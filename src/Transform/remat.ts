/**
 * `remat`: trades computation for memory. What a function computes on the way is not kept for its derivative, but
 * computed again.
 */
import * as Effect from "effect/Effect"
import * as control from "../Program/control.ts"
import { CurrentTrace } from "../Program/Trace.ts"
import { throwing, type TransformError } from "./attempt.ts"
import { allHeld, call, conclude, emitter, operands, splitArguments } from "./lift.ts"
import type { Traced } from "./types.ts"

/** Options of `remat`. */
export interface RematOptions {
  /** What may be kept all the same. By default nothing. */
  readonly policy?: control.RematPolicy
}

/**
 * A function whose intermediate values are recomputed when it is differentiated.
 *
 * Policies: `nothing_saveable`, `everything_saveable`, `dots_saveable` (matrix products and convolutions are kept),
 * `dots_with_no_batch_dims_saveable`, or names given with `checkpointName`.
 *
 * @category transforms
 * @since 0.1.0
 */
export const remat = <Args extends ReadonlyArray<unknown>, A, E, R>(
  f: Traced<Args, A, E, R>,
  options: RematOptions = {}
) =>
(...args: Args): Effect.Effect<A, E | TransformError, R> =>
  throwing(Effect.gen(function*() {
    const parent = yield* CurrentTrace
    const split = splitArguments(args, parent, allHeld)
    const c = yield* call<Args, A, E, R>(f, split, parent, {
      transform: `remat(${f.name || "anonymous"})`,
      references: parent?.references
    })
    const kept = emitter(parent)
    const node = control.checkpoint(c.discharged.program, options.policy ?? "nothing_saveable", operands(c, parent))
    kept.emit(node)
    return (yield* conclude(c, node.outputs, kept)) as A
  }))

export { checkpointName } from "../Program/control.ts"
