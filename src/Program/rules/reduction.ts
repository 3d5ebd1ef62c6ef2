/**
 * Rules of reductions. Sums are linear; a maximum passes the tangents of the elements that attain it, evenly; products
 * and running reductions are differentiated through a tree of binary steps on pairs (value, tangent), which divides by
 * nothing and so is exact at zeros.
 */
import * as lax from "../../Tensor/lax/index.ts"
import type { Cumulative, Params } from "../../Tensor/lax/reduction.ts"
import * as Shape from "../../Tensor/Shape.ts"
import { literal, type Tensor } from "../../Tensor/Tensor.ts"
import type { BatchRule, RuleTable, Tangent } from "../Primitive.ts"
import {
  batchedAt,
  batchInPlace,
  costPerInput,
  costs,
  count,
  firstMapped,
  linearJvp,
  past,
  transposeFirst,
  where,
  zerosLike
} from "./support.ts"

type Axes = ReadonlyArray<number>

/** Places of the axes that a reduction keeps. */
const keptAxes = (rank: number, axes: Axes): Axes => Shape.range(rank).filter((i) => !axes.includes(i))

/** A reduced array, repeated along the axes that it lost. */
const spread = (x: Tensor, shape: Shape.Shape, axes: Axes): Tensor =>
  lax.broadcastInDim(x, shape, keptAxes(shape.length, axes))

const batchReduction =
  <P extends { readonly axes: Axes }>(apply: (x: Tensor, axes: Axes, params: P) => Tensor) =>
  (params: P, [x]: ReadonlyArray<Tensor>, mapped: ReadonlyArray<number | null>) => {
    const at = firstMapped(mapped)
    const axes = params.axes.map(past(at))
    return batchedAt([apply(x, axes, params)], at - axes.filter((a) => a < at).length)
  }

/**
 * The jvp of max and min: the mean of the tangents of the elements that are the result. It is computed again, and not
 * twice in one Program: the result that is there may come from elements that were rounded in another way.
 */
const jvpOfExtremum = (apply: (x: Tensor, axes: Axes) => Tensor) =>
(
  { axes }: { readonly axes: Axes },
  [x]: ReadonlyArray<Tensor>,
  [t]: ReadonlyArray<Tangent>
): ReadonlyArray<Tangent> => {
  if (t === null || x.size === 0) return [null]
  const attained = lax.convertElementType(lax.eq(x, spread(apply(x, axes), x.shape, axes)), x.dtype)
  const share = lax.div(attained, spread(lax.reduceSum(attained, axes), x.shape, axes))
  return [lax.reduceSum(lax.mul(t, share), axes)]
}

/** An array with a tangent. */
interface Dual {
  readonly value: Tensor
  readonly tangent: Tensor
}

/** A binary operation on values with tangents: its value, and its tangent, which is linear in those of the operands. */
type Combine = (a: Dual, b: Dual) => Dual

const sliceAxis = (x: Tensor, axis: number, from: number, to: number): Tensor =>
  lax.slice(x, x.shape.map((_, i) => i === axis ? from : 0), x.shape.map((d, i) => i === axis ? to : d))

const part = ({ tangent, value }: Dual, axis: number, from: number, to: number): Dual => ({
  value: sliceAxis(value, axis, from, to),
  tangent: sliceAxis(tangent, axis, from, to)
})

const join = (parts: ReadonlyArray<Dual>, axis: number): Dual => ({
  value: lax.concatenate(parts.map((p) => p.value), axis),
  tangent: lax.concatenate(parts.map((p) => p.tangent), axis)
})

const multiply: Combine = (a, b) => ({
  value: lax.mul(a.value, b.value),
  tangent: lax.add(lax.mul(a.tangent, b.value), lax.mul(a.value, b.tangent))
})

/** max or min; of two equals each gives half of its tangent. */
const choose =
  (apply: (x: Tensor, y: Tensor) => Tensor, before: (x: Tensor, y: Tensor) => Tensor): Combine => (a, b) => {
    const half = literal(0.5, a.tangent.dtype, true)
    const mean = lax.mul(lax.add(a.tangent, b.tangent), lax.broadcastTo(half, a.tangent.shape))
    const unequal = where(before(a.value, b.value), a.tangent, b.tangent)
    return { value: apply(a.value, b.value), tangent: where(lax.eq(a.value, b.value), mean, unequal) }
  }

/** log(eᵃ + eᵇ) = max(a, b) + log1p(e^-|a-b|), with the derivatives σ(a-b) and σ(b-a). */
const logAddExp: Combine = (a, b) => {
  // Equal infinities have no difference.
  const infinite = lax.and(lax.eq(a.value, b.value), lax.not(lax.isFinite(a.value)))
  const difference = where(infinite, zerosLike(a.value), lax.sub(a.value, b.value))
  // The larger, and the gap to it, as choices: |x| and max have no second derivatives at ties that would do.
  const isFirst = lax.ge(difference, zerosLike(difference))
  const gap = where(isFirst, lax.neg(difference), difference)
  return {
    value: lax.add(where(isFirst, a.value, b.value), lax.log1p(lax.exp(gap))),
    tangent: lax.add(
      lax.mul(a.tangent, lax.logistic(difference)),
      lax.mul(b.tangent, lax.logistic(lax.neg(difference)))
    )
  }
}

