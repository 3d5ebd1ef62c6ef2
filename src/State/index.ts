/**
 * State: values of models without the models. The functions of `State.ts`, the lenses, and `Filter`.
 */
export { FilterError, type Found, StatePathError } from "./errors.ts"
export * as Filter from "./Filter.ts"
export { lens, partition } from "./lens.ts"
export { filter, filterAll, pathFilters, split } from "./partition.ts"
export type { Key, Path } from "./Path.ts"
export {
  type Any,
  bytes,
  diff,
  empty,
  fromEntries,
  fromPureDict,
  get,
  isEmpty,
  isState,
  isVariableState,
  type Leaf,
  length,
  map,
  mapTensors,
  mapWithPath,
  merge,
  type Merged,
  nested,
  paths,
  replaceByPureDict,
  size,
  type State,
  toEntries,
  toPureDict,
  treeMap,
  values,
  type VariableState,
  variableState
} from "./State.ts"
export type * from "./types.ts"
