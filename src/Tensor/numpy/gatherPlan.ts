/**
 * From an index expression to the dimension numbers of one gather, or of the scatter that writes the same places.
 *
 * Every indexed axis has a component in the index vectors: advanced indices are broadcast together and become batch
 * axes of the gather; ranges with a step become batch axes of their own; ranges without a step are windows of their
 * length, with their start as a component. Whole axes need no component. The method is that of
 * `jax/_src/numpy/indexing.py`.
 */
import * as lax from "../lax/index.ts"
import * as Shape from "../Shape.ts"
import { literal, type Tensor } from "../Tensor.ts"
import type { ArrayEntry, Entry, Expression, IntegerEntry, RangeEntry } from "./indexExpression.ts"

/** A gather (with `offsetDims` …) or scatter, and the shapes around it. */
export interface Plan {
  /** The shape of the selection, new axes included. */
  readonly shape: Shape.Shape
  /** The axes of `shape` that are new. */
  readonly newAxes: ReadonlyArray<number>
  /** Index vectors along the last axis; null when every axis is taken whole. */
  readonly indices: Tensor | null
  readonly offsetDims: ReadonlyArray<number>
  readonly collapsedSliceDims: ReadonlyArray<number>
  readonly startIndexMap: ReadonlyArray<number>
  readonly sliceSizes: Shape.Shape
  /** No place is named twice. */
  readonly unique: boolean
}

/** Positions along one axis, and the batch axis from which on they vary. */
interface Component {
  readonly axis: number
  readonly positions: Tensor
  readonly from: number
}

const int = (value: number): Tensor => literal(value, "int32")

const isAdvanced = (entry: Entry): entry is ArrayEntry | IntegerEntry =>
  entry._tag === "Array" || entry._tag === "Integer"

const steps = (entry: RangeEntry): Tensor => {
  const shape = [entry.length]
  const scaled = lax.mul(lax.iota("int32", shape, 0), lax.broadcastTo(int(entry.step), shape))
  return lax.add(scaled, lax.broadcastTo(int(entry.start), shape))
}

/** The plan while it is being made. */
class Draft {
  readonly shape: Array<number> = []
  readonly newAxes: Array<number> = []
  readonly offsetDims: Array<number> = []
  readonly collapsed: Array<number> = []
  readonly sliceSizes: Array<number> = []
  readonly batch: Array<number> = []
  readonly components: Array<Component> = []

  /** Advanced indices, broadcast together. */
  advanced(entries: ReadonlyArray<ArrayEntry | IntegerEntry>): void {
    const positions = entries.map((e) => e._tag === "Array" ? e.positions : int(e.index))
    const shape = Shape.broadcast("at", ...positions.map((p) => p.shape))
    entries.forEach((entry, i) => {
      this.components.push({
        axis: entry.axis,
        positions: lax.broadcastTo(positions[i], shape),
        from: this.batch.length
      })
      this.collapsed.push(entry.axis)
    })
    this.batch.push(...shape)
    this.shape.push(...shape)
  }

  /** One position, alone. */
  scalar(entry: ArrayEntry | IntegerEntry): void {
    const positions = entry._tag === "Array" ? entry.positions : int(entry.index)
    this.components.push({ axis: entry.axis, positions, from: this.batch.length })
    this.collapsed.push(entry.axis)
    this.sliceSizes.push(1)
  }

  range(entry: RangeEntry, size: number): void {
    if (entry.step === 1) {
      if (entry.length !== size) {
        this.components.push({ axis: entry.axis, positions: int(entry.start), from: this.batch.length })
      }
      this.sliceSizes.push(entry.length)
      this.offsetDims.push(this.shape.length - this.newAxes.length)
    } else {
      this.components.push({ axis: entry.axis, positions: steps(entry), from: this.batch.length })
      this.collapsed.push(entry.axis)
      this.sliceSizes.push(1)
      this.batch.push(entry.length)
    }
    this.shape.push(entry.length)
  }

  indices(): Tensor | null {
    if (this.components.length === 0) return null
    const shape = [...this.batch, 1]
    const columns = this.components.map(({ from, positions }) =>
      lax.broadcastInDim(positions, shape, Shape.range(positions.ndim).map((i) => i + from))
    )
    return lax.concatenate(columns, this.batch.length)
  }
}

/** The gather of an index expression, on an array of a shape. */
export const plan = ({ contiguous, entries }: Expression, shape: Shape.Shape): Plan => {
  const draft = new Draft()
  const isArray = entries.some((e) => e._tag === "Array" && e.positions.ndim > 0)
  const advanced = isArray ? entries.filter(isAdvanced) : []
  entries.forEach((entry, i) => {
    if (isArray && (contiguous ? entry === advanced[0] : i === 0)) draft.advanced(advanced)
    if (isAdvanced(entry)) {
      if (isArray) draft.sliceSizes.push(1)
      else draft.scalar(entry)
    } else if (entry._tag === "New") {
      draft.newAxes.push(draft.shape.length)
      draft.shape.push(1)
    } else draft.range(entry, shape[entry.axis])
  })
  return {
    shape: draft.shape,
    newAxes: draft.newAxes,
    indices: draft.indices(),
    offsetDims: draft.offsetDims,
    collapsedSliceDims: draft.collapsed.toSorted((a, b) => a - b),
    startIndexMap: draft.components.map((c) => c.axis),
    sliceSizes: draft.sliceSizes,
    unique: !isArray
  }
}
