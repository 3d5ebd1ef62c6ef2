/**
 * Kernels that are no clusters: results put together from pieces (concatenate, pad), copies, constants in memory, and
 * the operands of matrix products, which are read in place through strides where those exist.
 */
import type { Shape } from "../../../Tensor/Shape.ts"
import type { Affine, Buffer, Expression, Loop, Matrix, Store } from "../ir.ts"
import { type Access, constant, Opaque, plus, Refine, scaled, throughSlice, volume } from "./access.ts"
import { MustBeRoot } from "./cluster.ts"
import { Expressions, type Resolved } from "./expression.ts"
import type { Node, Operand, Value } from "./region.ts"
import { Dimensions, spaceOf } from "./space.ts"

type Resolve = (value: Value) => Resolved

/** Strides of row-major memory. */
const rowMajor = (shape: Shape): ReadonlyArray<number> => shape.map((_, i) => volume(shape.slice(i + 1)))

/** The expression of an operand over all of its elements, and the dimensions for which it exists. */
const everywhere = <A>(
  x: Operand,
  shape: Shape,
  resolve: Resolve,
  use: (expressions: Expressions, dimensions: Dimensions) => A
): A => {
  let dimensions = new Dimensions(spaceOf(shape))
  for (;;) {
    const expressions = new Expressions(dimensions.extents, resolve)
    try {
      return use(expressions, dimensions)
    } catch (thrown) {
      if (thrown instanceof Refine) {
        dimensions = dimensions.refined(thrown)
      } else if (thrown instanceof Opaque) {
        throw new MustBeRoot(expressions.opaque ?? x as Value)
      } else {
        throw thrown
      }
    }
  }
}

/** Along each axis of a whole where a piece begins, and how far apart its elements are. */
interface Placement {
  readonly shape: Shape
  readonly starts: ReadonlyArray<number>
  readonly steps: ReadonlyArray<number>
}

/** The place, in the whole, of the elements of a piece of shape `piece`. */
const placed = (access: Access, piece: Shape, { shape, starts, steps }: Placement, dimensions: number): Affine => {
  const strides = rowMajor(shape)
  let next = 0
  return piece.reduce<Affine>(
    (sum, n, axis) => n === 1 ? sum : plus(sum, scaled(access[next++].at, strides[axis] * steps[axis])),
    constant(starts.reduce((sum, start, axis) => sum + start * strides[axis], 0), dimensions)
  )
}

const loop = (name: string, dimensions: Dimensions, store: Store): Loop => ({
  _tag: "Loop",
  name,
  outer: dimensions.outer,
  inner: [],
  stages: [{ _tag: "Map", stores: [store] }]
})

/** Copies an operand, from element `first` on along each axis and of shape `piece`, into a whole. */
const copyInto = (
  name: string,
  x: Operand,
  piece: Shape,
  first: ReadonlyArray<number>,
  buffer: Buffer,
  where: Placement,
  resolve: Resolve
): Loop =>
  everywhere(x, piece, resolve, (expressions, dimensions) => {
    const { extents } = dimensions
    const access = dimensions.access("full")
    const source = first.every((n) => n === 0) && piece.every((n, i) => n === x.aval.shape[i])
      ? access
      : throughSlice(access, piece, x.aval.shape, first, piece.map(() => 1), extents)
    const at = placed(access, piece, where, extents.length)
    return loop(name, dimensions, { buffer, at, value: expressions.at(x, source) })
  })

const zeros = (shape: Shape): ReadonlyArray<number> => shape.map(() => 0)
const ones = (shape: Shape): ReadonlyArray<number> => shape.map(() => 1)

/** All elements of an operand, in order, into a buffer. */
export const copy = (name: string, x: Operand, buffer: Buffer, resolve: Resolve): Loop => {
  const { shape } = x.aval
  return copyInto(name, x, shape, zeros(shape), buffer, { shape, starts: zeros(shape), steps: ones(shape) }, resolve)
}

const fill = (name: string, x: Operand, piece: Shape, buffer: Buffer, where: Placement, resolve: Resolve): Loop => {
  const dimensions = new Dimensions(spaceOf(piece))
  const value: Expression = new Expressions(dimensions.extents, resolve).at(x, [])
  const at = placed(dimensions.access("full"), piece, where, dimensions.extents.length)
  return loop(name, dimensions, { buffer, at, value })
}

/** The loops of a concatenation, which depend on nothing of each other. */
export const concatenate = (node: Node, buffer: Buffer, resolve: Resolve): ReadonlyArray<Loop> => {
  if (node.equation.primitive !== "concatenate") return []
  const { dimension } = node.equation.params
  const { shape } = node.outputs[0].aval
  let start = 0
  return node.inputs.flatMap((x) => {
    const piece = x.aval.shape
    const starts = piece.map((_, axis) => axis === dimension ? start : 0)
    start += piece[dimension]
    return volume(piece) === 0
      ? []
      : [copyInto("concatenate", x, piece, zeros(piece), buffer, { shape, starts, steps: ones(piece) }, resolve)]
  })
}

