/**
 * What is decided about a convolution: how its input is copied, in which order positions and ks go, and how large the
 * parts are. See `convolution.ts` for the walk through them.
 */
import type { Features } from "../emission.ts"
import type { Convolution } from "../ir.ts"
import { evenBlock, tileColumns } from "./blocking.ts"
import { elementsOf, type Kind } from "./elements.ts"
import { extent, type Geometry, geometryOf } from "./geometry.ts"
import { type Innermost, type Layout, layoutOf } from "./image.ts"
import type { Way } from "./pack.ts"

/** Most steps of k in a block. */
const longestK = 384
/** Positions of a part: enough of them that packing the kernel for every part costs little. */
const fewPositions = 256
const mostPositions = 1024
/** Most bytes of a packed kernel that is kept for all parts. */
const keptBytes = 1 << 20
/** Positions, all in all, for which packing the kernel would not pay. */
const fewRows = 16
/** Pieces into which the work is divided at least, if columns can be divided. */
const pieces = 8

/** Something that positions run through. */
export type PositionAxis = "batch" | number

/** A plan. It prints as it is. */
export interface Plan {
  readonly kind: Kind
  readonly geometry: Geometry
  readonly innermost: Innermost
  readonly layout: Layout
  /** The order of positions, outermost first: the batch, and spatial axes by number. */
  readonly order: ReadonlyArray<PositionAxis>
  /** Elements between two positions in the result, if they are even; else results are scattered from scratch memory. */
  readonly rowStride: number | undefined
  /** How rows are gathered from the image, and columns from the kernel. */
  readonly rowWay: Way
  readonly columnWay: Way
  /** Elements between two ks in the kernel, if it is read as it is; else it is packed. */
  readonly kernelStep: number | undefined
  /** Does a run of ks also go along the last spatial axis? */
  readonly joined: boolean
  /** A block of k: features, and elements of the window along its first axis. */
  readonly blockFeatures: number
  readonly blockWindow: number
  /** A part: elements of the batch, and of the result's first axis in a unit; so many units of one image at most. */
  readonly partBatch: number
  readonly band: number
  readonly mostBands: number
  /** Columns of a unit. */
  readonly unitColumns: number
  /** Is the packed kernel kept for all parts? */
  readonly kept: boolean
}

const product = (numbers: ReadonlyArray<number>): number => numbers.reduce((a, b) => a * b, 1)

const sizeOf = ({ axes, batch }: Geometry, axis: PositionAxis): number =>
  axis === "batch" ? batch.size : axes[axis].output
const strideOf = ({ axes, batch }: Geometry, axis: PositionAxis): number =>
  axis === "batch" ? batch.output : axes[axis].outputStride

/** The positions in the order of memory, if the result's rows are evenly apart and parts of them are whole stretches. */
const evenRows = (
  g: Geometry
): { readonly order: ReadonlyArray<PositionAxis>; readonly stride: number } | undefined => {
  if (g.columns.output !== 1 && g.columns.size > 1) return undefined
  const all: ReadonlyArray<PositionAxis> = ["batch", ...g.axes.keys()]
  const order = all.filter((axis) => sizeOf(g, axis) > 1).sort((a, b) => strideOf(g, b) - strideOf(g, a))
  if (order.length === 0) return { order: all, stride: 1 }
  const even = order.every((axis, i) =>
    i === order.length - 1 || strideOf(g, axis) === strideOf(g, order[i + 1]) * sizeOf(g, order[i + 1])
  )
  const axes = order.filter((axis) => axis !== "batch")
  if (!even || !axes.every((axis, i) => i === 0 || axes[i - 1] < axis)) return undefined
  // A part is a range of the batch or of the first axis, so nothing else with more than one element may go before those.
  if (order[0] !== "batch" && order[0] !== 0 && g.axes[0].output > 1) return undefined
  return {
    order: [...all.filter((axis) => !order.includes(axis)), ...order],
    stride: strideOf(g, order[order.length - 1])
  }
}

/** The last of these that has more than one element. */
const fastest = (g: Geometry, order: ReadonlyArray<PositionAxis>): PositionAxis | undefined =>
  order.findLast((axis) => sizeOf(g, axis) > 1)

const innermostOf = (g: Geometry, order: ReadonlyArray<PositionAxis> | undefined): Innermost => {
  const last = g.axes[g.axes.length - 1]
  const candidates = [
    { name: "features", size: g.features.size, stride: g.features.input },
    { name: "batch", size: g.batch.size, stride: g.batch.input },
    { name: "spatial", size: last.input, stride: last.inputStride }
  ] as const
  const natural = candidates.filter(({ size }) => size > 1).sort((a, b) => a.stride - b.stride)[0]?.name ?? "features"
  if (natural === "batch" && g.batch.size % 4 === 0 && (order === undefined || fastest(g, order) === "batch")) {
    return "batch"
  }
  return last.kernelDilation === 1 && last.window >= 8 && (natural !== "features" || g.features.size < 4)
    ? "spatial"
    : "features"
}

