// Random loops of the kernel language: index spaces with odd sizes, buffers that are read densely, broadcast, backwards,
// transposed and with gaps, expression graphs with shared parts, reductions that depend on each other, stores of all dtypes.
import type {
  Affine,
  Buffer,
  Combine,
  Expression,
  Loop,
  Op,
  Reduction,
  Stage,
  Store
} from "../../../src/Backend/Wasm/ir.ts"
import * as DType from "../../../src/Tensor/DType.ts"
import * as Shape from "../../../src/Tensor/Shape.ts"
import type { Random } from "../../support/arbitrary.ts"

/** A loop with its buffers: inputs have values, `inPlace` outputs lie where an input does. */
export interface Sample {
  readonly loop: Loop
  readonly inputs: ReadonlyArray<readonly [Buffer, ReadonlyArray<number>]>
  readonly outputs: ReadonlyArray<Buffer>
  readonly inPlace: ReadonlyMap<Buffer, Buffer>
}

export const dtypes: ReadonlyArray<DType.DType> = [
  "float32",
  "float16",
  "bfloat16",
  "int32",
  "uint32",
  "int8",
  "uint8",
  "bool"
]

/** Operations whose results are the same to the bit. */
const exact: ReadonlyArray<Op> = ["add", "sub", "mul", "max", "min", "neg", "abs", "select"]
const bitwise: ReadonlyArray<Op> = ["and", "or", "xor", "not"]
/** Dear ones, of which several stages may make use; their results are compared with a tolerance. */
const dear: ReadonlyArray<Op> = ["exp", "tanh", "logistic", "erf"]

/** Numbers that are kept exactly by all that is done to them in a few steps. */
const draw = (rng: Random, dtype: DType.DType): number => {
  if (dtype === "bool") return rng.integer(0, 2)
  if (DType.isFloat(dtype)) return rng.integer(-8, 9) / 4
  return rng.integer(DType.isUnsigned(dtype) ? 0 : -9, 10)
}

/** A draft of a loop, and what it has so far. */
class Draft {
  readonly rng: Random
  readonly shape: Shape.Shape
  readonly outer: Shape.Shape
  readonly inputs: Array<readonly [Buffer, ReadonlyArray<number>]> = []
  readonly outputs: Array<Buffer> = []
  readonly inPlace = new Map<Buffer, Buffer>()
  readonly reductions: Array<Reduction> = []
  readonly pool: Array<Expression> = []
  readonly isExact: boolean

  constructor(rng: Random, outer: Shape.Shape, inner: Shape.Shape, isExact: boolean) {
    this.rng = rng
    this.outer = outer
    this.shape = [...outer, ...inner]
    this.isExact = isExact
  }

  /** A buffer that is read over the whole space in one of many ways. */
  load(dtype: DType.DType): Expression {
    const { rng, shape } = this
    const order = rng.integer(0, 3) === 0 ? rng.permutation(shape.length) : Shape.range(shape.length)
    const gap = rng.pick([1, 1, 1, 2])
    const strides = shape.map(() => 0)
    let size = 1
    let offset = rng.pick([0, 0, 3])
    for (const axis of order.toReversed()) {
      if (rng.integer(0, 4) === 0) continue
      const isReversed = rng.integer(0, 5) === 0
      const stride = size * gap
      strides[axis] = isReversed ? -stride : stride
      if (isReversed) offset += stride * Math.max(shape[axis] - 1, 0)
      size *= Math.max(shape[axis], 1)
    }
    const buffer: Buffer = { dtype, size: size * gap + 3, name: `x${this.inputs.length}` }
    this.inputs.push([buffer, Array.from({ length: buffer.size }, () => draw(rng, dtype))])
    return { _tag: "Load", buffer, at: { offset, strides }, dtype }
  }

  constant(dtype: DType.DType): Expression {
    return { _tag: "Constant", value: draw(this.rng, dtype), dtype }
  }

  gather(dtype: DType.DType): Expression {
    const table: Buffer = { dtype, size: 11, name: `t${this.inputs.length}` }
    this.inputs.push([table, Array.from({ length: 11 }, () => draw(this.rng, dtype))])
    const at: Affine = { offset: 2, strides: this.shape.map(() => this.rng.integer(0, 3)) }
    const index: Expression = { _tag: "Index", at, dtype: "int32" }
    const size: Expression = { _tag: "Constant", value: 11, dtype: "int32" }
    return {
      _tag: "LoadAt",
      buffer: table,
      index: { _tag: "Apply", op: "rem", args: [index, size], dtype: "int32" },
      dtype
    }
  }

  leaf(dtype: DType.DType): Expression {
    const { rng } = this
    const known = this.pool.filter((e) => e.dtype === dtype)
    const reduced = this.reductions.filter((r) => r.dtype === dtype)
    const kind = rng.integer(0, 10)
    if (kind < 4 && known.length > 0) return rng.pick(known)
    if (kind === 4 && reduced.length > 0) return { _tag: "Reduced", reduction: rng.pick(reduced), dtype }
    if (kind === 5) return this.constant(dtype)
    if (kind === 6) return this.gather(dtype)
    if (kind === 7 && dtype === "int32") {
      return { _tag: "Index", at: { offset: 1, strides: this.shape.map(() => rng.integer(-1, 2)) }, dtype }
    }
    return this.load(dtype)
  }

