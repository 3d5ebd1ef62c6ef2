/**
 * Metadata of Variables, read and changed by name. The flags of a Variable's mode are among them (*required*): they can
 * be looked at, but neither changed nor deleted, since they are what the Variable is.
 *
 * Metadata is static. A change is a change of the model's structure: a compiled function is traced again, and inside a
 * trace it is only possible for Variables that came in as arguments or were made there, and reaches the outer Variable.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Struct from "effect/Struct"
import { currentUnsafe } from "../Program/Trace.ts"
import { TraceError } from "../Tensor/errors.ts"
import { defaultMode, type Mode } from "./modes.ts"
import { type Any, cellOf, type Metadata, type Variable, type VariableCell } from "./Variable.ts"

/**
 * Metadata that is not there (`missing`), that cannot be changed (`required`), or a call that means nothing
 * (`arguments`).
 *
 * @category errors
 * @since 0.1.0
 */
export class MetadataError extends Data.TaggedError("MetadataError")<{
  readonly reason: "missing" | "required" | "arguments"
  /** The key that was named. */
  readonly key: string | undefined
  /** The keys that there are. */
  readonly found: ReadonlyArray<string>
  readonly detail: string
}> {
  override get message(): string {
    return this.detail
  }
}

/** What changing metadata may fail with: the Variable may belong to another trace. */
export type SetMetadataError = MetadataError | TraceError

/** The insides of a Variable, whatever it holds. */
const inside = <A>(self: Variable<string, A>): VariableCell => cellOf(self as unknown as Any)

const isRequired = (key: string): key is keyof Mode => Object.hasOwn(defaultMode, key)

/** All metadata. What `immutable` took away is there only if it did. */
const everything = ({ metadata, mode }: VariableCell): Metadata => ({
  ...metadata,
  hasRef: mode.hasRef,
  isHijax: mode.isHijax,
  isMutable: mode.isMutable,
  ...mode.hadRef ? { hadRef: true } : {},
  ...mode.wasHijax ? { wasHijax: true } : {}
})

const missing = (key: string, found: ReadonlyArray<string>): MetadataError =>
  new MetadataError({
    reason: "missing",
    key,
    found,
    detail: `No metadata '${key}': the Variable has ${
      found.map((k) => `'${k}'`).join(", ")
    }. Give a default, or set it.`
  })

const misused = (detail: string): MetadataError =>
  new MetadataError({ reason: "arguments", key: undefined, found: [], detail })

/** Options of `getMetadata`. */
export interface GetMetadataOptions {
  /** Leave out the flags of the mode; false by default. */
  readonly excludeRequired?: boolean
}

/** Reads metadata; see `getMetadata`. */
export interface GetMetadata {
  <A>(self: Variable<string, A>, options?: GetMetadataOptions): Effect.Effect<Metadata>
  <A>(self: Variable<string, A>, key: string): Effect.Effect<unknown, MetadataError>
  <A>(self: Variable<string, A>, key: string, defaultValue: unknown): Effect.Effect<unknown>
}

/**
 * The metadata of a Variable: all of it, or what stands under one key. `Variable.get_metadata`.
 *
 * - `getMetadata(v)` gives a copy of everything, with the flags of the mode; `{ excludeRequired: true }` leaves those out.
 * - `getMetadata(v, key)` fails with a `MetadataError` that names the keys that there are, if this one is not.
 * - `getMetadata(v, key, default)` gives the default then.
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 *
 * const program = Effect.gen(function*() {
 *   const v = yield* nnx.Param.make(nnx.Tensor.ones([2]), { metadata: { axis: "in" } })
 *   return [yield* nnx.getMetadata(v, "axis"), yield* nnx.getMetadata(v, "rule", null), yield* nnx.getMetadata(v)]
 * })
 * console.log(Effect.runSync(program))
 * // => [
 * //   'in',
 * //   null,
 * //   { axis: 'in', hasRef: false, isHijax: false, isMutable: true }
 * // ]
 * ```
 *
 * @category getters
 * @since 0.1.0
 */
export const getMetadata = (<A>(
  self: Variable<string, A>,
  ...rest: readonly [what?: GetMetadataOptions | string, defaultValue?: unknown]
): Effect.Effect<unknown, MetadataError> =>
  Effect.suspend(() => {
    const [key] = rest
    const cell = inside(self)
    if (typeof key === "string") {
      const all = everything(cell)
      if (Object.hasOwn(all, key)) return Effect.succeed(all[key])
      return rest.length > 1 ? Effect.succeed(rest[1]) : Effect.fail(missing(key, Object.keys(all)))
    }
    if (rest.length > 1) {
      return Effect.fail(misused("Cannot provide a default value when the key is not provided."))
    }
    return Effect.succeed(key?.excludeRequired === true ? { ...cell.metadata } : everything(cell))
  })) as GetMetadata

/**
 * Has a Variable metadata under this key? Flags of its mode count.
 *
 * @category getters
 * @since 0.1.0
 */
