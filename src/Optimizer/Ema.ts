/**
 * Moving averages of a model's Variables: parameters that are smoother than those of the last step, for evaluation.
 */
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Hash from "effect/Hash"
import { type AliasError, type Misfit, StructureError } from "../GraphDef/errors.ts"
import { snapshot, traverse } from "../GraphDef/read.ts"
import { graphdef, merge, state } from "../GraphDef/split.ts"
import { currentUnsafe, readCell } from "../Program/Trace.ts"
import { toMutable } from "../Ref/modes.ts"
import { Module } from "../Ref/Module.ts"
import { type Any as AnyVariable, cellOf, fromDefinition, isVariable, writeAll } from "../Ref/Variable.ts"
import { FilterError } from "../State/errors.ts"
import * as Filter from "../State/Filter.ts"
import { assign } from "../State/partition.ts"
import * as Path from "../State/Path.ts"
import * as State from "../State/State.ts"
import { attemptWith } from "../Tensor/attempt.ts"
import { isTensorError, type TensorError } from "../Tensor/errors.ts"
import * as lax from "../Tensor/lax/index.ts"
import * as ShapedArray from "../Tensor/ShapedArray.ts"
import { valueOf } from "./cells.ts"
import { movingAverage } from "./numeric.ts"
import { checkMisfits, mapTrees } from "./tree.ts"

/** What an `EMA` may fail with. */
export type EmaError = StructureError | FilterError | TensorError

const isEmaError = (u: unknown): u is EmaError =>
  u instanceof StructureError || u instanceof FilterError || isTensorError(u)

/** The static part of an EMA. */
class EmaSettings implements Equal.Equal {
  readonly decay: number
  readonly only: Filter.Filter
  constructor(decay: number, only: Filter.Filter) {
    this.decay = decay
    this.only = only
  }
  [Equal.symbol](that: unknown): boolean {
    return that instanceof EmaSettings && this.decay === that.decay && Filter.equals(this.only, that.only)
  }
  [Hash.symbol](): number {
    return Hash.combine(Hash.number(this.decay), Filter.hash(this.only))
  }
}

interface Tracked {
  readonly path: Path.Path
  readonly variable: AnyVariable
  readonly value: unknown
}

/** The Variables of a model that a filter covers, with their values. Throws a `StructureError` for bare arrays. */
const tracked = (model: unknown, only: Filter.Filter): ReadonlyArray<Tracked> => {
  const flat = traverse(model)
  const { groups } = assign(flat.graphdef.layout.table, [only], (i) => {
    const leaf = flat.leaves[i]
    return leaf._tag === "Variable" ? readCell(cellOf(leaf.variable)) : leaf.tensor
  })
  const chosen = groups[0].positions.map((i) => flat.leaves[i])
  const values = snapshot({ ...flat, leaves: chosen })
  const misfits: Array<Misfit> = []
  const found = chosen.flatMap((leaf, i): ReadonlyArray<Tracked> => {
    if (leaf._tag === "Variable") return [{ path: leaf.path, variable: leaf.variable, value: values[i] }]
    misfits.push({ path: leaf.path, expected: "a Variable", found: ShapedArray.format(leaf.tensor.aval) })
    return []
  })
  checkMisfits("EMA", misfits, "averages are kept of Variables only; leave bare arrays out with `only`")
  return found
}

/** Options of `EMA.make`. */
export interface EmaModuleOptions {
  /** How much of the average stays at each update: near 1. */
  readonly decay: number
  /** Which Variables: all. */
  readonly only?: Filter.Filter | undefined
}

