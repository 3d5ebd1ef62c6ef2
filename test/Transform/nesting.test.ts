// Transforms nest in any order (F.022): random nestings around fixed functions keep the value, the derivative and what
// is written.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import type { Backend } from "../../src/Backend/Backend.ts"
import { toNested } from "../../src/Backend/read.ts"
import * as Cpu from "../../src/Backend/Tfjs/Cpu/index.ts"
import * as T from "../../src/Tensor/index.ts"
import type { Tensor } from "../../src/Tensor/Tensor.ts"
import {
  Carry,
  checkpointName,
  cond,
  customJvp,
  foriLoop,
  grad,
  jit,
  jvp,
  psum,
  remat,
  scan,
  switchCase,
  type TransformError,
  valueAndGradWithAux,
  vjp,
  vmap,
  whileLoop
} from "../../src/Transform/index.ts"
import { random } from "../support/arbitrary.ts"
import { assertClose, type Numbers } from "../support/close.ts"
import { f32, i32, Unit } from "./common.ts"

/** From an array to an array of its shape. */
type F = (x: Tensor) => Effect.Effect<Tensor, TransformError, Backend>

const stop = (x: Tensor): Tensor => T.lax.stopGradient(x)

/** What leaves a function as it is. Those marked are linear in no other way than by what they wrap. */
const wrappers: Readonly<Record<string, (f: F) => F>> = {
  jit: (f) => jit(f),
  vmap: (f) => (x) => Effect.map(vmap(f)(T.stack([x, x.mul(0.5)])), (y) => y.get(0)),
  "vmap over the last axis": (f) => (x) =>
    Effect.map(vmap(f, { inAxes: -1, outAxes: -1 })(T.stack([x.add(1), x], -1)), (y) => y.get("...", 1)),
  "vmap with psum": (f) => (x) =>
    Effect.map(
      vmap((y: Tensor) => Effect.map(f(y), (z) => psum(z.mul(0.5), "i")), { axisName: "i" })(T.stack([x, x])),
      (y) => y.get(1)
    ),
  scan: (f) => (x) =>
    Effect.map(scan((y: Tensor) => f(y), { inAxes: 0, outAxes: 0 })(x.expandDims(0)), (y) => y.get(0)),
  "scan of the carry": (f) => (x) =>
    Effect.map(
      scan((c: Tensor) => Effect.map(f(c), (y) => [y, null] as const), { inAxes: [Carry], length: 1 })(x),
      ([c]) => c
    ),
  "scan of a constant": (f) => (x) =>
    Effect.map(scan((y: Tensor) => f(y), { inAxes: [null], outAxes: 0, length: 2 })(x), (y) => y.get(1)),
  foriLoop: (f) => (x) => foriLoop(0, 1, (_, y) => Effect.orDie(f(y)), x),
  "cond that holds": (f) => (x) => cond(T.array(true), f, (y) => Effect.succeed(y.mul(0)), x),
  "cond of the value": (f) => (x) => cond(x.sum().lt(1e6), f, (y) => Effect.succeed(y.neg()), x),
  switch: (f) => (x) => switchCase(i32(1), [(y) => Effect.succeed(y.sin()), f], x),
  remat: (f) => remat(f),
  "remat that saves": (f) =>
    remat((x: Tensor) => Effect.map(f(x), (y) => checkpointName(y, "y")), { policy: "everything_saveable" }),
  "a closure": (f) => (x) => {
    const captured = x.mul(1)
    return Effect.flatMap(jit((z: Tensor) => Effect.map(f(captured), (y) => y.add(z.mul(0))))(x), Effect.succeed)
  },
  customJvp: (f) => (x) => customJvp((y: Tensor) => f(y), ([y], [t]) => jvp(f, [y], [t]))(x),
  // The derivative of the sum of z · f(x) by z, at any z, is f(x).
  "grad of the sum": (f) => (x) =>
    grad((z: Tensor, y: Tensor) => Effect.map(f(y), (v) => v.mul(z).sum()))(T.onesLike(x), x),
  "value of valueAndGrad": (f) => (x) =>
    Effect.map(
      valueAndGradWithAux((y: Tensor) => Effect.map(f(y), (v) => [v.sum(), v] as const))(x),
      ([[, aux], g]) => aux.add(stop(g.mul(0)))
    ),
  "jvp, its value": (f) => (x) => Effect.map(jvp(f, [x], [x]), ([y]) => y),
  "vjp, its value": (f) => (x) => Effect.map(vjp(f, x), ([y]) => y)
}

