/**
 * `vmap`: a function of one example becomes a function of a batch.
 */
import * as Effect from "effect/Effect"
import { AliasError } from "../GraphDef/errors.ts"
import { outerSplit } from "../GraphDef/updateContext.ts"
import { interpreters } from "../Program/interpreters.ts"
import { moveAxis, placeAxis } from "../Program/rules/support.ts"
import { CurrentTrace } from "../Program/Trace.ts"
import { TraceError } from "../Tensor/errors.ts"
import * as Lax from "../Tensor/lax/index.ts"
import * as ShapedArray from "../Tensor/ShapedArray.ts"
import { literal, type Tensor } from "../Tensor/Tensor.ts"
import { throwing, type TransformError } from "./attempt.ts"
import { argumentAxes, type Axis, axisOf, type AxisSpec, canonical, commonSize } from "./axes.ts"
import { type Call, call, conclude, emitter, layout, operands, slotsOf, splitArguments } from "./lift.ts"
import type { Traced } from "./types.ts"

/** Options of `vmap`. */
export interface VmapOptions {
  /** The mapped axis of the arguments: one spec for all, or an array with one for each. By default 0. */
  readonly inAxes?: AxisSpec
  /** The mapped axis of the results. By default 0. */
  readonly outAxes?: AxisSpec
  /** A name for `psum`, `pmean` and `axisIndex` inside. */
  readonly axisName?: string
  /** The size of the mapped axis, where no argument tells it. */
  readonly axisSize?: number
}

/** Where each output of a call's Program has its mapped axis, for its owner outside. */
const outputAxes = (
  c: Call,
  argAxes: ReadonlyArray<Axis>,
  spec: AxisSpec
): ReadonlyArray<{ axis: Axis; path: string }> =>
  c.results.flatMap((r) => {
    if (r.unchanged) return []
    const inside = r.leaf.path[0] === "0"
    const axis = r.argument !== undefined
      ? argAxes[r.argument]
      : inside
      ? 0
      : axisOf("vmap", spec, r.leaf, r.leaf.path.slice(1))
    return r.arrays.map(() => ({ axis, path: r.leaf.path.slice(1).join("/") || "the result" }))
  })

const noCarry = (): TraceError =>
  new TraceError({ transform: "vmap", reason: "Carry is no axis of vmap", hint: "use it with scan" })

/** A result with its mapped axis where it is wanted. */
const place = (x: Tensor, from: number | null, to: Axis, size: number, path: string): Tensor => {
  if (to === "carry") {
    throw noCarry()
  }
  if (to !== null) {
    const rank = from === null ? x.ndim + 1 : x.ndim
    const batched = { aval: { ...x.aval, shape: Array.from({ length: rank }, () => size) } }
    return placeAxis(x, from, size, canonical("vmap", to, batched, path))
  }
  if (from === null) return x
  throw new TraceError({
    transform: "vmap",
    reason: `at ${path}: the axis spec is null but the value is batched (on axis ${from})`,
    hint: "map it with inAxes/outAxes or StateAxes, or reduce over the batch (psum, pmean) before writing it"
  })
}

/**
 * Maps a function over an axis of its arguments. Inside, arrays don't have the axis; outside, results have it at
 * `outAxes`.
 *
 * Modules can be mapped: their Variables' arrays are stacks. A Variable that is not mapped must not be written with a
 * value that differs along the axis. Checks inside fail if any element fails.
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 * import * as Cpu from "linum/backend/tfjs-cpu"
 *
 * const dot = (x: nnx.Tensor.Tensor, y: nnx.Tensor.Tensor) => Effect.succeed(x.dot(y))
 * const dots = nnx.vmap(dot, { inAxes: [0, null] })
 * const program = Effect.flatMap(dots(nnx.Tensor.array([[1, 2], [3, 4]]), nnx.Tensor.array([1, 1])), nnx.Tensor.toNested)
 * console.log(await Effect.runPromise(program.pipe(Effect.provide(Cpu.layer)))) // => [ 3, 7 ]
 * ```
 *
 * @category transforms
 * @since 0.1.0
 */
