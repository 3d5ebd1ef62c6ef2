// What a stranger gets: the package is packed, installed in an empty folder elsewhere, and used from there.
//
//   - every path of the exports map can be imported, and its declarations satisfy the compiler;
//   - no other path can;
//   - importing "linum" does no work for backends: not one file of TensorFlow.js is loaded, nor any wasm or GPU
//     touched.
//
// It wants `npm run build` ahead, and the registry, for the dependencies. The last line is `N passed, N failed`.
import { spawnSync } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { delimiter, join } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
const modules = join(root, "node_modules")
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  readonly exports: Readonly<Record<string, unknown>>
  readonly devDependencies: Readonly<Record<string, string>>
}
const specifiers = Object.keys(manifest.exports)
  .filter((path) => !path.endsWith(".json"))
  .map((path) => `linum${path.slice(1)}`)

// Outside the repository, whose node_modules would be found from anywhere inside it.
const folder = mkdtempSync(join(tmpdir(), "linum-package-"))
const environment = { ...process.env, PATH: [join(modules, ".bin"), process.env["PATH"]].join(delimiter) }

interface Outcome {
  readonly ok: boolean
  readonly output: string
}

const execute = (command: string, args: ReadonlyArray<string>, cwd = folder): Outcome => {
  const { error, status, stderr, stdout } = spawnSync(command, args, { cwd, encoding: "utf8", env: environment })
  return { ok: status === 0, output: error === undefined ? stdout + stderr : String(error) }
}

/** Runs a program in the folder. */
const program = (source: string): Outcome => execute("node", ["--input-type=module", "--eval", source])

const setUp = (): Outcome => {
  const packed = execute("npm", ["pack", "--silent", "--ignore-scripts", "--pack-destination", folder], root)
  if (!packed.ok) return packed
  writeFileSync(join(folder, "package.json"), JSON.stringify({ private: true, type: "module" }))
  const tarball = readdirSync(folder).find((name) => name.endsWith(".tgz")) ?? ""
  const effect = `effect@${manifest.devDependencies["effect"]}`
  return execute("npm", ["install", "--no-audit", "--no-fund", join(folder, tarball), effect])
}

const imports = (specifier: string): Outcome =>
  program(`
    const before = performance.now()
    const module = await import(${JSON.stringify(specifier)})
    const ms = Math.round(performance.now() - before)
    console.log(Object.keys(module).length + " names in " + ms + " ms")
  `)

const refuses = (specifier: string): Outcome =>
  program(`
    const refused = await import(${JSON.stringify(specifier)}).then(() => "it loads", (error) => error.code)
    console.log(refused)
    process.exit(refused === "ERR_PACKAGE_PATH_NOT_EXPORTED" ? 0 : 1)
  `)

/**
 * Our declarations are checked in full; those of TensorFlow.js, which do not hold under a recent compiler, are not
 * ours.
 */
const declares = (): Outcome => {
  writeFileSync(
    join(folder, "all.ts"),
    specifiers.map((specifier, i) => `import * as module${i} from "${specifier}"\nvoid module${i}\n`).join("")
  )
  const options = ["--strict", "--exactOptionalPropertyTypes", "--noEmit", "--module", "nodenext", "--target", "es2023"]
  const { output } = execute("node", [
    join(modules, "typescript", "bin", "tsc"),
    "--pretty",
    "false",
    ...options,
    "all.ts"
  ])
  const ours = output.split("\n").filter((line) => /^(all\.ts|node_modules\/linum\/|error )/.test(line))
  return { ok: ours.length === 0, output: ours.join("\n") }
}

/** Loads "linum" with an eye on every file that Node opens for it, ES module or CommonJS. */
const doesNoWork = (): Outcome =>
  program(`
    import { registerHooks } from "node:module"
    const seen = []
    registerHooks({ load: (url, context, next) => (seen.push(url), next(url, context)) })
    const touched = []
    for (const name of ["compile", "instantiate", "Module", "Memory"]) {
      WebAssembly[name] = new Proxy(WebAssembly[name], {
        apply: (...args) => (touched.push("WebAssembly." + name), Reflect.apply(...args)),
        construct: (...args) => (touched.push("WebAssembly." + name), Reflect.construct(...args))
      })
    }
    if (globalThis.navigator) {
      Object.defineProperty(navigator, "gpu", { get: () => void touched.push("navigator.gpu"), configurable: true })
    }
    await import("linum")
    const backends = seen.filter((url) => /@tensorflow|dist\\/Backend\\/(Tfjs|Wasm)/.test(url))
    console.log(seen.length + " files loaded")
    for (const what of [...backends, ...touched]) console.log("touched: " + what)
    process.exit(backends.length + touched.length)
  `)

const tests: ReadonlyArray<readonly [name: string, test: () => Outcome]> = [
  ["the package installs", setUp],
  ...specifiers.map((specifier) => [`import "${specifier}"`, () => imports(specifier)] as const),
  ...["linum/dist/index.js", "linum/src/index.ts", "linum/Tensor/Tensor", "linum/Layer/index", "linum/Backend/Tfjs"]
    .map(
      (specifier) => [`no import "${specifier}"`, () => refuses(specifier)] as const
    ),
  ["the declarations satisfy the compiler", declares],
  ["importing \"linum\" does no work", doesNoWork]
]

const results = tests.map(([name, test]) => {
  const { ok, output } = test()
  const lines = output.trim().split("\n")
  console.log(`${ok ? "ok  " : "FAIL"} ${name}${ok ? `  ${lines.at(-1)}` : `\n${lines.join("\n")}`}`)
  return ok
})
rmSync(folder, { recursive: true, force: true })
const passed = results.filter(Boolean).length
console.log(`${passed} passed, ${results.length - passed} failed`)
process.exit(passed === results.length ? 0 : 1)
