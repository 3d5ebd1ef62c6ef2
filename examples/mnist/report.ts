/**
 * What a model got right, as numbers and as a table.
 */
import { styleText } from "node:util"
import type { Digits } from "./data.ts"
import { classes } from "./model.ts"

/** The part of the answers that is right. */
export const accuracy = (digits: Digits, answers: ReadonlyArray<number>): number =>
  answers.filter((answer, i) => answer === digits.labels[i]).length / answers.length

/** How often each digit (row) was taken for each digit (column). */
export const confusion = (digits: Digits, answers: ReadonlyArray<number>): ReadonlyArray<ReadonlyArray<number>> => {
  const table = Array.from({ length: classes }, () => Array.from({ length: classes }, () => 0))
  for (const [i, answer] of answers.entries()) table[digits.labels[i]][answer]++
  return table
}

const width = 6

/** The table of confusions as text, with the part of each digit that was recognised. */
export const formatConfusion = (table: ReadonlyArray<ReadonlyArray<number>>): string => {
  const row = (head: string, cells: ReadonlyArray<string>, last: string) => head.padStart(7) + cells.join("") + last
  const header = row("truth", table.map((_, digit) => String(digit).padStart(width)), "   recognised")
  const rows = table.map((counts, truth) => {
    const total = counts.reduce((a, b) => a + b, 0)
    const cells = counts.map((count, answer) => formatCount(count, truth === answer))
    const part = total === 0 ? "" : `${(100 * counts[truth] / total).toFixed(1)} %`
    return row(String(truth), cells, part.padStart(13))
  })
  return [styleText("dim", header), ...rows].join("\n")
}

const formatCount = (count: number, right: boolean): string => {
  const text = (count === 0 ? "·" : String(count)).padStart(width)
  return styleText(right ? "green" : count === 0 ? "dim" : "red", text)
}
