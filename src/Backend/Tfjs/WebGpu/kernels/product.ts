/**
 * The matrix product under dot_general and convolution: out[b, m, n] = Σₖ left(b, m, k) · right(b, k, n), where left
 * and right are functions of WGSL that find their element wherever it is, so that any layout, padding or dilation goes
 * without copies.
 *
 * In a small product a thread makes one element. In others a workgroup of 16 by 16 threads makes a tile of the result;
 * 16 columns of left and rows of right at a time are brought to shared memory. When the result has few tiles and k is
 * long, k is split among workgroups, whose parts are added afterwards, always in one order.
 */
import type { DType } from "../../../../Tensor/DType.ts"
import type { Plan } from "../kernel.ts"
import type { Source } from "../source.ts"
import { converted, literal, narrow, type Word, wordOf } from "../words.ts"
import { monoidOf, reduce } from "./reduction.ts"

/** A product. */
export interface Product {
  readonly name: string
  readonly batch: number
  readonly m: number
  readonly n: number
  readonly k: number
  readonly from: DType
  readonly to: DType
  /** Statements that return the element of input `x0` at (b, m, k), all in range. */
  readonly left: string
  /** Statements that return the element of input `x1` at (b, k, n). */
  readonly right: string
  /** Statements that define `at`, where (b, m, n) is in the result. */
  readonly place: string
}

/** Columns of left that are in shared memory at a time, and threads along each side of a tile. */
const side = 16
/** Products of no more multiplications, over no more than `shallow` each, are small. */
const small = 2 ** 20
const shallow = 256
/** With fewer workgroups than this, k is split. */
const busy = 64

const repeat = (count: number, text: (i: number) => string): string =>
  Array.from({ length: count }, (_, i) => text(i)).join("\n")

/**
 * The shader of one product, `splits` workgroups to a tile. With one, it writes the result; else parts, [split, b, m,
 * n].
 */
const tiled = (p: Product, splits: number, result: Word, finish: (x: string) => string): Source => {
  const word = wordOf(p.from)
  // Elements a thread computes along each side.
  const per = p.m > side && p.n > side ? 2 : 1
  const tile = side * per
  const [rows, columns] = [Math.ceil(p.m / tile), Math.ceil(p.n / tile)]
  const length = Math.ceil(Math.ceil(p.k / splits) / side) * side
  const zero = literal(0, p.from)
  const pairs = (text: (i: number, j: number) => string): string => repeat(per, (i) => repeat(per, (j) => text(i, j)))
  const place = splits === 1
    ? p.place
    : `let at = ((split * ${p.batch}u + b) * ${p.m}u + m) * ${p.n}u + n;`
  return {
    name: p.name,
    inputs: [word, word],
    outputs: [result],
    threads: { groups: rows * columns * p.batch * splits, size: side * side },
    declarations: `
var<workgroup> lefts: array<${word}, ${tile * side}>;
var<workgroup> rights: array<${word}, ${tile * side}>;
fn left(b: u32, m: u32, k: u32) -> ${word} {
  if (m >= ${p.m}u || k >= ${p.k}u) { return ${zero}; }
  ${p.left}
}
fn right(b: u32, k: u32, n: u32) -> ${word} {
  if (n >= ${p.n}u || k >= ${p.k}u) { return ${zero}; }
  ${p.right}
}
fn place(split: u32, b: u32, m: u32, n: u32) -> u32 {
  ${place}
  return at;
}`,
    body: `
let column = group % ${columns}u;
let row = (group / ${columns}u) % ${rows}u;
let b = (group / ${columns * rows}u) % ${p.batch}u;
let split = group / ${columns * rows * p.batch}u;
let r = lane / ${side}u;
let c = lane % ${side}u;
let m = row * ${tile}u + r;
let n = column * ${tile}u + c;
${pairs((i, j) => `var sum${i}${j} = ${zero};`)}
let first = split * ${length}u;
for (var k = first; k < min(first + ${length}u, ${p.k}u); k += ${side}u) {
  ${repeat(per, (i) => `lefts[(r + ${i * side}u) * ${side}u + c] = left(b, m + ${i * side}u, k + c);`)}
  ${repeat(per, (j) => `rights[r * ${tile}u + c + ${j * side}u] = right(b, k + r, n + ${j * side}u);`)}
  workgroupBarrier();
  ${pairs((i, j) => `var part${i}${j} = ${zero};`)}
  for (var q = 0u; q < ${side}u; q++) {
    ${repeat(per, (i) => `let u${i} = lefts[(r + ${i * side}u) * ${side}u + q];`)}
    ${repeat(per, (j) => `let v${j} = rights[q * ${tile}u + c + ${j * side}u];`)}
    ${pairs((i, j) => `part${i}${j} += u${i} * v${j};`)}
  }
  ${pairs((i, j) => `sum${i}${j} += part${i}${j};`)}
  workgroupBarrier();
}
${
      pairs((i, j) =>
        `if (m + ${i * side}u < ${p.m}u && n + ${j * side}u < ${p.n}u) { y0[place(split, b, m + ${i * side}u, n + ${
          j * side
        }u)] = ${finish(`sum${i}${j}`)}; }`
      )
    }`
  }
}

