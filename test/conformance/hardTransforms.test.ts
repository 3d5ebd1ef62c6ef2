// Where a naive implementation of transforms over graphs is wrong: aliases, what is written back, and what grad does.
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import * as nnx from "linum"
import * as Cpu from "linum/backend/tfjs-cpu"
import { assertClose, type Numbers } from "../support/close.ts"
import { expectEqual, f32, i32, Other, Pair, spoiling, Unit } from "../Transform/common.ts"
import { failsWith, held, type Param, type Tensor } from "./basics.models.ts"

const T = nnx.Tensor
const { BatchStat, Filter, Param } = nnx
const Count = nnx.kind("Count")

layer(Cpu.layer)("aliases", (it) => {
  const stack = () => Unit.make([1, 2], [5, 6])
  const sum = (a: Unit, b: Unit) => Effect.map(Ref.get(a.w), (w) => a === b ? w : w.neg())

  it.effect("F.003 specs that agree on every shared Variable are fine, whatever their form", () =>
    Effect.gen(function*() {
      const m = stack()
      const one = nnx.stateAxes([[Param, 0], [Count, null]])
      const two = nnx.stateAxes([[Count, null], [Filter.rest, 0]])
      yield* expectEqual(yield* nnx.vmap(sum, { inAxes: [one, two] })(m, m), [1, 2])
      // A number and a StateAxes that say the same.
      yield* expectEqual(yield* nnx.vmap(sum, { inAxes: [0, nnx.stateAxes([[Filter.rest, 0]])] })(m, m), [1, 2])
      // Two Modules that share one Variable only: what they don't share may differ.
      const [left, right] = [stack(), new Unit({ w: m.w, n: Count.makeUnsafe(i32(1)) })]
      const twin = new Unit({ w: m.w, n: left.n })
      const f = (a: Unit, b: Unit) => Effect.map(Ref.get(a.w), (w) => a.w === b.w ? w : w.neg())
      const axes = nnx.stateAxes([[Param, 0], [Count, null]])
      yield* expectEqual(yield* nnx.vmap(f, { inAxes: [0, axes] })(twin, right), [1, 2])
    }))

  it.effect("F.003 the error lists every Variable that disagrees, with all of its paths", () =>
    Effect.gen(function*() {
      const m = stack()
      const f: (a: Unit, b: Pair, c: Unit) => Effect.Effect<Tensor> = () => Effect.succeed(f32(1))
      const run = nnx.vmap(f, { inAxes: [0, null, 1] })(m, Pair.of(m, new Unit({ w: m.w, n: stack().n })), m)
      const error = yield* failsWith(run, "AliasError")
      assert.strictEqual(
        error.message,
        `vmap: Inconsistent aliasing detected. The following nodes have different prefixes:
Node: Count
  0/n: 0
  1/a/n: null
  2/n: 1
Node: Param
  0/w: 0
  1/a/w: null
  1/b/w: null
  2/w: 1
give all places of one object the same axis`
      )
      // Only what disagrees is named, and a cycle is gone round once.
      const cyclic = stack()
      yield* nnx.setAttribute(cyclic, "self", cyclic)
      const partly = [nnx.stateAxes([[Param, 0], [Count, 0]]), nnx.stateAxes([[Param, 0], [Count, null]])]
      const other = yield* failsWith(nnx.vmap(sum, { inAxes: partly })(cyclic, cyclic), "AliasError")
      assert.include(other.message, "prefixes:\nNode: Count\n  0/n: 0\n  1/n: null\ngive")
      yield* failsWith(nnx.scan(sum, { inAxes: [0, null], outAxes: 0 })(m, m), "AliasError")
    }))

  it.effect("F.004 an input that comes back is the object itself", () =>
    Effect.gen(function*() {
      const m = stack()
      const touch = (u: Unit) => Effect.as(Ref.update(u.w, (w) => w.add(1)), { same: u, list: [u, u.w] as const })
      const transforms: ReadonlyArray<
        (u: Unit) => Effect.Effect<{ same: Unit; list: readonly [Unit, unknown] }, unknown, nnx.Backend>
      > = [
        nnx.jit(touch),
        nnx.remat(touch),
        nnx.vmap(touch),
        (u) => nnx.cond(true, touch, touch, u),
        (u) =>
          Effect.map(
            nnx.gradWithAux((v: Unit) => Effect.map(touch(v), (out) => [f32(0), out] as const))(u),
            ([, out]) => out
          )
      ]
      for (const [i, transform] of transforms.entries()) {
        const { list, same } = yield* transform(m)
        assert.strictEqual(same, m)
        assert.isTrue(list[0] === m && list[1] === m.w)
        yield* expectEqual(yield* Ref.get(m.w), [2 + i, 3 + i])
      }
    }))

  it.effect("F.004 with another axis than it went in with it is inconsistent, and nothing is written", () =>
    Effect.gen(function*() {
      const w = Param.makeUnsafe(f32([[1, 2], [3, 4]]))
      const f = (v: typeof w) => Effect.as(Ref.update(v, (x) => x.add(1)), { v })
      const error = yield* failsWith(nnx.vmap(f, { inAxes: 0, outAxes: 1 })(w), "AliasError")
      assert.include(error.message, "different prefixes:\nNode: Param\n  inAxes/0: 0\n  outAxes/v: 1\n")
      yield* failsWith(nnx.scan(f, { inAxes: 0, outAxes: 1 })(w), "AliasError")
      yield* failsWith(nnx.scan(f, { inAxes: null, outAxes: 0, length: 2 })(w), "AliasError")
      // Its place may have changed meanwhile.
      const moving = (u: Unit) =>
        Effect.gen(function*() {
          yield* nnx.setAttribute(u, "a", Param.makeUnsafe(f32(0)))
          return yield* Effect.as(nnx.setAttribute(u, "b", u.n), u.w)
        })
      const axes = nnx.stateAxes([[Param, 1], [Count, 0]])
      const m = Unit.make([[1, 2]], [3, 4])
      const moved = yield* failsWith(nnx.vmap(moving, { inAxes: [axes] })(m), "AliasError")
      assert.include(moved.message, "Node: Param\n  inAxes/0/w: 1\n  outAxes: 0\n")
      assert.strictEqual(yield* nnx.vmap(moving, { inAxes: [axes], outAxes: 1 })(m), m.w)
      yield* expectEqual(yield* Ref.get(w), [[1, 2], [3, 4]])
      assert.strictEqual((yield* nnx.vmap(f, { inAxes: 1, outAxes: 1 })(w)).v, w)
      assert.strictEqual((yield* nnx.scan(f, { inAxes: 0, outAxes: 0 })(w)).v, w)
      yield* expectEqual(yield* Ref.get(w), [[3, 4], [5, 6]])
    }))

  it.effect("F.005 what is captured is no element of a stack: vmap and scan do not return it as one", () =>
    Effect.gen(function*() {
      const m = Unit.make(1)
      const give = (x: Tensor) => Effect.succeed({ x, m })
      const error = yield* failsWith(nnx.vmap(give)(f32([1, 2])), "TraceError")
      assert.match(error.message, /^vmap: Cannot return captured Variable of type Count\. Found at path: m\/n;/)
      yield* failsWith(nnx.scan(give, { inAxes: 0, outAxes: 0 })(f32([1, 2])), "TraceError")
      // Nor do they take it into an argument, whose stack it would not be part of.
      const take = (u: Unit) => nnx.setAttribute(u, "friend", m)
      const taken = yield* failsWith(nnx.vmap(take)(stack()), "TraceError")
      assert.include(taken.message, "Found at path: arguments/0/friend/n")
      yield* nnx.jit(take)(stack())
      // It may come back as what it is: one for all.
      const out = yield* nnx.vmap(give, { outAxes: { x: 0, m: null } })(f32([1, 2]))
      assert.strictEqual(out.m, m)
      assert.strictEqual((yield* nnx.jit(give)(f32(1))).m, m)
    }))

  it.effect("F.005 values of what is captured may be written, its structure may not change", () =>
    Effect.gen(function*() {
      const m = Unit.make(1)
      const write = (x: Tensor) => Effect.as(Ref.update(m.w, (w) => w.add(1)), x)
      const change = (x: Tensor) => Effect.as(nnx.setAttribute(m, "extra", 1), x)
      const x = f32([1, 2])
      for (const transform of [nnx.jit(write), nnx.remat(write), nnx.vmap(write)]) yield* transform(x)
      yield* expectEqual(yield* Ref.get(m.w), 4)
      for (const transform of [nnx.jit(change), nnx.remat(change), nnx.vmap(change)]) {
        const error = yield* failsWith(transform(x), "TraceError")
        assert.match(error.message, /changes the fields of a Module that was made elsewhere/)
      }
      assert.notProperty(m, "extra")
    }))
})

