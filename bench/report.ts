/** Figures as tables, and the statistics that are quoted. */

/** One measured figure. */
export interface Row {
  readonly name: string
  readonly value: number
  readonly unit: string
  /** What it must stay below, if anything. */
  readonly target?: number | undefined
}

/** The middle value. */
export const median = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** A table with aligned columns. */
export const format = (title: string, rows: ReadonlyArray<Row>): string => {
  const width = Math.max(...rows.map((r) => r.name.length))
  const lines = rows.map((r) => {
    const value = `${r.value.toFixed(1).padStart(9)} ${r.unit}`
    return `  ${r.name.padEnd(width)}${value}${r.target === undefined ? "" : `   (target: at most ${r.target})`}`
  })
  return [title, ...lines].join("\n")
}
