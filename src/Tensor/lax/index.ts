/**
 * The primitives as functions, named as in `jax.lax` in camelCase, strict about shapes and dtypes: nothing broadcasts
 * or promotes. Each checks its operands and makes one equation. `jax.numpy`'s rules are in `../numpy`.
 */
export { type ConvDimensionNumbers, convGeneralDilated, type ConvParams } from "./convolution.ts"
export { type DotDimensionNumbers, dotGeneral } from "./dot.ts"
export * from "./elementwise.ts"
export {
  dynamicSlice,
  dynamicUpdateSlice,
  gather,
  type GatherDimensionNumbers,
  type GatherParams,
  type GatherScatterMode,
  scatter,
  scatterAdd,
  type ScatterDimensionNumbers,
  scatterMax,
  scatterMin,
  scatterMul,
  type ScatterParams
} from "./indexing.ts"
export { threefry2x32 } from "./random.ts"
export {
  argmax,
  argmin,
  cumlogsumexp,
  cummax,
  cummin,
  cumprod,
  cumsum,
  reduceAnd,
  reduceMax,
  reduceMin,
  reduceOr,
  reduceProd,
  reduceSum
} from "./reduction.ts"
export {
  broadcastInDim,
  broadcastTo,
  concatenate,
  iota,
  pad,
  type PaddingConfig,
  reshape,
  rev,
  slice,
  squeeze,
  transpose
} from "./shaping.ts"
export { sort, topK } from "./sorting.ts"
export {
  reduceWindowMax,
  reduceWindowMin,
  reduceWindowSum,
  selectAndGatherAdd,
  selectAndScatterAdd,
  type SelectParams,
  type WindowParams
} from "./window.ts"
