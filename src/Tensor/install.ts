/**
 * Puts the methods on Tensors: each is the function of that name with the array before the dot. `index.ts` imports this
 * file for its effect; everything inside the library calls the functions, and works without it.
 */
import * as Equal from "effect/Equal"
import * as Hash from "effect/Hash"
import * as Inspectable from "effect/Inspectable"
import { ConcretizationError, DTypeError } from "./errors.ts"
import type { Methods } from "./Methods.ts"
import { diagonal, trace, tril, triu } from "./numpy/diagonals.ts"
import {
  abs,
  add,
  ceil,
  clip,
  cos,
  cosh,
  div,
  erf,
  exp,
  exp2,
  expm1,
  floor,
  floorDivide,
  log,
  log10,
  log1p,
  log2,
  maximum,
  minimum,
  mod,
  mul,
  neg,
  pow,
  reciprocal,
  round,
  rsqrt,
  sign,
  sin,
  sinh,
  sqrt,
  square,
  sub,
  tan,
  tanh
} from "./numpy/elementwise.ts"
import { at, take, takeAlongAxis } from "./numpy/indexing.ts"
import { split } from "./numpy/joining.ts"
import { dot, matmul, outer } from "./numpy/linalg.ts"
import {
  allclose,
  arrayEqual,
  bitwiseAnd,
  bitwiseNot,
  bitwiseOr,
  bitwiseXor,
  eq,
  ge,
  gt,
  isclose,
  isfinite,
  isinf,
  isnan,
  le,
  logicalAnd,
  logicalNot,
  logicalOr,
  logicalXor,
  lt,
  ne,
  where
} from "./numpy/logic.ts"
import {
  all,
  any,
  argmax,
  argmin,
  countNonzero,
  cumprod,
  cumsum,
  logsumexp,
  max,
  mean,
  min,
  prod,
  ptp,
  std,
  sum,
  variance
} from "./numpy/reductions.ts"
import {
  astype,
  broadcastTo,
  expandDims,
  flatten,
  flip,
  matrixTranspose,
  moveaxis,
  ravel,
  repeat,
  reshape,
  roll,
  squeeze,
  swapaxes,
  transpose,
  view
} from "./numpy/shaping.ts"
import { argsort, sort, topK } from "./numpy/sorting.ts"
import { format } from "./print.ts"
import * as ShapedArray from "./ShapedArray.ts"
import { Proto, type Tensor } from "./Tensor.ts"

