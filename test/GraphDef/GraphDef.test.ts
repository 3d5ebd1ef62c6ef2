import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import { pipe } from "effect/Function"
import * as Hash from "effect/Hash"
import * as Ref from "effect/Ref"
import * as GraphDef from "../../src/GraphDef/index.ts"
import { Module } from "../../src/Ref/Module.ts"
import * as Variable from "../../src/Ref/Variable.ts"
import { Filter } from "../../src/State/index.ts"
import * as States from "../../src/State/index.ts"
import type { Tensor } from "../../src/Tensor/Tensor.ts"
import { BatchNorm, Block, Dropout, Linear, Node, Stack, zeros } from "../support/models.ts"

/** The failure of an Effect that must fail. */
const failed = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<E, A> => Effect.flip(effect)

describe("GraphDef", () => {
  it.effect("A.064 A.065 numbers objects in the order of attributes, and meets each once", () =>
    Effect.gen(function*() {
      const a = new Node({ y: Variable.Param.makeUnsafe(zeros(1)) })
      const model = new Node({ b: a, a, list: [a, 3], x: a.y })
      const graphdef = yield* GraphDef.graphdef(model)
      assert.strictEqual(
        String(graphdef),
        `GraphDef Node(index=0)
  a: Node(index=1)
    y: Param(index=2)
  b: Ref(index=1)
  list: List
    0: Ref(index=1)
    1: Static(3)
  x: Ref(index=2)`
      )
      const [, state] = yield* GraphDef.split(model)
      assert.deepStrictEqual(States.paths(state), [["a", "y"]])
    }))

  it.effect("A.060 F.008 F.009 is a value: structure, statics and metadata count, values and identity do not", () =>
    Effect.gen(function*() {
      const make = (n: number, tag: string) =>
        GraphDef.graphdef(
          new Node({
            w: Variable.Param.makeUnsafe(zeros(n), { metadata: { tag } }),
            rate: n,
            shape: [n, "same"],
            f: Math.abs
          })
        )
      const [one, again, two, tagged] = yield* Effect.all([make(1, "a"), make(1, "a"), make(2, "a"), make(1, "b")])
      assert.isTrue(Equal.equals(one, again))
      assert.strictEqual(Hash.hash(one), Hash.hash(again))
      assert.isFalse(Equal.equals(one, two))
      assert.isFalse(Equal.equals(one, tagged))
      const [p, q] = [zeros(1), zeros(1)]
      const kinds = yield* Effect.all(
        [Variable.Param.makeUnsafe(p), Variable.Param.makeUnsafe(q), Variable.BatchStat.makeUnsafe(p)].map((x) =>
          GraphDef.graphdef(new Node({ x }))
        )
      )
      assert.isTrue(Equal.equals(kinds[0], kinds[1]))
      assert.isFalse(Equal.equals(kinds[0], kinds[2]))
    }))

  it.effect("two classes of one name are two types", () =>
    Effect.gen(function*() {
      class Other extends Module("Node")<{ readonly x: number }> {}
      const a = yield* GraphDef.graphdef(new Node({ x: 1 }))
      const b = yield* GraphDef.graphdef(new Other({ x: 1 }))
      assert.isFalse(Equal.equals(a, b))
      assert.isFalse(Equal.equals(b, a))
    }))

  it.effect("draws itself with sharing and cycles", () =>
    Effect.gen(function*() {
      const model = new Node({ v: Variable.Param.makeUnsafe(zeros(1)), n: 3 })
      yield* GraphDef.setAttribute(model, "self", model)
      assert.strictEqual(
        GraphDef.toMermaid(yield* GraphDef.graphdef(model)),
        `flowchart TD
  n0["Node"]
  n0 -->|"self"| n0
  n3("Param")
  n0 -->|"v"| n3`
      )
    }))
})

