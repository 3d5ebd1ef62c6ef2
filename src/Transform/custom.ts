/**
 * Functions with derivatives of their own: `customJvp` and `customVjp`.
 *
 * They are pure functions of trees of arrays: their rules are applied when a Program is transformed, long after the
 * call, so they cannot write Variables. Function and rules are traced at the call. The arrays that they capture are
 * operands of the equation, before the arguments, and must not be differentiated: the rules say nothing of them.
 */
import * as Effect from "effect/Effect"
import { closedProgram } from "../Program/build.ts"
import * as control from "../Program/control.ts"
import { evaluate } from "../Program/evaluate.ts"
import { CurrentTrace, type Trace } from "../Program/Trace.ts"
import * as DType from "../Tensor/DType.ts"
import { ShapeError, TraceError } from "../Tensor/errors.ts"
import * as Lax from "../Tensor/lax/index.ts"
import * as ShapedArray from "../Tensor/ShapedArray.ts"
import { isTensor, type Tensor } from "../Tensor/Tensor.ts"
import * as Tree from "../Tensor/Tree.ts"
import { throwing, type TransformError } from "./attempt.ts"
import { type Call, call, conclude, emitter, operands, splitArguments } from "./lift.ts"
import type { Traced } from "./types.ts"

const impure = (transform: string, reason: string): TraceError =>
  new TraceError({
    transform,
    reason,
    hint: "pass the arrays that it needs: a function with its own derivative is a function of arrays"
  })

/** Fails unless a call and its result are about arrays only. */
const checkPureCall = (transform: string, c: Call): void => {
  const [slot] = c.discharged.reads
  if (slot !== undefined) {
    throw impure(
      transform,
      slot.cell === c.trace.checks.cell
        ? "the function has a Check"
        : `the function reads or writes a Variable (${slot.cell.label}) through its closure`
    )
  }
  const held = [...c.arguments.leaves, ...c.results].find((l) => l.leaf._tag === "Variable")
  if (held !== undefined) {
    throw impure(transform, `what it takes or gives holds a Variable, at ${held.leaf.path.join("/")}`)
  }
}

/** The arrays of a call's result below a path. */
const resultsAt = (c: Call, ...path: ReadonlyArray<string>): ReadonlyArray<Tensor> =>
  c.results.flatMap((r) => r.leaf.path[0] === "1" && path.every((k, i) => r.leaf.path[i + 1] === k) ? r.arrays : [])

