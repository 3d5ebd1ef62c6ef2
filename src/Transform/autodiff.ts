/**
 * Derivatives of functions: `grad` and its relatives. Each traces the function once, and works on its Program.
 *
 * With respect to a Module, the derivative is a State of its Variables that `wrt` selects (by default its Params); with
 * respect to arrays or a tree of arrays, it is the same tree.
 */
import * as Effect from "effect/Effect"
import { StructureError } from "../GraphDef/errors.ts"
import { innerMerge, type Leaf, outerSplit } from "../GraphDef/updateContext.ts"
import { CurrentTrace } from "../Program/Trace.ts"
import { isModule, type Module } from "../Ref/Module.ts"
import { cellOf, isVariable, Param } from "../Ref/Variable.ts"
import * as Filter from "../State/Filter.ts"
import { toKey } from "../State/Path.ts"
import * as State from "../State/State.ts"
import type { Covered, KindsOf, StateOf } from "../State/types.ts"
import * as DType from "../Tensor/DType.ts"
import { DTypeError, ShapeError, TraceError } from "../Tensor/errors.ts"
import * as ShapedArray from "../Tensor/ShapedArray.ts"
import type { Tensor } from "../Tensor/Tensor.ts"
import * as Tree from "../Tensor/Tree.ts"
import { attempt, throwing, type TransformError } from "./attempt.ts"
import { checkFloats, checkScalar, forward, ones, reverse } from "./derivatives.ts"
import { type Call, call, type SplitArguments, splitArguments } from "./lift.ts"
import type { Traceable, Traced } from "./types.ts"

/** With respect to what a function is differentiated. */
export interface GradOptions<N extends number | ReadonlyArray<number> = 0, F = typeof Param> {
  /** The position of the argument, or several. By default 0. */
  readonly argnums?: N
  /** Which Variables of Modules. By default their Params. */
  readonly wrt?: F
}

/**
 * The derivative with respect to a `T`: a State of a Module's Variables, or of those of a tree of Modules; a snapshot
 * of a Variable; else a tree like the argument.
 */
export type Gradient<T, F> = T extends
  { readonly "~linum/Variable": unknown; readonly kind: infer K; readonly ref: { readonly current: infer A } }
  ? State.VariableState<K, A>
  : T extends Module ? StateOf<T, Covered<KindsOf<T>, F>>
  : [Exclude<KindsOf<T>, "Array">] extends [never] ? T
  : StateOf<T, Covered<KindsOf<T>, F>>

/** The derivative with respect to one argument, or a tuple of them. */
export type Gradients<Args extends ReadonlyArray<unknown>, N, F> = N extends number ? Gradient<Args[N], F>
  : N extends ReadonlyArray<number> ?
    { readonly [I in keyof N]: N[I] extends keyof Args ? Gradient<Args[N[I]], F> : never }
  : never

/** One argument to differentiate: its active slots, and what puts their cotangents together. */
interface Active {
  /** Its number. */
  readonly path: string
  /** The kinds of Variables that it holds, if it is a model. */
  readonly kinds: ReadonlyArray<string> | undefined
  readonly slots: ReadonlyArray<number>
  readonly rebuild: (arrays: ReadonlyArray<Tensor>) => unknown
}

/** The arrays of a tree, of States too, in the order of traversals. */
const arraysOf = (tree: unknown): ReadonlyArray<Tensor> =>
  outerSplit(tree).leaves.flatMap((l) => l._tag === "Array" ? [l.tensor] : Tree.leaves(cellOf(l.variable).raw))

/** The tree with other arrays in it. */
const withArrays = (tree: unknown, arrays: ReadonlyArray<Tensor>): unknown =>
  innerMerge(outerSplit(tree).graphdef, arrays, undefined).value

/** Positions of each leaf's first slot. */
const offsets = (args: SplitArguments): ReadonlyArray<number> => {
  let at = 0
  return args.leaves.map((l) => (at += l.arrays.length) - l.arrays.length)
}

const position = (transform: string, argnum: number, count: number): number => {
  const at = argnum < 0 ? count + argnum : argnum
  if (Number.isInteger(at) && at >= 0 && at < count) return at
  throw new ShapeError({
    operation: transform,
    expected: `argnums within the ${count} arguments`,
    found: String(argnum),
    hint: "arguments count from 0"
  })
}

