/**
 * Low-rank adaptation (Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", 2021): beside a layer that
 * stays as it is, a product of two thin matrices is trained.
 */
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import { Module } from "../Ref/Module.ts"
import { Rngs, type RngStreamError } from "../Ref/Rngs.ts"
import { type Kind, type Metadata, Param, type Variable } from "../Ref/Variable.ts"
import type { DType } from "../Tensor/DType.ts"
import type { TensorError } from "../Tensor/errors.ts"
import { add } from "../Tensor/numpy/elementwise.ts"
import { matmul } from "../Tensor/numpy/linalg.ts"
import type { Tensor } from "../Tensor/Tensor.ts"
import { heUniform, type ParameterInitializer, zeros } from "./initializers.ts"
import { applyLinear, type KernelOptions, Linear, type LinearFields } from "./Linear.ts"
import type { Applicable } from "./Sequential.ts"
import { checkFeatures, type MakeError, promoteDType, typed } from "./support.ts"

/**
 * The kind of what LoRA trains: a sub-kind of `Param`, so that `wrt: LoRAParam` trains it alone and `Param` covers it.
 *
 * @category kinds
 * @since 0.1.0
 */
export const LoRAParam = Param.sub("LoRAParam")

/** What all layers with LoRA take. `K` is the kind of the two matrices. */
export interface LoRAMatrices<K extends string = "Param/LoRAParam"> {
  /** Of the matrix [inFeatures, rank]: `heUniform()` by default. */
  readonly aInitializer?: ParameterInitializer | undefined
  /** Of the matrix [rank, outFeatures]: `zeros` by default, so that the layer begins as its base. */
  readonly bInitializer?: ParameterInitializer | undefined
  /** The kind of both matrices: `LoRAParam` by default. */
  readonly loraParamType?: Kind<K> | undefined
  readonly aMetadata?: Metadata | undefined
  readonly bMetadata?: Metadata | undefined
}

/** Options of `LoRA`. */
export interface LoRAOptions<Base, K extends string> extends LoRAMatrices<K> {
  /** A layer whose output is added. */
  readonly baseModule?: Base
  /** Compute in this dtype; by default in what the input and the matrices promote to. */
  readonly dtype?: DType | undefined
  /** The dtype of the matrices, float32 by default. */
  readonly paramDtype?: DType | undefined
}

/** The fields of a `LoRA`. */
export interface LoRAFields<Base, K extends string> {
  readonly loraA: Variable<K, Tensor>
  readonly loraB: Variable<K, Tensor>
  readonly baseModule: Base
  readonly inFeatures: number
  readonly outFeatures: number
  readonly dtype: DType | undefined
  readonly paramDtype: DType
}

type ErrorOf<Base> = Base extends Applicable<infer E, infer _R> ? E : never
type ServicesOf<Base> = Base extends Applicable<infer _E, infer R> ? R : never

/**
 * x · A · B, and the output of `baseModule` if there is one: [batch…, inFeatures] to [batch…, outFeatures].
 * `flax.nnx.LoRA`.
 *
 * Parameters: `loraA` [inFeatures, rank], `loraB` [rank, outFeatures]. Put around a layer of a live model with
 * `setAttribute`, it adapts the model without touching what was trained.
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 *
 * const program = Effect.gen(function*() {
 *   const linear = yield* nnx.Linear.make(3, 4)
 *   const layer = yield* nnx.LoRA.make(3, 2, 4, { baseModule: linear })
 *   const [, lora, rest] = yield* nnx.split(layer, nnx.LoRAParam, nnx.Param)
 *   const y = yield* layer.apply(nnx.Tensor.ones([16, 3]))
 *   return [y.shape, nnx.State.paths(lora), nnx.State.paths(rest)]
 * })
 * console.log(Effect.runSync(program.pipe(Effect.provide(nnx.Rngs.layer(0)))))
 * // => [
 * //   [ 16, 4 ],
 * //   [ [ 'loraA' ], [ 'loraB' ] ],
 * //   [ [ 'baseModule', 'bias' ], [ 'baseModule', 'kernel' ] ]
 * // ]
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export class LoRA<Base extends Applicable | undefined = undefined, K extends string = "Param/LoRAParam">
  extends Module("LoRA")<LoRAFields<Base, K>>
{
  /** A layer with new matrices. Draws a key for A, then one for B. */
  static readonly make = <Base extends Applicable | undefined = undefined, K extends string = "Param/LoRAParam">(
    inFeatures: number,
    rank: number,
    outFeatures: number,
    options: LoRAOptions<Base, K> = {}
  ): Effect.Effect<LoRA<Base, K>, MakeError, Rngs> => make(inFeatures, rank, outFeatures, options)

  /** Fails with a `ShapeError` if the last axis of x has another size than `inFeatures`. */
  apply(x: Tensor): Effect.Effect<Tensor, TensorError | ErrorOf<Base>, ServicesOf<Base>> {
    return apply(this, x) as Effect.Effect<Tensor, TensorError | ErrorOf<Base>, ServicesOf<Base>>
  }
}

