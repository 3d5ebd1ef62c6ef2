// Metrics and moving averages: against Flax's numbers, with masks, merged, inside of jit, and on bad input.
import { assert, describe, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import { item, toNested, toTypedArray } from "../../src/Backend/read.ts"
import * as Cpu from "../../src/Backend/Tfjs/Cpu/index.ts"
import { state, variables } from "../../src/GraphDef/split.ts"
import { Accuracy, Average, EMA, MultiMetric, Welford } from "../../src/Optimizer/index.ts"
import { Module } from "../../src/Ref/Module.ts"
import { BatchStat, MetricState, Param, type Variable } from "../../src/Ref/Variable.ts"
import * as State from "../../src/State/State.ts"
import * as T from "../../src/Tensor/index.ts"
import { isTensor, type Tensor } from "../../src/Tensor/Tensor.ts"
import { jit } from "../../src/Transform/jit.ts"
import { assertClose } from "../support/close.ts"
import * as golden from "../support/golden.ts"

type Values = Readonly<Record<string, golden.Value>>

interface MetricCase {
  readonly name: string
  readonly steps: ReadonlyArray<{
    readonly at?: string
    readonly update?: Readonly<Record<string, golden.Argument>>
    readonly out?: golden.Value | Values
    readonly variables?: Values
  }>
}

interface AnyMetric {
  readonly reset: Effect.Effect<void>
  update(batch: never): Effect.Effect<void, unknown>
  readonly compute: Effect.Effect<unknown>
}

const metrics: Readonly<Record<string, Effect.Effect<AnyMetric>>> = {
  "metrics/Average": Average.make(),
  "metrics/Average-argname-loss": Average.make("loss"),
  "metrics/Average-of-ints": Average.make(),
  "metrics/Accuracy": Accuracy.make(),
  "metrics/Accuracy-threshold-0.5": Accuracy.make({ threshold: 0.5 }),
  "metrics/Welford": Welford.make(),
  "metrics/MultiMetric": Effect.gen(function*() {
    return yield* MultiMetric.make({ accuracy: yield* Accuracy.make(), loss: yield* Average.make("loss") })
  })
}

const camel = (name: string): string => name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase())

const assertValue = Effect.fnUntraced(function*(actual: unknown, expected: golden.Value, what: string) {
  if (!isTensor(actual)) return assert.fail(`${what} is no array`)
  assert.strictEqual(actual.dtype, expected.dtype, what)
  assertClose(yield* toTypedArray(actual), golden.numbers(expected), { rtol: 2e-6, atol: 1e-6 }, what)
})

const assertOut = Effect.fnUntraced(function*(actual: unknown, expected: golden.Value | Values) {
  if ("dtype" in expected) return yield* assertValue(actual, expected as golden.Value, "value")
  const fields = actual as Readonly<Record<string, unknown>>
  for (const [name, value] of Object.entries(expected)) yield* assertValue(fields[camel(name)], value, name)
})

const assertVariables = Effect.fnUntraced(function*(metric: object, expected: Values) {
  const all = (yield* state(metric)) as State.Any
  const found = new Map(
    State.toEntries(all).map(([path, leaf]) => [path.filter((key) => key !== "metrics").join("/"), leaf])
  )
  assert.deepStrictEqual([...found.keys()].sort(), Object.keys(expected).sort())
  for (const [name, value] of Object.entries(expected)) {
    const leaf = found.get(name)
    yield* assertValue(State.isVariableState(leaf) ? leaf.value : undefined, value, name)
    assert.strictEqual(State.isVariableState(leaf) ? leaf.kind : "", MetricState.tag)
  }
})

const labels = T.array([0, 1, 2, 0], { dtype: "int32" })
const logits = T.array([[3, 1, 0], [0, 1, 0], [5, 0, 1], [0, 0, 1]])

