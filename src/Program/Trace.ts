/**
 * A trace: one run of a user's function on arguments that have shapes but no values, with everything that the run does
 * written down. What it does with mutable cells (Variables) becomes inputs and outputs of the Program (*state
 * discharge*):
 *
 * - a cell's first read makes arguments for the arrays in its value;
 * - writes stay inside the trace, and the last one becomes an output;
 * - cells made inside the trace are the trace's own and need neither.
 *
 * In a trace for a Program that is shown, a Variable stays one input, its *reference*, and reads and writes of it are
 * equations (`references.ts`).
 *
 * The current trace is a `Context.Reference`; there is no global stack. `parent` is the trace in which a transform was
 * applied.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { TraceError, TracerLeakError } from "../Tensor/errors.ts"
import * as Lax from "../Tensor/lax/index.ts"
import * as ShapedArray from "../Tensor/ShapedArray.ts"
import { argument, literal, type Node, type Tensor, type TraceScope, traceScope } from "../Tensor/Tensor.ts"
import * as Tree from "../Tensor/Tree.ts"
import { build, type Closed } from "./build.ts"
import type { Var } from "./Program.ts"
import type { Description, References } from "./references.ts"

/**
 * What a trace sees of a Variable: a mutable place for a tree of arrays, made by `owner` (undefined: outside any
 * trace).
 */
export interface Cell {
  raw: unknown
  readonly owner: Trace | undefined
  /** For messages: `Param`. */
  readonly label: string
  /** The cell that holds its value, if that is another one: of a Variable in ref mode, its array ref. */
  readonly storage?: Cell | undefined
  /** Of a Variable: what Programs that are shown say of it. */
  readonly description?: Description
  /**
   * Outside of traces: may someone else hold the arrays of `raw`? Only if not, a step may free or overwrite their
   * buffers.
   */
  shared?: boolean
}

/** The cell that holds the value of a cell. */
export const storageCell = (cell: Cell): Cell => cell.storage ?? cell

/** A cell of an outer level, as one trace has it. */
export interface Slot {
  readonly cell: Cell
  /** The value at entry, with the trace's arguments as leaves. */
  readonly initial: Tree.Flat
  /** The value now. */
  current: unknown
  written: boolean
}

/** A traced function as a Program over state and arguments. */
export interface Discharged extends Closed {
  /** Cells whose arrays are inputs, after the captures and before the arguments, in order. */
  readonly reads: ReadonlyArray<Slot>
  /** Cells whose new arrays are outputs, after the function's own; each with the structure of its new value. */
  readonly writes: ReadonlyArray<{ readonly slot: Slot; readonly structure: Tree.Structure; readonly leaves: number }>
  /** The inputs that are references to Variables: none, unless the Program is to be shown. */
  readonly variables: ReadonlyMap<Var, Description>
}

/** The errors that failed checks stand for, by code; code 0 is no failure. */
export interface Checks {
  readonly cell: Cell
  readonly errors: Array<unknown>
}

/** One running trace. */
export class Trace {
  readonly scope: TraceScope
  readonly parent: Trace | undefined
  /** Nodes kept for their effect, in order. */
  readonly effects: Array<Node> = []
  /** If the Program is to be shown: how it has its Variables. */
  readonly references: References | undefined
  readonly #slots = new Map<Cell, Slot>()
  readonly #aliases = new Map<Cell, Cell>()
  readonly #usedAliases = new Set<Cell>()
  readonly #checks: Checks | undefined

  constructor(
    transform: string,
    parent: Trace | undefined,
    options: { readonly ownChecks: boolean; readonly references?: References | undefined }
  ) {
    this.scope = traceScope(transform)
    this.parent = parent
    this.references = options.references
    this.#checks = options.ownChecks || parent === undefined
      ? { cell: { raw: literal(0, "int32"), owner: undefined, label: "Check" }, errors: [] }
      : undefined
  }

  /** An argument of this trace. */
  argument(aval: ShapedArray.ShapedArray): Tensor {
    return argument(aval, this.scope)
  }

  /**
   * From now on `outer` means `inner`, a cell of this trace that was made from it because it was passed as an argument.
   */
  alias(outer: Cell, inner: Cell): void {
    this.#aliases.set(this.parent === undefined ? storageCell(outer) : this.parent.resolve(outer), storageCell(inner))
  }

