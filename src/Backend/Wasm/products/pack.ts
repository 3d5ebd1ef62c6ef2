/**
 * Packing: a *panel* is a few rows or columns of a matrix, laid out so that the micro-kernel reads it from one end to
 * the other: for each k, the elements of the panel side by side. Which way is quickest depends on what lies side by side
 * in the matrix itself.
 */
import { type Callable, Code, type Local, type Module } from "../assembler/index.ts"
import type { Elements } from "./elements.ts"
import { increase, sum, times } from "./writing.ts"

/** `(source, lane, step, target, targetStep, k)`: bytes between neighbours in the panel, and between ks, in both. */
const params = [
  ["source", "i32"],
  ["lane", "i32"],
  ["step", "i32"],
  ["target", "i32"],
  ["targetStep", "i32"],
  ["k", "i32"]
] as const

/** Neighbours in the panel are neighbours in memory: vectors are copied. */
const across = (elements: Elements, vectors: number): Code => {
  const c = new Code(params)
  const [source, , step, target, targetStep, k] = c.params
  c.get(k).if(() =>
    times(c, k, () => {
      for (let v = 0; v < vectors; v++) {
        elements.four(c.get(target).get(source), 4 * v * elements.bytes)
        c.store("v128.store", 16 * v)
      }
      increase(c, source, step)
      increase(c, target, targetStep)
    })
  )
  return c
}

/**
 * Pushes the vector of single elements, whose addresses `push` puts on the stack. Lanes beyond them hold the first one
 * again: nothing stores what is computed from those.
 */
export const gatherLanes = (c: Code, elements: Elements, lanes: number, push: (lane: number) => void): void => {
  for (let lane = 0; lane < lanes; lane++) {
    push(lane)
    elements.word(c)
    if (lane === 0) c.op("i32x4.splat")
    else c.lane("i32x4.replace_lane", lane)
  }
  elements.widen(c)
}

const lanes = (...words: ReadonlyArray<number>): ReadonlyArray<number> =>
  words.flatMap((word) => [0, 1, 2, 3].map((byte) => 4 * word + byte))

/** Computes the columns of a block of 4 by 4, given its rows: `take` finds each on the stack after what `begin` put there. */
export const transpose = (
  c: Code,
  [x, y, z, w]: ReadonlyArray<Local>,
  begin: () => void,
  take: (column: number) => void
): void => {
  const pair = (p: Local, q: Local, words: ReadonlyArray<number>): Local => {
    const out = c.local("v128")
    c.get(p).get(q).shuffle(lanes(...words)).set(out)
    return out
  }
  const [a, b] = [pair(x, y, [0, 4, 1, 5]), pair(z, w, [0, 4, 1, 5])]
  const [d, e] = [pair(x, y, [2, 6, 3, 7]), pair(z, w, [2, 6, 3, 7])]
  const columns = [[a, b, 0], [a, b, 2], [d, e, 0], [d, e, 2]] as const
  columns.forEach(([left, right, first], column) => {
    begin()
    c.get(left).get(right).shuffle(lanes(first, first + 1, first + 4, first + 5))
    take(column)
  })
}

/** Writes the columns of a block of 4 by 4, `step` bytes apart, and moves `target` behind them. */
export const writeTransposed = (c: Code, rows: ReadonlyArray<Local>, target: Local, step: Local): void =>
  transpose(c, rows, () => void c.get(target), () => {
    c.store("v128.store")
    increase(c, target, step)
  })

/** Nothing is neighbour to anything: element by element. */
const single = (elements: Elements, lanes: number): Code => {
  const c = new Code(params)
  const [source, lane, step, target, targetStep, k] = c.params
  const sources = Array.from({ length: lanes }, (_, i) => i === 0 ? source : c.local("i32", `source${i}`))
  sources.slice(1).forEach((s, i) => sum(c, sources[i], lane).set(s))
  c.get(k).if(() =>
    times(c, k, () => {
      c.get(target)
      gatherLanes(c, elements, lanes, (i) => void c.get(sources[i]))
      c.store("v128.store")
      for (const s of sources) increase(c, s, step)
      increase(c, target, targetStep)
    })
  )
  return c
}

/** Neighbours in memory are neighbours along k: blocks of 4 by 4 are transposed. */
const along = (module: Module, elements: Elements): Code => {
  const rest = packKernel(module, elements, "single", 4)
  const c = new Code(params)
  const [source, lane, , target, targetStep, k] = c.params
  const blocks = c.local("i32", "blocks")
  const rows = [0, 1, 2, 3].map((i) => c.local("v128", `row${i}`))
  const pointer = c.local("i32", "pointer")
  c.get(k).i32(2).op("i32.shr_u").tee(blocks).if(() =>
    times(c, blocks, () => {
      c.get(source).set(pointer)
      rows.forEach((row, i) => {
        if (i > 0) increase(c, pointer, lane)
        elements.four(c.get(pointer))
        c.set(row)
      })
      writeTransposed(c, rows, target, targetStep)
      increase(c, source, 4 * elements.bytes)
    })
  )
  c.get(source).get(lane).i32(elements.bytes).get(target).get(targetStep).get(k).i32(3).op("i32.and").call(rest)
  return c
}

/** The ways of packing. */
export type Way = "across" | "along" | "single"

/** A packing function, for `width` neighbours: 4, or for `across` any multiple of 4, for `single` at most 4. */
export const packKernel = (module: Module, elements: Elements, way: Way, width: number): Callable =>
  module.once(`pack_${elements.dtype}_${elements.kind}_${way}_${width}`, () => {
    if (way === "across") return across(elements, width / 4)
    return way === "along" ? along(module, elements) : single(elements, width)
  })

/** How a panel of a matrix is packed: `lane` and `step` are strides in elements. */
export interface Packing {
  readonly elements: Elements
  readonly lane: number
  readonly step: number
}

/**
 * Writes calls that pack a panel of `width` neighbours from `source` to `target`, `k` long; its elements of one k take
 * `4 * ceil(width / 4)` words.
 */
export const pack = (
  c: Code,
  module: Module,
  { elements, lane, step }: Packing,
  width: number,
  source: Local,
  target: Local,
  k: Local
): void => {
  const { bytes } = elements
  const targetStep = 16 * Math.ceil(width / 4)
  const call = (way: Way, first: number, lanes: number): void => {
    sum(c, source, first * lane * bytes).i32(lane * bytes).i32(step * bytes)
    sum(c, target, 4 * first).i32(targetStep).get(k).call(packKernel(module, elements, way, lanes))
  }
  const whole = width - width % 4
  if (lane === 1 && whole > 0) call("across", 0, whole)
  else for (let first = 0; first < whole; first += 4) call(step === 1 ? "along" : "single", first, 4)
  if (whole < width) call("single", whole, width - whole)
}