/**
 * The leaves of one argument, with paths inside it, and where its slots are. An object that an earlier argument holds
 * too has its slots there.
 */
const leavesOf = (arg: unknown, at: number, split: SplitArguments) => {
  const first = offsets(split)
  const home = new Map<unknown, number>()
  split.leaves.forEach(({ leaf }, i) => {
    if (leaf._tag === "Variable") home.set(leaf.variable, i)
    else if (leaf.path[0] === String(at)) home.set(toKey(leaf.path.slice(1)), i)
    else if (!home.has(leaf.tensor)) home.set(leaf.tensor, i)
  })
  return outerSplit([arg]).leaves.map((leaf) => {
    const path = leaf.path.slice(1)
    const i = leaf._tag === "Variable" ? home.get(leaf.variable) : home.get(toKey(path)) ?? home.get(leaf.tensor)
    if (i === undefined) throw new Error("an argument holds what the arguments together do not")
    return { ...split.leaves[i], leaf, path, first: first[i] }
  })
}

const isSelected = (wrt: Filter.Filter, path: ReadonlyArray<string>, leaf: Leaf): boolean =>
  leaf._tag === "Variable"
    ? Filter.matches(wrt, path, { ...cellOf(leaf.variable), value: cellOf(leaf.variable).raw })
    : Filter.matches(wrt, path, { kind: "Array", metadata: {}, value: leaf.tensor })

/**
 * A gradient of nothing would train nothing, and say nothing. Models without parameters are fine next to what has some,
 * unless `wrt` was given for them.
 */
const checkSelection = (
  transform: string,
  active: ReadonlyArray<Active>,
  given: Filter.Filter | undefined
): void => {
  const models = active.filter((a) => a.kinds !== undefined)
  const nothing = (of: ReadonlyArray<Active>) => of.every((a) => a.slots.length === 0)
  if (models.length === 0 || !nothing(given === undefined ? active : models)) return
  const wrt = Filter.format(given ?? Param)
  throw new StructureError({
    operation: transform,
    misfits: models.map(({ kinds, path }) => ({
      path: [path],
      expected: `something that ${wrt} covers`,
      found: kinds?.join(", ") || "no Variables"
    })),
    hint: `wrt ${wrt} selects no Variables of argument ${models.map((a) => a.path).join(", ")}: give another wrt, or ` +
      "other argnums"
  })
}

const activeArgument = (
  transform: string,
  args: ReadonlyArray<unknown>,
  split: SplitArguments,
  argnum: number,
  wrt: Filter.Filter
): Effect.Effect<Active, ShapeError | DTypeError> =>
  Effect.suspend(() => {
    const at = position(transform, argnum, args.length)
    const arg = args[at]
    const own = leavesOf(arg, at, split)
    if (typeof arg !== "object") {
      return Effect.fail(
        new DTypeError({
          operation: transform,
          expected: "floating arrays to differentiate",
          found: `a static ${typeof arg} at ${at}`,
          hint: "make it an array with Tensor.array, or choose other arguments with argnums"
        })
      )
    }
    const wrapped = isModule(arg) || own.some((l) => l.leaf._tag === "Variable")
    const chosen = wrapped ? own.filter((l) => isSelected(wrt, l.path, l.leaf)) : own
    const kinds = new Set(own.map(({ leaf }) => leaf._tag === "Variable" ? leaf.variable.kind : "Array"))
    const slots = chosen.flatMap((l) => l.arrays.map((_, i) => l.first + i))
    const named = chosen.flatMap((l) =>
      l.arrays.map((x) => ({ path: [String(at), ...l.path].join("/"), aval: x.aval }))
    )
    const rebuild = wrapped
      ? (arrays: ReadonlyArray<Tensor>): unknown => {
        let next = 0
        const entries = chosen.map(({ arrays: own_, leaf, path, structure }) => {
          const value = Tree.unflatten(structure, arrays.slice(next, next += own_.length))
          if (leaf._tag === "Array") return [path, value] as const
          const { kind, metadata, mode } = cellOf(leaf.variable)
          return [path, State.variableState(kind, value, metadata, mode)] as const
        })
        return isVariable(arg) && entries.length === 1 ? entries[0][1] : State.fromEntries(entries)
      }
      : (arrays: ReadonlyArray<Tensor>): unknown => withArrays(arg, arrays)
    const found = { path: String(at), kinds: wrapped ? [...kinds] : undefined }
    return Effect.as(checkFloats(transform, named), { ...found, slots, rebuild })
  })

