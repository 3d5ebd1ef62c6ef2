/** What the benchmark says to the processes that run libraries. Each has one workload prepared at a time. */
import { Schema } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"

/** The library cannot do it. */
export class PeerFailure extends Schema.TaggedError<PeerFailure>()("PeerFailure", { reason: Schema.String }) {
  override get message(): string {
    return this.reason
  }
}

/** float32 elements as bytes. */
const Output = Schema.Struct({ name: Schema.String, bytes: Schema.Uint8Array })

/** So many runs first, which are not timed, and then so many. */
const runs = { first: Schema.Int, times: Schema.Int }

export class Commands extends RpcGroup.make(
  /** Prepares a workload instead of the one before, runs it, and gives what came out. */
  Rpc.make("prepare", { payload: { workload: Schema.String }, success: Schema.Array(Output), error: PeerFailure }),
  /** Runs it some more times: milliseconds for all. */
  Rpc.make("repeat", { payload: runs, success: Schema.Finite, error: PeerFailure }),
  /**
   * Prepares a training in a process that did nothing before: milliseconds of the first step, and how much memory the
   * process took for that and for some steps more, in MiB.
   */
  Rpc.make("firstCall", {
    payload: { workload: Schema.String },
    success: Schema.Struct({ ms: Schema.Finite, mebibytes: Schema.Finite }),
    error: PeerFailure
  }),
  /** Makes some calls of the fastest loop of multiplications and additions in registers: milliseconds for all. */
  Rpc.make("multiplyAndAdd", { payload: runs, success: Schema.Finite })
) {}
