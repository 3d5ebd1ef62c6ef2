// Written loops against a plain evaluator of the kernel language, on random loops and on those that matter.
import { assert, describe, it } from "@effect/vitest"
import type { Features } from "../../../src/Backend/Wasm/emission.ts"
import type { Buffer, Expression, Group, Loop, Op, Reduction, Store } from "../../../src/Backend/Wasm/ir.ts"
import { emitGroup, emitLoop, emitTile } from "../../../src/Backend/Wasm/loops/index.ts"
import * as DType from "../../../src/Tensor/DType.ts"
import * as arbitrary from "../../support/arbitrary.ts"
import { dtypes, type Sample, sample } from "./generate.ts"
import { machine } from "./machine.ts"
import { type Memory, runLoop, runTile } from "./reference.ts"

const plain: Features = { relaxed: false, wide: false }
const relaxed: Features = { relaxed: true, wide: false }

/** Tells two lists apart; floats may differ by a part of themselves. */
const assertSame = (
  got: ReadonlyArray<number>,
  want: ReadonlyArray<number>,
  tolerance: number,
  what: () => string
): void => {
  assert.strictEqual(got.length, want.length)
  for (let k = 0; k < got.length; k++) {
    if (Object.is(got[k], want[k]) || got[k] === want[k]) continue
    const error = Math.abs(got[k] - want[k])
    if (error <= tolerance * Math.max(1, Math.abs(want[k]))) continue
    assert.fail(`element ${k}: ${got[k]} instead of ${want[k]} in ${what()}`)
  }
}

const memoryOf = (inputs: Sample["inputs"], outputs: Sample["outputs"]): Memory => {
  const memory = new Map<Buffer, Array<number>>()
  for (const [x, data] of inputs) memory.set(x, [...data])
  for (const y of outputs) memory.set(y, Array.from({ length: y.size }, () => 0))
  return memory
}

const describeLoop = (loop: Loop): string =>
  JSON.stringify(loop, (key, value) => key === "buffer" ? `${value.name}:${value.dtype}` : value)

/** Runs a sample in pieces of its units and compares. */
const check = ({ inPlace, inputs, loop, outputs }: Sample, features: Features, tolerance: number, seed: number) => {
  const buffers = [...inputs.map(([buffer]) => buffer), ...outputs]
  const written = machine((e) => emitLoop(e, loop), buffers, { features, shared: inPlace })
  const memory = memoryOf(inputs, outputs)
  for (const buffer of outputs) written.write(buffer, Array.from({ length: buffer.size }, () => 0))
  for (const [buffer, values] of inputs) written.write(buffer, values)
  const middle = Math.floor(written.units / 2)
  written.run(middle, written.units)
  written.run(0, middle)
  runLoop(loop, memory)
  const what = () => `seed ${seed}: ${describeLoop(loop)}`
  for (const buffer of outputs) {
    assertSame(written.read(buffer), memory.get(buffer) ?? [], tolerance, () => `${buffer.name} of ${what()}`)
  }
  assert.strictEqual(written.damage(), 0, `written out of bounds in ${what()}`)
}

describe("random loops", () => {
  for (let group = 0; group < 10; group++) {
    it(`exact, group ${group}`, () => {
      for (let k = 0; k < 100; k++) {
        const seed = 1000 * group + k
        check(sample(arbitrary.random(seed), true), k % 2 === 0 ? plain : relaxed, 0, seed)
      }
    })
  }
  for (let group = 0; group < 4; group++) {
    it(`with functions of floats, group ${group}`, () => {
      for (let k = 0; k < 100; k++) {
        const seed = 100_000 + 1000 * group + k
        check(sample(arbitrary.random(seed), false), k % 2 === 0 ? plain : relaxed, 2e-5, seed)
      }
    })
  }
})

const buffer = (name: string, size: number, dtype: DType.DType = "float32"): Buffer => ({ name, size, dtype })
const load = (from: Buffer, strides: ReadonlyArray<number>, offset = 0): Expression => ({
  _tag: "Load",
  buffer: from,
  at: { offset, strides },
  dtype: from.dtype
})
const apply = (op: Op, ...args: ReadonlyArray<Expression>): Expression => ({
  _tag: "Apply",
  op,
  args,
  dtype: args[args.length - 1].dtype
})
const reduce = (combine: Reduction["combine"], value: Expression): Reduction => ({
  _tag: "Reduce",
  combine,
  value,
  dtype: value.dtype
})
const result = (reduction: Reduction): Expression => ({ _tag: "Reduced", reduction, dtype: reduction.dtype })
const store = (to: Buffer, strides: ReadonlyArray<number>, value: Expression): Store => ({
  buffer: to,
  at: { offset: 0, strides },
  value
})
const values = (rng: arbitrary.Random, { dtype, size }: Buffer): Array<number> =>
  Array.from(
    { length: size },
    () => dtype === "bool" ? rng.integer(0, 2) : DType.isFloat(dtype) ? Math.fround(rng.normal()) : rng.integer(0, 9)
  )

