// The house rules of src, read from its syntax trees: which rooms may know of which, no circles, small files, no state
// and no undeclared effects in modules.
import { assert, describe, it } from "@effect/vitest"
import { globSync, readFileSync } from "node:fs"
import { dirname, posix, sep } from "node:path"
import { fileURLToPath } from "node:url"
import { parseSync } from "oxc-parser"

const src = fileURLToPath(new URL("../../src/", import.meta.url))
const maxLines = 600

// Room → the rooms that it may import from. Layer, Optimizer and Checkpoint stand on everything below them; the root
// index gathers them all. Only what is listed is allowed, so a new room must be entered here.
const foundation = ["Tensor", "Program", "Ref", "State", "GraphDef"]
const rooms: Readonly<Record<string, ReadonlyArray<string>>> = {
  Tensor: [],
  Program: ["Tensor"],
  Backend: ["Program", "Tensor"],
  // A write to a Variable outside of traces starts its computation, so that chains of pending arrays never grow.
  Ref: ["Tensor", "Program", "Backend"],
  State: ["Ref", "Tensor"],
  GraphDef: ["State", "Ref", "Tensor", "Program"],
  Transform: [...foundation, "Backend"],
  Layer: [...foundation, "Transform"],
  Optimizer: [...foundation, "Transform", "Backend"],
  Checkpoint: [...foundation, "Transform", "Backend"]
}

// The rooms above a backend know the service and how values are read through it, never an implementation.
const service: ReadonlySet<string | undefined> = new Set(["Backend/Backend.ts", "Backend/read.ts"])

// What may be a `let` or `var` at the top level of a file, each with its reason.
const stateful: ReadonlySet<string> = new Set([
  // The order in which arrays are made; only its growing matters.
  "Tensor/Tensor.ts: serial"
])

interface Import {
  readonly from: string
  readonly to: string
  /** `import "./methods.ts"`: imported for what evaluating it does. */
  readonly forEffect: boolean
  /** Types vanish at run time: they cannot close a circle of evaluation, though they do tie rooms together. */
  readonly typeOnly: boolean
}

interface Source {
  readonly file: string
  readonly lines: number
  readonly imports: ReadonlyArray<Import>
  readonly mutable: ReadonlyArray<string>
}

