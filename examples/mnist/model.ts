/**
 * The model: a perceptron with one hidden layer, 784 → 128 → 10, and what it is judged by.
 */
import { Effect } from "effect"
import * as nnx from "linum"
import { type Batch, pixels } from "./data.ts"

/** How many kinds of digits there are. */
export const classes = 10

/** Tells what digit an image shows. */
export class Classifier extends nnx.Module("Classifier")<{
  readonly hidden: nnx.Linear
  readonly output: nnx.Linear
}> {
  /** A classifier that knows nothing yet. Its parameters are drawn from the service `Rngs`. */
  static readonly make = Effect.gen(function*() {
    const hidden = yield* nnx.Linear.make(pixels, 128)
    const output = yield* nnx.Linear.make(128, classes)
    return new Classifier({ hidden, output })
  })

  /** Scores of the ten digits: from uint8[n,784] to float32[n,10]. */
  apply(images: nnx.Tensor.Tensor) {
    const ink = images.astype("float32").div(255)
    return this.hidden.apply(ink).pipe(
      Effect.map(nnx.Tensor.nn.relu),
      Effect.flatMap((features) => this.output.apply(features))
    )
  }
}

/** The mean cross-entropy of a batch, and the scores that it comes from. */
export const loss = Effect.fnUntraced(function*(model: Classifier, { images, labels }: Batch) {
  const logits = yield* model.apply(images)
  return [nnx.softmaxCrossEntropyWithIntegerLabels(logits, labels).mean(), logits] as const
})

/** The most likely digits: int32[n]. */
export const predict = nnx.jit(
  (model: Classifier, images: nnx.Tensor.Tensor) => Effect.map(model.apply(images), (logits) => logits.argmax(-1)),
  { name: "predict" }
)
