/**
 * Where an element of a value is, as a function of a kernel's indices. Following a value back through broadcasts,
 * transposes, slices and reshapes only changes this function, so none of them is ever computed by itself.
 *
 * An *access* cuts the value's axes into groups of neighbours; each group has one affine function that numbers its
 * elements in row-major order. A reshape regroups axes and is always possible; an operation that looks at one axis of a
 * group must *divide* its function by the sizes behind it. Where that leaves the affine functions, the kernel's own
 * dimension is split (`Refine`), or the value must be in memory first (`Opaque`).
 */
import type { Shape } from "../../../Tensor/Shape.ts"
import type { Affine } from "../ir.ts"

/** The kernel's dimension number `dimension` should be two, of which the inner has `factor` elements. */
export class Refine {
  readonly dimension: number
  readonly factor: number
  constructor(dimension: number, factor: number) {
    this.dimension = dimension
    this.factor = factor
  }
}

/** The value cannot be computed where it is used: it must be in memory first. */
export class Opaque {
  readonly _tag = "Opaque"
}

/** Axes `sizes`, numbered together by `at`. */
export interface Group {
  readonly sizes: Shape
  readonly at: Affine
}

/** Groups for all axes of a value, in order. Axes of size 1 are in none. */
export type Access = ReadonlyArray<Group>

export const volume = (shape: Shape): number => {
  let n = 1
  for (let i = 0; i < shape.length; i++) n *= shape[i]
  return n
}

const zeros = (count: number): Array<number> => {
  const all: Array<number> = []
  for (let i = 0; i < count; i++) all.push(0)
  return all
}

export const constant = (offset: number, dimensions: number): Affine => ({ offset, strides: zeros(dimensions) })

/** The index of one dimension. */
export const unit = (dimension: number, dimensions: number): Affine => {
  const strides = zeros(dimensions)
  strides[dimension] = 1
  return { offset: 0, strides }
}

export const plus = (a: Affine, b: Affine): Affine => ({
  offset: a.offset + b.offset,
  strides: a.strides.map((s, d) => s + b.strides[d])
})

/** `factor * a + offset` */
export const scaled = (a: Affine, factor: number, offset = 0): Affine =>
  factor === 1 && offset === 0 ? a : {
    offset: a.offset * factor + offset,
    strides: a.strides.map((s) => s === 0 ? 0 : s * factor)
  }

/** The place in row-major memory of a value with these groups. */
export const linear = (access: Access, dimensions: number): Affine => {
  let inner = 1
  let offset = 0
  const strides = zeros(dimensions)
  for (let i = access.length - 1; i >= 0; i--) {
    const { at, sizes } = access[i]
    offset += at.offset * inner
    // Not where the stride is 0: an axis of no elements would make it -0.
    for (let d = 0; d < dimensions; d++) if (at.strides[d] !== 0) strides[d] += at.strides[d] * inner
    inner *= volume(sizes)
  }
  return { offset, strides }
}

/** Every axis of a shape, also those of size 1, by a dimension of its own; axes of size 1 have no group. */
export const identityOver = (shape: Shape): Access =>
  shape.flatMap((n, d) => n === 1 ? [] : [{ sizes: [n], at: unit(d, shape.length) }])

/**
 * Quotient and remainder of an affine function by `n`, over dimensions of these extents. Both must be affine: every
 * stride is a multiple of `n`, or the rest stays below it.
 */
const divide = (a: Affine, n: number, extents: Shape): readonly [Affine, Affine] => {
  const rest = ((a.offset % n) + n) % n
  let most = rest
  const high: Array<number> = []
  const low: Array<number> = []
  a.strides.forEach((s, d) => {
    const whole = s % n === 0
    high.push(whole ? s / n : 0)
    low.push(whole ? 0 : s)
    if (!whole) most += s < 0 ? Infinity : s * (extents[d] - 1)
  })
  if (most >= n) {
    const crossing = a.strides.findIndex((s, d) => s > 0 && s % n !== 0 && s * extents[d] > n)
    const s = a.strides[crossing]
    if (crossing >= 0 && n % s === 0 && extents[crossing] % (n / s) === 0) throw new Refine(crossing, n / s)
    throw new Opaque()
  }
  return [
    { offset: (a.offset - rest) / n, strides: high },
    { offset: rest, strides: low }
  ]
}

/** A group as two: the axes before position `cut`, and those from there on. */
const cutAt = (group: Group, cut: number, extents: Shape): readonly [Group, Group] => {
  const behind = group.sizes.slice(cut)
  const [high, low] = divide(group.at, volume(behind), extents)
  return [{ sizes: group.sizes.slice(0, cut), at: high }, { sizes: behind, at: low }]
}

/** A group as one for each axis. */
const axesOf = (group: Group, extents: Shape): ReadonlyArray<Group> => {
  if (group.sizes.length <= 1) return [group]
  const [before, last] = cutAt(group, group.sizes.length - 1, extents)
  return [...axesOf(before, extents), last]
}

/** An axis of a value: its size, and whatever the operation needs to know of it. */
interface Labelled<L> {
  readonly size: number
  readonly label: L
}

/**
 * The groups with the labels of their axes, cut between neighbours that `together` says must not share a group. `axes`
 * are those of the value, without size 1.
 */
