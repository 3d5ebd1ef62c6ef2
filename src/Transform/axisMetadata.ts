/**
 * Names of axes in the metadata of Variables. A Variable may name its axes, each for itself (`outSharding: ["in",
 * "out"]`). A transform that maps or steps through an axis takes its name away on the way in and gives it back on the
 * way out; a Variable that is made inside gets the name of the stack. And the Variable's `removeAxis` and `addAxis`
 * hooks are called.
 */
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import { type Leaf, outerSplit } from "../GraphDef/updateContext.ts"
import { CurrentTrace, currentUnsafe, readCell } from "../Program/Trace.ts"
import { type Any as Variable, cellOf } from "../Ref/Variable.ts"
import type { Path } from "../State/Path.ts"
import { TraceError } from "../Tensor/errors.ts"
import * as Tree from "../Tensor/Tree.ts"
import { throwing, type TransformError } from "./attempt.ts"
import { type Axis, axisOf, type AxisSpec } from "./axes.ts"
import type { Traceable, Traced } from "./types.ts"

/**
 * The name of the axis that a transform maps: `partitionName` for the names in `outSharding` (`sharding`,
 * `shardingNames`), and for every other list in a Variable's metadata what stands under its key.
 */
export interface TransformMetadata {
  readonly partitionName?: string | null
  readonly [key: string]: unknown
}

/** Lists of names of axes, as Flax has called them. */
const shardingKeys = ["outSharding", "sharding", "shardingNames"]

const show = (name: unknown): string => typeof name === "string" ? `'${name}'` : String(name)

const without = (operation: string, key: string, names: ReadonlyArray<unknown>, axis: number, name: unknown) => {
  if (axis < names.length && Equal.equals(names[axis], name)) return names.filter((_, i) => i !== axis)
  throw new TraceError({
    transform: operation,
    reason:
      `Expected to remove ${show(name)} at index ${axis} from ${key}: [${names.map(show).join(", ")}], but found ` +
      (axis < names.length ? show(names[axis]) : "nothing"),
    hint: "transformMetadata names the axis that is mapped, as the metadata of the Variables does"
  })
}

const inserted = (names: ReadonlyArray<unknown>, axis: number, name: unknown): ReadonlyArray<unknown> => {
  const padded = [...names, ...Array.from({ length: Math.max(0, axis - names.length) }, () => null)]
  return [...padded.slice(0, axis), name, ...padded.slice(axis)]
}

const renamed = (
  variable: Variable,
  { partitionName, ...others }: TransformMetadata,
  change: (key: string, names: ReadonlyArray<unknown>, name: unknown) => ReadonlyArray<unknown>
): void => {
  const cell = cellOf(variable)
  const named: Record<string, unknown> = { ...others }
  if (partitionName !== undefined) { for (const key of shardingKeys) named[key] = partitionName }
  const changes = Object.entries(named).flatMap(([key, name]) => {
    const names = cell.metadata[key]
    return Array.isArray(names) ? [[key, change(key, names, name)] as const] : []
  })
  if (changes.length > 0) cell.metadata = { ...cell.metadata, ...Object.fromEntries(changes) }
}

/** An axis of the stack as a position; `rank` is that of a slice. */
const positive = (variable: Variable, axis: number): number =>
  axis < 0 ? axis + 1 + (Tree.leaves(readCell(cellOf(variable)))[0]?.ndim ?? 0) : axis

const remove = (operation: string, variable: Variable, axis: number, metadata: TransformMetadata): void => {
  const at = positive(variable, axis)
  renamed(variable, metadata, (key, names, name) => without(operation, key, names, at, name))
  for (const hook of cellOf(variable).hooks.removeAxis ?? []) hook(variable, at, metadata.partitionName ?? undefined)
}

const add = (variable: Variable, axis: number, metadata: TransformMetadata): void => {
  const at = positive(variable, axis)
  renamed(variable, metadata, (_, names, name) => inserted(names, at, name))
  for (const hook of cellOf(variable).hooks.addAxis ?? []) hook(variable, at, metadata.partitionName ?? undefined)
}

