/**
 * Reductions, arg-reductions and running reductions.
 *
 * A reduction has a thread an output element when there is little to reduce, or many outputs side by side; else a workgroup
 * an output element, whose threads stride over the elements and then join their results in a tree. Few outputs over very
 * many elements are reduced in two passes. The order in which floats are added is fixed by the shape, so sums are
 * reproducible; they are added in blocks, which keeps rounding errors small.
 */
import type { EquationOf } from "../../../../Program/Program.ts"
import type { DType } from "../../../../Tensor/DType.ts"
import * as DTypes from "../../../../Tensor/DType.ts"
import type { Params } from "../../../../Tensor/lax/reduction.ts"
import * as Shape from "../../../../Tensor/Shape.ts"
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

/** Threads of a workgroup that reduces one output element. */
const lanes = 128
/** With at most this much to reduce, a thread does it alone. */
const alone = 64
/** Elements that are added up before they are added to the sum of those before. */
const block = 64
/** From this many elements an output on, few outputs are reduced in two passes. */
const long = 16384

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

/** Reduces by a thread an output. */
const byThread = (name: string, m: Monoid, v: View, finish: (x: string) => string): Source => ({
  name,
  inputs: [m.word],
  outputs: [m.word],
  threads: v.outputs,
  body: `
let o = i;
${v.base}
var total = ${m.identity};
for (var start = 0u; start < ${v.length}u; start += ${block}u) {
  var part = ${m.identity};
  for (var r = start; r < min(start + ${block}u, ${v.length}u); r++) {
    ${v.at}
    part = ${m.combine("part", "x0[at]")};
  }
  total = ${m.combine("total", "part")};
}
y0[i] = ${finish("total")};`
})

/** Reduces by a workgroup for each of `chunks` parts of every output. */
const byGroup = (name: string, m: Monoid, v: View, chunks: number, finish: (x: string) => string): Source => {
  const size = Math.ceil(v.length / chunks)
  return {
    name,
    inputs: [m.word],
    outputs: [m.word],
    threads: { groups: v.outputs * chunks, size: lanes },
    declarations: `var<workgroup> parts: array<${m.word}, ${lanes}>;`,
    body: `
let o = group / ${chunks}u;
let first = (group % ${chunks}u) * ${size}u;
${v.base}
var total = ${m.identity};
for (var r = first + lane; r < min(first + ${size}u, ${v.length}u); r += ${lanes}u) {
  ${v.at}
  total = ${m.combine("total", "x0[at]")};
}
parts[lane] = total;
for (var half = ${lanes / 2}u; half > 0u; half = half >> 1u) {
  workgroupBarrier();
  if (lane < half) { parts[lane] = ${m.combine("parts[lane]", "parts[lane + half]")}; }
}
if (lane == 0u) { y0[group] = ${finish("parts[0]")}; }`
  }
}

/** A reduction over some axes of a shape. */
export const reduce = (
  name: string,
  m: Monoid,
  dtype: DType,
  shape: Shape.Shape,
  axes: ReadonlyArray<number>
): Plan => {
  const v = view(shape, axes)
  const finish = (x: string): string => narrow(x, dtype)
  const same = (x: string): string => x
  if (v.length <= alone || (v.sideBySide && v.outputs >= 1024)) return byThread(name, m, v, finish)
  const chunks = v.length >= long && v.outputs < 64 ? Math.min(256, Math.ceil(v.length / 4096)) : 1
  if (chunks === 1) return byGroup(name, m, v, 1, finish)
  const first = byGroup(name, m, v, chunks, same)
  const second = byGroup(`${name}, second pass`, m, view([v.outputs, chunks], [1]), 1, finish)
  return (bench, [x]) => bench.run(second, bench.run(first, [x], v.outputs * chunks), v.outputs)
}

type Reduction = "reduce_sum" | "reduce_prod" | "reduce_max" | "reduce_min" | "reduce_and" | "reduce_or"

const reduction = (operation: string) => (equation: EquationOf<Reduction>): Plan => {
  const { dtype, shape } = equation.inputs[0].aval
  return reduce(nameOf(equation), monoidOf(operation, dtype), dtype, shape, equation.params.axes)
}

/** The index of the first best element, the first nan being best of all: `better(a, b)` says that a beats b. */
const argReduction = (better: "<" | ">") => (equation: EquationOf<"argmax" | "argmin">): Plan => {
  const { dtype, shape } = equation.inputs[0].aval
  const word = wordOf(dtype)
  const v = view(shape, equation.params.axes)
  const float = word === "f32"
  const beats = float
    ? `(isnan_(a) && !isnan_(b)) || (!isnan_(b) && ${better === "<" ? "lt_(a, b)" : "lt_(b, a)"})`
    : `a ${better} b`
  const index = outputIndex(equation.params.index_dtype)
  const declarations = `fn beats(a: ${word}, b: ${word}) -> bool { return ${beats}; }`
  const scan = `
  ${v.at}
  let value = x0[at];
  if (beats(value, best)) { best = value; place = r; }`
  const common = { name: nameOf(equation), inputs: [word], outputs: [wordOf(equation.params.index_dtype)] }
  if (v.length <= alone || (v.sideBySide && v.outputs >= 1024)) {
    return {
      ...common,
      threads: v.outputs,
      declarations,
      body:
        `let o = i;\n${v.base}\nvar place = 0u;\nvar best = x0[base];\nfor (var r = 1u; r < ${v.length}u; r++) {${scan}\n}\n` +
        `y0[i] = ${index("place")};`
    }
  }
  return {
    ...common,
    threads: { groups: v.outputs, size: lanes },
    declarations: `${declarations}
var<workgroup> values: array<${word}, ${lanes}>;
var<workgroup> places: array<u32, ${lanes}>;`,
    body: `
let o = group;
${v.base}
var place = 0u;
var best = x0[base];
for (var r = lane; r < ${v.length}u; r += ${lanes}u) {${scan}
}
values[lane] = best;
places[lane] = place;
for (var half = ${lanes / 2}u; half > 0u; half = half >> 1u) {
  workgroupBarrier();
  if (lane < half) {
    let other = values[lane + half];
    let mine = values[lane];
    let before = places[lane + half] < places[lane] && !beats(mine, other);
    if (beats(other, mine) || before) {
      values[lane] = other;
      places[lane] = places[lane + half];
    }
  }
}
if (lane == 0u) { y0[group] = ${index("places[0]")}; }`
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
