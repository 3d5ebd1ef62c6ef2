/**
 * `jit`: traces a function once for every combination of shapes, dtypes, structure and static values, compiles the
 * Program, and from then on only runs it.
 *
 * A call takes its arguments apart (a `flattener` remembers how, so that an unchanged model costs a few comparisons a
 * node), finds the entry of their GraphDef and shapes, reads all arrays in one synchronous block, runs the Executable,
 * and writes the new state back in another. The service `Rngs` is one more argument.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Hash from "effect/Hash"
import * as Option from "effect/Option"
import { Backend, type Executable } from "../Backend/Backend.ts"
import { compute, hostData, storageOf } from "../Backend/read.ts"
import * as GraphDef from "../GraphDef/GraphDef.ts"
import { type Flattener, flattener, outerSplit, type Split } from "../GraphDef/updateContext.ts"
import * as control from "../Program/control.ts"
import { hasEffects, make as makeProgram, type Var } from "../Program/Program.ts"
import { simplify } from "../Program/simplify.ts"
import { type Cell, CurrentTrace, type Slot, storageCell, type Trace } from "../Program/Trace.ts"
import { type NewVariables, VariableMode } from "../Ref/modes.ts"
import { Rngs, type RngStreams } from "../Ref/Rngs.ts"
import { cellOf } from "../Ref/Variable.ts"
import { TraceError } from "../Tensor/errors.ts"
import * as ShapedArray from "../Tensor/ShapedArray.ts"
import type { Storage } from "../Tensor/Storage.ts"
import * as Tensor from "../Tensor/Tensor.ts"
import * as Tree from "../Tensor/Tree.ts"
import { checkUnshared } from "./arrayRefs.ts"
import { throwing, type TransformError } from "./attempt.ts"
import { donations, type Replaced, replacedState } from "./donation.ts"
import {
  allHeld,
  type Call,
  call,
  conclude,
  emitter,
  forget,
  land,
  leafValue,
  operands,
  rebuildPure,
  resultCount,
  type SplitArguments,
  splitLeaves
} from "./lift.ts"
import type { Traceable, Traced } from "./types.ts"

/** A compiled function. */
export interface Jitted<Args extends ReadonlyArray<unknown>, A, E> {
  (...args: Args): Effect.Effect<A, E | TransformError, Backend>
  /**
   * How often the function was traced: once for every new combination of shapes, dtypes, structure and static values.
   */
  readonly traces: () => number
}

/** What a compiled function is made of, for `lower`: under a symbol, since nobody else needs it. */
const Made: unique symbol = Symbol.for("~linum/jit/made")

/** @internal The function that `jit` was given, and its name; undefined for any other function. */
export const madeOf = (f: object): { readonly f: unknown; readonly name: string } | undefined =>
  (f as { readonly [Made]?: { readonly f: unknown; readonly name: string } })[Made]

/** Options of `jit`. */
export interface JitOptions {
  /** The name that Programs and errors show; by default that of the function. */
  readonly name?: string
  /**
   * May a Variable be at several places of the arguments? With `"share"`, the default, it is one object inside, as it is
   * outside. `"error"` makes it an `AliasError` that names two of its places. (An array ref by itself may never be.)
   */
  readonly aliases?: "share" | "error"
  /**
   * Arguments that must be static: a `TraceError` says so if one holds an array, a Variable or a Module. Numbers,
   * strings, functions and other values without arrays are static in any place; they are compared by `Equal`, and a new
   * value is traced anew.
   */
  readonly staticArgnums?: number | ReadonlyArray<number>
}

/** One traced and compiled version of a function. */
interface Entry {
  readonly call: Call
  readonly backend: Backend["Service"]
  readonly graphdef: GraphDef.Any
  /** Undefined when the Program does nothing. */
  readonly executable: Executable | undefined
  /** Positions, among captures, closure state and slots, of the inputs that the Program uses. */
  readonly used: ReadonlyArray<number>
  /** Which outputs replace which inputs. */
  readonly replaced: ReadonlyArray<Replaced>
  /** The position of the error code among the outputs, if the function has checks. */
  readonly code: number | undefined
  /** Does the structure of the arguments stay as it was? Then only Variables are written. */
  readonly stable: boolean
  /** What new Variables were while it was traced. */
  readonly mode: NewVariables
  /** For each leaf of the arguments that is one array, its abstract value; undefined when some leaf is a tree. */
  readonly avals: ReadonlyArray<ShapedArray.ShapedArray> | undefined
}

