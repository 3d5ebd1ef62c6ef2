// Where a naive implementation of loops, maps and branches over graphs is wrong.
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import * as nnx from "linum"
import * as Cpu from "linum/backend/tfjs-cpu"
import { expectClose, expectEqual, f32, i32, Pair, Unit } from "../Transform/common.ts"
import { failsWith, held, type Tensor } from "./basics.models.ts"

const T = nnx.Tensor
const { Carry, Filter, Param } = nnx
const Count = nnx.kind("Count")

const tick = (u: Unit) => Ref.update(u.n, (n) => n.add(1))

layer(Cpu.layer)("scan", (it) => {
  it.effect("F.017 a carry comes out as the same Variables; a new one in their place is an error", () =>
    Effect.gen(function*() {
      const m = Unit.make(1)
      const keeps = (u: Unit, x: Tensor) => Effect.as(Ref.update(u.w, (w) => w.add(x)), [u, x] as const)
      const [out] = yield* nnx.scan(keeps)(m, f32([1, 2, 3]))
      assert.strictEqual(out, m)
      yield* expectEqual(yield* Ref.get(m.w), 7)
      const replaces = (u: Unit, x: Tensor) =>
        Effect.map(Ref.get(u.w), (w) => [new Unit({ w: Param.makeUnsafe(w), n: u.n }), x] as const)
      const message = /Carry references must be the same between iterations/
      assert.match((yield* failsWith(nnx.scan(replaces)(m, f32([1, 2])), "StructureError")).message, message)
      const bare = (v: typeof m.w, x: Tensor) => Effect.map(Ref.get(v), (w) => [Param.makeUnsafe(w), x] as const)
      const error = yield* failsWith(nnx.scan(bare)(m.w, f32([1, 2])), "StructureError")
      assert.match(error.message, message)
      // Swapped Variables are other Variables; arrays are exempt, only their form counts.
      const pair = { a: Unit.make(1), b: Unit.make(2) }
      const swaps = ({ a, b }: typeof pair, x: Tensor) => Effect.succeed([{ a: b, b: a }, x] as const)
      yield* failsWith(nnx.scan(swaps)(pair, f32([1])), "StructureError")
      const [last] = yield* nnx.scan((c: Tensor, x: Tensor) => Effect.succeed([x.add(c), c] as const))(
        f32(0),
        f32([1, 2])
      )
      yield* expectEqual(last, 3)
    }))

  it.effect("F.018 a Variable that is not stepped through accumulates: 1 becomes 4 after three steps", () =>
    Effect.gen(function*() {
      const [v, captured] = [Count.makeUnsafe(i32(1)), Count.makeUnsafe(i32(1))]
      const seen = (u: typeof v, one: Tensor) =>
        Effect.gen(function*() {
          yield* Ref.update(u, (n) => n.add(one))
          yield* Ref.update(captured, (n) => n.add(1))
          return yield* Ref.get(u)
        })
      const run = nnx.scan(seen, { inAxes: [null, 0], outAxes: 0 })
      yield* expectEqual(yield* run(v, i32([1, 1, 1])), [2, 3, 4])
      assert.deepStrictEqual([yield* held(v), yield* held(captured)], [4, 4])
      yield* nnx.jit(run)(v, i32([1, 1, 1]))
      assert.deepStrictEqual([yield* held(v), yield* held(captured)], [7, 7])
      // So a stream that is not split gives another key at each step.
      const rngs = yield* nnx.Rngs.fromSeeds(0)
      const keys = yield* nnx.scan((r: nnx.RngStreams) => r.key(), { inAxes: null, outAxes: 0, length: 2 })(
        rngs
      )
      const again = yield* nnx.Rngs.fromSeeds(0)
      yield* expectEqual(keys, yield* T.toNested(T.stack([yield* again.key(), yield* again.key()])))
    }))

  it.effect("F.019 axes of any sign, in and out; null for inputs only; Carry once, at the top, in both or neither", () =>
    Effect.gen(function*() {
      const x = f32([[1, 2, 3], [4, 5, 6]])
      const same = (y: Tensor) => Effect.succeed(y.mul(2))
      const axes: ReadonlyArray<readonly [number, number]> = [[0, 0], [1, 1], [-1, -1], [0, 1], [-1, 0], [1, -2], [
        -2,
        1
      ]]
      for (const [i, o] of axes) {
        const want = i === 0 || i === -2 ? x : x.transpose()
        const placed = o === 0 || o === -2 ? want : want.transpose()
        yield* expectEqual(yield* nnx.scan(same, { inAxes: i, outAxes: o })(x), yield* T.toNested(placed.mul(2)))
      }
      const two = (a: Tensor, b: Tensor) => Effect.succeed([a, b] as const)
      const wrong: ReadonlyArray<nnx.ScanOptions> = [
        { inAxes: [Carry, Carry], outAxes: [Carry, 0] },
        { inAxes: [Carry, 0], outAxes: [0, 0] },
        { inAxes: [0, 0], outAxes: [Carry, 0] },
        { inAxes: [Carry, 0], outAxes: [Carry, null] },
        { inAxes: [null, 0], outAxes: [null, 0] }
      ]
      for (const options of wrong) yield* failsWith(nnx.scan(two, options)(f32([1]), f32([1])), "TraceError")
      yield* failsWith(nnx.scan(two, { inAxes: [Carry, 2] })(f32([1]), f32([1])), "ShapeError")
      // Some Variables stepped through, the others carried.
      const m = Unit.make([[1, 10], [2, 20]])
      const mixed = nnx.stateAxes([[Param, 1], [Filter.rest, Carry]])
      const body = (u: Unit) => Effect.andThen(tick(u), Ref.update(u.w, (w) => w.add(1)))
      yield* nnx.scan(body, { inAxes: [mixed], outAxes: 0 })(m)
      yield* expectEqual(yield* Ref.get(m.w), [[2, 11], [3, 21]])
      assert.strictEqual(yield* held(m.n), 2)
    }))
})

