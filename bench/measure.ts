/**
 * Measuring: all libraries prepare a workload, their results are compared, and then they are timed in turns, a round of
 * each after a round of each other, so that whatever else the machine does hits all alike. Where a part of the
 * in-register peak is the target, that takes turns too. The medians of the rounds are shown, and the median of how many
 * times faster one was than another in the same round: for seconds at a time everything may be slower.
 */
import { Console, Effect, Result } from "effect"
import { disagreeing, type Results } from "./agreement.ts"
import type { Id } from "./configurations.ts"
import { median } from "./median.ts"
import * as peak from "./peak.ts"
import type { Process } from "./processes.ts"
import type { PeerFailure } from "./protocol.ts"
import { targets } from "./targets.ts"
import type { FirstCallWorkload, RepeatedWorkload, Workload } from "./workloads.ts"

/** What came out for one library. */
export type Measurement =
  | {
    readonly _tag: "Measured"
    /** Milliseconds of a run in each round. */
    readonly rounds: ReadonlyArray<number>
    readonly mebibytes?: number
    /** The in-register peak in each round, in GFLOP/s; empty where nothing is compared with it. */
    readonly peaks: ReadonlyArray<number>
  }
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

/**
 * Milliseconds: of a round, of warming up, of all rounds of a library together; and how many rounds there are. A round is
 * several steps even of training, after half as many that do not count: then caches are cold, and threads wake up.
 */
const plan = { round: 100, warm: 400, all: 2000, most: 15, slow: 2 }

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

/** What takes turns: runs something of a process so many times, after some more, and gives the milliseconds it took. */
interface Turn {
  readonly id: Id
  readonly what: "workload" | "peak"
  readonly run: (times: number, first?: number) => Effect.Effect<number, PeerFailure>
}

/** The turns of a process: the workload, and the in-register peak if that is to be compared with it. */
const turns = (workload: RepeatedWorkload, { ask, configuration: { id } }: Process): ReadonlyArray<Turn> => {
  const repeat: Turn = {
    id,
    what: "workload",
    run: (times, first = 0) => ask((client) => client.repeat({ first, times }))
  }
  const comparable = targets[workload.name]?.peak !== undefined && (id === "linum" || id === "wide")
  const multiplyAndAdd: Turn = {
    id,
    what: "peak",
    run: (times, first = 0) => ask((client) => client.multiplyAndAdd({ first, times }))
  }
  return comparable ? [repeat, multiplyAndAdd] : [repeat]
}

/** Warms up, and finds out how many runs make a round and how many rounds there is time for. */
const rehearse = (turn: Turn) =>
  Effect.gen(function*() {
    let times = 1
    let ms = yield* turn.run(times)
    for (let spent = ms; ms < plan.round || spent < plan.warm; spent += ms) {
      if (ms < plan.round) times = Math.ceil(times * Math.min(10, 1.2 * plan.round / Math.max(ms, 0.01)))
      ms = yield* turn.run(times)
    }
    times = Math.max(1, Math.round(times * plan.round / ms))
    const rounds = Math.floor(plan.all / Math.max(plan.round, ms))
    return { ...turn, times, rounds: Math.min(plan.most, Math.max(ms > plan.all ? plan.slow : 3, rounds)) }
  })

/** Times a function or a training. */
const measureRepeated = Effect.fnUntraced(function*(workload: RepeatedWorkload, processes: ReadonlyArray<Process>) {
  const prepared = yield* askAll(processes, prepare(workload))
  const different = disagreeing(prepared.answers, workload.tolerance)
  const taking = processes.filter(({ configuration: { id } }) => prepared.answers.has(id) && !different.has(id))
  const rehearsed = yield* askAll(taking, (process) => Effect.forEach(turns(workload, process), rehearse))
  const all = [...rehearsed.answers.values()].flat()
  const found = all.map((turn) => ({ turn, ms: new Array<number>() }))
  const broken = new Map<Id, string>()
  for (let round = 0; round < plan.most; round++) {
    for (const { ms, turn } of round % 2 === 0 ? found : found.toReversed()) {
      if (round >= turn.rounds || broken.has(turn.id)) continue
      const answer = yield* Effect.result(turn.run(turn.times, Math.floor(turn.times / 2)))
      if (Result.isSuccess(answer)) ms.push(answer.success / turn.times)
      else broken.set(turn.id, answer.failure.message)
    }
  }
  const roundsOf = (id: Id, what: Turn["what"]) =>
    found.flatMap(({ ms, turn }) => turn.id === id && turn.what === what ? ms : [])
  const done = Array.from(rehearsed.answers.keys(), (id): readonly [Id, Measurement] => {
    const peaks = roundsOf(id, "peak").map((ms) => peak.flops / ms / 1e6)
    return [id, { _tag: "Measured", rounds: roundsOf(id, "workload"), peaks }]
  })
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
      rounds: all.map(({ ms }) => ms),
      mebibytes: median(all.map(({ mebibytes }) => mebibytes)),
      peaks: []
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