export const vmap = <Args extends ReadonlyArray<unknown>, A, E, R>(
  f: Traced<Args, A, E, R>,
  options: VmapOptions = {}
) =>
(...args: Args): Effect.Effect<A, E | TransformError, R> =>
  throwing(Effect.gen(function*() {
    const parent = yield* CurrentTrace
    // null is a spec too.
    const { axisName, axisSize, inAxes, outAxes } = {
      inAxes: 0,
      outAxes: 0,
      axisName: undefined,
      axisSize: undefined,
      ...options
    }
    const split = splitArguments(args, parent)
    const leafAxes = yield* argumentAxes("vmap", inAxes, split, args)
    const slots = slotsOf(split).map(({ leaf, path, x }) => {
      const axis = leafAxes[leaf]
      if (axis === "carry") throw noCarry()
      return { axis: axis === null ? null : canonical("vmap", axis, x, path), path, x }
    })
    const mapped = slots.flatMap((s) => s.axis === null ? [] : [{ size: s.x.shape[s.axis], path: s.path }])
    const size = commonSize("vmap", mapped, axisSize)
    const c = yield* call<Args, A, E, R>(f, split, parent, {
      transform: `vmap(${f.name || "anonymous"})`,
      aval: (slot, outer) => {
        const { axis } = slots[slot]
        return axis === null ? outer : ShapedArray.withShape(outer, outer.shape.filter((_, i) => i !== axis))
      },
      inspect: (inner, out) => checkReturned(inner, out, leafAxes, outAxes)
    })
    const kept = emitter(parent)
    const at = layout(c).argumentsAt
    const inputs = operands(c, parent)
    const batched = interpreters.batch(
      c.discharged.program,
      inputs,
      inputs.map((_, i) => i < at ? null : slots[i - at].axis),
      { size, name: axisName },
      kept.emit
    )
    const wanted = outputAxes(c, leafAxes, outAxes)
    const outputs = wanted.map(({ axis, path }, i) => place(batched.outputs[i], batched.axes[i], axis, size, path))
    const state = closureState(c, batched.outputs.slice(wanted.length), batched.axes.slice(wanted.length))
    return (yield* conclude(c, [...outputs, ...state], kept)) as A
  }))

/**
 * Fails with an `AliasError` if a Variable of the arguments comes back in the result with another axis than it went in
 * with.
 */
const checkReturned = (
  inner: ReadonlyArray<unknown>,
  out: unknown,
  axes: ReadonlyArray<Axis>,
  outAxes: AxisSpec
): void => {
  const own = new Map(outerSplit(inner).leaves.map((leaf, i) => [leaf._tag === "Variable" ? leaf.variable : leaf, i]))
  for (const leaf of outerSplit([out]).leaves) {
    const argument = leaf._tag === "Variable" ? own.get(leaf.variable) : undefined
    if (leaf._tag !== "Variable" || argument === undefined) continue
    const path = leaf.path.slice(1)
    const axis = axisOf("vmap", outAxes, leaf, path)
    if (axis === axes[argument]) continue
    throw new AliasError({
      operation: "vmap",
      what: `${leaf.variable.kind} (Inconsistent aliasing: axes ${String(axes[argument])}, ${String(axis)})`,
      paths: [["inAxes", ...outerSplit(inner).leaves[argument].path], ["outAxes", ...path]],
      hint: "a Variable that comes back has the axis that it went in with: give outAxes for it"
    })
  }
}

/** State written through closures is one for all elements. Of checks that failed the first counts. */
const closureState = (
  c: Call,
  outputs: ReadonlyArray<Tensor>,
  axes: ReadonlyArray<number | null>
): ReadonlyArray<Tensor> => {
  let next = 0
  return c.discharged.writes.flatMap(({ leaves, slot }) =>
    Array.from({ length: leaves }, () => {
      const x = outputs[next]
      const axis = axes[next++]
      if (axis !== null && slot.cell === c.trace.checks.cell) return firstFailure(moveAxis(x, axis, 0))
      return place(x, axis, null, 0, `the Variable ${slot.cell.label} that the function captured`)
    })
  )
}

/** The smallest number that is not 0, which is no failure; 0 if there is none. */
const firstFailure = (codes: Tensor): Tensor => {
  const none = literal(2 ** 31 - 1, "int32")
  const full = (x: Tensor) => Lax.broadcastTo(x, codes.shape)
  const zero = literal(0, "int32")
  const first = Lax.reduceMin(Lax.selectN(Lax.eq(codes, full(zero)), codes, full(none)), 0)
  return Lax.selectN(Lax.eq(first, none), first, zero)
}
