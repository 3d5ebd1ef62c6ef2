// Loops whose length is not known, and branches: against plain JavaScript, with Variables in closures and arguments.
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import { toNested } from "../../src/Backend/read.ts"
import * as Cpu from "../../src/Backend/Tfjs/Cpu/index.ts"
import { setAttribute } from "../../src/GraphDef/index.ts"
import * as T from "../../src/Tensor/index.ts"
import type { Tensor } from "../../src/Tensor/Tensor.ts"
import {
  Check,
  cond,
  foriLoop,
  jacfwd,
  jit,
  jvp,
  makeProgram,
  scan,
  switchCase,
  vmap,
  whileLoop
} from "../../src/Transform/index.ts"
import type { Numbers } from "../support/close.ts"
import { countOf, expectClose, expectEqual, f32, failsWith, i32, Pair, Unit } from "./common.ts"

layer(Cpu.layer)("whileLoop", (it) => {
  it.effect("runs until the condition fails: never, once, often", () =>
    Effect.gen(function*() {
      const f = (x: Tensor) => whileLoop((y) => Effect.succeed(y.lt(100)), (y) => Effect.succeed(y.mul(2)), x)
      const compiled = jit((x: Tensor) => f(x))
      for (const [from, to] of [[200, 200], [60, 120], [3, 192]]) {
        yield* expectEqual(yield* f(f32(from)), to)
        yield* expectEqual(yield* compiled(f32(from)), to)
      }
      assert.strictEqual(compiled.traces(), 1)
    }))

  it.effect("on trees, with captured arrays in the condition and the body", () =>
    Effect.gen(function*() {
      const f = jit((limit: Tensor, rate: Tensor) =>
        whileLoop(
          ({ x }) => Effect.succeed(x.sum().lt(limit)),
          ({ n, x }) => Effect.succeed({ x: x.mul(rate), n: n.add(1) }),
          { x: f32([1, 2]), n: i32(0) }
        )
      )
      const out = yield* f(f32(50), f32(3))
      yield* expectEqual(out.x, [27, 54])
      yield* expectEqual(out.n, 3)
    }))

  it.effect("with Variables in the carry, captured, and read by the condition", () =>
    Effect.gen(function*() {
      const [m, counter] = [Unit.make(1), Unit.make(0)]
      const run = (u: Unit) =>
        whileLoop(
          (v) => Effect.map(Effect.all([Ref.get(v.w), Ref.get(counter.n)]), ([w, n]) => w.lt(100).logicalAnd(n.lt(5))),
          (v) =>
            Effect.gen(function*() {
              yield* Ref.update(v.w, (w) => w.mul(3))
              yield* Ref.update(counter.n, (n) => n.add(1))
              return v
            }),
          u
        )
      assert.strictEqual(yield* run(m), m)
      yield* expectEqual(yield* Ref.get(m.w), 243)
      yield* expectEqual(yield* Ref.get(counter.n), 5)
      const other = Unit.make(50)
      yield* Ref.set(counter.n, i32(0))
      const compiled = jit((u: Unit) => run(u))
      assert.strictEqual(yield* compiled(other), other)
      yield* expectEqual(yield* Ref.get(other.w), 150)
      yield* expectEqual(yield* Ref.get(counter.n), 1)
      yield* compiled(other)
      yield* expectEqual(yield* Ref.get(counter.n), 1)
    }))

  it.effect("two Modules in a loop (F.023)", () =>
    Effect.gen(function*() {
      const p = Pair.of(Unit.make(1), Unit.make(1))
      const out = yield* whileLoop(
        (q) => Effect.map(Ref.get(q.a.w), (w) => w.lt(50)),
        (q) =>
          Effect.gen(function*() {
            const [a, b] = [yield* Ref.get(q.a.w), yield* Ref.get(q.b.w)]
            yield* Ref.set(q.a.w, b)
            yield* Ref.set(q.b.w, a.add(b))
            return q
          }),
        p
      )
      assert.strictEqual(out, p)
      yield* expectEqual(yield* Ref.get(p.a.w), 55)
      yield* expectEqual(yield* Ref.get(p.b.w), 89)
      const [x, y] = yield* foriLoop(0, 3, (i, [u, v]) =>
        Effect.as(
          Effect.andThen(
            Ref.update(u.n, (n) => n.add(i)),
            Ref.update(v.n, (n) => n.add(10))
          ),
          [u, v] as const
        ), [
        p.a,
        p.b
      ])
      assert.deepStrictEqual([x === p.a, y === p.b], [true, true])
      yield* expectEqual(yield* Ref.get(p.a.n), 3)
      yield* expectEqual(yield* Ref.get(p.b.n), 30)
    }))

  it.effect("forward derivatives, with captured arrays, also over a batch", () =>
    Effect.gen(function*() {
      // Newton's method for the square root of a: the derivative is that of the root.
      const root = (a: Tensor) =>
        Effect.map(
          whileLoop(
            ([x]) => Effect.succeed(x.mul(x).sub(a).abs().gt(1e-4)),
            ([x, n]) => Effect.succeed([x.add(a.div(x)).mul(0.5), n.add(1)] as const),
            [a, i32(0)]
          ),
          ([x]) => x
        )
      const [value, slope] = yield* jvp(root, [f32(2)], [f32(1)])
      yield* expectClose(value, Math.SQRT2, { rtol: 1e-4 })
      yield* expectClose(slope, 0.5 / Math.SQRT2, { rtol: 1e-2 })
      const slopes = vmap((a: Tensor) => Effect.map(jvp(root, [a], [f32(1)]), ([, t]) => t))
      yield* expectClose(yield* slopes(f32([2, 9, 0.5])), [2, 9, 0.5].map((a) => 0.5 / Math.sqrt(a)), { rtol: 1e-2 })
      yield* expectClose(yield* jit((a: Tensor) => jacfwd(root)(a))(f32(9)), 1 / 6, { rtol: 1e-2 })
    }))

  it.effect("checks in the body, in order", () =>
    Effect.gen(function*() {
      const f = (x: Tensor) =>
        whileLoop((y) => Effect.succeed(y.lt(100)), (y) =>
          Effect.gen(function*() {
            yield* Check.that(y.ne(12), "twelve" as const)
            yield* Check.that(y.lt(40), "forty" as const)
            return y.mul(2)
          }), x)
      assert.strictEqual(yield* Effect.flip(f(f32(3))), "twelve")
      assert.strictEqual(yield* Effect.flip(jit((x: Tensor) => f(x))(f32(5))), "forty")
      yield* expectEqual(yield* f(f32(200)), 200)
      assert.strictEqual(yield* Effect.flip(vmap(f)(f32([200, 5]))), "forty")
      const looking = whileLoop((y) => Effect.as(Check.that(y.gt(0), "no"), y.lt(1)), (y) => Effect.succeed(y), f32(2))
      const error = yield* failsWith(looking, "TraceError")
      assert.match(error.message, /condition has a check/)
    }))
})

