// Linum inside an Effect application: fibers, runtimes, streams, schedules, and one backend at the edge.
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Ref from "effect/Ref"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as nnx from "linum"
import * as Cpu from "linum/backend/tfjs-cpu"
import { contents, data, Live, regression, type Tensor } from "./models.ts"

const T = nnx.Tensor

/** Two parameters that a step always moves together: whoever sees them apart has seen half a step. */
class Pair extends nnx.Module("Pair")<{
  readonly a: nnx.Variable<"Param", Tensor>
  readonly b: nnx.Variable<"Param", Tensor>
}> {
  static readonly make = Effect.map(
    Effect.all([nnx.Param.make(T.zeros([64])), nnx.Param.make(T.zeros([64]))]),
    ([a, b]) => new Pair({ a, b })
  )
}

const advance = nnx.jit((p: Pair) =>
  Effect.gen(function*() {
    yield* Ref.update(p.a, (x) => x.add(1))
    yield* Ref.update(p.b, (x) => x.add(1))
  })
)

describe("fibers", () => {
  it.effect("that predict while another trains never see half a step", () =>
    Effect.gen(function*() {
      const pair = yield* Pair.make
      const difference = nnx.jit((p: Pair) =>
        Effect.map(Effect.all([Ref.get(p.a), Ref.get(p.b)]), ([a, b]) => a.sub(b).abs().max())
      )
      const train = Effect.repeat(Effect.andThen(advance(pair), Effect.yieldNow), { times: 199 })
      const predict = Effect.gen(function*() {
        const seen: Array<number> = []
        for (let i = 0; i < 200; i++) {
          seen.push(yield* T.item(yield* difference(pair)))
          yield* Effect.yieldNow
        }
        return seen
      })
      const [, seen, more] = yield* Effect.all([train, predict, predict], { concurrency: "unbounded" })
      assert.deepStrictEqual([...new Set([...seen, ...more])], [0])
      assert.strictEqual(yield* T.item((yield* Ref.get(pair.a)).get(0)), 200)
      assert.strictEqual(advance.traces(), 1)
    }).pipe(Effect.provide(Live)))

  it.effect("that train different models with one compiled step share its trace", () =>
    Effect.gen(function*() {
      const [x, y] = data(8, 4)
      const tx = nnx.sgd(0.1)
      const make = Effect.gen(function*() {
        const model = yield* nnx.Linear.make(4, 1)
        return { model, optimizer: yield* nnx.Optimizer.make(model, tx, { wrt: nnx.Param }) }
      })
      type Training = Effect.Success<typeof make>
      const step = nnx.jit(({ model, optimizer }: Training) =>
        Effect.gen(function*() {
          const [value, grads] = yield* nnx.valueAndGrad(regression<nnx.Linear>())(model, x, y)
          yield* optimizer.update(model, grads)
          return value
        })
      )
      const all = yield* Effect.all([make, make, make])
      const losses = yield* Effect.forEach(all, (training) =>
        Effect.gen(function*() {
          const first = yield* T.item(yield* step(training))
          yield* Effect.repeat(Effect.andThen(step(training), Effect.yieldNow), { times: 50 })
          return [first, yield* T.item(yield* step(training))] as const
        }), { concurrency: 3 })
      for (const [first, last] of losses) assert.isBelow(last, first / 2)
      assert.strictEqual(step.traces(), 1)
    }).pipe(Effect.provide(Live)))
})

