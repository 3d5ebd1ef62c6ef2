/**
 * The derivative of pooling: every window selects its best element, the first of equals, nan being best of all; then its
 * number is added there (`select_and_scatter_add`), or the number there is taken (`select_and_gather_add`).
 *
 * A unit of the scatter is all windows over one point of the leading axes along which nothing slides, so that no two
 * units write to one place.
 */
import type { EquationOf } from "../../../Program/Program.ts"
import * as DTypes from "../../../Tensor/DType.ts"
import type { Code, Local } from "../assembler/index.ts"
import type { Emission, Emitted } from "../emission.ts"
import type { Irregular } from "../ir.ts"
import { Builder } from "./Builder.ts"
import { type Numbers, numbersOf } from "./numbers.ts"
import { fillRun, walk } from "./walk.ts"
import {
  along,
  type Sliding,
  tapCount,
  undilated,
  widthOf,
  type Window,
  Window as WindowOf,
  windowCount,
  windowsOf
} from "./windows.ts"

type Prim = "ge" | "le"

/** Is the first number on the stack better than the second, or, of floats in locals, the only nan? */
const pushBetter = (c: Code, { signed, type }: Numbers, prim: Prim, x: Local, best: Local, vector: boolean): void => {
  const which = prim === "ge" ? "gt" : "lt"
  c.get(x).get(best)
  if (type === "f32") {
    c.op(vector ? `f32x4.${which}` : `f32.${which}`)
    c.get(x).get(x).op(vector ? "f32x4.ne" : "f32.ne").get(best).get(best).op(vector ? "f32x4.eq" : "f32.eq")
    c.op(vector ? "v128.and" : "i32.and").op(vector ? "v128.or" : "i32.or")
  } else if (vector) c.op(signed ? `i32x4.${which}_s` : `i32x4.${which}_u`)
  else c.op(signed ? `i32.${which}_s` : `i32.${which}_u`)
}

/** Finds which tap is best for four neighbours: its number among those that are inside, -1 if there is none. */
const chooseFour = (c: Code, window: Window, numbers: Numbers, prim: Prim, from: Local, bytes: number) => {
  const best = c.local("v128", "best")
  const x = c.local("v128", "x")
  const chosen = c.local("v128", "chosen")
  const better = c.local("v128", "better")
  const tapNumber = c.local("v128", "tap")
  const one = c.local("v128", "one")
  const start = () => {
    c.i32(-1).op("i32x4.splat").set(chosen).i32(0).op("i32x4.splat").set(tapNumber)
    c.i32(1).op("i32x4.splat").set(one)
  }
  const next = () => c.get(tapNumber).get(one).op("i32x4.add").set(tapNumber)
  const find = (also: (better: Local, tap: Parameters<Parameters<Window["taps"]>[0]>[0]) => void = () => {}) => {
    start()
    window.taps((tap) => {
      c.load("v128.load", tap.push(from, bytes)).set(x)
      pushBetter(c, numbers, prim, x, best, true)
      c.get(chosen).i32(31).op("i32x4.shr_s").op("v128.or").set(better)
      c.get(x).get(best).get(better).op("v128.bitselect").set(best)
      c.get(tapNumber).get(chosen).get(better).op("v128.bitselect").set(chosen)
      also(better, tap)
      next()
    })
  }
  /** Goes through the same taps again; `mask` has all bits set where the tap was chosen. */
  const again = (body: (mask: () => void, tap: Parameters<Parameters<Window["taps"]>[0]>[0]) => void) => {
    c.i32(0).op("i32x4.splat").set(tapNumber)
    window.taps((tap) => {
      body(() => c.get(chosen).get(tapNumber).op("i32x4.eq"), tap)
      next()
    })
  }
  return { find, again }
}

