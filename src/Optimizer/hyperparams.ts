/**
 * Hyperparameters in the state, where they can be read and changed between steps: without a new trace, since an array
 * may change where a number may not.
 */
import * as DType from "../Tensor/DType.ts"
import * as lax from "../Tensor/lax/index.ts"
import { isTensor, lift, type Tensor } from "../Tensor/Tensor.ts"
import type { GradientTransformation, ScalarOrSchedule } from "./GradientTransformation.ts"
import { safeIncrement, valueAt, zeroCount } from "./numeric.ts"
import { type ArrayTree, leaves } from "./tree.ts"

/** State of `injectHyperparams`. */
export interface HyperparamsState<H, S> {
  readonly count: Tensor
  /** The values that the last update used, and of constants those that the next one will use. */
  readonly hyperparams: { readonly [K in keyof H]: Tensor }
  readonly innerState: S
}

/** A hyperparameter as a scalar array: weak floats become those of the parameters' widest dtype. */
const strong = (x: Tensor, params: ArrayTree): Tensor => {
  if (!x.weakType) return x
  const dtypes = leaves(params).map((p) => p.dtype)
  const dtype = DType.isFloat(x.dtype) ? (dtypes.includes("float32") ? "float32" : dtypes[0] ?? "float32") : x.dtype
  return lax.convertElementType(x, dtype)
}

/** Whole numbers are meant as real ones. */
const scalar = (value: ScalarOrSchedule, count: Tensor): Tensor => {
  const x = valueAt(value, count)
  return isTensor(x) || typeof x === "boolean" ? lift(x) : lax.convertElementType(lift(x), "float32", true)
}

/**
 * A transformation made by a function of its hyperparameters, which are kept in the state. Numbers and arrays among
 * them stay until someone writes them (`optimizer.optState.hyperparams.learningRate` is a Variable); schedules are
 * asked at every update.
 *
 * ```ts import.meta.vitest
 * import { adamw, injectHyperparams } from "linum/Optimizer"
 * import * as T from "linum/Tensor"
 *
 * const tx = injectHyperparams(
 *   ({ learningRate, weightDecay }) => adamw(learningRate, { weightDecay }),
 *   { learningRate: 1e-3, weightDecay: 1e-4 }
 * )
 * const state = tx.init({ w: T.ones([2]) })
 * console.log(Object.keys(state.hyperparams)) // => [ 'learningRate', 'weightDecay' ]
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const injectHyperparams = <const H extends Readonly<Record<string, ScalarOrSchedule>>, S>(
  make: (hyperparams: { readonly [K in keyof H]: Tensor }) => GradientTransformation<S>,
  hyperparams: H
): GradientTransformation<HyperparamsState<H, S>> => {
  type Values = { readonly [K in keyof H]: Tensor }
  const names = Object.keys(hyperparams)
  const valuesAt = (count: Tensor, params: ArrayTree, kept?: Values): Values => {
    const entries = names.map((name) => {
      const given = hyperparams[name]
      const before: Tensor | undefined = kept?.[name]
      return [name, before === undefined || typeof given === "function" ? strong(scalar(given, count), params) : before]
    })
    return Object.fromEntries(entries) as Values
  }
  return {
    init: (params) => {
      const count = zeroCount()
      const values = valuesAt(count, params)
      return { count, hyperparams: values, innerState: make(values).init(params) }
    },
    update: (updates, state, params) => {
      const values = valuesAt(state.count, params, state.hyperparams)
      const step = make(values).update(updates, state.innerState, params)
      return {
        updates: step.updates,
        state: { count: safeIncrement(state.count), hyperparams: values, innerState: step.state }
      }
    }
  }
}
