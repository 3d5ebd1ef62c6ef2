// Random arrays for tests: seeded, so that a failure comes back, of any dtype and shape.
import * as DType from "../../src/Tensor/DType.ts"
import { encode } from "../../src/Tensor/float16.ts"
import * as Shape from "../../src/Tensor/Shape.ts"
import * as ShapedArray from "../../src/Tensor/ShapedArray.ts"
import { fromHost, type Tensor } from "../../src/Tensor/Tensor.ts"

/** A source of random numbers. The same seed gives the same numbers in the same order. */
export interface Random {
  /** In [low, high). */
  readonly uniform: (low?: number, high?: number) => number
  /** Standard normal. */
  readonly normal: () => number
  /** Whole, in [low, high). */
  readonly integer: (low: number, high: number) => number
  readonly pick: <A>(from: ReadonlyArray<A>) => A
  /** A permutation of 0 … n-1. */
  readonly permutation: (n: number) => ReadonlyArray<number>
}

/** Tommy Ettinger's mulberry32. */
export const random = (seed: number): Random => {
  let state = seed >>> 0
  const uniform = (low = 0, high = 1): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return low + (((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * (high - low)
  }
  const integer = (low: number, high: number): number => Math.floor(uniform(low, high))
  return {
    uniform,
    integer,
    normal: () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()),
    pick: (from) => from[integer(0, from.length)],
    permutation: (n) => {
      const out = [...Shape.range(n)]
      for (let i = n - 1; i > 0; i--) {
        const j = integer(0, i + 1)
        ;[out[i], out[j]] = [out[j], out[i]]
      }
      return out
    }
  }
}

/** An array of these elements (bool: 0 and 1), row-major, each converted to the dtype. */
export const fromValues = (
  values: ArrayLike<number>,
  shape: Shape.Shape,
  dtype: DType.DType = "float32"
): Tensor => {
  const data = DType.allocate(dtype, Shape.size(shape))
  for (let i = 0; i < data.length; i++) data[i] = encode(values[i], dtype)
  return fromHost(ShapedArray.make(shape, dtype), data)
}

/** Independent elements: floats are standard normal, integers and bools cover a few small values, negative ones too. */
export const tensor = (rng: Random, shape: Shape.Shape, dtype: DType.DType = "float32"): Tensor => {
  const low = DType.isUnsigned(dtype) ? 0 : -10
  const draw = DType.isFloat(dtype) ? rng.normal : () => dtype === "bool" ? rng.integer(0, 2) : rng.integer(low, 11)
  return fromValues(Array.from({ length: Shape.size(shape) }, draw), shape, dtype)
}

/** Elements between two numbers (integers: high is left out). */
export const between = (
  rng: Random,
  low: number,
  high: number,
  shape: Shape.Shape,
  dtype: DType.DType = "float32"
): Tensor => {
  const draw = () => DType.isFloat(dtype) ? rng.uniform(low, high) : rng.integer(low, high)
  return fromValues(Array.from({ length: Shape.size(shape) }, draw), shape, dtype)
}

/** Elements that are all different, and `gap` apart: for operations that choose among them, and their derivatives. */
export const distinct = (
  rng: Random,
  shape: Shape.Shape,
  dtype: DType.DType = "float32",
  gap = 0.1
): Tensor => {
  const n = Shape.size(shape)
  return fromValues(rng.permutation(n).map((i) => (i - n / 2 + 0.25) * gap), shape, dtype)
}

/** Sizes of a random array: `rank` axes of at least `low` and at most `high` elements. */
export const shape = (rng: Random, rank: number, low = 1, high = 4): Shape.Shape =>
  Shape.range(rank).map(() => rng.integer(low, high + 1))
