// The variables API page: kinds, what their States print, metadata, hooks, initializers with metadata, and names.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Hash from "effect/Hash"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as Cpu from "../../src/Backend/Tfjs/Cpu/index.ts"
import * as nnx from "../../src/index.ts"

type Tensor = nnx.Tensor.Tensor
const T = nnx.Tensor
const Live = Layer.merge(Cpu.layer, nnx.Rngs.layer(0))

const test = <A, E>(name: string, body: () => Effect.Effect<A, E, nnx.Backend | nnx.Rngs>) =>
  it.effect(name, () => Effect.suspend(body).pipe(Effect.provide(Live)))

/** `jax.tree.map(jnp.shape, state)`, printed. */
const shapes = (state: nnx.State.Any): string => String(nnx.State.treeMap(state, (x) => x.shape))

const CustomVariable = nnx.kind("CustomVariable")

class Model extends nnx.Module("Model")<{
  readonly linear: nnx.Linear
  readonly customVariable: nnx.Variable<"CustomVariable", Tensor>
}> {
  static readonly make = Effect.fnUntraced(function*() {
    return new Model({
      linear: yield* nnx.Linear.make(2, 3),
      customVariable: yield* CustomVariable.make(T.ones([1, 3]))
    })
  })
  apply(x: Tensor) {
    return Effect.zipWith(this.linear.apply(x), Ref.get(this.customVariable), (y, z) => y.add(z))
  }
}

const linearShapes = `  'linear': {
    'bias': Param(
      value=[3]
    ),
    'kernel': Param(
      value=[2, 3]
    )
  }`
const customShapes = `  'customVariable': CustomVariable(
    value=[1, 3]
  )`

