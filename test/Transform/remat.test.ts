// remat: the same derivatives, with what the policy says computed again. How often is counted in the Programs.
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import { toNested } from "../../src/Backend/read.ts"
import * as Cpu from "../../src/Backend/Tfjs/Cpu/index.ts"
import { simplify } from "../../src/Program/simplify.ts"
import * as T from "../../src/Tensor/index.ts"
import type { Tensor } from "../../src/Tensor/Tensor.ts"
import {
  checkpointName,
  Debug,
  grad,
  hessian,
  jit,
  jvp,
  makeProgram,
  remat,
  type RematOptions,
  scan,
  valueAndGrad,
  vmap
} from "../../src/Transform/index.ts"
import type { Numbers } from "../support/close.ts"
import { countOf, expectClose, expectEqual, f32, Unit } from "./common.ts"

const w = f32([[0.5, -0.3], [0.2, 0.8]])
const x = f32([0.3, -0.7])

/** Two products and three activations. */
const block = (a: Tensor, b: Tensor) =>
  Effect.sync(() => {
    const h = checkpointName(a.matmul(b).sin(), "hidden")
    return checkpointName(a.matmul(h).sin(), "out").tanh().sum()
  })

const policies: ReadonlyArray<readonly [string, RematOptions, dots: number, sins: number]> = [
  // The sines' derivatives need the products, the second product's needs the hidden sine, that of tanh the last one.
  ["nothing_saveable", { policy: "nothing_saveable" }, 2, 2],
  ["everything_saveable", { policy: "everything_saveable" }, 0, 0],
  ["dots_saveable", { policy: "dots_saveable" }, 0, 2],
  ["dots_with_no_batch_dims_saveable", { policy: "dots_with_no_batch_dims_saveable" }, 0, 2],
  ["only the hidden one", { policy: { saveOnlyTheseNames: ["hidden"] } }, 2, 1],
  ["both names", { policy: { saveOnlyTheseNames: ["hidden", "out"] } }, 2, 0],
  ["all but the hidden one", { policy: { saveAnythingExceptTheseNames: ["hidden"] } }, 0, 1],
  ["by default nothing", {}, 2, 2]
]

/** What jit runs of a gradient. */
const programOf = (options: RematOptions | undefined) => {
  const f = options === undefined ? block : remat(block, options)
  return Effect.map(makeProgram(valueAndGrad(f))(w, x), (program) => simplify(program, { final: true }))
}

