/**
 * L-BFGS: updates multiplied by an approximation of the inverse Hessian, made from the last differences of parameters
 * and gradients (Liu and Nocedal 1989; Nocedal and Wright, algorithm 7.4). Without a line search: the length of a step
 * is the learning rate's.
 */
import * as Effect from "effect/Effect"
import { arange, zeros } from "../Tensor/construct.ts"
import { ShapeError } from "../Tensor/errors.ts"
import * as lax from "../Tensor/lax/index.ts"
import { add, div, minimum, mod, mul, sqrt, sub } from "../Tensor/numpy/elementwise.ts"
import { dynamicIndexInDim, dynamicUpdateIndexInDim } from "../Tensor/numpy/indexing.ts"
import { gt, where } from "../Tensor/numpy/logic.ts"
import { literal, type Tensor, type TensorLike } from "../Tensor/Tensor.ts"
import { scan } from "../Transform/scan.ts"
import { chain, type GradientTransformation, type ScalarOrSchedule } from "./GradientTransformation.ts"
import { runInline } from "./inline.ts"
import { safeIncrement, scalarLike, zeroCount } from "./numeric.ts"
import { scale, scaleByLearningRate } from "./scaling.ts"
import { type ArrayTree, castLike, mapTrees, squaredNorm, sumTree, zerosLike } from "./tree.ts"

/** Options of `scaleByLbfgs`. */
export interface LbfgsOptions {
  /** How many differences are kept: 10. */
  readonly memorySize?: number | undefined
  /** Begin with a multiple of the identity that fits the last difference (true), or with the identity. */
  readonly scaleInitPrecond?: boolean | undefined
}

/** State of `scaleByLbfgs`. Memories have an axis of differences before those of the parameter. */
export interface LbfgsState {
  readonly count: Tensor
  readonly params: ArrayTree
  readonly updates: ArrayTree
  readonly diffParamsMemory: ArrayTree
  readonly diffUpdatesMemory: ArrayTree
  readonly weightsMemory: Tensor
}

/** Σ x·y over all arrays. */
const dot = (x: ArrayTree, y: ArrayTree): Tensor => sumTree(mapTrees((a, b) => mul(a, b), x, y))

const subtract = <T>(x: T, y: ArrayTree): T => mapTrees((a, b) => sub(a, b), x, y)

const addScaled = <T>(x: T, factor: TensorLike, y: ArrayTree): T =>
  mapTrees((a, b) => add(a, mul(scalarLike(factor, a), b)), x, y)

const entry = (memory: ArrayTree, at: Tensor): ArrayTree =>
  mapTrees((x) => dynamicIndexInDim(x, at, 0, { keepdims: false }), memory)

/** The two loops of algorithm 7.4. `first` is where the oldest difference is. */
const precondition = <T>(updates: T, state: LbfgsState, first: Tensor, identityScale: TensorLike): T => {
  const size = state.weightsMemory.shape[0]
  const indices = mod(add(first, arange(size)), size)
  const at = (i: Tensor) => ({
    params: entry(state.diffParamsMemory, i),
    updates: entry(state.diffUpdatesMemory, i),
    weight: dynamicIndexInDim(state.weightsMemory, i, 0, { keepdims: false })
  })
  const right = (v: T, i: Tensor) => {
    const { params, updates: change, weight } = at(i)
    const alpha = mul(weight, dot(params, v))
    return Effect.succeed([castLike(addScaled(v, mul(-1, alpha), change), v), alpha] as const)
  }
  const [middle, alphas] = runInline(scan(right, { reverse: true })(updates, indices))
  const scaled = mapTrees((x) => mul(scalarLike(identityScale, x), x), middle)
  const left = (v: T, [i, alpha]: readonly [Tensor, Tensor]) => {
    const { params, updates: change, weight } = at(i)
    const beta = mul(weight, dot(change, v))
    return Effect.succeed([castLike(addScaled(v, sub(alpha, beta), params), v), beta] as const)
  }
  const [out] = runInline(scan(left)(scaled, [indices, alphas] as const))
  return out
}

/**
 * The direction of L-BFGS: an approximate inverse Hessian times the gradient. The first step is at most 1 long.
 *
 * Throws a `ShapeError` unless `memorySize` is at least 1.
 *
 * @category scaling
 * @since 0.1.0
 */
export const scaleByLbfgs = (options: LbfgsOptions = {}): GradientTransformation<LbfgsState> => {
  const { memorySize = 10, scaleInitPrecond = true } = options
  if (memorySize < 1) {
    throw new ShapeError({
      operation: "scaleByLbfgs",
      expected: "a memorySize of at least 1",
      found: String(memorySize),
      hint: "10 is usual"
    })
  }
  return {
    init: (params) => {
      const memory = mapTrees((x) => zeros([memorySize, ...x.shape], x.dtype), params)
      return {
        count: zeroCount(),
        params: zerosLike(params),
        updates: zerosLike(params),
        diffParamsMemory: memory,
        diffUpdatesMemory: memory,
        weightsMemory: zeros([memorySize])
      }
    },
    update: (updates, state, params) => {
      const later = lax.gt(state.count, literal(0, "int32"))
      const orZero = (x: Tensor): Tensor => where(later, x, 0)
      const diffParams = mapTrees(orZero, subtract(params, state.params))
      const diffUpdates = mapTrees(orZero, subtract(updates, state.updates))
      const product = dot(diffUpdates, diffParams)
      const none = lax.eq(product, literal(0, product.dtype))
      const weight = where(none, 0, div(1, where(none, 1, product)))
      const last = mod(sub(state.count, 1), memorySize)
      const remember = (memory: ArrayTree, now: ArrayTree): ArrayTree =>
        mapTrees((x, y) => dynamicUpdateIndexInDim(x, y, last, 0), memory, now)
      const next: LbfgsState = {
        count: safeIncrement(state.count),
        params: castLike(params, state.params),
        updates: castLike(updates, state.updates),
        diffParamsMemory: remember(state.diffParamsMemory, diffParams),
        diffUpdatesMemory: remember(state.diffUpdatesMemory, diffUpdates),
        weightsMemory: dynamicUpdateIndexInDim(state.weightsMemory, weight, last, 0)
      }
      const denominator = squaredNorm(diffUpdates)
      const fitted = where(gt(denominator, 0), div(product, denominator), 1)
      const capped = minimum(1, div(1, sqrt(squaredNorm(withoutGradient(updates)))))
      const identityScale = scaleInitPrecond ? where(later, fitted, capped) : 1
      return {
        updates: precondition(updates, next, mod(state.count, memorySize), identityScale),
        state: next
      }
    }
  }
}

const withoutGradient = <T>(tree: T): T => mapTrees((x) => lax.stopGradient(x), tree)

/**
 * L-BFGS with steps of a given length; 1 when it is left out. For smooth losses of whole data sets, where it needs few
 * steps.
 *
 * @category optimizers
 * @since 0.1.0
 */
export const lbfgs = (learningRate?: ScalarOrSchedule, options: LbfgsOptions = {}) =>
  chain(scaleByLbfgs(options), learningRate === undefined ? scale(-1) : scaleByLearningRate(learningRate))
