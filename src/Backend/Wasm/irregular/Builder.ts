/**
 * What writing an irregular kernel begins with: the function `(frame, begin, end)`, addresses of operands in locals, the
 * loop over units, and positions in arrays computed from the number of a unit.
 */
import * as DTypes from "../../../Tensor/DType.ts"
import * as float16 from "../../../Tensor/float16.ts"
import * as Shape from "../../../Tensor/Shape.ts"
import { Code, type Local } from "../assembler/index.ts"
import { type Emission, type Emitted, type Place, slots } from "../emission.ts"
import type { Operand } from "../ir.ts"
import { type Axis, merged } from "./walk.ts"

/** Is it one number for all elements? */
export const isConstant = (operand: Operand): operand is Extract<Operand, { readonly value: number }> =>
  "value" in operand

/** The bits of a number as an element of a dtype. */
export const bitsOf = (value: number, dtype: DTypes.DType): number => {
  const bytes = new Uint8Array(4)
  bytes.set(new Uint8Array(DTypes.allocate(dtype, 1).fill(float16.encode(value, dtype)).buffer))
  return new Int32Array(bytes.buffer)[0]
}

/** Steps, in bytes, from element to element along the axes of a dense operand; all 0 if it is one number. */
export const stepsOf = (operand: Operand, shape: Shape.Shape): ReadonlyArray<number> => {
  const width = DTypes.byteSize(operand.dtype)
  return Shape.strides(shape).map((s) => isConstant(operand) ? 0 : s * width)
}

/** A kernel that is being written. */
export class Builder {
  readonly code = new Code([["frame", "i32"], ["begin", "i32"], ["end", "i32"]])
  readonly emission: Emission
  readonly #name: string

  constructor(emission: Emission, name: string) {
    this.emission = emission
    this.#name = name
  }

  /** A local with the address of an operand's first element. */
  address(operand: Operand, name: string): Local {
    return this.#at(this.place(operand), name)
  }

  /** A local with the address of this thread's scratch memory, of which `bytes` are asked for. */
  scratch(bytes: number, name = "scratch"): Local {
    this.emission.scratch(bytes)
    return this.#at({ slot: slots.scratch, offset: 0 }, name)
  }

  /** Where an operand is: a number is among the constants. */
  place(operand: Operand): Place {
    return isConstant(operand)
      ? { slot: slots.constants, offset: this.emission.constants.word(bitsOf(operand.value, operand.dtype)) }
      : this.emission.place(operand)
  }

  #at({ offset, slot }: Place, name: string): Local {
    const c = this.code
    const local = c.local("i32", name)
    c.get(c.params[0]).load("i32.load", slot * 4)
    if (offset > 0) c.i32(offset).op("i32.add")
    c.set(local)
    return local
  }

  /** The loop over the units of this call. */
  units(body: (unit: Local) => void): void {
    const c = this.code
    const [, unit, end] = c.params
    c.block((exit) => {
      c.loop((again) => {
        c.get(unit).get(end).op("i32.ge_u").brIf(exit)
        body(unit)
        c.get(unit).i32(1).op("i32.add").set(unit).br(again)
      })
    })
  }

  /** Adds to every local the steps of the point of `axes`, row-major, whose number is in `index`. */
  positions(index: Local, axes: ReadonlyArray<Axis>, locals: ReadonlyArray<Local>): void {
    const c = this.code
    const moving = merged(axes)
    const rest = c.local("i32", "rest")
    const along = c.local("i32", "along")
    c.get(index).set(rest)
    for (let k = moving.length - 1; k >= 0; k--) {
      const { size, steps } = moving[k]
      if (k === 0) c.get(rest).set(along)
      else {
        c.get(rest).i32(size).op("i32.rem_u").set(along)
        c.get(rest).i32(size).op("i32.div_u").set(rest)
      }
      steps.forEach((step, i) => {
        if (step !== 0) c.get(locals[i]).get(along).i32(step).op("i32.mul").op("i32.add").set(locals[i])
      })
    }
  }

  /** A fresh local with the value of another. */
  copyOf(local: Local, name = local.name): Local {
    const copy = this.code.local(local.type, name)
    this.code.get(local).set(copy)
    return copy
  }

  /** The function is written. */
  emitted(units: number, nanoseconds: number): Emitted {
    return { run: this.emission.module.add(this.#name, this.code), units, nanoseconds }
  }
}
