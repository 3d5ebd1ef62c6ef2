/**
 * What the interpreters know of pooling. The transpose of a window sum is a window sum over the spread cotangent.
 * Largest and smallest elements pass on the tangent of the place that was selected: by the `select_and_*` primitives,
 * or, since those know no dilation, from all places of the windows laid side by side.
 */
import * as DType from "../../Tensor/DType.ts"
import { dilated } from "../../Tensor/lax/convolution.ts"
import {
  argmax,
  argmin,
  concatenate,
  eq,
  iota,
  pad,
  reduceSum,
  reduceWindowMax,
  reduceWindowMin,
  reduceWindowSum,
  selectAndGatherAdd,
  selectAndScatterAdd,
  type SelectParams,
  slice,
  type WindowParams
} from "../../Tensor/lax/index.ts"
import type { Params } from "../../Tensor/lax/window.ts"
import * as Shape from "../../Tensor/Shape.ts"
import type * as ShapedArray from "../../Tensor/ShapedArray.ts"
import type { Tensor } from "../../Tensor/Tensor.ts"
import { isLinear, type RuleTable } from "../Primitive.ts"
import {
  batchFronted,
  batchInPlace,
  costs,
  count,
  full,
  insertAxis,
  type Operands,
  partials,
  transposeFirst,
  where,
  zerosLike
} from "./support.ts"

/** The same windows of an array with an additional axis at `at`, which they do not mix. */
const withAxis = <P extends SelectParams | WindowParams>(params: P, at: number): P => {
  const one = (list: ReadonlyArray<number>) => list.toSpliced(at, 0, 1)
  return {
    ...params,
    window_dimensions: one(params.window_dimensions),
    window_strides: one(params.window_strides),
    padding: params.padding.toSpliced(at, 0, [0, 0]),
    ...("base_dilation" in params && {
      base_dilation: one(params.base_dilation),
      window_dilation: one(params.window_dilation)
    })
  }
}

/** Every element of an operand is in the windows whose cotangents lie, spread by the strides, in a window around it. */
const transposeSum = (cotangent: Tensor, operand: ShapedArray.ShapedArray, p: WindowParams): Tensor => {
  const spread = pad(
    cotangent,
    full([], cotangent.dtype, 0),
    p.padding.map(([low], i) => [
      dilated(p.window_dimensions[i], p.window_dilation[i]) - low - 1,
      dilated(operand.shape[i], p.base_dilation[i]) - dilated(cotangent.shape[i], p.window_strides[i]) + low,
      p.window_strides[i] - 1
    ])
  )
  return reduceWindowSum(spread, {
    ...p,
    window_strides: p.base_dilation,
    padding: p.padding.map(() => [0, 0]),
    base_dilation: p.base_dilation.map(() => 1)
  })
}

/** All positions in a window, row-major. */
const positions = (sizes: Shape.Shape): ReadonlyArray<ReadonlyArray<number>> =>
  sizes.reduce<ReadonlyArray<ReadonlyArray<number>>>(
    (heads, size) => heads.flatMap((head) => Shape.range(size).map((i) => [...head, i])),
    [[]]
  )

/** Axis 0 runs over the positions in a window, the others over the (at least one) windows of shape `windows`. */
const places = (x: Tensor, padding: number, windows: Shape.Shape, p: WindowParams): Tensor => {
  const padded = pad(
    x,
    full([], x.dtype, padding),
    p.padding.map(([low, high], i) => [low, high, p.base_dilation[i] - 1])
  )
  const each = positions(p.window_dimensions).map((position) => {
    const start = position.map((at, i) => at * p.window_dilation[i])
    const limit = start.map((at, i) => at + (windows[i] - 1) * p.window_strides[i] + 1)
    return insertAxis(slice(padded, start, limit, p.window_strides), 1, 0)
  })
  return concatenate(each, 0)
}

/** One operation an element of every window. `windows` says which array has one element a window. */
const reducing = (windows: (e: Operands) => Parameters<typeof count>[0]) =>
  costs<Operands & { readonly params: { readonly window_dimensions: Shape.Shape } }>((e) =>
    count(windows(e)) * Shape.size(e.params.window_dimensions)
  )

const reducingToOutput = reducing((e) => e.outputs[0])

/** The derivative of a largest or smallest element is that of the first element equal to it. */
const selecting = (
  apply: (x: Tensor, params: WindowParams) => Tensor,
  select: SelectParams["select_prim"]
) => ({
  jvp: partials<WindowParams>((g, [x], out, p) => {
    if ([...p.base_dilation, ...p.window_dilation].every((d) => d === 1)) {
      const { padding, window_dimensions, window_strides } = p
      return selectAndGatherAdd(g, x, { select_prim: select, window_dimensions, window_strides, padding })
    }
    if (out.size === 0) return null
    const never = select === "ge" ? DType.lowest(x.dtype) : DType.highest(x.dtype)
    const candidates = places(x, never, out.shape, p)
    const selected = (select === "ge" ? argmax : argmin)(candidates, 0)
    const mask = eq(iota("int32", candidates.shape, 0), insertAxis(selected, candidates.shape[0], 0))
    const tangents = places(g, 0, out.shape, p)
    return reduceSum(where(mask, tangents, zerosLike(tangents)), 0)
  }),
  transpose: null,
  batch: batchInPlace<WindowParams>((x, params, at) => apply(x, withAxis(params, at))),
  cost: reducingToOutput
})

/** Both are linear in their first operand; where the second selects does not change with small changes of it. */
const selected = (
  apply: (x: Tensor, operand: Tensor, params: SelectParams) => Tensor,
  back: (x: Tensor, operand: Tensor, params: SelectParams) => Tensor
) => ({
  jvp: partials<SelectParams>((g, [, operand], _, params) => apply(g, operand, params)),
  transpose: transposeFirst<SelectParams>((cotangent, _, params, [, operand]) =>
    isLinear(operand) ? null : back(cotangent, operand, params)
  ),
  batch: batchFronted<SelectParams>(([x, operand], params) => apply(x, operand, withAxis(params, 0)))
})

/** Rules of the window primitives. */
export const window: RuleTable<keyof Params> = {
  reduce_window_sum: {
    jvp: partials<WindowParams>((g, _, __, params) => reduceWindowSum(g, params)),
    transpose: transposeFirst<WindowParams>(transposeSum),
    batch: batchInPlace<WindowParams>((x, params, at) => reduceWindowSum(x, withAxis(params, at))),
    cost: reducingToOutput
  },
  reduce_window_max: selecting(reduceWindowMax, "ge"),
  reduce_window_min: selecting(reduceWindowMin, "le"),
  select_and_scatter_add: {
    ...selected(selectAndScatterAdd, selectAndGatherAdd),
    cost: reducing((e) => e.inputs[0])
  },
  select_and_gather_add: { ...selected(selectAndGatherAdd, selectAndScatterAdd), cost: reducingToOutput }
}
