/**
 * Convolutions as implicit matrix products: they are never laid out in full (`geometry.ts` has the formula).
 *
 * ```text
 * for each unit: a group, columns, and a part of the positions
 *   for each block of k: features and a band of the window
 *     copy what the part sees of the input, padded and dilated                   `image.ts`
 *     tables: where each position and each k is in the copy, and k in the kernel
 *     gather panels of the kernel (once for all parts, if it is small)           `gather.ts`
 *     for each block of positions
 *       gather panels of positions, then the micro-kernels of `tile.ts`
 *   scatter the results, if the result's layout is not made of rows; the epilogue
 * ```
 *
 * The gradients are convolutions too. That of the input has the result's gradient, with holes for strides, as its input.
 * That of the kernel has a window as large as the image, sums over the batch as its features, and has the input features
 * as its batch: the copy then keeps those innermost, and four positions are one vector.
 */
import { type Callable, Code, type Local } from "../assembler/index.ts"
import { type Emission, type Emitted, loadSlot, slots } from "../emission.ts"
import type { Convolution } from "../ir.ts"
import { blockRows, edges, tileColumns } from "./blocking.ts"
import { type Elements, elementsOf } from "./elements.ts"
import { type Dimension, gatherKernel, padTable, table } from "./gather.ts"
import type { Geometry } from "./geometry.ts"
import { copyPart } from "./image.ts"
import { type Plan, planOf } from "./partition.ts"
import { scatter, writeEpilogue } from "./results.ts"
import { columnKernel, panelRows } from "./tile.ts"
import { atMost, each, increase, sum, temporary } from "./writing.ts"

const product = (numbers: ReadonlyArray<number>): number => numbers.reduce((a, b) => a * b, 1)

/** Scratch memory, by what lies there: bytes from its start. */
interface Areas {
  readonly image: number
  readonly rows: number
  readonly columns: number
  readonly imageSteps: number
  readonly kernelSteps: number
  readonly rowPanels: number
  readonly columnPanels: number
  readonly results: number
  readonly size: number
}

const mostRows = ({ band, geometry: { axes }, mostBands, partBatch }: Plan): number =>
  partBatch * Math.min(axes[0].output, band * mostBands) * product(axes.slice(1).map((axis) => axis.output))

const mostSteps = ({ blockFeatures, blockWindow, geometry: { axes } }: Plan): number =>
  blockFeatures * blockWindow * product(axes.slice(1).map((axis) => axis.window))

const areasOf = (plan: Plan): Areas => {
  const { axes, columns, features } = plan.geometry
  const steps = mostSteps(plan)
  const all = features.size * product(axes.map((axis) => axis.window))
  const padded = Math.ceil(columns.size / 4) * 4
  const sizes = {
    image: plan.layout.size,
    rows: mostRows(plan) + 4,
    columns: columns.size + 4,
    imageSteps: steps,
    kernelSteps: steps,
    rowPanels: steps * Math.min(blockRows, mostRows(plan) + 3),
    columnPanels: plan.kernelStep === undefined ? padded * (plan.kept ? all : steps) : 0,
    results: plan.rowStride === undefined ? mostRows(plan) * columns.size : 0
  }
  let at = 0
  const place = (words: number): number => {
    const here = at
    // Reading and writing may pass the end of an area by 3 ks of 16 columns.
    at += Math.ceil((4 * words + 256) / 64) * 64
    return here
  }
  const { columnPanels, columns: columnTable, image, imageSteps, kernelSteps, results, rowPanels, rows } = sizes
  return {
    image: place(image),
    rows: place(rows),
    columns: place(columnTable),
    imageSteps: place(imageSteps),
    kernelSteps: place(kernelSteps),
    rowPanels: place(rowPanels),
    columnPanels: place(columnPanels),
    results: place(results),
    size: at
  }
}

