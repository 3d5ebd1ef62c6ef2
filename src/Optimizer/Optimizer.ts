/**
 * The Optimizer: a Module that holds the state of a gradient transformation for the parameters of a model, and writes
 * the parameters. It does not hold the model, so both are arguments of a training step.
 *
 * ```text
 * Optimizer
 *   step: OptState                       how many updates there have been (uint32)
 *   optState: the state of `tx`, with a Variable for each array:
 *     OptState/OptVariable               what mirrors a parameter, with its metadata
 *     OptState/OptArray                  everything else (counts)
 * ```
 */
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Hash from "effect/Hash"
import { type Misfit, StructureError } from "../GraphDef/errors.ts"
import { fits } from "../GraphDef/gather.ts"
import { snapshot, traverse } from "../GraphDef/read.ts"
import { readCell } from "../Program/Trace.ts"
import { Module } from "../Ref/Module.ts"
import {
  type Any as AnyVariable,
  cellOf,
  ImmutableVariableError,
  isVariable,
  OptState,
  type Param,
  type Variable,
  writeAll
} from "../Ref/Variable.ts"
import { FilterError } from "../State/errors.ts"
import * as Filter from "../State/Filter.ts"
import { assign, takeGroup } from "../State/partition.ts"
import * as State from "../State/State.ts"
import { bareDef, type LeafDef } from "../State/Table.ts"
import { attemptWith } from "../Tensor/attempt.ts"
import { isTensorError, type TensorError } from "../Tensor/errors.ts"
import * as lax from "../Tensor/lax/index.ts"
import * as Shape from "../Tensor/Shape.ts"
import * as ShapedArray from "../Tensor/ShapedArray.ts"
import { isTensor, literal, type Tensor } from "../Tensor/Tensor.ts"
import { isPlainObject } from "../Tensor/Tree.ts"
import type { Gradient } from "../Transform/autodiff.ts"
import { anyVariable, tensorOf, valueOf } from "./cells.ts"
import { applyUpdates, type GradientTransformation } from "./GradientTransformation.ts"
import { type ArrayTree, checkMisfits, leaves, zip } from "./tree.ts"

/** State of an optimizer that mirrors a parameter. */
export const OptVariable = OptState.sub("OptVariable")
/** State of an optimizer that is no copy of a parameter, such as a count. */
export const OptArray = OptState.sub("OptArray")

/**
 * The state of a transformation as an Optimizer holds it: every array is the value of a Variable.
 *
 * @category models
 * @since 0.1.0
 */
export type OptVariables<S> = S extends Tensor ? Variable<"OptState/OptArray", Tensor>
  : S extends object ? { readonly [K in keyof S]: OptVariables<S[K]> }
  : S

/** What `update` may fail with. */
export type OptimizerError = StructureError | FilterError | ImmutableVariableError | TensorError

const isOptimizerError = (u: unknown): u is OptimizerError =>
  u instanceof StructureError || u instanceof FilterError || u instanceof ImmutableVariableError || isTensorError(u)

/**
 * The static part of an Optimizer. A transformation is the same only if it is the same object: two
 * `adam(1e-3)` are traced twice.
 */
export class Settings implements Equal.Equal {
  readonly tx: GradientTransformation
  readonly wrt: Filter.Filter
  constructor(tx: GradientTransformation, wrt: Filter.Filter) {
    this.tx = tx
    this.wrt = wrt
  }
  [Equal.symbol](that: unknown): boolean {
    return that instanceof Settings && this.tx === that.tx && Filter.equals(this.wrt, that.wrt)
  }
  [Hash.symbol](): number {
    return Filter.hash(this.wrt)
  }
  toString(): string {
    return `wrt ${Filter.format(this.wrt)}`
  }
}

/** The parameters of a model: their Variables, and their values as a State (or as the model is, if it is an array). */
interface Selected {
  readonly variables: ReadonlyArray<AnyVariable>
  readonly values: State.Any
}

