// What XLA is given for a function that updates an array ref, as the notebook on array refs prints it.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import * as Cpu from "../../src/Backend/Tfjs/Cpu/index.ts"
import * as nnx from "../../src/index.ts"

/** `array = ref[...]; ref[...] = array + 1`: no return. */
const increment = (ref: nnx.ArrayRef) =>
  Effect.gen(function*() {
    const array = yield* Ref.get(ref)
    yield* Ref.set(ref, array.add(1))
  })

const lowered = Effect.gen(function*() {
  const ref = yield* nnx.newRef(nnx.Tensor.array([1, 2, 3], { dtype: "int32" }))
  return (yield* nnx.lower(increment)(ref)).asText()
})

const text = `module @jit_increment attributes {mhlo.num_partitions = 1 : i32, mhlo.num_replicas = 1 : i32} {
  func.func public @main(%arg0: tensor<3xi32> {tf.aliasing_output = 0 : i32}) -> (tensor<3xi32> {jax.result_info = ""}) {
    %c = stablehlo.constant dense<1> : tensor<i32>
    %0 = stablehlo.broadcast_in_dim %c, dims = [] : (tensor<i32>) -> tensor<3xi32>
    %1 = stablehlo.add %arg0, %0 : tensor<3xi32>
    return %1 : tensor<3xi32>
  }
}
`

describe("the text of increment", () => {
  it.effect("A.035 names the module after the function", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* lowered, text)
      assert.match(yield* lowered, /^module @jit_increment attributes \{mhlo\.num_partitions = 1 : i32, /)
    }))

  it.effect("A.035 is the text of a compiled function too, as `increment.lower(ref).as_text()` is", () =>
    Effect.gen(function*() {
      const ref = yield* nnx.newRef(nnx.Tensor.array([1, 2, 3], { dtype: "int32" }))
      assert.strictEqual((yield* nnx.lower(nnx.jit(increment))(ref)).asText(), text)
      const named = nnx.jit((r: typeof ref) => increment(r), { name: "increment" })
      assert.strictEqual((yield* nnx.lower(named)(ref)).asText(), text)
      assert.match((yield* nnx.lower(named, { name: "other" })(ref)).asText(), /^module @jit_other /)
    }).pipe(Effect.provide(Cpu.layer)))

  it.effect("A.036 has the ref as an input whose buffer the only output takes over", () =>
    Effect.gen(function*() {
      const [, signature] = (yield* lowered).split("\n")
      assert.include(signature, "(%arg0: tensor<3xi32> {tf.aliasing_output = 0 : i32})")
      assert.include(signature, "-> (tensor<3xi32> {jax.result_info = \"\"})")
      // A Variable over a ref is the same buffer.
      const ref = yield* nnx.newRef(nnx.Tensor.array([1, 2, 3], { dtype: "int32" }))
      const variable = yield* nnx.Variable.fromRef(ref)
      const step = (v: typeof variable) => Ref.update(v, (x) => x.add(1))
      assert.strictEqual((yield* nnx.lower(step, { name: "increment" })(variable)).asText(), text)
      // A ref that is only read is no output, and its buffer stays.
      const doubled = (r: nnx.ArrayRef) => Effect.map(Ref.get(r), (x) => x.add(x))
      assert.notInclude((yield* nnx.lower(doubled)(ref)).asText(), "aliasing")
    }))

  it.effect("A.037 adds a broadcast constant in its body, and returns the sum", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual((yield* lowered).split("\n").slice(2, 6).map((line) => line.trim()), [
        "%c = stablehlo.constant dense<1> : tensor<i32>",
        "%0 = stablehlo.broadcast_in_dim %c, dims = [] : (tensor<i32>) -> tensor<3xi32>",
        "%1 = stablehlo.add %arg0, %0 : tensor<3xi32>",
        "return %1 : tensor<3xi32>"
      ])
      // Shown with its reads and writes instead, the ref is one input.
      const ref = yield* nnx.newRef(nnx.Tensor.array([1, 2, 3], { dtype: "int32" }))
      const shown = yield* nnx.makeProgram(increment)(ref)
      assert.match(String(shown), /^{ lambda ; a:ArrayRef\(\)\. let\n {4}b:i32\[3\] = get_variable\[/)
    }))
})
