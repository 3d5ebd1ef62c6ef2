/** Figures as tables and as JSON. */
import { type Configuration, configurations, type Id } from "./configurations.ts"
import type { Measured, Measurement } from "./measure.ts"
import { median } from "./median.ts"
import { type Comparison, type ComparisonName, comparisons, type Figures, type Targets, targets } from "./targets.ts"

/** One figure of the benchmark `overhead`. */
export interface Row {
  readonly name: string
  readonly value: number
  readonly unit: string
  /** What it must stay below, if anything. */
  readonly target?: number | undefined
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

/** Columns as wide as their widest cell: the first to the left, others to the right. */
const aligned = (rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)))
  return rows.map((row) =>
    row.map((cell, column) => column === 0 ? cell.padEnd(widths[column]) : cell.padStart(widths[column])).join("   ")
      .trimEnd()
  ).join("\n")
}

/** Three digits that count. */
export const digits = (x: number): string => x >= 100 ? x.toFixed(0) : x.toPrecision(3)

const gflopsOf = ({ workload }: Measured, ms: number): number | undefined =>
  workload._tag === "FirstCall" || workload.flops === undefined ? undefined : workload.flops / ms / 1e6

const cell = (measured: Measured, measurement: Measurement | undefined): string => {
  if (measurement === undefined) return "–"
  if (measurement._tag === "Failed") return "failed"
  const { mebibytes, rounds } = measurement
  const ms = median(rounds)
  const gflops = gflopsOf(measured, ms)
  const more = gflops !== undefined
    ? ` [${gflops.toFixed(1)}]`
    : mebibytes !== undefined
    ? ` (${mebibytes.toFixed(0)} MiB)`
    : ""
  return digits(ms) + more
}

/** Milliseconds, with GFLOP/s in brackets; for first calls the memory that the process took. */
export const timesTable = (all: ReadonlyArray<Measured>, shown: ReadonlyArray<Configuration>): string =>
  aligned([
    ["milliseconds [GFLOP/s] (memory)", ...shown.map(({ title }) => title)],
    ...all.map((measured) => [
      measured.workload.title + (measured.quiet ? "" : " *"),
      ...shown.map(({ id }) => cell(measured, measured.measurements.get(id)))
    ])
  ])

/** Why what failed did, and what was measured while the machine did other things. */
export const notes = (all: ReadonlyArray<Measured>): string =>
  (all.every(({ quiet }) => quiet) ? [] : ["* The machine was busy with other things: only indicative."]).concat(
    failures(all)
  )
    .join("\n")

const failures = (all: ReadonlyArray<Measured>): ReadonlyArray<string> =>
  all.flatMap(({ measurements, workload }) =>
    configurations.flatMap(({ id, title }) => {
      const measurement = measurements.get(id)
      return measurement?._tag === "Failed" ? [`${title}, ${workload.title}: ${measurement.reason}`] : []
    })
  )

/** Milliseconds of a run, and GFLOP/s of the in-register peak, by rounds; none where nothing was measured. */
const roundsOf = (
  id: Id,
  { measurements }: Measured
): { readonly ms: ReadonlyArray<number>; readonly peaks: ReadonlyArray<number> } => {
  const measurement = measurements.get(id)
  return measurement?._tag === "Measured"
    ? { ms: measurement.rounds, peaks: measurement.peaks }
    : { ms: [], peaks: [] }
}

/** The in-register peak in GFLOP/s, if it was measured: the median of all rounds. */
const peakOf = (id: Id, all: ReadonlyArray<Measured>): number | undefined => {
  const peaks = all.flatMap((measured) => roundsOf(id, measured).peaks)
  return peaks.length > 0 ? median(peaks) : undefined
}

