// Convolutions of the Wasm backend against the definition, in doubles: any parameters, layouts and dtypes, and any
// division of the work.
import { assert, describe, it } from "@effect/vitest"
import type { Features } from "../../../src/Backend/Wasm/emission.ts"
import type { Convolution } from "../../../src/Backend/Wasm/ir.ts"
import { emitConvolution } from "../../../src/Backend/Wasm/products/convolution.ts"
import { type EquationOf, variable } from "../../../src/Program/Program.ts"
import type { DType } from "../../../src/Tensor/DType.ts"
import { type ConvParams, dilated, windows } from "../../../src/Tensor/lax/convolution.ts"
import * as ShapedArray from "../../../src/Tensor/ShapedArray.ts"
import { accumulator, marking, type Random, random, runDivided, valueOf, Workbench } from "./workbench.ts"

type Equation = EquationOf<"conv_general_dilated">

/** Sizes by meaning: lists as the dimension numbers have them. */
interface Case {
  readonly batch: number
  readonly features: number
  readonly columns: number
  readonly input: ReadonlyArray<number>
  readonly window: ReadonlyArray<number>
  readonly params?: Partial<ConvParams>
  readonly dtype?: DType
  readonly machine?: Features
  readonly seed?: number
}

const product = (shape: ReadonlyArray<number>): number => shape.reduce((a, b) => a * b, 1)

/** [batch, ...spatial, feature], and the kernel's likewise: Flax's layouts. */
const channelsLast = (rank: number): ConvParams["dimension_numbers"] => {
  const spatial = Array.from({ length: rank }, (_, i) => i)
  const image = [0, rank + 1, ...spatial.map((d) => d + 1)]
  return { lhs_spec: image, rhs_spec: [rank + 1, rank, ...spatial], out_spec: image }
}

const channelsFirst = (rank: number): ConvParams["dimension_numbers"] => {
  const axes = Array.from({ length: rank + 2 }, (_, i) => i)
  return { lhs_spec: axes, rhs_spec: axes, out_spec: axes }
}

const equationOf = ({ batch, columns, dtype = "float32", features, input, params = {}, window }: Case): Equation => {
  const ones = input.map(() => 1)
  const full: ConvParams = {
    window_strides: ones,
    padding: ones.map(() => [0, 0] as const),
    lhs_dilation: ones,
    rhs_dilation: ones,
    dimension_numbers: channelsLast(input.length),
    feature_group_count: 1,
    batch_group_count: 1,
    preferred_element_type: null,
    ...params
  }
  const { lhs_spec, out_spec, rhs_spec } = full.dimension_numbers
  const shape = (spec: ReadonlyArray<number>, sizes: ReadonlyArray<number>) => {
    const out = sizes.map(() => 0)
    spec.forEach((axis, i) => void (out[axis] = sizes[i]))
    return out
  }
  const outputs = input.map((size, d) => {
    const padded = dilated(size, full.lhs_dilation[d]) + full.padding[d][0] + full.padding[d][1]
    return windows(Math.max(0, padded), dilated(window[d], full.rhs_dilation[d]), full.window_strides[d])
  })
  const aval = (sizes: ReadonlyArray<number>) => variable(ShapedArray.make(sizes, dtype, false))
  return {
    primitive: "conv_general_dilated",
    params: full,
    inputs: [
      aval(shape(lhs_spec, [batch, features, ...input])),
      aval(shape(rhs_spec, [columns, features / full.feature_group_count, ...window]))
    ],
    outputs: [aval(shape(out_spec, [batch / full.batch_group_count, columns, ...outputs]))]
  }
}

const strides = (shape: ReadonlyArray<number>) => shape.map((_, i) => product(shape.slice(i + 1)))

/** All indices of a shape. */
const indices = (shape: ReadonlyArray<number>): ReadonlyArray<ReadonlyArray<number>> =>
  shape.reduce<ReadonlyArray<ReadonlyArray<number>>>(
    (all, size) => all.flatMap((index) => Array.from({ length: size }, (_, i) => [...index, i])),
    [[]]
  )

