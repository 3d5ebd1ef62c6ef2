/**
 * Reductions, arg-reductions and running reductions.
 *
 * A thread reduces up to `span` elements. Where there are more to an output element, threads first make *parts*, each
 * of elements as far apart as there are parts, so that neighbouring threads read neighbours; then the parts are reduced
 * in the same way. There are no barriers: passes are dispatches, whose cost is small against reading the elements, and
 * shaders stay simple (software adapters run barriers hundreds of times slower). The order in which floats are added is
 * fixed by the shape, so sums are reproducible; they are added in blocks, which keeps rounding errors small.
 */
import type { EquationOf } from "../../../../Program/Program.ts"
import type { DType } from "../../../../Tensor/DType.ts"
import * as DTypes from "../../../../Tensor/DType.ts"
import type { Params } from "../../../../Tensor/lax/reduction.ts"
import * as Shape from "../../../../Tensor/Shape.ts"
import type { Allocation } from "../Gpu.ts"
import { type GpuKernels, nameOf, type Plan } from "../kernel.ts"
import { dot, type Source, unravel } from "../source.ts"
import { literal, narrow, type Word, wordOf } from "../words.ts"

/** How two values become one, and the value that changes nothing. */
interface Monoid {
  readonly word: Word
  readonly identity: string
  readonly combine: (a: string, b: string) => string
}

const byWord = (dtype: DType, float: string, other: string) => (a: string, b: string): string =>
  `${DTypes.isFloat(dtype) ? float : other}(${a}, ${b})`

const infix = (operator: string) => (a: string, b: string): string => `(${a} ${operator} ${b})`

const monoid = (dtype: DType, identity: number, combine: Monoid["combine"]): Monoid => ({
  word: wordOf(dtype),
  identity: literal(identity, dtype),
  combine
})

/** The monoid of a reduction or running reduction. */
export const monoidOf = (operation: string, dtype: DType): Monoid => {
  switch (operation) {
    case "sum":
      return monoid(dtype, 0, infix("+"))
    case "prod":
      return monoid(dtype, 1, infix("*"))
    case "max":
      return monoid(dtype, DTypes.lowest(dtype), byWord(dtype, "max_", "max"))
    case "min":
      return monoid(dtype, DTypes.highest(dtype), byWord(dtype, "min_", "min"))
    case "and":
      return { ...monoid(dtype, 0, infix("&")), identity: dtype === "bool" ? "1u" : `~${literal(0, dtype)}` }
    case "or":
      return monoid(dtype, 0, infix("|"))
    default:
      return monoid(dtype, -Infinity, (a, b) => `logaddexp_(${a}, ${b})`)
  }
}

/** Elements that a thread reduces, unless there are outputs enough to keep all threads busy. */
const span = 128
/** So many outputs are enough. */
const plenty = 4096
/** Elements that are added up before they are added to the sum of those before. */
const block = 64

/** The reduced axes of an operand seen apart from the others: where element r of what output o reduces is. */
interface View {
  readonly outputs: number
  readonly length: number
  /** Statements that define `base` from `o`. */
  readonly base: string
  /** Statements that define `at` from `base` and `r`. */
  readonly at: string
  /** Are what neighbouring outputs reduce neighbours in memory? */
  readonly sideBySide: boolean
}

const view = (shape: Shape.Shape, axes: ReadonlyArray<number>): View => {
  const strides = Shape.strides(shape)
  const kept = Shape.range(shape.length).filter((a) => !axes.includes(a))
  const sizes = (at: ReadonlyArray<number>): Shape.Shape => at.map((a) => shape[a])
  const steps = (at: ReadonlyArray<number>): ReadonlyArray<number> => at.map((a) => strides[a])
  return {
    outputs: Shape.size(sizes(kept)),
    length: Shape.size(sizes(axes)),
    base: `${unravel("o", sizes(kept), "k")}\nlet base = ${dot("k", steps(kept))};`,
    at: `${unravel("r", sizes(axes), "c")}\nlet at = base + ${dot("c", steps(axes))};`,
    sideBySide: !axes.includes(shape.length - 1)
  }
}

/** How many parts the elements of one output are reduced to. */
const partsOf = (v: View): number => v.length <= span || v.outputs >= plenty ? 1 : Math.ceil(v.length / span)

/** Statements that define `o` and `part` for thread `i`, such that neighbouring threads read neighbours. */
const places = (v: View, parts: number): string =>
  v.sideBySide
    ? `let o = i % ${Math.max(1, v.outputs)}u;\nlet part = i / ${Math.max(1, v.outputs)}u;`
    : `let o = i / ${parts}u;\nlet part = i % ${parts}u;`

/** What a pass leaves to the next: its parts, in the order of its threads. */
const remaining = (v: View, parts: number): View =>
  v.sideBySide ? view([parts, v.outputs], [0]) : view([v.outputs, parts], [1])

/** One pass. */
const pass = (name: string, m: Monoid, v: View, parts: number, finish: (x: string) => string): Source => ({
  name,
  inputs: [m.word],
  outputs: [m.word],
  threads: v.outputs * parts,
  body: `
${places(v, parts)}
${v.base}
var total = ${m.identity};
for (var start = part; start < ${v.length}u; start += ${block * parts}u) {
  var sum = ${m.identity};
  for (var r = start; r < min(start + ${block * parts}u, ${v.length}u); r += ${parts}u) {
    ${v.at}
    sum = ${m.combine("sum", "x0[at]")};
  }
  total = ${m.combine("total", "sum")};
}
y0[i] = ${finish("total")};`
})

