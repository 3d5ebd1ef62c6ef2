// What is lowered to StableHLO, run by XLA and compared: functions of arrays that use every primitive, and functions
// that use the transforms.
import * as Effect from "effect/Effect"
import type { Backend } from "../../src/Backend/Backend.ts"
import * as nnx from "../../src/index.ts"
import { optimizationBarrier } from "../../src/Program/control.ts"
import * as DType from "../../src/Tensor/DType.ts"
import * as lax from "../../src/Tensor/lax/index.ts"
import { normal } from "../../src/Tensor/random/index.ts"
import { literal, type Tensor } from "../../src/Tensor/Tensor.ts"
import { between, distinct, fromValues, random, tensor } from "../support/arbitrary.ts"
import type { Case } from "../support/cases/case.ts"
import { indexing } from "../support/cases/indexing.ts"
import { convolutions, dots } from "../support/cases/products.ts"
import { windows } from "../support/cases/windows.ts"

/** A function of these arrays, as users write them. */
export interface Lowerable {
  readonly name: string
  readonly f: (...xs: ReadonlyArray<Tensor>) => Effect.Effect<ReadonlyArray<Tensor>, nnx.TransformError, Backend>
  readonly inputs: ReadonlyArray<Tensor>
}

const rng = random(7)
const special = [0, -0, 1, -1, 2.5, -2.5, 0.5, 3.5, Number.NaN, Infinity, -Infinity, 1e-3]

type Unary = (x: Tensor) => Tensor
const on = (
  names: Readonly<Record<string, Unary>>,
  xs: (name: string) => ReadonlyArray<Tensor>
): ReadonlyArray<Lowerable> =>
  Object.entries(names).flatMap(([name, f]) =>
    xs(name).map((x) => ({ name: `${name} of ${x.dtype}`, f: (x: Tensor) => Effect.succeed([f(x)]), inputs: [x] }))
  )
type Binary = (x: Tensor, y: Tensor) => Tensor
const onTwo = (
  names: Readonly<Record<string, Binary>>,
  xs: ReadonlyArray<readonly [Tensor, Tensor]>
): ReadonlyArray<Lowerable> =>
  Object.entries(names).flatMap(([name, f]) =>
    xs.map(([x, y]) => ({
      name: `${name} of ${x.dtype}`,
      f: (x: Tensor, y: Tensor) => Effect.succeed([f(x, y)]),
      inputs: [x, y]
    }))
  )

const halves = (dtype: DType.DType) => between(rng, 0.25, 0.75, [2, 3], dtype)
const floats: ReadonlyArray<Lowerable> = [
  ...on(
    {
      neg: lax.neg,
      sign: lax.sign,
      abs: lax.abs,
      floor: lax.floor,
      ceil: lax.ceil,
      round: lax.round,
      square: lax.square
    },
    () => [fromValues(special, [3, 4]), halves("float16"), halves("bfloat16")]
  ),
  ...on({
    exp: lax.exp,
    exp2: lax.exp2,
    expm1: lax.expm1,
    log: lax.log,
    log1p: lax.log1p,
    sqrt: lax.sqrt,
    rsqrt: lax.rsqrt,
    cbrt: lax.cbrt,
    sin: lax.sin,
    cos: lax.cos,
    tan: lax.tan,
    asin: lax.asin,
    acos: lax.acos,
    atan: lax.atan,
    sinh: lax.sinh,
    cosh: lax.cosh,
    tanh: lax.tanh,
    asinh: lax.asinh,
    atanh: lax.atanh,
    logistic: lax.logistic,
    erf: lax.erf,
    erfc: lax.erfc,
    erf_inv: lax.erfInv,
    lgamma: lax.lgamma,
    digamma: lax.digamma,
    stop_gradient: lax.stopGradient,
    copy: lax.copy
  }, () => [halves("float32")]),
  ...on({ acosh: lax.acosh }, () => [between(rng, 1.5, 3, [4])]),
  ...on({ is_finite: lax.isFinite }, () => [fromValues(special, [12])]),
  ...on({
    "integer_pow 0": (x) => lax.integerPow(x, 0),
    "integer_pow 1": (x) => lax.integerPow(x, 1),
    "integer_pow 7": (x) => lax.integerPow(x, 7),
    "integer_pow -3": (x) => lax.integerPow(x, -3)
  }, () => [halves("float32")])
]