describe("split and merge", () => {
  it.effect("A.079 A.126 one State for each filter", () =>
    Effect.gen(function*() {
      const model = Block.makeUnsafe(2, 3)
      const [graphdef, params, stats, rng] = yield* GraphDef.split(
        model,
        Variable.Param,
        Variable.BatchStat,
        Filter.rest
      )
      assert.deepStrictEqual(States.paths(params), [["linear", "bias"], ["linear", "kernel"], ["norm", "scale"]])
      assert.deepStrictEqual(States.paths(stats), [["norm", "mean"]])
      assert.deepStrictEqual(States.paths(rng), [["dropout", "count"], ["dropout", "key"]])
      assert.strictEqual(params.linear.kernel.value, yield* Ref.get(model.linear.kernel))
      const merged = yield* GraphDef.merge(graphdef, rng, stats, params)
      assert.instanceOf(merged, Block)
      assert.instanceOf(merged.linear, Linear)
      assert.notStrictEqual(merged.linear.kernel, model.linear.kernel)
      assert.strictEqual(yield* Ref.get(merged.linear.kernel), yield* Ref.get(model.linear.kernel))
      assert.strictEqual(merged.linear.features, 3)
      assert.deepStrictEqual(merged.dropout.key.metadata, { tag: "dropout" })
    }))

  it.effect("A.127 a kind that no filter covers is named at run time too", () =>
    Effect.gen(function*() {
      const filters: ReadonlyArray<Filter.Filter> = [Variable.Param]
      const error = yield* failed(GraphDef.split(Block.makeUnsafe(1, 1), ...filters))
      assert.strictEqual(error._tag, "FilterError")
      assert.deepStrictEqual(error.uncovered.map(({ path }) => path.join("/")), [
        "dropout/count",
        "dropout/key",
        "norm/mean"
      ])
    }))

  it.effect("splitWith is for pipes", () =>
    Effect.gen(function*() {
      const model = Linear.makeUnsafe(1, 1)
      const [, params] = yield* pipe(model, GraphDef.splitWith(Variable.Param))
      assert.strictEqual(States.length(params), 2)
      const [, , rest] = yield* model.pipe(GraphDef.splitWith(Variable.Param, Filter.rest))
      assert.isTrue(States.isEmpty(rest))
    }))

  it.effect("B.001 of a Variable alone is its snapshot", () =>
    Effect.gen(function*() {
      const variable = Variable.Param.makeUnsafe(zeros(2))
      const [graphdef, state] = yield* GraphDef.split(variable)
      assert.isTrue(States.isVariableState(state))
      const merged = yield* GraphDef.merge(graphdef, state)
      assert.isTrue(Variable.isVariable(merged))
      assert.strictEqual(yield* Ref.get(merged), yield* Ref.get(variable))
    }))

  it.effect("A.070 cycles survive", () =>
    Effect.gen(function*() {
      const model = new Node({ v: Variable.Param.makeUnsafe(zeros(1)) })
      const child = new Node({ parent: model })
      yield* GraphDef.setAttribute(model, "children", [child])
      const copy = yield* GraphDef.clone(model)
      const [inner] = copy["children"] as ReadonlyArray<Node>
      assert.strictEqual(inner["parent"], copy)
      assert.notStrictEqual(inner, child)
    }))

  it.effect("F.027 plain containers and arrays are values, Variables in them objects", () =>
    Effect.gen(function*() {
      const shared = { v: Variable.Param.makeUnsafe(zeros(1)) }
      const copy = yield* GraphDef.clone([shared, 3, shared] as const)
      assert.notStrictEqual(copy[0], copy[2])
      assert.strictEqual(copy[0].v, copy[2].v)
    }))

  it.effect("A.069 merge lists every missing and every unknown path", () =>
    Effect.gen(function*() {
      const [graphdef] = yield* GraphDef.split(Linear.makeUnsafe(2, 3))
      const state = States.fromEntries([
        [["kernel"], States.variableState("Param", zeros(2, 3))],
        [["features"], States.variableState("Param", zeros(1))],
        [["scale"], States.variableState("Param", zeros(4))]
      ])
      const error = yield* failed(GraphDef.merge(graphdef, state))
      assert.strictEqual(error._tag, "StructureError")
      assert.strictEqual(
        error.message,
        `merge: 3 paths do not fit; give exactly the leaves of the GraphDef, in one or several States
  features: expected no value: the field is static, found f32[1]. Got state for static field 'features', this is not supported.
  scale: expected no value: the model has nothing at this path, found f32[4]. Unknown keys: {'scale'}
  bias: expected a Param, found nothing. Expected key 'bias' in state while building node of type Linear.`
      )
    }))

  it.effect("A.073 merge takes bare values", () =>
    Effect.gen(function*() {
      const model = Linear.makeUnsafe(1, 1)
      const graphdef = yield* GraphDef.graphdef(model)
      const [kernel, bias] = [zeros(5), zeros(6)]
      const merged = yield* GraphDef.merge(graphdef, { kernel, bias })
      assert.strictEqual(merged.kernel.kind, "Param")
      assert.strictEqual(yield* Ref.get(merged.kernel), kernel)
    }))

  it.effect("A.031 merge of live Variables shares them", () =>
    Effect.gen(function*() {
      const model = Linear.makeUnsafe(1, 1)
      const live = yield* GraphDef.variables(model)
      const other = yield* GraphDef.merge(yield* GraphDef.graphdef(model), live)
      assert.strictEqual(other.kernel, model.kernel)
      assert.notStrictEqual(other, model)
    }))

  it.effect("A.128 metadata that a State brings counts", () =>
    Effect.gen(function*() {
      const model = Linear.makeUnsafe(1, 1)
      const [graphdef, state] = yield* GraphDef.split(model)
      const tagged = States.fromEntries(
        States.toEntries(state).map(([path, leaf]) =>
          [path, States.variableState("Param", (leaf as { readonly value: unknown }).value, { axis: 0 })] as const
        )
      )
      assert.deepStrictEqual((yield* GraphDef.merge(graphdef, tagged)).kernel.metadata, { axis: 0 })
    }))
})

