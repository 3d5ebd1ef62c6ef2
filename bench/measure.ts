/**
 * Measuring: all libraries prepare a workload, their results are compared, and then they are timed in turns, a round of
 * each after a round of each other, so that whatever else the machine does hits all alike. The median of the rounds
 * counts.
 */
import { Console, Effect, Result } from "effect"
import { disagreeing, type Results } from "./agreement.ts"
import type { Id } from "./configurations.ts"
import type { Process } from "./processes.ts"
import type { PeerFailure } from "./protocol.ts"
import { median } from "./report.ts"
import type { FirstCallWorkload, RepeatedWorkload, Workload } from "./workloads.ts"

/** What came out for one library. */
export type Measurement =
  | { readonly _tag: "Measured"; readonly ms: number; readonly rounds: number; readonly mebibytes?: number }
  | { readonly _tag: "Failed"; readonly reason: string }

/** What came out for a workload. */
export interface Measured {
  readonly workload: Workload
  readonly measurements: ReadonlyMap<Id, Measurement>
  /** Was the machine quiet before? */
  readonly quiet: boolean
}

const failed = (reason: string): Measurement => ({ _tag: "Failed", reason })

const failures = (reasons: ReadonlyMap<Id, string>): ReadonlyArray<readonly [Id, Measurement]> =>
  Array.from(reasons, ([id, reason]) => [id, failed(reason)] as const)

/** Milliseconds: of a round, of warming up, of all rounds of a library together; and how many rounds there are. */
const plan = { round: 25, warm: 400, all: 1500, most: 15, slow: 2 }

/** Asks all; splits answers from failures. */
const askAll = Effect.fnUntraced(function*<A>(
  processes: ReadonlyArray<Process>,
  question: (process: Process) => Effect.Effect<A, PeerFailure>
) {
  const answers = new Map<Id, A>()
  const reasons = new Map<Id, string>()
  for (const process of processes) {
    const answer = yield* Effect.result(question(process))
    const { id } = process.configuration
    if (Result.isSuccess(answer)) answers.set(id, answer.success)
    else reasons.set(id, answer.failure.message.split("\n", 1)[0])
  }
  return { answers, reasons }
})

const prepare = (workload: RepeatedWorkload) => (process: Process) =>
  Effect.map(
    process.ask((client) => client.prepare({ workload: workload.name })),
    (outputs): Results =>
      new Map(outputs.map(({ bytes, name }) => [name, new Float32Array(Uint8Array.from(bytes).buffer)]))
  )

const repeat = (process: Process, times: number) => process.ask((client) => client.repeat({ times }))

/** Warms up, and finds out how many runs make a round and how many rounds there is time for. */
const rehearse = (process: Process) =>
  Effect.gen(function*() {
    let times = 1
    let ms = yield* repeat(process, times)
    for (let spent = ms; ms < plan.round || spent < plan.warm; spent += ms) {
      if (ms < plan.round) times = Math.ceil(times * Math.min(10, 1.2 * plan.round / Math.max(ms, 0.01)))
      ms = yield* repeat(process, times)
    }
    times = Math.max(1, Math.round(times * plan.round / ms))
    const rounds = Math.floor(plan.all / Math.max(plan.round, ms))
    return { process, times, rounds: Math.min(plan.most, Math.max(ms > plan.all ? plan.slow : 3, rounds)) }
  })

/** Times a function or a training. */
const measureRepeated = Effect.fnUntraced(function*(workload: RepeatedWorkload, processes: ReadonlyArray<Process>) {
  const prepared = yield* askAll(processes, prepare(workload))
  const different = disagreeing(prepared.answers, workload.tolerance)
  const taking = processes.filter(({ configuration: { id } }) => prepared.answers.has(id) && !different.has(id))
  const rehearsed = yield* askAll(taking, rehearse)
  const times = new Map<Id, Array<number>>()
  const broken = new Map<Id, string>()
  const all = [...rehearsed.answers]
  for (let round = 0; round < plan.most; round++) {
    const order = round % 2 === 0 ? all : all.toReversed()
    for (const [id, { process, rounds, times: runs }] of order) {
      if (round >= rounds || broken.has(id)) continue
      const ms = yield* Effect.result(repeat(process, runs))
      if (Result.isSuccess(ms)) times.set(id, [...times.get(id) ?? [], ms.success / runs])
      else broken.set(id, ms.failure.message)
    }
  }
  const done = Array.from(times, ([id, rounds]): readonly [Id, Measurement] => [
    id,
    { _tag: "Measured", ms: median(rounds), rounds: rounds.length }
  ])
  const measurements = new Map([
    ...done,
    ...failures(prepared.reasons),
    ...failures(different),
    ...failures(rehearsed.reasons),
    ...failures(broken)
  ])
  return measurements
})

/** How many new processes make a first call. */
const firstCalls = 3

const measureFirstCall = Effect.fnUntraced(function*(workload: FirstCallWorkload, processes: ReadonlyArray<Process>) {
  const found = new Map<Id, Array<{ readonly ms: number; readonly mebibytes: number }>>()
  const reasons = new Map<Id, string>()
  for (let i = 0; i < firstCalls; i++) {
    const still = processes.filter(({ configuration: { id } }) => !reasons.has(id))
    const round = yield* askAll(
      still,
      (process) => process.askNew((client) => client.firstCall({ workload: workload.of.name }))
    )
    for (const [id, reason] of round.reasons) reasons.set(id, reason)
    for (const [id, answer] of round.answers) found.set(id, [...found.get(id) ?? [], answer])
  }
  const done = Array.from(found, ([id, all]): readonly [Id, Measurement] => [
    id,
    {
      _tag: "Measured",
      ms: median(all.map(({ ms }) => ms)),
      mebibytes: median(all.map(({ mebibytes }) => mebibytes)),
      rounds: all.length
    }
  ])
  return new Map([...done, ...failures(reasons)])
})

/** Measures one workload on all configurations. */
export const measure = Effect.fnUntraced(function*(
  workload: Workload,
  processes: ReadonlyArray<Process>,
  quiet: boolean
): Effect.fn.Return<Measured> {
  yield* Console.error(`  ${workload.title}`)
  const measurements = yield* workload._tag === "FirstCall"
    ? measureFirstCall(workload, processes)
    : measureRepeated(workload, processes)
  return { workload, measurements, quiet }
})
