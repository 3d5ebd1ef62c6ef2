// StableHLO texts run by XLA, where there is a Python with jax: LINUM_PYTHON names it.
import * as Effect from "effect/Effect"
import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { toTypedArray } from "../../src/Backend/read.ts"
import type { Tensor } from "../../src/Tensor/Tensor.ts"

/** An array as check.py reads it. */
export const elements = (x: Tensor) =>
  Effect.map(toTypedArray(x), (data) => ({
    dtype: x.dtype,
    shape: x.shape,
    data: Array.from(data, (v) => Number.isFinite(v) && !Object.is(v, -0) ? v : Object.is(v, -0) ? "-0.0" : String(v))
  }))

/** An array as check.py reads it. */
export type Elements = Effect.Success<ReturnType<typeof elements>>

/** A text with its inputs, and the outputs that every run must give. Donated inputs are outputs of the run before. */
export interface Check {
  readonly name: string
  readonly text: string
  readonly inputs: ReadonlyArray<Elements>
  readonly runs: ReadonlyArray<ReadonlyArray<Elements>>
  /** The first element of the first operand of every callback, in order. */
  readonly calls?: ReadonlyArray<number>
  readonly rtol: number
  readonly atol: number
}

const check = fileURLToPath(new URL("../stablehlo/check.py", import.meta.url))

/** What was wrong, a text each. Without Python the texts are only counted. */
export const runByXla = (cases: ReadonlyArray<Check>): ReadonlyArray<string> => {
  const python = process.env["LINUM_PYTHON"]
  if (python === undefined) {
    process.stdout.write(
      `${cases.length} StableHLO texts were made, but not run: LINUM_PYTHON names no Python with jax\n`
    )
    return []
  }
  const run = spawnSync(python, [check], {
    input: JSON.stringify(cases),
    encoding: "utf8",
    maxBuffer: 2 ** 28,
    env: { ...process.env, JAX_PLATFORMS: "cpu", TF_CPP_MIN_LOG_LEVEL: "3" }
  })
  if (run.status !== 0) return [run.stderr]
  const failures: ReadonlyArray<{ readonly name: string; readonly error: string }> = JSON.parse(run.stdout)
  return failures.map((f) => `${f.name}\n${f.error}`)
}
