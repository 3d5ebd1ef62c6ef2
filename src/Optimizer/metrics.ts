/**
 * Metrics: Modules that gather statistics over batches in Variables of the kind `MetricState`. `update` takes a batch
 * in, `compute` gives the value as an array, `reset` starts over, `merge` takes in what another metric of the same sort
 * has gathered. All are Effects that work inside of `jit`.
 */
import * as Effect from "effect/Effect"
import { Module } from "../Ref/Module.ts"
import { MetricState, type Variable } from "../Ref/Variable.ts"
import { attempt } from "../Tensor/attempt.ts"
import { DTypeError, ShapeError, type TensorError } from "../Tensor/errors.ts"
import * as lax from "../Tensor/lax/index.ts"
import { add, div, mul, sqrt, square, sub } from "../Tensor/numpy/elementwise.ts"
import { eq, ge, gt } from "../Tensor/numpy/logic.ts"
import { argmax, mean, sum, var as variance } from "../Tensor/numpy/reductions.ts"
import * as Shape from "../Tensor/Shape.ts"
import * as ShapedArray from "../Tensor/ShapedArray.ts"
import { isTensor, lift, literal, type Tensor, type TensorLike } from "../Tensor/Tensor.ts"
import { tensorOf, writeTensors } from "./cells.ts"

/** A Variable of a metric. */
type Statistic = Variable<"MetricState", Tensor>

/**
 * What every metric can do: `A` is what `update` takes, `V` what `compute` gives.
 *
 * @category models
 * @since 0.1.0
 */
export interface Metric<in A, out V> {
  readonly reset: Effect.Effect<void>
  update(batch: A): Effect.Effect<void, TensorError>
  readonly compute: Effect.Effect<V>
}

/** Which elements of a batch count: broadcast against the values. */
export interface MaskOption {
  readonly mask?: Tensor | undefined
}

const float = (): Tensor => literal(0, "float32")
const int = (): Tensor => literal(0, "int32")

const statistic = (value: Tensor): Statistic => MetricState.makeUnsafe(value)

/** The sum of the values that count, and how many they are. */
const totalOf = (values: TensorLike, mask: Tensor | undefined): readonly [total: Tensor, count: Tensor] => {
  const x = lift(values)
  if (mask === undefined) return [sum(x), lift(x.size)]
  Shape.broadcast("metric mask", mask.shape, x.shape)
  const counts = lax.convertElementType(mask, x.dtype)
  return [sum(x.dtype === "bool" ? lax.and(...same(x, counts)) : mul(x, counts)), sum(mask)]
}

const same = (x: Tensor, y: Tensor): readonly [Tensor, Tensor] => {
  const shape = Shape.broadcast("metric mask", x.shape, y.shape)
  return [lax.broadcastTo(x, shape), lax.broadcastTo(y, shape)]
}

/** The value that a batch has under a metric's name. */
const named = (operation: string, batch: object, name: string): TensorLike => {
  const value: unknown = Object.hasOwn(batch, name) ? (batch as Readonly<Record<string, unknown>>)[name] : undefined
  if (isTensor(value) || typeof value === "number") return value
  throw new DTypeError({
    operation,
    expected: `an array or a number as \`${name}\``,
    found: value === undefined ? `only ${Object.keys(batch).join(", ") || "nothing"}` : typeof value,
    hint: "a metric takes the value of a batch that has its name"
  })
}

/** A batch with an array or a number under a name. */
export type Batch<Name extends string> = { readonly [N in Name]: TensorLike } & MaskOption

/**
 * The mean of all values so far; nan before there are any.
 *
 * @category metrics
 * @since 0.1.0
 */
export class Average<Name extends string = "values"> extends Module("Average")<{
  readonly argname: string
  readonly total: Statistic
  readonly count: Statistic
}> implements Metric<Batch<Name>, Tensor> {
  /**
   * A metric that takes the values that batches have under a name: `values` by default.
   *
   * ```ts import.meta.vitest
   * import { Effect } from "effect"
   * import * as Cpu from "linum/backend/tfjs-cpu"
   * import { item } from "linum/Backend"
   * import { Average } from "linum/Optimizer"
   * import * as T from "linum/Tensor"
   *
   * const program = Effect.gen(function*() {
   *   const loss = yield* Average.make("loss")
   *   yield* loss.update({ loss: T.array([1, 2, 3, 4]) })
   *   yield* loss.update({ loss: 5 })
   *   return yield* item(yield* loss.compute)
   * })
   * console.log(await Effect.runPromise(program.pipe(Effect.provide(Cpu.layer)))) // => 3
   * ```
   *
   * @category constructors
   * @since 0.1.0
   */
  static make(): Effect.Effect<Average>
  static make<Name extends string>(argname: Name): Effect.Effect<Average<Name>>
  static make(argname = "values"): Effect.Effect<Average<string>> {
    return Effect.sync(() => new Average<string>({ argname, total: statistic(float()), count: statistic(int()) }))
  }

  /** Takes the values of a batch in. */
  update(batch: Batch<Name>): Effect.Effect<void, TensorError> {
    return attempt(() => take(this, named("Average", batch, this.argname), batch.mask))
  }

  /** The mean: float32. */
  get compute(): Effect.Effect<Tensor> {
    return Effect.sync(() => div(tensorOf(this.total), tensorOf(this.count)))
  }

  /** Starts over. */
  get reset(): Effect.Effect<void> {
    return Effect.sync(() => writeTensors([this.total, float()], [this.count, int()]))
  }

  /** Takes in what another has gathered. */
  merge(that: Average<Name>): Effect.Effect<void> {
    return Effect.sync(() => mergeTotals(this, that))
  }
}

