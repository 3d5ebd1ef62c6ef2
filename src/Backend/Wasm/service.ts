/**
 * The Backend service over an engine: compiles Programs to modules, keeps a bounded number of them, runs short steps at
 * once and long ones in the background, one after the other, and says in the Backend's errors what went wrong.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { hasEffects, type Program } from "../../Program/Program.ts"
import * as DTypes from "../../Tensor/DType.ts"
import * as ShapedArray from "../../Tensor/ShapedArray.ts"
import type { DeviceStorage, Storage } from "../../Tensor/Storage.ts"
import {
  type Alias,
  Backend,
  type BackendError,
  BackendUnavailable,
  type CompileOptions,
  DeviceLost,
  type Executable,
  OutOfMemory,
  UnsupportedOperation
} from "../Backend.ts"
import { ProgramCache } from "../cache.ts"
import { checkDTypes } from "../checkDTypes.ts"
import type { Features, Plan } from "./emission.ts"
import type { Compiled } from "./ir.ts"
import { assemble, type EmitKernel } from "./runtime/assemble.ts"
import { Engine, ForeignStorage, type Loaded, Trapped } from "./runtime/Engine.ts"
import { AllocationFailed } from "./runtime/Heap.ts"
import { beyondMemory } from "./runtime/sizes.ts"

const name = "wasm"

const dtypes: ReadonlySet<DTypes.DType> = new Set(DTypes.all.filter((d) => d !== "float64"))

/** Executables kept; the one not used for the longest time goes first. */
const capacity = 256

/**
 * For so long, in milliseconds, runs may keep the event loop from going on: one that takes longer is left to workers, where
 * there are any, and after several that take as long together the event loop has a turn.
 */
const longFrom = 10

/** The stages of compiling. */
export interface Stages {
  /** Throws `UnsupportedOperation`. */
  readonly compile: (program: Program) => Compiled
  readonly plan: (compiled: Compiled, aliases: ReadonlyArray<Alias>, staying: ReadonlyArray<number>) => Plan
  readonly emitKernel: EmitKernel
  readonly features: Features
  /** As `Target` has it. */
  readonly sharedFrom?: number
}

const unavailable = new BackendUnavailable({
  backend: name,
  reason: "an array is in a buffer of another backend",
  hint: "read it with that backend and make a new array of its elements"
})

/** The memory that a Program would need if it had it all: it is not even written. */
type Ready = { readonly _tag: "Loaded"; readonly loaded: Loaded } | {
  readonly _tag: "TooLarge"
  readonly bytes: number
}

interface State {
  closed: boolean
  /** Why it was lost before that. */
  trapped?: string
  running: boolean
  /** Milliseconds that runs have taken on this thread since the event loop had a turn. */
  held: number
  compiled: number
  cacheHits: number
  runs: number
  kernels: number
}

