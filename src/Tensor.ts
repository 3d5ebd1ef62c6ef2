/**
 * Pure, lazy n-dimensional arrays: the operations of `Tensor/`, and the Effects that read values, which need a Backend.
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import { Tensor } from "linum"
 * import * as Cpu from "linum/backend/tfjs-cpu"
 *
 * const x = Tensor.array([[1, 2], [3, 4]])
 * const y = x.matmul(x).add(1)
 * console.log(y.shape) // => [ 2, 2 ]
 * console.log(await Effect.runPromise(Tensor.toNested(y).pipe(Effect.provide(Cpu.layer)))) // => [ [ 8, 11 ], [ 16, 23 ] ]
 * ```
 *
 * @since 0.1.0
 */
export { compute, item, toNested, toTypedArray } from "./Backend/read.ts"
export * from "./Tensor/index.ts"
