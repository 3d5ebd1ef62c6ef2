// What the golden numbers do not tell: views, errors, dtypes, masks, tracing, printing, what is shared.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import { toNested, toTypedArray } from "../../src/Backend/read.ts"
import * as Cpu from "../../src/Backend/Tfjs/Cpu/index.ts"
import { clone, merge, split, state, update } from "../../src/GraphDef/index.ts"
import * as L from "../../src/Layer/index.ts"
import { Module } from "../../src/Ref/Module.ts"
import { Rngs } from "../../src/Ref/Rngs.ts"
import { BatchStat, Param, RngState } from "../../src/Ref/Variable.ts"
import * as T from "../../src/Tensor/index.ts"
import type { Tensor } from "../../src/Tensor/Tensor.ts"
import { grad } from "../../src/Transform/autodiff.ts"
import { jit } from "../../src/Transform/jit.ts"
import { vmap } from "../../src/Transform/vmap.ts"
import { assertClose } from "../support/close.ts"
import { type Case, cases, input, numbers } from "../support/golden.ts"
import { camel } from "./golden.ts"
import { Block } from "./models.ts"

const services = Layer.mergeAll(Rngs.layer(0), Cpu.layer)

const block = Block.make([2, 3, 4], { rate: 0.5 })
const x = T.array([[1, 2], [3, 5], [-1, 0]])

describe("views", () => {
  it.effect("have other static fields, the same Variables, and leave the model alone", () =>
    Effect.gen(function*() {
      const model = yield* block
      const still = L.evalMode(model)
      assert.isTrue(still.dropout.deterministic && still.bn.useRunningAverage)
      assert.isFalse(model.dropout.deterministic || model.bn.useRunningAverage)
      assert.strictEqual(still.linear.kernel, model.linear.kernel)
      assert.strictEqual(still.dropout.rngs.key, model.dropout.rngs.key)
      assert.instanceOf(still, Block)
      assert.instanceOf(still.bn, L.BatchNorm)
      const again = L.trainMode(still)
      assert.isFalse(again.dropout.deterministic || again.bn.useRunningAverage)
    }).pipe(Effect.provide(services)))

  it.effect("see what others learn", () =>
    Effect.gen(function*() {
      const model = yield* block
      const still = L.evalMode(model)
      const before = yield* toNested(yield* still.apply(x))
      assert.deepStrictEqual(yield* toNested(yield* still.apply(x)), before)
      yield* model.apply(x)
      yield* Ref.update(model.linearOut.kernel, (k) => k.add(1))
      assert.notDeepEqual(yield* toNested(yield* still.apply(x)), before)
    }).pipe(Effect.provide(services)))

  it.effect("keep sharing", () =>
    Effect.gen(function*() {
      class Twice extends Module("Twice")<{ readonly first: L.Dropout; readonly second: L.Dropout }> {}
      const dropout = yield* L.Dropout.make(0.5)
      const still = L.evalMode(new Twice({ first: dropout, second: dropout }))
      assert.strictEqual(still.first, still.second)
      assert.notStrictEqual(still.first, dropout)
    }).pipe(Effect.provide(services)))

  it.effect("are traced once each", () =>
    Effect.gen(function*() {
      const model = yield* block
      const run = jit((m: Block, y: Tensor) => m.apply(y))
      for (const view of [model, L.evalMode(model), model, L.evalMode(model)]) yield* run(view, x)
      assert.strictEqual(run.traces(), 2)
    }).pipe(Effect.provide(services)))

  it.effect("can be made inside jit", () =>
    Effect.gen(function*() {
      const model = yield* block
      const inside = jit((m: Block, y: Tensor) => L.evalMode(m).apply(y))
      const expected = yield* toTypedArray(yield* L.evalMode(model).apply(x))
      assertClose(yield* toTypedArray(yield* inside(model, x)), expected)
      assert.isFalse(model.dropout.deterministic)
    }).pipe(Effect.provide(services)))

  it.effect("name fields that no Module has", () =>
    Effect.gen(function*() {
      const model = yield* block
      const error = yield* Effect.flip(L.view(model, { determinstic: true, momentum: 0.5 }))
      assert.strictEqual(error._tag, "StructureError")
      assert.match(error.message, /determinstic: expected a static field of some Module, found none/)
      assert.strictEqual((yield* L.view(model, { momentum: 0.5 })).bn.momentum, 0.5)
    }).pipe(Effect.provide(services)))
})

