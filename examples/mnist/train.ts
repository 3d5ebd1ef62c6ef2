/**
 * Training: a Stream that makes one step whenever an element is pulled. Everything that a step changes is in one
 * Module, so a checkpoint of it is all that a run needs to go on, and goes on as if it had never stopped.
 */
import { Effect, Ref, Stream } from "effect"
import * as nnx from "linum"
import { type Batch, batchesPerEpoch, type Digits, inOrder, shuffled } from "./data.ts"
import { Classifier, loss, predict } from "./model.ts"
import type { Settings } from "./settings.ts"

/** A classifier and all that is needed to train it. */
export class Training extends nnx.Module("Training")<{
  readonly model: Classifier
  readonly optimizer: nnx.Optimizer<Classifier>
  readonly metrics: nnx.MultiMetric<{ readonly loss: nnx.Average<"loss">; readonly accuracy: nnx.Accuracy }>
}> {
  /** A training of `steps` steps, at its beginning. */
  static readonly make = Effect.fnUntraced(function*(steps: number, learningRate: number) {
    const model = yield* Classifier.make
    const schedule = nnx.warmupCosineDecaySchedule({
      initValue: 0,
      peakValue: learningRate,
      warmupSteps: Math.ceil(steps / 20),
      decaySteps: steps + 1
    })
    const optimizer = yield* nnx.Optimizer.make(model, nnx.adam(schedule), { wrt: nnx.Param })
    const metrics = yield* nnx.MultiMetric.make({
      loss: yield* nnx.Average.make("loss"),
      accuracy: yield* nnx.Accuracy.make()
    })
    return new Training({ model, optimizer, metrics })
  })

  /** How many steps were made. */
  get step() {
    return Effect.flatMap(Ref.get(this.optimizer.step), nnx.Tensor.item)
  }

  /** Mean loss and accuracy since the epoch began. */
  get progress() {
    return Effect.flatMap(
      this.metrics.compute,
      ({ accuracy, loss }) => Effect.all({ accuracy: nnx.Tensor.item(accuracy), loss: nnx.Tensor.item(loss) })
    )
  }
}

/** Images are moved by up to so many pixels, each time anew: what a digit is does not depend on where it is. */
const shift = 1

/** How many steps a run makes. */
export const stepsOf = (digits: Digits, { batchSize, epochs }: Settings): number =>
  epochs * batchesPerEpoch(digits, batchSize)

/** One step: gradients, new parameters, metrics. Traced and compiled once. */
const learn = nnx.jit(
  Effect.fnUntraced(function*({ metrics, model, optimizer }: Training, batch: Batch) {
    const [[value, logits], gradients] = yield* nnx.valueAndGradWithAux(loss)(model, batch)
    yield* optimizer.update(model, gradients)
    yield* metrics.update({ loss: value, logits, labels: batch.labels })
  }),
  { name: "learn" }
)

/**
 * Trains from the step where the training is to the end. Each element is the number of steps made so far. Between two
 * steps it can be interrupted.
 */
export const train = (training: Training, digits: Digits, settings: Settings) =>
  Stream.unwrap(Effect.gen(function*() {
    const done = yield* training.step
    const perEpoch = batchesPerEpoch(digits, settings.batchSize)
    return shuffled(digits, { ...settings, shift, skip: done }).pipe(
      Stream.mapEffect(Effect.fnUntraced(function*(batch, i) {
        const step = done + i
        if (step % perEpoch === 0) yield* training.metrics.reset
        yield* learn(training, batch)
        // Short steps are made at once: let signals and the screen have their turn.
        yield* Effect.yieldNow
        return step + 1
      }))
    )
  }))

/** The model's answers to some digits, in order. */
export const answers = (model: Classifier, digits: Digits) => {
  const trained = nnx.evalMode(model)
  return inOrder(digits, 500).pipe(
    Stream.mapEffect((batch) => Effect.flatMap(predict(trained, batch.images), nnx.Tensor.toTypedArray)),
    Stream.runFold(() => [] as ReadonlyArray<number>, (all, some) => [...all, ...some])
  )
}
