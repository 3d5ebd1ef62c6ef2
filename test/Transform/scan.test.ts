// scan against the unrolled loop: carries and slices of any tree and axis, Modules, Variables that go from step to
// step, and derivatives.
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import { toNested } from "../../src/Backend/read.ts"
import * as Cpu from "../../src/Backend/Tfjs/Cpu/index.ts"
import { deleteAttribute, setAttribute } from "../../src/GraphDef/index.ts"
import { Rngs } from "../../src/Ref/Rngs.ts"
import { Param, type Variable } from "../../src/Ref/Variable.ts"
import { Filter } from "../../src/State/index.ts"
import * as T from "../../src/Tensor/index.ts"
import type { Tensor } from "../../src/Tensor/Tensor.ts"
import {
  Carry,
  foriLoop,
  grad,
  hessian,
  jit,
  jvp,
  makeProgram,
  scan,
  stateAxes,
  valueAndGrad,
  vmap
} from "../../src/Transform/index.ts"
import type { Numbers } from "../support/close.ts"
import { allEquations, Count, expectClose, expectEqual, f32, i32, Norm, Pair, Unit } from "./common.ts"

type State = { readonly h: Tensor; readonly k: Tensor }
/** A small recurrent step: state, input, weight. */
const step = (w: Tensor) => (c: State, { x }: { readonly x: Tensor }) => {
  const h = w.matmul(c.h).add(x).tanh()
  return [{ h, k: c.k.add(1) }, { y: h.sum().mul(x), k: c.k }] as const
}

/** The same, unrolled. */
const unrolled = (w: Tensor, init: State, xs: Tensor, reverse = false) => {
  const n = xs.shape[0]
  let c = init
  const ys: Array<{ readonly y: Tensor; readonly k: Tensor }> = []
  for (let t = 0; t < n; t++) {
    const i = reverse ? n - 1 - t : t
    const [next, y] = step(w)(c, { x: xs.get(i) })
    c = next
    ys[i] = y
  }
  return [c, { y: T.stack(ys.map((y) => y.y)), k: T.stack(ys.map((y) => y.k)) }] as const
}

const w = f32([[0.5, -0.3], [0.2, 0.8]])
const init = { h: f32([0.1, -0.2]), k: i32(0) }
const xs = f32([[1, 2], [0.5, -1], [0.3, 0.1], [-1, 1]])
const scanned = (weight: Tensor, first: State, inputs: Tensor, reverse = false) =>
  scan((c: State, x: { readonly x: Tensor }) => Effect.sync(() => step(weight)(c, x)), { reverse })(first, {
    x: inputs
  })

