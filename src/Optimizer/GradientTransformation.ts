/**
 * Gradient transformations: pure data of two functions. `init(params)` makes a state; `update(updates, state, params)`
 * turns gradients into what is added to the parameters, and gives the next state. All are trees of arrays, and nothing
 * is computed: an update is a few equations of whatever Program is being built.
 *
 * Transformations compose: `chain` is a monoid with `identity`. The sign of descent is a part of the chain as well: it
 * is `scaleByLearningRate` that multiplies by minus the learning rate.
 *
 * Names, defaults and formulas are Optax's, in camelCase.
 */
import * as Reducer from "effect/Reducer"
import { StructureError } from "../GraphDef/errors.ts"
import * as lax from "../Tensor/lax/index.ts"
import { add, mul } from "../Tensor/numpy/elementwise.ts"
import type { Tensor, TensorLike } from "../Tensor/Tensor.ts"
import { type ArrayTree, mapTrees, zerosLike } from "./tree.ts"

/** Updates and the state after them. */
export interface Updated<out T, out S> {
  readonly updates: T
  readonly state: S
}

/**
 * A function from gradients to updates of parameters, with a state of type `S`.
 *
 * `update` keeps the structure of the updates; `params` are the parameters before the step and have it too. Both
 * functions throw `StructureError`, `ShapeError` and `DTypeError`.
 *
 * @category models
 * @since 0.1.0
 */
export interface GradientTransformation<S = ArrayTree> {
  // Methods, so that a transformation of known state is one of unknown state: only its own states are ever given back
  // to it.
  init(params: ArrayTree): S
  update<T>(updates: T, state: S, params: T): Updated<T, S>
}

/** The state of a transformation. */
export type StateOfTransformation<Tx> = Tx extends GradientTransformation<infer S> ? S : never

/** The state of a transformation that has none. */
export interface EmptyState extends Readonly<Record<string, never>> {}

/** No state. */
export const emptyState: EmptyState = Object.freeze({})

/** A number, or a function of how many updates there have been: `(count) => Tensor`. */
export type ScalarOrSchedule = TensorLike | Schedule

/**
 * A value for every step. `count` is an int32 scalar when it comes out of an optimizer's state; a number does as well.
 *
 * @category models
 * @since 0.1.0
 */
export type Schedule = (count: TensorLike) => Tensor

/**
 * A transformation of a pure function of updates and parameters.
 *
 * @category constructors
 * @since 0.1.0
 */
export const stateless = (
  f: <T>(updates: T, params: T) => T
): GradientTransformation<EmptyState> => ({
  init: () => emptyState,
  update: (updates, state, params) => ({ updates: f(updates, params), state })
})

/**
 * A transformation of a pure function of each update and its parameter.
 *
 * @category constructors
 * @since 0.1.0
 */
export const statelessWithLeaves = (
  f: (update: Tensor, param: Tensor) => Tensor
): GradientTransformation<EmptyState> => stateless((updates, params) => mapTrees(f, updates, params))

/** @internal A transformation of a function of each update alone. */
export const eachUpdate = (f: (update: Tensor) => Tensor): GradientTransformation<EmptyState> =>
  stateless((updates) => mapTrees(f, updates))

/**
 * Leaves updates as they are.
 *
 * @category combinators
 * @since 0.1.0
 */
export const identity: GradientTransformation<EmptyState> = stateless((updates) => updates)

/**
 * Zeros for updates: what it is applied to does not learn. Optax's `freeze` is `masked` with this.
 *
 * @category combinators
 * @since 0.1.0
 */
export const setToZero: GradientTransformation<EmptyState> = stateless((updates) => zerosLike(updates))

/** States of the parts of a chain. */
export type ChainState<Ts extends ReadonlyArray<GradientTransformation>> = {
  readonly [K in keyof Ts]: StateOfTransformation<Ts[K]>
}

/**
 * One transformation after the other. The state is the tuple of their states.
 *
 * ```ts import.meta.vitest
 * import { chain, clip, scale } from "linum/Optimizer"
 * import * as T from "linum/Tensor"
 *
 * const tx = chain(clip(1), scale(-0.1))
 * const params = { w: T.ones([2]) }
 * const { updates } = tx.update({ w: T.array([3, -0.5]) }, tx.init(params), params)
 * console.log(updates.w.shape) // => [ 2 ]
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const chain = <const Ts extends ReadonlyArray<GradientTransformation>>(
  ...transformations: Ts
): GradientTransformation<ChainState<Ts>> => ({
  init: (params) => transformations.map((tx) => tx.init(params)) as unknown as ChainState<Ts>,
  update: (updates, state, params) => {
    if (state.length !== transformations.length) {
      throw new StructureError({
        operation: "chain",
        misfits: [{ path: [], expected: `${transformations.length} states`, found: String(state.length) }],
        hint: "give the state that init made, or the last update"
      })
    }
    let now = updates
    const states = transformations.map((tx, i) => {
      const step = tx.update(now, state[i], params)
      now = step.updates
      return step.state
    })
    return { updates: now, state: states as unknown as ChainState<Ts> }
  }
})

/**
 * As `chain`, with a name for each part; the state is an object of their states, under their names.
 *
 * @category combinators
 * @since 0.1.0
 */
export const namedChain = <const Ts extends Readonly<Record<string, GradientTransformation>>>(
  transformations: Ts
): GradientTransformation<{ readonly [K in keyof Ts]: StateOfTransformation<Ts[K]> }> => {
  type States = { readonly [K in keyof Ts]: StateOfTransformation<Ts[K]> }
  const names = Object.keys(transformations)
  return {
    init: (params) => Object.fromEntries(names.map((name) => [name, transformations[name].init(params)])) as States,
    update: (updates, state, params) => {
      let now = updates
      const states = Object.fromEntries(names.map((name) => {
        const step = transformations[name].update(now, state[name], params)
        now = step.updates
        return [name, step.state]
      }))
      return { updates: now, state: states as States }
    }
  }
}

/**
 * Transformations under `chain`, with `identity`: a monoid, as Effect's `Reducer`. Updates are associative; states are
 * up to how they nest.
 *
 * @category instances
 * @since 0.1.0
 */
export const ReducerChain: Reducer.Reducer<GradientTransformation> = Reducer.make<GradientTransformation>(
  (first, second) => chain(first, second),
  identity
)

/**
 * Parameters plus updates, each in the dtype of the parameter.
 *
 * @category combinators
 * @since 0.1.0
 */
export const applyUpdates = <T>(params: T, updates: ArrayTree): T =>
  mapTrees((p, u) => lax.convertElementType(add(p, u), p.dtype), params, updates)

/**
 * stepSize·new + (1 - stepSize)·old: a step of an average of parameters (Polyak averaging).
 *
 * @category combinators
 * @since 0.1.0
 */
export const incrementalUpdate = <T>(newTensors: T, oldTensors: ArrayTree, stepSize: number): T =>
  mapTrees((x, y) => add(mul(stepSize, x), mul(1 - stepSize, y)), newTensors, oldTensors)
