// The node protocol and GraphDef as a value: registration, the nodes that are built in, static values, definitions.
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Hash from "effect/Hash"
import * as HashMap from "effect/HashMap"
import * as Ref from "effect/Ref"
import { inspect } from "node:util"
import "../../src/Tensor/install.ts"
import * as Cpu from "../../src/Backend/Tfjs/Cpu/index.ts"
import * as GraphDef from "../../src/GraphDef/index.ts"
import { Module } from "../../src/Ref/Module.ts"
import * as Variable from "../../src/Ref/Variable.ts"
import * as States from "../../src/State/index.ts"
import * as Tensor from "../../src/Tensor.ts"
import { jit } from "../../src/Transform/index.ts"
import { Linear, Node, zeros } from "../support/models.ts"

const param = (...values: ReadonlyArray<number>) => Variable.Param.makeUnsafe(Tensor.array(values))

/** A node with identity, by the functions of the document. */
class Box {
  readonly parts: Record<string, unknown> = {}
}

const box: Parameters<typeof GraphDef.registerGraphNodeType<Box>>[1] = {
  flatten: ({ parts }) => ({
    keys: Object.keys(parts).toSorted(),
    values: Object.keys(parts).toSorted().map((key) => parts[key])
  }),
  create: () => new Box(),
  set: ({ parts }, key, value) => {
    parts[key] = value
  },
  remove: ({ parts }, key) => {
    delete parts[key]
  }
}
GraphDef.registerGraphNodeType(Box, box)

/** A value with two parts. */
class Range {
  readonly low: unknown
  readonly high: unknown
  constructor(low: unknown, high: unknown) {
    this.low = low
    this.high = high
  }
}

const range: Parameters<typeof GraphDef.registerPytreeNodeType<Range>>[1] = {
  flatten: ({ high, low }) => ({ keys: ["low", "high"], values: [low, high] }),
  unflatten: ({ values }) => new Range(values[0], values[1])
}
GraphDef.registerPytreeNodeType(Range, range)

