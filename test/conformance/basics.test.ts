// The basics guide: Modules and their state, surgery, split, merge and update. Numbers are those of Flax itself
// (test/golden/basics.json). Its transforms, and what display shows, have files of their own.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import * as nnx from "linum"
import {
  Count,
  Counter,
  expectValue,
  expectValues,
  failsWith,
  golden,
  held,
  Linear,
  Live,
  LoraLinear,
  LoraParam,
  MLP,
  StatefulLinear,
  type Tensor,
  tensor
} from "./basics.models.ts"

const T = nnx.Tensor

/** A test with a backend and `Rngs(0)`. */
const test = <A, E>(name: string, body: () => Effect.Effect<A, E, nnx.Backend | nnx.Rngs>) =>
  it.effect(name, () => Effect.suspend(body).pipe(Effect.provide(Live)))

const seeded = (seeds: nnx.Seed | Readonly<Record<string, nnx.Seed>>) => Effect.provide(nnx.Rngs.layer(seeds))

describe("the Module system", () => {
  test("A.106 a Module holds its state, draws from streams that the user gives, and is told all shapes", () =>
    Effect.gen(function*() {
      const one = yield* Linear.make(2, 5).pipe(seeded({ params: 0 }))
      const same = yield* Linear.make(2, 5).pipe(seeded({ params: 0 }))
      const other = yield* Linear.make(2, 5).pipe(seeded({ params: 1 }))
      assert.deepStrictEqual(yield* held(one.w), yield* held(same.w))
      assert.notDeepEqual(yield* held(one.w), yield* held(other.w))
      // The state is the Module's own, there before any call, and a call makes no more of it.
      const paths = [["b"], ["w"]]
      assert.deepStrictEqual(nnx.State.paths(yield* nnx.state(one)), paths)
      yield* one.apply(T.ones([1, 2]))
      assert.deepStrictEqual(nnx.State.paths(yield* nnx.state(one)), paths)
      // Shapes are what the Module was told, not what it is called with.
      const layer = yield* nnx.Linear.make(2, 5)
      assert.include((yield* failsWith(layer.apply(T.ones([1, 3])), "ShapeError")).message, "features 3")
      assert.deepStrictEqual((yield* Ref.get(layer.kernel)).shape, [2, 5])
    }))

  test("A.107 Variables and arrays are dynamic, numbers and strings static", () =>
    Effect.gen(function*() {
      class Mixed extends nnx.Module("Mixed")<{
        readonly w: nnx.Variable<"Param", Tensor>
        readonly table: Tensor
        readonly size: number
        readonly name: string
      }> {}
      const make = (size: number, start: number) =>
        new Mixed({ w: nnx.Param.makeUnsafe(T.ones([2])), table: T.arange(start, start + 3), size, name: "mixed" })
      const [graphdef, params, rest] = yield* nnx.split(make(3, 0), nnx.Param, nnx.Filter.rest)
      assert.deepStrictEqual([nnx.State.paths(params), nnx.State.paths(rest)], [[["w"]], [["table"]]])
      assert.include(String(graphdef), "size: Static(3)")
      assert.match(String(graphdef), /name: Static\(.mixed.\)/)
      assert.notInclude(String(graphdef), "Static([")
      // Dynamic is what a compiled function takes as it comes; a new static value is a new function.
      const f = nnx.jit((m: Mixed) => Effect.map(Ref.get(m.w), (w) => w.sum().add(m.table.sum()).mul(m.size)))
      assert.deepStrictEqual(yield* T.item(yield* f(make(3, 0))), 15)
      assert.deepStrictEqual(yield* T.item(yield* f(make(3, 1))), 24)
      assert.strictEqual(f.traces(), 1)
      assert.deepStrictEqual(yield* T.item(yield* f(make(4, 1))), 32)
      assert.strictEqual(f.traces(), 2)
    }))

  test("A.108 named streams give fresh keys, and an unknown name falls back to the default stream", () =>
    Effect.gen(function*() {
      const rngs = yield* nnx.Rngs.fromSeeds({ params: 0, default: 7 })
      const keys = [yield* rngs.key("params"), yield* rngs.key("params"), yield* rngs.key(), yield* rngs.key("noise")]
      const [zero, seven] = [T.random.key(0), T.random.key(7)]
      const expected = [[zero, 0], [zero, 1], [seven, 0], [seven, 1]] as const
      for (const [i, [key, count]] of expected.entries()) {
        assert.deepStrictEqual(yield* T.toNested(keys[i]), yield* T.toNested(T.random.foldIn(key, count)))
      }
      const alone = yield* nnx.Rngs.fromSeeds({ params: 0 })
      assert.include((yield* failsWith(alone.key("noise"), "RngStreamError")).message, "No RngStream named 'noise'")
    }))

  test("A.109 what a Variable holds is an array with every operator; the Variable itself is read first", () =>
    Effect.gen(function*() {
      const v = yield* nnx.Param.make(T.array([1, 2, 4]))
      const x = T.array([2, 2, 2])
      // Reading is an effect, seen by transforms; in Python it hides behind the operators.
      const w = yield* Ref.get(v)
      const read = (y: Tensor) => T.toNested(y)
      assert.deepStrictEqual(yield* read(w.add(x)), [3, 4, 6])
      assert.deepStrictEqual(yield* read(x.sub(w)), [1, 0, -2])
      assert.deepStrictEqual(yield* read(w.mul(x).div(2)), [1, 2, 4])
      assert.deepStrictEqual(yield* read(w.pow(2).neg()), [-1, -4, -16])
      assert.deepStrictEqual(yield* read(w.mod(3)), [1, 2, 1])
      assert.deepStrictEqual(yield* read(w.gt(x)), [false, false, true])
      assert.deepStrictEqual(yield* read(w.eq(x)), [false, true, false])
      assert.strictEqual(yield* T.item(w.matmul(x)), 14)
      assert.closeTo(yield* T.item(T.log(w).sum()), Math.log(8), 1e-6)
      assert.deepStrictEqual(yield* read(w.get(1)), 2)
      // One expression, as it stands in a layer.
      const y = yield* Effect.map(Ref.get(v), (held_) => held_.mul(x).add(1))
      assert.deepStrictEqual(yield* read(y), [3, 5, 9])
      // @ts-expect-error a Variable is no array: reading it is an effect
      assert.throws(() => T.add(v, x))
    }))

  test("A.110 make creates all parameters at once, and a model is called by itself", () =>
    Effect.gen(function*() {
      const { made, out } = golden("linear")
      const model = yield* Linear.make(2, 5).pipe(seeded({ params: 0 }))
      assert.deepStrictEqual(yield* expectValues(model, made), Object.keys(made).toSorted())
      yield* expectValue(yield* model.apply(T.ones([1, 2])), out)
    }))

  test("A.112 a call may write a Variable of a kind of one's own", () =>
    Effect.gen(function*() {
      const counter = yield* Counter.make
      assert.strictEqual(yield* held(counter.count), 0)
      yield* counter.apply()
      assert.strictEqual(yield* held(counter.count), 1)
      assert.strictEqual(counter.count.kind, "Count")
      assert.deepStrictEqual(nnx.State.paths(yield* nnx.state(counter, Count)), [["count"]])
    }))

  test("A.113 Modules nest as fields, and in arrays and objects", () =>
    Effect.gen(function*() {
      const { after, made, out, x } = golden("mlp")
      const model = yield* MLP.make(2, 16, 5)
      assert.deepStrictEqual(yield* expectValues(model, made), Object.keys(made).toSorted())
      yield* expectValue(yield* model.apply(tensor(x)), out, "out", 10)
      yield* expectValues(model, after, 10)

      class Bag extends nnx.Module("Bag")<{
        readonly list: ReadonlyArray<Counter>
        readonly dict: { readonly inner: readonly [Counter, { readonly deep: Counter }] }
      }> {}
      const counter = yield* Counter.make
      const bag = new Bag({
        list: [yield* Counter.make, counter],
        dict: { inner: [yield* Counter.make, { deep: counter }] }
      })
      assert.deepStrictEqual(nnx.State.paths(yield* nnx.state(bag)), [
        ["dict", "inner", "0", "count"],
        ["dict", "inner", "1", "deep", "count"],
        ["list", "0", "count"]
      ])
      yield* nnx.jit((b: Bag) => Effect.andThen(b.list[1].apply(), b.dict.inner[1].deep.apply()))(bag)
      assert.strictEqual(yield* held(counter.count), 2)
    }))

  test("A.114 Dropout has a stream of its own, and needs no key when it is called", () =>
    Effect.gen(function*() {
      const { after, x } = golden("mlp")
      const model = yield* MLP.make(2, 16, 5)
      const { dropout } = model
      assert.strictEqual(yield* held(dropout.rngs.count), 0)
      yield* model.apply(tensor(x))
      yield* expectValue(yield* Ref.get(dropout.rngs.count), after["dropout/rngs/count"])
      yield* expectValue(yield* Ref.get(dropout.rngs.key), after["dropout/rngs/key"])
      const half = yield* nnx.Dropout.make(0.5)
      const masks = [yield* half.apply(T.ones([64])), yield* half.apply(T.ones([64]))]
      assert.notDeepEqual(yield* T.toNested(masks[0]), yield* T.toNested(masks[1]))
      assert.strictEqual(yield* held(half.rngs.count), 2)
    }))
})

