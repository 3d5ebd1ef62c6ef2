// vmap against a loop over the elements: axes, names and collectives, Modules as stacks, state, and checks and
// callbacks inside.
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import { toNested } from "../../src/Backend/read.ts"
import * as Cpu from "../../src/Backend/Tfjs/Cpu/index.ts"
import { setAttribute } from "../../src/GraphDef/index.ts"
import { Rngs } from "../../src/Ref/Rngs.ts"
import { Param, type Variable } from "../../src/Ref/Variable.ts"
import { Filter } from "../../src/State/index.ts"
import * as T from "../../src/Tensor/index.ts"
import type { Tensor } from "../../src/Tensor/Tensor.ts"
import {
  allGather,
  axisIndex,
  Carry,
  Check,
  cond,
  Debug,
  grad,
  jit,
  pmax,
  pmean,
  pmin,
  psum,
  scan,
  stateAxes,
  vmap,
  whileLoop
} from "../../src/Transform/index.ts"
import type { Numbers } from "../support/close.ts"
import { Count, expectClose, expectEqual, f32, failsWith, given, i32, Unit } from "./common.ts"

const numbers = (...shape: ReadonlyArray<number>): Tensor =>
  T.arange(shape.reduce((a, b) => a * b, 1)).reshape(shape).astype("float32").sin()

layer(Cpu.layer)("vmap of arrays", (it) => {
  const f = (x: Tensor, y: Tensor) => Effect.succeed(x.mul(2).add(y.sum()).cumsum({ axis: 0 }))

  it.effect("agrees with a loop for all in and out axes, also negative ones", () =>
    Effect.gen(function*() {
      const [xs, y] = [numbers(3, 4), numbers(5)]
      for (const axis of [0, 1, -1, -2]) {
        for (const out of [0, 1, -1, -2]) {
          const g = vmap(f, { inAxes: [axis, null], outAxes: out })
          const n = xs.shape.at(axis) ?? 0
          const rows: Array<Tensor> = []
          for (let i = 0; i < n; i++) rows.push(yield* f(xs.take(i32(i), axis), y))
          const expected = (yield* toNested(T.stack(rows, out))) as Numbers
          yield* expectClose(yield* g(xs, y), expected, {}, `${axis} to ${out}`)
          yield* expectClose(yield* jit((a: Tensor, b: Tensor) => g(a, b))(xs, y), expected)
        }
      }
    }))

  it.effect("of trees of axes, and results of several axes", () =>
    Effect.gen(function*() {
      const g = (t: { readonly a: Tensor; readonly b: ReadonlyArray<Tensor> }) =>
        Effect.succeed([t.a.add(t.b[0]), { same: t.b[1], left: t.a }] as const)
      const [x, { same, left }] = yield* vmap(g, {
        inAxes: [{ a: 1, b: [0, null] }],
        outAxes: [1, { same: null, left: 0 }]
      })({ a: numbers(2, 3), b: [numbers(3, 2), f32([7])] })
      assert.deepStrictEqual([x.shape, same.shape, left.shape], [[2, 3], [1], [3, 2]])
      yield* expectEqual(same, [7])
    }))

  it.effect("results that don't depend on the axis are repeated, or come once with outAxes null", () =>
    Effect.gen(function*() {
      const g = (x: Tensor) => Effect.succeed([x, f32([1, 2])] as const)
      const [, repeated] = yield* vmap(g)(f32([1, 2, 3]))
      yield* expectEqual(repeated, [[1, 2], [1, 2], [1, 2]])
      const [, once] = yield* vmap(g, { outAxes: [0, null] })(f32([1, 2, 3]))
      yield* expectEqual(once, [1, 2])
    }))

  it.effect("sizes 0 and 1, and a size given", () =>
    Effect.gen(function*() {
      const g = (x: Tensor) => Effect.succeed(x.sum())
      assert.deepStrictEqual((yield* vmap(g)(T.zeros([0, 3]))).shape, [0])
      yield* expectEqual(yield* vmap(g)(f32([[1, 2]])), [3])
      const given = vmap((x: Tensor) => Effect.succeed(x.add(axisIndex("i"))), {
        inAxes: null,
        axisName: "i",
        axisSize: 3
      })
      yield* expectEqual(yield* given(f32(10)), [10, 11, 12])
    }))

  it.effect("nested", () =>
    Effect.gen(function*() {
      const dot = (x: Tensor, y: Tensor) => Effect.succeed(x.dot(y))
      const outer = vmap((x: Tensor, ys: Tensor) => vmap(dot, { inAxes: [null, 1] })(x, ys), { inAxes: [0, null] })
      const [a, b] = [numbers(2, 3), numbers(3, 4)]
      yield* expectClose(yield* outer(a, b), (yield* toNested(a.matmul(b))) as Numbers)
    }))
})

