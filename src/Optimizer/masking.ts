/**
 * Transformations of some of the parameters: `masked` by a mask, `partition` by labels. What a transformation must not
 * see is a `MaskedNode` in the trees it gets, and in the states it makes.
 *
 * A mask may be a `Filter` (`not(pathContains("bias"))`), a boolean, a tree of booleans (which may stop above the
 * parameters: what it says of an object holds for all below), or a function from parameters to one of these. It is
 * looked at while tracing.
 */
import type { Misfit } from "../GraphDef/errors.ts"
import * as Filter from "../State/Filter.ts"
import type { Path } from "../State/Path.ts"
import * as State from "../State/State.ts"
import type { LeafDef } from "../State/Table.ts"
import { isTensor, type Tensor } from "../Tensor/Tensor.ts"
import { isPlainObject } from "../Tensor/Tree.ts"
import { type EmptyState, type GradientTransformation, setToZero } from "./GradientTransformation.ts"
import { type ArrayTree, checkMisfits, mapWithPath, MaskedNode, maskedNode, zip } from "./tree.ts"

/**
 * Which parameters are meant.
 *
 * @category models
 * @since 0.1.0
 */
export type Mask = Filter.Filter | boolean | object | ((params: ArrayTree) => Filter.Filter | boolean | object)

/**
 * A label for every parameter: a string for all, a tree of strings (which may stop above the parameters), or a function
 * from parameters to one of these.
 *
 * @category models
 * @since 0.1.0
 */
export type Labels = string | object | ((params: ArrayTree) => string | object)

/** What a prefix of a tree says of a path: the value at the path, or at the nearest place above. */
const lookUp = (prefix: unknown, path: Path): unknown => {
  if (State.isState(prefix)) {
    const { table, values } = State.inside(prefix)
    for (let n = path.length; n >= 0; n--) {
      const at = table.position(path.slice(0, n))
      if (at !== undefined) return lookUp(values[at], path.slice(n))
    }
    return undefined
  }
  if (path.length === 0 || Filter.isFilter(prefix)) return prefix
  const [key, ...below] = path
  if (Array.isArray(prefix)) return lookUp(prefix[Number(key)], below)
  if (!isPlainObject(prefix)) return prefix
  return Object.hasOwn(prefix, key) ? lookUp(prefix[key], below) : undefined
}

/**
 * The value that a prefix (or a function to one) has for each parameter. Throws a `StructureError` for those without.
 */
const annotate = <A>(
  operation: string,
  annotation: unknown,
  tree: ArrayTree,
  read: (value: unknown, leaf: Tensor, path: Path, def: LeafDef) => A | undefined,
  expected: string
): ReadonlyMap<string, A> => {
  const prefix: unknown = typeof annotation === "function" ? annotation(tree) : annotation
  const found = new Map<string, A>()
  const misfits: Array<Misfit> = []
  mapWithPath(tree, (leaf, path, def) => {
    const value = lookUp(prefix, path)
    const own = read(value, leaf, path, def)
    if (own === undefined) misfits.push({ path, expected, found: value === undefined ? "nothing" : String(value) })
    else found.set(JSON.stringify(path), own)
    return leaf
  })
  checkMisfits(operation, misfits, "say something of every parameter, or of an object that it is in")
  return found
}

const readMask = (value: unknown, leaf: Tensor, path: Path, def: LeafDef): boolean | undefined =>
  typeof value === "boolean"
    ? value
    : Filter.isFilter(value)
    ? Filter.matches(value, path, { kind: def.kind, metadata: def.metadata, value: leaf })
    : undefined

/** The tree with masked nodes where `keep` does not hold. */
const hide = <T>(tree: T, keep: (path: Path) => boolean): T =>
  mapWithPath(tree, (leaf, path) => keep(path) ? leaf : maskedNode) as T

/** The first tree, and the second where the first is masked. */
const fill = <T>(tree: T, otherwise: T): T => {
  const misfits: Array<Misfit> = []
  const filled = zip(
    [tree, otherwise],
    (node) => isTensor(node) || node instanceof MaskedNode,
    ([own, other]) => own instanceof MaskedNode ? other : own,
    misfits
  )
  checkMisfits("masked", misfits, "a transformation must keep the structure of the updates")
  return filled as T
}