  /** The cell that stands for `given` at this level: one that holds its value itself. */
  resolve(given: Cell): Cell {
    const cell = storageCell(given)
    if (cell.owner === this) return cell
    const outer = this.parent === undefined ? cell : this.parent.resolve(cell)
    const inner = this.#aliases.get(outer)
    if (inner === undefined) return outer
    this.#usedAliases.add(outer)
    return inner
  }

  /** Was this outer cell, which was passed as an argument too, used by itself? */
  usedAlias(outer: Cell): boolean {
    return this.#usedAliases.has(this.parent === undefined ? storageCell(outer) : this.parent.resolve(outer))
  }

  #slot(cell: Cell): Slot {
    const known = this.#slots.get(cell)
    if (known !== undefined) return known
    if (cell.owner !== undefined && !this.#isWithin(cell.owner)) throw leaked(cell)
    const { leaves, structure } = Tree.flatten(this.#outer(cell))
    const args = leaves.map((x) => this.pass(x, this.argument(x.aval)))
    const slot: Slot = {
      cell,
      initial: { leaves: args, structure },
      current: Tree.unflatten(structure, args),
      written: false
    }
    this.#slots.set(cell, slot)
    return slot
  }

  /** The value of a cell of the outer level; to be shown, a reference to it. */
  #outer(cell: Cell): unknown {
    const { parent, references } = this
    if (references !== undefined && references === parent?.references) return parent.peek(cell)
    const value = parent === undefined ? cell.raw : parent.read(cell)
    return references === undefined || cell.description === undefined ? value : references.make(cell.description, value)
  }

  /** An argument that stands for `outer`: if that is a reference, so is the argument. */
  pass(outer: Tensor, inner: Tensor): Tensor {
    this.references?.pass(outer, inner)
    return inner
  }

  #isWithin(owner: Trace): boolean {
    return this === owner || (this.parent !== undefined && this.parent.#isWithin(owner))
  }

  /** What a cell holds at this point of the run: its value, or a reference. */
  peek(cell: Cell): unknown {
    const resolved = this.resolve(cell)
    return resolved.owner === this ? resolved.raw : this.#slot(resolved).current
  }

  /** The value of a cell at this point of the run. A read that the user asked for is `shown`, even if nothing needs it. */
  read(cell: Cell, shown = false): unknown {
    const held = this.peek(cell)
    const read = this.references?.get(held)
    if (read === undefined) return held
    if (shown) this.emit(read.node)
    return read.value
  }

  /** Writes a cell: later reads in this run see the value. */
  write(cell: Cell, value: unknown): void {
    const node = this.references?.set(this.peek(cell), value)
    if (node !== undefined) {
      this.emit(node)
      return
    }
    const resolved = this.resolve(cell)
    if (resolved.owner === this) {
      resolved.raw = value
    } else {
      const slot = this.#slot(resolved)
      slot.current = value
      slot.written = true
    }
  }

  /** Keeps a node for its effect. */
  readonly emit = (node: Node): void => {
    this.effects.push(node)
  }

  /** Where failures of `Check.that` are noted: the checks of the nearest `jit`, or of the outermost trace. */
  get checks(): Checks {
    return this.#checks ?? (this.parent as Trace).checks
  }

  /** Has this trace checks of its own, and did any check run? */
  get ownChecks(): Checks | undefined {
    return this.#checks !== undefined && this.#checks.errors.length > 0 ? this.#checks : undefined
  }

  /** Notes that `error` happens at run time unless the scalar bool `ok` holds. The first failure counts. */
  check(ok: Tensor, error: unknown): void {
    const { cell, errors } = this.checks
    errors.push(error)
    const before = this.read(cell) as Tensor
    const fails = Lax.and(Lax.eq(before, literal(0, "int32")), Lax.not(ok))
    this.write(cell, Lax.selectN(fails, before, literal(errors.length, "int32")))
  }

