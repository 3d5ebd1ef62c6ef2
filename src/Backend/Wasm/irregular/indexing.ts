/**
 * Kernels whose positions are computed: dynamic slices, gather and the scatters. Gather and scatter share one addressing:
 * an index vector gives the address of a slice in the operand, and along the slice elements are visited in steps.
 */
import type { EquationOf } from "../../../Program/Program.ts"
import * as DTypes from "../../../Tensor/DType.ts"
import { defaultFill } from "../../../Tensor/lax/indexing.ts"
import * as Shape from "../../../Tensor/Shape.ts"
import type { Code, Local } from "../assembler/index.ts"
import type { Emission, Emitted } from "../emission.ts"
import type { Buffer, Irregular, Operand } from "../ir.ts"
import { bitsOf, Builder, isConstant, stepsOf } from "./Builder.ts"
import { type Combine, combine, combineVectors, type Numbers, numbersOf } from "./numbers.ts"
import { type Axis, copyBlock, fillBlock, fillRun, merged, points, visit, walk } from "./walk.ts"

/** Pushes an index, moved into 0 to `limit`. */
const clamped = (c: Code, index: Local, limit: number, signed: boolean): void => {
  const top = () => c.get(index).i32(limit).get(index).i32(limit).op("i32.lt_u").op("select")
  if (!signed) top()
  // A negative index is larger than the limit as an unsigned number.
  else c.get(index).i32(0).op("i32.lt_s").if(() => c.i32(0), () => void top(), "i32")
}

const axesOf = (sizes: Shape.Shape, ...steps: ReadonlyArray<ReadonlyArray<number>>): ReadonlyArray<Axis> =>
  sizes.map((size, i) => ({ size, steps: steps.map((s) => s[i]) }))

/** Moves an address to the slice at computed starts, clamped so that it fits. */
const moveToSlice = (
  b: Builder,
  address: Local,
  starts: ReadonlyArray<Operand>,
  shape: Shape.Shape,
  sizes: Shape.Shape,
  steps: ReadonlyArray<number>
): void => {
  const c = b.code
  const index = c.local("i32", "index")
  starts.forEach((start, axis) => {
    if (shape[axis] === sizes[axis]) return
    c.get(b.address(start, "start")).load("i32.load").set(index).get(address)
    clamped(c, index, shape[axis] - sizes[axis], start.dtype === "int32")
    c.i32(steps[axis]).op("i32.mul").op("i32.add").set(address)
  })
}

/** Writes one slice of an array. */
export const dynamicSlice = (
  e: Emission,
  { inputs: [x, ...starts], name, outputs: [out] }: Irregular,
  equation: EquationOf<"dynamic_slice">
): Emitted => {
  const b = new Builder(e, name)
  const { shape } = equation.inputs[0].aval
  const { slice_sizes: sizes } = equation.params
  const width = DTypes.byteSize(out.dtype)
  const from = b.address(x, "from")
  const to = b.address(out, "to")
  const steps = stepsOf(x, shape)
  moveToSlice(b, from, starts, shape, sizes, steps)
  copyBlock(b.code, axesOf(sizes, stepsOf(out, sizes), steps), [to, from], width)
  return b.emitted(out.size === 0 ? 0 : 1, 20 + out.size * width / 8)
}

/** Puts the operand where the result is to be, unless it is there already. */
const begin = (b: Builder, operand: Operand, out: Buffer, to: Local): void => {
  const width = DTypes.byteSize(out.dtype)
  const c = b.code
  if (isConstant(operand)) {
    fillRun(c, to, out.size, width, () => c.i32(bitsOf(operand.value, operand.dtype)))
    return
  }
  const [from, at] = [b.place(operand), b.place(out)]
  if (from.slot === at.slot && from.offset === at.offset) return
  c.get(to).get(b.address(operand, "operand")).i32(out.size * width).copy()
}

/** Writes an array with one slice replaced; in place when both arrays have one place. */
export const dynamicUpdateSlice = (
  e: Emission,
  { inputs: [x, update, ...starts], name, outputs: [out] }: Irregular,
  equation: EquationOf<"dynamic_update_slice">
): Emitted => {
  const b = new Builder(e, name)
  const [shape, sizes] = equation.inputs.map((a) => a.aval.shape)
  const width = DTypes.byteSize(out.dtype)
  const to = b.address(out, "to")
  begin(b, x, out, to)
  const steps = stepsOf(out, shape)
  if (Shape.size(sizes) > 0) {
    moveToSlice(b, to, starts, shape, sizes, steps)
    copyBlock(b.code, axesOf(sizes, steps, stepsOf(update, sizes)), [to, b.address(update, "from")], width)
  }
  return b.emitted(out.size === 0 ? 0 : 1, 20 + (out.size + Shape.size(sizes)) * width / 8)
}

