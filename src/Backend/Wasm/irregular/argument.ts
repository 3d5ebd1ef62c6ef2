/**
 * The index of the first largest or smallest element along an axis, the first nan being best of all. A unit is a line;
 * where lines stand side by side and elements have four bytes, four lines. A line of float32 that stands alone is read
 * twice: for its best element, four at a time, and for the first place where that is.
 */
import type { EquationOf } from "../../../Program/Program.ts"
import * as Shape from "../../../Tensor/Shape.ts"
import type { Code, Local } from "../assembler/index.ts"
import type { Emission, Emitted } from "../emission.ts"
import type { Irregular } from "../ir.ts"
import { Builder, isConstant } from "./Builder.ts"
import { type Numbers, numbersOf } from "./numbers.ts"

/** Both operations. */
export type Argument = "argmax" | "argmin"

/** Is the second number on the stack better than the first? */
const compare = (c: Code, { signed, type }: Numbers, largest: boolean, vector: boolean): void => {
  const which = largest ? "lt" : "gt"
  if (type === "f32") c.op(vector ? `f32x4.${which}` : `f32.${which}`)
  else if (signed) c.op(vector ? `i32x4.${which}_s` : `i32.${which}_s`)
  else c.op(vector ? `i32x4.${which}_u` : `i32.${which}_u`)
}

/** The index of the best element along an axis. */
export const argument = (
  e: Emission,
  { inputs: [x], name, outputs: [out] }: Irregular,
  equation: EquationOf<Argument>
): Emitted => {
  const [axis] = equation.params.axes
  const { shape } = equation.inputs[0].aval
  const n = shape[axis]
  const inner = Shape.size(shape.slice(axis + 1))
  const b = new Builder(e, name)
  const c = b.code
  const numbers = numbersOf(e, x.dtype)
  const results = numbersOf(e, out.dtype)
  const largest = equation.primitive === "argmax"
  const width = isConstant(x) ? 0 : numbers.bytes
  const side = width === 4 && results.bytes === 4 && results.type === "i32" && inner % 4 === 0
  const lanes = side ? 4 : 1
  const [source, target] = [b.address(x, "x"), b.address(out, "out")]
  const from = c.local("i32", "from")
  const best = c.local("i32", "best")
  b.units((unit) => {
    c.get(unit).i32(lanes).op("i32.mul").i32(inner).op("i32.div_u").i32(n * inner).op("i32.mul")
    c.get(unit).i32(lanes).op("i32.mul").i32(inner).op("i32.rem_u").op("i32.add").i32(width).op("i32.mul")
    c.get(source).op("i32.add").set(from)
    c.get(target).get(unit).i32(lanes * results.bytes).op("i32.mul").op("i32.add")
    if (side) {
      fourLines(c, numbers, from, n, inner * width, largest)
      c.store("v128.store")
      return
    }
    if (x.dtype === "float32" && inner === 1 && width > 0 && n >= 8) longLine(c, from, n, largest, best)
    else line(c, numbers, from, n, inner * width, largest, best)
    c.get(best)
    if (results.type === "f32") c.op("f32.convert_i32_s")
    results.store(c)
  })
  return b.emitted(out.size / lanes, out.size * n * (side || inner === 1 ? 0.5 : 2))
}

/** Finds the best of a line element by element. */
const line = (c: Code, numbers: Numbers, from: Local, n: number, step: number, largest: boolean, best: Local): void => {
  const at = c.local("i32", "at")
  const k = c.local("i32", "k")
  const value = c.local(numbers.type, "value")
  const candidate = c.local(numbers.type, "candidate")
  numbers.load(c.get(from)).set(value)
  c.i32(0).set(best).i32(0).set(k).get(from).set(at)
  c.block((done) => {
    c.loop((again) => {
      // The first nan is final.
      if (numbers.type === "f32") c.get(value).get(value).op("f32.ne").brIf(done)
      c.get(k).i32(1).op("i32.add").tee(k).i32(n).op("i32.ge_u").brIf(done)
      numbers.load(c.get(at).i32(step).op("i32.add").tee(at)).set(candidate)
      c.get(value).get(candidate)
      compare(c, numbers, largest, false)
      if (numbers.type === "f32") c.get(candidate).get(candidate).op("f32.ne").op("i32.or")
      c.if(() => c.get(k).set(best).get(candidate).set(value))
      c.br(again)
    })
  })
}