const softmax = (rows: number, columns: number): Sample => {
  const [x, y] = [buffer("x", rows * columns), buffer("y", rows * columns)]
  const at = load(x, [columns, 1])
  const top = reduce("max", at)
  const e = apply("exp", apply("sub", at, result(top)))
  const sum = reduce("sum", e)
  const stages = [top, sum, {
    _tag: "Map" as const,
    stores: [store(y, [columns, 1], apply("div", e, result(sum)))]
  }]
  const loop: Loop = { _tag: "Loop", name: "softmax", outer: [rows], inner: [columns], stages }
  return { loop, inputs: [[x, values(arbitrary.random(rows), x)]], outputs: [y], inPlace: new Map() }
}

const total = (outer: number, inner: number, isColumns: boolean, combine: Reduction["combine"]): Sample => {
  const [x, y] = [buffer("x", outer * inner), buffer("y", outer)]
  const sum = reduce(combine, load(x, isColumns ? [1, outer] : [inner, 1]))
  const loop: Loop = {
    _tag: "Loop",
    name: "sum",
    outer: [outer],
    inner: [inner],
    stages: [sum, { _tag: "Close", stores: [store(y, [1], result(sum))] }]
  }
  return { loop, inputs: [[x, values(arbitrary.random(inner), x)]], outputs: [y], inPlace: new Map() }
}

describe("loops that matter", () => {
  for (const columns of [1, 3, 4, 10, 31, 128, 1000]) {
    it(`softmax of rows of ${columns}`, () => check(softmax(7, columns), relaxed, 1e-6, columns))
  }
  for (const inner of [0, 1, 100, 5000, 20_001]) {
    it(`sums of ${inner}`, () => {
      for (const combine of ["sum", "max", "min"] as const) {
        check(total(3, inner, false, combine), plain, 1e-6 + 5e-9 * inner, inner)
        check(total(5, inner, true, combine), plain, 1e-6 + 5e-9 * inner, inner)
      }
    })
  }
  it("largest and smallest keep nan, wherever it is", () => {
    for (let at = 0; at < 23; at++) {
      for (const isColumns of [false, true]) {
        const { inputs: [[x]], ...rest } = total(1, 23, isColumns, at % 2 === 0 ? "max" : "min")
        const data = Array.from({ length: 23 }, (_, k) => k === at ? Number.NaN : -k)
        check({ ...rest, inputs: [[x, data]] }, plain, 0, at)
      }
    }
  })
  it("conversions between all dtypes", () => {
    for (const from of dtypes) {
      for (const to of dtypes) {
        const [x, y] = [buffer("x", 37, from), buffer("y", 37, to)]
        const value: Expression = { _tag: "Convert", x: load(x, [1]), dtype: to }
        const loop: Loop = {
          _tag: "Loop",
          name: "convert",
          outer: [37],
          inner: [],
          stages: [{ _tag: "Map", stores: [store(y, [1], value)] }]
        }
        const rng = arbitrary.random(5)
        const data = Array.from({ length: 37 }, (_, k) => {
          if (!DType.isFloat(from)) return from === "bool" ? k % 2 : rng.integer(0, 100)
          return [Number.NaN, Infinity, -Infinity, 1e5, -1e5, 300.5, -0.7, -0, 1e10, -1e10][k] ?? rng.normal() * 50
        })
        const encoded = machine((e) => emitLoop(e, loop), [x, y])
        encoded.write(x, data)
        check({ loop, inputs: [[x, encoded.read(x)]], outputs: [y], inPlace: new Map() }, plain, 0, 0)
      }
    }
  })
  it("a large map in pieces", () => {
    const n = 100_003
    const [x, y] = [buffer("x", n), buffer("y", n)]
    const loop: Loop = {
      _tag: "Loop",
      name: "map",
      outer: [n],
      inner: [],
      stages: [{ _tag: "Map", stores: [store(y, [1], apply("mul", load(x, [1]), load(x, [-1], n - 1)))] }]
    }
    const written = machine((e) => emitLoop(e, loop), [x, y])
    assert.isAbove(written.units, 6)
    const data = values(arbitrary.random(1), x)
    written.write(x, data)
    for (let unit = written.units - 1; unit >= 0; unit--) written.run(unit, unit + 1)
    assert.deepStrictEqual(written.read(y), data.map((v, k) => Math.fround(v * data[n - 1 - k])))
    assert.strictEqual(written.damage(), 0)
  })
})

