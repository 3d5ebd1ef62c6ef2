/**
 * Functions with derivatives of their own: `customJvp` and `customVjp`.
 *
 * They are pure functions of trees of arrays: their rules are applied when a Program is transformed, long after the call, so they cannot write
 * Variables.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { closedProgram } from "../Program/build.ts"
import * as control from "../Program/control.ts"
import { evaluate } from "../Program/evaluate.ts"
import { CurrentTrace, Trace } from "../Program/Trace.ts"
import * as DType from "../Tensor/DType.ts"
import { ShapeError, TraceError } from "../Tensor/errors.ts"
import * as Lax from "../Tensor/lax/index.ts"
import * as ShapedArray from "../Tensor/ShapedArray.ts"
import { isTensor, type Tensor } from "../Tensor/Tensor.ts"
import * as Tree from "../Tensor/Tree.ts"
import { attempt, type TransformError } from "./attempt.ts"
import { type Call, call, land, operands, type SplitArguments, splitArguments, writeThrough } from "./lift.ts"
import type { Check, Traceable } from "./types.ts"

const checkPureCall = (transform: string, c: Call): void => {
  const variable = c.arguments.leaves.find((l) => l.leaf._tag === "Variable")
  if (variable === undefined && c.discharged.reads.length === 0) return
  throw new TraceError({
    transform,
    reason: variable === undefined
      ? "the function reads or writes a Variable through its closure"
      : `the argument at ${variable.leaf.path.join("/")} holds a Variable`,
    hint: "pass the arrays that it needs: a function with its own derivative is a function of arrays"
  })
}

/** Runs an Effect of a rule at once, inside a trace that takes no writes. */
const runRule = <A, E, R>(transform: string, context: Context.Context<R>, effect: () => Effect.Effect<A, E, R>): A => {
  const parent = Context.get(context as Context.Context<never>, CurrentTrace)
  const trace = new Trace(transform, parent, { ownChecks: true })
  const exit = Effect.runSyncExitWith(Context.add(context, CurrentTrace, trace))(Effect.suspend(effect))
  if (Exit.isSuccess(exit)) return exit.value
  const error = Cause.squash(exit.cause)
  throw Cause.isAsyncFiberError(error)
    ? new TraceError({ transform, reason: "the rule waits for asynchronous work", hint: "compute it outside" })
    : error
}

const landPure = (c: Call, outputs: ReadonlyArray<Tensor>, parent: Trace | undefined): unknown =>
  land(c, { outputs, state: [], parent, write: writeThrough(parent) })

/** Checks that a rule's arrays have the shapes and dtypes that they must have. */
const checkLike = (
  transform: string,
  what: string,
  found: ReadonlyArray<Tensor>,
  like: ReadonlyArray<ShapedArray.ShapedArray>
): ReadonlyArray<Tensor> => {
  const ok = found.length === like.length &&
    like.every((aval, i) => found[i].dtype === aval.dtype && found[i].shape.join() === aval.shape.join())
  if (ok) return found
  throw new ShapeError({
    operation: transform,
    expected: `${what} ${like.map(ShapedArray.format).join(", ")}`,
    found: found.map((x) => ShapedArray.format(x.aval)).join(", ") || "nothing",
    hint: "the rules of a function agree with it in structure, shapes and dtypes"
  })
}

/** The rules of a function with its own vjp. */
export interface VjpRules<Args extends ReadonlyArray<unknown>, A, Res, E, R> {
  /** The value, and what the backward rule needs: a tree of arrays. */
  readonly fwd: (...args: Args) => Effect.Effect<readonly [A, Res], E, R>
  /** Cotangents of all arguments, from the residuals and the cotangent of the value. null stands for zeros. */
  readonly bwd: (
    residuals: Res,
    cotangent: A
  ) => Effect.Effect<{ readonly [I in keyof Args]: Args[I] | null }, E, R>
}

/**
 * A function whose reverse-mode derivative is given: JAX's `custom_vjp`. Forward mode of it is a `TraceError`.
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 * import * as Cpu from "linum/backend/tfjs-cpu"
 *
 * const clipped = nnx.customVjp((x: nnx.Tensor.Tensor) => Effect.succeed(x.mul(1)), {
 *   fwd: (x) => Effect.succeed([x.mul(1), null] as const),
 *   bwd: (_, ct) => Effect.succeed([ct.clip(-1, 1)] as const)
 * })
 * const slope = nnx.grad((x: nnx.Tensor.Tensor) => Effect.map(clipped(x), (y) => y.mul(5)))(nnx.Tensor.array(2))
 * console.log(await Effect.runPromise(Effect.flatMap(slope, nnx.Tensor.item).pipe(Effect.provide(Cpu.layer)))) // => 1
 * ```
 *
 * @category transforms
 * @since 0.1.0
 */
