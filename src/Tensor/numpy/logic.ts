/**
 * Comparisons, logic, bits, and selection by a condition. Results of comparisons are bool arrays, never JavaScript
 * booleans: nothing has been computed yet.
 */
import { dual } from "effect/Function"
import * as DType from "../DType.ts"
import * as lax from "../lax/index.ts"
import type { CloseOptions } from "../Methods.ts"
import * as Shape from "../Shape.ts"
import { isTensor, lift, literal, type Tensor, type TensorLike } from "../Tensor.ts"
import { type Binary, broadcast, filled, inexactPair, numericPair, pair, promote, toBool } from "./promotion.ts"

const compare = (operation: string, f: (x: Tensor, y: Tensor) => Tensor): Binary =>
  dual(2, (x: TensorLike, y: TensorLike): Tensor => f(...pair(operation, x, y)))

/** bool: x = y. nan equals nothing. */
export const equal: Binary = compare("equal", lax.eq)
/** bool: x ≠ y. */
export const notEqual: Binary = compare("notEqual", lax.ne)
/** bool: x < y. */
export const less: Binary = compare("less", lax.lt)
/** bool: x ≤ y. */
export const lessEqual: Binary = compare("lessEqual", lax.le)
/** bool: x > y. */
export const greater: Binary = compare("greater", lax.gt)
/** bool: x ≥ y. */
export const greaterEqual: Binary = compare("greaterEqual", lax.ge)

/** bool: are both not zero? */
export const logicalAnd: Binary = compare("logicalAnd", (x, y) => lax.and(toBool(x), toBool(y)))
/** bool: is either not zero? */
export const logicalOr: Binary = compare("logicalOr", (x, y) => lax.or(toBool(x), toBool(y)))
/** bool: is exactly one not zero? */
export const logicalXor: Binary = compare("logicalXor", (x, y) => lax.xor(toBool(x), toBool(y)))
/** bool: is it zero? */
export const logicalNot = (x: TensorLike): Tensor => lax.not(toBool(lift(x)))

/** Bits of both; of bool: and. Fails with a `DTypeError` on floats, as all bitwise functions do. */
export const bitwiseAnd: Binary = compare("bitwiseAnd", lax.and)
/** Bits of either; of bool: or. */
export const bitwiseOr: Binary = compare("bitwiseOr", lax.or)
/** Bits of exactly one; of bool: not equal. */
export const bitwiseXor: Binary = compare("bitwiseXor", lax.xor)
/** The complement of the bits; of bool: not. */
export const bitwiseNot = (x: TensorLike): Tensor => lax.not(lift(x))

/** x · 2ʸ by moving bits; 0 where y is the width or more. bool computes in int32. */
export const leftShift: Binary = dual(
  2,
  (x: TensorLike, y: TensorLike): Tensor => lax.shiftLeft(...numericPair("leftShift", x, y))
)

/** ⌊x / 2ʸ⌋ by moving bits: the sign stays. bool computes in int32. */
export const rightShift: Binary = dual(2, (x: TensorLike, y: TensorLike): Tensor => {
  const [a, b] = numericPair("rightShift", x, y)
  return DType.isUnsigned(a.dtype) ? lax.shiftRightLogical(a, b) : lax.shiftRightArithmetic(a, b)
})

const falses = (x: Tensor): Tensor => lax.broadcastTo(literal(0, "bool"), x.shape)

/** bool: is it nan? */
export const isnan = (x: TensorLike): Tensor => {
  const a = lift(x)
  return DType.isFloat(a.dtype) ? lax.ne(a, a) : falses(a)
}

const isOneOf = (test: (x: Tensor) => Tensor) => (x: TensorLike): Tensor => {
  const a = lift(x)
  return DType.isFloat(a.dtype) ? test(a) : falses(a)
}

/** bool: is it infinite, of either sign? */
export const isinf = isOneOf((x) => lax.eq(lax.abs(x), filled(x, Infinity)))
/** bool: is it +Infinity? */
export const isposinf = isOneOf((x) => lax.eq(x, filled(x, Infinity)))
/** bool: is it -Infinity? */
export const isneginf = isOneOf((x) => lax.eq(x, filled(x, -Infinity)))

/** bool: is it neither infinite nor nan? */
export const isfinite = (x: TensorLike): Tensor => {
  const a = lift(x)
  return DType.isFloat(a.dtype) ? lax.isFinite(a) : lax.broadcastTo(literal(1, "bool"), a.shape)
}