interface Totals {
  readonly total: Statistic
  readonly count: Statistic
}

const take = (self: Totals, values: TensorLike, mask: Tensor | undefined): void => {
  const [total, count] = totalOf(values, mask)
  writeTensors([self.total, add(tensorOf(self.total), total)], [self.count, add(tensorOf(self.count), count)])
}

const mergeTotals = (self: Totals, that: Totals): void =>
  writeTensors(
    [self.total, add(tensorOf(self.total), tensorOf(that.total))],
    [self.count, add(tensorOf(self.count), tensorOf(that.count))]
  )

/** Predictions and truths. */
export interface Predictions extends MaskOption {
  /** Scores: of classes along the last axis, or with a threshold one of each example. */
  readonly logits: Tensor
  /** Numbers of classes, or 0 and 1: integers. */
  readonly labels: Tensor
}

/**
 * The part of predictions that are right; nan before there are any. Of classes the one with the largest logit is
 * predicted; with a `threshold`, an example is positive if its logit reaches it.
 *
 * @category metrics
 * @since 0.1.0
 */
export class Accuracy extends Module("Accuracy")<{
  readonly threshold: number | undefined
  readonly total: Statistic
  readonly count: Statistic
}> implements Metric<Predictions, Tensor> {
  /** A metric of classes, or of two classes with a threshold. */
  static make(options: { readonly threshold?: number | undefined } = {}): Effect.Effect<Accuracy> {
    return Effect.sync(() =>
      new Accuracy({ threshold: options.threshold, total: statistic(float()), count: statistic(int()) })
    )
  }

  /**
   * Takes a batch in. Fails with a `ShapeError` unless logits have one axis more than labels (with a threshold: as
   * many).
   */
  update({ labels, logits, mask }: Predictions): Effect.Effect<void, TensorError> {
    return attempt(() => {
      checkPredictions(logits, labels, this.threshold)
      const right = this.threshold === undefined
        ? eq(argmax(logits, -1), labels)
        : eq(ge(logits, this.threshold), gt(labels, 0))
      take(this, right, mask)
    })
  }

  /** The part that is right: float32. */
  get compute(): Effect.Effect<Tensor> {
    return Effect.sync(() => div(tensorOf(this.total), tensorOf(this.count)))
  }

  /** Starts over. */
  get reset(): Effect.Effect<void> {
    return Effect.sync(() => writeTensors([this.total, float()], [this.count, int()]))
  }

  /** Takes in what another has gathered. */
  merge(that: Accuracy): Effect.Effect<void> {
    return Effect.sync(() => mergeTotals(this, that))
  }
}

const checkPredictions = (logits: Tensor, labels: Tensor, threshold: number | undefined): void => {
  const more = threshold === undefined ? 1 : 0
  if (logits.ndim !== labels.ndim + more) {
    throw new ShapeError({
      operation: "Accuracy",
      expected: more === 1
        ? "logits with one axis more than labels, for several classes"
        : "logits with as many axes as labels, for two classes with a threshold",
      found: `${ShapedArray.format(logits.aval)} and ${ShapedArray.format(labels.aval)}`,
      hint: more === 1 ? "give a threshold for two classes" : "leave the threshold out for several classes"
    })
  }
  if (labels.dtype === "int32") return
  throw new DTypeError({
    operation: "Accuracy",
    expected: "labels of dtype int32",
    found: labels.dtype,
    hint: "labels are numbers of classes; take the argmax of one-hot labels"
  })
}

/** What `Welford` computes. */
export interface Statistics {
  readonly mean: Tensor
  readonly standardErrorOfMean: Tensor
  readonly standardDeviation: Tensor
}

/**
 * Mean, standard deviation and standard error of all values so far, by Welford's algorithm, which does not lose digits.
 *
 * @category metrics
 * @since 0.1.0
 */