/** The shader of a small product: a thread an element. */
const plain = (p: Product, finish: (x: string) => string): Source => {
  const word = wordOf(p.from)
  return {
    name: p.name,
    inputs: [word, word],
    outputs: [wordOf(p.to)],
    threads: p.batch * p.m * p.n,
    declarations: `
fn left(b: u32, m: u32, k: u32) -> ${word} {
  ${p.left}
}
fn right(b: u32, k: u32, n: u32) -> ${word} {
  ${p.right}
}`,
    body: `
let n = i % ${p.n}u;
let m = (i / ${p.n}u) % ${p.m}u;
let b = i / ${p.n * p.m}u;
var sum = ${literal(0, p.from)};
for (var k = 0u; k < ${p.k}u; k++) { sum += left(b, m, k) * right(b, k, n); }
${p.place}
y0[at] = ${finish("sum")};`
  }
}

/** What a sum is accumulated in: the whole word, whatever the dtype's width. */
const wide: Readonly<Record<Word, DType>> = { f32: "float32", i32: "int32", u32: "uint32" }

/** The plan of a product whose result has `p.to` elements in the order of `p.place`. */
export const product = (p: Product): Plan => {
  const word = wordOf(p.from)
  const finish = (x: string): string => narrow(converted(wide[word], p.to, x), p.to)
  const size = p.batch * p.m * p.n
  if (p.k <= shallow && size * p.k <= small) return plain(p, finish)
  const tile = p.m > side && p.n > side ? 2 * side : side
  const groups = p.batch * Math.ceil(p.m / tile) * Math.ceil(p.n / tile)
  const splits = Math.min(Math.floor(busy / Math.max(1, groups)), Math.floor(p.k / 256))
  if (splits <= 1) return tiled(p, 1, wordOf(p.to), finish)
  const parts = tiled(p, splits, word, (x) => x)
  const sum = reduce(`${p.name}, parts added`, monoidOf("sum", wide[word]), wide[word], [splits, size], [0])
  const ordered = placed(p, finish)
  return (bench, inputs) => {
    const [made] = bench.run(parts, inputs, splits * size)
    const [added] = typeof sum === "function" ? sum(bench, [made]) : bench.run(asSource(sum), [made], size)
    return bench.run(ordered, [added], size)
  }
}

const asSource = (plan: Exclude<Plan, (...args: never) => unknown>): Source => {
  if ("_tag" in plan) throw new Error("a reduction is no elementwise kernel")
  return plan
}

/** Brings [b, m, n] into the result's order and dtype. */
const placed = (p: Product, finish: (x: string) => string): Source => ({
  name: `${p.name}, placed`,
  inputs: [wordOf(p.from)],
  outputs: [wordOf(p.to)],
  threads: p.batch * p.m * p.n,
  body: `
let n = i % ${p.n}u;
let m = (i / ${p.n}u) % ${p.m}u;
let b = i / ${p.n * p.m}u;
${p.place}
y0[at] = ${finish("x0[i]")};`
})