/** Every method. One that is missing does not compile. */
const implementation: Methods<Tensor> & ThisType<Tensor> = {
  // --- arithmetic ---

  add(y) {
    return add(this, y)
  },
  sub(y) {
    return sub(this, y)
  },
  mul(y) {
    return mul(this, y)
  },
  div(y) {
    return div(this, y)
  },
  floorDivide(y) {
    return floorDivide(this, y)
  },
  mod(y) {
    return mod(this, y)
  },
  pow(y) {
    return pow(this, y)
  },
  maximum(y) {
    return maximum(this, y)
  },
  minimum(y) {
    return minimum(this, y)
  },
  neg() {
    return neg(this)
  },
  abs() {
    return abs(this)
  },
  sign() {
    return sign(this)
  },
  reciprocal() {
    return reciprocal(this)
  },
  square() {
    return square(this)
  },
  sqrt() {
    return sqrt(this)
  },
  rsqrt() {
    return rsqrt(this)
  },
  exp() {
    return exp(this)
  },
  exp2() {
    return exp2(this)
  },
  expm1() {
    return expm1(this)
  },
  log() {
    return log(this)
  },
  log2() {
    return log2(this)
  },
  log10() {
    return log10(this)
  },
  log1p() {
    return log1p(this)
  },
  sin() {
    return sin(this)
  },
  cos() {
    return cos(this)
  },
  tan() {
    return tan(this)
  },
  sinh() {
    return sinh(this)
  },
  cosh() {
    return cosh(this)
  },
  tanh() {
    return tanh(this)
  },
  erf() {
    return erf(this)
  },
  floor() {
    return floor(this)
  },
  ceil() {
    return ceil(this)
  },
  round(decimals) {
    return round(this, decimals)
  },
  clip(low, high) {
    return clip(this, low ?? null, high ?? null)
  },

  // --- logic ---

  eq(y) {
    return eq(this, y)
  },
  ne(y) {
    return ne(this, y)
  },
  lt(y) {
    return lt(this, y)
  },
  le(y) {
    return le(this, y)
  },
  gt(y) {
    return gt(this, y)
  },
  ge(y) {
    return ge(this, y)
  },
  logicalAnd(y) {
    return logicalAnd(this, y)
  },
  logicalOr(y) {
    return logicalOr(this, y)
  },
  logicalXor(y) {
    return logicalXor(this, y)
  },
  logicalNot() {
    return logicalNot(this)
  },
  bitwiseAnd(y) {
    return bitwiseAnd(this, y)
  },
  bitwiseOr(y) {
    return bitwiseOr(this, y)
  },
  bitwiseXor(y) {
    return bitwiseXor(this, y)
  },
  bitwiseNot() {
    return bitwiseNot(this)
  },
  isnan() {
    return isnan(this)
  },
  isinf() {
    return isinf(this)
  },
  isfinite() {
    return isfinite(this)
  },
  isclose(y, options) {
    return isclose(this, y, options)
  },
  allclose(y, options) {
    return allclose(this, y, options)
  },
  arrayEqual(y, options) {
    return arrayEqual(this, y, options)
  },
  where(x, y) {
    return where(this, x, y)
  },

  // --- reductions ---

  sum(options) {
    return sum(this, options)
  },
  prod(options) {
    return prod(this, options)
  },
  mean(options) {
    return mean(this, options)
  },
  var(options) {
    return variance(this, options)
  },
  std(options) {
    return std(this, options)
  },
  max(options) {
    return max(this, options)
  },
  min(options) {
    return min(this, options)
  },
  ptp(options) {
    return ptp(this, options)
  },
  all(options) {
    return all(this, options)
  },
  any(options) {
    return any(this, options)
  },
  countNonzero(options) {
    return countNonzero(this, options)
  },
  logsumexp(options) {
    return logsumexp(this, options)
  },
  argmax(options) {
    return argmax(this, options)
  },
  argmin(options) {
    return argmin(this, options)
  },
  cumsum(options) {
    return cumsum(this, options)
  },
  cumprod(options) {
    return cumprod(this, options)
  },
  sort(options) {
    return sort(this, options)
  },
  argsort(options) {
    return argsort(this, options)
  },
  topK(k) {
    return topK(this, k)
  },

  // --- products ---

  matmul(y, options) {
    return matmul(this, y, options)
  },
  dot(y, options) {
    return dot(this, y, options)
  },
  outer(y) {
    return outer(this, y)
  },
  trace(options) {
    return trace(this, options)
  },
  diagonal(options) {
    return diagonal(this, options)
  },

  // --- shaping ---

  get T() {
    return transpose(this)
  },
  get mT() {
    return matrixTranspose(this)
  },
  reshape(shape) {
    return reshape(this, shape)
  },
  ravel() {
    return ravel(this)
  },
  flatten() {
    return flatten(this)
  },
  transpose(axes) {
    return transpose(this, axes)
  },
  moveaxis(source, destination) {
    return moveaxis(this, source, destination)
  },
  swapaxes(axis1, axis2) {
    return swapaxes(this, axis1, axis2)
  },
  expandDims(axis) {
    return expandDims(this, axis)
  },
  squeeze(axis) {
    return squeeze(this, axis)
  },
  broadcastTo(shape) {
    return broadcastTo(this, shape)
  },
  repeat(repeats, options) {
    return repeat(this, repeats, options)
  },
  flip(axis) {
    return flip(this, axis)
  },
  roll(shift, axis) {
    return roll(this, shift, axis)
  },
  split(indicesOrSections, axis) {
    return split(this, indicesOrSections, axis)
  },
  tril(k) {
    return tril(this, k)
  },
  triu(k) {
    return triu(this, k)
  },
  astype(dtype) {
    return astype(this, dtype)
  },
  view(dtype) {
    return view(this, dtype)
  },
  at(...index) {
    return at(this, ...index)
  },
  get(...index) {
    return at(this, ...index).get()
  },
  take(indices, axis, options) {
    return take(this, indices, axis, options)
  },
  takeAlongAxis(indices, axis, options) {
    return takeAlongAxis(this, indices, axis, options)
  },

  // --- printing ---

  toString() {
    return format(this)
  },
  toJSON() {
    return { _id: "Tensor", shape: this.shape, dtype: this.dtype }
  }
}

/** The transform in whose trace an array has no value, if there is one. */
const tracedBy = (self: Tensor): string | undefined => {
  const seen = new Set<Tensor>()
  const stack = [self]
  for (let x = stack.pop(); x !== undefined; x = stack.pop()) {
    if (seen.has(x)) continue
    seen.add(x)
    if (x.source._tag === "Argument") return x.source.scope.transform
    if (x.source._tag === "Pending") stack.push(...x.source.node.inputs)
  }
  return undefined
}

/**
 * What the runtime asks of values: equal only to itself, legible in consoles, and no number. Without the last, `x > 0`
 * would be false for every array.
 */
const protocols: object & ThisType<Tensor> = {
  [Equal.symbol](that: unknown) {
    return this === that
  },
  [Hash.symbol]() {
    return Hash.number(this.serial)
  },
  [Inspectable.NodeInspectSymbol]() {
    return format(this)
  },
  [Symbol.toPrimitive](hint: string) {
    if (hint === "string") return format(this)
    const array = ShapedArray.format(this.aval)
    const transform = tracedBy(this)
    if (transform !== undefined) throw new ConcretizationError({ transform, array })
    throw new DTypeError({
      operation: "an operator of JavaScript (<, ==, +, ...)",
      expected: "numbers",
      found: array,
      hint: "arrays are lazy: compare with x.gt(y), add with x.add(y), read with item"
    })
  }
}

// Getters (`T`) are copied as getters, which Object.assign would not do.
for (const methods of [implementation, protocols]) {
  Object.defineProperties(Proto, Object.getOwnPropertyDescriptors(methods))
}