const integers = (dtype: DType.DType, ...shape: ReadonlyArray<number>) => tensor(rng, shape, dtype)
const whole = ["int32", "uint32", "int8", "uint8"] as const
const bits: ReadonlyArray<Lowerable> = [
  ...on({
    neg: lax.neg,
    sign: lax.sign,
    abs: lax.abs,
    not: lax.not,
    population_count: lax.populationCount,
    clz: lax.clz
  }, () => whole.map((dtype) => integers(dtype, 5))),
  ...on({ not: lax.not }, () => [integers("bool", 4)]),
  ...onTwo(
    { and: lax.and, or: lax.or, xor: lax.xor },
    (["bool", ...whole] as const).map((dtype) => [integers(dtype, 6), integers(dtype, 6)] as const)
  ),
  ...onTwo(
    {
      shift_left: lax.shiftLeft,
      shift_right_arithmetic: lax.shiftRightArithmetic,
      shift_right_logical: lax.shiftRightLogical
    },
    whole.map((dtype) => [integers(dtype, 6), between(rng, 0, 8, [6], dtype)] as const)
  )
]

const pairs = (["float32", "float16", ...whole] as const).map((dtype) =>
  [integers(dtype, 2, 6), DType.isFloat(dtype) ? integers(dtype, 2, 6) : between(rng, 1, 6, [2, 6], dtype)] as const
)
const arithmetic: ReadonlyArray<Lowerable> = [
  ...onTwo({
    add: lax.add,
    sub: lax.sub,
    mul: lax.mul,
    div: lax.div,
    rem: lax.rem,
    max: lax.max,
    min: lax.min,
    eq: lax.eq,
    ne: lax.ne,
    lt: lax.lt,
    le: lax.le,
    gt: lax.gt,
    ge: lax.ge
  }, pairs),
  ...onTwo({ div: lax.div, rem: lax.rem }, [[
    fromValues([5, -5, 0], [3], "int32"),
    fromValues([0, 0, 0], [3], "int32")
  ]]),
  ...onTwo({ max: lax.max, eq: lax.eq, lt: lax.lt }, [
    [fromValues(special, [12]), fromValues(special.toReversed(), [12])],
    [integers("bool", 8), integers("bool", 8)]
  ]),
  ...onTwo({ pow: lax.pow, atan2: lax.atan2 }, [[halves("float32"), halves("float32")]]),
  ...onTwo({ nextafter: lax.nextafter }, [[fromValues([1, 1, 0, -2], [4]), fromValues([2, 0, 1, -3], [4])]]),
  {
    name: "select_n of two",
    f: (which, x, y) => Effect.succeed([lax.selectN(which, x, y)]),
    inputs: [integers("bool", 4), integers("float32", 4), integers("float32", 4)]
  },
  {
    name: "select_n of four",
    f: (which, ...xs) => Effect.succeed([lax.selectN(which, ...xs)]),
    inputs: [between(rng, 0, 4, [9], "int32"), ...[1, 2, 3, 4].map(() => integers("float32", 9))]
  },
  {
    name: "clamp",
    f: (low, x, high) => Effect.succeed([lax.clamp(low, x, high)]),
    inputs: [fromValues([-1, -1], [2]), fromValues([-2, 0.5], [2]), fromValues([1, 0], [2])]
  }
]

const conversions: ReadonlyArray<Lowerable> = DType.all.filter((d) => d !== "float64").flatMap((from) =>
  DType.all.filter((d) => d !== "float64" && d !== from).map((to): Lowerable => ({
    name: `convert_element_type from ${from} to ${to}`,
    f: (x) => Effect.succeed([lax.convertElementType(x, to)]),
    inputs: [between(rng, 0, 100, [5], from)]
  }))
)

