/**
 * Keys of the random number generator, and the bits that they make: threefry2x32 in JAX's partitionable layout, bit for
 * bit.
 *
 * A *key* is a uint32 array of two words; an array of keys has them along its last axis. A key has no state: the same
 * key always makes the same numbers, so a key is used once and new ones are derived by `split` and `foldIn`. All three
 * derivations hash *counters* with the key, `(y₀, y₁) = threefry2x32(key, (hi, lo))`, where (hi, lo) are the words of a
 * 64-bit position:
 *
 * - `split(key, shape)`: key i is (y₀, y₁) at (0, i);
 * - `foldIn(key, d)`: (y₀, y₁) at (0, d);
 * - `bits(key, shape)`: element i is y₀ xor y₁ at (0, i); narrower types take its low bits.
 *
 * Source: `jax/_src/random/threefry2x32.py`, with `jax_threefry_partitionable` on and x64 off.
 */
import * as DType from "../DType.ts"
import { DTypeError, ShapeError } from "../errors.ts"
import * as lax from "../lax/index.ts"
import * as Shape from "../Shape.ts"
import * as ShapedArray from "../ShapedArray.ts"
import { fromHost, literal, type Tensor } from "../Tensor.ts"

/** @internal An array of one value. */
export const constant = (value: number, dtype: DType.DType, shape: Shape.Shape): Tensor =>
  lax.broadcastInDim(literal(value, dtype), shape, [])

/** @internal Fails unless `key` is one key. */
export const checkKey = (operation: string, key: Tensor): void => {
  if (key.dtype !== "uint32") {
    throw new DTypeError({
      operation,
      expected: "a key: uint32[2]",
      found: ShapedArray.format(key.aval),
      hint: "make keys with random.key, random.split and random.foldIn"
    })
  }
  if (!Shape.equals(key.shape, [2])) {
    throw new ShapeError({
      operation,
      expected: "one key: uint32[2]",
      found: ShapedArray.format(key.aval),
      hint: "map over an array of keys with vmap"
    })
  }
}

const scalarInteger = (operation: string, x: Tensor, what: string): Tensor => {
  if (!DType.isInteger(x.dtype)) {
    throw new DTypeError({
      operation,
      expected: `an integer ${what}`,
      found: ShapedArray.format(x.aval),
      hint: "convert with astype"
    })
  }
  if (x.ndim !== 0) {
    throw new ShapeError({
      operation,
      expected: `a scalar ${what}`,
      found: ShapedArray.format(x.aval),
      hint: "map with vmap"
    })
  }
  return lax.convertElementType(x, "uint32")
}

const pair = (first: Tensor, second: Tensor): Tensor => {
  const shape = [...first.shape, 1]
  return lax.concatenate([lax.reshape(first, shape), lax.reshape(second, shape)], first.ndim)
}

/** The generator at counters (0, `low`). */
const hash = (key: Tensor, low: Tensor): readonly [Tensor, Tensor] => {
  const word = (i: number) => lax.broadcastInDim(lax.squeeze(lax.slice(key, [i], [i + 1]), [0]), low.shape, [])
  return lax.threefry2x32(word(0), word(1), constant(0, "uint32", low.shape), low)
}

/** The generator at counters 0, 1, 2, …, in row-major order of `shape`. */
const hashAll = (key: Tensor, shape: Shape.Shape): readonly [Tensor, Tensor] =>
  hash(key, lax.reshape(lax.iota("uint32", [Shape.size(shape)], 0), shape))

const int64 = (operation: string, seed: number | bigint): bigint => {
  if (typeof seed === "number" && !Number.isInteger(seed)) {
    throw new DTypeError({ operation, expected: "an integer seed", found: `${seed}`, hint: "round it" })
  }
  const wide = BigInt(seed)
  if (BigInt.asIntN(64, wide) !== wide) {
    throw new DTypeError({
      operation,
      expected: "a seed that a signed integer of 64 bits can hold",
      found: `${seed}`,
      hint: "use a smaller seed"
    })
  }
  return wide
}

/**
 * The key of a seed: an integer, possibly negative, or a scalar integer array. As in JAX with x64 off, its words are 0
 * and the low 32 bits of the seed.
 *
 * Fails with a `DTypeError` for a seed that is not an integer of at most 64 bits, and a `ShapeError` for an array of
 * seeds.
 *
 * @category keys
 * @since 0.1.0
 */
export const key = (seed: number | bigint | Tensor): Tensor => {
  if (typeof seed === "object") {
    const low = scalarInteger("random.key", seed, "seed")
    return pair(literal(0, "uint32"), low)
  }
  const low = Number(BigInt.asUintN(32, int64("random.key", seed)))
  return fromHost(ShapedArray.make([2], "uint32"), Uint32Array.of(0, low))
}

/**
 * New keys from one: `num` of them, or an array of keys of a shape. uint32[...num, 2].
 *
 * Fails with a `ShapeError` when given an array of keys.
 *
 * ```ts import.meta.vitest
 * import { Tensor } from "linum"
 *
 * const { random } = Tensor
 * const keys = random.split(random.key(0), 3)
 * console.log(keys.shape, random.normal(keys.get(0), [2, 2]).dtype) // => [ 3, 2 ] float32
 * ```
 *
 * @category keys
 * @since 0.1.0
 */
export const split = (key: Tensor, num: number | Shape.Shape = 2): Tensor => {
  checkKey("random.split", key)
  const shape = Shape.check("random.split", typeof num === "number" ? [num] : num)
  return pair(...hashAll(key, shape))
}

/**
 * A new key from a key and an integer: 0 to 2³² - 1, or a scalar integer array, of which the low 32 bits count.
 *
 * @category keys
 * @since 0.1.0
 */
export const foldIn = (key: Tensor, data: number | Tensor): Tensor => {
  checkKey("random.foldIn", key)
  if (typeof data !== "number") return pair(...hash(key, scalarInteger("random.foldIn", data, "number to fold in")))
  if (!Number.isInteger(data) || data < 0 || data > 4294967295) {
    throw new DTypeError({
      operation: "random.foldIn",
      expected: "an integer from 0 to 4294967295",
      found: `${data}`,
      hint: "fold in a counter or a hash, several times if it is larger"
    })
  }
  return pair(...hash(key, literal(data, "uint32")))
}

/**
 * Uniformly random bits: an unsigned integer dtype, each value equally likely.
 *
 * @category samplers
 * @since 0.1.0
 */
export const bits = (key: Tensor, shape: Shape.Shape = [], dtype: DType.DType = "uint32"): Tensor => {
  checkKey("random.bits", key)
  if (!DType.isUnsigned(dtype)) {
    throw new DTypeError({
      operation: "random.bits",
      expected: "an unsigned integer dtype",
      found: dtype,
      hint: "use randint for integers in a range"
    })
  }
  const [first, second] = hashAll(key, Shape.check("random.bits", shape))
  return lax.convertElementType(lax.xor(first, second), dtype)
}
