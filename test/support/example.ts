// How an example of the documentation is judged. scripts/extract-examples.ts turns the comment after a statement,
//
//     x.add(1) // => Tensor float32[2]
//
// into a call of `shows` here. What a statement shows is what it prints with console.log while it runs, or, when it
// prints nothing, its value as console.log would print it. Expected and shown text are compared line by line; single
// and double quotes count as equal, since people write strings with either.
import { inspect } from "node:util"

/** A run of one example: what it printed so far, and which expectations were met, missed, or not reached. */
interface Run {
  readonly printed: Array<string>
  readonly reached: Set<number>
  readonly missed: Array<string>
}

const fresh = (): Run => ({ printed: [], reached: new Set(), missed: [] })

// Examples of one file run one after the other, each to its end.
const current: { run: Run } = { run: fresh() }

const print = (...values: ReadonlyArray<unknown>): string =>
  values.map((value) => typeof value === "string" ? value : inspect(value)).join(" ")

const comparable = (text: string): string =>
  text.replaceAll("'", "\"").split("\n").map((line) => line.trimEnd()).join("\n").trim()

/** How many things the example has printed: where the output of the statement about to run begins. */
export const printed = (): number => current.run.printed.length

/** Notes whether a statement showed what the comment at `line` says. `before` is what `printed` was ahead of it. */
export const shows = (line: number, expected: string, before: number, value: unknown): void => {
  const { missed, printed, reached } = current.run
  reached.add(line)
  const output = printed.slice(before)
  const text = output.length > 0 ? output.join("\n") : print(value)
  const alternative = output.length === 0 && typeof value === "string" ? inspect(value) : text
  if (comparable(text) !== comparable(expected) && comparable(alternative) !== comparable(expected)) {
    missed.push(`line ${line}\n  expected: ${expected}\n  shown:    ${text}`)
  }
}

/** Loads the module of one example and fails with every expectation that was missed, or never reached. */
export const run = async (load: () => Promise<unknown>, expectations: ReadonlyArray<number>): Promise<void> => {
  const mine = fresh()
  const log = console.log
  current.run = mine
  console.log = (...values) => void mine.printed.push(print(...values))
  try {
    await load()
  } finally {
    console.log = log
  }
  const unreached = expectations.filter((line) => !mine.reached.has(line)).map((line) =>
    `line ${line} was never reached`
  )
  const complaints = [...mine.missed, ...unreached]
  if (complaints.length > 0) throw new Error(`the example does not show what it says\n${complaints.join("\n")}`)
}
