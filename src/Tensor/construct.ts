/**
 * Making arrays: from JavaScript values (`array`, `asarray`), and from rules (`zeros`, `full`, `arange`, `linspace`,
 * `eye`).
 *
 * Values are copied, once, into host memory. Rules compute nothing: `zeros([1000, 1000])` is an equation. Where a dtype
 * is wanted, a bare dtype may stand in for the options: `zeros([2, 3], "int32")`.
 */
import * as DType from "./DType.ts"
import { DTypeError, ShapeError } from "./errors.ts"
import { encode } from "./float16.ts"
import * as lax from "./lax/index.ts"
import { type ShapeLike, toShape } from "./numpy/arguments.ts"
import { constant, filled, inexactPair } from "./numpy/promotion.ts"
import { astype, broadcastTo, moveaxis } from "./numpy/shaping.ts"
import * as Shape from "./Shape.ts"
import * as ShapedArray from "./ShapedArray.ts"
import { fromHost, isTensor, lift, type Tensor, type TensorLike } from "./Tensor.ts"

/** Numbers or booleans in nested arrays. */
export type Nested = number | boolean | ReadonlyArray<Nested>

/** The element type; a bare dtype may stand in for the options. */
export interface CreateOptions {
  readonly dtype?: DType.DType | undefined
}

/** Options of `array`. */
export interface ArrayOptions extends CreateOptions {
  /** The shape, for the elements of a TypedArray: one axis when left out. */
  readonly shape?: ShapeLike | undefined
}

const dtypeOf = (options: CreateOptions | DType.DType | undefined): DType.DType | undefined => {
  const dtype = typeof options === "string" ? options : options?.dtype
  return dtype === undefined ? undefined : DType.check("dtype", dtype)
}

// --- from values ---

const isTypedArray = (u: unknown): u is DType.TypedArray => ArrayBuffer.isView(u) && !(u instanceof DataView)

const describe = (value: unknown): string =>
  Array.isArray(value) ? `a list of ${value.length}` : isTensor(value) ? "a Tensor" : `a ${typeof value}`

/** The shape that nested arrays have along their first elements. */
const shapeOf = (values: Nested): Shape.Shape => {
  const shape: Array<number> = []
  for (let v = values; Array.isArray(v); v = v[0]) {
    shape.push(v.length)
    if (v.length === 0) break
  }
  return shape
}

/**
 * Calls `each` for every leaf, row-major. Fails with a `ShapeError` at the first row that does not have its sisters'
 * shape.
 */
const visit = (values: Nested, shape: Shape.Shape, each: (leaf: number | boolean) => void): void => {
  const go = (value: Nested, depth: number, path: string): void => {
    if (depth === shape.length && (typeof value === "number" || typeof value === "boolean")) return each(value)
    if (depth === shape.length || !Array.isArray(value) || value.length !== shape[depth]) {
      throw new ShapeError({
        operation: "array",
        expected: depth === shape.length
          ? "a number or boolean, as in the first row"
          : `a list of ${shape[depth]}, as the first row has`,
        found: `${describe(value)} at values${path}`,
        hint: isTensor(value) ? "join Tensors with stack or concatenate" : "nested lists must be rectangular"
      })
    }
    for (let i = 0; i < value.length; i++) go(value[i], depth + 1, `${path}[${i}]`)
  }
  go(values, 0, "")
}

const fromNested = (values: Nested, dtype: DType.DType | undefined): Tensor => {
  const shape = shapeOf(values)
  const leaves: Array<number> = []
  let booleans = true
  visit(values, shape, (leaf) => {
    if (typeof leaf === "number") booleans = false
    leaves.push(Number(leaf))
  })
  const to = dtype ?? (booleans && leaves.length > 0 ? "bool" : "float32")
  return fromHost(ShapedArray.make(shape, to), stored(leaves, to))
}

