/**
 * The Wasm backend: `wasm`, in Node and in browsers. A compiled Program is one WebAssembly module, which JavaScript
 * enters once a run. State that jitted functions write stays in its memory, and so do large arrays.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Program } from "../../Program/Program.ts"
import { simplify } from "../../Program/simplify.ts"
import { Backend } from "../Backend.ts"
import { compile } from "./compile/index.ts"
import { emitKernel } from "./emitKernel.ts"
import { features } from "./features.ts"
import { plan } from "./plan.ts"
import { verified } from "./products/probe.ts"
import { noCrew } from "./runtime/crew.ts"
import { Engine } from "./runtime/Engine.ts"
import { Heap } from "./runtime/Heap.ts"
import { Residents } from "./runtime/Residents.ts"
import { Workers, workersAvailable } from "./runtime/Workers.ts"
import { make } from "./service.ts"

/**
 * Options of the Wasm backend.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /**
   * How many threads share the work of one run: 1 by default. More need worker_threads (Node) or a cross-origin isolated
   * page; where there are none, there is one.
   */
  readonly threads?: number
  /**
   * May runs of more than some 10 milliseconds go on in workers, so that the event loop goes on too? By default if there
   * are several threads.
   */
  readonly background?: boolean
  /** The most bytes of memory: 4 GiB by default, which is the most that there can be. */
  readonly maximumMemory?: number
  /**
   * How many bytes of large arrays, beside state, stay in that memory where they were computed: a sixteenth
   * of `maximumMemory` by default. What was used longest ago is moved out to make room. With 0 every result is copied out.
   */
  readonly residentBytes?: number
}

const engine = (
  { background, maximumMemory = 2 ** 32, residentBytes = maximumMemory / 16, threads = 1 }: Options
): Engine => {
  const together = (threads > 1 || background === true) && workersAvailable()
  const heap = new Heap({ shared: together, maximumMemory })
  const crew = together ? new Workers(heap.memory, { threads, background: background ?? true }) : noCrew
  return new Engine(heap, new Residents(heap, { budget: residentBytes }), crew)
}

/** The compiler takes Programs that only run: custom derivatives and names are inlined. */
const compiled = (program: Program) => compile(simplify(program, { final: true }))

/**
 * The Wasm backend with options.
 *
 * ```ts import.meta.vitest
 * import * as Effect from "effect/Effect"
 * import * as nnx from "linum"
 * import * as Wasm from "linum/backend/wasm"
 *
 * const mean = nnx.Tensor.item(nnx.Tensor.array([1, 2, 6]).mean())
 * const small = Wasm.layerWith({ maximumMemory: 64 * 1024 * 1024 })
 * console.log(Effect.runSync(Effect.provide(mean, small))) // => 3
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerWith = (options: Options): Layer.Layer<Backend> =>
  Layer.effect(
    Backend,
    Effect.suspend(() => make(engine(options), { compile: compiled, plan, emitKernel, features: verified(features()) }))
  )

/**
 * The Wasm backend: every operation, on all dtypes but float64 (`UnsupportedOperation`), on one thread.
 *
 * ```ts import.meta.vitest
 * import * as Effect from "effect/Effect"
 * import * as nnx from "linum"
 * import * as Wasm from "linum/backend/wasm"
 *
 * const mean = nnx.Tensor.item(nnx.Tensor.array([1, 2, 6]).mean())
 * console.log(Effect.runSync(Effect.provide(mean, Wasm.layer))) // => 3
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<Backend> = layerWith({})

export { explain } from "./explain.ts"
