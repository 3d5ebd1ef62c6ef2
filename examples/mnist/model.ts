/**
 * The model: a small convolutional network, and what it is judged by.
 */
import { Effect } from "effect"
import * as nnx from "linum"
import { type Batch, side } from "./data.ts"

/** How many kinds of digits there are. */
export const classes = 10

/** Finds features in an image and keeps the strongest of every 2 × 2 places: half as wide, half as high. */
export class Block extends nnx.Module("Block")<{
  readonly conv: nnx.Conv<false>
  readonly norm: nnx.BatchNorm
}> {
  static readonly make = Effect.fnUntraced(function*(inFeatures: number, outFeatures: number) {
    // The norm has a bias, so the convolution needs none.
    const conv = yield* nnx.Conv.make(inFeatures, outFeatures, [3, 3], { useBias: false })
    const norm = yield* nnx.BatchNorm.make(outFeatures, { momentum: 0.9 })
    return new Block({ conv, norm })
  })

  /** From float32[n,h,w,inFeatures] to float32[n,h/2,w/2,outFeatures]. */
  apply(x: nnx.Tensor.Tensor) {
    return this.conv.apply(x).pipe(
      Effect.map((y) => nnx.Tensor.nn.maxPool(y, [2, 2], { strides: [2, 2] })),
      Effect.flatMap((y) => this.norm.apply(y)),
      Effect.map(nnx.Tensor.nn.relu)
    )
  }
}

/** Tells what digit an image shows. */
export class Classifier extends nnx.Module("Classifier")<{
  readonly first: Block
  readonly second: Block
  readonly hidden: nnx.Linear
  readonly output: nnx.Linear
}> {
  /** A classifier that knows nothing yet. Its parameters are drawn from the service `Rngs`. */
  static readonly make = Effect.gen(function*() {
    const first = yield* Block.make(1, 16)
    const second = yield* Block.make(16, 32)
    const hidden = yield* nnx.Linear.make((side / 4) ** 2 * 32, 128)
    const output = yield* nnx.Linear.make(128, classes)
    return new Classifier({ first, second, hidden, output })
  })

  /** Scores of the ten digits: from uint8[n,28,28,1] to float32[n,10]. */
  apply(images: nnx.Tensor.Tensor) {
    const ink = images.astype("float32").div(255)
    return this.first.apply(ink).pipe(
      Effect.flatMap((maps) => this.second.apply(maps)),
      Effect.flatMap((maps) => this.hidden.apply(maps.reshape([maps.shape[0], -1]))),
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
