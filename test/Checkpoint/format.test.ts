// The format: round trips of every kind of value, what other readers of safetensors see, and what damaged bytes get.
import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import * as zlib from "node:zlib"
import { toTypedArray } from "../../src/Backend/read.ts"
import * as Cpu from "../../src/Backend/Tfjs/Cpu/index.ts"
import { crc32 } from "../../src/Checkpoint/crc32.ts"
import { encodeHeader } from "../../src/Checkpoint/header.ts"
import * as Checkpoint from "../../src/Checkpoint/index.ts"
import * as GraphDef from "../../src/GraphDef/index.ts"
import * as nnx from "../../src/index.ts"
import * as State from "../../src/State/index.ts"
import * as DType from "../../src/Tensor/DType.ts"
import * as T from "../../src/Tensor/index.ts"
import * as ShapedArray from "../../src/Tensor/ShapedArray.ts"
import { fromHost, type Tensor } from "../../src/Tensor/Tensor.ts"
import * as Tree from "../../src/Tensor/Tree.ts"
import { type Random, random } from "../support/arbitrary.ts"
import { generate, Linear, Node } from "../support/models.ts"

const seed = { seed: Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000 }))) }
const runs = { arbitrary: { runs: 150, seed: "linum" } }

// --- values ---

/** Any bits at all: also NaNs, infinities and subnormal numbers. */
const anyTensor = ({ integer, pick }: Random): Tensor => {
  const dtype = pick(DType.all)
  const shape = Array.from({ length: integer(0, 4) }, () => pick([0, 1, 2, 3, 7]))
  const data = DType.allocate(dtype, shape.reduce((n, d) => n * d, 1))
  const bytes = new Uint8Array(data.buffer)
  for (let i = 0; i < bytes.length; i++) bytes[i] = integer(0, dtype === "bool" ? 2 : 256)
  return fromHost(ShapedArray.make(shape, dtype, pick([false, false, true])), data)
}

const anyTree = (rng: Random, depth = 0): unknown => {
  const { integer, pick } = rng
  const choice = integer(0, depth > 2 ? 4 : 6)
  if (choice < 3) return anyTensor(rng)
  if (choice === 3) return pick<unknown>([0, -0, 1.5, Number.NaN, Infinity, "NaN", null, undefined, true, 12n, ""])
  if (choice === 4) return Array.from({ length: integer(0, 3) }, () => anyTree(rng, depth + 1))
  return Object.fromEntries(
    Array.from({ length: integer(0, 3) }, () => [pick(["b", "a", "0", "10", "é.\\"]), anyTree(rng, depth + 1)])
  )
}

const keys = ["a", "b.c", "b", "0", "10", "c\\", "", "__proto__", "__metadata__", "λ", "a\ud800"]

/** A State of up to eight leaves at strange paths. */
const anyState = (seed: number): State.State<unknown> => {
  const rng = random(seed)
  const { integer, pick } = rng
  const entries = Array.from({ length: integer(0, 8) }, (_, i): readonly [ReadonlyArray<string>, unknown] => {
    const path = [pick(keys), ...Array.from({ length: integer(0, 3) }, () => pick(keys)), `leaf${i}`]
    const kind = pick(["Param", "Param/Lora", "BatchStat", "RngState/RngKey"])
    return [
      path,
      integer(0, 4) === 0 ? anyTensor(rng) : State.variableState(kind, anyTree(rng), { tag: "t", axes: ["in", null] })
    ]
  })
  return State.fromEntries(entries)
}

/** A value with arrays replaced by what is in them, so that deep equality compares all bits. */
const contents = (value: unknown): Effect.Effect<unknown, unknown, nnx.Backend> =>
  Effect.gen(function*() {
    const { leaves, structure } = Tree.flatten(value)
    const bits: Array<unknown> = []
    for (const x of leaves) {
      const data = yield* toTypedArray(x, { raw: true })
      const bytes = [...new Uint8Array(data.buffer, data.byteOffset, data.byteLength)]
      bits.push({ shape: x.shape, dtype: x.dtype, weakType: x.weakType, bytes })
    }
    return Tree.unflatten(structure, bits)
  })

