// What people do with models: parts frozen, two optimizers, accumulated gradients, ensembles, own cells, resumed runs.
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Ref from "effect/Ref"
import * as nnx from "linum"
import * as Checkpoint from "linum/Checkpoint"
import { contents, data, Live, Net, regression, type Tensor } from "./models.ts"

const T = nnx.Tensor

const untilSmall = Effect.fnUntraced(function*<E, R>(step: Effect.Effect<Tensor, E, R>, times: number) {
  const first = yield* T.item(yield* step)
  for (let i = 0; i < times; i++) yield* step
  const last = yield* T.item(yield* step)
  assert.isBelow(last, first / 4)
  return last
})

describe("filters in training", () => {
  it.effect("a part of a model is frozen", () =>
    Effect.gen(function*() {
      const [x, y] = data(16, 4)
      const model = yield* Net.make(4, 16)
      const head = nnx.Filter.allOf(nnx.Param, nnx.Filter.pathContains("last"))
      const optimizer = yield* nnx.Optimizer.make(model, nnx.adamw(0.05), { wrt: head })
      const step = nnx.jit((m: Net, o: typeof optimizer) =>
        Effect.gen(function*() {
          const [value, grads] = yield* nnx.valueAndGrad(regression<Net>(), { wrt: head })(m, x, y)
          yield* o.update(m, grads)
          return value
        })
      )
      const frozen = yield* contents(model.first)
      yield* untilSmall(step(model, optimizer), 60)
      assert.deepStrictEqual(yield* contents(model.first), frozen)
      assert.strictEqual(step.traces(), 1)
    }).pipe(Effect.provide(Live)))

  it.effect("two optimizers share a model", () =>
    Effect.gen(function*() {
      const [x, y] = data(16, 4)
      const model = yield* nnx.Linear.make(4, 1)
      const [kernel, bias] = ["kernel", "bias"].map((name) =>
        nnx.Filter.allOf(nnx.Param, nnx.Filter.pathContains(name))
      )
      const slow = yield* nnx.Optimizer.make(model, nnx.adam(0.03), { wrt: kernel })
      const fast = yield* nnx.Optimizer.make(model, nnx.sgd(0.2), { wrt: bias })
      const loss = regression<nnx.Linear>()
      const step = nnx.jit((m: nnx.Linear, a: typeof slow, b: typeof fast) =>
        Effect.gen(function*() {
          const [value, ofKernel] = yield* nnx.valueAndGrad(loss, { wrt: kernel })(m, x, y)
          const ofBias = yield* nnx.grad(loss, { wrt: bias })(m, x, y)
          yield* a.update(m, ofKernel)
          yield* b.update(m, ofBias)
          return value
        })
      )
      yield* untilSmall(step(model, slow, fast), 80)
      assert.strictEqual(step.traces(), 1)
    }).pipe(Effect.provide(Live)))
})

