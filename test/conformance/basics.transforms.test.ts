// The basics guide: its transforms. Numbers are Flax's own (test/golden/basics.json, rngs.json).
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import * as nnx from "linum"
import { assertClose, type Numbers } from "../support/close.ts"
import { cases, numbers, type Value } from "../support/golden.ts"
import {
  Count,
  Counter,
  expectValue,
  expectValues,
  golden,
  held,
  type Linear,
  Live,
  MLP,
  type Tensor,
  tensor
} from "./basics.models.ts"

const T = nnx.Tensor

/** Inputs that differ in every row, as the golden file has them. */
const rows = (n: number, m: number): Tensor =>
  T.array(Array.from({ length: n }, (_, i) => Array.from({ length: m }, (__, j) => ((i * m + j) % 7 - 3) / 4)))

const setup = Effect.gen(function*() {
  const model = yield* MLP.make(2, 16, 10)
  const optimizer = yield* nnx.Optimizer.make(model, nnx.adam(1e-3), { wrt: nnx.Param })
  return { model, optimizer }
}).pipe(Effect.provide(nnx.Rngs.layer(0)))
type Optimizer = Effect.Success<typeof setup>["optimizer"]

/** The guide's step. */
const trainStep = Effect.fnUntraced(function*(model: MLP, optimizer: Optimizer, x: Tensor, y: Tensor) {
  const lossFn = (m: MLP) => Effect.map(m.apply(x), (prediction) => prediction.sub(y).square().mean())
  const [loss, grads] = yield* nnx.valueAndGrad(lossFn)(model)
  yield* optimizer.update(model, grads)
  return loss
})