/** The loops of a pad: those of `first` come before those of `second`; within each they are independent. */
export const pad = (
  node: Node,
  buffer: Buffer,
  resolve: Resolve
): { readonly first: ReadonlyArray<Loop>; readonly second: ReadonlyArray<Loop> } => {
  if (node.equation.primitive !== "pad") return { first: [], second: [] }
  const [x, value] = node.inputs
  const { shape } = node.outputs[0].aval
  const plan = node.equation.params.padding_config.map(([low, , interior], axis) => {
    const step = interior + 1
    const first = low < 0 ? Math.ceil(-low / step) : 0
    const last = Math.min(x.aval.shape[axis] - 1, Math.floor((shape[axis] - 1 - low) / step))
    return { first, count: Math.max(0, last - first + 1), start: low + first * step, step }
  })
  const piece = plan.map((p) => p.count)
  const where = { shape, starts: plan.map((p) => p.start), steps: plan.map((p) => p.step) }
  const inside = volume(piece) === 0
    ? []
    : [copyInto("pad", x, piece, plan.map((p) => p.first), buffer, where, resolve)]
  const rectangle = (sizes: Shape, starts: ReadonlyArray<number>) =>
    volume(sizes) === 0 ? [] : [fill("pad", value, sizes, buffer, { shape, starts, steps: ones(shape) }, resolve)]
  if (inside.length === 0) return { first: [], second: rectangle(shape, zeros(shape)) }
  if (plan.some((p) => p.step > 1)) return { first: rectangle(shape, zeros(shape)), second: inside }
  const borders = plan.flatMap((p, axis) => {
    // Before this axis the inside, behind it everything.
    const sizes = (n: number) => shape.map((whole, i) => i < axis ? plan[i].count : i === axis ? n : whole)
    const starts = (n: number) => shape.map((_, i) => i < axis ? plan[i].start : i === axis ? n : 0)
    const end = p.start + p.count
    return [...rectangle(sizes(p.start), starts(0)), ...rectangle(sizes(shape[axis] - end), starts(end))]
  })
  return { first: [], second: [...borders, ...inside] }
}

/** The axes of an operand of a product, by their part in it. */
interface Parts {
  readonly batch: ReadonlyArray<number>
  readonly free: ReadonlyArray<number>
  readonly contracting: ReadonlyArray<number>
}

/** The stride of several axes taken as one; undefined if they have none. */
const together = (axes: ReadonlyArray<number>, shape: Shape, strides: ReadonlyArray<number>): number | undefined => {
  const long = axes.filter((axis) => shape[axis] !== 1)
  if (long.length === 0) return 0
  const isDense = long.every((axis, i) => i === 0 || strides[long[i - 1]] === strides[axis] * shape[axis])
  return isDense ? strides[long[long.length - 1]] : undefined
}

/** Copies of operands that were taken, by their layouts: several products may read one. */
export type Copies = Map<Operand, Map<string, Buffer>>

/** An operand of a product as a matrix: where it is, or in one of the `copies`, to which `copied` may add one. */
export const matrixOf = (
  x: Operand,
  parts: Parts,
  isLeft: boolean,
  resolve: Resolve,
  copies: Copies,
  copied: (makeLoop: (buffer: Buffer) => Loop) => Buffer
): Matrix => {
  const { shape } = x.aval
  const matrix = (buffer: Buffer, offset: number, strides: ReadonlyArray<number>): Matrix | undefined => {
    const free = together(parts.free, shape, strides)
    const contracting = together(parts.contracting, shape, strides)
    if (free === undefined || contracting === undefined) return undefined
    const [row, column] = isLeft ? [free, contracting] : [contracting, free]
    return { buffer, offset, batch: parts.batch.map((axis) => strides[axis]), row, column }
  }
  const inPlace = everywhere(x, shape, resolve, (expressions, dimensions) => {
    if (dimensions.extents.length !== shape.filter((n) => n !== 1).length) return undefined
    const loaded = expressions.at(x, dimensions.access("full"))
    if (loaded._tag !== "Load") return undefined
    let next = 0
    return matrix(loaded.buffer, loaded.at.offset, shape.map((n) => n === 1 ? 0 : loaded.at.strides[next++]))
  })
  if (inPlace !== undefined) return inPlace
  // In the order of its own axes, if that makes a matrix: for other products that read it, it then may, too.
  const own = rowMajor(shape)
  const order = [...parts.batch, ...parts.free, ...parts.contracting]
  const dense = rowMajor(order.map((axis) => shape[axis]))
  const isMatrix = [parts.free, parts.contracting].every((axes) => together(axes, shape, own) !== undefined)
  const strides = isMatrix ? own : shape.map((_, axis) => dense[order.indexOf(axis)])
  const known = copies.get(x) ?? new Map<string, Buffer>()
  const buffer = known.get(strides.join()) ??
    copied((buffer) =>
      everywhere(x, shape, resolve, (expressions, dimensions) => {
        const access = dimensions.access("full")
        let next = 0
        const at = shape.reduce<Affine>(
          (sum, n, axis) => n === 1 ? sum : plus(sum, scaled(access[next++].at, strides[axis])),
          constant(0, dimensions.extents.length)
        )
        return loop("transpose", dimensions, { buffer, at, value: expressions.at(x, access) })
      })
    )
  copies.set(x, known.set(strides.join(), buffer))
  const made = matrix(buffer, 0, strides)
  if (made === undefined) throw new Error("a dense copy has strides")
  return made
}
