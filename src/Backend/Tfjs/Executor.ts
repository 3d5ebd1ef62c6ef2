/**
 * Runs Schedules. A run is a generator: it dispatches kernels, and hands a handle out whenever it must know elements on
 * the host (a loop's condition, a branch's index, the operands of a callback); who drives it answers with them, at once
 * or, on a device that must wait, when they have come. A Program without such reads is therefore run in one synchronous
 * block.
 *
 * A run frees every handle that it made or was given, at its last use, and all of them when it fails or is interrupted.
 */
import * as Effect from "effect/Effect"
import type { TypedArray } from "../../Tensor/DType.ts"
import * as ShapedArray from "../../Tensor/ShapedArray.ts"
import type { Storage } from "../../Tensor/Storage.ts"
import type { BackendError } from "../Backend.ts"
import type { Data, Device } from "./Device.ts"
import { isPlain, type PlainStep, type Schedule, type Step } from "./schedule.ts"

/** A run: yields what it must read, returns its outputs. */
type Running<D extends Data, A> = Generator<D, A, TypedArray>

type StepOf<D extends Data, Tag extends Step<D>["_tag"]> = Extract<Step<D>, { readonly _tag: Tag }>

/** A run that waits for a read. */
interface Waiting {
  readonly _tag: "Wait"
  readonly read: Effect.Effect<TypedArray, BackendError>
}

/** How far a run has come. */
type Progress =
  | Waiting
  | { readonly _tag: "Done"; readonly storages: ReadonlyArray<Storage> }
  | { readonly _tag: "Failed"; readonly error: BackendError }
  | { readonly _tag: "Defect"; readonly thrown: unknown }

const nothing = new Uint8Array(0)

const settled = (progress: Exclude<Progress, Waiting>): Effect.Effect<ReadonlyArray<Storage>, BackendError> =>
  progress._tag === "Done"
    ? Effect.succeed(progress.storages)
    : progress._tag === "Failed"
    ? Effect.fail(progress.error)
    : Effect.die(progress.thrown)

/** Counts dispatched kernels. */
export interface Counter {
  kernels: number
}

/** Runs Schedules on one device. */
export class Executor<D extends Data> {
  readonly #device: Device<D>
  readonly #counter: Counter
  constructor(device: Device<D>, counter: Counter) {
    this.#device = device
    this.#counter = counter
  }

  /** From inputs to outputs; `owned[i]` says that the storage of input i is the run's to free. */
  run(
    schedule: Schedule<D>,
    inputs: ReadonlyArray<Storage>,
    owned: ReadonlyArray<boolean>
  ): Effect.Effect<ReadonlyArray<Storage>, BackendError> {
    return Effect.suspend(() => this.#drive(this.#top(schedule, inputs, owned)))
  }

  /** Answers reads until the run is over; leaves the synchronous block only for a read that must wait. */
  #drive(running: Running<D, ReadonlyArray<Storage>>): Effect.Effect<ReadonlyArray<Storage>, BackendError> {
    const first = this.#advance(running, undefined)
    return first._tag === "Wait" ? this.#wait(running, first) : settled(first)
  }

