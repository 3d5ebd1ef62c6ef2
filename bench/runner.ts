/** A process that runs one library: `node bench/runner.ts ID BACKEND`, started by the benchmark. */
import { NodeRuntime, NodeWorkerRunner } from "@effect/platform-node"
import { Cause, Effect, Layer, ScopedRef } from "effect"
import { RpcServer } from "effect/rpc"
import type { Id } from "./configurations.ts"
import { fastestLoop } from "./peak.ts"
import type { Peer, Prepared } from "./peers/Peer.ts"
import { Commands, PeerFailure } from "./protocol.ts"
import { repeated } from "./workloads.ts"

const linum = async (threads: number): Promise<Peer> => {
  const { peer } = await import("./peers/linum.ts")
  // To try the benchmark itself.
  if (process.argv[3] === "tfjs-cpu") return peer((await import("linum/backend/tfjs-cpu")).layer)
  return peer((await import("linum/backend/wasm")).layerWith({ threads }))
}

const peers: Readonly<Record<Id, () => Promise<Peer>>> = {
  "linum": () => linum(1),
  "linum-2": () => linum(2),
  "wide": () => linum(1),
  "jax": async () => (await import("./peers/jax.ts")).peer,
  "tfjs": async () => (await import("./peers/tfjs.ts")).peer
}

/** Whatever goes wrong is the library's failure. */
const failing = <A, R>(effect: Effect.Effect<A, unknown, R>): Effect.Effect<A, PeerFailure, R> =>
  Effect.catchCause(effect, (cause) => {
    const error = Cause.squash(cause)
    return Effect.fail(new PeerFailure({ reason: error instanceof Error ? error.message : String(error) }))
  })

const timed = <E, R>(effect: Effect.Effect<void, E, R>): Effect.Effect<number, E, R> =>
  Effect.suspend(() => {
    const start = performance.now()
    return Effect.map(effect, () => performance.now() - start)
  })

/** The time of so many runs, after some that are not timed. */
const timedRuns = <E, R>(run: (times: number) => Effect.Effect<void, E, R>, first: number, times: number) =>
  Effect.andThen(run(first), timed(run(times)))

const nothing: Prepared = { outputs: Effect.succeed([]), repeat: () => Effect.void }

/** Steps for measuring memory: so many, or as many as this time allows. */
const memorySteps = { most: 20, milliseconds: 1000 }

const commands = Commands.toLayer(Effect.gen(function*() {
  const peer = yield* Effect.promise(peers[process.argv[2] as Id])
  const current = yield* ScopedRef.make(() => nothing)
  const fastest = yield* Effect.cached(Effect.sync(fastestLoop))

  const load = (name: string) =>
    Effect.suspend(() => {
      const workload = repeated(name)
      if (workload === undefined) return Effect.die(`no workload is called ${name}`)
      return ScopedRef.set(current, peer.prepare(workload))
    })

  return {
    prepare: ({ workload }) =>
      Effect.gen(function*() {
        yield* ScopedRef.set(current, Effect.succeed(nothing))
        yield* load(workload)
        const { outputs } = yield* ScopedRef.get(current)
        return (yield* outputs).map(({ name, values }) => ({
          name,
          bytes: new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
        }))
      }).pipe(failing),
    repeat: ({ first, times }) =>
      Effect.flatMap(ScopedRef.get(current), ({ repeat }) => timedRuns(repeat, first, times)).pipe(failing),
    firstCall: ({ workload }) =>
      Effect.gen(function*() {
        const before = process.memoryUsage.rss()
        yield* load(workload)
        const { repeat } = yield* ScopedRef.get(current)
        const ms = yield* timed(repeat(1))
        const once = yield* timed(repeat(1))
        yield* repeat(Math.max(1, Math.min(memorySteps.most, Math.floor(memorySteps.milliseconds / once))))
        const most = process.resourceUsage().maxRSS * 1024
        return { ms, mebibytes: (most - before) / 2 ** 20 }
      }).pipe(failing),
    multiplyAndAdd: ({ first, times }) =>
      Effect.flatMap(fastest, (run) => timedRuns((n) => Effect.sync(() => run(n)), first, times))
  }
}))

RpcServer.layer(Commands).pipe(
  Layer.provide(commands),
  Layer.provide(RpcServer.layerProtocolWorkerRunner),
  Layer.provide(NodeWorkerRunner.layer),
  Layer.launch,
  NodeRuntime.runMain
)