const differentiate = <Args extends ReadonlyArray<unknown>, A, E, R>(
  transform: string,
  f: Traceable<Args, A, E, R>,
  args: Args,
  { argnums = 0, wrt }: GradOptions<number | ReadonlyArray<number>, Filter.Filter>,
  hasAux: boolean
) =>
  throwing(Effect.gen(function*() {
    const parent = yield* CurrentTrace
    const split = splitArguments(args, parent)
    const numbers = typeof argnums === "number" ? [argnums] : argnums
    const active: Array<Active> = []
    for (const n of numbers) active.push(yield* activeArgument(transform, args, split, n, wrt ?? Param))
    checkSelection(transform, active, wrt)
    const slots = [...new Set(active.flatMap((a) => a.slots))]
    const c = yield* call(f, split, parent, { transform: `${transform}(${f.name || "anonymous"})` })
    yield* checkScalar(transform, valueArrays(c, hasAux))
    const result = yield* reverse(c, slots, parent)
    const cts = result.pull([ones(result.arrays[0].aval)])
    const trees = active.map((a) => a.rebuild(a.slots.map((slot) => cts[slots.indexOf(slot)])))
    return { value: result.value as A, gradient: typeof argnums === "number" ? trees[0] : trees }
  }))

/** The arrays of the value to differentiate. With `hasAux` the result is [value, aux]. */
const valueArrays = (c: Call, hasAux: boolean): ReadonlyArray<Tensor> =>
  c.results.flatMap((r) => r.leaf.path[0] === "1" && (!hasAux || r.leaf.path[1] === "0") ? r.arrays : [])

/** What `grad` makes of a function. */
export type Grad<Args extends ReadonlyArray<unknown>, E, R, N, F> = (
  ...args: Args
) => Effect.Effect<Gradients<Args, N, F>, E | TransformError, R>

/**
 * The derivative of a scalar function. Writes to Variables inside are visible outside, as if the function had been
 * called.
 *
 * The result of f is one floating scalar. With respect to a Module: a State of its Params (or of what `wrt` selects);
 * with respect to arrays: arrays of the same shapes and dtypes.
 *
 * Fails with what f fails with; with `ShapeError` if the value is no scalar, with `DTypeError` if something selected is
 * no float.
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 * import * as Cpu from "linum/backend/tfjs-cpu"
 *
 * const cubes = (x: nnx.Tensor.Tensor) => Effect.succeed(x.pow(3).sum())
 * const slope = Effect.flatMap(nnx.grad(cubes)(nnx.Tensor.array([1, 2])), nnx.Tensor.toNested)
 * console.log(await Effect.runPromise(slope.pipe(Effect.provide(Cpu.layer)))) // => [ 3, 12 ]
 * ```
 *
 * @category transforms
 * @since 0.1.0
 */
export const grad = <
  Args extends ReadonlyArray<unknown>,
  E,
  R,
  const N extends number | ReadonlyArray<number> = 0,
  const F extends Filter.Filter = typeof Param
>(
  f: Traced<Args, Tensor, E, R>,
  options: GradOptions<N, F> = {}
): Grad<Args, E, R, N, F> =>
(...args) =>
  Effect.map(
    differentiate<Args, Tensor, E, R>("grad", f, args, options, false),
    (d) => d.gradient as Gradients<Args, N, F>
  )

/**
 * The value of a scalar function and its derivative, as `[value, gradient]`. See `grad`.
 *
 * @category transforms
 * @since 0.1.0
 */
export const valueAndGrad = <
  Args extends ReadonlyArray<unknown>,
  E,
  R,
  const N extends number | ReadonlyArray<number> = 0,
  const F extends Filter.Filter = typeof Param