const reference = (
  { inputs, outputs, params: p }: Equation,
  x: ReadonlyArray<number>,
  y: ReadonlyArray<number>,
  visit: (at: number, sum: number, size: number) => void
): void => {
  const { lhs_spec, out_spec, rhs_spec } = p.dimension_numbers
  const [lhs, rhs, out] = [inputs[0].aval.shape, inputs[1].aval.shape, outputs[0].aval.shape]
  const [ls, rs, os] = [strides(lhs), strides(rhs), strides(out)]
  const groups = p.feature_group_count * p.batch_group_count
  const perGroup = rhs[rhs_spec[0]] / groups
  const integers = accumulator(inputs[0].aval.dtype) === "int32"
  const taps = indices(rhs_spec.slice(1).map((axis) => rhs[axis]))
  for (const [n, o, ...position] of indices(out_spec.map((axis) => out[axis]))) {
    const group = Math.floor(o / perGroup)
    const [image, feature] = p.batch_group_count > 1
      ? [n + group * (lhs[lhs_spec[0]] / groups), 0]
      : [n, group * rhs[rhs_spec[1]]]
    let [sum, size] = [0, 0]
    for (const [i, ...tap] of taps) {
      let at = image * ls[lhs_spec[0]] + (feature + i) * ls[lhs_spec[1]]
      let from = o * rs[rhs_spec[0]] + i * rs[rhs_spec[1]]
      let inside = true
      for (let d = 0; d < tap.length; d++) {
        const u = position[d] * p.window_strides[d] + tap[d] * p.rhs_dilation[d] - p.padding[d][0]
        const hole = u % p.lhs_dilation[d] !== 0
        if (u < 0 || hole || u / p.lhs_dilation[d] >= lhs[lhs_spec[d + 2]]) inside = false
        at += (u / p.lhs_dilation[d]) * ls[lhs_spec[d + 2]]
        from += tap[d] * rs[rhs_spec[d + 2]]
      }
      if (!inside) continue
      if (integers) sum = (sum + Math.imul(x[at], y[from])) | 0
      else sum += x[at] * y[from]
      size += Math.abs(x[at] * y[from])
    }
    visit([n, o, ...position].reduce((at, i, d) => at + i * os[out_spec[d]], 0), sum, size)
  }
}

const setUp = (c: Case) => {
  const { dtype = "float32" } = c
  const equation = equationOf(c)
  const w = new Workbench(c.machine)
  const [x, y] = equation.inputs.map((input) => w.buffer(dtype, product(input.aval.shape)))
  const out = w.buffer(accumulator(dtype), product(equation.outputs[0].aval.shape))
  const convolution: Convolution = { _tag: "Convolution", name: "convolution", equation, x, y, out, epilogue: [] }
  return { w, x, y, out, convolution, equation }
}

const check = (c: Case): void => {
  const { dtype = "float32", seed = 1 } = c
  const draw = random(seed)
  const { convolution, equation, out, w, x, y } = setUp(c)
  const built = w.build(emitConvolution(w.emission, convolution))
  const [xv, yv] = [x, y].map((b) => built.set(b, Array.from({ length: b.size }, () => valueOf(dtype, draw))))
  const label = JSON.stringify(c)
  const whole = runDivided(built, out, draw, label)
  const steps = product(equation.inputs[1].aval.shape)
  reference(equation, xv, yv, (at, exact, size) => {
    const error = Math.abs(whole[at] - exact)
    if (!(error <= (out.dtype === "int32" ? 0 : size * (steps + 2) * 2 ** -24))) {
      assert.fail(`element ${at} is ${whole[at]}, not ${exact}: ${label}`)
    }
  })
}

/** A random order of the axes for each array. */
const shuffled = (draw: Random, rank: number): ConvParams["dimension_numbers"] => {
  const order = (): ReadonlyArray<number> => {
    const axes = Array.from({ length: rank + 2 }, (_, i) => i)
    for (let i = axes.length - 1; i > 0; i--) {
      const j = draw.integer(0, i)
      const [a, b] = [axes[i], axes[j]]
      axes[i] = b
      axes[j] = a
    }
    return axes
  }
  return { lhs_spec: order(), rhs_spec: order(), out_spec: order() }
}

const generated = (seed: number, rest: Partial<Case> = {}): Case => {
  const draw = random(seed)
  const rank = draw.pick(0, 1, 1, 2, 2, 2, 3)
  const several = <A>(f: () => A): ReadonlyArray<A> => Array.from({ length: rank }, f)
  const [featureGroups, batchGroups] = draw.pick([1, 1], [1, 1], [2, 1], [1, 2], [3, 1], [1, 3])
  const groups = featureGroups * batchGroups
  const most = rank === 3 ? 4 : rank === 2 ? 9 : 30
  return {
    batch: batchGroups * draw.pick(1, 2, 3, 4),
    features: featureGroups * draw.pick(1, 1, 2, 3, 4, 8, 13),
    columns: groups * draw.pick(1, 2, 4, 5, 8, 11, 19),
    input: several(() => draw.integer(1, most)),
    window: several(() => draw.integer(1, Math.ceil(most / 2))),
    params: {
      window_strides: several(() => draw.pick(1, 1, 2, 3)),
      padding: several(() => [draw.integer(-1, 3), draw.integer(-1, 3)] as const),
      lhs_dilation: several(() => draw.pick(1, 1, 2, 3)),
      rhs_dilation: several(() => draw.pick(1, 1, 2)),
      dimension_numbers: draw.pick(channelsLast(rank), channelsFirst(rank), shuffled(draw, rank)),
      feature_group_count: featureGroups,
      batch_group_count: batchGroups
    },
    seed,
    ...rest
  }
}

/** What the kernel's gradient of a convolution over channels-last images is. */
const kernelGradient: Partial<ConvParams> = {
  dimension_numbers: { lhs_spec: [3, 0, 1, 2], rhs_spec: [3, 0, 1, 2], out_spec: [2, 3, 0, 1] },
  padding: [[1, 1], [1, 1]]
}