/** Fixed functions. */
const functions: Readonly<Record<string, F>> = {
  smooth: (x) => Effect.succeed(x.sin().mul(x.mul(x).add(1).log())),
  mixing: (x) => Effect.succeed(T.nn.softmax(x).mul(x.cumsum({ axis: 0 })).add(x.max())),
  loop: (x) =>
    Effect.map(
      scan((c: Tensor, v: Tensor) => Effect.sync(() => [c.mul(v).tanh().add(v), c] as const))(f32(0.5), x),
      ([c, ys]) => ys.add(c)
    )
}

const names = Object.keys(wrappers)
const at = [0.3, -0.6, 1.1]

/** The value, the gradient of a weighted sum, and a second derivative along a direction. */
const observe = (f: F, second: boolean) =>
  Effect.gen(function*() {
    const weighted = (x: Tensor) => Effect.map(f(x), (y) => y.mul(f32([1, -2, 0.5])).sum())
    const value = yield* toNested(yield* f(f32(at)))
    const gradient = yield* toNested(yield* grad(weighted)(f32(at)))
    if (!second) return [value, gradient] as unknown as Numbers
    const [, t] = yield* jvp(grad(weighted), [f32(at)], [f32([1, 0.5, -1])])
    return [value, gradient, yield* toNested(t)] as unknown as Numbers
  })

describe("transforms nest", () => {
  for (const [name, f] of Object.entries(functions)) {
    it.effect(`${name}: each around the function, to second order`, () =>
      Effect.gen(function*() {
        const expected = yield* observe(f, true)
        for (const wrapper of names) {
          assertClose(yield* observe(wrappers[wrapper](f), true), expected, { rtol: 1e-4, atol: 1e-5 }, wrapper)
        }
      }).pipe(Effect.provide(Cpu.layer)))
  }

  it.effect("each around each, around the loop", () =>
    Effect.gen(function*() {
      const expected = yield* observe(functions["loop"], false)
      for (const outer of names) {
        for (const inner of names) {
          const g = wrappers[outer](wrappers[inner](functions["loop"]))
          assertClose(yield* observe(g, false), expected, { rtol: 1e-4, atol: 1e-5 }, `${outer} of ${inner}`)
        }
      }
    }).pipe(Effect.provide(Cpu.layer)))

  it.effect("random nestings of up to five", () =>
    Effect.gen(function*() {
      const seeded = random(7)
      const pick = () => seeded.pick(names)
      for (let i = 0; i < 40; i++) {
        const [name, f] = Object.entries(functions)[i % 3]
        const nesting = Array.from({ length: 3 + (i % 3) }, pick)
        const g = nesting.reduceRight((h, wrapper) => wrappers[wrapper](h), f)
        const what = `${nesting.join(" of ")} of ${name}`
        assertClose(yield* observe(g, i % 4 === 0), yield* observe(f, i % 4 === 0), { rtol: 1e-3, atol: 1e-4 }, what)
      }
    }).pipe(Effect.provide(Cpu.layer)))

  it.effect("a write inside happens once, whatever is around it", () =>
    Effect.gen(function*() {
      const m = Unit.make(1)
      const body: F = (x) =>
        Effect.gen(function*() {
          yield* Ref.update(m.n, (n) => n.add(1))
          return x.mul(yield* Ref.get(m.w))
        })
      // Not: what runs it twice, what takes no writes, and a branch that elements of a batch take or not.
      const once = names.filter((name) => !["scan of a constant", "customJvp", "cond of the value"].includes(name))
      for (const outer of once) {
        for (const inner of once) {
          yield* Ref.set(m.n, i32(0))
          yield* jit((x: Tensor) => wrappers[outer](wrappers[inner](body))(x))(f32(at))
          assert.strictEqual(yield* toNested(yield* Ref.get(m.n)), 1, `${outer} of ${inner}`)
        }
      }
    }).pipe(Effect.provide(Cpu.layer)))

  it.effect("a while inside them, in forward mode", () =>
    Effect.gen(function*() {
      const loop: F = (x) =>
        whileLoop((y) => Effect.succeed(y.sum().lt(10)), (y) => Effect.succeed(y.mul(1.5).add(0.1)), x)
      const forward = names.filter((name) =>
        !["grad of the sum", "value of valueAndGrad", "vjp, its value"].includes(name)
      )
      const expected = yield* Effect.flatMap(jvp(loop, [f32(at)], [f32([1, 2, 3])]), ([, t]) => toNested(t))
      for (const wrapper of forward) {
        const [, t] = yield* jvp(wrappers[wrapper](loop), [f32(at)], [f32([1, 2, 3])])
        assertClose((yield* toNested(t)) as Numbers, expected as Numbers, { rtol: 1e-4 }, wrapper)
      }
    }).pipe(Effect.provide(Cpu.layer)))
})
