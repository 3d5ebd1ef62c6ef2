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
    // Both backends registered themselves with the engine that we import: had they another copy, it would not know them.
    await import("@tensorflow/tfjs-backend-webgpu")
    assert.includeMembers(Object.keys(tf.engine().registryFactory), ["cpu", "webgpu"])
  })
})
