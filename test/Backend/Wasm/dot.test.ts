// Matrix products of the Wasm backend against plain loops in doubles: any sizes, strides, batches and dtypes, and any
// division of the work.
import { assert, describe, it } from "@effect/vitest"
import type { Features } from "../../../src/Backend/Wasm/emission.ts"
import type { Dot, Matrix } from "../../../src/Backend/Wasm/ir.ts"
import { emitDot } from "../../../src/Backend/Wasm/products/dot.ts"
import type { DType } from "../../../src/Tensor/DType.ts"
import { accumulator, marking, random, runDivided, valueOf, Workbench } from "./workbench.ts"

interface Case {
  readonly m: number
  readonly n: number
  readonly k: number
  readonly batch?: ReadonlyArray<number>
  readonly dtype?: DType
  readonly features?: Features
  readonly seed?: number
  /** How a matrix lies in memory. */
  readonly layouts?: readonly [Layout, Layout]
}

type Layout = "row" | "column" | "spread" | "reversed" | "broadcast"

const product = (shape: ReadonlyArray<number>): number => shape.reduce((a, b) => a * b, 1)

/** A matrix of a layout, and how many elements its buffer needs. */
const laidOut = (
  layout: Layout,
  batch: ReadonlyArray<number>,
  rows: number,
  columns: number
): Omit<Matrix, "buffer"> & { readonly size: number } => {
  const strides = (size: number) => batch.map((_, i) => product(batch.slice(i + 1)) * size)
  const dense = rows * columns
  switch (layout) {
    case "row":
      return { offset: 0, batch: strides(dense), row: columns, column: 1, size: product(batch) * dense }
    case "column":
      return { offset: 0, batch: strides(dense), row: 1, column: rows, size: product(batch) * dense }
    case "broadcast":
      return { offset: 0, batch: batch.map(() => 0), row: columns, column: 1, size: dense }
    case "spread":
      return {
        offset: 5,
        batch: strides(dense * 6),
        row: columns * 3,
        column: 2,
        size: 5 + product(batch) * dense * 6
      }
    case "reversed":
      return {
        offset: Math.max(0, product(batch) * dense - 1),
        batch: strides(dense).map((s) => -s),
        row: -columns,
        column: -1,
        size: product(batch) * dense
      }
  }
}

const check = (c: Case): void => {
  const { batch = [], dtype = "float32", k, layouts = ["row", "row"], m, n, seed = 1 } = c
  const draw = random(seed)
  const w = new Workbench(c.features)
  const [xs, ys] = [laidOut(layouts[0], batch, m, k), laidOut(layouts[1], batch, k, n)]
  const x = { ...xs, buffer: w.buffer(dtype, xs.size) }
  const y = { ...ys, buffer: w.buffer(dtype, ys.size) }
  const out = w.buffer(accumulator(dtype), product(batch) * m * n)
  const dot: Dot = { _tag: "Dot", name: "dot", batch, m, n, k, x, y, out, epilogue: [] }
  const built = w.build(emitDot(w.emission, dot))
  const fill = (size: number) => Array.from({ length: size }, () => valueOf(dtype, draw))
  const [xv, yv] = [built.set(x.buffer, fill(xs.size)), built.set(y.buffer, fill(ys.size))]
  const label = JSON.stringify(c)
  const whole = runDivided(built, out, draw, label)
  const integers = accumulator(dtype) === "int32"
  for (let b = 0, at = 0; b < product(batch); b++) {
    const indices = batch.map((size, d) => Math.floor(b / product(batch.slice(d + 1))) % size)
    const [x0, y0] = [x, y].map((a) => a.offset + indices.reduce((s, i, d) => s + i * a.batch[d], 0))
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++, at++) {
        let [exact, size] = [0, 0]
        for (let q = 0; q < k; q++) {
          const a = xv[x0 + i * x.row + q * x.column]
          const d = yv[y0 + q * y.row + j * y.column]
          if (integers) exact = (exact + Math.imul(a, d)) | 0
          else exact += a * d
          size += Math.abs(a * d)
        }
        const error = Math.abs(whole[at] - exact)
        if (!(error <= (integers ? 0 : size * (k + 2) * 2 ** -24))) {
          assert.fail(`${label}: element ${b}, ${i}, ${j} is ${whole[at]}, not ${exact}`)
        }
      }
    }
  }
}

const layouts = ["row", "column", "spread", "reversed", "broadcast"] as const