/** Combines all elements along an axis, halves with halves; an odd one waits. The axis keeps size 1. */
const combineAll = (x: Dual, axis: number, combine: Combine): Dual => {
  const n = x.value.shape[axis]
  if (n === 1) return x
  const half = Math.floor(n / 2)
  const combined = combine(part(x, axis, 0, half), part(x, axis, half, 2 * half))
  return combineAll(n % 2 === 0 ? combined : join([combined, part(x, axis, 2 * half, n)], axis), axis, combine)
}

/** The jvp of a product over axes, which are first made one. */
const jvpOfProduct = (
  { axes }: { readonly axes: Axes },
  [x]: ReadonlyArray<Tensor>,
  [t]: ReadonlyArray<Tangent>,
  [out]: ReadonlyArray<Tensor>
): ReadonlyArray<Tangent> => {
  if (t === null || x.size === 0) return [null]
  const kept = keptAxes(x.ndim, axes)
  const flat = (y: Tensor): Tensor =>
    lax.reshape(lax.transpose(y, [...kept, ...axes]), [...out.shape, Shape.size(axes.map((a) => x.shape[a]))])
  const product = combineAll({ value: flat(x), tangent: flat(t) }, out.ndim, multiply)
  return [lax.reshape(product.tangent, out.shape)]
}

/**
 * Running combinations along an axis, by doubling (Hillis & Steele, 1986): after step k, element i covers the 2ᵏ
 * elements that end at i. O(n log n) work, log n steps.
 */
const combineRunning = (x: Dual, { axis, reverse }: Cumulative, combine: Combine): Dual => {
  const n = x.value.shape[axis]
  let now = x
  for (let step = 1; step < n; step *= 2) {
    const front = part(now, axis, 0, reverse ? n - step : step)
    const back = part(now, axis, reverse ? n - step : step, n)
    now = reverse
      ? join([combine(front, part(now, axis, step, n)), back], axis)
      : join([front, combine(part(now, axis, 0, n - step), back)], axis)
  }
  return now
}

const jvpOfRunning =
  (combine: Combine) =>
  (params: Cumulative, [x]: ReadonlyArray<Tensor>, [t]: ReadonlyArray<Tangent>): ReadonlyArray<Tangent> => [
    t === null ? null : combineRunning({ value: x, tangent: t }, params, combine).tangent
  ]

type Running = (x: Tensor, axis: number, reverse?: boolean) => Tensor

const batchRunning = (apply: Running) =>
  batchInPlace((x, { axis, reverse }: Cumulative, at) => apply(x, past(at)(axis), reverse))

const running = (apply: Running, combine: Combine) => ({
  jvp: jvpOfRunning(combine),
  transpose: null,
  batch: batchRunning(apply),
  cost: costPerInput
})

type Reduction = (x: Tensor, axes: Axes) => Tensor

const extremum = (apply: Reduction) => ({
  jvp: jvpOfExtremum(apply),
  transpose: null,
  batch: batchReduction(apply),
  cost: costPerInput
})

const discrete = (apply: Reduction) => ({
  jvp: null,
  transpose: null,
  batch: batchReduction(apply),
  cost: costPerInput
})

const arg = (apply: (x: Tensor, axis: number, dtype: Params["argmax"]["index_dtype"]) => Tensor) => ({
  jvp: null,
  transpose: null,
  batch: batchReduction((x, axes, { index_dtype }: Params["argmax"]) =>
    apply(x, axes[0], index_dtype)
  ) satisfies BatchRule<"argmax">,
  cost: costs((e) => count(e.inputs[0]))
})

/** The rules of the reductions. */
export const reduction: RuleTable<keyof Params> = {
  reduce_sum: {
    jvp: linearJvp(([t], { axes }) => lax.reduceSum(t, axes)),
    transpose: transposeFirst((ct, x, { axes }) => spread(ct, x.shape, axes)),
    batch: batchReduction((x, axes) => lax.reduceSum(x, axes)),
    cost: costPerInput
  },
  reduce_prod: {
    jvp: jvpOfProduct,
    transpose: null,
    batch: batchReduction((x, axes) => lax.reduceProd(x, axes)),
    cost: costPerInput
  },
  reduce_max: extremum(lax.reduceMax),
  reduce_min: extremum(lax.reduceMin),
  reduce_and: discrete(lax.reduceAnd),
  reduce_or: discrete(lax.reduceOr),
  argmax: arg(lax.argmax),
  argmin: arg(lax.argmin),
  cumsum: {
    jvp: linearJvp(([t], { axis, reverse }) => lax.cumsum(t, axis, reverse)),
    transpose: transposeFirst((ct, _, { axis, reverse }) => lax.cumsum(ct, axis, !reverse)),
    batch: batchRunning(lax.cumsum),
    cost: costPerInput
  },
  cumprod: running(lax.cumprod, multiply),
  cummax: running(lax.cummax, choose(lax.max, lax.gt)),
  cummin: running(lax.cummin, choose(lax.min, lax.lt)),
  cumlogsumexp: running(lax.cumlogsumexp, logAddExp)
}
