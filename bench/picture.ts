/**
 * The picture for the README: a row for each of the workloads that tell most, a dot for each library, placed by its time on a logarithmic axis.
 * Colours are chosen for light and for dark pages.
 */
import type { Id } from "./configurations.ts"
import type { Measured } from "./measure.ts"
import { median } from "./median.ts"
import { digits } from "./report.ts"

/** Who is shown, with colours on light and on dark pages. */
const series: ReadonlyArray<
  { readonly id: Id; readonly title: string; readonly light: string; readonly dark: string }
> = [
  { id: "tfjs", title: "TensorFlow.js", light: "#b45309", dark: "#f59e0b" },
  { id: "jax", title: "jax-js", light: "#7c3aed", dark: "#c4b5fd" },
  { id: "linum", title: "Linum", light: "#0369a1", dark: "#38bdf8" },
  { id: "linum-2", title: "Linum, 2 threads", light: "#047857", dark: "#34d399" }
]

/** Workloads that say what others of their kind say are left out. */
const leftOut: ReadonlySet<string> = new Set([
  "matmul-256",
  "matmul-1024",
  "matmul-n250",
  "matmul-nt",
  "sum-axis-0",
  "sum-axis-1"
])

/** In pixels. */
const size = { width: 860, left: 290, right: 120, top: 64, row: 28, radius: 6 }

const escape = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")

const text = (x: number, y: number, content: string, options = ""): string =>
  `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${options}>${escape(content)}</text>`

/** 10 to this power milliseconds. */
const duration = (power: number): string =>
  power < 0 ? `${10 ** (power + 3)} µs` : power < 3 ? `${10 ** power} ms` : `${10 ** (power - 3)} s`

const style = (): string => {
  const colours = (page: "light" | "dark") => series.map(({ id, [page]: colour }) => `.${id}{fill:${colour}}`).join("")
  return `<style>text{font:13px system-ui,sans-serif;fill:#1f2328}.faint{fill:#59636e}.axis{stroke:#d1d9e0}${
    colours("light")
  }` +
    `@media(prefers-color-scheme:dark){text{fill:#f0f6fc}.faint{fill:#9198a1}.axis{stroke:#3d444d}${
      colours("dark")
    }}</style>`
}

/** The picture as SVG. */
export const draw = (all: ReadonlyArray<Measured>): string => {
  const rows = all.filter(({ workload }) => !leftOut.has(workload.name)).map(({ measurements, workload }) => ({
    title: workload.title,
    times: series.flatMap(({ id }) => {
      const measurement = measurements.get(id)
      return measurement?._tag === "Measured" ? [{ id, ms: median(measurement.rounds) }] : []
    })
  })).filter(({ times }) => times.length > 0)
  const logarithms = rows.flatMap(({ times }) => times.map(({ ms }) => Math.log10(ms)))
  const [low, high] = [Math.floor(Math.min(0, ...logarithms)), Math.ceil(Math.max(1, ...logarithms))]
  const { left, radius, right, row, top, width } = size
  const bottom = top + rows.length * row
  const at = (logarithm: number): number => left + (logarithm - low) / (high - low) * (width - left - right)

  const powers = Array.from({ length: high - low + 1 }, (_, i) => low + i)
  const axis = powers.map((power) => {
    const x = at(power).toFixed(1)
    const label = text(at(power), bottom + 18, duration(power), `class="faint" text-anchor="middle"`)
    return `<line class="axis" x1="${x}" x2="${x}" y1="${top - 8}" y2="${bottom}"/>${label}`
  })
  const legend = series.map(({ id, title }, i) => {
    const x = left - 6 + i * 116
    return `<circle class="${id}" cx="${x}" cy="24" r="${radius}"/>${text(x + 12, 28, title)}`
  })
  const lines = rows.map(({ times, title }, i) => {
    const y = top + (i + 0.5) * row
    const dots = times.map(({ id, ms }) =>
      `<circle class="${id}" cx="${at(Math.log10(ms)).toFixed(1)}" cy="${y}" r="${radius}" fill-opacity="0.9">` +
      `<title>${escape(title)}, ${id}: ${digits(ms)} ms</title></circle>`
    )
    const [linum, jax] = ["linum", "jax"].map((id) => times.find((time) => time.id === id)?.ms)
    const faster = linum === undefined || jax === undefined ? "" : `${digits(jax / linum)}x`
    return text(left - 16, y + 4, title, `text-anchor="end"`) + dots.join("") +
      text(width - 16, y + 4, faster, `text-anchor="end"`)
  })
  const note = text(width - 16, top - 8, "1 thread, against jax-js", `class="faint" text-anchor="end"`)
  const label = "Milliseconds of Linum, jax-js and TensorFlow.js"
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${bottom + 32}" width="${width}" role="img" ` +
    `aria-label="${label}">\n${[style(), ...axis, ...legend, note, ...lines].join("\n")}\n</svg>\n`
}
