/** What is compared: libraries, with their threads. Each runs in a process of its own. */

/** The name of a configuration. */
export type Id = "linum" | "linum-2" | "wide" | "jax" | "tfjs"

/** A library as its users run it. */
export interface Configuration {
  readonly id: Id
  /** As JSON names it. */
  readonly library: "linum" | "linum-wide" | "jax-js" | "tfjs-wasm"
  /** As tables name it. */
  readonly title: string
  readonly threads: number
  /** Options of Node. */
  readonly flags: ReadonlyArray<string>
}

const configuration = (
  id: Id,
  library: Configuration["library"],
  title: string,
  threads = 1,
  flags: ReadonlyArray<string> = []
): Configuration => ({ id, library, title, threads, flags })

/** In the order of tables. */
export const configurations: ReadonlyArray<Configuration> = [
  configuration("linum", "linum", "Linum, 1 thread"),
  configuration("linum-2", "linum", "Linum, 2 threads", 2),
  // V8 joins pairs of 128-bit operations.
  configuration("wide", "linum-wide", "Linum, wide", 1, ["--experimental-wasm-revectorize"]),
  configuration("jax", "jax-js", "jax-js"),
  configuration("tfjs", "tfjs-wasm", "TensorFlow.js")
]
