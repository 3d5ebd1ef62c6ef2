/**
 * The CPU backend: `tfjs-cpu`, in Node and in browsers. Arrays that leave a Program are plain JavaScript memory.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type { Backend } from "../../Backend.ts"
import * as service from "../service.ts"
import { make } from "./device.ts"

/**
 * The CPU backend: every operation, on all dtypes but float64 (`UnsupportedOperation`). Floats are summed in double, so
 * that it serves as a measure for other backends. Runs are synchronous; between them it holds nothing.
 *
 * ```ts import.meta.vitest
 * import * as Effect from "effect/Effect"
 * import * as nnx from "linum"
 * import * as Cpu from "linum/backend/tfjs-cpu"
 *
 * const mean = nnx.Tensor.item(nnx.Tensor.array([1, 2, 6]).mean())
 * console.log(Effect.runSync(Effect.provide(mean, Cpu.layer))) // => 3
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<Backend> = service.layer(Effect.sync(make))
