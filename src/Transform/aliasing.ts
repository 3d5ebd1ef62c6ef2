/**
 * One object at several places of arguments and results: where it is, and whether it was given one axis everywhere. The
 * checks are for each Variable, with the axis that it gets at each place: two specs that agree on every Variable that
 * is shared are fine.
 */
import type * as Effect from "effect/Effect"
import { AliasError, type Inconsistent } from "../GraphDef/errors.ts"
import { sortOf } from "../GraphDef/Node.ts"
import { findDuplicates } from "../GraphDef/traverse.ts"
import { type Leaf, outerSplit } from "../GraphDef/updateContext.ts"
import { currentUnsafe } from "../Program/Trace.ts"
import { type Any as Variable, cellOf, isVariable } from "../Ref/Variable.ts"
import type { Path } from "../State/Path.ts"
import { ShapeError, TraceError } from "../Tensor/errors.ts"
import { attempt, type TracingError } from "./attempt.ts"
import { type Axis, axisOf, type AxisSpec } from "./axes.ts"
import type { SplitArguments } from "./lift.ts"

/** More places than this of all Variables together are not looked at: sharing can make them grow exponentially. */
const mostPlaces = 10_000

/** Every path to every Variable, through all names of shared nodes; cycles are not gone round. */
export const placesOf = (value: unknown): ReadonlyMap<Variable, ReadonlyArray<Path>> => {
  const places = new Map<Variable, Array<Path>>()
  const open = new Set<unknown>()
  let count = 0
  const go = (u: unknown, path: Path): void => {
    if (count >= mostPlaces || open.has(u)) return
    if (isVariable(u)) {
      count++
      const known = places.get(u)
      if (known === undefined) places.set(u, [path])
      else known.push(path)
      return
    }
    const sort = sortOf(u)
    if (sort === undefined) return
    open.add(u)
    const { keys, values } = sort.flatten(u as object)
    keys.forEach((key, i) => go(values[i], path.concat(key)))
    open.delete(u)
  }
  go(value, [])
  return places
}

const inconsistentError = (operation: string, inconsistent: ReadonlyArray<Inconsistent>, hint: string): AliasError =>
  new AliasError({
    operation,
    what: inconsistent[0].node,
    paths: inconsistent.flatMap((n) => n.places.map((p) => p.path)),
    hint,
    inconsistent
  })

/** Throws an `AliasError` if a Variable stands in several places of the arguments and gets different axes there. */
const checkConsistent = (
  operation: string,
  args: ReadonlyArray<unknown>,
  axisAt: (leaf: Leaf, path: Path) => Axis
): void => {
  if (findDuplicates(args).length === 0) return
  const inconsistent: Array<Inconsistent> = []
  for (const [variable, paths] of placesOf(args)) {
    const axes = paths.map((path) => axisAt({ _tag: "Variable", variable, path }, path))
    if (axes.every((a) => a === axes[0])) continue
    inconsistent.push({
      node: variable.kind,
      places: paths.map((path, i) => ({ path, prefix: String(axes[i]) }))
    })
  }
  if (inconsistent.length === 0) return
  throw inconsistentError(operation, inconsistent, "give all places of one object the same axis")
}

/** The axis of every argument leaf. `specs` is one spec for all arguments, or an array with one for each. */
export const argumentAxes = (
  operation: string,
  specs: AxisSpec,
  split: SplitArguments,
  args: ReadonlyArray<unknown>
): Effect.Effect<ReadonlyArray<Axis>, TracingError> =>
  attempt((): ReadonlyArray<Axis> => {
    if (Array.isArray(specs) && specs.length !== args.length) {
      throw new ShapeError({
        operation,
        expected: `inAxes with one spec for each of ${args.length} arguments`,
        found: `${specs.length}`,
        hint: "or one number or null for all of them"
      })
    }
    const of = (leaf: Leaf, path: ReadonlyArray<string>): Axis =>
      Array.isArray(specs) ? axisOf(operation, specs, leaf, path) : axisOf(operation, specs, leaf, path.slice(1))
    checkConsistent(operation, args, of)
    return split.leaves.map((l) => of(l.leaf, l.leaf.path))
  })

/** What a function was given and gives, while it runs. */
export interface Returned {
  /** The arguments inside, as they are when it has run. */
  readonly inner: ReadonlyArray<unknown>
  readonly out: unknown
  /** The Variables that were made for the arguments' leaves. */
  readonly entered: ReadonlyMap<object, number>
  /** The arguments' leaves, and the axis of each. */
  readonly leaves: SplitArguments["leaves"]
  readonly given: ReadonlyArray<Axis>
  readonly outAxes: AxisSpec
  /** Results that are looked at elsewhere. */
  readonly skip?: (path: Path) => boolean
}

/**
 * Looks at the Variables that a function gives back, and at those in its arguments now. One of the arguments must come
 * back with the axis that it went in with: else an `AliasError`. One that the function captured is one for all elements
 * or steps, so it can only come back without an axis, and not be put into an argument: else a `TraceError`.
 */
export const checkReturned = (operation: string, returned: Returned): void => {
  const { entered, given, inner, leaves, out, outAxes, skip } = returned
  const trace = currentUnsafe()
  const argumentOf = (variable: Variable): number | undefined => {
    const known = entered.get(variable)
    const own = known === undefined ? trace?.resolve(cellOf(variable)) : undefined
    return own === undefined ? known : entered.get(own)
  }
  const isCaptured = (variable: Variable) => argumentOf(variable) === undefined && cellOf(variable).owner !== trace
  for (const leaf of outerSplit(inner).leaves) {
    if (leaf._tag === "Variable" && isCaptured(leaf.variable)) {
      throw capturedError(operation, leaf.variable, ["arguments", ...leaf.path])
    }
  }
  const inconsistent: Array<Inconsistent> = []
  for (const leaf of outerSplit([out]).leaves) {
    const path = leaf.path.slice(1)
    if (leaf._tag !== "Variable" || skip?.(path) === true) continue
    const argument = argumentOf(leaf.variable)
    const captured = isCaptured(leaf.variable)
    if (argument === undefined && !captured) continue
    const axis = axisOf(operation, outAxes, leaf, path)
    if (captured && axis !== null) throw capturedError(operation, leaf.variable, path)
    if (argument === undefined || axis === given[argument]) continue
    const places = [
      { path: ["inAxes", ...leaves[argument].leaf.path], prefix: String(given[argument]) },
      { path: ["outAxes", ...path], prefix: String(axis) }
    ]
    inconsistent.push({ node: leaf.variable.kind, places })
  }
  if (inconsistent.length === 0) return
  throw inconsistentError(
    operation,
    inconsistent,
    "a Variable that comes back has the axis that it went in with: give outAxes for it"
  )
}

const capturedError = (operation: string, variable: Variable, path: Path): TraceError =>
  new TraceError({
    transform: operation,
    reason: `Cannot return captured Variable of type ${variable.kind}. Found at path: ${path.join("/") || "(root)"}`,
    hint: "it is one for all elements or steps: return its value, or pass it as an argument"
  })