/**
 * All versions of a function, by the structure of their arguments. The one that was used last is looked at first; an
 * unchanged model has the very structure that it had then.
 */
class Entries {
  #latest: Entry | undefined
  #structure: GraphDef.Any | undefined
  readonly #byHash = new Map<number, Array<Entry>>()

  find(graphdef: GraphDef.Any, matches: (entry: Entry) => boolean): Entry | undefined {
    const latest = this.#latest
    if (this.#structure === graphdef && latest !== undefined && matches(latest)) return latest
    const found = this.#byHash.get(Hash.hash(graphdef))?.findLast((e) =>
      (e.graphdef === graphdef || GraphDef.equals(e.graphdef, graphdef)) && matches(e)
    )
    if (found !== undefined) {
      this.#latest = found
      this.#structure = graphdef
    }
    return found
  }

  add(entry: Entry): Entry {
    const hash = Hash.hash(entry.graphdef)
    const alike = this.#byHash.get(hash)
    if (alike === undefined) this.#byHash.set(hash, [entry])
    else alike.push(entry)
    return entry
  }

  /** Adds a version that is compiled for one more backend. Of backends that are built again and again few are kept. */
  addMoved(entry: Entry): Entry {
    const alike = this.#byHash.get(Hash.hash(entry.graphdef)) ?? []
    const same = alike.filter((e) => e.call === entry.call)
    if (same.length >= backendsKept) {
      alike.splice(alike.indexOf(same[0]), 1)
      if (this.#latest === same[0]) this.#latest = undefined
    }
    return this.add(entry)
  }
}

/** For how many backends one trace is kept compiled. */
const backendsKept = 4

/**
 * Compiles a function of arrays, Modules, Variables and static values.
 *
 * The first call with new shapes, dtypes, structure or static values traces it; all others only run the compiled
 * Program. Writes to Variables are visible outside after the call, all at once; if the call fails, nothing is written.
 * Numbers, strings, booleans and functions among the arguments are static: pass an array where a number changes from
 * call to call.
 *
 * Fails with what the function and its checks fail with, with a `TensorError` if it cannot be traced, or a
 * `BackendError` if it cannot run.
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 * import * as Cpu from "linum/backend/tfjs-cpu"
 *
 * const double = nnx.jit((x: nnx.Tensor.Tensor) => Effect.succeed(x.mul(2)))
 * const program = Effect.flatMap(double(nnx.Tensor.array([1, 2, 3])), nnx.Tensor.toNested)
 * console.log(await Effect.runPromise(program.pipe(Effect.provide(Cpu.layer)))) // => [ 2, 4, 6 ]
 * ```
 *
 * @category transforms
 * @since 0.1.0
 */
export const jit = <Args extends ReadonlyArray<unknown>, A, E, R>(
  f: Traced<Args, A, E, R>,
  options: JitOptions = {}
): Jitted<Args, A, E> => {
  const compiled = new Compiled<Args, A, E, R>(f, options)
  const made = { f, name: options.name ?? (f.name || "anonymous") }
  return Object.assign((...args: Args) => compiled.apply(args), { traces: () => compiled.traces, [Made]: made })
}

class Compiled<Args extends ReadonlyArray<unknown>, A, E, R> {
  readonly #f: Traceable<Args, A, E, R>
  readonly #name: string
  readonly #unshared: boolean
  readonly #static: ReadonlyArray<number>
  readonly #flatten: Flattener = flattener()
  readonly #entries = new Entries()
  traces = 0

  constructor(f: Traceable<Args, A, E, R>, { aliases, name, staticArgnums = [] }: JitOptions) {
    this.#f = f
    this.#name = name ?? (f.name || "anonymous")
    this.#unshared = aliases === "error"
    this.#static = typeof staticArgnums === "number" ? [staticArgnums] : staticArgnums
  }

