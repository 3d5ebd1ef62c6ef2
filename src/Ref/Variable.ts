/**
 * The Variable: an Effect Ref that holds arrays. `Ref.get`, `Ref.set`, `Ref.update` and `Ref.modify` of Effect work on
 * it, in traced code and outside: its `ref` is an accessor that asks the current fiber for the running trace.
 *
 * A *kind* is a `/`-chain (`Param`, `Param/LoraParam`): a filter on a kind covers its sub-kinds. *Metadata* is static
 * and part of a model's structure. The value is a tree of arrays, mostly one Tensor.
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { NodeInspectSymbol } from "effect/Inspectable"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Ref from "effect/Ref"
import { Backend } from "../Backend/Backend.ts"
import { compute } from "../Backend/read.ts"
import type { Description } from "../Program/references.ts"
import { type Cell, currentUnsafe, readCell, type Trace } from "../Program/Trace.ts"
import { isTensorError } from "../Tensor/errors.ts"
import { isTensor, type Tensor } from "../Tensor/Tensor.ts"
import * as Tree from "../Tensor/Tree.ts"
import { print } from "./print.ts"

const TypeId = "~linum/Variable"

/**
 * A write to a Variable that was made read-only by `immutable`.
 *
 * @category errors
 * @since 0.1.0
 */
export class ImmutableVariableError extends Data.TaggedError("ImmutableVariableError")<{ readonly kind: string }> {
  override get message(): string {
    return `Cannot mutate Variable as it is marked as immutable (kind ${this.kind}); use mutable(...) to get a writable copy`
  }
}

/** Static facts about a Variable: anything comparable by `Equal`. Part of the GraphDef, so a change of it retraces. */
export type Metadata = Readonly<Record<string, unknown>>

/** Functions that see a Variable's value on its way in and out, each list applied in order. */
export interface Hooks {
  readonly getValue?: ReadonlyArray<(variable: Any, value: unknown) => unknown>
  readonly setValue?: ReadonlyArray<(variable: Any, value: unknown) => unknown>
  readonly createValue?: ReadonlyArray<(variable: Any, value: unknown) => unknown>
  readonly addAxis?: ReadonlyArray<(variable: Any, axis: number, name: string | undefined) => void>
  readonly removeAxis?: ReadonlyArray<(variable: Any, axis: number, name: string | undefined) => void>
}

/**
 * An Effect Ref of a kind, holding a tree of arrays.
 *
 * @category models
 * @since 0.1.0
 */
export interface Variable<out K extends string, in out A> extends Ref.Ref<A> {
  readonly [TypeId]: typeof TypeId
  readonly kind: K
  readonly metadata: Metadata
  readonly hooks: Hooks
  /** False after `immutable`. */
  readonly mutable: boolean
}

/** Any Variable. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type Any = Variable<string, never> | Variable<string, unknown>

/**
 * A kind of Variables: makes them, and is a filter that selects them (and its sub-kinds).
 *
 * @category models
 * @since 0.1.0
 */
export interface Kind<K extends string> {
  readonly _tag: "Kind"
  readonly tag: K
  /** A Variable of this kind. Inside a trace it belongs to the trace. */
  readonly make: <A>(value: A, options?: VariableOptions) => Effect.Effect<Variable<K, A>>
  /** The same, at once; for constructors that are called inside an Effect. */
  readonly makeUnsafe: <A>(value: A, options?: VariableOptions) => Variable<K, A>
  /** The sub-kind `K/name`. */
  readonly sub: <N extends string>(name: N) => Kind<`${K}/${N}`>
}

/** Metadata and hooks of a new Variable. */
export interface VariableOptions {
  readonly metadata?: Metadata
  readonly hooks?: Hooks
}

const apply = (
  hooks: ReadonlyArray<(variable: Any, value: unknown) => unknown> | undefined,
  self: Any,
  value: unknown
): unknown => hooks === undefined ? value : hooks.reduce((v, hook) => hook(self, v), value)

