/**
 * How threads meet: words at the start of memory, and the *barrier*, a function of every module. The last thread to
 * arrive begins a new round; the others wait for that, spinning at first, then asleep, if they may sleep (the main
 * thread of a page may not).
 */
import { type Callable, Code, type Module } from "../assembler/index.ts"

/** Addresses of words. Those that different threads write often are on cache lines of their own. */
export const words = {
  /** Counts commands to the workers, twice each: it is odd while one is being written. They sleep on it. */
  command: 0,
  /** The number of the module that is to be run; 0: none. */
  module: 4,
  /** The frame of thread 0; the next thread's is `stride` bytes further. */
  frame: 8,
  stride: 12,
  /** How many threads take part in a run. */
  threads: 16,
  /** The first worker that takes part: 1 if the calling thread is thread 0, 0 if workers do all. */
  first: 20,
  /** How many messages were sent to every worker. */
  sent: 24,
  /** How many threads have arrived at the barrier. */
  arrived: 64,
  /** Counts rounds of the barrier: threads sleep on it. */
  round: 128,
  /** How many threads sleep at the barrier. */
  sleepers: 192,
  /**
   * Whether a thread did not come to the end of its run; then no thread goes on. 0: none; 1: one, which is writing why; 2:
   * it has.
   */
  failed: 196,
  /** One word for every worker: how many messages it has read. */
  read: 256
} as const

/** The most workers that there may be. */
export const mostWorkers = 64

/** Why a thread failed: at most so many characters, a byte each, the rest 0. */
export const reason = { address: 256 + 4 * mostWorkers, bytes: 128 } as const

/** Bytes at the start of memory that are not given to blocks. */
export const controlBytes = reason.address + reason.bytes

/** How often a thread looks before it sleeps: some tens of microseconds. */
export const spins = 20000

/** Adds the barrier to a module: `(threads, maySleep)`. It does not return when a thread failed, but traps. */
export const barrier = (module: Module): Callable => {
  const c = new Code([["threads", "i32"], ["maySleep", "i32"]])
  const [threads, maySleep] = c.params
  const round = c.local("i32", "round")
  const left = c.local("i32", "left")
  const zero = () => c.i32(0)
  const stopIfFailed = () => zero().load("i32.atomic.load", words.failed).if(() => c.op("unreachable"))
  // Who fails says so first, and then begins a new round: it is seen here, or the round is over.
  zero().load("i32.atomic.load", words.round).set(round)
  stopIfFailed()
  c.block((met) => {
    zero().i32(1).load("i32.atomic.rmw.add", words.arrived).i32(1).op("i32.add").get(threads).op("i32.eq").if(() => {
      zero().i32(0).store("i32.atomic.store", words.arrived)
      zero().i32(1).load("i32.atomic.rmw.add", words.round).op("drop")
      zero().load("i32.atomic.load", words.sleepers).if(() => {
        zero().get(threads).load("memory.atomic.notify", words.round).op("drop")
      })
      c.br(met)
    })
    const leaveIfMet = () => zero().load("i32.atomic.load", words.round).get(round).op("i32.ne").brIf(met)
    c.i32(spins).set(left)
    c.loop((again) => {
      leaveIfMet()
      c.get(left).get(maySleep).op("i32.sub").tee(left).brIf(again)
    })
    // It may sleep. Whoever begins the new round sees it counted, or it sees that the round is over and stays awake.
    zero().i32(1).load("i32.atomic.rmw.add", words.sleepers).op("drop")
    c.loop((again) => {
      zero().get(round).i64(-1n).load("memory.atomic.wait32", words.round).op("drop")
      zero().load("i32.atomic.load", words.round).get(round).op("i32.eq").brIf(again)
    })
    zero().i32(1).load("i32.atomic.rmw.sub", words.sleepers).op("drop")
  })
  stopIfFailed()
  return module.add("barrier", c)
}
