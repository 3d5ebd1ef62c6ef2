// What bad input to transforms gets: typed failures that say what, where and what to do, in the error channel, with
// nothing written.
import { assert, describe, it, layer } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Ref from "effect/Ref"
import { item, toNested } from "../../src/Backend/read.ts"
import * as Cpu from "../../src/Backend/Tfjs/Cpu/index.ts"
import { immutable } from "../../src/GraphDef/index.ts"
import { BatchStat, Param, type Variable } from "../../src/Ref/Variable.ts"
import * as T from "../../src/Tensor/index.ts"
import type { Tensor } from "../../src/Tensor/Tensor.ts"
import {
  Carry,
  cond,
  Debug,
  foriLoop,
  grad,
  hessian,
  jit,
  jvp,
  linearize,
  psum,
  remat,
  scan,
  stateAxes,
  switchCase,
  vjp,
  vmap,
  whileLoop
} from "../../src/Transform/index.ts"
import { Count, expectEqual, f32, failsWith, i32, Unit } from "./common.ts"

/** Every transform, applied to a function of one float array that gives a scalar. */
const transforms: ReadonlyArray<
  readonly [string, <E>(f: (x: Tensor) => Effect.Effect<Tensor, E>) => (x: Tensor) => Effect.Effect<unknown, unknown>]
> = [
  ["grad", (f) => grad(f)],
  ["vjp", (f) => (x) => vjp(f, x)],
  ["jvp", (f) => (x) => jvp(f, [x], [x])],
  ["linearize", (f) => (x) => linearize(f, x)],
  ["hessian", (f) => hessian(f)],
  ["vmap", (f) => (x) => vmap(f)(x.expandDims(0))],
  ["remat", (f) => remat(f)],
  ["scan", (f) => (x) => scan((y: Tensor) => f(y), { inAxes: 0, outAxes: 0 })(x.expandDims(0))],
  ["cond", (f) => (x) => cond(true, f, f, x)],
  ["switch", (f) => (x) => switchCase(0, [f, f], x)],
  ["foriLoop", (f) => (x) => foriLoop(0, 2, (i, y) => Effect.map(f(y), (s) => y.mul(s).add(i)), x)],
  [
    "whileLoop",
    (f) => (x) => whileLoop((y: Tensor) => Effect.map(f(y), (s) => s.gt(1e9)), (y) => Effect.succeed(y), x)
  ]
]

layer(Cpu.layer)("a wrt that selects nothing", (it) => {
  const [weighed, counted] = [
    Unit.make(2),
    new Unit({ w: Count.makeUnsafe(f32(1)), n: Count.makeUnsafe(i32(0)) } as never)
  ]
  const f = (u: Unit, x: Tensor) => Effect.map(Ref.get(u.w), (w) => w.mul(x))
  it.effect("is an error, since nothing would be trained", () =>
    Effect.gen(function*() {
      const none = yield* failsWith(grad(f, { wrt: BatchStat })(weighed, f32(3)), "StructureError")
      assert.match(none.message, /wrt BatchStat selects no Variables of argument 0[^]*found Count, Param/)
      yield* failsWith(grad(f, { wrt: BatchStat, argnums: [0, 1] })(weighed, f32(3)), "StructureError")
      yield* failsWith(grad(f)(counted, f32(3)), "StructureError")
    }))
  it.effect("is fine for a model without parameters next to what is differentiated", () =>
    Effect.gen(function*() {
      const [state, slope] = yield* grad(f, { argnums: [0, 1] })(counted, f32(3))
      assert.strictEqual(Object.keys(state).length, 0)
      yield* expectEqual(slope, 1)
    }))
})

