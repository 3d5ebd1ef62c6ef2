/** What the compiler makes of a Program, for people: its kernels, and how much memory they need. */
import type { Program } from "../../Program/Program.ts"
import { simplify } from "../../Program/simplify.ts"
import { compile } from "./compile/index.ts"
import { plan } from "./plan.ts"
import { format } from "./print.ts"

/**
 * The kernels of a Program as text: fused loops with their stages, products with their epilogues, and the memory that
 * temporary values need. A buffer `b3[8i+j]` is read or written at these indices; `r0 = sum …` is a reduction of the
 * current row.
 *
 * Throws an `UnsupportedOperation` for Programs that are only shown (with Variables in them).
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 * import * as Wasm from "linum/backend/wasm"
 *
 * const dense = (x: nnx.Tensor.Tensor, w: nnx.Tensor.Tensor, b: nnx.Tensor.Tensor) =>
 *   Effect.succeed(nnx.Tensor.nn.relu(x.matmul(w).add(b)))
 * const args = [nnx.Tensor.ones([4, 8]), nnx.Tensor.ones([8, 5]), nnx.Tensor.ones([5])] as const
 * console.log(Wasm.explain(Effect.runSync(nnx.makeProgram(dense)(...args))))
 * // => inputs b0:float32[32], b1:float32[40], b2:float32[5]
 * // dot dot_select_n 4x5x8 b3 = b0(8,1) @ b1(5,1)
 * //   t0 = (product + b2[j])
 * //   b4:float32[5i+j] = select((t0 <= 0), 0, t0)
 * // outputs b4:float32[20]
 * // memory for temporary values: 80 bytes
 * ```
 *
 * @category printing
 * @since 0.1.0
 */
export const explain = (program: Program): string => {
  const compiled = compile(simplify(program, { final: true }))
  return `${format(compiled)}\nmemory for temporary values: ${plan(compiled).arenaBytes} bytes`
}
