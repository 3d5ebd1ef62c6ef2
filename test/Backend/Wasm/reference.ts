// What kernels mean: a plain evaluator of the kernel language on numbers. Every operation is done in doubles and rounded
// or wrapped to its dtype; sums are added up in doubles.
import * as special from "../../../src/Backend/Tfjs/Cpu/special.ts"
import type { Buffer, Expression, Loop, Op, Reduction, Store } from "../../../src/Backend/Wasm/ir.ts"
import * as DType from "../../../src/Tensor/DType.ts"
import { decode, encode, nearest } from "../../../src/Tensor/float16.ts"

/** A number as a dtype has it: floats rounded, integers wrapped, bools 0 or 1. */
export const hold = (x: number, dtype: DType.DType): number => {
  if (DType.isFloat(dtype)) return nearest(Math.fround(x), dtype)
  if (dtype === "bool") return x === 0 ? 0 : 1
  const data = DType.allocate(dtype, 1)
  data[0] = x
  return data[0]
}

const f = Math.fround

/** Halves to the even neighbour; zeros keep their sign. */
const roundEven = (x: number): number => {
  const r = Math.round(x)
  return r - x === 0.5 && r % 2 !== 0 ? r - 1 : x < 0 && r === 0 ? -0 : r
}

const signed = (x: number, bits: number) => (x << (32 - bits)) >> (32 - bits)
const unsigned = (x: number, bits: number) => bits === 32 ? x >>> 0 : x & (2 ** bits - 1)
const isFar = (by: number, bits: number) => by < 0 || by >= bits

const population = (x: number): number => {
  let n = 0
  for (let rest = x >>> 0; rest !== 0; rest >>>= 1) n += rest & 1
  return n
}

const rotations = [[13, 15, 26, 6], [17, 29, 16, 24]]

const threefry = (keys: ReadonlyArray<number>, x0: number, x1: number): readonly [number, number] => {
  let a = (x0 + keys[0]) | 0
  let b = (x1 + keys[1]) | 0
  for (let group = 0; group < 5; group++) {
    for (const r of rotations[group % 2]) {
      a = (a + b) | 0
      b = ((b << r) | (b >>> (32 - r))) ^ a
    }
    a = (a + keys[(group + 1) % 3]) | 0
    b = (b + keys[(group + 2) % 3] + group + 1) | 0
  }
  return [a, b]
}

const block = (key0: number, key1: number, x0: number, x1: number) =>
  threefry([key0, key1, key0 ^ key1 ^ 0x1bd11bda], x0, x1)

const nextafter = (x: number, y: number, dtype: DType.DType): number => {
  const half = dtype === "float16" || dtype === "bfloat16"
  const word = new DataView(new ArrayBuffer(4))
  const toBits = (v: number): number => {
    if (half) return encode(v, dtype)
    word.setFloat32(0, v)
    return word.getUint32(0)
  }
  const fromBits = (bits: number): number => {
    if (half) return decode(bits, dtype)
    word.setUint32(0, bits)
    return word.getFloat32(0)
  }
  if (Number.isNaN(x) || Number.isNaN(y)) return Number.NaN
  if (x === y) return y
  if (x === 0) return fromBits(1) * Math.sign(y)
  return fromBits(toBits(x) + (x < y === x > 0 ? 1 : -1))
}

type Meaning = (args: ReadonlyArray<number>, dtype: DType.DType) => number
const one = (g: (x: number) => number): Meaning => ([x]) => g(x)
const two = (g: (x: number, y: number) => number): Meaning => ([x, y]) => g(x, y)

