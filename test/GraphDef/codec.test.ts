// GraphDefs as JSON: everything comes back, what cannot be stored is named by its path, and what was stored is verified.
import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Hash from "effect/Hash"
import * as Schema from "effect/Schema"
import * as GraphDef from "../../src/GraphDef/index.ts"
import * as Variable from "../../src/Ref/Variable.ts"
import * as States from "../../src/State/index.ts"
import { generate, Linear, Node, Stack, zeros } from "../support/models.ts"

const registry: GraphDef.Registry = { classes: { Node, Linear }, values: { abs: Math.abs, max: Math.max } }
const codec = GraphDef.codec<Node>(registry)
const json = Schema.fromJsonString(codec)

const roundTrip = (graphdef: GraphDef.GraphDef<Node>) =>
  Effect.flatMap(Schema.encodeEffect(json)(graphdef), Schema.decodeEffect(json))

/** The messages of a failure, as people see them. */
const issues = <A, E>(effect: Effect.Effect<A, E>) => Effect.map(Effect.flip(effect), String)

/** What a GraphDef is in JSON, changed. */
const damaged = (
  graphdef: GraphDef.GraphDef<Node>,
  change: (entries: ReadonlyArray<GraphDef.StoredEntry>) => unknown
) =>
  Effect.flatMap(
    Schema.encodeEffect(codec)(graphdef),
    (stored) => Schema.decodeUnknownEffect(codec)({ ...stored, entries: change(stored.entries) })
  )

