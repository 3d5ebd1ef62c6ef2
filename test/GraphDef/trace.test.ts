// Models inside of traces: what a compiled function does to a model happens to the model, and nothing else does.
import { assert, describe, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import * as Cpu from "../../src/Backend/Tfjs/Cpu/index.ts"
import * as GraphDef from "../../src/GraphDef/index.ts"
import * as Variable from "../../src/Ref/Variable.ts"
import { Filter } from "../../src/State/index.ts"
import * as States from "../../src/State/index.ts"
import * as Tensor from "../../src/Tensor.ts"
import { grad, jit } from "../../src/Transform/index.ts"
import { Linear, Node } from "../support/models.ts"

const param = (...values: ReadonlyArray<number>) => Variable.Param.makeUnsafe(Tensor.array(values))

const model = () => new Linear({ kernel: param(1, 2), bias: param(3), features: 2 })

describe("models in traces", () => {
  layer(Cpu.layer)((it) => {
    it.effect("A.124 split, merge in a trace, run, split, update outside", () =>
      Effect.gen(function*() {
        const linear = model()
        const [graphdef, state] = yield* GraphDef.split(linear)
        const step = jit((state: States.Any) =>
          Effect.gen(function*() {
            const inner = yield* GraphDef.merge(graphdef, state)
            yield* Ref.update(inner.bias, (b) => b.add(1))
            const [, out] = yield* GraphDef.split(inner)
            return out
          })
        )
        yield* GraphDef.update(linear, yield* step(state))
        yield* GraphDef.update(linear, yield* step(yield* GraphDef.state(linear)))
        assert.deepStrictEqual(yield* Tensor.toNested(yield* Ref.get(linear.bias)), [5])
        assert.deepStrictEqual(yield* Tensor.toNested(state.bias.value), [3])
        assert.strictEqual(step.traces(), 1)
      }))

    it.effect("A.013 a State is an argument of grad, and the gradient a State", () =>
      Effect.gen(function*() {
        const [, params] = yield* GraphDef.split(model())
        const loss = (p: typeof params) =>
          Effect.succeed(p.kernel.value.mul(p.kernel.value).sum().add(p.bias.value.sum()))
        const gradient = yield* grad(loss)(params)
        assert.isTrue(States.isState(gradient))
        assert.deepStrictEqual(yield* Tensor.toNested(gradient.kernel.value), [2, 4])
        assert.deepStrictEqual(yield* Tensor.toNested(gradient.bias.value), [1])
        assert.strictEqual(gradient.kernel.kind, "Param")
      }))

    it.effect("update inside of a trace is a write like any other", () =>
      Effect.gen(function*() {
        const linear = model()
        const step = jit((inner: Linear) =>
          Effect.gen(function*() {
            const state = yield* GraphDef.state(inner, Filter.pathContains("kernel"))
            yield* GraphDef.update(inner, States.mapTensors(state, (x) => x.mul(10)))
          })
        )
        yield* step(linear)
        assert.deepStrictEqual(yield* Tensor.toNested(yield* Ref.get(linear.kernel)), [10, 20])
        const captured = jit(() => GraphDef.update(linear, { bias: Tensor.array([9]).mul(2) }))
        yield* captured()
        assert.deepStrictEqual(yield* Tensor.toNested(yield* Ref.get(linear.bias)), [18])
      }))

    it.effect("F.007 fields set, removed and popped inside reach the outer model", () =>
      Effect.gen(function*() {
        const child = new Node({ w: param(1) })
        const root = new Node({ child, gone: 1, cache: Variable.Cache.makeUnsafe(Tensor.array([1])) })
        const change = jit((inner: Node) =>
          Effect.gen(function*() {
            yield* GraphDef.setAttribute(inner, "a", 1)
            yield* GraphDef.setAttribute(inner, "self", inner)
            yield* GraphDef.setAttribute(inner["child"] as Node, "fresh", param(5))
            yield* GraphDef.deleteAttribute(inner, "gone")
            yield* GraphDef.pop(inner, Variable.Cache)
            return inner
          })
        )
        const out = yield* change(root)
        assert.strictEqual(out, root)
        assert.strictEqual(root["child"], child)
        assert.deepStrictEqual(Object.keys(root).toSorted(), ["a", "child", "self"])
        assert.strictEqual(root["self"], root)
        assert.deepStrictEqual<unknown>(
          yield* Tensor.toNested(yield* Ref.get(child["fresh"] as ReturnType<typeof param>)),
          [5]
        )
      }))

    it.effect("the structure of what was not made in the trace cannot change there", () =>
      Effect.gen(function*() {
        const root = new Node({ v: param(1), x: Tensor.array([1]) })
        const changes: ReadonlyArray<() => Effect.Effect<unknown, GraphDef.UpdateError | GraphDef.PopError>> = [
          () => GraphDef.setAttribute(root, "a", 1),
          () => GraphDef.deleteAttribute(root, "v"),
          () => GraphDef.pop(root, Variable.Param),
          () => GraphDef.update(root, { x: Tensor.array([2]) })
        ]
        for (const change of changes) {
          const error = yield* Effect.flip(jit(change)())
          assert.strictEqual(error._tag, "TraceError")
          assert.include(error.message, "pass the model to the traced function as an argument")
        }
        assert.deepStrictEqual(Object.keys(root), ["v", "x"])
      }))

    it.effect("A.083 transact: the result has the outer objects, changed", () =>
      Effect.gen(function*() {
        const [a, b] = [param(1), param(2)]
        const root = new Node({ a, b })
        const out = yield* GraphDef.transact(root, (inner) =>
          Effect.gen(function*() {
            const [x, y] = [inner["a"], inner["b"]]
            yield* GraphDef.setAttribute(inner, "a", y)
            yield* GraphDef.setAttribute(inner, "b", x)
            yield* Ref.set(x as typeof a, Tensor.array([7]))
            yield* GraphDef.setAttribute(inner, "new", param(8))
            return { inner, first: x }
          }))
        assert.strictEqual(out.inner, root)
        assert.strictEqual<unknown>(out.first, a)
        assert.strictEqual<unknown>(root["a"], b)
        assert.strictEqual<unknown>(root["b"], a)
        assert.deepStrictEqual(yield* Tensor.toNested(yield* Ref.get(a)), [7])
        assert.deepStrictEqual(yield* Tensor.toNested(yield* Ref.get(b)), [2])
      }))

    it.effect("transact: a failure changes nothing", () =>
      Effect.gen(function*() {
        const root = new Node({ a: param(1) })
        const before = yield* GraphDef.state(root)
        yield* Effect.flip(
          GraphDef.transact(
            root,
            (inner) => Effect.andThen(GraphDef.setAttribute(inner, "b", 1), Effect.fail("no"))
          )
        )
        assert.deepStrictEqual(Object.keys(root), ["a"])
        assert.deepStrictEqual(States.values(yield* GraphDef.state(root)), States.values(before))
      }))
  })
})
