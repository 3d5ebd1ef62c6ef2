/**
 * Multi-head attention (Vaswani et al., "Attention is all you need", 2017), with a cache for decoding one token after
 * the other, grouped queries (Ainslie et al., "GQA", 2023) and normalized queries and keys (Dehghani et al., "ViT-22B",
 * 2023).
 */
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import type { StructureError } from "../GraphDef/errors.ts"
import { setAttribute } from "../GraphDef/structure.ts"
import { Module } from "../Ref/Module.ts"
import type { Rngs, RngStream } from "../Ref/Rngs.ts"
import { Cache, type Metadata, type Variable } from "../Ref/Variable.ts"
import type { DType } from "../Tensor/DType.ts"
import { ShapeError, type TensorError, TraceError } from "../Tensor/errors.ts"
import * as lax from "../Tensor/lax/index.ts"
import * as Shape from "../Tensor/Shape.ts"
import * as ShapedArray from "../Tensor/ShapedArray.ts"
import { literal, type Tensor } from "../Tensor/Tensor.ts"
import { type AttentionFn, cachedMask, combineMasks, dotProductAttention, int } from "./attention.ts"
import { forkStream, nextKey } from "./Dropout.ts"
import { lecunNormal, type ParameterInitializer, zeros } from "./initializers.ts"
import { LayerNorm } from "./LayerNorm.ts"
import { LinearGeneral, type LinearGeneralOptions } from "./LinearGeneral.ts"
import { type MakeError, typed } from "./support.ts"

/** Options of `MultiHeadAttention`. */
export interface MultiHeadAttentionOptions<UseBias extends boolean = boolean> {
  /** Features of queries, keys and values, all heads together: `inFeatures` by default. */
  readonly qkvFeatures?: number | undefined
  /** Features of the result: `inFeatures` by default. */
  readonly outFeatures?: number | undefined
  /** Heads of keys and values, each shared by the same number of query heads: `numHeads` by default. */
  readonly numKvHeads?: number | undefined
  /** Features of what keys and values are made from: `inFeatures` by default. */
  readonly inKvFeatures?: number | undefined
  readonly dtype?: DType | undefined
  /** The dtype of the parameters, float32 by default. */
  readonly paramDtype?: DType | undefined
  /** Which part of the attention weights is dropped; 0 by default. */
  readonly dropoutRate?: number | undefined
  /** Drop the same weights for all examples and heads; true by default. */
  readonly broadcastDropout?: boolean | undefined
  /** Drop nothing; false by default. */
  readonly deterministic?: boolean | undefined
  readonly kernelInit?: ParameterInitializer | undefined
  /** `kernelInit` by default. */
  readonly outKernelInit?: ParameterInitializer | undefined
  readonly biasInit?: ParameterInitializer | undefined
  /** `biasInit` by default. */
  readonly outBiasInit?: ParameterInitializer | undefined
  /** Add biases in all projections; true by default. */
  readonly useBias?: UseBias | undefined
  /** What attends; `dotProductAttention` by default. */
  readonly attentionFn?: AttentionFn | undefined
  /** Take one token at a time, and remember its key and value in the cache; false by default. */
  readonly decode?: boolean | undefined
  /** Normalize queries and keys with a LayerNorm; false by default. */
  readonly normalizeQk?: boolean | undefined
  readonly kernelMetadata?: Metadata | undefined
  readonly outKernelMetadata?: Metadata | undefined
  readonly biasMetadata?: Metadata | undefined
  readonly outBiasMetadata?: Metadata | undefined
  /** Hold a stream for dropout, if there is dropout; true by default. */
  readonly keepRngs?: boolean | undefined
}

/** A part of the cache: there is none before `initCache`. */
type CacheVariable = Variable<"Cache", Tensor> | undefined