const leavesOf = (state: State.Any): Effect.Effect<unknown, unknown, nnx.Backend> =>
  Effect.forEach(State.toEntries(state), ([path, leaf]) =>
    Effect.gen(function*() {
      return State.isVariableState(leaf)
        ? { path, kind: leaf.kind, metadata: leaf.metadata, value: yield* contents(leaf.value) }
        : { path, value: yield* contents(leaf) }
    }))

/** The same structure with other numbers: zeros where there was anything. */
const blank = <S extends State.Any>(state: S): S =>
  State.mapTensors(state, (x) => fromHost(ShapedArray.make(x.shape, x.dtype), DType.allocate(x.dtype, x.size)))

const everything = (model: object) => GraphDef.state(model, State.Filter.everything) as Effect.Effect<State.Any>

describe("round trips", () => {
  it.effect.prop(
    "decode(encode(state)) has every path, kind, metadatum and bit",
    seed,
    ({ seed }) =>
      Effect.gen(function*() {
        const state = anyState(seed)
        const bytes = yield* Checkpoint.encode(state)
        const loaded = yield* Checkpoint.decode(bytes)
        assert.deepStrictEqual(yield* leavesOf(loaded.state), yield* leavesOf(state))
        const into = yield* Checkpoint.decodeInto(bytes, blank(state))
        assert.deepStrictEqual(yield* leavesOf(into), yield* leavesOf(state))
        assert.deepStrictEqual(yield* Checkpoint.encode(into), bytes)
      }).pipe(Effect.provide(Cpu.layer)),
    runs
  )

  it.effect.prop("models with shared nodes and cycles", seed, ({ seed }) =>
    Effect.gen(function*() {
      const model = generate(seed)
      const filled = State.mapTensors(yield* everything(model), (x) => T.full(x.shape, seed % 97))
      yield* GraphDef.update(model, filled)
      const copy = yield* GraphDef.clone(model)
      const bytes = yield* Checkpoint.encode(model)
      yield* GraphDef.update(copy, blank(yield* everything(copy)))
      const variables = yield* GraphDef.variables(copy)
      assert.strictEqual(yield* Checkpoint.decodeInto(bytes, copy), copy)
      assert.deepStrictEqual(yield* leavesOf(yield* everything(copy)), yield* leavesOf(filled))
      const after = yield* GraphDef.variables(copy)
      // The very same Variables: written in place.
      State.values(variables).forEach((variable, i) => {
        if (nnx.isVariable(variable)) assert.strictEqual(State.values(after)[i], variable)
      })
      assert.deepStrictEqual(yield* leavesOf((yield* Checkpoint.decode(bytes)).state), yield* leavesOf(filled))
    }).pipe(Effect.provide(Cpu.layer)), runs)

  it.effect("a tree of models, States, snapshots and arrays", () =>
    Effect.gen(function*() {
      const linear = (x: number) =>
        new Linear({
          kernel: nnx.Param.makeUnsafe(T.full([2], x)),
          bias: nnx.Param.makeUnsafe(T.full([1], x)),
          features: 1
        })
      const tree = (x: number, model: Linear) => ({
        model,
        again: [model, undefined],
        ema: State.fromEntries([[["kernel"], State.variableState("Param", T.full([2], x))]]),
        snapshot: State.variableState("OptState", [T.full([], x)]),
        mean: T.full([3], x),
        variable: nnx.BatchStat.makeUnsafe(T.full([1], x))
      })
      const [saved, model] = [tree(5, linear(5)), linear(0)]
      const target = tree(0, model)
      const bytes = yield* Checkpoint.encode(saved, { metadata: { epoch: 1 } })
      const restored = yield* Checkpoint.decodeInto(bytes, target)
      assert.strictEqual(restored.model, model)
      assert.strictEqual(restored.again, target.again)
      assert.strictEqual(restored.variable, target.variable)
      assert.deepStrictEqual(yield* Checkpoint.encode(restored, { metadata: { epoch: 1 } }), bytes)
      const { manifest } = yield* Checkpoint.decode(bytes)
      assert.deepStrictEqual(manifest.aliases, [{ path: ["model"], of: ["again", 0] }])
      assert.deepStrictEqual(manifest.leaves.map((leaf) => leaf.path), [
        ["again", 0, "bias"],
        ["again", 0, "kernel"],
        ["ema", "kernel"],
        ["mean"],
        ["snapshot"],
        ["variable"]
      ])
    }).pipe(Effect.provide(Cpu.layer)))

  it.effect("States and snapshots in fields of Modules are written in place", () =>
    Effect.gen(function*() {
      const make = (x: number) =>
        new Node({
          state: State.fromEntries([
            [["a"], State.variableState("Param", T.full([2], x))],
            [["b"], nnx.Param.makeUnsafe(T.full([2], x))],
            [["c"], T.full([1], x)],
            [["d"], State.variableState("Param", { n: 3, y: [T.full([1], x)] })],
            [["masked"], new Date(0)],
            [["none"], 4]
          ]),
          snapshot: State.variableState("Param", T.full([3], x))
        })
      const target = make(0)
      const bytes = yield* Checkpoint.encode(make(2))
      yield* Checkpoint.decodeInto(bytes, target)
      assert.deepStrictEqual(yield* Checkpoint.encode(target), bytes)
      assert.deepStrictEqual(yield* Checkpoint.encode(make(2)), bytes)
    }).pipe(Effect.provide(Cpu.layer)))

  it.effect("an abstract model is filled", () =>
    Effect.gen(function*() {
      const make = Effect.sync(() => new Node({ w: nnx.Param.makeUnsafe(T.full([2], 3)), b: T.full([1], 4) }))
      const bytes = yield* Checkpoint.encode(yield* make)
      const abstract = yield* nnx.evalShape(() => make)()
      assert.isTrue(Exit.isFailure(yield* Effect.exit(Checkpoint.encode(abstract))))
      yield* Checkpoint.decodeInto(bytes, abstract)
      assert.deepStrictEqual(yield* Checkpoint.encode(abstract), bytes)
    }).pipe(Effect.provide(Cpu.layer)))

  it.effect("a single array or Variable", () =>
    Effect.gen(function*() {
      const bytes = yield* Checkpoint.encode(T.array([1, 2]))
      const back = yield* Checkpoint.decodeInto(bytes, T.zeros([2]))
      assert.deepStrictEqual(yield* contents(back), yield* contents(T.array([1, 2])))
      const variable = nnx.Param.makeUnsafe(T.zeros([2]))
      yield* Checkpoint.decodeInto(yield* Checkpoint.encode(nnx.Param.makeUnsafe(T.array([1, 2]))), variable)
      assert.deepStrictEqual(yield* contents(variable.ref.current), yield* contents(T.array([1, 2])))
    }).pipe(Effect.provide(Cpu.layer)))

  it.effect("a filter saves and restores parts", () =>
    Effect.gen(function*() {
      const make = (x: number) =>
        new Node({ w: nnx.Param.makeUnsafe(T.full([1], x)), m: nnx.BatchStat.makeUnsafe(T.full([1], x)) })
      const values = (model: Node) => Effect.flatMap(everything(model), leavesOf)
      const whole = yield* Checkpoint.encode(make(1))
      const part = yield* Checkpoint.encode(make(1), { filter: nnx.Param })
      const [a, b, c] = [make(0), make(0), make(0)]
      yield* Checkpoint.decodeInto(whole, a, { filter: nnx.Param })
      yield* Checkpoint.decodeInto(part, b, { filter: nnx.Param })
      assert.deepStrictEqual(yield* values(a), yield* values(b))
      assert.notDeepEqual(yield* values(a), yield* values(make(1)))
      const error = yield* Effect.flip(Checkpoint.decodeInto(part, c))
      assert.deepStrictEqual(error.reason._tag === "Mismatch" ? error.reason.misfits : [], [
        { path: ["m"], expected: "BatchStat f32[1]", found: "nothing" }
      ])
      const { state } = yield* Checkpoint.decode(whole, { filter: nnx.BatchStat })
      assert.deepStrictEqual(State.paths(state), [["m"]])
    }).pipe(Effect.provide(Cpu.layer)))
})

