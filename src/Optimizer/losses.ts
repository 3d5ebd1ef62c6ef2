/**
 * Losses: plain functions from predictions and targets to the loss of each example. Formulas and axes are Optax's; take
 * the mean yourself.
 */
import { zeros } from "../Tensor/construct.ts"
import * as DType from "../Tensor/DType.ts"
import { DTypeError, ShapeError } from "../Tensor/errors.ts"
import * as lax from "../Tensor/lax/index.ts"
import type { Axes } from "../Tensor/Methods.ts"
import { logSigmoid, logSoftmax, oneHot, softmax, softplus, sparsePlus } from "../Tensor/nn/index.ts"
import {
  abs,
  add,
  clip,
  div,
  exp,
  log,
  log1p,
  logaddexp,
  maximum,
  minimum,
  mul,
  neg,
  sqrt,
  square,
  sub
} from "../Tensor/numpy/elementwise.ts"
import { takeAlongAxis } from "../Tensor/numpy/indexing.ts"
import { ge, where as select } from "../Tensor/numpy/logic.ts"
import { any, logsumexp, max, sum } from "../Tensor/numpy/reductions.ts"
import { expandDims, moveaxis, reshape } from "../Tensor/numpy/shaping.ts"
import * as Shape from "../Tensor/Shape.ts"
import * as ShapedArray from "../Tensor/ShapedArray.ts"
import type { Tensor, TensorLike } from "../Tensor/Tensor.ts"

/** Which elements belong to one example, and which of them count. */
export interface AxisOptions {
  /** The axes of classes or features: the last. */
  readonly axis?: Axes | undefined
  /** bool: what counts. */
  readonly where?: Tensor | undefined
}

const checkFloat = (operation: string, what: string, x: Tensor): void => {
  if (DType.isFloat(x.dtype)) return
  throw new DTypeError({
    operation,
    expected: `${what} of a floating dtype`,
    found: ShapedArray.format(x.aval),
    hint: "convert with astype(\"float32\")"
  })
}

const checkInteger = (operation: string, what: string, x: Tensor): void => {
  if (DType.isInteger(x.dtype)) return
  throw new DTypeError({
    operation,
    expected: `${what} of an integer dtype`,
    found: ShapedArray.format(x.aval),
    hint: "one-hot or soft labels go to softmaxCrossEntropy"
  })
}

const checkSameShape = (operation: string, x: Tensor, y: Tensor): void => {
  if (Shape.equals(x.shape, y.shape)) return
  throw new ShapeError({
    operation,
    expected: "predictions and targets of one shape",
    found: `${ShapedArray.format(x.aval)} and ${ShapedArray.format(y.aval)}`,
    hint: "they do not broadcast, since that is mostly a mistake"
  })
}

/** A mask without the axes of classes gets them. */
const maskFor = (x: Tensor, where: Tensor | undefined, axis: Axes): Tensor | undefined =>
  where === undefined || where.ndim === x.ndim ? where : expandDims(where, Shape.axes("where", axis, x.ndim))

// --- classification ---

/**
 * The cross entropy between softmax of `logits` f32[…, classes] and labels that are numbers of classes i32[…]: -log
 * p[label]. The loss has the shape of the labels. Several axes count as one of classes, row-major.
 *
 * Labels out of range give nan. Throws a `DTypeError` for labels that are no integers.
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as Cpu from "linum/backend/tfjs-cpu"
 * import { item } from "linum/Backend"
 * import { softmaxCrossEntropyWithIntegerLabels } from "linum/Optimizer"
 * import * as T from "linum/Tensor"
 *
 * const loss = softmaxCrossEntropyWithIntegerLabels(T.zeros([2, 4]), T.array([0, 3], { dtype: "int32" })).mean()
 * const value = await Effect.runPromise(item(loss).pipe(Effect.provide(Cpu.layer)))
 * console.log(value.toFixed(4)) // => 1.3863
 * ```
 *
 * @category losses
 * @since 0.1.0
 */
