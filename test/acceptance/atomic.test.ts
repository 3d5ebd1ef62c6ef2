// A step that fails, however it fails, has written nothing; and the next one works.
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Ref from "effect/Ref"
import * as nnx from "linum"
import { contents, data, Live, Net, regression, type Tensor } from "./models.ts"

const T = nnx.Tensor

class Rejected extends Error {
  readonly _tag = "Rejected"
}

const make = Effect.gen(function*() {
  const model = yield* Net.make(4, 8)
  const optimizer = yield* nnx.Optimizer.make(model, nnx.adam(1e-2), { wrt: nnx.Param })
  return { model, optimizer }
})

/** A training step after which `then` happens to the loss. */
const stepThen = <E>(then: (value: Tensor) => Effect.Effect<Tensor, E, nnx.Backend>) => {
  type Optimizer = Effect.Success<typeof make>["optimizer"]
  return (m: Net, o: Optimizer, x: Tensor, y: Tensor) =>
    Effect.gen(function*() {
      const [value, grads] = yield* nnx.valueAndGrad(regression<Net>())(m, x, y)
      yield* o.update(m, grads)
      return yield* then(value)
    })
}

/** What may go wrong after a step has updated everything. */
const mishaps = {
  "a failure": () => Effect.fail(new Rejected()),
  "a check in the compiled code": (value: Tensor) => Effect.as(nnx.Check.that(value.lt(-1), new Rejected()), value),
  "a shape that does not fit": (value: Tensor) => Effect.sync(() => value.add(T.ones([2]).add(T.ones([3])))),
  "an allocation that does not fit": (value: Tensor) =>
    Effect.sync(() => T.broadcastTo(value, [200_000, 200_000]).add(1)),
  "a dtype that the backend has not": (value: Tensor) => Effect.sync(() => value.astype("float64").exp()),
  "asynchronous work": (value: Tensor) => Effect.as(Effect.promise(() => Promise.resolve()), value),
  "a read": (value: Tensor) => Effect.as(T.item(value), value),
  "an exception": (): Effect.Effect<Tensor> =>
    Effect.sync(() => {
      throw new Rejected("thrown")
    })
}

describe("a jitted step that fails", () => {
  for (const [name, then] of Object.entries(mishaps)) {
    it.effect(`writes nothing: ${name}`, () =>
      Effect.gen(function*() {
        const { model, optimizer } = yield* make
        const [x, y] = data(8, 4)
        const good = nnx.jit(stepThen(Effect.succeed))
        yield* good(model, optimizer, x, y)
        const before = yield* contents({ model, optimizer })
        const exit = yield* Effect.exit(nnx.jit(stepThen<unknown>(then))(model, optimizer, x, y))
        assert.strictEqual(exit._tag, "Failure")
        assert.deepStrictEqual(yield* contents({ model, optimizer }), before)
        yield* good(model, optimizer, x, y)
        assert.notDeepEqual(yield* contents({ model, optimizer }), before)
        assert.strictEqual(good.traces(), 1)
      }).pipe(Effect.provide(Live)))
  }

  it.effect("writes nothing through a closure either", () =>
    Effect.gen(function*() {
      const count = yield* nnx.kind("Count").make(T.array(0, { dtype: "int32" }))
      const step = nnx.jit((x: Tensor) =>
        Effect.gen(function*() {
          yield* Ref.update(count, (n) => n.add(1))
          yield* nnx.Check.that(x.gt(0), new Rejected())
          return x
        })
      )
      yield* Effect.flip(step(T.array(-1)))
      yield* step(T.array(1))
      yield* Effect.flip(step(T.array(-1)))
      assert.strictEqual(yield* T.item(yield* Ref.get(count)), 1)
    }).pipe(Effect.provide(Live)))
})

describe("a transform outside of jit that fails", () => {
  it.effect("writes nothing", () =>
    Effect.gen(function*() {
      const { model } = yield* make
      const [x, y] = data(8, 4)
      const before = yield* contents(model)
      const checked = nnx.grad((m: Net) =>
        Effect.tap(regression<Net>()(m, x, y), (value) => nnx.Check.that(value.lt(-1), new Rejected()))
      )
      assert.strictEqual((yield* Effect.flip(checked(model)))._tag, "Rejected")
      assert.deepStrictEqual(yield* contents(model), before)
      const failing = nnx.valueAndGrad((m: Net) =>
        Effect.andThen(regression<Net>()(m, x, y), Effect.fail(new Rejected()))
      )
      assert.strictEqual((yield* Effect.flip(failing(model)))._tag, "Rejected")
      assert.deepStrictEqual(yield* contents(model), before)
    }).pipe(Effect.provide(Live)))
})

describe("update", () => {
  it.effect("writes everything or nothing", () =>
    Effect.gen(function*() {
      const { model } = yield* make
      const before = yield* contents(model)
      const entries = nnx.State.toEntries(yield* nnx.state(model, nnx.Param))
      const last = entries.length - 1
      const wrong = nnx.State.fromEntries(
        entries.map(([path, leaf], i) => [
          path,
          nnx.State.isVariableState(leaf) ? { ...leaf, value: i === last ? T.ones([5, 5]) : T.zeros([1]) } : leaf
        ])
      )
      assert.strictEqual((yield* Effect.flip(nnx.update(model, wrong as never)))._tag, "StructureError")
      assert.deepStrictEqual(yield* contents(model), before)
    }).pipe(Effect.provide(Live)))
})

describe("interruption", () => {
  it.effect("leaves whole steps behind, and the model usable", () =>
    Effect.gen(function*() {
      const model = yield* nnx.Linear.make(4, 1)
      const optimizer = yield* nnx.Optimizer.make(model, nnx.sgd(1e-2), { wrt: nnx.Param })
      const [x, y] = data(8, 4)
      const step = nnx.jit((m: nnx.Linear, o: typeof optimizer) =>
        Effect.flatMap(nnx.grad(regression<nnx.Linear>())(m, x, y), (grads) => o.update(m, grads))
      )
      const started = yield* Deferred.make<void>()
      const loop = step(model, optimizer).pipe(
        Effect.andThen(Deferred.succeed(started, undefined)),
        Effect.andThen(Effect.yieldNow),
        Effect.forever
      )
      const fiber = yield* Effect.forkChild(loop)
      yield* Deferred.await(started)
      yield* Fiber.interrupt(fiber)
      const steps = yield* T.item(yield* Ref.get(optimizer.step))
      assert.isAtLeast(steps, 1)
      // As many steps of a twin give the same parameters.
      const interrupted = yield* contents(model)
      const twin = yield* nnx.Linear.make(4, 1).pipe(Effect.provide(nnx.Rngs.layer(0), { local: true }))
      const twinOptimizer = yield* nnx.Optimizer.make(twin, nnx.sgd(1e-2), { wrt: nnx.Param })
      for (let i = 0; i < steps; i++) yield* step(twin, twinOptimizer)
      assert.deepStrictEqual(yield* contents(twin), interrupted)
    }).pipe(Effect.provide(Live)))
})
