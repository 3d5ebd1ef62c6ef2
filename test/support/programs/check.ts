// Runs random Programs on backends, and says what is wrong with what they give.
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import { Backend } from "../../../src/Backend/Backend.ts"
import { compile } from "../../../src/Backend/Wasm/compile/index.ts"
import { emitKernel } from "../../../src/Backend/Wasm/emitKernel.ts"
import { features } from "../../../src/Backend/Wasm/features.ts"
import { plan } from "../../../src/Backend/Wasm/plan.ts"
import { Engine } from "../../../src/Backend/Wasm/runtime/Engine.ts"
import { Heap } from "../../../src/Backend/Wasm/runtime/Heap.ts"
import { Residents } from "../../../src/Backend/Wasm/runtime/Residents.ts"
import { Workers } from "../../../src/Backend/Wasm/runtime/Workers.ts"
import { make } from "../../../src/Backend/Wasm/service.ts"
import { format } from "../../../src/Program/print.ts"
import { simplify } from "../../../src/Program/simplify.ts"
import type { TypedArray } from "../../../src/Tensor/DType.ts"
import type { ShapedArray } from "../../../src/Tensor/ShapedArray.ts"
import type { Storage } from "../../../src/Tensor/Storage.ts"
import { enclose, type Enclosure, exact } from "../enclosure/index.ts"
import { type Limits, numbersOf, type Sample, sample } from "./index.ts"

type Service = Backend["Service"]

/** Two threads, which share even the smallest kernels. */
export const threaded: Layer.Layer<Backend> = Layer.effect(
  Backend,
  Effect.suspend(() => {
    const heap = new Heap({ shared: true, maximumMemory: 2 ** 31 })
    const crew = new Workers(heap.memory, { threads: 2, background: false, patient: true })
    const engine = new Engine(heap, new Residents(heap), crew)
    return make(engine, { compile, plan, emitKernel, features: features(), sharedFrom: 0 })
  })
)

/** The first element outside of its interval. */
const outside = (found: ReadonlyArray<number>, { hi, lo }: Enclosure): string | undefined => {
  for (let i = 0; i < lo.length; i++) {
    const [x, a, b] = [found[i], lo[i], hi[i]]
    if (a === -Infinity && b === Infinity) continue
    if (x >= a && x <= b) continue
    if (Number.isNaN(x) && Number.isNaN(a) && Number.isNaN(b)) continue
    return `element ${i} of ${lo.length} is ${x} and should be ${a === b ? a : `from ${a} to ${b}`}`
  }
  return found.length === lo.length ? undefined : `${found.length} elements and not ${lo.length}`
}

const read = (backend: Service, storage: Storage, aval: ShapedArray) =>
  storage._tag === "Host" ? Effect.succeed(storage.data) : backend.download(storage, aval)

/** Runs it twice: from host memory, then with the state that the first run left. */
const runs = (backend: Service, { aliases, inputs, program }: Sample, simplified: boolean) =>
  Effect.gen(function*() {
    const compiled = simplified ? simplify(program, { final: true }) : program
    const executable = yield* backend.compile(compiled, { aliases })
    const states: Array<ReadonlyArray<TypedArray>> = []
    const given: Array<ReadonlyArray<TypedArray>> = []
    const taken = new Set<Storage>()
    let current: ReadonlyArray<Storage> = inputs.map((data) => ({ _tag: "Host", data }))
    for (let round = 0; round < 2; round++) {
      given.push(yield* Effect.forEach(current, (x, i) => Effect.map(read(backend, x, program.inputs[i].aval), copied)))
      // In the second run every second one of the replaced inputs is still needed by others.
      const donated = current.map((_, i) => round === 0 || i % 2 === 0)
      const outputs = yield* executable.run(current, donated)
      for (const storage of [...current, ...outputs]) taken.add(storage)
      states.push(
        yield* Effect.forEach(outputs, (x, i) => Effect.map(read(backend, x, program.outputs[i].aval), copied))
      )
      for (const [i, storage] of current.entries()) {
        if (donated[i] || storage._tag === "Host") continue
        const after = yield* read(backend, storage, program.inputs[i].aval)
        if (different(after, given[round][i])) {
          throw new Error(`run ${round} wrote over input ${i}, which was not donated`)
        }
      }
      current = current.map((x, i) => {
        const alias = aliases.find(([, input]) => input === i)
        return alias === undefined ? x : outputs[alias[0]]
      })
    }
    for (const storage of taken) backend.release(storage)
    const { liveBuffers, liveBytes } = yield* backend.memory
    if (liveBuffers !== 0 || liveBytes !== 0) throw new Error(`${liveBuffers} buffers of ${liveBytes} bytes stay`)
    return { states, given }
  })

const copied = (data: TypedArray): TypedArray => data.slice()

const bytes = (data: TypedArray): Uint8Array => new Uint8Array(data.buffer, data.byteOffset, data.byteLength)

const different = (a: TypedArray, b: TypedArray): boolean => {
  const [x, y] = [bytes(a), bytes(b)]
  return x.length !== y.length || x.some((v, i) => v !== y[i])
}

const wrong = ({ program }: Sample, { given, states }: Effect.Success<ReturnType<typeof runs>>): string | undefined => {
  for (const [round, outputs] of states.entries()) {
    const enclosures = program.inputs.map(({ aval }, i) =>
      exact(aval.shape, aval.dtype, numbersOf(given[round][i], aval.dtype))
    )
    const expected = enclose(program, enclosures)
    for (const [i, { aval }] of program.outputs.entries()) {
      const problem = outside(numbersOf(outputs[i], aval.dtype), expected[i])
      if (problem !== undefined) return `run ${round}, output ${i}: ${problem}`
    }
  }
  return undefined
}

/** What is wrong with a Program on a backend, and on others, which must give the same bits. */
export const checkSample = (
  made: Sample,
  backend: Service,
  others: ReadonlyArray<Service> = []
): Effect.Effect<string | undefined> =>
  Effect.gen(function*() {
    const all: Array<Effect.Success<ReturnType<typeof runs>>> = []
    for (const service of [backend, ...others]) {
      const exit = yield* Effect.exit(Effect.suspend(() => runs(service, made, made.seed % 4 !== 1)))
      if (Exit.isFailure(exit)) return Cause.pretty(exit.cause)
      all.push(exit.value)
    }
    for (const [i, { states }] of all.slice(1).entries()) {
      for (const [round, outputs] of states.entries()) {
        const output = outputs.findIndex((x, k) => different(x, all[0].states[round][k]))
        if (output >= 0) return `run ${round}, output ${output}: backend ${i + 1} gives other bits`
      }
    }
    return wrong(made, all[0])
  })

/** The same of the Program of a seed. */
export const check = (
  seed: number,
  backend: Service,
  others: ReadonlyArray<Service>,
  limits: Limits = {}
): Effect.Effect<string | undefined> => Effect.suspend(() => checkSample(sample(seed, limits), backend, others))

/** The first operations of a seed's Program that go wrong by themselves, and how. */
export const shortened = (seed: number, backend: Service, others: ReadonlyArray<Service>): Effect.Effect<string> =>
  Effect.gen(function*() {
    for (const operations of [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, Infinity]) {
      const problem = yield* check(seed, backend, others, { operations })
      if (problem === undefined) continue
      const { aliases, program } = sample(seed, { operations })
      return `seed ${seed}, ${operations} operations: ${problem}\n${format(program)}\naliases ${
        JSON.stringify(aliases)
      }`
    }
    return `seed ${seed} fails once only`
  })