describe("update", () => {
  it.effect("A.074 F.029 takes States, snapshots, bare values and live Variables; aliases see it", () =>
    Effect.gen(function*() {
      const linear = Linear.makeUnsafe(1, 2)
      const model = new Node({ a: linear, b: linear })
      const [one, two, three] = [zeros(1, 2), zeros(1, 2), zeros(2)]
      yield* GraphDef.update(model, { a: { kernel: one } })
      assert.strictEqual(yield* Ref.get(linear.kernel), one)
      // By the other name of the shared node.
      yield* GraphDef.update(model, { b: { kernel: two } })
      assert.strictEqual(yield* Ref.get(linear.kernel), two)
      yield* GraphDef.update(
        model,
        States.fromEntries([[["b", "bias"], States.variableState("Param", three, { seen: true })]])
      )
      assert.strictEqual(yield* Ref.get(linear.bias), three)
      assert.deepStrictEqual(linear.bias.metadata, { seen: true })
      yield* GraphDef.update(model, { a: { kernel: Variable.Param.makeUnsafe(one) } })
      assert.strictEqual(yield* Ref.get(linear.kernel), one)
    }))

  it.effect("several States at once, the later one counts", () =>
    Effect.gen(function*() {
      const model = Linear.makeUnsafe(1, 1)
      const [x, y] = [zeros(1), zeros(1)]
      yield* GraphDef.update(model, { bias: x }, { bias: y })
      assert.strictEqual(yield* Ref.get(model.bias), y)
    }))

  it.effect("lists everything that does not fit, with shapes, and writes nothing", () =>
    Effect.gen(function*() {
      const model = Block.makeUnsafe(2, 3)
      const before = yield* GraphDef.state(model)
      const error = yield* failed(GraphDef.update(model, {
        linear: { kernel: zeros(3, 2), bias: zeros(3), features: zeros(1) },
        norm: { mean: { a: zeros(3) }, nothing: zeros(1) },
        extra: { deep: zeros(7) }
      }))
      assert.strictEqual(
        error.message,
        `update: 5 paths do not fit; nothing was written
  linear/features: expected no value: the field is static, found f32[1]. Trying to update a non-Variable attribute 'features' with a Variable: f32[1]
  norm/nothing: expected no value: the model has nothing at this path, found f32[1]. A new key needs a Variable or a snapshot of one, which say its kind.
  extra/deep: expected no value: the model has nothing at this path, found f32[7]. Unknown keys: {'extra'}
  linear/kernel: expected f32[2,3], found f32[3,2]
  norm/mean: expected f32[3], found {a: f32[3]}`
      )
      assert.isTrue(Equal.equals(yield* GraphDef.state(model), before))
    }))

  it.effect("a snapshot of another kind does not fit", () =>
    Effect.gen(function*() {
      const state = States.fromEntries([[["bias"], States.variableState("BatchStat", zeros(1))]])
      const error = yield* failed(GraphDef.update(Linear.makeUnsafe(1, 1), state))
      assert.include(error.message, "bias: expected a Param, found a BatchStat")
    }))

  it.effect("two values for one shared Variable are an AliasError with both paths", () =>
    Effect.gen(function*() {
      const v = Variable.Param.makeUnsafe(zeros(1))
      const error = yield* failed(GraphDef.update(new Node({ a: v, b: v }), { a: zeros(1), b: zeros(1) }))
      assert.strictEqual(error._tag, "AliasError")
      assert.include(error.message, "the same Variable (Param) is at a and at b")
      const same = zeros(1)
      yield* GraphDef.update(new Node({ a: v, b: v }), { a: same, b: same })
    }))

  it.effect("arrays in fields of Modules are replaced in place, also deep in containers", () =>
    Effect.gen(function*() {
      const model = new Node({ x: zeros(2), list: [zeros(3), { y: zeros(4) }] })
      const [x, y] = [zeros(2), zeros(4)]
      const { list } = model
      yield* GraphDef.update(model, { x, list: [undefined, { y }].map((item) => item ?? zeros(3)) })
      assert.strictEqual(model["x"], x)
      assert.strictEqual((model["list"] as ReadonlyArray<{ readonly y: Tensor }>)[1].y, y)
      assert.notStrictEqual(model["list"], list)
      const error = yield* failed(GraphDef.update([zeros(1)], [zeros(1)]))
      assert.include(error.message, "0: expected an array below a Module")
    }))

  it.effect("immutable Variables refuse, mutable copies accept", () =>
    Effect.gen(function*() {
      const model = Linear.makeUnsafe(1, 1)
      const frozen = yield* GraphDef.immutable(model)
      const error = yield* failed(GraphDef.update(frozen, { bias: zeros(1) }))
      assert.strictEqual(error._tag, "ImmutableVariableError")
      assert.isFalse(frozen.bias.isMutable)
      assert.isTrue(model.bias.isMutable)
      const thawed = yield* GraphDef.mutable(frozen)
      yield* GraphDef.update(thawed, { bias: zeros(1) })
      yield* GraphDef.update(frozen, yield* GraphDef.state(frozen))
    }))
})

