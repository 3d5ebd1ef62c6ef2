/**
 * The rules of primitives without bodies that the interpreters still treat one by one: marks on values, named axes, and
 * effects.
 */
import { ShapeError, TraceError } from "../../../Tensor/errors.ts"
import * as Lax from "../../../Tensor/lax/index.ts"
import { literal, type Tensor } from "../../../Tensor/Tensor.ts"
import * as control from "../../control.ts"
import type { Batched, ControlRule, MappedAxis } from "../../Primitive.ts"
import { moveAxis, placeAxis, scale } from "../support.ts"

/** A value with a name for remat policies. */
export const name: ControlRule<"name"> = {
  jvp: (params, [x], [t]) => ({ outputs: [control.checkpointName(x, params.name)], tangents: [t] }),
  transpose: (_, cotangents) => cotangents,
  batch: (params, [x], axes) => ({ outputs: [control.checkpointName(x, params.name)], axes })
}

/** Values whose computations stay apart from what follows. */
export const optimizationBarrier: ControlRule<"optimization_barrier"> = {
  jvp: (_, xs, ts) => {
    const moving = ts.filter((t): t is Tensor => t !== null)
    const through = control.optimizationBarrier(moving)
    let next = 0
    return { outputs: control.optimizationBarrier(xs), tangents: ts.map((t) => t === null ? null : through[next++]) }
  },
  transpose: (_, cotangents) => cotangents,
  batch: (_, xs, axes) => ({ outputs: control.optimizationBarrier(xs), axes })
}

type Collective = "psum" | "pmax" | "pmin"

const bindCollective: Readonly<Record<Collective, (x: Tensor, axisName: string) => Tensor>> = {
  psum: control.psum,
  pmax: control.pmax,
  pmin: control.pmin
}

const reduceCollective: Readonly<Record<Collective, (x: Tensor, axis: number) => Tensor>> = {
  psum: Lax.reduceSum,
  pmax: Lax.reduceMax,
  pmin: Lax.reduceMin
}

const batchCollective = (primitive: Collective) =>
(
  params: { readonly axis_name: string },
  [x]: ReadonlyArray<Tensor>,
  [at]: ReadonlyArray<number | null>,
  axis: MappedAxis
): Batched => {
  if (params.axis_name !== axis.name) return { outputs: [bindCollective[primitive](x, params.axis_name)], axes: [at] }
  if (at !== null) return { outputs: [reduceCollective[primitive](x, at)], axes: [null] }
  return { outputs: [primitive === "psum" ? scale(x, axis.size) : x], axes: [null] }
}

/** The sum along a named axis: linear, and its own transpose. */
export const psum: ControlRule<"psum"> = {
  jvp: (params, [x], [t]) => ({
    outputs: [control.psum(x, params.axis_name)],
    tangents: [t === null ? null : control.psum(t, params.axis_name)]
  }),
  transpose: (params, [ct]) => [ct === null ? null : control.psum(ct, params.axis_name)],
  batch: batchCollective("psum")
}

const extremum = (primitive: "pmax" | "pmin"): ControlRule<"pmax" | "pmin"> => ({
  // As reduce_max: the tangent of whoever has the extremum, shared among equals.
  jvp: (params, [x], [t]) => {
    const out = bindCollective[primitive](x, params.axis_name)
    if (t === null) return { outputs: [out], tangents: [null] }
    const here = Lax.convertElementType(Lax.eq(x, out), x.dtype)
    const share = Lax.div(here, control.psum(here, params.axis_name))
    return { outputs: [out], tangents: [control.psum(Lax.mul(t, share), params.axis_name)] }
  },
  transpose: () => {
    throw new TraceError({
      transform: "transpose",
      reason: `${primitive} is not linear`,
      hint: "its derivative uses psum; please report it"
    })
  },
  batch: batchCollective(primitive)
})

/** The largest along a named axis. */
export const pmax: ControlRule<"pmax"> = extremum("pmax")
/** The smallest along a named axis. */
export const pmin: ControlRule<"pmin"> = extremum("pmin")

