// The first notebook: its training loop, and what it lists as limitations, which are none here.
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import * as nnx from "linum"
import * as Cpu from "linum/backend/tfjs-cpu"
import { failsWith, held } from "./basics.models.ts"
import type { Linear } from "./modes.models.ts"
import { assertNotebookLosses, Block, makeBlock, stacked, type Tensor } from "./transforms.models.ts"

const T = nnx.Tensor
const [ones2, ones3] = [T.ones([10, 2]), T.ones([10, 3])]

/** In the notebook's mode, with its seed. */
const notebook = <A, E>(effect: Effect.Effect<A, E, nnx.Backend | nnx.Rngs>) =>
  effect.pipe(nnx.useHijax(true), Effect.provide(nnx.Rngs.layer(0)))

const setup = Effect.gen(function*() {
  const model = yield* makeBlock(2, 64, 3)
  const optimizer = yield* nnx.Optimizer.make(model, nnx.adam(1e-3), { wrt: nnx.Param })
  return { model, optimizer }
})
type Optimizer = Effect.Success<typeof setup>["optimizer"]

/** The notebook's step: the model is split, and merged again inside the loss, over live Variables that do not train. */
const notebookStep = Effect.fnUntraced(function*(model: Block<Linear>, optimizer: Optimizer, x: Tensor, y: Tensor) {
  const [graphdef, params] = yield* nnx.split(model, nnx.Param, nnx.Filter.rest)
  const [, nondiff] = yield* nnx.variables(model, nnx.Param, nnx.Filter.rest)
  const lossFn = (p: typeof params) =>
    Effect.gen(function*() {
      const merged = yield* nnx.merge(graphdef, p, nondiff)
      return (yield* merged.apply(x)).sub(y).square().mean()
    })
  const frozen = yield* nnx.immutable(params)
  const [loss, grads] = yield* nnx.valueAndGrad(lossFn)(frozen)
  yield* optimizer.update(model, grads)
  return { loss, grads }
})

