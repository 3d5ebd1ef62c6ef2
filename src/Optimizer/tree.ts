/**
 * Trees of parameters, updates and moments: a Tensor, a State, or arrays and plain objects of these. Everything else in
 * a tree stands for itself and is left alone; that is how a *masked node*, which marks a parameter that a
 * transformation must not see, goes through every function here untouched.
 *
 * Functions of several trees take their structure from the first, and throw a `StructureError` that lists every place
 * where another does not have it.
 */
import { type Misfit, StructureError } from "../GraphDef/errors.ts"
import * as Path from "../State/Path.ts"
import * as State from "../State/State.ts"
import { bareDef, type LeafDef } from "../State/Table.ts"
import { zerosLike as zerosOf } from "../Tensor/construct.ts"
import type { DType } from "../Tensor/DType.ts"
import * as lax from "../Tensor/lax/index.ts"
import { add, square } from "../Tensor/numpy/elementwise.ts"
import { sum } from "../Tensor/numpy/reductions.ts"
import * as ShapedArray from "../Tensor/ShapedArray.ts"
import { isTensor, literal, type Tensor } from "../Tensor/Tensor.ts"
import { isPlainObject } from "../Tensor/Tree.ts"

/**
 * A tree of arrays of which only its user knows the structure: parameters, updates, or moments that mirror them.
 *
 * @category models
 * @since 0.1.0
 */
export type ArrayTree = unknown

/**
 * What stands in a masked tree where a parameter was taken out.
 *
 * @category models
 * @since 0.1.0
 */
export class MaskedNode {
  readonly _tag = "MaskedNode"
  toString(): string {
    return "MaskedNode"
  }
}

/** The only `MaskedNode`. */
export const maskedNode = new MaskedNode()

/** One level of a tree: where its children are, and what puts it together from new ones. */
interface Branch {
  readonly keys: ReadonlyArray<Path.Path>
  readonly values: ReadonlyArray<unknown>
  /** Kinds and metadata of the children, where the level is a State. */
  readonly defs: ReadonlyArray<LeafDef> | undefined
  readonly build: (values: ReadonlyArray<unknown>) => unknown
}

const branch = (node: unknown): Branch | undefined => {
  if (typeof node !== "object" || node === null) return undefined
  if (State.isState(node)) {
    const { table, values } = State.inside(node)
    return { keys: table.paths, values, defs: table.defs, build: (children) => State.fromTable(table, children) }
  }
  if (Array.isArray(node)) {
    return { keys: node.map((_, i) => [String(i)]), values: node, defs: undefined, build: (children) => children }
  }
  if (!isPlainObject(node)) return undefined
  const names = Object.keys(node).toSorted(Path.compareKeys)
  return {
    keys: names.map((name) => [name]),
    values: names.map((name) => node[name]),
    defs: undefined,
    build: (children) => Object.fromEntries(names.map((name, i) => [name, children[i]]))
  }
}

/** A leaf, where it is, and its kind and metadata if a State has it. */
export type LeafFunction<B> = (leaf: Tensor, path: Path.Path, def: LeafDef) => B

/** The tree with every array replaced by `f(array, path, def)`. Other results than arrays are fine: masks, labels. */
export const mapWithPath = (tree: ArrayTree, f: LeafFunction<unknown>): ArrayTree => {
  const go = (node: unknown, path: Path.Path, def: LeafDef): unknown => {
    if (isTensor(node)) return f(node, path, def)
    const own = branch(node)
    if (own === undefined) return node
    return own.build(own.values.map((value, i) => go(value, path.concat(own.keys[i]), own.defs?.[i] ?? def)))
  }
  return go(tree, [], bareDef)
}

/** The arrays in order. */
export const leaves = (tree: ArrayTree): ReadonlyArray<Tensor> => {
  const found: Array<Tensor> = []
  const go = (node: unknown): void => {
    if (isTensor(node)) found.push(node)
    else branch(node)?.values.forEach(go)
  }
  go(tree)
  return found
}

const describe = (node: unknown): string =>
  node === undefined
    ? "nothing"
    : isTensor(node)
    ? ShapedArray.format(node.aval)
    : State.isState(node)
    ? "a State"
    : branch(node) === undefined
    ? String(node)
    : "a tree"

/** Throws a `StructureError` if anything does not fit. */
export const checkMisfits = (operation: string, misfits: ReadonlyArray<Misfit>, hint: string): void => {
  if (misfits.length > 0) throw new StructureError({ operation, misfits, hint })
}