describe("kinds", () => {
  test("A.091 own kinds select Variables in state, split, pop and State.filter", () =>
    Effect.gen(function*() {
      const model = yield* Model.make()
      assert.strictEqual(shapes(yield* nnx.state(model, nnx.Param)), `State({\n${linearShapes}\n})`)
      assert.strictEqual(shapes(yield* nnx.state(model, CustomVariable)), `State({\n${customShapes}\n})`)
      assert.strictEqual(shapes(yield* nnx.state(model)), `State({\n${customShapes},\n${linearShapes}\n})`)
      const [, custom, params] = yield* nnx.split(model, CustomVariable, nnx.Param)
      assert.strictEqual(shapes(custom), `State({\n${customShapes}\n})`)
      assert.strictEqual(shapes(params), `State({\n${linearShapes}\n})`)
      assert.strictEqual(
        shapes(nnx.State.filter(yield* nnx.state(model), CustomVariable)),
        `State({\n${customShapes}\n})`
      )
      assert.deepStrictEqual(yield* T.toNested(yield* model.apply(T.zeros([1, 2]))), [[1, 1, 1]])
      // A sub-kind is selected by the kind above it, and not the other way round.
      const Special = CustomVariable.sub("Special")
      const both = { a: yield* Special.make(T.ones([2])), b: yield* CustomVariable.make(T.ones([3])) }
      assert.deepStrictEqual(nnx.State.paths(yield* nnx.state(both, CustomVariable)), [["a"], ["b"]])
      assert.deepStrictEqual(nnx.State.paths(yield* nnx.state(both, Special)), [["a"]])
      const popped = yield* nnx.pop(model, CustomVariable)
      assert.strictEqual(shapes(popped), `State({\n${customShapes}\n})`)
      assert.notProperty(model, "customVariable")
    }))

  test("A.092 all parameters of layers are Params", () =>
    Effect.gen(function*() {
      assert.strictEqual(
        shapes(yield* nnx.state(yield* nnx.Linear.make(2, 3))),
        "State({\n  'bias': Param(\n    value=[3]\n  ),\n  'kernel': Param(\n    value=[2, 3]\n  )\n})"
      )
      const attention = { numHeads: 2, features: 4 }
      const layers = [
        yield* nnx.Conv.make(2, 3, [3, 3]),
        yield* nnx.Embed.make(5, 4),
        yield* nnx.LayerNorm.make(3),
        yield* nnx.GroupNorm.make(4, { numGroups: 2 }),
        yield* nnx.MultiHeadAttention.make(attention.numHeads, attention.features),
        yield* nnx.LinearGeneral.make(2, [3, 4])
      ]
      for (const layer of layers) {
        const kinds = nnx.State.values(yield* nnx.state(layer)).length
        assert.strictEqual(nnx.State.values(yield* nnx.state(layer, nnx.Param)).length, kinds)
      }
    }))

  test("A.093 the running mean and variance are BatchStats, scale and bias are not", () =>
    Effect.gen(function*() {
      const layer = yield* nnx.BatchNorm.make(3)
      const [stats, params] = [yield* nnx.state(layer, nnx.BatchStat), yield* nnx.state(layer, nnx.Param)]
      assert.deepStrictEqual(nnx.State.paths(stats), [["mean"], ["var"]])
      assert.deepStrictEqual(nnx.State.paths(params), [["bias"], ["scale"]])
    }))

  test("A.094 attention keeps keys, values and a position in a Cache", () =>
    Effect.gen(function*() {
      const layer = yield* nnx.MultiHeadAttention.make(2, 3, { qkvFeatures: 6, outFeatures: 6, decode: true })
      assert.strictEqual(nnx.State.length(yield* nnx.state(layer, nnx.Cache)), 0)
      yield* layer.initCache([1, 3])
      assert.strictEqual(
        shapes(yield* nnx.state(layer, nnx.Cache)),
        `State({
  'cacheIndex': Cache(
    value=[]
  ),
  'cachedKey': Cache(
    value=[1, 2, 3]
  ),
  'cachedValue': Cache(
    value=[1, 2, 3]
  )
})`
      )
    }))

  test("A.096 a function of leaves goes inside of Variables, and the State prints its results", () =>
    Effect.gen(function*() {
      const model = {
        layer: yield* nnx.BatchNorm.make(3),
        tree: yield* CustomVariable.make({ a: T.ones([2]), b: [T.ones([])] })
      }
      const text = String(nnx.State.treeMap(yield* nnx.state(model), (x) => x.shape))
      assert.include(text, "    'mean': BatchStat(\n      value=[3]\n    ),")
      assert.include(text, "  'tree': CustomVariable(\n    value={'a': [2], 'b': [[]]}\n  )")
      const doubled = nnx.State.treeMap(yield* nnx.state({ tree: model.tree }), (x) => x.mul(2))
      const [leaf] = nnx.State.values(doubled) as ReadonlyArray<
        { readonly a: Tensor; readonly b: ReadonlyArray<Tensor> }
      >
      assert.deepStrictEqual(yield* T.toNested(leaf.a), [2, 2])
      assert.strictEqual(yield* T.item(leaf.b[0]), 2)
      // The model is not touched.
      assert.deepStrictEqual(yield* T.toNested((yield* Ref.get(model.tree)).a), [1, 1])
    }))

  test("A.097 keys of a State are sorted", () =>
    Effect.gen(function*() {
      const layer = yield* nnx.BatchNorm.make(3)
      assert.strictEqual(
        shapes(yield* nnx.state(layer)),
        `State({
  'bias': Param(
    value=[3]
  ),
  'mean': BatchStat(
    value=[3]
  ),
  'scale': Param(
    value=[3]
  ),
  'var': BatchStat(
    value=[3]
  )
})`
      )
    }))

  test("A.101 type is the kind as a value", () =>
    Effect.gen(function*() {
      const LoraParam = nnx.Param.sub("LoraParam")
      const v = yield* LoraParam.make(T.ones([2]), { metadata: { a: 1 } })
      assert.strictEqual(v.type.tag, "Param/LoraParam")
      assert.isTrue(Equal.equals(v.type, LoraParam))
      assert.strictEqual(Hash.hash(v.type), Hash.hash(LoraParam))
      assert.isFalse(Equal.equals(v.type, nnx.Param))
      // It makes more of the same, and selects them.
      const other = yield* v.type.make(T.zeros([2]))
      assert.strictEqual(other.kind, v.kind)
      assert.deepStrictEqual(nnx.State.paths(yield* nnx.state({ v, w: yield* nnx.Param.make(T.ones([])) }, v.type)), [[
        "v"
      ]])
    }))
})

const described = (options: nnx.VariableOptions = { metadata: { a: 1, b: "two" }, isHijax: true }) =>
  nnx.Param.make(T.ones([2]), options)

