/**
 * Loops whose number of steps is known only when they run: `whileLoop`, and `foriLoop`.
 */
import * as Effect from "effect/Effect"
import { closedProgram } from "../Program/build.ts"
import * as control from "../Program/control.ts"
import { evaluate } from "../Program/evaluate.ts"
import { CurrentTrace } from "../Program/Trace.ts"
import { DTypeError, ShapeError, TraceError } from "../Tensor/errors.ts"
import * as Lax from "../Tensor/lax/index.ts"
import * as ShapedArray from "../Tensor/ShapedArray.ts"
import { isTensor, literal, type Tensor } from "../Tensor/Tensor.ts"
import { throwing, type TransformError } from "./attempt.ts"
import { Carry } from "./axes.ts"
import { allHeld, type Call, call, conclude, emitter, layout, operands, splitArguments } from "./lift.ts"
import {
  checkCarryObjects,
  checkStable,
  type Handed,
  handedCarry,
  handedState,
  handedVariables,
  keepingForms
} from "./loopState.ts"
import { scan } from "./scan.ts"
import type { Traceable, Traced } from "./types.ts"

/** The condition is one bool, and changes nothing. */
const checkCondition = (c: Call): void => {
  const [x, ...others] = c.results.filter((r) => !r.unchanged).flatMap((r) => r.arrays)
  const writes = c.discharged.writes.length > 0 || c.results.some((r) => !r.unchanged && r.leaf.path[0] === "0") ||
    c.discharged.program.equations.some((e) => e.primitive === "set_variable")
  if (writes) {
    throw new TraceError({
      transform: "whileLoop",
      reason: c.discharged.writes.some(({ slot }) => slot.cell === c.trace.checks.cell)
        ? "the condition has a check"
        : "the condition writes a Variable",
      hint: "write and check in the body; the condition only looks"
    })
  }
  if (x === undefined || others.length > 0 || x.ndim !== 0) {
    throw new ShapeError({
      operation: "whileLoop",
      expected: "a condition that is one scalar",
      found: x === undefined ? "no array" : [x, ...others].map((y) => ShapedArray.format(y.aval)).join(", "),
      hint: "reduce it with all or any"
    })
  }
  if (x.dtype !== "bool") {
    throw new DTypeError({
      operation: "whileLoop",
      expected: "a condition of dtype bool",
      found: x.dtype,
      hint: "compare: x.gt(0)"
    })
  }
}

/**
 * Applies `body` to a value while `condition` holds of it. The value is any tree of arrays and Modules; it keeps its
 * structure, shapes and dtypes (else `StructureError`). Not differentiable in reverse: the number of steps is not
 * known.
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 * import * as Cpu from "linum/backend/tfjs-cpu"
 *
 * const program = Effect.flatMap(
 *   nnx.whileLoop((x: nnx.Tensor.Tensor) => Effect.succeed(x.lt(100)), (x) => Effect.succeed(x.mul(2)), nnx.Tensor.array(3)),
 *   nnx.Tensor.item
 * )
 * console.log(await Effect.runPromise(program.pipe(Effect.provide(Cpu.layer)))) // => 192
 * ```
 *
 * @category transforms
 * @since 0.1.0
 */
export const whileLoop = <const A, E, R, E2, R2>(
  condition: Traced<[NoInfer<A>], Tensor, E, R>,
  body: Traced<[NoInfer<A>], NoInfer<A>, E2, R2>,
  init: A
): Effect.Effect<A, E | E2 | TransformError, R | R2> =>
  throwing(Effect.gen(function*() {
    const parent = yield* CurrentTrace
    const split = splitArguments([init], parent, allHeld)
    const references = parent?.references
    const aval = (_: number, outer: ShapedArray.ShapedArray) => ({ ...outer, weakType: false })
    const test = yield* call<[A], Tensor, E, R>(condition, split, parent, { transform: "whileLoop", aval, references })
    const step = yield* keepingForms(
      "whileLoop",
      references,
      call<[A], A, E2, R2>(body, split, parent, {
        transform: "whileLoop",
        aval,
        references,
        inspect: ([before], after) => checkCarryObjects("whileLoop", before, after)
      })
    )
    checkCondition(test)
    checkStable("whileLoop", step)
    const handed = [
      ...handedVariables("whileLoop", step, () => true),
      ...handedCarry("whileLoop", step, { prefix: ["0"] }, { prefix: ["1"] }),
      ...handedState("whileLoop", step)
    ]
    const kept = emitter(parent)
    const results = bindWhile(test, step, handed, operands(test, parent), operands(step, parent), kept.emit)
    return (yield* conclude(step, results, kept)) as A
  }))

