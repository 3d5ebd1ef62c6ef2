/** The processes that run libraries: one for each configuration, started when it is needed, and again after a crash. */
import { NodeWorker } from "@effect/platform-node"
import { Effect, Layer, ScopedRef } from "effect"
import { RpcClient } from "effect/rpc"
import { fork } from "node:child_process"
import { fileURLToPath } from "node:url"
import type { Configuration } from "./configurations.ts"
import { Commands, PeerFailure } from "./protocol.ts"

const runner = fileURLToPath(new URL("runner.ts", import.meta.url))

/** Starts a process; it ends with the Scope. */
const start = (configuration: Configuration, backend: string) =>
  Effect.gen(function*() {
    const spawn = () =>
      fork(runner, [configuration.id, backend], {
        execArgv: ["--conditions=linum-source", "--disable-warning=ExperimentalWarning", ...configuration.flags],
        stdio: ["ignore", "ignore", "inherit", "ipc"]
      })
    const services = yield* Layer.build(
      RpcClient.layerProtocolWorker({ size: 1 }).pipe(Layer.provide(NodeWorker.layer(spawn)))
    )
    return yield* RpcClient.make(Commands).pipe(Effect.provide(services))
  })

type Client = Effect.Success<ReturnType<typeof start>>

/** How long a command may take. */
const patience = "2 minutes"

/** A configuration that can be told what to do. */
export interface Process {
  readonly configuration: Configuration
  /** A process that crashes or does not answer fails, and is replaced. */
  readonly ask: <A, E extends { readonly message: string }>(
    question: (client: Client) => Effect.Effect<A, E>
  ) => Effect.Effect<A, PeerFailure>
  /** The same, asked of a new process, which ends then. */
  readonly askNew: Process["ask"]
}

const asFailure = (error: { readonly message: string }): PeerFailure =>
  error instanceof PeerFailure ? error : new PeerFailure({ reason: error.message })

const within = <A, E extends { readonly message: string }>(answer: Effect.Effect<A, E>) =>
  Effect.timeoutOrElse(Effect.mapError(answer, asFailure), {
    duration: patience,
    orElse: () => Effect.fail(new PeerFailure({ reason: `no answer in ${patience}` }))
  })

/** Starts nothing yet. */
export const make = Effect.fnUntraced(function*(configuration: Configuration, backend: string) {
  const started = start(configuration, backend)
  const client = yield* ScopedRef.make<Client | undefined>(() => undefined)
  const process: Process = {
    configuration,
    ask: (question) =>
      Effect.gen(function*() {
        if ((yield* ScopedRef.get(client)) === undefined) {
          yield* ScopedRef.set(client, Effect.map(started, (c): Client | undefined => c))
        }
        const now = yield* ScopedRef.get(client)
        if (now === undefined) return yield* new PeerFailure({ reason: "the process did not start" })
        return yield* within(question(now))
      }).pipe(
        Effect.mapError(asFailure),
        Effect.tapError(() => ScopedRef.set(client, Effect.succeed(undefined)))
      ),
    askNew: (question) =>
      Effect.scoped(Effect.flatMap(started, (now) => within(question(now)))).pipe(Effect.mapError(asFailure))
  }
  return process
})
