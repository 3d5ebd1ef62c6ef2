// JAX's names for our functions: how a golden case calls them. Arguments come in as Tensors, numbers and lists;
// Python's keywords come in as options in camelCase.
import type { DType } from "../../../src/Tensor/DType.ts"
import * as T from "../../../src/Tensor/index.ts"
import type { Tensor, TensorLike } from "../../../src/Tensor/index.ts"
import { literal } from "../../../src/Tensor/Tensor.ts"

// What a golden file says is trusted to have the right type for the function of that name.
// oxlint-disable-next-line typescript/no-explicit-any
type Anything = any

export type Options = Readonly<Record<string, Anything>>

export type Result = Tensor | ReadonlyArray<Tensor>

/** A golden case as a call: positional arguments, and keywords as options. */
export type Call = (args: ReadonlyArray<Anything>, options: Options) => Result

type Unary = (x: TensorLike) => Tensor

const unary = (f: Unary): Call => ([x]) => f(x)
const binary = (f: (x: TensorLike, y: TensorLike) => Result): Call => ([x, y]) => f(x, y)
const withOptions = (f: (x: Tensor, options: Anything) => Result): Call => ([x], options) => f(x, options)
/** The number that a Python float was. */
const scalarOf = (a: number | Tensor): number =>
  T.isTensor(a) ? (a.source._tag === "Literal" ? a.source.value : Number.NaN) : a

const elementwise: Readonly<Record<string, Call>> = {
  "jnp.abs": unary(T.abs),
  "jnp.negative": unary(T.negative),
  "jnp.positive": unary(T.positive),
  "jnp.sign": unary(T.sign),
  "jnp.floor": unary(T.floor),
  "jnp.ceil": unary(T.ceil),
  "jnp.trunc": unary(T.trunc),
  "jnp.rint": unary(T.rint),
  "jnp.round": ([x], { decimals }) => T.round(x, decimals),
  "jnp.exp": unary(T.exp),
  "jnp.exp2": unary(T.exp2),
  "jnp.expm1": unary(T.expm1),
  "jnp.log": unary(T.log),
  "jnp.log2": unary(T.log2),
  "jnp.log10": unary(T.log10),
  "jnp.log1p": unary(T.log1p),
  "jnp.sqrt": unary(T.sqrt),
  "jnp.cbrt": unary(T.cbrt),
  "jnp.square": unary(T.square),
  "jnp.reciprocal": unary(T.reciprocal),
  "jnp.sin": unary(T.sin),
  "jnp.cos": unary(T.cos),
  "jnp.tan": unary(T.tan),
  "jnp.arcsin": unary(T.arcsin),
  "jnp.arccos": unary(T.arccos),
  "jnp.arctan": unary(T.arctan),
  "jnp.sinh": unary(T.sinh),
  "jnp.cosh": unary(T.cosh),
  "jnp.tanh": unary(T.tanh),
  "jnp.arcsinh": unary(T.arcsinh),
  "jnp.arccosh": unary(T.arccosh),
  "jnp.arctanh": unary(T.arctanh),
  "jnp.isnan": unary(T.isnan),
  "jnp.isinf": unary(T.isinf),
  "jnp.isfinite": unary(T.isfinite),
  "jnp.isneginf": unary(T.isneginf),
  "jnp.isposinf": unary(T.isposinf),
  "jnp.signbit": unary(T.signbit),
  "jnp.deg2rad": unary(T.deg2rad),
  "jnp.rad2deg": unary(T.rad2deg),
  "jnp.sinc": unary(T.sinc),
  "jnp.nan_to_num": withOptions(T.nanToNum),
  "jnp.logical_not": unary(T.logicalNot),
  "jnp.bitwise_not": unary(T.bitwiseNot),
  "jnp.fabs": unary(T.fabs),
  "lax.rsqrt": unary(T.rsqrt),
  "lax.erf": unary(T.erf),
  "lax.erfc": unary(T.erfc),
  "lax.erf_inv": unary(T.erfInv),
  "lax.lgamma": unary(T.lgamma),
  "lax.digamma": unary(T.digamma),
  "lax.stop_gradient": unary(T.stopGradient),
  "jnp.add": binary(T.add),
  "jnp.subtract": binary(T.subtract),
  "jnp.multiply": binary(T.multiply),
  "jnp.true_divide": binary(T.trueDivide),
  "jnp.floor_divide": binary(T.floorDivide),
  "jnp.remainder": binary(T.remainder),
  "jnp.fmod": binary(T.fmod),
  "jnp.power": binary(T.power),
  "jnp.maximum": binary(T.maximum),
  "jnp.minimum": binary(T.minimum),
  "jnp.fmax": binary(T.fmax),
  "jnp.fmin": binary(T.fmin),
  "jnp.arctan2": binary(T.arctan2),
  "jnp.hypot": binary(T.hypot),
  "jnp.logaddexp": binary(T.logaddexp),
  "jnp.logaddexp2": binary(T.logaddexp2),
  "jnp.copysign": binary(T.copysign),
  "jnp.heaviside": binary(T.heaviside),
  "jnp.nextafter": binary(T.nextafter),
  "jnp.divmod": binary(T.divmod),
  "jnp.logical_and": binary(T.logicalAnd),
  "jnp.logical_or": binary(T.logicalOr),
  "jnp.logical_xor": binary(T.logicalXor),
  "jnp.equal": binary(T.equal),
  "jnp.not_equal": binary(T.notEqual),
  "jnp.less": binary(T.less),
  "jnp.less_equal": binary(T.lessEqual),
  "jnp.greater": binary(T.greater),
  "jnp.greater_equal": binary(T.greaterEqual),
  "jnp.bitwise_and": binary(T.bitwiseAnd),
  "jnp.bitwise_or": binary(T.bitwiseOr),
  "jnp.bitwise_xor": binary(T.bitwiseXor),
  "jnp.left_shift": binary(T.leftShift),
  "jnp.right_shift": binary(T.rightShift),
  "jnp.where": ([c, x, y]) => T.where(c, x, y),
  "jnp.select": ([conditions, choices], options) => T.select(conditions, choices, options["default"]),
  "jnp.clip": ([x, low, high], { min = null, max = null }) => T.clip(x, low ?? min, high ?? max)
}

