/**
 * What all transforms share: running a user's function once on abstract arguments, and giving what comes out of the
 * transformed Program back to the outer world.
 *
 * Arguments and results may contain Modules and Variables. They cross the boundary by the four steps of
 * `updateContext`: (1) the outer arguments are split, jointly, so that an object that occurs twice is one; (2) fresh
 * inner objects are merged from arrays of the trace; (3) after the run, arguments and results are split again, with the
 * inner objects recognised; (4) the outer objects are updated in place, and what is new is made.
 *
 * Words: a *call* is one traced run. Its Program takes captures, state read through closures, then the arrays of the
 * arguments (*slots*); it gives the arrays of results, then new state written through closures.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { Backend, type BackendError } from "../Backend/Backend.ts"
import { compute, hostData, storageOf } from "../Backend/read.ts"
import { isNode } from "../GraphDef/Node.ts"
import * as UpdateContext from "../GraphDef/updateContext.ts"
import { build } from "../Program/build.ts"
import { type Equation, isEffectful } from "../Program/Program.ts"
import type { References } from "../Program/references.ts"
import { type Cell, type Discharged, readCell, readOutside, runTraced, storageCell, Trace } from "../Program/Trace.ts"
import { hiddenOf, isModule } from "../Ref/Module.ts"
import { type Any as Variable, cellOf, isAccessor, isVariable, writeAll } from "../Ref/Variable.ts"
import { type TensorError, TraceError } from "../Tensor/errors.ts"
import * as ShapedArray from "../Tensor/ShapedArray.ts"
import { concrete, isTensor, type Node, settle, type Tensor } from "../Tensor/Tensor.ts"
import * as Tree from "../Tensor/Tree.ts"
import { checkRefs, checkReturnedRefs, type Signature } from "./arrayRefs.ts"
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
  /** Modules and Variables of the outer level that the function captured and gives back, or puts into an argument. */
  readonly captured: ReadonlyArray<object>
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

/**
 * The value of a leaf at the current level: a Variable's through the running trace, if any. Where a Program is traced to
 * be shown, `held` gives the reference instead.
 */
export const leafValue = (leaf: UpdateContext.Leaf, parent: Trace | undefined, held = false): unknown => {
  if (leaf._tag === "Array") return leaf.tensor
  const cell = cellOf(leaf.variable)
  return parent === undefined ? readOutside(cell) : held ? parent.peek(cell) : parent.read(cell)
}

/**
 * Reads the arrays of a traversal's leaves at the current level: Variables through the running trace, if any. `held`
 * says of which leaves references will do: of those that the transform hands on as they are.
 */