layer(Cpu.layer)("metrics", (it) => {
  for (const c of golden.cases("training.json")["metrics"] as unknown as ReadonlyArray<MetricCase>) {
    it.effect(`${c.name} as Flax`, () =>
      Effect.gen(function*() {
        const metric = yield* metrics[c.name]
        for (const step of c.steps) {
          if (step.update !== undefined) {
            const batch = Object.fromEntries(Object.entries(step.update).map(([k, v]) => [k, golden.input(v)]))
            yield* metric.update(batch as never)
          }
          if (step.at === "reset") yield* metric.reset
          if (step.out !== undefined) yield* assertOut(yield* metric.compute, step.out)
          if (step.variables !== undefined) yield* assertVariables(metric, step.variables)
        }
      }))
  }

  describe("masks", () => {
    it.effect("leave values out", () =>
      Effect.gen(function*() {
        const average = yield* Average.make()
        const mask = T.array([true, false, true])
        yield* average.update({ values: T.array([1, 100, 3]), mask })
        assert.strictEqual(yield* item(yield* average.compute), 2)
        yield* average.update({ values: T.array([[1, 5, 1], [1, 5, 1]]), mask })
        assertClose(yield* item(yield* average.compute), 8 / 4)
        const accuracy = yield* Accuracy.make()
        yield* accuracy.update({ logits, labels, mask: T.array([true, true, true, false]) })
        assertClose(yield* item(yield* accuracy.compute), 2 / 3)
        const welford = yield* Welford.make()
        yield* welford.update({ values: T.array([1, 100, 3]), mask })
        assertClose(yield* item((yield* welford.compute).standardDeviation), 1)
      }))

    it.effect("of everything leave nan", () =>
      Effect.gen(function*() {
        const average = yield* Average.make()
        yield* average.update({ values: T.ones([2]), mask: T.zeros([2], "bool") })
        assert.isNaN(yield* item(yield* average.compute))
      }))

    it.effect("for each metric", () =>
      Effect.gen(function*() {
        const multi = yield* MultiMetric.make({ a: yield* Average.make("x"), b: yield* Average.make("x") })
        const x = T.array([1, 3])
        yield* multi.update({ x, mask: { a: T.array([true, false]) } })
        const { a, b } = yield* multi.compute
        assert.deepStrictEqual([yield* item(a), yield* item(b)], [1, 2])
        yield* multi.update({ x, mask: T.array([false, true]) })
        assert.strictEqual(yield* item((yield* multi.compute).a), 2)
      }))
  })

  describe("merging", () => {
    it.effect("is as if one had seen all", () =>
      Effect.gen(function*() {
        const [one, two, all] = [yield* Welford.make(), yield* Welford.make(), yield* Welford.make()]
        const [x, y] = [T.array([1, 2, 3.5]), T.array([-2, 7])]
        yield* one.update({ values: x })
        yield* two.update({ values: y })
        yield* all.update({ values: T.concatenate([x, y]) })
        yield* one.merge(two)
        const [merged, whole] = [yield* one.compute, yield* all.compute]
        assertClose(yield* item(merged.mean), yield* item(whole.mean))
        assertClose(yield* item(merged.standardDeviation), yield* item(whole.standardDeviation))
        const [a, b] = [yield* Average.make(), yield* Average.make()]
        yield* a.update({ values: x })
        yield* b.update({ values: y })
        yield* a.merge(b)
        assertClose(yield* item(yield* a.compute), 11.5 / 5)
        const [c, d] = [yield* Accuracy.make(), yield* Accuracy.make()]
        yield* c.update({ logits, labels })
        yield* d.update({ logits, labels })
        yield* c.merge(d)
        assert.strictEqual(yield* item(yield* c.compute), 0.5)
      }))
  })

  describe("inside of jit", () => {
    it.effect("gathers over calls, traced once", () =>
      Effect.gen(function*() {
        const multi = yield* MultiMetric.make({ accuracy: yield* Accuracy.make(), loss: yield* Average.make("loss") })
        const step = jit((m: typeof multi, logits: Tensor, labels: Tensor, loss: Tensor) =>
          m.update({ logits, labels, loss })
        )
        for (const loss of [1, 2, 3]) yield* step(multi, logits, labels, T.array(loss))
        const values = yield* multi.compute
        assert.deepStrictEqual([yield* item(values.accuracy), yield* item(values.loss)], [0.5, 2])
        assert.strictEqual(step.traces(), 1)
        yield* multi.reset
        assert.isNaN(yield* item((yield* multi.compute).loss))
      }))
  })

  describe("bad input", () => {
    const messageOf = <A, R>(effect: Effect.Effect<A, Error, R>) => Effect.map(Effect.flip(effect), (e) => e.message)

    it.effect("is refused with what was expected", () =>
      Effect.gen(function*() {
        const [several, two] = [yield* Accuracy.make(), yield* Accuracy.make({ threshold: 0.5 })]
        assert.match(yield* messageOf(several.update({ logits: logits.get(0), labels })), /one axis more than labels/)
        assert.match(yield* messageOf(two.update({ logits, labels })), /as many axes as labels/)
        assert.match(
          yield* messageOf(several.update({ logits, labels: labels.astype("float32") })),
          /expected labels of dtype int32, found float32/
        )
        const average = yield* Average.make("loss")
        assert.match(yield* messageOf(average.update({ values: 1 } as never)), /as `loss`, found only values/)
        assert.strictEqual(
          (yield* Effect.flip(average.update({ loss: T.ones([3]), mask: T.ones([2]) })))._tag,
          "ShapeError"
        )
      }))
  })
})

