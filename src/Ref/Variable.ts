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
import * as Equal from "effect/Equal"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Hash from "effect/Hash"
import { NodeInspectSymbol } from "effect/Inspectable"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Ref from "effect/Ref"
import { Backend } from "../Backend/Backend.ts"
import { compute } from "../Backend/read.ts"
import type { Description } from "../Program/references.ts"
import { type Cell, currentUnsafe, readCell, type Trace } from "../Program/Trace.ts"
import { DTypeError, isTensorError } from "../Tensor/errors.ts"
import { isTensor, type Tensor } from "../Tensor/Tensor.ts"
import * as Tree from "../Tensor/Tree.ts"
import { type Mode, modeOf, newMode, type NewVariables, VariableMode } from "./modes.ts"
import { type At, isPartAccessor, partOf, type VariablePart } from "./part.ts"
import { print } from "./print.ts"
import { combined, isVariableMetadata, type VariableMetadata } from "./variableMetadata.ts"

const TypeId = "~linum/Variable"

/**
 * A write to a Variable that was made read-only by `immutable`.
 *
 * @category errors
 * @since 0.1.0
 */
export class ImmutableVariableError extends Data.TaggedError("ImmutableVariableError")<{ readonly kind: string }> {
  override get message(): string {
    return "Cannot mutate Variable as it is marked as immutable. (docs/flax.md#immutable) " +
      `It is of kind ${this.kind}; mutable(...) gives a writable copy.`
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
  /** The kind as a value: what makes such Variables, and filters them. */
  readonly type: Kind<K>
  readonly metadata: Metadata
  readonly hooks: Hooks
  /** Is its value in an array ref of its own, which `getRawValue` gives? */
  readonly hasRef: boolean
  /** The mark that Flax gives Variables whose writes cross transforms. Here those of all of them do. */
  readonly isHijax: boolean
  /** False after `immutable`. */
  readonly isMutable: boolean
  /** Did it have an array ref before `immutable`? */
  readonly hadRef: boolean
  /** Was it marked `isHijax` before `immutable`? */
  readonly wasHijax: boolean
  /**
   * A part of the value as an Effect Ref: `v.at("a")` if it is an object or an array, `v.at(0)` (any index expression)
   * if it is a Tensor. Reading and writing it reads and writes the Variable.
   *
   * ```ts import.meta.vitest
   * import { Effect, Ref } from "effect"
   * import * as nnx from "linum"
   *
   * const program = Effect.gen(function*() {
   *   const v = yield* nnx.Variable.make({ a: nnx.Tensor.zeros([]), b: nnx.Tensor.ones([]) })
   *   yield* Ref.set(v.at("a"), nnx.Tensor.array(5))
   *   return String(v)
   * })
   * console.log(Effect.runSync(program))
   * // => Variable( # 2 (8 B)
   * //   value={'a': Array(5., dtype=float32), 'b': Array(1., dtype=float32)}
   * // )
   * ```
   */
  readonly at: At<A>
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
export interface Kind<K extends string> extends Equal.Equal {
  readonly _tag: "Kind"
  readonly tag: K
  /** A Variable of this kind. Inside a trace it belongs to the trace. What came `withMetadata` becomes its own. */
  readonly make: <A>(value: A | VariableMetadata<A>, options?: VariableOptions) => Effect.Effect<Variable<K, A>>
  /** The same, at once; for constructors that are called inside an Effect. */
  readonly makeUnsafe: <A>(value: A | VariableMetadata<A>, options?: VariableOptions) => Variable<K, A>
  /** A Variable over an array ref that is there already: each sees what is written to the other. */
  readonly fromRef: <A>(ref: ArrayRef<A>, options?: VariableOptions) => Effect.Effect<Variable<K, A>>
  /** The sub-kind `K/name`. */
  readonly sub: <N extends string>(name: N) => Kind<`${K}/${N}`>
}

/** Metadata, hooks and mode of a new Variable. */
export interface VariableOptions extends Partial<NewVariables> {
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
    if (!self.mode.isMutable) throw new ImmutableVariableError({ kind: self.kind })
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
export const isAccessor = (u: unknown): boolean => u instanceof Accessor || isPartAccessor(u)

abstract class VariableImpl implements Cell {
  readonly [TypeId]: typeof TypeId = TypeId
  readonly kind: string
  metadata: Metadata
  readonly hooks: Hooks
  readonly mode: Mode
  readonly owner: Trace | undefined
  readonly ref: Accessor
  abstract raw: unknown
  /** May someone else hold the arrays of `raw`? Only if not, a step may free or overwrite their buffers. */
  abstract shared: boolean
  abstract readonly storage: Cell | undefined
  constructor(definition: Definition, owner: Trace | undefined) {
    this.kind = definition.kind
    this.metadata = definition.metadata
    this.hooks = definition.hooks
    this.mode = definition.mode
    this.owner = owner
    this.ref = new Accessor(this)
  }
  get label(): string {
    return this.kind
  }
  get type(): Kind<string> {
    return kind(this.kind)
  }
  get description(): Description {
    const { hasRef, isHijax, isMutable } = this.mode
    return { kind: this.kind, metadata: { ...this.metadata, hasRef, isHijax, isMutable } }
  }
  get hasRef(): boolean {
    return this.mode.hasRef
  }
  get isHijax(): boolean {
    return this.mode.isHijax
  }
  get isMutable(): boolean {
    return this.mode.isMutable
  }
  get hadRef(): boolean {
    return this.mode.hadRef
  }
  get wasHijax(): boolean {
    return this.mode.wasHijax
  }
  at(...index: ReadonlyArray<unknown>): VariablePart<unknown> {
    return partOf(this, index)
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

/** A Variable that holds its value itself. */
class OwnImpl extends VariableImpl {
  raw: unknown
  shared = true
  readonly storage = undefined
  constructor(definition: Definition, raw: unknown, owner: Trace | undefined) {
    super(definition, owner)
    this.raw = raw
  }
}

/** A Variable whose value is that of an array ref. */
class RefImpl extends VariableImpl {
  readonly storage: OwnImpl
  constructor(definition: Definition, storage: OwnImpl, owner: Trace | undefined) {
    super(definition, owner)
    this.storage = storage
  }
  get raw(): unknown {
    return this.storage.raw
  }
  set raw(value: unknown) {
    this.storage.raw = value
  }
  get shared(): boolean {
    return this.storage.shared
  }
  set shared(value: boolean) {
    this.storage.shared = value
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

/** What a Variable is, but for its value. */
export interface Definition {
  readonly kind: string
  readonly metadata: Metadata
  readonly hooks: Hooks
  readonly mode: Mode
}

const arrayRefKind = "ArrayRef"
const arrayRefDefinition: Definition = { kind: arrayRefKind, metadata: {}, hooks: {}, mode: modeOf({}) }

const construct = (definition: Definition, value: unknown, owner: Trace | undefined): VariableImpl =>
  definition.mode.hasRef
    ? new RefImpl(definition, new OwnImpl(arrayRefDefinition, value, owner), owner)
    : new OwnImpl(definition, value, owner)

const noRefs = (operation: string): DTypeError =>
  new DTypeError({
    operation,
    expected: "an array, or a tree of arrays",
    found: "an ArrayRef",
    hint: "Cannot pass a Ref directly into Variable constructor: fromRef makes a Variable over it"
  })

/** With its value as the hooks at creation make it. */
const created = (self: VariableImpl): Any => {
  const variable = self.asVariable()
  if (self.hooks.createValue !== undefined) self.raw = apply(self.hooks.createValue, variable, self.raw)
  return variable
}

/**
 * A kind of Variables by its full name, such as `"Param"` or `"Param/LoraParam"`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const kind = <K extends string>(tag: K): Kind<K> => {
  const define = (options: VariableOptions | undefined, mode: Mode): Definition => ({
    kind: tag,
    metadata: options?.metadata ?? {},
    hooks: options?.hooks ?? {},
    mode
  })
  const makeUnsafe = <A>(value: A | VariableMetadata<A>, own?: VariableOptions): Variable<K, A> => {
    const [raw, options] = isVariableMetadata(value) ? [value.rawValue, combined(own, value.options)] : [value, own]
    if (isArrayRef(raw)) throw noRefs(`${tag}.make`)
    const mode = tag === arrayRefKind ? arrayRefDefinition.mode : newMode(options)
    const self = created(construct(define(options, mode), raw, currentUnsafe()))
    return self as unknown as Variable<K, A>
  }
  return {
    _tag: "Kind",
    tag,
    // Kinds are what their tags are, so that one may be made again where only the tag is known.
    [Equal.symbol]: (that) => isKind(that) && that.tag === tag,
    [Hash.symbol]: () => Hash.string(tag),
    make: (value, options) => Effect.sync(() => makeUnsafe(value, options)),
    makeUnsafe,
    fromRef: <A>(ref: ArrayRef<A>, options?: VariableOptions) =>
      Effect.map(VariableMode, (current): Variable<K, A> => {
        const storage = cellOf(ref as unknown as Any)
        const mode = modeOf({ ...current, ...options, hasRef: true })
        // The value was there before, so the hooks at creation have no say.
        const self = new RefImpl(define(options, mode), storage as OwnImpl, storage.owner)
        return self as unknown as Variable<K, A>
      }),
    sub: (name) => kind(`${tag}/${name}`)
  }
}

/**
 * A mutable array: an Effect Ref of a Tensor (or of a tree of them), without metadata, hooks or modes. It goes where an
 * array goes: into Modules, as an argument of `jit` and all transforms, which write it in place, or through a closure.
 *
 * @category models
 * @since 0.1.0
 */
export interface ArrayRef<in out A = Tensor> extends Variable<"ArrayRef", A> {}

/**
 * The kind of array refs, as a filter: `split(model, Param, ArrayRef)`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const ArrayRef: Kind<"ArrayRef"> = kind(arrayRefKind)

/** Is it an array ref? */
export const isArrayRef = (u: unknown): u is ArrayRef<unknown> => isVariable(u) && u.kind === arrayRefKind

/** @internal The array ref that holds the value of a Variable, or that it is itself. */
export const arrayRefOf = (self: Any): Any | undefined =>
  self.kind === arrayRefKind ? self : cellOf(self).storage as Any | undefined

/**
 * A mutable array with this value: `jax.new_ref`.
 *
 * ```ts import.meta.vitest
 * import { Effect, Ref } from "effect"
 * import * as nnx from "linum"
 * import * as Cpu from "linum/backend/tfjs-cpu"
 *
 * const increment = nnx.jit((ref: nnx.ArrayRef) => Ref.update(ref, (x) => x.add(1)))
 * const program = Effect.gen(function*() {
 *   const ref = yield* nnx.newRef(nnx.Tensor.array([1, 2, 3], { dtype: "int32" }))
 *   yield* increment(ref)
 *   return String(ref)
 * })
 * console.log(await Effect.runPromise(program.pipe(Effect.provide(Cpu.layer)))) // => Ref([2, 3, 4], dtype=int32)
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const newRef = <A>(value: A): Effect.Effect<ArrayRef<A>> => ArrayRef.make(value)

/**
 * What a Variable stores: its array ref, if it has one (`hasRef`), else its value as it is, without hooks.
 *
 * @category getters
 * @since 0.1.0
 */
export const getRawValue = <A>(self: Variable<string, A>): Effect.Effect<A | ArrayRef<A>> =>
  Effect.sync(() => {
    const cell = cellOf(self as unknown as Any)
    if (cell.storage !== undefined) return cell.storage as unknown as ArrayRef<A>
    const value = readCell(cell)
    if (currentUnsafe() === undefined) cell.shared = true
    return value as A
  })

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
  readonly mode: Mode
  shared: boolean
}

/** @internal */
export const cellOf = (self: Any): VariableCell => self as unknown as VariableImpl

/**
 * @internal A Variable with the kind, metadata, hooks and mode of a definition: what `merge` makes.
 * `owner` is the trace that it belongs to.
 */
export const fromDefinition = (definition: Definition, value: unknown, owner: Trace | undefined): Any =>
  construct(definition, value, owner).asVariable()

/** Does a kind cover another: is it the same, or a link of its chain? */
export const covers = (tag: string, kind: string): boolean => kind === tag || kind.startsWith(`${tag}/`)

/** The kind of Variables that are of no other. */
export const Variable = kind("Variable")
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