/** The numbers as a dtype stores them. */
const stored = (numbers: ArrayLike<number>, dtype: DType.DType): DType.TypedArray => {
  const data = DType.allocate(dtype, numbers.length)
  for (let i = 0; i < numbers.length; i++) data[i] = encode(numbers[i], dtype)
  return data
}

/** A TypedArray's elements as those of `dtype`, copied. 16 bits an element are raw bits of one of the 16-bit floats. */
const fromTyped = (data: DType.TypedArray, options: ArrayOptions): Tensor => {
  const own = DType.ofTypedArray(data)
  const dtype = options.dtype ?? (own === "float64" ? "float32" : own)
  const raw = own === undefined
  if (dtype === undefined || (raw && dtype !== "float16" && dtype !== "bfloat16")) {
    throw new DTypeError({
      operation: "array",
      expected: "dtype \"float16\" or \"bfloat16\" for a Uint16Array, which holds their raw bits",
      found: String(dtype),
      hint: "give { dtype }, or use another TypedArray"
    })
  }
  const shape = Shape.check("array", toShape(options.shape ?? [data.length]))
  if (Shape.size(shape) !== data.length) {
    throw new ShapeError({
      operation: "array",
      expected: `a shape of ${data.length} elements`,
      found: Shape.format(shape),
      hint: "sizes must multiply to the length of the data"
    })
  }
  const same = raw || (own === dtype && DType.fits(dtype, data))
  return fromHost(ShapedArray.make(shape, dtype), same ? data.slice() : stored(data, dtype))
}

/**
 * An array of JavaScript values, copied: nested lists of numbers or booleans, a TypedArray (with `shape`), or one
 * number.
 *
 * Numbers are float32 and booleans bool unless `dtype` says otherwise. A TypedArray keeps its element type (a
 * Float64Array becomes float32, unless float64 is asked for); a Uint16Array holds raw bits of `dtype` float16 or
 * bfloat16.
 *
 * Fails with a `ShapeError` that names the place where nested lists are not rectangular.
 *
 * ```ts import.meta.vitest
 * import { Tensor } from "linum"
 *
 * const x = Tensor.array([[1, 2], [3, 4]])
 * console.log(String(x))
 * // => Array([[1., 2.],
 * //        [3., 4.]], dtype=float32)
 * console.log(String(Tensor.array(new Int32Array([1, 2, 3, 4]), { shape: [2, 2] })))
 * // => Array([[1, 2],
 * //        [3, 4]], dtype=int32)
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const array = (values: Nested | DType.TypedArray | Tensor, options?: ArrayOptions | DType.DType): Tensor => {
  const settings: ArrayOptions = typeof options === "string" ? { dtype: options } : options ?? {}
  if (isTensor(values)) return settings.dtype === undefined ? values : astype(values, settings.dtype)
  if (isTypedArray(values)) return fromTyped(values, settings)
  const made = fromNested(values, settings.dtype)
  return settings.shape === undefined ? made : lax.reshape(made, toShape(settings.shape))
}

/** As `array`; a Tensor is given back as it is, or converted to `dtype`. */
export const asarray = array

// --- constant arrays ---

/** Zeros; float32 unless `dtype` says otherwise. */
export const zeros = (shape: ShapeLike, options?: CreateOptions | DType.DType): Tensor =>
  full(shape, 0, dtypeOf(options) ?? "float32")

/** Ones; float32 unless `dtype` says otherwise. */
export const ones = (shape: ShapeLike, options?: CreateOptions | DType.DType): Tensor =>
  full(shape, 1, dtypeOf(options) ?? "float32")

/**
 * One value everywhere; an array value is broadcast. A number makes float32, a boolean bool, an array its own dtype,
 * unless `dtype` says otherwise.
 */
export const full = (shape: ShapeLike, value: TensorLike, options?: CreateOptions | DType.DType): Tensor => {
  const dtype = dtypeOf(options)
  const to = Shape.check("full", toShape(shape))
  if (isTensor(value)) return broadcastTo(dtype === undefined ? value : astype(value, dtype), to)
  return lax.broadcastTo(scalar(Number(value), dtype ?? (typeof value === "number" ? "float32" : "bool")), to)
}

