/**
 * Convolution over any number of spatial axes. Channels are last, as in Flax: images are [batch, height, width,
 * features].
 */
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import { Module } from "../Ref/Module.ts"
import type { Rngs } from "../Ref/Rngs.ts"
import { ShapeError, type TensorError } from "../Tensor/errors.ts"
import * as lax from "../Tensor/lax/index.ts"
import { convGeneralDilated } from "../Tensor/nn/convolution.ts"
import type { Padding as LaxPadding } from "../Tensor/nn/windows.ts"
import { unknownPadding } from "../Tensor/nn/windows.ts"
import { add, mul } from "../Tensor/numpy/elementwise.ts"
import { pad } from "../Tensor/numpy/padding.ts"
import { reshape } from "../Tensor/numpy/shaping.ts"
import * as Shape from "../Tensor/Shape.ts"
import * as ShapedArray from "../Tensor/ShapedArray.ts"
import type { Tensor } from "../Tensor/Tensor.ts"
import { kernelDefaults, type KernelFields, type KernelOptions } from "./Linear.ts"
import { checkFeatures, type MakeError, param, paramIf, promoteDType, typed } from "./support.ts"

/** One number for every spatial axis, or one for all. */
type EachAxis = number | ReadonlyArray<number>

/**
 * What is before and after the input along its spatial axes: as many zeros as keep its size (`SAME`), nothing
 * (`VALID`), its other end (`CIRCULAR`), its mirror image (`REFLECT`), zeros before it only (`CAUSAL`, one spatial
 * axis), or numbers of zeros: one for all, or for each axis one or [before, after].
 */
export type ConvPadding =
  | "SAME"
  | "VALID"
  | "CIRCULAR"
  | "REFLECT"
  | "CAUSAL"
  | number
  | ReadonlyArray<number | readonly [before: number, after: number]>

/** Options of `Conv`. */
export interface ConvLayerOptions<
  UseBias extends boolean = boolean,
  Mask extends Tensor | undefined = Tensor | undefined
> extends KernelOptions<UseBias> {
  /** Distances between windows; 1 by default. */
  readonly strides?: EachAxis | undefined
  /** `SAME` by default. */
  readonly padding?: ConvPadding | undefined
  /** Holes between the elements of the input; 1, none, by default. */
  readonly inputDilation?: EachAxis | undefined
  /** Holes between the elements of the kernel; 1, none, by default. */
  readonly kernelDilation?: EachAxis | undefined
  /** Groups of features that are convolved apart; 1 by default. */
  readonly featureGroupCount?: number | undefined
  /** What the kernel is multiplied by, of its shape. */
  readonly mask?: Mask
}

/** The fields of a `Conv`. */
export interface ConvFields<UseBias extends boolean, Mask extends Tensor | undefined> extends KernelFields<UseBias> {
  readonly inFeatures: number
  readonly outFeatures: number
  readonly kernelSize: ReadonlyArray<number>
  readonly strides: EachAxis
  readonly padding: ConvPadding
  readonly inputDilation: EachAxis
  readonly kernelDilation: EachAxis
  readonly featureGroupCount: number
  readonly mask: Mask
}

/**
 * A convolution: [batch…, spatial…, inFeatures] to [batch…, spatial…, outFeatures]. Without batch axes the input is one
 * example. `flax.nnx.Conv`.
 *
 * Parameters: `kernel` [kernelSize…, inFeatures / featureGroupCount, outFeatures], `bias` [outFeatures].
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 *
 * const program = Effect.gen(function*() {
 *   const images = nnx.Tensor.ones([8, 28, 28, 1])
 *   const same = yield* nnx.Conv.make(1, 32, [3, 3])
 *   const halved = yield* nnx.Conv.make(1, 32, [3, 3], { strides: 2 })
 *   const y = yield* same.apply(images)
 *   const z = yield* halved.apply(images)
 *   return [y.shape, z.shape]
 * })
 * console.log(Effect.runSync(program.pipe(Effect.provide(nnx.Rngs.layer(0)))))
 * // => [ [ 8, 28, 28, 32 ], [ 8, 14, 14, 32 ] ]
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export class Conv<UseBias extends boolean = true, Mask extends Tensor | undefined = undefined>
  extends Module("Conv")<ConvFields<UseBias, Mask>>
{
  /** A layer with new parameters. `kernelSize` has a number for each spatial axis. */
  static readonly make = <const UseBias extends boolean = true, Mask extends Tensor | undefined = undefined>(
    inFeatures: number,
    outFeatures: number,
    kernelSize: number | ReadonlyArray<number>,
    options: ConvLayerOptions<UseBias, Mask> = {}
  ): Effect.Effect<Conv<UseBias, Mask>, MakeError, Rngs> => make(inFeatures, outFeatures, kernelSize, options)

  /** Fails with a `ShapeError` if x has other features, or too few axes. */
  apply(x: Tensor): Effect.Effect<Tensor, TensorError> {
    return apply(this, x)
  }
}

const nameOf = (inFeatures: number, outFeatures: number, size: ReadonlyArray<number>): string =>
  `Conv(${inFeatures}, ${outFeatures}, ${Shape.format(size)})`