layer(Cpu.layer)("remat", (it) => {
  for (const [name, options, dots, sins] of policies) {
    it.effect(`${name}: the same value and derivatives`, () =>
      Effect.gen(function*() {
        const f = remat(block, options)
        yield* expectClose(yield* f(w, x), (yield* toNested(yield* block(w, x))) as Numbers)
        const [g, h] = yield* grad(block, { argnums: [0, 1] })(w, x)
        for (
          const d of [
            yield* grad(f, { argnums: [0, 1] })(w, x),
            yield* jit((a: Tensor, b: Tensor) => grad(f, { argnums: [0, 1] })(a, b))(w, x)
          ]
        ) {
          yield* expectClose(d[0], (yield* toNested(g)) as Numbers)
          yield* expectClose(d[1], (yield* toNested(h)) as Numbers)
        }
        const second = yield* hessian((y: Tensor) => block(w, y))(x)
        yield* expectClose(yield* hessian((y: Tensor) => f(w, y))(x), (yield* toNested(second)) as Numbers)
        const [, t] = yield* jvp((y: Tensor) => f(w, y), [x], [f32([1, 2])])
        const [, u] = yield* jvp((y: Tensor) => block(w, y), [x], [f32([1, 2])])
        yield* expectClose(t, (yield* toNested(u)) as Numbers)
        const rows = yield* vmap((y: Tensor) => grad((z: Tensor) => f(w, z))(y))(T.stack([x, x.mul(2)]))
        yield* expectClose(rows.get(0), (yield* toNested(h)) as Numbers)
      }))

    it.effect(`${name}: computes again ${dots} products and ${sins} sines`, () =>
      Effect.gen(function*() {
        const [plain, found] = [yield* programOf(undefined), yield* programOf(options)]
        assert.strictEqual(countOf(found, "dot_general") - countOf(plain, "dot_general"), dots, "products")
        assert.strictEqual(countOf(found, "sin") - countOf(plain, "sin"), sins, "sines")
      }))

    it.effect(`${name}: in a scan, recomputes as often, whatever the length`, () =>
      Effect.gen(function*() {
        const loss = (f: typeof block) => (a: Tensor, xs: Tensor) =>
          Effect.map(
            scan((c: Tensor, y: Tensor) => Effect.map(f(a, y.add(c)), (s) => [c.add(s), s] as const))(f32(0), xs),
            ([c]) => c
          )
        const xs = f32([[0.3, -0.7], [1, 0.2], [0.1, 0.4]])
        const [g, d] = [
          yield* grad(loss(block))(w, xs),
          yield* grad(loss(remat(block, options) as typeof block))(w, xs)
        ]
        yield* expectClose(d, (yield* toNested(g)) as Numbers)
        const count = (f: typeof block, n: number) =>
          Effect.map(makeProgram(valueAndGrad(loss(f)))(w, T.ones([n, 2])), (p) =>
            countOf(simplify(p, { final: true }), "sin"))
        const rematted = remat(block, options) as typeof block
        assert.strictEqual((yield* count(rematted, 3)) - (yield* count(block, 3)), sins)
        assert.strictEqual(yield* count(rematted, 3), yield* count(rematted, 50))
      }))
  }

  it.effect("of a Module: writes happen once", () =>
    Effect.gen(function*() {
      const m = Unit.make([1, 2])
      const f = remat((u: Unit, y: Tensor) =>
        Effect.gen(function*() {
          yield* Ref.update(u.n, (n) => n.add(1))
          return (yield* Ref.get(u.w)).mul(y).sin().sum()
        })
      )
      const g = yield* grad(f)(m, x)
      yield* expectClose(g.w.value, [0.3 * Math.cos(0.3), -0.7 * Math.cos(-1.4)])
      yield* expectEqual(yield* Ref.get(m.n), 1)
      yield* jit((u: Unit) => grad(f)(u, x))(m)
      yield* expectEqual(yield* Ref.get(m.n), 2)
      const out = yield* remat((u: Unit) => Effect.succeed(u))(m)
      assert.strictEqual(out, m)
    }))

  it.effect("callbacks happen once for each call, not again for the derivative", () =>
    Effect.gen(function*() {
      let calls = 0
      const f = remat((y: Tensor) => Effect.as(Debug.callback({ y }, () => calls++), y.sin().sum()))
      const g = jit((y: Tensor) => grad(f)(y))
      yield* g(x)
      assert.strictEqual(calls, 1)
      yield* toNested(yield* grad(f)(x))
      assert.strictEqual(calls, 2)
    }))

  it.effect("callbacks in a jit in a scan are not called again either", () =>
    Effect.gen(function*() {
      let calls = 0
      const noted = jit((y: Tensor) => Effect.as(Debug.callback({ y }, () => calls++), y.sin()))
      const step = (c: Tensor, v: Tensor) => Effect.map(noted(c.mul(v)), (y): [Tensor, Tensor] => [y, y])
      const f = remat((y: Tensor) => Effect.map(scan(step)(T.array(1), y), ([c]) => c))
      yield* toNested(yield* grad(f)(T.array([0.5, 0.25])))
      assert.strictEqual(calls, 2)
    }))

  it.effect("a remat of a jit, of a scan, of a remat", () =>
    Effect.gen(function*() {
      const inner = jit((y: Tensor) => Effect.succeed(y.sin().mul(y)))
      const f = remat((y: Tensor) =>
        Effect.flatMap(remat((z: Tensor) => inner(z))(y), (z) =>
          Effect.map(
            scan((c: Tensor, v: Tensor) => Effect.succeed([c.mul(v).cos(), null] as const))(f32(1), z),
            ([c]) => c
          ))
      )
      const plain = (y: Tensor) =>
        Effect.sync(() => {
          const z = y.sin().mul(y)
          return z.get(1).mul(z.get(0).cos()).cos()
        })
      yield* expectClose(yield* grad(f)(x), (yield* toNested(yield* grad(plain)(x))) as Numbers)
    }))
})
