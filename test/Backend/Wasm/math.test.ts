// The vector formulas: floats against doubles in units in the last place, all else against plain numbers to the bit; with
// and without fused multiplication.
import { assert, describe, it } from "@effect/vitest"
import { features } from "../../../src/Backend/Wasm/features.ts"
import type { Op } from "../../../src/Backend/Wasm/ir.ts"
import { apply, integerPower } from "../../../src/Backend/Wasm/math/apply.ts"
import { bitcast, convert, narrow } from "../../../src/Backend/Wasm/math/dtype.ts"
import { decodeFloat16, encodeFloat16 } from "../../../src/Backend/Wasm/math/rounding.ts"
import type { Value } from "../../../src/Backend/Wasm/math/value.ts"
import * as DType from "../../../src/Tensor/DType.ts"
import { decode, encode } from "../../../src/Tensor/float16.ts"
import * as arbitrary from "../../support/arbitrary.ts"
import { hold, meanings } from "./reference.ts"
import { compileFormula, type Words } from "./vectors.ts"

const nan = Number.NaN
const plain = { relaxed: false, wide: false }
const relaxed = features()

/** Bits of floats and back. */
const floats = (bits: Int32Array<ArrayBuffer>): Float32Array<ArrayBuffer> => new Float32Array(bits.buffer)

/** Floats where functions go wrong. */
const edges = [
  [0, 1, Infinity, 2 ** -149, 2 ** -126, 2 ** -126 - 2 ** -149, 3.4028234663852886e38, 0.5, 2, 3, 0.75, 1.5, 10],
  [88.72, 88.73, 87.33, 87.34, 103.97, 104.5, 89, 89.42, 9.01, 9.02, 16777216, 8388607.5, 4194304.5, 1e10, 2 ** 31],
  [0.99999994, 1.0000001, 0.84375, 0.9277, 4, 1e4, 10000.5, 511, 512, 513, 1e30, 65504, 65519.9, 65520, 2 ** -24]
].flatMap((some) => some.flatMap((x) => [x, -x])).concat(nan)

/** Floats of all magnitudes: random bits, and uniform ones of several ranges. */
const sweep = (rng: arbitrary.Random, count: number): Float32Array<ArrayBuffer> => {
  const out = new Float32Array(count)
  const bits = new Uint32Array(out.buffer)
  for (let k = 0; k < count; k++) {
    if (k % 4 === 0) bits[k] = rng.integer(0, 2 ** 32)
    else out[k] = rng.uniform(-1, 1) * [110, 1, 8][k % 4 - 1]
  }
  out.set(edges)
  return out
}

/** The place of a float among all floats. */
const order = (x: number): number => {
  const bits = new Int32Array(Float32Array.of(x).buffer)[0]
  return bits < 0 ? -(bits & 0x7fffffff) : bits
}

/** How many floats lie between the two; infinitely many between what should not be confused. */
const ulps = (got: number, want: number): number => {
  const rounded = Math.fround(want)
  if (Object.is(got, rounded)) return 0
  if (Number.isNaN(got) || Number.isNaN(rounded)) return Infinity
  if (got === 0 && rounded === 0) return Infinity
  return Math.abs(order(got) - order(rounded))
}

/** The largest errors allowed, in units in the last place of the correctly rounded result: what was measured. */
const bounds: Partial<Record<Op, number>> = {
  exp: 1,
  exp2: 1,
  expm1: 1,
  log: 1,
  log1p: 1,
  tanh: 2,
  logistic: 2,
  sinh: 2,
  cosh: 1,
  asinh: 2,
  acosh: 2,
  atanh: 2,
  sin: 1,
  cos: 1,
  tan: 3,
  asin: 2,
  acos: 1,
  atan: 3,
  atan2: 3,
  sqrt: 0,
  rsqrt: 1,
  cbrt: 1,
  pow: 1,
  erf: 1,
  erfc: 4,
  erf_inv: 0,
  lgamma: 1,
  digamma: 1,
  rem: 0,
  div: 0,
  sign: 0,
  floor: 0,
  ceil: 0,
  round: 0,
  nextafter: 0,
  max: 0,
  min: 0
}

const arityOf = (op: Op): number =>
  op === "pow" || op === "atan2" || op === "rem" || op === "div" || op === "nextafter" || op === "max" || op === "min"
    ? 2
    : 1