export class Welford<Name extends string = "values"> extends Module("Welford")<{
  readonly argname: string
  readonly count: Statistic
  readonly mean: Statistic
  readonly m2: Statistic
}> implements Metric<Batch<Name>, Statistics> {
  /** A metric that takes the values that batches have under a name: `values` by default. */
  static make(): Effect.Effect<Welford>
  static make<Name extends string>(argname: Name): Effect.Effect<Welford<Name>>
  static make(argname = "values"): Effect.Effect<Welford<string>> {
    return Effect.sync(() =>
      new Welford<string>({ argname, count: statistic(int()), mean: statistic(float()), m2: statistic(float()) })
    )
  }

  /** Takes the values of a batch in. */
  update(batch: Batch<Name>): Effect.Effect<void, TensorError> {
    return attempt(() => {
      const values = lift(named("Welford", batch, this.argname))
      if (batch.mask === undefined) {
        combine(this, lift(values.size), mean(values), mul(variance(values), values.size))
        return
      }
      const [total, count] = totalOf(values, batch.mask)
      const average = div(total, count)
      const [squares] = totalOf(square(sub(values, average)), batch.mask)
      combine(this, count, average, squares)
    })
  }

  /** Mean (0 at the start), standard deviation and standard error of the mean (nan at the start). */
  get compute(): Effect.Effect<Statistics> {
    return Effect.sync(() => {
      const count = tensorOf(this.count)
      const standardDeviation = sqrt(div(tensorOf(this.m2), count))
      return {
        mean: tensorOf(this.mean),
        standardErrorOfMean: div(standardDeviation, sqrt(count)),
        standardDeviation
      }
    })
  }

  /** Starts over. */
  get reset(): Effect.Effect<void> {
    return Effect.sync(() => writeTensors([this.count, int()], [this.mean, float()], [this.m2, float()]))
  }

  /** Takes in what another has gathered. */
  merge(that: Welford<Name>): Effect.Effect<void> {
    return Effect.sync(() => combine(this, tensorOf(that.count), tensorOf(that.mean), tensorOf(that.m2)))
  }
}

/** Two sets of values as one (Chan et al. 1979): `m2` are sums of squared differences from the mean. */
const combine = (
  self: { readonly count: Statistic; readonly mean: Statistic; readonly m2: Statistic },
  count: Tensor,
  average: Tensor,
  m2: Tensor
): void => {
  const [before, meanBefore] = [tensorOf(self.count), tensorOf(self.mean)]
  const all = add(before, count)
  const delta = sub(average, meanBefore)
  writeTensors(
    [self.count, all],
    [self.mean, add(meanBefore, div(mul(delta, count), all))],
    [self.m2, add(tensorOf(self.m2), add(m2, div(mul(mul(mul(delta, delta), count), before), all)))]
  )
}

/** What a metric takes. */
export type BatchOf<T> = T extends { update(batch: infer A): unknown } ? A : never

/** What a metric gives. */
export type ValueOf<T> = T extends { readonly compute: Effect.Effect<infer V> } ? V : never

type UnionToIntersection<U> = (U extends unknown ? (u: U) => void : never) extends (i: infer I) => void ? I : never

/** Everything that several metrics take, with one mask for all or one for each. */
export type MultiBatch<Ms> =
  & Omit<UnionToIntersection<BatchOf<Ms[keyof Ms]>>, "mask">
  & { readonly mask?: Tensor | { readonly [K in keyof Ms]?: Tensor | undefined } | undefined }

/**
 * Several metrics that take the same batches.
 *
 * @category metrics
 * @since 0.1.0
 */
export class MultiMetric<Ms extends object> extends Module("MultiMetric")<{ readonly metrics: object }>
  implements Metric<MultiBatch<Ms>, { readonly [K in keyof Ms]: ValueOf<Ms[K]> }>
{
  declare readonly metrics: Ms

  /** Metrics by name: `MultiMetric.make({ accuracy: yield* Accuracy.make(), loss: yield* Average.make("loss") })`. */
  static make<const Ms extends Readonly<Record<string, Metric<never, unknown>>>>(
    metrics: Ms
  ): Effect.Effect<MultiMetric<Ms>> {
    return Effect.sync(() => new MultiMetric<Ms>({ metrics }))
  }

  /** Gives a batch to every metric, with the mask that is meant for it. */
  update(batch: MultiBatch<Ms>): Effect.Effect<void, TensorError> {
    const { mask, ...rest } = batch
    const maskOf = (name: string): Tensor | undefined =>
      mask === undefined || isTensor(mask) ? mask : (mask as Readonly<Record<string, Tensor | undefined>>)[name]
    return Effect.forEach(
      all(this.metrics),
      ([name, metric]) => metric.update({ ...rest, mask: maskOf(name) } as never),
      { discard: true }
    )
  }

  /** The values of all metrics, by name. */
  get compute(): Effect.Effect<{ readonly [K in keyof Ms]: ValueOf<Ms[K]> }> {
    return Effect.map(
      Effect.forEach(
        all(this.metrics),
        ([name, metric]) => Effect.map(metric.compute, (value) => [name, value] as const)
      ),
      (entries) => Object.fromEntries(entries) as { readonly [K in keyof Ms]: ValueOf<Ms[K]> }
    )
  }

  /** All start over. */
  get reset(): Effect.Effect<void> {
    return Effect.forEach(all(this.metrics), ([, metric]) => metric.reset, { discard: true })
  }
}

const all = (metrics: object): ReadonlyArray<readonly [string, Metric<never, unknown>]> => Object.entries(metrics)
