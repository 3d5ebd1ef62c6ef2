/**
 * Products of matrices and vectors, as in `numpy`. All of them are one `dot_general` with the axes in the right places.
 *
 * Operands promote to one dtype; float16 and bfloat16 accumulate in float32. `preferredElementType` names another dtype
 * to accumulate in and to give.
 */
import { dual } from "effect/Function"
import * as DType from "../DType.ts"
import { DTypeError, ShapeError } from "../errors.ts"
import * as lax from "../lax/index.ts"
import type { ProductOptions } from "../Methods.ts"
import * as Shape from "../Shape.ts"
import * as ShapedArray from "../ShapedArray.ts"
import { isTensor, type Tensor, type TensorLike } from "../Tensor.ts"
import { multiply } from "./elementwise.ts"
import { promote } from "./promotion.ts"
import { expandDims, ravel } from "./shaping.ts"

/** A product of two arrays: `matmul(x, y)`, or `pipe(x, matmul(y))`. */
export interface Product {
  (y: Tensor, options?: ProductOptions): (x: Tensor) => Tensor
  (x: Tensor, y: Tensor, options?: ProductOptions): Tensor
}

const isOptions = (u: unknown): boolean => u === undefined || (typeof u === "object" && !isTensor(u))

/** Is it the call with both arrays? What is no array is complained about then. */
const twoOperands = (args: IArguments): boolean => args.length > 1 && !isOptions(args[1])

const mismatch = (operation: string, x: Tensor, y: Tensor, expected: string, hint: string): ShapeError =>
  new ShapeError({
    operation,
    expected,
    found: `${ShapedArray.format(x.aval)} and ${ShapedArray.format(y.aval)}`,
    hint
  })

const numericOperands = (operation: string, x: TensorLike, y: TensorLike): readonly [Tensor, Tensor] => {
  const [a, b] = promote(operation, x, y)
  return [a, b]
}

/** dot_general of operands of one dtype. Of bool: is any product true? */
const contract = (
  x: Tensor,
  y: Tensor,
  dimensions: lax.DotDimensionNumbers,
  preferred: ProductOptions["preferredElementType"]
): Tensor => {
  if (preferred !== undefined && !DType.isFloat(x.dtype) && DType.bits(preferred) < DType.bits(x.dtype)) {
    throw new DTypeError({
      operation: "dot_general",
      expected: `a preferred element type of at least ${DType.bits(x.dtype)} bits, for integers`,
      found: preferred,
      hint: "convert the result with astype"
    })
  }
  if (x.dtype !== "bool") return lax.dotGeneral(x, y, dimensions, preferred ?? null)
  const counts = lax.dotGeneral(
    lax.convertElementType(x, "float32"),
    lax.convertElementType(y, "float32"),
    dimensions
  )
  return lax.convertElementType(counts, preferred ?? "bool")
}

/** Batch axes in the order that dot_general gives them: those of both, then those of x alone, then those of y alone. */
interface BatchPlan {
  readonly both: Array<number>
  readonly onlyX: Array<number>
  readonly onlyY: Array<number>
  readonly neither: Array<number>
}

const planBatch = (x: Tensor, y: Tensor, rank: number): BatchPlan => {
  const plan: BatchPlan = { both: [], onlyX: [], onlyY: [], neither: [] }
  const size = (a: Tensor, i: number): number => a.ndim < 2 ? 1 : a.shape[i - rank + a.ndim - 2] ?? 1
  for (let i = 0; i < rank; i++) {
    const [p, q] = [size(x, i), size(y, i)]
    if (p !== q && p !== 1 && q !== 1) {
      throw mismatch(
        "matmul",
        x,
        y,
        "leading axes that broadcast",
        "sizes are equal or 1, aligned before the last two axes"
      )
    }
    if (p === q) (p === 1 ? plan.neither : plan.both).push(i)
    else (p === 1 ? plan.onlyY : plan.onlyX).push(i)
  }
  return plan
}

const matrixProduct = (x: TensorLike, y: TensorLike, options: ProductOptions = {}): Tensor => {
  const [a, b] = numericOperands("matmul", x, y)
  if (a.ndim === 0 || b.ndim === 0) throw mismatch("matmul", a, b, "no scalar", "use mul to scale")
  const inner = a.shape[a.ndim - 1]
  if (inner !== b.shape[Math.max(0, b.ndim - 2)]) {
    throw mismatch(
      "matmul",
      a,
      b,
      `inner sizes that agree (last axis of x, ${b.ndim < 2 ? "only" : "second to last"} axis of y)`,
      "transpose an operand"
    )
  }
  const rank = Math.max(a.ndim, b.ndim, 2) - 2
  const plan = planBatch(a, b, rank)
  const axesOf = (t: Tensor): ReadonlyArray<number> =>
    Shape.range(rank).filter((i) => t.ndim >= 2 && i - rank + t.ndim - 2 >= 0)
  // Leave out batch axes of size 1 that the other operand stretches, or that both have.
  const squeezed = (
    t: Tensor,
    kept: ReadonlyArray<number>
  ): { readonly tensor: Tensor; readonly axes: ReadonlyArray<number> } => {
    const axes = axesOf(t)
    const dropped = axes.filter((i) => !kept.includes(i))
    return {
      tensor: lax.squeeze(t, dropped.map((i) => i - rank + t.ndim - 2)),
      axes: axes.filter((i) => kept.includes(i))
    }
  }
  const left = squeezed(a, [...plan.both, ...plan.onlyX])
  const right = squeezed(b, [...plan.both, ...plan.onlyY])
  const p = left.tensor
  const q = right.tensor
  const product = contract(p, q, {
    contracting: [[p.ndim - 1], [b.ndim === 1 ? 0 : q.ndim - 2]],
    batch: [plan.both.map((i) => left.axes.indexOf(i)), plan.both.map((i) => right.axes.indexOf(i))]
  }, options.preferredElementType)
  const rows = a.ndim > 1 ? [rank] : []
  const columns = b.ndim > 1 ? [rank + rows.length] : []
  const order = [...plan.both, ...plan.onlyX, ...rows, ...plan.onlyY, ...columns]
  const sorted = order.toSorted((i, j) => i - j)
  const arranged = lax.transpose(product, sorted.map((i) => order.indexOf(i)))
  return plan.neither.length === 0 ? arranged : expandDims(arranged, plan.neither)
}

