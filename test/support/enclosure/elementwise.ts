// Elementwise operations on intervals: evaluated at the ends, and widened by the error that the operation itself may make.
// Where an operation is not monotone between the ends, or jumps, the interval says so.
import type { Op } from "../../../src/Backend/Wasm/ir.ts"
import type { Equation } from "../../../src/Program/Program.ts"
import type { DType } from "../../../src/Tensor/DType.ts"
import { bitcast, convert, meanings } from "../../Backend/Wasm/reference.ts"
import {
  anything,
  Builder,
  type Enclosure,
  hold,
  hull,
  type Interval,
  isAnything,
  isExact,
  isFloat,
  ulp
} from "./values.ts"

/** Operations that give one of a few numbers that they are given, or are exact by nature. */
const exactOps: ReadonlySet<string> = new Set(
  ("neg abs sign floor ceil round max min clamp eq ne lt le gt ge is_finite rem nextafter not and or xor select_n copy " +
    "stop_gradient population_count clz shift_left shift_right_arithmetic shift_right_logical").split(" ")
)

/** The largest errors in units in the last place, where they are more than one. */
const ulps: Readonly<Record<string, number>> = {
  exp: 2,
  exp2: 2,
  log: 2,
  tanh: 2,
  expm1: 3,
  log1p: 3,
  rsqrt: 2,
  cbrt: 2,
  logistic: 4,
  sin: 4,
  cos: 4,
  tan: 4,
  asin: 4,
  acos: 4,
  atan: 4,
  sinh: 4,
  cosh: 4,
  asinh: 4,
  acosh: 4,
  atanh: 4,
  erf: 4,
  erfc: 8,
  erf_inv: 16,
  lgamma: 16,
  digamma: 16,
  pow: 16,
  atan2: 4
}

/** What does not grow with the result: around zeros of functions that are sums of large terms. */
const absolute: Readonly<Record<string, number>> = { lgamma: 2e-6, digamma: 2e-6 }

/** Monotone on whole numbers without wrapping. */
const monotone: ReadonlySet<string> = new Set("max min clamp eq ne lt le gt ge".split(" "))

/** Is there a place between the ends where the function jumps, or has no value? */
const isBroken = (op: string, lo: ReadonlyArray<number>, hi: ReadonlyArray<number>): boolean => {
  const straddles = (i: number) => lo[i] <= 0 && hi[i] >= 0
  switch (op) {
    case "div":
    case "rem":
      if (straddles(1)) return true
      return op === "rem" && !(isExact(lo[0], hi[0]) && isExact(lo[1], hi[1])) &&
        new Set([lo[0], hi[0]].flatMap((x) => [lo[1], hi[1]].map((y) => Math.trunc(x / y)))).size > 1
    case "rsqrt":
      return straddles(0)
    case "log":
    case "sqrt":
      return straddles(0) && lo[0] < hi[0]
    case "pow":
      return straddles(0) && (lo[0] < hi[0] || lo[1] < 0) || (lo[0] < 0 && lo[1] < hi[1])
    case "atan2":
      return straddles(0) && (straddles(1) || lo[1] < 0)
    case "tan":
      return lo[0] < hi[0] && (hi[0] - lo[0] > 0.1 || Math.cos(lo[0]) * Math.cos(hi[0]) <= 0)
    case "lgamma":
    case "digamma":
      return lo[0] <= 0
    case "nextafter":
      return lo[0] < hi[0] || lo[1] < hi[1]
    case "is_finite":
      return lo[0] < hi[0] && (!Number.isFinite(lo[0]) || !Number.isFinite(hi[0]))
    default:
      return false
  }
}

/** How far a function may go beyond its values at the ends of an interval of this width. */
const bulge = (op: string, width: number): number => {
  switch (op) {
    case "sin":
    case "cos":
      return Math.min(width * width, 2)
    case "lgamma":
      return width * width
    default:
      return 0
  }
}

/** The ends of the intervals, all combinations; and zero, where functions turn. */
const corners = (lo: ReadonlyArray<number>, hi: ReadonlyArray<number>): ReadonlyArray<ReadonlyArray<number>> =>
  lo.reduce<ReadonlyArray<ReadonlyArray<number>>>((heads, low, i) => {
    const high = hi[i]
    const points = isExact(low, high) ? [low] : low < 0 && high > 0 ? [low, 0, high] : [low, high]
    return heads.flatMap((head) => points.map((p) => [...head, p]))
  }, [[]])

const comparison = (op: string, lo: ReadonlyArray<number>, hi: ReadonlyArray<number>): Interval | undefined => {
  if (op !== "eq" && op !== "ne") return undefined
  const same = isExact(lo[0], hi[0]) && isExact(lo[1], hi[1])
  if (same || lo[0] > hi[1] || hi[0] < lo[1]) return undefined
  return [0, 1]
}