describe("metadata", () => {
  test("A.098 get: everything, one entry, a default; a missing one is an error that names those that exist", () =>
    Effect.gen(function*() {
      const v = yield* described()
      const all = yield* nnx.getMetadata(v)
      assert.deepStrictEqual(all, { a: 1, b: "two", hasRef: false, isHijax: true, isMutable: true })
      assert.deepStrictEqual(yield* nnx.getMetadata(v, { excludeRequired: true }), { a: 1, b: "two" })
      assert.deepStrictEqual(yield* nnx.getMetadata(v, { excludeRequired: false }), all)
      assert.strictEqual(yield* nnx.getMetadata(v, "b"), "two")
      assert.strictEqual(yield* nnx.getMetadata(v, "isHijax"), true)
      assert.strictEqual(yield* nnx.getMetadata(v, "c", 3), 3)
      assert.strictEqual(yield* nnx.getMetadata(v, "c", undefined), undefined)
      assert.strictEqual(yield* nnx.getMetadata(v, "a", 3), 1)
      const error = yield* Effect.flip(nnx.getMetadata(v, "c"))
      assert.strictEqual(error._tag, "MetadataError")
      assert.strictEqual(error.reason, "missing")
      assert.strictEqual(error.key, "c")
      assert.deepStrictEqual(error.found, ["a", "b", "hasRef", "isHijax", "isMutable"])
      assert.match(error.message, /No metadata 'c': the Variable has 'a', 'b', 'hasRef', 'isHijax', 'isMutable'/)
      // Names of what every object has are no metadata.
      assert.strictEqual((yield* Effect.flip(nnx.getMetadata(v, "toString"))).reason, "missing")
      // What was given is a copy.
      Object.assign(all, { c: 1 })
      assert.deepStrictEqual(v.metadata, { a: 1, b: "two" })
      // A default without a name does not compile; from JavaScript it is an error.
      const untyped = nnx.getMetadata as unknown as (...args: ReadonlyArray<unknown>) => Effect.Effect<never, Error>
      const misused = yield* Effect.flip(untyped(v, undefined, 3))
      assert.match(misused.message, /Cannot provide a default value when the key is not provided/)
      const remembering = yield* nnx.immutable(v)
      assert.deepStrictEqual(yield* nnx.getMetadata(remembering), {
        a: 1,
        b: "two",
        hasRef: false,
        isHijax: false,
        isMutable: false,
        wasHijax: true
      })
    }))

  test("A.099 has and delete; what the mode needs cannot be deleted", () =>
    Effect.gen(function*() {
      const v = yield* described()
      assert.isTrue(yield* nnx.hasMetadata(v, "a"))
      assert.isTrue(yield* nnx.hasMetadata(v, "isHijax"))
      assert.isFalse(yield* nnx.hasMetadata(v, "c"))
      assert.isFalse(yield* nnx.hasMetadata(v, "constructor"))
      yield* nnx.deleteMetadata(v, "a")
      assert.isFalse(yield* nnx.hasMetadata(v, "a"))
      assert.deepStrictEqual(v.metadata, { b: "two" })
      const missing = yield* Effect.flip(nnx.deleteMetadata(v, "a"))
      assert.strictEqual(missing._tag === "MetadataError" ? missing.reason : "", "missing")
      const required = yield* Effect.flip(nnx.deleteMetadata(v, "isHijax"))
      assert.strictEqual(required.message, "Cannot delete 'isHijax' metadata")
      assert.strictEqual(required._tag === "MetadataError" ? required.reason : "", "required")
    }))

  test("A.100 set in three ways: all, one, and some; flags cannot change", () =>
    Effect.gen(function*() {
      const v = yield* described()
      yield* nnx.setMetadata(v, "a", 2)
      assert.deepStrictEqual(v.metadata, { a: 2, b: "two" })
      yield* nnx.updateMetadata(v, { b: 3, c: 4 })
      assert.deepStrictEqual(v.metadata, { a: 2, b: 3, c: 4 })
      yield* nnx.setMetadata(v, { only: true })
      assert.deepStrictEqual(v.metadata, { only: true })
      // A flag may be named if it says what is so.
      yield* nnx.setMetadata(v, { only: 1, isHijax: true })
      yield* nnx.setMetadata(v, "isMutable", true)
      yield* nnx.updateMetadata(v, { hasRef: false })
      assert.deepStrictEqual(v.metadata, { only: 1 })
      const before = v.metadata
      for (
        const change of [
          nnx.setMetadata(v, "isHijax", false),
          nnx.setMetadata(v, { isHijax: false, d: 1 }),
          nnx.updateMetadata(v, { d: 1, isHijax: false })
        ]
      ) {
        const error = yield* Effect.flip(change)
        assert.strictEqual(error.message, "Cannot change 'isHijax' metadata, expected true, got false")
      }
      assert.strictEqual(v.metadata, before)
      // Mixing forms does not compile; from JavaScript it is an error.
      const untyped = nnx.setMetadata as unknown as (...args: ReadonlyArray<unknown>) => Effect.Effect<void, Error>
      assert.match((yield* Effect.flip(untyped(v, { a: 1 }, { b: 2 }))).message, /Cannot mix/)
      assert.match((yield* Effect.flip(untyped(v, "a"))).message, /given no value/)
      assert.strictEqual(v.metadata, before)
    }))

  test("A.100 metadata is structure: a change traces again, reaches outside, and not what is captured", () =>
    Effect.gen(function*() {
      const model = { v: yield* described({ metadata: { step: 0 } }) }
      const scaled = nnx.jit((m: typeof model) =>
        Effect.gen(function*() {
          const step = Number(yield* nnx.getMetadata(m.v, "step"))
          yield* nnx.setMetadata(m.v, "step", step + 1)
          return (yield* Ref.get(m.v)).mul(step)
        })
      )
      assert.deepStrictEqual(yield* T.toNested(yield* scaled(model)), [0, 0])
      assert.deepStrictEqual(model.v.metadata, { step: 1 })
      assert.deepStrictEqual(yield* T.toNested(yield* scaled(model)), [1, 1])
      assert.strictEqual(scaled.traces(), 2)
      yield* nnx.setMetadata(model.v, "step", 0)
      assert.deepStrictEqual(yield* T.toNested(yield* scaled(model)), [0, 0])
      assert.strictEqual(scaled.traces(), 2)
      const captured = nnx.jit((x: Tensor) => Effect.as(nnx.setMetadata(model.v, "step", 7), x))
      const error = yield* Effect.flip(captured(T.ones([])))
      assert.match(error.message, /Cannot mutate Param from a different trace level/)
      assert.deepStrictEqual(model.v.metadata, { step: 1 })
    }))
})

