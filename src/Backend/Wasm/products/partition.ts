/**
 * What is decided about a convolution: how its input is copied, in which order positions and ks go, and how large the
 * parts are. See `convolution.ts` for the walk through them.
 */
import type { Features } from "../emission.ts"
import type { Convolution } from "../ir.ts"
import { evenBlock, tileColumns } from "./blocking.ts"
import { elementsOf, type Kind } from "./elements.ts"
import { extent, type Geometry } from "./geometry.ts"
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
const evenPart = (size: number, most: number): number =>
  Math.ceil(size / Math.max(1, Math.ceil(size / Math.max(1, most))))

/** How panels of positions are gathered, and whether a run of ks goes along the last spatial axis too. */
const rowsOf = (g: Geometry, innermost: Innermost, blockFeatures: number): Pick<Plan, "rowWay" | "joined"> => {
  if (innermost === "batch") return { rowWay: "across", joined: false }
  if (innermost === "spatial") return { rowWay: "along", joined: false }
  const last = g.axes[g.axes.length - 1]
  // Runs of few features are short, unless neighbours in space are neighbours in the copy.
  const joined = g.features.size % 4 !== 0 && blockFeatures >= g.features.size && last.kernelDilation === 1
  const run = g.features.size * (joined ? last.window : 1)
  return { rowWay: run > 1 ? "along" : "single", joined }
}

/** How panels of the kernel are gathered. It is read in place, so runs must be multiples of 4: nothing is behind them. */
const columnWayOf = (
  g: Geometry,
  { blockFeatures, blockWindow, innermost, joined }: Pick<
    Plan,
    "blockFeatures" | "blockWindow" | "innermost" | "joined"
  >
): Way => {
  if (g.columns.kernel === 1) return "across"
  const { kernelStride, window } = g.axes[g.axes.length - 1]
  const fours = (...sizes: ReadonlyArray<number>) => sizes.every((size) => size > 0 && size % 4 === 0)
  const isLine = g.axes.length === 1
  switch (innermost) {
    case "batch":
      return "single"
    case "spatial":
      return kernelStride === 1 && fours(window, isLine ? blockWindow : window) ? "along" : "single"
    case "features": {
      if (g.features.kernel !== 1) return "single"
      if (!joined) return fours(g.features.size, blockFeatures) ? "along" : "single"
      return kernelStride === g.features.size && !isLine && fours(window * g.features.size) ? "along" : "single"
    }
  }
}

const mostLines = (g: Geometry, batch: number): number =>
  Math.max(1, Math.floor(mostPositions / Math.max(1, batch * product(g.axes.slice(1).map((axis) => axis.output)))))

/** Parts that are bands of one image. */
const bandsOf = (g: Geometry): Pick<Plan, "partBatch" | "band" | "mostBands"> => ({
  partBatch: 1,
  band: Math.max(1, evenPart(g.axes[0].output, mostLines(g, 1))),
  mostBands: 1
})

/** The parts that positions are done in: images, a band of one, or a band of all. */
const partsOf = (
  g: Geometry,
  order: ReadonlyArray<PositionAxis>,
  innermost: Innermost
): Pick<Plan, "partBatch" | "band" | "mostBands"> => {
  const [{ output }] = g.axes
  if (order.find((axis) => sizeOf(g, axis) > 1) !== "batch" || innermost === "batch") {
    const partBatch = Math.max(1, g.batch.size)
    return { partBatch, band: 1, mostBands: mostLines(g, partBatch) }
  }
  const image = Math.max(1, product(g.axes.map((axis) => axis.output)))
  if (image >= fewPositions) return bandsOf(g)
  return {
    partBatch: Math.max(1, evenPart(g.batch.size, Math.ceil(fewPositions / image))),
    band: Math.max(1, output),
    mostBands: 1
  }
}

/** Decides how a convolution is computed; `byImage` is for units that are bands of one image with all its columns. */
export const planOf = (convolution: Convolution, g: Geometry, features: Features, byImage: boolean): Plan => {
  const even = evenRows(g)
  // The rows of one image are a stretch only if the batch is outermost.
  const isStretch = !byImage || g.batch.size === 1 || even?.order.find((axis) => sizeOf(g, axis) > 1) === "batch"
  const rows = isStretch ? even : undefined
  const innermost = byImage ? "features" : innermostOf(g, rows?.order)
  const axes = [...g.axes.keys()]
  const order: ReadonlyArray<PositionAxis> = rows?.order ??
    (innermost === "batch" ? [...axes, "batch"] : ["batch", ...axes])
  const [blockFeatures, blockWindow] = blocksOfK(g, innermost)
  const { joined, rowWay } = rowsOf(g, innermost, blockFeatures)
  const parts = byImage ? bandsOf(g) : partsOf(g, order, innermost)
  const outputs = Math.min(g.axes[0].output, parts.band * parts.mostBands)
  const extents = g.axes.map((axis, d) =>
    d === 0 ? extent(axis, outputs, blockWindow) : extent(axis, axis.output, axis.window)
  )

  const tile = tileColumns(features)
  const { size } = g.columns
  const rowUnits = g.groups.size * Math.ceil(g.batch.size / parts.partBatch) * Math.ceil(g.axes[0].output / parts.band)
  const wanted = byImage ? 1 : Math.min(Math.ceil(pieces / Math.max(1, rowUnits)), Math.floor(size / tile / 2))
  const steps = g.features.size * product(g.axes.map((axis) => axis.window))
  const kind: Kind = convolution.out.dtype === "float32" ? "f32" : "i32"
  const kernelStep = kernelStepOf(g, innermost, elementsOf(convolution.y.dtype, kind).plain)
  return {
    kind,
    geometry: g,
    innermost,
    layout: layoutOf(innermost, parts.partBatch, blockFeatures, extents),
    order,
    rowStride: rows?.stride,
    rowWay,
    columnWay: columnWayOf(g, { innermost, joined, blockFeatures, blockWindow }),
    kernelStep,
    joined,
    blockFeatures,
    blockWindow,
    ...parts,
    unitColumns: Math.ceil(size / Math.max(1, wanted) / tile) * tile,
    kept: kernelStep === undefined && 4 * steps * Math.ceil(size / 4) * 4 <= keptBytes
  }
}