export const hasMetadata = <A>(self: Variable<string, A>, key: string): Effect.Effect<boolean> =>
  Effect.sync(() => Object.hasOwn(everything(inside(self)), key))

/** Fails for Variables of another level: what changes there would change once, when traced, and never again. */
const checkLevel = (cell: VariableCell): TraceError | undefined => {
  const trace = currentUnsafe()
  return cell.owner === trace ? undefined : new TraceError({
    transform: trace === undefined ? "outside of a trace" : trace.scope.transform,
    reason: `Cannot mutate ${cell.kind} from a different trace level`,
    hint: "pass the Variable to the traced function as an argument, or change its metadata outside"
  })
}

/** The flag that would change. */
const changedFlag = (cell: VariableCell, changes: Metadata): MetadataError | undefined => {
  for (const [key, value] of Object.entries(changes)) {
    if (!isRequired(key) || cell.mode[key] === value) continue
    return new MetadataError({
      reason: "required",
      key,
      found: Object.keys(everything(cell)),
      detail: `Cannot change '${key}' metadata, expected ${cell.mode[key]}, got ${String(value)}`
    })
  }
  return undefined
}

/** Puts new metadata, less the flags in it, in the place of the old, or fails. */
const replace = <A>(
  self: Variable<string, A>,
  change: (before: Metadata) => Metadata,
  given: Metadata
): Effect.Effect<void, SetMetadataError> =>
  Effect.suspend(() => {
    const cell = inside(self)
    const failure = checkLevel(cell) ?? changedFlag(cell, given)
    if (failure !== undefined) return Effect.fail(failure)
    const after = Object.fromEntries(Object.entries(change(cell.metadata)).filter(([key]) => !isRequired(key)))
    // The same object says that nothing changed.
    if (!Equal.equals(after, cell.metadata)) cell.metadata = after
    return Effect.void
  })

/** Changes metadata; see `setMetadata`. */
export interface SetMetadata {
  <A>(self: Variable<string, A>, metadata: Metadata): Effect.Effect<void, SetMetadataError>
  <A>(self: Variable<string, A>, key: string, value: unknown): Effect.Effect<void, SetMetadataError>
}

/**
 * Changes the metadata of a Variable: `Variable.set_metadata`.
 *
 * - `setMetadata(v, { … })` replaces all of it, but for the flags of the mode;
 * - `setMetadata(v, key, value)` sets one entry.
 *
 * What Python's keyword arguments do, `updateMetadata` does. Fails with a `MetadataError` if a flag would change, and
 * with a `TraceError` for a Variable of another level than the running trace.
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 *
 * const program = Effect.gen(function*() {
 *   const v = yield* nnx.Param.make(nnx.Tensor.ones([2]), { metadata: { axis: "in" } })
 *   yield* nnx.setMetadata(v, "rule", 1)
 *   yield* nnx.updateMetadata(v, { axis: "out" })
 *   const both = v.metadata
 *   yield* nnx.setMetadata(v, { only: true })
 *   return [both, v.metadata]
 * })
 * console.log(Effect.runSync(program)) // => [ { axis: 'out', rule: 1 }, { only: true } ]
 * ```
 *
 * @category mutations
 * @since 0.1.0
 */
export const setMetadata: SetMetadata = <A>(
  self: Variable<string, A>,
  ...rest: readonly [Metadata] | readonly [string] | readonly [string, unknown]
): Effect.Effect<void, SetMetadataError> => {
  const [first] = rest
  if (typeof first === "string") {
    return rest.length === 2
      ? replace(self, (before) => ({ ...before, [first]: rest[1] }), { [first]: rest[1] })
      : Effect.fail(misused(`setMetadata of '${first}' was given no value.`))
  }
  return rest.length === 1
    ? replace(self, () => first, first)
    : Effect.fail(misused("Cannot mix a record with a key and a value in setMetadata."))
}

/**
 * Adds entries to the metadata of a Variable, or changes them; the others stay. What `Variable.set_metadata` does with
 * keyword arguments. Fails as `setMetadata` does.
 *
 * @category mutations
 * @since 0.1.0
 */
export const updateMetadata = <A>(
  self: Variable<string, A>,
  changes: Metadata
): Effect.Effect<void, SetMetadataError> => replace(self, (before) => ({ ...before, ...changes }), changes)

/**
 * Removes an entry of the metadata of a Variable: `Variable.del_metadata`. Fails with a `MetadataError` if there is none,
 * or if it is a flag of the mode, and as `setMetadata` does.
 *
 * @category mutations
 * @since 0.1.0
 */
export const deleteMetadata = <A>(self: Variable<string, A>, key: string): Effect.Effect<void, SetMetadataError> =>
  Effect.suspend(() => {
    const cell = inside(self)
    const found = Object.keys(everything(cell))
    if (isRequired(key)) {
      return Effect.fail(
        new MetadataError({ reason: "required", key, found, detail: `Cannot delete '${key}' metadata` })
      )
    }
    if (!found.includes(key)) return Effect.fail(missing(key, found))
    return replace(self, (before) => Struct.omit(before, [key]), {})
  })