layer(Cpu.layer)("vmap over state", (it) => {
  const broadcast = nnx.stateAxes([[Param, 0], [Count, null]])

  it.effect("F.020 what is not mapped may be written with one value for all: it is written once", () =>
    Effect.gen(function*() {
      const m = Unit.make([1, 2, 3])
      yield* expectEqual(
        yield* nnx.vmap((u: Unit) => Effect.andThen(tick(u), Ref.get(u.w)), { inAxes: [broadcast] })(m),
        [1, 2, 3]
      )
      assert.strictEqual(yield* held(m.n), 1)
      yield* nnx.vmap((v: typeof m.n) => Ref.update(v, (n) => n.add(1)), { inAxes: null, axisSize: 2 })(
        m.n
      )
      assert.strictEqual(yield* held(m.n), 2)
    }))

  it.effect("F.020 with a value for each it fails, and says where and on which axis", () =>
    Effect.gen(function*() {
      const m = Unit.make([1, 2, 3])
      const write = (u: { readonly broadcast: Unit }, x: Tensor) =>
        Ref.update(u.broadcast.n, (n) => n.add(x.astype("int32")))
      const error = yield* failsWith(
        nnx.vmap(write, { inAxes: [null, 0] })({ broadcast: m }, f32([1, 2])),
        "TraceError"
      )
      assert.match(error.message, /^vmap: at 0\/broadcast\/n: got axis spec null but output was batched on axis 0/)
      const captured = yield* failsWith(nnx.vmap((x: Tensor) => Ref.set(m.w, x))(f32([1, 2])), "TraceError")
      assert.match(
        captured.message,
        /Param that the function captured: got axis spec null but output was batched on axis 0/
      )
      assert.strictEqual(yield* held(m.n), 0)
    }))

  it.effect("F.021 names of axes leave metadata on the way in and come back on the way out", () =>
    Effect.gen(function*() {
      const v = Param.makeUnsafe(T.zeros([4, 2, 3]), {
        metadata: { outSharding: ["layers", "b", "c"], nickname: ["L", "B", "C"], other: "x" }
      })
      const transformMetadata = { partitionName: "layers", nickname: "L" }
      const inside: Array<unknown> = []
      const f = (u: typeof v) =>
        Effect.gen(function*() {
          inside.push(u.metadata)
          return Param.makeUnsafe((yield* Ref.get(u)).sum({ axis: 0 }), { metadata: { outSharding: ["c"] } })
        })
      const made = yield* nnx.vmap(f, { transformMetadata })(v)
      assert.deepStrictEqual(inside, [{ outSharding: ["b", "c"], nickname: ["B", "C"], other: "x" }])
      assert.deepStrictEqual(v.metadata, { outSharding: ["layers", "b", "c"], nickname: ["L", "B", "C"], other: "x" })
      assert.deepStrictEqual(made.metadata, { outSharding: ["layers", "c"] })
      // At another axis, from behind, and where names are missing.
      const last = yield* nnx.vmap(f, { inAxes: 0, outAxes: -1, transformMetadata })(v)
      assert.deepStrictEqual(last.metadata, { outSharding: ["c", "layers"] })
      const padded = yield* nnx.vmap(
        () => Effect.succeed(Param.makeUnsafe(T.zeros([2, 3]), { metadata: { outSharding: ["b"] } })),
        { axisSize: 4, outAxes: 2, transformMetadata }
      )()
      assert.deepStrictEqual(padded.metadata, { outSharding: ["b", null, "layers"] })
      // The names are written only where the option says so.
      const plain = yield* nnx.vmap(f)(v)
      assert.deepStrictEqual(plain.metadata, { outSharding: ["c"] })
    }))

  it.effect("F.021 in scan and in jit too, and a retrace is not caused by them", () =>
    Effect.gen(function*() {
      const v = Param.makeUnsafe(T.ones([4, 2]), { metadata: { outSharding: ["layers", "b"] } })
      const seen: Array<unknown> = []
      const body = (u: typeof v, x: Tensor) =>
        Effect.gen(function*() {
          seen.push(u.metadata["outSharding"])
          yield* Ref.update(u, (w) => w.add(x.sum()))
          return [x, Param.makeUnsafe(x, { metadata: { outSharding: [] } })] as const
        })
      const run = nnx.jit((u: typeof v, x: Tensor) =>
        nnx.scan(body, { inAxes: [0, Carry], outAxes: [Carry, 0], transformMetadata: { partitionName: "layers" } })(
          u,
          x
        )
      )
      const [, made] = yield* run(v, f32(1))
      yield* run(v, f32(1))
      assert.deepStrictEqual(seen, [["b"]])
      assert.deepStrictEqual(v.metadata["outSharding"], ["layers", "b"])
      assert.deepStrictEqual(made.metadata["outSharding"], ["layers"])
      yield* expectEqual(yield* Ref.get(v), Array.from({ length: 4 }, () => [3, 3]))
      assert.strictEqual(run.traces(), 1)
    }))

  it.effect("F.021 a name that is not there is an error that shows all names; hooks are called with axis and name", () =>
    Effect.gen(function*() {
      const v = Param.makeUnsafe(T.zeros([4, 2, 3]), { metadata: { outSharding: ["layers", "b", "c"] } })
      const id = (u: typeof v) => Effect.succeed(u)
      const wrong = yield* failsWith(nnx.vmap(id, { transformMetadata: { partitionName: "x" } })(v), "TraceError")
      assert.include(
        wrong.message,
        "Expected to remove 'x' at index 0 from outSharding: ['layers', 'b', 'c'], but found 'layers'"
      )
      const calls: Array<string> = []
      const hooked = Param.makeUnsafe(T.zeros([4, 2]), {
        hooks: {
          removeAxis: [(u, axis, name) => void calls.push(`remove ${u.kind} ${axis} ${name}`)],
          addAxis: [(u, axis, name) => void calls.push(`add ${u.kind} ${axis} ${name}`)]
        }
      })
      const touch = (u: typeof hooked) => Effect.sync(() => void calls.push(`inside ${u.kind}`))
      yield* nnx.vmap(touch, { inAxes: 1, transformMetadata: { partitionName: "b" } })(hooked)
      yield* nnx.scan(touch, { inAxes: 0, outAxes: 0 })(hooked)
      yield* nnx.vmap(touch, { inAxes: null, axisSize: 2 })(hooked)
      assert.deepStrictEqual(calls, [
        "remove Param 1 b",
        "inside Param",
        "add Param 1 b",
        "remove Param 0 undefined",
        "inside Param",
        "add Param 0 undefined",
        "inside Param"
      ])
    }))
})

