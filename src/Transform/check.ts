/**
 * Checks of values in traced code: effects that transforms interpret. They happen at every run, not once when the
 * function is traced.
 */
import * as Effect from "effect/Effect"
import type { Backend } from "../Backend/Backend.ts"
import { hostData } from "../Backend/read.ts"
import { CurrentTrace } from "../Program/Trace.ts"
import { DTypeError } from "../Tensor/errors.ts"
import * as Lax from "../Tensor/lax/index.ts"
import * as ShapedArray from "../Tensor/ShapedArray.ts"
import { lift, type Tensor, type TensorLike } from "../Tensor/Tensor.ts"
import { attempt, type TransformError } from "./attempt.ts"

/** bool, true where all elements are. */
const allTrue = (x: Tensor): Tensor => {
  if (x.dtype !== "bool") {
    throw new DTypeError({
      operation: "Check.that",
      expected: "a bool",
      found: ShapedArray.format(x.aval),
      hint: "compare: x.gt(0)"
    })
  }
  return x.ndim === 0 ? x : Lax.reduceAnd(x)
}

/**
 * Fails with `error` unless `predicate` (bool, any shape) holds everywhere. In compiled code the Program computes a
 * flag, and the Effect fails after the run; nothing is written then. If several checks fail, the first counts.
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 * import * as Cpu from "linum/backend/tfjs-cpu"
 *
 * class Negative { readonly _tag = "Negative" }
 * const root = nnx.jit((x: nnx.Tensor.Tensor) =>
 *   Effect.as(nnx.Check.that(x.ge(0), new Negative()), x.sqrt()))
 * const failed = Effect.flip(root(nnx.Tensor.array(-1)))
 * console.log((await Effect.runPromise(failed.pipe(Effect.provide(Cpu.layer))))._tag) // => Negative
 * ```
 *
 * @category effects
 * @since 0.1.0
 */
export const that = <E>(
  predicate: TensorLike,
  error: E
): Effect.Effect<void, E | TransformError, Backend> =>
  Effect.gen(function*() {
    const trace = yield* CurrentTrace
    const ok = yield* attempt(() => allTrue(lift(predicate)))
    if (trace !== undefined) return yield* attempt(() => trace.check(ok, error))
    const [holds] = yield* hostData(ok)
    if (holds === 0) return yield* Effect.fail(error)
  })
