// StableHLO: the text of every primitive can be made; some texts are pinned; and all of them are run by XLA where there
// is a Python with jax (LINUM_PYTHON names it), and must give the numbers of our cpu backend.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Ref from "effect/Ref"
import { layer as cpu } from "../../src/Backend/Tfjs/Cpu/index.ts"
import * as nnx from "../../src/index.ts"
import { lowerings } from "../../src/Program/lower/index.ts"
import { type Program, subPrograms } from "../../src/Program/Program.ts"
import type { Tensor } from "../../src/Tensor/Tensor.ts"
import { type Lowerable, lowerables } from "./lower.cases.ts"
import { elements, runByXla } from "./lower.check.ts"

const primitives = (program: Program): ReadonlyArray<string> =>
  program.equations.flatMap((e) => [e.primitive, ...subPrograms(e).flatMap(primitives)])

const lowered = ({ f, inputs }: Lowerable) =>
  nnx.lower((xs: ReadonlyArray<Tensor>) => f(...xs), { name: "case" })(inputs)

const toCheck = (each: Lowerable) =>
  Effect.gen(function*() {
    const result = yield* lowered(each)
    const outputs = yield* each.f(...each.inputs)
    const half = [...each.inputs, ...outputs].some((x) => x.dtype === "float16" || x.dtype === "bfloat16")
    return {
      name: each.name,
      text: result.asText(),
      inputs: yield* Effect.forEach(result.operands, elements),
      runs: [yield* Effect.forEach(outputs, elements)],
      rtol: half ? 1e-2 : 2e-5,
      atol: half ? 1e-2 : 2e-5
    }
  })

describe("every primitive", () => {
  it.effect("A.035 has a text, and the text is valid and gives our numbers", () =>
    Effect.gen(function*() {
      const cases = yield* Effect.forEach(lowerables, toCheck)
      for (const { name, text } of cases) {
        assert.match(text, /^module @jit_case attributes /, name)
        assert.notMatch(text, /%\?|undefined|NaN|Infinity/, name)
      }
      assert.deepStrictEqual(runByXla(cases), [])
    }).pipe(Effect.provide(cpu)), 300_000)
})

describe("text", () => {
  it.effect("A.036 A.037 a written Variable is an aliased buffer, and the body is JAX's", () =>
    Effect.gen(function*() {
      const counter = yield* nnx.Param.make(nnx.Tensor.array([1, 2, 3], { dtype: "int32" }))
      const increment = (v: typeof counter) => Ref.update(v, (x) => x.add(1))
      const text = (yield* nnx.lower(increment)(counter)).toString()
      assert.strictEqual(
        text,
        `module @jit_increment attributes {mhlo.num_partitions = 1 : i32, mhlo.num_replicas = 1 : i32} {
  func.func public @main(%arg0: tensor<3xi32> {tf.aliasing_output = 0 : i32}) -> (tensor<3xi32> {jax.result_info = ""}) {
    %c = stablehlo.constant dense<1> : tensor<i32>
    %0 = stablehlo.broadcast_in_dim %c, dims = [] : (tensor<i32>) -> tensor<3xi32>
    %1 = stablehlo.add %arg0, %0 : tensor<3xi32>
    return %1 : tensor<3xi32>
  }
}
`
      )
    }))

  it.effect("A.036 results come first, then Variables that are written through the closure", () =>
    Effect.gen(function*() {
      const counter = yield* nnx.Param.make(nnx.Tensor.array([1, 2, 3], { dtype: "int32" }))
      const increment = (x: Tensor) => Effect.as(Ref.update(counter, (n) => n.add(x)), { twice: x.add(x) })
      const text = (yield* nnx.lower(increment, { name: "named" })(nnx.Tensor.ones([3], "int32"))).asText()
      assert.strictEqual(
        text.split("\n")[1],
        "  func.func public @main(%arg0: tensor<3xi32> {tf.aliasing_output = 1 : i32}, %arg1: tensor<3xi32>) -> " +
          `(tensor<3xi32> {jax.result_info = "result['twice']"}, tensor<3xi32> {jax.result_info = ""}) {`
      )
    }))

  it.effect("equal functions are one", () =>
    Effect.gen(function*() {
      const twice = nnx.jit((x: Tensor) => Effect.succeed(x.add(x)), { name: "twice" })
      const lowered = yield* nnx.lower((x: Tensor) => Effect.flatMap(twice(x), twice))(nnx.Tensor.ones([3]))
      assert.strictEqual(lowered.asText().split("func.func private").length, 2)
    }).pipe(Effect.provide(cpu)))

  it.effect("A.035 what has no text cannot stand in a finished Program", () =>
    Effect.gen(function*() {
      const x = nnx.Tensor.ones([2])
      // A collective of an axis that nobody maps: an error wherever it is run.
      const summed = (x: Tensor) => Effect.succeed(nnx.psum(x, "rows"))
      const error = yield* Effect.flip(nnx.lower(summed)(x))
      assert.strictEqual(error._tag, "TraceError")
      assert.match(error.message, /psum has no StableHLO: its named axis belongs to no vmap of the function/)
      assert.isTrue(Exit.isFailure(yield* Effect.exit(nnx.jit(summed)(x))))
      // The linear part of a custom vjp is transposed away by reverse mode, and refused by forward mode.
      const sine = nnx.customVjp((x: Tensor) => Effect.succeed(x.sin().sum()), {
        fwd: (x: Tensor) => Effect.succeed([x.sin().sum(), x] as const),
        bwd: (x: Tensor, g: Tensor) => Effect.succeed([x.cos().mul(g)] as const)
      })
      assert.notInclude(primitives((yield* nnx.lower(nnx.grad(sine))(x)).program), "custom_lin")
      const forward = (x: Tensor) => nnx.jvp(sine, [x], [x])
      assert.match((yield* Effect.flip(nnx.lower(forward)(x))).message, /custom vjp/)
      // Reads and writes of Variables are shown by makeProgram alone; what is lowered has inputs and outputs for them.
      const counter = yield* nnx.Param.make(nnx.Tensor.array(0))
      const count = (v: typeof counter) => Ref.update(v, (n) => n.add(1))
      assert.includeMembers([...primitives(yield* nnx.makeProgram(count)(counter))], ["get_variable", "set_variable"])
      assert.deepStrictEqual(primitives((yield* nnx.lower(count)(counter)).program), ["add"])
    }).pipe(Effect.provide(cpu)))

  it.effect("the cases reach every primitive that has a text", () =>
    Effect.gen(function*() {
      const reached = new Set<string>()
      for (const each of lowerables) for (const p of primitives((yield* lowered(each)).program)) reached.add(p)
      const without = new Set([
        "custom_lin",
        "debug_callback",
        "psum",
        "pmax",
        "pmin",
        "all_gather",
        "axis_index",
        "get_variable",
        "set_variable"
      ])
      const missing = Object.keys(lowerings).filter((p) => !reached.has(p) && !without.has(p))
      assert.deepStrictEqual(missing, [])
    }).pipe(Effect.provide(cpu)))
})
