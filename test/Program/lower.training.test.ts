// Training steps as StableHLO: every written Variable is a donated buffer, and XLA, which runs the text again and again
// on the state that it left, trains as jit does. LINUM_PYTHON names a Python with jax; without it the texts are only
// made.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { toTypedArray } from "../../src/Backend/read.ts"
import { layer as cpu } from "../../src/Backend/Tfjs/Cpu/index.ts"
import { outerSplit } from "../../src/GraphDef/updateContext.ts"
import * as nnx from "../../src/index.ts"
import { cellOf } from "../../src/Ref/Variable.ts"
import { fromHost, type Tensor } from "../../src/Tensor/Tensor.ts"
import * as Tree from "../../src/Tensor/Tree.ts"
import { type Elements, elements, runByXla } from "./lower.check.ts"
import { type NamedStep, steps } from "./lower.steps.ts"

const runs = 3

/** The inputs whose buffers outputs take over: input by output. */
const donated = (text: string): ReadonlyMap<number, number> =>
  new Map(
    [...text.split("\n")[1].matchAll(/%arg(\d+): tensor<[^>]*> {tf\.aliasing_output = (\d+) : i32}/g)]
      .map(([, input, output]) => [Number(output), Number(input)])
  )

const toCheck = (each: NamedStep) =>
  Effect.gen(function*() {
    const { f, inputs, models, state } = yield* each.make
    const args: ReadonlyArray<unknown> = [...models, ...inputs]
    const cells = outerSplit([...state]).leaves.flatMap((l) => l._tag === "Variable" ? [cellOf(l.variable)] : [])
    // Arrays of their own, so that each tells its Variable.
    for (const cell of cells) {
      const x = cell.raw as Tensor
      cell.raw = fromHost(x.aval, (yield* toTypedArray(x)).slice())
    }
    const lowered = yield* nnx.lower(f, { name: "step" })(...args)
    const text = lowered.asText()
    const aliases = donated(text)
    const results = lowered.program.outputs.length - aliases.size
    // Outputs are the results, then the new state; all of that is donated.
    assert.deepStrictEqual(
      [...aliases.keys()].toSorted((a, b) => a - b),
      [...aliases.keys()].map((_, i) => results + i)
    )
    const written = [...aliases].toSorted(([a], [b]) => a - b).map(([, input]) => {
      const cell = cells.find((c) => c.raw === lowered.operands[input])
      assert.isDefined(cell, `${each.name}: %arg${input} is the array of a Variable`)
      return cell as typeof cells[number]
    })
    const operands = yield* Effect.forEach(lowered.operands, elements)
    const step = nnx.jit(f)
    const outputs: Array<ReadonlyArray<Elements>> = []
    for (let i = 0; i < runs; i++) {
      const out = Tree.leaves(yield* step(...args))
      assert.strictEqual(out.length, results)
      outputs.push(yield* Effect.forEach([...out, ...written.map((c) => c.raw as Tensor)], elements))
    }
    return { name: each.name, text, inputs: operands, runs: outputs, rtol: 2e-5, atol: 2e-5 }
  }).pipe(Effect.provide(nnx.Rngs.layer(0)))

describe("training steps", () => {
  it.effect("A.036 are texts with donated state, that XLA trains with as jit does", () =>
    Effect.gen(function*() {
      const cases = yield* Effect.forEach(steps, toCheck)
      assert.isTrue(cases.every(({ text }) => text.includes("tf.aliasing_output")))
      assert.deepStrictEqual(runByXla(cases), [])
    }).pipe(Effect.provide(cpu)), 120_000)

  it.effect("A.035 a callback is a custom call, which XLA makes at every run with the values of that run", () =>
    Effect.gen(function*() {
      const seen: Array<Tensor> = []
      const halve = (x: Tensor) =>
        Effect.as(
          nnx.Debug.callback({ x }, ({ x }) => seen.push(x)),
          x.mul(0.5)
        )
      const looking = (x: Tensor) =>
        Effect.map(
          nnx.scan((c: Tensor) => Effect.map(halve(c), (y) => [y, null] as const), { inAxes: [nnx.Carry], length: 3 })(
            x
          ),
          ([y]) => y
        )
      const lowered = yield* nnx.lower(looking, { name: "looking" })(nnx.Tensor.array([8, 2]))
      assert.include(
        lowered.asText(),
        "stablehlo.custom_call @linum_callback(%iterArg_0) {backend_config = \"callback\", has_side_effect = true} : (tensor<2xf32>) -> ()"
      )
      const out = yield* nnx.jit(looking)(nnx.Tensor.array([8, 2]))
      const calls = yield* Effect.forEach(seen, (x) => Effect.map(toTypedArray(x), ([first]) => first))
      assert.deepStrictEqual(calls, [8, 4, 2])
      const single = {
        name: "callback",
        text: lowered.asText(),
        inputs: yield* Effect.forEach(lowered.operands, elements),
        runs: [[yield* elements(out)]],
        calls,
        rtol: 0,
        atol: 0
      }
      assert.deepStrictEqual(runByXla([single]), [])
    }).pipe(Effect.provide(cpu)))
})