const element = (
  op: string,
  f: (xs: ReadonlyArray<number>) => number,
  lo: ReadonlyArray<number>,
  hi: ReadonlyArray<number>,
  from: DType,
  to: DType
): Interval => {
  const isSure = lo.every((x, i) => isExact(x, hi[i]))
  const floats = isFloat(from)
  if (!floats && isSure) {
    const v = hold(f(lo), to)
    return [v, v]
  }
  const unclear = to === "bool" ? [0, 1] as const : anything
  if (lo.some((x, i) => isAnything(x, hi[i]))) return unclear
  if (!floats && from !== "bool" && !monotone.has(op)) return unclear
  // Of a zero the sign is not known.
  if (floats && isBroken(op, lo, hi)) {
    const points = corners(lo, hi).map(f)
    return points.every((p) => Number.isNaN(p)) ? hull(points) : unclear
  }
  const direct = comparison(op, lo, hi)
  if (direct !== undefined) return direct
  const [low, high] = hull((isSure ? [lo] : corners(lo, hi)).map(f))
  if (!floats || to === "bool" || isAnything(low, high)) {
    return to === "bool" && isAnything(low, high)
      ? unclear
      : [low, high]
  }
  if (exactOps.has(op)) return [hold(low, to), hold(high, to)]
  const width = Math.max(...lo.map((x, i) => isExact(x, hi[i]) ? 0 : hi[i] - x))
  const slack = (ulps[op] ?? 1) * Math.max(ulp(low), ulp(high)) + (absolute[op] ?? 0) + bulge(op, width)
  return [hold(low - slack, to), hold(high + slack, to)]
}

const conversion = (lo: number, hi: number, from: DType, to: DType): Interval => {
  if (isExact(lo, hi)) {
    const v = convert(lo, from, to)
    return [v, v]
  }
  if (to === "bool") return lo > 0 || hi < 0 ? [1, 1] : [0, 1]
  if (isAnything(lo, hi)) return anything
  if (!isFloat(from) && !isFloat(to)) {
    const [a, b] = [convert(lo, from, to), convert(hi, from, to)]
    return a === lo && b === hi ? [a, b] : anything
  }
  return [convert(lo, from, to), convert(hi, from, to)]
}

const selection = (xs: ReadonlyArray<Enclosure>, i: number): Interval => {
  const [which, ...cases] = xs
  const clamp = (n: number) => Math.max(0, Math.min(n, cases.length - 1))
  const first = clamp(which.lo[i])
  const last = clamp(which.hi[i])
  if (first === last) return [cases[first].lo[i], cases[first].hi[i]]
  const chosen = cases.slice(first, last + 1)
  if (chosen.some((x) => isAnything(x.lo[i], x.hi[i]))) return anything
  return hull(chosen.flatMap((x) => [x.lo[i], x.hi[i]]))
}

/** One elementwise equation; undefined if it is none. */
export const elementwise = (equation: Equation, xs: ReadonlyArray<Enclosure>): Enclosure | undefined => {
  const { primitive } = equation
  const n = xs[0]?.lo.length ?? 0
  const out = equation.outputs[0]?.aval
  const build = (f: (i: number) => Interval): Enclosure => {
    const builder = new Builder()
    for (let i = 0; i < n; i++) builder.push(f(i))
    return builder.done(out.shape, out.dtype)
  }
  const [x] = xs
  switch (primitive) {
    case "copy":
    case "stop_gradient":
    case "name":
      return x
    case "select_n":
      return build((i) => selection(xs, i))
    case "convert_element_type":
      return build((i) => conversion(x.lo[i], x.hi[i], x.dtype, out.dtype))
    case "bitcast_convert_type":
      return build((i) => {
        if (x.lo[i] !== x.hi[i] || (isFloat(x.dtype) && x.lo[i] === 0)) return anything
        const v = bitcast(x.lo[i], x.dtype, out.dtype)
        return [v, v]
      })
    case "integer_pow": {
      const { y } = equation.params
      if (!isFloat(out.dtype)) {
        return build((i) => {
          if (x.lo[i] !== x.hi[i]) return anything
          let v = 1
          for (let k = 0; k < y; k++) v = Math.imul(v, x.lo[i])
          return [hold(v, out.dtype), hold(v, out.dtype)]
        })
      }
      return build((i) => {
        const [lo, hi] = [x.lo[i], x.hi[i]]
        if (isAnything(lo, hi) || (y < 0 && lo <= 0 && hi >= 0)) return anything
        const [low, high] = hull(corners([lo], [hi]).map(([v]) => v ** y))
        const slack = 2 * Math.abs(y) * Math.max(ulp(low), ulp(high))
        // Of a negative power either the power or its inverse may be rounded to nothing on the way.
        if (y < 0 && (Math.abs(high) < 1e-37 || Math.abs(low) < 1e-37)) return anything
        return [hold(low - slack, out.dtype), hold(high + slack, out.dtype)]
      })
    }
    default: {
      const f = meanings[primitive as Op]
      if (f === undefined || xs.length === 0) return undefined
      const { dtype } = x
      return build((i) =>
        element(primitive, (v) => f(v, dtype), xs.map((e) => e.lo[i]), xs.map((e) => e.hi[i]), dtype, out.dtype)
      )
    }
  }
}