layer(Cpu.layer)("errors of every transform", (it) => {
  for (const [name, apply] of transforms) {
    it.effect(`${name}: a shape error that the function throws is a failure, inside jit and outside`, () =>
      Effect.gen(function*() {
        const f = (x: Tensor) => Effect.succeed(x.add(f32([1, 2, 3, 4, 5])).sum())
        const error = yield* failsWith(apply(f)(f32([1, 2, 3])), "ShapeError")
        assert.match(error.message, /\[3\].*\[5\]|\(3,?\).*\(5,?\)/)
        yield* failsWith(jit((x: Tensor) => apply(f)(x))(f32([1, 2, 3])), "ShapeError")
      }))

    it.effect(`${name}: waiting is a TraceError, and the wait is over`, () =>
      Effect.gen(function*() {
        let later = 0
        const f = (x: Tensor) =>
          Effect.gen(function*() {
            yield* Effect.promise(() => Promise.resolve(1))
            later++
            return x.sum()
          })
        const error = yield* failsWith(apply(f)(f32([1])), "TraceError")
        assert.match(error.message, /asynchronous/)
        yield* Effect.promise(() => new Promise((done) => setTimeout(done, 2)))
        assert.strictEqual(later, 0)
      }))

    it.effect(`${name}: the function's own failure comes through`, () =>
      Effect.gen(function*() {
        const f = (x: Tensor): Effect.Effect<Tensor, string> => x.ndim > 5 ? Effect.succeed(x) : Effect.fail("own")
        assert.strictEqual(yield* Effect.flip(apply(f)(f32([1]))), "own")
        assert.strictEqual(yield* Effect.flip(jit((x: Tensor) => apply(f)(x))(f32([1]))), "own")
      }))

    it.effect(`${name}: a defect stays a defect`, () =>
      Effect.gen(function*() {
        const f = (x: Tensor): Effect.Effect<Tensor> => Effect.die(new Error(`defect ${x.ndim}`))
        const exit = yield* Effect.exit(apply(f)(f32([1])))
        assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
      }))

    it.effect(`${name}: a write to an immutable Variable is typed`, () =>
      Effect.gen(function*() {
        const m = immutable(Unit.make(1))
        const frozen = Effect.isEffect(m) ? yield* (m as Effect.Effect<Unit>) : m
        const f = (x: Tensor) => Effect.as(Ref.set(frozen.w, f32(2)), x.sum())
        const error = yield* failsWith(apply(f)(f32([1])), "ImmutableVariableError")
        assert.match(error.message, /Cannot mutate Variable as it is marked as immutable/)
        yield* expectEqual(yield* Ref.get(frozen.w), 1)
      }))
  }
})

layer(Cpu.layer)("reading inside a trace", (it) => {
  it.effect("is a ConcretizationError that names the transform", () =>
    Effect.gen(function*() {
      const f = jit((x: Tensor) => Effect.map(item(x), (n) => x.mul(n)), { name: "peek" })
      const error = yield* failsWith(f(f32(1)), "ConcretizationError")
      assert.match(error.message, /f32\[\].*jit\(peek\).*where, cond or whileLoop/)
      yield* failsWith(jit((x: Tensor) => Effect.as(toNested(x.add(1)), x))(f32([1])), "ConcretizationError")
      yield* failsWith(grad((x: Tensor) => Effect.as(item(x), x))(f32(1)), "ConcretizationError")
    }))

  it.effect("of a captured array that is known is none", () =>
    Effect.gen(function*() {
      const known = f32(3)
      const f = jit((x: Tensor) => Effect.map(item(known.add(1)), (n) => x.mul(n)))
      yield* expectEqual(yield* f(f32(2)), 8)
    }))

  it.effect("by a boolean mask", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(jit((x: Tensor) => Effect.succeed(x.get(x.gt(0))))(f32([1, -1])))
      assert.isTrue(Exit.isFailure(exit))
      const error = yield* Effect.flip(jit((x: Tensor) => Effect.succeed(x.get(x.gt(0))))(f32([1, -1])))
      assert.include(["ConcretizationError", "IndexError"], error._tag)
      assert.match(error.message, /where/)
    }))
})

