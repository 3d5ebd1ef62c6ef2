/**
 * How a run shows where it is: a bar on a terminal, a line now and then elsewhere.
 */
import { SingleBar } from "cli-progress"
import { Clock, Console, Effect } from "effect"

/** Where a run is. */
export interface Report {
  readonly step: number
  readonly loss: number
  readonly accuracy: number
}

/** What a run will do. */
export interface Plan {
  readonly firstStep: number
  readonly lastStep: number
  readonly epochs: number
  readonly batchSize: number
}

/** Shows reports. */
export interface Progress {
  readonly show: (report: Report) => Effect.Effect<void>
}

/** A display for the time of a Scope. */
export const make = Effect.fnUntraced(function*(plan: Plan) {
  const started = yield* Clock.currentTimeMillis
  const put = process.stdout.isTTY ? yield* bar(plan) : yield* lines(plan)
  const show = (report: Report) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => put(report, describe(plan, report, (now - started) / 1000)))
  return { show } satisfies Progress
})

/** A line about a report: epoch, step, loss, accuracy, images a second, time left. */
export const describe = ({ batchSize, epochs, firstStep, lastStep }: Plan, report: Report, seconds: number): string => {
  const { accuracy, loss, step } = report
  const epoch = Math.ceil(step * epochs / lastStep)
  const rate = (step - firstStep) / seconds
  return [
    `epoch ${epoch}/${epochs}`,
    `step ${String(step).padStart(String(lastStep).length)}/${lastStep}`,
    `loss ${loss.toFixed(4)}`,
    `accuracy ${(accuracy * 100).toFixed(1).padStart(5)} %`,
    `${Math.round(rate * batchSize).toLocaleString("en").padStart(6)} images/s`,
    `${clock((lastStep - step) / rate)} left`
  ].join("  ")
}

/** Seconds as minutes and seconds. */
export const clock = (seconds: number): string => {
  const whole = Math.max(0, Math.round(seconds))
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`
}

/** A bar that is redrawn in place. When the Scope closes, the cursor is back. */
const bar = ({ firstStep, lastStep }: Plan) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => {
        const display = new SingleBar({
          format: "{bar} {percentage}%  {line}",
          barCompleteChar: "█",
          barIncompleteChar: "░",
          barsize: Math.max(10, Math.min(30, process.stdout.columns - 95)),
          stream: process.stdout,
          hideCursor: true,
          // Ctrl-C belongs to the Effect runtime, which closes the Scope.
          gracefulExit: false
        })
        display.start(lastStep, firstStep, { line: "compiling" })
        return display
      }),
      (display) => Effect.sync(() => display.stop())
    ),
    (display) => ({ step }: Report, line: string) => Effect.sync(() => display.update(step, { line }))
  )

/** Twenty lines. */
const lines = ({ lastStep }: Plan) => {
  const every = Math.max(1, Math.floor(lastStep / 20))
  return Effect.sync(() => {
    let next = 0
    return ({ step }: Report, line: string) => {
      if (step < next && step !== lastStep) return Effect.void
      next = (Math.floor(step / every) + 1) * every
      return Console.log(line)
    }
  })
}
