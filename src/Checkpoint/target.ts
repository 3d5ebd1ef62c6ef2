/**
 * Targets: what is saved and restored. A model, a Variable, a State, a snapshot, an array, or plain objects and arrays
 * of these, taken apart into *slots*: places for the leaves of a checkpoint. And the way back: values for slots are
 * written into models in place, and States and bare arrays are made anew.
 */
import * as Effect from "effect/Effect"
import { AliasError, StructureError } from "../GraphDef/errors.ts"
import { sortOf } from "../GraphDef/Node.ts"
import { snapshot, traverse } from "../GraphDef/read.ts"
import { update } from "../GraphDef/update.ts"
import { type Any as Variable, cellOf, isVariable, type Metadata } from "../Ref/Variable.ts"
import { type Filter, matches } from "../State/Filter.ts"
import type { Path } from "../State/Path.ts"
import * as PathModule from "../State/Path.ts"
import * as State from "../State/State.ts"
import { bareDef, type LeafDef } from "../State/Table.ts"
import { isTensor } from "../Tensor/Tensor.ts"
import * as Tree from "../Tensor/Tree.ts"
import { type CheckpointError, failure } from "./errors.ts"
import { type Alias, type Key, toStatePath, type TypedPath } from "./Manifest.ts"

/** A place for a leaf. */
export interface Slot {
  readonly path: TypedPath
  /** The path as the GraphDef has it: one more step where a snapshot stands in a field. */
  readonly at: Path
  readonly def: LeafDef
  readonly value: unknown
  /** Is the leaf written where it is? If not, what holds it is made anew. */
  readonly inPlace: boolean
  /** Is it a live Variable? */
  readonly variable: boolean
  /** False for Variables that are read-only. */
  readonly mutable: boolean
}

/** A target taken apart. */
export interface Target {
  readonly root: unknown
  readonly slots: ReadonlyArray<Slot>
  readonly aliases: ReadonlyArray<Alias>
}

interface Walk {
  readonly file: string
  readonly slots: Array<Slot>
  readonly aliases: Array<Alias>
  readonly met: Map<object, TypedPath>
  /** The values of Variables, all read at one moment. */
  readonly values: ReadonlyMap<Variable, unknown>
}

/** The slots of a target that a filter covers; all without one. All Variables are read at one moment. */
export const slotsOf = (
  file: string,
  root: unknown,
  filter: Filter | undefined
): Effect.Effect<Target, CheckpointError> =>
  Effect.suspend(() => {
    try {
      const flat = traverse(root)
      const read = snapshot(flat)
      const values = new Map<Variable, unknown>()
      flat.leaves.forEach((leaf, i) => {
        if (leaf._tag === "Variable") values.set(leaf.variable, read[i])
      })
      const w: Walk = { file, slots: [], aliases: [], met: new Map(), values }
      visit(w, root, [], false)
      const slots = filter === undefined ? w.slots : w.slots.filter((slot) => covers(filter, slot))
      return Effect.succeed({ root, slots, aliases: w.aliases })
    } catch (thrown) {
      if (thrown instanceof AliasError) {
        return Effect.fail(failure(file, { _tag: "Unsupported", problem: thrown.message, hint: "it has no end" }))
      }
      return isFailure(thrown) ? Effect.fail(thrown) : Effect.die(thrown)
    }
  })

const isFailure = (u: unknown): u is CheckpointError =>
  typeof u === "object" && u !== null && "_tag" in u && u._tag === "CheckpointError"

const covers = (filter: Filter, { def, path, value }: Slot): boolean =>
  matches(filter, toStatePath(path), { kind: def.kind, metadata: def.metadata, value })

const visit = (w: Walk, value: unknown, path: TypedPath, owned: boolean): void => {
  if (isTensor(value)) return slot(w, path, bareDef, value, owned)
  if (isVariable(value)) return visitVariable(w, value, path)
  if (State.isState(value)) return visitState(w, value, path, owned)
  if (State.isVariableState(value)) {
    const def = { kind: value.kind, metadata: value.metadata, bare: false }
    return slot(w, path, def, value.value, owned, [...toStatePath(path), "value"])
  }
  const sort = sortOf(value)
  if (sort === undefined) return visitStatic(w, value, path, owned)
  const node = value as object
  if (sort._tag === "Graph" && repeated(w, node, path)) return
  const { keys, values } = sort.flatten(node)
  for (let i = 0; i < keys.length; i++) {
    visit(w, values[i], [...path, ...typedKeys(node, keys[i])], owned || sort._tag === "Graph")
  }
}

const typedKeys = (node: object, step: string | Path): ReadonlyArray<Key> =>
  typeof step !== "string" ? step : [Array.isArray(node) ? Number(step) : step]

