/**
 * Running sums, products, maxima, minima and log-sum-exps along an axis. A unit is a line; where lines stand side by side
 * and elements are float32, four lines. Floats run in double precision, so that long sums do not drift.
 */
import type { EquationOf } from "../../../Program/Program.ts"
import * as DTypes from "../../../Tensor/DType.ts"
import * as Shape from "../../../Tensor/Shape.ts"
import { Code, type Local } from "../assembler/index.ts"
import type { Emission, Emitted } from "../emission.ts"
import type { Irregular } from "../ir.ts"
import { Builder, isConstant } from "./Builder.ts"
import { type Combine, combine, numbersOf } from "./numbers.ts"

/** The running operations. */
export type Cumulative = "cumsum" | "cumprod" | "cummax" | "cummin" | "cumlogsumexp"

const combines: Readonly<Record<Exclude<Cumulative, "cumlogsumexp">, Combine>> = {
  cumsum: "add",
  cumprod: "mul",
  cummax: "max",
  cummin: "min"
}

/** Running operations. */
export const cumulative = (
  e: Emission,
  { inputs: [x], name, outputs: [out] }: Irregular,
  equation: EquationOf<Cumulative>
): Emitted => {
  const { axis, reverse } = equation.params
  const { shape } = equation.inputs[0].aval
  const n = shape[axis]
  const inner = Shape.size(shape.slice(axis + 1))
  const lines = out.size === 0 ? 0 : Shape.size(shape.slice(0, axis)) * inner
  const b = new Builder(e, name)
  const c = b.code
  const [source, target] = [b.address(x, "x"), b.address(out, "out")]
  const four = out.dtype === "float32" && !isConstant(x) && inner % 4 === 0 && equation.primitive !== "cumlogsumexp"
  const lanes = four ? 4 : 1
  const bytes = DTypes.byteSize(out.dtype)
  const step = (reverse ? -1 : 1) * inner * bytes
  const sourceStep = isConstant(x) ? 0 : step
  const first = c.local("i32", "first")
  const left = c.local("i32", "left")
  b.units((unit) => {
    // ((unit * lanes) / inner) * n * inner + (unit * lanes) % inner, or the same of the last element
    c.get(unit).i32(lanes).op("i32.mul").i32(inner).op("i32.div_u").i32(n * inner).op("i32.mul")
    c.get(unit).i32(lanes).op("i32.mul").i32(inner).op("i32.rem_u").op("i32.add")
    c.i32(reverse ? (n - 1) * inner : 0).op("i32.add").i32(bytes).op("i32.mul").set(first)
    const to = c.local("i32", "to")
    const from = b.copyOf(source, "from")
    c.get(target).get(first).op("i32.add").set(to)
    if (!isConstant(x)) c.get(source).get(first).op("i32.add").set(from)
    const body = four
      ? vectorStep(c, from, to, equation.primitive)
      : scalarStep(b, from, to, x.dtype, equation.primitive)
    c.i32(n).set(left)
    c.loop((again) => {
      body()
      c.get(to).i32(step).op("i32.add").set(to)
      if (sourceStep !== 0) c.get(from).i32(sourceStep).op("i32.add").set(from)
      c.get(left).i32(1).op("i32.sub").tee(left).brIf(again)
    })
  })
  const perElement = equation.primitive === "cumlogsumexp" ? 30 : four ? 0.7 : 2
  return b.emitted(lines / lanes, out.size * perElement)
}

/** Four lines of float32 at once; the instructions of one step. Begins with what changes nothing. */
const vectorStep = (c: Code, from: Local, to: Local, primitive: Cumulative): () => void => {
  if (primitive === "cumlogsumexp") throw new Error("log-sum-exps run one line at a time")
  const how = combines[primitive]
  const start = { add: 0, mul: 1, max: -Infinity, min: Infinity }[how]
  const low = c.local("v128", "low")
  const high = c.local("v128", "high")
  const x = c.local("v128", "x")
  for (const half of [low, high]) c.f64(start).op("f64x2.splat").set(half)
  return () => {
    c.get(from).load("v128.load").set(x)
    c.get(low).get(x).op("f64x2.promote_low_f32x4").op(`f64x2.${how}`).set(low)
    c.get(high).get(x).get(x).shuffle([8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15])
    c.op("f64x2.promote_low_f32x4").op(`f64x2.${how}`).set(high)
    c.get(to).get(low).op("f32x4.demote_f64x2_zero").get(high).op("f32x4.demote_f64x2_zero")
    c.shuffle([0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23]).store("v128.store")
  }
}

