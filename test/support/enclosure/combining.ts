// Operations on intervals where an element depends on many: reductions, running ones, products, windows, choices.
import type { ArrayPrimitive } from "../../../src/Program/Primitive.ts"
import type { EquationOf } from "../../../src/Program/Program.ts"
import type { DType } from "../../../src/Tensor/DType.ts"
import * as DTypes from "../../../src/Tensor/DType.ts"
import type { Shape } from "../../../src/Tensor/Shape.ts"
import type { ShapedArray } from "../../../src/Tensor/ShapedArray.ts"
import { elements } from "../reference/elements.ts"
import { products } from "../reference/products.ts"
import { special } from "../reference/special.ts"
import type { Meaning, Value } from "../reference/values.ts"
import {
  anything,
  aroundSum,
  Builder,
  type Enclosure,
  exact,
  hold,
  hull,
  type Interval,
  isAnything,
  isExact,
  isFloat,
  ulp,
  unknown
} from "./values.ts"

const strides = (shape: Shape): ReadonlyArray<number> =>
  shape.map((_, i) => shape.slice(i + 1).reduce((a, b) => a * b, 1))

/** Offsets of all positions along some axes, row-major. */
const offsetsAlong = (shape: Shape, axes: ReadonlyArray<number>): ReadonlyArray<number> => {
  const step = strides(shape)
  return axes.reduce<ReadonlyArray<number>>(
    (heads, axis) => heads.flatMap((head) => Array.from({ length: shape[axis] }, (_, i) => head + i * step[axis])),
    [0]
  )
}

const isSure = (x: Enclosure): boolean => x.lo === x.hi

// ---------------------------------------------------------------------------------------------------------------------
// Folding lines of elements
// ---------------------------------------------------------------------------------------------------------------------

type Fold = (x: Enclosure, at: ReadonlyArray<number>, dtype: DType) => Interval

const largest = (a: number, b: number): number => Number.isNaN(a) || Number.isNaN(b) ? Number.NaN : Math.max(a, b)
const smallest = (a: number, b: number): number => Number.isNaN(a) || Number.isNaN(b) ? Number.NaN : Math.min(a, b)

const both = (
  x: Enclosure,
  at: ReadonlyArray<number>,
  f: (a: number, b: number) => number,
  first: number
): Interval => {
  if (at.some((i) => isAnything(x.lo[i], x.hi[i]))) return anything
  return hull([at.reduce((a, i) => f(a, x.lo[i]), first), at.reduce((a, i) => f(a, x.hi[i]), first)])
}

const sum: Fold = (x, at, dtype) => {
  let [lo, hi, magnitude] = [0, 0, 0]
  for (const i of at) {
    if (isAnything(x.lo[i], x.hi[i])) return anything
    lo += x.lo[i]
    hi += x.hi[i]
    const m = Math.max(Math.abs(x.lo[i]), Math.abs(x.hi[i]))
    if (Number.isFinite(m)) magnitude += m
  }
  return aroundSum(lo, hi, magnitude, at.length, dtype)
}

const product: Fold = (x, at, dtype) => {
  let [lo, hi, large, small] = [1, 1, 1, 1]
  for (const i of at) {
    const [a, b] = [x.lo[i], x.hi[i]]
    if (isAnything(a, b)) return anything
    ;[lo, hi] = isExact(a, b) && isExact(lo, hi) ? [lo * a, hi * a] : hull([lo * a, lo * b, hi * a, hi * b])
    if (isAnything(lo, hi)) return anything
    const m = Math.max(Math.abs(a), Math.abs(b))
    if (Number.isFinite(m)) large *= Math.max(m, 1)
    const l = Math.min(Math.abs(a), Math.abs(b))
    if (l > 0) small *= Math.min(l, 1)
  }
  if (Number.isNaN(lo)) return [lo, hi]
  if (large > 1e38 || small < 1e-37) return anything
  const slack = at.length * Math.max(ulp(lo), ulp(hi))
  return [hold(lo - slack, dtype), hold(hi + slack, dtype)]
}

