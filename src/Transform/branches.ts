/**
 * Branches: `cond` and `switch`. All branches are traced, on the same operands; one runs.
 *
 * Branches may write different Variables: the equation gives, for each Variable that any of them writes, its new value
 * in that branch or the one it had.
 */
import * as Effect from "effect/Effect"
import { type Misfit, StructureError } from "../GraphDef/errors.ts"
import * as GraphDef from "../GraphDef/GraphDef.ts"
import { closedProgram } from "../Program/build.ts"
import * as control from "../Program/control.ts"
import { evaluate } from "../Program/evaluate.ts"
import type { Program } from "../Program/Program.ts"
import { CurrentTrace, type Slot } from "../Program/Trace.ts"
import * as DType from "../Tensor/DType.ts"
import { DTypeError, ShapeError, TraceError } from "../Tensor/errors.ts"
import * as Lax from "../Tensor/lax/index.ts"
import * as ShapedArray from "../Tensor/ShapedArray.ts"
import { lift as liftTensor, type Tensor, type TensorLike } from "../Tensor/Tensor.ts"
import * as Tree from "../Tensor/Tree.ts"
import { throwing, type TransformError } from "./attempt.ts"
import { allHeld, type Call, call, conclude, emitter, resultCount, splitArguments, valueAround } from "./lift.ts"
import { inputOffsets, keepingForms } from "./loopState.ts"
import type { Traceable, Traced } from "./types.ts"

/** State that branches read or write through their closures, joined: each cell once. */
interface Joined {
  readonly captures: ReadonlyArray<Tensor>
  readonly slots: ReadonlyArray<Slot>
  /** First input of each slot among the joined inputs. */
  readonly slotAt: ReadonlyMap<object, number>
  readonly argumentsAt: number
}

const join = (calls: ReadonlyArray<Call>): Joined => {
  const captures = calls.flatMap((c) => c.discharged.captures)
  const slots: Array<Slot> = []
  const slotAt = new Map<object, number>()
  let at = captures.length
  for (const slot of calls.flatMap((c) => c.discharged.reads)) {
    if (slotAt.has(slot.cell)) continue
    slotAt.set(slot.cell, at)
    slots.push(slot)
    at += slot.initial.leaves.length
  }
  return { captures, slots, slotAt, argumentsAt: at }
}

/** What the branches give, in order: results, changed Variables of the operands, changed closure state. */
interface Outputs {
  /** Argument leaves that any branch changes. */
  readonly changed: ReadonlyArray<number>
  /** Cells that any branch writes. */
  readonly written: ReadonlyArray<Slot>
}

const outputsOf = (calls: ReadonlyArray<Call>): Outputs => {
  const changed = new Set<number>()
  const written = new Map<object, Slot>()
  for (const c of calls) {
    for (const r of c.results) if (!r.unchanged && r.argument !== undefined) changed.add(r.argument)
    for (const { slot } of c.discharged.writes) written.set(slot.cell, slot)
  }
  return { changed: [...changed].toSorted((a, b) => a - b), written: [...written.values()] }
}

/** Outputs of one call by what they are. */
const sortOutputs = (c: Call) => {
  let at = 0
  const results: Array<number> = []
  const changed = new Map<number, ReadonlyArray<number>>()
  for (const r of c.results) {
    if (r.unchanged) continue
    const own = r.arrays.map(() => at++)
    if (r.argument === undefined) results.push(...own)
    else changed.set(r.argument, own)
  }
  const written = new Map<object, ReadonlyArray<number>>()
  for (const { leaves, slot } of c.discharged.writes) {
    written.set(slot.cell, Array.from({ length: leaves }, () => at++))
  }
  return { results, changed, written }
}

const describe = (xs: ReadonlyArray<{ readonly aval: ShapedArray.ShapedArray }>): string =>
  xs.map((x) => ShapedArray.format(x.aval)).join(", ") || "nothing"

/**
 * Variables of the closure that a branch gave another shape, dtype or structure: another branch may leave them as they
 * are.
 */
const stateMisfits = (c: Call, branch: string): ReadonlyArray<Misfit> => {
  let at = resultCount(c)
  return c.discharged.writes.flatMap(({ leaves, slot, structure }) => {
    const now = c.discharged.program.outputs.slice(at, at += leaves)
    const before = slot.initial.leaves
    const fits = Tree.sameStructure(structure, slot.initial.structure) &&
      before.every((x, i) => x.dtype === now[i].aval.dtype && x.shape.join() === now[i].aval.shape.join())
    return fits ? [] : [{
      path: [branch, `captured ${slot.cell.label}`],
      expected: describe(before),
      found: describe(now)
    }]
  })
}