describe("groups and epilogues", () => {
  it("a group runs its loops' units one after the other", () => {
    const parts = [softmax(50, 400), total(33, 700, true, "sum"), softmax(3, 5)]
    const group: Group = { _tag: "Group", name: "group", loops: parts.map(({ loop }) => loop) }
    const inputs = parts.flatMap((part) => part.inputs)
    const outputs = parts.flatMap((part) => part.outputs)
    const written = machine((e) => emitGroup(e, group), [...inputs.map(([x]) => x), ...outputs])
    for (const [x, data] of inputs) written.write(x, data)
    for (let unit = 0; unit < written.units; unit += 2) written.run(unit, Math.min(unit + 2, written.units))
    const memory = memoryOf(inputs, outputs)
    for (const { loop } of parts) runLoop(loop, memory)
    for (const y of outputs) assertSame(written.read(y), memory.get(y) ?? [], 4e-6, () => y.name)
  })

  it("loops of a group that compute the same share a function", () => {
    const update = (shape: ReadonlyArray<number>, seed: number): Sample => {
      const size = shape.reduce((a, b) => a * b, 1)
      const [p, m, g] = [buffer("p", size), buffer("m", size), buffer("g", size + 2)]
      const [p1, m1] = [buffer("p1", size), buffer("m1", size)]
      const rate = buffer("rate", 1)
      const dense = shape.map((_, k) => shape.slice(k + 1).reduce((a, b) => a * b, 1))
      const next = apply("sub", load(m, dense), load(g, dense, 2))
      const step = apply("add", load(p, dense), apply("mul", load(rate, shape.map(() => 0)), next))
      const stages = [{ _tag: "Map" as const, stores: [store(m1, dense, next), store(p1, dense, step)] }]
      const rng = arbitrary.random(seed)
      return {
        loop: { _tag: "Loop", name: `update${seed}`, outer: shape, inner: [], stages },
        inputs: [p, m, g, rate].map((b) => [b, values(rng, b)]),
        outputs: [p1, m1],
        inPlace: new Map([[p1, p], [m1, m]])
      }
    }
    const parts = [update([33, 50], 1), update([7], 2), update([20_000], 3), update([5, 7, 9], 4)]
    const inputs = parts.flatMap((part) => part.inputs)
    const outputs = parts.flatMap((part) => part.outputs)
    const shared = new Map(parts.flatMap((part) => [...part.inPlace]))
    const group: Group = { _tag: "Group", name: "group", loops: parts.map(({ loop }) => loop) }
    const written = machine((e) => emitGroup(e, group), [...inputs.map(([x]) => x), ...outputs], { shared })
    assert.strictEqual(written.text.match(/func \$update\d_flat/g)?.length, 1)
    for (const [x, data] of inputs) written.write(x, data)
    for (let unit = 0; unit < written.units; unit++) written.run(unit, unit + 1)
    const memory = memoryOf(inputs, outputs)
    for (const { loop } of parts) runLoop(loop, memory)
    for (const y of outputs) assertSame(written.read(y), memory.get(y) ?? [], 0, () => y.name)
    assert.strictEqual(written.damage(), 0)
  })

  it("an epilogue stores a rectangle of a product", () => {
    const shape = [2, 3, 11, 13]
    const size = 2 * 3 * 11 * 13
    const [out, bias, y, z] = [
      buffer("out", size),
      buffer("bias", 13),
      buffer("y", size),
      buffer("z", size, "bfloat16")
    ]
    const product: Expression = { _tag: "Product", dtype: "float32" }
    const dense = [429, 143, 13, 1]
    const sum = apply("add", product, load(bias, [0, 0, 0, 1]))
    const stores = [
      store(y, dense, apply("max", sum, { _tag: "Constant", value: 0, dtype: "float32" })),
      store(z, [429, 143, 1, 11], { _tag: "Convert", x: sum, dtype: "bfloat16" }),
      store(out, dense, apply("neg", sum))
    ]
    const buffers = [out, bias, y, z]
    const written = machine((e) => emitTile(e, out, stores, shape, "epilogue"), buffers)
    const rng = arbitrary.random(7)
    const memory: Memory = new Map(
      buffers.map((b) => [b, b.dtype === "float32" ? values(rng, b) : b.name.split("").map(() => 0)])
    )
    memory.get(z)?.splice(0, 2, ...Array.from({ length: size }, () => 0))
    for (const [b, data] of memory) written.write(b, data)
    for (
      const rectangle of [{ b: 4, i: [2, 9], j: [3, 13] }, { b: 1, i: [0, 1], j: [0, 8] }, {
        b: 5,
        i: [4, 4],
        j: [0, 9]
      }] as const
    ) {
      written.call(rectangle.b, ...rectangle.i, ...rectangle.j)
      runTile(out, stores, shape, rectangle, memory)
    }
    for (const b of buffers) assertSame(written.read(b), memory.get(b) ?? [], 0, () => b.name)
    assert.strictEqual(written.damage(), 0)
  })
})