const moving: ReadonlyArray<Lowerable> = [
  ...on({
    "bitcast_convert_type": (x) => lax.bitcastConvertType(x, "uint32"),
    "broadcast_in_dim": (x) => lax.broadcastInDim(x, [2, 3, 4], [1, 2]),
    "broadcast_in_dim, stretched": (x) => lax.broadcastInDim(lax.reshape(x, [3, 1, 4]), [3, 2, 4], [0, 1, 2]),
    "reshape": (x) => lax.reshape(x, [2, 6]),
    "squeeze": (x) => lax.squeeze(lax.reshape(x, [1, 12, 1]), [0, 2]),
    "transpose": (x) => lax.transpose(x, [1, 0]),
    "slice": (x) => lax.slice(x, [0, 1], [3, 4], [2, 2]),
    "concatenate": (x) => lax.concatenate([x, x, x], 1),
    "pad": (x) => lax.pad(x, literal(2, x.dtype), [[1, -1, 0], [0, 2, 1]]),
    "rev": (x) => lax.rev(x, [0, 1]),
    "iota": (x) => lax.add(lax.convertElementType(lax.iota("int32", [3, 4], 1), x.dtype), x)
  }, () => [tensor(rng, [3, 4])]),
  ...on({ "pad of a scalar": (x) => lax.pad(x, literal(2, x.dtype), []) }, () => [tensor(rng, [])])
]

const numbers = () => (["float32", "bfloat16", ...whole] as const).map((dtype) => tensor(rng, [3, 4], dtype))
const reductions: ReadonlyArray<Lowerable> = [
  ...on({
    reduce_sum: (x) => lax.reduceSum(x, [0]),
    reduce_prod: (x) => lax.reduceProd(x, [1]),
    reduce_max: (x) => lax.reduceMax(x),
    reduce_min: (x) => lax.reduceMin(x, [1]),
    argmax: (x) => lax.argmax(x, 1),
    argmin: (x) => lax.argmin(x, 0)
  }, numbers),
  ...on({
    reduce_max: lax.reduceMax,
    reduce_min: lax.reduceMin,
    reduce_and: (x) => lax.reduceAnd(x, [0]),
    reduce_or: (x) => lax.reduceOr(x, [1])
  }, () => [tensor(rng, [3, 4], "bool")]),
  ...on({ reduce_and: (x) => lax.reduceAnd(x), reduce_or: (x) => lax.reduceOr(x, [1]) }, () => [
    tensor(rng, [3, 4], "int32"),
    tensor(rng, [3, 4], "uint8")
  ]),
  ...on({ reduce_sum: lax.reduceSum, reduce_max: lax.reduceMax }, () => [tensor(rng, [0, 2])]),
  ...on({ argmax: (x) => lax.argmax(x, 0), argmin: (x) => lax.argmin(x, 0) }, () => [
    fromValues([1, 3, 3, -1, -1], [5]),
    fromValues(special, [12]),
    fromValues([0, 1, 1, 0], [4], "bool")
  ]),
  ...on({
    cumsum: (x) => lax.cumsum(x, 1),
    "cumsum reversed": (x) => lax.cumsum(x, 0, true),
    cumprod: (x) => lax.cumprod(x, 0),
    cummax: (x) => lax.cummax(x, 1),
    cummin: (x) => lax.cummin(x, 1, true)
  }, () => [tensor(rng, [3, 4]), tensor(rng, [3, 4], "int32"), tensor(rng, [0, 4])]),
  ...on({
    cumlogsumexp: (x) => lax.cumlogsumexp(x, 1),
    "cumlogsumexp reversed": (x) => lax.cumlogsumexp(x, 0, true)
  }, () => [tensor(rng, [3, 4])]),
  ...on(
    { cumlogsumexp: (x) => lax.cumlogsumexp(x, 0) },
    () => [fromValues([-Infinity, -Infinity, 1, 2, Infinity], [5])]
  )
]