describe("what cannot be stored", () => {
  const reasonOf = (target: object, options?: Checkpoint.SaveOptions) =>
    Checkpoint.encode(target, options).pipe(
      Effect.flip,
      Effect.map((e) => e._tag === "CheckpointError" ? e.reason : e),
      Effect.provide(Cpu.layer)
    )
  const deep = (n: number): Schema.Json => n === 0 ? 1 : [deep(n - 1)]
  const deepDict = (n: number): object => n === 0 ? { x: T.ones([1]) } : { x: deepDict(n - 1) }

  it.effect("says what and where", () =>
    Effect.gen(function*() {
      const found = [
        yield* reasonOf({ model: new Node({ size: 3 }), epoch: 3 }),
        yield* reasonOf(new Node({ v: nnx.Param.makeUnsafe({ f: Math.abs }) })),
        yield* reasonOf({}, { metadata: [new Date(0)] as never }),
        yield* reasonOf({}, { metadata: deep(250) }),
        yield* reasonOf(nnx.Param.makeUnsafe(deepDict(100)))
      ]
      assert.deepStrictEqual(found.map((reason) => reason._tag), Array.from({ length: 5 }, () => "Unsupported"))
      assert.include(String(Object.values(found[0])), "epoch is a number")
      assert.include(String(Object.values(found[1])), "v holds an object or a function")
    }))

  it.effect("metadata that is not JSON is left out, and named", () =>
    Effect.gen(function*() {
      const v = nnx.Param.makeUnsafe(T.ones([1]), { metadata: { tag: "a", init: Math.abs } })
      const { manifest } = yield* Checkpoint.decode(yield* Checkpoint.encode(v))
      assert.deepStrictEqual(manifest.leaves[0].metadata, { tag: "a" })
      assert.deepStrictEqual(manifest.leaves[0].omitted, ["init"])
    }).pipe(Effect.provide(Cpu.layer)))
})

