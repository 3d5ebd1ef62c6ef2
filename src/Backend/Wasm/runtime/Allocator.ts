/**
 * Which parts of a memory are free: an allocator that keeps its books outside of the memory. Blocks are multiples of 64
 * bytes (a cache line, so that two threads never write one line of different blocks). Free blocks know their neighbours
 * and join them; they are found through bins by size, eight for every power of two, so that allocating and freeing cost
 * the same however many blocks there are.
 */

/** Sizes and addresses are multiples of this many bytes. */
export const unit = 64

/** A size rounded up to whole units. Nothing takes no room. */
export const rounded = (bytes: number): number => Math.ceil(bytes / unit) * unit

/** The bin whose blocks have at least the size that names it: floor of log2, and three more bits. */
const binOf = (bytes: number): number => {
  const units = bytes / unit
  const exponent = 31 - Math.clz32(units)
  return exponent < 3 ? units : (exponent - 2) * 8 + ((units >>> (exponent - 3)) & 7)
}

/** Free and taken blocks of the addresses from `start` on. */
export class Allocator {
  /** Where taken and free blocks end. */
  #top: number
  readonly #limit: number
  /** Sizes of taken blocks by their addresses. */
  readonly #taken = new Map<number, number>()
  /** Sizes of free blocks by their addresses, and their addresses by their ends. */
  readonly #free = new Map<number, number>()
  readonly #ends = new Map<number, number>()
  readonly #bins: Array<Set<number> | undefined> = []

  constructor(start: number, limit: number) {
    this.#top = rounded(start)
    this.#limit = limit
  }

  /** Bytes up to the end of the last block. */
  get top(): number {
    return this.#top
  }

  /** The address of a new block; undefined if it does not fit below the limit. */
  allocate(bytes: number): number | undefined {
    const size = rounded(Math.max(bytes, 1))
    const found = this.#find(size)
    if (found !== undefined) {
      const rest = this.#remove(found) - size
      if (rest > 0) this.#add(found + size, rest)
      this.#taken.set(found, size)
      return found
    }
    // A free block that touches the top is the beginning of the new one.
    const last = this.#ends.get(this.#top)
    const start = last ?? this.#top
    if (start + size > this.#limit) return undefined
    if (last !== undefined) this.#remove(last)
    this.#top = start + size
    this.#taken.set(start, size)
    return start
  }

  /** Gives a block back. An address that is not taken is ignored. */
  free(address: number): void {
    const size = this.#taken.get(address)
    if (size === undefined) return
    this.#taken.delete(address)
    let start = address
    let end = address + size
    const before = this.#ends.get(start)
    if (before !== undefined) {
      this.#remove(before)
      start = before
    }
    const after = this.#free.get(end)
    if (after !== undefined) {
      this.#remove(end)
      end += after
    }
    if (end === this.#top) this.#top = start
    else this.#add(start, end - start)
  }

  #find(size: number): number | undefined {
    const first = binOf(size)
    for (let bin = first; bin < this.#bins.length; bin++) {
      const blocks = this.#bins[bin]
      if (blocks === undefined) continue
      for (const address of blocks) {
        if (bin > first || (this.#free.get(address) ?? 0) >= size) return address
        // Of the blocks of its own bin the one that was freed last is looked at, not all of them.
        break
      }
    }
    return undefined
  }

  #add(address: number, size: number): void {
    this.#free.set(address, size)
    this.#ends.set(address + size, address)
    const bin = binOf(size)
    const blocks = this.#bins[bin]
    if (blocks === undefined) this.#bins[bin] = new Set([address])
    else blocks.add(address)
  }

  #remove(address: number): number {
    const size = this.#free.get(address) ?? 0
    this.#free.delete(address)
    this.#ends.delete(address + size)
    this.#bins[binOf(size)]?.delete(address)
    return size
  }
}
