/**
 * What several passes over a row need and is dear, as e^(x - max) of a softmax: the first pass writes its vectors to
 * scratch memory, and the later ones read them there.
 */
import { type Emission, slots } from "../emission.ts"
import type { Value } from "../math/value.ts"
import type { Writer } from "../math/writer.ts"
import type { Addresses } from "./memory.ts"
import type { Lowered } from "./passes.ts"
import type { Space } from "./space.ts"

/** From this cost on it is better to write and read than to compute again. */
const dear = 12
/** Rows that would take more memory are computed again. */
const mostBytes = 1 << 18

/** All Values below some, and what each costs with what it is made of (counted for each use). */
const weigh = (roots: ReadonlyArray<Value>, level: number, weights: Map<Value, number>): ReadonlySet<Value> => {
  const reached = new Set<Value>()
  const stack: Array<readonly [Value, boolean]> = roots.map((root) => [root, false])
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    const [value, done] = top
    if (done) {
      weights.set(value, value.args.reduce((sum, arg) => sum + (weights.get(arg) ?? 0), value.cost))
      continue
    }
    if (reached.has(value) || value.again || value.level < level) continue
    reached.add(value)
    stack.push([value, true], ...value.args.map((arg) => [arg, false] as const))
  }
  return reached
}

/** What is kept from pass to pass. */
export class Saved {
  readonly #writes = new Map<Lowered, Array<Value>>()
  readonly #reads = new Map<Lowered, Array<Value>>()
  readonly #offsets = new Map<Value, number>()
  readonly #base: Value | undefined

  constructor(e: Emission, addresses: Addresses, space: Space, passes: ReadonlyArray<Lowered>, copies: number) {
    if (space.isColumns || space.lines.length > 0) return
    const level = 3
    const rowBytes = Math.ceil(space.lanes.size / 4 / copies) * copies * 16
    const weights = new Map<Value, number>()
    /** The pass that computes a Value first. */
    const first = new Map<Value, Lowered>()
    for (const lowered of passes) {
      const reached = weigh(lowered.roots, level, weights)
      for (const value of this.#shared(lowered, first, weights)) {
        const known = this.#offsets.has(value)
        if (!known && (this.#offsets.size + 1) * rowBytes > mostBytes) continue
        if (!known) {
          this.#offsets.set(value, this.#offsets.size * rowBytes)
          const writer = first.get(value) ?? lowered
          this.#writes.set(writer, [...this.#writes.get(writer) ?? [], value])
        }
        this.#reads.set(lowered, [...this.#reads.get(lowered) ?? [], value])
      }
      for (const value of reached) if (!first.has(value)) first.set(value, lowered)
    }
    if (this.#offsets.size === 0) return
    e.scratch(this.#offsets.size * rowBytes)
    const strides = Array.from({ length: space.lanes.at + 1 }, (_, at) => Number(at === space.lanes.at))
    this.#base = addresses.sum(addresses.slot(slots.scratch), { offset: 0, strides }, 4)
  }

  /** The topmost Values of a pass that an earlier one has and that are dear. */
  #shared(
    lowered: Lowered,
    first: ReadonlyMap<Value, Lowered>,
    weights: ReadonlyMap<Value, number>
  ): ReadonlyArray<Value> {
    const found: Array<Value> = []
    const seen = new Set<Value>()
    const stack = [...lowered.roots]
    for (let value = stack.pop(); value !== undefined; value = stack.pop()) {
      if (seen.has(value)) continue
      seen.add(value)
      if (first.has(value) && value.varying && value.type === "v128" && (weights.get(value) ?? 0) >= dear) {
        found.push(value)
      } else stack.push(...value.args)
    }
    return found
  }

  /** What all passes need: the address of the memory. */
  get roots(): ReadonlyArray<Value> {
    return this.#base === undefined ? [] : [this.#base]
  }

  /** What a pass is to keep. */
  kept(lowered: Lowered): ReadonlyArray<Value> {
    return this.#writes.get(lowered) ?? []
  }

  #address(writer: Writer): void {
    if (this.#base !== undefined) writer.get(this.#base)
  }

  /** Writes it to memory. */
  keep(writer: Writer, lowered: Lowered, copies: number): void {
    for (const value of this.kept(lowered)) {
      for (let copy = 0; copy < copies; copy++) {
        this.#address(writer)
        writer.get(value, copy).code.store("v128.store", (this.#offsets.get(value) ?? 0) + 16 * copy)
      }
    }
  }

  /** Gives the writer what an earlier pass has kept. */
  provide(writer: Writer, lowered: Lowered, copies: number): void {
    for (const value of this.#reads.get(lowered) ?? []) {
      writer.provide(value, copies, (copy) => {
        this.#address(writer)
        writer.code.load("v128.load", (this.#offsets.get(value) ?? 0) + 16 * copy)
      })
    }
  }
}
