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
import type { Convolution } from "../ir.ts"
import { elementsOf, type Kind } from "./elements.ts"
import { type Dimension, padTable, table } from "./gather.ts"
import { extent, type Geometry } from "./geometry.ts"
import { copyNest, copyPart, type Layout, layoutOf } from "./image.ts"
import { scatter, writeEpilogue } from "./results.ts"
import { multiplyAdd } from "./tile.ts"
import { atMost, each, increase, sum, temporary, times } from "./writing.ts"

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

/** Writes a convolution whose groups are lanes; parameters as for `emitConvolution`. */
export const emitChannelwise = (
  e: Emission,
  convolution: Convolution,
  geometry: Geometry,
  epilogue: Callable | undefined
): Emitted => {
  const kind: Kind = convolution.out.dtype === "float32" ? "f32" : "i32"
  const plan = planOf(geometry, kind)
  const { band, block, blockWindow, geometry: g, layout } = plan
  const areas = areasOf(plan)
  e.scratch(areas.size)
  const elements = {
    input: elementsOf(convolution.x.dtype, kind),
    kernel: elementsOf(convolution.y.dtype, kind),
    words: elementsOf(kind === "f32" ? "float32" : "int32", kind)
  }
  const taps = product(g.axes.map((axis) => axis.window))
  const copy = copyPart(e.module, `${convolution.name}_copy`, plan.copied, elements.input, layout, "features")
  const kernel = channelKernel(e.module, kind, e.features)
  const bands = Math.ceil(g.axes[0].output / band)
  const line = product(g.axes.slice(1).map((axis) => axis.output))

  const code = new Code([["frame", "i32"], ["begin", "i32"], ["end", "i32"]])
  const [frame, begin, end] = code.params
  const [scratch, image, group, groupCount] = temporary(code, "scratch", "image", "group", "groups")
  const [batch, one, output, outputCount] = temporary(code, "batch", "one", "output", "outputs")
  const [feature, window, windowCount] = temporary(code, "feature", "window", "windows")
  const [input, weights, source, target] = temporary(code, "input", "weights", "source", "target")
  const [start, size, column, zero, quads] = temporary(code, "start", "size", "column", "zero", "quads")
  const address = (buffer: Convolution["out"]): Code => {
    const place = e.place(buffer)
    return loadSlot(code, frame, place.slot).i32(place.offset).op("i32.add")
  }

  /** One block of k: copies of the input and of the kernel, and the sums of every column. */
  const writeBlock = (): void => {
    const [axis] = g.axes
    code.i32(axis.window).get(window).op("i32.sub").set(windowCount)
    atMost(code, windowCount, blockWindow)
    sum(code, input, [feature, g.features.input * elements.input.bytes]).set(source)
    sum(code, [output, axis.stride], [window, axis.kernelDilation]).set(start)
    sum(code, [outputCount, axis.stride], [windowCount, axis.kernelDilation], 1 - axis.stride - axis.kernelDilation)
    code.set(size).get(source).get(image).i32(1).get(groupCount).get(start).get(size).call(copy)
    const steps = table(
      code,
      scratch,
      areas.steps,
      zero,
      g.axes.map((a, d): Dimension => ({
        count: d === 0 ? windowCount : a.window,
        bytes: 4 * layout.axes[d] * a.kernelDilation
      }))
    )
    const { bytes } = elements.kernel
    code.i32(0).set(column)
    each(code, column, numberOf(code, g.columns.size), 1, () => {
      sum(code, weights, [column, g.columns.kernel * bytes], [feature, g.features.kernel * bytes])
      sum(code, [window, axis.kernelStride * bytes]).op("i32.add").set(source)
      sum(code, scratch, areas.kernel).set(target)
      const inner = (d: number): number => product(g.axes.slice(d + 1).map((a) => a.window)) * block
      const loops = g.axes.map((a, d) => ({
        count: d === 0 ? windowCount : a.window,
        source: a.kernelStride,
        target: inner(d)
      }))
      const whole = block === g.groups.size ? block : groupCount
      copyNest(
        code,
        e.module,
        elements.kernel,
        [...loops, { count: whole, source: g.groups.kernel, target: 1 }],
        source,
        target
      )
      sum(code, scratch, areas.rows).get(quads)
      sum(code, scratch, areas.steps).get(steps)
      sum(code, scratch, areas.kernel)
      sum(code, scratch, [column, 4 * plan.rows * block], areas.results).i32(4 * block)
      sum(code, groupCount, 7).i32(3).op("i32.shr_u")
      code.get(feature).get(window).op("i32.or").call(kernel)
    })
  }

  /** Puts the results of every column in their places. */
  const writeResults = (): void => {
    const [from, to] = temporary(code, "from", "to")
    code.i32(0).set(column)
    each(code, column, numberOf(code, g.columns.size), 1, () => {
      sum(code, scratch, [column, 4 * plan.rows * block], areas.results).set(from)
      address(convolution.out)
      sum(code, [group, 4 * g.groups.output], [column, 4 * g.columns.output], [batch, 4 * g.batch.output]).op("i32.add")
      sum(code, [output, 4 * g.axes[0].outputStride]).op("i32.add").set(to)
      const axes = g.axes.map((a, d): Dimension => ({
        count: d === 0 ? outputCount : a.output,
        bytes: 4 * a.outputStride
      }))
      const columns = { count: groupCount, bytes: 4 * g.groups.output }
      scatter(code, e.module, elements.words, { from, rowBytes: 4 * block, to, axes, columns })
    })
  }

  loadSlot(code, frame, slots.scratch).set(scratch)
  sum(code, scratch, areas.image).set(image)
  each(code, begin, end, 1, () => {
    const [rest, features, featureCount] = temporary(code, "rest", "features", "featureCount")
    code.get(begin).i32(bands).op("i32.rem_u").i32(band).op("i32.mul").set(output)
    code.get(begin).i32(bands).op("i32.div_u").tee(rest).i32(g.batch.size).op("i32.rem_u").set(batch)
    code.get(rest).i32(g.batch.size).op("i32.div_u").i32(block).op("i32.mul").set(group)
    code.i32(g.groups.size).get(group).op("i32.sub").set(groupCount)
    atMost(code, groupCount, block)
    code.i32(g.axes[0].output).get(output).op("i32.sub").set(outputCount)
    atMost(code, outputCount, band)
    sum(code, [group, g.groups.input * elements.input.bytes], [batch, g.batch.input * elements.input.bytes]).set(input)
    address(convolution.x).get(input).op("i32.add").set(input)
    address(convolution.y)
    sum(code, [group, g.groups.kernel * elements.kernel.bytes]).op("i32.add").set(weights)
    const positions = table(
      code,
      scratch,
      areas.rows,
      image,
      g.axes.map((a, d): Dimension => ({
        count: d === 0 ? outputCount : a.output,
        bytes: 4 * layout.axes[d] * a.stride
      }))
    )
    padTable(code, scratch, areas.rows, positions, image)
    sum(code, positions, 3).i32(2).op("i32.shr_u").set(quads)
    if (g.features.size * taps === 0) {
      sum(code, scratch, areas.results).i32(0).i32(4 * g.columns.size * plan.rows * block).fill()
    } else {
      code.i32(0).set(feature)
      each(code, feature, numberOf(code, g.features.size), 1, () => {
        code.i32(0).set(window)
        each(code, window, numberOf(code, g.axes[0].window), blockWindow, writeBlock)
      })
    }
    writeResults()
    if (epilogue === undefined) return
    code.i32(1).set(one)
    sum(code, [group, g.columns.size]).set(features)
    sum(code, [groupCount, g.columns.size]).set(featureCount)
    const part = [[batch, one], [features, featureCount], [output, outputCount]] as const
    writeEpilogue(code, convolution, epilogue, frame, part)
  })
  const blocks = Math.ceil(g.groups.size / block)
  return {
    run: e.module.add(convolution.name, code),
    units: blocks * g.batch.size * bands,
    whole: true,
    nanoseconds: 0.12 * blocks * block * g.batch.size * g.axes[0].output * line * g.columns.size *
        Math.max(4, taps * g.features.size) + 200
  }
}

/** A variable that holds a number. */
const numberOf = (code: Code, value: number): Local => {
  const [local] = temporary(code, "number")
  code.i32(value).set(local)
  return local
}
