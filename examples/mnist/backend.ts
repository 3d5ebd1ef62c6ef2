/**
 * The backends that the example can run on, each loaded only if it is asked for.
 */
import { Effect, Layer } from "effect"

/** WebAssembly, on so many threads: the fastest without a GPU. Long steps leave the event loop free. */
const wasm = ({ threads }: Options) =>
  Layer.unwrap(Effect.map(
    Effect.promise(() => import("linum/backend/wasm")),
    ({ layerWith }) => layerWith({ threads, background: true })
  ))

/** Plain JavaScript: slow, and independent of the others. */
const cpu = () => Layer.unwrap(Effect.map(Effect.promise(() => import("linum/backend/tfjs-cpu")), ({ layer }) => layer))

/** Node has no WebGPU of its own: the package `webgpu` brings the implementation that Chromium has. */
const installWebGpu = Effect.promise(async () => {
  if (globalThis.navigator?.gpu !== undefined) return
  const { create, globals } = await import("webgpu")
  const gpu = create([])
  // Node crashes when the object is collected before its adapters: keep it as long as the process.
  Object.assign(globalThis, globals, { "~linum/gpu": gpu })
  Object.defineProperty(globalThis.navigator, "gpu", { value: gpu, configurable: true })
})

/** The GPU. */
const webgpu = () =>
  Layer.unwrap(
    Effect.andThen(
      installWebGpu,
      Effect.map(Effect.promise(() => import("linum/backend/tfjs-webgpu")), ({ layer }) => layer)
    )
  )

const backends = { wasm, cpu, webgpu }

/** The names of the backends. */
export const names = ["wasm", "cpu", "webgpu"] as const

/** Which backend, and how. */
export interface Options {
  readonly backend: typeof names[number]
  readonly threads: number
}

/** The backend of that name. */
export const layer = (options: Options) => backends[options.backend](options)
