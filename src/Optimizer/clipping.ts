/**
 * Transformations that bound updates, or replace what must not be in them.
 */
import { ShapeError } from "../Tensor/errors.ts"
import type { Axes } from "../Tensor/Methods.ts"
import { add, clip as clipArray, div, maximum, mul, neg, sqrt, square } from "../Tensor/numpy/elementwise.ts"
import { isnan, lt, where } from "../Tensor/numpy/logic.ts"
import { any, mean, sum } from "../Tensor/numpy/reductions.ts"
import { broadcastTo } from "../Tensor/numpy/shaping.ts"
import * as ShapedArray from "../Tensor/ShapedArray.ts"
import { literal, type Tensor, type TensorLike } from "../Tensor/Tensor.ts"
import {
  eachUpdate,
  type EmptyState,
  type GradientTransformation,
  stateless,
  statelessWithLeaves
} from "./GradientTransformation.ts"
import { negated, scalarLike } from "./numeric.ts"
import { type ArrayTree, mapTrees, squaredNorm } from "./tree.ts"

/**
 * The Euclidean norm of all arrays of a tree as one vector: a scalar.
 *
 * @category trees
 * @since 0.1.0
 */
export const globalNorm = (tree: ArrayTree): Tensor => sqrt(squaredNorm(tree))

/**
 * Bounds every element to [-maxDelta, maxDelta].
 *
 * @category clipping
 * @since 0.1.0
 */
export const clip = (maxDelta: TensorLike): GradientTransformation<EmptyState> =>
  eachUpdate((u) => clipArray(u, negated(maxDelta), maxDelta))

/**
 * Scales all updates together so that their global norm is at most `maxNorm` (Pascanu et al. 2012, arXiv 1211.5063).
 *
 * @category clipping
 * @since 0.1.0
 */
export const clipByGlobalNorm = (maxNorm: TensorLike): GradientTransformation<EmptyState> =>
  stateless((updates) => {
    const norm = globalNorm(updates)
    const within = lt(norm, maxNorm)
    return mapTrees((u) => where(within, u, mul(div(u, scalarLike(norm, u)), scalarLike(maxNorm, u))), updates)
  })

/**
 * Scales each update so that the root of its mean square is at most `threshold`.
 *
 * @category clipping
 * @since 0.1.0
 */
export const clipByBlockRms = (threshold: TensorLike): GradientTransformation<EmptyState> =>
  eachUpdate((u) => div(u, maximum(1, div(sqrt(mean(square(u))), threshold))))

/** Options of `adaptiveGradClip`. */
export interface AdaptiveGradClipOptions {
  /** The least that norms of parameters count as: 1e-3. */
  readonly eps?: TensorLike | undefined
  /** The axes of one unit; by default those of inputs, as the number of axes suggests. */
  readonly axis?: Axes | undefined
}

/**
 * Scales each unit of an update (a column of a matrix, an output channel of a kernel) so that its norm is at most
 * `clipping` times that of its parameter (Brock et al. 2021, arXiv 2102.06171).
 *
 * @category clipping
 * @since 0.1.0
 */
export const adaptiveGradClip = (
  clipping: TensorLike,
  options: AdaptiveGradClipOptions = {}
): GradientTransformation<EmptyState> => {
  const { axis, eps = 1e-3 } = options
  return statelessWithLeaves((u, p) => {
    const [norm, most] = [unitwiseNorm(u, axis), mul(clipping, maximum(unitwiseNorm(p, axis), eps))]
    return where(lt(norm, most), u, mul(u, div(most, maximum(norm, 1e-6))))
  })
}

/** The axes that one unit takes in a kernel. */
const unitAxes = (x: Tensor): Axes => {
  if (x.shape.filter((d) => d !== 1).length <= 1) return null
  if (x.ndim <= 3) return 0
  if (x.ndim <= 5) return x.ndim === 4 ? [0, 1, 2] : [0, 1, 2, 3]
  throw new ShapeError({
    operation: "adaptiveGradClip",
    expected: "arrays of at most 5 axes",
    found: ShapedArray.format(x.aval),
    hint: "name the axes of one unit with { axis }"
  })
}

/** The norm of each unit, in the shape of the array. */
const unitwiseNorm = (x: Tensor, axis: Axes | undefined): Tensor =>
  broadcastTo(sqrt(sum(square(x), { axis: axis === undefined ? unitAxes(x) : axis, keepdims: true })), x.shape)

/** State of `zeroNans`: for each parameter, was there a nan in its last update? */
export interface ZeroNansState {
  readonly foundNan: ArrayTree
}

/**
 * Zeros where updates are nan.
 *
 * @category clipping
 * @since 0.1.0
 */
export const zeroNans: GradientTransformation<ZeroNansState> = {
  init: (params) => ({ foundNan: mapTrees(() => literal(0, "bool"), params) }),
  update: (updates) => ({
    updates: mapTrees((u) => where(isnan(u), 0, u), updates),
    state: { foundNan: mapTrees((u) => any(isnan(u)), updates) }
  })
}

/**
 * Bounds updates so that parameters do not become less than 0. The last of a chain.
 *
 * @category clipping
 * @since 0.1.0
 */
export const keepParamsNonnegative: GradientTransformation<EmptyState> = statelessWithLeaves((u, p) =>
  where(lt(add(p, u), 0), neg(p), u)
)