const reductions: Readonly<Record<string, Call>> = {
  "jnp.sum": withOptions(T.sum),
  "jnp.prod": withOptions(T.prod),
  "jnp.mean": withOptions(T.mean),
  "jnp.var": withOptions(T.var),
  "jnp.std": withOptions(T.std),
  "jnp.max": withOptions(T.max),
  "jnp.min": withOptions(T.min),
  "jnp.argmax": withOptions(T.argmax),
  "jnp.argmin": withOptions(T.argmin),
  "jnp.all": withOptions(T.all),
  "jnp.any": withOptions(T.any),
  "jnp.ptp": withOptions(T.ptp),
  "jnp.count_nonzero": withOptions(T.countNonzero),
  "jnp.average": withOptions(T.average),
  "jnp.median": withOptions(T.median),
  "jnp.quantile": ([x, q], options) => T.quantile(x as Tensor, scalarOf(q), options),
  "jnp.nansum": withOptions(T.nansum),
  "jnp.nanmean": withOptions(T.nanmean),
  "jnp.nanvar": withOptions(T.nanvar),
  "jnp.nanstd": withOptions(T.nanstd),
  "jnp.nanprod": withOptions(T.nanprod),
  "jnp.nanmax": withOptions(T.nanmax),
  "jnp.nanmin": withOptions(T.nanmin),
  "jnp.cumsum": withOptions(T.cumsum),
  "jnp.cumprod": withOptions(T.cumprod),
  "jnp.diff": ([x, n], options) => T.diff(x, { ...options, n: options["n"] ?? n })
}

const products: Readonly<Record<string, Call>> = {
  "jnp.matmul": ([x, y], options) => T.matmul(T.lift(x as TensorLike), T.lift(y as TensorLike), options as Options),
  "jnp.dot": ([x, y], options) => T.dot(x, y, options),
  "jnp.inner": ([x, y]) => T.inner(x as Tensor, y as Tensor),
  "jnp.outer": ([x, y]) => T.outer(x, y),
  "jnp.vdot": ([x, y]) => T.vdot(x as Tensor, y as Tensor),
  "jnp.kron": ([x, y]) => T.kron(x, y),
  "jnp.tensordot": ([x, y], { axes }) => T.tensordot(x, y, axes)
}

const range = (...args: ReadonlyArray<Anything>): Result => {
  const numbers = args.map(scalarOf)
  const whole = args.every(Number.isInteger)
  const [a, b, c] = numbers
  const dtype: DType = whole ? "int32" : "float32"
  return numbers.length === 1
    ? T.arange(a, dtype)
    : numbers.length === 2
    ? T.arange(a, b, dtype)
    : T.arange(a, b, c, dtype)
}

const making: Readonly<Record<string, Call>> = {
  "jnp.arange": (args, { dtype }) => dtype === undefined ? range(...args) : T.astype(range(...args) as Tensor, dtype),
  "jnp.linspace": ([start, stop, num], options) => T.linspace(start, stop, num, options),
  "jnp.eye": ([n, m], options) => T.eye(n, m ?? n, options),
  "jnp.tri": ([n, m, k = 0]) => T.tri(n, m ?? n, { k }),
  "jnp.identity": ([n]) => T.identity(n),
  "jnp.zeros": ([shape], { dtype }) => T.zeros(shape, dtype),
  "jnp.ones": ([shape], { dtype }) => T.ones(shape, dtype),
  "jnp.zeros_like": ([x]) => T.zerosLike(x),
  "jnp.ones_like": ([x]) => T.onesLike(x),
  "jnp.full": ([shape, value], options) => T.full(shape, value, options),
  "jnp.full_like": ([x, value]) => T.fullLike(x, value),
  "jnp.meshgrid": (xs, options) => T.meshgrid(xs, options)
}

