/**
 * What goes wrong with filters and paths.
 */
import * as Data from "effect/Data"
import * as Path from "./Path.ts"

/** A leaf that an error talks about. */
export interface Found {
  readonly path: Path.Path
  readonly kind: string
}

/**
 * Filters that do not fit: no filter covers some leaves, or `rest` stands before the end.
 *
 * @category errors
 * @since 0.1.0
 */
export class FilterError extends Data.TaggedError("FilterError")<{
  readonly reason: string
  readonly filters: ReadonlyArray<string>
  /** The leaves that no filter covers. */
  readonly uncovered: ReadonlyArray<Found>
  readonly hint: string
}> {
  override get message(): string {
    const leaves = this.uncovered.map(({ path, kind }) => `\n  ${Path.format(path)}: ${kind}`).join("")
    return `${this.reason} (filters: ${this.filters.join(", ")}); ${this.hint}${leaves}`
  }
}

/**
 * Paths that a State cannot have: two leaves at one path or one below the other, or a value for a path that is not
 * there.
 *
 * @category errors
 * @since 0.1.0
 */
export class StatePathError extends Data.TaggedError("StatePathError")<{
  readonly path: Path.Path
  readonly reason: string
}> {
  override get message(): string {
    return `${Path.format(this.path)}: ${this.reason}`
  }
}

/** @internal */
export const duplicatePath = (first: Path.Path, second: Path.Path): StatePathError =>
  new StatePathError({
    path: second,
    reason: Path.equals(first, second)
      ? "a State cannot have two leaves at one path; merge States with State.merge, where the later one counts"
      : `a State cannot have a leaf below another, which is at ${Path.format(first)}`
  })

/** @internal */
export const unknownPath = (path: Path.Path): StatePathError =>
  new StatePathError({ path, reason: "key in pure dict not available in state" })
