/**
 * Sliding windows: the elements under a window are its *taps*. Axes behind the last one on which anything slides are one
 * run of `inner` elements, side by side, that are treated alike: four at a time, if they have four bytes.
 *
 * Where every tap of every window is inside the array, taps are written out with constant offsets. Otherwise loops over
 * taps check that each is inside: in the array, and not in a hole of a dilated one.
 */
import type { EquationOf } from "../../../Program/Program.ts"
import * as DTypes from "../../../Tensor/DType.ts"
import type { WindowParams } from "../../../Tensor/lax/window.ts"
import * as Shape from "../../../Tensor/Shape.ts"
import type { Code, Local } from "../assembler/index.ts"
import type { Emission, Emitted } from "../emission.ts"
import type { Irregular } from "../ir.ts"
import { Builder, isConstant } from "./Builder.ts"
import { type Combine, combine, combineVectors, constant, identity, numbersOf } from "./numbers.ts"

/** Windows along one axis. */
export interface Sliding {
  /** Elements along the axis, and how far apart they are, in elements. */
  readonly n: number
  readonly step: number
  readonly windows: number
  readonly taps: number
  readonly stride: number
  readonly low: number
  readonly dilation: number
  /** Holes between elements, plus one. */
  readonly base: number
}

/** Windows over an array. */
export interface Windows {
  readonly axes: ReadonlyArray<Sliding>
  readonly inner: number
}

/** Does nothing slide along it? */
const isTrivial = (s: Sliding): boolean =>
  s.taps === 1 && s.stride === 1 && s.low === 0 && s.base === 1 && s.windows === s.n

/** Is every tap of every window inside? */
const isInside = (s: Sliding): boolean =>
  s.base === 1 && s.low <= 0 && (s.windows - 1) * s.stride + (s.taps - 1) * s.dilation - s.low < s.n

/** The windows of a primitive over an array. Neighbouring axes along which nothing slides are one. */
export const windowsOf = (shape: Shape.Shape, output: Shape.Shape, p: WindowParams): Windows => {
  const strides = Shape.strides(shape)
  const all = shape.map((n, i): Sliding => ({
    n,
    step: strides[i],
    windows: output[i],
    taps: p.window_dimensions[i],
    stride: p.window_strides[i],
    low: p.padding[i][0],
    dilation: p.window_dilation[i],
    base: p.base_dilation[i]
  }))
  const last = all.findLastIndex((s) => !isTrivial(s))
  const axes: Array<Sliding> = []
  for (const axis of all.slice(0, last + 1)) {
    const before = axes.at(-1)
    if (before !== undefined && isTrivial(before) && isTrivial(axis)) {
      axes[axes.length - 1] = { ...axis, n: before.n * axis.n, windows: before.n * axis.n }
    } else axes.push(axis)
  }
  return { axes, inner: Shape.size(shape.slice(last + 1)) }
}

/** How many windows there are, each over `inner` elements. */
export const windowCount = (axes: ReadonlyArray<Sliding>): number => axes.reduce((n, s) => n * s.windows, 1)

/** How many taps a window has. */
export const tapCount = (axes: ReadonlyArray<Sliding>): number => axes.reduce((n, s) => n * s.taps, 1)

/** More taps than these are not written out. */
const written = 32

/** A tap of the current window. */
export interface Tap {
  /** Pushes the address of its element in an array laid out like the operand: a constant is still to be added to it. */
  readonly push: (array: Local, bytes: number) => number
}

/** The current window: the position of its first tap along every axis, and the offset of that, in elements. */
export class Window {
  readonly #c: Code
  readonly #axes: ReadonlyArray<Sliding>
  readonly #positions: ReadonlyArray<Local>
  readonly #offset: Local
  readonly #inside: boolean

  constructor(c: Code, axes: ReadonlyArray<Sliding>) {
    this.#c = c
    this.#axes = axes
    this.#positions = axes.map((_, i) => c.local("i32", `position${i}`))
    this.#offset = c.local("i32", "offset")
    this.#inside = axes.every(isInside) && tapCount(axes) <= written
  }

