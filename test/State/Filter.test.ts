import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Hash from "effect/Hash"
import * as Schema from "effect/Schema"
import * as Variable from "../../src/Ref/Variable.ts"
import { Filter, FilterError, split, type State } from "../../src/State/index.ts"
import * as States from "../../src/State/index.ts"
import { random } from "../support/arbitrary.ts"

const leaf = (kind: string, tag?: string): Filter.Subject => ({
  kind,
  metadata: tag === undefined ? {} : { tag },
  value: 1
})

/** A filter of any sort, from a seed. */
const generate = (seed: number): Filter.Filter => {
  const { integer, pick } = random(seed)
  const go = (depth: number): Filter.Filter => {
    switch (integer(0, depth > 2 ? 6 : 9)) {
      case 0:
        return pick([Variable.Param, Variable.RngState, Variable.RngKey, Variable.kind("Param/Lora")])
      case 1:
        return Filter.pathContains(pick(["a", "b", 1]), { exact: integer(0, 2) === 0 })
      case 2:
        return Filter.pathIn(["a", 1], ["b"])
      case 3:
        return Filter.withTag(pick(["x", "y"]))
      case 4:
        return Filter.everything
      case 5:
        return Filter.nothing
      case 6:
        return Filter.not(go(depth + 1))
      case 7:
        return Filter.anyOf(go(depth + 1), go(depth + 1))
      default:
        return Filter.allOf(go(depth + 1), go(depth + 1))
    }
  }
  return go(0)
}

const subjects: ReadonlyArray<readonly [ReadonlyArray<string>, Filter.Subject]> = [
  [["a", "1"], leaf("Param")],
  [["b"], leaf("RngState/RngKey", "x")],
  [["ab", "c"], leaf("Param/Lora", "y")],
  [["c", "1"], leaf("Array")],
  [[], leaf("BatchStat")]
]

/** Which of the subjects a filter covers. */
const covered = (filter: Filter.Filter): string =>
  subjects.map(([path, subject]) => Filter.matches(filter, path, subject) ? "1" : "0").join("")

const seeds = {
  a: Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000 }))),
  b: Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000 })))
}
const runs = { arbitrary: { runs: 200, seed: "linum" } }

describe("Filter", () => {
  it("B.031 a kind covers its sub-kinds, a name that only begins alike not", () => {
    assert.isTrue(Filter.matches(Variable.RngState, [], leaf("RngState/RngKey")))
    assert.isTrue(Filter.matches(Variable.RngState, [], leaf("RngState")))
    assert.isFalse(Filter.matches(Variable.RngKey, [], leaf("RngState")))
    assert.isFalse(Filter.matches(Variable.Param, [], leaf("Params")))
  })

  it("B.032 paths, tags and predicates", () => {
    assert.isTrue(Filter.matches(Filter.pathContains("10"), ["layers", "10", "kernel"], leaf("Param")))
    assert.isTrue(Filter.matches(Filter.pathContains(10), ["layers", "10", "kernel"], leaf("Param")))
    assert.isFalse(Filter.matches(Filter.pathContains("1"), ["layers", "10"], leaf("Param")))
    assert.isTrue(Filter.matches(Filter.pathContains("ker", { exact: false }), ["kernel"], leaf("Param")))
    assert.isTrue(Filter.matches(Filter.pathIn(["layers", 0], ["head"]), ["layers", "0"], leaf("Param")))
    assert.isFalse(Filter.matches(Filter.pathIn(["layers"]), ["layers", "0"], leaf("Param")))
    assert.isTrue(Filter.matches(Filter.withTag("dropout"), [], leaf("RngState/RngKey", "dropout")))
    assert.isFalse(Filter.matches(Filter.withTag("dropout"), [], leaf("RngState/RngKey")))
    assert.isTrue(Filter.matches(Filter.where((path) => path.length === 1), ["a"], leaf("Param")))
    assert.isTrue(Filter.toPredicate(Filter.arrays)(["a"], leaf("Array")))
  })

  it("prints as written", () => {
    const odd = (path: ReadonlyArray<string>) => path.length % 2 === 1
    assert.strictEqual(
      String(Filter.anyOf(Variable.Param, Filter.not(Filter.pathContains("bias")), Filter.where(odd))),
      "anyOf(Param, not(pathContains(\"bias\")), where(odd))"
    )
    assert.strictEqual(String(Filter.rest), "rest")
    assert.strictEqual(
      String(Filter.allOf(Filter.withTag("x"), Filter.pathIn(["a", 1]))),
      "allOf(withTag(\"x\"), pathIn([\"a\",\"1\"]))"
    )
  })

  it.effect.prop("is equal to what is built alike, with the same hash", seeds, ({ a, b }) =>
    Effect.sync(() => {
      const [x, again, y] = [generate(a), generate(a), generate(b)]
      assert.isTrue(Filter.equals(x, again))
      assert.strictEqual(Filter.hash(x), Filter.hash(again))
      if (!Variable.isKind(x)) assert.isTrue(Equal.equals(x, again) && Hash.hash(x) === Hash.hash(again))
      if (Filter.equals(x, y)) assert.strictEqual(covered(x), covered(y))
    }), runs)

  it.effect.prop("is a Boolean algebra", seeds, ({ a, b }) =>
    Effect.sync(() => {
      const [x, y] = [generate(a), generate(b)]
      const { allOf, anyOf, everything, not, nothing } = Filter
      const same = (p: Filter.Filter, q: Filter.Filter) => assert.strictEqual(covered(p), covered(q))
      same(anyOf(x, y), anyOf(y, x))
      same(allOf(x, y), allOf(y, x))
      same(not(not(x)), x)
      same(not(anyOf(x, y)), allOf(not(x), not(y)))
      same(anyOf(x, allOf(x, y)), x)
      same(anyOf(x, nothing), x)
      same(allOf(x, everything), x)
      same(anyOf(x, not(x)), everything)
      same(allOf(x, not(x)), nothing)
      same(anyOf(), nothing)
      same(allOf(), everything)
    }), runs)
})