  apply(args: Args): Effect.Effect<A, E | TransformError, Backend> {
    return Effect.contextWith((context: Context.Context<Backend>) => {
      const parent = Context.get(context, CurrentTrace)
      return throwing(parent === undefined ? this.#run(args, context) : this.#inline(args, parent))
    })
  }

  /** Inside another trace a compiled function is one equation. */
  #inline(args: Args, parent: Trace): Effect.Effect<A, E | TransformError, Backend> {
    return Effect.suspend(() => {
      checkStatic(this.#name, args, this.#static)
      const split = splitLeaves(this.#flatten([...args]), parent, allHeld)
      if (this.#unshared) checkUnshared(`jit(${this.#name})`, args, this.#f)
      this.traces++
      // The services of the outer trace serve the inner one: R was checked to hold no others.
      return Effect.flatMap(this.#trace(this.#f, split, parent), (c) => {
        const node = control.call(this.#name, c.discharged.program, operands(c, parent))
        const kept = emitter(parent)
        kept.emit(node)
        return conclude(c, node.outputs, kept) as Effect.Effect<A, TransformError>
      })
    })
  }

  #trace(f: Traceable<Args, A, E, R>, split: SplitArguments, parent: Trace | undefined) {
    return call(f, split, parent, {
      transform: `jit(${this.#name})`,
      ownChecks: parent === undefined,
      signature: this.#f,
      references: parent?.references
    }) as Effect.Effect<Call, E | TransformError, Backend>
  }

  #run(args: Args, context: Context.Context<Backend>): Effect.Effect<A, E | TransformError, Backend> {
    return Effect.suspend(() => {
      if (this.#static.length > 0) checkStatic(this.#name, args, this.#static)
      const rngs = Context.getOption(context as Context.Context<never>, Rngs)
      const all: ReadonlyArray<unknown> = Option.isSome(rngs) ? [...args, rngs.value] : args
      const flat = this.#flatten(all)
      const backend = Context.get(context, Backend)
      const mode = Context.get(context, VariableMode)
      const known = this.#find(flat, backend, mode)
      const again = () => this.#run(args, context)
      if (known !== undefined) return this.#execute(known, flat, again)
      const elsewhere = this.#find(flat, undefined, mode)
      if (elsewhere === undefined && this.#unshared) checkUnshared(`jit(${this.#name})`, args, this.#f)
      const made = elsewhere === undefined
        ? this.#compile(splitLeaves(flat, undefined), backend, mode, Option.isSome(rngs))
        : this.#compileAgain(elsewhere, backend)
      return Effect.flatMap(made, (entry) => this.#execute(entry, flat, again))
    })
  }

  /** The entry for these arguments, on a backend or on any. */
  #find(flat: Split, backend: Backend["Service"] | undefined, mode: NewVariables): Entry | undefined {
    // Two Variables over one array ref are refused when the function is traced.
    if (flat.shared.length > 0) return undefined
    return this.#entries.find(flat.graphdef, (e) =>
      (backend === undefined || e.backend === backend) &&
      e.mode.hasRef === mode.hasRef && e.mode.isHijax === mode.isHijax &&
      sameLeaves(e, flat) && e.call.discharged.reads.every(sameState) && sameAliases(e.call, flat))
  }

  #compile(split: SplitArguments, backend: Backend["Service"], mode: NewVariables, withRngs: boolean) {
    this.traces++
    const f: Traceable<Args, A, E, R> = withRngs ? provideLast(this.#f) : this.#f
    return Effect.flatMap(this.#trace(f, split, undefined), (c) => {
      const program = simplify(c.discharged.program)
      const needed = new Set<unknown>([...program.equations.flatMap((e) => e.inputs), ...program.outputs])
      const used = program.inputs.flatMap((v, i) => needed.has(v) ? [i] : [])
      const inputs: ReadonlyArray<Var> = used.map((i) => program.inputs[i])
      const idle = program.outputs.length === 0 && !hasEffects(program)
      const stable = c.pure !== undefined && GraphDef.sameStructure(split.split.graphdef, c.graphdef, 1)
      // If a check may fail, the state before is needed still.
      const replaced = stable && codePosition(c) === undefined ? replacedState(c, used) : []
      const entryOf = (executable: Executable | undefined): Entry =>
        this.#entries.add({
          call: forget(c),
          backend,
          graphdef: split.split.graphdef,
          executable,
          used,
          replaced,
          mode,
          code: codePosition(c),
          stable,
          avals: split.simple ? split.arrays.map((x) => x.aval) : undefined
        })
      return idle
        ? Effect.succeed(entryOf(undefined))
        : Effect.map(
          backend.compile(makeProgram(inputs, program.equations, program.outputs), {
            aliases: replaced.map((r) => r.alias)
          }),
          entryOf
        )
    })
  }

  /** What was traced for one backend is compiled for another. */
  #compileAgain({ executable: known, ...entry }: Entry, backend: Backend["Service"]) {
    const compiled = known === undefined
      ? Effect.succeed(known)
      : backend.compile(known.program, { aliases: entry.replaced.map((r) => r.alias) })
    return Effect.map(compiled, (executable) => this.#entries.addMoved({ ...entry, backend, executable }))
  }

