/**
 * Plain arrays in JavaScript memory, and what kernels over them look like. Elements are numbers: the 16-bit floats are
 * held in a Float32Array, rounded to their type after every operation; bool is a byte of 0 or 1.
 */
import type { EquationOf } from "../../../Program/Program.ts"
import type { DType, TypedArray } from "../../../Tensor/DType.ts"
import * as DTypes from "../../../Tensor/DType.ts"
import * as float16 from "../../../Tensor/float16.ts"
import * as Shape from "../../../Tensor/Shape.ts"
import type { ComputedPrimitive } from "../Device.ts"

/** From the inputs' elements to the outputs'. An output may be an input's array, or a view of it. */
export type CpuRun = (inputs: ReadonlyArray<TypedArray>) => ReadonlyArray<TypedArray>

/** A kernel over plain arrays. Outputs of 16-bit floats need not be rounded. */
export type CpuKernel<P extends ComputedPrimitive> = (equation: EquationOf<P>) => CpuRun

/** Kernels of some primitives. */
export type CpuKernels<P extends ComputedPrimitive> = { readonly [K in P]: CpuKernel<K> }

/** An allocation that did not fit. */
export class AllocationFailed extends Error {
  readonly bytes: number
  constructor(bytes: number) {
    super(`could not allocate ${bytes} bytes`)
    this.bytes = bytes
  }
}

/** Is it held in another form than host storage has? */
export const isHalf = (dtype: DType): boolean => dtype === "float16" || dtype === "bfloat16"

/** Fresh zeros for `length` elements. */
export const allocate = (dtype: DType, length: number): TypedArray => {
  const held = isHalf(dtype) ? "float32" : dtype
  try {
    return DTypes.allocate(held, length)
  } catch (thrown) {
    if (thrown instanceof RangeError) throw new AllocationFailed(length * DTypes.byteSize(held))
    throw thrown
  }
}

/** Rounds elements to a 16-bit float type, in place. */
export const roundTo = (data: TypedArray, dtype: DType): void => {
  if (isHalf(dtype)) { for (let i = 0; i < data.length; i++) data[i] = float16.nearest(data[i], dtype) }
}

/** Fresh zeros for an equation's output. */
export const outputOf = (
  equation: {
    readonly outputs: ReadonlyArray<{ readonly aval: { readonly shape: Shape.Shape; readonly dtype: DType } }>
  },
  index = 0
): TypedArray => {
  const { dtype, shape } = equation.outputs[index].aval
  return allocate(dtype, Shape.size(shape))
}

/** A place in an array from which elements are read or written with steps. */
export interface Strided {
  readonly data: TypedArray
  readonly offset: number
  readonly strides: ReadonlyArray<number>
}

const copyLine = (
  to: TypedArray,
  at: number,
  step: number,
  from: TypedArray,
  start: number,
  stride: number,
  n: number
) => {
  if (step === 1 && stride === 0) {
    to.fill(from[start], at, at + n)
  } else if (step === 1 && stride === 1 && n > 32) {
    to.set(from.subarray(start, start + n), at)
  } else {
    for (let i = 0; i < n; i++) to[at + i * step] = from[start + i * stride]
  }
}

/** Calls `line(positions)` for every index over `shape`, positions being offsets plus index times strides. */
export const odometer = (
  shape: Shape.Shape,
  offsets: ReadonlyArray<number>,
  strides: ReadonlyArray<ReadonlyArray<number>>,
  line: (positions: ReadonlyArray<number>) => void
): void => {
  if (Shape.size(shape) === 0) return
  const rank = shape.length
  const index = shape.map(() => 0)
  const positions = [...offsets]
  for (;;) {
    line(positions)
    let axis = rank - 1
    for (; axis >= 0; axis--) {
      index[axis]++
      for (let k = 0; k < positions.length; k++) positions[k] += strides[k][axis]
      if (index[axis] < shape[axis]) break
      for (let k = 0; k < positions.length; k++) positions[k] -= strides[k][axis] * shape[axis]
      index[axis] = 0
    }
    if (axis < 0) return
  }
}

/** Copies elements from one strided place to another, over `shape`. */
export const copyStrided = (shape: Shape.Shape, to: Strided, from: Strided): void => {
  const rank = shape.length
  if (rank === 0) {
    to.data[to.offset] = from.data[from.offset]
    return
  }
  // Neighbouring axes that both sides step over evenly are one axis.
  const sizes: Array<number> = []
  const steps: Array<number> = []
  const strides: Array<number> = []
  for (let i = 0; i < rank; i++) {
    const last = sizes.length - 1
    if (shape[i] === 1 && rank > 1) continue
    if (last >= 0 && steps[last] === to.strides[i] * shape[i] && strides[last] === from.strides[i] * shape[i]) {
      sizes[last] *= shape[i]
      steps[last] = to.strides[i]
      strides[last] = from.strides[i]
    } else {
      sizes.push(shape[i])
      steps.push(to.strides[i])
      strides.push(from.strides[i])
    }
  }
  const n = sizes.pop() ?? 1
  const step = steps.pop() ?? 1
  const stride = strides.pop() ?? 1
  odometer(
    sizes,
    [to.offset, from.offset],
    [steps, strides],
    ([at, start]) => copyLine(to.data, at, step, from.data, start, stride, n)
  )
}

/** The elements at a strided place, row-major, in an array of their own. */
export const contiguous = (dtype: DType, shape: Shape.Shape, from: Strided): TypedArray => {
  const out = allocate(dtype, Shape.size(shape))
  copyStrided(shape, { data: out, offset: 0, strides: Shape.strides(shape) }, from)
  return out
}

/** The elements with axis `permutation[i]` as axis i; the same array when nothing moves. */
export const permute = (
  data: TypedArray,
  dtype: DType,
  shape: Shape.Shape,
  permutation: ReadonlyArray<number>
): TypedArray => {
  const moving = permutation.filter((a) => shape[a] !== 1)
  if (moving.every((a, i) => i === 0 || a > moving[i - 1])) return data
  const strides = Shape.strides(shape)
  return contiguous(dtype, permutation.map((a) => shape[a]), {
    data,
    offset: 0,
    strides: permutation.map((a) => strides[a])
  })
}