/** The service of one engine, which it closes with the Scope. */
export const make = (engine: Engine, stages: Stages): Effect.Effect<Backend["Service"], never, Scope.Scope> =>
  Effect.gen(function*() {
    const state: State = { closed: false, running: false, held: 0, compiled: 0, cacheHits: 0, runs: 0, kernels: 0 }
    const waiting: Array<() => void> = []
    const cache = new ProgramCache<Map<string, Executable>>(capacity)
    const lost = (): DeviceLost => new DeviceLost({ backend: name, reason: state.trapped ?? "its Scope was closed" })
    const close = (): void => {
      state.closed = true
      cache.clear()
      engine.close()
      for (const resume of waiting.splice(0)) resume()
    }
    yield* Effect.addFinalizer(() => Effect.sync(close))

    const toError = (thrown: unknown): Effect.Effect<never, BackendError> => {
      if (thrown instanceof AllocationFailed) {
        return Effect.fail(
          new OutOfMemory({ backend: name, bytes: thrown.bytes, liveBytes: engine.residents.liveBytes })
        )
      }
      if (thrown instanceof ForeignStorage) return Effect.fail(unavailable)
      if (!(thrown instanceof Trapped)) return Effect.die(thrown)
      state.trapped = thrown.message
      close()
      return Effect.fail(lost())
    }

    /** Waits until the run that goes on in the background is over. */
    const idle = Effect.callback<void>((resume) => {
      if (state.running) waiting.push(() => resume(Effect.void))
      else resume(Effect.void)
    })

    const turn = Effect.suspend(() => {
      state.held = 0
      return Effect.yieldNow
    })

    const now = <A>(f: () => A): Effect.Effect<A, BackendError> => {
      try {
        return Effect.succeed(f())
      } catch (thrown) {
        return toError(thrown)
      }
    }

    const load = (program: Program, aliases: ReadonlyArray<Alias>): Ready => {
      const beyond = beyondMemory(program)
      if (beyond !== undefined) return { _tag: "TooLarge", bytes: beyond }
      const compiled = stages.compile(program)
      // An input that another output hands through must not be overwritten before that is taken out.
      const free = aliases.filter(([output, input]) =>
        compiled.outputs.every((o, i) => i === output || o._tag !== "Input" || o.index !== input)
      )
      const replacing = new Set(aliases.map(([output]) => output))
      const staying = program.outputs.flatMap(({ aval }, i) =>
        ShapedArray.byteSize(aval) >= engine.residents.from && !replacing.has(i) ? [i] : []
      )
      const plan = stages.plan(compiled, free, staying)
      if (plan.arenaBytes > engine.heap.limit) return { _tag: "TooLarge", bytes: plan.arenaBytes }
      const { maximumPages, shared } = engine.heap
      const assembled = assemble(compiled, plan, stages.emitKernel, { ...stages, shared, maximumPages })
      const avals = { inputs: program.inputs.map((v) => v.aval), outputs: program.outputs.map((v) => v.aval) }
      return { _tag: "Loaded", loaded: engine.load({ compiled, plan, assembled, aliases, ...avals }) }
    }

    const runLoaded = (
      loaded: Loaded,
      inputs: ReadonlyArray<Storage>,
      donated: ReadonlyArray<boolean>
    ): Effect.Effect<ReadonlyArray<Storage>, BackendError> => {
      if (loaded.milliseconds < longFrom || !engine.background || loaded.assembled.callbacks.length > 0) {
        const outputs = now(() => engine.run(loaded, inputs, donated))
        state.held += loaded.milliseconds
        return outputs
      }
      return Effect.uninterruptible(Effect.callback<ReadonlyArray<Storage>, BackendError>((resume) => {
        state.running = true
        const end = (result: Effect.Effect<ReadonlyArray<Storage>, BackendError>): void => {
          state.running = false
          // Whoever asked for the step writes its results before others go on.
          resume(result)
          for (const next of waiting.splice(0)) next()
        }
        try {
          engine.start(loaded, inputs, donated, (finish) => end(state.closed ? Effect.fail(lost()) : now(finish)))
        } catch (thrown) {
          end(toError(thrown))
        }
      }))
    }

    const executableOf = (program: Program, aliases: ReadonlyArray<Alias>): Executable => {
      checkDTypes({ name, dtypes }, program)
      const ready = load(program, aliases)
      state.compiled++
      const run = (
        inputs: ReadonlyArray<Storage>,
        donated: ReadonlyArray<boolean> = []
      ): Effect.Effect<ReadonlyArray<Storage>, BackendError> =>
        Effect.suspend(() => {
          if (state.closed) return Effect.fail(lost())
          if (state.running) return Effect.flatMap(idle, () => run(inputs, donated))
          if (ready._tag === "TooLarge") return toError(new AllocationFailed(ready.bytes))
          state.runs++
          state.kernels += ready.loaded.assembled.kernels
          return runLoaded(ready.loaded, inputs, donated)
        })
      return aliases.length === 0 ? { program, run } : { program, aliases, run }
    }

    const compile = (
      program: Program,
      { aliases: wanted = [] }: CompileOptions = {}
    ): Effect.Effect<Executable, UnsupportedOperation> =>
      Effect.suspend(() => {
        // What calls the host may fail half-way: then the state before is needed still.
        const aliases = hasEffects(program) ? [] : wanted
        const key = aliases.join(" ")
        const known = cache.get(program)
        const executable = known?.get(key)
        if (executable !== undefined) {
          state.cacheHits++
          return Effect.succeed(executable)
        }
        try {
          const made = executableOf(program, aliases)
          if (known === undefined) cache.set(program, new Map([[key, made]]))
          else known.set(key, made)
          return Effect.succeed(made)
        } catch (thrown) {
          return thrown instanceof UnsupportedOperation ? Effect.fail(thrown) : Effect.die(thrown)
        }
      })

    const download = (storage: DeviceStorage): Effect.Effect<DTypes.TypedArray, BackendError> =>
      Effect.suspend((): Effect.Effect<DTypes.TypedArray, BackendError> => {
        if (state.closed) return Effect.fail(lost())
        return now(() => engine.elements(storage))
      })

    return {
      name,
      dtypes,
      compile,
      beforeStep: () => state.running ? idle : state.held < longFrom ? undefined : turn,
      download: (storage) => state.running ? Effect.flatMap(idle, () => download(storage)) : download(storage),
      release: (storage) => {
        // The run that goes on may be reading it.
        if (state.running) waiting.push(() => engine.residents.release(storage))
        else engine.residents.release(storage)
      },
      memory: Effect.sync(() => {
        const { liveBuffers, liveBytes, peakBytes } = engine.residents
        return { liveBytes, liveBuffers, peakBytes }
      }),
      stats: Effect.sync(() => {
        const { cacheHits, compiled, kernels, runs } = state
        return { cacheHits, compiled, kernels, runs, cached: cache.size }
      })
    }
  })