/** What the parts of the driver share. Ranges are a start and a count. */
interface Driver {
  readonly e: Emission
  readonly code: Code
  readonly plan: Plan
  readonly areas: Areas
  readonly scratch: Local
  readonly elements: { readonly input: Elements; readonly kernel: Elements; readonly copied: Elements }
  /** Addresses of this group's elements, and of the kernel's first column of this unit. */
  readonly input: Local
  readonly kernel: Local
  readonly output: Local
  readonly j: Local
  readonly jw: Local
  readonly batch: readonly [start: Local, count: Local]
  readonly outputs: readonly [start: Local, count: Local]
  readonly features: readonly [start: Local, count: Local]
  readonly window: readonly [start: Local, count: Local]
  /** Positions of the part, and steps of the block. */
  readonly rows: Local
  readonly steps: Local
  /** Where the panels of columns of this block are. */
  readonly panels: Local
}

/** The dimensions of k without those of a run, given the strides of features and of the spatial axes in bytes. */
const stepDimensions = (
  { features, plan, window }: Driver,
  runs: boolean,
  featureBytes: number,
  axisBytes: ReadonlyArray<number>
): ReadonlyArray<Dimension> => {
  const { axes } = plan.geometry
  const spatial = axes.map((axis, d): Dimension => ({ count: d === 0 ? window[1] : axis.window, bytes: axisBytes[d] }))
  const feature = { count: features[1], bytes: featureBytes }
  if (plan.innermost !== "features") return [feature, ...runs ? spatial.slice(0, -1) : spatial]
  if (!runs) return [...spatial, feature]
  return plan.joined ? spatial.slice(0, -1) : spatial
}

/** Pushes how many ks a run has. */
const pushRun = ({ code, features, plan, window }: Driver): Code => {
  const { axes } = plan.geometry
  const last = () => axes.length === 1 ? code.get(window[1]) : code.i32(axes[axes.length - 1].window)
  if (plan.innermost === "spatial") return last()
  return plan.joined ? last().get(features[1]).op("i32.mul") : code.get(features[1])
}

/** Gathers the kernel's panels for this block of k to `panels`. */
const packColumns = (d: Driver): void => {
  const { areas, code, e, elements, features, jw, kernel, panels, plan, scratch, steps, window } = d
  const { geometry: g } = plan
  const { bytes } = elements.kernel
  const along = plan.columnWay === "along"
  const [offset, first, target, rows] = temporary(code, "offset", "first", "target", "tableRows")
  sum(code, [features[0], g.features.kernel * bytes], [window[0], g.axes[0].kernelStride * bytes]).set(offset)
  const axisBytes = g.axes.map((axis) => axis.kernelStride * bytes)
  const dimensions = stepDimensions(d, along, g.features.kernel * bytes, axisBytes)
  const entries = table(code, scratch, areas.kernelSteps, offset, dimensions)
  const count = table(code, scratch, areas.columns, kernel, [{ count: jw, bytes: g.columns.kernel * bytes }])
  padTable(code, scratch, areas.columns, count, kernel)
  const tile = tileColumns(e.features)
  const gather = (way: Plan["columnWay"], panel: number, width: number, quads: number): void => {
    if (quads === 0) return
    sum(code, rows, 16 * panel).i32(quads)
    sum(code, scratch, areas.kernelSteps).get(entries)
    if (along) pushRun(d)
    else code.i32(1)
    sum(code, target, 16 * panel).i32(16 * Math.ceil(width / 4)).i32(16)
    code.call(gatherKernel(e.module, elements.kernel, way))
  }
  code.i32(0).set(first)
  eachPanel(d, tile, first, (width) => {
    sum(code, scratch, [first, 4], areas.columns).set(rows)
    code.get(panels).get(first).get(steps).op("i32.mul").i32(2).op("i32.shl").op("i32.add").set(target)
    // Four columns at once are read only where there are four.
    const whole = Math.floor(width / 4)
    if (plan.columnWay === "across") {
      gather("across", 0, width, whole)
      if (width % 4 > 0) gather("single", whole, width, 1)
    } else gather(plan.columnWay, 0, width, Math.ceil(width / 4))
  })
}