  /**
   * Reads, runs, and writes back. What is pending is computed first, and then the call begins `again`: others may have
   * written.
   */
  #execute(
    entry: Entry,
    flat: Split,
    again: () => Effect.Effect<A, E | TransformError, Backend>
  ): Effect.Effect<A, E | TransformError, Backend> {
    const { backend, executable } = entry
    if (executable === undefined) return Effect.sync(() => finish(entry, flat, []) as A)
    const step = Effect.suspend(() => {
      const first = backend.beforeStep?.()
      if (first !== undefined) return Effect.flatMap(first, again)
      const inputs = gather(entry, flat)
      const pending = inputs.filter((x) => x.source._tag !== "Concrete" && x.source._tag !== "Literal")
      if (pending.length > 0) return Effect.flatMap(compute(...pending), again)
      const donated = executable.aliases === undefined ? undefined : donations(entry.replaced, flat, inputs.length)
      const run = executable.run(inputs.map(storageOf), donated)
      return entry.code === undefined
        ? Effect.map(run, (storages) => finish(entry, flat, storages) as A)
        : Effect.flatMap(
          run,
          (storages) =>
            Effect.flatMap(failure<E>(entry, storages), () => Effect.sync(() => finish(entry, flat, storages) as A))
        )
    })
    // State that was overwritten must be written back.
    return executable.aliases === undefined ? step : Effect.uninterruptible(step)
  }
}

/** Throws a `TraceError` unless the arguments at some positions are without arrays, Variables and Modules. */
const checkStatic = (name: string, args: ReadonlyArray<unknown>, positions: ReadonlyArray<number>): void => {
  for (const position of positions) {
    const at = position < 0 ? args.length + position : position
    const { leaves, objects } = outerSplit(args[at])
    const [leaf] = leaves
    if (leaf === undefined && objects.length === 0) continue
    const what = leaf?._tag === "Array"
      ? `an array (${ShapedArray.format(leaf.tensor.aval)})`
      : leaf === undefined
      ? "a Module"
      : `a Variable (${leaf.variable.kind})`
    throw new TraceError({
      transform: `jit(${name})`,
      reason: `argument ${at} is static, but holds ${what} at ${[at, ...leaf?.path ?? []].join("/")}`,
      hint: "static values are part of the compiled function: pass arrays, Variables and Modules as other arguments"
    })
  }
}

/** The function with the service `Rngs` as one more, last argument. */
const provideLast = <Args extends ReadonlyArray<unknown>, A, E, R>(
  f: Traceable<Args, A, E, R>
): Traceable<Args, A, E, R> =>
(...args) => {
  const all: ReadonlyArray<unknown> = args
  const own = all.slice(0, -1) as unknown as Args
  return Effect.provideService(f(...own), Rngs, all[all.length - 1] as RngStreams) as Effect.Effect<A, E, R>
}

/**
 * Fails with the error of the first check that failed. The error was typed as one of E when `Check.that` was called.
 */
const failure = <E>(
  entry: Entry,
  storages: ReadonlyArray<Storage>
): Effect.Effect<void, E | TransformError, Backend> => {
  const checks = entry.call.trace.ownChecks
  if (entry.code === undefined || checks === undefined) return Effect.void
  const code = Tensor.concrete(ShapedArray.make([], "int32"), storages[entry.code])
  return Effect.flatMap(hostData(code), ([at]) => {
    if (at === 0) return Effect.void
    for (const storage of storages) entry.backend.release(storage)
    return Effect.fail(checks.errors[at - 1] as E)
  })
}

/** Where among the outputs the error code is. */
const codePosition = (c: Call): number | undefined => {
  const checks = c.trace.ownChecks
  if (checks === undefined) return undefined
  let at = resultCount(c)
  for (const { leaves, slot } of c.discharged.writes) {
    if (slot.cell === checks.cell) return at
    at += leaves
  }
  return undefined
}

const sameAval = (a: Tensor.Tensor, b: Tensor.Tensor): boolean =>
  a.aval === b.aval || ShapedArray.equals(a.aval, b.aval)

