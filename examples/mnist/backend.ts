/**
 * The backends that the example can run on, each loaded only if it is asked for.
 */
import { Effect, Layer } from "effect"

/** CPU kernels in plain JavaScript; they run everywhere. */
const cpu = Layer.unwrap(Effect.map(Effect.promise(() => import("linum/backend/tfjs-cpu")), ({ layer }) => layer))

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
const webgpu = Layer.unwrap(
  Effect.andThen(
    installWebGpu,
    Effect.map(Effect.promise(() => import("linum/backend/tfjs-webgpu")), ({ layer }) => layer)
  )
)

/** By name. */
export const backends = { cpu, webgpu } as const

/** The names of the backends. */
export const names = ["cpu", "webgpu"] as const