/**
 * The matrix product. Vectors are rows on the left and columns on the right, and lose that axis again; axes before the
 * last two broadcast.
 *
 * Fails with a `ShapeError` when the inner sizes differ, and on scalars.
 *
 * ```ts import.meta.vitest
 * import { Tensor } from "linum"
 *
 * const x = Tensor.ones([8, 2, 3])
 * const w = Tensor.ones([3, 4])
 * console.log(x.matmul(w).shape) // => [ 8, 2, 4 ]
 * console.log(x.pipe(Tensor.matmul(w)).dtype) // => float32
 * ```
 *
 * @category products
 * @since 0.1.0
 */
export const matmul: Product = dual(twoOperands, matrixProduct)

/**
 * `numpy.dot`: of vectors the inner product, of matrices the matrix product, with a scalar the multiple; else the last
 * axis of x meets the second to last of y.
 */
export const dot: {
  (y: TensorLike, options?: ProductOptions): (x: Tensor) => Tensor
  (x: TensorLike, y: TensorLike, options?: ProductOptions): Tensor
} = dual(
  twoOperands,
  (x: TensorLike, y: TensorLike, options: ProductOptions = {}): Tensor => {
    const [a, b] = numericOperands("dot", x, y)
    const scalar = a.ndim === 0 || b.ndim === 0
    const at = b.ndim === 1 ? 0 : b.ndim - 2
    if (!scalar && a.shape[a.ndim - 1] !== b.shape[at]) {
      throw mismatch("dot", a, b, "inner sizes that agree", "transpose an operand")
    }
    return contract(
      a,
      b,
      { contracting: scalar ? [[], []] : [[a.ndim - 1], [at]], batch: [[], []] },
      options.preferredElementType
    )
  }
)

/** The sum of products of all elements of two arrays of one size. */
export const vdot: Product = dual(
  twoOperands,
  (x: Tensor, y: Tensor, options: ProductOptions = {}): Tensor => dot(ravel(x), ravel(y), options)
)

/** The sums of products over the last axes of both. */
export const inner: Product = dual(
  twoOperands,
  (x: Tensor, y: Tensor, options: ProductOptions = {}): Tensor =>
    x.ndim === 0 || y.ndim === 0 ? multiply(x, y) : tensordot(x, y, [[-1], [-1]], options)
)

/** All pairwise products of the elements of two arrays, flattened: a matrix. */
export const outer: {
  (y: Tensor): (x: Tensor) => Tensor
  (x: Tensor, y: Tensor): Tensor
} = dual(2, (x: Tensor, y: Tensor): Tensor => multiply(expandDims(ravel(x), 1), expandDims(ravel(y), 0)))

/** Which axes a tensordot sums over: the last n of x with the first n of y, or pairs of axes. */
export type ContractedAxes = number | readonly [ReadonlyArray<number>, ReadonlyArray<number>]

/** The sum of products over chosen axes; the result has the free axes of x, then those of y. */
export const tensordot = (x: Tensor, y: Tensor, axes: ContractedAxes = 2, options: ProductOptions = {}): Tensor => {
  const [a, b] = numericOperands("tensordot", x, y)
  if (typeof axes === "number" && (axes > Math.min(a.ndim, b.ndim) || axes < 0)) {
    throw mismatch("tensordot", a, b, `at least ${axes} axes of both`, "contract fewer axes")
  }
  const [p, q] = typeof axes === "number"
    ? [Shape.range(axes).map((i) => i + a.ndim - axes), Shape.range(axes)]
    : [axes[0].map((i) => Shape.axis("tensordot", i, a.ndim)), axes[1].map((i) => Shape.axis("tensordot", i, b.ndim))]
  if (p.length !== q.length || p.some((i, n) => a.shape[i] !== b.shape[q[n]])) {
    throw mismatch(
      "tensordot",
      a,
      b,
      `equal sizes along axes ${Shape.format(p)} and ${Shape.format(q)}`,
      "name axes in pairs"
    )
  }
  return contract(a, b, { contracting: [p, q], batch: [[], []] }, options.preferredElementType)
}

/** The Kronecker product: every element of x times the whole of y, as blocks. */
export const kron: {
  (y: Tensor): (x: Tensor) => Tensor
  (x: Tensor, y: Tensor): Tensor
} = dual(2, (x: Tensor, y: Tensor): Tensor => {
  const rank = Math.max(x.ndim, y.ndim)
  const padded = (t: Tensor) => [...Shape.range(rank - t.ndim).map(() => 1), ...t.shape]
  const [p, q] = [padded(x), padded(y)]
  const a = lax.reshape(x, p.flatMap((d) => [d, 1]))
  const b = lax.reshape(y, q.flatMap((d) => [1, d]))
  return lax.reshape(multiply(a, b), p.map((d, i) => d * q[i]))
})
