// Chromium: an adapter is there, a shader computes, and memory can be shared with workers.
import { assert, describe, it } from "@effect/vitest"
import { squarePlusOne } from "../support/adapter.ts"

describe("the browser project", () => {
  it("has an adapter that computes", async () => {
    assert.deepStrictEqual(await squarePlusOne(new Float32Array([0, 1, 2, 3])), [1, 2, 5, 10])
  })
  it("is cross-origin isolated", () => {
    assert.isTrue(globalThis.crossOriginIsolated)
    assert.strictEqual(new SharedArrayBuffer(8).byteLength, 8)
  })
  it("meets one copy of tfjs-core, which computes on the adapter", async () => {
    const tf = await import("@tensorflow/tfjs-core")
    await import("@tensorflow/tfjs-backend-webgpu")
    assert.isTrue(await tf.setBackend("webgpu"))
    const product = tf.matMul(tf.tensor2d([[1, 2], [3, 4]]), tf.tensor2d([[1], [1]]))
    assert.deepStrictEqual(Array.from(await product.data()), [3, 7])
  })
})
