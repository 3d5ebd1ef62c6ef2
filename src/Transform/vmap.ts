/**
 * `vmap`: a function of one example becomes a function of a batch.
 */
import * as Effect from "effect/Effect"
import { interpreters } from "../Program/interpreters.ts"
import { moveAxis, placeAxis } from "../Program/rules/support.ts"
import { CurrentTrace } from "../Program/Trace.ts"
import { TraceError } from "../Tensor/errors.ts"
import * as Lax from "../Tensor/lax/index.ts"
import * as ShapedArray from "../Tensor/ShapedArray.ts"
import type { Tensor } from "../Tensor/Tensor.ts"
import { attempt, type TransformError } from "./attempt.ts"
import { argumentAxes, type Axis, axisOf, type AxisSpec, canonical, commonSize } from "./axes.ts"
import {
  type Call,
  call,
  emitter,
  flush,
  land,
  layout,
  operands,
  slotsOf,
  splitArguments,
  writeThrough
} from "./lift.ts"
import type { Check, Traceable } from "./types.ts"

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

/** A result with its mapped axis where it is wanted. */
const place = (x: Tensor, from: number | null, to: Axis, size: number, path: string): Tensor => {
  if (to === "carry") {
    throw new TraceError({ transform: "vmap", reason: "Carry is no axis of vmap", hint: "use it with scan" })
  }
  if (to !== null) {
    const rank = from === null ? x.ndim + 1 : x.ndim
    return placeAxis(x, from, size, to < 0 ? to + rank : to)
  }
  if (from === null) return x
  throw new TraceError({
    transform: "vmap",
    reason: `at ${path}: the axis spec is null but the value is batched (on axis ${from})`,
    hint: "map it with inAxes/outAxes or StateAxes, or reduce over the batch (psum, pmean) before writing it"
  })
}

/**
 * Maps a function over an axis of its arguments. Inside, arrays don't have the axis; outside, results have it at `outAxes`.
 *
 * Modules can be mapped: their Variables' arrays are stacks. A Variable that is not mapped must not be written with a value that
 * differs along the axis. Checks inside fail if any element fails.
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
  f: Traceable<Args, A, E, R> & Check<NoInfer<R>>,
  options: VmapOptions = {}
) =>
(...args: Args): Effect.Effect<A, E | TransformError, R> =>
  Effect.gen(function*() {
    const parent = yield* CurrentTrace
    const split = splitArguments(args, parent)
    const leafAxes = yield* argumentAxes("vmap", options.inAxes ?? 0, split, args)
    const { axes, avals, size } = yield* attempt(() => {
      const slots = slotsOf(split).map(({ leaf, path, x }) => {
        const axis = leafAxes[leaf]
        if (axis === "carry") {
          throw new TraceError({ transform: "vmap", reason: "Carry is no axis of vmap", hint: "use it with scan" })
        }
        return { axis: axis === null ? null : canonical("vmap", axis, x, path), path, x }
      })
      const mapped = slots.flatMap((s) => s.axis === null ? [] : [{ size: s.x.shape[s.axis], path: s.path }])
      return {
        axes: slots.map((s) => s.axis),
        avals: slots.map((s) =>
          s.axis === null ? s.x.aval : ShapedArray.withShape(s.x.aval, s.x.shape.filter((_, i) => i !== s.axis))
        ),
        size: commonSize("vmap", mapped, options.axisSize)
      }
    })
    const c = yield* call<Args, A, E, R>(f, split, parent, {
      transform: `vmap(${f.name || "anonymous"})`,
      aval: (slot) => avals[slot]
    })
    const { emit, nodes } = emitter(parent)
    const at = layout(c).argumentsAt
    const inputs = operands(c, parent)
    const value = yield* attempt(() => {
      const batched = interpreters.batch(
        c.discharged.program,
        inputs,
        inputs.map((_, i) => i < at ? null : axes[i - at]),
        { size, name: options.axisName },
        emit
      )
      const wanted = outputAxes(c, leafAxes, options.outAxes ?? 0)
      const outputs = wanted.map(({ axis, path }, i) => place(batched.outputs[i], batched.axes[i], axis, size, path))
      const state = closureState(c, batched.outputs.slice(wanted.length), batched.axes.slice(wanted.length))
      return land(c, { outputs, state, parent, write: writeThrough(parent) }) as A
    })
    yield* flush(nodes, c.trace.ownChecks, parent)
    return value
  })

/** State written through closures is one for all elements. The error code of checks is the largest of any. */
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
      if (axis !== null && slot.cell === c.trace.checks.cell) return Lax.reduceMax(moveAxis(x, axis, 0), 0)
      return place(x, axis, null, 0, `the Variable ${slot.cell.label} that the function captured`)
    })
  )
}