class Two extends Module("Two")<Readonly<Record<"b1" | "k1" | "b2" | "k2", Variable<"Param", Tensor>>>> {}

class Net extends Module("Net")<{
  readonly w: Variable<"Param", Tensor>
  readonly mean: Variable<"BatchStat", Tensor>
}> {}

const makeNet = () =>
  new Net({
    w: Param.makeUnsafe(T.array([1, 2]), { metadata: { name: "w" } }),
    mean: BatchStat.makeUnsafe(T.array([5]))
  })

layer(Cpu.layer)("EMA", (it) => {
  it.effect("averages as Flax does", () =>
    Effect.gen(function*() {
      const c = golden.cases("training.json")["ema"][0] as unknown as {
        readonly decay: number
        readonly steps: ReadonlyArray<{ readonly ema: Values; readonly model?: Values }>
      }
      const modelOf = (values: Values, prefix: string) => {
        const at = (path: string) => Param.makeUnsafe(golden.tensor(values[prefix + path]))
        return new Two({
          b1: at("linear1/bias"),
          k1: at("linear1/kernel"),
          b2: at("linear2/bias"),
          k2: at("linear2/kernel")
        })
      }
      const ema = yield* EMA.make(modelOf(c.steps[0].ema, "params/"), { decay: c.decay })
      for (const step of c.steps) {
        if (step.model !== undefined) yield* ema.update(modelOf(step.model, ""))
        const now = modelOf(step.ema, "params/")
        const live = yield* variables(ema)
        for (const [path, expected] of Object.entries(now)) {
          const own = State.toEntries(live).find(([p]) => p.join("/") === `params/${path}`)
          const actual = yield* Ref.get(own?.[1] as Variable<"Param", Tensor>)
          assertClose(yield* toTypedArray(actual), yield* toTypedArray(Ref.getUnsafe(expected)))
        }
      }
    }))

  it.effect("keeps kinds and metadata, and only what is asked for", () =>
    Effect.gen(function*() {
      const model = makeNet()
      const ema = yield* EMA.make(model, { decay: 0.5, only: Param })
      const own = (yield* state(ema)) as State.Any
      assert.deepStrictEqual(
        State.toEntries(own).map(([path, leaf]) =>
          State.isVariableState(leaf) ? [path.join("/"), leaf.kind, leaf.metadata] : []
        ),
        [["params/w", "Param", { name: "w" }]]
      )
      yield* Ref.set(model.w, T.array([3, 4]))
      yield* ema.update(model)
      assert.deepStrictEqual(yield* toNested(yield* Ref.get(model.w)), [3, 4])
      const averaged = yield* ema.applyTo(model)
      assert.deepStrictEqual(yield* toNested(yield* Ref.get(averaged.w)), [2, 3])
      assert.deepStrictEqual(yield* toNested(yield* Ref.get(averaged.mean)), [5])
      yield* ema.update(model)
      assert.deepStrictEqual(yield* toNested(yield* Ref.get(averaged.w)), [2.5, 3.5], "it shares the averages")
    }))

  it.effect("works inside of jit, traced once", () =>
    Effect.gen(function*() {
      const model = makeNet()
      const ema = yield* EMA.make(model, { decay: 0.5 })
      const averaged = yield* ema.applyTo(model)
      const step = jit((m: Net, e: EMA<Net>) =>
        Effect.gen(function*() {
          yield* Ref.update(m.w, (w) => w.add(2))
          yield* e.update(m)
        })
      )
      yield* step(model, ema)
      yield* step(model, ema)
      assert.deepStrictEqual(yield* toNested(yield* Ref.get(averaged.w)), [3.5, 4.5])
      assert.strictEqual(step.traces(), 1)
    }))

  it.effect("lists what a model has not", () =>
    Effect.gen(function*() {
      const ema = yield* EMA.make(makeNet(), { decay: 0.5 })
      const other = new Net({ w: Param.makeUnsafe(T.array([1])), other: Param.makeUnsafe(T.array([1])) } as never)
      const error = yield* Effect.flip(ema.update(other))
      assert.match(error.message, /mean: expected a BatchStat, found nothing[^]*other: expected nothing, found a Param/)
    }))
})