const logSumExp: Fold = (x, at, dtype) => {
  const lse = (data: ReadonlyArray<number>): number => {
    const top = at.reduce((m, i) => largest(m, data[i]), -Infinity)
    return Number.isFinite(top) ? top + Math.log(at.reduce((s, i) => s + Math.exp(data[i] - top), 0)) : top
  }
  if (at.some((i) => isAnything(x.lo[i], x.hi[i]))) return anything
  const [lo, hi] = hull([lse(x.lo), lse(x.hi)])
  if (isAnything(lo, hi) || Number.isNaN(lo)) return [lo, hi]
  const top = at.reduce((m, i) => Math.max(m, Math.abs(x.hi[i]), Number.isFinite(x.lo[i]) ? Math.abs(x.lo[i]) : 0), 1)
  const slack = Number.isFinite(top) ? (at.length + 4) * 2 ** -23 * (top + Math.log(at.length + 1)) : 0
  return [hold(lo - slack, dtype), hold(hi + slack, dtype)]
}

/** Whole numbers, which must be exact. */
const whole = (f: (a: number, b: number) => number, first: number): Fold => (x, at, dtype) => {
  if (at.some((i) => x.lo[i] !== x.hi[i])) return anything
  const v = hold(at.reduce((a, i) => f(a, x.lo[i]), first), dtype)
  return [v, v]
}

const fold = (name: string, dtype: DType): Fold => {
  const floats = isFloat(dtype)
  switch (name) {
    case "sum":
      return floats ? sum : whole((a, b) => (a + b) | 0, 0)
    case "prod":
      return floats ? product : whole(Math.imul, 1)
    case "max":
      return (x, at) => both(x, at, largest, DTypes.lowest(dtype))
    case "min":
      return (x, at) => both(x, at, smallest, DTypes.highest(dtype))
    case "logsumexp":
      return logSumExp
    case "and":
      return dtype === "bool" ? (x, at) => both(x, at, Math.min, 1) : whole((a, b) => a & b, -1)
    default:
      return dtype === "bool" ? (x, at) => both(x, at, Math.max, 0) : whole((a, b) => a | b, 0)
  }
}

/** `reduce_…` along axes. */
export const reduced = (name: string, x: Enclosure, axes: ReadonlyArray<number>, out: ShapedArray): Enclosure => {
  const kept = x.shape.flatMap((_, i) => axes.includes(i) ? [] : [i])
  const lines = offsetsAlong(x.shape, axes)
  const f = fold(name, out.dtype)
  const builder = new Builder()
  for (const first of offsetsAlong(x.shape, kept)) builder.push(f(x, lines.map((i) => first + i), out.dtype))
  return builder.done(out.shape, out.dtype)
}

/** `cum…` along an axis. Narrow floats may be rounded at every step. */
export const running = (name: string, x: Enclosure, axis: number, reverse: boolean): Enclosure => {
  const step = strides(x.shape)[axis]
  const n = x.shape[axis]
  const f = fold(name, x.dtype)
  const coarse = x.dtype === "float16" ? 2 ** -11 : x.dtype === "bfloat16" ? 2 ** -8 : 0
  const builder = new Builder()
  for (let i = 0; i < x.lo.length; i++) {
    const here = Math.floor(i / step) % n
    const first = i - here * step
    const from = reverse ? here : 0
    const to = reverse ? n : here + 1
    const at = Array.from({ length: to - from }, (_, k) => first + (from + k) * step)
    const [lo, hi] = f(x, at, x.dtype)
    if (coarse === 0 || name === "max" || name === "min" || !Number.isFinite(lo) || !Number.isFinite(hi)) {
      builder.push([lo, hi])
      continue
    }
    const all = at.reduce((s, k) => s + Math.max(Math.abs(x.lo[k]), Math.abs(x.hi[k])), Math.abs(hi) + Math.abs(lo))
    const slack = coarse * at.length * all
    builder.push([hold(lo - slack, x.dtype), hold(hi + slack, x.dtype)])
  }
  return builder.done(x.shape, x.dtype)
}

