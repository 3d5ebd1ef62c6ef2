// The Wasm backend with the simplest compiler: every equation is an irregular kernel, every buffer has its own place. So
// kernels and the runtime are tested without fusion and without a plan worth the name.
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Backend } from "../../../src/Backend/Backend.ts"
import { type Place, type Plan, slots } from "../../../src/Backend/Wasm/emission.ts"
import type { Buffer, Compiled, Kernel, Operand, Step } from "../../../src/Backend/Wasm/ir.ts"
import { emitIrregular } from "../../../src/Backend/Wasm/irregular/index.ts"
import type { EmitKernel } from "../../../src/Backend/Wasm/runtime/assemble.ts"
import { Engine } from "../../../src/Backend/Wasm/runtime/Engine.ts"
import { Heap } from "../../../src/Backend/Wasm/runtime/Heap.ts"
import { Residents } from "../../../src/Backend/Wasm/runtime/Residents.ts"
import * as service from "../../../src/Backend/Wasm/service.ts"
import type { Atom, Program, Var } from "../../../src/Program/Program.ts"
import * as DType from "../../../src/Tensor/DType.ts"
import * as Shape from "../../../src/Tensor/Shape.ts"

/** A buffer for an abstract value. */
export const bufferOf = ({ aval: { dtype, shape } }: Atom, name: string): Buffer => ({
  dtype,
  size: Shape.size(shape),
  name
})

/** Every equation an irregular kernel. */
export const compile = (program: Program): Compiled => {
  const buffers = new Map<Var, Buffer>()
  const define = (v: Var): Buffer => {
    const buffer = bufferOf(v, `b${buffers.size}`)
    buffers.set(v, buffer)
    return buffer
  }
  const read = (atom: Atom): Operand => {
    if (atom._tag === "Literal") return { value: atom.value, dtype: atom.aval.dtype }
    const buffer = buffers.get(atom)
    if (buffer === undefined) throw new Error("used before it is defined")
    return buffer
  }
  const inputs = program.inputs.map(define)
  const steps = program.equations.map((equation, i): Step => ({
    _tag: "Run",
    kernel: {
      _tag: "Irregular",
      name: `${equation.primitive}_${i}`,
      equation,
      inputs: equation.inputs.map(read),
      outputs: equation.outputs.map(define)
    }
  }))
  return {
    inputs,
    steps,
    outputs: program.outputs.map((atom) => {
      const operand = read(atom)
      if ("value" in operand) return { _tag: "Constant", value: operand.value }
      const index = inputs.indexOf(operand)
      return index < 0 ? { _tag: "Buffer", buffer: operand } : { _tag: "Input", index }
    })
  }
}

/** All buffers of some steps. */
const buffersOf = (steps: ReadonlyArray<Step>): ReadonlyArray<Buffer> =>
  steps.flatMap((step) => {
    switch (step._tag) {
      case "Run":
        return step.kernel._tag === "Irregular" ? step.kernel.outputs : []
      case "Scan":
        return [
          ...step.carries.map((c) => c.result),
          ...step.ys.map((y) => y.whole),
          ...buffersOf(step.body)
        ]
      case "While":
        return [...step.carries.map((c) => c.result), ...buffersOf(step.condition), ...buffersOf(step.body)]
      case "Cond":
        return [...step.outputs, ...step.branches.flatMap(buffersOf)]
      case "Callback":
        return []
    }
  })

const loops = (steps: ReadonlyArray<Step>): ReadonlyArray<Extract<Step, { readonly _tag: "Scan" | "While" }>> =>
  steps.flatMap((step) => {
    switch (step._tag) {
      case "Scan":
        return [step, ...loops(step.body)]
      case "While":
        return [step, ...loops(step.condition), ...loops(step.body)]
      case "Cond":
        return step.branches.flatMap(loops)
      default:
        return []
    }
  })

/** Every buffer a place of its own. */
export const plan = (compiled: Compiled): Plan => {
  const places = new Map<Buffer, Place>()
  const homes = new Map<Buffer, Place>()
  let slotCount: number = slots.first
  let arenaBytes = 0
  const reserve = (buffer: Buffer): Place => {
    const place = { slot: slots.arena, offset: arenaBytes }
    arenaBytes += Math.ceil(buffer.size * DType.byteSize(buffer.dtype) / 16) * 16
    return place
  }
  for (const input of compiled.inputs) if (input !== undefined) places.set(input, { slot: slotCount++, offset: 0 })
  for (const loop of loops(compiled.steps)) {
    for (const { current, next } of loop.carries) {
      for (const buffer of [current, next]) {
        places.set(buffer, { slot: slotCount++, offset: 0 })
        homes.set(buffer, reserve(buffer))
      }
    }
    if (loop._tag === "Scan") {
      for (const { slice } of [...loop.xs, ...loop.ys]) places.set(slice, { slot: slotCount++, offset: 0 })
    }
  }
  for (const buffer of buffersOf(compiled.steps)) if (!places.has(buffer)) places.set(buffer, reserve(buffer))
  return { places, homes, arenaBytes, liveBytes: arenaBytes, localBytes: 0, slotCount }
}

/** Only irregular kernels. */
export const emitKernel: EmitKernel = (e, kernel: Kernel) => {
  if (kernel._tag !== "Irregular") throw new Error("only irregular kernels")
  return emitIrregular(e, kernel)
}

/** An engine of its own. */
export const engine = (maximumMemory = 2 ** 30): Engine => {
  const heap = new Heap({ shared: false, maximumMemory })
  return new Engine(heap, new Residents(heap))
}

/** The backend with this compiler. */
export const naive: Layer.Layer<Backend> = Layer.effect(
  Backend,
  Effect.suspend(() => service.make(engine(), { compile, plan, emitKernel, features: { relaxed: false, wide: false } }))
)
