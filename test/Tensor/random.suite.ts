// Random numbers are JAX's on any backend: bit for bit where nothing but integers and XLA's own polynomials are
// involved.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type { Backend } from "../../src/Backend/Backend.ts"
import { toNested } from "../../src/Backend/read.ts"
import * as T from "../../src/Tensor/index.ts"
import * as random from "../../src/Tensor/random/index.ts"
import { assertClose, flat, type Numbers, type Tolerance } from "../support/close.ts"
import * as golden from "../support/golden.ts"

type Options = random.UniformOptions & random.CategoricalOptions & random.ChoiceOptions & random.PermutationOptions

/** A case's arguments and parameters, as our functions take them. */
interface Call {
  readonly args: ReadonlyArray<T.Tensor & number>
  readonly shape: ReadonlyArray<number>
  readonly given: ReadonlyArray<number> | undefined
  readonly options: Options
  readonly dtype: T.DType.DType | undefined
}

type Sampler = (call: Call) => T.Tensor

const plain =
  (f: (key: T.Tensor, shape: ReadonlyArray<number>, options: Options) => T.Tensor): Sampler =>
  ({ args: [key], options, shape }) => f(key, shape, options)

const samplers: Readonly<Record<string, Sampler>> = {
  key: ({ args: [seed] }) => random.key(typeof seed === "string" ? BigInt(seed) : seed),
  split: ({ args: [key], options }) => random.split(key, (options as { readonly num?: number }).num),
  fold_in: ({ args: [key, data] }) => random.foldIn(key, data),
  bits: ({ args: [key], dtype, shape }) => random.bits(key, shape, dtype),
  uniform: plain(random.uniform),
  normal: plain(random.normal),
  truncated_normal: ({ args: [key, low, high], given, options }) =>
    random.truncatedNormal(key, low, high, given, options),
  bernoulli: ({ args: [key, p], given, options }) => random.bernoulli(key, p, given, options),
  randint: ({ args: [key, shape, low, high], dtype }) =>
    random.randint(key, shape as unknown as ReadonlyArray<number>, low, high, dtype),
  categorical: ({ args: [key, logits], options }) => random.categorical(key, logits, options),
  permutation: ({ args: [key, x], options }) => random.permutation(key, x, options),
  choice: ({ args: [key, a], options, shape }) => random.choice(key, a, shape, options),
  gumbel: plain(random.gumbel),
  exponential: plain(random.exponential),
  laplace: plain(random.laplace),
  logistic: plain(random.logistic),
  cauchy: plain(random.cauchy),
  maxwell: plain(random.maxwell),
  rademacher: plain(random.rademacher),
  double_sided_maxwell: ({ args: [key, loc, scale], shape }) => random.doubleSidedMaxwell(key, loc, scale, shape),
  rayleigh: ({ args: [key, scale], given }) => random.rayleigh(key, scale, given),
  pareto: ({ args: [key, b], given }) => random.pareto(key, b, given),
  weibull_min: ({ args: [key, scale, k], given }) => random.weibullMin(key, scale, k, given),
  lognormal: ({ args: [key, sigma], given }) => random.lognormal(key, sigma, given),
  triangular: ({ args: [key, left, mode, right], given }) => random.triangular(key, left, mode, right, given),
  wald: ({ args: [key, mean], given }) => random.wald(key, mean, given),
  geometric: ({ args: [key, p], given }) => random.geometric(key, p, given)
}

/** What differs by more than a rounding from JAX on its CPU, which fuses multiplications with additions. */
const tolerances: Readonly<Record<string, Tolerance>> = {
  key: { rtol: 0, atol: 0 },
  split: { rtol: 0, atol: 0 },
  fold_in: { rtol: 0, atol: 0 },
  bits: { rtol: 0, atol: 0 },
  normal: { rtol: 0, atol: 0 },
  uniform: { rtol: 0, atol: 0 },
  truncated_normal: { rtol: 0, atol: 0 },
  bernoulli: { rtol: 0, atol: 0 },
  randint: { rtol: 0, atol: 0 },
  categorical: { rtol: 0, atol: 0 },
  permutation: { rtol: 0, atol: 0 },
  choice: { rtol: 0, atol: 0 },
  rademacher: { rtol: 0, atol: 0 },
  geometric: { rtol: 0, atol: 0 }
}

const call = (c: golden.Case): Call => {
  const params = Object.fromEntries(Object.entries(c.params).map(([name, x]) => [name, golden.input(x)]))
  return {
    args: c.args.map((x) => golden.input(x)) as unknown as Call["args"],
    shape: (params.shape ?? []) as ReadonlyArray<number>,
    given: params.shape as Call["given"],
    options: params as unknown as Options,
    dtype: params.dtype as Call["dtype"]
  }
}

/** Not as in JAX: there is no uint16, and a bound one above the largest integer is taken. */
const skipped = (c: golden.Case): boolean =>
  c.params.dtype === "uint16" || c.name === "random.randint/int32-max-above/k0"

const check = (c: golden.Case, sampler: Sampler) =>
  Effect.gen(function*() {
    const out = sampler(call(c))
    const actual = flat((yield* toNested(out)) as Numbers)
    const first = (c as { readonly take_first?: number }).take_first
    const { dtype, shape } = golden.aval(c.out)
    if (first === undefined) assert.deepStrictEqual([out.dtype, out.shape], [dtype, shape], c.name)
    const tolerance = tolerances[c.op.slice("random.".length)] ??
      (dtype === "bfloat16" ? { rtol: 2 ** -8, atol: 0 } : { rtol: 3e-6, atol: 1e-7 })
    assertClose(actual.slice(0, first), golden.numbers(c.out), tolerance, c.name)
  })

/** Registers the tests for one backend. */
export const randomSuite = (name: string, layer: Layer.Layer<Backend, unknown>): void => {
  describe(`random numbers of ${name} are JAX's`, () => {
    for (const [group, cases] of Object.entries(golden.cases("random.json"))) {
      if (!cases.some((c) => samplers[c.op?.replace("random.", "")] !== undefined)) continue
      it.effect(group, () =>
        Effect.gen(function*() {
          for (const c of cases.filter((c) => !skipped(c))) {
            const f = samplers[c.op.replace("random.", "")]
            if (f === undefined) continue
            if (c.error === undefined) yield* check(c, f)
            else assert.throws(() => f(call(c)), Error, undefined, c.name)
          }
        }).pipe(Effect.provide(layer)))
    }

    it.effect("the mean of the first seed document", () =>
      Effect.gen(function*() {
        const keyOf = (count: number) => random.foldIn(random.key(0), count)
        const mean = random.uniform(keyOf(0), [4, 5]).matmul(random.normal(keyOf(1), [5, 3])).mean()
        assertClose((yield* toNested(mean)) as Numbers, -1.1782329, { rtol: 1e-7 })
      }).pipe(Effect.provide(layer)))
  })
}
