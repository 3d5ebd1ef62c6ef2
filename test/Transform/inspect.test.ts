// Looking at functions without running them: evalShape and makeProgram.
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import { inspect } from "node:util"
import { Backend } from "../../src/Backend/Backend.ts"
import * as Cpu from "../../src/Backend/Tfjs/Cpu/index.ts"
import { graphdef, setAttribute } from "../../src/GraphDef/index.ts"
import { Rngs } from "../../src/Ref/Rngs.ts"
import { isVariable, Param } from "../../src/Ref/Variable.ts"
import * as T from "../../src/Tensor/index.ts"
import type { Tensor } from "../../src/Tensor/Tensor.ts"
import { evalShape, grad, jit, makeProgram, scan } from "../../src/Transform/index.ts"
import { Count, expectEqual, f32, failsWith, i32, Unit } from "./common.ts"

layer(Cpu.layer)("evalShape", (it) => {
  const create = Effect.gen(function*() {
    const rngs = yield* Rngs
    return new Unit({
      w: Param.makeUnsafe(yield* rngs.normal([1000, 1000]), { metadata: { sharding: ["x", "y"] } }),
      n: Count.makeUnsafe(i32(0))
    })
  })

  it.effect("makes an abstract model: kinds, metadata, shapes, and nothing computed", () =>
    Effect.gen(function*() {
      const backend = yield* Backend
      const before = yield* backend.stats
      const model = yield* evalShape(() => create)()
      assert.isTrue(isVariable(model.w))
      assert.strictEqual(model.w.kind, "Param")
      assert.deepStrictEqual(model.w.metadata, { sharding: ["x", "y"] })
      const w = yield* Ref.get(model.w)
      assert.deepStrictEqual([w.shape, w.dtype], [[1000, 1000], "float32"])
      assert.deepStrictEqual(yield* backend.stats, before)
      assert.strictEqual(String(yield* graphdef(model)), String(yield* graphdef(yield* create)))
      yield* failsWith(
        Effect.flatMap(jit((x: Tensor) => Effect.succeed(x.sum()))(w), (x) => Effect.succeed(x)),
        "TracerLeakError"
      )
    }).pipe(Effect.provide(Rngs.layer(0))))

  it.effect("does not touch its inputs, captured Variables or streams (F.033)", () =>
    Effect.gen(function*() {
      const [m, other] = [Unit.make([1, 2]), Unit.make(5)]
      const rngs = yield* Rngs.fromSeeds(0)
      const out = yield* evalShape((u: Unit, x: Tensor) =>
        Effect.gen(function*() {
          yield* Ref.update(u.w, (w) => w.mul(x))
          yield* Ref.set(other.w, x.sum())
          yield* setAttribute(u, "extra", Param.makeUnsafe(x))
          yield* rngs.uniform()
          return { u, y: x.sum() }
        })
      )(m, f32([3, 4]))
      assert.notStrictEqual(out.u, m)
      assert.isTrue("extra" in out.u)
      assert.isFalse("extra" in m)
      assert.deepStrictEqual(out.y.shape, [])
      yield* expectEqual(yield* Ref.get(m.w), [1, 2])
      yield* expectEqual(yield* Ref.get(other.w), 5)
      yield* expectEqual(yield* Ref.get(rngs.streams["default"].count), 0)
    }))

  it.effect("inside a trace", () =>
    Effect.gen(function*() {
      const m = Unit.make(1)
      const f = jit((x: Tensor) =>
        Effect.gen(function*() {
          const y = yield* evalShape((z: Tensor) => Effect.as(Ref.update(m.w, (w) => w.add(z.sum())), T.stack([z, z])))(
            x
          )
          return T.zeros(y.shape).add(1)
        })
      )
      yield* expectEqual(yield* f(f32([1, 2])), [[1, 1], [1, 1]])
      yield* expectEqual(yield* Ref.get(m.w), 1)
    }))
})

layer(Cpu.layer)("makeProgram", (it) => {
  const text = (program: unknown) => String(program).replaceAll(/\s+/g, " ")

  it.effect("prints like a jaxpr", () =>
    Effect.gen(function*() {
      const program = yield* makeProgram((x: Tensor) => Effect.succeed(x.sum({ axis: 0 })))(T.ones([2, 3]))
      const expected = "{ lambda ; a:f32[2,3]. let b:f32[3] = reduce_sum[axes=(0,)] a in (b,) }"
      assert.strictEqual(text(program), expected)
      assert.strictEqual(text(inspect(program)), expected)
      assert.strictEqual(text((JSON.parse(JSON.stringify(program)) as { readonly text: string }).text), expected)
    }))

  it.effect("shows state: inputs are captures, captured Variables, arguments; outputs are results alone", () =>
    Effect.gen(function*() {
      const [m, captured, constant] = [Unit.make([1, 2]), Unit.make(3), f32([5, 6])]
      const program = yield* makeProgram((u: Unit, x: Tensor) =>
        Effect.gen(function*() {
          yield* Ref.update(u.n, (n) => n.add(1))
          yield* Ref.update(captured.w, (w) => w.mul(2))
          return x.mul(constant).add(yield* Ref.get(u.w))
        })
      )(m, f32([1, 1]))
      assert.match(text(program), /^{ lambda ; a:f32\[2\] b:Param\(\) c:Count\(\) d:Param\(\) e:f32\[2\]\. let /)
      assert.deepStrictEqual(
        program.equations.map((e) => e.primitive),
        ["get_variable", "add", "set_variable", "get_variable", "mul", "set_variable", "mul", "get_variable", "add"]
      )
      assert.deepStrictEqual(program.outputs.map((v) => `${v.aval.dtype}[${v.aval.shape.join()}]`), ["float32[2]"])
      yield* expectEqual(yield* Ref.get(m.n), 0)
      yield* expectEqual(yield* Ref.get(captured.w), 3)
    }))

  it.effect("of transformed functions: a nested jit is one equation, a scan too", () =>
    Effect.gen(function*() {
      const inner = jit((x: Tensor) => Effect.succeed(x.sin()), { name: "inner" })
      const program = yield* makeProgram((x: Tensor) =>
        Effect.flatMap(inner(x), (y) =>
          scan((c: Tensor, v: Tensor) => Effect.succeed([c.add(v), null] as const))(f32(0), y))
      )(f32([1, 2]))
      assert.deepStrictEqual(
        program.equations.map((e) =>
          e.primitive
        ),
        ["jit", "scan"]
      )
      assert.match(text(program), /jit\[.*name=inner.*sin/)
      const derivative = yield* makeProgram(grad((x: Tensor) => Effect.succeed(x.sin())))(f32(1))
      assert.match(text(derivative), /cos a/)
    }))

  it.effect("fails as the function does, and with ShapeError", () =>
    Effect.gen(function*() {
      assert.strictEqual(
        yield* Effect.flip(makeProgram((x: Tensor) => x.ndim > 3 ? Effect.succeed(x) : Effect.fail("own"))(f32(1))),
        "own"
      )
      yield* failsWith(makeProgram((x: Tensor) => Effect.succeed(x.add(f32([1, 2, 3]))))(f32([1, 2])), "ShapeError")
      yield* failsWith(evalShape((x: Tensor) => Effect.succeed(x.add(f32([1, 2, 3]))))(f32([1, 2])), "ShapeError")
    }))
})