/** One line; the instructions of one step. */
const scalarStep = (
  b: Builder,
  from: Local,
  to: Local,
  dtype: DTypes.DType,
  primitive: Cumulative
): () => void => {
  const c = b.code
  const numbers = numbersOf(b.emission, dtype)
  if (numbers.type === "i32") {
    if (primitive === "cumlogsumexp") throw new Error("log-sum-exps are of floats")
    const how = combines[primitive]
    const running = c.local("i32", "running")
    const limits = DTypes.iinfo(dtype)
    c.i32({ add: 0, mul: 1, max: limits.min, min: limits.max }[how]).set(running)
    return () => {
      c.get(running)
      numbers.load(c.get(from))
      combine(c, numbers, how).set(running)
      numbers.store(c.get(to).get(running))
    }
  }
  const running = c.local("f64", "running")
  const start = { cumsum: 0, cumprod: 1, cummax: -Infinity, cummin: Infinity, cumlogsumexp: -Infinity }[primitive]
  c.f64(start).set(running)
  return () => {
    c.get(running)
    numbers.load(c.get(from)).op("f64.promote_f32")
    if (primitive === "cumlogsumexp") c.call(b.emission.module.once("log_add_exp", logAddExp))
    else c.op(`f64.${combines[primitive]}`)
    c.set(running)
    numbers.store(c.get(to).get(running).op("f32.demote_f64"))
  }
}

/** Pushes a polynomial in a local, by Horner's rule; the highest coefficient comes first. */
const horner = (c: Code, x: Local, coefficients: ReadonlyArray<number>): void =>
  coefficients.forEach((coefficient, i) => {
    if (i > 0) c.get(x).op("f64.mul")
    c.f64(coefficient)
    if (i > 0) c.op("f64.add")
  })

/**
 * log(e^a + e^b) = top + log1p(e^(low - top)), in double precision to about 1e-12. With d = low - top in [-40, 0], e^d is
 * (e^(d/64))^64, whose inner power is a Taylor polynomial; log1p(u) = 2 atanh(u / (2 + u)), a series in at most 1/9.
 */
const logAddExp = (): Code => {
  const c = new Code([["a", "f64"], ["b", "f64"]], ["f64"])
  const [a, b] = c.params
  const top = c.local("f64", "top")
  const d = c.local("f64", "d")
  const u = c.local("f64", "u")
  const s = c.local("f64", "s")
  c.get(a).get(b).op("f64.max").tee(top)
  // Infinities stay; nan is not equal to itself, and goes through the arithmetic.
  c.get(top).op("f64.abs").f64(Infinity).op("f64.eq").if(() => c.get(top).op("return"))
  c.get(a).get(b).op("f64.min").get(top).op("f64.sub").tee(d).f64(-40).op("f64.lt").if(() => c.get(top).op("return"))
  c.get(d).f64(1 / 64).op("f64.mul").set(d)
  horner(c, d, [1 / 362880, 1 / 40320, 1 / 5040, 1 / 720, 1 / 120, 1 / 24, 1 / 6, 1 / 2, 1, 1])
  c.set(u)
  for (let k = 0; k < 6; k++) c.get(u).get(u).op("f64.mul").set(u)
  c.get(u).get(u).f64(2).op("f64.add").op("f64.div").tee(u).get(u).op("f64.mul").set(s)
  horner(c, s, [1 / 25, 1 / 23, 1 / 21, 1 / 19, 1 / 17, 1 / 15, 1 / 13, 1 / 11, 1 / 9, 1 / 7, 1 / 5, 1 / 3, 1])
  return c.get(u).op("f64.mul").f64(2).op("f64.mul").op("f64.add")
}