describe("reading parts", () => {
  it.effect("A.076 state: no filter, one, several", () =>
    Effect.gen(function*() {
      const model = Block.makeUnsafe(1, 1)
      assert.strictEqual(States.length(yield* GraphDef.state(model)), 6)
      assert.strictEqual(States.length(yield* GraphDef.state(model, Variable.BatchStat)), 1)
      const [params, rng] = yield* GraphDef.state(model, Variable.Param, Variable.RngState)
      assert.strictEqual(States.length(params), 3)
      assert.strictEqual(rng.dropout.key.kind, "RngState/RngKey")
    }))

  it.effect("A.077 variables are the live ones", () =>
    Effect.gen(function*() {
      const model = Block.makeUnsafe(1, 1)
      const live = yield* GraphDef.variables(model, Variable.BatchStat)
      assert.deepStrictEqual(States.toEntries(live), [[["norm", "mean"], model.norm.mean]])
    }))

  it.effect("design: a State is a snapshot, later writes do not reach it", () =>
    Effect.gen(function*() {
      const model = Linear.makeUnsafe(1, 1)
      const before = yield* Ref.get(model.bias)
      const state = yield* GraphDef.state(model)
      yield* Ref.set(model.bias, zeros(1))
      assert.strictEqual(state.bias.value, before)
    }))
})