// --- what others see ---

const widths: Readonly<Record<string, number>> = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  F64: 8
}

/** A reader of safetensors, written from its specification alone. */
const safetensors = (bytes: Uint8Array) => {
  const n = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true))
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + n)))
  assert.strictEqual(bytes[8], "{".charCodeAt(0))
  assert.strictEqual((8 + n) % 8, 0)
  const { __metadata__: metadata, ...tensors } = header
  for (const value of Object.values(metadata)) assert.isString(value)
  const sorted = Object.entries<{ dtype: string; shape: Array<number>; data_offsets: [number, number] }>(tensors)
    .toSorted(([, a], [, b]) => a.data_offsets[0] - b.data_offsets[0] || a.data_offsets[1] - b.data_offsets[1])
  let at = 0
  for (const [, { data_offsets: [begin, end], dtype, shape }] of sorted) {
    assert.strictEqual(begin, at)
    assert.strictEqual(end - begin, shape.reduce((a, b) => a * b, widths[dtype]))
    assert.strictEqual(begin % widths[dtype], 0)
    at = end
  }
  assert.strictEqual(8 + n + at, bytes.length)
  return new Map(
    sorted.map(([name, { data_offsets: [begin, end], dtype, shape }]) =>
      [name, { dtype, shape, bytes: bytes.slice(8 + n + begin, 8 + n + end) }] as const
    )
  )
}

