// Update contexts: the four steps by tag, their book-keeping, nesting, and what is left of them afterwards.
import { assert, describe, it, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Hash from "effect/Hash"
import * as Ref from "effect/Ref"
import "../../src/Tensor/install.ts"
import * as Cpu from "../../src/Backend/Tfjs/Cpu/index.ts"
import * as GraphDef from "../../src/GraphDef/index.ts"
import * as Variable from "../../src/Ref/Variable.ts"
import { Filter } from "../../src/State/index.ts"
import * as States from "../../src/State/index.ts"
import * as Tensor from "../../src/Tensor.ts"
import { jit } from "../../src/Transform/index.ts"
import { Linear, Node } from "../support/models.ts"

type Param = Variable.Variable<"Param", Tensor.Tensor>
type NodeDef = GraphDef.GraphDef<Node>

const param = (...values: ReadonlyArray<number>) => Variable.Param.makeUnsafe(Tensor.array(values))

/** What the document does inside: a static field, and a cycle. */
const change = (m2: Node) =>
  Effect.gen(function*() {
    yield* GraphDef.setAttribute(m2, "a", 1)
    yield* GraphDef.setAttribute(m2, "ref", m2)
  })

const { currentUpdateContext, updateContext } = GraphDef

layer(Cpu.layer)("update contexts", (it) => {
  it.effect("A.081 split outside, merge inside, split inside, merge outside", () =>
    Effect.gen(function*() {
      const m1 = new Node({ w: param(1, 2), gone: 1 })
      const w = m1["w"] as Param
      const m3 = yield* updateContext("example", (context) =>
        Effect.gen(function*() {
          const step = jit((graphdef: NodeDef, state: States.Any) =>
            Effect.gen(function*() {
              const m2 = yield* context.merge(graphdef, state)
              yield* Ref.update(m2["w"] as Param, (x) => x.mul(10))
              yield* GraphDef.setAttribute(m2, "fresh", param(5))
              yield* GraphDef.deleteAttribute(m2, "gone")
              return yield* context.split(m2, Filter.rest)
            })
          )
          const [graphdef, state] = yield* context.split(m1, Filter.rest)
          return yield* context.merge(...yield* step(graphdef, state))
        }))
      assert.strictEqual(m3, m1)
      assert.strictEqual(m1["w"], w)
      assert.deepStrictEqual(Object.keys(m1).toSorted(), ["fresh", "w"])
      assert.deepStrictEqual<unknown>(yield* Tensor.toNested(yield* Ref.get(w)), [10, 20])
      assert.deepStrictEqual<unknown>(yield* Tensor.toNested(yield* Ref.get(m1["fresh"] as Param)), [5])
    }))

  it.effect("A.082 the outer indices of step 3 are the composition of indexRef and the inner indices", () =>
    Effect.gen(function*() {
      const { composeMapping, composeMappingReversed } = GraphDef
      const [a, b] = [param(1), param(2)]
      const m1 = new Node({ a, b })
      yield* updateContext("example", (context) =>
        Effect.gen(function*() {
          const m2 = yield* context.merge(...yield* context.split(m1, Filter.rest))
          const refIndex = context.refIndex ?? new Map()
          const indexRef = context.indexRef ?? new Map()
          assert.deepStrictEqual([...refIndex], [[m1, 0], [a, 1], [b, 2]])
          assert.deepStrictEqual([...indexRef], [[0, m2], [1, m2["a"]], [2, m2["b"]]])
          yield* GraphDef.setAttribute(m2, "0", param(3))
          yield* GraphDef.deleteAttribute(m2, "a")
          const inner = new Map<object, number>()
          yield* GraphDef.flatten(m2, inner)
          const indexMapping = composeMapping(indexRef, inner)
          assert.deepStrictEqual([...indexMapping], [[0, 0], [2, 2]])
          const [graphdef, state] = yield* context.split(m2, Filter.rest)
          const node = GraphDef.definition(graphdef)
          assert.deepStrictEqual(node?._tag === "NodeDef" ? node.indexMapping : undefined, indexMapping)
          const indexRefCache = composeMappingReversed(refIndex, indexMapping)
          assert.deepStrictEqual([...indexRefCache], [[0, m1], [2, b]])
          // Which is what unflatten needs, and step 4 does.
          const out = yield* GraphDef.unflatten(GraphDef.withoutOuterIndex(graphdef), state, { indexRefCache })
          assert.strictEqual(out, m1)
          assert.deepStrictEqual(Object.keys(m1).toSorted(), ["0", "b"])
          assert.strictEqual(m1["b"], b)
          assert.strictEqual(yield* context.merge(graphdef, state), m1)
        }))
    }))

  it.effect("A.083 m3 is m1, with the field and the cycle that a compiled function made", () =>
    Effect.gen(function*() {
      const f = jit((graphdef: NodeDef, state: States.Any) =>
        Effect.gen(function*() {
          const context = yield* currentUpdateContext("example")
          const m2 = yield* context.merge(graphdef, state)
          yield* change(m2)
          return yield* context.split(m2, Filter.rest)
        })
      )
      const g = updateContext("example")((m1: Node) =>
        Effect.gen(function*() {
          const context = yield* currentUpdateContext("example")
          return yield* context.merge(...yield* f(...yield* context.split(m1, Filter.rest)))
        })
      )
      for (const m1 of [new Node({}), new Node({})]) {
        const m3 = yield* g(m1)
        assert.strictEqual(m3, m1)
        assert.strictEqual(m1["a"], 1)
        assert.strictEqual(m1["ref"], m1)
      }
      // The second call ran steps 2 and 3 from the cache.
      assert.strictEqual(f.traces(), 1)
      const m4 = yield* GraphDef.transact(new Node({}), (m2) => Effect.as(change(m2), m2))
      assert.strictEqual(m4["ref"], m4)
    }))

  it.effect("A.084 around an Effect, around a function, or given to a function; by tag, and nested", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(currentUpdateContext("x"))
      assert.deepStrictEqual([error._tag, error.tag, error.reason], [
        "UpdateContextError",
        "x",
        "No update context found for tag 'x'."
      ])
      const tagOf = (tag: string) => Effect.map(currentUpdateContext(tag), (context) => context.tag)
      assert.strictEqual(yield* tagOf("x").pipe(updateContext("x")), "x")
      assert.strictEqual(yield* updateContext("y")(tagOf)("y"), "y")
      yield* updateContext("x", (outer) =>
        Effect.gen(function*() {
          assert.strictEqual(yield* currentUpdateContext("x"), outer)
          yield* updateContext("other")(Effect.gen(function*() {
            assert.strictEqual(yield* currentUpdateContext("x"), outer)
          }))
          const inner = yield* updateContext("x", (inner) =>
            Effect.gen(function*() {
              assert.strictEqual(yield* currentUpdateContext("x"), inner)
              return inner
            }))
          assert.notStrictEqual(inner, outer)
          assert.strictEqual(yield* currentUpdateContext("x"), outer)
          assert.strictEqual((yield* Effect.flip(currentUpdateContext("other"))).tag, "other")
        }))
      const call = updateContext("x")(() => currentUpdateContext("x"))
      assert.notStrictEqual(yield* call(), yield* call())
    }))

  it.effect("A.085 steps out of order, and what is no GraphDef of a node", () =>
    Effect.gen(function*() {
      const model = new Node({ v: param(1) })
      const [graphdef, state] = yield* GraphDef.split(model)
      yield* updateContext("x", (context) =>
        Effect.gen(function*() {
          const early = yield* Effect.flip(context.merge(graphdef, state))
          assert.strictEqual(early._tag, "UpdateContextError")
          assert.include(early.message, "Cannot merge without refIndex.")
          yield* context.split(model, Filter.rest)
          const refIndex = new Map<object, number>([[model, 0]])
          const [reference, empty] = yield* GraphDef.flatten(model, refIndex)
          const found = yield* Effect.flip(context.merge(reference, empty))
          assert.include(found.message, "Expected a NodeDef instance, but got NodeRef(index=0).")
          const wrong = { entries: 3 } as unknown as NodeDef
          assert.include(
            (yield* Effect.flip(context.merge(wrong, state))).message,
            "Expected a NodeDef instance, but got [object Object]."
          )
        }))
    }))
})

