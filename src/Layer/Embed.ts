/**
 * Embedding: a vector for each of a number of symbols.
 */
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import { Module } from "../Ref/Module.ts"
import type { Rngs } from "../Ref/Rngs.ts"
import type { Metadata } from "../Ref/Variable.ts"
import * as DType from "../Tensor/DType.ts"
import { DTypeError, type TensorError } from "../Tensor/errors.ts"
import * as lax from "../Tensor/lax/index.ts"
import { take } from "../Tensor/numpy/indexing.ts"
import * as ShapedArray from "../Tensor/ShapedArray.ts"
import type { Tensor } from "../Tensor/Tensor.ts"
import { type ParameterInitializer, varianceScaling } from "./initializers.ts"
import { checkFeatures, type MakeError, param, type ParamOf, promoteDType, typed } from "./support.ts"

/** Options of `Embed`. */
export interface EmbedOptions {
  /** The dtype of the vectors that are given; that of the parameter by default. */
  readonly dtype?: DType.DType | undefined
  /** The dtype of the parameter, float32 by default. */
  readonly paramDtype?: DType.DType | undefined
  /** Normal numbers of variance 1 / features by default. */
  readonly embeddingInit?: ParameterInitializer | undefined
  readonly embeddingMetadata?: Metadata | undefined
}

const defaultInit = varianceScaling(1, "fan_in", "normal", { outAxis: 0 })

/**
 * Rows of a table by number: integers of any shape to [shape…, features]. `flax.nnx.Embed`.
 *
 * Negative numbers count from the end, and numbers out of range give NaN. A table of one row gives that row always.
 *
 * Parameters: `embedding` [numEmbeddings, features].
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 *
 * const program = Effect.gen(function*() {
 *   const words = yield* nnx.Embed.make(1000, 16)
 *   const vectors = yield* words.apply(nnx.Tensor.array([[3, 7, 999]], { dtype: "int32" }))
 *   const logits = yield* words.attend(vectors)
 *   return [vectors.shape, logits.shape]
 * })
 * console.log(Effect.runSync(program.pipe(Effect.provide(nnx.Rngs.layer(0))))) // => [ [ 1, 3, 16 ], [ 1, 3, 1000 ] ]
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export class Embed extends Module("Embed")<{
  readonly embedding: ParamOf
  readonly numEmbeddings: number
  readonly features: number
  readonly dtype: DType.DType
  readonly paramDtype: DType.DType
}> {
  /** A layer with a new table. */
  static readonly make = (
    numEmbeddings: number,
    features: number,
    options: EmbedOptions = {}
  ): Effect.Effect<Embed, MakeError, Rngs> => make(numEmbeddings, features, options)

  /** The rows that integers name. Fails with a `DTypeError` for anything but integers. */
  apply(x: Tensor): Effect.Effect<Tensor, TensorError> {
    return apply(this, x)
  }

  /** The product of vectors [batch…, features] with every row: [batch…, numEmbeddings]. */
  attend(query: Tensor): Effect.Effect<Tensor, TensorError> {
    return attend(this, query)
  }
}

const make = Effect.fnUntraced(function*(
  numEmbeddings: number,
  features: number,
  options: EmbedOptions
): Effect.fn.Return<Embed, MakeError, Rngs> {
  const { embeddingInit = defaultInit, paramDtype = "float32" } = options
  const embedding = yield* param({
    init: embeddingInit,
    shape: [numEmbeddings, features],
    dtype: paramDtype,
    metadata: options.embeddingMetadata
  })
  return new Embed({ embedding, numEmbeddings, features, dtype: options.dtype ?? paramDtype, paramDtype })
}, typed)

const apply = Effect.fnUntraced(function*(self: Embed, x: Tensor) {
  if (!DType.isInteger(x.dtype)) {
    return yield* new DTypeError({
      operation: `Embed(${self.numEmbeddings}, ${self.features})`,
      expected: "numbers of rows, of an integer dtype",
      found: ShapedArray.format(x.aval),
      hint: "convert with astype"
    })
  }
  const table = lax.convertElementType(yield* Ref.get(self.embedding), self.dtype)
  if (self.numEmbeddings === 1) return lax.broadcastTo(lax.reshape(table, [self.features]), [...x.shape, self.features])
  return take(table, x, 0)
}, typed)

const attend = Effect.fnUntraced(function*(self: Embed, query: Tensor) {
  const name = `Embed(${self.numEmbeddings}, ${self.features}).attend`
  const stored = yield* Ref.get(self.embedding)
  checkFeatures(name, query, self.features, stored)
  const [q, embedding] = promoteDType(name, self.dtype, [query, stored])
  return lax.dotGeneral(q, embedding, { contracting: [[q.ndim - 1], [1]], batch: [[], []] })
}, typed)
