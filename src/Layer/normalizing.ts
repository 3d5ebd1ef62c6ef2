/**
 * What the normalization layers share: mean and variance over some axes, and the normalized input times `scale` plus
 * `bias`.
 *
 * Statistics are computed in float32 at least. The fast variance is mean(x²) - mean(x)², at least 0; the other one is
 * mean((x - mean(x))²).
 */
import * as Effect from "effect/Effect"
import type { Rngs, RngStreamError } from "../Ref/Rngs.ts"
import type { Metadata } from "../Ref/Variable.ts"
import * as DType from "../Tensor/DType.ts"
import * as lax from "../Tensor/lax/index.ts"
import { add, maximum, mul, rsqrt, square, sub } from "../Tensor/numpy/elementwise.ts"
import { mean as average } from "../Tensor/numpy/reductions.ts"
import { reshape } from "../Tensor/numpy/shaping.ts"
import * as Shape from "../Tensor/Shape.ts"
import { literal, type Tensor } from "../Tensor/Tensor.ts"
import { pmean } from "../Transform/collectives.ts"
import { ones, type ParameterInitializer, zeros } from "./initializers.ts"
import { canonicalDType, type ParamIf, paramIf } from "./support.ts"

/** Options of all normalization layers. */
export interface NormOptions<UseScale extends boolean = boolean, UseBias extends boolean = boolean> {
  /** Added to the variance, so that nothing is divided by zero. */
  readonly epsilon?: number | undefined
  /** The dtype of the result; by default what the input and the parameters promote to. */
  readonly dtype?: DType.DType | undefined
  /** The dtype of the parameters, float32 by default. */
  readonly paramDtype?: DType.DType | undefined
  /** Multiply by a parameter; true by default. */
  readonly useScale?: UseScale | undefined
  /** Add a parameter; true by default. */
  readonly useBias?: UseBias | undefined
  /** `ones` by default. */
  readonly scaleInit?: ParameterInitializer | undefined
  /** `zeros` by default. */
  readonly biasInit?: ParameterInitializer | undefined
  /** The name of a `vmap` axis over which statistics are taken as well. */
  readonly axisName?: string | undefined
  /** Compute the variance as mean(x²) - mean(x)²; true by default. */
  readonly useFastVariance?: boolean | undefined
  readonly scaleMetadata?: Metadata | undefined
  readonly biasMetadata?: Metadata | undefined
}

/** The fields of all normalization layers. */
export interface NormFields<UseScale extends boolean, UseBias extends boolean> {
  readonly scale: ParamIf<UseScale>
  readonly bias: ParamIf<UseBias>
  readonly numFeatures: number
  readonly epsilon: number
  readonly dtype: DType.DType | undefined
  readonly paramDtype: DType.DType
  readonly useScale: UseScale
  readonly useBias: UseBias
  readonly axisName: string | undefined
  readonly useFastVariance: boolean
}

/** The fields, with new parameters: draws a key for the scale, then one for the bias. */
export const normFields = <UseScale extends boolean, UseBias extends boolean>(
  numFeatures: number,
  epsilon: number,
  options: NormOptions<UseScale, UseBias>
): Effect.Effect<NormFields<UseScale, UseBias>, RngStreamError, Rngs> => {
  const { axisName, biasInit = zeros, paramDtype = "float32", scaleInit = ones, useFastVariance = true } = options
  // Without the options, `UseScale` and `UseBias` are their defaults, true.
  const useScale = (options.useScale ?? true) as UseScale
  const useBias = (options.useBias ?? true) as UseBias
  const parameter = <Use extends boolean>(use: Use, init: ParameterInitializer, metadata: Metadata | undefined) =>
    paramIf(use, { init, shape: [numFeatures], dtype: paramDtype, metadata })
  return Effect.zipWith(
    parameter(useScale, scaleInit, options.scaleMetadata),
    parameter(useBias, biasInit, options.biasMetadata),
    (scale, bias) => ({
      scale,
      bias,
      numFeatures,
      epsilon: options.epsilon ?? epsilon,
      dtype: options.dtype,
      paramDtype,
      useScale,
      useBias,
      axisName,
      useFastVariance
    })
  )
}

/** Axes as sorted positions, each once. */
export const axesOf = (layer: string, axes: number | ReadonlyArray<number>, rank: number): ReadonlyArray<number> =>
  [...new Set((typeof axes === "number" ? [axes] : axes).map((at) => Shape.axis(layer, at, rank)))].toSorted((a, b) =>
    a - b
  )

/** How statistics are taken. */
export interface StatisticsOptions {
  readonly dtype: DType.DType | undefined
  readonly axisName: string | undefined
  readonly useFastVariance: boolean
  /** Without it the mean counts as 0, and the variance is mean(x²). */
  readonly useMean?: boolean
  /** bool, broadcast against the input: which elements count. */
  readonly mask?: Tensor | undefined
}

/** Mean and variance over axes, which go. */
export const statistics = (
  input: Tensor,
  axis: ReadonlyArray<number>,
  options: StatisticsOptions
): readonly [mean: Tensor, variance: Tensor] => {
  const x = lax.convertElementType(input, DType.promoteTypes(options.dtype ?? input.dtype, "float32"))
  const { axisName, mask, useMean = true } = options
  const meanOf = (y: Tensor): Tensor => {
    const own = average(y, { axis, where: mask })
    return axisName === undefined ? own : pmean(own, axisName)
  }
  if (!useMean) {
    const variance = meanOf(square(x))
    return [lax.broadcastTo(literal(0, variance.dtype), variance.shape), variance]
  }
  const center = meanOf(x)
  if (options.useFastVariance) return [center, maximum(0, sub(meanOf(square(x)), square(center)))]
  const kept = x.shape.map((size, i) => axis.includes(i) ? 1 : size)
  return [center, meanOf(square(sub(x, reshape(center, kept))))]
}

/** What `normalize` normalizes with. */
export interface Statistics {
  readonly mean: Tensor
  readonly variance: Tensor
  readonly scale: Tensor | undefined
  readonly bias: Tensor | undefined
  /** The axes that `mean` and `variance` lack. */
  readonly reductionAxes: ReadonlyArray<number>
  /** The axes of `scale` and `bias`. */
  readonly featureAxes: ReadonlyArray<number>
}

/** (x - mean) · (rsqrt(variance + ε) · scale) + bias. */
export const normalize = (
  layer: string,
  x: Tensor,
  with_: Statistics,
  options: { readonly dtype: DType.DType | undefined; readonly epsilon: number }
): Tensor => {
  const { bias, featureAxes, mean, reductionAxes, scale, variance } = with_
  const statistic = (y: Tensor) => reshape(y, x.shape.map((size, i) => reductionAxes.includes(i) ? 1 : size))
  const feature = (y: Tensor) => reshape(y, x.shape.map((size, i) => featureAxes.includes(i) ? size : 1))
  const inverse = rsqrt(add(statistic(variance), options.epsilon))
  const factor = scale === undefined ? inverse : mul(inverse, feature(scale))
  const scaled = mul(sub(x, statistic(mean)), factor)
  const y = bias === undefined ? scaled : add(scaled, feature(bias))
  return lax.convertElementType(y, canonicalDType(layer, options.dtype, [x, scale, bias]))
}
