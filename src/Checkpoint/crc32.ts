/**
 * CRC-32 (the one of zlib, PNG and Ethernet: reflected polynomial 0xEDB88320), eight bytes at a time, "slicing by 8"
 * (Kounavis and Berry, 2005). It finds every error of up to 32 bits in a row, and others but for one in four billion.
 */
import { bigEndianHost } from "./endian.ts"

/** `tables[256 * k + b]`: what byte b does to the sum, k bytes before the end. */
const tables: Int32Array = /* #__PURE__ */ (() => {
  const out = new Int32Array(8 * 256)
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

const oneByOne = (bytes: Uint8Array, before: number): number => {
  let c = before
  for (let i = 0; i < bytes.length; i++) c = (c >>> 8) ^ tables[(c ^ bytes[i]) & 255]
  return c
}

const byEights = (words: Int32Array, before: number): number => {
  const t = tables
  let c = before
  for (let i = 0; i < words.length; i += 2) {
    const a = c ^ words[i]
    const b = words[i + 1]
    c = t[1792 + (a & 255)] ^ t[1536 + ((a >>> 8) & 255)] ^ t[1280 + ((a >>> 16) & 255)] ^ t[1024 + (a >>> 24)] ^
      t[768 + (b & 255)] ^ t[512 + ((b >>> 8) & 255)] ^ t[256 + ((b >>> 16) & 255)] ^ t[b >>> 24]
  }
  return c
}

/** The checksum of all bytes so far and these; of no bytes it is 0. */
export const crc32 = (bytes: Uint8Array, before = 0): number => {
  // Words are read where they lie at multiples of 4.
  const start = bigEndianHost ? bytes.length : Math.min(bytes.length, (4 - (bytes.byteOffset % 4)) % 4)
  const end = start + Math.floor((bytes.length - start) / 8) * 8
  const words = new Int32Array(bytes.buffer, end === start ? 0 : bytes.byteOffset + start, (end - start) / 4)
  const head = oneByOne(bytes.subarray(0, start), ~before)
  return ~oneByOne(bytes.subarray(end), byEights(words, head)) >>> 0
}

/** As a checkpoint writes it: always eight digits, so that sums can be filled in later. */
export const hex = (crc: number): string => crc.toString(16).padStart(8, "0")
