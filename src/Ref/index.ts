/**
 * Variables (Effect Refs of arrays), their kinds, Modules, and random streams.
 *
 * @since 0.1.0
 */
export { display, toHtml } from "./display.ts"
export {
  deleteMetadata,
  type GetMetadata,
  getMetadata,
  type GetMetadataOptions,
  hasMetadata,
  MetadataError,
  type SetMetadata,
  setMetadata,
  type SetMetadataError,
  updateMetadata
} from "./metadata.ts"
export { type NewVariables, useHijax, useRefs, usingHijax, usingRefs, VariableMode, variableMode } from "./modes.ts"
export { isModule, Module, Module as Pytree, type ModuleClass, moduleName } from "./Module.ts"
export {
  registerVariableName,
  VariableNameError,
  variableNameFromType,
  type VariableNameOptions,
  VariableNames,
  variableTypeFromName
} from "./names.ts"
export type { VariablePart } from "./part.ts"
export { type Copies, type CopiesByName, Rngs, RngStream, RngStreamError, RngStreams, type Seed } from "./Rngs.ts"
export {
  type Any,
  ArrayRef,
  BatchStat,
  Cache,
  covers,
  getRawValue,
  type Hooks,
  ImmutableVariableError,
  Intermediate,
  isArrayRef,
  isKind,
  isVariable,
  type Kind,
  kind,
  type Metadata,
  MetricState,
  newRef,
  OptState,
  Param,
  Perturbation,
  RngCount,
  RngKey,
  RngState,
  Variable,
  type VariableOptions
} from "./Variable.ts"
export { isVariableMetadata, type VariableMetadata, variableMetadata, withMetadata } from "./variableMetadata.ts"
