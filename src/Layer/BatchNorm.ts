/**
 * Batch normalization (Ioffe and Szegedy, "Batch normalization: accelerating deep network training by reducing internal
 * covariate shift", 2015).
 */
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import { Module } from "../Ref/Module.ts"
import type { Rngs } from "../Ref/Rngs.ts"
import { BatchStat, type Variable } from "../Ref/Variable.ts"
import type { TensorError } from "../Tensor/errors.ts"
import * as lax from "../Tensor/lax/index.ts"
import { add, mul } from "../Tensor/numpy/elementwise.ts"
import * as Shape from "../Tensor/Shape.ts"
import { literal, type Tensor } from "../Tensor/Tensor.ts"
import { axesOf, normalize, type NormFields, normFields, type NormOptions, statistics } from "./normalizing.ts"
import { checkFeatures, type MakeError, promoteDType, typed } from "./support.ts"

/** Options of `BatchNorm`; `epsilon` is 1e-5 by default. */
export interface BatchNormOptions<UseScale extends boolean = boolean, UseBias extends boolean = boolean>
  extends NormOptions<UseScale, UseBias>
{
  /** Normalize with the running statistics, not with those of the batch; false by default. */
  readonly useRunningAverage?: boolean | undefined
  /** The axis of the features: the last by default. */
  readonly axis?: number | undefined
  /** How much of the running statistics each step keeps: 0.99 by default. */
  readonly momentum?: number | undefined
}

/** The fields of a `BatchNorm`. */
export interface BatchNormFields<UseScale extends boolean, UseBias extends boolean>
  extends NormFields<UseScale, UseBias>
{
  readonly mean: Variable<"BatchStat", Tensor>
  readonly var: Variable<"BatchStat", Tensor>
  readonly useRunningAverage: boolean
  readonly axis: number
  readonly momentum: number
}

/** Options of a call of a `BatchNorm`. */
export interface BatchNormCall {
  /** Instead of the layer's own. */
  readonly useRunningAverage?: boolean | undefined
  /** bool, broadcast against the input: which elements count for the statistics. */
  readonly mask?: Tensor | undefined
}

/**
 * Every feature normalized over the batch, times `scale`, plus `bias`. `flax.nnx.BatchNorm`.
 *
 * In training it normalizes with the mean and variance of the batch, and moves the running ones towards them, in
 * float32: running = momentum · running + (1 - momentum) · batch. With `useRunningAverage` it normalizes with those,
 * and writes nothing; `evalMode(model)` is a view of a model that does so.
 *
 * Parameters: `scale` and `bias` [numFeatures]; statistics (`BatchStat`): `mean` and `var` [numFeatures], float32.
 *
 * ```ts import.meta.vitest
 * import { Effect, Ref } from "effect"
 * import * as nnx from "linum"
 * import * as Cpu from "linum/backend/tfjs-cpu"
 *
 * const program = Effect.gen(function*() {
 *   const norm = yield* nnx.BatchNorm.make(2, { momentum: 0.5 })
 *   const y = yield* norm.apply(nnx.Tensor.array([[1, 10], [3, 30]]))
 *   return [yield* nnx.Tensor.toNested(y.round(2)), yield* nnx.Tensor.toNested(yield* Ref.get(norm.mean))]
 * })
 * console.log(await Effect.runPromise(program.pipe(Effect.provide([nnx.Rngs.layer(0), Cpu.layer]))))
 * // => [ [ [ -1, -1 ], [ 1, 1 ] ], [ 1, 10 ] ]
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export class BatchNorm<UseScale extends boolean = true, UseBias extends boolean = true>
  extends Module("BatchNorm")<BatchNormFields<UseScale, UseBias>>
{
  /** A layer with new parameters, running mean 0 and running variance 1. */
  static readonly make = <const UseScale extends boolean = true, const UseBias extends boolean = true>(
    numFeatures: number,
    options: BatchNormOptions<UseScale, UseBias> = {}
  ): Effect.Effect<BatchNorm<UseScale, UseBias>, MakeError, Rngs> => make(numFeatures, options)

  /** The normalized input, of its shape. Fails with a `ShapeError` for another number of features. */
  apply(x: Tensor, options: BatchNormCall = {}): Effect.Effect<Tensor, TensorError> {
    return apply(this, x, options)
  }
}

const make = Effect.fnUntraced(function*<UseScale extends boolean, UseBias extends boolean>(
  numFeatures: number,
  options: BatchNormOptions<UseScale, UseBias>
): Effect.fn.Return<BatchNorm<UseScale, UseBias>, MakeError, Rngs> {
  const { axis = -1, momentum = 0.99, useRunningAverage = false } = options
  const fields = yield* normFields(numFeatures, 1e-5, options)
  const filled = (value: number) => lax.broadcastTo(literal(value, "float32"), [numFeatures])
  return new BatchNorm<UseScale, UseBias>({
    mean: BatchStat.makeUnsafe(filled(0)),
    var: BatchStat.makeUnsafe(filled(1)),
    useRunningAverage,
    axis,
    momentum,
    ...fields
  })
}, typed)

/** What a running statistic becomes. It has no derivative: it is no part of what is learned. */
const moved = (momentum: number, running: Tensor, batch: Tensor): Tensor =>
  lax.stopGradient(add(mul(momentum, running), mul(1 - momentum, batch)))

const apply = Effect.fnUntraced(function*(self: BatchNorm<boolean, boolean>, input: Tensor, options: BatchNormCall) {
  const name = `BatchNorm(${self.numFeatures})`
  const [runningMean, runningVar] = [yield* Ref.get(self.mean), yield* Ref.get(self.var)]
  checkFeatures(name, input, self.numFeatures, runningMean, self.axis)
  const storedScale = self.scale === undefined ? undefined : yield* Ref.get(self.scale)
  const storedBias = self.bias === undefined ? undefined : yield* Ref.get(self.bias)
  const [x, oldMean, oldVar, scale, bias] = promoteDType(name, self.dtype, [
    input,
    runningMean,
    runningVar,
    storedScale,
    storedBias
  ])
  const featureAxes = axesOf(name, self.axis, x.ndim)
  const reductionAxes = Shape.range(x.ndim).filter((i) => !featureAxes.includes(i))
  if (options.useRunningAverage ?? self.useRunningAverage) {
    return normalize(name, x, { mean: oldMean, variance: oldVar, scale, bias, reductionAxes, featureAxes }, self)
  }
  const [mean, variance] = statistics(x, reductionAxes, {
    dtype: self.dtype,
    axisName: self.axisName,
    useFastVariance: self.useFastVariance,
    mask: options.mask
  })
  yield* Ref.set(self.mean, moved(self.momentum, runningMean, mean))
  yield* Ref.set(self.var, moved(self.momentum, runningVar, variance))
  return normalize(name, x, { mean, variance, scale, bias, reductionAxes, featureAxes }, self)
}, typed)
