// Checkpoints in files: what is there, and what is left behind, when something goes wrong; and folders of steps.
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import * as PlatformError from "effect/PlatformError"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import { toNested, toTypedArray } from "../../src/Backend/read.ts"
import * as Cpu from "../../src/Backend/Tfjs/Cpu/index.ts"
import * as Checkpoint from "../../src/Checkpoint/index.ts"
import * as nnx from "../../src/index.ts"
import * as T from "../../src/Tensor/index.ts"
import { Linear } from "../support/models.ts"

const Live = Layer.mergeAll(Cpu.layer, NodeServices.layer)

/** A fresh folder that goes away with the test. */
const folder = Effect.flatMap(FileSystem.FileSystem, (fs) => fs.makeTempDirectoryScoped({ prefix: "linum-" }))
const files = (path: string) =>
  Effect.flatMap(FileSystem.FileSystem, (fs) => fs.readDirectory(path)).pipe(Effect.map((names) => names.toSorted()))
const join = (...parts: ReadonlyArray<string>) => Effect.map(Path.Path, (path) => path.join(...parts))

const linear = (value: number): Linear =>
  new Linear({
    kernel: nnx.Param.makeUnsafe(T.full([2, 3], value)),
    bias: nnx.Param.makeUnsafe(T.full([3], value)),
    features: 3
  })

const biasOf = (model: Linear) => Effect.flatMap(Ref.get(model.bias), toNested)

/** The first element of the bias in a checkpoint. */
const saved = (path: string) =>
  Effect.map(
    Effect.flatMap(Checkpoint.restore(path, linear(-1)), biasOf),
    (bias) => Array.isArray(bias) ? bias[0] : bias
  )

describe("files", () => {
  it.effect("a model goes to a file and comes back into another model, in place", () =>
    Effect.gen(function*() {
      const inner = yield* join(yield* folder, "a", "b")
      const path = yield* join(inner, "model.safetensors")
      yield* Checkpoint.save(path, linear(2), { metadata: { epoch: 3 } })
      const model = linear(0)
      assert.strictEqual(yield* Checkpoint.restore(path, model), model)
      assert.deepStrictEqual(yield* toNested(yield* Ref.get(model.kernel)), [[2, 2, 2], [2, 2, 2]])
      assert.deepStrictEqual(yield* Checkpoint.metadata(path, Schema.Struct({ epoch: Schema.Int })), { epoch: 3 })
      assert.deepStrictEqual(yield* files(inner), ["model.safetensors"])
      const { manifest, state } = yield* Checkpoint.load(path)
      assert.deepStrictEqual(nnx.State.paths(state), [["bias"], ["kernel"]])
      assert.deepStrictEqual(yield* Checkpoint.manifest(path), manifest)
      const fs = yield* FileSystem.FileSystem
      assert.deepStrictEqual(
        new Uint8Array(yield* fs.readFile(path)),
        yield* Checkpoint.encode(linear(2), { metadata: { epoch: 3 } })
      )
    }).pipe(Effect.provide(Live)))

  it.effect("metadata that is something else is told", () =>
    Effect.gen(function*() {
      const path = yield* join(yield* folder, "m")
      yield* Checkpoint.save(path, {}, { metadata: { epoch: "three" } })
      const error = yield* Effect.flip(
        Checkpoint.metadata(path, Schema.Struct({ epoch: Schema.Int, step: Schema.Int }))
      )
      assert.deepStrictEqual(error.reason._tag === "Mismatch" ? error.reason.misfits.map((m) => m.path) : [], [
        ["(metadata)", "epoch"],
        ["(metadata)", "step"]
      ])
    }).pipe(Effect.provide(Live)))

  it.effect("what is not there is NotFound; a folder is Io; each reason can be caught", () =>
    Effect.gen(function*() {
      const path = yield* folder
      const missing = yield* join(path, "no")
      const reads = [
        Effect.asVoid(Checkpoint.restore(missing, linear(0))),
        Effect.asVoid(Checkpoint.load(missing)),
        Effect.asVoid(Checkpoint.manifest(missing))
      ]
      for (const read of reads) assert.strictEqual((yield* Effect.flip(read)).reason._tag, "NotFound")
      assert.strictEqual((yield* Effect.flip(Checkpoint.load(path))).reason._tag, "Io")
      const fresh = yield* Checkpoint.restore(missing, linear(4)).pipe(
        Effect.catchReason("CheckpointError", "NotFound", () => Effect.sync(() => linear(5)))
      )
      assert.deepStrictEqual(yield* biasOf(fresh), [5, 5, 5])
    }).pipe(Effect.provide(Live)))

  it.effect("an optimizer goes on as if it had never stopped", () =>
    Effect.gen(function*() {
      const path = yield* join(yield* folder, "training")
      const make = Effect.gen(function*() {
        const model = linear(1)
        return { model, optimizer: yield* nnx.Optimizer.make(model, nnx.adam(0.1), { wrt: nnx.Param }) }
      })
      const step = nnx.jit(Effect.fnUntraced(function*({ model, optimizer }: Effect.Success<typeof make>) {
        const grads = yield* nnx.grad((m: Linear) => Effect.map(Ref.get(m.bias), (b) => b.mul(b).sum()))(model)
        yield* optimizer.update(model, grads)
      }))
      const one = yield* make
      for (let i = 0; i < 3; i++) yield* step(one)
      yield* Checkpoint.save(path, one)
      for (let i = 0; i < 3; i++) yield* step(one)
      const two = yield* make
      yield* step(two)
      const traces = step.traces()
      yield* Checkpoint.restore(path, two)
      for (let i = 0; i < 3; i++) yield* step(two)
      assert.deepStrictEqual(yield* Checkpoint.encode(two), yield* Checkpoint.encode(one))
      assert.strictEqual(step.traces(), traces)
    }).pipe(Effect.provide(Live)))
})

