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
 * Two leaves of a State that cannot stand beside each other: at one path, or one below the other.
 *
 * @category errors
 * @since 0.1.0
 */
export class StatePathError extends Data.TaggedError("StatePathError")<{
  readonly first: Path.Path
  readonly second: Path.Path
}> {
  override get message(): string {
    return Path.equals(this.first, this.second)
      ? `A State has two leaves at ${
        Path.format(this.first)
      }; merge States with State.merge, where the later one counts`
      : `A State has a leaf at ${Path.format(this.first)} and another below it, at ${Path.format(this.second)}`
  }
}

/** @internal */
export const duplicatePath = (first: Path.Path, second: Path.Path): StatePathError =>
  new StatePathError({ first, second })