/** The panels of columns of this unit; `column` counts from 0. */
const eachPanel = ({ code, jw, plan }: Driver, tile: number, column: Local, visit: (width: number) => void): void => {
  const { size } = plan.geometry.columns
  if (size >= tile) code.while(column, jw, tile, () => visit(tile))
  const widths = edges(size, tile)
  if (widths.length === 0) return
  code.get(column).get(jw).op("i32.lt_s").if(() => {
    for (const width of widths) {
      visit(width)
      increase(code, column, width)
    }
  })
}

/** Goes through the blocks of k, of which there is at least one. */
const eachBlock = (d: Driver, body: () => void): void => {
  const { code, features, plan, steps, window } = d
  const { axes, features: f } = plan.geometry
  const range = ([start, count]: readonly [Local, Local], size: number, step: number, inside: () => void): void => {
    code.i32(0).set(start)
    code.loop((again) => {
      code.i32(size).get(start).op("i32.sub").set(count)
      atMost(code, count, step)
      inside()
      increase(code, start, step)
      code.get(start).i32(size).op("i32.lt_s").brIf(again)
    })
  }
  range(features, f.size, plan.blockFeatures, () =>
    range(window, axes[0].window, plan.blockWindow, () => {
      code.get(features[1]).get(window[1]).op("i32.mul")
      code.i32(product(axes.slice(1).map((axis) => axis.window))).op("i32.mul").set(steps)
      body()
    }))
}

/** Multiplies the part's positions with the block's columns. */
const multiply = (d: Driver, imageSteps: Local, results: Local, rowBytes: number, columnBytes: number): void => {
  const { areas, code, e, elements, features, jw, panels, plan, rows, scratch, steps, window } = d
  const [i, ih, column, a] = temporary(code, "i", "ih", "column", "a")
  const tile = tileColumns(e.features)
  const line = product(plan.geometry.axes.slice(1).map((axis) => axis.output)) * plan.partBatch
  const isWhole = line % panelRows === 0 && plan.geometry.batch.size % plan.partBatch === 0
  code.i32(0).set(i)
  sum(code, scratch, areas.rowPanels).set(a)
  each(code, i, rows, blockRows, () => {
    code.get(rows).get(i).op("i32.sub").set(ih)
    atMost(code, ih, blockRows)
    sum(code, scratch, [i, 4], areas.rows)
    sum(code, ih, 3).i32(2).op("i32.shr_u")
    sum(code, scratch, areas.imageSteps).get(imageSteps)
    if (plan.rowWay === "along") pushRun(d)
    else code.i32(1)
    code.get(a).i32(16).get(steps).i32(4).op("i32.shl").call(gatherKernel(e.module, elements.copied, plan.rowWay))
    code.i32(0).set(column)
    eachPanel({ ...d, jw }, tile, column, (width) => {
      const kernel = columnKernel(e.module, e.features, {
        kind: plan.kind,
        form: "packed",
        rows: panelRows,
        columns: width,
        packed: plan.kernelStep === undefined,
        counts: isWhole ? [panelRows] : [panelRows, 1, 2, 3]
      })
      code.get(a).i32(4 * panelRows)
      if (plan.kernelStep === undefined) {
        code.get(panels).get(column).get(steps).op("i32.mul").i32(2).op("i32.shl").op("i32.add")
        code.i32(16 * Math.ceil(width / 4))
      } else {
        const { axes, features: f } = plan.geometry
        sum(code, d.kernel, [column, 4], [features[0], 4 * f.kernel], [window[0], 4 * axes[0].kernelStride])
        code.i32(4 * plan.kernelStep)
      }
      sum(code, results, [i, rowBytes], [column, columnBytes]).i32(rowBytes)
      code.get(steps).get(ih).get(features[0]).get(window[0]).op("i32.or").call(kernel)
    })
  })
}

