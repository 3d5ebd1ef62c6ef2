// What a Program may give, element by element: an interval evaluator. Every operation is evaluated in doubles at the ends
// of the intervals that its operands have, and the result is widened by what rounding and the backend's approximations may
// add. So the tolerance of each element follows from the condition of all that was computed before it: a difference of
// large numbers has a wide interval, a copy none at all, and where a comparison may go either way, both results count.
import { type Atom, type Equation, type Program, subPrograms, type Var } from "../../../src/Program/Program.ts"
import type { DType } from "../../../src/Tensor/DType.ts"
import type { ShapedArray } from "../../../src/Tensor/ShapedArray.ts"
import { argBest, dot, endwise, exactly, linearly, reduced, running } from "./combining.ts"
import { elementwise } from "./elementwise.ts"
import { type Enclosure, exact, hold, isAnything, isExact, unknown } from "./values.ts"

export { type Enclosure, exact } from "./values.ts"

const isSure = (x: Enclosure): boolean => x.lo === x.hi

/** Is it known of every element whether it is nan? Only then do both ends tell the least or the largest of some. */
const isClear = (x: Enclosure): boolean => x.lo.every((a, i) => !isAnything(a, x.hi[i]))

const unknowns = (avals: ReadonlyArray<ShapedArray>): ReadonlyArray<Enclosure> =>
  avals.map((aval) => unknown(aval.shape, aval.dtype))

/** Loops that go on for longer are given up. */
const longest = 200

/** What the Program's outputs may be. */
export const enclose = (program: Program, inputs: ReadonlyArray<Enclosure>): ReadonlyArray<Enclosure> => {
  const env = new Map<Var, Enclosure>(program.inputs.map((v, i) => [v, inputs[i]]))
  const read = (x: Atom): Enclosure => {
    if (x._tag === "Literal") return exact([], x.aval.dtype, [hold(x.value, x.aval.dtype)])
    const value = env.get(x)
    if (value === undefined) throw new Error("a Program uses a variable before it is defined")
    return value
  }
  for (const equation of program.equations) {
    const made = apply(equation, equation.inputs.map(read))
    equation.outputs.forEach((v, i) => env.set(v, made[i]))
  }
  return program.outputs.map(read)
}

const apply = (equation: Equation, xs: ReadonlyArray<Enclosure>): ReadonlyArray<Enclosure> => {
  const [x] = xs
  const out = equation.outputs[0]?.aval
  const { primitive } = equation
  switch (primitive) {
    case "jit":
    case "checkpoint":
    case "custom_jvp_call":
    case "custom_vjp_call":
      return enclose(subPrograms(equation)[0], xs)
    case "optimization_barrier":
      return xs
    case "scan":
      return scan(equation, xs)
    case "while":
      return whileLoop(equation, xs)
    case "cond": {
      const { branches } = equation.params
      if (!isSure(x)) return unknowns(equation.outputs.map((v) => v.aval))
      return enclose(branches[Math.max(0, Math.min(x.lo[0], branches.length - 1))], xs.slice(1))
    }
    case "reduce_sum":
    case "reduce_prod":
    case "reduce_max":
    case "reduce_min":
    case "reduce_and":
    case "reduce_or":
      return [reduced(primitive.slice(7), x, equation.params.axes, out)]
    case "argmax":
    case "argmin":
      return [argBest(x, equation.params.axes[0], primitive === "argmax", out)]
    case "cumsum":
    case "cumprod":
    case "cummax":
    case "cummin":
    case "cumlogsumexp":
      return [running(primitive.slice(3), x, equation.params.axis, equation.params.reverse)]
    case "dot_general":
      return [dot(equation, x, xs[1])]
    case "conv_general_dilated":
      return linearly(equation, xs, true, xs[1].lo.length + 2)
    case "reduce_window_sum":
      return linearly(equation, xs, false, equation.params.window_dimensions.reduce((a, b) => a * b, 1))
    case "select_and_scatter_add":
    case "select_and_gather_add":
      return linearly(equation, xs, false, equation.params.window_dimensions.reduce((a, b) => a * b, 1))
    case "gather":
      return isSure(xs[1]) ? endwise(equation, xs) : unknowns([out])
    case "dynamic_slice":
      return xs.slice(1).every(isSure) ? endwise(equation, xs) : unknowns([out])
    case "dynamic_update_slice":
      return xs.slice(2).every(isSure) ? endwise(equation, xs) : unknowns([out])
    case "reduce_window_max":
    case "reduce_window_min":
      return isClear(x) ? endwise(equation, xs) : unknowns([out])
    case "scatter":
    case "scatter_min":
    case "scatter_max": {
      const known = primitive === "scatter" || (isClear(x) && isClear(xs[2]))
      const hasNan = xs.some((v) => v.lo.some(Number.isNaN))
      return isSure(xs[1]) && known && !hasNan ? endwise(equation, xs) : unknowns([out])
    }
    case "scatter_add": {
      if (!isSure(xs[1])) return unknowns([out])
      const [lo] = endwise(equation, xs)
      const [size] = endwise(equation, [magnitude(x), xs[1], magnitude(xs[2])])
      return [around(lo, size, xs[2].lo.length)]
    }
    case "scatter_mul":
      return exactly(equation, xs, xs[2]?.lo.length ?? 1)
    case "sort":
      return xs.every(isClear) && xs.length === 1 && equation.params.num_keys === 1 ||
          xs.slice(0, equation.params.num_keys).every(isSure)
        ? endwise(equation, xs)
        : unknowns(equation.outputs.map((v) => v.aval))
    case "top_k":
      if (x.lo.some((a, i) => Number.isNaN(a) || isAnything(a, x.hi[i]))) {
        return unknowns(equation.outputs.map((v) => v.aval))
      }
      return endwise(equation, xs).map((y, i) => i === 1 && !isSure(x) ? unknowns([equation.outputs[1].aval])[0] : y)
    case "threefry2x32":
      return exactly(equation, xs, 0)
    case "debug_callback":
      return []
    case "iota": {
      const [{ lo }] = endwise(equation, xs)
      return [exact(out.shape, out.dtype, lo.map((n) => hold(n, out.dtype)))]
    }
    default:
      return [elementwise(equation, xs) ?? structural(equation, xs, out)]
  }
}

