// Calls of models that are only there as GraphDef and State, walks, compositions of mappings, and GraphDefs as JSON.
import { assert, describe, it, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Ref from "effect/Ref"
import "../../src/Tensor/install.ts"
import * as Cpu from "../../src/Backend/Tfjs/Cpu/index.ts"
import * as GraphDef from "../../src/GraphDef/index.ts"
import { Module } from "../../src/Ref/Module.ts"
import * as Variable from "../../src/Ref/Variable.ts"
import { Filter } from "../../src/State/index.ts"
import type * as States from "../../src/State/index.ts"
import * as Tensor from "../../src/Tensor.ts"
import { jit } from "../../src/Transform/index.ts"
import { Node, zeros } from "../support/models.ts"

const Count = Variable.kind("Count")

/** The document's model. */
class StatefulLinear extends Module("StatefulLinear")<{
  readonly w: Variable.Variable<"Param", Tensor.Tensor>
  readonly b: Variable.Variable<"Param", Tensor.Tensor>
  readonly count: Variable.Variable<"Count", Tensor.Tensor>
}> {
  static make(din: number, dout: number): StatefulLinear {
    return new StatefulLinear({
      w: Variable.Param.makeUnsafe(Tensor.ones([din, dout])),
      b: Variable.Param.makeUnsafe(Tensor.zeros([dout])),
      count: Count.makeUnsafe(Tensor.array(0, { dtype: "uint32" }))
    })
  }
  get total(): Effect.Effect<Tensor.Tensor> {
    return Ref.get(this.count)
  }
  sizes(): ReadonlyArray<string> {
    return Object.keys(this)
  }
  increment(): Effect.Effect<void> {
    return Ref.update(this.count, (n) => n.add(1))
  }
  apply(x: Tensor.Tensor): Effect.Effect<Tensor.Tensor> {
    const weights = Effect.all([Ref.get(this.w), Ref.get(this.b)])
    return Effect.andThen(this.increment(), Effect.map(weights, ([w, b]) => x.matmul(w).add(b)))
  }
}

class Holder extends Module("Holder")<{ readonly inner: StatefulLinear; readonly k: number }> {}

layer(Cpu.layer)("call", (it) => {
  it.effect("A.088 in a compiled function: the result, and the model after it", () =>
    Effect.gen(function*() {
      const linear = StatefulLinear.make(3, 2)
      const pure = yield* GraphDef.split(linear)
      const forward = jit((x: Tensor.Tensor, state: typeof pure) => GraphDef.call(state)(x))
      const [, after] = yield* forward(Tensor.ones([1, 3]), pure)
      const [y, last] = yield* forward(Tensor.ones([1, 3]), after)
      assert.deepStrictEqual<unknown>(yield* Tensor.toNested(y), [[3, 3]])
      const twin = yield* GraphDef.merge(...last)
      assert.strictEqual(yield* Tensor.item(yield* Ref.get(twin.count)), 2)
      assert.strictEqual((yield* Ref.get(twin.count)).dtype, "uint32")
      assert.strictEqual(forward.traces(), 1)
      // What was there before is as it was.
      assert.strictEqual(yield* Tensor.item(yield* Ref.get(linear.count)), 0)
      assert.strictEqual(yield* Tensor.item(pure[1].count.value), 0)
    }))

  it.effect("A.088 methods further down: attributes, keys and positions", () =>
    Effect.gen(function*() {
      const nodes = { a: StatefulLinear.make(3, 2), b: StatefulLinear.make(2, 1), all: [StatefulLinear.make(1, 1)] }
      const [graphdef, state] = yield* GraphDef.split(nodes)
      const [, one] = yield* GraphDef.call(graphdef, state)["b"].increment()
      const [, two] = yield* GraphDef.call(one).all[0].increment()
      const after = yield* GraphDef.merge(...two)
      const counts = yield* Effect.forEach([after.a, after.b, after.all[0]], (m) =>
        Effect.flatMap(Ref.get(m.count), Tensor.item))
      assert.deepStrictEqual(counts, [0, 1, 1])
      const [total] = yield* GraphDef.call(one).b.total()
      assert.strictEqual(yield* Tensor.item(total), 1)
      const [names, same] = yield* GraphDef.call(one).b.sizes()
      assert.deepStrictEqual(names, ["b", "count", "w"])
      assert.isTrue(Equal.equals(same[1], one[1]))
    }))

  it.effect("A.088 is merge, the method, and split", () =>
    Effect.gen(function*() {
      const model = new Holder({ inner: StatefulLinear.make(2, 2), k: 3 })
      const x = Tensor.ones([1, 2])
      const pure = yield* GraphDef.split(model)
      const [y, [graphdef, state]] = yield* GraphDef.call(pure).inner(x)
      const merged = yield* GraphDef.merge(...pure)
      const z = yield* merged.inner.apply(x)
      const [other, expected] = yield* GraphDef.split(merged)
      assert.isTrue(Equal.equals(graphdef, other))
      assert.deepStrictEqual(yield* Tensor.toNested(y), yield* Tensor.toNested(z))
      const counts = [state.inner.count.value, expected.inner.count.value, pure[1].inner.count.value]
      assert.deepStrictEqual(yield* Effect.forEach(counts, Tensor.item), [1, 1, 0])
    }))

  it.effect("A.088 what is no method, and States that do not fit", () =>
    Effect.gen(function*() {
      const pure = yield* GraphDef.split({ a: StatefulLinear.make(1, 1) })
      const error = yield* Effect.flip((GraphDef.call(pure) as never as { readonly a: { nothing(): typeof program } })
        .a.nothing())
      assert.strictEqual(error._tag, "StructureError")
      assert.include(error.message, "a/nothing: expected a method, or a Module with `apply`, found nothing")
      const part = yield* Effect.flip(GraphDef.call(pure[0], {}).a.increment())
      assert.include(part.message, "a/b: expected a Param, found nothing")
    }))
  const program: Effect.Effect<never, GraphDef.StructureError> = Effect.never
})

describe("walks and mappings", () => {
  it("A.089 iterGraph: children first, static values too, what is met again not, the value itself last", () => {
    class Linear extends Module("Linear")<Readonly<Record<string, unknown>>> {}
    const module = new Linear({
      din: 3,
      dout: 4,
      w: Variable.Param.makeUnsafe(zeros(3, 4)),
      b: Variable.Param.makeUnsafe(zeros(4))
    })
    const name = (u: unknown): string =>
      Variable.isVariable(u) ? u.kind : typeof u === "number" ? "int" : u instanceof Linear ? "Linear" : "list"
    const printed = [...GraphDef.iterGraph([module, module])].map(([path, value]) =>
      `(${path.map((key) => /^\d+$/.test(key) ? key : `'${key}'`).join(", ")}) ${name(value)}`
    )
    assert.deepStrictEqual(printed, [
      "(0, 'b') Param",
      "(0, 'din') int",
      "(0, 'dout') int",
      "(0, 'w') Param",
      "(0) Linear",
      "() list"
    ])
  })

  it("A.090 composeMapping and composeMappingReversed", () => {
    const ab = new Map([["x", 1], ["y", 2], ["z", 3]])
    const bc = new Map([[1, "one"], [3, "three"], [4, "four"]])
    assert.deepStrictEqual([...GraphDef.composeMapping(ab, bc)], [["x", "one"], ["z", "three"]])
    assert.deepStrictEqual([...GraphDef.composeMappingReversed(ab, bc)], [["one", "x"], ["three", "z"]])
  })

  it.effect("A.078 A.080 a State of a part of a model fits that part", () =>
    Effect.gen(function*() {
      const model = new Node({ a: StatefulLinear.make(1, 1) })
      const inner = model["a"] as StatefulLinear
      const params: States.Any = yield* GraphDef.state(inner, Variable.Param)
      yield* GraphDef.update(model, { a: params })
      const error = yield* Effect.flip(GraphDef.merge(yield* GraphDef.graphdef(inner), params))
      assert.include(error.message, "count: expected a Count, found nothing")
      const [, , counts] = yield* GraphDef.split(inner, Variable.Param, Filter.rest)
      assert.instanceOf(yield* GraphDef.merge(yield* GraphDef.graphdef(inner), params, counts), StatefulLinear)
    }))
})