/** A constant as conversion makes it: integers truncate, bool is "not zero". */
const scalar = (value: number, dtype: DType.DType): Tensor =>
  constant(dtype === "bool" ? (value === 0 ? 0 : 1) : DType.isInteger(dtype) ? stored([value], dtype)[0] : value, dtype)

/** What has a shape and a dtype: an array, or an abstract value. */
export interface Template {
  readonly shape: Shape.Shape
  readonly dtype: DType.DType
  readonly weakType?: boolean
}

/** Options of the functions that imitate an array. */
export interface LikeOptions extends CreateOptions {
  readonly shape?: ShapeLike | undefined
}

/** One value everywhere, in the shape and dtype of another array. */
export const fullLike = (x: Template, value: TensorLike, options: LikeOptions = {}): Tensor => {
  const shape = options.shape === undefined ? x.shape : toShape(options.shape)
  const made = full(shape, value, options.dtype ?? x.dtype)
  const weak = options.dtype === undefined && x.weakType === true
  return weak ? lax.broadcastTo(constant(Number(value), x.dtype, true), shape) : made
}

/** Zeros in the shape and dtype of another array. */
export const zerosLike = (x: Template, options: LikeOptions = {}): Tensor => fullLike(x, 0, options)

/** Ones in the shape and dtype of another array. */
export const onesLike = (x: Template, options: LikeOptions = {}): Tensor => fullLike(x, 1, options)

// --- ranges ---

/**
 * Numbers from 0 to `stop` (exclusive), or from `start`, `step` apart. int32 when all arguments are whole, else
 * float32.
 */
export function arange(stop: number, options?: CreateOptions | DType.DType): Tensor
export function arange(start: number, stop: number, options?: CreateOptions | DType.DType): Tensor
export function arange(start: number, stop: number, step: number, options?: CreateOptions | DType.DType): Tensor
export function arange(...args: ReadonlyArray<number | CreateOptions | DType.DType | undefined>): Tensor {
  const numbers = args.filter((a) => typeof a === "number")
  const options = args.find((a) => typeof a !== "number")
  const [start, stop, step = 1] = numbers.length === 1 ? [0, numbers[0]] : numbers
  const dtype = dtypeOf(options) ?? (numbers.every(Number.isInteger) ? "int32" : "float32")
  if (step === 0 || !numbers.every(Number.isFinite)) {
    throw new ShapeError({
      operation: "arange",
      expected: "finite bounds and a step that is not 0",
      found: `[${numbers.join(", ")}]`,
      hint: "the length must be known"
    })
  }
  const size = Math.max(0, Math.ceil((stop - start) / step))
  // 16-bit floats count in float32, and bool in int32.
  const working = dtype === "bool" ? "int32" : DType.isFloat(dtype) && dtype !== "float64" ? "float32" : dtype
  const steps = lax.iota(working, [size], 0)
  const scaled = step === 1 ? steps : lax.mul(filled(steps, step), steps)
  const moved = start === 0 ? scaled : lax.add(filled(steps, start), scaled)
  return lax.convertElementType(moved, dtype)
}

/** Options of `linspace`. */
export interface LinspaceOptions extends CreateOptions {
  /** Is `stop` the last number (by default), or just beyond it? */
  readonly endpoint?: boolean | undefined
  /** The axis of the result that runs; for array bounds. 0 by default. */
  readonly axis?: number | undefined
}

/**
 * `num` numbers (50 by default), evenly spaced from `start` to `stop`. Array bounds broadcast; float32 unless given.
 */