layer(Cpu.layer)("nodes", (it) => {
  it.effect("A.053 a map by identity is JavaScript's Map: keys that are equal stay apart, and come back themselves", () =>
    Effect.gen(function*() {
      const [one, two] = [new Linear({ kernel: param(1), bias: param(2), features: 1 }), Linear.makeUnsafe(1, 1)]
      const [a, b] = [yield* GraphDef.state(two), yield* GraphDef.state(two)]
      assert.isTrue(Equal.equals(a, b))
      const byIdentity = new Map<object, number>([[a, 1], [b, 2]])
      assert.deepStrictEqual([byIdentity.get(a), byIdentity.get(b), byIdentity.size], [1, 2, 2])
      assert.strictEqual(HashMap.size(HashMap.make([a, 1], [b, 2])), 1)
      // The index map of a traversal is one: iteration gives the objects themselves, in order.
      const refIndex = new Map<object, number>()
      yield* GraphDef.flatten(one, refIndex)
      assert.deepStrictEqual([...refIndex.values()], [0, 1, 2])
      assert.isTrue([...refIndex.keys()].every((key, i) => key === [one, one.bias, one.kernel][i]))
      refIndex.delete(one.bias)
      assert.isFalse(refIndex.has(one.bias))
      assert.include(inspect(refIndex), "Map(2) {")
    }))

  it("A.054 the protocol of graph nodes: flatten, create, set, remove; of values: flatten, unflatten", () => {
    const impl = GraphDef.getNodeImpl(new Node({ b: 1, a: 2 }))
    if (impl._tag !== "Graph") return assert.fail("a Module is a graph node")
    const node = impl.create(undefined, undefined)
    assert.deepStrictEqual(GraphDef.nodeDict(node), {})
    impl.set(node, "y", 1)
    impl.set(node, "x", 2)
    assert.deepStrictEqual(impl.flatten(node), { keys: ["x", "y"], values: [2, 1] })
    assert.deepStrictEqual(GraphDef.nodeDict(node), { x: 2, y: 1 })
    impl.remove(node, "x")
    assert.deepStrictEqual(GraphDef.nodeDict(node), { y: 1 })
    const list = GraphDef.getNodeImpl([3, 4])
    if (list._tag !== "Tree") return assert.fail("an array is a value")
    const parts = list.flatten([3, 4])
    assert.deepStrictEqual(parts, { keys: ["0", "1"], values: [3, 4] })
    assert.deepStrictEqual<unknown>(list.unflatten(parts), [3, 4])
  })

  it.effect("A.055 registered classes are nodes everywhere", () =>
    Effect.gen(function*() {
      const own = new Box()
      own.parts["v"] = param(1)
      own.parts["range"] = new Range(param(2), 5)
      const model = new Node({ a: own, b: own })
      assert.strictEqual(
        String(yield* GraphDef.graphdef(model)),
        `GraphDef Node(index=0)
  a: Box(index=1)
    range: Range
      low: Param(index=2)
      high: Static(5)
    v: Param(index=3)
  b: Ref(index=1)`
      )
      const copy = yield* GraphDef.clone(model)
      assert.strictEqual(copy["a"], copy["b"])
      const inner = (copy["a"] as Box).parts["range"]
      assert.instanceOf(inner, Range)
      assert.strictEqual(inner.high, 5)
      assert.notStrictEqual(inner.low, (own.parts["range"] as Range).low)
    }))

  it("A.055 a class is registered once", () => {
    const twice = [
      () => GraphDef.registerGraphNodeType(Box, box),
      () => GraphDef.registerPytreeNodeType(Range, range),
      () =>
        GraphDef.registerPytreeNodeType(Box, { flatten: () => ({ keys: [], values: [] }), unflatten: () => new Box() })
    ]
    for (const [i, name] of ["Box", "Range", "Box"].entries()) {
      assert.throws(twice[i], `Node type ${name} is already registered.`)
    }
    try {
      twice[0]()
    } catch (error) {
      assert.instanceOf(error, GraphDef.NodeTypeError)
      assert.strictEqual(error.type, "Box")
    }
  })

  it("A.056 isNode, isGraphNode, isNodeType, getNodeImpl, getNodeImplForType", () => {
    const v = param(1)
    const values: ReadonlyArray<readonly [unknown, boolean, boolean]> = [
      [new Node({}), true, true],
      [new Box(), true, true],
      [new Range(1, 2), true, false],
      [[1], true, false],
      [{ a: 1 }, true, false],
      [v, false, false],
      [Tensor.array([1]), false, false],
      ["text", false, false],
      [null, false, false],
      [new Map(), false, false]
    ]
    for (const [value, node, graph] of values) {
      assert.strictEqual(GraphDef.isNode(value), node, String(value))
      assert.strictEqual(GraphDef.isGraphNode(value), graph, String(value))
    }
    assert.deepStrictEqual([Node, Linear, Box, Range, Array, Object].map(GraphDef.isNodeType), Array(6).fill(true))
    assert.deepStrictEqual([Map, Date].map(GraphDef.isNodeType), [false, false])
    assert.throws(() => GraphDef.getNodeImpl(v), `Variable is not a node: ${String(v)}`)
    assert.throws(() => GraphDef.getNodeImpl("text"), "Unknown node type: text")
    assert.throws(() => GraphDef.getNodeImplForType(Date), "Unknown node type: Date")
    assert.strictEqual(GraphDef.getNodeImplForType(Linear).type, GraphDef.getNodeImpl(Linear.makeUnsafe(1, 1)).type)
    assert.strictEqual(GraphDef.getNodeImplForType(Box).name, "Box")
  })

  it.effect("A.057 arrays, tuples, plain objects with sorted keys, and null are nodes or nothing", () =>
    Effect.gen(function*() {
      const value = { list: [param(1), [2, param(3)]] as const, b: null, a: { y: param(4), x: "s" } }
      const [graphdef, state] = yield* GraphDef.split(value)
      assert.strictEqual(
        String(graphdef),
        `GraphDef Dict
  a: Dict
    x: Static("s")
    y: Param(index=0)
  b: Static(null)
  list: List
    0: Param(index=1)
    1: List
      0: Static(2)
      1: Param(index=2)`
      )
      const copy = yield* GraphDef.merge(graphdef, state)
      assert.deepStrictEqual([Object.keys(copy), copy.b, copy.list[1][0], copy.a.x], [["a", "b", "list"], null, 2, "s"])
    }))

  it.effect("A.057 States and snapshots are nodes, and keys are names, positions, or an error", () =>
    Effect.gen(function*() {
      const linear = Linear.makeUnsafe(1, 1)
      const state = yield* GraphDef.state(linear)
      const copy = yield* GraphDef.clone({ state, leaf: state.bias })
      assert.isTrue(Equal.equals(copy.state, state))
      assert.strictEqual(copy.leaf.value, state.bias.value)
      class Pair {
        readonly keys: ReadonlyArray<never>
        constructor(...keys: ReadonlyArray<unknown>) {
          this.keys = keys as ReadonlyArray<never>
        }
      }
      GraphDef.registerPytreeNodeType(Pair, {
        flatten: ({ keys }) => ({ keys, values: keys.map(() => param(1)) }),
        unflatten: () => new Pair()
      })
      const paths = yield* Effect.map(GraphDef.state(new Pair(0, "name", 10)), States.paths)
      assert.deepStrictEqual(paths, [["0"], ["name"], ["10"]])
      const exit = yield* Effect.exit(GraphDef.graphdef(new Pair(Symbol("s"))))
      assert.include(
        String(exit),
        "Invalid key: Symbol(s) of a Pair. May be due to its type not being comparable: keys are strings, or numbers"
      )
    }))

  it.effect("A.058 metadata compares and hashes by its contents, whatever the order of its keys", () =>
    Effect.gen(function*() {
      const [one, two] = [{ tag: "x", axes: ["in", "out"] }, { axes: ["in", "out"], tag: "x" }]
      assert.isTrue(Equal.equals(one, two))
      assert.strictEqual(Hash.hash(one), Hash.hash(two))
      const graphdefs = yield* Effect.all(
        [one, two, { tag: "y", axes: ["in", "out"] }].map((metadata) =>
          GraphDef.graphdef(new Node({ v: Variable.Param.makeUnsafe(zeros(1), { metadata }) }))
        )
      )
      assert.isTrue(Equal.equals(graphdefs[0], graphdefs[1]))
      assert.strictEqual(Hash.hash(graphdefs[0]), Hash.hash(graphdefs[1]))
      assert.isFalse(Equal.equals(graphdefs[0], graphdefs[2]))
    }))

  it.effect("A.059 Static is one static value: no leaves, compared by its contents", () =>
    Effect.gen(function*() {
      const sizes = GraphDef.Static([1, 2])
      assert.isTrue(Equal.equals(sizes, GraphDef.Static([1, 2])))
      assert.strictEqual(Hash.hash(sizes), Hash.hash(GraphDef.Static([1, 2])))
      const f = jit((x: Tensor.Tensor, s: GraphDef.Static<ReadonlyArray<number>>) =>
        Effect.succeed(x.mul(s.value.length))
      )
      const calls = [sizes, GraphDef.Static([1, 2]), GraphDef.Static([1, 2, 3])]
      const found = yield* Effect.forEach(calls, (s) => Effect.flatMap(f(Tensor.array(1), s), Tensor.item))
      assert.deepStrictEqual(found, [2, 2, 3])
      assert.strictEqual(f.traces(), 2)
      assert.strictEqual((yield* GraphDef.graphdef(sizes)).leaves, 0)
    }))
})

