/**
 * The manifest of a checkpoint: everything in it but the elements of arrays. It is JSON, and described by a Schema;
 * `version` tells its layout, so that later versions of the library can read it and bring it up to date.
 *
 * A *leaf* is what one Variable holds, or an array that stands by itself. Its value is a tree of arrays, mostly one.
 * Paths are keys from the root: positions in lists are numbers and names are strings, which are never mixed up.
 */
import * as Schema from "effect/Schema"
import type { Path } from "../State/Path.ts"
import { all, type DType } from "../Tensor/DType.ts"

/** A step of a path: the name of a field, or a position in a list. */
export type Key = string | number

/** From the root of what was saved to a leaf. */
export type TypedPath = ReadonlyArray<Key>

/**
 * An array: its description, and the bytes from the first of `offsets` to the last (exclusive), counted from the end of
 * the header.
 */
export interface StoredArray {
  readonly _tag: "Array"
  readonly dtype: DType
  readonly shape: ReadonlyArray<number>
  readonly weakType: boolean
  readonly offsets: readonly [begin: number, end: number]
  /** CRC-32 of the bytes, as eight hexadecimal digits. */
  readonly crc32: string
}

/** A value that is not an array. `as` tells what JSON cannot: `value` is then a string, such as `"NaN"`. */
export interface StoredStatic {
  readonly _tag: "Static"
  readonly value: null | boolean | number | string
  readonly as?: "number" | "bigint" | "undefined"
}

/** The value of a leaf: an array, or a tree of them. */
export type StoredValue =
  | StoredArray
  | StoredStatic
  | { readonly _tag: "List"; readonly items: ReadonlyArray<StoredValue> }
  | { readonly _tag: "Dict"; readonly entries: ReadonlyArray<readonly [key: string, value: StoredValue]> }

/** What one Variable holds, or an array that stands by itself (`bare`). */
export interface StoredLeaf {
  readonly path: TypedPath
  /** `Param`, `BatchStat`, …; `Array` for a bare array. */
  readonly kind: string
  readonly bare: boolean
  readonly metadata: { readonly [key: string]: Schema.Json }
  /** Metadata that is not JSON, and was left out. */
  readonly omitted: ReadonlyArray<string>
  readonly value: StoredValue
}

/** A Variable or node that is at a second path; it is stored at the first. */
export interface Alias {
  readonly path: TypedPath
  readonly of: TypedPath
}

/**
 * Everything in a checkpoint but the elements of arrays.
 *
 * @category models
 * @since 0.1.0
 */
export interface Manifest {
  readonly format: "linum"
  readonly version: 1
  /** The version of the library that wrote it. */
  readonly library: string
  /** What was given to `save`; null by default. */
  readonly metadata: Schema.Json
  readonly leaves: ReadonlyArray<StoredLeaf>
  readonly aliases: ReadonlyArray<Alias>
}

const typedPath = Schema.Array(Schema.Union([Schema.String, Schema.Natural]))

const storedValue: Schema.Codec<StoredValue> = Schema.Union([
  Schema.Struct({
    _tag: Schema.tag("Array"),
    dtype: Schema.Literals(all),
    shape: Schema.Array(Schema.Natural),
    weakType: Schema.Boolean,
    offsets: Schema.Tuple([Schema.Natural, Schema.Natural]),
    crc32: Schema.String.check(Schema.isPattern(/^[0-9a-f]{8}$/))
  }),
  Schema.Struct({
    _tag: Schema.tag("Static"),
    value: Schema.Union([Schema.Null, Schema.Boolean, Schema.Finite, Schema.String]),
    as: Schema.optionalKey(Schema.Literals(["number", "bigint", "undefined"]))
  }),
  Schema.Struct({
    _tag: Schema.tag("List"),
    items: Schema.Array(Schema.suspend((): Schema.Codec<StoredValue> => storedValue))
  }),
  Schema.Struct({
    _tag: Schema.tag("Dict"),
    entries: Schema.Array(
      Schema.Tuple([Schema.String, Schema.suspend((): Schema.Codec<StoredValue> => storedValue)])
    )
  })
])

const version1 = Schema.Struct({
  format: Schema.tag("linum"),
  version: Schema.tag(1),
  library: Schema.String,
  metadata: Schema.Json,
  leaves: Schema.Array(Schema.Struct({
    path: typedPath,
    kind: Schema.String,
    bare: Schema.Boolean,
    metadata: Schema.Record(Schema.String, Schema.Json),
    omitted: Schema.Array(Schema.String),
    value: storedValue
  })),
  aliases: Schema.Array(Schema.Struct({ path: typedPath, of: typedPath }))
})

/**
 * Manifests, as JSON. The current version stands first; earlier ones will follow it, each with a transformation to it.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Manifest: Schema.Codec<Manifest> = Schema.Union([version1])

/** The newest layout that this version of the library knows. */
export const currentVersion = 1

/** The version of the library, as manifests tell it. */
export const libraryVersion = "0.1.0"

/** The path as States have it: positions as their digits. */
export const toStatePath = (path: TypedPath): Path => path.map(String)

/** The arrays of a value, in order. */
export const arraysOf = (value: StoredValue): ReadonlyArray<StoredArray> => {
  switch (value._tag) {
    case "Array":
      return [value]
    case "Static":
      return []
    case "List":
      return value.items.flatMap(arraysOf)
    case "Dict":
      return value.entries.flatMap(([, item]) => arraysOf(item))
  }
}
