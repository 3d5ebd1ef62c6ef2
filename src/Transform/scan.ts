/**
 * Loops of a known number of steps: `scan`, and `foriLoop` with static bounds.
 *
 * What each array of the body does follows from its axis and from what the body does with it: an array with an axis is
 * *sliced*, one step a slice; the *carry* goes from step to step; everything else is *constant* unless it is a Variable
 * that the body writes, which makes it a carry too. So a write is seen by every later read, across steps.
 */
import * as Effect from "effect/Effect"
import type { Leaf } from "../GraphDef/updateContext.ts"
import * as control from "../Program/control.ts"
import { make } from "../Program/Program.ts"
import { moveAxis } from "../Program/rules/support.ts"
import { CurrentTrace } from "../Program/Trace.ts"
import type { Path } from "../State/Path.ts"
import { TraceError } from "../Tensor/errors.ts"
import * as Lax from "../Tensor/lax/index.ts"
import * as ShapedArray from "../Tensor/ShapedArray.ts"
import type { Tensor } from "../Tensor/Tensor.ts"
import * as Tree from "../Tensor/Tree.ts"
import { argumentAxes, checkReturned } from "./aliasing.ts"
import { throwing, type TransformError } from "./attempt.ts"
import { type Axis, axisOf, type AxisSpec, canonical, Carry, commonSize, isCarry } from "./axes.ts"
import { axisChanges, type TransformMetadata } from "./axisMetadata.ts"
import {
  allHeld,
  type Call,
  call,
  conclude,
  emitter,
  layout,
  operands,
  type ResultLeaf,
  slotsOf,
  splitArguments,
  splitLeaves
} from "./lift.ts"
import {
  checkCarryObjects,
  checkStable,
  type Handed,
  handedCarry,
  handedState,
  handedVariables,
  keepingForms
} from "./loopState.ts"
import type { Traceable, Traced } from "./types.ts"

/** Options of `scan`. */
export interface ScanOptions {
  /**
   * The axis of each argument that is stepped through; `Carry` for the one that goes from step to step; null for
   * constants. By default `[Carry, 0]`.
   */
  readonly inAxes?: AxisSpec
  /** The axis along which each result is stacked; `Carry` for the carry. By default `[Carry, 0]`. */
  readonly outAxes?: AxisSpec
  /** The number of steps, where no argument tells it. */
  readonly length?: number
  /** From the last slice to the first? Results keep their places. */
  readonly reverse?: boolean
  /** How many steps a backend may put into one iteration. */
  readonly unroll?: number
  /** The name of the axis that is stepped through in the metadata of Variables. */
  readonly transformMetadata?: TransformMetadata
}

/** An output of the traced body that is stacked. */
interface Output {
  /** The axis along which it is stacked. */
  readonly axis: number
  readonly path: string
}

const argumentOf = (specs: AxisSpec, args: number): number | undefined => {
  if (!Array.isArray(specs)) return isCarry(specs) ? 0 : undefined
  const at = specs.findIndex(isCarry)
  return at < 0 || at >= args ? undefined : at
}

/** Where the carry is among arguments and results: in both or in neither. */
const carryPlaces = (options: Required<Pick<ScanOptions, "inAxes" | "outAxes">>, args: number) => {
  const input = argumentOf(options.inAxes, args)
  const whole = isCarry(options.outAxes)
  const output = Array.isArray(options.outAxes) ? options.outAxes.findIndex(isCarry) : -1
  const found = whole || output >= 0
  const several = Array.isArray(options.inAxes) && options.inAxes.filter(isCarry).length > 1
  if ((input === undefined) === found || several) {
    throw new TraceError({
      transform: "scan",
      reason: several ? "there are several Carry arguments" : "Carry stands in only one of inAxes and outAxes",
      hint: "exactly one argument and one result are the carry, or none; the carry may be a tree"
    })
  }
  return { input, prefix: whole ? ["1"] : ["1", String(output)] }
}

/** Is it a path in the result to (a part of) the carry? */
const isCarryPath = ({ input, prefix }: ReturnType<typeof carryPlaces>, path: Path): boolean =>
  input !== undefined && prefix.slice(1).every((key, i) => path[i] === key)

