/**
 * `update`: the way back from States into a model. First everything that was given is compared with what is there, then
 * all of it is written in one block, or nothing.
 */
import type * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import { currentUnsafe } from "../Program/Trace.ts"
import {
  type Any as Variable,
  cellOf,
  fromDefinition,
  ImmutableVariableError,
  isVariable,
  kind,
  writeAll
} from "../Ref/Variable.ts"
import { attemptWith } from "../Tensor/attempt.ts"
import { TraceError } from "../Tensor/errors.ts"
import { build } from "./build.ts"
import { AliasError, StructureError } from "./errors.ts"
import type { Flat } from "./flatten.ts"
import { checkMisfits, describe, fits, gather, type Gathered, missing, type StateLike, unwrap } from "./gather.ts"
import { type Any, fromEntries } from "./GraphDef.ts"
import { sortOf } from "./Node.ts"
import { checkNode, checkOwner } from "./owner.ts"
import { traverse } from "./read.ts"

/** What `update` may fail with. */
export type UpdateError = StructureError | AliasError | ImmutableVariableError | TraceError

const isUpdateError = (u: unknown): u is UpdateError =>
  u instanceof StructureError || u instanceof AliasError || u instanceof ImmutableVariableError ||
  u instanceof TraceError

/**
 * Writes States into a model, in place; what they leave out stays. Takes States, snapshots, and nested plain objects of
 * arrays; of several the later ones count. Arrays must have the shapes and dtypes that are there.
 *
 * A Variable, or the snapshot of one, at a key that a Module does not have becomes a new field of it, so that what `pop`
 * took can be put back; Variables are copied, and a snapshot has no hooks. Bare arrays do not say what they are, so a key
 * that is not there is a misfit, as is every path whose Module is not there: a State of another model does not slip in.
 *
 * Fails with a `StructureError` that lists everything that does not fit, and then nothing is written.
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 *
 * class Linear extends nnx.Module("Linear")<{
 *   readonly kernel: nnx.Variable<"Param", nnx.Tensor.Tensor>
 *   readonly mean: nnx.Variable<"BatchStat", nnx.Tensor.Tensor>
 * }> {}
 * const model = new Linear({
 *   kernel: nnx.Param.makeUnsafe(nnx.Tensor.ones([2, 3])),
 *   mean: nnx.BatchStat.makeUnsafe(nnx.Tensor.zeros([3]))
 * })
 *
 * const params = Effect.runSync(nnx.state(model, nnx.Param))
 * Effect.runSync(nnx.update(model, nnx.State.mapTensors(params, (x) => x.mul(0))))
 * const wrong = Effect.runSync(Effect.flip(nnx.update(model, { kernel: nnx.Tensor.ones([3, 2]), bias: nnx.Tensor.ones([3]) })))
 * console.log(wrong.message)
 * // => update: 2 paths do not fit; nothing was written
 * //   bias: expected no value: the model has nothing at this path, found f32[3]. A new key needs a Variable or a snapshot of one, which say its kind.
 * //   kernel: expected f32[2,3], found f32[3,2]
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const update = (self: unknown, ...states: ReadonlyArray<StateLike>): Effect.Effect<void, UpdateError> =>
  attemptWith(isUpdateError, () => {
    const flat = traverse(self)
    const gathered = gather("update", flat.graphdef, states)
    const plan = planned(flat, gathered)
    checkMisfits("update", gathered, "nothing was written")
    for (const { node } of gathered.additions) checkNode("update", flat.objects[node])
    writeMetadata(flat, gathered)
    if (plan.arrays) writeArrays(flat, gathered)
    writeAll(plan.variables, plan.values)
    addVariables(flat, gathered.additions)
  })

/** What an update will write. */
interface Plan {
  readonly variables: Array<Variable>
  readonly values: Array<unknown>
  /** Are there new arrays for fields? */
  arrays: boolean
}

/** Compares what was given with what is there. It changes nothing but the list of misfits. */
const planned = (flat: Flat, gathered: Gathered): Plan => {
  const trace = currentUnsafe()
  const plan: Plan = { variables: [], values: [], arrays: false }
  const { leaves } = flat
  for (let i = 0; i < leaves.length; i++) {
    const given = gathered.values[i]
    if (given === missing) continue
    const leaf = leaves[i]
    const value = unwrap(given)
    if (leaf._tag === "Array") {
      if (value === leaf.tensor) continue
      plan.arrays = true
      if (!fits(leaf.tensor, value)) misfit(gathered, flat, i, leaf.tensor, value)
      else if (!flat.graphdef.layout.owned[i]) misfit(gathered, flat, i, "an array below a Module", value)
      continue
    }
    const cell = cellOf(leaf.variable)
    const before = trace === undefined ? cell.raw : trace.read(cell)
    if (before === value) continue
    if (!cell.mode.isMutable) throw new ImmutableVariableError({ kind: cell.kind })
    if (!fits(before, value)) misfit(gathered, flat, i, before, value)
    plan.variables.push(leaf.variable)
    plan.values.push(value)
  }
  return plan
}

const misfit = (gathered: Gathered, flat: Flat, leaf: number, before: unknown, value: unknown): void => {
  gathered.misfits.push({
    path: flat.leaves[leaf].path,
    expected: typeof before === "string" ? before : describe(before),
    found: describe(value)
  })
}

/** Metadata that came with snapshots is added to the Variables'. */
const writeMetadata = (flat: Flat, gathered: Gathered): void => {
  for (const [i, metadata] of gathered.metadata) {
    const leaf = flat.leaves[i]
    if (leaf._tag !== "Variable") continue
    const cell = cellOf(leaf.variable)
    const merged = { ...cell.metadata, ...metadata }
    if (Equal.equals(merged, cell.metadata)) continue
    checkOwner("update", cell.owner, "metadata of a Variable")
    cell.metadata = merged
  }
}

/** New keys of nodes get Variables of their own: what a snapshot tells of, or copies. One that was given twice is one. */
const addVariables = (flat: Flat, additions: Gathered["additions"]): void => {
  const copies = new Map<Variable, Variable>()
  for (const { given, key, node } of additions) {
    const known = isVariable(given) ? copies.get(given) : undefined
    const made = known ?? copyOf(given)
    if (isVariable(given)) copies.set(given, made)
    const object = flat.objects[node]
    const sort = sortOf(object)
    if (sort?._tag !== "Graph") continue
    sort.set(object, key, made)
    sort.touch(object)
  }
}

const copyOf = (given: Gathered["additions"][number]["given"]): Variable => {
  if (isVariable(given)) return fromDefinition(cellOf(given), unwrap(given), currentUnsafe())
  const { metadata, mode, value } = given
  return mode === undefined
    ? kind(given.kind).makeUnsafe(value, { metadata })
    : fromDefinition({ kind: given.kind, metadata, hooks: {}, mode }, value, currentUnsafe())
}

/** Bare arrays are fields, so new ones are a change of structure. */
const writeArrays = (flat: Flat, gathered: Gathered): void => {
  const same: Any = fromEntries(
    flat.graphdef.entries.map((e) =>
      e._tag === "Variable" || (e._tag === "Node" && e.index >= 0) ? { ...e, outerIndex: e.index } : e
    )
  )
  const values = gathered.values.map((v, i) => flat.leaves[i]._tag === "Array" && v !== missing ? v : undefined)
  build(same, values, { owner: currentUnsafe(), outer: flat.objects, guard: (node) => checkNode("update", node) })
}
