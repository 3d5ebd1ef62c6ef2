/**
 * What writing a kernel needs and gives. Every kernel is one WebAssembly function `(frame, begin, end)`: it does the
 * *units* `begin` to `end` (rows, tiles, …) of its work; units are independent, so threads share them out, and the main
 * function calls them in chunks, so that V8 replaces baseline code between two calls.
 *
 * The *frame* is a table of addresses in memory, one for each slot and 4 bytes wide: the arena, the constants, the
 * thread's scratch memory, inputs, outputs, and what loops slice. A buffer's place is a slot and a constant number of bytes.
 */
import type { Callable, Code, Local, Module } from "./assembler/index.ts"
import type { Buffer } from "./ir.ts"

/** Where a buffer is: `frame[slot] + offset` bytes. Addresses are multiples of 16. */
export interface Place {
  readonly slot: number
  readonly offset: number
}

/** Slots that every frame has. */
export const slots = { arena: 0, constants: 1, scratch: 2, locals: 3, first: 4 } as const

/**
 * Where all buffers of a compiled Program are, as `plan.ts` decides and the runtime obeys.
 *
 * - An input that is read has a slot of its own, at offset 0: the runtime puts it into memory, or it is resident.
 * - A `slice` of a Scan has a slot of its own, at offset 0, which the main function moves.
 * - `current` and `next` of a carry have slots of their own, at offset 0. `homes` says where the memory is that they
 *   have when the loop starts; the main function exchanges the two addresses after every iteration. It copies `init` to
 *   the home of `current` if it is not there already, and after the loop `current` to `result` if that is not the same
 *   memory.
 * - An output that takes the place of a donated input may have that input's place. If it has another, the runtime
 *   copies it there at the end.
 * - An output that is to stay where it is computed has a slot of its own.
 * - All else is in the slot `arena`.
 */
export interface Plan {
  readonly places: ReadonlyMap<Buffer, Place>
  /** Of carries' `current` and `next` (and outer ones' inside other loops): places that are not moved by their loop. */
  readonly homes: ReadonlyMap<Buffer, Place>
  readonly arenaBytes: number
  /** The most bytes of temporary buffers that live at once: what no plan can be below. */
  readonly liveBytes: number
  /** A thread's own memory for rows (`Buffer.local`), in the slot `locals`. */
  readonly localBytes: number
  readonly slotCount: number
  /** Outputs with a slot of their own, at offset 0: the runtime gives them memory. */
  readonly own?: ReadonlySet<Buffer>
}

/** What the engine offers beyond 128-bit SIMD. */
export interface Features {
  /** Fused multiply-add and friends. */
  readonly relaxed: boolean
  /** Is the relaxed multiply-add known to be rounded once? */
  readonly fused?: boolean
  /** Does the engine join pairs of vectors into wider ones? Then larger tiles are better. */
  readonly wide: boolean
}

/** Constants in memory, shared by all kernels of a module. A splat load of one is faster than a constant in the code. */
export class Constants {
  readonly #words: Array<number> = []
  readonly #offsets = new Map<number, number>()
  readonly #sequences = new Map<string, number>()

  /** The offset, from the slot `constants`, of a 32-bit word. */
  word(bits: number): number {
    const key = bits | 0
    const known = this.#offsets.get(key)
    if (known !== undefined) return known
    const offset = this.#words.length * 4
    this.#words.push(key)
    this.#offsets.set(key, offset)
    return offset
  }

  /** The offset of a float32. */
  float(value: number): number {
    return this.word(new Int32Array(Float32Array.of(value).buffer)[0])
  }

  /** The offset of several words, one after the other. */
  words(bits: ReadonlyArray<number>): number {
    const key = bits.join()
    const known = this.#sequences.get(key)
    if (known !== undefined) return known
    const offset = this.#words.length * 4
    for (const word of bits) this.#words.push(word | 0)
    this.#sequences.set(key, offset)
    return offset
  }

  /** All words, to be put into memory. */
  data(): Int32Array<ArrayBuffer> {
    return Int32Array.from(this.#words)
  }
}

/** The surroundings of a kernel that is being written. */
export interface Emission {
  readonly module: Module
  readonly features: Features
  readonly constants: Constants
  readonly place: (buffer: Buffer) => Place
  /** Asks for scratch memory, a thread's own; all kernels of a module share it, as big as the most that was asked. */
  readonly scratch: (bytes: number) => void
}

/** A written kernel. */
export interface Emitted {
  /** `(frame, begin, end)`. */
  readonly run: Callable
  readonly units: number
  /** An estimate of all its work, in nanoseconds on one thread: decides about threads and chunks. */
  readonly nanoseconds: number
  /**
   * Does its work lie in smaller functions that it calls often? Then one call may do any number of units: the engine
   * optimises the smaller functions anyway, and what units have in common is prepared once.
   */
  readonly whole?: boolean
  /** Threads take at least so many units at a time, since those that go together have something to prepare: 1 if not given. */
  readonly least?: number
}

/** Pushes the address of a buffer's first element: the slot's address in a local, the offset is for the access. */
export const loadSlot = (c: Code, frame: Local, slot: number): Code => c.get(frame).load("i32.load", slot * 4)
