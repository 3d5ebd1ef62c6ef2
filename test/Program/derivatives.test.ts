// Derivatives of elementwise functions, shapes, reductions and sorts, forward and reverse, to second order against
// finite differences, and batching against loops; in doubles, by the reference evaluator. Products, windows and
// indexing: rules-b.test.ts.
import { assert, describe, it } from "@effect/vitest"
import * as lax from "../../src/Tensor/lax/index.ts"
import * as Shape from "../../src/Tensor/Shape.ts"
import { literal, type Tensor } from "../../src/Tensor/Tensor.ts"
import { between, distinct, fromValues, type Random, random, tensor } from "../support/arbitrary.ts"
import { assertClose } from "../support/close.ts"
import { checkBatching, checkDerivatives, type Fn, pullbackOf, pushforward } from "../support/derivatives.ts"
import { evaluate } from "../support/reference/index.ts"

type Make = (rng: Random, shape: Shape.Shape) => ReadonlyArray<Tensor>

const within = (low: number, high: number): Make => (rng, shape) => [between(rng, low, high, shape, "float64")]

/** Away from 0, and from each other. */
const apart: Make = (rng, shape) => [distinct(rng, shape, "float64")]

const pair = (a: Make, b: Make): Make => (rng, shape) => [...a(rng, shape), ...b(rng, shape)]

/** Two arrays whose elements are nowhere equal. */
const unequal: Make = (rng, shape) => {
  const both = distinct(rng, [2, ...shape], "float64")
  const half = (i: number) => lax.reshape(lax.slice(both, [i, ...shape.map(() => 0)], [i + 1, ...shape]), shape)
  return [half(0), half(1)].map((x) => fromValues(evaluate([x])[0].data, shape, "float64"))
}

/** Derivatives on several shapes, batching on one. */
const check = (f: Fn, make: Make, shapes: ReadonlyArray<Shape.Shape>, order = 2): void => {
  const rng = random(shapes.length)
  for (const shape of shapes) checkDerivatives(rng, f, make(rng, shape), { order, rtol: 2e-6, atol: 2e-6 })
  const batched = shapes.find((s) => Shape.size(s) > 0 && Shape.size(s) <= 64) ?? shapes[0]
  checkBatching(rng, f, () => make(rng, batched))
}

const shapes: ReadonlyArray<Shape.Shape> = [[3], [], [0], [2, 0, 3], [7], [1, 31], [33]]

