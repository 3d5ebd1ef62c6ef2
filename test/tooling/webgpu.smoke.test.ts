// Dawn in Node: an adapter is there, and a shader computes.
import { assert, describe, it } from "@effect/vitest"
import { squarePlusOne } from "../support/adapter.ts"

describe("the webgpu project", () => {
  it("has an adapter that computes", async () => {
    assert.deepStrictEqual(await squarePlusOne(new Float32Array([0, 1, 2, 3])), [1, 2, 5, 10])
  })
  it("lets tfjs compute on it", async () => {
    const tf = await import("@tensorflow/tfjs-core")
    await import("@tensorflow/tfjs-backend-webgpu")
    assert.isTrue(await tf.setBackend("webgpu"))
    const product = tf.matMul(tf.tensor2d([[1, 2], [3, 4]]), tf.tensor2d([[1], [1]]))
    assert.deepStrictEqual(Array.from(await product.data()), [3, 7])
  })
})
