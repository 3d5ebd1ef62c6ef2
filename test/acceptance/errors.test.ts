// What bad input gets: every class of error, reached by a mistake that people make. Each says what was expected, what
// was found, where, and what to do.
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Scope from "effect/Scope"
import * as nnx from "linum"
import * as Cpu from "linum/backend/tfjs-cpu"
import { nothingLivesBut } from "../support/results.ts"
import { Live, Net, regression, type Tensor } from "./models.ts"

const T = nnx.Tensor

interface Tagged {
  readonly _tag: string
  readonly message: string
}

/** Runs what must fail; gives its error, which must have this tag and a message with all these parts. */
const fails = Effect.fnUntraced(function*<A, E extends Tagged, R>(
  effect: Effect.Effect<A, E, R>,
  tag: NoInfer<E>["_tag"],
  ...parts: ReadonlyArray<string>
) {
  const error = yield* Effect.flip(effect)
  says(error, tag, parts)
  return error
})

const says = (error: unknown, tag: string, parts: ReadonlyArray<string>): void => {
  assert.instanceOf(error, Error)
  assert.strictEqual("_tag" in error ? error._tag : undefined, tag, error.message)
  for (const part of parts) assert.include(error.message, part)
}

/** A plain function that must throw. */
const throws = (f: () => unknown, tag: string, ...parts: ReadonlyArray<string>): void => {
  const thrown = (() => {
    try {
      return f()
    } catch (error) {
      return error
    }
  })()
  says(thrown, tag, parts)
}

/** What an Effect without an error channel dies of. */
const dies = Effect.fnUntraced(function*<A, E, R>(
  effect: Effect.Effect<A, E, R>,
  tag: string,
  ...parts: ReadonlyArray<string>
) {
  const exit = yield* Effect.exit(effect)
  says(Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined, tag, parts)
})

describe("ShapeError", () => {
  it("names the operation and both shapes", () => {
    throws(() => T.ones([2, 3]).matmul(T.ones([2, 3])), "ShapeError", "matmul", "f32[2,3] and f32[2,3]", "transpose")
    throws(() => T.ones([2, 3]).add(T.ones([4])), "ShapeError", "add", "[2,3]", "[4]")
    throws(() => T.ones([6]).reshape([4, 2]), "ShapeError", "reshape", "6")
    throws(() => T.concatenate([T.ones([2, 3]), T.ones([2, 4])]), "ShapeError", "concatenate", "[2,3]", "[2,4]")
    throws(() => T.einsum("ij,jk->ik", T.ones([2, 3]), T.ones([4, 5])), "ShapeError", "einsum", "3", "4")
  })

  it.effect("names the layer, its parameter and the input, in compiled code too", () =>
    Effect.gen(function*() {
      const model = yield* Net.make(4, 8)
      const apply = nnx.jit((m: Net, x: Tensor) => m.apply(x))
      for (const call of [model.apply(T.ones([2, 3])), apply(model, T.ones([2, 3]))]) {
        yield* fails(call, "ShapeError", "Linear(4, 8)", "f32[4,8]", "f32[2,3]")
      }
      assert.deepStrictEqual((yield* apply(model, T.ones([2, 4]))).shape, [2, 1])
    }).pipe(Effect.provide(Live)))

  it.effect("names a padding that there is not", () =>
    Effect.gen(function*() {
      const conv = yield* nnx.Conv.make(1, 1, [3], { padding: "SAMEE" as never })
      yield* fails(conv.apply(T.ones([1, 5, 1])), "ShapeError", "Conv(1, 1, [3])", "padding", "\"SAMEE\"")
      const pool = () => nnx.maxPool(T.ones([1, 5, 1]), [2], { padding: "same" as never })
      throws(pool, "ShapeError", "padding", "\"same\"")
    }).pipe(Effect.provide(Live)))

  it.effect("says that a loss must be a scalar", () =>
    Effect.gen(function*() {
      const model = yield* nnx.Linear.make(3, 3)
      const notReduced = nnx.grad((m: nnx.Linear, x: Tensor) => m.apply(x))
      yield* fails(notReduced(model, T.ones([1, 3])), "ShapeError", "grad", "scalar", "f32[1,3]", "sum or mean")
      yield* fails(T.item(T.ones([3])), "ShapeError", "item", "one element", "f32[3]", "toNested")
    }).pipe(Effect.provide(Live)))
})

