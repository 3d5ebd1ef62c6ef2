/**
 * `lower`: what XLA would be given to compile a function, as text.
 */
import * as Effect from "effect/Effect"
import * as Inspectable from "effect/Inspectable"
import { toStableHlo } from "../Program/lower/index.ts"
import { make, type Program } from "../Program/Program.ts"
import { CurrentTrace } from "../Program/Trace.ts"
import * as ShapedArray from "../Tensor/ShapedArray.ts"
import type { Tensor } from "../Tensor/Tensor.ts"
import { attempt, type TransformError } from "./attempt.ts"
import { madeOf } from "./jit.ts"
import { type Call, call, layout, operands, splitArguments } from "./lift.ts"
import type { Traced } from "./types.ts"

/**
 * A function lowered for arguments of certain shapes. It prints as its text.
 *
 * @category models
 * @since 0.1.0
 */
export interface Lowered extends Inspectable.Inspectable {
  /** The name of the module, `jit_` and that of the function. */
  readonly name: string
  /** What the text says, as a Program: inputs and outputs are those of `@main`, in order. */
  readonly program: Program
  /** The arrays that `@main` takes, as they were when the function was lowered. */
  readonly operands: ReadonlyArray<Tensor>
  /** The module in StableHLO's text form. */
  asText(): string
}

class LoweredImpl extends Inspectable.Class implements Lowered {
  readonly name: string
  readonly program: Program
  readonly operands: ReadonlyArray<Tensor>
  readonly #text: string
  constructor(name: string, program: Program, operands: ReadonlyArray<Tensor>, text: string) {
    super()
    this.name = name
    this.operands = operands
    this.program = program
    this.#text = text
  }
  asText(): string {
    return this.#text
  }
  override toString(): string {
    return this.#text
  }
  toJSON() {
    return { _id: "Lowered", name: this.name, text: this.#text }
  }
  override [Inspectable.NodeInspectSymbol](): string {
    return this.#text
  }
}

/** One output of the module. */
interface Output {
  /** Its position among the outputs of the traced Program. */
  readonly at: number
  readonly info: string
  /** The input whose array it replaces, among the inputs of the traced Program. */
  readonly replaces: number | undefined
}

/** `result['a'][0]`. A path is that in `[arguments, result]`. */
const info = (path: ReadonlyArray<string | number>): string =>
  `result${path.slice(1).map((key) => /^\d+$/.test(String(key)) ? `[${key}]` : `['${key}']`).join("")}`

/** Where the arrays of an argument leaf begin among the inputs. */
const slotOf = (c: Call, argument: number): number =>
  c.arguments.leaves.slice(0, argument).reduce((n, l) => n + l.arrays.length, layout(c).argumentsAt)

/** Results first, then the arrays of changed arguments and of Variables written through the closure, as JAX has it. */
const outputsOf = (c: Call): ReadonlyArray<Output> => {
  const results: Array<Output> = []
  const state: Array<Output> = []
  let at = 0
  for (const r of c.results) {
    if (r.unchanged) continue
    const { argument } = r
    const slot = argument === undefined ? undefined : slotOf(c, argument)
    r.arrays.forEach((_, i) => {
      const output = { at: at++, info: r.leaf.path[0] === "0" ? "" : info(r.leaf.path) }
      if (output.info === "") state.push({ ...output, replaces: slot === undefined ? undefined : slot + i })
      else results.push({ ...output, replaces: undefined })
    })
  }
  for (const { leaves, slot } of c.discharged.writes) {
    const before = c.discharged.reads.slice(0, c.discharged.reads.indexOf(slot))
    const first = before.reduce((n, s) => n + s.initial.leaves.length, c.discharged.captures.length)
    for (let i = 0; i < leaves; i++) {
      state.push({ at: at++, info: "", replaces: i < slot.initial.leaves.length ? first + i : undefined })
    }
  }
  return [...results, ...state]
}

const lowerCall = (c: Call, name: string, given: ReadonlyArray<Tensor>): Lowered => {
  const { program } = c.discharged
  const outputs = outputsOf(c)
  const needed = new Set<unknown>([...program.equations.flatMap((e) => e.inputs), ...program.outputs])
  const used = program.inputs.flatMap((v, i) => needed.has(v) ? [i] : [])
  const aliases = new Map<number, number>()
  outputs.forEach(({ at, replaces }, i) => {
    const input = replaces === undefined ? -1 : used.indexOf(replaces)
    if (input < 0 || replaces === undefined) return
    const [from, to] = [program.inputs[replaces].aval, program.outputs[at].aval]
    if (ShapedArray.format(from) === ShapedArray.format(to)) aliases.set(input, i)
  })
  const shown = make(used.map((i) => program.inputs[i]), program.equations, outputs.map((o) => program.outputs[o.at]))
  return new LoweredImpl(
    `jit_${name}`,
    shown,
    used.map((i) => given[i]),
    toStableHlo(shown, name, { aliases, results: outputs.map((o) => o.info) })
  )
}

/**
 * What XLA would compile for a function and arguments of these shapes (JAX's `jit(f).lower(…).as_text()`): a module in
 * the text form of StableHLO. Nothing runs, and nothing is written.
 *
 * The inputs of `@main` are captured arrays, Variables that the function reads through its closure, then the arrays of
 * the arguments; those that are not used are left out. Its outputs are the arrays of the result, then those of
 * Variables that the function writes. The buffer of such a Variable is updated in place: `tf.aliasing_output` on its
 * input names the output.
 *
 * Of a function that `jit` made, the text is that of the function itself, under the name that `jit` was given.
 *
 * A `Debug.print` or `Debug.callback` becomes a custom call `@linum_callback`, which whoever runs the module registers.
 * Fails with a `TraceError` that names the primitive for a collective of an axis that no `vmap` inside the function
 * maps.
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 *
 * const double = (x: nnx.Tensor.Tensor) => Effect.succeed(x.add(x))
 * const lowered = nnx.lower(double)(nnx.Tensor.ones([3]))
 * const lines = (await Effect.runPromise(lowered)).asText().split("\n")
 * console.log(lines[2].trim()) // => %0 = stablehlo.add %arg0, %arg0 : tensor<3xf32>
 * ```
 *
 * @category transforms
 * @since 0.1.0
 */
export const lower = <Args extends ReadonlyArray<unknown>, A, E, R>(
  f: Traced<Args, A, E, R>,
  options: { readonly name?: string } = {}
) =>
(...args: Args): Effect.Effect<Lowered, E | TransformError, R> =>
  Effect.gen(function*() {
    // A compiled function stands for the function that it was made of.
    const made = madeOf(f)
    const name = (options.name ?? made?.name ?? (f.name || "anonymous")).replace(/[^\w.-]/g, "_")
    const parent = yield* CurrentTrace
    const split = splitArguments(args, parent)
    const c = yield* call<Args, A, E, R>((made?.f ?? f) as typeof f, split, parent, { transform: `lower(${name})` })
    return yield* attempt(() => lowerCall(c, name, operands(c, parent)))
  })