describe("steps", () => {
  it.effect("gradients are accumulated over several steps in jit", () =>
    Effect.gen(function*() {
      const [x, y] = data(8, 4)
      const loss = regression<nnx.Linear>()
      const model = yield* nnx.Linear.make(4, 1)
      const optimizer = yield* nnx.Optimizer.make(model, nnx.multiSteps(nnx.sgd(0.1), 2), { wrt: nnx.Param })
      const step = nnx.jit((m: nnx.Linear, o: typeof optimizer, bx: Tensor, by: Tensor) =>
        Effect.flatMap(nnx.grad(loss)(m, bx, by), (grads) => o.update(m, grads))
      )
      // Two halves accumulated are one whole.
      const whole = yield* nnx.clone(model)
      const wholeOptimizer = yield* nnx.Optimizer.make(whole, nnx.sgd(0.1), { wrt: nnx.Param })
      for (let i = 0; i < 3; i++) {
        yield* step(model, optimizer, x.get("0:4"), y.get("0:4"))
        yield* step(model, optimizer, x.get("4:8"), y.get("4:8"))
        yield* wholeOptimizer.update(whole, yield* nnx.grad(loss)(whole, x, y))
      }
      const difference = (yield* Ref.get(model.kernel)).sub(yield* Ref.get(whole.kernel)).abs().max()
      assert.isBelow(yield* T.item(difference), 1e-6)
      assert.strictEqual(step.traces(), 1)
    }).pipe(Effect.provide(Live)))

  it.effect("a model captured by closure and one passed as an argument do the same", () =>
    Effect.gen(function*() {
      const [x] = data(8, 4)
      const model = yield* Net.make(4, 8)
      const twin = yield* nnx.clone(model)
      const captured = nnx.jit((a: Tensor) => model.apply(a))
      const passed = nnx.jit((m: Net, a: Tensor) => m.apply(a))
      for (let i = 0; i < 3; i++) {
        assert.deepStrictEqual(yield* T.toNested(yield* captured(x)), yield* T.toNested(yield* passed(twin, x)))
      }
      assert.deepStrictEqual(yield* contents(model), yield* contents(twin))
      assert.deepStrictEqual([captured.traces(), passed.traces()], [1, 1])
    }).pipe(Effect.provide(Live)))

  it.effect("a new batch size is one more trace, also of no examples", () =>
    Effect.gen(function*() {
      const model = yield* Net.make(4, 8)
      const predict = nnx.jit((m: Net, x: Tensor) => m.apply(x))
      const view = nnx.evalMode(model)
      for (const n of [3, 5, 3, 1, 0, 5, 0]) {
        const y = yield* predict(view, T.ones([n, 4]))
        assert.deepStrictEqual(y.shape, [n, 1])
        assert.strictEqual((yield* T.toTypedArray(y)).length, n)
      }
      assert.strictEqual(predict.traces(), 4)
    }).pipe(Effect.provide(Live)))

  it.effect("dropout is decided by the seed, in jit and outside", () =>
    Effect.gen(function*() {
      const draw = Effect.gen(function*() {
        const dropout = yield* nnx.Dropout.make(0.5)
        const jitted = nnx.jit((d: nnx.Dropout, x: Tensor) => d.apply(x))
        const x = T.ones([64])
        return [yield* T.toNested(yield* jitted(dropout, x)), yield* T.toNested(yield* dropout.apply(x))]
      })
      const seeded = (seed: number) => Effect.provide(draw, nnx.Rngs.layer(seed))
      const [one, again, other] = [yield* seeded(1), yield* seeded(1), yield* seeded(2)]
      assert.deepStrictEqual(one, again)
      assert.notDeepEqual(one, other)
      assert.notDeepEqual(one[0], one[1])
    }).pipe(Effect.provide(Live)))

  it.effect("parameters of half precision stay so, and train", () =>
    Effect.gen(function*() {
      const [x, y] = data(16, 4)
      for (const dtype of ["bfloat16", "float16"] as const) {
        const model = yield* nnx.Linear.make(4, 1, { dtype, paramDtype: dtype })
        const optimizer = yield* nnx.Optimizer.make(model, nnx.adam(0.05), { wrt: nnx.Param })
        const step = nnx.jit((m: nnx.Linear, o: typeof optimizer) =>
          Effect.gen(function*() {
            const [value, grads] = yield* nnx.valueAndGrad(regression<nnx.Linear>())(m, x, y)
            yield* o.update(m, grads)
            return value
          })
        )
        yield* untilSmall(step(model, optimizer), 80)
        assert.strictEqual((yield* Ref.get(model.kernel)).dtype, dtype)
        assert.strictEqual((yield* model.apply(x)).dtype, dtype)
        assert.strictEqual(step.traces(), 1)
      }
    }).pipe(Effect.provide(Live)))

  it.effect("NaN comes through, and is not hidden", () =>
    Effect.gen(function*() {
      const model = yield* Net.make(4, 8)
      const y = yield* model.apply(T.full([2, 4], Number.NaN))
      assert.deepStrictEqual(yield* T.toNested(T.isnan(y)), [[true], [true]])
      assert.isNaN(yield* T.item(T.array([1, Number.NaN]).max()))
      assert.isNaN(yield* T.item(T.nn.relu(T.array(Number.NaN))))
    }).pipe(Effect.provide(Live)))
})

