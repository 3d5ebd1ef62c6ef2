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
})