export const softmaxCrossEntropyWithIntegerLabels = (
  logits: Tensor,
  labels: Tensor,
  options: AxisOptions = {}
): Tensor => {
  const operation = "softmaxCrossEntropyWithIntegerLabels"
  checkFloat(operation, "logits", logits)
  checkInteger(operation, "labels", labels)
  const axes = Shape.axes(operation, options.axis ?? -1, logits.ndim)
  const mask = maskFor(logits, options.where, axes)
  const [flat, where] = axes.length === 1 ? [logits, mask] : [lastAxis(logits, axes), mask && lastAxis(mask, axes)]
  const axis = axes.length === 1 ? axes[0] : flat.ndim - 1
  const expected = flat.shape.filter((_, i) => i !== axis)
  if (!Shape.equals(labels.shape, expected)) {
    throw new ShapeError({
      operation,
      expected: `labels of the shape ${Shape.format(expected)}: that of the logits without classes`,
      found: ShapedArray.format(labels.aval),
      hint: "logits have one axis more than labels"
    })
  }
  const chosen = lax.squeeze(takeAlongAxis(flat, expandDims(labels, axis), axis), [axis])
  const loss = sub(logsumexp(flat, { axis, where }), chosen)
  return where === undefined ? loss : select(any(where, axis), loss, 0)
}

/** Axes moved to the end, in their order, and made one. */
const lastAxis = (x: Tensor, axes: ReadonlyArray<number>): Tensor => {
  const moved = moveaxis(x, axes, axes.map((_, i) => x.ndim - axes.length + i))
  const kept = moved.shape.slice(0, x.ndim - axes.length)
  return reshape(moved, [...kept, Shape.size(moved.shape.slice(kept.length))])
}

/**
 * The cross entropy between softmax of `logits` and distributions `labels` of the same shape: -Σ labels·log p over the
 * axis of classes.
 *
 * @category losses
 * @since 0.1.0
 */
export const softmaxCrossEntropy = (logits: Tensor, labels: Tensor, options: AxisOptions = {}): Tensor => {
  checkFloat("softmaxCrossEntropy", "logits", logits)
  const axis = options.axis === undefined ? -1 : options.axis
  const where = maskFor(logits, options.where, axis)
  return neg(sum(mul(labels, logSoftmax(logits, { axis, where })), { axis, where }))
}

/**
 * As `softmaxCrossEntropy`, where a label of 0 counts nothing even if its logit is -Infinity.
 *
 * @category losses
 * @since 0.1.0
 */
export const safeSoftmaxCrossEntropy = (logits: Tensor, labels: Tensor): Tensor => {
  checkFloat("safeSoftmaxCrossEntropy", "logits", logits)
  const logProbs = logSoftmax(logits)
  const used = lax.ne(labels, zeros(labels.shape, labels.dtype))
  return neg(sum(select(used, mul(labels, select(used, logProbs, 0)), 0), -1))
}

/**
 * The cross entropy between sigmoid of `logits` and labels in [0, 1], elementwise: -labels·log σ - (1 - labels)·log(1 -
 * σ).
 *
 * @category losses
 * @since 0.1.0
 */
export const sigmoidBinaryCrossEntropy = (logits: Tensor, labels: Tensor): Tensor => {
  checkFloat("sigmoidBinaryCrossEntropy", "logits", logits)
  const y = lax.convertElementType(labels, logits.dtype)
  return sub(mul(neg(y), logSigmoid(logits)), mul(sub(1, y), logSigmoid(neg(logits))))
}

/** Options of `sigmoidFocalLoss`. */
export interface FocalOptions {
  /** The weight of positive examples; none when left out. */
  readonly alpha?: number | undefined
  /** How much easy examples count less: 2. */
  readonly gamma?: number | undefined
}

/**
 * `sigmoidBinaryCrossEntropy` times (1 - p)^gamma, where p is the probability of the truth (Lin et al. 2017, arXiv
 * 1708.02002).
 *
 * @category losses
 * @since 0.1.0
 */
