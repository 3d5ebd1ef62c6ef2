/**
 * An array as a small picture: a heat map of its last axis against all others, white at 0, blue below, red above,
 * scaled to the largest magnitude. The picture is a bitmap file in a `data:` address: the one format of images that
 * needs no compression, and every browser reads.
 */
import * as Base64 from "effect/encoding/Base64"
import type { TypedArray } from "../Tensor/DType.ts"
import type { Shape } from "../Tensor/Shape.ts"

/** Pixels along an axis, at most; larger arrays show means of blocks. */
const most = 64

type Color = readonly [red: number, green: number, blue: number]

const white: Color = [255, 255, 255]
const blue: Color = [33, 102, 172]
const red: Color = [178, 24, 43]
const gray: Color = [128, 128, 128]

/** The color of a value from -1 to 1; what is no number is gray. */
const color = (x: number): Color => {
  if (Number.isNaN(x)) return gray
  const [end, part] = [x < 0 ? blue : red, Math.min(1, Math.abs(x))]
  const mixed = (i: 0 | 1 | 2): number => Math.round(white[i] + (end[i] - white[i]) * part)
  return [mixed(0), mixed(1), mixed(2)]
}

/** Means of blocks, at most 64 by 64 of them. */
const blocks = (data: TypedArray, rows: number, columns: number) => {
  const [height, width] = [Math.min(rows, most), Math.min(columns, most)]
  const cells = Array.from({ length: height * width }, (_, i) => {
    const [y, x] = [Math.floor(i / width), i % width]
    const [top, bottom] = [Math.floor(y * rows / height), Math.floor((y + 1) * rows / height)]
    const [left, right] = [Math.floor(x * columns / width), Math.floor((x + 1) * columns / width)]
    let sum = 0
    for (let r = top; r < bottom; r++) for (let c = left; c < right; c++) sum += data[r * columns + c]
    return sum / ((bottom - top) * (right - left))
  })
  return { height, width, cells }
}

/** A bitmap file of 24 bits a pixel: a header of 54 bytes, then rows from the last to the first, padded to words. */
const bitmap = (width: number, height: number, pixel: (x: number, y: number) => Color): Uint8Array => {
  const stride = Math.ceil(width * 3 / 4) * 4
  const bytes = new Uint8Array(54 + stride * height)
  const header = new DataView(bytes.buffer)
  header.setUint16(0, 0x4d42, true) // "BM"
  header.setUint32(2, bytes.length, true)
  header.setUint32(10, 54, true)
  header.setUint32(14, 40, true)
  header.setInt32(18, width, true)
  header.setInt32(22, height, true)
  header.setUint16(26, 1, true)
  header.setUint16(28, 24, true)
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) bytes.set(pixel(x, y).toReversed(), 54 + (height - 1 - y) * stride + x * 3)
  }
  return bytes
}

/** An array as an `<img>`; infinities count as the ends of the scale. */
export const picture = (data: TypedArray, shape: Shape): string => {
  const columns = shape.at(-1) ?? 1
  const { cells, height, width } = blocks(data, data.length / columns, columns)
  const largest = cells.reduce((m, x) => Number.isFinite(x) ? Math.max(m, Math.abs(x)) : m, 0)
  const bytes = bitmap(width, height, (x, y) => {
    const cell = cells[y * width + x]
    return color(Number.isFinite(cell) ? cell / (largest || 1) : cell)
  })
  const scale = Math.max(2, Math.min(12, Math.floor(192 / Math.max(width, height))))
  return `<img alt="" width="${width * scale}" height="${Math.max(8, height * scale)}" src="data:image/bmp;base64,${
    Base64.encode(bytes)
  }"/>`
}