/** Reads what a filter selects of a model. Throws a `StructureError` for bare arrays, which cannot be written. */
const select = (operation: string, model: unknown, wrt: Filter.Filter): Selected => {
  const flat = traverse(model)
  const { groups } = assign(flat.graphdef.layout.table, [wrt], (i) => {
    const leaf = flat.leaves[i]
    return leaf._tag === "Variable" ? readCell(cellOf(leaf.variable)) : leaf.tensor
  })
  const [group] = groups
  const chosen = group.positions.map((i) => flat.leaves[i])
  const bare = chosen.flatMap((leaf) =>
    leaf._tag === "Array"
      ? [{ path: leaf.path, expected: "a Variable", found: ShapedArray.format(leaf.tensor.aval) }]
      : []
  )
  checkMisfits(operation, bare, "a filter that covers only Variables, such as Param, leaves bare arrays out")
  const values = snapshot({ ...flat, leaves: chosen })
  const positions = values.map((_, i) => i)
  return {
    variables: chosen.flatMap((leaf) => leaf._tag === "Variable" ? [leaf.variable] : []),
    values: takeGroup(values, { positions, table: group.table })
  }
}

/** An optimizer of nothing would train nothing, and say nothing. */
const selectsNothing = (model: unknown, wrt: Filter.Filter): StructureError => {
  const kinds = new Set(traverse(model).graphdef.layout.table.defs.map((def) => def.bare ? "Array" : def.kind))
  return new StructureError({
    operation: "Optimizer.make",
    misfits: [{
      path: [],
      expected: `something that ${Filter.format(wrt)} covers`,
      found: [...kinds].join(", ") || "no Variables"
    }],
    hint: `wrt ${Filter.format(wrt)} selects no Variables of the model: give the kinds that are to be trained`
  })
}

const variableOf = (value: unknown, def: LeafDef): AnyVariable =>
  def.bare ? OptArray.makeUnsafe(value) : OptVariable.makeUnsafe(value, { metadata: def.metadata })

/** A Variable for each array, and for each value of a State. */
const toVariables = (tree: ArrayTree): ArrayTree => {
  if (isTensor(tree)) return variableOf(tree, bareDef)
  if (Array.isArray(tree)) return tree.map(toVariables)
  if (State.isState(tree)) {
    const { table, values } = State.inside(tree)
    return State.fromEntries(values.map((value, i) => [
      table.paths[i],
      leaves(value).length === 0 ? value : variableOf(value, table.defs[i])
    ]))
  }
  if (!isPlainObject(tree)) return tree
  return Object.fromEntries(Object.entries(tree).map(([key, value]) => [key, toVariables(value)]))
}

/** The values of the Variables of a tree. */
const readVariables = (tree: ArrayTree): ArrayTree => {
  if (isVariable(tree)) return valueOf(tree)
  if (Array.isArray(tree)) return tree.map(readVariables)
  if (State.isState(tree)) return State.map(tree, readVariables)
  if (!isPlainObject(tree)) return tree
  return Object.fromEntries(Object.entries(tree).map(([key, value]) => [key, readVariables(value)]))
}

/** Values to write, checked all together before any is written. */
class Writes {
  readonly variables: Array<AnyVariable> = []
  readonly values: Array<unknown> = []
  readonly misfits: Array<Misfit> = []

  /** Notes that a Variable gets a value, unless it does not fit. */
  add(variable: AnyVariable, value: unknown, path: ReadonlyArray<string>): void {
    const cell = cellOf(variable)
    if (!cell.mode.isMutable) throw new ImmutableVariableError({ kind: cell.kind })
    const before = readCell(cell)
    if (!fits(before, value)) this.misfits.push({ path, expected: describe(before), found: describe(value) })
    this.variables.push(variable)
    this.values.push(value)
  }

  /** Writes everything at once, or nothing. */
  commit(operation: string, hint: string): void {
    checkMisfits(operation, this.misfits, hint)
    writeAll(this.variables, this.values)
  }
}

const describe = (value: unknown): string => isTensor(value) ? ShapedArray.format(value.aval) : "a tree of arrays"

/**
 * A gradient transformation at work on a model. Make it with `Optimizer.make`, give it the gradients with `update`.
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
 *   const optimizer = yield* nnx.Optimizer.make(model, nnx.sgd(0.1), { wrt: nnx.Param })
 *   const x = nnx.Tensor.array([1, 2, 3])
 *   const loss = (m: Line) => Effect.map(Ref.get(m.slope), (slope) => nnx.squaredError(slope.mul(x), x.mul(2)).mean())
 *   const step = nnx.jit((m: Line, o: typeof optimizer) =>
 *     Effect.flatMap(nnx.grad(loss)(m), (grads) => o.update(m, grads))
 *   )
 *   for (let i = 0; i < 20; i++) yield* step(model, optimizer)
 *   return yield* nnx.Tensor.item(yield* Ref.get(model.slope))
 * })
 * const slope = await Effect.runPromise(program.pipe(Effect.provide(Cpu.layer)))
 * console.log(slope.toFixed(3)) // => 2.000
 * ```
 *
 * Types: `M` the model, `F` the filter that says what is trained, `V` the state of the transformation as Variables.
 *
 * @category models
 * @since 0.1.0
 */
