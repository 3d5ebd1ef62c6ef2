// The whole test, and any part of it: `npm test`, or `npm test -- types webgpu` for the steps named.
//
// A step runs one tool and counts what it checked; the steps run one after the other, all of them even when one fails.
// The last line sums them up: `N passed, N failed`. Tools that count nothing (the compiler, the linter) count as one.
import { spawnSync } from "node:child_process"
import { mkdirSync, readFileSync, rmSync } from "node:fs"
import { delimiter, join } from "node:path"
import { fileURLToPath } from "node:url"
import { vulkanEnvironment } from "./support/chromium.ts"

const root = fileURLToPath(new URL("..", import.meta.url))
const modules = join(root, "node_modules")
const cache = join(modules, ".cache", "linum-tests")

interface Count {
  readonly passed: number
  readonly failed: number
}

const sum = (counts: ReadonlyArray<Count>): Count => ({
  passed: counts.reduce((n, count) => n + count.passed, 0),
  failed: counts.reduce((n, count) => n + count.failed, 0)
})

/** A tool that ends in failure has failed, whatever it counted. */
const atLeastOne = (count: Count, ok: boolean): Count => ok || count.failed > 0 ? count : { ...count, failed: 1 }

// --- running tools ---

// The tools of node_modules first, `node` itself among them: scripts that start with `#!/usr/bin/env node` get ours.
const environment = { ...process.env, PATH: [join(modules, ".bin"), process.env["PATH"]].join(delimiter) }

interface Tool {
  readonly command: string
  readonly args: ReadonlyArray<string>
  readonly env?: Record<string, string>
}

/** Runs a tool, its output passed through. */
const succeeds = ({ args, command, env }: Tool): boolean =>
  spawnSync(command, args, { cwd: root, stdio: "inherit", env: { ...environment, ...env } }).status === 0

/** Runs a tool that counts nothing itself. */
const one = (tool: Tool): Count => succeeds(tool) ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 }

// --- the steps ---

// Named in full, since the typescript of the type tests has a tsc too.
const tsc = join(modules, "typescript", "bin", "tsc")

const check = (): Count =>
  sum([
    one({ command: "node", args: ["scripts/extract-examples.ts"] }),
    one({ command: "node", args: [tsc] })
  ])

const lint = (): Count =>
  sum([
    one({ command: "oxlint", args: ["--deny-warnings"] }),
    one({ command: "dprint", args: ["check"] })
  ])

/** tstyche drives the compiler through its JavaScript API, which TypeScript 7 no longer has: it gets TypeScript 6. */
const types = (): Count => {
  const { status, stdout } = spawnSync("tstyche", [], {
    cwd: root,
    stdio: ["ignore", "pipe", "inherit"],
    encoding: "utf8",
    env: {
      ...environment,
      TSTYCHE_NO_COLOR: "true",
      TSTYCHE_NO_INTERACTIVE: "true",
      TSTYCHE_STORE_PATH: join(modules, ".cache", "tstyche"),
      TSTYCHE_TYPESCRIPT_MODULE: "typescript6"
    }
  })
  console.log(stdout)
  const counted = (word: string): number => Number(new RegExp(`^Tests:.*?(\\d+) ${word}`, "m").exec(stdout)?.[1] ?? 0)
  return atLeastOne({ passed: counted("passed"), failed: counted("failed") }, status === 0)
}

/** What vitest's JSON reporter says, as far as it is read here. */
interface VitestReport {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly testResults: ReadonlyArray<
    { readonly status: string; readonly assertionResults: ReadonlyArray<{ readonly status: string }> }
  >
}

const vitest = (...projects: ReadonlyArray<string>) => (): Count => {
  const report = join(cache, `${projects[0]}.json`)
  rmSync(report, { force: true })
  const ok = succeeds({
    command: "vitest",
    args: [
      "run",
      ...projects.flatMap((project) => ["--project", project]),
      "--reporter=default",
      "--reporter=json",
      `--outputFile.json=${report}`
    ],
    env: vulkanEnvironment()
  })
  try {
    const { numFailedTests, numPassedTests, testResults } = JSON.parse(readFileSync(report, "utf8")) as VitestReport
    // A file that does not even load has no failed test in it, and is one.
    const broken = testResults.filter(({ assertionResults, status }) =>
      status === "failed" && !assertionResults.some((result) => result.status === "failed")
    )
    return atLeastOne({ passed: numPassedTests, failed: numFailedTests + broken.length }, ok)
  } catch {
    return { passed: 0, failed: 1 }
  }
}

const steps: Readonly<Record<string, () => Count>> = {
  check,
  lint,
  types,
  node: vitest("node", "docs"),
  wasm: vitest("wasm"),
  webgpu: vitest("webgpu"),
  browser: vitest("browser")
}

const chosen = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(steps)
const unknown = chosen.find((name) => !Object.hasOwn(steps, name))
if (unknown !== undefined) {
  console.error(`no step is called ${unknown}; there are ${Object.keys(steps).join(", ")}`)
  process.exit(2)
}

mkdirSync(cache, { recursive: true })
const results = chosen.map((name) => {
  console.log(`\n=== ${name}`)
  const start = performance.now()
  const count = steps[name]()
  return { name, seconds: (performance.now() - start) / 1000, ...count }
})
console.log()
for (const { failed, name, passed, seconds } of results) {
  console.log(`${name.padEnd(8)} ${seconds.toFixed(1).padStart(6)} s   passed: ${passed}   failed: ${failed}`)
}
const total = sum(results)
console.log(`${total.passed} passed, ${total.failed} failed`)
process.exit(total.failed === 0 ? 0 : 1)