/** What a transform does to the metadata of the Variables of a call: when it begins, and when it ends. */
export interface AxisChanges {
  /** The Variables that were made for leaves of the arguments, when it has begun. */
  readonly entered: ReadonlyMap<object, number>
  /** `variables`: those that were made for the leaves of the arguments. */
  readonly enter: (variables: ReadonlyMap<object, number>) => void
  readonly leave: (args: ReadonlyArray<unknown>, out: unknown) => void
}

/**
 * The changes for a transform that takes the axes `given` from the leaves of its arguments. `resultAxis` is the axis
 * that a Variable gets that is made inside, by its path in `[arguments, result]`.
 */
export const axisChanges = (
  operation: string,
  given: ReadonlyArray<Axis>,
  resultAxis: (leaf: Leaf, path: Path) => Axis,
  metadata: TransformMetadata = {}
): AxisChanges => {
  const entered = new Map<object, number>()
  return {
    entered,
    enter: (variables) => {
      for (const [variable, leaf] of variables) {
        const axis = given[leaf]
        entered.set(variable, leaf)
        if (typeof axis === "number") remove(operation, variable as Variable, axis, metadata)
      }
    },
    leave: (args, out) => {
      const trace = currentUnsafe()
      for (const leaf of outerSplit([args, out]).leaves) {
        if (leaf._tag !== "Variable") continue
        const { variable } = leaf
        // What was captured is no part of the stack.
        if (cellOf(variable).owner !== trace) continue
        const argument = entered.get(variable)
        const axis = argument === undefined ? resultAxis(leaf, leaf.path) : given[argument]
        if (typeof axis === "number") add(variable, axis, metadata)
      }
    }
  }
}

/**
 * A function that sees the Variables of its arguments without the name of an axis, and whose results get it: what
 * `vmap` and `scan` do with their option `transformMetadata`, for use inside any other transform.
 *
 * Fails with a `TraceError` if a name is not where it should be.
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 *
 * const make = (n: nnx.Tensor.Tensor) =>
 *   nnx.Param.make(n.mul(nnx.Tensor.ones([2, 3])), { metadata: { outSharding: ["in", "out"] } })
 * const stack = nnx.vmap(make, { transformMetadata: { partitionName: "layers" } })(nnx.Tensor.arange(4))
 * const program = Effect.gen(function*() {
 *   const params = yield* stack
 *   console.log(params.metadata.outSharding) // => [ 'layers', 'in', 'out' ]
 *   const layer = nnx.transformMetadata((p: typeof params) => Effect.succeed(p.metadata.outSharding), {
 *     inAxes: 0,
 *     outAxes: null,
 *     transformMetadata: { partitionName: "layers" }
 *   })
 *   console.log(yield* nnx.evalShape(layer)(params)) // => [ 'in', 'out' ]
 * })
 * Effect.runSync(program)
 * ```
 *
 * @category transforms
 * @since 0.1.0
 */
export const transformMetadata = <Args extends ReadonlyArray<unknown>, A, E, R>(
  f: Traced<Args, A, E, R>,
  options: {
    readonly inAxes?: AxisSpec
    readonly outAxes?: AxisSpec
    readonly transformMetadata: TransformMetadata
  }
) =>
(...args: Args): Effect.Effect<A, E | TransformError, R> =>
  throwing(Effect.gen(function*() {
    const { inAxes, outAxes } = { inAxes: 0, outAxes: 0, ...options }
    const trace = yield* CurrentTrace
    const name = "transformMetadata"
    if (trace === undefined) {
      return yield* new TraceError({
        transform: name,
        reason: "it was applied outside of a transform",
        hint: "wrap the function that is given to jit, vmap or another transform"
      })
    }
    const specs = Array.isArray(inAxes)
    const leaves = outerSplit([...args]).leaves
    const given = leaves.map((leaf) => axisOf(name, inAxes, leaf, specs ? leaf.path : leaf.path.slice(1)))
    const changes = axisChanges(
      name,
      given,
      (leaf, path) => path[0] === "1" ? axisOf(name, outAxes, leaf, path.slice(1)) : null,
      options.transformMetadata
    )
    changes.enter(new Map(leaves.flatMap((leaf, i) => leaf._tag === "Variable" ? [[leaf.variable, i] as const] : [])))
    const out = yield* (f as Traceable<Args, A, E, R>)(...args)
    changes.leave(args, out)
    return out
  }))
