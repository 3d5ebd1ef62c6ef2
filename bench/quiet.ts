/** Is anything else running? Times that are taken while other programs run say nothing. */
import { Effect } from "effect"
import { cpus } from "node:os"

/** A machine is quiet when all its processors together are busy for less than this part of the time. */
const quietBelow = 0.1

/** Processor time so far, in milliseconds, of all processors: all of it, and what was idle. */
const processorTime = () => {
  const times = cpus().map((cpu) => cpu.times)
  const idle = times.reduce((sum, t) => sum + t.idle, 0)
  return { idle, all: times.reduce((sum, t) => sum + t.idle + t.user + t.nice + t.sys + t.irq, 0) }
}

/** How busy the processors are while this process sleeps: 0 to 1. */
const busyness = Effect.gen(function*() {
  const before = processorTime()
  yield* Effect.sleep("300 millis")
  const after = processorTime()
  return 1 - (after.idle - before.idle) / Math.max(1, after.all - before.all)
})

/** How much of a short spin this process had to wait for its processor, as it does on a machine that is shared: 0 to 1. */
const stolen = Effect.sync(() => {
  const cpu = process.cpuUsage()
  const start = performance.now()
  while (performance.now() - start < 30);
  const { system, user } = process.cpuUsage(cpu)
  return Math.max(0, 1 - (user + system) / 1000 / (performance.now() - start))
})

/** Waits until the machine is quiet, at most so many milliseconds; how busy it is then. */
export const whenQuiet = (patience: number) =>
  Effect.gen(function*() {
    const deadline = performance.now() + patience
    while (true) {
      const busy = Math.max(yield* busyness, yield* stolen)
      if (busy < quietBelow || performance.now() >= deadline) return { busy, quiet: busy < quietBelow }
      yield* Effect.sleep("1 second")
    }
  })
