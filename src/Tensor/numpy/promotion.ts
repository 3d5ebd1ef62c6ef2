/**
 * What `numpy` functions do before a strict primitive of `lax` can be applied: *lift* numbers to weakly typed scalars,
 * *promote* all operands to one dtype by JAX's lattice, and *broadcast* them to one shape.
 */
import * as DType from "../DType.ts"
import { DTypeError } from "../errors.ts"
import { nearest } from "../float16.ts"
import * as lax from "../lax/index.ts"
import * as Shape from "../Shape.ts"
import { isTensor, lift, literal, type Tensor, type TensorLike } from "../Tensor.ts"

/** An operation on two operands that broadcast and promote: `add(x, y)`, or `add(y)` in a pipe. */
export interface Binary {
  (y: TensorLike): (x: TensorLike) => Tensor
  (x: TensorLike, y: TensorLike): Tensor
}

/** A scalar constant of a dtype, the value rounded to it. */
export const constant = (value: number, dtype: DType.DType, weakType = false): Tensor =>
  literal(dtype === "float32" ? value : nearest(value, dtype), dtype, weakType)

/** A constant of an array's dtype. */
export const constantLike = (x: Tensor, value: number): Tensor => constant(value, x.dtype, x.weakType)

/** A constant of an array's shape and dtype. */
export const filled = (x: Tensor, value: number): Tensor => lax.broadcastTo(constantLike(x, value), x.shape)

/** A number as integer arithmetic of a dtype sees it: its low bits. bool is "not zero". */
const wrapped = (value: number, dtype: DType.DType): number => {
  if (dtype === "bool") return value === 0 ? 0 : 1
  if (!DType.isInteger(dtype)) return value
  const bits = DType.bits(dtype)
  return DType.isUnsigned(dtype)
    ? Number(BigInt.asUintN(bits, BigInt(value)))
    : Number(BigInt.asIntN(bits, BigInt(value)))
}

/**
 * The operand in another dtype, as promotion needs it. A constant becomes another constant, so that no conversion is
 * left in the Program; a whole number that does not fit the dtype wraps, as all arithmetic in it does.
 */
export const cast = (x: Tensor, dtype: DType.DType, weakType: boolean): Tensor => {
  const { source } = x
  if (x.dtype === dtype && x.weakType === weakType) return x
  if (source._tag !== "Literal" || (DType.isFloat(x.dtype) && !DType.isFloat(dtype))) {
    return lax.convertElementType(x, dtype, weakType)
  }
  return x.dtype === dtype
    ? literal(source.value, dtype, weakType)
    : constant(wrapped(source.value, dtype), dtype, weakType)
}

/** What callers without types may pass, in words. */
const notArray = (operation: string, x: unknown): DTypeError =>
  new DTypeError({
    operation,
    expected: "a Tensor, a number or a boolean",
    found: Array.isArray(x) ? "a list" : x === null ? "null" : typeof x === "string" ? JSON.stringify(x) : typeof x,
    hint: "make arrays with Tensor.array"
  })

/**
 * Lifted operands. A whole number above int32's range is a uint32 where a uint32 is among the operands. Fails with a
 * `DTypeError` on what is no operand at all.
 */
const liftAll = (operation: string, xs: ReadonlyArray<TensorLike>): ReadonlyArray<Tensor> => {
  const unsigned = xs.some((x) => isTensor(x) && x.dtype === "uint32")
  return xs.map((x) => {
    if (typeof x !== "number") {
      if (typeof x !== "boolean" && !isTensor(x)) throw notArray(operation, x)
      return lift(x)
    }
    return unsigned && Number.isInteger(x) && x > 2147483647 && x <= 4294967295 ? literal(x, "uint32") : lift(x)
  })
}

type Adjust = (t: DType.Promoted) => DType.Promoted

const keep: Adjust = (t) => t

/** bool becomes int32; numbers stay. */
const numeric: Adjust = (t) => t.dtype === "bool" ? { dtype: "int32", weakType: t.weakType } : t

const promoteTo = (operation: string, xs: ReadonlyArray<TensorLike>, adjust: Adjust): ReadonlyArray<Tensor> => {
  const lifted = liftAll(operation, xs)
  const { dtype, weakType } = adjust(DType.resultType(...lifted))
  return lifted.map((x) => cast(x, dtype, weakType))
}

/** The operands in their common dtype. */
export const promote = (operation: string, ...xs: ReadonlyArray<TensorLike>): ReadonlyArray<Tensor> =>
  promoteTo(operation, xs, keep)

/** The operands in one shape. */
export const broadcast = (operation: string, xs: ReadonlyArray<Tensor>): ReadonlyArray<Tensor> => {
  const shape = Shape.broadcast(operation, ...xs.map((x) => x.shape))
  return xs.map((x) => lax.broadcastTo(x, shape))
}

/** Two operands in their common dtype and shape. */
export const pair = (operation: string, x: TensorLike, y: TensorLike): readonly [Tensor, Tensor] => {
  const [a, b] = broadcast(operation, promoteTo(operation, [x, y], keep))
  return [a, b]
}

/** Two operands in one numeric dtype (bool becomes int32) and shape. */
export const numericPair = (operation: string, x: TensorLike, y: TensorLike): readonly [Tensor, Tensor] => {
  const [a, b] = broadcast(operation, promoteTo(operation, [x, y], numeric))
  return [a, b]
}

/** Two operands in one floating dtype and shape. */
export const inexactPair = (operation: string, x: TensorLike, y: TensorLike): readonly [Tensor, Tensor] => {
  const [a, b] = broadcast(operation, promoteTo(operation, [x, y], DType.toInexact))
  return [a, b]
}

/** An operand in a floating dtype: integers and bool become float32. */
export const inexact = (operation: string, x: TensorLike): Tensor => promoteTo(operation, [x], DType.toInexact)[0]

/** An operand in a numeric dtype: bool becomes int32. */
export const numericOf = (operation: string, x: TensorLike): Tensor => promoteTo(operation, [x], numeric)[0]

/** The operand as bool: is it not zero? */
export const toBool = (x: Tensor): Tensor => x.dtype === "bool" ? x : lax.ne(x, filled(x, 0))