/** Do the leaves have the shapes, dtypes and value structures of those that were traced? */
const sameLeaves = (entry: Entry, flat: Split): boolean => {
  const { avals } = entry
  const { leaves } = flat
  if (avals === undefined) {
    const now = splitLeaves(flat, undefined)
    const traced = entry.call.arguments
    return traced.arrays.length === now.arrays.length && traced.arrays.every((x, i) => sameAval(x, now.arrays[i])) &&
      traced.leaves.every((l, i) => Tree.sameStructure(l.structure, now.leaves[i].structure))
  }
  for (let i = 0; i < leaves.length; i++) {
    const value = leafValue(leaves[i], undefined)
    if (!Tensor.isTensor(value) || (value.aval !== avals[i] && !ShapedArray.equals(value.aval, avals[i]))) return false
  }
  return true
}

/** Does a Variable that the function reads through its closure still have the shapes that were traced? */
const sameState = (slot: Slot): boolean => {
  const { leaves, structure } = Tree.flatten(slot.cell.raw)
  return Tree.sameStructure(structure, slot.initial.structure) &&
    leaves.every((x, i) => sameAval(x, slot.initial.leaves[i]))
}

/** Is what was passed as an argument and used through the closure too the same as when the function was traced? */
const sameAliases = (c: Call, now: Split): boolean => {
  const reads = c.discharged.reads
  if (reads.length === 0 && c.aliased.length === 0) return true
  const cells = new Set<unknown>(
    now.leaves.map((l) => l._tag === "Variable" ? storageCell(cellOf(l.variable)) : undefined)
  )
  if (reads.some((slot) => cells.has(slot.cell))) return false
  return c.aliased.every(({ leaf, variable }) => {
    const now_ = now.leaves[leaf]
    return now_._tag === "Variable" && now_.variable === variable
  })
}

/** The arrays that the Program uses, as they are now. */
const gather = (entry: Entry, flat: Split): ReadonlyArray<Tensor.Tensor> => {
  const { captures, reads } = entry.call.discharged
  if (captures.length === 0 && reads.length === 0 && entry.avals !== undefined) {
    return entry.used.map((i) => leafValue(flat.leaves[i], undefined) as Tensor.Tensor)
  }
  const all = [
    ...captures,
    ...reads.flatMap((slot) => Tree.leaves(slot.cell.raw)),
    ...splitLeaves(flat, undefined).arrays
  ]
  return entry.used.map((i) => all[i])
}

/** Writes new state back, frees what it replaces, and gives the result. */
const finish = (entry: Entry, flat: Split, storages: ReadonlyArray<Storage>): unknown => {
  const { call: c } = entry
  const outputs = storages.map((storage, i) => Tensor.concrete(c.discharged.program.outputs[i].aval, storage))
  const replaced: Array<Storage> = []
  const write = (cell: Cell, value: unknown): void => {
    const own = cell.shared === false
    const now = Tree.leaves(value)
    let inPlace = false
    Tree.leaves(cell.raw).forEach((x, i) => {
      if (x.source._tag !== "Concrete") return
      const { storage } = x.source
      const next = now[i]?.source
      if (next?._tag === "Concrete" && next.storage === storage) inPlace = true
      else if (own) replaced.push(storage)
    })
    cell.raw = value
    // Whoever took the arrays while they were being overwritten holds what is in the Variable now.
    cell.shared = inPlace && !own
  }
  const result = entry.stable
    ? finishStable(entry, flat, outputs, write)
    : land({ ...c, arguments: splitLeaves(flat, undefined) }, { outputs, parent: undefined, write })
  // A buffer that the step handed through to an output is not freed: the backend counts it once for each.
  for (const storage of replaced) entry.backend.release(storage)
  return result
}

const finishStable = (
  entry: Entry,
  flat: Split,
  outputs: ReadonlyArray<Tensor.Tensor>,
  write: (cell: Cell, value: unknown) => void
): unknown => {
  const { call: c } = entry
  let next = 0
  for (const r of c.results) {
    if (r.unchanged) continue
    const arrays = r.arrays.length
    if (r.argument !== undefined && r.leaf._tag === "Variable") {
      const leaf = flat.leaves[r.argument]
      if (leaf._tag === "Variable") {
        write(cellOf(leaf.variable), Tree.unflatten(r.structure, outputs.slice(next, next + arrays)))
      }
    }
    next += arrays
  }
  for (const { leaves, slot, structure } of c.discharged.writes) {
    write(slot.cell, Tree.unflatten(structure, outputs.slice(next, next += leaves)))
  }
  return c.pure === undefined ? undefined : rebuildPure(c.pure, outputs)
}