describe("changing structure", () => {
  it.effect("fields cannot be assigned, and are set by an Effect that the next split sees", () =>
    Effect.gen(function*() {
      const model = new Node({ a: 1, list: [1, 2] })
      assert.throws(() => Object.assign(model, { a: 2 }), TypeError)
      assert.throws(() => (model["list"] as Array<number>).push(3), TypeError)
      const before = yield* GraphDef.graphdef(model)
      assert.strictEqual(yield* GraphDef.graphdef(model), before)
      yield* GraphDef.setAttribute(model, "v", Variable.Param.makeUnsafe(zeros(1)))
      assert.strictEqual(States.length(yield* GraphDef.state(model)), 1)
      yield* GraphDef.deleteAttribute(model, "v")
      const after = yield* GraphDef.graphdef(model)
      assert.notStrictEqual(after, before)
      assert.isTrue(Equal.equals(after, before))
    }))

  it.effect("what a caller passes in is not frozen under its hands", () =>
    Effect.gen(function*() {
      const list = [Linear.makeUnsafe(1, 1)]
      const model = new Node({ list })
      list.push(Linear.makeUnsafe(1, 1))
      assert.strictEqual(States.length(yield* GraphDef.state(model)), 2)
    }))

  it.effect("deleteAttribute of nothing, setAttribute on no node", () =>
    Effect.gen(function*() {
      const missing = yield* failed(GraphDef.deleteAttribute(new Node({}), "x"))
      assert.include(missing.message, "deleteAttribute: a path does not fit")
      const list = yield* failed(GraphDef.setAttribute([1], "0", 2))
      assert.include(list.message, "expected a Module, found a List")
    }))

  it.effect("A.075 B.007 pop removes, gives the State, and leaves the rest", () =>
    Effect.gen(function*() {
      const model = Stack.makeUnsafe(2, 2)
      const popped = yield* GraphDef.pop(model, Variable.RngState)
      assert.strictEqual(States.length(popped), 4)
      assert.isFalse(Object.hasOwn(model.blocks[0].dropout, "key"))
      const [params, stats] = yield* GraphDef.pop(model, Variable.Param, Variable.BatchStat)
      assert.deepStrictEqual([States.length(params), States.length(stats)], [8, 2])
      assert.isTrue(States.isEmpty(yield* GraphDef.state(model)))
      assert.strictEqual(model.head.features, 1)
    }))

  it.effect("F.030 pop removes a shared Variable at its first path only", () =>
    Effect.gen(function*() {
      const v = Variable.Cache.makeUnsafe(zeros(1))
      const model = new Node({ a: v, b: v, c: { d: v, e: 1 } })
      yield* GraphDef.pop(model, Variable.Cache)
      assert.deepStrictEqual(Object.keys(model), ["b", "c"])
      yield* GraphDef.pop(model, Variable.Cache)
      assert.deepStrictEqual(Object.keys(model), ["c"])
      yield* GraphDef.pop(model, Variable.Cache)
      assert.deepStrictEqual(model["c"], { e: 1 })
    }))

  it.effect("A.075 pop needs a filter, and does not take from arrays", () =>
    Effect.gen(function*() {
      const none = [] as unknown as [Filter.Filter]
      assert.include((yield* failed(GraphDef.pop(new Node({}), ...none))).message, "Expected at least one filter")
      const v = Variable.Cache.makeUnsafe(zeros(1))
      const model = new Node({ a: Variable.Cache.makeUnsafe(zeros(1)), z: [1, v] })
      const error = yield* failed(GraphDef.pop(model, Variable.Cache))
      assert.include(error.message, "z/1: expected a Variable in a field or a plain object, found one in an array")
      assert.isTrue(Object.hasOwn(model, "a"))
    }))
})

describe("several models at once", () => {
  it.effect("A.087 splitContext and mergeContext share objects, and end", () =>
    Effect.gen(function*() {
      const linear = Linear.makeUnsafe(1, 1)
      const [one, two] = [new Node({ linear }), new Node({ linear, kernel: linear.kernel })]
      const { context, parts } = yield* GraphDef.splitContext((context) =>
        Effect.map(
          Effect.all([context.split(one), context.split(two)]),
          (parts) => ({ context, parts })
        )
      )
      assert.strictEqual(
        String(parts[1][0]),
        `GraphDef Node(index=4)
  kernel: Ref(index=3)
  linear: Ref(index=1)`
      )
      assert.isTrue(States.isEmpty(parts[1][1]))
      const [a, b] = yield* GraphDef.mergeContext(({ merge }) =>
        Effect.all([merge(parts[0][0], parts[0][1]), merge(parts[1][0], parts[1][1])])
      )
      assert.strictEqual(a["linear"], b["linear"])
      assert.strictEqual(b["kernel"], (a["linear"] as Linear).kernel)
      const late = yield* Effect.exit(context.split(one))
      assert.strictEqual(late._tag, "Failure")
    }))
})

