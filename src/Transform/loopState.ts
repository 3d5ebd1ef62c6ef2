/**
 * What loops have in common: the state that one step hands to the next must keep its structure, shapes and dtypes.
 */
import * as Effect from "effect/Effect"
import { type Misfit, StructureError } from "../GraphDef/errors.ts"
import * as GraphDef from "../GraphDef/GraphDef.ts"
import { outerSplit } from "../GraphDef/updateContext.ts"
import type { Form, References } from "../Program/references.ts"
import * as ShapedArray from "../Tensor/ShapedArray.ts"
import * as Tree from "../Tensor/Tree.ts"
import { type Call, type LeafArrays, resultCount } from "./lift.ts"

/** One output of a traced body that replaces an input in the next step. */
export interface Handed {
  /** The input, counted in all inputs of the body's Program. */
  readonly input: number
  /** The output, counted in all of its outputs. */
  readonly output: number
}

/** Positions of the first input of each argument leaf, and of each closure slot, in a call's Program. */
export const inputOffsets = (c: Call) => {
  let at = c.discharged.captures.length
  const state = c.discharged.reads.map((slot) => (at += slot.initial.leaves.length) - slot.initial.leaves.length)
  const leaves = c.arguments.leaves.map((l) => (at += l.arrays.length) - l.arrays.length)
  return { state, leaves }
}

/** Behind an entry and all that is below it. */
const behind = (entries: ReadonlyArray<GraphDef.Entry>, at: number): number => {
  const entry = entries[at]
  return entry._tag === "Node" ? entry.keys.reduce((next) => behind(entries, next), at + 1) : at + 1
}

/** The structure of one argument of the tuple at an entry, in which `number` gives objects their numbers. */
const structureOf = (
  { entries }: GraphDef.Any,
  tuple: number,
  argument: number,
  number: (index: number) => number
): GraphDef.Any => {
  let from = tuple + 1
  for (let i = 0; i < argument; i++) from = behind(entries, from)
  return GraphDef.fromEntries(
    entries.slice(from, behind(entries, from)).map((e) => "index" in e ? { ...e, index: number(e.index) } : e)
  )
}

/** Did the body leave the structure of one argument alone, with every object in its place? */
const isStable = (c: Call, argument: number): boolean => {
  // Objects by their numbers at the entry; those that are new have others.
  const numbers = new Map<number, number>()
  for (const e of c.graphdef.entries) {
    const outer = GraphDef.outerIndex(e)
    if ((e._tag === "Node" || e._tag === "Variable") && outer !== undefined) numbers.set(e.index, outer)
  }
  return GraphDef.equalsIgnoringOuter(
    structureOf(c.arguments.split.graphdef, 0, argument, (index) => index),
    structureOf(c.graphdef, 1, argument, (index) => index < 0 ? index : numbers.get(index) ?? -2 - index)
  )
}

/**
 * Fails unless the loop leaves the structure of its arguments alone. An argument of which every step gets a part of its
 * own is `free`: no step sees what another one did to it.
 */
export const checkStable = (transform: string, c: Call, free: (argument: number) => boolean = () => false): void => {
  const before = c.arguments.split.graphdef
  if (GraphDef.sameStructure(before, c.graphdef, 1)) return
  const [tuple] = before.entries
  if (tuple._tag === "Node" && tuple.keys.every((_, i) => free(i) || isStable(c, i))) return
  throw new StructureError({
    operation: transform,
    misfits: [{
      path: [],
      expected: `arguments that keep their structure:\n${String(before)}`,
      found: String(c.graphdef)
    }],
    hint: "every step runs the same Program: change the structure of a model before or after the loop"
  })
}

/** Fails unless a carry that comes out holds the Variables of the one that went in, each in its place. */
export const checkCarryObjects = (transform: string, before: unknown, after: unknown): void => {
  const places = new Map(outerSplit(before).leaves.map((l) => [l.path.join("/"), l]))
  fail(
    transform,
    outerSplit(after).leaves.flatMap((l): ReadonlyArray<Misfit> => {
      const old = places.get(l.path.join("/"))
      const variable = old?._tag === "Variable" ? old.variable : undefined
      if (l._tag === "Array" ? variable === undefined : variable === l.variable) return []
      return [{
        path: ["carry", ...l.path],
        expected: variable === undefined ? "no Variable" : sameVariables,
        found: l._tag === "Array" ? ShapedArray.format(l.tensor.aval) : `another ${l.variable.kind}`
      }]
    })
  )
}

const sameVariables =
  "the same Variable as in the carry that came in (Carry references must be the same between iterations)"

const describe = (l: Pick<LeafArrays, "arrays">): string => l.arrays.map((x) => ShapedArray.format(x.aval)).join(", ")

/** Do new arrays fit where old ones were? Weak types don't matter. */
const fits = (before: LeafArrays, after: LeafArrays): boolean =>
  Tree.sameStructure(before.structure, after.structure) &&
  before.arrays.every((x, i) =>
    ShapedArray.equals({ ...x.aval, weakType: false }, { ...after.arrays[i].aval, weakType: false })
  )

