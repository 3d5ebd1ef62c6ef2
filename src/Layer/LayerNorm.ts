/**
 * Layer normalization (Ba et al., "Layer normalization", 2016), and its variant without a mean (Zhang and Sennrich,
 * "Root mean square layer normalization", 2019).
 */
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import { Module } from "../Ref/Module.ts"
import type { Rngs } from "../Ref/Rngs.ts"
import type { TensorError } from "../Tensor/errors.ts"
import type { Tensor } from "../Tensor/Tensor.ts"
import { axesOf, normalize, type NormFields, normFields, type NormOptions, statistics } from "./normalizing.ts"
import { checkFeatures, type MakeError, type ParamOf, promoteDType, typed } from "./support.ts"

/** Options of `LayerNorm`; `epsilon` is 1e-6 by default. */
export interface LayerNormOptions<UseScale extends boolean = boolean, UseBias extends boolean = boolean>
  extends NormOptions<UseScale, UseBias>
{
  /** The axes that statistics are taken over: the last by default. */
  readonly reductionAxes?: number | ReadonlyArray<number> | undefined
  /** The axes of the parameters: the last by default. */
  readonly featureAxes?: number | ReadonlyArray<number> | undefined
}

/** The fields of a `LayerNorm`. */
export interface LayerNormFields<UseScale extends boolean, UseBias extends boolean>
  extends NormFields<UseScale, UseBias>
{
  readonly reductionAxes: number | ReadonlyArray<number>
  readonly featureAxes: number | ReadonlyArray<number>
}

/** Options of a call. */
export interface MaskedCall {
  /** bool, broadcast against the input: which elements count for the statistics. */
  readonly mask?: Tensor | undefined
}

/**
 * Every example normalized over its features, times `scale`, plus `bias`. `flax.nnx.LayerNorm`.
 *
 * Parameters: `scale` and `bias` [numFeatures].
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 * import * as Cpu from "linum/backend/tfjs-cpu"
 *
 * const program = Effect.gen(function*() {
 *   const norm = yield* nnx.LayerNorm.make(2)
 *   const y = yield* norm.apply(nnx.Tensor.array([[1, 3], [10, 30]]))
 *   return yield* nnx.Tensor.toNested(y.round(3))
 * })
 * console.log(await Effect.runPromise(program.pipe(Effect.provide([nnx.Rngs.layer(0), Cpu.layer]))))
 * // => [ [ -1, 1 ], [ -1, 1 ] ]
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export class LayerNorm<UseScale extends boolean = true, UseBias extends boolean = true>
  extends Module("LayerNorm")<LayerNormFields<UseScale, UseBias>>
{
  /** A layer with new parameters. */
  static readonly make = <const UseScale extends boolean = true, const UseBias extends boolean = true>(
    numFeatures: number,
    options: LayerNormOptions<UseScale, UseBias> = {}
  ): Effect.Effect<LayerNorm<UseScale, UseBias>, MakeError, Rngs> => makeLayerNorm(numFeatures, options)

  /** The normalized input, of its shape. Fails with a `ShapeError` for another number of features. */
  apply(x: Tensor, options: MaskedCall = {}): Effect.Effect<Tensor, TensorError> {
    return apply(`LayerNorm(${this.numFeatures})`, true, this, x, options)
  }
}

/** Options of `RMSNorm`; `epsilon` is 1e-6 by default. */
export interface RMSNormOptions<UseScale extends boolean = boolean>
  extends Omit<LayerNormOptions<UseScale, false>, "useBias" | "biasInit" | "biasMetadata">
{}

/**
 * Every example divided by the root of the mean of the squares of its features, times `scale`. `flax.nnx.RMSNorm`.
 *
 * Parameters: `scale` [numFeatures].
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 * import * as Cpu from "linum/backend/tfjs-cpu"
 *
 * const program = Effect.gen(function*() {
 *   const norm = yield* nnx.RMSNorm.make(2)
 *   const y = yield* norm.apply(nnx.Tensor.array([[2, -2], [10, 10]]))
 *   return yield* nnx.Tensor.toNested(y.round(3))
 * })
 * console.log(await Effect.runPromise(program.pipe(Effect.provide([nnx.Rngs.layer(0), Cpu.layer]))))
 * // => [ [ 1, -1 ], [ 1, 1 ] ]
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export class RMSNorm<UseScale extends boolean = true>
  extends Module("RMSNorm")<Omit<LayerNormFields<UseScale, false>, "bias" | "useBias">>
{
  /** A layer with new parameters. */
  static readonly make = <const UseScale extends boolean = true>(
    numFeatures: number,
    options: RMSNormOptions<UseScale> = {}
  ): Effect.Effect<RMSNorm<UseScale>, MakeError, Rngs> => makeRMSNorm(numFeatures, options)

  /** The normalized input, of its shape. Fails with a `ShapeError` for another number of features. */
  apply(x: Tensor, options: MaskedCall = {}): Effect.Effect<Tensor, TensorError> {
    return apply(`RMSNorm(${this.numFeatures})`, false, this, x, options)
  }
}

const makeLayerNorm = Effect.fnUntraced(function*<UseScale extends boolean, UseBias extends boolean>(
  numFeatures: number,
  options: LayerNormOptions<UseScale, UseBias>
): Effect.fn.Return<LayerNorm<UseScale, UseBias>, MakeError, Rngs> {
  const { featureAxes = -1, reductionAxes = -1 } = options
  const fields = yield* normFields(numFeatures, 1e-6, options)
  return new LayerNorm<UseScale, UseBias>({ reductionAxes, featureAxes, ...fields })
}, typed)

const makeRMSNorm = Effect.fnUntraced(function*<UseScale extends boolean>(
  numFeatures: number,
  options: RMSNormOptions<UseScale>
): Effect.fn.Return<RMSNorm<UseScale>, MakeError, Rngs> {
  const { featureAxes = -1, reductionAxes = -1 } = options
  const { bias: _, useBias: __, ...fields } = yield* normFields(numFeatures, 1e-6, { ...options, useBias: false })
  return new RMSNorm<UseScale>({ reductionAxes, featureAxes, ...fields })
}, typed)

/** What both kinds have. */
interface Normalizing extends Omit<LayerNormFields<boolean, boolean>, "bias" | "useBias"> {
  readonly bias?: ParamOf | undefined
}

const apply = Effect.fnUntraced(
  function*(name: string, useMean: boolean, self: Normalizing, input: Tensor, options: MaskedCall) {
    const storedScale = self.scale === undefined ? undefined : yield* Ref.get(self.scale)
    const storedBias = self.bias === undefined ? undefined : yield* Ref.get(self.bias)
    const [x, scale, bias] = promoteDType(name, self.dtype, [input, storedScale, storedBias])
    const reductionAxes = axesOf(name, self.reductionAxes, x.ndim)
    const featureAxes = axesOf(name, self.featureAxes, x.ndim)
    const parameter = storedScale ?? storedBias
    if (featureAxes.length === 1 && parameter !== undefined) {
      checkFeatures(name, x, self.numFeatures, parameter, featureAxes[0])
    }
    const [mean, variance] = statistics(x, reductionAxes, {
      dtype: self.dtype,
      axisName: self.axisName,
      useFastVariance: self.useFastVariance,
      useMean,
      mask: options.mask
    })
    return normalize(name, x, { mean, variance, scale, bias, reductionAxes, featureAxes }, self)
  },
  typed
)
