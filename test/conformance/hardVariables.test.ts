// The hard parts about Variables: one that leaks out of a trace, and printed text as a specification.
import { assert, describe, it, layer } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Ref from "effect/Ref"
import * as nnx from "linum"
import * as Cpu from "linum/backend/tfjs-cpu"
import { type Tensor, weak } from "./modes.models.ts"

const T = nnx.Tensor

/** The tag and message with which an Effect fails or dies. */
const problem = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.exit(effect), (exit): string => Exit.isFailure(exit) ? String(Cause.squash(exit.cause)) : "none")

layer(Cpu.layer)("a Variable that leaks out of a trace", (it) => {
  const leak = <A>(make: Effect.Effect<A>) =>
    Effect.gen(function*() {
      const leaked: Array<A> = []
      yield* nnx.jit((x: Tensor) =>
        Effect.map(make, (made) => {
          leaked.push(made)
          return x
        }), { name: "leaking" })(T.array(1))
      return leaked[0]
    })
  const message = "TracerLeakError: An array Variable"

  it.effect("F.006 cannot be read or written, whatever its mode, nor can its parts and its Ref", () =>
    Effect.gen(function*() {
      const made = Effect.map(nnx.Variable.make(weak(1)), (v) => v)
      for (const variable of [yield* leak(made), yield* leak(made.pipe(nnx.useRefs(true)))]) {
        assert.include(yield* problem(Ref.get(variable)), `${message} Variable made inside jit(leaking)`)
        assert.include(yield* problem(Ref.set(variable, weak(2))), message)
        assert.include(yield* problem(Ref.set(variable.at("..."), weak(2))), message)
        assert.include(yield* problem(Ref.update(variable, (n) => n.add(1))), message)
      }
      const ref = yield* leak(nnx.newRef(weak(1)))
      assert.include(yield* problem(Ref.set(ref, weak(2))), "TracerLeakError: An array Variable ArrayRef")
    }))

  it.effect("F.006 nor drawn from, split or passed to a transform, where the error is typed", () =>
    Effect.gen(function*() {
      const rngs = yield* leak(nnx.Rngs.fromSeeds(0))
      assert.include(yield* problem(rngs.uniform([2])), "TracerLeakError")
      assert.include(yield* problem(nnx.split(rngs)), "TracerLeakError")
      const draw = nnx.jit((r: nnx.RngStreams) => r.uniform([2]))
      const error = yield* Effect.flip(draw(rngs))
      assert.strictEqual(error._tag, "TracerLeakError")
      // Captured by another trace.
      const captured = nnx.jit((x: Tensor) => Effect.map(rngs.uniform([2]), (u) => u.add(x)))
      assert.strictEqual((yield* Effect.flip(captured(T.array(1))))._tag, "TracerLeakError")
      // What a trace returns is no leak.
      const returned = yield* nnx.jit(() => nnx.Rngs.fromSeeds(0))()
      assert.deepStrictEqual((yield* returned.uniform([2])).shape, [2])
    }))

  it.effect("F.006 inside of the trace it is as good as any", () =>
    Effect.gen(function*() {
      const f = nnx.jit((x: Tensor) =>
        Effect.gen(function*() {
          const v = yield* nnx.Variable.make(x)
          const inner = nnx.grad((y: Tensor) => Effect.map(Ref.updateAndGet(v, (a) => a.mul(y)), (a) => a.mul(y)))
          const g = yield* inner(T.array(3))
          return [g, yield* Ref.get(v)] as const
        })
      )
      const [g, after] = yield* f(T.array(2))
      assert.deepStrictEqual([yield* T.item(g), yield* T.item(after)], [12, 6])
    }))
})

const { BatchStat, Param, RngState } = nnx
const sized = (kind: nnx.Kind<string>, shape: ReadonlyArray<number>, options?: nnx.VariableOptions) =>
  kind.makeUnsafe(T.zeros(shape), options)