layer(spoiling)("what is written back", (it) => {
  it.effect("F.011 a Variable that is only read, or given back what it had, keeps its very array", () =>
    Effect.gen(function*() {
      const m = Pair.of(Unit.make([1, 2]), Unit.make([3, 4]))
      const before = [yield* Ref.get(m.a.w), yield* Ref.get(m.b.w), yield* Ref.get(m.a.n)]
      const f = nnx.jit((p: typeof m) =>
        Effect.gen(function*() {
          const w = yield* Ref.get(p.a.w)
          yield* Ref.set(p.a.w, w)
          yield* Ref.set(p.b.w, w)
          yield* Ref.set(p.b.w, yield* Effect.succeed(yield* Ref.get(p.b.w)))
          return w.sum()
        })
      )
      yield* f(m)
      assert.strictEqual(yield* Ref.get(m.a.w), before[0])
      assert.strictEqual(yield* Ref.get(m.a.n), before[2])
      yield* expectEqual(yield* Ref.get(m.b.w), [1, 2])
      // An equal value is a value: it is written, since what changed is told by identity.
      const same = nnx.jit((u: Unit) => Ref.update(u.w, (w) => w.mul(1)))
      yield* same(m.a)
      assert.notStrictEqual(yield* Ref.get(m.a.w), before[0])
      yield* expectEqual(yield* Ref.get(m.a.w), [1, 2])
    }))

  it.effect("F.011 the Program has outputs for what changes alone; branches agree on all that any of them writes", () =>
    Effect.gen(function*() {
      const m = Pair.of(Unit.make(1), Unit.make(2))
      const outputs = <A extends ReadonlyArray<unknown>>(f: (...args: A) => Effect.Effect<unknown>, ...args: A) =>
        Effect.map(
          nnx.lower(f)(...args),
          (text) => (String(text).match(/return ([^:]*)/)?.[1] ?? "").split(",").filter((x) => x.trim() !== "").length
        )
      const read = (p: typeof m) => Effect.flatMap(Ref.get(p.a.w), (w) => Effect.succeed(w.mul(2)))
      assert.strictEqual(yield* outputs(read, m), 1)
      assert.strictEqual(yield* outputs((p: typeof m) => Effect.asVoid(Ref.set(p.b.w, f32(3))), m), 1)
      const branch = nnx.jit((flag: Tensor, p: typeof m) =>
        nnx.cond(flag, (q: typeof m) => Ref.set(q.a.w, f32(10)), (q: typeof m) => Ref.set(q.b.w, f32(20)), p)
      )
      yield* branch(T.array(true), m)
      yield* expectEqual(T.stack([yield* Ref.get(m.a.w), yield* Ref.get(m.b.w)]), [10, 2])
      yield* branch(T.array(false), m)
      yield* expectEqual(T.stack([yield* Ref.get(m.a.w), yield* Ref.get(m.b.w)]), [10, 20])
    }))

  it.effect("F.012 a step frees what it replaces, and what it does not replace stays readable", () =>
    Effect.gen(function*() {
      const m = Pair.of(Unit.make([1, 2]), Unit.make([3, 4]))
      const step = nnx.jit((p: typeof m) => Effect.flatMap(Ref.get(p.b.w), (b) => Ref.update(p.a.w, (a) => a.add(b))))
      for (let i = 1; i <= 4; i++) {
        yield* step(m)
        yield* expectEqual(yield* Ref.get(m.b.w), [3, 4])
        if (i % 2 === 0) yield* expectEqual(yield* Ref.get(m.a.w), [1 + 3 * i, 2 + 4 * i])
      }
      assert.strictEqual(step.traces(), 1)
    }))

  it.effect("F.012 what was handed out, or is shared with a clone, is not freed", () =>
    Effect.gen(function*() {
      const m = Unit.make([1, 2])
      const step = nnx.jit((u: Unit) => Ref.update(u.w, (w) => w.mul(2)))
      yield* step(m)
      const kept = yield* Ref.get(m.w)
      const twin = yield* nnx.clone(m)
      const [graphdef, state] = yield* nnx.split(m)
      yield* step(m)
      yield* step(m)
      yield* step(twin)
      const old = yield* nnx.merge(graphdef, state)
      yield* expectEqual(kept, [2, 4])
      yield* expectEqual(yield* Ref.get(m.w), [8, 16])
      yield* expectEqual(yield* Ref.get(twin.w), [4, 8])
      yield* step(old)
      yield* step(old)
      yield* expectEqual(yield* Ref.get(old.w), [8, 16])
      yield* expectEqual((state as unknown as { readonly w: { readonly value: Tensor } }).w.value, [2, 4])
    }))
})