export const linspace = (start: TensorLike, stop: TensorLike, num = 50, options: LinspaceOptions = {}): Tensor => {
  const { axis = 0, endpoint = true } = options
  const [low, high] = inexactPair("linspace", start, stop).map((x) => lax.convertElementType(x, x.dtype))
  const dtype = options.dtype ?? low.dtype
  const steps = endpoint ? num - 1 : num
  Shape.check("linspace", [num])
  const place = (out: Tensor): Tensor =>
    moveaxis(lax.convertElementType(DType.isInteger(dtype) ? lax.floor(out) : out, dtype), 0, axis)
  if (num <= 1) return place(lax.broadcastInDim(low, [num, ...low.shape], Shape.range(low.ndim).map((i) => i + 1)))
  const shape = [steps, ...low.shape]
  const i = lax.iota(low.dtype, shape, 0)
  const n = filled(i, steps)
  // Interpolating from both ends hits them exactly.
  const out = lax.add(
    lax.mul(lax.broadcastTo(low, shape), lax.sub(filled(i, 1), lax.div(i, n))),
    lax.mul(lax.div(lax.broadcastTo(high, shape), n), i)
  )
  return place(endpoint ? lax.concatenate([out, lax.reshape(high, [1, ...high.shape])], 0) : out)
}

// --- matrices ---

/** Options of `eye` and `tri`. */
export interface DiagonalCreateOptions extends CreateOptions {
  /** Which diagonal: 0 is the main one, 1 the next above. */
  readonly k?: number | undefined
}

/** Row and column numbers of an n × m matrix, the rows moved up by k. */
const grid = (n: number, m: number, k: number): readonly [rows: Tensor, columns: Tensor] => {
  const rows = lax.iota("int32", [n, m], 0)
  return [k === 0 ? rows : lax.add(rows, filled(rows, k)), lax.iota("int32", [n, m], 1)]
}

/** An n × m matrix (m is n when left out) with ones on a diagonal. float32 unless `dtype` says otherwise. */
export const eye = (n: number, m: number = n, options: DiagonalCreateOptions = {}): Tensor => {
  const [rows, columns] = grid(n, m, options.k ?? 0)
  return lax.convertElementType(lax.eq(rows, columns), options.dtype ?? "float32")
}

/** The n × n identity matrix. */
export const identity = (n: number, options?: CreateOptions | DType.DType): Tensor =>
  eye(n, n, { dtype: dtypeOf(options) })

/** An n × m matrix (m is n when left out) with ones on and below a diagonal. float32 unless `dtype` says otherwise. */
export const tri = (n: number, m: number = n, options: DiagonalCreateOptions = {}): Tensor => {
  const [rows, columns] = grid(n, m, options.k ?? 0)
  return lax.convertElementType(lax.ge(rows, columns), options.dtype ?? "float32")
}

/** Options of `meshgrid`. */
export interface MeshgridOptions {
  /**
   * `xy` (the default): the first array runs along axis 1, the second along axis 0. `ij`: array i runs along axis i.
   */
  readonly indexing?: "xy" | "ij" | undefined
  /** Keep size 1 along the other axes. */
  readonly sparse?: boolean | undefined
}

/** Coordinate arrays of the grid that vectors span, one for each. */
export const meshgrid = (xs: ReadonlyArray<TensorLike>, options: MeshgridOptions = {}): ReadonlyArray<Tensor> => {
  const { indexing = "xy", sparse = false } = options
  const vectors = xs.map(lift)
  if (vectors.some((v) => v.ndim > 1)) {
    throw new ShapeError({
      operation: "meshgrid",
      expected: "vectors",
      found: vectors.map((v) => ShapedArray.format(v.aval)).join(", "),
      hint: "use ravel"
    })
  }
  const axis = (i: number): number => indexing === "xy" && vectors.length > 1 && i < 2 ? 1 - i : i
  const sizes = vectors.map((_, i) => vectors[axis(i)].size)
  return vectors.map((v, i) => {
    const at = axis(i)
    const shape = sizes.map((d, j) => sparse && j !== at ? 1 : d)
    return lax.broadcastInDim(lax.reshape(v, [v.size]), shape, [at])
  })
}
