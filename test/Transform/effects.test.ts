// Callbacks and checks: at every run, in order, in every transform; the first check that fails wins.
import { assert, layer } from "@effect/vitest"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import { Backend } from "../../src/Backend/Backend.ts"
import { toNested } from "../../src/Backend/read.ts"
import * as Cpu from "../../src/Backend/Tfjs/Cpu/index.ts"
import * as T from "../../src/Tensor/index.ts"
import type { Tensor } from "../../src/Tensor/Tensor.ts"
import {
  Check,
  cond,
  Debug,
  evalShape,
  foriLoop,
  grad,
  hessian,
  jit,
  jvp,
  linearize,
  makeProgram,
  remat,
  scan,
  switchCase,
  type TransformError,
  vjp,
  vmap,
  whileLoop
} from "../../src/Transform/index.ts"
import { expectEqual, f32, failsWith, given, i32, Unit } from "./common.ts"

/** Notes what callbacks are given. */
const recorder = () => {
  const seen: Array<string> = []
  const note = (what: string, x: Tensor) => Debug.callback(x, (v) => seen.push(`${what} ${given(v).join(",")}`))
  const take = () => seen.splice(0)
  return { note, take }
}

layer(Cpu.layer)("callbacks", (it) => {
  it.effect("outside of any transform happen at once", () =>
    Effect.gen(function*() {
      const { note, take } = recorder()
      yield* note("now", f32([1, 2]).add(1))
      assert.deepStrictEqual(take(), ["now 2,3"])
    }))

  it.effect("in jit at every call, in order, also when nothing else is computed", () =>
    Effect.gen(function*() {
      const { note, take } = recorder()
      const f = jit((x: Tensor) =>
        Effect.gen(function*() {
          yield* note("a", x)
          const y = x.mul(2)
          yield* note("b", y)
          yield* note("a", x)
        })
      )
      for (const i of [1, 2]) {
        yield* f(f32(i))
        assert.deepStrictEqual(take(), [`a ${i}`, `b ${2 * i}`, `a ${i}`])
      }
      assert.strictEqual(f.traces(), 1)
    }))

  it.effect("in scan at every step, forwards and backwards, within and outside of jit", () =>
    Effect.gen(function*() {
      const { note, take } = recorder()
      const body = (c: Tensor, x: Tensor) =>
        Effect.gen(function*() {
          yield* note("carry", c)
          yield* note("x", x)
          return [c.add(x), c] as const
        })
      const steps = ["carry 0", "x 1", "carry 1", "x 2"]
      const [last, ys] = yield* scan(body)(f32(0), f32([1, 2]))
      assert.deepStrictEqual(take(), steps)
      // Reading the results runs nothing again.
      yield* expectEqual(last, 3)
      yield* expectEqual(ys, [0, 1])
      assert.deepStrictEqual(take(), [])
      yield* jit((xs: Tensor) => scan(body)(f32(0), xs))(f32([1, 2]))
      assert.deepStrictEqual(take(), steps)
      yield* scan(body, { reverse: true })(f32(0), f32([2, 1]))
      assert.deepStrictEqual(take(), steps)
    }))

  it.effect("in loops and branches that run", () =>
    Effect.gen(function*() {
      const { note, take } = recorder()
      const f = (x: Tensor) =>
        Effect.gen(function*() {
          const y = yield* whileLoop(
            (c) => Effect.as(note("test", c), c.lt(3)),
            (c) => Effect.as(note("body", c), c.add(1)),
            x
          )
          const z = yield* cond(
            y.gt(3),
            (c) => Effect.as(note("yes", c), c),
            (c) => Effect.as(note("no", c), c.neg()),
            y
          )
          return yield* switchCase(
            i32(1),
            [(c) => Effect.as(note("zero", c), c), (c) => Effect.as(note("one", c), c)],
            z
          )
        })
      const expected = ["test 1", "body 1", "test 2", "body 2", "test 3", "no 3", "one -3"]
      yield* expectEqual(yield* f(f32(1)), -3)
      assert.deepStrictEqual(take(), expected)
      yield* jit((x: Tensor) => f(x))(f32(1))
      assert.deepStrictEqual(take(), expected)
    }))

  it.effect("once where a derivative is taken, of any order and kind", () =>
    Effect.gen(function*() {
      const { note, take } = recorder()
      const f = (x: Tensor) =>
        Effect.gen(function*() {
          yield* note("in", x)
          const [y] = yield* scan((c: Tensor, v: Tensor) =>
            Effect.as(note("step", v), [c.mul(v).sin(), null] as const)
          )(
            f32(1),
            x
          )
          yield* note("out", y.mul(0).add(7))
          return y
        })
      const expected = ["in 2,3", "step 2", "step 3", "out 7"]
      const x = f32([2, 3])
      const ways: Record<string, Effect.Effect<unknown, TransformError, Backend>> = {
        grad: Effect.flatMap(grad(f)(x), toNested),
        jitted: jit((y: Tensor) => grad(f)(y))(x),
        jvp: Effect.flatMap(jvp(f, [x], [x]), ([, t]) => toNested(t)),
        vjp: Effect.flatMap(vjp(f, x), ([, back]) => Effect.flatMap(back(f32(1)), ([g]) => toNested(g))),
        linearize: Effect.flatMap(linearize(f, x), ([, push]) => Effect.flatMap(push(x), toNested)),
        remat: jit((y: Tensor) => grad(remat(f))(y))(x),
        twice: Effect.flatMap(grad((y: Tensor) => Effect.map(grad(f)(y), (g) => g.sum()))(x), toNested)
      }
      for (const [name, way] of Object.entries(ways)) {
        yield* way
        assert.deepStrictEqual(take(), expected, name)
      }
      yield* toNested(yield* hessian(f)(x))
      assert.deepStrictEqual(take(), expected)
    }))

  it.effect("in a nested jit, and in vmap for each element", () =>
    Effect.gen(function*() {
      const { note, take } = recorder()
      const inner = jit((x: Tensor) => Effect.as(note("inner", x), x.add(1)))
      const outer = jit((x: Tensor) => Effect.flatMap(inner(x), (y) => inner(y)))
      yield* outer(f32(1))
      assert.deepStrictEqual(take(), ["inner 1", "inner 2"])
      yield* vmap((x: Tensor) => Effect.asVoid(inner(x)))(f32([1, 2]))
      assert.deepStrictEqual(take(), ["inner 1", "inner 2"])
      yield* vmap((x: Tensor) =>
        scan((c: Tensor, v: Tensor) => Effect.as(note("s", v), [c, null] as const))(f32(0), x)
      )(
        f32([[1, 2], [3, 4]])
      )
      assert.deepStrictEqual(take(), ["s 1", "s 3", "s 2", "s 4"])
    }))

  it.effect("never where a function is only looked at", () =>
    Effect.gen(function*() {
      const { note, take } = recorder()
      const f = (x: Tensor) => Effect.as(note("f", x), x)
      yield* evalShape(f)(f32(1))
      yield* makeProgram(f)(f32(1))
      assert.deepStrictEqual(take(), [])
    }))

  it.effect("Debug.print goes through the fiber's Console", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const console: Console.Console = { ...globalThis.console, log: (...args) => void lines.push(args.join(" ")) }
      const f = jit((x: Tensor, i: Tensor) =>
        Debug.print("x = {x}, {i} of {missing}", { x, i }).pipe(Effect.provideService(Console.Console, console))
      )
      yield* f(f32([1, 2.5]), i32(3))
      assert.strictEqual(lines.length, 1)
      assert.match(lines[0], /^x = \[1\.? *,? 2\.5\], 3 of \{missing\}$/)
    }))

  it.effect("that throw fail the run as a defect", () =>
    Effect.gen(function*() {
      const f = jit((x: Tensor) =>
        Debug.callback(x, () => {
          throw new Error("in the callback")
        })
      )
      const exit = yield* Effect.exit(f(f32(1)))
      assert.match(String(exit), /in the callback/)
    }))
})

