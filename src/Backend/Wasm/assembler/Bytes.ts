/** Bytes that grow: numbers in the encodings of WebAssembly's binary format (LEB128 and little-endian floats). */

/** What any length fits in. */
const lengthBytes = 5

/** A growing list of bytes. */
export class Bytes {
  #data = new Uint8Array(4096)
  #view = new DataView(this.#data.buffer)
  #length = 0

  get length(): number {
    return this.#length
  }

  #room(more: number): void {
    if (this.#length + more <= this.#data.length) return
    const next = new Uint8Array(Math.max(this.#data.length * 2, this.#length + more))
    next.set(this.#data.subarray(0, this.#length))
    this.#data = next
    this.#view = new DataView(next.buffer)
  }

  byte(value: number): this {
    this.#room(1)
    this.#data[this.#length++] = value
    return this
  }

  /** An unsigned number below 2^32. */
  unsigned(value: number): this {
    let rest = value >>> 0
    while (rest >= 0x80) {
      this.byte((rest & 0x7f) | 0x80)
      rest >>>= 7
    }
    return this.byte(rest)
  }

  /** A signed 32-bit number. */
  signed(value: number): this {
    let rest = value | 0
    while (rest < -64 || rest > 63) {
      this.byte((rest & 0x7f) | 0x80)
      rest >>= 7
    }
    return this.byte(rest & 0x7f)
  }

  /** A signed 64-bit number. */
  signed64(value: bigint): this {
    let rest = BigInt.asIntN(64, value)
    while (rest < -64n || rest > 63n) {
      this.byte(Number(rest & 0x7fn) | 0x80)
      rest >>= 7n
    }
    return this.byte(Number(rest & 0x7fn))
  }

  float32(value: number): this {
    this.#room(4)
    this.#view.setFloat32(this.#length, value, true)
    this.#length += 4
    return this
  }

  float64(value: number): this {
    this.#room(8)
    this.#view.setFloat64(this.#length, value, true)
    this.#length += 8
    return this
  }

  /** A name: its length in bytes, and UTF-8. */
  name(value: string): this {
    const bytes = new TextEncoder().encode(value)
    return this.unsigned(bytes.length).raw(bytes)
  }

  raw(bytes: Uint8Array): this {
    this.#room(bytes.length)
    this.#data.set(bytes, this.#length)
    this.#length += bytes.length
    return this
  }

  /** What `write` writes, its length in front: five bytes, since it is known last. */
  sized(write: () => void): this {
    this.#room(lengthBytes)
    const at = this.#length
    this.#length += lengthBytes
    write()
    let rest = this.#length - at - lengthBytes
    for (let i = 0; i < lengthBytes; i++) {
      this.#data[at + i] = (rest & 0x7f) | (i < lengthBytes - 1 ? 0x80 : 0)
      rest >>>= 7
    }
    return this
  }

  bytes(): Uint8Array<ArrayBuffer> {
    return this.#data.slice(0, this.#length)
  }
}