/** Fails unless all branches give the same structure, shapes and dtypes as the first. */
const checkBranches = (operation: string, calls: ReadonlyArray<Call>): void => {
  const misfits: Array<Misfit> = []
  const [first, ...others] = calls
  others.forEach((c, i) => {
    const sameObjects = first.captured.length === c.captured.length &&
      first.captured.every((o, k) => o === c.captured[k])
    if (!sameObjects || !GraphDef.equals(first.graphdef, c.graphdef)) {
      misfits.push({
        path: [`branch ${i + 1}`],
        expected: `the structure of branch 0:\n${String(first.graphdef)}`,
        found: sameObjects ? String(c.graphdef) : `other captured objects:\n${String(c.graphdef)}`
      })
      return
    }
    first.results.forEach((r, k) => {
      const now = c.results[k]
      const same = Tree.sameStructure(r.structure, now.structure) &&
        r.arrays.every((x, j) => x.dtype === now.arrays[j].dtype && x.shape.join() === now.arrays[j].shape.join())
      if (!same) {
        misfits.push({
          path: [`branch ${i + 1}`, ...r.leaf.path.slice(1)],
          expected: describe(r.arrays),
          found: describe(now.arrays)
        })
      }
    })
  })
  calls.forEach((c, i) => misfits.push(...stateMisfits(c, `branch ${i}`)))
  if (misfits.length > 0) {
    throw new StructureError({
      operation,
      misfits,
      hint: "all branches give the same tree of the same shapes and dtypes; convert with astype, or add zeros"
    })
  }
}

/** A branch as a Program of the joined inputs that gives the joined outputs. */
const branchProgram = (
  c: Call,
  before: number,
  joined: Joined,
  outputs: Outputs,
  avals: ReadonlyArray<ShapedArray.ShapedArray>,
  resultAvals: ReadonlyArray<ShapedArray.ShapedArray>
): Program =>
  closedProgram("cond", avals, (args, emit) => {
    const own = c.discharged
    const inputs = [
      ...own.captures.map((_, i) => args[before + i]),
      ...own.reads.flatMap((slot) => {
        const first = joined.slotAt.get(slot.cell) ?? 0
        return slot.initial.leaves.map((_, i) => args[first + i])
      }),
      ...args.slice(joined.argumentsAt)
    ]
    const values = evaluate(own.program, inputs, emit)
    const sorted = sortOutputs(c)
    const leafAt = inputOffsets(c).leaves.map((at) => at - inputOffsets(c).leaves[0] + joined.argumentsAt)
    return [
      ...sorted.results.map((i, k) => Lax.convertElementType(values[i], resultAvals[k].dtype, resultAvals[k].weakType)),
      ...outputs.changed.flatMap((leaf) =>
        sorted.changed.get(leaf)?.map((i) => values[i]) ??
          c.arguments.leaves[leaf].arrays.map((_, i) => args[leafAt[leaf] + i])
      ),
      ...outputs.written.flatMap((slot) =>
        sorted.written.get(slot.cell)?.map((i) => values[i]) ??
          slot.initial.leaves.map((_, i) => args[(joined.slotAt.get(slot.cell) ?? 0) + i])
      )
    ]
  })

/** The first branch's call as if it had changed all that any branch changes, with what the equation gives. */
interface Bound {
  readonly call: Call
  readonly outputs: ReadonlyArray<Tensor>
}

/** Makes the equation. */
const bindBranches = (
  operation: string,
  index: Tensor,
  calls: ReadonlyArray<Call>,
  parent: Call["trace"]["parent"],
  emit: ReturnType<typeof emitter>["emit"]
): Bound => {
  checkBranches(operation, calls)
  const joined = join(calls)
  const outputs = outputsOf(calls)
  const state = joined.slots.flatMap((slot) =>
    Tree.leaves(parent === undefined ? slot.cell.raw : valueAround(calls[0], slot.cell, parent))
  )
  const operands = [...joined.captures, ...state, ...calls[0].arguments.arrays]
  const avals = operands.map((x) => x.aval)
  const firstResults = sortOutputs(calls[0]).results
  // A result is weak only if it is in all branches.
  const resultAvals = firstResults.map((i, k) => ({
    ...calls[0].discharged.program.outputs[i].aval,
    weakType: calls.every((c) => c.discharged.program.outputs[sortOutputs(c).results[k]].aval.weakType)
  }))
  let before = 0
  const programs = calls.map((c) => {
    const program = branchProgram(c, before, joined, outputs, avals, resultAvals)
    before += c.discharged.captures.length
    return program
  })
  const node = control.cond(index, programs, operands)
  emit(node)
  return widened(calls[0], outputs, node.outputs)
}