/** Copies and multiplies one part: a range of the batch and of the first output axis. */
const writePart = (d: Driver, copy: Callable | undefined): void => {
  const { areas, batch, code, elements, input, j, output, outputs, plan, rows, scratch } = d
  const { geometry: g, layout } = plan
  const [image, source, start, size, results, zero] = temporary(
    code,
    "image",
    "source",
    "start",
    "size",
    "results",
    "zero"
  )
  sum(code, scratch, areas.image).set(image)
  const positions = (strides: { readonly batch: number; readonly axes: ReadonlyArray<number> }) =>
    plan.order.map((axis): Dimension =>
      axis === "batch"
        ? { count: batch[1], bytes: 4 * strides.batch }
        : { count: axis === 0 ? outputs[1] : g.axes[axis].output, bytes: 4 * strides.axes[axis] * g.axes[axis].stride }
    )
  const count = table(code, scratch, areas.rows, image, positions(layout))
  padTable(code, scratch, areas.rows, count, image)
  code.get(count).set(rows)
  if (plan.rowStride === undefined) sum(code, scratch, areas.results).set(results)
  else {
    const bands = [outputs[0], 4 * g.axes[0].outputStride] as const
    sum(code, output, [batch[0], 4 * g.batch.output], bands, [j, 4 * g.columns.output]).set(results)
  }
  eachBlock(d, () => {
    const { features, window } = d
    if (copy !== undefined) {
      const { bytes } = elements.input
      sum(code, input, [batch[0], g.batch.input * bytes], [features[0], g.features.input * bytes]).set(source)
      const { kernelDilation, stride } = g.axes[0]
      sum(code, [outputs[0], stride], [window[0], kernelDilation]).set(start)
      sum(code, [outputs[1], stride], [window[1], kernelDilation], 1 - stride - kernelDilation).set(size)
      code.get(source).get(image).get(batch[1]).get(features[1]).get(start).get(size).call(copy)
    }
    code.i32(0).set(zero)
    const axisBytes = g.axes.map((axis, i) => 4 * layout.axes[i] * axis.kernelDilation)
    const dimensions = stepDimensions(d, plan.rowWay === "along", 4 * layout.feature, axisBytes)
    const imageSteps = table(code, scratch, areas.imageSteps, zero, dimensions)
    if (!plan.kept && plan.kernelStep === undefined) packColumns(d)
    if (plan.rowStride === undefined) multiply(d, imageSteps, results, 4 * g.columns.size, 4)
    else multiply(d, imageSteps, results, 4 * plan.rowStride, 4)
    if (plan.kept) nextPanels(d)
  })
  if (plan.rowStride === undefined) scatterPart(d, results)
}

/** Scatters the part's results, which stand in scratch memory row by row. */
const scatterPart = (d: Driver, from: Local): void => {
  const { batch, code, e, elements, j, jw, output, outputs, plan } = d
  const { geometry: g } = plan
  const [to] = temporary(code, "to")
  sum(code, output, [batch[0], 4 * g.batch.output], [outputs[0], 4 * g.axes[0].outputStride]).set(to)
  increase(code, to, [j, 4 * g.columns.output])
  const axes = plan.order.map((axis): Dimension =>
    axis === "batch"
      ? { count: batch[1], bytes: 4 * g.batch.output }
      : { count: axis === 0 ? outputs[1] : g.axes[axis].output, bytes: 4 * g.axes[axis].outputStride }
  )
  const columns = { count: jw, bytes: 4 * g.columns.output }
  scatter(code, e.module, elements.copied, { from, rowBytes: 4 * g.columns.size, to, axes, columns })
}

/** How many units there are along positions and columns, and along the first axis of the positions. */
interface Units {
  readonly rows: number
  readonly columns: number
  readonly bands: number
}

const unitsOf = (plan: Plan): Units => {
  const { axes, batch, columns } = plan.geometry
  const bands = Math.ceil(axes[0].output / plan.band)
  return {
    bands,
    rows: Math.ceil(batch.size / plan.partBatch) * bands,
    columns: Math.ceil(columns.size / plan.unitColumns)
  }
}

/** A range of units in one group: blocks of columns, and units of positions. */
interface UnitRange {
  readonly group: Local
  readonly column: Local
  readonly columnEnd: Local
  readonly row: Local
  readonly rowEnd: Local
}

/**
 * From the unit `begin` on, as many as go at once: all positions of some blocks of columns, or some positions of one.
 * Sets `count` to their number.
 */
