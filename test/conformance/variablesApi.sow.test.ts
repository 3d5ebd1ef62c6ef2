// The variables API page: `Intermediate`, and `sow`, which makes Variables of it.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import * as nnx from "linum"
import { expectValue, failsWith, golden, Live, type Tensor, tensor } from "./basics.models.ts"

const T = nnx.Tensor

/** Two Linears; what is between them is sown. */
class Model extends nnx.Module("Model")<{
  readonly linear1: nnx.Linear
  readonly linear2: nnx.Linear
  readonly i?: nnx.Variable<"Intermediate", ReadonlyArray<Tensor>>
}> {
  static readonly make = Effect.fnUntraced(function*() {
    return new Model({ linear1: yield* nnx.Linear.make(2, 3), linear2: yield* nnx.Linear.make(3, 4) })
  })

  apply(x: Tensor) {
    return this.linear1.apply(x).pipe(
      Effect.tap((h) => nnx.sow(this, nnx.Intermediate, "i", h)),
      Effect.flatMap((h) => this.linear2.apply(h))
    )
  }
}

const test = <A, E>(name: string, body: () => Effect.Effect<A, E, nnx.Backend | nnx.Rngs>) =>
  it.effect(name, () => Effect.suspend(body).pipe(Effect.provide(Live)))

/** The shapes of what was sown. */
const shapes = (model: Model) =>
  Effect.map(
    model.i === undefined ? Effect.succeed([]) : Ref.get(model.i),
    (sown) => sown.map((x) => x.shape)
  )

