/**
 * The CTC loss: the probability that a model gives to a sequence of labels, over all ways to stretch it over time with
 * blanks in between (Graves et al. 2006). Optax's recursion, in log space.
 */
import * as Effect from "effect/Effect"
import { zeros } from "../Tensor/construct.ts"
import { ShapeError } from "../Tensor/errors.ts"
import * as lax from "../Tensor/lax/index.ts"
import { logSoftmax, oneHot } from "../Tensor/nn/index.ts"
import { einsum } from "../Tensor/numpy/einsum.ts"
import { add, logaddexp, mul, neg, sub } from "../Tensor/numpy/elementwise.ts"
import { concatenate } from "../Tensor/numpy/joining.ts"
import { sum } from "../Tensor/numpy/reductions.ts"
import { broadcastTo, transpose } from "../Tensor/numpy/shaping.ts"
import * as Shape from "../Tensor/Shape.ts"
import * as ShapedArray from "../Tensor/ShapedArray.ts"
import { literal, type Tensor } from "../Tensor/Tensor.ts"
import { scan } from "../Transform/scan.ts"
import { runInline } from "./inline.ts"

/** Options of `ctcLoss`. */
export interface CtcOptions {
  /** The class that stands for blank: 0. */
  readonly blankId?: number | undefined
  /** What the logarithm of 0 counts as: -1e5. */
  readonly logEpsilon?: number | undefined
}

const check = (logits: Tensor, logitPaddings: Tensor, labels: Tensor, labelPaddings: Tensor): void => {
  const fits = logits.ndim === 3 && labels.ndim === 2 && Shape.equals(logits.shape.slice(0, 2), logitPaddings.shape) &&
    Shape.equals(labels.shape, labelPaddings.shape) && labels.shape[0] === logits.shape[0]
  if (fits) return
  throw new ShapeError({
    operation: "ctcLoss",
    expected: "logits [B, T, K], logitPaddings [B, T], labels [B, N] and labelPaddings [B, N]",
    found: [logits, logitPaddings, labels, labelPaddings].map((x) => ShapedArray.format(x.aval)).join(", "),
    hint: "pad all sequences of a batch to one length, with paddings of 1 at the end"
  })
}

/** Adds scores to the states after the first, in log space. */
const addScore = (phi: Tensor, score: Tensor): Tensor =>
  concatenate([phi.get(":", ":1"), logaddexp(phi.get(":", "1:"), score)], -1)

const logarithmOf0 = (shape: Shape.Shape, value: number): Tensor => broadcastTo(literal(value, "float32"), shape)

/**
 * -log of the probability of each sequence of labels: f32[B].
 *
 * `logits` f32[B, T, K] are scores of K classes at T times, `labels` i32[B, N] numbers of classes without blanks.
 * Paddings f32[B, T] and f32[B, N] are 1 where a sequence has ended.
 *
 * @category losses
 * @since 0.1.0
 */
export const ctcLoss = (
  logits: Tensor,
  logitPaddings: Tensor,
  labels: Tensor,
  labelPaddings: Tensor,
  options: CtcOptions = {}
): Tensor => {
  const { blankId = 0, logEpsilon = -1e5 } = options
  check(logits, logitPaddings, labels, labelPaddings)
  const [batch, , classes] = logits.shape
  const [, most] = labels.shape
  const logProbs = logSoftmax(logits)
  const lengths = sub(most, lax.convertElementType(sum(labelPaddings, 1), "int32"))
  // 1 where a label is the same as the next.
  const same = lax.eq(labels.get(":", ":-1"), labels.get(":", "1:"))
  const repeat = concatenate([lax.convertElementType(same, "float32"), zeros([batch, 1])], 1)
  const logBlank = transpose(logProbs.get(":", ":", `${blankId}:${blankId + 1}`), [1, 0, 2])
  const logEmit = transpose(einsum("btk,bnk->btn", logProbs, oneHot(labels, classes)), [1, 0, 2])
  const start = {
    phi: concatenate([zeros([batch, 1]), logarithmOf0([batch, most], logEpsilon)], 1),
    emit: logarithmOf0([batch, most], logEpsilon)
  }
  const step = (
    before: typeof start,
    x: { readonly emit: Tensor; readonly blank: Tensor; readonly padding: Tensor }
  ) => {
    const phi = addScore(before.phi, add(before.emit, mul(logEpsilon, repeat)))
    const emit = logaddexp(add(phi.get(":", ":-1"), x.emit), add(before.emit, x.emit))
    const moved = addScore(add(phi, x.blank), add(add(before.emit, x.blank), mul(logEpsilon, sub(1, repeat))))
    const padded = lax.reshape(x.padding, [batch, 1])
    const keep = (old: Tensor, now: Tensor): Tensor => add(mul(padded, old), mul(sub(1, padded), now))
    return Effect.succeed([{ phi: keep(before.phi, moved), emit: keep(before.emit, emit) }, {}] as const)
  }
  const [last] = runInline(
    scan(step)(start, {
      emit: logEmit,
      blank: logBlank,
      padding: transpose(lax.convertElementType(logitPaddings, "float32"))
    })
  )
  const end = addScore(last.phi, last.emit)
  return neg(sum(mul(end, oneHot(lengths, most + 1)), 1))
}
