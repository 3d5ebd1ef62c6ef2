/**
 * Writing and reading the format, wherever the bytes are: a *sink* takes them in order, a *source* gives any part of
 * them. One array is in flight at a time, so that no second copy of a model is ever in memory.
 */
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type { Backend, BackendError } from "../Backend/Backend.ts"
import { compute, toTypedArray } from "../Backend/read.ts"
import type { Filter } from "../State/Filter.ts"
import { matches } from "../State/Filter.ts"
import * as State from "../State/State.ts"
import { allocate, byteSize, type TypedArray } from "../Tensor/DType.ts"
import type { TensorError } from "../Tensor/errors.ts"
import * as Shape from "../Tensor/Shape.ts"
import * as ShapedArray from "../Tensor/ShapedArray.ts"
import { fromHost, isTensor, type Tensor } from "../Tensor/Tensor.ts"
import { isPlainObject, leaves as tensorsIn } from "../Tensor/Tree.ts"
import { crc32, hex } from "./crc32.ts"
import { bigEndianHost, swapped } from "./endian.ts"
import { type CheckpointError, corrupt, failure } from "./errors.ts"
import { checkFit } from "./fit.ts"
import { decodeHeader, encodeHeader, headerLength, longestHeader } from "./header.ts"
import { asJson, fromStatic, tooDeep, toStatic } from "./json.ts"
import {
  arraysOf,
  currentVersion,
  libraryVersion,
  type Manifest,
  type StoredArray,
  type StoredLeaf,
  type StoredValue,
  toStatePath
} from "./Manifest.ts"
import { keyOf, type Slot, slotsOf, type Target, type Values, withValues } from "./target.ts"

/** What saving may take besides the target. */
export interface SaveOptions {
  /** Any JSON value, such as `{ epoch, step }`. It comes back from `metadata`. */
  readonly metadata?: Schema.Json
  /** Save only what it covers. */
  readonly filter?: Filter
}

/** What restoring may take besides the target. */
export interface RestoreOptions {
  /** Restore only what it covers; the rest of the target stays, and the rest of the checkpoint is not read. */
  readonly filter?: Filter
}

/** Takes bytes in order; `first` writes over the beginning. */
export interface Sink {
  readonly write: (bytes: Uint8Array) => Effect.Effect<void, CheckpointError>
  readonly first: (bytes: Uint8Array) => Effect.Effect<void, CheckpointError>
}

/** Gives bytes. */
export interface Source {
  readonly file: string
  readonly size: number
  /** Fills `into` with the bytes from `at` on. All of them are there. */
  readonly read: (into: Uint8Array, at: number) => Effect.Effect<void, CheckpointError>
}

/** A checkpoint to be: its manifest, with zeros for checksums, and the arrays in the order of their bytes. */
export interface Draft {
  readonly manifest: Manifest
  readonly arrays: ReadonlyArray<{ readonly tensor: Tensor; readonly stored: StoredArray }>
}

const zeroSum = hex(0)

/** Lays out a target. Reads its Variables, all at one moment, but not yet the elements of their arrays. */
export const draft = (file: string, target: object, options: SaveOptions): Effect.Effect<Draft, CheckpointError> =>
  Effect.flatMap(slotsOf(file, target, options.filter), (found) => {
    const metadata = asJson(options.metadata ?? null)
    if (metadata === undefined) {
      return Effect.fail(failure(file, {
        _tag: "Unsupported",
        problem: "the metadata is not JSON",
        hint: "encode it with its Schema first"
      }))
    }
    const placed = place(found.slots.flatMap((slot) => tensorsIn(slot.value)))
    const next = placed.inOrder[Symbol.iterator]()
    const leaves: Array<StoredLeaf> = []
    for (const slot of found.slots) {
      const value = storedValue(slot.value, next)
      if (value === undefined) return Effect.fail(unstorable(file, slot))
      leaves.push({ ...describe(slot), value })
    }
    const { aliases } = found
    const manifest: Manifest = {
      format: "linum",
      version: currentVersion,
      library: libraryVersion,
      metadata,
      leaves,
      aliases
    }
    const problem = encodeHeader(manifest).length > longestHeader
      ? "the header is longer than readers of safetensors take"
      : tooDeep(JSON.stringify(manifest))
      ? "the metadata or a Variable's value is nested too deep"
      : undefined
    return problem === undefined
      ? Effect.succeed({ manifest, arrays: placed.inFile })
      : Effect.fail(failure(file, { _tag: "Unsupported", problem, hint: "save parts of it" }))
  })

