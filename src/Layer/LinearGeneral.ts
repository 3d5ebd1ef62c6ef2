/**
 * The linear layer over any axes: sums over several axes of the input, gives several axes of features, and may keep
 * leading axes apart, each with parameters of its own.
 */
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import { Module } from "../Ref/Module.ts"
import type { Rngs } from "../Ref/Rngs.ts"
import { mapRawValue } from "../Ref/variableMetadata.ts"
import { ShapeError, type TensorError } from "../Tensor/errors.ts"
import * as lax from "../Tensor/lax/index.ts"
import { add } from "../Tensor/numpy/elementwise.ts"
import { reshape } from "../Tensor/numpy/shaping.ts"
import * as Shape from "../Tensor/Shape.ts"
import * as ShapedArray from "../Tensor/ShapedArray.ts"
import type { Tensor } from "../Tensor/Tensor.ts"
import type { ParameterInitializer } from "./initializers.ts"
import { kernelDefaults, type KernelFields, type KernelOptions } from "./Linear.ts"
import { type MakeError, param, paramIf, promoteDType, typed } from "./support.ts"

/** One size or axis, or several. */
type Several = number | ReadonlyArray<number>

const list = (x: Several): ReadonlyArray<number> => typeof x === "number" ? [x] : x

/** Options of `LinearGeneral`. */
export interface LinearGeneralOptions<UseBias extends boolean = boolean> extends KernelOptions<UseBias> {
  /** The axes of the input that are summed over, one for each of `inFeatures`; the last by default. */
  readonly axis?: Several | undefined
  /** Leading axes of the input that have parameters of their own, with their sizes: `{ 0: 8 }`. */
  readonly batchAxis?: Readonly<Record<number, number>> | undefined
}

/** The fields of a `LinearGeneral`. */
export interface LinearGeneralFields<UseBias extends boolean> extends KernelFields<UseBias> {
  readonly inFeatures: ReadonlyArray<number>
  readonly outFeatures: ReadonlyArray<number>
  readonly axis: ReadonlyArray<number>
  /** Sizes of the axes 0, 1, … that have parameters of their own. */
  readonly batchSizes: ReadonlyArray<number>
}

/**
 * A linear layer whose features may be several axes: [batch…, inFeatures…] to [batch…, outFeatures…].
 * `flax.nnx.LinearGeneral`.
 *
 * Parameters: `kernel` [batchSizes…, inFeatures…, outFeatures…], `bias` [batchSizes…, outFeatures…]. They are
 * initialized as matrices, with all inputs as one axis and all outputs as another.
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 *
 * const program = Effect.gen(function*() {
 *   const heads = yield* nnx.LinearGeneral.make(6, [2, 3])
 *   const back = yield* nnx.LinearGeneral.make([2, 3], 6, { axis: [-2, -1] })
 *   const y = yield* heads.apply(nnx.Tensor.ones([5, 6]))
 *   const z = yield* back.apply(y)
 *   return [y.shape, z.shape]
 * })
 * console.log(Effect.runSync(program.pipe(Effect.provide(nnx.Rngs.layer(0))))) // => [ [ 5, 2, 3 ], [ 5, 6 ] ]
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export class LinearGeneral<UseBias extends boolean = true>
  extends Module("LinearGeneral")<LinearGeneralFields<UseBias>>
{
  /** A layer with new parameters. Draws a key for the kernel, then one for the bias. */
  static readonly make = <const UseBias extends boolean = true>(
    inFeatures: Several,
    outFeatures: Several,
    options: LinearGeneralOptions<UseBias> = {}
  ): Effect.Effect<LinearGeneral<UseBias>, MakeError, Rngs> => make(inFeatures, outFeatures, options)

  /** Fails with a `ShapeError` if the input's axes have other sizes than the layer was made for. */
  apply(x: Tensor): Effect.Effect<Tensor, TensorError> {
    return apply(this, x)
  }
}

const format = (features: ReadonlyArray<number>): string =>
  features.length === 1 ? `${features[0]}` : Shape.format(features)

/** Sizes of the axes 0, 1, … in order. */
const leading = (name: string, batchAxis: Readonly<Record<number, number>>): ReadonlyArray<number> => {
  const keys = Object.keys(batchAxis).map(Number)
  if (keys.every((key, i) => key === i)) return keys.map((key) => batchAxis[key])
  throw new ShapeError({
    operation: name,
    expected: "batchAxis to name the leading axes 0, 1, …",
    found: JSON.stringify(batchAxis),
    hint: "transpose the input"
  })
}