class Node extends nnx.Module("Node")<{ readonly [field: string]: unknown }> {}

describe("printed text", () => {
  const header = (fields: { readonly [field: string]: unknown }): string => String(new Node(fields)).split("\n")[0]

  it("F.036 sizes come from all arrays of a value", () => {
    const tree = { a: T.zeros([3], { dtype: "int8" }), b: [T.zeros([2, 2]), { c: T.zeros([], { dtype: "float16" }) }] }
    assert.strictEqual(String(nnx.Variable.makeUnsafe(tree)).split("\n")[0], "Variable( # 8 (21 B)")
    assert.strictEqual(String(nnx.Variable.makeUnsafe({})), "Variable(\n  value={}\n)")
    assert.strictEqual(String(nnx.Variable.makeUnsafe(T.zeros([0, 3]))).split("\n")[0], "Variable(")
  })

  it("F.036 a total for each kind, and one for all only where there are several", () => {
    assert.strictEqual(header({ a: sized(Param, [2]), b: sized(Param, [3]) }), "Node( # Param: 5 (20 B)")
    assert.strictEqual(
      header({ a: sized(Param, [2]), b: sized(BatchStat, [3]) }),
      "Node( # Param: 2 (8 B), BatchStat: 3 (12 B), Total: 5 (20 B)"
    )
    assert.strictEqual(header({ a: sized(Param.sub("LoraParam"), [2]) }), "Node( # LoraParam: 2 (8 B)")
    assert.strictEqual(header({ a: 1 }), "Node(")
  })

  it("F.036 what belongs to random streams is one, and what is shared counts once", () => {
    assert.strictEqual(
      header({ key: sized(RngState.sub("RngKey"), [2]), count: sized(RngState.sub("RngCount"), []) }),
      "Node( # RngState: 3 (12 B)"
    )
    const shared = sized(Param, [4])
    const inner = new Node({ shared })
    assert.strictEqual(header({ a: shared, b: inner, c: inner }), "Node( # Param: 4 (16 B)")
  })

  it("F.036 decimal units with one place, separators in thousands", () => {
    const sizes = [[249], [250], [251], [1_000, 1_000], [20_000, 30_000]]
    assert.deepStrictEqual(sizes.map((shape) => header({ a: sized(Param, shape) })), [
      "Node( # Param: 249 (996 B)",
      "Node( # Param: 250 (1,000 B)",
      "Node( # Param: 251 (1.0 KB)",
      "Node( # Param: 1,000,000 (4.0 MB)",
      "Node( # Param: 600,000,000 (2.4 GB)"
    ])
  })

  it("F.036 nested headers, scalars in full, larger arrays by shape, a Module met again by name", () => {
    const inner = new Node({ scale: Param.makeUnsafe(weak(2)), w: sized(Param, [2, 3]) })
    assert.strictEqual(
      String(new Node({ a: inner, b: [inner], n: 3, name: "x" })),
      `Node( # Param: 7 (28 B)
  a=Node( # Param: 7 (28 B)
    scale=Param( # 1 (4 B)
      value=Array(2, dtype=int32, weakType=true)
    ),
    w=Param( # 6 (24 B)
      value=Array(shape=(2, 3), dtype=float32)
    )
  ),
  b=[Node(...)],
  n=3,
  name='x'
)`
    )
  })

  it("F.036 metadata, and only the flags that differ from the default, in one order", () => {
    const options = { hasRef: true, isHijax: true, metadata: { tag: "x" } }
    assert.strictEqual(
      String(sized(Param, [], options)),
      `Param( # 1 (4 B)
  value=Array(0., dtype=float32),
  tag='x',
  hasRef=true,
  isHijax=true
)`
    )
    assert.strictEqual(String(sized(Param, [])), "Param( # 1 (4 B)\n  value=Array(0., dtype=float32)\n)")
  })
})
