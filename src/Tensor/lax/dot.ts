/**
 * The general dot product: contracts axes of two arrays, with batch axes. Every matrix product is one of these.
 */
import * as DType from "../DType.ts"
import { DTypeError, ShapeError } from "../errors.ts"
import * as Shape from "../Shape.ts"
import * as ShapedArray from "../ShapedArray.ts"
import { bind, type Tensor } from "../Tensor.ts"

/** Which axes meet: `contracting` are summed over, `batch` are kept in step. Each a pair of equally long lists. */
export interface DotDimensionNumbers {
  readonly contracting: readonly [ReadonlyArray<number>, ReadonlyArray<number>]
  readonly batch: readonly [ReadonlyArray<number>, ReadonlyArray<number>]
}

/** Parameters of `dot_general`. */
export interface Params {
  readonly dot_general: {
    readonly dimension_numbers: DotDimensionNumbers
    readonly preferred_element_type: DType.DType | null
  }
}

/** The axes of an operand that are neither contracted nor batched. */
export const freeAxes = (rank: number, contracting: ReadonlyArray<number>, batch: ReadonlyArray<number>) =>
  Shape.range(rank).filter((i) => !contracting.includes(i) && !batch.includes(i))

/**
 * `lax.dot_general`. The result's axes are the batch axes, then the free axes of `x`, then those of `y`.
 *
 * The dtype is `preferred` if given, else that of the operands, which must agree. float16 and bfloat16 accumulate in
 * float32.
 */
export const dotGeneral = (
  x: Tensor,
  y: Tensor,
  dimensions: DotDimensionNumbers,
  preferred: DType.DType | null = null
): Tensor => {
  const { batch: [xb, yb], contracting: [xc, yc] } = dimensions
  const paired = (a: ReadonlyArray<number>, b: ReadonlyArray<number>) =>
    a.length === b.length && a.every((p, i) => x.shape[p] !== undefined && x.shape[p] === y.shape[b[i]])
  const distinct = (...at: ReadonlyArray<number>) => new Set(at).size === at.length
  if (!paired(xc, yc) || !paired(xb, yb) || !distinct(...xc, ...xb) || !distinct(...yc, ...yb)) {
    throw new ShapeError({
      operation: "dot_general",
      expected: "distinct contracting and batch axes whose sizes agree in pairs",
      found: `${ShapedArray.format(x.aval)} and ${ShapedArray.format(y.aval)}, contracting ${Shape.format(xc)} with ${
        Shape.format(yc)
      }, batch ${Shape.format(xb)} with ${Shape.format(yb)}`,
      hint: "transpose an operand, or check the inner sizes"
    })
  }
  if (x.dtype !== y.dtype || x.dtype === "bool") {
    throw new DTypeError({
      operation: "dot_general",
      expected: "two operands of one numeric dtype",
      found: `${ShapedArray.format(x.aval)} and ${ShapedArray.format(y.aval)}`,
      hint: "convert with astype, or use matmul, which promotes"
    })
  }
  const shape = [
    ...xb.map((i) => x.shape[i]),
    ...freeAxes(x.ndim, xc, xb).map((i) => x.shape[i]),
    ...freeAxes(y.ndim, yc, yb).map((i) => y.shape[i])
  ]
  const weak = preferred === null && x.weakType && y.weakType
  return bind("dot_general", { dimension_numbers: dimensions, preferred_element_type: preferred }, [x, y], [
    ShapedArray.make(shape, preferred ?? x.dtype, weak)
  ])[0]
}
