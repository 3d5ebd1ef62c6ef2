/**
 * What goes wrong with checkpoints: one error, `CheckpointError`, with a reason.
 */
import * as Data from "effect/Data"
import * as Path from "../State/Path.ts"

/** There is no file. */
export interface NotFound {
  readonly _tag: "NotFound"
}

/** The bytes are not a whole, unchanged checkpoint: cut off, changed, or of another kind. */
export interface Corrupt {
  readonly _tag: "Corrupt"
  readonly problem: string
}

/** One path at which a checkpoint and a target do not fit. */
export interface Misfit {
  readonly path: Path.Path
  readonly expected: string
  readonly found: string
}

/** The checkpoint is of something else than the target. All misfits are listed. */
export interface Mismatch {
  readonly _tag: "Mismatch"
  readonly misfits: ReadonlyArray<Misfit>
}

/** The file system refused. */
export interface Io {
  readonly _tag: "Io"
  readonly operation: string
  readonly cause: unknown
}

/** What cannot be stored, or was stored by a later version of the library. */
export interface Unsupported {
  readonly _tag: "Unsupported"
  readonly problem: string
  readonly hint: string
}

/** Why a checkpoint was not written or read. */
export type Reason = NotFound | Corrupt | Mismatch | Io | Unsupported

const explain = (reason: Reason): string => {
  switch (reason._tag) {
    case "NotFound":
      return "there is no such file"
    case "Corrupt":
      return `not a whole checkpoint: ${reason.problem}`
    case "Mismatch":
      return `${
        reason.misfits.length === 1 ? "a path does" : `${reason.misfits.length} paths do`
      } not fit; nothing was ` +
        `restored${reason.misfits.map(formatMisfit).join("")}`
    case "Io":
      return `${reason.operation} failed: ${String(reason.cause)}`
    case "Unsupported":
      return `${reason.problem}; ${reason.hint}`
  }
}

const formatMisfit = ({ expected, found, path }: Misfit): string =>
  `\n  ${Path.format(path)}: expected ${expected}, found ${found}`

/**
 * A checkpoint could not be written or read. `reason._tag` tells why; `Effect.catchReason` handles one reason.
 *
 * @category errors
 * @since 0.1.0
 */
export class CheckpointError extends Data.TaggedError("CheckpointError")<{
  /** The file; `(bytes)` for bytes in memory. */
  readonly file: string
  readonly reason: Reason
}> {
  override get message(): string {
    return `Checkpoint ${this.file}: ${explain(this.reason)}`
  }
}

/** @internal A failure with a reason. */
export const failure = (file: string, reason: Reason): CheckpointError => new CheckpointError({ file, reason })

/** @internal A failure because of bytes that are not a whole checkpoint. */
export const corrupt = (file: string, problem: string): CheckpointError => failure(file, { _tag: "Corrupt", problem })