// --- a file system that fails ---

const denied = PlatformError.systemError({ _tag: "PermissionDenied", module: "FileSystem", method: "test" })

/** Node's file system, whose n-th operation that changes or reads something is `instead`. */
const interfering = (n: number, instead: Effect.Effect<never, PlatformError.PlatformError>) => {
  const count = { operations: 0 }
  const may = <A>(
    effect: Effect.Effect<A, PlatformError.PlatformError>
  ): Effect.Effect<A, PlatformError.PlatformError> => Effect.suspend(() => ++count.operations === n ? instead : effect)
  const layer = Layer.effect(
    FileSystem.FileSystem,
    Effect.map(FileSystem.FileSystem, (fs) => ({
      ...fs,
      makeDirectory: (path, options) => may(fs.makeDirectory(path, options)),
      rename: (from, to) => may(fs.rename(from, to)),
      open: (path, options) =>
        Effect.andThen(may(Effect.void), fs.open(path, options)).pipe(Effect.map((file) => {
          const wrapped: FileSystem.File = Object.create(file)
          return Object.assign(wrapped, {
            writeAll: (bytes: Uint8Array) => may(file.writeAll(bytes)),
            read: (bytes: Uint8Array, options?: FileSystem.File.ReadOptions) => may(file.read(bytes, options)),
            seek: (offset: bigint, from: FileSystem.SeekMode) => may(file.seek(offset, from))
          }, {
            stat: may(file.stat),
            sync: may(file.sync)
          })
        }))
    } satisfies FileSystem.FileSystem))
  )
  return { count, layer: Layer.merge(Layer.provide(layer, NodeServices.layer), Path.layer) }
}

describe("when the file system fails", () => {
  it.effect("at any operation of a save, the old checkpoint stays and nothing else is left", () =>
    Effect.gen(function*() {
      const where = yield* folder
      const path = yield* join(where, "model")
      yield* Checkpoint.save(path, linear(1))
      for (let n = 1;; n++) {
        const { count, layer } = interfering(n, Effect.fail(denied))
        const exit = yield* Effect.exit(Checkpoint.save(path, linear(2)).pipe(Effect.provide(layer)))
        assert.deepStrictEqual(yield* files(where), ["model"], `operation ${n}`)
        if (count.operations < n) break
        if (Exit.isSuccess(exit)) {
          // The new file was there already, and only syncing its folder failed.
          assert.strictEqual(yield* saved(path), 2)
          yield* Checkpoint.save(path, linear(1))
        } else {
          assert.strictEqual(yield* saved(path), 1)
          const error = Option.getOrThrow(Exit.findErrorOption(exit))
          assert.strictEqual(error._tag === "CheckpointError" ? error.reason._tag : error, "Io")
        }
        assert.isBelow(n, 30)
      }
    }).pipe(Effect.provide(Live)))

  it.effect("at any operation of a restore, the model stays as it was", () =>
    Effect.gen(function*() {
      const path = yield* join(yield* folder, "model")
      yield* Checkpoint.save(path, linear(1))
      for (let n = 1;; n++) {
        const model = linear(0)
        const { count, layer } = interfering(n, Effect.fail(denied))
        const exit = yield* Effect.exit(Effect.flip(Checkpoint.restore(path, model)).pipe(Effect.provide(layer)))
        if (count.operations < n) break
        assert.strictEqual(Exit.isSuccess(exit) ? exit.value.reason._tag : exit, "Io")
        assert.deepStrictEqual(yield* biasOf(model), [0, 0, 0])
      }
    }).pipe(Effect.provide(Live)))

  it.effect("a file that becomes shorter while it is read is Corrupt", () =>
    Effect.gen(function*() {
      const path = yield* join(yield* folder, "model")
      yield* Checkpoint.save(path, linear(1))
      const fs = yield* FileSystem.FileSystem
      const info = yield* fs.stat(path)
      yield* fs.truncate(path, Number(info.size) - 1)
      assert.strictEqual((yield* Effect.flip(Checkpoint.load(path))).reason._tag, "Corrupt")
    }).pipe(Effect.provide(Live)))
})

