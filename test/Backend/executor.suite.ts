// Control flow as the executor runs it on any device: loops, branches, callbacks, and that nothing is left behind.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Layer from "effect/Layer"
import { Backend } from "../../src/Backend/Backend.ts"
import { compute, item, toNested } from "../../src/Backend/read.ts"
import { build, closedProgram } from "../../src/Program/build.ts"
import * as control from "../../src/Program/control.ts"
import type { Program } from "../../src/Program/Program.ts"
import * as lax from "../../src/Tensor/lax/index.ts"
import * as ShapedArray from "../../src/Tensor/ShapedArray.ts"
import * as Tensor from "../../src/Tensor/Tensor.ts"
import * as arbitrary from "../support/arbitrary.ts"
import { nothingLivesBut } from "../support/results.ts"

/** The abstract value of a float32 array. */
export const f32 = (...shape: ReadonlyArray<number>) => ShapedArray.make(shape, "float32")

/** A Program traced from a function of arrays. */
export const trace = (
  avals: ReadonlyArray<ShapedArray.ShapedArray>,
  f: (...xs: ReadonlyArray<Tensor.Tensor>) => ReadonlyArray<Tensor.Tensor>
): Program => closedProgram("test", avals, (args) => f(...args))

/** A float32 array of these elements. */
export const array = (values: ReadonlyArray<number>, ...shape: ReadonlyArray<number>) =>
  arbitrary.fromValues(values, shape)

const scanOf = (x: Tensor.Tensor, reverse: boolean) => {
  const program = trace([f32(2), f32(), f32(2)], (a, c, row) => {
    const next = lax.add(c, lax.reduceSum(lax.mul(a, row)))
    return [next, lax.mul(row, lax.broadcastTo(next, [2])), c]
  })
  return control.scan({ program, length: x.shape[0], reverse, num_consts: 1, num_carry: 1, unroll: 1 }, [
    array([1, 10], 2),
    array([0]),
    x
  ]).outputs
}

/** x doubled until it reaches a limit. */
export const doubleUntil = (x: Tensor.Tensor, limit: Tensor.Tensor) =>
  control.whileLoop({
    cond: trace([f32(), f32()], (limit, x) => [lax.lt(x, limit)]),
    body: trace([f32()], (x) => [lax.add(x, x)]),
    cond_consts: 1,
    body_consts: 0
  }, [limit, x]).outputs[0]

const branchOf = (index: number, x: Tensor.Tensor) =>
  control.cond(Tensor.literal(index, "int32"), [
    trace([f32(2)], (x) => [lax.neg(x), x]),
    trace([f32(2)], (x) => [x, lax.exp(x)])
  ], [x]).outputs

/** Registers the tests for one backend. */
export const executorSuite = (name: string, layer: Layer.Layer<Backend, unknown>): void => {
  describe(`the executor on ${name}`, () => {
    it.live("scans, forwards and backwards", () =>
      Effect.gen(function*() {
        const xs = array([1, 2, 3, 4, 5, 6], 3, 2)
        const [carry, ys, before] = scanOf(xs, false)
        assert.strictEqual(yield* item(carry), 129)
        assert.deepStrictEqual(yield* toNested(ys), [[21, 42], [192, 256], [645, 774]])
        assert.deepStrictEqual(yield* toNested(before), [0, 21, 64])
        const [, backwards] = scanOf(xs, true)
        assert.deepStrictEqual(yield* toNested(backwards), [[129, 258], [324, 432], [325, 390]])
        const [same, none] = scanOf(array([], 0, 2), false)
        assert.strictEqual(yield* item(same), 0)
        assert.deepStrictEqual(none.shape, [0, 2])
        yield* compute(none)
        yield* nothingLivesBut(carry, ys, before, backwards, same, none)
      }).pipe(Effect.provide(layer)))

    it.live("loops while a condition holds", () =>
      Effect.gen(function*() {
        const [some, none] = [doubleUntil(array([3]), array([100])), doubleUntil(array([3]), array([1]))]
        assert.strictEqual(yield* item(some), 192)
        assert.strictEqual(yield* item(none), 3)
        yield* nothingLivesBut(some, none)
      }).pipe(Effect.provide(layer)))

    it.live("runs one branch, the index clamped", () =>
      Effect.gen(function*() {
        const x = array([1, 2], 2)
        const results = [-1, 0, 1, 7].map((index) => branchOf(index, x)[0])
        assert.deepStrictEqual(yield* Effect.forEach(results, toNested), [[-1, -2], [-1, -2], [1, 2], [1, 2]])
        yield* nothingLivesBut(...results)
      }).pipe(Effect.provide(layer)))

    it.live("calls back in order, with values", () =>
      Effect.gen(function*() {
        const seen: Array<ReadonlyArray<number>> = []
        const callback = (values: ReadonlyArray<control.HostArray>) => seen.push(Array.from(values[0].data))
        const program = (() => {
          const scope = Tensor.traceScope("test")
          const x = Tensor.argument(f32(2), scope)
          const first = control.debugCallback({ callback: (v) => void callback(v), name: "first" }, [x])
          const y = lax.exp(x)
          const second = control.debugCallback({ callback: (v) => void callback(v), name: "second" }, [lax.add(x, x)])
          return build({ outputs: [y], arguments: [x], effects: [first, second], scope }).program
        })()
        const backend = yield* Backend
        const executable = yield* backend.compile(program)
        const outputs = yield* executable.run([{ _tag: "Host", data: new Float32Array([1, 2]) }])
        assert.deepStrictEqual(seen, [[1, 2], [2, 4]])
        for (const storage of outputs) backend.release(storage)
        yield* nothingLivesBut()
      }).pipe(Effect.provide(layer)))

    it.live("frees everything when a callback throws", () =>
      Effect.gen(function*() {
        const scope = Tensor.traceScope("test")
        const x = Tensor.argument(f32(2), scope)
        const boom = control.debugCallback({
          callback: () => {
            throw new Error("boom")
          },
          name: "boom"
        }, [lax.add(x, x)])
        const program = build({ outputs: [lax.exp(x)], arguments: [x], effects: [boom], scope }).program
        const executable = yield* (yield* Backend).compile(program)
        const exit = yield* Effect.exit(executable.run([{ _tag: "Host", data: new Float32Array([1, 2]) }]))
        assert.isTrue(Exit.isFailure(exit))
        yield* nothingLivesBut()
      }).pipe(Effect.provide(layer)))
  })
}
