// Functions with derivatives of their own, in all compositions. Their rules are wrong on purpose (100 times too large),
// so that it shows which derivative was used.
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import type { Backend } from "../../src/Backend/Backend.ts"
import { toNested } from "../../src/Backend/read.ts"
import * as Cpu from "../../src/Backend/Tfjs/Cpu/index.ts"
import { Param } from "../../src/Ref/Variable.ts"
import * as T from "../../src/Tensor/index.ts"
import type { Tensor } from "../../src/Tensor/Tensor.ts"
import {
  Check,
  cond,
  customJvp,
  customVjp,
  Debug,
  grad,
  hessian,
  jacfwd,
  jacrev,
  jit,
  jvp,
  linearize,
  remat,
  scan,
  type TransformError,
  vjp,
  vmap,
  whileLoop
} from "../../src/Transform/index.ts"
import type { Numbers } from "../support/close.ts"
import { expectClose, expectEqual, f32, failsWith, i32, Unit } from "./common.ts"

type F = (x: Tensor) => Effect.Effect<Tensor, TransformError, Backend>

/** sin, with the derivative 100 cos. */
const viaVjp: F = customVjp((x: Tensor) => Effect.succeed(x.sin()), {
  fwd: (x) => Effect.succeed([x.sin(), { c: x.cos() }] as const),
  bwd: ({ c }, ct) => Effect.succeed([ct.mul(c).mul(100)] as const)
})

const viaJvp: F = customJvp(
  (x: Tensor) => Effect.succeed(x.sin()),
  ([x], [t]) => Effect.succeed([x.sin(), t.mul(x.cos()).mul(100)] as const)
)

/** sin with the derivative 100 cos, without custom rules: sin x + 99 (sin x - constant). */
const plain: F = (x) => Effect.succeed(x.sin().mul(100).sub(T.lax.stopGradient(x.sin().mul(99))))

const sum = (f: F): F => (x) => Effect.map(f(x), (y) => y.sum())

const x = 0.7
const [value, slope, curve] = [Math.sin(x), 100 * Math.cos(x), -100 * Math.sin(x)]
const xs = [0.7, -0.2, 1.5]

