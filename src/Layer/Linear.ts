/**
 * The linear layer: y = x · kernel + bias.
 */
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import { Module } from "../Ref/Module.ts"
import type { Rngs } from "../Ref/Rngs.ts"
import type { Metadata } from "../Ref/Variable.ts"
import type { DType } from "../Tensor/DType.ts"
import type { TensorError } from "../Tensor/errors.ts"
import * as lax from "../Tensor/lax/index.ts"
import { add } from "../Tensor/numpy/elementwise.ts"
import type { Tensor } from "../Tensor/Tensor.ts"
import { lecunNormal, type ParameterInitializer, zeros } from "./initializers.ts"
import {
  checkFeatures,
  type MakeError,
  param,
  type ParamIf,
  paramIf,
  type ParamOf,
  promoteDType,
  typed
} from "./support.ts"

/** Options of layers with a kernel and a bias. */
export interface KernelOptions<UseBias extends boolean = boolean> {
  /** Add a bias; true by default. */
  readonly useBias?: UseBias | undefined
  /** Compute in this dtype; by default in what the input and the parameters promote to. */
  readonly dtype?: DType | undefined
  /** The dtype of the parameters, float32 by default. */
  readonly paramDtype?: DType | undefined
  /** `lecunNormal()` by default. */
  readonly kernelInit?: ParameterInitializer | undefined
  /** `zeros` by default. */
  readonly biasInit?: ParameterInitializer | undefined
  /** Accumulate products in this dtype, and give it. */
  readonly preferredElementType?: DType | undefined
  readonly kernelMetadata?: Metadata | undefined
  readonly biasMetadata?: Metadata | undefined
}

/** What layers with a kernel and a bias keep of their options. */
export interface KernelFields<UseBias extends boolean> {
  readonly kernel: ParamOf
  readonly bias: ParamIf<UseBias>
  readonly useBias: UseBias
  readonly dtype: DType | undefined
  readonly paramDtype: DType
  readonly preferredElementType: DType | undefined
}

/** The options of a layer with their defaults. */
export const kernelDefaults = <UseBias extends boolean>(options: KernelOptions<UseBias>) => ({
  // Without the option, `UseBias` is its default, true.
  useBias: (options.useBias ?? true) as UseBias,
  dtype: options.dtype,
  paramDtype: options.paramDtype ?? "float32" as const,
  preferredElementType: options.preferredElementType,
  kernelInit: options.kernelInit ?? lecunNormal(),
  biasInit: options.biasInit ?? zeros
})

/** The fields of a `Linear`. */
export interface LinearFields<UseBias extends boolean> extends KernelFields<UseBias> {
  readonly inFeatures: number
  readonly outFeatures: number
}

/**
 * x · kernel + bias over the last axis: [batch…, inFeatures] to [batch…, outFeatures]. `flax.nnx.Linear`.
 *
 * Parameters: `kernel` [inFeatures, outFeatures], `bias` [outFeatures].
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 *
 * const program = Effect.gen(function*() {
 *   const layer = yield* nnx.Linear.make(3, 4)
 *   const y = yield* layer.apply(nnx.Tensor.ones([2, 3]))
 *   return y.shape
 * })
 * console.log(Effect.runSync(program.pipe(Effect.provide(nnx.Rngs.layer(0))))) // => [ 2, 4 ]
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export class Linear<UseBias extends boolean = true> extends Module("Linear")<LinearFields<UseBias>> {
  /** A layer with new parameters. Draws a key for the kernel, then one for the bias. */
  static readonly make = <const UseBias extends boolean = true>(
    inFeatures: number,
    outFeatures: number,
    options: KernelOptions<UseBias> = {}
  ): Effect.Effect<Linear<UseBias>, MakeError, Rngs> => make(inFeatures, outFeatures, options)

  /** Fails with a `ShapeError` if the last axis of x has another size than `inFeatures`. */
  apply(x: Tensor): Effect.Effect<Tensor, TensorError> {
    return applyLinear(this, x)
  }
}

const make = Effect.fnUntraced(function*<UseBias extends boolean>(
  inFeatures: number,
  outFeatures: number,
  options: KernelOptions<UseBias>
): Effect.fn.Return<Linear<UseBias>, MakeError, Rngs> {
  const { biasInit, kernelInit, ...fields } = kernelDefaults(options)
  const dtype = fields.paramDtype
  const { biasMetadata, kernelMetadata } = options
  const kernel = yield* param({ init: kernelInit, shape: [inFeatures, outFeatures], dtype, metadata: kernelMetadata })
  const bias = yield* paramIf(fields.useBias, { init: biasInit, shape: [outFeatures], dtype, metadata: biasMetadata })
  return new Linear<UseBias>({ kernel, bias, inFeatures, outFeatures, ...fields })
}, typed)

/** x · kernel + bias, for all that has the fields of a `Linear`. */
export const applyLinear = Effect.fnUntraced(function*(self: LinearFields<boolean>, inputs: Tensor) {
  const name = `Linear(${self.inFeatures}, ${self.outFeatures})`
  const stored = yield* Ref.get(self.kernel)
  checkFeatures(name, inputs, self.inFeatures, stored)
  const storedBias = self.bias === undefined ? undefined : yield* Ref.get(self.bias)
  const [x, kernel, bias] = promoteDType(name, self.dtype, [inputs, stored, storedBias])
  const dimensions: lax.DotDimensionNumbers = { contracting: [[x.ndim - 1], [0]], batch: [[], []] }
  const y = lax.dotGeneral(x, kernel, dimensions, self.preferredElementType ?? null)
  return bias === undefined ? y : add(y, bias)
}, typed)
