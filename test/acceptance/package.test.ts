// The package as a whole: what can be imported, what importing does, and whether every export says what it is for.
// (scripts/test-package.ts does the same to the packed package, from outside.)
import { assert, describe, it } from "@effect/vitest"
import * as nnx from "linum"
import { spawnSync } from "node:child_process"
import { globSync, readFileSync } from "node:fs"
import { dirname, join, sep } from "node:path"
import { fileURLToPath } from "node:url"
import ts from "typescript6"

const root = fileURLToPath(new URL("../../", import.meta.url))
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>
}

/** Subpath → source file. */
const entries: ReadonlyArray<readonly [specifier: string, file: string]> = Object.entries(manifest.exports).flatMap(
  ([path, target]) => typeof target === "string" ? [] : [[`linum${path.slice(1)}`, target["linum-source"]] as const]
)

/** What a program in a Node of its own prints as JSON. */
const inNode = (source: string): unknown => {
  const { status, stderr, stdout } = spawnSync(
    process.execPath,
    ["--conditions=linum-source", "--input-type=module", "--eval", source],
    { cwd: root, encoding: "utf8" }
  )
  assert.strictEqual(status, 0, stderr)
  return JSON.parse(stdout)
}

describe("importing linum", () => {
  it("does no work: no backend is loaded, and nothing global is touched", () => {
    const seen = inNode(`
      import { registerHooks } from "node:module"
      const files = [], touched = []
      registerHooks({ load: (url, context, next) => (files.push(url), next(url, context)) })
      const watch = (object, name) => {
        const value = object[name]
        Object.defineProperty(object, name, { configurable: true, get: () => {
          // Node itself uses some of them to load files.
          if (/linum|effect|src/.test(new Error().stack.split("\\n")[2])) touched.push(name)
          return value
        } })
      }
      watch(globalThis, "fetch"), watch(globalThis, "WebAssembly"), watch(globalThis, "setTimeout"), watch(navigator, "gpu")
      const before = Reflect.ownKeys(globalThis).length
      await import("linum")
      const grown = Reflect.ownKeys(globalThis).length - before
      const foreign = files.filter((url) => /@tensorflow|Backend[/]Tfjs|platform-node|^node:/.test(url))
      console.log(JSON.stringify({ foreign, grown, touched, loaded: files.length > 50 }))
    `)
    assert.deepStrictEqual(seen, { foreign: [], grown: 0, touched: [], loaded: true })
  })

  it("reaches what the exports map names, and nothing else", () => {
    const files = globSync("src/**/*.ts", { cwd: root }).map((file) => file.split(sep).join("/"))
    const inside = files.flatMap((file) => {
      const path = file.replace(/^src\//, "").replace(/\.ts$/, "")
      return [`linum/${path}`, `linum/${path}.js`, `linum/${file}`, `linum/dist/${path}.js`]
    })
    const known = new Set(entries.map(([specifier]) => specifier))
    const reached = inNode(`
      const reached = []
      for (const name of ${JSON.stringify(inside)}) {
        try { reached.push([name, import.meta.resolve(name)]) }
        catch (error) { if (error.code !== "ERR_PACKAGE_PATH_NOT_EXPORTED") reached.push([name, String(error)]) }
      }
      console.log(JSON.stringify(reached))
    `) as ReadonlyArray<readonly [string, string]>
    assert.deepStrictEqual(reached.filter(([name]) => !known.has(name)), [])
    const sizes = inNode(`
      const sizes = {}
      for (const name of ${JSON.stringify([...known])}) sizes[name] = Object.keys(await import(name)).length
      console.log(JSON.stringify(sizes))
    `) as Readonly<Record<string, number>>
    assert.deepStrictEqual(Object.keys(sizes), [...known])
    for (const [name, size] of Object.entries(sizes)) assert.isAbove(size, 0, name)
  })

  it("takes no name that Effect's own modules have in every file", () => {
    const names = Object.keys(nnx)
    for (const taken of ["Ref", "Layer", "Effect", "Context", "Schema"]) assert.notInclude(names, taken)
  })
})

/** Every export of the package, through its namespaces, with the file that it is from. */
const everyExport = (): ReadonlyArray<
  { readonly name: string; readonly purpose: string; readonly tags: ReadonlyArray<string> }
> => {
  const options: ts.CompilerOptions = { noLib: true, types: [], target: ts.ScriptTarget.ESNext, noEmit: true }
  const host = ts.createCompilerHost(options)
  // Our own files suffice: comments need no types.
  host.resolveModuleNameLiterals = (literals, from) =>
    literals.map(({ text }) => ({
      resolvedModule: text.startsWith(".")
        ? { resolvedFileName: join(dirname(from), text), extension: ts.Extension.Ts }
        : undefined
    }))
  const program = ts.createProgram(entries.map(([, file]) => join(root, file)), options, host)
  const checker = program.getTypeChecker()
  const seen = new Set<ts.Symbol>()
  const visit = (module: ts.Symbol, path: string): Array<ReturnType<typeof everyExport>[number]> =>
    checker.getExportsOfModule(module).flatMap((exported) => {
      const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported
      const declaration = symbol.declarations?.[0]
      if (seen.has(symbol) || declaration === undefined) return []
      seen.add(symbol)
      if (!declaration.getSourceFile().fileName.startsWith(join(root, "src").split(sep).join("/"))) return []
      const name = `${path}.${exported.name}`
      if (ts.isSourceFile(declaration)) {
        const purpose = /^\s*\/\*\*/.test(declaration.getFullText()) ? "a namespace" : ""
        return [{ name, purpose, tags: [] }, ...visit(symbol, name)]
      }
      return [{
        name,
        purpose: ts.displayPartsToString(symbol.getDocumentationComment(checker)).trim(),
        tags: symbol.getJsDocTags().map((tag) => tag.name)
      }]
    })
  return entries.flatMap(([specifier, file]) => {
    const source = program.getSourceFile(join(root, file))
    const module = source === undefined ? undefined : checker.getSymbolAtLocation(source)
    return module === undefined ? [] : visit(module, specifier)
  })
}

describe("every export", () => {
  it("says what it is for, and nothing internal is one", () => {
    const all = everyExport()
    assert.isAbove(all.length, 900)
    assert.deepStrictEqual(all.filter(({ purpose }) => purpose === "").map(({ name }) => name), [])
    assert.deepStrictEqual(all.filter(({ tags }) => tags.includes("internal")).map(({ name }) => name), [])
  }, 60_000)
})
