/**
 * Group normalization (Wu and He, "Group normalization", 2018), and its extreme of one feature a group (Ulyanov et al.,
 * "Instance normalization", 2016).
 */
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import { Module } from "../Ref/Module.ts"
import type { Rngs } from "../Ref/Rngs.ts"
import { ShapeError, type TensorError } from "../Tensor/errors.ts"
import { repeat, reshape } from "../Tensor/numpy/shaping.ts"
import * as Shape from "../Tensor/Shape.ts"
import type { Tensor } from "../Tensor/Tensor.ts"
import type { MaskedCall } from "./LayerNorm.ts"
import { axesOf, normalize, type NormFields, normFields, type NormOptions, statistics } from "./normalizing.ts"
import { checkFeatures, type MakeError, promoteDType, typed } from "./support.ts"

/** Options of `GroupNorm`; `epsilon` is 1e-6 by default. At most one of `numGroups` and `groupSize` may be given. */
export interface GroupNormOptions<UseScale extends boolean = boolean, UseBias extends boolean = boolean>
  extends NormOptions<UseScale, UseBias>
{
  /** How many groups the features are in: 32 by default. */
  readonly numGroups?: number | undefined
  /** How many features a group has. */
  readonly groupSize?: number | undefined
  /** The axes that statistics are taken over, the last among them: all but the first by default. */
  readonly reductionAxes?: ReadonlyArray<number> | undefined
}

/** The fields of a `GroupNorm`. */
export interface GroupNormFields<UseScale extends boolean, UseBias extends boolean>
  extends NormFields<UseScale, UseBias>
{
  readonly numGroups: number
  readonly groupSize: number
  readonly reductionAxes: ReadonlyArray<number> | undefined
}

/**
 * Every example normalized over groups of its features (and over its spatial axes), times `scale`, plus `bias`.
 * `flax.nnx.GroupNorm`.
 *
 * Inputs are [batch, …, numFeatures]; parameters: `scale` and `bias` [numFeatures].
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 * import * as Cpu from "linum/backend/tfjs-cpu"
 *
 * const program = Effect.gen(function*() {
 *   const norm = yield* nnx.GroupNorm.make(4, { numGroups: 2 })
 *   const y = yield* norm.apply(nnx.Tensor.array([[1, 3, 10, 30]]))
 *   return yield* nnx.Tensor.toNested(y.round(3))
 * })
 * console.log(await Effect.runPromise(program.pipe(Effect.provide([nnx.Rngs.layer(0), Cpu.layer]))))
 * // => [ [ -1, 1, -1, 1 ] ]
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export class GroupNorm<UseScale extends boolean = true, UseBias extends boolean = true>
  extends Module("GroupNorm")<GroupNormFields<UseScale, UseBias>>
{
  /** A layer with new parameters. Fails with a `ShapeError` if the groups do not share the features evenly. */
  static readonly make = <const UseScale extends boolean = true, const UseBias extends boolean = true>(
    numFeatures: number,
    options: GroupNormOptions<UseScale, UseBias> = {}
  ): Effect.Effect<GroupNorm<UseScale, UseBias>, MakeError, Rngs> => make(numFeatures, options)

  /** The normalized input, of its shape. Fails with a `ShapeError` for another number of features. */
  apply(x: Tensor, options: MaskedCall = {}): Effect.Effect<Tensor, TensorError> {
    return apply(this, x, options)
  }
}

const fail = (numFeatures: number, expected: string, found: string, hint: string): ShapeError =>
  new ShapeError({ operation: `GroupNorm(${numFeatures})`, expected, found, hint })

const make = Effect.fnUntraced(function*<UseScale extends boolean, UseBias extends boolean>(
  numFeatures: number,
  options: GroupNormOptions<UseScale, UseBias>
): Effect.fn.Return<GroupNorm<UseScale, UseBias>, MakeError, Rngs> {
  if (options.numGroups !== undefined && options.groupSize !== undefined) {
    return yield* fail(numFeatures, "numGroups or groupSize", "both", "each follows from the other")
  }
  const given = options.groupSize ?? options.numGroups ?? 32
  const other = numFeatures / given
  if (!Number.isInteger(other) || given <= 0) {
    const what = options.groupSize === undefined ? `${given} groups` : `groups of ${given}`
    return yield* fail(numFeatures, `${what} to share the features evenly`, `${numFeatures} features`, "use a divisor")
  }
  const [numGroups, groupSize] = options.groupSize === undefined ? [given, other] : [other, given]
  const fields = yield* normFields(numFeatures, 1e-6, options)
  return new GroupNorm<UseScale, UseBias>({ numGroups, groupSize, reductionAxes: options.reductionAxes, ...fields })
}, typed)

const apply = Effect.fnUntraced(function*(self: GroupNorm<boolean, boolean>, input: Tensor, options: MaskedCall) {
  const name = `GroupNorm(${self.numFeatures})`
  const storedScale = self.scale === undefined ? undefined : yield* Ref.get(self.scale)
  const storedBias = self.bias === undefined ? undefined : yield* Ref.get(self.bias)
  const [x, scale, bias] = promoteDType(name, self.dtype, [input, storedScale, storedBias])
  const parameter = storedScale ?? storedBias
  if (parameter !== undefined) checkFeatures(name, x, self.numFeatures, parameter)
  const last = x.ndim - 1
  const over = axesOf(name, self.reductionAxes ?? Shape.range(x.ndim).slice(1), x.ndim)
  if (!over.includes(last)) {
    return yield* fail(self.numFeatures, "reductionAxes with the last axis", Shape.format(over), "add -1")
  }
  const reductionAxes = over.filter((at) => at !== last)
  // Features become the two axes (groups, features of a group); statistics go over the second.
  const grouped = (y: Tensor) => reshape(y, [...y.shape.slice(0, -1), self.numGroups, self.groupSize])
  const perGroup = statistics(grouped(x), [...reductionAxes, last + 1], {
    dtype: self.dtype,
    axisName: self.axisName,
    useFastVariance: self.useFastVariance,
    mask: options.mask === undefined ? undefined : grouped(options.mask)
  })
  const [mean, variance] = perGroup.map((y) => repeat(y, self.groupSize, { axis: -1 }))
  return normalize(name, x, { mean, variance, scale, bias, reductionAxes, featureAxes: [last] }, self)
}, typed)
