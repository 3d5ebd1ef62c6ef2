// jit: what is traced again and what comes from the cache, what captured and shared Variables mean, and how structure
// changes inside reach the objects outside.
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Ref from "effect/Ref"
import * as Cpu from "../../src/Backend/Tfjs/Cpu/index.ts"
import { deleteAttribute, setAttribute } from "../../src/GraphDef/index.ts"
import { Module } from "../../src/Ref/Module.ts"
import { Param, type Variable } from "../../src/Ref/Variable.ts"
import * as T from "../../src/Tensor/index.ts"
import type { Tensor } from "../../src/Tensor/Tensor.ts"
import { cond, grad, jit, vmap } from "../../src/Transform/index.ts"
import { Count, expectClose, expectEqual, f32, failsWith, i32, Other, Pair, Unit } from "./common.ts"

class Empty extends Module("Empty")<object> {}

const double = (x: Tensor) => Effect.succeed(x.mul(2))

layer(Cpu.layer)("jit retraces", (it) => {
  it.effect("once for equal shapes, dtypes and structure", () =>
    Effect.gen(function*() {
      const f = jit(double)
      yield* expectEqual(yield* f(f32([1, 2])), [2, 4])
      yield* expectEqual(yield* f(f32([3, 4])), [6, 8])
      assert.strictEqual(f.traces(), 1)
    }))

  it.effect("for a new shape, dtype or weak type, and knows the old ones still", () =>
    Effect.gen(function*() {
      const f = jit(double)
      const inputs = [f32([1, 2]), f32([1, 2, 3]), f32([[1, 2]]), i32([1, 2]), T.lift(2), T.lift(2.5), f32(2)]
      for (const x of inputs) yield* f(x)
      assert.strictEqual(f.traces(), inputs.length)
      for (const x of inputs) yield* f(x)
      assert.strictEqual(f.traces(), inputs.length)
    }))

  it.effect("for a new static value", () =>
    Effect.gen(function*() {
      const f = jit((x: Tensor, options: { readonly times: number; readonly name?: string }) =>
        Effect.succeed(x.mul(options.times))
      )
      yield* expectEqual(yield* f(f32(1), { times: 2 }), 2)
      yield* expectEqual(yield* f(f32(1), { times: 3 }), 3)
      yield* expectEqual(yield* f(f32(5), { times: 2 }), 10)
      assert.strictEqual(f.traces(), 2)
      yield* f(f32(5), { times: 2, name: "x" })
      assert.strictEqual(f.traces(), 3)
    }))

  it.effect("not for equal static objects: plain ones count by their contents, functions by identity", () =>
    Effect.gen(function*() {
      const f = jit((
        x: Tensor,
        config: { readonly sizes: ReadonlyArray<number>; readonly act: (x: Tensor) => Tensor }
      ) => Effect.succeed(config.act(x).mul(config.sizes[1])))
      const act = (x: Tensor) => x.neg()
      yield* expectEqual(yield* f(f32(1), { sizes: [1, 2], act }), -2)
      yield* expectEqual(yield* f(f32(1), { act, sizes: [1, 2] }), -2)
      assert.strictEqual(f.traces(), 1)
      yield* expectEqual(yield* f(f32(1), { sizes: [1, 3], act }), -3)
      assert.strictEqual(f.traces(), 2)
      yield* expectEqual(yield* f(f32(1), { sizes: [1, 2], act: (x: Tensor) => x.neg() }), -2)
      assert.strictEqual(f.traces(), 3)
    }))

  it.effect("for each of a thousand static values, once", () =>
    Effect.gen(function*() {
      const [f, u] = [jit((m: Unit, n: number) => Effect.map(Ref.get(m.w), (w) => w.mul(n))), Unit.make(2)]
      for (let round = 0; round < 2; round++) for (let n = 0; n < 1000; n++) yield* f(u, n)
      assert.strictEqual(f.traces(), 1000)
      yield* expectEqual(yield* f(u, 7), 14)
    }))

  it.effect("for a new static argument, which cannot hold arrays, Variables or Modules", () =>
    Effect.gen(function*() {
      const times = (x: Tensor, config: unknown) => Effect.sync(() => x.mul((config as { readonly by: number }).by))
      const f = jit(times, { staticArgnums: 1 })
      yield* expectEqual(yield* f(f32(2), { by: 3 }), 6)
      yield* expectEqual(yield* f(f32(5), { by: 3 }), 15)
      assert.strictEqual(f.traces(), 1)
      yield* expectEqual(yield* f(f32(5), { by: 4 }), 20)
      assert.strictEqual(f.traces(), 2)
      const refused = [
        [{ by: f32(3) }, /jit\(times\): argument 1 is static, but holds an array \(f32\[\]\) at 1\/by/],
        [Unit.make(1), /holds a Variable \(Count\) at 1\/n/],
        [new Empty({}), /holds a Module at 1/]
      ] as const
      for (const [value, message] of refused) {
        assert.match((yield* failsWith(f(f32(1), value), "TraceError")).message, message)
        assert.match((yield* failsWith(jit((x: Tensor) => f(x, value))(f32(1)), "TraceError")).message, message)
      }
      yield* failsWith(f(f32(1), new Float32Array(2)), "StructureError")
      yield* failsWith(jit(times, { staticArgnums: [-1] })(f32(1), f32(1)), "TraceError")
      assert.strictEqual(f.traces(), 2)
    }))

  it.effect("for another structure of a tree, once each", () =>
    Effect.gen(function*() {
      const f = jit((tree: { readonly [key: string]: Tensor }) =>
        Effect.succeed(Object.values(tree).reduce((a, b) => a.add(b)))
      )
      for (let i = 0; i < 2; i++) {
        yield* expectEqual(yield* f({ a: f32(1), b: f32(2) }), 3)
        yield* expectEqual(yield* f({ b: f32(2), a: f32(1) }), 3)
        yield* expectEqual(yield* f({ a: f32(1), c: f32(2), b: f32(3) }), 6)
      }
      assert.strictEqual(f.traces(), 2)
    }))

  it.effect("for a Variable whose value or metadata has changed its form, not for a new value", () =>
    Effect.gen(function*() {
      const f = jit((v: Variable<"Param", Tensor>) => Effect.map(Ref.get(v), (x) => x.sum()))
      const v = Param.makeUnsafe(f32([1, 2]))
      yield* expectEqual(yield* f(v), 3)
      yield* Ref.set(v, f32([5, 5]))
      yield* expectEqual(yield* f(v), 10)
      assert.strictEqual(f.traces(), 1)
      yield* Ref.set(v, f32([1, 2, 3]))
      yield* expectEqual(yield* f(v), 6)
      assert.strictEqual(f.traces(), 2)
      yield* f(Param.makeUnsafe(f32([1, 2]), { metadata: { sharding: "x" } }))
      assert.strictEqual(f.traces(), 3)
      yield* f(Param.makeUnsafe(f32([1, 2]), { metadata: { sharding: "x" } }))
      assert.strictEqual(f.traces(), 3)
    }))

  it.effect("when a captured Variable has changed its shape", () =>
    Effect.gen(function*() {
      const v = Param.makeUnsafe(f32([1, 2]))
      const f = jit((x: Tensor) => Effect.map(Ref.get(v), (y) => y.mul(x).sum()))
      yield* expectEqual(yield* f(f32(2)), 6)
      yield* Ref.set(v, f32([10, 20]))
      yield* expectEqual(yield* f(f32(2)), 60)
      assert.strictEqual(f.traces(), 1)
      yield* Ref.set(v, f32([1, 1, 1]))
      yield* expectEqual(yield* f(f32(2)), 6)
      assert.strictEqual(f.traces(), 2)
    }))

  it.effect("for fields set outside between calls", () =>
    Effect.gen(function*() {
      const m = Pair.of(Unit.make(1), Unit.make(2))
      const f = jit((p: Pair) => Effect.map(Ref.get(p.a.w), (w) => w.mul(10)))
      yield* expectEqual(yield* f(m), 10)
      yield* setAttribute(m, "a", m.b)
      yield* expectEqual(yield* f(m), 20)
      assert.strictEqual(f.traces(), 2)
      yield* expectEqual(yield* f(m), 20)
      assert.strictEqual(f.traces(), 2)
    }))
})

