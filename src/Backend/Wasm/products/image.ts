/**
 * Copying a part of a convolution's input into scratch memory, with its padding and the holes of its dilation filled with
 * zeros, in the order of axes that suits the gathering. Every element is then where a sum of strides says it is.
 */
import { type Callable, Code, type Local, type Module } from "../assembler/index.ts"
import type { Elements } from "./elements.ts"
import { type Axis, extent, type Geometry } from "./geometry.ts"
import { increase, isPair, sum, temporary, type Term, times } from "./writing.ts"

/** How a part of the input lies in scratch memory. Sizes are the largest that a part has; strides are in elements. */
export interface Layout {
  readonly size: number
  readonly batch: number
  readonly feature: number
  readonly axes: ReadonlyArray<number>
}

/** What lies innermost in the copy: features, elements of the batch, or elements along the last spatial axis. */
export type Innermost = "features" | "batch" | "spatial"

/** The layout of a part with so many elements of the batch, features, and elements along the spatial axes. */
export const layoutOf = (
  innermost: Innermost,
  batch: number,
  features: number,
  spatial: ReadonlyArray<number>
): Layout => {
  const inside = innermost === "features" ? features : innermost === "batch" ? batch : 1
  const axes = spatial.map((_, d) => spatial.slice(d + 1).reduce((a, b) => a * b, inside))
  const image = spatial.reduce((a, b) => a * b, inside)
  switch (innermost) {
    case "features":
      return { size: image * batch, batch: image, feature: 1, axes }
    case "batch":
      return { size: image * features, batch: 1, feature: image, axes }
    case "spatial":
      return { size: image * features * batch, batch: image * features, feature: image, axes }
  }
}

const copyParams = ["source", "sourceStep", "target", "targetStep", "count", "lines", "sourceLine", "targetLine"]

/**
 * `(source, sourceStep, target, targetStep, count, lines, sourceLine, targetLine)`: copies elements, converted to words,
 * `lines` times `count` of them; steps in bytes, between elements and between lines. `dense` is for elements that lie
 * side by side in both places.
 */
export const copyLines = (module: Module, elements: Elements, dense: boolean): Callable =>
  module.once(`copy_${elements.dtype}_${elements.kind}${dense ? "_dense" : ""}`, () => {
    const c = new Code(copyParams.map((name) => [name, "i32"] as const))
    const [source, sourceStep, target, targetStep, count, lines, sourceLine, targetLine] = c.params
    const [from, to, left] = temporary(c, "from", "to", "left")
    const copyLine = (): void => {
      c.get(source).set(from).get(target).set(to).get(count).set(left)
      if (dense) {
        c.get(count).i32(2).op("i32.shr_u").tee(left).if(() =>
          times(c, left, () => {
            elements.four(c.get(to).get(from))
            c.store("v128.store")
            increase(c, from, 4 * elements.bytes)
            increase(c, to, 16)
          })
        )
        c.get(count).i32(3).op("i32.and").set(left)
      }
      c.get(left).if(() =>
        times(c, left, () => {
          elements.word(c.get(to).get(from))
          c.op("i32x4.splat")
          elements.widen(c)
          c.memoryLane("v128.store32_lane", 0)
          increase(c, from, sourceStep)
          increase(c, to, targetStep)
        })
      )
      increase(c, source, sourceLine)
      increase(c, target, targetLine)
    }
    c.get(lines).if(() => times(c, lines, copyLine))
    return c
  })

/** `(target, vectors)`: writes zeros; V8's own `memory.fill` is several times slower. */
const zeros = (module: Module): Callable =>
  module.once("zeros", () => {
    const c = new Code([["target", "i32"], ["vectors", "i32"]])
    const [target, vectors] = c.params
    c.get(vectors).if(() =>
      times(c, vectors, () => {
        c.get(target).v128(0).store("v128.store")
        increase(c, target, 16)
      })
    )
    return c
  })

/** A loop of a copy: how often (never less than 0), and steps in elements. */
export interface CopyLoop {
  readonly count: Term
  readonly source: number
  readonly target: number
}

/** The elements of the input that a part sees along an axis in full: `[first, end)`. */
const seen = ({ input, inputDilation, low }: Axis, size: number): readonly [number, number] => {
  const first = Math.max(0, Math.ceil(-low / inputDilation))
  return [first, Math.max(first, Math.min(input, Math.floor((size - 1 - low) / inputDilation) + 1))]
}

/** Does a part have elements that no element of the input is copied to? */
const hasHoles = (axes: ReadonlyArray<Axis>): boolean =>
  axes.some((axis) =>
    axis.inputDilation > 1 || axis.low > 0 || extent(axis, axis.output, axis.window) > axis.input + axis.low
  )

/**
 * A function `(source, target, batch, features, start, size)` that copies a part: so many elements of the batch and
 * features from `source`, and along the first spatial axis `size` elements of the padded image from `start` on.
 */