/** Initializes a matrix, and gives it the shape of the parameter. */
const flattened = (init: ParameterInitializer, flat: Shape.Shape): ParameterInitializer => (key, shape, dtype) =>
  mapRawValue(init(key, flat, dtype), (matrix: Tensor) => reshape(matrix, shape))

const make = Effect.fnUntraced(function*<UseBias extends boolean>(
  inputs: Several,
  outputs: Several,
  options: LinearGeneralOptions<UseBias>
): Effect.fn.Return<LinearGeneral<UseBias>, MakeError, Rngs> {
  const { biasInit, kernelInit, ...fields } = kernelDefaults(options)
  const [inFeatures, outFeatures, axis] = [list(inputs), list(outputs), list(options.axis ?? -1)]
  const name = `LinearGeneral(${format(inFeatures)}, ${format(outFeatures)})`
  const batchSizes = leading(name, options.batchAxis ?? {})
  if (inFeatures.length !== axis.length) {
    return yield* new ShapeError({
      operation: name,
      expected: "as many axes as sizes of input features",
      found: `axes ${Shape.format(axis)} for features ${Shape.format(inFeatures)}`,
      hint: "give an axis for every size"
    })
  }
  const biasShape = [...batchSizes, ...outFeatures]
  const kernel = yield* param({
    init: flattened(kernelInit, [Shape.size([...batchSizes, ...inFeatures]), Shape.size(outFeatures)]),
    shape: [...batchSizes, ...inFeatures, ...outFeatures],
    dtype: fields.paramDtype,
    metadata: options.kernelMetadata
  })
  const bias = yield* paramIf(fields.useBias, {
    init: flattened(biasInit, [Shape.size(biasShape)]),
    shape: biasShape,
    dtype: fields.paramDtype,
    metadata: options.biasMetadata
  })
  return new LinearGeneral<UseBias>({ kernel, bias, inFeatures, outFeatures, axis, batchSizes, ...fields })
}, typed)

/** Fails unless the input has the sizes of the kernel where they meet. */
const check = (name: string, self: LinearGeneral<boolean>, x: Tensor, kernel: Tensor, axes: ReadonlyArray<number>) => {
  const contracted = axes.map((at) => x.shape[at])
  const batch = x.shape.slice(0, self.batchSizes.length)
  if (Shape.equals(contracted, self.inFeatures) && Shape.equals(batch, self.batchSizes)) return
  const leads = self.batchSizes.length === 0 ? "" : ` and leading axes ${Shape.format(self.batchSizes)}`
  throw new ShapeError({
    operation: name,
    expected: `an input with features ${format(self.inFeatures)} in axis ${format(self.axis)}${leads}, for the kernel ${
      ShapedArray.format(kernel.aval)
    }`,
    found: `features ${format(contracted)} in the input ${ShapedArray.format(x.aval)}`,
    hint: "make the layer with the input's sizes, or transpose the input"
  })
}

const apply = Effect.fnUntraced(function*(self: LinearGeneral<boolean>, inputs: Tensor) {
  const name = `LinearGeneral(${format(self.inFeatures)}, ${format(self.outFeatures)})`
  const stored = yield* Ref.get(self.kernel)
  const axes = self.axis.map((at) => Shape.axis(name, at, inputs.ndim))
  check(name, self, inputs, stored, axes)
  const storedBias = self.bias === undefined ? undefined : yield* Ref.get(self.bias)
  const [x, kernel, bias] = promoteDType(name, self.dtype, [inputs, stored, storedBias])
  const batch = Shape.range(self.batchSizes.length)
  const dimensions: lax.DotDimensionNumbers = {
    contracting: [axes, axes.map((_, i) => i + batch.length)],
    batch: [batch, batch]
  }
  const y = lax.dotGeneral(x, kernel, dimensions, self.preferredElementType ?? null)
  if (bias === undefined) return y
  const free = x.shape.filter((_, i) => !axes.includes(i)).map((size, i) => i < batch.length ? size : 1)
  return add(y, reshape(bias, [...free, ...self.outFeatures]))
}, typed)
