// The laws of the fp-ts instances.
import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Schema from "effect/Schema"
import * as Identity from "fp-ts/lib/Identity.js"
import * as N from "fp-ts/lib/number.js"
import * as O from "fp-ts/lib/Option.js"
import * as S from "fp-ts/lib/string.js"
import * as FpTs from "../../src/State/FpTs/index.ts"
import * as States from "../../src/State/index.ts"
import { random } from "../support/arbitrary.ts"

/** A State of whole numbers. Paths of all States are from one set, so that merges are defined. */
const generate = (seed: number): States.State<number> => {
  const { integer, pick } = random(seed)
  const paths = [["a"], ["b", "0"], ["b", "1"], ["b", "10"], ["c", "d", "e"], ["c", "f"]]
  return States.fromEntries(
    paths.filter(() => integer(0, 2) === 1).map((path) =>
      [path, States.variableState(pick(["Param", "BatchStat"]), integer(-9, 9))] as const
    )
  )
}

const seed = Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000 })))
const one = { a: seed }
const three = { a: seed, b: seed, c: seed }
const runs = { arbitrary: { runs: 200, seed: "linum" } }
const same = (x: unknown, y: unknown) => assert.isTrue(Equal.equals(x, y))
const { FoldableWithIndex, FunctorWithIndex, TraversableWithIndex } = FpTs

describe("fp-ts instances of State", () => {
  it.effect.prop("functor: identity and composition, with paths", one, ({ a }) =>
    Effect.sync(() => {
      const s = generate(a)
      same(FunctorWithIndex.map(s, (x) => x), s)
      same(
        FunctorWithIndex.map(FunctorWithIndex.map(s, (x) => x + 1), String),
        FunctorWithIndex.map(s, (x) => String(x + 1))
      )
      same(FunctorWithIndex.mapWithIndex(s, (_, x) => x), s)
      same(
        FunctorWithIndex.mapWithIndex(FunctorWithIndex.mapWithIndex(s, (p, x) => p.length + x), (p, x) => p[0] + x),
        FunctorWithIndex.mapWithIndex(s, (p, x) => p[0] + (p.length + x))
      )
    }), runs)

  it.effect.prop("foldable: folds agree with each other", one, ({ a }) =>
    Effect.sync(() => {
      const s = generate(a)
      const text = (sum: string, x: number) => `${sum},${x}`
      assert.strictEqual(FoldableWithIndex.reduce(s, "", text), FoldableWithIndex.foldMap(S.Monoid)(s, (x) => `,${x}`))
      assert.strictEqual(
        FoldableWithIndex.reduceRight(s, "", (x, sum) => `,${x}${sum}`),
        FoldableWithIndex.reduce(s, "", text)
      )
      assert.strictEqual(
        FoldableWithIndex.foldMapWithIndex(S.Monoid)(s, (p, x) => `${p.join("/")}:${x};`),
        FoldableWithIndex.reduceWithIndex(s, "", (p, sum, x) => `${sum}${p.join("/")}:${x};`)
      )
      assert.strictEqual(
        FoldableWithIndex.foldMap(N.MonoidSum)(s, () => 1),
        States.length(s)
      )
    }), runs)

  it.effect.prop("traversable: identity, naturality, agreement with map and fold", one, ({ a }) =>
    Effect.sync(() => {
      const s = generate(a)
      same(TraversableWithIndex.traverse(Identity.Applicative)(s, (x) => x), s)
      same(TraversableWithIndex.traverse(Identity.Applicative)(s, (x) => x + 1), FunctorWithIndex.map(s, (x) => x + 1))
      const small = TraversableWithIndex.traverse(O.Applicative)(s, (x) => x < 8 ? O.some(x) : O.none)
      const allSmall = States.values(s).every((x) => x < 8)
      assert.strictEqual(O.isSome(small), allSmall)
      if (O.isSome(small)) same(small.value, s)
      const sequenced = TraversableWithIndex.sequence(O.Applicative)(FunctorWithIndex.map(s, (x) => O.some(x)))
      assert.isTrue(O.isSome(sequenced) && Equal.equals(sequenced.value, s))
    }), runs)

  it.effect.prop("traverse runs Effects in the order of the paths", one, ({ a }) =>
    Effect.gen(function*() {
      const s = generate(a)
      const seen: Array<string> = []
      const doubled = yield* TraversableWithIndex.traverseWithIndex(FpTs.EffectMonad)(
        s,
        (path, x) => Effect.sync(() => (seen.push(path.join("/")), x * 2))
      )
      same(doubled, States.map(s, (x) => x * 2))
      assert.deepStrictEqual(seen, States.paths(s).map((path) => path.join("/")))
    }), runs)

  it.effect.prop("eq: reflexive, symmetric, transitive", three, ({ a, b, c }) =>
    Effect.sync(() => {
      const E = FpTs.getEq(N.Eq)
      const [x, y, z] = [generate(a % 30), generate(b % 30), generate(c % 30)]
      assert.isTrue(E.equals(x, generate(a % 30)))
      assert.strictEqual(E.equals(x, y), E.equals(y, x))
      if (E.equals(x, y) && E.equals(y, z)) assert.isTrue(E.equals(x, z))
      assert.strictEqual(E.equals(x, y), Equal.equals(x, y))
    }), runs)

  it.effect.prop(
    "monoid: associative, empty on both sides, the right one counts",
    three,
    ({ a, b, c }) =>
      Effect.sync(() => {
        const { concat, empty } = FpTs.getMonoid<number>()
        const [x, y, z] = [generate(a), generate(b), generate(c)]
        same(concat(concat(x, y), z), concat(x, concat(y, z)))
        same(concat(empty, x), x)
        same(concat(x, empty), x)
        same(concat(x, x), x)
      }),
    runs
  )
})

describe("fp-ts instances of Filter", () => {
  it("monoids cover what anyOf and allOf cover", () => {
    const { Filter } = States
    const leaf = { kind: "Param", metadata: {}, value: 1 }
    const [yes, no] = [Filter.everything, Filter.nothing]
    for (const x of [yes, no]) {
      for (const y of [yes, no]) {
        const [p, q] = [Filter.matches(x, [], leaf), Filter.matches(y, [], leaf)]
        assert.strictEqual(Filter.matches(FpTs.FilterMonoidAny.concat(x, y), [], leaf), p || q)
        assert.strictEqual(Filter.matches(FpTs.FilterMonoidAll.concat(x, y), [], leaf), p && q)
      }
      assert.strictEqual(
        Filter.matches(FpTs.FilterMonoidAny.concat(FpTs.FilterMonoidAny.empty, x), [], leaf),
        x === yes
      )
      assert.strictEqual(
        Filter.matches(FpTs.FilterMonoidAll.concat(FpTs.FilterMonoidAll.empty, x), [], leaf),
        x === yes
      )
    }
    assert.isTrue(FpTs.FilterEq.equals(Filter.anyOf(yes, no), Filter.anyOf(yes, no)))
  })
})
