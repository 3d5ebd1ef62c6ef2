/**
 * The order of bytes: files are little-endian, as nearly every machine is.
 */

/** Does this machine store the high byte first? */
export const bigEndianHost: boolean = new Uint8Array(new Uint16Array([1]).buffer)[0] === 0

/** The bytes with those of each element in the other order; a copy. */
export const swapped = (bytes: Uint8Array, size: number): Uint8Array => {
  const out = new Uint8Array(bytes.length)
  for (let i = 0; i < bytes.length; i++) {
    const within = i % size
    out[i] = bytes[i - within + size - 1 - within]
  }
  return out
}
