/**
 * The file: safetensors, with a manifest of our own in it. https://github.com/huggingface/safetensors#format
 *
 * ```text
 * 8 bytes    n, the length of the header: little-endian, unsigned
 * n bytes    the header: JSON, UTF-8, padded with spaces, so that the arrays begin at a multiple of 8
 *            { "__metadata__": { "linum": MANIFEST AS TEXT, "linum.crc32": ITS CHECKSUM },
 *              "linear.kernel": { "dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24] }, … }
 * the rest   the elements of the arrays, row-major, little-endian, one after the other without gaps
 * ```
 *
 * Arrays with large elements come first, so that each begins at a multiple of its element's size. Nothing in a file is
 * believed: what the header says is compared with the size of the file before anything of that size is allocated.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { byteSize, type DType } from "../Tensor/DType.ts"
import { isPlainObject } from "../Tensor/Tree.ts"
import { crc32, hex } from "./crc32.ts"
import { type CheckpointError, corrupt, failure } from "./errors.ts"
import { parse } from "./json.ts"
import { arraysOf, currentVersion, Manifest, type StoredArray } from "./Manifest.ts"
import { leafName, named } from "./names.ts"

/** The names of dtypes in safetensors. */
const names: Readonly<Record<DType, string>> = {
  bool: "BOOL",
  uint8: "U8",
  int8: "I8",
  uint32: "U32",
  int32: "I32",
  float16: "F16",
  bfloat16: "BF16",
  float32: "F32",
  float64: "F64"
}

/** The longest header that readers of safetensors take. */
export const longestHeader = 100_000_000

const manifestKey = "linum"
const sumKey = "linum.crc32"

const utf8 = new TextEncoder()

interface Entry {
  readonly dtype: string
  readonly shape: ReadonlyArray<number>
  readonly data_offsets: readonly [number, number]
}

const entriesOf = (manifest: Manifest): ReadonlyArray<readonly [string, Entry]> =>
  manifest.leaves.flatMap((leaf) =>
    named(leaf.path, leaf.value).map(([name, { dtype, offsets, shape }]) =>
      [name, { dtype: names[dtype], shape, data_offsets: offsets }] as const
    )
  )

/** The header with its length before it. Its size does not depend on the checksums in the manifest. */
export const encodeHeader = (manifest: Manifest): Uint8Array => {
  const text = JSON.stringify(manifest)
  const own = { [manifestKey]: text, [sumKey]: hex(crc32(utf8.encode(text))) }
  const body = utf8.encode(JSON.stringify(Object.fromEntries([["__metadata__", own], ...entriesOf(manifest)])))
  const length = Math.ceil(body.length / 8) * 8
  const out = new Uint8Array(8 + length).fill(0x20)
  new DataView(out.buffer).setBigUint64(0, BigInt(length), true)
  out.set(body, 8)
  return out
}

/** The length of the header of a file, from its first eight bytes. */
export const headerLength = (file: string, first: Uint8Array, size: number): Effect.Effect<number, CheckpointError> => {
  const length = new DataView(first.buffer, first.byteOffset, 8).getBigUint64(0, true)
  return length > BigInt(Math.min(size - 8, longestHeader))
    ? Effect.fail(corrupt(file, `its header should have ${length} bytes, but the file has ${size}`))
    : Effect.succeed(Number(length))
}

/** The manifest of a header (without its length), whose file has `dataSize` bytes after it. */
export const decodeHeader = (
  file: string,
  header: Uint8Array,
  dataSize: number
): Effect.Effect<Manifest, CheckpointError> =>
  Effect.gen(function*() {
    const problem = (text: string) => corrupt(file, text)
    const text = yield* Effect.fromResult(decodeText(header)).pipe(Effect.mapError(problem))
    const parsed = parse(text)
    if (parsed._tag === "Problem") return yield* problem(`its header is not JSON: ${parsed.problem}`)
    if (!isPlainObject(parsed.value)) return yield* problem("its header is not an object")
    const own = Object.hasOwn(parsed.value, "__metadata__") ? parsed.value["__metadata__"] : undefined
    if (!isPlainObject(own) || !Object.hasOwn(own, manifestKey) || !Object.hasOwn(own, sumKey)) {
      return yield* problem("it is a safetensors file without a manifest, which Linum did not write")
    }
    const manifest = yield* decodeManifest(file, own[manifestKey], own[sumKey])
    const wrong = compareEntries(manifest, parsed.value) ?? compareOffsets(manifest, dataSize)
    return wrong === undefined ? manifest : yield* problem(wrong)
  })

const decodeText = (bytes: Uint8Array): Result.Result<string, string> =>
  Result.try({
    try: () => new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes),
    catch: () => "its header is not text"
  })

const decodeManifest = (file: string, text: unknown, sum: unknown): Effect.Effect<Manifest, CheckpointError> => {
  if (typeof text !== "string" || hex(crc32(utf8.encode(text))) !== sum) {
    return Effect.fail(corrupt(file, "the checksum of its manifest is wrong"))
  }
  const parsed = parse(text)
  if (parsed._tag === "Problem") return Effect.fail(corrupt(file, `its manifest is not JSON: ${parsed.problem}`))
  const version = isPlainObject(parsed.value) ? parsed.value["version"] : undefined
  if (typeof version === "number" && version > currentVersion) {
    return Effect.fail(failure(file, {
      _tag: "Unsupported",
      problem: `its manifest has version ${version}, and this library knows versions up to ${currentVersion}`,
      hint: "update the library"
    }))
  }
  return Schema.decodeUnknownEffect(Manifest)(parsed.value).pipe(
    Effect.mapError((error) => corrupt(file, `its manifest is not valid: ${error.message}`))
  )
}

/** Does the header say of each array what the manifest says? */
const compareEntries = (manifest: Manifest, header: Readonly<Record<string, unknown>>): string | undefined => {
  const entries = entriesOf(manifest)
  const leaves = new Set(manifest.leaves.map((leaf) => leafName(leaf.path)))
  if (leaves.size !== manifest.leaves.length || new Set(entries.map(([name]) => name)).size !== entries.length) {
    return "its manifest has a path twice"
  }
  if (Object.keys(header).length !== entries.length + 1) return "its header lists other arrays than its manifest"
  const other = entries.find(([name, entry]) => {
    const given = Object.hasOwn(header, name) ? header[name] : undefined
    return !isPlainObject(given) || given["dtype"] !== entry.dtype || String(given["shape"]) !== String(entry.shape) ||
      String(given["data_offsets"]) !== String(entry.data_offsets)
  })
  return other === undefined ? undefined : `its header says of ${other[0]} what its manifest does not`
}

/** Do the arrays fill the bytes after the header, one after the other? */
const compareOffsets = (manifest: Manifest, dataSize: number): string | undefined => {
  const arrays = manifest.leaves.flatMap((leaf) => arraysOf(leaf.value))
  const sorted = arrays.toSorted((a, b) => a.offsets[0] - b.offsets[0] || a.offsets[1] - b.offsets[1])
  let at = 0
  for (const array of sorted) {
    const [begin, end] = array.offsets
    if (begin !== at || end - begin !== bytesOf(array)) {
      return `the bytes from ${begin} to ${end} are not those of an array`
    }
    at = end
  }
  return at === dataSize ? undefined : `it should have ${at} bytes of elements, and has ${dataSize}`
}

/** The bytes of an array; NaN if there are too many to count. */
const bytesOf = ({ dtype, shape }: StoredArray): number => {
  const bytes = shape.reduce((n, d) => n * d, byteSize(dtype))
  return Number.isSafeInteger(bytes) ? bytes : Number.NaN
}
