/**
 * Linum: Flax NNX as an Effect library. A model is a graph of Effect Refs; a computation is a pure, traced Program;
 * `jit`, `grad`, `vmap` and `scan` are interpreters of that Program, and running them is an Effect.
 *
 * ```ts no-run
 * import * as nnx from "linum"
 * ```
 *
 * @since 0.1.0
 */
export {
  Backend,
  type BackendError,
  BackendUnavailable,
  DeviceLost,
  type Executable,
  type Memory,
  OutOfMemory,
  type Stats,
  UnsupportedOperation
} from "./Backend/index.ts"
export {
  AliasError,
  asRefVars,
  call,
  clone,
  currentUpdateContext,
  deleteAttribute,
  findDuplicates,
  graphdef,
  immutable,
  iterGraph,
  merge,
  mutable,
  perturb,
  pop,
  setAttribute,
  sow,
  split,
  splitWith,
  state,
  StructureError,
  toArrays,
  toRefs,
  transact,
  update,
  updateContext,
  UpdateContextError,
  variables
} from "./GraphDef/index.ts"
export * as GraphDef from "./GraphDef/index.ts"
export * from "./Layer/index.ts"
export * from "./Optimizer/index.ts"
export * as Program from "./Program/index.ts"
export * from "./Ref/index.ts"
export { Filter, FilterError } from "./State/index.ts"
export * as State from "./State/index.ts"
export * as Tensor from "./Tensor.ts"
export * from "./Transform/index.ts"
