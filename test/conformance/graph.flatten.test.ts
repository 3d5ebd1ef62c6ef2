// flatten and unflatten: numbering, sharing, cycles, index maps, and every way in which a State can fail to fit.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Ref from "effect/Ref"
import "../../src/Tensor/install.ts"
import * as GraphDef from "../../src/GraphDef/index.ts"
import * as Variable from "../../src/Ref/Variable.ts"
import * as States from "../../src/State/index.ts"
import * as Tensor from "../../src/Tensor.ts"
import { BatchNorm, Linear, Node, zeros } from "../support/models.ts"

const param = (...values: ReadonlyArray<number>) => Variable.Param.makeUnsafe(Tensor.array(values))

/** The message with which an Effect fails. */
const message = <A, E extends { readonly message: string }>(effect: Effect.Effect<A, E>) =>
  Effect.map(Effect.flip(effect), (error) => error.message)

describe("flatten", () => {
  it.effect("A.063 gives the structure and the State, which are those of split", () =>
    Effect.gen(function*() {
      const model = new Node({ a: Linear.makeUnsafe(1, 2), b: BatchNorm.makeUnsafe(2) })
      const [graphdef, state] = yield* GraphDef.flatten(model)
      const [other, same] = yield* GraphDef.split(model)
      assert.isTrue(Equal.equals(graphdef, other))
      assert.isTrue(Equal.equals(state, same))
    }))

  it.effect("A.063 one refIndex for several values: what they share is a reference in the later ones", () =>
    Effect.gen(function*() {
      const shared = Linear.makeUnsafe(1, 1)
      const refIndex = new Map<object, number>()
      const [first] = yield* GraphDef.flatten(new Node({ shared }), refIndex)
      const [second, state] = yield* GraphDef.flatten(new Node({ shared, bias: shared.bias, own: param(1) }), refIndex)
      assert.strictEqual(first.entries.length, 5)
      assert.strictEqual(
        String(second),
        `GraphDef Node(index=4)
  bias: Ref(index=2)
  own: Param(index=5)
  shared: Ref(index=1)`
      )
      assert.deepStrictEqual(States.paths(state), [["own"]])
      assert.deepStrictEqual([...refIndex.values()], [0, 1, 2, 3, 4, 5])
      const [third, none] = yield* GraphDef.flatten(shared, refIndex)
      assert.strictEqual(String(third), "GraphDef Ref(index=1)")
      assert.isTrue(States.isEmpty(none))
    }))

  it.effect("A.064 indices in the order of a depth-first walk, to graph nodes and Variables only", () =>
    Effect.gen(function*() {
      const model = new Node({ z: param(1), list: [new Node({ w: param(2) }), { v: param(3) }], a: 1, m: new Node({}) })
      const { entries } = yield* GraphDef.graphdef(model)
      assert.deepStrictEqual(
        entries.flatMap((e) =>
          e._tag === "Node" ? [[e.sort.name, e.index]] : e._tag === "Variable" ? [["v", e.index]] : []
        ),
        [["Node", 0], ["List", -1], ["Node", 1], ["v", 2], ["Dict", -1], ["v", 3], ["Node", 4], ["v", 5]]
      )
    }))

  it.effect("A.065 what is met again is a reference, and has no State of its own", () =>
    Effect.gen(function*() {
      const v = param(1)
      const inner = new Node({ v })
      const [graphdef, state] = yield* GraphDef.split(new Node({ a: inner, b: inner, c: v, d: [v] }))
      assert.deepStrictEqual(graphdef.entries.filter((e) => e._tag === "Ref").map((e) => e.index), [1, 2, 2])
      assert.deepStrictEqual(States.paths(state), [["a", "v"]])
      assert.strictEqual(graphdef.leaves, 1)
    }))

  it.effect("A.066 arrays in fields are leaves, as in newer documents; raw numbers of JavaScript are refused", () =>
    Effect.gen(function*() {
      const model = new Node({ a: { b: zeros(2) } })
      assert.deepStrictEqual(States.paths(yield* GraphDef.state(model)), [["a", "b"]])
      const exit = yield* Effect.exit(GraphDef.graphdef(new Node({ a: { b: Float32Array.of(1, 2) } })))
      assert.include(String(exit), "Arrays leaves are not supported, at 'a/b': Float32Array(8 bytes)")
      assert.include(String(exit), "Tensor.array")
    }))

  it.effect("A.067 everything else is static", () =>
    Effect.gen(function*() {
      const date = new Date(0)
      const { entries } = yield* GraphDef.graphdef(
        new Node({ a: 1, b: "s", c: true, d: null, e: undefined, f: Math.abs, g: date, h: 3n })
      )
      assert.deepStrictEqual(
        entries.slice(1).map((e) => e._tag === "Static" ? e.value : e),
        [1, "s", true, null, undefined, Math.abs, date, 3n]
      )
    }))
})