export class Optimizer<M, F = typeof Param, V = ArrayTree> extends Module("Optimizer")<{
  readonly step: Variable<"OptState", Tensor>
  readonly optState: unknown
  readonly settings: Settings
}> {
  declare readonly optState: V

  /**
   * An optimizer of what `wrt` selects of a model, at step 0. `wrt` must be the filter that gradients are taken with.
   *
   * @category constructors
   * @since 0.1.0
   */
  static make<M, const F extends Filter.Filter, S>(
    model: M,
    tx: GradientTransformation<S>,
    options: { readonly wrt: F }
  ): Effect.Effect<Optimizer<M, F, OptVariables<S>>, OptimizerError> {
    return attemptWith(isOptimizerError, () => {
      const { values } = select("Optimizer.make", model, options.wrt)
      if (State.length(values) === 0) throw selectsNothing(model, options.wrt)
      return new Optimizer<M, F, OptVariables<S>>({
        step: OptState.makeUnsafe(literal(0, "uint32")),
        optState: toVariables(tx.init(values)),
        settings: new Settings(tx, options.wrt)
      })
    })
  }

  /** The gradient transformation. */
  get tx(): GradientTransformation {
    return this.settings.tx
  }

  /** What is trained. */
  get wrt(): F {
    return this.settings.wrt as F
  }

  /**
   * One step: transforms the gradients, adds the updates to the parameters, and keeps the new state. Everything is
   * written at once, or nothing. `grads` is what `grad(loss, { wrt })(model, …)` gives. Returns the updates.
   *
   * Fails with a `StructureError` that lists every gradient that is missing, unknown or of another shape than its
   * parameter.
   *
   * @category training
   * @since 0.1.0
   */
  update(model: M, grads: Gradient<M, F>): Effect.Effect<Gradient<M, F>, OptimizerError> {
    return attemptWith(isOptimizerError, () => {
      const operation = "Optimizer.update"
      const params = select(operation, model, this.settings.wrt)
      checkGradients(operation, params.values, grads)
      const step = transformed(operation, this.settings.tx, grads, readVariables(this.optState), params.values)
      const writes = new Writes()
      const { table, values } = State.inside(applyUpdates(params.values, step.updates))
      values.forEach((value, i) => writes.add(params.variables[i], value, table.paths[i]))
      zip([this.optState, step.state], isVariable, ([variable, value], path) => {
        if (isVariable(variable)) writes.add(variable, value, ["optState", ...path])
        return variable
      }, writes.misfits)
      writes.add(anyVariable(this.step), lax.add(tensorOf(this.step), literal(1, "uint32")), ["step"])
      writes.commit(operation, "a transformation must keep the structure, shapes and dtypes of its state")
      return step.updates as Gradient<M, F>
    })
  }
}

/**
 * What a transformation makes of gradients. Where it fails and the state is that of other parameters, this is the
 * error: a `StructureError` that lists what does not fit.
 */
const transformed = (
  operation: string,
  tx: GradientTransformation,
  grads: ArrayTree,
  state: ArrayTree,
  params: State.Any
) => {
  try {
    return tx.update<unknown>(grads, state, params)
  } catch (thrown) {
    const misfits: Array<Misfit> = []
    zip([tx.init(params), state], isTensor, ([fresh, own], path) => {
      const fit = isTensor(fresh) && isTensor(own) && Shape.equals(fresh.shape, own.shape)
      if (!fit) misfits.push({ path: ["optState", ...path], expected: describe(fresh), found: describe(own) })
      return fresh
    }, misfits)
    checkMisfits(operation, misfits, "this optimizer was made for other parameters: make one for this model")
    throw thrown
  }
}

/** Throws a `StructureError` unless there is a gradient of its shape for every parameter, and no other. */
const checkGradients = (operation: string, params: State.Any, grads: ArrayTree): void => {
  const misfits: Array<Misfit> = []
  zip([params, grads], isTensor, ([param, grad], path) => {
    const fit = isTensor(param) && isTensor(grad) && Shape.equals(param.shape, grad.shape)
    if (!fit) misfits.push({ path, expected: describe(param), found: grad === undefined ? "nothing" : describe(grad) })
    return param
  }, misfits)
  checkMisfits(operation, misfits, "take gradients with the same wrt: grad(loss, { wrt: optimizer.wrt })")
}