/** A reduction over some axes of a shape. */
export const reduce = (
  name: string,
  m: Monoid,
  dtype: DType,
  shape: Shape.Shape,
  axes: ReadonlyArray<number>
): Plan => {
  const passes: Array<Source> = []
  let v = view(shape, axes)
  for (let parts = partsOf(v); parts > 1; parts = partsOf(v)) {
    passes.push(pass(`${name}, pass ${passes.length}`, m, v, parts, (x) => x))
    v = remaining(v, parts)
  }
  const last = pass(name, m, v, 1, (x) => narrow(x, dtype))
  if (passes.length === 0) return last
  const sizes = passes.map((p) => Number(p.threads))
  return (bench, [x]) =>
    bench.run(last, [passes.reduce((from, p, k) => bench.run(p, [from], sizes[k])[0], x)], v.outputs)
}

type Reduction = "reduce_sum" | "reduce_prod" | "reduce_max" | "reduce_min" | "reduce_and" | "reduce_or"

const reduction = (operation: string) => (equation: EquationOf<Reduction>): Plan => {
  const { dtype, shape } = equation.inputs[0].aval
  return reduce(nameOf(equation), monoidOf(operation, dtype), dtype, shape, equation.params.axes)
}

/**
 * The index of the first best element, the first nan being best of all. Passes hand on the places of the best of each
 * part; those of one pass are compared by what is at them.
 */
const argReduction = (better: "<" | ">") => (equation: EquationOf<"argmax" | "argmin">): Plan => {
  const { dtype, shape } = equation.inputs[0].aval
  const word = wordOf(dtype)
  const beats = word === "f32"
    ? `(isnan_(a) && !isnan_(b)) || (!isnan_(b) && ${better === "<" ? "lt_(a, b)" : "lt_(b, a)"})`
    : `a ${better} b`
  const whole = view(shape, equation.params.axes)
  const index = outputIndex(equation.params.index_dtype)
  const declarations = `fn beats(a: ${word}, b: ${word}) -> bool { return ${beats}; }
fn element(o: u32, r: u32) -> ${word} {
  ${whole.base}
  ${whole.at}
  return x0[at];
}`
  /** One pass over elements, or over the places that the pass before it left (in input 1). */
  const scan = (v: View, parts: number, first: boolean, last: boolean): Source => ({
    name: nameOf(equation),
    inputs: first ? [word] : [word, "u32"],
    outputs: [last ? wordOf(equation.params.index_dtype) : "u32"],
    threads: v.outputs * parts,
    declarations,
    body: `
${places(v, parts)}
${first ? "" : v.base}
var place = 0u;
var best = x0[0];
for (var r = part; r < ${v.length}u; r += ${parts}u) {
  ${first ? "let here = r;" : `${v.at}\nlet here = x1[at];`}
  let value = element(o, here);
  if (r == part || beats(value, best) || (here < place && !beats(best, value))) { best = value; place = here; }
}
y0[i] = ${last ? index("place") : "place"};`
  })
  const passes: Array<Source> = []
  let v = whole
  for (let parts = partsOf(v); parts > 1; parts = partsOf(v)) {
    passes.push(scan(v, parts, v === whole, false))
    v = remaining(v, parts)
  }
  const last = scan(v, 1, v === whole, true)
  if (passes.length === 0) return last
  return (bench, [x]) => {
    let places: ReadonlyArray<Allocation> = []
    for (const p of passes) places = bench.run(p, [x, ...places], Number(p.threads))
    return bench.run(last, [x, ...places], v.outputs)
  }
}

/** An index as an element of a dtype. */
const outputIndex = (dtype: DType) => (x: string): string =>
  narrow(wordOf(dtype) === "u32" ? x : `${wordOf(dtype)}(${x})`, dtype)

type Cumulative = "cumsum" | "cumprod" | "cummax" | "cummin" | "cumlogsumexp"

/** A running reduction: a thread a line. 16-bit floats are rounded when written, not in between. */
const cumulative = (operation: string) => (equation: EquationOf<Cumulative>): Plan => {
  const { axis, reverse } = equation.params
  const { dtype, shape } = equation.inputs[0].aval
  const m = monoidOf(operation, dtype)
  const n = shape[axis]
  const inner = Shape.size(shape.slice(axis + 1))
  return {
    name: nameOf(equation),
    inputs: [m.word],
    outputs: [m.word],
    threads: Shape.size(shape) === 0 ? 0 : Shape.size(shape) / n,
    body: `
let start = (i / ${Math.max(1, inner)}u) * ${n * inner}u + i % ${Math.max(1, inner)}u;
var total = ${m.identity};
for (var k = 0u; k < ${n}u; k++) {
  let at = start + ${reverse ? `(${n - 1}u - k)` : "k"} * ${inner}u;
  total = ${m.combine("total", "x0[at]")};
  y0[at] = ${narrow("total", dtype)};
}`
  }
}

/** Kernels of the reductions. */
export const reductions: GpuKernels<keyof Params> = {
  reduce_sum: reduction("sum"),
  reduce_prod: reduction("prod"),
  reduce_max: reduction("max"),
  reduce_min: reduction("min"),
  reduce_and: reduction("and"),
  reduce_or: reduction("or"),
  argmax: argReduction(">"),
  argmin: argReduction("<"),
  cumsum: cumulative("sum"),
  cumprod: cumulative("prod"),
  cummax: cumulative("max"),
  cummin: cumulative("min"),
  cumlogsumexp: cumulative("logsumexp")
}