const structural = (equation: Equation, xs: ReadonlyArray<Enclosure>, out: ShapedArray): Enclosure => {
  const fast = equation.primitive === "reshape" || equation.primitive === "squeeze"
  return fast ? { ...xs[0], shape: out.shape } : endwise(equation, xs)[0]
}

const magnitude = (x: Enclosure): Enclosure => {
  const data = x.lo.map((a, i) => Math.max(Math.abs(a), Math.abs(x.hi[i])))
  return exact(x.shape, x.dtype, data)
}

const around = (x: Enclosure, size: Enclosure, terms: number): Enclosure => {
  const float = x.dtype === "float32"
    ? 2 ** -24
    : x.dtype === "float16"
    ? 2 ** -11
    : x.dtype === "bfloat16"
    ? 2 ** -8
    : 0
  if (float === 0) return isSure(x) && size.lo.every((s) => s < 2 ** 53) ? wrapped(x) : unknown(x.shape, x.dtype)
  const slack = size.lo.map((s) => (terms + 1) * float * s)
  return {
    ...x,
    lo: x.lo.map((a, i) => size.lo[i] > 1e38 || Number.isNaN(slack[i]) ? -Infinity : a - slack[i]),
    hi: x.hi.map((a, i) => size.lo[i] > 1e38 || Number.isNaN(slack[i]) ? Infinity : a + slack[i])
  }
}

const whole: Readonly<Partial<Record<DType, (x: number) => number>>> = {
  int32: (x) => x | 0,
  uint32: (x) => x >>> 0,
  int8: (x) => (x << 24) >> 24,
  uint8: (x) => x & 255
}

const wrapped = (x: Enclosure): Enclosure => {
  const f = whole[x.dtype] ?? ((v: number) => v)
  return exact(x.shape, x.dtype, x.lo.map(f))
}

const rowOf = (x: Enclosure, i: number): Enclosure => {
  const shape = x.shape.slice(1)
  const n = shape.reduce((a, b) => a * b, 1)
  const lo = x.lo.slice(i * n, (i + 1) * n)
  return { shape, dtype: x.dtype, lo, hi: isSure(x) ? lo : x.hi.slice(i * n, (i + 1) * n) }
}

const scan = (
  equation: Extract<Equation, { primitive: "scan" }>,
  xs: ReadonlyArray<Enclosure>
): ReadonlyArray<Enclosure> => {
  const { length, num_carry: carries, num_consts: consts, program, reverse } = equation.params
  let carry: ReadonlyArray<Enclosure> = xs.slice(consts, consts + carries)
  const ys: Array<ReadonlyArray<Enclosure>> = []
  for (let k = 0; k < length; k++) {
    const i = reverse ? length - 1 - k : k
    const rows = xs.slice(consts + carries).map((x) => rowOf(x, i))
    const made = enclose(program, [...xs.slice(0, consts), ...carry, ...rows])
    carry = made.slice(0, carries)
    ys[i] = made.slice(carries)
  }
  const stacked = equation.outputs.slice(carries).map(({ aval }, j): Enclosure => {
    const lo = ys.flatMap((row) => row[j].lo)
    const sure = ys.every((row) => isSure(row[j]))
    return { shape: aval.shape, dtype: aval.dtype, lo, hi: sure ? lo : ys.flatMap((row) => row[j].hi) }
  })
  return [...carry, ...stacked]
}

const whileLoop = (
  equation: Extract<Equation, { primitive: "while" }>,
  xs: ReadonlyArray<Enclosure>
): ReadonlyArray<Enclosure> => {
  const { body, body_consts: bodyConsts, cond, cond_consts: condConsts } = equation.params
  let carry: ReadonlyArray<Enclosure> = xs.slice(condConsts + bodyConsts)
  for (let k = 0; k < longest; k++) {
    const [holds] = enclose(cond, [...xs.slice(0, condConsts), ...carry])
    if (!isExact(holds.lo[0], holds.hi[0])) break
    if (holds.lo[0] === 0) return carry
    carry = enclose(body, [...xs.slice(condConsts, condConsts + bodyConsts), ...carry])
  }
  return unknowns(equation.outputs.map((v) => v.aval))
}
