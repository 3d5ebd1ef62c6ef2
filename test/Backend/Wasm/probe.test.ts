// Which kernels an engine is trusted with.
import { assert, describe, it } from "@effect/vitest"
import { verified } from "../../../src/Backend/Wasm/products/probe.ts"

describe("the probe of products", () => {
  it("never finds more than is claimed", () => {
    assert.deepStrictEqual(verified({ relaxed: false, fused: false, wide: false }), {
      relaxed: false,
      fused: false,
      wide: false
    })
    assert.deepStrictEqual(verified({ relaxed: true, wide: false }), { relaxed: true, fused: false, wide: false })
  })

  it("refuses wide tiles where the engine does not join vectors", () => {
    const isWide = process.execArgv.includes("--experimental-wasm-revectorize")
    assert.strictEqual(verified({ relaxed: true, wide: true }).wide, isWide)
  })
})
