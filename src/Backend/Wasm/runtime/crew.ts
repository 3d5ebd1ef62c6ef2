/**
 * Who executes main functions. The crew of one is the thread that calls; `Workers.ts` has crews with workers.
 */
import type { Loaded } from "./Engine.ts"

/** The frames of all threads: that of thread t is at `address + t * stride`. */
export interface Frames {
  readonly address: number
  readonly stride: number
}

/** What a run ended with that did not come to its end. */
export interface Failure {
  readonly reason: string
}

/** Threads that run main functions together. */
export interface Crew {
  /** How many threads have frames. */
  readonly threads: number
  /** Can it run something while the calling thread does other things? */
  readonly background: boolean
  /** Runs a module now; the calling thread is thread 0. */
  readonly run: (program: Loaded, frames: Frames) => void
  /** Runs a module on workers alone, and calls back on the calling thread. */
  readonly start: (program: Loaded, frames: Frames, done: (failure?: Failure) => void) => void
  /** A module is not run any more. */
  readonly forget: (module: number) => void
  readonly close: () => void
}

/** The calling thread alone. */
export const noCrew: Crew = {
  threads: 1,
  background: false,
  run: (program, frames) => program.main(frames.address, 0, 1, 1),
  start: (program, frames, done) => {
    program.main(frames.address, 0, 1, 1)
    done()
  },
  forget: () => {},
  close: () => {}
}