/** The accessor that Effect's Ref functions read and write. */
class Accessor {
  readonly #self: VariableImpl
  constructor(self: VariableImpl) {
    this.#self = self
  }
  get current(): unknown {
    const value = readCell(this.#self, true)
    if (currentUnsafe() === undefined) this.#self.shared = true
    return apply(this.#self.hooks.getValue, this.#self.asVariable(), value)
  }
  set current(value: unknown) {
    const self = this.#self
    if (!self.mutable) throw new ImmutableVariableError({ kind: self.kind })
    const stored = apply(self.hooks.setValue, self.asVariable(), value)
    const trace = currentUnsafe()
    if (trace === undefined) {
      // One that was made in a trace cannot be used after it.
      if (self.owner !== undefined) readCell(self)
      writeOutside(self, stored)
    } else {
      trace.write(self, stored)
    }
  }
}

/**
 * @internal Is it what Effect's `Ref.set` and `Ref.update` give where their type says nothing? They hand out the cell
 * that they wrote.
 */
export const isAccessor = (u: unknown): boolean => u instanceof Accessor

class VariableImpl implements Cell {
  readonly [TypeId]: typeof TypeId = TypeId
  readonly kind: string
  metadata: Metadata
  readonly hooks: Hooks
  readonly mutable: boolean
  readonly owner: Trace | undefined
  raw: unknown
  /** May someone else hold the arrays of `raw`? Only if not, a step may free or overwrite their buffers. */
  shared = true
  readonly ref: Accessor
  constructor(
    kind: string,
    raw: unknown,
    metadata: Metadata,
    hooks: Hooks,
    mutable: boolean,
    owner: Trace | undefined
  ) {
    this.kind = kind
    this.raw = raw
    this.metadata = metadata
    this.hooks = hooks
    this.mutable = mutable
    this.owner = owner
    this.ref = new Accessor(this)
  }
  get label(): string {
    return this.kind
  }
  get description(): Description {
    return { kind: this.kind, metadata: { ...this.metadata, isMutable: this.mutable } }
  }
  asVariable(): Any {
    return this as unknown as Any
  }
  toString(): string {
    return print(this)
  }
  toJSON(): unknown {
    return { _id: "Variable", kind: this.kind, metadata: this.metadata }
  }
  [NodeInspectSymbol](): string {
    return print(this)
  }
}

// What every Ref has (`~effect/Ref`, pipe, inspection) comes from Effect's own prototype; a Variable is one more link.
const refPrototype: object = Object.getPrototypeOf(Ref.makeUnsafe(undefined))
Object.setPrototypeOf(VariableImpl.prototype, refPrototype)

/** Outside of traces a write starts the computation of the value (and waits for nothing), so that chains never grow. */
const writeOutside = (self: VariableImpl, value: unknown): void => {
  self.raw = value
  self.shared = true
  dispatch(pendingIn(value))
}

const pendingIn = (value: unknown): ReadonlyArray<Tensor> => {
  if (isTensor(value)) return value.source._tag === "Pending" ? [value] : []
  return Tree.leaves(value).filter((x) => x.source._tag === "Pending")
}

const dispatch = (pending: ReadonlyArray<Tensor>): void => {
  const fiber = Fiber.getCurrent()
  if (pending.length === 0 || fiber === undefined) return
  const backend = Context.getOption(fiber.context, Backend)
  if (Option.isNone(backend)) return
  const exit = Effect.runSyncExit(Effect.provideService(compute(...pending), Backend, backend.value))
  if (Exit.isFailure(exit)) {
    // A backend that cannot finish now (or at all) leaves the value pending; whoever reads it sees the failure.
    const failed = Exit.findErrorOption(exit)
    if (Option.isSome(failed) && isTensorError(failed.value)) throw failed.value
  }
}

/**
 * @internal Writes the values of many Variables where the current fiber is, without hooks: into the trace, or outside
 * of any with one computation for all that is pending.
 */
export const writeAll = (variables: ReadonlyArray<Any>, values: ReadonlyArray<unknown>): void => {
  const trace = currentUnsafe()
  const pending: Array<Tensor> = []
  for (let i = 0; i < variables.length; i++) {
    const cell = cellOf(variables[i])
    const value = values[i]
    if (trace !== undefined) {
      trace.write(cell, value)
      continue
    }
    cell.raw = value
    cell.shared = true
    if (!isTensor(value)) pending.push(...pendingIn(value))
    else if (value.source._tag === "Pending") pending.push(value)
  }
  dispatch(pending)
}

const construct = (
  kind: string,
  value: unknown,
  metadata: Metadata,
  hooks: Hooks,
  mutable: boolean,
  owner: Trace | undefined
): Any => new VariableImpl(kind, value, metadata, hooks, mutable, owner).asVariable()

/**
 * A kind of Variables by its full name, such as `"Param"` or `"Param/LoraParam"`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const kind = <K extends string>(tag: K): Kind<K> => {
  const makeUnsafe = <A>(value: A, options?: VariableOptions): Variable<K, A> => {
    const self = construct(tag, value, options?.metadata ?? {}, options?.hooks ?? {}, true, currentUnsafe())
    const cell = cellOf(self)
    cell.raw = apply(cell.hooks.createValue, self, cell.raw)
    return self as unknown as Variable<K, A>
  }
  return {
    _tag: "Kind",
    tag,
    make: (value, options) => Effect.sync(() => makeUnsafe(value, options)),
    makeUnsafe,
    sub: (name) => kind(`${tag}/${name}`)
  }
}

/** Is it a kind of Variables? */
export const isKind = (u: unknown): u is Kind<string> => Predicate.isTagged(u, "Kind")

/** Is it a Variable? */
export const isVariable = (u: unknown): u is Any => Predicate.hasProperty(u, TypeId)

/** The mutable insides of a Variable, for the rooms that move whole graphs. */
export interface VariableCell extends Cell {
  readonly kind: string
  /** Replaced as a whole, so that its identity tells whether it changed. */
  metadata: Metadata
  readonly hooks: Hooks
  readonly mutable: boolean
  shared: boolean
}

/** @internal */
export const cellOf = (self: Any): VariableCell => self as unknown as VariableImpl

/**
 * @internal A Variable with the kind, metadata and hooks of a definition: what `merge` makes.
 * `owner` is the trace that it belongs to.
 */
export const fromDefinition = (
  definition: Pick<VariableCell, "kind" | "metadata" | "hooks" | "mutable">,
  value: unknown,
  owner: Trace | undefined
): Any => construct(definition.kind, value, definition.metadata, definition.hooks, definition.mutable, owner)

/** Does a kind cover another: is it the same, or a link of its chain? */
export const covers = (tag: string, kind: string): boolean => kind === tag || kind.startsWith(`${tag}/`)

/** Trainable parameters. */
export const Param = kind("Param")
/** Statistics over batches, such as the running mean of BatchNorm. */
export const BatchStat = kind("BatchStat")
/** State of autoregressive decoding. */
export const Cache = kind("Cache")
/** Values kept during a call, for looking at. */
export const Intermediate = kind("Intermediate")
/** Zeros added to values in the middle of a call, to differentiate with respect to them. */
export const Perturbation = Intermediate.sub("Perturbation")
/** State of random streams; covers `RngKey` and `RngCount`. */
export const RngState = kind("RngState")
/** The key of a random stream. */
export const RngKey = RngState.sub("RngKey")
/** How many keys a random stream has given. */
export const RngCount = RngState.sub("RngCount")
/** State of an optimizer. */
export const OptState = kind("OptState")
/** State of a metric. */
export const MetricState = kind("MetricState")