const matrix = <K extends string>(
  kind: Kind<K>,
  init: ParameterInitializer,
  shape: readonly [number, number],
  dtype: DType,
  metadata: Metadata = {}
): Effect.Effect<Variable<K, Tensor>, RngStreamError, Rngs> =>
  Effect.map(Rngs.nextKey("params"), (key) => kind.makeUnsafe(init(key, shape, dtype), { metadata }))

const make = Effect.fnUntraced(function*<Base extends Applicable | undefined, K extends string>(
  inFeatures: number,
  rank: number,
  outFeatures: number,
  options: LoRAOptions<Base, K>
): Effect.fn.Return<LoRA<Base, K>, MakeError, Rngs> {
  const { aInitializer = heUniform(), bInitializer = zeros, dtype, paramDtype = "float32" } = options
  // Without the options, `K` and `Base` are their defaults.
  const kind = (options.loraParamType ?? LoRAParam) as Kind<K>
  const baseModule = options.baseModule as Base
  const loraA = yield* matrix(kind, aInitializer, [inFeatures, rank], paramDtype, options.aMetadata)
  const loraB = yield* matrix(kind, bInitializer, [rank, outFeatures], paramDtype, options.bMetadata)
  return new LoRA<Base, K>({ loraA, loraB, baseModule, inFeatures, outFeatures, dtype, paramDtype })
}, typed)

const apply = Effect.fnUntraced(function*(self: LoRA<Applicable | undefined, string>, inputs: Tensor) {
  const name = `LoRA(${self.inFeatures}, ${self.outFeatures})`
  const [storedA, storedB] = [yield* Ref.get(self.loraA), yield* Ref.get(self.loraB)]
  checkFeatures(name, inputs, self.inFeatures, storedA)
  const [x, a, b] = promoteDType(name, self.dtype, [inputs, storedA, storedB])
  const y = matmul(matmul(x, a), b)
  return self.baseModule === undefined ? y : add(y, yield* self.baseModule.apply(x))
}, typed)

/** Options of `LoRALinear`. */
export interface LoRALinearOptions<UseBias extends boolean, K extends string>
  extends KernelOptions<UseBias>, LoRAMatrices<K>
{
  /** How thin the two matrices are. */
  readonly loraRank: number
  /** The dtype that x · A · B is computed in; by default what its operands promote to. */
  readonly loraDtype?: DType | undefined
  /** The dtype of the two matrices, float32 by default. */
  readonly loraParamDtype?: DType | undefined
}

/**
 * A `Linear` with a `LoRA` beside it: x · kernel + bias + x · A · B. `flax.nnx.LoRALinear`.
 *
 * Its `kernel` and `bias` stand where a Linear has them, so a Linear's State fits.
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 *
 * const program = Effect.gen(function*() {
 *   const layer = yield* nnx.LoRALinear.make(3, 4, { loraRank: 2 })
 *   const trained = yield* nnx.state(yield* nnx.Linear.make(3, 4))
 *   yield* nnx.update(layer, trained)
 *   return nnx.State.paths(yield* nnx.state(layer))
 * })
 * console.log(Effect.runSync(program.pipe(Effect.provide(nnx.Rngs.layer(0)))))
 * // => [ [ 'bias' ], [ 'kernel' ], [ 'lora', 'loraA' ], [ 'lora', 'loraB' ] ]
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export class LoRALinear<UseBias extends boolean = true, K extends string = "Param/LoRAParam">
  extends Module("LoRALinear")<LinearFields<UseBias> & { readonly lora: LoRA<undefined, K> }>
{
  /** A layer with new parameters. Draws keys for the kernel, the bias, A and B. */
  static readonly make = <const UseBias extends boolean = true, K extends string = "Param/LoRAParam">(
    inFeatures: number,
    outFeatures: number,
    options: LoRALinearOptions<UseBias, K>
  ): Effect.Effect<LoRALinear<UseBias, K>, MakeError, Rngs> => makeLinear(inFeatures, outFeatures, options)

  /** Fails with a `ShapeError` if the last axis of x has another size than `inFeatures`. */
  apply(x: Tensor): Effect.Effect<Tensor, TensorError> {
    return Effect.flatMap(applyLinear(this, x), (y) => Effect.map(this.lora.apply(x), (z) => add(y, z)))
  }
}

const makeLinear = Effect.fnUntraced(function*<UseBias extends boolean, K extends string>(
  inFeatures: number,
  outFeatures: number,
  options: LoRALinearOptions<UseBias, K>
): Effect.fn.Return<LoRALinear<UseBias, K>, MakeError, Rngs> {
  const { loraDtype, loraParamDtype, loraRank, ...own } = options
  const linear = yield* Linear.make<UseBias>(inFeatures, outFeatures, own)
  const lora = yield* LoRA.make<undefined, K>(inFeatures, loraRank, outFeatures, {
    ...own,
    dtype: loraDtype,
    paramDtype: loraParamDtype
  })
  return new LoRALinear<UseBias, K>({ ...linear, lora })
}, typed)