layer(Cpu.layer)("what leaks out of a trace", (it) => {
  it.effect("an array: TracerLeakError that names the transform", () =>
    Effect.gen(function*() {
      const out: Array<Tensor> = []
      const f = jit((x: Tensor) => {
        out.push(x, x.mul(2))
        return Effect.succeed(x)
      }, { name: "leaky" })
      yield* f(f32([1, 2]))
      for (const x of out) {
        const error = yield* failsWith(toNested(x), "TracerLeakError")
        assert.match(error.message, /f32\[2\].*jit\(leaky\).*return it/)
        yield* failsWith(toNested(x.add(1)), "TracerLeakError")
        yield* failsWith(jit((y: Tensor) => Effect.succeed(y.add(x)))(f32([1, 2])), "TracerLeakError")
        yield* failsWith(jit((y: Tensor) => Effect.succeed(y))(x), "TracerLeakError")
        yield* failsWith(
          Effect.flatMap(grad((y: Tensor) => Effect.succeed(y.mul(x).sum()))(f32([1, 2])), toNested),
          "TracerLeakError"
        )
      }
    }))

  it.effect("from an inner trace into the outer one", () =>
    Effect.gen(function*() {
      const f = jit((x: Tensor) =>
        Effect.gen(function*() {
          let inner = x
          yield* vmap((y: Tensor) => {
            inner = y.mul(2)
            return Effect.succeed(y)
          })(x)
          return inner
        })
      )
      const error = yield* failsWith(f(f32([1, 2])), "TracerLeakError")
      assert.match(error.message, /vmap/)
    }))

  it.effect("a Variable: reading and writing it fails, also in another trace", () =>
    Effect.gen(function*() {
      const out: Array<Variable<"Param", Tensor>> = []
      yield* jit((x: Tensor) => {
        out.push(Param.makeUnsafe(x))
        return Effect.succeed(x)
      })(f32(1))
      const [v] = out
      for (const use of [Ref.get(v), Ref.set(v, f32(1)), Ref.update(v, (x) => x)]) {
        const exit = yield* Effect.exit(use as Effect.Effect<unknown>)
        const [reason] = Exit.isFailure(exit) ? exit.cause.reasons : []
        assert.isTrue(reason !== undefined && Cause.isDieReason(reason) && reason.defect instanceof T.TracerLeakError)
      }
      yield* failsWith(jit((x: Tensor) => Effect.map(Ref.get(v), (y) => x.add(y)))(f32(1)), "TracerLeakError")
      yield* failsWith(jit((x: Tensor) => Effect.as(Ref.set(v, x), x))(f32(1)), "TracerLeakError")
      yield* failsWith(jit((u: typeof v) => Ref.get(u))(v), "TracerLeakError")
      yield* failsWith(grad((u: typeof v) => Ref.get(u))(v), "TracerLeakError")
    }))
})