describe("other readers of safetensors", () => {
  it.effect("see names, shapes and elements", () =>
    Effect.gen(function*() {
      const model = new Node({
        layers: [new Node({ kernel: nnx.Param.makeUnsafe(T.array([[1, 2], [3, 4]])) })],
        on: nnx.Cache.makeUnsafe(T.array([true, false, true])),
        half: nnx.Param.makeUnsafe({ "a.b": T.ones([2], "bfloat16"), none: T.ones([0, 3], "float16") }),
        ["__metadata__"]: nnx.Param.makeUnsafe(T.array(7, "uint32"))
      })
      const seen = safetensors(yield* Checkpoint.encode(model))
      assert.deepStrictEqual(
        Object.fromEntries([...seen].map(([name, { bytes, dtype, shape }]) => [name, [dtype, shape, [...bytes]]])),
        {
          "layers.0.kernel": ["F32", [2, 2], [...new Uint8Array(new Float32Array([1, 2, 3, 4]).buffer)]],
          "on": ["BOOL", [3], [1, 0, 1]],
          "half.a\\.b": ["BF16", [2], [0x80, 0x3f, 0x80, 0x3f]],
          "half.none": ["F16", [0, 3], []],
          "\\__metadata__": ["U32", [], [7, 0, 0, 0]]
        }
      )
    }).pipe(Effect.provide(Cpu.layer)))

  it.effect.prop(
    "can read any State",
    seed,
    ({ seed }) =>
      Effect.gen(function*() {
        const state = anyState(seed)
        const tensors = State.values(state).flatMap((value) => Tree.leaves(value))
        assert.strictEqual(safetensors(yield* Checkpoint.encode(state)).size, tensors.length)
      }).pipe(Effect.provide(Cpu.layer)),
    runs
  )

  it("CRC-32 is the one of zlib", () => {
    const text = new TextEncoder().encode("The quick brown fox jumps over the lazy dog")
    assert.strictEqual(crc32(text), 0x414fa339)
    assert.strictEqual(crc32(text.subarray(11), crc32(text.subarray(0, 11))), 0x414fa339)
    assert.strictEqual(crc32(new Uint8Array()), 0)
    const data = Uint8Array.from({ length: 64 }, (_, i) => i * 37)
    for (let begin = 0; begin < 20; begin++) {
      for (let end = begin; end <= data.length; end++) {
        assert.strictEqual(crc32(data.subarray(begin, end)), zlib.crc32(data.subarray(begin, end)))
      }
    }
  })
})

// --- damage ---

const small = () =>
  new Node({
    w: nnx.Param.makeUnsafe(T.array([1, 2, 3])),
    flags: nnx.Cache.makeUnsafe({ on: T.array([true, false]), n: 3 }),
    key: nnx.RngKey.makeUnsafe(T.array([1, 2], "uint32"), { metadata: { tag: "dropout" } })
  })

/** Bytes that must be rejected, and the model unchanged. */
const rejected = Effect.fnUntraced(function*(bytes: Uint8Array, what: string) {
  const model = small()
  const before = yield* everything(model)
  const loaded = yield* Effect.exit(Effect.flip(Effect.asVoid(Checkpoint.decode(bytes))))
  const restored = yield* Effect.exit(Effect.flip(Effect.asVoid(Checkpoint.decodeInto(bytes, model))))
  for (const exit of [loaded, restored]) {
    assert.strictEqual(Exit.isSuccess(exit) ? exit.value.reason._tag : String(exit), "Corrupt", what)
  }
  const after = yield* everything(model)
  State.values(after).forEach((value, i) => assert.strictEqual(value, State.values(before)[i], what))
})