>(
  f: Traced<Args, Tensor, E, R>,
  options: GradOptions<N, F> = {}
) =>
(...args: Args): Effect.Effect<readonly [Tensor, Gradients<Args, N, F>], E | TransformError, R> =>
  Effect.map(
    differentiate<Args, Tensor, E, R>("valueAndGrad", f, args, options, false),
    (d) => [d.value, d.gradient as Gradients<Args, N, F>]
  )

/**
 * As `grad`, for a function that returns `[value, aux]`: gives `[gradient, aux]`. `aux` is any tree of arrays, Modules
 * and static values.
 *
 * @category transforms
 * @since 0.1.0
 */
export const gradWithAux = <
  Args extends ReadonlyArray<unknown>,
  Aux,
  E,
  R,
  const N extends number | ReadonlyArray<number> = 0,
  const F extends Filter.Filter = typeof Param
>(
  f: Traced<Args, readonly [Tensor, Aux], E, R>,
  options: GradOptions<N, F> = {}
) =>
(...args: Args): Effect.Effect<readonly [Gradients<Args, N, F>, Aux], E | TransformError, R> =>
  Effect.map(
    differentiate<Args, readonly [Tensor, Aux], E, R>(
      "grad",
      f,
      args,
      options,
      true
    ),
    (d) => [d.gradient as Gradients<Args, N, F>, d.value[1]]
  )

/**
 * As `valueAndGrad`, for a function that returns `[value, aux]`: gives `[[value, aux], gradient]`.
 *
 * @category transforms
 * @since 0.1.0
 */
export const valueAndGradWithAux = <
  Args extends ReadonlyArray<unknown>,
  Aux,
  E,
  R,
  const N extends number | ReadonlyArray<number> = 0,
  const F extends Filter.Filter = typeof Param
>(
  f: Traced<Args, readonly [Tensor, Aux], E, R>,
  options: GradOptions<N, F> = {}
) =>
(...args: Args): Effect.Effect<readonly [readonly [Tensor, Aux], Gradients<Args, N, F>], E | TransformError, R> =>
  Effect.map(
    differentiate<Args, readonly [Tensor, Aux], E, R>(
      "valueAndGrad",
      f,
      args,
      options,
      true
    ),
    (d) => [d.value, d.gradient as Gradients<Args, N, F>]
  )

/** All slots of the arguments that are floats, with what puts trees of all arguments together. */
const allArguments = (args: ReadonlyArray<unknown>, split: SplitArguments) => {
  const slots = split.arrays.flatMap((x, i) => DType.isFloat(x.dtype) ? [i] : [])
  const rebuild = (arrays: ReadonlyArray<Tensor>): unknown => {
    const all = split.arrays.slice()
    slots.forEach((slot, i) => {
      all[slot] = arrays[i]
    })
    return withArrays([...args], all)
  }
  return { slots, rebuild }
}

/** Fails unless all arguments are trees of arrays. */
const checkPure = (transform: string, split: SplitArguments): Effect.Effect<void, TraceError> => {
  const found = split.leaves.find((l) => l.leaf._tag === "Variable")
  return found === undefined ? Effect.void : Effect.fail(
    new TraceError({
      transform,
      reason: `the argument at ${found.leaf.path.join("/")} holds a Variable`,
      hint: "differentiate with respect to its State: split the model, and merge inside the function"
    })
  )
}

/**
 * Matches tangents or cotangents to the arrays that they belong to, those of integers aside. Fails with a `ShapeError`
 * or a `DTypeError` that names what does not fit.
 */
const matched = (
  transform: string,
  what: string,
  tree: unknown,
  like: ReadonlyArray<Tensor>
): ReadonlyArray<Tensor> => {
  const leaves = arraysOf(tree)
  const explain = (reason: string) => ({
    operation: transform,
    expected: `${what} of ${reason} ${like.map((x) => ShapedArray.format(x.aval)).join(", ")}`,
    found: leaves.map((x) => ShapedArray.format(x.aval)).join(", ") || "none",
    hint: "tangents and cotangents have the tree, the shapes and the dtypes of what they belong to"
  })
  if (leaves.length !== like.length || like.some((x, i) => leaves[i].shape.join() !== x.shape.join())) {
    throw new ShapeError(explain("shapes"))
  }
  if (like.some((x, i) => DType.isFloat(x.dtype) && leaves[i].dtype !== x.dtype)) {
    throw new DTypeError(explain("dtypes"))
  }
  return leaves
}

