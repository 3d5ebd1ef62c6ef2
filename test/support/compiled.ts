/** The Programs that a backend is asked to compile while an Effect runs: what `jit` makes of a function. */
import * as Effect from "effect/Effect"
import { Backend } from "../../src/Backend/Backend.ts"
import type { Program } from "../../src/Program/Program.ts"

/** Runs the Effect, and gives the Programs that it had compiled, in order. */
export const compiledBy = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const backend = yield* Backend
    const programs: Array<Program> = []
    const recording = Backend.of({
      ...backend,
      compile: (program, ...rest) => {
        programs.push(program)
        return backend.compile(program, ...rest)
      }
    })
    yield* Effect.provideService(self, Backend, recording)
    return programs
  })