const read = (file: string): Source => {
  const text = readFileSync(src + file, "utf8")
  const { module, program } = parseSync(file, text)
  const found: Array<Import> = []
  const add = (specifier: string, typeOnly: boolean, forEffect = false) => {
    if (!specifier.startsWith(".")) return
    found.push({ from: file, to: posix.normalize(posix.join(dirname(file), specifier)), typeOnly, forEffect })
  }
  for (const { entries, moduleRequest, start } of module.staticImports) {
    const declared = text.slice(start).startsWith("import type")
    add(
      moduleRequest.value,
      declared || (entries.length > 0 && entries.every((entry) => entry.isType)),
      /^import\s*["']/.test(text.slice(start))
    )
  }
  for (const { entries } of module.staticExports) {
    for (const { isType, moduleRequest } of entries) {
      if (moduleRequest !== null) add(moduleRequest.value, isType)
    }
  }
  for (const { moduleRequest } of module.dynamicImports) {
    add(text.slice(moduleRequest.start + 1, moduleRequest.end - 1), false)
  }
  const mutable = program.body.flatMap((statement) => {
    const declared = statement.type === "ExportNamedDeclaration" ? statement.declaration : statement
    if (declared?.type !== "VariableDeclaration" || declared.declare === true) return []
    if (declared.kind !== "let" && declared.kind !== "var") return []
    return declared.declarations.map((declarator) => text.slice(declarator.id.start, declarator.id.end))
  })
  return { file, lines: text.trimEnd().split("\n").length, imports: found, mutable }
}

const sources = globSync("**/*.ts", { cwd: src }).map((file) => file.split(sep).join("/")).toSorted().map(read)
const imports = sources.flatMap((source) => source.imports)

/** The room of a file; the root index is in none. */
const room = (file: string): string | undefined => file.includes("/") ? file.split("/")[0] : undefined

/** The first circle that a walk along the arrows meets, as the places it passes. */
const circle = (arrows: ReadonlyArray<readonly [string, string]>): ReadonlyArray<string> | undefined => {
  const next = new Map<string, Array<string>>()
  for (const [from, to] of arrows) next.set(from, [...next.get(from) ?? [], to])
  const done = new Set<string>()
  const walk = (place: string, path: ReadonlyArray<string>): ReadonlyArray<string> | undefined => {
    if (path.includes(place)) return [...path.slice(path.indexOf(place)), place]
    if (done.has(place)) return undefined
    for (const to of next.get(place) ?? []) {
      const found = walk(to, [...path, place])
      if (found !== undefined) return found
    }
    done.add(place)
    return undefined
  }
  for (const start of next.keys()) {
    const found = walk(start, [])
    if (found !== undefined) return found
  }
  return undefined
}

const between = (from: string | undefined, to: string | undefined): from is string =>
  from !== undefined && to !== undefined && from !== to

describe("the house", () => {
  it("imports files that are there", () => {
    const files = new Set(sources.map((source) => source.file))
    assert.deepStrictEqual(imports.filter(({ to }) => !files.has(to)).map(({ from, to }) => `${from} → ${to}`), [])
  })

  it("has only known rooms", () => {
    const found = new Set(sources.map(({ file }) => room(file) ?? "the root"))
    const unknown = [...found].filter((name) => name !== "the root" && !Object.hasOwn(rooms, name))
    assert.deepStrictEqual(unknown, [])
  })

  it("has only allowed arrows between rooms", () => {
    const forbidden = imports.filter(({ from, to }) => {
      const [a, b] = [room(from), room(to)]
      return between(a, b) && b !== undefined && !(rooms[a]?.includes(b) ?? false)
    })
    assert.deepStrictEqual(forbidden.map(({ from, to }) => `${from} → ${to}`), [])
  })

  it("keeps the implementations of Backend to themselves", () => {
    const leaks = imports.filter(({ from, to }) =>
      room(from) !== "Backend" && room(from) !== undefined && room(to) === "Backend" && !service.has(to)
    )
    assert.deepStrictEqual(leaks.map(({ from, to }) => `${from} → ${to}`), [])
  })

  it("declares the files that are imported for their effect, lest bundlers drop them", () => {
    const manifest = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
      readonly sideEffects: ReadonlyArray<string>
    }
    const imported = new Set(imports.filter(({ forEffect }) => forEffect).map(({ to }) => to))
    const expected = [...imported].flatMap((file) => [`./dist/${file.replace(/\.ts$/, ".js")}`, `./src/${file}`])
    assert.deepStrictEqual(manifest.sideEffects.toSorted(), expected.toSorted())
  })

  it("has no two names that differ in case alone, which are one file on a Mac", () => {
    const small = sources.map(({ file }) => file.toLowerCase())
    assert.deepStrictEqual(small.filter((name, i) => small.indexOf(name) !== i), [])
  })

  it("has no file that imports the root index", () => {
    assert.deepStrictEqual(imports.filter(({ to }) => to === "index.ts").map(({ from }) => from), [])
  })

  it("has no circle of rooms", () => {
    const arrows = imports.flatMap(({ from, to }) => {
      const [a, b] = [room(from), room(to)]
      return between(a, b) && b !== undefined ? [[a, b] as const] : []
    })
    assert.isUndefined(circle(arrows))
  })

  it("has no circle of files", () => {
    assert.isUndefined(circle(imports.filter(({ typeOnly }) => !typeOnly).map(({ from, to }) => [from, to] as const)))
  })

  it(`has no file of more than ${maxLines} lines`, () => {
    const long = sources.filter(({ lines }) => lines > maxLines)
    assert.deepStrictEqual(long.map(({ file, lines }) => `${file}: ${lines} lines`), [])
  })

  it("keeps no state in modules", () => {
    const found = sources.flatMap(({ file, mutable }) => mutable.map((name) => `${file}: ${name}`))
    assert.deepStrictEqual(found.filter((name) => !stateful.has(name)), [])
  })
})