describe("DTypeError", () => {
  it("names the dtype and what to convert to", () => {
    throws(() => T.ones([3]).bitwiseAnd(1), "DTypeError", "and", "integer", "f32")
    throws(() => T.array(["a", "b"] as never), "ShapeError", "array", "number", "string")
    throws(() => T.zeros([2], { dtype: "float" as never }), "DTypeError", "float32", "found float;")
    throws(() => T.ones([2]).astype("double" as never), "DTypeError", "float32", "found double;")
  })

  it("says that JavaScript's operators do not work on arrays", () => {
    const x: unknown = T.ones([])
    throws(() => (x as number) > 0, "DTypeError", "f32[]", "x.gt(y)")
    throws(() => (x as number) + 1, "DTypeError", "x.add(y)")
  })

  it.effect("says that integers have no derivative", () =>
    Effect.gen(function*() {
      const f = nnx.grad((x: Tensor) => Effect.succeed(x.sum()))
      yield* fails(f(T.array([1, 2], { dtype: "int32" })), "DTypeError", "grad", "i32[2]", "argnums")
    }).pipe(Effect.provide(Live)))
})

describe("IndexError", () => {
  it("names the range and the index", () => {
    const x = T.ones([3, 4])
    throws(() => x.get(5), "IndexError", "from -3 to 2", "axis 0", "5")
    throws(() => x.get(0, 0, 0), "IndexError", "at most 2", "[3,4]", "3")
    throws(() => x.get("1:x"), "IndexError", "\"1:x\"", "\"1:5:2\"")
    throws(() => x.get(T.array([0.5])), "IndexError", "integer", "f32[1]", "astype")
    throws(() => x.get(T.array([true, false])), "IndexError", "[3,4]", "bool[2]")
  })

  it.effect("says that a mask inside a trace has no known count", () =>
    Effect.gen(function*() {
      const positive = nnx.jit((x: Tensor) => Effect.sync(() => x.get(x.gt(0))))
      yield* fails(positive(T.ones([3])), "IndexError", "mask", "bool[3]", "where(mask, x, y)")
    }).pipe(Effect.provide(Live)))
})

describe("TracerLeakError", () => {
  it.effect("names the transform and the array, wherever the array is used", () =>
    Effect.gen(function*() {
      const leaked: Array<Tensor> = []
      const secret = nnx.jit(function encode(x: Tensor) {
        leaked.push(x.mul(2))
        return Effect.succeed(x)
      })
      yield* secret(T.ones([3]))
      const parts = ["f32[3]", "jit(encode)", "return it"]
      yield* fails(T.toNested(leaked[0]), "TracerLeakError", ...parts)
      yield* fails(T.toNested(leaked[0].add(1).sum()), "TracerLeakError", ...parts)
      const add = nnx.jit((x: Tensor) => Effect.sync(() => x.add(leaked[0])))
      yield* fails(add(T.ones([3])), "TracerLeakError", ...parts)
      const v = yield* nnx.Param.make(T.ones([3]))
      yield* dies(Ref.set(v, leaked[0].neg()), "TracerLeakError", ...parts)
    }).pipe(Effect.provide(Live)))

  it.effect("names a Variable that was made inside a trace", () =>
    Effect.gen(function*() {
      const leaked: Array<nnx.Variable<"Param", Tensor>> = []
      yield* nnx.jit((x: Tensor) => Effect.map(nnx.Param.make(x), (v) => (leaked.push(v), x)))(T.ones([3]))
      yield* dies(Ref.get(leaked[0]), "TracerLeakError", "Variable Param", "jit(")
      yield* dies(Ref.set(leaked[0], T.ones([3])), "TracerLeakError", "Variable Param", "jit(")
    }).pipe(Effect.provide(Live)))
})