layer(Cpu.layer)("jit and Variables", (it) => {
  it.effect("captured ones are read and written at every call", () =>
    Effect.gen(function*() {
      const n = Count.makeUnsafe(i32(0))
      const f = jit((x: Tensor) =>
        Effect.gen(function*() {
          yield* Ref.update(n, (k) => k.add(1))
          return x.mul((yield* Ref.get(n)).astype("float32"))
        })
      )
      yield* expectEqual(yield* f(f32(10)), 10)
      yield* expectEqual(yield* f(f32(10)), 20)
      yield* Ref.set(n, i32(6))
      yield* expectEqual(yield* f(f32(10)), 70)
      yield* expectEqual(yield* Ref.get(n), 7)
      assert.strictEqual(f.traces(), 1)
    }))

  it.effect("one that is passed twice is one inside (F.001)", () =>
    Effect.gen(function*() {
      const seen: Array<boolean> = []
      const f = jit((a: Variable<"Param", Tensor>, b: Variable<"Param", Tensor>) =>
        Effect.gen(function*() {
          seen.push(a === b)
          yield* Ref.update(a, (x) => x.add(1))
          return yield* Ref.get(b)
        })
      )
      const v = Param.makeUnsafe(f32(1))
      const w = Param.makeUnsafe(f32(1))
      yield* expectEqual(yield* f(v, v), 2)
      yield* expectEqual(yield* f(v, w), 1)
      yield* expectEqual(yield* Ref.get(v), 3)
      assert.deepStrictEqual(seen, [true, false])
      yield* f(w, w)
      assert.strictEqual(f.traces(), 2)
    }))

  it.effect("one that is passed by itself and inside two Modules is one (F.001, F.002)", () =>
    Effect.gen(function*() {
      const shared = Unit.make(3)
      const p = Pair.of(shared, shared)
      const f = jit((v: Variable<"Param", Tensor>, m: Pair, other: { readonly u: Unit }) =>
        Effect.gen(function*() {
          assert.strictEqual<unknown>(m.a, m.b)
          assert.strictEqual<unknown>(m.a, other.u)
          assert.strictEqual<unknown>(v, m.a.w)
          yield* Ref.set(v, f32(5))
          return (yield* Ref.get(m.a.w)).add(yield* Ref.get(other.u.w))
        })
      )
      yield* expectEqual(yield* f(shared.w, p, { u: shared }), 10)
      yield* expectEqual(yield* Ref.get(p.b.w), 5)
    }))

  it.effect("an argument that is captured too is one, and another argument is not taken for it", () =>
    Effect.gen(function*() {
      const m = Unit.make(1)
      const other = Unit.make(100)
      const f = jit((u: Unit) =>
        Effect.gen(function*() {
          yield* Ref.update(u.w, (w) => w.add(1))
          return yield* Ref.get(m.w)
        })
      )
      yield* expectEqual(yield* f(m), 2)
      yield* expectEqual(yield* f(other), 2)
      yield* expectEqual(yield* f(m), 3)
      yield* expectEqual(yield* f(other), 3)
      assert.strictEqual(f.traces(), 2)
      yield* expectEqual(yield* Ref.get(other.w), 102)
    }))

  it.effect("hold trees", () =>
    Effect.gen(function*() {
      const v = Param.makeUnsafe<{ readonly a: Tensor; readonly b: ReadonlyArray<Tensor> }>({ a: f32(1), b: [f32(2)] })
      const f = jit((u: typeof v) => Ref.update(u, ({ a, b }) => ({ a: a.add(1), b: b.map((x) => x.mul(2)) })))
      yield* f(v)
      yield* f(v)
      assert.strictEqual(f.traces(), 1)
      const now = yield* Ref.get(v)
      yield* expectEqual(now.a, 3)
      yield* expectEqual(now.b[0], 8)
      yield* Ref.set(v, { a: f32(1), b: [f32(2), f32(3)] })
      yield* f(v)
      assert.strictEqual(f.traces(), 2)
      yield* expectEqual((yield* Ref.get(v)).b[1], 6)
    }))

  it.effect("of a nested jit are those of the outer one", () =>
    Effect.gen(function*() {
      const m = Unit.make(2)
      const inner = jit((u: Unit, x: Tensor) =>
        Effect.gen(function*() {
          yield* Ref.update(u.n, (n) => n.add(1))
          yield* Ref.update(m.w, (w) => w.add(x))
          return yield* Ref.get(u.w)
        })
      )
      const outer = jit((u: Unit, x: Tensor) =>
        Effect.gen(function*() {
          const a = yield* inner(u, x)
          const b = yield* inner(u, x)
          return a.mul(100).add(b)
        })
      )
      yield* expectEqual(yield* outer(m, f32(1)), 304)
      yield* expectEqual(yield* Ref.get(m.n), 2)
      yield* expectEqual(yield* Ref.get(m.w), 4)
      const apart = Unit.make(7)
      yield* expectEqual(yield* outer(apart, f32(1)), 707)
      yield* expectEqual(yield* Ref.get(m.w), 6)
      yield* expectEqual(yield* Ref.get(apart.n), 2)
    }))
})