/** The result's arrays stand for the result: it may hold no Variables. */
const checkPureResult = (transform: string, c: Call): void => {
  const found = c.results.find((r) => r.leaf.path[0] === "1" && r.leaf._tag === "Variable")
  if (found === undefined) return
  throw new TraceError({
    transform,
    reason: `the result at ${found.leaf.path.slice(1).join("/") || "(root)"} is a Variable`,
    hint: "return its value"
  })
}

/**
 * The value of a function, and the map from a cotangent of the value to cotangents of all arguments (a tuple).
 *
 * Arguments are trees of arrays. The pullback may be called any number of times. Cotangents of integer arguments are
 * the arguments themselves, unchanged.
 *
 * @category transforms
 * @since 0.1.0
 */
export const vjp = <Args extends ReadonlyArray<unknown>, A, E, R>(
  f: Traced<Args, A, E, R>,
  ...args: Args
): Effect.Effect<
  readonly [value: A, pullback: (cotangent: A) => Effect.Effect<Args, TransformError>],
  E | TransformError,
  R
> =>
  throwing(Effect.gen(function*() {
    const parent = yield* CurrentTrace
    const split = splitArguments(args, parent)
    yield* checkPure("vjp", split)
    const { rebuild, slots } = allArguments(args, split)
    const c = yield* call<Args, A, E, R>(f, split, parent, { transform: `vjp(${f.name || "anonymous"})` })
    checkPureResult("vjp", c)
    const result = yield* reverse(c, slots, parent)
    const back = (cotangent: A): Effect.Effect<Args, TransformError> =>
      attempt(() => rebuild(result.pull(matched("vjp", "cotangents", cotangent, result.arrays))) as Args)
    return [result.value as A, back] as const
  }))

/**
 * The value of a function at `primals`, and its directional derivative along `tangents`: `[value, tangent]`.
 *
 * Tangents have the trees, shapes and dtypes of the primals; those of integer arrays are ignored.
 *
 * @category transforms
 * @since 0.1.0
 */
export const jvp = <Args extends ReadonlyArray<unknown>, A, E, R>(
  f: Traced<Args, A, E, R>,
  primals: Args,
  tangents: Args
): Effect.Effect<readonly [value: A, tangent: A], E | TransformError, R> =>
  throwing(Effect.gen(function*() {
    const parent = yield* CurrentTrace
    const split = splitArguments(primals, parent)
    yield* checkPure("jvp", split)
    const ts = matched("jvp", "tangents", tangents, split.arrays)
    const c = yield* call<Args, A, E, R>(f, split, parent, { transform: `jvp(${f.name || "anonymous"})` })
    checkPureResult("jvp", c)
    const moving = ts.map((t, i) => DType.isFloat(split.arrays[i].dtype) ? t : null)
    const result = yield* forward(c, moving, parent)
    return [result.value as A, withArrays(result.value, result.tangents) as A] as const
  }))

/**
 * The value of a function, and its derivative at that point as a linear function of tangents, traced once.
 *
 * @category transforms
 * @since 0.1.0
 */
export const linearize = <Args extends ReadonlyArray<unknown>, A, E, R>(
  f: Traced<Args, A, E, R>,
  ...args: Args
): Effect.Effect<
  readonly [value: A, pushforward: (...tangents: Args) => Effect.Effect<A, TransformError>],
  E | TransformError,
  R
> =>
  throwing(Effect.gen(function*() {
    const parent = yield* CurrentTrace
    const split = splitArguments(args, parent)
    yield* checkPure("linearize", split)
    const { slots } = allArguments(args, split)
    const c = yield* call<Args, A, E, R>(f, split, parent, { transform: `linearize(${f.name || "anonymous"})` })
    checkPureResult("linearize", c)
    const result = yield* reverse(c, slots, parent)
    const push = (...tangents: Args): Effect.Effect<A, TransformError> =>
      attempt(() => {
        const ts = matched("linearize", "tangents", tangents, split.arrays)
        return withArrays(result.value, result.push(slots.map((i) => ts[i]))) as A
      })
    return [result.value as A, push] as const
  }))
