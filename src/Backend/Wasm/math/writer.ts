/**
 * Values to instructions. A Value that is used more than once is computed once and kept in a local variable; one that
 * is used once stays on the stack. Several copies of a formula, for neighbouring vectors, are written statement by
 * statement side by side, so that the processor (and V8, where it joins vectors) finds independent work.
 *
 * Loops call `evaluate` from the outside in, each for the Values that do not change below its level. A Value belongs to
 * one writer, which leaves its notes on it.
 */
import type { Code, Local } from "../assembler/index.ts"
import type { Emission } from "../emission.ts"
import type { Kept, Partial, Value, Writing } from "./value.ts"

/** Longer chains of Values are cut, lest writing them needs a deep stack. */
const deepest = 32

/** Writes Values into one function. */
export class Writer {
  readonly code: Code
  readonly emission: Emission
  readonly constants: Local
  readonly #free: Record<Value["type"], Array<Local>> = { v128: [], i32: [] }
  /** What is kept, innermost scope last. */
  readonly #scopes: Array<Array<Value>> = [[]]
  readonly #writings: Array<Writing> = []
  readonly #words = new Map<number, Value>()
  #traversals = 0
  /** The lanes that count in what was evaluated last. */
  #partial: Partial | undefined

  constructor(code: Code, emission: Emission, constants: Local) {
    this.code = code
    this.emission = emission
    this.constants = constants
    this.#writings.push(this.#writing(0, undefined))
  }

  #writing(copy: number, partial: Partial | undefined): Writing {
    const { code, constants, emission } = this
    return { code, constants, emission, copy, partial, get: (value) => this.#push(value, copy) }
  }

  get partial(): Partial | undefined {
    return this.#partial
  }

  /** What is kept inside is forgotten after it. */
  scope(body: () => void): void {
    const inner: Array<Value> = []
    this.#scopes.push(inner)
    body()
    this.#scopes.pop()
    for (const { notes, type } of inner) {
      notes.kept?.locals.forEach((local, copy) => {
        if (notes.kept !== undefined && notes.kept.left[copy] > 0) this.#free[type].push(local)
      })
      notes.kept = undefined
    }
  }

  #keep(value: Value, pinned: boolean): Kept {
    const kept: Kept = { locals: [], left: [], pinned }
    this.#scopes[this.#scopes.length - 1].push(value)
    return kept
  }

  /** Stores what is on the stack for the next copy. */
  #store(value: Value, kept: Kept, uses: number): void {
    const local = this.#free[value.type].pop() ?? this.code.local(value.type)
    this.code.set(local)
    kept.locals.push(local)
    kept.left.push(uses)
  }

  /** The one Value for a constant. */
  #same(value: Value): Value {
    if (value.word === undefined) return value
    const known = this.#words.get(value.word)
    if (known === undefined) this.#words.set(value.word, value)
    return known ?? value
  }

  /** Pushes a Value. Those of `evaluate` are in locals. */
  get(value: Value, copy = 0): this {
    this.#push(value, copy)
    return this
  }

  #push(given: Value, copy: number): void {
    const value = this.#same(given)
    const { kept } = value.notes
    if (kept === undefined) return this.#compute(value, copy)
    const at = value.varying ? copy : 0
    const local = kept.locals[at]
    this.code.get(local)
    if (kept.pinned || --kept.left[at] > 0) return
    this.#free[value.type].push(local)
    if (kept.left.every((left) => left === 0)) value.notes.kept = undefined
  }

  #compute(value: Value, copy: number): void {
    if (!value.structured) { for (const arg of value.args) this.#push(arg, copy) }
    value.write(this.#writings[copy])
  }

  /**
   * Computes what these Values need and that does not change in loops deeper than `level`, for so many copies. What is
   * among them, or used by deeper ones, is in locals afterwards; but not what is in `once`, and got once for each copy
   * then: that may be computed when it is got.
   */
  evaluate(
    roots: ReadonlyArray<Value>,
    options: {
      readonly level?: number
      readonly copies?: number
      readonly partial?: Partial | undefined
      readonly once?: ReadonlyArray<Value>
    } = {}
  ): this {
    const { copies = 1, level = Infinity, once = [], partial } = options
    this.#partial = partial
    for (let copy = 0; copy < copies; copy++) this.#writings[copy] = this.#writing(copy, partial)
    for (const value of this.#survey(roots, level, once)) {
      const { notes } = value
      let depth = 1
      for (const arg of value.args) depth = Math.max(depth, 1 + this.#same(arg).notes.depth)
      notes.depth = depth
      if (!notes.pinned && notes.uses < 2 && depth < deepest) continue
      notes.depth = 0
      const uses = Math.max(notes.uses, 1)
      const kept = this.#keep(value, notes.pinned || !value.varying)
      for (let copy = 0; copy < (value.varying ? copies : 1); copy++) {
        this.#compute(value, copy)
        this.#store(value, kept, uses)
      }
      notes.kept = kept
    }
    return this
  }

  /** Takes a Value from elsewhere: `push` pushes it for a copy. */
  provide(value: Value, copies: number, push: (copy: number) => void): void {
    const kept = this.#keep(value, true)
    for (let copy = 0; copy < copies; copy++) {
      push(copy)
      this.#store(value, kept, 1)
    }
    value.notes.kept = kept
  }

  /** The Values to compute, arguments first; it notes which of them are kept to the end, and how often they are used. */
  #survey(roots: ReadonlyArray<Value>, level: number, once: ReadonlyArray<Value>): ReadonlyArray<Value> {
    const traversal = ++this.#traversals
    const order: Array<Value> = []
    // A Value is on the stack twice: before and, as undefined above it, after its arguments.
    const stack: Array<Value | undefined> = []
    const note = (given: Value): Value => {
      const value = this.#same(given)
      const { notes } = value
      if (notes.traversal === traversal) return value
      notes.traversal = traversal
      notes.isSeen = false
      notes.uses = 0
      notes.pinned = false
      notes.depth = 0
      return value
    }
    for (const given of once) note(given).notes.uses++
    for (const given of roots) {
      const root = note(given)
      if (root.level <= level && !root.again && !once.includes(given)) root.notes.pinned = true
      stack.push(root)
      while (stack.length > 0) {
        const value = stack.pop()
        if (value === undefined) {
          const done = stack.pop()
          if (done !== undefined && done.level <= level) order.push(done)
          continue
        }
        if (value.again || value.notes.kept !== undefined || value.notes.isSeen) continue
        value.notes.isSeen = true
        stack.push(value, undefined)
        for (let k = value.args.length - 1; k >= 0; k--) {
          const arg = note(value.args[k])
          if (value.level <= level) arg.notes.uses++
          else if (arg.level <= level && !arg.again) arg.notes.pinned = true
          stack.push(arg)
        }
      }
    }
    return order
  }
}
