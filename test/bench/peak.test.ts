/** The in-register peak: the loop that is timed, and what is read from its rounds. */
import { assert, describe, it } from "@effect/vitest"
import type { Measured } from "../../bench/measure.ts"
import { fastestLoop } from "../../bench/peak.ts"
import { figuresOf, jsonRows, peaks } from "../../bench/report.ts"
import { comparisons } from "../../bench/targets.ts"
import { repeated } from "../../bench/workloads.ts"

const measured = (name: string, gflops: number, rounds: ReadonlyArray<number>): Measured => {
  const workload = repeated(name)
  assert.isDefined(workload)
  const ms = (workload.flops ?? 0) / gflops / 1e6
  return {
    workload,
    measurements: new Map([["linum", { _tag: "Measured", ms, rounds: 3, peaks: rounds }]]),
    quiet: true
  }
}

describe("peak", () => {
  const all = [
    measured("matmul-256", 40, [60, 40, 50]),
    measured("matmul-512", 40, [100, 80, 90]),
    measured("matmul-255", 40, [])
  ]

  it("workloads are compared with the median of the rounds among theirs", () => {
    const { ratio } = comparisons.peak
    const figures = figuresOf(all)
    assert.closeTo(ratio(figures, "matmul-256") ?? 0, 40 / 50, 1e-9)
    assert.closeTo(ratio(figures, "matmul-512") ?? 0, 40 / 90, 1e-9)
    assert.isUndefined(ratio(figures, "matmul-255"))
  })

  it("is printed as the median of all rounds, and written with each workload that has it", () => {
    assert.strictEqual(peaks(all), "70.0 GFLOP/s stock")
    assert.strictEqual(peaks([]), "not measured")
    assert.deepStrictEqual(jsonRows(all).map((row) => row.peak), [50, 90, undefined])
  })

  it("the loop runs", () => {
    assert.doesNotThrow(() => fastestLoop()(1))
  })
})
