/**
 * A bounded map from Programs: equal Programs have one entry, and the entry not used for the longest time is dropped.
 */
import type { Program } from "../../Program/Program.ts"

/** What was computed for Programs. */
export class ProgramCache<A> {
  readonly #capacity: number
  readonly #entries = new Map<Program, A>()
  constructor(capacity: number) {
    this.#capacity = capacity
  }

  get size(): number {
    return this.#entries.size
  }

  get(program: Program): A | undefined {
    const found = this.#entries.get(program)
    if (found !== undefined) {
      this.#entries.delete(program)
      this.#entries.set(program, found)
    }
    return found
  }

  set(program: Program, value: A): void {
    this.#entries.set(program, value)
    if (this.#entries.size <= this.#capacity) return
    for (const oldest of this.#entries.keys()) {
      this.#entries.delete(oldest)
      return
    }
  }

  clear(): void {
    this.#entries.clear()
  }
}
