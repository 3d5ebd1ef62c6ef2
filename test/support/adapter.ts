// The shared half of the smoke tests of WebGPU in Node and in the browser: there is an adapter, and it computes.
import { assert } from "@effect/vitest"

const shader = /* wgsl */ `
  @group(0) @binding(0) var<storage, read_write> xs: array<f32>;
  @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
    if (id.x < arrayLength(&xs)) { xs[id.x] = xs[id.x] * xs[id.x] + 1.0; }
  }
`

/** x ↦ x² + 1 over `xs`, by a compute shader. A missing adapter fails: a GPU test that skips itself tests nothing. */
export const squarePlusOne = async (xs: Float32Array<ArrayBuffer>): Promise<Array<number>> => {
  const adapter = await navigator.gpu.requestAdapter()
  assert(adapter !== null, "navigator.gpu gives no adapter")
  const device = await adapter.requestDevice()
  const storage = device.createBuffer({
    size: xs.byteLength,
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST
  })
  const result = device.createBuffer({
    size: xs.byteLength,
    usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST
  })
  device.queue.writeBuffer(storage, 0, xs)
  const pipeline = device.createComputePipeline({
    layout: "auto",
    compute: { module: device.createShaderModule({ code: shader }), entryPoint: "main" }
  })
  const encoder = device.createCommandEncoder()
  const pass = encoder.beginComputePass()
  pass.setPipeline(pipeline)
  pass.setBindGroup(
    0,
    device.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries: [{ binding: 0, resource: { buffer: storage } }]
    })
  )
  pass.dispatchWorkgroups(Math.ceil(xs.length / 64))
  pass.end()
  encoder.copyBufferToBuffer(storage, 0, result, 0, xs.byteLength)
  device.queue.submit([encoder.finish()])
  await result.mapAsync(GPUMapMode.READ)
  const out = Array.from(new Float32Array(result.getMappedRange().slice(0)))
  device.destroy()
  return out
}