/**
 * The exponential moving average of a model's Variables: average ← decay·average + (1 - decay)·value.
 *
 * `params` is a State of Variables of the model's kinds and metadata, at its paths.
 *
 * ```ts import.meta.vitest
 * import { Effect, Ref } from "effect"
 * import * as nnx from "linum"
 * import * as Cpu from "linum/backend/tfjs-cpu"
 *
 * class Line extends nnx.Module("Line")<{ readonly slope: nnx.Variable<"Param", nnx.Tensor.Tensor> }> {}
 *
 * const program = Effect.gen(function*() {
 *   const model = new Line({ slope: yield* nnx.Param.make(nnx.Tensor.array(0)) })
 *   const ema = yield* nnx.EMA.make(model, { decay: 0.75, only: nnx.Param })
 *   const smooth = yield* ema.applyTo(model)
 *   yield* Ref.set(model.slope, nnx.Tensor.array(4))
 *   yield* ema.update(model)
 *   return yield* nnx.Tensor.item(yield* Ref.get(smooth.slope))
 * })
 * console.log(await Effect.runPromise(program.pipe(Effect.provide(Cpu.layer)))) // => 1
 * ```
 *
 * @category models
 * @since 0.1.0
 */
export class EMA<M> extends Module("EMA")<{
  readonly params: State.State<AnyVariable>
  readonly settings: EmaSettings
}> {
  /**
   * Averages that start at the values that the Variables have now.
   *
   * @category constructors
   * @since 0.1.0
   */
  static make<M>(model: M, options: EmaModuleOptions): Effect.Effect<EMA<M>, EmaError> {
    return attemptWith(isEmaError, () => {
      const only = options.only ?? Filter.everything
      const owner = currentUnsafe()
      const params = State.fromEntries<AnyVariable>(
        tracked(model, only).map(({ path, value, variable }) => [
          path,
          fromDefinition(definitionOf(variable), value, owner)
        ])
      )
      return new EMA<M>({ params, settings: new EmaSettings(options.decay, only) })
    })
  }

  /** How much of the average stays at each update. */
  get decay(): number {
    return this.settings.decay
  }

  /**
   * Moves the averages towards the values that the model's Variables have now. Fails with a `StructureError` if the
   * model does not have the Variables that it had.
   *
   * @category training
   * @since 0.1.0
   */
  update(model: M): Effect.Effect<void, EmaError> {
    return attemptWith(isEmaError, () => {
      const { decay, only } = this.settings
      const now = new Map(tracked(model, only).map((t) => [Path.toKey(t.path), t]))
      const misfits: Array<Misfit> = []
      const variables: Array<AnyVariable> = []
      const values: Array<unknown> = []
      for (const [path, variable] of State.toEntries(this.params)) {
        const own = now.get(Path.toKey(path))
        if (!isVariable(variable)) continue
        if (own === undefined) {
          misfits.push({ path, expected: `a ${cellOf(variable).kind}`, found: "nothing" })
          continue
        }
        now.delete(Path.toKey(path))
        const average = valueOf(variable)
        variables.push(variable)
        values.push(mapTrees(
          (a, x) => lax.convertElementType(movingAverage(x, a, decay), a.dtype),
          average,
          own.value
        ))
      }
      for (const { path, variable } of now.values()) {
        misfits.push({ path, expected: "nothing", found: `a ${cellOf(variable).kind}` })
      }
      checkMisfits("EMA.update", misfits, "update with the model that the EMA was made of")
      writeAll(variables, values)
    })
  }

  /**
   * A model of the structure of `model` whose averaged Variables are the EMA's own: later updates of the averages are
   * seen in it. Variables that are not averaged are copies of the model's.
   *
   * @category evaluation
   * @since 0.1.0
   */
  applyTo(model: M): Effect.Effect<M, EmaError | AliasError> {
    return Effect.gen({ self: this }, function*() {
      const own: unknown = yield* state(model)
      return yield* merge(yield* graphdef(model), own as object, this.params)
    })
  }
}

const definitionOf = (variable: AnyVariable) => {
  const { hooks, kind, metadata, mode } = cellOf(variable)
  return { hooks, kind, metadata, mode: toMutable(mode) }
}