const close = (x: TensorLike, y: TensorLike, options: CloseOptions = {}): Tensor => {
  const [a, b] = inexactPair("isclose", x, y)
  const tolerance = lax.add(filled(a, options.atol ?? 1e-8), lax.mul(filled(a, options.rtol ?? 1e-5), lax.abs(b)))
  const near = lax.and(lax.isFinite(b), lax.le(lax.abs(lax.sub(a, b)), tolerance))
  const out = lax.or(lax.eq(a, b), near)
  return options.equalNan === true ? lax.or(out, lax.and(lax.ne(a, a), lax.ne(b, b))) : out
}

/** An operation on two operands with options; data first when the second argument is an operand too. */
interface Close {
  (y: TensorLike, options?: CloseOptions): (x: TensorLike) => Tensor
  (x: TensorLike, y: TensorLike, options?: CloseOptions): Tensor
}

const isOperand = (u: unknown): boolean => isTensor(u) || typeof u === "number" || typeof u === "boolean"

const bothOperands = (args: IArguments): boolean => isOperand(args[0]) && isOperand(args[1])

/** bool: |x - y| ≤ atol + rtol·|y|, elementwise; equal infinities are close. Computes integers in float32. */
export const isclose: Close = dual(bothOperands, close)

/** A bool scalar: are all elements close? */
export const allclose: Close = dual(
  bothOperands,
  (x: TensorLike, y: TensorLike, options: CloseOptions = {}): Tensor => lax.reduceAnd(close(x, y, options))
)

/** Options of `arrayEqual`. */
export interface EqualOptions {
  /** Are two nans equal? */
  readonly equalNan?: boolean | undefined
}

/** A bool scalar: same shape, and all elements equal? Shapes that differ give false, without an error. */
export const arrayEqual: {
  (y: TensorLike, options?: EqualOptions): (x: TensorLike) => Tensor
  (x: TensorLike, y: TensorLike, options?: EqualOptions): Tensor
} = dual(bothOperands, (x: TensorLike, y: TensorLike, options: EqualOptions = {}): Tensor => {
  const [a, b] = promote("arrayEqual", x, y)
  if (!Shape.equals(a.shape, b.shape)) return literal(0, "bool")
  const same = lax.eq(a, b)
  const bothNan = options.equalNan === true && DType.isFloat(a.dtype) ? lax.and(lax.ne(a, a), lax.ne(b, b)) : undefined
  return lax.reduceAnd(bothNan === undefined ? same : lax.or(same, bothNan))
})

/**
 * `x` where `condition` is true (not zero), `y` elsewhere. All three broadcast; x and y promote. Both are computed: a
 * nan or an infinite derivative in the branch not taken does not show in the value, but it can in a gradient.
 *
 * ```ts import.meta.vitest
 * import { Tensor } from "linum"
 *
 * const x = Tensor.array([-1, 2, -3])
 * const relu = Tensor.where(x.gt(0), x, 0)
 * console.log(relu.shape, relu.dtype) // => [ 3 ] float32
 * ```
 *
 * @category selection
 * @since 0.1.0
 */
export const where: {
  (x: TensorLike, y: TensorLike): (condition: TensorLike) => Tensor
  (condition: TensorLike, x: TensorLike, y: TensorLike): Tensor
} = dual(3, (condition: TensorLike, x: TensorLike, y: TensorLike): Tensor => {
  const [a, b] = promote("where", x, y)
  const [which, onTrue, onFalse] = broadcast("where", [toBool(lift(condition)), a, b])
  return lax.selectN(which, onFalse, onTrue)
})

/**
 * For every element the choice of the first condition that is true, `fallback` where none is. All broadcast; choices
 * promote.
 */
export const select = (
  conditions: ReadonlyArray<TensorLike>,
  choices: ReadonlyArray<TensorLike>,
  fallback: TensorLike = 0
): Tensor => {
  const [rest, ...promoted] = promote("select", fallback, ...choices)
  return conditions.reduceRight<Tensor>((otherwise, condition, i) => where(condition, promoted[i], otherwise), rest)
}

/** `equal`. */
export const eq: Binary = equal
/** `notEqual`. */
export const ne: Binary = notEqual
/** `less`. */
export const lt: Binary = less
/** `lessEqual`. */
export const le: Binary = lessEqual
/** `greater`. */
export const gt: Binary = greater
/** `greaterEqual`. */
export const ge: Binary = greaterEqual