layer(Cpu.layer)("grad", (it) => {
  class Both extends nnx.Module("Both")<{
    readonly w: Param
    readonly mean: nnx.Variable<"BatchStat", Tensor>
    readonly n: nnx.Variable<"Count", Tensor>
  }> {
    static readonly make = () =>
      new Both({ w: Param.makeUnsafe(f32(3)), mean: BatchStat.makeUnsafe(f32(5)), n: Count.makeUnsafe(i32(0)) })
  }
  const product = (m: Both) =>
    Effect.gen(function*() {
      yield* Ref.update(m.n, (n) => n.add(1))
      return (yield* Ref.get(m.w)).mul(yield* Ref.get(m.mean))
    })

  it.effect("F.013 by default with respect to Params, as a State; wrt selects others", () =>
    Effect.gen(function*() {
      const m = Both.make()
      const params = yield* nnx.grad(product)(m)
      assert.isTrue(nnx.State.isState(params))
      assert.deepStrictEqual(nnx.State.paths(params), [["w"]])
      yield* expectEqual(params.w.value, 5)
      const stats = yield* nnx.grad(product, { wrt: BatchStat })(m)
      assert.deepStrictEqual(nnx.State.paths(stats), [["mean"]])
      yield* expectEqual(stats.mean.value, 3)
      const floats = yield* nnx.grad(product, { wrt: Filter.anyOf(Param, BatchStat) })(m)
      assert.deepStrictEqual(nnx.State.paths(floats), [["mean"], ["w"]])
      // Everything holds an integer here: that is said, not skipped.
      const error = yield* failsWith(nnx.grad(product, { wrt: Filter.everything })(m), "DTypeError")
      assert.include(error.message, "0/n")
      assert.strictEqual(yield* held(m.n), 3)
      // A bare Variable gives a snapshot, a tree of arrays a tree.
      const alone = yield* nnx.grad((v: Param) => Effect.map(Ref.get(v), (x) => x.square()))(m.w)
      yield* expectEqual(alone.value, 6)
      const tree = yield* nnx.grad((t: { readonly a: Tensor; readonly b: readonly [Tensor] }) =>
        Effect.succeed(t.a.mul(t.b[0]))
      )({
        a: f32(2),
        b: [f32(7)]
      })
      yield* expectEqual(T.stack([tree.a, tree.b[0]]), [7, 2])
    }))

  it.effect("F.014 the gradient of a shared parameter is the sum over its uses, at one path; update reaches both", () =>
    Effect.gen(function*() {
      const w = Param.makeUnsafe(f32(1))
      const other = Param.makeUnsafe(f32(10))
      const tree = { a: [w, other], b: w } as const
      const f = (m: typeof tree) =>
        Effect.map(Effect.all([Ref.get(m.a[0]), Ref.get(m.a[1]), Ref.get(m.b)]), ([x, y, z]) => x.add(y).add(z))
      const grads = yield* nnx.grad(f)(tree)
      const entries = nnx.State.toEntries(grads as nnx.State.Any)
      assert.deepStrictEqual(entries.map(([path]) => path.join("/")), ["a/0", "a/1"])
      const [first, second] = entries.map(([, leaf]) => (leaf as { readonly value: Tensor }).value)
      yield* expectEqual(T.stack([first, second]), [2, 1])
      yield* nnx.update(tree, grads as nnx.State.Any)
      yield* expectEqual(T.stack([yield* Ref.get(tree.a[0]), yield* Ref.get(tree.b), yield* Ref.get(other)]), [2, 2, 1])
      // The same as two arguments.
      const both = yield* nnx.grad(
        (x: Param, y: Param) => Effect.map(Effect.all([Ref.get(x), Ref.get(y)]), ([p, q]) => p.mul(q)),
        { argnums: [0, 1] }
      )(w, w)
      yield* expectEqual(T.stack([both[0].value, both[1].value]), [4, 4])
    }))

  it.effect("F.015 state written inside comes out as a value, and has no derivative of its own", () =>
    Effect.gen(function*() {
      const m = Both.make()
      const keeps = (u: Both, x: Tensor) =>
        Effect.gen(function*() {
          const y = (yield* Ref.get(u.w)).mul(x)
          yield* Ref.update(u.mean, (mean) => mean.mul(0.5).add(T.array(0.5).mul(y)))
          return y.square()
        })
      for (const run of [nnx.valueAndGrad(keeps), nnx.jit((u: Both, x: Tensor) => nnx.valueAndGrad(keeps)(u, x))]) {
        yield* Ref.set(m.mean, f32(5))
        const [value, grads] = yield* run(m, f32(2))
        yield* expectEqual(T.stack([value, grads.w.value, yield* Ref.get(m.mean)]), [36, 24, 5.5])
      }
      // What came out is a constant of whatever is differentiated next.
      const again = nnx.grad((u: Both) =>
        Effect.gen(function*() {
          yield* nnx.grad(keeps)(u, f32(2))
          return (yield* Ref.get(u.mean)).mul(yield* Ref.get(u.w))
        })
      )
      yield* Ref.set(m.mean, f32(5))
      // d(mean · w)/dw, where mean = 2.5 + w is read after the inner call in effect order: 2.5 + 2 w.
      yield* expectEqual((yield* again(m)).w.value, 8.5)
    }))

  it.effect("F.015 BatchNorm's statistics come out of grad, and the gradient is that of the batch alone", () =>
    Effect.gen(function*() {
      const [bn, twin] = [yield* nnx.BatchNorm.make(2), yield* nnx.BatchNorm.make(2)]
      const x = f32([[1, 2], [3, 5], [8, 13]])
      const loss = (b: typeof bn) => Effect.map(b.apply(x), (y) => y.mul(x).sum())
      const g = yield* nnx.jit((b: typeof bn) => nnx.grad(loss)(b))(bn)
      yield* twin.apply(x)
      assert.deepStrictEqual(yield* held(bn.mean), yield* held(twin.mean))
      const want = (yield* twin.apply(x)).mul(x).sum({ axis: 0 })
      assertClose((yield* T.toNested(g.scale.value)) as Numbers, (yield* T.toNested(want)) as Numbers)
    }).pipe(Effect.provide(nnx.Rngs.layer(0))))

  it.effect("F.016 customVjp: fwd gives value and residuals, bwd takes residuals and cotangent, as in JAX", () =>
    Effect.gen(function*() {
      const f = nnx.customVjp((x: Tensor, y: Tensor) => Effect.succeed(x.sin().mul(y)), {
        fwd: (x, y) => Effect.succeed([x.sin().mul(y), [x.cos(), x.sin(), y]] as const),
        bwd: ([cos, sin, y], ct) => Effect.succeed([cos.mul(ct).mul(y), sin.mul(ct).mul(2)] as const)
      })
      const [gx, gy] = yield* nnx.grad(f, { argnums: [0, 1] })(f32(0.5), f32(3))
      const want = [Math.cos(0.5) * 3, Math.sin(0.5) * 2]
      const found = yield* T.toNested(T.stack([gx, gy])) as Effect.Effect<ReadonlyArray<number>>
      found.forEach((n, i) => assert.closeTo(n, want[i], 1e-6))
      // null stands for zeros, here and for what is not differentiated; what is static takes no part.
      const scaled = nnx.customVjp((x: Tensor, n: Tensor, times: number) => Effect.succeed(x.mul(n).mul(times)), {
        fwd: (x, n, times) => Effect.succeed([x.mul(n).mul(times), n] as const),
        bwd: (n, ct) => Effect.succeed([ct.mul(n).mul(100), null, null] as const)
      })
      const loss = (x: Tensor) => scaled(x, f32(3), 2)
      yield* expectEqual(yield* nnx.jit((x: Tensor) => nnx.grad(loss)(x))(f32(1)), 300)
      yield* expectEqual(yield* nnx.vmap(nnx.grad(loss))(f32([1, 2])), [300, 300])
    }))

  it.effect("F.016 a model goes through it as a State; Variables by themselves are refused, with their path", () =>
    Effect.gen(function*() {
      const m = Unit.make([1, 2])
      const [graphdef, params, rest] = yield* nnx.split(m, Param, Filter.rest)
      const apply = (p: typeof params, x: Tensor) =>
        Effect.gen(function*() {
          const merged = yield* nnx.merge(graphdef, p, rest)
          return (yield* Ref.get(merged.w)).mul(x).sum()
        })
      const f = nnx.customVjp(apply, {
        fwd: (p, x) => Effect.map(apply(p, x), (y) => [y, x] as const),
        bwd: (x, ct) => Effect.succeed([nnx.State.mapTensors(params, () => x.mul(ct).mul(10)), null] as const)
      })
      const g = yield* nnx.grad(f)(params, f32([3, 4]))
      yield* expectEqual(g.w.value, [30, 40])
      const bare = nnx.customVjp((u: Unit) => Effect.map(Ref.get(u.w), (w) => w.sum()), {
        fwd: (u) => Effect.map(Ref.get(u.w), (w) => [w.sum(), null] as const),
        bwd: () => Effect.succeed([null] as const)
      })
      assert.include((yield* failsWith(bare(m), "TraceError")).message, "0/n")
    }))
})

