/**
 * Values to instructions. A Value that is used more than once is computed once and kept in a local variable; one that
 * is used once stays on the stack. Several copies of a formula, for neighbouring vectors, are written statement by
 * statement side by side, so that the processor (and V8, where it joins vectors) finds independent work.
 *
 * Loops call `evaluate` from the outside in, each for the Values that do not change below its level.
 */
import type { Code, Local } from "../assembler/index.ts"
import type { Emission } from "../emission.ts"
import type { Partial, Value, Writing } from "./value.ts"

/** A kept Value: a local for every copy, and how many uses are left before they are free again. */
interface Kept {
  readonly locals: Array<Local>
  readonly left: Array<number>
  readonly pinned: boolean
}

/** Writes Values into one function. */
export class Writer {
  readonly code: Code
  readonly emission: Emission
  readonly constants: Local
  readonly #free: Record<Value["type"], Array<Local>> = { v128: [], i32: [] }
  /** Innermost last; a Value is kept until its scope ends. */
  readonly #scopes: Array<Map<Value, Kept>> = [new Map()]
  readonly #writings: Array<Writing> = []
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
    const inner = new Map<Value, Kept>()
    this.#scopes.push(inner)
    body()
    this.#scopes.pop()
    for (const [value, kept] of inner) {
      kept.locals.forEach((local, copy) => {
        if (kept.left[copy] > 0) this.#free[value.type].push(local)
      })
    }
  }

  #kept(value: Value): Kept | undefined {
    for (let k = this.#scopes.length - 1; k >= 0; k--) {
      const kept = this.#scopes[k].get(value)
      if (kept !== undefined) return kept
    }
    return undefined
  }

  /** Pushes a Value. Those of `evaluate` are in locals. */
  get(value: Value, copy = 0): this {
    this.#push(value, copy)
    return this
  }

  #push(value: Value, copy: number): void {
    const kept = value.again ? undefined : this.#kept(value)
    if (kept === undefined) return this.#compute(value, copy)
    const at = value.varying ? copy : 0
    const local = kept.locals[at]
    this.code.get(local)
    if (kept.pinned || --kept.left[at] > 0) return
    this.#free[value.type].push(local)
  }

  #compute(value: Value, copy: number): void {
    if (!value.structured) { for (const arg of value.args) this.#push(arg, copy) }
    value.write(this.#writings[copy])
  }

  /**
   * Computes what these Values need and that does not change in loops deeper than `level`, for so many copies. What is
   * among them, or used by deeper ones, is in locals afterwards.
   */
  evaluate(
    roots: ReadonlyArray<Value>,
    options: { readonly level?: number; readonly copies?: number; readonly partial?: Partial | undefined } = {}
  ): this {
    const { copies = 1, level = Infinity, partial } = options
    this.#partial = partial
    for (let copy = 0; copy < copies; copy++) this.#writings[copy] = this.#writing(copy, partial)
    const { order, pinned, uses } = this.#survey(roots, level)
    const scope = this.#scopes[this.#scopes.length - 1]
    for (const value of order) {
      const count = uses.get(value) ?? 0
      const pin = pinned.has(value)
      if (!pin && count < 2) continue
      const kept: Kept = { locals: [], left: [], pinned: pin || !value.varying }
      for (let copy = 0; copy < (value.varying ? copies : 1); copy++) {
        this.#compute(value, copy)
        const local = this.#free[value.type].pop() ?? this.code.local(value.type)
        this.code.set(local)
        kept.locals.push(local)
        kept.left.push(Math.max(count, 1))
      }
      scope.set(value, kept)
    }
    return this
  }

  /** Takes a Value from elsewhere: `push` pushes it for a copy. */
  provide(value: Value, copies: number, push: (copy: number) => void): void {
    const kept: Kept = { locals: [], left: [], pinned: true }
    for (let copy = 0; copy < copies; copy++) {
      push(copy)
      const local = this.#free[value.type].pop() ?? this.code.local(value.type)
      this.code.set(local)
      kept.locals.push(local)
      kept.left.push(1)
    }
    this.#scopes[this.#scopes.length - 1].set(value, kept)
  }

  /** The Values to compute, arguments first; which of them are kept to the end; and how often they are used here. */
  #survey(roots: ReadonlyArray<Value>, level: number) {
    const order: Array<Value> = []
    const uses = new Map<Value, number>()
    const pinned = new Set<Value>()
    const seen = new Set<Value>()
    const stack: Array<readonly [value: Value, done: boolean]> = []
    const visit = (value: Value) => {
      if (!value.again && !seen.has(value)) stack.push([value, false])
    }
    for (const root of roots) {
      if (root.level <= level && !root.again) pinned.add(root)
      visit(root)
      for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
        const [value, done] = top
        if (done) {
          if (value.level <= level) order.push(value)
          continue
        }
        if (seen.has(value)) continue
        seen.add(value)
        if (this.#kept(value) !== undefined) continue
        stack.push([value, true])
        for (let k = value.args.length - 1; k >= 0; k--) {
          const arg = value.args[k]
          if (value.level <= level) uses.set(arg, (uses.get(arg) ?? 0) + 1)
          else if (arg.level <= level && !arg.again) pinned.add(arg)
          visit(arg)
        }
      }
    }
    return { order, pinned, uses }
  }
}