layer(Cpu.layer)("memory of update contexts", (it) => {
  it.effect("A.086 indexRef goes with step 3, refIndex with step 4, and both at the end", () =>
    Effect.gen(function*() {
      const model = new Node({ v: param(1) })
      const held = yield* updateContext("x", (context) =>
        Effect.gen(function*() {
          const has = () => [context.refIndex !== undefined, context.indexRef !== undefined]
          assert.deepStrictEqual(has(), [false, false])
          const first = yield* context.split(model, Filter.rest)
          assert.deepStrictEqual(has(), [true, false])
          const inner = yield* context.merge(...first)
          assert.deepStrictEqual(has(), [true, true])
          const second = yield* context.split(inner, Filter.rest)
          assert.deepStrictEqual(has(), [true, false])
          yield* context.merge(...second)
          assert.deepStrictEqual(has(), [false, false])
          yield* context.split(model, Filter.rest)
          return context
        }))
      assert.deepStrictEqual([held.refIndex, held.indexRef], [undefined, undefined])
    }))

  it.effect("A.086 nothing is kept alive by a context that has ended, or by a function compiled in it", () =>
    Effect.gen(function*() {
      const refs: Array<WeakRef<object>> = []
      const contexts: Array<GraphDef.UpdateContext> = []
      const f = jit((graphdef: NodeDef, state: States.Any) =>
        Effect.gen(function*() {
          const context = yield* currentUpdateContext("x")
          const inner = yield* context.merge(graphdef, state)
          refs.push(new WeakRef(inner))
          yield* Ref.update(inner["v"] as Param, (x) => x.add(1))
          return yield* context.split(inner, Filter.rest)
        })
      )
      const round = Effect.suspend(() => {
        const model = new Node({ v: param(1) })
        refs.push(new WeakRef(model))
        return Effect.gen(function*() {
          const context = yield* currentUpdateContext("x")
          contexts.push(context)
          yield* context.merge(...yield* f(...yield* context.split(model, Filter.rest)))
        })
      }).pipe(updateContext("x"))
      yield* round
      yield* round
      assert.strictEqual(f.traces(), 1)
      assert.strictEqual(contexts.length, 2)
      for (let i = 0; i < 5 && refs.some((r) => r.deref() !== undefined); i++) {
        yield* Effect.promise(() => new Promise((done) => setImmediate(done)))
        globalThis.gc?.()
      }
      assert.deepStrictEqual(refs.map((r) => r.deref()), [undefined, undefined, undefined])
    }))

  it.effect("A.086 contexts are opaque: one that a compiled function is given never makes it trace again", () =>
    Effect.gen(function*() {
      const traced: Array<GraphDef.UpdateContext> = []
      const f = jit((context: GraphDef.UpdateContext, graphdef: NodeDef, state: States.Any, x: Tensor.Tensor) =>
        Effect.gen(function*() {
          traced.push(context)
          const inner = yield* context.merge(graphdef, state)
          yield* Ref.set(inner["v"] as Param, x)
          return yield* context.split(inner, Filter.rest)
        })
      )
      const model = new Node({ v: param(1) })
      const round = (x: Tensor.Tensor) =>
        updateContext("x", (context) =>
          Effect.gen(function*() {
            const parts = yield* context.split(model, Filter.rest)
            yield* context.merge(...yield* f(context, ...parts, x))
            return context
          }))
      const contexts = [yield* round(Tensor.array([2])), yield* round(Tensor.array([3]))]
      assert.isTrue(Equal.equals(contexts[0], contexts[1]))
      assert.deepStrictEqual(contexts.map((context) => Hash.hash(context)), [0, 0])
      assert.deepStrictEqual<unknown>(yield* Tensor.toNested(yield* Ref.get(model["v"] as Param)), [3])
      assert.strictEqual(f.traces(), 1)
      // When it is traced again it gets the context of its own call.
      const third = yield* round(Tensor.array([4, 5]))
      assert.strictEqual(f.traces(), 2)
      assert.deepStrictEqual(traced.map((context) => context === third), [false, true])
      assert.deepStrictEqual<unknown>(yield* Tensor.toNested(yield* Ref.get(model["v"] as Param)), [4, 5])
    }))
})