/** The in-register peak of stock Node, and of one that joins pairs of operations. */
export const peaks = (all: ReadonlyArray<Measured>): string => {
  const figures = ([["linum", "stock"], ["wide", "wide"]] as const).flatMap(([id, name]) => {
    const peak = peakOf(id, all)
    return peak === undefined ? [] : [`${peak.toFixed(1)} GFLOP/s ${name}`]
  })
  return figures.join(", ") || "not measured"
}

/** The figures that comparisons need. */
export const figuresOf = (all: ReadonlyArray<Measured>): Figures => {
  const known = new Map(all.map((measured) => [measured.workload.name, measured]))
  const by = (rounds: (id: Id, measured: Measured) => ReadonlyArray<number>) => (workload: string, id: Id) => {
    const measured = known.get(workload)
    return measured === undefined ? [] : rounds(id, measured)
  }
  return {
    ms: by((id, measured) => roundsOf(id, measured).ms),
    gflops: by((id, measured) => roundsOf(id, measured).ms.flatMap((ms) => gflopsOf(measured, ms) ?? [])),
    peak: by((id, measured) => roundsOf(id, measured).peaks)
  }
}

const names: ReadonlyArray<ComparisonName> = ["jax", "tfjs", "threads", "wide", "peak", "flat"]

const ratioCell = (ratio: number | undefined, target: number | undefined): string => {
  if (ratio === undefined) return target === undefined ? "" : `? (${target})`
  const unit = `${digits(ratio)}x`
  return target === undefined ? unit : `${unit} ${ratio >= target ? "✓" : "✗"} (${target})`
}

/** How many times faster, and the targets, reached (✓) or not (✗). */
export const ratiosTable = (all: ReadonlyArray<Measured>, figures: Figures): string => {
  const rows = all.map(({ workload: { name, title } }) => {
    const own: Targets = targets[name] ?? {}
    const cells = names.map((comparison) => {
      const { ratio }: Comparison = comparisons[comparison]
      // What part of the peak or of another product it is says something only where it is a target.
      const shown = own[comparison] !== undefined || (comparison !== "peak" && comparison !== "flat")
      return shown ? ratioCell(ratio(figures, name), own[comparison]) : ""
    })
    return [title, ...cells]
  })
  const used = names.filter((_, column) => rows.some((row) => row[column + 1] !== ""))
  const columns = [0, ...used.map((name) => names.indexOf(name) + 1)]
  const table = [["times faster (target)", ...names.map((name) => comparisons[name].title)], ...rows]
  return aligned(table.map((row) => columns.map((column) => row[column])))
}

/** How many of the targets were measured and reached. */
export const summary = (all: ReadonlyArray<Measured>, figures: Figures): string => {
  const ratios = all.flatMap(({ workload: { name } }) =>
    names.flatMap((comparison) => {
      const target = targets[name]?.[comparison]
      const { ratio }: Comparison = comparisons[comparison]
      const found = target === undefined ? undefined : ratio(figures, name)
      return target === undefined || found === undefined ? [] : [found >= target]
    })
  )
  return `${ratios.filter((reached) => reached).length} of ${ratios.length} targets reached`
}

/** One figure, as `--json` writes it. */
export interface JsonRow {
  readonly workload: string
  readonly library: string
  readonly threads: number
  readonly ms: number
  /** Null where no products are computed. */
  readonly gflops: number | null
  /** The in-register peak in GFLOP/s, where it was measured in turns with the workload. */
  readonly peak?: number
}

export const jsonRows = (all: ReadonlyArray<Measured>): ReadonlyArray<JsonRow> =>
  all.flatMap((measured) =>
    configurations.flatMap(({ id, library, threads }): ReadonlyArray<JsonRow> => {
      const measurement = measured.measurements.get(id)
      if (measurement?._tag !== "Measured") return []
      const ms = median(measurement.rounds)
      const row = { workload: measured.workload.name, library, threads, ms, gflops: gflopsOf(measured, ms) ?? null }
      const peak = peakOf(id, [measured])
      return [peak === undefined ? row : { ...row, peak }]
    })
  )