layer(Cpu.layer)("scan of arrays", (it) => {
  it.effect("agrees with the unrolled loop, forwards and backwards, in jit and outside", () =>
    Effect.gen(function*() {
      for (const reverse of [false, true]) {
        const [c, ys] = unrolled(w, init, xs, reverse)
        const compiled = jit((a: Tensor, b: State, x: Tensor) => scanned(a, b, x, reverse))
        for (const f of [() => scanned(w, init, xs, reverse), () => compiled(w, init, xs)]) {
          const [last, out] = yield* f()
          yield* expectClose(last.h, (yield* toNested(c.h)) as Numbers)
          yield* expectEqual(last.k, 4)
          yield* expectClose(out.y, (yield* toNested(ys.y)) as Numbers)
          yield* expectEqual(out.k, (yield* toNested(ys.k)) as unknown)
        }
      }
    }))

  it.effect("a length only, and length 0", () =>
    Effect.gen(function*() {
      const powers = scan((c: Tensor) => Effect.succeed([c.mul(2), c] as const), { length: 4, inAxes: [Carry] })
      const [last, ys] = yield* powers(f32(1))
      yield* expectEqual(last, 16)
      yield* expectEqual(ys, [1, 2, 4, 8])
      const [c, out] = yield* scanned(w, init, T.zeros([0, 2]))
      yield* expectClose(c.h, [0.1, -0.2])
      assert.deepStrictEqual(out.y.shape, [0, 2])
      const g = yield* grad((x: Tensor) =>
        Effect.map(scanned(w, { ...init, h: x }, T.zeros([0, 2])), ([d]) => d.h.sum())
      )(f32([1, 2]))
      yield* expectEqual(g, [1, 1])
    }))

  it.effect("axes of any place, different for arguments and results (F.019)", () =>
    Effect.gen(function*() {
      const f = (x: Tensor, c: Tensor, y: Tensor) => Effect.succeed([x.add(y), c.add(x.sum()), x] as const)
      const g = scan(f, { inAxes: [1, Carry, -1], outAxes: [-1, Carry, 1] })
      const a = f32([[1, 2, 3], [4, 5, 6]])
      const [sums, last, copies] = yield* g(a, f32(0), f32([10, 20, 30]))
      yield* expectEqual(sums, [[11, 22, 33], [14, 25, 36]])
      yield* expectEqual(last, 21)
      yield* expectEqual(copies, [[1, 2, 3], [4, 5, 6]])
      const none = scan((x: Tensor, k: Tensor) => Effect.succeed(x.mul(k)), { inAxes: [0, null], outAxes: 0 })
      yield* expectEqual(yield* none(f32([1, 2]), f32(3)), [3, 6])
      const only = scan((c: Tensor, x: Tensor) => Effect.succeed(c.add(x)), { inAxes: [Carry, 0], outAxes: Carry })
      yield* expectEqual(yield* only(f32(0), f32([1, 2])), 3)
    }))

  it.effect("a weakly typed carry", () =>
    Effect.gen(function*() {
      const [last] = yield* scan((c: Tensor, x: Tensor) => Effect.succeed([c.add(x), null] as const))(
        T.lift(0.5),
        f32([1, 2])
      )
      yield* expectEqual(last, 3.5)
    }))

  it.effect("a carry that goes round", () =>
    Effect.gen(function*() {
      const fib = ([a, b]: readonly [Tensor, Tensor]) => Effect.succeed([[b, a.add(b)] as const, a] as const)
      const [, ys] = yield* scan(fib, { length: 8, inAxes: [Carry] })([i32(0), i32(1)] as const)
      yield* expectEqual(ys, [0, 1, 1, 2, 3, 5, 8, 13])
    }))

  it.effect("nested", () =>
    Effect.gen(function*() {
      const row = (c: Tensor, x: Tensor) => Effect.succeed([c.add(x), c.mul(x)] as const)
      const [total, products] = yield* scan((c: Tensor, r: Tensor) => scan(row)(c, r))(f32(0), f32([[1, 2], [3, 4]]))
      yield* expectEqual(total, 10)
      yield* expectEqual(products, [[0, 2], [9, 24]])
    }))

  it.effect("its Program is one equation, whatever the length", () =>
    Effect.gen(function*() {
      const f = (x: Tensor) => scanned(w, init, x)
      const [few, many] = [yield* makeProgram(f)(T.ones([2, 2])), yield* makeProgram(f)(T.ones([1000, 2]))]
      assert.strictEqual(allEquations(few).length, allEquations(many).length)
      assert.strictEqual(few.equations.filter((e) => e.primitive === "scan").length, 1)
    }))
})