layer(Cpu.layer)("the training loop of the first notebook", (it) => {
  it.effect("A.021 a jitted step mutates model and optimizer and returns nothing but the loss", () =>
    Effect.gen(function*() {
      const { model, optimizer } = yield* setup
      const kernel = model.linear.kernel
      const before = yield* held(kernel)
      const step = nnx.jit((m: typeof model, o: typeof optimizer, x: Tensor, y: Tensor) =>
        Effect.map(notebookStep(m, o, x, y), ({ loss }) => loss)
      )
      const losses: Array<number> = []
      for (let i = 0; i < 3; i++) losses.push(yield* T.item(yield* step(model, optimizer, ones2, ones3)))
      assertNotebookLosses(losses)
      assert.strictEqual(step.traces(), 1)
      assert.strictEqual(model.linear.kernel, kernel)
      assert.notDeepEqual(yield* held(kernel), before)
      assert.strictEqual(yield* T.item(yield* Ref.get(optimizer.step)), 3)
    }).pipe(notebook))

  it.effect("A.022 split inside jit, a loss over params, and merge inside the loss", () =>
    Effect.gen(function*() {
      const { model } = yield* setup
      const f = nnx.jit((m: typeof model, x: Tensor) =>
        Effect.gen(function*() {
          const [graphdef, params, nondiff] = yield* nnx.split(m, nnx.Param, nnx.Filter.rest)
          assert.deepStrictEqual(nnx.State.paths(params).map((p) => p.join("/")), [
            "bn/bias",
            "bn/scale",
            "linear/kernel",
            "linearOut/kernel"
          ])
          const lossFn = (p: typeof params) =>
            Effect.gen(function*() {
              const merged = yield* nnx.merge(graphdef, p, nondiff)
              return (yield* merged.apply(x)).square().mean()
            })
          return yield* nnx.grad(lossFn)(params)
        })
      )
      const grads = yield* f(model, ones2)
      assert.deepStrictEqual(grads.linearOut.kernel.value.shape, [64, 3])
      // What was split off is a snapshot, so the merged copy's statistics are its own.
      assert.deepStrictEqual(yield* held(model.bn.mean), Array.from({ length: 64 }, () => 0))
      assert.deepStrictEqual(yield* held(model.dropout.rngs.count), 0)
    }).pipe(notebook))

  it.effect("A.023 immutable Variables are differentiable inputs; the gradient has their structure", () =>
    Effect.gen(function*() {
      const { model, optimizer } = yield* setup
      const { grads } = yield* notebookStep(model, optimizer, ones2, ones3)
      const params = yield* nnx.state(model, nnx.Param)
      assert.deepStrictEqual(nnx.State.paths(grads), nnx.State.paths(params))
      assert.deepStrictEqual(grads.linear.kernel.value.shape, params.linear.kernel.value.shape)
      assert.strictEqual(grads.linear.kernel.kind, "Param")
      // Live Variables, made read-only: reading is differentiated, writing refused.
      const live = yield* nnx.immutable(yield* nnx.variables(model, nnx.Param))
      const kernel = nnx.State.values(live).map((v) => v as nnx.Variable<"Param", Tensor>)
      assert.isTrue(kernel.every((v) => !v.isMutable && v.wasHijax))
      const sum = (vs: typeof kernel) => Effect.map(Ref.get(vs[2]), (w) => w.square().sum())
      const [value, slopes] = yield* nnx.valueAndGrad(sum)(kernel)
      assert.isAbove(yield* T.item(value), 0)
      const found = nnx.State.toEntries(slopes as nnx.State.Any)
      assert.deepStrictEqual(found.map(([path]) => path), [["0"], ["1"], ["2"], ["3"]])
      const model2 = yield* nnx.immutable(model)
      yield* failsWith(
        nnx.grad((m: typeof model) =>
          Effect.andThen(
            Ref.update(m.linear.kernel, (w) => w.mul(2)),
            Effect.map(Ref.get(m.linear.kernel), (w) => w.sum())
          )
        )(model2),
        "ImmutableVariableError"
      )
    }).pipe(notebook))

  it.effect("A.024 update in place inside jit: statistics, streams and the optimizer's state come out", () =>
    Effect.gen(function*() {
      const { model, optimizer } = yield* setup
      const step = nnx.jit(
        Effect.fnUntraced(function*(m: typeof model, o: typeof optimizer, x: Tensor, y: Tensor) {
          const lossFn = (inner: typeof model) => Effect.map(inner.apply(x), (out) => out.sub(y).square().mean())
          const [loss, grads] = yield* nnx.valueAndGrad(lossFn)(m)
          yield* o.update(m, grads)
          return loss
        })
      )
      for (
        const run of [
          step,
          nnx.jit((m: typeof model, o: typeof optimizer, x: Tensor, y: Tensor) =>
            Effect.map(notebookStep(m, o, x, y), ({ loss }) => loss)
          )
        ]
      ) {
        const count = Number(yield* held(model.dropout.rngs.count))
        const losses: Array<number> = []
        for (let i = 0; i < 3; i++) losses.push(yield* T.item(yield* run(model, optimizer, ones2, ones3)))
        if (count === 0) assertNotebookLosses(losses)
        assert.isTrue(losses[0] > losses[1] && losses[1] > losses[2], String(losses))
        assert.strictEqual(yield* held(model.dropout.rngs.count), count + 3)
      }
      assert.strictEqual(yield* held(optimizer.step), 6)
      // All ten inputs are the same, so the mean is that of any.
      const x = (yield* held(model.bn.mean)) as ReadonlyArray<number>
      assert.isTrue(x.every((m) => m !== 0))
      const moments = yield* nnx.state(optimizer, nnx.OptVariable)
      assert.isAbove(nnx.State.length(moments), 0)
      for (const [, leaf] of nnx.State.toEntries(moments)) {
        const { value } = leaf as { readonly value: Tensor }
        if (value.shape.length === 2) assert.isAbove(yield* T.item(value.abs().sum()), 0)
      }
    }).pipe(notebook))
})

