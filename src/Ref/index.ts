/**
 * Variables (Effect Refs of arrays), their kinds, Modules, and random streams.
 *
 * @since 0.1.0
 */
export { isModule, Module, type ModuleClass, moduleName } from "./Module.ts"
export { Rngs, RngStream, RngStreamError, RngStreams, type Seed } from "./Rngs.ts"
export {
  type Any,
  BatchStat,
  Cache,
  covers,
  type Hooks,
  ImmutableVariableError,
  Intermediate,
  isKind,
  isVariable,
  type Kind,
  kind,
  type Metadata,
  MetricState,
  OptState,
  Param,
  Perturbation,
  RngCount,
  RngKey,
  RngState,
  type Variable,
  type VariableOptions
} from "./Variable.ts"