/** How index vectors address an operand. */
interface Addressing {
  readonly operand: Shape.Shape
  readonly sliceSizes: Shape.Shape
  /** Operand axes that the components of an index vector count along. */
  readonly indexed: ReadonlyArray<number>
  /** Operand axes that follow axes of the batch: [operand axis, batch axis]. */
  readonly batched: ReadonlyArray<readonly [number, number]>
  /** Sizes of the axes over index vectors. */
  readonly batch: Shape.Shape
  readonly clips: boolean
  /** Steps of the operand, and of the windows' array along the batch. */
  readonly steps: ReadonlyArray<number>
  readonly windowSteps: ReadonlyArray<number>
}

/**
 * With `window` and `slice` at the first elements of both arrays, moves them to those of the index vector `unit`, and
 * calls `inside`, or `outside` if the slice does not fit.
 */
const address = (
  b: Builder,
  a: Addressing,
  indices: Operand,
  unit: Local,
  { slice, window }: { readonly slice: Local; readonly window: Local },
  inside: () => void,
  outside: () => void
): void => {
  const c = b.code
  const batch = a.batch.map((size, k): Axis => {
    const along = a.batched.find(([, axis]) => axis === k)
    return { size, steps: [a.windowSteps[k], along === undefined ? 0 : a.steps[along[0]]] }
  })
  b.positions(unit, batch, [window, slice])
  const components = a.indexed.length
  const vector = c.local("i32", "vector")
  const index = c.local("i32", "index")
  const step = isConstant(indices) ? 0 : 4
  c.get(b.address(indices, "indices")).get(unit).i32(components * step).op("i32.mul").op("i32.add").set(vector)
  const limits = a.indexed.map((axis) => a.operand[axis] - a.sliceSizes[axis])
  const move = (clip: boolean) =>
    a.indexed.forEach((axis, k) => {
      c.get(vector).load("i32.load", k * step).set(index).get(slice)
      if (clip) clamped(c, index, limits[k], indices.dtype === "int32")
      else c.get(index)
      c.i32(a.steps[axis]).op("i32.mul").op("i32.add").set(slice)
    })
  if (a.clips || components === 0) {
    move(a.clips)
    inside()
    return
  }
  limits.forEach((limit, k) => {
    c.get(vector).load("i32.load", k * step).i32(limit).op("i32.le_u")
    if (k > 0) c.op("i32.and")
  })
  c.if(() => {
    move(false)
    inside()
  }, outside)
}

/** Slices of an array at computed positions. A unit is one index vector. */
export const gather = (
  e: Emission,
  { inputs: [x, indices], name, outputs: [out] }: Irregular,
  equation: EquationOf<"gather">
): Emitted => {
  const b = new Builder(e, name)
  const c = b.code
  const { dimension_numbers: d, fill_value: fill, mode, slice_sizes: sliceSizes } = equation.params
  const [operand, at] = equation.inputs.map((a) => a.aval.shape)
  const outShape = equation.outputs[0].aval.shape
  const width = DTypes.byteSize(out.dtype)
  const outSteps = stepsOf(out, outShape)
  const steps = stepsOf(x, operand)
  const batchAxes = Shape.range(outShape.length).filter((i) => !d.offset_dims.includes(i))
  const kept = Shape.range(operand.length).filter((axis) =>
    !d.collapsed_slice_dims.includes(axis) && !d.operand_batching_dims.includes(axis)
  )
  const window = kept.map((axis, k): Axis => ({
    size: sliceSizes[axis],
    steps: [outSteps[d.offset_dims[k]], steps[axis]]
  }))
  const batch = at.slice(0, -1)
  const addressing: Addressing = {
    operand,
    sliceSizes,
    indexed: d.start_index_map,
    batched: d.operand_batching_dims.map((axis, i) => [axis, d.start_indices_batching_dims[i]]),
    batch,
    clips: mode !== "fill_or_drop",
    steps,
    windowSteps: batchAxes.map((axis) => outSteps[axis])
  }
  const source = b.address(x, "x")
  const target = b.address(out, "out")
  b.units((unit) => {
    const slice = b.copyOf(source, "slice")
    const to = b.copyOf(target, "to")
    const filler = bitsOf(fill ?? defaultFill(out.dtype), out.dtype)
    address(
      b,
      addressing,
      indices,
      unit,
      { slice, window: to },
      () => copyBlock(c, window, [to, slice], width),
      () =>
        fillBlock(c, window.map(({ size, steps: [step] }) => ({ size, steps: [step] })), to, width, () => c.i32(filler))
    )
  })
  return b.emitted(out.size === 0 ? 0 : Shape.size(batch), Shape.size(batch) * (4 + points(window) * width / 8))
}

