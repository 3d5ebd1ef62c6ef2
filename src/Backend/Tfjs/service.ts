/**
 * The Backend service over a device: compiles Programs to Schedules, keeps a bounded number of Executables, counts.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { Program } from "../../Program/Program.ts"
import { simplify } from "../../Program/simplify.ts"
import type { Storage } from "../../Tensor/Storage.ts"
import { Backend, type BackendError, DeviceLost, type Executable, UnsupportedOperation } from "../Backend.ts"
import { ProgramCache } from "../cache.ts"
import { checkDTypes } from "../checkDTypes.ts"
import type { Data, Device } from "./Device.ts"
import { type Counter, Executor } from "./Executor.ts"
import { schedule } from "./schedule.ts"

/** Executables kept; the one not used for the longest time goes first. */
const capacity = 256

/** The service of one device, which it closes with the Scope. */
export const make = <D extends Data>(device: Device<D>): Effect.Effect<Backend["Service"], never, Scope.Scope> =>
  Effect.gen(function*() {
    const counter: Counter & { compiled: number; runs: number; cacheHits: number } = {
      kernels: 0,
      compiled: 0,
      runs: 0,
      cacheHits: 0
    }
    const state = { closed: false }
    const executor = new Executor(device, counter)
    const cache = new ProgramCache<Executable>(capacity)
    const lost = new DeviceLost({ backend: device.name, reason: "its Scope was closed" })
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        state.closed = true
        cache.clear()
        device.close()
      })
    )

    const compileNow = (program: Program): Executable => {
      checkDTypes(device, program)
      const steps = schedule(simplify(program, { final: true }), device)
      counter.compiled++
      return {
        program,
        run: (inputs: ReadonlyArray<Storage>, donated: ReadonlyArray<boolean> = []) =>
          Effect.suspend((): Effect.Effect<ReadonlyArray<Storage>, BackendError> => {
            if (state.closed) return Effect.fail(lost)
            counter.runs++
            return executor.run(steps, inputs, donated)
          })
      }
    }

    const compile = (program: Program): Effect.Effect<Executable, UnsupportedOperation> =>
      Effect.suspend(() => {
        const known = cache.get(program)
        if (known !== undefined) {
          counter.cacheHits++
          return Effect.succeed(known)
        }
        try {
          const executable = compileNow(program)
          cache.set(program, executable)
          return Effect.succeed(executable)
        } catch (thrown) {
          return thrown instanceof UnsupportedOperation ? Effect.fail(thrown) : Effect.die(thrown)
        }
      })

    return {
      name: device.name,
      dtypes: device.dtypes,
      compile,
      download: (storage, aval) =>
        Effect.suspend(() => state.closed ? Effect.fail(lost) : device.download(storage, aval)),
      release: (storage) => {
        if (!state.closed) device.release(storage)
      },
      memory: Effect.sync(() => device.memory()),
      stats: Effect.sync(() => ({ ...counter, cached: cache.size }))
    }
  })

/** A scoped Layer of a Backend over the device that `acquire` makes. */
export const layer = <D extends Data, E, R>(
  acquire: Effect.Effect<Device<D>, E, R>
): Layer.Layer<Backend, E, Exclude<R, Scope.Scope>> => Layer.effect(Backend, Effect.flatMap(acquire, make))