const shaping: Readonly<Record<string, Call>> = {
  "jnp.reshape": ([x, shape]) => T.reshape(x, shape),
  "jnp.ravel": ([x]) => T.ravel(x),
  "jnp.transpose": ([x], { axes }) => T.transpose(x as Tensor, axes ?? undefined),
  "jnp.matrix_transpose": ([x]) => T.matrixTranspose(x),
  "jnp.moveaxis": ([x, s, d]) => T.moveaxis(x, s, d),
  "jnp.swapaxes": ([x, a, b]) => T.swapaxes(x, a, b),
  "jnp.expand_dims": ([x, axis]) => T.expandDims(x as Tensor, axis),
  "jnp.squeeze": ([x], { axis }) => T.squeeze(x as Tensor, axis),
  "jnp.broadcast_to": ([x, shape]) => T.broadcastTo(x as Tensor, shape),
  "jnp.broadcast_arrays": (xs) => T.broadcastArrays(...xs),
  "jnp.atleast_1d": ([x]) => T.atleast1d(x),
  "jnp.atleast_2d": ([x]) => T.atleast2d(x),
  "jnp.rot90": ([x]) => T.rot90(x as Tensor),
  "jnp.flip": ([x], { axis }) => T.flip(x as Tensor, axis),
  "jnp.roll": ([x, shift], { axis }) => T.roll(x as Tensor, shift, axis),
  "jnp.concatenate": ([xs], { axis = 0 }) => T.concatenate(xs, axis),
  "jnp.stack": ([xs], { axis = 0 }) => T.stack(xs, axis),
  "jnp.hstack": ([xs]) => T.hstack(xs),
  "jnp.vstack": ([xs]) => T.vstack(xs),
  "jnp.column_stack": ([xs]) => T.columnStack(xs),
  "jnp.append": ([x, y]) => T.append(x, y),
  "jnp.split": ([x, cuts], { axis = 0 }) => T.split(x as Tensor, cuts, axis),
  "jnp.array_split": ([x, cuts]) => T.arraySplit(x as Tensor, cuts),
  "jnp.unstack": ([x], { axis }) => T.unstack(x as Tensor, axis),
  "jnp.tile": ([x, reps]) => T.tile(x, reps),
  "jnp.pad": ([x, width], options) => T.pad(x, width, options),
  "jnp.tril": ([x], { k }) => T.tril(x, k),
  "jnp.triu": ([x], { k }) => T.triu(x, k),
  "jnp.diag": ([x], { k }) => T.diag(x, k),
  "jnp.diagonal": ([x], options) => T.diagonal(x, options),
  "jnp.trace": ([x], options) => T.trace(x, options),
  "jnp.sort": withOptions(T.sort),
  "jnp.argsort": withOptions(T.argsort),
  "jnp.searchsorted": ([a, v], options) => T.searchsorted(a, v, options),
  "lax.top_k": ([x, k]) => T.topK(x, k)
}

/** The whole table. */
export const calls: Readonly<Record<string, Call>> = {
  ...elementwise,
  ...reductions,
  ...products,
  ...making,
  ...shaping
}

/** Python's float, which JavaScript cannot tell from an int when it is whole. */
export const float = (value: number): TensorLike => Number.isInteger(value) ? literal(value, "float32", true) : value

const f = float

/** Operators with a Python scalar, as the golden file writes them. */
export const operators: Readonly<Record<string, (x: Tensor) => Result>> = {
  "x+1": (x) => T.add(x, 1),
  "x+1.5": (x) => T.add(x, 1.5),
  "1-x": (x) => T.sub(1, x),
  "x*2": (x) => T.mul(x, 2),
  "x*True": (x) => T.mul(x, true),
  "x/2": (x) => T.div(x, 2),
  "1/x": (x) => T.div(1, x),
  "x//2": (x) => T.floorDivide(x, 2),
  "x//-2": (x) => T.floorDivide(x, -2),
  "x%3": (x) => T.mod(x, 3),
  "x%-3": (x) => T.mod(x, -3),
  "7%x": (x) => T.mod(7, x),
  "x**0": (x) => T.pow(x, 0),
  "x**2": (x) => T.pow(x, 2),
  "x**3": (x) => T.pow(x, 3),
  "x**-1": (x) => T.pow(x, -1),
  "x**-2": (x) => T.pow(x, -2),
  "x**0.5": (x) => T.pow(x, 0.5),
  "x**2.0": (x) => T.pow(x, f(2)),
  "2**x": (x) => T.pow(2, x),
  "2.0**x": (x) => T.pow(f(2), x),
  "-x": T.neg,
  "+x": T.positive,
  "~x": T.bitwiseNot,
  "abs(x)": T.abs,
  "x>0": (x) => T.gt(x, 0),
  "x==1": (x) => T.eq(x, 1),
  "x!=x": (x) => T.ne(x, x),
  "x&6": (x) => T.bitwiseAnd(x, 6),
  "x|1": (x) => T.bitwiseOr(x, 1),
  "x^3": (x) => T.bitwiseXor(x, 3),
  "x<<2": (x) => T.leftShift(x, 2),
  "x>>1": (x) => T.rightShift(x, 1),
  "divmod(x,3)": (x) => T.divmod(x, 3)
}