/** Gives each array its bytes: large elements first. */
const place = (tensors: ReadonlyArray<Tensor>) => {
  const order = Shape.range(tensors.length)
    .toSorted((a, b) => byteSize(tensors[b].dtype) - byteSize(tensors[a].dtype) || a - b)
  const stored: Array<StoredArray> = []
  let at = 0
  for (const i of order) {
    const { aval } = tensors[i]
    const begin = at
    at += ShapedArray.byteSize(aval)
    const { dtype, shape, weakType } = aval
    stored[i] = { _tag: "Array", dtype, shape, weakType, offsets: [begin, at], crc32: zeroSum }
  }
  return { inOrder: stored, inFile: order.map((i) => ({ tensor: tensors[i], stored: stored[i] })) }
}

/** The value with its arrays replaced by the next ones; undefined if something in it cannot be stored. */
const storedValue = (value: unknown, next: Iterator<StoredArray, undefined>): StoredValue | undefined => {
  if (isTensor(value)) return next.next().value
  if (Array.isArray(value)) {
    const items = value.map((item) => storedValue(item, next)).filter((item) => item !== undefined)
    return items.length === value.length ? { _tag: "List", items } : undefined
  }
  if (!isPlainObject(value)) return toStatic(value)
  // The order of Tree.flatten, which gave the arrays.
  const keys = Object.keys(value).toSorted()
  const entries = keys.flatMap((key): ReadonlyArray<readonly [string, StoredValue]> => {
    const item = storedValue(value[key], next)
    return item === undefined ? [] : [[key, item]]
  })
  return entries.length === keys.length ? { _tag: "Dict", entries } : undefined
}

const describe = ({ def, path }: Slot): Omit<StoredLeaf, "value"> => {
  const metadata: Array<readonly [string, Schema.Json]> = []
  const omitted: Array<string> = []
  for (const [key, value] of Object.entries(def.metadata)) {
    const json = asJson(value)
    if (json === undefined) omitted.push(key)
    else metadata.push([key, json])
  }
  return { path, kind: def.kind, bare: def.bare, metadata: Object.fromEntries(metadata), omitted }
}

const unstorable = (file: string, { path }: Slot): CheckpointError =>
  failure(file, {
    _tag: "Unsupported",
    problem: `${toStatePath(path).join("/")} holds an object or a function`,
    hint: "a Variable that is saved holds arrays, and lists and plain objects of arrays, numbers and strings"
  })

/** Writes a checkpoint, array by array: the header first without checksums, and at the end once more with them. */
export const write = Effect.fnUntraced(function*(
  { arrays, manifest }: Draft,
  sink: Sink
): Effect.fn.Return<void, CheckpointError | TensorError | BackendError, Backend> {
  yield* compute(...arrays.map(({ tensor }) => tensor))
  yield* sink.write(encodeHeader(manifest))
  const sums = new Map<StoredArray, string>()
  for (const { stored, tensor } of arrays) {
    const bytes = littleEndian(yield* toTypedArray(tensor, { raw: true }))
    sums.set(stored, hex(crc32(bytes)))
    yield* sink.write(bytes)
  }
  yield* sink.first(encodeHeader(summed(manifest, sums)))
})

/** The manifest with checksums. */
const summed = (manifest: Manifest, sums: ReadonlyMap<StoredArray, string>): Manifest => {
  const fill = (value: StoredValue): StoredValue => {
    switch (value._tag) {
      case "Array":
        return { ...value, crc32: sums.get(value) ?? value.crc32 }
      case "List":
        return { ...value, items: value.items.map(fill) }
      case "Dict":
        return { ...value, entries: value.entries.map(([key, item]) => [key, fill(item)] as const) }
      case "Static":
        return value
    }
  }
  return { ...manifest, leaves: manifest.leaves.map((leaf) => ({ ...leaf, value: fill(leaf.value) })) }
}

/** The bytes of elements as a file has them; on nearly every machine the elements' own memory. */
const littleEndian = (data: TypedArray): Uint8Array => {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  return bigEndianHost ? swapped(bytes, data.BYTES_PER_ELEMENT) : bytes
}

/** The size of a whole checkpoint. */
export const sizeOf = ({ arrays, manifest }: Draft): number =>
  encodeHeader(manifest).length + arrays.reduce((n, { stored: { offsets } }) => n + offsets[1] - offsets[0], 0)

/** A manifest, and where the elements begin. */
export interface Opened {
  readonly source: Source
  readonly manifest: Manifest
  readonly dataAt: number
}

/** Reads the header. */
export const open = Effect.fnUntraced(function*(source: Source): Effect.fn.Return<Opened, CheckpointError> {
  const { file, size } = source
  if (size < 8) return yield* corrupt(file, `it has ${size} bytes, which are too few for any header`)
  const first = new Uint8Array(8)
  yield* source.read(first, 0)
  const length = yield* headerLength(file, first, size)
  const header = new Uint8Array(length)
  yield* source.read(header, 8)
  const manifest = yield* decodeHeader(file, header, size - 8 - length)
  return { source, manifest, dataAt: 8 + length }
})

