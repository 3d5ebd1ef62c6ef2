/**
 * What all transforms share: running a user's function once on abstract arguments, and giving what comes out of the
 * transformed Program back to the outer world.
 *
 * Arguments and results may contain Modules and Variables. They cross the boundary by the four steps of `updateContext`:
 * (1) the outer arguments are split, jointly, so that an object that occurs twice is one; (2) fresh inner objects are merged
 * from arrays of the trace; (3) after the run, arguments and results are split again, with the inner objects recognised;
 * (4) the outer objects are updated in place, and what is new is made.
 *
 * Words: a *call* is one traced run. Its Program takes captures, state read through closures, then the arrays of the
 * arguments (*slots*); it gives the arrays of results, then new state written through closures.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { Backend, type BackendError } from "../Backend/Backend.ts"
import { runClosed } from "../Backend/read.ts"
import { isNode } from "../GraphDef/Node.ts"
import * as UpdateContext from "../GraphDef/updateContext.ts"
import { build } from "../Program/build.ts"
import { CurrentTrace, type Discharged, readCell, runTraced, Trace } from "../Program/Trace.ts"
import { cellOf, isVariable } from "../Ref/Variable.ts"
import { type TensorError, TraceError } from "../Tensor/errors.ts"
import type { ShapedArray } from "../Tensor/ShapedArray.ts"
import { isTensor, type Node, type Tensor } from "../Tensor/Tensor.ts"
import * as Tree from "../Tensor/Tree.ts"
import { isTracingError, type TracingError } from "./attempt.ts"
import type { Traceable } from "./types.ts"

/** One array-holding leaf of arguments or results: a Variable with the tree of its value, or a bare array. */
export interface LeafArrays {
  readonly leaf: UpdateContext.Leaf
  readonly structure: Tree.Structure
  readonly arrays: ReadonlyArray<Tensor>
}

/** Arguments taken apart. */
export interface SplitArguments {
  readonly split: UpdateContext.Split
  readonly leaves: ReadonlyArray<LeafArrays>
  /** The arrays of all leaves, in order: the slots. */
  readonly arrays: ReadonlyArray<Tensor>
  /** Is every leaf one array? */
  readonly simple: boolean
}

/** A result leaf: where it is, and what its arrays are. */
export interface ResultLeaf extends LeafArrays {
  /** The position among the argument leaves, if it is a Variable (or an untouched array) of the arguments. */
  readonly argument: number | undefined
  /** Is it exactly what went in? Then it is no output. */
  readonly unchanged: boolean
}

/** One traced run. */
export interface Call {
  readonly arguments: SplitArguments
  readonly discharged: Discharged
  /** The graph of `[arguments, results]` after the run. */
  readonly graphdef: UpdateContext.Split["graphdef"]
  readonly results: ReadonlyArray<ResultLeaf>
  readonly trace: Trace
  /** Argument leaves whose Variable the function also used through its closure. */
  readonly aliased: ReadonlyArray<{ readonly leaf: number; readonly variable: object }>
  /** The result, if it is a tree of arrays and static values alone: its structure, and where each array comes from. */
  readonly pure: PureResult | undefined
}

/** A result without Modules or Variables. */
export interface PureResult {
  readonly structure: Tree.Structure
  /** The position among the Program's outputs of each array. */
  readonly outputs: ReadonlyArray<number>
}

const bare: Tree.Structure = { _tag: "Leaf" }

/** Reads the arrays of a traversal's leaves at the current level: Variables through the running trace, if any. */
export const splitLeaves = (split: UpdateContext.Split, parent: Trace | undefined): SplitArguments => {
  const leaves: Array<LeafArrays> = []
  const all: Array<Tensor> = []
  let simple = true
  for (const leaf of split.leaves) {
    const value = leaf._tag === "Array" ? leaf.tensor : valueOf(leaf.variable, parent)
    if (isTensor(value)) {
      leaves.push({ leaf, structure: bare, arrays: [value] })
      all.push(value)
    } else {
      const { leaves: arrays, structure } = Tree.flatten(value)
      leaves.push({ leaf, structure, arrays })
      all.push(...arrays)
      simple = false
    }
  }
  return { split, leaves, arrays: all, simple }
}

const valueOf = (variable: Parameters<typeof cellOf>[0], parent: Trace | undefined): unknown => {
  const cell = cellOf(variable)
  if (parent !== undefined) return parent.read(cell)
  return cell.owner === undefined ? cell.raw : readCell(cell)
}

/** Takes arguments apart. */
export const splitArguments = (args: ReadonlyArray<unknown>, parent: Trace | undefined): SplitArguments =>
  splitLeaves(UpdateContext.outerSplit([...args]), parent)

/** How a transform wants its function traced. */
export interface CallOptions {
  readonly transform: string
  /** The abstract value of a slot inside; by default what it is outside. */
  readonly aval?: (slot: number, outer: ShapedArray) => ShapedArray
  /** Do failed checks stop here, or at an outer transform? */
  readonly ownChecks?: boolean
}