describe("when a save is interrupted", () => {
  it.live("at any operation, the checkpoint is the old one or the new one and nothing else is left", () =>
    Effect.gen(function*() {
      const where = yield* folder
      const path = yield* join(where, "model")
      yield* Checkpoint.save(path, linear(1))
      for (let n = 1;; n++) {
        const { count, layer } = interfering(n, Effect.interrupt)
        const exit = yield* Effect.exit(
          Effect.flatMap(
            Effect.forkChild(Checkpoint.save(path, linear(2)).pipe(Effect.provide(layer))),
            (fiber) => Fiber.await(fiber)
          )
        )
        assert.isTrue(Exit.isSuccess(exit))
        assert.deepStrictEqual(yield* files(where), ["model"], `operation ${n}`)
        if (count.operations < n) break
        assert.include([1, 2], yield* saved(path))
        yield* Checkpoint.save(path, linear(1))
      }
    }).pipe(Effect.provide(Live)))

  it.live("after any time", () =>
    Effect.gen(function*() {
      const where = yield* folder
      const path = yield* join(where, "model")
      yield* Checkpoint.save(path, linear(1))
      for (let i = 0; i < 30; i++) {
        const fiber = yield* Effect.forkChild(Checkpoint.save(path, linear(2)))
        yield* Effect.sleep(i / 10)
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual(yield* files(where), ["model"])
        assert.include([1, 2], yield* saved(path))
      }
    }).pipe(Effect.provide(Live)))
})

describe("many at once", () => {
  it.live("saves to one path do not mix, and readers see whole checkpoints", () =>
    Effect.gen(function*() {
      const where = yield* folder
      const path = yield* join(where, "model")
      const large = (value: number) => ({ x: nnx.Param.makeUnsafe(T.full([1_000_000], value)) })
      yield* Checkpoint.save(path, large(0))
      const writers = Array.from({ length: 10 }, (_, i) => Effect.asVoid(Checkpoint.save(path, large(i))))
      const readers = Array.from({ length: 10 }, () => Effect.asVoid(Checkpoint.restore(path, large(-1))))
      yield* Effect.all(writers.flatMap((writer, i) => [writer, readers[i]]), { concurrency: "unbounded" })
      const { x } = yield* Checkpoint.restore(path, large(-1))
      const elements = new Set(yield* toTypedArray(yield* Ref.get(x)))
      assert.strictEqual(elements.size, 1)
      assert.deepStrictEqual(yield* files(where), ["model"])
    }).pipe(Effect.provide(Live)))
})

describe("steps", () => {
  it.effect("the newest is found, and the oldest are removed", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const where = yield* join(yield* folder, "run")
      assert.isTrue(Option.isNone(yield* Checkpoint.latest(where)))
      for (const step of [5, 100, 20]) yield* Checkpoint.saveStep(where, step, linear(step))
      for (
        const name of ["step-1.safetensors", "step-000000101.safetensors", ".step-00000200.safetensors.x.tmp", "notes"]
      ) {
        yield* fs.writeFileString(yield* join(where, name), "")
      }
      const found = Option.getOrThrow(yield* Checkpoint.latest(where))
      assert.deepStrictEqual(found, { step: 100, path: yield* join(where, "step-00000100.safetensors") })
      assert.strictEqual(yield* saved(found.path), 100)
      yield* Checkpoint.saveStep(where, 123_456_789, linear(1), { keepLast: 2 })
      assert.deepStrictEqual((yield* Checkpoint.steps(where)).map((s) => s.step), [100, 123_456_789])
      // A run that went back to an earlier step: what was just saved stays.
      yield* Checkpoint.saveStep(where, 7, linear(1), { keepLast: 1 })
      assert.deepStrictEqual((yield* Checkpoint.steps(where)).map((s) => s.step), [7])
      assert.lengthOf(yield* files(where), 5)
    }).pipe(Effect.provide(Live)))

  it.effect("that cannot be are rejected", () =>
    Effect.gen(function*() {
      const where = yield* folder
      for (const [step, keepLast] of [[-1, 1], [1.5, 1], [Number.NaN, 1], [1, 0], [1, Number.NaN]]) {
        const error = yield* Effect.flip(Checkpoint.saveStep(where, step, linear(1), { keepLast }))
        assert.strictEqual(error._tag === "CheckpointError" ? error.reason._tag : "", "Unsupported")
      }
      assert.deepStrictEqual(yield* files(where), [])
    }).pipe(Effect.provide(Live)))
})
