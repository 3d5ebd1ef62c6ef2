/**
 * Initializers: functions from a key, a shape and a dtype to the first value of a parameter. `jax.nn.initializers` in
 * camelCase: the same formulas and constants, with the same rounding, so that a key gives the parameters that it gives
 * there.
 *
 * Those that scale with a parameter's shape count its *fans*: how many inputs reach an output, and how many outputs an
 * input. In a shape, the axis before the last one is that of the inputs, the last one that of the outputs, and all
 * others (those of a convolution's window) multiply both.
 */
import { closedProgram } from "../Program/build.ts"
import * as control from "../Program/control.ts"
import type { VariableMetadata } from "../Ref/variableMetadata.ts"
import * as DType from "../Tensor/DType.ts"
import { ShapeError } from "../Tensor/errors.ts"
import { nearest } from "../Tensor/float16.ts"
import * as lax from "../Tensor/lax/index.ts"
import { mul, sub } from "../Tensor/numpy/elementwise.ts"
import { moveaxis, reshape } from "../Tensor/numpy/shaping.ts"
import {
  normal as standardNormal,
  truncatedNormal as standardTruncated,
  uniform as unit
} from "../Tensor/random/index.ts"
import * as Shape from "../Tensor/Shape.ts"
import * as ShapedArray from "../Tensor/ShapedArray.ts"
import { literal, type Tensor } from "../Tensor/Tensor.ts"

/**
 * Makes the first value of a parameter: from a key (uint32[2]), a shape and a dtype (float32 by default) an array of
 * them.
 *
 * @category models
 * @since 0.1.0
 */
export type Initializer = (key: Tensor, shape: Shape.Shape, dtype?: DType.DType) => Tensor

/**
 * An initializer for a parameter of a layer, which may give metadata and hooks with the value (`withMetadata`).
 *
 * @category models
 * @since 0.1.0
 */
export type ParameterInitializer = (
  key: Tensor,
  shape: Shape.Shape,
  dtype?: DType.DType
) => Tensor | VariableMetadata<Tensor>

/** A number as a dtype has it. */
const rounded = (x: number, dtype: DType.DType): number => dtype === "float32" ? Math.fround(x) : nearest(x, dtype)

const filled = (value: number, shape: Shape.Shape, dtype: DType.DType): Tensor =>
  lax.broadcastTo(literal(rounded(value, dtype), dtype), Shape.check("initializer", shape))

/** Times a number that the dtype has. */
const times = (x: Tensor, factor: number): Tensor => mul(x, literal(factor, x.dtype))

/**
 * All zeros.
 *
 * @category constant
 * @since 0.1.0
 */
export const zeros: Initializer = (_, shape, dtype = "float32") => filled(0, shape, dtype)

/**
 * All ones.
 *
 * @category constant
 * @since 0.1.0
 */
export const ones: Initializer = (_, shape, dtype = "float32") => filled(1, shape, dtype)

/** The initializer `zeros`, as Flax spells it. */
export const zerosInit = (): Initializer => zeros

/** The initializer `ones`, as Flax spells it. */
export const onesInit = (): Initializer => ones

/** Options of initializers that take nothing but a dtype. */
export interface InitializerOptions {
  /** The dtype where the layer names none: float32 by default. */
  readonly dtype?: DType.DType | undefined
}

/**
 * One value everywhere.
 *
 * @category constant
 * @since 0.1.0
 */
export const constant =
  (value: number, options: InitializerOptions = {}): Initializer => (_, shape, dtype = options.dtype ?? "float32") =>
    filled(value, shape, dtype)

/**
 * Uniform on [0, scale); `scale` is 0.01 by default.
 *
 * @category random
 * @since 0.1.0
 */
export const uniform =
  (scale = 1e-2, options: InitializerOptions = {}): Initializer => (key, shape, dtype = options.dtype ?? "float32") =>
    times(unit(key, shape, { dtype }), rounded(scale, dtype))

