/**
 * Views: a model with other static fields over the same Variables. A model has no mode that is switched back and forth;
 * there are views of it for training, for evaluation, for decoding, all alive at the same time, and what one learns the
 * others know.
 */
import * as Effect from "effect/Effect"
import { build } from "../GraphDef/build.ts"
import { StructureError } from "../GraphDef/errors.ts"
import { type Entry, fromEntries } from "../GraphDef/GraphDef.ts"
import { traverse } from "../GraphDef/read.ts"
import { currentUnsafe } from "../Program/Trace.ts"

/** Static fields by name. */
export type Attributes = Readonly<Record<string, unknown>>

/** The entries with static fields of nodes with identity replaced, and the names of those that were there. */
const replace = (entries: ReadonlyArray<Entry>, attributes: Attributes) => {
  const found = new Set<string>()
  const replaced: Array<Entry> = []
  let next = 0
  const go = (field: string | undefined): void => {
    const entry = entries[next++]
    if (entry._tag === "Static" && field !== undefined && Object.hasOwn(attributes, field)) {
      found.add(field)
      replaced.push({ _tag: "Static", value: attributes[field] })
      return
    }
    // Variables stay the ones that they are; nodes are made new.
    replaced.push(entry._tag === "Variable" ? { ...entry, outerIndex: entry.index } : entry)
    if (entry._tag !== "Node") return
    for (const key of entry.keys) go(entry.sort._tag === "Graph" && typeof key === "string" ? key : undefined)
  }
  go(undefined)
  return { entries: replaced, found }
}

const viewUnsafe = <A>(node: A, attributes: Attributes): { readonly value: A; readonly found: ReadonlySet<string> } => {
  const flat = traverse(node)
  const { entries, found } = replace(flat.graphdef.entries, attributes)
  const values = flat.leaves.map((leaf) => leaf._tag === "Array" ? leaf.tensor : undefined)
  const { value } = build(fromEntries(entries), values, { owner: currentUnsafe(), outer: flat.objects })
  return { value: value as A, found }
}

/**
 * A new tree of a model's nodes with the same Variables, in which static fields have other values: in every Module that
 * has a static field of that name. `flax.nnx.view`.
 *
 * Fails with a `StructureError` that lists the names that no Module has.
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 *
 * const program = Effect.gen(function*() {
 *   const model = yield* nnx.Sequential.make(nnx.Linear.make(2, 2), nnx.BatchNorm.make(2, { momentum: 0.9 }))
 *   const slow = yield* nnx.view(model, { momentum: 0.999 })
 *   return [slow.layers[1].momentum, slow.layers[1].mean === model.layers[1].mean]
 * })
 * console.log(Effect.runSync(program.pipe(Effect.provide(nnx.Rngs.layer(0))))) // => [ 0.999, true ]
 * ```
 *
 * @category views
 * @since 0.1.0
 */
export const view = <A>(node: A, attributes: Attributes): Effect.Effect<A, StructureError> =>
  Effect.suspend(() => {
    const { found, value } = viewUnsafe(node, attributes)
    const missing = Object.keys(attributes).filter((name) => !found.has(name))
    if (missing.length === 0) return Effect.succeed(value)
    return Effect.fail(
      new StructureError({
        operation: "view",
        misfits: missing.map((name) => ({ path: [name], expected: "a static field of some Module", found: "none" })),
        hint: "fields are named as the layers' options: deterministic, useRunningAverage, decode"
      })
    )
  })

/**
 * A view of a model for evaluation: dropout does nothing, batch normalization uses the running statistics.
 * `Module.eval` of Flax.
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 *
 * const program = Effect.gen(function*() {
 *   const model = yield* nnx.Sequential.make(nnx.Linear.make(2, 2), nnx.Dropout.make(0.5))
 *   return [nnx.evalMode(model).layers[1].deterministic, model.layers[1].deterministic]
 * })
 * console.log(Effect.runSync(program.pipe(Effect.provide(nnx.Rngs.layer(0))))) // => [ true, false ]
 * ```
 *
 * @category views
 * @since 0.1.0
 */
export const evalMode = <A>(node: A): A => viewUnsafe(node, { deterministic: true, useRunningAverage: true }).value

/**
 * A view of a model for training: dropout drops, batch normalization uses the batch and updates the running statistics.
 * `Module.train` of Flax.
 *
 * @category views
 * @since 0.1.0
 */
export const trainMode = <A>(node: A): A => viewUnsafe(node, { deterministic: false, useRunningAverage: false }).value