layer(Cpu.layer)("derivatives of scan", (it) => {
  const loss = (weight: Tensor, first: Tensor, inputs: Tensor, reverse: boolean) =>
    Effect.map(
      scanned(weight, { h: first, k: i32(0) }, inputs, reverse),
      ([c, ys]) => c.h.sum().add(ys.y.mul(ys.y).sum())
    )
  const direct = (weight: Tensor, first: Tensor, inputs: Tensor, reverse: boolean) =>
    Effect.sync(() => {
      const [c, ys] = unrolled(weight, { h: first, k: i32(0) }, inputs, reverse)
      return c.h.sum().add(ys.y.mul(ys.y).sum())
    })
  const close = (a: ReadonlyArray<Tensor>, b: ReadonlyArray<Tensor>) =>
    Effect.forEach(
      a,
      (x, i) => Effect.flatMap(toNested(b[i]), (y) => expectClose(x, y as Numbers, { rtol: 1e-4, atol: 1e-5 }))
    )

  it.effect("first order, with respect to weights, the first carry and the inputs", () =>
    Effect.gen(function*() {
      for (const reverse of [false, true]) {
        const options = { argnums: [0, 1, 2] } as const
        const a = yield* jit((p: Tensor, q: Tensor, r: Tensor) => grad(loss, options)(p, q, r, reverse))(w, init.h, xs)
        yield* close(a, yield* grad(direct, options)(w, init.h, xs, reverse))
        yield* close(yield* grad(loss, options)(w, init.h, xs, reverse), a)
      }
    }))

  it.effect("second order, forward over reverse and the other way round", () =>
    Effect.gen(function*() {
      const [f, g] = [(x: Tensor) => loss(w, x, xs, false), (x: Tensor) => direct(w, x, xs, false)]
      yield* close([yield* hessian(f)(init.h)], [yield* hessian(g)(init.h)])
      const twice = (h: typeof f) => grad((x: Tensor) => Effect.map(grad(h)(x), (d) => d.mul(f32([1, 2])).sum()))
      yield* close([yield* twice(f)(init.h)], [yield* twice(g)(init.h)])
      const [p, q] = [(x: Tensor) => loss(x, init.h, xs, true), (x: Tensor) => direct(x, init.h, xs, true)]
      const [, a] = yield* jvp(grad(p), [w], [w])
      const [, b] = yield* jvp(grad(q), [w], [w])
      yield* close([a], [b])
    }))

  it.effect("vmap of them, and scan of vmap", () =>
    Effect.gen(function*() {
      const batch = T.stack([init.h, init.h.mul(2), init.h.add(1)])
      const g = vmap((x: Tensor) => grad((y: Tensor) => loss(w, y, xs, false))(x))
      const rows: Array<Tensor> = []
      for (let i = 0; i < 3; i++) rows.push(yield* grad((y: Tensor) => direct(w, y, xs, false))(batch.get(i)))
      yield* close([yield* g(batch)], [T.stack(rows)])
      const inner = (c: Tensor, x: Tensor) =>
        Effect.map(vmap((h: Tensor) => Effect.succeed(w.matmul(h).add(x).tanh()))(c), (next) =>
          [next, next.sum()] as const)
      const [last, ys] = yield* scan(inner)(batch, xs)
      const each = yield* Effect.forEach([0, 1, 2], (i) =>
        scanned(w, { h: batch.get(i), k: i32(0) }, xs))
      yield* close([last], [T.stack(each.map(([c]) => c.h))])
      assert.deepStrictEqual(ys.shape, [4])
    }))

  it.effect("of carries that are partly constant, and of inputs that are not floats", () =>
    Effect.gen(function*() {
      const f = (x: Tensor) =>
        Effect.map(
          scan(([a, b, k]: readonly [Tensor, Tensor, Tensor], i: Tensor) =>
            Effect.succeed([[a.mul(x), b.add(a).mul(i.astype("float32")), k.add(i)] as const, a] as const)
          )([f32(1), f32(0), i32(0)] as const, i32([1, 2, 3])),
          ([[a, b], ys]) => a.add(b).add(ys.sum())
        )
      // a = x³, ys = 1 + x + x², b = 3 (x² + 2 (x + 1))
      yield* expectClose(yield* grad(f)(f32(2)), 3 * 4 + 1 + 4 + 3 * (4 + 2))
    }))

  it.effect("of a scan inside a scan, with foriLoop", () =>
    Effect.gen(function*() {
      const f = (x: Tensor) =>
        foriLoop(0, 3, (i, c) => foriLoop(0, 2, (j, d) => Effect.succeed(d.mul(x).add(i).add(j)), c), x)
      const value = (x: number) => {
        let c = x
        for (let i = 0; i < 3; i++) for (let j = 0; j < 2; j++) c = c * x + i + j
        return c
      }
      const h = 1e-5
      yield* expectClose(yield* f(f32(0.8)), value(0.8))
      yield* expectClose(yield* grad(f)(f32(0.8)), (value(0.8 + h) - value(0.8 - h)) / (2 * h), { rtol: 1e-4 })
    }))
})