/** Normal numbers times `scale`: (√2 · scale) · erf⁻¹(u), in this order. */
const scaledNormal = (key: Tensor, shape: Shape.Shape, dtype: DType.DType, scale: number): Tensor => {
  const u = unit(key, shape, { dtype, minval: DType.finfo(dtype).eps / 2 - 1, maxval: 1 })
  return times(lax.erfInv(u), rounded(rounded(Math.SQRT2, dtype) * scale, dtype))
}

/**
 * Normal with mean 0 and the standard deviation `stddev`, 0.01 by default.
 *
 * @category random
 * @since 0.1.0
 */
export const normal =
  (stddev = 1e-2, options: InitializerOptions = {}): Initializer => (key, shape, dtype = options.dtype ?? "float32") =>
    scaledNormal(key, shape, dtype, rounded(stddev, dtype))

/** Options of `truncatedNormal`. */
export interface TruncatedNormalOptions extends InitializerOptions {
  /** In standard deviations: -2 by default. */
  readonly lower?: number | undefined
  /** In standard deviations: 2 by default. */
  readonly upper?: number | undefined
}

/**
 * Normal, with what lies outside of `lower` and `upper` standard deviations drawn again. `stddev`, 0.01 by default, is
 * that of the normal distribution before: the result's is smaller.
 *
 * @category random
 * @since 0.1.0
 */
export const truncatedNormal =
  (stddev = 1e-2, options: TruncatedNormalOptions = {}): Initializer =>
  (key, shape, dtype = options.dtype ?? "float32") =>
    times(standardTruncated(key, options.lower ?? -2, options.upper ?? 2, shape, { dtype }), rounded(stddev, dtype))

/** Which fan the variance is divided by; `fan_avg` is their mean, `fan_geo_avg` their geometric mean. */
export type FanMode = "fan_in" | "fan_out" | "fan_avg" | "fan_geo_avg"

/** How numbers are distributed: normal within two standard deviations, normal, or uniform around 0. */
export type Distribution = "truncated_normal" | "normal" | "uniform"

/** Options of the initializers that scale with the shape. */
export interface FanOptions extends InitializerOptions {
  /** The axes of the inputs: the one before the last by default. */
  readonly inAxis?: number | ReadonlyArray<number> | undefined
  /** The axes of the outputs: the last by default. */
  readonly outAxis?: number | ReadonlyArray<number> | undefined
  /** Axes along which parameters are stacked, and which count for nothing. */
  readonly batchAxis?: number | ReadonlyArray<number> | undefined
}

const fans = (shape: Shape.Shape, { batchAxis = [], inAxis = -2, outAxis = -1 }: FanOptions) => {
  const sizeOf = (axes: number | ReadonlyArray<number>): number =>
    (typeof axes === "number" ? [axes] : axes).reduce((n, at) => n * (shape.at(at) ?? Number.NaN), 1)
  const [into, out, batch] = [sizeOf(inAxis), sizeOf(outAxis), sizeOf(batchAxis)]
  if (Number.isNaN(into * out * batch)) {
    throw new ShapeError({
      operation: "initializer",
      expected: "a shape with an axis of inputs and one of outputs",
      found: Shape.format(shape),
      hint: "name them with inAxis and outAxis, or use another initializer"
    })
  }
  const denominator = into * out * batch
  const field = denominator === 0 ? 0 : Shape.size(shape) / denominator
  return { into: into * field, out: out * field }
}

const denominators: Readonly<Record<FanMode, (fan: ReturnType<typeof fans>) => number>> = {
  fan_in: ({ into }) => into,
  fan_out: ({ out }) => out,
  fan_avg: ({ into, out }) => (into + out) / 2,
  fan_geo_avg: ({ into, out }) => Math.sqrt(into * out)
}

/** The standard deviation of a standard normal that is truncated at -2 and 2. */
const truncatedDeviation = 0.87962566103423978

/**
 * Random numbers of mean 0 and variance `scale` / n, where n is the fan that `mode` names.
 *
 * Fails with a `ShapeError` for a shape without the axes that fans are counted by.
 *
 * @category random
 * @since 0.1.0
 */