/** Finds the best tap of one window: the address of its element in another array, -1 if no tap is inside. */
const chooseOne = (c: Code, window: Window, numbers: Numbers, prim: Prim, from: Local, bytes: number) => {
  const best = c.local(numbers.type, "best")
  const x = c.local(numbers.type, "x")
  const chosen = c.local("i32", "chosen")
  const find = (zero: Local, elementBytes: number) => {
    c.i32(-1).set(chosen)
    window.taps((tap) => {
      numbers.load(c, tap.push(from, bytes)).set(x)
      pushBetter(c, numbers, prim, x, best, false)
      c.get(chosen).i32(-1).op("i32.eq").op("i32.or").if(() => {
        c.get(x).set(best)
        const at = tap.push(zero, elementBytes)
        if (at > 0) c.i32(at).op("i32.add")
        c.set(chosen)
      })
    })
  }
  return { find, chosen }
}

/** Do the windows along an axis cover every element exactly once? */
const tiles = (s: Sliding): boolean => s.low === 0 && s.stride === s.taps && s.windows * s.taps === s.n

/** Adds each window's number to its best element. */
export const selectAndScatterAdd = (
  e: Emission,
  { inputs: [source, x], name, outputs: [out] }: Irregular,
  equation: EquationOf<"select_and_scatter_add">
): Emitted => {
  const [sourceShape, shape] = equation.inputs.map((a) => a.aval.shape)
  const { axes, inner } = windowsOf(shape, sourceShape, undilated(equation.params))
  const { select_prim: prim } = equation.params
  const b = new Builder(e, name)
  const c = b.code
  const numbers = numbersOf(e, out.dtype)
  // The leading axes along which nothing slides are told from the others by the place of the first that slides.
  const free = axes.length > 1 && axes[0].taps === 1 && axes[0].stride === 1 && axes[0].low === 0 &&
      axes[0].windows === axes[0].n
    ? axes[0].n
    : 1
  const slab = out.size / free
  const sliding = free === 1 ? axes : axes.slice(1)
  const wide = numbers.type === "f32" && numbers.bytes === 2
  const sums = wide ? numbersOf(e, "float32") : numbers
  const xBytes = widthOf(x)
  const sourceBytes = widthOf(source)
  const four = out.dtype === "float32" && xBytes === 4 && sourceBytes === 4
  const covering = four && inner % 4 === 0 && axes.every((s) => s === axes[0] && free > 1 || tiles(s))
  const [xs, sources, target] = [b.address(x, "x"), b.address(source, "source"), b.address(out, "out")]
  const scratch = wide ? b.scratch(slab * 4, "sums") : undefined
  const window = new WindowOf(c, sliding)
  const number = c.local("i32", "number")
  const perUnit = windowCount(sliding)
  b.units((unit) => {
    const at = (array: Local, elements: number, bytes: number, label: string): Local => {
      const local = c.local("i32", label)
      c.get(array).get(unit).i32(elements * bytes).op("i32.mul").op("i32.add").set(local)
      return local
    }
    const slabOfX = at(xs, slab, xBytes, "x")
    const slabOfOut = at(target, slab, numbers.bytes, "out")
    const total = scratch ?? slabOfOut
    const from = at(sources, perUnit * inner, sourceBytes, "source")
    if (!covering) fillRun(c, total, slab, sums.bytes, () => c.i32(0))
    c.i32(0).set(number)
    c.loop((again) => {
      window.to(number)
      const xAt = b.copyOf(slabOfX, "xAt")
      const to = b.copyOf(total, "to")
      const chosen = four ? chooseFour(c, window, numbers, prim, xAt, xBytes) : undefined
      const vector = () => {
        chosen?.find()
        chosen?.again((mask, tap) => {
          const offset = tap.push(to, 4)
          const place = c.local("i32", "place")
          c.tee(place).get(from).load("v128.load")
          mask()
          c.op("v128.and")
          if (!covering) c.get(place).load("v128.load", offset).op("f32x4.add")
          c.store("v128.store", offset)
        })
      }
      const one = chooseOne(c, window, numbers, prim, xAt, xBytes)
      const single = () => {
        one.find(to, sums.bytes)
        c.get(one.chosen).i32(-1).op("i32.ne").if(() => {
          sums.load(c.get(one.chosen).get(one.chosen))
          numbers.load(c.get(from)).op(sums.type === "f32" ? "f32.add" : "i32.add")
          sums.store(c)
        })
      }
      along(c, inner, [[xAt, xBytes], [from, sourceBytes], [to, sums.bytes]], four, vector, single)
      c.get(number).i32(1).op("i32.add").tee(number).i32(perUnit).op("i32.lt_u").brIf(again)
    })
    if (scratch !== undefined) {
      const moving = [b.copyOf(slabOfOut), b.copyOf(scratch)]
      walk(c, [{ size: slab, steps: [numbers.bytes, 4] }], moving, () => {
        numbers.store(sums.load(c.get(moving[0]).get(moving[1])))
      })
    }
  })
  const empty = out.size === 0
  const nothing = perUnit === 0 || inner === 0
  if (nothing && !empty) return zeros(e, name, out)
  const perTap = four && inner >= 4 ? 1.2 : 3
  return b.emitted(empty ? 0 : free, perUnit * free * inner * tapCount(sliding) * perTap + out.size * 0.2)
}

