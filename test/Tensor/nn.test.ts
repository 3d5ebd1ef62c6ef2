import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { toNested } from "../../src/Backend/read.ts"
import * as Cpu from "../../src/Backend/Tfjs/Cpu/index.ts"
import * as T from "../../src/Tensor/index.ts"
import * as nn from "../../src/Tensor/nn/index.ts"
import { assertClose, type Numbers, type Tolerance } from "../support/close.ts"
import { pullbackOf } from "../support/derivatives.ts"
import * as golden from "../support/golden.ts"

/** A case of ops_nn.json, with derivatives where they were recorded. */
interface Case extends golden.Case {
  readonly derivative?: golden.Value
  readonly second?: golden.Value
  readonly cotangent?: golden.Value
  readonly dx?: golden.Value
}

const files = golden.cases("ops_nn.json") as Readonly<Record<string, ReadonlyArray<Case>>>

const tolerances: Readonly<Record<string, Tolerance>> = {
  bfloat16: { rtol: 2 ** -6, atol: 2 ** -8 },
  float32: { rtol: 2e-6, atol: 1e-6 }
}

const close = (out: T.Tensor, expected: golden.Value, what: string, tolerance?: Tolerance) =>
  Effect.gen(function*() {
    assert.deepStrictEqual([out.dtype, out.shape], [expected.dtype, expected.shape], what)
    assertClose(
      (yield* toNested(out)) as Numbers,
      golden.numbers(expected),
      tolerance ?? tolerances[expected.dtype],
      what
    )
  })

const number = (x: golden.Argument | undefined): number | undefined =>
  x === undefined || x === null ? undefined : Number(golden.input(x))

const camel = (name: string): string => name.replaceAll(/_(.)/g, (_, c: string) => c.toUpperCase())

type Activation = (x: T.Tensor) => T.Tensor

const functions = nn as unknown as Readonly<Record<string, (x: T.Tensor, parameter?: unknown) => T.Tensor>>

const activation = (c: Case): Activation => {
  const f = functions[camel(c.op.slice(c.op.lastIndexOf(".") + 1))]
  const { alpha, approximate, negative_slope: slope } = c.params
  return (x) =>
    approximate === undefined ? f(x, number(alpha ?? slope)) : f(x, { approximate: golden.input(approximate) })
}

const derivative = (f: Activation): Activation => (x) => pullbackOf(([x]) => [f(x)], 1)([x, T.onesLike(x)])[0]

describe("activations", () => {
  it.effect("agree with Flax", () =>
    Effect.gen(function*() {
      for (const c of files.activation) {
        const [x] = c.args.filter(golden.isValue).map(golden.tensor)
        // JAX refuses integers where it calls lax.logistic alone; here they become float32.
        if (c.error === undefined) yield* close(activation(c)(x), c.out, c.name)
      }
    }).pipe(Effect.provide(Cpu.layer)))

  it.effect("have Flax's first and second derivatives, at corners and far out", () =>
    Effect.gen(function*() {
      for (const c of files.activation) {
        if (c.derivative === undefined || c.second === undefined) continue
        const [x] = c.args.filter(golden.isValue).map(golden.tensor)
        const first = derivative(activation(c))
        // Not at nan, where JAX's relu has derivative 0 and ours 1, nor where squares overflow.
        const at = golden.numbers(c.args.find(golden.isValue) ?? c.out).flatMap((v, i) =>
          v < 1e19 || v === Infinity ? [i] : []
        )
        const numbers = x.get(at)
        const known = (v: golden.Value): golden.Value => ({
          ...v,
          shape: numbers.shape,
          data: at.map((i) => v.data[i])
        })
        const loose = { rtol: 1e-5, atol: 1e-5 }
        yield* close(first(numbers), known(c.derivative), `${c.name}: first derivative`, loose)
        yield* close(derivative(first)(numbers), known(c.second), `${c.name}: second derivative`, loose)
      }
    }).pipe(Effect.provide(Cpu.layer)))
})

/** A number or several, as Python gives them. */
const axes = (x: golden.Argument | undefined): T.Axes | undefined =>
  Array.isArray(x) ? x.map((n: golden.Argument) => Number(golden.input(n))) : x === null ? null : number(x)

const optional = (x: golden.Argument | undefined): T.Tensor | undefined =>
  golden.isValue(x) ? golden.tensor(x) : undefined

const alongAxis = (c: Case) => (x: T.Tensor): T.Tensor | undefined => {
  const { axis, b, epsilon, keepdims, mean, return_sign: sign, variance, where } = c.params
  const over = axis === undefined ? {} : { axis: axes(axis) ?? null }
  if (b !== undefined || sign !== undefined) return undefined
  switch (c.op) {
    case "nnx.softmax":
      return nn.softmax(x, { ...over, where: optional(where) })
    case "nnx.log_softmax":
      return nn.logSoftmax(x, { ...over, where: optional(where) })
    case "nnx.logsumexp":
      return nn.logsumexp(x, { ...over, keepdims: keepdims !== undefined })
    case "nnx.standardize":
      return nn.standardize(x, {
        ...over,
        epsilon: number(epsilon),
        mean: optional(mean),
        variance: optional(variance)
      })
    case "nnx.glu":
      return nn.glu(x, number(axis))
  }
}