layer(Live)("transforms of the guide", (it) => {
  it.effect("A.116 what a transform changes inside, in any object that it was given, is changed outside", () =>
    Effect.gen(function*() {
      class Pair extends nnx.Module("Pair")<{ readonly one: Counter; readonly two: Counter }> {}
      const one = yield* Counter.make
      const pair = new Pair({ one, two: one })
      const f = (p: Pair) =>
        Effect.gen(function*() {
          assert.strictEqual(p.one, p.two)
          yield* p.one.apply()
          yield* p.two.apply()
          yield* nnx.setAttribute(p, "two", new Counter({ count: yield* Count.make(T.array(7, { dtype: "int32" })) }))
          return p
        })
      assert.strictEqual(yield* nnx.jit(f)(pair), pair)
      assert.strictEqual(pair.one, one)
      assert.strictEqual(yield* held(one.count), 2)
      assert.strictEqual(yield* held(pair.two.count), 7)
      const loss = (p: Pair, x: Tensor) => Effect.as(f(new Pair({ one: p.one, two: p.one })), x.mul(x))
      const wrt = { argnums: 1 } as const
      const count = Effect.map(held(one.count), (n) => Number(n))
      yield* nnx.grad(loss, wrt)(pair, T.array(3))
      assert.strictEqual(yield* count, 4)
      yield* nnx.remat(loss)(pair, T.array(3))
      yield* nnx.cond(true, loss, (_: Pair, x: Tensor) => Effect.succeed(x), pair, T.array(3))
      yield* nnx.vmap((p: Pair, x: Tensor) => Effect.as(p.one.apply(), x), { inAxes: [null, 0] })(pair, T.ones([3]))
      assert.strictEqual(yield* count, 9)
    }))

  it.effect("A.117 A.118 A.120 a jitted step by valueAndGrad: losses, statistics, streams and the step are Flax's", () =>
    Effect.gen(function*() {
      const { model, optimizer } = yield* setup
      const step = nnx.jit(trainStep)
      const want = golden("train") as unknown as { readonly losses: ReadonlyArray<Value>; readonly step: Value }
      for (const loss of want.losses) {
        yield* expectValue(yield* step(model, optimizer, rows(5, 2), T.ones([5, 10])), loss, "loss", 10)
      }
      // What BatchNorm and Dropout wrote inside grad inside jit is in the model; the optimizer has counted.
      // The gradient of the bias before BatchNorm is rounding alone, of which Adam makes steps of 1e-3 to either side:
      // running means agree to 1 % of three of these.
      const { "bn/mean": mean, ...stats } = golden("train").stats
      yield* expectValues(model, stats, 10)
      assertClose((yield* held(model.bn.mean)) as Numbers, numbers(mean), { atol: 6e-5, rtol: 1e-5 })
      assert.strictEqual(yield* held(model.dropout.rngs.count), 3)
      assert.strictEqual(yield* held(optimizer.step), numbers(want.step)[0])
      assert.strictEqual(step.traces(), 1)
    }))

  it.effect("A.117 the same without jit, and gradients go to the optimizer in the form that grad gives", () =>
    Effect.gen(function*() {
      const { model, optimizer } = yield* setup
      const [first, second] = golden("train").losses
      yield* expectValue(yield* trainStep(model, optimizer, rows(5, 2), T.ones([5, 10])), first, "loss", 10)
      const lossFn = (m: MLP) => Effect.map(m.apply(rows(5, 2)), (y) => y.sub(1).square().mean())
      const [loss, grads] = yield* nnx.valueAndGrad(lossFn)(model)
      yield* expectValue(loss, second, "loss", 10)
      assert.deepStrictEqual(nnx.State.paths(grads), nnx.State.paths(yield* nnx.state(model, nnx.Param)))
      const updates = yield* optimizer.update(model, grads)
      assert.deepStrictEqual(nnx.State.paths(updates), nnx.State.paths(grads))
    }))

  it.effect("A.118 through more levels: jit in remat in grad in jit", () =>
    Effect.gen(function*() {
      const { model } = yield* setup
      const forward = nnx.remat(nnx.jit((m: MLP, x: Tensor) => m.apply(x)))
      const loss = (m: MLP) => Effect.map(forward(m, rows(5, 2)), (y) => y.square().mean())
      const step = nnx.jit((m: MLP) => Effect.map(nnx.grad(loss)(m), (g) => g.bn.scale.value))
      const { model: twin } = yield* setup
      yield* twin.apply(rows(5, 2))
      assert.deepStrictEqual((yield* step(model)).shape, [16])
      assert.deepStrictEqual(yield* held(model.bn.mean), yield* held(twin.bn.mean))
      assert.strictEqual(yield* held(model.dropout.rngs.count), 1)
    }))

  it.effect("A.119 what holds the model too, holds it inside jit and afterwards", () =>
    Effect.gen(function*() {
      class Trainer extends nnx.Module("Trainer")<{ readonly model: MLP; readonly optimizer: Optimizer }> {
        update(grads: Parameters<Optimizer["update"]>[1]) {
          return this.optimizer.update(this.model as never, grads)
        }
      }
      const { model, optimizer } = yield* setup
      const trainer = new Trainer({ model, optimizer })
      const step = nnx.jit(
        Effect.fnUntraced(function*(m: MLP, t: Trainer, x: Tensor) {
          assert.strictEqual(t.model, m)
          const lossFn = (inner: MLP) => Effect.map(inner.apply(x), (y) => y.sub(1).square().mean())
          const [loss, grads] = yield* nnx.valueAndGrad(lossFn)(m)
          // The model is updated by way of the trainer alone.
          yield* t.update(grads)
          return loss
        })
      )
      const losses: Array<number> = []
      for (let i = 0; i < 3; i++) losses.push(yield* T.item(yield* step(model, trainer, rows(5, 2))))
      assertClose(losses, golden("train").losses.map((l) => numbers(l)[0]), { rtol: 1e-4 })
      assert.strictEqual(trainer.model, model)
      assert.strictEqual(step.traces(), 1)
    }))

  it.effect("A.120 the step counter starts at 0 and counts updates", () =>
    Effect.gen(function*() {
      const { model, optimizer } = yield* setup
      assert.deepStrictEqual([optimizer.step.kind, yield* held(optimizer.step)], ["OptState", 0])
      for (let i = 1; i <= 3; i++) {
        yield* trainStep(model, optimizer, rows(5, 2), T.ones([5, 10]))
        assert.strictEqual(yield* held(optimizer.step), i)
      }
    }))
})

