/**
 * What layers share: how parameters are made, how operands come to one dtype, and how errors of array operations become
 * failures.
 */
import * as Effect from "effect/Effect"
import { Rngs, type RngStreamError } from "../Ref/Rngs.ts"
import { type Metadata, Param, type Variable } from "../Ref/Variable.ts"
import { throwingWith } from "../Tensor/attempt.ts"
import * as DType from "../Tensor/DType.ts"
import { DTypeError, isTensorError, ShapeError, type TensorError } from "../Tensor/errors.ts"
import * as lax from "../Tensor/lax/index.ts"
import type * as Shape from "../Tensor/Shape.ts"
import * as ShapedArray from "../Tensor/ShapedArray.ts"
import type { Tensor } from "../Tensor/Tensor.ts"
import type { ParameterInitializer } from "./initializers.ts"

/** A trainable array. */
export type ParamOf = Variable<"Param", Tensor>

/** A trainable array, if the layer uses one. */
export type ParamIf<Use extends boolean> = Use extends true ? ParamOf : undefined

/** What making a layer may fail with: no random stream to draw from, or sizes that do not fit. */
export type MakeError = RngStreamError | TensorError

/** Puts errors that array operations throw inside an Effect into its error channel. */
export const typed = throwingWith(isTensorError)

/** How a parameter begins. */
export interface Beginning {
  readonly init: ParameterInitializer
  readonly shape: Shape.Shape
  readonly dtype: DType.DType
  readonly metadata: Metadata | undefined
}

/** A parameter, with the next key of the stream `params`. */
export const param = (how: Beginning): Effect.Effect<ParamOf, RngStreamError, Rngs> =>
  Effect.map(
    Rngs.nextKey("params"),
    (key) => Param.makeUnsafe(how.init(key, how.shape, how.dtype), { metadata: how.metadata ?? {} })
  )

/** A parameter, or nothing, and then no key is drawn. */
export const paramIf = <Use extends boolean>(
  use: Use,
  how: Beginning
): Effect.Effect<ParamIf<Use>, RngStreamError, Rngs> =>
  // The compiler does not follow that `use` decides which of the two it is.
  (use ? param(how) : Effect.void) as Effect.Effect<ParamIf<Use>, RngStreamError, Rngs>

/**
 * The dtype that operands are computed in: `dtype` if it is given, else what they promote to, and float32 for integers.
 * Fails with a `DTypeError` if the given one is no float. `flax.nnx.nn.dtypes.canonicalize_dtype`.
 */
export const canonicalDType = (
  layer: string,
  dtype: DType.DType | undefined,
  xs: ReadonlyArray<Tensor | undefined>
): DType.DType => {
  if (dtype === undefined) return DType.toInexact(DType.resultType(...xs.filter((x) => x !== undefined))).dtype
  if (DType.isFloat(dtype)) return dtype
  throw new DTypeError({ operation: layer, expected: "a floating dtype", found: dtype, hint: "leave out dtype" })
}

/** The operands in one dtype; those that are missing stay so. `flax.nnx.nn.dtypes.promote_dtype`. */
export const promoteDType = <const Xs extends ReadonlyArray<Tensor | undefined>>(
  layer: string,
  dtype: DType.DType | undefined,
  xs: Xs
): Xs => {
  const common = canonicalDType(layer, dtype, xs)
  // Every Tensor becomes a Tensor, and what is undefined stays so.
  return xs.map((x) => x === undefined ? undefined : lax.convertElementType(x, common)) as unknown as Xs
}

/** Fails unless an axis of the input has the size that the layer was made for. */
export const checkFeatures = (layer: string, x: Tensor, features: number, parameter: Tensor, at = -1): void => {
  if (x.shape.at(at) === features) return
  throw new ShapeError({
    operation: layer,
    expected: `an input with features ${features} in axis ${at} (the parameter is ${
      ShapedArray.format(parameter.aval)
    })`,
    found: x.ndim === 0 ? "a scalar" : `features ${x.shape.at(at)} (the input is ${ShapedArray.format(x.aval)})`,
    hint: "features are the last axis; make the layer with the input's size, or transpose the input"
  })
}