layer(Cpu.layer)("axes", (it) => {
  const m = Unit.make([1, 2], [3, 4])

  it.effect("one object at two places with two axes: AliasError that names both paths", () =>
    Effect.gen(function*() {
      const f = (a: Unit, b: { readonly u: Unit }) => Effect.map(Ref.get(a.w), (w) => w.sum().add(b.u === a ? 1 : 0))
      const error = yield* failsWith(vmap(f, { inAxes: [0, null] })(m, { u: m }), "AliasError")
      assert.match(error.message, /Inconsistent aliasing/)
      assert.match(error.message, /\n  0\/n: 0\n  1\/u\/n: null/)
      yield* failsWith(scan(f, { inAxes: [0, null], outAxes: 0 })(m, { u: m }), "AliasError")
      yield* expectEqual(yield* vmap(f)(m, { u: m }), [2, 3])
    }))

  it.effect("agreeing specs of different form are one axis (F.003)", () =>
    Effect.gen(function*() {
      const f = (a: Unit, b: Unit) => Effect.map(Ref.get(a.w), (w) => a === b ? w : w.neg())
      const out = vmap(f, { inAxes: [stateAxes([[Param, 0], [Count, null]]), stateAxes([[Count, null], [Param, 0]])] })
      yield* expectEqual(yield* out(m, m), [1, 2])
    }))

  it.effect("an argument that comes back with another axis: AliasError (F.004)", () =>
    Effect.gen(function*() {
      const w = Param.makeUnsafe(f32([[1, 2], [3, 4]]))
      const f = (v: typeof w) => Effect.as(Ref.update(v, (x) => x.add(1)), v)
      const error = yield* failsWith(vmap(f, { inAxes: 0, outAxes: 1 })(w), "AliasError")
      assert.match(error.message, /different prefixes:\nNode: Param\n  inAxes\/0: 0\n  outAxes: 1/)
      yield* expectEqual(yield* Ref.get(w), [[1, 2], [3, 4]])
      assert.strictEqual(yield* vmap(f)(w), w)
      yield* expectEqual(yield* Ref.get(w), [[2, 3], [4, 5]])
    }))

  it.effect("that arrays don't have, sizes that differ, none at all", () =>
    Effect.gen(function*() {
      const f = (x: Tensor, y: Tensor) => Effect.succeed(x.sum().add(y.sum()))
      const wrong = yield* failsWith(vmap(f, { inAxes: [2, 0] })(f32([1, 2]), f32([1])), "ShapeError")
      assert.match(wrong.message, /axis 2.*f32\[2\] at 0/)
      const sizes = yield* failsWith(vmap(f)(f32([1, 2]), f32([1, 2, 3])), "ShapeError")
      assert.match(sizes.message, /2 at 0, 3 at 1/)
      yield* failsWith(vmap(f, { inAxes: null })(f32([1]), f32([1])), "ShapeError")
      yield* failsWith(vmap(f, { inAxes: [0] })(f32([1]), f32([1])), "ShapeError")
      yield* failsWith(vmap(f, { outAxes: 1 })(f32([1]), f32([1])), "ShapeError")
      yield* failsWith(vmap(f, { inAxes: [Carry, 0] })(f32([1]), f32([1])), "TraceError")
      const none = yield* failsWith(
        vmap((u: Unit) => Ref.get(u.w), { inAxes: stateAxes([[Param, 0]]) })(m),
        "ShapeError"
      )
      assert.match(none.message, /none for 0\/n/)
    }))

  it.effect("a batched write to a Variable that is not mapped: TraceError that names the path, and no write (F.020)", () =>
    Effect.gen(function*() {
      const u = Unit.make(1)
      const f = (v: { readonly inner: Unit }, x: Tensor) => Ref.set(v.inner.w, x)
      const error = yield* failsWith(vmap(f, { inAxes: [null, 0] })({ inner: u }, f32([1, 2])), "TraceError")
      assert.match(error.message, /0\/inner\/w: got axis spec null but output was batched on axis 0/)
      const captured = vmap((x: Tensor) => Ref.set(u.w, x))
      yield* failsWith(captured(f32([1, 2])), "TraceError")
      yield* failsWith(jit((x: Tensor) => captured(x))(f32([1, 2])), "TraceError")
      yield* expectEqual(yield* Ref.get(u.w), 1)
    }))

  it.effect("a collective without its axis is an error when it runs", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(jit((x: Tensor) => Effect.succeed(psum(x, "nowhere")))(f32(1)))
      assert.match(String(Exit.isFailure(exit) ? exit.cause : ""), /nowhere/)
    }))
})