const sorts: ReadonlyArray<Lowerable> = [
  {
    name: "sort of specials",
    f: (x) => Effect.succeed(lax.sort([x], 0)),
    inputs: [fromValues(special, [12])]
  },
  {
    name: "sort by two keys, one operand carried",
    f: (x, y, z) => Effect.succeed(lax.sort([x, y, z], 1, 2)),
    inputs: [between(rng, 0, 3, [2, 8], "int32"), between(rng, 0, 3, [2, 8], "int32"), tensor(rng, [2, 8])]
  },
  { name: "top_k", f: (x) => Effect.succeed(lax.topK(x, 3)), inputs: [distinct(rng, [2, 6])] },
  { name: "top_k of integers", f: (x) => Effect.succeed(lax.topK(x, 4)), inputs: [tensor(rng, [6], "int32")] },
  { name: "top_k of none", f: (x) => Effect.succeed(lax.topK(x, 0)), inputs: [distinct(rng, [2, 6])] },
  {
    name: "threefry2x32",
    f: (...xs) => Effect.succeed(lax.threefry2x32(xs[0], xs[1], xs[2], xs[3])),
    inputs: [1, 2, 3, 4].map(() => between(rng, 0, 2 ** 32, [3, 2], "uint32"))
  }
]

const fromCase = ({ f, make, name }: Case): Lowerable => ({
  name,
  f: (...xs) => Effect.succeed(f(xs)),
  inputs: make(rng, "float32")
})

const row = tensor(rng, [3])
const rows = tensor(rng, [4, 3])
const square = tensor(rng, [3, 3])
const succeed = Effect.succeed
const doubled = nnx.jit((x: Tensor) => succeed(x.mul(2)), { name: "doubled" })
const cubed = nnx.customJvp(
  (x: Tensor) => succeed(x.mul(x).mul(x)),
  ([x], [t]) => succeed([x.mul(x).mul(x), t.mul(x).mul(x).mul(3)] as const)
)
const sine = nnx.customVjp((x: Tensor) => succeed(x.sin()), {
  fwd: (x: Tensor) => succeed([x.sin(), x] as const),
  bwd: (x: Tensor, g: Tensor) => succeed([g.mul(x.cos())] as const)
})
const step = (w: Tensor) => (c: Tensor, x: Tensor) => succeed([c.mul(w).add(x).tanh(), c.sum()] as const)
const powers = (x: Tensor) =>
  nnx.whileLoop(
    ([i]: readonly [Tensor, Tensor]) => succeed(i.lt(5)),
    ([i, y]) => succeed([i.add(1), y.mul(x)] as const),
    [nnx.Tensor.array(0), x] as const
  )
const choose = (n: Tensor, x: Tensor) =>
  nnx.switch(
    n,
    [(x: Tensor) => succeed(x.add(1)), (x: Tensor) => succeed(x.mul(x)), (x: Tensor) => succeed(x.sin())],
    x
  )
const either = (x: Tensor) =>
  nnx.cond(x.sum().gt(0), (x: Tensor) => succeed(x.mul(x)), (x: Tensor) => succeed(x.neg()), x)