/** A hook that notes its name and adds to the value. */
const noting = (notes: Array<string>, name: string, by = 0) => (_: unknown, value: unknown) => {
  notes.push(name)
  return T.Tree.map(value, (x) => x.add(by))
}

describe("initializers with metadata", () => {
  test("A.102 a value with hooks and metadata is taken apart by the kind that makes the Variable", () =>
    Effect.gen(function*() {
      const notes: Array<string> = []
      const value = nnx.variableMetadata(T.ones([2]), {
        metadata: { sharding: ["in"], shared: "value" },
        hooks: { createValue: [noting(notes, "create", 1)], getValue: [noting(notes, "get")] }
      })
      assert.isTrue(nnx.isVariableMetadata(value))
      assert.strictEqual(value.rawValue.size, 2)
      const v: nnx.Variable<"Param", Tensor> = yield* nnx.Param.make(value, { metadata: { own: 1, shared: "own" } })
      assert.deepStrictEqual(v.metadata, { own: 1, shared: "value", sharding: ["in"] })
      assert.deepStrictEqual(yield* T.toNested(yield* Ref.get(v)), [2, 2])
      assert.deepStrictEqual(notes, ["create", "get"])
      // Hooks of the constructor stand before those that came with the value; the mode may come with it too.
      const own = yield* nnx.Param.make(value, { hooks: { createValue: [noting(notes, "own", 5)] } })
      assert.deepStrictEqual(yield* T.toNested(yield* Ref.get(own)), [6, 6])
      assert.isTrue((yield* nnx.Param.make(nnx.variableMetadata(T.ones([]), { isHijax: true }))).isHijax)
      // Trees are values as well.
      const tree = yield* CustomVariable.make(nnx.variableMetadata({ a: T.ones([]) }, { metadata: { x: 1 } }))
      assert.deepStrictEqual([Object.keys(yield* Ref.get(tree)), tree.metadata], [["a"], { x: 1 }])
    }))

  test("A.103 withMetadata goes where initializers go, and draws what they draw", () =>
    Effect.gen(function*() {
      const notes: Array<string> = []
      const hooks = { setValue: [noting(notes, "set", 10)] }
      const kernelInit = nnx.withMetadata(nnx.initializers.lecunNormal(), {
        hooks,
        metadata: { outSharding: ["in", "out"] }
      })
      const biasInit = nnx.withMetadata(nnx.initializers.zerosInit(), { metadata: { outSharding: ["out"] } })
      const plain = yield* nnx.Linear.make(2, 3).pipe(Effect.provide(nnx.Rngs.layer(1)))
      const layer = yield* nnx.Linear.make(2, 3, { kernelInit, biasInit, kernelMetadata: { layer: 1 } }).pipe(
        Effect.provide(nnx.Rngs.layer(1))
      )
      assert.deepStrictEqual(layer.kernel.metadata, { layer: 1, outSharding: ["in", "out"] })
      assert.deepStrictEqual(layer.bias.metadata, { outSharding: ["out"] })
      assert.deepStrictEqual(
        yield* T.toNested(yield* Ref.get(layer.kernel)),
        yield* T.toNested(yield* Ref.get(plain.kernel))
      )
      yield* Ref.set(layer.kernel, T.zeros([2, 3]))
      assert.deepStrictEqual(notes, ["set"])
      assert.deepStrictEqual(yield* T.toNested(yield* Ref.get(layer.kernel)), [[10, 10, 10], [10, 10, 10]])
      // In every kind of layer; the hooks work inside of compiled functions too.
      const marked = { metadata: { mark: 1 } }
      const init = nnx.withMetadata(nnx.initializers.ones, marked)
      const layers = [
        yield* nnx.Conv.make(2, 3, [3], { kernelInit: init, biasInit: init }),
        yield* nnx.LinearGeneral.make([2, 2], 3, { axis: [-2, -1], kernelInit: init, biasInit: init }),
        yield* nnx.MultiHeadAttention.make(2, 4, { kernelInit: init, biasInit: init }),
        yield* nnx.LayerNorm.make(3, { scaleInit: init, biasInit: init }),
        yield* nnx.Embed.make(3, 2, { embeddingInit: init })
      ]
      for (const each of layers) {
        for (const [path, leaf] of nnx.State.toEntries(yield* nnx.state(each, nnx.Param))) {
          const metadata = nnx.State.isVariableState(leaf) ? leaf.metadata : {}
          assert.deepStrictEqual(metadata, { mark: 1 }, path.join("/"))
        }
      }
      yield* nnx.jit((m: typeof layer) => Ref.update(m.kernel, (w) => w.mul(0)))(layer)
      assert.deepStrictEqual(yield* T.toNested(yield* Ref.get(layer.kernel)), [[10, 10, 10], [10, 10, 10]])
      // Wrapped twice, it has both.
      const twice = nnx.withMetadata(kernelInit, { metadata: { more: true } })
      const both = yield* nnx.Linear.make(2, 3, { kernelInit: twice })
      assert.deepStrictEqual(both.kernel.metadata, { outSharding: ["in", "out"], more: true })
      assert.deepStrictEqual(both.kernel.hooks, hooks)
    }))

  test("A.104 five hooks, each a list that is applied in order", () =>
    Effect.gen(function*() {
      const notes: Array<string> = []
      const axis = (name: string) => (_: unknown, at: number, axisName: string | undefined) => {
        notes.push(`${name} ${at} ${axisName}`)
      }
      const double = (_: unknown, value: unknown) => T.Tree.map(value, (x) => x.mul(2))
      const hooks: nnx.Hooks = {
        createValue: [noting(notes, "create 1", 1), double, noting(notes, "create 2")],
        getValue: [noting(notes, "get 1", 1), double, noting(notes, "get 2")],
        setValue: [double, noting(notes, "set 1", 1), noting(notes, "set 2")],
        addAxis: [axis("add 1"), axis("add 2")],
        removeAxis: [axis("remove 1"), axis("remove 2")]
      }
      const v = yield* nnx.Param.make(T.array(3), { hooks })
      assert.deepStrictEqual(notes.splice(0), ["create 1", "create 2"])
      // (3 + 1) · 2 = 8, and read as (8 + 1) · 2.
      assert.strictEqual(yield* T.item(yield* Ref.get(v)), 18)
      assert.deepStrictEqual(notes.splice(0), ["get 1", "get 2"])
      yield* Ref.set(v, T.array(5))
      assert.deepStrictEqual(notes.splice(0), ["set 1", "set 2"])
      assert.strictEqual(yield* T.item((yield* nnx.getRawValue(v)) as Tensor), 11)
      // Axes come and go with vmap.
      const stack = yield* nnx.vmap((x: Tensor) => nnx.Param.make(x, { hooks }))(T.zeros([4]))
      assert.deepStrictEqual(notes.splice(0), ["create 1", "create 2", "add 1 0 undefined", "add 2 0 undefined"])
      yield* nnx.vmap((p: typeof stack) => Effect.asVoid(Ref.get(p)))(stack)
      assert.deepStrictEqual(notes, [
        "remove 1 0 undefined",
        "remove 2 0 undefined",
        "get 1",
        "get 2",
        "add 1 0 undefined",
        "add 2 0 undefined"
      ])
    }))
})