/** The five scatters. */
export type Scatter = "scatter" | "scatter_add" | "scatter_mul" | "scatter_min" | "scatter_max"

const combines: Readonly<Record<Scatter, Combine | undefined>> = {
  scatter: undefined,
  scatter_add: "add",
  scatter_mul: "mul",
  scatter_min: "min",
  scatter_max: "max"
}

/** Where updates are combined: a 16-bit float in float32, and rounded once at the end. */
interface Sums {
  readonly address: Local
  readonly numbers: Numbers
}

/**
 * An array with slices written or combined at computed positions, one after the other; in place when both arrays have
 * one place.
 */
export const scatter = (
  e: Emission,
  { inputs: [x, indices, updates], name, outputs: [out] }: Irregular,
  equation: EquationOf<Scatter>
): Emitted => {
  const b = new Builder(e, name)
  const c = b.code
  const { dimension_numbers: d, mode } = equation.params
  const [operand, at, updateShape] = equation.inputs.map((a) => a.aval.shape)
  const how = combines[equation.primitive]
  const wide = how !== undefined && DTypes.isFloat(out.dtype) && out.dtype !== "float32"
  const numbers = numbersOf(e, out.dtype)
  const target = b.address(out, "out")
  begin(b, x, out, target)
  const sums: Sums = wide
    ? { address: b.scratch(out.size * 4, "sums"), numbers: numbersOf(e, "float32") }
    : { address: target, numbers }
  const convert = (from: Sums, to: Sums) => {
    const moving = [b.copyOf(to.address), b.copyOf(from.address)]
    walk(c, [{ size: out.size, steps: [to.numbers.bytes, from.numbers.bytes] }], moving, () => {
      to.numbers.store(from.numbers.load(c.get(moving[0]).get(moving[1])))
    })
  }
  if (wide) convert({ address: target, numbers }, sums)
  const width = sums.numbers.bytes
  const steps = Shape.strides(operand).map((s) => s * width)
  const updateSteps = stepsOf(updates, updateShape)
  const inserted = new Set([...d.inserted_window_dims, ...d.operand_batching_dims])
  const kept = Shape.range(operand.length).filter((axis) => !inserted.has(axis))
  const window = kept.map((axis, k): Axis => ({
    size: updateShape[d.update_window_dims[k]],
    steps: [steps[axis], updateSteps[d.update_window_dims[k]]]
  }))
  const batchAxes = Shape.range(updateShape.length).filter((i) => !d.update_window_dims.includes(i))
  const batch = at.slice(0, -1)
  const addressing: Addressing = {
    operand,
    sliceSizes: operand.map((_, axis) => inserted.has(axis) ? 1 : window[kept.indexOf(axis)].size),
    indexed: d.scatter_dims_to_operand_dims,
    batched: d.operand_batching_dims.map((axis, i) => [axis, d.scatter_indices_batching_dims[i]]),
    batch,
    // A scatter that is not clipped drops what does not fit.
    clips: mode === "clip",
    steps,
    windowSteps: batchAxes.map((axis) => updateSteps[axis])
  }
  const count = Shape.size(updateShape) === 0 ? 0 : Shape.size(batch)
  const source = b.address(updates, "updates")
  const n = c.local("i32", "n")
  c.i32(0).set(n)
  if (count > 0) {
    c.loop((again) => {
      const slice = b.copyOf(sums.address, "slice")
      const from = b.copyOf(source, "from")
      const write = () => combineBlock(c, window, [slice, from], sums.numbers, numbers, how)
      address(b, addressing, indices, n, { slice, window: from }, write, () => {})
      c.get(n).i32(1).op("i32.add").tee(n).i32(count).op("i32.lt_u").brIf(again)
    })
  }
  if (wide) convert(sums, { address: target, numbers })
  return b.emitted(out.size === 0 ? 0 : 1, count * (6 + points(window) * width / 6) + out.size * width / 8)
}

/** Writes or combines a block; the addresses are [target, source]. */
const combineBlock = (
  c: Code,
  axes: ReadonlyArray<Axis>,
  [target, source]: readonly [Local, Local],
  to: Numbers,
  from: Numbers,
  how: Combine | undefined
): void => {
  if (how === undefined) {
    copyBlock(c, axes, [target, source], to.bytes)
    return
  }
  const single = () => {
    to.load(c.get(target).get(target))
    from.load(c.get(source))
    to.store(combine(c, to, how))
  }
  if (to.bytes === 4 && from.bytes === 4) {
    const vector = () => {
      c.get(target).get(target).load("v128.load").get(source).load("v128.load")
      combineVectors(c, to, how).store("v128.store")
    }
    visit(c, axes, [target, source], vector, single)
  } else walk(c, merged(axes), [target, source], single)
}