  expression(dtype: DType.DType, depth: number): Expression {
    const e = depth === 0 ? this.leaf(dtype) : this.operation(dtype, depth)
    this.pool.push(e)
    return e
  }

  operation(dtype: DType.DType, depth: number): Expression {
    const { rng } = this
    if (rng.integer(0, 5) === 0) {
      const from = rng.pick(dtypes)
      return { _tag: "Convert", x: this.expression(from, depth - 1), dtype }
    }
    if (dtype === "bool" && rng.integer(0, 2) === 0) {
      const of = rng.pick(dtypes)
      const op = rng.pick<Op>(["lt", "le", "eq", "ne", "gt", "ge"])
      return { _tag: "Apply", op, args: [this.expression(of, depth - 1), this.expression(of, depth - 1)], dtype }
    }
    const isDear = !this.isExact && dtype === "float32" && rng.integer(0, 2) === 0
    const op = rng.pick(isDear ? dear : dtype === "bool" ? bitwise : exact)
    const count = isDear || op === "neg" || op === "abs" || op === "not" ? 1 : 2
    const args = Array.from({ length: count }, () => this.expression(dtype, rng.integer(0, depth)))
    if (op === "select") args.unshift(this.expression("bool", depth - 1))
    return { _tag: "Apply", op, args, dtype }
  }

  /** A store over some dimensions, dense; sometimes in the place of an input that is read at the same elements. */
  store(value: Expression, rank: number): Store {
    const { rng } = this
    const shape = this.shape.slice(0, rank)
    const order = rng.integer(0, 4) === 0 ? rng.permutation(rank) : Shape.range(rank)
    const strides = shape.map(() => 0)
    let size = 1
    for (const axis of order.toReversed()) {
      strides[axis] = size
      size *= shape[axis]
    }
    const buffer: Buffer = { dtype: value.dtype, size, name: `y${this.outputs.length}` }
    this.outputs.push(buffer)
    return { buffer, at: { offset: 0, strides }, value }
  }

  reduction(): Reduction {
    const { rng } = this
    const dtype = rng.pick(this.isExact ? dtypes : (["float32"] as const))
    const combine = dtype === "bool"
      ? rng.pick<Combine>(["and", "or", "max", "min"])
      : rng.pick<Combine>(["sum", "max", "min", "sum"])
    const reduction: Reduction = { _tag: "Reduce", combine, value: this.expression(dtype, 2), dtype }
    this.reductions.push(reduction)
    return reduction
  }
}

const sizes = (rng: Random): number => rng.pick([1, 2, 3, 4, 5, 7, 8, 9, 13, 16, 17, 31, 33, 40])

/** A loop whose stages are chosen at random. */
export const sample = (rng: Random, isExact: boolean): Sample => {
  const rank = rng.integer(0, 4)
  const innerRank = rng.integer(0, 3)
  const small = () => rank + innerRank > 3 ? rng.integer(1, 6) : sizes(rng)
  const outer = Shape.range(rank).map(() => rng.integer(0, 40) === 0 ? 0 : small())
  const inner = Shape.range(innerRank).map(() => rng.integer(0, 40) === 0 ? 0 : small())
  const draft = new Draft(rng, outer, inner, isExact)
  const stages: Array<Stage> = []
  const count = rng.integer(1, 5)
  for (let k = 0; k < count; k++) {
    const kind = innerRank === 0 ? "Map" : rng.pick(["Reduce", "Reduce", "Map", "Close"])
    // What holds of a row's earlier expressions holds later.
    if (kind === "Reduce") stages.push(draft.reduction())
    else if (kind === "Map") {
      const value = draft.expression(isExact ? rng.pick(dtypes) : "float32", 3)
      stages.push({ _tag: "Map", stores: [draft.store(value, draft.shape.length)] })
    } else if (draft.reductions.length > 0) {
      const reduction = rng.pick(draft.reductions)
      const value: Expression = { _tag: "Reduced", reduction, dtype: reduction.dtype }
      stages.push({ _tag: "Close", stores: [draft.store(value, rank)] })
    }
  }
  if (stages.length === 0 || draft.outputs.length === 0) {
    const value = draft.expression("float32", 2)
    stages.push({ _tag: "Map", stores: [draft.store(value, draft.shape.length)] })
  }
  const loop: Loop = { _tag: "Loop", name: "loop", outer, inner, stages }
  return { loop, inputs: draft.inputs, outputs: draft.outputs, inPlace: placed(loop, draft) }
}

/** Outputs that may lie where an input does: one that is read only in the stage of the store, at the same elements. */
const placed = (loop: Loop, draft: Draft): ReadonlyMap<Buffer, Buffer> => {
  const inPlace = new Map<Buffer, Buffer>()
  if (loop.stages.length !== 1 || loop.stages[0]._tag !== "Map") return inPlace
  const [{ at, buffer }] = loop.stages[0].stores
  for (const e of draft.pool) {
    if (
      e._tag === "Load" && e.dtype === buffer.dtype && e.at.offset === at.offset &&
      e.at.strides.every((stride, k) => stride === at.strides[k] || draft.shape[k] === 1)
    ) {
      inPlace.set(buffer, e.buffer)
      return inPlace
    }
  }
  return inPlace
}