layer(Cpu.layer)("GraphDef", (it) => {
  class Net extends Module("Net")<{ readonly a: Linear; readonly b: Linear; readonly act: (x: number) => number }> {}
  const net = () => {
    const a = Linear.makeUnsafe(2, 3)
    return new Net({ a, b: a, act: Math.abs })
  }

  it.effect("A.060 is a static value: an argument of compiled functions, and a key", () =>
    Effect.gen(function*() {
      const f = jit((graphdef: GraphDef.GraphDef<Linear>, state: States.StateOf<Linear>) =>
        Effect.flatMap(GraphDef.merge(graphdef, state), (m) => Effect.map(Ref.get(m.bias), (b) => b.sum()))
      )
      for (const model of [Linear.makeUnsafe(2, 3), Linear.makeUnsafe(2, 3)]) {
        const [graphdef, state] = yield* GraphDef.split(model)
        assert.strictEqual(yield* Tensor.item(yield* f(graphdef, state)), 0)
      }
      assert.strictEqual(f.traces(), 1)
      yield* f(...yield* GraphDef.split(Linear.makeUnsafe(3, 3)))
      assert.strictEqual(f.traces(), 2)
      const cache = HashMap.make<Array<[GraphDef.Any, string]>>([yield* GraphDef.graphdef(net()), "net"])
      assert.isTrue(HashMap.has(cache, yield* GraphDef.graphdef(net())))
      assert.isFalse(HashMap.has(cache, yield* GraphDef.graphdef(Linear.makeUnsafe(1, 1))))
    }))

  it.effect("A.060 has a type, an index, attributes, metadata and, inside of a transform, an index mapping", () =>
    Effect.gen(function*() {
      const graphdef = yield* GraphDef.graphdef(net())
      const node = GraphDef.definition(graphdef)
      if (node?._tag !== "NodeDef") return assert.fail("a NodeDef")
      assert.deepStrictEqual([node.type, node.index, node.indexMapping], ["Net", 0, undefined])
      const [a, act, b] = node.attributes
      assert.deepStrictEqual(node.attributes.map(({ _tag, key }) => [_tag, key]), [
        ["SubGraphAttribute", "a"],
        ["StaticAttribute", "act"],
        ["SubGraphAttribute", "b"]
      ])
      assert.strictEqual(act.value, Math.abs)
      assert.strictEqual(String(b.value), "NodeRef(type=Linear, index=1)")
      const linear = a.value as GraphDef.NodeDef
      assert.strictEqual(String(linear.attributes[2].value), "VariableDef(type=Param, index=3, metadata={})")
      assert.strictEqual(
        (yield* GraphDef.graphdef(param(1)).pipe(Effect.map(GraphDef.definition)))?._tag,
        "VariableDef"
      )
      const mapping = yield* GraphDef.updateContext("x", (context) =>
        Effect.gen(function*() {
          const inner = yield* context.merge(...yield* context.split([new Node({ a: 1 }), new Node({ b: 2 })] as const))
          const [out] = yield* context.split([inner[1], new Node({}), inner[0]])
          const list = GraphDef.definition(out)
          return list?._tag === "NodeDef" ? list.indexMapping : undefined
        }))
      assert.deepStrictEqual(mapping, new Map([[1, 0], [0, 2]]))
    }))

  it.effect("A.061 prints as a tree, and each kind of attribute by itself", () =>
    Effect.gen(function*() {
      const graphdef = yield* GraphDef.graphdef(net())
      const printed = `GraphDef Net(index=0)
  a: Linear(index=1)
    bias: Param(index=2)
    features: Static(3)
    kernel: Param(index=3)
  act: Static(abs)
  b: Ref(index=1)`
      assert.strictEqual(String(graphdef), printed)
      assert.strictEqual(inspect(graphdef), printed)
      const node = GraphDef.definition(graphdef) as GraphDef.NodeDef
      const linear = node.attributes[0].value as GraphDef.NodeDef
      assert.deepStrictEqual([...linear.attributes, ...node.attributes.slice(1)].map(String), [
        "LeafAttribute(key='bias', value=VariableDef(type=Param, index=2, metadata={}))",
        "StaticAttribute(key='features', value=Static(3))",
        "LeafAttribute(key='kernel', value=VariableDef(type=Param, index=3, metadata={}))",
        "StaticAttribute(key='act', value=Static(abs))",
        "SubGraphAttribute(key='b', value=NodeRef(type=Linear, index=1))"
      ])
      assert.include(
        String(node.attributes[0]),
        "SubGraphAttribute(key='a', value=NodeDef Linear(index=1)\n  bias: Param"
      )
    }))

  it.effect("A.062 apply gives the methods of the model, and the GraphDef and the State after them", () =>
    Effect.gen(function*() {
      class Counter extends Module("Counter")<{ readonly n: Variable.Variable<"Count", Tensor.Tensor> }> {
        add(by: number) {
          return Effect.as(Ref.update(this.n, (n) => n.add(by)), `added ${by}`)
        }
      }
      const counter = new Counter({ n: Variable.kind("Count").makeUnsafe(Tensor.array(1)) })
      const [graphdef, count, rest] = yield* GraphDef.split(counter, Variable.kind("Count"), States.Filter.rest)
      const [out, [after, state]] = yield* graphdef.apply(count, rest).add(4)
      assert.strictEqual(out, "added 4")
      assert.isTrue(Equal.equals(after, graphdef))
      assert.strictEqual(yield* Tensor.item(state.n.value), 5)
      assert.strictEqual(yield* Tensor.item(yield* Ref.get(counter.n)), 1)
    }))
})