/** A recurrent cell as users write their own. */
class Cell extends nnx.Module("Cell")<{ readonly input: nnx.Linear; readonly hidden: nnx.Linear<false> }> {
  static readonly make = Effect.fnUntraced(function*(features: number, hidden: number) {
    return new Cell({
      input: yield* nnx.Linear.make(features, hidden),
      hidden: yield* nnx.Linear.make(hidden, hidden, { useBias: false })
    })
  })
  step(h: Tensor, x: Tensor) {
    return Effect.map(Effect.all([this.input.apply(x), this.hidden.apply(h)]), ([a, b]) => a.add(b).tanh())
  }
}

describe("models in transforms", () => {
  it.effect("an own cell is scanned over time, and learns through it", () =>
    Effect.gen(function*() {
      const xs = T.random.normal(T.random.key(1), [6, 3, 2])
      const cell = yield* Cell.make(2, 4)
      const run = (c: Cell, sequence: Tensor) =>
        Effect.map(
          nnx.scan(
            (inner: Cell, h: Tensor, x: Tensor) => Effect.map(inner.step(h, x), (next) => [next, next] as const),
            { inAxes: [null, nnx.Carry, 0], outAxes: [nnx.Carry, 0] }
          )(c, T.zeros([3, 4]), sequence),
          ([, hs]) => hs
        )
      const states: Array<Tensor> = []
      for (let i = 0, h = T.zeros([3, 4]); i < 6; i++) states.push(h = yield* cell.step(h, xs.get(i)))
      const unrolled = T.stack(states)
      const difference = (yield* run(cell, xs)).sub(unrolled).abs().max()
      assert.isBelow(yield* T.item(difference), 1e-6)

      const loss = (c: Cell, sequence: Tensor) => Effect.map(run(c, sequence), (hs) => hs.sub(0.5).square().mean())
      const optimizer = yield* nnx.Optimizer.make(cell, nnx.adam(0.05), { wrt: nnx.Param })
      const step = nnx.jit((c: Cell, o: typeof optimizer, sequence: Tensor) =>
        Effect.gen(function*() {
          const [value, grads] = yield* nnx.valueAndGrad(loss)(c, sequence)
          yield* o.update(c, grads)
          return value
        })
      )
      yield* untilSmall(step(cell, optimizer, xs), 80)
      assert.strictEqual(step.traces(), 1)
    }).pipe(Effect.provide(Live)))

  it.effect("an ensemble is made and trained by vmap, and its members are as if alone", () =>
    Effect.gen(function*() {
      const [x, y] = data(16, 4)
      const make = (key: Tensor) =>
        Effect.gen(function*() {
          const model = yield* nnx.Linear.make(4, 1)
          return [model, yield* nnx.Optimizer.make(model, nnx.sgd(0.1), { wrt: nnx.Param })] as const
        }).pipe(Effect.provideServiceEffect(nnx.Rngs, nnx.Rngs.fromSeeds(key)))
      const keys = T.random.split(T.random.key(3), 3)
      const [models, optimizers] = yield* nnx.vmap(make)(keys)
      const one = (m: nnx.Linear, o: typeof optimizers) =>
        Effect.gen(function*() {
          const [value, grads] = yield* nnx.valueAndGrad(regression<nnx.Linear>())(m, x, y)
          yield* o.update(m, grads)
          return value
        })
      const step = nnx.jit((m: nnx.Linear, o: typeof optimizers) => nnx.vmap(one)(m, o))
      for (let i = 0; i < 5; i++) assert.deepStrictEqual((yield* step(models, optimizers)).shape, [3])
      assert.strictEqual(step.traces(), 1)
      const kernels = yield* Ref.get(models.kernel)
      for (let i = 0; i < 3; i++) {
        const [model, optimizer] = yield* make(keys.get(i))
        for (let k = 0; k < 5; k++) yield* one(model, optimizer)
        const difference = (yield* Ref.get(model.kernel)).sub(kernels.get(i)).abs().max()
        assert.isBelow(yield* T.item(difference), 1e-6)
      }
    }).pipe(Effect.provide(Live)))

  it.effect("a layer at two places stays one layer", () =>
    Effect.gen(function*() {
      class Tied extends nnx.Module("Tied")<{ readonly encode: nnx.Linear; readonly decode: nnx.Linear }> {
        apply(x: Tensor) {
          return Effect.flatMap(this.encode.apply(x), (h) => this.decode.apply(h.tanh()))
        }
      }
      const layer = yield* nnx.Linear.make(3, 3)
      const model = new Tied({ encode: layer, decode: layer })
      const optimizer = yield* nnx.Optimizer.make(model, nnx.sgd(0.3), { wrt: nnx.Param })
      const loss = (m: Tied, x: Tensor) => Effect.map(m.apply(x), (y) => y.sub(x).square().mean())
      const step = nnx.jit((m: Tied, o: typeof optimizer, x: Tensor) =>
        Effect.gen(function*() {
          const [value, grads] = yield* nnx.valueAndGrad(loss)(m, x)
          yield* o.update(m, grads)
          return value
        })
      )
      const [x] = data(8, 3)
      yield* untilSmall(step(model, optimizer, x.mul(0.3)), 200)
      assert.strictEqual(model.encode, model.decode)
      const [graphdef, state] = yield* nnx.split(model)
      assert.strictEqual(nnx.State.length(state), 2)
      const twin = yield* nnx.merge(graphdef, state)
      assert.strictEqual(twin.encode, twin.decode)
    }).pipe(Effect.provide(Live)))
})

