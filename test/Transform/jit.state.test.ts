// jit and the world outside: random streams, failure, interruption, other fibers, and buffers that are freed.
import { assert, describe, it, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Ref from "effect/Ref"
import { toNested } from "../../src/Backend/read.ts"
import * as Cpu from "../../src/Backend/Tfjs/Cpu/index.ts"
import { clone, split } from "../../src/GraphDef/index.ts"
import { Module } from "../../src/Ref/Module.ts"
import { Rngs, type RngStream } from "../../src/Ref/Rngs.ts"
import * as T from "../../src/Tensor/index.ts"
import type { Tensor } from "../../src/Tensor/Tensor.ts"
import { Carry, Check, grad, jit, scan, valueAndGrad } from "../../src/Transform/index.ts"
import { expectEqual, f32, failsWith, i32, Pair, pausing, readAll, spoiling, Unit } from "./common.ts"

class Noisy extends Module("Noisy")<{ readonly stream: RngStream }> {
  static readonly make: Effect.Effect<Noisy, never, Rngs> = Effect.gen(function*() {
    const rngs = yield* Rngs
    const stream = yield* Effect.orDie(rngs.stream())
    return new Noisy({ stream: yield* stream.fork })
  })
  get draw(): Effect.Effect<Tensor> {
    return Effect.map(this.stream.next, (key) => T.random.normal(key, [2]))
  }
}

layer(Cpu.layer)("random streams in jit", (it) => {
  const draw = Effect.flatMap(Rngs, (rngs) => rngs.normal([3]))

  it.effect("draws advance the service's stream, and are those without jit", () =>
    Effect.gen(function*() {
      const jitted = jit(() => draw)
      const outside = yield* Effect.gen(function*() {
        return [yield* draw, yield* draw, yield* draw, yield* draw]
      }).pipe(Effect.provide(Rngs.layer(3)))
      const inside = yield* Effect.gen(function*() {
        return [yield* jitted(), yield* draw, yield* jitted(), yield* jitted()]
      }).pipe(Effect.provide(Rngs.layer(3)))
      assert.deepStrictEqual(yield* readAll(...inside), yield* readAll(...outside))
      assert.strictEqual(jitted.traces(), 1)
    }))

  it.effect("named streams, nested jit and scan draw from one service", () =>
    Effect.gen(function*() {
      const inner = jit(() => Effect.flatMap(Rngs, (rngs) => rngs.key("dropout")))
      const f = Effect.gen(function*() {
        const a = yield* inner()
        const b = yield* inner()
        const c = yield* Effect.flatMap(Rngs, (rngs) => rngs.key("params"))
        const [, keys] = yield* scan(
          (count: Tensor) => Effect.map(Rngs.nextKey("dropout"), (key) => [count, key] as const),
          { length: 2, inAxes: [Carry] }
        )(f32(0))
        return [a, b, c, keys]
      })
      const layerOf = () => Rngs.layer({ params: 0, dropout: 1 })
      const plain = yield* Effect.gen(function*() {
        const rngs = yield* Rngs
        const key = (name: string) => rngs.key(name)
        const [a, b, c] = [yield* key("dropout"), yield* key("dropout"), yield* key("params")]
        return [a, b, c, T.stack([yield* key("dropout"), yield* key("dropout")])]
      }).pipe(Effect.provide(layerOf()))
      const jitted = jit(() => f)
      const found = yield* jitted().pipe(Effect.provide(layerOf()))
      assert.deepStrictEqual(yield* readAll(...found), yield* readAll(...plain))
    }))

  it.effect("one compiled function serves different Rngs, and does not mix them", () =>
    Effect.gen(function*() {
      const jitted = jit(() => draw)
      const first = Rngs.fromSeeds(0)
      const [a, b] = [yield* first, yield* Rngs.fromSeeds(1)]
      const on = (rngs: typeof a) => Effect.provideService(jitted(), Rngs, rngs)
      const got = [yield* on(a), yield* on(b), yield* on(a), yield* on(b)]
      const expected = yield* Effect.forEach([0, 1], (seed) =>
        Effect.gen(function*() {
          return [yield* draw, yield* draw]
        }).pipe(Effect.provide(Rngs.layer(seed))))
      const [[a1, a2], [b1, b2]] = expected
      assert.deepStrictEqual(yield* readAll(...got), yield* readAll(a1, b1, a2, b2))
      assert.strictEqual(jitted.traces(), 1)
    }))

  it.effect("a stream that a layer holds advances too", () =>
    Effect.gen(function*() {
      const [a, b] = yield* Effect.all([Noisy.make, Effect.succeed(0)]).pipe(Effect.provide(Rngs.layer(5)))
      assert.strictEqual(b, 0)
      const copy = yield* Noisy.make.pipe(Effect.provide(Rngs.layer(5)))
      const jitted = jit((m: Noisy) => m.draw)
      const inside = [yield* jitted(a), yield* jitted(a), yield* a.draw]
      const outside = [yield* copy.draw, yield* copy.draw, yield* copy.draw]
      assert.deepStrictEqual(yield* readAll(...inside), yield* readAll(...outside))
      yield* expectEqual(yield* Ref.get(a.stream.count), 3)
    }))
})

layer(Cpu.layer)("jit that fails", (it) => {
  const step = jit((m: Unit, x: Tensor) =>
    Effect.gen(function*() {
      yield* Ref.update(m.w, (w) => w.add(x))
      yield* Check.that(x.gt(0), "not positive" as const)
      yield* Ref.update(m.n, (n) => n.add(1))
      yield* Check.that(x.lt(10), "too large" as const)
      return yield* Ref.get(m.w)
    })
  )

  it.effect("by a check writes nothing, and works again afterwards", () =>
    Effect.gen(function*() {
      const m = Unit.make(1)
      assert.strictEqual(yield* Effect.flip(step(m, f32(-1))), "not positive")
      assert.strictEqual(yield* Effect.flip(step(m, f32(11))), "too large")
      yield* expectEqual(yield* Ref.get(m.w), 1)
      yield* expectEqual(yield* Ref.get(m.n), 0)
      yield* expectEqual(yield* step(m, f32(2)), 3)
      assert.strictEqual(yield* Effect.flip(step(m, f32(-1))), "not positive")
      yield* expectEqual(yield* Ref.get(m.w), 3)
      assert.strictEqual(step.traces(), 1)
    }))

  it.effect("by the function's own failure writes nothing, and is traced again", () =>
    Effect.gen(function*() {
      const m = Unit.make(1)
      const switchOn = { broken: true }
      const f = jit((u: Unit) =>
        Effect.gen(function*() {
          yield* Ref.update(u.w, (w) => w.add(1))
          if (switchOn.broken) return yield* Effect.fail("broken" as const)
          return yield* Ref.get(u.w)
        })
      )
      assert.strictEqual(yield* Effect.flip(f(m)), "broken")
      yield* expectEqual(yield* Ref.get(m.w), 1)
      switchOn.broken = false
      yield* expectEqual(yield* f(m), 2)
      assert.strictEqual(f.traces(), 2)
    }))

  it.effect("by a failure that is caught inside leaves what was written before it", () =>
    Effect.gen(function*() {
      const m = Unit.make(2)
      const f = jit((u: Unit, x: Tensor) =>
        Effect.gen(function*() {
          yield* Ref.update(u.w, (w) => w.add(1))
          const lost = grad((v: Unit) =>
            Effect.gen(function*() {
              yield* Ref.update(v.n, (n) => n.add(100))
              return yield* Effect.fail("lost")
            })
          )(u)
          yield* Effect.ignore(lost)
          return (yield* Ref.get(u.w)).mul(x)
        })
      )
      yield* expectEqual(yield* f(m, f32(2)), 6)
      yield* expectEqual(yield* Ref.get(m.n), 0)
    }))
})

describe("jit and other fibers", () => {
  const slow = jit((p: Pair) =>
    Effect.gen(function*() {
      yield* Ref.update(p.a.w, (w) => w.add(1))
      yield* Ref.update(p.b.w, (w) => w.add(1))
    })
  )

  it.live("interruption writes nothing", () =>
    Effect.gen(function*() {
      const p = Pair.of(Unit.make(0), Unit.make(0))
      const fiber = yield* Effect.forkChild(slow(p), { startImmediately: true })
      yield* Fiber.interrupt(fiber)
      yield* Effect.sleep("10 millis")
      yield* expectEqual(yield* Ref.get(p.a.w), 0)
      yield* expectEqual(yield* Ref.get(p.b.w), 0)
      yield* slow(p)
      yield* expectEqual(yield* Ref.get(p.b.w), 1)
    }).pipe(Effect.provide(pausing)))

  it.live("others never see half a step", () =>
    Effect.gen(function*() {
      const p = Pair.of(Unit.make(0), Unit.make(0))
      const look = Effect.gen(function*() {
        for (let i = 0; i < 40; i++) {
          const [, state] = yield* split(p)
          const seen = state as unknown as Pair<
            { readonly w: { readonly value: Tensor } },
            { readonly w: { readonly value: Tensor } }
          >
          const [a, b] = [yield* toNested(seen.a.w.value), yield* toNested(seen.b.w.value)]
          assert.deepStrictEqual(a, b)
          yield* Effect.sleep("1 millis")
        }
      })
      const train = Effect.gen(function*() {
        for (let i = 0; i < 20; i++) yield* slow(p)
      })
      yield* Effect.all([train, look, look], { concurrency: "unbounded" })
      yield* expectEqual(yield* Ref.get(p.a.w), 20)
    }).pipe(Effect.provide(pausing)))

  it.live("pending arrays are computed first, and then all is read at once", () =>
    Effect.gen(function*() {
      const p = Pair.of(Unit.make(0), Unit.make(0))
      const g = jit((q: Pair, x: Tensor) => Effect.map(Ref.get(q.a.w), (w) => w.mul(0).add(x)))
      yield* slow(p)
      const [x] = yield* Effect.all([g(p, f32(3).mul(2)), slow(p), slow(p)], { concurrency: "unbounded" })
      yield* expectEqual(x, 6)
    }).pipe(Effect.provide(pausing)))
})

describe("buffers that a step replaces", () => {
  const step = jit((m: Unit, x: Tensor) =>
    Effect.gen(function*() {
      yield* Ref.update(m.w, (w) => w.mul(2).add(x))
      yield* Ref.update(m.n, (n) => n.add(1))
      return yield* Ref.get(m.w)
    })
  )
  const train = (m: Unit, steps: number) =>
    Effect.gen(function*() {
      for (let i = 0; i < steps; i++) yield* step(m, f32(1))
    })

  it.effect("are freed, and nobody reads them", () =>
    Effect.gen(function*() {
      const m = Unit.make([1, 2])
      yield* train(m, 5)
      yield* expectEqual(yield* Ref.get(m.w), [63, 95])
    }).pipe(Effect.provide(spoiling)))

  it.effect("and those of a step that failed", () =>
    Effect.gen(function*() {
      const m = Unit.make([1, 2])
      const f = jit((u: Unit, x: Tensor) =>
        Effect.andThen(Ref.update(u.w, (w) => w.add(x)), Check.that(x.gt(0), "no" as const))
      )
      yield* f(m, f32(1))
      assert.strictEqual(yield* Effect.flip(f(m, f32(-1))), "no")
      yield* f(m, f32(1))
      yield* expectEqual(yield* Ref.get(m.w), [3, 4])
    }).pipe(Effect.provide(spoiling)))

  it.effect("stay readable when Ref.get or split handed them out", () =>
    Effect.gen(function*() {
      const m = Unit.make([1, 2])
      yield* train(m, 2)
      const got = yield* Ref.get(m.w)
      yield* train(m, 2)
      const [, state] = yield* split(m)
      const copy = yield* clone(m)
      yield* train(m, 2)
      yield* expectEqual(got, [7, 11])
      yield* expectEqual(state.w.value, [31, 47])
      yield* train(copy, 1)
      yield* expectEqual(yield* Ref.get(copy.w), [63, 95])
      yield* expectEqual(yield* Ref.get(m.w), [127, 191])
    }).pipe(Effect.provide(spoiling)))

  it.effect("stay readable when a result of the step is the same array", () =>
    Effect.gen(function*() {
      const m = Unit.make([1, 2])
      const first = yield* step(m, f32(1))
      const second = yield* step(m, f32(1))
      yield* train(m, 2)
      yield* expectEqual(first, [3, 5])
      yield* expectEqual(second, [7, 11])
    }).pipe(Effect.provide(spoiling)))

  it.effect("stay readable when a lazy array outside of jit still needs them", () =>
    Effect.gen(function*() {
      const m = Unit.make([1, 2])
      yield* train(m, 2)
      const loss = (u: Unit) => Effect.map(Ref.get(u.w), (w) => w.mul(w).sum())
      const gradient = yield* grad(loss)(m)
      const [value] = yield* valueAndGrad((x: Tensor) => Effect.map(loss(m), (y) => y.add(x)))(f32(0))
      const [, stacked] = yield* scan(
        (c: Tensor, x: Tensor) => Effect.map(Ref.get(m.w), (w) => [c, w.mul(x)] as const)
      )(f32(0), f32([1, 2]))
      yield* train(m, 2)
      yield* expectEqual(gradient.w.value, [14, 22])
      yield* expectEqual(value, 170)
      yield* expectEqual(stacked, [[7, 11], [14, 22]])
    }).pipe(Effect.provide(spoiling)))

  it.effect("stay readable when a captured Variable is written", () =>
    Effect.gen(function*() {
      const m = Unit.make([1, 2])
      const f = jit((x: Tensor) => Effect.andThen(Ref.update(m.w, (w) => w.add(x)), Ref.get(m.w)))
      const outs: Array<Tensor> = []
      for (let i = 0; i < 3; i++) outs.push(yield* f(f32(1)))
      const held = yield* Ref.get(m.w)
      yield* f(f32(1))
      yield* train(m, 1)
      assert.deepStrictEqual(yield* readAll(...outs, held), [[2, 3], [3, 4], [4, 5], [4, 5]])
      yield* expectEqual(yield* Ref.get(m.w), [11, 13])
    }).pipe(Effect.provide(spoiling)))

  it.effect("stay readable when the step handed them on to another Variable", () =>
    Effect.gen(function*() {
      const p = Pair.of(Unit.make([1, 2]), Unit.make([0, 0]))
      const shift = jit((q: Pair) =>
        Effect.gen(function*() {
          yield* Ref.set(q.b.w, yield* Ref.get(q.a.w))
          yield* Ref.update(q.a.w, (w) => w.add(1))
        })
      )
      for (let i = 0; i < 3; i++) yield* shift(p)
      yield* expectEqual(yield* Ref.get(p.b.w), [3, 4])
      yield* expectEqual(yield* Ref.get(p.a.w), [4, 5])
    }).pipe(Effect.provide(spoiling)))
})

layer(Cpu.layer)("a compiled function keeps nothing alive", (it) => {
  it.effect("of the arrays and the model of its first call", () =>
    Effect.gen(function*() {
      const f = jit((m: Unit, x: Tensor) => Effect.map(Ref.updateAndGet(m.w, (w) => w.add(x.sum())), (w) => w.mul(2)))
      const refs: Array<WeakRef<object>> = []
      yield* Effect.suspend(() => {
        const m = Unit.make([1, 2, 3])
        const x = f32([1, 2])
        refs.push(new WeakRef(m), new WeakRef(m.w), new WeakRef(x))
        return f(m, x)
      })
      yield* f(Unit.make([4, 5, 6]), f32([1, 2]))
      assert.strictEqual(f.traces(), 1)
      for (let i = 0; i < 5 && refs.some((r) => r.deref() !== undefined); i++) {
        yield* Effect.promise(() => new Promise((done) => setImmediate(done)))
        globalThis.gc?.()
      }
      assert.deepStrictEqual(refs.map((r) => r.deref() === undefined), [true, true, true])
    }))
})

layer(Cpu.layer)("writes outside of jit", (it) => {
  it.effect("by a transform are computed, so that chains never grow", () =>
    Effect.gen(function*() {
      const m = Unit.make(1)
      const loss = (u: Unit) =>
        Effect.gen(function*() {
          yield* Ref.update(u.n, (n) => n.add(1))
          return yield* Ref.get(u.w)
        })
      for (let i = 0; i < 3; i++) yield* grad(loss)(m)
      assert.strictEqual((yield* Ref.get(m.n)).source._tag, "Concrete")
      yield* expectEqual(yield* Ref.get(m.n), 3)
    }))

  it.effect("are not made when a check fails, by any transform", () =>
    Effect.gen(function*() {
      const m = Unit.make(1)
      const body = (u: Unit, x: Tensor) =>
        Effect.gen(function*() {
          yield* Ref.update(u.n, (n) => n.add(1))
          yield* Check.that(x.gt(0), "no" as const)
          return x
        })
      assert.strictEqual(yield* Effect.flip(grad(body)(m, f32(-1))), "no")
      assert.strictEqual(yield* Effect.flip(scan(body, { inAxes: [null, 0], outAxes: 0 })(m, f32([1, -1, 1]))), "no")
      assert.isTrue(Exit.isFailure(yield* Effect.exit(grad((x: Tensor) => body(m, x))(f32(-1)))))
      yield* expectEqual(yield* Ref.get(m.n), 0)
      yield* grad((x: Tensor) => body(m, x))(f32(1))
      yield* expectEqual(yield* Ref.get(m.n), 1)
      yield* failsWith(Effect.mapError(grad(body)(m, i32(1)), (e) => e), "DTypeError")
      yield* expectEqual(yield* Ref.get(m.n), 1)
    }))
})