const make = Effect.fnUntraced(function*<UseBias extends boolean, Mask extends Tensor | undefined>(
  inFeatures: number,
  outFeatures: number,
  kernelSize: number | ReadonlyArray<number>,
  options: ConvLayerOptions<UseBias, Mask>
): Effect.fn.Return<Conv<UseBias, Mask>, MakeError, Rngs> {
  const { biasInit, kernelInit, ...fields } = kernelDefaults(options)
  const dtype = fields.paramDtype
  const size = typeof kernelSize === "number" ? [kernelSize] : kernelSize
  const { featureGroupCount = 1, mask } = options
  const name = nameOf(inFeatures, outFeatures, size)
  if (inFeatures % featureGroupCount !== 0 || outFeatures % featureGroupCount !== 0) {
    return yield* new ShapeError({
      operation: name,
      expected: `features that ${featureGroupCount} groups share evenly`,
      found: `${inFeatures} and ${outFeatures}`,
      hint: "change featureGroupCount"
    })
  }
  const shape = [...size, inFeatures / featureGroupCount, outFeatures]
  if (mask !== undefined && !Shape.equals(mask.shape, shape)) {
    return yield* new ShapeError({
      operation: name,
      expected: `a mask of the kernel's shape ${Shape.format(shape)}`,
      found: ShapedArray.format(mask.aval),
      hint: "broadcast the mask"
    })
  }
  const kernel = yield* param({ init: kernelInit, shape, dtype, metadata: options.kernelMetadata })
  const bias = yield* paramIf(fields.useBias, {
    init: biasInit,
    shape: [outFeatures],
    dtype,
    metadata: options.biasMetadata
  })
  return new Conv<UseBias, Mask>({
    kernel,
    bias,
    inFeatures,
    outFeatures,
    kernelSize: size,
    strides: options.strides ?? 1,
    padding: options.padding ?? "SAME",
    inputDilation: options.inputDilation ?? 1,
    kernelDilation: options.kernelDilation ?? 1,
    featureGroupCount,
    // Without the option, `Mask` is its default, undefined.
    mask: mask as Mask,
    ...fields
  })
}, typed)

const each = (x: EachAxis, axes: number): ReadonlyArray<number> =>
  typeof x === "number" ? Array.from<number>({ length: axes }).fill(x) : x

/** Padding around the spatial axes of [batch, spatial…, features]. */
const around = (pads: ReadonlyArray<readonly [number, number]>): ReadonlyArray<readonly [number, number]> => [
  [0, 0],
  ...pads,
  [0, 0]
]

/** The input with the padding that the convolution itself does not know, and the padding that it does. */
const padded = (name: string, self: Conv<boolean, Tensor | undefined>, x: Tensor): readonly [Tensor, LaxPadding] => {
  const { kernelSize, padding } = self
  if (padding === "SAME" || padding === "VALID") return [x, padding]
  if (typeof padding !== "string") {
    const given = typeof padding === "number" ? kernelSize.map(() => padding) : padding
    return [x, given.map((p) => typeof p === "number" ? [p, p] : p)]
  }
  const dilation = each(self.kernelDilation, kernelSize.length)
  if (padding === "CAUSAL") {
    if (kernelSize.length === 1) return [pad(x, around([[dilation[0] * (kernelSize[0] - 1), 0]])), "VALID"]
    throw new ShapeError({
      operation: name,
      expected: "one spatial axis for padding CAUSAL",
      found: `${kernelSize.length} spatial axes`,
      hint: "give the padding of every axis in numbers"
    })
  }
  if (padding !== "CIRCULAR" && padding !== "REFLECT") throw unknownPadding(name, padding)
  const sizes = kernelSize.map((k, i) => (k - 1) * dilation[i] + 1)
  const pads = around(sizes.map((k) => [Math.floor((k - 1) / 2), Math.floor(k / 2)]))
  return [pad(x, pads, { mode: padding === "CIRCULAR" ? "wrap" : "reflect" }), "VALID"]
}

const apply = Effect.fnUntraced(function*(self: Conv<boolean, Tensor | undefined>, inputs: Tensor) {
  const { kernelSize, mask } = self
  const name = nameOf(self.inFeatures, self.outFeatures, kernelSize)
  const stored = yield* Ref.get(self.kernel)
  const batchAxes = inputs.ndim - kernelSize.length - 1
  if (batchAxes < 0) {
    return yield* new ShapeError({
      operation: name,
      expected: `an input [batch…, ${kernelSize.length} spatial axes, ${self.inFeatures}]`,
      found: ShapedArray.format(inputs.aval),
      hint: "features are the last axis; add it, or reshape the input"
    })
  }
  checkFeatures(name, inputs, self.inFeatures, stored)
  const batch = inputs.shape.slice(0, batchAxes)
  const [widened, padding] = padded(name, self, reshape(inputs, [Shape.size(batch), ...inputs.shape.slice(batchAxes)]))
  const masked = mask === undefined ? stored : mul(stored, mask)
  const storedBias = self.bias === undefined ? undefined : yield* Ref.get(self.bias)
  const [x, kernel, bias] = promoteDType(name, self.dtype, [widened, masked, storedBias])
  const spatial = Shape.range(kernelSize.length)
  const layout = [0, x.ndim - 1, ...spatial.map((i) => i + 1)]
  const dimensions: lax.ConvDimensionNumbers = {
    lhs_spec: layout,
    rhs_spec: [x.ndim - 1, x.ndim - 2, ...spatial],
    out_spec: layout
  }
  const y = convGeneralDilated(x, kernel, {
    windowStrides: self.strides,
    padding,
    lhsDilation: self.inputDilation,
    rhsDilation: self.kernelDilation,
    dimensionNumbers: dimensions,
    featureGroupCount: self.featureGroupCount,
    preferredElementType: self.preferredElementType
  })
  const biased = bias === undefined ? y : add(y, bias)
  return batchAxes === 1 ? biased : reshape(biased, [...batch, ...biased.shape.slice(1)])
}, typed)
