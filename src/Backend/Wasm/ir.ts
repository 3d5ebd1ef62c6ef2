/**
 * The compiler's own language: kernels over buffers. A Program becomes a list of *steps*; a step runs a *kernel* (a
 * fused loop, a matrix product, a convolution, or one of the irregular operations) or holds other steps (loops,
 * branches). It says nothing of memory: `plan.ts` gives every buffer its place, `emit` writes the functions.
 *
 * **Loop kernels** are index spaces with expressions. A kernel has *outer* dimensions, which are independent (their
 * points are the *rows*, and may run in parallel), and *inner* ones, which every row goes through stage by stage:
 *
 * ```text
 * softmax of x[1024,1024]          outer [1024], inner [1024]
 *   reduce  m = max x[i,j]
 *   reduce  s = sum exp(x[i,j] - m)
 *   map     y[i,j] = exp(x[i,j] - m) / s
 * ```
 *
 * An elementwise kernel has one stage and no inner dimension.
 */
import type { HostArray } from "../../Program/control.ts"
import type { Equation } from "../../Program/Program.ts"
import type { DType } from "../../Tensor/DType.ts"
import type { Shape } from "../../Tensor/Shape.ts"
import type { ShapedArray } from "../../Tensor/ShapedArray.ts"

/** Elements in row-major order. Two buffers are the same only if they are the same object. */
export interface Buffer {
  readonly dtype: DType
  readonly size: number
  /** For printing: `b3`. */
  readonly name: string
  /** A row's own memory, in the thread's: written and read by one row of one kernel. */
  readonly local?: boolean
}

/** How a value is computed: as one of four lanes of a vector. A bool is a mask: all bits, or none. */
export type Lane = "f32" | "i32" | "u32" | "bool"

/** The lane in which elements of a dtype are computed. Narrow floats are computed in f32, narrow integers in 32 bits. */
export const laneOf = (dtype: DType): Lane => {
  switch (dtype) {
    case "float16":
    case "bfloat16":
    case "float32":
    case "float64":
      return "f32"
    case "int32":
    case "int8":
      return "i32"
    case "uint32":
    case "uint8":
      return "u32"
    case "bool":
      return "bool"
  }
}

/**
 * An element of a buffer as a function of the kernel's indices: `offset + sum strides[d] * index[d]`, in elements, over
 * outer and then inner dimensions. Strides may be 0 (broadcast) or negative (reversal).
 */
export interface Affine {
  readonly offset: number
  readonly strides: ReadonlyArray<number>
}

/** Are two functions of the same indices equal? */
export const sameAffine = (a: Affine, b: Affine): boolean =>
  a.offset === b.offset && a.strides.every((s, d) => s === b.strides[d])

/** A text that is equal for affine functions that are equal. */
export const keyOf = (a: Affine): string => `${a.offset}:${a.strides.join(",")}`

/** Operations on one element, by their names in `jax.lax`; their meaning is that of the primitive, for every dtype. */
export type Op =
  | Exclude<
    keyof import("../../Tensor/lax/elementwise.ts").Params,
    "copy" | "stop_gradient" | "convert_element_type" | "bitcast_convert_type" | "integer_pow" | "select_n"
  >
  /** (condition, whenTrue, whenFalse) */
  | "select"
  /** The two results of a threefry2x32 block of (key0, key1, x0, x1). */
  | "threefry_0"
  | "threefry_1"

/**
 * A value for every point of the index space. Expressions are graphs: one that is used twice is computed once.
 * `dtype` is that of the value: narrow types are rounded (float16, bfloat16) or wrapped (int8, uint8) after every
 * operation.
 */
export type Expression =
  | { readonly _tag: "Load"; readonly buffer: Buffer; readonly at: Affine; readonly dtype: DType }
  /** The element whose number the i32 expression gives; it is in range. */
  | { readonly _tag: "LoadAt"; readonly buffer: Buffer; readonly index: Expression; readonly dtype: DType }
  | { readonly _tag: "Constant"; readonly value: number; readonly dtype: DType }
  /** `offset + stride * index[dimension]`, int32 (before conversion). */
  | { readonly _tag: "Index"; readonly at: Affine; readonly dtype: "int32" }
  | { readonly _tag: "Apply"; readonly op: Op; readonly args: ReadonlyArray<Expression>; readonly dtype: DType }
  | { readonly _tag: "Power"; readonly x: Expression; readonly y: number; readonly dtype: DType }
  | { readonly _tag: "Convert"; readonly x: Expression; readonly dtype: DType }
  /** The same bits; both dtypes have one width. */
  | { readonly _tag: "Bitcast"; readonly x: Expression; readonly dtype: DType }
  /** What an earlier reduction of the same row gave. */
  | { readonly _tag: "Reduced"; readonly reduction: Reduction; readonly dtype: DType }
  /** In an epilogue: the element of the product that is about to be stored. */
  | { readonly _tag: "Product"; readonly dtype: DType }

/** How a reduction combines values. */
export type Combine = "sum" | "prod" | "max" | "min" | "and" | "or"

/** A reduction over the inner dimensions: one value a row. Floats are accumulated in f32. */
export interface Reduction {
  readonly _tag: "Reduce"
  readonly combine: Combine
  readonly value: Expression
  readonly dtype: DType
}

