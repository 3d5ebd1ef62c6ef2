// Every example in the documentation is a test. This script writes each one to a module under .examples/, where the
// compiler checks it and vitest's project "docs" runs it.
//
// What is an example: a fenced block that opens with ```ts, in docs/**/*.md, README.md, and in doc comments (/** … */)
// of src/**/*.ts. After `ts` may follow `import.meta.vitest`, which says nothing new, and `no-run`: checked, but not
// run. Each block is a module of its own, with its own imports; it imports the library as readers do, from "linum" and
// "linum/…". Its lines keep the numbers that they have in the document, so that messages point there. Blocks that are
// marked `cell` are the cells of a notebook: those of one document are one module, in their order.
//
// What an example asserts: a comment `// => text` after a statement, on its last line or alone on the next. Lines of
// comments that follow, `// more text`, belong to the text. It may follow an expression or the `const` of one name, at
// any depth. The statement must print `text` with console.log while it runs, or, when it prints nothing, have a value
// that console.log would print so. An expectation that is never reached fails too. test/support/example.ts does the
// comparing.
import { globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join, relative, sep } from "node:path"
import { fileURLToPath } from "node:url"
import { type Comment, parseSync, type Program, Visitor } from "oxc-parser"

const root = fileURLToPath(new URL("..", import.meta.url))
const output = join(root, ".examples")
const harness = join(root, "test", "support", "example.ts")

interface Example {
  /** The document, relative to the root. */
  readonly document: string
  /** The line of the document where the code begins. */
  readonly line: number
  readonly code: string
  readonly runs: boolean
  /** Is it a cell of the document's notebook? */
  readonly cell: boolean
}

class ExampleError extends Error {
  constructor(document: string, line: number, message: string) {
    super(`${document}:${line}: ${message}`)
  }
}

// --- finding examples ---

const opening = /^\s*```ts(?<flags>[ \t].*)?$/
const closing = /^\s*```\s*$/
const knownFlags = new Set(["import.meta.vitest", "no-run", "cell"])

/** The examples in lines of Markdown, the first of which is line `first` of the document. */
const examplesIn = (document: string, lines: ReadonlyArray<string>, first: number): Array<Example> => {
  const examples: Array<Example> = []
  for (let i = 0; i < lines.length; i++) {
    const match = opening.exec(lines[i])
    if (match === null) continue
    const flags = (match.groups?.["flags"] ?? "").split(/\s+/).filter((flag) => flag !== "")
    const unknown = flags.find((flag) => !knownFlags.has(flag))
    if (unknown !== undefined) throw new ExampleError(document, first + i, `unknown mark of an example: ${unknown}`)
    const length = lines.slice(i + 1).findIndex((line) => closing.test(line))
    if (length === -1) throw new ExampleError(document, first + i, "an example without an end")
    const code = lines.slice(i + 1, i + 1 + length).join("\n")
    const [runs, cell] = [!flags.includes("no-run"), flags.includes("cell")]
    if (cell && !runs) throw new ExampleError(document, first + i, "a cell runs with the others")
    examples.push({ document, line: first + i + 1, code, runs, cell })
    i += length + 1
  }
  return examples
}

const lineAt = (text: string, offset: number): number => text.slice(0, offset).split("\n").length

/** The lines inside a doc comment, without the stars ahead of them. */
const docLines = (comment: Comment): Array<string> =>
  comment.value.slice(1).split("\n").map((line) => line.replace(/^\s*\* ?/, ""))

const examplesOf = (document: string): Array<Example> => {
  const text = readFileSync(join(root, document), "utf8")
  if (document.endsWith(".md")) return examplesIn(document, text.split("\n"), 1)
  return parseSync(document, text).comments
    .filter((comment) => comment.type === "Block" && comment.value.startsWith("*"))
    .flatMap((comment) => examplesIn(document, docLines(comment), lineAt(text, comment.start)))
}

/** The cells of a document as one example, each on its own lines. */
const notebookOf = (cells: ReadonlyArray<Example>): ReadonlyArray<Example> => {
  if (cells.length === 0) return []
  const [first] = cells
  const code = cells.reduce((text, cell) => {
    const above = text === "" ? 0 : text.split("\n").length
    return `${text}${"\n".repeat(cell.line - first.line - above + (above === 0 ? 0 : 1))}${cell.code}`
  }, "")
  return [{ ...first, code }]
}

// --- turning expectations into calls ---

interface Expectation {
  readonly line: number
  readonly text: string
  /** Where the first comment of it begins. */
  readonly start: number
}

