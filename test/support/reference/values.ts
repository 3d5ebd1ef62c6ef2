// Arrays as the reference evaluator has them: a shape and plain numbers. Everything is a function of positions.
import type { ArrayPrimitive, Params } from "../../../src/Program/Primitive.ts"
import * as DType from "../../../src/Tensor/DType.ts"
import * as Shape from "../../../src/Tensor/Shape.ts"
import type * as ShapedArray from "../../../src/Tensor/ShapedArray.ts"

/** Elements, row-major. */
export interface Value {
  readonly shape: Shape.Shape
  readonly data: ReadonlyArray<number>
}

/** The meaning of one primitive. */
export type Meaning<P extends ArrayPrimitive> = (
  params: Params[P],
  inputs: ReadonlyArray<Value>,
  outputs: ReadonlyArray<ShapedArray.ShapedArray>
) => ReadonlyArray<Value>

/** The meanings of some primitives. */
export type Meanings<P extends ArrayPrimitive> = { readonly [K in P]: Meaning<K> }

/** A position: one number an axis. */
export type Index = ReadonlyArray<number>

/** Where an element lies in row-major order. */
export const offset = (shape: Shape.Shape, index: Index): number => {
  let at = 0
  for (let i = 0; i < shape.length; i++) at = at * shape[i] + index[i]
  return at
}

/** Is every number within its axis? */
export const inside = (shape: Shape.Shape, index: Index): boolean => index.every((i, axis) => i >= 0 && i < shape[axis])

/** The element at a position. */
export const read = (x: Value, index: Index): number => x.data[offset(x.shape, index)]

/** All positions, row-major. */
export const indices = (shape: Shape.Shape): ReadonlyArray<Index> =>
  shape.reduce<ReadonlyArray<Index>>(
    (heads, n) => heads.flatMap((head) => Shape.range(n).map((i) => [...head, i])),
    [[]]
  )

/** The array whose element at every position is what `f` says. */
export const generate = (shape: Shape.Shape, f: (index: Index) => number): Value => ({
  shape,
  data: indices(shape).map(f)
})

/** A number as an element of a dtype holds it, floats untouched. */
export const wrap = (x: number, dtype: DType.DType): number => {
  if (DType.isFloat(dtype)) return x
  if (dtype === "bool") return x === 0 ? 0 : 1
  const data = DType.allocate(dtype, 1)
  data[0] = x
  return data[0]
}
