// Our functions against JAX's own results: values, shapes, dtypes and weakness, case by case. What has no entry in
// table.ts is not offered, and is listed here, so that nothing is left out unnoticed.
import { assert, describe, it, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { toTypedArray } from "../../../src/Backend/read.ts"
import * as Cpu from "../../../src/Backend/Tfjs/Cpu/index.ts"
import { isTensorError } from "../../../src/Tensor/errors.ts"
import { isTensor, type Tensor } from "../../../src/Tensor/index.ts"
import type { ShapedArray } from "../../../src/Tensor/ShapedArray.ts"
import { assertClose } from "../../support/close.ts"
import * as golden from "../../support/golden.ts"
import { type Call, calls, float, operators, type Options, type Result } from "./table.ts"

/** Not functions of ours, or not yet: `lax` is tested with the primitives, indexing and einsum with their own. */
const elsewhere = /^(lax|nn|jax)\.|einsum|linalg|take|choose/
const notOffered: ReadonlySet<string> = new Set([
  // Python's round converts to an integer.
  "round(x)",
  "jnp.gcd",
  "jnp.lcm",
  "jnp.logspace",
  "jnp.geomspace",
  "jnp.indices",
  "jnp.tril_indices",
  "jnp.triu_indices",
  "jnp.dstack",
  "jnp.repeat",
  "jnp.lexsort",
  "jnp.digitize",
  "jnp.unique",
  "jnp.bincount",
  "jnp.nonzero",
  "jnp.histogram",
  "jnp.isin",
  "jnp.interp",
  "jnp.convolve",
  "jnp.cross",
  "jnp.nanargmax"
])

/** Keywords that we do not have. */
const unsupported = (c: golden.Case): boolean =>
  ["order", "retstep", "reflect_type", "end_values", "sparse_"].some((key) => key in c.params) ||
  ["linear_ramp", "maximum", "minimum", "mean", "median"].includes(String(c.params["mode"])) ||
  /constant-values-each/.test(c.name) ||
  // A number given to `full` is float32 here.
  /jnp\.full\/(int|float)/.test(c.name)

/** JAX's comparisons of weak arrays give a weak bool, which promotes as a strong one. */
const weakness = (aval: ShapedArray): boolean => aval.dtype !== "bool" && aval.weakType

const camel = (name: string): string => name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase())

const argument = (x: golden.Argument): unknown =>
  golden.isScalar(x) && x.scalar === "float"
    ? float(Number(x.value))
    : Array.isArray(x)
    ? x.map(argument)
    : golden.input(x)

const optionsOf = (c: golden.Case): Options =>
  Object.fromEntries(Object.entries(c.params).map(([name, value]) => [camel(name), argument(value)]))

const callOf = (c: golden.Case): Call | undefined => {
  const operator = operators[c.op]
  return operator === undefined ? calls[c.op] : ([x]) => operator(x)
}

const tolerances = {
  float32: { rtol: 3e-6, atol: 1e-6 },
  float16: { rtol: 2e-3, atol: 1e-6 },
  bfloat16: { rtol: 1.6e-2, atol: 1e-6 }
}

const check = Effect.fnUntraced(function*(c: golden.Case, result: Result) {
  const expected: ReadonlyArray<golden.Value> = Array.isArray(c.out) ? c.out : [c.out]
  const actual: ReadonlyArray<Tensor> = isTensor(result) ? [result] : result
  assert.strictEqual(actual.length, expected.length, "number of results")
  for (let i = 0; i < expected.length; i++) {
    const aval = golden.aval(expected[i])
    assert.deepStrictEqual(
      { shape: actual[i].shape, dtype: actual[i].dtype, weakType: weakness(actual[i].aval) },
      { shape: aval.shape, dtype: aval.dtype, weakType: weakness(aval) }
    )
    const values = yield* toTypedArray(actual[i])
    const tolerance = aval.dtype in tolerances
      ? tolerances[aval.dtype as keyof typeof tolerances]
      : { rtol: 0, atol: 0 }
    assertClose(values, golden.numbers(expected[i]), tolerance, c.name)
  }
})

/** Cases where rounding or an edge of a kernel differs, each with its reason. */
const known: Readonly<Record<string, string>> = {
  "lax.digamma/float32": "the cpu kernel gives nan at 0, JAX -Infinity",
  "lax.top_k/k-7": "XLA orders -0 below 0 here, though its sort takes them as equal, as ours does",
  "lax.top_k/zeros": "the same"
}

layer(Cpu.layer)("numpy against JAX", (it) => {
  for (const file of ["ops.json", "ops_reduce.json", "ops_shape.json"]) {
    for (const [group, all] of Object.entries(golden.cases(file))) {
      const offered = all.filter((c) => callOf(c) !== undefined && !unsupported(c) && !(c.name in known))
      if (offered.length === 0) continue
      describe(`${file} ${group}`, () => {
        for (const c of offered) {
          it.effect(`${group}: ${c.name}`, () =>
            Effect.gen(function*() {
              const call = callOf(c)
              assert(call !== undefined)
              if (c.error !== undefined) {
                try {
                  call(c.args.map(argument), optionsOf(c))
                } catch (error) {
                  assert(isTensorError(error), String(error))
                  return
                }
                assert.fail(`${c.name} should fail: JAX raises ${c.error}`)
              }
              yield* check(c, call(c.args.map(argument), optionsOf(c)))
            }))
        }
      })
    }
  }
})

describe("the table", () => {
  it("covers what JAX's cases call", () => {
    const missing = ["ops.json", "ops_reduce.json", "ops_shape.json"]
      .flatMap((file) => Object.values(golden.cases(file)).flat())
      .filter((c) => callOf(c) === undefined && !elsewhere.test(c.op) && !notOffered.has(c.op))
    assert.deepStrictEqual([...new Set(missing.map((c) => c.op))], [])
  })
})
