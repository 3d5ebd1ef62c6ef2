/**
 * How threads meet: words at the start of memory, and the *barrier*, a function of every module. The last thread to
 * arrive begins a new round; the others wait for that, spinning at first, then asleep, if they may sleep (the main
 * thread of a page may not).
 */
import { type Callable, Code, type Module } from "../assembler/index.ts"

/** Addresses of words. Those that different threads write often are on cache lines of their own. */
export const words = {
  /** The number of the module that is to be run. */
  module: 4,
  /** The frame of thread 0; the next thread's is `stride` bytes further. */
  frame: 8,
  stride: 12,
  /** How many threads take part in a run. */
  threads: 16,
  /** How many messages were sent to every worker. */
  sent: 20,
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
  /** How often a thread looks before it sleeps at the barrier, between the two of `spins`. */
  spins: 200
} as const

/** The most workers that there may be. */
export const mostWorkers = 64

/** Why a thread failed: at most so many characters, a byte each, the rest 0. */
export const reason = { address: 256, bytes: 128 } as const

/** What belongs to one thread, on a cache line of its own: thread t's is at `address + bytes * t`. */
export const lines = {
  address: reason.address + reason.bytes,
  bytes: 64,
  /** Counts commands to the worker, which sleeps on it. */
  command: 0,
  /** How many messages it has read. */
  read: 4,
  /** Is it looking out for commands? Else it has to be woken. */
  awake: 8,
  /** How many units of its share have been taken: of the kernels of even turns, and of odd ones. */
  taken: [12, 16]
} as const

/** Bytes at the start of memory that are not given to blocks. */
export const controlBytes = lines.address + lines.bytes * mostWorkers

/**
 * How often a thread looks before it sleeps at the barrier: from some 10 microseconds to 5 milliseconds. A run begins with
 * half of the time that it is expected to take: to wake a thread takes long, above all on a virtual machine, where threads
 * that wake each other have one processor together until the system, which looks every few milliseconds, finds that both
 * have something to do. The number halves when looking was in vain, because then the others may be waiting for this
 * thread's processor, and grows when it was not.
 */
export const spins = { least: 10_000, most: 5_000_000 } as const

/** How often a run looks first, which is expected to take so many nanoseconds on one thread. */
export const firstSpins = (nanoseconds: number): number =>
  Math.max(100_000, Math.min(spins.most, Math.round(nanoseconds / 2)))

/** For how long a worker looks out for the next command, in milliseconds: steps of one training come closer together. */
export const lookout = 1

/** Adds the barrier to a module: `(threads, maySleep)`. It does not return when a thread failed, but traps. */
export const barrier = (module: Module): Callable => {
  const c = new Code([["threads", "i32"], ["maySleep", "i32"]])
  const [threads, maySleep] = c.params
  const round = c.local("i32", "round")
  const left = c.local("i32", "left")
  const most = c.local("i32", "most")
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
    const remember = () => zero().get(most).store("i32.atomic.store", words.spins)
    zero().load("i32.atomic.load", words.spins).tee(most).set(left)
    c.block((vain) => {
      c.loop((again) => {
        zero().load("i32.atomic.load", words.round).get(round).op("i32.eq").if(() => {
          c.get(left).get(maySleep).op("i32.sub").tee(left).brIf(again).br(vain)
        })
      })
      c.get(most).get(most).i32(1).op("i32.shr_u").op("i32.add").set(most)
      c.get(most).i32(spins.most).op("i32.le_u").if(remember)
      c.br(met)
    })
    c.get(most).i32(1).op("i32.shr_u").tee(most).i32(spins.least).op("i32.ge_u").if(remember)
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
