/**
 * Convolutions in many groups of few columns, of which depthwise ones are the most common: as matrix products they would
 * be too narrow. Here the groups are the lanes of vectors:
 *
 * ```text
 * out[position, group] = sum over k of image[position, k, group] * kernel[k, group]
 * ```
 *
 * for each of the columns that a group has. A unit is a block of groups of one image and a band of its results. The part
 * of the input that it sees is copied with the groups innermost, as is the kernel; then the sums of 4 positions and 8
 * groups are kept in registers.
 */
import { type Callable, Code, type Local, type Module } from "../assembler/index.ts"
import { type Emission, type Emitted, type Features, loadSlot, slots } from "../emission.ts"
import type { Buffer, Convolution } from "../ir.ts"
import { type Elements, elementsOf, type Kind } from "./elements.ts"
import { type Dimension, padTable, table } from "./gather.ts"
import { extent, type Geometry } from "./geometry.ts"
import { copyNest, copyPart, type Layout, layoutOf } from "./image.ts"
import { scatter, writeEpilogue } from "./results.ts"
import { multiplyAdd } from "./tile.ts"
import { atMost, each, increase, sum, temporary, type Term, times } from "./writing.ts"

/** Columns of a group from which on a convolution is a matrix product. */
const fewColumns = 4
/** Groups in a block, most positions of a unit, and most steps of k in a block. */
const groupsInBlock = 32
const mostPositions = 1024
const longestK = 384

/** Is a convolution computed this way? */
export const isChannelwise = ({ columns, groups }: Geometry): boolean => groups.size > 1 && columns.size < fewColumns

const product = (numbers: ReadonlyArray<number>): number => numbers.reduce((a, b) => a * b, 1)

/** A plan. It prints as it is. */
interface Plan {
  readonly kind: Kind
  readonly geometry: Geometry
  /** The geometry as the copy of the input sees it: groups are its features. */
  readonly copied: Geometry
  readonly layout: Layout
  readonly block: number
  readonly band: number
  readonly blockWindow: number
  readonly rows: number
  readonly steps: number
}

const planOf = (geometry: Geometry, kind: Kind): Plan => {
  const { axes, groups } = geometry
  const block = Math.min(groupsInBlock, Math.ceil(groups.size / 8) * 8)
  const line = product(axes.slice(1).map((axis) => axis.output))
  const inner = product(axes.slice(1).map((axis) => axis.window))
  const band = Math.max(1, Math.min(axes[0].output, Math.floor(mostPositions / Math.max(1, line))))
  const blockWindow = Math.max(1, Math.min(axes[0].window, Math.floor(longestK / Math.max(1, inner))))
  const extents = axes.map((axis, d) =>
    d === 0 ? extent(axis, band, blockWindow) : extent(axis, axis.output, axis.window)
  )
  return {
    kind,
    geometry,
    copied: {
      ...geometry,
      features: { size: groups.size, input: groups.input, kernel: 0 },
      batch: { size: 1, input: 0, output: 0 }
    },
    layout: layoutOf("features", 1, block, extents),
    block,
    band,
    blockWindow,
    rows: Math.ceil((band * line) / 4) * 4,
    steps: blockWindow * inner
  }
}

/**
 * `(rows, quads, table, entries, kernel, results, width, pairs, add)`: the sums of `quads` times 4 positions, whose
 * addresses are in the table `rows`, and of `pairs` times 8 groups. A row of the results and of the kernel has `width`
 * bytes.
 */