  /** Lets go of the arrays and the Variables of a finished run. */
  forget(): void {
    this.effects.length = 0
    this.#aliases.clear()
    this.#usedAliases.clear()
    for (const slot of this.#slots.values()) slot.current = undefined
  }

  /** Ends the run. Outputs of the Program: `outputs`, then the new values of written cells. */
  close(outputs: ReadonlyArray<Tensor>, args: ReadonlyArray<Tensor>): Discharged {
    const reads = [...this.#slots.values()]
    const written = reads.filter((s) => s.written && !unchanged(s)).map((slot) => ({
      slot,
      flat: Tree.flatten(slot.current)
    }))
    const inputs = [...reads.flatMap((s) => s.initial.leaves), ...args]
    const closed = build({
      outputs: [...outputs, ...written.flatMap((w) => w.flat.leaves)],
      arguments: inputs,
      effects: this.effects,
      scope: this.scope
    })
    const writes = written.map(({ flat, slot }) => ({ slot, structure: flat.structure, leaves: flat.leaves.length }))
    const variables = new Map<Var, Description>()
    inputs.forEach((x, i) => {
      const description = this.references?.describe(x)
      if (description !== undefined) variables.set(closed.program.inputs[closed.captures.length + i], description)
    })
    return { ...closed, reads, writes, variables }
  }
}

/** Was a cell given back the very arrays that it had? */
const unchanged = (slot: Slot): boolean => {
  const now = Tree.flatten(slot.current)
  return Tree.sameStructure(now.structure, slot.initial.structure) &&
    now.leaves.every((x, i) => x === slot.initial.leaves[i])
}

const leaked = (cell: Cell): TracerLeakError =>
  new TracerLeakError({
    transform: cell.owner === undefined ? "a trace" : cell.owner.scope.transform,
    array: `Variable ${cell.label}`
  })

/**
 * The trace that runs now, if any.
 *
 * @category references
 * @since 0.1.0
 */
export const CurrentTrace = Context.Reference<Trace | undefined>("linum/CurrentTrace", {
  defaultValue: () => undefined
})

/** @internal The trace of the current fiber, for code that is called inside an Effect but is not one. */
export const currentUnsafe = (): Trace | undefined => Fiber.getCurrent()?.getRef(CurrentTrace)

/** @internal Reads a cell where no trace runs. */
export const readOutside = (cell: Cell): unknown => {
  if (cell.owner !== undefined && cell.owner.scope.finished) throw leaked(cell)
  return cell.raw
}

/** @internal Reads a cell where the current fiber is: in a trace or outside. `shown`: as the user asked for. */
export const readCell = (cell: Cell, shown = false): unknown => {
  const trace = currentUnsafe()
  return trace === undefined ? readOutside(cell) : trace.read(cell, shown)
}

/**
 * Runs a function's Effect inside a trace, at once: a trace cannot wait. Errors that are thrown and that `refine` knows
 * become failures, and so does asynchronous work (`TraceError`). The trace is finished afterwards, whatever happened.
 */
export const runTraced = <A, E, R, B, E2>(
  trace: Trace,
  effect: Effect.Effect<A, E, R>,
  refine: (thrown: unknown) => thrown is E2,
  finish: (value: A) => B
): Effect.Effect<B, E | E2 | TraceError, R> =>
  Effect.contextWith((context: Context.Context<R>) => {
    const exit = Effect.runSyncExitWith(Context.add(context, CurrentTrace, trace))(
      Effect.map(Effect.suspend(() => effect), finish)
    )
    trace.scope.finished = true
    return Exit.isSuccess(exit) ? Effect.succeed(exit.value) : Effect.failCause(tracedCause(trace, exit.cause, refine))
  })

const tracedCause = <E, E2>(
  trace: Trace,
  cause: Cause.Cause<E>,
  refine: (thrown: unknown) => thrown is E2
): Cause.Cause<E | E2 | TraceError> => {
  for (const reason of cause.reasons) {
    if (!Cause.isDieReason(reason)) continue
    if (refine(reason.defect)) return Cause.fail(reason.defect)
    if (Cause.isAsyncFiberError(reason.defect)) {
      // Else the rest of the function would run when the wait is over, in a trace that has ended.
      reason.defect.fiber.interruptUnsafe()
      return Cause.fail(
        new TraceError({
          transform: trace.scope.transform,
          reason: "the traced function waits for asynchronous work",
          hint:
            "do the waiting outside and pass the result as an argument; a traced function runs once, not at every call"
        })
      )
    }
  }
  return cause
}
