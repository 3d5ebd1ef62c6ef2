/**
 * A library, as the benchmark sees it. What a library needs for that is in one file each; all read the same list of
 * workloads, and the mapped types there make a missing one a compile error.
 */
import type { Effect, Scope } from "effect"
import type { Data } from "../data.ts"
import type { RepeatedWorkload } from "../workloads.ts"

/** Something that was computed, with a name for when it is wrong. */
export interface Output extends Data {
  readonly name: string
}

/** A workload whose inputs are where the library wants them, and whose functions are compiled by the first run. */
export interface Prepared {
  /**
   * Results: of a function, what it gives; of a training, the losses of the first steps and the parameters after them.
   * Runs once, before `repeat`.
   */
  readonly outputs: Effect.Effect<ReadonlyArray<Output>, unknown>
  /** Runs it a number of times; ends when the last result is there. */
  readonly repeat: (times: number) => Effect.Effect<void, unknown>
}

/** A library. */
export interface Peer {
  readonly prepare: (workload: RepeatedWorkload) => Effect.Effect<Prepared, unknown, Scope.Scope>
}