/** The first call with results and state widened to what any branch changed, and the joined outputs in their order. */
const widened = (first: Call, outputs: Outputs, values: ReadonlyArray<Tensor>): Bound => {
  const own = sortOutputs(first)
  let at = own.results.length
  const changedAt = new Map<number, number>()
  for (const leaf of outputs.changed) {
    changedAt.set(leaf, at)
    at += first.arguments.leaves[leaf].arrays.length
  }
  const results = first.results.map((r) =>
    r.argument !== undefined && changedAt.has(r.argument) ? { ...r, unchanged: false } : r
  )
  let next = 0
  const landed = results.flatMap((r) => {
    if (r.unchanged) return []
    const start = r.argument === undefined ? next : changedAt.get(r.argument) ?? 0
    if (r.argument === undefined) next += r.arrays.length
    return values.slice(start, start + r.arrays.length)
  })
  const writes = outputs.written.map((slot) => ({
    slot,
    structure: slot.initial.structure,
    leaves: slot.initial.leaves.length
  }))
  return {
    call: { ...first, results, discharged: { ...first.discharged, writes } },
    outputs: [...landed, ...values.slice(at)]
  }
}

const scalarIndex = (operation: string, x: Tensor): Tensor => {
  if (x.ndim !== 0) {
    throw new ShapeError({
      operation,
      expected: "a scalar to branch on",
      found: ShapedArray.format(x.aval),
      hint: "reduce it, or choose elementwise with where"
    })
  }
  if (DType.isFloat(x.dtype)) {
    throw new DTypeError({ operation, expected: "a bool or an integer", found: x.dtype, hint: "compare it first" })
  }
  return Lax.convertElementType(x, "int32")
}

const branch = <Args extends ReadonlyArray<unknown>, A, E, R>(
  operation: string,
  index: () => Tensor,
  branches: ReadonlyArray<Traceable<Args, A, E, R>>,
  args: Args
): Effect.Effect<A, E | TransformError, R> =>
  throwing(Effect.gen(function*() {
    const parent = yield* CurrentTrace
    if (branches.length === 0) {
      throw new TraceError({ transform: operation, reason: "there are no branches", hint: "give at least one" })
    }
    const at = scalarIndex(operation, index())
    const split = splitArguments(args, parent, allHeld)
    const references = parent?.references
    const calls: Array<Call> = []
    for (const f of branches) {
      const transform = `${operation}(${f.name || "anonymous"})`
      calls.push(yield* keepingForms(operation, references, call(f, split, parent, { transform, references })))
    }
    const kept = emitter(parent)
    const bound = bindBranches(operation, at, calls, parent, kept.emit)
    // Outside of traces every branch has checks of its own; one that did not run failed none.
    const checks = calls.map((c) => c.trace.ownChecks)
    return (yield* conclude(bound.call, bound.outputs, kept, checks)) as A
  }))

/**
 * Runs one of two functions, by a scalar that is only known when the Program runs.
 *
 * Both are traced with the same operands, and give results of the same structure, shapes and dtypes (else
 * `StructureError`). Only the chosen one computes; under a `vmap` over the predicate both do.
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 * import * as Cpu from "linum/backend/tfjs-cpu"
 *
 * const absolute = (x: nnx.Tensor.Tensor) =>
 *   nnx.cond(x.lt(0), (y) => Effect.succeed(y.neg()), (y) => Effect.succeed(y), x)
 * const program = Effect.flatMap(absolute(nnx.Tensor.array(-3)), nnx.Tensor.item)
 * console.log(await Effect.runPromise(program.pipe(Effect.provide(Cpu.layer)))) // => 3
 * ```
 *
 * @category transforms
 * @since 0.1.0
 */
export const cond = <Args extends ReadonlyArray<unknown>, A, E, R, E2, R2>(
  predicate: TensorLike,
  onTrue: Traced<NoInfer<Args>, A, E, R>,
  onFalse: Traced<NoInfer<Args>, A, E2, R2>,
  ...operands: Args
): Effect.Effect<A, E | E2 | TransformError, R | R2> => {
  const branches: ReadonlyArray<Traceable<Args, A, E | E2, R | R2>> = [onFalse, onTrue]
  return branch(
    "cond",
    () => {
      const x = liftTensor(predicate)
      return x.dtype === "bool" ? x : Lax.ne(x, Lax.broadcastTo(liftTensor(0).astype(x.dtype), x.shape))
    },
    branches,
    operands
  )
}

/**
 * Runs the branch whose number is `index` (a scalar integer, clamped into range).
 *
 * @category transforms
 * @since 0.1.0
 */
export const switchCase = <Args extends ReadonlyArray<unknown>, A, E, R>(
  index: TensorLike,
  branches: ReadonlyArray<Traced<NoInfer<Args>, A, E, R>>,
  ...operands: Args
): Effect.Effect<A, E | TransformError, R> =>
  branch<Args, A, E, R>("switch", () => liftTensor(index), branches, operands)
