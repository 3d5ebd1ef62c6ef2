/**
 * Paths: where something is in a model, a State or a tree, as the names of the attributes on the way. Positions in
 * arrays are their decimal digits (`["layers", "10", "kernel"]`), as JavaScript's own keys are.
 */

/** One step: an attribute's name, a key, or the digits of a position. */
export type Key = string

/** From the root to something; `[]` is the root itself. */
export type Path = ReadonlyArray<Key>

const digits = /^(0|[1-9][0-9]{0,14})$/

const isPosition = (key: Key): boolean => {
  const first = key.charCodeAt(0)
  return first >= 48 && first <= 57 && digits.test(key)
}

/** Positions come first and in numeric order (10 after 2), names after them in the order of their code units. */
export const compareKeys = (a: Key, b: Key): number => {
  if (a === b) return 0
  const x = isPosition(a)
  const y = isPosition(b)
  if (x && y) return Number(a) - Number(b)
  if (x !== y) return x ? -1 : 1
  return a < b ? -1 : 1
}

/** Paths in the order in which a traversal meets them. A path comes before those that go on from it. */
export const compare = (a: Path, b: Path): number => {
  for (let i = 0; i < a.length && i < b.length; i++) {
    const c = compareKeys(a[i], b[i])
    if (c !== 0) return c
  }
  return a.length - b.length
}

/** The same steps? */
export const equals = (a: Path, b: Path): boolean => a === b || (a.length === b.length && a.every((k, i) => k === b[i]))

/** For messages: `layers/0/kernel`; the root is `(root)`. */
export const format = (path: Path): string => path.length === 0 ? "(root)" : path.join("/")

/** As an identity in Maps. Keys may hold any character, so they are quoted. */
export const toKey = (path: Path): string => JSON.stringify(path)