describe("surgery", () => {
  const adapted = Effect.fnUntraced(function*() {
    const model = yield* MLP.make(2, 32, 5)
    const before = [model.linear1, model.linear2].filter((layer) => layer instanceof Linear)
    yield* nnx.setAttribute(model, "linear1", yield* LoraLinear.make(before[0], 4))
    yield* nnx.setAttribute(model, "linear2", yield* LoraLinear.make(before[1], 4))
    return { model, before }
  })

  test("A.115 layers of a live model are replaced by LoRA around them, with Flax's numbers", () =>
    Effect.gen(function*() {
      const { made, out, x } = golden("surgery")
      const { before, model } = yield* adapted()
      assert.instanceOf(model.linear1, LoraLinear)
      assert.strictEqual((model.linear1 as LoraLinear).linear, before[0])
      assert.deepStrictEqual(yield* expectValues(model, made), Object.keys(made).toSorted())
      yield* expectValue(yield* model.apply(tensor(x)), out, "out", 100)
    }))

  test("A.115 the LoRA parameters are Params too, and can be trained alone", () =>
    Effect.gen(function*() {
      const { before, model } = yield* adapted()
      const [, lora, params] = yield* nnx.split(model, LoraParam, nnx.Param, nnx.Filter.rest)
      assert.deepStrictEqual(nnx.State.paths(lora).map((path) => path.join("/")), [
        "linear1/A",
        "linear1/B",
        "linear2/A",
        "linear2/B"
      ])
      assert.strictEqual(nnx.State.length(params), 6)
      assert.strictEqual(nnx.State.length(yield* nnx.state(model, nnx.Param)), 10)
      const optimizer = yield* nnx.Optimizer.make(model, nnx.sgd(0.1), { wrt: LoraParam })
      const loss = (m: MLP) => Effect.map(m.apply(T.array([[1, 2], [3, -1]])), (y) => y.square().mean())
      const [frozen, trained] = [yield* held(before[0].w), yield* held((model.linear1 as LoraLinear).A)]
      yield* nnx.jit((m: MLP, o: typeof optimizer) =>
        Effect.flatMap(nnx.grad(loss, { wrt: LoraParam })(m), (grads) => o.update(m, grads))
      )(model, optimizer)
      assert.deepStrictEqual(yield* held(before[0].w), frozen)
      assert.notDeepEqual(yield* held((model.linear1 as LoraLinear).A), trained)
    }))

  test("A.115 Variables and Modules are replaced, shared and removed", () =>
    Effect.gen(function*() {
      const model = yield* MLP.make(4, 4, 4)
      yield* nnx.setAttribute(model, "linear2", model.linear1)
      assert.deepStrictEqual(nnx.findDuplicates(model), [[["linear1"], ["linear2"]]])
      const [first, second] = [yield* Linear.make(2, 2), yield* Linear.make(2, 2)]
      yield* nnx.setAttribute(second, "w", first.w)
      yield* Ref.set(first.w, T.zeros([2, 2]))
      assert.deepStrictEqual(yield* held(second.w), [[0, 0], [0, 0]])
      yield* nnx.deleteAttribute(model, "dropout")
      assert.notProperty(model, "dropout")
    }))
})