  #wait(
    running: Running<D, ReadonlyArray<Storage>>,
    first: Waiting
  ): Effect.Effect<ReadonlyArray<Storage>, BackendError> {
    const advance = (elements: TypedArray) => this.#advance(running, elements)
    const loop = Effect.gen(function*() {
      let state: Progress = first
      while (state._tag === "Wait") state = advance(yield* state.read)
      return yield* settled(state)
    })
    // An interrupted or failed read leaves the run where it waits: this makes it free what it holds.
    return Effect.onExit(loop, () => Effect.sync(() => running.return([])))
  }

  /** Goes on with what was read (nothing at the start) until the run is over or must wait. */
  #advance(running: Running<D, ReadonlyArray<Storage>>, answer: TypedArray | undefined): Progress {
    const device = this.#device
    try {
      // The argument of the first `next` is not seen by a generator.
      let state = running.next(answer ?? nothing)
      while (state.done !== true) {
        const elements = device.read(state.value)
        if (Effect.isEffect(elements)) return { _tag: "Wait", read: elements }
        state = running.next(elements)
      }
      device.flush()
      return { _tag: "Done", storages: state.value }
    } catch (thrown) {
      running.return([])
      const error = device.toError(thrown)
      return error === undefined ? { _tag: "Defect", thrown } : { _tag: "Failed", error }
    }
  }

  *#top(
    schedule: Schedule<D>,
    storages: ReadonlyArray<Storage>,
    owned: ReadonlyArray<boolean>
  ): Running<D, ReadonlyArray<Storage>> {
    const device = this.#device
    const inputs: Array<D> = []
    let outputs: ReadonlyArray<D> = []
    try {
      for (let i = 0; i < storages.length; i++) inputs.push(device.fromStorage(storages[i], schedule.inputs[i]))
      // A donated storage is freed early: with its handle, which the run takes over.
      for (let i = 0; i < storages.length; i++) if (owned[i] === true) device.release(storages[i])
      const taken = inputs.splice(0)
      outputs = yield* this.#run(schedule, taken, taken.map(() => true))
      const stored = outputs.map((d) => device.toStorage(d))
      outputs = []
      return stored
    } finally {
      for (const d of inputs) device.dispose(d)
      for (const d of outputs) device.dispose(d)
    }
  }

  /**
   * From handles to handles. The caller keeps the handles of inputs that are not `owned`, and must keep them until the
   * run is over; those that are, the run disposes of. Outputs are the caller's.
   */
  *#run(schedule: Schedule<D>, inputs: ReadonlyArray<D>, owned: ReadonlyArray<boolean>): Running<D, ReadonlyArray<D>> {
    if (schedule.straight) return this.#straight(schedule, inputs, owned)
    const frame = new Frame(this.#device, schedule, inputs, owned)
    try {
      for (const step of schedule.steps) {
        const given = frame.given(step)
        frame.write(step, isPlain(step) ? this.#plain(step, given) : yield* this.#control(step, given))
      }
      return frame.outputs()
    } finally {
      frame.clearAll()
    }
  }

  /** As `#run`, for a Schedule without control flow. */
  #straight(schedule: Schedule<D>, inputs: ReadonlyArray<D>, owned: ReadonlyArray<boolean>): ReadonlyArray<D> {
    const frame = new Frame(this.#device, schedule, inputs, owned)
    try {
      for (const step of schedule.steps) if (isPlain(step)) frame.write(step, this.#plain(step, frame.given(step)))
      return frame.outputs()
    } finally {
      frame.clearAll()
    }
  }

  #plain(step: PlainStep<D>, given: ReadonlyArray<D>): ReadonlyArray<D> {
    switch (step._tag) {
      case "Kernel":
        this.#counter.kernels++
        return step.run(given)
      case "Constant":
        return [this.#device.constant(step.value, step.aval)]
      case "Alias":
        return [this.#device.alias(given[0], step.aval)]
    }
  }

  *#control(
    step: Exclude<Step<D>, { readonly _tag: "Kernel" }>,
    given: ReadonlyArray<D>
  ): Running<D, ReadonlyArray<D>> {
    const device = this.#device
    switch (step._tag) {
      case "Constant":
        return [device.constant(step.value, step.aval)]
      case "Alias":
        return [device.alias(given[0], step.aval)]
      case "Scan":
        return yield* this.#scan(step, given)
      case "While":
        return yield* this.#while(step, given)
      case "Cond": {
        const [index, ...operands] = given
        const chosen = Number((yield index)[0])
        const branch = step.branches[Math.min(Math.max(chosen, 0), step.branches.length - 1)]
        return yield* this.#run(branch, operands, [])
      }
      case "Callback": {
        const values = []
        for (const d of given) values.push({ aval: d.aval, data: yield d })
        step.callback(values)
        return []
      }
    }
  }

  *#scan(step: StepOf<D, "Scan">, given: ReadonlyArray<D>): Running<D, ReadonlyArray<D>> {
    const device = this.#device
    const { body, params: { length, num_carry: carries, num_consts: consts, reverse } } = step
    const fixed = given.slice(0, consts)
    const xs = given.slice(consts + carries)
    const owned = body.inputs.map((_, i) => i >= consts)
    let carry: ReadonlyArray<D> = []
    const ys: Array<D> = []
    // Slices of one step: first of the xs, which the body takes over, then of the ys.
    const rows: Array<D> = []
    let done = false
    try {
      carry = given.slice(consts, consts + carries).map((d, i) => device.alias(d, body.outputs[i].aval))
      for (const { aval } of body.outputs.slice(carries)) {
        ys.push(device.allocate(ShapedArray.withShape(aval, [length, ...aval.shape])))
      }
      for (let n = 0; n < length; n++) {
        const index = reverse ? length - 1 - n : n
        for (let i = 0; i < xs.length; i++) rows.push(device.row(xs[i], index, body.inputs[consts + carries + i]))
        const inputs = [...fixed, ...carry, ...rows.splice(0)]
        carry = []
        const outputs = yield* this.#run(body, inputs, owned)
        carry = outputs.slice(0, carries)
        rows.push(...outputs.slice(carries))
        rows.forEach((row, i) => device.setRow(ys[i], index, row))
        for (const row of rows.splice(0)) device.dispose(row)
      }
      done = true
      return [...carry, ...ys]
    } finally {
      if (!done) { for (const d of [...carry, ...ys, ...rows]) device.dispose(d) }
    }
  }

  *#while(step: StepOf<D, "While">, given: ReadonlyArray<D>): Running<D, ReadonlyArray<D>> {
    const device = this.#device
    const { body, cond, params: { body_consts: bodyConsts, cond_consts: condConsts } } = step
    const condFixed = given.slice(0, condConsts)
    const bodyFixed = given.slice(condConsts, condConsts + bodyConsts)
    const owned = body.inputs.map((_, i) => i >= bodyConsts)
    let carry: ReadonlyArray<D> = []
    let done = false
    try {
      carry = given.slice(condConsts + bodyConsts).map((d, i) => device.alias(d, body.outputs[i].aval))
      while (yield* this.#holds(cond, [...condFixed, ...carry])) {
        const inputs = [...bodyFixed, ...carry]
        carry = []
        carry = yield* this.#run(body, inputs, owned)
      }
      done = true
      return carry
    } finally {
      if (!done) { for (const d of carry) device.dispose(d) }
    }
  }

  /** Does a condition hold? */
  *#holds(cond: Schedule<D>, inputs: ReadonlyArray<D>): Running<D, boolean> {
    const [flag] = yield* this.#run(cond, inputs, [])
    try {
      return (yield flag)[0] !== 0
    } finally {
      this.#device.dispose(flag)
    }
  }
}