/** Pushes the places of the best of four lines that stand side by side. */
const fourLines = (c: Code, numbers: Numbers, from: Local, n: number, step: number, largest: boolean): void => {
  const k = c.local("i32", "k")
  const value = c.local("v128", "value")
  const candidate = c.local("v128", "candidate")
  const better = c.local("v128", "better")
  const places = c.local("v128", "places")
  c.get(from).load("v128.load").set(value).i32(0).op("i32x4.splat").set(places).i32(0).set(k)
  c.block((done) => {
    c.loop((again) => {
      c.get(k).i32(1).op("i32.add").tee(k).i32(n).op("i32.ge_u").brIf(done)
      c.get(from).i32(step).op("i32.add").tee(from).load("v128.load").set(candidate)
      c.get(value).get(candidate)
      compare(c, numbers, largest, true)
      if (numbers.type === "f32") {
        c.get(candidate).get(candidate).op("f32x4.ne").get(value).get(value).op("f32x4.eq").op("v128.and").op("v128.or")
      }
      c.set(better)
      c.get(candidate).get(value).get(better).op("v128.bitselect").set(value)
      c.get(k).op("i32x4.splat").get(places).get(better).op("v128.bitselect").set(places)
      c.br(again)
    })
  })
  c.get(places)
}

/** Finds the best of a line of float32: first what it is, then where. */
const longLine = (c: Code, from: Local, n: number, largest: boolean, best: Local): void => {
  const at = c.local("i32", "at")
  const left = c.local("i32", "left")
  const value = c.local("v128", "value")
  const top = c.local("f32", "top")
  const which = largest ? "max" : "min"
  const vectors = Math.floor(n / 4)
  c.get(from).set(at).get(from).load("v128.load").set(value).i32(vectors).set(left)
  c.loop((again) => {
    c.get(value).get(at).load("v128.load").op(`f32x4.${which}`).set(value)
    c.get(at).i32(16).op("i32.add").set(at)
    c.get(left).i32(1).op("i32.sub").tee(left).brIf(again)
  })
  c.get(value).lane("f32x4.extract_lane", 0)
  for (let k = 1; k < 4; k++) c.get(value).lane("f32x4.extract_lane", k).op(`f32.${which}`)
  for (let k = vectors * 4; k < n; k++) c.get(from).load("f32.load", k * 4).op(`f32.${which}`)
  c.set(top)
  c.get(from).set(at)
  const is = (push: () => void) => {
    push()
    c.get(top).op("f32.eq")
    push()
    push()
    c.op("f32.ne").op("i32.or")
  }
  // Whole vectors without it, then element by element; it is there.
  c.get(top).op("f32x4.splat").set(value)
  c.i32(vectors).set(left)
  c.block((found) => {
    c.loop((again) => {
      const x = c.local("v128", "x")
      c.get(at).load("v128.load").tee(x).get(value).op("f32x4.eq").get(x).get(x).op("f32x4.ne").op("v128.or")
      c.op("v128.any_true").brIf(found)
      c.get(at).i32(16).op("i32.add").set(at)
      c.get(left).i32(1).op("i32.sub").tee(left).brIf(again)
    })
  })
  c.block((found) => {
    c.loop((again) => {
      is(() => c.get(at).load("f32.load"))
      c.brIf(found)
      c.get(at).i32(4).op("i32.add").set(at).br(again)
    })
  })
  c.get(at).get(from).op("i32.sub").i32(2).op("i32.shr_u").set(best)
}
