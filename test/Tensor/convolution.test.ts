import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { toNested } from "../../src/Backend/read.ts"
import * as Cpu from "../../src/Backend/Tfjs/Cpu/index.ts"
import * as T from "../../src/Tensor/index.ts"
import * as nn from "../../src/Tensor/nn/index.ts"
import { assertClose, type Numbers } from "../support/close.ts"
import { pullbackOf } from "../support/derivatives.ts"
import * as golden from "../support/golden.ts"

/** A case of ops_conv.json, with cotangents where they were recorded. */
interface Case extends golden.Case {
  readonly dx?: golden.Value
  readonly dk?: golden.Value
  readonly cotangent?: golden.Value
  readonly reducer?: string
}

const files = golden.cases("ops_conv.json") as Readonly<Record<string, ReadonlyArray<Case>>>

const close = (out: T.Tensor, expected: golden.Value, what: string) =>
  Effect.gen(function*() {
    assert.deepStrictEqual([out.dtype, out.shape], [expected.dtype, expected.shape], what)
    const rtol = expected.dtype === "bfloat16" ? 2 ** -7 : 1e-5
    assertClose((yield* toNested(out)) as Numbers, golden.numbers(expected), { rtol, atol: rtol }, what)
  })

const list = (x: golden.Argument | undefined): ReadonlyArray<number> | undefined =>
  Array.isArray(x) ? x.map((n: golden.Argument) => Number(golden.input(n))) : undefined

const padding = (x: golden.Argument | undefined): nn.Padding | undefined =>
  typeof x === "string"
    ? x as nn.Padding
    : Array.isArray(x)
    ? x.map((p: golden.Argument) => list(p) as nn.Pad)
    : undefined

const number = (x: golden.Argument | undefined): number | undefined =>
  x === undefined || x === null ? undefined : Number(golden.input(x))

const conv = (c: Case) => (...[x, k]: ReadonlyArray<T.Tensor>): T.Tensor => {
  const p = c.params
  return nn.convGeneralDilated(x, k, {
    windowStrides: list(p.window_strides),
    padding: padding(p.padding),
    lhsDilation: list(p.lhs_dilation),
    rhsDilation: list(p.rhs_dilation),
    dimensionNumbers: p.dimension_numbers as unknown as nn.Layouts,
    featureGroupCount: number(p.feature_group_count),
    batchGroupCount: number(p.batch_group_count)
  })
}

const pool = (c: Case) => (x: T.Tensor): T.Tensor => {
  const p = c.params
  const window = list(p.window_shape ?? c.args[1]) ?? []
  const options = { strides: list(p.strides), padding: padding(p.padding) }
  if (c.op === "nnx.max_pool") return nn.maxPool(x, window, options)
  if (c.op === "nnx.min_pool") return nn.minPool(x, window, options)
  return nn.avgPool(x, window, { ...options, countIncludePad: p.count_include_pad !== false })
}

const tensors = (c: Case) => c.args.filter(golden.isValue).map(golden.tensor)

describe("convolutions and windows agree with JAX", () => {
  it.effect("convGeneralDilated and its gradients", () =>
    Effect.gen(function*() {
      for (const c of files.conv) {
        const [x, k] = tensors(c)
        if (c.op === "lax.conv") {
          yield* close(nn.convGeneralDilated(x, k), c.out, c.name)
        } else if (c.error !== undefined) {
          assert.throws(() => conv(c)(x, k), T.ShapeError, undefined, c.name)
        } else if (c.dx !== undefined && c.dk !== undefined) {
          const weights = T.sub(T.mod(T.arange(c.out.data.length, { dtype: "float32" }).reshape(c.out.shape), 5), 2)
          yield* close(conv(c)(x, k), c.out, c.name)
          if (x.dtype !== "float32") continue
          const [dx, dk] = pullbackOf(([x, k]) => [conv(c)(x, k)], 2)([x, k, weights])
          yield* close(dx, c.dx, `${c.name}: cotangent of the input`)
          yield* close(dk, c.dk, `${c.name}: cotangent of the kernel`)
        }
      }
    }).pipe(Effect.provide(Cpu.layer)), 60_000)

  it.effect("convTranspose", () =>
    Effect.gen(function*() {
      for (const c of files.conv_transpose) {
        const [x, k] = tensors(c)
        const out = nn.convTranspose(x, k, {
          strides: list(c.args[2]),
          padding: padding(c.args[3]),
          rhsDilation: list(c.params.rhs_dilation),
          transposeKernel: c.params.transpose_kernel === undefined ? undefined : true
        })
        yield* close(out, c.out, c.name)
      }
    }).pipe(Effect.provide(Cpu.layer)))

  it.effect("pooling and its gradients", () =>
    Effect.gen(function*() {
      for (const c of files.pool) yield* close(pool(c)(tensors(c)[0]), c.out, c.name)
      for (const c of files["pool-grad"]) {
        if (c.cotangent === undefined || c.dx === undefined) continue
        const [dx] = pullbackOf(([x]) => [pool(c)(x)], 1)([...tensors(c), golden.tensor(c.cotangent)])
        yield* close(dx, c.dx, `${c.name}: cotangent`)
      }
    }).pipe(Effect.provide(Cpu.layer)))

  it.effect("reduceWindow", () =>
    Effect.gen(function*() {
      const kinds: Readonly<Record<string, nn.WindowReduction>> = { add: "sum", max: "max", min: "min" }
      for (const c of files.window) {
        const kind = kinds[c.reducer ?? ""]
        if (kind === undefined) continue
        const out = nn.reduceWindow(kind, tensors(c)[0], list(c.params.window_dimensions) ?? [], {
          windowStrides: list(c.params.window_strides),
          padding: padding(c.params.padding),
          baseDilation: list(c.params.base_dilation),
          windowDilation: list(c.params.window_dilation)
        })
        yield* close(out, c.out, c.name)
      }
    }).pipe(Effect.provide(Cpu.layer)))
})