/** Makes the equation, and gives the body's outputs in their order. */
const bindWhile = (
  test: Call,
  step: Call,
  handed: ReadonlyArray<Handed>,
  testInputs: ReadonlyArray<Tensor>,
  stepInputs: ReadonlyArray<Tensor>,
  emit: ReturnType<typeof emitter>["emit"]
): ReadonlyArray<Tensor> => {
  const program = step.discharged.program
  const carried = handed.map((h) => h.input)
  const constants = program.inputs.map((_, i) => i).filter((i) => !carried.includes(i))
  // An input of the condition that the body changes is a carry; the two calls have the same arguments, and closures by
  // cell.
  const stepInputOf = correspondence(test, step)
  const source = testInputs.map((_, i) => {
    const at = stepInputOf(i)
    return at === undefined ? -1 : carried.indexOf(at)
  })
  const own = source.flatMap((s, i) => s < 0 ? [i] : [])
  const carryAvals = carried.map((i) => program.inputs[i].aval)
  const cond = closedProgram(
    "whileLoop",
    [...own.map((i) => test.discharged.program.inputs[i].aval), ...carryAvals],
    (args, emitInner) => {
      const values = source.map((s, i) => s < 0 ? args[own.indexOf(i)] : args[own.length + s])
      return evaluate(test.discharged.program, values, emitInner).slice(0, 1)
    }
  )
  const body = closedProgram(
    "whileLoop",
    [...constants.map((i) => program.inputs[i].aval), ...carryAvals],
    (args, emitInner) => {
      const values: Array<Tensor> = []
      constants.forEach((i, k) => {
        values[i] = args[k]
      })
      carried.forEach((i, k) => {
        values[i] = args[constants.length + k]
      })
      const outputs = evaluate(program, values, emitInner)
      return handed.map((h) => outputs[h.output])
    }
  )
  const strong = (x: Tensor) => x.weakType ? Lax.convertElementType(x, x.dtype) : x
  const node = control.whileLoop(
    { cond, body, cond_consts: own.length, body_consts: constants.length },
    [
      ...own.map((i) => testInputs[i]),
      ...constants.map((i) => stepInputs[i]),
      ...carried.map((i) => strong(stepInputs[i]))
    ]
  )
  emit(node)
  const results: Array<Tensor> = []
  handed.forEach((h, i) => {
    results[h.output] = node.outputs[i]
  })
  return results
}

/** For an input of one call, the same thing's input in another call of the same arguments. */
const correspondence = (a: Call, b: Call) => {
  const atA = layout(a)
  const atB = layout(b)
  const stateB = new Map<object, number>()
  let next = atB.captures
  for (const slot of b.discharged.reads) {
    stateB.set(slot.cell, next)
    next += slot.initial.leaves.length
  }
  const stateA: Array<{ readonly cell: object; readonly offset: number }> = []
  for (const slot of a.discharged.reads) {
    slot.initial.leaves.forEach((_, offset) => stateA.push({ cell: slot.cell, offset }))
  }
  return (i: number): number | undefined => {
    if (i >= atA.argumentsAt) return i - atA.argumentsAt + atB.argumentsAt
    if (i < atA.captures) return undefined
    const { cell, offset } = stateA[i - atA.captures]
    const first = stateB.get(cell)
    return first === undefined ? undefined : first + offset
  }
}

/**
 * Applies `body(i, value)` for i from `lower` (inclusive) to `upper` (exclusive). With static bounds it is a scan, and
 * differentiable; with bounds that are arrays (scalar int32) it is a `whileLoop`.
 *
 * @category transforms
 * @since 0.1.0
 */
export const foriLoop = <const A, E, R>(
  lower: number | Tensor,
  upper: number | Tensor,
  body: Traced<[Tensor, NoInfer<A>], NoInfer<A>, E, R>,
  init: A
): Effect.Effect<A, E | TransformError, R> => {
  const f: Traceable<[Tensor, A], A, E, R> = body
  if (typeof lower === "number" && typeof upper === "number") {
    const length = Math.max(0, upper - lower)
    const indices = Lax.add(Lax.iota("int32", [length], 0), Lax.broadcastTo(literal(lower, "int32"), [length]))
    const step: Traceable<[A, Tensor], A, E, R> = (value, i) => f(i, value)
    return scan(step as Traced<[A, Tensor], A, E, R>, { inAxes: [Carry, 0], outAxes: Carry, length })(init, indices)
  }
  const bound = (n: number | Tensor): Tensor => isTensor(n) ? Lax.convertElementType(n, "int32") : literal(n, "int32")
  const end = bound(upper)
  const condition: Traceable<[readonly [Tensor, A]], Tensor, never, never> = ([i]) => Effect.sync(() => Lax.lt(i, end))
  const next: Traceable<[readonly [Tensor, A]], readonly [Tensor, A], E, R> = ([i, value]) =>
    Effect.map(f(i, value), (result) => [Lax.add(i, literal(1, "int32")), result] as const)
  return Effect.map(
    whileLoop(
      condition,
      next as Traced<[readonly [Tensor, A]], readonly [Tensor, A], E, R>,
      [bound(lower), init] as const
    ),
    ([, value]) => value
  )
}
