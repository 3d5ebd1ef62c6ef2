// Dawn in Node: an adapter is there, and a shader computes.
import { assert, describe, it } from "@effect/vitest"
import { squarePlusOne } from "../support/adapter.ts"

describe("the webgpu project", () => {
  it("has an adapter that computes", async () => {
    assert.deepStrictEqual(await squarePlusOne(new Float32Array([0, 1, 2, 3])), [1, 2, 5, 10])
  })
})