describe("State and GraphDef", () => {
  test("A.123 a State maps names to Variables or States; a GraphDef is everything else", () =>
    Effect.gen(function*() {
      const model = yield* MLP.make(2, 3, 4)
      const [graphdef, state] = yield* nnx.split(model)
      assert.deepStrictEqual(Object.keys(nnx.State.nested(state) as object), ["bn", "dropout", "linear1", "linear2"])
      assert.isTrue(nnx.State.isState(state.bn))
      assert.isTrue(nnx.State.isVariableState(state.bn.mean))
      assert.strictEqual(state.bn.mean.kind, "BatchStat")
      assert.deepStrictEqual(state.bn.mean.value.shape, [3])
      // It is to a Module what a PyTreeDef is to a tree: equal for equal structures, whatever the values.
      const twin = yield* nnx.graphdef(yield* MLP.make(2, 3, 4))
      const wider = yield* nnx.graphdef(yield* MLP.make(2, 3, 5))
      assert.isTrue(nnx.GraphDef.equals(graphdef, twin))
      assert.isFalse(nnx.GraphDef.equals(graphdef, wider))
      const again = yield* nnx.merge(graphdef, state)
      assert.instanceOf(again, MLP)
      assert.notStrictEqual(again, model)
    }))

  test("A.124 split, merge inside jit, call, split again, update outside", () =>
    Effect.gen(function*() {
      const model = yield* StatefulLinear.make(3, 5)
      yield* model.apply(T.ones([1, 3]))
      assert.strictEqual(yield* held(model.count), 1)
      const [graphdef, state] = yield* nnx.split(model)
      const forward = nnx.jit((g: typeof graphdef, s: typeof state, x: Tensor) =>
        Effect.gen(function*() {
          const inner = yield* nnx.merge(g, s)
          const y = yield* inner.apply(x)
          const [, after] = yield* nnx.split(inner)
          return [y, after] as const
        })
      )
      const [y, after] = yield* forward(graphdef, state, T.ones([1, 3]))
      assert.deepStrictEqual(y.shape, [1, 5])
      assert.strictEqual(yield* held(model.count), 1, "what happened inside stays in the new State")
      yield* nnx.update(model, after)
      assert.strictEqual(yield* held(model.count), 2)
      assert.strictEqual((yield* Ref.get(model.count)).dtype, "uint32")
    }))

  test("A.125 what two Modules share is shared on the other side of a boundary too", () =>
    Effect.gen(function*() {
      class Holder extends nnx.Module("Holder")<{ readonly counter: Counter }> {}
      const counter = yield* Counter.make
      const [a, b] = [new Holder({ counter }), new Holder({ counter })]
      // As arguments of one call, in which a tree would have made two of it.
      const same = yield* nnx.jit((x: Holder, y: Holder) =>
        Effect.map(Effect.andThen(x.counter.apply(), y.counter.apply()), () => x.counter === y.counter)
      )(a, b)
      assert.isTrue(same)
      assert.strictEqual(yield* held(counter.count), 2)
      assert.strictEqual(a.counter, b.counter)
      // And through split and merge, where it is in the State once.
      const [graphdef, state] = yield* nnx.split({ a, b })
      assert.strictEqual(nnx.State.length(state), 1)
      const merged = yield* nnx.merge(graphdef, state)
      assert.strictEqual(merged.a.counter, merged.b.counter)
      assert.notStrictEqual(merged.a.counter, counter)
    }))

  test("A.126 filters part a model's state into States that have nothing in common", () =>
    Effect.gen(function*() {
      const model = yield* StatefulLinear.make(3, 5)
      const [, params, counts] = yield* nnx.split(model, nnx.Param, Count)
      assert.deepStrictEqual(nnx.State.paths(params), [["b"], ["w"]])
      assert.deepStrictEqual(nnx.State.paths(counts), [["count"]])
      // A leaf that several filters cover belongs to the first.
      const [, all, none] = yield* nnx.split(model, nnx.Filter.anyOf(Count, nnx.Param), nnx.Param)
      assert.deepStrictEqual([nnx.State.length(all), nnx.State.length(none)], [3, 0])
    }))

  test("A.127 a Variable that no filter covers is refused: by the compiler, and when it runs", () =>
    Effect.gen(function*() {
      const model = yield* StatefulLinear.make(3, 5)
      // @ts-expect-error no filter covers Count
      const refused = nnx.split(model, nnx.Param)
      const error = yield* failsWith(refused, "FilterError")
      assert.include(error.message, "count")
      assert.include(error.message, "Count")
      // The compiler does not know the model here.
      const anything: object = model
      yield* failsWith(nnx.split(anything, nnx.Param), "FilterError")
      yield* nnx.split(model, nnx.Param, nnx.Filter.rest)
    }))

  test("A.128 merge and update take several States", () =>
    Effect.gen(function*() {
      const model = yield* StatefulLinear.make(3, 5)
      const [graphdef, params, counts] = yield* nnx.split(model, nnx.Param, Count)
      const copy = yield* nnx.merge(graphdef, params, counts)
      assert.deepStrictEqual(yield* held(copy.w), yield* held(model.w))
      assert.notStrictEqual(copy.w, model.w)
      const zeros = nnx.State.mapTensors(params, (x) => x.mul(0))
      const ten = nnx.State.mapTensors(counts, (n) => n.add(10))
      yield* nnx.update(model, zeros, ten)
      assert.deepStrictEqual(yield* held(model.b), [0, 0, 0, 0, 0])
      assert.strictEqual(yield* T.item((yield* Ref.get(model.w)).abs().sum()), 0)
      assert.strictEqual(yield* held(model.count), 10)
      assert.isAbove(yield* T.item((yield* Ref.get(copy.w)).abs().sum()), 0)
      assert.strictEqual(yield* held(copy.count), 0)
    }))
})
