/**
 * The command `mnist`: trains a classifier on the MNIST digits, tests it, and leaves a checkpoint and a picture.
 *
 * From here the other files are best read in the order data, model, train.
 */
import { Clock, Console, Data, Effect, FileSystem, Option, Path, Stream } from "effect"
import { CliError, Command } from "effect/cli"
import * as nnx from "linum"
import * as Checkpoint from "linum/Checkpoint"
import * as backend from "./backend.ts"
import * as data from "./data.ts"
import * as picture from "./picture.ts"
import * as progress from "./progress.ts"
import * as report from "./report.ts"
import { flags, resolve, Settings } from "./settings.ts"
import { answers, stepsOf, train, Training } from "./train.ts"

type Options = Command.Command.Config.Infer<typeof flags>

/** The options ask for what cannot be. */
class OptionsError extends Data.TaggedError("OptionsError")<{ readonly message: string }> {}

/** Makes the folder, and fails if nothing can be written there: better now than after the training. */
const prepareFolder = Effect.fnUntraced(function*(folder: string, option: string) {
  const fs = yield* FileSystem.FileSystem
  yield* fs.makeDirectory(folder, { recursive: true }).pipe(
    Effect.andThen(fs.access(folder, { writable: true })),
    Effect.mapError(({ message }) =>
      new OptionsError({ message: `Cannot write to the folder ${folder} (${message}). Give another with ${option}.` })
    )
  )
})

/** The newest checkpoint, if the run is to go on from one. */
const findCheckpoint = Effect.fnUntraced(function*({ output, resume }: Options) {
  if (!resume) return Option.none()
  const found = yield* Checkpoint.latest(output)
  if (Option.isSome(found)) return found
  return yield* new OptionsError({ message: `There is no checkpoint in ${output}. Start without --resume.` })
})

/** A new training, or one as a checkpoint has it. */
const begin = Effect.fnUntraced(function*(
  checkpoint: Option.Option<Checkpoint.Step>,
  steps: number,
  settings: Settings
) {
  const training = yield* Training.make(steps, settings.learningRate).pipe(
    Effect.provide(nnx.Rngs.layer(settings.seed))
  )
  if (Option.isNone(checkpoint)) return training
  yield* Console.log(`Going on from ${checkpoint.value.path}`)
  return yield* Checkpoint.restore(checkpoint.value.path, training)
})

/** Trains to the end, or until Ctrl-C. Either way a checkpoint is written. */
const learn = Effect.fnUntraced(function*(
  training: Training,
  digits: data.Digits,
  settings: Settings,
  { checkpointEvery, output }: Options
) {
  const lastStep = stepsOf(digits, settings)
  const perEpoch = lastStep / settings.epochs
  // One is kept, so that none of an earlier run is ever taken for this one's.
  const save = training.step.pipe(
    Effect.flatMap((step) => Checkpoint.saveStep(output, step, training, { metadata: settings, keepLast: 1 })),
    Effect.uninterruptible
  )

  const untilDone = Effect.gen(function*() {
    const { show } = yield* progress.make({ ...settings, firstStep: yield* training.step, lastStep })
    yield* train(training, digits, settings).pipe(
      Stream.tap((step) => step % checkpointEvery === 0 ? save : Effect.void),
      Stream.filter((step) => step % 10 === 0 || step % perEpoch === 0),
      Stream.runForEach((step) => Effect.flatMap(training.progress, (now) => show({ step, ...now })))
    )
  })
  const stopped = Effect.flatMap(
    save,
    ({ path, step }) =>
      Console.log(`\nStopped at step ${step} of ${lastStep}. To go on from ${path}: npm start -- --resume`)
  )

  yield* Effect.scoped(untilDone).pipe(
    Effect.onInterrupt(() => Effect.catch(stopped, (error) => Console.error(`\n${error.message}`)))
  )
  return yield* save
})

/** Tests the model, shows the results and writes the picture. */
const examine = Effect.fnUntraced(function*({ model }: Training, digits: data.Digits, { output }: Options) {
  const given = yield* answers(model, digits)
  const fs = yield* FileSystem.FileSystem
  const file = (yield* Path.Path).join(output, "digits.png")
  yield* fs.writeFile(file, picture.draw(digits, given, picture.choose(digits, given)))
  yield* Console.log(`\n${report.formatConfusion(report.confusion(digits, given))}\n`)
  return { picture: file, testAccuracy: report.accuracy(digits, given) }
})

const run = Effect.fnUntraced(function*(options: Options) {
  const started = yield* Clock.currentTimeMillis
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path

  const checkpoint = yield* findCheckpoint(options)
  yield* prepareFolder(options.output, "--output")
  if (Option.isSome(options.json)) yield* prepareFolder(path.dirname(path.resolve(options.json.value)), "--json")
  const saved = Option.isSome(checkpoint) ? yield* Checkpoint.metadata(checkpoint.value.path, Settings) : undefined
  const settings = resolve(options, saved)
  const { test, training: all } = yield* data.load
  const digits = data.take(all, settings.limit)
  if (settings.batchSize > digits.count) {
    return yield* new OptionsError({
      message: `A batch of ${settings.batchSize} is more than all ${digits.count} images.`
    })
  }

  const { name } = yield* nnx.Backend
  yield* Console.log(`Training a convolutional network on ${number(digits.count)} images of MNIST, with ${name}`)
  const training = yield* begin(checkpoint, stepsOf(digits, settings), settings)
  const { path: file, step: steps } = yield* learn(training, digits, settings, options)
  const { picture, testAccuracy } = yield* examine(training, test, options)

  const seconds = ((yield* Clock.currentTimeMillis) - started) / 1000
  yield* Console.log(`Test accuracy  ${(100 * testAccuracy).toFixed(2)} % of ${number(test.count)} images`)
  yield* Console.log(`Time           ${progress.clock(seconds)} for ${number(steps)} steps and the test`)
  yield* Console.log(`Checkpoint     ${file}\nPicture        ${picture}`)
  if (Option.isSome(options.json)) {
    yield* fs.writeFileString(options.json.value, `${JSON.stringify({ testAccuracy, seconds, steps })}\n`)
  }
})

const number = (n: number): string => n.toLocaleString("en")

/** The command. What fails is told in one sentence, and the exit code is 1. */
export const mnist = Command.make("mnist", flags, (options) =>
  run(options).pipe(
    Effect.provide(backend.layer(options)),
    Effect.mapError((error) => new CliError.UserError({ cause: error, userMessage: error.message }))
  )).pipe(
    Command.withDescription("Trains a neural network on the MNIST handwritten digits"),
    Command.withExamples([
      { command: "npm start", description: "Train with the defaults: about 99.3 % in a minute" },
      { command: "npm start -- --epochs 1 --json result.json", description: "A short run, with its figures in a file" },
      { command: "npm start -- --resume", description: "Go on after Ctrl-C" }
    ])
  )