layer(Cpu.layer)("nesting, loops and branches", (it) => {
  it.effect("F.022 cond in vmap in jit, remat in scan, valueAndGrad in jit, vmap in vjp: writes reach the outermost", () =>
    Effect.gen(function*() {
      const m = Unit.make([1, 2, 3])
      const branch = nnx.jit((u: Unit) =>
        nnx.vmap(
          (v: Unit) =>
            Effect.flatMap(Ref.get(v.w), (w) =>
              nnx.cond(w.gt(1.5), (q: Unit) =>
                Ref.update(q.w, (y) =>
                  y.mul(10)), (q: Unit) =>
                Ref.update(q.w, (y) => y.neg()), v)),
          { inAxes: [nnx.stateAxes([[Param, 0], [Count, null]])] }
        )(u)
      )
      yield* branch(m)
      yield* expectEqual(yield* Ref.get(m.w), [-1, 20, 30])
      yield* branch(m)
      yield* expectEqual(yield* Ref.get(m.w), [1, 200, 300])
      assert.strictEqual(branch.traces(), 1)

      const layers = Unit.make([2, 3, 4], [0, 0, 0])
      const step = nnx.remat((u: Unit, x: Tensor) => Effect.andThen(tick(u), Effect.map(Ref.get(u.w), (w) => w.mul(x))))
      const forward = nnx.scan(step, { inAxes: [0, Carry], outAxes: Carry })
      const train = nnx.jit((u: Unit, x: Tensor) => nnx.valueAndGrad(forward)(u, x))
      for (let i = 1; i <= 2; i++) {
        const [value, g] = yield* train(layers, f32(5))
        yield* expectEqual(value, 120)
        yield* expectEqual(g.w.value, [60, 40, 30])
        assert.deepStrictEqual(yield* held(layers.n), [i, i, i])
      }
      assert.strictEqual(train.traces(), 1)

      const counter = Unit.make(1)
      const [value, pull] = yield* nnx.vjp(
        nnx.vmap((x: Tensor) => Effect.as(tick(counter), x.square())),
        f32([1, 2, 3])
      )
      yield* expectEqual(value, [1, 4, 9])
      yield* expectEqual((yield* pull(f32([1, 1, 1])))[0], [2, 4, 6])
      assert.strictEqual(yield* held(counter.n), 1)
    }))

  it.effect("F.022 jit of scan of vmap over a stack of stacks, with BatchNorm and Dropout, is traced once", () =>
    Effect.gen(function*() {
      class Layer extends nnx.Module("Layer")<{
        readonly linear: nnx.Linear
        readonly bn: nnx.BatchNorm
        readonly dropout: nnx.Dropout
      }> {
        static readonly make = Effect.gen(function*() {
          return new Layer({
            linear: yield* nnx.Linear.make(3, 3),
            bn: yield* nnx.BatchNorm.make(3),
            dropout: yield* nnx.Dropout.make(0.5)
          })
        })
        apply(x: Tensor) {
          const { bn, dropout, linear } = this
          return Effect.flatMap(
            Effect.flatMap(linear.apply(x), (y) => bn.apply(y)),
            (y) => Effect.map(dropout.apply(y), (z) => x.add(z))
          )
        }
      }
      const create = (rngs: nnx.RngStreams) => Effect.provideService(Layer.make, nnx.Rngs, rngs)
      // Depth 4, and an ensemble of 2 at each depth.
      const grid = yield* nnx.vmap(nnx.vmap(create))(yield* Effect.flatMap(nnx.Rngs, (r) => r.split([4, 2])))
      assert.deepStrictEqual((yield* Ref.get(grid.linear.kernel)).shape, [4, 2, 3, 3])
      const member = (l: Layer, x: Tensor) => l.apply(x)
      const level = (ensemble: Layer, xs: Tensor) => nnx.vmap(member)(ensemble, xs)
      const forward = nnx.scan(level, { inAxes: [0, Carry], outAxes: Carry })
      const loss = (g: Layer, xs: Tensor) => Effect.map(forward(g, xs), (y) => y.square().mean())
      const optimizer = yield* nnx.Optimizer.make(grid, nnx.sgd(0.1), { wrt: Param })
      const step = nnx.jit(
        Effect.fnUntraced(function*(g: Layer, o: typeof optimizer, xs: Tensor) {
          const [value, grads] = yield* nnx.valueAndGrad(loss)(g, xs)
          yield* o.update(g, grads)
          return value
        })
      )
      const xs = T.random.normal(T.random.key(1), [2, 5, 3])
      const twin = yield* nnx.clone(grid)
      const plain: Array<unknown> = []
      // The same by hand: each member of each level on its own.
      for (let member = 0; member < 2; member++) {
        let x: Tensor = xs.get(member)
        for (let depth = 0; depth < 4; depth++) {
          const one = yield* nnx.GraphDef.map(twin, (_, v) => (v as Tensor).get(depth, member))
          x = yield* one.apply(x)
          plain.push(yield* held(one.bn.mean))
        }
      }
      for (let i = 1; i <= 3; i++) {
        yield* step(grid, optimizer, xs)
        assert.deepStrictEqual(yield* held(grid.dropout.rngs.count), Array.from({ length: 4 }, () => [i, i]))
        if (i > 1) continue
        const means = yield* Ref.get(grid.bn.mean)
        yield* expectClose(means.transpose([1, 0, 2]).reshape([8, 3]), plain as never, { rtol: 1e-4, atol: 1e-6 })
      }
      assert.strictEqual(step.traces(), 1)
    }).pipe(Effect.provide(nnx.Rngs.layer(0))))

  it.effect("F.022 grad in scan in jit: a whole training loop is one equation, traced once", () =>
    Effect.gen(function*() {
      const model = Unit.make(0)
      const optimizer = yield* nnx.Optimizer.make(model, nnx.sgd(0.25, { momentum: 0.5 }), { wrt: Param })
      const loss = (u: Unit, x: Tensor) =>
        Effect.andThen(tick(u), Effect.map(Ref.get(u.w), (w) => w.mul(x).sub(x.mul(3)).square()))
      const step = ([u, o]: readonly [Unit, typeof optimizer], x: Tensor) =>
        Effect.gen(function*() {
          const [value, grads] = yield* nnx.valueAndGrad(loss)(u, x)
          yield* o.update(u, grads)
          return [[u, o] as const, value] as const
        })
      const train = nnx.jit((u: Unit, o: typeof optimizer, xs: Tensor) =>
        Effect.map(nnx.scan(step)([u, o] as const, xs), ([, losses]) => losses)
      )
      const [twin, xs] = [Unit.make(0), f32([1, 0.5, 1, 2, 0.25, 1])]
      const twinOptimizer = yield* nnx.Optimizer.make(twin, nnx.sgd(0.25, { momentum: 0.5 }), { wrt: Param })
      const losses: Array<number> = []
      for (let i = 0; i < 6; i++) losses.push(yield* T.item((yield* step([twin, twinOptimizer], xs.get(i)))[1]))
      yield* expectClose(yield* train(model, optimizer, xs), losses)
      yield* train(model, optimizer, xs)
      assert.strictEqual(train.traces(), 1)
      assert.deepStrictEqual([yield* held(optimizer.step), yield* held(model.n)], [12, 12])
    }))

  it.effect("F.022 splitRngs is outside of vmap; inside, each element would split its own", () =>
    Effect.gen(function*() {
      const draw = (r: nnx.RngStreams) => r.uniform([])
      const outside = nnx.splitRngs({ splits: 3 })(nnx.vmap(draw))
      const rngs = yield* nnx.Rngs.fromSeeds(0)
      const drawn = (yield* T.toNested(yield* outside(rngs))) as ReadonlyArray<number>
      assert.strictEqual(new Set(drawn).size, 3)
      const inside = nnx.vmap((r: nnx.RngStreams) => nnx.splitRngs({ splits: 3 })(nnx.vmap(draw))(r), {
        inAxes: null,
        axisSize: 2
      })
      const all = (yield* T.toNested(yield* inside(yield* nnx.Rngs.fromSeeds(0)))) as ReadonlyArray<
        unknown
      >
      assert.deepStrictEqual(all, [drawn, drawn])
    }))

  it.effect("F.023 loops over two Modules keep structure and identity, and write both", () =>
    Effect.gen(function*() {
      const [a, b] = [Unit.make(1), Unit.make(2)]
      const step = ([u, v]: readonly [Unit, Unit]) =>
        Effect.gen(function*() {
          yield* tick(u)
          yield* Ref.set(v.w, (yield* Ref.get(v.w)).add(yield* Ref.get(u.w)))
          return [u, v] as const
        })
      const init = [a, b] as const
      const [c, d] = yield* nnx.whileLoop(
        ([u]: readonly [Unit, Unit]) => Effect.map(Ref.get(u.n), (n) => n.lt(5)),
        step,
        init
      )
      assert.isTrue(c === a && d === b)
      assert.strictEqual(yield* held(a.n), 5)
      yield* expectEqual(yield* Ref.get(b.w), 7)
      const loop = nnx.jit((u: Unit, v: Unit, n: Tensor) =>
        nnx.foriLoop(0, n, (_, pair) => step(pair), [u, v] as const)
      )
      const [e] = yield* loop(a, b, i32(3))
      assert.strictEqual(e, a)
      yield* loop(a, b, i32(2))
      assert.strictEqual(loop.traces(), 1)
      assert.strictEqual(yield* held(a.n), 10)
      const [f] = yield* nnx.foriLoop(0, 2, (_, pair) => step(pair), init)
      assert.strictEqual(f, a)
      // Two Modules that share a Variable, and one Module twice.
      const shared = Pair.of(a, new Unit({ w: a.w, n: b.n }))
      yield* nnx.foriLoop(0, 3, (_, p: typeof shared) => Effect.as(Ref.update(p.b.w, (w) => w.add(1)), p), shared)
      yield* expectEqual(yield* Ref.get(a.w), 4)
    }))

  it.effect("F.023 a body that changes structure, shapes or dtypes is an error that shows both", () =>
    Effect.gen(function*() {
      const m = Unit.make([1, 2])
      const forever = () => Effect.succeed(T.array(true))
      const bodies: ReadonlyArray<readonly [(u: Unit) => Effect.Effect<Unit, unknown>, RegExp]> = [
        [(u) => Effect.as(nnx.setAttribute(u, "extra", 1), u), /keep their structure[^]*extra/],
        [(u) => Effect.as(Ref.update(u.w, (w) => w.sum()), u), /w: expected f32\[2\], found f32\[\]/],
        [(u) => Effect.as(Ref.update(u.n, (n) => n.astype("float32")), u), /n: expected i32\[\], found f32\[\]/],
        [(u) => Effect.succeed(new Unit({ w: u.w, n: Count.makeUnsafe(i32(0)) })), /another Count/]
      ]
      for (const [body, message] of bodies) {
        const loops = [
          nnx.whileLoop(forever, body, m),
          nnx.foriLoop(0, 3, (_, u) => body(u), m),
          nnx.foriLoop(0, i32(3), (_, u) => body(u), m)
        ]
        for (const loop of loops) assert.match((yield* failsWith(loop, "StructureError")).message, message)
      }
      const checks = (u: Unit) => Effect.flatMap(Ref.get(u.n), (n) => Effect.as(nnx.Check.that(n.lt(3), "no"), n.lt(5)))
      const error = yield* failsWith(nnx.whileLoop(checks, (u) => Effect.as(tick(u), u), m), "TraceError")
      assert.include(error.message, "the condition has a check")
      assert.strictEqual(yield* held(m.n), 0)
    }))

  it.effect("F.024 branches that touch different Variables; a result may be nothing; operands may be shared", () =>
    Effect.gen(function*() {
      const [m, captured] = [Pair.of(Unit.make(1), Unit.make(2)), Unit.make(0)]
      const f = nnx.jit((flag: Tensor, p: typeof m, q: Unit) =>
        nnx.cond(
          flag,
          (u: typeof m, v: Unit) => Effect.andThen(Ref.set(u.a.w, f32(10)), tick(v)),
          (u: typeof m, v: Unit) =>
            Effect.andThen(
              Effect.flatMap(Ref.get(v.n), (n) => Ref.update(u.b.w, (w) => w.mul(99).add(w.mul(n)))),
              tick(captured)
            ),
          p,
          q
        )
      )
      assert.strictEqual(yield* f(T.array(true), m, m.a), undefined)
      assert.deepStrictEqual([yield* held(m.a.n), yield* held(captured.n)], [1, 0])
      yield* expectEqual(T.stack([yield* Ref.get(m.a.w), yield* Ref.get(m.b.w)]), [10, 2])
      yield* f(T.array(false), m, m.a)
      assert.deepStrictEqual([yield* held(m.a.n), yield* held(captured.n)], [1, 1])
      yield* expectEqual(T.stack([yield* Ref.get(m.a.w), yield* Ref.get(m.b.w)]), [10, 200])
      assert.strictEqual(f.traces(), 1)
      const both = nnx.switch(
        i32(2),
        [0, 1, 2].map((k) => (u: Unit) => Ref.update(u.n, (n) => n.add(k * 100))),
        captured
      )
      yield* both
      assert.strictEqual(yield* held(captured.n), 201)
      const uneven = nnx.cond(true, (u: Unit) => nnx.setAttribute(u, "x", 1), () => Effect.void, captured)
      yield* failsWith(uneven, "StructureError")
    }))
})