describe("walks", () => {
  it("A.089 iterGraph: children first, shared once, statics too", () => {
    const linear = Linear.makeUnsafe(1, 1)
    const model = new Node({ a: linear, b: [linear, 3] })
    assert.deepStrictEqual([...GraphDef.iterGraph(model)].map(([path]) => path.join("/")), [
      "a/bias",
      "a/features",
      "a/kernel",
      "a",
      "b/1",
      "b",
      ""
    ])
  })

  it("A.030 A.050 findDuplicates does not repeat what is below", () => {
    const [v, linear] = [Variable.Param.makeUnsafe(zeros(1)), Linear.makeUnsafe(1, 1)]
    assert.deepStrictEqual(GraphDef.findDuplicates(new Node({ a: v, b: v, c: linear, d: linear })), [
      [["a"], ["b"]],
      [["c"], ["d"]]
    ])
    assert.deepStrictEqual(GraphDef.findDuplicates(linear), [])
  })

  it.effect("B.009 map makes a new model of mapped values", () =>
    Effect.gen(function*() {
      const model = Linear.makeUnsafe(1, 2)
      const paths: Array<string> = []
      const mapped = yield* GraphDef.map(model, (path, value) => {
        paths.push(path.join("/"))
        return [value]
      })
      assert.deepStrictEqual(paths, ["bias", "kernel"])
      assert.deepStrictEqual<unknown>(yield* Ref.get(mapped.kernel), [yield* Ref.get(model.kernel)])
    }))

  it.effect("B.010 recursiveMap replaces nodes, keeps sharing, refuses cycles", () =>
    Effect.gen(function*() {
      const linear = Linear.makeUnsafe(1, 1)
      const model = new Node({ a: linear, b: [linear], c: BatchNorm.makeUnsafe(1) })
      const visited: Array<string> = []
      const mapped = (yield* GraphDef.recursiveMap(model, (path, part) => {
        visited.push(path.join("/"))
        return part instanceof Linear ? new Node({ inner: part }) : part
      })) as Node
      assert.instanceOf(mapped["a"], Node)
      assert.strictEqual((mapped["b"] as ReadonlyArray<unknown>)[0], mapped["a"])
      assert.strictEqual(visited.filter((path) => path === "a/kernel" || path === "b/0/kernel").length, 1)
      yield* GraphDef.setAttribute(model, "self", model)
      const error = yield* failed(GraphDef.recursiveMap(model, (_, part) => part))
      assert.strictEqual(error._tag, "AliasError")
    }))

  it.effect("a list that holds itself is refused", () =>
    Effect.gen(function*() {
      const list: Array<unknown> = []
      list.push(list)
      const exit = yield* Effect.exit(GraphDef.graphdef(list))
      assert.strictEqual(exit._tag, "Failure")
    }))
})

describe("node types of users", () => {
  class Counter {
    readonly parts = new Map<string, unknown>()
    changes = 0
  }
  const protocol: GraphDef.GraphProtocol<Counter> = {
    _tag: "Graph",
    name: "Counter",
    flatten: ({ parts }) => ({
      keys: [...parts.keys()].toSorted(),
      values: [...parts.keys()].toSorted().map((k) => parts.get(k))
    }),
    create: () => new Counter(),
    set: (node, key, value) => {
      node.parts.set(key, value)
      node.changes++
    },
    remove: (node, key) => {
      node.parts.delete(key)
      node.changes++
    },
    version: (node) => node.changes
  }
  GraphDef.registerNode(Counter, protocol)

  it.effect("A.054 A.055 take part in everything", () =>
    Effect.gen(function*() {
      const counter = new Counter()
      counter.parts.set("v", Variable.Param.makeUnsafe(zeros(1)))
      const model = new Node({ a: counter, b: counter })
      const copy = yield* GraphDef.clone(model)
      assert.instanceOf(copy["a"], Counter)
      assert.strictEqual(copy["a"], copy["b"])
      const before = yield* GraphDef.graphdef(model)
      yield* GraphDef.setAttribute(counter, "w", Variable.Param.makeUnsafe(zeros(1)))
      assert.isFalse(Equal.equals(yield* GraphDef.graphdef(model), before))
      assert.strictEqual(States.length(yield* GraphDef.state(model)), 2)
    }))

  it.effect("A.059 Static is one static value", () =>
    Effect.gen(function*() {
      const make = (n: number) => GraphDef.graphdef(new Node({ x: GraphDef.Static([n, { y: 1 }]) }))
      const [one, again, two] = yield* Effect.all([make(1), make(1), make(2)])
      assert.strictEqual(one.entries.length, 2)
      assert.isTrue(Equal.equals(one, again))
      assert.isFalse(Equal.equals(one, two))
    }))

  it("A.055 A.056 register once", () => {
    assert.throws(() => GraphDef.registerNode(Counter, protocol), /Node type Counter is already registered\./)
    assert.isTrue(GraphDef.isGraphNode(new Counter()))
    assert.isTrue(GraphDef.isNode([]) && !GraphDef.isGraphNode([]))
    assert.isFalse(GraphDef.isNode(Variable.Param.makeUnsafe(1)))
  })
})

describe("Dropout in a model", () => {
  it.effect("withTag selects a stream", () =>
    Effect.gen(function*() {
      const state = yield* GraphDef.state(new Node({ d: Dropout.makeUnsafe() }), Filter.withTag("dropout"))
      assert.strictEqual(States.length(state), 2)
    }))
})