/** `argmax` and `argmin`: the index, where no other element can be as good. */
export const argBest = (x: Enclosure, axis: number, isMax: boolean, out: ShapedArray): Enclosure => {
  const kept = x.shape.flatMap((_, i) => i === axis ? [] : [i])
  const lines = offsetsAlong(x.shape, [axis])
  const builder = new Builder()
  for (const first of offsetsAlong(x.shape, kept)) {
    const at = lines.map((i) => first + i)
    const isBetter = (a: number, b: number) => isMax ? a > b : a < b
    if (at.every((i) => isExact(x.lo[i], x.hi[i]))) {
      const values = at.map((i) => x.lo[i])
      const nan = values.findIndex((v) => Number.isNaN(v))
      const best = nan >= 0 ? nan : values.reduce((b, v, i) => isBetter(v, values[b]) ? i : b, 0)
      builder.push([best, best])
      continue
    }
    const [worst, top] = isMax ? [x.lo, x.hi] : [x.hi, x.lo]
    const best = at.reduce((b, _, i) => isBetter(worst[at[i]], worst[at[b]]) ? i : b, 0)
    const isClear = at.every((i, k) => !Number.isNaN(x.lo[i]) && (k === best || isBetter(worst[at[best]], top[i])))
    builder.push(isClear ? [best, best] : anything)
  }
  return builder.done(out.shape, out.dtype)
}

// ---------------------------------------------------------------------------------------------------------------------
// Products
// ---------------------------------------------------------------------------------------------------------------------

/** `dot_general`. */
export const dot = (
  { outputs: [{ aval }], params }: EquationOf<"dot_general">,
  x: Enclosure,
  y: Enclosure
): Enclosure => {
  const { batch: [xb, yb], contracting: [xc, yc] } = params.dimension_numbers
  const free = (v: Enclosure, ...used: ReadonlyArray<number>) => v.shape.flatMap((_, i) => used.includes(i) ? [] : [i])
  const rows = offsetsAlong(x.shape, free(x, ...xb, ...xc))
  const columns = offsetsAlong(y.shape, free(y, ...yb, ...yc))
  const xBatch = offsetsAlong(x.shape, xb)
  const yBatch = offsetsAlong(y.shape, yb)
  const xInner = offsetsAlong(x.shape, xc)
  const yInner = offsetsAlong(y.shape, yc)
  const term = isFloat(aval.dtype) ? floatProduct : wholeProduct
  const builder = new Builder()
  xBatch.forEach((b, number) => {
    for (const row of rows) {
      for (const column of columns) {
        builder.push(term(x, b + row, xInner, y, yBatch[number] + column, yInner, aval.dtype))
      }
    }
  })
  return builder.done(aval.shape, aval.dtype)
}

type Line = readonly [x: Enclosure, from: number, at: ReadonlyArray<number>]

const wholeProduct = (...[x, p, xs, y, q, ys, dtype]: [...Line, ...Line, DType]): Interval => {
  let v = 0
  for (let k = 0; k < xs.length; k++) {
    const [i, j] = [p + xs[k], q + ys[k]]
    if (x.lo[i] !== x.hi[i] || y.lo[j] !== y.hi[j]) return anything
    v = (v + Math.imul(x.lo[i], y.lo[j])) | 0
  }
  return [hold(v, dtype), hold(v, dtype)]
}

const floatProduct = (...[x, p, xs, y, q, ys, dtype]: [...Line, ...Line, DType]): Interval => {
  let [lo, hi, magnitude] = [0, 0, 0]
  const sure = isSure(x) && isSure(y)
  for (let k = 0; k < xs.length; k++) {
    const [i, j] = [p + xs[k], q + ys[k]]
    const [a, c] = [x.lo[i], y.lo[j]]
    if (sure) {
      const v = a * c
      lo += v
      hi += v
      if (Number.isFinite(v)) magnitude += Math.abs(v)
      continue
    }
    const [b, d] = [x.hi[i], y.hi[j]]
    if (isAnything(a, b) || isAnything(c, d)) return anything
    const [low, high] = hull([a * c, a * d, b * c, b * d])
    if (isAnything(low, high)) return anything
    lo += low
    hi += high
    const m = Math.max(Math.abs(low), Math.abs(high))
    if (Number.isFinite(m)) magnitude += m
  }
  return aroundSum(lo, hi, magnitude, xs.length + 2, dtype)
}

// ---------------------------------------------------------------------------------------------------------------------
// By the reference evaluator
// ---------------------------------------------------------------------------------------------------------------------

const tables: Readonly<Record<string, unknown>> = { ...elements, ...products, ...special }

