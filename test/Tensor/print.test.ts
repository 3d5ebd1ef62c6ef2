// Text of arrays against repr of JAX's arrays.
import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import { inspect } from "node:util"
import * as Tensor from "../../src/Tensor/index.ts"
import { argument, traceScope } from "../../src/Tensor/Tensor.ts"
import * as golden from "../support/golden.ts"

interface Case {
  readonly name: string
  readonly array: golden.Value
  readonly text: string
}

const { cases }: { readonly cases: { readonly print: ReadonlyArray<Case> } } = JSON.parse(
  fs.readFileSync(new URL("../golden/print.json", import.meta.url), "utf8")
)

describe("print", () => {
  for (const { array, name, text } of cases.print) {
    // Where the dtype does not fit on the line, JAX leaves the line break out by mistake; NumPy and we have it. Names
    // are spelled as in TypeScript.
    const expected = text.replace(",      dtype", ",\n      dtype").replace("weak_type=True", "weakType=true")
    it(name, () => assert.strictEqual(String(golden.tensor(array)), expected))
  }

  it("shows shapes of what has not been computed", () => {
    assert.strictEqual(String(Tensor.zeros([2, 3])), "Array(shape=(2, 3), dtype=float32)")
    assert.strictEqual(String(Tensor.zeros([4])), "Array(shape=(4,), dtype=float32)")
    assert.strictEqual(String(Tensor.lift(0)), "Array(0, dtype=int32, weakType=true)")
    assert.strictEqual(String(Tensor.lift(0).add(Tensor.lift(1))), "Array(shape=(), dtype=int32, weakType=true)")
  })

  it("shows what is being traced", () => {
    const x = argument(Tensor.ShapedArray.make([2, 3], "float32"), traceScope("jit(f)"))
    assert.strictEqual(String(x), "Traced<f32[2,3]>")
  })

  it("shows shapes of large arrays", () => {
    assert.strictEqual(
      String(Tensor.array(new Float32Array(1 << 18))),
      "Array(shape=(262144,), dtype=float32)"
    )
  })

  it("inspects as it prints, and is short in JSON", () => {
    const x = Tensor.array([1, 2])
    assert.strictEqual(inspect(x), "Array([1., 2.], dtype=float32)")
    assert.strictEqual(JSON.stringify({ x }), "{\"x\":{\"_id\":\"Tensor\",\"shape\":[2],\"dtype\":\"float32\"}}")
  })
})
