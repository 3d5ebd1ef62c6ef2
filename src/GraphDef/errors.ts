/**
 * What goes wrong between a model and a State: paths that do not fit, and one object at two places where that has no
 * meaning.
 */
import * as Data from "effect/Data"
import * as Path from "../State/Path.ts"

/** One thing that does not fit. */
export interface Misfit {
  readonly path: Path.Path
  readonly expected: string
  readonly found: string
  /** The rule that is broken, in Flax's words. */
  readonly reason?: string
}

/**
 * A State does not fit a model's structure. Every misfit is listed, not just the first.
 *
 * @category errors
 * @since 0.1.0
 */
export class StructureError extends Data.TaggedError("StructureError")<{
  /** `merge`, `update`, … */
  readonly operation: string
  readonly misfits: ReadonlyArray<Misfit>
  readonly hint: string
}> {
  override get message(): string {
    const lines = this.misfits.map(({ expected, found, path, reason }) =>
      `\n  ${Path.format(path)}: expected ${expected}, found ${found}${reason === undefined ? "" : `. ${reason}`}`
    )
    return `${this.operation}: ${
      this.misfits.length === 1 ? "a path does" : `${this.misfits.length} paths do`
    } not fit; ` +
      `${this.hint}${lines.join("")}`
  }
}

/** One Variable that was given different prefixes (axes) at its places. */
export interface Inconsistent {
  /** Its kind. */
  readonly node: string
  readonly places: ReadonlyArray<{ readonly path: Path.Path; readonly prefix: string }>
}

/**
 * One Variable or node at several places where it can only be at one, or where it was given different prefixes (then
 * `inconsistent` has every Variable with all of its places).
 *
 * @category errors
 * @since 0.1.0
 */
export class AliasError extends Data.TaggedError("AliasError")<{
  readonly operation: string
  readonly what: string
  readonly paths: ReadonlyArray<Path.Path>
  readonly hint: string
  readonly inconsistent?: ReadonlyArray<Inconsistent>
  /** The whole message, if there is another one. */
  readonly text?: string
}> {
  override get message(): string {
    if (this.text !== undefined) return this.text
    if (this.inconsistent !== undefined) {
      const nodes = this.inconsistent.map(({ node, places }) =>
        `\nNode: ${node}${places.map((p) => `\n  ${Path.format(p.path)}: ${p.prefix}`).join("")}`
      )
      return `${this.operation}: Inconsistent aliasing detected. The following nodes have different prefixes:` +
        `${nodes.join("")}\n${this.hint}`
    }
    return `${this.operation}: the same ${this.what} is at ${
      this.paths.map(Path.format).join(" and at ")
    }; ${this.hint}`
  }
}

/**
 * An update context, or one of splits or merges, that is not there, is used after its end, or is used out of order.
 *
 * @category errors
 * @since 0.1.0
 */
export class UpdateContextError extends Data.TaggedError("UpdateContextError")<{
  /** The tag of the context, if it has one. */
  readonly tag: string | undefined
  readonly reason: string
  readonly hint: string
}> {
  override get message(): string {
    return `${this.reason} ${this.hint}`
  }
}
