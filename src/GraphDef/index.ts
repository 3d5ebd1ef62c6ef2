/**
 * GraphDef: models as structure and State, and back.
 */
export { AliasError, type Misfit, StructureError } from "./errors.ts"
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
export { type MergeContext, mergeContext, type SplitContext, splitContext } from "./joint.ts"
export {
  type GraphProtocol,
  isGraphNode,
  isNode,
  Node,
  NodeTypeError,
  type Parts,
  registerNode,
  Static,
  type TreeProtocol
} from "./Node.ts"
export { toMermaid } from "./print.ts"
export { perturb, sow, type SowError, type SowOptions } from "./sow.ts"
export { asRefVars, asRefVars as toRefs, clone, graphdef, immutable, merge, mutable, split, splitWith, state, variables } from "./split.ts"
export { deleteAttribute, pop, type PopError, setAttribute } from "./structure.ts"
export { findDuplicates, iterGraph, map, recursiveMap } from "./traverse.ts"
export { update, type UpdateError } from "./update.ts"
export { updateContext } from "./updateContext.ts"