describe("damaged bytes", () => {
  it.effect("cut off anywhere", () =>
    Effect.gen(function*() {
      const bytes = yield* Checkpoint.encode(small())
      for (let n = 0; n < bytes.length; n++) yield* rejected(bytes.subarray(0, n), `cut to ${n}`)
      const longer = new Uint8Array(bytes.length + 1)
      longer.set(bytes)
      yield* rejected(longer, "one byte more")
    }).pipe(Effect.provide(Cpu.layer)))

  it.effect("with any byte changed", () =>
    Effect.gen(function*() {
      const bytes = yield* Checkpoint.encode(small(), { metadata: { epoch: 3 } })
      for (let i = 0; i < bytes.length; i++) {
        for (const bits of [1 << (i % 8), 0xff]) {
          const changed = bytes.slice()
          changed[i] ^= bits
          yield* rejected(changed, `bits ${bits} of byte ${i}, ${String.fromCharCode(bytes[i])}`)
        }
      }
    }).pipe(Effect.provide(Cpu.layer)))

  it.effect("that never were a checkpoint", () =>
    Effect.gen(function*() {
      const rng = random(1)
      for (let i = 0; i < 300; i++) {
        yield* rejected(Uint8Array.from({ length: rng.integer(0, 200) }, () => rng.integer(0, 256)), "noise")
      }
      const text = (header: string, length = header.length) => {
        const out = new Uint8Array(8 + header.length)
        new DataView(out.buffer).setBigUint64(0, BigInt(length), true)
        out.set(new TextEncoder().encode(header), 8)
        return out
      }
      yield* rejected(text("{}"), "empty header")
      yield* rejected(text("[".repeat(100_000)), "deep header")
      yield* rejected(text("{}", 2 ** 53), "huge header")
      yield* rejected(text("null"), "null")
      yield* rejected(text("{\"__metadata__\":{\"linum\":\"{}\",\"linum.crc32\":\"00000000\"}}"), "wrong sum")
      yield* rejected(text("{\"x\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}"), "foreign")
    }).pipe(Effect.provide(Cpu.layer)))

  it.effect("whose manifest is signed but wrong", () =>
    Effect.gen(function*() {
      const bytes = yield* Checkpoint.encode(small())
      const { manifest } = yield* Checkpoint.decode(bytes)
      const data = bytes.subarray(encodeHeader(manifest).length)
      const forged = (change: (json: { leaves: Array<{ value: Record<string, unknown> }> }) => unknown) => {
        const json = JSON.parse(JSON.stringify(manifest))
        const header = encodeHeader((change(json) ?? json) as Checkpoint.Manifest)
        const out = new Uint8Array(header.length + data.length)
        out.set(header)
        out.set(data, header.length)
        return out
      }
      const w = (json: { leaves: Array<{ value: Record<string, unknown> }> }) => json.leaves[2].value
      const set = (fields: object) => (json: { leaves: Array<{ value: Record<string, unknown> }> }) => {
        Object.assign(w(json), fields)
      }
      const cases = {
        offsets: set({ offsets: [0, 1e15] }),
        negative: set({ offsets: [-12, 0] }),
        overlap: set({ offsets: [4, 16] }),
        shape: set({ shape: [1e15] }),
        overflow: set({ shape: [2 ** 52, 2 ** 52, 2 ** 52] }),
        dtype: set({ dtype: "complex64" }),
        larger: set({ dtype: "float64" }),
        twice: (json: { leaves: Array<{ value: Record<string, unknown> }> }) => ({
          ...json,
          leaves: [...json.leaves, json.leaves[0]]
        }),
        below: (json: { leaves: Array<{ value: Record<string, unknown> }> }) => ({
          ...json,
          leaves: [...json.leaves, { ...json.leaves[0], path: ["w", "x"], value: { _tag: "Static", value: 1 } }]
        }),
        nothing: () => ({ format: "linum", version: 1, leaves: [] }),
        version: (json: object) => ({ ...json, version: 0 })
      }
      for (const [name, change] of Object.entries(cases)) {
        if (name === "below") {
          assert.strictEqual((yield* Effect.flip(Checkpoint.decode(forged(change)))).reason._tag, "Corrupt", name)
        } else {
          yield* rejected(forged(change), name)
        }
      }
      const later = yield* Effect.flip(Checkpoint.decode(forged((json) => ({ ...json, version: 2 }))))
      assert.strictEqual(later.reason._tag, "Unsupported")
      assert.include(later.message, "update the library")
    }).pipe(Effect.provide(Cpu.layer)))
})