/** The fields of a `MultiHeadAttention`. */
export interface MultiHeadAttentionFields<UseBias extends boolean> {
  readonly query: LinearGeneral<UseBias>
  readonly key: LinearGeneral<UseBias>
  readonly value: LinearGeneral<UseBias>
  readonly out: LinearGeneral<UseBias>
  readonly queryLn: LayerNorm<true, false> | undefined
  readonly keyLn: LayerNorm<true, false> | undefined
  readonly rngs: RngStream | undefined
  readonly cachedKey: CacheVariable
  readonly cachedValue: CacheVariable
  readonly cacheIndex: CacheVariable
  readonly numHeads: number
  readonly numKvHeads: number
  readonly headDim: number
  readonly inFeatures: number
  readonly inKvFeatures: number
  readonly qkvFeatures: number
  readonly outFeatures: number
  readonly dtype: DType | undefined
  readonly paramDtype: DType
  readonly dropoutRate: number
  readonly broadcastDropout: boolean
  readonly deterministic: boolean
  readonly decode: boolean
  readonly normalizeQk: boolean
  readonly useBias: UseBias
  readonly attentionFn: AttentionFn
}

/** Options of a call. */
export interface MultiHeadAttentionCall {
  /** What keys are made from, [batch…, S, inKvFeatures]: the queries' input by default. */
  readonly inputsK?: Tensor | undefined
  /** What values are made from: the keys' input by default. */
  readonly inputsV?: Tensor | undefined
  /** Which keys a query sees: [batch…, heads, T, S], sizes of 1 stand for all. */
  readonly mask?: Tensor | undefined
  /** Let query t see keys 0 to t only; false by default. */
  readonly isCausal?: boolean | undefined
  /** Instead of the layer's own. */
  readonly deterministic?: boolean | undefined
  /** Instead of the layer's own. */
  readonly decode?: boolean | undefined
  /** A stream or a key for dropout, instead of the layer's stream. */
  readonly rngs?: RngStream | Tensor | undefined
}

/**
 * Attention of [batch…, T, inFeatures] to itself, or to `inputsK` and `inputsV`: [batch…, T, outFeatures].
 * `flax.nnx.MultiHeadAttention`.
 *
 * It projects its input to queries, keys and values with numHeads heads of qkvFeatures / numHeads features each
 * (`query`, `key`, `value`, of which each is a `LinearGeneral`), attends, and projects what comes out with `out`.
 *
 * **Decoding.** After `initCache([batch…, maxLength, inFeatures])` and with `decode` it takes one token a call,
 * [batch…, 1, inFeatures], writes its key and value to the Variables `cachedKey` and `cachedValue` (of kind `Cache`) at
 * `cacheIndex`, and attends to all tokens so far.
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 *
 * const program = Effect.gen(function*() {
 *   const attention = yield* nnx.MultiHeadAttention.make(2, 8)
 *   const x = nnx.Tensor.ones([3, 5, 8])
 *   const y = yield* attention.apply(x, { isCausal: true })
 *   yield* attention.initCache([3, 5, 8])
 *   const first = yield* attention.apply(x.get(":", "0:1"), { decode: true })
 *   return [y.shape, first.shape]
 * })
 * console.log(Effect.runSync(program.pipe(Effect.provide(nnx.Rngs.layer(0))))) // => [ [ 3, 5, 8 ], [ 3, 1, 8 ] ]
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export class MultiHeadAttention<UseBias extends boolean = true>
  extends Module("MultiHeadAttention")<MultiHeadAttentionFields<UseBias>>
{
  /** A layer with new parameters. Fails with a `ShapeError` if heads do not share features evenly. */
  static readonly make = <const UseBias extends boolean = true>(
    numHeads: number,
    inFeatures: number,
    options: MultiHeadAttentionOptions<UseBias> = {}
  ): Effect.Effect<MultiHeadAttention<UseBias>, MakeError, Rngs> => make(numHeads, inFeatures, options)

  /** Fails with a `ShapeError` if inputs do not fit, and with a `TraceError` where a cache or a stream is missing. */
  apply(x: Tensor, options: MultiHeadAttentionCall = {}): Effect.Effect<Tensor, TensorError> {
    return apply(this, x, options)
  }

  /**
   * Makes an empty cache for inputs of this shape, [batch…, maxLength, inFeatures]: new Variables in the fields
   * `cached…`.
   */
  initCache(
    inputShape: Shape.Shape,
    options: { readonly dtype?: DType | undefined } = {}
  ): Effect.Effect<void, StructureError | TraceError> {
    return initCache(this, inputShape, options.dtype ?? "float32")
  }
}

