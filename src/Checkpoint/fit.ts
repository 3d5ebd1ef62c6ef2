/**
 * Does a checkpoint fit a target? A target gives a Schema of *layouts*; a checkpoint has a layout. What the Schema
 * finds wrong becomes the list of misfits, each with its path and what was expected and found there.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import { compare as comparePaths } from "../State/Path.ts"
import type { DType } from "../Tensor/DType.ts"
import * as ShapedArray from "../Tensor/ShapedArray.ts"
import { isTensor } from "../Tensor/Tensor.ts"
import { isPlainObject } from "../Tensor/Tree.ts"
import { type CheckpointError, failure, type Misfit } from "./errors.ts"
import { toStatic } from "./json.ts"
import {
  type Alias,
  type Manifest,
  type StoredStatic,
  type StoredValue,
  toStatePath,
  type TypedPath
} from "./Manifest.ts"
import { leafName } from "./names.ts"
import { keyOf, type Slot, slotsOf, type Target } from "./target.ts"

/** The value of a leaf without elements, and without where they are in the file. */
export type ValueLayout =
  | { readonly _tag: "Array"; readonly dtype: DType; readonly shape: ReadonlyArray<number> }
  | { readonly _tag: "List"; readonly items: ReadonlyArray<ValueLayout> }
  | { readonly _tag: "Dict"; readonly entries: ReadonlyArray<readonly [key: string, value: ValueLayout]> }
  | StoredStatic

/** What must agree between a leaf of a checkpoint and a place in a target. */
export interface LeafLayout {
  readonly kind: string
  readonly value: ValueLayout
}

/**
 * The leaves of a checkpoint by their names, such as `layers.0.kernel`: what must agree with a target.
 *
 * @category models
 * @since 0.1.0
 */
export type Layout = Readonly<Record<string, LeafLayout>>

const valueLayout = (value: StoredValue): ValueLayout => {
  switch (value._tag) {
    case "Array":
      return { _tag: "Array", dtype: value.dtype, shape: value.shape }
    case "List":
      return { _tag: "List", items: value.items.map(valueLayout) }
    case "Dict":
      return { _tag: "Dict", entries: value.entries.map(([key, item]) => [key, valueLayout(item)]) }
    case "Static":
      return value
  }
}

/** The layout of a leaf's value as it is in memory. What is neither array nor primitive is told by its type. */
export const layoutOfValue = (value: unknown): ValueLayout => {
  if (isTensor(value)) return { _tag: "Array", dtype: value.dtype, shape: value.shape }
  if (Array.isArray(value)) return { _tag: "List", items: value.map(layoutOfValue) }
  if (isPlainObject(value)) {
    return { _tag: "Dict", entries: Object.keys(value).toSorted().map((key) => [key, layoutOfValue(value[key])]) }
  }
  return toStatic(value) ?? { _tag: "Static", value: `(${typeof value})` }
}

/**
 * The layout of a checkpoint.
 *
 * @category getters
 * @since 0.1.0
 */
export const layout = (manifest: Manifest): Layout =>
  Object.fromEntries(
    manifest.leaves.map(({ kind, path, value }) => [leafName(path), { kind, value: valueLayout(value) }])
  )

type Exactly = Schema.Codec<unknown>

const valueSchema = (value: ValueLayout): Exactly => {
  switch (value._tag) {
    case "Array":
      return Schema.Struct({
        _tag: Schema.tag("Array"),
        dtype: Schema.Literal(value.dtype),
        shape: Schema.Tuple(value.shape.map((d) => Schema.Literal(d)))
      })
    case "List":
      return Schema.Struct({ _tag: Schema.tag("List"), items: Schema.Tuple(value.items.map(valueSchema)) })
    case "Dict":
      return Schema.Struct({
        _tag: Schema.tag("Dict"),
        entries: Schema.Tuple(
          value.entries.map(([key, item]) => Schema.Tuple([Schema.Literal(key), valueSchema(item)]))
        )
      })
    case "Static": {
      const primitive = {
        _tag: Schema.tag("Static"),
        value: value.value === null ? Schema.Null : Schema.Literal(value.value)
      }
      return value.as === undefined
        ? Schema.Struct(primitive)
        : Schema.Struct({ ...primitive, as: Schema.Literal(value.as) })
    }
  }
}

const schemaOfSlots = (slots: ReadonlyArray<Slot>): Schema.Codec<Layout> =>
  Schema.Struct(Object.fromEntries(slots.map((slot) => [
    leafName(slot.path),
    Schema.Struct({ kind: Schema.Literal(slot.def.kind), value: valueSchema(layoutOfValue(slot.value)) })
  ]))) as unknown as Schema.Codec<Layout>