layer(Cpu.layer)("named axes", (it) => {
  const xs = f32([1, 2, 5])
  const named = <A>(f: (x: Tensor) => A) => vmap((x: Tensor) => Effect.sync(() => f(x)), { axisName: "i" })(xs)

  it.effect("psum, pmean, pmax, pmin, axisIndex, allGather", () =>
    Effect.gen(function*() {
      yield* expectEqual(yield* named((x) => psum(x, "i")), [8, 8, 8])
      yield* expectClose(yield* named((x) => pmean(x, "i")), [8 / 3, 8 / 3, 8 / 3])
      const whole = vmap((x: Tensor) => Effect.sync(() => pmean(x, "i")), { axisName: "i" })
      yield* expectEqual(yield* whole(i32([1, 2])), [1.5, 1.5])
      yield* expectEqual(yield* named((x) => pmax(x, "i")), [5, 5, 5])
      yield* expectEqual(yield* named((x) => pmin(x, "i")), [1, 1, 1])
      yield* expectEqual(yield* named(() => axisIndex("i")), [0, 1, 2])
      yield* expectEqual(yield* named((x) => allGather(x, "i", 3).mul(x)), [[1, 2, 5], [2, 4, 10], [5, 10, 25]])
      yield* expectEqual(yield* named(() => psum(f32(2), "i")), [6, 6, 6])
      const tree = yield* named((x) => psum({ a: x, b: [x.mul(2)] }, "i"))
      yield* expectEqual(tree.b[0], [16, 16, 16])
      yield* failsWith(named((x) => allGather(x, "i", 4)), "ShapeError")
    }))

  it.effect("nested axes are told apart", () =>
    Effect.gen(function*() {
      const inner = (x: Tensor) =>
        Effect.sync(() =>
          psum(x, "i").mul(100).add(psum(x, "j").mul(10)).add(axisIndex("i")).add(axisIndex("j").mul(3))
        )
      const f = vmap((row: Tensor) => vmap(inner, { axisName: "j" })(row), { axisName: "i" })
      yield* expectEqual(yield* f(f32([[1, 2], [3, 4]])), [[430, 633], [471, 674]])
    }))

  it.effect("inside scan, cond, while, jit and grad", () =>
    Effect.gen(function*() {
      const step = (c: Tensor, x: Tensor) => Effect.sync(() => [c.add(psum(x, "i")), axisIndex("i")] as const)
      const [last, steps] = yield* vmap((row: Tensor) => scan(step)(f32(0), row), { axisName: "i" })(
        f32([[1, 2], [3, 4]])
      )
      yield* expectEqual(last, [10, 10])
      yield* expectEqual(steps, [[0, 0], [1, 1]])
      const looped = vmap(
        (x: Tensor) => whileLoop((c) => Effect.succeed(c.lt(20)), (c) => Effect.sync(() => c.add(psum(x, "i"))), x),
        { axisName: "i" }
      )
      yield* expectEqual(yield* looped(f32([1, 2])), [22, 20])
      const conditional = vmap(
        (x: Tensor) => cond(true, (y) => Effect.sync(() => pmax(y, "i")), (y) => Effect.succeed(y), x),
        { axisName: "i" }
      )
      yield* expectEqual(yield* conditional(f32([1, 2])), [2, 2])
      const compiled = jit((x: Tensor) => Effect.sync(() => pmean(x, "i")))
      yield* expectEqual(yield* vmap((x: Tensor) => compiled(x), { axisName: "i" })(f32([1, 3])), [2, 2])
      // The sum over all elements of the derivative of everyone's loss: psum is its own transpose.
      const inside = vmap(grad((x: Tensor) => Effect.sync(() => psum(x.mul(x), "i"))), { axisName: "i" })
      yield* expectEqual(yield* inside(f32([1, 3])), [4, 12])
    }))

  it.effect("derivatives of a whole vmap are those of the loop", () =>
    Effect.gen(function*() {
      const normalize = (x: Tensor) => {
        const centered = x.sub(pmean(x, "i"))
        return centered.div(pmean(centered.mul(centered), "i").add(0.1).sqrt()).mul(
          axisIndex("i").add(1).astype("float32")
        )
      }
      const viaAxis = (x: Tensor) =>
        Effect.map(vmap((y: Tensor) => Effect.sync(() => normalize(y)), { axisName: "i" })(x), (y) => y.sin().sum())
      const direct = (x: Tensor) => {
        const centered = x.sub(x.mean())
        return Effect.succeed(
          centered.div(centered.mul(centered).mean().add(0.1).sqrt()).mul(T.arange(1, 4).astype("float32")).sin().sum()
        )
      }
      const gathered = (x: Tensor) =>
        Effect.map(
          vmap((y: Tensor) => Effect.sync(() => allGather(y, "i", 3).mul(f32([1, 2, 3])).sum().mul(y)), {
            axisName: "i"
          })(x),
          (y) => y.sum()
        )
      const x = f32([0.2, -1, 3])
      yield* expectClose(yield* grad(viaAxis)(x), (yield* toNested(yield* grad(direct)(x))) as Numbers)
      const linear = (y: Tensor) => Effect.succeed(y.mul(f32([1, 2, 3])).sum().mul(y.sum()))
      yield* expectClose(yield* grad(gathered)(x), (yield* toNested(yield* grad(linear)(x))) as Numbers)
      const extreme = (y: Tensor) =>
        Effect.map(vmap((z: Tensor) => Effect.sync(() => pmax(z, "i").mul(z)), { axisName: "i" })(y), (z) => z.sum())
      yield* expectClose(yield* grad(extreme)(x), [3, 3, 3 + 2.2])
    }))
})

