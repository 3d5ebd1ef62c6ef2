/**
 * `npm run conformance`: runs the tests of what the documents on Flax NNX show (test/conformance), and prints a table:
 * id, what, pass or fail, with a total a document. `--json FILE` writes `[{ id, status }]`. It fails unless every row
 * passes; a row without a test fails.
 */
import { spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { documents } from "../test/conformance/rows.ts"

const { values: options } = parseArgs({ options: { json: { type: "string" } } })

/** What Vitest's JSON reporter writes, of it what is used here. */
interface Report {
  readonly testResults: ReadonlyArray<{
    readonly message: string
    readonly assertionResults: ReadonlyArray<{ readonly title: string; readonly status: string }>
  }>
}

const run = (): Report => {
  const folder = mkdtempSync(join(tmpdir(), "conformance-"))
  const file = join(folder, "report.json")
  try {
    const vitest = join("node_modules", "vitest", "vitest.mjs")
    const { stderr } = spawnSync(
      process.execPath,
      [vitest, "run", "--project", "node", "test/conformance", "--reporter=json", `--outputFile=${file}`],
      { stdio: ["ignore", "ignore", "pipe"], encoding: "utf8" }
    )
    process.stderr.write(stderr)
    return JSON.parse(readFileSync(file, "utf8")) as Report
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const report = run()
for (const { message } of report.testResults) if (message !== "") console.error(message)

/** For each id whether all of its tests passed. */
const outcomes = new Map<string, boolean>()
const known = new Set(documents.flatMap((d) => d.rows.map((row) => row.id)))
for (const { status, title } of report.testResults.flatMap((file) => file.assertionResults)) {
  for (const id of title.match(/^(?:[AF]\.\d{3}[ ,]*)+/)?.[0].match(/[AF]\.\d{3}/g) ?? []) {
    if (!known.has(id)) throw new Error(`a test is named after ${id}, which is no row of test/conformance/rows.ts`)
    outcomes.set(id, (outcomes.get(id) ?? true) && status === "passed")
  }
}

const statuses = documents.flatMap((d) =>
  d.rows.map((row) => ({ id: row.id, status: outcomes.get(row.id) === true ? "pass" : "fail" }))
)
const statusOf = new Map(statuses.map((s) => [s.id, s.status]))

for (const { rows, title } of documents) {
  console.log(`\n${title}`)
  for (const { counterpart, id, what } of rows) {
    const missing = outcomes.has(id) ? "" : " (no test)"
    console.log(
      `  ${id}  ${statusOf.get(id)}  ${what}${counterpart === undefined ? "" : ` [here: ${counterpart}]`}${missing}`
    )
  }
}
console.log()
for (const { rows, title } of documents) {
  const passed = rows.filter((row) => statusOf.get(row.id) === "pass").length
  console.log(`${passed} of ${rows.length}  ${title}`)
}
const failed = statuses.filter((s) => s.status === "fail")
console.log(`${statuses.length - failed.length} of ${statuses.length}  in all`)
if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(statuses, undefined, 2)}\n`)
process.exitCode = failed.length === 0 ? 0 : 1