/** Runs the body once on abstract slices. A weakly typed carry becomes a strong one. */
const traceBody = <Args extends ReadonlyArray<unknown>, A, E, R>(
  f: Traceable<Args, A, E, R>,
  args: Args,
  options: Required<Pick<ScanOptions, "inAxes" | "outAxes">> & ScanOptions,
  places: ReturnType<typeof carryPlaces>
) =>
  Effect.gen(function*() {
    const parent = yield* CurrentTrace
    const whole = splitArguments(args, parent, allHeld)
    const axes = yield* argumentAxes("scan", options.inAxes, whole, args)
    const references = parent?.references
    // What is stepped through is read before the loop, and written after it.
    const split = references === undefined
      ? whole
      : splitLeaves(whole.split, parent, (leaf) => typeof axes[leaf] !== "number")
    const slots = slotsOf(split).map(({ leaf, path, x }) => {
      const axis = axes[leaf]
      return { axis: typeof axis === "number" ? canonical("scan", axis, x, path) : axis, path, x }
    })
    const sliced = slots.flatMap((s) => typeof s.axis === "number" ? [{ size: s.x.shape[s.axis], path: s.path }] : [])
    const length = commonSize("scan", sliced, options.length)
    const made = (leaf: Leaf, path: Path): Axis =>
      path[0] === "0" ? 0 : axisOf("scan", options.outAxes, leaf, path.slice(1))
    const changes = axisChanges("scan", axes, made, options.transformMetadata)
    const traced = call(f, split, parent, {
      transform: `scan(${f.name || "anonymous"})`,
      references,
      aval: (i) => {
        const { axis, x } = slots[i]
        return typeof axis === "number"
          ? ShapedArray.withShape(x.aval, x.shape.filter((_, d) => d !== axis))
          : axis === "carry"
          ? { ...x.aval, weakType: false }
          : x.aval
      },
      enter: changes.enter,
      inspect: (inner, out) => {
        const skip = (path: Path) => isCarryPath(places, path)
        const { outAxes } = options
        checkReturned("scan", {
          inner,
          out,
          entered: changes.entered,
          leaves: split.leaves,
          given: axes,
          outAxes,
          skip
        })
        changes.leave(inner, out)
        if (places.input === undefined) return
        const after = places.prefix.length === 1 ? out : (out as ReadonlyArray<unknown>)[Number(places.prefix[1])]
        checkCarryObjects("scan", inner[places.input], after)
      }
    })
    const c = yield* keepingForms("scan", references, traced)
    return { c, parent, axes, slots, length }
  })

/** A value that has another form now is stacked along the axis of the Variable. */
const reshapedAxis = (r: ResultLeaf, axis: number, i: number): number => {
  const { aval } = r.arrays[i]
  return canonical("scan", axis, { aval: ShapedArray.withShape(aval, [...aval.shape, 1]) }, r.leaf.path.join("/"))
}

/** What becomes of every output of the body. */
const outputsOf = (
  c: Call,
  axes: ReadonlyArray<Axis>,
  slotAxes: ReadonlyArray<Axis>,
  outAxes: AxisSpec,
  carries: ReadonlySet<number>
): ReadonlyArray<Output | undefined> => {
  let output = 0
  let slot = 0
  const firstSlot = c.arguments.leaves.map((l) => (slot += l.arrays.length) - l.arrays.length)
  const axisOfOutput = (r: ResultLeaf, i: number): Axis => {
    const known = r.argument === undefined ? null : axes[r.argument]
    if (r.argument === undefined || known === null) {
      // What is new in an argument is a stack along the first axis.
      return r.leaf.path[0] === "0" ? 0 : axisOf("scan", outAxes, r.leaf, r.leaf.path.slice(1))
    }
    const before = c.arguments.leaves[r.argument]
    return typeof known === "number" && !Tree.sameStructure(before.structure, r.structure)
      ? reshapedAxis(r, known, i)
      : slotAxes[firstSlot[r.argument] + i]
  }
  return c.results.flatMap((r) => {
    if (r.unchanged) return []
    return r.arrays.map((_, i): Output | undefined => {
      if (carries.has(output++)) return undefined
      const path = r.leaf.path.slice(1).join("/") || "the result"
      const axis = axisOfOutput(r, i)
      if (typeof axis === "number") return { axis, path }
      throw new TraceError({
        transform: "scan",
        reason: `the result at ${path} has the axis spec ${String(axis)}`,
        hint: "results of a scan are stacked along an axis; return constants by other ways"
      })
    })
  })
}

/** Does every step get a part of its own of all that is in an argument? */
const isStepped = (c: Call, axes: ReadonlyArray<Axis>, argument: number): boolean => {
  const own = axes.filter((_, i) => c.arguments.leaves[i].leaf.path[0] === String(argument))
  return own.length > 0 && own.every((axis) => typeof axis === "number")
}

