/**
 * Which values of a region must be in memory. A *root* is one: what irregular operations, products, loops and the
 * outside read, every reduction, and every value that is read in several places and costs more to compute twice than to
 * load.
 */
import { volume } from "./access.ts"
import { isCheap } from "./cluster.ts"
import { costOf, isInlinable, isPick, isReduction, isSameElements, isView } from "./expression.ts"
import { captured, type Literal, type Node, type Operand, type Region, type Value } from "./region.ts"

/** Whoever reads a value in the end: a root that is computed from it, a node that is no expression, or the outside. */
export type Reader = Value | Node | "outside"

/** The roots of a region and who reads what. */
export interface Roots {
  readonly isRoot: (value: Value) => boolean
  readonly readers: (value: Value) => ReadonlySet<Reader>
}

/** The value whose elements, in the same order, are those of this one. `owned` are the values of the region. */
export const sourceOf = (value: Value, owned: ReadonlySet<Value>): Value => {
  const { node } = value
  if (node === undefined || !owned.has(value) || !isSameElements(node)) return value
  const [x] = node.inputs
  return x._tag === "Literal" ? value : sourceOf(x, owned)
}

/** The number that all elements of an operand are, if it is a constant. */
export const constantOf = (x: Operand): Literal | undefined =>
  x._tag === "Literal" ? x : x.node !== undefined && isView(x.node) ? constantOf(x.node.inputs[0]) : undefined

/** What a view shows in the end. */
export const baseOf = (x: Operand): Operand =>
  x._tag === "Value" && x.node !== undefined && isView(x.node) ? baseOf(x.node.inputs[0]) : x

/** Are the pieces of the node's result expressions of its operands? */
export const isAssembled = (node: Node): boolean =>
  node.equation.primitive === "concatenate" || node.equation.primitive === "pad"

/** The operands that a node needs in memory. */
export const demands = (node: Node): ReadonlyArray<Value> => {
  const values = (xs: ReadonlyArray<Operand>) => xs.filter((x): x is Value => x._tag === "Value")
  switch (node.equation.primitive) {
    case "dot_general":
      // A product reads its operands through views.
      return values(node.inputs.map((x) => baseOf(x)._tag === "Literal" ? x : baseOf(x)))
    case "concatenate":
    case "pad":
      return []
    case "conv_general_dilated":
      return values(node.inputs)
    case "scan":
    case "while":
    case "cond":
      return [...values(node.inputs), ...node.bodies.flatMap((body) => [...captured(body)])]
    case "gather":
      // A pick loads from memory; its indices may be computed where they are used.
      return values(isPick(node) ? node.inputs.slice(0, 1) : node.inputs).filter((x) =>
        constantOf(x) === undefined || isPick(node)
      )
    default:
      return isInlinable(node) || isReduction(node)
        ? []
        : values(node.inputs).filter((x) => constantOf(x) === undefined)
  }
}

/** Expressions grow no deeper: the compiler walks them recursively, and V8 compiles huge functions slowly. */
const deepest = 128

/** What costs more is computed before it is repeated along an axis. */
const repeatedBelow = 4

/** Roots that follow from what is above a value: depth, and repetition by a broadcast. */
const addByWeight = (region: Region, roots: Set<Value>, isFixed: (value: Value) => boolean): void => {
  const weights = new Map<Value, { readonly cost: number; readonly depth: number }>()
  const nothing = { cost: 0, depth: 0 }
  for (const node of region.nodes) {
    if (!isInlinable(node)) continue
    const inputs = node.inputs.flatMap((x) => x._tag === "Value" && !isFixed(x) ? [weights.get(x) ?? nothing] : [])
    const [x] = node.inputs
    const isRepeated = node.equation.primitive === "broadcast_in_dim" && x._tag === "Value" && !isFixed(x) &&
      volume(node.outputs[0].aval.shape) > volume(x.aval.shape) && inputs[0].cost > repeatedBelow
    if (isRepeated) roots.add(x)
    const cost = isRepeated ? 0 : costOf(node) + inputs.reduce((sum, w) => sum + w.cost, 0)
    const depth = isRepeated ? 1 : 1 + inputs.reduce((most, w) => Math.max(most, w.depth), 0)
    for (const value of node.outputs) {
      if (depth > deepest) roots.add(value)
      weights.set(value, roots.has(value) ? nothing : { cost: Math.min(cost, 1000), depth })
    }
  }
}

/** Finds the roots. `forced` are values that turned out to be ones. */
export const findRoots = (region: Region, owned: ReadonlySet<Value>, forced: ReadonlySet<Value>): Roots => {
  const roots = new Set<Value>(forced)
  const readers = new Map<Value, Set<Reader>>()
  const readersOf = (value: Value): Set<Reader> => {
    const known = readers.get(value)
    if (known !== undefined) return known
    const made = new Set<Reader>()
    readers.set(value, made)
    return made
  }
  const demand = (value: Value, by: Reader): void => {
    const source = sourceOf(value, owned)
    roots.add(source)
    readersOf(source).add(by)
  }
  for (const output of region.outputs) if (output._tag === "Value") demand(output, "outside")
  for (const node of region.nodes) for (const value of demands(node)) demand(value, node)
  const isFixed = (value: Value) =>
    roots.has(value) || !owned.has(value) || value.node === undefined || !isInlinable(value.node)
  addByWeight(region, roots, isFixed)
  for (const node of region.nodes.toReversed()) {
    const own: ReadonlyArray<Value> = node.outputs
    const by = own.flatMap((value): ReadonlyArray<Reader> => {
      if (isReduction(node)) return [value]
      if (!isInlinable(node)) return [node]
      const all = readersOf(value)
      if (!roots.has(value) && all.size > 1 && !isCheap(value, isFixed)) roots.add(value)
      return roots.has(value) ? [value] : [...all]
    })
    // An effect without outputs has demanded what it reads.
    const inputs = isInlinable(node) || isReduction(node) || isAssembled(node) ? node.inputs : []
    for (const x of inputs) if (x._tag === "Value") { for (const reader of by) readersOf(x).add(reader) }
  }
  return { isRoot: isFixed, readers: readersOf }
}
