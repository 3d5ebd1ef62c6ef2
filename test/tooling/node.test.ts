// Which Node runs the tests, and what the tests expect of it.
import { assert, describe, it } from "@effect/vitest"

describe("the node project", () => {
  it("runs under Node 22.12 or newer", () => {
    const [major = 0, minor = 0] = process.versions.node.split(".").map(Number)
    assert.isTrue(major > 22 || (major === 22 && minor >= 12), `this is Node ${process.versions.node}`)
  })
  it("can force a collection", () => {
    assert.isFunction(globalThis.gc)
  })
  it("meets one copy of tfjs-core", async () => {
    const tf = await import("@tensorflow/tfjs-core")
    await import("@tensorflow/tfjs-backend-cpu")
    await import("@tensorflow/tfjs-backend-webgpu")
    // The backends register their kernels with the copy that they import: had we another, it would know none.
    assert.isAbove(tf.getKernelsForBackend("cpu").length, 100)
    assert.isAbove(tf.getKernelsForBackend("webgpu").length, 100)
  })
})
