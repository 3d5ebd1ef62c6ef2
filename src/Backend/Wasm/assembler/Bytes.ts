/** Bytes that grow: numbers in the encodings of WebAssembly's binary format (LEB128 and little-endian floats). */

/** A growing list of bytes. */
export class Bytes {
  #data = new Uint8Array(256)
  #length = 0

  get length(): number {
    return this.#length
  }

  #room(more: number): void {
    if (this.#length + more <= this.#data.length) return
    const next = new Uint8Array(Math.max(this.#data.length * 2, this.#length + more))
    next.set(this.#data.subarray(0, this.#length))
    this.#data = next
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
    return this.raw(new Uint8Array(Float32Array.of(value).buffer))
  }

  float64(value: number): this {
    return this.raw(new Uint8Array(Float64Array.of(value).buffer))
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

  append(other: Bytes): this {
    return this.raw(other.bytes())
  }

  bytes(): Uint8Array<ArrayBuffer> {
    return this.#data.slice(0, this.#length)
  }
}
