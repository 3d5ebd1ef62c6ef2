/**
 * The WebGPU backend: `tfjs-webgpu`, in browsers, and in Node where a package gives `navigator.gpu`. Arrays live in
 * buffers of a device that the Layer requests and destroys.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import { type Backend, BackendUnavailable } from "../../Backend.ts"
import * as service from "../service.ts"
import { make } from "./device.ts"
import { Gpu, name } from "./Gpu.ts"
import * as tensorflow from "./tensorflow.ts"

/** Limits of which we want all that the adapter has. */
const limits = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupsPerDimension"
] as const

/** Features that we take where they are. */
const features: ReadonlyArray<GPUFeatureName> = ["shader-f16", "subgroups", "timestamp-query"]

const unavailable = (reason: string, hint: string): BackendUnavailable =>
  new BackendUnavailable({ backend: name, reason, hint })

const elsewhere = "use linum/backend/wasm, or give this process a GPU"

/** A device of the adapter's best, with TensorFlow.js on it. */
const acquire = Effect.gen(function*() {
  const gpu: GPU | undefined = globalThis.navigator?.gpu
  if (gpu === undefined) {
    return yield* unavailable(
      "there is no navigator.gpu",
      "use a browser with WebGPU, or in Node the package webgpu, or use linum/backend/wasm"
    )
  }
  const adapter = yield* Effect.tryPromise({
    try: () => gpu.requestAdapter({ powerPreference: "high-performance" }),
    catch: (cause) => unavailable(`asking for an adapter failed (${String(cause)})`, elsewhere)
  })
  if (adapter === null) return yield* unavailable("navigator.gpu has no adapter", elsewhere)
  const device = yield* Effect.tryPromise({
    try: () =>
      adapter.requestDevice({
        requiredFeatures: features.filter((feature) => adapter.features.has(feature)),
        requiredLimits: Object.fromEntries(limits.map((limit) => [limit, adapter.limits[limit]]))
      }),
    catch: (cause) => unavailable(`the adapter gives no device (${String(cause)})`, elsewhere)
  })
  const neighbour = yield* Effect.tryPromise({
    try: () => tensorflow.make(device, adapter.info),
    catch: (cause) => unavailable(`TensorFlow.js does not start (${String(cause)})`, elsewhere)
  }).pipe(Effect.tapError(() => Effect.sync(() => device.destroy())))
  const machine = new Gpu(device)
  machine.attach(neighbour)
  return make(machine)
}).pipe(Effect.uninterruptible)

/**
 * The WebGPU backend, on the adapter that the platform prefers. Dtypes: all but float64. Fails with
 * `BackendUnavailable` where there is no WebGPU or no adapter. When its Scope closes, all buffers are freed and the
 * device is destroyed.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<Backend, BackendUnavailable> = service.layer(acquire)