const channelKernel = (module: Module, kind: Kind, features: Features): Callable =>
  module.once(`channels_${kind}`, () => {
    const names = ["rows", "quads", "table", "entries", "kernel", "results", "width", "pairs", "add"]
    const c = new Code(names.map((name) => [name, "i32"] as const))
    const [rows, quads, start, entries, kernel, results, width, pairs, add] = c.params
    const lanes = [0, 1]
    const addresses = [0, 1, 2, 3].map((i) => c.local("i32", `row${i}`))
    const sums = addresses.map((_, i) => lanes.map((j) => c.local("v128", `s${i}_${j}`)))
    const weights = lanes.map((j) => c.local("v128", `y${j}`))
    const x = c.local("v128", "x")
    const [channel, left, at, here, weight, k] = temporary(c, "channel", "left", "at", "here", "weight", "k")
    const eachSum = (visit: (row: ReadonlyArray<Local>) => void): void => {
      sum(c, results, channel).set(here)
      sums.forEach((row, i) => {
        if (i > 0) increase(c, here, width)
        visit(row)
      })
    }
    times(c, quads, () => {
      addresses.forEach((address, i) => c.get(rows).load("i32.load", 4 * i).set(address))
      c.i32(0).set(channel).get(pairs).set(left)
      times(c, left, () => {
        c.get(add).if(
          () => eachSum((row) => row.forEach((s, j) => c.get(here).load("v128.load", 16 * j).set(s))),
          () => sums.flat().forEach((s) => c.v128(0).set(s))
        )
        c.get(start).set(at).get(entries).set(k)
        sum(c, kernel, channel).set(weight)
        c.get(k).if(() =>
          times(c, k, () => {
            weights.forEach((y, j) => c.get(weight).load("v128.load", 16 * j).set(y))
            addresses.forEach((address, i) => {
              c.get(at).load("i32.load").get(address).op("i32.add").set(here)
              weights.forEach((y, j) => {
                c.get(here).load("v128.load", 16 * j).set(x)
                multiplyAdd(c, kind, features, x, y, sums[i][j])
                c.set(sums[i][j])
              })
            })
            increase(c, at, 4)
            increase(c, weight, width)
          })
        )
        eachSum((row) => row.forEach((s, j) => c.get(here).get(s).store("v128.store", 16 * j)))
        for (const address of addresses) increase(c, address, 32)
        increase(c, channel, 32)
      })
      increase(c, rows, 16)
      increase(c, results, [width, 4])
    })
    return c
  })

/** Scratch memory: bytes from its start. */
const areasOf = ({ block, geometry, layout, rows, steps }: Plan) => {
  let end = 0
  const place = (words: number): number => {
    const here = end
    end += Math.ceil(words / 16) * 64 + 64
    return here
  }
  return {
    image: place(layout.size),
    rows: place(rows + 4),
    steps: place(steps),
    kernel: place(steps * block),
    results: place(geometry.columns.size * rows * block),
    size: end
  }
}

/** What the parts of the driver share. Ranges are a start and a count. */
interface Driver {
  readonly e: Emission
  readonly code: Code
  readonly convolution: Convolution
  readonly plan: Plan
  readonly areas: ReturnType<typeof areasOf>
  readonly elements: { readonly input: Elements; readonly kernel: Elements; readonly words: Elements }
  readonly frame: Local
  readonly scratch: Local
  /** Addresses of the copy, and of what this block of groups has of the operands. */
  readonly image: Local
  readonly input: Local
  readonly kernel: Local
  readonly groups: readonly [start: Local, count: Local]
  readonly batch: Local
  readonly outputs: readonly [start: Local, count: Local]
  readonly feature: Local
  readonly window: readonly [start: Local, count: Local]
  readonly column: Local
  /** Fours of positions. */
  readonly quads: Local
}

/** Goes through the numbers below `count` in steps, with `i`. */
const upTo = (code: Code, i: Local, count: number, step: number, body: () => void): void => {
  const [end] = temporary(code, "end")
  code.i32(0).set(i).i32(count).set(end)
  each(code, i, end, step, body)
}

/** Sets `target` to the address of a buffer, and more. */
const setAddress = (d: Driver, buffer: Buffer, target: Local, ...more: ReadonlyArray<Term>): void => {
  const place = d.e.place(buffer)
  loadSlot(d.code, d.frame, place.slot).set(target)
  increase(d.code, target, place.offset, ...more)
}