describe("names", () => {
  const LoraParam = nnx.Param.sub("LoraParam")

  test("A.105 the names of Linen's collections, both ways", () =>
    Effect.gen(function*() {
      const known = [
        ["params", nnx.Param],
        ["batch_stats", nnx.BatchStat],
        ["cache", nnx.Cache],
        ["intermediates", nnx.Intermediate],
        ["perturbations", nnx.Perturbation]
      ] as const
      for (const [name, kind] of known) {
        assert.strictEqual(yield* nnx.variableNameFromType(kind), name)
        assert.isTrue(Equal.equals(yield* nnx.variableTypeFromName(name), kind))
      }
    }))

  test("A.105 what is not registered is an error, or allowed", () =>
    Effect.gen(function*() {
      const unknownType = yield* Effect.flip(nnx.variableNameFromType(LoraParam))
      assert.strictEqual(unknownType._tag, "VariableNameError")
      assert.strictEqual(
        unknownType.message,
        "Type Param/LoraParam is not registered in the registry. To register a new type, use registerVariableName() or " +
          "set allowRegister: true."
      )
      const unknownName = yield* Effect.flip(nnx.variableTypeFromName("metrics"))
      assert.strictEqual(
        unknownName.message,
        "Name metrics is not registered in the registry. To register a new name, use registerVariableName() or set " +
          "allowRegister: true."
      )
      assert.deepStrictEqual(unknownName.found, ["params", "batch_stats", "cache", "intermediates", "perturbations"])
      // One is the inverse of the other.
      for (const kind of [LoraParam, CustomVariable, nnx.OptState]) {
        const name = yield* nnx.variableNameFromType(kind, { allowRegister: true })
        assert.isTrue(Equal.equals(yield* nnx.variableTypeFromName(name, { allowRegister: true }), kind))
      }
      const based = yield* nnx.variableTypeFromName("adapters", { base: nnx.Param, allowRegister: true })
      assert.strictEqual(based.tag, "Param/adapters")
      const plain = yield* nnx.variableTypeFromName("metrics", { base: nnx.Variable, allowRegister: true })
      assert.strictEqual(plain.tag, "metrics")
      // A kind whose tag is the name of another kind cannot be named by it.
      const taken = yield* Effect.flip(nnx.variableNameFromType(nnx.kind("params"), { allowRegister: true }))
      assert.match(taken.message, /^Name params is already registered in the registry as Param\. It cannot be linked/)
    }))

  test("A.105 registering holds for an Effect; a name that means something already must be overwritten", () =>
    Effect.gen(function*() {
      const both = Effect.all([nnx.variableNameFromType(LoraParam), nnx.variableTypeFromName("lora_params")])
      const [name, kind] = yield* both.pipe(nnx.registerVariableName("lora_params", LoraParam))
      assert.deepStrictEqual([name, kind.tag], ["lora_params", "Param/LoraParam"])
      assert.strictEqual((yield* Effect.flip(both))._tag, "VariableNameError")
      const nested = both.pipe(
        nnx.registerVariableName("other", CustomVariable),
        nnx.registerVariableName("lora_params", LoraParam)
      )
      assert.strictEqual((yield* nested)[0], "lora_params")
      const again = yield* Effect.flip(both.pipe(nnx.registerVariableName("params", LoraParam)))
      assert.strictEqual(
        again.message,
        "Name params already mapped to type Param. To overwrite, call registerVariableName() with `overwrite: true`."
      )
      const overwritten = nnx.variableTypeFromName("params").pipe(
        nnx.registerVariableName("params", LoraParam, { overwrite: true })
      )
      assert.strictEqual((yield* overwritten).tag, "Param/LoraParam")
      assert.strictEqual((yield* nnx.variableTypeFromName("params")).tag, "Param")
    }))
})
