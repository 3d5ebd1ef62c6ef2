/**
 * CRC-32 (the one of zlib, PNG and Ethernet: reflected polynomial 0xEDB88320), eight bytes at a time, "slicing by 8"
 * (Kounavis and Berry, 2005). It finds every error of up to 32 bits in a row, and others but for one in four billion.
 */

/** `tables[256 * k + b]`: what byte b does to the sum, k bytes before the end. */
const tables: Uint32Array = /* #__PURE__ */ (() => {
  const out = new Uint32Array(8 * 256)
  for (let b = 0; b < 256; b++) {
    let c = b
    for (let bit = 0; bit < 8; bit++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1
    out[b] = c
  }
  for (let i = 256; i < out.length; i++) {
    const before = out[i - 256]
    out[i] = (before >>> 8) ^ out[before & 255]
  }
  return out
})()

/** The checksum of all bytes so far and these; of no bytes it is 0. */
export const crc32 = (bytes: Uint8Array, before = 0): number => {
  const t = tables
  const whole = bytes.length - (bytes.length % 8)
  let c = ~before
  let i = 0
  for (; i < whole; i += 8) {
    const a = c ^ (bytes[i] | (bytes[i + 1] << 8) | (bytes[i + 2] << 16) | (bytes[i + 3] << 24))
    c = t[1792 + (a & 255)] ^ t[1536 + ((a >>> 8) & 255)] ^ t[1280 + ((a >>> 16) & 255)] ^ t[1024 + (a >>> 24)] ^
      t[768 + bytes[i + 4]] ^ t[512 + bytes[i + 5]] ^ t[256 + bytes[i + 6]] ^ t[bytes[i + 7]]
  }
  for (; i < bytes.length; i++) c = (c >>> 8) ^ t[(c ^ bytes[i]) & 255]
  return ~c >>> 0
}

/** As a checkpoint writes it: always eight digits, so that sums can be filled in later. */
export const hex = (crc: number): string => crc.toString(16).padStart(8, "0")