/**
 * The Variables of arguments that the body changed and that `carried` says go from step to step. Throws a
 * `StructureError` for those whose value changed its shape, dtype or structure.
 */
export const handedVariables = (
  transform: string,
  c: Call,
  carried: (argument: number) => boolean
): ReadonlyArray<Handed> => {
  const { leaves } = inputOffsets(c)
  const misfits: Array<Misfit> = []
  let output = 0
  const handed = c.results.flatMap((r): ReadonlyArray<Handed> => {
    if (r.unchanged) return []
    const first = output
    output += r.arrays.length
    if (r.argument === undefined || !carried(r.argument)) return []
    const before = c.arguments.leaves[r.argument]
    if (!fits(before, r)) {
      misfits.push({ path: r.leaf.path.slice(1), expected: describe(before), found: describe(r) })
      return []
    }
    const input = leaves[r.argument]
    return r.arrays.map((_, i) => ({ input: input + i, output: first + i }))
  })
  fail(transform, misfits)
  return handed
}

/** The same for state that the body writes through its closure. */
export const handedState = (transform: string, c: Call): ReadonlyArray<Handed> => {
  const { state } = inputOffsets(c)
  const misfits: Array<Misfit> = []
  let output = resultCount(c)
  const handed = c.discharged.writes.flatMap(({ leaves, slot, structure }): ReadonlyArray<Handed> => {
    const first = output
    output += leaves
    const same = Tree.sameStructure(structure, slot.initial.structure) &&
      slot.initial.leaves.every((x, i) => {
        const now = c.discharged.program.outputs[first + i].aval
        return ShapedArray.equals({ ...x.aval, weakType: false }, { ...now, weakType: false })
      })
    if (!same) {
      misfits.push({
        path: [`captured ${slot.cell.label}`],
        expected: describe({ arrays: slot.initial.leaves }),
        found: c.discharged.program.outputs.slice(first, output).map((o) => ShapedArray.format(o.aval)).join(", ")
      })
      return []
    }
    const input = state[c.discharged.reads.indexOf(slot)]
    return slot.initial.leaves.map((_, i) => ({ input: input + i, output: first + i }))
  })
  fail(transform, misfits)
  return handed
}

/**
 * Matches the arrays of a returned carry with those of the carry argument, by path. Variables in it are matched by
 * identity and are not meant here. Throws a `StructureError` that lists every misfit.
 */
export const handedCarry = (
  transform: string,
  c: Call,
  before: { readonly prefix: ReadonlyArray<string> },
  after: { readonly prefix: ReadonlyArray<string> }
): ReadonlyArray<Handed> => {
  const { leaves } = inputOffsets(c)
  const under = (prefix: ReadonlyArray<string>, path: ReadonlyArray<string>) => prefix.every((k, i) => path[i] === k)
  const inputs = new Map(
    c.arguments.leaves.flatMap((l, i) =>
      l.leaf._tag === "Array" && under(before.prefix, l.leaf.path)
        ? [[l.leaf.path.slice(before.prefix.length).join("/"), { l, at: leaves[i] }] as const]
        : []
    )
  )
  const misfits: Array<Misfit> = []
  let output = 0
  const handed = c.results.flatMap((r): ReadonlyArray<Handed> => {
    if (r.unchanged) return []
    const first = output
    output += r.arrays.length
    if (!under(after.prefix, r.leaf.path)) return []
    const path = r.leaf.path.slice(after.prefix.length)
    const match = inputs.get(path.join("/"))
    inputs.delete(path.join("/"))
    if (match === undefined || !fits(match.l, r)) {
      misfits.push({
        path: ["carry", ...path],
        expected: match === undefined ? "nothing" : describe(match.l),
        found: describe(r)
      })
      return []
    }
    return [{ input: match.at, output: first }]
  })
  for (const { l } of inputs.values()) {
    misfits.push({
      path: ["carry", ...l.leaf.path.slice(before.prefix.length)],
      expected: describe(l),
      found: "nothing"
    })
  }
  fail(transform, misfits)
  return handed
}

const describeForm = ({ avals, structure }: Form): string =>
  structure._tag === "Leaf" ? ShapedArray.format(avals[0]) : `a tree of ${avals.map(ShapedArray.format).join(", ")}`

/**
 * Traces a body or a branch where the Program is to be shown: fails with a `StructureError` if that gave a Variable
 * another structure, shape or dtype. (What is compiled has such Variables among inputs and outputs, where they are
 * found.)
 */
export const keepingForms = <A, E, R>(
  transform: string,
  references: References | undefined,
  traced: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  references === undefined ? traced : Effect.suspend(() => {
    const before = references.forms()
    return Effect.map(traced, (result) => {
      fail(
        transform,
        references.restore(before).map((r) => ({
          path: [r.description.kind],
          expected: describeForm(r.before),
          found: describeForm(r.after)
        }))
      )
      return result
    })
  })

const fail = (transform: string, misfits: ReadonlyArray<Misfit>): void => {
  if (misfits.length > 0) {
    throw new StructureError({
      operation: transform,
      misfits,
      hint:
        "what one step hands to the next keeps its structure, shapes and dtypes; convert with astype, or start with what the step gives"
    })
  }
}
