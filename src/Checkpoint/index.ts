/**
 * Checkpoints: models and States in files, which other tools read as safetensors, and back.
 *
 * `save` and `restore` need Effect's FileSystem and Path, which `@effect/platform-node` provides; `encode` and `decode`
 * need no files, and work in browsers too.
 *
 * ```ts import.meta.vitest
 * import * as NodeServices from "@effect/platform-node/NodeServices"
 * import { Effect, FileSystem, Layer, Ref, Schema } from "effect"
 * import * as nnx from "linum"
 * import * as Cpu from "linum/backend/tfjs-cpu"
 * import * as Checkpoint from "linum/Checkpoint"
 *
 * const program = Effect.gen(function*() {
 *   const folder = yield* (yield* FileSystem.FileSystem).makeTempDirectoryScoped()
 *   const file = `${folder}/model.safetensors`
 *
 *   const model = yield* nnx.Linear.make(2, 3)
 *   yield* Checkpoint.save(file, model, { metadata: { epoch: 7 } })
 *
 *   // Somewhere else, later: into any model of this structure, in place.
 *   const other = yield* nnx.Linear.make(2, 3)
 *   yield* Checkpoint.restore(file, other)
 *   const difference = (yield* Ref.get(model.kernel)).sub(yield* Ref.get(other.kernel))
 *   console.log(yield* nnx.Tensor.toNested(difference)) // => [ [ 0, 0, 0 ], [ 0, 0, 0 ] ]
 *   const { epoch } = yield* Checkpoint.metadata(file, Schema.Struct({ epoch: Schema.Int }))
 *   console.log(epoch) // => 7
 * })
 *
 * const services = Layer.mergeAll(Cpu.layer, NodeServices.layer, nnx.Rngs.layer(0))
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(services)))
 * ```
 *
 * @since 0.1.0
 */
export { decode, decodeInto, encode } from "./bytes.ts"
export {
  CheckpointError,
  type Corrupt,
  type Io,
  type Misfit,
  type Mismatch,
  type NotFound,
  type Reason,
  type Unsupported
} from "./errors.ts"
export { load, manifest, metadata, restore, save } from "./file.ts"
export { type Layout, layout, type LeafLayout, schemaOf, type ValueLayout } from "./fit.ts"
export type { Loaded, RestoreOptions, SaveOptions } from "./format.ts"
export {
  type Alias,
  type Key,
  Manifest,
  type StoredArray,
  type StoredLeaf,
  type StoredStatic,
  type StoredValue,
  type TypedPath
} from "./Manifest.ts"
export { latest, saveStep, type SaveStepOptions, type Step, stepName, steps } from "./steps.ts"
