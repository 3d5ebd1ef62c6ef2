import type * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import type * as Option from "effect/Option"
import type * as Path from "effect/Path"
import type * as Schema from "effect/Schema"
import type { Backend, BackendError } from "../Backend/Backend.ts"
import type { Filter } from "../State/Filter.ts"
import type { TensorError } from "../Tensor/errors.ts"
import type { CheckpointError } from "./errors.ts"

export * from "./errors.ts"

export interface SaveOptions {
  /** Any JSON value, such as `{ epoch, step }`. */
  readonly metadata?: Schema.Json
  /** Only what it covers. */
  readonly filter?: Filter
}
export interface RestoreOptions {
  readonly filter?: Filter
}
export interface SaveStepOptions extends SaveOptions {
  /** How many of the newest steps to keep; all by default. */
  readonly keepLast?: number
}
export interface Step {
  readonly path: string
  readonly step: number
}

/** Writes a model, a State, or plain objects and arrays of both. */
export declare const save: (
  path: string,
  target: object,
  options?: SaveOptions
) => Effect.Effect<void, CheckpointError | TensorError | BackendError, FileSystem.FileSystem | Path.Path | Backend>
/** Models are updated in place and given back; States and bare arrays are given anew. All or nothing. */
export declare const restore: <A extends object>(
  path: string,
  target: A,
  options?: RestoreOptions
) => Effect.Effect<A, CheckpointError, FileSystem.FileSystem>
/** The metadata given to `save`, decoded by a schema: `metadata(path, Schema.Struct({ epoch: Schema.Int }))`. */
export declare const metadata: <S extends Schema.ConstraintDecoder<unknown>>(
  path: string,
  schema: S
) => Effect.Effect<S["Type"], CheckpointError, FileSystem.FileSystem | S["DecodingServices"]>
/** Saves as `step-00000100.safetensors` in a folder (made if need be), and removes old ones if `keepLast` says so. */
export declare const saveStep: (
  folder: string,
  step: number,
  target: object,
  options?: SaveStepOptions
) => Effect.Effect<Step, CheckpointError | TensorError | BackendError, FileSystem.FileSystem | Path.Path | Backend>
/** The newest step in a folder; none if there is no folder or no step. */
export declare const latest: (
  folder: string
) => Effect.Effect<Option.Option<Step>, CheckpointError, FileSystem.FileSystem | Path.Path>