layer(Cpu.layer)("jit and structure", (it) => {
  const swapped = jit((p: Pair<unknown, unknown>) =>
    Effect.gen(function*() {
      const { a, b } = p
      yield* setAttribute(p, "a", b)
      yield* setAttribute(p, "b", a)
    })
  )

  it.effect("a swap of two types reaches the objects outside: traced 1, 2, 2, 2 times (F.007, F.008)", () =>
    Effect.gen(function*() {
      const [a, b] = [Unit.make(1), Other.make(2)]
      const p = Pair.of<unknown, unknown>(a, b)
      const before = swapped.traces()
      for (const traces of [1, 2, 2, 2]) {
        const [was, other] = [p.a, p.b]
        yield* swapped(p)
        assert.strictEqual(p.a, other)
        assert.strictEqual(p.b, was)
        assert.strictEqual(swapped.traces() - before, traces)
      }
      yield* expectEqual(yield* Ref.get(a.w), 1)
      yield* expectEqual(yield* Ref.get(b.w), 2)
    }))

  it.effect("a swap of one type is never traced again", () =>
    Effect.gen(function*() {
      const [a, b] = [Unit.make(1), Unit.make(2)]
      const p = Pair.of<unknown, unknown>(a, b)
      const before = swapped.traces()
      for (let i = 0; i < 3; i++) yield* swapped(p)
      assert.strictEqual(swapped.traces() - before, 1)
      assert.strictEqual(p.a, b)
      assert.strictEqual(p.b, a)
      yield* expectEqual(yield* Ref.get(a.w), 1)
    }))

  it.effect("new attributes, removed ones and cycles", () =>
    Effect.gen(function*() {
      const m = Unit.make(1)
      const add = jit((u: Unit) => setAttribute(u, "extra", Param.makeUnsafe(f32([1, 2]))))
      yield* add(m)
      const { extra } = m as unknown as { readonly extra: Variable<"Param", Tensor> }
      yield* expectEqual(yield* Ref.get(extra), [1, 2])
      yield* Ref.set(extra, f32([3, 4]))
      assert.strictEqual(add.traces(), 1)
      const remove = jit((u: Unit) => deleteAttribute(u, "extra"))
      yield* remove(m)
      assert.isFalse("extra" in m)
      const cycle = jit((u: Unit) => setAttribute(u, "self", u))
      for (const traces of [1, 2, 2]) {
        yield* cycle(m)
        assert.strictEqual<unknown>((m as unknown as { readonly self: Unit }).self, m)
        assert.strictEqual(cycle.traces(), traces)
      }
    }))

  it.effect("an argument that is returned is the argument; new Modules are new and belong to nobody", () =>
    Effect.gen(function*() {
      const m = Pair.of(Unit.make(1), Unit.make(2))
      const f = jit((p: Pair) =>
        Effect.gen(function*() {
          yield* Ref.update(p.b.w, (w) => w.add(1))
          const fresh = Unit.make(7)
          yield* Ref.update(fresh.w, (w) => w.add(1))
          return { same: p, inner: p.b, fresh, both: Pair.of(fresh, p.a) }
        })
      )
      for (let i = 0; i < 2; i++) {
        const out = yield* f(m)
        assert.strictEqual(out.same, m)
        assert.strictEqual(out.inner, m.b)
        assert.strictEqual(out.both.a, out.fresh)
        assert.strictEqual(out.both.b, m.a)
        yield* Ref.update(out.fresh.w, (w) => w.mul(2))
        yield* expectEqual(yield* Ref.get(out.fresh.w), 16)
      }
      assert.strictEqual(f.traces(), 1)
      yield* expectEqual(yield* Ref.get(m.b.w), 4)
    }))

  it.effect("what is captured and comes back is itself (F.005), with its value now", () =>
    Effect.gen(function*() {
      const [m, u] = [Unit.make(1), Unit.make(5)]
      const f = jit((x: Unit) =>
        Effect.gen(function*() {
          yield* Ref.update(m.w, (w) => w.add(1))
          yield* setAttribute(x, "friend", m)
          return { m, w: m.w, pair: Pair.of(m, x) }
        })
      )
      for (const now of [2, 3, 4]) {
        const out = yield* f(u)
        assert.strictEqual(out.m, m)
        assert.strictEqual(out.w, m.w)
        assert.strictEqual(out.pair.a, m)
        assert.strictEqual(out.pair.b, u)
        assert.strictEqual((u as unknown as { readonly friend: Unit }).friend, m)
        yield* expectEqual(yield* Ref.get(m.w), now)
      }
      const nested = jit((x: Tensor) =>
        Effect.flatMap(jit((y: Tensor) => Effect.succeed([m, y] as const))(x), ([n]) => Ref.get(n.w))
      )
      yield* expectEqual(yield* nested(f32(0)), 4)
      yield* Ref.set(m.w, f32(9))
      yield* expectEqual(yield* nested(f32(0)), 9)
      assert.strictEqual(
        yield* vmap((x: Tensor) => Effect.succeed([m, x] as const), { outAxes: [null, 0] })(f32([1])).pipe(
          Effect.map(([n]) => n)
        ),
        m
      )
      yield* failsWith(vmap((x: Tensor) => Effect.succeed([m, x] as const))(f32([1])), "TraceError")
      assert.strictEqual(yield* cond(true, () => Effect.succeed(m), () => Effect.succeed(m)), m)
      yield* failsWith(cond(true, () => Effect.succeed(m), () => Effect.succeed(u)), "StructureError")
    }))

  it.effect("Effect's own machinery works inside: concurrency, forks, retries, many steps", () =>
    Effect.gen(function*() {
      const m = Unit.make(0)
      const f = jit((x: Tensor) =>
        Effect.gen(function*() {
          const add = Ref.updateAndGet(m.w, (w) => w.add(x))
          const all = yield* Effect.all([add, add, add], { concurrency: "unbounded" })
          const fiber = yield* Effect.forkChild(add)
          const last = yield* Fiber.join(fiber)
          let n = 0
          yield* Effect.retry(Effect.suspend(() => n++ < 2 ? Effect.fail("again") : Effect.void), { times: 5 })
          for (let i = 0; i < 5000; i++) yield* Effect.yieldNow
          return [...all, last]
        })
      )
      const out = yield* f(f32(1))
      yield* expectEqual(T.stack(out), [1, 2, 3, 4])
      yield* expectEqual(yield* Ref.get(m.w), 4)
    }))

  it.effect("results are any tree, with static values", () =>
    Effect.gen(function*() {
      const f = jit((x: Tensor) =>
        Effect.succeed({ x, list: [x.add(1), "name", { n: 3 }] as const, nothing: null, act: Math.abs })
      )
      for (let i = 0; i < 2; i++) {
        const out = yield* f(f32([1, 2]))
        yield* expectEqual(out.x, [1, 2])
        yield* expectEqual(out.list[0], [2, 3])
        assert.deepStrictEqual(out.list[1], "name")
        assert.deepStrictEqual(out.list[2], { n: 3 })
        assert.strictEqual(out.nothing, null)
        assert.strictEqual(out.act, Math.abs)
      }
    }))

  it.effect("a function that does nothing needs no run", () =>
    Effect.gen(function*() {
      const m = Unit.make(1)
      const f = jit((u: Unit) => Effect.succeed(u))
      assert.strictEqual(yield* f(m), m)
      assert.strictEqual(yield* f(m), m)
      assert.strictEqual(f.traces(), 1)
    }))

  it.effect("agrees with the function itself", () =>
    Effect.gen(function*() {
      const f = (u: Unit, x: Tensor) =>
        Effect.gen(function*() {
          const loss = (v: Unit) => Effect.map(Ref.get(v.w), (w) => w.mul(x).tanh().sum())
          const g = yield* grad(loss)(u)
          yield* Ref.update(u.w, (w) => w.sub(g.w.value.mul(0.5)))
          return yield* loss(u)
        })
      const [a, b] = [Unit.make([1, -2, 0.5]), Unit.make([1, -2, 0.5])]
      const step = jit(f)
      for (let i = 0; i < 5; i++) {
        const [x, y] = [yield* f(a, f32([1, 2, 3])), yield* step(b, f32([1, 2, 3]))]
        yield* expectClose(x.sub(y), 0, { atol: 1e-6 })
      }
      yield* expectClose((yield* Ref.get(a.w)).sub(yield* Ref.get(b.w)), [0, 0, 0], { atol: 1e-6 })
      assert.strictEqual(step.traces(), 1)
    }))
})