describe("a codec of GraphDefs", () => {
  it.effect.prop(
    "gives back what it was given, equal and with the same hash",
    { seed: Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000 }))) },
    ({ seed }) =>
      Effect.gen(function*() {
        const model = generate(seed)
        const [graphdef, state] = yield* GraphDef.split(model)
        const again = yield* roundTrip(graphdef)
        assert.isTrue(Equal.equals(graphdef, again))
        assert.strictEqual(Hash.hash(graphdef), Hash.hash(again))
        assert.strictEqual(String(graphdef), String(again))
        const copy = yield* GraphDef.merge(again, state)
        assert.deepStrictEqual(GraphDef.findDuplicates(copy), GraphDef.findDuplicates(model))
      }),
    { arbitrary: { runs: 100, seed: "linum" } }
  )

  it.effect("keeps kinds, metadata, hooks, modes, numbers that JSON lacks, States and snapshots", () =>
    Effect.gen(function*() {
      const hooks = { getValue: [(_: unknown, x: unknown) => x], setValue: [(_: unknown, x: unknown) => x] }
      const linear = yield* GraphDef.immutable(Linear.makeUnsafe(1, 2))
      const state = yield* GraphDef.state(linear)
      const model = new Node({
        v: Variable.Param.sub("Lora").makeUnsafe(zeros(1), { metadata: { axes: ["in", null], n: { $: 1 } }, hooks }),
        frozen: linear,
        numbers: [Number.NaN, -0, -Infinity, 12n, undefined, null, 1.5],
        sizes: GraphDef.Static([1, { a: undefined }]),
        state,
        leaf: state.bias,
        act: Math.max
      })
      const own = Schema.fromJsonString(GraphDef.codec<Node>({
        classes: { Node, Linear },
        values: { max: Math.max, get: hooks.getValue[0], set: hooks.setValue[0] }
      }))
      const graphdef = yield* GraphDef.graphdef(model)
      const text = yield* Schema.encodeEffect(own)(graphdef)
      const again = yield* Schema.decodeEffect(own)(text)
      assert.isTrue(Equal.equals(graphdef, again))
      const copy = yield* GraphDef.merge(again, yield* GraphDef.state(model))
      assert.isTrue(Object.is((copy["numbers"] as ReadonlyArray<unknown>)[1], -0))
      assert.isFalse((copy["frozen"] as Linear).bias.isMutable)
      assert.isTrue(States.isState(copy["state"]))
    }))

  it.effect("keeps outer indices, and GraphDefs of a joint index space", () =>
    Effect.gen(function*() {
      const linear = Linear.makeUnsafe(1, 1)
      const model = new Node({ linear })
      const inside = yield* GraphDef.updateContext("x", (context) =>
        Effect.gen(function*() {
          const inner = yield* context.merge(...yield* context.split(model, States.Filter.rest))
          return (yield* context.split(inner, States.Filter.rest))[0]
        }))
      assert.isTrue(Equal.equals(inside, yield* roundTrip(inside)))
      assert.isFalse(Equal.equals(inside, yield* roundTrip(yield* GraphDef.graphdef(model))))
      const refIndex = new Map<object, number>()
      yield* GraphDef.flatten(linear, refIndex)
      const [second] = yield* GraphDef.flatten(model, refIndex)
      assert.isTrue(Equal.equals(second, yield* roundTrip(second)))
    }))

  it.effect("names every path that it cannot store", () =>
    Effect.gen(function*() {
      const graphdef = yield* GraphDef.graphdef(
        new Node({
          stack: Stack.makeUnsafe(1, 1),
          act: [Math.abs, function relu() {}],
          when: new Date(0),
          v: Variable.Param.makeUnsafe(zeros(1), { metadata: { init: Math.sin } })
        })
      )
      const error = yield* Effect.flip(Schema.encodeEffect(codec)(graphdef))
      assert.strictEqual(error._tag, "SchemaError")
      for (
        const part of [
          "stack: the codec's `classes` have no Stack",
          "at [\"stack\"]",
          "stack/blocks/0: the codec's `classes` have no Block",
          "act/1: the function relu is not JSON; name it in the codec's `values`",
          "at [\"act\"][\"1\"]",
          "when: a Date is not JSON",
          "v: the function sin is not JSON"
        ]
      ) assert.include(String(error), part)
      assert.notInclude(String(error), "act/0")
    }))

  it.effect("verifies what it reads", () =>
    Effect.gen(function*() {
      const shared = Linear.makeUnsafe(1, 1)
      const graphdef = yield* GraphDef.graphdef(new Node({ a: shared, b: shared, act: Math.abs }))
      const cases: ReadonlyArray<readonly [Parameters<typeof damaged>[1], string]> = [
        [(entries) => entries.slice(0, -1), "b: there is no entry for it"],
        [(entries) => [...entries, { _tag: "Array" }], "(root): there are 1 entries too many"],
        [(entries) => entries.toSpliced(-1, 1, { _tag: "Ref", index: 9 }), "b: nothing before it has the index 9"],
        [
          (entries) => entries.map((e) => e._tag === "Variable" ? { ...e, index: 7 } : e),
          "a/bias: index 7 is out of order: 2 was expected"
        ],
        [
          (entries) => entries.map((e) => e._tag === "Node" && e.type === "Linear" ? { ...e, type: "Evil" } : e),
          "a: the codec's `classes` have no Evil"
        ],
        [
          (entries) => entries.map((e) => e._tag === "Node" && e.index === 0 ? { ...e, keys: ["a", "a", "b"] } : e),
          "two of its keys are the same"
        ],
        [
          (entries) => entries.map((e) => e._tag === "Static" ? { ...e, value: { $: "value", name: "sin" } } : e),
          "the codec's `values` have no 'sin'"
        ],
        ...[{ $: "word", word: "1e3" }, { $: "object", entries: [1] }, { $: "other" }].map((value) =>
          [
            (entries: ReadonlyArray<GraphDef.StoredEntry>) =>
              entries.map((e) => e._tag === "Static" ? { ...e, value } : e),
            "is no value that this version knows"
          ] as const
        ),
        [(entries) => entries.map((e) => e._tag === "Ref" ? { ...e, index: "1" } : e), "entries"],
        [() => "none", "Expected array"]
      ]
      for (const [change, expected] of cases) assert.include(yield* issues(damaged(graphdef, change)), expected)
      assert.include(
        yield* issues(Schema.decodeUnknownEffect(codec)({ format: "linum/GraphDef", version: 2 })),
        "version"
      )
      assert.include(yield* issues(Schema.decodeUnknownEffect(json)("{")), "JSON")
    }))

  it("knows only classes of nodes", () => {
    assert.throws(() => GraphDef.codec({ classes: { Date } }), "Unknown node type: Date")
  })
})
