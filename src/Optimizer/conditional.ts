/**
 * Transformations that apply only under a condition of the running program. Both outcomes are equations of the Program,
 * and a selection chooses: states and updates are arrays, so nothing is lost but a little arithmetic.
 */
import * as lax from "../Tensor/lax/index.ts"
import { where } from "../Tensor/numpy/logic.ts"
import { all } from "../Tensor/numpy/reductions.ts"
import { literal, type Tensor } from "../Tensor/Tensor.ts"
import { selectTree } from "./accumulating.ts"
import type { GradientTransformation } from "./GradientTransformation.ts"
import { safeIncrement, zeroCount } from "./numeric.ts"
import { leaves, mapTrees } from "./tree.ts"

/** State of `conditionallyTransform` and `conditionallyMask`. */
export interface ConditionalState<S> {
  readonly step: Tensor
  readonly innerState: S
}

const conditional = <S>(
  inner: GradientTransformation<S>,
  condition: (step: Tensor) => Tensor,
  otherwise: (update: Tensor) => Tensor
): GradientTransformation<ConditionalState<S>> => ({
  init: (params) => ({ step: zeroCount(), innerState: inner.init(params) }),
  update: (updates, state, params) => {
    const applies = condition(state.step)
    const { state: next, updates: changed } = inner.update(updates, state.innerState, params)
    return {
      updates: mapTrees((a, b) => where(applies, a, otherwise(b)), changed, updates),
      state: { step: safeIncrement(state.step), innerState: selectTree(applies, next, state.innerState) }
    }
  }
})

const zero = (u: Tensor): Tensor => lax.broadcastTo(literal(0, u.dtype), u.shape)

/**
 * Applies a transformation at the steps where a condition holds (a scalar bool of the int32 count of updates before);
 * at others updates and state stay as they are.
 *
 * @category combinators
 * @since 0.1.0
 */
export const conditionallyTransform = <S>(
  inner: GradientTransformation<S>,
  condition: (step: Tensor) => Tensor
): GradientTransformation<ConditionalState<S>> => conditional(inner, condition, (u) => u)

/**
 * As `conditionallyTransform`, with zero updates where the condition does not hold.
 *
 * @category combinators
 * @since 0.1.0
 */
export const conditionallyMask = <S>(
  inner: GradientTransformation<S>,
  condition: (step: Tensor) => Tensor
): GradientTransformation<ConditionalState<S>> => conditional(inner, condition, zero)

/** State of `applyIfFinite`. */
export interface ApplyIfFiniteState<S> {
  /** Updates in a row with something that was not finite. */
  readonly notfiniteCount: Tensor
  readonly lastFinite: Tensor
  readonly totalNotfinite: Tensor
  readonly innerState: S
}

/**
 * Leaves out updates with an element that is not finite (zeros, and the state stays); after `maxConsecutiveErrors` of
 * them in a row it gives up and applies them.
 *
 * @category combinators
 * @since 0.1.0
 */
export const applyIfFinite = <S>(
  inner: GradientTransformation<S>,
  maxConsecutiveErrors: number
): GradientTransformation<ApplyIfFiniteState<S>> => ({
  init: (params) => ({
    notfiniteCount: zeroCount(),
    lastFinite: literal(1, "bool"),
    totalNotfinite: zeroCount(),
    innerState: inner.init(params)
  }),
  update: (updates, state, params) => {
    const finite = leaves(updates).map((u) => all(lax.isFinite(u))).reduce((a, b) => lax.and(a, b), literal(1, "bool"))
    const notfiniteCount = where(finite, 0, safeIncrement(state.notfiniteCount))
    const applies = lax.or(finite, lax.gt(notfiniteCount, literal(maxConsecutiveErrors, "int32")))
    const step = inner.update(updates, state.innerState, params)
    return {
      updates: mapTrees((u) => where(applies, u, zero(u)), step.updates),
      state: {
        notfiniteCount,
        lastFinite: finite,
        totalNotfinite: where(finite, state.totalNotfinite, safeIncrement(state.totalNotfinite)),
        innerState: selectTree(applies, step.state, state.innerState)
      }
    }
  }
})
