// Follows a memory plan step by step, without computing anything: notes which buffer's elements are where, and says when
// a kernel reads a buffer whose elements another one has written over.
import { touched } from "../../src/Backend/Wasm/compile/group.ts"
import type { Place, Plan } from "../../src/Backend/Wasm/emission.ts"
import { slots } from "../../src/Backend/Wasm/emission.ts"
import type { Buffer, Carry, Compiled, Kernel, Step } from "../../src/Backend/Wasm/ir.ts"
import { byteSize } from "../../src/Tensor/DType.ts"

interface Range {
  readonly slot: number
  readonly begin: number
  readonly end: number
}

/** How often the body of a loop is gone through: what it leaves behind must not harm the next time. */
const rounds = 3

class Follower {
  readonly #plan: Plan
  /** Whose elements are in memory, and where. */
  #held = new Map<Buffer, Range>()
  /** Carries, whose addresses are exchanged while their loop runs. */
  readonly #moved = new Map<Buffer, Place>()
  /** Slices are parts of other buffers. */
  readonly #wholes = new Map<Buffer, Buffer>()
  readonly problems: Array<string> = []

  constructor(plan: Plan) {
    this.#plan = plan
  }

  #range(buffer: Buffer): Range {
    const place = this.#moved.get(buffer) ?? this.#plan.places.get(buffer)
    if (place === undefined) {
      if (buffer.size > 0) this.problems.push(`${buffer.name} has no place`)
      return { slot: -1, begin: 0, end: 0 }
    }
    const end = place.offset + buffer.size * byteSize(buffer.dtype)
    if (place.slot === slots.arena && end > this.#plan.arenaBytes) this.problems.push(`${buffer.name} leaves the arena`)
    return { slot: place.slot, begin: place.offset, end }
  }

  read(buffer: Buffer, by: string): void {
    const whole = this.#wholes.get(buffer)
    if (whole !== undefined) return this.read(whole, by)
    if (buffer.local === true || buffer.size === 0) return
    if (!this.#held.has(buffer)) this.problems.push(`${by} reads ${buffer.name}, which is not there`)
  }

  write(buffer: Buffer): void {
    const whole = this.#wholes.get(buffer)
    if (whole !== undefined) return this.write(whole)
    if (buffer.local === true || buffer.size === 0) return
    const own = this.#range(buffer)
    for (const [other, range] of this.#held) {
      if (range.slot === own.slot && range.begin < own.end && own.begin < range.end) this.#held.delete(other)
    }
    this.#held.set(buffer, own)
  }

  steps(steps: ReadonlyArray<Step>): void {
    for (const step of steps) this.#step(step)
  }

  #kernel(kernel: Kernel): void {
    const { reads, writes } = touched(kernel)
    // What a kernel has written it may read itself.
    for (const buffer of reads) if (!writes.has(buffer)) this.read(buffer, kernel.name)
    const temporary = kernel._tag === "Dot" || kernel._tag === "Convolution" ? kernel.out : undefined
    if (temporary !== undefined) this.write(temporary)
    for (const buffer of writes) if (buffer !== temporary) this.write(buffer)
    for (const buffer of writes) if (buffer !== temporary) this.read(buffer, `the end of ${kernel.name}`)
  }

  #step(step: Step): void {
    switch (step._tag) {
      case "Run":
        return this.#kernel(step.kernel)
      case "Scan":
        for (const { slice, whole } of [...step.xs, ...step.ys]) this.#wholes.set(slice, whole)
        for (const { whole } of step.xs) this.read(whole, "a scan")
        return this.#loop(step.carries, () => this.steps(step.body))
      case "While":
        return this.#loop(step.carries, () => {
          this.steps(step.condition)
          this.read(step.holds, "a while")
          this.steps(step.body)
        })
      case "Cond": {
        this.read(step.index, "a cond")
        const before = new Map(this.#held)
        const after = step.branches.map((branch) => {
          this.#held = new Map(before)
          this.steps(branch)
          for (const buffer of step.outputs) this.read(buffer, "a branch")
          return this.#held
        })
        const [first = before, ...others] = after
        this.#held = new Map([...first].filter(([buffer]) => others.every((held) => held.has(buffer))))
        return
      }
      case "Callback":
        for (const x of step.inputs) if ("name" in x) this.read(x, "a callback")
        return
    }
  }

  #loop(carries: ReadonlyArray<Carry>, body: () => void): void {
    for (const { init } of carries) this.read(init, "a loop")
    for (const { current, next } of carries) {
      const [a, b] = [this.#plan.homes.get(current), this.#plan.homes.get(next)]
      if (a === undefined || b === undefined) throw new Error(`the carry ${current.name} has no home`)
      this.#moved.set(current, a).set(next, b)
    }
    // Each is copied in turn, unless it is there already.
    for (const { current, init } of carries) {
      this.read(init, "a loop's beginning")
      this.write(current)
    }
    for (let i = 0; i < rounds; i++) {
      for (const { current } of carries) this.read(current, "a loop's body")
      body()
      for (const { current, next } of carries) {
        this.read(next, "a loop's end")
        const [a, b] = [this.#moved.get(next), this.#moved.get(current)]
        if (a !== undefined && b !== undefined) this.#moved.set(current, a).set(next, b)
        this.#held.delete(next)
        if (current.size > 0) this.#held.set(current, this.#range(current))
      }
    }
    for (const { current, result } of carries) {
      this.read(current, "what follows a loop")
      this.write(result)
    }
    for (const { result } of carries) this.read(result, "what follows a loop")
  }
}

/** What is wrong with a plan. */
export const problemsOf = (compiled: Compiled, plan: Plan): ReadonlyArray<string> => {
  const follower = new Follower(plan)
  // What only passes through has no place.
  const isPlaced = (buffer: Buffer | undefined) => buffer !== undefined && plan.places.has(buffer)
  for (const buffer of compiled.inputs) if (buffer !== undefined && isPlaced(buffer)) follower.write(buffer)
  follower.steps(compiled.steps)
  compiled.outputs.forEach((output, i) => {
    const buffer = output._tag === "Buffer"
      ? output.buffer
      : output._tag === "Input"
      ? compiled.inputs[output.index]
      : undefined
    if (buffer !== undefined && (output._tag === "Buffer" || isPlaced(buffer))) follower.read(buffer, `output ${i}`)
  })
  return follower.problems
}