describe("functions over an axis agree with Flax", () => {
  it.effect("softmax, logSoftmax, logsumexp, standardize, glu and their gradients", () =>
    Effect.gen(function*() {
      for (const c of files.axis) {
        const [x] = c.args.filter(golden.isValue).map(golden.tensor)
        const f = alongAxis(c)
        const out = f(x)
        if (out === undefined) continue
        const tolerance = c.op === "nnx.standardize" ? { rtol: 1e-4, atol: 1e-5 } : undefined
        yield* close(out, c.out, c.name, x.dtype === "bfloat16" ? undefined : tolerance)
        if (c.cotangent === undefined || c.dx === undefined) continue
        const [dx] = pullbackOf(([x]) => [f(x) ?? x], 1)([x, golden.tensor(c.cotangent)])
        yield* close(dx, c.dx, `${c.name}: cotangent`, { rtol: 1e-4, atol: 1e-5 })
      }
    }).pipe(Effect.provide(Cpu.layer)))

  it.effect("oneHot", () =>
    Effect.gen(function*() {
      for (const c of files.one_hot) {
        const [x] = c.args.filter(golden.isValue).map(golden.tensor)
        const { axis, dtype } = c.params
        const run = () =>
          nn.oneHot(x, number(c.args[1]) ?? 0, {
            axis: number(axis),
            dtype: T.DType.isDType(dtype) ? dtype : undefined
          })
        if (T.DType.isFloat(x.dtype)) assert.throws(run, T.DTypeError, "integer")
        else yield* close(run(), c.out, c.name)
      }
    }).pipe(Effect.provide(Cpu.layer)))

  it.effect("logmeanexp", () =>
    Effect.gen(function*() {
      const x = T.array([[0, Math.log(3)], [1, 1]], "float32")
      assertClose((yield* toNested(nn.logmeanexp(x, { axis: 1 }))) as Numbers, [Math.log(2), 1])
      const where = T.array([[true, false], [true, true]])
      assertClose((yield* toNested(nn.logmeanexp(x, { axis: 1, where }))) as Numbers, [0, 1])
    }).pipe(Effect.provide(Cpu.layer)))
})

describe("attention", () => {
  it.effect("agrees with Flax", () =>
    Effect.gen(function*() {
      for (const c of files.attention) {
        const [q, k, v] = c.args.filter(golden.isValue).map(golden.tensor)
        const { bias, is_causal: causal, key_value_seq_lengths: lengths, mask, scale } = c.params
        if (lengths !== undefined || c.error !== undefined) continue
        const options = {
          bias: optional(bias),
          mask: optional(mask),
          isCausal: causal !== undefined,
          scale: number(scale)
        }
        const out = v === undefined
          ? nn.dotProductAttentionWeights(q, k, options)
          : nn.dotProductAttention(q, k, v, options)
        yield* close(out, c.out, c.name, q.dtype === "bfloat16" ? undefined : { rtol: 1e-5, atol: 1e-6 })
      }
    }).pipe(Effect.provide(Cpu.layer)))

  it.effect("weights sum to one, and give the same attention", () =>
    Effect.gen(function*() {
      const [q, k, v] = [0, 1, 2].map((i) => T.random.normal(T.random.key(i), [2, 3, 4, 5]))
      const weights = nn.dotProductAttentionWeights(q, k, { isCausal: true })
      assertClose((yield* toNested(weights.sum(-1))) as Numbers, (yield* toNested(T.ones([2, 4, 3]))) as Numbers)
      const both = T.sub(nn.dotProductAttention(q, k, v, { isCausal: true }), T.einsum("bhqk,bkhd->bqhd", weights, v))
      assertClose((yield* toNested(both.abs().max())) as Numbers, 0, { atol: 1e-6 })
    }).pipe(Effect.provide(Cpu.layer)))

  it("says what does not fit", () => {
    const x = (...shape: ReadonlyArray<number>) => T.zeros(shape)
    assert.throws(() => nn.dotProductAttention(x(2, 3, 2, 4), x(2, 3, 2, 5), x(2, 3, 2, 4)), T.ShapeError, "depths")
    assert.throws(() => nn.dotProductAttention(x(2, 3, 3, 4), x(2, 3, 2, 4), x(2, 3, 2, 4)), T.ShapeError, "multiple")
    assert.throws(() => nn.dotProductAttention(x(3, 4), x(3, 4), x(3, 4)), T.ShapeError, "batch")
  })
})