export const varianceScaling = (
  scale: number,
  mode: FanMode,
  distribution: Distribution,
  options: FanOptions = {}
): Initializer =>
(key, shape, dtype = options.dtype ?? "float32") => {
  const denominator = denominators[mode](fans(shape, options))
  const variance = rounded(denominator === 0 ? 0 : scale / denominator, dtype)
  const deviation = rounded(Math.sqrt(variance), dtype)
  switch (distribution) {
    case "truncated_normal": {
      const wider = rounded(deviation / rounded(truncatedDeviation, dtype), dtype)
      return times(standardTruncated(key, -2, 2, shape, { dtype }), wider)
    }
    case "normal":
      return scaledNormal(key, shape, dtype, deviation)
    case "uniform": {
      const bound = rounded(Math.sqrt(rounded(3 * variance, dtype)), dtype)
      return times(unit(key, shape, { dtype, minval: -1 }), bound)
    }
  }
}

const scaling = (scale: number, mode: FanMode, distribution: Distribution) => (options?: FanOptions): Initializer =>
  varianceScaling(scale, mode, distribution, options)

/**
 * Uniform with variance 2 / (inputs + outputs): Glorot and Bengio, "Understanding the difficulty of training deep
 * feedforward neural networks", 2010.
 *
 * @category random
 * @since 0.1.0
 */
export const glorotUniform: (options?: FanOptions) => Initializer = scaling(1, "fan_avg", "uniform")

/**
 * Normal within two standard deviations, with variance 2 / (inputs + outputs).
 *
 * @category random
 * @since 0.1.0
 */
export const glorotNormal: (options?: FanOptions) => Initializer = scaling(1, "fan_avg", "truncated_normal")

/** Another name of `glorotUniform`. */
export const xavierUniform = glorotUniform

/** Another name of `glorotNormal`. */
export const xavierNormal = glorotNormal

/**
 * Uniform with variance 1 / inputs: LeCun et al., "Efficient backprop", 1998.
 *
 * @category random
 * @since 0.1.0
 */
export const lecunUniform: (options?: FanOptions) => Initializer = scaling(1, "fan_in", "uniform")

/**
 * Normal within two standard deviations, with variance 1 / inputs. Flax's default for kernels.
 *
 * @category random
 * @since 0.1.0
 */
export const lecunNormal: (options?: FanOptions) => Initializer = scaling(1, "fan_in", "truncated_normal")

/**
 * Uniform with variance 2 / inputs: He et al., "Delving deep into rectifiers", 2015.
 *
 * @category random
 * @since 0.1.0
 */
export const heUniform: (options?: FanOptions) => Initializer = scaling(2, "fan_in", "uniform")

/**
 * Normal within two standard deviations, with variance 2 / inputs.
 *
 * @category random
 * @since 0.1.0
 */
export const heNormal: (options?: FanOptions) => Initializer = scaling(2, "fan_in", "truncated_normal")

/** Another name of `heUniform`. */
export const kaimingUniform = heUniform

/** Another name of `heNormal`. */
export const kaimingNormal = heNormal

/** Options of `orthogonal` and `deltaOrthogonal`. */
export interface OrthogonalOptions extends InitializerOptions {
  /** The axis of the columns that are orthogonal: the last by default. */
  readonly columnAxis?: number | undefined
}

/**
 * The rows of a matrix made orthonormal, one after the other: each loses what lies in the span of those before it,
 * twice (once is not enough in floating point: Giraud et al., 2005), and gets length 1. This is the Q of a QR
 * decomposition of the transpose whose R has a positive diagonal.
 */