layer(Cpu.layer)("what the first notebook cannot do", (it) => {
  it.effect("A.025 a stack of mutable Variables made by vmap is scanned, in jit and outside", () =>
    Effect.gen(function*() {
      const rngs = yield* nnx.Rngs
      const stack = yield* stacked(makeBlock(2, 64, 2))(yield* rngs.split(8))
      assert.deepStrictEqual((yield* Ref.get(stack.linear.kernel)).shape, [8, 2, 64])
      assert.isTrue(stack.linear.kernel.isHijax && stack.linear.kernel.isMutable)
      const scanFn = (x: Tensor, block: typeof stack) => Effect.map(block.apply(x), (y) => [y, undefined] as const)
      const x = T.random.uniform(T.random.key(0), [3, 2])
      const [kernel, twin] = [stack.linear.kernel, yield* nnx.clone(stack)]
      const [y] = yield* nnx.scan(scanFn)(x, stack)
      assert.deepStrictEqual(y.shape, [3, 2])
      const forward = nnx.jit((b: typeof stack, z: Tensor) => Effect.map(nnx.scan(scanFn)(z, b), ([out]) => out))
      const again = yield* forward(twin, x)
      assert.deepStrictEqual(yield* T.toNested(again), yield* T.toNested(y))
      // The Variables are those of the stack, written layer by layer.
      assert.strictEqual(stack.linear.kernel, kernel)
      for (const s of [stack, twin]) {
        assert.deepStrictEqual(yield* held(s.dropout.rngs.count), Array.from({ length: 8 }, () => 1))
        const mean = (yield* held(s.bn.mean)) as ReadonlyArray<ReadonlyArray<number>>
        assert.isTrue(mean.every((row) => row.every((m) => m !== 0)))
      }
      assert.deepStrictEqual(yield* held(stack.bn.mean), yield* held(twin.bn.mean))
      yield* forward(twin, x)
      assert.strictEqual(forward.traces(), 1)
      assert.deepStrictEqual(yield* held(twin.dropout.rngs.count), Array.from({ length: 8 }, () => 2))
    }).pipe(notebook))

  it.effect("A.026 jit returns a model with Variables that can be written", () =>
    Effect.gen(function*() {
      const create = nnx.jit(() => makeBlock(2, 64, 3))
      const model = yield* create()
      assert.instanceOf(model, Block)
      assert.isTrue(model.linear.kernel.isMutable && model.linear.kernel.isHijax)
      // They are outside: written, run and trained as any.
      yield* Ref.update(model.linear.kernel, (w) => w.mul(0).add(1))
      assert.strictEqual(((yield* held(model.linear.kernel)) as ReadonlyArray<ReadonlyArray<number>>)[1][63], 1)
      const y = yield* nnx.jit((m: typeof model, x: Tensor) => m.apply(x))(model, ones2)
      assert.deepStrictEqual(y.shape, [10, 3])
      assert.strictEqual(yield* held(model.dropout.rngs.count), 1)
      // Each call makes new ones, from the streams as they are by then.
      const other = yield* create()
      assert.notStrictEqual(other.linear.kernel, model.linear.kernel)
      assert.notDeepEqual(yield* held(other.linearOut.kernel), yield* held(model.linearOut.kernel))
      assert.strictEqual(create.traces(), 1)
      // The same model is made outside of jit.
      const outside = yield* makeBlock(2, 64, 3).pipe(Effect.provide(nnx.Rngs.layer(0)))
      assert.deepStrictEqual(yield* held(outside.linearOut.kernel), yield* held(model.linearOut.kernel))
    }).pipe(notebook))

  it.effect("A.027 immutable out of jit, mutable outside: the notebook's way works too", () =>
    Effect.gen(function*() {
      const create = nnx.jit(() => Effect.flatMap(makeBlock(2, 64, 3), (m) => nnx.immutable(m)))
      const frozen = yield* create()
      assert.isTrue(!frozen.linear.kernel.isMutable && frozen.linear.kernel.wasHijax)
      const model = yield* nnx.mutable(frozen)
      assert.strictEqual(
        String(model.linear),
        `Linear( # Param: 128 (512 B)
  kernel=Param( # 128 (512 B)
    value=Array(shape=(2, 64), dtype=float32),
    isHijax=true
  )
)`
      )
    }).pipe(notebook))
})
