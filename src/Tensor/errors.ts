/**
 * What bad input gets: tagged errors that say what was expected, what was found, where, and what to do.
 *
 * Array operations are plain functions, so they throw these; transforms and readers catch them and put them into
 * their Effect's error channel, which is why all of them are `Data.TaggedError`s.
 */
import * as Data from "effect/Data"

interface Explained {
  readonly operation: string
  readonly expected: string
  readonly found: string
  readonly hint: string
}

const explain = (e: Explained): string => `${e.operation}: expected ${e.expected}, found ${e.found}; ${e.hint}`

/**
 * Shapes, ranks or axes do not fit an operation.
 *
 * @category errors
 * @since 0.1.0
 */
export class ShapeError extends Data.TaggedError("ShapeError")<Explained> {
  override get message(): string {
    return explain(this)
  }
}

/**
 * An operation does not take this element type.
 *
 * @category errors
 * @since 0.1.0
 */
export class DTypeError extends Data.TaggedError("DTypeError")<Explained> {
  override get message(): string {
    return explain(this)
  }
}

/**
 * An index expression does not fit the array: too many indices, a static index out of range, a wrong index type.
 *
 * @category errors
 * @since 0.1.0
 */
export class IndexError extends Data.TaggedError("IndexError")<Explained> {
  override get message(): string {
    return explain(this)
  }
}

/**
 * An array of a finished trace was used outside of it.
 *
 * @category errors
 * @since 0.1.0
 */
export class TracerLeakError extends Data.TaggedError("TracerLeakError")<{
  readonly transform: string
  readonly array: string
}> {
  override get message(): string {
    return `An array ${this.array} made inside ${this.transform} was used after that trace had finished; ` +
      `return it from the traced function (in arrays, plain objects or Modules), or write it to a Variable inside it`
  }
}

/**
 * A value was asked for while its array is only being traced: reading it, or branching on it.
 *
 * @category errors
 * @since 0.1.0
 */
export class ConcretizationError extends Data.TaggedError("ConcretizationError")<{
  readonly transform: string
  readonly array: string
}> {
  override get message(): string {
    return `The value of an array ${this.array} was read inside ${this.transform}, where only its shape and dtype are known; ` +
      `use where, cond or whileLoop to branch on it, or Debug.print to look at it`
  }
}

/**
 * A traced function did what a trace cannot hold, such as asynchronous work.
 *
 * @category errors
 * @since 0.1.0
 */
export class TraceError extends Data.TaggedError("TraceError")<{
  readonly transform: string
  readonly reason: string
  readonly hint: string
}> {
  override get message(): string {
    return `${this.transform}: ${this.reason}; ${this.hint}`
  }
}

/**
 * Everything that building or transforming a Program may fail with.
 *
 * @category errors
 * @since 0.1.0
 */
export type TensorError = ShapeError | DTypeError | IndexError | TracerLeakError | ConcretizationError | TraceError

/** Is it one of the errors that array operations throw? */
export const isTensorError = (u: unknown): u is TensorError =>
  u instanceof ShapeError || u instanceof DTypeError || u instanceof IndexError || u instanceof TracerLeakError ||
  u instanceof ConcretizationError || u instanceof TraceError