layer(Cpu.layer)("foriLoop", (it) => {
  it.effect("static and dynamic bounds agree, empty ranges too", () =>
    Effect.gen(function*() {
      for (const [lower, upper, expected] of [[0, 5, 10], [2, 4, 5], [3, 3, 0], [4, 1, 0], [-2, 1, -3]]) {
        const body = (i: Tensor, s: Tensor) => Effect.succeed(s.add(i))
        yield* expectEqual(yield* foriLoop(lower, upper, body, i32(0)), expected)
        yield* expectEqual(yield* foriLoop(i32(lower), upper, body, i32(0)), expected)
        yield* expectEqual(yield* jit((n: Tensor) => foriLoop(lower, n, body, i32(0)))(i32(upper)), expected)
      }
    }))

  it.effect("static bounds make a scan, dynamic ones a while", () =>
    Effect.gen(function*() {
      const f = (n: Tensor) =>
        Effect.gen(function*() {
          const a = yield* foriLoop(0, 3, (_, x) => Effect.succeed(x.mul(2)), f32(1))
          return yield* foriLoop(0, n, (_, x) => Effect.succeed(x.mul(2)), a)
        })
      const program = yield* makeProgram(f)(i32(3))
      assert.strictEqual(countOf(program, "scan"), 1)
      assert.strictEqual(countOf(program, "while"), 1)
    }))

  it.effect("a Module as value", () =>
    Effect.gen(function*() {
      const m = Unit.make(0)
      const add = (i: Tensor, u: Unit) => Effect.as(Ref.update(u.w, (w) => w.add(i)), u)
      assert.strictEqual(yield* foriLoop(0, 4, add, m), m)
      assert.strictEqual(yield* foriLoop(0, i32(4), add, m), m)
      yield* expectEqual(yield* Ref.get(m.w), 12)
    }))
})

