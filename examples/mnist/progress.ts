/**
 * How a run shows where it is: a bar for each epoch on a terminal, a line now and then elsewhere.
 */
import { SingleBar } from "cli-progress"
import { Clock, Console, Effect } from "effect"
import { styleText } from "node:util"

/** Where a run is: how many steps it made, and their mean loss and accuracy since the epoch began. */
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
  const put = process.stdout.isTTY ? yield* bars(plan) : yield* lines(plan)
  const show = (report: Report) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => put(report, describe(plan, report, (now - started) / 1000)))
  return { show } satisfies Progress
})

/** A line about a report: epoch, step, loss, accuracy, images a second, time left. */
export const describe = (plan: Plan, { accuracy, loss, step }: Report, seconds: number): string => {
  const { batchSize, epochs, firstStep, lastStep } = plan
  const rate = (step - firstStep) / seconds
  return [
    `epoch ${epochOf(plan, step)}/${epochs}`,
    `step ${String(step).padStart(String(lastStep).length)}/${lastStep}`,
    `loss ${loss.toFixed(4)}`,
    `accuracy ${(accuracy * 100).toFixed(1).padStart(5)} %`,
    `${Math.round(rate * batchSize).toLocaleString("en").padStart(6)} images/s`,
    `${clock((lastStep - step) / rate)} left`
  ].join("  ")
}

/** The epoch, from 1, that a step is part of. */
const epochOf = ({ epochs, lastStep }: Plan, step: number): number => Math.ceil(step * epochs / lastStep)

/** Seconds as minutes and seconds. */
export const clock = (seconds: number): string => {
  const whole = Math.max(0, Math.round(seconds))
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`
}

/** A bar for each epoch, redrawn in place. When the Scope closes, the cursor is back. */
const bars = (plan: Plan) =>
  Effect.map(
    Effect.acquireRelease(Effect.sync(() => new Bars(plan)), (display) => Effect.sync(() => display.stop())),
    (display) => (report: Report, line: string) => Effect.sync(() => display.show(report, line))
  )

class Bars {
  readonly #plan: Plan
  #epoch = 0
  #bar: SingleBar | undefined

  constructor(plan: Plan) {
    this.#plan = plan
  }

  show({ step }: Report, line: string): void {
    const perEpoch = this.#plan.lastStep / this.#plan.epochs
    const epoch = epochOf(this.#plan, step)
    if (epoch !== this.#epoch) {
      this.stop()
      this.#epoch = epoch
      this.#bar = new SingleBar({
        format: `${styleText("cyan", "{bar}")}  {line}`,
        barCompleteChar: "━",
        barIncompleteChar: "─",
        barsize: Math.max(8, Math.min(30, process.stdout.columns - 85)),
        stream: process.stdout,
        hideCursor: true,
        // Ctrl-C belongs to the Effect runtime, which closes the Scope.
        gracefulExit: false
      })
      this.#bar.start(perEpoch, 0, { line })
    }
    this.#bar?.update(step - (epoch - 1) * perEpoch, { line })
  }

  stop(): void {
    this.#bar?.stop()
  }
}

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