describe("runtimes", () => {
  it("a ManagedRuntime keeps a backend open, and frees it when it is disposed of", async () => {
    const runtime = ManagedRuntime.make(Live)
    const model = await runtime.runPromise(nnx.Linear.make(2, 1))
    const predict = nnx.jit((x: Tensor) => model.apply(x))
    const answers = await Promise.all([1, 2, 3].map((n) => runtime.runPromise(predict(T.ones([n, 2])))))
    assert.deepStrictEqual(answers.map((y) => y.shape), [[1, 1], [2, 1], [3, 1]])
    const backend = await runtime.runPromise(nnx.Backend)
    await runtime.dispose()
    const late = await Effect.runPromiseExit(Effect.provideService(predict(T.ones([1, 2])), nnx.Backend, backend))
    assert.include(Exit.isFailure(late) ? String(late.cause) : "", "DeviceLost")
  })

  it.effect("a function that was traced for one backend is only compiled for another", () =>
    Effect.gen(function*() {
      const model = yield* nnx.Linear.make(2, 1).pipe(Effect.provide(nnx.Rngs.layer(0)))
      const predict = nnx.jit((m: nnx.Linear, x: Tensor) => m.apply(x))
      const answers: Array<unknown> = []
      for (let i = 0; i < 8; i++) {
        answers.push(yield* Effect.provide(Effect.flatMap(predict(model, T.ones([1, 2])), T.toNested), Cpu.layer))
      }
      assert.strictEqual(predict.traces(), 1)
      for (const answer of answers) assert.deepStrictEqual(answer, answers[0])
    }))

  it.effect("a service of the application can own a model", () =>
    Effect.gen(function*() {
      class Predictor extends Context.Service<Predictor, {
        readonly predict: (x: Tensor) => Effect.Effect<number, nnx.TransformError, nnx.Backend>
      }>()("test/Predictor") {
        static readonly layer = Layer.effect(
          Predictor,
          Effect.map(nnx.Linear.make(3, 1), (model) => {
            const forward = nnx.jit((x: Tensor) => model.apply(x))
            return Predictor.of({ predict: (x) => Effect.flatMap(forward(x), T.item) })
          })
        )
      }
      const program = Effect.flatMap(Predictor, ({ predict }) => predict(T.ones([1, 3])))
      const app = Predictor.layer.pipe(Layer.provideMerge(nnx.Rngs.layer(0)), Layer.provideMerge(Cpu.layer))
      assert.isTrue(Number.isFinite(yield* Effect.provide(program, app)))
    }))
})

describe("Effect's own combinators around steps", () => {
  const training = Effect.gen(function*() {
    const model = yield* nnx.Linear.make(4, 1)
    const optimizer = yield* nnx.Optimizer.make(model, nnx.sgd(0.05), { wrt: nnx.Param })
    const step = nnx.jit((m: nnx.Linear, o: typeof optimizer, x: Tensor, y: Tensor) =>
      Effect.gen(function*() {
        const [value, grads] = yield* nnx.valueAndGrad(regression<nnx.Linear>())(m, x, y)
        yield* o.update(m, grads)
        return value
      })
    )
    return { model, optimizer, step }
  })

  it.effect("a Stream of batches drives training", () =>
    Effect.gen(function*() {
      const { model, optimizer, step } = yield* training
      const losses = yield* Stream.range(1, 100).pipe(
        Stream.map((seed) => data(8, 4, seed)),
        Stream.mapEffect(([x, y]) => Effect.flatMap(step(model, optimizer, x, y), T.item)),
        Stream.runCollect
      )
      assert.strictEqual(losses.length, 100)
      assert.isBelow(losses[99], losses[0] / 20)
      assert.strictEqual(step.traces(), 1)
    }).pipe(Effect.provide(Live)))

  it.effect("retry repeats a failed step on the same state", () =>
    Effect.gen(function*() {
      class Unlucky extends Error {
        readonly _tag = "Unlucky"
      }
      const { model, optimizer, step } = yield* training
      const [x, y] = data(8, 4)
      const attempts = yield* Ref.make(0)
      // A batch that is bad twice.
      const batch = Effect.map(
        Ref.updateAndGet(attempts, (n) => n + 1),
        (n) => n < 3 ? x.mul(Number.NaN) : x
      )
      const checked = nnx.jit((m: nnx.Linear, o: typeof optimizer, bx: Tensor, by: Tensor) =>
        Effect.tap(step(m, o, bx, by), (value) => nnx.Check.that(T.isfinite(value), new Unlucky()))
      )
      const safe = Effect.flatMap(batch, (bx) => checked(model, optimizer, bx, y))
      const value = yield* T.item(yield* Effect.retry(safe, Schedule.recurs(5)))
      assert.isTrue(Number.isFinite(value))
      assert.strictEqual(yield* Ref.get(attempts), 3)
      assert.strictEqual(yield* T.item(yield* Ref.get(optimizer.step)), 1)
      for (const line of yield* contents(model)) assert.notInclude(line, "null")
    }).pipe(Effect.provide(Live)))

  it.effect("a timeout and a race around steps leave whole steps", () =>
    Effect.gen(function*() {
      const { model, optimizer, step } = yield* training
      const [x, y] = data(8, 4)
      const forever = Effect.forever(Effect.andThen(step(model, optimizer, x, y), Effect.yieldNow))
      const enough = Effect.gen(function*() {
        while ((yield* T.item(yield* Ref.get(optimizer.step))) < 10) yield* Effect.yieldNow
      })
      yield* Effect.raceFirst(forever, enough)
      assert.isAtLeast(yield* T.item(yield* Ref.get(optimizer.step)), 10)
      const value = yield* T.item(yield* step(model, optimizer, x, y))
      assert.isTrue(Number.isFinite(value))
    }).pipe(Effect.provide(Live)))
})