/** What the reference evaluator says, for numbers in place of intervals. */
export const reference = (
  equation: {
    readonly primitive: string
    readonly params: unknown
    readonly outputs: ReadonlyArray<{ readonly aval: ShapedArray }>
  },
  inputs: ReadonlyArray<Value>
): ReadonlyArray<Value> => {
  const meaning = tables[equation.primitive] as Meaning<ArrayPrimitive> | undefined
  if (meaning === undefined) throw new Error(`no reference for the primitive ${equation.primitive}`)
  return meaning(equation.params as never, inputs, equation.outputs.map((v) => v.aval))
}

const low = (x: Enclosure): Value => ({ shape: x.shape, data: x.lo })
const high = (x: Enclosure): Value => ({ shape: x.shape, data: x.hi })
const mapped = (x: Enclosure, f: (lo: number, hi: number) => number): Value => ({
  shape: x.shape,
  data: x.lo.map((a, i) => f(a, x.hi[i]))
})

type Any = Parameters<typeof reference>[0]

/** Operations that move elements, or grow with every one of them: both ends go their way. */
export const endwise = (equation: Any, xs: ReadonlyArray<Enclosure>): ReadonlyArray<Enclosure> => {
  const lows = reference(equation, xs.map(low))
  const highs = xs.every(isSure) ? lows : reference(equation, xs.map(high))
  return equation.outputs.map(({ aval }, i): Enclosure => {
    const [lo, hi] = [lows[i].data, highs[i].data]
    if (lo === hi) return exact(aval.shape, aval.dtype, lo)
    const builder = new Builder()
    lo.forEach((a, k) => builder.push(isExact(a, hi[k]) ? [a, hi[k]] : hull([a, hi[k]])))
    return builder.done(aval.shape, aval.dtype)
  })
}

const isTame = (x: Enclosure): boolean => x.lo.every(Number.isFinite) && (isSure(x) || x.hi.every(Number.isFinite))

const middle = (lo: number, hi: number): number => (lo + hi) / 2
const radius = (lo: number, hi: number): number => (hi - lo) / 2
const size = (lo: number, hi: number): number => Math.max(Math.abs(lo), Math.abs(hi))

/** Operations that are linear in the first operand, and (`bilinear`) in the second: sums of at most `terms` products. */
export const linearly = (
  equation: Any,
  xs: ReadonlyArray<Enclosure>,
  bilinear: boolean,
  terms: number
): ReadonlyArray<Enclosure> => {
  const [{ aval }] = equation.outputs
  const [x, y] = xs
  const rest = xs.slice(bilinear ? 2 : 1)
  if (rest.some((r) => !isSure(r) || r.lo.some(Number.isNaN)) || !isTame(x) || (bilinear && !isTame(y))) {
    return [unknown(aval.shape, aval.dtype)]
  }
  const others = rest.map(low)
  const call = (f: (lo: number, hi: number) => number, g: (lo: number, hi: number) => number) =>
    reference(equation, [mapped(x, f), ...bilinear ? [mapped(y, g)] : [], ...others])[0].data
  const center = call(middle, middle)
  const magnitude = call(size, size)
  const sure = isSure(x) && (!bilinear || isSure(y))
  const spreads = sure ? [] : bilinear ? [call(radius, size), call(size, radius)] : [call(radius, radius)]
  const builder = new Builder()
  center.forEach((c, i) => {
    const r = spreads.reduce((s, spread) => s + spread[i], 0)
    if (isFloat(aval.dtype)) builder.push(aroundSum(c - r, c + r, magnitude[i], terms, aval.dtype))
    else builder.push(r === 0 && magnitude[i] < 2 ** 53 ? [hold(c, aval.dtype), hold(c, aval.dtype)] : anything)
  })
  return [builder.done(aval.shape, aval.dtype)]
}

/** Operations whose every operand must be exact. */
export const exactly = (equation: Any, xs: ReadonlyArray<Enclosure>, slack: number): ReadonlyArray<Enclosure> => {
  if (!xs.every(isSure)) return equation.outputs.map(({ aval }) => unknown(aval.shape, aval.dtype))
  return reference(equation, xs.map(low)).map(({ data }, i) => {
    const { aval } = equation.outputs[i]
    const builder = new Builder()
    for (const v of data) {
      const s = isFloat(aval.dtype) ? slack * ulp(v) : 0
      if (s === 0 && Math.abs(v) >= 2 ** 53) builder.push(anything)
      else builder.push([hold(v - s, aval.dtype), hold(v + s, aval.dtype)])
    }
    return builder.done(aval.shape, aval.dtype)
  })
}