/**
 * Applies a function to one slice after another. By default it is JAX's scan: `f(carry, x)` gives `[carry, y]`, and
 * `scan(f)(init, xs)` gives the last carry and the stacked ys. With `inAxes` and `outAxes` it is NNX's: any argument
 * may be stepped through, along any axis, Modules too (a stack of layers), and the carry may be in any place.
 *
 * Writes to Variables that are not stepped through are seen by the next step; writes to stepped ones go into their
 * slice, and so do changes of structure: a Variable that the body makes in a stepped Module is a stack afterwards. A
 * carry keeps its structure, shapes and dtypes: else `StructureError`.
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 * import * as Cpu from "linum/backend/tfjs-cpu"
 *
 * const step = (sum: nnx.Tensor.Tensor, x: nnx.Tensor.Tensor) => Effect.succeed([sum.add(x), sum.add(x)] as const)
 * const program = Effect.gen(function*() {
 *   const [last, sums] = yield* nnx.scan(step)(nnx.Tensor.array(0), nnx.Tensor.array([1, 2, 3]))
 *   return [yield* nnx.Tensor.item(last), yield* nnx.Tensor.toNested(sums)]
 * })
 * console.log(await Effect.runPromise(program.pipe(Effect.provide(Cpu.layer)))) // => [ 6, [ 1, 3, 6 ] ]
 * ```
 *
 * @category transforms
 * @since 0.1.0
 */
export const scan = <Args extends ReadonlyArray<unknown>, A, E, R>(
  f: Traced<Args, A, E, R>,
  options: ScanOptions = {}
) =>
(...args: Args): Effect.Effect<A, E | TransformError, R> =>
  throwing(Effect.gen(function*() {
    const full = { inAxes: [Carry, 0], outAxes: [Carry, 0], ...options }
    const places = carryPlaces(full, args.length)
    const { axes, c, length, parent, slots } = yield* traceBody<Args, A, E, R>(f, args, full, places)
    checkStable("scan", c, (argument) => isStepped(c, axes, argument))
    const handed = [
      ...handedVariables("scan", c, (argument) => typeof axes[argument] !== "number"),
      ...(places.input === undefined ? [] : handedCarry("scan", c, { prefix: [String(places.input)] }, places)),
      ...handedState("scan", c)
    ]
    const carries = new Set(handed.map((h) => h.output))
    const outputs = outputsOf(c, axes, slots.map((s) => s.axis), full.outAxes, carries)
    const kept = emitter(parent)
    const results = bindScan(c, handed, outputs, slots, operands(c, parent), { length, ...options }, kept.emit)
    return (yield* conclude(c, results, kept)) as A
  }))

/**
 * Makes the equation, and gives the body's outputs in their order: carries as they are at the end, the others stacked.
 */
const bindScan = (
  c: Call,
  handed: ReadonlyArray<Handed>,
  outputs: ReadonlyArray<Output | undefined>,
  slots: ReadonlyArray<{ readonly axis: Axis }>,
  inputs: ReadonlyArray<Tensor>,
  options: ScanOptions & { readonly length: number },
  emit: ReturnType<typeof emitter>["emit"]
): ReadonlyArray<Tensor> => {
  const { program } = c.discharged
  const at = layout(c).argumentsAt
  const axisAt = (i: number): Axis => i < at ? null : slots[i - at].axis
  const all = inputs.map((_, i) => i)
  const carried = handed.map((h) => h.input)
  const sliced = all.filter((i) => typeof axisAt(i) === "number")
  const constants = all.filter((i) => !carried.includes(i) && typeof axisAt(i) !== "number")
  const order = [...constants, ...carried, ...sliced]
  const stacked = outputs.flatMap((o, i) => o === undefined ? [] : [{ ...o, output: i }])
  const body = make(
    order.map((i) => program.inputs[i]),
    program.equations,
    [...handed.map((h) => program.outputs[h.output]), ...stacked.map((s) => program.outputs[s.output])]
  )
  const node = control.scan(
    {
      program: body,
      length: options.length,
      reverse: options.reverse ?? false,
      num_consts: constants.length,
      num_carry: carried.length,
      unroll: options.unroll ?? 1
    },
    order.map((i) => {
      const axis = axisAt(i)
      return typeof axis === "number" ? moveAxis(inputs[i], axis, 0) : strong(inputs[i], program.inputs[i].aval)
    })
  )
  emit(node)
  const results: Array<Tensor> = []
  handed.forEach((h, i) => {
    results[h.output] = node.outputs[i]
  })
  stacked.forEach((s, i) => {
    const x = node.outputs[handed.length + i]
    results[s.output] = moveAxis(x, 0, canonical("scan", s.axis, x, s.path))
  })
  return results
}

/** A weakly typed carry becomes a strong one. */
const strong = (x: Tensor, aval: ShapedArray.ShapedArray): Tensor =>
  x.weakType === aval.weakType ? x : Lax.convertElementType(x, aval.dtype, aval.weakType)
