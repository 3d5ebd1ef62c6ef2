// The grad family against finite differences and against derivatives known in closed form, on arrays, trees and
// Modules, alone and combined with each other and with loops and branches.
import { assert, describe, it, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import { toNested } from "../../src/Backend/read.ts"
import * as Cpu from "../../src/Backend/Tfjs/Cpu/index.ts"
import { merge, split, update } from "../../src/GraphDef/index.ts"
import { Param } from "../../src/Ref/Variable.ts"
import * as State from "../../src/State/index.ts"
import * as T from "../../src/Tensor/index.ts"
import type { Tensor } from "../../src/Tensor/Tensor.ts"
import {
  cond,
  foriLoop,
  grad,
  gradWithAux,
  hessian,
  jacfwd,
  jacrev,
  jit,
  jvp,
  linearize,
  makeProgram,
  scan,
  stopGradient,
  switchCase,
  type TransformError,
  valueAndGrad,
  valueAndGradWithAux,
  vjp,
  vmap
} from "../../src/Transform/index.ts"
import type { Numbers } from "../support/close.ts"
import { countOf, expectClose, expectEqual, f32, i32, Norm, Pair, Unit } from "./common.ts"

const paths = (s: State.Any) => State.toEntries(s).map(([path]) => path.join("/"))

const sum = <E>(f: (x: Tensor) => Effect.Effect<Tensor, E>) => (x: Tensor) => Effect.map(f(x), (y) => y.sum())

layer(Cpu.layer)("grad of arrays", (it) => {
  const f = (x: Tensor, y: Tensor, k: Tensor) =>
    Effect.succeed(x.mul(y).sin().sum().add(y.pow(3).sum()).mul(k.astype("float32")))
  const [x, y, k] = [f32([1, 2]), f32([0.5, -1]), i32(2)]
  const [dx, dy] = [
    [2 * 0.5 * Math.cos(0.5), 2 * -1 * Math.cos(-2)],
    [2 * (Math.cos(0.5) + 3 * 0.25), 2 * (2 * Math.cos(-2) + 3)]
  ]

  it.effect("one argument, another, several, counted from the end", () =>
    Effect.gen(function*() {
      yield* expectClose(yield* grad(f)(x, y, k), dx)
      yield* expectClose(yield* grad(f, { argnums: 1 })(x, y, k), dy)
      const both = yield* grad(f, { argnums: [1, 0] })(x, y, k)
      yield* expectClose(both[0], dy)
      yield* expectClose(both[1], dx)
      const [value, gradient] = yield* valueAndGrad(f, { argnums: [0] })(x, y, k)
      yield* expectClose(value, 2 * (Math.sin(0.5) + Math.sin(-2) + 0.125 - 1))
      yield* expectClose(gradient[0], dx)
    }))

  it.effect("the same array twice is two arguments", () =>
    Effect.gen(function*() {
      const both = yield* grad((a: Tensor, b: Tensor) => Effect.succeed(a.mul(a).mul(b).sum()), { argnums: [0, 1] })(
        x,
        x
      )
      yield* expectClose(both[0], [2, 8])
      yield* expectClose(both[1], [1, 4])
    }))

  it.effect("trees, with static values in them and keys of any sort", () =>
    Effect.gen(function*() {
      const tree = { b: f32(2), a: [f32([1, 2]), "name", 3] as const, 10: f32(5), 9: f32(7) }
      const g = yield* grad((t: typeof tree) =>
        Effect.succeed(t.b.mul(t.a[0].sum()).add(t[10].mul(10)).add(t[9].mul(9)))
      )(tree)
      yield* expectEqual(g.b, 3)
      yield* expectEqual(g.a[0], [2, 2])
      assert.strictEqual(g.a[1], "name")
      assert.strictEqual(g.a[2], 3)
      yield* expectEqual(g[10], 10)
      yield* expectEqual(g[9], 9)
    }))

  it.effect("arrays without elements, and arguments without influence", () =>
    Effect.gen(function*() {
      const g = yield* grad((a: Tensor, b: Tensor) => Effect.succeed(a.mul(2).sum().add(b.size)), { argnums: [0, 1] })(
        T.zeros([0, 3]),
        f32([1, 2])
      )
      assert.deepStrictEqual(g[0].shape, [0, 3])
      yield* expectEqual(g[1], [0, 0])
    }))

  it.effect("every floating dtype keeps its dtype", () =>
    Effect.gen(function*() {
      for (const dtype of ["float32", "float16", "bfloat16"] as const) {
        const g = yield* grad((a: Tensor) => Effect.succeed(a.mul(a).sum()))(T.array([1, 2, 3], { dtype }))
        assert.strictEqual(g.dtype, dtype)
        yield* expectClose(g, [2, 4, 6], { rtol: 1e-2 })
        const h = yield* hessian((a: Tensor) => Effect.succeed(a.pow(3).sum()))(T.array([1, 2], { dtype }))
        assert.strictEqual(h.dtype, dtype)
        yield* expectClose(h, [[6, 0], [0, 12]], { rtol: 1e-2 })
      }
      const weak = yield* grad((a: Tensor) => Effect.succeed(a.mul(a)))(T.lift(1.5))
      assert.strictEqual(weak.dtype, "float32")
      yield* expectEqual(weak, 3)
    }))

  it.effect("aux: any tree, with Modules too", () =>
    Effect.gen(function*() {
      const loss = (a: Tensor) =>
        Effect.succeed([a.mul(a).sum(), { twice: a.mul(2), n: 3, unit: Unit.make(4) }] as const)
      const [g, aux] = yield* gradWithAux(loss)(f32([1, 2]))
      yield* expectEqual(g, [2, 4])
      yield* expectEqual(aux.twice, [2, 4])
      assert.strictEqual(aux.n, 3)
      yield* expectEqual(yield* Ref.get(aux.unit.w), 4)
      const [[value, more], h] = yield* valueAndGradWithAux(loss)(f32([1, 2]))
      yield* expectEqual(value, 5)
      yield* expectEqual(more.twice, [2, 4])
      yield* expectEqual(h, [2, 4])
    }))

  it.effect("stopGradient", () =>
    Effect.gen(function*() {
      yield* expectEqual(yield* grad((a: Tensor) => Effect.succeed(a.mul(stopGradient(a)).sum()))(f32([2, 3])), [2, 3])
      const tree = stopGradient({ a: f32(1), b: "x", n: i32(1) })
      assert.strictEqual(tree.b, "x")
    }))
})

layer(Cpu.layer)("grad of Modules", (it) => {
  it.effect("is a State of Params, or of what wrt selects", () =>
    Effect.gen(function*() {
      const m = Norm.make(2)
      const f = (n: Norm, x: Tensor) =>
        Effect.gen(function*() {
          return (yield* Ref.get(n.scale)).mul(x.sub(yield* Ref.get(n.mean))).sum()
        })
      const g = yield* grad(f)(m, f32([3, 4]))
      yield* expectEqual(g.scale.value, [3, 4])
      assert.isFalse("mean" in g)
      const all = yield* grad(f, { wrt: State.Filter.everything })(m, f32([3, 4]))
      yield* expectEqual(all.mean.value, [-1, -1])
      const [gm, gx] = yield* grad(f, { argnums: [0, 1], wrt: State.Filter.pathContains("mean") })(m, f32([3, 4]))
      assert.deepStrictEqual(paths(gm), ["mean"])
      yield* expectEqual(gx, [1, 1])
    }))

  it.effect("shared parameters sum once (F.014), also across arguments and when an argument stands twice", () =>
    Effect.gen(function*() {
      const u = Unit.make(2)
      const p = Pair.of(u, u)
      const read = (q: Unit) => Ref.get(q.w)
      const g = yield* grad((q: Pair) =>
        Effect.gen(function*() {
          return (yield* read(q.a)).add(yield* read(q.b))
        })
      )(p)
      assert.deepStrictEqual(paths(g), ["a/w"])
      yield* expectEqual((g as unknown as { readonly a: { readonly w: { readonly value: Tensor } } }).a.w.value, 2)
      const f = (a: Unit, b: Unit) =>
        Effect.gen(function*() {
          return (yield* read(a)).mul(3).add((yield* read(b)).mul(yield* read(b)))
        })
      const first = yield* grad(f)(u, u)
      yield* expectEqual(first.w.value, 7)
      const both = yield* grad(f, { argnums: [0, 1] })(u, u)
      yield* expectEqual(both[0].w.value, 7)
      yield* expectEqual(both[1].w.value, 7)
      const second = yield* grad(f, { argnums: 1 })(u, u)
      yield* expectEqual(second.w.value, 7)
      const apart = yield* grad(f, { argnums: [0, 1] })(u, Unit.make(5))
      yield* expectEqual(apart[0].w.value, 3)
      yield* expectEqual(apart[1].w.value, 10)
    }))

  it.effect("of trees of Modules and of a Variable", () =>
    Effect.gen(function*() {
      const models = { first: Unit.make(2), list: [Unit.make(3)] as const }
      const g = yield* grad((t: typeof models) =>
        Effect.gen(function*() {
          return (yield* Ref.get(t.first.w)).mul(yield* Ref.get(t.list[0].w))
        })
      )(models)
      yield* expectEqual(g.first.w.value, 3)
      yield* expectEqual(g.list[0].w.value, 2)
      yield* update(models.first, { w: g.first.w.value })
      yield* expectEqual(yield* Ref.get(models.first.w), 3)
      const v = Param.makeUnsafe({ a: f32(2), b: f32(5) })
      const gv = yield* grad((u: typeof v) => Effect.map(Ref.get(u), ({ a, b }) => a.mul(b)))(v)
      assert.strictEqual(gv.kind, "Param")
      yield* expectEqual(gv.value.a, 5)
      yield* expectEqual(gv.value.b, 2)
    }))

  it.effect("of a State", () =>
    Effect.gen(function*() {
      const m = Unit.make([1, 2])
      const [graphdef, params, rest] = yield* split(m, Param, State.Filter.rest)
      const loss = (s: typeof params) =>
        Effect.gen(function*() {
          const u = yield* merge(graphdef, s, rest)
          return (yield* Ref.get(u.w)).pow(3).sum()
        })
      const g = yield* grad(loss)(params)
      yield* expectEqual(g.w.value, [3, 12])
      const [value, back] = yield* vjp(loss, params)
      yield* expectEqual(value, 9)
      const [ct] = yield* back(f32(2))
      yield* expectEqual(ct.w.value, [6, 24])
      const [, tangent] = yield* jvp(loss, [params], [params])
      yield* expectEqual(tangent, 27)
    }))

  it.effect("writes inside reach the outer objects, in jit too (F.015, A.118)", () =>
    Effect.gen(function*() {
      const loss = (n: Norm, x: Tensor) =>
        Effect.gen(function*() {
          yield* Ref.update(n.mean, (mean) => mean.mul(0.9).add(stopGradient(x.mean({ axis: 0 })).mul(0.1)))
          return x.sub(yield* Ref.get(n.mean)).mul(yield* Ref.get(n.scale)).pow(2).sum()
        })
      const x = f32([[1, 2], [3, 6]])
      const plain = Norm.make(2)
      yield* loss(plain, x)
      const [inGrad, inJit] = [Norm.make(2), Norm.make(2)]
      const g = yield* grad(loss)(inGrad, x)
      const h = yield* jit((n: Norm, y: Tensor) => valueAndGrad(loss)(n, y))(inJit, x)
      const expected = (yield* toNested(yield* Ref.get(plain.mean))) as Numbers
      yield* expectClose(yield* Ref.get(inGrad.mean), expected)
      yield* expectClose(yield* Ref.get(inJit.mean), expected)
      yield* expectClose(h[1].scale.value, (yield* toNested(g.scale.value)) as Numbers)
    }))

  it.effect("of captured Modules is of the argument only", () =>
    Effect.gen(function*() {
      const m = Unit.make(3)
      const g = yield* grad((x: Tensor) => Effect.map(Ref.get(m.w), (w) => w.mul(x)))(f32(2))
      yield* expectEqual(g, 3)
    }))
})

layer(Cpu.layer)("derivatives of derivatives", (it) => {
  const cube = (x: Tensor) => Effect.succeed(x.pow(3).sum())

  it.effect("grad of grad, of grad", () =>
    Effect.gen(function*() {
      const second = (x: Tensor) => Effect.map(grad(cube)(x), (g) => g.sum())
      yield* expectClose(yield* grad(second)(f32([1, 2])), [6, 12])
      yield* expectClose(yield* grad(sum(grad(second)))(f32([1, 2])), [6, 6])
    }))

  it.effect("jvp of grad, grad of jvp, vjp of jvp", () =>
    Effect.gen(function*() {
      const [, t] = yield* jvp(grad(cube), [f32([1, 2])], [f32([1, 10])])
      yield* expectClose(t, [6, 120])
      const directional = (x: Tensor) => Effect.map(jvp(cube, [x], [f32([1, 10])]), ([, d]) => d)
      yield* expectClose(yield* grad(directional)(f32([1, 2])), [6, 120])
      const [, back] = yield* vjp((x: Tensor) => jvp(grad(cube), [x], [x]), f32([1, 2]))
      const [ct] = yield* back([f32([0, 0]), f32([1, 1])])
      yield* expectClose(ct, [12, 24])
    }))

  it.effect("vmap of grad, grad of vmap", () =>
    Effect.gen(function*() {
      yield* expectClose(yield* vmap(grad(cube))(f32([[1, 2], [3, 4]])), [[3, 12], [27, 48]])
      const batched = (w: Tensor) =>
        Effect.map(vmap((x: Tensor) => Effect.succeed(x.mul(w).sin()))(f32([1, 2, 3])), (y) => y.sum())
      yield* expectClose(
        yield* grad(batched)(f32(0.5)),
        [1, 2, 3].reduce((s, x) => s + x * Math.cos(0.5 * x), 0)
      )
    }))

  it.effect("hessians are those by finite differences", () =>
    Effect.gen(function*() {
      const cases: ReadonlyArray<readonly [string, (x: Tensor) => Effect.Effect<Tensor, TransformError>]> = [
        ["product", (x) => Effect.succeed(x.prod())],
        ["logsumexp", (x) => Effect.succeed(x.logsumexp())],
        ["tanh of a quadratic form", (x) =>
          Effect.succeed(T.outer(x, x).mul(f32([[1, 2, 0], [2, -1, 1], [0, 1, 3]])).sum().mul(0.1).tanh())],
        ["softmax entropy", (x) => {
          const p = T.nn.softmax(x)
          return Effect.succeed(p.mul(p.log()).sum().neg())
        }],
        ["scan", (x) =>
          Effect.map(
            scan((c: Tensor, v: Tensor) =>
              Effect.succeed([c.mul(v).add(c.sin()), null] as const)
            )(x.get(0), x),
            ([c]) => c
          )],
        ["fori", (x) => foriLoop(0, 3, (i, c) => Effect.succeed(c.mul(x.get(i)).cos()), x.sum())],
        ["cond", (x) => cond(x.sum().gt(0), (y) => Effect.succeed(y.pow(3).sum()), (y) => Effect.succeed(y.sum()), x)]
      ]
      const at = [0.3, 0.7, -0.4]
      for (const [name, f] of cases) {
        const g = jit((x: Tensor) => grad(f)(x))
        const columns: Array<ReadonlyArray<number>> = []
        const h = 2 ** -7
        for (let i = 0; i < 3; i++) {
          const move = (step: number) => g(f32(at.map((v, j) => i === j ? v + step : v)))
          const [up, down] = [yield* toNested(yield* move(h)), yield* toNested(yield* move(-h))]
          columns.push((up as Array<number>).map((v, j) => (v - (down as Array<number>)[j]) / (2 * h)))
        }
        yield* expectClose(yield* hessian(f)(f32(at)), columns, { rtol: 5e-3, atol: 2e-3 }, name)
        yield* expectClose(
          yield* jit((x: Tensor) => jacrev((y: Tensor) => jacfwd(f)(y))(x))(f32(at)),
          (yield* toNested(yield* hessian(f)(f32(at)))) as Numbers,
          { rtol: 1e-4, atol: 1e-5 },
          name
        )
      }
    }))
})

layer(Cpu.layer)("Jacobians and linear maps", (it) => {
  const f = (x: Tensor, y: Tensor) => Effect.succeed(T.stack([x.mul(y).sum(), x.get(0).sin(), y.get(1).mul(x.get(1))]))
  const [x, y] = [f32([0.5, 2]), f32([3, -1])]
  const byX = [[3, -1], [Math.cos(0.5), 0], [0, -1]]
  const byY = [[0.5, 2], [0, 0], [0, 2]]

  it.effect("jacfwd and jacrev agree with the matrix", () =>
    Effect.gen(function*() {
      for (const jac of [jacfwd, jacrev]) {
        yield* expectClose(yield* jac(f)(x, y), byX)
        yield* expectClose(yield* jac(f, { argnum: 1 })(x, y), byY)
        yield* expectClose(yield* jit((a: Tensor, b: Tensor) => jac(f)(a, b))(x, y), byX)
        const matrix = yield* jac((a: Tensor) => Effect.succeed(a.T.mul(2)))(f32([[1, 2, 3], [4, 5, 6]]))
        assert.deepStrictEqual(matrix.shape, [3, 2, 2, 3])
        const none = yield* jac((a: Tensor) => Effect.succeed(a.mul(2)))(T.zeros([0]))
        assert.deepStrictEqual(none.shape, [0, 0])
      }
    }))

  it.effect("vjp of trees: the pullback may be used again, also inside other transforms", () =>
    Effect.gen(function*() {
      const g = (t: { readonly a: Tensor; readonly n: Tensor }, [b]: readonly [Tensor]) =>
        Effect.succeed({ u: t.a.mul(b), v: [b.sum(), t.n] as const })
      const [value, back] = yield* vjp(g, { a: f32([1, 2]), n: i32(7) }, [f32([3, 4])] as const)
      yield* expectEqual(value.u, [3, 8])
      const [ct1, ct2] = yield* back({ u: f32([1, 10]), v: [f32(100), i32(0)] })
      yield* expectEqual(ct1.a, [3, 40])
      yield* expectEqual(ct2[0], [101, 120])
      const rows = yield* vmap((u: Tensor) => Effect.map(back({ u, v: [f32(0), i32(0)] }), ([t]) => t.a))(T.eye(2))
      yield* expectEqual(rows, [[3, 0], [0, 4]])
    }))

  it.effect("jvp of trees; integer arguments have no tangent", () =>
    Effect.gen(function*() {
      const g = (t: { readonly a: Tensor; readonly n: Tensor }) =>
        Effect.succeed({ y: t.a.mul(t.n.astype("float32")), n: t.n })
      const [value, tangent] = yield* jvp(g, [{ a: f32([1, 2]), n: i32(3) }], [{ a: f32([1, 0]), n: i32(9) }])
      yield* expectEqual(value.y, [3, 6])
      yield* expectEqual(tangent.y, [3, 0])
      yield* expectEqual(tangent.n, 0)
    }))

  it.effect("linearize traces once, and is linear", () =>
    Effect.gen(function*() {
      let traced = 0
      const [value, push] = yield* linearize((a: Tensor) => {
        traced++
        return Effect.succeed(a.sin().mul(2))
      }, f32([0, 1]))
      yield* expectClose(value, [0, 2 * Math.sin(1)])
      yield* expectClose(yield* push(f32([1, 0])), [2, 0])
      yield* expectClose(yield* vmap((t: Tensor) => push(t))(T.eye(2)), [[2, 0], [0, 2 * Math.cos(1)]])
      const [, back] = yield* vjp((t: Tensor) => push(t), f32([0, 0]))
      yield* expectClose((yield* back(f32([1, 1])))[0], [2, 2 * Math.cos(1)])
      assert.strictEqual(traced, 1)
    }))
})

layer(Cpu.layer)("derivatives of branches", (it) => {
  const branchy = (x: Tensor) => cond(x.gt(0), (y) => Effect.succeed(y.pow(3)), (y) => Effect.succeed(y.mul(-2)), x)
  const three = (i: Tensor, x: Tensor) =>
    switchCase(i, [(y) => Effect.succeed(y.sin()), (y) => Effect.succeed(y.mul(y)), () => Effect.succeed(f32(5))], x)

  it.effect("grad of cond and switch, in jit, and under vmap over the predicate", () =>
    Effect.gen(function*() {
      yield* expectClose(yield* grad(branchy)(f32(2)), 12)
      yield* expectClose(yield* grad(branchy)(f32(-2)), -2)
      yield* expectClose(yield* jit((x: Tensor) => grad(branchy)(x))(f32(-2)), -2)
      yield* expectClose(yield* vmap(grad(branchy))(f32([2, -2, 1])), [12, -2, 3])
      yield* expectClose(yield* grad(sum(vmap(branchy)))(f32([2, -2, 1])), [12, -2, 3])
      const by = (x: Tensor) => vmap((i: Tensor) => grad(three, { argnums: 1 })(i, x))(i32([-1, 0, 1, 2, 9]))
      yield* expectClose(yield* by(f32(3)), [Math.cos(3), Math.cos(3), 6, 0, 0])
      yield* expectClose(yield* grad(sum(grad(branchy)))(f32(2)), 12)
      const [, t] = yield* jvp(branchy, [f32(2)], [f32(10)])
      yield* expectClose(t, 120)
    }))

  it.effect("a branch without a tangent, and one that captures arrays", () =>
    Effect.gen(function*() {
      const f = (x: Tensor, p: Tensor) => {
        const twice = x.mul(2)
        return cond(p, () => Effect.succeed(f32(1)), () => Effect.succeed(twice.mul(x)))
      }
      yield* expectClose(yield* grad(f)(f32(3), T.array(true)), 0)
      yield* expectClose(yield* grad(f)(f32(3), T.array(false)), 12)
    }))
})

describe("sizes of derivatives", () => {
  it.effect("Programs of loops don't grow with their length", () =>
    Effect.gen(function*() {
      const loop = (xs: Tensor) =>
        Effect.map(
          scan((c: Tensor, x: Tensor) => Effect.succeed([c.mul(x).sin(), c] as const))(f32(1), xs),
          ([c, ys]) => c.add(ys.sum())
        )
      for (
        const f of [loop, (xs: Tensor) => Effect.map(grad(loop)(xs), (g) => g.sum())]
      ) {
        const [few, many] = [yield* makeProgram(f)(T.ones([3])), yield* makeProgram(f)(T.ones([300]))]
        assert.strictEqual(few.equations.length, many.equations.length)
        assert.strictEqual(countOf(few, "sin"), countOf(many, "sin"))
      }
    }))
})