describe("checkpoints of something else", () => {
  const find = (target: object, bytes: Uint8Array) =>
    Effect.map(
      Effect.flip(Checkpoint.decodeInto(bytes, target)),
      ({ reason }) => reason._tag === "Mismatch" ? reason.misfits : assert.fail(reason._tag)
    )

  it.effect("list every path that is wrong, and write nothing", () =>
    Effect.gen(function*() {
      const saved = new Node({
        shape: nnx.Param.makeUnsafe(T.ones([2, 3])),
        dtype: nnx.Param.makeUnsafe(T.ones([2], "float16")),
        kind: nnx.Param.makeUnsafe(T.ones([2])),
        tree: nnx.Param.makeUnsafe({ a: T.ones([1]), b: [T.ones([1]), 1] }),
        extra: nnx.Param.makeUnsafe(T.ones([])),
        good: nnx.Param.makeUnsafe(T.ones([4]))
      })
      const target = new Node({
        shape: nnx.Param.makeUnsafe(T.zeros([3, 2])),
        dtype: nnx.Param.makeUnsafe(T.zeros([2], "bfloat16")),
        kind: nnx.BatchStat.makeUnsafe(T.zeros([2])),
        tree: nnx.Param.makeUnsafe({ a: T.zeros([1]), b: [T.zeros([1]), 2] }),
        layers: [new Node({ missing: nnx.Param.makeUnsafe(T.zeros([1])) })],
        good: nnx.Param.makeUnsafe(T.zeros([4]))
      })
      const before = State.values(yield* everything(target))
      const misfits = yield* find(target, yield* Checkpoint.encode(saved))
      assert.deepStrictEqual(misfits, [
        { path: ["dtype"], expected: "Param bf16[2]", found: "Param f16[2]" },
        { path: ["extra"], expected: "nothing", found: "Param f32[]" },
        { path: ["kind"], expected: "BatchStat f32[2]", found: "Param f32[2]" },
        { path: ["layers", "0", "missing"], expected: "Param f32[1]", found: "nothing" },
        { path: ["shape"], expected: "Param f32[3,2]", found: "Param f32[2,3]" },
        { path: ["tree"], expected: "Param {a: f32[1], b: [f32[1], 2]}", found: "Param {a: f32[1], b: [f32[1], 1]}" }
      ])
      const after = State.values(yield* everything(target))
      after.forEach((value, i) => assert.strictEqual(value, before[i]))
    }).pipe(Effect.provide(Cpu.layer)))

  it.effect("tell that a Variable is shared on one side only", () =>
    Effect.gen(function*() {
      const make = () => nnx.Param.makeUnsafe(T.zeros([1]))
      const [node, v] = [new Node({ w: make() }), make()]
      const shared = new Node({ a: v, b: v, c: node, d: node })
      const apart = new Node({ a: make(), b: make(), c: new Node({ w: make() }), d: new Node({ w: make() }) })
      assert.deepStrictEqual(yield* find(apart, yield* Checkpoint.encode(shared)), [
        { path: ["b"], expected: "Param f32[1]", found: "nothing of its own (the checkpoint shares it with a)" },
        { path: ["d", "w"], expected: "Param f32[1]", found: "nothing of its own (the checkpoint shares it with c/w)" }
      ])
      assert.deepStrictEqual(yield* find(shared, yield* Checkpoint.encode(apart)), [
        { path: ["b"], expected: "nothing of its own (the target shares it with a)", found: "Param f32[1]" },
        { path: ["d", "w"], expected: "nothing of its own (the target shares it with c/w)", found: "Param f32[1]" }
      ])
    }).pipe(Effect.provide(Cpu.layer)))

  it.effect("a read-only model is not written", () =>
    Effect.gen(function*() {
      const bytes = yield* Checkpoint.encode(small())
      const misfits = yield* find(yield* GraphDef.immutable(small()), bytes)
      assert.deepStrictEqual(misfits.map((m) => m.path), [["flags"], ["key"], ["w"]])
    }).pipe(Effect.provide(Cpu.layer)))

  it.effect("schemaOf is an ordinary Schema of layouts", () =>
    Effect.gen(function*() {
      const schema = yield* Checkpoint.schemaOf(small())
      const { manifest } = yield* Checkpoint.decode(yield* Checkpoint.encode(small()))
      assert.isTrue(Schema.is(schema)(Checkpoint.layout(manifest)))
      assert.isFalse(Schema.is(schema)({}))
      assert.deepStrictEqual(Checkpoint.layout(manifest)["w"], {
        kind: "Param",
        value: { _tag: "Array", dtype: "float32", shape: [3] }
      })
    }).pipe(Effect.provide(Cpu.layer)))
})
