/**
 * Folders of checkpoints, one for each step that was saved: `step-00000100.safetensors`. Names sort as steps do.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import type { Backend, BackendError } from "../Backend/Backend.ts"
import type { TensorError } from "../Tensor/errors.ts"
import { type CheckpointError, failure } from "./errors.ts"
import { io, ioOrNotFound, save } from "./file.ts"
import type { SaveOptions } from "./format.ts"

/** A checkpoint in a folder. */
export interface Step {
  readonly step: number
  readonly path: string
}

/** As for `save`, and how many to keep. */
export interface SaveStepOptions extends SaveOptions {
  /** Remove all but this many of the newest steps, once the new one is there; by default all are kept. */
  readonly keepLast?: number
}

const pattern = /^step-([0-9]{8,16})\.safetensors$/

/** The name of a step's file: `step-00000100.safetensors`. */
export const stepName = (step: number): string => `step-${String(step).padStart(8, "0")}.safetensors`

/** The steps in a folder, oldest first; none if there is no folder. */
export const steps = Effect.fnUntraced(function*(
  folder: string
): Effect.fn.Return<ReadonlyArray<Step>, CheckpointError, FileSystem.FileSystem | Path.Path> {
  const [fs, paths] = [yield* FileSystem.FileSystem, yield* Path.Path]
  const names = yield* fs.readDirectory(folder).pipe(
    Effect.mapError(ioOrNotFound(folder, "listing the folder")),
    Effect.catchReason("CheckpointError", "NotFound", () => Effect.succeed<Array<string>>([]))
  )
  return names.flatMap((name) => {
    const step = Number(pattern.exec(name)?.[1])
    return Number.isSafeInteger(step) && stepName(step) === name ? [{ step, path: paths.join(folder, name) }] : []
  }).toSorted((a, b) => a.step - b.step)
})

/**
 * The newest step in a folder; none if there is no folder, or no step in it.
 *
 * @category steps
 * @since 0.1.0
 */
export const latest = (
  folder: string
): Effect.Effect<Option.Option<Step>, CheckpointError, FileSystem.FileSystem | Path.Path> =>
  Effect.map(steps(folder), (all) => Option.fromUndefinedOr(all.at(-1)))

/**
 * Saves a step into a folder, which is made if need be, and then removes the oldest ones if `keepLast` says so. The
 * step that was just saved is never removed. Fails as `save` does.
 *
 * ```ts import.meta.vitest
 * import * as NodeServices from "@effect/platform-node/NodeServices"
 * import { Effect, FileSystem, Layer, Option } from "effect"
 * import * as nnx from "linum"
 * import * as Cpu from "linum/backend/tfjs-cpu"
 * import * as Checkpoint from "linum/Checkpoint"
 *
 * const program = Effect.gen(function*() {
 *   const folder = yield* (yield* FileSystem.FileSystem).makeTempDirectoryScoped()
 *   const weights = nnx.Param.makeUnsafe(nnx.Tensor.zeros([2]))
 *   for (const step of [100, 200, 300]) yield* Checkpoint.saveStep(folder, step, weights, { keepLast: 2 })
 *   console.log((yield* Checkpoint.steps(folder)).map(({ step }) => step)) // => [ 200, 300 ]
 *
 *   const newest = yield* Checkpoint.latest(folder)
 *   if (Option.isSome(newest)) yield* Checkpoint.restore(newest.value.path, weights)
 * })
 * const services = Layer.mergeAll(Cpu.layer, NodeServices.layer)
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(services)))
 * ```
 *
 * @category steps
 * @since 0.1.0
 */
export const saveStep = Effect.fnUntraced(function*(
  folder: string,
  step: number,
  target: object,
  options: SaveStepOptions = {}
): Effect.fn.Return<
  Step,
  CheckpointError | TensorError | BackendError,
  FileSystem.FileSystem | Path.Path | Backend
> {
  const { keepLast = Infinity, ...rest } = options
  if (!Number.isSafeInteger(step) || step < 0 || !(keepLast >= 1)) {
    return yield* failure(folder, {
      _tag: "Unsupported",
      problem: `step ${step}, of which ${keepLast} are kept`,
      hint: "steps are whole numbers from 0, and at least 1 is kept"
    })
  }
  const [fs, paths] = [yield* FileSystem.FileSystem, yield* Path.Path]
  const path = paths.join(folder, stepName(step))
  yield* save(path, target, rest)
  const others = (yield* steps(folder)).filter((s) => s.step !== step)
  for (const old of others.slice(0, Math.max(0, others.length - (keepLast - 1)))) {
    yield* Effect.mapError(fs.remove(old.path, { force: true }), io(old.path, "removing an old step"))
  }
  return { step, path }
})
