/**
 * GraphDef: models as structure and State, and back.
 */
import "./install.ts"

export { call, type Caller, type PureState } from "./call.ts"
export { codec, type Registry, type StoredEntry, type StoredGraphDef } from "./codec.ts"
export {
  type ContextMergeError,
  currentUpdateContext,
  type UpdateContext,
  updateContext,
  type WithUpdateContext
} from "./context.ts"
export {
  type Attribute,
  definition,
  LeafAttribute,
  NodeDef,
  NodeRef,
  StaticAttribute,
  SubGraphAttribute,
  VariableDef
} from "./definition.ts"
export { AliasError, type Misfit, StructureError, UpdateContextError } from "./errors.ts"
export type { StateLike } from "./gather.ts"
export {
  type Any,
  type Entry,
  equals,
  equalsIgnoringOuter,
  type GraphDef,
  isGraphDef,
  withoutOuterIndex
} from "./GraphDef.ts"
export { composeMapping, composeMappingReversed, flatten, unflatten, type UnflattenOptions } from "./indices.ts"
export { type MergeContext, mergeContext, type SplitContext, splitContext, type WithContext } from "./joint.ts"
export {
  getNodeImpl,
  getNodeImplForType,
  type GraphProtocol,
  isGraphNode,
  isNode,
  isNodeType,
  Node,
  nodeDict,
  type NodeImpl,
  NodeTypeError,
  type Parts,
  registerGraphNodeType,
  registerNode,
  registerPytreeNodeType,
  Static,
  type TreeProtocol
} from "./Node.ts"
export { toMermaid } from "./print.ts"
export { perturb, sow, type SowError, type SowOptions } from "./sow.ts"
export {
  asRefVars,
  asRefVars as toRefs,
  clone,
  graphdef,
  immutable,
  merge,
  mutable,
  split,
  splitWith,
  state,
  toArrays,
  variables
} from "./split.ts"
export { deleteAttribute, pop, type PopError, setAttribute } from "./structure.ts"
export { findDuplicates, iterGraph, map, recursiveMap } from "./traverse.ts"
export { update, type UpdateError } from "./update.ts"
export { transact } from "./updateContext.ts"