describe("errors", () => {
  const message = <A, E extends { readonly message: string }, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.map(Effect.flip(effect), (e) => e.message)

  it.effect("name the layer and both shapes", () =>
    Effect.gen(function*() {
      const linear = yield* L.Linear.make(784, 10)
      assert.match(
        yield* message(linear.apply(T.ones([32, 28]))),
        /^Linear\(784, 10\): expected an input with features 784 .*f32\[784,10\].*, found features 28 .*f32\[32,28\]/
      )
      assert.match(yield* message(linear.apply(T.array(1))), /^Linear\(784, 10\): .*found a scalar/)
      const general = yield* L.LinearGeneral.make([2, 3], 4, { axis: [-2, -1] })
      assert.match(yield* message(general.apply(T.ones([5, 3, 2]))), /^LinearGeneral\(\[2,3\], 4\): .*features \[3,2\]/)
      const conv = yield* L.Conv.make(3, 8, [3, 3])
      assert.match(
        yield* message(conv.apply(T.ones([8, 8, 1]))),
        /^Conv\(3, 8, \[3,3\]\): expected .*features 3 .*features 1/
      )
      assert.match(yield* message(conv.apply(T.ones([8, 3]))), /^Conv\(3, 8, \[3,3\]\): .*2 spatial axes/)
      const norm = yield* L.BatchNorm.make(3)
      assert.match(yield* message(norm.apply(T.ones([8, 4]))), /^BatchNorm\(3\): .*features 3 .*features 4/)
      const embed = yield* L.Embed.make(5, 2)
      assert.match(
        yield* message(embed.apply(T.ones([2]))),
        /^Embed\(5, 2\): expected numbers of rows, of an integer dtype/
      )
      const attention = yield* L.MultiHeadAttention.make(2, 4)
      assert.match(yield* message(attention.apply(T.ones([1, 3, 5]))), /features 4 .*features 5/)
      assert.match(yield* message(attention.apply(T.ones([1, 1, 4]), { decode: true })), /call initCache/)
    }).pipe(Effect.provide(services)))

  it.effect("come when a layer is made, if its sizes do not fit", () =>
    Effect.gen(function*() {
      assert.match(yield* message(L.MultiHeadAttention.make(3, 8)), /qkvFeatures to be a multiple of 3, found 8/)
      assert.match(
        yield* message(L.GroupNorm.make(6, { numGroups: 4 })),
        /4 groups to share the features evenly, found 6/
      )
      assert.match(yield* message(L.GroupNorm.make(6, { numGroups: 2, groupSize: 3 })), /numGroups or groupSize/)
      assert.match(
        yield* message(L.Conv.make(3, 4, 3, { featureGroupCount: 2 })),
        /2 groups share evenly, found 3 and 4/
      )
      assert.match(yield* message(L.Conv.make(3, 4, 3, { mask: T.ones([2]) })), /mask of the kernel's shape \[3,3,4\]/)
      assert.match(yield* message(L.LinearGeneral.make([2, 3], 4)), /as many axes as sizes/)
      assert.match(yield* message(L.Dropout.make(1.5)), /a rate from 0 to 1, found 1.5/)
      assert.match(
        yield* message(L.Linear.make(2, 3, { kernelInit: (key) => T.random.normal(key, [2]).matmul(T.ones([3])) })),
        /matmul/
      )
    }).pipe(Effect.provide(services)))

  it.effect("name a stream that is missing", () =>
    Effect.gen(function*() {
      assert.match(yield* message(L.Dropout.make(0.5)), /No RngStream named 'dropout'/)
    }).pipe(Effect.provide(Rngs.layer({ params: 0 }))))

  it.effect("in a padding, a mode or a call say what to do", () =>
    Effect.gen(function*() {
      const causal = yield* L.Conv.make(1, 1, [2, 2], { padding: "CAUSAL" })
      assert.match(yield* message(causal.apply(T.ones([4, 4, 1]))), /one spatial axis for padding CAUSAL/)
      const attention = yield* L.MultiHeadAttention.make(2, 4, { dropoutRate: 0.5, keepRngs: false })
      assert.match(yield* message(attention.apply(T.ones([1, 2, 4]))), /keepRngs: false; pass rngs to apply/)
      const key = T.random.key(1)
      const drawn = yield* attention.apply(T.ones([1, 2, 4]), { rngs: key })
      assert.deepStrictEqual(drawn.shape, [1, 2, 4])
      assert.match(yield* message(attention.apply(x, { inputsV: x })), /inputsK with inputsV/)
    }).pipe(Effect.provide(services)))
})

describe("dtypes", () => {
  it.effect("parameters have paramDtype; results the dtype, or what promotion gives", () =>
    Effect.gen(function*() {
      const half = { paramDtype: "bfloat16" } as const
      const layers = [
        yield* L.Linear.make(2, 2, half),
        yield* L.LinearGeneral.make(2, 2, half),
        yield* L.Conv.make(2, 2, 1, half),
        yield* L.LayerNorm.make(2, half),
        yield* L.RMSNorm.make(2, half),
        yield* L.MultiHeadAttention.make(1, 2, half)
      ]
      for (const layer of layers) {
        for (const [at, dtype] of [["bfloat16", "bfloat16"], ["float32", "float32"], ["float16", "float32"]] as const) {
          assert.strictEqual((yield* layer.apply(T.ones([1, 2, 2]).astype(at))).dtype, dtype)
        }
      }
      const sixteen = yield* L.Linear.make(2, 2, { dtype: "float16" })
      assert.strictEqual((yield* Ref.get(sixteen.kernel)).dtype, "float32")
      assert.strictEqual((yield* sixteen.apply(x)).dtype, "float16")
      const wide = yield* L.Linear.make(2, 2, { dtype: "bfloat16", preferredElementType: "float32", useBias: false })
      assert.strictEqual((yield* wide.apply(x)).dtype, "float32")
      const error = yield* Effect.flip(Effect.flatMap(L.Linear.make(2, 2, { dtype: "int32" }), (l) => l.apply(x)))
      assert.match(error.message, /a floating dtype, found int32/)
    }).pipe(Effect.provide(services)))

  it.effect("running statistics are float32 whatever the input is", () =>
    Effect.gen(function*() {
      const norm = yield* L.BatchNorm.make(2, { dtype: "float16", paramDtype: "float16" })
      assert.strictEqual((yield* norm.apply(x)).dtype, "float16")
      assert.strictEqual((yield* Ref.get(norm.mean)).dtype, "float32")
      assert.strictEqual((yield* Ref.get(norm.var)).dtype, "float32")
    }).pipe(Effect.provide(services)))
})

describe("masks", () => {
  const functions: Readonly<Record<string, (c: Case) => Tensor | undefined>> = {
    makeAttentionMask: ({ args: [q, k], params }) => {
      const { extraBatchDims, dtype } = Object.fromEntries(Object.entries(params).map(([key, v]) => [camel(key), v]))
      return L.makeAttentionMask(input(q) as Tensor, input(k) as Tensor, {
        extraBatchDims: extraBatchDims === undefined ? 0 : Number(Object(extraBatchDims).value ?? extraBatchDims),
        ...dtype === undefined ? {} : { dtype: String(dtype) as "bool" }
      })
    },
    makeCausalMask: ({ args: [y] }) => L.makeCausalMask(input(y) as Tensor),
    combineMasks: ({ args }) => L.combineMasks(args.map((y) => y === null ? undefined : input(y) as Tensor))
  }
  for (const c of cases("ops_nn.json")["mask"]) {
    it.effect(c.name, () =>
      Effect.gen(function*() {
        const mask = functions[camel(c.op.replace("nnx.", ""))](c)
        if (c.out === null || mask === undefined) return assert.isUndefined(mask ?? undefined)
        assert.deepStrictEqual(mask.shape, c.out.shape)
        assert.strictEqual(mask.dtype, c.out.dtype)
        assert.deepStrictEqual([...yield* toTypedArray(mask)], numbers(c.out))
      }).pipe(Effect.provide(Cpu.layer)))
  }
})

describe("with the transforms", () => {
  it.effect("a layer can be made inside jit, and is the one made outside", () =>
    Effect.gen(function*() {
      const outside = yield* block
      const make = jit((seed: Tensor) =>
        Effect.flatMap(Rngs.fromSeeds(seed), (rngs) => Effect.provideService(block, Rngs, rngs))
      )
      const inside = yield* make(T.array(0, { dtype: "int32" }))
      assert.strictEqual(inside.bn.momentum, 0.99)
      assertClose(
        yield* toTypedArray(yield* Ref.get(inside.linearOut.kernel)),
        yield* toTypedArray(yield* Ref.get(outside.linearOut.kernel))
      )
    }).pipe(Effect.provide(services)))

  it.effect("batch statistics over a named axis are those of the whole batch", () =>
    Effect.gen(function*() {
      const [whole, parts] = [yield* L.BatchNorm.make(2), yield* L.BatchNorm.make(2, { axisName: "batch" })]
      const data = T.random.normal(T.random.key(1), [6, 2])
      const expected = yield* toTypedArray(yield* whole.apply(data))
      const mapped = vmap((m: typeof parts, y: Tensor) => m.apply(y), { inAxes: [null, 0], axisName: "batch" })
      assertClose(yield* toTypedArray(yield* mapped(parts, data.reshape([3, 2, 2]))), expected)
      for (const at of ["mean", "var"] as const) {
        assertClose(yield* toTypedArray(yield* Ref.get(parts[at])), yield* toTypedArray(yield* Ref.get(whole[at])))
      }
    }).pipe(Effect.provide(services)))

  it.effect("running statistics have no derivative", () =>
    Effect.gen(function*() {
      const norm = yield* L.BatchNorm.make(2, { momentum: 0 })
      const loss = (m: typeof norm, y: Tensor) =>
        Effect.gen(function*() {
          yield* m.apply(y)
          return (yield* Ref.get(m.mean)).sum()
        })
      const [, dx] = yield* grad(loss, { argnums: [0, 1] })(norm, x)
      assert.deepStrictEqual([...yield* toTypedArray(dx)], [0, 0, 0, 0, 0, 0])
      assertClose(yield* toTypedArray(yield* Ref.get(norm.mean)), [1, 7 / 3])
    }).pipe(Effect.provide(services)))

  it.effect("dropout draws anew at every compiled call", () =>
    Effect.gen(function*() {
      const dropout = yield* L.Dropout.make(0.5)
      const run = jit((d: L.Dropout, y: Tensor) => d.apply(y))
      const draws = new Set<string>()
      for (let i = 0; i < 4; i++) draws.add(String(yield* toTypedArray(yield* run(dropout, T.ones([32])))))
      assert.strictEqual(draws.size, 4)
      assert.strictEqual(run.traces(), 1)
    }).pipe(Effect.provide(services)))

  it.effect("decoding inside jit gives what attention to all tokens gives, and is traced once", () =>
    Effect.gen(function*() {
      const layer = yield* L.MultiHeadAttention.make(2, 4, { numKvHeads: 1 })
      const tokens = T.random.normal(T.random.key(2), [3, 5, 4])
      const expected = yield* layer.apply(tokens, { isCausal: true })
      yield* layer.initCache(tokens.shape)
      const decoder = yield* L.view(layer, { decode: true })
      const step = jit((m: typeof layer, token: Tensor) => m.apply(token))
      for (let t = 0; t < 5; t++) {
        const y = yield* step(decoder, tokens.get(":", `${t}:${t + 1}`))
        const want = yield* toTypedArray(expected.get(":", `${t}:${t + 1}`))
        assertClose(yield* toTypedArray(y), want, { atol: 1e-5 }, `token ${t}`)
      }
      assert.strictEqual(step.traces(), 1)
    }).pipe(Effect.provide(services)))
})

describe("models of layers", () => {
  it.effect("split, merge and update", () =>
    Effect.gen(function*() {
      const model = yield* block
      const [graphdef, params, stats, rngs] = yield* split(model, Param, BatchStat, RngState)
      const twin = yield* merge(graphdef, params, stats, rngs)
      const expected = yield* toTypedArray(yield* L.evalMode(model).apply(x))
      assertClose(yield* toTypedArray(yield* L.evalMode(twin).apply(x)), expected)
      const other = yield* Effect.provide(block, Rngs.layer(1))
      yield* update(other, yield* state(model))
      assertClose(yield* toTypedArray(yield* L.evalMode(other).apply(x)), expected)
      assert.strictEqual((yield* clone(model)).linear.outFeatures, 3)
    }).pipe(Effect.provide(services)))

  it.effect("a Sequential runs Modules, functions and Effects in order", () =>
    Effect.gen(function*() {
      const own = yield* L.Linear.make(2, 3)
      const model = yield* L.Sequential.make(own, L.relu, (y: Tensor) => Effect.succeed(y.mul(2)), L.Linear.make(3, 1))
      assert.strictEqual(model.layers[0], own)
      const hidden = L.relu(yield* own.apply(x)).mul(2)
      assertClose(
        yield* toTypedArray(yield* model.apply(x)),
        yield* toTypedArray(yield* model.layers[3].apply(hidden))
      )
      const empty = yield* L.Sequential.make()
      assert.strictEqual(yield* empty.apply(x), x)
    }).pipe(Effect.provide(services)))

  it.effect("print with their parameters counted", () =>
    Effect.gen(function*() {
      const text = String(yield* block)
      assert.match(text, /^Block\( # Param: 28 \(112 B\), BatchStat: 6 \(24 B\), RngState: 3 \(12 B\)/)
      assert.match(text, /linear=Linear\( # Param: 6 \(24 B\)/)
      assert.match(text, /useRunningAverage=false/)
    }).pipe(Effect.provide(services)))
})