describe("elementwise", () => {
  const unary: Readonly<Record<string, readonly [(x: Tensor) => Tensor, Make]>> = {
    neg: [lax.neg, within(-2, 2)],
    sign: [lax.sign, apart],
    abs: [lax.abs, apart],
    floor: [lax.floor, within(0.1, 0.9)],
    ceil: [lax.ceil, within(0.1, 0.9)],
    round: [lax.round, within(0.6, 1.4)],
    square: [lax.square, within(-2, 2)],
    exp: [lax.exp, within(-2, 2)],
    exp2: [lax.exp2, within(-2, 2)],
    expm1: [lax.expm1, within(-2, 2)],
    log: [lax.log, within(0.5, 3)],
    log1p: [lax.log1p, within(-0.5, 2)],
    sqrt: [lax.sqrt, within(0.5, 3)],
    rsqrt: [lax.rsqrt, within(0.5, 3)],
    cbrt: [lax.cbrt, within(-3, -0.5)],
    sin: [lax.sin, within(-3, 3)],
    cos: [lax.cos, within(-3, 3)],
    tan: [lax.tan, within(-1, 1)],
    asin: [lax.asin, within(-0.8, 0.8)],
    acos: [lax.acos, within(-0.8, 0.8)],
    atan: [lax.atan, within(-3, 3)],
    sinh: [lax.sinh, within(-2, 2)],
    cosh: [lax.cosh, within(-2, 2)],
    tanh: [lax.tanh, within(-2, 2)],
    asinh: [lax.asinh, within(-2, 2)],
    acosh: [lax.acosh, within(1.5, 3)],
    atanh: [lax.atanh, within(-0.7, 0.7)],
    logistic: [lax.logistic, within(-3, 3)],
    erf: [lax.erf, within(-2, 2)],
    erfc: [lax.erfc, within(-2, 2)],
    erf_inv: [lax.erfInv, within(-0.7, 0.7)],
    lgamma: [lax.lgamma, within(0.7, 4)],
    "lgamma below 0": [lax.lgamma, within(-2.7, -2.3)],
    digamma: [lax.digamma, within(0.7, 4)],
    "digamma below 0": [lax.digamma, within(-1.7, -1.3)],
    "integer_pow 0": [(x) => lax.integerPow(x, 0), within(-2, 2)],
    "integer_pow 1": [(x) => lax.integerPow(x, 1), within(-2, 2)],
    "integer_pow 2": [(x) => lax.integerPow(x, 2), within(-2, 2)],
    "integer_pow 3": [(x) => lax.integerPow(x, 3), within(-2, 2)],
    "integer_pow -2": [(x) => lax.integerPow(x, -2), within(0.5, 2)],
    copy: [lax.copy, within(-2, 2)],
    convert_element_type: [
      (x) => lax.convertElementType(lax.convertElementType(x, "float32"), "float64"),
      within(-2, 2)
    ]
  }
  for (const [name, [f, make]] of Object.entries(unary)) it(name, () => check(([x]) => [f(x)], make, shapes))

  const binary: Readonly<Record<string, readonly [(x: Tensor, y: Tensor) => Tensor, Make]>> = {
    add: [lax.add, pair(within(-2, 2), within(-2, 2))],
    sub: [lax.sub, pair(within(-2, 2), within(-2, 2))],
    mul: [lax.mul, pair(within(-2, 2), within(-2, 2))],
    div: [lax.div, pair(within(-2, 2), within(0.5, 2))],
    rem: [lax.rem, pair(within(4.1, 4.9), within(1.9, 2))],
    pow: [lax.pow, pair(within(0.5, 2), within(-2, 2))],
    max: [lax.max, unequal],
    min: [lax.min, unequal],
    atan2: [lax.atan2, pair(within(-2, 2), within(0.5, 2))]
  }
  for (const [name, [f, make]] of Object.entries(binary)) it(name, () => check(([x, y]) => [f(x, y)], make, shapes))

  it("select_n and clamp", () => {
    const which: Make = (rng, shape) => [tensor(rng, shape, "bool")]
    const three: Make = (rng, shape) => [between(rng, 0, 3, shape, "int32")]
    const value = within(-2, 2)
    check(([w, x, y]) => [lax.selectN(w, x, y)], pair(which, pair(value, value)), shapes)
    check(([w, x, y, z]) => [lax.selectN(w, x, y, z)], pair(three, pair(value, pair(value, value))), [[7]])
    check(([x, y]) => [lax.selectN(lax.gt(x, y), x, lax.mul(x, y))], unequal, shapes)
    check(
      ([low, x, high]) => [lax.clamp(low, x, high)],
      (rng, shape) => {
        const [x, high] = unequal(rng, shape)
        return [fromValues(evaluate([high])[0].data.map((v) => v - 0.35), shape, "float64"), x, high]
      },
      shapes
    )
  })

  it("stop_gradient, comparisons and integers have none", () => {
    const x = fromValues([2, 3], [2], "float64")
    const f: Fn = ([x]) => [
      lax.mul(lax.stopGradient(x), x),
      lax.convertElementType(lax.convertElementType(x, "int32"), "float64"),
      lax.convertElementType(lax.gt(x, lax.neg(x)), "float64")
    ]
    const [product, whole, greater] = evaluate(pushforward(f, 1)([x, fromValues([1, 1], [2], "float64")]))
    assert.deepStrictEqual([product.data, whole.data, greater.data], [[2, 3], [0, 0], [0, 0]])
  })
})

/** Input tangents of one, and what comes out. */
const pushed = (f: Fn, ...xs: ReadonlyArray<ReadonlyArray<number>>): ReadonlyArray<number> => {
  const inputs = xs.map((x) => fromValues(x, [x.length], "float64"))
  const ones = xs.map((x) => fromValues(x.map(() => 1), [x.length], "float64"))
  return evaluate(pushforward(f, xs.length)([...inputs, ...ones]))[0].data
}

/** The gradient of the sum of the first output, with respect to one input. */
const gradient = (f: Fn, which: number, ...xs: ReadonlyArray<ReadonlyArray<number>>): ReadonlyArray<number> => {
  const inputs = xs.map((x) => fromValues(x, [x.length], "float64"))
  const [y] = f(inputs)
  const ones = fromValues(Array.from({ length: y.size }, () => 1), y.shape, "float64")
  return evaluate(pullbackOf(f, xs.length)([...inputs, ones]))[which].data
}