export const copyPart = (
  module: Module,
  name: string,
  { axes, batch, features }: Geometry,
  elements: Elements,
  layout: Layout,
  innermost: Innermost
): Callable => {
  const names = ["source", "target", "batch", "features", "start", "size"]
  const c = new Code(names.map((n) => [n, "i32"] as const))
  const [source, target, batchCount, featureCount, start, size] = c.params
  const { bytes } = elements
  if (hasHoles(axes)) c.get(target).i32(Math.ceil(layout.size / 4)).call(zeros(module))

  // Along the first axis, what is seen depends on where the part starts.
  const [first, end, count] = ["first", "end", "seen"].map((n) => c.local("i32", n))
  const { input, inputDilation, inputStride, low } = axes[0]
  sum(c, start, -low).tee(first).i32(0).op("i32.gt_s").if(
    () => sum(c, first, inputDilation - 1).i32(inputDilation).op("i32.div_u").set(first),
    () => c.i32(0).set(first)
  )
  sum(c, start, size, -low).tee(end).i32(0).op("i32.gt_s").if(
    () => sum(c, end, inputDilation - 1).i32(inputDilation).op("i32.div_u").set(end),
    () => c.i32(0).set(end)
  )
  c.get(end).i32(input).op("i32.gt_s").if(() => c.i32(input).set(end))
  c.get(end).get(first).op("i32.sub").tee(count).i32(0).op("i32.lt_s").if(() => c.i32(0).set(count))
  increase(c, source, [first, inputStride * bytes])
  sum(c, target, [first, inputDilation * 4 * layout.axes[0]], 4 * low * layout.axes[0])
  c.get(start).i32(4 * layout.axes[0]).op("i32.mul").op("i32.sub").set(target)

  const loops: Array<CopyLoop> = [
    { count, source: inputStride, target: inputDilation * layout.axes[0] },
    ...axes.slice(1).map((axis, i): CopyLoop => {
      const [from, to] = seen(axis, extent(axis, axis.output, axis.window))
      increase(c, source, from * axis.inputStride * bytes)
      increase(c, target, 4 * (from * axis.inputDilation + axis.low) * layout.axes[i + 1])
      return {
        count: to - from,
        source: axis.inputStride,
        target: axis.inputDilation * layout.axes[i + 1]
      }
    })
  ]
  const whole = (n: number, stride: number, local: Local): CopyLoop["count"] => n === 1 || stride === n ? n : local
  const featureLoop = {
    count: innermost === "features" ? whole(features.size, layout.axes[axes.length - 1], featureCount) : featureCount,
    source: features.input,
    target: layout.feature
  }
  const batchLoop = {
    count: innermost === "batch" ? whole(batch.size, layout.axes[axes.length - 1], batchCount) : batchCount,
    source: batch.input,
    target: layout.batch
  }
  const nest = innermost === "features"
    ? [batchLoop, ...loops, featureLoop]
    : innermost === "batch"
    ? [featureLoop, ...loops, batchLoop]
    : [batchLoop, featureLoop, ...loops]
  copyNest(c, module, elements, nest, source, target)
  return module.add(name, c)
}

/** Loops from the outside in, where two are one if the outer goes on exactly where the inner ends. */
const simplified = (nest: ReadonlyArray<CopyLoop>): ReadonlyArray<CopyLoop> => {
  const loops = nest.filter(({ count }) => count !== 1)
  for (let at = loops.length - 2; at >= 0; at--) {
    const [{ count, source, target }, inner] = loops.slice(at, at + 2)
    const times = inner.count
    if (typeof times !== "number" || source !== times * inner.source || target !== times * inner.target) continue
    if (isPair(count)) continue
    loops.splice(at, 2, { ...inner, count: typeof count === "number" ? count * times : [count, times] })
  }
  return loops
}

/** Copies elements in a nest of loops. */
export const copyNest = (
  c: Code,
  module: Module,
  elements: Elements,
  nest: ReadonlyArray<CopyLoop>,
  source: Local,
  target: Local
): void => {
  const once = { count: 1, source: 0, target: 0 }
  const loops = simplified(nest)
  const line = loops.at(-1) ?? once
  const lines = loops.at(-2) ?? once
  const visit = ([loop, ...inner]: ReadonlyArray<CopyLoop>, from: Local, to: Local): void => {
    if (loop === undefined) {
      const dense = line.source === 1 && line.target === 1
      sum(c.get(from).i32(line.source * elements.bytes).get(to).i32(line.target * 4), line.count)
      sum(c, lines.count).i32(lines.source * elements.bytes).i32(lines.target * 4)
      c.call(copyLines(module, elements, dense))
      return
    }
    const [left, at, there] = temporary(c, "left", "at", "there")
    sum(c, loop.count).set(left).get(from).set(at).get(to).set(there)
    c.get(left).if(() =>
      times(c, left, () => {
        visit(inner, at, there)
        increase(c, at, loop.source * elements.bytes)
        increase(c, there, 4 * loop.target)
      })
    )
  }
  visit(loops.slice(0, -2), source, target)
}
