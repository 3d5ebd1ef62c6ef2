/**
 * Checkpoint files. A file is written under a temporary name in the same folder, synced to the disk and renamed, so
 * that the name always means a whole checkpoint: the old one or the new one. The temporary file is removed whatever
 * happens.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import type * as PlatformError from "effect/PlatformError"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import type * as Scope from "effect/Scope"
import type { Backend, BackendError } from "../Backend/Backend.ts"
import type { TensorError } from "../Tensor/errors.ts"
import { type CheckpointError, corrupt, failure } from "./errors.ts"
import * as format from "./format.ts"
import type { Manifest } from "./Manifest.ts"

/** @internal A failure of the file system. */
export const io = (file: string, operation: string) => (error: PlatformError.PlatformError): CheckpointError =>
  failure(file, { _tag: "Io", operation, cause: error })

/** @internal A failure of the file system where something may not be there. */
export const ioOrNotFound =
  (file: string, operation: string) => (error: PlatformError.PlatformError): CheckpointError =>
    error.reason._tag === "NotFound" ? failure(file, { _tag: "NotFound" }) : io(file, operation)(error)

/** How much is written and read at once: large arrays can be interrupted in between. */
const chunk = 1 << 24

/** What is under way is waited for: a file must not be closed, nor its number used for another, while it is written. */
const writeAll = (file: FileSystem.File, bytes: Uint8Array): Effect.Effect<void, PlatformError.PlatformError> =>
  Effect.gen(function*() {
    for (let at = 0; at < bytes.length; at += chunk) {
      yield* Effect.uninterruptible(file.writeAll(bytes.subarray(at, at + chunk)))
    }
  })

/**
 * Writes a model, a State, or plain objects and arrays of both, and replaces a checkpoint that was there at once:
 * others see the old one or the new one. All Variables are read at one moment, so a model may be saved while it trains.
 * Folders are made where there are none.
 *
 * Fails with a `CheckpointError` (`Unsupported` for what a checkpoint cannot hold, `Io`), and with what computing
 * arrays fails with. Nothing is left behind then, nor on interruption.
 *
 * @category files
 * @since 0.1.0
 */
export const save = (
  path: string,
  target: object,
  options: format.SaveOptions = {}
): Effect.Effect<void, CheckpointError | TensorError | BackendError, FileSystem.FileSystem | Path.Path | Backend> =>
  Effect.gen(function*() {
    const draft = yield* format.draft(path, target, options)
    yield* replace(path, (temporary) => Effect.scoped(writeTo(path, temporary, draft)))
  }).pipe(Effect.withSpan("Checkpoint.save", { attributes: { path } }))

/** Writes a file under a temporary name beside it, and renames it. */
const replace = <E, R>(
  path: string,
  write: (temporary: string) => Effect.Effect<void, E, R>
): Effect.Effect<void, E | CheckpointError, R | FileSystem.FileSystem | Path.Path> =>
  Effect.scoped(Effect.gen(function*() {
    const [fs, paths] = [yield* FileSystem.FileSystem, yield* Path.Path]
    const folder = paths.dirname(path)
    yield* Effect.mapError(fs.makeDirectory(folder, { recursive: true }), io(path, "making the folder"))
    const id = yield* Effect.sync(() => crypto.randomUUID())
    const temporary = paths.join(folder, `.${paths.basename(path)}.${id}.tmp`)
    yield* Effect.addFinalizer(() => Effect.ignore(fs.remove(temporary, { force: true })))
    yield* write(temporary)
    yield* Effect.uninterruptible(
      Effect.mapError(fs.rename(temporary, path), io(path, "renaming the temporary file"))
    )
    // The new name itself lasts once the folder is synced, where a file system lets one do that.
    yield* Effect.ignore(
      Effect.scoped(Effect.flatMap(fs.open(folder, { flag: "r" }), (opened) => Effect.uninterruptible(opened.sync)))
    )
  }))

const writeTo = Effect.fnUntraced(function*(path: string, temporary: string, draft: format.Draft): Effect.fn.Return<
  void,
  CheckpointError | TensorError | BackendError,
  FileSystem.FileSystem | Backend | Scope.Scope
> {
  const fs = yield* FileSystem.FileSystem
  const writing = Effect.mapError(io(path, "writing"))
  const file = yield* fs.open(temporary, { flag: "wx" }).pipe(writing)
  yield* format.write(draft, {
    write: (bytes) => writing(writeAll(file, bytes)),
    first: (bytes) => writing(Effect.andThen(file.seek(0n, "start"), writeAll(file, bytes)))
  })
  yield* Effect.uninterruptible(writing(file.sync))
})

