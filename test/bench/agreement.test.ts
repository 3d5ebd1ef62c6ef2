/** What the benchmark does before it times anything: libraries are compared, and targets are read from their figures. */
import { assert, describe, it } from "@effect/vitest"
import { disagreeing, furthest, type Results } from "../../bench/agreement.ts"
import type { Id } from "../../bench/configurations.ts"
import { normal, reshape, transpose } from "../../bench/data.ts"
import { comparisons, targets } from "../../bench/targets.ts"
import { workloads } from "../../bench/workloads.ts"

const results = (...values: ReadonlyArray<number>): Results => new Map([["result", Float32Array.from(values)]])

const blamed = (
  ...all: ReadonlyArray<readonly [Id, Results]>
): ReadonlyArray<Id> => [...disagreeing(new Map(all), 1e-3).keys()]

describe("agreement", () => {
  it("measures differences relative to the norm", () => {
    assert.closeTo(furthest(results(3, 4), results(3, 4.05)).distance, 0.05 / Math.hypot(3, 4.05), 1e-6)
    assert.strictEqual(furthest(results(0, 0), results(0, 0)).distance, 0)
    for (const other of [results(Number.NaN), results(1, 2), new Map<string, Float32Array>()]) {
      assert.strictEqual(furthest(results(1), other).distance, Infinity)
      assert.strictEqual(furthest(other, results(1)).distance, Infinity)
    }
  })

  it("blames who agrees with no other library", () => {
    assert.deepStrictEqual(blamed(["linum", results(1)], ["jax", results(1)], ["tfjs", results(1)]), [])
    assert.deepStrictEqual(blamed(["linum", results(1)], ["jax", results(1)], ["tfjs", results(2)]), ["tfjs"])
    assert.deepStrictEqual(blamed(["linum", results(1)], ["jax", results(2)]), ["linum", "jax"])
    assert.deepStrictEqual(blamed(["linum", results(1)]), [])
  })

  it("counts a library once, whatever its configurations", () => {
    const ours = [["linum", results(1)], ["linum-2", results(1)], ["wide", results(1)]] as const
    assert.deepStrictEqual(blamed(...ours, ["jax", results(2)], ["tfjs", results(2)]), ["linum", "linum-2", "wide"])
    assert.deepStrictEqual(blamed(["linum", results(1)], ["wide", results(2)]), ["linum", "wide"])
    assert.deepStrictEqual(
      blamed(["linum", results(1)], ["wide", results(2)], ["jax", results(1)], ["tfjs", results(1)]),
      ["wide"]
    )
  })
})

describe("workloads", () => {
  it("targets name workloads and comparisons that there are", () => {
    const names = new Set(workloads.map(({ name }) => name))
    for (const [name, least] of Object.entries(targets)) {
      assert.isTrue(names.has(name), name)
      for (const comparison of Object.keys(least)) assert.isTrue(Object.hasOwn(comparisons, comparison), comparison)
    }
  })

  it("axes go to another order and back", () => {
    const x = normal(1, [2, 3, 4])
    const moved = transpose(x, [2, 0, 1])
    assert.deepStrictEqual(moved.shape, [4, 2, 3])
    assert.strictEqual(moved.values[(3 * 2 + 1) * 3 + 2], x.values[(1 * 3 + 2) * 4 + 3])
    assert.deepStrictEqual(transpose(moved, [1, 2, 0]), x)
    assert.deepStrictEqual(reshape(x, [24]).values, x.values)
  })
})