describe("checkpoints", () => {
  it.effect("a run that is resumed goes on exactly as one that was not", () =>
    Effect.gen(function*() {
      const folder = yield* (yield* FileSystem.FileSystem).makeTempDirectoryScoped()
      const [x, y] = data(16, 4)
      const make = Effect.gen(function*() {
        const model = yield* Net.make(4, 8)
        return { model, optimizer: yield* nnx.Optimizer.make(model, nnx.adam(0.01), { wrt: nnx.Param }) }
      })
      type Training = Effect.Success<typeof make>
      const step = nnx.jit(({ model, optimizer }: Training) =>
        Effect.gen(function*() {
          const [value, grads] = yield* nnx.valueAndGrad(regression<Net>())(model, x, y)
          yield* optimizer.update(model, grads)
          return value
        })
      )
      const through = yield* make
      for (let i = 0; i < 5; i++) yield* step(through)
      yield* Checkpoint.save(`${folder}/run`, through)
      for (let i = 0; i < 5; i++) yield* step(through)

      // Other parameters, other random streams: everything comes from the file.
      const resumed = yield* make
      yield* Checkpoint.restore(`${folder}/run`, resumed)
      for (let i = 0; i < 5; i++) yield* step(resumed)
      assert.deepStrictEqual(yield* contents(resumed), yield* contents(through))
    }).pipe(Effect.scoped, Effect.provide([Live, NodeServices.layer])))

  it.effect("one that does not fit lists every wrong path, and changes nothing", () =>
    Effect.gen(function*() {
      const folder = yield* (yield* FileSystem.FileSystem).makeTempDirectoryScoped()
      yield* Checkpoint.save(`${folder}/net`, yield* Net.make(4, 8))
      const wider = yield* Net.make(4, 9)
      const before = yield* contents(wider)
      const error = yield* Effect.flip(Checkpoint.restore(`${folder}/net`, wider))
      assert.strictEqual(error.reason._tag, "Mismatch")
      for (
        const path of ["first/kernel", "first/bias", "norm/scale", "norm/bias", "norm/mean", "norm/var", "last/kernel"]
      ) {
        assert.include(error.message, path)
      }
      assert.deepStrictEqual(yield* contents(wider), before)
      assert.deepStrictEqual(yield* (yield* FileSystem.FileSystem).readDirectory(folder), ["net"])
    }).pipe(Effect.scoped, Effect.provide([Live, NodeServices.layer])))
})
