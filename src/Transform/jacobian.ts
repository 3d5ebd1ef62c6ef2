/**
 * Whole derivative matrices, made of many directional derivatives at once: `vmap` over a basis of tangents (forward) or
 * cotangents (reverse).
 *
 * The Jacobian of a function from an array of shape `n` to an array of shape `m` has the shape `[...m, ...n]`.
 */
import * as Effect from "effect/Effect"
import * as DType from "../Tensor/DType.ts"
import { DTypeError, ShapeError } from "../Tensor/errors.ts"
import * as Lax from "../Tensor/lax/index.ts"
import * as ShapedArray from "../Tensor/ShapedArray.ts"
import { isTensor, type Tensor } from "../Tensor/Tensor.ts"
import type { TransformError } from "./attempt.ts"
import { jvp, vjp } from "./autodiff.ts"
import type { Traceable, Traced } from "./types.ts"
import { vmap } from "./vmap.ts"

/** Options of the Jacobians. */
export interface JacobianOptions {
  /** The position of the argument to differentiate. By default 0. */
  readonly argnum?: number
}

/** The unit vectors of an array's shape: `[size, ...shape]`. */
const basis = (x: Tensor): Tensor => {
  const row = Lax.iota("int32", [x.size, x.size], 0)
  const column = Lax.iota("int32", [x.size, x.size], 1)
  return Lax.reshape(Lax.convertElementType(Lax.eq(row, column), x.dtype), [x.size, ...x.shape])
}

const argument = (
  transform: string,
  args: ReadonlyArray<unknown>,
  argnum: number
): Effect.Effect<Tensor, ShapeError | DTypeError> =>
  Effect.suspend((): Effect.Effect<Tensor, ShapeError | DTypeError> => {
    const x = args[argnum]
    if (!isTensor(x)) {
      return Effect.fail(
        new ShapeError({
          operation: transform,
          expected: `an array as argument ${argnum}`,
          found: typeof x,
          hint: "differentiate with respect to one array; flatten a tree, or use vjp"
        })
      )
    }
    return DType.isFloat(x.dtype) ? Effect.succeed(x) : Effect.fail(
      new DTypeError({
        operation: transform,
        expected: "a floating array",
        found: ShapedArray.format(x.aval),
        hint: "convert with astype"
      })
    )
  })

/** The function of one argument, the others being fixed. */
const along = <Args extends ReadonlyArray<unknown>, E, R>(
  f: Traceable<Args, Tensor, E, R>,
  args: Args,
  argnum: number
): Traceable<[Tensor], Tensor, E, R> =>
(x) => f(...(args.map((a, i): unknown => i === argnum ? x : a) as unknown as Args))

/**
 * The Jacobian of a function of arrays, column by column (forward mode): good for few inputs and many outputs.
 *
 * f takes an array (argument `argnum`) of any shape `n` and gives an array of shape `m`; the Jacobian has shape `[...m,
 * ...n]`.
 *
 * @category transforms
 * @since 0.1.0
 */
export const jacfwd = <Args extends ReadonlyArray<unknown>, E, R>(
  f: Traced<Args, Tensor, E, R>,
  options: JacobianOptions = {}
) =>
(...args: Args): Effect.Effect<Tensor, E | TransformError, R> =>
  Effect.gen(function*() {
    const argnum = options.argnum ?? 0
    const x = yield* argument("jacfwd", args, argnum)
    const g: Traceable<[Tensor], Tensor, E, R> = along<Args, E, R>(f, args, argnum)
    const push: Traceable<[Tensor], Tensor, E | TransformError, R> = (t) =>
      Effect.map(jvp(g as Traced<[Tensor], Tensor, E, R>, [x], [t]), ([, tangent]) => tangent)
    const columns = yield* vmap(push as Traced<[Tensor], Tensor, E | TransformError, R>, { outAxes: -1 })(basis(x))
    return Lax.reshape(columns, [...columns.shape.slice(0, -1), ...x.shape])
  })

/**
 * The Jacobian of a function of arrays, row by row (reverse mode): good for many inputs and few outputs. See `jacfwd`.
 *
 * @category transforms
 * @since 0.1.0
 */
export const jacrev = <Args extends ReadonlyArray<unknown>, E, R>(
  f: Traced<Args, Tensor, E, R>,
  options: JacobianOptions = {}
) =>
(...args: Args): Effect.Effect<Tensor, E | TransformError, R> =>
  Effect.gen(function*() {
    const argnum = options.argnum ?? 0
    const x = yield* argument("jacrev", args, argnum)
    const g: Traceable<[Tensor], Tensor, E, R> = along<Args, E, R>(f, args, argnum)
    const [y, back] = yield* vjp(g as Traced<[Tensor], Tensor, E, R>, x)
    const pull: Traceable<[Tensor], Tensor, TransformError, never> = (ct) => Effect.map(back(ct), ([grad]) => grad)
    const rows = yield* vmap(pull)(basis(y))
    return Lax.reshape(rows, [...y.shape, ...x.shape])
  })

/**
 * The matrix of second derivatives of a function of an array: shape `[...m, ...n, ...n]`, for a scalar function `[...n,
 * ...n]`. Forward over reverse.
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 * import * as Cpu from "linum/backend/tfjs-cpu"
 *
 * const f = (x: nnx.Tensor.Tensor) => Effect.succeed(x.pow(3).sum())
 * const program = Effect.flatMap(nnx.hessian(f)(nnx.Tensor.array([1, 2])), nnx.Tensor.toNested)
 * console.log(await Effect.runPromise(program.pipe(Effect.provide(Cpu.layer)))) // => [ [ 6, 0 ], [ 0, 12 ] ]
 * ```
 *
 * @category transforms
 * @since 0.1.0
 */
export const hessian = <Args extends ReadonlyArray<unknown>, E, R>(
  f: Traced<Args, Tensor, E, R>,
  options: JacobianOptions = {}
): (...args: Args) => Effect.Effect<Tensor, E | TransformError, R> => {
  const gradient: Traceable<Args, Tensor, E | TransformError, R> = jacrev<Args, E, R>(f, options)
  return jacfwd<Args, E | TransformError, R>(gradient as Traced<Args, Tensor, E | TransformError, R>, options)
}