/** The child of another tree's level at a key. */
const childAt = (other: Branch, key: Path.Path, i: number): unknown => {
  if (other.keys[i] !== undefined && Path.equals(other.keys[i], key)) return other.values[i]
  return other.values[other.keys.findIndex((k) => Path.equals(k, key))]
}

/** Notes what another level has and the first has not. */
const noteExtra = (own: Branch, other: Branch, path: Path.Path, misfits: Array<Misfit>): void => {
  if (other.keys === own.keys || other.keys.length === 0) return
  const known = new Set(own.keys.map(Path.toKey))
  other.keys.forEach((key, i) => {
    if (known.has(Path.toKey(key))) return
    misfits.push({ path: path.concat(key), expected: "nothing", found: describe(other.values[i]) })
  })
}

/**
 * @internal Goes through a tree along with others of its structure, noting everything that does not fit. At a place
 * that `stop` accepts, `visit` is called with what all trees have there; its result takes the place.
 */
export const zip = (
  trees: readonly [first: ArrayTree, ...others: ReadonlyArray<ArrayTree>],
  stop: (node: unknown) => boolean,
  visit: (nodes: ReadonlyArray<unknown>, path: Path.Path) => unknown,
  misfits: Array<Misfit>
): ArrayTree => {
  const go = (node: unknown, others: ReadonlyArray<unknown>, path: Path.Path): unknown => {
    if (stop(node)) return visit([node, ...others], path)
    const own = branch(node)
    if (own === undefined) return node
    const levels = others.map(branch)
    const wrong = levels.findIndex((level) => level === undefined)
    if (wrong >= 0) {
      misfits.push({ path, expected: describe(node), found: describe(others[wrong]) })
      return node
    }
    for (const level of levels) if (level !== undefined) noteExtra(own, level, path, misfits)
    return own.build(own.values.map((value, i) => {
      const key = own.keys[i]
      return go(
        value,
        levels.map((level) => level === undefined ? undefined : childAt(level, key, i)),
        path.concat(key)
      )
    }))
  }
  return go(trees[0], trees.slice(1), [])
}

/**
 * The first tree with every array replaced by `f` of the arrays that all trees have at its place.
 *
 * ```ts import.meta.vitest
 * import { mapTrees } from "linum/Optimizer"
 * import * as T from "linum/Tensor"
 *
 * const sums = mapTrees((x, y) => x.add(y), { w: T.ones([2, 3]) }, { w: T.zeros([2, 3]) })
 * console.log(sums.w.shape) // => [ 2, 3 ]
 * ```
 *
 * @category trees
 * @since 0.1.0
 */
export const mapTrees = <T>(
  f: (leaf: Tensor, ...others: ReadonlyArray<Tensor>) => Tensor,
  tree: T,
  ...rest: ReadonlyArray<ArrayTree>
): T => {
  const misfits: Array<Misfit> = []
  const mapped = zip([tree, ...rest], isTensor, (nodes, path) => {
    const tensors = nodes.filter(isTensor)
    if (tensors.length === nodes.length) return f(tensors[0], ...tensors.slice(1))
    misfits.push({ path, expected: describe(nodes[0]), found: describe(nodes.find((node) => !isTensor(node))) })
    return nodes[0]
  }, misfits)
  checkMisfits("a transformation of trees", misfits, "updates, parameters and state have one structure")
  return mapped as T
}

/** Zeros in the shape of every array, in its dtype or in another. */
export const zerosLike = <T>(tree: T, dtype?: DType): T => mapTrees((x) => zerosOf(x, { dtype }), tree)

/** Every array in a dtype; as it is if there is none given. */
export const castTree = <T>(tree: T, dtype: DType | undefined): T =>
  dtype === undefined ? tree : mapTrees((x) => lax.convertElementType(x, dtype), tree)

/** Every array in the dtype that another tree has at its place. */
export const castLike = <T>(tree: T, like: ArrayTree): T =>
  mapTrees((x, y) => x.dtype === y.dtype ? x : lax.convertElementType(x, y.dtype), tree, like)

/** The sum of all elements of all arrays: a scalar. */
export const sumTree = (tree: ArrayTree): Tensor => {
  const [first, ...others] = leaves(tree).map((x) => sum(x))
  return others.reduce((a, b) => add(a, b), first ?? literal(0, "float32", true))
}

/**
 * The square of the norm of all arrays as one vector: a scalar.
 *
 * @category trees
 * @since 0.1.0
 */
export const squaredNorm = (tree: ArrayTree): Tensor => sumTree(mapTrees((x) => square(x), tree))