/** The slots of one run. Slots below the number of inputs are inputs; a borrowed one is forgotten, not disposed of. */
class Frame<D extends Data> {
  readonly #device: Device<D>
  readonly #schedule: Schedule<D>
  readonly #owned: ReadonlyArray<boolean>
  readonly #count: number
  readonly #slots: Array<D | undefined>

  constructor(device: Device<D>, schedule: Schedule<D>, inputs: ReadonlyArray<D>, owned: ReadonlyArray<boolean>) {
    this.#device = device
    this.#schedule = schedule
    this.#owned = owned
    this.#count = inputs.length
    this.#slots = [...inputs]
    for (const slot of schedule.unused) this.#clear(slot)
  }

  #clear(slot: number): void {
    const d = this.#slots[slot]
    if (d === undefined) return
    this.#slots[slot] = undefined
    if (slot >= this.#count || this.#owned[slot] === true) this.#device.dispose(d)
  }

  #at(slot: number): D {
    const d = this.#slots[slot]
    if (d === undefined) throw new Error("a Schedule reads a slot that is empty")
    return d
  }

  given(step: Step<D>): ReadonlyArray<D> {
    return step.inputs.map((slot) => this.#at(slot))
  }

  /** Takes a step's results over, and frees what nobody reads after it. */
  write(step: Step<D>, made: ReadonlyArray<D>): void {
    for (let i = 0; i < made.length; i++) this.#slots[step.outputs[i]] = made[i]
    for (const slot of step.free) this.#clear(slot)
  }

  /** Handles of their own on the outputs. */
  outputs(): ReadonlyArray<D> {
    const out: Array<D> = []
    try {
      for (const { aval, slot } of this.#schedule.outputs) out.push(this.#device.alias(this.#at(slot), aval))
      return out
    } catch (thrown) {
      for (const d of out) this.#device.dispose(d)
      throw thrown
    }
  }

  clearAll(): void {
    for (let slot = 0; slot < this.#slots.length; slot++) this.#clear(slot)
  }
}
