/**
 * Checkpoints in memory: for browsers, networks and databases. The bytes are those of a checkpoint file.
 */
import * as Effect from "effect/Effect"
import type { Backend, BackendError } from "../Backend/Backend.ts"
import type { TensorError } from "../Tensor/errors.ts"
import type { CheckpointError } from "./errors.ts"
import * as format from "./format.ts"

const file = "(bytes)"

const sourceOf = (bytes: Uint8Array): format.Source => ({
  file,
  size: bytes.length,
  read: (into, at) => Effect.sync(() => into.set(bytes.subarray(at, at + into.length)))
})

/**
 * A model, a State, or plain objects and arrays of both, as the bytes of a checkpoint file. Fails as `save` does.
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 * import * as Cpu from "linum/backend/tfjs-cpu"
 * import * as Checkpoint from "linum/Checkpoint"
 *
 * const program = Effect.gen(function*() {
 *   const weights = nnx.Param.makeUnsafe(nnx.Tensor.array([1, 2, 3]))
 *   const bytes = yield* Checkpoint.encode({ weights, mean: nnx.Tensor.zeros([2]) })
 *   const { state } = yield* Checkpoint.decode(bytes)
 *   return nnx.State.paths(state)
 * })
 * console.log(await Effect.runPromise(program.pipe(Effect.provide(Cpu.layer)))) // => [ [ 'mean' ], [ 'weights' ] ]
 * ```
 *
 * @category encoding
 * @since 0.1.0
 */
export const encode = Effect.fnUntraced(function*(
  target: object,
  options: format.SaveOptions = {}
): Effect.fn.Return<Uint8Array, CheckpointError | TensorError | BackendError, Backend> {
  const draft = yield* format.draft(file, target, options)
  const out = new Uint8Array(format.sizeOf(draft))
  let at = 0
  yield* format.write(draft, {
    write: (bytes) =>
      Effect.sync(() => {
        out.set(bytes, at)
        at += bytes.length
      }),
    first: (bytes) => Effect.sync(() => out.set(bytes, 0))
  })
  return out
})

/**
 * Everything in the bytes of a checkpoint: a State, and the manifest. Fails with a `CheckpointError` (`Corrupt`,
 * `Unsupported`).
 *
 * @category decoding
 * @since 0.1.0
 */
export const decode = (
  bytes: Uint8Array,
  options: format.RestoreOptions = {}
): Effect.Effect<format.Loaded, CheckpointError> =>
  Effect.flatMap(format.open(sourceOf(bytes)), (opened) => format.load(opened, options))

/**
 * `restore` from bytes: models are updated in place and given back, States and bare arrays are given anew. Fails with a
 * `CheckpointError` as `restore` does, and then nothing was written.
 *
 * @category decoding
 * @since 0.1.0
 */
export const decodeInto = <A extends object>(
  bytes: Uint8Array,
  target: A,
  options: format.RestoreOptions = {}
): Effect.Effect<A, CheckpointError> =>
  Effect.flatMap(format.open(sourceOf(bytes)), (opened) => format.restore(opened, target, options)).pipe(
    // The structure that goes in comes out.
    Effect.map((restored) => restored as A)
  )
