/**
 * Names of arrays in the file, as other readers of safetensors show them: the keys of the path with dots between them.
 */
import type { StoredArray, StoredValue, TypedPath } from "./Manifest.ts"

/** A key may hold dots itself; they are escaped, so that no two paths have one name. */
const escape = (key: string): string => key.replaceAll("\\", "\\\\").replaceAll(".", "\\.")

/** Names that mean something else in a header, or in any JavaScript object. */
const reserved = new Set(["__metadata__", "__proto__"])

/** `layers.0.kernel`. */
export const leafName = (path: TypedPath): string => {
  const name = path.map((key) => escape(String(key))).join(".")
  return reserved.has(name) ? `\\${name}` : name
}

/** The arrays of a value with their names. */
export const named = (
  path: TypedPath,
  value: StoredValue
): ReadonlyArray<readonly [name: string, array: StoredArray]> => {
  switch (value._tag) {
    case "Array":
      return [[leafName(path), value]]
    case "Static":
      return []
    case "List":
      return value.items.flatMap((item, i) => named([...path, i], item))
    case "Dict":
      return value.entries.flatMap(([key, item]) => named([...path, key], item))
  }
}
