/**
 * Kernels whose positions are computed.
 *
 * A gather has a thread an element of the result. A scatter must write in the order of the index vectors (the last of
 * two equal ones wins; sums of floats are reproducible), so it has no thread an index vector: each thread goes through
 * all of them, and writes only places that are its own. Places are dealt out by the slice's coordinates along axes that
 * no index moves, and by *bucket*, the rest of the slice's place along the others modulo the number of buckets.
 */
import type { EquationOf } from "../../../../Program/Program.ts"
import type { DType } from "../../../../Tensor/DType.ts"
import { defaultFill, type Params } from "../../../../Tensor/lax/indexing.ts"
import * as Shape from "../../../../Tensor/Shape.ts"
import { type GpuKernels, inputWords, moving, nameOf, type Plan, sizeOf } from "../kernel.ts"
import { dot, loop, type Source, unravel } from "../source.ts"
import { bitsOf, narrow, type Word, wordOf } from "../words.ts"
import { monoidOf } from "./reduction.ts"

/** Threads that a scatter tries to have. */
const scatterThreads = 4096

/** A computed index clamped to 0 … limit, as u32. An index that is unsigned may be beyond i32. */
const clamped = (index: string, word: Word, limit: number): string =>
  word === "i32" ? `u32(clamp(${index}, 0, ${limit}))` : `min(${index}, ${limit}u)`

/** Statements that define `s0`, `s1`, … as the clamped starts of a dynamic slice; starts are inputs from `first` on. */
const starts = (equation: EquationOf<"dynamic_slice" | "dynamic_update_slice">, sizes: Shape.Shape, first: number) =>
  equation.inputs[0].aval.shape.map((d, axis) => {
    const word = wordOf(equation.inputs[first + axis].aval.dtype)
    return `let s${axis} = ${clamped(`x${first + axis}[0]`, word, d - sizes[axis])};`
  }).join("\n")

/** Operand axes with the component of the index vector along each, and those that follow axes of the batch. */
interface Addressing {
  readonly operand: Shape.Shape
  readonly sliceSizes: Shape.Shape
  readonly indexed: ReadonlyArray<number>
  readonly batched: ReadonlyArray<readonly [axis: number, batch: number]>
  readonly clip: boolean
}

/**
 * Statements that define, for index vector number `b` with batch coordinates `b0`, …, the start `o0`, `o1`, … of its
 * slice, and `inside`, whether the slice is within the operand. Index vectors are in input `from`.
 */
const address = (a: Addressing, from: number, word: Word): string => {
  const lines = ["var inside = true;"]
  for (const axis of Shape.range(a.operand.length)) {
    const component = a.indexed.indexOf(axis)
    const batch = a.batched.find(([at]) => at === axis)
    const limit = a.operand[axis] - a.sliceSizes[axis]
    if (component >= 0) {
      lines.push(`let raw${axis} = x${from}[b * ${a.indexed.length}u + ${component}u];`)
      if (!a.clip) {
        lines.push(`inside = inside && raw${axis} >= ${word === "i32" ? "0" : "0u"} && u32(raw${axis}) <= ${limit}u;`)
      }
      lines.push(`let o${axis} = ${clamped(`raw${axis}`, word, limit)};`)
    } else {
      lines.push(`let o${axis} = ${batch === undefined ? "0u" : `b${batch[1]}`};`)
    }
  }
  return lines.join("\n")
}

const gather = (equation: EquationOf<"gather">): Plan => {
  const { dimension_numbers: d, fill_value: fill, mode, slice_sizes: sliceSizes } = equation.params
  const [operand, indices] = equation.inputs.map((a) => a.aval)
  const shape = equation.outputs[0].aval.shape
  const batchAxes = Shape.range(shape.length).filter((axis) => !d.offset_dims.includes(axis))
  const windowAxes = Shape.range(operand.shape.length).filter((axis) =>
    !d.collapsed_slice_dims.includes(axis) && !d.operand_batching_dims.includes(axis)
  )
  const batch = indices.shape.slice(0, -1)
  const word = wordOf(indices.dtype)
  const strides = Shape.strides(operand.shape)
  const addressing: Addressing = {
    operand: operand.shape,
    sliceSizes,
    indexed: d.start_index_map,
    batched: d.operand_batching_dims.map((axis, k) => [axis, d.start_indices_batching_dims[k]]),
    clip: mode !== "fill_or_drop"
  }
  const body = [
    unravel("i", shape, "c"),
    ...batchAxes.map((axis, k) => `let b${k} = c${axis};`),
    `let b = ${dot("b", Shape.strides(batch))};`,
    address(addressing, 1, word),
    ...windowAxes.map((axis, k) => `let w${axis} = c${d.offset_dims[k]};`),
    ...Shape.range(operand.shape.length).map((axis) =>
      `let p${axis} = o${axis}${windowAxes.includes(axis) ? ` + w${axis}` : ""};`
    ),
    `var word = 0x${bitsOf(fill ?? defaultFill(operand.dtype), operand.dtype).toString(16)}u;`,
    `if (inside) { word = x0[${dot("p", strides)}]; }`,
    "y0[i] = word;"
  ].join("\n")
  return { ...moving(equation, body), inputs: ["u32", word] }
}

type Scatter = "scatter" | "scatter_add" | "scatter_mul" | "scatter_min" | "scatter_max"

const operations: Readonly<Record<Exclude<Scatter, "scatter">, string>> = {
  scatter_add: "sum",
  scatter_mul: "prod",
  scatter_min: "min",
  scatter_max: "max"
}