export const customVjp = <Args extends ReadonlyArray<unknown>, A, E, R, Res>(
  f: Traceable<Args, A, E, R> & Check<NoInfer<R>>,
  rules: VjpRules<Args, A, Res, E, R>
) =>
(...args: Args): Effect.Effect<A, E | TransformError, R> =>
  Effect.gen(function*() {
    const parent = yield* CurrentTrace
    const context = yield* Effect.context<R>()
    const split = splitArguments(args, parent)
    const name = f.name || "anonymous"
    const c = yield* call<Args, A, E, R>(f, split, parent, { transform: `customVjp(${name})` })
    return yield* attempt(() => {
      checkPureCall("customVjp", c)
      const params = {
        name,
        program: c.discharged.program,
        rule: vjpRule(c, split, args, rules, context)
      }
      return landPure(c, control.customVjpCall(params, operands(c, parent)).outputs, parent) as A
    })
  })

const vjpRule = <Args extends ReadonlyArray<unknown>, A, E, R, Res>(
  c: Call,
  split: SplitArguments,
  args: Args,
  rules: VjpRules<Args, A, Res, E, R>,
  context: Context.Context<R>
): control.CustomVjp => {
  const captures = c.discharged.captures.length
  const avals = c.discharged.program.outputs.map((o) => o.aval)
  const argsTree = Tree.flatten(args).structure
  // Structures of trees whose arrays pass through the Program; set by fwd, which always runs before bwd.
  const seen: { residuals: Tree.Structure; value: Tree.Structure } = {
    residuals: { _tag: "Static", value: null },
    value: { _tag: "Leaf" }
  }
  return {
    fwd: (primals) => {
      const inner = Tree.unflatten(argsTree, primals.slice(captures)) as Args
      const [value, residuals] = runRule("customVjp fwd", context, () => rules.fwd(...inner))
      const out = Tree.flatten(value)
      const res = Tree.flatten(residuals)
      seen.residuals = res.structure
      seen.value = out.structure
      return { outputs: checkLike("customVjp fwd", "values", out.leaves, avals), residuals: res.leaves }
    },
    bwd: (residuals, cotangents) => {
      const res = Tree.unflatten(seen.residuals, residuals) as Res
      const ct = Tree.unflatten(seen.value, cotangents) as A
      const cts = runRule("customVjp bwd", context, () => rules.bwd(res, ct))
      const flat = args.flatMap((arg, i): ReadonlyArray<Tensor | null> => {
        const own = Tree.leaves(arg)
        const given: unknown = cts[i]
        if (given === null) return own.map(() => null)
        return checkLike("customVjp bwd", `cotangents of argument ${i}`, Tree.leaves(given), own.map((x) => x.aval))
      })
      return [...Array.from({ length: captures }, () => null), ...flat.slice(0, split.arrays.length)]
    }
  }
}

/**
 * A function whose forward-mode derivative is given: JAX's `custom_jvp`. Reverse mode is its transpose, so the rule must be linear in the tangents.
 *
 * `rule(primals, tangents)` gives the value and its tangent. Tangents of integer arrays are zeros.
 *
 * @category transforms
 * @since 0.1.0
 */
export const customJvp = <Args extends ReadonlyArray<unknown>, A, E, R>(
  f: Traceable<Args, A, E, R> & Check<NoInfer<R>>,
  rule: (primals: Args, tangents: Args) => Effect.Effect<readonly [A, A], E, R>
) =>
(...args: Args): Effect.Effect<A, E | TransformError, R> =>
  Effect.gen(function*() {
    const parent = yield* CurrentTrace
    const split = splitArguments(args, parent)
    const name = f.name || "anonymous"
    const c = yield* call<Args, A, E, R>(f, split, parent, { transform: `customJvp(${name})` })
    const pair = splitArguments([args, args], parent)
    const r = yield* call<[Args, Args], readonly [A, A], E, R>(rule, pair, parent, { transform: `customJvp(${name})` })
    return yield* attempt(() => {
      checkPureCall("customJvp", c)
      checkPureCall("customJvp", r)
      return landPure(c, bindCustomJvp(name, c, r, operands(c, parent)), parent) as A
    })
  })

/** The equation takes captures of the function, captures of the rule, then the arguments. */
const bindCustomJvp = (name: string, c: Call, r: Call, inputs: ReadonlyArray<Tensor>): ReadonlyArray<Tensor> => {
  const own = c.discharged.captures.length
  const extra = r.discharged.captures.length
  const all = [...inputs.slice(0, own), ...r.discharged.captures, ...inputs.slice(own)]
  const avals = all.map((x) => x.aval)
  const outputs = c.discharged.program.outputs.map((o) => o.aval)
  const program = closedProgram(
    "customJvp",
    avals,
    (xs, emit) => evaluate(c.discharged.program, [...xs.slice(0, own), ...xs.slice(own + extra)], emit)
  )
  const jvp = () =>
    closedProgram("customJvp", [...avals, ...avals], (xs, emit) => {
      const primals = xs.slice(own + extra, all.length)
      const tangents = xs.slice(all.length + own + extra)
      const values = evaluate(r.discharged.program, [...xs.slice(own, own + extra), ...primals, ...tangents], emit)
      const wanted = [...outputs, ...outputs]
      checkLike("customJvp", "values and tangents", values, wanted)
      return values
    })
  return control.customJvpCall({ name, program, rule: { jvp } }, all).outputs
}

/** The tree with derivative zero. */
export const stopGradient = <T>(tree: T): T =>
  Tree.map(tree, (x) => isTensor(x) && DType.isFloat(x.dtype) ? Lax.stopGradient(x) : x)
