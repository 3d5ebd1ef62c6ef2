/** From a compiled Program with its plan to one WebAssembly module: its kernels, each a function, and the main function. */
import { Module } from "../assembler/index.ts"
import { Constants, type Emission, type Emitted, type Features, type Plan } from "../emission.ts"
import type { Compiled, Kernel, Step } from "../ir.ts"
import { barrier } from "./control.ts"
import { mainFunction } from "./main.ts"
import { taking } from "./shares.ts"
import { placeOf } from "./sizes.ts"

/** Writes the function of one kernel. */
export type EmitKernel = (e: Emission, kernel: Kernel) => Emitted

/** For which memory and engine. */
export interface Target {
  readonly features: Features
  readonly shared: boolean
  readonly maximumPages: number
  /** A kernel that takes less time on one thread, in nanoseconds, is not shared: a meeting has its price. */
  readonly sharedFrom?: number
}

type CallbackStep = Extract<Step, { readonly _tag: "Callback" }>

/** A module and what it needs to run. */
export interface Assembled {
  readonly module: Module
  /** Words of the slot `constants`. */
  readonly constants: Int32Array<ArrayBuffer>
  /** Bytes of the slot `scratch`, for every thread. */
  readonly scratchBytes: number
  /** Steps that call the host, by the number that the imported function `callback` is given. */
  readonly callbacks: ReadonlyArray<CallbackStep>
  /** How many kernels one run dispatches; bodies of `while` and branches are counted once. */
  readonly kernels: number
  /** An estimate of the time of one run on one thread; of a `while` nobody knows it. */
  readonly nanoseconds: number
  /** Is any kernel worth sharing? */
  readonly heavy: boolean
}

/** What steps hold, at any depth, in order. */
const flatten = (steps: ReadonlyArray<Step>): ReadonlyArray<Step> => steps.flatMap((s) => [s, ...flatten(inner(s))])

const inner = (step: Step): ReadonlyArray<Step> => {
  switch (step._tag) {
    case "Run":
    case "Callback":
      return []
    case "Scan":
      return step.body
    case "While":
      return [...step.condition, ...step.body]
    case "Cond":
      return step.branches.flat()
  }
}

/** The sum over all kernels, those of a scan as often as they are run. */
const total = (steps: ReadonlyArray<Step>, of: (kernel: Kernel) => number): number =>
  steps.reduce((n, step) => {
    if (step._tag === "Run") return n + of(step.kernel)
    return n + total(inner(step), of) * (step._tag === "Scan" ? step.length : 1)
  }, 0)

/** Writes the module. */
export const assemble = (compiled: Compiled, plan: Plan, emitKernel: EmitKernel, target: Target): Assembled => {
  const { features, maximumPages, shared } = target
  const module = new Module({ shared, initial: 1, maximum: maximumPages })
  const callback = module.import("callback", ["i32", "i32"])
  const constants = new Constants()
  let scratchBytes = 0
  const emission: Emission = {
    module,
    features,
    constants,
    place: (buffer) => placeOf(plan, buffer),
    scratch: (bytes) => {
      scratchBytes = Math.max(scratchBytes, bytes)
    }
  }
  const all = flatten(compiled.steps)
  const kernels = new Map<Kernel, Emitted>()
  for (const step of all) {
    if (step._tag === "Run" && !kernels.has(step.kernel)) kernels.set(step.kernel, emitKernel(emission, step.kernel))
  }
  const callbacks = all.filter((s) => s._tag === "Callback")
  const { code: main, heavy } = mainFunction(compiled.steps, {
    plan,
    kernels,
    sharedFrom: target.sharedFrom ?? 10_000,
    together: shared ? { barrier: barrier(module), take: taking(module) } : undefined,
    callback,
    callbackNumber: (step) => callbacks.findIndex((s) => s === step)
  })
  module.add("main", main, { exported: true })
  return {
    module,
    constants: constants.data(),
    scratchBytes,
    callbacks,
    heavy,
    kernels: total(compiled.steps, () => 1),
    nanoseconds: all.some((step) => step._tag === "While")
      ? Infinity
      : total(compiled.steps, (kernel) => kernels.get(kernel)?.nanoseconds ?? 0)
  }
}
