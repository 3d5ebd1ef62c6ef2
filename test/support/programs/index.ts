// Random Programs with inputs for them: the operations of `operations.ts`, inside of loops and branches too, some of the
// results as outputs, and some of these in the place of inputs.
import type { Alias } from "../../../src/Backend/Backend.ts"
import * as control from "../../../src/Program/control.ts"
import type { Program } from "../../../src/Program/Program.ts"
import * as DTypes from "../../../src/Tensor/DType.ts"
import { decode, encode } from "../../../src/Tensor/float16.ts"
import * as lax from "../../../src/Tensor/lax/index.ts"
import * as ShapedArray from "../../../src/Tensor/ShapedArray.ts"
import { literal, type Tensor } from "../../../src/Tensor/Tensor.ts"
import { type Random, random } from "../arbitrary.ts"
import { avalOf, dtypeOf, paletteOf, Pool, shapeOf, sizeOf, traced, weighted } from "./generator.ts"
import { type Operation, operations } from "./operations.ts"

/** A Program, elements for its inputs, and which outputs take the place of which inputs. */
export interface Sample {
  readonly seed: number
  readonly program: Program
  readonly inputs: ReadonlyArray<DTypes.TypedArray>
  readonly aliases: ReadonlyArray<Alias>
}

/** Some operations on what a body is given; then the outputs are picked from all. */
const body = (pool: Pool, count: number): void => {
  for (let i = 0; i < count; i++) {
    const all = pool.depth < 2 ? [...operations, ...controls] : operations
    weighted(pool.rng, all)(pool)
  }
}

/** A body's results with these avals. */
const resultsLike = (pool: Pool, avals: ReadonlyArray<ShapedArray.ShapedArray>): ReadonlyArray<Tensor> =>
  avals.map((aval) => pool.like(aval.shape, aval.dtype))

const inner = (pool: Pool, args: ReadonlyArray<Tensor>): Pool => {
  // What is captured of the outside are its small arrays.
  const outside = pool.all.filter((x) => x.size <= 300).slice(-4)
  return new Pool(pool.rng, pool.palette, [...outside, ...args], pool.depth + 1)
}

const scan: Operation = (pool) => {
  const { rng } = pool
  const xs = pool.all.filter((x) => x.ndim > 0 && x.size <= 600 && x.shape[0] <= 6)
  const first = xs.length > 0 && pool.chance(0.8) ? rng.pick(xs) : undefined
  const length = first?.shape[0] ?? rng.integer(0, 4)
  const rows = first === undefined ? [] : xs.filter((x) => x.shape[0] === length).slice(-2)
  const carries = Array.from({ length: rng.integer(0, 4) }, () => pool.find((x) => x.size <= 300)).filter((x) =>
    x !== undefined
  )
  const args = [...carries.map(avalOf), ...rows.map((x) => ShapedArray.make(x.shape.slice(1), x.dtype))]
  const { captures, program } = traced(args, (given) => {
    const own = inner(pool, given)
    body(own, rng.integer(1, 5))
    const next = resultsLike(own, carries.map(avalOf))
    const ys = Array.from(
      { length: rng.integer(carries.length === 0 ? 1 : 0, 3) },
      () => own.find((x) => x.size <= 200)
    )
    return [...next, ...ys.filter((x) => x !== undefined)]
  })
  if (program.outputs.length === 0) return false
  const params = {
    program,
    length,
    reverse: pool.chance(0.4),
    num_consts: captures.length,
    num_carry: carries.length,
    unroll: 1
  }
  return pool.add(...control.scan(params, [...captures, ...carries, ...rows]).outputs)
}

/** Counts up to a few; sometimes stops before, by what it computes. */
const whileLoop: Operation = (pool) => {
  const { rng } = pool
  const carries = [pool.find((x) => x.size <= 300), pool.find((x) => x.size <= 300)].filter((x) => x !== undefined)
  const avals = [ShapedArray.make([], "int32"), ...carries.map(avalOf)]
  const limit = rng.integer(0, 6)
  const condition = traced(avals, ([count, ...given]) => {
    const goes = lax.lt(count, literal(limit, "int32"))
    const number = given.find((x) => DTypes.isFloat(x.dtype))
    if (number === undefined || pool.chance(0.7)) return [goes]
    const size = lax.reduceMax(lax.abs(number), number.shape.map((_, i) => i))
    return [lax.and(goes, lax.lt(size, literal(1e6, size.dtype)))]
  })
  const { captures, program } = traced(avals, ([count, ...given]) => {
    const own = inner(pool, [count, ...given])
    body(own, rng.integer(1, 4))
    return [lax.add(count, literal(1, "int32")), ...resultsLike(own, carries.map(avalOf))]
  })
  const start = literal(0, "int32")
  const params = {
    cond: condition.program,
    body: program,
    cond_consts: condition.captures.length,
    body_consts: captures.length
  }
  return pool.add(...control.whileLoop(params, [...condition.captures, ...captures, start, ...carries]).outputs)
}