layer(Cpu.layer)("custom derivatives", (it) => {
  for (const [name, f] of [["customVjp", viaVjp], ["customJvp", viaJvp]] as const) {
    it.effect(`${name}: value, grad, vjp, jacrev, second order`, () =>
      Effect.gen(function*() {
        yield* expectClose(yield* f(f32(x)), value)
        yield* expectClose(yield* grad(f)(f32(x)), slope)
        const [, back] = yield* vjp(f, f32(x))
        yield* expectClose((yield* back(f32(2)))[0], 2 * slope)
        yield* expectClose((yield* jacrev(f)(f32(xs))).diagonal(), xs.map((v) => 100 * Math.cos(v)))
        yield* expectClose(yield* grad((y: Tensor) => grad(f)(y))(f32(x)), curve)
        yield* expectClose(yield* hessian(f)(f32(x)), curve)
        const [, t] = yield* jvp((y: Tensor) => grad(f)(y), [f32(x)], [f32(3)])
        yield* expectClose(t, 3 * curve)
      }))

    it.effect(`${name}: in jit, vmap, scan, cond, remat and each other`, () =>
      Effect.gen(function*() {
        const compiled = jit((y: Tensor) => f(y))
        const inner = jit((y: Tensor) => grad(f)(y))
        const looped: F = (y) =>
          Effect.map(
            scan((c: Tensor, v: Tensor) => Effect.map(f(v), (s) => [c.add(s), s] as const))(f32(0), y),
            ([c]) => c
          )
        const carried: F = (y) =>
          Effect.map(
            scan((c: Tensor) => Effect.map(f(c), (d) => [d, null] as const), {
              length: 2,
              inAxes: [{ _tag: "Carry" }]
            })(y),
            ([c]) => c
          )
        const nested: F = (y) => Effect.flatMap(f(y), f)
        const branchy: F = (y) => cond(y.sum().gt(-100), (z) => f(z), (z) => Effect.succeed(z), y)
        const each: F = (y) => vmap(f)(y)
        const kept: F = (y) => remat(f)(y)
        yield* expectClose(yield* compiled(f32(x)), value)
        yield* expectClose(yield* inner(f32(x)), slope)
        const slopes = xs.map((v) => 100 * Math.cos(v))
        for (
          const [what, g] of Object.entries({
            compiled,
            looped,
            branchy,
            each,
            kept,
            vmapped: jit((y: Tensor) => vmap(f)(y))
          })
        ) {
          yield* expectClose(yield* grad(sum(g))(f32(xs)), slopes, {}, what)
          yield* expectClose(yield* jit((y: Tensor) => grad(sum(g))(y))(f32(xs)), slopes, {}, what)
          const second = yield* grad(sum(grad(sum(g))))(f32(xs))
          yield* expectClose(second, xs.map((v) => -100 * Math.sin(v)), { rtol: 1e-4 }, what)
        }
        const twice = 1e4 * Math.cos(Math.sin(x)) * Math.cos(x)
        for (const [what, g] of Object.entries({ nested, carried })) {
          yield* expectClose(yield* grad(g)(f32(x)), twice, {}, what)
        }
        yield* expectClose(
          yield* vmap((y: Tensor) => grad(f)(y))(f32(xs)),
          slopes
        )
        yield* expectClose(yield* vmap((y: Tensor) => grad(sum(looped))(y))(f32([xs, xs])), [slopes, slopes])
        const mapped = vmap((y: Tensor) => vmap(f)(y))
        yield* expectClose(yield* grad(sum(mapped))(f32([xs, xs])), [slopes, slopes])
      }))

    it.effect(`${name}: agrees with the same derivative written without rules`, () =>
      Effect.gen(function*() {
        const over = (g: F): F => (y) =>
          Effect.map(
            scan((c: Tensor, v: Tensor) => Effect.map(g(c.mul(v)), (s) => [s.add(v), s] as const))(f32(0.3), y),
            ([c, ss]) => c.mul(ss.sum())
          )
        const expected = (yield* toNested(yield* grad(over(plain))(f32(xs)))) as Numbers
        yield* expectClose(yield* grad(over(f))(f32(xs)), expected, { rtol: 1e-4 })
        yield* expectClose(yield* vmap((y: Tensor) => grad(over(f))(y))(f32([xs])), [expected], { rtol: 1e-4 })
      }))

    it.effect(`${name}: captured arrays and arguments of the outer trace are the operands'`, () =>
      Effect.gen(function*() {
        const scaled = (w: Tensor, y: Tensor): Effect.Effect<Tensor, TransformError> =>
          name === "customVjp"
            ? customVjp((z: Tensor) => Effect.succeed(z.mul(w)), {
              fwd: (z) => Effect.succeed([z.mul(w), z.mul(w)] as const),
              bwd: (r, ct) => Effect.succeed([ct.mul(w).mul(100).add(r.mul(0))] as const)
            })(y)
            : customJvp((z: Tensor) => Effect.succeed(z.mul(w)), ([z], [t]) =>
              Effect.succeed([z.mul(w), t.mul(w).mul(100)] as const))(y)
        const second = { argnums: 1 } as const
        const compiled = jit((w: Tensor, y: Tensor) => scaled(w, y))
        yield* expectClose(yield* grad(scaled, second)(f32(3), f32(2)), 300)
        yield* expectClose(yield* grad((w: Tensor, y: Tensor) => compiled(w, y), second)(f32(3), f32(2)), 300)
        yield* expectClose(yield* jit((w: Tensor, y: Tensor) => grad(scaled, second)(w, y))(f32(3), f32(2)), 300)
        yield* expectClose(
          yield* vmap((w: Tensor, y: Tensor) => grad(scaled, second)(w, y))(f32([3, 4]), f32([1, 2])),
          [300, 400]
        )
        const summed = (w: Tensor, y: Tensor) => Effect.map(vmap(scaled)(w, y), (z) => z.sum())
        yield* expectClose(yield* grad(summed, second)(f32([3, 4]), f32([1, 2])), [300, 400])
        const shared = (w: Tensor, y: Tensor) => Effect.map(vmap(scaled, { inAxes: [null, 0] })(w, y), (z) => z.sum())
        yield* expectClose(yield* grad(shared, second)(f32(3), f32([1, 2])), [300, 300])
        const looped = (w: Tensor, y: Tensor) =>
          Effect.map(
            scan((c: Tensor, v: Tensor) => Effect.map(scaled(w, v), (s) => [c.add(s), null] as const))(f32(0), y),
            ([c]) => c
          )
        yield* expectClose(yield* grad(looped, second)(f32(3), f32([1, 2])), [300, 300])
        yield* expectClose(yield* jit((w: Tensor, y: Tensor) => grad(looped, second)(w, y))(f32(3), f32([1, 2])), [
          300,
          300
        ])
      }))

    it.effect(`${name}: differentiated with respect to what it captured is a TraceError, not zero`, () =>
      Effect.gen(function*() {
        const wrong = (w: Tensor) =>
          name === "customVjp"
            ? customVjp((z: Tensor) => Effect.succeed(z.mul(w)), {
              fwd: (z) => Effect.succeed([z.mul(w), null] as const),
              bwd: (_, ct) => Effect.succeed([ct] as const)
            })(f32(2))
            : customJvp((z: Tensor) => Effect.succeed(z.mul(w)), ([z], [t]) => Effect.succeed([z.mul(w), t] as const))(
              f32(2)
            )
        const error = yield* failsWith(grad(wrong)(f32(3)), "TraceError")
        assert.match(error.message, /captured.*pass the array as an argument/)
        yield* failsWith(jit((w: Tensor) => grad(wrong)(w))(f32(3)), "TraceError")
        yield* expectEqual(yield* grad((w: Tensor) => wrong(T.lax.stopGradient(w)))(f32(3)), 0)
      }))

    it.effect(`${name}: Variables, checks and wrong shapes are refused`, () =>
      Effect.gen(function*() {
        const m = Unit.make(1)
        const make = (g: (z: Tensor) => Effect.Effect<Tensor, unknown>): F =>
          name === "customVjp"
            ? customVjp((z: Tensor) => Effect.succeed(z), {
              fwd: (z) => Effect.map(Effect.orDie(g(z)), (y) => [y, null] as const),
              bwd: (_, ct) => Effect.succeed([ct] as const)
            })
            : customJvp(
              (z: Tensor) => Effect.succeed(z),
              ([z], [t]) => Effect.map(Effect.orDie(g(z)), (y) => [y, t] as const)
            )
        const write = make((z) => Effect.as(Ref.update(m.w, (w) => w.add(1)), z))
        const error = yield* failsWith(write(f32(1)), "TraceError")
        assert.match(error.message, /Variable \(Param\)/)
        yield* failsWith(
          make((z) => Effect.as(Check.that(z.gt(0), "no"), z) as Effect.Effect<Tensor>)(f32(1)),
          "TraceError"
        )
        const shape = yield* failsWith(make((z) => Effect.succeed(T.stack([z, z])))(f32(1)), "ShapeError")
        assert.match(shape.message, /f32\[\].*f32\[2\]/)
        yield* failsWith(make(() => Effect.promise(() => Promise.resolve(f32(1))))(f32(1)), "TraceError")
        yield* expectEqual(yield* Ref.get(m.w), 1)
      }))
  }

  it.effect("customVjp of trees: null for no cotangent, integers, residuals of any tree", () =>
    Effect.gen(function*() {
      type Tree = { readonly a: Tensor; readonly k: Tensor }
      const f = customVjp((t: Tree, ys: readonly [Tensor, Tensor]) =>
        Effect.succeed({ u: t.a.mul(ys[0]), v: ys[1].mul(t.k.astype("float32")) }), {
        fwd: (t, ys) =>
          Effect.succeed(
            [{ u: t.a.mul(ys[0]), v: ys[1].mul(t.k.astype("float32")) }, [t, { y: ys[0] }, "static"] as const] as const
          ),
        bwd: ([t, { y }], ct) =>
          Effect.succeed([null, [ct.u.mul(t.a), ct.v.add(y)] as const] as const)
      })
      const loss = (t: Tree, ys: readonly [Tensor, Tensor]) =>
        Effect.map(f(t, ys), ({ u, v }) => u.sum().add(v.sum()))
      const [gy] = yield* grad(loss, { argnums: [1] })({ a: f32([1, 2]), k: i32(3) }, [f32([5, 6]), f32([7, 8])])
      yield* expectEqual(gy[0], [1, 2])
      yield* expectEqual(gy[1], [6, 7])
      const ga = yield* grad((a: Tensor) => loss({ a, k: i32(3) }, [f32([5, 6]), f32([7, 8])]))(f32([1, 2]))
      yield* expectEqual(ga, [0, 0])
    }))

  it.effect("forward mode: customJvp has it, customVjp says so", () =>
    Effect.gen(function*() {
      const [, t] = yield* jvp(viaJvp, [f32(x)], [f32(2)])
      yield* expectClose(t, 2 * slope)
      yield* expectClose((yield* jacfwd(viaJvp)(f32(xs))).diagonal(), xs.map((v) => 100 * Math.cos(v)))
      const [, push] = yield* linearize(viaJvp, f32(x))
      yield* expectClose(yield* push(f32(2)), 2 * slope)
      const loop: F = (y) =>
        whileLoop(
          (z) => Effect.succeed(z.gt(0.3)),
          (z) => viaJvp(z).pipe(Effect.map((s) => s.mul(0.5)), Effect.orDie),
          y
        )
      const [, looped] = yield* jvp(loop, [f32(x)], [f32(1)])
      const once = 0.5 * Math.sin(x)
      yield* expectClose(looped, 50 * Math.cos(x) * (once > 0.3 ? 50 * Math.cos(once) : 1))
      const error = yield* failsWith(jvp(viaVjp, [f32(x)], [f32(1)]), "TraceError")
      assert.match(error.message, /custom vjp.*reverse mode/)
      yield* failsWith(jacfwd(viaVjp)(f32(x)), "TraceError")
      const [, pushed] = yield* linearize(viaVjp, f32(x))
      yield* failsWith(pushed(f32(1)), "TraceError")
      yield* failsWith(jit((y: Tensor) => Effect.flatMap(linearize(viaVjp, y), ([, p]) => p(y)))(f32(1)), "TraceError")
    }))

  it.effect("a rule that itself loops, branches and differentiates", () =>
    Effect.gen(function*() {
      const cube: F = (y) =>
        Effect.map(
          scan((c: Tensor) => Effect.succeed([c.mul(y), null] as const), { length: 3, inAxes: [{ _tag: "Carry" }] })(
            f32(1)
          ),
          ([c]) => c
        )
      const f = customJvp((y: Tensor) => cube(y), ([y], [t]) => jvp(cube, [y], [t]))
      yield* expectClose(yield* grad(f)(f32(2)), 12)
      yield* expectClose(yield* grad((y: Tensor) => grad(f)(y))(f32(2)), 12)
      yield* expectClose(yield* jit((y: Tensor) => grad(f)(y))(f32(2)), 12)
      yield* expectClose(yield* vmap((y: Tensor) => grad(f)(y))(f32([2, 3])), [12, 27])
      const branch: F = (y) => cond(y.gt(0), (z) => Effect.succeed(z.mul(z)), (z) => Effect.succeed(z), y)
      const g = customJvp((y: Tensor) => branch(y), ([y], [t]) => jvp(branch, [y], [t]))
      yield* expectClose(yield* grad(g)(f32(3)), 6)
      const h = customVjp((y: Tensor) => cube(y), {
        fwd: (y) => Effect.map(cube(y), (c) => [c, y] as const),
        bwd: (y, ct) => Effect.map(grad(cube)(y), (d) => [d.mul(ct)] as const)
      })
      yield* expectClose(yield* grad(h)(f32(2)), 12)
    }))

  it.effect("callbacks in function and forward rule happen once", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const note = (what: string, y: Tensor) => Debug.callback(y, () => seen.push(what))
      const f = customVjp((y: Tensor) => Effect.as(note("f", y), y.sin()), {
        fwd: (y) => Effect.as(note("fwd", y), [y.sin(), y] as const),
        bwd: (y, ct) => Effect.succeed([ct.mul(y)] as const)
      })
      yield* jit((y: Tensor) => f(y))(f32(1))
      assert.deepStrictEqual(seen, ["f"])
      yield* jit((y: Tensor) => grad(f)(y))(f32(1))
      assert.deepStrictEqual(seen, ["f", "fwd"])
    }))

  it.effect("arrays of Variables are passed as values", () =>
    Effect.gen(function*() {
      const v = Param.makeUnsafe(f32([1, 2]))
      const loss = (u: typeof v) => Effect.flatMap(Ref.get(u), sum(viaVjp))
      const g = yield* grad(loss)(v)
      yield* expectClose(g.value, [100 * Math.cos(1), 100 * Math.cos(2)])
    }))
})