const divides = (name: string, what: string, whole: number, parts: number): Effect.Effect<void, ShapeError> =>
  Number.isInteger(whole / parts) && parts > 0 ? Effect.void : Effect.fail(
    new ShapeError({
      operation: name,
      expected: `${what} to be a multiple of ${parts}`,
      found: String(whole),
      hint: "heads share features and keys evenly"
    })
  )

const make = Effect.fnUntraced(function*<UseBias extends boolean>(
  numHeads: number,
  inFeatures: number,
  options: MultiHeadAttentionOptions<UseBias>
): Effect.fn.Return<MultiHeadAttention<UseBias>, MakeError, Rngs> {
  const { qkvFeatures = inFeatures, outFeatures = inFeatures, inKvFeatures = inFeatures } = options
  const { dropoutRate = 0, keepRngs = true, normalizeQk = false, numKvHeads = numHeads } = options
  const { biasInit = zeros, dtype, kernelInit = lecunNormal(), paramDtype = "float32" } = options
  const name = `MultiHeadAttention(${numHeads}, ${inFeatures})`
  yield* divides(name, "qkvFeatures", qkvFeatures, numHeads)
  yield* divides(name, "numHeads", numHeads, numKvHeads)
  const headDim = qkvFeatures / numHeads
  const sizes = { numHeads, numKvHeads, headDim, inFeatures, inKvFeatures, qkvFeatures, outFeatures }
  // Without the option, `UseBias` is its default, true.
  const useBias = (options.useBias ?? true) as UseBias
  const { biasMetadata, kernelMetadata } = options
  const parameters = { useBias, dtype, paramDtype }
  const inner: LinearGeneralOptions<UseBias> = { ...parameters, kernelInit, biasInit, kernelMetadata, biasMetadata }
  const outer: LinearGeneralOptions<UseBias> = {
    ...inner,
    axis: [-2, -1],
    kernelInit: options.outKernelInit ?? kernelInit,
    biasInit: options.outBiasInit ?? biasInit,
    kernelMetadata: options.outKernelMetadata ?? kernelMetadata,
    biasMetadata: options.outBiasMetadata ?? biasMetadata
  }
  const norm = normalizeQk
    ? LayerNorm.make<true, false>(headDim, { useBias: false, dtype, paramDtype })
    : Effect.succeed(undefined)
  return new MultiHeadAttention<UseBias>({
    query: yield* LinearGeneral.make(inFeatures, [numHeads, headDim], inner),
    key: yield* LinearGeneral.make(inKvFeatures, [numKvHeads, headDim], inner),
    value: yield* LinearGeneral.make(inKvFeatures, [numKvHeads, headDim], inner),
    queryLn: yield* norm,
    keyLn: yield* norm,
    out: yield* LinearGeneral.make([numHeads, headDim], outFeatures, outer),
    rngs: keepRngs && dropoutRate > 0 ? yield* forkStream("dropout") : undefined,
    cachedKey: undefined,
    cachedValue: undefined,
    cacheIndex: undefined,
    ...sizes,
    ...parameters,
    dropoutRate,
    normalizeQk,
    broadcastDropout: options.broadcastDropout ?? true,
    deterministic: options.deterministic ?? false,
    decode: options.decode ?? false,
    attentionFn: options.attentionFn ?? dotProductAttention
  })
}, typed)

const initCache = Effect.fnUntraced(
  function*(self: MultiHeadAttention<boolean>, inputShape: Shape.Shape, dtype: DType) {
    const empty = lax.broadcastTo(literal(0, dtype), [...inputShape.slice(0, -1), self.numKvHeads, self.headDim])
    yield* setAttribute(self, "cachedKey", Cache.makeUnsafe(empty))
    yield* setAttribute(self, "cachedValue", Cache.makeUnsafe(empty))
    yield* setAttribute(self, "cacheIndex", Cache.makeUnsafe(int(0)))
  }
)