const hidden = <S>(
  inner: GradientTransformation<S>,
  keeper: (tree: ArrayTree) => (path: Path) => boolean
): GradientTransformation<S> => ({
  init: (params) => inner.init(hide(params, keeper(params))),
  update: (updates, state, params) => {
    const keep = keeper(updates)
    const step = inner.update(hide(updates, keep), state, hide(params, keep))
    return { updates: fill(step.updates, updates), state: step.state }
  }
})

/** State of `masked`. */
export interface MaskedState<S> {
  readonly innerState: S
}

const wrapped = <S>(inner: GradientTransformation<S>): GradientTransformation<MaskedState<S>> => ({
  init: (params) => ({ innerState: inner.init(params) }),
  update: (updates, state, params) => {
    const step = inner.update(updates, state.innerState, params)
    return { updates: step.updates, state: { innerState: step.state } }
  }
})

/**
 * Applies a transformation where the mask is true; other updates stay as they are, and no state is kept for them.
 *
 * ```ts import.meta.vitest
 * import { addDecayedWeights, masked } from "linum/Optimizer"
 * import * as T from "linum/Tensor"
 *
 * const decay = masked(addDecayedWeights(1e-4), { kernel: true, bias: false })
 * const params = { kernel: T.ones([2, 2]), bias: T.ones([2]) }
 * const { updates } = decay.update(params, decay.init(params), params)
 * console.log(updates.bias === params.bias) // => true
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const masked = <S>(inner: GradientTransformation<S>, mask: Mask): GradientTransformation<MaskedState<S>> =>
  wrapped(hidden(inner, (tree) => {
    const known = annotate("masked", mask, tree, readMask, "true, false or a Filter")
    return (path) => known.get(JSON.stringify(path)) === true
  }))

/** State of `partition`: those of its parts, by label. */
export interface PartitionState<Ts> {
  readonly innerStates: {
    readonly [K in keyof Ts]: MaskedState<Ts[K] extends GradientTransformation<infer S> ? S : never>
  }
}

/**
 * Applies to each parameter the transformation that has its label. Every label must have one: else `StructureError`,
 * which lists all parameters whose label has none.
 *
 * @category combinators
 * @since 0.1.0
 */
export const partition = <const Ts extends Readonly<Record<string, GradientTransformation>>>(
  transformations: Ts,
  labels: Labels
): GradientTransformation<PartitionState<Ts>> => {
  type States = PartitionState<Ts>["innerStates"]
  const names = Object.keys(transformations)
  const read = (value: unknown): string | undefined =>
    typeof value === "string" && names.includes(value) ? value : undefined
  const expected = `one of the labels ${names.join(", ")}`
  const parts = (tree: ArrayTree) => {
    const known = annotate("partition", labels, tree, read, expected)
    return names.map((name) =>
      [
        name,
        wrapped(hidden(transformations[name], () => (path) => known.get(JSON.stringify(path)) === name))
      ] as const
    )
  }
  return {
    init: (params) => ({
      innerStates: Object.fromEntries(parts(params).map(([name, tx]) => [name, tx.init(params)])) as States
    }),
    update: (updates, state, params) => {
      const before: Readonly<Record<string, MaskedState<unknown>>> = state.innerStates
      let now = updates
      const next = parts(updates).map(([name, tx]) => {
        const step = tx.update(now, before[name], params)
        now = step.updates
        return [name, step.state] as const
      })
      return { updates: now, state: { innerStates: Object.fromEntries(next) as States } }
    }
  }
}

/** The old name of `partition`. */
export const multiTransform = partition

/**
 * Labels by filters: each parameter gets the label of the first filter that covers it. Filters see paths, and of a
 * State kinds and metadata.
 *
 * @category constructors
 * @since 0.1.0
 */
export const labelsByFilter =
  (...cases: ReadonlyArray<readonly [Filter.Filter, string]>) => (params: ArrayTree): object =>
    mapWithPath(
      params,
      (leaf, path, def) => cases.find(([filter]) => readMask(filter, leaf, path, def) === true)?.[1]
    ) as object

/**
 * Zero updates where the mask is true: those parameters stay as they are.
 *
 * @category combinators
 * @since 0.1.0
 */
export const freeze = (mask: Mask): GradientTransformation<MaskedState<EmptyState>> => masked(setToZero, mask)
