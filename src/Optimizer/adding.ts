/**
 * Transformations that add to updates: weight decay and noise.
 */
import { add, div, mul, pow, sqrt } from "../Tensor/numpy/elementwise.ts"
import * as random from "../Tensor/random/index.ts"
import { isTensor, type Tensor } from "../Tensor/Tensor.ts"
import {
  type EmptyState,
  emptyState,
  type GradientTransformation,
  type ScalarOrSchedule
} from "./GradientTransformation.ts"
import { type Mask, masked, type MaskedState } from "./masking.ts"
import { isSchedule, safeIncrement, valueAt, zeroCount } from "./numeric.ts"
import type { CountState } from "./scaling.ts"
import { leaves, mapTrees } from "./tree.ts"

/** State of `addDecayedWeights`: a count if the decay is a schedule. */
export type DecayState = EmptyState | CountState

const decayed = (weightDecay: ScalarOrSchedule): GradientTransformation<DecayState> => ({
  init: () => isSchedule(weightDecay) ? { count: zeroCount() } : emptyState,
  update: (updates, state, params) => {
    if (weightDecay === 0) return { updates, state }
    const count = "count" in state ? state.count : undefined
    const rate = count === undefined || !isSchedule(weightDecay) ? weightDecay : valueAt(weightDecay, count)
    if (isSchedule(rate)) return { updates, state }
    return {
      updates: mapTrees((u, p) => add(u, mul(rate, p)), updates, params),
      state: count === undefined ? state : { count: safeIncrement(count) }
    }
  }
})

/**
 * Adds `weightDecay` times the parameter to each update; only where a mask is true, if there is one. Before
 * `scaleByLearningRate` in a chain it is the decoupled decay of AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101).
 *
 * @category adding
 * @since 0.1.0
 */
export const addDecayedWeights = (
  weightDecay: ScalarOrSchedule = 0,
  mask?: Mask
): GradientTransformation<DecayState | MaskedState<DecayState>> => {
  const tx = decayed(weightDecay)
  return mask === undefined ? tx : masked(tx, mask)
}

/** State of `addNoise`. */
export interface NoiseState {
  readonly count: Tensor
  readonly rngKey: Tensor
}

/**
 * Adds Gaussian noise of the variance eta / countᵞ (Neelakantan et al. 2015, arXiv 1511.06807). `key` is a key or a
 * seed.
 *
 * @category adding
 * @since 0.1.0
 */
export const addNoise = (eta: number, gamma: number, key: Tensor | number): GradientTransformation<NoiseState> => ({
  init: () => ({ count: zeroCount(), rngKey: isTensor(key) ? key : random.key(key) }),
  update: (updates, state) => {
    const count = safeIncrement(state.count)
    const deviation = sqrt(div(eta, pow(count, gamma)))
    const [rngKey, sampleKey] = keysOf(state.rngKey, 2)
    const keys = keysOf(sampleKey, leaves(updates).length)
    let at = 0
    return {
      updates: mapTrees((u) => add(u, mul(deviation, random.normal(keys[at++], u.shape, { dtype: u.dtype }))), updates),
      state: { count, rngKey }
    }
  }
})

/** As many keys from one. */
const keysOf = (key: Tensor, n: number): ReadonlyArray<Tensor> => {
  const keys = random.split(key, n)
  return Array.from({ length: n }, (_, i) => keys.get(i))
}