describe("functions of floats", () => {
  for (const [name, bound] of Object.entries(bounds)) {
    const op = name as Op
    it(`${op}: at most ${bound} units in the last place`, () => {
      const arity = arityOf(op)
      const count = 40_000
      const xs = Array.from({ length: arity }, (_, k) => sweep(arbitrary.random(k + 1), count))
      if (arity === 2) {
        let k = 0
        for (const x of edges) {
          for (const y of edges) {
            xs[0][k] = x
            xs[1][k++] = y
          }
        }
      }
      for (const features of [plain, relaxed]) {
        const run = compileFormula((...args: ReadonlyArray<Value>) => apply(op, args, "float32"), arity, features)
        const got = floats(run(...xs))
        for (let k = 0; k < count; k++) {
          const args = xs.map((x) => x[k])
          const want = meanings[op](args, "float32")
          // The sign of lgamma's zeros is nobody's concern.
          if (op === "lgamma" && want === 0 && got[k] === 0) continue
          const error = ulps(got[k], want)
          if (error > bound) {
            assert.fail(`${op}(${args.join()}): ${got[k]} instead of ${Math.fround(want)}, ${error} ulp`)
          }
        }
      }
    })
  }

  it("powers by whole numbers", () => {
    const xs = sweep(arbitrary.random(1), 1000)
    for (const n of [-3, -1, 0, 1, 2, 3, 5, 8]) {
      const got = floats(compileFormula((x) => integerPower(x, n, "float32"), 1)(xs))
      xs.forEach((x, k) => {
        const want = Math.fround(n === 0 ? 1 : x ** n)
        const isTiny = Math.abs(want) < 2 ** -120 || !Number.isFinite(want)
        if (!isTiny && !(ulps(got[k], want) <= 6)) assert.fail(`${x} ** ${n}: ${got[k]} instead of ${want}`)
      })
    }
  })
})

/** Interesting integers of a dtype, in 32 bits as lanes hold them. */
const integers = (dtype: DType.DType, rng: arbitrary.Random, count: number): Int32Array<ArrayBuffer> => {
  const { max, min } = DType.iinfo(dtype)
  const some = [0, 1, -1, 2, 7, 31, 32, 33, 8, 9, min, max, min + 1, max - 1]
  return Int32Array.from({ length: count }, (_, k) => {
    const x = k < some.length ? some[k] : rng.integer(0, 2) === 0 ? rng.integer(-40, 40) : rng.integer(min, max + 1)
    return hold(x, dtype)
  })
}

const unaryOps: ReadonlyArray<Op> = ["neg", "sign", "abs", "square", "not", "population_count", "clz"]
const comparisonOps: ReadonlyArray<Op> = ["eq", "ne", "lt", "le", "gt", "ge"]
const arithmeticOps: ReadonlyArray<Op> = ["add", "sub", "mul", "div", "rem", "max", "min", "and", "or", "xor"]
const shiftOps: ReadonlyArray<Op> = ["shift_left", "shift_right_arithmetic", "shift_right_logical"]
const integerOps = unaryOps.concat(comparisonOps, arithmeticOps, shiftOps)
const integerTypes = ["int32", "uint32", "int8", "uint8"] as const
const comparisons = new Set(comparisonOps)
const unary = new Set(unaryOps)