describe("splitContext and mergeContext", () => {
  it.effect("A.087 several splits and merges in one index space", () =>
    Effect.gen(function*() {
      const linear = Linear.makeUnsafe(1, 1)
      const [one, two] = [new Node({ linear }), new Node({ linear, bias: linear.bias })]
      const [first, second] = yield* GraphDef.splitContext(({ split }) => Effect.all([split(one), split(two)]))
      assert.isTrue(States.isEmpty(second[1]))
      const [a, b] = yield* GraphDef.mergeContext(({ merge }) => Effect.all([merge(...first), merge(...second)]))
      assert.strictEqual(a["linear"], b["linear"])
      assert.strictEqual(b["bias"], (a["linear"] as Linear).bias)
    }))

  it.effect("A.087 with a tag: the four steps of an update context for several models at once", () =>
    Effect.gen(function*() {
      const linear = Linear.makeUnsafe(1, 1)
      const [one, two] = [new Node({ linear }), new Node({ linear, n: 1 })]
      const run = Effect.gen(function*() {
        const [d1, d2] = yield* GraphDef.splitContext(
          "fit",
          ({ split }) => Effect.all([split(one, Filter.rest), split(two, Filter.rest)])
        )
        const [m1, m2] = yield* GraphDef.mergeContext("fit", ({ merge }) => Effect.all([merge(...d1), merge(...d2)]))
        assert.strictEqual(m1["linear"], m2["linear"])
        assert.notStrictEqual(m1["linear"], linear)
        yield* GraphDef.setAttribute(m2["linear"] as Linear, "more", param(7))
        yield* GraphDef.setAttribute(m1, "two", m2)
        const [e1, e2] = yield* GraphDef.splitContext(
          "fit",
          ({ split }) => Effect.all([split(m1, Filter.rest), split(m2, Filter.rest)])
        )
        return yield* GraphDef.mergeContext("fit", ({ merge }) => Effect.all([merge(...e1), merge(...e2)]))
      })
      const missing = yield* Effect.flip(run)
      assert.include(String(missing), "No update context found for tag 'fit'.")
      const [m3, m4] = yield* run.pipe(updateContext("fit"))
      assert.deepStrictEqual([m3, m4], [one, two])
      assert.strictEqual(m3, one)
      assert.strictEqual(m4, two)
      assert.strictEqual(one["two"], two)
      assert.strictEqual(two["linear"], linear)
      assert.isTrue(Object.hasOwn(linear, "more"))
    }))

  it.effect("A.087 two Variables over one array ref, split one after the other, are an error too", () =>
    Effect.gen(function*() {
      const v = Variable.Param.makeUnsafe(Tensor.array([1]), { hasRef: true })
      const raw = (yield* Variable.getRawValue(v)) as Variable.ArrayRef<Tensor.Tensor>
      const w = yield* Variable.BatchStat.fromRef(raw)
      const exit = yield* Effect.exit(
        GraphDef.splitContext(({ split }) => Effect.all([split(new Node({ v })), split(new Node({ w }))]))
      )
      assert.include(String(exit), "AliasError")
      assert.include(String(exit), "(an earlier value)")
    }))

  it.effect("A.087 nothing can be used after its end", () =>
    Effect.gen(function*() {
      const model = new Node({ v: param(1) })
      const parts = yield* GraphDef.split(model)
      const splitter = yield* GraphDef.splitContext(Effect.succeed)
      const merger = yield* GraphDef.mergeContext(Effect.succeed)
      const context = yield* updateContext("x", Effect.succeed)
      const errors = [
        yield* Effect.flip(splitter.split(model)),
        yield* Effect.flip(merger.merge(...parts)),
        yield* Effect.flip(context.split(model)),
        yield* Effect.flip(context.merge(...parts))
      ]
      assert.deepStrictEqual(errors.map(({ _tag }) => _tag), Array(4).fill("UpdateContextError"))
      assert.deepStrictEqual(errors.map(({ message }) => message.split(".")[0]), [
        "A splitContext was used after its end",
        "A mergeContext was used after its end",
        "An update context was used after its end",
        "An update context was used after its end"
      ])
      const failed = yield* Effect.exit(updateContext("x", (inner) => Effect.fail(inner)))
      assert.isTrue(Exit.isFailure(failed))
    }))

  it.effect("A.087 contexts belong to the fiber in which they are made, and to those that it forks", () =>
    Effect.gen(function*() {
      const look = Effect.result(currentUpdateContext("x"))
      const found = yield* Effect.all(
        [updateContext("x")(Effect.andThen(Effect.yieldNow, look)), look, updateContext("x")(look)],
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(found.map(({ _tag }) => _tag), ["Success", "Failure", "Success"])
      yield* updateContext("x", (context) =>
        Effect.gen(function*() {
          const fiber = yield* Effect.forkChild(currentUpdateContext("x"))
          assert.strictEqual(yield* Fiber.join(fiber), context)
        }))
    }))
})