/** Opens a file for reading, until the scope closes. */
const open = Effect.fnUntraced(function*(
  path: string
): Effect.fn.Return<format.Opened, CheckpointError, FileSystem.FileSystem | Scope.Scope> {
  const fs = yield* FileSystem.FileSystem
  const reading = Effect.mapError(ioOrNotFound(path, "reading"))
  const file = yield* fs.open(path, { flag: "r" }).pipe(reading)
  const { size } = yield* file.stat.pipe(reading)
  const read = (into: Uint8Array, at: number): Effect.Effect<void, CheckpointError> =>
    Effect.gen(function*() {
      for (let done = 0; done < into.length;) {
        const part = into.subarray(done, done + chunk)
        const n = yield* Effect.uninterruptible(file.read(part, { position: BigInt(at + done) })).pipe(reading)
        if (n === 0) return yield* corrupt(path, "it became shorter while it was read")
        done += n
      }
    })
  return yield* format.open({ file: path, size: Number(size), read })
})

/**
 * Reads a checkpoint into a target. Models and Variables are updated in place, also abstract models made by
 * `evalShape`; States and bare arrays are immutable, so new ones are given. The result has the structure of the target;
 * for a model it is the model.
 *
 * All or nothing: a checkpoint that does not fit is a `Mismatch` that lists every path that is wrong, a damaged one is
 * `Corrupt`, and in both cases nothing was written. Metadata and aliases of Variables stay those of the target.
 *
 * ```ts import.meta.vitest
 * import * as NodeServices from "@effect/platform-node/NodeServices"
 * import { Effect, FileSystem, Layer } from "effect"
 * import * as nnx from "linum"
 * import * as Cpu from "linum/backend/tfjs-cpu"
 * import * as Checkpoint from "linum/Checkpoint"
 *
 * const program = Effect.gen(function*() {
 *   const folder = yield* (yield* FileSystem.FileSystem).makeTempDirectoryScoped()
 *   yield* Checkpoint.save(`${folder}/model`, yield* nnx.Linear.make(2, 3))
 *   const wider = yield* nnx.Linear.make(2, 4)
 *   const error = yield* Effect.flip(Checkpoint.restore(`${folder}/model`, wider))
 *   return error.message.split("\n").slice(1).join("\n")
 * })
 * const services = Layer.mergeAll(Cpu.layer, NodeServices.layer, nnx.Rngs.layer(0))
 * console.log(await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(services))))
 * // =>   bias: expected Param f32[4], found Param f32[3]
 * //   kernel: expected Param f32[2,4], found Param f32[2,3]
 * ```
 *
 * @category files
 * @since 0.1.0
 */
export const restore = <A extends object>(
  path: string,
  target: A,
  options: format.RestoreOptions = {}
): Effect.Effect<A, CheckpointError, FileSystem.FileSystem> =>
  Effect.flatMap(open(path), (opened) => format.restore(opened, target, options)).pipe(
    // The structure that goes in comes out.
    Effect.map((restored) => restored as A),
    Effect.scoped,
    Effect.withSpan("Checkpoint.restore", { attributes: { path } })
  )

/**
 * Reads a whole checkpoint without a target: a State of everything, and the manifest.
 *
 * @category files
 * @since 0.1.0
 */
export const load = (
  path: string,
  options: format.RestoreOptions = {}
): Effect.Effect<format.Loaded, CheckpointError, FileSystem.FileSystem> =>
  Effect.scoped(Effect.flatMap(open(path), (opened) => format.load(opened, options)))

/**
 * What is in a checkpoint, without reading its arrays: paths, kinds, shapes, dtypes, and the metadata given to `save`.
 *
 * @category files
 * @since 0.1.0
 */
export const manifest = (path: string): Effect.Effect<Manifest, CheckpointError, FileSystem.FileSystem> =>
  Effect.scoped(Effect.map(open(path), (opened) => opened.manifest))

/**
 * The metadata given to `save`, decoded by a Schema. Fails with a `Mismatch` if it is something else.
 *
 * @category files
 * @since 0.1.0
 */
export const metadata = <S extends Schema.ConstraintDecoder<unknown, unknown>>(
  path: string,
  schema: S
): Effect.Effect<S["Type"], CheckpointError, FileSystem.FileSystem | S["DecodingServices"]> =>
  Effect.flatMap(
    manifest(path),
    (own) =>
      Effect.mapError(Schema.decodeUnknownEffect(schema, { errors: "all" })(own.metadata), (error) => {
        const { issues } = SchemaIssue.makeFormatterStandardSchemaV1()(error.issue)
        return failure(path, {
          _tag: "Mismatch",
          misfits: issues.map((issue) => ({
            path: ["(metadata)", ...(issue.path ?? []).map((key) => String(typeof key === "object" ? key.key : key))],
            expected: issue.message.replace(/^Expected /, "").replace(/, got .*$/, ""),
            found: JSON.stringify(own.metadata)
          }))
        })
      })
  )
