/**
 * `vmap`: a function of one example becomes a function of a batch.
 */
import * as Effect from "effect/Effect"
import type { Leaf } from "../GraphDef/updateContext.ts"
import { interpreters } from "../Program/interpreters.ts"
import { moveAxis, placeAxis } from "../Program/rules/support.ts"
import { CurrentTrace } from "../Program/Trace.ts"
import type { Path } from "../State/Path.ts"
import { TraceError } from "../Tensor/errors.ts"
import * as Lax from "../Tensor/lax/index.ts"
import * as ShapedArray from "../Tensor/ShapedArray.ts"
import { literal, type Tensor } from "../Tensor/Tensor.ts"
import { argumentAxes, checkReturned } from "./aliasing.ts"
import { throwing, type TransformError } from "./attempt.ts"
import { type Axis, axisOf, type AxisSpec, canonical, commonSize } from "./axes.ts"
import { axisChanges, type TransformMetadata } from "./axisMetadata.ts"
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
  /** The name of the mapped axis in the metadata of Variables. */
  readonly transformMetadata?: TransformMetadata
}

/**
 * Where each output of a call's Program has its mapped axis, for its owner outside. `made` says it of what is new.
 */
const outputAxes = (
  c: Call,
  argAxes: ReadonlyArray<Axis>,
  made: (leaf: Leaf, path: Path) => Axis
): ReadonlyArray<{ axis: Axis; path: string }> =>
  c.results.flatMap((r) => {
    if (r.unchanged) return []
    const axis = r.argument !== undefined ? argAxes[r.argument] : made(r.leaf, r.leaf.path)
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
    reason: `at ${path}: got axis spec null but output was batched on axis ${from}`,
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
    const made = (leaf: Leaf, path: Path): Axis => path[0] === "0" ? 0 : axisOf("vmap", outAxes, leaf, path.slice(1))
    const changes = axisChanges("vmap", leafAxes, made, options.transformMetadata)
    const c = yield* call<Args, A, E, R>(f, split, parent, {
      transform: `vmap(${f.name || "anonymous"})`,
      aval: (slot, outer) => {
        const { axis } = slots[slot]
        return axis === null ? outer : ShapedArray.withShape(outer, outer.shape.filter((_, i) => i !== axis))
      },
      enter: changes.enter,
      inspect: (inner, out) => {
        checkReturned("vmap", { inner, out, entered: changes.entered, leaves: split.leaves, given: leafAxes, outAxes })
        changes.leave(inner, out)
      }
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
    const wanted = outputAxes(c, leafAxes, made)
    const outputs = wanted.map(({ axis, path }, i) => place(batched.outputs[i], batched.axes[i], axis, size, path))
    const state = closureState(c, batched.outputs.slice(wanted.length), batched.axes.slice(wanted.length))
    return (yield* conclude(c, [...outputs, ...state], kept)) as A
  }))

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
