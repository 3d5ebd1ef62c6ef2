/**
 * The second moment of large matrices by its row and column means (Shazeer and Stern 2018, arXiv 1804.04235): what
 * Adafactor is made of.
 */
import { zeros, zerosLike as zerosOf } from "../Tensor/construct.ts"
import * as lax from "../Tensor/lax/index.ts"
import { add, div, mul, pow, square, sub } from "../Tensor/numpy/elementwise.ts"
import { mean } from "../Tensor/numpy/reductions.ts"
import { expandDims } from "../Tensor/numpy/shaping.ts"
import type { Tensor } from "../Tensor/Tensor.ts"
import type { GradientTransformation } from "./GradientTransformation.ts"
import { movingAverage, oneMinus, safeIncrement, zeroCount } from "./numeric.ts"
import { type ArrayTree, mapTrees } from "./tree.ts"

/** Options of `scaleByFactoredRms`. */
export interface FactoredRmsOptions {
  /** Factor at all: true. */
  readonly factored?: boolean | undefined
  /** How the decay rate grows: 1 - t^-decayRate; 0.8. */
  readonly decayRate?: number | undefined
  /** The count at which training began: 0. */
  readonly stepOffset?: number | undefined
  /** Factor only where the two largest axes have at least this size: 128. */
  readonly minDimSizeToFactor?: number | undefined
  /** Added to squared gradients: 1e-30. */
  readonly epsilon?: number | undefined
}

/** State of `scaleByFactoredRms`. Arrays that are not used have one element. */
export interface FactoredState {
  readonly count: Tensor
  readonly vRow: ArrayTree
  readonly vCol: ArrayTree
  readonly v: ArrayTree
}

/** The largest axis but one and the largest; undefined: too small to factor. */
const factoredAxes = (x: Tensor, least: number): readonly [d1: number, d0: number] | undefined => {
  if (x.ndim < 2) return undefined
  const axes = x.shape.map((_, i) => i).toSorted((a, b) => x.shape[a] - x.shape[b])
  const [d1, d0] = axes.slice(-2)
  return x.shape[d1] < least ? undefined : [d1, d0]
}

const without = (x: Tensor, axis: number): Tensor => zeros(x.shape.filter((_, i) => i !== axis), x.dtype)

/**
 * Divides by the root of the average of squared gradients, which for large arrays is the product of a row and a column.
 *
 * @category scaling
 * @since 0.1.0
 */
export const scaleByFactoredRms = (options: FactoredRmsOptions = {}): GradientTransformation<FactoredState> => {
  const { decayRate = 0.8, epsilon = 1e-30, factored = true, minDimSizeToFactor = 128, stepOffset = 0 } = options
  const axesOf = (x: Tensor) => factored ? factoredAxes(x, minDimSizeToFactor) : undefined
  const empty = (x: Tensor): Tensor => zeros([1], x.dtype)
  return {
    init: (params) => ({
      count: zeroCount(),
      vRow: mapTrees((x) => axesOf(x) === undefined ? empty(x) : without(x, axesOf(x)?.[1] ?? 0), params),
      vCol: mapTrees((x) => axesOf(x) === undefined ? empty(x) : without(x, axesOf(x)?.[0] ?? 0), params),
      v: mapTrees((x) => axesOf(x) === undefined ? zerosOf(x) : empty(x), params)
    }),
    update: (updates, state, params) => {
      const t = lax.convertElementType(add(sub(state.count, stepOffset), 1), "float32")
      const decay = sub(1, pow(t, -decayRate))
      const squares = mapTrees((u) => add(square(u), epsilon), updates)
      /** The average along an axis, kept in the dtype that it has. */
      const along = (which: 0 | 1) => (u2: Tensor, v: Tensor, p: Tensor): Tensor => {
        const axes = axesOf(p)
        if (axes === undefined) return v
        return lax.convertElementType(movingAverage(mean(u2, axes[1 - which]), v, decay), v.dtype)
      }
      const vRow = mapTrees(along(0), squares, state.vRow, params)
      const vCol = mapTrees(along(1), squares, state.vCol, params)
      const v = mapTrees(
        (u2, before, p) =>
          axesOf(p) === undefined
            ? lax.convertElementType(add(mul(decay, before), mul(oneMinus(decay), u2)), before.dtype)
            : before,
        squares,
        state.v,
        params
      )
      return {
        updates: mapTrees(
          (u, row, col, own, p) => scaled(u, row, col, own, axesOf(p)),
          updates,
          vRow,
          vCol,
          v,
          params
        ),
        state: { count: safeIncrement(state.count), vRow, vCol, v }
      }
    }
  }
}

const scaled = (
  u: Tensor,
  row: Tensor,
  col: Tensor,
  v: Tensor,
  axes: readonly [d1: number, d0: number] | undefined
): Tensor => {
  if (axes === undefined) return mul(u, pow(v, -0.5))
  const [d1, d0] = axes
  const rowMean = mean(row, { axis: d1 > d0 ? d1 - 1 : d1, keepdims: true })
  return mul(
    mul(u, expandDims(pow(div(row, rowMean), -0.5), d0)),
    expandDims(pow(col, -0.5), d1)
  )
}