describe("ConcretizationError", () => {
  it.effect("for reading a value inside a trace", () =>
    Effect.gen(function*() {
      const read = nnx.jit(function check(x: Tensor) {
        return Effect.as(T.item(x.sum()), x)
      })
      yield* fails(read(T.ones([3])), "ConcretizationError", "f32[3]", "jit(check)", "where, cond or whileLoop")
      const inGrad = nnx.grad((x: Tensor) => Effect.as(T.toNested(x), x.sum()))
      yield* fails(inGrad(T.ones([3])), "ConcretizationError", "f32[3]", "grad")
    }).pipe(Effect.provide(Live)))

  it.effect("for branching on it", () =>
    Effect.gen(function*() {
      const relu = nnx.jit(function relu(x: Tensor) {
        const value: unknown = x.sum()
        return Effect.sync(() => (value as number) > 0 ? x : x.mul(0))
      })
      yield* fails(relu(T.ones([3])), "ConcretizationError", "f32[]", "jit(relu)", "cond")
    }).pipe(Effect.provide(Live)))
})

describe("TraceError", () => {
  it.effect("for asynchronous work inside a trace, which does not go on afterwards", () =>
    Effect.gen(function*() {
      const after: Array<string> = []
      const waits = nnx.jit(function fetching(x: Tensor) {
        return Effect.andThen(Effect.promise(() => Promise.resolve(1)), Effect.sync(() => (after.push("ran"), x)))
      })
      yield* fails(waits(T.ones([2])), "TraceError", "jit(fetching)", "asynchronous", "outside")
      const sleeps = nnx.grad((x: Tensor) => Effect.as(Effect.sleep(10), x.sum()))
      yield* fails(sleeps(T.ones([2])), "TraceError", "grad", "asynchronous")
      yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 20)))
      assert.deepStrictEqual(after, [])
    }).pipe(Effect.provide(Live)))
})

describe("ImmutableVariableError", () => {
  it.effect("names the kind, and what to do", () =>
    Effect.gen(function*() {
      const frozen = yield* nnx.immutable(yield* nnx.Linear.make(2, 2))
      const parts = ["immutable", "Param", "mutable(...)"]
      yield* dies(Ref.set(frozen.kernel, T.ones([2, 2])), "ImmutableVariableError", ...parts)
      const add = nnx.jit((m: nnx.Linear) => Ref.update(m.kernel, (w) => w.add(1)))
      yield* fails(add(frozen), "ImmutableVariableError", ...parts)
      const doubled = nnx.State.mapTensors(yield* nnx.state(frozen), (x) => x.mul(2))
      yield* fails(nnx.update(frozen, doubled), "ImmutableVariableError", ...parts)
      const optimizer = yield* nnx.Optimizer.make(frozen, nnx.sgd(0.1), { wrt: nnx.Param })
      const grads = yield* nnx.grad(regression<nnx.Linear>())(frozen, T.ones([1, 2]), T.ones([1, 2]))
      yield* fails(optimizer.update(frozen, grads), "ImmutableVariableError", ...parts)
    }).pipe(Effect.provide(Live)))
})

describe("FilterError", () => {
  it.effect("lists the paths that no filter covers", () =>
    Effect.gen(function*() {
      const model = yield* Net.make(4, 8)
      // A list whose length the compiler does not know.
      const filters: ReadonlyArray<nnx.Filter.Filter> = [nnx.Param]
      yield* fails(
        nnx.split(model, ...filters),
        "FilterError",
        "(filters: Param)",
        "norm/mean: BatchStat",
        "norm/var: BatchStat",
        "dropout/rngs/count: RngState/RngCount",
        "Filter.rest"
      )
      const restFirst: ReadonlyArray<nnx.Filter.Filter> = [nnx.Filter.rest, nnx.Param]
      yield* fails(nnx.split(model, ...restFirst), "FilterError", "last filter", "index 0")
    }).pipe(Effect.provide(Live)))
})

