// What the tests of transforms share: small models, short ways to make and read arrays, and a backend that spoils what
// is freed.
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import { Backend } from "../../src/Backend/Backend.ts"
import { toNested } from "../../src/Backend/read.ts"
import * as Cpu from "../../src/Backend/Tfjs/Cpu/index.ts"
import type { Equation, Program } from "../../src/Program/Program.ts"
import { subPrograms } from "../../src/Program/Program.ts"
import { Module } from "../../src/Ref/Module.ts"
import { BatchStat, kind, Param, type Variable } from "../../src/Ref/Variable.ts"
import * as T from "../../src/Tensor/index.ts"
import type { Storage } from "../../src/Tensor/Storage.ts"
import type { Tensor } from "../../src/Tensor/Tensor.ts"
import { assertClose, type Numbers, type Tolerance } from "../support/close.ts"

export const f32 = (values: T.Nested): Tensor => T.array(values)
export const i32 = (values: T.Nested): Tensor => T.array(values, { dtype: "int32" })

export const Count = kind("Count")

/** A weight, and a count of how often it was used. */
export class Unit extends Module("Unit")<{
  readonly w: Variable<"Param", Tensor>
  readonly n: Variable<"Count", Tensor>
}> {
  static make(w: T.Nested, n: T.Nested = 0): Unit {
    return new Unit({ w: Param.makeUnsafe(f32(w)), n: Count.makeUnsafe(i32(n)) })
  }
}

/** One more type of Module with the same fields. */
export class Other extends Module("Other")<{ readonly w: Variable<"Param", Tensor> }> {
  static make(w: T.Nested): Other {
    return new Other({ w: Param.makeUnsafe(f32(w)) })
  }
}

/** Two Modules, which may be swapped or be one. */
export class Pair<A = Unit, B = Unit> extends Module("Pair")<{ readonly a: unknown; readonly b: unknown }> {
  declare readonly a: A
  declare readonly b: B
  static of<A, B>(a: A, b: B): Pair<A, B> {
    return new Pair({ a, b })
  }
}

/** Normalizes, and keeps a running mean. */
export class Norm extends Module("Norm")<{
  readonly scale: Variable<"Param", Tensor>
  readonly mean: Variable<"BatchStat", Tensor>
}> {
  static make(size: number): Norm {
    return new Norm({ scale: Param.makeUnsafe(T.ones([size])), mean: BatchStat.makeUnsafe(T.zeros([size])) })
  }
}

/** Fails unless arrays have these elements. */
export const expectClose = (x: Tensor, expected: Numbers, tolerance?: Tolerance, what?: string) =>
  Effect.map(toNested(x), (found) => assertClose(found as Numbers, expected, tolerance, what))

/** Fails unless arrays have these elements exactly. */
export const expectEqual = (x: Tensor, expected: unknown) =>
  Effect.map(toNested(x), (found) => assert.deepStrictEqual(found as unknown, expected))

/** Several arrays as nested numbers. */
export const readAll = (...xs: ReadonlyArray<Tensor>) => Effect.forEach(xs, toNested)

/** The equations of a Program at any depth, in order. */
export const allEquations = (program: Program): ReadonlyArray<Equation> =>
  program.equations.flatMap((e) => [e, ...subPrograms(e).flatMap(allEquations)])

/** How often a primitive occurs at any depth. */
export const countOf = (program: Program, primitive: string): number =>
  allEquations(program).filter((e) => e.primitive === primitive).length

/** The elements of a derivative by central differences, of a function from numbers to a number. */
export const differences = (f: (x: ReadonlyArray<number>) => number, x: ReadonlyArray<number>, h = 1e-4) =>
  x.map((_, i) => {
    const at = (step: number) => f(x.map((v, j) => i === j ? v + step : v))
    return (at(h) - at(-h)) / (2 * h)
  })

/** Fails unless the Effect fails, in its error channel, with an error of this tag; gives the error. */
export const failsWith = <A, E, R>(effect: Effect.Effect<A, E, R>, tag: string) =>
  Effect.map(Effect.exit(effect), (exit) => {
    if (Exit.isSuccess(exit)) return assert.fail(`succeeded, and should fail with ${tag}`)
    const [reason] = exit.cause.reasons
    assert.strictEqual(reason._tag, "Fail", `a failure, not a defect: ${String(exit.cause)}`)
    const error = (reason as { readonly error: { readonly _tag: string; readonly message: string } }).error
    assert.strictEqual(error._tag, tag, error.message)
    return error
  })

/** Storages that a spoiling backend freed. */
export interface Spoiled {
  readonly freed: ReadonlyArray<Storage>
}

/**
 * The cpu backend as a device with its own memory would be: every output has a buffer of its own, and one that is
 * released is filled with nan. Whoever reads it later gives itself away.
 */
export const spoiling: Layer.Layer<Backend> = Layer.effect(
  Backend,
  Effect.map(Backend, (inner) => {
    const own = new WeakSet<object>()
    const copied = (storage: Storage): Storage => {
      if (storage._tag !== "Host") return storage
      const copy: Storage = { _tag: "Host", data: storage.data.slice() }
      own.add(copy)
      return copy
    }
    return {
      ...inner,
      compile: (program: Program) =>
        Effect.map(inner.compile(program), (executable) => ({
          program,
          run: (inputs: ReadonlyArray<Storage>) =>
            Effect.map(Effect.suspend(() => executable.run(inputs)), (outputs) => outputs.map(copied))
        })),
      release: (storage: Storage) => {
        if (storage._tag === "Host" && own.has(storage)) storage.data.fill(Number.NaN)
      }
    }
  })
).pipe(Layer.provide(Cpu.layer))

/** The cpu backend with a pause before each run, in which other fibers go on. */
export const pausing: Layer.Layer<Backend> = Layer.effect(
  Backend,
  Effect.map(Backend, (inner) => ({
    ...inner,
    compile: (program: Program) =>
      Effect.map(inner.compile(program), (executable) => ({
        program,
        run: (inputs: ReadonlyArray<Storage>) =>
          Effect.flatMap(Effect.promise(() => new Promise((done) => setTimeout(done, 2))), () => executable.run(inputs))
      }))
  }))
).pipe(Layer.provide(Cpu.layer))

/** The elements of an array that a callback was given. */
export const given = (x: Tensor): ReadonlyArray<number> =>
  x.source._tag === "Concrete" && x.source.storage._tag === "Host" ? Array.from(x.source.storage.data, Number) : []