const branch: Operation = (pool) => {
  const { rng } = pool
  const index = pool.chance(0.5) ? literal(rng.integer(-1, 4), "int32") : pool.like([], "int32")
  const operands = [pool.find((x) => x.size <= 600), pool.find((x) => x.size <= 600)].filter((x) => x !== undefined)
  const avals = operands.map(avalOf)
  const results = [
    ...avals.slice(0, 1),
    ShapedArray.make(shapeOf(rng, pool.palette, rng.integer(0, 3)), dtypeOf(rng))
  ]
  const made = Array.from({ length: rng.integer(1, 4) }, () =>
    traced(avals, (given) => {
      const own = new Pool(rng, pool.palette, given, pool.depth + 1)
      body(own, rng.integer(0, 4))
      return resultsLike(own, results)
    }))
  if (made.some(({ captures }) => captures.length > 0)) return false
  return pool.add(...control.cond(index, made.map(({ program }) => program), operands).outputs)
}

const call: Operation = (pool) => {
  const operands = [pool.find(), pool.find()].filter((x) => x !== undefined)
  const { captures, program } = traced(operands.map(avalOf), (given) => {
    const own = inner(pool, given)
    body(own, pool.rng.integer(1, 5))
    return own.all.slice(-2)
  })
  return pool.add(...control.call("inner", program, [...captures, ...operands]).outputs)
}

const controls: ReadonlyArray<readonly [Operation, number]> = [[scan, 3], [whileLoop, 2], [branch, 3], [call, 1]]

const special = [
  Number.NaN,
  Infinity,
  -Infinity,
  0,
  -0,
  1e-40,
  -1e-45,
  3e38,
  -3e38,
  1e-30,
  1,
  -1,
  2 ** 31,
  -(2 ** 31),
  65504,
  1e6,
  0.5,
  2.5,
  -3.5
]

/** Elements of an input: most small, in some Programs the extremes of the dtype. */
export const elements = (
  rng: Random,
  { dtype, shape }: ShapedArray.ShapedArray,
  extremes: boolean
): DTypes.TypedArray => {
  const data = DTypes.allocate(dtype, sizeOf(shape))
  const isFloat = DTypes.isFloat(dtype)
  const { max, min } = isFloat || dtype === "bool" ? { max: 1, min: 0 } : DTypes.iinfo(dtype)
  const whole = () => {
    if (dtype === "bool") return rng.integer(0, 2)
    if (extremes && rng.uniform() < 0.2) return rng.pick([min, max, min + 1, max - 1, 0])
    return rng.integer(DTypes.isUnsigned(dtype) ? 0 : -5, 8)
  }
  const number = () => extremes && rng.uniform() < 0.1 ? rng.pick(special) : rng.normal()
  for (let i = 0; i < data.length; i++) data[i] = encode(isFloat ? number() : whole(), dtype)
  return data
}

/** The elements of host memory as numbers. */
export const numbersOf = (data: DTypes.TypedArray, dtype: DTypes.DType): ReadonlyArray<number> =>
  Array.from(data, (x) => decode(x, dtype))

/** How to make a sample smaller. */
export interface Limits {
  /** At most so many operations at the top. */
  readonly operations?: number
}

/** The Program of a seed. */
export const sample = (seed: number, { operations: limit = Infinity }: Limits = {}): Sample => {
  const rng = random(Math.imul(seed, 0x9e3779b1))
  const palette = paletteOf(rng)
  const extremes = rng.uniform() < 0.15
  const count = rng.integer(1, 5)
  const avals = Array.from({ length: count }, () => ShapedArray.make(shapeOf(rng, palette), dtypeOf(rng)))
  const inputs = avals.map((aval) => elements(rng, aval, extremes))
  const steps = rng.integer(1, 16)
  const { program } = traced(avals, (args) => {
    const pool = new Pool(rng, palette, args, 0)
    body(pool, Math.min(steps, limit))
    // A short Program shows all that it computed.
    if (limit < steps) return pool.all.slice(-6)
    const made = pool.all.slice(args.length)
    const picked = Array.from({ length: rng.integer(1, 5) }, () => rng.pick(made.length > 0 ? made : pool.all))
    return [...pool.all.slice(-1), ...picked, ...rng.uniform() < 0.1 ? [rng.pick(args)] : []]
  })
  const aliases: Array<Alias> = []
  const choose = random(seed + 1)
  program.outputs.forEach((output, i) => {
    const input = program.inputs.findIndex((v, j) =>
      v.aval.dtype === output.aval.dtype && v.aval.shape.join() === output.aval.shape.join() &&
      aliases.every(([, other]) => other !== j)
    )
    if (input >= 0 && choose.uniform() < 0.6) aliases.push([i, input])
  })
  return { seed, program, inputs, aliases }
}