describe("StructureError", () => {
  it.effect("lists all paths that are missing, unknown or of another shape", () =>
    Effect.gen(function*() {
      const model = yield* Net.make(4, 8)
      const [graphdef, params] = yield* nnx.split(model, nnx.Param, nnx.Filter.rest)
      yield* fails(
        nnx.merge(graphdef, params as never),
        "StructureError",
        "merge: 4 paths do not fit",
        "norm/mean: expected a BatchStat, found nothing",
        "norm/var: expected a BatchStat, found nothing"
      )
      const other = yield* Net.make(3, 8)
      yield* fails(
        nnx.update(model, yield* nnx.state(other)),
        "StructureError",
        "update",
        "first/kernel: expected f32[4,8], found f32[3,8]"
      )
      const deep = yield* nnx.Sequential.make(nnx.Linear.make(2, 2))
      yield* fails(
        nnx.update(model, (yield* nnx.state(deep)) as never),
        "StructureError",
        "2 paths",
        "layers/0/bias",
        "layers/0/kernel",
        "nothing was written"
      )
    }).pipe(Effect.provide(Live)))

  it.effect("says that a value which is no node hides arrays, instead of taking them for constants", () =>
    Effect.gen(function*() {
      const first = nnx.jit((x: Option.Option<Tensor>) => Effect.succeed(Option.getOrThrow(x).add(1)))
      yield* fails(
        first(Option.some(T.ones([2]))),
        "StructureError",
        "0: expected",
        "Some that holds an array",
        "Static"
      )
      const map = nnx.jit((x: Tensor) => Effect.succeed(new Map([["double", x.mul(2)]])))
      yield* fails(map(T.ones([2])), "StructureError", "Map that holds an array", "plain object")
      const raw = nnx.jit((x: Float32Array) => Effect.succeed(T.array(x).mul(2)))
      yield* fails(raw(Float32Array.of(1, 2)), "StructureError", "a Tensor, found a Float32Array", "Tensor.array")
      class Holder extends nnx.Module("Holder")<{ readonly layers: ReadonlyMap<string, nnx.Linear> }> {}
      const hidden = new Holder({ layers: new Map([["a", yield* nnx.Linear.make(2, 2)]]) })
      yield* dies(nnx.split(hidden), "StructureError", "layers: expected", "Map that holds a Module")
    }).pipe(Effect.provide(Live)))

  it.effect("lists gradients that an optimizer does not expect", () =>
    Effect.gen(function*() {
      const model = yield* nnx.Linear.make(3, 1)
      const kernels = nnx.Filter.allOf(nnx.Param, nnx.Filter.pathContains("kernel"))
      const optimizer = yield* nnx.Optimizer.make(model, nnx.adam(0.1), { wrt: kernels })
      const grads = yield* nnx.grad(regression<nnx.Linear>())(model, T.ones([1, 3]), T.ones([1, 1]))
      yield* fails(
        optimizer.update(model, grads as never),
        "StructureError",
        "Optimizer.update",
        "bias: expected nothing, found f32[1]",
        "wrt"
      )
    }).pipe(Effect.provide(Live)))
})

describe("an Optimizer of another model", () => {
  it.effect("says so, and lists what of its state does not fit", () =>
    Effect.gen(function*() {
      const [model, other] = [yield* nnx.Linear.make(2, 1), yield* nnx.Linear.make(3, 1)]
      const optimizer = yield* nnx.Optimizer.make(model, nnx.adam(0.1), { wrt: nnx.Param })
      const grads = yield* nnx.grad(regression<nnx.Linear>())(other, T.ones([1, 3]), T.ones([1, 1]))
      yield* fails(
        optimizer.update(other, grads),
        "StructureError",
        "made for other parameters",
        "optState/0/mu/kernel: expected f32[3,1], found f32[2,1]",
        "optState/0/nu/kernel"
      )
    }).pipe(Effect.provide(Live)))
})

describe("AliasError", () => {
  it.effect("names both places of one object", () =>
    Effect.gen(function*() {
      const layer = yield* nnx.Linear.make(2, 2)
      const both = nnx.vmap((a: nnx.Linear, _b: nnx.Linear) => a.apply(T.ones([1, 2])), { inAxes: [0, null] })
      yield* fails(both(layer, layer), "AliasError", "vmap", "0/bias", "1/bias", "same axis")
    }).pipe(Effect.provide(Live)))
})