describe("unflatten", () => {
  it.effect("A.068 one indexRef for several GraphDefs of an index space", () =>
    Effect.gen(function*() {
      const shared = Linear.makeUnsafe(1, 1)
      const refIndex = new Map<object, number>()
      const one = yield* GraphDef.flatten(new Node({ shared }), refIndex)
      const two = yield* GraphDef.flatten(new Node({ shared, bias: shared.bias }), refIndex)
      const indexRef = new Map<number, object>()
      const a = yield* GraphDef.unflatten(...one, { indexRef })
      const b = yield* GraphDef.unflatten(...two, { indexRef })
      assert.strictEqual(a["shared"], b["shared"])
      assert.strictEqual(b["bias"], (a["shared"] as Linear).bias)
      assert.notStrictEqual(a["shared"], shared)
      assert.strictEqual(indexRef.get(0), a)
      assert.deepStrictEqual([...indexRef.keys()], [0, 1, 2, 3, 4])
      assert.include(
        yield* message(GraphDef.unflatten(...two)),
        "bias: expected an object that was made before, found none"
      )
    }))

  it.effect("A.069 a static field, a subgraph without leaves, and one of references only need no State", () =>
    Effect.gen(function*() {
      const v = param(1)
      const model = new Node({ a: v, n: 3, empty: new Node({ k: 1 }), refs: new Node({ v, again: [v] }) })
      const graphdef = yield* GraphDef.graphdef(model)
      const copy = yield* GraphDef.merge(graphdef, { a: zeros(1) })
      assert.deepStrictEqual([copy["n"], (copy["empty"] as Node)["k"]], [3, 1])
      const refs = copy["refs"] as Node
      assert.strictEqual(refs["v"], copy["a"])
      assert.strictEqual((refs["again"] as ReadonlyArray<unknown>)[0], copy["a"])
    }))

  it.effect("A.069 every misfit at once, in the words of the document", () =>
    Effect.gen(function*() {
      const graphdef = yield* GraphDef.graphdef(
        new Node({ linear: Linear.makeUnsafe(1, 2), norm: BatchNorm.makeUnsafe(2) })
      )
      const error = yield* Effect.flip(GraphDef.merge(graphdef, {
        linear: { features: zeros(1), bias: zeros(2), kernel: zeros(1, 2), scale: zeros(1) },
        norm: zeros(3),
        extra: { deep: zeros(1) }
      }))
      assert.strictEqual(error._tag, "StructureError")
      assert.strictEqual(
        error.message,
        `merge: 6 paths do not fit; give exactly the leaves of the GraphDef, in one or several States
  linear/features: expected no value: the field is static, found f32[1]. Got state for static field 'features', this is not supported.
  linear/scale: expected no value: the model has nothing at this path, found f32[1]. Unknown keys: {'scale'}
  norm: expected the values of a BatchNorm, found f32[3]. Expected value of type BatchNorm for 'norm', but got f32[3]
  extra/deep: expected no value: the model has nothing at this path, found f32[1]. Unknown keys: {'extra'}
  norm/mean: expected a BatchStat, found nothing. Expected key 'mean' in state while building node of type BatchNorm.
  norm/scale: expected a Param, found nothing. Expected key 'scale' in state while building node of type BatchNorm.`
      )
    }))

  it.effect("A.070 a cycle: the node is there before its children are", () =>
    Effect.gen(function*() {
      const model = new Node({ v: param(1) })
      const child = new Node({ parent: model, all: [model] })
      yield* GraphDef.setAttribute(model, "child", child)
      yield* GraphDef.setAttribute(model, "self", model)
      const copy = yield* GraphDef.unflatten(...yield* GraphDef.flatten(model))
      const inner = copy["child"] as Node
      assert.strictEqual(copy["self"], copy)
      assert.strictEqual(inner["parent"], copy)
      assert.strictEqual((inner["all"] as ReadonlyArray<unknown>)[0], copy)
      assert.notStrictEqual(copy, model)
    }))

  it.effect("A.071 with a cache the objects that are there get the new content", () =>
    Effect.gen(function*() {
      const [keep, gone] = [param(1), param(2)]
      const old = new Node({ keep, gone, n: 1 })
      const twin = new Node({ keep: Variable.Param.makeUnsafe(Tensor.array([7]), { metadata: { tag: "x" } }), n: 2 })
      const [graphdef, state] = yield* GraphDef.flatten(twin)
      const made = yield* GraphDef.unflatten(graphdef, state, {
        indexRefCache: new Map<number, object>([[0, old], [1, keep]])
      })
      assert.strictEqual(made, old)
      assert.deepStrictEqual(Object.keys(old).toSorted(), ["keep", "n"])
      assert.strictEqual(old["keep"], keep)
      assert.strictEqual(yield* Ref.get(keep), yield* Ref.get(twin["keep"] as typeof keep))
      assert.deepStrictEqual([old["n"], keep.metadata], [2, { tag: "x" }])
      // What the cache does not have is made.
      const again = yield* GraphDef.unflatten(graphdef, state, { indexRefCache: new Map([[0, old]]) })
      assert.strictEqual(again, old)
      assert.notStrictEqual(again["keep"], keep)
    }))

  it.effect("A.071 an object of another type in the cache", () =>
    Effect.gen(function*() {
      const flat = yield* GraphDef.flatten(new Node({ child: Linear.makeUnsafe(1, 1) }))
      const other = BatchNorm.makeUnsafe(1)
      const error = yield* Effect.flip(GraphDef.unflatten(...flat, { indexRefCache: new Map([[1, other]]) }))
      assert.include(
        error.message,
        "child: expected a Linear, found a BatchNorm. Expected a node of type Linear for index 1, but got a node of type BatchNorm."
      )
      const variable = yield* Effect.flip(GraphDef.unflatten(...flat, { indexRefCache: new Map([[2, other]]) }))
      assert.include(variable.message, "Expected a Variable type for index 2, but got BatchNorm.")
      assert.deepStrictEqual(Object.keys(other), ["scale", "mean"])
    }))

  it.effect("A.072 an index is used once", () =>
    Effect.gen(function*() {
      const flat = yield* GraphDef.flatten(Linear.makeUnsafe(1, 1))
      const indexRef = new Map<number, object>()
      yield* GraphDef.unflatten(...flat, { indexRef })
      assert.include(yield* message(GraphDef.unflatten(...flat, { indexRef })), "GraphDef index 0 already used.")
      const twice = GraphDef.mergeContext(({ merge }) => Effect.all([merge(...flat), merge(...flat)]))
      assert.include(yield* message(twice), "GraphDef index 0 already used.")
    }))

  it.effect("A.073 bare values become Variables of the kind, metadata and hooks that the GraphDef has", () =>
    Effect.gen(function*() {
      const hooks = { getValue: [(_: unknown, value: unknown) => (value as Tensor.Tensor).mul(2)] }
      const v = Variable.kind("Mine").makeUnsafe(Tensor.array([1]), { metadata: { tag: "t" }, hooks })
      const [graphdef] = yield* GraphDef.split(new Node({ v }))
      const copy = (yield* GraphDef.merge(graphdef, { v: Tensor.array([5]) }))["v"] as typeof v
      assert.deepStrictEqual([copy.kind, copy.metadata, copy.hooks], ["Mine", { tag: "t" }, hooks])
      assert.deepStrictEqual((yield* Ref.get(copy)).shape, [1])
    }))
})