describe("products in WebAssembly", () => {
  const modes: ReadonlyArray<readonly [string, Features]> = [
    ["relaxed", { relaxed: true, wide: false }],
    ["plain", { relaxed: false, wide: false }],
    ["wide", { relaxed: true, wide: true }]
  ]

  for (const [name, features] of modes) {
    it(`multiplies matrices of any small sizes (${name})`, () => {
      const sizes = [0, 1, 2, 3, 4, 5, 7, 8, 9, 16, 17]
      for (const m of sizes) {
        for (const n of sizes) for (const k of [0, 1, 3, 8, 13]) check({ m, n, k, features })
      }
    })

    it(`multiplies matrices however they lie (${name})`, () => {
      const draw = random(7)
      for (const first of layouts) {
        for (const second of layouts) {
          for (let i = 0; i < 6; i++) {
            check({
              m: draw.pick(1, 2, 5, 12, 31),
              n: draw.pick(1, 3, 8, 10, 21, 47),
              k: draw.pick(1, 4, 6, 29),
              batch: draw.pick([], [2], [3, 2]),
              layouts: [first, second],
              features,
              seed: i
            })
          }
        }
      }
    })

    it(`goes through blocks (${name})`, () => {
      for (const first of ["row", "column", "spread"] as const) {
        for (const second of ["row", "column", "spread"] as const) {
          check({ m: 101, n: 35, k: 390, layouts: [first, second], features })
        }
      }
      check({ m: 201, n: 530, k: 35, features })
      check({ m: 201, n: 530, k: 35, layouts: ["column", "column"], features })
      check({ m: 530, n: 3, k: 801, layouts: ["column", "column"], features })
      // Rows are shared out, in pieces of whole tiles.
      for (const m of [384, 411, 530]) check({ m, n: 67, k: 270, features })
      check({ m: 1, n: 530, k: 801, layouts: ["column", "column"], features })
      check({ m: 530, n: 1, k: 801, features })
    })
  }

  it("multiplies numbers of every dtype", () => {
    const draw = random(3)
    for (const dtype of ["float16", "bfloat16", "int32", "uint32", "int8", "uint8"] as const) {
      for (const first of layouts) {
        for (const second of layouts) {
          check({
            m: draw.pick(1, 2, 5, 12, 31),
            n: draw.pick(1, 3, 8, 10, 21, 47),
            k: draw.pick(0, 1, 4, 6, 29, 390),
            batch: draw.pick([], [2], [3, 2]),
            dtype,
            layouts: [first, second]
          })
        }
      }
    }
  })

  it("reads every float16", () => {
    const w = new Workbench()
    const x = w.buffer("float16", 65536)
    const y = w.buffer("float16", 1)
    const out = w.buffer("float32", 65536)
    const built = w.build(emitDot(w.emission, {
      _tag: "Dot",
      name: "dot",
      batch: [],
      m: 65536,
      n: 1,
      k: 1,
      x: { buffer: x, offset: 0, batch: [], row: 1, column: 1 },
      y: { buffer: y, offset: 0, batch: [], row: 1, column: 1 },
      out,
      epilogue: []
    }))
    for (let i = 0; i < 65536; i++) built.raw(x)[i] = i
    const values = built.set(x, []).map((v) => v + 0)
    built.set(y, [1])
    built.run(0, built.units)
    // Sums begin with 0, so -0 becomes 0.
    assert.deepStrictEqual(Array.from(built.raw(out)), values)
  })

  it("calls the epilogue once for every element, when its sum is finished", () => {
    for (const [m, n, k, batch] of [[33, 70, 800, [2]], [200, 9, 5, []], [9, 1, 12, [3]], [4, 4, 0, []]] as const) {
      const w = new Workbench()
      const x = w.buffer("float32", product(batch) * m * k)
      const y = w.buffer("float32", product(batch) * k * n)
      const out = w.buffer("float32", product(batch) * m * n)
      const { epilogue, marks } = marking(w, out, m, n)
      const built = w.build(emitDot(w.emission, {
        _tag: "Dot",
        name: "dot",
        batch,
        m,
        n,
        k,
        x: { buffer: x, offset: 0, batch: batch.map(() => m * k), row: k, column: 1 },
        y: { buffer: y, offset: 0, batch: batch.map(() => k * n), row: n, column: 1 },
        out,
        epilogue: []
      }, epilogue))
      built.raw(x).fill(1)
      built.raw(y).fill(1)
      built.run(0, built.units)
      assert.isTrue(built.raw(marks).every((mark) => mark === 1))
      assert.isTrue(built.raw(out).every((v) => v === k + 1000))
    }
  })
})
