// Every row of the documents has a test that is named after it, and no test of a row is skipped.
import { assert, describe, test } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { documents } from "./rows.ts"

const files = readdirSync(import.meta.dirname).filter((file) => file.endsWith(".test.ts"))
const sources = files.map((file) => readFileSync(join(import.meta.dirname, file), "utf8"))

/** The ids at the beginning of the names of tests. */
const named = new Set(
  sources.flatMap((source) =>
    [...source.matchAll(/^\s*(?:test|it|it\.\w+)\(\s*["`]((?:[AF]\.\d{3}[ ,]*)+)/gm)].flatMap(([, ids]) =>
      ids.match(/[AF]\.\d{3}/g) ?? []
    )
  )
)

describe("rows", () => {
  test("each has a test", () => {
    const missing = documents.flatMap((d) => d.rows).filter((row) => !named.has(row.id))
    assert.deepStrictEqual(missing, [])
  })

  test("no test is left out", () => {
    assert.deepStrictEqual(
      sources.flatMap((source) => source.match(/\.(?:skip|todo|only|fails|skipIf|runIf)\b/g) ?? []),
      []
    )
  })
})
