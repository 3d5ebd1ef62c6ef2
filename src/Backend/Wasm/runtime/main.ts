/**
 * The main function of a compiled Program, `(frame, thread, threads, maySleep)`: the steps as WebAssembly, which every
 * thread runs. It calls kernels on as many units at a time as the thread takes (`shares.ts`), never on too many, so that the
 * engine replaces baseline code by optimised code between two calls.
 *
 * A step is *heavy* if it is, or holds, a kernel that is worth sharing. What is not heavy, thread 0 runs alone, whole
 * loops too, while the others go on to the next *meeting* and wait there. Before a heavy kernel, and before all threads
 * look at a condition, they meet, if anything was done since they met last; runs of light kernels need no meeting.
 */
import { type Callable, Code } from "../assembler/index.ts"
import { type Emitted, type Plan, slots } from "../emission.ts"
import type { Buffer, Kernel, Step } from "../ir.ts"
import { beginTurns, nextTurn } from "./shares.ts"
import { bytesOf, placeOf } from "./sizes.ts"

/** What the main function is made of. */
export interface Parts {
  readonly plan: Plan
  readonly kernels: ReadonlyMap<Kernel, Emitted>
  /** A kernel that takes less time on one thread, in nanoseconds, is run by thread 0 alone. */
  readonly sharedFrom: number
  /** How threads meet, and take units of a kernel. Undefined when there is one thread only. */
  readonly together: { readonly barrier: Callable; readonly take: Callable } | undefined
  /** `(number, frame)`: calls the host back. */
  readonly callback: Callable
  /** The number of a Callback step. */
  readonly callbackNumber: (step: Step) => number
}

type StepOf<Tag extends Step["_tag"]> = Extract<Step, { readonly _tag: Tag }>

/** How long one call of a kernel may take, in nanoseconds, and how long it should take at least. */
const chunkTime = 100_000
const worthwhile = 10_000

/** The units that take so long, at least one. */
const unitsOf = ({ nanoseconds, units }: Emitted, time: number): number =>
  Math.max(1, Math.min(units, Math.ceil(units * time / Math.max(1, nanoseconds))))

/** Who executes the code that is being written. */
type Mode = "one" | "all"

/** What was done since the threads met last: nothing, something by thread 0, or something by all. */
type Since = "nothing" | "one" | "all"

/** Writes the main function; `heavy`: is there anything to share? */
export const mainFunction = (
  steps: ReadonlyArray<Step>,
  parts: Parts
): { readonly code: Code; readonly heavy: boolean } => {
  const writer = new Writer(parts)
  writer.steps(steps, parts.together === undefined ? "one" : "all")
  writer.meet()
  return { code: writer.code, heavy: steps.some((step) => writer.isHeavy(step)) }
}

class Writer {
  readonly code = new Code([["frame", "i32"], ["thread", "i32"], ["threads", "i32"], ["maySleep", "i32"]])
  readonly #parts: Parts
  readonly #heavy = new Map<Step, boolean>()
  /** In which of the words units are counted. */
  readonly #word = this.code.local("i32", "word")
  #since: Since = "nothing"

  constructor(parts: Parts) {
    this.#parts = parts
    beginTurns(this.code, this.#word)
  }

  steps(steps: ReadonlyArray<Step>, mode: Mode): void {
    if (mode === "one") {
      for (const step of steps) this.#step(step, "one")
      return
    }
    let at = 0
    while (at < steps.length) {
      let end = at
      while (end < steps.length && !this.isHeavy(steps[end])) end++
      if (end > at) this.#alone(() => this.steps(steps.slice(at, end), "one"))
      if (end < steps.length) this.#step(steps[end], "all")
      at = end + 1
    }
  }

  /** All threads wait for each other, if there is anything to wait for. */
  meet(): void {
    if (this.#since === "nothing") return
    this.#since = "nothing"
    this.#barrier()
  }

  #barrier(): void {
    const { together } = this.#parts
    const [, , threads, maySleep] = this.code.params
    if (together !== undefined) this.code.get(threads).get(maySleep).call(together.barrier)
  }

  /** Code that thread 0 alone executes, in code that all do. */
  #alone(body: () => void): void {
    if (this.#since === "all") this.meet()
    const [, thread] = this.code.params
    this.code.get(thread).op("i32.eqz").if(body)
    this.#since = "one"
  }

  #alongside(mode: Mode, body: () => void): void {
    if (mode === "one") body()
    else this.#alone(body)
  }