layer(Cpu.layer)("random streams", (it) => {
  it.effect("F.025 splitRngs is in place and scoped: afterwards the key is the old one, and the count one more", () =>
    Effect.gen(function*() {
      const rngs = yield* nnx.Rngs.fromSeeds({ params: 0, dropout: 1 })
      const { dropout, params } = rngs.streams
      const [key, other] = [yield* Ref.get(params.key), yield* held(dropout.key)]
      const seen: Array<unknown> = []
      const run = nnx.splitRngs({ splits: 4, only: "params" })((r: nnx.RngStreams, x: Tensor) =>
        Effect.gen(function*() {
          seen.push((yield* Ref.get(r.streams["params"].key)).shape, (yield* Ref.get(r.streams["dropout"].key)).shape)
          assert.strictEqual(r, rngs)
          const axes = nnx.stateAxes([[Filter.withTag("params"), 0], [Filter.rest, null]])
          return yield* nnx.vmap((s: nnx.RngStreams, y: Tensor) => Effect.map(s.key("params"), () => y), {
            inAxes: [axes, 0]
          })(r, x)
        })
      )
      yield* run(rngs, f32([1, 2, 3, 4]))
      assert.deepStrictEqual(seen, [[4, 2], [2]])
      assert.strictEqual(yield* Ref.get(params.key), key)
      assert.deepStrictEqual([yield* held(params.count), yield* held(dropout.count)], [1, 0])
      assert.deepStrictEqual(yield* held(dropout.key), other)
      // By hand, with Effect's own bracket; an interrupted or failed use is put back too.
      const use = Effect.acquireUseRelease(
        nnx.splitRngs(rngs, { splits: 2 }),
        () => Effect.fail("no"),
        (backups) => nnx.restoreRngs(backups)
      )
      assert.strictEqual(yield* Effect.flip(use), "no")
      assert.deepStrictEqual([yield* held(params.count), yield* held(dropout.count)], [2, 1])
    }))

  it.effect("F.026 fork, split and broadcast each take one key; a layer's stream is a fork", () =>
    Effect.gen(function*() {
      const rngs = yield* nnx.Rngs.fromSeeds(0)
      const { default: stream } = rngs.streams
      const key = yield* held(stream.key)
      const taking = [rngs.fork, rngs.split(3), rngs.broadcast(2), stream.fork, stream.split([2, 2]), rngs.key()]
      let count = 0
      for (const take of taking) {
        yield* take
        assert.strictEqual(yield* held(stream.count), ++count)
        assert.deepStrictEqual(yield* held(stream.key), key)
      }
      const layer = yield* nnx.Dropout.make(0.5).pipe(Effect.provideService(nnx.Rngs, rngs))
      assert.strictEqual(yield* held(stream.count), ++count)
      assert.notStrictEqual(layer.rngs, stream)
      assert.strictEqual(yield* held(layer.rngs.count), 0)
      // Its key is the one that was next, and drawing from it leaves the outer stream alone.
      const again = yield* nnx.Rngs.fromSeeds(0)
      for (let i = 0; i < taking.length; i++) yield* again.key()
      const next: unknown = yield* T.toNested(yield* again.key())
      assert.deepStrictEqual(yield* held(layer.rngs.key), next)
      yield* layer.apply(T.ones([3]))
      assert.deepStrictEqual([yield* held(layer.rngs.count), yield* held(stream.count)], [1, count])
      // A stack of layers has a fork for each; counts step together.
      const stack = yield* nnx.vmap((r: nnx.RngStreams) => Effect.provideService(nnx.Dropout.make(0.5), nnx.Rngs, r))(
        yield* rngs.split(2)
      )
      assert.deepStrictEqual(yield* held(stack.rngs.count), [0, 0])
      yield* nnx.vmap((d: nnx.Dropout) => d.apply(T.ones([3])))(stack)
      assert.deepStrictEqual(yield* held(stack.rngs.count), [1, 1])
    }))
})