const writeUnitRange = (code: Code, units: Units, begin: Local, end: Local, count: Local, range: UnitRange): void => {
  const { column, columnEnd, group, row, rowEnd } = range
  code.get(begin).i32(units.rows * units.columns).op("i32.div_u").set(group)
  code.get(begin).i32(units.rows).op("i32.div_u").i32(units.columns).op("i32.rem_u").set(column)
  code.get(begin).i32(units.rows).op("i32.rem_u").set(row)
  code.get(end).get(begin).op("i32.sub").set(count)
  code.get(row).op("i32.eqz").get(count).i32(units.rows).op("i32.ge_s").op("i32.and").if(
    () => {
      code.get(count).i32(units.rows).op("i32.div_u").get(column).op("i32.add").set(columnEnd)
      atMost(code, columnEnd, units.columns)
      code.i32(units.rows).set(rowEnd)
      code.get(columnEnd).get(column).op("i32.sub").i32(units.rows).op("i32.mul").set(count)
    },
    () => {
      sum(code, column, 1).set(columnEnd)
      sum(code, row, count).set(rowEnd)
      atMost(code, rowEnd, units.rows)
      code.get(rowEnd).get(row).op("i32.sub").set(count)
    }
  )
}

/** Sets the ranges of the batch and of the first axis of the part that begins with the unit `row`; counts its units. */
const writePartRange = (d: Driver, units: Units, row: Local, rowEnd: Local, bands: Local): void => {
  const { batch, code, outputs, plan } = d
  const { geometry: g } = plan
  const [image, band, bandEnd] = temporary(code, "image", "band", "bandEnd")
  code.get(row).i32(units.bands).op("i32.div_u").set(image)
  code.get(row).i32(units.bands).op("i32.rem_u").set(band)
  sum(code, band, plan.mostBands).set(bandEnd)
  atMost(code, bandEnd, units.bands)
  sum(code, band, rowEnd).get(row).op("i32.sub").set(bands)
  code.get(bandEnd).get(bands).op("i32.gt_s").if(() => code.get(bands).set(bandEnd))
  code.get(bandEnd).get(band).op("i32.sub").set(bands)
  code.get(image).i32(plan.partBatch).op("i32.mul").set(batch[0])
  code.i32(g.batch.size).get(batch[0]).op("i32.sub").set(batch[1])
  atMost(code, batch[1], plan.partBatch)
  code.get(band).i32(plan.band).op("i32.mul").set(outputs[0])
  code.get(bandEnd).i32(plan.band).op("i32.mul").set(outputs[1])
  atMost(code, outputs[1], g.axes[0].output)
  code.get(outputs[1]).get(outputs[0]).op("i32.sub").set(outputs[1])
}

/** Sets the columns of a range of units, and where the operands and the result of its group begin. */
const writeStarts = (
  d: Driver,
  convolution: Convolution,
  frame: Local,
  { column, columnEnd, group }: UnitRange
): void => {
  const { code, e, elements, input, j, jw, kernel, output, plan } = d
  const { geometry: g } = plan
  code.get(column).i32(plan.unitColumns).op("i32.mul").set(j)
  code.get(columnEnd).i32(plan.unitColumns).op("i32.mul").set(jw)
  atMost(code, jw, g.columns.size)
  code.get(jw).get(j).op("i32.sub").set(jw)
  const start = (buffer: Convolution["out"], first: number, stride: number, target: Local): void => {
    const place = e.place(buffer)
    loadSlot(code, frame, place.slot).set(target)
    increase(code, target, [group, stride], place.offset + first)
  }
  const { input: x, kernel: y } = elements
  start(convolution.x, 0, g.groups.input * x.bytes, input)
  start(convolution.y, g.first.kernel * y.bytes, g.groups.kernel * y.bytes, kernel)
  increase(code, kernel, [j, g.columns.kernel * y.bytes])
  start(convolution.out, g.first.output * 4, g.groups.output * 4, output)
}