/** Checks that a rule's arrays have the shapes and dtypes that they must have. */
const checkLike = (
  transform: string,
  what: string,
  found: ReadonlyArray<Tensor>,
  like: ReadonlyArray<{ readonly aval: ShapedArray.ShapedArray }>
): void => {
  const ok = found.length === like.length &&
    like.every(({ aval }, i) => found[i].dtype === aval.dtype && found[i].shape.join() === aval.shape.join())
  if (ok) return
  throw new ShapeError({
    operation: transform,
    expected: `${what} ${like.map((x) => ShapedArray.format(x.aval)).join(", ") || "without arrays"}`,
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
  f: Traced<Args, A, E, R>,
  rules: VjpRules<Args, A, Res, E, R>
) =>
(...args: Args): Effect.Effect<A, E | TransformError, R> =>
  throwing(Effect.gen(function*() {
    const parent = yield* CurrentTrace
    const split = splitArguments(args, parent)
    const name = f.name || "anonymous"
    const own = yield* call<Args, A, E, R>(f, split, parent, { transform: `customVjp(${name})` })
    checkPureCall("customVjp", own)
    let given: unknown
    const fwd = yield* call<Args, readonly [A, Res], E, R>(rules.fwd, split, parent, {
      transform: `customVjp(${name}) fwd`,
      inspect: (_, out) => {
        given = out
      }
    })
    checkPureCall("customVjp fwd", fwd)
    checkLike("customVjp fwd", "values", resultsAt(fwd, "0"), resultsAt(own))
    // Only shapes and structure of what fwd gave are looked at.
    const [value, residuals] = given as readonly [A, Res]
    const bwd = yield* call<readonly [Res, A], { readonly [I in keyof Args]: Args[I] | null }, E, R>(
      rules.bwd,
      splitArguments([residuals, value], parent),
      parent,
      { transform: `customVjp(${name}) bwd` }
    )
    checkPureCall("customVjp bwd", bwd)
    return (yield* bindCustomVjp(name, args.length, own, fwd, bwd, parent)) as A
  }))

/** The equation takes captures of the function, of fwd and of bwd, then the arguments. */
const bindCustomVjp = (
  name: string,
  count: number,
  own: Call,
  fwd: Call,
  bwd: Call,
  parent: Trace | undefined
) => {
  const captures = [own, fwd, bwd].map((c) => c.discharged.captures)
  const [a, b, c] = captures.map((xs) => xs.length)
  const consts = a + b + c
  const inputs = [...captures.flat(), ...own.arguments.arrays]
  const outs = own.discharged.program.outputs.length
  const program = closedProgram(
    "customVjp",
    inputs.map((x) => x.aval),
    (xs, emit) => evaluate(own.discharged.program, [...xs.slice(0, a), ...xs.slice(consts)], emit)
  )
  const cotangentsOf = Array.from({ length: count }, (_, i) => {
    const like = own.arguments.leaves.flatMap((l) => l.leaf.path[0] === String(i) ? l.arrays : [])
    const found = resultsAt(bwd, String(i))
    const none = found.length === 0
    if (!none) checkLike("customVjp bwd", `cotangents of argument ${i}`, found, like)
    return like.map(() => none)
  }).flat()
  const rule: control.CustomVjp = {
    fwd: (primals, emit) => {
      const results = evaluate(fwd.discharged.program, [...primals.slice(a, a + b), ...primals.slice(consts)], emit)
      return { outputs: results.slice(0, outs), residuals: [...primals.slice(a + b, consts), ...results.slice(outs)] }
    },
    bwd: (residuals, cotangents) => {
      const results = evaluate(bwd.discharged.program, [...residuals, ...cotangents], () => {})
      let next = 0
      return [
        ...Array.from({ length: consts }, () => null),
        ...cotangentsOf.map((none) => none ? null : results[next++])
      ]
    }
  }
  const kept = emitter(parent)
  const node = control.customVjpCall({ name, program, rule, num_consts: consts }, inputs)
  kept.emit(node)
  return conclude(own, node.outputs, kept)
}

/**
 * A function whose forward-mode derivative is given: JAX's `custom_jvp`. Reverse mode is its transpose, so the rule
 * must be linear in the tangents.
 *
 * `rule(primals, tangents)` gives the value and its tangent. Tangents of integer arrays are zeros.
 *
 * @category transforms
 * @since 0.1.0
 */
export const customJvp = <Args extends ReadonlyArray<unknown>, A, E, R>(
  f: Traced<Args, A, E, R>,
  rule: (primals: Args, tangents: Args) => Effect.Effect<readonly [A, A], E, R>
) =>
(...args: Args): Effect.Effect<A, E | TransformError, R> =>
  throwing(Effect.gen(function*() {
    const parent = yield* CurrentTrace
    const split = splitArguments(args, parent)
    const name = f.name || "anonymous"
    const own = yield* call<Args, A, E, R>(f, split, parent, { transform: `customJvp(${name})` })
    checkPureCall("customJvp", own)
    const pair = splitArguments([args, args], parent)
    const jvp = yield* call<[Args, Args], readonly [A, A], E, R>(rule, pair, parent, {
      transform: `customJvp(${name}) rule`
    })
    checkPureCall("customJvp rule", jvp)
    checkLike("customJvp rule", "values", resultsAt(jvp, "0"), resultsAt(own))
    checkLike("customJvp rule", "tangents", resultsAt(jvp, "1"), resultsAt(own))
    const kept = emitter(parent)
    const node = bindCustomJvp(name, own, jvp, operands(own, parent))
    kept.emit(node)
    return (yield* conclude(own, node.outputs, kept)) as A
  }))

/** The equation takes captures of the function, captures of the rule, then the arguments. */
const bindCustomJvp = (name: string, own: Call, rule: Call, inputs: ReadonlyArray<Tensor>) => {
  const a = own.discharged.captures.length
  const consts = a + rule.discharged.captures.length
  const all = [...inputs.slice(0, a), ...rule.discharged.captures, ...inputs.slice(a)]
  const avals = all.map((x) => x.aval)
  const program = closedProgram(
    "customJvp",
    avals,
    (xs, emit) => evaluate(own.discharged.program, [...xs.slice(0, a), ...xs.slice(consts)], emit)
  )
  const jvp = () =>
    closedProgram("customJvp", [...avals, ...avals], (xs, emit) => {
      const primals = xs.slice(consts, all.length)
      const tangents = xs.slice(all.length + consts)
      return evaluate(rule.discharged.program, [...xs.slice(a, consts), ...primals, ...tangents], emit)
    })
  return control.customJvpCall({ name, program, rule: { jvp }, num_consts: consts }, all)
}

/** The tree with derivative zero. */
export const stopGradient = <T>(tree: T): T =>
  Tree.map(tree, (x) => isTensor(x) && DType.isFloat(x.dtype) ? Lax.stopGradient(x) : x)