describe("kinks, ties and corners are JAX's", () => {
  it("abs and sign at 0", () => assert.deepStrictEqual(pushed(([x]) => [lax.abs(x)], [0, -2, 2]), [1, -1, 1]))

  it("max and min give half to each of two equals", () => {
    assert.deepStrictEqual(gradient(([x, y]) => [lax.max(x, y)], 0, [1, 2, 3], [2, 2, 2]), [0, 0.5, 1])
    assert.deepStrictEqual(gradient(([x, y]) => [lax.min(x, y)], 1, [1, 2, 3], [2, 2, 2]), [0, 0.5, 1])
  })

  it("reduce_max shares evenly among all that attain it", () => {
    assert.deepStrictEqual(gradient(([x]) => [lax.reduceMax(x, 0)], 0, [3, 1, 3, 3]), [1 / 3, 0, 1 / 3, 1 / 3])
    assert.deepStrictEqual(gradient(([x]) => [lax.reduceMin(x, 0)], 0, [3, 1, 1, 3]), [0, 0.5, 0.5, 0])
  })

  it("clamp gives nothing at its bounds", () => {
    const f: Fn = ([low, x, high]) => [lax.clamp(low, x, high)]
    assert.deepStrictEqual(gradient(f, 1, [0, 0, 0, 0], [-1, 0, 0.5, 1], [1, 1, 1, 1]), [0, 0, 1, 0])
    assert.deepStrictEqual(gradient(f, 0, [0, 0, 0, 0], [-1, 0, 0.5, 1], [1, 1, 1, 1]), [1, 0, 0, 0])
  })

  it("pow at 0, and with exponent 0", () => {
    const f: Fn = ([x, y]) => [lax.pow(x, y)]
    assert.deepStrictEqual(gradient(f, 0, [0, 0, 0, 2, -2], [0, 1, 2, 0, 2]), [0, 1, 0, 0, -4])
    assert.deepStrictEqual(gradient(f, 1, [0, 0, 1], [0, 2, 5]), [0, 0, 0])
  })

  it("products with zeros", () => {
    assert.deepStrictEqual(gradient(([x]) => [lax.reduceProd(x, 0)], 0, [2, 0, 3]), [0, 6, 0])
    assert.deepStrictEqual(gradient(([x]) => [lax.reduceProd(x, 0)], 0, [0, 0, 3, 5, 2]), [0, 0, 0, 0, 0])
    assert.deepStrictEqual(gradient(([x]) => [lax.cumprod(x, 0)], 0, [2, 0, 3]), [1, 8, 0])
    const h = 2 ** -10
    const f: Fn = ([x]) => [lax.cumprod(x, 0)]
    const twice: Fn = ([x]) => pushforward(f, 1)([x, fromValues([1, 2, -1, 0.5], [4], "float64")])
    const at = (step: number) => evaluate(twice([fromValues([step, 2 - step, 0.5 * step, 3], [4], "float64")]))[0].data
    const moved = at(h).map((v, i) => (v - at(-h)[i]) / (2 * h))
    const direction = fromValues([1, -1, 0.5, 0], [4], "float64")
    const [second] = evaluate(pushforward(twice, 1)([fromValues([0, 2, 0, 3], [4], "float64"), direction]))
    assertClose(second.data, moved, { atol: 1e-4 })
  })

  it("running logsumexp at ties and -∞", () => {
    const f: Fn = ([x]) => [lax.cumlogsumexp(x, 0)]
    assertClose(pushed(f, [1, 1, -Infinity, 2]), [1, 1, 1, 1])
    assertClose(gradient(([x]) => [lax.slice(f([x])[0], [2], [3])], 0, [0, 0, 0]), [1 / 3, 1 / 3, 1 / 3])
    assert.isFalse(pushed(f, [-Infinity, -Infinity]).some(Number.isNaN))
    const rng = random(1)
    checkDerivatives(rng, f, [fromValues([0.5, 0.5, 0.5, 1, 1], [5], "float64")], { order: 2, rtol: 1e-5, atol: 1e-5 })
  })
})

describe("shapes", () => {
  const matrices: ReadonlyArray<Shape.Shape> = [[2, 3], [0, 3], [1, 7], [31, 2]]
  const value = within(-2, 2)
  const zero = literal(0, "float64")

  it("broadcast_in_dim", () => {
    check(([x]) => [lax.broadcastInDim(x, [4, ...x.shape, 2], [1, 2])], value, matrices)
    check(([x]) => [lax.broadcastInDim(x, [3, 5, 2], [1])], value, [[1], [5]])
    check(([x]) => [lax.broadcastInDim(x, [2, 0], [0, 1])], value, [[2, 1]])
  })
  it("reshape and squeeze", () => {
    check(([x]) => [lax.reshape(x, [1, x.size, 1])], value, matrices)
    check(([x]) => [lax.squeeze(x, [0, 2])], value, [[1, 3, 1], [1, 0, 1, 2]])
  })
  it("transpose and rev", () => {
    check(([x]) => [lax.transpose(x, [1, 2, 0])], value, [[2, 3, 4], [2, 0, 1]])
    check(([x]) => [lax.rev(x, [0, 2])], value, [[2, 3, 4], [2, 0, 1]])
  })
  it("slice", () => {
    check(([x]) => [lax.slice(x, [1, 0], [x.shape[0], 2])], value, [[2, 3], [7, 2], [1, 3]])
    check(([x]) => [lax.slice(x, [1], [x.shape[0] - 1], [3])], value, [[7], [8], [9], [10], [2]])
  })
  it("concatenate", () => {
    const xs: Make = (rng, shape) => [value(rng, shape)[0], value(rng, shape.with(1, 1))[0], value(rng, shape)[0]]
    check((all) => [lax.concatenate(all, 1)], xs, matrices)
  })
  it("pad, also negative and between, with a padding value", () => {
    const xs: Make = (rng, shape) => [value(rng, shape)[0], value(rng, [])[0]]
    check(([x, v]) => [lax.pad(x, v, [[1, 2, 1], [0, 1, 0]])], xs, matrices)
    check(([x, v]) => [lax.pad(x, v, [[-1, 2, 2], [1, -2, 0]])], xs, [[2, 3], [7, 2]])
    check(([x]) => [lax.pad(x, zero, [[-2, -1, 1]])], value, [[4], [7]])
  })
  it("iota enters as a constant", () => {
    check(([x]) => [lax.mul(x, lax.iota("float64", x.shape, 0))], value, matrices)
  })
})

