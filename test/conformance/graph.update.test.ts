// The functional API: update, pop, state, variables, clone, split and merge.
import { assert, describe, it, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Ref from "effect/Ref"
import "../../src/Tensor/install.ts"
import * as Cpu from "../../src/Backend/Tfjs/Cpu/index.ts"
import * as GraphDef from "../../src/GraphDef/index.ts"
import * as Variable from "../../src/Ref/Variable.ts"
import { Filter } from "../../src/State/index.ts"
import * as States from "../../src/State/index.ts"
import * as Tensor from "../../src/Tensor.ts"
import { jit } from "../../src/Transform/index.ts"
import { BatchNorm, Block, Dropout, Linear, Node, Stack, zeros } from "../support/models.ts"

type Param = Variable.Variable<"Param", Tensor.Tensor>

const param = (...values: ReadonlyArray<number>) => Variable.Param.makeUnsafe(Tensor.array(values))

const state = (...entries: ReadonlyArray<readonly [path: string, leaf: unknown]>) =>
  States.fromEntries(entries.map(([path, leaf]) => [path.split("/"), leaf] as const))

describe("update", () => {
  it.effect("A.074 several States are one first, of which the later count; Variables are written in place", () =>
    Effect.gen(function*() {
      const model = new Node({ a: param(1), b: param(2), c: param(3) })
      const before = [model["a"], model["b"], model["c"]]
      const [x, y, z] = [Tensor.array([7]), Tensor.array([8]), Tensor.array([9])]
      yield* GraphDef.update(model, state(["a", States.variableState("Param", x)]), { a: y, b: x }, { b: z })
      assert.deepStrictEqual([model["a"], model["b"], model["c"]], before)
      assert.strictEqual(yield* Ref.get(model["a"] as Param), y)
      assert.strictEqual(yield* Ref.get(model["b"] as Param), z)
    }))

  it.effect("A.074 new keys are set: snapshots become Variables, Variables are copied", () =>
    Effect.gen(function*() {
      const model = new Node({ inner: new Node({}) })
      const inner = model["inner"] as Node
      const live = Variable.BatchStat.makeUnsafe(zeros(2), { metadata: { tag: "x" } })
      const fresh = zeros(3)
      yield* GraphDef.update(
        model,
        state(
          ["w", States.variableState("Param/Lora", fresh, { axis: 1 })],
          ["inner/stat", live],
          ["inner/same", live]
        )
      )
      const [w, stat] = [model["w"] as Param, inner["stat"] as Param]
      assert.deepStrictEqual([w.kind, w.metadata], ["Param/Lora", { axis: 1 }])
      assert.strictEqual(yield* Ref.get(w), fresh)
      assert.deepStrictEqual([stat.kind, stat.metadata], ["BatchStat", { tag: "x" }])
      assert.notStrictEqual<unknown>(stat, live)
      assert.strictEqual(yield* Ref.get(stat), yield* Ref.get(live))
      assert.strictEqual(inner["same"], stat)
      // The next split sees them.
      assert.strictEqual(States.length(yield* GraphDef.state(model)), 2)
    }))

  it.effect("A.074 what pop took is put back", () =>
    Effect.gen(function*() {
      const model = Stack.makeUnsafe(2, 2)
      const [before, def] = [yield* GraphDef.state(model), yield* GraphDef.graphdef(model)]
      const popped = yield* GraphDef.pop(model, Variable.BatchStat, Variable.RngState)
      assert.isFalse(Equal.equals(yield* GraphDef.state(model), before))
      yield* GraphDef.update(model, ...popped)
      assert.isTrue(Equal.equals(yield* GraphDef.state(model), before))
      assert.isTrue(Equal.equals(yield* GraphDef.graphdef(model), def))
      const frozen = yield* GraphDef.immutable(model)
      yield* GraphDef.update(frozen, yield* GraphDef.pop(frozen, Variable.BatchStat))
      assert.isFalse(frozen.blocks[1].norm.mean.isMutable)
    }))

  it.effect("A.074 what cannot be meant is an error with all of it, and nothing is written", () =>
    Effect.gen(function*() {
      const model = new Node({ linear: Linear.makeUnsafe(1, 2), list: [param(1)], n: 1 })
      const before = yield* GraphDef.state(model)
      const snapshot = States.variableState("Param", zeros(1))
      const error = yield* Effect.flip(GraphDef.update(
        model,
        { linear: zeros(2), n: snapshot, typo: zeros(4), list: [zeros(2)] },
        state(
          ["list/1", snapshot],
          ["dict/deep", snapshot],
          ["fresh", snapshot],
          ["linear/bias", States.variableState("BatchStat", zeros(2))]
        )
      ))
      assert.strictEqual(error._tag, "StructureError")
      assert.strictEqual(
        error.message,
        `update: 7 paths do not fit; nothing was written
  linear: expected the values of a Linear, found f32[2]. Expected a subgraph for 'linear', but got: f32[2]
  n: expected no value: the field is static, found f32[1]. Trying to update a non-Variable attribute 'n' with a Variable: f32[1]
  typo: expected no value: the model has nothing at this path, found f32[4]. A new key needs a Variable or a snapshot of one, which say its kind.
  dict/deep: expected no value: the model has nothing at this path, found f32[1]. Unknown keys: {'dict'}
  linear/bias: expected a Param, found a BatchStat
  list/1: expected no value: the model has nothing at this path, found f32[1]. Cannot set key '1' on immutable node of type List
  list/0: expected f32[1], found f32[2]`
      )
      assert.isTrue(Equal.equals(yield* GraphDef.state(model), before))
      assert.isFalse(Object.hasOwn(model, "fresh"))
    }))
})

describe("pop", () => {
  it.effect("A.075 the first filter that covers a Variable gets it, and what none covers stays", () =>
    Effect.gen(function*() {
      const model = Block.makeUnsafe(1, 2)
      const [linear, params, none] = yield* GraphDef.pop(
        model,
        Filter.pathContains("linear"),
        Variable.Param,
        Filter.allOf(Variable.Param, Filter.pathContains("linear"))
      )
      assert.deepStrictEqual(States.paths(linear), [["linear", "bias"], ["linear", "kernel"]])
      assert.deepStrictEqual(States.paths(params), [["norm", "scale"]])
      assert.isTrue(States.isEmpty(none))
      assert.deepStrictEqual(States.paths(yield* GraphDef.state(model)).map((path) => path.join("/")), [
        "dropout/count",
        "dropout/key",
        "norm/mean"
      ])
    }))

  it.effect("A.075 needs a filter, takes nothing from arrays, and of a shared Variable the first path", () =>
    Effect.gen(function*() {
      const none = [] as unknown as [Filter.Filter]
      assert.include((yield* Effect.flip(GraphDef.pop(new Node({}), ...none))).message, "Expected at least one filter")
      const v = param(1)
      const model = new Node({ a: v, b: v, list: [param(2)] })
      const error = yield* Effect.flip(GraphDef.pop(model, Variable.Param))
      assert.include(error.message, "Cannot pop key '0' from node of type List")
      assert.deepStrictEqual(Object.keys(model), ["a", "b", "list"])
      const popped = yield* GraphDef.pop(model, Filter.pathContains("a"))
      assert.deepStrictEqual(States.paths(popped), [["a"]])
      assert.strictEqual(model["b"], v)
    }))
})

describe("parts", () => {
  it.effect("A.076 state: without a filter or with one a State, with more a tuple; filters may leave things out", () =>
    Effect.gen(function*() {
      const model = Block.makeUnsafe(1, 1)
      const [all, one] = [yield* GraphDef.state(model), yield* GraphDef.state(model, Variable.BatchStat)]
      assert.deepStrictEqual([States.length(all), States.length(one)], [6, 1])
      const two = yield* GraphDef.state(model, Variable.RngKey, Variable.BatchStat)
      assert.deepStrictEqual(two.map(States.paths), [[["dropout", "key"]], [["norm", "mean"]]])
    }))

  it.effect("A.077 variables: the live ones, one State or one for each filter", () =>
    Effect.gen(function*() {
      const model = Block.makeUnsafe(1, 1)
      const [params, rng] = yield* GraphDef.variables(model, Variable.Param, Variable.RngState)
      assert.strictEqual(params.linear.kernel, model.linear.kernel)
      const found = States.toEntries(params).map(([, variable]) => variable)
      assert.deepStrictEqual<unknown>(found, [model.linear.bias, model.linear.kernel, model.norm.scale])
      assert.strictEqual(States.length(rng), 2)
      const live = yield* GraphDef.variables(model, Variable.BatchStat)
      assert.deepStrictEqual<unknown>(States.values(live), [model.norm.mean])
      const now = zeros(1)
      yield* Ref.set(States.values(live)[0] as Param, now)
      assert.strictEqual(yield* Ref.get(model.norm.mean), now)
    }))

  it.effect("A.078 graphdef is that of split; a clone has Variables of its own", () =>
    Effect.gen(function*() {
      const model = new Node({ linear: Linear.makeUnsafe(1, 1) })
      const [graphdef] = yield* GraphDef.split(model)
      assert.isTrue(Equal.equals(graphdef, yield* GraphDef.graphdef(model)))
      const copy = yield* GraphDef.clone(model)
      const [a, b] = [model["linear"] as Linear, copy["linear"] as Linear]
      const before = yield* Ref.get(b.bias)
      yield* Ref.update(a.bias, (x) => x.add(1))
      assert.strictEqual(yield* Ref.get(b.bias), before)
      assert.isTrue(Equal.equals(graphdef, yield* GraphDef.graphdef(copy)))
    }))

  it.effect("A.079 split: one State for each filter, each Variable in one; one State without filters", () =>
    Effect.gen(function*() {
      const model = Block.makeUnsafe(1, 1)
      const [, params, stats, rng] = yield* GraphDef.split(model, Variable.Param, Variable.BatchStat, Variable.RngState)
      // The types say which leaves each has.
      const kinds: readonly ["Param", "BatchStat", "RngState/RngKey"] = [
        params.linear.kernel.kind,
        stats.norm.mean.kind,
        rng.dropout.key.kind
      ]
      assert.deepStrictEqual([...kinds], ["Param", "BatchStat", "RngState/RngKey"])
      assert.deepStrictEqual([params, stats, rng].map(States.length), [3, 1, 2])
      const [, all] = yield* GraphDef.split(model)
      assert.strictEqual(States.length(all), 6)
      const filters: ReadonlyArray<Filter.Filter> = [Variable.Param]
      const error = yield* Effect.flip(GraphDef.split(model, ...filters))
      assert.include(error.message, "Non-exhaustive filters")
    }))

  it.effect("A.080 merge: the States together, in any order, are a new model", () =>
    Effect.gen(function*() {
      const model = Block.makeUnsafe(1, 1)
      const [graphdef, params, others] = yield* GraphDef.split(model, Variable.Param, Filter.rest)
      const copy = yield* GraphDef.merge(graphdef, others, params)
      assert.instanceOf(copy, Block)
      assert.instanceOf(copy.norm, BatchNorm)
      assert.instanceOf(copy.dropout, Dropout)
      assert.isTrue(Equal.equals(yield* GraphDef.state(copy), yield* GraphDef.state(model)))
      assert.notStrictEqual(copy.norm.mean, model.norm.mean)
    }))
})

layer(Cpu.layer)("in compiled functions", (it) => {
  it.effect("A.074 keys that update sets inside are there outside", () =>
    Effect.gen(function*() {
      const model = new Node({ a: param(1) })
      const step = jit((inner: Node, x: Tensor.Tensor) =>
        GraphDef.update(inner, state(["b", States.variableState("Cache", x.mul(2))]))
      )
      yield* step(model, Tensor.array([3]))
      assert.deepStrictEqual<unknown>(yield* Tensor.toNested(yield* Ref.get(model["b"] as Param)), [6])
      yield* step(model, Tensor.array([4]))
      assert.deepStrictEqual<unknown>(yield* Tensor.toNested(yield* Ref.get(model["b"] as Param)), [8])
      const captured = yield* Effect.flip(jit(() => GraphDef.update(model, state(["c", param(1)])))())
      assert.strictEqual(captured._tag, "TraceError")
      assert.isFalse(Object.hasOwn(model, "c"))
    }))
})