/** Runs a function once, on arguments of which only shapes and dtypes are known. */
export const call = <Args extends ReadonlyArray<unknown>, A, E, R>(
  f: Traceable<Args, A, E, R>,
  args: SplitArguments,
  parent: Trace | undefined,
  options: CallOptions
): Effect.Effect<Call, E | TracingError, R> =>
  Effect.suspend(() => {
    const trace = new Trace(options.transform, parent, { ownChecks: options.ownChecks ?? false })
    const aval = options.aval ?? ((_: number, outer: ShapedArray) => outer)
    const slots = args.arrays.map((x, i) => trace.argument(aval(i, x.aval)))
    let next = 0
    const values = args.leaves.map((l) => Tree.unflatten(l.structure, slots.slice(next, next += l.arrays.length)))
    const inner = UpdateContext.innerMerge(args.split.graphdef, values, trace)
    const positions = new Map<object, number>()
    args.leaves.forEach((l, i) => {
      if (l.leaf._tag !== "Variable") return
      const object = inner.objects[args.split.objects.indexOf(l.leaf.variable)]
      positions.set(object, i)
      trace.alias(cellOf(l.leaf.variable), cellOf(object as typeof l.leaf.variable))
    })
    const entries = args.leaves.map((l, i) => ({ ...l, value: values[i] }))
    // The inner value is what was split: a tuple of the arguments, with fresh objects.
    return runTraced(trace, f(...(inner.value as Args)), isTracingError, (out): Call => {
      const after = UpdateContext.innerSplit([inner.value, out], inner.objects)
      const results = after.leaves.map((leaf): ResultLeaf => {
        const value = leaf._tag === "Variable" ? cellOf(leaf.variable).raw : leaf.tensor
        const { leaves: arrays, structure } = Tree.flatten(value)
        const argument = leaf._tag === "Variable"
          ? positions.get(leaf.variable)
          : leaf.path[0] === "0"
          ? arrayArgument(entries, leaf.tensor)
          : undefined
        const before = argument === undefined ? undefined : Tree.flatten(entries[argument].value)
        const unchanged = before !== undefined && Tree.sameStructure(before.structure, structure) &&
          before.leaves.every((x, i) => x === arrays[i])
        return { leaf, structure, arrays, argument, unchanged }
      })
      const outputs = results.flatMap((r) => r.unchanged ? [] : r.arrays)
      const aliased = args.leaves.flatMap((l, i) =>
        l.leaf._tag === "Variable" && trace.usedAlias(cellOf(l.leaf.variable))
          ? [{ leaf: i, variable: l.leaf.variable }]
          : []
      )
      return {
        arguments: args,
        discharged: trace.close(outputs, slots),
        graphdef: after.graphdef,
        results,
        trace,
        aliased,
        pure: pureResult(
          out,
          outputs,
          results.reduce((n, r) => r.unchanged || r.leaf.path[0] !== "0" ? n : n + r.arrays.length, 0)
        )
      }
    })
  })

/** Where the arrays of a result come from, if it holds no Modules or Variables. Outputs from `first` on are results. */
const pureResult = (out: unknown, outputs: ReadonlyArray<Tensor>, first: number): PureResult | undefined => {
  const { leaves, structure } = Tree.flatten(out)
  return isPlain(structure) ? { structure, outputs: leaves.map((x) => outputs.indexOf(x, first)) } : undefined
}

const isPlain = (structure: Tree.Structure): boolean => {
  switch (structure._tag) {
    case "Leaf":
      return true
    case "List":
    case "Dict":
      return structure.items.every(isPlain)
    case "Static":
      return !isVariable(structure.value) && !isNode(structure.value)
  }
}

/** A result without Modules or Variables, from the arrays that the Program gave. */
export const rebuildPure = (pure: PureResult, outputs: ReadonlyArray<Tensor>): unknown =>
  Tree.unflatten(pure.structure, pure.outputs.map((i) => outputs[i]))

/**
 * The call without the arrays of the first run and of the trace: what is kept for later runs. A compiled function must not hold on to the
 * batch and the parameters that it was first called with.
 */
export const forget = (c: Call): Call => {
  const abstract = (x: Tensor): Tensor => c.trace.argument(x.aval)
  const bareLeaf = (leaf: UpdateContext.Leaf): UpdateContext.Leaf =>
    leaf._tag === "Array" ? { ...leaf, tensor: abstract(leaf.tensor) } : leaf
  const strip = <L extends LeafArrays>(l: L): L => ({ ...l, leaf: bareLeaf(l.leaf), arrays: l.arrays.map(abstract) })
  for (const r of c.results) {
    if (r.leaf._tag !== "Variable") continue
    const cell = cellOf(r.leaf.variable)
    if (cell.owner === c.trace) cell.raw = Tree.map(cell.raw, abstract)
  }
  c.trace.forget()
  const args: SplitArguments = {
    ...c.arguments,
    split: { ...c.arguments.split, leaves: c.arguments.split.leaves.map(bareLeaf) },
    leaves: c.arguments.leaves.map(strip),
    arrays: c.arguments.arrays.map(abstract)
  }
  return { ...c, arguments: args, results: c.results.map(strip) }
}