const updated = (primitive: Scatter, dtype: DType): string =>
  primitive === "scatter" ? "value" : narrow(monoidOf(operations[primitive], dtype).combine("y0[at]", "value"), dtype)

const scatter = (equation: EquationOf<Scatter>): Plan => {
  const { dimension_numbers: d, mode } = equation.params
  const [operand, indices, updates] = equation.inputs.map((a) => a.aval)
  const inserted = new Set([...d.inserted_window_dims, ...d.operand_batching_dims])
  const kept = Shape.range(operand.shape.length).filter((axis) => !inserted.has(axis))
  const moved = d.scatter_dims_to_operand_dims
  const batch = indices.shape.slice(0, -1)
  const batchAxes = Shape.range(updates.shape.length).filter((axis) => !d.update_window_dims.includes(axis))
  const word = wordOf(indices.dtype)
  const windowSize = (axis: number): number =>
    kept.includes(axis) ? updates.shape[d.update_window_dims[kept.indexOf(axis)]] : 1
  // Along fixed axes a thread has one coordinate; along the others the slice is gone through.
  const fixed = kept.filter((axis) => !moved.includes(axis))
  const moving = kept.filter((axis) => moved.includes(axis))
  const places = Shape.range(operand.shape.length).filter((axis) => !fixed.includes(axis))
  const across = Shape.size(fixed.map(windowSize))
  const buckets = Math.max(
    1,
    Math.min(Shape.size(places.map((a) => operand.shape[a])), Math.floor(scatterThreads / Math.max(1, across)))
  )
  const placeStrides = Shape.strides(places.map((axis) => operand.shape[axis]))
  const updateStrides = Shape.strides(updates.shape)
  const updateAt = [
    ...batchAxes.map((axis, k) => `b${k} * ${updateStrides[axis]}u`),
    ...kept.map((axis, k) => `w${axis} * ${updateStrides[d.update_window_dims[k]]}u`),
    "0u"
  ].join(" + ")
  const inner = `
${unravel("m", moving.map(windowSize), "m")}
${moving.map((axis, k) => `let w${axis} = m${k};`).join("\n")}
${
    Shape.range(operand.shape.length).map((axis) =>
      `let p${axis} = o${axis}${kept.includes(axis) ? ` + w${axis}` : ""};`
    ).join("\n")
  }
let place = ${["0u", ...places.map((axis, k) => `p${axis} * ${placeStrides[k]}u`)].join(" + ")};
if (place % ${buckets}u == bucket) {
  let at = ${dot("p", Shape.strides(operand.shape))};
  let value = x1[${updateAt}];
  y0[at] = ${updated(equation.primitive, operand.dtype)};
}`
  const addressing: Addressing = {
    operand: operand.shape,
    sliceSizes: operand.shape.map((_, axis) => windowSize(axis)),
    indexed: moved,
    batched: d.operand_batching_dims.map((axis, k) => [axis, d.scatter_indices_batching_dims[k]]),
    clip: mode === "clip"
  }
  const source: Source = {
    name: nameOf(equation),
    inputs: [word, wordOf(updates.dtype)],
    outputs: [wordOf(operand.dtype)],
    threads: across * buckets,
    body: `
let bucket = i / ${Math.max(1, across)}u;
let window = i % ${Math.max(1, across)}u;
${unravel("window", fixed.map(windowSize), "f")}
${fixed.map((axis, k) => `let w${axis} = f${k};`).join("\n")}
for (var b = 0u; b < ${Shape.size(batch)}u; b++) {
  ${unravel("b", batch, "b")}
  ${address(addressing, 0, word)}
  if (inside) {
    ${loop("m", Shape.size(moving.map(windowSize)), inner)}
  }
}`
  }
  return (bench, [x, at, values]) => {
    const out = bench.copy(x)
    if (Shape.size(updates.shape) > 0) bench.gpu.dispatch(source, [at, values], [out], sizeOf(equation))
    return [out]
  }
}

/** Kernels of the indexing primitives. */
export const indexing: GpuKernels<keyof Params> = {
  dynamic_slice: (equation) => {
    const sizes = equation.params.slice_sizes
    const shape = equation.inputs[0].aval.shape
    return {
      ...moving(
        equation,
        [
          starts(equation, sizes, 1),
          unravel("i", sizes, "c"),
          ...shape.map((_, axis) => `let p${axis} = s${axis} + c${axis};`),
          `y0[i] = x0[${dot("p", Shape.strides(shape))}];`
        ].join("\n")
      ),
      inputs: ["u32", ...inputWords(equation).slice(1)]
    }
  },
  dynamic_update_slice: (equation) => {
    const [shape, sizes] = equation.inputs.map((a) => a.aval.shape)
    const write: Source = {
      name: nameOf(equation),
      inputs: ["u32", ...inputWords(equation).slice(2)],
      outputs: ["u32"],
      threads: Shape.size(sizes),
      body: [
        starts(equation, sizes, 2).replaceAll(/x(\d+)\[0\]/g, (_, n: string) => `x${Number(n) - 1}[0]`),
        unravel("i", sizes, "c"),
        ...shape.map((_, axis) => `let p${axis} = s${axis} + c${axis};`),
        `y0[${dot("p", Shape.strides(shape))}] = x0[i];`
      ].join("\n")
    }
    return (bench, [x, update, ...at]) => {
      const out = bench.copy(x)
      bench.gpu.dispatch(write, [update, ...at], [out], sizeOf(equation))
      return [out]
    }
  },
  gather,
  scatter,
  scatter_add: scatter,
  scatter_mul: scatter,
  scatter_min: scatter,
  scatter_max: scatter
}