/** Operations on numbers; the dtype is that of the arguments. */
export const meanings: { readonly [K in Op]: Meaning } = {
  neg: one((x) => -x),
  sign: one(Math.sign),
  abs: one(Math.abs),
  floor: one(Math.floor),
  ceil: one(Math.ceil),
  round: one(roundEven),
  square: ([x], dtype) => DType.isFloat(dtype) ? x * x : Math.imul(x, x),
  exp: one(Math.exp),
  exp2: one((x) => 2 ** x),
  expm1: one(Math.expm1),
  log: one(Math.log),
  log1p: one(Math.log1p),
  sqrt: one(Math.sqrt),
  rsqrt: one((x) => 1 / f(Math.sqrt(x))),
  cbrt: one(Math.cbrt),
  sin: one(Math.sin),
  cos: one(Math.cos),
  tan: one(Math.tan),
  asin: one(Math.asin),
  acos: one(Math.acos),
  atan: one(Math.atan),
  sinh: one(Math.sinh),
  cosh: one(Math.cosh),
  tanh: one(Math.tanh),
  asinh: one(Math.asinh),
  acosh: one(Math.acosh),
  atanh: one(Math.atanh),
  logistic: one((x) => x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x))),
  erf: one(special.erf),
  erfc: one(special.erfc),
  erf_inv: one(special.erfInv),
  lgamma: one(special.lgamma),
  digamma: one(special.digamma),
  is_finite: one((x) => Number(Number.isFinite(x))),
  not: ([x], dtype) => dtype === "bool" ? 1 - x : ~x,
  population_count: ([x], dtype) => population(unsigned(x, DType.bits(dtype))),
  clz: ([x], dtype) => Math.clz32(unsigned(x, DType.bits(dtype))) - (32 - DType.bits(dtype)),
  add: two((x, y) => x + y),
  sub: two((x, y) => x - y),
  mul: ([x, y], dtype) => DType.isFloat(dtype) ? x * y : Math.imul(x, y),
  div: ([x, y], dtype) => DType.isFloat(dtype) ? x / y : y === 0 ? -1 : Math.trunc(x / y),
  rem: ([x, y], dtype) => DType.isFloat(dtype) ? x % y : y === 0 ? x : x % y,
  pow: two((x, y) => x === 1 || (x === -1 && Math.abs(y) === Infinity) ? 1 : x ** y),
  max: two(Math.max),
  min: two(Math.min),
  atan2: two(Math.atan2),
  nextafter: ([x, y], dtype) => nextafter(x, y, dtype),
  and: two((x, y) => x & y),
  or: two((x, y) => x | y),
  xor: two((x, y) => x ^ y),
  shift_left: ([x, by], dtype) => isFar(by, DType.bits(dtype)) ? 0 : x << by,
  shift_right_arithmetic: ([x, by], dtype) => {
    const bits = DType.bits(dtype)
    return signed(x, bits) >> (isFar(by, bits) ? 31 : by)
  },
  shift_right_logical: ([x, by], dtype) => {
    const bits = DType.bits(dtype)
    return isFar(by, bits) ? 0 : unsigned(x, bits) >>> by
  },
  eq: two((x, y) => Number(x === y)),
  ne: two((x, y) => Number(x !== y)),
  lt: two((x, y) => Number(x < y)),
  le: two((x, y) => Number(x <= y)),
  gt: two((x, y) => Number(x > y)),
  ge: two((x, y) => Number(x >= y)),
  clamp: ([low, x, high]) => Math.min(Math.max(x, low), high),
  select: ([condition, yes, no]) => condition === 0 ? no : yes,
  threefry_0: ([key0, key1, x0, x1]) => block(key0, key1, x0, x1)[0],
  threefry_1: ([key0, key1, x0, x1]) => block(key0, key1, x0, x1)[1]
}

/** A number of one dtype as another. */
export const convert = (x: number, from: DType.DType, to: DType.DType): number => {
  if (to === "bool") return Number(x !== 0)
  if (!DType.isFloat(from) || DType.isFloat(to)) return hold(x, to)
  const { max, min } = DType.iinfo(to)
  return Number.isNaN(x) ? 0 : Math.min(Math.max(Math.trunc(x), min), max)
}

/** The bits of a number as another dtype of the same width. */
export const bitcast = (x: number, from: DType.DType, to: DType.DType): number => {
  const data = DType.allocate(from, 1)
  data[0] = encode(x, from)
  const view = DType.allocate(to, 1)
  new Uint8Array(view.buffer).set(new Uint8Array(data.buffer))
  return decode(view[0], to)
}

const combines: Readonly<Record<Reduction["combine"], (a: number, b: number, dtype: DType.DType) => number>> = {
  sum: (a, b, dtype) => DType.isFloat(dtype) ? a + b : hold(a + b, dtype),
  prod: (a, b, dtype) => DType.isFloat(dtype) ? a * b : hold(Math.imul(a, b), dtype),
  max: (a, b) => Math.max(a, b),
  min: (a, b) => Math.min(a, b),
  and: (a, b, dtype) => hold(a & b, dtype),
  or: (a, b, dtype) => hold(a | b, dtype)
}

const identity = (combine: Reduction["combine"], dtype: DType.DType): number => {
  switch (combine) {
    case "sum":
    case "or":
      return 0
    case "prod":
      return 1
    case "max":
      return DType.lowest(dtype)
    case "min":
      return DType.highest(dtype)
    case "and":
      return hold(-1, dtype)
  }
}

/** The elements of buffers. */
export type Memory = ReadonlyMap<Buffer, Array<number>>