/**
 * The Schema of the layouts that fit a target (a model, an abstract model, a State, or plain objects and arrays of
 * these): one field for each leaf, whose kind, dtype and shape are literals. Decode with `{ onExcessProperty: "error"
 * }`, as `restore` does, to reject leaves that the target does not have. Fails with an `Unsupported` for a target that
 * no checkpoint can hold.
 *
 * ```ts import.meta.vitest
 * import { Effect, Schema } from "effect"
 * import * as nnx from "linum"
 * import * as Cpu from "linum/backend/tfjs-cpu"
 * import * as Checkpoint from "linum/Checkpoint"
 *
 * const program = Effect.gen(function*() {
 *   const weights = { w: nnx.Param.makeUnsafe(nnx.Tensor.zeros([2])) }
 *   const { manifest } = yield* Checkpoint.decode(yield* Checkpoint.encode(weights))
 *   const fits = Schema.is(yield* Checkpoint.schemaOf(weights))
 *   return fits(Checkpoint.layout(manifest))
 * })
 * console.log(await Effect.runPromise(program.pipe(Effect.provide(Cpu.layer)))) // => true
 * ```
 *
 * @category schemas
 * @since 0.1.0
 */
export const schemaOf = (target: object): Effect.Effect<Schema.Codec<Layout>, CheckpointError> =>
  Effect.map(slotsOf("(target)", target, undefined), ({ slots }) => schemaOfSlots(slots))

const options = { errors: "all", onExcessProperty: "error" } as const

/**
 * Everything that does not fit, in the order of paths: leaves that are missing, that are too many, of another kind,
 * dtype, shape or structure.
 */
export const misfits = (target: Target, manifest: Manifest): ReadonlyArray<Misfit> => {
  const [given, slots] = [layout(manifest), new Map(target.slots.map((s) => [leafName(s.path), s]))]
  const decoded = Schema.decodeUnknownResult(schemaOfSlots(target.slots), options)(given)
  const readOnly = target.slots.filter((s) => !s.mutable).map((s): Misfit => ({
    path: toStatePath(s.path),
    expected: "a Variable that can be written",
    found: "one that `immutable` made read-only"
  }))
  if (Result.isSuccess(decoded)) return readOnly
  const stored = new Map(manifest.leaves.map((leaf) => [leafName(leaf.path), leaf]))
  const { issues } = SchemaIssue.makeFormatterStandardSchemaV1()(decoded.failure.issue)
  const names = new Set(issues.map(({ path }) => typeof path?.[0] === "object" ? path[0].key : path?.[0]))
  const found = [...names].flatMap((name): ReadonlyArray<Misfit> => {
    const [slot, leaf] = [slots.get(String(name)), stored.get(String(name))]
    const path = slot?.path ?? leaf?.path
    if (path === undefined) return []
    return [{
      path: toStatePath(path),
      expected: slot === undefined
        ? `nothing${sharing(path, target.aliases, "the target")}`
        : describe(slot.def.kind, layoutOfValue(slot.value)),
      found: leaf === undefined
        ? `nothing${sharing(path, manifest.aliases, "the checkpoint")}`
        : describe(leaf.kind, valueLayout(leaf.value))
    }]
  })
  return [...readOnly, ...found].toSorted((a, b) => comparePaths(a.path, b.path))
}

/** Why nothing is at a path, if that is because it is shared with another. */
const sharing = (path: TypedPath, aliases: ReadonlyArray<Alias>, who: string): string => {
  for (const alias of aliases) {
    if (alias.path.length > path.length || keyOf(path.slice(0, alias.path.length)) !== keyOf(alias.path)) continue
    return ` of its own (${who} shares it with ${
      toStatePath([...alias.of, ...path.slice(alias.path.length)]).join("/")
    })`
  }
  return ""
}

const describe = (kind: string, value: ValueLayout): string => `${kind} ${describeValue(value)}`

const describeValue = (value: ValueLayout): string => {
  switch (value._tag) {
    case "Array":
      return ShapedArray.format(ShapedArray.make(value.shape, value.dtype))
    case "List":
      return `[${value.items.map(describeValue).join(", ")}]`
    case "Dict":
      return `{${value.entries.map(([key, item]) => `${key}: ${describeValue(item)}`).join(", ")}}`
    case "Static":
      return typeof value.value === "string" && value.as === undefined
        ? JSON.stringify(value.value)
        : String(value.value)
  }
}

/** Fails with all misfits, if there are any. */
export const checkFit = (file: string, target: Target, manifest: Manifest): Effect.Effect<void, CheckpointError> =>
  Effect.suspend(() => {
    const found = misfits(target, manifest)
    return found.length === 0 ? Effect.void : Effect.fail(failure(file, { _tag: "Mismatch", misfits: found }))
  })
