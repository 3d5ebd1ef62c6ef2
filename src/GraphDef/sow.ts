/**
 * Values put aside during a call. `sow` keeps intermediate results in a Variable of the Module that made them;
 * `perturb` adds a zero to one, of which the derivative can be asked. Both are ordinary writes and changes of
 * structure: what is sown inside `jit`, `grad` or `scan` reaches the model outside, and `pop` takes it out again.
 */
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import { isModule, type Module, moduleName } from "../Ref/Module.ts"
import { type Any, covers, isVariable, type Kind, Perturbation } from "../Ref/Variable.ts"
import { throwingWith } from "../Tensor/attempt.ts"
import { zerosLike } from "../Tensor/construct.ts"
import { isTensorError, type TensorError } from "../Tensor/errors.ts"
import { add } from "../Tensor/numpy/elementwise.ts"
import { isTensor } from "../Tensor/Tensor.ts"
import * as Tree from "../Tensor/Tree.ts"
import { StructureError } from "./errors.ts"
import { setAttribute } from "./structure.ts"

/** What `sow` and `perturb` may fail with: something else has the name, or the structure cannot change here. */
export type SowError = StructureError | TensorError

const typed = throwingWith((u): u is SowError => u instanceof StructureError || isTensorError(u))

/** How `sow` puts values together. */
export interface SowOptions<A, B> {
  /** The value kept after one more was sown. */
  readonly reduce: (kept: B, value: A) => B
  /** What the first `reduce` starts with. */
  readonly init: () => B
}

const nameOf = (u: unknown): string =>
  isModule(u) ? `the Module ${moduleName(u)}` : typeof u === "object" ? "an object" : `a ${typeof u}`

/** The Variable of a field, which must be of the kind; undefined if nothing is there. */
const sownAt = (operation: string, self: Module, kind: Kind<string>, name: string): Any | undefined => {
  const found = (self as Module & Readonly<Record<string, unknown>>)[name]
  if (found === undefined) return undefined
  if (isVariable(found) && covers(kind.tag, found.kind)) return found
  throw new StructureError({
    operation,
    misfits: [{
      path: [name],
      expected: `a Variable of kind ${kind.tag}, or nothing`,
      found: isVariable(found) ? `one of kind ${found.kind}` : isTensor(found) ? "an array" : nameOf(found)
    }],
    hint: "choose another name"
  })
}

/**
 * Keeps a value of a call in a Variable of the Module, in its field `name`. By default values are collected in an
 * array, one for each time; `reduce` and `init` say otherwise. `Module.sow` of Flax.
 *
 * The first time it changes the Module's structure, as `setAttribute` does: inside a trace the Module must be an
 * argument. `pop(model, Intermediate)` takes out what was sown. A class that sows can declare the field as optional.
 *
 * Fails with a `StructureError` if the field holds something else, and as `setAttribute` does.
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 *
 * class Model extends nnx.Module("Model")<{
 *   readonly linear: nnx.Linear
 *   readonly hidden?: nnx.Variable<"Intermediate", ReadonlyArray<nnx.Tensor.Tensor>>
 * }> {
 *   apply(x: nnx.Tensor.Tensor) {
 *     return Effect.tap(this.linear.apply(x), (h) => nnx.sow(this, nnx.Intermediate, "hidden", h))
 *   }
 * }
 *
 * const program = Effect.gen(function*() {
 *   const model = new Model({ linear: yield* nnx.Linear.make(2, 3) })
 *   yield* model.apply(nnx.Tensor.ones([1, 2]))
 *   yield* model.apply(nnx.Tensor.ones([5, 2]))
 *   const sown = yield* nnx.pop(model, nnx.Intermediate)
 *   return [sown.hidden?.value.map((h) => h.shape), Object.keys(model)]
 * })
 * console.log(Effect.runSync(program.pipe(Effect.provide(nnx.Rngs.layer(0)))))
 * // => [ [ [ 1, 3 ], [ 5, 3 ] ], [ 'linear' ] ]
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const sow: {
  (self: Module, kind: Kind<string>, name: string, value: unknown): Effect.Effect<void, SowError>
  <A, B>(
    self: Module,
    kind: Kind<string>,
    name: string,
    value: A,
    options: SowOptions<A, B>
  ): Effect.Effect<void, SowError>
} = <A>(
  self: Module,
  kind: Kind<string>,
  name: string,
  value: A,
  options: SowOptions<A, unknown> = { init: () => [], reduce: (kept, x) => [...kept as ReadonlyArray<A>, x] }
): Effect.Effect<void, SowError> =>
  typed(Effect.suspend(() => {
    const variable = sownAt("sow", self, kind, name)
    return variable === undefined
      ? setAttribute(self, name, kind.makeUnsafe(options.reduce(options.init(), value)))
      : Ref.update(variable as Ref.Ref<unknown>, (kept) => options.reduce(kept, value))
  }))

/**
 * The value plus a Variable of zeros in the field `name`, which is made the first time: a place in the middle of a
 * computation with respect to which `grad` can differentiate. `Module.perturb` of Flax.
 *
 * Call the model once, so that the Variable is there, and then `grad(loss, { wrt: Perturbation })`. The value is an
 * array, or a tree of arrays. Fails as `sow` does; with a `ShapeError` where the value has another shape than before.
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import * as nnx from "linum"
 * import * as Cpu from "linum/backend/tfjs-cpu"
 *
 * class Model extends nnx.Module("Model")<{ readonly slope?: nnx.Variable<"Intermediate/Perturbation", nnx.Tensor.Tensor> }> {
 *   apply(x: nnx.Tensor.Tensor) {
 *     return Effect.map(nnx.perturb(this, "slope", x.mul(2)), (h) => h.square().sum())
 *   }
 * }
 *
 * const program = Effect.gen(function*() {
 *   const model = new Model({})
 *   const x = nnx.Tensor.array([1, 2])
 *   yield* model.apply(x)
 *   const { slope } = yield* nnx.grad((m: Model) => m.apply(x), { wrt: nnx.Perturbation })(model)
 *   return slope === undefined ? [] : yield* nnx.Tensor.toNested(slope.value)
 * })
 * console.log(await Effect.runPromise(program.pipe(Effect.provide(Cpu.layer)))) // => [ 4, 8 ]
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const perturb = <A>(
  self: Module,
  name: string,
  value: A,
  kind: Kind<string> = Perturbation
): Effect.Effect<A, SowError> =>
  typed(Effect.gen(function*() {
    if (sownAt("perturb", self, kind, name) === undefined) {
      yield* setAttribute(self, name, kind.makeUnsafe(Tree.map(value, zerosLike)))
    }
    const variable = sownAt("perturb", self, kind, name)
    const zeros = Tree.leaves(yield* Ref.get(variable as Ref.Ref<unknown>))
    const { leaves, structure } = Tree.flatten(value)
    return Tree.unflatten(structure, leaves.map((x, i) => add(x, zeros[i]))) as A
  }))