layer(Cpu.layer)("vmap of Modules", (it) => {
  it.effect("stacks are mapped, and written in place", () =>
    Effect.gen(function*() {
      const stack = Unit.make([[1, 2], [3, 4]], [0, 10])
      const apply = (m: Unit, x: Tensor) =>
        Effect.gen(function*() {
          yield* Ref.update(m.n, (n) => n.add(1))
          yield* Ref.update(m.w, (w) => w.mul(2))
          return (yield* Ref.get(m.w)).dot(x)
        })
      yield* expectEqual(yield* vmap(apply, { inAxes: [0, null] })(stack, f32([1, 1])), [6, 14])
      yield* expectEqual(yield* Ref.get(stack.n), [1, 11])
      yield* expectEqual(yield* Ref.get(stack.w), [[2, 4], [6, 8]])
      yield* expectEqual(yield* jit((m: Unit) => vmap(apply, { inAxes: [0, null] })(m, f32([1, 1])))(stack), [12, 28])
      yield* expectEqual(yield* Ref.get(stack.n), [2, 12])
    }))

  it.effect("along another axis", () =>
    Effect.gen(function*() {
      const w = Param.makeUnsafe(f32([[1, 2, 3], [4, 5, 6]]))
      const f = (v: Variable<"Param", Tensor>) => Effect.andThen(Ref.update(v, (x) => x.mul(10)), Ref.get(v))
      yield* expectEqual(yield* vmap(f, { inAxes: -1 })(w), [[10, 40], [20, 50], [30, 60]])
      yield* expectEqual(yield* Ref.get(w), [[10, 20, 30], [40, 50, 60]])
    }))

  it.effect("a constructor makes a stack (A.043)", () =>
    Effect.gen(function*() {
      const create = Effect.gen(function*() {
        const rngs = yield* Rngs
        return new Unit({
          w: Param.makeUnsafe(yield* rngs.normal([2])),
          n: Count.makeUnsafe(i32(0))
        })
      })
      const streams = yield* Effect.flatMap(Rngs.fromSeeds(0), (rngs) => rngs.split(3))
      const single = yield* Effect.flatMap(Rngs.fromSeeds(0), (rngs) => rngs.split(3))
      const stack = yield* vmap((rngs: typeof streams) => Effect.provideService(create, Rngs, rngs))(streams)
      assert.deepStrictEqual((yield* Ref.get(stack.w)).shape, [3, 2])
      assert.deepStrictEqual((yield* Ref.get(stack.n)).shape, [3])
      const keys = yield* Ref.get(single.streams["default"].key)
      for (let i = 0; i < 3; i++) {
        const expected = T.random.normal(T.random.foldIn(keys.get(i), 0), [2])
        yield* expectClose((yield* Ref.get(stack.w)).get(i), (yield* toNested(expected)) as Numbers)
      }
      yield* expectEqual(yield* Ref.get(streams.streams["default"].count), [1, 1, 1])
    }))

  it.effect("stateAxes: some Variables are mapped, others not; those are written once (F.020)", () =>
    Effect.gen(function*() {
      const m = Unit.make([1, 2, 3], 0)
      const f = (u: Unit, x: Tensor) =>
        Effect.gen(function*() {
          yield* Ref.update(u.n, (n) => n.add(1))
          yield* Ref.update(u.w, (w) => w.mul(x))
          return yield* Ref.get(u.w)
        })
      const g = vmap(f, { inAxes: [stateAxes([[Param, 0], [Filter.everything, null]]), null] })
      yield* expectEqual(yield* g(m, f32(10)), [10, 20, 30])
      yield* expectEqual(yield* Ref.get(m.n), 1)
      yield* expectEqual(yield* Ref.get(m.w), [10, 20, 30])
    }))

  it.effect("new attributes become stacks; captured Variables may be written with what is not batched", () =>
    Effect.gen(function*() {
      const m = Unit.make([1, 2], [0, 0])
      const total = Count.makeUnsafe(f32(0))
      yield* vmap((u: Unit) =>
        Effect.gen(function*() {
          const w = yield* Ref.get(u.w)
          yield* setAttribute(u, "square", Param.makeUnsafe(w.mul(w)))
          yield* Ref.update(total, (t) => t.add(psum(w, "i")))
        }), { axisName: "i" })(m)
      const { square } = m as unknown as { readonly square: Variable<"Param", Tensor> }
      yield* expectEqual(yield* Ref.get(square), [1, 4])
      yield* expectEqual(yield* Ref.get(total), 3)
    }))
})

