/**
 * Axes of arguments and results: which axis of every array a `vmap` maps or a `scan` steps through.
 *
 * An *axis spec* is a number (negative counts from the end), null (not mapped), `Carry` (scan only), a `StateAxes` (a
 * spec for each kind of Variable of a Module), or a tree of specs that is a prefix of the argument.
 */
import * as Predicate from "effect/Predicate"
import { cellOf } from "../Ref/Variable.ts"
import * as Filter from "../State/Filter.ts"
import { ShapeError } from "../Tensor/errors.ts"
import * as ShapedArray from "../Tensor/ShapedArray.ts"
import type { Tensor } from "../Tensor/Tensor.ts"
import type { LeafArrays } from "./lift.ts"

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