layer(Cpu.layer)("cond and switch", (it) => {
  it.effect("choose one branch; an index out of range is clamped", () =>
    Effect.gen(function*() {
      const f = (i: Tensor) =>
        switchCase(
          i,
          [(x) => Effect.succeed(x), (x) => Effect.succeed(x.mul(10)), () => Effect.succeed(f32(-1))],
          f32(2)
        )
      const compiled = jit((i: Tensor) => f(i))
      for (const [i, expected] of [[-5, 2], [0, 2], [1, 20], [2, -1], [7, -1]]) {
        yield* expectEqual(yield* f(i32(i)), expected)
        yield* expectEqual(yield* compiled(i32(i)), expected)
      }
      yield* expectEqual(yield* vmap(f)(i32([-5, 1, 2, 9])), [2, 20, -1, -1])
    }))

  it.effect("predicates are bools, numbers, and constants", () =>
    Effect.gen(function*() {
      const by = (p: Tensor | boolean | number) => cond(p, () => Effect.succeed(f32(1)), () => Effect.succeed(f32(0)))
      for (const [p, expected] of [[true, 1], [false, 0], [3, 1], [0, 0], [f32(0.5), 1], [i32(0), 0]] as const) {
        yield* expectEqual(yield* by(p), expected)
      }
    }))

  it.effect("only the chosen branch runs", () =>
    Effect.gen(function*() {
      const f = jit((x: Tensor) =>
        cond(x.gt(0), (y) =>
          Effect.succeed(y), (y) =>
          whileLoop((z) => Effect.succeed(z.lt(0)), (z) => Effect.succeed(z.add(1)), y), x)
      )
      yield* expectEqual(yield* f(f32(5)), 5)
      yield* expectEqual(yield* f(f32(-5)), 0)
    }))

  it.effect("branches write different Variables, in arguments and closures (F.024)", () =>
    Effect.gen(function*() {
      const [a, b, c] = [Unit.make(1), Unit.make(2), Unit.make(3)]
      const run = (p: Tensor, u: Unit, v: Unit) =>
        cond(
          p,
          (x, y) =>
            Effect.andThen(Ref.update(x.w, (w) => w.add(10)), Ref.update(c.w, (w) => w.add(1))).pipe(
              Effect.as([x, y] as const)
            ),
          (x, y) => Effect.as(Ref.update(y.w, (w) => w.add(100)), [x, y] as const),
          u,
          v
        )
      const first = yield* run(T.array(true), a, b)
      assert.strictEqual(first[0], a)
      assert.strictEqual(first[1], b)
      const compiled = jit((p: Tensor, u: Unit, v: Unit) => run(p, u, v))
      for (const p of [true, false, false]) yield* compiled(T.array(p), a, b)
      assert.strictEqual(compiled.traces(), 1)
      yield* expectEqual(yield* Ref.get(a.w), 21)
      yield* expectEqual(yield* Ref.get(b.w), 202)
      yield* expectEqual(yield* Ref.get(c.w), 5)
      // The Variable of the closure is an argument too.
      yield* run(T.array(true), c, b)
      yield* expectEqual(yield* Ref.get(c.w), 16)
      yield* run(T.array(false), c, c)
      yield* expectEqual(yield* Ref.get(c.w), 116)
    }))

  it.effect("a result may be nothing, and static", () =>
    Effect.gen(function*() {
      const m = Unit.make(1)
      const none = yield* cond(false, () => Ref.set(m.w, f32(5)), () => Effect.void)
      assert.strictEqual(none, undefined)
      yield* expectEqual(yield* Ref.get(m.w), 1)
      yield* cond(true, () => Ref.set(m.w, f32(5)), () => Effect.void)
      yield* expectEqual(yield* Ref.get(m.w), 5)
      const out = yield* cond(
        true,
        () => Effect.succeed({ name: "same", x: f32(1) }),
        () => Effect.succeed({ name: "same", x: f32(2) })
      )
      assert.strictEqual(out.name, "same")
      yield* failsWith(
        cond(true, () => Effect.succeed<unknown>({ n: 1 }), () => Effect.succeed({ n: 2 })),
        "StructureError"
      )
    }))

  it.effect("branches may not change structure differently; alike they may", () =>
    Effect.gen(function*() {
      const m = Unit.make(1)
      const set = (u: Unit) => setAttribute(u, "extra", f32(1))
      yield* failsWith(cond(true, set, () => Effect.void, m), "StructureError")
      assert.isFalse("extra" in m)
      yield* cond(true, set, (u) => setAttribute(u, "extra", f32(2)), m)
      yield* expectEqual((m as unknown as { readonly extra: Tensor }).extra, 1)
    }))

  it.effect("inside scan, vmap and each other", () =>
    Effect.gen(function*() {
      const m = Unit.make(0, 0)
      const body = (u: Unit, x: Tensor) =>
        Effect.andThen(
          cond(
            x.gt(0),
            (v, y) => cond(y.gt(10), () => Ref.update(v.n, (n) => n.add(100)), () => Ref.update(v.n, (n) => n.add(1))),
            (v, y) => Ref.update(v.w, (w) => w.add(y)),
            u,
            x
          ),
          Ref.get(u.n)
        )
      const f = scan(body, { inAxes: [null, 0], outAxes: 0 })
      yield* expectEqual(yield* f(m, f32([1, -1, 20, -3])), [1, 1, 101, 101])
      yield* expectEqual(yield* Ref.get(m.w), -4)
      const stack = Unit.make([0, 0, 0], [0, 0, 0])
      yield* expectEqual(yield* vmap(body)(stack, f32([1, -1, 20])), [1, 0, 100])
      yield* expectEqual(yield* Ref.get(stack.w), [0, -1, 0])
      const two = vmap((u: Unit, x: Tensor) => f(u, x))
      yield* expectEqual(yield* two(stack, f32([[1, 1], [1, -1], [-1, 20]])), [[2, 3], [1, 1], [100, 200]])
    }))

  it.effect("a weak result in one branch is strong, if it is in the other", () =>
    Effect.gen(function*() {
      const f = (p: Tensor) => cond(p, () => Effect.succeed(T.lift(1.5)), () => Effect.succeed(f32(2)))
      const out = yield* f(T.array(true))
      assert.isFalse(out.weakType)
      yield* expectClose(out, (yield* toNested(f32(1.5))) as Numbers)
    }))
})
