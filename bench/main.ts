/**
 * `npm run bench`: all benchmarks, or those named: `npm run bench -- overhead`. `--json FILE` also writes the figures.
 */
import * as Effect from "effect/Effect"
import { writeFileSync } from "node:fs"
import { overhead } from "./overhead.ts"
import type { Row } from "./report.ts"

const benchmarks: Readonly<Record<string, Effect.Effect<ReadonlyArray<Row>, unknown>>> = { overhead }

const args = process.argv.slice(2)
const jsonAt = args.indexOf("--json")
const file = jsonAt < 0 ? undefined : args[jsonAt + 1]
const names = args.filter((_, i) => jsonAt < 0 || (i !== jsonAt && i !== jsonAt + 1))
const unknown = names.filter((name) => !Object.hasOwn(benchmarks, name))

if (unknown.length > 0 || (jsonAt >= 0 && file === undefined)) {
  console.error(`usage: npm run bench -- [${Object.keys(benchmarks).join(" | ")}] [--json FILE]`)
  process.exitCode = 2
} else {
  const results: Record<string, ReadonlyArray<Row>> = {}
  for (const name of names.length > 0 ? names : Object.keys(benchmarks)) {
    results[name] = await Effect.runPromise(benchmarks[name])
  }
  if (file !== undefined) writeFileSync(file, `${JSON.stringify(results, undefined, 2)}\n`)
}