layer(Cpu.layer)("carries", (it) => {
  it.effect("that change list all paths", () =>
    Effect.gen(function*() {
      const body = (c: { readonly a: Tensor; readonly b: Tensor; readonly c: Tensor }, x: Tensor) =>
        Effect.succeed([{ a: T.stack([c.a, x]), b: c.b.astype("int32"), c: c.c.add(x) }, x] as const)
      const error = yield* failsWith(scan(body)({ a: f32(0), b: f32(0), c: f32(0) }, f32([1, 2])), "StructureError")
      assert.match(error.message, /carry\/a: expected f32\[\], found f32\[2\]/)
      assert.match(error.message, /carry\/b: expected f32\[\], found i32\[\]/)
      assert.notMatch(error.message, /carry\/c/)
    }))

  it.effect("that lose, gain or change parts", () =>
    Effect.gen(function*() {
      const lose = (c: { readonly a: Tensor; readonly b?: Tensor }) => Effect.succeed([{ a: c.a }, null] as const)
      const lost = yield* failsWith(
        scan(lose, { length: 2, inAxes: [Carry] })({ a: f32(0), b: f32(1) }),
        "StructureError"
      )
      assert.match(lost.message, /carry\/b: expected f32\[\], found nothing/)
      const gain = (c: { readonly a: Tensor; readonly d?: Tensor }) => Effect.succeed([{ ...c, d: c.a }, null] as const)
      const gained = yield* failsWith(scan(gain, { length: 2, inAxes: [Carry] })({ a: f32(0) }), "StructureError")
      assert.match(gained.message, /carry\/d: expected nothing, found f32\[\]/)
    }))

  it.effect("with other Variables than those that came in (F.017)", () =>
    Effect.gen(function*() {
      const m = Unit.make(1)
      const fresh = (u: Unit) => Effect.map(Ref.get(u.n), () => [Unit.make(2), null] as const)
      const error = yield* failsWith(scan(fresh, { length: 2, inAxes: [Carry] })(m), "StructureError")
      assert.match(error.message, /Carry references must be the same between iterations/)
      const swap = ([a, b]: readonly [Unit, Unit]) => Effect.succeed([[b, a] as const, null] as const)
      yield* failsWith(scan(swap, { length: 2, inAxes: [Carry] })([m, Unit.make(2)] as const), "StructureError")
      yield* failsWith(
        whileLoop(([a]: readonly [Unit, Unit]) => Effect.map(Ref.get(a.w), (w) => w.lt(0)), ([a, b]) =>
          Effect.succeed([b, a] as const), [
          m,
          Unit.make(2)
        ]),
        "StructureError"
      )
    }))

  it.effect("in one of inAxes and outAxes only, or several", () =>
    Effect.gen(function*() {
      const f = (c: Tensor, x: Tensor) => Effect.succeed([c, x] as const)
      yield* failsWith(scan(f, { outAxes: 0 })(f32(0), f32([1])), "TraceError")
      yield* failsWith(scan(f, { inAxes: [0, 0] })(f32([0]), f32([1])), "TraceError")
      yield* failsWith(scan(f, { inAxes: [Carry, Carry], length: 1 })(f32(0), f32(1)), "TraceError")
    }))

  it.effect("a Variable whose shape a step changes", () =>
    Effect.gen(function*() {
      const m = Unit.make(1)
      const grow = (u: Unit, x: Tensor) => Ref.update(u.w, (w) => T.stack([w, x]))
      const error = yield* failsWith(scan(grow, { inAxes: [null, 0], outAxes: 0 })(m, f32([1, 2])), "StructureError")
      assert.match(error.message, /0\/w: expected f32\[\], found f32\[2\]/)
      const captured = yield* failsWith(
        scan((x: Tensor) => grow(m, x), { inAxes: 0, outAxes: 0 })(f32([1, 2])),
        "StructureError"
      )
      assert.match(captured.message, /captured Param/)
      yield* failsWith(cond(f32(1), () => grow(m, f32(1)), () => Effect.void), "StructureError")
      yield* expectEqual(yield* Ref.get(m.w), 1)
    }))
})

describe("branches and loops", () => {
  it.effect("branches of different structure: StructureError that names branch and path", () =>
    Effect.gen(function*() {
      const error = yield* failsWith(
        switchCase(i32(0), [
          () => Effect.succeed<{ readonly a: Tensor; readonly b: ReadonlyArray<Tensor> }>({ a: f32(0), b: [f32(1)] }),
          () => Effect.succeed({ a: f32([0]), b: [i32(1)] })
        ]),
        "StructureError"
      )
      assert.match(error.message, /branch 1\/a: expected f32\[\], found f32\[1\]/)
      assert.match(error.message, /branch 1\/b\/0: expected f32\[\], found i32\[\]/)
      yield* failsWith(
        switchCase(i32(0), [
          () => Effect.succeed<ReadonlyArray<Tensor>>([f32(0)]),
          () => Effect.succeed([f32(0), f32(1)])
        ]),
        "StructureError"
      )
    }))

  it.effect("a predicate that is no scalar, a float index", () =>
    Effect.gen(function*() {
      const same = (x: Tensor) => Effect.succeed(x)
      yield* failsWith(cond(f32([1, 2]), same, same, f32(1)), "ShapeError")
      yield* failsWith(switchCase(f32(1), [same, same], f32(1)), "DTypeError")
      yield* failsWith(switchCase(i32(1), [same].slice(1), f32(1)), "TraceError")
    }))

  it.effect("conditions that are no bool, no scalar, or that write", () =>
    Effect.gen(function*() {
      const m = Unit.make(1)
      const body = (x: Tensor) => Effect.succeed(x)
      yield* failsWith(whileLoop((x: Tensor) => Effect.succeed(x), body, f32(1)), "DTypeError")
      yield* failsWith(whileLoop((x: Tensor) => Effect.succeed(x.gt(0)), body, f32([1])), "ShapeError")
      const writing = (x: Tensor) => Effect.as(Ref.update(m.w, (w) => w.add(1)), x.gt(0))
      yield* failsWith(whileLoop(writing, body, f32(1)), "TraceError")
      yield* expectEqual(yield* Ref.get(m.w), 1)
    }).pipe(Effect.provide(Cpu.layer)))

  it.effect("grad through a while is a TraceError that says what to do", () =>
    Effect.gen(function*() {
      const f = (x: Tensor) => whileLoop((y: Tensor) => Effect.succeed(y.lt(10)), (y) => Effect.succeed(y.mul(2)), x)
      const error = yield* failsWith(grad(f)(f32(1)), "TraceError")
      assert.match(error.message, /whileLoop.*cannot be differentiated in reverse.*foriLoop with static bounds/)
      yield* failsWith(jit((x: Tensor) => grad(f)(x))(f32(1)), "TraceError")
      yield* failsWith(vjp(f, f32(1)), "TraceError")
    }).pipe(Effect.provide(Cpu.layer)))
})

