/**
 * Looking at models: as text on the Console, and as HTML. Where a Backend is in reach, arrays are computed and read
 * first, so that there is something to see; without one, and inside traces, arrays show shape and dtype.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { Backend, type BackendError } from "../Backend/Backend.ts"
import { compute, hostData, toTypedArray } from "../Backend/read.ts"
import { CurrentTrace } from "../Program/Trace.ts"
import type { TensorError } from "../Tensor/errors.ts"
import { fromHost, isTensor, type Tensor } from "../Tensor/Tensor.ts"
import * as Tree from "../Tensor/Tree.ts"
import { html } from "./html.ts"
import { isModule, isSnapshot, isStateLike, isVariable, print, stateFields } from "./print.ts"

/** The arrays in a value, in Variables, Modules and States too. */
const tensorsIn = (value: unknown, found = new Set<Tensor>(), seen = new Set<object>()): ReadonlySet<Tensor> => {
  if (isTensor(value)) return found.add(value)
  if (typeof value !== "object" || value === null || seen.has(value)) return found
  seen.add(value)
  if (isVariable(value)) return tensorsIn(value.raw, found, seen)
  if (isSnapshot(value)) return tensorsIn(value.value, found, seen)
  const children = isStateLike(value)
    ? stateFields(value).map(([, child]) => child)
    : isModule(value) || Array.isArray(value) || Tree.isPlainObject(value)
    ? Object.values(value)
    : []
  for (const child of children) tensorsIn(child, found, seen)
  return found
}

/** What reading gives for each array of some values; nothing without a Backend, and inside a trace. */
const readAll = <A>(
  values: ReadonlyArray<unknown>,
  read: (x: Tensor) => Effect.Effect<A, TensorError | BackendError, Backend>
): Effect.Effect<ReadonlyMap<Tensor, A>, TensorError | BackendError> =>
  Effect.gen(function*() {
    const service = yield* Effect.serviceOption(Backend)
    if (Option.isNone(service) || (yield* CurrentTrace) !== undefined) return new Map<Tensor, A>()
    const arrays = [...tensorsIn(values)]
    const all = Effect.andThen(
      compute(...arrays),
      Effect.forEach(arrays, (x) => Effect.map(read(x), (y) => [x, y] as const))
    )
    return new Map(yield* Effect.provideService(all, Backend, service.value))
  })

/**
 * Shows models, Variables, States, arrays and anything else as text, through Effect's Console. `flax.nnx.display`.
 *
 * With a Backend, arrays are computed and their elements read; without one they show shape and dtype, as they do
 * inside a trace. Fails with what the Backend fails with.
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 * import * as Cpu from "linum/backend/tfjs-cpu"
 *
 * const program = Effect.gen(function*() {
 *   const count = yield* nnx.kind("Count").make(nnx.Tensor.array(2).mul(3))
 *   yield* nnx.display(count)
 * })
 * await Effect.runPromise(program.pipe(Effect.provide(Cpu.layer)))
 * // => Count( # 1 (4 B)
 * //   value=Array(6., dtype=float32)
 * // )
 * ```
 *
 * @category display
 * @since 0.1.0
 */
export const display = (...values: ReadonlyArray<unknown>): Effect.Effect<void, TensorError | BackendError> =>
  Effect.gen(function*() {
    const copies = yield* readAll(values, (x) => Effect.map(hostData(x), (data) => fromHost(x.aval, data)))
    for (const value of values) yield* Console.log(print(value, copies))
  })

/**
 * Models, Variables, States, arrays and anything else as one piece of HTML: a tree that unfolds, with sizes, and for
 * each array its statistics and a small picture (white is 0, red is above, blue below). It needs no script and no other
 * file; write it to `model.html`, or give it to a notebook as output of type `text/html`.
 *
 * With a Backend, arrays are computed and read; without one they show shape and dtype. Fails with what the Backend
 * fails with.
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 * import * as Cpu from "linum/backend/tfjs-cpu"
 *
 * const program = Effect.gen(function*() {
 *   const model = yield* nnx.Linear.make(2, 5)
 *   const page = yield* nnx.toHtml(model)
 *   return [page.includes("<b>Linear</b>"), page.includes("data:image/bmp;base64,")]
 * })
 * console.log(await Effect.runPromise(program.pipe(Effect.provide([nnx.Rngs.layer(0), Cpu.layer])))) // => [ true, true ]
 * ```
 *
 * @category display
 * @since 0.1.0
 */
export const toHtml = (...values: ReadonlyArray<unknown>): Effect.Effect<string, TensorError | BackendError> =>
  Effect.map(readAll(values, (x) => toTypedArray(x)), (elements) => html(values, elements))
