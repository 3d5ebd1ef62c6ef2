// Where a naive graph system is wrong: aliases, joint numbering, identity, retraces, sorting, fibers.
import { assert, describe, it, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Fiber from "effect/Fiber"
import * as Hash from "effect/Hash"
import * as Ref from "effect/Ref"
import "../../src/Tensor/install.ts"
import type { Backend } from "../../src/Backend/Backend.ts"
import * as Cpu from "../../src/Backend/Tfjs/Cpu/index.ts"
import * as GraphDef from "../../src/GraphDef/index.ts"
import { flattener } from "../../src/GraphDef/updateContext.ts"
import { Module } from "../../src/Ref/Module.ts"
import * as Variable from "../../src/Ref/Variable.ts"
import { Filter } from "../../src/State/index.ts"
import * as States from "../../src/State/index.ts"
import * as Tensor from "../../src/Tensor.ts"
import { jit, vmap } from "../../src/Transform/index.ts"
import { BatchNorm, Linear, Node, zeros } from "../support/models.ts"
import { Other, Pair, Unit } from "../Transform/common.ts"

type Param = Variable.Variable<"Param", Tensor.Tensor>

const param = (...values: ReadonlyArray<number>) => Variable.Param.makeUnsafe(Tensor.array(values))

/** The elements of a Variable. */
const read = (variable: unknown) => Effect.flatMap(Ref.get(variable as Param), Tensor.toNested)

layer(Cpu.layer)("aliases", (it) => {
  it.effect("F.001 a Variable that is given twice is one inside, with one place in the State", () =>
    Effect.gen(function*() {
      const [v1, v2] = [param(1), param(2)]
      const f = jit((vs: ReadonlyArray<Param>) =>
        Effect.gen(function*() {
          assert.strictEqual(vs[0], vs[1])
          assert.notStrictEqual(vs[0], vs[2])
          yield* Ref.update(vs[0], (x) => x.add(10))
          yield* Ref.update(vs[1], (x) => x.add(10))
        })
      )
      yield* f([v1, v1, v2])
      assert.deepStrictEqual<unknown>([yield* read(v1), yield* read(v2)], [[21], [2]])
      assert.strictEqual(States.length(yield* GraphDef.state([v1, v1, v2])), 2)
    }))

  it.effect("F.001 alone and inside of a Module, one Module twice, across arguments", () =>
    Effect.gen(function*() {
      const m = Unit.make([1])
      const f = jit((a: Unit, w: Unit["w"], pair: { readonly x: Unit; readonly y: Unit }) =>
        Effect.gen(function*() {
          assert.strictEqual(a.w, w)
          assert.strictEqual(pair.x, a)
          assert.strictEqual(pair.y, a)
          yield* Ref.update(w, (x) => x.mul(3))
          return pair.x
        })
      )
      assert.strictEqual(yield* f(m, m.w, { x: m, y: m }), m)
      assert.deepStrictEqual<unknown>(yield* read(m.w), [3])
      // Different objects in the same places are another structure.
      const other = Unit.make([1])
      const g = jit((a: Unit, b: Unit) => Effect.succeed(Tensor.array(a === b ? 1 : 0)))
      assert.deepStrictEqual(
        yield* Effect.forEach([[m, m], [m, other], [other, other]] as const, ([a, b]) =>
          Effect.flatMap(g(a, b), Tensor.item)),
        [1, 0, 1]
      )
      assert.strictEqual(g.traces(), 2)
    }))

  it.effect("F.002 indices run through all arguments, and prefixes follow the leaves that they name", () =>
    Effect.gen(function*() {
      const [a, b] = [param(1, 2), param(10, 20)]
      const { graphdef, leaves } = flattener()([b, { first: a, again: b }, [a]])
      assert.strictEqual(
        String(graphdef),
        `GraphDef List
  0: Param(index=0)
  1: Dict
    again: Ref(index=0)
    first: Param(index=1)
  2: List
    0: Ref(index=1)`
      )
      assert.deepStrictEqual(leaves.map(({ path }) => path.join("/")), ["0", "1/first"])
      const f = vmap(
        (x: { readonly a: Param; readonly b: Param }, y: Param, z: Param) =>
          Effect.gen(function*() {
            yield* Ref.update(z, (v) => v.add(1))
            return (yield* Ref.get(x.a)).add(yield* Ref.get(y))
          }),
        { inAxes: [{ a: 0, b: 0 }, 0, 0] }
      )
      assert.deepStrictEqual<unknown>(yield* Tensor.toNested(yield* f({ a, b }, b, a)), [12, 23])
      assert.deepStrictEqual<unknown>([yield* read(a), yield* read(b)], [[2, 3], [10, 20]])
    }))
})

layer(Cpu.layer)("identity", (it) => {
  it.effect("F.007 a swap inside swaps the outer objects, whose contents stay", () =>
    Effect.gen(function*() {
      const [a, b] = [Unit.make([1]), Other.make([2])]
      const m = Pair.of<unknown, unknown>(a, b)
      const wb = b.w
      const swap = jit((inner: Pair<unknown, unknown>) =>
        Effect.gen(function*() {
          const [x, y] = [inner.a, inner.b]
          yield* GraphDef.setAttribute(inner, "a", y)
          yield* GraphDef.setAttribute(inner, "b", x)
        })
      )
      yield* swap(m)
      assert.strictEqual(m.a, b)
      assert.strictEqual(m.b, a)
      assert.strictEqual(b.w, wb)
      assert.deepStrictEqual<unknown>([yield* read(a.w), yield* read(b.w)], [[1], [2]])
    }))

  it.effect("F.007 new fields and submodules, deletions, cycles and moves between arguments", () =>
    Effect.gen(function*() {
      const child = new Node({ w: param(1) })
      const [m, n] = [new Node({ child, gone: param(5), cache: Variable.Cache.makeUnsafe(zeros(1)) }), new Node({})]
      const f = jit((m: Node, n: Node) =>
        Effect.gen(function*() {
          yield* GraphDef.setAttribute(m, "self", m)
          yield* GraphDef.setAttribute(m, "static", "new")
          yield* GraphDef.setAttribute(m["child"] as Node, "parent", m)
          yield* GraphDef.setAttribute(m, "sub", new Node({ w: param(7), child: m["child"] }))
          yield* GraphDef.deleteAttribute(m, "gone")
          yield* GraphDef.pop(m, Variable.Cache)
          yield* GraphDef.setAttribute(n, "child", m["child"])
          yield* GraphDef.deleteAttribute(m, "child")
          return { found: n["child"] }
        })
      )
      const out = yield* f(m, n)
      assert.deepStrictEqual(Object.keys(m).toSorted(), ["self", "static", "sub"])
      assert.deepStrictEqual([m["self"], m["static"], n["child"], out.found], [m, "new", child, child])
      assert.strictEqual(n["child"], child)
      assert.strictEqual(child["parent"], m)
      assert.strictEqual((m["sub"] as Node)["child"], child)
      assert.deepStrictEqual<unknown>(yield* read((m["sub"] as Node)["w"]), [7])
    }))
})

layer(Cpu.layer)("retraces", (it) => {
  const counting = <A extends ReadonlyArray<unknown>>(
    f: (...args: A) => Effect.Effect<unknown, GraphDef.UpdateError>
  ) => jit((...args: A) => Effect.asVoid(f(...args)))

  const swap = (inner: Pair<unknown, unknown>) =>
    Effect.gen(function*() {
      const [x, y] = [inner.a, inner.b]
      yield* GraphDef.setAttribute(inner, "a", y)
      yield* GraphDef.setAttribute(inner, "b", x)
    })

  const traces = <A>(
    f: ((m: A) => Effect.Effect<void, unknown, Backend>) & { readonly traces: () => number },
    m: A
  ) =>
    Effect.gen(function*() {
      const counts: Array<number> = []
      for (let i = 0; i < 4; i++) {
        yield* f(m)
        counts.push(f.traces())
      }
      return counts
    })

  it.effect("F.008 a swap of different types: once for each order, then from the cache", () =>
    Effect.gen(function*() {
      const m = Pair.of<unknown, unknown>(Unit.make([1]), Other.make([2]))
      assert.deepStrictEqual(yield* traces(counting(swap), m), [1, 2, 2, 2])
      assert.instanceOf(m.a, Unit)
    }))

  it.effect("F.008 a swap of one type: once", () =>
    Effect.gen(function*() {
      const m = Pair.of<unknown, unknown>(Unit.make([1]), Unit.make([2]))
      const a = m.a
      assert.deepStrictEqual(yield* traces(counting(swap), m), [1, 1, 1, 1])
      assert.strictEqual(m.a, a)
    }))

  it.effect("F.008 a reference to itself: when it is new, and once more when it is there", () =>
    Effect.gen(function*() {
      const m = new Node({ w: param(1) })
      const f = counting((inner: Node) => GraphDef.setAttribute(inner, "ref", inner))
      assert.deepStrictEqual(yield* traces(f, m), [1, 2, 2, 2])
      assert.strictEqual(m["ref"], m)
    }))

  it.effect("F.008 equal models, new values: once; a new field: once more", () =>
    Effect.gen(function*() {
      const f = jit((m: Node) => Ref.get(m["w"] as Param))
      const [m, twin] = [new Node({ w: param(1) }), new Node({ w: param(5) })]
      const counts: Array<number> = []
      yield* f(m)
      counts.push(f.traces())
      yield* Ref.set(m["w"] as Param, Tensor.array([3]))
      assert.deepStrictEqual<unknown>(yield* Tensor.toNested(yield* f(m)), [3])
      counts.push(f.traces())
      assert.deepStrictEqual<unknown>(yield* Tensor.toNested(yield* f(twin)), [5])
      counts.push(f.traces())
      yield* GraphDef.setAttribute(m, "more", param(2))
      yield* f(m)
      counts.push(f.traces())
      assert.deepStrictEqual(counts, [1, 1, 1, 2])
    }))

  it.effect("F.009 the key has structure, statics and metadata; no identities, no values, no context objects", () =>
    Effect.gen(function*() {
      const make = (w: number, rate: number, tag: string) =>
        new Node({ w: Variable.Param.makeUnsafe(Tensor.array([w]), { metadata: { tag } }), rate })
      const f = jit((m: Node) => Ref.update(m["w"] as Param, (x) => x.mul(m["rate"] as number)))
      for (const m of [make(1, 2, "a"), make(5, 2, "a"), make(1, 2, "a")]) yield* f(m)
      assert.strictEqual(f.traces(), 1)
      for (const m of [make(1, 3, "a"), make(1, 2, "b"), make(1, 2, "a")]) yield* f(m)
      assert.strictEqual(f.traces(), 3)
      const contexts = yield* Effect.all([
        GraphDef.updateContext("x", Effect.succeed),
        GraphDef.updateContext("y", Effect.succeed)
      ])
      assert.isTrue(Equal.equals(contexts[0], contexts[1]))
      assert.strictEqual(Hash.hash(contexts[0]), Hash.hash(contexts[1]))
    }))

  it.effect("F.010 lists among the statics hash and compare; equal ones do not retrace, others do", () =>
    Effect.gen(function*() {
      const make = (names: ReadonlyArray<string>) =>
        new Node({ names, wrapped: GraphDef.Static([...names]), w: param(1) })
      const [one, same, other] = yield* Effect.all(
        [["a", "b"], ["a", "b"], ["a", "c"]].map((names) => GraphDef.graphdef(make(names)))
      )
      assert.strictEqual(Hash.hash(one), Hash.hash(same))
      assert.isTrue(Equal.equals(one, same))
      assert.isFalse(Equal.equals(one, other))
      const f = jit((m: Node) =>
        Effect.map(Ref.get(m["w"] as Param), (x) => x.mul((m["names"] as Array<string>).length))
      )
      for (const names of [["a", "b"], ["a", "b"], ["a", "c"], ["a", "b"]]) yield* f(make(names))
      assert.strictEqual(f.traces(), 2)
      // Objects that compare by identity are other statics each time, and say so by retracing: no wrong answer.
      const g = jit((x: Tensor.Tensor, at: { readonly date: Date }) => Effect.succeed(x.add(at.date.getTime())))
      assert.strictEqual(yield* Tensor.item(yield* g(Tensor.array(1), { date: new Date(1) })), 2)
      assert.strictEqual(yield* Tensor.item(yield* g(Tensor.array(1), { date: new Date(5) })), 6)
    }))
})

describe("sharing", () => {
  it.effect("F.027 nodes and Variables once; arrays and plain containers as often as they are met", () =>
    Effect.gen(function*() {
      const [x, v] = [zeros(2), param(1)]
      const dict = { x, v }
      const [graphdef, state] = yield* GraphDef.split([dict, 3, dict])
      assert.deepStrictEqual(States.paths(state).map((path) => path.join("/")), ["0/v", "0/x", "2/x"])
      const copy = yield* GraphDef.merge(graphdef, state)
      const [first, , last] = copy as ReadonlyArray<typeof dict>
      assert.notStrictEqual(first, last)
      assert.strictEqual(first.v, last.v)
      const node = new Node(dict)
      const shared = yield* GraphDef.clone([node, 3, node])
      assert.strictEqual(shared[0], shared[2])
      assert.strictEqual(States.length(yield* GraphDef.state([node, 3, node])), 2)
    }))

  it.effect("F.028 split gives snapshots; variables and merge of them share; clone and map copy", () =>
    Effect.gen(function*() {
      const model = Linear.makeUnsafe(1, 1)
      const [graphdef, snapshot] = yield* GraphDef.split(model)
      const live = yield* GraphDef.variables(model)
      const sharing = yield* GraphDef.merge(graphdef, live)
      const copies = [
        yield* GraphDef.merge(graphdef, snapshot),
        yield* GraphDef.clone(model),
        yield* GraphDef.merge(graphdef, States.mapTensors(snapshot, (x) => x))
      ]
      const now = zeros(1)
      yield* Ref.set(sharing.bias, now)
      assert.strictEqual(yield* Ref.get(model.bias), now)
      assert.strictEqual(yield* Ref.get(live.bias), now)
      for (const copy of copies) assert.notStrictEqual(yield* Ref.get(copy.bias), now)
      assert.notStrictEqual(snapshot.bias.value, now)
      assert.strictEqual(sharing.kernel, model.kernel)
    }))

  it.effect("F.029 update: States, plain objects, Variables and arrays; shared ones once; metadata joins, modes stay", () =>
    Effect.gen(function*() {
      const shared = Variable.Param.makeUnsafe(zeros(1), { metadata: { a: 1, b: 1 } })
      const model = new Node({ x: shared, y: shared, z: zeros(2), n: BatchNorm.makeUnsafe(1) })
      const [one, two, three] = [zeros(1), zeros(1), zeros(2)]
      yield* GraphDef.update(model, { y: one, z: three })
      assert.strictEqual(yield* Ref.get(shared), one)
      assert.strictEqual(model["z"], three)
      const given = Variable.Param.makeUnsafe(two, { metadata: { b: 2, c: 2 }, isHijax: true })
      yield* GraphDef.update(model, { x: given })
      assert.strictEqual(yield* Ref.get(model["y"] as Param), two)
      assert.deepStrictEqual(shared.metadata, { a: 1, b: 2, c: 2 })
      assert.isFalse(shared.isHijax)
      const frozen = yield* GraphDef.immutable(new Node({ n: model["n"] }))
      yield* GraphDef.update(new Node({ n: model["n"] }), yield* GraphDef.state(frozen))
      assert.isTrue((model["n"] as BatchNorm).mean.isMutable)
      const refused = yield* Effect.flip(GraphDef.update(frozen, { n: { mean: zeros(1) } }))
      assert.strictEqual(refused._tag, "ImmutableVariableError")
    }))

  it.effect("F.030 pop removes the first path of a shared Variable, the second remains", () =>
    Effect.gen(function*() {
      const v = Variable.Cache.makeUnsafe(zeros(1))
      const model = new Node({ a: new Node({ v }), b: v })
      const popped = yield* GraphDef.pop(model, Variable.Cache)
      assert.deepStrictEqual(States.paths(popped), [["a", "v"]])
      assert.deepStrictEqual(Object.keys(model["a"] as Node), [])
      assert.strictEqual(model["b"], v)
      assert.deepStrictEqual(States.paths(yield* GraphDef.state(model)), [["b"]])
    }))

  it.effect("F.031 attributes are sorted, positions by number; own nodes keep their order", () =>
    Effect.gen(function*() {
      const list = Array.from({ length: 12 }, (_, i) => param(i))
      const model = new Node({ z: 1, list, a: { "10": param(0), "9": param(0), b: param(0), B: param(0) } })
      assert.deepStrictEqual(
        States.paths(yield* GraphDef.state(model)).map((path) => path.join("/")),
        ["a/9", "a/10", "a/B", "a/b", ...list.map((_, i) => `list/${i}`)]
      )
      const copy = yield* GraphDef.clone(model)
      const values = yield* Effect.forEach(copy["list"] as ReadonlyArray<Param>, read)
      assert.deepStrictEqual<unknown>(values, list.map((_, i) => [i]))
      class Ordered {
        readonly pairs: ReadonlyArray<readonly [string, unknown]>
        constructor(pairs: ReadonlyArray<readonly [string, unknown]>) {
          this.pairs = pairs
        }
      }
      GraphDef.registerPytreeNodeType(Ordered, {
        flatten: ({ pairs }) => ({ keys: pairs.map(([key]) => key), values: pairs.map(([, value]) => value) }),
        unflatten: ({ keys, values }) => new Ordered(keys.map((key, i) => [String(key), values[i]] as const))
      })
      const ordered = yield* GraphDef.clone(new Ordered([["z", param(1)], ["a", 2]]))
      assert.deepStrictEqual(ordered.pairs.map(([key]) => key), ["z", "a"])
    }).pipe(Effect.provide(Cpu.layer)))

  it.effect("F.032 what a field is does not change behind one's back: containers are frozen copies", () =>
    Effect.gen(function*() {
      const ls: Array<unknown> = [1, 2]
      const model = new Node({ ls, nested: { deep: [3] } })
      // The caller's array is the caller's; the model's cannot be changed.
      ls.push(zeros(1))
      assert.deepStrictEqual(model["ls"], [1, 2])
      assert.throws(() => (model["ls"] as Array<unknown>).push(zeros(1)), TypeError)
      assert.throws(() => (model["nested"] as { readonly deep: Array<unknown> }).deep.push(zeros(1)), TypeError)
      assert.throws(() => Object.assign(model, { ls: [] }), TypeError)
      // Fields that a class declares are its own until the first traversal, and then part of the structure.
      class Counting extends Module("Counting")<{ readonly w: Param }> {
        count = 0
      }
      const counting = new Counting({ w: param(1) })
      counting.count = 2
      assert.include(String(yield* GraphDef.graphdef(counting)), "count: Static(2)")
      assert.throws(() => {
        counting.count = 3
      }, TypeError)
      yield* GraphDef.setAttribute(counting, "count", 4)
      assert.strictEqual(counting.count, 4)
      yield* GraphDef.setAttribute(model, "ls", [1, 2, zeros(1)])
      assert.deepStrictEqual(States.paths(yield* GraphDef.state(model)), [["ls", "2"]])
      // An array in something that is taken for static is an error, not a constant that is never trained.
      const hidden = yield* Effect.exit(GraphDef.split(new Node({ m: new Map([["w", zeros(1)]]) })))
      assert.include(String(hidden), "m: expected a Module, an array or a plain object, found Map that holds an array")
    }))
})

layer(Cpu.layer)("bound arguments and fibers", (it) => {
  it.effect("F.034 a function bound to a model: no walk, no retrace; values and structure are seen, both ways", () =>
    Effect.gen(function*() {
      const model = new Node({ w: param(2) })
      const step = jit((m: Node, x: Tensor.Tensor) =>
        Effect.gen(function*() {
          yield* Ref.update(m["w"] as Param, (w) => w.add(1))
          return (yield* Ref.get(m["w"] as Param)).mul(x)
        })
      )
      const bound = (x: Tensor.Tensor) => step(model, x)
      const run = (x: number) => Effect.flatMap(bound(Tensor.array([x])), Tensor.toNested)
      assert.deepStrictEqual<unknown>([yield* run(1), yield* run(10)], [[3], [40]])
      // A value that is written outside between calls.
      yield* Ref.set(model["w"] as Param, Tensor.array([100]))
      assert.deepStrictEqual<unknown>(yield* run(1), [101])
      assert.strictEqual(step.traces(), 1)
      assert.deepStrictEqual<unknown>(yield* read(model["w"]), [101])
      // A structure that is changed outside is not an error here: it is traced, once.
      yield* GraphDef.setAttribute(model, "more", 1)
      assert.deepStrictEqual<unknown>([yield* run(1), yield* run(1)], [[102], [103]])
      assert.strictEqual(step.traces(), 2)
      // The traversal of the bound part is the very same one from call to call.
      const flatten = flattener()
      const [first, second] = [flatten([model, Tensor.array([1])]), flatten([model, Tensor.array([2])])]
      assert.strictEqual(first.graphdef, second.graphdef)
      assert.strictEqual(first.objects, second.objects)
      // The same with the model captured: its Variables are read at each call.
      const captured = jit((x: Tensor.Tensor) => Effect.map(Ref.get(model["w"] as Param), (w) => w.mul(x)))
      yield* captured(Tensor.array([1]))
      yield* Ref.set(model["w"] as Param, Tensor.array([7]))
      assert.deepStrictEqual<unknown>(yield* Tensor.toNested(yield* captured(Tensor.array([2]))), [14])
      assert.strictEqual(captured.traces(), 1)
    }))

  it.effect("F.035 contexts belong to fibers: two at once do not meet, and any fiber may split", () =>
    Effect.gen(function*() {
      const round = (model: Node, tag: string) =>
        GraphDef.updateContext("same", (context) =>
          Effect.gen(function*() {
            const [graphdef, state] = yield* context.split(model, Filter.rest)
            yield* Effect.yieldNow
            assert.strictEqual(yield* GraphDef.currentUpdateContext("same"), context)
            const inner = yield* context.merge(graphdef, state)
            yield* Effect.yieldNow
            yield* GraphDef.setAttribute(inner, "tag", tag)
            const parts = yield* context.split(inner, Filter.rest)
            yield* Effect.yieldNow
            return yield* context.merge(...parts)
          }))
      const models = Array.from({ length: 8 }, (_, i) => new Node({ w: param(i) }))
      const out = yield* Effect.forEach(models, (model, i) => round(model, `t${i}`), { concurrency: "unbounded" })
      out.forEach((model, i) => {
        assert.strictEqual(model, models[i])
        assert.strictEqual(model["tag"], `t${i}`)
      })
      const other = yield* Effect.forkChild(GraphDef.split(models[0]))
      const [graphdef] = yield* Fiber.join(other)
      assert.isTrue(Equal.equals(graphdef, yield* GraphDef.graphdef(models[0])))
      // A context does not leak into fibers that were there before, nor outlive its Effect.
      const seen = yield* Effect.flip(GraphDef.currentUpdateContext("same"))
      assert.strictEqual(seen.reason, "No update context found for tag 'same'.")
    }))
})