describe("derivatives", () => {
  it.effect("of what is no scalar, no float, or not there", () =>
    Effect.gen(function*() {
      const same = (x: Tensor) => Effect.succeed(x)
      const shape = yield* failsWith(grad(same)(f32([1, 2])), "ShapeError")
      assert.match(shape.message, /one scalar.*f32\[2\]/)
      const value = yield* failsWith(grad((x: Tensor) => Effect.succeed(x.gt(0)))(f32(1)), "DTypeError")
      assert.match(value.message, /floating value/)
      const integer = yield* failsWith(
        grad((t: { readonly a: Tensor; readonly k: { readonly n: Tensor } }) => Effect.succeed(t.a))({
          a: f32(1),
          k: { n: i32(1) }
        }),
        "DTypeError"
      )
      assert.match(integer.message, /i32\[\] at 0\/k\/n/)
      const argnums = yield* failsWith(grad(same, { argnums: 3 as 0 })(f32(1)), "ShapeError")
      assert.match(argnums.message, /within the 1 arguments/)
    }))

  it.effect("tangents and cotangents that don't fit", () =>
    Effect.gen(function*() {
      const f = (x: Tensor) => Effect.succeed(x.mul(2))
      yield* failsWith(jvp(f, [f32([1, 2])], [f32([1])]), "ShapeError")
      yield* failsWith(jvp(f, [f32([1, 2])], [i32([1, 2])]), "DTypeError")
      const [, back] = yield* vjp(f, f32([1, 2]))
      yield* failsWith(back(f32(1)), "ShapeError")
      yield* failsWith(back(i32([1, 1])), "DTypeError")
      const [, push] = yield* linearize(f, f32([1, 2]))
      yield* failsWith(push(f32([1, 2, 3])), "ShapeError")
    }))

  it.effect("vjp, jvp and linearize want arrays, and say what to do with Modules", () =>
    Effect.gen(function*() {
      const m = Unit.make(1)
      const f = (u: Unit) => Ref.get(u.w)
      const error = yield* failsWith(vjp(f, m), "TraceError")
      assert.match(error.message, /0\/n holds a Variable.*split the model/)
      yield* failsWith(jvp(f, [m], [m]), "TraceError")
      yield* failsWith(linearize(f, m), "TraceError")
      yield* failsWith(vjp((x: Tensor) => Effect.sync(() => Param.makeUnsafe(x)), f32(1)), "TraceError")
    }))

  it.effect("callbacks without a Backend say so", () =>
    Effect.gen(function*() {
      const f = (x: Tensor) => Effect.as(Debug.callback({ x }, () => {}), x)
      const error = yield* failsWith(grad(f)(f32(1)) as Effect.Effect<unknown, unknown>, "TraceError")
      assert.match(error.message, /need a Backend/)
    }))

  it.effect("what has no effect needs no Backend", () =>
    Effect.gen(function*() {
      const f = (x: Tensor) =>
        Effect.flatMap(cond(x.gt(0), (y) => Effect.succeed(y.sin()), (y) => Effect.succeed(y), x), (y) =>
          remat((z: Tensor) => foriLoop(0, 3, (i, v) => Effect.succeed(v.mul(z).add(i)), z))(y))
      yield* vmap((x: Tensor) =>
        grad(f)(x)
      )(f32([1, 2]))
      yield* hessian(f)(f32(1))
    }))
})