/** Writes the value to a buffer. */
export interface Store {
  readonly buffer: Buffer
  readonly at: Affine
  readonly value: Expression
}

/**
 * What every row does, in order: a stage sees what the row itself stored in earlier ones. An expression that several
 * stages share is computed once for each element if it is dear. `Close` is done once a row, after what stands before it; its
 * strides are outer ones.
 */
export type Stage =
  | Reduction
  | { readonly _tag: "Map"; readonly stores: ReadonlyArray<Store> }
  | { readonly _tag: "Close"; readonly stores: ReadonlyArray<Store> }

/** A fused loop. */
export interface Loop {
  readonly _tag: "Loop"
  readonly name: string
  readonly outer: Shape
  readonly inner: Shape
  readonly stages: ReadonlyArray<Stage>
}

/** Several loops that depend on nothing of each other, run as one kernel: an optimizer over all its parameters. */
export interface Group {
  readonly _tag: "Group"
  readonly name: string
  readonly loops: ReadonlyArray<Loop>
}

/** A matrix among the operands of a product: `element = offset + batch·strides.batch + row·… + column·…`. */
export interface Matrix {
  readonly buffer: Buffer
  readonly offset: number
  readonly batch: ReadonlyArray<number>
  readonly row: number
  readonly column: number
}

/**
 * `out[b, i, j] = sum over k of x[b, i, k] * y[b, k, j]`. The epilogue's stores see the index space (batch…, i, j) and the
 * element as `Product`; without one the product goes to `out` itself.
 */
export interface Dot {
  readonly _tag: "Dot"
  readonly name: string
  readonly batch: Shape
  readonly m: number
  readonly n: number
  readonly k: number
  readonly x: Matrix
  readonly y: Matrix
  /** Dense, of shape (batch…, m, n): where the product is accumulated. Float32, or int32 for integer products. */
  readonly out: Buffer
  readonly epilogue: ReadonlyArray<Store>
}

/** A convolution, as in `jax.lax`, float32; `out` and the epilogue as in a product, over the shape of the result. */
export interface Convolution {
  readonly _tag: "Convolution"
  readonly name: string
  readonly equation: Extract<Equation, { readonly primitive: "conv_general_dilated" }>
  readonly x: Buffer
  readonly y: Buffer
  readonly out: Buffer
  readonly epilogue: ReadonlyArray<Store>
}

/** An operation that is no loop over an index space: sort, scatter, windows, cumulative sums, … */
export interface Irregular {
  readonly _tag: "Irregular"
  readonly name: string
  readonly equation: Equation
  readonly inputs: ReadonlyArray<Operand>
  readonly outputs: ReadonlyArray<Buffer>
}

/** Elements in memory, or one number for all. */
export type Operand = Buffer | { readonly value: number; readonly dtype: DType }

/** One kernel. */
export type Kernel = Loop | Group | Dot | Convolution | Irregular

/** A value that a loop carries: `current` is what the body reads, `next` what it writes; never one buffer. */
export interface Carry {
  readonly init: Buffer
  readonly current: Buffer
  readonly next: Buffer
  /** Where it is after the loop. */
  readonly result: Buffer
}

/** A slice along axis 0 of a whole array, as a buffer of its own: its address moves with the iteration. */
export interface Slice {
  readonly whole: Buffer
  readonly slice: Buffer
}

/** One step of a Program. What a body reads of the outside, it reads from the outer buffers themselves. */
export type Step =
  | { readonly _tag: "Run"; readonly kernel: Kernel }
  | {
    readonly _tag: "Scan"
    readonly length: number
    readonly reverse: boolean
    readonly carries: ReadonlyArray<Carry>
    readonly xs: ReadonlyArray<Slice>
    readonly ys: ReadonlyArray<Slice>
    readonly body: ReadonlyArray<Step>
  }
  | {
    readonly _tag: "While"
    readonly carries: ReadonlyArray<Carry>
    readonly condition: ReadonlyArray<Step>
    /** One bool, written by `condition`, which reads the carries' `current`. */
    readonly holds: Buffer
    readonly body: ReadonlyArray<Step>
  }
  | {
    readonly _tag: "Cond"
    /** One int32; out of range means the nearest branch. */
    readonly index: Buffer
    /** Every branch writes the same output buffers. */
    readonly branches: ReadonlyArray<ReadonlyArray<Step>>
    readonly outputs: ReadonlyArray<Buffer>
  }
  | {
    readonly _tag: "Callback"
    readonly inputs: ReadonlyArray<Operand>
    readonly callback: (values: ReadonlyArray<HostArray>) => void
    readonly avals: ReadonlyArray<ShapedArray>
  }

/**
 * A Program in the compiler's language. `inputs[i]` is undefined when nobody reads it. An output is a buffer of its own,
 * which no other output is, or hands an input through, or is a number.
 */
export interface Compiled {
  readonly inputs: ReadonlyArray<Buffer | undefined>
  readonly steps: ReadonlyArray<Step>
  readonly outputs: ReadonlyArray<
    | { readonly _tag: "Buffer"; readonly buffer: Buffer }
    | { readonly _tag: "Input"; readonly index: number }
    | { readonly _tag: "Constant"; readonly value: number }
  >
}
