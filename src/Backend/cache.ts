/**
 * A bounded map from Programs: equal Programs (`Program/equality.ts`) have one entry, and the entry not used for the
 * longest time is dropped. A Program object that was seen before is found by its identity.
 */
import { equals, hash } from "../Program/equality.ts"
import type { Program } from "../Program/Program.ts"

interface Entry<A> {
  readonly hash: number
  readonly program: Program
  readonly value: A
}

/** What was computed for Programs. */
export class ProgramCache<A> {
  readonly #capacity: number
  /** In order of use, the latest last. */
  readonly #entries = new Set<Entry<A>>()
  readonly #buckets = new Map<number, Array<Entry<A>>>()
  #known = new WeakMap<Program, Entry<A>>()

  constructor(capacity: number) {
    this.#capacity = capacity
  }

  get size(): number {
    return this.#entries.size
  }

  /** What was set for this Program or an equal one. */
  get(program: Program): A | undefined {
    const known = this.#known.get(program)
    const entry = known !== undefined && this.#entries.has(known)
      ? known
      : this.#buckets.get(hash(program))?.find((e) => equals(e.program, program))
    if (entry === undefined) return undefined
    this.#known.set(program, entry)
    this.#entries.delete(entry)
    this.#entries.add(entry)
    return entry.value
  }

  /** Remembers a value for a Program that has none. */
  set(program: Program, value: A): void {
    const entry = { hash: hash(program), program, value }
    this.#entries.add(entry)
    this.#known.set(program, entry)
    const bucket = this.#buckets.get(entry.hash)
    if (bucket === undefined) this.#buckets.set(entry.hash, [entry])
    else bucket.push(entry)
    if (this.#entries.size > this.#capacity) this.#dropOldest()
  }

  clear(): void {
    this.#entries.clear()
    this.#buckets.clear()
    this.#known = new WeakMap()
  }

  #dropOldest(): void {
    const [oldest] = this.#entries
    this.#entries.delete(oldest)
    const rest = (this.#buckets.get(oldest.hash) ?? []).filter((e) => e !== oldest)
    if (rest.length === 0) this.#buckets.delete(oldest.hash)
    else this.#buckets.set(oldest.hash, rest)
  }
}