describe("integers", () => {
  for (const dtype of integerTypes) {
    it(`operations of ${dtype}`, () => {
      const rng = arbitrary.random(3)
      const [x, y] = [integers(dtype, rng, 400), integers(dtype, rng, 400)]
      let k = 0
      for (let i = 0; i < 14; i++) for (let j = 0; j < 14; j++) [x[k], y[k++]] = [x[400 - 14 + i % 14], y[i * j % 400]]
      for (const op of integerOps) {
        const arity = unary.has(op) ? 1 : 2
        const run = compileFormula((...args: ReadonlyArray<Value>) => apply(op, args, dtype), arity)
        const got = run(...[x, y].slice(0, arity))
        for (let i = 0; i < x.length; i++) {
          const args = [hold(x[i], dtype), hold(y[i], dtype)].slice(0, arity)
          const meant = meanings[op](args, dtype)
          const want = comparisons.has(op) ? -meant : hold(meant, dtype) | 0
          if (got[i] !== want) assert.fail(`${op} of ${args.join()}: ${got[i]} instead of ${want}`)
        }
      }
    })
  }

  it("division at its edges", () => {
    const x = Int32Array.of(5, -5, -2147483648, 7, -7, 7, 2147483647, 0)
    const y = Int32Array.of(0, 0, -1, 2, 2, -2, -1, 0)
    const run = (op: Op, dtype: DType.DType) => [...compileFormula((a, c) => apply(op, [a, c], dtype), 2)(x, y)]
    assert.deepStrictEqual(run("div", "int32"), [-1, -1, -2147483648, 3, -3, -3, -2147483647, -1])
    assert.deepStrictEqual(run("rem", "int32"), [5, -5, 0, 1, -1, 1, 0, 0])
    assert.deepStrictEqual(run("div", "uint32").slice(0, 3), [-1, -1, 0])
  })

  it("threefry2x32 has the words of its paper", () => {
    const at = (word: "threefry_0" | "threefry_1", ...args: ReadonlyArray<number>) =>
      compileFormula((...xs: ReadonlyArray<Value>) => apply(word, xs, "uint32"), 4)(
        ...args.map((arg): Words => Int32Array.of(arg))
      )[0] >>> 0
    assert.deepStrictEqual([at("threefry_0", 0, 0, 0, 0), at("threefry_1", 0, 0, 0, 0)], [0x6b200159, 0x99ba4efe])
    const last = [0x13198a2e, 0x03707344, 0x243f6a88, 0x85a308d3]
    assert.deepStrictEqual([at("threefry_0", ...last), at("threefry_1", ...last)], [0xc4923a9c, 0x483df7a0])
  })
})

describe("dtypes", () => {
  for (const dtype of ["float16", "bfloat16"] as const) {
    it(`rounding to ${dtype}`, () => {
      const xs = sweep(arbitrary.random(9), 100_000)
      const got = floats(compileFormula((x) => narrow(x, dtype), 1)(xs))
      xs.forEach((x, k) => {
        if (!Object.is(got[k], hold(x, dtype))) assert.fail(`${x}: ${got[k]} instead of ${hold(x, dtype)}`)
      })
    })
    it(`neighbours in ${dtype}`, () => {
      const rng = arbitrary.random(2)
      const [x, y] = [sweep(rng, 2000), sweep(rng, 2000)].map((v) => v.map((a) => hold(a, dtype)))
      for (let k = 0; k < 200; k++) y[k] = x[199 - k]
      const got = floats(compileFormula((a, c) => apply("nextafter", [a, c], dtype), 2)(x, y))
      x.forEach((a, k) => {
        const want = meanings.nextafter([a, y[k]], dtype)
        if (!Object.is(got[k], want)) assert.fail(`${a} towards ${y[k]}: ${got[k]} instead of ${want}`)
      })
    })
  }

  it("all float16 and back", () => {
    const bits = Int32Array.from({ length: 65536 }, (_, k) => k)
    const got = floats(compileFormula((x) => decodeFloat16(x), 1)(bits))
    bits.forEach((b, k) => {
      if (!Object.is(got[k], decode(b, "float16"))) assert.fail(`${b}: ${got[k]}`)
    })
    const back = compileFormula((x) => encodeFloat16(x), 1)(got)
    got.forEach((x, k) => {
      // The sign of nan is not encoded.
      const found = Number.isNaN(x) ? back[k] & 0x7fff : back[k]
      if (found !== encode(x, "float16")) assert.fail(`${x}: ${found}`)
    })
  })

  it("floats to integers saturate, and nan is 0", () => {
    const x = Float32Array.of(1e10, -1e10, nan, -1.9, Infinity, 300, -3, 2.7)
    const to = (dtype: DType.DType) => [...compileFormula((v) => convert(v, "float32", dtype), 1)(x)]
    assert.deepStrictEqual(to("int32"), [2147483647, -2147483648, 0, -1, 2147483647, 300, -3, 2])
    assert.deepStrictEqual(to("uint8"), [255, 0, 0, 0, 255, 255, 0, 2])
    assert.deepStrictEqual(to("int8"), [127, -128, 0, -1, 127, 127, -3, 2])
    assert.deepStrictEqual(to("uint32").map((v) => v >>> 0), [4294967295, 0, 0, 0, 4294967295, 300, 0, 2])
    assert.deepStrictEqual(to("bool"), [-1, -1, -1, -1, -1, -1, -1, -1])
  })

  it("bits of one dtype as another", () => {
    const x = Float32Array.of(1.5, -2, 0.25, 65504)
    const got = floats(compileFormula((v) => bitcast(v, "float16", "bfloat16"), 1)(x))
    x.forEach((v, k) => assert.strictEqual(got[k], decode(encode(v, "float16"), "bfloat16")))
  })
})
