// Random Programs. A generator holds a pool of arrays, of which every operation takes some and to which it adds what it
// gives; operations are picked by weight, and one that does not fit the pool is skipped. The same seed gives the same
// operations in the same order, so that a Program that fails is made shorter by leaving out the last ones.
import { build } from "../../../src/Program/build.ts"
import type { Program } from "../../../src/Program/Program.ts"
import type { DType } from "../../../src/Tensor/DType.ts"
import * as DTypes from "../../../src/Tensor/DType.ts"
import * as lax from "../../../src/Tensor/lax/index.ts"
import type { Shape } from "../../../src/Tensor/Shape.ts"
import * as ShapedArray from "../../../src/Tensor/ShapedArray.ts"
import { argument, literal, type Tensor, traceScope } from "../../../src/Tensor/Tensor.ts"
import type { Random } from "../arbitrary.ts"

export const sizeOf = (shape: Shape): number => shape.reduce((a, b) => a * b, 1)

/** Arrays do not grow beyond. */
export const most = 4096

const dtypes: ReadonlyArray<readonly [DType, number]> = [
  ["float32", 60],
  ["int32", 14],
  ["bool", 8],
  ["uint32", 4],
  ["float16", 4],
  ["bfloat16", 4],
  ["int8", 3],
  ["uint8", 3]
]

/** One of several, by weight. */
export const weighted = <A>(rng: Random, choices: ReadonlyArray<readonly [A, number]>): A => {
  let at = rng.uniform(0, choices.reduce((sum, [, weight]) => sum + weight, 0))
  for (const [choice, weight] of choices) {
    at -= weight
    if (at < 0) return choice
  }
  return choices[choices.length - 1][0]
}

export const dtypeOf = (rng: Random): DType => weighted(rng, dtypes)

const sizes: ReadonlyArray<readonly [number, number]> = [
  [0, 1],
  [1, 8],
  [2, 10],
  [3, 12],
  [4, 10],
  [5, 8],
  [6, 6],
  [7, 6],
  [8, 6],
  [9, 4],
  [12, 4],
  [16, 4],
  [17, 4],
  [33, 3],
  [48, 2],
  [65, 2],
  [130, 1]
]

/** Of the sizes few are used in one Program, so that arrays fit each other. */
export const paletteOf = (rng: Random): ReadonlyArray<number> => Array.from({ length: 3 }, () => weighted(rng, sizes))

/** A random shape, not too large. */
export const shapeOf = (rng: Random, palette: ReadonlyArray<number>, rank = rng.integer(0, 5)): Shape => {
  const shape = Array.from({ length: rank }, () => rng.pick(palette))
  return sizeOf(shape) > 2500 ? shapeOf(rng, palette, rank - 1) : shape
}

/** The arrays that a Program may use so far. */
export class Pool {
  readonly rng: Random
  readonly palette: ReadonlyArray<number>
  readonly all: Array<Tensor>
  /** Bodies of loops and branches have smaller ones. */
  readonly depth: number

  constructor(rng: Random, palette: ReadonlyArray<number>, first: ReadonlyArray<Tensor>, depth: number) {
    this.rng = rng
    this.palette = palette
    this.all = [...first]
    this.depth = depth
  }

  /** An array that fits; recent ones come more often. */
  find(fits: (x: Tensor) => boolean = () => true): Tensor | undefined {
    const found = this.all.filter(fits)
    if (found.length === 0) return undefined
    return this.rng.uniform() < 0.5
      ? found[found.length - 1 - this.rng.integer(0, Math.min(3, found.length))]
      : this.rng.pick(found)
  }

  chance(p: number): boolean {
    return this.rng.uniform() < p
  }

  /** A number of the dtype. */
  number(dtype: DType): Tensor {
    const { rng } = this
    if (dtype === "bool") return literal(rng.integer(0, 2), dtype)
    if (DTypes.isFloat(dtype)) return literal(rng.pick([0, 1, -1, 0.5, 2, -0.25, 3, 1e-3]), dtype)
    return literal(rng.pick(DTypes.isUnsigned(dtype) ? [0, 1, 2, 3, 7] : [0, 1, -1, 2, -3, 5]), dtype)
  }

  /** An array as one of another dtype. */
  as(x: Tensor, dtype: DType): Tensor {
    return lax.convertElementType(x, dtype)
  }

  /** An array of this very shape and dtype, from the pool if there is one, or made from what is there. */
  like(shape: Shape, dtype: DType): Tensor {
    const { rng } = this
    const choice = rng.uniform()
    if (choice < 0.5) {
      const same = this.find((x) => x.dtype === dtype && x.shape.join() === shape.join())
      if (same !== undefined) return same
    }
    if (choice < 0.85) {
      // By broadcasting: some of the axes, others of size 1 or none at all.
      const part = this.find((x) => x.dtype === dtype && this.#axesFor(x.shape, shape) !== undefined)
      if (part !== undefined) return lax.broadcastInDim(part, shape, this.#axesFor(part.shape, shape) ?? [])
    }
    const other = this.find((x) => x.shape.join() === shape.join())
    if (other !== undefined && choice < 0.95) return this.as(other, dtype)
    return lax.broadcastTo(this.number(dtype), shape)
  }

  /** Increasing axes of `shape` for those of `part`, the last that fit. */
  #axesFor(part: Shape, shape: Shape): ReadonlyArray<number> | undefined {
    const axes: Array<number> = []
    let at = shape.length - 1
    for (let i = part.length - 1; i >= 0; i--) {
      while (at >= 0 && part[i] !== 1 && part[i] !== shape[at]) at--
      if (at < 0) return undefined
      axes.unshift(at--)
    }
    return axes
  }

  add(...made: ReadonlyArray<Tensor>): boolean {
    for (const x of made) if (x.size <= most) this.all.push(x)
    return made.length > 0
  }
}

/** Traces a function of arrays; what it captures of the pool around it comes back as captures. */
export const traced = (
  avals: ReadonlyArray<ShapedArray.ShapedArray>,
  f: (args: ReadonlyArray<Tensor>) => ReadonlyArray<Tensor>
): { readonly program: Program; readonly captures: ReadonlyArray<Tensor> } => {
  const scope = traceScope("fuzz")
  const args = avals.map((aval) => argument(aval, scope))
  const made = build({ outputs: f(args), arguments: args, scope })
  scope.finished = true
  return made
}

/** The abstract value of an array, never weak. */
export const avalOf = (x: Tensor): ShapedArray.ShapedArray => ShapedArray.make(x.shape, x.dtype)
