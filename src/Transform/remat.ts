/**
 * `remat`: trades computation for memory. What a function computes on the way is not kept for its derivative, but computed
 * again.
 */
import * as Effect from "effect/Effect"
import * as control from "../Program/control.ts"
import { hasEffects } from "../Program/Program.ts"
import { CurrentTrace } from "../Program/Trace.ts"
import { attempt, type TransformError } from "./attempt.ts"
import { call, emitter, flush, land, operands, splitArguments, writeThrough } from "./lift.ts"
import type { Check, Traceable } from "./types.ts"

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
  f: Traceable<Args, A, E, R> & Check<NoInfer<R>>,
  options: RematOptions = {}
) =>
(...args: Args): Effect.Effect<A, E | TransformError, R> =>
  Effect.gen(function*() {
    const parent = yield* CurrentTrace
    const split = splitArguments(args, parent)
    const c = yield* call<Args, A, E, R>(f, split, parent, { transform: `remat(${f.name || "anonymous"})` })
    const { emit, nodes } = emitter(parent)
    const value = yield* attempt(() => {
      const node = control.checkpoint(c.discharged.program, options.policy ?? "nothing_saveable", operands(c, parent))
      if (hasEffects(c.discharged.program)) emit(node)
      const own = node.outputs.length - c.discharged.writes.reduce((n, w) => n + w.leaves, 0)
      return land(c, {
        outputs: node.outputs.slice(0, own),
        state: node.outputs.slice(own),
        parent,
        write: writeThrough(parent)
      }) as A
    })
    yield* flush(nodes, c.trace.ownChecks, parent)
    return value
  })

export { checkpointName } from "../Program/control.ts"