describe("RngStreamError", () => {
  it.effect("names the stream and those that are there", () =>
    fails(nnx.Rngs.nextKey("noise"), "RngStreamError", "'noise'", "params, dropout", "default").pipe(
      Effect.provide(nnx.Rngs.layer({ params: 0, dropout: 1 }))
    ))
})

describe("errors of backends", () => {
  it.effect("UnsupportedOperation names the operation, the dtype and the backend", () =>
    Effect.gen(function*() {
      const parts = ["float64", (yield* nnx.Backend).name, "astype"]
      const exp = nnx.jit((x: Tensor) => Effect.succeed(x.astype("float64").exp()))
      const error = yield* fails(exp(T.ones([3])), "UnsupportedOperation", "convert_element_type", ...parts)
      assert.strictEqual(error._tag === "UnsupportedOperation" ? error.operation : "", "convert_element_type")
      assert.strictEqual(error._tag === "UnsupportedOperation" ? error.dtype : "", "float64")
      yield* fails(T.item(T.array([1, 2], { dtype: "float64" }).sum()), "UnsupportedOperation", ...parts)
      const layer = yield* nnx.Linear.make(3, 2, { dtype: "float64" })
      yield* fails(Effect.flatMap(layer.apply(T.ones([1, 3])), T.toNested), "UnsupportedOperation", ...parts)
    }).pipe(Effect.provide(Live)))

  it.effect("OutOfMemory names the bytes, and the process goes on", () =>
    Effect.gen(function*() {
      const large = T.zeros([100_000, 100_000, 1000]).sum()
      const { name } = yield* nnx.Backend
      const error = yield* fails(T.item(large), "OutOfMemory", name, "40000000000000 bytes", "smaller batch")
      assert.strictEqual(error._tag === "OutOfMemory" ? error.bytes : 0, 4e13)
      const outer = nnx.jit((x: Tensor, y: Tensor) => Effect.sync(() => x.matmul(y)))
      const [x, y] = [T.ones([300_000, 1]), T.ones([1, 300_000])]
      yield* fails(outer(x, y), "OutOfMemory", "360000000000 bytes")
      assert.strictEqual(yield* T.item(T.ones([3]).sum()), 3)
      yield* nothingLivesBut(x, y)
    }).pipe(Effect.provide(Live)))

  it.effect("DeviceLost after the Layer's Scope has closed, which frees everything", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(Cpu.layer, scope)
      const run = Effect.provide(context)
      const model = yield* nnx.Linear.make(2, 2).pipe(Effect.provide(nnx.Rngs.layer(0)))
      const predict = nnx.jit((m: nnx.Linear, x: Tensor) => m.apply(x))
      const backend = yield* run(nnx.Backend)
      const y = yield* run(predict(model, T.ones([1, 2])))
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* backend.memory).liveBytes, 0)
      const parts = [backend.name, "Scope was closed", "Layer again"]
      yield* fails(run(predict(model, T.ones([1, 2]))), "DeviceLost", ...parts)
      yield* fails(run(T.toNested(y.mul(3).neg())), "DeviceLost", ...parts)
      // A new Layer goes on with the same model.
      assert.deepStrictEqual(
        yield* Effect.provide(Effect.flatMap(predict(model, T.ones([1, 2])), T.toNested), Cpu.layer),
        yield* Effect.provide(T.toNested(y), Cpu.layer)
      )
    }))
})

describe("Check.that", () => {
  it.effect("fails with the user's own typed error", () =>
    Effect.gen(function*() {
      class NotFinite extends Error {
        readonly _tag = "NotFinite"
      }
      const root = nnx.jit((x: Tensor) =>
        Effect.as(nnx.Check.that(x.ge(0), new NotFinite("a root of a negative number")), x.sqrt())
      )
      yield* fails(root(T.array([-1, 4])), "NotFinite", "negative")
      assert.deepStrictEqual(yield* T.toNested(yield* root(T.array([1, 4]))), [1, 2])
      const caught = yield* root(T.array(-1)).pipe(Effect.catchTag("NotFinite", () => Effect.succeed(T.array(0))))
      assert.strictEqual(yield* T.item(caught), 0)
    }).pipe(Effect.provide(Live)))
})