describe("splitting by filters", () => {
  const state = States.fromEntries([
    [["dense", "kernel"], States.variableState("Param", 1)],
    [["dense", "mean"], States.variableState("BatchStat", 2)],
    [["drop", "key"], States.variableState("RngState/RngKey", 3)]
  ])

  it("the first filter that covers a leaf gets it", () => {
    const [params, all] = split(state, Variable.Param, Filter.everything)
    assert.deepStrictEqual(States.paths(params), [["dense", "kernel"]])
    assert.deepStrictEqual(States.paths(all), [["dense", "mean"], ["drop", "key"]])
    const [none, left] = split(state, Variable.Cache, Filter.rest)
    assert.isTrue(States.isEmpty(none))
    assert.strictEqual(States.length(left), 3)
  })

  const failure = (f: () => unknown): FilterError => {
    try {
      f()
    } catch (error) {
      if (error instanceof FilterError) return error
    }
    return assert.fail("no FilterError")
  }

  it("A.127 names every leaf that no filter covers", () => {
    const error = failure(() => split(state, Variable.Param))
    assert.deepStrictEqual(error.uncovered, [
      { path: ["dense", "mean"], kind: "BatchStat" },
      { path: ["drop", "key"], kind: "RngState/RngKey" }
    ])
    assert.include(error.message, "dense/mean: BatchStat\n  drop/key: RngState/RngKey")
    assert.include(error.message, "Filter.rest")
  })

  it("B.033 rest and everything come last", () => {
    const error = failure(() => split(state, Filter.rest, Variable.Param))
    assert.include(error.message, "`rest` can only be used as the last filter, got it at index 0")
    assert.include(failure(() => split(state, Filter.everything, Variable.Param)).message, "`everything` can only")
    assert.strictEqual(split(state, Variable.Param, Filter.everything, Filter.rest).length, 3)
  })

  it("B.031 refuses what is no filter", () => {
    const untyped: ReadonlyArray<Filter.Filter> = [JSON.parse("\"Param\"")]
    assert.include(failure(() => split(state, ...untyped)).message, "Invalid filter: Param")
  })

  it("does not keep what predicates said", () => {
    let threshold = 0
    const above = Filter.where((_, { value }) => Number(value) > threshold)
    const count = () => States.length(States.filter(state, above))
    assert.strictEqual(count(), 3)
    threshold = 2
    assert.strictEqual(count(), 1)
  })

  it("B.030 a filter for each distinct value", () => {
    const axes = States.map(state, (value) => value === 2 ? "none" : "first")
    const filters = States.pathFilters(axes)
    assert.deepStrictEqual(filters.map(([, value]) => value), ["first", "none"])
    assert.deepStrictEqual(States.paths(States.filter(state, filters[1][0])), [["dense", "mean"]])
  })

  it("is a type and a module under one name", () => {
    const typed: State<unknown> = state
    assert.isTrue(States.isState(typed))
  })
})
