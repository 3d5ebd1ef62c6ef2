/**
 * `npm run bench`: Linum, jax-js and TensorFlow.js on the same work. `npm run bench -- --help` tells its options.
 *
 * From here the other files are best read in the order workloads, peers, measure.
 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Console, Data, Effect, FileSystem, Option } from "effect"
import { CliError, Command, Flag } from "effect/cli"
import manifest from "../package.json" with { type: "json" }
import { configurations } from "./configurations.ts"
import { measure, type Measured } from "./measure.ts"
import { overhead } from "./overhead.ts"
import { draw } from "./picture.ts"
import * as processes from "./processes.ts"
import { whenQuiet } from "./quiet.ts"
import * as report from "./report.ts"
import { type Workload, workloads } from "./workloads.ts"

const list = (flag: Flag.Flag<string>) => Flag.map(flag, (names) => names.split(",").map((name) => name.trim()))

const flags = {
  only: list(Flag.String("only")).pipe(
    Flag.withMetavar("a,b"),
    Flag.withDescription(
      `What to measure: ${
        [...new Set(workloads.flatMap(({ group, name }) => [group, name])), "overhead"].join(", ")
      } (default: all but overhead)`
    ),
    Flag.optional
  ),
  libraries: list(Flag.String("libraries")).pipe(
    Flag.withMetavar("a,b"),
    Flag.withDescription(`What to compare: ${configurations.map(({ id }) => id).join(", ")} (default: all)`),
    Flag.optional
  ),
  json: Flag.String("json").pipe(
    Flag.withMetavar("file"),
    Flag.withDescription("Write [{ workload, library, threads, ms, gflops, peak? }] to this file"),
    Flag.optional
  ),
  svg: Flag.String("svg").pipe(
    Flag.withMetavar("file"),
    Flag.withDescription("Write a picture of the times to this file"),
    Flag.optional
  ),
  wait: Flag.Int("wait").pipe(
    Flag.withMetavar("seconds"),
    Flag.withDescription("How long to wait for the machine to be quiet (default: 60)"),
    Flag.withDefault(60)
  ),
  backend: Flag.Literals("backend", ["wasm", "tfjs-cpu"]).pipe(
    Flag.withDescription("What Linum runs on, to try the benchmark itself (default: wasm)"),
    Flag.withDefault("wasm"),
    Flag.withHidden
  )
}

type Options = Command.Command.Config.Infer<typeof flags>

/** The options ask for what there is not. */
class OptionsError extends Data.TaggedError("OptionsError")<{ readonly message: string }> {}

/** What the names choose of all; all if there are none. */
const choose = <A>(
  option: string,
  all: ReadonlyArray<A>,
  namesOf: (a: A) => ReadonlyArray<string>,
  names: Option.Option<ReadonlyArray<string>>
) => {
  if (Option.isNone(names)) return Effect.succeed(all)
  const known = new Set(all.flatMap(namesOf))
  const unknown = names.value.find((name) => !known.has(name))
  return unknown === undefined
    ? Effect.succeed(all.filter((a) => namesOf(a).some((name) => names.value.includes(name))))
    : Effect.fail(new OptionsError({ message: `${option} knows no ${unknown}; see npm run bench -- --help` }))
}

/** Waits for the machine at the beginning, and a little before each workload; says so if it is in vain. */
const waiting = Effect.fnUntraced(function*(seconds: number) {
  const first = yield* whenQuiet(seconds * 1000)
  if (!first.quiet) {
    yield* Console.error(`The machine is busy (${(first.busy * 100).toFixed(0)} %): measuring all the same`)
  }
  return Effect.map(whenQuiet(first.quiet ? 10_000 : 0), ({ quiet }) => quiet)
})

const compare = Effect.fnUntraced(function*(chosen: ReadonlyArray<Workload>, options: Options) {
  const shown = yield* choose("--libraries", configurations, ({ id }) => [id], options.libraries)
  const all = yield* Effect.forEach(shown, (configuration) => processes.make(configuration, options.backend))
  const quiet = yield* waiting(options.wait)
  const measured: Array<Measured> = []
  for (const workload of chosen) {
    measured.push(yield* measure(workload, all, yield* quiet))
  }
  const figures = report.figuresOf(measured)
  yield* Console.log(`
Node ${process.version}, @jax-js/jax ${manifest.devDependencies["@jax-js/jax"]}, @tensorflow/tfjs-backend-wasm ${
    manifest.devDependencies["@tensorflow/tfjs-backend-wasm"]
  }
In-register peak of WebAssembly, one thread: ${report.peaks(measured)}

${report.timesTable(measured, shown)}

${report.ratiosTable(measured, figures)}

${report.summary(measured, figures)}
${report.notes(measured)}`)
  return measured
}, Effect.scoped)

const run = Effect.fnUntraced(function*(options: Options) {
  const fs = yield* FileSystem.FileSystem
  const names = Option.getOrElse(options.only, (): ReadonlyArray<string> => [])
  const withOverhead = names.includes("overhead")
  const others = withOverhead ? Option.some(names.filter((name) => name !== "overhead")) : options.only
  const chosen = yield* choose("--only", workloads, ({ group, name }) => [group, name], others)

  const rows: Array<report.JsonRow> = []
  if (withOverhead) {
    for (const { name, value } of yield* overhead) {
      rows.push({ workload: `overhead: ${name}`, library: "linum", threads: 1, ms: value / 1000, gflops: null })
    }
  }
  const measured = chosen.length > 0 ? yield* compare(chosen, options) : []
  rows.push(...report.jsonRows(measured))
  if (Option.isSome(options.json)) {
    yield* fs.writeFileString(options.json.value, `${JSON.stringify(rows, undefined, 1)}\n`)
  }
  if (Option.isSome(options.svg)) yield* fs.writeFileString(options.svg.value, draw(measured))
})

const bench = Command.make(
  "bench",
  flags,
  (options) =>
    Effect.mapError(
      run(options),
      (error) =>
        new CliError.UserError({ cause: error, userMessage: error instanceof Error ? error.message : String(error) })
    )
).pipe(
  Command.withDescription("Times Linum, jax-js and TensorFlow.js on the same work, after checking that they agree"),
  Command.withExamples([
    { command: "npm run bench", description: "Everything, in about 5 minutes" },
    { command: "npm run bench -- --only matmul,mlp", description: "Some of it" },
    { command: "npm run bench -- --only overhead", description: "What Linum costs around a Program" },
    { command: "npm run bench -- --json bench.json --svg docs/images/bench.svg", description: "The figures in files" }
  ])
)

bench.pipe(
  Command.run({ version: manifest.version }),
  Effect.provide(NodeServices.layer),
  NodeRuntime.runMain
)