  /** Goes to the window whose number, row-major over the axes, is in a local. */
  to(number: Local): void {
    const c = this.#c
    const rest = c.local("i32", "rest")
    c.get(number).set(rest)
    for (let k = this.#axes.length - 1; k >= 0; k--) {
      const { low, stride, windows } = this.#axes[k]
      if (k === 0) c.get(rest)
      else c.get(rest).i32(windows).op("i32.rem_u")
      c.i32(stride).op("i32.mul").i32(low).op("i32.sub").set(this.#positions[k])
      if (k > 0) c.get(rest).i32(windows).op("i32.div_u").set(rest)
    }
    if (!this.#inside) return
    c.i32(0)
    this.#axes.forEach(({ step }, k) => c.get(this.#positions[k]).i32(step).op("i32.mul").op("i32.add"))
    c.set(this.#offset)
  }

  /** Writes `body` for the taps that are inside, in row-major order. */
  taps(body: (tap: Tap) => void): void {
    const c = this.#c
    if (this.#inside) {
      this.#written(0, 0, body)
      return
    }
    c.i32(0).set(this.#offset)
    this.#checked(0, this.#offset, body)
  }

  #written(k: number, at: number, body: (tap: Tap) => void): void {
    const axis = this.#axes[k]
    if (axis === undefined) {
      body({ push: (array, bytes) => (this.#pushOffset(array, this.#offset, bytes), at * bytes) })
      return
    }
    for (let t = 0; t < axis.taps; t++) this.#written(k + 1, at + t * axis.dilation * axis.step, body)
  }

  #checked(k: number, offset: Local, body: (tap: Tap) => void): void {
    const c = this.#c
    const axis = this.#axes[k]
    if (axis === undefined) {
      body({ push: (array, bytes) => (this.#pushOffset(array, offset, bytes), 0) })
      return
    }
    const { base, dilation, n, step, taps } = axis
    const at = c.local("i32", "at")
    const left = c.local("i32", "left")
    const along = c.local("i32", "along")
    const element = () => {
      c.get(at)
      if (base > 1) c.i32(base).op("i32.div_s")
    }
    const visit = () => {
      c.get(offset)
      element()
      c.i32(step).op("i32.mul").op("i32.add").set(along)
      this.#checked(k + 1, along, body)
    }
    c.get(this.#positions[k]).set(at)
    if (taps === 1 && isInside(axis)) return visit()
    c.i32(taps).set(left)
    c.loop((again) => {
      element()
      c.i32(n).op("i32.lt_u")
      // Between two elements, or a little before the first one: the quotient is 0 there too.
      if (base > 1) c.get(at).i32(base).op("i32.rem_s").op("i32.eqz").op("i32.and")
      c.if(visit)
      c.get(at).i32(dilation).op("i32.add").set(at)
      c.get(left).i32(1).op("i32.sub").tee(left).brIf(again)
    })
  }

  #pushOffset(array: Local, offset: Local, bytes: number): void {
    this.#c.get(array).get(offset)
    if (bytes !== 1) this.#c.i32(bytes).op("i32.mul")
    this.#c.op("i32.add")
  }
}

/**
 * Runs `vector` for four neighbours at a time along the inner elements, if `four`, and `single` for the others. The
 * arrays' addresses move with them.
 */
export const along = (
  c: Code,
  inner: number,
  arrays: ReadonlyArray<readonly [address: Local, bytes: number]>,
  four: boolean,
  vector: () => void,
  single: () => void
): void => {
  const vectors = four ? Math.floor(inner / 4) : 0
  const times = (count: number, lanes: number, body: () => void) => {
    if (count === 0) return
    const left = c.local("i32", "left")
    c.i32(count).set(left)
    c.loop((again) => {
      body()
      for (const [address, bytes] of arrays) {
        if (bytes > 0) c.get(address).i32(bytes * lanes).op("i32.add").set(address)
      }
      c.get(left).i32(1).op("i32.sub").tee(left).brIf(again)
    })
  }
  times(vectors, 4, vector)
  times(inner - vectors * 4, 1, single)
}

/** Reductions of windows. */
export type ReduceWindow = "reduce_window_sum" | "reduce_window_max" | "reduce_window_min"

const combines: Readonly<Record<ReduceWindow, Combine>> = {
  reduce_window_sum: "add",
  reduce_window_max: "max",
  reduce_window_min: "min"
}

/** Reduces every window. A unit is a window over all inner elements. */
export const reduceWindow = (
  e: Emission,
  { inputs: [x], name, outputs: [out] }: Irregular,
  equation: EquationOf<ReduceWindow>
): Emitted => {
  const { axes, inner } = windowsOf(equation.inputs[0].aval.shape, equation.outputs[0].aval.shape, equation.params)
  const how = combines[equation.primitive]
  const b = new Builder(e, name)
  const c = b.code
  const numbers = numbersOf(e, x.dtype)
  const bytes = isConstant(x) ? 0 : numbers.bytes
  const four = bytes === 4
  const [source, target] = [b.address(x, "x"), b.address(out, "out")]
  const window = new Window(c, axes)
  // Floats are added one by one in double precision, four by four in single: long runs of windows are short sums.
  const double = how === "add" && numbers.type === "f32"
  const sum = c.local(double ? "f64" : numbers.type, "sum")
  const sums = c.local("v128", "sums")
  b.units((unit) => {
    window.to(unit)
    const from = b.copyOf(source, "from")
    const to = c.local("i32", "to")
    c.get(target).get(unit).i32(inner * numbers.bytes).op("i32.mul").op("i32.add").set(to)
    const start = identity(x.dtype, how)
    const vector = () => {
      constant(c, numbers, start).op(numbers.type === "f32" ? "f32x4.splat" : "i32x4.splat").set(sums)
      window.taps((tap) => {
        c.get(sums)
        c.load("v128.load", tap.push(from, bytes))
        combineVectors(c, numbers, how).set(sums)
      })
      c.get(to).get(sums).store("v128.store")
    }
    const single = () => {
      if (double) c.f64(start).set(sum)
      else constant(c, numbers, start).set(sum)
      window.taps((tap) => {
        c.get(sum)
        numbers.load(c, tap.push(from, bytes))
        if (double) c.op("f64.promote_f32").op("f64.add").set(sum)
        else combine(c, numbers, how).set(sum)
      })
      c.get(to).get(sum)
      if (double) c.op("f32.demote_f64")
      numbers.store(c)
    }
    along(c, inner, [[from, bytes], [to, numbers.bytes]], four, vector, single)
  })
  const units = out.size === 0 ? 0 : windowCount(axes)
  const perTap = four && inner >= 4 ? 0.4 : 1.5
  return b.emitted(units, units * (4 + inner * tapCount(axes) * perTap))
}

/** A window without dilation. */
export const undilated = (p: Omit<WindowParams, "base_dilation" | "window_dilation">): WindowParams => ({
  ...p,
  base_dilation: p.window_dimensions.map(() => 1),
  window_dilation: p.window_dimensions.map(() => 1)
})

/** Bytes from element to element of an operand; none if it is one number. */
export const widthOf = (x: Irregular["inputs"][number]): number => isConstant(x) ? 0 : DTypes.byteSize(x.dtype)