/** The keys and values so far, with those of one more token, and the mask for it. */
const remember = Effect.fnUntraced(function*(
  name: string,
  self: MultiHeadAttention<boolean>,
  key: Tensor,
  value: Tensor,
  mask: Tensor | undefined
) {
  const { cachedKey, cachedValue, cacheIndex } = self
  if (cachedKey === undefined || cachedValue === undefined || cacheIndex === undefined) {
    return yield* new TraceError({
      transform: name,
      reason: "the cache for decoding is not initialized",
      hint: "call initCache([batch…, maxLength, inFeatures]) once, before the first token"
    })
  }
  const [keys, values, index] = [yield* Ref.get(cachedKey), yield* Ref.get(cachedValue), yield* Ref.get(cacheIndex)]
  const batch = keys.shape.slice(0, -3)
  const [length, heads, depth] = keys.shape.slice(-3)
  const token = [...batch, 1, heads, depth]
  if (!Shape.equals(key.shape, token)) {
    return yield* new ShapeError({
      operation: name,
      expected: `one token, with a key ${Shape.format(token)} for the cache ${ShapedArray.format(keys.aval)}`,
      found: ShapedArray.format(key.aval),
      hint: "decode one token a call, with the batch that the cache was made for"
    })
  }
  const at = [...batch.map(() => int(0)), index, int(0), int(0)]
  const put = (cache: Tensor, x: Tensor) => lax.dynamicUpdateSlice(cache, lax.convertElementType(x, cache.dtype), at)
  const [allKeys, allValues] = [put(keys, key), put(values, value)]
  yield* Ref.set(cachedKey, allKeys)
  yield* Ref.set(cachedValue, allValues)
  yield* Ref.set(cacheIndex, lax.add(index, int(1)))
  return [allKeys, allValues, combineMasks([mask, cachedMask(index, length, batch)])] as const
})

const apply = Effect.fnUntraced(
  function*(self: MultiHeadAttention<boolean>, inputsQ: Tensor, options: MultiHeadAttentionCall) {
    const name = `MultiHeadAttention(${self.numHeads}, ${self.inFeatures})`
    const { inputsK, inputsV } = options
    if (inputsK === undefined && inputsV !== undefined) {
      return yield* new ShapeError({
        operation: name,
        expected: "inputsK with inputsV",
        found: "inputsV alone",
        hint: "values are made from inputsK by default"
      })
    }
    const projected = yield* self.query.apply(inputsQ)
    const ownKey = yield* self.key.apply(inputsK ?? inputsQ)
    const ownValue = yield* self.value.apply(inputsV ?? inputsK ?? inputsQ)
    const query = self.queryLn === undefined ? projected : yield* self.queryLn.apply(projected)
    const normalKey = self.keyLn === undefined ? ownKey : yield* self.keyLn.apply(ownKey)
    const [key, value, mask] = options.decode ?? self.decode
      ? yield* remember(name, self, normalKey, ownValue, options.mask)
      : [normalKey, ownValue, options.mask] as const
    const deterministic = self.dropoutRate === 0 || (options.deterministic ?? self.deterministic)
    const rngs = options.rngs ?? self.rngs
    if (!deterministic && rngs === undefined) {
      return yield* new TraceError({
        transform: name,
        reason: "dropout needs a stream, and the layer was made with keepRngs: false",
        hint: "pass rngs to apply, or deterministic: true"
      })
    }
    const attended = self.attentionFn(query, key, value, {
      mask,
      isCausal: options.isCausal,
      dropoutRate: self.dropoutRate,
      dropoutRng: deterministic || rngs === undefined ? undefined : yield* nextKey(rngs),
      broadcastDropout: self.broadcastDropout,
      deterministic,
      dtype: self.dtype
    })
    return yield* self.out.apply(attended)
  },
  typed
)