layer(Cpu.layer)("evalShape", (it) => {
  it.effect("F.033 nothing is written: not the arguments, not what is captured, not the streams", () =>
    Effect.gen(function*() {
      const rngs = yield* nnx.Rngs
      const [m, captured] = [Unit.make(1), Unit.make(2)]
      const f = (u: Unit) =>
        Effect.gen(function*() {
          yield* Ref.update(u.n, (n) => n.add(1))
          yield* Ref.update(captured.n, (n) => n.add(1))
          yield* nnx.setAttribute(u, "extra", Param.makeUnsafe(f32([1, 2, 3])))
          return [u, (yield* nnx.Rngs.nextKey()).shape[0]] as const
        })
      const [out, words] = yield* nnx.evalShape(f)(m)
      assert.strictEqual(words, 2)
      assert.notStrictEqual(out, m)
      assert.deepStrictEqual(Object.keys(out).toSorted(), ["extra", "n", "w"])
      assert.notProperty(m, "extra")
      assert.deepStrictEqual([yield* held(m.n), yield* held(captured.n)], [0, 0])
      assert.strictEqual(yield* held(rngs.streams["default"].count), 0)
    }).pipe(Effect.provide(nnx.Rngs.layer(0))))

  it.effect("F.033 an abstract model has shapes, dtypes, kinds, modes and metadata, and no elements", () =>
    Effect.gen(function*() {
      const metadata = { outSharding: ["in", "out"], note: { by: "me" } }
      const make = Effect.gen(function*() {
        const w = yield* Param.make(yield* Effect.flatMap(nnx.Rngs, (r) => r.normal([1000, 1000])), {
          metadata,
          isHijax: true
        })
        return { layer: yield* nnx.BatchNorm.make(4), w, other: Other.make([1]) }
      })
      const abstract = yield* nnx.evalShape(() => make)()
      assert.deepStrictEqual([abstract.w.kind, abstract.w.isHijax, abstract.w.metadata], ["Param", true, metadata])
      const shapes = nnx.State.toEntries(yield* nnx.state(abstract)).map(([path, leaf]) => {
        const { value } = leaf as { readonly value: Tensor }
        return [path.join("/"), value.dtype, value.shape] as const
      })
      assert.deepStrictEqual(shapes, [
        ["layer/bias", "float32", [4]],
        ["layer/mean", "float32", [4]],
        ["layer/scale", "float32", [4]],
        ["layer/var", "float32", [4]],
        ["other/w", "float32", [1]],
        ["w", "float32", [1000, 1000]]
      ])
      // It is a structure to be filled: a State of the real model fits, using it does not.
      const real = yield* make
      yield* nnx.update(abstract, yield* nnx.state(real))
      yield* expectEqual((yield* Ref.get(abstract.other.w)).add(1), [2])
      const empty = yield* nnx.evalShape(() => make)()
      yield* failsWith(nnx.jit((m: typeof empty) => Effect.map(Ref.get(m.w), (w) => w.sum()))(empty), "TracerLeakError")
    }).pipe(Effect.provide(nnx.Rngs.layer(0))))
})