describe("convolutions in WebAssembly", () => {
  it("convolves with any parameters", () => {
    for (let seed = 0; seed < 300; seed++) check(generated(seed))
  })

  it("convolves without relaxed SIMD, and with wide tiles", () => {
    for (let seed = 1000; seed < 1060; seed++) {
      check(generated(seed, { machine: { relaxed: false, wide: false } }))
      check(generated(seed, { machine: { relaxed: true, wide: true } }))
    }
  })

  it("convolves numbers of every dtype", () => {
    for (const dtype of ["float16", "bfloat16", "int32", "uint32", "int8", "uint8"] as const) {
      for (let seed = 2000; seed < 2020; seed++) check(generated(seed, { dtype }))
    }
  })

  it("has results for empty operands", () => {
    check({ batch: 0, features: 3, columns: 4, input: [5, 5], window: [3, 3] })
    check({ batch: 2, features: 0, columns: 4, input: [5, 5], window: [3, 3] })
    check({ batch: 2, features: 3, columns: 0, input: [5, 5], window: [3, 3] })
    check({ batch: 2, features: 3, columns: 4, input: [2, 5], window: [3, 3] })
    check({ batch: 2, features: 3, columns: 4, input: [0, 5], window: [3, 3], params: { padding: [[2, 2], [1, 1]] } })
    check({ batch: 2, features: 3, columns: 4, input: [4, 5], window: [0, 3] })
    check({ batch: 2, features: 3, columns: 4, input: [4, 5], window: [2, 0] })
  })

  it("goes through blocks and parts", () => {
    const padding = [[1, 1], [1, 1]] as const
    check({ batch: 3, features: 8, columns: 24, input: [14, 14], window: [3, 3], params: { padding } })
    check({ batch: 1, features: 1, columns: 9, input: [40, 41], window: [3, 3], params: { padding } })
    check({ batch: 2, features: 70, columns: 12, input: [7, 9], window: [3, 3], params: { padding } })
    check({ batch: 2, features: 3, columns: 5, input: [30, 30], window: [25, 25], params: { padding } })
    const channels = { dimension_numbers: channelsFirst(2), padding }
    check({ batch: 3, features: 8, columns: 24, input: [14, 14], window: [3, 3], params: channels })
    check({ batch: 2, features: 50, columns: 10, input: [20, 18], window: [3, 3], params: channels })
    check({ batch: 1, features: 3, columns: 5, input: [2000], window: [9], params: { window_strides: [2] } })
    check({ batch: 1, features: 2, columns: 5, input: [900], window: [450] })
  })

  it("computes gradients of kernels", () => {
    for (const features of [1, 3, 5]) {
      check({ batch: 8, features, columns: 16, input: [14, 14], window: [14, 14], params: kernelGradient })
      check({ batch: 3, features, columns: 9, input: [13, 14], window: [13, 14], params: kernelGradient })
      check({ batch: 1, features, columns: 9, input: [24, 20], window: [24, 20], params: kernelGradient })
    }
  })

  it("computes gradients of images, whose convolution had strides", () => {
    for (const strides of [[2, 2], [1, 2], [3, 1], [4, 4]]) {
      for (const layout of [channelsLast(2), channelsFirst(2)]) {
        const params = { lhs_dilation: strides, dimension_numbers: layout }
        check({
          batch: 3,
          features: 9,
          columns: 6,
          input: [7, 6],
          window: [3, 3],
          params: { ...params, padding: [[2, 1], [1, 2]] }
        })
        check({
          batch: 2,
          features: 4,
          columns: 8,
          input: [9, 8],
          window: [2, 5],
          params: { ...params, padding: [[1, 3], [0, 4]] }
        })
      }
    }
  })

  it("convolves each feature by itself", () => {
    const padding = [[1, 1], [1, 1]] as const
    for (const columns of [1, 2, 3]) {
      for (const features of [3, 8, 13]) {
        const input = [9, 7]
        const params = { padding, feature_group_count: features }
        check({ batch: 2, features, columns: columns * features, input, window: [3, 3], params })
        const first = { ...params, dimension_numbers: channelsFirst(2) }
        check({ batch: 2, features, columns: columns * features, input, window: [3, 3], params: first })
        const gradient = { ...kernelGradient, batch_group_count: features }
        check({ batch: features, features: 3, columns: columns * features, input, window: [9, 7], params: gradient })
      }
    }
  })

  it("calls the epilogue once for every element, when its sum is finished", () => {
    for (let seed = 3000; seed < 3060; seed++) {
      const { convolution, equation, out, w, x, y } = setUp(generated(seed))
      const [m, n] = equation.outputs[0].aval.shape.slice(-2)
      const { epilogue, marks } = marking(w, out, m, n)
      const built = w.build(emitConvolution(w.emission, convolution, epilogue))
      const ones = [x, y].map((buffer) => built.set(buffer, Array.from({ length: buffer.size }, () => 1)))
      built.run(0, built.units)
      assert.isTrue(built.raw(marks).every((mark) => mark === 1), `marks of ${seed}`)
      reference(equation, ones[0], ones[1], (at, sum) => assert.strictEqual(built.raw(out)[at], sum + 1000))
    }
  })
})
