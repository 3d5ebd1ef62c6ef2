/**
 * A *Source* is one compute shader as data: what it reads and writes, how many threads it wants, and the body that one
 * thread runs. `render` makes WGSL text of it, with the library functions that it uses.
 *
 * Shapes are constants in the text, but for elementwise shaders, which take the size from their buffers and serve all
 * shapes. Constants make an index's divisions multiplications, and leave a dispatch nothing to set up but its buffers;
 * the price is a compilation for every new shape, paid once, since pipelines are kept by their text.
 *
 * In a body, `i` is the thread's number, `x0`, `x1`, … are the inputs and `y0`, … the outputs, flat arrays of words.
 */
import * as Shape from "../../../Tensor/Shape.ts"
import { library } from "./functions/index.ts"
import type { Word } from "./words.ts"

/** Threads in a workgroup of shaders that need no particular number. */
export const groupSize = 64

/** One compute shader. */
export interface Source {
  /** For people who look at shaders. */
  readonly name: string
  readonly inputs: ReadonlyArray<Word>
  readonly outputs: ReadonlyArray<Word>
  /**
   * How the work is divided: a thread an element of the first output, whatever its size; a given number of threads; or
   * a given number of workgroups of `size` threads, for which the body has `group` and `lane` instead of `i`.
   */
  readonly threads:
    | "elements"
    | number
    | { readonly groups: number; readonly size: number }
  /** Functions and shared variables of this shader alone. */
  readonly declarations?: string
  readonly body: string
}

/** The functions of the library that a text uses, directly or through others, in an order that WGSL takes (any). */
const used = (text: string): ReadonlyArray<string> => {
  const found = new Map<string, string>()
  const visit = (source: string): void => {
    for (const [name] of source.matchAll(/\b[a-z][a-z0-9]*_(?=\()/g)) {
      const definition = library.get(name)
      if (definition === undefined || found.has(name)) continue
      found.set(name, definition)
      visit(definition)
    }
  }
  visit(text)
  return [...found.values()]
}

const indent = (text: string): string => text.trim().split("\n").map((line) => `  ${line}`).join("\n")

/** How a body begins: it finds out which thread it is, and leaves if it is one too many. */
const prologue = ({ threads }: Source): string => {
  if (typeof threads === "object") {
    return `let group = wid.y * count.x + wid.x;\nif (group >= ${threads.groups}u) { return; }`
  }
  const limit = threads === "elements" ? "arrayLength(&y0)" : `${threads}u`
  return `let i = (wid.y * count.x + wid.x) * ${groupSize}u + lane;\nif (i >= ${limit}) { return; }`
}

/** WGSL text. */
export const render = (source: Source): string => {
  const size = typeof source.threads === "object" ? source.threads.size : groupSize
  const bindings = [
    ...source.inputs.map((word, i) => `var<storage, read> x${i}: array<${word}>;`),
    ...source.outputs.map((word, i) => `var<storage, read_write> y${i}: array<${word}>;`)
  ]
  const own = `${source.declarations ?? ""}\n${source.body}`
  return [
    `// ${source.name}`,
    ...bindings.map((binding, i) => `@group(0) @binding(${i}) ${binding}`),
    ...used(own),
    ...(source.declarations === undefined ? [] : [source.declarations.trim()]),
    `@compute @workgroup_size(${size})`,
    "fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) lane: u32) {",
    indent(`${prologue(source)}\n${source.body}`),
    "}"
  ].join("\n")
}

/** How many workgroups a Source wants, its first output having `elements` elements. */
export const groupsOf = ({ threads }: Source, elements: number): number =>
  typeof threads === "object" ? threads.groups : Math.ceil((threads === "elements" ? elements : threads) / groupSize)

/**
 * Statements that take a flat number apart into coordinates `name0`, `name1`, … (u32) of a shape, row-major. Axes of
 * size 1 cost nothing.
 */
export const unravel = (flat: string, shape: Shape.Shape, name: string): string => {
  if (Shape.size(shape) === 0) return shape.map((_, axis) => `let ${name}${axis} = 0u;`).join("\n")
  const strides = Shape.strides(shape)
  const first = shape.findIndex((d) => d !== 1)
  return shape.map((d, axis) => {
    if (d === 1) return `let ${name}${axis} = 0u;`
    const divided = strides[axis] === 1 ? flat : `(${flat}) / ${strides[axis]}u`
    return `let ${name}${axis} = ${axis === first ? divided : `(${divided}) % ${d}u`};`
  }).join("\n")
}

/**
 * Σ coordinate · stride + offset; strides may be negative, the sum may not. u32 arithmetic wraps, so that its order is
 * free.
 */
export const dot = (name: string, strides: ReadonlyArray<number>, offset = 0): string => {
  const constant = (n: number): string => `${n >>> 0}u`
  const terms = strides.flatMap((s, axis) =>
    s === 0 ? [] : s === 1 ? [`${name}${axis}`] : [`${name}${axis} * ${constant(s)}`]
  )
  if (offset !== 0) terms.push(constant(offset))
  return terms.length === 0 ? "0u" : terms.join(" + ")
}

/** A loop over `count` steps of `name`; nothing but one pass with `name` 0 when the count is 1. */
export const loop = (name: string, count: number, body: string): string =>
  count === 1
    ? `{ let ${name} = 0u;\n${body}\n}`
    : `for (var ${name} = 0u; ${name} < ${count}u; ${name}++) {\n${body}\n}`
