// The Optimizer on models: inside of jit and outside, what it fails with, and what it leaves alone.
import { assert, describe, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Exit from "effect/Exit"
import * as Ref from "effect/Ref"
import { toNested } from "../../src/Backend/read.ts"
import * as Cpu from "../../src/Backend/Tfjs/Cpu/index.ts"
import { clone, immutable, merge, split, state } from "../../src/GraphDef/split.ts"
import * as optim from "../../src/Optimizer/index.ts"
import { Module } from "../../src/Ref/Module.ts"
import { kind, OptState, Param, type Variable } from "../../src/Ref/Variable.ts"
import * as Filter from "../../src/State/Filter.ts"
import * as State from "../../src/State/State.ts"
import * as T from "../../src/Tensor/index.ts"
import type { Tensor } from "../../src/Tensor/Tensor.ts"
import { grad, valueAndGrad } from "../../src/Transform/autodiff.ts"
import { jit } from "../../src/Transform/jit.ts"
import { assertClose } from "../support/close.ts"

const Count = kind("Count")
const Lora = Param.sub("Lora")

class Linear extends Module("Linear")<{
  readonly kernel: Variable<"Param", Tensor>
  readonly bias: Variable<"Param", Tensor>
}> {
  call(x: Tensor) {
    return Effect.sync(() => x.matmul(Ref.getUnsafe(this.kernel)).add(Ref.getUnsafe(this.bias)))
  }
}

class Mlp extends Module("Mlp")<{
  readonly first: Linear
  readonly second: Linear
  readonly calls: Variable<"Count", Tensor>
}> {
  call(x: Tensor) {
    return Effect.gen({ self: this }, function*() {
      yield* Ref.update(this.calls, (n) => n.add(1))
      const hidden = yield* this.first.call(x)
      return yield* this.second.call(hidden.tanh())
    })
  }
}

const linear = (seed: number, inputs: number, outputs: number) =>
  new Linear({
    kernel: Param.makeUnsafe(T.random.normal(T.random.key(seed), [inputs, outputs])),
    bias: Param.makeUnsafe(T.zeros([outputs]), { metadata: { name: "bias" } })
  })

const makeMlp = Effect.sync(() =>
  new Mlp({
    first: linear(0, 2, 3),
    second: linear(1, 3, 1),
    calls: Count.makeUnsafe(T.array(0, { dtype: "int32" }))
  })
)

const loss = (model: Mlp, x: Tensor, y: Tensor) => Effect.map(model.call(x), (out) => out.sub(y).square().mean())

const x = T.array([[0, 1], [1, 0], [1, 1], [0.5, -1]])
const y = T.array([[1], [1], [0], [2]])

const numbersOf = Effect.fnUntraced(function*(model: object) {
  const all = yield* state(model)
  const out: Record<string, unknown> = {}
  for (const [path, leaf] of State.toEntries(all as State.Any)) {
    if (State.isVariableState(leaf)) out[path.join("/")] = yield* toNested(leaf.value as Tensor)
  }
  return out
})

const assertSameNumbers = (a: Record<string, unknown>, b: Record<string, unknown>) => {
  assert.deepStrictEqual(Object.keys(a), Object.keys(b))
  for (const key of Object.keys(a)) assertClose(a[key] as number, b[key] as number, { rtol: 1e-5, atol: 1e-7 }, key)
}

const transformations = {
  sgd: optim.sgd(0.1, { momentum: 0.9, nesterov: true }),
  adamw: optim.adamw(optim.warmupCosineDecaySchedule({ initValue: 0, peakValue: 0.1, warmupSteps: 2, decaySteps: 5 }), {
    mask: Filter.not(Filter.pathContains("bias"))
  }),
  clipped: optim.chain(optim.clipByGlobalNorm(0.5), optim.rmsprop(0.01, { momentum: 0.9 })),
  accumulated: optim.multiSteps(optim.adam(0.1), 2),
  lbfgs: optim.lbfgs(0.5, { memorySize: 3 }),
  injected: optim.injectHyperparams(({ rate }) => optim.lion(rate), { rate: 0.01 }),
  partitioned: optim.partition(
    { kernels: optim.adam(0.1), others: optim.setToZero },
    optim.labelsByFilter([Filter.pathContains("kernel"), "kernels"], [Filter.everything, "others"])
  )
}

layer(Cpu.layer)("Optimizer", (it) => {
  describe("training", () => {
    for (const [name, tx] of Object.entries(transformations)) {
      it.effect(`with ${name} inside of jit is what it is outside, and is traced once`, () =>
        Effect.gen(function*() {
          const model = yield* makeMlp
          const twin = yield* clone(model)
          const optimizer = yield* optim.Optimizer.make(model, tx as optim.GradientTransformation, { wrt: Param })
          const twinOptimizer = yield* optim.Optimizer.make(twin, tx as optim.GradientTransformation, { wrt: Param })
          const step = Effect.fnUntraced(function*(model: Mlp, optimizer: optim.Optimizer<Mlp>) {
            const [value, grads] = yield* valueAndGrad(loss)(model, x, y)
            yield* optimizer.update(model, grads)
            return value
          })
          const fast = jit(step)
          const losses: Array<unknown> = []
          for (let i = 0; i < 4; i++) {
            const value = yield* toNested(yield* fast(model, optimizer))
            losses.push(value)
            assertClose(value, yield* toNested(yield* step(twin, twinOptimizer)), { rtol: 1e-5 }, "loss")
          }
          assert.strictEqual(fast.traces(), 1)
          assertSameNumbers(yield* numbersOf(model), yield* numbersOf(twin))
          assertSameNumbers(yield* numbersOf(optimizer), yield* numbersOf(twinOptimizer))
          assert.strictEqual(yield* toNested(yield* Ref.get(optimizer.step)), 4)
          assert.strictEqual(yield* toNested(yield* Ref.get(model.calls)), 4)
        }))
    }

    it.effect("is one trace for two models of one structure with one transformation", () =>
      Effect.gen(function*() {
        const tx = optim.adam(0.1)
        const step = jit((model: Mlp, optimizer: optim.Optimizer<Mlp>) =>
          Effect.flatMap(grad(loss)(model, x, y), (grads) => Effect.asVoid(optimizer.update(model, grads)))
        )
        for (const transformation of [tx, tx, optim.adam(0.1)]) {
          const model = yield* makeMlp
          yield* step(model, yield* optim.Optimizer.make(model, transformation, { wrt: Param }))
        }
        assert.strictEqual(step.traces(), 2)
      }))

    it.effect("changes a hyperparameter without a new trace", () =>
      Effect.gen(function*() {
        const model = yield* makeMlp
        const tx = optim.injectHyperparams(({ rate }) => optim.sgd(rate), { rate: 0 })
        const optimizer = yield* optim.Optimizer.make(model, tx, { wrt: Param })
        const step = jit((model: Mlp, optimizer: optim.Optimizer<Mlp>) =>
          Effect.flatMap(grad(loss)(model, x, y), (grads) => Effect.asVoid(optimizer.update(model, grads)))
        )
        const before = yield* toNested(yield* Ref.get(model.first.kernel))
        yield* step(model, optimizer)
        assert.deepStrictEqual(yield* toNested(yield* Ref.get(model.first.kernel)), before)
        const { rate } = optimizer.optState.hyperparams
        yield* Ref.set(rate, T.array(0.1))
        yield* step(model, optimizer)
        assert.notDeepEqual(yield* toNested(yield* Ref.get(model.first.kernel)), before)
        assert.strictEqual(step.traces(), 1)
      }))

    it.effect("of some parameters leaves the others alone", () =>
      Effect.gen(function*() {
        const model = new Linear({ kernel: Param.makeUnsafe(T.ones([2])), bias: Param.makeUnsafe(T.ones([2])) })
        const wrt = Filter.pathContains("bias")
        const optimizer = yield* optim.Optimizer.make(model, optim.sgd(1, { momentum: 0.5 }), { wrt })
        const grads = yield* grad((m: Linear) => Effect.map(Ref.get(m.bias), (b) => b.sum()), { wrt })(model)
        yield* optimizer.update(model, grads)
        assert.deepStrictEqual(yield* numbersOf(model), { bias: [0, 0], kernel: [1, 1] })
        assert.deepStrictEqual(Object.keys(yield* numbersOf(optimizer)), ["optState/0/trace/bias", "step"])
      }))

    it.effect("covers sub-kinds, and writes a shared Variable once", () =>
      Effect.gen(function*() {
        const shared = Lora.makeUnsafe(T.array([1, 2]))
        class Tied extends Module("Tied")<{ readonly a: typeof shared; readonly b: typeof shared }> {}
        const model = new Tied({ a: shared, b: shared })
        const optimizer = yield* optim.Optimizer.make(model, optim.sgd(0.5), { wrt: Param })
        const grads = yield* grad((m: Tied) =>
          Effect.gen(function*() {
            return (yield* Ref.get(m.a)).add(yield* Ref.get(m.b)).sum()
          })
        )(model)
        yield* optimizer.update(model, grads as never)
        assert.deepStrictEqual(yield* toNested(yield* Ref.get(shared)), [0, 1])
      }))
  })

  describe("the state", () => {
    it.effect("mirrors the parameters: paths, kinds and metadata", () =>
      Effect.gen(function*() {
        const model = yield* makeMlp
        const optimizer = yield* optim.Optimizer.make(model, optim.adam(0.1), { wrt: Param })
        const [, all] = yield* split(optimizer, OptState)
        const found = State.toEntries(all as State.Any).map(([path, leaf]) => [
          path.join("/"),
          State.isVariableState(leaf) ? leaf.kind : "",
          State.isVariableState(leaf) ? leaf.metadata : {}
        ])
        assert.deepStrictEqual(found.filter(([path]) => !String(path).includes("/nu/")), [
          ["optState/0/count", "OptState/OptArray", {}],
          ["optState/0/mu/first/bias", "OptState/OptVariable", { name: "bias" }],
          ["optState/0/mu/first/kernel", "OptState/OptVariable", {}],
          ["optState/0/mu/second/bias", "OptState/OptVariable", { name: "bias" }],
          ["optState/0/mu/second/kernel", "OptState/OptVariable", {}],
          ["step", "OptState", {}]
        ])
      }))

    it.effect("survives split and merge, and goes on as before", () =>
      Effect.gen(function*() {
        const model = yield* makeMlp
        const optimizer = yield* optim.Optimizer.make(model, optim.adam(0.1), { wrt: Param })
        const grads = yield* grad(loss)(model, x, y)
        yield* optimizer.update(model, grads)
        const [def, values] = yield* split(optimizer)
        const copy = yield* merge(def, values)
        assert.isTrue(Equal.equals(copy.tx, optimizer.tx))
        const twin = yield* clone(model)
        yield* optimizer.update(model, grads)
        yield* copy.update(twin, grads)
        assertSameNumbers(yield* numbersOf(model), yield* numbersOf(twin))
      }))
  })

  describe("bad input", () => {
    const failure = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.flip(effect)

    it.effect("lists every gradient that is missing, unknown, or of another shape; nothing is written", () =>
      Effect.gen(function*() {
        const model = yield* makeMlp
        const optimizer = yield* optim.Optimizer.make(model, optim.adam(0.1), { wrt: Param })
        const before = yield* numbersOf(optimizer)
        const wrong = State.fromEntries([
          [["first", "kernel"], T.zeros([2, 3])],
          [["first", "bias"], T.zeros([4])],
          [["second", "weights"], T.zeros([1])],
          [["second", "bias"], T.zeros([1])]
        ])
        const error = yield* failure(optimizer.update(model, wrong as never))
        assert.strictEqual(error._tag, "StructureError")
        if (error._tag !== "StructureError") return
        assert.deepStrictEqual(error.misfits.map((m) => [m.path.join("/"), m.expected, m.found]), [
          ["second/weights", "nothing", "f32[1]"],
          ["first/bias", "f32[3]", "f32[4]"],
          ["second/kernel", "f32[3,1]", "nothing"]
        ])
        assert.deepStrictEqual(yield* numbersOf(optimizer), before)
      }))

    it.effect("gradients of nothing", () =>
      Effect.gen(function*() {
        const model = yield* makeMlp
        const optimizer = yield* optim.Optimizer.make(model, optim.sgd(0.1), { wrt: Param })
        const error = yield* failure(optimizer.update(model, undefined as never))
        assert.match(error.message, /take gradients with the same wrt[^]*\(root\): expected a State, found nothing/)
      }))

    it.effect("a model of which other parameters were made", () =>
      Effect.gen(function*() {
        const model = yield* makeMlp
        const optimizer = yield* optim.Optimizer.make(linear(0, 2, 3) as never, optim.adam(0.1), { wrt: Param })
        const grads = yield* grad(loss)(model, x, y)
        const error = yield* failure(optimizer.update(model as never, grads as never))
        assert.strictEqual(error._tag, "StructureError")
      }))

    it.effect("read-only Variables", () =>
      Effect.gen(function*() {
        const model = yield* immutable(yield* makeMlp)
        const optimizer = yield* optim.Optimizer.make(model, optim.sgd(0.1), { wrt: Param })
        const grads = yield* state(model, Param)
        const error = yield* failure(optimizer.update(model, grads))
        assert.strictEqual(error._tag, "ImmutableVariableError")
      }))

    it.effect("a transformation that changes the shape of its state", () =>
      Effect.gen(function*() {
        const model = linear(0, 2, 3)
        const growing: optim.GradientTransformation<{ readonly seen: Tensor }> = {
          init: () => ({ seen: T.zeros([1]) }),
          update: (updates, state) => ({ updates, state: { seen: T.concatenate([state.seen, T.zeros([1])]) } })
        }
        const optimizer = yield* optim.Optimizer.make(model, growing, { wrt: Param })
        const grads = yield* state(model, Param)
        const error = yield* failure(optimizer.update(model, grads))
        assert.match(error.message, /optState\/seen: expected f32\[1\], found f32\[2\]/)
      }))

    it.effect("filters that cover nothing", () =>
      Effect.gen(function*() {
        const wrt = kind("LoraParam")
        const error = yield* Effect.flip(optim.Optimizer.make(linear(0, 2, 3), optim.sgd(0.1), { wrt }))
        assert.strictEqual(error._tag, "StructureError")
        assert.match(error.message, /wrt LoraParam selects no Variables of the model[^]*found Param/)
      }))

    it.effect("filters that cover bare arrays", () =>
      Effect.gen(function*() {
        class Bare extends Module("Bare")<{ readonly table: Tensor }> {}
        const exit = yield* Effect.exit(
          optim.Optimizer.make(new Bare({ table: T.ones([2]) }), optim.sgd(0.1), { wrt: Filter.everything })
        )
        assert.isTrue(Exit.isFailure(exit))
      }))
  })
})