const blocksOfK = ({ axes, features }: Geometry, innermost: Innermost): readonly [features: number, window: number] => {
  const inner = product(axes.slice(1).map((axis) => axis.window))
  const { window } = axes[0]
  if (window * inner * features.size <= longestK) return [Math.max(1, features.size), Math.max(1, window)]
  const least = Math.min(features.size, innermost === "features" ? 16 : 1)
  if (window * inner * least <= longestK) {
    const most = Math.floor(longestK / (window * inner))
    const even = least === 1
      ? Math.ceil(features.size / Math.ceil(features.size / most))
      : evenBlock(features.size, most)
    return [Math.min(features.size, even), window]
  }
  return [least, Math.max(1, Math.min(window, Math.floor(longestK / Math.max(1, inner * least))))]
}

/** Elements of the kernel between two ks, if they are evenly apart and if so few positions meet it that packing costs much. */
const kernelStepOf = (g: Geometry, innermost: Innermost, plain: boolean): number | undefined => {
  const positions = g.batch.size * product(g.axes.map((axis) => axis.output))
  if (!plain || g.columns.kernel !== 1 || g.columns.size % 4 !== 0 || positions > fewRows) return undefined
  const axes = g.axes.map(({ kernelStride, window }) => ({ size: window, stride: kernelStride }))
  const features = { size: g.features.size, stride: g.features.kernel }
  const nest = (innermost === "features" ? [...axes, features] : [features, ...axes]).filter(({ size }) => size > 1)
  if (nest.some(({ size, stride }, i) => i > 0 && nest[i - 1].stride !== size * stride)) return undefined
  return nest.at(-1)?.stride ?? 0
}

/** Even parts of a size, none above `most`, if possible. */
const even = (size: number, most: number): number => Math.ceil(size / Math.max(1, Math.ceil(size / Math.max(1, most))))

/** Decides how a convolution is computed. */
export const planOf = (convolution: Convolution, features: Features): Plan => {
  const g = geometryOf(convolution)
  const rows = evenRows(g)
  const innermost = innermostOf(g, rows?.order)
  const numbers = [...g.axes.keys()]
  const order: ReadonlyArray<PositionAxis> = rows?.order ??
    (innermost === "batch" ? [...numbers, "batch"] : ["batch", ...numbers])
  const [blockFeatures, blockWindow] = blocksOfK(g, innermost)

  const last = g.axes[g.axes.length - 1]
  const whole = blockFeatures >= g.features.size
  const joined = innermost === "features" && whole && last.kernelDilation === 1 && g.features.size % 4 !== 0
  const rowWay: Way = innermost === "batch"
    ? "across"
    : innermost === "spatial" || g.features.size * (joined ? last.window : 1) > 1
    ? "along"
    : "single"
  // The kernel's runs are read in place, so nothing may be read behind them.
  const run = innermost === "spatial"
    ? (last.kernelStride === 1 ? last.window : 1)
    : g.features.kernel !== 1
    ? 1
    : joined
    ? (last.kernelStride === g.features.size ? last.window * g.features.size : 1)
    : g.features.size
  const blocked = innermost === "spatial" ? (g.axes.length === 1 ? blockWindow : 4) : blockFeatures
  const columnWay: Way = g.columns.kernel === 1
    ? "across"
    : innermost !== "batch" && run % 4 === 0 && (joined ? g.axes.length > 1 : blocked % 4 === 0)
    ? "along"
    : "single"

  const line = product(g.axes.slice(1).map((axis) => axis.output))
  const image = line * g.axes[0].output
  const first = order.find((axis) => sizeOf(g, axis) > 1)
  const byImage = first === "batch" && innermost !== "batch"
  const partBatch = !byImage
    ? g.batch.size
    : image >= fewPositions
    ? 1
    : even(g.batch.size, Math.ceil(fewPositions / Math.max(1, image)))
  const most = Math.max(1, Math.floor(mostPositions / Math.max(1, line * partBatch)))
  const bands = byImage ? (partBatch > 1 ? g.axes[0].output : even(g.axes[0].output, most)) : 1
  const band = Math.max(1, bands)
  const mostBands = byImage ? 1 : most
  const outputs = Math.min(g.axes[0].output, band * mostBands)
  const extents = g.axes.map((axis, d) =>
    d === 0 ? extent(axis, outputs, blockWindow) : extent(axis, axis.output, axis.window)
  )

  const tile = tileColumns(features)
  const rowUnits = g.groups.size * Math.ceil(g.batch.size / Math.max(1, partBatch)) * Math.ceil(g.axes[0].output / band)
  const columnUnits = Math.max(
    1,
    Math.min(Math.ceil(pieces / Math.max(1, rowUnits)), Math.floor(g.columns.size / tile / 2))
  )
  const steps = g.features.size * product(g.axes.map((axis) => axis.window))
  const kind: Kind = convolution.out.dtype === "float32" ? "f32" : "i32"
  const kernelStep = kernelStepOf(g, innermost, elementsOf(convolution.y.dtype, kind).plain)
  return {
    kind,
    geometry: g,
    innermost,
    layout: layoutOf(innermost, Math.max(1, partBatch), blockFeatures, extents),
    order,
    rowStride: rows?.stride,
    rowWay,
    columnWay,
    kernelStep,
    joined,
    blockFeatures,
    blockWindow,
    partBatch: Math.max(1, partBatch),
    band,
    mostBands,
    unitColumns: Math.ceil(g.columns.size / columnUnits / tile) * tile,
    kept: kernelStep === undefined && 4 * steps * Math.ceil(g.columns.size / 4) * 4 <= keptBytes
  }
}