/** Sets the ranges of a unit. */
const writeUnit = (d: Driver, unit: Local, bands: number): void => {
  const { batch, code, convolution, elements, groups, outputs, plan } = d
  const { band, block, geometry: g } = plan
  const [rest] = temporary(code, "rest")
  code.get(unit).i32(bands).op("i32.rem_u").i32(band).op("i32.mul").set(outputs[0])
  code.get(unit).i32(bands).op("i32.div_u").tee(rest).i32(g.batch.size).op("i32.rem_u").set(batch)
  code.get(rest).i32(g.batch.size).op("i32.div_u").i32(block).op("i32.mul").set(groups[0])
  code.i32(g.groups.size).get(groups[0]).op("i32.sub").set(groups[1])
  atMost(code, groups[1], block)
  code.i32(g.axes[0].output).get(outputs[0]).op("i32.sub").set(outputs[1])
  atMost(code, outputs[1], band)
  const { input: x, kernel: y } = elements
  setAddress(d, convolution.x, d.input, [groups[0], g.groups.input * x.bytes], [batch, g.batch.input * x.bytes])
  setAddress(d, convolution.y, d.kernel, [groups[0], g.groups.kernel * y.bytes])
}

/** The table of positions. */
const writePositions = ({ areas, code, image, outputs, plan, quads, scratch }: Driver): void => {
  const { geometry: g, layout } = plan
  const dimensions = g.axes.map((axis, d): Dimension => ({
    count: d === 0 ? outputs[1] : axis.output,
    bytes: 4 * layout.axes[d] * axis.stride
  }))
  const count = table(code, scratch, areas.rows, image, dimensions)
  padTable(code, scratch, areas.rows, count, image)
  sum(code, count, 3).i32(2).op("i32.shr_u").set(quads)
}

/** Copies what the unit sees of the input in this block of k, and makes the table of its steps; gives their number. */
const writeImage = (d: Driver, copy: Callable): Local => {
  const { areas, code, elements, feature, groups, image, input, outputs, plan, scratch, window } = d
  const { blockWindow, geometry: g, layout } = plan
  const [source, start, size, zero] = temporary(code, "source", "start", "size", "zero")
  const { kernelDilation, stride, window: taps } = g.axes[0]
  code.i32(taps).get(window[0]).op("i32.sub").set(window[1])
  atMost(code, window[1], blockWindow)
  sum(code, input, [feature, g.features.input * elements.input.bytes]).set(source)
  sum(code, [outputs[0], stride], [window[0], kernelDilation]).set(start)
  sum(code, [outputs[1], stride], [window[1], kernelDilation], 1 - stride - kernelDilation).set(size)
  code.get(source).get(image).i32(1).get(groups[1]).get(start).get(size).call(copy)
  const dimensions = g.axes.map((axis, at): Dimension => ({
    count: at === 0 ? window[1] : axis.window,
    bytes: 4 * layout.axes[at] * axis.kernelDilation
  }))
  return table(code, scratch, areas.steps, zero, dimensions)
}

/** Copies what this block of k and this column have of the kernel, and adds to their sums. */
const writeSums = (d: Driver, steps: Local, sums: Callable): void => {
  const { areas, code, column, e, elements, feature, groups, kernel, plan, quads, scratch, window } = d
  const { block, geometry: g, rows } = plan
  const [source, target] = temporary(code, "source", "target")
  const { bytes } = elements.kernel
  const row = [window[0], g.axes[0].kernelStride * bytes] as const
  sum(code, kernel, [column, g.columns.kernel * bytes], [feature, g.features.kernel * bytes], row).set(source)
  sum(code, scratch, areas.kernel).set(target)
  const loops = g.axes.map((axis, at) => ({
    count: at === 0 ? window[1] : axis.window,
    source: axis.kernelStride,
    target: product(g.axes.slice(at + 1).map((a) => a.window)) * block
  }))
  const lanes = { count: block === g.groups.size ? block : groups[1], source: g.groups.kernel, target: 1 }
  copyNest(code, e.module, elements.kernel, [...loops, lanes], source, target)
  sum(code, scratch, areas.rows).get(quads)
  sum(code, scratch, areas.steps).get(steps).get(target)
  sum(code, scratch, [column, 4 * rows * block], areas.results).i32(4 * block)
  sum(code, groups[1], 7).i32(3).op("i32.shr_u")
  code.get(feature).get(window[0]).op("i32.or").call(sums)
}

