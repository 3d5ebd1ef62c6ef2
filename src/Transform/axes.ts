/**
 * Axes of arguments and results: which axis of every array a `vmap` maps or a `scan` steps through.
 *
 * An *axis spec* is a number (negative counts from the end), null (not mapped), `Carry` (scan only), a `StateAxes` (a
 * spec for each kind of Variable of a Module), or a tree of specs that is a prefix of the argument.
 */
import type * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import { AliasError } from "../GraphDef/errors.ts"
import { findDuplicates } from "../GraphDef/traverse.ts"
import { cellOf } from "../Ref/Variable.ts"
import * as Filter from "../State/Filter.ts"
import { ShapeError } from "../Tensor/errors.ts"
import * as ShapedArray from "../Tensor/ShapedArray.ts"
import type { Tensor } from "../Tensor/Tensor.ts"
import { attempt, type TracingError } from "./attempt.ts"
import type { LeafArrays, SplitArguments } from "./lift.ts"

/** The carry of a scan: what one step hands to the next. */
export const Carry: { readonly _tag: "Carry" } = { _tag: "Carry" }

/** A spec for each kind of Variable. */
export interface StateAxes {
  readonly _tag: "StateAxes"
  readonly entries: ReadonlyArray<readonly [Filter.Filter, number | null | typeof Carry]>
}

/**
 * Axes by filter: `stateAxes([[Param, 0], [BatchStat, null]])`. The first filter that matches a Variable decides; one
 * that none matches is an error.
 *
 * @category constructors
 * @since 0.1.0
 */
export const stateAxes = (entries: StateAxes["entries"]): StateAxes => ({ _tag: "StateAxes", entries })

/** An axis spec. */
export type AxisSpec =
  | number
  | null
  | typeof Carry
  | StateAxes
  | ReadonlyArray<AxisSpecTree>
  | { readonly [key: string]: AxisSpecTree }

/** The items of a spec that is a tree. */
export type AxisSpecTree = AxisSpec | undefined

/** What a spec says of one leaf. */
export type Axis = number | null | "carry"

/** Is it the spec of a carry? */
export const isCarry = (u: unknown): u is typeof Carry => Predicate.isTagged(u, "Carry")
const isStateAxes = (u: unknown): u is StateAxes => Predicate.isTagged(u, "StateAxes")

const noSpec = (operation: string, path: ReadonlyArray<string>): ShapeError =>
  new ShapeError({
    operation,
    expected: "an axis for every array",
    found: `none for ${path.join("/") || "the value"}`,
    hint: "a spec is a prefix of the argument's tree: a number, null, stateAxes([...]), or an array or object of these"
  })

/** What a spec says of a leaf at `path` below it. */
export const axisOf = (
  operation: string,
  spec: AxisSpecTree,
  leaf: LeafArrays["leaf"],
  path: ReadonlyArray<string>
): Axis => {
  if (typeof spec === "number" || spec === null) return spec
  if (isCarry(spec)) return "carry"
  if (isStateAxes(spec)) {
    const subject = leaf._tag === "Variable"
      ? { kind: leaf.variable.kind, metadata: leaf.variable.metadata, value: cellOf(leaf.variable).raw }
      : { kind: "Array", metadata: {}, value: leaf.tensor }
    const found = spec.entries.find(([filter]) => Filter.matches(filter, path, subject))
    if (found === undefined) throw noSpec(operation, leaf.path)
    return isCarry(found[1]) ? "carry" : found[1]
  }
  if (spec === undefined || path.length === 0) throw noSpec(operation, leaf.path)
  const item = Array.isArray(spec) ? spec[Number(path[0])] : (spec as { readonly [key: string]: AxisSpecTree })[path[0]]
  return axisOf(operation, item, leaf, path.slice(1))
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
    const of = (leaf: LeafArrays["leaf"], path: ReadonlyArray<string>): Axis =>
      Array.isArray(specs) ? axisOf(operation, specs, leaf, path) : axisOf(operation, specs, leaf, path.slice(1))
    const conflict = conflicting(split, args, of)
    if (conflict !== undefined) throw conflict(operation)
    return split.leaves.map((l) => of(l.leaf, l.leaf.path))
  })

/** One object at two places with two axes has no meaning. */
const conflicting = (
  split: SplitArguments,
  args: ReadonlyArray<unknown>,
  of: (leaf: LeafArrays["leaf"], path: ReadonlyArray<string>) => Axis
): ((operation: string) => AliasError) | undefined => {
  for (const paths of findDuplicates(args)) {
    for (const { leaf } of split.leaves) {
      const owner = paths.find((p) => p.every((key, i) => leaf.path[i] === key))
      if (leaf._tag !== "Variable" || owner === undefined) continue
      const places = paths.map((p) => [...p, ...leaf.path.slice(owner.length)])
      const axes = places.map((p) => of(leaf, p))
      if (axes.some((a) => a !== axes[0])) {
        return (operation) =>
          new AliasError({
            operation,
            what: `${leaf.variable.kind} (Inconsistent aliasing: axes ${axes.map(String).join(", ")})`,
            paths: places,
            hint: "give all places of one object the same axis"
          })
      }
    }
  }
  return undefined
}

/** A non-negative axis of an array, checked. */
export const canonical = (
  operation: string,
  axis: number,
  x: { readonly aval: Tensor["aval"] },
  path: string
): number => {
  const rank = x.aval.shape.length
  if (!Number.isInteger(axis) || axis < -rank || axis >= rank) {
    throw new ShapeError({
      operation,
      expected: `an array with an axis ${axis}`,
      found: `${ShapedArray.format(x.aval)} at ${path}`,
      hint: "check inAxes and outAxes: numbers must be axes of every array they apply to"
    })
  }
  return axis < 0 ? axis + rank : axis
}

/** The common size of the mapped axes. Fails with a `ShapeError` that lists all of them when they differ. */
export const commonSize = (
  operation: string,
  mapped: ReadonlyArray<{ readonly size: number; readonly path: string }>,
  given: number | undefined
): number => {
  const sizes = new Set([...mapped.map((m) => m.size), ...(given === undefined ? [] : [given])])
  if (sizes.size === 1) return [...sizes][0]
  throw new ShapeError({
    operation,
    expected: sizes.size === 0 ? "at least one mapped array, or a size" : "mapped axes of one size",
    found: mapped.map((m) => `${m.size} at ${m.path}`).join(", ") || "none",
    hint: sizes.size === 0 ? "give axisSize (vmap) or length (scan)" : "all arrays are mapped together"
  })
}