const stackCase = cases("rngs.json")["notebook"].find((c) => c.name === "guide/stack") as unknown as {
  readonly x: Value
  readonly y: Value
  readonly mean: Value
  readonly count: Value
}

layer(Live)("scan over layers", (it) => {
  const createModel = nnx.vmap(
    (key: Tensor) =>
      Effect.flatMap(nnx.Rngs.fromSeeds(key), (rngs) => Effect.provideService(MLP.make(10, 32, 10), nnx.Rngs, rngs)),
    {
      inAxes: 0,
      outAxes: 0
    }
  )
  const create = Effect.suspend(() => createModel(T.random.split(T.random.key(0), 5)))

  it.effect("A.121 vmap over five keys makes a stack of five models", () =>
    Effect.gen(function*() {
      const model = yield* create
      assert.instanceOf(model, MLP)
      const leading = nnx.State.toEntries(yield* nnx.state(model)).map(([, leaf]) =>
        (leaf as { readonly value: Tensor }).value.shape[0]
      )
      assert.isTrue(leading.length === 10 && leading.every((n) => n === 5))
      // Each is the model of its key.
      const key = T.random.split(T.random.key(0), 5).get(3)
      const single = yield* MLP.make(10, 32, 10).pipe(
        Effect.provideService(nnx.Rngs, yield* nnx.Rngs.fromSeeds(key))
      )
      const weights = (m: MLP) => held((m.linear1 as Linear).w)
      const all = (yield* weights(model)) as ReadonlyArray<unknown>
      assert.deepStrictEqual(all[3], yield* weights(single))
    }))

  it.effect("A.122 scan with the model at axis 0 and the carry second gives the carry alone; numbers are Flax's", () =>
    Effect.gen(function*() {
      const model = yield* create
      const forward = nnx.scan((m: MLP, x: Tensor) => m.apply(x), { inAxes: [0, nnx.Carry], outAxes: nnx.Carry })
      const y = yield* forward(model, tensor(stackCase.x))
      assert.deepStrictEqual(y.shape, [3, 10])
      assertClose((yield* T.toNested(y)) as Numbers, numbers(stackCase.y), { rtol: 1e-4, atol: 1e-4 })
      assertClose((yield* held(model.bn.mean)) as Numbers, numbers(stackCase.mean), { rtol: 1e-4, atol: 1e-5 })
      assert.deepStrictEqual(yield* held(model.dropout.rngs.count), numbers(stackCase.count))
      // As the guide calls it, and inside jit.
      const ones = yield* nnx.jit(forward)(model, T.ones([3, 10]))
      assert.deepStrictEqual(ones.shape, [3, 10])
      assert.deepStrictEqual(yield* held(model.dropout.rngs.count), [2, 2, 2, 2, 2])
    }))

  it.effect("A.122 the carry may stand anywhere, beside inputs and results of any axis", () =>
    Effect.gen(function*() {
      const f = (xs: Tensor, scale: Tensor, carry: Tensor) =>
        Effect.sync(() => {
          const next = carry.add(xs.mul(scale))
          return [next.sum(), next, xs] as const
        })
      const run = nnx.scan(f, { inAxes: [1, null, nnx.Carry], outAxes: [0, nnx.Carry, -1] })
      const [sums, last, same] = yield* run(T.array([[1, 2, 3], [4, 5, 6]]), T.array(2), T.zeros([2]))
      assert.deepStrictEqual(yield* T.toNested(sums), [10, 24, 42])
      assert.deepStrictEqual(yield* T.toNested(last), [12, 30])
      assert.deepStrictEqual(yield* T.toNested(same), [[1, 2, 3], [4, 5, 6]])
      // Effect's own state inside: the counter of calls is a carry without being named one.
      const counter = yield* Counter.make
      yield* nnx.scan((x: Tensor) => Effect.as(counter.apply(), x), { inAxes: 0, outAxes: 0 })(T.zeros([4]))
      assert.strictEqual(yield* held(counter.count), 4)
      assert.strictEqual(yield* Effect.map(Ref.get(counter.count), (n) => n.dtype), "int32")
    }))
})