/** A driver with new variables. */
const driverOf = (e: Emission, code: Code, plan: Plan, convolution: Convolution): Driver => {
  const { kind } = plan
  const [scratch, input, kernel, output] = temporary(code, "scratch", "input", "kernel", "output")
  const [j, jw, rows, steps, panels] = temporary(code, "j", "jw", "rows", "steps", "panels")
  const range = (name: string): readonly [Local, Local] => [code.local("i32", name), code.local("i32", `${name}Count`)]
  const elements = {
    input: elementsOf(convolution.x.dtype, kind),
    kernel: elementsOf(convolution.y.dtype, kind),
    copied: elementsOf(kind === "f32" ? "float32" : "int32", kind)
  }
  const ranges = {
    batch: range("batch"),
    outputs: range("outputs"),
    features: range("features"),
    window: range("window")
  }
  return {
    e,
    code,
    plan,
    areas: areasOf(plan),
    elements,
    scratch,
    input,
    kernel,
    output,
    j,
    jw,
    ...ranges,
    rows,
    steps,
    panels
  }
}

/** Moves `panels` behind the panels of this block of k. */
const nextPanels = ({ code, jw, panels, steps }: Driver): void => {
  sum(code, jw, 3).i32(-4).op("i32.and").get(steps).op("i32.mul").i32(2).op("i32.shl")
  code.get(panels).op("i32.add").set(panels)
}

/** What is written apart from the convolution itself. */
interface Options {
  readonly name: string
  readonly geometry: Geometry
  /** Are units bands of one image, with all its columns, so that an image's units lie side by side? */
  readonly byImage: boolean
  readonly epilogue: Callable | undefined
}

/** A kernel, and how many units an image has, if they are by image. */
interface EmittedParts extends Emitted {
  readonly bands: number
}

/** Writes a convolution, or the part of one that a geometry describes. */
export const emitImplicit = (
  e: Emission,
  convolution: Convolution,
  { byImage, epilogue, geometry: g, name }: Options
): EmittedParts => {
  const plan = planOf(convolution, g, e.features, byImage)
  const code = new Code([["frame", "i32"], ["begin", "i32"], ["end", "i32"]])
  const [frame, begin, end] = code.params
  const positions = g.batch.size * product(g.axes.map((axis) => axis.output))
  const steps = g.features.size * product(g.axes.map((axis) => axis.window))
  if (positions * g.columns.size === 0) {
    return { run: e.module.add(name, code), units: 0, bands: 0, nanoseconds: 0 }
  }
  const d = driverOf(e, code, plan, convolution)
  const { areas, j, jw, panels, scratch } = d
  const units = unitsOf(plan)
  e.scratch(areas.size)
  const copy = steps === 0
    ? undefined
    : copyPart(e.module, `${name}_copy`, g, d.elements.input, plan.layout, plan.innermost)
  const [group, column, columnEnd] = temporary(code, "group", "column", "columnEnd")
  const [row, rowEnd, count, bands, first] = temporary(code, "row", "rowEnd", "count", "bands", "first")
  const range = { group, column, columnEnd, row, rowEnd }
  const firstPanels = (): Code => sum(code, scratch, areas.columnPanels).set(panels)
  loadSlot(code, frame, slots.scratch).set(scratch)
  each(code, begin, end, count, () => {
    writeUnitRange(code, units, begin, end, count, range)
    writeStarts(d, convolution, frame, range)
    if (plan.kept) {
      firstPanels()
      eachBlock(d, () => {
        packColumns(d)
        nextPanels(d)
      })
    }
    each(code, row, rowEnd, bands, () => {
      writePartRange(d, units, row, rowEnd, bands)
      firstPanels()
      writePart(d, copy)
      if (epilogue === undefined) return
      sum(code, [group, g.columns.size], j).set(first)
      writeEpilogue(code, convolution, epilogue, frame, [d.batch, [first, jw], d.outputs])
    })
  })
  const perStep = e.features.wide ? 0.03 : 0.05
  return {
    run: e.module.add(name, code),
    bands: units.bands,
    units: g.groups.size * units.rows * units.columns,
    whole: true,
    // Every block of columns gathers all positions again.
    least: units.columns > 1 ? g.groups.size * units.rows * units.columns : 1,
    nanoseconds: perStep * g.groups.size * positions * g.columns.size * Math.max(steps, 4) + 200
  }
}
