// The laws of split, merge and update on generated graphs with shared nodes, shared Variables and cycles.
import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Hash from "effect/Hash"
import * as Schema from "effect/Schema"
import { sameStructure } from "../../src/GraphDef/GraphDef.ts"
import * as GraphDef from "../../src/GraphDef/index.ts"
import * as UpdateContext from "../../src/GraphDef/updateContext.ts"
import * as Module from "../../src/Ref/Module.ts"
import * as Variable from "../../src/Ref/Variable.ts"
import { Filter, type State } from "../../src/State/index.ts"
import * as States from "../../src/State/index.ts"
import { isTensor } from "../../src/Tensor/Tensor.ts"
import { generate, mutate, type Node, zeros } from "../support/models.ts"

const seed = { seed: Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000 }))) }
const runs = { arbitrary: { runs: 200, seed: "linum" } }

/** Everything with identity in a model, in the order of a walk. */
const objects = (model: unknown): ReadonlyArray<unknown> =>
  [...GraphDef.iterGraph(model)].map(([, part]) => part).filter((part) =>
    Module.isModule(part) || Variable.isVariable(part)
  )

const raw = (model: Node): Effect.Effect<State<unknown>, unknown> => GraphDef.state(model, Filter.everything) as never

const filters = [
  Variable.Param,
  Variable.RngState,
  Filter.withTag("t1"),
  Filter.pathContains("a"),
  Filter.rest
] as const

