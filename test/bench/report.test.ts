/** What is read from the rounds of a measurement, and the loop of the in-register peak. */
import { assert, describe, it } from "@effect/vitest"
import type { Id } from "../../bench/configurations.ts"
import type { Measured } from "../../bench/measure.ts"
import { fastest, fastestLoop } from "../../bench/peak.ts"
import { figuresOf, jsonRows, peaks } from "../../bench/report.ts"
import { comparisons } from "../../bench/targets.ts"
import { repeated } from "../../bench/workloads.ts"

/** A workload as measured with Linum, in GFLOP/s and the in-register peak by rounds, and with others. */
const measured = (
  name: string,
  gflops: ReadonlyArray<number>,
  peaks: ReadonlyArray<number>,
  others: ReadonlyArray<readonly [id: Id, gflops: ReadonlyArray<number>]> = []
): Measured => {
  const workload = repeated(name)
  assert.isDefined(workload)
  const ms = (x: number) => (workload.flops ?? 0) / x / 1e6
  return {
    workload,
    measurements: new Map([
      ["linum" as const, { _tag: "Measured" as const, rounds: gflops.map(ms), peaks }],
      ...others.map(([id, rounds]) => [id, { _tag: "Measured" as const, rounds: rounds.map(ms), peaks: [] }] as const)
    ]),
    quiet: true
  }
}

describe("ratios", () => {
  it("are the medians of those in the same rounds", () => {
    const figures = figuresOf([
      // Everything is twice as slow in most of the rounds that one had, and in few of the other's.
      measured("matmul-256", [40, 20, 20, 20, 40], [50, 25, 25, 25, 50], [
        ["linum-2", [80, 40, 40, 40, 80]],
        ["jax", [20, 10, 10]]
      ]),
      measured("matmul-255", [20, 10, 10], [])
    ])
    assert.closeTo(comparisons.peak.ratio(figures, "matmul-256") ?? 0, 0.8, 1e-9)
    assert.closeTo(comparisons.threads.ratio(figures, "matmul-256") ?? 0, 2, 1e-9)
    assert.closeTo(comparisons.jax.ratio(figures, "matmul-256") ?? 0, 2, 1e-9)
    assert.closeTo(comparisons.flat.ratio(figures, "matmul-255") ?? 0, 0.5, 1e-9)
    assert.isUndefined(comparisons.wide.ratio(figures, "matmul-256"))
    assert.isUndefined(comparisons.peak.ratio(figures, "matmul-255"))
    assert.isUndefined(comparisons.threads.ratio(figures, "matmul-512"))
  })
})

describe("peak", () => {
  it("is printed as the median of all rounds, and written with each workload that has it", () => {
    const all = [
      measured("matmul-256", [40], [60, 40, 50]),
      measured("matmul-512", [40], [100, 80, 90]),
      measured("matmul-255", [40], [])
    ]
    assert.strictEqual(peaks(all), "70.0 GFLOP/s stock")
    assert.strictEqual(peaks([]), "not measured")
    assert.deepStrictEqual(jsonRows(all).map((row) => row.peak), [50, 90, undefined])
  })

  it("is that of the first loop among the fastest, not that of one that was lucky", () => {
    assert.strictEqual(fastest([[3, 3, 3], [2, 2, 1], [2, 2, 2]]), 1)
    assert.strictEqual(fastest([[2.1, 2.1, 2.1], [2.2, 2, 1]]), 0)
    assert.strictEqual(fastest([[2.1, 2.1, 2.1], [1.8, 1.8, 3]]), 1)
  })

  it("the loop runs", () => {
    assert.doesNotThrow(() => fastestLoop()(1))
  })
})