/** The expectations in the comments of a block, each with the lines that continue it. */
const expectationsIn = (code: string, comments: ReadonlyArray<Comment>, first: number): Array<Expectation> => {
  const found: Array<Expectation> = []
  const texts: Array<Array<string>> = []
  let open = -1 // the line whose comment the next line may continue
  for (const comment of comments) {
    if (comment.type !== "Line") continue
    const line = lineAt(code, comment.start)
    const match = /^ =>(?: |$)(.*)$/.exec(comment.value)
    if (match !== null) {
      found.push({ line: first + line - 1, text: "", start: comment.start })
      texts.push([match[1]])
      open = line
    } else {
      const alone = code.slice(0, comment.start).split("\n").at(-1)?.trim() === ""
      if (!alone || line !== open + 1 || texts.length === 0) continue
      texts[texts.length - 1].push(comment.value.replace(/^ /, ""))
      open = line
    }
  }
  return found.map((expectation, i) => ({ ...expectation, text: texts[i].join("\n").replace(/^\n/, "") }))
}

/** Offsets in a block: of a statement (without its semicolon), and of the expression or name whose value it shows. */
interface Showing {
  readonly start: number
  readonly end: number
  readonly name: string | undefined
}

/** The statements of a block, at any depth, that can show something: expressions, and the `const` of one name. */
const showingStatements = (program: Program): Array<Showing> => {
  const found: Array<Showing> = []
  new Visitor({
    ExpressionStatement: ({ expression: { end, start } }) => {
      found.push({ start, end, name: undefined })
    },
    VariableDeclaration: ({ declarations: [{ end, id, init }, another], kind, start }) => {
      if (kind !== "const" || another !== undefined || init === null || id.type !== "Identifier") return
      found.push({ start, end, name: id.name })
    }
  }).visit(program)
  return found
}

/** The module of an example: its code with a call of the harness around each statement that has an expectation. */
const moduleOf = ({ code, document, line }: Example): { readonly text: string; readonly lines: Array<number> } => {
  const { comments, errors, program } = parseSync("example.ts", code)
  if (errors.length > 0) throw new ExampleError(document, line, errors[0].message)
  const statements = showingStatements(program)
  const expectations = expectationsIn(code, comments, line)

  const edits: Array<{ readonly at: number; readonly insert: string }> = []
  for (const expectation of expectations) {
    // The outermost statement with nothing but white space between its end and the comment.
    const shown = statements
      .filter(({ end }) => end <= expectation.start && /^[\s;]*$/.test(code.slice(end, expectation.start)))
      .toSorted((a, b) => a.start - b.start)[0]
    if (shown === undefined) {
      throw new ExampleError(document, expectation.line, "`// =>` must follow an expression or the `const` of one name")
    }
    const { end, name, start } = shown
    const call = `__example.shows(${expectation.line}, ${JSON.stringify(expectation.text)}, `
    if (name === undefined) {
      edits.push({ at: start, insert: `${call}__example.printed(), ` }, { at: end, insert: ")" })
    } else {
      const before = `__before${expectation.line}`
      edits.push(
        { at: start, insert: `const ${before} = __example.printed(); ` },
        { at: end, insert: `; ${call}${before}, ${name});` }
      )
    }
  }
  const text = edits.toSorted((a, b) => b.at - a.at).reduce(
    (text, { at, insert }) => text.slice(0, at) + insert + text.slice(at),
    code
  )
  return { text, lines: expectations.map((expectation) => expectation.line) }
}

// --- writing modules ---

const posix = (path: string): string => path.split(sep).join("/")

const write = (path: string, text: string): void => {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
}

/** The harness as a module in `folder` imports it. */
const harnessFrom = (folder: string): string => JSON.stringify(posix(relative(folder, harness)))

/** Writes the examples of one document, and the test file that runs them. Answers how many there are. */
const extract = (document: string): number => {
  const examples = examplesOf(document)
  const folder = join(output, document)
  const tests: Array<string> = []
  const cells = examples.filter((example) => example.cell)
  for (const example of [...examples.filter((example) => !example.cell), ...notebookOf(cells)]) {
    const { lines, text } = moduleOf(example)
    const head = `import * as __example from ${harnessFrom(folder)}; void __example;`
    const padding = "\n".repeat(Math.max(example.line - 2, 0))
    write(join(folder, `${example.line}.ts`), `${head}${padding}\n${text}\n`)
    if (!example.runs) continue
    const load = `() => import("./${document.split("/").at(-1)}/${example.line}.ts")`
    tests.push(`it(${JSON.stringify(`${document}:${example.line}`)}, () => run(${load}, ${JSON.stringify(lines)}))`)
  }
  if (tests.length > 0) {
    const head = [`import { it } from "vitest"`, `import { run } from ${harnessFrom(dirname(folder))}`]
    write(`${folder}.test.ts`, [...head, "", ...tests, ""].join("\n"))
  }
  return examples.length
}

const documents = globSync(["README.md", "docs/**/*.md", "src/**/*.ts"], { cwd: root }).map(posix).toSorted()
rmSync(output, { recursive: true, force: true })
const counts = documents.map(extract)
console.log(`${counts.reduce((a, b) => a + b, 0)} examples in ${counts.filter((n) => n > 0).length} documents`)