/** The elements of an array, checked. */
const readArray = Effect.fnUntraced(function*(
  { dataAt, source }: Opened,
  leaf: StoredLeaf,
  array: StoredArray
): Effect.fn.Return<Tensor, CheckpointError> {
  const { dtype, offsets, shape, weakType } = array
  // The header was compared with the size of the file, so this is no more than what is there.
  const data = allocate(dtype, (offsets[1] - offsets[0]) / byteSize(dtype))
  const bytes = new Uint8Array(data.buffer)
  yield* source.read(bytes, dataAt + offsets[0])
  const name = toStatePath(leaf.path).join("/")
  if (hex(crc32(bytes)) !== array.crc32) return yield* corrupt(source.file, `the checksum of ${name} is wrong`)
  if (dtype === "bool" && bytes.some((b) => b > 1)) {
    return yield* corrupt(source.file, `${name} has bools beside 0 and 1`)
  }
  if (bigEndianHost) bytes.set(swapped(bytes, byteSize(dtype)))
  return fromHost(ShapedArray.make(shape, dtype, weakType), data)
})

/** The value of a leaf. */
const readValue = Effect.fnUntraced(function*(
  opened: Opened,
  leaf: StoredLeaf
): Effect.fn.Return<unknown, CheckpointError> {
  const tensors: Array<Tensor> = []
  for (const array of arraysOf(leaf.value)) tensors.push(yield* readArray(opened, leaf, array))
  let next = 0
  const fill = (value: StoredValue): unknown => {
    switch (value._tag) {
      case "Array":
        return tensors[next++]
      case "List":
        return value.items.map(fill)
      case "Dict":
        return Object.fromEntries(value.entries.map(([key, item]) => [key, fill(item)]))
      case "Static":
        return fromStatic(value)
    }
  }
  return fill(leaf.value)
})

/** A checkpoint read without a target. */
export interface Loaded {
  readonly manifest: Manifest
  /** All leaves, at the paths where they were in what was saved. */
  readonly state: State.State<unknown>
}

/** Everything in a checkpoint, or what a filter covers. */
export const load = Effect.fnUntraced(function*(
  opened: Opened,
  options: RestoreOptions
): Effect.fn.Return<Loaded, CheckpointError> {
  const { manifest, source } = opened
  const entries: Array<readonly [ReadonlyArray<string>, unknown]> = []
  for (const leaf of manifest.leaves.filter((l) => covers(options.filter, l))) {
    const value = yield* readValue(opened, leaf)
    entries.push([toStatePath(leaf.path), leaf.bare ? value : State.variableState(leaf.kind, value, leaf.metadata)])
  }
  const state = yield* Effect.try({
    try: () => State.fromEntries<unknown>(entries),
    catch: (thrown) => corrupt(source.file, thrown instanceof Error ? thrown.message : String(thrown))
  })
  return { manifest, state }
})

const covers = (filter: Filter | undefined, leaf: StoredLeaf): boolean =>
  filter === undefined ||
  matches(filter, toStatePath(leaf.path), { kind: leaf.kind, metadata: leaf.metadata, value: undefined })

/** The target with what a checkpoint has for it. Everything is read and checked before anything is written. */
export const restore = Effect.fnUntraced(function*(
  opened: Opened,
  target: object,
  options: RestoreOptions
): Effect.fn.Return<unknown, CheckpointError> {
  const { file } = opened.source
  const found = yield* slotsOf(file, target, options.filter)
  const manifest = yield* selected(opened.manifest, found, target, options)
  yield* checkFit(file, found, manifest)
  const values = new Map<string, unknown>()
  for (const leaf of manifest.leaves) values.set(keyOf(leaf.path), yield* readValue(opened, leaf))
  return yield* withValues(file, found, values satisfies Values)
})

/**
 * The leaves that a filter means: by what the target says of them, and for what it does not have by what the manifest
 * says.
 */
const selected = (
  manifest: Manifest,
  found: Target,
  target: object,
  { filter }: RestoreOptions
): Effect.Effect<Manifest, CheckpointError> => {
  if (filter === undefined) return Effect.succeed(manifest)
  return Effect.map(slotsOf("(target)", target, undefined), (everything) => {
    const wanted = new Set(found.slots.map((slot) => keyOf(slot.path)))
    const known = new Set(everything.slots.map((slot) => keyOf(slot.path)))
    const leaves = manifest.leaves.filter((leaf) => {
      const key = keyOf(leaf.path)
      return known.has(key) ? wanted.has(key) : covers(filter, leaf)
    })
    return { ...manifest, leaves }
  })
}