const elements = (memory: Memory, buffer: Buffer): Array<number> => {
  const found = memory.get(buffer)
  if (found === undefined) throw new Error(`no memory for ${buffer.name}`)
  return found
}

/** The value of an expression at an index. */
const evaluate = (
  root: Expression,
  index: ReadonlyArray<number>,
  memory: Memory,
  reduced: ReadonlyMap<Reduction, number>,
  product: number | undefined
): number => {
  const known = new Map<Expression, number>()
  const place = (at: { readonly offset: number; readonly strides: ReadonlyArray<number> }) =>
    at.strides.reduce((sum, stride, k) => sum + stride * index[k], at.offset)
  const value = (e: Expression): number => {
    const found = known.get(e)
    if (found !== undefined) return found
    const x = compute(e)
    known.set(e, x)
    return x
  }
  const power = (x: number, y: number, dtype: DType.DType): number => {
    let result = 1
    for (let k = 0; k < Math.abs(y); k++) result = DType.isFloat(dtype) ? result * x : Math.imul(result, x)
    return hold(y < 0 ? 1 / result : result, dtype)
  }
  const compute = (e: Expression): number => {
    switch (e._tag) {
      case "Load":
        return elements(memory, e.buffer)[place(e.at)]
      case "LoadAt":
        return elements(memory, e.buffer)[value(e.index)]
      case "Constant":
        return hold(e.value, e.dtype)
      case "Index":
        return place(e.at)
      case "Apply": {
        const dtype = e.args[e.op === "select" ? 1 : 0].dtype
        return hold(meanings[e.op](e.args.map(value), dtype), e.dtype)
      }
      case "Power":
        return power(value(e.x), e.y, e.dtype)
      case "Convert":
        return convert(value(e.x), e.x.dtype, e.dtype)
      case "Bitcast":
        return bitcast(value(e.x), e.x.dtype, e.dtype)
      case "Reduced":
        return hold(reduced.get(e.reduction) ?? Number.NaN, e.dtype)
      case "Product":
        return product ?? Number.NaN
    }
  }
  return value(root)
}

/** All indices of a shape, row-major. */
export const indices = (shape: ReadonlyArray<number>): ReadonlyArray<ReadonlyArray<number>> =>
  shape.reduce<ReadonlyArray<ReadonlyArray<number>>>(
    (heads, n) => heads.flatMap((head) => Array.from({ length: n }, (_, k) => [...head, k])),
    [[]]
  )

const write = (
  stores: ReadonlyArray<Store>,
  index: ReadonlyArray<number>,
  memory: Memory,
  reduced: ReadonlyMap<Reduction, number>,
  product?: number
): void => {
  const values = stores.map(({ value }) => evaluate(value, index, memory, reduced, product))
  stores.forEach(({ at, buffer }, k) => {
    elements(memory, buffer)[at.strides.reduce((sum, stride, d) => sum + stride * index[d], at.offset)] = values[k]
  })
}

/** Runs a loop. */
export const runLoop = (loop: Loop, memory: Memory): void => {
  for (const outer of indices(loop.outer)) {
    const reduced = new Map<Reduction, number>()
    for (const stage of loop.stages) {
      if (stage._tag === "Close") write(stage.stores, outer, memory, reduced)
      else if (stage._tag === "Map") {
        for (const inner of indices(loop.inner)) write(stage.stores, [...outer, ...inner], memory, reduced)
      } else {
        let sum = identity(stage.combine, stage.dtype)
        for (const inner of indices(loop.inner)) {
          const x = evaluate(stage.value, [...outer, ...inner], memory, reduced, undefined)
          sum = combines[stage.combine](sum, x, stage.dtype)
        }
        reduced.set(stage, hold(sum, stage.dtype))
      }
    }
  }
}

/** Runs an epilogue over a rectangle of a dense result. */
export const runTile = (
  out: Buffer,
  stores: ReadonlyArray<Store>,
  shape: ReadonlyArray<number>,
  rectangle: { readonly b: number; readonly i: readonly [number, number]; readonly j: readonly [number, number] },
  memory: Memory
): void => {
  const batch = indices(shape.slice(0, -2))[rectangle.b]
  const [m, n] = shape.slice(-2)
  for (let i = rectangle.i[0]; i < rectangle.i[1]; i++) {
    for (let j = rectangle.j[0]; j < rectangle.j[1]; j++) {
      const product = elements(memory, out)[(rectangle.b * m + i) * n + j]
      write(stores, [...batch, i, j], memory, new Map(), product)
    }
  }
}