export const splitLeaves = (
  split: UpdateContext.Split,
  parent: Trace | undefined,
  held: (leaf: number) => boolean = () => false
): SplitArguments => {
  const leaves: Array<LeafArrays> = []
  const all: Array<Tensor> = []
  let simple = true
  for (let i = 0; i < split.leaves.length; i++) {
    const leaf = split.leaves[i]
    const value = leafValue(leaf, parent, held(i))
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

/**
 * Takes arguments apart. Outside of traces their arrays are handed out to what is made of them. `held` as for
 * `splitLeaves`.
 */
export const splitArguments = (
  args: ReadonlyArray<unknown>,
  parent: Trace | undefined,
  held?: (leaf: number) => boolean
): SplitArguments => {
  const split = UpdateContext.outerSplit([...args])
  if (parent === undefined) {
    for (const leaf of split.leaves) if (leaf._tag === "Variable") cellOf(leaf.variable).shared = true
  }
  return splitLeaves(split, parent, held)
}

/** All leaves may be references. */
export const allHeld = (): boolean => true

/** How a transform wants its function traced. */
export interface CallOptions {
  readonly transform: string
  /** The abstract value of a slot inside; by default what it is outside. */
  readonly aval?: (slot: number, outer: ShapedArray.ShapedArray) => ShapedArray.ShapedArray
  /** Do failed checks stop here, or at an outer transform? */
  readonly ownChecks?: boolean
  /** If the Program is to be shown: how it has its Variables. A transform that hands its parent's on shows them inside. */
  readonly references?: References | undefined
  /** Looks at the Variables that were made for leaves of the arguments, before the function runs. It may throw. */
  readonly enter?: (variables: ReadonlyMap<object, number>) => void
  /** The function that the user wrote, for the names of its parameters in messages. */
  readonly signature?: Signature
  /** Looks at the arguments inside and at what the function gives. It may throw. */
  readonly inspect?: (args: ReadonlyArray<unknown>, out: unknown) => void
}

/** Runs a function once, on arguments of which only shapes and dtypes are known. */
export const call = <Args extends ReadonlyArray<unknown>, A, E, R>(
  f: Traceable<Args, A, E, R>,
  args: SplitArguments,
  parent: Trace | undefined,
  options: CallOptions
): Effect.Effect<Call, E | TracingError, R> =>
  Effect.suspend(() => {
    const { ownChecks = false, references } = options
    checkRefs(options.transform, args.split, options.signature)
    const trace = new Trace(options.transform, parent, { ownChecks, references })
    const aval = options.aval ?? ((_: number, outer: ShapedArray.ShapedArray) => outer)
    const slots = args.arrays.map((x, i) => trace.pass(x, trace.argument(aval(i, x.aval))))
    let next = 0
    const values = args.leaves.map((l) => Tree.unflatten(l.structure, slots.slice(next, next += l.arrays.length)))
    const inner = UpdateContext.innerMerge(args.split.graphdef, values, trace)
    const numbers = new Map(args.split.objects.map((o, i) => [o, i]))
    const positions = new Map<object, number>()
    args.leaves.forEach(({ leaf }, i) => {
      if (leaf._tag !== "Variable") return
      const object = inner.objects[numbers.get(leaf.variable) ?? -1]
      positions.set(storageCell(cellOf(object as Variable)), i)
      trace.alias(cellOf(leaf.variable), cellOf(object as Variable))
    })
    // The inner value is what was split: a tuple of the arguments, with fresh objects.
    const effect = Effect.suspend(() => {
      options.enter?.(positions)
      return f(...(inner.value as Args))
    })
    return runTraced(trace, effect, isTracingError, (given): Call => {
      const out = isAccessor(given) ? undefined : given
      options.inspect?.(inner.value as Args, out)
      const { after, captured } = splitResults([inner.value, out], inner.objects, trace, options)
      const results = resultLeaves(after.leaves, captured, trace, values, positions)
      const outputs = results.flatMap((r) => r.unchanged ? [] : r.arrays)
      const aliased = args.leaves.flatMap(({ leaf }, i) =>
        leaf._tag === "Variable" && trace.usedAlias(cellOf(leaf.variable)) ? [{ leaf: i, variable: leaf.variable }] : []
      )
      const first = results.reduce((n, r) => r.unchanged || r.leaf.path[0] !== "0" ? n : n + r.arrays.length, 0)
      return {
        arguments: args,
        discharged: trace.close(outputs, slots),
        graphdef: after.graphdef,
        results,
        trace,
        aliased,
        captured,
        pure: pureResult(out, outputs, first)
      }
    })
  })

/** What became of each leaf of arguments and results. `values` are those of the arguments' leaves at the entry. */
const resultLeaves = (
  leaves: ReadonlyArray<UpdateContext.Leaf>,
  captured: ReadonlyArray<object>,
  trace: Trace,
  values: ReadonlyArray<unknown>,
  positions: ReadonlyMap<object, number>
): ReadonlyArray<ResultLeaf> =>
  leaves.map((leaf): ResultLeaf => {
    const value = leaf._tag === "Variable" ? trace.peek(cellOf(leaf.variable)) : leaf.tensor
    const { leaves: arrays, structure } = Tree.flatten(value)
    const argument = leaf._tag === "Variable"
      // One that was captured may have come in as an argument too.
      ? positions.get(trace.resolve(cellOf(leaf.variable)))
      : leaf.path[0] === "0"
      ? arrayArgument(values, leaf.tensor)
      : undefined
    const before = argument === undefined ? undefined : Tree.flatten(values[argument])
    const unchanged = before === undefined
      // What is captured and no argument is written as state.
      ? leaf._tag === "Variable" && captured.includes(leaf.variable)
      : Tree.sameStructure(before.structure, structure) && before.leaves.every((x, i) => x === arrays[i])
    return { leaf, structure, arrays, argument, unchanged }
  })

/**
 * Step 3, where the objects of the outer level that the function captured count as ones that came in, after those that
 * did.
 */
const splitResults = (value: unknown, inner: ReadonlyArray<object>, trace: Trace, options: CallOptions) => {
  const first = UpdateContext.outerSplit(value)
  checkReturnedRefs(options.transform, first, options.signature)
  const known = new Set(inner)
  const captured = first.objects.filter((o) => !known.has(o) && ownerOf(o) !== trace)
  return { captured, after: UpdateContext.innerSplit(value, [...inner, ...captured]) }
}

const ownerOf = (o: object): Trace | undefined =>
  isVariable(o) ? cellOf(o).owner : isModule(o) ? hiddenOf(o).owner : undefined

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
 * The call without the arrays and objects of the first run and of the trace: what is kept for later runs. A compiled
 * function must not hold on to the batch and the model that it was first called with.
 */
export const forget = (c: Call): Call => {
  const abstract = (x: Tensor): Tensor => c.trace.argument(x.aval)
  const nobody = c.trace.argument(ShapedArray.make([], "bool"))
  const bareLeaf = ({ path }: UpdateContext.Leaf): UpdateContext.Leaf => ({ _tag: "Array", tensor: nobody, path })
  const strip = <L extends LeafArrays>(l: L): L => ({
    ...l,
    leaf: l.leaf._tag === "Array" ? bareLeaf(l.leaf) : l.leaf,
    arrays: l.arrays.map(abstract)
  })
  for (const r of c.results) {
    if (r.leaf._tag !== "Variable") continue
    const cell = cellOf(r.leaf.variable)
    if (cell.owner === c.trace) cell.raw = Tree.map(cell.raw, abstract)
  }
  c.trace.forget()
  const args: SplitArguments = {
    ...c.arguments,
    split: { ...c.arguments.split, leaves: [], objects: [], guards: undefined },
    leaves: c.arguments.leaves.map((l) => ({ ...l, leaf: bareLeaf(l.leaf), arrays: l.arrays.map(abstract) })),
    arrays: c.arguments.arrays.map(abstract)
  }
  return { ...c, arguments: args, results: c.results.map(strip) }
}

/** The argument leaf whose (only) array this is. */
const arrayArgument = (values: ReadonlyArray<unknown>, x: Tensor): number | undefined => {
  const at = values.indexOf(x)
  return at < 0 ? undefined : at
}

/**
 * The value of a cell at the level around a call, or the reference that it has there and inside. What is read outside of
 * traces is handed out, so no later step may free its buffers.
 */
export const valueAround = (c: Call, cell: Cell, parent: Trace | undefined): unknown => {
  if (parent === undefined) {
    cell.shared = true
    return readCell(cell)
  }
  const { references } = c.trace
  return references !== undefined && references === parent.references ? parent.peek(cell) : parent.read(cell)
}

/** What the inputs of a call's Program are at the outer level: captures, closure state, arguments. */
export const operands = (c: Call, parent: Trace | undefined): ReadonlyArray<Tensor> => [
  ...c.discharged.captures,
  ...c.discharged.reads.flatMap((slot) => Tree.leaves(valueAround(c, slot.cell, parent))),
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
  /** The arrays of changed result leaves, in order, and then the new arrays of the state written through closures. */
  readonly outputs: ReadonlyArray<Tensor>
  readonly parent: Trace | undefined
  /** How to write a cell of the outer level; by default into the trace, or outside of any into the Variable itself. */
  readonly write?: (cell: Cell, value: unknown) => void
}

/** How many outputs of a call's Program are results; the others are state. */
export const resultCount = (c: Call): number => c.results.reduce((n, r) => n + (r.unchanged ? 0 : r.arrays.length), 0)

/** Writes closure state, updates the outer arguments in place, and gives the result. */
export const land = (c: Call, landing: Landing): unknown => {
  const { outputs, parent } = landing
  const variables: Array<Variable> = []
  const written: Array<unknown> = []
  const later = (cell: Cell, value: unknown): void => {
    // What a check leaves behind has been looked at, and is of no further use.
    if (!isVariable(cell)) return
    variables.push(cell)
    written.push(value)
  }
  const write = landing.write ?? (parent === undefined ? later : (cell, value) => parent.write(cell, value))
  let next = resultCount(c)
  for (const { leaves, slot, structure } of c.discharged.writes) {
    write(slot.cell, Tree.unflatten(structure, outputs.slice(next, next += leaves)))
  }
  next = 0
  const values = c.results.map((r) => {
    if (!r.unchanged) return Tree.unflatten(r.structure, outputs.slice(next, next += r.arrays.length))
    // An unchanged Variable stays as it is; an unchanged array is the outer one.
    return r.leaf._tag === "Variable" || r.argument === undefined ? undefined : c.arguments.leaves[r.argument].arrays[0]
  })
  const merged = UpdateContext.outerMerge(c.graphdef, values, [...c.arguments.split.objects, ...c.captured], {
    owner: parent,
    write: (variable, value) => write(cellOf(variable), value)
  })
  // Outside of traces, in one block, and as every write there: with the computation started.
  if (variables.length > 0) writeAll(variables, written)
  return (merged as ReadonlyArray<unknown>)[1]
}

/** Collects the nodes that are kept for their effect: in the outer trace, or outside of any to be run at once. */
export interface Emitter {
  readonly parent: Trace | undefined
  readonly emit: (node: Node) => void
  readonly nodes: ReadonlyArray<Node>
}

/** Where a transform's own equations go. Those without an effect need nobody to keep them. */
export const emitter = (parent: Trace | undefined): Emitter => {
  const nodes: Array<Node> = []
  const keep = parent === undefined ? (node: Node) => nodes.push(node) : parent.emit
  return {
    parent,
    nodes,
    // A node says of itself what an equation does.
    emit: (node) => {
      if (isEffectful(node as unknown as Equation)) keep(node)
    }
  }
}

/** The checks of a call, and the number of the first that failed (0: none), as the Program computes it. */
interface Outcome {
  readonly errors: ReadonlyArray<unknown>
  readonly code: Tensor
}

const outcomes = (
  c: Call,
  outputs: ReadonlyArray<Tensor>,
  checks: ReadonlyArray<Trace["ownChecks"]>
): ReadonlyArray<Outcome> => {
  let next = resultCount(c)
  return c.discharged.writes.flatMap(({ leaves, slot }) => {
    const code = outputs[next]
    next += leaves
    const own = checks.find((x) => x?.cell === slot.cell)
    return own === undefined ? [] : [{ errors: own.errors, code }]
  })
}

/**
 * Ends the application of a transform: outside of any trace it runs callbacks and checks first, of which the first that
 * fails fails the Effect; then the results land. So a failure leaves nothing half-written.
 */
export const conclude = (
  c: Call,
  outputs: ReadonlyArray<Tensor>,
  { nodes, parent }: Emitter,
  checks: ReadonlyArray<Trace["ownChecks"]> = [c.trace.ownChecks]
): Effect.Effect<unknown, TensorError | BackendError> => {
  const landed = Effect.sync(() => land(c, { outputs, parent }))
  if (parent !== undefined) return landed
  const codes = outcomes(c, outputs, checks)
  return nodes.length === 0 && codes.length === 0 ? landed : Effect.andThen(flush(nodes, codes), landed)
}

/** Runs effectful nodes, once: their outputs are computed in the same run. */
const flush = (
  nodes: ReadonlyArray<Node>,
  checks: ReadonlyArray<Outcome>
): Effect.Effect<void, TensorError | BackendError> =>
  Effect.contextWith((context: Context.Context<never>) => {
    const service = Context.getOption(context, Backend)
    if (Option.isNone(service)) {
      return Effect.fail(
        new TraceError({
          transform: "a transform outside of jit",
          reason: "Debug.print and Check.that need a Backend to run",
          hint: "provide a Backend Layer, or apply the transform inside jit"
        })
      )
    }
    return Effect.gen(function*() {
      const made = nodes.flatMap((node) => node.outputs)
      const closed = build({ outputs: [...checks.map((x) => x.code), ...made], arguments: [], effects: nodes })
      yield* compute(...closed.captures)
      const executable = yield* service.value.compile(closed.program)
      const storages = yield* executable.run(closed.captures.map(storageOf))
      made.forEach((x, i) => settle(x, storages[checks.length + i]))
      for (let i = 0; i < checks.length; i++) {
        const [failed] = yield* hostData(concrete(closed.program.outputs[i].aval, storages[i]))
        // The error's type is in the traced function's E; the code says which of them it is.
        if (failed !== 0) return yield* Effect.fail(checks[i].errors[failed - 1] as TensorError)
      }
    }).pipe(Effect.provideService(Backend, service.value))
  })

/** The slots of arguments: every array with the leaf that it belongs to. */
export const slotsOf = (
  args: SplitArguments
): ReadonlyArray<{ readonly leaf: number; readonly path: string; readonly x: Tensor }> =>
  args.leaves.flatMap((l, leaf) => l.arrays.map((x) => ({ leaf, path: l.leaf.path.join("/"), x })))
