/**
 * From a Program to a *Schedule*: a list of steps over numbered slots. Calls are inlined, literals get slots, every
 * equation has its kernel, and every step names the slots whose last use it is, so that running it needs no bookkeeping
 * but an array.
 */
import type { HostArray } from "../../Program/control.ts"
import type { Atom, Equation, EquationOf, Program, Var } from "../../Program/Program.ts"
import type { ShapedArray } from "../../Tensor/ShapedArray.ts"
import { unsupported } from "../unsupported.ts"
import type { ComputedPrimitive, Data, Device, Kernel, Run } from "./Device.ts"

/** What all steps have: slots read, slots written, and slots that nobody reads afterwards. */
interface Slots {
  readonly inputs: ReadonlyArray<number>
  readonly outputs: ReadonlyArray<number>
  readonly free: ReadonlyArray<number>
}

/** One step of a Schedule. */
export type Step<D extends Data> =
  & Slots
  & (
    | { readonly _tag: "Kernel"; readonly run: Run<D> }
    | { readonly _tag: "Constant"; readonly value: number; readonly aval: ShapedArray }
    | { readonly _tag: "Alias"; readonly aval: ShapedArray }
    | { readonly _tag: "Scan"; readonly params: EquationOf<"scan">["params"]; readonly body: Schedule<D> }
    | {
      readonly _tag: "While"
      readonly params: EquationOf<"while">["params"]
      readonly cond: Schedule<D>
      readonly body: Schedule<D>
    }
    | { readonly _tag: "Cond"; readonly branches: ReadonlyArray<Schedule<D>> }
    | { readonly _tag: "Callback"; readonly callback: (values: ReadonlyArray<HostArray>) => void }
  )

/** A step that needs no value on the host and has no other Schedule in it. */
export type PlainStep<D extends Data> = Extract<Step<D>, { readonly _tag: "Kernel" | "Constant" | "Alias" }>

/** Is it such a step? */
export const isPlain = <D extends Data>(step: Step<D>): step is PlainStep<D> =>
  step._tag === "Kernel" || step._tag === "Constant" || step._tag === "Alias"

/** A Program made ready. Its inputs are the first slots. */
export interface Schedule<D extends Data> {
  readonly inputs: ReadonlyArray<ShapedArray>
  readonly steps: ReadonlyArray<Step<D>>
  /** Are all steps plain? */
  readonly straight: boolean
  /** Slots of the outputs, with their abstract values. */
  readonly outputs: ReadonlyArray<{ readonly slot: number; readonly aval: ShapedArray }>
  /** Inputs that no step reads last (unused ones): freed at once when they are the run's own. */
  readonly unused: ReadonlyArray<number>
}

type Draft<D extends Data> = Step<D> extends infer S ? S extends Step<D> ? Omit<S, "free"> : never : never

/** Collects the steps of one Program; sub-Programs that are called are written into the same list. */
class Writer<D extends Data> {
  readonly device: Device<D>
  readonly steps: Array<Draft<D>> = []
  slots = 0
  constructor(device: Device<D>) {
    this.device = device
  }

  slot(): number {
    return this.slots++
  }

  read(env: Map<Var, number>, atom: Atom): number {
    if (atom._tag === "Var") {
      const slot = env.get(atom)
      if (slot === undefined) throw new Error("a Program uses a variable before it is defined")
      return slot
    }
    const slot = this.slot()
    this.steps.push({ _tag: "Constant", value: atom.value, aval: atom.aval, inputs: [], outputs: [slot] })
    return slot
  }

  /** The slots of a Program's outputs, its inputs being in `inputs`. */
  program(program: Program, inputs: ReadonlyArray<number>): ReadonlyArray<number> {
    const env = new Map<Var, number>()
    program.inputs.forEach((v, i) => env.set(v, inputs[i]))
    for (const equation of program.equations) {
      const read = equation.inputs.map((a) => this.read(env, a))
      const written = this.equation(equation, read)
      equation.outputs.forEach((v, i) => env.set(v, written[i]))
    }
    return program.outputs.map((a) => this.read(env, a))
  }

  push(step: Draft<D>): ReadonlyArray<number> {
    this.steps.push(step)
    return step.outputs
  }

  equation(equation: Equation, inputs: ReadonlyArray<number>): ReadonlyArray<number> {
    const { device } = this
    const outputs = () => equation.outputs.map(() => this.slot())
    switch (equation.primitive) {
      case "jit":
      case "checkpoint":
      case "custom_jvp_call":
      case "custom_vjp_call":
        return this.program(equation.params.program, inputs)
      case "name":
      case "optimization_barrier":
        return inputs
      case "scan":
        return this.push({
          _tag: "Scan",
          params: equation.params,
          body: schedule(equation.params.program, device),
          inputs,
          outputs: outputs()
        })
      case "while": {
        const cond = schedule(equation.params.cond, device)
        const body = schedule(equation.params.body, device)
        return this.push({ _tag: "While", params: equation.params, cond, body, inputs, outputs: outputs() })
      }
      case "cond":
        return this.push({
          _tag: "Cond",
          branches: equation.params.branches.map((p) => schedule(p, device)),
          inputs,
          outputs: outputs()
        })
      case "debug_callback":
        return this.push({ _tag: "Callback", callback: equation.params.callback, inputs, outputs: [] })
      case "psum":
      case "pmax":
      case "pmin":
      case "all_gather":
      case "axis_index":
      case "get_variable":
      case "set_variable":
      case "custom_lin":
        throw unsupported(device.name, equation)
      case "copy":
      case "stop_gradient":
      case "reshape":
      case "squeeze":
        return this.push({ _tag: "Alias", aval: equation.outputs[0].aval, inputs, outputs: outputs() })
      default:
        return this.push({
          _tag: "Kernel",
          run: kernelOf<D, ComputedPrimitive>(device, equation),
          inputs,
          outputs: outputs()
        })
    }
  }
}

const kernelOf = <D extends Data, P extends ComputedPrimitive>(device: Device<D>, equation: EquationOf<P>): Run<D> => {
  const kernel: Kernel<P, D> = device.kernels[equation.primitive]
  return kernel(equation)
}

/** Writes into every step which slots it is the last to read, or writes without anyone reading. */
const withLiveness = <D extends Data>(
  drafts: ReadonlyArray<Draft<D>>,
  outputs: ReadonlyArray<number>
): ReadonlyArray<Step<D>> => {
  const needed = new Set(outputs)
  const steps: Array<Step<D>> = []
  for (const draft of drafts.toReversed()) {
    const free: Array<number> = []
    for (const slot of [...draft.inputs, ...draft.outputs]) {
      if (!needed.has(slot)) {
        needed.add(slot)
        free.push(slot)
      }
    }
    steps.push({ ...draft, free })
  }
  return steps.toReversed()
}

/** Makes a Program ready for a device. Throws `UnsupportedOperation`. */
export const schedule = <D extends Data>(program: Program, device: Device<D>): Schedule<D> => {
  const writer = new Writer(device)
  const inputs = program.inputs.map(() => writer.slot())
  const outputs = writer.program(program, inputs)
  const read = new Set([...outputs, ...writer.steps.flatMap((s) => s.inputs)])
  const steps = withLiveness(writer.steps, outputs)
  return {
    inputs: program.inputs.map((v) => v.aval),
    steps,
    straight: steps.every(isPlain),
    outputs: outputs.map((slot, i) => ({ slot, aval: program.outputs[i].aval })),
    unused: inputs.filter((slot) => !read.has(slot))
  }
}
