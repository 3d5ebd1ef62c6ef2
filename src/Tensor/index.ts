/**
 * Pure, lazy n-dimensional arrays, with the functions of `jax.numpy` in camelCase and JAX's semantics (x64 off).
 *
 * Calling an operation computes nothing: it checks shapes and dtypes, throws a tagged error if they do not fit, and
 * makes one more node of a Program. Reading values is an Effect, and needs a backend.
 *
 * @since 0.1.0
 */
import "./install.ts"

export { attempt } from "./attempt.ts"
export {
  arange,
  array,
  type ArrayOptions,
  asarray,
  type CreateOptions,
  eye,
  full,
  fullLike,
  identity,
  type LikeOptions,
  linspace,
  type LinspaceOptions,
  meshgrid,
  type MeshgridOptions,
  type Nested,
  ones,
  onesLike,
  type Template,
  tri,
  zeros,
  zerosLike
} from "./construct.ts"
export * as DType from "./DType.ts"
export {
  ConcretizationError,
  DTypeError,
  IndexError,
  isTensorError,
  ShapeError,
  type TensorError,
  TraceError,
  TracerLeakError
} from "./errors.ts"
export * as float16 from "./float16.ts"
export * as lax from "./lax/index.ts"
export type {
  At,
  Axes,
  CloseOptions,
  GetOptions,
  Index,
  IndexMode,
  ReduceOptions,
  SetOptions,
  Slice
} from "./Methods.ts"
export * as nn from "./nn/index.ts"
export * from "./numpy/diagonals.ts"
export * from "./numpy/einsum.ts"
export * from "./numpy/elementwise.ts"
export {
  at,
  dynamicIndexInDim,
  dynamicSliceInDim,
  dynamicUpdateIndexInDim,
  dynamicUpdateSliceInDim,
  newAxis,
  putAlongAxis,
  slice,
  take,
  takeAlongAxis,
  type TakeOptions
} from "./numpy/indexing.ts"
export * from "./numpy/joining.ts"
export * from "./numpy/linalg.ts"
export * from "./numpy/logic.ts"
export * from "./numpy/padding.ts"
export { type Binary, promote } from "./numpy/promotion.ts"
export * from "./numpy/reductions.ts"
export * from "./numpy/shaping.ts"
export * from "./numpy/sorting.ts"
export * from "./numpy/statistics.ts"
export * as random from "./random/index.ts"
export * as Shape from "./Shape.ts"
export * as ShapedArray from "./ShapedArray.ts"
export { isTensor, lift, type Tensor, type TensorLike } from "./Tensor.ts"
export * as Tree from "./Tree.ts"