/** The argument leaf whose (only) array this is. */
const arrayArgument = (
  entries: ReadonlyArray<LeafArrays & { readonly value: unknown }>,
  x: Tensor
): number | undefined => {
  const at = entries.findIndex((e) => e.value === x)
  return at < 0 ? undefined : at
}

/** What the inputs of a call's Program are at the outer level: captures, closure state, arguments. */
export const operands = (c: Call, parent: Trace | undefined): ReadonlyArray<Tensor> => [
  ...c.discharged.captures,
  ...c.discharged.reads.flatMap((slot) => Tree.leaves(parent === undefined ? slot.cell.raw : parent.read(slot.cell))),
  ...c.arguments.arrays
]

/** Where the groups of inputs of a call's Program begin. */
export const layout = (c: Call) => {
  const captures = c.discharged.captures.length
  const state = c.discharged.reads.reduce((n, slot) => n + slot.initial.leaves.length, 0)
  return { captures, state, argumentsAt: captures + state }
}

/** Results of a call's Program, given back to the outer level. */
export interface Landing {
  /** The arrays of changed result leaves, in order, as outer arrays. */
  readonly outputs: ReadonlyArray<Tensor>
  /** New arrays of the state written through closures, in order. */
  readonly state: ReadonlyArray<Tensor>
  readonly parent: Trace | undefined
  /** Writes a Variable of the outer level. */
  readonly write: UpdateContext.Write
}

/** Writes at the current level: into the trace, or outside of any into the Variable itself. */
export const writeThrough = (parent: Trace | undefined): UpdateContext.Write => (variable, value) => {
  const cell = cellOf(variable)
  if (parent === undefined) {
    cell.raw = value
    cell.shared = true
  } else {
    parent.write(cell, value)
  }
}

/** Writes closure state, updates the outer arguments in place, and gives the result. */
export const land = (c: Call, landing: Landing): unknown => {
  const { parent } = landing
  let next = 0
  for (const { leaves, slot, structure } of c.discharged.writes) {
    const value = Tree.unflatten(structure, landing.state.slice(next, next += leaves))
    if (parent === undefined) slot.cell.raw = value
    else parent.write(slot.cell, value)
  }
  next = 0
  const values = c.results.map((r) => {
    if (!r.unchanged) return Tree.unflatten(r.structure, landing.outputs.slice(next, next += r.arrays.length))
    // An unchanged Variable stays as it is; an unchanged array is the outer one.
    return r.leaf._tag === "Variable" || r.argument === undefined ? undefined : c.arguments.leaves[r.argument].arrays[0]
  })
  const merged = UpdateContext.outerMerge(c.graphdef, values, c.arguments.split.objects, {
    owner: parent,
    write: landing.write
  })
  return (merged as ReadonlyArray<unknown>)[1]
}

/** Collects effectful nodes: in the outer trace, or outside of any for `flush`. */
export interface Emitter {
  readonly emit: (node: Node) => void
  readonly nodes: ReadonlyArray<Node>
}

/** Where a transform's own equations go that are kept for their effect. */
export const emitter = (parent: Trace | undefined): Emitter => {
  const nodes: Array<Node> = []
  return { nodes, emit: parent === undefined ? (node) => nodes.push(node) : parent.emit }
}

/** Runs what is left to run when a transform was applied outside of any trace: callbacks, and checks, which may fail. */
export const flush = (
  nodes: ReadonlyArray<Node>,
  checks: Trace["ownChecks"],
  parent: Trace | undefined
): Effect.Effect<void, TensorError | BackendError> => {
  if (parent !== undefined || (nodes.length === 0 && checks === undefined)) return Effect.void
  return Effect.contextWith((context: Context.Context<never>) => {
    const backend = Context.getOption(context, Backend)
    if (Option.isNone(backend)) {
      return Effect.fail(
        new TraceError({
          transform: "a transform outside of jit",
          reason: "Debug.print and Check.that need a Backend to run",
          hint: "provide a Backend Layer, or apply the transform inside jit"
        })
      )
    }
    const code = checks === undefined ? [] : [checks.cell.raw as Tensor]
    const closed = build({ outputs: code, arguments: [], effects: nodes })
    return runClosed(closed).pipe(
      Effect.flatMap((values) => {
        const failed = checks === undefined ? 0 : values[0][0]
        // The error's type is in the traced function's E; the code says which of them it is.
        return failed === 0 || checks === undefined
          ? Effect.void
          : Effect.fail(checks.errors[failed - 1] as TensorError)
      }),
      Effect.provideService(Backend, backend.value)
    )
  })
}

/** The trace in which a transform is applied. */
export const currentTrace: Effect.Effect<Trace | undefined> = CurrentTrace

/** The slots of arguments: every array with the leaf that it belongs to. */
export const slotsOf = (
  args: SplitArguments
): ReadonlyArray<{ readonly leaf: number; readonly path: string; readonly x: Tensor }> =>
  args.leaves.flatMap((l, leaf) => l.arrays.map((x) => ({ leaf, path: l.leaf.path.join("/"), x })))