  /** Is it, or does it hold, a kernel that is worth sharing? */
  isHeavy(step: Step): boolean {
    const known = this.#heavy.get(step)
    if (known !== undefined) return known
    const any = (steps: ReadonlyArray<Step>): boolean => steps.some((s) => this.isHeavy(s))
    const heavy = (): boolean => {
      switch (step._tag) {
        case "Run": {
          const { nanoseconds, units } = this.#kernel(step.kernel)
          return units > 1 && nanoseconds >= this.#parts.sharedFrom
        }
        case "Scan":
          return any(step.body)
        case "While":
          return any(step.condition) || any(step.body)
        case "Cond":
          return step.branches.some(any)
        case "Callback":
          return false
      }
    }
    const result = heavy()
    this.#heavy.set(step, result)
    return result
  }

  #kernel(kernel: Kernel): Emitted {
    const emitted = this.#parts.kernels.get(kernel)
    if (emitted === undefined) throw new Error(`the kernel ${kernel.name} was not written`)
    return emitted
  }

  #step(step: Step, mode: Mode): void {
    switch (step._tag) {
      case "Run":
        return this.#run(this.#kernel(step.kernel), mode)
      case "Scan":
        return this.#scan(step, mode)
      case "While":
        return this.#while(step, mode)
      case "Cond":
        return this.#cond(step, mode)
      case "Callback": {
        const [frame] = this.code.params
        this.code.i32(this.#parts.callbackNumber(step)).get(frame).call(this.#parts.callback)
      }
    }
  }

  #run(kernel: Emitted, mode: Mode): void {
    if (kernel.units === 0) return
    const { together } = this.#parts
    if (mode === "all" && together !== undefined) this.#runTogether(kernel, together.take)
    else this.#runAlone(kernel)
  }

  #runAlone(kernel: Emitted): void {
    const { run, units } = kernel
    const c = this.code
    const [frame] = c.params
    const most = kernel.whole === true ? units : unitsOf(kernel, chunkTime)
    if (most === units) {
      c.get(frame).i32(0).i32(units).call(run)
      return
    }
    const begin = c.local("i32", "begin")
    const end = c.local("i32", "end")
    c.i32(0).set(begin)
    c.loop((again) => {
      c.get(begin).i32(most).op("i32.add").tee(end).i32(units).get(end).i32(units).op("i32.lt_u").op("select").set(end)
      c.get(frame).get(begin).get(end).call(run)
      c.get(end).tee(begin).i32(units).op("i32.lt_u").brIf(again)
    })
  }

  #runTogether(kernel: Emitted, take: Callable): void {
    const { least = 1, run, units } = kernel
    const c = this.code
    const [frame, thread, threads] = c.params
    const most = kernel.whole === true ? units : unitsOf(kernel, chunkTime)
    const fewest = Math.min(most, Math.max(least, unitsOf(kernel, worthwhile)))
    const taken = c.local("i64", "taken")
    this.meet()
    nextTurn(c, thread, this.#word)
    c.block((done) => {
      c.loop((again) => {
        c.get(thread).get(threads).get(this.#word).i32(units).i32(fewest).i32(most).call(take)
        c.tee(taken).op("i64.eqz").brIf(done)
        c.get(frame).get(taken).op("i32.wrap_i64").get(taken).i64(32n).op("i64.shr_u").op("i32.wrap_i64").call(run)
        c.br(again)
      })
    })
    this.#since = "all"
  }

  /** Pushes the address of a buffer. */
  #address(buffer: Buffer): void {
    this.#addressOf(placeOf(this.#parts.plan, buffer))
  }

  #addressOf(place: { readonly slot: number; readonly offset: number }): void {
    const c = this.code
    const [frame] = c.params
    c.get(frame).load("i32.load", place.slot * 4)
    if (place.offset > 0) c.i32(place.offset).op("i32.add")
  }

  /** Sets the slot of a buffer that has one of its own to the address that `push` pushes. What nobody uses has none. */
  #move(buffer: Buffer, push: () => void): void {
    const c = this.code
    const [frame] = c.params
    const place = this.#parts.plan.places.get(buffer)
    if (place === undefined) return
    if (place.slot === slots.arena || place.offset !== 0) throw new Error(`${buffer.name} has no slot of its own`)
    c.get(frame)
    push()
    c.store("i32.store", place.slot * 4)
  }

  /** Copies a buffer's elements, unless both are one memory. */
  #copy(target: Buffer, source: Buffer): void {
    const bytes = bytesOf(source)
    if (bytes === 0) return
    const c = this.code
    this.#address(target)
    this.#address(source)
    c.op("i32.ne").if(() => {
      this.#address(target)
      this.#address(source)
      c.i32(bytes).copy()
    })
  }

  #enter(carries: StepOf<"Scan">["carries"], mode: Mode): void {
    const { homes } = this.#parts.plan
    for (const { current, next } of carries) {
      for (const buffer of [current, next]) {
        const home = homes.get(buffer)
        if (home === undefined) throw new Error(`the plan has no home for ${buffer.name}`)
        this.#move(buffer, () => this.#addressOf(home))
      }
    }
    if (carries.length > 0) {
      this.#alongside(mode, () => {
        for (const { current, init } of carries) this.#copy(current, init)
      })
    }
  }

  #exchange(carries: StepOf<"Scan">["carries"]): void {
    const c = this.code
    for (const { current, next } of carries) {
      const address = c.local("i32", "exchanged")
      this.#address(current)
      c.set(address)
      this.#move(current, () => this.#address(next))
      this.#move(next, () => c.get(address))
    }
  }

  #leave(carries: StepOf<"Scan">["carries"], mode: Mode): void {
    if (carries.length > 0) {
      this.#alongside(mode, () => {
        for (const { current, result } of carries) this.#copy(result, current)
      })
    }
  }

  #scan(step: StepOf<"Scan">, mode: Mode): void {
    const c = this.code
    const { body, carries, length, reverse, xs, ys } = step
    this.#enter(carries, mode)
    if (length > 0) {
      const index = c.local("i32", "index")
      c.i32(reverse ? length - 1 : 0).set(index)
      this.#rounds(mode, (again) => {
        for (const { slice, whole } of [...xs, ...ys]) {
          this.#move(slice, () => {
            this.#address(whole)
            c.get(index).i32(bytesOf(slice)).op("i32.mul").op("i32.add")
          })
        }
        this.steps(body, mode)
        this.#exchange(carries)
        if (mode === "all") this.meet()
        c.get(index).i32(reverse ? -1 : 1).op("i32.add").tee(index)
        c.i32(reverse ? 0 : length).op(reverse ? "i32.ge_s" : "i32.lt_s")
        again()
      })
    }
    this.#leave(carries, mode)
  }

  #while(step: StepOf<"While">, mode: Mode): void {
    const c = this.code
    const { body, carries, condition, holds } = step
    this.#enter(carries, mode)
    c.block((exit) => {
      this.#rounds(mode, (again) => {
        this.steps(condition, mode)
        this.#look(mode, () => {
          this.#address(holds)
          c.load("i32.load8_u")
        })
        c.op("i32.eqz").brIf(exit)
        this.steps(body, mode)
        this.#exchange(carries)
        if (mode === "all") this.meet()
        c.i32(1)
        again()
      })
    })
    this.#leave(carries, mode)
  }

  /** A loop, at whose beginning the threads have just met. `again` begins the next round if what is pushed is not 0. */
  #rounds(mode: Mode, body: (again: () => void) => void): void {
    if (mode === "all") this.meet()
    this.code.loop((top) => body(() => this.code.brIf(top)))
  }

  /** Pushes what all threads read in memory, before anyone writes there again. */
  #look(mode: Mode, push: () => void): void {
    const c = this.code
    if (mode === "all") this.meet()
    const seen = c.local("i32", "seen")
    push()
    c.set(seen)
    if (mode === "all") this.#barrier()
    c.get(seen)
  }

  #cond(step: StepOf<"Cond">, mode: Mode): void {
    const c = this.code
    const index = c.local("i32", "branch")
    this.#look(mode, () => {
      this.#address(step.index)
      c.load("i32.load")
    })
    c.set(index)
    const branch = (at: number): void => {
      const run = () => {
        this.steps(step.branches[at], mode)
        if (mode === "all") this.meet()
      }
      if (at === step.branches.length - 1) run()
      else c.get(index).i32(at).op("i32.le_s").if(run, () => branch(at + 1))
    }
    branch(0)
  }
}