layer(Cpu.layer)("checks", (it) => {
  /** Two checks, and a Variable that is written before, between and after them. */
  const m = Unit.make(0)
  const f = (x: Tensor) =>
    Effect.gen(function*() {
      yield* Ref.update(m.n, (n) => n.add(1))
      yield* Check.that(x.gt(0), "negative" as const)
      yield* Check.that(x.lt(10), "large" as const)
      return x.mul(x).sum()
    })

  const transforms: ReadonlyArray<
    readonly [string, (x: Tensor) => Effect.Effect<unknown, TransformError | "negative" | "large", Backend>]
  > = [
    ["nothing", f],
    ["jit", jit(f)],
    ["jit of jit", jit((x: Tensor) => jit(f)(x))],
    ["grad", grad(f)],
    ["jit of grad", jit((x: Tensor) => grad(f)(x))],
    ["grad of jit", (x) => grad((y: Tensor) => jit(f)(y))(x)],
    ["hessian", hessian(f)],
    ["vjp", (x) => vjp(f, x)],
    ["jvp", (x) => jvp(f, [x], [x])],
    ["linearize", (x) => linearize(f, x)],
    ["vmap", (x) => vmap((y: Tensor) => Effect.asVoid(f(y)))(x.expandDims(0))],
    ["remat", remat(f)],
    ["grad of remat", grad(remat(f))],
    ["scan", (x) => scan(f, { inAxes: 0, outAxes: 0 })(x.expandDims(0))],
    ["jit of scan", jit((x: Tensor) => scan(f, { inAxes: 0, outAxes: 0 })(x.expandDims(0)))],
    [
      "grad of scan",
      (x) => grad((y: Tensor) => Effect.map(scan(f, { inAxes: 0, outAxes: 0 })(y.expandDims(0)), (s) => s.sum()))(x)
    ],
    ["cond", (x) => cond(true, (y) => Effect.asVoid(f(y)), () => Effect.void, x)],
    ["jit of cond", jit((x: Tensor) => cond(x.ne(99), (y) => Effect.asVoid(f(y)), () => Effect.void, x))],
    ["switch", (x) => switchCase(i32(1), [() => Effect.void, (y) => Effect.asVoid(f(y))], x)],
    ["foriLoop", (x) => foriLoop(0, 2, (_, y) => Effect.as(f(y), y), x)],
    ["dynamic foriLoop", (x) => foriLoop(0, i32(2), (_, y) => Effect.as(f(y), y), x)],
    [
      "jit of whileLoop",
      jit((x: Tensor) =>
        whileLoop(([, n]) => Effect.succeed(n.lt(2)), ([y, n]) => Effect.as(f(y), [y, n.add(1)] as const), [x, i32(0)])
      )
    ]
  ]

  for (const [name, apply] of transforms) {
    it.effect(`in ${name}: the first that fails wins, and nothing is written`, () =>
      Effect.gen(function*() {
        yield* Ref.set(m.n, i32(0))
        yield* apply(f32(2))
        const [before] = [yield* toNested(yield* Ref.get(m.n))]
        assert.isAbove(Number(before), 0)
        assert.strictEqual(yield* Effect.flip(apply(f32(-1))), "negative")
        assert.strictEqual(yield* Effect.flip(apply(f32(11))), "large")
        if (name !== "nothing") yield* expectEqual(yield* Ref.get(m.n), before)
        yield* apply(f32(3))
      }))
  }

  it.effect("in the branch that does not run does not fail", () =>
    Effect.gen(function*() {
      const g = jit((x: Tensor) => cond(x.gt(100), (y) => Effect.asVoid(f(y)), () => Effect.void, x))
      yield* g(f32(-1))
      assert.strictEqual(yield* Effect.flip(g(f32(200))), "large")
    }))

  it.effect("of an earlier step wins over those of later ones", () =>
    Effect.gen(function*() {
      const steps = (xs: Tensor) => scan(f, { inAxes: 0, outAxes: 0 })(xs)
      assert.strictEqual(yield* Effect.flip(steps(f32([1, 20, -1]))), "large")
      assert.strictEqual(yield* Effect.flip(jit((xs: Tensor) => steps(xs))(f32([1, -1, 20]))), "negative")
    }))

  it.effect("take any shape, want a bool, and carry any error", () =>
    Effect.gen(function*() {
      const bad = { _tag: "Bad" as const, rows: [1, 2] }
      const g = jit((x: Tensor) => Check.that(x.gt(0), bad))
      yield* g(f32([[1, 2], [3, 4]]))
      assert.strictEqual(yield* Effect.flip(g(f32([[1, 2], [3, -4]]))), bad)
      yield* g(T.zeros([0, 2]))
      yield* failsWith(Effect.mapError(Check.that(f32(1), "no"), (e) => e), "DTypeError")
      yield* failsWith(jit((x: Tensor) => Check.that(x, "no"))(f32(1)), "DTypeError")
    }))

  it.effect("cost one run of the backend each call", () =>
    Effect.gen(function*() {
      const backend = yield* Backend
      const g = jit(f)
      yield* g(f32(1))
      const before = (yield* backend.stats).runs
      yield* g(f32(2))
      assert.strictEqual((yield* backend.stats).runs - before, 1)
    }))
})
