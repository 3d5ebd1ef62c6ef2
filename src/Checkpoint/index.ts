/**
 * Checkpoints: models and States in files, which other tools read as safetensors, and back.
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