const labelled = <L>(
  access: Access,
  axes: ReadonlyArray<Labelled<L>>,
  together: (a: L, b: L) => boolean,
  extents: Shape
): ReadonlyArray<readonly [Group, ReadonlyArray<L>]> => {
  let next = 0
  return access.flatMap((whole) => {
    let labels = axes.slice(next, next += whole.sizes.length).map((axis) => axis.label)
    const parts: Array<readonly [Group, ReadonlyArray<L>]> = []
    let rest = whole
    for (let i = labels.length - 1; i > 0; i--) {
      if (together(labels[i - 1], labels[i])) continue
      const [before, behind] = cutAt(rest, i, extents)
      parts.unshift([behind, labels.slice(i)])
      labels = labels.slice(0, i)
      rest = before
    }
    return [[rest, labels] as const, ...parts]
  })
}

/** Axes with their numbers, but those of size 1. */
const numbered = (shape: Shape): ReadonlyArray<Labelled<number>> =>
  shape.flatMap((size, label) => size === 1 ? [] : [{ size, label }])

/** Through `broadcast_in_dim`: from the result to the operand. */
export const throughBroadcast = (
  access: Access,
  shape: Shape,
  operand: Shape,
  dimensions: ReadonlyArray<number>,
  extents: Shape
): Access => {
  const mapped = new Set(dimensions.filter((d, i) => operand[i] === shape[d]))
  const axes = numbered(shape).map(({ label, size }) => ({ size, label: mapped.has(label) }))
  return labelled(access, axes, (a, b) => a === b, extents).flatMap(([group, [isMapped]]) => isMapped ? [group] : [])
}

/** Through `transpose`: axis i of the result is axis `permutation[i]` of the operand. */
export const throughTranspose = (
  access: Access,
  shape: Shape,
  permutation: ReadonlyArray<number>,
  extents: Shape
): Access => {
  // Axes of size 1 stand between no neighbours.
  const order = numbered(shape).map(({ label }) => permutation[label]).toSorted((a, b) => a - b)
  const rank = new Map(order.map((axis, i) => [axis, i]))
  const axes = numbered(shape).map(({ label, size }) => ({ size, label: rank.get(permutation[label]) ?? 0 }))
  return labelled(access, axes, (a, b) => b === a + 1, extents)
    .toSorted(([, [a]], [, [b]]) => a - b)
    .map(([group]) => group)
}

/** Through a reshape: from the result of this access to an operand of shape `operand`. */
export const throughReshape = (access: Access, operand: Shape, dimensions: number): Access => {
  const axes = operand.filter((n) => n !== 1)
  const groups: Array<Group> = []
  let axis = 0
  let next = 0
  while (next < access.length || axis < axes.length) {
    const taken: Array<Group> = []
    const sizes: Array<number> = []
    let have = 1
    let want = 1
    do {
      if (have <= want && next < access.length) {
        taken.push(access[next])
        have *= volume(access[next++].sizes)
      } else if (axis < axes.length) {
        sizes.push(axes[axis])
        want *= axes[axis++]
      } else {
        throw new Opaque()
      }
    } while (have !== want)
    groups.push({ sizes, at: linear(taken, dimensions) })
  }
  return groups
}

/** Through `slice`, by the starts and strides of every axis. `operand` is the shape that is sliced. */
export const throughSlice = (
  access: Access,
  shape: Shape,
  operand: Shape,
  starts: ReadonlyArray<number>,
  strides: ReadonlyArray<number>,
  extents: Shape
): Access => {
  const whole = (axis: number) => shape[axis] === operand[axis] && starts[axis] === 0 && strides[axis] === 1
  const parts = labelled(access, numbered(shape), (a, b) => whole(a) && whole(b), extents)
  const byAxis = new Map(parts.map(([group, axes]) => [axes[0], { group, axes }]))
  const inside = new Set(parts.flatMap(([, axes]) => axes.slice(1)))
  return operand.flatMap((size, axis): Access => {
    if (inside.has(axis) || size === 1) return []
    const part = byAxis.get(axis)
    // An axis of which one element is left.
    if (part === undefined) return [{ sizes: [size], at: constant(starts[axis], extents.length) }]
    const { axes, group } = part
    return axes.length > 1 || whole(axis)
      ? [{ sizes: axes.map((a) => operand[a]), at: group.at }]
      : [{ sizes: [size], at: scaled(group.at, strides[axis], starts[axis]) }]
  })
}

/** Through `rev`. */
export const throughReverse = (
  access: Access,
  shape: Shape,
  dimensions: ReadonlyArray<number>,
  extents: Shape
): Access => {
  const reversed = (axis: number) => dimensions.includes(axis)
  return labelled(access, numbered(shape), (a, b) => reversed(a) === reversed(b), extents).map(([group, [axis]]) =>
    reversed(axis) ? { sizes: group.sizes, at: scaled(group.at, -1, volume(group.sizes) - 1) } : group
  )
}

/** The index along one axis. */
export const alongAxis = (access: Access, shape: Shape, axis: number, extents: Shape): Affine => {
  if (shape[axis] === 1) return constant(0, extents.length)
  const position = numbered(shape).findIndex((a) => a.label === axis)
  let before = 0
  for (const group of access) {
    if (position < before + group.sizes.length) return axesOf(group, extents)[position - before].at
    before += group.sizes.length
  }
  throw new Opaque()
}