export const sigmoidFocalLoss = (logits: Tensor, labels: Tensor, options: FocalOptions = {}): Tensor => {
  const { alpha, gamma = 2 } = options
  const y = lax.convertElementType(labels, logits.dtype)
  const entropy = sigmoidBinaryCrossEntropy(logits, y)
  const larger = select(ge(y, 0.5), y, sub(1, y))
  const x = select(ge(y, 0.5), neg(logits), logits)
  const logWrong = add(
    add(logSigmoid(x), log(larger)),
    softplus(sub(sub(log1p(neg(larger)), x), log(larger)))
  )
  const loss = mul(entropy, exp(mul(gamma, logWrong)))
  return alpha === undefined ? loss : mul(add(mul(alpha, y), mul(1 - alpha, sub(1, y))), loss)
}

/** max(0, 1 - outputs·targets), for targets of -1 and 1. */
export const hingeLoss = (predictorOutputs: Tensor, targets: Tensor): Tensor =>
  maximum(0, sub(1, mul(predictorOutputs, targets)))

/** max(0, -outputs·targets), for targets of -1 and 1. */
export const perceptronLoss = (predictorOutputs: Tensor, targets: Tensor): Tensor => {
  checkSameShape("perceptronLoss", predictorOutputs, targets)
  return maximum(0, mul(neg(predictorOutputs), targets))
}

/** The binary sparsemax loss, for labels of 0 and 1. */
export const sparsemaxLoss = (logits: Tensor, labels: Tensor): Tensor => sparsePlus(select(labels, neg(logits), logits))

/** The most that a wrong class (with a margin of 1) is above the right one; labels are numbers of classes. */
export const multiclassHingeLoss = (scores: Tensor, labels: Tensor): Tensor => {
  const right = oneHot(labels, scores.shape[scores.ndim - 1])
  return sub(max(sub(add(scores, 1), right), -1), sum(mul(scores, right), -1))
}

/** The most that a class is above the right one; labels are numbers of classes. */
export const multiclassPerceptronLoss = (scores: Tensor, labels: Tensor): Tensor =>
  sub(max(scores, -1), sum(mul(scores, oneHot(labels, scores.shape[scores.ndim - 1])), -1))

/** Options of `polyLossCrossEntropy`. */
export interface PolyOptions extends AxisOptions {
  /** The weight of the first term: 2. */
  readonly epsilon?: number | undefined
}

/** Cross entropy plus epsilon·(1 - p) (Leng et al. 2022, arXiv 2204.12511). */
export const polyLossCrossEntropy = (logits: Tensor, labels: Tensor, options: PolyOptions = {}): Tensor => {
  const { axis = -1, epsilon = 2, where } = options
  const wrong = sum(mul(labels, sub(1, softmax(logits, { axis, where }))), { axis, where })
  return add(softmaxCrossEntropy(logits, labels, options), mul(epsilon, wrong))
}

/**
 * Σ targets·(log targets - logPredictions) over an axis: how far a distribution in log space is from the target.
 *
 * @category losses
 * @since 0.1.0
 */
export const klDivergence = (logPredictions: Tensor, targets: Tensor, options: AxisOptions = {}): Tensor => {
  checkFloat("klDivergence", "logPredictions", logPredictions)
  checkFloat("klDivergence", "targets", targets)
  const { axis = -1, where } = options
  const zero = lax.eq(targets, zeros(targets.shape, targets.dtype))
  const logTargets = select(zero, 0, log(select(zero, 1, targets)))
  return sum(mul(targets, sub(logTargets, logPredictions)), { axis, where })
}

/**
 * `klDivergence` with targets in log space.
 *
 * @category losses
 * @since 0.1.0
 */
export const klDivergenceWithLogTargets = (
  logPredictions: Tensor,
  logTargets: Tensor,
  options: AxisOptions = {}
): Tensor => {
  checkFloat("klDivergenceWithLogTargets", "logPredictions", logPredictions)
  checkFloat("klDivergenceWithLogTargets", "logTargets", logTargets)
  const { axis = -1, where } = options
  return sum(mul(exp(logTargets), sub(logTargets, logPredictions)), { axis, where })
}

/**
 * `klDivergence` for targets and predictions that need not add up to 1: plus Σ (exp logPredictions - targets). Optax's
 * old name is `convexKlDivergence`.
 *
 * @category losses
 * @since 0.1.0
 */