const orthonormalRows = (rows: Tensor): Tensor => {
  const [count, length] = rows.shape
  const int = (n: number) => literal(n, "int32")
  const body = closedProgram(
    "orthogonal",
    [rows.aval, ShapedArray.make([], "int32"), ShapedArray.make([length], rows.dtype)],
    ([done, at, row]) => {
      const product = (x: Tensor, y: Tensor, axis: number) =>
        lax.dotGeneral(x, y, { contracting: [[axis], [0]], batch: [[], []] })
      const reject = (v: Tensor) => sub(v, product(done, product(done, v, 1), 0))
      const left = reject(reject(row))
      const unitRow = mul(left, lax.rsqrt(lax.reduceSum(lax.square(left), 0)))
      return [lax.dynamicUpdateSlice(done, reshape(unitRow, [1, length]), [at, int(0)]), lax.add(at, int(1))]
    }
  )
  const none = lax.broadcastTo(literal(0, rows.dtype), rows.shape)
  const parameters = { program: body, length: count, reverse: false, num_consts: 0, num_carry: 2, unroll: 1 }
  return control.scan(parameters, [none, int(0), rows]).outputs[0]
}

/** A random matrix with orthonormal columns, or rows if they are fewer: `jax.random.orthogonal`. */
const orthogonalMatrix = (key: Tensor, rows: number, columns: number, dtype: DType.DType): Tensor => {
  const long = Math.max(rows, columns)
  const short = Math.min(rows, columns)
  const z = lax.convertElementType(standardNormal(key, [long, short], { dtype }), "float32")
  const transposed = lax.convertElementType(orthonormalRows(lax.transpose(z, [1, 0])), dtype)
  return rows < columns ? transposed : lax.transpose(transposed, [1, 0])
}

/**
 * Uniformly distributed orthogonal matrices times `scale`: the columns along `columnAxis` are orthonormal, or if there
 * are more of them than rows, the rows. Mezzadri, "How to generate random matrices from the classical compact groups",
 * 2007.
 *
 * Fails with a `ShapeError` for fewer than two axes.
 *
 * @category random
 * @since 0.1.0
 */
export const orthogonal =
  (scale = 1, options: OrthogonalOptions = {}): Initializer => (key, shape, dtype = options.dtype ?? "float32") => {
    if (shape.length < 2) {
      throw new ShapeError({
        operation: "orthogonal",
        expected: "a shape of two axes or more",
        found: Shape.format(shape),
        hint: "use another initializer"
      })
    }
    if (Shape.size(shape) === 0) return zeros(key, shape, dtype)
    const at = Shape.axis("orthogonal", options.columnAxis ?? -1, shape.length)
    const columns = shape[at]
    const matrix = orthogonalMatrix(key, Shape.size(shape) / columns, columns, dtype)
    const ordered = moveaxis(reshape(matrix, [...Shape.without(shape, [at]), columns]), -1, at)
    return times(ordered, rounded(scale, dtype))
  }

/**
 * Convolution kernels that are an orthogonal matrix in the middle of the window and 0 elsewhere: Xiao et al.,
 * "Dynamical isometry and a mean field theory of CNNs", 2018.
 *
 * Fails with a `ShapeError` unless there are one to three window axes, and at least as many outputs as inputs.
 *
 * @category random
 * @since 0.1.0
 */
export const deltaOrthogonal =
  (scale = 1, options: OrthogonalOptions = {}): Initializer => (key, shape, dtype = options.dtype ?? "float32") => {
    const window = shape.slice(0, -2)
    const [inputs, outputs] = shape.slice(-2)
    if (window.length < 1 || window.length > 3 || outputs < inputs) {
      throw new ShapeError({
        operation: "deltaOrthogonal",
        expected: "[window…, inputs, outputs] with one to three window axes, and no fewer outputs than inputs",
        found: Shape.format(shape),
        hint: "use orthogonal"
      })
    }
    const matrix = orthogonal(scale, options)(key, [inputs, outputs], dtype)
    const middle = window.map((k) => literal(Math.floor((k - 1) / 2), "int32"))
    const start = [...middle, literal(0, "int32"), literal(0, "int32")]
    return lax.dynamicUpdateSlice(
      zeros(key, shape, dtype),
      reshape(matrix, [...window.map(() => 1), inputs, outputs]),
      start
    )
  }