/** Puts the results of a column in their places. */
const writeColumn = (d: Driver): void => {
  const { areas, batch, code, column, convolution, e, elements, groups, outputs, plan, scratch } = d
  const { block, geometry: g, rows } = plan
  const [from, to] = temporary(code, "from", "to")
  sum(code, scratch, [column, 4 * rows * block], areas.results).set(from)
  setAddress(
    d,
    convolution.out,
    to,
    [groups[0], 4 * g.groups.output],
    [column, 4 * g.columns.output],
    [batch, 4 * g.batch.output],
    [outputs[0], 4 * g.axes[0].outputStride]
  )
  const axes = g.axes.map((axis, at): Dimension => ({
    count: at === 0 ? outputs[1] : axis.output,
    bytes: 4 * axis.outputStride
  }))
  const columns = { count: groups[1], bytes: 4 * g.groups.output }
  scatter(code, e.module, elements.words, { from, rowBytes: 4 * block, to, axes, columns })
}

/** A driver with new variables. */
const driverOf = (e: Emission, code: Code, convolution: Convolution, plan: Plan): Driver => {
  const { kind } = plan
  const [frame] = code.params
  const [scratch, image, input, kernel] = temporary(code, "scratch", "image", "input", "kernel")
  const [batch, feature, column, quads] = temporary(code, "batch", "feature", "column", "quads")
  const range = (name: string): readonly [Local, Local] => [code.local("i32", name), code.local("i32", `${name}Count`)]
  const ranges = { groups: range("groups"), outputs: range("outputs"), window: range("window") }
  const elements = {
    input: elementsOf(convolution.x.dtype, kind),
    kernel: elementsOf(convolution.y.dtype, kind),
    words: elementsOf(kind === "f32" ? "float32" : "int32", kind)
  }
  const locals = { frame, scratch, image, input, kernel, batch, feature, column, quads, ...ranges }
  return { e, code, convolution, plan, areas: areasOf(plan), elements, ...locals }
}

/** Writes a convolution whose groups are lanes; parameters as for `emitConvolution`. */
export const emitChannelwise = (
  e: Emission,
  convolution: Convolution,
  g: Geometry,
  epilogue: Callable | undefined
): Emitted => {
  const code = new Code([["frame", "i32"], ["begin", "i32"], ["end", "i32"]])
  const [frame, begin, end] = code.params
  const positions = g.batch.size * product(g.axes.map((axis) => axis.output))
  const steps = g.features.size * product(g.axes.map((axis) => axis.window))
  if (positions * g.columns.size === 0) {
    return { run: e.module.add(convolution.name, code), units: 0, nanoseconds: 0 }
  }
  const kind: Kind = convolution.out.dtype === "float32" ? "f32" : "i32"
  const plan = planOf(g, kind)
  const d = driverOf(e, code, convolution, plan)
  const { areas, batch, column, feature, groups, image, outputs, scratch, window } = d
  e.scratch(areas.size)
  const copy = copyPart(e.module, `${convolution.name}_copy`, plan.copied, d.elements.input, plan.layout, "features")
  const sums = channelKernel(e.module, kind, e.features)
  const bands = Math.ceil(g.axes[0].output / plan.band)
  const [one, features, featureCount] = temporary(code, "one", "features", "featureCount")
  loadSlot(code, frame, slots.scratch).set(scratch)
  sum(code, scratch, areas.image).set(image)
  each(code, begin, end, 1, () => {
    writeUnit(d, begin, bands)
    writePositions(d)
    if (steps === 0) sum(code, scratch, areas.results).i32(0).i32(4 * g.columns.size * plan.rows * plan.block).fill()
    else {
      upTo(code, feature, g.features.size, 1, () =>
        upTo(code, window[0], g.axes[0].window, plan.blockWindow, () => {
          const entries = writeImage(d, copy)
          upTo(code, column, g.columns.size, 1, () => writeSums(d, entries, sums))
        }))
    }
    upTo(code, column, g.columns.size, 1, () => writeColumn(d))
    if (epilogue === undefined) return
    code.i32(1).set(one)
    sum(code, [groups[0], g.columns.size]).set(features)
    sum(code, [groups[1], g.columns.size]).set(featureCount)
    writeEpilogue(code, convolution, epilogue, frame, [[batch, one], [features, featureCount], outputs])
  })
  const blocks = Math.ceil(g.groups.size / plan.block)
  return {
    run: e.module.add(convolution.name, code),
    units: blocks * g.batch.size * bands,
    whole: true,
    nanoseconds: 0.12 * blocks * plan.block * positions * g.columns.size * Math.max(4, steps) + 200
  }
}