describe("laws on generated graphs", () => {
  it.effect.prop(
    "merge after split is an isomorphic graph of other objects",
    seed,
    ({ seed }) =>
      Effect.gen(function*() {
        const model = generate(seed)
        const [graphdef, ...states] = yield* GraphDef.split(model, ...filters)
        const copy = yield* GraphDef.merge(graphdef, ...states)
        const again = yield* GraphDef.graphdef(copy)
        assert.isTrue(Equal.equals(graphdef, again))
        assert.strictEqual(Hash.hash(graphdef), Hash.hash(again))
        assert.deepStrictEqual(GraphDef.findDuplicates(copy), GraphDef.findDuplicates(model))
        assert.isTrue(Equal.equals(yield* raw(copy), yield* raw(model)))
        const before = new Set(objects(model))
        assert.isTrue(objects(copy).every((object) => !before.has(object)))
      }),
    runs
  )

  it.effect.prop("clone is isomorphic and independent", seed, ({ seed }) =>
    Effect.gen(function*() {
      const model = generate(seed)
      const copy = yield* GraphDef.clone(model)
      assert.isTrue(Equal.equals(yield* GraphDef.graphdef(model), yield* GraphDef.graphdef(copy)))
      const before = yield* raw(model)
      const blank = States.mapTensors(before, (x) => zeros(...x.shape))
      yield* GraphDef.update(copy, blank)
      assert.isTrue(Equal.equals(yield* raw(model), before))
      assert.isTrue(Equal.equals(yield* raw(copy), blank))
    }), runs)

  it.effect.prop("update with its own State changes nothing (GetPut)", seed, ({ seed }) =>
    Effect.gen(function*() {
      const model = generate(seed)
      const before = yield* raw(model)
      const graphdef = yield* GraphDef.graphdef(model)
      yield* GraphDef.update(model, before)
      assert.isTrue(Equal.equals(yield* raw(model), before))
      assert.strictEqual(yield* GraphDef.graphdef(model), graphdef)
    }), runs)

  it.effect.prop(
    "what was put is got (PutGet), and the last put counts (PutPut)",
    seed,
    ({ seed }) =>
      Effect.gen(function*() {
        const model = generate(seed)
        const identity = objects(model)
        const first = States.mapTensors(yield* raw(model), (x) => zeros(...x.shape))
        const second = States.mapTensors(first, (x) => zeros(...x.shape))
        yield* GraphDef.update(model, first)
        assert.isTrue(Equal.equals(yield* raw(model), first))
        yield* GraphDef.update(model, second)
        assert.isTrue(Equal.equals(yield* raw(model), second))
        assert.deepStrictEqual(objects(model).length, identity.length)
        assert.isTrue(objects(model).every((object, i) => object === identity[i]))
      }),
    runs
  )

  it.effect.prop("partition is an isomorphism, a filter a lens", seed, ({ seed }) =>
    Effect.gen(function*() {
      const state = yield* raw(generate(seed))
      const iso = States.partition(...filters)
      const parts = iso.get(state)
      assert.isTrue(Equal.equals(iso.set(parts), state))
      assert.isTrue(Equal.equals(iso.get(iso.set(parts)), parts))
      const lens = States.lens(Variable.Param)
      const part = lens.get(state)
      const other = States.mapTensors(part, (x) => zeros(...x.shape))
      const third = States.mapTensors(part, (x) => zeros(...x.shape))
      assert.isTrue(Equal.equals(lens.replace(part, state), state))
      assert.isTrue(Equal.equals(lens.get(lens.replace(other, state)), other))
      assert.isTrue(Equal.equals(lens.replace(third, lens.replace(other, state)), lens.replace(third, state)))
    }), runs)

  it.effect.prop(
    "pop and update with what remains: popped and left are the whole",
    seed,
    ({ seed }) =>
      Effect.gen(function*() {
        const model = generate(seed)
        const before = yield* raw(model)
        const popped = yield* Effect.result(GraphDef.pop(model, Variable.BatchStat, Variable.Cache))
        const after = yield* raw(model)
        if (popped._tag === "Failure") {
          assert.strictEqual(popped.failure._tag, "StructureError")
          assert.isTrue(Equal.equals(before, after))
        } else {
          const [stats, caches] = popped.success
          for (const [path, leaf] of [...States.toEntries(stats), ...States.toEntries(caches)]) {
            assert.isTrue(
              Equal.equals(leaf, States.get(before, path).pipe((o) => o._tag === "Some" ? o.value : undefined))
            )
          }
        }
      }),
    runs
  )

  it.effect.prop("changes of structure inside reach the objects outside", seed, ({ seed }) =>
    Effect.gen(function*() {
      const model = generate(seed)
      const outer = UpdateContext.outerSplit([model])
      const values = outer.leaves.map((leaf) =>
        leaf._tag === "Array" ? leaf.tensor : Variable.cellOf(leaf.variable).raw
      )
      const inner = UpdateContext.innerMerge(outer.graphdef, values, undefined)
      const [copy] = inner.value as readonly [Node]
      const untouched = UpdateContext.innerSplit([copy], inner.objects)
      assert.isTrue(sameStructure(outer.graphdef, untouched.graphdef))
      assert.isTrue(sameStructure(outer.graphdef, UpdateContext.innerSplit([[copy], 1], inner.objects).graphdef, 1))
      yield* mutate(copy, seed)
      const out = UpdateContext.innerSplit([copy, inner.objects], inner.objects)
      const back = UpdateContext.outerMerge(
        out.graphdef,
        out.leaves.map((leaf) => leaf._tag === "Array" ? leaf.tensor : Variable.cellOf(leaf.variable).raw),
        outer.objects,
        { owner: undefined, write: (variable, value) => Variable.writeAll([variable], [value]) }
      ) as readonly [Node, ReadonlyArray<object>]
      assert.strictEqual(back[0], model)
      assert.isTrue(back[1].every((object, i) => object === outer.objects[i]))
      assert.isTrue(Equal.equals(yield* GraphDef.graphdef(model), yield* GraphDef.graphdef(copy)))
      assert.isTrue(Equal.equals(yield* raw(model), yield* raw(copy)))
    }), runs)

  it.effect.prop("an update context brings every change back, by tag", seed, ({ seed }) =>
    Effect.gen(function*() {
      const model = generate(seed)
      const out = yield* GraphDef.updateContext("law", (context) =>
        Effect.gen(function*() {
          const copy = yield* context.merge(...yield* context.split(model, Filter.everything))
          yield* mutate(copy, seed)
          const expected = [yield* GraphDef.graphdef(copy), yield* raw(copy), objects(copy).length] as const
          const merged = yield* context.merge(...yield* context.split(copy, Filter.everything))
          return { merged, expected }
        }))
      assert.strictEqual(out.merged, model)
      assert.isTrue(Equal.equals(yield* GraphDef.graphdef(model), out.expected[0]))
      assert.isTrue(Equal.equals(yield* raw(model), out.expected[1]))
      // Nothing that was there has become a second object.
      assert.strictEqual(objects(model).length, out.expected[2])
    }), runs)

  it.effect.prop(
    "parts split and merged one by one in one index space are the whole",
    seed,
    ({ seed }) =>
      Effect.gen(function*() {
        const model = generate(seed)
        const parts = objects(model).filter(Module.isModule)
        const split = yield* GraphDef.splitContext((context) =>
          Effect.forEach(parts, (part) => context.split(part, Filter.everything))
        )
        const merged = yield* GraphDef.mergeContext((context) =>
          Effect.forEach(split, ([graphdef, state]) => context.merge(graphdef, state))
        )
        assert.isTrue(Equal.equals(yield* GraphDef.graphdef(merged), yield* GraphDef.graphdef(parts)))
        const before = new Set(objects(model))
        assert.isTrue(objects(merged).every((object) => !before.has(object)))
        const refIndex = new Map<object, number>()
        const flat = yield* Effect.forEach(parts, (part) => GraphDef.flatten(part, refIndex))
        assert.isTrue(flat.every(([graphdef], i) => Equal.equals(graphdef, split[i][0])))
      }),
    runs
  )

  it.effect.prop(
    "unflatten into what is there gives it back, with the values of the State",
    seed,
    ({ seed }) =>
      Effect.gen(function*() {
        const model = generate(seed)
        const identity = objects(model)
        const refIndex = new Map<object, number>()
        const [graphdef, state] = yield* GraphDef.flatten(model, refIndex)
        const blank = States.mapTensors(state as State<unknown>, (x) => zeros(...x.shape))
        const indexRefCache = new Map(Array.from(refIndex, ([object, i]) => [i, object] as const))
        assert.strictEqual(yield* GraphDef.unflatten(graphdef, blank, { indexRefCache }), model)
        assert.isTrue(Equal.equals(yield* raw(model), blank))
        assert.isTrue(objects(model).every((object, i) => object === identity[i]))
      }),
    runs
  )

  it.effect.prop("every part is visited once, children first", seed, ({ seed }) =>
    Effect.sync(() => {
      const model = generate(seed)
      const parts = [...GraphDef.iterGraph(model)]
      const last = parts.at(-1)
      assert.deepStrictEqual(last?.[0], [])
      assert.strictEqual(last?.[1], model)
      const seen = objects(model)
      assert.strictEqual(new Set(seen).size, seen.length)
      assert.isTrue(parts.some(([, part]) => isTensor(part) || !isTensor(part)))
    }), runs)
})
