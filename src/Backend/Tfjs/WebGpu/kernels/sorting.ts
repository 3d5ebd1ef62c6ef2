/**
 * Sorting finds the *order* of every line first: for each place of the result, the place in the line that goes there.
 * Then all operands are fetched in that order. Equal keys are ordered by their place, which makes every sort here
 * stable.
 *
 * Short lines are ranked: a thread an element counts those that go before it. Longer ones go through a bitonic network
 * (Batcher, 1968): lines are filled up to a power of two with places that go after everything, and each step compares
 * and exchanges pairs; steps and stages are read from memory, so that one shader serves all.
 */
import * as DTypes from "../../../../Tensor/DType.ts"
import type { Params } from "../../../../Tensor/lax/sorting.ts"
import * as Shape from "../../../../Tensor/Shape.ts"
import type { ShapedArray } from "../../../../Tensor/ShapedArray.ts"
import type { Allocation } from "../Gpu.ts"
import type { Bench, GpuKernels } from "../kernel.ts"
import { type Source, unravel } from "../source.ts"
import { wordOf } from "../words.ts"

/** Lines up to this length are ranked. */
const short = 256

/** Lines of length n, `inner` apart, as places in an array; keys are what is compared, in turn. */
interface Lines {
  readonly n: number
  readonly inner: number
  readonly count: number
  readonly keys: ReadonlyArray<ShapedArray>
  readonly descending: boolean
}

/** WGSL: does place a of line `line` go before place b? */
const precedes = (lines: Lines): string => {
  const tests = lines.keys.map(({ dtype }, k) => {
    const [x, y] = lines.descending ? ["q", "p"] : ["p", "q"]
    const before = (u: string, v: string): string => DTypes.isFloat(dtype) ? `before_(${u}, ${v})` : `${u} < ${v}`
    return `  {
    let p = x${k}[start + a * ${lines.inner}u];
    let q = x${k}[start + b * ${lines.inner}u];
    if (${before(x, y)}) { return true; }
    if (${before(y, x)}) { return false; }
  }`
  })
  return `fn precedes(line: u32, a: u32, b: u32) -> bool {
  if (a >= ${lines.n}u || b >= ${lines.n}u) { return a < b; }
  let start = (line / ${lines.inner}u) * ${lines.n * lines.inner}u + line % ${lines.inner}u;
${tests.join("\n")}
  return a < b;
}`
}

const words = (lines: Lines) => lines.keys.map((k) => wordOf(k.dtype))

/** For every element its rank, and from that the order. */
const ranked = (lines: Lines): Source => ({
  name: `order of ${lines.count} lines of ${lines.n}`,
  inputs: words(lines),
  outputs: ["u32"],
  threads: lines.count * lines.n,
  declarations: precedes(lines),
  body: `
let line = i / ${lines.n}u;
let a = i % ${lines.n}u;
var rank = 0u;
for (var b = 0u; b < ${lines.n}u; b++) { rank += select(0u, 1u, precedes(line, b, a)); }
y0[line * ${lines.n}u + rank] = a;`
})

const counted = (lines: Lines, padded: number): Source => ({
  name: "places",
  inputs: [],
  outputs: ["u32"],
  threads: lines.count * padded,
  body: `y0[i] = i % ${padded}u;`
})

/** One step of the network: pairs `distance` apart, ascending or descending by runs of `run`. A thread a pair. */
const exchange = (lines: Lines, padded: number): Source => ({
  name: `bitonic step of ${lines.count} lines of ${padded}`,
  inputs: [...words(lines), "u32", "u32"],
  outputs: ["u32"],
  threads: lines.count * (padded / 2),
  declarations: precedes(lines),
  body: `
let run = x${lines.keys.length}[0];
let distance = x${lines.keys.length + 1}[0];
let line = i / ${padded / 2}u;
let pair = i % ${padded / 2}u;
let low = (pair / distance) * distance * 2u + pair % distance;
let high = low + distance;
let first = line * ${padded}u;
let a = y0[first + low];
let b = y0[first + high];
if (precedes(line, b, a) == ((low & run) == 0u)) {
  y0[first + low] = b;
  y0[first + high] = a;
}`
})

/** What finds the order of lines, as an array of `stride` places a line. */
interface Order {
  readonly stride: number
  readonly of: (bench: Bench, keys: ReadonlyArray<Allocation>) => Allocation
}

const order = (lines: Lines): Order => {
  if (lines.n <= short) {
    const rank = ranked(lines)
    return { stride: lines.n, of: (bench, keys) => bench.run(rank, keys, lines.count * lines.n)[0] }
  }
  const padded = 2 ** Math.ceil(Math.log2(lines.n))
  const [places, step] = [counted(lines, padded), exchange(lines, padded)]
  return {
    stride: padded,
    of: (bench, keys) => {
      const size = lines.count * padded
      const [result] = bench.run(places, [], size)
      for (let run = 2; run <= padded; run *= 2) {
        for (let distance = run / 2; distance >= 1; distance /= 2) {
          bench.gpu.dispatch(step, [...keys, bench.word(run), bench.word(distance)], [result], size)
        }
      }
      return result
    }
  }
}

/** Elements of lines in an order. */
const fetched = (lines: Lines, stride: number): Source => ({
  name: `lines of ${lines.n} in order`,
  inputs: ["u32", "u32"],
  outputs: ["u32"],
  threads: lines.count * lines.n,
  body: `
${unravel("i", [lines.count * lines.n / Math.max(1, lines.n * lines.inner), lines.n, lines.inner], "c")}
let line = c0 * ${lines.inner}u + c2;
y0[i] = x0[(c0 * ${lines.n}u + x1[line * ${stride}u + c1]) * ${lines.inner}u + c2];`
})

/** Kernels of sorting. */
export const sorting: GpuKernels<keyof Params> = {
  sort: (equation) => {
    const { dimension, num_keys: keys } = equation.params
    const shape = equation.inputs[0].aval.shape
    const n = shape[dimension]
    const size = Shape.size(shape)
    if (size === 0) return (bench, inputs) => inputs.map((x) => bench.copy(x))
    const lines: Lines = {
      n,
      inner: Shape.size(shape.slice(dimension + 1)),
      count: size / n,
      keys: equation.inputs.slice(0, keys).map((a) => a.aval),
      descending: false
    }
    const sorted = order(lines)
    const fetch = fetched(lines, sorted.stride)
    return (bench, inputs) => {
      const places = sorted.of(bench, inputs.slice(0, keys))
      return inputs.map((x) => bench.run(fetch, [x, places], size)[0])
    }
  },
  top_k: (equation) => {
    const { aval } = equation.inputs[0]
    const { k } = equation.params
    const n = aval.shape[aval.shape.length - 1]
    const count = n === 0 ? 0 : Shape.size(aval.shape) / n
    if (count * k === 0) return (bench) => [bench.make(0), bench.make(0)]
    const sorted = order({ n, inner: 1, count, keys: [aval], descending: true })
    const best: Source = {
      name: `the first ${k} of lines of ${n}`,
      inputs: ["u32", "u32"],
      outputs: ["u32", "i32"],
      threads: count * k,
      body: `
let line = i / ${k}u;
let place = x1[line * ${sorted.stride}u + i % ${k}u];
y0[i] = x0[line * ${n}u + place];
y1[i] = i32(place);`
    }
    return (bench, [x]) => bench.run(best, [x, sorted.of(bench, [x])], count * k, count * k)
  }
}