layer(Cpu.layer)("vmap and effects", (it) => {
  it.effect("callbacks happen for every element, in the order of the program", () =>
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      const f = (x: Tensor) =>
        Effect.gen(function*() {
          yield* Debug.callback({ x }, (v) => seen.push(["first", given(v.x)[0]]))
          yield* Debug.callback(x.mul(10), (v) => seen.push(["second", given(v)[0]]))
          yield* Debug.callback({}, () => seen.push("once"))
          return x
        })
      const expected = [["first", 1], ["first", 2], ["second", 10], ["second", 20], "once"]
      yield* vmap(f)(f32([1, 2]))
      assert.deepStrictEqual(seen, expected)
      seen.length = 0
      const compiled = jit((x: Tensor) => vmap(f)(x))
      yield* compiled(f32([1, 2]))
      yield* compiled(f32([1, 2]))
      assert.deepStrictEqual(seen, [...expected, ...expected])
    }))

  it.effect("a check fails if any element fails; the first check of the program counts", () =>
    Effect.gen(function*() {
      const f = (x: Tensor) =>
        Effect.gen(function*() {
          yield* Check.that(x.gt(0), "negative" as const)
          yield* Check.that(x.lt(10), "large" as const)
          return x
        })
      const both = [vmap(f), jit((x: Tensor) => vmap(f)(x)), vmap((x: Tensor) => jit(f)(x))]
      for (const g of both) {
        yield* expectEqual(yield* g(f32([1, 2])), [1, 2])
        assert.strictEqual(yield* Effect.flip(g(f32([1, 20]))), "large")
        assert.strictEqual(yield* Effect.flip(g(f32([20, -1]))), "negative")
        assert.strictEqual(yield* Effect.flip(g(f32([-1, 20]))), "negative")
      }
    }))

  it.effect("a check in the branch that an element does not take does not fail", () =>
    Effect.gen(function*() {
      const f = (x: Tensor) =>
        cond(
          x.gt(0),
          (y) => Effect.as(Check.that(y.lt(5), "large" as const), y),
          (y) => Effect.as(Check.that(y.gt(-5), "small" as const), y.neg()),
          x
        )
      yield* expectEqual(yield* vmap(f)(f32([1, -2])), [1, 2])
      assert.strictEqual(yield* Effect.flip(vmap(f)(f32([6, -2]))), "large")
      assert.strictEqual(yield* Effect.flip(vmap(f)(f32([1, -6]))), "small")
      assert.strictEqual(yield* Effect.flip(f(f32(-6))), "small")
    }))

  it.effect("elements of a while end by themselves", () =>
    Effect.gen(function*() {
      const collatz = (n: Tensor) =>
        Effect.map(
          whileLoop(
            ([k]) => Effect.succeed(k.gt(1)),
            ([k, steps]) =>
              Effect.succeed([T.where(k.mod(2).eq(0), k.floorDivide(2), k.mul(3).add(1)), steps.add(1)] as const),
            [n, i32(0)]
          ),
          ([, steps]) => steps
        )
      yield* expectEqual(yield* vmap(collatz)(i32([1, 2, 3, 6, 7])), [0, 1, 7, 8, 16])
    }))

  it.effect("a scan over a stack of layers inside", () =>
    Effect.gen(function*() {
      const stack = Unit.make([[1, 2], [3, 4]], [0, 0])
      const layers = (m: Unit, x: Tensor) =>
        Effect.map(
          scan((u: Unit, c: Tensor) => Effect.map(Ref.get(u.w), (w) => [c.mul(w).add(1), null] as const), {
            inAxes: [0, Carry],
            outAxes: [Carry, 0]
          })(m, x),
          ([c]) => c
        )
      const f = vmap(layers, { inAxes: [null, 0] })
      yield* expectEqual(yield* f(stack, f32([[1, 1], [2, 0]])), [[7, 13], [10, 5]])
    }))
})