const wrongSize = (params: { readonly axis_name: string; readonly axis_size: number }, axis: MappedAxis): ShapeError =>
  new ShapeError({
    operation: "allGather",
    expected: `axisSize ${axis.size}, the size of the axis ${params.axis_name}`,
    found: String(params.axis_size),
    hint: "give the size of the mapped axis"
  })

/** All values along a named axis. */
export const allGather: ControlRule<"all_gather"> = {
  jvp: (params, [x], [t]) => ({
    outputs: [control.allGather(x, params.axis_name, params.axis_size)],
    tangents: [t === null ? null : control.allGather(t, params.axis_name, params.axis_size)]
  }),
  // Everyone's row of the summed cotangent.
  transpose: (params, [ct]) => {
    if (ct === null) return [null]
    const zero = literal(0, "int32")
    const row = Lax.dynamicSlice(control.psum(ct, params.axis_name), [
      control.axisIndex(params.axis_name),
      ...ct.shape.slice(1).map(() => zero)
    ], [1, ...ct.shape.slice(1)])
    return [Lax.reshape(row, ct.shape.slice(1))]
  },
  batch: (params, [x], [at], axis) => {
    if (params.axis_name === axis.name) {
      if (params.axis_size !== axis.size) throw wrongSize(params, axis)
      return { outputs: [placeAxis(x, at, axis.size, 0)], axes: [null] }
    }
    const gathered = control.allGather(x, params.axis_name, params.axis_size)
    return { outputs: [gathered], axes: [at === null ? null : at + 1] }
  }
}

/** The position along a named axis. */
export const axisIndex: ControlRule<"axis_index"> = {
  jvp: (params) => ({ outputs: [control.axisIndex(params.axis_name)], tangents: [null] }),
  transpose: () => [],
  batch: (params, _, __, axis) =>
    params.axis_name === axis.name
      ? { outputs: [Lax.iota("int32", [axis.size], 0)], axes: [0] }
      : { outputs: [control.axisIndex(params.axis_name)], axes: [null] }
}

/** A host callback: on duals it sees the primals; batched, it is called once for every element. */
export const debugCallback: ControlRule<"debug_callback"> = {
  jvp: (params, primals, _, { emit }) => {
    emit(control.debugCallback(params, primals))
    return { outputs: [], tangents: [] }
  },
  transpose: (_, __, inputs) => inputs.map(() => null),
  batch: (params, inputs, axes, axis, { emit }) => {
    const calls = axes.every((a) => a === null) ? 1 : axis.size
    for (let i = 0; i < calls; i++) {
      emit(control.debugCallback(params, inputs.map((x, k) => axes[k] === null ? x : element(x, axes[k], i))))
    }
    return { outputs: [], axes: [] }
  }
}

/** Element i along an axis. */
const element = (x: Tensor, axis: number, i: number): Tensor => {
  const first = moveAxis(x, axis, 0)
  const start = first.shape.map((_, d) => d === 0 ? i : 0)
  const limit = first.shape.map((size, d) => d === 0 ? i + 1 : size)
  return Lax.reshape(Lax.slice(first, start, limit), first.shape.slice(1))
}

const shownOnly = (primitive: string) => (): never => {
  throw new TraceError({
    transform: "makeProgram",
    reason: `${primitive} stands only in Programs that are shown`,
    hint: "transform the function, not the Program that makeProgram gave"
  })
}

const shown = (primitive: "get_variable" | "set_variable"): ControlRule<"get_variable" | "set_variable"> => ({
  jvp: shownOnly(primitive),
  transpose: shownOnly(primitive),
  batch: shownOnly(primitive)
})

/** A read of a Variable in a Program that is shown. */
export const getVariable: ControlRule<"get_variable"> = shown("get_variable")
/** A write of a Variable in a Program that is shown. */
export const setVariable: ControlRule<"set_variable"> = shown("set_variable")