/** An array of zeros. */
const zeros = (e: Emission, name: string, out: Irregular["outputs"][number]): Emitted => {
  const b = new Builder(e, name)
  fillRun(b.code, b.address(out, "out"), out.size, DTypes.byteSize(out.dtype), () => b.code.i32(0))
  return b.emitted(1, out.size)
}

/** The numbers of `tangents` at the best element of each window; 0 for a window of padding only. */
export const selectAndGatherAdd = (
  e: Emission,
  { inputs: [tangents, x], name, outputs: [out] }: Irregular,
  equation: EquationOf<"select_and_gather_add">
): Emitted => {
  const shape = equation.inputs[1].aval.shape
  const { axes, inner } = windowsOf(shape, equation.outputs[0].aval.shape, undilated(equation.params))
  const { select_prim: prim } = equation.params
  const b = new Builder(e, name)
  const c = b.code
  const numbers = numbersOf(e, x.dtype)
  const results = numbersOf(e, out.dtype)
  const xBytes = widthOf(x)
  const tangentBytes = widthOf(tangents)
  const four = xBytes === 4 && tangentBytes === 4
  const [xs, ts, target] = [b.address(x, "x"), b.address(tangents, "tangents"), b.address(out, "out")]
  const window = new WindowOf(c, axes)
  const taken = c.local("v128", "taken")
  b.units((unit) => {
    window.to(unit)
    const [xAt, tangentAt] = [b.copyOf(xs, "xAt"), b.copyOf(ts, "tangentAt")]
    const to = c.local("i32", "to")
    c.get(target).get(unit).i32(inner * results.bytes).op("i32.mul").op("i32.add").set(to)
    const vector = () => {
      c.i32(0).op("i32x4.splat").set(taken)
      chooseFour(c, window, numbers, prim, xAt, xBytes).find((better, tap) => {
        c.load("v128.load", tap.push(tangentAt, 4)).get(taken).get(better).op("v128.bitselect").set(taken)
      })
      c.get(to).get(taken).store("v128.store")
    }
    const one = chooseOne(c, window, numbers, prim, xAt, xBytes)
    const single = () => {
      one.find(tangentAt, tangentBytes)
      c.get(one.chosen).i32(-1).op("i32.ne").if(() => {
        results.store(results.load(c.get(to).get(one.chosen)))
      }, () => {
        c.get(to)
        if (results.type === "f32") c.f32(0)
        else c.i32(0)
        results.store(c)
      })
    }
    along(c, inner, [[xAt, xBytes], [tangentAt, tangentBytes], [to, results.bytes]], four, vector, single)
  })
  const units = out.size === 0 ? 0 : windowCount(axes)
  return b.emitted(units, units * inner * tapCount(axes) * (four && inner >= 4 ? 0.8 : 3))
}