describe("sow", () => {
  test("A.095 collects values in an Intermediate, one for each call", () =>
    Effect.gen(function*() {
      const { outs, sown, x } = golden("sow")
      const model = yield* Model.make()
      assert.notProperty(model, "i")
      yield* expectValue(yield* model.apply(tensor(x)), outs[0])
      assert.strictEqual(model.i?.kind, "Intermediate")
      assert.deepStrictEqual(yield* shapes(model), [[1, 3]])
      yield* expectValue(yield* model.apply(tensor(x).mul(2)), outs[1])
      const popped = yield* nnx.pop(model, nnx.Intermediate)
      const values = popped.i?.value ?? []
      assert.strictEqual(values.length, 2)
      for (const [i, value] of values.entries()) yield* expectValue(value, sown[i])
      assert.notProperty(model, "i")
      assert.strictEqual(nnx.State.length(yield* nnx.pop(model, nnx.Intermediate)), 0)
    }))

  test("A.095 prints as a State of shapes, one of them a list", () =>
    Effect.gen(function*() {
      const model = yield* Model.make()
      yield* model.apply(T.ones([1, 2]))
      const state = yield* nnx.state(model, nnx.Intermediate)
      const mapped = nnx.State.treeMap(state, (x) => x.shape)
      assert.strictEqual(String(mapped), "State({\n  'i': Intermediate(\n    value=[[1, 3]]\n  )\n})")
    }))

  test("A.095 inside jit, grad and both: a change of structure that reaches the model", () =>
    Effect.gen(function*() {
      const model = yield* Model.make()
      const forward = nnx.jit((m: Model, x: Tensor) => m.apply(x))
      yield* forward(model, T.ones([1, 2]))
      assert.deepStrictEqual(yield* shapes(model), [[1, 3]])
      yield* forward(model, T.ones([5, 2]))
      assert.deepStrictEqual(yield* shapes(model), [[1, 3], [5, 3]])
      const loss = (m: Model, x: Tensor) => Effect.map(m.apply(x), (y) => y.sum())
      const grads = yield* nnx.grad(loss)(model, T.ones([7, 2]))
      assert.deepStrictEqual(nnx.State.paths(grads).map((path) => path[0]), [
        "linear1",
        "linear1",
        "linear2",
        "linear2"
      ])
      yield* nnx.jit((m: Model) => nnx.grad(loss)(m, T.ones([9, 2])))(model)
      assert.deepStrictEqual(yield* shapes(model), [[1, 3], [5, 3], [7, 3], [9, 3]])
      // Taken out, the model compiles as it did at first.
      yield* nnx.pop(model, nnx.Intermediate)
      const traces = forward.traces()
      yield* forward(model, T.ones([1, 2]))
      assert.strictEqual(forward.traces(), traces)
      assert.deepStrictEqual(yield* shapes(model), [[1, 3]])
    }))

  test("A.095 inside scan over a stack, and vmap: what was sown has the axis of the layers", () =>
    Effect.gen(function*() {
      class Layer extends nnx.Module("Layer")<{
        readonly linear: nnx.Linear
        readonly h?: nnx.Variable<"Intermediate", Tensor>
      }> {
        apply(x: Tensor) {
          return Effect.tap(
            this.linear.apply(x),
            (h) => nnx.sow(this, nnx.Intermediate, "h", h, { init: () => T.zeros([3]), reduce: (_, y: Tensor) => y })
          )
        }
      }
      const keys = T.random.split(T.random.key(0), 4)
      const make = (key: Tensor) =>
        Effect.flatMap(
          nnx.Rngs.fromSeeds(key),
          (rngs) =>
            Effect.map(nnx.Linear.make(3, 3), (linear) => new Layer({ linear })).pipe(
              Effect.provideService(nnx.Rngs, rngs)
            )
        )
      const stack = yield* nnx.vmap(make)(keys)
      const forward = nnx.scan((layer: Layer, x: Tensor) => layer.apply(x), {
        inAxes: [0, nnx.Carry],
        outAxes: nnx.Carry
      })
      const last = yield* forward(stack, T.ones([3]))
      const { h } = yield* nnx.pop(stack, nnx.Intermediate)
      assert.deepStrictEqual(h?.value.shape, [4, 3])
      assert.deepStrictEqual(yield* T.toNested(h?.value.get(3) ?? T.zeros([3])), yield* T.toNested(last))
      assert.notProperty(stack, "h")
      yield* nnx.vmap((layer: Layer) => layer.apply(T.ones([3])))(stack)
      assert.deepStrictEqual(stack.h === undefined ? [] : (yield* Ref.get(stack.h)).shape, [4, 3])
      // Inside jit, with derivatives, and once more where the Variable is there.
      const loss = (s: Layer) => Effect.map(forward(s, T.ones([3])), (y) => y.sum())
      const grads = yield* nnx.jit((s: Layer) => nnx.grad(loss)(s))(stack)
      assert.deepStrictEqual(grads.linear.kernel.value.shape, [4, 3, 3])
      const again = stack.h === undefined ? T.zeros([3]) : (yield* Ref.get(stack.h)).get(3)
      assert.deepStrictEqual(yield* T.toNested(again), yield* T.toNested(last))
    }))

  test("A.095 a list that grows in every layer of a stack", () =>
    Effect.gen(function*() {
      class Layer extends nnx.Module("Layer")<{ readonly linear: nnx.Linear }> {
        apply(x: Tensor) {
          return Effect.tap(this.linear.apply(x), (h) => nnx.sow(this, nnx.Intermediate, "h", h))
        }
      }
      const make = (rngs: nnx.RngStreams) =>
        Effect.provideService(nnx.Linear.make(3, 3), nnx.Rngs, rngs).pipe(Effect.map((linear) => new Layer({ linear })))
      const stack = yield* nnx.splitRngs({ splits: 4 })(nnx.vmap(make))(yield* nnx.Rngs.fromSeeds(0))
      const forward = nnx.scan((layer: Layer, x: Tensor) => layer.apply(x), {
        inAxes: [0, nnx.Carry],
        outAxes: nnx.Carry
      })
      const sown = Effect.map(nnx.state(stack, nnx.Intermediate), (state) =>
        nnx.State.values(state).map((value) => T.Tree.leaves(value).map((x) => x.shape)))
      yield* forward(stack, T.ones([3]))
      assert.deepStrictEqual(yield* sown, [[[4, 3]]])
      yield* forward(stack, T.ones([3]))
      assert.deepStrictEqual(yield* sown, [[[4, 3], [4, 3]]])
    }))

  test("A.095 what every step shares cannot change its structure in a loop", () =>
    Effect.gen(function*() {
      const model = yield* Model.make()
      const body = (m: Model, x: Tensor) => Effect.map(m.apply(x), (y) => y.sum())
      const xs = T.ones([3, 1, 2])
      yield* failsWith(nnx.scan(body, { inAxes: [null, 0], outAxes: 0 })(model, xs), "StructureError")
      yield* model.apply(T.ones([1, 2]))
      yield* failsWith(nnx.scan(body, { inAxes: [null, 0], outAxes: 0 })(model, xs), "StructureError")
      assert.deepStrictEqual(yield* shapes(model), [[1, 3]])
    }))

  test("A.095 reduce and init say how values are put together", () =>
    Effect.gen(function*() {
      class Sums extends nnx.Module("Sums")<{ readonly sum?: nnx.Variable<"Intermediate", Tensor> }> {}
      const model = new Sums({})
      const add = { init: () => T.array(0), reduce: (sum: Tensor, x: Tensor) => sum.add(x) }
      for (const x of [1, 2, 3]) yield* nnx.sow(model, nnx.Intermediate, "sum", T.array(x), add)
      const { sum } = yield* nnx.pop(model, nnx.Intermediate)
      assert.strictEqual(yield* T.item(sum?.value ?? T.array(0)), 6)
    }))

  test("A.095 a field that holds something else is a typed error, and is left alone", () =>
    Effect.gen(function*() {
      const model = yield* Model.make()
      const wrong = yield* failsWith(nnx.sow(model, nnx.Intermediate, "linear1", T.ones([1])), "StructureError")
      assert.include(
        wrong.message,
        "linear1: expected a Variable of kind Intermediate, or nothing, found the Module Linear"
      )
      const kernel = yield* failsWith(nnx.sow(model.linear1, nnx.Intermediate, "kernel", T.ones([1])), "StructureError")
      assert.include(kernel.message, "found one of kind Param")
      assert.instanceOf(model.linear1, nnx.Linear)
      // A model that a compiled function knows by its closure keeps its structure.
      yield* failsWith(nnx.jit((x: Tensor) => model.apply(x))(T.ones([1, 2])), "TraceError")
      assert.notProperty(model, "i")
    }))

  test("A.095 perturb: the derivative with respect to a value inside", () =>
    Effect.gen(function*() {
      class Squares extends nnx.Module("Squares")<{
        readonly h?: nnx.Variable<"Intermediate/Perturbation", Tensor>
      }> {
        apply(x: Tensor) {
          return Effect.map(nnx.perturb(this, "h", x.mul(2)), (h) => h.square().sum())
        }
      }
      const model = new Squares({})
      const x = T.array([1, 2])
      assert.strictEqual(yield* T.item(yield* model.apply(x)), 20)
      const { h } = yield* nnx.jit((m: Squares) =>
        nnx.grad((inner: Squares) => inner.apply(x), { wrt: nnx.Perturbation })(m)
      )(model)
      assert.deepStrictEqual(yield* T.toNested(h?.value ?? x), [4, 8])
      yield* nnx.pop(model, nnx.Perturbation)
      assert.notProperty(model, "h")
    }))
})