const transforms: ReadonlyArray<Lowerable> = [
  {
    name: "jit, called twice",
    f: (x) => doubled(x).pipe(Effect.flatMap(doubled), Effect.map((y) => [y])),
    inputs: [row]
  },
  { name: "scan", f: (w, c, xs) => nnx.scan(step(w))(c, xs), inputs: [row, row, rows] },
  { name: "scan, reversed", f: (w, c, xs) => nnx.scan(step(w), { reverse: true })(c, xs), inputs: [row, row, rows] },
  { name: "scan over nothing", f: (w, c, xs) => nnx.scan(step(w))(c, xs), inputs: [row, row, tensor(rng, [0, 3])] },
  {
    name: "gradient of a scan",
    f: (w, c, xs) => {
      const loss = (w: Tensor) => Effect.map(nnx.scan(step(w))(c, xs), ([last, ys]) => last.sum().add(ys.sum()))
      return Effect.map(nnx.grad(loss)(w), (g) => [g])
    },
    inputs: [row, row, rows]
  },
  { name: "whileLoop with a constant", f: powers, inputs: [row] },
  {
    name: "whileLoop mapped",
    f: (x, n) => {
      const up = (x: Tensor, n: Tensor) =>
        nnx.whileLoop((y: Tensor) => succeed(y.lt(n)), (y: Tensor) => succeed(y.mul(2).add(x)), x)
      return Effect.map(nnx.vmap(up)(x, n), (y) => [y])
    },
    inputs: [between(rng, 1, 2, [3]), fromValues([10, 0, 30], [3])]
  },
  {
    name: "foriLoop",
    f: (x) =>
      Effect.map(nnx.foriLoop(0, 4, (i, y: Tensor) => succeed(y.add(x).mul(i.astype("float32"))), x), (y) => [y]),
    inputs: [row]
  },
  ...[-1, 0, 1, 7].map((n): Lowerable => ({
    name: `switch at ${n}`,
    f: (n, x) => Effect.map(choose(n, x), (y) => [y]),
    inputs: [fromValues([n], [], "int32"), row]
  })),
  { name: "cond", f: (x) => Effect.map(either(x), (y) => [y]), inputs: [row] },
  {
    name: "gradient of a cond",
    f: (x) => Effect.map(nnx.grad((x: Tensor) => Effect.map(either(x), (y) => y.sum()))(x), (g) => [g]),
    inputs: [row]
  },
  {
    name: "gradient of a remat",
    f: (x) => {
      const inner = nnx.remat((x: Tensor) => Effect.succeed(nnx.checkpointName(x.sin(), "inner").sin()))
      return Effect.map(nnx.grad((x: Tensor) => Effect.map(inner(x), (y) => y.sum()))(x), (g) => [g])
    },
    inputs: [row]
  },
  { name: "custom jvp", f: (x) => Effect.map(cubed(x), (y) => [y]), inputs: [row] },
  {
    name: "gradient of a custom jvp",
    f: (x) => Effect.map(nnx.grad((x: Tensor) => Effect.map(cubed(x), (y) => y.sum()))(x), (g) => [g]),
    inputs: [row]
  },
  { name: "custom vjp", f: (x) => Effect.map(sine(x), (y) => [y]), inputs: [row] },
  {
    name: "gradient of a custom vjp",
    f: (x) => Effect.map(nnx.grad((x: Tensor) => Effect.map(sine(x), (y) => y.sum()))(x), (g) => [g]),
    inputs: [row]
  },
  {
    name: "psum over a mapped axis",
    f: (x) => Effect.map(nnx.vmap((r: Tensor) => succeed(nnx.psum(r, "rows")), { axisName: "rows" })(x), (y) => [y]),
    inputs: [rows]
  },
  { name: "optimization_barrier", f: (x, y) => succeed(optimizationBarrier([x, y])), inputs: [row, rows] },
  { name: "random normal", f: (k) => succeed([normal(k, [4, 3])]), inputs: [fromValues([0, 42], [2], "uint32")] },
  {
    name: "softmax cross entropy of a product",
    f: (w, x) => {
      const loss = (w: Tensor) => succeed(nnx.Tensor.nn.logSoftmax(x.matmul(w)).mean().neg())
      return Effect.map(nnx.valueAndGrad(loss)(w), ([value, g]) => [value, g])
    },
    inputs: [square, rows]
  }
]

/** Everything. */
export const lowerables: ReadonlyArray<Lowerable> = [
  ...floats,
  ...bits,
  ...arithmetic,
  ...conversions,
  ...moving,
  ...reductions,
  ...sorts,
  ...[...dots, ...convolutions, ...windows, ...indexing].map(fromCase),
  ...transforms
]