describe("reductions", () => {
  const cubes: ReadonlyArray<Shape.Shape> = [[2, 3, 2], [3, 1, 7], [2, 31, 1], [3, 0, 2]]
  const axes: ReadonlyArray<ReadonlyArray<number>> = [[1], [0, 2], [0, 1, 2]]
  const reductions = {
    reduce_sum: lax.reduceSum,
    reduce_prod: lax.reduceProd,
    reduce_max: lax.reduceMax,
    reduce_min: lax.reduceMin
  }
  for (const [name, f] of Object.entries(reductions)) {
    it(name, () => {
      // Values near 1, all different, so that products stay small.
      const make: Make = (rng, shape) => [
        fromValues(evaluate(apart(rng, shape))[0].data.map((v) => 1 + v / 10), shape, "float64")
      ]
      // The extremum of nothing is infinite, and infinities have no differences.
      const some = name === "reduce_max" || name === "reduce_min" ? cubes.filter((s) => Shape.size(s) > 0) : cubes
      for (const at of axes) check(([x]) => [f(x, at)], make, some)
    })
  }

  it("the extremum of nothing has derivative zero", () => {
    const x = fromValues([], [3, 0], "float64")
    assert.deepStrictEqual(evaluate(pushforward(([x]) => [lax.reduceMax(x, 1)], 1)([x, x]))[0].data, [0, 0, 0])
    const ct = fromValues([1, 1, 1], [3], "float64")
    assert.deepStrictEqual(pullbackOf(([x]) => [lax.reduceMin(x, 1)], 1)([x, ct])[0].shape, [3, 0])
  })

  it("argmax, argmin, and, or: batched", () => {
    const rng = random(7)
    for (const at of [0, 1, 2]) {
      const f: Fn = ([x]) => [lax.argmax(x, at), lax.argmin(x, at)]
      checkBatching(rng, f, () => [tensor(rng, [2, 3, 4], "int32")])
    }
    const logical: Fn = ([x]) => [lax.reduceAnd(x, [0, 2]), lax.reduceOr(x, [1])]
    checkBatching(rng, logical, () => [tensor(rng, [2, 3, 2], "bool")])
  })

  const running = {
    cumsum: lax.cumsum,
    cumprod: lax.cumprod,
    cummax: lax.cummax,
    cummin: lax.cummin,
    cumlogsumexp: lax.cumlogsumexp
  }
  for (const [name, f] of Object.entries(running)) {
    it(name, () => {
      const make: Make = (rng, shape) => [
        fromValues(evaluate(apart(rng, shape))[0].data.map((v) => 1 + v / 10), shape, "float64")
      ]
      check(([x]) => [f(x, 0)], make, [[7], [1], [2], [3], [33], [0]])
      check(([x]) => [f(x, 1, true)], make, [[2, 7], [2, 1, 3], [1, 31], [2, 0], [0, 3]])
    })
  }
})

describe("sorts", () => {
  it("sort: tangents follow their elements", () => {
    for (const at of [0, 1]) check(([x]) => [...lax.sort([x], at)], apart, [[3, 7], [2, 1], [2, 0], [1, 33]])
    check(([x, y]) => [...lax.sort([x, lax.mul(y, x), y], 0)], unequal, [[7], [1], [31]])
    check(
      ([x, k]) => {
        const [, y] = lax.sort([k, x], 1)
        return [y]
      },
      pair(apart, (rng, shape) => [tensor(rng, shape, "int32")]),
      [[2, 5]]
    )
  })

  it("top_k", () => {
    check(([x]) => [lax.topK(x, 2)[0]], apart, [[7], [3, 2], [2, 3, 33]])
    check(([x]) => [lax.topK(x, 0)[0]], apart, [[3], [2, 0]])
    const rng = random(3)
    checkBatching(rng, ([x]) => [...lax.topK(x, 3)], () => [distinct(rng, [2, 5], "float64")])
  })
})
