// lax functions on a backend against the numbers of JAX itself (test/golden), edges included: nan, infinities, zeros of
// both signs, overflow, shifts beyond the width, division by zero.
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import { readFileSync } from "node:fs"
import type { Backend } from "../../src/Backend/Backend.ts"
import { compute, toTypedArray } from "../../src/Backend/read.ts"
import * as DType from "../../src/Tensor/DType.ts"
import { nearest } from "../../src/Tensor/float16.ts"
import * as lax from "../../src/Tensor/lax/index.ts"
import type { Tensor } from "../../src/Tensor/Tensor.ts"
import * as arbitrary from "../support/arbitrary.ts"
import { assertClose } from "../support/close.ts"
import { nothingLivesBut } from "../support/results.ts"

/** The functions by name. */
const functions = { ...lax }

interface GoldenArray {
  readonly shape: ReadonlyArray<number>
  readonly dtype: DType.DType
  readonly data: ReadonlyArray<number | "NaN" | "Infinity" | "-Infinity">
}

interface GoldenCase {
  readonly name: string
  readonly op: string
  readonly args: ReadonlyArray<unknown>
  readonly params: Readonly<Record<string, unknown>>
  readonly out?: GoldenArray
}

const read = (file: string): ReadonlyArray<GoldenCase> => {
  const text = readFileSync(new URL(`../golden/${file}.json`, import.meta.url), "utf8")
  const { cases } = JSON.parse(text) as { cases: Record<string, ReadonlyArray<GoldenCase>> }
  return Object.values(cases).flat()
}

const isArray = (u: unknown): u is GoldenArray => typeof u === "object" && u !== null && "data" in u

const tensor = (a: GoldenArray): Tensor => arbitrary.fromValues(a.data.map(Number), a.shape, a.dtype)

type Operation = (xs: ReadonlyArray<Tensor>, params: GoldenCase["params"]) => Tensor

type LaxName = keyof typeof lax

const plain = (name: LaxName): Operation => (xs) =>
  (functions[name] as unknown as (...xs: ReadonlyArray<Tensor>) => Tensor)(...xs)

const alongAxis = (name: "cumsum" | "cumprod" | "cummax" | "cummin" | "cumlogsumexp"): Operation => ([x], p) =>
  functions[name](x, Number(p.axis), p.reverse === true)

const overAxes = (name: "reduceSum" | "reduceMax" | "reduceMin" | "reduceProd"): Operation => ([x], p) =>
  functions[name](x, p.axes as ReadonlyArray<number>)

const operations: Readonly<Record<string, Operation>> = {
  "lax.rsqrt": plain("rsqrt"),
  "lax.erf": plain("erf"),
  "lax.erfc": plain("erfc"),
  "lax.erf_inv": plain("erfInv"),
  "lax.logistic": plain("logistic"),
  "lax.lgamma": plain("lgamma"),
  "lax.digamma": plain("digamma"),
  "lax.is_finite": plain("isFinite"),
  "lax.integer_pow": ([x], p) => lax.integerPow(x, Number(p.y)),
  "lax.population_count": plain("populationCount"),
  "lax.clz": plain("clz"),
  "lax.convert_element_type": ([x], p) => lax.convertElementType(x, p.new_dtype as DType.DType),
  "lax.bitcast_convert_type": ([x], p) => lax.bitcastConvertType(x, p.new_dtype as DType.DType),
  "lax.div": plain("div"),
  "lax.rem": plain("rem"),
  "lax.pow": plain("pow"),
  "lax.max": plain("max"),
  "lax.min": plain("min"),
  "lax.atan2": plain("atan2"),
  "lax.nextafter": plain("nextafter"),
  "lax.shift_left": plain("shiftLeft"),
  "lax.shift_right_logical": plain("shiftRightLogical"),
  "lax.shift_right_arithmetic": plain("shiftRightArithmetic"),
  "lax.select_n": plain("selectN"),
  "lax.reduce_sum": overAxes("reduceSum"),
  "lax.reduce_max": overAxes("reduceMax"),
  "lax.reduce_min": overAxes("reduceMin"),
  "lax.reduce_prod": overAxes("reduceProd"),
  "lax.cumsum": alongAxis("cumsum"),
  "lax.cumprod": alongAxis("cumprod"),
  "lax.cummax": alongAxis("cummax"),
  "lax.cummin": alongAxis("cummin"),
  "lax.cumlogsumexp": alongAxis("cumlogsumexp"),
  // Unary functions of jnp that are one primitive.
  "jnp.exp": plain("exp"),
  "jnp.exp2": plain("exp2"),
  "jnp.expm1": plain("expm1"),
  "jnp.log": plain("log"),
  "jnp.log1p": plain("log1p"),
  "jnp.sqrt": plain("sqrt"),
  "jnp.cbrt": plain("cbrt"),
  "jnp.sin": plain("sin"),
  "jnp.cos": plain("cos"),
  "jnp.tan": plain("tan"),
  "jnp.arcsin": plain("asin"),
  "jnp.arccos": plain("acos"),
  "jnp.arctan": plain("atan"),
  "jnp.sinh": plain("sinh"),
  "jnp.cosh": plain("cosh"),
  "jnp.tanh": plain("tanh"),
  "jnp.arcsinh": plain("asinh"),
  "jnp.arccosh": plain("acosh"),
  "jnp.arctanh": plain("atanh"),
  "jnp.floor": plain("floor"),
  "jnp.ceil": plain("ceil"),
  "jnp.rint": plain("round"),
  "jnp.abs": plain("abs"),
  "jnp.sign": plain("sign"),
  "jnp.negative": plain("neg")
}

/** Relative differences that XLA's own approximations of functions explain. */
const roughness: Readonly<Record<string, number>> = {
  "lax.digamma": 64,
  "lax.lgamma": 64,
  "jnp.exp2": 32,
  "jnp.sinh": 8,
  "jnp.cosh": 8
}

/** Registers the tests for one backend. */
export const goldenSuite = (backend: string, layer: Layer.Layer<Backend, unknown>): void => {
  describe(`${backend} and JAX`, () => {
    for (const file of ["ops", "ops_reduce"]) {
      for (const { args, name, op, out, params } of read(file)) {
        const operation = operations[op]
        if (operation === undefined || out === undefined || !args.every(isArray)) continue
        const inputs = args.filter(isArray)
        const known = inputs.every((a) => DType.isDType(a.dtype)) && DType.isDType(out.dtype)
        // jnp functions of integers promote first; a bitcast to another width changes the shape.
        const isPrimitive = op.startsWith("jnp")
          ? inputs[0].dtype === out.dtype && DType.isFloat(out.dtype)
          : op !== "lax.bitcast_convert_type" || DType.bits(inputs[0].dtype) === DType.bits(out.dtype)
        if (!known || !isPrimitive) continue
        it.effect(name, () =>
          Effect.gen(function*() {
            const x = operation(inputs.map(tensor), params)
            assert.strictEqual(x.dtype, out.dtype)
            assert.deepStrictEqual(x.shape, out.shape)
            yield* compute(x)
            const eps = DType.isFloat(x.dtype) ? DType.finfo(x.dtype).eps * 4 * (roughness[op] ?? 1) : 0
            const expected = out.data.map((v) => nearest(Number(v), x.dtype))
            assertClose(yield* toTypedArray(x), expected, { rtol: eps, atol: eps === 0 ? 0 : 1e-37 }, name)
            yield* nothingLivesBut(x)
          }).pipe(Effect.provide(layer)))
      }
    }
  })
}
