/**
 * Reductions as vectors that accumulate: one for each of the vectors that are computed side by side, so that additions
 * need not wait for each other. Now and then they are added up pairwise into a *total*, so that the error of a long sum
 * grows with the number of its blocks instead of its elements.
 *
 * The largest of floats is found by `pmax`, which drops nan; that one was seen is noted in another vector.
 */
import type { DType } from "../../../Tensor/DType.ts"
import * as DTypes from "../../../Tensor/DType.ts"
import type { Code, Local, Plain } from "../assembler/index.ts"
import { type Combine, laneOf, type Reduction } from "../ir.ts"
import { constant } from "../math/dtype.ts"
import type { Value } from "../math/value.ts"
import type { Writer } from "../math/writer.ts"

/** The instruction that combines two vectors. */
const instruction = (combine: Combine, dtype: DType): Plain => {
  const lane = laneOf(dtype)
  switch (combine) {
    case "sum":
      return lane === "f32" ? "f32x4.add" : "i32x4.add"
    case "prod":
      return lane === "f32" ? "f32x4.mul" : "i32x4.mul"
    case "max":
      return lane === "f32" ? "f32x4.pmax" : lane === "i32" ? "i32x4.max_s" : lane === "u32" ? "i32x4.max_u" : "v128.or"
    case "min":
      return lane === "f32"
        ? "f32x4.pmin"
        : lane === "i32"
        ? "i32x4.min_s"
        : lane === "u32"
        ? "i32x4.min_u"
        : "v128.and"
    case "and":
      return "v128.and"
    case "or":
      return "v128.or"
  }
}

/** What nothing reduces to. */
const identity = (combine: Combine, dtype: DType): Value => {
  switch (combine) {
    case "sum":
    case "or":
      return constant(0, dtype)
    case "prod":
      return constant(1, dtype)
    case "max":
      return constant(DTypes.lowest(dtype), dtype)
    case "min":
      return constant(DTypes.highest(dtype), dtype)
    case "and":
      return dtype === "bool" ? constant(1, dtype) : constant(-1, "int32")
  }
}

/** One reduction on its way. */
export class Accumulator {
  readonly reduction: Reduction
  readonly #writer: Writer
  readonly #op: Plain
  readonly #identity: Value
  readonly #vectors: ReadonlyArray<Local>
  /** Lanes in which nan was seen: of all copies together, unless they are results of their own. */
  readonly #nans: ReadonlyArray<Local>
  readonly #taken: Local
  readonly #totals: ReadonlyArray<Local>
  /** Where lanes are rows of their own, every vector is a result of its own. */
  readonly #isColumns: boolean

  constructor(
    writer: Writer,
    reduction: Reduction,
    options: { readonly copies: number; readonly isColumns: boolean; readonly hasTotals: boolean }
  ) {
    const { combine, dtype } = reduction
    const vectors = (name: string, count: number) =>
      Array.from({ length: count }, (_, k) => writer.code.local("v128", `${name}${k}`))
    const isFloat = laneOf(dtype) === "f32"
    this.reduction = reduction
    this.#writer = writer
    this.#op = instruction(combine, dtype)
    this.#identity = identity(combine, dtype)
    this.#isColumns = options.isColumns
    this.#vectors = vectors("acc", options.copies)
    const dropsNan = isFloat && (combine === "max" || combine === "min")
    this.#nans = dropsNan ? vectors("nan", options.isColumns ? options.copies : 1) : []
    this.#taken = dropsNan ? writer.code.local("v128", "taken") : this.#vectors[0]
    const hasTotals = options.hasTotals && isFloat && (combine === "sum" || combine === "prod")
    this.#totals = hasTotals ? vectors("total", options.isColumns ? options.copies : 1) : []
  }

  get #code(): Code {
    return this.#writer.code
  }

  #reset(locals: ReadonlyArray<Local>, value: Value): void {
    for (const local of locals) {
      this.#writer.get(value)
      this.#code.set(local)
    }
  }

  begin(): void {
    this.#reset(this.#vectors, this.#identity)
    this.#reset(this.#totals, this.#identity)
    for (const nan of this.#nans) this.#code.v128(0).set(nan)
  }

  /** Takes in the Value, which the writer has in locals. Lanes of a row that do not count are left out. */
  add(value: Value, copy: number): void {
    const writer = this.#writer
    const code = this.#code
    const local = this.#vectors[copy]
    const { partial } = writer
    const push = () => {
      writer.get(value, copy)
      if (partial === undefined || this.#isColumns) return
      writer.get(this.#identity)
      code.get(partial.mask).op("v128.bitselect")
    }
    push()
    if (this.#nans.length === 0) {
      code.get(local).op(this.#op).set(local)
      return
    }
    const taken = this.#taken
    const nan = this.#nans[this.#isColumns ? copy : 0]
    code.tee(taken).get(local).op(this.#op).set(local)
    code.get(taken).get(taken).op("f32x4.ne").get(nan).op("v128.or").set(nan)
  }

  /** Adds the vectors up pairwise, leaving the sum in the first. */
  #join(locals: ReadonlyArray<Local>, op: Plain): void {
    for (let half = Math.ceil(locals.length / 2), n = locals.length; n > 1; n = half, half = Math.ceil(n / 2)) {
      for (let k = 0; k + half < n; k++) {
        this.#code.get(locals[k]).get(locals[k + half]).op(op).set(locals[k])
      }
    }
  }

  /** The end of a block. */
  flush(): void {
    if (this.#totals.length === 0) return
    if (!this.#isColumns) this.#join(this.#vectors, this.#op)
    this.#totals.forEach((total, k) => {
      this.#code.get(total).get(this.#vectors[k]).op(this.#op).set(total)
    })
    this.#reset(this.#vectors, this.#identity)
  }

  /** The results: one of a row, in all lanes; or those of the lanes, a local for each copy. */
  end(): ReadonlyArray<Local> {
    const code = this.#code
    this.flush()
    const results = this.#totals.length > 0 ? this.#totals : this.#vectors
    if (!this.#isColumns) {
      this.#join(results, this.#op)
      this.#join(this.#nans, "v128.or")
      this.#across(results[0], this.#op)
      if (this.#nans.length > 0) this.#across(this.#nans[0], "v128.or")
    }
    const count = this.#isColumns ? results.length : 1
    for (let k = 0; k < Math.min(count, this.#nans.length); k++) {
      code.get(results[k]).get(this.#nans[k]).op("v128.or").set(results[k])
    }
    return results.slice(0, count)
  }

  /** Combines the four lanes, leaving the result in each. */
  #across(local: Local, op: Plain): void {
    for (const lanes of [[2, 3, 0, 1], [1, 0, 3, 2]]) {
      const bytes = lanes.flatMap((lane) => [0, 1, 2, 3].map((k) => 4 * lane + k))
      this.#code.get(local).get(local).get(local).shuffle(bytes).op(op).set(local)
    }
  }
}