/** Was it met before? Then that is noted. */
const repeated = (w: Walk, object: object, path: TypedPath): boolean => {
  const before = w.met.get(object)
  if (before === undefined) w.met.set(object, path)
  else w.aliases.push({ path, of: before })
  return before !== undefined
}

const visitVariable = (w: Walk, variable: Variable, path: TypedPath): void => {
  if (repeated(w, variable, path)) return
  const { kind, metadata, mode } = cellOf(variable)
  const def = { kind, metadata, mode, bare: false }
  w.slots.push({
    path,
    at: toStatePath(path),
    def,
    value: w.values.get(variable),
    inPlace: true,
    variable: true,
    mutable: mode.isMutable
  })
}

const visitState = (w: Walk, state: State.Any, path: TypedPath, owned: boolean): void => {
  const { table, values } = State.inside(state)
  table.paths.forEach((below, i) => {
    const [at, value] = [[...path, ...below], values[i]]
    if (isVariable(value)) visitVariable(w, value, at)
    // In a field of a Module it may be anything, such as the mark of a masked parameter.
    else if (owned && table.defs[i].bare) visit(w, value, at, owned)
    else slot(w, at, table.defs[i], value, owned)
  })
}

const slot = (
  w: Walk,
  path: TypedPath,
  def: LeafDef,
  value: unknown,
  inPlace: boolean,
  at = toStatePath(path)
): void => {
  w.slots.push({ path, at, def, value, inPlace, variable: false, mutable: true })
}

/** What is no array belongs to the code of a Module; anywhere else it would be lost silently. */
const visitStatic = (w: Walk, value: unknown, path: TypedPath, owned: boolean): void => {
  if (owned || value === undefined || value === null) return
  throw failure(w.file, {
    _tag: "Unsupported",
    problem:
      `${PathModule.format(toStatePath(path))} is ${typeof value === "object" ? "an object" : `a ${typeof value}`}, ` +
      `and a checkpoint holds models, States and arrays only`,
    hint: "put other values into the option `metadata`"
  })
}

/** Values for slots, by the key of their path. */
export type Values = ReadonlyMap<string, unknown>

/** A path as a key; positions and their digits are the same here, as in States. */
export const keyOf = (path: TypedPath): string => PathModule.toKey(toStatePath(path))

/**
 * The target with new values: Variables and fields of Modules are written in one block, and nothing at all if one of
 * them cannot be; States and what holds them are made anew.
 */
export const withValues = (file: string, target: Target, values: Values): Effect.Effect<unknown, CheckpointError> =>
  Effect.suspend(() => {
    const written = target.slots.flatMap((s) => s.inPlace ? updates(s, values) : [])
    const rebuilt = Effect.sync(() => rebuild(target.root, [], values))
    if (written.length === 0) return rebuilt
    const state = State.fromEntries(written)
    return Effect.andThen(Effect.mapError(update(target.root, state), (error) => refused(file, error)), rebuilt)
  })

/**
 * What to write for a slot: the value of a Variable; of a snapshot in a field, the arrays one by one, as the GraphDef
 * has them.
 */
const updates = ({ at, path, variable }: Slot, values: Values): ReadonlyArray<readonly [Path, unknown]> => {
  const key = keyOf(path)
  if (!values.has(key)) return []
  const value = values.get(key)
  if (variable) return [[at, value]]
  const arrays: Array<readonly [Path, unknown]> = []
  Tree.mapWithPath(value, (x, below) => {
    arrays.push([[...at, ...below], x])
  })
  return arrays
}

const refused = (file: string, error: Effect.Error<ReturnType<typeof update>>): CheckpointError =>
  error instanceof StructureError
    ? failure(file, { _tag: "Mismatch", misfits: error.misfits })
    : failure(file, { _tag: "Unsupported", problem: error.message, hint: "nothing was restored" })

const rebuild = (value: unknown, path: TypedPath, values: Values): unknown => {
  const given = (at: TypedPath, before: unknown): unknown => {
    const key = keyOf(at)
    return values.has(key) ? values.get(key) : before
  }
  if (isTensor(value)) return given(path, value)
  if (isVariable(value)) return value
  if (State.isState(value)) {
    const { table, values: before } = State.inside(value)
    return State.fromTable(table, before.map((v, i) => isVariable(v) ? v : given([...path, ...table.paths[i]], v)))
  }
  if (State.isVariableState(value)) {
    const metadata: Metadata = value.metadata
    return State.variableState(value.kind, given(path, value.value), metadata, value.mode)
  }
  const sort = sortOf(value)
  if (sort === undefined || sort._tag === "Graph") return value
  const node = value as object
  const { keys, metadata, values: before } = sort.flatten(node)
  const now = before.map((child, i) => rebuild(child, [...path, ...typedKeys(node, keys[i])], values))
  return now.every((child, i) => child === before[i]) ? value : sort.unflatten({ keys, values: now, metadata })
}