layer(Cpu.layer)("scan and Modules", (it) => {
  it.effect("a Module in the carry keeps its identity (F.017)", () =>
    Effect.gen(function*() {
      const m = Unit.make(1)
      const f = (c: { readonly unit: Unit; readonly x: Tensor }, x: Tensor) =>
        Effect.gen(function*() {
          yield* Ref.update(c.unit.w, (v) => v.mul(2))
          yield* Ref.update(c.unit.n, (n) => n.add(1))
          return [{ unit: c.unit, x: c.x.add(x) }, yield* Ref.get(c.unit.w)] as const
        })
      const [last, ys] = yield* scan(f)({ unit: m, x: f32(0) }, f32([1, 2, 3]))
      assert.strictEqual(last.unit, m)
      yield* expectEqual(ys, [2, 4, 8])
      yield* expectEqual(yield* Ref.get(m.w), 8)
      yield* expectEqual(yield* Ref.get(m.n), 3)
      const [again] = yield* jit((u: Unit) => scan(f)({ unit: u, x: f32(0) }, f32([1, 2, 3])))(m)
      assert.strictEqual(again.unit, m)
      yield* expectEqual(yield* Ref.get(m.w), 64)
    }))

  it.effect("Variables of an unsliced argument accumulate across steps (F.018)", () =>
    Effect.gen(function*() {
      const m = Unit.make(1, 1)
      const f = (u: Unit, x: Tensor) =>
        Effect.andThen(Ref.update(u.n, (n) => n.add(1)), Effect.map(Ref.get(u.n), (n) => n.add(x)))
      yield* expectEqual(yield* scan(f, { inAxes: [null, 0], outAxes: 0 })(m, i32([0, 0, 0])), [2, 3, 4])
      yield* expectEqual(yield* Ref.get(m.n), 4)
    }))

  it.effect("captured ones too, whether they are in an argument as well or not", () =>
    Effect.gen(function*() {
      const m = Unit.make(1, 0)
      const f = (u: Unit, x: Tensor) =>
        Effect.gen(function*() {
          yield* Ref.update(m.w, (v) => v.add(x))
          return yield* Ref.get(u.w)
        })
      yield* expectEqual(yield* scan(f, { inAxes: [null, 0], outAxes: 0 })(m, f32([1, 2, 3])), [2, 4, 7])
      yield* expectEqual(yield* scan(f, { inAxes: [null, 0], outAxes: 0 })(Unit.make(9), f32([1, 2])), [9, 9])
      yield* expectEqual(yield* Ref.get(m.w), 10)
    }))

  it.effect("a stack of layers is scanned, its state written slice by slice (A.044)", () =>
    Effect.gen(function*() {
      const stack = Unit.make([[1, 2], [3, 4], [5, 6]], [0, 10, 20])
      const forward = (u: Unit, x: Tensor) =>
        Effect.gen(function*() {
          yield* Ref.update(u.n, (n) => n.add(1))
          return [x.mul(yield* Ref.get(u.w)), x.sum()] as const
        })
      const run = scan(forward, { inAxes: [0, Carry], outAxes: [Carry, 0] })
      const [y, sums] = yield* run(stack, f32([1, 1]))
      yield* expectEqual(y, [15, 48])
      yield* expectEqual(sums, [2, 3, 11])
      yield* expectEqual(yield* Ref.get(stack.n), [1, 11, 21])
      const loss = (u: Unit, x: Tensor) => Effect.map(run(u, x), ([out]) => out.sum())
      const g = yield* jit((u: Unit, x: Tensor) => grad(loss)(u, x))(stack, f32([1, 1]))
      yield* expectEqual(g.w.value, [[15, 24], [5, 12], [3, 8]])
      yield* expectEqual(yield* Ref.get(stack.n), [2, 12, 22])
    }))

  it.effect("some Variables sliced, some carried (F.019)", () =>
    Effect.gen(function*() {
      const m = Unit.make([1, 2, 3], 0)
      const f = (u: Unit, c: Tensor) =>
        Effect.gen(function*() {
          yield* Ref.update(u.n, (n) => n.add(1))
          yield* Ref.update(u.w, (v) => v.mul(10))
          return c.add(yield* Ref.get(u.w))
        })
      const axes = stateAxes([[Param, 0], [Filter.everything, null]])
      yield* expectEqual(yield* scan(f, { inAxes: [axes, Carry], outAxes: Carry })(m, f32(0)), 60)
      yield* expectEqual(yield* Ref.get(m.n), 3)
      yield* expectEqual(yield* Ref.get(m.w), [10, 20, 30])
    }))

  it.effect("two Modules that share a Variable (F.023)", () =>
    Effect.gen(function*() {
      const [a, b] = [Unit.make(1), Unit.make(2)]
      const p = Pair.of(a, Pair.of(b, a))
      const f = (q: typeof p, x: Tensor) =>
        Effect.gen(function*() {
          yield* Ref.update(q.a.w, (v) => v.add(x))
          yield* Ref.update(q.b.a.w, (v) => v.mul(2))
          return (yield* Ref.get(q.b.b.w)).add(yield* Ref.get(q.b.a.w))
        })
      yield* expectEqual(yield* scan(f, { inAxes: [null, 0], outAxes: 0 })(p, f32([1, 1])), [6, 11])
      yield* expectEqual(yield* Ref.get(a.w), 3)
      yield* expectEqual(yield* Ref.get(b.w), 8)
    }))

  it.effect("random streams draw something new at each step", () =>
    Effect.gen(function*() {
      const rngs = yield* Rngs.fromSeeds(1)
      const same = yield* Rngs.fromSeeds(1)
      const [, ys] = yield* scan(
        (c: Tensor) => Effect.map(rngs.uniform(), (u) => [c, u] as const),
        { length: 3, inAxes: [Carry] }
      )(f32(0))
      const plain = T.stack([yield* same.uniform(), yield* same.uniform(), yield* same.uniform()])
      yield* expectEqual(ys, (yield* toNested(plain)) as unknown)
    }))

  it.effect("grad of a loss that scans and keeps statistics", () =>
    Effect.gen(function*() {
      const [a, b] = [Norm.make(2), Norm.make(2)]
      const one = (n: Norm, x: Tensor) =>
        Effect.gen(function*() {
          yield* Ref.update(n.mean, (m) => m.mul(0.5).add(x.mul(0.5)))
          return x.sub(yield* Ref.get(n.mean)).mul(yield* Ref.get(n.scale)).pow(2).sum()
        })
      const viaScan = (n: Norm) => Effect.map(scan(one, { inAxes: [null, 0], outAxes: 0 })(n, xs), (y) => y.sum())
      const viaLoop = (n: Norm) =>
        Effect.gen(function*() {
          let total = f32(0)
          for (let i = 0; i < 4; i++) total = total.add(yield* one(n, xs.get(i)))
          return total
        })
      const [va, ga] = yield* jit((n: Norm) => valueAndGrad(viaScan)(n))(a)
      const [vb, gb] = yield* valueAndGrad(viaLoop)(b)
      yield* expectClose(va, (yield* toNested(vb)) as Numbers)
      yield* expectClose(ga.scale.value, (yield* toNested(gb.scale.value)) as Numbers)
      yield* expectClose(yield* Ref.get(a.mean), (yield* toNested(yield* Ref.get(b.mean))) as Numbers)
    }))

  it.effect("a Variable in a tree of steps, and a carry of a bare Variable", () =>
    Effect.gen(function*() {
      const v: Variable<"Count", Tensor> = Count.makeUnsafe(i32(0))
      const f = (u: typeof v) => Effect.as(Ref.update(u, (n) => n.add(2)), [u, null] as const)
      const [out] = yield* scan(f, { length: 5, inAxes: [Carry] })(v)
      assert.strictEqual(out, v)
      yield* expectEqual(yield* Ref.get(v), 10)
    }))

  it.effect("changes of structure in what is stepped through: a stack of the new, the same objects", () =>
    Effect.gen(function*() {
      const [a, b] = [Unit.make([1, 2, 3], [0, 0, 0]), Unit.make([10, 20, 30], [0, 0, 0])]
      const pair = Pair.of(a, b)
      const body = (c: Tensor, p: Pair) =>
        Effect.gen(function*() {
          const [x, y] = [p.a, p.b]
          // A swap, a new Variable, one that goes, a static field, and a new Module that holds what came in.
          yield* setAttribute(p, "a", y)
          yield* setAttribute(p, "b", x)
          yield* setAttribute(x, "sum", Param.makeUnsafe((yield* Ref.get(x.w)).add(yield* Ref.get(y.w))))
          yield* deleteAttribute(y, "n")
          yield* setAttribute(p, "visits", 1)
          yield* setAttribute(p, "both", new Pair({ a: x, b: T.ones([2]).mul(c) }))
          yield* Ref.update(x.w, (w) => w.mul(2))
          return [c.add(1), yield* Ref.get(y.w)] as const
        })
      const [last, ys] = yield* jit((p: Pair) => scan(body)(f32(0), p))(pair)
      yield* expectEqual(last, 3)
      yield* expectEqual(ys, [10, 20, 30])
      assert.strictEqual(pair.a, b)
      assert.strictEqual(pair.b, a)
      const changed = pair as unknown as { readonly visits: number; readonly both: Pair<Unit, Tensor> }
      assert.strictEqual(changed.visits, 1)
      assert.strictEqual(changed.both.a, a)
      yield* expectEqual(changed.both.b, [[0, 0], [1, 1], [2, 2]])
      yield* expectEqual(yield* Ref.get(a.w), [2, 4, 6])
      yield* expectEqual(yield* Ref.get((a as unknown as { readonly sum: Unit["w"] }).sum), [11, 22, 33])
      assert.notProperty(b, "n")
      // What is stepped through along another axis too, and values that become trees.
      const v = Param.makeUnsafe<unknown>(T.ones([2, 4]))
      const grow = (u: typeof v, x: Tensor) => Effect.as(Ref.update(u, (w) => ({ w, x })), x)
      yield* scan(grow, { inAxes: [-1, 0], outAxes: 0 })(v, f32([1, 2, 3, 4]))
      const tree = (yield* Ref.get(v)) as { readonly w: Tensor; readonly x: Tensor }
      assert.deepStrictEqual([tree.w.shape, tree.x.shape], [[2, 4], [4]])
      yield* expectEqual(tree.x, [1, 2, 3, 4])
    }))

  it.effect("the structure of what all steps share stays as it is, also beside what changes", () =>
    Effect.gen(function*() {
      const [stack, shared] = [Unit.make([1, 2], [0, 0]), Unit.make(1)]
      const change = (which: 0 | 1) => (u: Unit, v: Unit) =>
        Effect.as(setAttribute([u, v][which], "extra", Param.makeUnsafe(f32(1))), f32(0))
      const options = { inAxes: [0, null], outAxes: 0 }
      assert.strictEqual((yield* Effect.flip(scan(change(1), options)(stack, shared)))._tag, "StructureError")
      yield* scan(change(0), options)(stack, shared)
      assert.property(stack, "extra")
      // A swap between what is shared and what is stepped through.
      const swap = (p: Pair, q: Pair) =>
        Effect.gen(function*() {
          const [x, y] = [p.a, q.a]
          yield* setAttribute(p, "a", y)
          yield* setAttribute(q, "a", x)
          return f32(0)
        })
      const pairs = [Pair.of(Unit.make([1, 2], [0, 0]), 0), Pair.of(Unit.make(1), 0)] as unknown as [Pair, Pair]
      assert.strictEqual((yield* Effect.flip(scan(swap, options)(...pairs)))._tag, "StructureError")
    }))
})
