/**
 * What Linum itself costs around a Program: microseconds a step of a jitted function with an empty body over a model
 * and its optimizer, for MLPs of several depths (as Flax's `nnx_graph_overhead.py`), and of splitting and updating many
 * Variables.
 *
 * Nothing is computed in these steps, so every microsecond is traversal, lookup and bookkeeping.
 */
import * as Effect from "effect/Effect"
import * as nnx from "linum"
import * as Cpu from "linum/backend/tfjs-cpu"
import { median } from "./median.ts"
import { format, type Row } from "./report.ts"

const width = 32

class Block extends nnx.Module("Block")<{ readonly linear: nnx.Linear; readonly norm: nnx.BatchNorm }> {}

class Mlp extends nnx.Module("Mlp")<{
  readonly count: nnx.Variable<"Count", nnx.Tensor.Tensor>
  readonly blocks: ReadonlyArray<Block>
}> {}

const Count = nnx.kind("Count")

const makeMlp = (depth: number) =>
  Effect.gen(function*() {
    const count = yield* Count.make(nnx.Tensor.array(0, { dtype: "uint32" }))
    const blocks = yield* Effect.forEach(Array.from({ length: depth }), () =>
      Effect.gen(function*() {
        const linear = yield* nnx.Linear.make(width, width)
        return new Block({ linear, norm: yield* nnx.BatchNorm.make(width) })
      }))
    return new Mlp({ count, blocks })
  })

/** Microseconds a step: the median over rounds, after a warm-up, each round long enough to be timed. */
const measure = Effect.fnUntraced(function*<E, R>(step: Effect.Effect<unknown, E, R>, steps: number) {
  for (let i = 0; i < steps; i++) yield* step
  const rounds: Array<number> = []
  for (let round = 0; round < 15; round++) {
    const start = performance.now()
    for (let i = 0; i < steps; i++) yield* step
    rounds.push((performance.now() - start) * 1000 / steps)
  }
  return median(rounds)
})

/** An empty jitted step over (model, optimizer). */
const emptyStep = (depth: number) =>
  Effect.gen(function*() {
    const model = yield* makeMlp(depth)
    const optimizer = yield* nnx.Optimizer.make(model, nnx.sgd(1e-3, { momentum: 0.9 }), { wrt: nnx.Param })
    const step = nnx.jit((_model: Mlp, _optimizer: typeof optimizer) => Effect.void, { name: "empty" })
    const us = yield* measure(Effect.suspend(() => step(model, optimizer)), 500)
    return { name: `jit, ${depth} layers`, value: us, unit: "us/step", target: depth === 100 ? 60 : undefined }
  })

/** Splitting off the State of a model and writing it back. */
const splitUpdate = (variables: number) =>
  Effect.gen(function*() {
    const model = new Mlp({
      count: yield* Count.make(nnx.Tensor.array(0, { dtype: "uint32" })),
      blocks: yield* Effect.forEach(Array.from({ length: Math.ceil((variables - 1) / 6) }), () =>
        Effect.gen(function*() {
          const linear = yield* nnx.Linear.make(width, width)
          return new Block({ linear, norm: yield* nnx.BatchNorm.make(width) })
        }))
    })
    const step = Effect.gen(function*() {
      const [, state] = yield* nnx.split(model)
      yield* nnx.update(model, state)
    })
    const us = yield* measure(step, 200)
    return { name: `split + update, ${variables} Variables`, value: us, unit: "us", target: 100 }
  })

/** Measures, and prints a table. */
export const overhead: Effect.Effect<ReadonlyArray<Row>, unknown> = Effect.gen(function*() {
  const rows: Array<Row> = []
  for (const depth of [5, 20, 100]) rows.push(yield* emptyStep(depth))
  rows.push(yield* splitUpdate(1000))
  console.log(format("overhead", rows))
  return rows
}).pipe(Effect.provide(nnx.Rngs.layer(0)), Effect.provide(Cpu.layer))