export const generalizedKlDivergence = (logPredictions: Tensor, targets: Tensor, options: AxisOptions = {}): Tensor => {
  const { axis = -1, where } = options
  return add(
    klDivergence(logPredictions, targets, options),
    sum(sub(exp(logPredictions), targets), { axis, where })
  )
}

/**
 * (1 - alpha)·labels + alpha/classes: one-hot labels with a little of every class.
 *
 * @category losses
 * @since 0.1.0
 */
export const smoothLabels = (labels: Tensor, alpha: number, options: AxisOptions = {}): Tensor => {
  checkFloat("smoothLabels", "labels", labels)
  const axis = options.axis === undefined ? -1 : options.axis
  const classes = options.where === undefined
    ? Shape.size(Shape.axes("smoothLabels", axis, labels.ndim).map((i) => labels.shape[i]))
    : sum(options.where, { axis, keepdims: true })
  return add(mul(1 - alpha, labels), typeof classes === "number" ? alpha / classes : div(alpha, classes))
}

// --- regression ---

/** The difference, of predictions alone if there are no targets. */
const errorsOf = (operation: string, predictions: Tensor, targets: Tensor | undefined): Tensor => {
  checkFloat(operation, "predictions", predictions)
  return targets === undefined ? predictions : sub(predictions, targets)
}

/**
 * (predictions - targets)², elementwise. Shapes must be equal.
 *
 * @category losses
 * @since 0.1.0
 */
export const squaredError = (predictions: Tensor, targets?: Tensor): Tensor => {
  if (targets !== undefined) checkSameShape("squaredError", predictions, targets)
  return square(errorsOf("squaredError", predictions, targets))
}

/**
 * Half of `squaredError`.
 *
 * @category losses
 * @since 0.1.0
 */
export const l2Loss = (predictions: Tensor, targets?: Tensor): Tensor => mul(0.5, squaredError(predictions, targets))

/** |predictions - targets|, elementwise. */
export const absoluteError = (predictions: Tensor, targets?: Tensor): Tensor =>
  abs(errorsOf("absoluteError", predictions, targets))

/**
 * Half the squared error up to `delta` (1), and linear beyond (Huber 1964).
 *
 * @category losses
 * @since 0.1.0
 */
export const huberLoss = (
  predictions: Tensor,
  targets?: Tensor,
  options: { readonly delta?: TensorLike | undefined } = {}
): Tensor => {
  const { delta = 1 } = options
  const size = abs(errorsOf("huberLoss", predictions, targets))
  const quadratic = minimum(size, delta)
  return add(mul(0.5, square(quadratic)), mul(delta, sub(size, quadratic)))
}

/** log cosh of the difference, elementwise: about half its square near 0, its absolute value far away. */
export const logCosh = (predictions: Tensor, targets?: Tensor): Tensor => {
  const errors = errorsOf("logCosh", predictions, targets)
  return sub(logaddexp(errors, neg(errors)), Math.LN2)
}

/** Options of `cosineSimilarity`. */
export interface CosineOptions extends AxisOptions {
  /** The least that squared norms count as: 0. */
  readonly epsilon?: number | undefined
}

/**
 * The cosine of the angle between predictions and targets along an axis (the last).
 *
 * @category losses
 * @since 0.1.0
 */
export const cosineSimilarity = (predictions: Tensor, targets: Tensor, options: CosineOptions = {}): Tensor => {
  checkFloat("cosineSimilarity", "predictions", predictions)
  checkFloat("cosineSimilarity", "targets", targets)
  const { axis = -1, epsilon = 0, where } = options
  const unit = (x: Tensor): Tensor => div(x, sqrt(clip(sum(square(x), { axis, where, keepdims: true }), epsilon, null)))
  return sum(mul(unit(predictions), unit(targets)), { axis, where })
}

/**
 * 1 - `cosineSimilarity`.
 *
 * @category losses
 * @since 0.1.0
 */
export const cosineDistance = (predictions: Tensor, targets: Tensor, options: CosineOptions = {}): Tensor =>
  sub(1, cosineSimilarity(predictions, targets, options))
